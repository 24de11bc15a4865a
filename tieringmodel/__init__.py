"""Answers what happens if this DAMON memory-tiering scheme runs on this machine with this workload.

The names below are the package's front door. Importing the package costs next to nothing: rooms that need numba, xarray or
matplotlib are imported when one of their names is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ._version import __version__
from .errors import InputError, KernelRefusal, TieringError
from .scenario import (
    AccessPattern,
    Attrs,
    Context,
    Dest,
    Event,
    Filter,
    Goal,
    Group,
    IntervalsGoal,
    Machine,
    Memcg,
    Node,
    Placement,
    Quota,
    Scenario,
    Scheme,
    SourceOfHotness,
    Target,
    Vma,
    Watermarks,
    Weights,
    Workload,
)

if TYPE_CHECKING:
    from . import analysis, cost, damon, hotness, interleave, loop, plot, testing, workload
    from .comparison.compare import compare
    from .comparison.policies import policies
    from .comparison.presets import preset
    from .damon.goals import register_metric
    from .datafiles import data_path
    from .first_use import warmup
    from .interop.damo.record_write import to_damo_record
    from .interop.damo.records import read_damo_record
    from .interop.load import load
    from .interop.recording.read import read_recording
    from .interop.workloads.masim import read_masim
    from .interop.workloads.traces import read_perf, read_trace, trace_workload
    from .linting import lint
    from .simulation.simulate import simulate
    from .sweeps.design import Design
    from .sweeps.sweep import sweep

_ROOMS = ("analysis", "cost", "damon", "hotness", "interleave", "loop", "plot", "testing", "workload")
_HOME = {
    "Design": "sweeps.design",
    "compare": "comparison.compare",
    "data_path": "datafiles",
    "lint": "linting",
    "load": "interop.load",
    "policies": "comparison.policies",
    "preset": "comparison.presets",
    "read_damo_record": "interop.damo.records",
    "read_masim": "interop.workloads.masim",
    "read_perf": "interop.workloads.traces",
    "read_recording": "interop.recording.read",
    "read_trace": "interop.workloads.traces",
    "register_metric": "damon.goals",
    "simulate": "simulation.simulate",
    "sweep": "sweeps.sweep",
    "to_damo_record": "interop.damo.record_write",
    "trace_workload": "interop.workloads.traces",
    "warmup": "first_use",
}

__all__ = [
    "AccessPattern", "Attrs", "Context", "Design", "Dest", "Event", "Filter", "Goal", "Group", "InputError",
    "IntervalsGoal", "KernelRefusal", "Machine", "Memcg", "Node", "Placement", "Quota", "Scenario", "Scheme",
    "SourceOfHotness", "Target", "TieringError", "Vma", "Watermarks", "Weights", "Workload", "__version__",
    "analysis", "compare", "cost", "damon", "data_path", "hotness", "interleave", "lint", "load", "loop", "plot",
    "policies", "preset", "read_damo_record", "read_masim", "read_perf", "read_recording", "read_trace",
    "register_metric", "simulate", "sweep", "testing", "to_damo_record", "trace_workload", "warmup", "workload",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        return import_module(f".{name}", __name__)
    if name in _HOME:
        return getattr(import_module(f".{_HOME[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
