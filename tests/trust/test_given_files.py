"""What a file names is read only if it lies beside that file; what the user names is always read."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import xarray as xr
from good import GOOD
from test_fuzz import FULL, paths, put
from watched import opened, watched

import tieringmodel as tm
from tieringmodel import cli
from tieringmodel.datafiles import data_path
from tieringmodel.datasets.read import read_results
from tieringmodel.errors import InputError
from tieringmodel.interop.load import open_scenario
from tieringmodel.validate.golden.vectors import cases
from tieringmodel.validate.recorded import quota_records
from tieringmodel.validate.recorded.recordings import runs_below

MASIM = "secretname, 409600\n\np\n1000\nsecretname, 1, 1, 1\n"
RUN = data_path("recordings", "C3_pullpush_temporal")
FAMILY = '[workload.family]\nkind = "masim"\nfile = {}\n'
MACHINE = tm.Scenario.from_dict(GOOD | {"contexts": [], "workload": {"n_pages": 1}}).to_toml().partition("[workload]")[0]


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of the user's, with a folder that somebody sent and a secret beside it."""
    (tmp_path / "sent" / "below").mkdir(parents=True)
    (tmp_path / "secret.masim").write_text(MASIM)
    (tmp_path / "sent" / "fine.masim").write_text(MASIM)
    (tmp_path / "sent" / "below" / "fine.masim").write_text(MASIM)
    (tmp_path / "sent" / "link.masim").symlink_to("../secret.masim")
    (tmp_path / "sent" / "up").symlink_to("..")
    (tmp_path / "sent" / "inner.masim").symlink_to("below/fine.masim")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def refused(act: Callable[[], object], *secrets: Path) -> str:
    """It is refused, and none of the secrets was opened."""
    with watched() as seen, pytest.raises(InputError) as caught:
        act()
    assert not opened(seen) & {os.path.realpath(s) for s in secrets}
    assert "secretname" not in str(caught.value)
    assert caught.value.remedy
    return str(caught.value)


NAMED = [
    "../secret.masim",
    "link.masim",
    "up/secret.masim",
    "below/../../secret.masim",
    "ABS/secret.masim",
    "ABS/sent/link.masim",
]


@pytest.mark.parametrize("name", NAMED)
@pytest.mark.parametrize("by", ["scenario", "workload"])
def test_a_family_file_outside_of_the_folder(work: Path, name: str, by: str) -> None:
    text = FAMILY.format(json.dumps(name.replace("ABS", str(work))))
    path = work / "sent" / "s.toml"
    path.write_text((MACHINE if by == "scenario" else "") + text)
    given: dict[str, Any] = {"workload": path} if by == "workload" else {}
    source = path if by == "scenario" else "rfc-40-60"
    said = refused(lambda: tm.load(source, **given), work / "secret.masim")
    assert "workload.family.file" in said
    assert "--allow-files, allow_files=True" in said
    (group,) = tm.load(source, allow_files=True, **given).workload.groups
    assert group.name == "secretname"


@pytest.mark.parametrize(
    "name", ["fine.masim", "below/fine.masim", "below/../fine.masim", "inner.masim", "ABS/sent/fine.masim"]
)
def test_a_family_file_beside_the_scenario(work: Path, name: str) -> None:
    (work / "sent" / "s.toml").write_text(MACHINE + FAMILY.format(json.dumps(name.replace("ABS", str(work)))))
    for where in (work, work / "sent", work / "sent" / "below"):
        os.chdir(where)
        source = os.path.relpath(work / "sent" / "s.toml")
        assert tm.load(source).workload.groups[0].name == "secretname"


@pytest.mark.parametrize(
    "name", ["a\0b", "", ".", "..", "/", "~/x", "x" * 5000, "file:///etc/passwd", "/dev/stdin", "\x1b[31m"]
)
def test_names_that_are_no_files(work: Path, name: str) -> None:
    (work / "sent" / "s.toml").write_text(MACHINE + FAMILY.format(json.dumps(name)))
    for allow in (False, True) if name != "/dev/stdin" else (False,):
        with pytest.raises(InputError) as caught:
            tm.load(work / "sent" / "s.toml", allow_files=allow)
        assert str(caught.value).isprintable()


def test_what_the_user_names_is_read_wherever_it_lies(work: Path) -> None:
    """Also by a symbolic link, which is the user's then."""
    os.chdir(work / "sent" / "below")
    for name in ("../../secret.masim", "../link.masim", str(work / "secret.masim")):
        with pytest.warns(UserWarning, match="assumed: masim makes"):
            assert tm.load("rfc-40-60", workload=name).workload.groups[0].name == "secretname"
        assert tm.read_masim(name).groups[0].name == "secretname"
    (work / "s.toml").write_text(tm.Scenario.from_dict(GOOD).to_toml())
    (work / "sent" / "s.toml").symlink_to("../s.toml")
    assert tm.load("../s.toml", machine="../s.toml") == tm.load(work / "s.toml")


# ---- every place of a document ----------------------------------------------------------------------------------------


DAMO = {
    "kdamonds": [{
        "contexts": [{
            "ops": "paddr", "targets": [{"pid": None, "regions": [{"start": 0, "end": 4096}]}],
            "schemes": [{"action": "stat", "filters": [{"filter_type": "memcg", "memcg_path": "/a", "matching": True}],
                         "quotas": {"goals": [{"metric": "node_memcg_used_bp", "memcg_path": "/a", "nid": 0}]}}],
        }],
    }],
}  # fmt: skip


@pytest.mark.parametrize(("data", "suffix"), [(FULL, ".toml"), (FULL, ".json"), (DAMO, ".json"), (DAMO, ".yaml")])
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_no_place_of_a_document_opens_a_file(work: Path, data: dict[str, Any], suffix: str) -> None:
    """Whatever text stands wherever: the path of a file is a name or wrong, and is not followed."""
    import tomli_w

    secret = work / "secret.masim"
    places = list(paths(data))
    assert len(places) > 15
    for place in places:
        for text in (
            str(secret),
            f"file://{secret}",
            f"@{secret}",
            {"file": str(secret)},
            {"kind": "masim", "file": str(secret)},
        ):
            changed = json.loads(json.dumps(data))
            put(changed, place, text)
            written = work / "sent" / f"s{suffix}"
            written.write_text(tomli_w.dumps(changed) if suffix == ".toml" else json.dumps(changed))
            with watched() as seen:
                with suppress(InputError):
                    open_scenario(written)
            assert os.path.realpath(secret) not in opened(seen), place


# ---- folders ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(p.name for p in RUN.iterdir() if p.name != "README.md"))
def test_links_in_a_recording(work: Path, name: str) -> None:
    run = Path(shutil.copytree(RUN, work / "sent" / "run"))
    secret = (run / name).rename(work / name)
    (run / name).symlink_to(secret)
    for act in (lambda: tm.read_recording(run), lambda: tm.load(run)):
        assert str(run / name) in refused(act, secret)
    assert tm.read_recording(run, allow_files=True).info == tm.read_recording(RUN).info
    assert tm.load(run, allow_files=True).machine == tm.load(RUN).machine
    (run / name).unlink()
    (run / "kept").mkdir()
    secret.rename(run / "kept" / name)
    (run / name).symlink_to(f"kept/{name}")
    assert tm.read_recording(run).info == tm.read_recording(RUN).info


def test_links_in_a_dump(work: Path) -> None:
    tree = work / "sent" / "tree"
    lines = [line.split() for line in (RUN / "damon_config.txt").read_text().splitlines()]
    for path, *value in lines:
        file = tree / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(" ".join(value) + "\n")
    want = open_scenario(tree).scenario
    for path in ("operations", "schemes/0/action", "monitoring_attrs/intervals/sample_us"):
        secret = (tree / path).rename(work / "secret")
        (tree / path).symlink_to(secret)
        assert str(tree / path) in refused(lambda: open_scenario(tree), secret)
        assert open_scenario(tree, allow_files=True).scenario == want
        secret.rename(tree / path)
    (work / "named").symlink_to(tree)
    assert open_scenario(work / "named").scenario.contexts == want.contexts


def test_links_in_folders_of_results_vectors_and_runs(work: Path) -> None:
    """The folder is named, and what is found in it is not."""
    about = {"kind": "tuning", "answer": "{}", "duration_s": 1.0}
    xr.Dataset({"x": 1.0}, attrs=about).to_netcdf(work / "run.nc", engine="h5netcdf")
    (work / "sent" / "run.nc").symlink_to("../run.nc")
    refused(lambda: read_results(work / "sent"), work / "run.nc")
    assert len(read_results(work / "sent" / "run.nc")) == 1
    for name in ("feed_loop.csv.gz", "e2e_pull_used_consist.json", "e2e_pull_used_consist.npz"):
        vectors = work / "sent" / f"vectors-{name}"
        vectors.mkdir()
        (vectors / name).symlink_to(data_path("golden", name))
        if name.endswith(".npz"):
            shutil.copy(data_path("golden", "e2e_pull_used_consist.json"), vectors)
        refused(lambda vectors=vectors: cases(vectors), data_path("golden", name))
    runs = work / "sent" / "runs"
    runs.mkdir()
    (runs / "C3").symlink_to(RUN)
    for act in (lambda: runs_below(runs), lambda: quota_records.cases(runs)):
        assert "name that folder itself" in refused(act, *RUN.iterdir())
    assert runs_below(runs / "C3") == [runs / "C3"]


# ---- the command line -------------------------------------------------------------------------------------------------


def parsers() -> dict[str, Any]:
    (commands,) = (a for a in cli.parser()._actions if hasattr(a, "choices") and isinstance(a.choices, dict))
    return dict(commands.choices)


def test_every_command_that_opens_a_scenario_can_be_allowed_to() -> None:
    options = {name: {s for a in p._actions for s in a.option_strings} for name, p in parsers().items()}
    assert {name for name, given in options.items() if "--allow-files" in given} == {
        name for name, given in options.items() if "--workload" in given
    }


@pytest.mark.parametrize(
    "command", ["lint", "run -o DIR/out --duration 0.1", "convert", "sweep -o DIR/out.nc", "compare -o DIR/out"]
)
def test_allow_files(work: Path, command: str, capsys: pytest.CaptureFixture[str]) -> None:
    path = work / "sent" / "s.toml"
    path.write_text(MACHINE + FAMILY.format('"../secret.masim"'))
    words = [w.replace("DIR", str(work)) for w in command.split()] + [str(path)]
    words += [str(work / "out.toml")] if command == "convert" else []
    words += ["--seeds", "1"] if command.startswith("sweep") else []
    assert cli.main(words) == 2
    said = capsys.readouterr()
    assert "'../secret.masim' leads out of" in said.err
    assert "secretname" not in said.err + said.out
    if command.startswith(("lint", "run", "convert")):
        assert cli.main([*words, "--allow-files"]) == 0
    else:  # this scenario controls nothing, which is found out next
        cli.main([*words, "--allow-files"])
        assert "leads out" not in capsys.readouterr().err
    if command.startswith("run"):
        assert "--allow-files" in read_results(work / "out")[0].attrs["command"]
