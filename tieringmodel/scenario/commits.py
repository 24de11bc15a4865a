"""Which fields of a context can change while it runs? What a commit of DAMON's parameters takes over."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from ..errors import InputError
from .context import Context
from .metrics import metric_of
from .quota import Goal, Quota
from .scheme import Scheme

TAKEN_OVER: dict[type, str] = {
    Context: "attrs targets schemes moving_sum",
    Scheme: "action access_pattern apply_interval_us target_nid quota watermarks filters dests dest_rule rmap_done_mark "
    "max_nr_snapshots enabled",
    Quota: "ms sz_bytes reset_interval_ms goals goal_tuner weights fail_charge_num fail_charge_denom esz0 "
    "esz_floor_min_region esz_cap_monitored",
    Goal: "metric target_value current_value nid memcg_id complement clamp early_exit lag_cache lag_timeout_ms current_values",
}
"""What `damon.commit` takes over, by class; classes that are not listed (attributes, filters, …) as a whole."""


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
        if len(old) != len(new):
            remedy = "list every scheme and goal from the start; switch schemes with 'enabled'"
            raise InputError("path", f"changes how many contexts, schemes or goals there are ({where})", remedy)
        for i, pair in enumerate(zip(old, new, strict=True)):
            need_commit(*pair, f"{where}.{i}")
        return
    taken = TAKEN_OVER[type(new)].split()
    for name in (f.name for f in fields(new)):
        before, after, path = getattr(old, name), getattr(new, name), f"{where}.{name}"
        if before == after:
            continue
        why = _stays(old, new, name) if name in taken else "a running context does not take it over"
        if why:
            raise InputError(
                "path", f"{path} cannot change while running: {why}", "give it from the start, or leave it as it is"
            )
        if name in ("schemes", "goals", "quota"):
            need_commit(before, after, path)


def _stays(old: Any, new: Any, name: str) -> str:
    """Return why a field that is taken over elsewhere stays as it is here, if it does."""
    if name == "attrs" and new.aggr_times_us:
        return "aggr_times_us holds for the attributes of the start"
    if name == "current_value" and (new.metric == old.metric or new.current_value):
        return f"{new.metric} is measured" if metric_of(new.metric).counts not in ("", "input", "stall") else ""
    return ""
