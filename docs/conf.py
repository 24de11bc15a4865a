"""Sphinx: Markdown pages by MyST, the reference from docstrings."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path

import tieringmodel
from tieringmodel import cli

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


(HERE / "_build").mkdir(exist_ok=True)
(HERE / "commands.md").write_text(_commands(), encoding="utf-8")
