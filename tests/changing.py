"""A small scenario in which everything that a commit can bring comes, and goes again."""

from __future__ import annotations

from typing import Any

from small import MIB, pull, push

import tieringmodel as tm

NARROW = tm.Filter("addr", matching=True, allow=True, start_bytes=32 * MIB, end_bytes=44 * MIB)
YOUNG = tm.Filter("young", matching=False)
WATCH = tm.Scheme("stat")
USED = tm.Goal("node_mem_used_bp", "60 %", nid=0)
FREE = tm.Goal("node_mem_free_bp", "5 %", nid=0)


def with_goals(scheme: tm.Scheme, *goals: tm.Goal) -> tm.Scheme:
    return scheme.replace(quota=scheme.quota.replace(goals=goals))


def contexts() -> list[tuple[str, tm.Context]]:
    """What context 0 runs with, at the start and after each commit: its schemes' and goals' numbers are in the test."""
    attrs = tm.Attrs(max_nr_regions=200)
    base = tm.Context(attrs=attrs)
    first, second = pull(), push()
    faster = attrs.replace(sample_us=4_000, aggr_us=80_000)
    return [
        ("two schemes", base.replace(schemes=(first, second))),
        ("one scheme with a goal more and a filter", base.replace(
            schemes=(with_goals(first, *first.quota.goals, USED).replace(filters=(NARROW,)),)
        )),
        ("three, the added goal is another one, other attributes", base.replace(
            attrs=faster, schemes=(with_goals(first, *first.quota.goals, FREE).replace(filters=(NARROW, YOUNG)), second, WATCH)
        )),
        ("three, the added goal is gone", base.replace(attrs=faster, schemes=(first, second, WATCH))),
    ]  # fmt: skip


def virtual(targets: int) -> tm.Context:
    """A context that watches one process or two; its ticks are not those of the other context."""
    return tm.Context(
        "vaddr",
        tm.Attrs(7_000, 140_000, 700_000),
        targets=tuple(tm.Target(process=k) for k in range(targets)),
        schemes=(WATCH,),
    )


def changing(at_s: tuple[float, ...] = (0.903, 1.3, 1.9), **fields: Any) -> tm.Scenario:
    """Two schemes, then one, then three; goals, filters, attributes and a target come and go; an event between them."""
    (_, start), *later = contexts()
    commits = [tm.Commit(round(at * 1e6), 0, to) for at, (_, to) in zip(at_s, later, strict=True)]
    commits.insert(1, tm.Commit(commits[0].at_us + 50_000, 1, virtual(2)))
    event = tm.Event(round((at_s[1] + at_s[2]) / 2 * 1e6), "contexts.0.schemes.0.quota.goals.0.target_value", 5000)
    vmas = [tm.Vma(0, 2048, 64 * MIB)]  # a process of fewer than three parts is monitored if it is there from the start
    vmas += [tm.Vma(lo, hi, at * MIB, process=1) for lo, hi, at in ((2048, 2600, 64), (2600, 3400, 128), (3400, 4096, 512))]
    groups = (tm.Group(0, 2048, rate_hz=400.0, name="hot"),)
    placement = (tm.Placement(0, 4096, 1),)
    given = {
        "machine": tm.Machine.dram_cxl("32 MiB", "32 MiB"),
        "workload": tm.Workload(4096, groups=groups, placement=placement, vmas=vmas),
        "contexts": (start, virtual(1)),
        "name": "changing",
        "events": (event,),
        "commits": tuple(commits),
    }
    return tm.Scenario(**given | fields)
