"""Spread hot pages over the address range: the pages of a workload dealt anew in runs."""

from __future__ import annotations

import numpy as np

from ..checks import instance
from ..errors import InputError
from ..scenario import Group, Workload
from ..units import ULONG_MAX
from . import arguments as check


def scatter(workload: Workload, *, run_pages: int = 512, seed: int = 0) -> Workload:
    """Return the workload with its pages' roles dealt anew, in runs of `run_pages`.

    Run k of the pages plays the part that run order[k] had, for a random order of all whole runs; a last, shorter run stays
    where it is. Who touches how many pages, when and how often does not change; neither do placement and mappings.

    Parameters
    ----------
    workload : Workload
        Groups that touch by rate or by period.
    run_pages : int
        Length of a run; 512 pages are 2 MiB.
    seed : int
        The same seed gives the same order.

    Returns
    -------
    Workload

    Raises
    ------
    InputError
        If a group's touches depend on page numbers (``"hash"``), pages belong to memory cgroups (scatter each tenant before
        they are put together), or the runs would need too many groups.

    Examples
    --------
    >>> import tieringmodel as tm
    >>> workload = tm.workload.uniform(8192, rate_hz=1, hot_pages=1024)
    >>> int(tm.workload.hot_set(tm.workload.scatter(workload), min_rate_hz=1).sum())
    1024
    """
    run = check.pages("scatter.run_pages", run_pages)
    seed = check.whole("scatter.seed", seed, 0, ULONG_MAX)
    instance("scatter.workload", workload, Workload, "pass a workload")
    if workload.memcgs:
        raise InputError("scatter", "would mix the pages of memory cgroups", "scatter each tenant, then mix them")
    n_runs = workload.n_pages // run
    home = np.arange(-(-workload.n_pages // run))
    home[check.permutation(n_runs, seed)] = np.arange(n_runs)
    pieces: list[Group] = []
    for i, g in enumerate(workload.groups):
        if g.kind == "hash":
            raise InputError(f"scatter.groups[{i}].kind", "'hash' depends on page numbers", "use rates or periods")
        ranges = _pieces(g, run, home)
        check.few_enough("scatter.run_pages", len(pieces) + len(ranges), "use longer runs")
        pieces += [g.replace(lo=lo, hi=hi) for lo, hi in ranges]
    return workload.replace(groups=tuple(pieces))


def _pieces(g: Group, run: int, home: np.ndarray[tuple[int], np.dtype[np.int64]]) -> list[list[int]]:
    """Cut a group at the borders of runs, move each part to its run's new home, and join neighbours."""
    stride, parts = g.touched().step, []
    for k in range(g.lo // run, (g.hi - 1) // run + 1):
        if pages := g.touched(k * run, (k + 1) * run):  # a part begins with a page that is touched
            shift = (int(home[k]) - k) * run
            parts.append((pages.start + shift, pages.stop + shift))
    joined: list[list[int]] = []
    for a, b in sorted(parts):
        if joined and joined[-1][1] == a and (a - joined[-1][0]) % stride == 0:
            joined[-1][1] = b
        else:
            joined.append([a, b])
    return joined


def scattered(workload: Workload, run_pages: int, seed: int) -> Workload:
    """Scatter unless `run_pages` is 0, which leaves hot pages together."""
    return scatter(workload, run_pages=run_pages, seed=seed) if run_pages else workload
