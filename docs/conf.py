"""Sphinx: Markdown pages by MyST, the reference from docstrings."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path

import tieringmodel
from tieringmodel import cli
from tieringmodel.scenario.schema import table

HERE = Path(__file__).parent
project, author, release = "tieringmodel", "tieringmodel developers", tieringmodel.__version__
extensions = ["sphinx.ext.autodoc", "sphinx.ext.autosummary", "sphinx.ext.napoleon", "myst_parser"]
html_theme = "furo"
html_title = "tieringmodel"
exclude_patterns = ["_build"]
myst_enable_extensions = ["deflist", "dollarmath"]
myst_heading_anchors = 3
suppress_warnings = ["myst.xref_missing"]  # pages of the repository that are included here link to its files
autodoc_typehints = "none"  # numpydoc says them
autodoc_member_order = "bysource"
napoleon_use_ivar = True  # attributes in their class, not as members beside the fields
napoleon_use_rtype = False
default_role = "code"


def _commands() -> str:
    """Return the help of every command, as the command prints it."""
    parts = []
    for words in ([], *([name] for name in cli.COMMANDS)):
        out = io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.suppress(SystemExit):
            cli.parser().parse_args([*words, "--help"])
        title = " ".join(["tieringmodel", *words])
        parts.append(f"## `{title}`\n\n```text\n{out.getvalue()}```\n")
    return "# Commands\n\nWhat `--help` says.\n\n" + "\n".join(parts)


def _markdown(text: str) -> str:
    """Return a line of reStructuredText as one cell of Markdown."""
    return text.replace("``", "`").replace("|", "\\|")


def _scenario_fields() -> str:
    """Return every field of a scenario file, from the classes themselves."""
    parts = []
    for name, about, rows in table():
        head = "| key | meaning | what | unit | default | one of | DAMON's sysfs file |\n|---|---|---|---|---|---|---|\n"
        lines = [
            "| "
            + " | ".join((f"`{r.key}`", _markdown(r.meaning), r.kind, r.unit, r.default, r.values, r.sysfs and f"`{r.sysfs}`"))
            + " |"
            for r in rows
        ]
        about = _markdown(about)
        parts.append(f"## {name}\n\n{about}\n\n{head}" + "\n".join(lines) + "\n")
    intro = "# Scenario files\n\nEvery key of a scenario file. Numbers may be text with a unit; `tieringmodel schema` prints\n"
    intro += "the same for editors. N is a position, and sysfs files lie below `kdamonds/N/contexts/N`.\n\n"
    return intro + "\n".join(parts)


(HERE / "_build").mkdir(exist_ok=True)
(HERE / "commands.md").write_text(_commands(), encoding="utf-8")
(HERE / "scenario_fields.md").write_text(_scenario_fields(), encoding="utf-8")
