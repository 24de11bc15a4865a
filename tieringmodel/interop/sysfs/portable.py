"""What a scenario's contexts say that its kernel cannot be told: refused or marked before anything is written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain

from ...damon.parameters import esz0_stops, split_filters
from ...damon.vaddr import joined
from ...errors import InputError
from ...fields import Checked
from ...scenario import Context, Kernel, Machine, Scenario, Scheme, Target
from ...scenario.linux import NEXT
from ...scenario.metrics import metric_of
from ...units import PAGE_SZ


@dataclass(frozen=True)
class Portable:
    """Contexts that Linux can be told, and what it is not told.

    Attributes
    ----------
    contexts : tuple of Context
        With explicit ranges for paddr and filters in the order in which Linux keeps them: core before operations.
    marks : tuple of str
        What of the scenario does not leave, one sentence each.
    memcg_paths : mapping of int to str
        Paths of control groups by ``memcg_id``.
    pids : tuple of tuple of int
        Process of each target of each context; 0 is unknown.
    kernel : Kernel
        Which Linux is told: it decides which files there are.
    """

    contexts: tuple[Context, ...]
    marks: tuple[str, ...] = ()
    memcg_paths: Mapping[int, str] = field(default_factory=dict)
    pids: tuple[tuple[int, ...], ...] = ()
    kernel: Kernel = field(default_factory=Kernel)


def portable(scenario: Scenario, *, memcg_paths: Sequence[str] = (), pids: Sequence[Sequence[int]] = ()) -> Portable:
    """Return the contexts of a scenario as its kernel can be told them.

    Parameters
    ----------
    scenario : Scenario
        What to write.
    memcg_paths : sequence of str
        Path of memory control group 1, 2, …
    pids : sequence of sequences of int
        Process of each target of each context.

    Returns
    -------
    Portable

    Raises
    ------
    InputError
        If the scenario has no context, or a context uses what only the model has (the RFC's metric, clamps, early
        exits, another moving sum than the kernel's, …); lists all of it.
    """
    if not scenario.contexts:
        raise InputError("contexts", "the scenario has none, there is nothing to tell Linux", "add a context")
    refused = [
        text for i, context in enumerate(scenario.contexts) for text in _refused(context, scenario.kernel, f"contexts[{i}]")
    ]
    if refused:
        raise InputError(refused[0].partition(":")[0], _listed(refused), "remove it, or keep the scenario as TOML")
    marks = [*_marks(scenario)]
    contexts = []
    for i, context in enumerate(scenario.contexts):
        if context.ops == "paddr" and not context.targets[0].regions:
            marks.append(f"contexts[{i}].targets: no range was given, the nodes of the scenario's machine are written")
            context = context.replace(targets=(Target(ranges_of(scenario.machine, context.addr_unit)),))
        contexts.append(_ordered(context))
    known = tuple(tuple(p) for p in pids)
    unknown = tuple(tuple(0 for _ in c.targets) for c in contexts)
    return Portable(
        tuple(contexts),
        tuple(marks),
        dict(enumerate(memcg_paths, start=1)),
        known if [len(p) for p in known] == [len(p) for p in unknown] else unknown,
        scenario.kernel,
    )


def ranges_of(machine: Machine, addr_unit: int = 1) -> tuple[tuple[int, int], ...]:
    """Return the nodes' System RAM in core addresses (bytes / `addr_unit`), adjacent ranges joined."""
    return joined((start // addr_unit, -(-end // addr_unit)) for start, end, _ in machine.spans)


def _listed(texts: Sequence[str]) -> str:
    first = texts[0].partition(": ")[2]
    return first if len(texts) == 1 else f"{first} (and {len(texts) - 1} more: {'; '.join(texts[1:])})"


def _ordered(context: Context) -> Context:
    return context.replace(schemes=tuple(s.replace(filters=tuple(chain(*split_filters(s.filters)))) for s in context.schemes))


def _differs(item: Checked, kernel: Kernel, where: str, *names: str) -> Iterator[str]:
    for name in names:
        if name in item.to_dict():
            yield f"{where}.{name}: {getattr(item, name)!r} is not in Linux {kernel.release}"


def _refused(context: Context, kernel: Kernel, where: str) -> Iterator[str]:
    """Yield what the kernel cannot do, as ``path: reason``."""
    rules = kernel.rules
    if context.moving_sum and (context.moving_sum == "on_demand") != rules.mvsum_on_demand:
        yield from _differs(context, kernel, where, "moving_sum")
    yield from _differs(context, kernel, where, "sources")
    usual = max(PAGE_SZ // context.addr_unit, 1) if context.ops == "paddr" else PAGE_SZ
    if context.min_region_sz != usual:
        yield f"{where}.min_region_sz: {context.min_region_sz} cannot be chosen, Linux takes {usual}"
    for i, scheme in enumerate(context.schemes):
        yield from _refused_scheme(scheme, context.ops, kernel, f"{where}.schemes[{i}]")


def _refused_scheme(scheme: Scheme, ops: str, kernel: Kernel, where: str) -> Iterator[str]:
    if scheme.dests:
        yield from _differs(scheme, kernel, where, "dest_rule", "rmap_done_mark")
        if ops == "paddr":
            yield f"{where}.dests: paddr in Linux {kernel.release} ignores weighted destinations"
    if not scheme.enabled:
        yield f"{where}.enabled: a scheme cannot be switched off, only left out"
    if esz0_stops(scheme.quota, kernel.rules) != kernel.rules.esz0_stop:
        yield from _differs(scheme.quota, kernel, f"{where}.quota", "esz0")
    yield from _differs(scheme.quota, kernel, f"{where}.quota", "esz_floor_min_region", "esz_cap_monitored")
    for j, goal in enumerate(scheme.quota.goals):
        here = f"{where}.quota.goals[{j}]"
        if not metric_of(goal.metric).linux:
            yield f"{here}.metric: {goal.metric!r} is not in Linux {kernel.release}"
        yield from _differs(
            goal, kernel, here, *(() if kernel.has(NEXT) else ("complement",)), "clamp", "early_exit", "lag_cache"
        )
        if goal.nid < 0:
            yield f"{here}.nid: {goal.nid} is no node"


def _marks(scenario: Scenario) -> Iterator[str]:
    """Yield what belongs to a simulation only and is left behind."""
    if scenario.kernel.changed:
        more = scenario.kernel.title.partition(", ")[2]
        yield f"kernel: {more} is left out, which no Linux {scenario.kernel.release} can be told"
    if scenario.events:
        yield f"events: {len(scenario.events)} timed changes are left out"
    if scenario.commits:
        yield f"commits: {len(scenario.commits)} whole contexts that take over later are left out"
    for i, context in enumerate(scenario.contexts):
        where = f"contexts[{i}]"
        if context.aggr_times_us:
            yield f"{where}.aggr_times_us: recorded ends of aggregations are left out, Linux keeps to aggr_us"
        if context.rng_seed is not None:
            yield f"{where}.rng_seed: is left out, Linux draws its own numbers"
        for j, scheme in enumerate(context.schemes):
            if scheme.quota.esz_bp0:
                yield f"{where}.schemes[{j}].quota.esz_bp0: is left out, Linux starts its tuner at 0"
            for k, goal in enumerate(scheme.quota.goals):
                if goal.current_values:
                    path = f"{where}.schemes[{j}].quota.goals[{k}].current_values"
                    yield f"{path}: the course is left out, somebody has to write current_value while Linux runs"
