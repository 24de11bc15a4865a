"""Read damo's DAMON parameters (the JSON or YAML that ``damo args damon`` prints and ``damo start`` takes) as contexts.

Layout and defaults: docs/theory/damon.md, section h.4, and runs of damo 3.4.3.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Any, TypeVar

from ...damon.parameters import split_filters
from ...errors import InputError, quoted, short
from ...fields import Checked, suggest
from ...scenario import (
    AccessPattern,
    Attrs,
    Context,
    Dest,
    Filter,
    Goal,
    IntervalsGoal,
    Quota,
    Scheme,
    Target,
    Watermarks,
    Weights,
)
from ...scenario.metrics import need_metric
from ...units import PAGE_SZ, UINT_MAX, ULONG_MAX
from ..sysfs.read import Dump
from . import values as v

C = TypeVar("C", bound=Checked)


class Part:
    """An object of the file: its values, where it stands, and what the whole reading has found so far."""

    def __init__(self, data: object, where: str, known: str, notes: list[str], memcg_paths: list[str]) -> None:
        if not isinstance(data, Mapping):
            raise InputError(where, f"{quoted(data)} is not an object", "write {…}")
        names = known.split()
        for key in data:
            if key not in names:
                raise InputError(f"{where}.{short(key)}", "is not a known key", suggest(str(key), names))
        self.data, self.where, self.notes, self.memcg_paths = data, where, notes, memcg_paths

    def at(self, key: str) -> str:
        """Return the path of a value."""
        return f"{self.where}.{key}"

    def get(self, key: str, default: Any = None) -> Any:
        """Return a value; null counts as left out."""
        value = self.data.get(key)
        return default if value is None else value

    def sub(self, key: str, known: str) -> Part:
        """Return an object below; an empty one if it is left out."""
        return Part(self.get(key, {}), self.at(key), known, self.notes, self.memcg_paths)

    def each(self, key: str, known: str) -> Iterator[Part]:
        """Yield the objects of a list."""
        for i, item in enumerate(self.items(key)):
            yield Part(item, f"{self.at(key)}[{i}]", known, self.notes, self.memcg_paths)

    def items(self, key: str) -> list[Any]:
        """Return a list; an empty one if it is left out."""
        value = self.get(key, [])
        if not isinstance(value, list):
            raise InputError(self.at(key), f"{quoted(value)} is not a list", "write […]")
        return value

    def flag(self, key: str, default: bool) -> bool:
        """Return a boolean."""
        value = self.get(key, default)
        if not isinstance(value, bool):
            raise InputError(self.at(key), f"{quoted(value)} is not true or false", "write true or false")
        return value

    def word(self, key: str, default: str) -> str:
        """Return text."""
        value = self.get(key, default)
        if not isinstance(value, str):
            raise InputError(self.at(key), f"{quoted(value)} is not text", "write text in quotes")
        return value

    def note(self, key: str, text: str) -> None:
        """Keep what the contexts cannot say."""
        self.notes.append(f"{self.at(key)}: {text}")

    def make(self, cls: type[C], keys: Mapping[str, str], **values: Any) -> C:
        """Build `cls`; a refusal names the key of the file."""
        try:
            return cls(**values)
        except InputError as error:
            head, bracket, rest = error.where.partition("[")
            raise type(error)(self.at(keys.get(head, head) + bracket + rest), error.what, error.remedy) from None


def read_damo(data: object, where: str = "damo") -> Dump:
    """Return the contexts that damo's parameters describe, and what of them they cannot say.

    Parameters
    ----------
    data : object
        Plain data of the file: ``{"kdamonds": [{"contexts": [...]}]}``.
    where : str
        Name of the source, for error messages.

    Returns
    -------
    Dump
        One context per kdamond. What is left out has damo's default: 5 ms, 100 ms and 1 s, 10 to 1000 regions, a pattern
        that matches everything, a quota that is never reset.

    Raises
    ------
    KernelRefusal
        What Linux would refuse.
    InputError
        Unknown key or value, naming its path; parts that are not modelled; a ``node_eligible_mem_bp`` goal without nid.
    """
    notes: list[str] = []
    memcg_paths: list[str] = []
    top = Part(data, where, "kdamonds", notes, memcg_paths)
    contexts: list[Context] = []
    pids: list[tuple[int, ...]] = []
    for kdamond in top.each("kdamonds", "refresh_ms contexts state pid name"):
        mine = list(kdamond.each("contexts", _CONTEXT))
        if len(mine) != 1:
            raise InputError(kdamond.at("contexts"), f"holds {len(mine)} contexts", "Linux takes one for each kdamond")
        context, ids = _context(mine[0])
        contexts.append(context)
        pids.append(ids)
    if not contexts:
        raise InputError(top.at("kdamonds"), "lists no kdamond", "give at least one")
    return Dump(tuple(contexts), tuple(notes), tuple(memcg_paths), tuple(pids))


_CONTEXT = "ops addr_unit targets intervals nr_regions schemes probes sample_control pause"
_SCHEME = "action target_nid dests access_pattern apply_interval_us quotas watermarks filters max_nr_snapshots name stats"


def _context(here: Part) -> tuple[Context, tuple[int, ...]]:
    ops = here.word("ops", "paddr")
    addr_unit = v.size_bytes(here.get("addr_unit", 1), here.at("addr_unit"))
    if here.flag("pause", False):
        here.note("pause", "the context is paused; it is modelled as running")
    for i, probe in enumerate(here.items("probes")):
        if isinstance(probe, Mapping) and probe.get("weight") not in (None, 0, "0"):
            text = "a weighted probe replaces access checks, which is not modelled"
            raise InputError(f"{here.at('probes')}[{i}]", text, "remove the probe")
        here.note(f"probes[{i}]", "the probe only observes and is left out")
    control = here.sub("sample_control", "primitives_enabled sample_filters")
    enabled = control.sub("primitives_enabled", "page_table page_fault")
    if enabled.flag("page_fault", False) or not enabled.flag("page_table", True) or control.items("sample_filters"):
        text = "sampling by page faults or sample filters is not in Linux 7.3.4 and not modelled"
        raise InputError(control.where, text, "sample by page tables, without filters")
    attrs = _attrs(here)
    targets, pids = [], []
    for target in here.each("targets", "pid obsolete regions context"):
        regions = tuple(
            (v.count(r.get("start"), r.at("start")), v.count(r.get("end"), r.at("end")))
            for r in target.each("regions", "start end nr_accesses age probe_hits sz_filter_passed")
        )
        if target.flag("obsolete", False):
            target.note("obsolete", "the target is marked for removal and left out")
            continue
        if ops == "paddr" and not regions:
            target.note("regions", "no range is given: Linux would monitor nothing, the model everything")
        targets.append(Target(regions))
        pids.append(v.count(target.get("pid", 0), target.at("pid"), 2**31 - 1))
    schemes = tuple(_scheme(s, attrs) for s in here.each("schemes", _SCHEME))
    context = here.make(
        Context,
        {"min_region_sz": "addr_unit"},
        ops=ops,
        attrs=attrs,
        targets=tuple(targets),
        schemes=schemes,
        addr_unit=addr_unit,
        min_region_sz=max(PAGE_SZ // addr_unit, 1) if ops == "paddr" and addr_unit else PAGE_SZ,
    )
    return context, tuple(pids)


def _attrs(here: Part) -> Attrs:
    times = here.sub("intervals", "sample_us aggr_us ops_update_us intervals_goal")
    goal = times.sub("intervals_goal", "access_bp aggrs min_sample_us max_sample_us")
    regions = here.sub("nr_regions", "min max")
    keys = {
        "sample_us": "intervals.sample_us",
        "aggr_us": "intervals.aggr_us",
        "update_us": "intervals.ops_update_us",
        "min_nr_regions": "nr_regions.min",
        "max_nr_regions": "nr_regions.max",
    }
    return here.make(
        Attrs,
        keys,
        sample_us=v.time_in(times.get("sample_us", 5_000), times.at("sample_us")),
        aggr_us=v.time_in(times.get("aggr_us", 100_000), times.at("aggr_us")),
        update_us=v.time_in(times.get("ops_update_us", 1_000_000), times.at("ops_update_us")),
        min_nr_regions=v.count(regions.get("min", 10), regions.at("min")),
        max_nr_regions=v.count(regions.get("max", 1_000), regions.at("max")),
        intervals_goal=IntervalsGoal(
            v.share(goal.get("access_bp", 0), goal.at("access_bp"), 100),
            v.count(goal.get("aggrs", 0), goal.at("aggrs")),
            v.time_in(goal.get("min_sample_us", 0), goal.at("min_sample_us")),
            v.time_in(goal.get("max_sample_us", 0), goal.at("max_sample_us")),
        ),
    )


def _scheme(here: Part, attrs: Attrs) -> Scheme:
    pattern = here.sub("access_pattern", "sz_bytes nr_accesses nr_accesses_unit age age_unit")
    units = {name: _older_unit(pattern, name) for name in ("nr_accesses", "age")}
    bounds: dict[str, int] = {}
    for name in ("sz_bytes", "nr_accesses", "age"):
        both = pattern.sub(name, "min max")
        for end, default in (("min", 0), ("max", "max")):
            value, where = both.get(end, default), both.at(end)
            value = 0 if value == "min" else value
            if unit := units.get(name):
                value = v.in_unit(value, unit)
            if name == "sz_bytes":
                bounds[f"{end}_{name}"] = v.size_bytes(value, where)
            elif name == "age":
                bounds[f"{end}_{name}"] = v.age(value, where, attrs.aggr_us)
            else:
                bounds[f"{end}_{name}"] = v.nr_accesses(value, where, attrs.sample_us, attrs.aggr_us)
    marks = here.sub("watermarks", "metric interval_us high_permil mid_permil low_permil")
    permil = {n: v.share(marks.get(f"{n}_permil", 0), marks.at(f"{n}_permil"), 10) for n in ("high", "mid", "low")}
    return here.make(
        Scheme,
        {"quota": "quotas"},
        action=here.word("action", "stat"),
        access_pattern=pattern.make(AccessPattern, {}, **bounds),
        apply_interval_us=v.time_in(here.get("apply_interval_us", 0), here.at("apply_interval_us")),
        target_nid=-1 if here.get("target_nid", -1) in (-1, "-1") else v.node(here.get("target_nid"), here.at("target_nid")),
        quota=_quota(here.sub("quotas", _QUOTA)),
        watermarks=marks.make(
            Watermarks,
            {},
            metric=marks.word("metric", "none"),
            interval_us=v.time_in(marks.get("interval_us", 0), marks.at("interval_us")),
            **permil,
        ),
        filters=tuple(chain(*split_filters(tuple(_filter(f) for f in here.each("filters", _FILTER))))),
        dests=tuple(
            d.make(Dest, {}, id=v.node(d.get("id"), d.at("id")), weight=v.count(d.get("weight"), d.at("weight"), UINT_MAX))
            for d in here.each("dests", "id weight")
        ),
        max_nr_snapshots=_max_nr_snapshots(here),
    )


def _older_unit(pattern: Part, name: str) -> str:
    """Return the unit that a key beside the bounds gives to bare numbers: older damo wrote it there."""
    key, units = f"{name}_unit", _OLDER_UNITS[name]
    word = pattern.word(key, next(iter(units)))
    if word not in units:
        raise InputError(pattern.at(key), f"{word!r} is no unit of {name}", suggest(word, tuple(units)))
    return units[word]


_OLDER_UNITS = {
    "nr_accesses": {"percent": "", "samples": "samples", "sample_intervals": "samples"},
    "age": {"usec": "", "aggr_intervals": "aggr_intervals"},
}


def _max_nr_snapshots(here: Part) -> int:
    """Return the limit, which damo prints among the statistics (``damo report damon --json``)."""
    stats = here.sub("stats", _STATS)
    place = stats if here.get("max_nr_snapshots") is None else here
    return v.count(place.get("max_nr_snapshots", 0), place.at("max_nr_snapshots"))


_STATS = "nr_tried sz_tried nr_applied sz_applied sz_ops_filter_passed qt_exceeds nr_snapshots max_nr_snapshots"
_QUOTA = "time_ms sz_bytes reset_interval_ms fail_charge_num fail_charge_denom goals goal_tuner effective_sz_bytes weights"
_GOAL = "metric complement nid memcg_path target_value current_value"
_FILTER = "filter_type matching allow memcg_path address_range damon_target_idx hugepage_size probe_hits_wsum_range name"


def _quota(here: Part) -> Quota:
    weights = here.sub("weights", "sz_permil nr_accesses_permil age_permil")
    permil = {n: v.share(weights.get(f"{n}_permil", 0), weights.at(f"{n}_permil"), 10) for n in ("sz", "nr_accesses", "age")}
    return here.make(
        Quota,
        {"ms": "time_ms"},
        ms=v.time_in(here.get("time_ms", 0), here.at("time_ms"), "ms"),
        sz_bytes=v.size_bytes(here.get("sz_bytes", 0), here.at("sz_bytes")),
        reset_interval_ms=v.time_in(here.get("reset_interval_ms", "max"), here.at("reset_interval_ms"), "ms"),
        goals=tuple(_goals(here)),
        goal_tuner=here.word("goal_tuner", "consist"),
        weights=weights.make(Weights, {}, **permil),
        fail_charge_num=v.count(here.get("fail_charge_num", 0), here.at("fail_charge_num"), UINT_MAX),
        fail_charge_denom=v.count(here.get("fail_charge_denom", 0), here.at("fail_charge_denom"), UINT_MAX),
    )


def _goals(here: Part) -> Iterator[Goal]:
    for goal in here.each("goals", _GOAL):
        metric = goal.word("metric", "user_input")
        known = need_metric(metric, goal.at("metric"))
        numbers = {}
        for name in ("target_value", "current_value"):
            read = goal.get(name, 0)
            if known.unit == "bp":
                numbers[name] = v.share(read, goal.at(name), 100)
            else:
                numbers[name] = v.time_in(read, goal.at(name)) if known.unit == "us" else v.count(read, goal.at(name))
        if metric.partition(":")[0] == v.DROPS_NID and goal.get("nid") is None:
            text = f"{v.DROPS_NID} has no nid: damo 3.4.3 drops it on its command line, and Linux would use node 0"
            raise InputError(goal.at("nid"), text, "write the node that is meant, 0 too")
        memcg_id = 0
        if "memcg_id" in known.needs:
            memcg_id = _memcg(goal, "memcg_path")
        if goal.flag("complement", False):
            goal.note("complement", "Linux 7.3.4 has no complemented goals; later trees do")
        if numbers["target_value"] == 0:
            goal.note("target_value", f"the goal {metric} has target 0, which Linux drops silently: left out")
            continue
        yield goal.make(
            Goal,
            {},
            metric=metric,
            nid=v.node(goal.get("nid", 0), goal.at("nid")),
            memcg_id=memcg_id,
            complement=goal.flag("complement", False),
            **numbers,
        )


def _memcg(here: Part, key: str) -> int:
    path = here.word(key, "")
    if not path:
        raise InputError(here.at(key), "names no control group", "write its path")
    if path not in here.memcg_paths:
        here.memcg_paths.append(path)
    return here.memcg_paths.index(path) + 1


def _filter(here: Part) -> Filter:
    kind = here.word("filter_type", "anon")
    if here.get("probe_hits_wsum_range") is not None:
        raise InputError(here.at("probe_hits_wsum_range"), "filters by probe hits are not modelled", "remove the filter")
    arguments: dict[str, int] = {}
    if kind == "addr":
        bounds = here.sub("address_range", "start end")
        arguments = {f"{n}_bytes": v.count(bounds.get(n), bounds.at(n)) for n in ("start", "end")}
    elif kind == "target":
        arguments = {"target_idx": v.count(here.get("damon_target_idx"), here.at("damon_target_idx"), ULONG_MAX)}
    elif kind == "memcg":
        arguments = {"memcg_id": _memcg(here, "memcg_path")}
    elif kind == "hugepage_size":
        sizes = here.items("hugepage_size")
        if len(sizes) != 2:
            raise InputError(here.at("hugepage_size"), f"has {len(sizes)} entries", "write [min, max]")
        arguments = {
            f"{n}_bytes": v.size_bytes(s, f"{here.at('hugepage_size')}[{i}]")
            for i, (n, s) in enumerate(zip(("min", "max"), sizes, strict=True))
        }
    return here.make(
        Filter,
        {"type": "filter_type"},
        type=kind,
        matching=here.flag("matching", True),
        allow=here.flag("allow", False),
        **arguments,
    )
