"""Contexts that use everything Linux 7.3.4 knows, for what is written and read back."""

from __future__ import annotations

from hypothesis import strategies as st

import tieringmodel as tm
from tieringmodel.scenario import ACTIONS
from tieringmodel.units import UINT_MAX, ULONG_MAX

GIB = 1 << 30
PATHS = ("/a/b", "$(touch x) 'y'", "with space")

_u64, _u32, _small = st.integers(0, ULONG_MAX), st.integers(0, UINT_MAX), st.integers(0, 10**6)
weights = st.builds(tm.Weights, sz=_u32, nr_accesses=_u32, age=_u32)


@st.composite
def pattern(draw: st.DrawFn) -> tm.AccessPattern:
    ages = st.integers(0, 10**6) | st.just(UINT_MAX)
    return tm.AccessPattern(draw(_u64), draw(_u64), draw(_u32), draw(_u32), draw(ages), draw(ages))


@st.composite
def goal(draw: st.DrawFn, paddr: bool) -> tm.Goal:
    metrics = ["user_input", "some_mem_psi_us", "node_mem_used_bp", "node_mem_free_bp", "active_mem_bp", "inactive_mem_bp",
               "node_memcg_used_bp", "node_memcg_free_bp"] + ["node_eligible_mem_bp"] * paddr  # fmt: skip
    metric = draw(st.sampled_from(metrics))
    value = draw(st.integers(1, 10_000) if metric.endswith("_bp") else st.integers(1, ULONG_MAX))
    memcg = draw(st.integers(1, len(PATHS))) if "memcg" in metric else 0
    nid = draw(st.integers(0, 3)) if metric.startswith("node_") else 0
    return tm.Goal(metric, value, draw(_u64) if metric == "user_input" else 0, nid, memcg)


@st.composite
def filters(draw: st.DrawFn) -> tuple[tm.Filter, ...]:
    found = []
    kinds = ("addr", "target", "anon", "active", "memcg", "young", "hugepage_size", "unmapped")
    for kind in draw(st.lists(st.sampled_from(kinds), max_size=4)):
        arguments: dict[str, int] = {}
        low, high = sorted((draw(_u64), draw(_u64)))
        if kind == "addr":
            arguments = {"start_bytes": low, "end_bytes": high}
        elif kind == "target":
            arguments = {"target_idx": draw(st.integers(0, 9))}
        elif kind == "memcg":
            arguments = {"memcg_id": draw(st.integers(1, len(PATHS)))}
        elif kind == "hugepage_size":
            arguments = {"min_bytes": low, "max_bytes": high}
        found.append(tm.Filter(kind, draw(st.booleans()), draw(st.booleans()), **arguments))
    return tuple(found)


@st.composite
def scheme(draw: st.DrawFn, paddr: bool) -> tm.Scheme:
    quota = tm.Quota(
        ms=draw(_u64), sz_bytes=draw(_u64), reset_interval_ms=draw(_small | st.just(ULONG_MAX)),
        goals=tuple(draw(st.lists(goal(paddr), max_size=3))), goal_tuner=draw(st.sampled_from(("consist", "temporal"))),
        weights=draw(weights), fail_charge_num=draw(_u32), fail_charge_denom=draw(_u32),
    )  # fmt: skip
    metric = draw(st.sampled_from(("none", "free_mem_rate")))
    marks = tm.Watermarks(metric, *draw(st.tuples(_small, _small, _small, _small)))
    dests = () if paddr else tuple(tm.Dest(i, draw(_u32)) for i in range(draw(st.integers(0, 2))))
    return tm.Scheme(
        draw(st.sampled_from(ACTIONS)), draw(pattern()), draw(_small), draw(st.integers(-1, 3)), quota, marks,
        draw(filters()), dests, max_nr_snapshots=draw(_small),
    )  # fmt: skip


@st.composite
def context(draw: st.DrawFn) -> tm.Context:
    paddr = draw(st.booleans())
    unit = draw(st.sampled_from((1, 4096))) if paddr else 1
    sample = draw(st.integers(1, 10_000))
    attrs = tm.Attrs(
        sample, sample * draw(st.integers(1, 100)), draw(_small), draw(st.integers(3, 10)), draw(st.integers(10, 999)),
        tm.IntervalsGoal(draw(st.integers(0, 10_000)), draw(st.integers(0, 3)), 0, sample + draw(_small)),
    )  # fmt: skip
    spans = [(i * GIB // unit, (i * GIB + draw(st.integers(1, 99)) * 4096) // unit) for i in range(draw(st.integers(1, 3)))]
    if paddr:
        targets: tuple[tm.Target, ...] = (tm.Target(tuple(spans)),)
    else:
        targets = tuple(tm.Target(t) for t in draw(st.lists(st.sampled_from([(), tuple(spans)]), min_size=1, max_size=2)))
    return tm.Context(
        "paddr" if paddr else draw(st.sampled_from(("vaddr", "fvaddr"))), attrs, targets,
        tuple(draw(st.lists(scheme(paddr), max_size=3))), unit, max(4096 // unit, 1) if paddr else 4096,
    )  # fmt: skip


def scenario(*contexts: tm.Context) -> tm.Scenario:
    """Return a scenario around contexts: 1 GiB on either of two nodes, half in use and mapped."""
    machine = tm.Machine.dram_cxl("1 GiB", "1 GiB")
    n = GIB // 4096
    return tm.Scenario(machine, tm.Workload(n, vmas=(tm.Vma(0, n, 1 << 40),)), contexts)
