"""A progress line on stderr, on terminals and in notebooks: nothing when piped, nothing for the first two seconds."""

from __future__ import annotations

import os
import sys
import time
from types import TracebackType
from typing import Self

from .errors import printable

quiet = False
"""No progress is wanted."""


def watched() -> bool:
    """Whether somebody looks at stderr as it is written: a terminal that can clear a line, or a notebook's kernel."""
    if quiet:
        return False
    return (sys.stderr.isatty() and os.environ.get("TERM") != "dumb") or type(sys.stderr).__module__.startswith("ipykernel")


def _three(rate: float) -> str:
    """Return a rate with one decimal, or three digits where that would say nothing."""
    return f"{rate:.1f}" if rate >= 1 else f"{rate:.3g}"


class Progress:
    """Show how far a job is, how fast it goes and how long it will take.

    Parameters
    ----------
    label : str
        What is running.
    total : float
        The job's size.
    unit : str
        Unit of the size.
    show : bool, optional
        Force the line on or off; by default it is shown on terminals and in notebooks.
    """

    def __init__(self, label: str, total: float, unit: str, show: bool | None = None) -> None:
        self.label, self.total, self.unit = label, total, unit
        self.on = watched() if show is None else show
        self.start = self.last = time.monotonic()
        self.shown = False

    def __enter__(self) -> Self:
        """Start the clock."""
        return self

    def update(self, done: float, total: float | None = None) -> None:
        """Report that `done` of the total is finished, and what the total is now if that became known on the way."""
        self.total = self.total if total is None else total
        now = time.monotonic()
        if not self.on or now - self.last < 0.2 or now - self.start < 2.0:
            return
        self.last, self.shown = now, True
        rate = done / (now - self.start)
        left = f"{(self.total - done) / rate:.0f} s left" if rate > 0 else "nothing finished yet"
        share = done / self.total if self.total else 1.0
        done_text = f"{share:4.0%}  {done:.0f}/{self.total:.0f} {self.unit}"
        sys.stderr.write(f"\r{printable(self.label)}: {done_text}  {_three(rate)} {self.unit}/s  {left} \x1b[K")
        sys.stderr.flush()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.clear()

    def clear(self) -> None:
        """Take the line away, so that something can be printed in its place; the next update shows it again."""
        if self.shown:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
            self.shown = False
