"""The command line: fast help, one sentence for every mistake, files for every result."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from small import MIB, pull, push, scenario

import tieringmodel as tm
from tieringmodel import cli
from tieringmodel.commands.compare import distinct
from tieringmodel.progress import Progress

HEAVY = ("numba", "llvmlite", "scipy", "xarray", "pandas", "matplotlib", "h5netcdf")


def python(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(Path(tm.__file__).parents[1])}
    return subprocess.run(
        [sys.executable, *arguments], env=environment, capture_output=True, text=True, check=False, timeout=120, **options
    )


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory with a small scenario in it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small.toml").write_text(scenario(pull(), push()).to_toml(), encoding="utf-8")
    return tmp_path


# ---- help -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words", [["--help"], ["--version"], ["compare", "--help"], ["run", "--help"], ["validate", "-h"], ["oops"], ["run"]]
)
def test_help_and_wrong_words_import_nothing_heavy(words: list[str]) -> None:
    code = (
        "import sys\nfrom tieringmodel.cli import main\n"
        f"try: main({words!r})\nexcept SystemExit as end: print('exit', end.code)\n"
        f"print([m for m in {HEAVY!r} if m in sys.modules])"
    )
    done = python("-c", code)
    *_, exit_line, heavy = done.stdout.splitlines()
    assert heavy == "[]"
    assert exit_line == ("exit 0" if words[-1].startswith("-") else "exit 2")


def test_importing_the_package_imports_nothing_heavy_and_every_name_is_there() -> None:
    code = (
        f"import sys, tieringmodel as tm\nprint([m for m in {HEAVY!r} if m in sys.modules])\n"
        "missing = [n for n in tm.__all__ if getattr(tm, n, None) is None]\nprint(missing, dir(tm) == tm.__all__)"
    )
    assert python("-c", code).stdout.split("\n")[:2] == ["[]", "[] True"]


def test_help_names_every_command_and_the_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        cli.main(["--help"])
    assert end.value.code == 0
    text = capsys.readouterr().out
    assert all(word in text for word in ("compare", "run", "validate", "Exit status: 0 fine, 1 a check failed, 2 wrong input"))


def test_an_unknown_attribute_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="attribute nonsense"):
        _ = tm.nonsense


# ---- mistakes ---------------------------------------------------------------------------------------------------------


def refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """Run, and return the single sentence on stderr."""
    try:
        code = cli.main(words)
    except SystemExit as end:
        code = end.code  # type: ignore[assignment]
    out, err = capsys.readouterr()
    assert code == 2
    assert out == ""
    assert err.startswith("tieringmodel")
    assert err.count("\n") == 1
    assert "Traceback" not in err
    return err


GOOD = scenario(pull()).to_toml()


PATH = "contexts[0].schemes[0]"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("name = \nx", "x.toml: is not valid TOML: Invalid value (at line 1, column 8)"),
        ("[machine]\nnodes = [\n{ nid = 0, }\n", "at line 3"),
        (GOOD.replace("goal_tuner", "goal_tunr"), f"{PATH}.quota.goal_tunr: is not a known key; did you mean 'goal_tuner'?"),
        (GOOD.replace("target_nid = 0", "target_nid = 'zero'"), f"{PATH}.target_nid: 'zero' is not a whole number"),
        (GOOD.replace('"temporal"', '"temporary"'), "goal_tuner: 'temporary' is unknown; did you mean 'temporal'?"),
        (
            GOOD.replace("target_value = 6000", "target_value = 60000"),
            f"{PATH}.quota.goals[0].target_value: 60000 bp is over 10000; did you mean 6000?",
        ),
        (GOOD.replace("node_eligible_mem_bp", "node_eligible_bp"), "goals[0].metric: 'node_eligible_bp' is not a goal metric"),
        (
            GOOD.replace("n_pages = 4096", "n_pages = 4095"),
            "x.toml: workload.placement[0]: 0..4096 is empty or beyond the workload's 4095 pages",
        ),
        (GOOD.replace("[workload]", "[workload]\nspeed = 3"), "workload.speed: is not a known key"),
        (
            GOOD.replace("max_nr_regions = 200", "max_nr_regions = 2"),
            "contexts[0].attrs.max_nr_regions: 2 is below min_nr_regions 10 (EINVAL)",
        ),
        ("contexts = 5", "machine: is missing"),
        ("machine = 5\nworkload = {}", "x.toml: machine: 5 is not a table"),
        ("\ufeffname = 1", "at line 1"),
    ],
)  # fmt: skip
def test_a_wrong_scenario_is_named_by_file_and_path(
    text: str, expected: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "x.toml").write_text(text, encoding="utf-8")
    for command in ("run", "compare"):
        said = refused([command, "x.toml", "--duration", "1"], capsys)
        assert expected in said
        assert "x.toml: " in said or "metric" in expected  # metrics are known to the controller, not to the file's form
    assert not list((folder / "tieringmodel-out").iterdir())


@pytest.mark.parametrize("command", ["run", "compare"])
@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["nope.toml"], "nope.toml: does not exist; give a file, or one of "),
        (["C3_pullpush"], "C3_pullpush: does not exist; give a file, or one of rfc-40-60, "),
        (["empty"], "empty: holds no "),
        (["binary.toml"], "binary.toml: is not UTF-8 text"),
        (["notes.txt"], "notes.txt: is neither a TOML scenario"),
        (["small.toml", "--duration", "soon"], "duration: 'soon' is not understood; write it like"),
        (["small.toml", "--duration", "-3"], "duration: '-3' is not a positive time"),
        (["small.toml", "--duration", "0"], "duration: '0' is not a positive time; write it like '120 s'"),
        (["small.toml", "--duration=-3 s"], "duration: '-3 s' is not a positive time"),
        (["small.toml", "--duration", "1e9 h"], "duration: "),
        (["small.toml", "--seed", "x"], "argument --seed: invalid int value: 'x'"),
        (["small.toml", "--seed=-1"], "seed: -1 is below 0"),
        (["small.toml", "--speed", "1"], "unrecognized arguments: --speed 1"),
        (["small.toml", "-o", "notes.txt"], "notes.txt: File exists"),
        (["small.toml", "-o", "notes.txt/sub"], "notes.txt/sub: Not a directory"),
        (["huge.toml"], "machine: has 562949953421312 frames"),
    ],
)
def test_wrong_arguments(
    command: str, words: list[str], expected: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "empty").mkdir()
    (folder / "binary.toml").write_bytes(b"name = '\xff'")
    (folder / "notes.txt").write_text("x")
    huge = scenario(pull(), machine=tm.Machine.dram_cxl(2**60, 2**60))
    (folder / "huge.toml").write_text(huge.to_toml())
    assert expected in refused([command, *words], capsys)


def test_a_folder_that_cannot_be_written_is_refused_before_the_work(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)  # permissions do not bind every user who runs tests
    for command in ("run", "compare"):
        said = refused([command, "small.toml", "-o", "locked"], capsys)
        assert "locked: is not writable; name another folder with -o" in said


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("run small.toml --duration 1 --expect settling_s<9 --junit none/x.xml", "--junit: there is no folder none"),
        ("sweep small.toml --duration 1 --seeds 2 --expect ripple_bp<9 --junit none/x.xml", "--junit: there is no folder none"),
        (f"sweep small.toml --duration 1 --seeds 2 -o {'x' * 300}.nc", "nothing can be written there (File name too long)"),
        ("diff small.toml --kernels 7.2 --duration 1 -o none/x.json", "-o: there is no folder none"),
        (f"diff small.toml --kernels 7.2 --duration 1 -o {'x' * 300}", "nothing can be written there (File name too long)"),
        ("run small.toml --duration 1 -o small.toml", "small.toml: File exists"),
    ],
)
def test_what_is_written_at_the_end_is_tried_before_the_work(
    folder: Path, words: str, says: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tieringmodel.simulation.engine.Engine.run_to", lambda *_: pytest.fail("the work has begun"))
    assert says in refused(words.split(), capsys)
    assert sorted(p.name for p in folder.iterdir()) == ["small.toml"]


@pytest.mark.parametrize("words", [[], ["sweep-the-floor"], ["run"], ["run", "a", "b"], ["validate", "--vectors"]])
def test_wrong_words(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert "--help'" in refused(words, capsys)


def test_a_scenario_without_a_share_cannot_be_compared(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "x.toml").write_text(scenario(tm.Scheme()).to_toml())
    # Also when another scenario, which would take its time, comes first.
    said = refused(["compare", "C3_pullpush_temporal", "x.toml"], capsys)
    assert "no scheme has a goal about a node's share" in said
    one = tm.Machine((tm.Node(0, 0, 64 * MIB),))
    (folder / "y.toml").write_text(scenario(pull(), machine=one, placement=(tm.Placement(0, 4096),)).to_toml())
    assert "machine.nodes: has one node" in refused(["compare", "y.toml", "--duration", "1"], capsys)


def test_interrupting_ends_with_a_sentence(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from tieringmodel.interop import load

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(load, "open_scenario", interrupted)
    assert cli.main(["run", "small.toml"]) == 130
    assert capsys.readouterr().err == "tieringmodel: interrupted\n"


def test_a_reader_that_has_seen_enough_is_no_error(tmp_path: Path) -> None:
    code = (
        "import os, sys\nfrom tieringmodel import cli\nread, write = os.pipe()\nos.dup2(write, 1)\nos.close(read)\n"
        "sys.exit(cli.main(['validate', '--anchors', '--vectors', sys.argv[1]]))"
    )
    (tmp_path / "mvsum.csv.gz").write_bytes(tm.data_path("golden", "mvsum.csv.gz").read_bytes())
    done = python("-c", code, str(tmp_path))
    assert (done.returncode, done.stderr) == (0, "")


# ---- results ----------------------------------------------------------------------------------------------------------


def test_run_writes_what_simulate_returns(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["run", "small.toml", "--duration", "3 s", "--seed", "5", "-o", "deep/er"]) == 0
    out, err = capsys.readouterr()
    expected = tm.simulate(scenario(pull(), push()), duration="3 s", seed=5)
    with xr.open_dataset(folder / "deep/er/small.nc", engine="h5netcdf") as got:
        assert got.attrs.pop("command") == "tieringmodel run small.toml --seed 5 --duration '3 s'"
        xr.testing.assert_identical(got.load(), expected)
    pages = int(expected["migrated_pages"].sum())
    assert out.startswith(f"small: 3 s simulated, seed 5; {pages} pages migrated\nLinux 7.3.4\nMachine: node 0 32 MiB, ")
    assert " ".join(tm.verdict(expected).text.split()) in " ".join(out.split())
    assert "\nwrote deep/er/small.nc\n" in out
    assert max(map(len, out.splitlines())) <= 72
    assert err == ""


def test_run_says_what_was_reclaimed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cold = tm.Scheme("pageout", access_pattern=tm.AccessPattern(max_nr_accesses=0))
    sc = scenario(cold)
    Path("cold.toml").write_text(sc.to_toml())
    assert cli.main(["run", "cold.toml", "--duration", "2 s"]) == 0
    ds = tm.simulate(sc, duration="2 s", seed=1)
    gone, back = int(ds["reclaimed_pages"].sum()), int(ds["faulted_pages"].sum())
    assert gone - back == int(ds["out_pages"][-1]) > 0
    out = " ".join(capsys.readouterr().out.split())
    assert f"; 0 pages migrated, {gone} reclaimed, {back} back in memory " in out


def test_bare_numbers_are_seconds(folder: Path) -> None:
    assert cli.main(["run", "small.toml", "--duration", "0.5"]) == 0
    with xr.open_dataset(folder / "tieringmodel-out/latest.nc", engine="h5netcdf") as got:
        assert got.attrs["duration_s"] == 0.5
        assert got.attrs["seed"] == 1


def test_shipped_scenarios_and_recordings_run_by_name(folder: Path) -> None:
    assert cli.main(["run", "rfc-40-60", "--duration", "0.3"]) == 0
    assert cli.main(["run", "C8_pullpush_temporal_q2M", "--duration", "2"]) == 0
    assert {p.name for p in (folder / "tieringmodel-out").glob("*2m.nc")} == {"c8-pullpush-temporal-q2m.nc"}
    with xr.open_dataset(folder / "tieringmodel-out/run.nc", engine="h5netcdf") as got:  # the name that scripts know
        assert got.attrs["name"] == "C8_pullpush_temporal_q2M"


def test_compare_through_the_front_door(tmp_path: Path) -> None:
    words = ["compare", "C8_pullpush_temporal_q2M", "--duration", "4", "--seed", "2", "-o", "out"]
    done = python("-m", "tieringmodel", *words, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    out = tmp_path / "out"
    figures = [f"c8-pullpush-temporal-q2m-{f}.png" for f in ("share", "migration_rate", "regions", "summary")]
    assert sorted(p.name for p in out.iterdir()) == sorted(["comparison.nc", "report.html", *figures])
    assert all((out / f).read_bytes().startswith(b"\x89PNG") for f in figures)
    report = (out / "report.html").read_text(encoding="utf-8")
    assert "tieringmodel compare C8_pullpush_temporal_q2M --seed 2 --duration 4" in report
    assert "<script" not in report
    assert done.stdout.startswith("\nC8_pullpush_temporal_q2M: access share of node 0, target 6000 bp, 4 s,\nseed 2\n")
    assert max(map(len, done.stdout.splitlines())) <= 72
    for policy in ("recorded kernel", *tm.policies(scenario(pull(), push()))):
        first = policy.split()[0]  # long names are broken over lines
        assert re.search(f"^{re.escape(first)}", done.stdout, re.MULTILINE), policy
    assert done.stdout.rstrip().endswith("wrote out/comparison.nc, figures and out/report.html")


def test_compare_takes_several_scenarios(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    reported: list[str] = []
    printed: list[str] = []
    compare = tm.compare

    def compared(*arguments: Any, **options: Any) -> xr.Dataset:
        printed.append(capsys.readouterr().out)
        return compare(*arguments, **options)

    def write_report(results: list[xr.Dataset], path: Path, *, command: str, drawn: list[object]) -> str:
        assert drawn == [[], []]
        reported.extend(ds.attrs["name"] for ds in results)
        return command

    monkeypatch.setattr("tieringmodel.reports.write_report", write_report)
    (folder / "b.toml").write_text(scenario(pull(3000), push(7000)).to_toml())
    monkeypatch.setattr("tieringmodel.comparison.compare.compare", compared)
    assert cli.main(["compare", "small.toml", "b.toml", "--duration", "2 s", "--seed", "4", "--no-figures"]) == 0
    out = "".join([*printed, capsys.readouterr().out])
    assert [text.count("access share of node 0") for text in printed] == [0, 1]  # a table comes before the next is computed
    heads = re.findall(r"^(\S.*): access share of node 0, target (\d+) bp, 2 s, seed 4$", out, re.MULTILINE)
    assert heads == [("small", "6000"), ("small (2)", "3000")]
    assert reported == ["small", "small (2)"]
    assert "comparison.nc and tieringmodel compare small.toml b.toml --seed 4 --duration '2 s'" in " ".join(out.split())
    with xr.open_datatree(folder / "tieringmodel-out/comparison.nc", engine="h5netcdf") as tree:
        assert sorted(tree.children) == ["small", "small (2)"]
        expected = tm.compare(tm.policies(scenario(pull(3000), push(7000))), duration=2, seed=4)
        got = tree["small (2)"].to_dataset()
        np.testing.assert_array_equal(got["share_bp"], expected["share_bp"])
        np.testing.assert_array_equal(got["kind"], expected["kind"])
    assert [*(folder / "tieringmodel-out").iterdir()] == [folder / "tieringmodel-out/comparison.nc"]


def test_scenarios_of_one_name_do_not_overwrite_each_other() -> None:
    labels: list[str] = []
    for name in ("Same", "same", "Same (2)", "s a m e", "other"):
        labels.append(distinct(name, labels))
    assert labels == ["Same", "same (2)", "Same (2) (2)", "s a m e", "other"]


# ---- loading ----------------------------------------------------------------------------------------------------------


def test_everything_that_can_be_a_scenario_is_loaded(folder: Path) -> None:
    sc = scenario(pull(), push())
    assert tm.load("small.toml") == tm.load(folder / "small.toml") == sc
    assert tm.load("rfc-40-60").name == "rfc-40-60"
    recorded = tm.data_path("recordings", "C3_pullpush_temporal")
    assert tm.load("C3_pullpush_temporal") == tm.load(recorded) == tm.read_recording(recorded).to_scenario()
    (folder / "rfc-40-60").mkdir()  # what is there wins over what ships
    with pytest.raises(tm.InputError, match="rfc-40-60"):
        tm.load("rfc-40-60")


def test_a_refusal_of_the_kernel_stays_one(folder: Path) -> None:
    (folder / "x.toml").write_text(GOOD.replace("max_nr_regions = 200", "max_nr_regions = 2"))
    with pytest.raises(tm.KernelRefusal) as caught:
        tm.load("x.toml")
    assert caught.value.where == "x.toml: contexts[0].attrs.max_nr_regions"


# ---- progress and warm-up ---------------------------------------------------------------------------------------------


class Terminal:
    def __init__(self, terminal: bool) -> None:
        self.terminal, self.text = terminal, ""

    def isatty(self) -> bool:
        return self.terminal

    def write(self, text: str) -> int:
        self.text += text
        return len(text)

    def flush(self) -> None:
        """Nothing is kept back."""


@pytest.mark.parametrize(
    ("terminal", "show", "seconds", "lines"),
    [(True, None, 10, 8), (False, None, 10, 0), (True, False, 10, 0), (False, True, 10, 8), (True, None, 1, 0)],
)
def test_progress_shows_on_terminals_after_two_seconds(
    terminal: bool, show: bool | None, seconds: int, lines: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    stderr = Terminal(terminal)
    monkeypatch.setattr(sys, "stderr", stderr)
    monkeypatch.setattr("tieringmodel.progress.time.monotonic", lambda: now[0])
    with Progress("job", 20.0, "s", show) as bar:
        for k in range(1, seconds + 1):
            now[0] = 100.0 + k
            bar.update(2.0 * k)
            bar.update(2.0 * k)  # too soon after the last one
    shown = [part for part in stderr.text.split("\r") if part.startswith("job")]
    assert abs(len(shown) - lines) <= 1
    if lines:
        assert "100%" in shown[-1]
        assert "2.0 s/s" in shown[-1]
        assert stderr.text.endswith("\r\x1b[K")
    else:
        assert stderr.text == ""


def test_warming_up_says_how_long_it_took() -> None:
    assert 0 < tm.warmup() < 600
    assert 0 < tm.warmup() < 600, "the name stays a function after its module was imported"


def test_run_holds_a_scenario_to_expectations(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["run", "small.toml", "--duration", "2", "--expect", "moves_per_page >= 0, settling_s < 0"]) == 1
    out = capsys.readouterr().out
    assert "ok   moves_per_page >= 0: moves_per_page is " in out
    assert "FAIL settling_s < 0: settling_s is " in out
    assert cli.main(["run", "small.toml", "--duration", "2", "--json", "--expect", "moves_per_page >= 0"]) == 0
    said = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    assert said["expect"][0]["ok"] is True
    assert said["measures"]["moves_per_page"] >= 0
    assert Path(said["file"]).exists()


def test_expectations_are_read_before_the_run(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "is not understood" in refused(["run", "small.toml", "--expect", "fast"], capsys)
    assert not (folder / "tieringmodel-out").exists()
