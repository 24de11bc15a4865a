"""Every code that can be said is explained, and the page of the documentation is what the table says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import tieringmodel as tm
from tieringmodel.verdicts.explained import CAUSES, KIND_MEANS, explain, page
from tieringmodel.verdicts.record import KINDS

ROOT = Path(__file__).parents[2]


def test_every_code_in_the_judge_is_explained() -> None:
    said = set()
    for file in (ROOT / "tieringmodel" / "verdicts").glob("causes_*.py"):
        text = file.read_text(encoding="utf-8")
        said |= set(re.findall(r'Cause\(\s*"([a-z-]+)"', text)) | set(re.findall(r'code="([a-z-]+)"', text))
        said |= set(re.findall(r'": "([a-z]+-rule|redraw)"', text))
    assert len(said) > 25
    assert said <= set(CAUSES)
    assert tuple(KIND_MEANS) == KINDS


def test_the_page_of_the_documentation_is_generated() -> None:
    assert (ROOT / "docs" / "verdicts.md").read_text(encoding="utf-8") == page()


def test_a_code_is_explained_and_an_unknown_one_gets_the_nearest() -> None:
    assert "nr_restarted" in explain("apply-starved")
    assert explain("ripple").startswith("ripple (kind)")
    with pytest.raises(tm.InputError, match="apply-starved"):
        explain("aply-starved")
