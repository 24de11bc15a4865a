"""From a workload's groups to the tables that access kernels read."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from ..kernels.layout import HASH, PERIOD, RATE, RULE, Access
from ..kernels.random import mix64
from ..scenario import Group, Workload

_KIND = {"rate": RATE, "period": PERIOD, "hash": HASH}


def rate_threshold(rate_hz: float, tick_us: int) -> int:
    """Probability of at least one touch in a tick, in units of 2**-32: ``1 - exp(-rate * tick)`` (Poisson thinning)."""
    return round(-math.expm1(-rate_hz * tick_us * 1e-6) * 2**32)


def _slots(groups: list[Group]) -> list[int]:
    """Number groups so that those in force at the same time differ; a group that is alone gets 0."""
    slots: list[int] = []
    for g in groups:
        busy = {
            slot
            for slot, other in zip(slots, groups, strict=False)
            if other.start_tick < g.end_tick and g.start_tick < other.end_tick
        }
        slots.append(next(k for k in range(len(groups)) if k not in busy))
    return slots


class AccessTable:
    """Access classes of pages, and the rules of each class.

    Pages touched by the same groups share a class; class 0 is touched by nobody. A phase change is a change of rules,
    not of pages.

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
    page_class : ndarray of uint16, shape (n_pages,)
    groups_of_class : list of tuple of int
        Indices of the groups that touch a class.
    """

    def __init__(self, workload: Workload, tick_us: int, seed: int, plain: bool = True) -> None:
        self.workload, self.tick_us = workload, tick_us
        edges = sorted({0, workload.n_pages, *(e for g in workload.groups for e in (g.lo, g.hi))})
        self.groups_of_class: list[tuple[int, ...]] = [()]
        number: dict[tuple[int, ...], int] = {(): 0}
        self.page_class = np.zeros(workload.n_pages, np.uint16)
        for lo, hi in zip(edges, edges[1:], strict=False):
            key = tuple(i for i, g in enumerate(workload.groups) if g.lo <= lo and hi <= g.hi)
            if key not in number:
                number[key] = len(self.groups_of_class)
                self.groups_of_class.append(key)
            if number[key] > 65535:
                raise InputError("workload.groups", "form more than 65535 classes of pages", "use fewer, larger groups")
            self.page_class[lo:hi] = number[key]
        self.key = np.uint64(mix64(np.uint64(seed % 2**64) ^ np.uint64(0xA5A5)))
        first = np.zeros(len(self.groups_of_class) + 1, np.int64)
        rules = []
        for c, members in enumerate(self.groups_of_class):
            slots = _slots([workload.groups[i] for i in members])
            rules += [(*self._rule(workload.groups[i]), slot) for i, slot in zip(members, slots, strict=True)]
            first[c + 1] = len(rules)
        table = np.zeros(max(len(rules), 1), RULE)
        for i, row in enumerate(rules):
            table[i] = row
        n = len(self.groups_of_class)
        self.changes = sorted({t for g in workload.groups for t in (g.start_tick, g.end_tick) if 0 < t < 2**62})
        self._plain_possible = (plain or not self.changes) and all(
            g.kind == "rate" or (g.kind == "period" and g.period == g.stride == 1) for g in workload.groups
        )
        anon, memcg = np.ones(n, np.uint8), np.zeros(n, np.int64)
        self.arrays = Access(first, table, np.zeros(n, np.uint64), False, self.key, anon, memcg)
        self.enter(0)

    def _rule(self, g: Group) -> tuple[int, ...]:
        threshold = rate_threshold(g.rate_hz, self.tick_us) if g.kind == "rate" else g.threshold
        return (_KIND[g.kind], g.start_tick, g.end_tick, threshold, g.period, g.phase, g.stride, g.lo, g.salt)

    def enter(self, tick: int) -> int:
        """Prepare for checks of ticks from `tick` on; return the first later tick at which rules change.

        While each class has at most one plain rate in force the kernels need a single table look-up per check. The
        shortcut answers as the general rules do: the first rule in force always has slot 0.
        """
        until = next((t for t in self.changes if t > tick), 2**62)
        a = self.arrays
        threshold = np.zeros_like(a.threshold)
        plain = self._plain_possible
        for c, members in enumerate(self.groups_of_class):
            groups = self.workload.groups
            active = [i for i in members if groups[i].start_tick <= tick < groups[i].end_tick]
            if len(active) > 1:
                plain = False
            elif active:
                group = self.workload.groups[active[0]]
                threshold[c] = 2**32 if group.kind == "period" else rate_threshold(group.rate_hz, self.tick_us)
        self.arrays = a._replace(threshold=threshold, plain=plain)
        return until

    def general(self) -> None:
        """Prepare for checks that reach across a change of rules."""
        self.arrays = self.arrays._replace(plain=False)

    @property
    def class_names(self) -> list[str]:
        """Name of each class: its groups' names joined, ``"untouched"`` for class 0."""
        groups = self.workload.groups
        return ["untouched"] + [
            "+".join(dict.fromkeys(groups[i].name or f"group{i}" for i in members))
            for members in self.groups_of_class[1:]
        ]

    def touch_rate_hz(self, tick: int) -> npt.NDArray[np.float64]:
        """Expected touches per second of a page of each class around `tick`, float64 (n_classes,)."""
        out = np.zeros(len(self.groups_of_class))
        for c, members in enumerate(self.groups_of_class):
            for i in members:
                g = self.workload.groups[i]
                if not g.start_tick <= tick < g.end_tick:
                    continue
                if g.kind == "rate":
                    out[c] += g.rate_hz
                elif g.kind == "period":
                    out[c] += 1e6 / self.tick_us / g.period / g.stride
                else:
                    out[c] += 1e6 / self.tick_us * g.threshold / 2**32
        return out
