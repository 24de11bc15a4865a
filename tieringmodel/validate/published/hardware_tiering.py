"""Rows about what monitoring and promotion achieve: V5, V8 and V11."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np

from ...cost import DEFAULT, Costs, default_nodes, mean_relative_time
from ...scenario import (
    AccessPattern,
    Attrs,
    Context,
    Filter,
    Goal,
    Group,
    Machine,
    Node,
    Placement,
    Quota,
    Scenario,
    Scheme,
    Target,
    Workload,
)
from ...simulation.simulate import simulate
from ...units import GIB, MIB, PAGE_SZ
from .hardware_row import Point, Row, Sensitivity, published, row

SHRINK = 256  # V5's sizes and its quota are divided by this; shares and times stay


def v5_scenario(tiering: bool) -> Scenario:
    """Return the moving hot set at 1/256 of its size, with DAMON's promotion and demotion or without.

    Memory is cut into slots of what is displaced per minute. A slot becomes hot every minute and stays hot as long as the
    hot set's size allows; the same share of every slot lies on CXL at the start.
    """
    p = published("V5")
    dram, cxl = (p[k] * GIB // SHRINK for k in ("dram_gib", "cxl_gib"))
    slots = p["rss_gib"] // p["displaced_gib_per_min"]
    per_slot = p["displaced_gib_per_min"] * GIB // SHRINK // PAGE_SZ
    pages, tick_us = slots * per_slot, 50_000
    minute = 60_000_000 // tick_us
    hot_ticks = round(p["hot_percent"] / 100 * p["rss_gib"] / p["displaced_gib_per_min"] * minute)
    groups = [Group(0, pages, rate_hz=1 / 300, name="cold")]
    for k in range(-3, 7):
        begin, lo = k * minute, k % slots * per_slot
        if begin + hot_ticks > 0:
            until = begin + hot_ticks
            groups.append(Group(lo, lo + per_slot, rate_hz=20.0, name="hot", start_tick=max(begin, 0), end_tick=until))
    free = p["free_goal_percent"] / 100 * p["dram_gib"]
    away = round(per_slot * (1 - (p["dram_gib"] - free) / p["rss_gib"]))
    placement = []
    for lo in range(0, pages, per_slot):
        placement += [Placement(lo, lo + per_slot - away, 0), Placement(lo + per_slot - away, lo + per_slot, 1)]
    return Scenario(
        Machine.dram_cxl(dram, cxl),
        Workload(pages, tuple(groups), tuple(placement), tick_us=tick_us),
        _tiering(dram, cxl) if tiering else (),
        name="V5",
    )


def _tiering(dram: int, cxl: int) -> tuple[Context, Context]:
    p = published("V5")
    attrs, second = Attrs(sample_us=50_000, aggr_us=1_000_000), 1_000_000

    def scheme(action: str, nid: int, pattern: AccessPattern, metric: str, percent: float, young: bool) -> Scheme:
        quota = Quota(
            sz_bytes=p["cap_mb_per_s"] * 10**6 // SHRINK,
            reset_interval_ms=1000,
            goal_tuner="temporal",
            goals=(Goal(metric, round(percent * 100), nid=0),),
        )
        only = Filter("young", matching=True, allow=young)
        return Scheme(action, pattern, target_nid=nid, apply_interval_us=second, quota=quota, filters=(only,))

    idle, used = AccessPattern(max_nr_accesses=0), AccessPattern(min_nr_accesses=1)
    down = scheme("migrate_cold", 1, idle, "node_mem_free_bp", p["free_goal_percent"], False)
    up = scheme("migrate_hot", 0, used, "node_mem_used_bp", p["used_goal_percent"], True)
    return (
        Context(attrs=attrs, targets=(Target(((0, dram),)),), schemes=(down,)),
        Context(attrs=attrs, targets=(Target(((dram, dram + cxl),)),), schemes=(up,)),
    )


@cache
def v5_runs() -> tuple[Any, Any]:
    """Run four minutes without and with tiering."""
    base, tiered = (
        simulate(v5_scenario(tiering), duration=240, seed=1, snapshots=0, log_moves=False, progress=False)
        for tiering in (False, True)
    )
    return base, tiered


def v5(costs: Costs = DEFAULT) -> Row:
    """Keep-up in arithmetic, DAMON's gain at page level, what a hint-fault scan can find in arithmetic."""
    p = published("V5")
    displaced = p["displaced_gib_per_min"] * GIB / 60
    margin = p["cap_mb_per_s"] * 1e6 / displaced
    base, tiered = v5_runs()

    def gain(made: Costs, memory_bound: float = 1.0) -> float:
        nodes = default_nodes(made)
        times = [mean_relative_time(ds, nodes, memory_bound=memory_bound, from_s=60) for ds in (base, tiered)]
        return times[0] / times[1]

    # A scan reaches a page once per pass; the hot set is another one much sooner.
    scan_bytes_s = costs.hint_scan_bytes.default / costs.hint_scan_period_s.default
    pass_s = p["rss_gib"] * GIB / scan_bytes_s
    stay_s = p["hot_percent"] / 100 * p["rss_gib"] * GIB / displaced
    away = 1 - (1 - p["free_goal_percent"] / 100) * p["dram_gib"] / p["rss_gib"]
    latency = costs.cxl_latency_ns.default / costs.dram_latency_ns.default - 1
    # Found on average after half a stay, if at all; then the other half is fast.
    best_gain = away * latency * min(1.0, stay_s / pass_s) / 2
    faults_s = scan_bytes_s / PAGE_SZ
    fault_cpus = [faults_s * costs.hint_fault_us.at(e) * 1e-6 for e in ("low", "default", "high")]
    lost = 1 + best_gain - p["numa_balancing"]
    shares = [float(ds["access_share_bp"].sel(node=1).values[ds["time"].values > 60].mean()) / 100 for ds in (base, tiered)]
    cxl = costs.cxl_latency_ns
    ends = [gain(costs.replace(cxl_latency_ns=v)) for v in (cxl.at("low"), cxl.default, cxl.at("high"))]
    ceiling = 1 + best_gain
    return row(
        "V5", f"page level at 1/{SHRINK} size for DAMON, arithmetic for the rest",
        [
            Point("keep-up margin, cap over what is displaced", None, margin, 1.0, np.inf, "1"),
            Point("DAMON over baseline, if all time waits for memory", p["damon"], gain(costs), 1.001, np.inf, "1"),
            Point("NUMA balancing over DAMON", p["numa_balancing"] / p["damon"], ceiling / gain(costs), 0.0, 0.999, "1"),
            Point("NUMA balancing over baseline, faults free", p["numa_balancing"], ceiling, 0.0, 0.999, "1"),
        ],
        f"which share of Taobench's time waits for memory, and on how many CPUs it runs, is not published. A gain of "
        f"{p['damon'] - 1:.1%} means a share of {(p['damon'] - 1) / (gain(costs) - 1):.2f}. A hint-fault scan is too slow to "
        f"gain; the published loss would have to be its costs, {lost:.3f} CPU-seconds per second for each CPU of the workload. "
        f"Its {faults_s:.0f} faults per second take {fault_cpus[0]:.3f} to {fault_cpus[2]:.3f} CPUs, which is that for at most "
        f"{fault_cpus[2] / lost:.1f} CPUs: on more, something else costs",
        sensitive=[
            Sensitivity("DAMON over baseline", f"{cxl.name} [ns]", (cxl.at("low"), cxl.default, cxl.at("high")),
                        (ends[0], ends[1], ends[2])),
            Sensitivity("DAMON over baseline", "share of the time that waits for memory", (0.25, 1.0, 1.0),
                        (gain(costs, 0.25), ends[1], ends[1])),
            Sensitivity("CPUs spent on hint faults", "hint_fault_us [us]",
                        (costs.hint_fault_us.at("low"), costs.hint_fault_us.default, costs.hint_fault_us.at("high")),
                        (fault_cpus[0], fault_cpus[1], fault_cpus[2])),
        ],
        experiments=[
            Point("accesses served by CXL without tiering", None, shares[0], 100 * away - 0.5, 100 * away + 0.5, "%"),
            Point("accesses served by CXL with DAMON", None, shares[1], 0.0, shares[0] / 2, "%"),
            Point("best gain of a hint-fault scan over DAMON's", None, best_gain / (gain(costs) - 1), 0.0, 0.5, "1"),
            Point("NUMA balancing over baseline, work on one CPU, dearest faults", p["numa_balancing"], ceiling - fault_cpus[2],
                  0.0, 0.999, "1"),
        ],
        remarks=[
            f"{displaced / MIB:.0f} MiB/s displaced against {p['cap_mb_per_s'] * 1e6 / MIB:.0f} MiB/s",
            f"a scan passes {p['rss_gib']} GiB in {pass_s:.0f} s, hot memory stays hot for {stay_s:.0f} s: at most "
            f"{min(1.0, stay_s / pass_s):.0%} of it is found while hot",
        ],
    )  # fmt: skip


def v8_scenario(sample_ms: int, aggregation_ms: int, hot_hz: float, cold_hz: float, shrink: int = 1) -> Scenario:
    """Return the two-level stand-in for the server: one contiguous hot part, the rest cold, no scheme."""
    p = published("V8")
    pages = p["memory_gib"] * GIB // shrink // PAGE_SZ
    lo, hot = pages // 2, round(p["hot_share"] * pages)
    groups = (
        Group(0, lo, rate_hz=cold_hz, name="cold"),
        Group(lo, lo + hot, rate_hz=hot_hz, name="hot"),
        Group(lo + hot, pages, rate_hz=cold_hz, name="cold"),
    )
    attrs = Attrs(sample_us=sample_ms * 1000, aggr_us=aggregation_ms * 1000)
    machine = Machine((Node(0, 0, p["memory_gib"] * GIB // shrink),))
    return Scenario(machine, Workload(pages, groups), (Context(attrs=attrs),), name="V8")


def v8_regions(hot_hz: float, cold_hz: float, shrink: int = 1) -> list[float]:
    """Return the mean number of regions over the last minute, after merging, for the four pairs of intervals."""
    p = published("V8")
    out = []
    for sample_ms, aggregation_ms in zip(p["sample_ms"], p["aggregation_ms"], strict=True):
        ds = simulate(
            v8_scenario(sample_ms, aggregation_ms, hot_hz, cold_hz, shrink),
            duration=p["minutes"] * 60,
            seed=1,
            snapshots=p["minutes"] * 60,
            log_moves=False,
            progress=False,
        )
        late = ds["snapshot_time"].values > p["minutes"] * 60 - 60
        out.append(float(ds["region_count"].values[late].mean()))
    return out


def v8(costs: Costs = DEFAULT) -> Row:
    """Too short sees nothing, too long sees everything alike; what lies between tells regions apart."""
    p = published("V8")
    counts = v8_regions(p["hot_hz"], p["cold_hz"])
    rates = p["hot_hz"] / 4, p["hot_hz"], p["hot_hz"] * 4
    slow, fast = (v8_regions(hz, hz * p["cold_hz"] / p["hot_hz"], 16) for hz in rates[::2])
    names = [f"{s:g} ms/{a / 1000:g} s" for s, a in zip(p["sample_ms"], p["aggregation_ms"], strict=True)]
    first, best, last = (int(np.argmax(c)) for c in (slow, counts, fast))
    minimum, was = Attrs().min_nr_regions, p["regions"]
    counted = ", ".join(f"{n}: {c:.0f} (published {w})" for n, c, w in zip(names, counts, was, strict=True))
    return row(
        "V8",
        "page level",
        [
            Point("regions at the shortest intervals over the minimum", was[0] / minimum, counts[0] / minimum, 1.0, 1.5, "1"),
            Point("rank of the best intervals, shortest first", 1 + int(np.argmax(was)), best + 1, 2, 3, "1"),
            Point("regions at the best over the shortest", was[2] / was[0], counts[best] / counts[0], 2.0, np.inf, "1"),
            Point("regions at the best over the longest", was[2] / was[3], counts[best] / counts[3], 1.05, np.inf, "1"),
        ],
        "only direction and order are predicted. The stand-in's hot part falls into several hundred noisy pieces where a page "
        "is found accessed about half of the time; a server's memory has more levels and fewer sharp edges. The best intervals "
        f"move with the rates: hot pages touched {rates[0]:g} / {rates[1]:g} / {rates[2]:g} times per second have "
        f"{names[first]}, {names[best]}, {names[last]}",
        sensitive=[
            Sensitivity("rank of the best intervals", "touches per hot page [Hz]", rates, (first + 1, best + 1, last + 1)),
            Sensitivity("regions at the longest intervals", "touches per hot page [Hz]", rates, (slow[3], counts[3], fast[3])),
        ],
        remarks=[f"regions {counted}", "the outer two rates were run on 1/16 of the memory"],
    )


def search_times(promoted: float, distances: Sequence[Sequence[int]], ranks: int, cores: int) -> dict[str, float]:
    """Return relative times of a latency-bound search, all on CXL = 1, when a share of accesses is promoted.

    Ranks fill the cores of node 0, then those of node 1. Promoted pages go to the node of the rank that touched them
    (``local``), or all to node 0 (``one node``), which is all that a record without a node can name.
    """
    first = min(ranks, cores) / ranks
    weights = (first, 1 - first)
    cxl = sum(w * d[2] for w, d in zip(weights, distances, strict=True))
    local = sum(w * d[i] for i, (w, d) in enumerate(zip(weights, distances, strict=True)))
    one = sum(w * d[0] for w, d in zip(weights, distances, strict=True))
    return {"none": 1.0, "one node": 1 - promoted * (1 - one / cxl), "local": 1 - promoted * (1 - local / cxl)}


def slow_share(pass_s: float, run_s: float, need: int, within_s: float, pages: int = 4000, seed: int = 1) -> float:
    """Return the share of a run's accesses that are served before their page is promoted by hint faults.

    Parameters
    ----------
    pass_s : float
        Time in which a scan takes every page's mapping away once.
    run_s : float
        Length of the run.
    need : int
        1: promote at the first fault; 2: at a fault that follows another one.
    within_s : float
        How soon it has to follow.
    pages, seed : int
        Pages with rates log-uniform between 0.01 and 10 Hz, and the seed of their Poisson touches.

    Returns
    -------
    float
        A page faults at its first touch after each scan, if there is one before the next.
    """
    rng = np.random.default_rng(seed)
    rate = 10 ** rng.uniform(-2, 1, pages)
    passes = int(run_s / pass_s)
    delay = rng.exponential(1 / rate[:, None], (pages, passes))
    fault = np.where(delay < pass_s, np.arange(passes) * pass_s + delay, np.nan)
    if need == 1:
        hit = ~np.isnan(fault)
    else:
        filled = np.fmax.accumulate(fault, axis=1)  # the last fault up to each pass
        before = np.concatenate([np.full((pages, 1), np.nan), filled[:, :-1]], axis=1)
        hit = fault - before <= within_s
    promoted = np.where(hit.any(axis=1), np.where(hit, fault, np.inf).min(axis=1), run_s)
    return float((rate * np.minimum(promoted, run_s)).sum() / (rate.sum() * run_s))


def v11(costs: Costs = DEFAULT) -> Row:
    """Which node promoted pages go to decides the order; two local sources are a tie, which a repeat confirms."""
    p = published("V11")
    least = p["promoted_pages"] * PAGE_SZ / (p["memory_gb"] * 1e9)
    at = {h: search_times(h, p["distances"], p["ranks"], p["cores_per_node"]) for h in (least, 1.0)}
    given = dict(zip(p["names"], p["seconds"], strict=True))
    none, default, numab, precise = given.values()
    again = p["repeat_seconds"]
    times = at[least]
    scan = costs.hint_scan_bytes.default / costs.hint_scan_period_s.default
    pass_s = p["memory_gb"] * 1e9 / p["ranks"] / scan
    window_s = p["window_s"]
    run_s, local = p["searches"] * none, 1 - at[1.0]["local"]
    once, twice, soon = (
        1 - (1 - slow_share(pass_s, run_s, need, within)) * local for need, within in ((1, np.inf), (2, np.inf), (2, window_s))
    )
    return row(
        "V11", "arithmetic, page process for the experiment",
        [
            Point("default record over none", default / none, times["one node"], 0.0, 0.999, "1"),
            Point("NUMA balancing over default record", numab / default, times["local"] / times["one node"], 0.0, 0.999, "1"),
            Point("precise record over NUMA balancing", precise / numab, 1.0, 0.0, 0.999, "1"),
        ],
        "all three sources promoted after one access, and the same 13.7 to 13.8 million pages. A default record has no room "
        "for a node, so every page goes to one node and a quarter of the ranks reaches it across sockets; balancing and "
        "precise records promote to the rank's own node, which makes them equal here",
        sensitive=[
            Sensitivity("default record over none", "accesses to promoted pages [share]", (least, least, 1.0),
                        (at[least]["one node"], at[least]["one node"], at[1.0]["one node"])),
            Sensitivity("local promotion over none", "accesses to promoted pages [share]", (least, least, 1.0),
                        (at[least]["local"], at[least]["local"], at[1.0]["local"])),
        ],
        experiments=[
            Point("on the second access over on the first, simulated", None, twice / once, 1.0, 1.1, "1"),
            Point(f"the second within {window_s:g} s over the second, simulated", None, soon / twice, 1.001, np.inf, "1"),
            Point(f"the second within {window_s:g} s over none, simulated", None, soon, 0.0, 0.999, "1"),
        ],
        remarks=[
            "times: " + ", ".join(f"{name} {value:g} s" for name, value in given.items()),
            f"published again six weeks later ({p['repeat_source']}): precise over NUMA balancing {again[3] / again[2]:.3f} "
            f"instead of {precise / numab:.3f}, a tie; default over NUMA balancing {again[1] / again[2]:.2f} instead of "
            f"{default / numab:.2f}, the order kept",
            f"predicted over none: one node {times['one node']:.3f}, local {times['local']:.3f}, with distances for latencies "
            "and all time waiting for memory; that one node also serves all of the bandwidth is not modelled",
            f"a rank's memory is scanned once in {pass_s:.2f} s. Simulated with touches per page between 0.01 and 10 Hz "
            f"(assumed): time over none {once:.3f} on the first access, {twice:.3f} on the second, {soon:.3f} on the second "
            f"within {window_s:g} s. Read as thresholds the sources keep their order, but precise is not the fastest",
        ],
    )  # fmt: skip
