"""``tieringmodel completion``: what a shell needs to complete commands, options, choices, shipped scenarios and files."""

from __future__ import annotations

import argparse
from pathlib import Path
from string import Template
from typing import Any, NamedTuple

from .._version import __version__
from .arguments import KERNEL_HELP, KERNELS_HELP, MACHINE_HELP, SCENARIO_HELP, WORKLOAD_HELP
from .output import lines, say


class Values(NamedTuple):
    """What can stand for an argument: words, and ``"files"``, ``"dirs"`` or neither."""

    choices: tuple[str, ...] = ()
    paths: str = ""


def add(commands: Any) -> None:
    """Add the command's parser to a set of subparsers."""
    p = commands.add_parser(
        "completion",
        help="a script for your shell, or a manual page",
        description="Print a completion script. bash: source <(tieringmodel completion bash) in ~/.bashrc; zsh: "
        "source <(tieringmodel completion zsh) in ~/.zshrc, after compinit; fish: tieringmodel completion fish "
        "> ~/.config/fish/completions/tieringmodel.fish. man: a manual page, tieringmodel completion man | man -l -.",
    )
    p.add_argument("shell", choices=[*_WRITERS], help="the shell")


def run(arguments: argparse.Namespace) -> int:
    """Run the command; return the exit status."""
    from ..interop.load import shipped_names

    say(lines(script(arguments.shell, arguments.top, tuple(shipped_names())).removesuffix("\n")))
    return 0


def script(shell: str, top: argparse.ArgumentParser, scenarios: tuple[str, ...]) -> str:
    """Return the script for a shell.

    Parameters
    ----------
    shell : {"bash", "zsh", "fish", "man"}
        The shell.
    top : argparse.ArgumentParser
        With all commands.
    scenarios : tuple of str
        Names that can stand for a scenario.
    """
    (commands,) = (a for a in top._actions if isinstance(a, argparse._SubParsersAction))
    helps = {choice.dest: choice.help or "" for choice in commands._choices_actions}
    return _WRITERS[shell](top, commands.choices, helps, scenarios)


def _values(action: argparse.Action, scenarios: tuple[str, ...]) -> Values:
    if action.choices:
        return Values(tuple(map(str, action.choices)))
    if action.help in (KERNEL_HELP, KERNELS_HELP):
        from ..scenario.linux import NAMES

        return Values(NAMES)
    if SCENARIO_HELP in (action.help or ""):
        return Values(scenarios, "files")
    if action.help in (MACHINE_HELP, WORKLOAD_HELP):
        return Values(paths="files")
    if action.type is Path:
        return Values(paths="dirs" if action.metavar == "DIR" else "files")
    return Values()


def _split(parser: argparse.ArgumentParser) -> tuple[list[argparse.Action], list[argparse.Action]]:
    """Return options and positional arguments."""
    shown = [a for a in parser._actions if not isinstance(a, argparse._SubParsersAction)]
    return [a for a in shown if a.option_strings], [a for a in shown if not a.option_strings]


def _lines(choices: tuple[str, ...] | list[str]) -> str:
    """Return words as a string of bash, one a line."""
    return "$'" + "\\n".join(choices) + "'"


_BASH = Template(r"""_tieringmodel() {
    local IFS=$$'\n' cur="$${COMP_WORDS[COMP_CWORD]}" prev="$${COMP_WORDS[COMP_CWORD-1]}"
    local command="" words="" options="" paths="" i
    local scenarios=$scenarios
    COMPREPLY=()
    # bash cuts --option=value into three words.
    if [[ $$prev == "=" ]]; then prev="$${COMP_WORDS[COMP_CWORD-2]}"; fi
    if [[ $$cur == "=" ]]; then cur=""; fi
    for ((i = 1; i < COMP_CWORD; i++)); do
        if [[ $${COMP_WORDS[i]} == "--" ]]; then command="--"; fi
        if [[ -z $$command && $${COMP_WORDS[i]} != -* ]]; then command="$${COMP_WORDS[i]}"; fi
    done
    case "$$command" in
        "") words=$commands; options=$options ;;
        --) paths=files ;;
$cases
    esac
    if [[ $$cur == -* && -n $$options ]]; then words="$$options"; paths=""; fi
    COMPREPLY=($$(compgen -W "$$words" -- "$$cur"))
    if [[ $$paths == files ]]; then COMPREPLY+=($$(compgen -f -- "$$cur")); fi
    if [[ $$paths == dirs ]]; then COMPREPLY+=($$(compgen -d -- "$$cur")); fi
    return 0
}
complete -o filenames -F _tieringmodel tieringmodel
""")


def _bash(
    top: argparse.ArgumentParser,
    commands: dict[str, argparse.ArgumentParser],
    helps: dict[str, str],
    scenarios: tuple[str, ...],
) -> str:
    def offers(values: Values) -> str:
        choices = '"$scenarios"' if values.choices == scenarios else _lines(values.choices)
        parts = [f"words={choices}"] if values.choices else []
        return "; ".join([*parts, f"paths={values.paths}"] if values.paths else parts) or "true"

    cases = []
    for name, command in commands.items():
        options, positional = _split(command)
        cases += [f"        {name})", '            case "$prev" in']
        for action in options:
            if action.nargs != 0:
                cases.append(f"                {'|'.join(action.option_strings)}) {offers(_values(action, scenarios))} ;;")
        here = offers(_values(positional[0], scenarios) if positional else Values())
        names = [s for action in options for s in action.option_strings]
        cases += [f"                *) {here}; options={_lines(names)} ;;", "            esac ;;"]
    own = [s for action in _split(top)[0] for s in action.option_strings]
    return _BASH.substitute(
        commands=_lines([*commands]), options=_lines(own), scenarios=_lines(scenarios), cases="\n".join(cases)
    )


def _zsh(*given: Any) -> str:
    """Return the script of bash in the dress in which zsh reads it."""
    return "autoload -U +X bashcompinit && bashcompinit\n" + _bash(*given)


def _fish(
    top: argparse.ArgumentParser,
    commands: dict[str, argparse.ArgumentParser],
    helps: dict[str, str],
    scenarios: tuple[str, ...],
) -> str:
    def quoted(text: str) -> str:
        return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"

    def offers(values: Values) -> list[str]:
        if values.paths == "dirs":
            return ["-a '(__fish_complete_directories)'"]
        choices = [f"-a {quoted(' '.join(values.choices))}"] if values.choices else []
        return choices + (["-F"] if values.paths else [])

    def option(action: argparse.Action, when: str) -> str:
        names = [f"-l {s[2:]}" if s.startswith("--") else f"-s {s[1:]}" for s in action.option_strings]
        takes = ["-r", *offers(_values(action, scenarios))] if action.nargs != 0 else []
        about = f"-d {quoted((action.help or '').replace('%%', '%'))}"
        return " ".join(["complete -c tieringmodel", f"-n {quoted(when)}", *names, *takes, about])

    nothing = "__fish_use_subcommand"
    out = ["complete -c tieringmodel -f", *(option(action, nothing) for action in _split(top)[0])]
    for name, command in commands.items():
        out.append(f"complete -c tieringmodel -n {nothing} -a {name} -d {quoted(helps[name])}")
        options, positional = _split(command)
        when = f"__fish_seen_subcommand_from {name}"
        if positional and (values := offers(_values(positional[0], scenarios))):
            out.append(" ".join(["complete -c tieringmodel", f"-n {quoted(when)}", *values]))
        out += [option(action, when) for action in options]
    return "\n".join(out) + "\n"


def _man(
    top: argparse.ArgumentParser,
    commands: dict[str, argparse.ArgumentParser],
    helps: dict[str, str],
    scenarios: tuple[str, ...],
) -> str:
    """Return a manual page of all commands (man 7 man-pages)."""

    def plain(text: str) -> str:
        text = " ".join(text.replace("%%", "%").split()).replace("\\", "\\e").replace("-", "\\-")
        return "\\&" + text if text[:1] in (".", "'") else text

    out = [
        f'.TH TIERINGMODEL 1 "" "tieringmodel {__version__}" "User Commands"',
        ".SH NAME",
        f"tieringmodel \\- {plain((top.description or '').rstrip('.')).lower()}",
        ".SH SYNOPSIS",
        ".B tieringmodel",
        ".I COMMAND",
        "[ARGUMENT…]",
        ".SH DESCRIPTION",
        plain(top.description or ""),
    ]
    for name, command in commands.items():
        options, positional = _split(command)
        out += [f'.SH "{name.upper()}"', plain(command.description or helps[name])]
        for action in (*positional, *options):
            words = ", ".join(action.option_strings) or str(action.metavar or action.dest)
            value = "" if action.nargs == 0 or not action.option_strings else f" {action.metavar or action.dest.upper()}"
            about = command._get_formatter()._expand_help(action) if action.help else ""
            out += [".TP", f".B {plain(words + value)}", plain(about)]
    out += [".SH EXIT STATUS", plain((top.epilog or "").removeprefix("Exit status: "))]
    out += [".SH SHIPPED SCENARIOS", plain(", ".join(scenarios))]
    return "\n".join(out) + "\n"


_WRITERS = {"bash": _bash, "zsh": _zsh, "fish": _fish, "man": _man}
