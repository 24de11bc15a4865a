"""How a loop's arrays become a dataset: names, units and sources in one place."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import xarray as xr

SOURCE = "tieringmodel.loop, integer window loop (docs/theory/stability.md, section 0)"

VARIABLES: dict[str, tuple[str, str]] = {
    "pages": ("pages on the goal node at the window's start", "pages"),
    "moved": ("pages the scheme moved in the window", "pages"),
    "leaked": ("pages that left the goal node by themselves in the window", "pages"),
    "esz": ("effective quota of the window", "B"),
    "measured": ("goal-node share as the tuner saw it (delayed, noisy)", "bp"),
    "score": ("measured share per goal, 10000 = achieved", "1e-4"),
    "final_pages": ("pages on the goal node after the last window", "pages"),
    "peak_pages": ("most pages on the goal node at any window edge", "pages"),
    "trough_pages": ("fewest pages on the goal node at any window edge", "pages"),
    "last_move_window": ("last window in which the scheme moved a page, -1 for none", "windows"),
    "settling_window": ("first window edge from which the run stays within 2 % of the goal, -1 for none", "windows"),
    "moved_pages": ("pages the scheme moved in all windows", "pages"),
    "final_esz": ("effective quota of the last window", "B"),
    "tail_mean_pages": ("mean pages on the goal node over the tail's window ends", "pages"),
    "tail_low_pages": ("fewest pages on the goal node at the tail's window ends", "pages"),
    "tail_high_pages": ("most pages on the goal node at the tail's window ends", "pages"),
    "tail_moved_pages": ("mean pages the scheme moved per window of the tail", "pages"),
}


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return {"shape": list(value.shape)} if value.ndim else value.item()
    raise TypeError(f"cannot write {type(value).__name__} as JSON")


def dataset(
    kind: str, parameters: dict[str, Any], variables: dict[str, tuple[tuple[str, ...], Any]], coords: dict[str, Any]
) -> xr.Dataset:
    """Return the dataset of one call: `variables` maps a name of `VARIABLES` to (dimensions, values)."""
    import xarray as xr

    described = {}
    for name, (dims, values) in variables.items():
        long_name, units = VARIABLES[name]
        described[name] = (dims, values, {"long_name": long_name, "units": units, "source": SOURCE})
    return xr.Dataset(
        described,
        coords=coords,
        attrs={"kind": kind, "source": SOURCE, "parameters": json.dumps(parameters, default=_plain)},
    )
