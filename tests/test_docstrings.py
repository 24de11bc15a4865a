"""Every public name says what it is, what it takes, what it returns and what it refuses."""

from __future__ import annotations

import dataclasses
import doctest
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pytest

import tieringmodel as tm

SECTION = re.compile(r"^(\w[\w ]*)\n-{3,}$", re.MULTILINE)


def public() -> Iterator[tuple[str, Any]]:
    """Public functions and classes: those of the front door, and those its rooms list in ``__all__``."""
    seen: set[int] = set()
    rooms = [(name, getattr(tm, name)) for name in tm.__all__ if inspect.ismodule(getattr(tm, name))]
    for where, room in [("", tm), *rooms]:
        for name in room.__all__:
            one = getattr(room, name)
            if (inspect.isclass(one) or inspect.isroutine(one)) and id(one) not in seen:
                seen.add(id(one))
                yield f"{where}.{name}".strip("."), one


NAMES = dict(public())
closed_forms = tm.analysis.closed_forms
NAMES |= {
    f"closed_forms.{name}": one
    for name, one in inspect.getmembers(closed_forms, inspect.isfunction)
    if one.__module__ == closed_forms.__name__ and not name.startswith("_")
}
EXAMPLES = {name: one for name, one in NAMES.items() if ">>>" in (inspect.getdoc(one) or "")}
WITHOUT = {  # a minute of experiments, evidence of recorded kernels, or a widget
    *(f"plot.{name}" for name in ("explore", "hardware_v1", "hardware_v4", "recorded_bands", "rfc_claim", "rfc_claims")),
    "plot.write_readme_figures",
    *(f"studies.{name}" for name in ("claim", "claims", "gain_map", "pair_map", "quota_map", "start_map")),
}


def sections(doc: str) -> dict[str, str]:
    """The parts of a numpydoc docstring by heading; what stands before the first is ''."""
    parts = SECTION.split(doc)
    return {"": parts[0], **dict(zip(parts[1::2], parts[2::2], strict=True))}


def documented(text: str) -> set[str]:
    """The names that a section of parameters lists."""
    heads = [line.partition(":")[0] for line in text.splitlines() if line and not line[0].isspace()]
    return {name.strip().lstrip("*") for head in heads for name in head.split(",")}


def test_the_front_door_and_its_rooms_are_looked_at() -> None:
    wanted = {"simulate", "compare", "verdict", "Scenario", "loop.run", "interleave.run", "plot.share", "studies.claim"}
    assert wanted <= set(NAMES)
    assert len(NAMES) >= 80


@pytest.mark.parametrize("name", NAMES)
def test_every_argument_is_documented(name: str) -> None:
    one = NAMES[name]
    doc = inspect.getdoc(one) or ""
    assert len(doc.splitlines()[0].split()) > 3, "has no sentence that says what it answers"
    if inspect.isclass(one):
        if dataclasses.is_dataclass(one) or issubclass(one, (tuple, Exception)) or getattr(one, "_is_protocol", False):
            return  # fields are explained in the class's text or beside them
        doc = doc if "Parameters" in doc else doc + "\n\n" + (inspect.getdoc(one.__init__) or "")
    arguments = [p.lstrip("*") for p in inspect.signature(one).parameters if p != "self"]
    told = documented(sections(doc).get("Parameters", ""))
    assert not set(arguments) - told, f"arguments without a word: {sorted(set(arguments) - told)}"
    assert not told - set(arguments), f"words without an argument: {sorted(told - set(arguments))}"


@pytest.mark.parametrize("name", [n for n, one in NAMES.items() if not inspect.isclass(one)])
def test_what_is_returned_is_documented(name: str) -> None:
    one = NAMES[name]
    returns = inspect.signature(one).return_annotation
    if returns not in (None, "None"):
        assert {"Returns", "Yields"} & set(sections(inspect.getdoc(one) or ""))


def test_everything_that_is_called_shows_how() -> None:
    called = {name for name, one in NAMES.items() if inspect.isroutine(one) or "." not in name}
    assert sorted(called - set(EXAMPLES)) == sorted(WITHOUT)


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_does_what_it_shows(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(mpl.rcParams, "backend", "agg")
    said: list[str] = []
    test = doctest.DocTestParser().get_doctest(inspect.getdoc(EXAMPLES[name]) or "", {}, name, None, None)
    assert test.examples
    doctest.DocTestRunner(verbose=False).run(test, out=said.append)
    from matplotlib import pyplot as plt

    plt.close("all")
    assert not said, "".join(said)
