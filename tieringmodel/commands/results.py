"""What the commands that write results have in common: where, under which name, from which seed, and how to do it again."""

from __future__ import annotations

import argparse
import os
import shlex
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from ..atomic import need_place, replacing, replacing_netcdf
from ..checks import whole
from ..errors import InputError, printable
from .arguments import add_surroundings
from .duration import add_duration

if TYPE_CHECKING:
    import xarray as xr

    from ..scenario import Scenario

LINKS = ("latest.nc", "run.nc")
"""Links to the run that was written last; the second is the name that scripts know."""

MOST_SEEDS = 10_000
"""Each is a run of its own; of so many the share that differs is known to half a point."""


def add_common(command: argparse.ArgumentParser) -> None:
    """Add ``--output``, ``--duration``, ``--budget``, ``--seed``, ``--seeds``, ``--ascii`` and the surroundings."""
    add = command.add_argument
    add("-o", "--output", metavar="DIR", type=Path, default=Path("tieringmodel-out"), help="where to write")
    add_duration(command)
    add(
        "--seed",
        metavar="N",
        type=int,
        default=None,
        help="everything random follows from it (default 1; of a result: its own)",
    )
    add("--seeds", metavar="N", type=int, default=1, help="N seeds from --seed on: the verdict of most, and how many differ")
    add_surroundings(command)
    add("--ascii", action="store_true", help="print plain ASCII, for a mail")


def add_junit(command: argparse.ArgumentParser) -> None:
    """Add ``--junit``."""
    command.add_argument(
        "--junit", metavar="FILE", type=Path, help="write what was expected, and what came of it, as JUnit XML"
    )


def check_junit(arguments: argparse.Namespace) -> None:
    """Refuse a file of expectations where there are none, and one that cannot be written, before the work begins."""
    if arguments.junit and not arguments.expect:
        raise InputError("--junit", "holds expectations, and none is given", "add --expect")
    if arguments.junit:
        need_place(arguments.junit, "--junit")


def check_seeds(arguments: argparse.Namespace) -> None:
    """Refuse less than one seed, and what is none, before the work begins."""
    if arguments.seed is not None:
        whole("seed", arguments.seed)
    if arguments.seeds < 1:
        raise InputError("--seeds", f"{arguments.seeds} is below 1", "write e.g. --seeds 8")
    if arguments.seeds > MOST_SEEDS:
        raise InputError(
            "--seeds", f"{arguments.seeds} is over {MOST_SEEDS}", "write e.g. --seeds 8, or sweep them into a store"
        )


def writable(folder: Path) -> Path:
    """Return the folder, made if it does not exist; say so before the work begins if nothing can be written there."""
    folder.mkdir(parents=True, exist_ok=True)
    if not os.access(folder, os.W_OK | os.X_OK):
        raise InputError(str(folder), "is not writable", "name another folder with -o")
    need_place(folder / "result.nc", "-o")
    return folder


def result_path(folder: Path, scenario: Scenario, source: str | None) -> Path:
    """Return where to write a run: under the scenario's name, but not over the result of another scenario of that name.

    Parameters
    ----------
    folder : Path
        Where results go.
    scenario : Scenario
        What will run.
    source : str or None
        Its file, whose name it gets if it has none itself.
    """
    from ..plot.files import slug

    stem = slug(scenario.name or (Path(source).stem if source else "") or "scenario")
    taken = {Path(name).stem for name in LINKS} | {"comparison"}
    stem = f"{stem}-run" if stem in taken else stem
    content = scenario.to_json()
    for k in count(1):
        path = folder / (f"{stem}.nc" if k == 1 else f"{stem}-{k}.nc")
        if not path.exists() or _scenario_in(path) in (None, content):
            return path
    raise AssertionError("unreachable")


def _scenario_in(path: Path) -> str | None:
    """Return the scenario of a stored run as JSON; None if the file is none."""
    import h5py  # whose attributes are all that is asked for: decoding every variable takes a quarter of a second

    from ..datasets.foreign import check_result

    try:
        check_result(path)
        with h5py.File(path) as file:
            stored = file.attrs.get("scenario")
    except InputError:  # somebody's, and not ours to read
        return ""
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, AttributeError):
        return None
    return None if stored is None else str(stored)


def point_to(path: Path) -> None:
    """Let the links in the folder of a result say that it is the latest; a text file where there are no links.

    A file of that name that is no link is somebody's result, and stays.
    """
    for name in LINKS:
        link = path.with_name(name)
        if link.exists() and not link.is_symlink():
            continue
        temporary = path.with_name(f".{name}.{os.getpid()}")
        try:
            temporary.symlink_to(path.name)
            temporary.replace(link)
        except (OSError, NotImplementedError):
            temporary.unlink(missing_ok=True)
            with replacing(path.with_name("latest.txt")) as note:
                note.write_text(f"{path.name}\n", encoding="utf-8")


def command_line(arguments: argparse.Namespace, scenarios: Sequence[str], duration: str | float | None) -> str:
    """Return the command line that makes the same result again; without a duration, it is found again."""
    sources = [str(p.parent / p.readlink()) if (p := Path(s)).name in LINKS and p.is_symlink() else s for s in scenarios]
    command = ["tieringmodel", arguments.command, *sources, "--seed", str(arguments.seed)]
    command += ["--seeds", str(arguments.seeds)] if arguments.seeds > 1 else []
    if duration is not None:
        command += ["--duration", duration if isinstance(duration, str) else f"{duration!r} s".replace(".0 s", " s")]
    for option in ("machine", "workload", "kernel", "every"):
        if getattr(arguments, option, None) is not None:
            command += [f"--{option}", str(getattr(arguments, option))]
    for option in ("set", "plugin"):
        for given in getattr(arguments, option, ()):
            command += [f"--{option}", given]
    if arguments.allow_files:
        command.append("--allow-files")
    return printable(shlex.join([*command, "--", *arguments.line] if arguments.line else command))


def write_netcdf(ds: xr.Dataset, path: Path) -> None:
    """Write a dataset; a file that is there stays as it is until the new one is whole."""
    with replacing_netcdf(path, ds.nbytes, len(ds.variables)) as temporary:
        ds.to_netcdf(temporary, engine="h5netcdf")
