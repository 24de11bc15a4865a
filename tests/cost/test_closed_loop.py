"""The closed loop: the fixed point against an independent bisection, and each law with its published figures."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import tieringmodel as tm
from tieringmodel.cost import auto_weights, balance, best_share, closed_loop
from tieringmodel.cost.closed_loop import demand_of, fixed_points, machine_of, nodes_of
from tieringmodel.errors import InputError

FAST = {"idle_latency_ns": 90, "bandwidth_gbps": 49, "curve": [[0, 90], [0.8, 140], [0.98, 180]]}
SLOW = {"idle_latency_ns": 190, "bandwidth_gbps": 17}
NODES = [FAST, SLOW]


def latency_at(node: dict[str, Any], load: float) -> float:
    """A node's latency, from the words of the specification."""
    u = load / node["bandwidth_gbps"]
    if "curve" in node:
        return float(np.interp(u, *zip(*node["curve"], strict=True)))
    u = min(u, 0.95)
    return float(node["idle_latency_ns"] + node.get("queue_ns", 0.0) * u / (2 * (1 - u)))


def halve(low: float, high: float, above: Any) -> float:
    """The place where `above` becomes true."""
    for _ in range(75):
        middle = (low + high) / 2
        low, high = (low, middle) if above(middle) else (middle, high)
    return high


def by_bisection(shares: list[float], nodes: list[dict[str, Any]], demand: dict[str, Any], background: list[float]) -> float:
    """Accesses per ns, by halving throughput alone; other threads' closed loops by halving each node's load."""
    size, n = demand["bytes_per_access"], len(nodes)
    out = demand["outstanding"] if isinstance(demand["outstanding"], list) else [demand["outstanding"]] * n
    in_flight = [sum(b["threads"] * b["outstanding"] for b in demand["background"] if b["nid"] == i) for i in range(n)]

    def latency(i: int, rate: float) -> float:
        own, peak, loop = background[i] + shares[i] * rate * size, nodes[i]["bandwidth_gbps"], in_flight[i] * size
        if not loop:
            return latency_at(nodes[i], own)
        if own + loop / latency_at(nodes[i], peak) >= peak:
            return loop / (peak - own) if own < peak else math.inf
        return latency_at(nodes[i], halve(own, peak, lambda load: load - loop / latency_at(nodes[i], load) > own))

    def too_fast(rate: float) -> bool:
        time = sum(
            s / m * (demand["think_ns"] + latency(i, rate)) for i, (s, m) in enumerate(zip(shares, out, strict=True)) if s
        )
        return bool(rate * time > demand["threads"])

    top = min((k["bandwidth_gbps"] - b) / s / size for k, b, s in zip(nodes, background, shares, strict=True) if s)
    return top if not too_fast(top * (1 - 1e-15)) else halve(0.0, top, too_fast)


def random_node(rng: np.random.Generator) -> dict[str, Any]:
    idle = float(rng.uniform(60, 400))
    node: dict[str, Any] = {"idle_latency_ns": idle, "bandwidth_gbps": float(rng.uniform(5, 500))}
    kind = rng.integers(3)
    if kind == 0:
        node["queue_ns"] = float(rng.uniform(0, 200))
    if kind == 1:
        loads = np.unique(rng.uniform(0, 1, rng.integers(1, 7)).round(3))
        steps = rng.uniform(0, 100, loads.size) * (rng.random(loads.size) < 0.8)  # some pieces are flat
        node["curve"] = [[float(u), idle + float(ns)] for u, ns in zip(loads, np.cumsum(steps), strict=True)]
    return node


def random_machine(rng: np.random.Generator) -> tuple[list[float], list[dict[str, Any]], dict[str, Any], list[float]]:
    n = int(rng.integers(1, 5))
    nodes = [random_node(rng) for _ in range(n)]
    shares = rng.dirichlet(np.ones(n)) * (rng.random(n) < 0.8)
    shares = shares / shares.sum() if shares.sum() else np.eye(n)[0]
    demand: dict[str, Any] = {
        "threads": int(rng.integers(1, 100)),
        "outstanding": float(rng.uniform(0.5, 40)) if rng.random() < 0.7 else rng.uniform(0.5, 40, n).tolist(),
        "bytes_per_access": float(rng.choice([64, 128, 96.5])),
        "think_ns": float(rng.uniform(0, 300)) * (rng.random() < 0.5),
        "background": [],
    }
    if rng.random() < 0.4:
        demand["background"] = [{"nid": int(rng.integers(n)), "threads": int(rng.integers(1, 30)), "outstanding": 6.5}]
    background = [float(rng.uniform(0, 0.95) * k["bandwidth_gbps"] * (rng.random() < 0.5)) for k in nodes]
    return shares.tolist(), nodes, demand, background


def test_a_thousand_random_machines_against_a_bisection() -> None:
    rng = np.random.default_rng(20)
    full_nodes = 0
    for _ in range(1000):
        shares, nodes, demand, background = random_machine(rng)
        rate = by_bisection(shares, nodes, demand, background)
        found = closed_loop(shares, nodes, demand, background)
        assert found.throughput_per_s == pytest.approx(rate * 1e9, rel=1e-9)
        out = np.broadcast_to(demand["outstanding"], len(nodes))
        busy = rate * (np.array(shares) / out * (demand["think_ns"] + found.latency_ns)).sum()
        assert busy == pytest.approx(demand["threads"], rel=1e-9)  # Little's law
        others = np.array(background)
        for one in demand["background"]:
            others[one["nid"]] += 6.5 * one["threads"] * demand["bytes_per_access"] / found.latency_ns[one["nid"]]
        own = np.array(shares) * rate * demand["bytes_per_access"]
        np.testing.assert_allclose(found.load_gbps, own + others, rtol=1e-9)
        for node, load, latency in zip(nodes, found.load_gbps, found.latency_ns, strict=True):
            assert load <= node["bandwidth_gbps"]
            full = load > node["bandwidth_gbps"] * (1 - 1e-12)
            full_nodes += full
            if full:
                assert latency >= latency_at(node, load) * (1 - 1e-12)
            else:
                assert latency == pytest.approx(latency_at(node, load), rel=1e-9)
    assert full_nodes > 200


def test_classes_that_share_two_nodes_against_a_bisection_in_a_bisection() -> None:
    rng = np.random.default_rng(3)
    for _ in range(60):
        nodes, k = [random_node(rng), random_node(rng)], int(rng.integers(2, 5))
        share = rng.random((k, 1)) * np.array([1.0, 0.0]) + np.array([0.0, 1.0])
        share[:, 1] -= share[:, 0]
        out, threads = rng.uniform(1, 40, k), rng.integers(1, 60, k).astype(float)
        weight, moved, think = share / out[:, None], share * 64.0, 50.0 / out

        def asked(i: int, latency: list[float]) -> float:
            return float((moved[:, i] * threads / (think + weight @ latency)).sum())  # noqa: B023

        def fit(i: int, latency: Any) -> float:
            """The load at which node i fits; its bandwidth if it is full."""
            return halve(0, nodes[i]["bandwidth_gbps"], lambda load: asked(i, latency(latency_at(nodes[i], load))) < load)  # noqa: B023

        def second(first: float) -> float:
            load = fit(1, lambda own: [first, own])
            last = latency_at(nodes[1], load)  # noqa: B023
            if load < nodes[1]["bandwidth_gbps"] * (1 - 1e-14):  # noqa: B023
                return last
            return halve(last, 1e7, lambda own: asked(1, [first, own]) < load)

        load = fit(0, lambda own: [own, second(own)])
        first = latency_at(nodes[0], load)
        if load >= nodes[0]["bandwidth_gbps"] * (1 - 1e-14):
            first = halve(first, 1e7, lambda own: asked(0, [own, second(own)]) < load)  # noqa: B023
        expected = threads / (think + weight @ [first, second(first)])
        machine = machine_of(nodes_of(nodes), demand_of({"threads": 1, "outstanding": 1}))
        rate, _, loads = fixed_points(machine, np.zeros((1, 2)), weight[None], moved[None], think[None], threads[None])
        np.testing.assert_allclose(rate[0], expected, rtol=1e-9)
        np.testing.assert_allclose(loads[0], rate[0] @ moved, rtol=1e-9)


def test_one_class_in_parts_is_the_same_class() -> None:
    rng = np.random.default_rng(8)
    for _ in range(100):
        shares, nodes, demand, background = random_machine(rng)
        demand["outstanding"] = 7.0
        whole = closed_loop(shares, nodes, demand, background)
        parts = np.array([0.2, 0.3, 0.5])
        machine = machine_of(nodes_of(nodes), demand_of(demand))
        s = np.broadcast_to(shares, (1, 3, len(nodes)))
        rate, latency, load = fixed_points(
            machine,
            np.array([background]),
            s / 7.0,
            s * demand["bytes_per_access"],
            np.full((1, 3), demand["think_ns"] / 7.0),
            parts[None] * demand["threads"],
        )
        np.testing.assert_allclose(rate[0] * 1e9, whole.throughput_per_s * parts, rtol=1e-9)
        np.testing.assert_allclose(load[0], whole.load_gbps, rtol=1e-9)
        np.testing.assert_allclose(latency[0], whole.latency_ns, rtol=1e-7)


def test_windows_are_solved_side_by_side() -> None:
    shares = np.array([[[0.7, 0.3], [1, 0]], [[0, 1], [0.5, 0.5]]])
    found = closed_loop(shares, NODES, {"threads": 8, "outstanding": 16}, [[0, 0], [10, 5]])
    assert found.throughput_per_s.shape == (2, 2)
    assert found.latency_ns.shape == (2, 2, 2)
    for i, k in np.ndindex(2, 2):
        one = closed_loop(shares[i, k], NODES, {"threads": 8, "outstanding": 16}, [[0, 0], [10, 5]][k])
        assert one.throughput_per_s == found.throughput_per_s[i, k]
        np.testing.assert_array_equal(one.load_gbps, found.load_gbps[i, k])


@pytest.mark.parametrize(("outstanding", "throughput"), [(4, 246424919.657298), (16, 834523505.985751), (30, 885416666.666667)])
def test_the_example(outstanding: int, throughput: float) -> None:
    found = closed_loop([0.7, 0.3], NODES, {"threads": 8, "outstanding": outstanding})
    assert found.throughput_per_s == pytest.approx(throughput, rel=1e-14)
    if outstanding == 4:
        assert found.latency_ns == pytest.approx([104.081424, 190], abs=5e-7)
        assert found.load_gbps == pytest.approx([11.039836, 4.731358], abs=5e-7)
    if outstanding == 30:
        assert found.latency_ns[1] == pytest.approx(571.924473, abs=5e-7)
        assert found.load_gbps[1] == 17


def test_law_1_skylake_under_load() -> None:
    """90 ns idle, 140 at 40 and 180 at 48 of 49 GB/s: 88 and 135 accesses in flight; 200 give 49 GB/s at 261 ns."""
    for in_flight, load, latency in ((87.5, 40, 140), (135, 48, 180), (200, 49, 261.2)):
        found = closed_loop([1], "skylake", {"threads": 1, "outstanding": in_flight})
        assert found.load_gbps[0] == pytest.approx(load, rel=1e-6)
        assert found.latency_ns[0] == pytest.approx(latency, abs=0.05)


TURIN = (0.1, 0.3, 0.6), ((169, 173, 234), (269, 292, 372))
PEAKS = {1.0: (497, 48), 0.75: (455, 41), 2 / 3: (453, 42), 0.5: (439, 42)}


@pytest.mark.parametrize("i", [0, 1])
def test_law_2_the_preset_meets_the_measured_points(i: int) -> None:
    for u, measured in zip(TURIN[0], TURIN[1][i], strict=True):
        load = np.array(PEAKS[1.0]) * u * np.eye(2)[i]
        found = closed_loop(np.eye(2)[1 - i], "turin-cxl", {"threads": 1, "outstanding": 0.001}, load)
        assert found.latency_ns[i] == pytest.approx(measured, rel=(0.04, 0.002)[i])
    open_queue = tm.cost.NodePerformance(TURIN[1][i][0], 100, 20)
    rise = tm.cost.loaded_latency_ns(open_queue, 60) - tm.cost.loaded_latency_ns(open_queue, 10)
    assert rise == pytest.approx(14, abs=0.2)  # where 65 and 103 are measured


@pytest.mark.parametrize("reads", list(PEAKS))
def test_law_2_peaks_by_share_of_reads(reads: float) -> None:
    demand = {"threads": 1000, "outstanding": 1000, "read_share": reads}
    found = closed_loop([0.5, 0.5], "turin-cxl", demand)
    assert found.load_gbps[1] == PEAKS[reads][1]
    assert closed_loop([1, 0], "turin-cxl", demand).load_gbps[0] == PEAKS[reads][0]


def test_law_3_the_sum_of_bandwidths_is_the_bound() -> None:
    """MLC, DRAM and several CXL devices: 1:1 interleaving over k devices tells theirs. The sums lie 14 % below to 2 % above."""
    off = []
    for dram, one_to_one, weighted in ((298.8, 113.0, 412.5), (273.2, 117.2, 382.7)):
        for devices in (1, 2, 4, 1000):
            cxl = one_to_one * devices / (devices + 1)
            nodes = [{"idle_latency_ns": 100, "bandwidth_gbps": dram}, {"idle_latency_ns": 250, "bandwidth_gbps": cxl}]
            demand = {"threads": 64, "outstanding": 64}
            best = best_share(nodes, demand)
            assert best == pytest.approx(dram / (dram + cxl), rel=1e-12)
            found = closed_loop([best, 1 - best], nodes, demand)
            assert found.load_gbps.sum() == pytest.approx(dram + cxl, rel=1e-12)
            off.append((dram + cxl) / weighted - 1)
    assert min(off) == pytest.approx(-0.14, abs=0.005)
    assert max(off) == pytest.approx(0.02, abs=0.005)


@pytest.mark.parametrize(
    ("bandwidths", "weights"),
    [([3, 0], [32, 1]), ([0, 0], [1, 1]), ([2.4, 4.0], [3, 5]), ([5], [1]), ([72, 26], [23, 8]), ([0.0004, 0.0], [1, 1])],
)
def test_law_4_automatic_weights(bandwidths: list[float], weights: list[int]) -> None:
    assert auto_weights(bandwidths) == weights


@pytest.mark.parametrize(("outstanding", "equal", "best"), [(4, 1.0, 1.0), (16, 1.0, 0.734), (30, 49 / 66, 49 / 66)])
def test_law_5_balance_is_not_the_optimum(outstanding: int, equal: float, best: float) -> None:
    demand = {"threads": 8, "outstanding": outstanding}
    assert balance(NODES, demand) == pytest.approx(equal, rel=1e-12)
    assert best_share(NODES, demand) == pytest.approx(best, abs=5e-4)
    if outstanding == 16:
        shares = [[best_share(NODES, demand), 1 - best_share(NODES, demand)], [1, 0]]
        fast, packed = closed_loop(shares, NODES, demand).throughput_per_s
        assert fast / packed == pytest.approx(1.14, abs=0.001)


def test_law_5_no_share_is_better_than_the_best() -> None:
    rng, grid = np.random.default_rng(5), np.linspace(0, 1, 401)
    inside = 0
    for _ in range(300):
        nodes = [random_node(rng), random_node(rng)]
        demand = {"threads": int(rng.integers(1, 64)), "outstanding": rng.uniform(1, 40, 2).tolist(), "think_ns": 20.0}
        if rng.random() < 0.3:
            demand["background"] = [{"nid": 0, "threads": 5, "outstanding": 24}]
        best = best_share(nodes, demand)
        inside += 0 < best < 1
        at = np.append(grid, [best, balance(nodes, demand)])
        found = closed_loop(np.stack([at, 1 - at], axis=1), nodes, demand)
        assert found.throughput_per_s[-2] >= found.throughput_per_s.max() * (1 - 1e-10)
        smaller = at < best - 1e-6
        assert (found.throughput_per_s[smaller] < found.throughput_per_s[-2] * (1 + 1e-12)).all()
        first, second = found.latency_ns[-1]
        if at[-1] == 0:
            assert first >= second * (1 - 1e-9)
        elif at[-1] == 1:
            assert first <= second * (1 + 1e-9)
        else:
            below = closed_loop([at[-1] - 1e-7, 1 - at[-1] + 1e-7], nodes, demand).latency_ns
            above = closed_loop([at[-1] + 1e-9, 1 - at[-1] - 1e-9], nodes, demand).latency_ns
            assert below[0] < below[1] * (1 + 1e-9)
            assert above[0] >= above[1] * (1 - 1e-9)
    assert inside > 50


def test_equal_latencies_on_an_interval_give_its_smallest_share() -> None:
    flat = {"idle_latency_ns": 100, "bandwidth_gbps": 50}
    demand = {"threads": 1, "outstanding": 4}
    assert balance([flat, flat], demand) == best_share([flat, flat], demand) == 0.0
    demand = {"threads": 1, "outstanding": 100}  # 64 GB/s: 14 of them do not fit on one node
    assert best_share([flat, flat], demand) == pytest.approx(14 / 64, rel=1e-9)
    assert balance([flat, flat], demand) == pytest.approx(14 / 64, rel=1e-9)


def test_full_nodes_rise_to_a_common_latency() -> None:
    nodes = [{"idle_latency_ns": ns, "bandwidth_gbps": gbps} for ns, gbps in ((100, 40), (300, 20), (150, 20))]
    found = closed_loop([0.5, 0.25, 0.25], nodes, {"threads": 1, "outstanding": 250})  # 80 GB/s: 1.25 accesses per ns
    assert found.latency_ns == pytest.approx([500 / 3, 300, 500 / 3])
    rng = np.random.default_rng(1)
    for _ in range(100):
        peaks, lasts = rng.uniform(10, 100, 4), rng.uniform(50, 400, 4)
        nodes = [{"idle_latency_ns": ns, "bandwidth_gbps": gbps} for ns, gbps in zip(lasts, peaks, strict=True)]
        shares, per_ns = peaks / peaks.sum(), peaks.sum() / 64
        in_flight = per_ns * (shares @ lasts + rng.uniform(0, 200))
        found = closed_loop(shares, nodes, {"threads": 1, "outstanding": in_flight})
        np.testing.assert_allclose(found.load_gbps, peaks, rtol=1e-12)
        assert found.latency_ns @ shares == pytest.approx(in_flight / per_ns, rel=1e-12)
        level = found.latency_ns.min()
        np.testing.assert_allclose(found.latency_ns, np.maximum(lasts, level), rtol=1e-12)


def slowdown(x: float, c1: float, c2: float, r1: float, r2: float) -> float:
    """CAMP's curve, over cycles on node 1."""
    return (c1 * ((r1 - 1) * (1 - x) ** 3 + (1 - x)) / r1 + c2 * ((r2 - 1) * x**3 + x) / r2 - c1) / c1


def test_law_6_without_load_slowdown_is_a_straight_line() -> None:
    """CAMP with loaded over idle latency r = 1; with r > 1 on node 1 leaving it pays at first: the shape, not its constants."""
    nodes = [{"idle_latency_ns": 100, "bandwidth_gbps": 1e6}, {"idle_latency_ns": 250, "bandwidth_gbps": 1e6}]
    x = np.linspace(0, 1, 11)
    flat = closed_loop(np.stack([1 - x, x], 1), nodes, {"threads": 1, "outstanding": 4}).throughput_per_s
    np.testing.assert_allclose(flat[0] / flat - 1, [slowdown(k, 100, 250, 1, 1) for k in x], atol=1e-9)
    crowded = closed_loop(np.stack([1 - x, x], 1), NODES, {"threads": 8, "outstanding": 16}).throughput_per_s
    r = closed_loop([1, 0], NODES, {"threads": 8, "outstanding": 16}).latency_ns[0] / 90
    camp = [slowdown(k, 90 * r, 190, r, 1) for k in x]
    assert r > 1
    assert min(camp) < 0
    assert (crowded[0] / crowded - 1).min() < 0


def test_law_7_the_value_of_a_page_is_not_its_rate() -> None:
    """Two objects of 2 GB: 26e9 sequential loads with 7 misses in flight, 4e9 of a pointer chase. Published, of all-DRAM's
    speed: the hotter on DRAM 52.4 %, all slow 47.4 %; the colder on DRAM is 34 % better than the hotter."""
    nodes = [{"idle_latency_ns": 90, "bandwidth_gbps": 1e6}, {"idle_latency_ns": 190, "bandwidth_gbps": 1e6}]

    def run_time(sequential: float, chase: float, slow: float) -> float:
        a = closed_loop([sequential, 1 - sequential], nodes, {"threads": 1, "outstanding": [7, slow]})
        b = closed_loop([chase, 1 - chase], nodes, {"threads": 1, "outstanding": 1})
        return max(26e9 / a.throughput_per_s, 4e9 / b.throughput_per_s)

    for slow, gain in ((7, 1.08), (10, 1.54)):
        all_fast, hot, cold, none = (run_time(*place, slow) for place in ((1, 1), (1, 0), (0, 1), (0, 0)))
        assert cold < hot
        assert all_fast / none == pytest.approx(0.474, abs=0.01)
        assert hot / cold == pytest.approx(gain, abs=0.01)


BAD: list[tuple[Any, Any, Any, Any]] = [
    ([0.5, 0.4], NODES, {}, 0),
    ([1.5, -0.5], NODES, {}, 0),
    ([math.nan, 1], NODES, {}, 0),
    ([1], NODES, {}, 0),
    (["a", 1], NODES, {}, 0),
    ([1, 0], NODES, {"threads": 0}, 0),
    ([1, 0], NODES, {"threads": math.inf}, 0),
    ([1, 0], NODES, {"outstanding": 0}, 0),
    ([1, 0], NODES, {"outstanding": -1}, 0),
    ([1, 0], NODES, {"outstanding": [1, 2, 3]}, 0),
    ([1, 0], NODES, {"outstanding": []}, 0),
    ([1, 0], NODES, {"bytes_per_access": 0}, 0),
    ([1, 0], NODES, {"think_ns": -1}, 0),
    ([1, 0], NODES, {"read_share": 1.1}, 0),
    ([1, 0], NODES, {"reads": 1}, 0),
    ([1, 0], NODES, {"background": [{"nid": 0, "gbps": 49}]}, 0),
    ([1, 0], NODES, {"background": [{"nid": 7, "gbps": 1}]}, 0),
    ([1, 0], NODES, {"background": [{"nid": 0}]}, 0),
    ([1, 0], NODES, {"background": [{"nid": 0, "gbps": 1, "threads": 2}]}, 0),
    ([1, 0], NODES, {}, [49, 0]),
    ([1, 0], NODES, {}, [0, 17.1]),
    ([1, 0], NODES, {}, [0, 0, 0]),
    ([1, 0], NODES, {}, -1),
    ([1, 0], NODES, {}, math.nan),
    ([1, 0], [FAST, SLOW | {"curve": [[0, 190], [1, 180]]}], {}, 0),
    ([1, 0], [FAST, SLOW | {"curve": [[0.5, 190], [0.5, 200]]}], {}, 0),
    ([1, 0], [FAST, SLOW | {"curve": [[0, 190], [1.1, 200]]}], {}, 0),
    ([1, 0], [FAST, SLOW | {"curve": [[0, 0]]}], {}, 0),
    ([1, 0], [FAST, SLOW | {"bandwidth_gbps": 0}], {}, 0),
    ([1, 0], [FAST, SLOW | {"idle_latency_ns": math.inf}], {}, 0),
    ([1, 0], [FAST, SLOW | {"peaks_gbps": [[1.5, 3]]}], {}, 0),
    ([1, 0], [FAST, SLOW | {"speed": 3}], {}, 0),
    ([1, 0], [FAST | {"nid": 1}, SLOW], {}, 0),
    ([1, 0], [FAST, {"idle_latency_ns": 3}], {}, 0),
    ([1, 0], "turing", {}, 0),
    ([1, 0], FAST, {}, 0),
    ([], [], {}, 0),
]


@pytest.mark.parametrize("case", range(len(BAD)))
def test_bad_input_is_refused_in_one_sentence(case: int) -> None:
    shares, nodes, demand, background = BAD[case]
    with pytest.raises(InputError) as error:
        closed_loop(shares, nodes, {"threads": 8, "outstanding": 4} | demand, background)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("ask", [balance, best_share])
def test_balance_needs_two_nodes_with_room(ask: Any) -> None:
    demand = {"threads": 8, "outstanding": 4}
    for nodes, background in (("skylake", 0), ([FAST] * 3, 0), (NODES, [49, 0]), (NODES, [0, 17])):
        with pytest.raises(InputError):
            ask(nodes, demand, background)


@pytest.mark.parametrize("bandwidths", [[], [-1], [math.nan], [math.inf, 1], "12", 3])
def test_weights_need_bandwidths(bandwidths: Any) -> None:
    with pytest.raises(InputError):
        auto_weights(bandwidths)


def test_a_full_node_without_a_share_is_no_error() -> None:
    found = closed_loop([1, 0], NODES, {"threads": 8, "outstanding": 4}, [0, 17])
    assert found.load_gbps[1] == 17
    assert found.latency_ns[1] == 190
