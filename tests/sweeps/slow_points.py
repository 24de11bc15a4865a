"""Points that take their time: what is to be killed in between has one."""

from __future__ import annotations

import time
from typing import Any

from tieringmodel.sweeps.point import run_point


def slow_point(*given: Any) -> Any:
    """Run a point a second later; in a module of its own, for processes find it by name."""
    time.sleep(1)
    return run_point(*given)
