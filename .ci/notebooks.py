"""Execute notebooks kept as jupytext sources, each in an empty folder, and fail on the first cell that raises.

What must hold in one stands in tests/notebooks, see the README there. A source with the line ``# ci: full`` is left out by
``--quick``. ``--pages DIR`` also writes each as a page of Markdown with its outputs and figures, for the documentation.
"""

from __future__ import annotations

import argparse
import base64
import os
import re
import sys
import tempfile
import textwrap
import time
from pathlib import Path
from typing import Any

SLOW_MARK = "# ci: full"
ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "notebooks"
CHECKS = ROOT / "tests" / "notebooks"


def sections(source: Path) -> list[tuple[str, int, str]]:
    """Return what must hold in a notebook: after which line, how far indented, and the code."""
    path = CHECKS / source.name
    text = path.read_text(encoding="utf-8") if path.exists() and source.parent == FOLDER else ""
    _, *parts = re.split(r"^# after(?:, (\d+) deep)?: (.*)$", text, flags=re.MULTILINE)
    return [(parts[k + 1], int(parts[k] or 0), parts[k + 2].strip("\n")) for k in range(0, len(parts), 3)]


def with_checks(notebook: Any, source: Path) -> Any:
    """Put what must hold into the cells of a notebook."""
    from nbformat.v4 import new_code_cell

    for line, deep, code in reversed(sections(source)):
        cells = [k for k, c in enumerate(notebook.cells) if c.cell_type == "code" and line in c.source.splitlines()]
        if len(cells) != 1:
            raise SystemExit(f"{CHECKS.name}/{source.name}: no cell, or several, with the line {line}")
        if deep:
            cell = notebook.cells[cells[0]]
            cell.source = cell.source.replace(line, f"{line}\n{textwrap.indent(code, ' ' * deep)}")
        else:
            notebook.cells.insert(cells[0] + 1, new_code_cell(code))
    return notebook


def execute(source: Path, timeout_s: int, pages: Path | None = None) -> str:
    """Run one notebook; return what went wrong, or an empty string."""
    import jupytext
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

    notebook = jupytext.read(source)
    if pages is None:
        notebook = with_checks(notebook, source)
    with tempfile.TemporaryDirectory() as folder:
        client = NotebookClient(notebook, timeout=timeout_s, kernel_name="python3", resources={"metadata": {"path": folder}})
        try:
            client.execute()
        except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
            return str(error)
    if pages is not None:
        write_page(notebook, source.stem, pages)
    return ""


def write_page(notebook: Any, name: str, pages: Path) -> None:
    """Write an executed notebook as Markdown, its figures beside it; the last one stands for it in the gallery."""
    parts, figures = [], 0
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            parts.append(cell.source)
        elif cell.cell_type == "code" and cell.source.strip():
            parts.append(f"```python\n{cell.source}\n```")
            for output in cell.outputs:
                data = output.get("data", {})
                if "image/png" in data:
                    figures += 1
                    (pages / f"{name}-{figures}.png").write_bytes(base64.b64decode(data["image/png"]))
                    parts.append(f"![Figure {figures}]({name}-{figures}.png)")
                elif output.output_type == "stream" and output.get("name") == "stdout":
                    parts.append(f"```text\n{output.text.rstrip()}\n```")
                elif "text/plain" in data:
                    parts.append(f"```text\n{data['text/plain'].rstrip()}\n```")
    (pages / f"{name}.md").write_text("\n\n".join(parts) + "\n", encoding="utf-8")


def main() -> int:
    """Execute the notebooks named on the command line, or all of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sources", nargs="*", type=Path, help="default: all of notebooks/")
    parser.add_argument("--quick", action="store_true", help=f"leave out those with a line '{SLOW_MARK}'")
    parser.add_argument("--timeout", type=int, default=600, metavar="S", help="seconds a cell may take (%(default)s)")
    parser.add_argument("--pages", type=Path, metavar="DIR", help="write pages there; nothing is held to anything")
    options = parser.parse_args()

    os.environ.setdefault("MPLBACKEND", "module://matplotlib_inline.backend_inline" if options.pages else "Agg")
    if options.pages:
        options.pages.mkdir(parents=True, exist_ok=True)
    failures = 0
    sources = [source.resolve() for source in options.sources] or sorted(FOLDER.glob("*.py"))
    if not sources:
        print("no notebooks")
    for source in sources:
        if options.quick and SLOW_MARK in source.read_text(encoding="utf-8").splitlines():
            print(f"{source.name}: left to the full run")
            continue
        start = time.monotonic()
        problem = execute(source, options.timeout, options.pages)
        print(f"{source.name}: {'FAILED' if problem else 'ok'}, {time.monotonic() - start:.0f} s", flush=True)
        if problem:
            print(problem)
            failures += 1
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
