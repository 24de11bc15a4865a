"""Weighted page placement, with page identity (VMA offset, rmap) and without it."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from . import closed_forms
    from .costs import PlacementCosts, placement_costs
    from .model import ping_pong, run
    from .vaddr import vaddr_dest_index

__all__ = ["PlacementCosts", "closed_forms", "ping_pong", "placement_costs", "run", "vaddr_dest_index"]

_HOME = {
    "PlacementCosts": "costs",
    "ping_pong": "model",
    "placement_costs": "costs",
    "run": "model",
    "vaddr_dest_index": "vaddr",
}


def __getattr__(name: str) -> Any:
    """Import the numba part of the room when it is first asked for."""
    if name == "closed_forms":
        return import_module(".closed_forms", __name__)
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOME[name]}", __name__), name)


def __dir__() -> list[str]:
    """Return the public names."""
    return __all__
