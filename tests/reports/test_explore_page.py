"""The page with sliders starts from the user's scenario, and knows where its numbers stand in the damo line."""

from __future__ import annotations

from pathlib import Path

import pytest

import tieringmodel as tm
from tieringmodel import cli
from tieringmodel.interop.load import Loaded
from tieringmodel.reports.explore_page import page_facts


def test_the_sliders_start_from_the_scheme_whose_goal_is_missed() -> None:
    facts = page_facts(Loaded(tm.load("rfc-40-60")))
    now = {k["name"]: k["steps"][k["at"]]["value"] for k in facts["knobs"]}
    scheme = tm.load("rfc-40-60").contexts[0].schemes[1]
    assert (now["target_bp"], now["start_bp"], now["hot_mib"]) == (6000, 0, 256)
    assert now["quota_mib"] == scheme.quota.sz_bytes / (1 << 20)
    assert facts["tuner"] == scheme.quota.goal_tuner
    words, places = facts["words"], facts["places"]
    assert [words[places[name]] for name in ("quota", "interval", "target", "tuner")] == [
        str(scheme.quota.sz_bytes), "1000", "6000", "temporal",
    ]  # fmt: skip


def test_what_damo_cannot_say_is_said_instead() -> None:
    several = (tm.Filter("anon"), tm.Filter("young"))
    assert "cannot be written (" in page_facts(Loaded(tm.load("rfc-40-60").set("schemes.1.filters", several)))["why"]
    assert "drops the node" in page_facts(Loaded(tm.load("rfc-40-60")))["why"]
    idle = tm.load("rfc-40-60").replace(contexts=())
    assert "no scheme that moves pages" in page_facts(Loaded(idle))["why"]


def test_the_page_needs_nothing_beside_itself(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name = "</script><b>x"
    (tmp_path / "x.toml").write_text(tm.load("rfc-40-60").replace(name=name).to_toml(), encoding="utf-8")
    assert cli.main(["explore", str(tmp_path / "x.toml"), "-o", str(tmp_path / "e.html")]) == 0
    text = (tmp_path / "e.html").read_text(encoding="utf-8")
    assert "<b>x" not in text
    assert text.count("<script") == 2
    assert "http" not in text.replace("http-equiv", "")
    assert cli.main(["explore", "-o", str(tmp_path)]) == 2
    assert "is a folder" in capsys.readouterr().err


def test_the_page_says_whose_loop_it_shows(tmp_path: Path) -> None:
    assert cli.main(["explore", "rfc-40-60", "-o", str(tmp_path / "e.html")]) == 0
    text = (tmp_path / "e.html").read_text(encoding="utf-8")
    assert "contexts[0].schemes[1]: migrate_hot for node_eligible_mem_bp of node 1 alone; 1 more in the scenario" in text
