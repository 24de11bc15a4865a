"""A kdamond without a machine worth the name, for vectors that drive single steps of the loop body."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from ...damon.kdamond import Kdamond
from ...damon.observers import Action
from ...damon.regions import SplitState
from ...damon.rng import counter_rng
from ...memory.physical import PhysicalMemory
from ...scenario import Context, Machine, Node, Workload
from ...scenario.linux import Rules, default_rules
from ...simulation.silent import Silent
from ...units import PAGE_SZ
from ...workload.access import AccessTable

K = TypeVar("K", bound=Kdamond)


class Applied(Silent):
    """An observer that keeps the regions handed to actions."""

    def __init__(self) -> None:
        self.events: list[npt.NDArray[Any]] = []

    def applied(self, kdamond: Kdamond, events: npt.NDArray[Any]) -> None:
        """Keep a copy of the rows."""
        self.events.append(events.copy())


def bare_kdamond(
    kind: type[K],
    context: Mapping[str, Any],
    action: Callable[[PhysicalMemory], Action] | None = None,
    *,
    hz: int = 1000,
    ns_per_page: int = 0,
    rules: Rules | None = None,
) -> K:
    """Return a kdamond on a machine of a single page; its observer is an `Applied`.

    Parameters
    ----------
    kind : type
        `Kdamond` or a class derived from it.
    context : mapping
        Fields of `Context`; its targets do not matter, callers set ``regions`` themselves.
    action : callable, optional
        Makes the action that all schemes carry out, from the memory whose clock it advances.
    hz : int
        Ticks of the jiffy clock per second.
    ns_per_page : int
        Cost of a page, for `charge_moves`.
    rules : Rules, optional
        What the kernel does; by default what the default kernel does.
    """
    machine = Machine(nodes=(Node(0, 0, PAGE_SZ),), hz=hz, migrate_ns_per_page=ns_per_page)
    workload = Workload(n_pages=1)
    checked = Context.from_dict(context)
    access = AccessTable(workload, 1, 0)
    memory = PhysicalMemory(machine, workload, access.page_class, n_classes=len(access.groups_of_class))
    actions = {i: action(memory) for i in range(len(checked.schemes))} if action else {}
    return kind(
        checked,
        0,
        memory,
        access,
        memory.space,
        [[(0, PAGE_SZ)]],
        counter_rng(0),
        SplitState(),
        actions,
        Applied(),
        rules or default_rules(),
    )


def aggregated(kdamond: Kdamond) -> None:
    """Put the kdamond at the tick that ends its first aggregation."""
    kdamond.passed = kdamond.next_aggregation


def scheme_columns(kdamond: Kdamond, scheme: int) -> dict[str, int]:
    """Return a scheme's row as Python integers by field name."""
    row = kdamond.schemes[scheme]
    return {name: int(row[name]) for name in row.dtype.names or ()}


def nonzero_scores(histogram: npt.NDArray[np.uint64]) -> list[list[int]]:
    """Return [score, bytes] of the scores that any region has."""
    return [[i, int(n)] for i, n in enumerate(histogram) if n]
