"""Observers of a run: one that ignores everything, to derive from."""

from __future__ import annotations

from typing import Any

import numpy.typing as npt

from ..damon.kdamond import Kdamond
from ..kernels import turn


class Silent:
    """An observer that ignores everything; what is derived from it is told everything, unless it says what it ``wants``."""

    wants = 0

    def __init_subclass__(cls) -> None:
        cls.wants = cls.__dict__.get("wants", turn.EVERYTHING)

    def aggregated(self, kdamond: Kdamond) -> None:
        """Ignore."""

    def applied(self, kdamond: Kdamond, events: npt.NDArray[Any]) -> None:
        """Ignore."""

    def finished(self, kdamond: Kdamond, aggregation: bool) -> None:
        """Ignore."""
