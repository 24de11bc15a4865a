"""Small runs that reach every kernel family, as one line of digests; run as a script it prints them."""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
from small import pull, push, scenario

import tieringmodel as tm
from tieringmodel.damon.rng import kernel_rng
from tieringmodel.simulation.engine import Engine
from tieringmodel.simulation.simulate import scheme_actions

YOUNG = tm.Filter("young", matching=True, allow=True)
RANGE = tm.Filter("addr", matching=True, allow=True, start_bytes=0, end_bytes=1 << 20)


COLUMNS = np.dtype([(name, "u8") for name in (
    "due", "active", "min_sz", "max_sz", "min_nr", "max_nr", "min_age", "max_age", "quota_set", "esz", "charged_sz",
    "total_charged_ns", "charge_target", "charge_addr", "min_score", "weight_nr", "weight_age", "score", "fail_num",
    "fail_denom", "max_nr_snapshots", "nr_tried", "sz_tried", "nr_applied", "sz_applied", "sz_ops_filter_passed",
    "qt_exceeds", "nr_snapshots", "last_applied", "keep_age", "core_first", "core_last", "core_reject", "ops_first",
    "ops_last", "ops_reject",
)] + [("action", "i8"), ("target", "i8")])  # fmt: skip
"""What the digests cover of a scheme, in the order in which they were first taken."""


def scenarios() -> dict[str, tm.Scenario]:
    charge = {"fail_charge_num": 1, "fail_charge_denom": 3}
    quota = tm.Quota(sz_bytes=200_001, reset_interval_ms=100, weights=tm.Weights(0, 3, 7), **charge)
    small = {"pages": 300, "groups": [tm.Group(0, 150, rate_hz=300.0), tm.Group(40, 90, "period", period=3, stride=2)]}
    small |= {"machine": tm.Machine.dram_cxl("2 MiB", "2 MiB", 4096 * 7), "attrs": tm.Attrs(max_nr_regions=30)}
    fifo, lifo, drawn, buddy = (small["machine"].replace(allocator=a) for a in ("fifo", "lifo", "random", "buddy"))  # type: ignore[attr-defined]
    hot = tm.Scheme("migrate_hot", target_nid=0, quota=quota)
    cold = tm.Scheme("migrate_hot", target_nid=0, quota=quota, filters=(YOUNG,))
    dealt = tm.Scheme("migrate_hot", dests=(tm.Dest(0, 3), tm.Dest(1, 2)), dest_rule="per_node")
    hashed = [tm.Group(0, 200, "hash", threshold=2**31, salt=5, end_tick=40), tm.Group(100, 300, rate_hz=50.0, start_tick=20)]
    two = [tm.Context(attrs=small["attrs"], schemes=(s,)) for s in (pull(sz_bytes=100_000), push(sz_bytes=100_000))]  # type: ignore[arg-type]
    near = tm.Placement(0, 100, 0), tm.Placement(100, 300, 1)
    sized = tm.Filter("hugepage_size", allow=True, min_bytes=1, max_bytes=4096)
    kinds = tm.Filter("active"), tm.Filter("memcg", memcg_id=3), sized
    memcgs = [tm.Memcg(3, 110, 140)]
    return {
        "goals": scenario(pull(), push(), **small),
        "active": scenario(
            tm.Scheme("lru_prio", filters=(RANGE,)),
            tm.Scheme("migrate_hot", target_nid=0, filters=kinds),
            **small | {"placement": near, "memcgs": memcgs},
        ),
        "quota": scenario(hot, tm.Scheme("lru_prio", filters=(RANGE,)), **small | {"machine": fifo}),
        "young": scenario(cold, **small | {"machine": lifo}),
        "weights": scenario(dealt, **small | {"machine": drawn}),
        "phases": scenario(pull(goal_tuner="consist", esz_bp0=10**9), **small | {"groups": hashed}),
        "buddy": scenario(pull(), push(), **small | {"machine": buddy}),
        "contexts": scenario(contexts=two, **{k: v for k, v in small.items() if k != "attrs"}),
    }


def digests() -> dict[str, str]:
    out = {}
    for name, sc in scenarios().items():
        rngs = [kernel_rng(5)] if name == "quota" else None
        engine = Engine(sc, 3, actions=scheme_actions, rngs=rngs)
        engine.run(350_000)
        digest = hashlib.sha256(json.dumps([k.regions.rows() for k in engine.kdamonds]).encode())
        for k in engine.kdamonds:
            rows = np.zeros(len(k.schemes), COLUMNS)
            for column in COLUMNS.names:
                rows[column] = k.schemes[column]
            digest.update(rows.tobytes() + repr([q.esz_bp for q in k.quotas]).encode())
        memory = engine.memory
        out[name] = f"{digest.hexdigest()[:16]} {memory.owner_crc32()} {int(memory.migrated_pages().sum())}"
    for rule in ("iid", "pfn_mod", "first", "per_node", "push_only", "vma_offset"):
        ds = tm.interleave.run(rule, (3, 2), 40, 4, allocator="random", frames=(60, 50), seed=4)
        out[rule] = f"{ds['occupancy'].values.tolist()} {ds['moved'].values.tolist()}"
    for tuner in ("consist", "temporal"):
        ds = tm.loop.run(tuner, 4000, 5000, 0, cap_bytes=10**6, delay=1, leak_rate=0.01, windows=60)
        out[tuner] = hashlib.sha256(ds["esz"].values.tobytes() + ds["pages"].values.tobytes()).hexdigest()[:16]
    return out


if __name__ == "__main__":
    print(json.dumps(digests()))
