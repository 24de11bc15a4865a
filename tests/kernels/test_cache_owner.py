"""Compiled code is loaded from a folder only if nobody else can have put it there; else compiled anew, said once."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import tieringmodel
from tieringmodel.kernels import _jit

ROOT = str(Path(tieringmodel.__file__).parents[1])
ASK = "from tieringmodel.kernels import _jit; print(_jit.CACHED, _jit.CACHE_DIR)"
WARNING = "so every process compiles anew; name a folder in TIERINGMODEL_CACHE_DIR that only you can write to"
SOMEBODY = 54321
IS_ROOT = os.getuid() == 0


def child(code: str, **changes: str) -> subprocess.CompletedProcess[str]:
    given = os.environ | {"PYTHONPATH": ROOT, "NUMBA_DISABLE_JIT": "0", _jit._WARNED: ""} | changes
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=given, timeout=240)


def give_away(path: Path) -> str:
    """Make a path somebody else's; return what a child must do so that it is (who is not root becomes somebody else)."""
    if IS_ROOT:
        os.chown(path, SOMEBODY, SOMEBODY, follow_symlinks=False)
        return ""
    return f"import os; os.getuid = lambda: {SOMEBODY}\n"


def at_mode(path: Path, mode: int) -> Path:
    path.mkdir(exist_ok=True)
    path.chmod(mode)
    return path


def made_by_somebody(folder: Path, digest: str) -> str:
    return give_away(at_mode(folder / "cache", 0o700))


def digest_by_somebody(folder: Path, digest: str) -> str:
    return give_away(at_mode(at_mode(folder / "cache", 0o755) / digest, 0o700))


def link_to_somebody(folder: Path, digest: str) -> str:
    (folder / "cache").symlink_to(at_mode(folder / "theirs", 0o700))
    return give_away(folder / "theirs")


def link_by_somebody(folder: Path, digest: str) -> str:
    (folder / "cache").symlink_to(at_mode(folder / "ours", 0o700))
    return give_away(folder / "cache")


def link_in_the_cache(folder: Path, digest: str) -> str:
    (at_mode(folder / "cache", 0o700) / digest).symlink_to(at_mode(folder / "ours", 0o700))
    return ""


def parent_by_somebody(folder: Path, digest: str) -> str:
    at_mode(at_mode(folder / "above", 0o755) / "cache", 0o700)
    (folder / "cache").symlink_to(folder / "above" / "cache")
    return give_away(folder / "above")


def open_parent(folder: Path, digest: str) -> str:
    at_mode(at_mode(folder / "above", 0o755) / "cache", 0o700)
    (folder / "cache").symlink_to(folder / "above" / "cache")
    at_mode(folder / "above", 0o777)
    return ""


def open_cache(mode: int) -> Callable[[Path, str], str]:
    def made(folder: Path, digest: str) -> str:
        at_mode(folder / "cache", mode)
        return ""

    return made


def open_digest(mode: int) -> Callable[[Path, str], str]:
    def made(folder: Path, digest: str) -> str:
        at_mode(at_mode(folder / "cache", 0o700) / digest, mode)
        return ""

    return made


UNSAFE = [
    made_by_somebody, digest_by_somebody, link_to_somebody, link_by_somebody, link_in_the_cache, parent_by_somebody,
    open_parent, *map(open_cache, (0o777, 0o770, 0o775, 0o757, 0o722, 0o702, 0o1777)),
    *map(open_digest, (0o777, 0o755, 0o750, 0o705, 0o701)),
]  # fmt: skip


VARIABLES = ("TIERINGMODEL_CACHE_DIR", "NUMBA_CACHE_DIR", "XDG_CACHE_HOME")


@pytest.mark.parametrize("made", UNSAFE, ids=[f"{i}-{m.__qualname__.partition('.')[0]}" for i, m in enumerate(UNSAFE)])
@pytest.mark.parametrize("variable", VARIABLES)
def test_a_folder_that_others_can_write_to_is_not_used(
    made: Callable[[Path, str], str], variable: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = _jit.source_digest()
    if made(tmp_path, digest):
        monkeypatch.setattr(os, "getuid", lambda: SOMEBODY)
    named = tmp_path / "cache"
    if variable == "XDG_CACHE_HOME":
        named = named.rename(tmp_path / "tieringmodel").parent
    for other in (*VARIABLES, _jit._WARNED):
        monkeypatch.setenv(other, str(named) if other == variable else "")
    before = sorted(tmp_path.rglob("*"))
    root = _jit._cache_root()
    with pytest.warns(RuntimeWarning, match=WARNING):
        assert not _jit._usable(Path(os.path.realpath(root)) / digest, root)
    assert sorted(tmp_path.rglob("*")) == before  # nothing is left in a folder that is not ours


def test_the_fallback_in_the_temporary_folder_is_held_to_the_same(tmp_path: Path) -> None:
    """No home can be written: a folder with a name that everybody can foresee, which somebody else may have made."""
    (tmp_path / "file").write_text("")
    at_mode(tmp_path / "tmp", 0o1777)
    places = {"XDG_CACHE_HOME": str(tmp_path / "file"), "TMPDIR": str(tmp_path / "tmp")}
    places |= {"TIERINGMODEL_CACHE_DIR": "", "NUMBA_CACHE_DIR": ""}
    made = child(ASK, **places)
    folder = tmp_path / "tmp" / f"tieringmodel-{os.getuid()}"
    assert made.stdout == f"True {folder / _jit.source_digest()}\n"
    assert (folder.stat().st_mode & 0o777, made.stderr) == (0o700, "")
    at_mode(folder, 0o777)
    assert child(ASK, **places).stdout.startswith("False")
    at_mode(folder, 0o700)
    assert child(give_away(folder) + ASK, **places).stdout.startswith("False")


def test_a_missing_folder_is_made_for_this_user_alone(tmp_path: Path) -> None:
    named = tmp_path / "a" / "b" / "c"
    said = child("import os; os.umask(0)\n" + ASK, TIERINGMODEL_CACHE_DIR=str(named))
    assert said.stdout == f"True {named / _jit.source_digest()}\n"
    made = [tmp_path / "a", tmp_path / "a/b", named, named / _jit.source_digest()]
    assert [p.stat().st_mode & 0o777 for p in made] == [0o700] * 4


@pytest.mark.parametrize("mode", [0o700, 0o755, 0o711, 0o750])
def test_a_folder_that_only_we_can_write_to_is_used(mode: int, tmp_path: Path) -> None:
    """That of earlier versions in the home folder too, which others could look into."""
    said = child(ASK, TIERINGMODEL_CACHE_DIR=str(at_mode(tmp_path / "cache", mode)))
    assert (said.stdout.split()[0], said.stderr) == ("True", "")


def test_a_link_of_ours_to_a_folder_of_ours_is_used(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(at_mode(tmp_path / "cache", 0o700))
    said = child(ASK, TIERINGMODEL_CACHE_DIR=str(tmp_path / "link"))
    assert said.stdout == f"True {tmp_path / 'cache' / _jit.source_digest()}\n"


def test_where_nobody_has_a_number_the_system_guards_the_folder(tmp_path: Path) -> None:
    said = child("import os; del os.getuid\n" + ASK, TIERINGMODEL_CACHE_DIR=str(tmp_path / "cache"))
    assert (said.stdout.split()[0], said.stderr) == ("True", "")


# ---- what is in such a folder is not run --------------------------------------------------------------------------------

ROOM = "from ._jit import kernel\n\n@kernel\ndef call():\n    return 5\n"


class Runs:
    """What a pickle of this does when it is read."""

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return os.mkdir, ("EXECUTED",)


def test_code_that_somebody_put_there_does_not_run(tmp_path: Path) -> None:
    """Where only we could have put it, it does: that is why it matters."""
    room = tmp_path / "room"
    room.mkdir()
    (room / "__init__.py").write_text("")
    shutil.copy(Path(_jit.__file__), room)
    (room / "caller.py").write_text(ROOM)
    cache = at_mode(tmp_path / "cache", 0o700)
    program = f"import sys; sys.path.insert(0, {str(tmp_path)!r})\nfrom room.caller import call\nprint(call())"

    def run(first: str = "") -> str:
        work = tmp_path / "work"
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir()
        given = os.environ | {"TIERINGMODEL_CACHE_DIR": str(cache), "NUMBA_DISABLE_JIT": "0", _jit._WARNED: ""}
        done = subprocess.run(
            [sys.executable, "-B", "-c", first + program], cwd=work, env=given, capture_output=True, text=True
        )
        return done.stdout.strip() + " executed" * (work / "EXECUTED").exists()

    assert run() == "5"
    for index in cache.rglob("*.nbi"):
        version = pickle.loads(index.read_bytes())  # numba reads this first, and what follows only if it fits
        index.write_bytes(pickle.dumps(version) + pickle.dumps(Runs()))
    assert run().endswith("executed")
    assert run(give_away(cache)) == "5"


# ---- one warning ------------------------------------------------------------------------------------------------------

TREE = """
import subprocess, sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from tieringmodel.kernels import _jit

def ask():
    from tieringmodel.kernels import _jit
    return _jit.CACHED

if __name__ == "__main__":
    for method in {methods}:
        with ProcessPoolExecutor(2, mp_context=get_context(method)) as pool:
            assert [f.result() for f in [pool.submit(ask) for _ in range(4)]] == [False] * 4
    subprocess.run([sys.executable, "-c", "from tieringmodel.kernels import _jit; assert not _jit.CACHED"], check=True)
"""


def test_a_tree_of_processes_warns_once(tmp_path: Path) -> None:
    at_mode(tmp_path / "cache", 0o777)
    script = tmp_path / "tree.py"
    script.write_text(TREE.format(methods=multiprocessing.get_all_start_methods()))
    given = os.environ | {"PYTHONPATH": ROOT, "TIERINGMODEL_CACHE_DIR": str(tmp_path / "cache"), "NUMBA_DISABLE_JIT": "0"}
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, env=given | {_jit._WARNED: ""}, timeout=240)
    assert (done.returncode, done.stderr.count(WARNING)) == (0, 1), done.stderr


def test_a_sweep_in_processes_leaves_the_folder_alone(tmp_path: Path) -> None:
    cache = at_mode(tmp_path / "cache", 0o777)
    words = ["sweep", "rfc-40-60", "--seeds", "2", "--duration", "0.1", "--workers", "2", "-o", str(tmp_path / "s.zarr")]
    said = child(
        f"import sys; from tieringmodel.cli import main\nif __name__ == '__main__': sys.exit(main({words!r}))",
        TIERINGMODEL_CACHE_DIR=str(cache),
    )
    assert (said.returncode, said.stderr.count(WARNING)) == (0, 1), said.stderr
    assert list(cache.iterdir()) == []
