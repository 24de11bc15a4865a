"""Which Linux? A kernel is a release's rules, and single ones that differ (docs/theory/kernels.md, section 1).

A rule is a change that moves numbers (`rules`). Its switch is true where the kernel has the change. Releases with a record of
their own were read and compared; mainline releases between them follow from the release in which a rule came.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from ..errors import InputError
from ..fields import Checked, suggest
from .rules import ONLY_WITH, RECORDS, RULES, SWITCHES, UNDONE, Rule

NEXT = "next"
DEFAULT = "7.3.4"
SHORT = {"6.12": "6.12.117", "6.18": "6.18.35", "7.2": "7.2.12", "7.3": "7.3.4"}
MAINLINE = ("6.13", "6.14", "6.15", "6.16", "6.17", "6.19", "7.0", "7.1")
"""Releases without a record: each rule holds from the release on in which it came."""
NAMES = ("6.12", *RECORDS[:1], *MAINLINE[:5], "6.18", RECORDS[1], *MAINLINE[5:], "7.2", RECORDS[2], "7.3", RECORDS[3], NEXT)
"""Every kernel that is modelled, in order."""
VA_MIGRATE, VA_FOLIOS = (6, 17), (7, 2)
"""The first release in which migrating actions are carried out in virtual address spaces, and the first with a record in which
they go from folio to folio."""


def version(name: str) -> tuple[int, ...]:
    """Return a release's number, to compare releases by; that of ``"next"`` is behind all others."""
    return (99,) if name == NEXT else tuple(int(part) for part in name.split("."))


class _Rules:
    """What a kernel does: a truth value for each of `SWITCHES`; true = it has the change.

    Beside them ``va_migrate``: whether migration is carried out in virtual address spaces, or taken and not done, and
    ``va_page_by_page``: whether it walks them in steps of 4 KiB.
    """

    if TYPE_CHECKING:

        def __init__(self, **switches: bool) -> None: ...

        def __getattr__(self, name: str) -> bool: ...

        def _replace(self, **changes: bool) -> Self: ...

        def _asdict(self) -> dict[str, bool]: ...


if TYPE_CHECKING:
    Rules = _Rules
else:
    Rules = NamedTuple("Rules", [(name, bool) for name in (*SWITCHES, "va_migrate", "va_page_by_page")])


def _switch_of_base(rule: Rule, release: str) -> bool | None:
    if release in RECORDS:
        return rule.records[RECORDS.index(release)]
    if release == NEXT:
        return True
    now = version(release)
    if rule.switch in ONLY_WITH and now < version(ONLY_WITH[rule.switch]):
        return None
    if rule.switch in UNDONE:
        first, last = map(version, UNDONE[rule.switch])
        return not first <= now < last
    return version(rule.since) <= now


_WORD = {True: "on", False: "off"}
_WORDS = {word: value for value, word in _WORD.items()}
_STANDING = (
    {short: f": rules of {full}" for short, full in SHORT.items()}
    | {name: ": mainline rules, no vectors" for name in MAINLINE}
    | {NEXT: f": {DEFAULT} and what is known of later trees, not released, no vectors"}
)
"""What is said of a name that is no release with a record."""


@cache
def rules_of_release(release: str) -> dict[str, bool | None]:
    """Return a release's rules by switch; None where what a rule is about does not exist in it."""
    return {rule.switch: _switch_of_base(rule, release) for rule in RULES}


@dataclass(frozen=True, repr=False)
class _Kernel(Checked):
    """Which Linux runs: a release's rules, and switches that differ from it.

    ``base``: a release of `NAMES`; a short name stands for the release that was read. Every other field is a switch, left
    out where the release decides. In a scenario a bare name does: ``kernel = "6.18"``, ``kernel = "6.18, thisnode on"``.

    Examples
    --------
    >>> import tieringmodel as tm
    >>> kernel = tm.Kernel("6.18", thisnode=True)
    >>> kernel.release, kernel.rules.thisnode, kernel.rules.merge_after_apply
    ('6.18.35', True, False)
    """

    base: str = DEFAULT

    if TYPE_CHECKING:

        def __init__(self, base: str = DEFAULT, **switches: bool | None) -> None: ...

        def __getattr__(self, name: str) -> bool | None: ...

    def check(self) -> None:
        """Refuse releases that are not modelled, and switches of what a release does not have."""
        if self.base not in NAMES:
            raise InputError("base", *_not_modelled(self.base))
        known = rules_of_release(self.release)
        for switch in self.switches:
            if known[switch] is None:
                text = f"is about something that Linux {self.release} does not have"
                raise InputError(switch, text, f"leave it out, or take {ONLY_WITH[switch]} or later")

    @property
    def release(self) -> str:
        """The release whose rules these are."""
        return SHORT.get(self.base, self.base)

    @property
    def switches(self) -> dict[str, bool]:
        """The switches that were given."""
        given = {name: getattr(self, name) for name in SWITCHES}
        return {name: value for name, value in given.items() if value is not None}

    @property
    def changed(self) -> dict[str, bool]:
        """The switches that differ from the release."""
        known = rules_of_release(self.release)
        return {name: value for name, value in self.switches.items() if value != known[name]}

    @property
    def rules(self) -> Rules:
        """What this kernel does."""
        return _rules(self.release, tuple(self.switches.items()))

    def has(self, since: str) -> bool:
        """Whether a feature that came with a release is there."""
        return version(self.release) >= version(since)

    @property
    def title(self) -> str:
        """The release and the switches that differ from it, as results name their kernel: ``"6.18.35, thisnode on"``."""
        return ", ".join([self.release, *self._changed()])

    def __str__(self) -> str:
        return ", ".join([f"Linux {self.base}{_STANDING.get(self.base, '')}", *self._changed()])

    def __repr__(self) -> str:
        return f"Kernel({', '.join([repr(self.base), *(f'{name}={value}' for name, value in self.switches.items())])})"

    def _changed(self) -> list[str]:
        return [f"{name} {_WORD[value]}" for name, value in self.changed.items()]

    @classmethod
    def from_text(cls, text: str, where: str = "base") -> Self:
        """Return the kernel of that name, or of a title: ``"6.18"``, ``"6.18.35, thisnode on"``; errors name it by `where`."""
        base, *given = (part.strip() for part in text.split(","))
        switches = dict[str, bool]()
        for part in given:
            name, _, value = part.partition(" ")
            if name not in SWITCHES:
                raise InputError(where, f"{name!r} is no switch of a kernel", suggest(name, SWITCHES))
            if value not in _WORDS:
                raise InputError(where, f"{name} is neither on nor off", f"write '{name} on' or '{name} off'")
            switches[name] = _WORDS[value]
        try:
            return cls(base, **switches)
        except InputError as error:
            what = error.what if error.where == "base" else f"{error.where} {error.what}"
            raise InputError(where, what, error.remedy) from None

    def to_plain(self) -> Any:
        """Return the name alone where no switch was given, else a table."""
        return {"base": self.base} | self.switches if self.switches else self.base


_Kernel.__name__ = _Kernel.__qualname__ = "Kernel"
if TYPE_CHECKING:
    Kernel = _Kernel
else:
    Kernel = dataclasses.make_dataclass(
        "Kernel",
        [(s, bool | None, None) for s in SWITCHES],
        bases=(_Kernel,),
        namespace={"__doc__": _Kernel.__doc__},
        frozen=True,
        repr=False,
    )
    Kernel.__module__ = __name__


@cache
def _rules(release: str, switches: tuple[tuple[str, bool], ...]) -> Rules:
    known = {name: value is not False for name, value in rules_of_release(release).items()}
    now = version(release)
    return Rules(**(known | dict(switches)), va_migrate=now >= VA_MIGRATE, va_page_by_page=now < VA_FOLIOS)


def _not_modelled(name: str) -> tuple[str, str]:
    """Return what is wrong with the name of a kernel, and what to write."""
    if not re.fullmatch(r"\d{1,4}(\.\d{1,4}){1,2}", name):
        return f"{name!r} is no kernel that is modelled", suggest(name, NAMES)
    line = ".".join(name.split(".")[:2])
    if line in NAMES:
        near = SHORT.get(line, line)
        took = [(rule.switch, re.search(rf"\b{re.escape(line)}\.[^,]*", rule.backports)) for rule in RULES]
        taken = ", ".join(f"{switch} {found[0]}" for switch, found in took if found)
        remedy = f"write {near!r}, and 'SWITCH off' or SWITCH = false for each change that yours lacks"
        return f"{name!r} is not modelled, {near} of that line is", remedy + (f"; backports: {taken}" if taken else "")
    known = f"write one of {', '.join(NAMES)}"
    if version(name) < version(NAMES[0]):
        return f"{name!r} is older than {NAMES[0]}, the first that is modelled", known
    return f"{name!r} is newer than {DEFAULT}", f"{known} ({NEXT!r}: what is known of later trees)"


def default_rules(given: Mapping[str, bool] | None = None) -> Rules:
    """Return the default kernel's rules, some of them changed."""
    return _rules(DEFAULT, tuple((given or {}).items()))
