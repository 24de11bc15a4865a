"""Read damo's records of monitoring results, and text of DAMON's tracepoints, as one table of regions.

Formats (docs/theory/damon.md, section h.5): JSON, the same zlib-compressed (``damon.data``), and ``perf script`` text with one
``damon:damon_aggregated`` line for each region.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...checks import file_name
from ...errors import InputError, short
from ...units import LONG_MAX, MIB, UINT_MAX, ULONG_MAX, parse_bytes
from ..documents import decode, parse_json, read_bytes
from . import values as v

if TYPE_CHECKING:
    import xarray as xr

MAX_RECORD_BYTES = 256 * MIB
"""Longest text of a record, after decompression."""
_EVENT = re.compile(
    r"(?P<time>\d+\.\d+):\s+(?:damon:)?damon_aggregated:\s+target_id=(?P<target>\d+)\s+nr_regions=(?P<n>\d+)\s+"
    r"(?P<start>\d+)-(?P<end>\d+):\s+(?P<nr>-?\d+)(?:\s+(?P<age>-?\d+))?\s*$"
)
_RECORD = frozenset(
    {"kdamond_idx", "context_idx", "intervals", "scheme_idx", "target_id", "scheme_filters", "snapshots", "data_source"}
)
Row = tuple[int, int, int | None, int | None]


@dataclass(frozen=True)
class Snapshot:
    """Regions of one target at one time: ``rows`` are (start, end, nr_accesses, age), times in nanoseconds.

    A record may give addresses only, and ages as times without its intervals; what it does not tell in counts is None.
    """

    start_ns: int
    end_ns: int
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Record:
    """The snapshots of one target of one context (or of what one scheme was tried on).

    Attributes
    ----------
    kdamond, context, target : int
        Whose.
    scheme : int or None
        The scheme whose regions these are; None for all regions.
    sample_us, aggr_us : int or None
        The intervals, where the record tells them.
    snapshots : tuple of Snapshot
        In order of time.
    """

    kdamond: int
    context: int
    target: int
    scheme: int | None
    sample_us: int | None
    aggr_us: int | None
    snapshots: tuple[Snapshot, ...]

    @property
    def max_nr_accesses(self) -> int | None:
        """Samples of an aggregation, where the intervals are known."""
        return self.aggr_us // self.sample_us if self.aggr_us and self.sample_us else None


def read_damo_record(source: str | Path, *, max_bytes: int | str = MAX_RECORD_BYTES) -> list[Record]:
    """Return the monitoring results that a damo record or tracepoint text holds: snapshots of regions, by target.

    Parameters
    ----------
    source : str or Path
        A file of damo's ``json_compressed`` (``damon.data``), ``json`` or ``perf_script`` form, or any text with
        ``damon_aggregated`` tracepoint lines (``perf script``, ftrace's ``trace``); found out from its content.
    max_bytes : int or str
        Longest accepted text, after decompression: ``"256 MiB"``.

    Returns
    -------
    list of Record

    Raises
    ------
    InputError
        Naming the file and the place: cut off or corrupt compression, more than `max_bytes`, broken JSON, NaN, numbers
        out of range, regions that are empty or out of order, perf's binary form.

    Examples
    --------
    >>> import tieringmodel as tm
    >>> ds = tm.simulate(tm.load("rfc-40-60"), duration="3 s", seed=1)
    >>> records = tm.read_damo_record(tm.to_damo_record(ds, "monitored.json"))
    >>> len(records), len(records[0].snapshots)
    (1, 30)
    """
    path, limit = file_name("source", source), parse_bytes(max_bytes, "max_bytes")
    raw = read_bytes(path, limit)
    if raw.startswith(b"PERFILE2"):
        raise InputError(str(path), "is perf's binary form", f"write text: perf script -i {path.name} > {path.name}.txt")
    if raw[:1] == b"\x78" and len(raw) > 1 and (raw[0] * 256 + raw[1]) % 31 == 0:
        raw = _inflate(raw, limit, path)
    text = decode(raw, str(path))
    if text.lstrip().startswith(("[", "{")):
        data = parse_json(text, str(path))
        return [_record(item, f"{path}: [{i}]") for i, item in enumerate(data if isinstance(data, list) else [data])]
    return list(_from_events(text, str(path)))


def _inflate(raw: bytes, limit: int, path: Path) -> bytes:
    unpack = zlib.decompressobj()
    try:
        out = unpack.decompress(raw, limit + 1)
    except zlib.error as error:
        raise InputError(str(path), f"is not intact zlib data ({error})", "copy the whole file again") from None
    if len(out) > limit:
        raise InputError(str(path), f"unpacks to more than {limit} bytes", "raise max_bytes, or record less")
    if not unpack.eof:
        raise InputError(str(path), "ends in the middle of its compressed data", "copy the whole file again")
    if unpack.unused_data:
        raise InputError(str(path), f"goes on for {len(unpack.unused_data)} bytes after its compressed data", "cut them off")
    return out


def _table(value: object, where: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise InputError(where, "is not an object", "give a damo record")
    return value


def _list(value: object, where: str) -> list[Any]:
    if not isinstance(value, list):
        raise InputError(where, "is not a list", "give a damo record")
    return value


def _record(item: object, where: str) -> Record:
    data = _table(item, where)
    if "snapshots" not in data or not set(data) <= _RECORD:
        odd = ", ".join(map(short, sorted(set(data) - _RECORD)[:3])) or "no snapshots"
        raise InputError(where, f"is no damo record ({odd})", "give the output of 'damo record'")
    intervals = _table(data.get("intervals") or {}, f"{where}.intervals")
    times = [v.time_in(intervals[k], f"{where}.intervals.{k}") if k in intervals else None for k in ("sample_us", "aggr_us")]
    sample_us, aggr_us = times
    if sample_us == 0 or aggr_us == 0:
        raise InputError(f"{where}.intervals", "an interval is 0", "write null if they are not known")
    scheme = data.get("scheme_idx")
    snapshots: list[Snapshot] = []
    for i, snapshot in enumerate(_list(data["snapshots"], f"{where}.snapshots")):
        here = f"{where}.snapshots[{i}]"
        s = _table(snapshot, here)
        start, end = (v.count(s.get(k), f"{here}.{k}", LONG_MAX) for k in ("start_time", "end_time"))
        if end < start or (snapshots and end <= snapshots[-1].end_ns):
            raise InputError(f"{here}.end_time", f"{end} is not after what is before", "list snapshots in order of time")
        regions = _list(s.get("regions"), f"{here}.regions")
        if len(regions) == 1 and _made_up(regions[0]):
            continue
        rows = tuple(_region(r, f"{here}.regions[{j}]", sample_us, aggr_us) for j, r in enumerate(regions))
        _ordered(rows, f"{here}.regions")
        snapshots.append(Snapshot(start, end, rows))
    kdamond, context = (v.count(data.get(k) or 0, f"{where}.{k}", LONG_MAX) for k in ("kdamond_idx", "context_idx"))
    target = v.count(data.get("target_id") or 0, f"{where}.target_id")  # a pointer of the kernel, where it is no index
    scheme_index = None if scheme is None else v.count(scheme, f"{where}.scheme_idx")
    return Record(kdamond, context, target, scheme_index, sample_us, aggr_us, tuple(snapshots))


def _made_up(region: object) -> bool:
    """Tell whether a region is the one with which damo ends a record of one snapshot: nowhere, accessed -1 times."""
    if not isinstance(region, dict) or not isinstance(region.get("nr_accesses"), dict):
        return False
    return str(region.get("end")) == "0" and str(region["nr_accesses"].get("samples")) == "-1"


def _region(item: object, where: str, sample_us: int | None, aggr_us: int | None) -> Row:
    r = _table(item, where)
    counted, aged = (_table(r.get(k) or {}, f"{where}.{k}") for k in ("nr_accesses", "age"))
    nr: int | None = None
    age: int | None = None
    if counted.get("samples") is not None:
        nr = v.count(counted["samples"], f"{where}.nr_accesses.samples", UINT_MAX)
    elif counted.get("percent") is not None and sample_us and aggr_us:
        nr = v.nr_accesses(counted["percent"], f"{where}.nr_accesses.percent", sample_us, aggr_us)
    elif counted.get("percent") is not None:
        raise InputError(f"{where}.nr_accesses", "gives no samples but percent", "tell the record's intervals")
    if aged.get("aggr_intervals") is not None:
        age = v.count(aged["aggr_intervals"], f"{where}.age.aggr_intervals", UINT_MAX)
    elif aged.get("usec") is not None and aggr_us:
        age = v.age(aged["usec"], f"{where}.age.usec", aggr_us)
    return v.count(r.get("start"), f"{where}.start"), v.count(r.get("end"), f"{where}.end"), nr, age


def _ordered(rows: tuple[Row, ...], where: str) -> None:
    last = 0
    for i, (start, end, _, _) in enumerate(rows):
        if not last <= start < end <= ULONG_MAX:
            raise InputError(f"{where}[{i}]", f"{start}..{end} is empty or overlaps the region before", "sort the regions")
        last = end


def _from_events(text: str, where: str) -> Iterator[Record]:
    """Yield one record for each target of ``damon_aggregated`` lines; other lines are other events and left alone."""
    open_rows: dict[int, tuple[int, int, list[Row]]] = {}
    done: dict[int, list[Snapshot]] = {}
    seen = False
    for i, line in enumerate(text.splitlines(), start=1):
        if "damon_aggregated:" not in line:
            continue
        seen = True
        here = f"{where}:{i}"
        event = _EVENT.search(line)
        if not event:
            raise InputError(here, "is no whole damon_aggregated event", "copy the whole file again")
        if event["nr"] == "-1" and event["end"] == "0":  # damo ends a record of one snapshot with a made-up one
            continue
        target, n, start, end, nr = (v.count(event[k], here) for k in ("target", "n", "start", "end", "nr"))
        age = None if event["age"] is None else v.count(event["age"], here)  # Linux up to 5.19 prints none
        time_ns = int(Decimal(event["time"]) * 10**9)
        if time_ns >= 2**63:
            raise InputError(here, f"time {event['time']} s is over 2**63 ns", "give seconds since boot")
        first_ns, wanted, rows = open_rows.setdefault(target, (time_ns, n, []))
        if n != wanted:
            text_ = f"target {target} has {len(rows)} of {wanted} regions when {n} begin: events are missing"
            raise InputError(here, text_, "record with larger buffers")
        rows.append((start, end, nr, age))
        if len(rows) == wanted:
            _ordered(tuple(rows), here)
            before = done.setdefault(target, [])
            if before and first_ns <= before[-1].end_ns:
                raise InputError(here, "events are not in order of time", "sort them")
            before.append(Snapshot(before[-1].end_ns if before else 0, first_ns, tuple(rows)))
            del open_rows[target]
    if not seen:
        raise InputError(where, "holds no damon_aggregated event", "give a damo record or text of these events")
    for target, snapshots in done.items():
        step = (snapshots[-1].end_ns - snapshots[0].end_ns) // max(len(snapshots) - 1, 1)
        first = Snapshot(max(snapshots[0].end_ns - step, 0), snapshots[0].end_ns, snapshots[0].rows)
        yield Record(0, 0, target, None, None, None, (first, *snapshots[1:]))


def monitoring_truth(record: Record) -> xr.Dataset:
    """Return a record as a dataset with the region variables of a simulation's.

    Parameters
    ----------
    record : Record
        One target's record.

    Returns
    -------
    xarray.Dataset
        ``region_start``, ``region_end``, ``region_nr_accesses``, ``region_age`` over ``region`` (uint64), the last two
        only where the record tells them of every region; ``region_count`` and ``snapshot_time`` (seconds since the first
        snapshot's start), over ``snapshot``.
    """
    import xarray as xr

    columns = list(zip(*(r for s in record.snapshots for r in s.rows), strict=True)) or [()] * 4
    zero = record.snapshots[0].start_ns if record.snapshots else 0
    times = np.array([(s.end_ns - zero) * 1e-9 for s in record.snapshots], np.float64)
    about = {
        "region_start": ("bytes", "first core address"),
        "region_end": ("bytes", "one past the last core address"),
        "region_nr_accesses": ("samples", "nr_accesses of the finished aggregation"),
        "region_age": ("aggregations", "age"),
    }
    variables: dict[str, Any] = {
        name: ("region", np.array(column, np.uint64), {"units": units, "long_name": text, "source": "damo record"})
        for column, (name, (units, text)) in zip(columns, about.items(), strict=True)
        if None not in column
    }
    count = np.array([len(s.rows) for s in record.snapshots], np.int64)
    attrs = {"units": "1", "long_name": "rows of `region` that belong to the snapshot", "source": "damo record"}
    variables["region_count"] = ("snapshot", count, attrs)
    ds = xr.Dataset(variables, coords={"snapshot_time": ("snapshot", times)})
    ds["snapshot_time"].attrs = {"units": "s", "long_name": "time of a region snapshot"}
    ds.attrs = {"kind": "damo record", "kdamond": record.kdamond, "context": record.context}
    ds.attrs["target"] = record.target if record.target <= LONG_MAX else np.uint64(record.target)
    ds.attrs |= {k: getattr(record, k) for k in ("sample_us", "aggr_us") if getattr(record, k) is not None}
    return ds
