"""Completion scripts: the one for bash is sourced and asked, as a shell would."""

from __future__ import annotations

import argparse
import re
import shlex
import subprocess
from pathlib import Path

import pytest

import tieringmodel as tm
from tieringmodel import cli

COMMANDS = [*cli.COMMANDS]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Path:
    """A working directory with a few files and the bash script."""
    monkeypatch.chdir(tmp_path)
    assert cli.main(["completion", "bash"]) == 0
    (tmp_path / "script").write_text(capsys.readouterr().out, encoding="utf-8")
    (tmp_path / "mine.toml").touch()
    (tmp_path / "with space.toml").touch()
    (tmp_path / "results").mkdir()
    return tmp_path


def complete(*words: str) -> list[str]:
    """Return what bash offers for the last of the words."""
    listed = " ".join(map(shlex.quote, ["tieringmodel", *words]))
    code = (
        f"set -u; source ./script; complete -p tieringmodel >&2; COMP_WORDS=({listed}); COMP_CWORD={len(words)}; "
        '_tieringmodel; for one in ${COMPREPLY[@]+"${COMPREPLY[@]}"}; do printf "%s\\n" "$one"; done'
    )
    done = subprocess.run(["bash", "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stderr == "complete -o filenames -F _tieringmodel tieringmodel\n"
    return done.stdout.splitlines()


def options_of(command: str) -> set[str]:
    top = cli.parser()
    (commands,) = (a for a in top._actions if isinstance(a, argparse._SubParsersAction))
    return {s for a in commands.choices[command]._actions for s in a.option_strings}


def test_commands(folder: Path) -> None:
    assert complete("") == COMMANDS
    assert complete("co") == [c for c in COMMANDS if c.startswith("co")]
    assert complete("--v") == ["--version"]
    assert complete("nonsense", "x") == []


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_of_every_command(command: str, folder: Path) -> None:
    assert set(complete(command, "-")) == options_of(command)


@pytest.mark.parametrize("command", ["compare", "run", "diff", "sweep", "lint", "convert"])
def test_scenarios_are_what_ships_and_files(command: str, folder: Path) -> None:
    found = complete(command, "")
    assert {"rfc-40-60", "C3_pullpush_temporal", "mine.toml", "with space.toml", "results"} <= set(found)
    for name in complete(command, "C"):
        tm.load(name)
    assert complete(command, "--machine", "m") == ["mine.toml"]


def test_values_of_options(folder: Path) -> None:
    assert complete("run", "x", "-o", "") == ["results"], "folders only"
    assert complete("run", "-o", "=", "r") == ["results"], "as bash cuts -o=r"
    assert complete("run", "--output", "=") == ["results"]
    assert complete("run", "--duration", "") == []
    assert complete("completion", "") == ["bash", "zsh", "fish", "man"]
    assert complete("report", "w") == ["with space.toml"]
    assert complete("run", "--", "damo", "mi") == ["mine.toml"]


def test_the_other_shells_are_told_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    texts = {}
    for shell in ("bash", "zsh", "fish"):
        assert cli.main(["completion", shell]) == 0
        texts[shell] = capsys.readouterr().out
    assert texts["zsh"] == "autoload -U +X bashcompinit && bashcompinit\n" + texts["bash"]
    for command in COMMANDS:
        assert re.search(rf"^complete -c tieringmodel -n __fish_use_subcommand -a {command} -d '", texts["fish"], re.MULTILINE)
        long = {s for s in options_of(command) if s.startswith("--")}
        lines = [s for s in texts["fish"].splitlines() if f"__fish_seen_subcommand_from {command}'" in s]
        assert {f"--{m[1]}" for s in lines if (m := re.search(r" -l (\S+)", s))} == long
    for line in texts["fish"].splitlines():
        words = shlex.split(line.replace("\\'", "'\\''"))  # fish writes a quote inside quotes with a backslash
        assert words[:3] == ["complete", "-c", "tieringmodel"]


def test_an_unknown_shell_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        cli.main(["completion", "tcsh"])
    assert end.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1
    with pytest.raises(SystemExit):
        cli.main(["completion", "bash", "--", "damo", "start"])
    assert "takes no damo line" in capsys.readouterr().err
