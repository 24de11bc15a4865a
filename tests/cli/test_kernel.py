"""Which Linux, at the command line: every command that takes a scenario takes a kernel, and says on which it ran."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import xarray as xr
from small import HOT, MIB, pull, scenario

import tieringmodel as tm
from tieringmodel import cli
from tieringmodel.commands.arguments import KERNEL_HELP
from tieringmodel.datasets.kernel import kernel_of
from tieringmodel.reports import write_report
from tieringmodel.scenario.linux import NAMES

TAKES = ("run", "compare", "sweep", "lint", "convert", "diff", "tune", "explore")


@pytest.fixture
def old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file whose scenario runs on every kernel: a migration with a used-memory goal, CONSIST."""
    monkeypatch.chdir(tmp_path)
    quota = tm.Quota(sz_bytes=MIB, reset_interval_ms=100, goals=(tm.Goal("node_mem_used_bp", 2000),))
    scheme = tm.Scheme("migrate_hot", HOT, target_nid=0, quota=quota)
    Path("old.toml").write_text('kernel = "6.18"\n' + scenario(scheme, name="old").to_toml())
    return Path("old.toml")


def test_every_command_with_a_scenario_has_the_option(capsys: pytest.CaptureFixture[str]) -> None:
    for command in TAKES:
        with pytest.raises(SystemExit):
            cli.main([command, "--help"])
        said = " ".join(capsys.readouterr().out.split())
        assert f"--kernel NAME {KERNEL_HELP}" in said, command
    with pytest.raises(SystemExit):
        cli.main(["report", "--help"])
    assert "--kernel" not in capsys.readouterr().out


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_offer_the_names(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["completion", shell]) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if "kernel" in line]
    assert len(lines) >= len(TAKES)
    offering = [line for line in lines if " ".join(NAMES) in line or "\\n".join(NAMES) in line]
    assert len(offering) == len(TAKES) + 1  # diff has --kernels, too


def test_a_run_says_on_which_kernel_and_how_to_repeat_it(old: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["run", str(old), "--duration", "2 s", "--no-fix"]) == 0
    said = capsys.readouterr().out
    assert "\nLinux 6.18: rules of 6.18.35\n" in said
    assert "--kernel" not in said
    assert cli.main(["run", str(old), "--duration", "2 s", "--no-fix", "--kernel", "6.18.35, thisnode on", "-o", "b"]) == 0
    said = capsys.readouterr().out
    assert "\nLinux 6.18.35, thisnode on\n" in said
    assert "--kernel '6.18.35, thisnode on'" in said
    with xr.open_dataset("b/old.nc", engine="h5netcdf") as ds:
        assert ds.attrs["kernel"] == "6.18.35, thisnode on"
        assert tm.Kernel.from_text(ds.attrs["kernel"]) == tm.Scenario.from_json(ds.attrs["scenario"]).kernel
    assert cli.main(["run", "b/old.nc", "--no-fix", "-o", "c"]) == 0
    assert "\nLinux 6.18.35, thisnode on\n" in capsys.readouterr().out
    assert cli.main(["report", "--text", "b/old.nc"]) == 0
    assert "\nLinux 6.18.35, thisnode on\n" in capsys.readouterr().out
    assert cli.main(["run", "b/old.nc", "--no-fix", "--kernel", "7.0", "--duration", "2 s", "-o", "d"]) == 0
    assert "\nLinux 7.0: mainline rules, no vectors\n" in capsys.readouterr().out


def test_a_sweep_says_it_or_has_it_as_an_axis(old: Path, capsys: pytest.CaptureFixture[str]) -> None:
    common = ["sweep", str(old), "--duration", "1 s", "--executor", "serial"]
    assert cli.main([*common, "--seeds", "1", "-o", "a.zarr"]) == 0
    assert "\nLinux 6.18: rules of 6.18.35\n1 points; wrote" in capsys.readouterr().out
    assert cli.main([*common, "--grid", "kernel=6.18,7.1,7.3.4", "-o", "b.zarr"]) == 0
    out = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in out[:4]] == ["kernel", "6.18", "7.1", "7.3.4"]
    assert "Linux" not in " ".join(out)
    with xr.open_dataset("b.zarr", engine="zarr") as ds:
        assert kernel_of(ds) == ""
        assert ds["kernel"].values.tolist() == ["6.18", "7.1", "7.3.4"]


def test_a_comparison_says_it(old: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["compare", str(old), "--duration", "2 s", "--kernel", "6.18"]) == 0
    assert "\nLinux 6.18: rules of 6.18.35\n" in capsys.readouterr().out
    with xr.open_dataset("tieringmodel-out/comparison.nc", engine="h5netcdf", group="old") as ds:
        assert (ds.attrs["kernel"], kernel_of(ds)) == ("6.18.35", "Linux 6.18: rules of 6.18.35")
    assert "Linux 6.18: rules of 6.18.35" in Path("tieringmodel-out/report.html").read_text(encoding="utf-8")


def test_lint_and_convert_take_it(old: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["lint", str(old), "--kernel", "6.12"]) == 2
    assert "node_mem_used_bp is not in Linux 6.12.117; take 6.16 or later" in capsys.readouterr().err
    assert cli.main(["convert", str(old), "new.toml", "--kernel", "7.2"]) == 0
    assert tm.load("new.toml").kernel == tm.Kernel("7.2")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("6.6", "tieringmodel: kernel: '6.6' is older than 6.12, the first that is modelled; write one of 6.12,"),
        ("7.2.6", "tieringmodel: kernel: '7.2.6' is not modelled, 7.2.12 of that line is; write '7.2.12', and 'SWITCH off'"),
        ("6.18, thisnod on", "tieringmodel: kernel: 'thisnod' is no switch of a kernel; did you mean 'thisnode'"),
        ("6.18, thisnode", "tieringmodel: kernel: thisnode is neither on nor off; write 'thisnode on' or 'thisnode off'"),
        ("6.12, temporal_huge_sz on", "tieringmodel: kernel: temporal_huge_sz is about something that Linux 6.12.117 does"),
    ],
)
def test_what_is_no_kernel_is_one_sentence(old: Path, name: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["lint", str(old), "--kernel", name]) == 2
    error = capsys.readouterr().err
    assert error.startswith(said)
    assert error.count("\n") == 1


def test_results_without_a_kernel_are_of_the_default_or_say_nothing() -> None:
    ds = tm.simulate(scenario(pull()), duration="1 s")
    assert (ds.attrs["kernel"], kernel_of(ds)) == ("7.3.4", "Linux 7.3.4")
    del ds.attrs["kernel"]  # by an earlier version
    assert kernel_of(ds) == "Linux 7.3.4"
    stored = json.loads(ds.attrs["scenario"])
    later = ds.assign_attrs(scenario=json.dumps(stored | {"kernel": "9.1"}), kernel="9.1.3")
    assert kernel_of(later) == "Linux 9.1.3"  # by a later one
    assert kernel_of(xr.Dataset()) == ""


def test_pages_of_runs_say_it(tmp_path: Path) -> None:
    ds = tm.simulate(scenario(pull()).replace(kernel=tm.Kernel("7.2", thisnode=True)), duration="1 s")
    page = write_report([ds], tmp_path / "r.html", command="x").read_text(encoding="utf-8")
    assert "Linux 7.2: rules of 7.2.12, thisnode on" in page
