"""Every code that can be said is explained, and the page of the documentation is what the table says."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import tieringmodel as tm
from tieringmodel.linting import codes
from tieringmodel.verdicts.explained import CAUSES, KIND_MEANS, explain, listed, page
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


def test_every_code_of_lint_is_explained_and_no_other() -> None:
    """Codes stand first in `Finding`, or go through a variable of that name or a helper of a rule's module."""
    said = set()
    for file in (ROOT / "tieringmodel" / "linting" / "rules").glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            called = getattr(node, "func", None)
            if isinstance(node, ast.Call) and getattr(called, "id", getattr(called, "attr", "")) in ("Finding", "_finding"):
                said |= {a.value for a in node.args[:1] if isinstance(a, ast.Constant)}
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "(code, level)":
                said.add(node.value.elts[0].value)  # type: ignore[attr-defined]
    assert said == set(codes.MEANS)
    assert list(codes.MEANS) == sorted(codes.MEANS)
    assert all(text.endswith(".") and len(text) > 20 for text in codes.MEANS.values())


def test_the_pages_of_the_documentation_are_generated() -> None:
    assert (ROOT / "docs" / "verdicts.md").read_text(encoding="utf-8") == page()
    assert (ROOT / "docs" / "lint_codes.md").read_text(encoding="utf-8") == codes.page()


def test_a_code_is_explained_and_an_unknown_one_gets_the_nearest() -> None:
    assert "nr_restarted" in explain("apply-starved")
    assert explain("ripple").startswith("ripple (kind)")
    assert explain("no-cap") == f"no-cap (lint)\n  {codes.MEANS['no-cap']}"
    assert [line for line in explain("apply-starved").splitlines() if line[0] != " "] == [
        "apply-starved (cause)",
        "apply-starved (lint)",
    ]
    assert {*KIND_MEANS, *CAUSES, *codes.MEANS} == set(re.findall(r"[\w-]+(?=,|$)", listed(), re.MULTILINE)) - {
        "verdicts",
        "causes",
        "lint",
    }
    with pytest.raises(tm.InputError, match="apply-starved"):
        explain("aply-starved")
