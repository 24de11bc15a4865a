"""What a page says about a sweep: how its points came out, a table of them, and maps of its measures."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

from ..datasets.kernel import kernel_of
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


def section(ds: xr.Dataset, ident: str) -> dict[str, Any]:
    """Return what ``sweep.html`` shows of a sweep or a store of one, finished or not."""
    seeds = f" · {ds.sizes[SEED]} seeds at each setting" if SEED in ds["done"].dims else ""
    drawn = []
    known = [n for n in measured(ds) if ((ds["done"].values == 1) & (ds["error"].values == "")).any()]
    for name in [n for n in DRAWN if n in known] or known[: len(DRAWN)]:
        caption = _CAPTION.format(what=name, long_name=plain(ds[name].attrs.get("long_name", name)))
        drawn.append((svg("sweep_map", ds, f"{ident}-{name}", caption, measure=name), caption))
    heads, rows, total = cells(ds, MOST_ROWS)
    numeric = [all(_number(row[k]) for row in rows) for k in range(len(heads))]
    errors = list(dict.fromkeys(plain(e) for e in ds["error"].values.ravel() if e != ""))
    return {
        "headline": headline(ds),
        "facts": " · ".join(filter(None, (f"simulated {float(ds.attrs['duration_s']):g} s each{seeds}", kernel_of(ds)))),
        "figures": drawn,
        "heads": list(zip(heads, numeric, strict=True)),
        "rows": [[(_WORDS.get(c, c), n) for c, n in zip(row, numeric, strict=True)] for row in rows],
        "rows_hidden": total - len(rows),
        "errors": errors[:MOST_ERRORS],
        "errors_hidden": len(errors) - MOST_ERRORS,
        "design": json.dumps(json.loads(str(ds.attrs["design"])), indent=1),
    }


def _number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
