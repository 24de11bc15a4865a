"""Goal metrics: what each counts, over what, and who can answer it. All that is told of a metric by its name stands here."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from ..checks import listed
from ..errors import InputError
from ..fields import suggest
from ..plugins import OWN_TOO, load_installed
from ..registry import Own
from .tuners import tuner_names

OPS = ("paddr", "vaddr", "fvaddr")
"""Operations sets."""


@dataclass(frozen=True)
class GoalMetric:
    """What is known of a goal metric.

    Attributes
    ----------
    name : str
        As in ``Goal.metric``; a reading of the RFC has its version after a colon.
    counts : str
        ``"input"``, ``"stall"``; pages: ``"used"`` ones of a node, ``"memcg"`` ones of a cgroup, ``"active"`` ones of all,
        ``"huge"`` ones of all; in monitored memory: ``"frames"``, ``"matching"`` frames of regions that match the access
        pattern, ``"resident"`` pages, ``"eligible"`` ones, which are resident and match. "" for a metric of one's own.
    over : str
        What the share is one of: ``"node"`` (its managed memory), ``"spanned"`` (with holes), ``"system"``, ``"lru"``, or
        ``"nodes"``, the same thing on all nodes; "" for what is no share.
    rest : bool
        Whether the value is 10000 minus the share, so that it falls as pages come.
    opposite : str
        The metric that is 10000 minus this one, where a user can choose it.
    ops : tuple of str
        Operations sets that answer; others read 0.
    refused : bool
        Whether the kernel refuses (EINVAL) other operations sets instead.
    linux : str
        First release of Linux that has it, ``"next"`` for trees that are not released; "" for none.
    early_exit, clamp : str
        Fields of a goal as this reading of the RFC was posted.
    """

    name: str
    counts: str = ""
    over: str = ""
    rest: bool = False
    opposite: str = ""
    ops: tuple[str, ...] = OPS
    refused: bool = False
    linux: str = ""
    early_exit: str = "none"
    clamp: str = "none"

    @property
    def unit(self) -> str:
        """``"bp"`` for shares, ``"us"`` for times, else ""; the name says so, also that of one's own metric."""
        return next((unit for unit in ("bp", "us") if self.name.partition(":")[0].endswith(f"_{unit}")), "")

    @property
    def needs(self) -> tuple[str, ...]:
        """Fields of a goal that say whose memory is meant."""
        if self.counts == "memcg":
            return ("nid", "memcg_id")
        return ("nid",) if self.over in ("node", "spanned", "system", "nodes") else ()

    @property
    def monitored(self) -> bool:
        """Whether it is a share of what a context monitors, as every version of the RFC's metric is."""
        return self.counts in ("frames", "matching", "resident", "eligible")

    @property
    def by_pattern(self) -> bool:
        """Whether it looks at regions that match the scheme's access pattern only."""
        return self.counts in ("matching", "eligible")

    @property
    def controls(self) -> str:
        """The share that such a goal is about: ``"access"`` or ``"used"``, as in `Controlled`; "" for none of them."""
        if self.counts == "used":
            return "used"
        return "access" if self.monitored and self.over != "spanned" else ""


def _version_1(name: str, counts: str, over: str) -> GoalMetric:
    return GoalMetric(name, counts, over, ops=_PADDR, early_exit="v1", clamp="v1")


_PADDR = ("paddr",)
ELIGIBLE, AS_POSTED = "node_eligible_mem_bp", "node_sys_bp:v1-literal"
"""The merged metric, and the RFC's first version as its patches compute it."""

SHIPPED = {
    m.name: m
    for m in (
        GoalMetric("user_input", "input", linux="6.8"),
        GoalMetric("some_mem_psi_us", "stall", linux="6.9"),
        GoalMetric("node_mem_used_bp", "used", "node", opposite="node_mem_free_bp", linux="6.16"),
        GoalMetric("node_mem_free_bp", "used", "node", rest=True, opposite="node_mem_used_bp", linux="6.16"),
        GoalMetric("node_memcg_used_bp", "memcg", "node", opposite="node_memcg_free_bp", linux="6.19"),
        GoalMetric("node_memcg_free_bp", "memcg", "node", rest=True, opposite="node_memcg_used_bp", linux="6.19"),
        GoalMetric("active_mem_bp", "active", "lru", opposite="inactive_mem_bp", linux="7.0"),
        GoalMetric("inactive_mem_bp", "active", "lru", rest=True, opposite="active_mem_bp", linux="7.0"),
        GoalMetric("hugepage_mem_bp", "huge", "lru", linux="next"),
        GoalMetric(ELIGIBLE, "eligible", "nodes", ops=_PADDR, refused=True, linux="7.2"),
        _version_1("node_sys_bp", "frames", "system"),
        _version_1(AS_POSTED, "frames", "system"),
        _version_1("node_sys_bp:v1-intent-resident", "resident", "system"),
        _version_1("node_sys_bp:v1-intent-share", "resident", "nodes"),
        _version_1("node_sys_bp:frames-share", "frames", "nodes"),
        GoalMetric("node_target_mem_bp", "matching", "spanned", ops=_PADDR),
        GoalMetric("node_target_mem_bp:v2", "matching", "spanned", ops=_PADDR),
        GoalMetric(f"{ELIGIBLE}:v3", "eligible", "nodes", ops=_PADDR, refused=True),
        GoalMetric(f"{ELIGIBLE}:v4", "eligible", "nodes", ops=_PADDR, refused=True),
        GoalMetric("node_ineligible_mem_bp", "eligible", "nodes", rest=True, opposite=ELIGIBLE, ops=_PADDR),
        GoalMetric("node_ineligible_mem_bp:v3", "eligible", "nodes", rest=True, opposite=ELIGIBLE, ops=_PADDR),
        GoalMetric("node_ineligible_mem_bp:v4", "eligible", "nodes", rest=True, opposite=ELIGIBLE, ops=_PADDR),
    )
}
"""The nine metrics of Linux 7.3.4, one that comes later, and the RFC's, by name."""
_own: Own[GoalMetric] = Own("metric", SHIPPED.__contains__, "a function of view and goal")


class Unregistered(str):
    """The name of a goal metric in a stored result that nobody registered here: it can be judged, not run."""

    __slots__ = ()


def names() -> list[str]:
    """Return the names of all metrics: those of Linux, the RFC's, one's own."""
    return [*SHIPPED, *_own]


def metric_of(name: str) -> GoalMetric:
    """Return what is known of a metric; a name that nobody registered tells its unit, and which metric it is a reading of."""
    if found := SHIPPED.get(name) or _own.get(name):
        return found
    base = SHIPPED.get(name.partition(":")[0])
    return replace(base, name=name, linux="") if base else GoalMetric(name)


def need_metric(name: str, where: str = "metric") -> GoalMetric:
    """Return what is known of a metric that can be run.

    Raises
    ------
    InputError
        If nobody registered it, with the nearest name.
    """
    if name not in SHIPPED and name not in _own:
        load_installed()
    if name not in SHIPPED and name not in _own:
        raise InputError(where, f"{name!r} is not a goal metric", suggest(name, names()) + OWN_TOO)
    return metric_of(name)


def add_own(name: str, ops: Iterable[str], function: object, *, replace: bool) -> None:
    """Make the name of one's own metric known.

    Raises
    ------
    InputError
        If the model brings a metric of that name, if the name is taken and not to be replaced, if `function` cannot be called,
        or for an unknown operations set.
    """
    for word in (offered := tuple(listed("ops", ops, f"list some of {', '.join(OPS)}"))):
        if word not in OPS:
            raise InputError("ops", f"{word!r} is not an operations set", suggest(word, OPS))
    _own.offer(name, GoalMetric(name, ops=offered), function, replace=replace)


def drop_own(name: str) -> None:
    """Forget one's own metric; other names are ignored."""
    _own.pop(name, None)


def marked(table: dict[str, Any]) -> dict[str, Any]:
    """Mark the metric or tuner of a stored goal, or of an event that changes one, as `Unregistered` if nobody registered it.

    An ``object_hook`` of `json.loads`.
    """
    key = "metric" if "target_value" in table else "value" if str(table.get("path", "")).endswith(".metric") else ""
    name = table.get(key)
    if isinstance(name, str) and name not in names():
        table[key] = Unregistered(name)
    key = "goal_tuner" if "goal_tuner" in table else "value" if str(table.get("path", "")).endswith(".goal_tuner") else ""
    name = table.get(key)
    if isinstance(name, str) and name not in tuner_names():
        table[key] = Unregistered(name)
    return table
