"""Recorded accesses, from ``perf script`` or tables, as workloads: rates by region of memory and by span of time."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ...checks import file_name, instance, number
from ...errors import InputError
from ...scenario import Group, Vma, Workload
from ...units import MAX_PAGES, MIB, PAGE_SZ, parse_bytes, parse_us
from ...workload import arguments as check
from ..documents import decode, opened

MAX_BYTES = 256 * MIB
_REMEDY = "print samples with perf script -F comm,pid,tid,time,period,event,addr"
_NUMBER = r"[0-9]+(?:\.[0-9]*)?(?:[eE][-+]?[0-9]+)?"
_TRACE = re.compile(rf"\s*({_NUMBER})\s*,\s*(0[xX][0-9a-fA-F]{{1,20}}|[0-9]{{1,20}})\s*(?:,\s*({_NUMBER})\s*)?")
_PID = re.compile(r"(?:-?\d{1,20}/)?-?\d{1,20}")
_CPU = re.compile(r"\[\d{1,20}\]")
_TIME = re.compile(r"\d{1,20}\.\d{1,20}:")
_HEX = re.compile(r"(?:0x)?[0-9a-f]{1,20}")


class Trace(NamedTuple):
    """Accesses in the order of the file.

    ``time_s``: float64 (n,); ``address``: uint64 (n,), bytes; ``accesses``: float64 (n,), how many accesses each entry
    stands for; ``skipped``: entries without a data address (0), which are left out.
    """

    time_s: npt.NDArray[np.float64]
    address: npt.NDArray[np.uint64]
    accesses: npt.NDArray[np.float64]
    skipped: int = 0


def read_trace(source: str | Path, *, max_bytes: int = MAX_BYTES) -> Trace:
    r"""Read a table of accesses: lines ``time_s,address[,weight]``, below a line with just these names.

    Parameters
    ----------
    source : str or Path
        A ``.csv`` or ``.csv.gz`` file. Addresses are decimal or begin with 0x; the weight says how many accesses a line
        stands for, by default 1.
    max_bytes : int
        Refuse files that are longer, decompressed.

    Returns
    -------
    Trace

    Raises
    ------
    InputError
        Naming file and line of what cannot be read.

    Examples
    --------
    >>> from pathlib import Path
    >>> import tieringmodel as tm
    >>> _ = Path("accesses.csv").write_text("time_s,address\n0.0,4096\n0.5,8192\n")
    >>> trace = tm.read_trace("accesses.csv")
    >>> trace.address.tolist()
    [4096, 8192]
    """
    path = file_name("source", source)
    rows: list[tuple[float, int, float]] = []
    n_columns = 0
    for line_number, line in _lines(path, max_bytes):
        where = f"{path}:{line_number}"
        if not n_columns:
            header = [c.strip() for c in line.split(",")]
            if header not in (["time_s", "address"], ["time_s", "address", "weight"]):
                raise InputError(where, f"the first line is {line!r}", "write time_s,address or time_s,address,weight")
            n_columns = len(header)
            continue
        row = _TRACE.fullmatch(line)
        if not row or (row[3] is None) != (n_columns == 2):
            raise InputError(where, f"{line[:80]!r} is no line of {n_columns} columns", "write e.g. 0.25,0x7f0000001000")
        rows.append((_finite(row[1], where), _address(row[2], where), _finite(row[3] or "1", where)))
    return _trace(path, rows, 0)


def read_perf(source: str | Path, *, period: int | None = None, max_bytes: int = MAX_BYTES) -> Trace:
    r"""Read samples of memory accesses as ``perf script`` prints them (PEBS, IBS or SPE, by ``perf mem record``).

    A line is ``[comm] pid[/tid] [cpu] time: [period] event: address …`` in perf's order; the address is the first field
    after the event's name, as with ``-F comm,pid,tid,time,period,event,addr``. What follows is not read, except that
    a lone address followed by a symbol, which is where the program was and not what it accessed, and a data source
    in its place are refused. Lines of comments (``#``) and empty ones are passed over.

    Parameters
    ----------
    source : str or Path
        A text file, or one compressed to ``.gz``.
    period : int, optional
        Accesses that a sample stands for where its line does not say.
    max_bytes : int
        Refuse files that are longer, decompressed.

    Returns
    -------
    Trace
        Samples whose address is 0, which hit no memory, are counted in ``skipped``.

    Raises
    ------
    InputError
        Naming file and line of what cannot be read.

    Examples
    --------
    >>> from pathlib import Path
    >>> import tieringmodel as tm
    >>> _ = Path("perf.txt").write_text("app 7 [000] 1.5: cpu/mem-loads/P: 7f0000001000\n")
    >>> tm.read_perf("perf.txt", period=1000).accesses.tolist()
    [1000.0]
    """
    path = file_name("source", source)
    if period is not None:
        number("period", period, 1, remedy="write how many accesses there are to a sample, 1 or more")
    rows: list[tuple[float, int, float]] = []
    skipped = 0
    for line_number, line in _lines(path, max_bytes):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        where = f"{path}:{line_number}"
        time_s, stated, address, after = _sample(line.split(), where)
        each = stated or period
        if each is None:
            raise InputError(where, "does not say how many accesses the sample stands for", "pass period=…")
        if after and not _HEX.fullmatch(after):
            what = "a data source" if after.startswith("|") else "the address of code"
            raise InputError(where, f"{address:x} before {after[:40]!r} is {what}, not of data", _REMEDY)
        if address:
            rows.append((time_s, address, float(each)))
        else:
            skipped += 1
    return _trace(path, rows, skipped)


def _sample(fields: list[str], where: str) -> tuple[float, int, int, str]:
    """Return time, period (0 where the line has none), address and the word after it."""
    at = next((k for k, word in enumerate(fields) if _TIME.fullmatch(word)), 0)
    before, after = fields[:at], fields[at + 1 :]
    if before and _CPU.fullmatch(before[-1]):
        before.pop()
    period = after.pop(0) if len(after) > 1 and after[0].isdecimal() and len(after[0]) <= 20 else "0"
    if not (before and _PID.fullmatch(before[-1]) and len(after) > 1 and after[0].endswith(":") and _HEX.fullmatch(after[1])):
        raise InputError(where, f"{' '.join(fields)[:80]!r} is no sample with a data address", _REMEDY)
    return float(fields[at][:-1]), int(period), _address("0x" + after[1].removeprefix("0x"), where), "".join(after[2:3])


def _trace(path: Path, rows: list[tuple[float, int, float]], skipped: int) -> Trace:
    if not rows:
        raise InputError(str(path), f"holds no access ({skipped} entries without an address)", "give a longer recording")
    time_s, address, accesses = zip(*rows, strict=True)
    return Trace(np.array(time_s), np.array(address, np.uint64), np.array(accesses), skipped)


def _finite(text: str, where: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise InputError(where, f"{text} is beyond what a number can hold", "write a smaller one")
    return value


def _address(text: str, where: str) -> int:
    value = int(text, 0) if text[:2].lower() == "0x" else int(text)
    if value >= 2**64:
        raise InputError(where, f"address {text} has more than 64 bits", "correct it")
    return value


def _lines(path: Path, max_bytes: int) -> Iterator[tuple[int, str]]:
    """Yield (line number, line) of a text file, decompressed if its name ends in ``.gz``, up to a size."""
    number, size = 0, 0
    with opened(path) as file:
        while raw := file.readline(1 << 16):
            number, size = number + 1, size + len(raw)
            if size > max_bytes:
                raise InputError(f"{path}:{number}", f"the file goes on beyond {max_bytes} bytes", "raise max_bytes")
            if len(raw) == 1 << 16:
                raise InputError(f"{path}:{number}", "the line is longer than 64 KiB", "give a text file of lines")
            yield number, decode(raw, f"{path}:{number}").rstrip("\r\n")


def trace_workload(
    trace: Trace,
    *,
    region_bytes: int | str = 2 * MIB,
    bin_us: int | str = "1 s",
    join_bytes: int | str = 64 * MIB,
    mapped: tuple[tuple[int, int], ...] = (),
    tick_us: int | str | None = None,
) -> Workload:
    r"""Return the workload that touches memory as recorded: a constant rate per region and span of time.

    The rate of a page is the accesses that fell into its region in the span, by the region's pages and the span's length;
    so accesses are conserved, while what happens within a region or a span is lost. Time begins with the earliest access.
    After the last span nothing is touched.

    Parameters
    ----------
    trace : Trace
        As `read_trace` or `read_perf` return it.
    region_bytes : int or str
        Size of regions, a multiple of 4096; they begin at multiples of it.
    bin_us : int or str
        Length of a span of time, a multiple of the tick.
    join_bytes : int or str
        Regions with accesses belong to one mapping if at most this much lies between them; the memory in between then
        counts as mapped and never touched. A sampled trace misses such memory; how much there is, is an assumption.
    mapped : tuple of (int, int), optional
        The ranges of addresses that are mapped, if known, instead of what `join_bytes` makes of the accesses.
    tick_us : int or str, optional
        Length of a workload tick, by default at most 5 ms.

    Returns
    -------
    Workload
        Mappings at the recorded addresses; groups named by their region's address.

    Raises
    ------
    InputError
        If an access lies outside `mapped`, an argument is out of range, or regions and spans make too many groups.

    Examples
    --------
    >>> from pathlib import Path
    >>> import tieringmodel as tm
    >>> _ = Path("accesses.csv").write_text("time_s,address\n0.0,4096\n0.5,8192\n1.5,8192\n")
    >>> workload = tm.trace_workload(tm.read_trace("accesses.csv"))
    >>> workload.n_pages, len(workload.groups)
    (512, 2)
    """
    instance("trace", trace, Trace, "read one with read_trace or read_perf")
    tick = check.tick("tick_us", tick_us)
    size = parse_bytes(region_bytes, "region_bytes")
    if size < PAGE_SZ or size % PAGE_SZ:
        raise InputError("region_bytes", f"{size} is not a multiple of {PAGE_SZ}", "write e.g. '2 MiB'")
    span = parse_us(bin_us, "bin_us")
    if span < tick or span % tick:
        raise InputError("bin_us", f"{span} us is not a multiple of the tick of {tick} us", "write e.g. '1 s'")
    page = (trace.address // np.uint64(PAGE_SZ)).astype(np.int64)
    first, end = _mappings(page, size // PAGE_SZ, parse_bytes(join_bytes, "join_bytes") // PAGE_SZ, mapped)
    inside = np.searchsorted(first, page, side="right") - 1
    missed = (inside < 0) | (page >= end[inside])
    if missed.any():
        where = int(trace.address[missed][0])
        text = f"{int(missed.sum())} accesses, the first to {where:#x}, lie outside"
        raise InputError("mapped", text, "add the ranges that are missing, or leave 'mapped' out")
    base = np.cumsum(end - first) - (end - first)
    n_pages = check.whole("trace", int((end - first).sum()), 1, MAX_PAGES)
    region = page // (size // PAGE_SZ)
    bin_ = ((trace.time_s - trace.time_s.min()) * (1e6 / span)).astype(np.int64)
    order = np.lexsort((bin_, region, inside))
    inside, region, bin_ = inside[order], region[order], bin_[order]
    new = np.ones(order.size, bool)
    new[1:] = (inside[1:] != inside[:-1]) | (region[1:] != region[:-1]) | (bin_[1:] != bin_[:-1])
    at = np.flatnonzero(new)
    check.few_enough("trace", at.size, "use larger regions or longer spans")
    counts = np.add.reduceat(trace.accesses[order], at)
    per_bin = span // tick
    groups = []
    for m, r, b, count in zip(inside[at].tolist(), region[at].tolist(), bin_[at].tolist(), counts.tolist(), strict=True):
        lo = max(r * (size // PAGE_SZ), int(first[m]))
        hi = min((r + 1) * (size // PAGE_SZ), int(end[m]))
        shift = int(base[m] - first[m])
        rate_hz = count / (hi - lo) / (span * 1e-6)
        if rate_hz:
            groups.append(
                Group(
                    lo + shift,
                    hi + shift,
                    rate_hz=rate_hz,
                    start_tick=b * per_bin,
                    end_tick=(b + 1) * per_bin,
                    name=f"{lo * PAGE_SZ:#x}",
                )
            )
    vmas = (Vma(b, b + e - f, f * PAGE_SZ) for b, f, e in zip(base.tolist(), first.tolist(), end.tolist(), strict=True))
    return Workload(n_pages, tuple(groups), vmas=tuple(vmas), tick_us=tick, tick_chosen=tick_us is not None)


def _mappings(
    page: npt.NDArray[np.int64], region: int, join: int, mapped: tuple[tuple[int, int], ...]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return first and end page of each mapping, int64 (n,)."""
    if mapped:
        last = 0
        for i, (a, b) in enumerate(mapped):
            if a % PAGE_SZ or b % PAGE_SZ or not last <= a < b <= 2**64:
                raise InputError(f"mapped[{i}]", f"{a:#x}..{b:#x} is empty, unaligned or out of order", "sort whole pages")
            last = b
        return np.array([a // PAGE_SZ for a, _ in mapped]), np.array([b // PAGE_SZ for _, b in mapped])
    used = np.unique(page // region)
    apart = np.flatnonzero((np.diff(used) - 1) * region > join)
    first, last_used = used[np.concatenate(([0], apart + 1))], used[np.concatenate((apart, [used.size - 1]))]
    return first * region, (last_used + 1) * region
