"""What hotness sources find, and how soon, at equal cost."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from .files import DPI
from .reading import numbers
from .roles import series_colours
from .style import LABEL_PT, SMALL_PT, Sheet, dress, headline_all

if TYPE_CHECKING:
    import xarray as xr

SHEET = Sheet(4.0, 1, 3, sharex=True)
MARKERS = "osD^vP"
_PANELS = (
    ("precision", "Precision", "Share of a source's hottest pages [1]"),
    ("recall", "Recall", "Share of the hot pages [1]"),
    ("delay_s", "Until half was reported", "Time [s]"),
)


def cost_message(ds: xr.Dataset) -> str:
    """Return what a comparison at equal cost says: who finds most with the least and with the most CPU time.

    Parameters
    ----------
    ds : xarray.Dataset
        From `tieringmodel.hotness.compare_sources` with ``cpu_shares``.

    Returns
    -------
    str
    """
    names = [str(name) for name in ds["source"].values]
    recall = numbers(ds, "recall").mean(axis=2)
    shares = numbers(ds, "cpu_share_allowed")
    parts = []
    for column in dict.fromkeys((int(shares.argmin()), int(shares.argmax()))):
        best = int(recall[:, column].argmax())
        ties = [name for name, value in zip(names, recall[:, column], strict=True) if value > recall[best, column] - 0.01]
        who = " and ".join(ties) if len(ties) < 3 else f"{len(ties)} of {len(names)} sources"
        parts.append(f"at {100 * shares[column]:.3g} % of a CPU: {who}, {100 * recall[best, column]:.0f} %")
    return "Most hot pages " + "; ".join(parts)


def sources_at_equal_cost(ds: xr.Dataset, *, ax: Any = None) -> npt.NDArray[Any]:
    """Draw precision, recall and delay of hotness sources over the CPU time that they take.

    Parameters
    ----------
    ds : xarray.Dataset
        From `tieringmodel.hotness.compare_sources` with ``cpu_shares``.
    ax : sequence of three matplotlib Axes, optional
        By default a new figure.

    Returns
    -------
    ndarray of matplotlib Axes, shape (3,)

    Raises
    ------
    InputError
        If the dataset is no such comparison.
    """
    from matplotlib.ticker import FuncFormatter

    if getattr(ds, "attrs", {}).get("kind") != "hotness" or "cpu_share_allowed" not in ds.dims:
        text = "give what tieringmodel.hotness.compare_sources(..., cpu_shares=...) returns"
        raise InputError("ds", "is no comparison of hotness sources at equal cost", text)
    axes = SHEET.axes(ax)[:3]
    names = [str(name) for name in ds["source"].values]
    taken = 100 * numbers(ds, "cpu_share").mean(axis=2)
    colours = series_colours(len(names))
    for panel, (name, title, label) in zip(axes, _PANELS, strict=True):
        dress(panel, "CPU time taken [% of one CPU]", label)
        panel.set_title(title, loc="left", fontsize=LABEL_PT)
        panel.set_xscale("log")
        values = numbers(ds, name)
        for k, colour in enumerate(colours):
            row = np.where(np.isfinite(values[k]), values[k], np.nan)
            seen = ~np.isnan(row).all(axis=1)
            x, row = taken[k][seen], row[seen]
            panel.plot(
                x, np.nanmean(row, axis=1), color=colour, marker=MARKERS[k % len(MARKERS)], markersize=5, linewidth=1.5,
                linestyle=("-", "--")[k // 6 % 2], label=names[k],
            )  # fmt: skip
            if row.shape[1] > 1:
                panel.fill_between(x, np.nanmin(row, axis=1), np.nanmax(row, axis=1), color=colour, alpha=0.15, linewidth=0)
        if name == "delay_s":
            panel.set_yscale("log")
            panel.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        else:
            panel.set_ylim(-0.03, 1.03)
        panel.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    chance = float(ds.attrs["chance"])
    axes[0].axhline(chance, color="0.5", linewidth=1.0, linestyle=(0, (2, 2)))
    axes[0].annotate(
        "picked at random", (0.0, chance), (3, -3), xycoords=("axes fraction", "data"), textcoords="offset points",
        ha="left", va="top", fontsize=SMALL_PT, color="0.35",
    )  # fmt: skip
    handles, labels = axes[1].get_legend_handles_labels()
    axes[0].figure.legend(
        handles, labels, loc="outside lower center", ncols=3, fontsize=SMALL_PT, frameon=False, handlelength=3.0
    )
    headline_all(axes, cost_message(ds))
    return axes


def write_hotness_figure(folder: str | Path) -> Path:
    """Run the sources over a small workload and write ``hotness_at_equal_cost.png``.

    1 GiB on a CXL node: 20,000 hot pages of 50 touches a second, half of them in one run and half scattered, the rest at
    0.1; watched for 20 s.

    Parameters
    ----------
    folder : str or Path
        Exists.

    Returns
    -------
    Path
        What was written.
    """
    from ..hotness import activity, compare_sources

    rate_hz = np.full(1 << 18, 0.1)
    rate_hz[50_000:60_000] = 50.0
    others = np.r_[0:50_000, 60_000 : rate_hz.size]
    rate_hz[np.random.default_rng(0).choice(others, 10_000, replace=False)] = 50.0
    ds = compare_sources(
        {
            "accessed bits (DAMON)": "accessed_bits",
            "hint faults, first access": ("hint_faults", {"accesses": 1}),
            "hint faults, second access": ("hint_faults", {"accesses": 2}),
            "device counters (CHMU)": "chmu",
            "sampled instructions (IBS)": "instruction_samples",
        },
        activity(rate_hz), duration="20 s", cpu_shares=(1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1),
    )  # fmt: skip
    figure, axes = SHEET.figure()
    sources_at_equal_cost(ds, ax=axes)
    path = Path(folder) / "hotness_at_equal_cost.png"
    figure.savefig(path, dpi=DPI)
    return path
