"""What lies behind a pair outside its band: the same run with one mechanism changed."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from ..interop.recording import Recording
from .bands import Pair, band, crps
from .recorded_model import Mechanisms, tuned
from .recorded_runs import Measured

DAMON_FIXED, CPUS_FIXED = "DAMON's draws alike in all seeds", "migrating CPUs alike in all seeds"


def variants(recording: Recording) -> dict[str, Mechanisms]:
    """Return the experiments of a run by what they change; those that change nothing in it are left out."""
    goals = [g for c in recording.contexts for s in c.schemes for g in s.quota.goals]
    lists = any(g.metric in ("node_mem_used_bp", "node_mem_free_bp") for g in goals)
    moves = any(s.action.startswith("migrate") for c in recording.contexts for s in c.schemes)
    virtual = any(c.ops != "paddr" for c in recording.contexts)
    out = {
        ("sleeps as long as told" if tuned(recording) else "nominal intervals"): Mechanisms(recorded_intervals=False),
        "no missed ticks": Mechanisms(recorded_rates=False),
        DAMON_FIXED: Mechanisms(damon_seed=1),
    }
    if lists:
        out["MemFree without lag"] = Mechanisms(page_lists=False)
        out[CPUS_FIXED] = Mechanisms(cpu_seed=1)
    if moves and not virtual:
        out["last freed frame reused first"] = Mechanisms(allocator="lifo")
        out["first freed frame reused first"] = Mechanisms(allocator="fifo")
    if not virtual:
        out["half of the other memory visible to DAMON"] = Mechanisms(lru_share_of_other=0.5)
    return out


def cause(pair: Pair, model: Measured, tried: Mapping[str, Measured]) -> str:
    """Return what the experiments say about a pair outside.

    Parameters
    ----------
    pair : Pair
        Not inside.
    model : mapping of str to float array
        The run's measures by seed.
    tried : mapping of str to mapping
        The same under each of `variants`.

    Returns
    -------
    str
        Of a band that is too wide: the source of randomness whose removal narrows it most. Else the change under which
        the recorded value is best predicted, with the band it gives; and how many seeds lie beyond the recorded value.
    """
    bands = {name: band(measured[pair.measure]) for name, measured in tried.items()}
    if math.isnan(pair.low):
        return "most seeds do not have the measure"
    if not pair.sharp:
        fixed = {name: bands[name][1] - bands[name][0] for name in (DAMON_FIXED, CPUS_FIXED) if name in bands}
        least = min(fixed, key=fixed.__getitem__)
        others = {n: b[1] - b[0] for n, b in bands.items() if n not in fixed}
        narrowest = min(others, key=others.__getitem__)
        said = f"band too wide: {pair.width:.4g}, with {least} {fixed[least]:.4g}"
        return f"{said}, with {narrowest} {others[narrowest]:.4g}"
    values = model[pair.measure]
    above = pair.recorded > pair.high
    beyond = int(np.sum(values >= pair.recorded) if above else np.sum(values <= pair.recorded))
    scores = {
        name: crps(measured[pair.measure], pair.recorded) for name, measured in tried.items()
        if not math.isnan(bands[name][0]) and np.isfinite(measured[pair.measure]).all()
    }  # fmt: skip
    said = f"{beyond} of {values.size} seeds lie {'above' if above else 'below'}"
    if not scores:
        return said
    best = min(scores, key=scores.__getitem__)
    low, high = bands[best]
    holds = "which holds it" if low <= pair.recorded <= high else "which does not hold it either"
    if scores[best] >= pair.crps:
        return f"{said}; no change predicts it better, nearest '{best}' with {low:.4g} … {high:.4g}"
    return f"{said}; with '{best}' the band is {low:.4g} … {high:.4g}, {holds}"
