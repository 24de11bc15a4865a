"""What a page says about a sweep: how its points came out, a table of them, and maps of its measures."""

from __future__ import annotations

import json
from collections import Counter
from html import escape
from typing import TYPE_CHECKING

from ..plot.reading import plain
from ..plot.sweeps import SEED, measured
from .drawing import svg
from .text_of_comparison import MISSING
from .text_of_sweep import cells

if TYPE_CHECKING:
    import xarray as xr

MOST_ROWS = 50
MOST_ERRORS = 5
DRAWN = ("share_error_bp", "residual_mib_s")
_CAPTION = (
    "{what}: {long_name}. Axes beyond the second are averaged. Grey cells have no finite mean: "
    "never, where a seed never gets there, or a dash, where none was measured."
)
_WORDS = {"inf": "never", "nan": MISSING}


def headline(ds: xr.Dataset) -> str:
    """Return how many points there are and how they came out."""
    done = ds["done"].values.astype(bool)
    failed = int((done & (ds["error"].values != "")).sum())
    counts = Counter(map(plain, ds["kind"].values[done & (ds["error"].values == "")])) if "kind" in ds else Counter()
    told = [f"{n} {kind}" for kind, n in counts.most_common()]
    told += [f"{failed} failed"] if failed else []
    told += [f"{int((~done).sum())} not run yet"] if not done.all() else []
    return f"{done.size} points" + (f": {', '.join(told)}" if told else "")


def body(ds: xr.Dataset, ident: str) -> str:
    """Return the headline, the figures and the table of a sweep as HTML.

    Parameters
    ----------
    ds : xarray.Dataset
        What `tieringmodel.sweep` returns, or a store of it, finished or not.
    ident : str
        Begins every id.

    Returns
    -------
    str
    """
    seeds = f" · {ds.sizes[SEED]} seeds at each setting" if SEED in ds["done"].dims else ""
    parts = [
        f'<p class="headline">{escape(headline(ds))}</p>',
        f'<p class="facts">simulated {float(ds.attrs["duration_s"]):g} s each{seeds}</p>',
    ]
    figures = []
    known = [n for n in measured(ds) if ((ds["done"].values == 1) & (ds["error"].values == "")).any()]
    for name in [n for n in DRAWN if n in known] or known[: len(DRAWN)]:
        caption = _CAPTION.format(what=name, long_name=plain(ds[name].attrs.get("long_name", name)))
        drawn = svg("sweep_map", ds, f"{ident}-{name}", caption, measure=name)
        figures.append(f'<figure><div class="scroll">{drawn}</div><figcaption>{escape(caption)}</figcaption></figure>')
    if figures:
        parts += ["<h3>Figures</h3>", *figures]
    parts += ["<h3>Points</h3>", _table(ds)]
    errors = list(dict.fromkeys(plain(e) for e in ds["error"].values.ravel() if e != ""))
    if errors:
        shown = "\n".join(f"<li>{escape(e)}</li>" for e in errors[:MOST_ERRORS])
        rest = f"<p>… and {len(errors) - MOST_ERRORS} more</p>" if len(errors) > MOST_ERRORS else ""
        parts.append(f"<h3>What failed</h3>\n<ul>\n{shown}\n</ul>{rest}")
    design = json.dumps(json.loads(str(ds.attrs["design"])), indent=1)
    parts.append(f"<details><summary>Design (JSON)</summary><pre><code>{escape(design)}</code></pre></details>")
    return "\n".join(parts)


def _table(ds: xr.Dataset) -> str:
    heads, shown, total = cells(ds, MOST_ROWS)
    numeric = [all(_number(row[k]) for row in shown) for k in range(len(heads))]
    kind = [" class=n" if n else "" for n in numeric]
    top = "".join(f"<th scope=col{k}>{escape(h)}</th>" for h, k in zip(heads, kind, strict=True))
    body = ([f"<td{k}>{escape(_WORDS.get(c, c))}</td>" for c, k in zip(row, kind, strict=True)] for row in shown)
    lines = ["<tr>" + "".join(row) + "</tr>" for row in body]
    rest = f"<p>… and {total - len(shown)} more</p>" if total > len(shown) else ""
    return (
        '<div class="scroll" tabindex="0" role="region" aria-label="Table, scrolls sideways"><table>\n'
        f"<thead><tr>{top}</tr></thead>\n<tbody>\n" + "\n".join(lines) + f"\n</tbody></table></div>{rest}"
    )


def _number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
