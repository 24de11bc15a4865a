"""The RFC's claims in figures: four panels of runs, the five-page example, and the figures of the README."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from .reading import need, numbers
from .roles import BLUE, VERMILLION, Dashes
from .style import LABEL_PT, SMALL_PT, Sheet, dress, headline_all, ink, label_ends

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes

TITLES = {
    "i": "Weights without identity never settle",
    "ii": "Weights by VMA offset settle at their ratio",
    "iii": "A goal in bp settles and stops",
    "iv": "A clamp keeps quotas from the impossible",
}
TRUE, FALSE = BLUE, VERMILLION
"""Colours of a setting in which the claim came out true, and in which it did not."""
DASHED: Dashes = (0, (4, 1.5))
CLAIM_SHEET = Sheet(3.0)
"""The sheet of `rfc_claim`."""


def claims_sheet(found: Sequence[Any]) -> Sheet:
    """Return the sheet of `rfc_claims`: one panel below the other, for every line is named at its end."""
    return Sheet(0.7 + 2.3 * len(found), len(found))


def five_pages_sheet(ds: xr.Dataset) -> Sheet:
    """Return the sheet of `five_pages`: five small panels in a row."""
    return Sheet(0.9 + 1.75 * -(-ds.sizes["reading"] // 5), -(-ds.sizes["reading"] // 5), 5, sharex=True, sharey=True)


def _dataset(found: Any) -> xr.Dataset:
    ds: xr.Dataset = getattr(found, "dataset", found)
    if getattr(ds, "attrs", {}).get("kind") != "claim":
        raise InputError("claim", f"a {type(found).__name__} is no claim", "give what tieringmodel.studies.claim returns")
    need(ds, "claim", ("share_bp", "moved_share", "target_bp", "holds"), "tieringmodel.studies.claim")
    return ds


def rfc_claim(found: Any, *, ax: Axes | None = None) -> Axes:
    """Draw the runs behind one claim of the RFC; the colour says where it came out true.

    Parameters
    ----------
    found : Claim or xarray.Dataset
        From `tieringmodel.studies.claim`, or its dataset.
    ax : matplotlib Axes, optional
        Where to draw; by default a new figure.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    InputError
        If it is no claim.
    """
    ds = _dataset(found)
    target = CLAIM_SHEET.axes(ax)[0]
    name = str(ds.attrs["name"])
    _PANELS.get(name, _shares)(target, ds)
    holds = np.asarray(ds["holds"].values, bool)
    count = f"in {holds.sum()} of {holds.size} settings" if not holds.all() else "in every setting"
    target.set_title(f"({name}) {TITLES.get(name, name)}: true {count}", loc="left", fontsize=LABEL_PT, pad=6)
    return target  # type: ignore[no-any-return]


def rfc_claims(found: Sequence[Any], *, ax: Any = None) -> npt.NDArray[Any]:
    """Draw the RFC's claims one below the other.

    Parameters
    ----------
    found : sequence of Claim or xarray.Dataset
        From `tieringmodel.studies.claims`.
    ax : sequence of matplotlib Axes, optional
        One per claim; by default a new figure.

    Returns
    -------
    ndarray of matplotlib Axes
        One per claim.

    Raises
    ------
    InputError
        If there is nothing to draw, something is no claim, or there are too few axes.
    """
    from matplotlib.lines import Line2D

    if not len(found):
        raise InputError("found", "is empty", "give what tieringmodel.studies.claims returns")
    sets = [_dataset(c) for c in found]
    axes = claims_sheet(sets).axes(ax)
    # The names at the ends of lines look for places by the height that the axes will have.
    axes[0].figure.draw_without_rendering()
    for panel, ds in zip(axes, sets, strict=False):
        rfc_claim(ds, ax=panel)
    marks = [Line2D([], [], color=TRUE, linewidth=2), Line2D([], [], color=FALSE, linewidth=2, linestyle=DASHED)]
    axes[0].figure.legend(
        marks,
        ["the claim came out true in this setting", "it did not"],
        loc="outside lower center",
        ncols=2,
        fontsize=SMALL_PT,
        frameon=False,
    )
    headline_all(axes, _message(sets))
    return axes[: len(sets)]


def _message(sets: Sequence[xr.Dataset]) -> str:
    everywhere = [f"({ds.attrs['name']})" for ds in sets if bool(ds["holds"].values.all())]
    nowhere = [f"({ds.attrs['name']})" for ds in sets if not bool(ds["holds"].values.any())]
    some = len(sets) - len(everywhere) - len(nowhere)
    if some == len(sets):
        return f"Each of the RFC's {len(sets)} claims holds under conditions, none without"
    always, never = (", ".join(names) or "none" for names in (everywhere, nowhere))
    return f"Of the RFC's {len(sets)} claims {some} hold under conditions, {always} without, {never} nowhere"


def _lines(ax: Axes, ds: xr.Dataset, x: npt.NDArray[Any], values: npt.NDArray[np.float64], drawn: str) -> None:
    """Draw one line per setting and name it at its end."""
    ends = []
    for setting, ok, row in zip(ds["setting"].values, ds["holds"].values, values, strict=True):
        known = np.flatnonzero(np.isfinite(row))
        if not known.size:
            continue
        colour = TRUE if ok else FALSE
        ax.plot(
            x,
            row,
            color=colour,
            linewidth=1.4,
            linestyle="-" if ok else DASHED,
            drawstyle=drawn,
            label=setting,
            alpha=0.9,
            zorder=4 if ok else 3,
        )
        ends.append((float(x[known[-1]]), float(row[known[-1]]), str(setting), colour))
    ax.set_xlim(float(x[0]), float(x[-1]))
    label_ends(ax, ends)


def _moves(ax: Axes, ds: xr.Dataset, rounds: int = 20) -> None:
    dress(ax, "Round", "Pages moved [% per round]")
    values = 100 * numbers(ds, "moved_share")[:, :rounds]
    ax.set_ylim(-2, 1.04 * float(np.nanmax(values)))
    _lines(ax, ds, np.arange(1, values.shape[1] + 1), values, "default")
    ax.set_xticks([1, *range(5, values.shape[1] + 1, 5)])


def _shares(ax: Axes, ds: xr.Dataset, windows: int = 70) -> None:
    from matplotlib.ticker import MultipleLocator

    dress(ax, "Window", "Share of goal's node [bp]")
    ax.set_ylim(-200, 10_300)
    ax.yaxis.set_major_locator(MultipleLocator(2000))
    goal = float(np.median(numbers(ds, "target_bp")))
    ax.axhline(goal, color=ink(), linewidth=0.9, alpha=0.55, zorder=2, gid="target")
    ax.annotate("goal", (0, goal), (3, 2), textcoords="offset points", fontsize=SMALL_PT, color=ink())
    values = numbers(ds, "share_bp")[:, : windows + 1]
    _lines(ax, ds, np.arange(values.shape[1]), values, "default")


def _ratios(ax: Axes, ds: xr.Dataset) -> None:
    dress(ax, "Share of node 0 at rest [bp]", grid="x")
    share, goal = numbers(ds, "share_bp"), numbers(ds, "target_bp")
    rows, ends = np.arange(share.shape[0])[::-1], []
    for row, setting, values, wanted, ok in zip(rows, ds["setting"].values, share, goal, ds["holds"].values, strict=True):
        end = float(values[np.isfinite(values)][-1])
        colour = TRUE if ok else FALSE
        ax.plot([wanted, end], [row, row], color=colour, linewidth=1.4, linestyle="-" if ok else DASHED, zorder=3)
        ax.plot(end, row, "o", color=colour, markersize=6.5, zorder=4, clip_on=False,
                markerfacecolor=colour if ok else "white", markeredgewidth=1.5)  # fmt: skip
        ends.append((10_000.0, float(row), str(setting), colour))
    ax.axvline(float(np.median(goal)), color=ink(), linewidth=0.9, alpha=0.55, zorder=2, gid="target")
    ax.annotate("wanted", (float(np.median(goal)), -0.75), (-3, 0), textcoords="offset points", ha="right", fontsize=SMALL_PT)
    ax.set_yticks([])
    ax.spines["left"].set_visible(False)
    ax.set_ylim(-0.9, share.shape[0] - 0.4)
    ax.set_xlim(0, 10_000)
    ax.set_xticks(range(0, 10_001, 2000))
    label_ends(ax, ends)


def _quotas(ax: Axes, ds: xr.Dataset, windows: int = 150) -> None:
    from matplotlib.ticker import NullLocator

    from ..units import format_bytes

    dress(ax, "Window", "Quota [B per window]")
    values = numbers(ds, "esz_bytes")[:, :windows]
    ax.set_yscale("symlog", linthresh=1.0, linscale=0.3)
    ax.set_ylim(-0.4, 10 * float(np.nanmax(values)))
    ax.yaxis.set_ticks([0, *(1024.0**k for k in range(1, 6) if 1024.0**k <= np.nanmax(values))])
    ax.yaxis.set_minor_locator(NullLocator())
    ax.yaxis.set_major_formatter(lambda value, _: format_bytes(value))
    _lines(ax, ds, np.arange(values.shape[1]), values, "default")


_PANELS: dict[str, Callable[[Axes, xr.Dataset], None]] = {"i": _moves, "ii": _ratios, "iii": _shares, "iv": _quotas}


def five_pages(ds: xr.Dataset, *, ax: Any = None) -> npt.NDArray[Any]:
    """Draw where each of the RFC's five pages is after each iteration, in a panel per reading of the rule.

    Parameters
    ----------
    ds : xarray.Dataset
        From `tieringmodel.studies.rfc_five_pages`.
    ax : sequence of matplotlib Axes, optional
        One per reading; by default a new figure with five in a row.

    Returns
    -------
    ndarray of matplotlib Axes
        One per reading.

    Raises
    ------
    InputError
        If the dataset is not the example.

    Examples
    --------
    >>> import tieringmodel as tm
    >>> from tieringmodel.studies.five_pages import rfc_five_pages
    >>> len(tm.plot.five_pages(rfc_five_pages()))
    10
    """
    from matplotlib.colors import ListedColormap
    from matplotlib.patches import Patch

    if getattr(ds, "attrs", {}).get("kind") != "five_pages":
        raise InputError("ds", "is not the five-page example", "give what rfc_five_pages() returns")
    axes = five_pages_sheet(ds).axes(ax)
    x, y = np.arange(ds.sizes["iteration"] + 1) - 0.5, np.arange(ds.sizes["page"] + 1) - 0.5
    colours = ["#D9D9D9", BLUE]
    rests, right = ds["settled"].values, ds["at_ratio"].values
    for k, panel in enumerate(axes[: ds.sizes["reading"]]):
        dress(panel)
        panel.grid(visible=False)
        panel.pcolormesh(
            x, y, ds["node"].values[k].T, cmap=ListedColormap(colours), vmin=0, vmax=1, edgecolors="white", linewidth=0.8
        )
        word = "at rest, 2 to 3" if rests[k] and right[k] else "at rest, wrong" if rests[k] else "never at rest"
        name = textwrap.fill(str(ds["reading"].values[k]), 20)
        panel.set_title(f"{name}\n{word}", loc="left", fontsize=SMALL_PT, pad=3)
        panel.set_yticks(range(ds.sizes["page"]))
        panel.set_xticks(range(0, ds.sizes["iteration"], 2))
        grid = panel.get_subplotspec()
        if grid is None or grid.is_first_col():
            panel.set_ylabel("Page", fontsize=LABEL_PT)
        if grid is None or grid.is_last_row():
            panel.set_xlabel("Iteration", fontsize=LABEL_PT)
    axes[0].figure.legend(
        [Patch(facecolor=colours[0]), Patch(facecolor=colours[1])],
        ["on node 0", "on node 1"],
        loc="outside lower center",
        ncols=2,
        fontsize=SMALL_PT,
        frameon=False,
    )
    both = int((rests & right).sum())
    headline_all(
        axes,
        f"Five pages, weights 40 to 60: {int(rests.sum())} of {rests.size} readings come to rest, "
        f"{both} of them at 2 to 3 pages",
    )
    return axes[: ds.sizes["reading"]]


def write_readme_figures(folder: str | Path) -> list[Path]:
    """Run the experiments and write the README's figures: ``claims.png`` and ``consist_or_temporal.png``.

    In the repository: ``python -c "from tieringmodel.plot import write_readme_figures as w; w('docs/figures')"``.

    Parameters
    ----------
    folder : str or Path
        Is made if it does not exist.

    Returns
    -------
    list of Path
        What was written.

    Raises
    ------
    InputError
        If the folder is a file.
    """
    # The only function here that runs anything: a figure of the README must follow from the code beside it.
    from ..studies import claims, pair_map
    from .files import made_folder, save_png
    from .pairs import consist_or_temporal, pair_sheet

    place = made_folder(folder)
    made, pair = claims(), pair_map()
    parts: tuple[tuple[str, Sheet, Callable[[Any], Any]], ...] = (
        ("claims", claims_sheet(made), lambda axes: rfc_claims(made, ax=axes)),
        ("consist_or_temporal", pair_sheet(pair), lambda axes: consist_or_temporal(pair, ax=axes)),
    )
    written = []
    for name, sheet, draw in parts:
        figure, axes = sheet.figure()
        draw(axes)
        written.append(place / f"{name}.png")
        save_png(figure, written[-1])
    return written
