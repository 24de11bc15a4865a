"""The RFC's directional early exit, around whatever action a scheme has."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..kernels import apply
from ..stored import Stored
from . import goals, table


class EarlyExit(Stored):
    """The RFC's directional early exit around another action: a satisfied goal makes the action do nothing.

    Core still charges the region and clears its age. ``both_fresh`` measures the metric again before every region and
    stops in either direction; ``v1`` and ``both`` compare the value of the last quota evaluation, ``v1`` for inflow only.
    """

    def __init__(self, inner: Callable[[Any, int, Any], tuple[int, int, int]] | None) -> None:
        self.inner: Any = inner

    def state(self) -> dict[str, Any]:
        """Return the inner action's state: there is no other."""
        return self.inner.state() if isinstance(self.inner, Stored) else {}

    def restore(self, state: dict[str, Any]) -> None:
        """Hand it on."""
        if isinstance(self.inner, Stored):
            self.inner.restore(state)

    def begin(self, kdamond: Any, scheme: int) -> None:
        """Pass the start of the pass on."""
        if self.inner:
            self.inner.begin(kdamond, scheme)

    def __call__(self, kdamond: Any, scheme: int, cursor: Any) -> tuple[int, int, int]:
        """Act unless the first goal with an early exit is satisfied."""
        config = kdamond.context.schemes[scheme]
        k, goal = next((k, g) for k, g in enumerate(config.quota.goals) if g.early_exit != "none")
        inflow = config.target_nid == goal.nid
        if goal.early_exit == "both_fresh":
            stop = goals.satisfied(kdamond.view(scheme, k), goal, inflow)
        else:
            value, scored = kdamond.quotas[scheme].goals[k]
            target = goals.exit_target(kdamond.view(scheme, k), goal, scored)
            if goal.complement:
                value, target = 10_000 - value, target if target is None or goal.clamp == "v1" else 10_000 - target
            outflow = goal.early_exit == "both" and not inflow
            stop = target is not None and ((inflow and value >= target) or (outflow and value <= target))
        if stop:
            cursor["early_exit"] = 1
            return 0, 0, 0
        if self.inner:
            applied, passed, elapsed = self.inner(kdamond, scheme, cursor)
            return applied, passed, elapsed
        return run_builtin(kdamond, scheme, cursor)


def run_builtin(kdamond: Any, scheme: int, cursor: Any) -> tuple[int, int, int]:
    """Carry out a scheme's built-in action on the cursor's region."""
    row = kdamond.schemes[scheme].copy()
    row["action"] = table.builtin_action(kdamond.context, kdamond.context.schemes[scheme].action, kdamond.rules)
    pages = kdamond.space, kdamond.memory.arrays, kdamond.access.arrays, kdamond.tick
    apply.apply_one(cursor, row, kdamond.filters, kdamond.control.dest, *pages, kdamond.funnel[scheme], kdamond.rejected)
    kdamond.schemes[scheme]["last_applied"] = row["last_applied"]
    return int(cursor["applied"]), int(cursor["passed"]), int(cursor["elapsed"])
