"""Parameters of the kernel's own DAMON modules (``damon_reclaim.min_age=…``) as the contexts that these modules build.

Read from a boot line's words, from folders ``/sys/module/damon_*/parameters``, or from a script that writes them. What each
module makes of its parameters: docs/theory/damon.md, section h.7.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from ..errors import InputError, short
from ..fields import suggest
from ..given_files import inside
from ..scenario import (
    AccessPattern,
    Attrs,
    Context,
    Filter,
    Goal,
    IntervalsGoal,
    Machine,
    Quota,
    Scheme,
    Target,
    Watermarks,
    Weights,
)
from ..units import MIB, PAGE_SZ, UINT_MAX
from .recording.tables import read_text
from .sysfs.portable import ranges_of
from .sysfs.read import Dump

Value = tuple[str, str]
"""A parameter's text, and where it was read."""

_INTERVALS = {"sample_interval": 5_000, "aggr_interval": 100_000, "min_nr_regions": 10, "max_nr_regions": 1_000}
_RANGE = {"monitor_region_start": 0, "monitor_region_end": 0, "addr_unit": 1}
_QUOTA = {"quota_ms": 10, "quota_sz": 0, "quota_reset_interval_ms": 1_000}
_TUNED = IntervalsGoal(400, 3, 5_000, 10_000_000)
_MARKS = "wmarks_interval wmarks_high wmarks_mid wmarks_low"


def _marks(*values: int) -> dict[str, int]:
    return dict(zip(_MARKS.split(), values, strict=True))


DEFAULTS: dict[str, dict[str, int]] = {
    "damon_reclaim": {
        "enabled": 0,
        "commit_inputs": 0,
        "min_age": 120_000_000,
        **_QUOTA,
        "quota_sz": 128 * MIB,
        "quota_mem_pressure_us": 0,
        "quota_autotune_feedback": 0,
        **_marks(5_000_000, 500, 400, 200),
        **_INTERVALS,
        **_RANGE,
        "skip_anon": 0,
    },
    "damon_lru_sort": {
        "enabled": 0,
        "commit_inputs": 0,
        "active_mem_bp": 0,
        "autotune_monitoring_intervals": 0,
        "filter_young_pages": 0,
        "hot_thres_access_freq": 500,
        "cold_min_age": 120_000_000,
        "quota_ms": 10,
        "quota_reset_interval_ms": 1_000,
        **_marks(5_000_000, 200, 150, 50),
        **_INTERVALS,
        **_RANGE,
    },
    "damon_stat": {"enabled": 0},
    "mtier": {
        "enabled": 0,
        "detect_node_addresses": 0,
        "node0_start_addr": 0,
        "node0_end_addr": 0,
        "node1_start_addr": 0,
        "node1_end_addr": 0,
        "node0_mem_used_bp": 9_970,
        "node0_mem_free_bp": 50,
    },
}
"""Parameters of each module and what Linux has for them; flags are 0 or 1."""
_FLAGS = "enabled enable commit_inputs skip_anon autotune_monitoring_intervals filter_young_pages detect_node_addresses".split()
_REPORTED = re.compile(
    r"kdamond_pid|nr_\w+_(regions|exceeds)|bytes_\w+|estimated_memory_bandwidth|memory_idle_ms_percentiles|aggr_interval_us"
)
_WORD = re.compile(r"(?:(?:damon_sample_)?(damon_reclaim|damon_lru_sort|damon_stat|mtier))\.(\w+)(?:=(\S*))?")


def is_modules(text: str) -> bool:
    """Tell whether a text holds parameters of DAMON's modules as a boot line has them."""
    return len(text) < 1 << 20 and any(_WORD.fullmatch(word.strip("\"'")) for word in text.split())


def of_line(text: str, where: str) -> dict[str, Value]:
    """Return the parameters on a boot line; its other words are of other parts of the kernel."""
    found: dict[str, Value] = {}
    for word in text.split():
        if match := _WORD.fullmatch(word.strip("\"'")):
            found[f"{match[1]}.{match[2]}"] = ("Y" if match[3] is None else match[3], f"{where}: {match[1]}.{match[2]}")
    return found


def of_folder(path: Path, *, allow_files: bool = False) -> dict[str, Value]:
    """Return the parameters below a folder: ``damon_reclaim/parameters/min_age``, or a module's own folder; nothing if none."""
    found: dict[str, Value] = {}
    for module in DEFAULTS:
        for folder in (
            path / module / "parameters",
            path / "module" / module / "parameters",
            path / "sys/module" / module / "parameters",
        ):
            if folder.is_dir():
                found |= _files(folder, module, allow_files)
    if not found:
        owner = next((p for p in (path.name, path.absolute().parent.name) if p in DEFAULTS), None)
        folder = path / "parameters" if (path / "parameters").is_dir() else path
        if owner and any((folder / name).is_file() for name in DEFAULTS[owner]):
            found = _files(folder, owner, allow_files)
    return found


def _files(folder: Path, module: str, allow_files: bool) -> dict[str, Value]:
    return {
        f"{module}.{p.name}": (read_text(inside(folder, p.name, str(p), allow_files=allow_files)).strip(), str(p))
        for p in sorted(folder.iterdir())
        if p.is_file()
    }


@dataclass(frozen=True)
class _Parameters:
    """A module's parameters, each as Linux reads it."""

    module: str
    given: Mapping[str, Value]

    def __getitem__(self, name: str) -> int:
        text, where = self.given.get(name, (str(DEFAULTS[self.module][name]), ""))
        if name in _FLAGS:
            word = text.strip().lower()
            if word not in ("y", "1", "yes", "true", "on", "n", "0", "no", "false", "off"):
                raise InputError(where, f"{short(text)!r} is no boolean", "write Y or N")
            return int(word in ("y", "1", "yes", "true", "on"))
        if not re.fullmatch(r"\d{1,20}|0[xX][0-9a-fA-F]{1,16}", text):
            raise InputError(where, f"{short(text)!r} is no number", "write a whole number")
        return int(text, 16 if text[:2] in ("0x", "0X") else 10)

    def where(self, name: str) -> str:
        return self.given[name][1] if name in self.given else f"{self.module}.{name}"


def read_modules(found: Mapping[str, Value], machine: Machine) -> Dump:
    """Return the contexts that the modules which are switched on build.

    Parameters
    ----------
    found : mapping
        Texts by name (``"damon_reclaim.min_age"``), and where each was read. One that is left out has Linux's own value. If
        none is switched on, every module named is read as if it were, and that is said.
    machine : Machine
        Gives the ranges that a module takes where it is told none: all of RAM.

    Raises
    ------
    InputError
        For a parameter that no module has, a value that is none, or one that Linux refuses.
    """
    notes: list[str] = []
    parts: dict[str, dict[str, Value]] = {}
    for name, (text, where) in found.items():
        module, _, parameter = name.partition(".")
        if _REPORTED.fullmatch(parameter):
            continue
        known = DEFAULTS[module]
        parameter = "enabled" if parameter == "enable" else parameter
        if parameter not in known:
            raise InputError(where, f"{module} has no parameter {short(parameter)!r}", suggest(parameter, list(known)))
        parts.setdefault(module, {})[parameter] = (text, where)
    modules = [_Parameters(module, given) for module, given in parts.items()]
    on = [m for m in modules if m["enabled"]]
    if not on:
        on = modules
        notes.append(f"{', '.join(m.module for m in modules)}: enabled is not Y; read as if it were")
    notes += [f"{m.module}: is not enabled, left out" for m in modules if m not in on]
    contexts = tuple(context for m in on for context in _BUILDERS[m.module](m, machine, notes))
    return Dump(contexts, tuple(notes), (), tuple((0,) for _ in contexts))


def _attrs(p: _Parameters, update_us: int, goal: IntervalsGoal | None = None) -> Attrs:
    try:
        return Attrs(
            p["sample_interval"],
            p["aggr_interval"],
            update_us,
            p["min_nr_regions"],
            p["max_nr_regions"],
            intervals_goal=goal or IntervalsGoal(),
        )
    except InputError as error:
        raise type(error)(f"{p.module}: {error.where}", error.what, error.remedy) from None


def _ranges(p: _Parameters, machine: Machine, notes: list[str]) -> tuple[int, tuple[tuple[int, int], ...]]:
    unit, start, end = p["addr_unit"], p["monitor_region_start"], p["monitor_region_end"]
    if not unit:
        raise InputError(p.where("addr_unit"), "is 0", "write 1")
    if start > end:
        raise InputError(
            p.where("monitor_region_start"), f"{start} lies after monitor_region_end {end}", "write it the other way round"
        )
    if start != end:
        return unit, ((start, end),)
    return unit, _all(p, machine, unit, notes)


def _all(p: _Parameters, machine: Machine, unit: int, notes: list[str]) -> tuple[tuple[int, int], ...]:
    """Return the largest stretch of RAM, which is what the modules take."""
    largest = max(ranges_of(machine, unit), key=lambda r: r[1] - r[0])
    notes.append(f"{p.module}: no range is given, Linux takes the largest stretch of RAM: {largest[0]:#x}..{largest[1]:#x}")
    return (largest,)


def _context(unit: int, ranges: tuple[tuple[int, int], ...], attrs: Attrs, *schemes: Scheme) -> Context:
    size = max(PAGE_SZ // unit, 1)
    return Context(ops="paddr", attrs=attrs, targets=(Target(ranges),), schemes=schemes, addr_unit=unit, min_region_sz=size)


def _watermarks(p: _Parameters) -> Watermarks:
    return Watermarks("free_mem_rate", *(p[name] for name in _MARKS.split()))


def _reclaim(p: _Parameters, machine: Machine, notes: list[str]) -> Iterator[Context]:
    unit, ranges = _ranges(p, machine, notes)
    attrs = _attrs(p, 0)
    goals = [Goal("some_mem_psi_us", p["quota_mem_pressure_us"])] if p["quota_mem_pressure_us"] else []
    if p["quota_autotune_feedback"]:
        goals.append(Goal("user_input", 10_000, p["quota_autotune_feedback"]))
    yield _context(
        unit,
        ranges,
        attrs,
        Scheme(
            "pageout",
            AccessPattern(min_sz_bytes=PAGE_SZ, max_nr_accesses=0, min_age=min(p["min_age"] // attrs.aggr_us, UINT_MAX)),
            quota=Quota(p["quota_ms"], p["quota_sz"], p["quota_reset_interval_ms"], tuple(goals), weights=Weights(0, 0, 1)),
            watermarks=_watermarks(p),
            filters=(Filter("anon"),) if p["skip_anon"] else (),
        ),
    )


def _lru_sort(p: _Parameters, machine: Machine, notes: list[str]) -> Iterator[Context]:
    unit, ranges = _ranges(p, machine, notes)
    attrs = _attrs(p, 0, _TUNED if p["autotune_monitoring_intervals"] else None)
    active = p["active_mem_bp"]
    if active > 10_000:
        raise InputError(p.where("active_mem_bp"), f"{active} is over 10000", "write a share in bp")
    samples = attrs.aggr_us // max(attrs.sample_us, 1)

    def scheme(action: str, pattern: AccessPattern, goals: tuple[Goal, ...], filters: tuple[Filter, ...]) -> Scheme:
        quota = Quota(p["quota_ms"] // 2, 0, p["quota_reset_interval_ms"], goals, weights=Weights(0, 1, 0))
        filters = filters if p["filter_young_pages"] else ()
        return Scheme(action, pattern, quota=quota, watermarks=_watermarks(p), filters=filters)

    hot = AccessPattern(min_sz_bytes=PAGE_SZ, min_nr_accesses=samples * p["hot_thres_access_freq"] // 1_000)
    cold = AccessPattern(min_sz_bytes=PAGE_SZ, max_nr_accesses=0, min_age=min(p["cold_min_age"] // attrs.aggr_us, UINT_MAX))
    yield _context(
        unit,
        ranges,
        attrs,
        scheme("lru_prio", hot, (Goal("active_mem_bp", active),) if active else (), (Filter("young", matching=False),)),
        scheme("lru_deprio", cold, (Goal("inactive_mem_bp", 10_002 - active),) if active else (), (Filter("young"),)),
    )


def _stat(p: _Parameters, machine: Machine, notes: list[str]) -> Iterator[Context]:
    yield _context(1, _all(p, machine, 1, notes), Attrs(5_000, 100_000, 60_000_000, 10, 1_000, intervals_goal=_TUNED))


def _mtier(p: _Parameters, machine: Machine, notes: list[str]) -> Iterator[Context]:
    attrs = Attrs(5_000, 100_000, 60_000_000, 10, 1_000, intervals_goal=_TUNED)
    for promote in (True, False):
        source = 1 if promote else 0
        start, end = p[f"node{source}_start_addr"], p[f"node{source}_end_addr"]
        ranges: tuple[tuple[int, int], ...] = ((start, end),)
        if start >= end or p["detect_node_addresses"]:
            nodes = tuple(n for n in machine.nodes if n.nid == source)
            if not nodes:
                raise InputError(
                    p.where(f"node{source}_start_addr"), f"the machine has no node {source}", "give one with two (--machine)"
                )
            ranges = ranges_of(machine.replace(nodes=nodes))
            notes.append(f"mtier: the range of node {source} is the machine's own")
        goal = Goal("node_mem_used_bp", p["node0_mem_used_bp"]) if promote else Goal("node_mem_free_bp", p["node0_mem_free_bp"])
        yield _context(
            1,
            ranges,
            attrs,
            Scheme(
                "migrate_hot" if promote else "migrate_cold",
                AccessPattern(min_sz_bytes=PAGE_SZ, **({"min_nr_accesses": 1} if promote else {"max_nr_accesses": 0})),
                apply_interval_us=1_000_000,
                target_nid=0 if promote else 1,
                quota=Quota(0, 200 * MIB, 1_000, (goal,), weights=Weights(0, 100, 100)),
                filters=(Filter("young", allow=promote),),
            ),
        )


_BUILDERS: dict[str, Callable[[_Parameters, Machine, list[str]], Iterator[Context]]] = {
    "damon_reclaim": _reclaim,
    "damon_lru_sort": _lru_sort,
    "damon_stat": _stat,
    "mtier": _mtier,
}
