"""What figures and tables read from a dataset, in plain types, whether it was just made or comes from a file."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from ..scenario import Scenario
from ..scenario.numbering import numbered
from ..verdicts.row import NOT_IN_KERNEL
from .roles import BASELINE, listed, role_of, short

if TYPE_CHECKING:
    import xarray as xr

RUN, COMPARISON = "tieringmodel.simulate", "tieringmodel.compare"
TIME = "Time since DAMON was turned on [s]"


def plain(value: object) -> str:
    """Return text on one line, with control characters (a terminal might obey them) made visible."""
    text = " ".join(str(value).split())
    return "".join("\N{REPLACEMENT CHARACTER}" if unicodedata.category(c).startswith("C") else c for c in text)


def names(ds: xr.Dataset) -> list[str]:
    """Return the policies of a comparison as plain text."""
    return [plain(p) for p in ds["policy"].values]


def need(ds: xr.Dataset, where: str, variables: Sequence[str], maker: str) -> None:
    """Refuse a dataset without the variables that a figure or table shows.

    Raises
    ------
    InputError
        Naming the first variable that is missing, or what was passed instead of a dataset.
    """
    if not hasattr(ds, "data_vars"):
        raise InputError(where, f"a {type(ds).__name__} is not a dataset", f"pass what {maker} returns")
    for name in variables:
        if name not in ds:
            raise InputError(where, f"the dataset has no variable {name!r}", f"pass what {maker} returns")


def numbers(ds: xr.Dataset, name: str) -> npt.NDArray[np.float64]:
    """Return a variable as float64, NaN where it has no value."""
    return np.asarray(ds[name].values, np.float64)


def settled(ds: xr.Dataset) -> npt.NDArray[np.bool_]:
    """Return which policies settled, bool (policy,); a file may hold them as 0 and 1."""
    return np.asarray(np.asarray(ds["settled"].values) == 1, np.bool_)


def ran(ds: xr.Dataset) -> npt.NDArray[np.bool_]:
    """Return which policies were run, bool (policy,): all but those that need what the kernel lacks."""
    return np.asarray(
        [str(kind) != NOT_IN_KERNEL for kind in ds["kind"].values] if "kind" in ds else [True] * ds.sizes["policy"]
    )


def scenario(ds: xr.Dataset) -> dict[str, Any]:
    """Return the ``scenario`` attribute as a plain mapping; empty if there is none."""
    try:
        scenario = json.loads(str(ds.attrs.get("scenario", "{}")))
    except json.JSONDecodeError:
        return {}
    return scenario if isinstance(scenario, dict) else {}


def context(ds: xr.Dataset, index: int) -> dict[str, Any]:
    """Return one context of the scenario as it is at the start; empty if it is unknown."""
    contexts = scenario(ds).get("contexts", [])
    return contexts[index] if index < len(contexts) else {}


def _parsed(ds: xr.Dataset) -> Scenario | None:
    """Return the scenario of a run; None if it is unknown."""
    try:
        return Scenario.from_json(str(ds.attrs.get("scenario", "")), stored=True)
    except InputError:
        return None


def stages(ds: xr.Dataset) -> list[tuple[float, Scenario]]:
    """Return (seconds, scenario from then on) for the start and all that changes in a run; nothing if it is unknown."""
    given = _parsed(ds)
    return [] if given is None else [(0.0, given), *((at_us * 1e-6, now) for at_us, now in given.stages())]


def schemes(ds: xr.Dataset) -> list[str]:
    """Return a name for every scheme of a run: its number, its action, where it moves pages to, and when it is there."""
    actions = ds["scheme_action"].values if "scheme_action" in ds else np.full(ds.sizes["scheme"], "")
    places = _places(ds)
    out = []
    for k, of_scheme in zip(ds["scheme"].values.tolist(), np.atleast_2d(actions).T, strict=True):
        action = ", then ".join(str(action) for action, _ in groupby(of_scheme))
        out.append(f"{k}: {action}{places.get(k, '')}")
    return out


def _places(ds: xr.Dataset) -> dict[int, str]:
    """Return in words the nodes that each scheme moves pages to, and when it comes and goes, by number."""
    given = _parsed(ds)
    if given is None:
        return {}
    numbers, end_s = numbered(given), float(ds["time"].values[-1])
    out = {}
    for k in range(len(numbers.schemes)):
        since_s, until_s = numbers.span_s(k)
        course = [s.target_nid for stage, s in numbers.scheme_over_time(k) if numbers.since_s(stage) <= max(end_s, since_s)]
        nodes = [nid for nid, _ in groupby(course)]
        text = " " + ", then ".join(f"to node {nid}" if nid >= 0 else "to no node" for nid in nodes) if max(nodes) >= 0 else ""
        text += f" from {since_s:g} s" if since_s else ""
        out[k] = text + (f" until {until_s:g} s" if until_s <= end_s else "")
    return out


def verdict(cmp: xr.Dataset) -> str:
    """Return how many of the policies that are no baseline came to rest at the target, and which."""
    known = zip(names(cmp), settled(cmp), ran(cmp), strict=True)
    judged = [(p, ok) for p, ok, run in known if run and role_of(p) != BASELINE]
    rest = [short(p) for p, ok in judged if ok]
    if not judged:
        return "No policy besides the baselines"
    if len(rest) == len(judged) > 1:
        return f"All {len(rest)} policies come to rest at the target"
    if not rest:
        return f"None of {len(judged)} policies comes to rest at the target"
    verb = "comes" if len(rest) == 1 else "come"
    return f"{len(rest)} of {len(judged)} policies {verb} to rest at the target: {listed(rest)}"
