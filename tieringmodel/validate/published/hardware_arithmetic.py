"""Rows that need no run of the control loop: V3, V4, V6 and V9."""

from __future__ import annotations

from collections.abc import Callable

from ...cost import DEFAULT, Costs, NodePerformance, bandwidth_time, latency_time, walk_budget, walk_s
from ...interleave import run as interleave
from ...units import GIB, MIB, PAGE_SZ
from .hardware_row import Point, Row, Sensitivity, published, row, sensitivities


def v3(costs: Costs = DEFAULT) -> Row:
    """Bandwidth alone: the time of a repeat with 3:1 over that with 1:0."""
    p = published("V3")
    share = p["weights"][0] / sum(p["weights"])

    def ratio(cxl_gbps: float, dram_gbps: float = p["dram_gbps"]) -> float:
        nodes = (
            NodePerformance(costs.dram_latency_ns.default, dram_gbps),
            NodePerformance(costs.cxl_latency_ns.default, cxl_gbps),
        )
        return float(bandwidth_time((share, 1 - share), nodes))

    was = p["after_ms"] / p["before_ms"]
    got = ratio(p["cxl_gbps"])
    # The first quota window opens at the end of the first aggregation: until then the repeat runs at the old pace.
    slow = p["aggregation_s"] * 1e3
    turning = slow + (1 - slow / p["before_ms"]) * got * p["before_ms"]
    cxl, dram = costs.cxl_bandwidth_gbps, p["dram_gbps"]

    def moved(what: str, inputs: tuple[float, float, float], predict: Callable[[float], float]) -> Sensitivity:
        return Sensitivity("ratio", what, inputs, (predict(inputs[0]), predict(inputs[1]), predict(inputs[2])))

    best = p["dram_gbps"] / (p["dram_gbps"] + p["cxl_gbps"])
    return row(
        "V3",
        "arithmetic",
        [Point.near("time of a repeat, 3:1 over 1:0", round(was, 4), got, p["tolerance"] * was, "1")],
        "DRAM finishes last and sets the pace: 3/4 of the bytes at its bandwidth; caches keep a little from memory",
        sensitive=[
            moved("CXL bandwidth [GB/s]", (cxl.at("low"), cxl.default, cxl.at("high")), ratio),
            moved("DRAM bandwidth [GB/s]", (0.9 * dram, dram, 1.1 * dram), lambda gbps: ratio(cxl.default, gbps)),
        ],
        remarks=[
            f"optimum share on DRAM {best:.4f}, ratio {best:.4f}",
            f"transition repeat: published {p['transition_ms']} ms; {turning:.0f} ms if DAMON starts with the repeat, acts at "
            f"the end of its first aggregation ({p['aggregation_s']:g} s) and copies for free",
        ],
    )


def v4(costs: Costs = DEFAULT) -> Row:
    """A straight line through no Redis and all of Redis on CXL."""
    p = published("V4")
    slope = (p["all_relative_time"] - 1) / p["all_gb"]
    compared = [
        Point.near(f"{gb:g} GB on CXL", was, 1 + slope * gb, p["tolerance"], "1")
        for gb, was in zip(p["cxl_gb"], p["relative_time"], strict=True)
    ]

    def bound(made: Costs) -> float:
        extra = made.cxl_latency_ns.default / made.dram_latency_ns.default - 1
        return float((p["all_relative_time"] - 1) / extra)

    m = bound(costs)
    nodes = tuple(NodePerformance(c.default, 1.0) for c in (costs.dram_latency_ns, costs.cxl_latency_ns))
    again = float(latency_time((0.0, 1.0), nodes, memory_bound=m))
    return row(
        "V4",
        "arithmetic",
        compared,
        f"slope calibrated on the all-CXL row ({p['all_gb']:g} GB: {again:.2f}), which is therefore no test: what is tested is "
        "that time grows in proportion to the part on CXL; 10.6 and 30.5 GB lie above the line, 40.5 GB below",
        sensitive=sensitivities(costs, "share of the time that waits for memory, implied", bound),
        remarks=[f"slope {slope * 1e3:.3f} per 1000 GB; no assumed cost enters the line"],
    )


def v6(costs: Costs = DEFAULT) -> Row:
    """One walk over every frame, and one that tests blocks first."""
    p = published("V6")
    extent, populated = p["extent_gib"] * GIB, p["populated_gib"] * GIB

    def skipping_ms(made: Costs) -> float:
        return 1e3 * walk_s(extent, made, populated_bytes=populated, skip_empty_blocks=True)

    blocks, fits = extent // (2 * MIB), walk_budget(extent, 1e5, costs).largest_bytes
    low, high = p["walk_range_s"]
    near, far = p["skipping_range_ms"]
    return row(
        "V6",
        "arithmetic",
        [
            Point("walk over every frame", p["walk_s"], walk_s(extent, costs), low, high, "s"),
            Point("walk that skips empty blocks", p["skipping_ms"], skipping_ms(costs), near, far, "ms"),
        ],
        f"sizes read as GiB; {blocks} block tests at no more than {costs.block_test_ns.default:g} ns each (assumed)",
        sensitive=sensitivities(costs, "skipping walk [ms]", skipping_ms),
        remarks=[f"{extent // PAGE_SZ} frames; the walk would fit 100 ms for {fits / GIB:.2f} GiB"],
    )


def v9(costs: Costs = DEFAULT) -> Row:
    """Every page by the parity of its offset."""
    p = published("V9")
    pages = p["before_mb"][0] * MIB // PAGE_SZ
    done = interleave("vma_offset", tuple(p["weights"]), pages, 2)
    mb = [int(n) * PAGE_SZ / MIB for n in done["occupancy"].values[-1]]
    compared = [
        Point(f"node {i}, rounded as printed", was, round(got), was, was, "MB")
        for i, (was, got) in enumerate(zip(p["after_mb"], mb, strict=True))
    ]
    compared.append(Point("pages moved by the second pass", None, int(done["moved"].values[2]), 0, 0, "pages"))
    return row(
        "V9",
        "page process",
        compared,
        f"exact: {pages} pages are dealt by parity, {mb[0]:g} MB each, which is printed as {round(mb[0])}: the two sum to 1028",
    )
