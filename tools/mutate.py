"""Mutation testing: change one operator, bound or constant at a time, and see whether a test notices.

    python tools/mutate.py [--sample 80] [--seed 1] [--jobs 2] [--file kernels/regions.py …]

Kernels run as plain Python (``NUMBA_DISABLE_JIT=1``), so that a mutant needs no compiling. Each mutant runs the narrow
tests of its file, stopping at the first failure; a mutant that outlives its time limit counts as noticed, for the tests
would hang. Exit status 1 if fewer than nine in ten are noticed. Mutants that cannot change any result are listed with
their reason in `EQUIVALENT` and left out.
"""

from __future__ import annotations

import argparse
import ast
import copy
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import Queue

ROOT = Path(__file__).resolve().parents[1]
_BITS = "tests/trust/test_same_bits.py::test_bits_of_this_version"
_DAMON = f"{_BITS} tests/damon/test_unit_cases.py tests/damon/test_scheme_cases.py tests/damon/test_reference.py"
_MATH, _HERE = "tests/interop/test_quota_math.py", "tests/trust/test_invariants.py"
TESTS = {
    "damon/quota_math.py": f"{_MATH} {_HERE}::test_saturation_and_wrap_at_64_bits",
    "kernels/integer.py": f"{_MATH} {_HERE}::test_compiled_feed_is_the_reference",
    "damon/quota.py": _DAMON,
    "damon/regions.py": _DAMON,
    "damon/table.py": _DAMON,
    "kernels/regions.py": _DAMON,
    "kernels/scoring.py": _DAMON,
    "kernels/apply.py": _DAMON,
}
LIMIT_S = 240
EQUIVALENT: dict[tuple[str, str], str] = {}
"""(file, mutant as it is printed without its line) -> why no test can notice it."""

_COMPARE: dict[type[ast.cmpop], list[type[ast.cmpop]]] = {
    ast.Lt: [ast.LtE, ast.GtE], ast.LtE: [ast.Lt, ast.Gt], ast.Gt: [ast.GtE, ast.LtE], ast.GtE: [ast.Gt, ast.Lt],
    ast.Eq: [ast.NotEq], ast.NotEq: [ast.Eq],
}  # fmt: skip
_ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.FloorDiv, ast.FloorDiv: ast.Mult, ast.Mod: ast.FloorDiv,
    ast.LShift: ast.RShift, ast.RShift: ast.LShift, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd, ast.BitXor: ast.BitOr,
}  # fmt: skip


def changes(node: ast.AST) -> Iterator[ast.AST]:
    """Yield the mutants of one node."""
    if isinstance(node, ast.Compare):
        for k, op in enumerate(node.ops):
            for other in _COMPARE.get(type(op), []):
                new = copy.deepcopy(node)
                new.ops[k] = other()
                yield new
    elif isinstance(node, ast.BinOp | ast.AugAssign) and type(node.op) in _ARITHMETIC:
        new = copy.deepcopy(node)
        new.op = _ARITHMETIC[type(node.op)]()
        yield new
    elif isinstance(node, ast.BoolOp):
        new = copy.deepcopy(node)
        new.op = ast.Or() if isinstance(node.op, ast.And) else ast.And()
        yield new
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield copy.deepcopy(node.operand)
    elif isinstance(node, ast.Constant) and type(node.value) is int:
        yield ast.copy_location(ast.Constant(node.value + 1), node)
    elif isinstance(node, ast.Constant) and type(node.value) is bool:
        yield ast.copy_location(ast.Constant(not node.value), node)
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("min", "max"):
        new = copy.deepcopy(node)
        new.func = ast.Name("max" if node.func.id == "min" else "min", ast.Load())
        yield new


def mutants(source: str) -> Iterator[tuple[int, str, str]]:
    """Yield (line, what changes, the whole mutated source) for everything inside functions."""
    tree = ast.parse(source)
    for function in [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)]:
        for parent in [n for statement in function.body for n in ast.walk(statement)]:
            for field, value in ast.iter_fields(parent):
                for k, child in enumerate(value if isinstance(value, list) else [value]):
                    if not isinstance(child, ast.AST):
                        continue
                    for new in changes(child):
                        _put(parent, field, k, value, new)
                        yield child.lineno, f"{ast.unparse(child)} -> {ast.unparse(new)}", ast.unparse(tree)
                        _put(parent, field, k, value, child)


def _put(parent: ast.AST, field: str, k: int, value: object, new: ast.AST) -> None:
    if isinstance(value, list):
        value[k] = new
    else:
        setattr(parent, field, new)


def workshop(folder: Path) -> Path:
    """Return a copy of what the tests need, for one worker."""
    for name in ("tieringmodel", "tests"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "data").symlink_to(ROOT / "data")
    shutil.copy(ROOT / "pyproject.toml", folder)
    return folder


def noticed(folder: Path, file: str, source: str) -> bool:
    """Whether the tests of a file fail with this source in its place."""
    path = folder / "tieringmodel" / file
    original = path.read_text()
    path.write_text(source)
    names = {"NUMBA_DISABLE_JIT": "1", "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    names["TIERINGMODEL_EXAMPLES"] = "few"
    words = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *TESTS[file].split()]
    try:
        done = subprocess.run(words, cwd=folder, env=os.environ | names, capture_output=True, timeout=LIMIT_S)
        return done.returncode != 0
    except subprocess.TimeoutExpired:
        return True
    finally:
        path.write_text(original)


def main() -> int:
    """Run a sample of all mutants; return the exit status."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--sample", type=int, default=80, help="how many mutants, drawn evenly from all (0: every one)")
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--jobs", type=int, default=2)
    options.add_argument("--minutes", type=float, default=60, help="begin no further mutant after that long")
    options.add_argument("--file", nargs="*", default=list(TESTS), choices=list(TESTS))
    given = options.parse_args()
    seen: dict[tuple[str, str], tuple[str, int, str, str]] = {}
    for file in given.file:
        for line, what, source in mutants((ROOT / "tieringmodel" / file).read_text()):
            if (file, what) not in EQUIVALENT:
                seen[file, source] = (file, line, what, source)
    drawn = list(seen.values())
    total = len(drawn)
    random.Random(given.seed).shuffle(drawn)
    drawn = drawn[: given.sample or None]
    with tempfile.TemporaryDirectory() as scratch:
        free: Queue[Path] = Queue()
        for k in range(given.jobs):
            (place := Path(scratch) / str(k)).mkdir()
            free.put(workshop(place))
        for words in sorted({TESTS[m[0]] for m in drawn}):  # a broken set of tests would notice everything
            file = next(f for f in TESTS if TESTS[f] == words)
            if noticed(Path(scratch) / "0", file, (ROOT / "tieringmodel" / file).read_text()):
                print(f"{words}: fail without any change", file=sys.stderr)
                return 2

        end = time.monotonic() + 60 * given.minutes

        def try_one(mutant: tuple[str, int, str, str]) -> bool | None:
            file, line, what, source = mutant
            if time.monotonic() > end:
                return None
            folder = free.get()
            try:
                caught = noticed(folder, file, source)
            finally:
                free.put(folder)
            print(f"{'noticed ' if caught else 'SURVIVED'} {file}:{line}: {what}", flush=True)
            return caught

        with ThreadPoolExecutor(given.jobs) as pool:
            results = [r for r in pool.map(try_one, drawn) if r is not None]
    killed = sum(results)
    print(f"{killed} of {len(results)} mutants noticed ({killed / max(len(results), 1):.1%}); {total} exist")
    return 0 if killed >= 0.9 * len(results) else 1


if __name__ == "__main__":
    sys.exit(main())
