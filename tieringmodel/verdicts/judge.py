"""The judge: what a run came to, why, and the numbers behind it, from the dataset alone."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from ..errors import InputError
from ..fields import suggest
from .judge_loop import verdict_of_series
from .judge_run import verdict_of_run
from .record import KINDS, Fix, Verdict
from .target import need_dataset
from .thresholds import RunThresholds, Thresholds

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["KINDS", "Fix", "Verdict", "judged", "kinds_of", "verdict"]


def verdict(
    ds: xr.Dataset,
    *,
    target_bp: float | None = None,
    node: int | None = None,
    check_fix: bool = True,
    **thresholds: float,
) -> Verdict:
    """Judge a run: what it came to, what is proven to have caused it, and the numbers behind both.

    Parameters
    ----------
    ds : xarray.Dataset
        A page-level simulation, a loop, a loop pair, or an interleave run.
    target_bp : float, optional
        Reference of a loop, a pair or an interleave run in basis points. None: the goal in force in the run. Page-level
        runs are judged by the goals and weights that they carry.
    node : int, optional
        Goal node of an interleave run; by default 0.
    check_fix : bool
        Run a loop again with the proposed change. Page-level runs are never run again here, see `tieringmodel.find_fix`.
    **thresholds : float
        Fields of `RunThresholds` for page-level runs, of `Thresholds` for the others.

    Returns
    -------
    Verdict

    Raises
    ------
    InputError
        When the dataset's kind is unknown, no reference is known, or a threshold is unknown or outside its bounds.

    Examples
    --------
    >>> import tieringmodel as tm
    >>> ds = tm.loop.run("temporal", 4000, 1_000_000, 0, cap_bytes=20 << 20)
    >>> tm.verdict(ds).kind
    'converged'
    """
    need_dataset(ds)
    if ds.attrs.get("kind") != "simulation" or target_bp is not None:
        return verdict_of_series(
            ds, target_bp=target_bp, node=node, check_fix=check_fix, limits=_limits(Thresholds(), thresholds)
        )
    return verdict_of_run(ds, _limits(RunThresholds(), thresholds))


def _limits(defaults: Any, given: dict[str, float]) -> Any:
    for name, value in given.items():
        if name not in defaults._fields:
            raise InputError(name, "is not a threshold", suggest(name, defaults._fields))
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < math.inf:
            raise InputError(name, f"{value!r} is not a positive number", "give a threshold above 0")
    return defaults._replace(**given)


def judged(ds: xr.Dataset) -> Verdict | None:
    """Return the `verdict` on a run without checking its fix; None for what cannot be judged."""
    try:
        return verdict(ds, check_fix=False)
    except InputError:
        return None


def kinds_of(texts: Iterable[str]) -> str:
    """Return the kind that most of several runs came to; the first of them in `KINDS` where several lead."""
    counts: dict[str, int] = {}
    for kind in texts:
        counts[kind] = counts.get(kind, 0) + 1
    return max(KINDS, key=lambda kind: (counts.get(kind, 0), -KINDS.index(kind)))
