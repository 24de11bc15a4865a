"""What a stability map is made of: axes, boundaries from theory, and the dataset that carries both."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..verdicts.grid import Codes, Floats, Tail
from ..verdicts.judge import KINDS

if TYPE_CHECKING:
    import xarray as xr

Variable = tuple[npt.NDArray[Any], str, str]
"""Values, long name, unit."""


@dataclass(frozen=True)
class Axis:
    """One dimension of a map."""

    name: str
    values: npt.NDArray[Any]
    long_name: str
    units: str


@dataclass(frozen=True)
class Line:
    """A boundary from theory, in the coordinates of the map's two axes; `panel` -1 = every panel."""

    name: str
    x: Floats
    y: Floats
    panel: int = -1


def map_dataset(
    name: str,
    axes: Sequence[Axis],
    variables: Mapping[str, Variable],
    lines: Sequence[Line],
    parameters: Mapping[str, Any],
) -> xr.Dataset:
    """Return the dataset of a map: `axes` are panel, vertical and horizontal, `variables` name (values, text, unit)."""
    import xarray as xr

    source = f"tieringmodel.studies.{name}_map"
    dims = tuple(a.name for a in axes)
    data: dict[str, Any] = {
        key: (dims, values, {"long_name": text, "units": units, "source": source})
        for key, (values, text, units) in variables.items()
    }
    if "class" in data:
        data["class"][2].update(flag_values=list(range(-1, len(KINDS))), flag_meanings=" ".join(("impossible", *KINDS)))
    length = max((line.x.size for line in lines), default=0)
    for which, unit_of in (("x", axes[-1]), ("y", axes[-2])):
        values = np.full((len(lines), length), np.nan)
        for k, line in enumerate(lines):
            values[k, : line.x.size] = getattr(line, which)
        about = {"long_name": f"boundary: {unit_of.long_name}", "units": unit_of.units, "source": source}
        data[f"boundary_{which}"] = (("boundary", "point"), values, about)
    panels = np.array([line.panel for line in lines], np.int64)
    about = {"long_name": "panel of the boundary, -1 = every panel", "units": "1", "source": source}
    data["boundary_panel"] = ("boundary", panels, about)
    coords: dict[str, Any] = {a.name: (a.name, a.values, {"long_name": a.long_name, "units": a.units}) for a in axes} | {
        "boundary": ("boundary", [line.name for line in lines])
    }
    if "class" in data:
        coords["class_name"] = ("class_code", list(KINDS))
    return xr.Dataset(
        data,
        coords,
        {
            "kind": "stability_map",
            "name": name,
            "source": source,
            "panel": axes[-3].name,
            "y": axes[-2].name,
            "x": axes[-1].name,
            "parameters": json.dumps(dict(parameters)),
        },
    )


def judged(tail: Tail, waste: Floats, codes: Codes) -> dict[str, Variable]:
    """Return the variables of a map of single loops, for `map_dataset`."""
    return {
        "class": (codes, "verdict: index of class_name, -1 = cannot be set up", "1"),
        "ripple_bp": ((tail.high_bp - tail.low_bp) / 2, "half the swing of the share in the tail", "bp"),
        "error_bp": (tail.mean_bp - tail.goal_bp, "mean share in the tail minus the goal", "bp"),
        "residual_bp": (1e4 * tail.moved_share, "pages moved per window of the tail per eligible page", "bp"),
        "waste": (waste, "share of all moves beyond the net change of placement", "1"),
    }
