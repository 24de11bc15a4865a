"""Small scenarios that kernels treat differently, with the answer known beforehand."""

from __future__ import annotations

from small import HOT, MIB, scenario

import tieringmodel as tm

FREE_PAGES, HOT_PAGES = 500, 2048


def to_node_0(**quota: int) -> tm.Scheme:
    """Hot pages to node 0, without a goal."""
    given = {"sz_bytes": MIB, "reset_interval_ms": 100} | quota
    return tm.Scheme("migrate_hot", access_pattern=HOT, target_nid=0, quota=tm.Quota(**given))  # type: ignore[arg-type]


def full_target(**quota: int) -> tm.Scenario:
    """Node 0 has room for 500 of the 1548 hot pages of node 1, and keeps all that it gets.

    Where a full target means any node (rule ``thisnode``, before), the others go to and fro on node 1 for ever.
    """
    on_0, pages = 8192 - FREE_PAGES, 8192 + 2048
    return scenario(
        to_node_0(**quota),
        pages=pages,
        groups=(tm.Group(on_0 - FREE_PAGES, on_0 - FREE_PAGES + HOT_PAGES, rate_hz=400.0, name="hot"),),
        placement=(tm.Placement(0, on_0, 0), tm.Placement(on_0, pages, 1)),
        machine=tm.Machine.dram_cxl("32 MiB", "64 MiB"),
        name="full target",
    )


def plain_quota(**quota: int) -> tm.Scenario:
    """16 MiB of hot pages on node 1, and 1 MiB a second to bring them to node 0: 90 % are there in the 15th window."""
    return scenario(
        to_node_0(reset_interval_ms=1000, **quota),
        pages=8192,
        groups=(tm.Group(0, 4096, rate_hz=400.0, name="hot"),),
        machine=tm.Machine.dram_cxl("64 MiB", "64 MiB"),
        name="plain quota",
    )
