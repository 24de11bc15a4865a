"""The page with sliders in a real browser: its loop is the package's, it redraws within a frame, its line is a damo line."""

from __future__ import annotations

import os
import random
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from in_browser import DESK, PHONE, opened

import tieringmodel as tm
from tieringmodel import cli
from tieringmodel.interop.load import open_scenario

pytestmark = pytest.mark.browser
RUNS = """settings => settings.map(one => {
  const run = loop(one), found = judged(run, one);
  return [run.final_pages, run.pages, run.moved, run.leaked, run.measured, run.score, run.esz.map(String), found.kind];
})"""


@pytest.fixture(scope="module")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("explore") / "explore.html"
    assert cli.main(["explore", "-o", str(path)]) == 0
    return path


def settings(draw: random.Random) -> dict[str, Any]:
    n = draw.choice([draw.randint(1, 50), draw.randint(100, 10**5), draw.randint(10**5, 2**34)])
    start, direction = draw.choice([0, n, draw.randint(0, n)]), draw.choice(["in"] * 6 + ["out"])
    caps = [None, draw.randint(1, 2**64 - 1), *(draw.randint(4096, max(4097, n * pages)) for pages in (4096, 400, 40))]
    return {
        "tuner": draw.choice(["consist", "temporal"]),
        "target_bp": draw.choice([draw.randint(1, 10_000), draw.randint(2000, 9000)]),
        "n_pages": n,
        "start_pages": start,
        "cap_bytes": draw.choice(caps),
        "delay": draw.choice([0, 0, 0, 1, 2, 3, draw.randint(0, 30)]),
        "leak_pages": draw.choice([0, 0, 0, draw.randint(0, max(1, n // 100))]),
        "leak_rate": draw.choice([0.0, 0.0, draw.random() * 0.05, draw.random()]),
        "capacity_pages": None if direction == "out" or draw.random() < 0.7 else draw.randint(start, n),
        "early_exit": draw.random() < 0.3,
        "noise_bp": draw.choice([0.0, 0.0, 0.0, draw.random() * 300]),
        "direction": direction,
        "windows": draw.choice([draw.randint(2, 120), 400, 600]),
        "seed": draw.randint(0, 2**64 - 1),
    }


def test_its_loop_and_its_kinds_are_the_package_s(browser: Any, page_file: Path) -> None:
    page, wrong = opened(browser, page_file, viewport=DESK)
    assert wrong == []
    draw, kinds = random.Random(23), set()
    for _ in range(10):
        cases = [settings(draw) for _ in range(100)]
        texts = [{k: str(v) if k in ("cap_bytes", "seed") and v is not None else v for k, v in c.items()} for c in cases]
        for case, got in zip(cases, page.evaluate(RUNS, texts), strict=True):
            ds = tm.loop.run(**case)
            traces = [ds[name].values.tolist() for name in ("pages", "moved", "leaked", "measured", "score")]
            kind = tm.analysis.verdict(ds, check_fix=False).kind
            assert got == [int(ds.final_pages), *traces, [str(e) for e in ds.esz.values.tolist()], kind], case
            kinds.add(kind)
    assert len(kinds) >= 8
    page.context.close()


def test_it_redraws_within_a_frame_and_speaks_damo(browser: Any, page_file: Path) -> None:
    page, _ = opened(browser, page_file, viewport=DESK)
    took = page.evaluate("""() => [...Array(50)].map((_, k) => {
      document.getElementById("quota_mib").value = k % 15;
      const before = performance.now(); redraw(); return performance.now() - before; })""")
    assert np.median(took) < 16
    quota = page.evaluate("settings().cap_bytes.toString()")
    line = page.locator("#line").text_content()
    words = shlex.split(line.replace("\\\n", " "))
    scheme = open_scenario(words).scenario.contexts[0].schemes[1]
    assert (scheme.quota.sz_bytes, scheme.quota.goal_tuner) == (int(quota), "temporal")
    page.locator("#reset").click()
    page.locator("input[value=consist]").check()
    page.wait_for_function("document.getElementById('line').textContent.includes('consist')")
    page.context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [PHONE, DESK], ids=["phone", "desk"])
def test_axe_finds_nothing_and_nothing_is_cut_off(size: dict[str, int], scheme: str, browser: Any, page_file: Path) -> None:
    axe = Path(os.environ.get("TIERINGMODEL_AXE") or Path(__file__).parent / "node_modules/axe-core/axe.min.js")
    page, _ = opened(browser, page_file, viewport=size, color_scheme=scheme, bypass_csp=True)
    page.evaluate(axe.read_text(encoding="utf-8"))
    assert [v["id"] for v in page.evaluate("axe.run()")["violations"]] == []
    assert page.evaluate("document.documentElement.scrollWidth") == size["width"]
    box = page.locator("#chart").bounding_box()
    assert box["y"] + box["height"] <= size["height"]
    page.context.close()
