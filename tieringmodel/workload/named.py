"""Stand-ins for the workloads of published measurements, with what is published and what is assumed about each."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from ..errors import InputError
from ..fields import suggest
from ..scenario import Workload
from ..units import GIB, MIB, PAGE_SZ
from . import arguments as check
from .phases import exchange
from .rates import power_sum
from .shapes import power_law, two_level, uniform, zipf

_HUGE = 512


class NamedCase(NamedTuple):
    """A workload of a published measurement."""

    title: str
    source: str
    published: str
    assumed: str
    build: Callable[[float], Workload]


def _pages(sz_bytes: float, scale: float, unit: int = _HUGE) -> int:
    """Scale a size and round it to whole units of pages, at least two."""
    return max(2, round(sz_bytes * scale / PAGE_SZ / unit)) * unit


def _uniform_32(scale: float) -> Workload:
    return uniform(_pages(32 * GIB, scale), rate_hz=1000.0)


def _taobench(scale: float) -> Workload:
    block = max(1, round(64 * MIB * scale / PAGE_SZ))
    blocks, per_s = 270 * 16, 10 * 16 / 60  # of 64 MiB
    return exchange(
        blocks * block,
        hot_pages=round(0.13 * blocks) * block,
        bytes_per_s=float(per_s * block * PAGE_SZ),
        duration_us="30 min",
        hot_rate_hz=200.0,
        block_pages=block,
    )


def _production(scale: float) -> Workload:
    n = _pages(62 * GIB, scale)
    return two_level(n, hot_share=0.01, access_share=0.99, accesses_per_s=n * 0.01 / 0.99 * 200.0)


def _idle(scale: float) -> Workload:
    return Workload(_pages(50 * GIB, scale))


def _redis(scale: float) -> Workload:
    unit = 4096
    n = _pages(51.4 * GIB, scale, unit)
    records = 4
    head = power_sum(1, n + 1, 0.99)
    tail = power_sum(n + 1, records * n + 1, 0.99)
    return zipf(n, s=0.99, accesses_per_s=200_000.0 * scale, uniform_share=tail / (head + tail), scatter_pages=unit)


def _graph500(scale: float) -> Workload:
    return power_law(_pages(100e9, scale, 4096), exponent=1.0, min_rate_hz=1.0, max_rate_hz=10_000.0, scatter_pages=4096)


NAMED: dict[str, NamedCase] = {
    "V1": NamedCase(
        "32 GB uniformly hot",
        "20260516223439.4033-1",
        "32 GB, uniformly hot, on an EPYC with CXL memory",
        "GB is GiB; 1000 touches per second and page, so that hardly any sample misses one",
        _uniform_32,
    ),
    "V2": NamedCase(
        "32 GB hot set, target moved from 50 to 70 %",
        "20260529165640.820-1",
        "the pair of schemes and the hot set of V1",
        "as V1",
        _uniform_32,
    ),
    "V4": NamedCase(
        "Redis, YCSB-C zipfian",
        "20240614030010.751-1",
        "51.4 GB of Redis, YCSB workload C (reads only), zipfian",
        "GB is GiB; YCSB's constant 0.99 and four 1 KB records a page, placed by hash: the page of rank r has the record of "
        "rank r, the colder records are spread evenly; pages of like rank lie in runs of 16 MiB; 200 000 reads per "
        "second at full size; one touch a read",
        _redis,
    ),
    "V5": NamedCase(
        "Taobench",
        "20250420194030.75838-1",
        "RSS 270 GiB, 13 % hot, 10 GiB per minute displaced each way",
        "hot pages are touched 200 times a second, the others never; blocks of 64 MiB picked at random are exchanged, for "
        "30 minutes",
        _taobench,
    ),
    "V8": NamedCase(
        "62 GiB production server",
        "DAMON tuning guide",
        "62 GiB; the workload is not named",
        "two levels: 1 % of the pages take 99 % of the accesses, at 200 touches per second and hot page (0.02 per cold one)",
        _production,
    ),
    "V10": NamedCase(
        "50 of 64 GB idle",
        "20250508092833.800-1",
        "a node of 64 GB, of which 50 GB are allocated and idle",
        "GB is GiB; nothing else runs: no page is ever touched",
        _idle,
    ),
    "V11": NamedCase(
        "Graph500, scale 28",
        "hardware table of the pghot series",
        "scale 28, about 100 GB",
        "rates of pages follow a power law with exponent 1 between 1 and 10 000 touches per second, as vertex degrees of a "
        "Kronecker graph have a heavy tail; pages of like rate lie in runs of 16 MiB",
        _graph500,
    ),
}

_ALIASES = {"taobench": "V5", "redis-ycsb-c": "V4", "graph500": "V11", "production": "V8"}


def named(name: str, scale: float = 1.0) -> Workload:
    """Return the stand-in for the workload of a published measurement.

    `NAMED` says for each what is published, where, and what is assumed.

    Parameters
    ----------
    name : str
        ``"V1"``, ``"V2"``, ``"V4"`` (``"redis-ycsb-c"``), ``"V5"`` (``"taobench"``), ``"V8"`` (``"production"``), ``"V10"``
        or ``"V11"`` (``"graph500"``).
    scale : float
        Factor on the sizes, above 0 and at most 4; bytes and accesses per second scale along, rates of single pages and
        times stay, so that a machine scaled alike behaves alike.

    Returns
    -------
    Workload

    Raises
    ------
    InputError
        If there is no such case, or `scale` is out of range.

    Examples
    --------
    >>> import tieringmodel as tm
    >>> tm.workload.named("V5", scale=0.01).n_pages
    708480
    """
    factor = check.positive("named.scale", scale)
    if factor > 4:
        raise InputError("named.scale", f"{factor:g} is over 4", "write a factor up to 4")
    key = _ALIASES.get(str(name).lower(), str(name).upper())
    if key not in NAMED:
        raise InputError("named.name", f"{name!r} is unknown", suggest(str(name), [*NAMED, *_ALIASES]))
    return NAMED[key].build(factor)
