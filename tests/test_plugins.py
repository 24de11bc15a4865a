"""Parts of one's own are registered by name, travel to other processes and to the command line, or are refused before."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import tieringmodel as tm
from tieringmodel import plugins
from tieringmodel.linting import RULES
from tieringmodel.sweeps import own

PLUGIN = """
import tieringmodel as tm

def halting(score, esz_bp):
    return 0 if score >= 10_000 else 10_000 * (4 << 20)

def idle(view, goal):
    return 2500

tm.register_tuner("halting", halting)
tm.register_metric("idle_bp", idle)
tm.register_policy("half the quota", lambda scenario: scenario.set("schemes.*.quota.sz_bytes", "512 KiB"))

@tm.lint_rule
def says_hello(scenario):
    \"\"\"Everybody.\"\"\"
    yield tm.Finding("hello", "info", "contexts", "hello")
"""
DESIGN = {"schemes.*.quota.sz_bytes": ["1 MiB", "4 MiB"]}


@pytest.fixture
def plugin(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "mine.py"
    path.write_text(PLUGIN)
    yield path
    tm.unregister_tuner("halting")
    tm.unregister_policy("half the quota")
    tm.unregister_metric("idle_bp")
    RULES.pop("says_hello", None)
    plugins._loaded.clear()


def test_a_tuner_of_ones_own_that_does_what_temporal_does_runs_as_it_does(plugin: Path) -> None:
    tm.load_plugin(plugin)
    tm.load_plugin(plugin)  # once
    scenario = tm.load("rfc-40-60").set("schemes.*.quota.sz_bytes", "4 MiB")
    runs = [tm.simulate(scenario.set("schemes.*.quota.goal_tuner", t), duration="4 s", seed=1) for t in ("temporal", "halting")]
    assert int(runs[0]["migrated_pages"].sum()) > 0
    for name in ("node_pages", "used_pages", "migrated_pages", "esz_bytes", "nr_applied"):
        if name in runs[0]:
            np.testing.assert_array_equal(runs[0][name], runs[1][name])
    loops = [tm.loop.run(t, 4000, 100_000, 0, cap_bytes=4 << 20, delay=1, noise_bp=30, seed=3) for t in ("temporal", "halting")]
    for name in ("pages", "moved", "leaked", "measured", "score"):
        np.testing.assert_array_equal(loops[0][name], loops[1][name])


def test_what_a_scenario_names_travels_to_processes(plugin: Path) -> None:
    tm.load_plugin(plugin)
    scenario = tm.load("rfc-40-60").set("schemes.*.quota.goal_tuner", "halting")
    there, here = (
        tm.sweep(scenario, DESIGN, duration="2 s", executor=where, workers=workers)
        for where, workers in (("processes", 2), ("serial", None))
    )
    xr.testing.assert_identical(there, here)


def test_what_cannot_travel_is_refused_before_the_first_point(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cloudpickle", None)
    tm.register_tuner("here", lambda score, esz_bp: 0)
    try:
        scenario = tm.load("rfc-40-60").set("schemes.*.quota.goal_tuner", "here")
        with pytest.raises(tm.InputError, match="tuner 'here': cannot be sent to a worker process"):
            tm.sweep(scenario, DESIGN, duration="2 s", executor="processes")
        assert own.packed(['"consist"']) == own.Brought()
    finally:
        tm.unregister_tuner("here")


def test_policies_rules_and_the_command_line(plugin: Path) -> None:
    with pytest.raises(tm.InputError, match="'halting' is unknown"):
        tm.Quota(goal_tuner="halting")
    tm.load_plugin(plugin)
    made = tm.policies(tm.load("rfc-40-60"))["half the quota"].scenario
    assert [s.quota.sz_bytes for s in made.contexts[0].schemes] == [512 << 10, 512 << 10]
    assert "hello" in {f.code for f in tm.lint(tm.load("rfc-40-60"))}
    line = [sys.executable, "-m", "tieringmodel", "lint", "rfc-40-60", "--plugin", str(plugin)]
    done = subprocess.run([*line, "--set", "schemes.*.quota.goal_tuner=halting"], capture_output=True, text=True, check=False)
    assert "[hello]" in done.stdout, done.stderr


@pytest.mark.parametrize(
    ("text", "said"), [("x =", "fails while it is imported: SyntaxError"), ("import nowhere_at_all", "ModuleNotFoundError")]
)
def test_a_plugin_that_fails_says_so(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "bad.py").write_text(text)
    with pytest.raises(tm.InputError, match=said):
        tm.load_plugin(tmp_path / "bad.py")
    for name in (tmp_path / "none.py", "nowhere_at_all"):
        with pytest.raises(tm.InputError, match=r"does not exist|is no module"):
            tm.load_plugin(name)


def test_wildcards_reach_every_place_and_nothing_twice() -> None:
    scenario = tm.load("rfc-40-60")
    assert [s.quota.ms for s in scenario.set({"schemes.0.quota.ms": 3, "schemes.1.quota.ms": 4}).contexts[0].schemes] == [3, 4]
    event = tm.Event("1 s", "schemes.*.quota.sz_bytes", "1 MiB")
    assert [e.path for e in scenario.replace(events=(event,)).events] == [
        f"contexts.0.schemes.{i}.quota.sz_bytes" for i in range(2)
    ]
    for path, said in (
        ("schemes.*.quota.sz_byts", "did you mean 'sz_bytes'"),
        ("machine.*.x", "no list is"),
        ("contexts.3.schemes.*.quota.ms", "names nothing"),
    ):
        with pytest.raises(tm.InputError, match=said):
            scenario.set(path, 1)
    with pytest.raises(tm.InputError, match="which another path changes, too"):
        scenario.set({"schemes.*.quota.ms": 3, "contexts.0.schemes.1.quota.ms": 4})
    axes = {"quota": "schemes.*.quota.sz_bytes"}
    ds = tm.sweep(scenario, DESIGN, axes=axes, duration="1 s", measure=lambda ds: {"n": int(ds["time"].size)})
    assert ds["quota"].dims == ("quota",)
    assert ds["quota"].values.tolist() == [1 << 20, 4 << 20]
    with pytest.raises(tm.InputError, match="no axis changes"):
        tm.sweep(scenario, DESIGN, axes={"q": "machine.hz"}, duration="1 s")
