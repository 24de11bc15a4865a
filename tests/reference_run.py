"""Whole runs of format 2 in slow, literal Python: from the parameters of a run to its tables.

Written from the specification alone and sharing nothing with the package, to hold the engine against.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
from reference_context import Context, Shared
from reference_machine import PAGE, Machine
from reference_rules import rules_of
from reference_schemes import STATISTICS

Tables = dict[str, np.ndarray]

REGION = ("tick", "ctx", "target", "start", "end", "nr_accesses", "last_nr_accesses", "age")
COLUMNS = {
    "regA": REGION,
    "regB": REGION,
    "scheme": (
        "tick", "ctx", "scheme", "esz", "esz_bp", "charged_sz", "total_charged_sz", "total_charged_ns", "charged_from_jiffies",
        "charge_target_plus1", "charge_addr_from", "min_score", *STATISTICS, "next_apply_sis", "sample_us", "aggr_us", "active",
    ),
    "goal": ("tick", "ctx", "scheme", "goal", "current", "target"),
    "node": (
        "tick", "ctx", "used0", "used1", "migrated_total", "alloc_failed_total", "owner_crc32", "jiffies", "clock_ns",
        "lru_active", "out",
    ),
    "events": (
        "tick", "ctx", "scheme", "target", "start", "end", "nr_accesses_mvsum", "age", "score", "sz_applied",
        "sz_filter_passed", "early_exit",
    ),
    "runs": ("tick", "ctx", "site", "count"),
}  # fmt: skip


@dataclass
class Kdamond:
    """The loop of a context: what it latched at the begin of a body, and whether it is asleep by watermarks."""

    index: int
    context: Context
    wake: int = 0  # us
    latched: tuple[int, int, int] = (0, 0, 0)  # next aggregation, next update, sampling interval
    asleep: bool = False
    wait: int | None = None  # the smallest wait within one sleep by watermarks
    commits: list[dict] = field(default_factory=list)

    def latch(self) -> None:
        c = self.context
        self.latched = c.next_aggregation, c.next_update, c.attributes.sample_us
        self.wait = None

    def look(self) -> bool:
        """Look at the watermarks; say whether anything is to be done."""
        c = self.context
        rate = c.machine.free_rate()
        for s in c.schemes:
            wait = s.wmarks.wait_us(rate)
            self.wait = wait if self.wait is None else min(self.wait, wait)
        self.asleep = bool(self.wait)
        return not self.asleep


class Run:
    def __init__(self, run: Mapping) -> None:
        self.run = run
        self.rules = rules_of(run["kernel"])
        self.machine = Machine(run, self.rules)
        self.rows: dict[str, list[tuple[int, ...]]] = {name: [] for name in COLUMNS}
        self.tick = 0
        shared = Shared(self.machine)
        self.kdamonds = [Kdamond(i, self.context(i, to, shared)) for i, to in enumerate(run["ctxs"])]
        for commit in sorted(run["commits"], key=lambda c: c["at"]):
            self.kdamonds[commit["ctx"]].commits.append(commit)

    def context(self, index: int, to: dict, shared: Shared) -> Context:
        def drew(site: int, count: int) -> None:
            self.rows["runs"].append((self.tick, index, site, count))

        def record(scheme, target, r, seen, age, score, applied, passed) -> None:
            self.rows["events"].append((self.tick, index, scheme, target, r.start, r.end, seen, age, score, applied, passed, 0))

        return Context(to, self.machine, shared, drew, record)

    # ---- the two clocks

    def play(self) -> Tables:
        for k in self.kdamonds:
            self.regions("regB", k)
        if self.run["clocked"]:
            self.play_clocked()
        else:
            self.play_in_step()
        return self.tables()

    def play_in_step(self) -> None:
        for k in self.kdamonds:
            self.begin(k)
        last = self.kdamonds[-1].context
        while self.tick < self.run["ticks"]:
            self.tick += 1
            self.machine.clock += last.attributes.sample_us * 1000
            self.machine.tick(self.tick)
            for k in self.kdamonds:
                if k.asleep:
                    raise ValueError("format 2 does not say what a context that watermarks put to sleep does in lock step")
                self.body(k, self.tick)
                if self.tick < self.run["ticks"]:
                    self.begin(k)

    def play_clocked(self) -> None:
        ticks = 0
        for k in self.kdamonds:
            self.begin(k)
        while True:
            k = min(self.kdamonds, key=lambda k: (k.wake, k.index))
            if k.wake > self.run["duration_us"]:
                return
            now = k.wake
            self.machine.clock = max(self.machine.clock, now * 1000)
            self.tick = now // self.run["tick_us"]
            while ticks < self.tick:
                ticks += 1
                self.machine.tick(ticks)
            if k.asleep:
                self.take_commits(k, now)
                self.look(k)
            else:
                self.body(k, now)
                self.begin(k)

    def sleep(self, us: int) -> int:
        """How long a sleep lasts: long ones whole jiffies."""
        jiffy = 10**6 // self.run["hz"]
        whole = us >= 4 * jiffy if self.rules["sleep_four_jiffies"] else us > 20_000
        return -(-us // jiffy) * jiffy if whole else us

    # ---- one turn

    def begin(self, k: Kdamond) -> None:
        k.latch()
        self.look(k)

    def look(self, k: Kdamond) -> None:
        if k.look():
            k.context.prepare()
            k.wake += self.sleep(k.latched[2])
        else:
            k.wake += self.sleep(k.wait or 0)

    def take_commits(self, k: Kdamond, now: int) -> None:
        before = now - (self.sleep(k.context.attributes.sample_us) if self.run["clocked"] else 1)
        if k.asleep:
            k.context.set_inputs(before)
        while k.commits and k.commits[0]["at"] <= now:
            k.context.commit(k.commits.pop(0)["to"])
            if k.commits:  # what users had fed until then stays, if the next commit measures something else
                k.context.set_inputs(before)

    def body(self, k: Kdamond, now: int) -> None:
        c = k.context
        next_aggregation, next_update, _ = k.latched
        c.passed += 1
        most = c.check()
        aggregated = c.passed >= next_aggregation
        if aggregated:
            c.merge(most)
            self.regions("regA", k)
        if aggregated or self.rules["commit_any_tick"]:
            self.take_commits(k, now)
        c.set_inputs(now)
        due = aggregated or c.scheme_due()
        if due:
            self.machine.fault_in()
        c.apply_schemes()
        if aggregated:
            if c.attributes.intervals_goal[1] and c.passed >= c.next_tune:
                c.next_aggregation = next_aggregation
                c.next_tune += c.attributes.aggr_samples * c.attributes.intervals_goal[1]
                c.tune()
            c.next_aggregation = next_aggregation + c.attributes.samples(c.attributes.aggr_us)
            c.reset()
            c.split()
        if c.passed >= next_update:
            c.next_update = next_update + c.attributes.samples(c.attributes.ops_update_us)
            c.update()
        if aggregated:
            self.regions("regB", k)
        if due:
            self.states(k)

    # ---- tables

    def regions(self, table: str, k: Kdamond) -> None:
        for t, target in enumerate(k.context.targets):
            for r in target.regions:
                self.rows[table].append((self.tick, k.index, t, r.start // PAGE, r.end // PAGE, r.nr, r.last, r.age))

    def states(self, k: Kdamond) -> None:
        c, m = k.context, self.machine
        for i, s in enumerate(c.schemes):
            q = s.quota
            number = next((t + 1 for t, target in enumerate(c.targets) if target is q.charge_target), 0)
            self.rows["scheme"].append(
                (
                    self.tick, k.index, i, q.esz, q.esz_bp, q.charged_sz, q.total_charged_sz, q.total_charged_ns,
                    q.charged_from, number, q.charge_addr, q.min_score, *s.stats.values(), s.next_apply,
                    c.attributes.sample_us, c.attributes.aggr_us, s.wmarks.active,
                )
            )  # fmt: skip
            for g, goal in enumerate(q.goals):
                self.rows["goal"].append((self.tick, k.index, i, g, goal.current, goal.target))
        used = [m.used(node) for node in m.nodes] + [0]
        self.rows["node"].append(
            (
                self.tick, k.index, used[0], used[1], m.migrated, m.failed, m.owner_crc32(), m.jiffies, m.clock, m.lru_active(),
                len(m.out),
            )
        )  # fmt: skip

    def tables(self) -> Tables:
        out = {"owner_final": self.machine.owners()}
        for name, columns in COLUMNS.items():
            if name == "runs" and self.run["clocked"]:
                continue
            for i, column in enumerate(columns):
                out[f"{name}.{column}"] = np.array([row[i] for row in self.rows[name]], np.uint64)
        return out


def play(run: Mapping) -> Tables:
    """The tables of a run."""
    return Run(run).play()


def differences(run: Mapping, recorded: Mapping[str, np.ndarray], tables: Tables | None = None) -> dict[str, int]:
    """How many values of each recorded column the reference does not repeat; a row that one side lacks counts once."""
    tables = play(run) if tables is None else tables
    out = {}
    for name in recorded:
        mine, theirs = tables[name], recorded[name]
        n = min(mine.size, theirs.size)
        wrong = int((mine[:n] != theirs[:n].astype(np.uint64)).sum()) + max(mine.size, theirs.size) - n
        if wrong:
            out[name] = wrong
    for name in tables.keys() - set(recorded):
        out[name] = tables[name].size
    return out


def first_difference(recorded: Mapping[str, np.ndarray], tables: Tables, names: Iterable[str]) -> list[tuple]:
    """(tick, column, row, recorded, mine) of each column's first difference, earliest first."""
    out = []
    for name in names:
        mine, theirs = tables[name], recorded[name].astype(np.uint64)
        n = min(mine.size, theirs.size)
        unequal = np.flatnonzero(mine[:n] != theirs[:n])
        row = int(unequal[0]) if unequal.size else n
        table = name.split(".")[0]
        ticks = recorded.get(f"{table}.tick")
        tick = int(ticks[row]) if ticks is not None and row < ticks.size else 10**9
        get = lambda a, row=row: int(a[row]) if row < a.size else None  # noqa: E731
        out.append((tick, name, row, get(theirs), get(mine)))
    return sorted(out, key=lambda x: (x[0], x[1]))
