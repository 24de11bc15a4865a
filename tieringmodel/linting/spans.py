"""Spans of addresses, and what of them a scheme's core filters let pass."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

from ..damon.table import default_rejects, split_filters
from ..scenario import Filter, Scheme

Spans = list[tuple[int, int]]


def clip(spans: Iterable[tuple[int, int]], lo: int, hi: int) -> Spans:
    """Return what the spans have inside lo … hi."""
    return [(max(a, lo), min(b, hi)) for a, b in spans if max(a, lo) < min(b, hi)]


def passing_spans(scheme: Scheme, monitored: Spans, unit: int, step: int) -> Spans:
    """Return what of the monitored spans passes a scheme's core filters (docs/theory/damon.md, sections d.4 and d.5).

    Parameters
    ----------
    scheme : Scheme
        The scheme; of a context's targets, only the first is looked at.
    monitored : list of (int, int)
        Bytes.
    unit, step : int
        ``addr_unit``, and the smallest region in core addresses to which filters' bounds are rounded down.
    """
    core, _ = split_filters(scheme.filters)
    bounds: dict[int, tuple[int, int]] = {
        k: ((f.start_bytes - f.start_bytes % step) * unit, (f.end_bytes - f.end_bytes % step) * unit)
        for k, f in enumerate(core)
        if f.type == "addr"
    }

    def hits(k: int, f: Filter, lo: int, hi: int) -> bool:
        inside = bounds[k][0] <= lo and hi <= bounds[k][1] if k in bounds else f.target_idx == 0
        return inside == f.matching

    edges = {e for span in monitored for e in span} | {e for pair in bounds.values() for e in pair}
    out: Spans = []
    for lo, hi in pairwise(sorted(edges)):
        decisive = next((f for k, f in enumerate(core) if hits(k, f, lo, hi)), None)
        if clip(monitored, lo, hi) and (decisive.allow if decisive else not default_rejects(scheme.filters)[0]):
            out.append((lo, hi))
    return out
