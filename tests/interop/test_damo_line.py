"""A damo start line is translated by the real damo, never run, and what damo drops is put back or refused."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

import pytest

import tieringmodel as tm
from tieringmodel.interop.damo import program as damo_program
from tieringmodel.interop.damo.json import read_damo
from tieringmodel.interop.damo.line import read_damo_line, split
from tieringmodel.interop.load import open_scenario
from tieringmodel.interop.sysfs.read import Dump
from tieringmodel.units import UINT_MAX, ULONG_MAX

MACHINE = tm.Machine.dram_cxl("1 GiB", "2 GiB", start_bytes=1 << 30)


def read(line: str) -> Dump:
    return read_damo_line(shlex.split(line), MACHINE)


def test_the_tiering_script_s_kind_of_line() -> None:
    dump = read(
        "sudo damo start --ops paddr --numa_node 0 --damos_action migrate_cold 1 --damos_access_rate 0% 0% "
        "--damos_apply_interval 1s --damos_quota_interval 1s --damos_quota_space 200MB "
        "--damos_quota_goal node_mem_free_bp 0.5% 0 --damos_filter reject young --monitoring_intervals_goal 4% 3 5ms 10s "
        "--ops paddr --numa_node 1 --damos_action migrate_hot 0 --damos_access_rate 5% max "
        "--damos_apply_interval 1s --damos_quota_interval 1s --damos_quota_space 200MB "
        "--damos_quota_goal node_mem_used_bp 99.7% 0 --damos_filter allow young --monitoring_intervals_goal 4% 3 5ms 10s "
        "--nr_targets 1 1 --nr_schemes 1 1 --nr_ctxs 1 1 --damos_nr_quota_goals 1 1 --damos_nr_filters 1 1"
    )
    first, second = dump.contexts
    assert first.targets[0].regions == ((1 << 30, 2 << 30),)
    assert second.targets[0].regions == ((2 << 30, 4 << 30),)
    assert first.attrs == tm.Attrs(update_us=1_000_000, intervals_goal=tm.IntervalsGoal(400, 3, 5_000, 10_000_000))
    demote = first.schemes[0]
    assert demote.access_pattern == tm.AccessPattern(max_nr_accesses=0)
    assert (demote.apply_interval_us, demote.target_nid) == (1_000_000, 1)
    assert demote.quota.goals == (tm.Goal("node_mem_free_bp", 50),)
    assert (demote.quota.sz_bytes, demote.quota.reset_interval_ms) == (200 << 20, 1_000)
    assert demote.filters == (tm.Filter("young"),)
    promote = second.schemes[0]
    assert promote.access_pattern == tm.AccessPattern(min_nr_accesses=1)
    assert promote.quota.goals == (tm.Goal("node_mem_used_bp", 9_970),)
    assert promote.filters == (tm.Filter("young", allow=True),)


def test_defaults_and_fractions() -> None:
    scheme = read("damo start -r 1G-2G --damos_action stat --damos_access_rate 33.4% 66.7%").contexts[0].schemes[0]
    assert scheme.access_pattern == tm.AccessPattern(min_nr_accesses=6, max_nr_accesses=13)
    assert scheme.quota == tm.Quota(reset_interval_ms=ULONG_MAX)
    assert (scheme.access_pattern.max_age, scheme.access_pattern.max_sz_bytes) == (UINT_MAX, ULONG_MAX)


@pytest.mark.parametrize("line", ["damo start", "damo start paddr", "damo start --ops paddr --debug_damon"])
def test_ranges_of_the_machine_that_damo_runs_on_do_not_leak(line: str) -> None:
    dump = read(line)
    assert dump.contexts[0].targets == (tm.Target(((1 << 30, 4 << 30),)),)
    assert any("no range is given" in note for note in dump.notes)
    assert any("translated by damo 3.4.3" in note for note in dump.notes)


def test_an_address_unit_scales_the_nodes_ranges() -> None:
    context = read("damo start --ops paddr --damon_addr_unit 4K --numa_node 1").contexts[0]
    assert context.targets[0].regions == ((2 << 18, 4 << 18),)
    assert (context.addr_unit, context.min_region_sz) == (4096, 1)


def test_processes_and_marked_lines() -> None:
    dump = read("damo start --ops vaddr --target_pid 5 --damon_target --target_pid 6")
    assert dump.contexts[0].targets == (tm.Target(), tm.Target())
    assert dump.pids == ((5, 6),)
    assert read("damo start 17").pids == ((17,),)
    weighted = read("damo start 17 --damos_action migrate_hot 0 3 1 2").contexts[0].schemes[0]
    assert weighted.dests == (tm.Dest(0, 3), tm.Dest(1, 2))


def test_the_limit_of_snapshots_that_damo_does_not_print_is_kept() -> None:
    first, second = (
        read("damo start -r 1G-2G --damos_action stat --damos_max_nr_snapshots 5 --damos_action lru_prio --nr_schemes 2")
        .contexts[0]
        .schemes
    )
    assert (first.max_nr_snapshots, second.max_nr_snapshots) == (5, 0)


GOAL = "damo start --numa_node 1 --damos_action migrate_hot 0 --damos_quota_interval 1s --damos_quota_goal node_eligible_mem_bp"


def test_the_nid_that_damo_drops_is_kept_and_told() -> None:
    dump = read(f"{GOAL} 4000 1")
    assert dump.contexts[0].schemes[0].quota.goals == (tm.Goal("node_eligible_mem_bp", 4_000, nid=1),)
    assert any("drops the nid" in note for note in dump.notes)
    assert not any("drops the nid" in note for note in read(f"{GOAL} 4000 0").notes)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (f"{GOAL} 4000", "names no node.*write the nid"),
        (f"{GOAL} 40% 1", "damo 3.4.3 refuses the line"),
        ("damo start 'touch EXECUTED'", "would run it as a command"),
        ("damo start ./x.json", "parameter file"),
        ("damo start --target_pid 'sleep 1'", "no process id"),
        ("damo start --target_pid=x", "no process id"),
        ("damo start --out x", "no option that can be translated"),
        ("damo start --ou x", "no option that can be translated"),
        ("damo start --add x", "no option that can be translated"),
        ("damo start -rx", "no option"),
        ("damo start paddr 5", "stand alone"),
        ("damo start --numa_node 7", "node 7 is not in the machine"),
        ("damo start --numa_node 0 -r 1G-2G", "stands beside"),
        ("damo start --monitoring_intervals 5ms 100ms", "has 2 values, it takes 3"),
        ("damo start --damos_action", "has 0 values"),
        ("damo stop", "no 'damo start"),
        ("ls -l", "no 'damo start"),
        ("damo start --damos_action stat --damos_filter allow anon --damos_filter reject yung",
         "--damos_filter reject yung.*refuses"),
        ("damo start --damos_action stat --damos_action stat --damos_filter allow anon --damos_filter reject young",
         "which of 2 schemes"),
        ("damo schemes --damos_acton stat", "damo schemes --damos_acton.*did you mean --damos_action"),
        ("damo start --schemes {}", "no list of schemes"),
        ("damo start --ops nonsense", "refuses the line"),
        ("damo start -r 1G-2G --damos_action migrate_ho 0", "'migrate_ho' is no action; did you mean 'migrate_hot'"),
        # Three schemes' options, two quotas: damo gives them to the first two schemes.
        ("damo start --kdamond --damon_ctx --ops paddr --damon_target -r 1G-2G --damos_scheme --damos_action stat "
         "--kdamond --damon_ctx --ops paddr --damon_target -r 2G-3G --damos_scheme --damos_action stat "
         "--damos_quota_interval 1s --damos_quota_goal user_input 3 1", "the n-th scheme"),
    ],
)  # fmt: skip
def test_refusals(line: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(tm.InputError, match=said):
        read(line)
    assert not list(tmp_path.iterdir())


def test_equal_signs_split_options() -> None:
    assert [(o.name, o.values) for o in split(["damo", "start", "--ops=paddr", "--numa_node=0", "1"])] == [
        ("--ops", ("paddr",)), ("--numa_node", ("0", "1")),
    ]  # fmt: skip


def test_without_damo_the_remedy_is_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(damo_program, "damo_path", lambda: None)
    with pytest.raises(tm.InputError, match=r"not installed; pip install 'tieringmodel\[damo\]'"):
        damo_program.run_damo("version")


def test_who_is_not_root_gets_a_namespace_or_the_reason(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    refusing = tmp_path / "unshare"
    refusing.write_text("#!/bin/sh\necho 'unshare: unshare failed: Operation not permitted' >&2\nexit 1\n")
    refusing.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(tm.InputError, match="allows no user namespace"):
        damo_program.damo_args(("--ops", "paddr", "--damos_action", "cold"))


def test_a_namespace_hides_this_kernel_s_damon(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    fake = tmp_path / "unshare"
    fake.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > {seen}\necho "{{}}"\n')
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert damo_program.run_damo("args", "damon", root=True).stdout == "{}\n"
    words = seen.read_text().splitlines()
    assert words[:3] == ["--user", "--map-root-user", "--mount"]
    assert "mount -t tmpfs none /sys/kernel/mm" in words[5]
    assert words[-2:] == ["args", "damon"]


def test_a_line_without_machine_assumes_one_that_has_its_nodes_and_addresses() -> None:
    loaded = open_scenario("damo start --numa_node 2 --damos_action migrate_hot 0")
    assert [n.nid for n in loaded.scenario.machine.nodes] == [0, 1, 2]
    assert loaded.scenario.contexts[0].targets[0].regions == ((2 << 30, 3 << 30),)
    assert loaded.notes[0].startswith("assumed: machine node0=1G,node1=1G,node2=1G (")
    loaded = open_scenario("damo start -r 4G-8G --damos_action migrate_hot 0")
    assert [(n.start_bytes >> 30, n.sz_bytes >> 30) for n in loaded.scenario.machine.nodes] == [(0, 4), (4, 4)]
    with_filter = "damo start --damos_action migrate_hot 1 --damos_filter allow addr 4G 8G"
    loaded = open_scenario(with_filter, machine=tm.Machine.dram_cxl("8 GiB", "8 GiB"))
    assert loaded.scenario.contexts[0].targets[0].regions == ((0, 16 << 30),)
    assert "machine" not in loaded.notes[0]
    assert loaded.notes[0].endswith("(--workload replaces it)")


def test_several_filters_of_a_scheme_are_translated_one_by_one() -> None:
    one = read("damo start -r 1G-2G --damos_action stat --damos_filter allow anon --damos_filter reject none memcg /a").context
    assert one.schemes[0].filters == (tm.Filter("anon", allow=True), tm.Filter("memcg", matching=False, memcg_id=1))
    actions = "damo start -r 1G-2G --damos_action stat --damos_action pageout"
    for line in (
        f"{actions} --damos_filter allow anon --damos_filter reject young --damos_filter allow young --damos_nr_filters 2 1",
        "damo start --kdamond --damon_ctx --damon_target -r 1G-2G --damos_scheme --damos_action stat --damos_filter allow anon "
        "--damos_filter reject young --damos_scheme --damos_action pageout --damos_filter allow young",
    ):
        first, second = read(line).context.schemes
        assert first.filters == (tm.Filter("anon", allow=True), tm.Filter("young"))
        assert second.filters == (tm.Filter("young", allow=True),)


def test_other_commands_and_sudo_with_options(tmp_path: Path) -> None:
    options = "-r 1G-2G --damos_action pageout -s 1ms -a 50ms"
    plain = read(f"damo start {options}")
    for line in (f"sudo -E damo tune {options}", f"sudo -u root A=1 /usr/bin/damo schemes {options}"):
        assert read(line).contexts == plain.contexts
    recorded = read(f"damo record {options} -o x.data --timeout 5")
    assert recorded.contexts == plain.contexts
    assert [n for n in recorded.notes if "left out" in n] == [
        f"damo record {name}: is left out, it does not shape what DAMON is told" for name in ("-o", "--timeout")
    ]
    assert open_scenario("sudo -E damo record paddr --timeout 5").duration_s == 5.0
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "x.damo").write_text("damo schemes --numa_node 1 --schemes ../s.json")
    with pytest.raises(tm.InputError, match="leads out of"):
        open_scenario(tmp_path / "in" / "x.damo")
    older = """[{"action": "migrate_hot", "target_nid": 0, "access_pattern": {"sz_bytes": {"min": "min", "max": "max"},
        "nr_accesses": {"min": 2, "max": "max"}, "nr_accesses_unit": "sample_intervals", "age": {"min": 0, "max": "3 s"}}}]"""
    (tmp_path / "s.json").write_text(older)
    (scheme,) = open_scenario(tmp_path / "in" / "x.damo", allow_files=True).scenario.contexts[0].schemes
    assert scheme.access_pattern == tm.AccessPattern(min_nr_accesses=2, max_age=30)


def test_no_node_is_said_in_words() -> None:
    data = {
        "kdamonds": [
            {
                "contexts": [
                    {
                        "targets": [{"regions": []}],
                        "schemes": [{"quotas": {"goals": [{"metric": "node_mem_used_bp", "nid": -1, "target_value": 1}]}}],
                    }
                ]
            }
        ]
    }
    with pytest.raises(tm.InputError, match=r"goals\[0\].nid: -1 is no node here"):
        read_damo(data)
