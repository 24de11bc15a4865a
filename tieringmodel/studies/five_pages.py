"""The RFC's example, page by page: five pages on node 0, weights 40 to 60, under every rule the text leaves open."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ..errors import InputError

if TYPE_CHECKING:
    import xarray as xr

PAGES = 5


class Reading(NamedTuple):
    """One way to read "weight-based selection"."""

    name: str
    rule: str
    weights: tuple[int, int]
    allocator: str = "fresh"


READINGS = (
    Reading("last", "last", (40, 60)),
    Reading("first", "first", (40, 60)),
    Reading("per_node", "per_node", (40, 60)),
    Reading("push_only", "push_only", (40, 60)),
    Reading("iid", "iid", (40, 60)),
    Reading("pfn_mod {40,60}", "pfn_mod", (40, 60)),
    Reading("pfn_mod {2,3}", "pfn_mod", (2, 3)),
    Reading("pfn_mod {2,3}, LIFO", "pfn_mod", (2, 3), "lifo"),
    Reading("vma_offset {40,60}", "vma_offset", (40, 60)),
    Reading("vma_offset {2,3}", "vma_offset", (2, 3)),
)
"""The RFC's first iteration is "last": the pages with the highest frame numbers go."""


def rfc_five_pages(iterations: int = 8, seed: int = 0) -> xr.Dataset:
    """Play the RFC's five-page example under every reading of its selection rule.

    Parameters
    ----------
    iterations : int
        Iterations to play, 2 or more.
    seed : int
        For the rules that draw.

    Returns
    -------
    xarray.Dataset
        ``kind`` "five_pages"; over ``reading`` and ``iteration`` = 0 … iterations: node (…, page) uint8, node0_pages
        and moved int64; over ``reading``: last_move_iteration int64 (0 = none), at_ratio bool (two of five pages on
        node 0 at the end), settled bool (nothing moves in the second half).

    Raises
    ------
    InputError
        When `iterations` or `seed` is out of range.

    Notes
    -----
    Frames of node 1 lie above those of node 0 and the next unused one is taken, as in the RFC's listing; page i starts
    on frame i of node 0, so a hash of frame numbers sees 0 … 4 where the RFC writes 0x1000 … 0x1004. Source:
    docs/theory/rfc.md, section 1.5 (A15); rules and expected rows: docs/theory/stability.md, section 1e.

    Examples
    --------
    >>> import tieringmodel as tm
    >>> ds = tm.studies.rfc_five_pages()
    >>> ds.sizes["page"], bool(ds["settled"].any())
    (5, True)
    """
    import xarray as xr

    from .. import interleave

    if isinstance(iterations, bool) or not isinstance(iterations, int) or iterations < 2:
        raise InputError("iterations", f"{iterations!r} is not a count of 2 or more", "write e.g. 8")
    runs = [interleave.run(r.rule, r.weights, PAGES, iterations, allocator=r.allocator, seed=seed) for r in READINGS]
    node = np.stack([ds["node"].values for ds in runs])
    moved = np.stack([ds["moved"].values for ds in runs])
    on_node0 = np.stack([ds["occupancy"].values[:, 0] for ds in runs])
    last = np.array([int(np.flatnonzero(m).max(initial=0)) for m in moved])
    source = "tieringmodel.interleave.run (docs/theory/stability.md, section 1e)"

    def about(long_name: str, units: str) -> dict[str, str]:
        return {"long_name": long_name, "units": units, "source": source}

    over = ("reading", "iteration")
    return xr.Dataset(
        {
            "node": ((*over, "page"), node, about("node of the page after the iteration", "1")),
            "node0_pages": (over, on_node0, about("pages on node 0 after the iteration", "pages")),
            "moved": (over, moved, about("pages moved by the iteration", "pages")),
            "last_move_iteration": ("reading", last, about("last iteration that moved a page, 0 = none", "1")),
            "at_ratio": ("reading", on_node0[:, -1] == 2, about("two of five pages on node 0 at the end", "1")),
            "settled": ("reading", last <= iterations // 2, about("nothing moves in the second half", "1")),
        },
        coords={
            "reading": ("reading", [r.name for r in READINGS]),
            "iteration": ("iteration", np.arange(iterations + 1)),
            "page": ("page", np.arange(PAGES)),
        },
        attrs={
            "kind": "five_pages",
            "source": source,
            "parameters": json.dumps({"iterations": iterations, "seed": seed}),
        },
    )


def five_pages_table(ds: xr.Dataset, iterations: int = 5) -> str:
    """Return the example as text: per reading the nodes of the five pages after each iteration, and the moves.

    Parameters
    ----------
    ds : xarray.Dataset
        From `rfc_five_pages`.
    iterations : int
        Columns to show.

    Returns
    -------
    str
        One line per reading; ``00111`` = pages 0 and 1 on node 0, pages 2 to 4 on node 1.

    Raises
    ------
    InputError
        When `ds` is something else.

    Examples
    --------
    >>> import tieringmodel as tm
    >>> text = tm.studies.five_pages_table(tm.studies.rfc_five_pages())
    >>> len(text.splitlines()) > 3
    True
    """
    if getattr(ds, "attrs", {}).get("kind") != "five_pages":
        raise InputError("ds", "is not the five-page example", "give what rfc_five_pages() returns")
    shown = range(min(iterations, ds.sizes["iteration"] - 1) + 1)
    head = f"{'rule':27s}" + "".join(f"{'start' if t == 0 else t:>7}" for t in shown) + "  moved per iteration  outcome"
    lines = [head]
    for k, name in enumerate(ds["reading"].values):
        places = "".join(f"{''.join(map(str, ds['node'].values[k, t])):>7s}" for t in shown)
        moved = " ".join(str(int(m)) for m in ds["moved"].values[k, 1:])
        rests, right = bool(ds["settled"].values[k]), bool(ds["at_ratio"].values[k])
        outcome = (
            "never settles"
            if not rests
            else "settles at 40/60"
            if right
            else f"settles with {int(ds['node0_pages'].values[k, -1])} of 5 on node 0"
        )
        lines.append(f"{name!s:27s}{places}  {moved:19s}  {outcome}")
    return "\n".join(lines)
