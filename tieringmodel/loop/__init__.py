"""The control loop on one page count per quota window: the exact integer tuners with a plant, a delay and a leak.

Thousands of times cheaper than the page-level model, and run by the same tuner functions.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .axes import sweep
    from .grid import run_many
    from .pair import run_pair
    from .single import run

__all__ = ["run", "run_many", "run_pair", "sweep"]

_HOME = {"run": ".single", "run_pair": ".pair", "run_many": ".grid", "sweep": ".axes"}


def __getattr__(name: str) -> Any:
    # The kernels pull in numba: only a caller that runs a loop pays for it.
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOME[name], __name__), name)


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(__all__))
