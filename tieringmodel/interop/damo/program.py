"""Run the real damo (PyPI package ``damo``) as a program, without letting it touch anything.

Observed of damo 3.4.3, the pinned version: ``damo args damon`` translates options to JSON without a DAMON kernel, but
only as root (here: of a user namespace of its own); a word that is neither an option, a number nor ``paddr`` is run as
a command; ``--raw`` prints some times in nanoseconds.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from functools import cache, lru_cache
from pathlib import Path

from ...errors import InputError
from .write import PINNED

TIMEOUT_S = 60
# The namespace's root may not read DAMON's files either, and damo ends where it finds files that it cannot read.
_HIDE = 'if [ -d /sys/kernel/mm ]; then mount -t tmpfs none /sys/kernel/mm; fi && exec "$0" "$@"'
_AS_ROOT = ("unshare", "--user", "--map-root-user", "--mount", "sh", "-c", _HIDE)
_HINT = "pip install 'tieringmodel[damo]'"


@cache
def damo_path() -> str | None:
    """Return the damo program beside this Python, else the one in PATH, else None."""
    beside = Path(sys.executable).parent / "damo"
    return str(beside) if beside.exists() else shutil.which("damo")


def run_damo(*options: str, root: bool = False) -> subprocess.CompletedProcess[str]:
    """Run damo in an empty directory.

    Parameters
    ----------
    *words : str
        Its arguments. Nothing is checked here: never pass a stranger's words that were not.
    root : bool
        Run as root of a new user namespace, without the files of this kernel's DAMON, unless we are root: damo demands it,
        also for what needs no rights.

    Raises
    ------
    InputError
        If damo is not installed, hangs, or cannot be given a namespace.
    """
    program = damo_path()
    if program is None:
        raise InputError("damo", "is not installed", _HINT)
    command = [program, *options]
    if root and os.geteuid() != 0:
        command = [*_AS_ROOT, *command]
    remedy = "run as root, or write the JSON with 'damo args damon --format json …' where you are root and give that file"
    with tempfile.TemporaryDirectory() as empty:
        try:
            done = subprocess.run(
                command,
                cwd=empty,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
                timeout=TIMEOUT_S,
                errors="replace",
            )
        except subprocess.TimeoutExpired:
            raise InputError("damo", f"has not answered within {TIMEOUT_S} s", "give its JSON instead") from None
        except OSError as error:
            raise InputError("damo", f"cannot be run ({error.strerror})", remedy) from None
    if command[0] == "unshare" and done.returncode and done.stderr.startswith(("unshare:", "mount:")):
        raise InputError("damo", "demands root, and this system allows no user namespace", remedy)
    return done


@cache
def damo_version() -> str:
    """Return the version of damo, for example ``"3.4.3"``.

    Raises
    ------
    InputError
        If damo is not installed or does not tell.
    """
    version = re.search(r"\d+(\.\d+)+\S*", run_damo("version").stdout)
    if not version:
        raise InputError("damo", "does not tell its version", f"install damo {PINNED}: {_HINT}")
    return version[0]


@lru_cache(maxsize=64)
def damo_args(options: tuple[str, ...]) -> str:
    """Return the JSON text that ``damo args damon --format json --raw`` prints for checked options.

    Raises
    ------
    InputError
        With damo's own words if it refuses the options.
    """
    done = run_damo("args", "damon", "--format", "json", "--raw", *options, root=True)
    printed = re.search(r"^\{", done.stdout, re.MULTILINE)  # damo writes remarks such as "target_pid [1]" before it
    if done.returncode or not printed:
        said = done.stdout.strip() or done.stderr.strip()
        last = " ".join(said.splitlines()[-1].split())[:300] if said else f"exit status {done.returncode}"
        raise InputError("damo start", f"damo {damo_version()} refuses the line: {last}", "see 'damo start --help'")
    return done.stdout[printed.start() :]
