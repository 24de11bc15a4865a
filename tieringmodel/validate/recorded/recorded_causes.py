"""What lies behind a pair outside its band: the same run with one mechanism changed."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from ...interop.recording.scenario_of import Recording
from .bands import Pair, band, crps
from .recorded_kinds import migrates, tuned
from .recorded_measures import LATE
from .recorded_model import Mechanisms, reads_mem_free
from .recorded_runs import Measured

DAMON_FIXED, CPUS_FIXED = "DAMON's draws alike in all seeds", "migrating CPUs alike in all seeds"
_FIXED = (DAMON_FIXED, CPUS_FIXED)


def variants(recording: Recording) -> dict[str, Mechanisms]:
    """Return the experiments of a run by what they change; those that change nothing in it are left out."""
    virtual = any(c.ops != "paddr" for c in recording.contexts)
    out = {
        ("sleeps as long as told" if tuned(recording) else "nominal intervals"): Mechanisms(recorded_intervals=False),
        "no missed ticks": Mechanisms(recorded_rates=False),
        DAMON_FIXED: Mechanisms(damon_seed=1),
    }
    scenario = recording.to_scenario()
    if any(g.sweep_ticks for g in scenario.workload.groups):
        out["all pages of a tick touched at once"] = Mechanisms(turns=False)
    if any(c.aggr_sampled_us for c in scenario.contexts):
        out["samples until an aggregation's end"] = Mechanisms(passes=False)
    if scenario.machine.swap:
        out["no swap device"] = Mechanisms(swap=False)
    if reads_mem_free(recording.contexts):
        out["MemFree without lag"] = Mechanisms(page_lists=False)
        out["all migrations on one CPU"] = Mechanisms(roams=False)
        out[CPUS_FIXED] = Mechanisms(cpu_seed=1)
    if migrates(recording) and not virtual:
        out["lowest free frame first"] = Mechanisms(allocator="lowest")
    if migrates(recording) and not virtual and not (recording.info or {}).get("thp"):  # these hand out single frames
        out["last freed frame reused first"] = Mechanisms(allocator="lifo")
        out["first freed frame reused first"] = Mechanisms(allocator="fifo")
    if not virtual:
        out["half of the other memory visible to DAMON"] = Mechanisms(lru_share_of_other=0.5)
    return out


def cause(pair: Pair, recorded: Mapping[str, float], model: Measured, tried: Mapping[str, Measured]) -> str:
    """Return what the experiments say about a pair outside.

    Parameters
    ----------
    pair : Pair
        Not inside.
    recorded : mapping of str to float
        The run's recorded measures.
    model : mapping of str to float array
        The run's measures by seed.
    tried : mapping of str to mapping
        The same under each of `variants`.

    Returns
    -------
    str
        Of a band that is too wide: which source of randomness and which mechanism narrow it most when taken away. Else
        the change under which the recorded value is best predicted, with the band it gives, after how many seeds lie
        beyond the recorded value.
    """
    if math.isnan(pair.low):
        return "most seeds do not have the measure"
    bands = {name: band(measured[pair.measure]) for name, measured in tried.items()}
    if not pair.sharp:
        return f"band too wide, {_narrowing(bands, True)}, {_narrowing(bands, False)}"
    values = model[pair.measure]
    above = pair.recorded > pair.high
    beyond = int(np.sum(values >= pair.recorded) if above else np.sum(values <= pair.recorded))
    said = f"{beyond} of {values.size} seeds lie {'above' if above else 'below'}"
    late = recorded.get(pair.measure + LATE, math.nan)
    if math.isfinite(late):
        low, high = band(model[pair.measure + LATE])
        if low <= late <= high:
            said += f"; the start differs, for the second half alone {late:.4g} lies in {low:.4g} … {high:.4g}"
    scores = {
        name: crps(measured[pair.measure], pair.recorded)
        for name, measured in tried.items()
        if name not in _FIXED and np.isfinite(measured[pair.measure]).all()
    }
    if not scores:
        return said
    best = min(scores, key=scores.__getitem__)
    low, high = bands[best]
    holds = "which holds it" if low <= pair.recorded <= high else "which does not hold it either"
    better = f"with '{best}' the band is {low:.4g} … {high:.4g}, {holds}"
    return f"{said}; {better}" if scores[best] < pair.crps else f"{said}; no change predicts it better"


def _narrowing(bands: Mapping[str, tuple[float, float]], fixed: bool) -> str:
    """Return which change gives the narrowest band, and how wide that is: of the fixed draws, or of the mechanisms."""
    widths = {name: high - low for name, (low, high) in bands.items() if (name in _FIXED) == fixed}
    least = min(widths, key=widths.__getitem__)
    return f"{widths[least]:.4g} with '{least}'"
