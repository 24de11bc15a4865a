"""What holds in every run, beside `tests/damon/test_properties.py` (pages, regions, charges) and the literal references."""

from __future__ import annotations

import copy
from typing import Any

import hypothesis.strategies as st
import numpy as np
from hypothesis import HealthCheck, given, settings
from scenarios import contexts as any_context
from scenarios import scenarios
from small import MIB, PAGE, pull, push, scenario

import tieringmodel as tm
from tieringmodel.damon.kdamond import Kdamond
from tieringmodel.damon.quota_math import feed_loop_next_input, mult_frac, next_esz_bp, quota_score, set_effective
from tieringmodel.damon.rng import kernel_rng
from tieringmodel.kernels import integer
from tieringmodel.simulation.engine import Engine
from tieringmodel.simulation.silent import Silent
from tieringmodel.simulation.simulate import scheme_actions

U64 = 2**64 - 1
RUNS = settings(max_examples=15, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
u64 = st.one_of(st.integers(0, U64), st.integers(0, 10**6), st.sampled_from([0, 1, 9_999, 10_000, U64 - 1, U64, 2**63]))


def run(data: dict[str, Any], ticks: int = 60, observer: Any = None, rngs: Any = None) -> Engine:
    engine = Engine(tm.Scenario.from_dict(data), seed=3, observer=observer, rngs=rngs, actions=scheme_actions)
    engine.run_lockstep(ticks)
    return engine


# ---- memory -----------------------------------------------------------------------------------------------------------


class Room(Silent):
    """Looks at every node after every pass."""

    def finished(self, kdamond: Kdamond, aggregation: bool) -> None:
        memory = kdamond.memory
        node, frames = memory.arrays.node, memory.arrays.frames
        assert (node["lru"] <= frames).all()
        assert (node["free"] >= 0).all()
        assert (memory.class_pages().sum(axis=1) == node["lru"]).all()
        assert (memory.used_pages() <= node["total"]).all()
        # Migration leaves the reserve alone; only what lay there before may be below it.
        assert ((node["free"] >= np.minimum(node["reserve"], self.free_before)) | (node["migrated_in"] == 0)).all()

    free_before: Any = 0


@given(scenarios(min_contexts=1))
@RUNS
def test_no_node_holds_more_than_it_can_and_no_page_is_on_two(data: dict[str, Any]) -> None:
    room = Room()
    engine = Engine(tm.Scenario.from_dict(data), seed=3, observer=room, actions=scheme_actions)
    room.free_before = engine.memory.free_pages()
    engine.run_lockstep(60)
    memory = engine.memory
    owners = memory.owners()
    held = owners[owners > 0]
    assert held.size == np.unique(held).size == memory.n_pages
    by_pfn = np.sort(memory.pfn_of_pages())
    assert (np.diff(by_pfn) > 0).all()
    for i, node in enumerate(memory.machine.nodes):
        inside = (by_pfn >= node.start_bytes // PAGE) & (by_pfn < (node.start_bytes + node.sz_bytes) // PAGE)
        assert inside.sum() == (memory.node_of_pages() == i).sum()


# ---- nothing to do ----------------------------------------------------------------------------------------------------


@given(scenarios(min_contexts=1), st.sampled_from(["pattern", "quota", "disabled", "filter"]))
@RUNS
def test_no_work_means_no_change(data: dict[str, Any], how: str) -> None:
    for context in data["contexts"]:
        for scheme in context["schemes"]:
            if how == "pattern":
                scheme["access_pattern"] = {"min_sz_bytes": 2**63}
            elif how == "quota":
                scheme["quota"] = {"sz_bytes": 1, "reset_interval_ms": 100}
            elif how == "disabled":
                scheme["enabled"] = False
            else:
                scheme["filters"] = [{"type": "addr", "start_bytes": 0, "end_bytes": 2**63, "matching": True, "allow": False}]
    before = Engine(tm.Scenario.from_dict(data), seed=3).memory
    engine = run(data)
    assert engine.memory.owner_crc32() == before.owner_crc32()
    assert engine.memory.migrated_pages().sum() == 0
    assert all((k.schemes["nr_applied"] == 0).all() and (k.schemes["sz_applied"] == 0).all() for k in engine.kdamonds)


class Hotness(Silent):
    seen = 0

    def aggregated(self, kdamond: Kdamond) -> None:
        self.seen += 1
        assert all(nr == 0 for target in kdamond.regions.rows() for _, _, nr, _, _ in target)


@given(scenarios(min_contexts=1))
@RUNS
def test_no_access_means_no_hotness(data: dict[str, Any]) -> None:
    """Of one context: between another one's check and look, a page may come to a frame that was never looked at (golden)."""
    data["workload"]["groups"] = []
    data["contexts"] = data["contexts"][:1]
    for context in data["contexts"]:
        context["attrs"].pop("intervals_goal", None)
    observer = Hotness()
    engine = run(data, observer=observer)
    for k in engine.kdamonds:
        for i, scheme in enumerate(k.context.schemes):
            assert not scheme.access_pattern.min_nr_accesses or int(k.schemes["nr_tried"][i]) == 0


@given(
    st.integers(1, 10_000), st.sampled_from([0, 1]), st.sampled_from(["consist", "temporal"]),
    st.sampled_from(["node_eligible_mem_bp", "node_mem_used_bp", "node_sys_bp:v1-intent-share"]), st.booleans(),
)  # fmt: skip
@RUNS
def test_a_met_goal_under_the_fresh_two_sided_exit_moves_nothing(
    target: int, nid: int, tuner: str, metric: str, inflow: bool
) -> None:
    """Every pass is asked again: from the moment that the goal is met, no region is acted upon."""
    start = 0 if inflow == (nid == 0) else 1  # pages lie where the goal is met before anything runs
    goal = tm.Goal(metric, target if inflow else 10_000, nid=nid, early_exit="both_fresh")
    quota = tm.Quota(sz_bytes=MIB, reset_interval_ms=100, goals=(goal,), goal_tuner=tuner)
    scheme = tm.Scheme("migrate_hot", target_nid=nid if inflow else 1 - nid, quota=quota)
    sc = scenario(scheme, placement=[tm.Placement(0, 4096, start)], pages=4096, machine=tm.Machine.dram_cxl("16 MiB", "16 MiB"))
    ds = tm.simulate(sc, duration=0.6, seed=2, progress=False)
    assert int(ds["migrated_pages"].sum()) == 0
    assert int(ds["sz_applied"].max()) == 0


# ---- names and order do not matter ------------------------------------------------------------------------------------


def described(kdamond: Kdamond) -> tuple[Any, ...]:
    return kdamond.regions.rows(), kdamond.schemes.tobytes(), kdamond.passed, kdamond.attrs


@given(st.data())
@RUNS
def test_contexts_that_do_not_interact_may_change_places(data: st.DataObject) -> None:
    """Each has memory of its own to watch, its own draws, and schemes that move nothing."""
    base = data.draw(scenarios(min_contexts=2).filter(lambda d: len(d["contexts"]) == 2))
    base["machine"]["shared_split_state"] = False
    base["machine"]["migrate_ns_per_page"] = 0
    nodes = base["machine"]["nodes"]
    for context, node in zip(base["contexts"], nodes, strict=True):
        low, high = node["start_bytes"], node["start_bytes"] + node["sz_bytes"]
        unit = context["min_region_sz"]
        context["targets"] = [{"regions": [[-(-low // unit) * unit, high // unit * unit]]}]
        context["attrs"]["sample_us"], context["attrs"]["aggr_us"] = 5_000, 50_000
        context["attrs"].pop("intervals_goal", None)
        context["schemes"] = [s | {"action": "stat", "quota": {}, "filters": []} for s in context["schemes"]]
    base["workload"]["tick_us"] = 5_000
    swapped = copy.deepcopy(base)
    swapped["contexts"].reverse()
    one = run(base, rngs=[kernel_rng(11), kernel_rng(22)])
    other = run(swapped, rngs=[kernel_rng(22), kernel_rng(11)])
    assert [described(k) for k in one.kdamonds] == [described(k) for k in reversed(other.kdamonds)]


@given(st.data())
@RUNS
def test_schemes_that_do_not_interact_may_change_places(data: st.DataObject) -> None:
    base = data.draw(scenarios(min_contexts=1))
    extra = data.draw(any_context(base["machine"]))["schemes"]
    for context in base["contexts"]:
        context["schemes"] = [s | {"action": "stat", "quota": {}, "filters": []} for s in (*context["schemes"], *extra)]
    order = data.draw(st.permutations(range(len(base["contexts"][0]["schemes"]))))
    moved = copy.deepcopy(base)
    moved["contexts"][0]["schemes"] = [base["contexts"][0]["schemes"][i] for i in order]
    one, other = run(base).kdamonds[0], run(moved).kdamonds[0]
    assert one.regions.rows() == other.regions.rows()
    assert [one.schemes[i].tobytes() for i in order] == [row.tobytes() for row in other.schemes]


@given(scenarios(min_contexts=1), st.permutations([0, 1, 5, 1023]))
@RUNS
def test_node_ids_are_only_names(data: dict[str, Any], names: list[int]) -> None:
    renamed = copy.deepcopy(data)
    new = dict(zip((0, 1), names, strict=False))
    unknown = next(n for n in (900, 901) if n not in new.values())

    def rename(item: Any) -> None:
        if isinstance(item, dict):
            for key in ("nid", "target_nid"):
                if key in item and item[key] >= 0:
                    item[key] = new.get(item[key], unknown)
            for key, inner in item.items():
                if key == "placement":
                    for place in inner:
                        place.setdefault("nid", 0)
                if key == "goals":
                    for goal in inner:
                        goal.setdefault("nid", 0)
                rename(inner)
        elif isinstance(item, list):
            for inner in item:
                rename(inner)

    rename(renamed)
    if not renamed["workload"]["placement"] and renamed["workload"]["n_pages"]:
        del data["workload"]["placement"], renamed["workload"]["placement"]
    one, other = run(data, 40), run(renamed, 40)
    assert one.memory.owner_crc32() == other.memory.owner_crc32()
    assert [described(k) for k in one.kdamonds] == [described(k) for k in other.kdamonds]


# ---- arithmetic -------------------------------------------------------------------------------------------------------


@given(u64.filter(lambda x: x >= 10_000), u64, u64)
@settings(max_examples=200)
def test_feed_falls_with_the_score_and_rises_with_the_input(last: int, one: int, other: int) -> None:
    low, high = sorted((one % 25_000, other % 25_000))
    assert feed_loop_next_input(last, low) >= feed_loop_next_input(last, high)
    less = last - other % (last - 9_999)
    # Where the product would not fit the kernel divides first: up to one distance is lost at that seam.
    seam = 0 if last < U64 // 10_000 else 10_000
    assert feed_loop_next_input(less, one % 25_000) <= feed_loop_next_input(last, one % 25_000) + seam


@given(st.lists(st.tuples(u64, u64), min_size=1, max_size=50))
@settings(max_examples=200)
def test_compiled_feed_is_the_reference(pairs: list[tuple[int, int]]) -> None:
    last, score = (np.array(column, np.uint64) for column in zip(*pairs, strict=True))
    out = np.zeros(last.size, np.uint64)
    integer.feed_loop_next_inputs(last, score, out)
    assert out.tolist() == [feed_loop_next_input(*pair) for pair in pairs]


def test_saturation_and_wrap_at_64_bits() -> None:
    """What the kernel saturates saturates, what wraps there wraps here, and nothing else is let through."""
    assert feed_loop_next_input(U64, 0) == U64
    assert feed_loop_next_input(U64 // 2 + 10_000, 0) == U64
    assert next_esz_bp("consist", U64, 1, 0) == U64
    assert next_esz_bp("temporal", 0, 0, U64) == U64
    assert next_esz_bp("temporal", 0, 0, U64 // 10_000) == U64 // 10_000 * 10_000
    assert next_esz_bp("temporal", 0, 0, U64 // 10_000 + 1) == U64
    assert mult_frac(U64, 10_000, 1) == U64 * 10_000 % 2**64
    assert quota_score([(U64, 1)]) == U64 * 10_000 % 2**64
    assert set_effective(ms=2**63) == max(4096 * 1024 * 2**63 % 2**64, 4096)
    assert set_effective(ms=1, total_charged_sz=U64, total_charged_ns=1) == U64 * 1_000_000 % 2**64
    assert set_effective(sz_bytes=U64, esz_bp=U64) == U64 // 10_000


@given(st.sampled_from(["consist", "temporal"]), st.sampled_from([0, U64, U64 // 10_000, U64 // 10_000 + 1]))
@settings(max_examples=8)
def test_a_tuner_at_its_upper_end_runs_and_stays_there(tuner: str, cap: int) -> None:
    """A goal that is never met winds ``esz_bp`` up to 2**64 - 1; charges against it do not overflow."""
    goal = tm.Goal("user_input", 10_000, current_value=0)
    quota = tm.Quota(sz_bytes=cap, reset_interval_ms=20, goals=(goal,), goal_tuner=tuner, esz_bp0=U64 - 5)
    hot = (tm.Group(0, 1024, rate_hz=400.0),)
    sc = scenario(tm.Scheme("migrate_hot", target_nid=0, quota=quota), pages=1024, groups=hot)
    ds = tm.simulate(sc, duration=0.5, progress=False)
    top = min(cap or U64, U64 // 10_000)
    want = U64 if tuner == "consist" or not 0 < cap <= U64 // 10_000 else cap * 10_000
    assert int(ds["esz_bp"][-1, 0]) == want
    assert int(ds["esz_bytes"][-1, 0]) == top
    assert int(ds["charged_bytes"].max()) <= top
    assert int(ds["migrated_pages"].sum()) == 1024


def test_goals_of_both_directions_conserve_pages() -> None:
    ds = tm.simulate(scenario(pull(), push()), duration=3, seed=4, progress=False)
    assert (ds["class_pages"].sum(("node", "page_class")) == 4096).all()
