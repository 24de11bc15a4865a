"""The package and both baselines are three programs for one model: their regions agree bit for bit, always."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from benchmarks.baselines.obvious import Obvious
from benchmarks.baselines.same_algorithm import SameAlgorithm
from benchmarks.scenarios import tiered
from tieringmodel.damon.kdamond import Kdamond
from tieringmodel.kernels.layout import LOW32
from tieringmodel.scenario import AccessPattern, Goal, Group, Quota, Scenario, Weights
from tieringmodel.simulation.engine import Engine
from tieringmodel.simulation.silent import Silent

Trace = list[tuple[str, npt.NDArray[np.uint64]]]
MIB = 1 << 20
GOAL = (Goal("node_mem_used_bp", 9_000, nid=0),)


class Recorded(Silent):
    """Keeps start, end, nr_accesses, last_nr_accesses and age before the scheme and after the split."""

    def __init__(self) -> None:
        self.trace: Trace = []

    def keep(self, point: str, kdamond: Kdamond) -> None:
        r = kdamond.regions
        self.trace.append((point, np.array([c[: r.n].astype(np.uint64) for c in [*r.now][:5]])))

    def aggregated(self, kdamond: Kdamond) -> None:
        self.keep("aggregated", kdamond)

    def finished(self, kdamond: Kdamond, aggregation: bool) -> None:
        self.keep("finished", kdamond)


def run_package(scenario: Scenario, seed: int, aggregations: int) -> tuple[Engine, Trace]:
    seen = Recorded()
    engine = Engine(scenario, seed=seed, observer=seen)
    engine.run(aggregations * 100_000)
    return engine, seen.trace


def assert_same(program: Any, engine: Engine, expected: Trace, aggregations: int) -> None:
    trace: Trace = []
    program.run(aggregations, lambda point, regions: trace.append((point, regions)))
    assert len(trace) == len(expected) == 2 * aggregations
    for k, ((point, rows), (at, wanted)) in enumerate(zip(trace, expected, strict=True)):
        assert point == at
        np.testing.assert_array_equal(rows, wanted, err_msg=f"aggregation {k // 2}, {point}")
    pages = program.records & LOW32 if isinstance(program, SameAlgorithm) else program.page_at
    np.testing.assert_array_equal(pages, engine.memory.owners())
    row = engine.kdamonds[0].schemes[0]
    assert (program.quota.esz, program.quota.charged, program.quota.resume) == (
        row["esz"], row["charged_sz"], row["charge_addr"],
    )  # fmt: skip
    assert program.taken == engine.kdamonds[0].rng.taken


def counts(trace: Trace) -> set[int]:
    return {rows.shape[1] for _, rows in trace}


@pytest.mark.parametrize("program", [SameAlgorithm, Obvious])
def test_a_thousand_aggregations_with_a_migrating_scheme(program: type) -> None:
    quota = Quota(sz_bytes=10 * 4096, reset_interval_ms=200, goals=GOAL, weights=Weights(0, 1, 1))
    scenario = tiered(16 * MIB, quota=quota)
    engine, expected = run_package(scenario, 2, 1_000)
    # The tuner starts at one byte, so pages move only after some windows; the run must reach its goal to be of use.
    assert engine.memory.used_pages()[0] * 10_000 // (8 * MIB // 4096) >= 9_000
    assert len(counts(expected)) > 10
    assert_same(program(scenario, 2), engine, expected, 1_000)


CASES = {
    "all-or-nothing tuner, interrupted regions": (
        {"quota": Quota(sz_bytes=11 * 4096, goal_tuner="temporal", reset_interval_ms=500, goals=GOAL), "areas": 5}, 300,
    ),
    "size only, a hole between the nodes": (
        {"quota": Quota(sz_bytes=3 * 4096, reset_interval_ms=700), "hole_bytes": 3 * MIB + 4096}, 200,
    ),
    "no quota, bounds of the pattern": (
        {"quota": Quota(), "pattern": AccessPattern(0, 300 * 4096, 2, 19, 1, 50), "max_nr_regions": 2_000}, 200,
    ),
    "the fast node fills up": ({"fast_bytes": 4 * MIB + 3 * 4096, "quota": Quota(), "used_share": 0.8}, 200),
    "many areas, few regions": ({"areas": 200, "max_nr_regions": 60}, 100),
    "many areas, many regions": ({"areas": 900, "max_nr_regions": 1_500}, 60),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("program", [SameAlgorithm, Obvious])
def test_other_settings(program: type, name: str) -> None:
    options, aggregations = CASES[name]
    scenario = tiered(16 * MIB, **options)
    engine, expected = run_package(scenario, 5, aggregations)
    assert_same(program(scenario, 5), engine, expected, aggregations)


@pytest.mark.parametrize("program", [SameAlgorithm, Obvious])
def test_regions_of_more_than_4_gib_take_two_draws(program: type) -> None:
    scenario = tiered(8 * MIB, hole_bytes=1 << 34)
    context = scenario.contexts[0]
    scenario = scenario.replace(contexts=(context.replace(attrs=context.attrs.replace(min_nr_regions=3)),))
    engine, expected = run_package(scenario, 7, 50)
    widths = np.concatenate([(rows[1] - rows[0]) > 2**32 for _, rows in expected])
    assert widths.any()
    assert not widths.all()
    assert_same(program(scenario, 7), engine, expected, 50)


def test_the_seed_matters() -> None:
    scenario = tiered(16 * MIB)
    _, expected = run_package(scenario, 1, 20)
    trace: Trace = []
    SameAlgorithm(scenario, 2).run(20, lambda point, regions: trace.append((point, regions)))
    assert any(not np.array_equal(a, b) for (_, a), (_, b) in zip(trace, expected, strict=True))


def test_numpy_samples_alike_by_tick_and_all_at_once() -> None:
    one, all_at_once = (SameAlgorithm(tiered(16 * MIB), 3) for _ in range(2))
    np.testing.assert_array_equal(sum(one.sample(tick, 1) for tick in range(20)), all_at_once.sample(0, 20))


def test_what_the_baselines_do_not_know_is_refused() -> None:
    scenario = tiered(16 * MIB)
    changed = scenario.replace(workload=scenario.workload.replace(groups=(Group(0, 9, kind="period", period=3),)))
    with pytest.raises(ValueError, match="other groups than rates"):
        SameAlgorithm(changed)
