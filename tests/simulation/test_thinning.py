"""A run whose records are too many keeps the last of each interval: counts stay exact, and nothing else of the run changes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small import pull, push, scenario

import tieringmodel as tm
from tieringmodel.errors import InputError
from tieringmodel.memory import need
from tieringmodel.simulation import records, returns
from tieringmodel.simulation.records import last_of_each
from tieringmodel.simulation.running import Running

SINCE_THE_START = (
    "migrated_in_pages",
    "alloc_failed",
    "nr_tried",
    "sz_applied",
    "nr_due",
    "sz_matched",
    "resets",
    "qt_exceeds",
)
SINCE_THE_LAST = ("migrated_pages", "returns")
SC = scenario(pull(6000), push(4000))
COUPLED = SC.replace(
    machine=SC.machine.replace(performance={"preset": "turin-cxl"}),
    workload=SC.workload.replace(demand={"threads": 4, "outstanding": 8}),
)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Room for 64 rows, and for few moves."""
    monkeypatch.setattr(records, "MOST_BYTES", 1)
    monkeypatch.setattr(returns, "MOVES", 500)
    monkeypatch.setattr(returns, "RECORDS", 20)


def same_counts(thin: Any, full: Any) -> None:
    at = np.searchsorted(full["time"].values, thin["time"].values)
    assert thin["time"].values.tolist() == full["time"].values[at].tolist()
    for name in thin.data_vars:
        got, all_of_them = thin[name].values, full[name].values
        if name in SINCE_THE_LAST:
            edges = np.concatenate(([0], at[:-1] + 1))
            np.testing.assert_array_equal(got, np.add.reduceat(all_of_them, edges), err_msg=name)
        elif "time" in thin[name].dims:
            np.testing.assert_array_equal(got, all_of_them[at], err_msg=name)
        else:
            np.testing.assert_array_equal(got, all_of_them, err_msg=name)


def test_the_last_of_each_interval_stays_and_an_interval_holds_its_end() -> None:
    time_s = np.array([0.0, 0.1, 0.9, 1.0, 1.1, 2.0, 2.5])
    assert last_of_each(10**9, time_s).tolist() == [0, 3, 5, 6]
    assert last_of_each(0, time_s).tolist() == list(range(7))
    assert last_of_each(3 * 10**9, time_s[last_of_each(10**9, time_s)]).tolist() == [0, 3]


@pytest.mark.parametrize("sc", [SC, COUPLED, SC.replace(contexts=())], ids=["two schemes", "coupled", "no context"])
def test_what_is_kept_is_what_the_full_run_has_there(sc: tm.Scenario, small: None, monkeypatch: pytest.MonkeyPatch) -> None:
    duration = 20.0 if sc.contexts else 200.0
    thin = tm.simulate(sc, duration=duration, seed=5)
    monkeypatch.undo()
    full = tm.simulate(sc, duration=duration, seed=5)
    assert full.sizes["time"] > 150 > 64 >= thin.sizes["time"]
    assert "every_s" not in full.attrs
    assert thin.attrs["every_s"] / thin.attrs["window_s"] in (1, 3, 9)
    assert (np.diff(np.ceil(thin["time"].values / thin.attrs["every_s"] - 1e-9)) == 1).all()
    assert int(thin["returns"].sum()) > 1000 * bool(sc.contexts) - 1
    same_counts(thin, full)


def test_every_asked_for_is_kept_to_and_told(small: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    thin, full = (tm.simulate(SC, duration="20 s", seed=5, every=every) for every in ("1.5 s", None))
    assert thin["time"].values.round(1).tolist()[:3] == [0.0, 1.5, 3.0]
    assert thin.attrs["every_s"] == json.loads(thin.attrs["parameters"])["every_s"] == 1.5
    assert "every_s" not in json.loads(full.attrs["parameters"])
    same_counts(thin, full)


def test_a_thinned_run_resumed_anywhere_is_the_same(small: None, tmp_path: Path) -> None:
    whole = tm.simulate(SC, duration="20 s", seed=5)
    from tieringmodel.simulation import checkpoint

    loads: list[int] = []
    save, kept = checkpoint.save, []

    def keep(path: Any, engine: Any, recorder: Any) -> Path:
        kept.append(Path(save(path, engine, recorder)).read_bytes())
        return Path(path)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpoint, "save", keep)
        again = tm.simulate(SC, duration="20 s", seed=5, checkpoint=tmp_path / "a", checkpoint_s=0.0)
    assert again.identical(whole)
    assert max(map(len, kept)) < 2 * min(map(len, kept[10:]))  # rows and moves in it are bounded as well
    for at in (11, 37, 80):
        (tmp_path / "b").write_bytes(kept[at])
        loads.append(at)
        assert tm.simulate(SC, duration="20 s", seed=5, checkpoint=tmp_path / "b").identical(whole)
    assert len(loads) == 3


def test_a_run_looked_at_on_the_way_is_thinned_as_one_of_that_length(small: None) -> None:
    lengths_s = (5.0, 9.3, 20.0)
    run = Running(SC, seed=5, lengths_us=[round(s * 1e6) for s in lengths_s])
    for length_s in lengths_s:
        assert run.to(round(length_s * 1e6)).identical(tm.simulate(SC, duration=length_s, seed=5)), length_s
    run.close()


def test_region_snapshots_are_bounded_too(monkeypatch: pytest.MonkeyPatch) -> None:
    full = tm.simulate(SC, duration="4 s", seed=5, snapshots=40)
    monkeypatch.setattr("tieringmodel.simulation.recorder.SNAPSHOT_BYTES", 20_000)
    few = tm.simulate(SC, duration="4 s", seed=5, snapshots=40)
    assert 3 <= few.sizes["snapshot"] <= full.sizes["snapshot"] // 2
    assert set(few["snapshot_time"].values) < set(full["snapshot_time"].values)
    assert np.unique(np.diff(few["snapshot_time"].values).round(3)).size == 1


def test_records_count_in_what_a_run_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(need.LIMIT, str(need.FIXED_BYTES + (24 << 20)))
    tm.simulate(SC, duration="60 s", seed=5)
    with pytest.raises(InputError, match=r"duration: .* records of it .* \(--every\)"):
        tm.simulate(SC, duration="6000 s", seed=5)
    assert tm.simulate(SC, duration="300 s", seed=5, every="10 s").sizes["time"] == 31


def test_moves_of_the_last_windows_that_do_not_fit_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(returns, "MOVES", 500)
    monkeypatch.setattr(returns, "CHECKED_FROM", 1)
    monkeypatch.setenv(need.LIMIT, "1")
    of = returns.Returns(1.0, 2)
    with pytest.raises(InputError, match="log_moves: the moves of 32 windows take"):
        of.add(np.arange(501, dtype=np.uint64), 0, 1.0, 0)
