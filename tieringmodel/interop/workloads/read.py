"""Which workload is meant: a line, or a file told by its content."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ...errors import InputError, quoted
from ...fields import suggest
from ...scenario import Workload
from ...units import LONG_MAX, PAGE_SZ, number, parse_us
from ...workload import arguments as check
from ..documents import opened
from ..machines.line import is_line
from ..machines.read import exists, toml_part
from ..recording.tables import read_text
from .family import other_pages, with_family
from .line import EXAMPLE, build, default_place, parse_line
from .masim import parse_masim, read_masim
from .placed import Surroundings, placement
from .record_workload import whole_records, workload_of
from .repeat import repeated
from .traces import Trace, read_perf, read_trace, trace_workload

FORMS = (
    f"a line such as {EXAMPLE}, TOML with a [workload], a masim configuration, a table of accesses, the text of perf script, "
    "or a damo record"
)
_HEAD_BYTES = 1 << 16
_OPTION = re.compile(r",(?=[a-z]+=[^,]*(?:,[a-z]+=[^,]*)*$)")
_OPTIONS = {
    "masim": ("repeat", "placed", "rate"),
    "trace": ("repeat", "placed", "region", "bin"),
    "perf": ("repeat", "placed", "region", "bin", "period"),
    "record": ("repeat", "placed"),
    "toml": (),
}
_CALLED = {
    "masim": "a masim configuration",
    "trace": "a table of accesses",
    "perf": "the text of perf script",
    "record": "a damo record",
    "toml": "TOML",
}
MASIM_HZ = 1e8


class Built(NamedTuple):
    """A workload, and a sentence for each thing that was assumed or left out."""

    workload: Workload
    notes: tuple[str, ...] = ()


Description = Callable[[Surroundings], Built]
"""What was given becomes a workload once the machine and the contexts are known."""


def read_workload(source: Workload | str | Path, *, allow_files: bool = False) -> Description:
    """Return what makes the workload that the user means on a machine.

    Parameters
    ----------
    source : Workload, str or Path
        A workload; a line as for `parse_line`; or a file whose content tells what it is: TOML with a ``[workload]``, a masim
        configuration, a table of accesses, the text of ``perf script``, a damo record. Options may follow its name:
        ``perf.txt,repeat=3,placed=node1``.
    allow_files : bool
        Files that a TOML file names need not lie in its folder.

    Returns
    -------
    callable
        Takes `Surroundings`, returns `Built`.

    Raises
    ------
    InputError
        Naming the file and what is wrong in it, or if it is none of these.

    Examples
    --------
    >>> import tieringmodel as tm
    >>> on = Surroundings(tm.Machine.dram_cxl("4 GiB", "4 GiB"))
    >>> read_workload("total=2G,hot=1G@200Hz,rest=0Hz,placed=node1")(on).workload.groups[0].rate_hz
    200.0
    """
    if isinstance(source, Workload):
        given = source
        return lambda on: Built(given)
    if not isinstance(source, (str, Path)) or not str(source).strip():
        raise InputError("--workload", f"{quoted(source)} names nothing", f"give {FORMS}")
    text, path = str(source), Path(source)
    if exists(path):
        return _file(path, {}, allow_files)
    if is_line(text):
        line = parse_line(text)
        return lambda on: Built(*build(line, on))
    name, *options = _OPTION.split(text, maxsplit=1)
    path = Path(name)
    if not exists(path):
        raise InputError(f"--workload: {name}", "does not exist", f"give {FORMS}")
    return _file(path, dict(part.split("=", 1) for part in options[0].split(",")) if options else {}, allow_files)


def _file(path: Path, options: Mapping[str, str], allow_files: bool) -> Description:
    kind = _kind(path)
    for key in options:
        if key not in _OPTIONS[kind]:
            takes = suggest(key, _OPTIONS[kind]) if _OPTIONS[kind] else "leave it out"
            raise InputError(f"--workload: {key}", f"does not go with {_CALLED[kind]}", takes)
    if kind == "toml":
        made = _of_toml(path, allow_files)
        return lambda on: Built(made)
    notes: list[str] = []
    workload = {"masim": _of_masim, "trace": _of_trace, "perf": _of_trace, "record": _of_record}[kind](path, options, notes)

    def on_machine(on: Surroundings) -> Built:
        if on.machine.folio_bytes != PAGE_SZ:
            fix = "give a workload in TOML, in folios, or a machine of base pages"
            raise other_pages(str(path), on.machine.folio_bytes, fix)
        if workload.placement:
            if "placed" in options:
                raise InputError("--workload: placed", "is told by the record's physical addresses", "leave it out")
            return Built(workload, tuple(notes))
        place, said = options.get("placed", ""), ""
        if not place:
            place, said = default_place(workload.n_pages, on)
        placed = placement(place, 0, workload.n_pages, on, "--workload: placed")
        return Built(workload.replace(placement=(placed,)), (*notes, *([said] if said else [])))

    return on_machine


def _kind(path: Path) -> str:
    """Return what a file is, by its content; only ``.toml`` is believed, for what TOML lacks is told best by its reader."""
    if path.suffix == ".toml":
        return "toml"
    if path.is_fifo():
        raise InputError(str(path), "is a pipe, which can be read only once", "write it to a file and give that")
    with opened(path) as stream:
        raw = stream.read(_HEAD_BYTES)
    if raw.startswith(b"PERFILE2"):
        remedy = f"write text: perf script -i {path.name} -F comm,pid,tid,time,period,event,addr > {path.name}.txt"
        raise InputError(str(path), "is perf's binary form", remedy)
    text = raw.decode("utf-8", "replace")
    if not text.strip():
        raise InputError(str(path), "is empty", f"give {FORMS}")
    if raw[:1] == b"\x78" and len(raw) > 1 and (raw[0] * 256 + raw[1]) % 31 == 0:
        return "record"
    if re.search(r"^[ \t]*\[+workload\b", text, re.MULTILINE):
        return "toml"
    if text.lstrip().startswith(("[", "{")) or "damon_aggregated:" in text:
        return "record"
    if re.search(r"^# PID, TID, IP, ADDR", text, re.MULTILINE):
        remedy = "give perf script -F comm,pid,tid,time,period,event,addr"
        raise InputError(str(path), "is a report of perf mem, which tells no times", remedy)
    lines = [line.strip() for line in text.splitlines()]
    said = next((line for line in lines if line and not line.startswith("#")), "")
    if re.fullmatch(r"[^,:=]+,\s*\d+\s*(,[^,]*)?", said):
        return "masim"
    if re.fullmatch(r"\w+(\s*,\s*\w+){1,2}", said):
        return "trace"
    if re.search(r"(^|\s)\d{1,20}\.\d{1,20}:\s", text):
        return "perf"
    raise InputError(str(path), f"begins with {quoted(said)} and describes no workload", f"give {FORMS}")


def _of_toml(path: Path, allow_files: bool) -> Workload:
    part = toml_part(path, "workload")
    made = with_family({"workload": part}, path.parent, allow_files=allow_files)["workload"]
    return made if isinstance(made, Workload) else Workload.from_dict(part, f"{path}: workload")


def _count(options: Mapping[str, str], key: str, most: int) -> int | None:
    text = options.get(key)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 20 and 1 <= int(text) <= most):
        raise InputError(f"--workload: {key}", f"{quoted(text)} is no number of 1 or more", f"write e.g. {key}=3")
    return int(text)


def _again(workload: Workload, ticks: int, options: Mapping[str, str], what: str, notes: list[str]) -> Workload:
    workload, said = repeated(workload, max(ticks, 1), _count(options, "repeat", check.MAX_GROUPS), what)
    notes.append(said)
    return workload


def _of_masim(path: Path, options: Mapping[str, str], notes: list[str]) -> Workload:
    rate = number(options.get("rate", MASIM_HZ), "--workload: rate")
    config = parse_masim(read_text(path), str(path))
    workload = read_masim(path, accesses_per_s=rate)
    if "rate" not in options:
        notes.append(f"assumed: masim makes {rate:g} accesses a second (rate=2e8 replaces it)")
    length_us = sum(phase.length_ms for phase in config.phases) * 1000
    return _again(workload, round(length_us / (workload.tick_us or 1)), options, path.name, notes)


def _of_trace(path: Path, options: Mapping[str, str], notes: list[str]) -> Workload:
    if _kind(path) == "trace":
        trace = read_trace(path)
    else:
        trace = read_perf(path, period=_count(options, "period", LONG_MAX))
        own = trace.address < np.uint64(2**47)
        if not own.any():
            remedy = "record the program's own accesses: perf mem record -p PID"
            raise InputError(str(path), "holds accesses to the kernel's memory only", remedy)
        if left_out := int(own.size - own.sum()):
            notes.append(f"{path.name}: {left_out} samples of the kernel's own memory are left out")
        trace = Trace(trace.time_s[own], trace.address[own], trace.accesses[own], trace.skipped)
    if trace.skipped:
        notes.append(f"{path.name}: {trace.skipped} samples without an address are left out")
    bin_us = parse_us(options.get("bin", "1 s"), "--workload: bin")
    workload = trace_workload(trace, region_bytes=options.get("region", "2 MiB"), bin_us=bin_us)
    bins = math.floor((float(trace.time_s.max()) - float(trace.time_s.min())) * (1e6 / bin_us)) + 1
    return _again(workload, bins * (bin_us // (workload.tick_us or 1)), options, path.name, notes)


def _of_record(path: Path, options: Mapping[str, str], notes: list[str]) -> Workload:
    records = whole_records(path)
    record = records[0]
    workload = workload_of(record)
    if len(records) > 1:
        whose = f"context {record.context}, target {record.target}"
        notes.append(f"{path.name}: the first of {len(records)} records is taken ({whose})")
    if not workload.vmas:
        notes.append(f"{path.name}: physical addresses never seen touched are left out, they may be free memory")
    took_ns = record.snapshots[-1].end_ns - record.snapshots[0].start_ns
    ticks = round(took_ns / ((workload.tick_us or 1) * 1000))
    if "repeat" not in options:
        notes.append(f"{path.name}: after its {took_ns * 1e-9:g} s the last rates go on (repeat=N replaces it)")
        return workload
    groups = tuple(g.replace(end_tick=min(g.end_tick, ticks)) for g in workload.groups if g.start_tick < ticks)
    return _again(workload.replace(groups=groups), ticks, options, path.name, notes)
