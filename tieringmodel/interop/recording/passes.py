"""When the last sample of each recorded aggregation was: what a pass over the regions takes comes behind it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .tables import Table


def last_samples_us(ends_us: Sequence[int], applies: Table | None, schemes: Sequence[int]) -> tuple[int, ...]:
    """Return when each aggregation's last sample was, in microseconds like `ends_us`; () where the record does not tell.

    Linux tells of an aggregation (``damon_aggregated``) when its schemes have acted, so time that they took lies between the
    last sample and that. How much it was nobody says: samples are taken to last as long as in the aggregation before in
    which no scheme did anything, the first such one where there is none before. In E3 one without lasts 145 ms, and one in
    which 8 MiB migrate 301 ms (medians).

    Parameters
    ----------
    ends_us : sequence of int
        Ends of aggregations, ascending.
    applies : Table or None
        Statistics of schemes, cumulative: ``t_ms``, ``scheme``, ``sz_applied``.
    schemes : sequence of int
        Schemes whose action takes time.
    """
    if applies is None or not schemes:
        return ()
    ends = np.array((0, *ends_us), np.int64)
    lasts, acted = np.diff(ends), np.zeros(len(ends_us), np.bool_)
    for scheme in schemes:
        mine = np.flatnonzero(np.asarray(applies["scheme"]) == scheme)
        applied = np.asarray(applies["sz_applied"], np.float64)[mine]
        at_us = np.asarray(applies["t_ms"], np.float64)[mine[np.diff(applied, prepend=0.0) > 0]] * 1_000
        found = np.searchsorted(ends, at_us, side="left") - 1
        acted[found[(found >= 0) & (found < acted.size)]] = True
    idle = np.flatnonzero(~acted)
    if not idle.size or not acted.any():
        return ()
    before = np.maximum(np.searchsorted(idle, np.arange(acted.size), side="right") - 1, 0)
    sampled = np.where(acted, np.minimum(lasts, lasts[idle[before]]), lasts)
    return tuple((ends[:-1] + sampled).tolist())
