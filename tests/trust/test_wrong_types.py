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
    "cost.loaded_latency_ns.node": lambda x: tm.cost.loaded_latency_ns(x, 3.0),
    "cost.loaded_latency_ns.load_gbps": lambda x: tm.cost.loaded_latency_ns(NODE, x),
    "cost.latency_time": lambda x: tm.cost.latency_time(x, [NODE]),
    "cost.latency_time.nodes": lambda x: tm.cost.latency_time([1.0], x),
    "cost.walk_s": lambda x: tm.cost.walk_s(x),
    "expect": lambda x: tm.analysis.expect(tm.loop.run("temporal", 4000, 1000, 0), x),
    "hotness.promotion_study.work_s": lambda x: tm.hotness.promotion_study(("recency",), work_s=x),
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
