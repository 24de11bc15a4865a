"""Public functions called with what they do not take: a sentence, and not whatever Python says on the way."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tieringmodel as tm
from tieringmodel.errors import InputError

RFC = tm.load("rfc-40-60")
NODE = tm.cost.default_nodes()[0]
BY_NAME: dict[str, Callable[[Any], object]] = {
    "analysis.measure.y_bp": lambda x: tm.analysis.measure(x, [1], 1000, [[1], [2]], target_bp=4000),
    "analysis.measure.occupancy": lambda x: tm.analysis.measure([0, 1], [1], 1000, x, target_bp=4000),
    "cost.best_weights": lambda x: tm.cost.best_weights(x),
    "cost.control_cost": lambda x: tm.cost.control_cost(x),
    "cost.control_window_s": lambda x: tm.cost.control_window_s(x, 0.3),
    "cost.migration_s": lambda x: tm.cost.migration_s(x),
    "cost.optimum_interleave": lambda x: tm.cost.optimum_interleave(x),
    "cost.rmap_or_oscillation": lambda x: tm.cost.rmap_or_oscillation(x),
    "damon.quota_score": lambda x: tm.damon.quota_score(x),
    "data_path": lambda x: tm.data_path(x),
    "diff.kernels": lambda x: tm.diff(RFC, kernels=x, duration=1),
    "diff.rules": lambda x: tm.diff(RFC, kernels=["7.2", "7.3"], rules=x, duration=1),
    "cost.loaded_latency_ns.node": lambda x: tm.cost.loaded_latency_ns(x, 3.0),
    "cost.loaded_latency_ns.load_gbps": lambda x: tm.cost.loaded_latency_ns(NODE, x),
    "cost.latency_time": lambda x: tm.cost.latency_time(x, [NODE]),
    "cost.latency_time.nodes": lambda x: tm.cost.latency_time([1.0], x),
    "cost.walk_s": lambda x: tm.cost.walk_s(x),
    "expect": lambda x: tm.analysis.expect(tm.loop.run("temporal", 4000, 1000, 0), x),
    "expect.ds": lambda x: tm.analysis.expect(x, "kind == idle"),
    "hotness.activity": lambda x: tm.hotness.activity(x),
    "hotness.by_region": lambda x: tm.hotness.by_region(x, [0, 2, 4]),
    "hotness.compare_sources": lambda x: tm.hotness.compare_sources(x, RFC),
    "hotness.fuse": lambda x: tm.hotness.fuse(x),
    "hotness.hot_set": lambda x: tm.hotness.hot_set(x),
    "hotness.page_reports": lambda x: tm.hotness.page_reports(x, 1, 1),
    "hotness.region_accesses": lambda x: tm.hotness.region_accesses(x, [0, 2, 4], 0, 5000, 20),
    "hotness.register_source": lambda x: tm.hotness.register_source(x, 3),  # type: ignore[arg-type]
    "hotness.score": lambda x: tm.hotness.score(np.ones(2), x),
    "hotness.source": lambda x: tm.hotness.source(x),
    "hotness.watch": lambda x: tm.hotness.watch(tm.hotness.source("chmu"), x),
    "interleave.ping_pong": lambda x: tm.interleave.ping_pong(x, 1),
    "loop.sweep": lambda x: tm.loop.sweep(x, tuner="temporal", n_pages=1000, start_pages=0),
    "register_metric": lambda x: tm.register_metric(x, print, ops=3),  # type: ignore[arg-type]
    "trace_workload": lambda x: tm.trace_workload(x),
    "workload.build": lambda x: tm.workload.build(x),
    "workload.mix": lambda x: tm.workload.mix({"a": x}),
    "hotness.promotion_study.work_s": lambda x: tm.hotness.promotion_study(("recency",), work_s=x),
    "interleave.placement_costs.walk": lambda x: tm.interleave.placement_costs(1000, 10, 0.4, 1.0, walk=x, move=1.0, scan=0.1),
    "interleave.placement_costs": lambda x: tm.interleave.placement_costs(1000, 10, x, 1.0, walk=0.2, move=1.24, scan=0.04),
    "policies": lambda x: tm.policies(x),
    "preset.name": lambda x: tm.preset(RFC, x),
    "preset.scenario": lambda x: tm.preset(x, "seed-faithful"),
    "read_damo_record": lambda x: tm.read_damo_record(x),
    "read_masim": lambda x: tm.read_masim(x),
    "read_perf": lambda x: tm.read_perf(x),
    "read_recording": lambda x: tm.read_recording(x),
    "read_trace": lambda x: tm.read_trace(x),
    "simulate.oracle": lambda x: tm.simulate(RFC, duration=1, oracle=x),
    "sweep": lambda x: tm.sweep(RFC, x, duration=1),
    "to_damo_record.ds": lambda x: tm.to_damo_record(x, "x.json"),
    "to_damo_record.path": lambda x: tm.to_damo_record(tm.loop.run("temporal", 4000, 1000, 0), x),
    "workload.access_rate_hz": lambda x: tm.workload.access_rate_hz(x),
    "workload.hot_set": lambda x: tm.workload.hot_set(x, min_rate_hz=1.0),
    "workload.power_law_classes": lambda x: tm.workload.power_law_classes(1000, x, 1.0, 100.0, 4),
    "workload.scatter": lambda x: tm.workload.scatter(x),
    "workload.sequence": lambda x: tm.workload.sequence(x),
    "workload.zipf_classes": lambda x: tm.workload.zipf_classes(x, 1.0, 4),
}
JUNK = [object(), b"x", {"a": object()}, ["x"], 1j, "\0", np.datetime64("2026-01-01"), tm, int]


@pytest.mark.parametrize("name", BY_NAME)
def test_junk(name: str) -> None:
    for junk in JUNK:
        with pytest.raises(InputError) as caught:
            BY_NAME[name](junk)
        assert str(caught.value).count("\n") == 0, junk
