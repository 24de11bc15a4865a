"""Contexts that learn of accesses from other sources than accessed bits: reports on pages become counts of regions.

The RFC's "multiple hotness sources", put where DAMON puts accessed bits: whoever reports that a page of a region was
touched during a sampling interval makes that region's ``nr_accesses`` grow by one, once per interval, however many
reports and sources say so. Ageing, merging, splitting and schemes stay as they are (docs/theory/rfc.md, section 5).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ..damon.kdamond import Kdamond
from ..errors import InputError
from ..hotness import Activity, HotnessSource, source
from ..hotness.protocol import check_reports
from ..kernels.layout import FAULTED, LOW32, NO_FRAME, RECLAIMED
from ..scenario import Context, SourceOfHotness
from ..workload.truth import page_rates

Ints = npt.NDArray[np.int64]
_SETTING = re.compile(r"\s*(\w+)\s*=\s*(\S.*?)\s*")


def made(configured: SourceOfHotness, where: str) -> HotnessSource:
    """Return a fresh source from its name and ``"parameter = value"`` settings.

    Raises
    ------
    InputError
        If a setting is not understood, or the source does not know it.
    """
    parameters: dict[str, Any] = {}
    for i, setting in enumerate(configured.settings):
        match = _SETTING.fullmatch(setting)
        if match is None:
            raise InputError(f"{where}.settings[{i}]", f"{setting!r} is no setting", "write 'scan_bytes = 256 MiB'")
        name, text = match.groups()
        parameters[name] = int(text) if re.fullmatch(r"\d+", text) else _number(text)
    try:
        return source(configured.name, **parameters)
    except InputError as error:
        raise error.under(where) from None


def _number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


class ReportedKdamond(Kdamond):
    """A kdamond whose regions count reports of sources in place of accessed bits.

    Physical contexts show their sources all frames in address order, virtual ones the mapped pages in order of the
    mappings; pages are touched as Poisson processes at their expected rates. What a source can only report later counts
    when it is reported. Of a lone context they are shown all samples up to an event together, and none of those whose event
    the end of the run cuts off: so a run that goes on is the one that never stopped.

    Parameters
    ----------
    context : Context
        With one or more ``sources``.
    index : int
        Position among the scenario's contexts.
    *rest : Any
        As for `Kdamond`.
    seed : int
        With the context's index the key of the sources' draws.
    tick_us : int
        Length of a workload tick.

    Attributes
    ----------
    cost_ns : list of float
        CPU time that each source took.
    reports, lost : list of int
        Reports that each source delivered and lost.
    """

    def __init__(self, context: Context, index: int, *rest: Any, seed: int, tick_us: int) -> None:
        super().__init__(context, index, *rest)
        self.sources = [made(s, f"contexts[{index}].sources[{k}]") for k, s in enumerate(context.sources)]
        self.tick_us, self._draws = tick_us, np.random.default_rng([seed, index])
        self.cost_ns = [0.0] * len(self.sources)
        self.reports, self.lost = [0] * len(self.sources), [0] * len(self.sources)
        self._waiting: list[tuple[Ints, Ints, Ints]] = []
        self._known: tuple[tuple[int, int], npt.NDArray[np.float64], Ints] | None = None
        order = np.argsort(self.space.base)
        self._first, self._base = self.space.first[order], self.space.base[order]
        self._length = (self.space.last - self.space.first)[order]

    def state(self) -> dict[str, Any]:
        """Refuse: sources may be anybody's."""
        text = "keep a state of their own that no file can hold"
        raise InputError(f"contexts[{self.index}].sources", text, "run without checkpoint, or with accessed bits")

    def sample(self, after: Ints, until: Ints) -> None:
        """Count the reports of each window (`after`, `until`] of workload ticks."""
        self._look(int(after[0]), until)
        self.passed += after.size
        self.tick = int(until[-1])

    def prepare(self) -> None:
        """Do nothing: no accessed bit is cleared."""

    def check(self, tick: int) -> None:
        """Count the reports since the last check."""
        self.sample(np.array([self.tick], np.int64), np.array([tick], np.int64))

    def _look(self, after: int, until: Ints) -> None:
        end_us = int(until[-1]) * self.tick_us
        if int(until[-1]) > after:
            rate, node = self._truth(int(until[-1]))
            seen = Activity(rate, node, after * self.tick_us, end_us - after * self.tick_us)
            for k, one in enumerate(self.sources):
                found = check_reports(one.observe(seen, self._draws), rate.size)
                self.cost_ns[k] += found.cost_ns
                self.reports[k] += found.first.size
                self.lost[k] += found.lost
                self._waiting.append((found.first, found.pages, found.time_us))
        first, pages, time_us = (np.concatenate([w[i] for w in self._waiting] or [np.zeros(0, np.int64)]) for i in range(3))
        due = time_us <= end_us
        self._waiting = [(first[~due], pages[~due], time_us[~due])]
        self._count(first[due], pages[due], np.searchsorted(until * self.tick_us, time_us[due]))

    def _truth(self, tick: int) -> tuple[npt.NDArray[np.float64], Ints]:
        """Return touches per second and node of everything the sources see; the same objects while nothing changed."""
        m = self.memory.arrays
        version = int(m.node["migrated_in"].sum() + m.swap[RECLAIMED] + m.swap[FAULTED]), self.access.enter(tick)
        if self._known is None or self._known[0] != version:
            workload = self.access.workload
            rates = np.append(page_rates(workload, tick, self.tick_us), 0.0)  # the last one: no page, or the page cache's
            frame = self.memory.frame_of[self._pages()].astype(np.int64) if self.space.virtual else np.arange(m.rec.size)
            record = np.where(frame == NO_FRAME, 0, m.rec[np.where(frame == NO_FRAME, 0, frame)])
            page = (record & LOW32).astype(np.int64) - 1  # -1 on a free frame, whose record may link to the next one
            rate = rates[np.minimum(page, workload.n_pages)]
            node = self.memory.nids[np.searchsorted(m.base, frame, side="right") - 1]
            self._known = version, rate, node
        return self._known[1], self._known[2]

    def _pages(self) -> Ints:
        """Return the logical pages of the mappings, in the order of `_base`."""
        return np.concatenate([np.arange(b, b + n) for b, n in zip(self._base, self._length, strict=True)])

    def _count(self, first: Ints, pages: Ints, window: npt.NDArray[np.intp]) -> None:
        """Add one to each region for each window in which a report touches it."""
        low, high = self._addresses(first, pages)
        regions, n = self.regions, self.regions.n
        start, end = regions.now.start[:n].astype(np.int64), regions.now.end[:n].astype(np.int64)
        pairs: list[Ints] = []
        for a, b in zip(regions.ptr[:-1], regions.ptr[1:], strict=True):
            left = np.searchsorted(end[a:b], low, side="right") + a
            right = np.searchsorted(start[a:b], high, side="left") + a
            count = np.maximum(right - left, 0)
            step = np.arange(int(count.sum())) - np.repeat(np.cumsum(count) - count, count)
            pairs.append((np.repeat(window, count) * n + np.repeat(left, count) + step).astype(np.int64))
        hit = np.unique(np.concatenate(pairs)) % max(n, 1)
        regions.now.nr[:n] += np.bincount(hit, minlength=n).astype(np.uint32)

    def _addresses(self, first: Ints, pages: Ints) -> tuple[Ints, Ints]:
        """Return the core addresses (from, up to) of runs of what the sources see; runs end where their range does."""
        if self.space.virtual:
            offset = np.concatenate(([0], np.cumsum(self._length)))
            k = np.searchsorted(offset, first, side="right") - 1
            at = first - offset[k]
        else:
            k = np.searchsorted(self._base, first, side="right") - 1
            at = first - self._base[k]
        stop = np.minimum(at + pages, self._length[k])
        shift, unit = int(self.space.shift), int(self.space.unit)
        low = ((self._first[k] + np.minimum(at, stop)) << shift) // unit
        return low, ((self._first[k] + stop) << shift) // unit


def costs(kdamonds: Sequence[Kdamond], contexts: Sequence[Context]) -> list[dict[str, Any]]:
    """Return what each source of each context cost, as plain data."""
    return [
        {"context": i, "source": s.name, "cost_ns": k.cost_ns[j], "reports": k.reports[j], "lost": k.lost[j]}
        for i, (k, c) in enumerate(zip(kdamonds, contexts, strict=True))
        if isinstance(k, ReportedKdamond)
        for j, s in enumerate(c.sources)
    ]
