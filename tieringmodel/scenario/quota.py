"""Quotas and their goals, with the readings of the RFC that mainline does not have."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import ClassVar

from ..errors import InputError, KernelRefusal
from ..fields import Checked
from ..units import UINT_MAX, parse_bp
from .metrics import Unregistered, metric_of, need_metric
from .tuners import need_tuner

EARLY_EXITS = ("none", "v1", "both", "both_fresh")
CLAMPS = ("none", "v1", "tuner", "reachable")


@dataclass(frozen=True)
class Goal(Checked):
    """A quota goal. ``target_value`` and ``current_value`` are in the metric's own unit (bp for all ``*_bp``, or ``"40 %"``).

    Beside the nine metrics of Linux 7.3.4, ``node_sys_bp`` of the RFC is offered by reading: ``node_sys_bp`` and
    ``node_sys_bp:v1-literal`` count frames over system memory, ``:v1-intent-resident`` resident pages over system
    memory, ``:v1-intent-share`` resident pages over resident pages of all nodes. A metric needs a kernel that has it
    (`GoalMetric.linux`); ``hugepage_mem_bp`` is in kernel ``"next"`` only. ``complement``, ``clamp`` and
    ``early_exit`` belong to the RFC and its successors; mainline 7.3.4 has none of them.

    ``clamp``: ``"v1"`` lowers only the early exit's target, to the node's spanned share of system memory; ``"tuner"`` lowers
    the target that is scored, to the node's share of managed memory; ``"reachable"`` lowers it to what the node can hold
    now. ``early_exit``: ``"v1"`` looks at the last evaluated value and only when migrating into the goal's node,
    ``"both"`` looks at it in both directions, ``"both_fresh"`` measures again before every region. ``lag_cache`` adds what
    is in flight to the detected memory (version 3), forgotten ``lag_timeout_ms`` after the last migration.
    ``current_values`` gives a ``user_input`` goal its course: (time in microseconds, value) pairs.

    Attributes
    ----------
    metric
        What is measured.
    target_value
        What it is to be, in the metric's unit.
    current_value
        What it is, of user_input; of others a start that is measured anew.
    nid
        Node of the metric.
    memcg_id
        Memory cgroup of the metric.

    Examples
    --------
    >>> import tieringmodel as tm
    >>> tm.Goal("node_eligible_mem_bp", "40 %", nid=1).target_value
    4000
    """

    metric: str
    target_value: int
    current_value: int = 0
    nid: int = 0
    memcg_id: int = 0
    complement: bool = False
    clamp: str = "none"
    early_exit: str = "none"
    lag_cache: bool = False
    lag_timeout_ms: int = 10_000
    current_values: tuple[tuple[int, int], ...] = ()
    _signed: ClassVar = frozenset({"nid"})
    _choices: ClassVar = {"clamp": CLAMPS, "early_exit": EARLY_EXITS}

    def __post_init__(self) -> None:
        """Refuse a metric that nobody knows; read the values of a share as text with a unit too: ``"99.7 %"``."""
        if isinstance(self.metric, str) and not isinstance(self.metric, Unregistered):
            need_metric(self.metric)
        if isinstance(self.metric, str) and metric_of(self.metric).unit == "bp":
            for name in ("target_value", "current_value"):
                object.__setattr__(self, name, parse_bp(getattr(self, name), name))
        super().__post_init__()

    def check(self) -> None:
        """Refuse a zero target (EINVAL) and shares beyond 10000 bp."""
        if self.target_value == 0:
            raise KernelRefusal("target_value", "0 is refused by the kernel (EINVAL)", "write a positive target")
        share = metric_of(self.metric).unit == "bp"
        if self.complement and not share:
            text = f"needs a share in bp, {self.metric!r} is none"
            raise InputError("complement", text, "drop it, or use a metric that ends in _bp")
        if share and self.target_value > 10_000:
            near = self.target_value // 10
            hint = f"did you mean {near}?" if near <= 10_000 else "write 1..10000"
            raise InputError("target_value", f"{self.target_value} bp is over 10000", hint)

    def check_course(self, where: str) -> None:
        """Refuse ``current_values``, whose path is `where`, if times do not increase or a stall time's totals fall."""
        total = metric_of(self.metric).counts == "stall"
        if total and self.current_values and self.current_values[0][1] < self.current_value:
            text = f"begins below current_value {self.current_value}, but a total never falls"
            raise InputError(f"{where}[0]", text, "give growing totals of stall time")
        for k, (one, other) in enumerate(pairwise(self.current_values), 1):
            if other[0] <= one[0]:
                text = f"time {other[0]} us does not follow {one[0]} us"
                raise InputError(f"{where}[{k}]", text, "list (time, value) pairs in order of time")
            if total and other[1] < one[1]:
                raise InputError(
                    f"{where}[{k}]", f"total {other[1]} us is below {one[1]} us", "give growing totals of stall time"
                )


@dataclass(frozen=True)
class Weights(Checked):
    """Priority weights of a quota; ``sz`` is accepted and unused, as in the kernel.

    Attributes
    ----------
    nr_accesses
        Of the access count.
    age
        Of the age.

    Examples
    --------
    >>> import tieringmodel as tm
    >>> tm.Quota(weights=tm.Weights(nr_accesses=100, age=100)).weights.age
    100
    """

    sz: int = 0
    nr_accesses: int = 0
    age: int = 0
    _max: ClassVar = {"sz": UINT_MAX, "nr_accesses": UINT_MAX, "age": UINT_MAX}


@dataclass(frozen=True)
class Quota(Checked):
    """How much a scheme may do per ``reset_interval_ms``: ``sz_bytes``, ``ms`` of time, and goals.

    ``esz0``: an effective quota of 0 means ``"stop"`` (from Linux 7.1 on) or ``"bypass"``, no quota at all; left out, the
    scenario's kernel decides. ``goal_tuner``: ``"consist"``, ``"temporal"``, or one's own
    (`register_tuner`). The last three fields are in no Linux: ``esz_bp0`` is the tuner's state at the start;
    ``esz_floor_min_region`` and ``esz_cap_monitored`` bound the effective quota by one minimal region from below and by the
    monitored bytes from above, as proposed in May 2026.

    Attributes
    ----------
    ms
        Time of a kdamond that a window may take; 0 is no limit.
    sz_bytes
        Bytes that a window may try; 0 is no limit.
    reset_interval_ms
        Length of a window.
    goals
        What the effective quota is tuned for.
    weights
        Which regions come first where the quota is short.
    fail_charge_num
        What failed is charged in this proportion to `fail_charge_denom`.
    fail_charge_denom
        0 charges in full.

    Examples
    --------
    >>> import tieringmodel as tm
    >>> tm.Quota(sz_bytes="16 MiB", reset_interval_ms="1 s").sz_bytes
    16777216
    """

    ms: int = 0
    sz_bytes: int = 0
    reset_interval_ms: int = 0
    goals: tuple[Goal, ...] = ()
    goal_tuner: str = "consist"
    weights: Weights = field(default_factory=Weights)
    fail_charge_num: int = 0
    fail_charge_denom: int = 0
    esz0: str = ""
    esz_bp0: int = 0
    esz_floor_min_region: bool = False
    esz_cap_monitored: bool = False
    _choices: ClassVar = {"esz0": ("", "stop", "bypass")}
    _max: ClassVar = {"fail_charge_num": UINT_MAX, "fail_charge_denom": UINT_MAX}

    def check(self) -> None:
        """Refuse a tuner that nobody knows; a stored result's may be unknown here."""
        if not isinstance(self.goal_tuner, Unregistered):
            need_tuner(self.goal_tuner)
