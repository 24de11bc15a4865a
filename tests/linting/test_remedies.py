"""Every remedy that is a change: made, the finding is gone, and a run shows that what it complained about changed."""

from __future__ import annotations

import ast
import json
import re
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from lint_cases import HOT
from remedy_cases import CASES, ELSEWHERE, PROSE, REFUSED, WITHOUT, Case

import tieringmodel as tm
from tieringmodel.errors import InputError
from tieringmodel.linting import Finding, lint
from tieringmodel.linting.concerning import CONCERNS, concerning
from tieringmodel.scenario.paths import normal, read_path

if TYPE_CHECKING:
    import xarray as xr

RULES = sorted((Path(tm.__file__).parent / "linting" / "rules").glob("*.py"))
NO_CODES = {"memcg-used"}
"""Words with a hyphen in the rules that are no codes."""


def codes_of_the_rules() -> set[str]:
    """Return every constant of the rules' source that can be a code."""
    constants = (n.value for p in RULES for n in ast.walk(ast.parse(p.read_text("utf-8"))) if isinstance(n, ast.Constant))
    texts = {c for c in constants if isinstance(c, str)}
    return {t for t in texts if re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)+", t)} - NO_CODES


CODES = codes_of_the_rules()


def test_every_code_has_a_case_or_a_reason():
    have = {case.code for case in CASES}
    lists = [have, PROSE.keys(), ELSEWHERE.keys(), WITHOUT.keys()]
    assert set().union(*lists) == CODES
    assert sum(map(len, lists)) == len(CODES)  # one reason each


def test_what_is_repeated_after_a_run_are_codes_that_exist():
    assert {code for codes in CONCERNS.values() for code in codes} <= CODES


@cache
def dataset_of(case: Case) -> xr.Dataset | None:
    """Return what the case's scenario does; None where the run is refused."""
    try:
        return tm.simulate(case.scenario, duration=f"{case.seconds} s", seed=1)
    except InputError:
        return None


def finding_of(case: Case) -> Finding:
    findings = [f for f in lint(case.scenario) if f.code == case.code]
    assert findings, case.code
    return findings[0]


@pytest.mark.parametrize("case", CASES, ids=[f"{k}-{case.code}" for k, case in enumerate(CASES)])
def test_a_remedy_changes_what_the_finding_complains_about(case):
    finding = finding_of(case)
    assert finding.remedy
    assert finding.changes
    changed = finding.applied_to(case.scenario)
    after = lint(changed)
    assert (finding.code, finding.path) not in {(f.code, f.path) for f in after}
    errors = {(f.code, f.path) for f in lint(case.scenario) if f.level == "error"}
    assert {(f.code, f.path) for f in after if f.level == "error"} <= errors
    ds = dataset_of(case)
    before = REFUSED if ds is None else case.read(ds)
    then = case.read(tm.simulate(changed, duration=f"{case.seconds} s", seed=1))
    assert case.changed(before, then), (before, then)


@pytest.mark.parametrize("case", CASES, ids=[f"{k}-{case.code}" for k, case in enumerate(CASES)])
def test_changes_are_plain_and_lead_somewhere(case):
    for change in finding_of(case).changes:
        assert change.keys() == {"path", "value"}
        assert normal(change["path"]) == change["path"]
        read_path(case.scenario, change["path"])
    assert json.loads(json.dumps(asdict(finding_of(case))))["code"] == case.code
    hash(finding_of(case))


# ---- what a run says about errors ---------------------------------------------------------------------------------


def still(name: str) -> Any:
    return lambda ds, k: float(ds[name].values[-1, k]) == 0


def constant(ds: Any, k: int) -> bool:
    mine = np.flatnonzero(ds["goal_scheme"].values == k)
    read = ds["resets"].values[:, k] > 0
    return all(np.ptp(ds["goal_current"].values[read, j].astype(float)) == 0 for j in mine)


def missed(ds: Any, k: int) -> bool:
    mine = np.flatnonzero(ds["goal_scheme"].values == k)
    return all(ds["goal_current"].values[-1, j] < ds["goal_target"].values[-1, j] for j in mine)


CLAIMS: dict[str, Any] = {
    "apply-starved": still("nr_due"),
    "watermarks-inactive": still("nr_due"),
    "empty-pattern": still("sz_matched"),
    "quota-below-region": still("sz_tried"),
    "target-node": lambda ds, k: still("sz_applied")(ds, k) or int(ds["class_pages"].values[-1, 0].sum()) == HOT,
    "dests-weights-zero": still("sz_applied"),
    "source-is-target": still("sz_applied"),
    "goal-on-source": missed,
    "memcg-unknown": constant,
    "metric-unsupported": constant,
    "literal-metric": constant,
    "goal-without-effect": constant,
    "goal-of-another-cgroup": constant,
    "target-above-capacity": missed,
    "targets-overlap": lambda ds, _: float(ds["migrated_pages"].values[ds["time"].values > 25].sum()) > 0,
    "opposing-schemes": lambda ds, _: float(ds["undone_pages"].sum()) > 0,
    "no-reset-interval": lambda ds, k: int(ds["resets"].values[-1, k]) == 1,
    "esz0-bypass": lambda ds, k: bool((ds["esz_bytes"].values[:, k] == 0).any() and ds["migrated_pages"].values.sum() > 5000),
}
"""What an error says about its scheme, as a run has it."""


@pytest.mark.parametrize("case", CASES, ids=[f"{k}-{case.code}" for k, case in enumerate(CASES)])
def test_no_error_says_what_the_run_disproves(case):
    ds = dataset_of(case)
    for finding in (f for f in lint(case.scenario) if f.level == "error"):
        if ds is None:
            assert "will be refused" in finding.message
            continue
        place = re.match(r"contexts\[(\d+)\]\.schemes\[(\d+)\]", finding.path)
        assert place, finding.path
        k = sum(len(c.schemes) for c in case.scenario.contexts[: int(place[1])]) + int(place[2])
        assert CLAIMS[finding.code](ds, k), finding


@pytest.mark.parametrize(
    "code",
    "apply-starved young-first-pass watermarks-inactive empty-pattern quota-below-region pattern-matches-nothing "
    "goal-on-source literal-metric targets-overlap targets-no-gap windup-under-cap no-cap target-above-supply".split(),
)
def test_a_run_repeats_what_lint_had_said_of_its_causes(code):
    case = next(case for case in CASES if case.code == code)
    findings = lint(case.scenario)
    causes = [cause.code for cause in tm.verdict(dataset_of(case)).causes]
    repeated = concerning(findings, causes)
    assert code in {f.code for f in repeated}
    assert all(f.level != "info" for f in repeated)
    assert concerning(findings, ["drift", "unexplained"]) == []
