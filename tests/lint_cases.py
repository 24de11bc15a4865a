"""Small scenarios that have nothing to complain about, and what the tests of lint ask of findings."""

from __future__ import annotations

from tieringmodel.linting import Finding, lint
from tieringmodel.scenario import (
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
    Weights,
    Workload,
)

MIB = 1 << 20
PAGE = 4096
NODE_PAGES = 256 * MIB // PAGE
HOT = 20_000
PAGES = 60_000
HOT_PATTERN = AccessPattern(min_nr_accesses=5)
COLD_PATTERN = AccessPattern(max_nr_accesses=0)


def machine(**first: object) -> Machine:
    """Return two nodes of 256 MiB."""
    return Machine((Node(0, 0, 256 * MIB).replace(**first), Node(1, 256 * MIB, 256 * MIB)))


def workload(on_0: int = 30_000, **changes: object) -> Workload:
    """Return 20000 hot pages and 40000 idle ones, the first `on_0` of them on node 0."""
    places = tuple(p for p in ((0, on_0, 0), (on_0, PAGES, 1)) if p[0] < p[1])
    base = Workload(PAGES, (Group(0, HOT, rate_hz=400.0, name="hot"),), tuple(Placement(*p) for p in places))
    return base.replace(**changes)


def only(node: int) -> tuple[Filter, ...]:
    """Return the filter that lets a node's addresses pass."""
    return (Filter("addr", allow=True, start_bytes=node * 256 * MIB, end_bytes=(node + 1) * 256 * MIB),)


def quota(*goals: Goal, sz: int = MIB, tuner: str = "temporal", **changes: object) -> Quota:
    """Return a quota of 1 MiB per second with goals."""
    base = Quota(sz_bytes=sz, reset_interval_ms=1000, goals=goals, goal_tuner=tuner, weights=Weights(0, 1, 1))
    return base.replace(**changes)


def move(to: int, limit: Quota, action: str = "migrate_hot", **changes: object) -> Scheme:
    """Return a migration of hot (or idle) memory to a node from the other one."""
    pattern = HOT_PATTERN if action == "migrate_hot" else COLD_PATTERN
    base = Scheme(action, pattern, 1_000_000, to, limit, filters=only(int(to == 0)))
    return base.replace(**changes)


def eligible(nid: int, bp: int, **changes: object) -> Goal:
    """Return a goal about the share of eligible memory."""
    return Goal("node_eligible_mem_bp", bp, nid=nid).replace(**changes)


def used(bp: int, nid: int = 0) -> Goal:
    """Return a goal about used memory."""
    return Goal("node_mem_used_bp", bp, nid=nid)


def free(bp: int, nid: int = 0) -> Goal:
    """Return a goal about free memory."""
    return Goal("node_mem_free_bp", bp, nid=nid)


def scenario(*schemes: Scheme, **changes: object) -> Scenario:
    """Return a scenario with one paddr context."""
    return Scenario(machine(), workload(), (context(*schemes),)).replace(**changes)


def context(*schemes: Scheme, **changes: object) -> Context:
    """Return a context with 20 samples per aggregation of 100 ms."""
    return Context(attrs=Attrs(), schemes=schemes).replace(**changes)


def found(sc: Scenario, code: str) -> list[Finding]:
    """Return the findings with a code."""
    return [f for f in lint(sc) if f.code == code]


def one(sc: Scenario, code: str) -> Finding:
    """Return the only finding with a code."""
    findings = found(sc, code)
    assert len(findings) == 1, findings
    return findings[0]


def codes(sc: Scenario) -> set[str]:
    """Return the codes of all findings."""
    return {f.code for f in lint(sc)}
