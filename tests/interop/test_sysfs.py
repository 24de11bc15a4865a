"""Dumps of DAMON's sysfs tree: every shape of dump, Linux's rules, and refusals that name file and line."""

from pathlib import Path

import pytest

from tieringmodel.errors import InputError, KernelRefusal
from tieringmodel.interop.sysfs.read import read_dump
from tieringmodel.scenario import AccessPattern, Attrs, Context, Dest, Filter, Goal, Quota, Scheme, Target, Weights
from tieringmodel.scenario.metrics import SHIPPED

RECORDINGS = Path(__file__).parents[2] / "data" / "recordings"
C3 = RECORDINGS / "C3_pullpush_temporal" / "damon_config.txt"
ROOT = "/sys/kernel/mm/damon/admin/kdamonds/0/contexts/0/"
FOUND = AccessPattern(min_nr_accesses=5)


def pull_push(nid, target_value, low, high):
    return Scheme(
        "migrate_hot", FOUND, 1_000_000, nid,
        Quota(0, 16 << 20, 1_000, (Goal("node_eligible_mem_bp", target_value, nid=nid),), "temporal",
              Weights(0, 100, 100)),
        filters=(Filter("addr", True, True, low, high),),
    )  # fmt: skip


EXPECTED = Context(
    "paddr", Attrs(50_000, 1_000_000, 60_000_000, 40, 300), (Target(((67_108_864, 1_609_564_160),)),),
    (pull_push(0, 6_000, 671_088_640, 1_610_612_736), pull_push(1, 4_000, 0, 671_088_640)),
)  # fmt: skip


def as_tree(root, text):
    for line in text.splitlines():
        path, _, value = line.partition(" ")
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(value.strip() + "\n")
    return root


def test_recorded_dump():
    dump = read_dump(C3)
    assert dump.context == EXPECTED
    assert (dump.notes, dump.memcg_paths, dump.pids) == ((), (), ((0,),))


@pytest.mark.parametrize(
    "prefix",
    [*("./", "", "kdamonds/0/contexts/0/", "./contexts/0/", "0/contexts/0/", "admin/kdamonds/0/contexts/0/"), ROOT],
)
def test_paths_may_start_anywhere(prefix):
    assert read_dump(C3.read_text().replace("./", prefix)).contexts == (EXPECTED,)


def test_separators_comments_and_blank_lines():
    text = C3.read_text().replace(" ", ":", 1).replace("./pause N", "# as `grep -r` writes it\n\n./pause:N")
    assert read_dump(text).context == EXPECTED


def test_a_copied_tree(tmp_path):
    assert read_dump(as_tree(tmp_path / "context", C3.read_text())).contexts == (EXPECTED,)
    admin = tmp_path / "admin"
    as_tree(admin / "kdamonds/0/contexts/0", C3.read_text())
    as_tree(admin / "kdamonds", "nr_kdamonds 1\n0/state on\n0/pid 77\n0/refresh_ms 0\n0/contexts/nr_contexts 1")
    assert read_dump(str(admin)).contexts == (EXPECTED,)
    (admin / "kdamonds/0/contexts/0/schemes/1/action").write_text("migrate_warm\n")
    with pytest.raises(KernelRefusal, match=r"EINVAL.*migrate_hot") as caught:
        read_dump(admin)
    assert caught.value.where.endswith("schemes/1/action")


def test_several_kdamonds():
    text = "kdamonds/nr_kdamonds 2\n" + C3.read_text().replace("./", "kdamonds/0/contexts/0/")
    text += (RECORDINGS / "B4_intervals_autotune/damon_config.txt").read_text().replace("./", "kdamonds/1/contexts/0/")
    dump = read_dump(text)
    assert dump.contexts[0] == EXPECTED
    assert dump.contexts[1].ops == "fvaddr"
    assert dump.pids == ((0,), (114,))
    with pytest.raises(InputError, match="2 contexts"):
        _ = dump.context


def test_what_is_left_out_has_linux_defaults():
    text = "operations vaddr\nschemes/nr_schemes 1\nschemes/0/action pageout\ntargets/nr_targets 0\n"
    nothing = AccessPattern(0, 0, 0, 0, 0, 0)
    assert read_dump(text).context == Context("vaddr", targets=(), schemes=(Scheme("pageout", nothing),))


def goal(text, ops="operations paddr"):
    """Return a dump with one scheme and the given lines below its quota."""
    return f"{ops}\ntargets/0/regions/0/start 0\ntargets/0/regions/0/end 0x1000000\n" + "".join(
        f"schemes/0/quotas/{line}\n" for line in text.splitlines()
    )


@pytest.mark.parametrize("metric", SHIPPED)
def test_metrics(metric):
    lines = f"target_metric {metric}", "target_value 400", "nid 1", "path /a", "current_value 3"
    text = "\n".join(f"goals/0/{line}" for line in lines)
    (found,) = read_dump(goal(text)).context.schemes[0].quota.goals
    assert found == Goal(metric, 400, 3, 1, memcg_id=1 if "memcg" in metric else 0)


def test_goals_without_target_are_dropped_and_told():
    text = "goals/nr_goals 2\ngoals/0/target_metric user_input\ngoals/1/target_value 7\n"
    text += "goals/1/target_metric node_mem_used_bp\ngoals/1/complement Y"
    dump = read_dump(goal(text))
    assert dump.context.schemes[0].quota.goals == (Goal("node_mem_used_bp", 7, complement=True),)
    dropped, later = dump.notes
    assert dropped.startswith("dump: schemes/0/quotas/goals/0/target_value: the goal user_input has target 0")
    assert later.startswith("dump:8: Linux 7.3.4 has no")


def test_control_groups_are_numbered_as_they_appear():
    lines = [
        "goals/0/target_metric node_memcg_used_bp", "goals/0/target_value 5000", "goals/0/path /b",
        "goals/1/target_metric node_memcg_free_bp", "goals/1/target_value 5000", "goals/1/path /a",
    ]  # fmt: skip
    text = goal("\n".join(lines)) + "schemes/0/filters/0/type memcg\nschemes/0/filters/0/memcg_path /a\n"
    dump = read_dump(text)
    scheme = dump.context.schemes[0]
    assert dump.memcg_paths == ("/b", "/a")
    assert [g.memcg_id for g in scheme.quota.goals] == [1, 2]
    assert scheme.filters == (Filter("memcg", matching=False, memcg_id=2),)
    with pytest.raises(KernelRefusal, match="ENOMEM"):
        read_dump(text.replace("memcg_path /a", "memcg_path "))


def test_filters_are_merged_core_ops_mixed():
    text = goal("ms 0")
    for folder, kinds in (("filters", "addr young"), ("ops_filters", "hugepage_size"), ("core_filters", "target addr")):
        for i, kind in enumerate(kinds.split()):
            text += f"schemes/0/{folder}/{i}/type {kind}\nschemes/0/{folder}/{i}/matching on\n"
            text += f"schemes/0/{folder}/{i}/max 0x200000\nschemes/0/{folder}/{i}/damon_target_idx 2\n"
            text += f"schemes/0/{folder}/{i}/addr_end 8192\n"
    assert read_dump(text).context.schemes[0].filters == (
        Filter("target", target_idx=2), Filter("addr", end_bytes=8192), Filter("hugepage_size", max_bytes=2 << 20),
        Filter("addr", end_bytes=8192), Filter("young"),
    )  # fmt: skip


def test_pattern_bounds_keep_32_bits_and_tell_it():
    text = goal("ms 0") + "schemes/0/access_pattern/age/max 18446744073709551615\nschemes/0/access_pattern/sz/max 9\n"
    text += "schemes/0/access_pattern/nr_accesses/max 4294967301\n"
    dump = read_dump(text)
    assert dump.context.schemes[0].access_pattern == AccessPattern(0, 9, 0, 5, 0, 2**32 - 1)
    assert ["4294967295" in note for note in dump.notes] == [False, True]


@pytest.mark.parametrize(
    ("ops", "unit", "expected"), [("paddr", 1, 4096), ("paddr", 512, 8), ("paddr", 8192, 1), ("vaddr", 512, 4096)]
)
def test_min_region_sz(ops, unit, expected):
    text = goal("ms 0").replace("paddr", ops) + f"addr_unit {unit}\n"
    context = read_dump(text).context
    assert (context.min_region_sz, context.addr_unit) == (expected, unit)


def test_destinations_watermarks_and_the_rest():
    text = goal("fail_charge_num 1\nfail_charge_denom 0x1000\nms 010\nbytes 123\nweights/sz_permil 5") + (
        "schemes/0/dests/0/id 1\nschemes/0/dests/0/weight 3\nschemes/0/dests/1/id 0\nschemes/0/dests/1/weight 2\n"
        "schemes/0/watermarks/metric free_mem_rate\nschemes/0/watermarks/interval_us 5\nschemes/0/watermarks/high 9\n"
        "schemes/0/stats/max_nr_snapshots 4\nschemes/0/target_nid -1\nmonitoring_attrs/probes/0/weight 0\npause Y\n"
        "schemes/0/tried_regions/0/start 5\nschemes/0/tried_regions/0/probes/0/hits 5\nschemes/0/stats/nr_tried 5\n"
        "targets/0/obsolete_target N\n"
    )
    dump = read_dump(text)
    scheme = dump.context.schemes[0]
    assert scheme.dests == (Dest(1, 3), Dest(0, 2))
    assert (scheme.watermarks.metric, scheme.watermarks.interval_us, scheme.watermarks.high) == ("free_mem_rate", 5, 9)
    assert (scheme.max_nr_snapshots, scheme.target_nid) == (4, -1)
    quota = scheme.quota
    assert (quota.fail_charge_num, quota.fail_charge_denom) == (1, 4096)
    assert (quota.ms, quota.sz_bytes, quota.weights.sz) == (8, 123, 5), "010 is octal"
    assert [word in note for word, note in zip(("paused", "observes"), dump.notes, strict=True)] == [True, True]


@pytest.mark.parametrize(
    ("line", "kind", "words"),
    [
        ("schemes/0/action migrate", KernelRefusal, "'migrate' (EINVAL); did you mean 'migrate_hot'"),
        ("operations phys", KernelRefusal, "vaddr, fvaddr, paddr"),
        ("schemes/0/quotas/goal_tuner pid", KernelRefusal, "consist, temporal"),
        ("schemes/0/quotas/goals/0/target_metric node_sys", KernelRefusal, "node_sys_bp"),
        ("schemes/0/watermarks/metric free", KernelRefusal, "free_mem_rate"),
        ("schemes/0/core_filters/0/type young", KernelRefusal, "known: addr, target"),
        ("schemes/0/ops_filters/0/type addr", KernelRefusal, "known: anon"),
        ("schemes/0/quotas/ms -1", KernelRefusal, "-1 (EINVAL)"),
        ("schemes/0/quotas/ms 18446744073709551616", KernelRefusal, "ERANGE"),
        ("schemes/0/quotas/weights/age_permil 4294967296", KernelRefusal, "ERANGE"),
        ("schemes/0/quotas/ms 1.5", KernelRefusal, "'1.5', not an integer"),
        ("schemes/0/quotas/ms 08", KernelRefusal, "not an integer"),
        ("schemes/0/quotas/ms", KernelRefusal, "'', not an integer"),
        ("pause maybe", KernelRefusal, "not a boolean"),
        ("addr_unit 0", KernelRefusal, "addr_unit is 0 (EINVAL)"),
        ("monitoring_attrs/nr_regions/min 2", KernelRefusal, "min_nr_regions 2 is below 3"),
        ("monitoring_attrs/intervals/sample_us 200000", KernelRefusal, "longer than aggr_us"),
        ("schemes/0/dests/0/id 5000", InputError, "outside 0..1023"),
        ("schemes/0/quotas/goals/0/target_value x", KernelRefusal, "not an integer"),
        ("contexts/nr_contexts 2", KernelRefusal, "one context"),
        ("contexts/1/pause N", KernelRefusal, "EINVAL"),
        ("nr_kdamonds 2", InputError, "holds 1"),
        ("targets/nr_targets 2", InputError, "dump the whole tree"),
        ("schemes/nr_schemes 2000000000", InputError, "dump the whole tree"),
        ("schemes/0/quotas/bites 1", InputError, "did you mean 'schemes/N/quotas/bytes'"),
        ("schemes/0/colour 1", InputError, "schemes/N/target_nid, schemes/N/apply_interval_us"),
        ("probes/0/weight 1", InputError, "monitoring_attrs/probes/N/weight"),
        ("monitoring_attrs/probes/0/weight 1", InputError, "not modelled"),
        ("schemes/0/quotas/bytes/ 1", InputError, "is no file of the tree"),
        ("schemes=1", InputError, "no 'path value' line"),
        ("targets/0/regions/0/start 0", InputError, "stands at dump:2 already"),
    ],
)
def test_refusals_name_the_line(line, kind, words):
    with pytest.raises(kind) as caught:
        read_dump(goal("reset_interval_ms 1", ops="") + line + "\n")
    assert caught.value.where == "dump:5"
    assert words in str(caught.value)


def test_refusals_of_whole_objects_name_the_first_file_they_can():
    base, addr = goal("reset_interval_ms 1"), "N/type addr\nN/addr_start 9\nN/addr_end 8\n"
    eligible = "goals/0/target_metric node_eligible_mem_bp"
    for text, words in [
        (base + addr.replace("N", "schemes/0/filters/0"), "dump:7:"),
        (base + "targets/1/regions/0/start 0\ntargets/1/regions/0/end 1\n", "targets/nr_targets"),
        (base.replace("0x1000000", "0"), "targets"),
        (goal(f"{eligible}\ngoals/0/target_value 1", ops="operations vaddr"), "needs paddr"),
        (base + "addr_unit 3\n", "dump:5: min_region_sz 1365 is not a power of two"),
        (goal("goals/0/target_metric node_mem_used_bp\ngoals/0/target_value 10001"), "dump:5:"),
    ]:
        with pytest.raises(InputError) as caught:
            read_dump(text)
        assert words in str(caught.value)


def test_targets():
    text = goal("ms 0")
    assert read_dump(text + "targets/1/obsolete_target Y\n").context.targets == (Target(((0, 1 << 24),)),)
    dump = read_dump("operations paddr\ntargets/nr_targets 1\ntargets/0/pid_target 0\n")
    assert dump.context.targets == (Target(),)
    assert "monitor nothing" in dump.notes[0]


def test_sources_that_are_not_dumps(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        read_dump(tmp_path / "none.txt")
    with pytest.raises(InputError, match="no context"):
        read_dump("\n")
    (tmp_path / "state").write_text("on")
    with pytest.raises(InputError, match="no context"):
        read_dump(tmp_path)
