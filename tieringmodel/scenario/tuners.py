"""Quota-goal tuners by name: the two of Linux, and one's own."""

from __future__ import annotations

from collections.abc import Callable

from ..errors import InputError
from ..fields import suggest
from ..plugins import OWN_TOO, load_installed
from ..registry import Own
from ..units import ULONG_MAX

SHIPPED = ("consist", "temporal")
"""The tuners of Linux, in the order of their numbers in kernels."""
OWN = 2
"""The number that kernels know every tuner of one's own by: they leave its state alone."""
Tuner = Callable[[int, int], int]
_own: Own[Tuner] = Own("tuner", SHIPPED.__contains__, "a function of score and state")


def tuner_names() -> tuple[str, ...]:
    """Return the names that ``goal_tuner`` takes."""
    return (*SHIPPED, *_own)


def own_tuners() -> dict[str, Tuner]:
    """Return what `register_tuner` was given, by name."""
    return dict(_own)


def number_of(name: str) -> int:
    """Return a tuner's number in kernels."""
    return SHIPPED.index(name) if name in SHIPPED else OWN


def need_tuner(name: str, where: str = "goal_tuner") -> None:
    """Refuse a tuner that nobody knows.

    Raises
    ------
    InputError
        With the nearest name.
    """
    if name not in tuner_names():
        load_installed()
    if name not in tuner_names():
        raise InputError(where, f"{name!r} is unknown", suggest(str(name), tuner_names()) + OWN_TOO)


def next_state(name: str, score: int, esz_bp: int, when: str = "") -> int:
    """Return what one's own tuner makes of a score and its state; `when` says in errors when that was.

    Raises
    ------
    InputError
        If nobody registered it, or it returns no whole number of 64 bits.
    """
    need_tuner(name)
    made = _own[name](score, esz_bp)
    if isinstance(made, bool) or not isinstance(made, int) or not 0 <= made <= ULONG_MAX:
        raise InputError(f"tuner {name!r}", f"returned {made!r}{when}", "return a whole number from 0 to 2**64 - 1")
    return made


def register_tuner(name: str, tuner: Tuner, *, replace: bool = False) -> None:
    """Offer a quota-goal tuner by name, for ``Quota.goal_tuner`` and `tieringmodel.loop.run`.

    Parameters
    ----------
    name : str
        Name in ``goal_tuner``.
    tuner : callable
        ``tuner(score, esz_bp) -> int``, asked once for each charge window: the score of the goals in bp (10000 is achieved),
        and the state so far in 1/10000 byte; returns the next state, 0 … 2**64 - 1. The effective quota is a 10000th of it,
        bounded by the scheme's other quotas.
    replace : bool
        Take the place of one that was registered under this name before. Those of Linux cannot be replaced.

    Raises
    ------
    InputError
        If the name is taken or empty, or `tuner` cannot be called.

    Examples
    --------
    >>> import tieringmodel as tm
    >>> tm.register_tuner("steady", lambda score, esz_bp: 0 if score >= 10_000 else 10_000 * (4 << 20))
    >>> ds = tm.loop.run("steady", 4000, 100_000, 0)
    >>> int(ds.moved[0]), int(ds.final_pages)
    (1024, 40960)
    >>> tm.unregister_tuner("steady")
    """
    _own.offer(name, tuner, tuner, replace=replace)


def unregister_tuner(name: str) -> None:
    """Withdraw a tuner that `register_tuner` offered; other names are ignored.

    Parameters
    ----------
    name : str
        As it was registered.

    Examples
    --------
    >>> import tieringmodel as tm
    >>> tm.unregister_tuner("nobody has this name")
    """
    _own.pop(name, None)
