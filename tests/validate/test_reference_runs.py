"""The reference (`tests/reference_run.py`) repeats runs of the kernels' own code; random runs are valid, and it plays them."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
import reference as ref
from random_runs import random_run
from reference_context import Attributes, Context, Lfsr, Target, aligned_up, set_regions
from reference_machine import Vma
from reference_ops import three_ranges
from reference_quota import Quota
from reference_rules import rules_of
from reference_run import Run, differences, first_difference, play

GOLDEN2 = Path(__file__).parents[2] / "data" / "golden2"

# A few small ones of each kernel. Together they show every rule of the reference that any shipped run shows.
SHIPPED = {
    "7.3.4": {
        "addrunit_commit": 22_096, "clocked_jiffies": 16_274, "commit_goals": 11_237, "commit_min_region": 9_992,
        "commit_quota_off": 12_621, "commit_ratio_tuned": 23_425, "folio": 20_631, "last_applied": 14_277,
        "memcg_commit": 19_878, "pageout": 249_114, "vaddr_dests_full": 8_502, "vaddr_processes": 27_302,
        "vaddr_vma_events": 24_165, "wmarks": 20_435,
    },
    "7.2.12": {
        "addr_charge_b": 8_900, "eligible_nid_a": 40_344, "fallback_three_nodes": 5_241, "folio_walk_b": 4_025,
        "moving_sum_commit_a": 10_072, "partial_split_b": 8_041, "temporal_huge_sz": 15_726, "touching_ranges": 24_561,
    },
    "6.18": {
        "addr_charge_b": 10_825, "addr_unit": 14_575, "lru": 16_695, "many_ranges": 12_067, "psi": 30_389,
        "quota_removed": 4_589, "sample_reuse_a": 13_935, "time_quota": 43_748, "vaddr_dests": 7_403, "vaddr_update": 15_663,
    },
    "6.12.117": {
        "commit_quota": 14_317, "filters": 31_598, "folio": 13_304, "histogram_filter_b": 11_797, "lru": 32_560,
        "sub_aggregation": 28_899, "vaddr_update": 19_372, "watermarks": 17_003,
    },
}  # fmt: skip


def shipped(kernel: str, name: str) -> Path:
    """A shipped file; without the whole folder there is nothing to hold the reference to."""
    return GOLDEN2 / kernel / name


def recorded(kernel: str, name: str) -> tuple[dict, dict[str, np.ndarray]]:
    path = shipped(kernel, f"e2e_{name}.json")
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


def regions_of(rows: list) -> list[list[ref.Region]]:
    return ref.targets_of(rows)


def bare_context(case: dict, kernel: str) -> Context:
    c = Context.__new__(Context)
    c.rules, c.schemes = rules_of(kernel), []
    c.passed, c.next_aggregation = case["passed_sis"], case["next_aggr_sis"]
    c.targets = [Target(-1, regions) for regions in regions_of(case["before"])]
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
        targets, most = regions_of(case["before"]), case["aggr_us"] // case["sample_us"]
        ref.merge_regions(targets, case["threshold"], case["sz_limit"], most, case["max_nr_regions"], self.rules)
        return self.rows(targets), case["after"]

    def split(self, case: dict) -> tuple:
        targets, draws, state, out = regions_of(case["before"]), Lfsr(case["seed"]), {"rotation": 0, "last": 0}, []
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
        regions = regions_of(case["before"])[0]
        set_regions(regions, aligned_up(ranges), 4096)
        return (ranges, self.rows([regions])), (case["ranges"], case["after"])


@pytest.mark.parametrize("kernel", SHIPPED)
def test_unit_cases(kernel: str) -> None:
    path, unit, checked = shipped(kernel, "units.jsonl.gz"), Unit(kernel), 0
    with gzip.open(path, "rt") as file:
        for line in file:
            case = json.loads(line)
            if case["fn"] != "moving_sum":  # one line of Context.check
                mine, kernels = getattr(unit, case["fn"])(case)
                assert mine == kernels, line
                checked += 1
    assert checked == 270


# ---- random runs -------------------------------------------------------------------------------------------------------
