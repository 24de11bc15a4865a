"""Whole small scenarios that use every field of the schema, as plain data: the same seed makes the same one.

``any_scenario(seed)`` makes one. What cannot go together is drawn apart as far as it is known here; the few that the checks
still refuse are drawn again. ``used(scenario)`` lists what one says, ``everything()`` what there is to say.
"""

from __future__ import annotations

import dataclasses
import random
import types
import typing
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import tieringmodel as tm
from tieringmodel.fields import Checked
from tieringmodel.hotness import protocol
from tieringmodel.scenario import linux, metrics, scheme
from tieringmodel.scenario.hardware import ALLOCATORS
from tieringmodel.scenario.quota import CLAMPS, EARLY_EXITS
from tieringmodel.units import UINT_MAX, ULONG_MAX

PAGE, HUGE = 4096, 2 << 20
DURATION_S = 0.3
Json = dict[str, Any]
THEMES = ("folios", "numa", "percpu", "buddy", "swap", "demand", "sources", "large", "old", "vaddr", "holes", "")
TAKEN = ("unmanaged_bytes", "kernel_bytes", "cache_bytes", "offline_bytes")
OLD_METRICS = ("user_input", "some_mem_psi_us")
SHARES = ("node_eligible_mem_bp", "node_mem_used_bp", "node_mem_free_bp")  # what `compare` is about
VIRTUAL_METRICS = tuple(m.name for m in metrics.SHIPPED.values() if "vaddr" in m.ops and m.linux not in ("", "next"))


def any_scenario(seed: int) -> Json:
    """Return a scenario that `Scenario.from_dict` takes."""
    for k in range(50):
        made = Maker(seed * 50 + k).scenario()
        try:
            tm.Scenario.from_dict(made)
        except tm.InputError:
            continue
        return made
    raise AssertionError(f"seed {seed}: fifty drafts are refused")


def short_s(scenario: tm.Scenario) -> float:
    """Return how long a run takes in which monitoring works a hundred times or so, at most a third of `DURATION_S`."""
    per_s = sum(1e6 / c.attrs.sample_us + 3e6 / c.attrs.aggr_us for c in scenario.contexts)
    return min(DURATION_S / 3, 100 / max(per_s, 1))


def used(item: Any) -> Iterator[tuple[str, str, Any]]:
    """Yield class, field and value of all that differs from its default."""
    if isinstance(item, (tuple, list)):
        for part in item:
            yield from used(part)
    if isinstance(item, Checked):
        for field in dataclasses.fields(item):  # type: ignore[arg-type]
            value = getattr(item, field.name)
            default = field.default_factory() if field.default_factory is not dataclasses.MISSING else field.default
            if value != default:
                yield type(item).__name__, field.name, value
            elif field.name in item._choices:
                yield type(item).__name__, field.name, value
            yield from used(value)


def everything(cls: type = tm.Scenario, seen: set[type] | None = None) -> Iterator[tuple[str, str, Any]]:
    """Yield class, field and choice, None where any value will do, of all that the schema can say."""
    seen = set() if seen is None else seen
    if cls in seen:
        return
    seen.add(cls)
    hints = typing.get_type_hints(cls)
    for field in dataclasses.fields(cls):  # type: ignore[arg-type]
        for choice in cls._choices.get(field.name, (None,)):  # type: ignore[attr-defined]
            yield cls.__name__, field.name, choice
        for part in _parts(hints[field.name]):
            if dataclasses.is_dataclass(part):
                yield from everything(part, seen)  # type: ignore[arg-type]


def _parts(hint: Any) -> Iterator[Any]:
    inner = typing.get_args(hint)
    if inner and (typing.get_origin(hint) in (tuple, typing.Union, types.UnionType)):
        for one in inner:
            yield from _parts(one)
    else:
        yield hint


class Maker:
    """Draws one scenario around a theme or two; what was drawn before bounds what comes."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.themes = {self.one(THEMES), self.one(("", "", *THEMES))}
        if "folios" in self.themes:
            self.themes -= {"numa", "sources", "large"}
        if "large" in self.themes:
            self.themes -= {"numa", "percpu"}
        if "old" in self.themes:
            self.themes -= {"folios"}

    def one(self, of: Any) -> Any:
        return self.rng.choice(list(of))

    def maybe(self, share: float = 0.5) -> bool:
        return self.rng.random() < share

    def whole(self, low: int, high: int) -> int:
        return self.rng.randint(low, high)

    def some(self, share: float, **fields: Any) -> Json:
        """Return each field with a chance; a function is called."""
        return {name: value() if callable(value) else value for name, value in fields.items() if self.maybe(share)}

    # ---- machine ----------------------------------------------------------------------------------------------------

    def machine(self) -> Json:
        self.page = self.one((16384, 65536)) if "large" in self.themes else PAGE
        self.unit = HUGE // PAGE if "folios" in self.themes else 1  # pages that everything is aligned to
        start, nodes = self.one((0, 0, 1 << 30, 5 << 30)), []
        count = self.one((2, 2, 2, 3, 1)) if not self.themes & {"numa", "demand"} else self.one((2, 2, 3))
        self.nids = sorted(self.rng.sample(range(5), count)) if self.maybe(0.3) else list(range(count))
        for nid in self.nids:
            pages = self.whole(1, 3) * self.unit if self.unit > 1 else self.whole(120, 500)
            node, start = self.node(nid, start, pages * self.page)
            nodes.append(node)
        self.nodes = nodes
        self.cpus = self.whole(1, 3)
        out: Json = {"nodes": nodes, "allocator": self.one(("lowest", "lowest", *ALLOCATORS))}
        if "folios" in self.themes:
            out["allocator"] = self.one(("lowest", "random", "buddy"))
        if "buddy" in self.themes:
            out["allocator"] = "buddy"
            cpus = {"cpus": self.cpus, "others_pages_per_s": self.one((0, 50, 900)), "cpu_changes_bp": self.one((0, 9000))}
            out |= self.some(0.8, buddy=cpus)
        out |= self.some(
            0.3, hz=self.one((100, 250, 300)), on_full="try_all", migrate_ns_per_page=self.one((500, 20_000)),
            rmap_ns_per_page=1500, shared_split_state=False, percpu_roams=False, whole_jiffies=False, overload=True,
        )  # fmt: skip
        if self.page > PAGE:
            out["folio_bytes"] = self.page
        elif "percpu" in self.themes:
            out["percpu_lists"] = self.cpus
            for node in nodes:
                node |= self.some(0.6, percpu_pages=self.whole(1, 20))
        if "swap" in self.themes:
            out["swap"] = self.swap()
        if "numa" in self.themes:
            out["numa_balancing"] = self.balancing()
        if "demand" in self.themes or self.maybe(0.05):
            out["performance"] = self.performance()
        return out

    def node(self, nid: int, start: int, size: int) -> tuple[Json, int]:
        unit = self.page * self.unit
        node: Json = {"nid": nid}
        node |= self.some(0.4, reserve_pages=self.whole(1, 20))
        for name in TAKEN if size > unit or self.unit == 1 else ():
            node |= self.some(0.15, **{name: self.whole(1, 12) * self.page})
        hole = self.whole(1, 3) * unit
        if "holes" in self.themes and size >= 2 * unit:
            cut = self.whole(1, size // unit - 1) * unit
            node["ranges"] = [[start, start + cut], [start + cut + hole, start + size + hole]]
            return node, start + size + hole
        node["sz_bytes"] = size
        gap = hole if self.maybe(0.2) else 0
        if gap or start or self.maybe():
            node["start_bytes"] = start + gap
        return node, start + gap + size

    def swap(self) -> Json:
        out: Json = {"kind": self.one(("zram", "disk"))}
        return out | self.some(
            0.5, throughput_bytes_per_s=self.one((1 << 20, 1 << 26)), latency_us=self.one((50, 3000)),
            capacity_bytes=self.whole(0, 100) * PAGE, queue_bytes=self.one((PAGE, 40 * PAGE)),
            at_once_bp=self.one((0, 3000, 10_000)),
        )  # fmt: skip

    def balancing(self) -> Json:
        out: Json = {"demotion_enabled": self.maybe(0.6)}
        if out["demotion_enabled"] and self.maybe(0.3):
            out["mode"] = "disabled"
        out |= {"scan_delay_ms": self.one((0, 10, 1000)), "scan_period_min_ms": self.one((1, 20, 1000)), "scan_size_mb": 1}
        out |= self.some(
            0.3, scan_period_max_ms=2000, hot_threshold_ms=self.one((1, 50)), promote_rate_limit_mbps=self.one((1, 9)),
            min_free_kbytes=self.one((128, 400)), watermark_scale_factor=self.one((100, 1000)),
            transparent_hugepage=self.one(("madvise", "never")), cpu_share=0.5, set_before_ms=700, promote_fault_us=3.0,
            refuse_fault_us=1.5, scan_page_ns=80.0, kswapd_pages_per_s=5000.0,
        )  # fmt: skip
        if self.maybe(0.4):
            out |= {"scan_period_ms": self.one((5, 50))} | self.some(0.5, first_window_ms=self.one((3, 40)))
        if self.maybe(0.3):
            windows = sorted(self.rng.sample(range(1, 400), self.whole(1, 6)))
            out |= {"windows_ms": windows, "passes_ms": [at for at in windows if self.maybe()]}
        if self.maybe(0.2):
            slow = sorted(self.rng.sample(range(400), self.whole(1, 3)))
            out |= {"fault_from_ms": slow, "fault_factors": [self.one((1, 7, 1000)) for _ in slow]}
        if self.maybe(0.4):
            marks = sorted(self.whole(0, 60) for _ in range(4))
            names = ("min", "low", "high", "promo")
            out["zones"] = [
                {"nid": nid, "name": "Normal", "managed": 100, **dict(zip(names, marks, strict=True))}
                | self.some(0.5, protection_pages=7)
                for nid in self.nids
            ]
        return out

    def performance(self) -> Json:
        if len(self.nids) == 2 and self.nids == [0, 1] and self.maybe(0.3):
            return {"preset": "turin-cxl"}
        records = []
        for k, nid in enumerate(self.nids):
            curve: Json = {"idle_latency_ns": 80.0 + 100 * k, "bandwidth_gbps": 40.0 - 5 * k}
            curve |= {"nid": nid} if self.nids != list(range(len(self.nids))) or self.maybe() else {}
            curve |= self.one(({}, {"queue_ns": 90.0}, {"curve": [[0, 80 + 100 * k], [0.9, 400.0]]}))
            curve |= self.some(0.3, name=f"node {nid}", peaks_gbps=[[1.0, 40.0], [0.5, 30.0]])
            records.append(curve)
        if len({"nid" in r for r in records}) > 1:
            for nid, record in zip(self.nids, records, strict=True):
                record["nid"] = nid
        return {"nodes": records}

    # ---- workload ---------------------------------------------------------------------------------------------------

    def room(self, node: Json) -> int:
        size = node.get("sz_bytes") or sum(b - a for a, b in node["ranges"])
        return max((size - sum(node.get(name, 0) for name in TAKEN)) // self.page, 0)

    def cuts(self, most: int) -> list[tuple[int, int]]:
        unit = self.unit
        inner = {self.whole(1, max(self.n // unit - 1, 1)) * unit for _ in range(self.whole(0, most))}
        return [pair for pair in pairwise(sorted({0, *(c for c in inner if c < self.n), self.n}))]

    def workload(self) -> Json:
        room = sum(map(self.room, self.nodes)) * 9 // 10
        if self.maybe(0.95):  # wherever the pages go, what else takes memory there finds it
            room = min([room, *(self.room(node) for node in self.nodes if node.keys() & set(TAKEN))])
        self.n = max(self.whole(room * 2 // 5, max(room, 1)) // self.unit * self.unit, self.unit)
        self.tick_us = self.one((1000, 2000, 5000))
        out: Json = {"n_pages": self.n, "groups": [self.group(k) for k in range(self.whole(1, 4))]}
        if self.maybe(0.5):
            out["placement"] = [self.placement(lo, hi) for lo, hi in self.cuts(2)]
        if "vaddr" in self.themes or self.maybe(0.3):
            out["vmas"] = self.vmas()
        if self.maybe(0.6):
            out["memcgs"] = [
                {"memcg_id": k + 1, "lo": lo, "hi": hi} | self.some(0.3, parent_id=1 if k else 9)
                for k, (lo, hi) in enumerate(self.cuts(2))
            ]
        out |= self.some(0.7, tick_us=self.tick_us)
        if "tick_us" in out:
            out |= self.some(0.3, tick_chosen=False)
        if "demand" in self.themes:
            out["demand"] = self.demand(out["groups"])
        return out

    def vmas(self) -> list[Json]:
        shift = self.page * self.unit
        return [
            {"lo": lo, "hi": hi, "start_bytes": ((k + 1) << 30) + lo * self.page + (shift if self.maybe(0.3) else 0)}
            | self.some(0.3, pgoff=self.whole(1, 9), process=self.whole(0, 1))
            for k, (lo, hi) in enumerate(self.cuts(4))
        ]

    def placement(self, lo: int, hi: int) -> Json:
        out: Json = {"lo": lo, "hi": hi, "nid": self.one(self.nids)}
        if self.maybe(0.2):
            out["weights"] = [self.whole(1, 4) for _ in self.nids]
        elif self.maybe(0.1):
            first = self.nodes[0]
            out["start_bytes"] = first["ranges"][0][0] if "ranges" in first else first.get("start_bytes", 0)
        return out

    def group(self, k: int) -> Json:
        unit = self.unit
        lo = self.whole(0, self.n // unit - 1) * unit
        hi = self.whole(lo // unit + 1, self.n // unit) * unit
        demand, folios = "demand" in self.themes, "folios" in self.themes
        kind = "rate" if demand else self.one(("rate", "rate", "period")) if folios else self.one(("rate", "period", "hash"))
        row: Json = {"lo": lo, "hi": hi, "kind": kind, "name": f"g{k}" if demand or self.maybe(0.4) else ""}
        row |= self.some(0.2, start_tick=self.one((5, 40)), end_tick=self.one((60, 120)))
        if kind == "rate":
            row["rate_hz"] = self.one((0.5, 20.0, 400.0))
        elif kind == "period":
            row |= {"period": self.whole(1, 9), "phase": self.whole(0, 9), "stride": self.whole(1, 3)}
            row |= self.some(0.3, sweep_ticks=self.whole(0, row["period"]))
        else:
            row |= {"threshold": self.one((0, 1 << 30, UINT_MAX)), "salt": self.whole(0, UINT_MAX)}
        if folios and k == 0:
            row |= self.one(({"folio_bytes": 65536}, {"thp": "always"}, {"thp": "madvise"}, {"folio_bytes": HUGE}))
            row |= {"thp_share": 0.5} if "thp" in row and self.maybe() else {}
        if demand:
            row |= self.some(0.3, threads=2.0, outstanding=self.one((4.0, [3.0] * len(self.nids))))
        if "swap" in self.themes:
            row |= self.some(0.4, dirty_share=0.25, unevictable_share=0.125)
        return row

    def demand(self, groups: list[Json]) -> Json:
        out: Json = {"threads": 4.0, "outstanding": self.one((8.0, [6.0] * len(self.nids)))}
        out |= self.some(0.4, bytes_per_access=128.0, think_ns=50.0, read_share=0.75)
        if self.maybe(0.4):
            out["background"] = [{"nid": self.one(self.nids)} | self.one(({"gbps": 3.0}, {"threads": 1.0, "outstanding": 4.0}))]
        if self.maybe(0.4):
            out["phases"] = [{"work": self.one((1e3, 1e5, 1e7)), "groups": [g["name"]]} for g in groups[:2]]
        return out

    # ---- contexts ---------------------------------------------------------------------------------------------------

    def context(self, vmas: list[Json], ops: str | None = None) -> Json:
        self.ops = ops or self.one(("paddr", "paddr", "vaddr", "fvaddr") if vmas else ("paddr",))
        old = "old" in self.themes
        row: Json = {
            "ops": self.ops,
            "attrs": self.attrs(),
            "schemes": [self.scheme() for _ in range(self.one((0, 1, 1, 2, 2, 3)))],
        }
        if self.ops != "paddr":
            row["targets"] = [self.target(vmas) for _ in range(self.whole(1, 2))]
        elif self.maybe(0.3):
            row["targets"] = [{"regions": self.physical()}]
        row |= self.some(0.3, rng_seed=self.whole(0, ULONG_MAX), moving_sum=self.one(("on_demand", "stored")))
        if not old:
            row |= self.some(0.2, min_region_sz=self.one((16384, 65536)))
            if self.maybe(0.15) and "targets" in row and self.ops == "paddr":
                row["addr_unit"] = 4
                row["targets"] = [{"regions": [[a // 4, b // 4] for a, b in row["targets"][0]["regions"]]}]
        if "sources" in self.themes:
            row["sources"] = [self.source() for _ in range(self.whole(1, 2))]
        if self.maybe(0.1):
            row["aggr_times_us"] = [60_000 * (k + 1) + 77 * k for k in range(9)]
            row |= self.some(0.5, aggr_sampled_us=[60_000 * (k + 1) - 9_000 * (k % 3) for k in range(9)])
        return row

    def attrs(self) -> Json:
        sample = self.one((1000, 2000, 5000))
        out: Json = {"sample_us": sample, "aggr_us": sample * self.one((1, 5, 20)) + self.one((0, 300))}
        out |= {"min_nr_regions": self.whole(3, 10), "max_nr_regions": self.whole(10, 60)}
        out |= self.some(0.2, update_us=40_000)
        if self.maybe(0.2) and "old" not in self.themes:
            goal = {"access_bp": self.one((50, 3000)), "aggrs": self.whole(1, 3)}
            out["intervals_goal"] = goal | {"min_sample_us": 1000, "max_sample_us": 20_000}
        return out

    def physical(self) -> list[list[int]]:
        spans = [r for n in self.nodes for r in n.get("ranges", [[n.get("start_bytes", 0), n.get("start_bytes", 0) + 1]])]
        low = spans[0][0]
        return [[low, low + self.whole(20, 200) * PAGE], [low + 300 * PAGE, low + self.whole(301, 900) * PAGE]]

    def target(self, vmas: list[Json]) -> Json:
        known = sorted({vma.get("process", 0) for vma in vmas})
        out: Json = {"process": self.one(known if self.maybe(0.95) else (0, 1))}
        out = {} if out["process"] == 0 and self.maybe() else out
        if self.maybe(0.3):
            first = self.one(vmas)
            out["regions"] = [[first["start_bytes"], first["start_bytes"] + self.whole(10, 60) * PAGE]]
        return out

    def source(self) -> Json:
        name = self.one(protocol.sources())
        settings = {"hint_faults": ["scan_bytes = 64 KiB", "scan_period_us = 20000"], "chmu": ["threshold = 2"]}.get(name, [])
        return {"name": name} | ({"settings": settings} if settings and self.maybe(0.8) else {})

    def scheme(self) -> Json:
        old, virtual = "old" in self.themes, self.ops != "paddr"
        row: Json = {"action": self.one((*scheme.ACTIONS, "migrate_hot", "migrate_cold", "pageout", "pageout"))}
        if row["action"] == "collapse" and old:
            row["action"] = "stat"
        if row["action"].startswith("migrate"):
            row["target_nid"] = self.one((*self.nids, *self.nids, -1, 9))
        pattern = self.some(
            0.25, min_sz_bytes=3 * PAGE, max_sz_bytes=60 * PAGE, min_nr_accesses=self.whole(0, 3),
            max_nr_accesses=self.one((0, 4)), min_age=self.whole(0, 3), max_age=self.one((2, 50)),
        )  # fmt: skip
        row |= {"access_pattern": pattern} if pattern else {}
        row |= self.some(0.2, apply_interval_us=self.one((10_000, 35_000, 250_000)), enabled=False)
        row |= self.some(0.8, quota=self.quota) | self.some(0.2, watermarks=self.watermarks)
        row |= self.some(0.4, filters=[self.filter() for _ in range(self.whole(1, 2))])
        if not old:
            row |= self.some(0.1, max_nr_snapshots=self.whole(1, 4))
        if self.maybe(0.3) and not old and not ("folios" in self.themes and not virtual):
            row["dests"] = [{"id": nid, "weight": self.whole(0, 3)} for nid in self.nids[:2]]
            row["dest_rule"] = "vma_offset" if "folios" in self.themes else self.one(scheme.DEST_RULES)
            row |= self.some(0.3, rmap_done_mark=True)
        return row

    def watermarks(self) -> Json:
        low, mid, high = sorted(self.whole(0, 1000) for _ in range(3))
        return {"metric": "free_mem_rate", "interval_us": self.one((5000, 60_000)), "high": high, "mid": mid, "low": low}

    def filter(self) -> Json:
        old = ("addr", "target", "anon", "memcg", "young")
        kind = self.one(old if "old" in self.themes else (*scheme.CORE_FILTERS, *scheme.OPS_FILTERS))
        row: Json = {"type": kind} | self.some(0.4, matching=False)
        if "old" not in self.themes:
            row |= self.some(0.5, allow=True)
        if kind == "addr":
            low = self.physical()[0][0]
            row |= {"start_bytes": low + PAGE, "end_bytes": low + self.whole(1, 200) * PAGE}
        elif kind == "target":
            row["target_idx"] = self.whole(1, 2)
        elif kind == "memcg":
            row["memcg_id"] = self.whole(1, 3)
        elif kind == "hugepage_size":
            row |= {"min_bytes": PAGE, "max_bytes": self.one((PAGE, HUGE))}
        return row

    def quota(self) -> Json:
        old = "old" in self.themes
        row: Json = {"reset_interval_ms": self.one((20, 50, 100, 333))}
        row |= self.some(0.7, sz_bytes=self.one((1, PAGE, 40 * PAGE + 5, 1 << 30)))
        row |= self.some(0.2, ms=self.one((1, 3)), esz0=self.one(("stop", "bypass")), esz_bp0=self.one((10**4, 10**9)))
        row |= self.some(0.15, esz_floor_min_region=True, esz_cap_monitored=True)
        row |= self.some(0.4, weights={"sz": self.whole(1, 9), "nr_accesses": self.whole(1, 99), "age": self.whole(1, 99)})
        row |= self.some(0.7, goals=[self.goal() for _ in range(self.whole(1, 2))])
        if not old:
            row |= self.some(0.6, goal_tuner="temporal")
            if self.maybe(0.2):
                row |= {"fail_charge_num": 1, "fail_charge_denom": self.one((3, 4096))}
        return row

    def goal(self) -> Json:
        virtual = self.ops != "paddr"
        every = [name for name, m in metrics.SHIPPED.items() if m.linux != "next"]
        name = self.one(OLD_METRICS if "old" in self.themes else VIRTUAL_METRICS if virtual else (*every, *SHARES, *SHARES))
        metric = metrics.metric_of(name)
        row: Json = {"metric": name, "target_value": self.whole(1, 9999)}
        row |= self.some(0.9 if 0 in self.nids else 0.99, nid=self.one(self.nids))
        if metric.counts in ("input", "stall"):
            row |= self.some(0.6, current_value=self.whole(1, 3000))
            row |= self.some(0.5, current_values=[[50_000, 4000], [150_000, 9000]])
        if "memcg_id" in metric.needs:
            row["memcg_id"] = self.whole(1, 2)
        if metric.unit == "bp":
            row |= self.some(0.2, complement=True)
        if metric.unit == "bp" and "old" not in self.themes:
            row |= self.some(0.3, clamp=self.one(CLAMPS), early_exit=self.one(EARLY_EXITS))
        if not virtual:
            row |= self.some(0.2, lag_cache=True)
            row |= {"lag_timeout_ms": 40} if "lag_cache" in row else {}
        return row

    # ---- what changes, and which kernel ------------------------------------------------------------------------------

    def event(self, contexts: list[Json], vmas: list[Json]) -> Json:
        paths: list[tuple[str, Any]] = [(f"machine.nodes.{k}.reserve_pages", self.whole(0, 9)) for k in range(len(self.nids))]
        paths += [(f"machine.nodes.{k}.offline_bytes", self.whole(0, 9) * self.page) for k in range(len(self.nids))]
        if vmas and "folios" not in self.themes:
            paths.append(("workload.vmas", self.vmas()))
        for i, context in enumerate(contexts):
            self.ops = context["ops"]
            paths.append((f"contexts.{i}.schemes.{len(context['schemes'])}", self.scheme()))
            if "aggr_times_us" not in context:
                paths.append((f"contexts.{i}.attrs", self.attrs()))
            for j, one in enumerate(context["schemes"]):
                where = f"contexts.{i}.schemes.{j}"
                paths += [(f"{where}.enabled", self.maybe()), (f"{where}.quota.sz_bytes", self.whole(0, 99) * PAGE)]
                paths += [(f"{where}.filters", [self.filter()]), (f"{where}.access_pattern.min_age", self.whole(0, 3))]
                paths += [(f"{where}.watermarks", self.watermarks()), (f"{where}.quota.goals", [self.goal()])]
                for k in range(len(one.get("quota", {}).get("goals", ()))):
                    paths.append((f"{where}.quota.goals.{k}.target_value", self.whole(1, 9999)))
        path, value = self.one(paths)
        return {"path": path, "value": value}

    def kernel(self) -> Any:
        base = self.one(linux.NAMES) if "old" in self.themes else self.one((linux.DEFAULT, "7.3", "7.2", linux.NEXT))
        known = linux.rules_of_release(linux.SHORT.get(base, base))
        switches = {name: self.maybe() for name in linux.SWITCHES if known[name] is not None and self.maybe(0.15)}
        return {"base": base} | switches

    def at_us(self) -> int:
        return self.one((1, 40_000, 100_000, self.whole(1, int(DURATION_S * 1e6) + 50_000)))

    def scenario(self) -> Json:
        machine, workload = self.machine(), self.workload()
        vmas = workload.get("vmas", [])
        contexts = [self.context(vmas) for _ in range(self.one((1, 1, 1, 1, 1, 2, 2, 2, 3, 0)))]
        out: Json = {"machine": machine, "workload": workload, "contexts": contexts} | self.some(0.5, name="any ☃")
        if self.maybe(0.35):
            out["events"] = sorted(
                ({"at_us": self.at_us()} | self.event(contexts, vmas) for _ in range(self.whole(1, 3))),
                key=lambda e: e["at_us"],
            )
        if contexts and self.maybe(0.3):
            commits = []
            for _ in range(self.whole(1, 2)):
                i = self.whole(0, len(contexts) - 1)
                to = self.context(vmas, contexts[i]["ops"]) | self.some(0.0)
                for name in ("rng_seed", "sources", "aggr_times_us", "aggr_sampled_us", "addr_unit"):
                    to.pop(name, None)
                commits.append({"at_us": self.at_us(), "context": i, "to": to})
            out["commits"] = sorted(commits, key=lambda c: c["at_us"])
        if self.maybe(0.5) or "old" in self.themes:
            out["kernel"] = self.kernel()
        return out
