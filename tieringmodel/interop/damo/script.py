"""Scripts of damo commands: ``damo start …``, then ``sleep`` and ``damo tune …``, each of which is a whole context anew.

Nothing of a script is run: its commands are read, and each damo line is translated as `line` does it.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from pathlib import PurePath
from typing import NamedTuple

from ...errors import InputError, short
from ...scenario import Commit, Context, Machine
from ..sysfs.read import Dump
from . import line as of_line
from .write import PINNED

TUNE = "damo tune"
_BEGINS = re.compile(r"\s*(?:(?:\S*/)?(?:damo|sudo)|sleep)(?:\s|$)")
_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400}


class Command(NamedTuple):
    """One damo command of a script, and when it comes."""

    at_us: int
    where: str
    words: tuple[str, ...]


class Script(NamedTuple):
    """A ``damo start`` line, the ``damo tune`` lines after it, and the time of ``damo stop``, if there is one."""

    start: Command
    tunes: tuple[Command, ...] = ()
    stop_us: int | None = None


def read_script(text: str, where: str) -> Script:
    """Return the commands of a script with their times after the start.

    Parameters
    ----------
    text : str
        ``damo start``, ``damo tune``, ``sleep`` and, at the end, ``damo stop``. A line that begins with another word goes on
        with the command above; one that begins with ``#`` is a comment.
    where : str
        Its name, for messages.

    Raises
    ------
    InputError
        For other commands, a second start, or a time that is none.
    """
    at_us, stop_us = 0, None
    start: Command | None = None
    tunes: list[Command] = []
    for number, words in _commands(text, where):
        here, rest = f"{where}:{number}", of_line.without_sudo(words)
        if stop_us is not None:
            raise InputError(here, "comes after damo stop", "end the script there")
        if rest[:1] == ["sleep"]:
            if start is None:
                raise InputError(here, "sleeps before damo start", "leave it out: times count from the start")
            at_us += sum(_slept_us(word, here) for word in rest[1:])
            continue
        verb = rest[1] if len(rest) > 1 and PurePath(rest[0]).name == "damo" else ""
        if verb in ("start", "schemes", "record") and start is None:
            start = Command(0, where, tuple(words))
            stop_us = of_line.timeout_us(words)
        elif verb == "tune" and start is not None:
            tunes.append(Command(at_us, here, tuple(words)))
        elif verb == "stop" and start is not None:
            stop_us = at_us
        else:
            text = "starts DAMON again" if verb == "start" else f"{short(' '.join(rest[:2]))!r} is no command that is read"
            raise InputError(here, text, "write damo start once, then sleep and damo tune, and damo stop at the end")
    if start is None:
        raise InputError(where, "holds no damo start", "write e.g. damo start --ops paddr …")
    return Script(start, tuple(tunes), stop_us)


def _commands(text: str, where: str) -> list[tuple[int, list[str]]]:
    """Return the words of each command, and the line on which it begins."""
    parts: list[tuple[int, list[str]]] = []
    for number, line in enumerate(text.splitlines(), start=1):
        if line.lstrip().startswith("#") or not line.strip():
            continue
        if _BEGINS.match(line) or not parts:
            parts.append((number, []))
        parts[-1][1].append(line.rstrip().removesuffix("\\"))
    try:
        return [(number, shlex.split(" ".join(lines))) for number, lines in parts]
    except ValueError as error:
        raise InputError(where, f"cannot be split into words ({error})", "close every quote") from None


def _slept_us(word: str, where: str) -> int:
    match = re.fullmatch(r"(\d{1,9}(?:\.\d{1,6})?)([smhd]?)", word)
    if not match:
        raise InputError(where, f"{word!r} is no time to sleep", "write seconds, or e.g. 5m")
    return round(float(match[1]) * _SECONDS[match[2]] * 1e6)


def options_of(command: Command) -> list[of_line.Option]:
    """Return the options of a ``damo tune`` line."""
    try:
        _check_tune(command)
        return of_line.split(command.words)
    except InputError as error:
        raise _in_script(error, command) from None


def read_tune(command: Command, machine: Machine) -> Dump:
    """Translate a ``damo tune`` line: damo takes the options of ``damo start``, and commits what they say as a whole.

    Raises
    ------
    InputError
        As `line.read_damo_line`.
    """
    try:
        _check_tune(command)
        return of_line.read_damo_line(command.words, machine)
    except InputError as error:
        raise _in_script(error, command) from None


def _check_tune(command: Command) -> None:
    if "--quota_goals_only" in command.words:
        text = f"damo {PINNED} commits without having written them: nothing would change"
        raise InputError(f"{TUNE} --quota_goals_only", text, "leave it out, and give the whole line")


def _in_script(error: InputError, command: Command) -> InputError:
    """Return what was said of a line as said of its place in a script."""
    return InputError(f"{command.where}: {error.where}", error.what, error.remedy)


def commits_of(tunes: Sequence[Command], dumps: Sequence[Dump], start: Dump) -> tuple[tuple[Commit, ...], tuple[str, ...]]:
    """Return what each ``damo tune`` line commits, and the paths of all control groups.

    Parameters
    ----------
    tunes : sequence of Command
        The lines.
    dumps : sequence of Dump
        What each says.
    start : Dump
        What the ``damo start`` line says.

    Raises
    ------
    InputError
        If a line describes another number of contexts.
    """
    paths, commits = list(start.memcg_paths), []
    for command, dump in zip(tunes, dumps, strict=True):
        if len(dump.contexts) != len(start.contexts):
            text = f"describes {len(dump.contexts)} contexts, damo start {len(start.contexts)}"
            raise InputError(f"{command.where}: {TUNE}", text, "describe every context that runs")
        paths += [path for path in dump.memcg_paths if path not in paths]
        ids = {k: paths.index(path) + 1 for k, path in enumerate(dump.memcg_paths, start=1)}
        commits += [Commit(command.at_us, i, _renamed(c, ids)) for i, c in enumerate(dump.contexts)]
    return tuple(commits), tuple(paths)


def _renamed(context: Context, ids: dict[int, int]) -> Context:
    """Return a context with control groups numbered as in the whole script."""

    def of(item: object) -> int:
        memcg_id = int(item.memcg_id)  # type: ignore[attr-defined]
        return ids.get(memcg_id, memcg_id)

    schemes = []
    for scheme in context.schemes:
        goals = tuple(g.replace(memcg_id=of(g)) for g in scheme.quota.goals)
        filters = tuple(f.replace(memcg_id=of(f)) for f in scheme.filters)
        schemes.append(scheme.replace(filters=filters, quota=scheme.quota.replace(goals=goals)))
    return context.replace(schemes=tuple(schemes))
