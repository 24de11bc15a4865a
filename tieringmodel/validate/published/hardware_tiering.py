"""Rows about what monitoring and promotion achieve: V5, V8 and V11."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np

from ...cost import DEFAULT, Costs, default_nodes, mean_relative_time
from ...damon.quota_math import consist_esz_bp
from ...scenario import (
    AccessPattern,
    Attrs,
    Context,
    Event,
    Filter,
    Goal,
    Group,
    Kernel,
    Machine,
    Node,
    Placement,
    Quota,
    Scenario,
    Scheme,
    Target,
    Workload,
)
from ...scenario.linux import DEFAULT as NEWEST
from ...simulation.simulate import simulate
from ...units import GIB, MIB, PAGE_SZ
from .hardware_loops import UP_S
from .hardware_row import Point, Row, Sensitivity, published, row

SHRINK = 256  # V5's sizes and its quota are divided by this; shares and times stay


def filled_esz_bp(fill_s: int, start_percent: float = 0.0) -> int:
    """Return CONSIST's state after node 0 filled evenly to where `v5_scenario` starts, with one evaluation per second.

    All that time promotion's goal is missed. In window t of N the score is the share in use then over the goal's target, and
    the evaluation multiplies the state by 2 minus that.

    Parameters
    ----------
    fill_s : int
        N, how long the node fills.
    start_percent : float
        What is in use before.

    Returns
    -------
    int
        In 1/10000 byte, at full size; 2**64 - 1 at most.
    """
    p = published("V5")
    esz_bp, end_percent = 0, 100 - p["free_goal_percent"]
    for window in range(1, fill_s // p["reset_interval_s"] + 1):
        used_percent = start_percent + (end_percent - start_percent) * window * p["reset_interval_s"] / fill_s
        esz_bp = consist_esz_bp(esz_bp, filling_score(used_percent))
    return esz_bp


def filling_score(used_percent: float) -> int:
    """Return the score of V5's promotion while that share of node 0 is in use."""
    goal_percent: float = published("V5")["used_goal_percent"]
    return round(100 * used_percent) * 10_000 // round(100 * goal_percent)


def filling_to_cap_s(start_percent: float = 0.0) -> int:
    """Return the shortest time of filling, in seconds, after which CONSIST grants all of V5's size quota."""
    cap_bp = published("V5")["cap_mb_per_s"] * 10**6 * 10_000
    return next(s for s in range(1, 10_000) if filled_esz_bp(s, start_percent) >= cap_bp)


def v5_scenario(tiering: bool, kernel: str = NEWEST, fill_s: int | None = None, up_s: int = 0) -> Scenario:
    """Return the moving hot set at 1/256 of its size, with DAMON's promotion and demotion or without.

    Memory is cut into slots of what is displaced per minute. A slot becomes hot every minute and stays hot as long as the
    hot set's size allows; the same share of every slot lies on CXL at the start.

    Parameters
    ----------
    tiering : bool
        Whether DAMON's two schemes run.
    kernel : str
        Which Linux.
    fill_s : int, optional
        How long node 0 filled before: the tuner is CONSIST, promotion starts with the state of `filled_esz_bp` and demotion
        with one byte. By default the tuner is TEMPORAL, which remembers nothing.
    up_s : int
        How long, in whole minutes, DAMON has monitored when the schemes start.
    """
    p = published("V5")
    dram, cxl = (p[k] * GIB // SHRINK for k in ("dram_gib", "cxl_gib"))
    slots = p["rss_gib"] // p["displaced_gib_per_min"]
    per_slot = p["displaced_gib_per_min"] * GIB // SHRINK // PAGE_SZ
    pages, tick_us = slots * per_slot, 50_000
    minute = 60_000_000 // tick_us
    hot_ticks = round(p["hot_percent"] / 100 * p["rss_gib"] / p["displaced_gib_per_min"] * minute)
    groups = [Group(0, pages, rate_hz=1 / 300, name="cold")]
    for k in range(-3, 7 + up_s // 60):
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
        _tiering(dram, cxl, fill_s, not up_s) if tiering else (),
        name="V5",
        events=tuple(Event(up_s * 1_000_000, f"contexts.{i}.schemes.0.enabled", True) for i in range(2) if tiering and up_s),
        kernel=Kernel.from_text(kernel),
    )


def _tiering(dram: int, cxl: int, fill_s: int | None, enabled: bool) -> tuple[Context, Context]:
    p = published("V5")
    attrs, second = Attrs(sample_us=50_000, aggr_us=1_000_000), 1_000_000

    def scheme(action: str, nid: int, pattern: AccessPattern, metric: str, percent: float, young: bool) -> Scheme:
        quota = Quota(
            sz_bytes=p["cap_mb_per_s"] * 10**6 // SHRINK,
            reset_interval_ms=p["reset_interval_s"] * 1000,
            goal_tuner="temporal" if fill_s is None else "consist",
            goals=(Goal(metric, round(percent * 100), nid=0),),
            esz_bp0=filled_esz_bp(fill_s) // SHRINK if fill_s is not None and nid == 0 else 0,
        )
        only = Filter("young", matching=True, allow=young)
        return Scheme(action, pattern, target_nid=nid, apply_interval_us=second, quota=quota, filters=(only,), enabled=enabled)

    idle, used = AccessPattern(max_nr_accesses=0), AccessPattern(min_nr_accesses=1)
    down = scheme("migrate_cold", 1, idle, "node_mem_free_bp", p["free_goal_percent"], False)
    up = scheme("migrate_hot", 0, used, "node_mem_used_bp", p["used_goal_percent"], True)
    return (
        Context(attrs=attrs, targets=(Target(((0, dram),)),), schemes=(down,)),
        Context(attrs=attrs, targets=(Target(((dram, dram + cxl),)),), schemes=(up,)),
    )


V5_FROM_S, V5_S = 60, 240
"""Seconds after the schemes' start from which on V5 is measured, and until which."""


@cache
def v5_run(tiering: bool, kernel: str = NEWEST, fill_s: int | None = None, up_s: int = 0) -> Any:
    """Run four minutes without or with tiering; return the dataset, whose time begins with the schemes."""
    sc = v5_scenario(tiering, kernel, fill_s, up_s)
    ds = simulate(sc, duration=up_s + V5_S, seed=1, snapshots=0, log_moves=False, progress=False)
    return ds.assign_coords(time=ds["time"] - up_s)


def v5(costs: Costs = DEFAULT) -> Row:
    """Keep-up in arithmetic, DAMON's gain at page level, what a hint-fault scan can find in arithmetic."""
    p = published("V5")
    kernel, fill_s = p["kernel"], p["warmup_s"]
    displaced = p["displaced_gib_per_min"] * GIB / 60
    margin = p["cap_mb_per_s"] * 1e6 / displaced
    base, tiered = v5_run(False), v5_run(True, kernel, fill_s)

    def gain(made: Costs, memory_bound: float = 1.0, run: Any = tiered) -> float:
        nodes = default_nodes(made)
        times = [mean_relative_time(ds, nodes, memory_bound=memory_bound, from_s=V5_FROM_S) for ds in (base, run)]
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
    late = tiered["time"].values > V5_FROM_S
    shares = [
        float(ds["access_share_bp"].sel(node=1).values[ds["time"].values > V5_FROM_S].mean()) / 100 for ds in (base, tiered)
    ]
    dram_pages = p["dram_gib"] * GIB // SHRINK // PAGE_SZ
    used = 100 - 100 * tiered["free_pages"].sel(node=0).values[late] / dram_pages
    demoted = float(np.diff(tiered["sz_applied"].values[late][[0, -1], 0])[0]) / MIB / (V5_S - V5_FROM_S) * SHRINK
    to_cap_s = filling_to_cap_s()
    fills = 0, 40, fill_s
    by_fill = [gain(costs, run=v5_run(True, kernel, s)) for s in fills]
    monitored = gain(costs, run=v5_run(True, kernel, fill_s, UP_S))
    cxl = costs.cxl_latency_ns
    ends = [gain(costs.replace(cxl_latency_ns=v)) for v in (cxl.at("low"), cxl.default, cxl.at("high"))]
    ceiling = 1 + best_gain

    def points(damon: float) -> list[Point]:
        return [
            Point("keep-up margin, cap over what is displaced", None, margin, 1.0, np.inf, "1"),
            Point("DAMON over baseline, if all time waits for memory", p["damon"], damon, 1.001, np.inf, "1"),
            Point("NUMA balancing over DAMON", p["numa_balancing"] / p["damon"], ceiling / damon, 0.0, 0.999, "1"),
            Point("NUMA balancing over baseline, faults free", p["numa_balancing"], ceiling, 0.0, 0.999, "1"),
        ]

    return row(
        "V5", f"page level at 1/{SHRINK} size for DAMON, arithmetic for the rest",
        points(gain(costs)),
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
            Sensitivity("DAMON over baseline", "time that node 0 filled [s]", fills, (by_fill[0], by_fill[1], by_fill[2])),
            Sensitivity("DAMON over baseline", "time of monitoring before the schemes [s]", (0, 0, UP_S),
                        (ends[1], ends[1], monitored)),
            Sensitivity("CPUs spent on hint faults", "hint_fault_us [us]",
                        (costs.hint_fault_us.at("low"), costs.hint_fault_us.default, costs.hint_fault_us.at("high")),
                        (fault_cpus[0], fault_cpus[1], fault_cpus[2])),
        ],
        experiments=[
            Point("accesses served by CXL without tiering", None, shares[0], 100 * away - 0.5, 100 * away + 0.5, "%"),
            Point("accesses served by CXL with DAMON", None, shares[1], 0.0, shares[0] / 2, "%"),
            Point("DAMON over baseline, CONSIST from one byte", None, by_fill[0], 0.999, 1.001, "1"),
            Point("best gain of a hint-fault scan over DAMON's", None, best_gain / (gain(costs) - 1), 0.0, 0.5, "1"),
            Point("NUMA balancing over baseline, work on one CPU, dearest faults", p["numa_balancing"], ceiling - fault_cpus[2],
                  0.0, 0.999, "1"),
        ],
        remarks=[
            f"{displaced / MIB:.0f} MiB/s displaced against {p['cap_mb_per_s'] * 1e6 / MIB:.0f} MiB/s",
            f"filling, stated: node 0 fills evenly within the warm-up of {fill_s} s. CONSIST evaluates N = {fill_s} times with "
            f"scores that rise to {filling_score(100 - p['free_goal_percent'])}, and promotion starts with "
            f"{filled_esz_bp(fill_s) / 1e4:.2g} bytes, where the size quota is the limit; {to_cap_s} s of filling do, "
            f"{filling_to_cap_s(50)} s if half of the node was in use before. Demotion, whose goal is exceeded meanwhile, "
            "starts with one byte",
            f"published: node 0 stayed below the goals and nothing was demoted. In the stand-in, where hot memory moves and no "
            f"page with it, it is {used.mean():.2f} % used, and {demoted:.0f} MiB/s are demoted",
            f"a scan passes {p['rss_gib']} GiB in {pass_s:.0f} s, hot memory stays hot for {stay_s:.0f} s: at most "
            f"{min(1.0, stay_s / pass_s):.0%} of it is found while hot",
        ],
        before=points(gain(costs, run=v5_run(True))),
    )  # fmt: skip


def v8_scenario(
    sample_ms: int, aggregation_ms: int, hot_hz: float, cold_hz: float, shrink: int = 1, kernel: str = NEWEST
) -> Scenario:
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
    return Scenario(machine, Workload(pages, groups), (Context(attrs=attrs),), name="V8", kernel=Kernel.from_text(kernel))


def v8_regions(hot_hz: float, cold_hz: float, shrink: int = 1, kernel: str = NEWEST) -> list[float]:
    """Return the mean number of regions over the last minute, after merging, for the four pairs of intervals."""
    p = published("V8")
    out = []
    for sample_ms, aggregation_ms in zip(p["sample_ms"], p["aggregation_ms"], strict=True):
        ds = simulate(
            v8_scenario(sample_ms, aggregation_ms, hot_hz, cold_hz, shrink, kernel),
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
    kernel = p["kernel"]
    counts = v8_regions(p["hot_hz"], p["cold_hz"], kernel=kernel)
    rates = p["hot_hz"] / 4, p["hot_hz"], p["hot_hz"] * 4
    slow, fast = (v8_regions(hz, hz * p["cold_hz"] / p["hot_hz"], 16, kernel) for hz in rates[::2])
    names = [f"{s:g} ms/{a / 1000:g} s" for s, a in zip(p["sample_ms"], p["aggregation_ms"], strict=True)]
    first, best, last = (int(np.argmax(c)) for c in (slow, counts, fast))
    minimum, was = Attrs().min_nr_regions, p["regions"]
    counted = ", ".join(f"{n}: {c:.0f} (published {w})" for n, c, w in zip(names, counts, was, strict=True))

    def points(n: list[float]) -> list[Point]:
        top = int(np.argmax(n))
        return [
            Point("regions at the shortest intervals over the minimum", was[0] / minimum, n[0] / minimum, 1.0, 1.5, "1"),
            Point("rank of the best intervals, shortest first", 1 + int(np.argmax(was)), top + 1, 2, 3, "1"),
            Point("regions at the best over the shortest", was[2] / was[0], n[top] / n[0], 2.0, np.inf, "1"),
            Point("regions at the best over the longest", was[2] / was[3], n[top] / n[3], 1.05, np.inf, "1"),
        ]

    return row(
        "V8",
        "page level",
        points(counts),
        "only direction and order are predicted. The stand-in's hot part falls into several hundred noisy pieces where a page "
        "is found accessed about half of the time; a server's memory has more levels and fewer sharp edges. The best intervals "
        f"move with the rates: hot pages touched {rates[0]:g} / {rates[1]:g} / {rates[2]:g} times per second have "
        f"{names[first]}, {names[best]}, {names[last]}",
        sensitive=[
            Sensitivity("rank of the best intervals", "touches per hot page [Hz]", rates, (first + 1, best + 1, last + 1)),
            Sensitivity("regions at the longest intervals", "touches per hot page [Hz]", rates, (slow[3], counts[3], fast[3])),
        ],
        remarks=[f"regions {counted}", "the outer two rates were run on 1/16 of the memory"],
        before=points(v8_regions(p["hot_hz"], p["cold_hz"])),
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


def posted(what: str, was: float, predicted: float, spread: float) -> tuple[Point, str]:
    """Return a published ratio of two times beside the predicted one, and what the two say of the order.

    Parameters
    ----------
    what : str
        Which ratio.
    was, predicted : float
        Published and predicted.
    spread : float
        By how much, as a logarithm, times of one set-up differ.

    Returns
    -------
    tuple of Point and str
        A ratio within the spread of 1 is a tie, and the prediction has to lie within the spread of it; else the prediction
        has to be on the same side of 1, beyond the spread. ``"tie"``, ``"agrees"`` or ``"differs"``.
    """
    near = math.exp(spread)
    tie = abs(math.log(was)) <= spread
    low, high = (was / near, was * near) if tie else (0.0, 1 / near) if was < 1 else (near, math.inf)
    point = Point(what, was, predicted, low, high, "1")
    return point, "differs" if not point.inside else "tie" if tie else "agrees"


def v11(costs: Costs = DEFAULT) -> Row:
    """Which node promoted pages go to decides the order; two local sources are a tie, as two postings of them are."""
    p = published("V11")
    least = p["promoted_pages"] * PAGE_SZ / (p["memory_gb"] * 1e9)
    at = {h: search_times(h, p["distances"], p["ranks"], p["cores_per_node"]) for h in (least, 1.0)}
    postings = {"version 6": p["seconds"], "version 7": p["repeat_seconds"]}
    times = at[least]
    scan = costs.hint_scan_bytes.default / costs.hint_scan_period_s.default
    pass_s = p["memory_gb"] * 1e9 / p["ranks"] / scan
    window_s = p["window_s"]
    run_s, local = p["searches"] * p["seconds"][0], 1 - at[1.0]["local"]
    once, twice, soon = (
        1 - (1 - slow_share(pass_s, run_s, need, within)) * local for need, within in ((1, np.inf), (2, np.inf), (2, window_s))
    )
    # How far the same set-up moved from one posting to the next: what a pair has to differ by to have an order.
    spread = max(abs(math.log(b / a)) for a, b in zip(*postings.values(), strict=True))
    pairs = {
        "default record over none": (1, 0, times["one node"]),
        "NUMA balancing over default record": (2, 1, times["local"] / times["one node"]),
        "precise record over NUMA balancing": (3, 2, 1.0),
    }
    answers = {
        (what, posting): posted(f"{what}, {posting}", seconds[i] / seconds[k], predicted, spread)
        for what, (i, k, predicted) in pairs.items()
        for posting, seconds in postings.items()
    }
    orders = "; ".join(
        f"{what} {' and '.join(f'{answers[what, posting][1]} in {posting}' for posting in postings)}" for what in pairs
    )
    a, b, _ = p["other_distances"][0]
    other = search_times(least, p["other_distances"], p["ranks"], p["other_cores_per_node"])
    return row(
        "V11", "arithmetic, page process for the experiment",
        [point for point, _ in answers.values()],
        f"the model's order: {orders}. A pair is a tie if it differs by no more than one set-up does between the postings, "
        f"which is up to {math.expm1(spread):.1%}. All three sources promoted after one access, and the same 13.7 to 13.8 "
        "million pages. A default record has no room for a node, so every page goes to one node and a quarter of the ranks "
        "reaches it across sockets; balancing and precise records promote to the rank's own node, which makes them equal here",
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
            *(
                f"times in {posting}: " + ", ".join(f"{n} {v:g} s" for n, v in zip(p["names"], seconds, strict=True))
                for posting, seconds in postings.items()
            ),
            f"version 7, kernel {p['kernel_of_repeat']}: {p['repeat_source']}",
            f"not compared, and against the explanation: another machine of that thread, its nodes {a} and {b} from a CPU, "
            f"has NUMA balancing over default record {p['other_seconds'][2] / p['other_seconds'][1]:.3f}, where distances give "
            f"{other['local'] / other['one node']:.3f} ({p['other_source']})",
            f"predicted over none: one node {times['one node']:.3f}, local {times['local']:.3f}, with distances for latencies "
            "and all time waiting for memory; that one node also serves all of the bandwidth is not modelled",
            f"a rank's memory is scanned once in {pass_s:.2f} s. Simulated with touches per page between 0.01 and 10 Hz "
            f"(assumed): time over none {once:.3f} on the first access, {twice:.3f} on the second, {soon:.3f} on the second "
            f"within {window_s:g} s. Read as thresholds the sources keep their order, but precise is not the fastest",
        ],
    )  # fmt: skip
