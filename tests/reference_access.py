"""The access table as it was first written: every interval between edges asks every group, every class every other."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from tieringmodel.kernels.layout import HASH, PERIOD, RATE, RULE
from tieringmodel.workload.access import memcg_classes, rate_threshold


def slots_of(groups):
    """Number groups so that those in force at the same time differ; a group that is alone gets 0."""
    slots = []
    for g in groups:
        busy = {
            slot
            for slot, other in zip(slots, groups, strict=False)
            if other.start_tick < g.end_tick and g.start_tick < other.end_tick
        }
        slots.append(next(k for k in range(len(groups)) if k not in busy))
    return slots


class SlowTable:
    def __init__(self, workload, tick_us, plain=True):
        self.workload, self.tick_us = workload, tick_us
        edges = sorted({0, workload.n_pages, *(e for r in (*workload.groups, *workload.memcgs) for e in (r.lo, r.hi))})
        number = {((), 0): 0}
        self.page_class = np.zeros(workload.n_pages, np.uint16)
        for lo, hi in pairwise(edges):
            members = tuple(i for i, g in enumerate(workload.groups) if g.lo <= lo and hi <= g.hi)
            memcg = next((m.memcg_id for m in workload.memcgs if m.lo <= lo and hi <= m.hi), 0)
            self.page_class[lo:hi] = number.setdefault((members, memcg), len(number))
        self.groups_of_class = [members for members, _ in number]
        self.memcg = np.array([memcg for _, memcg in number], np.int64)
        self.memcg_classes = memcg_classes(workload.memcgs, self.memcg)
        self.slots = [slots_of([workload.groups[i] for i in members]) for members in self.groups_of_class]
        self.first = np.zeros(len(self.groups_of_class) + 1, np.int64)
        rules = []
        for c, (members, slots) in enumerate(zip(self.groups_of_class, self.slots, strict=True)):
            for i, slot in zip(members, slots, strict=True):
                g = workload.groups[i]
                threshold = rate_threshold(g.rate_hz, tick_us * g.period) if g.kind == "rate" else g.threshold
                kind = {"rate": RATE, "period": PERIOD, "hash": HASH}[g.kind]
                ended = max(workload.groups[j].end_tick for j in members[: members.index(i) + 1])
                begins = min(workload.groups[j].start_tick for j in members[members.index(i) :])
                own = (kind, g.start_tick, g.end_tick, threshold, g.period, g.phase, g.stride, g.lo, g.salt)
                rules.append((*own, g.hi - g.lo, g.sweep_ticks, 1, slot, ended, begins))
            self.first[c + 1] = len(rules)
        self.rule = np.zeros(max(len(rules), 1), RULE)
        for i, row in enumerate(rules):
            self.rule[i] = row
        self.changes = sorted({t for g in workload.groups for t in (g.start_tick, g.end_tick) if 0 < t < 2**62})
        self.plain_possible = (plain or not self.changes) and all(
            g.period == 1 and (g.kind == "rate" or (g.kind == "period" and g.stride == 1)) for g in workload.groups
        )

    def enter(self, tick):
        """(until, thresholds, plain) for checks of ticks from `tick` on."""
        until = next((t for t in self.changes if t > tick), 2**62)
        threshold = np.zeros(len(self.groups_of_class), np.uint64)
        plain = self.plain_possible
        groups = self.workload.groups
        for c, members in enumerate(self.groups_of_class):
            active = [
                (i, slot)
                for i, slot in zip(members, self.slots[c], strict=True)
                if groups[i].start_tick <= tick < groups[i].end_tick
            ]
            if any(slot for _, slot in active):
                plain = False
            elif active:
                group = groups[active[0][0]]
                threshold[c] = 2**32 if group.kind == "period" else rate_threshold(group.rate_hz, self.tick_us * group.period)
        return until, threshold, plain

    def touch_rate_hz(self, tick):
        out = np.zeros(len(self.groups_of_class))
        for c, members in enumerate(self.groups_of_class):
            for i in members:
                g = self.workload.groups[i]
                if not g.start_tick <= tick < g.end_tick:
                    continue
                if g.kind == "rate":
                    out[c] += g.rate_hz
                elif g.kind == "period":
                    pages = np.flatnonzero(self.page_class == c)
                    hit = ((pages - g.lo) % g.stride == 0).sum()
                    out[c] += 1e6 / self.tick_us / g.period / (pages.size / hit) if hit else 0.0
                else:
                    out[c] += 1e6 / self.tick_us * g.threshold / 2**32
        return out
