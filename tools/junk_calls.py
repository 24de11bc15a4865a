"""Call every public function with arguments of wrong types: each call must answer or raise an `InputError`.

``python tools/junk_calls.py [NAME…]``. Right calls come from the examples in docstrings; in each, one argument after the
other is replaced by junk. Prints every function with the exceptions that its calls ended in, and the sum. NAME: only
functions whose dotted name begins so.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import doctest
import importlib
import inspect
import io
import os
import signal
import sys
import tempfile
import traceback
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

ROOMS = ("", "analysis", "cost", "damon", "hotness", "interleave", "loop", "plot", "studies", "testing", "workload")
SLOW = {"warmup", "find_fix", "tune", "studies", "testing"}
"""Functions, or rooms, of whose examples each takes seconds."""
JUNK: dict[str, Any] = {
    "None": None, "object": object(), "text": "x", "empty": "", "bytes": b"x", "nan": float("nan"), "inf": float("inf"),
    "negative": -1, "huge": 10**30, "half": 0.5, "complex": 1j, "list": ["x"], "none": [], "dict": {"a": object()},
    "array": np.array([[1.0, np.nan]]), "date": np.datetime64("2026-01-01"), "module": sys, "type": int, "true": True,
}  # fmt: skip
LIMIT_S = 2.0


class _Late(BaseException):
    """A call that goes on: what it was given is taken."""


def _late(*_: Any) -> None:
    raise _Late


@contextlib.contextmanager
def _limited(seconds: float) -> Iterator[None]:
    signal.signal(signal.SIGALRM, _late)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def public() -> dict[str, tuple[Any, str, Callable[..., Any]]]:
    """Return room, name and function of everything that is called, by dotted name, each once."""
    out: dict[str, tuple[Any, str, Callable[..., Any]]] = {}
    seen: set[int] = set()
    for room in ROOMS:
        module = importlib.import_module("tieringmodel" + (f".{room}" if room else ""))
        for name in getattr(module, "__all__", dir(module)):
            one = getattr(module, name)
            if callable(one) and not name.startswith("_") and id(one) not in seen and not inspect.ismodule(one):
                if not (inspect.isclass(one) and issubclass(one, BaseException)):
                    seen.add(id(one))
                    out[f"{room}.{name}".lstrip(".")] = module, name, one
    return out


def right_calls(module: Any, name: str, function: Callable[..., Any]) -> list[tuple[tuple[Any, ...], dict[str, Any]]]:
    """Return the arguments with which a function is called in its own examples."""
    calls: list[tuple[tuple[Any, ...], dict[str, Any]]] = []

    def noted(*args: Any, **kwargs: Any) -> Any:
        calls.append((args, kwargs))
        return function(*args, **kwargs)

    setattr(module, name, noted)
    try:
        for test in doctest.DocTestFinder(recurse=False).find(function, name, module=False):
            space: dict[str, Any] = dict(vars(sys.modules[function.__module__]))
            space[name] = noted
            for example in test.examples:
                with contextlib.suppress(Exception), contextlib.redirect_stdout(io.StringIO()):
                    exec(compile(example.source, name, "single"), space)
    finally:
        setattr(module, name, function)
    return calls


def ended(call: Callable[[], Any]) -> str:
    """Return which exception a call ends in, with the place; "" for an answer or an `InputError`."""
    from tieringmodel.errors import TieringError

    try:
        with _limited(LIMIT_S), warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            call()
    except (TieringError, _Late, KeyboardInterrupt):
        return ""
    except BaseException as error:
        frames = [f for f in traceback.extract_tb(error.__traceback__) if f"{os.sep}tieringmodel{os.sep}" in f.filename]
        at = frames[-1] if frames else None
        where = f"{Path(at.filename).parent.name}/{Path(at.filename).name}:{at.lineno}" if at else "?"
        return f"{type(error).__name__} at {where}: {str(error)[:80]}"
    return ""


def main() -> int:
    """Try them all; return how many calls ended otherwise."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*")
    given = parser.parse_args().names
    os.chdir(tempfile.mkdtemp(prefix="junk-"))
    os.environ.setdefault("MPLBACKEND", "Agg")
    total, wrong = 0, 0
    for dotted, (module, name, function) in public().items():
        if not any(dotted.startswith(n) for n in given) and (given or dotted.split(".")[0] in SLOW):
            continue
        found: collections.Counter[str] = collections.Counter()
        for args, kwargs in right_calls(module, name, function)[:2]:
            for at in [*range(len(args)), *kwargs]:
                for word, junk in JUNK.items():
                    changed, more = list(args), dict(kwargs)
                    if isinstance(at, int):
                        changed[at] = junk
                    else:
                        more[at] = junk
                    total += 1
                    if said := ended(lambda f=function, changed=changed, more=more: f(*changed, **more)):
                        found[f"{at}={word}: {said}"] += 1
        wrong += found.total()
        for text in found:
            print(f"{dotted}: {text}", flush=True)
    print(f"{total} calls, {wrong} end in something else")
    return min(wrong, 1)


if __name__ == "__main__":
    sys.exit(main())
