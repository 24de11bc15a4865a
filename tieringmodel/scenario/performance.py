"""How fast memory answers under load, and how many accesses the workload keeps in flight.

Sections of a scenario that close the loop between placement and workload; `tieringmodel.cost.closed_loop` takes the same
records. Source: docs/theory/coupling.md, sections 1 and 2.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar

from ..checks import number, positive, share
from ..errors import InputError
from ..fields import Checked, suggest
from ..units import number as finite

Points = tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class NodeCurve(Checked):
    """How fast a node answers: its latency without load, its bandwidth, and how latency grows between the two.

    ``curve`` lists load, as a share of the bandwidth, and latency in nanoseconds: straight lines between points, the first
    latency below the first point, the last one beyond the last. Without it ``queue_ns`` is the service time of an M/D/1 up to
    0.95 of the bandwidth (`tieringmodel.cost.loaded_latency_ns`); without either every load has ``idle_latency_ns``.
    ``peaks_gbps`` lists the bandwidth by share of reads, in place of ``bandwidth_gbps``: straight lines between entries,
    constant outside. GB are 10**9 bytes. ``nid``: left out, records are in the order of the machine's nodes.

    Attributes
    ----------
    idle_latency_ns
        Latency without load.
    bandwidth_gbps
        Most that it serves.
    name
        What results call it.

    Examples
    --------
    >>> import tieringmodel as tm
    >>> tm.NodeCurve(90, 49, curve=[[0, 90], [0.8, 140], [0.98, 180]]).curve[1]
    (0.8, 140.0)
    >>> tm.NodeCurve(269, 48, peaks_gbps=[[1.0, 48], [0.5, 42]]).peak_gbps(0.75)
    45.0
    """

    idle_latency_ns: float
    bandwidth_gbps: float
    nid: int | None = None
    curve: Points = ()
    peaks_gbps: Points = ()
    queue_ns: float | None = None
    name: str = ""
    _max: ClassVar = {"nid": 1023}

    def check(self) -> None:
        """Refuse latencies and bandwidths that are none, and curves that fall."""
        positive("idle_latency_ns", self.idle_latency_ns)
        positive("bandwidth_gbps", self.bandwidth_gbps)
        number("queue_ns", self.queue_ns or 0.0, 0)
        for k, (load, latency) in enumerate(self.curve):
            share(f"curve[{k}]", load)
            positive(f"curve[{k}]", latency)
        for k, ((load, latency), (next_load, next_latency)) in enumerate(pairwise(self.curve), 1):
            if next_load <= load:
                raise InputError(f"curve[{k}]", f"load {next_load:g} is not above {load:g}", "list points by rising load")
            if next_latency < latency:
                text = f"latency falls from {latency:g} to {next_latency:g} ns"
                raise InputError(f"curve[{k}]", text, "write latencies that do not fall")
        for k, (reads, peak) in enumerate(self.peaks_gbps):
            share(f"peaks_gbps[{k}]", reads)
            positive(f"peaks_gbps[{k}]", peak)
        if len({reads for reads, _ in self.peaks_gbps}) != len(self.peaks_gbps):
            raise InputError("peaks_gbps", "names a share of reads twice", "write each share once")

    def peak_gbps(self, read_share: float) -> float:
        """Return the bandwidth at a share of reads, in GB/s."""
        peaks = sorted(self.peaks_gbps) or [(1.0, self.bandwidth_gbps)]
        if read_share <= peaks[0][0]:
            return peaks[0][1]
        for (low, below), (high, above) in pairwise(peaks):
            if read_share <= high:
                return below + (above - below) * (read_share - low) / (high - low)
        return peaks[-1][1]

    def to_dict(self) -> dict[str, Any]:
        """Return plain data, points as lists."""
        return {k: [list(point) for point in v] if k in ("curve", "peaks_gbps") else v for k, v in super().to_dict().items()}


PRESETS: dict[str, tuple[NodeCurve, ...]] = {
    "skylake": (NodeCurve(90, 49, curve=((0.0, 90.0), (40 / 49, 140.0), (48 / 49, 180.0)), name="DRAM"),),
    "turin-cxl": (
        NodeCurve(159, 497, queue_ns=97.0, peaks_gbps=((0.5, 439.0), (2 / 3, 453.0), (0.75, 455.0), (1.0, 497.0)), name="DRAM"),
        NodeCurve(260.5, 48, queue_ns=148.5, peaks_gbps=((0.5, 42.0), (2 / 3, 42.0), (0.75, 41.0), (1.0, 48.0)), name="CXL"),
    ),
}
"""Measured nodes by name. Source: docs/theory/coupling.md, sections 1 and 2.

``skylake``: the local memory of a socket of a two-socket machine, its three measured points. ``turin-cxl``: a socket of 12
channels of DDR5 and CXL memory of DDR4; three points each are known, so they are queues fitted to these points.
"""


def preset_nodes(name: object, where: str = "preset") -> tuple[NodeCurve, ...]:
    """Return the nodes of a preset; an unknown name is an `InputError` that lists the known ones."""
    if not isinstance(name, str) or name not in PRESETS:
        raise InputError(where, f"{name!r} is unknown", suggest(str(name), PRESETS))
    return PRESETS[name]


def numbers_of(records: Sequence[NodeCurve]) -> list[int]:
    """Return each record's node id: its position where it does not say."""
    return [i if record.nid is None else record.nid for i, record in enumerate(records)]


@dataclass(frozen=True)
class Performance(Checked):
    """How fast the machine's nodes answer: the measured nodes of a ``preset``, or ``nodes`` of one's own.

    Examples
    --------
    >>> import tieringmodel as tm
    >>> [node.name for node in tm.Performance("turin-cxl").records]
    ['DRAM', 'CXL']
    """

    preset: str | None = None
    nodes: tuple[NodeCurve, ...] = ()

    def check(self) -> None:
        """Refuse both at once, and neither."""
        if self.preset is not None:
            preset_nodes(self.preset)
        if bool(self.nodes) == (self.preset is not None):
            word = "both" if self.nodes else "neither"
            raise InputError("nodes", f"{word} of preset and nodes are given", "give one of the two")

    @property
    def records(self) -> tuple[NodeCurve, ...]:
        """The nodes."""
        return self.nodes or preset_nodes(self.preset)


@dataclass(frozen=True)
class Background(Checked):
    """What others ask of node ``nid``: ``gbps``, or what ``threads`` with ``outstanding`` misses in flight each get there.

    Examples
    --------
    >>> import tieringmodel as tm
    >>> tm.Background(0, gbps=60).gbps
    60.0
    """

    nid: int
    gbps: float | None = None
    threads: float | None = None
    outstanding: float | None = None
    _max: ClassVar = {"nid": 1023}

    def check(self) -> None:
        """Refuse loads that are none, and a rate beside threads."""
        if self.gbps is not None:
            number("gbps", self.gbps, 0)
            if self.threads is not None or self.outstanding is not None:
                raise InputError("gbps", "is given beside threads or outstanding", "give a load, or a closed loop")
            return
        for name in ("threads", "outstanding"):
            if getattr(self, name) is None:
                raise InputError(name, "is missing", "give gbps, or both threads and outstanding")
            positive(name, getattr(self, name))

    @property
    def in_flight(self) -> float:
        """Accesses that a closed loop keeps in flight, 0 of a load."""
        return (self.threads or 0.0) * (self.outstanding or 0.0)


@dataclass(frozen=True)
class Phase(Checked):
    """A part of the work: it lasts until ``groups``, by name, have made ``work`` accesses in all.

    Examples
    --------
    >>> import tieringmodel as tm
    >>> tm.Phase(work=2e9, groups=("build",)).groups
    ('build',)
    """

    work: float
    groups: tuple[str, ...]

    def check(self) -> None:
        """Refuse phases of nothing, and by nobody."""
        positive("work", finite(self.work, "work"))
        if not self.groups or len(set(self.groups)) < len(self.groups):
            raise InputError("groups", "names nobody, or somebody twice", "list names of groups, each once")


@dataclass(frozen=True)
class Demand(Checked):
    """How many accesses the workload keeps in flight, and what each of them moves.

    Each of ``threads`` has ``outstanding`` misses in flight (a number, or one per node, in the order of the nodes'
    records), waits ``think_ns`` and the latency for each, and moves ``bytes_per_access``, all that an access moves (a store
    miss: fill and write-back). ``read_share`` of the bytes are reads. ``background``: what others ask for. ``phases`` follow
    each other; their groups touch nothing outside them, and the run time is when the last one's work is done.

    Attributes
    ----------
    outstanding
        Misses in flight of each thread, or one number per node.
    bytes_per_access
        What an access moves, write-back included.
    think_ns
        Time between an answer and the next access.
    threads
        How many threads.

    Examples
    --------
    >>> import tieringmodel as tm
    >>> tm.Demand(threads=8, outstanding=[7, 10]).outstanding
    (7.0, 10.0)
    """

    threads: float
    outstanding: float | tuple[float, ...]
    bytes_per_access: float = 64.0
    think_ns: float = 0.0
    read_share: float = 1.0
    background: tuple[Background, ...] = ()
    phases: tuple[Phase, ...] = ()

    def check(self) -> None:
        """Refuse demands of nothing."""
        positive("threads", self.threads)
        check_outstanding(self.outstanding)
        positive("bytes_per_access", finite(self.bytes_per_access, "bytes_per_access"))
        number("think_ns", self.think_ns, 0)
        share("read_share", self.read_share)


def check_outstanding(outstanding: float | tuple[float, ...]) -> None:
    """Refuse numbers of misses in flight that are none."""
    if outstanding == ():
        raise InputError("outstanding", "is an empty list", "write a number, or one per node")
    for one in outstanding if isinstance(outstanding, tuple) else (outstanding,):
        positive("outstanding", one)


def per_node(outstanding: float | tuple[float, ...], n_nodes: int, where: str = "demand.outstanding") -> tuple[float, ...]:
    """Return misses in flight for each node; a list of another length is an `InputError`."""
    if not isinstance(outstanding, tuple):
        return (outstanding,) * n_nodes
    if len(outstanding) != n_nodes or not math.isfinite(sum(outstanding)):
        raise InputError(where, f"has {len(outstanding)} entries for {n_nodes} nodes", "write a number, or one per node")
    return outstanding
