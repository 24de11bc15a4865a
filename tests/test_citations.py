"""Every citation leads somewhere: to a section of a page in docs/theory, a file, or an address."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LABEL = r"(?:[a-i]\.\d+|\d+\.\d+|\d+[a-h]?|[A-Z]\d+)(?![\w%])"
LABELS = rf"{LABEL}(?:(?:, | and | to |; )(?:section )?{LABEL})*"
ABOUT = re.compile(rf"\bsections? ({LABELS})")
PAGE = re.compile(r"docs/theory/(\w+)\.md")
ELSEWHERE = re.compile(r"CXL \d\.\d, $")
"""Published documents with sections of their own."""
SOURCE = re.compile(r"\bSources?: (?P<what>.{0,70})")
FILE = re.compile(r"(?<![\w/.*])((?:data|docs|tests|notebooks|benchmarks|tools|scripts|\.ci)/[\w./-]*\w\.\w+|[\w-]+\.md)\b")
SECTIONS = {
    page.stem: set(re.findall(r"^#{2,4} (\S+)", page.read_text(encoding="utf-8"), re.MULTILINE))
    for page in (ROOT / "docs" / "theory").glob("*.md")
}
CODE = sorted(path for folder in ("tieringmodel", "notebooks") for path in (ROOT / folder).rglob("*.py"))
PROSE = sorted([*ROOT.glob("*.md"), *(path for path in (ROOT / "docs").rglob("*.md") if "_build" not in path.parts)])
TESTS = sorted(path for path in (ROOT / "tests").rglob("*.py") if path != Path(__file__))


def on_one_line(text: str) -> str:
    """Text in which a citation that runs over the end of a line, or of a line of comment, stands on one."""
    return re.sub(r"\s*\n\s*(?:# )?", " ", text)


def unknown(page: str, labels: str) -> Iterator[str]:
    """What is missing of a page and its sections."""
    if page not in SECTIONS:
        yield f"docs/theory/{page}.md does not exist"
        return
    for label in re.findall(LABEL, labels):
        if label not in SECTIONS[page]:
            yield f"docs/theory/{page}.md has no section {label}"


def faults(text: str, home: str = "") -> Iterator[str]:
    """What is wrong with a text's citations; a bare "section 3a" is of the page that `home`, a module's docstring, cites."""
    text, own = on_one_line(text), set(PAGE.findall(home))
    for found in ABOUT.finditer(text):
        before = text[: found.start()]
        if not before.endswith(".md, ") and not ELSEWHERE.search(before):
            yield from unknown(*own, found[1]) if len(own) == 1 else [f"which page? …{found[0]}"]
    for found in PAGE.finditer(text):
        labels = ABOUT.match(text, found.end() + 2)
        yield from unknown(found[1], labels[1]) if labels else [f"{found[0]} is cited without a section"]
    for path in FILE.findall(text):
        if not (ROOT / path).exists():
            yield f"{path} does not exist"
    for found in SOURCE.finditer(text):
        if not re.search(r"docs/theory/|https://|data/", found["what"]):
            yield f"a source without a page or an address: {found[0]}"


@pytest.mark.parametrize("path", CODE, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_citations_in_code_lead_to_a_section(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert list(faults(text, ast.get_docstring(ast.parse(text)) or "")) == []


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("See docs/theory/stability.md, section 3d.", ""),
        ("Source: docs/theory/damon.md,\n    # sections f.3 to f.6; more", ""),
        ("as CXL 3.2, section 8.2.8, says", ""),
        ("See docs/theory/stabilty.md, section 3d.", "docs/theory/stabilty.md does not exist"),
        ("See docs/theory/stability.md, section 3z.", "is cited without a section"),
        ("See docs/theory/stability.md, sections 3d and\n    9.", "no section 9"),
        ("Source: docs/theory/damon.md, sections f.3 to f.12", "no section f.12"),
        ("See docs/theory/stability.md.", "without a section"),
        ("(stability, section 2)", "which page?"),
        ("Source: stability.md section 4.", "stability.md does not exist"),
        ("Source: hearsay.", "a source without a page"),
        ("see data/golden/REEDME.md", "does not exist"),
    ],
)
def test_a_citation_that_leads_nowhere_is_noticed(text: str, fault: str) -> None:
    assert any(fault in one for one in faults(text)) if fault else not list(faults(text))


def test_a_bare_section_belongs_to_the_page_of_its_module() -> None:
    home = "Formulas: docs/theory/stability.md, section 3."
    assert not list(faults("(section 3b)", home))
    assert list(faults("(section 9b)", home)) == ["docs/theory/stability.md has no section 9b"]
    assert list(faults("(section 3b)", home + " And docs/theory/damon.md, section a.1.")) == ["which page? …section 3b"]


def cited(text: str) -> Iterator[str]:
    """What is missing of the sections that a text names by page."""
    for page, labels in re.findall(rf"docs/theory/(\w+)\.md, sections? ({LABELS})", text):
        yield from unknown(page, labels)


@pytest.mark.parametrize("path", TESTS, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_citations_in_tests_lead_to_a_section(path: Path) -> None:
    assert list(cited(on_one_line(path.read_text(encoding="utf-8")))) == []


@pytest.mark.parametrize("page", PROSE, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_citations_in_prose_lead_to_a_section(page: Path) -> None:
    text = on_one_line(page.read_text(encoding="utf-8"))
    missing = list(cited(text))
    if page.parent.name == "theory":
        one = r"(?:[a-i]\.\d+|\d[a-h])"
        named = re.findall(rf"\]\((\w+)\.md\), (?:section )?({LABELS})", text)
        named += [(page.stem, labels) for labels in re.findall(rf"\(({one}(?:(?:, | and ){one})*)\)", text)]
        missing += [fault for name, labels in named for fault in unknown(name, labels)]
    files = re.findall(r"`((?:data|docs|tieringmodel|tests|notebooks)/[\w./-]*\w\.\w+)`", text)
    assert missing + [path for path in files if not (ROOT / path).exists()] == []


def modules(text: str) -> Iterator[str]:
    """The dotted names of the package in a text that lead nowhere."""
    for name in sorted(set(re.findall(r"(?<![\w./])tieringmodel(?:\.\w+)+", text))):
        place = ROOT / "tieringmodel"
        for part in name.split(".")[1:]:
            if (place / part).is_dir():
                place /= part
            elif (place / f"{part}.py").exists():
                place /= f"{part}.py"
            else:
                homes = [place] if place.suffix else sorted(place.glob("__init__.py*"))  # lazy doors have a stub
                if not any(re.search(rf"\b{part}\b", home.read_text(encoding="utf-8")) for home in homes):
                    yield name
                break


def test_names_of_the_package_lead_to_what_they_name() -> None:
    pages = {*PROSE, *(ROOT / "data").rglob("*.md"), ROOT / "benchmarks" / "README.md"} - {ROOT / "CHANGELOG.md"}
    assert [(path.name, name) for path in [*CODE, *sorted(pages)] for name in modules(path.read_text(encoding="utf-8"))] == []
    assert list(modules("`tieringmodel.loop.run`, `tieringmodel.lop.run`, `tieringmodel.loop.single.rin`")) == [
        "tieringmodel.loop.single.rin",
        "tieringmodel.lop.run",
    ]
