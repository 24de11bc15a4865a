"""Let hint faults promote pages: how much sooner a fixed amount of work is done, by policy.

The set-up is the one behind the published Graph500 times (pghot series, replies to 20260323095104.238982-1-bharata@amd.com
and 20260504060924.344313-1-bharata@amd.com): two sockets with memory, one CXL node, everything on CXL at the start, enough
room for all on the sockets, one process per core that scans and mostly touches its own memory. One process per socket stands
for all. In those posts every promotion came after one access (``freq_threshold=1``); the one-byte record remembers no
accessing node and promotes to node 0, the four-byte record promotes to the node that accesses. So the published rows are
"first access, accessing node" (NUMA balancing mode 2, and the four-byte record), "first access, node 0" (the one-byte
record) and "none"; the policies with two accesses answer what the record's clock alone would do.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ..checks import number, positive
from ..cost.constants import DEFAULT, Costs
from ..errors import InputError
from ..memory.need import check_bytes
from ..units import PAGE_SZ, parse_bytes
from .hint_faults import HintFaults
from .protocol import Activity, Floats

if TYPE_CHECKING:
    import xarray as xr

SOURCE = "tieringmodel.hotness.promotion"
CXL = 2
# Mean time of a search in seconds, by version of the posts.
PUBLISHED_S = {
    "none": (8.45968, 8.45413),
    "NUMA balancing mode 2": (6.06046, 5.73702),
    "one-byte record": (7.71283, 7.86245),
    "four-byte record": (5.80853, 5.76421),
}


class Policy(NamedTuple):
    """How faults promote: after so many, remembered in which record, to node 0 or to the accessing node."""

    accesses: int
    record: str
    to_accessing_node: bool


POLICIES: dict[str, Policy | None] = {
    "none": None,
    "first access, accessing node": Policy(1, "precise", True),
    "first access, node 0": Policy(1, "coarse", False),
    "second access, precise time, accessing node": Policy(2, "precise", True),
    "second access, coarse time, accessing node": Policy(2, "coarse", True),
    "second access, coarse time, node 0": Policy(2, "coarse", False),
}

VARIABLES: dict[str, tuple[str, str]] = {
    "relative_time": ("run time over that without promotion", "1"),
    "run_s": ("run time", "s"),
    "promoted_pages": ("pages promoted in the run", "pages"),
    "half_promoted_s": ("time until half of the pages were promoted, inf if they never were", "s"),
    "fast_share": ("share of touches served by the accessing socket's memory at the end", "1"),
    "remote_share": ("share of touches served by the other socket's memory at the end", "1"),
    "fault_share": ("share of the CPUs' time spent on scans, faults and copies", "1"),
}


def zipf_rates(n_pages: int, exponent: float, total_hz: float, seed: int) -> Floats:
    """Return touches per second that fall with the page's rank to a power, ranks in random order.

    Parameters
    ----------
    n_pages : int
        Number of pages.
    exponent : float
        0 touches all alike.
    total_hz : float
        Sum of the rates.
    seed : int
        Order of the ranks.

    Returns
    -------
    ndarray of float64, shape (n_pages,)
    """
    rank = np.random.default_rng(seed).permutation(n_pages) + 1.0
    rate = rank**-exponent
    return np.asarray(rate * (total_hz / rate.sum()))


def promotion_study(
    policies: Mapping[str, Policy | None] | None = None,
    *,
    costs: Costs = DEFAULT,
    process_bytes: int | str = "800 MiB",
    work_s: float = 120.0,
    zipf: float = 0.8,
    scan_bytes: int | str | None = None,
    scan_period_us: int | None = None,
    hot_threshold_us: int = 1_000_000,
    local_ns: float | None = None,
    remote_ns: float | None = None,
    cxl_ns: float | None = None,
    outstanding: float = 4.0,
    migrate_ns: float | None = None,
    step_us: int = 250_000,
    seed: int = 0,
) -> xr.Dataset:
    """Return run times of the same work under several promotion policies.

    Each of two processes, one per socket, touches its own pages at rates that follow Zipf's law; a touch takes the latency
    of the memory it meets over the number of ``outstanding`` ones, so a faster memory means more touches per second and the
    work is done earlier. Faults, scans and copies take the process's own time. The processes do not wait for each other;
    the run time is their mean. The fast tier is never full, nothing is demoted, and bandwidth does not saturate.

    Parameters
    ----------
    policies : mapping of str to Policy or None, optional
        By default `POLICIES`; None stands for no promotion and is always run first as the base.
    costs : Costs
        Scan, fault, latencies and copy, where the arguments below leave them out.
    process_bytes : int or str
        Memory of a process; 100 GB over 128 processes by default.
    work_s : float
        Run time without promotion.
    zipf : float
        Exponent of the rates (assumed).
    scan_bytes, scan_period_us, hot_threshold_us
        As in `HintFaults`; NUMA balancing's hot threshold of 1 s by default.
    local_ns, remote_ns, cxl_ns : float, optional
        Latencies of the socket's own memory, the other socket's, and CXL memory.
    outstanding : float
        Touches under way at once (assumed); with 250 ns per touch that makes 16 million touches per second and process.
    migrate_ns : float, optional
        Copy of a page.
    step_us : int
        Longest step of the simulation; pages promoted in a step are fast from the next one on.
    seed : int
        Decides the rates' order and the faults; the same for every policy.

    Returns
    -------
    xarray.Dataset
        Dimension policy: relative_time, run_s, promoted_pages, half_promoted_s, fast_share, remote_share, fault_share.
        Attributes: ``order``, the policies from fast to slow, joined by ``<`` where they differ by more than 1 % and by
        ``=`` elsewhere; ``published_s`` (JSON), the mean times of a search in the two posts.

    Raises
    ------
    InputError
        If a number is not positive where it must be.

    Examples
    --------
    >>> import tieringmodel as tm
    >>> ds = tm.hotness.promotion_study(process_bytes="8 MiB", work_s=2)
    >>> ds["policy"].values.tolist()[0]
    'none'
    """
    import xarray as xr

    migrate_ns = 1e3 * costs.copy_4k_us.default if migrate_ns is None else migrate_ns
    latencies = {
        "local_ns": (local_ns, costs.dram_latency_ns),
        "remote_ns": (remote_ns, costs.remote_latency_ns),
        "cxl_ns": (cxl_ns, costs.cxl_latency_ns),
    }
    local, remote, cxl = (cost.default if value is None else value for value, cost in latencies.values())
    given = {
        "work_s": work_s,
        **dict(zip(latencies, (local, remote, cxl), strict=True)),
        "outstanding": outstanding,
        "step_us": step_us,
    }
    for name, value in given.items():
        positive(name, value, "write a positive number")
    zipf, migrate_ns = number("zipf", zipf, 0.0), number("migrate_ns", migrate_ns, 0.0)
    n = parse_bytes(process_bytes, "process_bytes") // PAGE_SZ
    if n < 1:
        raise InputError("process_bytes", f"{process_bytes!r} is less than a page", "write e.g. '800 MiB'")
    check_bytes("process_bytes", 64 * n, "its pages take", "write e.g. '800 MiB'")
    runs = {"none": None} | {k: p for k, p in (POLICIES if policies is None else policies).items() if p is not None}
    latency = np.array([[local, remote, cxl], [remote, local, cxl]])
    scan = {
        "scan_bytes": int(costs.hint_scan_bytes.default) if scan_bytes is None else scan_bytes,
        "scan_period_us": round(1e6 * costs.hint_scan_period_s.default) if scan_period_us is None else scan_period_us,
        "hot_threshold_us": hot_threshold_us,
        "fault_ns": 1e3 * costs.hint_fault_us.default,
        "scan_ns_per_page": costs.scan_page_ns.default,
    }
    rows = []
    for policy in runs.values():
        source = None
        if policy:
            source = HintFaults.from_dict(
                scan | {"accesses": policy.accesses, "record": policy.record, "skip_nodes": (0, 1)}, "promotion_study"
            )
        processes = [
            _run(
                source.replace() if source else None, policy, socket, n, work_s, zipf, latency[socket], outstanding,
                migrate_ns, step_us, seed,
            )
            for socket in (0, 1)
        ]  # fmt: skip
        rows.append(np.mean(processes, axis=0) * np.where(_SUMMED, 2, 1))
    table = np.array(rows)
    table = np.column_stack((table[:, 0] / table[0, 0], table))
    about = {name: {"long_name": text, "units": units, "source": SOURCE} for name, (text, units) in VARIABLES.items()}
    columns = {
        name: ("policy", table[:, k].round().astype(np.int64) if units == "pages" else table[:, k], about[name])
        for k, (name, (_, units)) in enumerate(VARIABLES.items())
    }
    parameters = given | scan | {"zipf": zipf, "n_pages": n, "migrate_ns": migrate_ns, "seed": seed}
    return xr.Dataset(
        columns,
        {"policy": list(runs)},
        {
            "kind": "promotion",
            "source": SOURCE,
            "order": _order(list(runs), table[:, 0]),
            "published_s": json.dumps(PUBLISHED_S),
            "parameters": json.dumps(parameters),
        },
    )


_SUMMED = np.array([name == "promoted_pages" for name in VARIABLES if name != "relative_time"])


def _order(names: list[str], relative: Floats) -> str:
    ranked = sorted(zip(relative.tolist(), names, strict=True))
    out = ranked[0][1]
    for (before, _), (now, name) in pairwise(ranked):
        out += (" < " if now > 1.01 * before else " = ") + name
    return out


def _run(
    source: HintFaults | None,
    policy: Policy | None,
    socket: int,
    n: int,
    work_s: float,
    zipf: float,
    latency_ns: Floats,
    outstanding: float,
    migrate_ns: float,
    step_us: int,
    seed: int,
) -> tuple[float, ...]:
    """Run one process to the end of its work; return the columns of `VARIABLES` after the first."""
    rng = np.random.default_rng((seed, socket))
    total_hz = outstanding / (latency_ns[CXL] * 1e-9)
    share = zipf_rates(n, zipf, 1.0, seed + socket)
    node = np.full(n, CXL, np.int64)
    left, now_us, spent_ns, overhead, promoted = work_s * total_hz, 0, 0.0, 0.0, 0
    half_us = np.inf
    at = np.array([0.0, 0.0, 1.0])
    while True:
        # Time spent on faults in the last step is not there for touches in this one.
        per_s = outstanding / (float(at @ latency_ns) * 1e-9) * (1 - overhead)
        done = per_s * step_us * 1e-6
        if source is None or done >= left:
            now_us += round(left / per_s * 1e6)
            break
        reports = source.observe(Activity(share * per_s, node, now_us, step_us), rng)
        left, now_us = left - done, now_us + step_us
        assert policy is not None
        page = np.unique(reports.first)
        page = page[node[page] == CXL]
        node = node.copy()
        node[page] = socket if policy.to_accessing_node else 0
        promoted += page.size
        cost_ns = reports.cost_ns + page.size * migrate_ns
        spent_ns += cost_ns
        overhead = min(cost_ns / (step_us * 1e3), 0.99)
        at = np.bincount(node, share, 3)
        if 2 * promoted >= n:
            half_us = min(half_us, now_us)
    return (
        now_us * 1e-6,
        float(promoted),
        half_us * 1e-6,
        float(at[socket]),
        float(at[1 - socket]),
        spent_ns / (now_us * 1e3),
    )
