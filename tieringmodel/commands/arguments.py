"""What every command that takes a scenario has in common: its options, and a ``damo start …`` line after ``--``."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InputError
from .output import say

if TYPE_CHECKING:
    from ..interop.load import Loaded

SCENARIO_HELP = (
    "TOML, damo's JSON or YAML, a dump of DAMON's sysfs tree, a recording directory, a stored result, or a shipped name; "
    "or none and '-- damo start …' at the end"
)


KERNEL_HELP = "which Linux runs: 6.18, or '6.18, thisnode on' (default: the scenario's own, or 7.3.4)"


KERNELS_HELP = "e.g. 6.12,7.3.4, or '7.2, 7.2, thisnode on'; one alone: from the scenario's own to that"


MACHINE_HELP = (
    "the machine: dram=512G,cxl=256G, TOML with a [machine], /proc/zoneinfo, numactl -H, lsmem --json, or a folder with these "
    "(default: one that fits the addresses; a scenario's own is replaced)"
)
WORKLOAD_HELP = (
    "the workload: total=400G,hot=40G@200Hz,placed=node1, TOML with a [workload], perf script, a table of accesses, masim or a "
    "damo record, maybe with options: perf.txt,repeat=3 (default: half of the memory in use, a quarter of it hot)"
)


def add_surroundings(command: argparse.ArgumentParser) -> None:
    """Add ``--machine``, ``--workload``, ``--kernel``, ``--set``, ``--plugin`` and ``--allow-files``."""
    command.add_argument("--machine", metavar="MACHINE", help=MACHINE_HELP)
    command.add_argument("--workload", metavar="WORKLOAD", help=WORKLOAD_HELP)
    command.add_argument("--kernel", metavar="NAME", help=KERNEL_HELP)
    command.add_argument(
        "--set",
        metavar="PATH=VALUE",
        action="append",
        default=[],
        help="change a field of the scenario first, e.g. 'schemes.*.quota.sz_bytes=2 MiB'",
    )
    command.add_argument(
        "--plugin",
        metavar="MODULE",
        action="append",
        default=[],
        help="load FILE.py or a module first, which registers metrics, tuners, policies, hotness sources or lint rules",
    )
    command.add_argument(
        "--allow-files",
        action="store_true",
        help="let scenario, workload and recording name files outside of their folder (default: refuse these)",
    )


def split_line(argv: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the arguments before ``--`` and the damo line after it; without such a line, everything and nothing."""
    arguments = list(argv)
    if "--" in arguments:
        at = arguments.index("--")
        tail = arguments[at + 1 :]
        if tail and Path(tail[0]).name in ("damo", "sudo"):
            return arguments[:at], tail
    return arguments, []


def bare_line(words: Sequence[str]) -> str:
    """Return what to write where a damo line stands among our own words, without ``--`` before it; empty if none does."""
    for k, word in enumerate(words[:-1]):
        if word in ("damo", "sudo") and words[k + 1] in ("damo", "start", "tune", "schemes", "record"):
            return f"a damo line stands after '--', and our options before it: … -- {word} {words[k + 1]} …"
    return ""


def check_words(arguments: argparse.Namespace) -> None:
    """End with one sentence if a command has no scenario, or two where it takes one, or a damo line it has no use for."""
    line, command, complain = arguments.line, arguments.command, arguments.parser.error
    ours = [
        word for word in line if word.startswith("--") and word.partition("=")[0] in arguments.parser._option_string_actions
    ]
    if ours:
        complain(f"{ours[0]} is no option of damo; write it before the '--'")
    if line and command in ("validate", "report", "completion", "explain"):
        complain(f"{command} takes no damo line")
    if command == "convert":
        wanted, form = (1, "OUT -- damo start …") if line else (2, "IN OUT")
        if len(arguments.files) != wanted:
            complain(f"convert has {len(arguments.files)} files, write: convert {form}")
    elif command == "lint" and arguments.explain:
        if line or arguments.scenario:
            complain("--explain takes no SCENARIO")
    elif command in ("run", "lint", "sweep", "tune") and (arguments.scenario is None) != bool(line):
        complain("SCENARIO is " + ("given twice, before and after --" if line else "missing"))
    elif command == "diff":
        two = arguments.kernels is None
        given = len(arguments.scenario) + bool(line)
        if given != 1 + two and not (given == 1 and arguments.set):
            without = "two scenarios or runs without --kernels, or one with --set"
            complain("diff takes " + (without if two else "one scenario with --kernels"))
    elif command == "compare" and line and arguments.scenario:
        complain("SCENARIO is given twice, before and after --")


def load_plugins(arguments: argparse.Namespace) -> None:
    """Load the plug-ins that installed packages offer, and those that a command names.

    Raises
    ------
    InputError
        If one is missing, or fails.
    """
    if hasattr(arguments, "plugin"):
        from ..plugins import load_installed, load_plugin

        load_installed()
        for name in arguments.plugin:
            load_plugin(name)


def open_given(source: str | None, arguments: argparse.Namespace, as_given: bool = False) -> Loaded:
    """Open the scenario that a command names, or its damo line, without what ``--set`` changes if `as_given`; print notes.

    Raises
    ------
    InputError
        If it cannot be read.
    """
    from ..interop.load import open_scenario

    line: list[str] = arguments.line
    given = line if line and source is None else str(source)
    loaded = open_scenario(
        given,
        machine=arguments.machine,
        workload=arguments.workload,
        kernel=arguments.kernel,
        allow_files=arguments.allow_files,
    )
    for note in loaded.notes:
        say(f"tieringmodel: {note}", to=sys.stderr)
    return loaded if as_given else changed(loaded, arguments)


def changed(loaded: Loaded, arguments: argparse.Namespace) -> Loaded:
    """Return what was opened with what ``--set`` changes.

    Raises
    ------
    InputError
        If a path or a value is none.
    """
    if not arguments.set:
        return loaded
    changes = {}
    for text in arguments.set:
        path, equals, value = (part.strip() for part in text.partition("="))
        if not equals or not path or path in changes:
            what = f"names {path} twice" if path in changes else f"{text!r} is not PATH=VALUE"
            raise InputError("--set", what, "write e.g. --set 'schemes.*.quota.sz_bytes=2 MiB'")
        changes[path] = plain_value(value)
    return replace(loaded, scenario=loaded.scenario.set(changes))


def plain_value(text: str) -> Any:
    """Return a number or truth value as such, anything else as text."""
    text = text.strip()
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return value if isinstance(value, (bool, int, float)) else text
