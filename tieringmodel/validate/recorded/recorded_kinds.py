"""Which kind of run a recording is: what is measured of it, what the model lacks for it, and what cannot be measured."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise

from ...errors import InputError
from ...interop.recording.scenario_of import Recording
from ...interop.recording.tables import Table

SHARE, SEGMENTS, OTHERS, PAGEOUT, MEMCGS = "share", "segments", "others", "pageout", "memcgs"
"""Migrates for a share; segments of different heat or folio size; others migrate, too; pages are taken out; filters or goals
name memory cgroups."""


def tables(recording: Recording) -> tuple[Table, Table]:
    """Return the periodic record and the layout.

    Raises
    ------
    InputError
        If the run lacks either, or the record has no two rows.
    """
    record, layout = recording.record, recording.layout
    if record is None or layout is None or record.n_rows < 2:
        raise InputError(str(recording.path), "has no layout.csv, or no record.csv of two rows", "complete the run")
    return record, layout


def migrates(recording: Recording) -> bool:
    """Whether any scheme of the run migrates."""
    return any(s.action.startswith("migrate") for c in recording.contexts for s in c.schemes)


def tuned(recording: Recording) -> bool:
    """Whether the run tunes its sampling interval, and says how."""
    on = any(c.attrs.intervals_goal.aggrs for c in recording.contexts)
    return on and recording.intervals is not None and recording.intervals.n_rows > 0


def kinds_of(recording: Recording) -> frozenset[str]:
    """Return what is measured of a run: any of `SHARE`, `SEGMENTS`, `OTHERS`, `PAGEOUT`, `MEMCGS`.

    Others migrate where ``info.txt`` has ``numa_balancing`` above 0. Segments are told apart there, where ``info.txt`` speaks
    of ``thp``, and where several kdamonds act on them.
    """
    info = recording.info or {}
    others = info.get("numa_balancing", 0) > 0
    out = {OTHERS} if others else {SHARE} if migrates(recording) else set()
    if others or "thp" in info or (len(recording.contexts) > 1 and migrates(recording)):
        out.add(SEGMENTS)
    if any(s.action == "pageout" for c in recording.contexts for s in c.schemes):
        out.add(PAGEOUT)
    if recording.memcg_paths:
        out.add(MEMCGS)
    return frozenset(out)


def lacks(recording: Recording) -> tuple[str, ...]:
    """Return what the recorded machine had and the model does not have, each in a few words."""
    mode = int((recording.info or {}).get("numa_balancing", 0))
    return () if mode in (0, 2) else (f"NUMA balancing in mode {mode}",)


def check_stride(recording: Recording) -> None:
    """Refuse a recorder's stride that asks only some of the pages that weights deal by offset.

    Page offsets modulo the sum of the weights say where a page goes (docs/theory/damon.md, section g.6): a stride with a common
    divisor asks for one part of them again and again.

    Raises
    ------
    InputError
        Naming the stride, and one that asks for all of them.
    """
    stride = int((recording.info or {}).get("stride", 1))
    for sum_of_weights in _dealt(recording):
        if math.gcd(stride, sum_of_weights) > 1:
            good = next(n for n in range(stride - 1, 0, -1) if math.gcd(n, sum_of_weights) == 1)
            text = (
                f"stride {stride} asks for one in {math.gcd(stride, sum_of_weights)} of the pages that weights deal by offset "
                f"modulo {sum_of_weights}, always the same"
            )
            raise InputError(str(recording.path / "info.txt"), text, f"record with stride {good}")


def _dealt(recording: Recording) -> Iterator[int]:
    settings = (recording.contexts, *(contexts for _, contexts in recording.changes))
    for contexts in settings:
        for context in contexts:
            if context.ops != "paddr":
                yield from (sum(d.weight for d in s.dests) for s in context.schemes if s.dests)


def stretches_s(recording: Recording) -> tuple[tuple[float, float], ...]:
    """Return the times in seconds between which nothing was committed; none if nothing was."""
    changed_ms = [float(at_ms) for at_ms, _ in recording.changes]
    edges = [0.0, *(at_ms / 1e3 for at_ms in sorted(changed_ms)), math.inf]
    return tuple(pairwise(edges)) if changed_ms else ()
