"""Everything that can be a scenario is one for tm.load and for every command; what is assumed is said."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import pytest

import tieringmodel as tm
from tieringmodel import cli
from tieringmodel.interop.convert import FORMS, converted
from tieringmodel.interop.load import Loaded, open_scenario
from tieringmodel.interop.surroundings import default_machine
from tieringmodel.interop.workloads.line import default_workload
from tieringmodel.interop.workloads.placed import Surroundings

GIB = 1 << 30
SC = tm.load("rfc-40-60")
LINE = ["damo", "start", "--numa_node", "0", "--damos_action", "migrate_hot", "1", "--damos_access_rate", "25%", "max",
        "--damos_quota_interval", "1s", "--damos_quota_space", "16M", "--damos_quota_goal", "node_mem_used_bp", "40%", "1",
        "--damos_quota_goal_tuner", "temporal"]  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sc.toml").write_text(SC.to_toml(), encoding="utf-8")
    return tmp_path


def written(suffix: str, folder: Path) -> Path:
    path = folder / f"out{suffix}"
    path.write_text(converted(Loaded(SC), suffix)[0], encoding="utf-8")
    return path


def test_damo_json_with_the_same_surroundings_is_the_same_scenario(folder: Path) -> None:
    path = written(".json", folder)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        got = tm.load(path, machine=SC.machine, workload="sc.toml")
    explicit = (tm.Target(((0, 2 * GIB),)),)
    assert got == SC.replace(contexts=(SC.contexts[0].replace(targets=explicit),), name="out")
    with pytest.warns(UserWarning, match="assumed: machine node0=1G,node1=1G .*; assumed: workload total=1G,"):
        assert tm.load(path).machine == SC.machine


def test_the_limit_of_snapshots_is_found_among_the_statistics_too(folder: Path) -> None:
    data = json.loads(written(".json", folder).read_text(encoding="utf-8"))
    for place, scheme in enumerate(data["kdamonds"][0]["contexts"][0]["schemes"]):
        scheme["stats"] = {"nr_tried": "1,024", "sz_tried": "3.000 MiB", "max_nr_snapshots": str(7 + place)}
    (folder / "out.json").write_text(json.dumps(data), encoding="utf-8")
    got = tm.load("out.json", machine=SC.machine, workload="sc.toml").contexts[0].schemes
    assert [s.max_nr_snapshots for s in got] == [7, 8]


def test_yaml_is_read_like_json_and_nothing_else_in_yaml_is(folder: Path) -> None:
    import yaml

    data = json.loads(written(".json", folder).read_text())
    path = folder / "x.yaml"
    path.write_text(yaml.safe_dump(data), encoding="utf-8")
    assert open_scenario(path).scenario.contexts == open_scenario("out.json").scenario.contexts
    for bad in ("!!python/object/apply:os.system [touch EXECUTED]", "a: &x [1]\nb: *x", "a: [", "[" * 5000, "\x00"):
        path.write_text(bad, encoding="utf-8")
        with pytest.raises(tm.InputError, match=r"x\.yaml"):
            open_scenario(path)
    assert not (folder / "EXECUTED").exists()


@pytest.mark.parametrize(
    "bad", ["{", "[]", '{"kdamonds": NaN}', '{"kdamonds": []}', '{"kdamonds": [{"contexts": []}]}', '{"a": ' + "9" * 5000 + "}",
            '{"kdamonds": [], "kdamonds": []}', "[" * 100_000, '{"kdamonds": [{"contexts": [{"ops": "paddr", "nope": 1}]}]}',
            '{"kdamonds": [{"contexts": [{"schemes": [{"action": "fly"}]}]}]}',
            '{"kdamonds": [{"contexts": [{"probes": [{"weight": 1}]}]}]}',
            '{"kdamonds": [{"contexts": [{"sample_control": {"primitives_enabled": {"page_fault": true}}}]}]}'],
)  # fmt: skip
def test_broken_json_is_refused_in_one_sentence_with_its_name(folder: Path, bad: str) -> None:
    (folder / "x.json").write_text(bad, encoding="utf-8")
    with pytest.raises(tm.InputError, match=r"^x\.json"):
        open_scenario("x.json")


def test_a_goal_without_nid_is_refused_with_the_reason(folder: Path) -> None:
    data = json.loads(written(".json", folder).read_text())
    del data["kdamonds"][0]["contexts"][0]["schemes"][1]["quotas"]["goals"][0]["nid"]
    (folder / "x.json").write_text(json.dumps(data), encoding="utf-8")
    with pytest.raises(tm.InputError, match=r"schemes\[1\].quotas.goals\[0\].nid: .*drops it"):
        open_scenario("x.json")


def test_a_dump_takes_the_machine_and_addresses_must_meet_it(folder: Path) -> None:
    dump = tm.data_path("recordings", "C3_pullpush_temporal", "damon_config.txt")
    loaded = open_scenario(dump)
    assert [n.sz_bytes >> 20 for n in loaded.scenario.machine.nodes] == [640, 896]  # as its README describes them
    with pytest.raises(tm.InputError, match="outside of every node"):
        open_scenario(dump, machine=tm.Machine.dram_cxl("1 GiB", "1 GiB", start_bytes=64 * GIB))


@pytest.mark.parametrize(
    ("contexts", "nodes"),
    [
        ((), [(0, 1), (1, 1)]),
        ((tm.Context(schemes=(tm.Scheme("migrate_hot", target_nid=2),)),), [(0, 1), (1, 1), (2, 1)]),
        ((tm.Context(targets=(tm.Target(((0, 8 * GIB),)),)),), [(0, 4), (4, 4)]),
        ((tm.Context(targets=(tm.Target(((0, 2 * GIB), (4 * GIB, 5 * GIB))),)),), [(0, 2), (4, 1)]),
        ((tm.Context(targets=(tm.Target(((0, 2 * GIB),)),), schemes=(tm.Scheme("migrate_hot", target_nid=1),)),),
         [(0, 2), (2, 2)]),
        ((tm.Context(targets=(tm.Target(((4 * GIB, 6 * GIB),)),), schemes=(tm.Scheme("migrate_hot", target_nid=0),)),),
         [(2, 2), (4, 2)]),
        ((tm.Context(targets=(tm.Target(((0, 8 * GIB),)),),
                     schemes=(tm.Scheme(filters=(tm.Filter("addr", start_bytes=3 * GIB, end_bytes=8 * GIB),)),)),),
         [(0, 3), (3, 5)]),
    ],
)  # fmt: skip
def test_an_assumed_machine_fits_the_addresses(contexts: tuple[tm.Context, ...], nodes: list[tuple[int, int]]) -> None:
    machine = default_machine(contexts)
    assert [(n.start_bytes // GIB, n.sz_bytes // GIB) for n in machine.nodes] == nodes
    workload, _ = default_workload(Surroundings(machine, contexts))
    assert workload.n_pages * 4096 * 2 == sum(n.sz_bytes for n in machine.nodes)


def test_gaps_between_monitored_ranges_are_holes_of_an_assumed_machine(capsys: pytest.CaptureFixture[str]) -> None:
    """The hole of a PC lies inside node 0, and the filters tell the nodes."""
    dump = tm.data_path("recordings", "E5_hole_inside_node0", "damon_config.txt")
    loaded = open_scenario(dump)
    near, far = loaded.scenario.machine.nodes
    assert near.ranges == ((0, 2 * GIB), (4 * GIB, 6 * GIB))
    assert (far.start_bytes, far.sz_bytes, far.ranges) == (6 * GIB, 2 * GIB, ())
    (said,) = (note for note in loaded.notes if note.startswith("assumed: machine"))
    assert "node0=2G+2G@4G,node1=2G" in said
    assert "without 2 GiB..4 GiB, which nobody monitors" in said


def test_what_cannot_be_guessed_is_asked_for() -> None:
    three = tm.Context(targets=(tm.Target(((0, GIB), (2 * GIB, 3 * GIB), (4 * GIB, 5 * GIB))),))
    with pytest.raises(tm.InputError, match="--machine"):
        default_machine((three,))
    with pytest.raises(tm.InputError, match="--workload"):
        default_workload(Surroundings(default_machine(()), (tm.Context("fvaddr", targets=(tm.Target(((0, 9 * GIB),)),)),)))


def test_commands_take_a_line_and_say_what_is_assumed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in (*FORMS, ".toml"):
        assert cli.main(["convert", f"x{name}", "--", *LINE]) == 0
    said = capsys.readouterr()
    assert said.err.count("assumed: machine") == len(FORMS) + 1
    assert "contexts only, neither machine nor workload" in said.err
    assert cli.main(["convert", "x.damo", "y.json"]) == 0
    assert (folder / "y.json").read_text() == (folder / "x.json").read_text()
    assert cli.main(["lint", "--json", "--", *LINE]) in (0, 1)
    findings = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert cli.main(["lint", "--json", "x.toml"]) in (0, 1)
    assert json.loads(capsys.readouterr().out) == findings
    assert cli.main(["run", "--duration", "1", "-o", "out", "--", *LINE]) == 0
    assert (folder / "out" / "run.nc").exists()


def test_compare_takes_a_line_and_its_surroundings(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import tieringmodel.comparison.compare as module
    from tieringmodel.comparison.policies import Policy

    seen: list[tm.Scenario] = []

    def stop(jobs: dict[str, Policy], **_: object) -> None:
        seen.extend(policy.scenario for policy in jobs.values())
        raise tm.InputError("stop", "here")

    monkeypatch.setattr(module, "compare", stop)
    assert cli.main(["compare", "--machine", "sc.toml", "--workload", "sc.toml", "--", *LINE]) == 2
    want = open_scenario(LINE, machine=SC.machine, workload=SC.workload).scenario
    assert any(s.contexts == want.contexts for s in seen)
    assert all(s.workload.groups == SC.workload.groups for s in seen)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["convert", "sc.toml", "x.xyz"], "no form"),
        (["convert", "sc.toml", "x"], "no suffix"),
        (["convert", "sc.toml", "x.damo"], "drops the nid"),
        (["lint", "--", "damo", "start", "reboot"], "would run it as a command"),
        (["lint", "--machine", "nowhere.toml", "--", "damo", "start"], "nowhere.toml"),
        (["lint", "--workload", "sc.json", "--", "damo", "start"], "sc.json"),
        (["lint", "script.sh"], "is a script that writes none of DAMON's files"),
        (
            ["run", "damo", "start", "--damos_action", "stat"],
            "a damo line stands after '--', and our options before it: … -- damo start",
        ),
        (["lint", "sudo", "damo", "start"], "… -- sudo damo …"),
    ],
)
def test_mistakes_are_one_sentence_and_status_2(
    folder: Path, words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "script.sh").write_text("#!/bin/sh\ntouch EXECUTED\n", encoding="utf-8")
    assert cli.main(words) == 2
    err = capsys.readouterr().err
    assert said in err
    assert "Traceback" not in err
    assert not (folder / "EXECUTED").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["run"], "SCENARIO is missing"),
        (["run", "sc.toml", "--", "damo", "start"], "given twice"),
        (["compare", "sc.toml", "--", "damo", "start"], "given twice"),
        (["validate", "--", "damo", "start"], "takes no damo line"),
        (["convert", "sc.toml"], "convert IN OUT"),
        (["convert", "a", "b", "--", "damo", "start"], "OUT -- damo start"),
        (["run", "--", "damo", "start", "--duration=5"], "--duration=5 is no option of damo; write it before the '--'"),
    ],
)
def test_wrong_words_end_before_anything_is_read(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        cli.main(words)
    assert said in capsys.readouterr().err


def test_the_surroundings_of_a_scenario_can_be_replaced(folder: Path) -> None:
    other = tm.Machine.dram_cxl("2 GiB", "1 GiB")
    with pytest.warns(UserWarning, match="are those nodes of the given one"):
        got = tm.load("sc.toml", machine=other)
    assert got.replace(contexts=()) == SC.replace(machine=other, contexts=())
    filters = [s.filters[0] for s in got.contexts[0].schemes]
    assert [(f.start_bytes // GIB, f.end_bytes // GIB) for f in filters] == [(2, 3), (0, 2)]
    assert open_scenario("C3_pullpush_temporal", workload="sc.toml").scenario.workload == SC.workload
