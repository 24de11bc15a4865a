"""The installed wheel, run as a user would: from an empty folder, with no checkout in sight.

``TIERINGMODEL_WHEEL_PYTHON`` names the Python of an environment that already has the wheel; without it one is made.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

pytestmark = pytest.mark.wheel

ROOT = Path(__file__).resolve().parent.parent
BIN = "Scripts" if os.name == "nt" else "bin"
SUFFIX = sysconfig.get_config_var("EXE") or ""


@pytest.fixture(scope="session")
def wheel_bin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the executables of an environment where the wheel, not the checkout, is installed."""
    if ready := os.environ.get("TIERINGMODEL_WHEEL_PYTHON"):
        return Path(ready).parent
    folder = tmp_path_factory.mktemp("wheel")
    pip = ["-m", "pip", "--quiet", "--disable-pip-version-check"]
    subprocess.run([sys.executable, *pip, "wheel", "--no-deps", "-w", folder, ROOT], check=True)
    venv.create(folder / "env", with_pip=True)
    (wheel,) = folder.glob("*.whl")
    subprocess.run([folder / "env" / BIN / f"python{SUFFIX}", *pip, "install", wheel], check=True)
    return folder / "env" / BIN


@pytest.fixture
def run(wheel_bin: Path, tmp_path: Path):
    """Run one of the environment's executables in an empty folder; return what it printed."""
    folder = tmp_path / "empty"
    folder.mkdir()
    environment = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "VIRTUAL_ENV")}

    def call(program: str, *arguments: str) -> str:
        done = subprocess.run(
            [wheel_bin / f"{program}{SUFFIX}", *arguments],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=600,
        )
        assert done.returncode == 0, f"{program} {arguments}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    call.folder = folder
    return call


def test_package_and_data_come_from_the_wheel(run, wheel_bin):
    code = "import tieringmodel, tieringmodel.datafiles as d; print(tieringmodel.__file__); print(d.data_path())"
    package, data = map(Path, run("python", "-c", code).splitlines())
    assert wheel_bin.parent.resolve() in package.resolve().parents
    assert data.resolve() == package.resolve().parent / "_data"


def test_data_is_the_checkouts(run):
    code = "import tieringmodel.datafiles as d; print(d.data_path())"
    shipped = Path(run("python", "-c", code).strip())

    def listing(folder: Path) -> dict[str, int]:
        return {str(f.relative_to(folder)): f.stat().st_size for f in folder.rglob("*") if f.is_file()}

    assert listing(shipped) == listing(ROOT / "data")


def test_compare_writes_its_results(run):
    table = run("tieringmodel", "compare", "--duration", "10")
    written = {path.name for path in run.folder.rglob("*") if path.is_file()}
    assert {"comparison.nc", "report.html"} <= written
    for baseline in ("all-fast", "all-slow", "oracle"):
        assert baseline in table


@pytest.mark.parametrize("what", [("--anchors",), ("--vectors", "6.12.117")])
def test_validate_holds_on_what_ships(run, what):
    """A part of it: `.ci/full evidence` replays and simulates everything."""
    if what[0] == "--vectors":
        code = "import tieringmodel.datafiles as d; print(d.data_path('golden2', '6.12.117'))"
        what = "--vectors", run("python", "-c", code).strip()
    answer = json.loads(run("tieringmodel", "validate", "--json", *what))
    assert [case for case in answer["cases"] if not case["ok"]] == []
    assert len(answer["cases"]) > 3
    assert answer["ok"] is True


def test_module_and_console_script_are_the_same_program(run):
    assert run("python", "-m", "tieringmodel", "--help") == run("tieringmodel", "--help")
