"""Execute notebooks kept as jupytext sources, each in an empty folder, and fail on the first cell that raises.

A source with the line ``# ci: full`` is left out by ``--quick``.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

SLOW_MARK = "# ci: full"
FOLDER = Path(__file__).resolve().parent.parent / "notebooks"


def execute(source: Path, timeout_s: int) -> str:
    """Run one notebook; return what went wrong, or an empty string."""
    import jupytext
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

    notebook = jupytext.read(source)
    with tempfile.TemporaryDirectory() as folder:
        client = NotebookClient(notebook, timeout=timeout_s, kernel_name="python3", resources={"metadata": {"path": folder}})
        try:
            client.execute()
        except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
            return str(error)
    return ""


def main() -> int:
    """Execute the notebooks named on the command line, or all of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sources", nargs="*", type=Path, help="default: all of notebooks/")
    parser.add_argument("--quick", action="store_true", help=f"leave out those with a line '{SLOW_MARK}'")
    parser.add_argument("--timeout", type=int, default=600, metavar="S", help="seconds a cell may take (%(default)s)")
    options = parser.parse_args()

    os.environ.setdefault("MPLBACKEND", "Agg")
    failures = 0
    sources = options.sources or sorted(FOLDER.glob("*.py"))
    if not sources:
        print("no notebooks")
    for source in sources:
        if options.quick and SLOW_MARK in source.read_text(encoding="utf-8").splitlines():
            print(f"{source.name}: left to the full run")
            continue
        start = time.monotonic()
        problem = execute(source, options.timeout)
        print(f"{source.name}: {'FAILED' if problem else 'ok'}, {time.monotonic() - start:.0f} s", flush=True)
        if problem:
            print(problem)
            failures += 1
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
