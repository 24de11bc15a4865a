"""Golden whole runs of format 2 (data/golden2/README.md): their JSON, every key of it, as a scenario."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ...errors import InputError
from ...scenario import Scenario
from ...units import PAGE_SZ
from .run_keys import check_release, table, tables
from .scheme_json import attrs_fields, group_fields, scheme_fields


def _goal(g: Mapping[str, Any]) -> dict[str, Any]:
    fields = {"metric": g["metric"], "target_value": g["target"], "nid": g["nid"], "memcg_id": g["memcg"]}
    return fields | {"current_values": [list(pair) for pair in g["user_input"]]}


def _filter(f: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "type": f["type"],
        "matching": f["matching"],
        "allow": f["allow"],
        "start_bytes": f["start"],
        "end_bytes": f["end"],
        "target_idx": f["idx"],
        "memcg_id": f["memcg_id"],
        "min_bytes": f["min"],
        "max_bytes": f["max"],
    }


def _scheme(s: Mapping[str, Any], where: str) -> dict[str, Any]:
    if s["sysbp"]:
        raise InputError(f"{where}.sysbp", "is not empty", "no run of format 2 measures it")
    metric, interval_us, high, mid, low = s["wmarks"]
    goals = [_goal(g) for g in tables("goal", s["goals"], f"{where}.goals")]
    filters = [_filter(f) for f in tables("filter", s["filters"], f"{where}.filters")]
    return scheme_fields(s, goals, filters) | {
        "target_nid": s["target_nid"],
        "dests": [{"id": nid, "weight": weight} for nid, weight in s["dests"]],
        "max_nr_snapshots": s["max_nr_snapshots"],
        "watermarks": {
            "metric": ("none", "free_mem_rate")[metric],
            "interval_us": interval_us,
            "high": high,
            "mid": mid,
            "low": low,
        },
    }


def _context(c: Mapping[str, Any], where: str) -> dict[str, Any]:
    targets = tables("target", c["targets"], f"{where}.targets")
    schemes = tables("scheme", c["schemes"], f"{where}.schemes")
    return {
        "ops": c["ops"],
        "attrs": attrs_fields(c),
        "targets": [{"regions": [list(r) for r in t["ranges"]], "process": max(t["process"], 0)} for t in targets],
        "min_region_sz": c["min_region_sz"],
        "addr_unit": c["addr_unit"],
        "schemes": [_scheme(s, f"{where}.schemes[{i}]") for i, s in enumerate(schemes)],
    }


def _vmas(processes: Sequence[Sequence[Sequence[int]]]) -> list[dict[str, int]]:
    return [
        {"lo": lo, "hi": hi, "start_bytes": start, "pgoff": pgoff, "process": i}
        for i, vmas in enumerate(processes)
        for lo, hi, start, pgoff in vmas
    ]


def _changes(run: Mapping[str, Any]) -> dict[str, Any]:
    """Return a run's VMA events and commits. In lock step their times are ticks: the replay counts in ticks, too."""
    grain = run["tick_us"] if run["clocked"] else 1
    processes, events = list(run["processes"]), []
    for event in tables("vma_event", run["vma_events"], "vma_events"):
        processes[event["process"]] = event["vmas"]
        events.append({"at_us": event["at"] * grain, "path": "workload.vmas", "value": _vmas(processes)})
    commits = [
        {"at_us": c["at"], "context": c["ctx"], "to": _context(table("ctx", c["to"], f"commits[{i}].to"), f"commits[{i}].to")}
        for i, c in enumerate(tables("commit", run["commits"], "commits"))
    ]
    return {"events": events, "commits": commits}


def scenario_of(run: Mapping[str, Any]) -> Scenario:
    """Return the scenario that the JSON of a run of format 2 describes.

    Parameters
    ----------
    run : mapping
        The JSON, every key of it: data/golden2/README.md.

    Raises
    ------
    InputError
        At a key that is unknown or missing, or a value that no scenario takes.
    """
    table("run", run, "run")
    table("mem", run["mem"], "mem")
    size = PAGE_SZ * run["folio_pages"]
    nodes = [
        {"nid": nid, "start_bytes": first * PAGE_SZ, "sz_bytes": frames * PAGE_SZ, "reserve_pages": reserve}
        for nid, first, frames, reserve in run["nodes"]
    ]
    machine = {
        "nodes": nodes,
        "hz": run["hz"],
        "on_full": run["on_full"],
        "migrate_ns_per_page": run["cost_ns_per_page"],
        "folio_bytes": size,
    }
    workload = {
        "n_pages": run["logical"],
        "groups": [group_fields(g) for g in tables("group", run["groups"], "groups") if g["hi"] > g["lo"]],
        "placement": [{"lo": lo, "hi": hi, "nid": nid} for lo, hi, nid in run["place"] if hi > lo],
        "memcgs": [{"memcg_id": m, "parent_id": parent, "lo": lo, "hi": hi} for m, parent, lo, hi in run["memcgs"]],
        "vmas": _vmas(run["processes"]),
        "tick_us": run["tick_us"],
    }
    contexts = [_context(c, f"ctxs[{i}]") for i, c in enumerate(tables("ctx", run["ctxs"], "ctxs"))]
    whole = {"machine": machine, "workload": workload, "contexts": contexts, "name": run["name"], "kernel": run["kernel"]}
    scenario = Scenario.from_dict(whole | _changes(run))
    check_release(run, scenario.kernel.release)
    return scenario
