"""What decides a stored result beside the sweep's parameters: this package's code, the measure, and metrics of one's own.

Code is told by its bytecode, and followed into what it reads: defaults, closures, attributes, globals, and helpers of the
user's own modules. Modules that are installed count by their version.
"""

from __future__ import annotations

import builtins
import copyreg
import dis
import functools
import hashlib
import importlib
import os
import sys
import sysconfig
import types
import warnings
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from itertools import takewhile
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from ..errors import InputError

PACKAGE = __package__.partition(".")[0]
_PLAIN = (type(None), bool, int, float, complex, str, bytes, type(...), type(NotImplemented))
_DESCRIPTORS = (
    types.GetSetDescriptorType,
    types.MemberDescriptorType,
    types.MethodDescriptorType,
    types.WrapperDescriptorType,
    types.ClassMethodDescriptorType,
)
_OF_CLASS = {"__dict__", "__weakref__", "__doc__", "__module__", "__annotations__", "__firstlineno__", "_abc_impl"}
_LOADS = ("LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS")
_NOTHING = ("CACHE", "NOP", "PUSH_NULL", "PRECALL", "EXTENDED_ARG", "RESUME")
_REMEDY = "let it read plain values, give that class a __reduce__, or sweep without a store"
_EVERYTHING = ("globals", "eval", "exec", "__import__")
"""Builtins by which code reaches any global of its module."""


def code_of(measure: object, registered: Mapping[str, Any]) -> dict[str, str]:
    """Return short hashes of what decides a point's results beside its parameters.

    Parameters
    ----------
    measure : callable or None
        What measures.
    registered : mapping of str to object
        Functions of the user's own that a scenario calls by name.

    Returns
    -------
    dict of str to str
        ``"tieringmodel"``: the package's sources; ``"measure"``; ``"registered"``.

    Raises
    ------
    InputError
        Naming an object that they read and whose value cannot be told.
    """
    return {
        PACKAGE: sources_digest(),
        "measure": _Digest().of(measure, "measure"),
        "registered": _Digest().of(dict(sorted(registered.items())), "registered"),
    }


@cache
def sources_digest() -> str:
    """Return a short hash of the package's own sources."""
    found = hashlib.sha256()
    root = Path(__file__).parents[1]
    for file in sorted(root.rglob("*.py")):
        found.update(b"%s\0%s\0" % (str(file.relative_to(root)).encode(), file.read_bytes()))
    return found.hexdigest()[:16]


@cache
def _installed() -> tuple[str, ...]:
    paths = sysconfig.get_paths()
    folders = [Path(__file__).parents[1], *(Path(paths[name]) for name in ("stdlib", "platstdlib", "purelib", "platlib"))]
    return tuple(str(folder.resolve()) + os.sep for folder in folders)


def _is_own(module: str | None) -> bool:
    """Whether a module is the user's: neither this package, nor the standard library, nor installed."""
    if module is None or module.partition(".")[0] == PACKAGE:
        return False
    if module == "__main__":
        return True
    for name in (module, module.partition(".")[0]):
        file = getattr(sys.modules.get(name), "__file__", None)
        if file:
            return not _is_installed(file)
    return module.partition(".")[0] not in sys.stdlib_module_names


def _is_installed(file: str) -> bool:
    return str(Path(file).resolve()).startswith(_installed())


@cache
def _version(module: str | None) -> str:
    """Return the version of an installed module; where it tells none, a hash of its file."""
    top = sys.modules.get((module or "").partition(".")[0])
    if top is None or top.__name__ == PACKAGE or top.__name__ in sys.stdlib_module_names:
        return ""
    told = getattr(top, "__version__", None)
    file = getattr(top, "__file__", None)
    return told if isinstance(told, str) else hashlib.sha256(Path(file).read_bytes()).hexdigest() if file else ""


class _Digest:
    """A hash of one object and of everything that it reads."""

    def __init__(self) -> None:
        self.found = hashlib.sha256()
        self.seen: dict[int, int] = {}
        self.alive: list[Any] = []  # or an id might be given to another object

    def of(self, value: object, path: str) -> str:
        """Return a short hash of a value; `path` names it in messages."""
        try:
            self.value(value, path)
        except RecursionError:
            raise InputError("measure", f"reads {path}, which is nested too deeply to be told", _REMEDY) from None
        return self.found.hexdigest()[:16]

    def put(self, *parts: object) -> None:
        for part in parts:
            raw = part if isinstance(part, bytes) else repr(part).encode(errors="surrogatepass")
            self.found.update(b"%d:%s" % (len(raw), raw))

    def value(self, value: Any, path: str) -> None:
        if type(value) in _PLAIN:
            return self.put(type(value).__name__, value)
        if type(value) not in (tuple, frozenset):  # whose identity is up to the compiler
            if id(value) in self.seen:
                return self.put("again", self.seen[id(value)])
            self.seen[id(value)] = len(self.seen)
            self.alive.append(value)
        if (known := _KINDS.get(type(value))) is not None:
            return known(self, value, path)
        if isinstance(value, type):
            return self.class_(value, path)
        if isinstance(value, (np.ndarray, np.generic, np.dtype)):
            return self.numpy(value, path)
        if isinstance(getattr(value, "py_func", None), types.FunctionType) and not _is_own(type(value).__module__):
            return self.value(value.py_func, path)  # compiled by numba
        self.state(value, path)

    def state(self, value: Any, path: str) -> None:
        """An object by its class and its state, as pickling would take them apart."""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                reduce = copyreg.dispatch_table.get(type(value))
                parts = reduce(value) if reduce else value.__reduce_ex__(4)
        except Exception:
            self.refuse(value, path)
        if isinstance(parts, str):
            home = getattr(value, "__module__", None) or type(value).__module__
            return self.put("by name", home, parts, _version(home))
        self.put("object", type(value).__qualname__)
        for k, part in enumerate(parts):
            named = path if k < 3 else f"{path}[…]"
            self.value(list(part) if k in (3, 4) and part is not None else part, named)

    def refuse(self, value: Any, path: str) -> NoReturn:
        what = f"reads {path}, a {type(value).__name__} whose value cannot be told: stored points might be another one's"
        raise InputError("measure", what, _REMEDY)

    def sequence(self, value: Any, path: str) -> None:
        self.put(type(value).__name__, len(value))
        for k, item in enumerate(value):
            self.value(item, f"{path}[{k}]")

    def set_(self, value: Any, path: str) -> None:
        self.put(type(value).__name__, sorted(self.apart(item, path) for item in value))

    def apart(self, value: Any, path: str) -> str:
        """Return a hash of a value alone: where there is no order."""
        digest = _Digest()
        digest.seen, digest.alive = dict(self.seen), self.alive
        return digest.of(value, path)

    def mapping(self, value: Mapping[Any, Any], path: str) -> None:
        self.put("mapping", len(value))
        for key, item in list(value.items()):
            self.value(key, path)
            self.value(item, f"{path}[{key!r}]" if type(key) in _PLAIN else path)

    def numpy(self, value: Any, path: str) -> None:
        dtype = value if isinstance(value, np.dtype) else value.dtype
        self.put("numpy", dtype.descr if dtype.names else dtype.str)
        if isinstance(value, np.dtype):
            return
        self.put(value.shape)
        if dtype.hasobject:
            return self.value(value.tolist(), path)
        self.put(np.ascontiguousarray(value).tobytes())

    def module(self, value: types.ModuleType, path: str) -> None:
        self.put("module", value.__name__, _version(value.__name__))
        if _is_own(value.__name__):
            self.namespace(vars(value), path)

    def namespace(self, values: Mapping[str, Any], path: str) -> None:
        """Everything that a module holds, for code that may read any of it."""
        for name in sorted(n for n in values if not (n.startswith("__") and n.endswith("__"))):
            self.put(name)
            self.value(values[name], f"{path}.{name}")

    def builtin(self, value: Any, path: str) -> None:
        owner = value.__self__
        if owner is None or isinstance(owner, types.ModuleType):
            return self.put("builtin", value.__module__, value.__qualname__, _version(value.__module__))
        self.put("method", value.__name__)
        self.value(owner, path)

    def descriptor(self, value: Any, path: str) -> None:
        self.put("descriptor", value.__name__)

    def wrapper(self, value: Any, path: str) -> None:
        """Properties, class and static methods, by the functions that they hold."""
        self.put(type(value).__name__)
        for name in ("__func__", "__wrapped__", "func", "fget", "fset", "fdel"):
            self.value(getattr(value, name, None), path)

    def cell(self, value: types.CellType, path: str) -> None:
        try:
            held = value.cell_contents
        except ValueError:
            return self.put("empty cell")
        self.value(held, path)

    def class_(self, value: type, path: str) -> None:
        self.put("class", value.__module__, value.__qualname__, _version(value.__module__))
        if not _is_own(value.__module__):
            return
        for base in (type(value), *value.__bases__):
            self.value(base, path)
        for name, member in vars(value).items():
            if name not in _OF_CLASS and not name.startswith("__dataclass"):
                self.put(name)
                self.value(member, f"{path}.{name}")

    def function(self, value: types.FunctionType, path: str) -> None:
        home = value.__globals__.get("__name__")
        self.put("function", home, value.__qualname__, _version(home))
        file = value.__code__.co_filename
        if _is_own(home) if file.startswith("<") else not _is_installed(file):
            self.code(value.__code__, value.__globals__, path)
        own = vars(value)
        for part in (value.__defaults__, value.__kwdefaults__, own):
            self.value(part, path)
        for name, cell in zip(value.__code__.co_freevars, value.__closure__ or (), strict=True):
            self.value(cell, f"{path}.{name}")

    def code(self, code: types.CodeType, names: Mapping[str, Any], path: str) -> None:
        self.put(code.co_code, code.co_exceptiontable, code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars)
        self.put(code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags)
        for constant in code.co_consts:
            if isinstance(constant, types.CodeType):
                self.code(constant, names, path)
            else:
                self.value(constant, path)
        for what, value in _read(code, names):
            self.put(what)
            if value is _Unknown:
                self.put("not there yet")
            elif value is _Everything:
                self.namespace(names, path.partition(".")[0])
            else:
                self.value(value, f"{path}.{what}")


class _Unknown:
    """A name that nobody has given a value."""


class _Everything:
    """Any name of the module."""


def _read(code: types.CodeType, names: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield what code reads beyond its own names, as (dotted name, value); of the user's modules only attributes.

    A module of the user's that is used otherwise, as when it is handed on or given a local name, is yielded whole.
    """
    steps = [one for one in dis.get_instructions(code) if one.opname not in _NOTHING]
    for k, one in enumerate(steps):
        if one.opname in _LOADS:
            name, value = one.argval, names.get(one.argval, _Unknown)
            if value is _Unknown and hasattr(builtins, name):
                value = _Everything if name in _EVERYTHING else getattr(builtins, name)
            for following in steps[k + 1 :]:
                if not _own_module(value) or following.opname not in ("LOAD_ATTR", "LOAD_METHOD"):
                    break
                name, value = f"{name}.{following.argval}", _attribute(value, following.argval)
            yield name, value
        elif one.opname == "IMPORT_NAME":
            module = _imported(one.argval, steps[k - 2].argval, names)
            after = takewhile(lambda s: s.opname == "IMPORT_FROM" or s.opname.startswith("STORE"), steps[k + 1 :])
            parts = [s.argval for s in after if s.opname == "IMPORT_FROM"]
            if parts and _own_module(module):
                yield from ((f"{one.argval}.{part}", _attribute(module, part)) for part in parts)
            else:
                yield one.argval, module


def _own_module(value: Any) -> bool:
    return isinstance(value, types.ModuleType) and _is_own(value.__name__)


def _attribute(module: types.ModuleType, name: str) -> Any:
    found = getattr(module, name, _Unknown)
    return _imported(f"{module.__name__}.{name}", 0, {}) if found is _Unknown else found


def _imported(name: str, level: Any, names: Mapping[str, Any]) -> Any:
    """Return the module that code imports when it runs."""
    try:
        return importlib.import_module("." * (level or 0) + name, names.get("__package__"))
    except Exception:  # as it will for the code, which may be ready for that
        return _Unknown


_KINDS: dict[type, Callable[[_Digest, Any, str], None]] = {
    tuple: _Digest.sequence,
    list: _Digest.sequence,
    set: _Digest.set_,
    frozenset: _Digest.set_,
    dict: _Digest.mapping,
    types.MappingProxyType: _Digest.mapping,
    types.ModuleType: _Digest.module,
    types.FunctionType: _Digest.function,
    types.BuiltinFunctionType: _Digest.builtin,
    types.CellType: _Digest.cell,
    property: _Digest.wrapper,
    staticmethod: _Digest.wrapper,
    classmethod: _Digest.wrapper,
    functools.cached_property: _Digest.wrapper,
    type(cache(lambda: 0)): _Digest.wrapper,
    **dict.fromkeys(_DESCRIPTORS, _Digest.descriptor),
}
