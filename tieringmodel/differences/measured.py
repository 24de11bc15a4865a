"""By which numbers runs are set side by side, and which change of each counts."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..errors import InputError
from ..scenario import Scenario
from ..simulation.simulate import window_s
from ..sweeps.point import MEASURES, summary_measures
from ..units import MIB
from ..verdicts.expect import values_of
from ..verdicts.judge import verdict
from ..verdicts.row import WITHIN, ping_pong_ratio
from ..workload.truth import touched_pages

if TYPE_CHECKING:
    import xarray as xr

MOST_BP = 9000
"""The share of accesses that a node serves from `hot90_s_node` on."""
TEXTS = ("kind", "cause", "text")
KIND = "kind"


class About(NamedTuple):
    """Unit and meaning of a measure."""

    units: str
    text: str


OF_A_RUN: dict[str, About] = {
    KIND: About("1", "verdict"),
    "hot90_s_node": About("s", "time at which the node first serves 90 % of all accesses; inf = never"),
    "hot_share_node": About("bp", "share of accesses that the node serves at the end"),
    "settling_s": About("s", "time from which everything is where it should be, by the verdict; inf = never"),
    **{name: About(*MEASURES[name]) for name in ("share_mean_bp", "share_error_bp", "share_sd_bp", "overshoot_bp")},
    "abs_error_bp": About("bp", "mean distance in the tail of the controlled shares from where they should be"),
    "residual_mib_s": About(*MEASURES["residual_mib_s"]),
    "last_move_s": About("s", "when a page was last migrated or reclaimed; nan = never"),
    **{name: About(*MEASURES[name]) for name in ("migrated_mib_s", "migrated_pages", "ping_pong", "moves_per_page")},
    "sz_tried_scheme": About("bytes", "bytes that the scheme tried"),
    "sz_applied_scheme": About("bytes", "bytes to which the scheme was applied"),
    "qt_exceeds_scheme": About("windows", "windows that ended with the scheme's quota full"),
}
"""What is measured of a run, the answers first; a node's or scheme's number follows a name that ends with its kind."""


def stem_of(name: str) -> str:
    """Return the name of a measure without the number of its node or scheme."""
    return name if name in OF_A_RUN else name.rstrip("0123456789")


def in_order(names: set[str]) -> list[str]:
    """Return names of measures as `OF_A_RUN` lists them, those of one kind by number."""
    stems = [*OF_A_RUN]
    return sorted(names, key=lambda name: (stems.index(stem := stem_of(name)), int(name[len(stem) :] or 0)))


def measured(ds: xr.Dataset) -> dict[str, Any]:
    """Return what a page-level run came to: numbers by name, and the verdict's kind, first cause and text.

    Parameters
    ----------
    ds : xarray.Dataset
        From `tieringmodel.simulate`, or stored, also by an earlier version.

    Raises
    ------
    InputError
        If it is no page-level run.
    """
    found, scenario = verdict(ds), Scenario.from_json(ds.attrs["scenario"], stored=True)
    moved, touched = ds["migrated_pages"].values, touched_pages(scenario.workload)
    out: dict[str, Any] = {KIND: found.kind, "cause": found.code, "text": found.text}
    time, share = ds["time"].values, ds["access_share_bp"].values
    for k, nid in enumerate(ds["node"].values.tolist()):
        reached = np.flatnonzero(share[:, k] >= MOST_BP)
        out[f"hot90_s_node{nid}"] = float(time[reached[0]]) if reached.size else math.inf
    known = set(OF_A_RUN)
    out |= {name: value for name, value in values_of(ds, found=found).items() if stem_of(name) in known - {"overshoot_bp"}}
    try:
        of_share = summary_measures(ds, scenario, found=found)
        out |= {name: of_share[name] for name in ("share_mean_bp", "share_error_bp", "share_sd_bp", "overshoot_bp")}
    except InputError:  # no share is controlled
        pass
    out["migrated_pages"] = int(moved.sum())
    out["migrated_mib_s"] = float(moved.sum()) * scenario.machine.folio_bytes / MIB / float(ds.attrs["duration_s"])
    out["ping_pong"] = ping_pong_ratio(ds["returns"].values if "returns" in ds else None, moved, WITHIN)
    out["moves_per_page"] = float(moved.sum()) / max(touched, 1)
    for name in ("sz_tried", "sz_applied", "qt_exceeds"):
        if name in ds and ds[name].size:
            out |= {f"{name}_scheme{k}": float(value) for k, value in enumerate(ds[name].values[-1])}
    return out


class Scale(NamedTuple):
    """What a change of a measure has to exceed to count, by its unit."""

    least: dict[str, float]

    @classmethod
    def of(cls, scenario: Scenario, duration_s: float) -> Scale:
        """Return the scale of runs of that scenario and length."""
        pages = max(1e-3 * scenario.workload.n_pages, 1.0)
        return cls(
            {
                "s": max(window_s(scenario), duration_s / 100),
                "bp": 100.0,
                "MiB s-1": 0.25,
                "pages": pages,
                "bytes": pages * scenario.machine.folio_bytes,
                "windows": 1.0,
                "1": 0.01,
            }
        )

    def tolerance(self, name: str, *values: float) -> float:
        """Return how far values of a measure may be apart to be called the same."""
        largest = max((abs(v) for v in values if math.isfinite(v)), default=0.0)
        return max(self.least[OF_A_RUN[stem_of(name)].units], largest / 100)
