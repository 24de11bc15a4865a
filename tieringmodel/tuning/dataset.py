"""A tuning as a dataset: what figures and reports are drawn from."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING

import numpy as np

from .._version import __version__
from ..datasets.schema import SCHEMA_VERSION
from .answer import Tuned

if TYPE_CHECKING:
    import xarray as xr

_SOURCE = "tieringmodel.tune"


def dataset_of(tuned: Tuned) -> xr.Dataset:
    """Return the candidates of a tuning with their measures as a dataset.

    Parameters
    ----------
    tuned : Tuned
        From `tieringmodel.tune`.

    Returns
    -------
    xarray.Dataset
        Of kind "tuning": ``shortfall``, ``met``, ``runs``, ``origin`` and ``change`` by ``candidate``; ``value`` by candidate
        and ``measure``, means over its seeds; ``position`` by candidate and ``knob``, -1 where none makes it. The attribute
        ``answer`` is the JSON of the rest.
    """
    import xarray as xr

    rows, answer = tuned.tried, tuned.to_dict()
    names = list(dict.fromkeys(name for row in rows for name in row["measures"]))
    knobs = [one["path"] for one in tuned.about["knobs"]]
    values = np.array([[row["measures"].get(name, math.nan) for name in names] for row in rows], np.float64)
    at = np.array([row["positions"] or [-1] * len(knobs) for row in rows], np.int64)

    def told(long_name: str, units: str = "1") -> dict[str, str]:
        return {"long_name": long_name, "units": units, "source": _SOURCE}

    data = {
        "shortfall": (
            "candidate",
            [float(r["shortfall"]) for r in rows],
            told("what is missing to the end; at most 0: nothing"),
        ),
        "met": ("candidate", [bool(r["met"]) for r in rows], told("the end is met with all seeds")),
        "runs": ("candidate", [int(r["runs"]) for r in rows], told("page-level runs")),
        "origin": ("candidate", [str(r["origin"]) for r in rows], told("where it comes from")),
        "change": ("candidate", [str(r["text"]) for r in rows], told("what it changes")),
        "value": (("candidate", "measure"), values, told("mean over its seeds", "measure's own")),
        "position": (("candidate", "knob"), at.reshape(len(rows), len(knobs)), told("place among a knob's values")),
    }
    coords = {"candidate": [int(r["number"]) for r in rows], "measure": names, "knob": knobs}
    ds = xr.Dataset(data, coords)
    for name, text in (("candidate", "candidate"), ("measure", "measure"), ("knob", "path of a knob's first field")):
        ds[name].attrs = told(text)
    short = {k: v for k, v in answer.items() if k != "tried"}
    ds.attrs = {
        "kind": "tuning",
        "schema_version": SCHEMA_VERSION,
        "name": tuned.scenario.name,
        "scenario": tuned.scenario.to_json(),
        "kernel": tuned.scenario.kernel.title,
        "answer": json.dumps(short),
        "duration_s": float(tuned.about["duration_s"]),
        "seed": int(tuned.about["seeds"][0]),
        "tieringmodel": __version__,
    }
    return ds
