"""What a stored result depends on beside the sweep's parameters: told again whenever it would make another result."""

from __future__ import annotations

import dataclasses
import enum
import functools
import importlib
import os
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, NamedTuple

import numba
import numpy as np
import pytest
import xarray as xr

import tieringmodel as tm
from tieringmodel.sweeps.identity import code_of


def told(measure: object, **registered: object) -> dict[str, str]:
    return code_of(measure, registered)


def share(ds: object, node: int, *, scale: float = 1.0) -> dict[str, float]:
    return {"x": node * scale}


class Share:
    """State, code and what belongs to the class."""

    offset = 1

    def __init__(self, node: object) -> None:
        self.node = node

    def __call__(self, ds: object) -> dict[str, Any]:
        return {"x": self.node}

    def other(self, ds: object) -> dict[str, Any]:
        return {"x": 2, "node": self.node}


class Slotted:
    __slots__ = ("node",)

    def __init__(self, node: object) -> None:
        self.node = node

    def __call__(self, ds: object) -> dict[str, Any]:
        return {"x": self.node}


@dataclasses.dataclass(frozen=True)
class Frozen:
    node: int = 0
    weights: tuple[float, ...] = (1.0,)

    def __call__(self, ds: object) -> dict[str, Any]:
        return {"x": self.node}


class Pair(NamedTuple):
    a: int
    b: object


class Colour(enum.Enum):
    RED = 1
    BLUE = 2


def closing(k: object) -> Callable[[object], dict[str, object]]:
    def inner(ds: object) -> dict[str, object]:
        return {"x": k}

    return inner


def decorated(factor: float) -> Callable[[Any], Any]:
    def around(function: Any) -> Any:
        @functools.wraps(function)
        def inner(ds: object) -> Any:
            return function(ds), factor

        return inner

    return around


class Decorated:
    """A class that decorates: `update_wrapper` gives it ``__wrapped__``, and it has state beside."""

    def __init__(self, function: Any, factor: float) -> None:
        functools.update_wrapper(self, function)
        self.factor = factor

    def __call__(self, ds: object) -> Any:
        return self.factor


def compiled(k: float) -> Any:
    @numba.njit
    def inner(x: float) -> float:
        return k * x

    return inner


VALUES = [
    (1, 2), (1.0, 2.0), (1, 1.0), (True, 1), ("a", "b"), (b"a", b"b"), ((1, 2), (2, 1)), ([1], [1, 2]), ([1], (1,)), ({1}, {2}),
    ({"a": 1}, {"a": 2}), ({"a": 1}, {"b": 1}), (None, 0), (frozenset({1}), frozenset({2})), (range(3), range(4)),
    (np.zeros(3), np.ones(3)), (np.zeros(3), np.zeros(4)), (np.zeros(3), np.zeros(3, int)), (np.zeros((2, 3)), np.zeros(6)),
    (np.float64(1), np.float64(2)), (np.dtype("f4"), np.dtype("f8")), (np.array([{}], object), np.array([{1: 2}], object)),
    (Path("a"), Path("b")), (Pair(1, 2), Pair(1, 3)), (Colour.RED, Colour.BLUE), (Frozen(1), Frozen(2)),
    (xr.DataArray([1.0], dims="x"), xr.DataArray([2.0], dims="x")), (np.random.default_rng(1), np.random.default_rng(2)),
    (SimpleNamespace(a=[1]), SimpleNamespace(a=[2])), (tm.Dest(0, 1), tm.Dest(0, 2)), (Share, Slotted), (np.sin, np.cos),
    (compiled(1.0), compiled(2.0)), (Share(1).other, Share(2).other), ("x".startswith, "y".startswith), (max, min),
]  # fmt: skip


@pytest.mark.parametrize(("one", "other"), VALUES, ids=range(len(VALUES)))
@pytest.mark.parametrize(
    "hold",
    [
        closing, Share, Slotted, lambda v: functools.partial(share, node=v), lambda v: functools.partial(share, v),
        lambda v: Share(v).__call__, lambda v: Share({"deep": [v]}), lambda v: decorated(v)(share),
        lambda v: Decorated(share, v),
        lambda v: functools.lru_cache(closing(v)), lambda v: (lambda ds, held=v: held), lambda v: Share(closing(v)),
    ],
)  # fmt: skip
def test_whatever_holds_a_value_is_another_with_another_value(hold: Callable[[Any], Any], one: Any, other: Any) -> None:
    assert told(hold(one)) != told(hold(other))
    assert told(hold(one)) == told(hold(one))


def test_kinds_of_code() -> None:
    measures = [
        None, share, Share(1), Share(1).other, lambda ds: {"x": 1}, lambda ds: {"x": 2}, lambda ds: {"y": 1}, lambda ds: ds.x,
        lambda ds: ds.y, lambda ds: [v for v in ds if v], lambda ds: [v for v in ds if not v], Share, functools.partial(share),
        lambda ds: max(ds), lambda ds: min(ds), lambda ds: np.sin(ds), lambda ds: np.cos(ds), lambda ds, *, k=1: k,
        lambda ds, *, k=2: k, tm.analysis.verdict, tm.lint,
    ]  # fmt: skip
    assert len({told(m)["measure"] for m in measures}) == len(measures)
    assert len({told(m)["tieringmodel"] for m in measures}) == 1


def test_state_that_refers_to_itself_is_told() -> None:
    ring: list[Any] = [1]
    ring.append(ring)
    longer: list[Any] = [2]
    longer.append(longer)
    one, other = Share(1), Share(1)
    one.node, other.node = {one}, {other, Share(2)}
    assert told(closing(ring)) != told(closing(longer))
    assert told(one) != told(other)


@pytest.mark.parametrize("held", [threading.Lock(), (k for k in ()), sys.__stdout__, threading.local()], ids=range(4))
@pytest.mark.parametrize("hold", [closing, Share, lambda v: functools.partial(share, node=v)])
def test_what_cannot_be_told_is_refused_for_a_store_only(hold: Callable[[Any], Any], held: object, tmp_path: Path) -> None:
    scenario = tm.load("rfc-40-60")
    with pytest.raises(tm.InputError, match=r"measure: reads measure.*, a \w+ whose value cannot be told: .*; let it read"):
        tm.sweep(scenario, {"seed": [1]}, measure=hold(held), duration="0.1 s", store=tmp_path / "s.zarr")
    assert not [*tmp_path.iterdir()]
    said = r"every point failed \(1\); the first: (TypeError|measure: returned)"
    with pytest.raises(tm.TieringError, match=said):  # nothing asked what the measure reads
        tm.sweep(scenario, {"seed": [1]}, measure=hold(held), duration="0.1 s")


# ---- modules of the user's ------------------------------------------------------------------------------------------------

HELPER = """
FACTOR = 1
TABLE = {"a": [1]}
LIMITS = SimpleNamespace(high=1) if (SimpleNamespace := __import__("types").SimpleNamespace) else None
class Settings:
    gain = 1
def factor(): return FACTOR
def twice(x): return 2 * x
"""
MEASURES = {
    "global": "FACTOR = 1\ndef measure(ds): return {'x': FACTOR}",
    "global in a comprehension": "FACTOR = 1\ndef measure(ds): return {'x': [FACTOR for _ in ds]}",
    "global in a nested function": "FACTOR = 1\ndef measure(ds):\n    def f(): return FACTOR\n    return f()",
    "by globals()": "FACTOR = 1\ndef measure(ds): return globals()['FACTOR']",
    "by eval": "FACTOR = 1\ndef measure(ds): return eval('FACTOR')",
    "attribute of a module": "import helper_of_test\ndef measure(ds): return helper_of_test.FACTOR",
    "getattr of a module": "import helper_of_test\ndef measure(ds): return getattr(helper_of_test, 'FACTOR')",
    "module under a local name": "import helper_of_test\ndef measure(ds):\n    h = helper_of_test\n    return h.FACTOR",
    "function of a module": "import helper_of_test\ndef measure(ds): return helper_of_test.factor()",
    "function by name": "from helper_of_test import factor\ndef measure(ds): return factor()",
    "imported inside": "def measure(ds):\n    from helper_of_test import factor\n    return factor()",
    "module imported inside": "def measure(ds):\n    import helper_of_test as h\n    return h.FACTOR",
    "relative import": "__package__ = 'package_of_test'\ndef measure(ds):\n    from .inner import factor\n    return factor()",
    "submodule": "import package_of_test.inner\ndef measure(ds): return package_of_test.inner.FACTOR",
    "through a package": "import package_of_test.inner\ndef measure(ds): return package_of_test.inner.factor()",
}


@pytest.fixture
def helper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    (tmp_path / "helper_of_test.py").write_text(HELPER)
    (tmp_path / "package_of_test").mkdir()
    (tmp_path / "package_of_test/__init__.py").write_text("")
    (tmp_path / "package_of_test/inner.py").write_text(HELPER)
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("helper_of_test", "package_of_test", "package_of_test.inner"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    importlib.invalidate_caches()
    return importlib.import_module("helper_of_test")


@pytest.mark.parametrize("kind", MEASURES)
def test_globals_are_followed_wherever_they_stand(kind: str, helper: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "measures_of_test.py").write_text(MEASURES[kind])
    sys.modules.pop("measures_of_test", None)
    module = importlib.import_module("measures_of_test")
    first = told(module.measure)
    assert told(module.measure) == first
    inner = importlib.import_module("package_of_test.inner")
    for place in (module, helper, inner):
        place.FACTOR = 100  # type: ignore[attr-defined]
    assert told(module.measure) != first
    for place in (module, helper, inner):
        place.FACTOR = 1  # type: ignore[attr-defined]
    assert told(module.measure) == first


CHANGES: list[Callable[[Any], None]] = [
    lambda h: setattr(h, "twice", lambda x: 3 * x),
    lambda h: h.TABLE["a"].append(2),
    lambda h: setattr(h.LIMITS, "high", 2),
    lambda h: setattr(h.Settings, "gain", 2),
    lambda h: setattr(h.twice, "__defaults__", (1,)),
    lambda h: setattr(h.twice, "__code__", (lambda x: 4 * x).__code__),
]


@pytest.mark.parametrize("change", CHANGES)
def test_helpers_are_followed_into_all_that_they_are(change: Callable[[Any], None], helper: Any) -> None:
    def measure(ds: object) -> object:
        return helper.twice(helper.TABLE["a"][0]), helper.LIMITS, helper.Settings.gain

    first = told(measure)
    assert told(measure) == first
    change(helper)
    assert told(measure) != first


def test_what_code_does_not_read_decides_nothing(helper: Any) -> None:
    namespace: dict[str, Any] = {"helper_of_test": helper, "__name__": "made_up_of_test"}
    exec("def measure(ds): return helper_of_test.twice(1)", namespace)
    first = told(namespace["measure"])
    helper.FACTOR, helper.lock, namespace["other"] = 100, threading.Lock(), 1
    assert told(namespace["measure"]) == first


def test_registered_functions_are_told() -> None:
    assert told(None, a={"core": closing(1)}) != told(None, a={"core": closing(2)})
    assert told(None, a=closing(1)) != told(None, b=closing(1))
    assert told(None) == told(None)


SCRIPT = """
import sys
sys.path[:0] = {paths}
from test_identity import *
import sweep_measures
names = set("abcdefgh")
print([told(m) for m in (share, Share(names), closing(names), Frozen(), decorated(1.0)(share), functools.partial(share, 1),
                         lambda ds: ds if ds in {{"a", "b", "c"}} else (1, 2), closing(xr.DataArray([1.0], dims="x")),
                         closing(Colour.RED), sweep_measures.final, compiled(1.0))])
"""


def test_another_process_tells_the_same(tmp_path: Path) -> None:
    here = Path(__file__).parent
    script = textwrap.dedent(SCRIPT.format(paths=[str(here), str(here.parent)]))
    path = os.pathsep.join(sys.path)
    seen = set()
    for seed, cached in (("1", True), ("2", True), ("3", False)):  # with compiled modules on disk and without
        environment = os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": path, "PYTHONPYCACHEPREFIX": str(tmp_path / "pyc")}
        if not cached:
            environment["PYTHONPYCACHEPREFIX"] = str(tmp_path / "none")
        done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
        seen.add(done.stdout)
    assert len(seen) == 1
