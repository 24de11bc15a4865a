"""Shell scripts that write DAMON's files: ``echo X > …/kdamonds/0/…``, as people keep them and as `write` makes them.

Nothing of a script is run. Of the shell only what such scripts consist of is read: ``echo``, ``printf`` and ``tee`` into files,
variables, ``$((…))``, ``cd``, functions, ``if [ A = B ]``, ``sleep``.
"""

from __future__ import annotations

import ast
import operator
import posixpath
import re
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import NamedTuple

from ...errors import InputError, short
from .tree import Entry

_IDLE = "set : true cat ls grep modprobe mount trap wait exit export local readonly shift return sync test mkdir whoami"
_BELOW_ADMIN = re.compile(r".*/damon/admin/(.+)")
_MODULE = re.compile(r"/sys/module/(damon_\w+|mtier)/parameters/(\w+)")
_NAME = r"[A-Za-z_]\w*"
_VARIABLE = re.compile(rf"\$(?:\{{({_NAME}|\d)(?:(:?[-?])([^{{}}]*))?\}}|({_NAME}|\d))")
_SUM = re.compile(r"\$\(\(([^()]{1,200})\)\)")
_HELD = re.compile(r"\$\(\(((?:[0-9a-f]{2})+)\)\)")
_OPERATORS: dict[type, Callable[[int, int], int]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.FloorDiv: operator.floordiv,
    ast.LShift: operator.lshift,
}
_DEEPEST = 8
_MOST = 100_000


class Written(NamedTuple):
    """The tree when a kdamond was turned on or told to commit."""

    at_us: int
    kdamond: int
    where: str
    entries: tuple[Entry, ...]


@dataclass
class Shell:
    """What a script has done so far.

    Attributes
    ----------
    source : str
        Its name, for messages.
    files : dict
        The tree's files, by path below ``admin/``: value, and where it was written.
    modules : dict
        Parameters of DAMON's modules, the same way, as ``damon_reclaim.min_age``.
    start : Written or None
        The tree when it was turned on; None if the script does not turn it on.
    commits : list of Written
        What was committed later.
    stop_us : int or None
        When it was turned off.
    notes : list of str
        What was left out.
    """

    source: str
    files: dict[str, tuple[str, str]] = field(default_factory=dict)
    modules: dict[str, tuple[str, str]] = field(default_factory=dict)
    start: Written | None = None
    commits: list[Written] = field(default_factory=list)
    stop_us: int | None = None
    notes: list[str] = field(default_factory=list)
    at_us: int = 0
    folder: str = "/"
    variables: dict[str, str] = field(default_factory=dict)
    functions: dict[str, list[tuple[int, str]]] = field(default_factory=dict)
    since: set[str] = field(default_factory=set)
    steps: int = 0

    @property
    def entries(self) -> tuple[Entry, ...]:
        """Every file of the tree as it is now."""
        return tuple((path, value, where) for path, (value, where) in self.files.items())


def is_shell(text: str) -> bool:
    """Tell whether a text looks like a script that writes DAMON's files or its modules' parameters."""
    return re.search(r"(^|\W)(echo|printf|put|tee)\s", text) is not None and (
        "damon" in text or "nr_kdamonds" in text or "nr_schemes" in text
    )


def read_shell(text: str, where: str) -> Shell:
    """Return what the commands of a script write.

    Parameters
    ----------
    text : str
        The script.
    where : str
        Its name, for messages.

    Raises
    ------
    InputError
        For a command that is none of those above, with its line; for a script that writes none of DAMON's files.
    """
    shell = Shell(where)
    lines: list[tuple[int, str]] = []
    goes_on = False
    for number, line in enumerate(text.splitlines(), start=1):
        if goes_on:
            lines[-1] = (lines[-1][0], lines[-1][1].removesuffix("\\") + " " + line.strip())
        elif line.strip() and not line.lstrip().startswith("#"):
            lines.append((number, line.strip()))
        goes_on = bool(lines) and lines[-1][1].endswith("\\")
    _run(shell, lines, (), 0)
    if not shell.files and not shell.modules:
        raise InputError(where, "writes none of DAMON's files", "give a script of e.g. echo paddr > …/contexts/0/operations")
    return shell


def _run(shell: Shell, lines: Sequence[tuple[int, str]], given: tuple[str, ...], depth: int) -> None:
    if depth > _DEEPEST:
        raise InputError(shell.source, "calls itself again and again", "write the echo commands out")
    taken = [True]  # of each if around: whether its commands count
    body: list[tuple[int, str]] | None = None
    for number, line in lines:
        here = f"{shell.source}:{number}"
        shell.steps += 1
        if shell.steps > _MOST:
            raise InputError(here, f"is the {_MOST}th command", "write fewer")
        if body is not None:
            if line == "}":
                body = None
            else:
                body.append((number, line))
            continue
        if begins := re.fullmatch(rf"(?:function\s+)?({_NAME})\s*(?:\(\s*\))?\s*\{{", line):
            body = shell.functions.setdefault(begins[1], [])
            body.clear()
            continue
        for raw in _commands(line, here):
            words = [word if word in ("|", ">", ">>") else _expanded(shell, word, given, here) for word in raw]
            if words[0] == "if":
                taken.append(_holds(words[1:], here))
            elif words[0] == "fi" and len(taken) > 1:
                taken.pop()
            elif words[0] == "else" and len(taken) > 1:
                taken[-1] = not taken[-1]
            elif words[0] == "then":
                if len(words) > 1 and all(taken):
                    _command(shell, words[1:], number, given, depth)
            elif all(taken):
                _command(shell, words, number, given, depth)
    if body is not None or len(taken) > 1:
        raise InputError(shell.source, "ends inside of a function or an if", "give the whole script")


def _commands(line: str, here: str) -> list[list[str]]:
    """Return the words of each command on a line; what follows ``||`` is left out, for nothing fails."""
    kept = _SUM.sub(lambda match: f"$(({match[1].encode().hex()}))", line)  # one word, until its variables are known
    lexer = shlex.shlex(kept, posix=True, punctuation_chars=";&|><")
    lexer.whitespace_split, lexer.commenters = True, ""
    try:
        words = list(lexer)
    except ValueError as error:
        raise InputError(here, f"cannot be split into words ({error})", "close every quote") from None
    commands: list[list[str]] = [[]]
    spare = 0
    for word in words:
        if word.startswith("#"):
            break
        if word == "||":
            spare = 1
        elif spare:
            spare += (word == "{") - (word == "}")
            if spare == 1 and word in (";", "}"):
                spare = 0
                commands.append([])
        elif word in (";", "&&", "&", ";;"):
            commands.append([])
        else:
            commands[-1].append(word)
    return [c for c in commands if c]


def _expanded(shell: Shell, word: str, given: tuple[str, ...], here: str) -> str:
    """Return a word with its variables and sums replaced; a variable that is not set stays, for whoever uses it."""

    def value(match: re.Match[str]) -> str:
        name = match[1] or match[4]
        known = (given[int(name) - 1] if 0 < int(name) <= len(given) else "") if name.isdigit() else shell.variables.get(name)
        if match[2] in ("-", ":-") and not known:
            return _expanded(shell, match[3], given, here)
        return f"${name}" if known is None else known

    def summed(match: re.Match[str]) -> str:
        inner = re.sub(rf"(?<![\w$]){_NAME}", r"$\g<0>", bytes.fromhex(match[1]).decode())
        return str(_sum(_VARIABLE.sub(value, inner), here))

    return _VARIABLE.sub(value, _HELD.sub(summed, word))


def _sum(text: str, here: str) -> int:
    try:
        value = _value(ast.parse(text.strip().replace("//", "?").replace("/", "//"), mode="eval").body)
    except (SyntaxError, ValueError, ZeroDivisionError):
        raise InputError(here, f"$(({short(text)})) is not understood", "write the number") from None
    return value


def _value(node: ast.expr) -> int:
    if isinstance(node, ast.Constant) and type(node.value) is int and abs(node.value) < 2**64:
        return node.value
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
        left, right = _value(node.left), _value(node.right)
        if not isinstance(node.op, ast.LShift) or 0 <= right < 64:
            result = _OPERATORS[type(node.op)](left, right)
            if abs(result) < 2**64:
                return result
    raise ValueError(ast.dump(node))


def _holds(words: Sequence[str], here: str) -> bool:
    """Return whether ``[ A = B ]`` holds."""
    if words[-1:] == ["then"]:
        words = words[:-1]
    if len(words) == 5 and words[0] in ("[", "[[") and words[2] in ("=", "==", "!="):
        return (words[1] == words[3]) == (words[2] != "!=")
    raise InputError(here, "is a condition that is not read", "leave the if out, and what does not count")


def _command(shell: Shell, words: list[str], number: int, given: tuple[str, ...], depth: int) -> None:
    here = f"{shell.source}:{number}"
    while words and PurePath(words[0]).name == "sudo":
        words = words[1:]
        while words and words[0].startswith("-"):
            words = words[1:]
    if not words:
        return
    name, rest = words[0], words[1:]
    if name in ("export", "local", "readonly") and rest:
        name, rest = rest[0], rest[1:]
    if assigned := re.fullmatch(rf"({_NAME})=(.*)", name):
        shell.variables[assigned[1]] = assigned[2]
        if rest:
            _command(shell, rest, number, given, depth)
    elif name == "cd" and len(rest) == 1:
        shell.folder = posixpath.normpath(posixpath.join(shell.folder, rest[0]))
    elif name == "sleep":
        shell.at_us += sum(_seconds(word, here) for word in rest) if shell.start else 0
    elif name in shell.functions:
        _run(shell, shell.functions[name], tuple(rest), depth + 1)
    elif name in ("sh", "bash") and rest[:1] == ["-c"] and len(rest) > 1:
        _run(shell, [(number, line) for line in rest[1].splitlines() if line.strip()], (), depth + 1)
    elif name in ("echo", "printf"):
        _echo(shell, name, rest, here)
    elif name not in _IDLE.split():
        raise InputError(here, f"{short(name)!r} is no command that is read", "write echo VALUE > FILE, variables, cd or sleep")


def _seconds(word: str, here: str) -> int:
    if not re.fullmatch(r"\d{1,9}(\.\d{1,6})?", word):
        raise InputError(here, f"{word!r} is no time to sleep", "write seconds")
    return round(float(word) * 1e6)


def _echo(shell: Shell, name: str, words: list[str], here: str) -> None:
    """Write what ``echo`` or ``printf`` prints to the files that follow ``>`` or stand after ``tee``."""
    said: list[str] = []
    files: list[str] = []
    at = 0
    while at < len(words) and words[at] not in (">", ">>", "|"):
        said.append(words[at])
        at += 1
    while at < len(words):
        if words[at] in (">", ">>"):
            files += words[at + 1 : at + 2]
            at += 2
        elif words[at] == "|":
            tail = [w for w in words[at + 1 :] if w != "sudo" and not w.startswith("-")]
            if tail[:1] != ["tee"]:
                raise InputError(here, "pipes what it prints into another command", "write echo VALUE > FILE")
            end = next((i for i, w in enumerate(tail) if w in (">", ">>", "|")), len(tail))
            files += tail[1:end]
            at = len(words)
        else:
            at += 1
    if name == "echo":
        said = said[1:] if said[:1] in (["-n"], ["-e"], ["-ne"]) else said
    elif said[:1] in (["%s\\n"], ["%s"], ["%d\\n"], ["%d"]):
        said = said[1:]
    value = " ".join(said).strip()
    for path in files:
        _write(shell, posixpath.normpath(posixpath.join(shell.folder, path)), value, here)


def _write(shell: Shell, path: str, value: str, here: str) -> None:
    if "$" in path:
        raise InputError(here, f"{short(path)!r} holds a variable that is not set", "set it in the script")
    if module := _MODULE.fullmatch(path):
        shell.modules[f"{module[1]}.{module[2]}"] = (_known(shell, value, path, here), here)
        return
    below = _BELOW_ADMIN.fullmatch(path)
    if not below:
        if not path.startswith("/dev/"):
            shell.notes.append(f"{here}: what is written to {path} is left out, it is no file of DAMON's")
        return
    leaf = below[1]
    if state := re.fullmatch(r"kdamonds/(\d+)/state", leaf):
        _turn(shell, int(state[1]), value, here)
    elif shell.stop_us is not None:
        raise InputError(here, "comes after DAMON was turned off", "end the script there")
    else:
        if posixpath.basename(leaf).startswith("nr_"):
            numbered = re.compile(re.escape(posixpath.dirname(leaf)) + r"/\d+/.*")
            shell.files = {p: v for p, v in shell.files.items() if not numbered.fullmatch(p)}
        shell.files[leaf] = (_known(shell, value, leaf, here), here)
        shell.since.add(leaf)


def _known(shell: Shell, value: str, path: str, here: str) -> str:
    """Return a value; for a variable that the script asks for: no process, or a control group of that name."""
    if not value.startswith("$"):
        return value
    if path.endswith("pid_target"):
        shell.notes.append(f"{here}: {value} is asked for when the script runs; here no process has a number")
        return "0"
    if path.endswith(("/path", "memcg_path")):
        return value
    raise InputError(here, f"{short(value)} is not set", "set it in the script, or write the value")


def _turn(shell: Shell, kdamond: int, value: str, here: str) -> None:
    at = Written(shell.at_us, kdamond, here, shell.entries)
    if value == "on":
        if shell.start and shell.at_us:
            raise InputError(here, "turns DAMON on again", "turn it on once, then write and commit")
        shell.start = at
    elif value == "off":
        shell.stop_us = shell.at_us if shell.start else None
    elif value in ("commit", "commit_schemes_quota_goals") and shell.start:
        odd = [path for path in shell.since if "/quotas/goals/" not in path]
        if odd and value != "commit":
            raise InputError(here, f"commits goals only, and {odd[0]} was written, too", "write commit")
        shell.commits.append(at)
    elif not value.startswith(("update_", "clear_")):
        raise InputError(here, f"{short(value)!r} is written to state", "write on, commit or off")
    shell.since.clear()
