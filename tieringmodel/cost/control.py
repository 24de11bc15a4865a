"""CPU time of control: what a run's access checks, walks, copies and goal evaluations would have cost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ..checks import dataset, number, positive, whole
from ..errors import InputError
from ..scenario import Scenario, Scheme
from ..scenario.metrics import GoalMetric, metric_of
from ..scenario.numbering import START, numbered
from ..units import KIB, MIB, PAGE_SZ
from .constants import DEFAULT, ESTIMATES, Costs

if TYPE_CHECKING:
    import xarray as xr

BLOCK_SZ = 2 * MIB
COMPONENTS = ("access checks", "region upkeep", "migration walk", "copies", "goal metrics", "rmap walks")
OF_BALANCING = ("hint faults", "scan windows", "kswapd")
"""Components of runs with NUMA balancing, beside `COMPONENTS`."""
FOLIOS = {"4 KiB": ("copy_4k_us", PAGE_SZ), "64 KiB": ("copy_64k_us", 64 * KIB), "2 MiB": ("copy_2m_us", BLOCK_SZ)}


def walk_s(
    extent_bytes: int, costs: Costs = DEFAULT, *, populated_bytes: int | None = None, skip_empty_blocks: bool = False
) -> float:
    """Return how long one walk over physical memory takes, in seconds.

    Parameters
    ----------
    extent_bytes : int
        Bytes that are walked.
    costs : Costs
        ``frame_walk_ns`` and ``block_test_ns`` are used.
    populated_bytes : int, optional
        Bytes with frames to look at; by default all.
    skip_empty_blocks : bool
        Test each 2 MiB block and visit the frames of populated ones only. Linux 7.3.4 visits every frame.

    Returns
    -------
    float
        Frames times the walk per frame, plus blocks times the test per block if blocks are tested.

    Raises
    ------
    InputError
        If a size is negative or more is populated than there is.

    Examples
    --------
    >>> import tieringmodel as tm
    >>> round(tm.cost.walk_s(549 << 30), 2)
    5.76
    """
    extent_bytes = whole("extent_bytes", extent_bytes)
    populated = extent_bytes if populated_bytes is None else whole("populated_bytes", populated_bytes)
    if extent_bytes < 0 or not 0 <= populated <= extent_bytes:
        raise InputError("populated_bytes", f"{populated} is outside 0..{extent_bytes}", "keep it within the extent")
    if not skip_empty_blocks:
        return extent_bytes / PAGE_SZ * costs.frame_walk_ns.default * 1e-9
    tests = -(-extent_bytes // BLOCK_SZ) * costs.block_test_ns.default
    return (populated / PAGE_SZ * costs.frame_walk_ns.default + tests) * 1e-9


class WalkBudget(NamedTuple):
    """What a walk takes of an interval.

    Attributes
    ----------
    walk_s : float
        Seconds of one walk.
    share : float
        Of the interval; above 1 the walk does not fit.
    largest_bytes : int
        Most memory whose walk fits into the interval, every frame visited.
    """

    walk_s: float
    share: float
    largest_bytes: int


def walk_budget(
    extent_bytes: int,
    interval_us: float,
    costs: Costs = DEFAULT,
    *,
    populated_bytes: int | None = None,
    skip_empty_blocks: bool = False,
) -> WalkBudget:
    """Return what share of an interval one walk takes, and the largest memory that fits.

    Parameters
    ----------
    extent_bytes : int
        Bytes that are walked.
    interval_us : float
        A sampling interval, an application interval or a time budget, in microseconds.
    costs : Costs
        See `walk_s`.
    populated_bytes, skip_empty_blocks : int, bool
        See `walk_s`.

    Returns
    -------
    WalkBudget

    Raises
    ------
    InputError
        If a size or the interval is out of range, or a frame's walk costs nothing.

    Examples
    --------
    >>> import tieringmodel as tm
    >>> round(tm.cost.walk_budget(64 << 30, 1_000_000).share, 2)
    0.67
    """
    interval_ns = positive("interval_us", interval_us) * 1e3
    frames = int(interval_ns // positive("frame_walk_ns", costs.frame_walk_ns.default))
    taken = walk_s(extent_bytes, costs, populated_bytes=populated_bytes, skip_empty_blocks=skip_empty_blocks)
    return WalkBudget(taken, taken * 1e9 / interval_ns, frames * PAGE_SZ)


def migration_s(size_bytes: int, costs: Costs = DEFAULT, folio: str = "4 KiB") -> float:
    """Return how long one thread takes to migrate some memory.

    Parameters
    ----------
    size_bytes : int
        How much; a folio begun is a folio moved.
    costs : Costs
        Time per folio.
    folio : str
        ``"4 KiB"``, ``"64 KiB"`` or ``"2 MiB"``.

    Returns
    -------
    float
        Seconds.

    Raises
    ------
    InputError
        If the folio size has no published time.

    Examples
    --------
    >>> import tieringmodel as tm
    >>> round(tm.cost.migration_s(1 << 30), 3)
    0.325
    """
    if folio not in FOLIOS:
        raise InputError("folio", f"{folio!r} is unknown", "known: " + ", ".join(FOLIOS))
    name, size = FOLIOS[folio]
    return float(-(-number("size_bytes", size_bytes, 0) // size) * getattr(costs, name).default * 1e-6)


def control_window_s(reset_s: float, apply_s: float, busy_s: float = 0.0) -> float:
    """Return the real distance of two quota evaluations when each application keeps the kdamond busy.

    Parameters
    ----------
    reset_s : float
        Quota reset interval.
    apply_s : float
        Application interval: the grid on which a due evaluation is noticed.
    busy_s : float
        What the kdamond does beside sleeping in the tick of an evaluation: metric scans, walks, copies.

    Returns
    -------
    float
        ``busy + k * apply`` for the smallest k ≥ 1 with which that is at least the reset interval.

    Examples
    --------
    >>> import tieringmodel as tm
    >>> tm.cost.control_window_s(1.0, 0.3)
    1.2
    """
    apply_s, reset_s, busy_s = positive("apply_s", apply_s), number("reset_s", reset_s), number("busy_s", busy_s)
    steps = max(1, int(np.ceil((reset_s - busy_s) / apply_s - 1e-9)))
    return busy_s + steps * apply_s


def monitoring_share(nr_regions: float, sample_us: int, aggr_us: int, costs: Costs = DEFAULT) -> float:
    """Return what looking at regions costs, as a share of one CPU.

    Parameters
    ----------
    nr_regions : float
        Regions, each checked once per sampling interval and written down once per aggregation.
    sample_us, aggr_us : int
        The intervals.
    costs : Costs
        Constants.

    Returns
    -------
    float
        ``access checks`` and ``region upkeep`` of `control_cost`, per second.

    Raises
    ------
    InputError
        If an interval is not positive.

    Examples
    --------
    >>> import tieringmodel as tm
    >>> round(tm.cost.monitoring_share(1000, 5_000, 100_000), 3)
    0.097
    """
    per_s = [nr_regions * 1e6 / positive(name, us) for name, us in (("sample_us", sample_us), ("aggr_us", aggr_us))]
    counts = dict.fromkeys(("tried_frames", "migrated_bytes", "metric_frames", "counter_reads", "rmap_walks"), 0.0)
    seconds = _seconds({"checks": per_s[0], "region_records": per_s[1], **counts}, costs, 1, "4 KiB")
    return seconds["access checks"] + seconds["region upkeep"]


def control_cost(
    ds: xr.Dataset, costs: Costs = DEFAULT, *, metrics: str = "walk", mappings: int = 1, folio: str = "4 KiB"
) -> xr.Dataset:
    """Return what a run's control would have cost, in CPU seconds by component.

    Parameters
    ----------
    ds : xarray.Dataset
        From `tieringmodel.simulate`.
    costs : Costs
        Constants; the result has one column for each end of their ranges.
    metrics : {"walk", "counters"}
        Whether share goals (``node_eligible_mem_bp`` and its relatives) visit the page frames of matching regions, as
        Linux does, or read counters, as this model does. Other goals always read counters.
    mappings : int
        Page-table mappings per page: what one rmap walk visits.
    folio : str
        Folio size of the copies.

    Returns
    -------
    xarray.Dataset
        ``cpu_s(component, estimate)`` and ``cpu_share(component, estimate)`` of one CPU over the run, and their sums
        ``total_cpu_s(estimate)``, ``total_cpu_share(estimate)``; `estimate` is low, default, high. Attributes
        ``matching_bytes`` says how the frames of share goals were counted.

    Raises
    ------
    InputError
        If the dataset is no run of `simulate`, or an argument is out of range.

    Notes
    -----
    Access check: a frame look-up and an rmap walk, when the accessed state is cleared and when it is read. Migration walk:
    every frame of the regions tried. Copies: pages migrated, without those promoted in hint faults, which are part of these.
    The matching memory of a share goal is the mean over the run's region snapshots; without snapshots, all that its context
    monitors, which is an upper bound. Runs with NUMA balancing have `OF_BALANCING`, too.

    Examples
    --------
    >>> import tieringmodel as tm
    >>> ds = tm.simulate(tm.load("rfc-40-60"), duration="3 s", seed=1)
    >>> float(tm.cost.control_cost(ds)["total_cpu_share"].sel(estimate="default")) < 1
    True
    """
    import xarray as xr

    if (
        dataset("ds", ds, "pass what tieringmodel.simulate returned").attrs.get("kind") != "simulation"
        or "scenario" not in ds.attrs
    ):
        raise InputError("ds", "is no run of simulate()", "pass what tieringmodel.simulate returned")
    if metrics not in ("walk", "counters"):
        raise InputError("metrics", f"{metrics!r} is unknown", "write walk or counters")
    if folio not in FOLIOS:
        raise InputError("folio", f"{folio!r} is unknown", "known: " + ", ".join(FOLIOS))
    if mappings < 1:
        raise InputError("mappings", f"{mappings} is below 1", "write 1 or more")
    counts, how = _counts(ds, metrics)
    components = COMPONENTS + (OF_BALANCING if "numa_hint_faults" in ds else ())
    seconds = np.array([[_seconds(counts, costs.at(e), mappings, folio)[c] for e in ESTIMATES] for c in components])
    duration = float(ds.attrs["duration_s"])
    over = ("component", "estimate")
    share = {"units": "1", "long_name": "share of one CPU"}
    return xr.Dataset(
        {
            "cpu_s": (over, seconds, {"units": "s", "long_name": "CPU time of control"}),
            "cpu_share": (over, seconds / duration, share),
            "total_cpu_s": (over[1:], seconds.sum(axis=0), {"units": "s", "long_name": "CPU time of control, all components"}),
            "total_cpu_share": (over[1:], seconds.sum(axis=0) / duration, share),
        },
        coords={"component": list(components), "estimate": list(ESTIMATES)},
        attrs={"kind": "control_cost", "matching_bytes": how, "mappings": mappings, "folio": folio, "metrics": metrics},
    )


_COUNTED = ("pgpromote_success", "numa_hint_faults", "numa_pte_updates", "pgscan_kswapd")


def _seconds(counts: dict[str, float], costs: Costs, mappings: int, folio: str) -> dict[str, float]:
    frame_s, rmap_s = costs.frame_walk_ns.default * 1e-9, mappings * costs.rmap_walk_us.default * 1e-6
    name, size = FOLIOS[folio]
    balancing = {
        "hint faults": counts.get("refused_faults", 0.0) * costs.hint_fault_us.default * 1e-6
        + counts.get("promotions", 0.0) * costs.promote_stall_us.default * 1e-6,
        "scan windows": counts.get("armed_pages", 0.0) * costs.scan_page_ns.default * 1e-9,
        "kswapd": counts.get("kswapd_looks", 0.0) * costs.rmap_walk_us.default * 1e-6,
    }
    return balancing | {
        "access checks": counts["checks"] * 2 * (frame_s + rmap_s),
        "region upkeep": counts["region_records"] * costs.region_upkeep_ns.default * 1e-9,
        "migration walk": counts["tried_frames"] * frame_s,
        "copies": counts["migrated_bytes"] / size * getattr(costs, name).default * 1e-6,
        "goal metrics": counts["metric_frames"] * frame_s + counts["counter_reads"] * costs.counter_read_us.default * 1e-6,
        "rmap walks": counts["rmap_walks"] * rmap_s,
    }


def _counts(ds: xr.Dataset, metrics: str) -> tuple[dict[str, float], str]:
    scenario = Scenario.from_json(ds.attrs["scenario"], stored=True)
    step_us = np.diff(ds["time"].values, prepend=0.0)[:, None] * 1e6
    checks = (step_us / ds["sample_us"].values * ds["nr_regions"].values).sum() if ds.sizes["context"] else 0.0
    numbers, time = numbered(scenario), ds["time"].values
    walks = ds["scheme_action"].values != "stat"  # by scheme, and by time where it changes
    core = np.diff(ds["sz_tried"].values.astype(float), axis=0, prepend=0.0)
    units = np.ones(core.shape)
    for stage, now in enumerate(numbers.scenarios, START):
        units[time >= numbers.since_s(stage)] = [now.contexts[i].addr_unit for i, _, _ in numbers.schemes]
    tried_bytes = float((core * walks * units).sum())
    frames, reads, how = 0.0, 0.0, "no share goal"
    for g, (k, _, _) in enumerate(numbers.goals):
        context, place, _ = numbers.schemes[k]
        for stage, goal in numbers.goal_over_time(g):
            before, after = np.searchsorted(time, [numbers.since_s(stage), numbers.since_s(stage + 1)]) - 1
            resets = float(ds["resets"].values[after, k]) - (float(ds["resets"].values[before, k]) if before >= 0 else 0.0)
            now = numbers.scenarios[stage + 1]
            if metrics == "walk" and (metric := metric_of(goal.metric)).monitored:
                if resets or not frames:
                    matching, how = _matching_bytes(ds, now, context, now.contexts[context].schemes[place], metric)
                    frames += resets * matching / scenario.machine.folio_bytes
            else:
                reads += resets
    last = {name: float(ds[name].values[-1]) if name in ds else 0.0 for name in _COUNTED}
    promotions, faults = last["pgpromote_success"], last["numa_hint_faults"]
    return {
        "refused_faults": faults - promotions,
        "promotions": promotions,
        "armed_pages": last["numa_pte_updates"],
        "kswapd_looks": last["pgscan_kswapd"],
        "checks": float(checks),
        "region_records": float(ds["nr_regions"].values.sum()),
        "tried_frames": tried_bytes / scenario.machine.folio_bytes,
        "migrated_bytes": (float(ds["migrated_pages"].values.sum()) - promotions) * scenario.machine.folio_bytes,
        "metric_frames": frames,
        "counter_reads": reads,
        "rmap_walks": float(ds["rmap_walks"].values[-1].sum()),
    }, how


def _matching_bytes(ds: xr.Dataset, scenario: Scenario, context: int, scheme: Scheme, metric: GoalMetric) -> tuple[float, str]:
    """Mean bytes of the regions a share goal walks; ``node_sys_bp`` looks at all monitored regions."""
    monitored = _monitored_bytes(scenario, context)
    if not metric.by_pattern:
        return monitored, "all monitored memory, which node_sys_bp counts"
    mine = np.flatnonzero(ds["snapshot_context"].values == context)
    if not mine.size:
        return monitored, "all monitored memory: an upper bound, the run kept no region snapshots"
    ends = np.cumsum(ds["region_count"].values)
    rows = np.concatenate([np.arange(ends[k] - ds["region_count"].values[k], ends[k]) for k in mine])
    size: npt.NDArray[Any] = (ds["region_end"].values - ds["region_start"].values)[rows].astype(np.float64)
    nr, age, p = ds["region_nr_accesses"].values[rows], ds["region_age"].values[rows], scheme.access_pattern
    fits = (size >= p.min_sz_bytes) & (size <= float(p.max_sz_bytes)) & (nr >= p.min_nr_accesses)
    fits &= (nr <= p.max_nr_accesses) & (age >= p.min_age) & (age <= p.max_age)
    unit = scenario.contexts[context].addr_unit
    return float(size[fits].sum()) * unit / mine.size, f"mean over {mine.size} region snapshots"


def _monitored_bytes(scenario: Scenario, context: int) -> float:
    c = scenario.contexts[context]
    ranges = [r for t in c.targets for r in t.regions]
    if ranges:
        return float(sum(b - a for a, b in ranges)) * c.addr_unit
    if c.ops == "paddr":
        return float(sum(n.sz_bytes for n in scenario.machine.nodes))
    return float(sum(v.hi - v.lo for v in scenario.workload.vmas)) * scenario.machine.folio_bytes
