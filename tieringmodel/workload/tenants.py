"""Several workloads on one machine, each in a memory cgroup of its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ..checks import instance
from ..errors import InputError, quoted, short
from ..scenario import Memcg, Placement, Vma, Workload
from ..units import LONG_MAX, PAGE_SZ
from . import arguments as check

_ADDRESS_STEP = 1 << 40


def mix(tenants: Mapping[str, Workload], *, memcg_ids: Mapping[str, int] | None = None) -> Workload:
    """Return tenants side by side: their pages one after the other, each tenant's in a memory cgroup.

    Parameters
    ----------
    tenants : mapping of str to Workload
        Tenants by name, in the order of their pages.
    memcg_ids : mapping of str to int, optional
        Memory cgroup of each tenant; by default 1, 2, … in order. A tenant's own memory cgroups become children of it.

    Returns
    -------
    Workload
        Groups are named ``tenant/group``. A tenant without placement starts on the machine's first nodes as far as the
        placement of others asks for one; a tenant without mappings gets one of all its pages. Mappings keep their distances
        within a tenant and are moved up to a multiple of 1 TiB above those of the tenant before.

    Raises
    ------
    InputError
        If there are no tenants, ticks differ where they matter, or memory cgroups clash.

    Examples
    --------
    >>> import tieringmodel as tm
    >>> tenants = {"a": tm.workload.uniform(100, rate_hz=1), "b": tm.workload.uniform(50, rate_hz=9)}
    >>> tm.workload.mix(tenants).n_pages
    150
    """
    for name, table in (("tenants", tenants), ("memcg_ids", memcg_ids or {})):
        if not isinstance(table, Mapping):
            raise InputError(f"mix.{name}", f"{quoted(table)} is not a table", "write one entry for each tenant by name")
    if not tenants:
        raise InputError("mix.tenants", "is empty", "give at least one workload")
    for name, one in tenants.items():
        instance(f"mix.tenants.{short(name)}", one, Workload, "give a workload")
    ids = {name: k for k, name in enumerate(tenants, 1)} if memcg_ids is None else dict(memcg_ids)
    if ids.keys() != tenants.keys():
        text = f"names {quoted(sorted(ids))}, the tenants are {quoted(sorted(tenants))}"
        raise InputError("mix.memcg_ids", text, "give every tenant one id")
    _check_ids(tenants, ids)
    ticks = {w.tick_us for w in tenants.values() if w.tick_us}
    if len(ticks) > 1:
        raise InputError("mix.tenants", f"have ticks of {sorted(ticks)} us", "build all with the same tick_us")
    placed = any(w.placement for w in tenants.values())
    groups, places, vmas, memcgs = [], [], [], []
    at, address = 0, 0
    for name, one in tenants.items():
        groups += [
            g.replace(lo=g.lo + at, hi=g.hi + at, name=f"{name}/{g.name or f'group{i}'}") for i, g in enumerate(one.groups)
        ]
        if any(g.kind == "hash" for g in one.groups) and at:
            raise InputError(f"mix.tenants.{short(name)}", "touches by page number ('hash')", "put it first, or use rates")
        if placed:
            own = one.placement or (Placement(0, one.n_pages),)
            places += [p.replace(lo=p.lo + at, hi=p.hi + at) for p in own]
        moved = list(_mapped(one, at, address))
        vmas += moved
        address = max(v.start_bytes + (v.hi - v.lo) * PAGE_SZ for v in moved)
        memcgs += list(_members(one, ids[name], at))
        at += one.n_pages
    check.pages("mix.tenants", at)
    chosen = not ticks or any(w.tick_us and w.tick_chosen for w in tenants.values())
    return Workload(at, tuple(groups), tuple(places), tuple(vmas), ticks.pop() if ticks else None, tuple(memcgs), chosen)


def _check_ids(tenants: Mapping[str, Workload], ids: Mapping[str, int]) -> None:
    taken: dict[int, str] = {}
    for name, one in tenants.items():
        for memcg_id in {
            check.whole(f"mix.memcg_ids.{short(name)}", ids[name], 1, LONG_MAX),
            *(m.memcg_id for m in one.memcgs),
        }:
            if memcg_id in taken:
                text = f"memory cgroup {memcg_id} belongs to tenant {taken[memcg_id]!r}"
                raise InputError(f"mix.tenants.{short(name)}", text, "number memory cgroups differently")
            taken[memcg_id] = name


def _mapped(one: Workload, at: int, address: int) -> Iterator[Vma]:
    own = one.vmas or (Vma(0, one.n_pages, _ADDRESS_STEP),)
    low = min(v.start_bytes for v in own)
    lift = max(0, -(-(address - low) // _ADDRESS_STEP) * _ADDRESS_STEP)
    for v in own:
        yield v.replace(lo=v.lo + at, hi=v.hi + at, start_bytes=v.start_bytes + lift)


def _members(one: Workload, tenant: int, at: int) -> Iterator[Memcg]:
    """Yield the tenant's own memory cgroups below its own, and what they leave out."""
    page = 0
    for m in sorted(one.memcgs, key=lambda m: m.lo):
        if page < m.lo:
            yield Memcg(tenant, page + at, m.lo + at)
        yield m.replace(lo=m.lo + at, hi=m.hi + at, parent_id=m.parent_id or tenant)
        page = max(page, m.hi)
    if page < one.n_pages:
        yield Memcg(tenant, page + at, one.n_pages + at)
