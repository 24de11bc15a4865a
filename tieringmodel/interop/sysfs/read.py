"""Read a dump of DAMON's sysfs tree (``/sys/kernel/mm/damon/admin``) as contexts.

A dump is either a copy of the directory tree or text with one ``path value`` line per file. The tree, its defaults
and what Linux refuses: docs/theory/damon.md, sections h.1 and h.2. A file that a dump leaves out has the value that Linux
creates it with.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ...errors import InputError, KernelRefusal
from ...scenario import (
    ACTIONS,
    CORE_FILTERS,
    OPS_FILTERS,
    AccessPattern,
    Attrs,
    Context,
    Dest,
    Filter,
    Goal,
    IntervalsGoal,
    Kernel,
    Quota,
    Scheme,
    Target,
    Watermarks,
    Weights,
)
from ...scenario.metrics import metric_of, names
from ...units import PAGE_SZ, UINT_MAX
from .tree import Entry, Folder, context_folders


@dataclass(frozen=True)
class Dump:
    """What a dump says.

    Attributes
    ----------
    contexts : tuple of Context
        In order of kdamonds.
    notes : tuple of str
        What the dump says and the contexts do not: dropped goals, shortened numbers, state that is not modelled.
    memcg_paths : tuple of str
        Control groups named by goals and filters; path ``i`` has ``memcg_id`` ``i + 1``.
    pids : tuple of tuple of int
        ``pid_target`` of each target of each context.
    kernel : Kernel or None
        That of ``proc/version``, where there is such a text.
    """

    contexts: tuple[Context, ...]
    notes: tuple[str, ...] = ()
    memcg_paths: tuple[str, ...] = ()
    pids: tuple[tuple[int, ...], ...] = ()
    kernel: Kernel | None = None

    @property
    def context(self) -> Context:
        """The only context.

        Raises
        ------
        InputError
            If there is not exactly one.
        """
        if len(self.contexts) != 1:
            raise InputError("contexts", f"the dump holds {len(self.contexts)} contexts", "choose one of .contexts")
        return self.contexts[0]


def read_dump(source: str | Path | Sequence[Entry], *, allow_files: bool = False, kernel: Kernel | None = None) -> Dump:
    """Return the contexts that a dump of DAMON's sysfs tree describes, and what of it they cannot say.

    Parameters
    ----------
    source : str or Path
        A text file of ``path value`` lines, a directory that holds the tree, or such lines themselves (a str with
        a line break). Paths may start at a context's directory or anywhere above it, up to
        ``/sys/kernel/mm/damon/admin``; ``:`` may stand between path and value (``grep -r . .``). Or what a script writes.
    allow_files : bool
        Files of a directory may be symbolic links that lead out of it.
    kernel : Kernel, optional
        Which Linux wrote it. Left out, a text as of ``/proc/version`` in the dump or beside it says so
        (``proc/version``, ``version``, or a line of that path).

    Returns
    -------
    Dump
        One context per context directory. As in Linux, filters are ordered core, ops, then the mixed directory;
        goals with target 0 are dropped (told in ``notes``); ``min_region_sz`` of paddr is
        ``max(4096 / addr_unit, 1)``. Statistics, tried regions and effective quotas are not read.

    Raises
    ------
    KernelRefusal
        What Linux would refuse: unknown keyword, number or boolean it cannot read, contradicting attributes.
    InputError
        An unknown path (lists the known ones), a repeated or unreadable line, a dump that is not whole, a link that
        leads out of the directory. Both name file and line. A kernel of whose line none is modelled.
    """
    folders = context_folders(source, allow_files=allow_files, kernel=kernel)
    contexts = tuple(_context(folder) for folder in folders)
    pids = tuple(
        tuple(target.number("pid_target", low=-(2**31)) for target in folder.sub("targets").each("nr_targets"))
        for folder in folders
    )
    findings = folders[0].findings
    return Dump(contexts, tuple(findings.notes), tuple(findings.memcg_paths), pids, findings.kernel)


def _context(top: Folder) -> Context:
    ops = top.keyword("operations", "vaddr", ("vaddr", "fvaddr", "paddr"))
    addr_unit = top.number("addr_unit", 1)
    if addr_unit == 0:
        raise KernelRefusal(top.where("addr_unit"), "addr_unit is 0 (EINVAL)", "write 1")
    if top.flag("pause"):
        top.note("pause", "the context was paused; it is modelled as running")
    for probe in top.sub("monitoring_attrs").sub("probes").each("nr_probes"):
        if probe.number("weight", top=UINT_MAX):
            text = "a weighted probe replaces access checks, which is not modelled"
            raise InputError(probe.where("weight"), text, "write weight 0")
        probe.note("weight", "the probe only observes and is left out")
    targets = tuple(_targets(top.sub("targets"), ops))
    schemes = tuple(_scheme(folder) for folder in top.sub("schemes").each("nr_schemes"))
    return top.make(
        Context,
        {"targets": "targets/nr_targets", "min_region_sz": "addr_unit"},
        ops=ops,
        attrs=_attrs(top),
        targets=targets,
        schemes=schemes,
        addr_unit=addr_unit,
        min_region_sz=max(PAGE_SZ // addr_unit, 1) if ops == "paddr" else PAGE_SZ,
    )


def _attrs(top: Folder) -> Attrs:
    here = top.sub("monitoring_attrs")
    intervals, regions = here.sub("intervals"), here.sub("nr_regions")
    goal = intervals.sub("intervals_goal")
    names = ("access_bp", "aggrs", "min_sample_us", "max_sample_us")
    leaves = {n: f"intervals/{n}" for n in ("sample_us", "aggr_us", "update_us")}
    leaves |= {"min_nr_regions": "nr_regions/min", "max_nr_regions": "nr_regions/max"}
    return here.make(
        Attrs,
        leaves,
        sample_us=intervals.number("sample_us", 5_000),
        aggr_us=intervals.number("aggr_us", 100_000),
        update_us=intervals.number("update_us", 60_000_000),
        min_nr_regions=regions.number("min", 10),
        max_nr_regions=regions.number("max", 1_000),
        intervals_goal=goal.make(IntervalsGoal, {}, **{name: goal.number(name) for name in names}),
    )


def _targets(here: Folder, ops: str) -> Iterator[Target]:
    for target in here.each("nr_targets"):
        regions = tuple((r.number("start"), r.number("end")) for r in target.sub("regions").each("nr_regions"))
        if target.flag("obsolete_target"):
            target.note("obsolete_target", "the target is marked for removal and left out")
            continue
        if ops == "paddr" and not regions:
            target.note("regions/nr_regions", "no range is given: Linux would monitor nothing, the model everything")
        yield target.make(Target, {}, regions=regions)


def _scheme(here: Folder) -> Scheme:
    pattern: dict[str, int] = {}
    for name, mine, read in (
        ("sz", "sz_bytes", Folder.number),
        ("nr_accesses", "nr_accesses", Folder.low_word),
        ("age", "age", Folder.low_word),
    ):
        bounds = here.sub("access_pattern").sub(name)
        pattern |= {f"min_{mine}": read(bounds, "min"), f"max_{mine}": read(bounds, "max")}
    marks = here.sub("watermarks")
    return here.make(
        Scheme, {"max_nr_snapshots": "stats/max_nr_snapshots"},
        action=here.keyword("action", "stat", ACTIONS), access_pattern=here.make(AccessPattern, {}, **pattern),
        apply_interval_us=here.number("apply_interval_us"),
        target_nid=here.number("target_nid", -1, 2**31 - 1, -(2**31)), quota=_quota(here.sub("quotas")),
        watermarks=marks.make(
            Watermarks, {}, metric=marks.keyword("metric", "none", ("none", "free_mem_rate")),
            **{name: marks.number(name) for name in ("interval_us", "high", "mid", "low")},
        ),
        filters=(*_filters(here.sub("core_filters"), CORE_FILTERS), *_filters(here.sub("ops_filters"), OPS_FILTERS),
                 *_filters(here.sub("filters"), CORE_FILTERS + OPS_FILTERS)),
        dests=tuple(d.make(Dest, {}, id=d.number("id", top=UINT_MAX), weight=d.number("weight", top=UINT_MAX))
                    for d in here.sub("dests").each("nr_dests")),
        max_nr_snapshots=here.sub("stats").number("max_nr_snapshots"),
    )  # fmt: skip


def _quota(here: Folder) -> Quota:
    weights = here.sub("weights")
    permil = {name: weights.number(f"{name}_permil", top=UINT_MAX) for name in ("sz", "nr_accesses", "age")}
    return here.make(
        Quota,
        {"sz_bytes": "bytes"},
        ms=here.number("ms"),
        sz_bytes=here.number("bytes"),
        reset_interval_ms=here.number("reset_interval_ms"),
        goals=tuple(_goals(here.sub("goals"))),
        goal_tuner=here.keyword("goal_tuner", "consist", ("consist", "temporal")),
        weights=weights.make(Weights, {}, **permil),
        fail_charge_num=here.number("fail_charge_num", top=UINT_MAX),
        fail_charge_denom=here.number("fail_charge_denom", top=UINT_MAX),
    )


def _goals(here: Folder) -> Iterator[Goal]:
    for goal in here.each("nr_goals"):
        metric = goal.keyword("target_metric", "user_input", tuple(names()))
        target_value, complement = goal.number("target_value"), goal.flag("complement")
        memcg_id = goal.memcg("path") if "memcg_id" in metric_of(metric).needs and target_value else 0
        nid = goal.number("nid", top=2**31 - 1, low=-(2**31))
        if target_value == 0:
            goal.note("target_value", f"the goal {metric} has target 0, which Linux drops silently: left out")
            continue
        if complement:
            goal.note("complement", "Linux 7.3.4 has no complemented goals; later trees do")
        yield goal.make(
            Goal,
            {},
            metric=metric,
            target_value=target_value,
            current_value=goal.number("current_value"),
            nid=nid,
            memcg_id=memcg_id,
            complement=complement,
        )


def _filters(here: Folder, known: tuple[str, ...]) -> Iterator[Filter]:
    for item in here.each("nr_filters"):
        kind = item.keyword("type", "anon", known)
        arguments: dict[str, int] = {}
        if kind == "addr":
            arguments = {"start_bytes": item.number("addr_start"), "end_bytes": item.number("addr_end")}
        elif kind == "target":
            arguments = {"target_idx": item.number("damon_target_idx", top=2**31 - 1)}
        elif kind == "memcg":
            arguments = {"memcg_id": item.memcg("memcg_path")}
        elif kind == "hugepage_size":
            arguments = {"min_bytes": item.number("min"), "max_bytes": item.number("max")}
        leaves = {"start_bytes": "addr_start", "end_bytes": "addr_end", "min_bytes": "min", "max_bytes": "max"}
        yield item.make(Filter, leaves, type=kind, matching=item.flag("matching"), allow=item.flag("allow"), **arguments)
