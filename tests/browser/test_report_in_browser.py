"""Reports in a real browser: Chromium without a window, driven by playwright, on a telephone and on a desk.

``TIERINGMODEL_CHROMIUM`` names the browser; without it the system's ``chromium`` is taken. Playwright downloads none.
``TIERINGMODEL_AXE`` names axe-core's ``axe.min.js``; without it that below ``node_modules`` here is taken (``npm ci``).
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from in_browser import DESK, PHONE, opened
from small import pull, push, scenario

from tieringmodel import cli

pytestmark = pytest.mark.browser

QUOTA, TARGET = "contexts.0.schemes.0.quota.sz_bytes", "contexts.0.schemes.0.quota.goals.0.target_value"
FIGURES = {"comparison": 4, "run": 5, "sweep": 2}
CONTRAST = 4.5  # WCAG 2 AA for text

COLOURS = """() => {
  const rgba = text => text.match(/[\\d.]+/g).map(Number);
  const behind = element => {
    for (let at = element; at; at = at.parentElement) {
      const colour = rgba(getComputedStyle(at).backgroundColor);
      if (colour.length === 3 || colour[3] > 0) return colour;
    }
    return [255, 255, 255];
  };
  const written = element => [...element.childNodes].some(n => n.nodeType === 3 && n.textContent.trim());
  return [...document.body.querySelectorAll('*')]
    .filter(e => written(e) && e.getClientRects().length && !e.closest('svg'))
    .map(e => [e.tagName + ': ' + e.textContent.trim().slice(0, 40), rgba(getComputedStyle(e).color), behind(e)]);
}"""
LABELS = """() => {
  const paper = getComputedStyle(document.querySelector('figure')).backgroundColor;
  return [paper, ...[...document.querySelectorAll('figure svg text')].map(e => getComputedStyle(e).fill)];
}"""


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The page of a comparison, a run and a sweep, as the commands write them."""
    folder = tmp_path_factory.mktemp("reports")
    sc = folder / "small.toml"
    sc.write_text(scenario(pull(), push()).to_toml(), encoding="utf-8")
    compared, ran, store = folder / "comparison", folder / "run", folder / "s.zarr"
    axes = ["--grid", f"{QUOTA}=64 KiB,1 MiB,2 MiB", "--grid", f"{TARGET}=3000,6000", "--seeds", "2"]
    for words in (
        ["compare", sc, "--duration", "6", "-o", compared],
        ["run", sc, "--duration", "6", "-o", ran],
        ["report", ran],
        ["sweep", sc, *axes, "--duration", "2", "--executor", "serial", "-o", store],
        ["report", store, "-o", folder / "sweep.html"],
    ):
        assert cli.main([*map(str, words)]) == 0
    return {"comparison": compared / "report.html", "run": ran / "report.html", "sweep": folder / "sweep.html"}


def luminance(colour: list[float]) -> float:
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (v / 255 for v in colour[:3])]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: list[float], other: list[float]) -> float:
    """Return the contrast ratio of WCAG 2."""
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def numbers(css: str) -> list[float]:
    return [float(part) for part in css[css.index("(") + 1 : -1].replace(",", " ").split()]


@pytest.mark.parametrize("size", [PHONE, DESK], ids=["phone", "desk"])
@pytest.mark.parametrize("kind", FIGURES)
def test_it_loads_and_shows_every_figure(kind: str, size: dict[str, int], browser: Any, reports: dict[str, Path]) -> None:
    page, wrong = opened(browser, reports[kind], viewport=size)
    assert wrong == []
    assert page.title()
    figures = page.locator("figure svg").all()
    assert len(figures) == FIGURES[kind] == page.locator("figure").count()
    for figure in figures:
        box = figure.bounding_box()
        assert figure.is_visible()
        assert box["width"] >= 300
        assert box["height"] >= 100
        inner = figure.evaluate("e => { const b = e.getBBox(); return [b.width, b.height] }")
        assert min(inner) > 100, "something is drawn in it"
    for image in page.locator("figure image").all():
        assert image.bounding_box()["width"] > 0
    page.context.close()


@pytest.mark.parametrize("kind", FIGURES)
def test_a_phone_scrolls_down_only(kind: str, browser: Any, reports: dict[str, Path]) -> None:
    page, _ = opened(browser, reports[kind], viewport=PHONE, device_scale_factor=2, is_mobile=True, has_touch=True)
    wide, inner = page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
    assert (wide, inner) == (PHONE["width"], PHONE["width"])
    page.evaluate("window.scrollTo(500, 0)")
    assert page.evaluate("window.scrollX") == 0
    for details in page.locator("details").all():
        details.evaluate("e => { e.open = true }")
    assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"], "also with everything unfolded"
    page.context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("kind", FIGURES)
def test_text_stands_out(kind: str, scheme: str, browser: Any, reports: dict[str, Path]) -> None:
    page, _ = opened(browser, reports[kind], viewport=DESK, color_scheme=scheme)
    found = page.evaluate(COLOURS)
    assert len(found) > 20
    pale = [(text, round(contrast(ink, paper), 1)) for text, ink, paper in found if contrast(ink, paper) < CONTRAST]
    assert pale == []
    body = numbers(page.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert (luminance(body) < 0.1) == (scheme == "dark")
    paper, *inks = map(numbers, page.evaluate(LABELS))
    # Axis labels take the page's ink. Numbers inside cells are chosen for the cell, not for the paper.
    title = page.locator("figure svg text").first
    assert contrast(numbers(title.evaluate("e => getComputedStyle(e).fill")), paper) >= CONTRAST
    assert sum(contrast(ink, paper) >= CONTRAST for ink in inks) > len(inks) / 2
    page.context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [PHONE, DESK], ids=["phone", "desk"])
@pytest.mark.parametrize("kind", FIGURES)
def test_axe_finds_nothing(kind: str, size: dict[str, int], scheme: str, browser: Any, reports: dict[str, Path]) -> None:
    axe = Path(os.environ.get("TIERINGMODEL_AXE") or Path(__file__).parent / "node_modules/axe-core/axe.min.js")
    assert axe.is_file(), "no axe-core; run 'npm ci' in tests/browser, or name it in TIERINGMODEL_AXE"
    page, _ = opened(
        browser, reports[kind], viewport=size, color_scheme=scheme, bypass_csp=True
    )  # the page itself runs nothing
    page.evaluate(axe.read_text(encoding="utf-8"))
    found = page.evaluate("axe.run()")
    assert [(v["id"], v["nodes"][0]["html"]) for v in found["violations"]] == []
    assert len(found["passes"]) > 10
    page.context.close()


@pytest.mark.parametrize("size", [PHONE, DESK], ids=["phone", "desk"])
@pytest.mark.parametrize("kind", ["comparison", "run"])
def test_the_answer_is_on_the_first_screen_and_lines_can_be_switched(
    kind: str, size: dict[str, int], browser: Any, reports: dict[str, Path]
) -> None:
    page, _ = opened(browser, reports[kind], viewport=size)
    charts = [chart for chart in page.locator(".chart > svg").all() if chart.is_visible()]
    assert len(charts) == 1
    box = charts[0].bounding_box()
    assert box["y"] + box["height"] <= size["height"], "within the first screen"
    assert box["x"] + box["width"] <= size["width"], "nothing cut off"
    texts = charts[0].locator("text").all()
    heights = [text.bounding_box()["height"] for text in texts if text.is_visible()]
    assert min(heights) >= 11, "drawn for this width"
    assert "MiB/s" in charts[0].locator("rect.hit title").first.text_content()
    for tick in page.locator(".chart input").all():
        line = charts[0].locator("." + tick.get_attribute("id"))
        assert line.is_visible() == tick.is_checked()
        tick.click()
        assert line.is_visible() == tick.is_checked()
    page.context.close()
