"""What the files of a whole run hold: the keys of its JSON in either format, and the columns of its trace."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy.typing as npt

from ...errors import InputError, quoted
from ...fields import suggest

_RESULTS = "aggregations rng_count rng_crc32 rng_initial_state owner_initial_crc32 owner_final_crc32 rng_raw_complete"
_ATTRIBUTES = "sample_us aggr_us ops_update_us min_nr_regions max_nr_regions min_region_sz intervals_goal"
_SCHEME = "action target_nid pattern apply_interval_us ms sz reset_interval_ms tuner weights fail_charge max_nr_snapshots"

FIRST, SECOND = 1, 2
KEYS = {
    FIRST: {
        "run": f"format name note kernel hz jiffies0 ticks cost_ns_per_page logical place groups ctxs mem reserve {_RESULTS}",
        "mem": "base_pfn node0_pages hole_pages node1_pages",
        "group": "lo hi kind period phase stride thr salt t0 t1",
        "ctx": f"seed {_ATTRIBUTES} ranges schemes",
        "scheme": f"{_SCHEME} goals filters sysbp",
        "goal": "metric target nid user_input",
        "sysbp": "metric target nid count denom complement early_exit",
        "filter": "type matching allow start end idx min max",
    },
    SECOND: {
        "run": "format kernel kernel_release name note hz jiffies0 clocked ticks duration_us tick_us cost_ns_per_page on_full "
        f"folio_pages nodes logical place groups memcgs processes vma_events ctxs commits mem reserve {_RESULTS} values",
        "mem": "base_pfn node0_pages hole_pages node1_pages",
        "group": "lo hi kind period phase stride thr salt t0 t1",
        "vma_event": "at process vmas",
        "commit": "at ctx to",
        "ctx": f"seed ops {_ATTRIBUTES} addr_unit targets ranges schemes",
        "target": "process ranges",
        "scheme": f"{_SCHEME} dests wmarks goals filters sysbp",
        "goal": "metric target nid memcg user_input",
        "filter": "type matching allow start end idx memcg_id min max",
    },
}
"""Every key of each kind of table, by format; format 2 leaves none of them out."""

_REGIONS = "tick ctx target start end nr_accesses last_nr_accesses age"
_TRACE = {
    "regA": _REGIONS,
    "regB": _REGIONS,
    "scheme": "tick ctx scheme esz esz_bp charged_sz total_charged_sz total_charged_ns charged_from_jiffies "
    "charge_target_plus1 charge_addr_from min_score nr_tried sz_tried nr_applied sz_applied sz_ops_filter_passed "
    "qt_exceeds nr_snapshots next_apply_sis",
    "goal": "tick ctx scheme goal current target",
    "node": "tick ctx used0 used1 migrated_total alloc_failed_total owner_crc32 jiffies clock_ns",
    "events": "tick ctx scheme start end nr_accesses_mvsum age score sz_applied sz_filter_passed early_exit",
    "runs": "tick ctx site count",
}
_LATER = {"scheme": " sample_us aggr_us active", "node": " lru_active out", "events": " target"}
"""Columns that format 2 has, too."""


def table(kind: str, data: Any, where: str, form: int = SECOND) -> Mapping[str, Any]:
    """Return `data` if it is a table with no key but those of its kind; in format 2 with all of them.

    Raises
    ------
    InputError
        At a key that is unknown or missing.
    """
    known = KEYS[form][kind].split()
    if not isinstance(data, Mapping):
        raise InputError(where, "is not a table", f"write a table with the keys {', '.join(known)}")
    for key in data:
        if key not in known:
            raise InputError(f"{where}.{key}", f"is not a known key of format {form}", suggest(str(key), known))
    for key in known if form == SECOND else ():
        if key not in data:
            raise InputError(f"{where}.{key}", "is missing", "format 2 leaves nothing out")
    return data


def tables(kind: str, data: Sequence[Any], where: str, form: int = SECOND) -> list[Mapping[str, Any]]:
    """Return what `table` makes of each."""
    return [table(kind, one, f"{where}[{i}]", form) for i, one in enumerate(data)]


def check_first(run: Mapping[str, Any]) -> None:
    """Refuse keys that format 1 does not have, wherever they stand."""
    table("run", run, "run", FIRST)
    table("mem", run["mem"], "mem", FIRST)
    tables("group", run["groups"], "groups", FIRST)
    for i, context in enumerate(tables("ctx", run["ctxs"], "ctxs", FIRST)):
        for j, scheme in enumerate(tables("scheme", context["schemes"], f"ctxs[{i}].schemes", FIRST)):
            for kind, name in (("goal", "goals"), ("filter", "filters"), ("sysbp", "sysbp")):
                tables(kind, scheme[name], f"ctxs[{i}].schemes[{j}].{name}", FIRST)


def form_of(run: Mapping[str, Any]) -> int:
    """Return the format of a run's JSON, which says so from format 2 on.

    Raises
    ------
    InputError
        If there is no such format.
    """
    form = run.get("format", FIRST)
    if type(form) is not int or form not in KEYS:
        raise InputError("format", f"{quoted(form)} is no format that is read", "give a run of format 1 or 2")
    return form


def check_release(run: Mapping[str, Any], release: str) -> None:
    """Refuse a run of format 2 that says it is of another release than the one whose rules it is replayed under."""
    if run["kernel_release"] != release:
        text = f"{quoted(run['kernel_release'])} is not {release}, which {quoted(run['kernel'])} stands for"
        raise InputError("kernel_release", text, "name the kernel whose run it is")


def check_trace(run: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]]) -> None:
    """Refuse a trace that lacks a column of its format or has one that is not of it, or not as many numbers as the JSON says.

    Raises
    ------
    InputError
        That names the column.
    """
    form, known = form_of(run), {"owner_final"}
    for name, columns in _TRACE.items():
        if name == "runs" and run.get("clocked"):
            continue
        known |= {f"{name}.{column}" for column in (columns + (_LATER.get(name, "") if form == SECOND else "")).split()}
    optional = {"rng_raw"} if form == FIRST else set()
    if form == SECOND and run["rng_raw_complete"]:
        known.add("rng_raw")
    for name in known - set(arrays):
        raise InputError(name, "is missing", f"a trace of format {form} has it")
    for name in set(arrays) - known - optional:
        raise InputError(name, f"is not a known column of format {form}", suggest(name, sorted(known)))
    for name, column in arrays.items():
        if column.ndim != 1 or column.dtype.kind not in "iub":
            raise InputError(name, "is no list of whole numbers", f"a trace of format {form} holds nothing else")
    for name in (n for n in arrays if "." in n):
        rows = arrays[f"{name.partition('.')[0]}.tick"].size
        if arrays[name].size != rows:
            raise InputError(name, f"has {arrays[name].size} rows, its table {rows}", "columns of a table are equally long")
    count = sum(column.size for column in arrays.values())
    if form == SECOND and run["values"] != count:
        raise InputError("values", f"{quoted(run['values'])} is not the {count} numbers of the trace", "copy both files anew")
