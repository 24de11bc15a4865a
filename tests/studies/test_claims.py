"""The four claims: every number agrees with its theory, and the answers follow from the runs."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tieringmodel import InputError
from tieringmodel.studies import claims_clamp, claims_goals, claims_weights
from tieringmodel.studies.rfc_claims import NAMES, Case, Claim, Evidence, answer, claim, claims


@pytest.fixture(scope="module")
def found() -> dict[str, Claim]:
    return {c.name: c for c in claims()}


def case(condition: str, holds: bool) -> Case:
    return Case("setting", condition, holds, "outcome", np.zeros(2), np.zeros(1), 4000.0)


@pytest.mark.parametrize("name", NAMES)
def test_runs_and_theory_agree(found, name):
    assert [str(e) for e in found[name].evidence if not e.agrees] == []
    assert len(found[name].evidence) >= 9


def test_each_claim_holds_under_conditions_only(found):
    assert {name: c.answer.split()[0:2] for name, c in found.items()} == {name: ["holds", "if"] for name in NAMES}


def test_which_rules_never_settle(found):
    ds = found["i"].dataset
    outcome = dict(zip(ds["setting"].values.tolist(), ds["holds"].values.tolist(), strict=True))
    assert not outcome.pop("last: highest frames go")
    assert not outcome.pop("frame hash, fresh frames")
    assert not outcome.pop("push only")
    assert len(outcome) == 6
    assert all(outcome.values())


def test_vma_offsets_always_rest_but_not_always_at_the_ratio(found):
    ds = found["ii"].dataset
    assert ds["moved_share"].values[:, 1:].sum() == 0
    assert not ds["holds"].sel(setting="the RFC's 5 pages, {40,60}")
    assert ds["holds"].sel(setting="the RFC's 5 pages, {2,3}")
    assert ds["share_bp"].sel(setting="the RFC's 5 pages, {40,60}").values[-1] == 10_000


def test_every_departure_breaks_the_goal_and_names_its_condition(found):
    ds = found["iii"].dataset
    assert ds["holds"].values.tolist() == [True, True] + [False] * 8
    for condition in ("receiving node", "data and not frames", "stops the scheme", "caps each window", "not lag",
                      "no noise", "stands still", "below the goal"):  # fmt: skip
        assert condition in found["iii"].answer


def test_the_clamp_needs_tuner_reach_and_gap(found):
    ds = found["iv"].dataset
    by_name = dict(zip(ds["setting"].values.tolist(), ds["holds"].values.tolist(), strict=True))
    assert [name for name, holds in by_name.items() if holds] == [
        "CONSIST, clamped to what fits", "TEMPORAL, clamped to what fits", "pair, goals + clamp + gap",
    ]  # fmt: skip
    # Published anchor: the quota of the crossing stays, 639620698 B.
    assert ds["esz_bytes"].sel(setting="CONSIST, clamped to what fits").values[-1] == 639_620_698


def test_the_dataset_says_what_it_holds(found):
    for c in found.values():
        assert c.dataset.attrs["kind"] == "claim"
        assert all({"long_name", "units", "source"} <= set(c.dataset[v].attrs) for v in c.dataset.data_vars)
        # A setting's edges are one more than its windows, its share the accumulated result of its moves.
        assert c.dataset.sizes["edge"] == c.dataset.sizes["window"] + 1


def test_a_claim_prints_as_a_paragraph(found):
    text = str(found["iii"])
    assert text.startswith("(iii) A goal in basis points")
    assert "Answer: holds if the goal is on the receiving node;" in text
    assert "  - TEMPORAL with a cap of 2 %, windows until nothing moves: 30 (theory 30)" in text


def test_another_run_gives_another_answer(monkeypatch):
    # With a quota as narrow as the noise is wide nothing else changes, so a claim without its failing cases holds.
    monkeypatch.setattr(claims_goals, "NOISE_BP", 1)
    monkeypatch.setattr(claims_goals, "CAP_PAGES", 1000)
    changed = claims_goals.claim_iii()
    assert "no noise" not in changed.answer
    assert all(e.agrees for e in changed.evidence)


def test_other_weights_keep_their_theory(monkeypatch):
    monkeypatch.setattr(claims_weights, "WEIGHTS", (30, 70))
    assert [str(e) for e in claims_weights.claim_i().evidence if not e.agrees] == []


def test_the_pair_without_gap_moves_a_cap_per_window_whatever_the_cap(monkeypatch):
    monkeypatch.setattr(claims_clamp, "PAIR_CAP_PAGES", 11_000)
    assert [str(e) for e in claims_clamp.claim_iv().evidence if not e.agrees] == []


def test_answers_of_alternatives():
    assert answer([case("a", True), case("b", True)], departures=False) == "holds"
    assert answer([case("a", False)], departures=False) == "fails"
    assert answer([case("a", True), case("b", False), case("c", True)], departures=False) == "holds if a or c"


def test_answers_of_departures():
    base = case("", True)
    assert answer([base, case("a", True)], departures=True) == "holds"
    assert answer([base, case("a", False), case("b", False), case("a", False)], departures=True) == "holds if a and b"
    assert answer([case("", False), case("a", True)], departures=True) == "fails"
    with pytest.raises(InputError, match="empty"):
        answer([], departures=True)


@given(st.lists(st.booleans(), min_size=1), st.booleans())
def test_an_answer_never_hides_a_failing_case(holds, departures):
    text = answer([case(f"c{k}", h) for k, h in enumerate(holds)], departures=departures)
    assert (text == "holds") == all(holds)
    assert (text == "fails") == (not any(holds) or (departures and not holds[0]))


def test_evidence_beyond_its_tolerance_is_reported():
    near = Evidence("x", 1.0, 1.1, 0.2, "bp")
    assert near.agrees
    assert str(near) == "x: 1 bp (theory 1.1 ± 0.2)"
    assert not Evidence("x", 3, 4).agrees
    assert not Evidence("x", math.nan, 4, 9).agrees


def test_the_noise_chain_without_noise_is_the_plain_stop(monkeypatch):
    # A thousandth of a basis point never reads as anything but the truth.
    monkeypatch.setattr(claims_goals, "NOISE_BP", 1e-3)
    assert claims_goals.ratchet_end_bp() == (6000.0, 0.0)
    # Too few windows: one cap of 200 bp in each.
    assert claims_goals.ratchet_end_bp(windows=7) == (1400.0, 0.0)


@pytest.mark.parametrize("name", ["v", "", 1, None])
def test_an_unknown_claim_is_refused(name):
    with pytest.raises(InputError, match="use one of i, ii, iii, iv"):
        claim(name)
