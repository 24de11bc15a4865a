"""Scenarios in and out: every refusal names the path, the value and what to do; what is written is read back equal."""

from __future__ import annotations

import json

import pytest
from good import GOOD, MISSING, PAGE, changed
from hypothesis import HealthCheck, given, settings
from scenarios import scenarios

from tieringmodel.errors import InputError, KernelRefusal
from tieringmodel.scenario import Goal, Quota, Scenario
from tieringmodel.simulation.engine import Engine

SCHEME = "contexts[0].schemes[0]"
GOAL = f"{SCHEME}.quota.goals[0]"


def at(path):
    """Where an error at this path is reported: ``a[0].b``."""
    return "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in path).removeprefix(".")


S = ("contexts", 0, "schemes", 0)
G = (*S, "quota", "goals", 0)
A = ("contexts", 0, "attrs")

# What Linux answers with EINVAL.
REFUSED_BY_THE_KERNEL = [
    ((*A,), {"min_nr_regions": 2}, "contexts[0].attrs.min_nr_regions"),
    ((*A,), {"min_nr_regions": 1001}, "contexts[0].attrs.max_nr_regions"),
    ((*A,), {"sample_us": 200_000}, "contexts[0].attrs.sample_us"),
    ((*A,), {"intervals_goal": {"aggrs": 3, "min_sample_us": 6000, "max_sample_us": 9000}}, "contexts[0].attrs.sample_us"),
    (("contexts", 0, "min_region_sz"), 5000, "contexts[0].min_region_sz"),
    (("contexts", 0, "min_region_sz"), 0, "contexts[0].min_region_sz"),
    (("contexts", 0, "addr_unit"), 0, "contexts[0].addr_unit"),
    (("contexts", 0, "targets"), [{}, {}], "contexts[0].targets"),
    (("contexts", 0, "targets"), [], "contexts[0].targets"),
    (("contexts", 0, "targets", 0, "regions"), [[5, 5]], "contexts[0].targets[0].regions[0]"),
    (("contexts", 0, "targets", 0, "regions"), [[0, PAGE + 1], [PAGE + 2, 9 * PAGE]], "contexts[0].targets[0].regions[1]"),
    (("contexts", 0, "targets", 0, "regions"), [[PAGE, 2 * PAGE], [0, PAGE]], "contexts[0].targets[0].regions[1]"),
    ((*G, "target_value"), 0, f"{GOAL}.target_value"),
    ((*S, "filters", 0), {"type": "addr", "start_bytes": 2, "end_bytes": 1}, f"{SCHEME}.filters[0].end_bytes"),
    ((*S, "filters", 0), {"type": "hugepage_size", "min_bytes": 2, "max_bytes": 1}, f"{SCHEME}.filters[0].max_bytes"),
]  # fmt: skip


@pytest.mark.parametrize(("path", "value", "where"), REFUSED_BY_THE_KERNEL)
def test_refusals_of_the_kernel(path, value, where):
    with pytest.raises(KernelRefusal, match="EINVAL") as caught:
        Scenario.from_dict(changed(path, value))
    assert caught.value.where == where
    assert caught.value.remedy


def test_eligible_memory_needs_physical_addresses():
    data = changed((*G, "metric"), "node_eligible_mem_bp")
    assert Scenario.from_dict(data)
    data["contexts"][0]["ops"] = "vaddr"
    with pytest.raises(KernelRefusal, match=r"EINVAL") as caught:
        Scenario.from_dict(data)
    assert caught.value.where == f"{GOAL}.metric"


UNKNOWN_KEYS = [
    (("machin",), r"^machin: is not a known key; did you mean 'machine'\? known: machine, workload, contexts"),
    (("machine", "node"), r"^machine\.node: is not a known key; did you mean 'nodes'\?"),
    (
        ("machine", "nodes", 1, "size"),
        r"^machine\.nodes\[1\]\.size: is not a known key; .*known: nid, start_bytes, sz_bytes",
    ),
    (("workload", "groups", 0, "rate"), r"^workload\.groups\[0\]\.rate: .*did you mean 'rate_hz'\?"),
    ((*A, "aggr_interval"), r"^contexts\[0\]\.attrs\.aggr_interval: .*known: sample_us, aggr_us, update_us"),
    ((*S, "quotas"), r"^contexts\[0\]\.schemes\[0\]\.quotas: .*did you mean 'quota'\?"),
    ((*G, "nod"), r"^contexts\[0\]\.schemes\[0\]\.quota\.goals\[0\]\.nod: .*did you mean 'nid'\?"),
    ((*S, "filters", 0, "address"), r"filters\[0\]\.address: is not a known key"),
]


@pytest.mark.parametrize(("path", "message"), UNKNOWN_KEYS)
def test_unknown_keys(path, message):
    data = changed(A, {path[-1]: 1}) if path[:3] == A else changed(path, 1)
    with pytest.raises(InputError, match=message):
        Scenario.from_dict(data)


MISSING_KEYS = [
    ("machine",),
    ("workload",),
    ("machine", "nodes"),
    ("machine", "nodes", 0, "nid"),
    ("machine", "nodes", 1, "sz_bytes"),
    ("workload", "n_pages"),
    ("workload", "groups", 0, "hi"),
    (*G, "metric"),
    (*G, "target_value"),
    (*S, "filters", 0, "type"),
    (*S, "dests", 0, "weight"),
]


@pytest.mark.parametrize("path", MISSING_KEYS)
def test_missing_keys(path):
    with pytest.raises(InputError, match="is missing") as caught:
        Scenario.from_dict(changed(path, MISSING))
    assert caught.value.where == at(path)


BAD_VALUES = [
    # machine
    (("machine", "nodes"), [], "machine.nodes", "is empty"),
    (("machine", "hz"), 0, "machine.hz", "0 is no tick rate"),
    (("machine", "hz"), 2_000_000, "machine.hz", "outside 0..1000000"),
    (("machine", "allocator"), "next", "machine.allocator", "'next' is unknown"),
    (("machine", "on_full"), "wait", "machine.on_full", "known: stop_run, try_all"),
    (("machine", "shared_split_state"), 2, "machine.shared_split_state", "is not true or false"),
    (("machine", "nodes", 0, "sz_bytes"), 65 * PAGE, "machine.nodes[1].start_bytes", "overlaps the node before"),
    (("machine", "nodes", 0, "sz_bytes"), 0, "machine.nodes[0].sz_bytes", "is empty"),
    (("machine", "nodes", 0, "sz_bytes"), 100, "machine.nodes[0].sz_bytes", "not a multiple of 4096"),
    (("machine", "nodes", 0, "sz_bytes"), "lots", "machine.nodes[0].sz_bytes", "'lots' is not understood"),
    (("machine", "nodes", 0, "sz_bytes"), -PAGE, "machine.nodes[0].sz_bytes", "outside 0"),
    (("machine", "nodes", 0, "sz_bytes"), 1.5, "machine.nodes[0].sz_bytes", "1.5 is not a whole number"),
    (("machine", "nodes", 0, "sz_bytes"), True, "machine.nodes[0].sz_bytes", "True is not a whole number"),
    (("machine", "nodes", 1, "nid"), 0, "machine.nodes", "share a nid"),
    (("machine", "nodes", 1, "nid"), -1, "machine.nodes[1].nid", "outside 0..1023"),
    (("machine", "nodes", 1, "cache_bytes"), 65 * PAGE, "machine.nodes[1].cache_bytes", "exceed the node"),
    (("machine", "nodes", 1), 7, "machine.nodes[1]", "is not a table"),
    (("machine", "nodes"), "two", "machine.nodes", "is not a list"),
    # workload
    (("workload", "n_pages"), 129, "workload.n_pages", None),
    (("workload", "n_pages"), 2**52 + 1, "workload.n_pages", "outside 0"),
    (("workload", "groups", 0, "hi"), 0, "workload.groups[0].hi", "not above lo"),
    (("workload", "groups", 0, "hi"), 101, "workload.groups[0]", "beyond the workload's 100 pages"),
    (("workload", "groups", 0, "kind"), "zipf", "workload.groups[0].kind", "'zipf' is unknown"),
    (("workload", "groups", 0, "rate_hz"), -1, "workload.groups[0].rate_hz", "is negative"),
    (("workload", "groups", 0, "rate_hz"), float("nan"), "workload.groups[0].rate_hz", "is not finite"),
    (("workload", "groups", 0, "rate_hz"), "fast", "workload.groups[0].rate_hz", "'fast' is not a number"),
    (("workload", "groups", 0, "period"), 0, "workload.groups[0].period", "is 0"),
    (("workload", "groups", 0, "stride"), 0, "workload.groups[0].stride", "is 0"),
    (("workload", "groups", 0, "threshold"), 2**32 + 1, "workload.groups[0].threshold", "outside 0..4294967296"),
    (("workload", "placement", 1, "lo"), 39, "workload.placement", "page 39 is placed twice"),
    (("workload", "placement", 1, "lo"), 41, "workload.placement", "page 40 is placed nowhere"),
    (("workload", "placement", 1, "hi"), 99, "workload.placement", "page 99 is placed nowhere"),
    (("workload", "placement", 1, "hi"), 120, "workload.placement[1]", "beyond the workload's 100 pages"),
    (("workload", "placement", 1, "nid"), 4, "workload.placement[1].nid", "node 4 is not in the machine"),
    (("workload", "vmas", 0, "hi"), 200, "workload.vmas[0]", "beyond"),
    # contexts
    ((*A,), {"sample_us": 0}, "contexts[0].attrs.sample_us", "never advance"),
    ((*A,), {"sample_us": "5 parsecs"}, "contexts[0].attrs.sample_us", "is not understood"),
    (("contexts", 0, "ops"), "saddr", "contexts[0].ops", "'saddr' is unknown"),
    (("contexts", 0, "aggr_times_us"), [5, 5], "contexts[0].aggr_times_us", "does not increase"),
    (("contexts", 0, "aggr_sampled_us"), [5], "contexts[0].aggr_sampled_us", "has 1 entries"),
    (("contexts", 0, "rng_seed"), -1, "contexts[0].rng_seed", "outside 0"),
    (("contexts", 0, "targets", 0, "regions"), [[1, 2, 3]], "contexts[0].targets[0].regions[0]", "has 3 entries"),
    # schemes
    ((*S, "action"), "migrate", f"{SCHEME}.action", "did you mean 'migrate_hot'"),
    ((*S, "access_pattern"), {"max_age": 2**32}, f"{SCHEME}.access_pattern.max_age", "outside 0..4294967295"),
    ((*S, "quota", "goal_tuner"), "pid", f"{SCHEME}.quota.goal_tuner", "known: consist, temporal"),
    ((*S, "quota", "reset_interval_ms"), "1.5 ms", f"{SCHEME}.quota.reset_interval_ms", "not a whole number of milli"),
    ((*S, "quota", "sz_bytes"), 2**64, f"{SCHEME}.quota.sz_bytes", "outside 0"),
    ((*G, "target_value"), 50_000, f"{GOAL}.target_value", "50000 bp is over 10000; did you mean 5000?"),
    ((*G, "target_value"), 10**9, f"{GOAL}.target_value", "write 1..10000"),
    ((*G, "clamp"), "always", f"{GOAL}.clamp", "'always' is unknown"),
    ((*G, "metric"), 5, f"{GOAL}.metric", "5 is not text"),
    ((*G,), {"metric": "user_input", "target_value": 9, "complement": True}, f"{GOAL}.complement", "needs a share in bp"),
    ((*S, "filters", 0, "type"), "cgroup", f"{SCHEME}.filters[0].type", "'cgroup' is unknown"),
    ((*S, "filters", 0, "matching"), "yes", f"{SCHEME}.filters[0].matching", "is not true or false"),
    ((*S, "dests", 0, "weight"), -1, f"{SCHEME}.dests[0].weight", "outside 0..4294967295"),
    ((*S, "dest_rule"), "rank", f"{SCHEME}.dest_rule", "known: vma_offset"),
    ((*S, "target_nid"), -(2**40), f"{SCHEME}.target_nid", "outside -2147483648"),
]  # fmt: skip


@pytest.mark.parametrize(("path", "value", "where", "what"), BAD_VALUES)
def test_bad_values(path, value, where, what):
    if what is None:  # the placement must cover the larger workload first
        data = changed(path, value)
        data["workload"]["placement"] = []
        what = "129 pages exceed the machine's 128 free frames"
    else:
        data = changed(path, value)
    with pytest.raises(InputError) as caught:
        Scenario.from_dict(data)
    assert caught.value.where == where
    assert what in str(caught.value)
    assert caught.value.remedy


def test_the_good_scenario_is_good():
    scenario = Scenario.from_dict(GOOD)
    Engine(scenario).run_lockstep(45)
    assert Scenario.from_dict(scenario.to_dict()) == scenario


def test_an_unknown_metric_is_named_when_a_scenario_is_made():
    with pytest.raises(InputError, match="'node_mem_usage' is not a goal metric; did you mean 'node_mem_used_bp'") as caught:
        Scenario.from_dict(changed((*G, "metric"), "node_mem_usage"))
    assert caught.value.where == f"{GOAL}.metric"


def test_virtual_addresses_need_mappings():
    data = changed(("contexts", 0, "ops"), "fvaddr")
    data["workload"]["vmas"] = []
    with pytest.raises(InputError, match="needs mappings") as caught:
        Scenario.from_dict(data)
    assert caught.value.where == "contexts[0].ops"


def test_units_are_read():
    data = changed(("machine", "nodes", 0, "sz_bytes"), "256 KiB")
    data["contexts"][0]["attrs"] = {"sample_us": "5 ms", "aggr_us": "0.1 s"}
    data["contexts"][0]["schemes"][0]["quota"] |= {"sz_bytes": "200 MB", "reset_interval_ms": "1 s", "ms": 10}
    data["contexts"][0]["schemes"][0]["access_pattern"] = {"max_sz_bytes": "max", "min_nr_accesses": "0x2"}
    scenario = Scenario.from_dict(data)
    scheme = scenario.contexts[0].schemes[0]
    assert scenario.machine.nodes[0].sz_bytes == 64 * PAGE
    assert (scenario.contexts[0].attrs.sample_us, scenario.contexts[0].attrs.aggr_us) == (5000, 100_000)
    assert (scheme.quota.sz_bytes, scheme.quota.reset_interval_ms, scheme.quota.ms) == (200_000_000, 1000, 10)
    assert (scheme.access_pattern.max_sz_bytes, scheme.access_pattern.min_nr_accesses) == (2**64 - 1, 2)


@given(scenarios())
@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
def test_toml_and_json_round_trips(data):
    scenario = Scenario.from_dict(data)
    assert Scenario.from_toml(scenario.to_toml()) == scenario
    assert Scenario.from_json(scenario.to_json()) == scenario
    assert Scenario.from_dict(json.loads(scenario.to_json())).to_json() == scenario.to_json()


@pytest.mark.parametrize("value", [2**63 - 1, 2**63, 2**63 + 12_345, 2**64 - 2, 2**64 - 1])
@pytest.mark.parametrize("name", ["sz_bytes", "ms", "reset_interval_ms"])
def test_numbers_beyond_toml_integers(name, value):
    scenario = Scenario.from_dict(changed((*S, "quota"), {name: value}))
    assert Scenario.from_toml(scenario.to_toml()) == scenario
    assert Quota.from_dict(Quota(**{name: value}).to_dict()) == Quota(**{name: value})


@pytest.mark.parametrize("value", [2**63, 2**64 - 1])
@pytest.mark.parametrize("name", ["aggr_us", "update_us"])
def test_times_beyond_toml_integers(name, value):
    scenario = Scenario.from_dict(changed(A, {name: value}))
    assert Scenario.from_toml(scenario.to_toml()) == scenario


def test_a_file_is_named_when_it_is_not_toml(tmp_path):
    path = tmp_path / "broken.toml"
    path.write_text("[machine\n")
    with pytest.raises(InputError, match=r"broken\.toml: is not valid TOML: .*line 1"):
        Scenario.from_toml(path)


@pytest.mark.parametrize(("metric", "text", "number"), [
    ("node_mem_used_bp", "99.7 %", 9970), ("node_sys_bp:v1-intent-share", "40 %", 4000), ("active_mem_bp", "250 bp", 250),
    ("user_input", "250", 250),
])  # fmt: skip
def test_a_share_s_target_may_have_a_unit(metric: str, text: str, number: int) -> None:
    assert Goal(metric, text) == Goal(metric, number)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("metric", "text"), [("user_input", "40 %"), ("node_mem_used_bp", "4 MiB"), ("active_mem_bp", "0.001 %")]
)
def test_a_target_without_such_a_unit_is_refused(metric: str, text: str) -> None:
    with pytest.raises(InputError, match="target_value"):
        Goal(metric, text)  # type: ignore[arg-type]
