"""Vectors of single functions of one kernel, a row each (data/golden2/README.md, section 10)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...damon.kdamond import Kdamond
from ...damon.quota import QuotaState
from ...damon.regions import RegionSet, SplitState, set_regions
from ...damon.rng import kernel_rng
from ...damon.vaddr import three_parts
from ...errors import InputError, KernelRefusal
from ...fields import suggest
from ...kernels._jit import records
from ...kernels.layout import SCHEME
from ...scenario import Quota
from ...units import PAGE_SZ
from .bare_kdamond import bare_kdamond
from .scheme_json import weight_fields
from .vector_files import FORMAT, Record, VectorFile, refuse_unknown

GONE = 3
"""Samples since moving sums were set: what a row says of a region's sum holds for any number of them."""
Regions = list[list[list[int]]]


def _kdamond(file: VectorFile, sample_us: int, aggr_us: int, schemes: list[dict[str, Any]] | None = None) -> Kdamond:
    attrs = {"sample_us": sample_us, "aggr_us": aggr_us}
    return bare_kdamond(Kdamond, {"attrs": attrs, "schemes": schemes or []}, rules=file.kernel.rules)


def _hold(kdamond: Kdamond, targets: Regions) -> None:
    """Give a kdamond regions whose moving sums are now what the sixth number of each says, where there is one."""
    window, rows = kdamond.window(), [[list(row) for row in t] for t in targets]
    for row in (row for t in rows for row in t):
        if len(row) > 5:
            _, _, nr, last, _, bp = row
            lost = int(window["gone"]) * (last * 10_000 % 2**32 // int(window["samples"]))
            row[5] = (bp - nr * 10_000 + lost) % 2**32
    kdamond.regions = RegionSet(rows, kdamond.compiled)


def _held(kdamond: Kdamond) -> Regions:
    """Return a kdamond's regions as rows write them."""
    regions = kdamond.regions
    rows = regions.rows()
    if regions.rules:
        sums = iter(regions.sums_bp(kdamond.window()).tolist())
        rows = [[[*row[:5], next(sums)] for row in t] for t in rows]
    return rows


def _hot_score(file: VectorFile, row: Record) -> None:
    weights = {"weights": weight_fields(row["weights"])}
    kdamond = _kdamond(
        file, row["sample_us"], row["aggr_us"], [{"action": f"migrate_{way}", "quota": weights} for way in ("hot", "cold")]
    )
    kdamond.passed, kdamond.next_aggregation = row["passed_sis"], row["next_aggr_sis"]
    counters = row["nr_accesses"], row["last_nr_accesses"], row["age"], row["nr_accesses_bp"]
    _hold(kdamond, [[[0, PAGE_SZ, *counters]]])
    for i, way in enumerate(("hot", "cold")):
        file.equal(row.where, way, kdamond.min_score(i), row[way])


def _moving_sum(file: VectorFile, row: Record) -> None:
    kdamond = _kdamond(file, 1, row["len_window"])
    last, rest = divmod(row["nomvsum"], 10_000)
    if rest or row["new_value"] not in (0, 10_000):
        raise InputError(row.where, "is no sample of a count of accesses", FORMAT)
    _hold(kdamond, [[[0, PAGE_SZ, 0, last, 0, row["mvsum"]]]])
    kdamond.passed += 1
    kdamond.regions.now.nr[0] += row["new_value"] // 10_000
    file.equal(row.where, "out", _held(kdamond)[0][0][5], row["out"])


def _merge(file: VectorFile, row: Record) -> None:
    kdamond = _kdamond(file, row["sample_us"], row["aggr_us"])
    kdamond.passed = GONE
    _hold(kdamond, row["before"])
    most = row["aggr_us"] // row["sample_us"]
    kdamond.regions.merge(row["threshold"], row["sz_limit"], most, row["max_nr_regions"], kdamond.window())
    file.equal(row.where, "after", _held(kdamond), row["after"])


def _split(file: VectorFile, row: Record) -> None:
    kdamond, state, rng = _kdamond(file, 1, 10), SplitState(), kernel_rng(row["seed"])
    _hold(kdamond, row["before"])
    for k, call in enumerate(row["calls"]):
        taken, some = rng.taken, kdamond.rules.split_some_regions
        kdamond.regions.split(state, row["max_nr_regions"], PAGE_SZ, rng, some)
        file.equal(f"{row.where}, call {k}", "draws", rng.taken - taken, call["draws"])
        file.equal(f"{row.where}, call {k}", "after", _held(kdamond), call["after"])


def _set_attrs(file: VectorFile, row: Record) -> None:
    kdamond = _kdamond(file, *row["old"])
    kdamond.passed, kdamond.next_aggregation = row["passed_sis"], row["next_aggr_sis"]
    _hold(kdamond, row["before"])
    sample_us, aggr_us = row["new"]
    kdamond.set_attrs(kdamond.attrs.replace(sample_us=sample_us, aggr_us=aggr_us))
    file.equal(row.where, "next_aggr_sis_after", kdamond.next_aggregation, row["next_aggr_sis_after"])
    file.equal(row.where, "after", _held(kdamond), row["after"])


def _effective_quota(file: VectorFile, row: Record) -> None:
    goals = [{"metric": "user_input", "target_value": row["target"]}] if row["target"] else []
    quota = Quota.from_dict({"ms": row["ms"], "sz_bytes": row["sz"], "goal_tuner": row["tuner"], "goals": goals})
    state, scheme = QuotaState(quota, 1000, rules=file.kernel.rules), records(1, SCHEME)[0]
    state.esz_bp = row["esz_bp0"]
    for k, (current, charged_sz, charged_ns, esz_bp, esz) in enumerate(row["steps"]):
        state.total_charged_sz, scheme["total_charged_ns"] = charged_sz, charged_ns
        state.set_effective(scheme, PAGE_SZ, lambda pair=(current, row["target"]): [pair])  # type: ignore[misc]
        file.equal(f"{row.where}, step {k}", "esz_bp", state.esz_bp, esz_bp)
        file.equal(f"{row.where}, step {k}", "esz", int(scheme["esz"]), esz)


def _three_regions(file: VectorFile, row: Record) -> None:
    ranges = three_parts(row["vmas"])
    file.equal(row.where, "rc", 0 if ranges else -22, row["rc"])
    if not ranges:
        return
    file.equal(row.where, "ranges", ranges, row["ranges"])
    code, before = 0, row["before"]
    try:
        after = [set_regions(rows, ranges, PAGE_SZ) for rows in before]
    except KernelRefusal:
        code, after = -22, before
    file.equal(row.where, "rc_refit", code, row["rc_refit"])
    file.equal(row.where, "after", after, row["after"])


_ROWS: dict[str, tuple[Callable[[VectorFile, Record], None], str]] = {
    "hot_score": (
        _hot_score,
        "sample_us aggr_us passed_sis next_aggr_sis nr_accesses last_nr_accesses nr_accesses_bp age weights hot cold",
    ),
    "moving_sum": (_moving_sum, "mvsum nomvsum len_window new_value out"),
    "merge": (_merge, "sample_us aggr_us max_nr_regions threshold sz_limit before after"),
    "split": (_split, "seed max_nr_regions before calls"),
    "set_attrs": (_set_attrs, "passed_sis next_aggr_sis old new before next_aggr_sis_after after"),
    "effective_quota": (_effective_quota, "tuner sz ms target esz_bp0 steps"),
    "va_three_regions": (_three_regions, "vmas rc ranges before rc_refit after"),
}
"""What replays a row, by its ``fn``, and the other keys that such a row may have."""


def replay(file: VectorFile, row: Record) -> None:
    """Replay one row; the folder says which kernel it is of."""
    if row["fn"] not in _ROWS:
        raise InputError(f"{row.where}, fn", f"{row['fn']!r} is not known", suggest(str(row["fn"]), list(_ROWS)))
    function, keys = _ROWS[row["fn"]]
    refuse_unknown(row, {"": f"fn {keys}", "calls": "draws after"})
    function(file, row)
