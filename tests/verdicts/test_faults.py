"""Every cause code is proven by a run that has the fault, and not said of the same run without it."""

from __future__ import annotations

import numpy as np
import pytest
import said
from faults import Fault, faults, run

import tieringmodel as tm
from tieringmodel.verdicts.record import KINDS, Verdict

FAULTS = faults()


def codes(found: Verdict) -> list[str]:
    return [cause.code for cause in found.causes]


@pytest.mark.parametrize("code", FAULTS)
def test_a_fault_is_named_with_its_evidence(code: str) -> None:
    fault: Fault = FAULTS[code]
    found = tm.verdict(run(code, "broken"))
    assert found.kind in fault.kinds, found.text
    assert codes(found)[0] == code if fault.first else code in codes(found), found.text
    cause = next(cause for cause in found.causes if cause.code == code)
    assert cause.evidence
    assert cause.text[1:] in found.text or not fault.first


@pytest.mark.parametrize("code", FAULTS)
def test_a_fault_that_is_not_there_is_not_named(code: str) -> None:
    assert code not in codes(tm.verdict(run(code, "sound")))


@pytest.mark.parametrize("code", FAULTS)
def test_what_is_said_agrees_with_the_dataset(code: str) -> None:
    for what in ("broken", "sound"):
        ds = run(code, what)
        found = tm.verdict(ds)
        moved = ds["migrated_pages"].values + (ds["reclaimed_pages"].values if "reclaimed_pages" in ds else 0)
        at = np.flatnonzero(moved)
        assert found.last_move_s == (float(ds["time"].values[at[-1]]) if at.size else None)
        assert found.kind in KINDS
        said = found.to_dict()
        assert set(said) >= {
            "kind", "text", "causes", "goals", "funnel", "hot_share_bp", "settling_s", "last_move_s", "residual_mib_s", "fix",
            "thresholds", "seeds",
        }  # fmt: skip
        assert ("for ever" in found.text) <= (found.kind in ("limit-cycle", "ripple", "steady-flow"))
        assert all(cause.evidence for cause in found.causes if cause.code != "unexplained")
        assert len(found.funnel) == ds.sizes["scheme"]


@pytest.mark.parametrize("code", FAULTS)
def test_a_verdict_is_not_reversed_by_running_longer(code: str) -> None:
    """A shorter run is the beginning of a longer one: what was said of it, if not "unfinished", is said of that, too."""
    ds = run(code, "broken")
    time = ds["time"].values
    said = []
    for share in (0.3, 0.5, 0.7, 0.85, 1.0):
        part = ds.isel(time=slice(0, int(np.searchsorted(time, share * time[-1] + 1e-9))))
        if part.sizes["time"] > 2:
            said.append(tm.verdict(part).kind)
    kinds = [kind for kind in said if kind != "unfinished"]
    assert len(set(kinds)) <= 1, said


def test_names_of_policies_decide_nothing() -> None:
    ds = run("redraw", "broken")
    for name in ("without oracle", "weights: vma_offset", "x"):
        assert tm.verdict(ds.assign_attrs(name=name, title=name)).to_dict() == tm.verdict(ds).to_dict()


def test_older_datasets_without_the_counters_are_judged_and_nothing_unproven_is_said() -> None:
    new = ("nr_due", "nr_inactive", "nr_restarted", "top_rate", "top_age", "held_windows", "full_windows", "quota_bound")
    for code in FAULTS:
        ds = run(code, "broken")
        old = ds.drop_vars(
            [
                n
                for n in ds.data_vars
                if str(n).startswith(("sz_but", "sz_m", "sz_r", "sz_th", "sz_y", "sz_f", "sz_n", "sz_e", "sz_d"))
            ]
        )
        old = old.drop_vars([n for n in (*new, "rejected_bytes", "undone_pages", "asleep_us") if n in old])
        found = tm.verdict(old)
        assert found.kind in KINDS
        assert not {"apply-starved", "nothing-matches", "young-first-pass", "destination-full"} & set(codes(found))


def test_thresholds_are_arguments_and_stand_in_the_result() -> None:
    ds = run("step-over", "broken")
    assert tm.verdict(ds).kind == "wrong-point"
    wide = tm.verdict(ds, band_bp=3000)
    assert wide.thresholds["band_bp"] == 3000
    assert tm.verdict(ds).thresholds["band_bp"] == 200
    with pytest.raises(tm.InputError, match="band_bq"):
        tm.verdict(ds, band_bq=1.0)
    with pytest.raises(tm.InputError, match="band_bp"):
        tm.verdict(ds, band_bp=0)


@pytest.mark.parametrize("code", FAULTS)
def test_every_word_and_number_is_what_it_was(code: str) -> None:
    assert said.of_fault(code) == said.recorded("runs")[code], "python tests/said.py says what has changed"


@pytest.mark.parametrize("code", FAULTS)
def test_every_variable_of_a_run_is_what_it_was(code: str) -> None:
    """A change belongs under "Numerical changes" in the changelog."""
    assert said.of_results(code) == said.recorded("results")[code], "python tests/said.py says what has changed"
