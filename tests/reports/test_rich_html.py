"""What notebooks show: everything escaped, nothing lost."""

from __future__ import annotations

from html.parser import HTMLParser

from hypothesis import given
from hypothesis import strategies as st
from small import pull, push, scenario

import tieringmodel as tm
from tieringmodel.rich_html import folded, table, titled


class Text(HTMLParser):
    """The text of a piece of HTML by tag, and its tags."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.cells: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.append(tag)
        if tag in ("td", "th"):
            self.cells.append("")

    def handle_data(self, data: str) -> None:
        if self.tags and self.tags[-1] in ("td", "th"):
            self.cells[-1] += data


@given(st.lists(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\r\0")), min_size=2, max_size=2), max_size=4))
def test_cells_come_through_as_they_are(rows: list[list[str]]) -> None:
    seen = Text(table(("a", "b<i>"), rows))
    assert seen.cells == ["a", "b<i>", *(cell for row in rows for cell in row)]
    assert set(seen.tags) <= {"table", "thead", "tbody", "tr", "th", "td"}


def test_titles_and_folded_text_are_escaped() -> None:
    assert "<script" not in titled("<script>", folded("<script>", "<script>"))


def test_a_scenario_shows_its_nodes_schemes_and_toml() -> None:
    shown = scenario(pull(), push(), name="<b>")._repr_html_()
    assert "<b>&lt;b&gt;</b>" in shown
    assert "contexts[0].schemes[1]" in shown
    assert "node_eligible_mem_bp of node 1 = 4000" in shown
    assert "[machine]" in shown or "[[machine.nodes]]" in shown


def test_a_verdict_and_findings_show_what_they_say() -> None:
    found = tm.analysis.verdict(tm.loop.run("temporal", 4000, 100_000, 0, cap_bytes=1 << 20))
    cells = Text(found._repr_html_()).cells
    assert found.cause in cells
    assert "overshoot_bp" in cells
    findings = tm.lint(tm.load("C3_pullpush_temporal"))
    cells = Text(findings._repr_html_()).cells
    assert cells[5:10] == [findings[0].level, findings[0].code, findings[0].path, findings[0].message, findings[0].remedy]
    assert str(findings).endswith("1 warning")
