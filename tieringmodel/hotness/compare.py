"""Sources side by side on the same workload, as they are or at equal cost."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InputError
from ..scenario import Scenario
from .protocol import Activity, HotnessSource, source
from .truth import activities, hot_set, score
from .watching import watch

if TYPE_CHECKING:
    import xarray as xr

Named = Callable[[], HotnessSource]
SOURCE = "tieringmodel.hotness, simulated sources"
VARIABLES: dict[str, tuple[str, str]] = {
    "precision": ("share of a source's hottest pages that are hot", "1"),
    "recall": ("share of the hot pages among a source's hottest", "1"),
    "delay_s": ("time until half of the hot pages were reported, inf if they never were", "s"),
    "reported": ("share of the hot pages that were reported at all", "1"),
    "cpu_share": ("CPU time taken over time watched", "1"),
    "reports": ("reports delivered", "1"),
    "lost": ("reports lost in full rings and lists", "1"),
    "covered": ("mean share of the pages that the source looked at", "1"),
}
WHOLE = ("reports", "lost")


def factories(given: Iterable[str] | Mapping[str, str | Named | tuple[str, Mapping[str, Any]]]) -> dict[str, Named]:
    """Return a maker of fresh sources by label.

    Raises
    ------
    InputError
        If there is none, or one is neither a name, a name with parameters, nor a callable.
    """
    if not isinstance(given, Iterable) or not all(isinstance(name, str) for name in given):
        raise InputError("sources", f"a {type(given).__name__} is no list of names", "name at least one source")
    listed = dict(given) if isinstance(given, Mapping) else {name: name for name in given}
    if not listed:
        raise InputError("sources", "is empty", "name at least one source")
    out: dict[str, Named] = {}
    for label, made in listed.items():
        if isinstance(made, str):
            out[label] = _maker(made, {})
        elif isinstance(made, tuple) and len(made) == 2:
            out[label] = _maker(made[0], made[1])
        elif callable(made):
            out[label] = made
        else:
            raise InputError(f"sources.{label}", f"{made!r} makes no source", "give a name, (name, parameters) or a callable")
        out[label]()
    return out


def _maker(name: str, parameters: Mapping[str, Any]) -> Named:
    return lambda: source(name, **parameters)


def compare_sources(
    sources: Iterable[str] | Mapping[str, str | Named | tuple[str, Mapping[str, Any]]],
    truth: Activity | Scenario,
    *,
    duration: str | float = "30 s",
    interval: str | int = "1 s",
    cpu_shares: Sequence[float] | None = None,
    hot_pages: int | None = None,
    seeds: Sequence[int] = (0,),
    half_life_s: float = float("inf"),
) -> xr.Dataset:
    """Let several sources watch one workload and score what they found against what is true.

    Parameters
    ----------
    sources : iterable of str, or mapping of str to str, (str, mapping) or callable
        Names as `source` knows them; or labels with a name, a name and its parameters, or a maker of fresh sources.
    truth : Activity or Scenario
        The workload; a scenario's at its initial placement.
    duration, interval : str, float or int
        Time watched, and the longest step; as in `activities`.
    cpu_shares : sequence of float, optional
        Shares of one CPU that each source may take, through its ``at_cost``. Left out, sources run as they are.
    hot_pages : int, optional
        Size of the hot set, as in `hot_set`. The hot set is that of the last interval.
    seeds : sequence of int
        One run each.
    half_life_s : float
        As in `watch`.

    Returns
    -------
    xarray.Dataset
        Dimensions (source, cpu_share_allowed, seed), the second only with `cpu_shares`: precision, recall, delay_s,
        reported, cpu_share, reports, lost, covered. Attributes ``hot_pages``, ``n_pages`` and ``chance`` (the precision
        of picking at random), ``parameters`` (JSON).

    Raises
    ------
    InputError
        If an argument does not fit, or a source cannot be held to a cost.

    Examples
    --------
    >>> import tieringmodel as tm
    >>> truth = tm.hotness.activity([100.0] * 64 + [0.1] * 960)
    >>> ds = tm.hotness.compare_sources(["accessed_bits", "hint_faults"], truth, duration="3 s")
    >>> ds["source"].values.tolist()
    ['accessed_bits', 'hint_faults']
    """
    import xarray as xr

    makers = factories(sources)
    parts = list(activities(truth, duration, interval))
    hot = hot_set(parts[-1].rate_hz, hot_pages)
    allowed = list(cpu_shares) if cpu_shares is not None else [None]
    if not allowed or not seeds:
        raise InputError("cpu_shares" if not allowed else "seeds", "is empty", "give at least one")
    if any(share is not None and not 0 < share for share in allowed):
        raise InputError("cpu_shares", "holds a share that is not positive", "write e.g. (0.001, 0.01)")
    shape = (len(makers), len(allowed), len(seeds))
    values = {name: np.zeros(shape, np.int64 if name in WHOLE else np.float64) for name in VARIABLES}
    for i, (label, make) in enumerate(makers.items()):
        for j, share in enumerate(allowed):
            for k, seed in enumerate(seeds):
                row = _one(_held(make(), label, share, parts), parts, hot, int(seed), half_life_s)
                for name, value in row.items():
                    values[name][i, j, k] = value
    dims: tuple[str, ...] = ("source", "cpu_share_allowed", "seed")
    coords: dict[str, Any] = {"source": list(makers), "seed": ("seed", list(seeds), {"units": "1", "long_name": "seed"})}
    if cpu_shares is None:
        dims, values = ("source", "seed"), {name: array[:, 0] for name, array in values.items()}
    else:
        about = {"units": "1", "long_name": "share of one CPU that a source may take"}
        coords["cpu_share_allowed"] = ("cpu_share_allowed", [float(share) for share in cpu_shares], about)
    parameters = {"duration_s": sum(p.length_us for p in parts) * 1e-6, "seeds": list(map(int, seeds))}
    return xr.Dataset(
        {name: (dims, array, _about(name)) for name, array in values.items()},
        coords,
        {
            "kind": "hotness",
            "source": SOURCE,
            "n_pages": int(hot.size),
            "hot_pages": int(hot.sum()),
            "chance": float(hot.mean()),
            "parameters": json.dumps(parameters),
        },
    )


def _about(name: str) -> dict[str, str]:
    long_name, units = VARIABLES[name]
    return {"long_name": long_name, "units": units, "source": SOURCE}


def _held(made: HotnessSource, label: str, share: float | None, parts: list[Activity]) -> HotnessSource:
    """Return the source, held to a share of a CPU if one is given."""
    if share is None:
        return made
    if not hasattr(made, "at_cost"):
        raise InputError(f"sources.{label}", "has no at_cost", "leave cpu_shares out, or give it that method")
    held: HotnessSource = made.at_cost(share, parts[0])
    return held


def _one(
    made: HotnessSource, parts: list[Activity], hot: np.ndarray[Any, np.dtype[np.bool_]], seed: int, half_life_s: float
) -> dict[str, float]:
    found = watch(made, parts, seed=seed, half_life_s=half_life_s)
    precision, recall = score(found.rate_hz, hot, seed)
    when = found.first_us[hot]
    reported = when >= 0
    # Half of the hot pages, rounded up: the time of that report.
    half = -(-when.size // 2)
    delay_s = float(np.sort(when[reported])[half - 1]) * 1e-6 if reported.sum() >= half else float("inf")
    return {
        "precision": precision,
        "recall": recall,
        "delay_s": delay_s,
        "reported": float(reported.mean()),
        "cpu_share": found.cpu_share,
        "reports": found.reports,
        "lost": found.lost,
        "covered": found.covered,
    }
