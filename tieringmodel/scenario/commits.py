"""What changes while a run goes on: events, commits, and which fields a running context takes over."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Protocol, TypeVar

from ..errors import InputError
from ..fields import Checked, with_path
from .context import Context
from .metrics import metric_of
from .quota import Goal, Quota
from .scheme import Scheme


class _WithContexts(Protocol):
    """What an event or a commit can change: a scenario, which stands above this module."""

    @property
    def contexts(self) -> tuple[Context, ...]: ...


S = TypeVar("S", bound=_WithContexts)


@dataclass(frozen=True)
class Event(Checked):
    """Something that changes while a run goes on: from ``at_us`` on, the scenario's field `path` is `value`.

    ``path`` is dotted, with list positions as numbers: ``contexts.0.schemes.1.quota.goals.0.target_value``; a position one
    past the end appends; ``schemes.*.quota.sz_bytes`` becomes an event for each scheme. Changes below ``contexts`` are
    committed as DAMON commits parameters: tuner state and charge windows survive. What a running context does not take over is
    refused: ``ops``, ``rng_seed``, ``sources``, ``aggr_times_us`` and ``aggr_sampled_us`` (and with them intervals), a quota's
    ``esz_bp0``, and the ``current_value`` of a goal that is measured. Of the machine, nodes'
    ``offline_bytes`` and ``reserve_pages`` can change; of the workload, ``vmas``: pages stay where they are, their addresses
    change.

    Attributes
    ----------
    path
        Field, dotted.
    value
        What it is from then on.

    Examples
    --------
    >>> import tieringmodel as tm
    >>> tm.Event(at_us="60 s", path="contexts.0.schemes.0.quota.goals.0.target_value", value=8000).at_us
    60000000
    """

    at_us: int
    path: str
    value: object

    def check(self) -> None:
        """Refuse paths that cannot change while running."""
        parts = self.path.split(".")
        node = parts[:2] == ["machine", "nodes"] and parts[-1] in ("offline_bytes", "reserve_pages")
        if parts[0] not in ("contexts", "schemes") and not node and self.path != "workload.vmas":
            remedy = "change something below contexts, machine.nodes.N.offline_bytes or .reserve_pages, or workload.vmas"
            raise InputError("path", f"{self.path!r} cannot change while running", remedy)

    def applied(self, scenario: S) -> S:
        """Return the scenario as it is after the event."""
        return with_path(scenario, self.path, self.value)


@dataclass(frozen=True)
class Commit(Checked):
    """A context's new parameters, all of them: at ``at_us`` context number ``context`` is to be as ``to`` says.

    That is what ``damon_commit_ctx`` takes: a complete context, in which schemes, goals, filters and targets may come and go.
    Those at the same position keep what they learnt. Linux carries it out in the next loop body of the kdamond. An event is
    the short form for a single field.

    Examples
    --------
    >>> import tieringmodel as tm
    >>> tm.Commit(at_us="60 s", context=0, to=tm.Context(schemes=(tm.Scheme("stat"),))).to.schemes[0].action
    'stat'
    """

    at_us: int
    context: int
    to: Context

    def applied(self, scenario: S) -> S:
        """Return the scenario as it is after the commit; what a commit does not carry stays as the context has it."""
        if self.context >= len(scenario.contexts):
            text = f"{self.context} is not one of the scenario's {len(scenario.contexts)} contexts"
            raise InputError("context", text, "count from 0")
        now = scenario.contexts[self.context]
        kept = {name: getattr(now, name) for name in NOT_CARRIED if getattr(self.to, name) == getattr(Context, name)}
        return with_path(scenario, f"contexts.{self.context}", self.to.replace(**kept))

    def about(self, error: InputError) -> InputError:
        """Return an error about the scenario after the commit as one about `to`, where that is what is wrong."""
        before, _, rest = error.where.partition(f"contexts[{self.context}].")
        where = "to" if error.where == "path" else f"to.{rest}" if rest and not before else error.where
        return type(error)(where, error.what, error.remedy)


NOT_CARRIED = ("rng_seed", "sources", "aggr_times_us", "aggr_sampled_us", "moving_sum")
"""Fields of a context that are no parameters of a kdamond: where a commit leaves them out they stay."""
TAKEN_OVER: dict[type, str] = {
    Context: "attrs targets schemes addr_unit min_region_sz moving_sum",
    Scheme: "action access_pattern apply_interval_us target_nid quota watermarks filters dests dest_rule rmap_done_mark "
    "max_nr_snapshots enabled",
    Quota: "ms sz_bytes reset_interval_ms goals goal_tuner weights fail_charge_num fail_charge_denom esz0 "
    "esz_floor_min_region esz_cap_monitored",
    Goal: "metric target_value current_value nid memcg_id complement clamp early_exit lag_cache lag_timeout_ms current_values",
}
"""What `damon.commit` takes over, by class; classes that are not listed (attributes, filters, …) as a whole."""


_WHY = {"ops": "the same addresses would mean other memory, and that is not modelled"}
"""Why a field is not taken over that Linux would."""


def need_commit(old: Any, new: Any, where: str = "contexts") -> None:
    """Refuse what a running context would not take over.

    Parameters
    ----------
    old, new : tuple of Context
        Before and after an event.
    where : str
        Their path.

    Raises
    ------
    InputError
        At ``path``, as that of an event, naming the field that stays.
    """
    if isinstance(new, tuple):
        if len(old) != len(new) and where == "contexts":
            remedy = "give every context from the start, one that is to begin later with schemes that are not 'enabled'"
            raise InputError("path", "changes how many contexts there are", remedy)
        for i, pair in enumerate(zip(old, new, strict=False)):
            need_commit(*pair, f"{where}.{i}")
        return
    taken = TAKEN_OVER[type(new)].split()
    for name in (f.name for f in fields(new)):
        before, after, path = getattr(old, name), getattr(new, name), f"{where}.{name}"
        if before == after:
            continue
        why = _stays(old, new, name) if name in taken else _WHY.get(name, "a running context does not take it over")
        if why:
            raise InputError(
                "path", f"{path} cannot change while running: {why}", "give it from the start, or leave it as it is"
            )
        if name in ("schemes", "goals", "quota"):
            need_commit(before, after, path)


def _stays(old: Any, new: Any, name: str) -> str:
    """Return why a field that is taken over elsewhere stays as it is here, if it does."""
    if name == "attrs" and new.aggr_times_us and not old.attrs.same_intervals(new.attrs):
        return "aggr_times_us holds for the intervals of the start"
    if name == "addr_unit" and new.ops == "paddr" and not (new.targets and all(t.regions for t in new.targets)):
        return "without regions, those of the start would go on in the new unit, and mean other memory"
    if name == "current_value" and (new.metric == old.metric or new.current_value):
        return f"{new.metric} is measured" if metric_of(new.metric).counts not in ("", "input", "stall") else ""
    return ""
