"""Constants have one name, in `tieringmodel.units`; kernels, which import nothing of ours, keep their own."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import tieringmodel
from tieringmodel import units

PACKAGE = Path(tieringmodel.__file__).parent
NAMES = {name for name in vars(units) if name.isupper() and isinstance(getattr(units, name), int)}
RETYPED = {f"2 ** {bits} - 1" for bits in (32, 63, 64)} | {"2 ** 20", "4096.0"}
"""As `ast.unparse` writes them. 2**20 pages, not bytes, is the one exception below."""
OTHER_MEANING = {"theory/gain_runs.py": {"2 ** 20"}, "scenario/numa.py": {"2 ** 20"}}


def told_again(tree: ast.AST) -> Iterator[str]:
    """Names of units that a module defines itself, other names for a page's size, and values written out."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names = {n.id for t in targets for n in ast.walk(t) if isinstance(n, ast.Name)}
            yield from names & NAMES
            if isinstance(node.value, ast.Constant) and node.value.value == units.PAGE_SZ:
                yield from (name for name in names if "PAGE" in name.upper())
        elif isinstance(node, ast.BinOp | ast.Constant) and ast.unparse(node) in RETYPED:
            yield ast.unparse(node)


def test_constants_are_told_once() -> None:
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        name = path.relative_to(PACKAGE).as_posix()
        if name != "units.py" and not name.startswith("kernels/"):
            found[name] = set(told_again(ast.parse(path.read_text()))) - OTHER_MEANING.get(name, set())
    assert len(found) > 200
    assert {name: what for name, what in found.items() if what} == {}
    assert {"PAGE_SZ", "MAX_PAGES", "ULONG_MAX", "LONG_MAX", "UINT_MAX", "KIB", "MIB", "GIB"} <= NAMES


@pytest.mark.parametrize(
    "text", ["PAGE_BYTES = 4096", "MIB = 1 << 20", "x = f(2**64 - 1)", "y = n / 2**20", "PAGE: int = 4096", "KIB, MIB = 1, 2"]
)
def test_the_walk_sees_them(text: str) -> None:
    assert [*told_again(ast.parse(text))]
