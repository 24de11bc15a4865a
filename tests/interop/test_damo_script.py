"""Scripts of damo commands: start, and whole contexts that take over later; they are read, never run."""

from __future__ import annotations

from pathlib import Path

import pytest

import tieringmodel as tm
from tieringmodel.interop.damo.script import read_script
from tieringmodel.interop.load import open_scenario

PULL = "--numa_node 1 --damos_action migrate_hot 0 --damos_access_rate 5% max --damos_quota_interval 1s --damos_quota_space"
SCRIPT = f"""#!/bin/sh
# tiering, then less of it
damo start {PULL} 16M --damos_quota_goal node_mem_used_bp 60% 0
sleep 20
sudo damo tune {PULL} 4M \\
    --damos_quota_goal node_mem_used_bp 70% 0
   # a comment between
sleep 0.5m 500
damo tune --numa_node 1 --damos_action stat
  --monitoring_intervals 10ms 200ms 1s
"""


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "tier.sh"
    path.write_text(SCRIPT, encoding="utf-8")
    return path


def test_each_tune_is_a_commit_of_a_whole_context(script: Path) -> None:
    loaded = open_scenario(script)
    scenario = loaded.scenario
    assert scenario.name == "tier"
    assert [(c.at_us, c.context) for c in scenario.commits] == [(20_000_000, 0), (550_000_000, 0)]
    ((start,),) = (scenario.contexts,)
    first, second = (c.to for c in scenario.commits)
    assert [c.schemes[0].quota.sz_bytes for c in (start, first, second)] == [16 << 20, 4 << 20, 0]
    assert [c.schemes[0].quota.goals[0].target_value for c in (start, first)] == [6000, 7000]
    assert second.schemes[0].action == "stat"
    assert (second.attrs.sample_us, second.attrs.aggr_us) == (10_000, 200_000)
    assert {c.targets for c in (start, first, second)} == {start.targets}
    assert loaded.duration_s is None
    assert any(note.startswith("damo tune: translated by damo") for note in loaded.notes)
    tm.simulate(scenario.replace(commits=(scenario.commits[0].replace(at_us=300_000),)), duration=0.6, progress=False)


def test_damo_stop_says_how_long(script: Path) -> None:
    script.write_text(f"{SCRIPT}sleep 1h\ndamo stop\n", encoding="utf-8")
    assert open_scenario(script).duration_s == 4150


def test_the_machine_fits_what_comes_later(script: Path) -> None:
    script.write_text("damo start --damos_action stat\nsleep 1\ndamo tune --damos_action migrate_hot 3\n", encoding="utf-8")
    scenario = open_scenario(script).scenario
    assert [node.nid for node in scenario.machine.nodes] == [0, 1, 2, 3]


def test_a_line_over_several_lines_is_one_command_as_before() -> None:
    script = read_script("damo start --damos_action stat\n --numa_node 0\n\n# end\n", "x.damo")
    assert script.start.words == ("damo", "start", "--damos_action", "stat", "--numa_node", "0")
    assert script.tunes == ()
    times = read_script("damo start\nsleep 1 2m\n/usr/bin/damo tune paddr\nsleep 0.25\ndamo stop", "x")
    assert [(t.at_us, t.where) for t in times.tunes] == [(121_000_000, "x:3")]
    assert times.stop_us == 121_250_000


def test_control_groups_have_one_number_in_the_whole_script(tmp_path: Path) -> None:
    def line(verb: str, *paths: str) -> str:
        filters = " ".join(f"--damos_action stat --damos_filter allow memcg {path}" for path in paths)
        return f"damo {verb} {filters} --damos_nr_filters {' '.join('1' for _ in paths)}\n"

    path = tmp_path / "groups.damo"
    path.write_text(line("start", "/a") + "sleep 1\n" + line("tune", "/b", "/a") + "sleep 1\n" + line("tune", "/c"))
    loaded = open_scenario(path)
    ids = [[s.filters[0].memcg_id for s in c.to.schemes] for c in loaded.scenario.commits]
    assert (loaded.memcg_paths, ids) == (("/a", "/b", "/c"), [[2, 1], [3]])


@pytest.mark.parametrize(
    ("lines", "where", "words"),
    [
        ("sleep 5\ndamo start", "x:1", "sleeps before damo start"),
        ("damo tune paddr", "x:1", "'damo tune' is no command that is read"),
        ("damo start\ndamo start", "x:2", "starts DAMON again"),
        ("damo start\nsleep 5\ndamo record", "x:3", "'damo record' is no command that is read"),
        ("damo start\nsleep soon", "x:2", "'soon' is no time to sleep"),
        ("damo start\nsleep 5;", "x:2", "'5;' is no time to sleep"),
        ("damo start\ndamo stop\ndamo tune", "x:3", "comes after damo stop"),
        ("damo start 'open", "x", "cannot be split into words"),
        ("sudo rm -rf /", "x:1", "'rm -rf' is no command that is read"),
        ("# nothing", "x", "holds no damo start"),
    ],
)
def test_what_is_no_such_script_is_refused(lines: str, where: str, words: str) -> None:
    with pytest.raises(tm.InputError) as caught:
        read_script(lines, "x")
    assert caught.value.where == where
    assert words in caught.value.what


@pytest.mark.parametrize(
    ("tune", "words"),
    [
        ("damo tune --damos_actoin stat", r"tier.sh:2: damo tune --damos_actoin: is no option"),
        ("damo tune --damos_action nothing", r"tier.sh:2: damo tune --damos_action: 'nothing' is no action"),
        (
            "damo tune --quota_goals_only --damos_action stat",
            r"tier.sh:2: damo tune --quota_goals_only: .* nothing would change",
        ),
        ("damo tune --ops fvaddr --target_pid 5 --regions 0-4096", r"commits\[0\].to: contexts.0.ops cannot change"),
        (
            "damo tune --damos_action stat --damos_action stat --nr_targets 1 1 --nr_schemes 1 1 --nr_ctxs 1 1 --numa_node 0 "
            "--numa_node 1",
            r"tier.sh:2: damo tune: describes 2 contexts, damo start 1",
        ),
        ("damo tune touch x", r"tier.sh:2: damo tune: 'touch' stands alone"),
    ],
)
def test_a_tune_that_does_not_fit_is_refused_with_its_line(tune: str, words: str, script: Path) -> None:
    script.write_text(f"damo start --damos_action stat\n{tune}\n", encoding="utf-8")
    with pytest.raises(tm.InputError, match=words):
        open_scenario(script)
