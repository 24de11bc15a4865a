"""Schemes as the golden vectors write them in JSON, turned into fields of a scenario."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ...units import FOREVER

_PATTERN = ("min_sz_bytes", "max_sz_bytes", "min_nr_accesses", "max_nr_accesses", "min_age", "max_age")
_FILTERS = {
    "addr": {"start_bytes": "start", "end_bytes": "end"},
    "target": {"target_idx": "idx"},
    "hugepage_size": {"min_bytes": "min", "max_bytes": "max"},
}
"""Fields of a filter beside its type, and their keys in the JSON."""


def pattern_fields(bounds: Sequence[int]) -> dict[str, int]:
    """Return the fields of an access pattern, which the JSON lists."""
    return dict(zip(_PATTERN, bounds, strict=True))


def weight_fields(weights: Sequence[int]) -> dict[str, int]:
    """Return the fields of priority weights, which the JSON lists."""
    return dict(zip(("sz", "nr_accesses", "age"), weights, strict=True))


def filter_fields(f: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a filter."""
    fields = {"type": f["type"], "matching": f["matching"], "allow": f["allow"]}
    return fields | {field: f[key] for field, key in _FILTERS.get(f["type"], {}).items()}


def scheme_fields(
    s: Mapping[str, Any], goals: Sequence[Mapping[str, Any]], filters: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """Return the fields of a scheme with these goals and filters (as fields); without its target node."""
    return {
        "action": s["action"],
        "access_pattern": pattern_fields(s["pattern"]),
        "apply_interval_us": s["apply_interval_us"],
        "quota": {
            "ms": s["ms"],
            "sz_bytes": s["sz"],
            "reset_interval_ms": s["reset_interval_ms"],
            "goal_tuner": s["tuner"],
            "weights": weight_fields(s["weights"]),
            "fail_charge_num": s["fail_charge"][0],
            "fail_charge_denom": s["fail_charge"][1],
            "goals": goals,
        },
        "filters": filters,
    }


def attrs_fields(c: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a context's attributes."""
    goal = dict(zip(("access_bp", "aggrs", "min_sample_us", "max_sample_us"), c["intervals_goal"], strict=True))
    return {
        "sample_us": c["sample_us"],
        "aggr_us": c["aggr_us"],
        "update_us": c["ops_update_us"],
        "min_nr_regions": c["min_nr_regions"],
        "max_nr_regions": c["max_nr_regions"],
        "intervals_goal": goal,
    }


def group_fields(g: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a group of the workload."""
    row = {"lo": g["lo"], "hi": g["hi"], "kind": g["kind"], "start_tick": g["t0"], "end_tick": min(g["t1"], FOREVER)}
    if g["kind"] == "period":
        return row | {"period": g["period"], "phase": g["phase"], "stride": g["stride"]}
    return row | {"threshold": g["thr"], "salt": g["salt"]}
