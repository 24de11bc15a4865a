"""The reference (`tests/reference_run.py`) repeats runs of the kernels' own code; random runs are valid, and it plays them."""

from __future__ import annotations

import gzip
import json
import zlib
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import reference as ref
from hypothesis import given, settings
from hypothesis import strategies as st
from random_runs import KERNELS, random_run, runs
from reference_context import Attributes, Context, Lfsr, Target, aligned_up, set_regions
from reference_machine import Vma
from reference_ops import three_ranges
from reference_quota import Quota
from reference_rules import rules_of
from reference_run import Run, differences, first_difference, play

GOLDEN2 = Path(__file__).parents[2] / "data" / "golden2"

# A few of each kernel, and their values. A switch of reference_rules.py that any run of golden2 decides is decided by these.
SHIPPED = {
    "7.3.4": {
        "addrunit_commit": 22_096, "clocked_jiffies": 16_274, "commit_goals": 11_237, "commit_min_region": 9_992,
        "commit_quota_off": 12_621, "commit_ratio_tuned": 23_425, "folio": 20_631, "last_applied": 14_277,
        "memcg_commit": 19_878, "pageout": 249_114, "vaddr_dests_full": 8_502, "vaddr_processes": 27_302,
        "vaddr_vma_events": 24_165, "wmarks": 20_435,
    },
    "7.2.12": {
        "addr_charge_b": 8_900, "eligible_nid_a": 40_344, "fallback_three_nodes": 5_241, "fallback_vaddr": 5_128,
        "folio_walk_b": 4_025, "moving_sum_commit_a": 10_072, "partial_split_b": 8_041, "temporal_huge_sz": 15_726,
        "touching_ranges": 24_561,
    },
    "6.18": {
        "addr_charge_b": 10_825, "addr_unit": 14_575, "lru": 16_695, "many_ranges": 12_067, "psi": 30_389,
        "quota_removed": 4_589, "sample_reuse_a": 13_935, "sub_aggregation": 26_064, "time_quota": 43_748,
        "vaddr_dests": 7_403, "vaddr_update": 15_663,
    },
    "6.12.117": {
        "commit_quota": 14_317, "filters": 31_598, "folio": 13_304, "histogram_filter_b": 11_797, "lru": 32_560,
        "psi": 28_095, "sub_aggregation": 28_899, "vaddr_update": 19_372, "watermarks": 17_003,
    },
}  # fmt: skip


def recorded(kernel: str, name: str) -> tuple[dict, dict[str, np.ndarray]]:
    path = GOLDEN2 / kernel / f"e2e_{name}.json"
    with np.load(path.with_suffix(".npz")) as tables:
        return json.loads(path.read_text()), dict(tables)


@pytest.mark.parametrize(("kernel", "name"), [(kernel, name) for kernel, names in SHIPPED.items() for name in names])
def test_a_run_of_the_kernel_is_repeated(kernel: str, name: str) -> None:
    run, tables = recorded(kernel, name)
    mine = play(run)
    wrong = differences(run, tables, mine)
    assert not wrong, first_difference(tables, mine, wrong)[:5]
    assert sum(table.size for table in tables.values()) == SHIPPED[kernel][name]
    k = Run(run)
    assert [list(c.context.random.state) for c in k.kdamonds] == run["rng_initial_state"]


def test_differences_are_seen() -> None:
    run = random_run(2)
    mine = play(run)
    assert differences(run, mine) == {}
    for name in ("regA.age", "node.owner_crc32", "owner_final"):
        other = {**mine, name: mine[name].copy()}
        other[name][other[name].size // 2] += 1
        assert differences(run, other) == {name: 1}
        assert first_difference(other, mine, [name])[0][1:3] == (name, other[name].size // 2)
    assert differences(run, {**mine, "regB.age": mine["regB.age"][:-2]}) == {"regB.age": 2}
    without = {name: table for name, table in mine.items() if name != "goal.current"}
    assert differences(run, without) == {"goal.current": mine["goal.current"].size}


# ---- static functions of the kernels, called directly -----------------------------------------------------------------


def bare_context(case: dict, kernel: str) -> Context:
    c = Context.__new__(Context)
    c.rules, c.schemes = rules_of(kernel), []
    c.passed, c.next_aggregation = case["passed_sis"], case["next_aggr_sis"]
    c.targets = [Target(-1, regions) for regions in ref.targets_of(case["before"])]
    c.attributes = Attributes(*case["old"], 10**6, 10, 1000, [0, 0, 0, 0])
    return c


class Unit:
    """What the reference answers to a unit case, and what the kernel did."""

    def __init__(self, kernel: str) -> None:
        self.kernel, self.rules = kernel, rules_of(kernel)

    def rows(self, targets: list[list[ref.Region]]) -> list:
        stored = not self.rules["mvsum_on_demand"]
        return [[r.row() + [r.bp] * stored for r in target] for target in targets]

    def hot_score(self, case: dict) -> tuple:
        window = ref.Window(*(case[k] for k in ("passed_sis", "next_aggr_sis", "sample_us", "aggr_us")), self.rules)
        r = ref.Region(0, 4096, case["nr_accesses"], case["last_nr_accesses"], case["age"], case["nr_accesses_bp"])
        hot = window.hot(r, tuple(case["weights"][1:]))
        return (hot, 99 - hot), (case["hot"], case["cold"])

    def merge(self, case: dict) -> tuple:
        targets, most = ref.targets_of(case["before"]), case["aggr_us"] // case["sample_us"]
        ref.merge_regions(targets, case["threshold"], case["sz_limit"], most, case["max_nr_regions"], self.rules)
        return self.rows(targets), case["after"]

    def split(self, case: dict) -> tuple:
        targets, draws, state, out = ref.targets_of(case["before"]), Lfsr(case["seed"]), {"rotation": 0, "last": 0}, []
        for _ in case["calls"]:
            before = draws.drawn
            ref.split_regions(targets, state, case["max_nr_regions"], 4096, draws, self.rules)
            out.append((draws.drawn - before, self.rows(targets)))
        return out, [(call["draws"], call["after"]) for call in case["calls"]]

    def set_attrs(self, case: dict) -> tuple:
        c = bare_context(case, self.kernel)
        c.set_attributes(Attributes(*case["new"], 10**6, 10, 1000, [0, 0, 0, 0]))
        return (c.next_aggregation, self.rows(c.lists)), (case["next_aggr_sis_after"], case["after"])

    def effective_quota(self, case: dict) -> tuple:
        goal = {"metric": "user_input", "target": case["target"], "nid": 0, "memcg": 0, "user_input": []}
        given = {name: case[name] for name in ("ms", "sz", "tuner")} | {"goals": [goal] if case["target"] else []}
        quota = Quota.new({**given, "reset_interval_ms": 0, "weights": [0, 0, 0], "fail_charge": [0, 0]}, self.rules)
        quota.esz_bp, out = case["esz_bp0"], []
        for current, charged_sz, charged_ns, *_ in case["steps"]:
            for g in quota.goals:
                g.current = current
            quota.total_charged_sz, quota.total_charged_ns = charged_sz, charged_ns
            quota.set_effective(4096, lambda _: None)
            out.append([quota.esz_bp, quota.esz])
        return out, [step[3:] for step in case["steps"]]

    def va_three_regions(self, case: dict) -> tuple:
        ranges = three_ranges([Vma(0, (end - start) // 4096, start, 0, 4096) for start, end in case["vmas"]])
        if case["rc"]:
            return ranges, []
        regions = ref.targets_of(case["before"])[0]
        set_regions(regions, aligned_up(ranges), 4096)
        return (ranges, self.rows([regions])), (case["ranges"], case["after"])


@pytest.mark.parametrize("kernel", SHIPPED)
def test_unit_cases(kernel: str) -> None:
    path, unit, checked = GOLDEN2 / kernel / "units.jsonl.gz", Unit(kernel), 0
    with gzip.open(path, "rt") as file:
        for line in file:
            case = json.loads(line)
            if case["fn"] != "moving_sum":  # one line of Context.check
                mine, kernels = getattr(unit, case["fn"])(case)
                assert mine == kernels, line
                checked += 1
    assert checked == 270


# ---- random runs -------------------------------------------------------------------------------------------------------


def context_faults(c: dict, run: dict) -> list[str]:
    """What the kernel would refuse."""
    out = []
    _, aggrs, least, most = c["intervals_goal"]
    if aggrs and not least <= c["sample_us"] <= most:
        out.append("sampling interval outside the goal's")
    if not 3 <= c["min_nr_regions"] <= c["max_nr_regions"] or not 0 < c["sample_us"] <= c["aggr_us"]:
        out.append("attributes")
    unit = c["min_region_sz"]
    if unit & unit - 1 or (c["ops"] == "paddr" and len(c["targets"]) != 1):
        out.append("min_region_sz or targets")
    for target in c["targets"]:
        ends = [(a // unit * unit, -(-b // unit) * unit) for a, b in target["ranges"]]
        if any(a >= b for a, b in ends) or any(left[1] > right[0] for left, right in pairwise(ends)):
            out.append("ranges")
        if (target["process"] < 0) != (c["ops"] == "paddr") or target["process"] >= len(run["processes"]):
            out.append("process")
    for s in c["schemes"]:
        if any(g["target"] < 1 or (g["metric"] == "node_eligible_mem_bp" and c["ops"] != "paddr") for g in s["goals"]):
            out.append("goals")
        if any(f["start"] > f["end"] or f["min"] > f["max"] for f in s["filters"]):
            out.append("filters")
        if s["wmarks"][0] and (not run["clocked"] or not s["wmarks"][1]):
            out.append("watermarks")
    return out


def machine_faults(run: dict) -> list[str]:
    out = []
    if any(right[1] < left[1] + left[2] for left, right in pairwise(run["nodes"])):
        out.append("nodes overlap")
    if [row[:2] for row in run["place"]] != [[a, b] for a, b in pairwise([0, *(row[1] for row in run["place"])])]:
        out.append("place")
    if run["place"][-1][1] != run["logical"] or run["logical"] > sum(n[2] for n in run["nodes"]) // run["folio_pages"]:
        out.append("logical")
    size = run["folio_pages"] * 4096
    for vmas in [*run["processes"], *(event["vmas"] for event in run["vma_events"])]:
        if any(not 0 <= lo < hi <= run["logical"] for lo, hi, *_ in vmas):
            out.append("folios of a mapping")
        if any(left[2] + (left[1] - left[0]) * size > right[2] for left, right in pairwise(vmas)):
            out.append("mappings overlap")
    return out


def check_run(run: dict) -> None:
    assert not machine_faults(run)
    for c in [*run["ctxs"], *(commit["to"] for commit in run["commits"])]:
        assert not context_faults(c, run)


def check_tables(run: dict, tables: dict[str, np.ndarray]) -> None:
    """What no rule may break: regions in order, no folio lost or doubled, statistics that only grow."""
    keys = [tables[f"regB.{name}"].astype(np.int64) for name in ("tick", "ctx", "target", "start", "end")]
    same = np.all([np.diff(k) == 0 for k in keys[:3]], axis=0)
    assert (keys[4] >= keys[3]).all()
    if not run["clocked"]:  # there a tick may hold several aggregations
        assert (keys[3][1:][same] >= keys[4][:-1][same]).all()
    owners = tables["owner_final"]
    there = owners[owners > 0]
    assert np.unique(there).size == there.size
    out = int(tables["node.out"][-1]) if tables["node.out"].size else 0
    assert there.size + out == run["logical"]
    if len(run["nodes"]) == 2:
        assert (tables["node.used0"] + tables["node.used1"] + tables["node.out"] == run["logical"]).all()
    for name in ("migrated_total", "alloc_failed_total"):
        assert (np.diff(tables[f"node.{name}"].astype(np.int64)) >= 0).all()


@pytest.mark.parametrize("kernel", KERNELS)
@given(data=st.data())
@settings(max_examples=20)
def test_random_runs_are_valid_and_play(kernel: str, data) -> None:
    run = data.draw(runs(kernel))
    check_run(run)
    check_tables(run, play(run))


def test_a_seed_is_a_run() -> None:
    """For ever: a seed in a bug report must still name its run."""
    text = json.dumps([random_run(seed, kernel) for kernel in KERNELS for seed in range(5)], sort_keys=True)
    assert zlib.crc32(text.encode()) == 3_871_957_925


def test_random_runs_have_everything() -> None:
    """All that 7.3.4 can do comes up among a hundred of them."""
    made = [random_run(seed) for seed in range(100)]
    contexts = [c for run in made for c in [*run["ctxs"], *(commit["to"] for commit in run["commits"])]]
    schemes = [s for c in contexts for s in c["schemes"]]
    assert {c["ops"] for c in contexts} == {"paddr", "vaddr", "fvaddr"}
    assert {s["action"] for s in schemes} >= {"migrate_hot", "migrate_cold", "pageout", "lru_prio", "lru_deprio", "stat"}
    assert {g["metric"] for s in schemes for g in s["goals"]} == {
        "user_input", "some_mem_psi_us", "node_mem_used_bp", "node_mem_free_bp", "node_memcg_used_bp", "node_memcg_free_bp",
        "active_mem_bp", "inactive_mem_bp", "node_eligible_mem_bp",
    }  # fmt: skip
    assert {f["type"] for s in schemes for f in s["filters"]} == {
        "anon", "memcg", "young", "addr", "target", "active", "unmapped", "hugepage_size",
    }  # fmt: skip
    assert {run["folio_pages"] for run in made} == {1, 2, 8, 16, 512}
    for present in (
        any(run["clocked"] for run in made),
        any(run["commits"] for run in made),
        any(run["vma_events"] for run in made),
        any(len(run["nodes"]) == 3 for run in made),
        any(c["addr_unit"] > 1 for c in contexts),
        any(c["intervals_goal"][1] for c in contexts),
        any(not t["ranges"] for c in contexts for t in c["targets"]),
        any(s["dests"] for s in schemes),
        any(s["wmarks"][0] for s in schemes),
        any(s["max_nr_snapshots"] for s in schemes),
        any(s["fail_charge"][1] for s in schemes),
    ):
        assert present
