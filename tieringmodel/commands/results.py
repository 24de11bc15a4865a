"""What the commands that write results have in common: where, for how long, from which seed, and how to do it again."""

from __future__ import annotations

import argparse
import os
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..atomic import replacing_netcdf
from ..errors import InputError
from .arguments import add_surroundings

if TYPE_CHECKING:
    import xarray as xr


def add_common(command: argparse.ArgumentParser) -> None:
    """Add ``--output``, ``--duration``, ``--seed`` and what `add_surroundings` adds."""
    add = command.add_argument
    add("-o", "--output", metavar="DIR", type=Path, default=Path("tieringmodel-out"), help="where to write")
    add("--duration", metavar="T", default=None, help="simulated time, e.g. '120 s' (bare numbers: seconds)")
    add("--seed", metavar="N", type=int, default=1, help="everything random follows from it (default 1)")
    add_surroundings(command)


def writable(folder: Path) -> Path:
    """Return the folder, made if it does not exist; say so before the work begins if nothing can be written there."""
    folder.mkdir(parents=True, exist_ok=True)
    if not os.access(folder, os.W_OK | os.X_OK):
        raise InputError(str(folder), "is not writable", "name another folder with -o")
    return folder


def duration_of(given: str | None, recorded_s: float | None = None) -> str | float:
    """Return the simulated time: as given, as long as the recording, or two minutes."""
    return given if given is not None else (recorded_s or 120.0)


def command_line(arguments: argparse.Namespace, scenarios: Sequence[str]) -> str:
    """Return the command line that makes the same result again."""
    command = ["tieringmodel", arguments.command, *scenarios, "--seed", str(arguments.seed)]
    for option in ("duration", "machine", "workload"):
        if getattr(arguments, option) is not None:
            command += [f"--{option}", str(getattr(arguments, option))]
    if arguments.allow_files:
        command.append("--allow-files")
    return shlex.join([*command, "--", *arguments.line] if arguments.line else command)


def write_netcdf(ds: xr.Dataset, path: Path) -> None:
    """Write a dataset; a file that is there stays as it is until the new one is whole."""
    with replacing_netcdf(path, ds.nbytes, len(ds.variables)) as temporary:
        ds.to_netcdf(temporary, engine="h5netcdf")
