"""The HTML report: complete, escaped, and in need of nothing from elsewhere."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from tieringmodel.errors import InputError
from tieringmodel.reports import save_figures, write_report
from tieringmodel.reports.comparison_section import sentences
from tieringmodel.reports.drawing import svg
from tieringmodel.reports.write import templates
from tieringmodel.scenario import Scenario

COMMAND = "tieringmodel compare --seed 7 'a & b'"
VOID = {"meta", "link", "br", "hr", "img", "input"}


class Page(HTMLParser):
    """Tags with attributes, and the text inside each kind of tag; complains about tags that do not nest."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: dict[str, list[str]] = {}
        self.open: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
            self.text.setdefault(tag, []).append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        for tag in set(self.open):
            self.text[tag][-1] += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture(scope="module")
def text(comparison: xr.Dataset, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("report") / "new" / "report.html"
    other = comparison.drop_dims(["region", "snapshot"]).assign_attrs(name="second", title="Second <i>")
    assert write_report([comparison, other], path, command=COMMAND) == path
    return path.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page(text: str) -> Page:
    return Page(text)


def test_figures_come_as_files_with_the_page(comparison: xr.Dataset, tmp_path: Path) -> None:
    from matplotlib import image

    page = write_report([comparison], tmp_path / "r.html", command=COMMAND, figures=tmp_path / "a")
    alone = save_figures(comparison, tmp_path / "b")
    assert sorted(p.name for p in (tmp_path / "a").iterdir()) == sorted(p.name for p in alone)
    assert page.read_text(encoding="utf-8").count('<svg role="img"') == 4
    for path in alone:
        one, other = (image.imread(tmp_path / folder / path.name) for folder in ("a", "b"))
        assert one.shape == other.shape
        # The page's ink is not quite black, and glyphs are placed by the layout of one resolution.
        assert np.abs(one - other).mean() < 0.01


def test_asks_nobody_for_anything(text: str, page: Page) -> None:
    assert "http" not in text.replace("http-equiv", "")
    assert "//" not in re.sub(r'"data:image/png;base64,[^"]*"', "", text)
    assert "@import" not in text
    assert not {"script", "iframe", "object", "img", "base", "form"} & {tag for tag, _ in page.tags}
    for tag, attributes in page.tags:
        for name, value in attributes.items():
            assert not name.startswith("on")
            if name in ("href", "src", "xlink:href"):
                assert value is not None
                assert value.startswith(("#", "data:")), (tag, name, value[:40])
    assert all(target.startswith("#") for target in re.findall(r"url\(([^)]*)\)", text))
    policy = next(m for m in page.all("meta") if m.get("http-equiv") == "Content-Security-Policy")
    assert policy["content"] == "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


def test_ids_are_unique_and_every_reference_resolves(text: str, page: Page) -> None:
    ids = [a["id"] for _, a in page.tags if "id" in a]
    assert len(ids) == len(set(ids))
    wanted = set(re.findall(r'href="#([^"]*)"', text)) | set(re.findall(r"url\(#([^)]*)\)", text))
    assert wanted <= set(ids)


def test_tables_have_every_policy_and_number(page: Page, comparison: xr.Dataset) -> None:
    heads = [t for t in page.text["th"] if t in set(comparison["policy"].values)]
    assert heads == 2 * list(comparison["policy"].values)
    assert page.text["th"][:8] == [
        "policy", "settled?", "settling times", "share errorbp", "at the endMiB/s", "ping-pongof moves",
        "movesper page", "verdict",
    ]  # fmt: skip
    cells = page.text["td"][:7]
    assert cells[:2] == ["✗ no", "never"]
    assert cells[6] == "ripple"
    assert page.text["td"][7:14][4] == "–", "the recorded kernel's ping-pong is not known"
    assert page.text["td"].count("✓ yes") == 6


def test_figures_have_alternative_text(page: Page) -> None:
    seen = [a for a in page.all("svg") if "aria-hidden" not in a]
    labels = [a["aria-label"] for a in seen]
    assert len(labels) == 4 + 3 + 2 * 2
    assert labels[0] == labels[1]
    assert labels[0].startswith("Share over time in bp, at the end goal: node_eligible_mem_bp temporal: ")
    assert all(a["role"] == "img" for a in seen)
    assert page.text["figcaption"][0].startswith("The share, one policy in each panel")


def test_adapts_to_screen_and_scheme(text: str, page: Page) -> None:
    assert {"name": "viewport", "content": "width=device-width, initial-scale=1"} in page.all("meta")
    assert "@media(prefers-color-scheme:dark)" in text
    assert "fill: var(--ink)" in text
    assert "#010203" not in text
    assert text.count('<div class="scroll" tabindex="0" role="region"') == text.count('<div class="scroll"') == 2 + 7
    assert '<svg class="narrow"' in text
    assert "@page{size:A4" in text
    assert "section:has(#" in text


def test_tells_how_to_repeat_it(page: Page, comparison: xr.Dataset) -> None:
    assert COMMAND in page.text["code"]
    toml = Scenario.from_json(comparison.attrs["scenario"]).to_toml()
    assert page.text["details"] == [f"Scenario (TOML){toml}"] * 2
    assert any("seed 7, duration 120 s" in item for item in page.text["li"])
    names = [t for t in page.text["th"] if t in ("tieringmodel", "Python", "numpy", "numba", "scipy", "xarray")]
    assert names == ["tieringmodel", "Python", "numpy", "numba", "scipy", "xarray"]


def test_verdict_says_who_and_why(page: Page) -> None:
    assert "Who comes to rest?" in page.text["p"]
    items = "\n".join(page.text["li"])
    assert "weights: vma_offset (after 12 s, 0.45 moves per page): mechanism number 2" in items
    assert re.search(r"weights: iid \(ripple, [-+]\d+ bp from the target, 1 MiB/s go on\): mechanism number 3", items)
    assert "lower the quota. (for goal: node_eligible_mem_bp temporal, recorded kernel, weights: iid" in items
    baselines = "static interleave and oracle at rest at the target; off the target: all-fast by +4000 bp and all-slow"
    assert any(baselines in p for p in page.text["p"])


def test_what_a_dataset_says_is_text_and_nothing_else(comparison: xr.Dataset, tmp_path: Path) -> None:
    evil = "<script>alert('1')</script> & \"<b>\" --> <!-- ]]> {{x}} ${y} $z"
    hostile = comparison.assign_coords(policy=[f"{k} {evil}" for k in range(12)]).assign_attrs(
        name=evil, title=evil, question=evil, controlled=evil, tieringmodel=evil, scenario=json.dumps({"name": evil})
    )
    for name in ("kind", "cause", "fix"):
        hostile[name] = ("policy", [evil] * 12)
    hostile["share_bp"].attrs["long_name"] = evil
    path = write_report([hostile], tmp_path / "r.html", command=evil)
    text = path.read_text(encoding="utf-8")
    page = Page(text)
    assert {tag for tag, _ in page.tags}.isdisjoint({"script", "b>"})
    assert "<script" not in text
    assert page.text["title"][0] == evil
    assert page.text["h1"] == [evil]
    assert f"a 0 {evil}: " in page.text["title"][2], "a pointer's words"
    assert page.text["th"][8] == f"0 {evil}"
    assert evil in page.text["code"]
    assert any(evil in p for p in page.text["p"])
    # The scenario cannot be read; the reader gets what the file holds, and the reason.
    assert "as stored; this version does not read it: machine: is missing" in page.text["summary"][0]
    assert evil in json.loads(page.text["pre"][0])["name"]


def test_every_template_escapes_and_only_figures_are_taken_as_they_are() -> None:
    env = templates()
    assert env.autoescape is True
    sources = {name: env.loader.get_source(env, name)[0] for name in env.list_templates()}
    assert {"page.html", "comparison.html", "run.html", "sweep.html", "style.css"} <= set(sources)
    assert [name for name, text in sources.items() for _ in re.findall(r"\|\s*safe|autoescape|Markup", text)] == [
        "parts.html"
    ] * 2


def test_sentences_compare_the_recorded_kernel_with_its_model(comparison: xr.Dataset) -> None:
    said = sentences(comparison)
    assert said.headline == "1 of 8 policies comes to rest at the target: vma_offset."
    assert said.recorded.startswith("Measured (recorded kernel): ripple, share error ")
    assert said.recorded.endswith("; the same verdict.")
    assert [p for p, _ in said.settled] == ["weights: vma_offset"]
    assert len(said.unsettled) == 7
    assert [who.count("weights") for _, who in said.fixes] == [5]
    kinds = comparison["kind"].values.astype(object)
    kinds[1] = "limit-cycle"
    assert sentences(comparison.assign(kind=("policy", kinds))).recorded.endswith("; another verdict.")
    assert sentences(comparison.isel(policy=[0, 2])).recorded == ""


def test_a_figure_is_the_same_every_time(comparison: xr.Dataset) -> None:
    first = svg("summary", comparison, "a", "caption")
    assert first == svg("summary", comparison, "a", "caption")
    assert first != svg("summary", comparison, "b", "caption")
    assert first.count("<svg") == 1


def test_refusals(comparison: xr.Dataset, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is empty"):
        write_report([], tmp_path / "r.html", command="")
    with pytest.raises(InputError, match="put it into a list"):
        write_report(comparison, tmp_path / "r.html", command="")  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"is a folder; write .*report\.html"):
        write_report([comparison], tmp_path, command="")
    with pytest.raises(InputError, match="no variable 'cause'"):
        write_report([comparison.drop_vars("cause")], tmp_path / "r.html", command="")
    assert list(tmp_path.iterdir()) == []
