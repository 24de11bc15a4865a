"""The mutants of a source file: one operator, bound, constant or statement changed at a time.

Left out because no test could or should notice them: annotations, decorators, doc strings, and ``strict=`` of ``zip``,
which only guards. What writes machine code (``@intrinsic``) does not run in plain Python.
"""

from __future__ import annotations

import ast
import copy
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from types import CodeType

_COMPARE: dict[type[ast.cmpop], list[type[ast.cmpop]]] = {
    ast.Lt: [ast.LtE, ast.GtE], ast.LtE: [ast.Lt, ast.Gt], ast.Gt: [ast.GtE, ast.LtE], ast.GtE: [ast.Gt, ast.Lt],
    ast.Eq: [ast.NotEq], ast.NotEq: [ast.Eq], ast.In: [ast.NotIn], ast.NotIn: [ast.In], ast.Is: [ast.IsNot],
    ast.IsNot: [ast.Is],
}  # fmt: skip
_ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.FloorDiv, ast.FloorDiv: ast.Mult, ast.Mod: ast.FloorDiv,
    ast.LShift: ast.RShift, ast.RShift: ast.LShift, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd, ast.BitXor: ast.BitOr,
    ast.Div: ast.Mult,
}  # fmt: skip


@dataclass(frozen=True)
class Mutant:
    """One change: where, what, and the code of the changed function with everything defined in it."""

    file: str
    function: str
    lines: range
    what: str
    codes: dict[tuple[str, int], CodeType]

    @property
    def key(self) -> tuple[str, str, str]:
        """What names it as long as its function stays as it is."""
        return self.file, self.function, self.what

    def __str__(self) -> str:
        return f"{self.file}:{self.lines.start} {self.function}: {self.what}"


def changes(node: ast.AST) -> Iterator[ast.AST]:
    """Yield the mutants of one node."""
    if isinstance(node, ast.Compare):
        for k, op in enumerate(node.ops):
            for other in _COMPARE[type(op)]:
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
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not | ast.USub):
        yield copy.deepcopy(node.operand)
    elif isinstance(node, ast.Constant) and type(node.value) in (int, float):
        yield ast.Constant(node.value + 1)
    elif isinstance(node, ast.Constant) and type(node.value) is bool:
        yield ast.Constant(not node.value)
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("min", "max"):
        new = copy.deepcopy(node)
        new.func = ast.Name("max" if node.func.id == "min" else "min", ast.Load())
        yield new
    elif isinstance(node, ast.Break | ast.Continue):
        yield ast.Continue() if isinstance(node, ast.Break) else ast.Break()
    if isinstance(node, ast.AugAssign) or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)):
        yield ast.Pass()
    elif isinstance(node, ast.Assign) and not isinstance(node.targets[0], ast.Name | ast.Tuple):
        yield ast.Pass()


def mutants(file: str, path: str, source: str) -> Iterator[Mutant]:
    """Yield every mutant of the functions and methods of a file, in order; `path` is what its code calls itself."""
    tree = ast.parse(source)
    seen: Counter[tuple[str, str]] = Counter()
    for name, function in _functions(tree, ""):
        for statement in (s for s in ast.walk(function) if isinstance(s, ast.stmt) and s is not function):
            for parent, field, k, child in _places(statement, function):
                for new in changes(child):
                    for node in ast.walk(new):
                        ast.copy_location(node, child)
                    what = f"{ast.unparse(child)} -> {ast.unparse(new)}"
                    seen[name, what] += 1
                    if (nth := seen[name, what]) > 1:
                        what += f" (the {nth}. of these)"
                    _put(parent, field, k, new)
                    codes = {(c.co_qualname, c.co_firstlineno): c for c in _codes(compile(tree, path, "exec")) if _of(name, c)}
                    _put(parent, field, k, child)
                    yield Mutant(file, name, _header(statement), what, codes)


def _functions(node: ast.AST, prefix: str) -> Iterator[tuple[str, ast.FunctionDef]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef):
            if any(isinstance(d, ast.Name) and d.id == "intrinsic" for d in child.decorator_list):
                continue
            yield prefix + child.name, child
        elif isinstance(child, ast.ClassDef):
            yield from _functions(child, f"{prefix}{child.name}.")
        elif isinstance(child, ast.If | ast.Try):
            yield from _functions(child, prefix)


def _places(statement: ast.stmt, function: ast.FunctionDef) -> Iterator[tuple[ast.AST, str, int | None, ast.AST]]:
    """Yield (parent, field, index, child) for a statement's own expressions and for itself."""
    for parent in ast.walk(function):  # the statement itself, in whatever body holds it
        for field, value in ast.iter_fields(parent):
            if isinstance(value, list) and any(v is statement for v in value):
                yield parent, field, next(k for k, v in enumerate(value) if v is statement), statement
    todo: list[ast.AST] = [statement]
    while todo:
        parent = todo.pop()
        guards = isinstance(parent, ast.Call) and isinstance(parent.func, ast.Name) and parent.func.id == "zip"
        for field, value in ast.iter_fields(parent):
            if field in ("annotation", "returns", "decorator_list") or (guards and field == "keywords"):
                continue
            for k, child in enumerate(value if isinstance(value, list) else [value]):
                if isinstance(child, ast.stmt) or not isinstance(child, ast.AST):
                    continue
                yield parent, field, k if isinstance(value, list) else None, child
                todo.append(child)


def _put(parent: ast.AST, field: str, k: int | None, value: ast.AST) -> None:
    if k is None:
        setattr(parent, field, value)
    else:
        getattr(parent, field)[k] = value


def _header(statement: ast.stmt) -> range:
    """Return the lines of a statement without those of its body."""
    body = getattr(statement, "body", None)
    end = max(statement.lineno, body[0].lineno - 1) if body else statement.end_lineno or statement.lineno
    return range(statement.lineno, end + 1)


def _codes(code: CodeType) -> Iterator[CodeType]:
    for const in code.co_consts:
        if isinstance(const, CodeType):
            yield const
            yield from _codes(const)


def _of(function: str, code: CodeType) -> bool:
    return code.co_qualname == function or code.co_qualname.startswith(f"{function}.<locals>.")
