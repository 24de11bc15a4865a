"""Random scenarios: small machines, a few groups of pages, one or two contexts with any schemes."""

from __future__ import annotations

import hypothesis.strategies as st

PAGE = 4096
UINT_MAX, ULONG_MAX = 2**32 - 1, 2**64 - 1

METRICS = (
    "user_input", "node_mem_used_bp", "node_mem_free_bp", "active_mem_bp", "inactive_mem_bp", "node_eligible_mem_bp",
    "node_sys_bp", "node_sys_bp:v1-intent-resident", "node_sys_bp:v1-intent-share",
)  # fmt: skip
ACTIONS = ("migrate_hot", "migrate_cold", "migrate_hot", "migrate_cold", "stat", "lru_prio", "lru_deprio", "hugepage")


@st.composite
def machines(draw):
    first = draw(st.integers(0, 300)) * PAGE
    sizes = [draw(st.integers(200, 900)) * PAGE for _ in range(2)]
    hole = draw(st.sampled_from([0, 0, 100])) * PAGE
    nodes = [
        {"nid": 0, "start_bytes": first, "sz_bytes": sizes[0], "reserve_pages": draw(st.integers(0, 30))},
        {
            "nid": 1,
            "start_bytes": first + sizes[0] + hole,
            "sz_bytes": sizes[1],
            "reserve_pages": draw(st.integers(0, 30)),
        },
    ]
    allocator = draw(st.sampled_from(["lowest", "fifo", "lifo", "random", "buddy"]))
    alone = {"cpus": 1, "others_pages_per_s": 0}
    return {
        "nodes": nodes,
        "hz": draw(st.sampled_from([100, 250, 1000])),
        "allocator": allocator,
        "buddy": alone if allocator == "buddy" else None,
        "on_full": draw(st.sampled_from(["stop_run", "try_all"])),
        "migrate_ns_per_page": draw(st.sampled_from([0, 2_000])),
        "shared_split_state": draw(st.booleans()),
    }


@st.composite
def groups(draw, n):
    lo = draw(st.integers(0, n - 1))
    row = {"lo": lo, "hi": draw(st.integers(lo + 1, n)), "kind": draw(st.sampled_from(["rate", "period", "hash"]))}
    row["start_tick"] = draw(st.sampled_from([0, 0, 30]))
    row["end_tick"] = draw(st.sampled_from([2**62, 90]))
    if row["kind"] == "rate":
        return row | {"rate_hz": draw(st.sampled_from([0.0, 0.1, 3.0, 40.0, 500.0]))}
    if row["kind"] == "period":
        return row | {
            "period": draw(st.integers(1, 9)),
            "phase": draw(st.integers(0, 9)),
            "stride": draw(st.integers(1, 3)),
        }
    return row | {"threshold": draw(st.integers(0, UINT_MAX)), "salt": draw(st.integers(0, UINT_MAX))}


@st.composite
def goals(draw):
    metric = draw(st.sampled_from(METRICS))
    row = {
        "metric": metric,
        "target_value": draw(st.integers(1, 10_000)),
        "nid": draw(st.sampled_from([0, 1, 1, 7, -1])),
    }
    if metric == "user_input":
        row["current_value"] = draw(st.sampled_from([0, 5_000, 20_000, ULONG_MAX]))
        row["current_values"] = draw(st.sampled_from([[], [[100_000, 9_000], [300_000, 0]]]))
    else:
        row["complement"] = draw(st.booleans())
        row["clamp"] = draw(st.sampled_from(["none", "tuner"]))
        row["early_exit"] = draw(st.sampled_from(["none", "none", "v1", "both_fresh"]))
    return row


@st.composite
def filters(draw, top):
    row = {"matching": draw(st.booleans()), "allow": draw(st.booleans())}
    kind = draw(st.sampled_from(["addr", "addr", "target", "young", "anon", "active", "hugepage_size", "unmapped"]))
    if kind == "addr":
        start = draw(st.integers(0, top))
        row |= {"start_bytes": start, "end_bytes": draw(st.integers(start, top))}
    if kind == "hugepage_size":
        row |= {"min_bytes": PAGE, "max_bytes": draw(st.sampled_from([PAGE, 2 << 20]))}
    return row | {"type": kind}


@st.composite
def schemes(draw, top):
    sz = draw(st.sampled_from([40 * PAGE + 5, 0, 300 * PAGE, 1, PAGE, ULONG_MAX, 100 * PAGE]))
    quota = {
        "sz_bytes": sz,
        "ms": draw(st.sampled_from([0, 0, 0, 3])),
        "reset_interval_ms": draw(st.sampled_from([0, 50, 100, 333, ULONG_MAX])),
        "goals": draw(st.one_of(st.just([]), st.lists(goals(), max_size=2))),
        "goal_tuner": draw(st.sampled_from(["temporal", "consist"])),
        "weights": {
            "sz": draw(st.integers(0, 9)),
            "nr_accesses": draw(st.integers(0, 99)),
            "age": draw(st.integers(0, 99)),
        },
        "fail_charge_num": draw(st.sampled_from([0, 0, 1])),
        "fail_charge_denom": draw(st.sampled_from([0, 0, 3, 4096])),
    }
    return {
        "action": draw(st.sampled_from(ACTIONS)),
        "target_nid": draw(st.sampled_from([1, 0, 1, 0, 1, 0, -1, 9])),
        "access_pattern": {
            "min_sz_bytes": draw(st.sampled_from([0, 0, 3 * PAGE])),
            "max_sz_bytes": draw(st.sampled_from([ULONG_MAX, ULONG_MAX, 50 * PAGE])),
            "min_nr_accesses": draw(st.sampled_from([0, 0, 0, 1, 5])),
            "max_nr_accesses": draw(st.sampled_from([UINT_MAX, UINT_MAX, UINT_MAX, 0, 4])),
            "min_age": draw(st.sampled_from([0, 0, 0, 1, 3])),
        },
        "apply_interval_us": draw(st.sampled_from([0, 0, 10_000, 35_000, 250_000])),
        "quota": quota,
        "filters": draw(st.one_of(st.just([]), st.just([]), st.lists(filters(top), max_size=2))),
        "max_nr_snapshots": draw(st.sampled_from([0, 0, 0, 0, 4])),
    }


@st.composite
def contexts(draw, machine):
    top = machine["nodes"][1]["start_bytes"] + machine["nodes"][1]["sz_bytes"]
    min_nr = draw(st.integers(3, 12))
    sample = draw(st.sampled_from([2_000, 5_000]))
    attrs = {
        "sample_us": sample,
        "aggr_us": sample * draw(st.sampled_from([1, 5, 20, 30])) + draw(st.sampled_from([0, 700])),
        "min_nr_regions": min_nr,
        "max_nr_regions": draw(st.integers(min_nr, 80)),
    }
    if draw(st.booleans()):
        attrs["intervals_goal"] = {
            "access_bp": draw(st.sampled_from([50, 400, 3000])), "aggrs": draw(st.integers(1, 3)),
            "min_sample_us": 1_000, "max_sample_us": 20_000,
        }  # fmt: skip
    row = {
        "attrs": attrs,
        "schemes": draw(st.lists(schemes(top), min_size=draw(st.sampled_from([2, 1, 0])), max_size=4)),
        "rng_seed": draw(st.integers(0, ULONG_MAX)),
    }
    row["min_region_sz"] = draw(st.sampled_from([PAGE, PAGE, 4 * PAGE]))
    if draw(st.booleans()):
        half = (top // 2) // (4 * PAGE) * 4 * PAGE
        row["targets"] = [{"regions": [[0, max(half, 8 * PAGE)], [half + 16 * PAGE, top + 40 * PAGE]]}]
    return row


@st.composite
def scenarios(draw, min_contexts=0):
    """A scenario as plain data (`Scenario.from_dict` takes it)."""
    machine = draw(machines())
    room = sum(node["sz_bytes"] for node in machine["nodes"]) // PAGE
    n = draw(st.sampled_from([room * 2 // 3, room // 2, room, 0])) or draw(st.integers(0, room))
    cut = draw(st.integers(0, n))
    placement = [{"lo": lo, "hi": hi, "nid": draw(st.integers(0, 1))} for lo, hi in ((0, cut), (cut, n)) if hi > lo]
    workload = {
        "n_pages": n,
        "groups": draw(st.lists(groups(n), max_size=4)) if n else [],
        "placement": draw(st.sampled_from([[], placement])),
        "tick_us": draw(st.sampled_from([None, 1_000, 5_000])),
    }
    if workload["tick_us"] is None:
        del workload["tick_us"]
    return {
        "machine": machine,
        "workload": workload,
        "contexts": draw(st.lists(contexts(machine), min_size=min_contexts, max_size=2)),
        "name": draw(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)),
    }
