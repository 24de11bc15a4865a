"""What was expected and what came of it as JUnit XML, the form in which CI servers read tests."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from ..atomic import replacing
from ..errors import InputError


class Case(NamedTuple):
    """One test: its name, whether it held, what was there instead, and the seconds of the run it is about."""

    name: str
    ok: bool
    said: str
    seconds: float = 0.0


def junit(suite: str, cases: Sequence[Case]) -> str:
    """Return the XML of one suite.

    Parameters
    ----------
    suite : str
        Its name; each case's class name.
    cases : sequence of Case
        The tests.

    Examples
    --------
    >>> from tieringmodel.reports.junit import Case, junit
    >>> print(junit("mine", [Case("settling_s < 60", False, "settling_s is 80")]).splitlines()[1])
    <testsuites tests="1" failures="1">
    """
    failures = sum(not case.ok for case in cases)
    counts = {"tests": str(len(cases)), "failures": str(failures)}
    top = Element("testsuites", counts)
    inside = SubElement(top, "testsuite", {"name": _clean(suite), **counts, "errors": "0", "skipped": "0"})
    for case in cases:
        about = {"classname": _clean(suite), "name": _clean(case.name), "time": f"{case.seconds:.3f}"}
        one = SubElement(inside, "testcase", about)
        if not case.ok:
            SubElement(one, "failure", {"message": _clean(case.said), "type": "expectation"}).text = _clean(case.said)
    indent(top)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + tostring(top, encoding="unicode") + "\n"


def _clean(text: str) -> str:
    """Return a text without the characters that XML has no form for."""
    return re.sub(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "\ufffd", text)


def write_junit(path: Path, suite: str, cases: Sequence[Case]) -> None:
    """Write the XML of one suite to a file.

    Parameters
    ----------
    path : Path
        Replaced if it exists.
    suite, cases
        As for `junit`.

    Raises
    ------
    InputError
        If the path is a folder.
    """
    if path.is_dir():
        raise InputError("--junit", f"{path} is a folder", f"write {path / 'results.xml'}")
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        temporary.write_text(junit(suite, cases), encoding="utf-8")
