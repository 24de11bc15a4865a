"""What older kernels do differently, a change at a time: docs/theory/kernels.md says both numbers, or shipped runs do."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from small import scenario

import tieringmodel as tm
from tieringmodel.damon import quota_math
from tieringmodel.damon.kdamond import Kdamond
from tieringmodel.damon.quota import QuotaState
from tieringmodel.damon.regions import RegionSet, SplitState
from tieringmodel.damon.rng import counter_rng, replay_rng
from tieringmodel.datafiles import data_path
from tieringmodel.errors import InputError
from tieringmodel.kernels import draws
from tieringmodel.kernels._jit import records
from tieringmodel.kernels.layout import NO_SCORE, SCHEME
from tieringmodel.kernels.older import Older, compiled_rules
from tieringmodel.scenario import Quota
from tieringmodel.scenario.linux import RECORDS, Rules, default_rules
from tieringmodel.simulation.engine import Engine
from tieringmodel.units import ULONG_MAX
from tieringmodel.validate.golden import e2e, unit_rows
from tieringmodel.validate.golden.bare_kdamond import bare_kdamond, scheme_columns
from tieringmodel.validate.golden.unit_schemes import ModuloStub
from tieringmodel.validate.golden.vector_files import VectorFile

KIB, MIB, PAGE = 1 << 10, 1 << 20, 4096
GOLDEN = data_path("golden2")
Row = list[int]


def rules(**switches: bool) -> Rules:
    """The default kernel's rules with some switches set by hand."""
    return default_rules(switches)


def kdamond_of(*schemes: dict[str, Any], rules: Rules, rows: list[Row] | None = None, **context: Any) -> Kdamond:
    """A kdamond at the end of its first window, whose operations succeed on every page; with these regions."""
    made = bare_kdamond(Kdamond, {"schemes": list(schemes), **context}, lambda memory: ModuloStub(memory, 0), rules=rules)
    made.passed = made.next_aggregation
    if rows:
        made.regions = RegionSet([rows], made.compiled)
    return made


def quota(**limits: Any) -> dict[str, Any]:
    return {"action": "stat", "quota": limits}


def ends(kdamond: Kdamond) -> list[int]:
    return [row[1] for row in kdamond.regions.rows()[0]]


# ---- nothing is compiled for the default kernel --------------------------------------------------------------------------


def test_only_kernels_with_an_older_rule_have_code_of_their_own():
    assert compiled_rules(default_rules(), False) is None
    assert compiled_rules(tm.Kernel("next").rules, False) is None
    assert compiled_rules(rules(psi_first_round=False, split_some_regions=False), False) is None, "Python decides those"
    for name in RECORDS[:3]:
        assert compiled_rules(tm.Kernel(name).rules, True) is not None
    stored = compiled_rules(default_rules(), True)
    assert stored is not None
    assert list(stored) == [True] * len(Older.layout)
    switches = [name for name in Older.layout if name != "stored_sum"]
    for name in switches:
        made = compiled_rules(rules(**{name: False}), False)
        assert made is not None
        assert [n for n in switches if not getattr(made, n)] == [name]


# ---- rows that shipped vectors show --------------------------------------------------------------------------------------

UNITS = {"6.12.117": 19_774, "6.18": 19_786, "7.2.12": 19_647, "7.3.4": 19_051}


@pytest.mark.parametrize("kernel", UNITS)
def test_unit_rows_of_every_kernel_are_repeated(kernel):
    case = VectorFile(GOLDEN / kernel / "units.jsonl.gz").case(unit_rows.replay)
    assert (case.ok, case.detail, case.checked) == (True, "", UNITS[kernel])


@pytest.mark.parametrize(
    ("run", "switch", "tick", "column", "before", "after"),
    [
        ("partial_split_a", "split_some_regions", 32, "regB.start", 1153650, 1153570),
        ("moving_sum_a", "mvsum_on_demand", 75, "events.nr_accesses_mvsum", 4, 3),
        ("addr_charge_a", "charge_filtered_sz", 5, "scheme.charged_sz", 1335296, 1327104),
        ("addr_charge_b", "charge_filtered_sz", 10, "scheme.sz_tried", 5111808, 4849664),
        ("temporal_huge_sz", "temporal_huge_sz", 5, "scheme.esz", 99009006, 1844674407370955),
    ],
)
def test_first_difference_between_7_2_12_and_7_3_4(run, switch, tick, column, before, after):
    """The README of data/golden2 gives them, for runs of the whole code of both kernels."""
    path = GOLDEN / "7.2.12" / f"e2e_{run}.json"
    told = json.loads(path.read_text()) | {"kernel": {"base": "7.2.12", switch: True}}
    table, name = column.split(".")
    trace = e2e.replay(told)[1]
    with np.load(path.with_suffix(".npz")) as recorded:
        want, ticks = recorded[column].astype(np.uint64), recorded[f"{table}.tick"]
    got = trace.column(table, name)
    n = min(want.size, got.size)
    i = int(np.flatnonzero(want[:n] != got[:n])[0])
    assert (int(ticks[i]), int(want[i]), int(got[i])) == (tick, before, after)


# ---- regions -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("after", "age"), [(False, 8), (True, 0)])
def test_2_silence_is_a_frequency_of_its_own(after, age):
    kdamond = kdamond_of(rules=rules(age_reset_on_zero=after), rows=[[0, PAGE, 1, 0, 7]])
    kdamond.regions.merge(1, PAGE, 20, 10, kdamond.window())
    assert kdamond.regions.rows() == [[[0, PAGE, 1, 0, age, *[0] * (not after)]]]


@pytest.mark.parametrize(("after", "regions", "limit"), [(False, 1, 4 * PAGE), (True, 10, 4 * PAGE)])
def test_6_the_minimum_count_cuts_regions_or_bounds_merging_only(after, regions, limit):
    context = tm.Context(targets=(tm.Target(((0, 40 * PAGE),)),), attrs=tm.Attrs(min_nr_regions=10), schemes=(tm.Scheme(),))
    kdamond = Engine(scenario(contexts=(context,)).replace(kernel=tm.Kernel(apply_min_nr_regions=after))).kdamonds[0]
    assert (kdamond.regions.n, kdamond.sz_limit) == (regions, limit)


def test_6_up_to_7_0_the_size_limit_is_taken_anew_at_an_operations_update():
    kdamond = kdamond_of(rules=rules(apply_min_nr_regions=False), attrs={"update_us": 300_000})
    kdamond.regions = RegionSet([[[0, 100 * PAGE, 0, 0, 0]]], kdamond.compiled)
    limits = []
    for passed in (20, 40, 60, 80):
        kdamond.passed = passed
        kdamond.body()
        limits.append(kdamond.sz_limit)
    assert limits == [PAGE, PAGE, 10 * PAGE, 10 * PAGE], "every 60 samples, and the first region was a page"
    kdamond.regions = RegionSet([[[0, 200 * PAGE, 0, 0, 0]]], kdamond.compiled)
    kdamond.passed = 130  # at 120 nothing else was to be done
    kdamond.body()
    assert (kdamond.sz_limit, kdamond.next_ops_update) == (20 * PAGE, 180)


@pytest.mark.parametrize(("after", "left", "last"), [(False, 60, 0), (True, 90, 60)])
def test_8_above_half_of_the_maximum(after, left, last):
    state, rng = SplitState(), replay_rng([2**31] * 30)
    regions = RegionSet([[[k * MIB, (k + 1) * MIB, 0, 0, 0] for k in range(60)]])
    regions.split(state, 100, PAGE, rng, after)
    assert (regions.n, state.last_nr_regions, rng.taken) == (left, last, left - 60), "one in 100 / (100 - 60) is cut"


@pytest.mark.parametrize(("after", "age"), [(False, 4), (True, 1)])
def test_11_repeated_merging_counts_ages(after, age):
    kdamond = kdamond_of(rules=rules(count_age_once=after), rows=[[0, PAGE, 9, 9, 0], [2 * PAGE, 3 * PAGE, 0, 0, 0]])
    kdamond.regions.merge(0, ULONG_MAX, 4, 1, kdamond.window())
    assert [row[4] for row in kdamond.regions.rows()[0]] == [age, age], "thresholds 0, 1, 2 and 4"


@pytest.mark.parametrize(("after", "regions"), [(False, 1), (True, 2)])
def test_12_the_merge_threshold_passes_its_maximum(after, regions):
    kdamond = kdamond_of(rules=rules(cap_merge_threshold=after), rows=[[0, PAGE, 0, 0, 0], [PAGE, 2 * PAGE, 25, 25, 0]])
    kdamond.regions.merge(0, ULONG_MAX, 20, 1, kdamond.window())
    assert kdamond.regions.n == regions, "thresholds 16 and then 32, or 20"


def test_12_it_stops_at_the_first_threshold_that_is_not_below_the_maximum():
    kdamond = kdamond_of(rules=rules(cap_merge_threshold=False), rows=[[0, PAGE, 0, 0, 0], [PAGE, 2 * PAGE, 33, 33, 0]])
    kdamond.regions.merge(0, ULONG_MAX, 20, 1, kdamond.window())
    assert kdamond.regions.n == 2


@pytest.mark.parametrize(
    ("name", "aggregating", "after"),
    [
        ("6.12", True, [1, 2, 16, 10_000]),
        ("6.18", True, [0, 0, 16, 0]),
        ("7.2", True, [0, 0, 16, 0]),
        ("7.3", True, [0, 0, 16]),
        ("6.12", False, [1, 2, 16, 10_000]),
        ("7.2", False, [1, 2, 16, 10_000]),
        ("7.3", False, [1, 0, 16]),
    ],
)
def test_33_new_attributes(name, aggregating, after):
    """The first row of ``set_attrs`` in the units of three kernels, and the same at the window's end."""
    attrs = {"sample_us": 333, "aggr_us": 2997}
    kdamond = kdamond_of(rules=tm.Kernel(name).rules, attrs=attrs, rows=[[0, PAGE, 7, 2, 11]])
    kdamond.passed = 4 if aggregating else 9
    kdamond.set_attrs(kdamond.attrs.replace(sample_us=1000, aggr_us=2000))
    got = kdamond.regions.rows()[0][0][2:5]
    assert [*got, *(kdamond.regions.sums_bp(kdamond.window()).tolist() if kdamond.compiled else [])] == after


# ---- stored moving sums --------------------------------------------------------------------------------------------------


def sums(kdamond: Kdamond) -> list[int]:
    return [int(n) for n in kdamond.regions.sums_bp(kdamond.window())]


def stored(**switches: bool) -> Kdamond:
    attrs = {"sample_us": 1000, "aggr_us": 7000}
    made = kdamond_of(rules=rules(mvsum_on_demand=False, **switches), attrs=attrs, rows=[[0, 64 * PAGE, 3, 10, 0, 100_000]])
    made.passed = 7
    return made


@pytest.mark.parametrize(("after", "start"), [(False, 30_005), (True, 30_000)])
def test_40_what_division_leaves_of_a_stored_sum(after, start):
    kdamond = stored(fix_mvsum_at_reset=after)
    assert sums(kdamond) == [100_000 - 7 * (100_000 // 7) + 30_000] == [30_005]
    kdamond.regions.reset_aggregated(kdamond.window(), after)
    kdamond.sums_from = kdamond.passed
    assert sums(kdamond) == [start]


def test_9_a_merge_sets_a_stored_sum_and_a_split_copies_it():
    kdamond = stored()
    kdamond.passed = 4
    assert sums(kdamond) == [100_000 - 4 * 14_285 + 30_000] == [72_860]
    kdamond.regions.split_each(2, PAGE, counter_rng(1))
    assert sums(kdamond) == [72_860, 72_860]
    kdamond.regions.apply_min_nr_regions(64, PAGE)
    assert sums(kdamond) == [72_860] * 64
    kdamond.regions.merge(0, ULONG_MAX, 7, 10, kdamond.window())
    assert sums(kdamond) == [30_000]
    kdamond.passed += 1
    assert sums(kdamond) == [30_000 - 14_285]
    kdamond.passed += 2
    assert sums(kdamond) == [2**32 + 30_000 - 3 * 14_285], "it wraps below 0"


@pytest.mark.parametrize("count", ["mvsum_on_demand", None])
def test_9_what_a_context_says_of_moving_sums_counts(count):
    context = {"moving_sum": "on_demand" if count else "stored"}
    made = bare_kdamond(Kdamond, context, rules=rules(mvsum_on_demand=not count))
    assert (made.compiled is None) == bool(count)


def test_9_sums_survive_a_checkpoint_and_every_pass():
    scheme = {"action": "stat", "quota": {"sz_bytes": 24 * KIB}}
    kdamond = kdamond_of(scheme, rules=rules(mvsum_on_demand=False, merge_after_apply=False))
    kdamond.regions = RegionSet([[[0, 64 * KIB, 0, 3, 5, 30_000]], [[0, 64 * KIB, 0, 4, 5, 47_000]]], kdamond.compiled)
    kdamond.apply_schemes()
    assert [len(t) for t in kdamond.regions.rows()] == [2, 1]
    assert [row[5] for t in kdamond.regions.rows() for row in t] == [30_000, 30_000, 47_000]
    other = RegionSet([[], []], kdamond.compiled)
    other.restore(kdamond.regions.state())
    assert other.rows() == kdamond.regions.rows()


def test_9_sums_kept_from_now_on_are_those_that_samples_made():
    kdamond = kdamond_of(rules=default_rules(), rows=[[0, PAGE, 2, 10, 0]])
    kdamond.passed = 5
    kdamond.configure(kdamond.context.replace(moving_sum="stored"), {})
    assert sums(kdamond) == [100_000 - 5 * 5_000 + 20_000]
    kdamond.configure(kdamond.context.replace(moving_sum="on_demand"), {})
    assert kdamond.regions.rows() == [[[0, PAGE, 2, 10, 0]]]


@pytest.mark.parametrize(("after", "hot"), [(True, 44), (False, 53)])
def test_10_scores_are_of_the_moving_sum_or_of_the_count(after, hot):
    """The first row of ``hot_score`` in the units of 7.2.12 and of 6.18: 5 accesses, and a sum of 0.8435."""
    scheme = {"action": "migrate_hot", "quota": {"weights": {"sz": 0, "nr_accesses": 41, "age": 424}}}
    attrs = {"sample_us": 10_000, "aggr_us": 50_000}
    kdamond = kdamond_of(scheme, rules=rules(mvsum_on_demand=False, score_mvsum=after), attrs=attrs)
    kdamond.regions = RegionSet([[[0, PAGE, 5, 4, 15, (8435 - 50_000 + 5 * 8_000) % 2**32]]], kdamond.compiled)
    assert sums(kdamond) == [8435]
    assert kdamond.min_score(0) == hot


# ---- quotas: arithmetic --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("after", "esz", "again"), [(False, 0, MIB), (True, MIB, MIB)])
def test_1_the_first_window(after, esz, again):
    state, row = (
        QuotaState(Quota(sz_bytes=MIB, reset_interval_ms=1000), 1000, rules=rules(first_window_esz=after, esz0_stop=False)),
        records(1, SCHEME)[0],
    )
    state.adjust(row, 1500, PAGE, list)
    assert (row["esz"], state.charged_from) == (esz, 1500)
    state.adjust(row, 2499, PAGE, list)
    assert row["esz"] == esz
    state.adjust(row, 2500, PAGE, list)
    assert (row["esz"], row["qt_exceeds"]) == (again, 0)


@pytest.mark.parametrize(("after", "start", "first"), [(False, 0, 302_000), (True, 1500, 2500)])
def test_27_no_window_begins_in_the_first_five_minutes_after_boot(after, start, first):
    old = rules(charged_from_jiffies=after)
    state, row = QuotaState(Quota(sz_bytes=MIB, reset_interval_ms=1000), 1000, rules=old), records(1, SCHEME)[0]
    state.adjust(row, 1500, PAGE, list)
    assert (row["esz"], state.charged_from) == (MIB, start)
    row["charged_sz"] = 8192
    state.adjust(row, first - 1, PAGE, list)
    assert (state.total_charged_sz, row["charged_sz"]) == (0, 8192)
    state.adjust(row, first, PAGE, list)
    assert (state.total_charged_sz, row["charged_sz"], state.charged_from) == (8192, 0, first)


def set_once(quota: dict, pairs: Sequence[tuple[int, int]], rules: Rules, esz_bp: int = 0, **charged: int) -> tuple[int, ...]:
    """Effective quota, tuner state and score after one evaluation of goals with these values and targets."""
    goals = [{"metric": "user_input", "target_value": target} for _, target in pairs]
    state, row = QuotaState(Quota.from_dict(quota | {"goals": goals}), 1000, rules=rules), records(1, SCHEME)[0]
    state.esz_bp, state.total_charged_sz = esz_bp, charged.get("total_charged_sz", 0)
    row["total_charged_ns"] = charged.get("total_charged_ns", 0)
    state.set_effective(row, PAGE, lambda: pairs)
    return int(row["esz"]), state.esz_bp, state.score


def esz_of(after: Rules, *, esz_bp: int | None = None, sz_bytes: int = 0, **charged: int) -> int:
    """The effective quota of a time quota of 1 ms, beside a goal that is just achieved: so the tuner keeps its state."""
    quota = {"ms": 1, "sz_bytes": sz_bytes, "goal_tuner": "consist" if esz_bp else "temporal"}
    return set_once(quota, [] if esz_bp is None else [(1, 1)], after, esz_bp or 0, **charged)[0]


def tuned(tuner: str, esz_bp: int, score: int, sz_bytes: int, after: Rules) -> int:
    """The tuner's next state."""
    return set_once({"goal_tuner": tuner, "sz_bytes": sz_bytes}, [(score, 10_000)], after, esz_bp)[1]


WRAPPED = 2**50 * 10**6 - 61 * 2**64
"""1 PiB times a million, in 64 bits."""
SLOW = {"total_charged_sz": 1, "total_charged_ns": 10**9}  # 0 bytes a millisecond


@pytest.mark.parametrize(
    ("switches", "given", "before", "after"),
    [
        (["time_quota_zero_esz"], {"esz_bp": 0}, PAGE, 0),
        (["time_quota_zero_esz"], {"esz_bp": 0, "sz_bytes": 100}, 100, 0),
        (["time_quota_zero_esz"], {"esz_bp": 10**9} | SLOW, PAGE, PAGE),
        (["time_quota_min_region"], SLOW, 0, PAGE),
        (["time_quota_min_region", "time_quota_zero_esz"], {"esz_bp": 10**9} | SLOW, 0, PAGE),
        (["time_quota_min_region", "time_quota_zero_esz"], {"esz_bp": 10**9}, 10**5, 10**5),
        (["throughput_mult_frac"], {"total_charged_sz": 2**50, "total_charged_ns": 10**9}, WRAPPED // 10**9, 2**50 // 1000),
    ],
)
def test_16_26_31_time_quotas(switches, given, before, after):
    assert esz_of(rules(**dict.fromkeys(switches, False)), **given) == before
    assert esz_of(rules(), **given) == after == quota_math.set_effective(**({"ms": 1} | given))


@pytest.mark.parametrize(
    ("call", "switch", "before", "after"),
    [
        (lambda r: tuned("temporal", 0, 0, 2**60, r), "temporal_huge_sz", 2**60 * 10_000 % 2**64, ULONG_MAX),
        (lambda r: tuned("temporal", 0, 10_000, 2**60, r), "temporal_huge_sz", 0, 0),
        (lambda r: tuned("temporal", 0, 0, 0, r), "temporal_huge_sz", ULONG_MAX, ULONG_MAX),
        (lambda r: tuned("consist", 2**63, 0, 0, r), "feed_loop_cap", 2**63, 18_446_744_073_709_545_808),
        (lambda r: tuned("consist", 2**63, 5_000, 0, r), "feed_loop_cap", 2**63, 13_835_058_055_282_160_808),
        (lambda r: tuned("consist", 10**6, 5_000, 0, r), "feed_loop_cap", 1_500_000, 1_500_000),
        (lambda r: tuned("consist", 10**6, 15_000, 0, r), "feed_loop_cap", 500_000, 500_000),
        (lambda r: set_once({}, [(2**61, 2**60), (3, 6)], r)[2], "goal_score_mult_frac", 5_000, 20_000),
    ],
)
def test_21_29_46_what_wrapped(call: Callable[[Rules], int], switch, before, after):
    assert call(rules(**{switch: False})) == before
    assert call(rules()) == after


def test_17_what_is_left_of_a_quota_that_a_commit_took_away():
    left = []
    for after in (False, True):
        state = QuotaState(Quota(sz_bytes=MIB, reset_interval_ms=1000), 1000, rules=rules(adjust_quota_while_esz=after))
        row = records(1, SCHEME)[0]
        state.adjust(row, 1000, PAGE, list)
        row["charged_sz"] = MIB
        state.commit(Quota())
        state.adjust(row, 10_000, PAGE, list)
        left.append((int(row["esz"]), int(row["charged_sz"]), int(row["qt_exceeds"])))
    assert left == [(MIB, MIB, 0), (0, 0, 1)]


def test_17_the_window_in_which_a_quota_ends_still_gets_a_threshold():
    """Seen in 6.12.117: with nothing left the highest score is the threshold, though no quota asks for it any more."""
    scheme = {"action": "migrate_hot", "quota": {"sz_bytes": MIB, "reset_interval_ms": 0}}
    kdamond = kdamond_of(scheme, rules=default_rules(), rows=[[0, MIB, 20, 20, 0]])
    kdamond.adjust_quota(0)
    kdamond.schemes["min_score"] = 7
    kdamond.configure(kdamond.context.replace(schemes=(tm.Scheme("migrate_hot"),)), {})
    kdamond.adjust_quota(0)
    assert (kdamond.schemes["esz"][0], kdamond.schemes["quota_set"][0]) == (0, 0)
    assert kdamond.schemes["min_score"][0] == kdamond.min_score(0) != 7


@pytest.mark.parametrize(("after", "value"), [(False, 5000), (True, 1000)])
def test_23_the_first_reading_of_stalls(after, value):
    goal = {"metric": "some_mem_psi_us", "target_value": 1000, "current_values": [[0, 5000], [1, 5700]]}
    kdamond = kdamond_of(quota(goals=[goal]), rules=rules(psi_first_round=after))
    kdamond.turn["by_ticks"], kdamond.tick = True, 0
    assert kdamond.measure_goals(0) == [(value, 1000)]
    kdamond.tick = 1
    assert kdamond.measure_goals(0) == [(700, 1000)]
    kdamond.quotas[0].commit(kdamond.context.schemes[0].quota)
    assert kdamond.measure_goals(0) == [(0 if not after else 1000, 1000)], "a commit keeps what older kernels remember"


@pytest.mark.parametrize(
    ("metric", "before", "after"),
    [("node_mem_used_bp", 2**64 - 10_000, 10_000), ("node_mem_free_bp", 20_000, 0)],
)
def test_20_more_free_than_there_is(metric, before, after):
    values = []
    for switch in (False, True):
        kdamond = kdamond_of(quota(goals=[{"metric": metric, "target_value": 1}]), rules=rules(node_mem_extremes=switch))
        kdamond.memory.arrays.node["total"][0], kdamond.memory.arrays.node["free"][0] = 1, 2
        values.append(kdamond.measure_goals(0)[0][0])
    assert values == [before, after]


@pytest.mark.parametrize("metric", ["node_mem_used_bp", "node_mem_free_bp", "active_mem_bp", "inactive_mem_bp"])
def test_20_a_total_of_0_is_refused_where_linux_divides_by_it(metric):
    kdamond = kdamond_of(quota(goals=[{"metric": metric, "target_value": 1}]), rules=rules(node_mem_extremes=False))
    kdamond.memory.arrays.node["total"][0] = kdamond.memory.arrays.node["lru"][0] = 0
    with pytest.raises(InputError, match="node_mem_extremes") as caught:
        kdamond.measure_goals(0)
    assert metric in str(caught.value)


# ---- quotas: passes ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("after", "tried"), [(False, 64 * KIB), (True, 0)])
def test_3_an_effective_quota_of_0(after, tried):
    goal = {"metric": "user_input", "target_value": 1, "current_value": 1}
    scheme = quota(goals=[goal], goal_tuner="temporal")
    kdamond = kdamond_of(scheme, rules=rules(esz0_stop=after), rows=[[0, 64 * KIB, 5, 5, 5]])
    kdamond.apply_schemes()
    assert (kdamond.schemes["esz"][0], kdamond.schemes["sz_tried"][0]) == (0, tried)


def test_3_a_quota_of_its_own_word_is_not_full_at_0():
    goal = {"metric": "user_input", "target_value": 1, "current_value": 1}
    counted = []
    for esz0 in ("bypass", "stop"):
        state = QuotaState(
            Quota.from_dict({"goals": [goal], "reset_interval_ms": 1000, "goal_tuner": "temporal", "esz0": esz0}), 1000
        )
        row = records(1, SCHEME)[0]
        for jiffies in (1000, 2000):
            state.adjust(row, jiffies, PAGE, lambda: [(1, 1)])
        counted.append(int(row["qt_exceeds"]))
    assert counted == [0, 1]


@pytest.mark.parametrize(("after", "target", "tries", "exceeds"), [(False, 0, 2, 0), (True, 1, 1, 1)])
def test_4_less_than_a_region_is_left(after, target, tries, exceeds):
    kdamond = kdamond_of(
        quota(sz_bytes=6000),
        rules=rules(quota_full_min_region=after),
        rows=[[0, 2 * PAGE, 5, 5, 5], [2 * PAGE, 3 * PAGE, 5, 5, 5]],
    )
    kdamond.apply_schemes()
    row = scheme_columns(kdamond, 0)
    assert row["charged_sz"] == row["sz_tried"] == PAGE
    assert (row["charge_target"], row["nr_tried"]) == (target, tries + (not after)), "the piece behind the cut, too"
    kdamond.quotas[0].adjust(kdamond.schemes[0], 10_000, PAGE, list)
    assert kdamond.schemes["qt_exceeds"][0] == exceeds


@pytest.mark.parametrize(("after", "regions"), [(False, [24 * KIB, 64 * KIB, 2 * MIB]), (True, [64 * KIB, 2 * MIB])])
def test_5_pieces_are_merged_back(after, regions):
    """Up to a tenth of all: hence the large region, which the quota does not reach."""
    rows = [[0, 64 * KIB, 5, 5, 5], [MIB, 2 * MIB, 5, 5, 5]]
    kdamond = kdamond_of(quota(sz_bytes=24 * KIB), rules=rules(merge_after_apply=after), rows=rows)
    kdamond.apply_schemes()
    assert ends(kdamond) == regions


@pytest.mark.parametrize(("after", "held", "regions"), [(False, 64 * KIB, [64 * KIB]), (True, 16 * KIB, [16 * KIB, 64 * KIB])])
def test_7_the_threshold_is_made_of_what_core_filters_let_by(after, held, regions):
    keep = {"type": "addr", "start_bytes": 0, "end_bytes": 16 * KIB, "allow": True}
    scheme = {"action": "migrate_hot", "quota": {"sz_bytes": MIB}, "filters": [keep]}
    kdamond = kdamond_of(scheme, rules=rules(histogram_core_filters=after), rows=[[0, 64 * KIB, 5, 5, 5]])
    kdamond.min_score(0)
    assert (int(kdamond.histogram.sum()), ends(kdamond)) == (held, regions)


@pytest.mark.parametrize(("after", "address"), [(False, 24 * KIB + 1), (True, 24 * KIB)])
def test_13_where_a_full_quota_resumes(after, address):
    kdamond = kdamond_of(quota(sz_bytes=24 * KIB), rules=rules(charge_addr_end=after), rows=[[0, 64 * KIB, 5, 5, 5]])
    kdamond.apply_schemes()
    assert kdamond.schemes["charge_addr"][0] == address


def resumed(after: bool, rows: list[Row], address: int) -> tuple[list[tuple[int, int]], int]:
    """What a scheme with room for all of it tries of regions after a full quota, and its resume address then."""
    kdamond = kdamond_of(quota(sz_bytes=MIB), rules=rules(skip_only_charged=after, merge_after_apply=False), rows=rows)
    kdamond.schemes["charge_target"], kdamond.schemes["charge_addr"] = 1, address
    kdamond.schemes["keep_age"] = 0
    kdamond.apply_schemes()
    tried = [(row[0], row[1]) for row in kdamond.regions.rows()[0] if row[4] == 0]
    return tried, int(kdamond.schemes["charge_addr"][0])


K16, K32, K48 = 16 * KIB, 32 * KIB, 48 * KIB
LAST = [[0, K32, 5, 5, 5]]
THREE = [[0, K16, 5, 5, 5], [K16, K32, 5, 5, 5], [K32, K48, 5, 5, 5]]


@pytest.mark.parametrize(
    ("rows", "address", "before", "after"),
    [
        (LAST, 8 * KIB, [], [(8 * KIB, K32)]),
        (THREE, K16, [(K16, K32), (K32, K48)], [(K16, K32), (K32, K48)]),
        (THREE, K16 + 1, [(K16 + PAGE, K32), (K32, K48)], [(K16 + PAGE, K32), (K32, K48)]),
        (THREE, K16 + 8 * KIB, [(K16 + 8 * KIB, K32), (K32, K48)], [(K16 + 8 * KIB, K32), (K32, K48)]),
        (THREE, K32, [], [(K32, K48)]),
        ([[0, PAGE, 5, 5, 5], [PAGE, 2 * PAGE, 5, 5, 5]], 1, [], [(PAGE, 2 * PAGE)]),
    ],
)
def test_14_the_last_region_after_a_full_quota(rows, address, before, after):
    assert resumed(False, rows, address) == (before, 0)
    assert resumed(True, rows, address) == (after, 0)


def test_14_the_piece_behind_the_resume_address_is_handled_at_once():
    """Up to 7.2, and by the schemes that come later, too; what is before it they do not see."""
    both = rules(skip_only_charged=False, walk_split_regions=False, merge_after_apply=False)
    kdamond = kdamond_of(quota(sz_bytes=MIB), {"action": "stat"}, rules=both, rows=THREE)
    kdamond.schemes["charge_target"], kdamond.schemes["charge_addr"] = [1, 0], [8 * KIB, 0]
    kdamond.apply_schemes()
    assert ends(kdamond) == [8 * KIB, K16, K32, K48]
    assert kdamond.schemes["sz_tried"].tolist() == [K48 - 8 * KIB] * 2
    assert kdamond.schemes["nr_tried"].tolist() == [3, 3]


@pytest.mark.parametrize(("after", "charged"), [(False, 64 * KIB), (True, 16 * KIB)])
def test_15_what_an_address_filter_cuts_off_is_charged(after, charged):
    keep = {"type": "addr", "start_bytes": 0, "end_bytes": 16 * KIB, "allow": True}
    scheme = quota(sz_bytes=MIB) | {"filters": [keep]}
    kdamond = kdamond_of(scheme, rules=rules(charge_filtered_sz=after), rows=[[0, 64 * KIB, 5, 5, 5]])
    kdamond.schemes["score"] = NO_SCORE  # no histogram, so no cut before the pass
    kdamond.apply_schemes()
    row = scheme_columns(kdamond, 0)
    assert (row["charged_sz"], row["sz_tried"], row["nr_tried"]) == (charged, charged, 1)


@pytest.mark.parametrize(("after", "tried"), [(False, [24 * KIB, 24 * KIB]), (True, [24 * KIB, 64 * KIB])])
def test_38_pieces_behind_a_cut_of_the_same_pass(after, tried):
    kdamond = kdamond_of(
        quota(sz_bytes=24 * KIB), {"action": "stat"}, rules=rules(walk_split_regions=after), rows=[[0, 64 * KIB, 5, 5, 5]]
    )
    kdamond.apply_schemes()
    assert kdamond.schemes["sz_tried"].tolist() == tried
    assert ends(kdamond)[-1] == 64 * KIB


@pytest.mark.parametrize(("after", "counted"), [(False, 0), (True, 1)])
def test_32_snapshots_are_counted(after, counted):
    kdamond = kdamond_of({"action": "stat"}, rules=rules(max_nr_snapshots=after), rows=[[0, 64 * KIB, 5, 5, 5]])
    kdamond.apply_schemes()
    assert kdamond.schemes["nr_snapshots"][0] == counted


def test_an_old_pass_finds_room_for_all_its_pieces():
    """Output and stack start small: every region is cut at a resume address or by filters, and nothing is lost."""
    old = tm.Kernel("6.18").rules
    cuts = [{"type": "addr", "start_bytes": 2 * k * PAGE, "end_bytes": (2 * k + 1) * PAGE, "allow": False} for k in range(60)]
    kdamond = kdamond_of({"action": "stat", "filters": cuts}, rules=old)
    kdamond.regions = RegionSet([[[0, 8 * PAGE * 16, 5, 5, 5]] for _ in range(40)], kdamond.compiled)
    size = kdamond.regions.total
    for _ in range(3):
        kdamond.passed += 20
        kdamond.apply_schemes()
        assert int(kdamond.regions.sizes().sum()) == size


# ---- operations and random numbers ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("span", "raw", "offset", "taken"),
    [
        (2**32 + 10, [2**31], 5, 1),
        (2**32 + 10, [2**31, 7], 2**31 + 5, 2),
        (2**33, [12_345], 12_345, 1),
        (2**33, [12_345, 0], 2 * 12_345, 2),
        (2**31, [2**31], 2**30, 1),
    ],
)
def test_35_a_draw_over_more_than_4_gib(span, raw, offset, taken):
    rng = replay_rng(raw)
    rng.state[draws.ONE_DRAW] = len(raw) == 1
    assert int(draws.rand_one(rng, np.uint64(100), np.uint64(100 + span))) == 100 + offset
    assert rng.taken == taken


def test_35_it_is_the_kernel_that_decides():
    for name, one in (("6.12", 1), ("6.18", 1), ("7.2", 0), ("7.3", 0)):
        kdamond = Engine(scenario(tm.Scheme()).replace(kernel=tm.Kernel(name))).kdamonds[0]
        assert kdamond.rng.state[draws.ONE_DRAW] == one


def test_35_ticks_that_are_taken_together_draw_the_same():
    """A context alone samples many ticks at once, one that asks for watermarks does not."""
    seen = []
    for together in (True, False):
        marks = {} if together else {"watermarks": tm.Watermarks("free_mem_rate", 10**9, high=1000, mid=900, low=0)}
        context = tm.Context(
            targets=(tm.Target(((0, 5 << 30),)),), attrs=tm.Attrs(max_nr_regions=20), schemes=(tm.Scheme("stat", **marks),)
        )
        machine = tm.Machine.dram_cxl("8 GiB", "1 GiB", folio_bytes="2 MiB")
        made = scenario(contexts=(context,), machine=machine, pages=2500, groups=(tm.Group(0, 1200, rate_hz=40.0),))
        engine = Engine(made.replace(kernel=tm.Kernel("6.18")), seed=3)
        engine.run_to(1000 * 1_000_000)
        seen.append(engine.kdamonds[0].regions.rows())
    assert seen[0] == seen[1]


@pytest.mark.parametrize(("after", "active"), [(False, [0, 512, 512]), (True, [512, 512, 512])])
def test_36_a_page_is_activated_at_the_second_mark(after, active):
    prio = tm.Scheme("lru_prio", access_pattern=tm.AccessPattern())
    made = scenario(prio, pages=512, groups=(tm.Group(0, 512, rate_hz=400.0),))
    engine = Engine(made.replace(kernel=tm.Kernel(lru_prio_activate=after)))
    counts = []
    for until in (110_000, 210_000, 310_000):
        engine.run_to(1000 * until)
        counts.append(int(engine.memory.arrays.node["active"].sum()))
    assert counts == active
    assert engine.memory.arrays.marked.size == (0 if after else 8)


@pytest.mark.parametrize(("after", "passed"), [(False, 0), (True, 512 * PAGE)])
def test_42_stat_walks_pages(after, passed):
    scheme = tm.Scheme("stat", access_pattern=tm.AccessPattern(), filters=(tm.Filter("anon", allow=True),))
    made = scenario(scheme, pages=512, groups=(tm.Group(0, 512, rate_hz=400.0),))
    engine = Engine(made.replace(kernel=tm.Kernel(stat_walk=after)))
    engine.run_to(1000 * 110_000)
    assert engine.kdamonds[0].schemes["sz_ops_filter_passed"][0] == passed


def test_42_before_it_no_action_tells_what_passes_its_filters():
    made = scenario(tm.Scheme("migrate_cold", access_pattern=tm.AccessPattern(), target_nid=0), pages=512, groups=())
    told = []
    for after in (False, True):
        engine = Engine(made.replace(kernel=tm.Kernel(stat_walk=after)))
        engine.run_to(1000 * 110_000)
        row = engine.kdamonds[0].schemes[0]
        told.append((int(row["sz_applied"]), int(row["sz_ops_filter_passed"])))
    assert told == [(512 * PAGE, 0), (512 * PAGE, 512 * PAGE)]


# ---- broken rows ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"fn": "melt"}', "'melt' is not known"),
        ('{"fn": "moving_sum", "mvsum": 1, "speed": 2}', "speed: is not a known key"),
        ('{"fn": "moving_sum", "mvsum": 1, "nomvsum": 5, "len_window": 2, "new_value": 0, "out": 1}', "is no sample"),
        ('{"fn": "split", "seed": 1}', "has no 'before'"),
        ('{"seed": 1}', "has no 'fn'"),
    ],
)
def test_a_row_that_is_not_understood_is_refused(line, message, tmp_path):
    folder = tmp_path / "6.18"
    folder.mkdir()
    path = folder / "units.jsonl"
    path.write_text(line + "\n")
    with pytest.raises(InputError, match=message) as caught:
        VectorFile(path).case(unit_rows.replay)
    assert f"{path}:1" in str(caught.value)


def test_whose_rows_they_are(tmp_path):
    path = tmp_path / "units.jsonl"
    path.write_text(
        '{"fn": "moving_sum", "mvsum": 512437, "nomvsum": 410000, "len_window": 52, "new_value": 10000, "out": 514553}\n'
    )
    with pytest.raises(InputError, match="does not say which kernel"):
        VectorFile(path).case(unit_rows.replay)
    (tmp_path / "e2e_one.json").write_text('{"kernel": "7.2.12"}')
    assert VectorFile(path).kernel == tm.Kernel("7.2.12")
    assert VectorFile(path).case(unit_rows.replay).ok
    for text, why in (
        ('{"format": 2}', "'kernel'"),
        ('{"kernel": 7.2}', "7.2 is not text"),
        ('{"kernel": null}', "None is not text"),
        ('{"kernel": ["7.2.12"]}', "['7.2.12'] is not text"),
    ):
        (tmp_path / "e2e_one.json").write_text(text)
        with pytest.raises(InputError, match=re.escape(f"e2e_one.json: does not say which kernel it is of: {why}")):
            VectorFile(path).case(unit_rows.replay)
