"""Who is expected to look hot: the workload's groups turned into access counts of areas."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ..scenario import Attrs, Group, Scenario
from ..scenario.folios import folio_runs


class Touches(NamedTuple):
    """Areas of logical pages that the same groups touch, and pieces of time in which an area's nr_accesses stays.

    Area a is pages ``edges[a]`` … ``edges[a + 1]`` - 1. Piece k is about area ``area[k]`` in phases ``since[k]`` …
    ``until[k]`` - 1, in order of areas and then of phases; together they cover every area in every phase.
    """

    edges: np.ndarray
    """int64, in pages, from 0 to the end of the workload."""
    area: np.ndarray
    since: np.ndarray
    until: np.ndarray
    nr: np.ndarray
    """float64: the nr_accesses to expect."""

    def at(self, area: np.ndarray, phase: np.ndarray) -> np.ndarray:
        """Return the nr_accesses of areas, each in a phase."""
        phases = int(self.until.max(initial=1))
        piece = np.searchsorted(self.area * phases + self.since, area * phases + phase, side="right") - 1
        return np.asarray(self.nr[piece])

    def overlapping(self, lo: int, hi: int) -> range:
        """Return the areas that have something of pages lo … hi - 1."""
        first, last = np.searchsorted(self.edges, (lo, hi - 1), side="right") - 1
        return range(int(first), min(int(last) + 1, len(self.edges) - 1))


def touches_of(scenario: Scenario, attrs: Attrs, phases: tuple[int, ...]) -> Touches:
    """Return the areas that cover all logical pages, with the nr_accesses that these intervals can expect of each.

    A region's nr_accesses is taken as the number of samples times the probability that a sampling interval sees a page
    touched, by the groups that touch the area and by the time at which a phase begins (workload ticks). It changes only
    where a group of that area sets in or ends, so that many phases cost no more than the groups that make them. A folio of
    several pages is one area's page: it is touched where any of its pages is.
    """
    groups: Sequence[Group] = scenario.workload.groups
    if folio_runs(scenario.workload):
        from ..workload.access import AccessTable

        groups = AccessTable(scenario.workload, scenario.tick_us, 0).seen_groups()
    samples = max(attrs.aggr_us // attrs.sample_us, 1)
    edges = sorted({0, scenario.workload.n_pages, *(e for g in groups for e in (g.lo, g.hi))})
    index = {edge: k for k, edge in enumerate(edges)}
    inside: list[list[tuple[int, int, float]]] = [[] for _ in edges[1:]]
    tick_us = scenario.tick_us
    for g in groups:
        first, behind = bisect_left(phases, g.start_tick), bisect_left(phases, g.end_tick)
        if first < behind:
            part = first, behind, g.touch_probability(attrs.sample_us, tick_us)
            for k in range(index[g.lo], index[g.hi]):
                inside[k].append(part)
    pieces = [_missed(parts, len(phases)) for parts in inside]
    since, missed = (np.concatenate(column) for column in zip(*pieces, strict=True)) if pieces else (np.zeros(0, int),) * 2
    area = np.repeat(np.arange(len(pieces)), [len(p[0]) for p in pieces])
    until = np.append(since[1:], 0)
    until[until == 0] = len(phases)
    return Touches(np.array(edges), area, since, until[: len(since)], samples * (1.0 - missed))


def _missed(parts: list[tuple[int, int, float]], phases: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the phases at which the probability that nobody touches a page changes, and its values from there on."""
    since = sorted({0, *(p for part in parts for p in part[:2] if p < phases)})
    index = {p: k for k, p in enumerate(since)} | {phases: len(since)}
    missed = np.ones(len(since))
    for first, behind, chance in parts:
        missed[index[first] : index[behind]] *= 1 - chance
    return np.array(since), missed
