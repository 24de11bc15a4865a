"""Stability maps of one loop, with the boundaries that theory draws."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from .reading import need, numbers
from .roles import BLUE, GREEN, GREY, ORANGE, PURPLE, SKY, VERMILLION, Dashes, listed
from .style import LABEL_PT, SMALL_PT, Sheet, dress, headline_all, ink

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes

Floats = npt.NDArray[np.float64]

CLASS_COLOURS = {
    "converged": GREEN,
    "ripple": SKY,
    "limit-cycle": ORANGE,
    "runaway": VERMILLION,
    "wrong-point": PURPLE,
    "saturated": BLUE,
    "stuck": GREY,
    "wrong-polarity": "#000000",
}
IMPOSSIBLE_COLOUR = "#E8E8E8"
_DASHES: tuple[Dashes, ...] = ((0, ()), (0, (5, 2)), (0, (1.5, 1.5)), (0, (7, 2, 1.5, 2)))
LABELLED = 0.03
"""Least share of a panel that a region needs to carry its name; smaller ones stand in the legend of colours."""


class Look(NamedTuple):
    """How one of the maps is drawn."""

    what: str
    panel: Callable[[Any], str]
    message: Callable[[xr.Dataset], str]
    log_x: bool
    log_y: bool
    height_in: float
    class_names: Mapping[str, str] = MappingProxyType({})
    """What a verdict means in this map, where its name alone would mislead."""


def edges_of(centres: npt.NDArray[Any], log: bool) -> Floats:
    """Return cell edges halfway between centres, in equal ratios if `log`."""
    c = np.log(centres) if log else np.asarray(centres, np.float64)
    middle = (c[1:] + c[:-1]) / 2
    edges = np.concatenate([[2 * c[0] - middle[0]], middle, [2 * c[-1] - middle[-1]]])
    return np.asarray(np.exp(edges) if log else edges, np.float64)


def _quota_message(ds: xr.Dataset) -> str:
    """Return the largest quota with which each controller holds its goal, at the best reset interval for it."""
    names, cap = list(ds["class_name"].values), numbers(ds, "cap_mib")
    holds = np.isin(ds["class"].values, [names.index("converged"), names.index("ripple")]).any(axis=1)
    found = [
        f"{name} up to {cap[ok].max():.0f} MiB" if ok.any() else f"{name} none"
        for name, ok in zip(ds["controller"].values, np.atleast_2d(holds), strict=True)
    ]
    return f"Quotas that hold a goal within 2 % against churn: {listed(found, 6)}"


def _gain_message(ds: xr.Dataset) -> str:
    row = int(np.argmin(np.abs(np.log(numbers(ds, "gain")))))
    swinging = ds["class"].values[:, row] == list(ds["class_name"].values).index("limit-cycle")
    late = ds["delay_windows"].values[swinging.all(axis=0)]
    if not late.size:
        return "At the kernel's gain of 1 CONSIST is stable at every delay shown"
    windows = f"{int(late.min())} window{'' if late.min() == 1 else 's'}"
    return f"At the kernel's gain of 1 CONSIST swings for ever once its metric lags {windows}"


def _start_message(ds: xr.Dataset) -> str:
    target, error = numbers(ds, "target_bp"), numbers(ds, "error_bp")[0, 0]
    end, capacity = target + error, float(ds["capacity_bp"].values[0])
    filled = end >= capacity - 1
    free = ~filled & (error > 0)
    over = f"overshoots its goal by {100 * np.median(error[free] / target[free]):.0f} %" if free.any() else "rests"
    full = f"; goals from {target[filled].min():.0f} bp on fill the node" if filled.any() else ""
    return f"From an empty node {json.loads(ds.attrs['parameters'])['controller']} {over}{full}"


LOOKS = {
    "quota": Look("class", str, _quota_message, True, True, 4.3),
    "gain": Look(
        "class",
        lambda v: f"{100 * v:g} % leaks per window",
        _gain_message,
        False,
        True,
        4.3,
        {"ripple": "stable: replaces the leak"},
    ),
    "start": Look("error_bp", lambda v: f"room for {v / 100:g} % of the pages", _start_message, False, False, 4.1),
}


def _look(ds: xr.Dataset) -> Look:
    name = getattr(ds, "attrs", {}).get("name")
    if getattr(ds, "attrs", {}).get("kind") != "stability_map" or name not in LOOKS:
        makers = "quota_map, gain_map or start_map of tieringmodel.studies"
        raise InputError("ds", f"{name!r} is no stability map", f"give what {makers} returns")
    return LOOKS[name]


def map_sheet(ds: xr.Dataset) -> Sheet:
    """Return the sheet of `stability_map`: one panel beside the other."""
    return Sheet(_look(ds).height_in, 1, ds.sizes[ds.attrs["panel"]], sharex=True, sharey=True)


def stability_map(ds: xr.Dataset, *, what: str | None = None, ax: Any = None) -> npt.NDArray[Any]:
    """Draw a stability map: verdict classes, or one of its measures, with the boundaries from theory.

    Parameters
    ----------
    ds : xarray.Dataset
        From ``quota_map``, ``gain_map`` or ``start_map`` of `tieringmodel.studies`.
    what : str, optional
        ``"class"``, ``"ripple_bp"``, ``"error_bp"``, ``"residual_bp"`` or ``"waste"``; by default the class, for
        ``start_map`` the error.
    ax : sequence of matplotlib Axes, optional
        One per panel; by default a new figure.

    Returns
    -------
    ndarray of matplotlib Axes
        One per panel.

    Raises
    ------
    InputError
        If the dataset is no map, or lacks the measure.

    Examples
    --------
    >>> import tieringmodel as tm
    >>> from tieringmodel.studies.maps import quota_map
    >>> len(tm.plot.stability_map(quota_map(cells=8, duration_s=300.0)))
    3
    """
    look = _look(ds)
    shown = look.what if what is None else what
    need(ds, "ds", (shown, "boundary_x", "boundary_y"), "tieringmodel.studies")
    axes = map_sheet(ds).axes(ax)
    x, y = edges_of(ds[ds.attrs["x"]].values, look.log_x), edges_of(ds[ds.attrs["y"]].values, look.log_y)
    mesh = None
    for k, (panel, value) in enumerate(zip(axes, ds[ds.attrs["panel"]].values, strict=False)):
        if look.log_x:
            panel.set_xscale("log")
        if look.log_y:
            panel.set_yscale("log")
        dress(panel, _label(ds, "x"), _label(ds, "y") if k == 0 else "")
        panel.grid(visible=False)
        if shown == "class":
            _classes(panel, ds, ds["class"].values[k], x, y, look.class_names)
        else:
            mesh = _measure(panel, ds, shown, numbers(ds, shown)[k], x, y)
        panel.set_title(look.panel(value), loc="left", fontsize=LABEL_PT)
        panel.set_xlim(x[0], x[-1])
        panel.set_ylim(y[0], y[-1])
        _plain_ticks(panel, look)
    _boundaries(axes, ds)
    if mesh is not None:
        bar(axes, mesh, str(ds[shown].attrs["long_name"]), str(ds[shown].attrs["units"]))
    headline_all(axes, look.message(ds))
    return axes[: ds.sizes[ds.attrs["panel"]]]


def _label(ds: xr.Dataset, which: str) -> str:
    about = ds[ds.attrs[which]].attrs
    text = str(about["long_name"])
    return f"{text[:1].upper()}{text[1:]} [{about['units']}]"


def _plain_ticks(ax: Axes, look: Look) -> None:
    from matplotlib.ticker import MaxNLocator, NullFormatter

    for axis, log in ((ax.xaxis, look.log_x), (ax.yaxis, look.log_y)):
        if log:
            axis.set_major_formatter(lambda value, _: f"{value:g}")
            axis.set_minor_formatter(NullFormatter())
        else:
            axis.set_major_locator(MaxNLocator(9 if look.log_y else 5, steps=[1, 2, 5, 10], integer=True))


def _classes(ax: Axes, ds: xr.Dataset, code: npt.NDArray[Any], x: Floats, y: Floats, class_names: Mapping[str, str]) -> None:
    from matplotlib.colors import ListedColormap
    from scipy.ndimage import distance_transform_edt

    names = [str(n) for n in ds["class_name"].values]
    colours = [IMPOSSIBLE_COLOUR, *(CLASS_COLOURS.get(n, GREY) for n in names)]
    ax.pcolormesh(
        x, y, code, cmap=ListedColormap(colours), vmin=-1.5, vmax=len(names) - 0.5, alpha=0.75, rasterized=True, linewidth=0
    )
    for k in np.unique(code[code >= 0]):
        mine = np.pad(code == k, 1)
        if mine.sum() < LABELLED * code.size:
            continue
        # The cell farthest from any other class, so that the name lies inside its region; of several, the middle one.
        depth = distance_transform_edt(mine)
        rows, columns = np.nonzero(depth >= depth.max() - 0.5)
        middle = int(np.argmin((columns - np.median(columns)) ** 2 + (rows - np.median(rows)) ** 2))
        row, column = int(rows[middle]), int(columns[middle])
        at = (x[column - 1] * x[column]) ** 0.5 if ax.get_xscale() == "log" else (x[column - 1] + x[column]) / 2
        up = (y[row - 1] * y[row]) ** 0.5 if ax.get_yscale() == "log" else (y[row - 1] + y[row]) / 2
        word = class_names.get(names[k], names[k])
        ax.text(at, up, word, ha="center", va="center", fontsize=SMALL_PT, color="black", zorder=6)


def _measure(ax: Axes, ds: xr.Dataset, name: str, values: Floats, x: Floats, y: Floats) -> Any:
    from matplotlib.colors import LogNorm, Normalize

    ax.set_facecolor(IMPOSSIBLE_COLOUR)
    if name == "error_bp":
        most = float(np.nanmax(np.abs(numbers(ds, name))))
        norm = Normalize(-most, most)
        return ax.pcolormesh(x, y, values, cmap="PuOr", norm=norm, rasterized=True, edgecolors="face", linewidth=0.2)
    if name == "waste":
        return ax.pcolormesh(x, y, values, cmap="cividis", norm=Normalize(0, 1), rasterized=True)
    high = max(10.0, float(np.nanmax(numbers(ds, name))))
    return ax.pcolormesh(x, y, np.maximum(values, 0.1), cmap="cividis", norm=LogNorm(0.1, high), rasterized=True)


def bar(axes: npt.NDArray[Any], mesh: Any, text: str, units: str) -> None:
    """Put a colour bar right of the axes."""
    drawn = axes[0].figure.colorbar(mesh, ax=list(axes), pad=0.02, fraction=0.05)
    drawn.set_label(f"{text[:1].upper()}{text[1:]} [{units}]", fontsize=SMALL_PT)
    drawn.ax.tick_params(labelsize=SMALL_PT)


def _boundaries(axes: npt.NDArray[Any], ds: xr.Dataset) -> None:
    """Draw each boundary in its panels and name it once below them."""
    from matplotlib import patheffects

    drawn: dict[str, Any] = {}
    xs, ys, panels = numbers(ds, "boundary_x"), numbers(ds, "boundary_y"), ds["boundary_panel"].values
    for name, x, y, panel in zip(ds["boundary"].values, xs, ys, panels, strict=True):
        style = list(drawn).index(str(name)) if str(name) in drawn else len(drawn)
        casing = [patheffects.Stroke(linewidth=3.2, foreground="white"), patheffects.Normal()]
        for ax in axes if panel < 0 else axes[panel : panel + 1]:
            drawn[str(name)] = ax.plot(
                x,
                y,
                color=ink(),
                linewidth=1.5,
                linestyle=_DASHES[style % len(_DASHES)],
                path_effects=casing,
                zorder=5,
                scalex=False,
                scaley=False,
            )[0]
    figure = axes[0].figure
    figure.legend(
        list(drawn.values()),
        list(drawn),
        loc="outside lower center",
        ncols=3 if len(drawn) <= 3 else 2,
        fontsize=SMALL_PT,
        frameon=False,
        handlelength=3.5,
    )
