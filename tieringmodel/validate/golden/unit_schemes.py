"""Vectors of DAMOS: goals and tuners over many windows, the priority threshold, and whole application passes."""

from __future__ import annotations

from typing import Any

from ...damon.kdamond import Kdamond
from ...damon.quota import QuotaState
from ...damon.regions import RegionSet
from ...damon.table import STAT_FIELDS
from ...kernels import frames
from ...kernels._jit import records
from ...kernels.layout import SCHEME
from ...memory.physical import PhysicalMemory
from ...scenario import Quota
from ...units import PAGE_SZ
from .bare_kdamond import Applied, aggregated, bare_kdamond, nonzero_scores, scheme_columns
from .scheme_json import filter_fields, pattern_fields, scheme_fields, weight_fields
from .vector_files import Record, VectorFile

_APPLIED = ("scheme", "start", "end", "mvsum", "age", "score", "sz_applied")


def goals(file: VectorFile, record: Record) -> None:
    """Replay sequences of effective quotas under both tuners."""
    targets = record["targets"]
    fed = [{"metric": "user_input", "target_value": t} for t in targets]
    quota = {"ms": record["ms"], "sz_bytes": record["sz"], "goal_tuner": record["tuner"], "goals": fed}
    state, row = QuotaState(Quota.from_dict(quota), 1000), records(1, SCHEME)[0]
    state.esz_bp = record["esz_bp0"]
    for k, (currents, charged_sz, charged_ns, *expected) in enumerate(record["steps"]):
        state.total_charged_sz, row["total_charged_ns"] = charged_sz, charged_ns
        pairs = list(zip(currents, targets, strict=True))
        state.set_effective(row, record["min_region_sz"], lambda pairs=pairs: pairs)  # type: ignore[misc]
        where = f"{record.where}, id {record['id']}, step {k}"
        for name, got, want in zip(
            ("score", "esz_bp", "esz"), (state.score, state.esz_bp, int(row["esz"])), expected, strict=True
        ):
            file.equal(where, name, got, want)


def min_score(file: VectorFile, record: Record) -> None:
    """Replay the histogram and threshold of a scheme's first charge window."""
    scheme = {
        "action": record["action"],
        "access_pattern": pattern_fields(record["pattern"]),
        "quota": {"sz_bytes": record["sz"], "weights": weight_fields(record["weights"])},
        "filters": [] if record["addr_filter"] is None else [filter_fields({"type": "addr"} | record["addr_filter"])],
    }
    attrs = {"sample_us": record["sample_us"], "aggr_us": record["aggr_us"]}
    kdamond = bare_kdamond(Kdamond, {"attrs": attrs, "schemes": [scheme]})
    kdamond.regions = RegionSet([record["regions"]])
    aggregated(kdamond)
    kdamond.adjust_quota(0)
    where, row = f"{record.where}, id {record['id']}", scheme_columns(kdamond, 0)
    file.equal(where, "regions_after", kdamond.regions.rows()[0], record["regions_after"])
    want = sorted([int(score), sz] for score, sz in record["histogram"].items())
    file.equal(where, "histogram", nonzero_scores(kdamond.histogram), want)
    file.equal(where, "esz", row["esz"], record["esz"])
    file.equal(where, "min_score", row["min_score"], record["min_score"])


class ModuloStub:
    """An operation that fails for every n-th page: the golden harness's stand-in for real actions.

    Parameters
    ----------
    memory : PhysicalMemory
        Its clock advances per applied page.
    fail_mod : int
        Pages whose number is a multiple of it fail; 0 = none does.
    """

    def __init__(self, memory: PhysicalMemory, fail_mod: int) -> None:
        self.memory, self.fail_mod = memory, fail_mod

    def begin(self, kdamond: Kdamond, scheme: int) -> None:
        """Nothing to prepare."""

    def __call__(self, kdamond: Kdamond, scheme: int, cursor: Any) -> tuple[int, int, int]:
        """Return bytes applied, the region's size as filter-passed, and the time by the jiffy clock."""
        size, first = int(cursor["end"]) - int(cursor["start"]), int(cursor["start"]) // PAGE_SZ
        last = first - (-size // PAGE_SZ)
        failed = (last - 1) // self.fail_mod - (first - 1) // self.fail_mod if self.fail_mod else 0
        pages = last - first - failed
        return pages * PAGE_SZ, size, int(frames.charge_moves(self.memory.arrays, pages, 0))


def _course(record: Record, scheme: int) -> list[list[int]]:
    """Return (step, value) of a scheme's goal; a step lists values of all schemes, or of those with a goal."""
    with_goal = [i for i, s in enumerate(record["schemes"]) if s["user_input_target"]]
    values = [step["goal_current"] for step in record["steps"]]
    return [[k, v[scheme if len(v) == len(record["schemes"]) else with_goal.index(scheme)]] for k, v in enumerate(values)]


def _scheme(record: Record, i: int) -> dict[str, Any]:
    s = record["schemes"][i]
    goals = []
    if s["user_input_target"]:
        goals = [{"metric": "user_input", "target_value": s["user_input_target"], "current_values": _course(record, i)}]
    filters = [filter_fields(f) for f in s["core_filters"]]
    return scheme_fields(s, goals, filters) | {"max_nr_snapshots": s["max_nr_snapshots"]}


def apply(file: VectorFile, record: Record) -> None:
    """Replay application passes: quota, priorities, core filters, charging, resume pointer and statistics."""
    kdamond = _apply_kdamond(record)
    for k, step in enumerate(record["steps"]):
        _apply_step(file, f"{record.where}, id {record['id']}, step {k}", kdamond, k, step)


def _apply_kdamond(record: Record) -> Kdamond:
    attrs = {
        "sample_us": record["sample_us"],
        "aggr_us": record["aggr_us"],
        "min_nr_regions": record["min_nr_regions"],
        "max_nr_regions": max(record["min_nr_regions"], 1000),
    }
    schemes = [_scheme(record, i) for i in range(len(record["schemes"]))]
    fail_mod = record["apply_fail_mod"]
    kdamond = bare_kdamond(
        Kdamond,
        {"attrs": attrs, "min_region_sz": record["min_region_sz"], "schemes": schemes},
        lambda memory: ModuloStub(memory, fail_mod),
        hz=record["hz"],
        ns_per_page=record["apply_ns_per_page"],
    )
    kdamond.schemes["core_reject"] = [s["default_reject"] for s in record["schemes"]]
    return kdamond


def _apply_step(file: VectorFile, where: str, kdamond: Kdamond, k: int, step: Record) -> None:
    kdamond.regions = RegionSet(step["before"])
    kdamond.passed, kdamond.next_aggregation = step["passed_sis"], step["next_aggr_sis"]
    kdamond.memory.arrays.clock[0], kdamond.tick = step["clock_ns"], k
    kdamond.turn["jiffies0"] += step["jiffies"] - kdamond.jiffies
    kdamond.turn["by_ticks"] = True
    observer = kdamond.observer
    assert isinstance(observer, Applied)
    observer.events = []
    kdamond.apply_schemes()
    handed = [[int(row[name]) for name in _APPLIED] for part in observer.events for row in part]
    file.equal(where, "applied", handed, step["applied"])
    file.equal(where, "after", kdamond.regions.rows(), step["after"])
    for i, (quota, state) in enumerate(zip(kdamond.quotas, step["scheme_state"], strict=True)):
        row = scheme_columns(kdamond, i)
        got = {name: row[name] for name in ("esz", "charged_sz", "total_charged_ns", "min_score", *STAT_FIELDS)} | {
            "esz_bp": quota.esz_bp,
            "total_charged_sz": quota.total_charged_sz,
            "charged_from_jiffies": quota.charged_from,
            "charge_target_from": row["charge_target"] - 1,
            "charge_addr_from": row["charge_addr"],
            "next_apply_sis": kdamond.next_apply[i],
        }
        for name, value in got.items():
            file.equal(where, f"scheme_state[{i}].{name}", value, state[name])
