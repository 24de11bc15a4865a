"""What Python did while something was read: an audit hook that tests turn on."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

RUNS = ("os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "os.startfile", "subprocess.Popen", "pty.spawn")
CODE = ("pickle.find_class", "marshal.loads", "code.__new__", "ctypes.dlopen")
_seen: list[tuple[str, Any]] | None = None


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if _seen is not None and (event in RUNS or event in CODE or event == "open"):
        _seen.append((event, arguments[0] if arguments else None))


sys.addaudithook(_hook)  # cannot be taken away, so that it does nothing while nobody watches


@contextmanager
def watched() -> Iterator[list[tuple[str, Any]]]:
    """Collect (event, first argument) of files that Python opens, programs that it starts, and code that it loads."""
    global _seen
    _seen = seen = []
    try:
        yield seen
    finally:
        _seen = None


def opened(seen: list[tuple[str, Any]]) -> set[str]:
    """Return the real paths of the files that were opened."""
    return {os.path.realpath(what) for event, what in seen if event == "open" and isinstance(what, (str, bytes, os.PathLike))}
