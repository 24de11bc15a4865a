"""Every public name says what it is, what it takes, what it returns and what it refuses."""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Iterator
from typing import Any

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
    assert len(doc.splitlines()[0]) > 10, "has no sentence that says what it is"
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
