"""Vectors of region adjustment: merge, minimum count, random split, refitting to ranges, interval tuning."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...damon.intervals import adapt_intervals
from ...damon.kdamond import Kdamond
from ...damon.regions import RegionSet, SplitState, set_regions
from ...damon.rng import Rng, kernel_rng, lfsr_registers, replay_rng
from ...errors import InputError, KernelRefusal
from ...kernels import draws, intervals
from ...kernels import regions as rk
from .bare_kdamond import bare_kdamond
from .vector_files import FORMAT, Record, VectorFile


def _at(record: Record) -> str:
    return f"{record.where}, id {record['id']}"


def _unknown(record: Record) -> InputError:
    return InputError(record.where, f"func {record['func']!r} is not known", FORMAT)


def merge(file: VectorFile, record: Record) -> None:
    """Replay merging, and the reset of what came out."""
    regions = RegionSet(record["before"])
    threshold, sz_limit = record["threshold"], record["sz_limit"]
    if record["func"] == "kdamond_merge_regions":
        max_thres = record["aggr_us"] // max(record["sample_us"], 1)
        regions.merge(threshold, sz_limit, max_thres, record["max_nr_regions"])
    elif record["func"] == "damon_merge_regions_of":
        limits = np.uint64(threshold), np.uint64(sz_limit)
        rk.merge_pass(regions.now, regions.ptr, *limits, bool(record["count_age"]), None, None)
    else:
        raise _unknown(record)
    file.equal(_at(record), "after", regions.rows(), record["after"])
    regions.reset_aggregated()
    file.equal(_at(record), "after_reset", regions.rows(), record["after_reset"])


def _split(file: VectorFile, record: Record, rng: Rng, source: str) -> None:
    regions, state = RegionSet(record["before"]), SplitState()
    min_sz = record["min_region_sz"]
    for k, call in enumerate(record["calls"]):
        where, taken = f"{_at(record)} ({source}), call {k}", rng.taken
        if record["func"] == "kdamond_split_regions":
            regions.split(state, record["max_nr_regions"], min_sz, rng)
        elif record["func"] == "damon_split_regions_of":
            regions.split_each(record["nr_subs"], min_sz, rng)
        else:
            raise _unknown(record)
        file.equal(where, "after", regions.rows(), call["after"])
        file.equal(where, "number of draws", rng.taken - taken, len(call["rng"]))


def split(file: VectorFile, record: Record) -> None:
    """Replay random splits, once from the seeded generator and once from the recorded draws."""
    seed, raw = record["seed"], [r for call in record["calls"] for r in call["rng"]]
    file.equal(_at(record), "rnd_state", list(lfsr_registers(seed)), record["rnd_state"])
    rng, out = kernel_rng(seed), np.zeros(len(raw), np.uint32)
    draws.draw_many(rng, out)
    file.equal(_at(record), "rng", out.tolist(), raw)
    _split(file, record, kernel_rng(seed), "lfsr113")
    _split(file, record, replay_rng(raw or [0]), "recorded draws")


def min_nr_regions(file: VectorFile, record: Record) -> None:
    """Replay cutting to the minimum count."""
    regions = RegionSet(record["before"])
    limit = regions.apply_min_nr_regions(record["min_nr_regions"], record["min_region_sz"])
    file.equal(_at(record), "sz_limit", limit, record["sz_limit"])
    file.equal(_at(record), "after", regions.rows(), record["after"])


def refit(file: VectorFile, record: Record) -> None:
    """Replay fitting a target's regions to new ranges (``damon_set_regions``)."""
    rows: list[list[int]] = record["before"]
    code = 0
    try:
        rows = set_regions(rows, record["ranges"], record["min_region_sz"])
    except KernelRefusal:
        code = -22
    file.equal(_at(record), "rc", code, record["rc"])
    file.equal(_at(record), "after", rows, record["after"])


def tune_intervals(file: VectorFile, record: Record) -> None:
    """Replay a step of interval tuning: score, factor, new intervals and converted regions."""
    # aggrs stays 0: the kernel's start-up check of the sampling interval is not part of a tuning step.
    goal = {k: record[k] for k in ("access_bp", "min_sample_us", "max_sample_us")}
    attrs: dict[str, Any] = {k: record[k] for k in ("sample_us", "aggr_us")} | {"intervals_goal": goal}
    kdamond = bare_kdamond(Kdamond, {"attrs": attrs})
    kdamond.regions, kdamond.aggr_samples = RegionSet(record["before"]), record["aggr_samples"]
    goal_bp = int(kdamond.turn["access_bp"])
    score = int(intervals.intervals_score(kdamond.regions.now, kdamond.regions.n, kdamond.aggr_samples, goal_bp, None))
    file.equal(_at(record), "score_bp", score, record["score_bp"])
    file.equal(_at(record), "adaptation_bp", adapt_intervals(score), record["adaptation_bp"])
    kdamond.tune_intervals()
    file.equal(_at(record), "new_sample_us", kdamond.attrs.sample_us, record["new_sample_us"])
    file.equal(_at(record), "new_aggr_us", kdamond.attrs.aggr_us, record["new_aggr_us"])
    file.equal(_at(record), "after", kdamond.regions.rows(), record["after"])
