"""A page's section about a tuning: the answer, what it beats, how far its knobs may move, and every candidate."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..plot.files import drawn_of_tuning
from ..plot.reading import plain
from ..plot.tuning import answer_of
from .drawing import svg
from .text_of_comparison import MISSING

if TYPE_CHECKING:
    import xarray as xr

MOST_ROWS = 60
_CAPTIONS = {
    "tuning_front": "Each candidate by the mean over its seeds; hollow where the end is missed in at least one run.",
    "tuning_margins": "Each knob alone, with the first seed: thick where the end is met, a cross where it is missed first.",
}


def headline(ds: xr.Dataset) -> str:
    """Return the answer in a line."""
    answer = answer_of(ds)
    n = int(ds.sizes["candidate"])
    return f"{'met' if answer['met'] else 'no candidate meets the end'}: {answer['end']}; {n} candidates, {answer['runs']} runs"


def section(ds: xr.Dataset, ident: str) -> dict[str, Any]:
    """Return what ``tuning.html`` shows of a tuning."""
    answer = answer_of(ds)
    names = [str(n) for n in ds["measure"].values]
    order = ds["shortfall"].values.argsort(kind="stable").tolist()
    rows = [
        [
            (str(int(ds["candidate"].values[k])), True),
            (plain(ds["origin"].values[k]), False),
            ("yes" if ds["met"].values[k] else "no", False),
            *((_shown(float(v)), True) for v in ds["value"].values[k]),
            (str(int(ds["runs"].values[k])), True),
            (plain(ds["change"].values[k]), False),
        ]
        for k in order[:MOST_ROWS]
    ]
    first, last = [("candidate", True), ("found by", False), ("met", False)], [("runs", True), ("change", False)]
    told = [line for line in str(answer["text"]).split("\n") if line.strip()]
    return {
        "headline": headline(ds),
        "facts": f"simulated {float(ds.attrs['duration_s']):g} s each · seeds {', '.join(map(str, answer['seeds']))}",
        "told": told,
        "figures": [(svg(name, ds, f"{ident}-{name}", _CAPTIONS[name]), _CAPTIONS[name]) for name in drawn_of_tuning(ds)],
        "heads": [*first, *((name, True) for name in names), *last],
        "rows": rows,
        "rows_hidden": max(len(order) - MOST_ROWS, 0),
    }


def _shown(value: float) -> str:
    return MISSING if value != value else "never" if value in (float("inf"), float("-inf")) else f"{value:.4g}"
