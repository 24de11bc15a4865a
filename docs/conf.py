"""Sphinx: Markdown pages by MyST, the reference from docstrings."""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Iterator
from pathlib import Path

import tieringmodel
from tieringmodel import cli
from tieringmodel.scenario.schema import table

HERE = Path(__file__).parent
GALLERY = (
    "getting_started",
    "from_damo_line_to_verdict",
    "from_damo_line_to_tuned_line",
    "explore",
    "tuning_a_quota",
    "write_your_own_metric",
    "the_rfc_examined",
    "which_source_of_hotness",
    "against_the_real_world",
)
"""Notebooks, in the order in which one reads them."""
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


def _cells(source: str) -> Iterator[tuple[bool, str]]:
    """Yield the cells of a notebook's source: whether it is text, and what it says."""
    for part in re.split(r"^# %%", source, flags=re.MULTILINE)[1:]:
        head, _, body = part.partition("\n")
        is_text = "[markdown]" in head
        yield is_text, "\n".join(re.sub(r"^# ?", "", line) for line in body.splitlines()) if is_text else body.strip("\n")


def _gallery() -> None:
    """Write the gallery's index, and a page without outputs of each notebook that `.ci/notebooks.py --pages` left out."""
    folder = HERE / "gallery"
    folder.mkdir(exist_ok=True)
    entries = []
    for name in GALLERY:
        cells = [*_cells((HERE.parent / "notebooks" / f"{name}.py").read_text(encoding="utf-8"))]
        page = folder / f"{name}.md"
        if not page.exists():
            parts = [text if is_text else f"```python\n{text}\n```" for is_text, text in cells if text]
            page.write_text("\n\n".join(parts) + "\n", encoding="utf-8")
        said = next(text for is_text, text in cells if is_text)
        title, _, about = said.removeprefix("# ").partition("\n")
        pictures = sorted(folder.glob(f"{name}-*.png"), key=lambda p: int(p.stem.rpartition("-")[2]))
        picture = f"[![{title}]({pictures[-1].name})]({name}.md)\n\n" if pictures else ""
        entries.append(f"## [{title}]({name}.md)\n\n{about.strip().partition(chr(10) * 2)[0]}\n\n{picture}")
    intro = "# Notebooks\n\nRead in this order, or start where your question is. JupyterLab opens them as they are:\n"
    intro += "`pip install jupyterlab '.[notebook]' && jupyter lab notebooks`, then *Open With*, *Notebook*.\n\n"
    toc = "```{toctree}\n:hidden:\n:maxdepth: 1\n\n" + "\n".join(GALLERY) + "\n```\n\n"
    (folder / "index.md").write_text(intro + toc + "\n".join(entries), encoding="utf-8")


(HERE / "_build").mkdir(exist_ok=True)
_gallery()
(HERE / "commands.md").write_text(_commands(), encoding="utf-8")
(HERE / "scenario_fields.md").write_text(_scenario_fields(), encoding="utf-8")
