"""The house keeps its order: rooms, floors, names and sizes, read off the source."""

from __future__ import annotations

import ast
import inspect
import pkgutil
import statistics
import subprocess
import sys
import tomllib
from functools import cache
from pathlib import Path

import pytest

import tieringmodel as tm

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "tieringmodel"
ROOMS = sorted(m.name for m in pkgutil.iter_modules([str(PACKAGE)]) if m.name != "__main__")
FUNCTIONS = [name for name in tm.__all__ if inspect.isroutine(getattr(tm, name))]
UNTOLD = {"At", "Wish", "classes", "points", "pristine", "reach", "spans", "together", "whole", "wishes", "words"}
"""Names of modules and classes that do not say what they are."""

STANDS_ALONE = {
    "cli": "the program; `python -m` is another way to call it",
    "commands.explain": "a command, opened by its name; lint prints the same",
    "simulation.returns": "which moves were undone; recorder.py is long",
    "simulation.spaces": "where addresses lead, without time; engine.py is long",
    "datasets.attributes": "which attributes a result has, and what each is; reading is another question",
    "verdicts.resampling": "scipy's functions in numpy, held to scipy's bits; statistics.py says what for",
    "simulation.idle": "a run without contexts, which has no clocks; engine.py is long",
    "interop.modules": "what the kernel's own modules do with their parameters, a format of its own",
    "validate.golden.format2": "one format's keys, every one of them",
    "differences.rules": "the search for rules, apart from what is shown beside each other",
    "hotness.hint_faults": "one source, as the others are; made by name",
    "hotness.tlb": "when an accessed bit is set again: a mechanism of the processor",
    "interleave.frames": "who gets which frame, without any rule of placement",
    "interleave.rounds": "one round, without the run around it",
    "interleave.rules": "which page goes where, without frames",
    "interop.damo.program": "runs damo itself, the only place that starts a program",
    "interop.machines.lsmem": "one source of machines",
    "interop.recording.timing": "when touches and samples of a recorded run were; scenario_of.py is about settings",
    "interop.recording.told": "what changed meanwhile, in words; read.py is about tables",
    "interop.surroundings": "machines and workloads from files beside a scenario",
    "interop.workloads.record_workload": "one kind of file that is a workload",
    "interop.workloads.repeat": "any recorded accesses over and over, whatever recorded them",
    "linting.expected_accesses": "what DAMON will count, by arithmetic over groups and times",
    "linting.apply_clock": "one clock under tuning, by arithmetic; no scenario is asked",
    "linting.initial_placement": "where pages start, by arithmetic; no scheme is asked",
    "memory.populate": "the first placement of pages",
    "remedies.candidates_goals": "what is tried for a cause, of half of the causes",
    "remedies.helps": "whether one run is better than another; nothing is run or changed",
    "remedies.ranking": "an order, from what lint and the lumped loop say",
    "reports.run_section": "one kind of result",
    "reports.sweep_section": "one kind of result",
    "reports.tuning_section": "one kind of result",
    "simulation.checkpoint": "a run as bytes and back",
    "simulation.oracle": "a baseline with a rule of its own",
    "studies.claims_goals": "one claim; another borrows its judgement",
    "sweeps.results": "what points return, as arrays",
    "tuning.margins": "what is said of an answer, once there is one",
    "tuning.measured": "what a run is worth, measured in worker processes",
    "tuning.spread": "workloads and clocks other than assumed; nothing is searched",
    "validate.golden.e2e": "one kind of vector file",
    "validate.golden.e2e_draws": "random numbers as the vectors' generator drew them",
    "validate.golden.unit_numbers": "one kind of vector file",
    "validate.golden.unit_regions": "one kind of vector file",
    "validate.golden.unit_rows": "one kind of vector file",
    "validate.golden.unit_schemes": "one kind of vector file",
    "validate.published.hardware_tiering": "one set of publications",
    "validate.recorded.recorded_causes": "why a model may differ from its recording",
    "verdicts.causes_dynamics": "causes beside the funnel, each with its proof",
    "verdicts.causes_funnel": "causes on a scheme's way to moving pages, each with its proof",
    "verdicts.causes_run": "which causes matter, whatever each of them is",
    "verdicts.judge_loop": "verdicts of loops and placement rules",
    "verdicts.judge_run": "verdicts of page-level runs",
    "verdicts.kinds": "the kind of a page-level run, before any cause",
    "verdicts.causes_loop": "causes in a loop on one number",
    "workload.named": "the cases that ship",
    "workload.tenants": "several workloads on one machine",
    "workload.windows": "groups cut at times, without families",
    "reports.text_chart": "charts of characters, which know nothing of runs",
}
"""Modules that one sibling alone imports, and why they are not a part of it."""


def name_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {name_of(path): path for path in sorted(PACKAGE.rglob("*.py"))}


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imports_of(path: Path) -> set[str]:
    """The package's modules that a file imports: anywhere in it, also for type checkers alone."""
    room = name_of(path) if path.stem == "__init__" else name_of(path).rpartition(".")[0]
    found = set()
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            bases = [alias.name for alias in node.names if alias.name.startswith("tieringmodel.")]
            assert not bases, f"{path}: imports of the package are relative"
        if isinstance(node, ast.ImportFrom):
            assert (node.module or "").partition(".")[0] != "tieringmodel", f"{path}: imports of the package are relative"
            if node.level:
                here = room.split(".") if room else []
                base = ".".join([*here[: len(here) - node.level + 1], *filter(None, [node.module])])
                names = {".".join(filter(None, [base, alias.name])) for alias in node.names}
                found |= {name if name in FILES else base for name in names}
    return found - {name_of(path)}


@pytest.fixture(scope="module")
def imports() -> dict[str, set[str]]:
    """Every module with those that it imports; a door's stub counts as the door."""
    edges = {name: imports_of(path) for name, path in FILES.items()}
    for stub in PACKAGE.rglob("*.pyi"):
        edges[name_of(stub)] |= imports_of(stub)
    return edges


# ---- rooms ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("room", ROOMS)
def test_functions_of_the_front_door_stay_functions_whatever_is_imported_first(room: str) -> None:
    code = (
        "import importlib, inspect, pkgutil, sys\n"
        "room = importlib.import_module('tieringmodel.' + sys.argv[1])\n"
        "for part in pkgutil.walk_packages(getattr(room, '__path__', []), room.__name__ + '.'):\n"
        "    importlib.import_module(part.name)\n"
        "import tieringmodel as tm\n"
        "print([name for name in sys.argv[2:] if not inspect.isroutine(getattr(tm, name))])"
    )
    done = subprocess.run([sys.executable, "-c", code, room, *FUNCTIONS], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_no_room_has_the_name_of_something_else_behind_the_same_door() -> None:
    assert {"compare", "lint", "load", "simulate", "sweep", "verdict"} <= set(FUNCTIONS)
    for door in [PACKAGE / "__init__.pyi", *PACKAGE.glob("*/__init__.pyi")]:
        module = getattr(tm, door.parent.name) if door.parent != PACKAGE else tm
        modules = {m.name for m in pkgutil.iter_modules([str(door.parent)])}
        assert {name for name in module.__all__ if not inspect.ismodule(getattr(module, name))} & modules == set()


def test_opening_the_front_door_loads_nothing_heavy() -> None:
    heavy = ("h5netcdf", "jinja2", "matplotlib", "numba", "numpy", "scipy", "xarray")
    code = f"import sys, tieringmodel; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# ---- floors -----------------------------------------------------------------------------------------------------------


def test_no_imports_go_in_circles(imports: dict[str, set[str]]) -> None:
    left = {name: set(to) for name, to in imports.items()}
    while free := [name for name, to in left.items() if not to & left.keys()]:
        for name in free:
            del left[name]
    # Who only leads into a circle is no part of it.
    while idle := [name for name in left if not any(name in to for to in left.values())]:
        for name in idle:
            del left[name]
    assert {name: sorted(to & left.keys()) for name, to in left.items()} == {}


def test_nobody_imports_from_an_upper_floor(imports: dict[str, set[str]]) -> None:
    rules = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]["contracts"]
    (layers,) = (rule["layers"] for rule in rules if rule["type"] == "layers")
    floor = {room.strip(" ()"): k for k, layer in enumerate(layers) for room in layer.replace("|", ":").split(":")}
    assert set(ROOMS) <= set(floor)
    apart = {k for k, layer in enumerate(layers) if "|" in layer}
    wrong = []
    for name, targets in imports.items():
        for target in filter(None, targets):
            here, there = name.partition(".")[0], target.partition(".")[0]
            if here in floor and here != there:
                below = floor[there] > floor[here] or (floor[there] == floor[here] and floor[here] not in apart)
                wrong += [] if below else [f"{name} imports {target}"]
    assert wrong == []


def test_a_module_for_one_sibling_alone_has_a_reason(imports: dict[str, set[str]]) -> None:
    users = {name: [user for user, to in imports.items() if name in to] for name in FILES}
    beside = {name: by[0] for name, by in users.items() if len(by) == 1 and FILES[name].stem != "__init__"}
    alone = {name for name, by in beside.items() if by and by.rpartition(".")[0] == name.rpartition(".")[0]}
    assert alone - set(STANDS_ALONE) == set(), "fold it into its sibling, or say in STANDS_ALONE why not"
    assert set(STANDS_ALONE) - alone == set(), "no longer for one sibling alone"


# ---- names and sizes --------------------------------------------------------------------------------------------------


def test_names_say_what_they_are() -> None:
    classes = {node.name for path in FILES.values() for node in ast.walk(tree_of(path)) if isinstance(node, ast.ClassDef)}
    assert ({part for name in FILES for part in name.split(".")} | classes) & UNTOLD == set()


def test_modules_are_short_and_laid_out_by_the_formatter() -> None:
    sources = {name: path.read_text(encoding="utf-8") for name, path in FILES.items()}
    lines = {name: len(text.splitlines()) for name, text in sources.items()}
    assert {name: n for name, n in lines.items() if n > 500} == {}
    assert statistics.median(lines.values()) <= 160
    assert sum(text.count("# fmt: " + "skip") for text in sources.values()) <= 60


def test_no_function_takes_more_than_twelve_positional_arguments() -> None:
    long = []
    for name, path in FILES.items():
        for node in ast.walk(tree_of(path)):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
                given = [a.arg for a in (*node.args.posonlyargs, *node.args.args) if a.arg not in ("self", "cls")]
                if len(given) > 12 and not name.startswith("kernels"):
                    long.append(f"{name}: {getattr(node, 'name', 'lambda')} takes {len(given)}")
    assert long == []
