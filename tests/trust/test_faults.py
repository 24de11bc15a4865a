"""Killed, interrupted, out of disk or of memory: no half-written result, one clear sentence, and a way to go on."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import xarray as xr
from small import pull, push, scenario

import tieringmodel as tm
from tieringmodel import cli

SMALL = scenario(pull(), push(), name="faults")
LIMIT = "import resource; resource.setrlimit(resource.RLIMIT_{0}, ({1}, {1}))\n"
MAIN = "import sys; from tieringmodel.cli import main\nsys.exit(main({!r}))\n"


def child(code: str, **changes: str) -> subprocess.CompletedProcess[str]:
    """Run Python in a process of its own, with this process's package and kernel cache."""
    root = str(Path(tm.__file__).parents[1])
    environment = os.environ | {"PYTHONPATH": root, "MPLBACKEND": "Agg"} | changes
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, timeout=240)


def only(folder: Path, *names: str) -> None:
    assert sorted(p.name for p in folder.iterdir()) == sorted(names)


@pytest.fixture
def toml(tmp_path: Path) -> Path:
    path = tmp_path / "in" / "small.toml"
    path.parent.mkdir()
    path.write_text(SMALL.to_toml())
    return path


# ---- killed -----------------------------------------------------------------------------------------------------------

KILL = """
import os, signal, stat
real, calls = os.fsync, []
def fsync(fd):
    calls.extend([fd] * stat.S_ISREG(os.fstat(fd).st_mode))  # files, not the folders that know their names
    if len(calls) == {0}:
        os.kill(os.getpid(), signal.SIGKILL)
    real(fd)
os.fsync = fsync
"""


def test_a_run_killed_while_it_writes_a_checkpoint_goes_on_from_the_one_before(tmp_path: Path, toml: Path) -> None:
    run = (
        "import tieringmodel as tm\n"
        f"ds = tm.simulate(tm.load({str(toml)!r}), duration=2, seed=5, checkpoint='state', checkpoint_s=EVERY)\n"
        "ds.to_netcdf('out.nc', engine='h5netcdf')\n"
    )
    work = tmp_path / "work"
    work.mkdir()
    killed = child(f"import os; os.chdir({str(work)!r})\n" + KILL.format(30) + run.replace("EVERY", "0"))
    assert killed.returncode == -9
    names = [p.name for p in work.iterdir()]
    assert "state" in names
    assert "out.nc" not in names
    assert len(names) == 2  # the checkpoint, and the one that was being written under another name
    assert child(f"import os; os.chdir({str(work)!r})\n" + run.replace("EVERY", "9")).returncode == 0
    straight = tm.simulate(SMALL, duration=2, seed=5, progress=False)
    with xr.open_dataset(work / "out.nc", engine="h5netcdf") as resumed:
        for name in straight.variables:
            assert (resumed[name].values == straight[name].values).all() or name == "access_share_bp"
        assert resumed.attrs["scenario"] == straight.attrs["scenario"]


@pytest.mark.parametrize("nth", [1, 2, 6])
def test_killed_while_writing_results_leaves_old_ones_whole(tmp_path: Path, nth: int) -> None:
    """Comparison, figures and report are each the old file or the new one, whichever write is the last."""
    code = (
        f"import os; os.chdir({str(tmp_path)!r})\n"
        "from pathlib import Path\nfrom tieringmodel.atomic import replacing\n" + KILL.format(nth) + "for k in range(6):\n"
        "    with replacing(f'{k}.html') as part: part.write_text('new' * 10000)\n"
    )
    for k in range(6):
        (tmp_path / f"{k}.html").write_text("old")
    assert child(code).returncode == -9
    texts = [(tmp_path / f"{k}.html").read_text() for k in range(6)]
    assert texts == ["new" * 10000] * (nth - 1) + ["old"] * (7 - nth)


# ---- no room ----------------------------------------------------------------------------------------------------------


@contextmanager
def small_disk(n_bytes: int) -> Iterator[None]:
    """No file may grow beyond that; the kernel's answer is that of a full disk but for its number."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize(
    ("words", "file"),
    [
        ("run IN --duration 2 -o OUT", "faults.nc"),
        ("run IN --duration 2 -o OUT --resume", "faults.checkpoint"),
        ("compare IN --duration 2 -o OUT", "comparison.nc"),
        ("convert IN OUT/x.toml", "x.toml"),
    ],
)
def test_a_full_disk(tmp_path: Path, toml: Path, words: str, file: str, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    out.mkdir()
    if not file.endswith(".checkpoint"):
        (out / file).write_text("an older result")
    with small_disk(512):
        status = cli.main(words.replace("IN", str(toml)).replace("OUT", str(out)).split())
    assert (status, capsys.readouterr().err) == (2, f"tieringmodel: {out / file}: File too large\n")
    if file.endswith(".checkpoint"):
        only(out)
    else:
        only(out, file)
        assert (out / file).read_text() == "an older result"


def test_output_that_cannot_be_written(toml: Path) -> None:
    root = str(Path(tm.__file__).parents[1])
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "tieringmodel", "lint", str(toml)],
            stdout=full, stderr=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": root},
        )  # fmt: skip
    assert (done.returncode, done.stderr) == (2, "tieringmodel: output: No space left on device\n")


def test_out_of_memory_is_one_sentence(tmp_path: Path) -> None:
    big = tm.Scenario(tm.Machine.dram_cxl("4 TiB", "4 TiB"), tm.Workload(2**20))
    (tmp_path / "big.toml").write_text(big.to_toml())
    words = ["run", str(tmp_path / "big.toml"), "--duration", "1", "-o", str(tmp_path / "out")]
    done = child(LIMIT.format("AS", 3 << 30) + MAIN.format(words), TIERINGMODEL_MEMORY_LIMIT="64 GiB")  # more than is needed
    assert done.returncode == 2
    assert done.stderr == "tieringmodel: out of memory; make the machine's nodes or the workload smaller\n"
    only(tmp_path / "out")


# ---- interrupted ------------------------------------------------------------------------------------------------------


def test_ctrl_c(tmp_path: Path, toml: Path) -> None:
    """The signal comes while the run goes on, not while modules are imported."""
    code = (
        "import os, signal\nfrom tieringmodel.simulation.engine import Engine\nreal = Engine.run_to\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a shell's background jobs inherit that it is ignored
        "def run_to(*words):\n"
        "    signal.signal(signal.SIGALRM, lambda *_: os.kill(os.getpid(), signal.SIGINT))\n"
        "    signal.setitimer(signal.ITIMER_REAL, 0.2, 5)\n    real(*words)\nEngine.run_to = run_to\n"
    )
    words = ["run", str(toml), "--duration", "2000000", "-o", str(tmp_path / "out")]
    done = child(code + MAIN.format(words))
    assert (done.returncode, done.stdout) == (130, "")
    assert done.stderr == "tieringmodel: interrupted\n"
    only(tmp_path / "out")


# ---- the kernels' cache -----------------------------------------------------------------------------------------------

COMPILE = (
    "import numpy as np\nfrom tieringmodel.kernels import integer\n"
    "a = np.arange(5, dtype=np.uint64) * np.uint64(9999)\nout = np.zeros(5, np.uint64)\n"
    "integer.feed_loop_next_inputs(a, a, out)\nprint(out.tolist(), integer.feed_loop_next_input(np.uint64(5), a[1]))\n"
)
ANSWER = "[0, 9999, 10000, 10000, 10000] 5\n"


def test_a_cache_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = child(COMPILE, TIERINGMODEL_CACHE_DIR=str(tmp_path / "file"))
    assert (done.returncode, done.stdout) == (0, ANSWER)
    assert "cannot be written (Not a directory), so every process compiles anew; name a folder in TIERING" in done.stderr


def test_a_cache_on_a_full_disk(tmp_path: Path) -> None:
    quiet = {"COVERAGE_PROCESS_CONFIG": "", "COVERAGE_PROCESS_START": ""}  # what measures branches has no disk either
    done = child(LIMIT.format("FSIZE", 100) + COMPILE, TIERINGMODEL_CACHE_DIR=str(tmp_path), **quiet)
    assert (done.returncode, done.stdout, done.stderr) == (0, ANSWER, "")


def test_processes_that_compile_at_once_do_not_disturb_each_other(tmp_path: Path) -> None:
    """All of them answer right, and so does the next one, from what they left behind."""
    root = str(Path(tm.__file__).parents[1])
    environment = os.environ | {"PYTHONPATH": root, "TIERINGMODEL_CACHE_DIR": str(tmp_path)}
    floats = COMPILE.replace("np.uint64(5), a[1]", "np.uint32(5), np.uint32(9999)")  # another signature of the same function
    running = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=environment)
        for code in (COMPILE, floats, COMPILE)
    ]
    assert [p.communicate(timeout=240)[0] for p in running] == [ANSWER] * 3
    again = COMPILE + "print(dict(integer.feed_loop_next_inputs.stats.cache_misses))"
    assert child(again, TIERINGMODEL_CACHE_DIR=str(tmp_path)).stdout == ANSWER + "{}\n"


# ---- what a page shows ------------------------------------------------------------------------------------------------


def test_a_report_escapes_what_it_shows(tmp_path: Path) -> None:
    """Names of scenarios, policies and groups are text, not markup; they do not name files elsewhere either."""
    from tieringmodel.reports import save_figures, write_report

    evil = "<script>alert(1)</script>\"'&../../x\x1b[31m"
    sc = scenario(pull(), groups=[tm.Group(0, 2048, rate_hz=400.0, name=evil)], name=evil)
    cmp = tm.compare({evil: sc, "$\\frac$": sc}, duration=2.0)
    cmp.attrs |= {"name": evil, "title": evil, "question": evil, "lint": evil}
    page = write_report([cmp], tmp_path / "report.html", command=evil).read_text()
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    written = save_figures(cmp, tmp_path / "figures")
    assert {p.parent for p in written} == {tmp_path / "figures"}
