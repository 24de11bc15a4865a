"""What a kdamond calls: who looks on, who asks something of it, who carries out an action."""

from __future__ import annotations

from typing import Any, Protocol

import numpy.typing as npt

Kdamond = Any
"""What they are handed; the kdamond knows them, and not the other way round."""


class Observer(Protocol):
    """What a run's recorder is told; every call happens inside the loop body, at the point its name says.

    ``wants``, bits of `kernels.turn`, tells which calls it is for, all of them where it is left out; ``every``: to be called at
    every so many aggregations besides. One that has a method ``kept_by_kernels`` lets kernels keep records in place of calls of
    `finished`, as long as they can (`simulation.records`).
    """

    def aggregated(self, kdamond: Kdamond) -> None:
        """After merging and the minimum count, before the schemes."""

    def applied(self, kdamond: Kdamond, events: npt.NDArray[Any]) -> None:
        """After regions were handed to actions (rows of EVENT); may come several times in a pass."""

    def finished(self, kdamond: Kdamond, aggregation: bool) -> None:
        """At the end of a loop body in which an aggregation or an application was due."""


class Asked(Protocol):
    """A request that waits for the kdamond's next loop body."""

    @property
    def stage(self) -> int:
        """Position among the scenario's stages."""

    def __call__(self, kdamond: Kdamond) -> None:
        """Carry it out."""


class Action(Protocol):
    """An action that the application pass does not carry out itself."""

    def begin(self, kdamond: Kdamond, scheme: int) -> None:
        """Start of an application pass in which the scheme is due."""

    def __call__(self, kdamond: Kdamond, scheme: int, cursor: Any) -> tuple[int, int, int]:
        """Act on ``[cursor.start, cursor.end)``; return bytes applied, bytes passing filters, elapsed ns."""
