"""What a scenario is compared with: weights on the same monitoring, and the baselines that need none."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from math import gcd

from ..cost.closed_loop import best_share
from ..damon.vaddr import joined
from ..errors import InputError
from ..registry import Own
from ..scenario import (
    AccessPattern,
    Attrs,
    Context,
    Dest,
    Goal,
    Kernel,
    Placement,
    Quota,
    Scenario,
    Scheme,
    Target,
    Vma,
    need_scenario,
)
from ..scenario.controlled import Controlled, controlled
from ..scenario.features import Used
from ..scenario.folios import folio_runs
from ..scenario.linux import NEXT, version
from ..scenario.metrics import metric_of
from ..scenario.performance import numbers_of
from ..units import PAGE_SZ
from ..workload.truth import touched_pages
from .presets import preset

WEIGHT_POLICIES: dict[str, tuple[str, str]] = {
    "weights: vma_offset": ("vma_offset", ""),
    "weights: iid redraw": ("iid", ""),
    "weights: pfn_mod, fresh frames": ("pfn_mod", "fifo"),
    "weights: pfn_mod, lifo frames": ("pfn_mod", "lifo"),
    "weights: first share": ("first", ""),
    "weights: last share": ("last", ""),
}
"""Rule and frame allocator ("" = the scenario's own) of each weight policy."""

BASELINES = ("all-fast", "all-slow", "static interleave", "best placement", "oracle")


@dataclass(frozen=True)
class Policy:
    """A scenario to run, and whether an oracle places its pages.

    ``missing``: what the kernel lacks of it. Then it is not run, and its scenario's kernel is one that has everything.
    """

    scenario: Scenario
    oracle: bool = False
    missing: Used | None = None

    @classmethod
    def on(cls, kernel: Kernel, scenario: Scenario, *, oracle: bool = False) -> Policy:
        """Return a policy as a kernel runs it, or with what the kernel lacks: of several features the one that comes last."""
        lacks = max(scenario.missing(kernel), key=lambda use: version(use.since), default=None)
        return cls(scenario if lacks else scenario.replace(kernel=kernel), oracle, lacks)


PolicyMaker = Callable[[Scenario], Scenario | None]


def _ships(name: str) -> bool:
    return name in BASELINES or name.startswith(("goal:", "weights:", "recorded"))


_own: Own[PolicyMaker] = Own("policy", _ships, "a function of a scenario")


def register_policy(name: str, policy: PolicyMaker, *, replace: bool = False) -> None:
    """Offer a policy of one's own by name, for `policies` and ``tieringmodel compare``.

    Parameters
    ----------
    name : str
        As it appears in tables and figures.
    policy : callable
        ``policy(scenario)`` returns the scenario as the policy runs it, or None where it has nothing to say. It sees a kernel
        that has everything.
    replace : bool
        Take the place of one that was registered under this name before.

    Raises
    ------
    InputError
        If the name is taken, or a baseline's, or `policy` cannot be called.

    Examples
    --------
    >>> import tieringmodel as tm
    >>> tm.register_policy("half the quota", lambda sc: sc.set("schemes.*.quota.sz_bytes", "512 KiB"))
    >>> "half the quota" in tm.policies(tm.load("rfc-40-60"))
    True
    >>> tm.unregister_policy("half the quota")
    """
    _own.offer(name, policy, policy, replace=replace)


def unregister_policy(name: str) -> None:
    """Withdraw a policy that `register_policy` offered; other names are ignored.

    Parameters
    ----------
    name : str
        As it was registered.

    Examples
    --------
    >>> import tieringmodel as tm
    >>> tm.unregister_policy("nobody has this name")
    """
    _own.pop(name, None)


def _own_policies(scenario: Scenario) -> Iterator[tuple[str, Scenario]]:
    """Yield what policies of one's own make of a scenario."""
    for name, policy in _own.items():
        made = policy(scenario)
        if made is not None:
            if not isinstance(made, Scenario):
                raise InputError(f"policy {name!r}", f"returned {type(made).__name__}", "return a Scenario, or None")
            yield name, made.replace(name=f"{scenario.name}: {name}".strip(": "))


def weights_of(scenario: Scenario, what: Controlled) -> tuple[int, int]:
    """Return the weights (controlled node, other node) that ask for the same share, reduced as a user would write them.

    The used share of a node includes memory that nobody migrates; a share that no placement of the workload reaches
    becomes all or nothing of it.
    """
    share = what.target_bp
    if what.kind == "used":
        node = next(n for n in scenario.machine.nodes if n.nid == what.nid)
        total = (node.sz_bytes - node.unmanaged_bytes) // scenario.machine.folio_bytes
        other = (node.kernel_bytes + node.cache_bytes) // scenario.machine.folio_bytes
        wanted = total * what.target_bp // 10_000 - other
        share = min(max(wanted * 10_000 // scenario.workload.n_pages, 0), 10_000)
    divisor = gcd(share, 10_000 - share) or 1
    return share // divisor, (10_000 - share) // divisor


def _other_node(scenario: Scenario, nid: int) -> int:
    others = [n.nid for n in scenario.machine.nodes if n.nid != nid]
    if not others:
        raise InputError("machine.nodes", "has one node", "give two to compare placements")
    return others[0]


def _migrating(context: Context) -> list[Scheme]:
    return [s for s in context.schemes if s.action.startswith("migrate")]


def _all_targets(contexts: list[Context]) -> tuple[Target, ...]:
    """Return everything that any of these paddr contexts monitors, in units of the first one, as one target."""
    unit, align = contexts[0].addr_unit, contexts[0].min_region_sz
    ranges = []
    for c in contexts:
        if not c.targets[0].regions:
            return (Target(),)
        for start, end in c.targets[0].regions:
            low, high = start * c.addr_unit // unit, -(-end * c.addr_unit // unit)
            ranges.append((low - low % align, -(-high // align) * align))
    return (Target(joined(ranges)),)


def weighted(scenario: Scenario, rule: str, allocator: str = "") -> Scenario:
    """Return the scenario with its migrating schemes replaced by one that deals the same pages by weights.

    The scheme stands in for the first ``migrate_hot`` (else the first migrating) scheme: access pattern, size quota and
    intervals stay. It watches what all migrating contexts watch together, and the other contexts keep no scheme, so that
    pages are dealt once. Priority weights go: with them, pieces left over at the end of a window can stay below the
    threshold for ever, and a deal by weights has no use for priorities. Filters go too: they tell the sides of a push
    and a pull apart. ``vma_offset`` monitors virtual addresses, as vaddr does it; the other rules keep monitoring frames.

    Raises
    ------
    InputError
        If no scheme migrates.
    """
    what = controlled(scenario)
    mine, theirs = weights_of(scenario, what)
    dests = tuple(sorted((Dest(what.nid, mine), Dest(_other_node(scenario, what.nid), theirs)), key=lambda d: d.id))
    watching = [i for i, c in enumerate(scenario.contexts) if _migrating(c)]
    hot = [i for i in watching if any(s.action == "migrate_hot" for s in scenario.contexts[i].schemes)]
    if not watching:
        raise InputError("contexts", "no scheme migrates, so there is nothing to deal by weights", "add a migrate scheme")
    at = (hot or watching)[0]
    dealing = scenario.contexts[at]
    model = next((s for s in dealing.schemes if s.action == "migrate_hot"), _migrating(dealing)[0])
    quota = Quota(ms=model.quota.ms, sz_bytes=model.quota.sz_bytes, reset_interval_ms=model.quota.reset_interval_ms)
    scheme = Scheme(
        action="migrate_hot",
        access_pattern=model.access_pattern,
        apply_interval_us=model.apply_interval_us,
        quota=quota,
        dests=dests,
        dest_rule=rule,
    )
    dealing = dealing.replace(schemes=(scheme,))
    workload = scenario.workload
    if dealing.ops == "paddr" and rule == "vma_offset":
        dealing = dealing.replace(ops="vaddr", targets=(Target(),), addr_unit=1, min_region_sz=PAGE_SZ)
        workload = workload if workload.vmas else workload.replace(vmas=(Vma(0, workload.n_pages, 1 << 40),))
    elif dealing.ops == "paddr":
        same = [scenario.contexts[at], *(scenario.contexts[i] for i in watching if scenario.contexts[i].ops == "paddr")]
        dealing = dealing.replace(targets=_all_targets(same))
    contexts = tuple(dealing if i == at else c.replace(schemes=()) for i, c in enumerate(scenario.contexts))
    machine = scenario.machine.with_allocator(allocator) if allocator else scenario.machine
    return scenario.replace(machine=machine, workload=workload, contexts=contexts, name=f"{scenario.name}: {rule}".strip(": "))


def _eligible_share(goal: Goal) -> bool:
    metric = metric_of(goal.metric)
    return metric.counts == "eligible" and not metric.rest and not goal.complement


def with_gap(scenario: Scenario, gap_bp: int = 200) -> Scenario | None:
    """Return the scenario with the nearest change that lets two opposing share goals rest, None if it has no such pair.

    Targets that sum to 10000 or more are never met together; here both are lowered alike until `gap_bp` lies between
    them (neither below 1), the size quotas are cut to the power of two that moves less than the gap in one window, so
    that no step can cross it, and TEMPORAL tunes them.
    """
    schemes = [s for c in scenario.contexts for s in c.schemes if s.quota.goals]
    goals = [g for s in schemes for g in s.quota.goals]
    if len(goals) != 2 or len({g.nid for g in goals}) != 2 or not all(_eligible_share(g) for g in goals):
        return None
    surplus = sum(g.target_value for g in goals) - (10_000 - gap_bp)
    page = scenario.machine.folio_bytes
    step = max(touched_pages(scenario.workload) * page * gap_bp // 10_000, page)
    cap = 1 << (step.bit_length() - 1)
    surplus = max(surplus, 0)
    first = min(surplus // 2, goals[0].target_value - 1)
    second = min(surplus - first, goals[1].target_value - 1)
    first = surplus - second
    lowered = {g.nid: g.target_value - less for g, less in zip(goals, (first, second), strict=True)}

    def change(s: Scheme) -> Scheme:
        if not s.quota.goals:
            return s
        size = min(s.quota.sz_bytes, cap) if s.quota.sz_bytes else cap
        changed = tuple(g.replace(target_value=lowered[g.nid]) for g in s.quota.goals)
        return s.replace(quota=s.quota.replace(goals=changed, sz_bytes=size, goal_tuner="temporal"))

    contexts = tuple(c.replace(schemes=tuple(change(s) for s in c.schemes)) for c in scenario.contexts)
    return scenario.replace(contexts=contexts, name=f"{scenario.name}: gap".strip(": "))


def as_posted(scenario: Scenario) -> Scenario | None:
    """Return the scenario read as the RFC's patches compute it (preset ``seed-faithful``), or None without a share goal."""
    goals = [g for c in scenario.contexts for s in c.schemes for g in s.quota.goals]
    return preset(scenario, "seed-faithful") if any(metric_of(g.metric).monitored for g in goals) else None


def unwatched(scenario: Scenario, name: str, placement: tuple[Placement, ...] | None = None) -> Scenario:
    """Return the scenario without DAMON and without NUMA balancing, maybe with other initial places.

    The workload's tick is written down, because left out it follows from the contexts that go.
    """
    workload, machine = scenario.timed_workload, scenario.machine
    if placement is not None:
        workload = workload.replace(placement=placement)
    if machine.numa_balancing:
        machine = machine.replace(numa_balancing=None)
    name = f"{scenario.name}: {name}".strip(": ")
    return scenario.replace(machine=machine, workload=workload, contexts=(), name=name)


def without_mechanisms(scenario: Scenario) -> dict[str, Scenario]:
    """Return the scenario without each thing that its machine does beside DAMON, and NUMA balancing without DAMON.

    Of NUMA balancing, a swap device and the buddy allocator, whose place takes the one that hands out the lowest free frame;
    nothing where the machine has none of them.

    Examples
    --------
    >>> import tieringmodel as tm
    >>> from tieringmodel.comparison.policies import without_mechanisms
    >>> scenario = tm.load("rfc-40-60")
    >>> list(without_mechanisms(scenario.replace(machine=scenario.machine.replace(numa_balancing={"demotion_enabled": True}))))
    ['numa_balancing alone', 'without numa_balancing']
    """
    out, machine = {}, scenario.machine
    if machine.numa_balancing:
        bare = unwatched(scenario, "numa_balancing alone")
        out["numa_balancing alone"] = bare.replace(machine=bare.machine.replace(numa_balancing=machine.numa_balancing))
        out["without numa_balancing"] = scenario.replace(machine=machine.replace(numa_balancing=None))
    if machine.swap:
        out["without swap"] = scenario.replace(machine=machine.replace(swap=None))
    if machine.allocator == "buddy":
        out["without buddy"] = scenario.replace(machine=machine.with_allocator("lowest"))
    return {name: one.replace(name=f"{scenario.name}: {name}".strip(": ")) for name, one in out.items()}


def need_same_contexts(scenario: Scenario) -> None:
    """Refuse a scenario whose contexts change while it runs: whoever replaces them would have them changed back.

    Raises
    ------
    InputError
        Naming the first event or commit that changes them.
    """
    for where, _, now in need_scenario(scenario).changes():
        if now.contexts != scenario.contexts:
            text = "changes contexts, which policies replace"
            remedy = "leave it out, or hand scenarios of your own to tieringmodel.compare, which carries it out"
            raise InputError(where, text, remedy)


def has_same_contexts(scenario: Scenario) -> bool:
    """Return whether nothing changes the scenario's contexts while it runs: see `need_same_contexts`."""
    return all(now.contexts == scenario.contexts for _, _, now in scenario.changes())


def _kernel(given: Kernel | str | None, scenario: Scenario) -> Kernel:
    """Return the kernel that policies run on."""
    return Kernel.from_text(given, "kernel") if isinstance(given, str) else given or scenario.kernel


def plain_policies(scenario: Scenario, kernel: Kernel | str | None = None) -> dict[str, Policy]:
    """Return what needs no share that is controlled, and no contexts that stay: the scenario, and placements without DAMON.

    All pages start on the first node, as far as they fit there, or on the next one; the oracle sees every access.

    Raises
    ------
    InputError
        If the machine has one node.

    Examples
    --------
    >>> import tieringmodel as tm
    >>> from tieringmodel.comparison.policies import plain_policies
    >>> list(plain_policies(tm.load("rfc-40-60")))
    ['goal: node_eligible_mem_bp consist', 'all-fast', 'all-slow', 'oracle']
    """
    n, first = scenario.workload.n_pages, scenario.machine.nodes[0]
    kernel, scenario = _kernel(kernel, scenario), scenario.replace(kernel=NEXT)
    bare = scenario if has_same_contexts(scenario) else scenario.replace(events=(), commits=())
    taken = sum((first.unmanaged_bytes, first.kernel_bytes, first.cache_bytes))
    fits = min((first.sz_bytes - taken) // scenario.machine.folio_bytes, n)
    slow = _other_node(scenario, first.nid)
    fast = tuple(Placement(lo, hi, nid) for lo, hi, nid in ((0, fits, first.nid), (fits, n, slow)) if hi > lo)
    return {
        goal_name(scenario): Policy.on(kernel, scenario),
        **{name: Policy.on(kernel, one) for name, one in _own_policies(scenario)},
        **{name: Policy.on(kernel, one) for name, one in without_mechanisms(bare).items()},
        "all-fast": Policy.on(kernel, unwatched(bare, "all-fast", fast)),
        "all-slow": Policy.on(kernel, unwatched(bare, "all-slow", (Placement(0, n, slow),))),
        "oracle": Policy.on(kernel, unwatched(bare, "oracle"), oracle=True),
    }


def policies(scenario: Scenario, kernel: Kernel | str | None = None) -> dict[str, Policy]:
    """Return everything that ``tieringmodel compare`` runs for a scenario, by name; the scenario itself comes first.

    Every policy sees the same accesses: they depend on seed, page and tick alone. All run on the scenario's kernel; what that
    cannot run says what it lacks (`Policy`). Weights deal single pages: they are not there where groups form larger folios.

    Parameters
    ----------
    scenario : Scenario
        With two nodes or more; ``fast`` is the machine's first one.
    kernel : Kernel or str, optional
        The kernel to run on, by default the scenario's. The scenario may use what that lacks.

    Returns
    -------
    dict of str to Policy
        With "best placement" where the workload has a demand: see `best_placement`. Where the machine has NUMA balancing all
        but placements run beside it. That, a swap device and the buddy allocator are switched off in a policy each: see
        `without_mechanisms`.

    Raises
    ------
    InputError
        If the scenario does not say which share is controlled, the machine has one node, or an event or a commit changes
        contexts, which most policies replace.

    Examples
    --------
    >>> import tieringmodel as tm
    >>> list(tm.policies(tm.load("rfc-40-60")))[-4:]
    ['all-fast', 'all-slow', 'static interleave', 'oracle']
    """
    need_same_contexts(scenario)
    n = scenario.workload.n_pages
    fast, slow = scenario.machine.nodes[0].nid, _other_node(scenario, scenario.machine.nodes[0].nid)
    what = controlled(scenario)
    mine, theirs = weights_of(scenario, what)
    by_node = tuple(
        mine if m.nid == what.nid else theirs if m.nid == _other_node(scenario, what.nid) else 0 for m in scenario.machine.nodes
    )
    kernel, scenario = _kernel(kernel, scenario), scenario.replace(kernel=NEXT)  # which can be told everything
    out = {goal_name(scenario): Policy.on(kernel, scenario)}
    out |= {name: Policy.on(kernel, one) for name, one in without_mechanisms(scenario).items()}
    out |= {name: Policy.on(kernel, one) for name, one in _own_policies(scenario)}
    if (gap := with_gap(scenario)) is not None:
        out["goal: gap and small quota"] = Policy.on(kernel, gap)
    if (posted := as_posted(scenario)) is not None:
        out["goal: node_sys_bp as posted"] = Policy.on(kernel, posted)
    deals = any(map(_migrating, scenario.contexts)) and not folio_runs(scenario.workload)
    for name, (rule, allocator) in WEIGHT_POLICIES.items() if deals else ():
        out[name] = Policy.on(kernel, weighted(scenario, rule, allocator))
    out["all-fast"] = Policy.on(kernel, unwatched(scenario, "all-fast", (Placement(0, n, fast),)))
    out["all-slow"] = Policy.on(kernel, unwatched(scenario, "all-slow", (Placement(0, n, slow),)))
    dealt = (Placement(0, n, fast, weights=by_node),)
    out["static interleave"] = Policy.on(kernel, unwatched(scenario, "static interleave", dealt))
    if (best := best_placement(scenario)) is not None:
        out["best placement"] = Policy.on(kernel, best)
    out["oracle"] = Policy.on(kernel, unwatched(scenario, "oracle"), oracle=True)
    return out


def best_placement(scenario: Scenario) -> Scenario | None:
    """Return the scenario without DAMON, its pages where throughput is highest at the workload's demand.

    None without a demand, on other than two nodes, or where groups have threads or misses in flight of their own: there no one
    share is best. Every group is interleaved alike, by weights of at most 64 pages a round.
    """
    performance, demand = scenario.machine.performance, scenario.workload.demand
    nodes, groups = scenario.machine.nodes, scenario.workload.groups
    own = any(g.threads is not None or g.outstanding is not None for g in groups)
    if performance is None or demand is None or len(nodes) != 2 or own:
        return None
    part = Fraction(best_share(performance.records, demand)).limit_denominator(64)
    weights = dict(zip(numbers_of(performance.records), (part.numerator, part.denominator - part.numerator), strict=True))
    dealt = Placement(0, scenario.workload.n_pages, nodes[0].nid, weights=tuple(weights[node.nid] for node in nodes))
    return unwatched(scenario, "best placement", (dealt,))


def with_interleave(scenario: Scenario, weights: tuple[int, int], *, gap_bp: int = 800) -> Scenario:
    """Return the scenario with a vaddr context beside its own that interleaves the same pages.

    The RFC calls the two complementary. Each moves a page where it wants it without asking the other, so they come to
    rest only if the weights and the goals ask for the same share.

    Parameters
    ----------
    scenario : Scenario
        One paddr context with two opposing share goals.
    weights : tuple of int
        Weights of the first and second node.
    gap_bp : int
        Gap between the goals, with a quota that cannot cross it (see `with_gap`), so that any unrest left is the fight's.

    Returns
    -------
    Scenario
        The vaddr context comes second; it has the first scheme's size quota and no priorities.

    Raises
    ------
    InputError
        If the scenario has no pair of opposing share goals, or contexts change while it runs.
    """
    need_same_contexts(scenario)
    base = with_gap(scenario, gap_bp)
    if base is None:
        raise InputError("scenario", "has no two opposing share goals", "give one such as the shipped rfc-40-60")
    model = scenario.contexts[0].schemes[0]
    nodes = scenario.machine.nodes
    scheme = Scheme(
        action="migrate_hot",
        access_pattern=AccessPattern(min_nr_accesses=model.access_pattern.min_nr_accesses),
        quota=Quota(sz_bytes=model.quota.sz_bytes, reset_interval_ms=model.quota.reset_interval_ms),
        dests=(Dest(nodes[0].nid, weights[0]), Dest(nodes[1].nid, weights[1])),
    )
    attrs = scenario.contexts[0].attrs
    interleave = Context(
        ops="vaddr",
        attrs=Attrs(attrs.sample_us, attrs.aggr_us, attrs.update_us, attrs.min_nr_regions, attrs.max_nr_regions),
        targets=(Target(),),
        schemes=(scheme,),
    )
    workload = base.workload
    if not workload.vmas:
        workload = workload.replace(vmas=(Vma(0, workload.n_pages, 1 << 40),))
    name = f"{scenario.name} with interleave {weights[0]}:{weights[1]}"
    return base.replace(workload=workload, contexts=(base.contexts[0], interleave), name=name)


def goal_name(scenario: Scenario) -> str:
    """Return the name under which the scenario's own controller appears: metric and tuner."""
    for context in scenario.contexts:
        for scheme in context.schemes:
            if scheme.quota.goals:
                return f"goal: {scheme.quota.goals[0].metric} {scheme.quota.goal_tuner}"
    weighted_already = any(s.dests for c in scenario.contexts for s in c.schemes)
    return "weights: as configured" if weighted_already else "goal: as configured"
