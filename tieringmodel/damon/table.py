"""Schemes and filters of a context as record arrays, in the form that the application pass reads."""

from __future__ import annotations

from typing import Any

import numpy.typing as npt

from ..kernels import layout as L
from ..kernels._jit import records
from ..scenario import Context, Filter, Quota
from ..scenario.linux import Rules
from .parameters import default_rejects, esz0_stops, idle, operations, quota_is_given, split_filters

STAT_FIELDS = (
    "nr_tried",
    "sz_tried",
    "nr_applied",
    "sz_applied",
    "sz_ops_filter_passed",
    "qt_exceeds",
    "nr_snapshots",
)
_ANEW = ("active", "quota_set")
RUNNING = (
    "due", "esz", "next_apply", "adjusted", "next_reset", "charged_sz",
    "total_charged_ns", "charge_target", "charge_addr", "min_score", "last_applied",
    *_ANEW, *STAT_FIELDS,
)  # fmt: skip
"""Columns of a scheme that change while it runs; all others follow from its parameters."""
SURVIVES = tuple(name for name in RUNNING if name not in _ANEW)
"""Those that new parameters leave as they are."""
_FILTER = {
    "addr": L.ADDR,
    "target": L.TARGET,
    "anon": L.ANON,
    "active": L.IS_ACTIVE,
    "memcg": L.MEMCG,
    "young": L.YOUNG,
    "hugepage_size": L.HUGEPAGE_SIZE,
    "unmapped": L.UNMAPPED,
}
_ACTION = {
    "paddr": {
        "migrate_hot": L.MIGRATE, "migrate_cold": L.MIGRATE, "stat": L.STAT, "lru_prio": L.LRU_PRIO,
        "lru_deprio": L.LRU_DEPRIO, "pageout": L.PAGEOUT,
    },
    "vaddr": {
        "willneed": L.MADVISE, "cold": L.MADVISE, "pageout": L.MADVISE, "hugepage": L.MADVISE, "nohugepage": L.MADVISE,
        "collapse": L.MADVISE, "stat": L.STAT, "migrate_hot": L.MIGRATE, "migrate_cold": L.MIGRATE,
    },
}  # fmt: skip
_SCORE = {
    "paddr": {"pageout": L.COLD, "lru_deprio": L.COLD, "migrate_cold": L.COLD, "lru_prio": L.HOT, "migrate_hot": L.HOT},
    "vaddr": {"pageout": L.COLD, "migrate_cold": L.COLD, "migrate_hot": L.HOT},
}


def quota_is_set(quota: Quota, esz: int, rules: Rules) -> bool:
    """Whether there is a quota to be looked at, with an effective quota of `esz` bytes (``damos_quota_is_set``).

    What is left of a quota that a commit took away holds until its charge window ends.
    """
    return esz != 0 or (esz0_stops(quota, rules) and quota_is_given(quota))


def builtin_action(context: Context, action: str, rules: Rules) -> int:
    """Return the code of an action that the application pass carries out itself, UNSUPPORTED for the others.

    Without a walk over pages ``stat`` does nothing that is seen.
    """
    if idle(context, action, rules) or (action == "stat" and not rules.stat_walk):
        return L.UNSUPPORTED
    if action == "lru_prio" and not rules.lru_prio_activate and operations(context) == "paddr":
        return L.MARK_ACCESSED
    return _ACTION[operations(context)].get(action, L.UNSUPPORTED)


def acts_on_whole_regions(row: Any, virtual: bool) -> bool:
    """Tell whether the application pass can carry out a scheme (a row of the table) without looking at single pages."""
    if row["action"] in (L.EXTERNAL, L.UNSUPPORTED, L.MADVISE):
        return True
    if virtual and row["action"] == L.MIGRATE:
        return False
    return bool(row["action"] in (L.MIGRATE, L.STAT) and row["ops_first"] == row["ops_last"] and not row["ops_reject"])


def _filter_rows(filters: list[Filter]) -> list[tuple[int, ...]]:
    rows: list[tuple[int, ...]] = []
    for f in filters:
        start, end = (f.min_bytes, f.max_bytes) if f.type == "hugepage_size" else (f.start_bytes, f.end_bytes)
        index = f.memcg_id if f.type == "memcg" else f.target_idx
        rows.append((_FILTER[f.type], int(f.matching), int(f.allow), start, end, index))
    return rows


def build(
    context: Context, index_of: Any, external: set[int], rules: Rules
) -> tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any]]:
    """Return the scheme, filter and destination tables of a context.

    Parameters
    ----------
    context : Context
        The context.
    index_of : callable
        Maps a node id to the machine's node index, -1 if it has none.
    external : set of int
        Schemes whose action the caller carries out region by region.
    rules : Rules
        What the kernel does.

    Returns
    -------
    schemes : ndarray of SCHEME, shape (n_schemes,)
    filters : ndarray of FILTER, shape (n_filters,)
    dests : ndarray of DEST, shape (n_dests,)
    """
    table = records(len(context.schemes), L.SCHEME)
    rows: list[tuple[int, ...]] = []
    dests: list[tuple[int, int]] = []
    for i, (row, scheme) in enumerate(zip(table, context.schemes, strict=True)):
        pattern, quota = scheme.access_pattern, scheme.quota
        row["active"] = scheme.enabled
        row["min_sz"], row["max_sz"] = pattern.min_sz_bytes, pattern.max_sz_bytes
        row["min_nr"], row["max_nr"] = pattern.min_nr_accesses, pattern.max_nr_accesses
        row["min_age"], row["max_age"] = pattern.min_age, pattern.max_age
        row["weight_nr"], row["weight_age"] = quota.weights.nr_accesses, quota.weights.age
        row["fail_num"], row["fail_denom"] = quota.fail_charge_num, quota.fail_charge_denom
        row["max_nr_snapshots"] = scheme.max_nr_snapshots
        row["score"] = L.TOP if idle(context, scheme.action, rules) else _SCORE[operations(context)].get(scheme.action, L.TOP)
        row["keep_age"] = scheme.action == "stat"
        core, ops = split_filters(scheme.filters)
        row["core_first"], row["core_last"] = len(rows), len(rows) + len(core)
        rows += _filter_rows(core)
        row["ops_first"], row["ops_last"] = len(rows), len(rows) + len(ops)
        rows += _filter_rows(ops)
        row["core_reject"], row["ops_reject"] = default_rejects(scheme.filters)
        row["target"] = index_of(scheme.target_nid)
        row["dest_first"], row["dest_last"] = len(dests), len(dests) + len(scheme.dests)
        dests += [(index_of(d.id), d.weight) for d in scheme.dests]
        row["apply_us"] = scheme.apply_interval_us
        row["walks"] = scheme.action != "stat" or bool(scheme.filters)
        marks = scheme.watermarks
        row["marks"] = L.SWITCHED_OFF if not scheme.enabled else L.NO_MARKS if marks.metric == "none" else L.MARKS
        row["high"], row["mid"], row["low"], row["look_us"] = marks.high, marks.mid, marks.low, marks.interval_us
        row["whole_steps"], row["meets_again"] = not rules.folio_end, not rules.last_applied
        row["va_steps"] = not rules.folio_end and not (rules.va_page_by_page and scheme.action.startswith("migrate"))
        row["heads_only"] = not rules.tail_pages
        row["action"] = L.EXTERNAL if i in external else builtin_action(context, scheme.action, rules)
    filters = records(max(len(rows), 1), L.FILTER)
    for k, values in enumerate(rows):
        filters[k] = values
    dealt = records(max(len(dests), 1), L.DEST)
    for k, pair in enumerate(dests):
        dealt[k] = pair
    return table, filters, dealt
