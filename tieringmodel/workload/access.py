"""From a workload's groups to the tables that access kernels read."""

from __future__ import annotations

import copy
import math
from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import accumulate, pairwise

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from ..kernels._jit import records
from ..kernels.layout import HASH, PERIOD, RATE, RULE, Access
from ..kernels.random import mixed
from ..scenario import Group, Memcg, Workload
from ..scenario.folios import folio_runs

_KIND = {"rate": RATE, "period": PERIOD, "hash": HASH}


def rate_threshold(rate_hz: float, tick_us: int) -> int:
    """Probability of at least one touch in a tick, in units of 2**-32: ``1 - exp(-rate * tick)`` (Poisson thinning)."""
    return round(-math.expm1(-rate_hz * tick_us * 1e-6) * 2**32)


def _slots(groups: Sequence[Group]) -> list[int]:
    """Number groups so that those in force at the same time differ; a group that is alone gets 0.

    Each group takes the least number that no earlier group in force at the same time has. Groups of one number never
    overlap, so their starts and ends are sorted alike and one search finds the only group that could be in the way. A group
    that ends before it starts can overlap several others of one number; with such groups every pair is compared.
    """
    if any(g.end_tick <= g.start_tick for g in groups):
        return _slots_by_pairs(groups)
    slots: list[int] = []
    taken: list[tuple[list[int], list[int]]] = []
    for g in groups:
        slot, at = 0, 0
        for starts, ends in taken:
            at = bisect_left(starts, g.end_tick)
            if at == 0 or ends[at - 1] <= g.start_tick:
                break
            slot += 1
        else:
            at = 0
            taken.append(([], []))
        taken[slot][0].insert(at, g.start_tick)
        taken[slot][1].insert(at, g.end_tick)
        slots.append(slot)
    return slots


def _slots_by_pairs(groups: Sequence[Group]) -> list[int]:
    slots: list[int] = []
    for g in groups:
        busy = {
            slot
            for slot, other in zip(slots, groups, strict=False)
            if other.start_tick < g.end_tick and g.start_tick < other.end_tick
        }
        slots.append(next(k for k in range(len(groups)) if k not in busy))
    return slots


def _intervals(workload: Workload) -> Iterator[tuple[int, int, tuple[int, ...], int]]:
    """Yield (first page, end, indices of the groups that touch it, memory cgroup) from one edge of a range to the next.

    One sweep over the edges keeps the ranges in force as sorted lists of indices.
    """
    starts: dict[int, list[tuple[int, int]]] = {}
    ends: dict[int, list[tuple[int, int]]] = {}
    kinds: tuple[Sequence[Group | Memcg], ...] = (workload.groups, workload.memcgs)
    for which, ranges in enumerate(kinds):
        for i, r in enumerate(ranges):
            starts.setdefault(r.lo, []).append((which, i))
            ends.setdefault(r.hi, []).append((which, i))
    active: tuple[list[int], list[int]] = ([], [])
    for lo, hi in pairwise(sorted({0, workload.n_pages, *starts, *ends})):
        for which, i in ends.get(lo, ()):
            del active[which][bisect_left(active[which], i)]
        for which, i in starts.get(lo, ()):
            insort(active[which], i)
        yield lo, hi, tuple(active[0]), workload.memcgs[active[1][0]].memcg_id if active[1] else 0


def memcg_classes(memcgs: Sequence[Memcg], of_class: npt.NDArray[np.int64]) -> dict[int, npt.NDArray[np.bool_]]:
    """Return for every memory cgroup which page classes are its own or its descendants', bool (n_classes,).

    Raises
    ------
    InputError
        If a page is in two cgroups, or the cgroups form no tree.
    """
    parent: dict[int, int] = {}
    for i, m in enumerate(memcgs):
        where = f"workload.memcgs[{i}]"
        if m.memcg_id == 0:
            raise InputError(f"{where}.memcg_id", "0 stands for no memory cgroup", "number them from 1")
        if parent.setdefault(m.memcg_id, m.parent_id) != m.parent_id:
            text = f"{m.parent_id} differs from the parent {parent[m.memcg_id]} given before"
            raise InputError(f"{where}.parent_id", text, f"give memory cgroup {m.memcg_id} one parent")
    spans = sorted((m.lo, m.hi, i) for i, m in enumerate(memcgs))
    for (_, end, _), (lo, _, i) in pairwise(spans):
        if lo < end:
            text = f"page {lo} is in another memory cgroup already"
            raise InputError(f"workload.memcgs[{i}]", text, "let page ranges not overlap; nest cgroups by parent_id")
    out = {one: np.zeros(of_class.size, np.bool_) for one in (*parent, *parent.values()) if one}
    for one in parent:
        ancestor, path = one, [one]
        while ancestor:
            out[ancestor] |= of_class == one
            ancestor = parent.get(ancestor, 0)
            if ancestor in path:
                loop = " -> ".join(map(str, [*path, ancestor]))
                raise InputError("workload.memcgs", f"parents go in a circle: {loop}", "let a parent_id be 0")
            path.append(ancestor)
    return out


def _only_says_folios(g: Group) -> bool:
    """Whether a group touches nothing, and is there for the folios that its pages are in."""
    return g.kind == "rate" and g.rate_hz == 0 and g.folio_order > 0


class AccessTable:
    """Access classes of pages, and the rules of each class.

    Pages touched by the same groups that belong to the same memory cgroup share a class; class 0 is touched by nobody
    and in none. A phase change is a change of rules, not of pages.

    Parameters
    ----------
    workload : Workload
        Pages and groups.
    tick_us : int
        Length of a workload tick.
    seed : int
        Key of all touches.
    plain : bool
        Allow the one-load shortcut although rules change over time; checks must then not reach across a change.

    Attributes
    ----------
    groups_of_class : list of tuple of int
        Indices of the groups that touch a class.
    memcg_classes : dict of int to ndarray of bool, shape (n_classes,)
        Classes of each memory cgroup, those of its descendants included.
    runs : list of (int, int)
        Pages and class of each run of pages of one class, from page 0 on.
    folios : list of (int, int, int, int)
        First and one past the last page, order and class of each run of folios of several pages that the same groups touch
        alike. A folio is touched where any of its pages is: its rate is the sum of theirs. Its class is one beyond those of
        pages.
    """

    def __init__(self, workload: Workload, tick_us: int, seed: int, plain: bool = True) -> None:
        self.workload, self.tick_us = workload, tick_us
        number: dict[tuple[tuple[int, ...], int], int] = {((), 0): 0}
        self.runs: list[tuple[int, int]] = []
        for lo, hi, members, memcg in _intervals(workload):
            cls = number.setdefault((members, memcg), len(number))
            if cls > 65535:
                raise InputError("workload.groups", "form more than 65535 classes of pages", "use fewer, larger groups")
            self.runs.append((hi - lo, cls))
        self.groups_of_class: list[tuple[int, ...]] = [members for members, _ in number]
        memcg_of_class = np.array([memcg for _, memcg in number], np.int64)
        self.memcg_classes = memcg_classes(workload.memcgs, memcg_of_class)
        self.key = np.uint64(mixed(seed ^ 0xA5A5))
        self._touching = [[i for i in c if not _only_says_folios(workload.groups[i])] for c in self.groups_of_class]
        touched_by = [[workload.groups[i] for i in members] for members in self._touching]
        self._of_rule = [i for members in self._touching for i in members]
        self._pages_of_folio: list[tuple[int, ...]] = []
        self.folios = list(self._folios(touched_by))
        self._touched_by = touched_by
        first = np.zeros(len(touched_by) + 1, np.int64)
        rules = []
        for c, groups in enumerate(touched_by):
            ended = accumulate((g.end_tick for g in groups), max)
            begins = [*accumulate((g.start_tick for g in reversed(groups)), min)][::-1]
            pages = self._pages_of_folio[c - len(number)] if c >= len(number) else (1,) * len(groups)
            columns = zip(_slots(groups), ended, begins, strict=True)
            rules += [(*self._rule(g, n), *of_class) for g, n, of_class in zip(groups, pages, columns, strict=True)]
            first[c + 1] = len(rules)
        table = records(max(len(rules), 1), RULE)
        table[: len(rules)] = np.array(rules, RULE)
        self._rules = table[: len(rules)]
        self._class_of_rule = np.repeat(np.arange(first.size - 1), np.diff(first))
        of_rule = [g for groups in touched_by for g in groups]
        always = [2**32 if g.kind == "period" else rate_threshold(g.rate_hz, tick_us * g.period) for g in of_rule]
        self._plain_of_rule = np.array(always, np.uint64)
        self._rate_of_rule = self._rates_of_rules()
        n = len(touched_by)
        self.changes = sorted({t for g in workload.groups for t in (g.start_tick, g.end_tick) if 0 < t < 2**62})
        self._plain_possible = (plain or not self.changes) and all(
            g.period == 1 and (g.kind == "rate" or (g.kind == "period" and g.stride == 1)) for g in workload.groups
        )
        memcg_of_class = np.append(memcg_of_class, np.zeros(n - memcg_of_class.size, np.int64))
        self.arrays = Access(first, table, np.zeros(n, np.uint64), False, self.key, np.ones(n, np.uint8), memcg_of_class)
        self._entered, self._entered_plain = (0, 0), False
        self._rates: tuple[int, int, npt.NDArray[np.float64]] = (0, 0, np.zeros(0))
        self.enter(0)

    def with_seed(self, seed: int) -> AccessTable:
        """Return a table for the same workload that stands at tick 0 and whose touches follow from another seed."""
        out = copy.copy(self)
        out.key = np.uint64(mixed(seed ^ 0xA5A5))
        out.arrays = replace(self.arrays, key=out.key)
        out._entered = (0, 0)
        out.enter(0)
        return out

    @property
    def page_class(self) -> npt.NDArray[np.uint16]:
        """Class of every page, uint16 (n_pages,), made anew at every call: pages keep their class in their record."""
        return np.repeat(np.array([c for _, c in self.runs], np.uint16), [n for n, _ in self.runs])

    def _folios(self, touched_by: list[list[Group]]) -> Iterator[tuple[int, int, int, int]]:
        """Yield what `folios` lists, and add the groups of each class of folios to those of classes of pages."""
        groups, number = self.workload.groups, dict[tuple[tuple[int, int], ...], int]()
        edges = np.cumsum([0, *(n for n, _ in self.runs)]).tolist()

        def touches(lo: int, hi: int) -> tuple[tuple[int, int], ...]:
            """Which groups touch something of pages lo … hi - 1, and (rates, swept periods) how many of them."""
            found: dict[int, int] = {}
            for k in range(bisect_right(edges, lo) - 1, bisect_left(edges, hi)):
                for i in self._touching[self.runs[k][1]]:
                    pages = len(groups[i].touched(max(lo, edges[k]), min(hi, edges[k + 1])))
                    each = groups[i].kind == "rate" or groups[i].sweep_ticks > 0
                    found[i] = found.get(i, 0) + pages if each else max(found.get(i, 0), min(pages, 1))
            return tuple(sorted((i, n) for i, n in found.items() if n))

        for run in folio_runs(self.workload):
            n, lo = 1 << run.order, run.lo
            while lo < run.hi:
                k = bisect_right(edges, lo) - 1
                alike = max((min(edges[k + 1], run.hi) - lo) // n, 1)
                if alike > 1 and any(groups[i].touched().step > 1 for i in self._touching[self.runs[k][1]]):
                    alike = 1
                key = touches(lo, lo + n)
                if key not in number:
                    number[key] = len(touched_by)
                    touched_by.append([self._of_folio(groups[i], pages) for i, pages in key])
                    self._pages_of_folio.append(tuple(pages for _, pages in key))
                    self._of_rule += [i for i, _ in key]
                    if len(touched_by) > 65536:
                        text = "form more than 65535 classes of pages and folios"
                        raise InputError("workload.groups", text, "use fewer, larger groups")
                yield lo, lo + alike * n, run.order, number[key]
                lo += alike * n

    def seen_groups(self) -> list[Group]:
        """Return the groups as accessed bits show them: a folio is touched as often as all of its pages are."""
        out, at, end = [], 0, self.workload.n_pages
        for lo, hi, _, cls in [*self.folios, (end, end, 0, 0)]:
            single = [(g, g.touched(at, lo)) for g in (self.workload.groups if at < lo else ())]
            out += [g.replace(lo=pages.start, hi=pages.stop) for g, pages in single if pages]
            out += [g.replace(lo=lo, hi=hi) for g in (self._touched_by[cls] if lo < hi else ())]
            at = hi
        return out

    def seen_rate_hz(self, rates: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return how often each class's pages look touched, on average, where folios show the touches of all their pages.

        Parameters
        ----------
        rates : ndarray of float64, shape (n, n_classes)
            Touches per second of each class's pages.

        Returns
        -------
        ndarray of float64, shape (n, n_classes)
        """
        edges = np.cumsum([0, *(n for n, _ in self.runs)]).tolist()
        pages = np.bincount([c for _, c in self.runs], [n for n, _ in self.runs], rates.shape[1])
        alone, shown = pages.copy(), np.zeros_like(rates)
        for lo, hi, order, _ in self.folios:
            n, of_class = 1 << order, dict[int, int]()
            for k in range(bisect_right(edges, lo) - 1, bisect_left(edges, lo + n)):
                c = self.runs[k][1]
                of_class[c] = of_class.get(c, 0) + min(lo + n, edges[k + 1]) - max(lo, edges[k])
            total = sum(rates[:, c] * k for c, k in of_class.items())
            for c, k in of_class.items():
                alone[c] -= k * ((hi - lo) >> order)
                shown[:, c] += total * (k * ((hi - lo) >> order))
        return np.asarray((shown + rates * alone) / np.maximum(pages, 1))

    @staticmethod
    def _of_folio(g: Group, pages: int) -> Group:
        """Return a group as it touches a folio of which it touches so many pages: their rates add up."""
        return g.replace(rate_hz=g.rate_hz * pages) if g.kind == "rate" else g.replace(stride=1)

    def _rule(self, g: Group, pages: int = 1) -> tuple[int, ...]:
        threshold = rate_threshold(g.rate_hz, self.tick_us * g.period) if g.kind == "rate" else g.threshold
        when = g.start_tick, g.end_tick, threshold, g.period, g.phase
        return (_KIND[g.kind], *when, g.stride, g.lo, g.salt, g.hi - g.lo, g.sweep_ticks, pages)

    def enter(self, tick: int) -> int:
        """Prepare for checks of ticks from `tick` on; return the first later tick at which rules change.

        While each class has at most one plain rate in force the kernels need a single table look-up per check. The
        shortcut answers as the general rules do, for it is taken only where that rate has slot 0.
        """
        if self._entered[0] <= tick < self._entered[1]:
            if self.arrays.plain == self._entered_plain:
                return self._entered[1]
            self.arrays = replace(self.arrays, plain=self._entered_plain)
            return self._entered[1]
        at = bisect_right(self.changes, tick)
        until = self.changes[at] if at < len(self.changes) else 2**62
        since = self.changes[at - 1] if at else -(2**62)
        a, rules = self.arrays, self._rules
        threshold = np.zeros_like(a.threshold)
        active = (rules["start"] <= tick) & (tick < rules["end"])
        first, other = active & (rules["slot"] == 0), active & (rules["slot"] != 0)
        plain = self._plain_possible and not bool(other.any())
        threshold[self._class_of_rule[first]] = self._plain_of_rule[first]
        threshold[self._class_of_rule[other]] = 0
        self.arrays = replace(a, threshold=threshold, plain=plain)
        self._entered, self._entered_plain = (since, until), plain
        return until

    def own_rules(self) -> npt.NDArray[np.int64]:
        """Let this table have rules and thresholds for itself, in arrays that a kernel writes; return the group of each rule.

        See `kernels.coupled`, and `slowed` for what is to be done after it wrote.
        """
        a = self.arrays
        self.arrays = replace(a, rule=a.rule.copy(), threshold=a.threshold.copy())
        self._rules = self.arrays.rule[: len(self._of_rule)]
        self._plain_of_rule, self._rate_of_rule = self._rules["threshold"], self._rate_of_rule.copy()
        return np.array(self._of_rule, np.int64)

    @property
    def full_rates_hz(self) -> npt.NDArray[np.float64]:
        """Touches per second of each rule as its group says, float64 (rules,), made anew at every call."""
        return np.array([g.rate_hz for groups in self._touched_by for g in groups])

    @property
    def class_of_rule(self) -> npt.NDArray[np.int64]:
        """Class of each rule, those of folios after those of pages, int64 (rules,); read only."""
        return self._class_of_rule

    def slowed(self, rates_hz: npt.NDArray[np.float64]) -> None:
        """Note the touches per second of each rule that thresholds were made of, float64 (rules,)."""
        self._rate_of_rule[:] = rates_hz[: self._rate_of_rule.size]
        self._rates = (0, 0, np.zeros(0))

    def general(self) -> None:
        """Prepare for checks that reach across a change of rules."""
        self.arrays = replace(self.arrays, plain=False)

    @property
    def class_names(self) -> list[str]:
        """Name of each class: its groups' names joined (``"untouched"`` without any), and its memory cgroup's id."""
        groups = self.workload.groups
        return [
            ("+".join(dict.fromkeys(groups[i].name or f"group{i}" for i in members)) or "untouched")
            + (f" in memcg {memcg}" if memcg else "")
            for members, memcg in zip(self.groups_of_class, self.arrays.memcg.tolist(), strict=False)  # then those of folios
        ]

    def touch_rate_hz(self, tick: int) -> npt.NDArray[np.float64]:
        """Expected touches per second of each class's pages, their mean, around `tick`, float64 (n_classes,); read only."""
        return self.touch_rates_hz(tick)[2]

    def touch_rates_hz(self, tick: int) -> tuple[int, int, npt.NDArray[np.float64]]:
        """Return `touch_rate_hz` with the ticks from which on and before which it holds."""
        since, until, out = self._rates
        if not since <= tick < until:
            at = bisect_right(self.changes, tick)
            since = self.changes[at - 1] if at else -(2**62)
            until = self.changes[at] if at < len(self.changes) else 2**62
            rules, n = self._rules[: self._rate_of_rule.size], len(self.groups_of_class)  # of pages, without those of folios
            active = np.flatnonzero((rules["start"] <= tick) & (tick < rules["end"]))
            # bincount adds in the order of the rules, one after the other: the sum does not depend on how many there are.
            out = np.bincount(self._class_of_rule[active], self._rate_of_rule[active], n).astype(np.float64)
            self._rates = since, until, out
        return self._rates

    def _rates_of_rules(self) -> npt.NDArray[np.float64]:
        """Return the touches per second that each rule adds to a page of its class, on average where it has a stride."""
        groups, members = self.workload.groups, self._touching
        rates = [groups[i].touch_rate_hz(self.tick_us) for of_class in members for i in of_class]
        if any(g.stride > 1 and g.kind == "period" for g in groups):
            pages, touched, lo = [0] * len(members), [[0] * len(of_class) for of_class in members], 0
            for n, c in self.runs:
                pages[c] += n
                touched[c] = [k + len(groups[i].touched(lo, lo + n)) for k, i in zip(touched[c], members[c], strict=True)]
                lo += n
            shares = [k and pages[c] / k for c, of_class in enumerate(touched) for k in of_class]
            rates = [rate / share if share else 0.0 for rate, share in zip(rates, shares, strict=True)]
        return np.array(rates)
