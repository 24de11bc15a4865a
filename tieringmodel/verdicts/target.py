"""What a run is judged by: the node, the share that shall be somewhere, and the pages that it is a share of."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ..checks import dataset
from ..errors import InputError
from ..scenario import Scenario
from ..scenario.controlled import Controlled, controlled

if TYPE_CHECKING:
    import xarray as xr


def need_dataset(ds: object) -> None:
    """Refuse what is no dataset."""
    dataset("ds", ds, "pass what simulate or loop.run returned")


def end_us(ds: xr.Dataset) -> int:
    """Return the last moment whose targets a run is judged by; what changes at the very end changes nothing any more."""
    return round(float(ds["time"].values[-1]) * 1e6) - 1


def target_of(ds: xr.Dataset, node: int | None = None) -> Controlled | None:
    """Return what a page-level run is to reach (on `node`) by its goals at its end; None without a share to reach."""
    need_dataset(ds)
    if ds.attrs.get("kind") != "simulation" or "scenario" not in ds.attrs:
        return None
    scenario = Scenario.from_json(ds.attrs["scenario"], stored=True)
    try:
        return controlled(scenario, at_us=end_us(ds), node=node)
    except InputError:
        return None


def goal_node(ds: xr.Dataset) -> int:
    """Return the node that a run is judged by: that of the share that its goals control, else 0."""
    what = target_of(ds)
    return what.nid if what else 0


def pages_of(ds: xr.Dataset) -> int:
    """Return how many pages of a page-level run are touched at any time: those that a goal about accesses is about."""
    touched = (ds["class_rate_hz"].values > 0).any(axis=0)
    return int(ds["class_pages"].values[0].sum(axis=0)[touched].sum())  # all of them, for none is reclaimed at the start


def share_bp(ds: xr.Dataset, what: Controlled) -> npt.NDArray[np.float64]:
    """Return the controlled share of a simulation at its records, bp, float64 (n_records,)."""
    if what.kind == "access":
        return np.asarray(ds["access_share_bp"].sel(node=what.nid).values, float)
    used, free = ds["used_pages"].sel(node=what.nid).values, ds["free_pages"].sel(node=what.nid).values
    return np.asarray(np.divide(1e4 * used, used + free, out=np.full(used.shape, np.nan), where=used + free > 0))


def records_at(time: npt.NDArray[np.float64], grid: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """Return the last record at or before each point of `grid`, -1 before the first; nanoseconds do not count."""
    return np.asarray(np.searchsorted(time, grid + 1e-9, side="right") - 1, np.int64)
