"""What must hold in every run, whatever the scenario (docs/theory/damon.md, section i.2)."""

from __future__ import annotations

import numpy as np
from hypothesis import HealthCheck, given, settings
from scenarios import scenarios

from tieringmodel.damon import goals
from tieringmodel.kernels import layout as L
from tieringmodel.scenario import Goal, Scenario
from tieringmodel.simulation.engine import Engine

ULONG_MAX = 2**64 - 1
ESZ_MAX = ULONG_MAX // 10_000


class Inspector:
    """An observer that checks each context after merging, after each pass, and after splitting."""

    def __init__(self):
        self.sizes, self.looked = {}, 0

    def regions(self, k):
        attrs, unit = k.attrs, k.min_sz
        sizes = []
        for rows in k.regions.rows():
            sizes.append(sum(b - a for a, b, *_ in rows))
            assert rows[0][0] % unit == 0
            for (a, b, nr, last, _), following in zip(rows, [*rows[1:], None], strict=True):
                assert a < b
                assert b % unit == 0
                assert following is None or b <= following[0]
                assert nr <= attrs.aggr_us // attrs.sample_us
                assert last <= attrs.aggr_us // attrs.sample_us
        assert self.sizes.setdefault(k.index, sizes) == sizes
        self.looked += 1

    def aggregated(self, k):
        self.regions(k)
        assert max(b - a for rows in k.regions.rows() for a, b, *_ in rows) <= k.sz_limit

    def applied(self, k, events):
        assert (events["sz_applied"] <= events["end"] - events["start"]).all()
        assert (events["start"] < events["end"]).all()

    def finished(self, k, aggregation):
        self.regions(k)
        memory = k.memory
        for i, (row, scheme) in enumerate(zip(k.schemes, k.context.schemes, strict=True)):
            quota, esz = scheme.quota, int(row["esz"])
            if row["quota_set"] and quota.fail_charge_denom == 0:
                assert int(row["charged_sz"]) <= esz
            if quota.sz_bytes:
                assert esz <= quota.sz_bytes
            if quota.goals and quota.goal_tuner == "temporal" and not quota.ms:
                full = quota.sz_bytes if 0 < quota.sz_bytes <= ESZ_MAX else ESZ_MAX
                assert esz in (0, full)
            if quota.goals and quota.goal_tuner == "consist" and k.quotas[i].resets:
                assert k.quotas[i].esz_bp >= 10_000
            assert int(row["sz_applied"]) <= int(row["sz_tried"])
            assert int(row["nr_applied"]) <= int(row["nr_tried"])
            assert int(row["min_score"]) <= 99
            view = k.view(i)
            shares = [goals.current_value(view, Goal("node_eligible_mem_bp", 1, nid=int(nid))) for nid in memory.nids]
            assert sum(shares) == 0 or 10_000 - len(shares) < sum(shares) <= 10_000
        assert (memory.used_pages() + memory.free_pages() == memory.arrays.node["total"]).all()
        assert int(memory.arrays.node["lru"].sum()) == memory.n_pages


def conserved(memory):
    """No page lost, none on two frames, counters equal to a full scan."""
    m = memory.arrays
    assert np.unique(memory.frame_of).size == memory.n_pages
    np.testing.assert_array_equal(m.rec[memory.frame_of] & L.LOW32, np.arange(1, memory.n_pages + 1))
    scan = memory.recount()
    for name in ("lru_512", "free_512", "lru_256k", "free_256k"):
        np.testing.assert_array_equal(scan[name], getattr(m, name))
    assert scan["lru"].tolist() == m.node["lru"].tolist()
    assert scan["free"].tolist() == m.node["free"].tolist()
    assert m.node["migrated_in"].sum() == m.node["migrated_out"].sum()


def state(engine):
    return [
        (k.regions.rows(), k.schemes.tobytes(), [q.state() for q in k.quotas], k.attrs, k.passed) for k in engine.kdamonds
    ], engine.memory.owner_crc32()


@given(scenarios(min_contexts=1))
@settings(max_examples=120, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
def test_any_run(data):
    scenario, inspector = Scenario.from_dict(data), Inspector()
    engine = Engine(scenario, seed=5, observer=inspector)
    for k in engine.kdamonds:
        inspector.regions(k)
    engine.run_lockstep(130)
    conserved(engine.memory)
    assert inspector.looked >= len(engine.kdamonds)


@given(scenarios(min_contexts=1))
@settings(max_examples=15, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
def test_a_run_repeats_bit_for_bit(data):
    engines = [Engine(Scenario.from_dict(data), seed=7) for _ in range(2)]
    for engine in engines:
        engine.run_lockstep(100)
    assert state(engines[0]) == state(engines[1])
