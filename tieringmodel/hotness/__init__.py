"""Where access information comes from: accessed bits, hint faults, device counters, sampled instructions, and their fusion.

One protocol, `HotnessSource`: what the workload did in an interval goes in, reports come out, at a cost. `source` makes one by
name, `register_source` adds one's own; `watch` runs one, `compare_sources` several, also at equal cost; `fuse` joins what
several found; `promotion_study` lets hint faults promote pages.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .compare import compare_sources
    from .fusion import Fused, by_region, fuse, region_accesses
    from .promotion import promotion_study
    from .protocol import Activity, HotnessSource, Reports, page_reports, register_source, source, sources
    from .truth import activities, activity, hot_set, score
    from .watching import Watched, watch

__all__ = [
    "Activity", "Fused", "HotnessSource", "Reports", "Watched", "activities", "activity", "by_region", "compare_sources",
    "fuse", "hot_set", "page_reports", "promotion_study", "region_accesses", "register_source", "score", "source", "sources",
    "watch",
]  # fmt: skip

_HOME = {
    "compare_sources": "compare",
    **dict.fromkeys(("Fused", "by_region", "fuse", "region_accesses"), "fusion"),
    "promotion_study": "promotion",
    **dict.fromkeys(
        ("Activity", "HotnessSource", "Reports", "page_reports", "register_source", "source", "sources"), "protocol"
    ),
    **dict.fromkeys(("activities", "activity", "hot_set", "score"), "truth"),
    **dict.fromkeys(("Watched", "watch"), "watching"),
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOME[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(__all__))
