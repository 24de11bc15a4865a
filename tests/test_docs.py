"""Every command and every Python example of the documentation is carried out, page by page, in an empty folder."""

from __future__ import annotations

import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pytest

from tieringmodel import cli, plugins
from tieringmodel.comparison import policies
from tieringmodel.damon.goals import unregister_metric
from tieringmodel.linting import RULES
from tieringmodel.scenario import tuners

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs" / "howto").glob("*.md"))]
THEORY = sorted((ROOT / "docs" / "theory").glob("*.md"))
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
INSTALLS = (  # carried out by .ci/run itself
    "python3 -m venv .venv && .venv/bin/pip install . && .venv/bin/tieringmodel compare",
    "python3 -m venv .venv && .venv/bin/pip install -e '.[test]' && .venv/bin/python -m pytest -n 2",
)
LONG = "# takes longer"


def carry_out(line: str) -> None:
    """Run one line of shell that is a command of ours, or one of the lines that install."""
    words = shlex.split(line, comments=True)
    if line.strip() in INSTALLS or not words or LONG in line:
        return
    assert words[0] == "tieringmodel", f"not a command that can be tried: {line}"
    try:
        code = cli.main(words[1:])
    except SystemExit as end:
        code = int(end.code or 0)
    assert code in ((0, 1) if words[1] in ("lint", "run") else (0,)), line


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_does_what_it_says(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(mpl.rcParams, "backend", "agg")
    rules, names = dict(RULES), dict[str, Any]({"__name__": "page"})
    text = page.read_text(encoding="utf-8")
    metrics = re.findall(r'register_metric\("(\w+)"', text)
    try:
        for kind, body in BLOCK.findall(text):
            if kind == "sh":
                for line in body.replace("\\\n", " ").splitlines():
                    carry_out(line)
            elif kind == "python":
                exec(compile(body, str(page), "exec"), names)
    finally:
        for name in metrics:
            unregister_metric(name)
        for known in (tuners._own, policies._own, plugins._loaded):
            known.clear()
        RULES.clear()
        RULES.update(rules)
        from matplotlib import pyplot as plt

        plt.close("all")


def test_external_links_have_the_form_of_links() -> None:
    for page in [*PAGES, *(ROOT / "docs").glob("*.md"), *THEORY, ROOT / "MODEL.md", ROOT / "CONTRIBUTING.md"]:
        for link in re.findall(r"\]\((http[^)]*)\)", page.read_text(encoding="utf-8")):
            assert re.fullmatch(r"https://[\w.-]+(/[\w.@~+%/-]*)?(#[\w-]+)?", link), (page, link)


def test_the_table_of_contents_names_every_page_and_no_other() -> None:
    docs = ROOT / "docs"
    named = []
    for index in docs.rglob("index.md"):
        if "gallery" in index.parts:
            continue
        bodies = re.findall(r"```\{toctree\}\n(.*?)```", index.read_text(encoding="utf-8"), re.DOTALL)
        below = index.parent.relative_to(docs)
        named += [(below / x).as_posix() for body in bodies for x in body.splitlines() if x and not x.startswith(":")]
    pages = {p.relative_to(docs).with_suffix("").as_posix() for p in docs.rglob("*") if p.suffix in (".md", ".rst")}
    there = {p for p in pages if not p.startswith(("_build", "gallery"))} - {"index"}
    there |= {"commands", "scenario_fields", "gallery/index"}  # which conf.py writes
    assert sorted(named) == sorted(there)


def test_links_inside_the_project_lead_somewhere() -> None:
    for page in [*PAGES, *THEORY, ROOT / "MODEL.md", ROOT / "CONTRIBUTING.md"]:
        for link in re.findall(r"\]\((?!http|#)([^)#]+)", page.read_text(encoding="utf-8")):
            assert (page.parent / link).exists(), (page, link)


def test_notebooks_show_and_what_must_hold_stands_beside_them() -> None:
    """`.ci/notebooks.py` puts each section of tests/notebooks behind the one line that it names."""
    checks = {path.name: path.read_text(encoding="utf-8") for path in (ROOT / "tests" / "notebooks").glob("*.py")}
    for source in (ROOT / "notebooks").glob("*.py"):
        lines = source.read_text(encoding="utf-8").splitlines()
        assert [line for line in lines if re.match(r"\s*assert\b|np\.testing", line)] == []
        named = re.findall(r"^# after(?:, \d+ deep)?: (.*)$", checks.pop(source.name), re.MULTILINE)
        assert [(source.name, line) for line in named if lines.count(line) != 1] == []
        assert named, source.name
    assert checks == {}


def test_the_readme_says_of_the_evidence_what_its_page_says() -> None:
    readme, page = ((ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "docs/evidence.md"))
    assert "[50 of 59 measures]" in readme
    assert "50 of 59 measures inside" in page
    inside, explained = re.findall(r"(\d+) inside, (\d+) explained", page)[0]
    assert f"[{inside} of {int(inside) + int(explained)} within tolerance]" in readme
    for anchor in re.findall(r"docs/evidence\.md#([\w-]+)", readme):
        assert anchor in {re.sub(r"\W+", "-", head.lower()) for head in re.findall(r"^## (.*)$", page, re.MULTILINE)}
    above = readme.partition("![")[0].splitlines()
    assert len(above) <= 25  # one screen before the first picture


def test_the_version_is_one_and_has_a_page_for_those_who_come_from_the_one_before() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    minor = project["version"].rpartition(".")[0]
    assert f"\nversion: {project['version']}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    newest = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert newest is not None
    assert newest[1] == project["version"]
    assert (ROOT / "docs" / "upgrading.md").read_text(encoding="utf-8").partition("\n")[0].endswith(f" to {minor}")


def test_the_picture_of_the_rooms_is_that_of_the_package() -> None:
    package = ROOT / "tieringmodel"
    (picture,) = re.findall(r"```text\ntieringmodel/\n(.*?)```", (ROOT / "CONTRIBUTING.md").read_text("utf-8"), re.DOTALL)
    drawn: list[str] = []
    room = ""
    for line in picture.splitlines():
        names = line.strip().partition("   ")[0].split(", ")
        if line.startswith("    "):
            drawn += [room + name for name in names]
        else:
            room = names[0]
            drawn += names
    missing = [path for path in drawn if not list(package.glob(path.rstrip("/")))]
    there = {f"{path.name}/" for path in package.iterdir() if (path / "__init__.py").exists()}
    there |= {path.name for path in package.glob("*.py") if not path.name.startswith("_")}
    assert missing == []
    assert {path for path in drawn if "/" not in path.rstrip("/")} == there
