"""What candidates are built from: a run, its verdict and its scenario."""

from __future__ import annotations

import math
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from ..scenario import AccessPattern
from ..verdicts.goal_course import GoalCourse, courses, share_key
from ..verdicts.judge import verdict
from ..verdicts.page_run import PageRun, SchemeRun
from ..verdicts.record import Verdict
from ..verdicts.scheme_facts import region_bytes
from ..verdicts.thresholds import RunThresholds

if TYPE_CHECKING:
    import xarray as xr

SEEN = 0.01
"""A count is seen if this part of the memory that is looked at has it, as a mean over snapshots."""


class Case:
    """A page-level run to be helped.

    Parameters
    ----------
    ds : xarray.Dataset
        Of kind "simulation".
    found : Verdict, optional
        The verdict on it, if it is known.
    """

    def __init__(self, ds: xr.Dataset, found: Verdict | None = None) -> None:
        self.ds, self.run = ds, PageRun(ds, RunThresholds())
        self.found = verdict(ds) if found is None else found
        self.scenario = self.run.scenario

    @cached_property
    def goals(self) -> list[GoalCourse]:
        """Every goal of every scheme that acts."""
        return [g for g in courses(self.run) if g.of.acts]

    @property
    def tail_s(self) -> float:
        """Start of the tail."""
        return float(self.found.numbers["tail_s"])

    def schemes(self, number: int | None) -> list[SchemeRun]:
        """Return the scheme of a number; all that act for None."""
        return [s for s in self.run.schemes if (s.acts if number is None else s.number == number)]

    def goals_of(self, one: SchemeRun) -> list[tuple[str, GoalCourse]]:
        """Return a scheme's goals with their paths."""
        mine = [g for g in courses(self.run) if g.of.number == one.number]
        return [(f"{one.path}.quota.goals.{k}", g) for k, g in enumerate(mine)]

    def path_of(self, goal: GoalCourse) -> str:
        """Return the path of a goal."""
        return next(path for path, g in self.goals_of(goal.of) if g.number == goal.number)

    def denominator_pages(self, goal: GoalCourse) -> float:
        """Return of how many pages a goal's value is a share."""
        key = share_key(goal.goal)
        if key and key[0] in ("used", "memcg") and goal.goal.nid in self.run.nids:
            at = self.run.nids.index(goal.goal.nid)
            return float((self.ds["used_pages"].values + self.ds["free_pages"].values)[-1, at])
        touched = self.ds["class_rate_hz"].values.any(axis=0)
        pages = self.ds["class_pages"].values[-1][:, touched].sum()
        return float(pages or self.run.n_pages)

    def quiet_bytes(self, one: SchemeRun) -> int:
        """Return a size quota, a power of two, whose step stays within half of the band of each of a scheme's goals."""
        steps = [g.band / 1e4 * self.denominator_pages(g) / 2 for _, g in self.goals_of(one) if g.is_share]
        pages = min(steps, default=self.run.n_pages / 200)
        least = max(region_bytes(one), self.run.page_bytes)
        return 1 << (max(int(pages * self.run.page_bytes), least).bit_length() - 1)

    def step_bp(self, goal: GoalCourse) -> float:
        """Return by how much a goal's value changed at most between two records of the tail."""
        values = goal.values[(self.run.time >= self.tail_s) & goal.evaluated]
        return float(np.abs(np.diff(values)).max(initial=0.0))

    def tail_values(self, goal: GoalCourse) -> list[float]:
        """Return a goal's values in the tail."""
        values: list[float] = goal.values[(self.run.time >= self.tail_s) & goal.evaluated].tolist()
        return values

    def start(self, goal: GoalCourse) -> float:
        """Return a goal's value when it was first evaluated; 0 if it never was."""
        return 0.0 if math.isnan(goal.start) else goal.start

    def seen(self, one: SchemeRun, name: str) -> int:
        """Return the largest access count or age that is seen in the regions that a scheme could take.

        Parameters
        ----------
        one : SchemeRun
            The scheme.
        name : {"nr_accesses", "age"}
            Which of both; ages are those of regions whose access count matches.
        """
        ds = self.ds
        n = ds["region_count"].values
        mine = np.repeat(ds["snapshot_context"].values == one.context_number, n)
        nr, age = ds["region_nr_accesses"].values[mine].astype(np.int64), ds["region_age"].values[mine].astype(np.int64)
        size = (ds["region_end"].values - ds["region_start"].values)[mine].astype(float)
        if not size.sum():
            return 0
        pattern: AccessPattern = one.scheme.access_pattern
        values = nr if name == "nr_accesses" else age
        fits = np.full(nr.size, True)
        if name == "age":
            fits = (nr >= pattern.min_nr_accesses) & (nr <= pattern.max_nr_accesses)
        order = np.argsort(-values[fits], kind="stable")
        held = np.cumsum(size[fits][order])
        enough = np.searchsorted(held, SEEN * size.sum())
        return int(values[fits][order][enough]) if enough < held.size else 0

    def covers(self, context: int, nid: int) -> bool:
        """Whether a context monitors all RAM of a node; False if there is no such node."""
        one, node = self.scenario.contexts[context], next((n for n in self.scenario.machine.nodes if n.nid == nid), None)
        if node is None:
            return False
        ranges = [(a * one.addr_unit, b * one.addr_unit) for t in one.targets for a, b in t.regions]
        return not ranges or all(any(a <= lo and hi <= b for a, b in ranges) for lo, hi in node.system_ram)

    def effect_at(self, one: SchemeRun, goal: GoalCourse, nid: int) -> int:
        """Return what a scheme's action would do to a goal if it were about another node."""
        from ..verdicts.goal_course import effect_of

        return effect_of(one, goal.goal.replace(nid=nid))
