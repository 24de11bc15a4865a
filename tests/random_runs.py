"""Random small runs of format 2: parameters only, valid by the kernel's rules, the same for the same seed.

``random_run(seed, kernel)`` makes one. The keys of results (aggregations, rng_crc32, …) are not there.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import hypothesis.strategies as st

PAGE = 4096
U32, U64 = 2**32 - 1, 2**64 - 1
KERNELS = {"7.3.4": "7.3.4", "7.2.12": "7.2.12", "6.18": "6.18.35", "6.12.117": "6.12.117"}

NODE_GOALS = ("node_mem_used_bp", "node_mem_free_bp")
LATER_GOALS = ("node_memcg_used_bp", "node_memcg_free_bp", "active_mem_bp", "inactive_mem_bp", "node_eligible_mem_bp")
OLD_FILTERS = ("anon", "memcg", "young", "addr", "target")
LATER_FILTERS = ("active", "unmapped", "hugepage_size")
MADVISE = ("willneed", "cold", "hugepage", "nohugepage")

TOGETHER = (
    ("sz", "ms"), ("filters",), ("action", "target_nid", "dests"), ("pattern",), ("apply_interval_us",),
    ("weights", "tuner"), ("reset_interval_ms", "fail_charge"), ("wmarks",), ("max_nr_snapshots",),
)  # fmt: skip
"""What a commit changes of a scheme, together."""

Json = dict[str, Any]


def runs(kernel: str = "7.3.4") -> st.SearchStrategy[Json]:
    """A strategy of random runs; what shrinks is the seed alone."""
    return st.integers(0, 2**32 - 1).map(lambda seed: random_run(seed, kernel))


def random_run(seed: int, kernel: str = "7.3.4") -> Json:
    return Maker(seed, kernel).run()


def aligned(span: Sequence[int], unit: int) -> tuple[int, int]:
    return span[0] // unit * unit, -(-span[1] // unit) * unit


def separate(spans: Sequence[Sequence[int]], unit: int) -> list[list[int]]:
    """Those of the spans, in order, that are neither empty nor overlap once they are aligned."""
    out: list[list[int]] = []
    for span in spans:
        start, end = aligned(span, unit)
        if start < end and (not out or aligned(out[-1], unit)[1] <= start):
            out.append(list(span))
    return out


class Maker:
    """Draws one run; what was drawn before bounds what comes.

    Half of the runs have a theme, for what free draws hardly meet: "asleep" by watermarks while parameters change,
    "squeeze": folios that went out find no room, "targets" that go while a quota resumes in them, "twice": a scheme
    meets in one pass what it has handled, because another one cut it.
    """

    def __init__(self, seed: int, kernel: str) -> None:
        self.random = random.Random(seed)
        self.seed, self.kernel = seed, kernel
        self.old = kernel == "6.12.117"
        self.before_7 = kernel in ("6.12.117", "6.18")

    # ---- small draws

    def chance(self, p: float) -> bool:
        return self.random.random() < p

    def between(self, low: int, high: int) -> int:
        """Both ends may come."""
        return self.random.randint(low, max(low, high))

    def one(self, *choices: Any) -> Any:
        return self.random.choice(choices)

    def log(self, low: int, high: int) -> int:
        """As often between 1 and 10 as between 100 and 1000."""
        return int(low * (high / low) ** self.random.random())

    def cuts(self, low: int, high: int, n: int) -> list[int]:
        """At most n numbers in order, the ends among them or not."""
        return sorted({self.between(low, high) for _ in range(n)})

    def some(self, most: int, make: Callable[[], Any]) -> list[Any]:
        return [make() for _ in range(self.between(0, most))]

    # ---- the machine

    def run(self) -> Json:
        self.theme = self.one("", "", "", "", "asleep", "squeeze", "targets", "twice")
        self.clocked = self.theme == "asleep" or (self.theme != "targets" and self.chance(0.15))
        self.pages = self.one(1, 1, 1, 1, 2, 8, 16, 512)
        self.ticks = self.between(30, 120)
        self.tick_us = self.one(5_000, 5_000, 10_000)
        self.until = self.ticks * self.tick_us if self.clocked else self.ticks
        times = sorted({self.between(0, self.until) for _ in range(6)})
        self.psi = [[at, self.log(1, 10**6)] for at in times]
        for before, row in pairwise(self.psi):
            row[1] += before[1]  # a total
        self.nodes = self.make_nodes()
        slots = sum(n[2] for n in self.nodes) // self.pages
        self.bytes = slots * self.pages * PAGE
        low, high = {"squeeze": (0.8, 0.95), "twice": (0.25, 0.6)}.get(self.theme, (0.25, 0.92))
        self.logical = max(2, int(slots * self.random.uniform(low, high)))
        self.memcgs = self.make_memcgs()
        self.vaddr = self.theme == "targets" or self.chance(0.45)
        self.processes = self.make_processes() if self.vaddr else []
        most = {"asleep": 2, "targets": 1}.get(self.theme, 3)
        self.ctxs: list[Json] = []
        for _ in range(min(most, self.one(1, 1, 2, 2, 3))):
            self.ctxs.append(self.context())
        return {
            "format": 2,
            "kernel": self.kernel,
            "kernel_release": KERNELS[self.kernel],
            "name": f"random_{self.seed}",
            "note": "random",
            "hz": self.one(1000, 1000, 250, 100),
            "jiffies0": 1000,
            "ticks": 0 if self.clocked else self.ticks,
            "duration_us": self.until if self.clocked else 0,
            "clocked": self.clocked,
            "tick_us": self.tick_us,
            "cost_ns_per_page": 0 if self.clocked else self.one(0, 1_000, 20_000, 250_000),
            "on_full": self.one("try_all", "stop_run"),
            "folio_pages": self.pages,
            "nodes": self.nodes,
            "logical": self.logical,
            "place": self.place(),
            "memcgs": self.memcgs,
            "groups": [self.group() for _ in range(self.between(1, 5))],
            "processes": self.processes,
            "vma_events": self.vma_events(),
            "ctxs": self.ctxs,
            "commits": self.commits(),
            "mem": {
                "base_pfn": self.nodes[0][1],
                "node0_pages": self.nodes[0][2],
                "hole_pages": self.nodes[1][1] - self.nodes[0][1] - self.nodes[0][2],
                "node1_pages": self.nodes[1][2],
            },
            "reserve": [n[3] for n in self.nodes[:2]],
        }

    def make_nodes(self) -> list[list[int]]:
        frame, nodes = self.between(100, 400_000) * 512, []
        most = {1: 900, 2: 700, 8: 300, 16: 200, 512: 16}[self.pages]
        for nid in range(self.one(2, 2, 2, 3)):
            n = self.log(max(3, most // 15), most)
            reserve = self.one(0, 0, 0, 1, self.between(0, n // 3))
            if self.theme == "squeeze":
                reserve = self.between(n // 5, n // 2)
            nodes.append([nid, frame, n * self.pages, reserve])
            frame += (n + self.one(0, 0, self.between(1, 40))) * self.pages
        return nodes

    def place(self) -> list[list[int]]:
        ends = [*self.cuts(1, self.logical - 1, self.between(0, 3)), self.logical]
        return [[lo, hi, self.one(*self.nodes)[0]] for lo, hi in pairwise([0, *ends])]

    def make_memcgs(self) -> list[list[int]]:
        if self.chance(0.5) or self.logical < 10:
            return []
        lo, middle, hi = (self.between(a * self.logical // 10, (a + 3) * self.logical // 10) for a in (0, 3, 6))
        return [row for row in ([10, 99, lo, middle], [11, 10, middle, hi]) if row[2] < row[3]]

    def group(self) -> Json:
        lo = self.between(0, self.logical - 1)
        steady = self.chance(0.6)
        starts = self.one(0, 0, self.between(0, self.ticks))
        return {
            "lo": lo,
            "hi": self.between(lo + 1, min(self.logical, lo + self.logical // 2 + 1)),
            "kind": self.one("period", "period", "hash"),
            "period": self.one(1, 1, 2, 3, 5, 25),
            "phase": self.between(0, 30),
            "stride": self.one(1, 1, 2, 3),
            "thr": int(2**32 * self.random.random() ** 3),
            "salt": self.between(0, U32),
            "t0": 0 if steady else starts,
            "t1": 10**9 if steady else self.between(starts, self.ticks + 20),
        }

    # ---- address spaces

    def make_processes(self) -> list[list[list[int]]]:
        """Processes own parts of the logical folios; none is mapped twice."""
        n = self.one(1, 1, 2, 3) if self.logical >= 40 else 1
        return [self.space(i * self.logical // n, (i + 1) * self.logical // n) for i in range(n)]

    def space(self, lo: int, hi: int) -> list[list[int]]:
        """Mappings of the folios [lo, hi) or of parts of them: at least two gaps, if the folios allow it."""
        size, address, rows = self.pages * PAGE, self.between(1, 2_000) * 512 * PAGE, []
        cuts = sorted({lo, *self.cuts(lo, hi, self.between(2, 5)), hi})
        for a, b in pairwise(cuts):
            rows.append([a, b, address, self.one(0, self.between(0, 5_000) * self.pages)])
            address += (b - a + self.one(1, self.between(1, 30), self.between(10, 300 // self.pages))) * size
        return rows

    def vma_events(self) -> list[Json]:
        out = []
        spaces = [[list(v) for v in space] for space in self.processes]
        for at in self.cuts(1, self.ticks, self.between(0, 4)) if spaces else []:
            process = self.between(0, len(spaces) - 1)
            spaces[process] = self.changed_space(spaces[process])
            out.append({"at": at, "process": process, "vmas": spaces[process]})
        return out

    def changed_space(self, rows: Sequence[Sequence[int]]) -> list[list[int]]:
        """Mappings shrink, vanish, move up, are cut in two."""
        size, out = self.pages * PAGE, []
        for lo, hi, start, pgoff in rows:
            change = self.one("stay", "stay", "shrink", "vanish", "cut", "shift")
            if change == "vanish" and len(rows) > 1:
                continue
            if change == "shrink" and hi - lo > 1:
                hi = self.between(lo + 1, hi - 1)
            if change == "cut" and hi - lo > 2:
                a, b = self.between(lo + 1, hi - 2), self.between(1, 2)
                out.append([lo, a, start, pgoff])
                start, pgoff, lo = start + (a + b - lo) * size, pgoff + (a + b - lo) * self.pages, a + b
                if lo >= hi:
                    continue
            out.append([lo, hi, start, pgoff])
            if change == "shift":
                out[-1][2] += self.between(1, 50) * size
        for left, right in pairwise(out):
            right[2] = max(right[2], left[2] + (left[1] - left[0]) * size)
        return out or [list(rows[0])]

    # ---- contexts

    def context(self) -> Json:
        ops = self.one("vaddr", "vaddr", "fvaddr", "paddr") if self.vaddr else "paddr"
        if self.theme == "targets":
            ops = self.one("vaddr", "fvaddr")
        unit, min_sz = 1, PAGE
        if ops == "paddr" and not self.old:
            if self.chance(0.12):
                unit = self.one(2, 16, 64)
                min_sz = max(PAGE // unit, 1)
            elif not self.before_7:
                min_sz = self.one(*[PAGE] * 8, 1024, 4 * PAGE, 16 * PAGE)
        context = {"seed": self.between(0, U64), "ops": ops, "addr_unit": unit, "min_region_sz": min_sz}
        self.set_intervals(context)
        self.set_targets(context, first=True)
        self.marked = (self.theme == "asleep" and not self.ctxs) or (self.clocked and self.chance(0.4))
        context["schemes"] = [self.scheme(context, True) for _ in range(self.one(0, 1, 1, 1, 2, 2, 2, 3, 3, 4))]
        return context

    def set_intervals(self, c: Json) -> None:
        sample = self.one(1_000, 2_000, 3_000, 4_000, 5_000, 5_000, 10_000, 18_000, 21_000)
        aggr = sample * self.one(1, 2, 3, 4, 5, 5, 5, 7, 8, 10, 20) + self.one(0, 0, 0, sample // 3)
        least = self.one(3, 3, 5, 10, self.between(3, 60))
        goal = [0, 0, 0, 0]
        if not self.old and self.chance(0.2):
            goal = [self.log(20, 5_000), self.between(1, 4), sample // self.one(1, 2, 4), sample * self.one(1, 2, 10)]
        c |= {
            "sample_us": sample,
            "aggr_us": aggr,
            "ops_update_us": sample * self.one(7, 15, 40) if c["ops"] != "paddr" or self.before_7 else 60_000_000,
            "min_nr_regions": least,
            "max_nr_regions": self.one(least, least + self.log(1, 100), 60 + least, 1000),
            "intervals_goal": goal,
        }

    def set_targets(self, c: Json, first: bool) -> None:
        """One target in paddr contexts, up to three in the others."""
        if c["ops"] == "paddr":
            c["targets"] = [{"process": -1, "ranges": self.ranges(c)}]
        else:
            n = self.one(1, 1, 2, 3) if self.theme != "targets" else 3 if first else self.one(1, 2)
            c["targets"] = [self.target(c, first) for _ in range(n)]
        c["ranges"] = c["targets"][0]["ranges"]

    def target(self, c: Json, first: bool) -> Json:
        process = self.between(0, len(self.processes) - 1)
        unranged = len(self.processes[process]) >= 3 and (c["ops"] == "vaddr" or not first) and self.chance(0.6)
        return {"process": process, "ranges": [] if unranged else self.ranges(c, process)}

    def ranges(self, c: Json, process: int = -1) -> list[list[int]]:
        """Up to four ranges of core addresses; some touch, some are not aligned."""
        if process < 0:
            low, high = self.nodes[0][1] * PAGE, (self.nodes[-1][1] + self.nodes[-1][2]) * PAGE
        else:
            rows = self.processes[process]
            low, high = rows[0][2], rows[-1][2] + (rows[-1][1] - rows[-1][0]) * self.pages * PAGE
        unit = c["addr_unit"]
        grid = self.one(PAGE, PAGE, c["min_region_sz"] * unit, PAGE + 1)
        whole = [[low // unit, high // unit]]
        if self.chance(0.35):
            return whole
        points = [p * grid // unit for p in self.cuts(low // grid + 1, high // grid, 2 * self.between(1, 4))]
        spans = [[a, b] for a, b in zip(points[::2], points[1::2], strict=False)]
        if self.chance(0.4):  # touching ones
            spans = [[a, b] for a, b in pairwise(points)]
        return separate(spans, c["min_region_sz"]) or whole

    # ---- schemes

    def scheme(self, c: Json, first: bool) -> Json:
        unit = c["addr_unit"]
        action = self.action(c["ops"])
        goals = [self.goal(c["ops"], first) for _ in range(self.one(0, 0, 0, 1, 1, 2))]
        resets = (0, 10, 10, 10, 20, 20, 50, 100)  # a tuner needs many windows, so short ones with goals
        resets = (*resets, 50, 100) if goals else (*resets, 50, 50, 100, 200, 333, 1000, 2**31, U32)
        filters = [self.filter(c) for _ in range(self.one(0, 0, 0, 0, 1, 1, 2, 3))]
        if action == "pageout" and self.theme and self.chance(0.7):  # nothing but what is young, or was never looked at
            filters = [{**self.filter(c), "type": "young", "matching": False, "allow": False}]
        return {
            "action": action,
            "target_nid": self.one(*[n[0] for n in self.nodes] * 6, -1),
            "dests": self.dests(c["ops"], action),
            "pattern": self.pattern(c),
            "apply_interval_us": self.apply_interval(c),
            "ms": self.one(0, 0, 0, 0, 1, self.log(1, 1000)),
            "sz": self.one(0, 0, *[self.log(PAGE // 2, 2 * self.bytes) // unit] * 5, self.log(1 << 30, U64)),
            "reset_interval_ms": self.one(*resets),
            "tuner": "consist" if self.before_7 else self.one("consist", "temporal", "temporal", "temporal"),
            "weights": self.one([0, 0, 0], [1, 1, 1], [0, 1, 0], [0, 0, 1], [0, self.between(0, 1000), self.between(0, 1000)]),
            "fail_charge": self.fail_charge(),
            "max_nr_snapshots": 0 if self.before_7 else self.one(0, 0, 0, 0, 0, self.between(1, 30)),
            "wmarks": self.watermarks(),
            "goals": goals,
            "filters": filters,
            "sysbp": [],
        }

    def fail_charge(self) -> list[int]:
        """With a small part charged a quota of failing pages cuts on and on: not where folios have many pages."""
        if self.before_7:
            return [0, 0]
        small = ([0, 1], [1, 4096]) if self.pages <= 8 else ()
        return self.one([0, 0], [0, 0], [1, 16], [1, 2], [2, 1], *small)

    def action(self, ops: str) -> str:
        migrate = ["migrate_hot"] * 6 + ["migrate_cold"] * 6
        if ops == "paddr" and self.chance(0.5) and self.theme in ("squeeze", "asleep"):
            return "pageout"
        if self.theme == "twice" and self.chance(0.6):
            return self.one("lru_prio", "lru_deprio", "stat")
        if ops == "paddr":
            return self.one(*migrate, *["pageout"] * 4, "lru_prio", "lru_deprio", "stat", "stat", "willneed")
        return self.one(*migrate, "stat", "pageout", "lru_prio", self.one(*MADVISE))

    def dests(self, ops: str, action: str) -> list[list[int]]:
        if self.old or not action.startswith("migrate") or not self.chance(0.5 if ops != "paddr" else 0.05):
            return []
        return [[self.one(*self.nodes)[0], self.between(0, 4)] for _ in range(self.between(1, 3))]

    def pattern(self, c: Json) -> list[int]:
        """Mostly wide ones: what nothing fits tests nothing."""
        size, samples = PAGE // c["addr_unit"], max(1, c["aggr_us"] // c["sample_us"])
        low_nr, low_age = self.one(0, 0, 0, 1, self.between(0, samples)), self.one(0, 0, 0, 0, 1, 2, 3)
        return [
            self.one(0, 0, size, size, size, 16 * size),
            self.one(*[U64] * 5, self.log(64, 2_000) * size),
            low_nr,
            self.one(*[U32] * 4, self.between(low_nr, samples)),
            low_age,
            self.one(*[U32] * 5, self.between(low_age, 12)),
        ]

    def apply_interval(self, c: Json) -> int:
        sample, aggr = c["sample_us"], c["aggr_us"]
        inside = sample * self.between(1, max(1, aggr // sample))
        above = aggr + sample * self.between(1, 5)
        return self.one(0, 0, 0, inside, inside, inside, aggr * self.between(1, 3), above, sample // 2)

    def watermarks(self) -> list[int]:
        """Around the free rate of the start: pageout and what comes back cross them."""
        if not self.marked or self.chance(0.1):
            return [0, 0, 0, 0, 0]
        slots = self.bytes // self.pages // PAGE
        free = (slots - self.logical) * 1000 // slots
        high = self.one(1000, free + self.between(0, 150), *[max(free - self.between(1, 20), 0)] * 3)
        mid = min(high, max(free + self.between(-40, 40), 0))
        return [1, self.one(8_000, 20_000, 45_000, 70_000, 150_000), high, mid, min(mid, max(free - self.between(-20, 100), 0))]

    def goal(self, ops: str, first: bool) -> Json:
        metrics = ["user_input"] * 2
        if self.kernel != "7.2.12":
            metrics.append("some_mem_psi_us")
        if not self.old:
            metrics += NODE_GOALS * 2
        if not self.before_7:
            metrics += LATER_GOALS
        if ops != "paddr" or (self.kernel == "7.2.12" and not first):
            metrics = [m for m in metrics if m != "node_eligible_mem_bp"]
        metric = self.one(*metrics)
        memcg = self.one(10, 11, 99, 5)
        course = {"user_input": self.course(), "some_mem_psi_us": self.psi}.get(metric, [])
        return {
            "metric": metric,
            "target": self.one(9_970, 10_000, 10_000, self.between(5_000, 10_000), self.log(1, 10_000)),
            "nid": self.one(*[n[0] for n in self.nodes] * 4, 7),
            "memcg": memcg if "memcg" in metric else 0,
            "user_input": course,
        }

    def course(self) -> list[list[int]]:
        times = sorted(set(self.cuts(0, self.until, self.between(1, 6))))
        return [[t, self.one(0, self.log(1, 25_000))] for t in times]

    def filter(self, c: Json) -> Json:
        kind = self.one(*OLD_FILTERS, *(() if self.old else LATER_FILTERS), "young", "addr")
        f = {"type": kind, "matching": self.chance(0.6), "allow": not self.old and self.chance(0.4)}
        f |= dict.fromkeys(("start", "end", "idx", "memcg_id", "min", "max"), 0)
        if kind == "addr":
            ranges = [span for t in c["targets"] for span in t["ranges"]] or [[0, 2**40]]
            low, high = ranges[0][0], ranges[-1][1]
            f["start"] = self.between(low, max(low, high - 1))
            f["end"] = self.between(f["start"] + 1, max(f["start"] + 1, high))
        elif kind == "target":
            f["idx"] = self.between(0, 2)
        elif kind == "memcg":
            f["memcg_id"] = self.one(10, 11)
        elif kind == "hugepage_size":
            f["min"] = self.one(0, PAGE, self.pages * PAGE, 2 << 20)
            f["max"] = max(f["min"], self.one(PAGE, self.pages * PAGE, 1 << 30))
        return f

    # ---- commits

    def commits(self) -> list[Json]:
        latest, out = [dict(c) for c in self.ctxs], []
        for _ in range(self.one(0, 0, 1, 1, 2, 3) if self.theme not in ("asleep", "targets") else self.between(1, 5)):
            out.append({"ctx": self.between(0, len(latest) - 1), "at": self.moment(), "to": None})
        out.sort(key=lambda commit: commit["at"])
        for commit in out:
            latest[commit["ctx"]] = commit["to"] = self.changed(latest[commit["ctx"]])
        return out

    def moment(self) -> int:
        """Any time, or one at which an aggregation ends as long as nothing changes the intervals."""
        c = self.one(*self.ctxs)
        samples = max(1, c["aggr_us"] // c["sample_us"])
        at = self.one(self.between(1, self.ticks), samples * self.between(1, max(1, self.ticks // samples)))
        at = min(at, self.ticks)
        return at * c["sample_us"] if self.clocked else at

    def changed(self, before: Json) -> Json:
        """A context's parameters with some of them drawn anew."""
        c = {**before, "seed": self.between(0, U64)}
        c["schemes"] = [dict(s) for s in c["schemes"]]
        self.marked = self.clocked and self.chance(0.6)
        if self.chance(0.2):
            if c["ops"] == "paddr" and not self.before_7 and c["addr_unit"] == 1:
                c["min_region_sz"] = self.one(PAGE, 4 * PAGE, 16 * PAGE)
            self.set_targets(c, first=False)
        elif self.chance(0.8 if self.theme == "targets" else 0.3):
            self.set_targets(c, first=False)
        if self.chance(0.35):
            self.set_intervals(c)
        for s in c["schemes"]:
            new = self.scheme(c, False)
            s["goals"] = [self.goal(c["ops"], False) for _ in s["goals"]] if self.chance(0.3) else s["goals"]
            for names in TOGETHER:
                if self.chance(0.7 if self.theme == "asleep" and names == ("wmarks",) else 0.2):
                    s.update({name: new[name] for name in names})
            if self.chance(0.12):
                s |= {"sz": 0, "ms": 0, "goals": []}  # the quota goes
        if self.chance(0.15) and c["schemes"]:
            c["schemes"].pop()
        if self.chance(0.2) and len(c["schemes"]) < 4:
            c["schemes"].append(self.scheme(c, False))
        return self.without_undefined(c)

    def without_undefined(self, c: Json) -> Json:
        """Leave out goals whose state older kernels do not define after a commit."""
        if self.kernel == "7.2.12":
            unwanted = ("node_eligible_mem_bp",)
        else:
            unwanted = ("some_mem_psi_us",) if self.kernel == "6.18" else ()
        for s in c["schemes"]:
            s["goals"] = [g for g in s["goals"] if g["metric"] not in unwanted]
        return c


def wild_run(seed: int, kernel: str = "7.3.4") -> Json:
    """As `random_run`, with values that people rarely choose."""
    return Wild(seed, kernel).run()


class Wild(Maker):
    """Draws odd intervals, weights that overflow, long lists of filters and goals, a fourth node, nodes out of order."""

    def run(self) -> Json:
        return super().run() | {"jiffies0": self.one(1000, 1000, 5, 123_456)}

    def make_nodes(self) -> list[list[int]]:
        nodes = super().make_nodes()
        if self.chance(0.15):
            first = nodes[-1][1] + nodes[-1][2] + self.between(0, 9) * self.pages
            nodes.append([len(nodes), first, self.between(3, 60) * self.pages, self.one(0, 0, 5)])
        if self.chance(0.15):
            nids = [n[0] for n in nodes]
            self.random.shuffle(nids)
            nodes = [[nid, *n[1:]] for nid, n in zip(nids, nodes, strict=True)]
        return nodes

    def set_intervals(self, c: Json) -> None:
        super().set_intervals(c)
        if self.chance(0.3):
            sample = self.one(333, 777, 1_500, 2_500, 4_001, 7_000, 30_000)
            aggr = sample * self.one(1, 2, 3, 6, 11, 13, 33) + self.one(0, 0, sample // 2, sample - 1)
            goal = [0, 0, 0, 0]
            if not self.old and self.chance(0.4):
                least = self.one(1, sample, max(sample // 3, 1))
                goal = [self.log(1, 10_000), self.between(1, 5), least, sample * self.one(1, 3, 40)]
            update = self.one(sample * 3, sample * 11 + 5, aggr, aggr * 3, 60_000_000)
            c |= {"sample_us": sample, "aggr_us": aggr, "ops_update_us": update, "intervals_goal": goal}
        if self.chance(0.2):
            least = self.between(3, 120)
            c |= {"min_nr_regions": least, "max_nr_regions": least + self.one(0, 1, 2, 5, 20, 100)}

    def scheme(self, c: Json, first: bool) -> Json:
        s = super().scheme(c, first)
        if self.chance(0.25):
            s["weights"] = [self.between(0, 1000), *(self.one(0, 1, self.log(1, 2**20)) for _ in range(2))]
        if self.kernel != "6.18" and self.chance(0.08):  # there the score is not bounded and Linux writes beyond its array
            s["weights"] = [0, *(self.one(0, 1, 2**31 - 1, 2**31, U32, self.between(0, U32)) for _ in range(2))]
        if self.chance(0.1):
            s["ms"] = self.one(1, 2**31, U32, self.log(1, 2**63))
        if self.chance(0.1):
            s["reset_interval_ms"] = self.one(1, 3, 7, 2**32, 2**32 + 50, 2**31 - 1)
        if self.chance(0.15):
            s["filters"] = [self.filter(c) for _ in range(self.between(3, 6))]
        if self.chance(0.15):
            s["goals"] = [self.goal(c["ops"], first) for _ in range(self.between(2, 4))]
        if self.chance(0.1):
            s["apply_interval_us"] = self.one(1, c["sample_us"] - 1, c["sample_us"] + 1, c["aggr_us"] - 1, c["aggr_us"] * 7)
        return s
