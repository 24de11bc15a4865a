"""The command line. Nothing heavy is imported before it is known what to do."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any, NoReturn

from ._version import __version__
from .commands.arguments import bare_line, check_words, load_plugins, split_line
from .commands.output import be_quiet, complain
from .errors import TieringError, printable

COMMANDS = (
    "compare", "run", "diff", "report", "sweep", "explore", "tune", "lint", "explain", "convert", "validate", "schema",
    "completion",
)  # fmt: skip
"""Every command in the order of ``--help``; each is a module of `tieringmodel.commands`, imported when it is asked for."""
STATUS = "Exit status: 0 fine, 1 a check failed, 2 wrong input, 130 interrupted."


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one sentence; the usage is one ``--help`` away."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, printable(f"{self.prog}: {message}; see '{self.prog} --help'") + "\n")


def _module(command: str) -> Any:
    return import_module(f".commands.{command}", __package__)


def parser(names: Sequence[str] = COMMANDS) -> argparse.ArgumentParser:
    """Return the argument parser of these commands."""
    top = _Parser(
        prog="tieringmodel",
        description="Predict what a DAMON memory-tiering scheme does on a machine with a workload.",
        epilog=STATUS,
    )
    top.add_argument("--version", action="version", version=f"tieringmodel {__version__}")
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name in names:
        _module(name).add(commands)
    for command in commands.choices.values():
        command.epilog = STATUS
        command.set_defaults(parser=command)
        command.add_argument("-q", "--quiet", action="store_true", help="print no notes and no progress on stderr, only errors")
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; return the exit status.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments without the program's name; by default those of the process.
    """
    own, line = split_line(sys.argv[1:] if argv is None else argv)
    for word in (*own, *line):
        if not word.isprintable() and "\0" in word:
            complain(f"{word!r} holds a NUL, which no file and no option has in its name")
            return 2
    if not line and (remedy := bare_line(own)):
        complain(remedy)
        return 2
    alone = bool(own) and own[0] in COMMANDS and own[0] != "completion"  # which is about all of them
    top = parser(own[:1] if alone else COMMANDS)
    arguments = top.parse_args(own)
    arguments.line, arguments.top = line, top
    check_words(arguments)
    be_quiet(arguments.quiet)
    try:
        load_plugins(arguments)
        status: int = _module(arguments.command).run(arguments)
        sys.stdout.flush()  # here, where a full disk is still told in one sentence
        return status
    except TieringError as error:
        complain(str(error))
        return 2
    except BrokenPipeError:  # whoever read the output has seen enough; nothing is left to flush at exit
        _drop_output()
        return 0
    except OSError as error:
        _drop_output()
        complain(f"{error.filename or 'output'}: {error.strerror or error}")
        return 2
    except MemoryError:
        complain("out of memory; make the machine's nodes or the workload smaller")
        return 2
    except KeyboardInterrupt as stop:
        again = ["the same command goes on from the last checkpoint"] if getattr(arguments, "resume", False) else []
        complain("; ".join(["interrupted", *map(str, stop.args), *again]))
        return 130


def _drop_output() -> None:
    """Let nothing that is still in the buffer of stdout be written, and fail, at exit."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
