"""The constants: each one a value with a unit, a source and a range, and the table of all of them."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from dataclasses import dataclass

from ..errors import InputError
from ..fields import suggest
from ..units import MIB, number

ESTIMATES = ("low", "default", "high")
"""The three values that every constant has, in the order in which results list them."""


@dataclass(frozen=True)
class Cost:
    """What something costs: a value with its unit, source and range.

    Attributes
    ----------
    name : str
        Field of `Costs`; the unit stands in it.
    default : float
        The value that is used.
    unit : str
        Unit of all three values.
    source : str
        Message, paper or interface the value is from; for an assumed one, what brackets it.
    low, high : float
        Range; left out, one clean figure is published and they equal the default.
    assumed : bool
        Whether no clean figure is published, so that results must be read as a range.
    """

    name: str
    default: float
    unit: str
    source: str
    low: float | None = None
    high: float | None = None
    assumed: bool = False

    def __post_init__(self) -> None:
        for field in ("low", "high"):
            if getattr(self, field) is None:
                object.__setattr__(self, field, self.default)
        for field in ("default", "low", "high"):
            value = number(getattr(self, field), f"{self.name}.{field}")
            if not 0 <= value < math.inf:
                raise InputError(f"{self.name}.{field}", f"{value:g} is no cost", "write 0 or more")
        if not self.at("low") <= self.default <= self.at("high"):
            text = f"{self.default:g} is outside its range {self.low:g}..{self.high:g}"
            raise InputError(f"{self.name}.default", text, "widen low or high")

    def at(self, estimate: str) -> float:
        """Return the value at ``"low"``, ``"default"`` or ``"high"``."""
        if estimate not in ESTIMATES:
            raise InputError("estimate", f"{estimate!r} is unknown", suggest(str(estimate), ESTIMATES))
        return float(getattr(self, estimate))

    def __float__(self) -> float:
        return float(self.default)


_MOVE_PAGES = "move_pages on Zen 3, v7.1-rc1"
_ASSUMED = "no clean figure published; assumed bracket: "
_PGHOT = "pghot series, 20260504060924.344313-1-bharata@amd.com"
_IBS = "20260516223439.4033-1-ravis.opensrc@gmail.com"


@dataclass(frozen=True)
class Costs:
    """All constants. ``costs.frame_walk_ns.default`` is a value; `replace` gives a table with others.

    A hint fault and a sample have no clean figure: of the recordings one is of an emulated machine (75 to 185 us a fault),
    which says nothing about hardware. Their values are the lower middle of what brackets them, and results that hang on
    them must be read as a range.
    """

    frame_walk_ns: Cost = Cost("frame_walk_ns", 40.0, "ns per 4 KiB frame", "20260516210357.2247-1-ravis.opensrc@gmail.com")
    block_test_ns: Cost = Cost(
        "block_test_ns",
        3.9,
        "ns per 2 MiB block",
        _ASSUMED + "a test for emptiness costs at least nothing and at most what the published ~80 ms leave",
        0.0,
        3.9,
        True,
    )
    rmap_walk_us: Cost = Cost(
        "rmap_walk_us",
        0.2,
        "us per mapping",
        _ASSUMED + "more than the visit of a frame, less than a migration without its copy",
        0.04,
        0.92,
        True,
    )
    copy_4k_us: Cost = Cost("copy_4k_us", 1.24, "us per 4 KiB page", f"{_MOVE_PAGES}: 3.31 GB/s, one thread")
    copy_64k_us: Cost = Cost("copy_64k_us", 9.8, "us per 64 KiB folio", _MOVE_PAGES)
    copy_2m_us: Cost = Cost("copy_2m_us", 190.0, "us per 2 MiB folio", f"{_MOVE_PAGES}: 11.02 GB/s")
    hint_fault_us: Cost = Cost(
        "hint_fault_us", 1.0, "us per fault", _ASSUMED + "a minor fault without and with contention", 0.5, 5.0, True
    )
    scan_page_ns: Cost = Cost(
        "scan_page_ns",
        20.0,
        "ns per 4 KiB page",
        _ASSUMED + "a page table entry changed, and its share of the TLB flush",
        5.0,
        100.0,
        True,
    )
    access_sample_us: Cost = Cost(
        "access_sample_us",
        0.5,
        "us per IBS or PEBS sample",
        _ASSUMED + "reading a record from a buffer to one interrupt per sample",
        0.1,
        2.0,
        True,
    )
    list_entry_ns: Cost = Cost(
        "list_entry_ns",
        500.0,
        "ns per entry of a device's hot list",
        _ASSUMED + "an uncached read, alone or under load",
        100.0,
        1500.0,
        True,
    )
    counter_read_us: Cost = Cost(
        "counter_read_us", 0.1, "us per goal", _ASSUMED + "a few cached to a few hundred remote counters", 0.05, 10.0, True
    )
    region_upkeep_ns: Cost = Cost(
        "region_upkeep_ns",
        100.0,
        "ns per region and record",
        _ASSUMED + "a list walk in cache to one out of it",
        20.0,
        500.0,
        True,
    )
    ibs_period_ops: Cost = Cost("ibs_period_ops", 262_144.0, "ops per sample", _IBS)
    ibs_ring_entries: Cost = Cost("ibs_ring_entries", 256.0, "entries per CPU", _IBS)
    hint_scan_bytes: Cost = Cost("hint_scan_bytes", 256.0 * MIB, "bytes per scan", "numa_balancing scan_size_mb")
    hint_scan_period_s: Cost = Cost("hint_scan_period_s", 1.0, "s", "numa_balancing scan_period_min_ms")
    promote_after: Cost = Cost("promote_after", 2.0, "accesses", f"{_PGHOT}; 1 for NUMA balancing mode 2")
    dram_latency_ns: Cost = Cost("dram_latency_ns", 100.0, "ns", "Melody, ASPLOS 2025")
    remote_latency_ns: Cost = Cost(
        "remote_latency_ns",
        200.0,
        "ns to the other socket's DRAM",
        _ASSUMED + "between the socket's own DRAM and CXL",
        100.0,
        250.0,
        True,
    )
    cxl_latency_ns: Cost = Cost("cxl_latency_ns", 250.0, "ns", "Melody, ASPLOS 2025: devices of 140-410 ns", 140.0, 410.0, True)
    dram_bandwidth_gbps: Cost = Cost("dram_bandwidth_gbps", 72.0, "GB/s", "20250709005952.17776-1-bijan311@gmail.com")
    cxl_bandwidth_gbps: Cost = Cost(
        "cxl_bandwidth_gbps",
        26.0,
        "GB/s per card",
        "20250709005952.17776-1-bijan311@gmail.com; a vendor measured 36",
        26.0,
        36.0,
        True,
    )
    cxl_queue_ns: Cost = Cost(
        "cxl_queue_ns", 148.5, "ns", "loaded latencies of CXL memory of DDR4 on a Turin: docs/theory/coupling.md, section 2"
    )
    dram_queue_ns: Cost = Cost(
        "dram_queue_ns", 97.0, "ns", "loaded latencies of 12 channels of DDR5 on a Turin: docs/theory/coupling.md, section 2"
    )
    move_stall_us: Cost = Cost(
        "move_stall_us", 1.2, "us a touched page waits while kdamond copies it", "docs/theory/coupling.md, section 8"
    )
    promote_stall_us: Cost = Cost(
        "promote_stall_us", 12.0, "us a thread waits whose hint fault promotes a page", "docs/theory/coupling.md, section 8"
    )
    queue_ns: Cost = Cost(
        "queue_ns", 20.0, "ns", _ASSUMED + "service time of the queue in front of a node's channels", 5.0, 50.0, True
    )

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            if not isinstance(getattr(self, field.name), Cost):
                raise InputError(field.name, f"{getattr(self, field.name)!r} is no Cost", "use Costs().replace(name=value)")

    def __iter__(self) -> Iterator[Cost]:
        return (getattr(self, field.name) for field in dataclasses.fields(self))

    def replace(self, **changes: float | Cost) -> Costs:
        """Return a table with other values.

        Parameters
        ----------
        **changes : float or Cost
            Name and new value. A bare number becomes the default; the range collapses to it, as it is now known.

        Returns
        -------
        Costs

        Raises
        ------
        InputError
            If a name is unknown or a value is no cost.
        """
        names = [f.name for f in dataclasses.fields(self)]
        made: dict[str, Cost] = {}
        for name, value in changes.items():
            if name not in names:
                raise InputError(name, "is not a known cost", suggest(name, names))
            if isinstance(value, Cost):
                made[name] = value
                continue
            given = number(value, name)
            made[name] = Cost(name, given, getattr(self, name).unit, "given")
        return dataclasses.replace(self, **made)

    def at(self, estimate: str) -> Costs:
        """Return the table with every constant at the ``"low"``, ``"default"`` or ``"high"`` end of its range."""
        return self.replace(**{c.name: c.at(estimate) for c in self})

    def assumed(self) -> tuple[Cost, ...]:
        """Return the constants whose value is assumed."""
        return tuple(c for c in self if c.assumed)


DEFAULT = Costs()
