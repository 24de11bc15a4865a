"""Quotas in slow, literal Python: goals and what they measure, the two tuners, the effective quota."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import reference as ref
from reference import U32, U64, mult_frac
from reference_machine import PAGE, Machine
from reference_rules import LATEST, Rules

Course = Sequence[Sequence[int]]

NODE_METRICS = ("node_mem_used_bp", "node_mem_free_bp")
MEMCG_METRICS = ("node_memcg_used_bp", "node_memcg_free_bp")


def value_at(course: Course, now: int) -> int:
    """What a list of [time, value] says at a time: the last value that has come, 0 before the first."""
    return next((value for time, value in reversed(course) if time <= now), 0)


@dataclass
class Goal:
    metric: str
    target: int
    nid: int
    memcg: int
    course: Course
    current: int = 0
    psi_before: int | None = None

    @classmethod
    def new(cls, to: dict, rules: Rules = LATEST) -> Goal:
        goal = cls(to["metric"], to["target"], to["nid"], to["memcg"], to["user_input"])
        goal.psi_before = None if rules["psi_first_round"] else 0
        return goal

    def commit(self, to: dict, rules: Rules = LATEST) -> None:
        self.metric, self.target, self.course = to["metric"], to["target"], to["user_input"]
        if self.metric in NODE_METRICS or self.metric in MEMCG_METRICS:
            self.nid, self.memcg = to["nid"], to["memcg"]
        elif self.metric == "node_eligible_mem_bp" and rules["commit_eligible_nid"]:
            self.nid = to["nid"]
        elif self.metric == "some_mem_psi_us" and rules["psi_first_round"]:
            self.psi_before = None


@dataclass
class Quota:
    ms: int
    sz: int
    reset_interval_ms: int
    tuner: str
    weights: Sequence[int]
    fail_charge: Sequence[int]
    goals: list[Goal]
    esz: int = 0
    esz_bp: int = 0
    charged_sz: int = 0
    charged_from: int = 0
    total_charged_sz: int = 0
    total_charged_ns: int = 0
    charge_target: object = None  # the very target, wherever it stands in the list
    charge_addr: int = 0
    min_score: int = 0
    rules: Rules = field(default_factory=lambda: LATEST)

    @classmethod
    def new(cls, to: dict, rules: Rules = LATEST) -> Quota:
        goals = [Goal.new(goal, rules) for goal in to["goals"]]
        given = (to[name] for name in ("ms", "sz", "reset_interval_ms", "tuner", "weights", "fail_charge"))
        return cls(*given, goals, rules=rules)

    def commit(self, to: dict) -> None:
        for name in ("ms", "sz", "reset_interval_ms", "tuner", "weights", "fail_charge"):
            setattr(self, name, to[name])
        del self.goals[len(to["goals"]) :]
        for goal, new in zip(self.goals, to["goals"], strict=False):
            goal.commit(new, self.rules)
        self.goals += [Goal.new(goal, self.rules) for goal in to["goals"][len(self.goals) :]]

    # ---- is there one, and is it full?

    @property
    def limited(self) -> bool:
        """Is there a limit that anybody asked for?"""
        return bool(self.sz or self.ms or self.goals)

    @property
    def is_set(self) -> bool:
        if self.rules["esz0_stop"]:
            return bool(self.esz) or self.limited
        return bool(self.esz)

    def full(self, min_sz: int) -> bool:
        if not self.is_set:
            return False
        if self.charged_sz >= self.esz:
            return True
        return self.rules["quota_full_min_region"] and self.esz - self.charged_sz < min_sz

    def charge(self, size: int, applied: int) -> None:
        numerator, denominator = self.fail_charge
        if self.rules["fail_charge"] and denominator and applied <= size:
            size = applied + mult_frac(size - applied, numerator, denominator)
        self.charged_sz = self.charged_sz + size & U64

    def forget_target(self) -> None:
        self.charge_target, self.charge_addr = None, 0

    # ---- windows

    @property
    def adjusted(self) -> bool:
        return self.limited or (self.rules["adjust_quota_while_esz"] and bool(self.esz))

    def window(self, jiffies: int, hz: int, min_sz: int, measure: Callable[[Goal], None]) -> bool:
        """Start the first window or the next one; say whether one ended with a full quota."""
        exceeded = False
        if self.total_charged_sz == 0 and self.charged_from == 0:
            self.charged_from = jiffies
            if self.rules["first_window_esz"]:
                self.set_effective(min_sz, measure)
        if jiffies - self.charged_from >= jiffies_of(self.reset_interval_ms, hz):
            exceeded = self.full(min_sz)
            self.total_charged_sz = self.total_charged_sz + self.charged_sz & U64
            self.charged_from, self.charged_sz = jiffies, 0
            self.set_effective(min_sz, measure)
        return exceeded

    def set_effective(self, min_sz: int, measure: Callable[[Goal], None]) -> None:
        if not self.ms and not self.goals:
            self.esz = self.sz
            return
        esz = U64
        if self.goals:
            for goal in self.goals:
                measure(goal)
            self.tune(self.score())
            esz = self.esz_bp // 10_000
        if self.ms:
            in_time = self.throughput() * self.ms & U64
            if self.rules["time_quota_zero_esz"]:
                esz = min(esz, max(in_time, min_sz))
            else:
                esz = max(min(esz, in_time), min_sz)
        self.esz = min(esz, self.sz) if self.sz else esz

    def throughput(self) -> int:
        """Bytes a millisecond so far."""
        if not self.total_charged_ns:
            return PAGE * 1024
        if self.rules["throughput_mult_frac"]:
            return mult_frac(self.total_charged_sz, 1_000_000, self.total_charged_ns)
        return (self.total_charged_sz * 1_000_000 & U64) // self.total_charged_ns

    def score(self) -> int:
        if self.rules["goal_score_mult_frac"]:
            return max(mult_frac(g.current, 10_000, g.target) for g in self.goals)
        return max((g.current * 10_000 & U64) // g.target for g in self.goals)

    def tune(self, score: int) -> None:
        if self.tuner == "consist":
            self.esz_bp = feed(max(self.esz_bp, 10_000), score)
        elif score >= 10_000:
            self.esz_bp = 0
        elif self.sz and (self.sz <= U64 // 10_000 or not self.rules["temporal_huge_sz"]):
            self.esz_bp = self.sz * 10_000 & U64
        else:
            self.esz_bp = U64


def feed(last: int, score: int) -> int:
    """The next input of the feedback loop."""
    if score == 10_000:
        return last
    if score >= 20_000:
        return 10_000
    distance = abs(score - 10_000)
    step = last * distance // 10_000 if last < U64 // distance else last // 10_000 * distance
    if score > 10_000:
        return max(last - step, 10_000)
    return last + step if last < U64 - step else U64


def jiffies_of(ms: int, hz: int) -> int:
    """Of 32 bit, and with the highest one set as good as for ever."""
    ms &= U32
    return 2**62 if ms >= 2**31 else -(-ms * hz // 1000)


# ---- what a goal measures -----------------------------------------------------------------------------------------


def measure_psi(goal: Goal, quota: Quota, total: int) -> None:
    if goal.psi_before is not None:
        goal.current = total - goal.psi_before & U64
    elif quota.tuner == "temporal" and quota.esz:
        goal.current = 0
    else:
        goal.current = goal.target
    goal.psi_before = total


def measure_node(goal: Goal, machine: Machine) -> None:
    used_wanted = goal.metric.endswith("used_bp")
    node = machine.node(goal.nid)
    if node is None:
        goal.current = 0 if used_wanted else 10_000
        return
    used: int | None = machine.used(node)
    if goal.metric in MEMCG_METRICS:
        used = machine.memcg_used(goal.memcg, node)
        if used is None:
            goal.current = 0 if used_wanted else 10_000
            return
    amount = used if used_wanted else node.slots - used
    goal.current = mult_frac(amount, 10_000, node.slots)


def measure_active(goal: Goal, machine: Machine) -> None:
    active = machine.lru_active()
    present = sum(slot >= 0 for slot in machine.slot)
    amount = active if goal.metric == "active_mem_bp" else present - active
    goal.current = mult_frac(amount, 10_000, max(present, 1))


def measure_eligible(goal: Goal, machine: Machine, regions: Sequence[ref.Region], unit: int) -> None:
    """Of the folios in regions that fit the pattern: the share on a node, by bytes inside the regions."""
    total = there = 0
    if machine.node(goal.nid) is not None:
        for r in regions:
            address, end = r.start * unit, r.end * unit
            while address < end:
                slot = machine.slot_at(address)
                if slot is None:
                    address = (address // PAGE + 1) * PAGE
                    continue
                behind = machine.start_of(slot) + machine.folio_bytes
                overlap = min(behind, end) - address
                total += overlap
                there += overlap if machine.node_of(slot).nid == goal.nid else 0
                address = behind
    goal.current = mult_frac(there, 10_000, total) if total else 0
