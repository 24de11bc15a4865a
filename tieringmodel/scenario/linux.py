"""Which Linux? A kernel is a named set of rules; what changed between releases is data (docs/theory/kernels.md).

A rule is a change that moves numbers. Its switch is true where the kernel has the change. Releases with a record of their own
were read and compared; mainline releases between them follow from the release in which a rule came.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from ..errors import InputError
from ..fields import Checked, suggest


class Rule(NamedTuple):
    """A change to DAMON that moves numbers.

    ``switch`` names it; ``row`` is its number in docs/theory/kernels.md. ``since``: the first mainline release with it;
    ``backports``: the point releases that have it, too. ``records``: for each of `RECORDS`, true where it has the change,
    None where what it is about does not exist. ``before`` and ``after`` say what Linux does without and with it.
    """

    switch: str
    row: str
    since: str
    backports: str
    records: tuple[bool | None, ...]
    before: str
    after: str


RECORDS = ("6.12.117", "6.18.35", "7.2.12", "7.3.4")
"""Releases whose own code was run: see data/golden2."""
NEXT = "next"
DEFAULT = "7.3.4"
SHORT = {"6.12": "6.12.117", "6.18": "6.18.35", "7.2": "7.2.12", "7.3": "7.3.4"}
MAINLINE = ("6.13", "6.14", "6.15", "6.16", "6.17", "6.19", "7.0", "7.1")
"""Releases without a record: each rule holds from the release on in which it came."""
NAMES = ("6.12", *RECORDS[:1], *MAINLINE[:5], "6.18", RECORDS[1], *MAINLINE[5:], "7.2", RECORDS[2], "7.3", RECORDS[3], NEXT)

_HAVE = {"a": True, "b": False, "-": None}


def _rule(row: str, switch: str, since: str, backports: str, old: str, before: str, after: str) -> Rule:
    return Rule(switch, row, since, backports, (*(_HAVE[c] for c in old), True), before, after)


RULES = (
    _rule("1", "first_window_esz", "6.18", "", "baa", "", ""),
    _rule("2", "age_reset_on_zero", "6.18", "", "baa", "", ""),
    _rule("3", "esz0_stop", "7.1", "", "bba", "", ""),
    _rule("4", "quota_full_min_region", "7.2", "", "bba", "", ""),
    _rule("5", "merge_after_apply", "7.2", "", "bba", "", ""),
    _rule("6", "apply_min_nr_regions", "7.1", "", "bba", "", ""),
    _rule("7", "histogram_core_filters", "7.1", "", "bba", "", ""),
    _rule("8", "split_some_regions", "7.3", "", "bbb", "", ""),
    _rule("9", "mvsum_on_demand", "7.3", "", "bbb", "", ""),
    _rule("10", "score_mvsum", "7.3", "6.12.110, 7.2.5", "aba", "", ""),
    _rule("11", "count_age_once", "7.3", "6.12.110, 7.2.6 or before", "aba", "", ""),
    _rule("12", "cap_merge_threshold", "7.3", "6.12.111, 7.2.5", "aba", "", ""),
    _rule("13", "charge_addr_end", "7.2", "6.12.97", "aba", "", ""),
    _rule("14", "skip_only_charged", "7.3", "6.12.113, 7.2.9, 6.18.y of October 2026", "aba", "", ""),
    _rule("15", "charge_filtered_sz", "7.3.4", "6.12.117", "abb", "", ""),
    _rule("16", "time_quota_zero_esz", "7.3", "7.2.9", "bba", "", ""),
    _rule("17", "adjust_quota_while_esz", "7.3", "6.12.113, 7.2.10", "aba", "", ""),
    _rule("18", "thisnode", "7.3", "", "abb", "", ""),
    _rule("19", "folio_end", "7.3.4", "", "bbb", "", ""),
    _rule("20", "node_mem_extremes", "7.3.4", "", "-bb", "", ""),
    _rule("21", "temporal_huge_sz", "7.3.4", "", "--b", "", ""),
    _rule("22", "commit_eligible_nid", "7.3.4", "", "--b", "", ""),
    _rule("23", "psi_first_round", "7.3.4", "", "bbb", "", ""),
    _rule("24", "refuse_zero_target", "7.3", "6.12.117", "abb", "", ""),
    _rule("25", "tail_pages", "6.15", "6.12.24", "aaa", "", ""),
    _rule("26", "time_quota_min_region", "7.1", "6.12.90, 6.18.35 or before", "aaa", "", ""),
    _rule("27", "charged_from_jiffies", "6.17", "6.12.48", "aaa", "", ""),
    _rule("28", "allow_filters", "6.15", "", "baa", "", ""),
    _rule("29", "feed_loop_cap", "6.12", "", "aaa", "", ""),
    _rule("31", "throughput_mult_frac", "6.18", "", "baa", "", ""),
    _rule("32a", "max_nr_snapshots", "7.0", "", "bba", "", ""),
    _rule("32b", "fail_charge", "7.2", "", "bba", "", ""),
    _rule("32c", "last_applied", "6.15", "6.14.3", "baa", "", ""),
    _rule("33a", "attrs_reset_window", "6.15", "", "baa", "", ""),
    _rule("33b", "attrs_last_nr_accesses", "7.3", "", "bbb", "", ""),
    _rule("34", "commit_join_ranges", "7.3", "", "bbb", "", ""),
    _rule("35", "ctx_rnd_state", "7.2", "", "bba", "", ""),
    _rule("36", "lru_prio_activate", "7.0", "", "bba", "", ""),
    _rule("37", "fresh_look", "7.3", "6.12.110, 7.2.5", "aba", "", ""),
    _rule("38", "walk_split_regions", "7.1", "6.12.113", "aba", "", ""),
    _rule("39", "va_init_unsplit", "7.1", "", "bba", "", ""),
    _rule("40", "fix_mvsum_at_reset", "6.16", "", "baa", "", ""),
    _rule("41", "commit_clears_resume", "6.18", "", "baa", "", ""),
    _rule("42", "stat_walk", "6.14", "", "baa", "", ""),
    _rule("43", "commit_any_tick", "6.15", "", "baa", "", ""),
    _rule("44", "commit_compare_attrs", "6.18", "", "baa", "", ""),
    _rule("45", "sleep_four_jiffies", "6.13", "", "baa", "", ""),
    _rule("46", "goal_score_mult_frac", "7.2", "", "bba", "", ""),
)
"""Rows 4 and 30 of docs/theory/kernels.md are one change. Row 18 was undone in 6.17 and came back in 7.3."""
SWITCHES = tuple(rule.switch for rule in RULES)
UNDONE = {"thisnode": ("6.17", "7.3")}
"""Changes that mainline had from the start, but not in the releases from the first up to before the second."""
VA_MIGRATE = (6, 17)
"""The first release in which migrating actions are carried out in virtual address spaces."""
_ONLY_WITH = {"node_mem_extremes": "6.16", "temporal_huge_sz": "7.1", "commit_eligible_nid": "7.2"}
"""Rules about something that came with a release: before it there is nothing to switch."""


def version(name: str) -> tuple[int, ...]:
    """Return a release's number, to compare releases by; that of ``"next"`` is behind all others."""
    return (99,) if name == NEXT else tuple(int(part) for part in name.split("."))


class _Rules:
    """What a kernel does: a truth value for each of `SWITCHES`; true = it has the change.

    Beside them ``va_migrate``: whether migration is carried out in virtual address spaces, or taken and not done.
    """

    if TYPE_CHECKING:

        def __init__(self, **switches: bool) -> None: ...

        def __getattr__(self, name: str) -> bool: ...

        def _replace(self, **changes: bool) -> Self: ...

        def _asdict(self) -> dict[str, bool]: ...


if TYPE_CHECKING:
    Rules = _Rules
else:
    Rules = NamedTuple("Rules", [(name, bool) for name in (*SWITCHES, "va_migrate")])


def _switch_of_base(rule: Rule, release: str) -> bool | None:
    if release in RECORDS:
        return rule.records[RECORDS.index(release)]
    if release == NEXT:
        return True
    now = version(release)
    if rule.switch in _ONLY_WITH and now < version(_ONLY_WITH[rule.switch]):
        return None
    if rule.switch in UNDONE:
        first, last = map(version, UNDONE[rule.switch])
        return not first <= now < last
    return version(rule.since) <= now


@cache
def rules_of_release(release: str) -> dict[str, bool | None]:
    """Return a release's rules by switch; None where what a rule is about does not exist in it."""
    return {rule.switch: _switch_of_base(rule, release) for rule in RULES}


@dataclass(frozen=True)
class _Kernel(Checked):
    """Which Linux runs: a release's rules, and switches that differ from it.

    ``base``: a release of `NAMES`; a short name stands for the release that was read. Every other field is a switch, left
    out where the release decides. In a scenario a bare name does: ``kernel = "6.18"``.

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
        for switch, value in self.switches.items():
            if known[switch] is None:
                text = f"is about something that Linux {self.release} does not have"
                raise InputError(switch, text, f"leave it out, or take {_ONLY_WITH[switch]} or later")
            if value is None:
                raise InputError(switch, "is neither true nor false", "write true or false")

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

    def __str__(self) -> str:
        return ", ".join([self.base, *(f"{name} {'on' if value else 'off'}" for name, value in self.changed.items())])

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Return the kernel of that name."""
        return cls(text)

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
    )
    Kernel.__module__ = __name__


@cache
def _rules(release: str, switches: tuple[tuple[str, bool], ...]) -> Rules:
    known = {name: value is not False for name, value in rules_of_release(release).items()}
    return Rules(**(known | dict(switches)), va_migrate=version(release) >= VA_MIGRATE)


def _not_modelled(name: str) -> tuple[str, str]:
    """Return what is wrong with the name of a kernel, and what to write."""
    line = ".".join(name.split(".")[:2])
    if name.count(".") == 2 and line in SHORT:
        later = [f"{rule.switch} ({rule.backports})" for rule in RULES if f"{line}." in rule.backports]
        text = f"{name!r} has no record; of that line {SHORT[line]} has, and others took single changes: {', '.join(later)}"
        return text, f"write {SHORT[line]!r}, or {{ base = {SHORT[line]!r}, SWITCH = false }} for changes that yours lacks"
    return f"{name!r} is no kernel that is modelled", suggest(name, NAMES)


def default_rules(given: Mapping[str, bool] | None = None) -> Rules:
    """Return the default kernel's rules, some of them changed."""
    return _rules(DEFAULT, tuple((given or {}).items()))
