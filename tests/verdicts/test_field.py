"""Public cases: what may and may not be said of a run, by people who know what happens in it."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import pytest

import tieringmodel as tm

FIELD = Path(__file__).parents[2] / "data" / "field"
CASES = ("06-hot-rate-50", "08-howto-40s", "13-reclaim-at-boot", "17-pressure-goal", "19-rfc-120s", "24-free-goal-easy")
"""The quick ones; all of them in ``.ci/full verdicts``."""


@pytest.fixture(scope="module")
def check() -> ModuleType:
    spec = importlib.util.spec_from_file_location("field_check", FIELD.parents[1] / "tools" / "field_check.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", CASES)
def test_a_public_case_is_judged_right(name: str, check: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expect = json.loads((FIELD / name / "expect.json").read_text(encoding="utf-8"))
    ds = tm.simulate(tm.load(FIELD / name / "scenario.toml"), duration=expect["duration"], seed=expect["seed"], progress=False)
    ds.to_netcdf(tmp_path / "run.nc", engine="h5netcdf")
    found = tm.verdict(ds)
    monkeypatch.setattr(check, "paragraph", lambda _: (str(found), ""))
    said = {"file": str(tmp_path / "run.nc"), "verdict": found.to_dict(), "migrated_pages": int(ds["migrated_pages"].sum())}
    assert check.judge(json.loads(json.dumps(said)), expect) == []
    facts = check.facts_of(tmp_path / "run.nc")
    assert [w for k, bounds in expect["facts"].items() if (w := check.outside(k, facts.get(k), bounds))] == []


def test_a_false_verdict_is_noticed(check: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """The check itself can fail: a wrong kind, a false cause, a forbidden sentence."""
    expect = json.loads((FIELD / CASES[1] / "expect.json").read_text(encoding="utf-8"))
    monkeypatch.setattr(check, "paragraph", lambda _: ("12 MiB/s for ever", ""))
    monkeypatch.setattr(check, "consistent", lambda *_: [])
    cause = {"code": "opposing-schemes", "scheme": 0, "text": "they undo each other", "evidence": {"x": 1}}
    wrong = check.judge(
        {"file": "x", "verdict": {"kind": "limit-cycle", "text": "12 MiB/s for ever", "causes": [cause]}}, expect
    )
    for complaint in ("kind limit-cycle", "cause opposing-schemes is false", "says "):
        assert any(complaint in w for w in wrong), wrong
