"""Read recordings of a real kernel that drives DAMON: one directory of tables and settings for each run.

The format is described in ``data/recordings/README.md``. A broken file is refused with its name and line.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...checks import file_name
from ...errors import InputError
from ...fields import suggest
from ...given_files import inside
from ...scenario import Context, Kernel
from ...units import PAGE_SZ, number
from ..machines.monitored import told as told_ranges
from ..machines.zoneinfo import from_zoneinfo, watermarks
from ..proc_version import beside
from ..sysfs.read import read_dump
from . import told
from .machine_of import guessed_holes
from .memcgs_of import segments_of
from .scenario_of import PHASE, KdamondTables, Recording
from .tables import Schema, Table, read_csv, read_text

_FROM = re.compile(r"damon_config_from_(\d{1,12})ms\.txt")
"""Settings that held from a time on."""
_STATS = ("nr_tried", "sz_tried", "nr_applied", "sz_applied", "sz_ops_filter_passed", "qt_exceeds", "nr_snapshots")
_PHYSMAP: Schema = {"segment": "text", "va_start": "u64", "pa_start": "u64", "bytes": "u64"}
_RESETS: Schema = {"t_ms": "f64", "scheme": "i64", "score": "u64?", "esz": "u64", "esz_changed": "u64"}
"""A scheme without goals has no score."""
_APPLIES: Schema = {"t_ms": "f64", "scheme": "i64"} | dict.fromkeys(_STATS, "u64")
_REGION = {"start": "u64", "end": "u64", "nr_accesses": "u64", "age": "u64"}
_AGGREGATION = {"agg": "i64", "t_ms": "f64", "nr_regions": "u64"}
_SNAPSHOTS: Schema = {"snap": "i64", "t_request_ms": "f64", "t_done_ms": "f64"} | _REGION | {"sz_filter_passed": "u64"}
_INTERVALS: Schema = {"t_ms": "f64", "sample_us": "u64"}
_QUOTA_STEPS: Schema = (
    {"seq": "text", "tuner": "text", "step": "i64", "t_ms": "f64", "n_goals": "u64"}
    | {f"{name}{i}": "u64?" for i in range(3) for name in ("target", "current")}
    | dict.fromkeys(("bytes_cap", "ms_cap", "n_resets_seen", "score_kprobe"), "u64")
    | {"esz_trace": "u64?"}
    | dict.fromkeys(("effective_bytes", "nr_tried", "sz_tried", "qt_exceeds", "nr_snapshots"), "u64")
)


def read_recording(directory: str | Path, *, allow_files: bool = False, kernel: Kernel | None = None) -> Recording:
    """Return the recording of a real kernel that a directory holds: its tables, its settings, what it watched.

    Parameters
    ----------
    directory : str or Path
        Holds any of ``layout.csv``, ``physmap_start.csv``, ``record.csv``, ``resets.csv``, ``applies.csv``,
        ``aggregated.csv``, ``snapshots.csv``, ``intervals.csv``, ``quota_steps.csv`` (each also as ``.csv.gz``),
        ``info.txt``, ``damon_config.txt``, ``weights_changed.txt`` and ``version``, the text of ``/proc/version``; where
        settings were changed while it was recorded, ``damon_config_from_0ms.txt`` and one for each change, named after its
        time; ``events.csv``, when commands ran; ``zoneinfo.txt``, the text of ``/proc/zoneinfo``, for the ranges of
        addresses that nodes have; ``extra.csv``, counters of the kernel's in the rows of ``record.csv``; ``notes.txt``, which
        says what commands changed where no settings do (`tieringmodel.interop.recording.told.changes`). Where several kdamonds
        ran, ``aggregated_k0.csv`` belongs to the first, and so on; so do resets and applies. Other files are left alone.
    allow_files : bool
        They may be symbolic links to files outside of the directory.
    kernel : Kernel, optional
        Which Linux was recorded, whatever ``version`` says.

    Returns
    -------
    Recording
        Arrays are read-only.

    Raises
    ------
    InputError
        If the directory holds none of these, or naming file and line for whatever is broken: cut-off compression,
        missing or unknown columns, rows of another length, cells that are no numbers, unknown segments; a symbolic link
        that leads out of the directory.

    Examples
    --------
    >>> import tieringmodel as tm
    >>> recording = tm.read_recording(tm.data_path("recordings", "C3_pullpush_temporal"))
    >>> recording.name, len(recording.to_scenario().contexts)
    ('C3_pullpush_temporal', 1)
    """
    path = file_name("directory", directory)
    if not path.is_dir():
        raise InputError(str(path), "is not a directory", "give the directory of a run")

    def named(*names: str) -> Path | None:
        found = next((name for name in names if (path / name).exists()), None)
        return None if found is None else inside(path, found, str(path / found), allow_files=allow_files)

    def table(name: str, schema: Schema | Callable[[Sequence[str]], Schema]) -> Table | None:
        file = named(f"{name}.csv", f"{name}.csv.gz")
        return None if file is None else read_csv(file, schema)

    notes: list[str] = []
    layout = table("layout", _layout_schema)
    segments = list(layout["segment"]) if layout is not None else None
    if layout is not None:
        _check_layout(layout)
    physmap = table("physmap_start", _PHYSMAP)
    if physmap is not None and layout is not None:
        _check_physmap(physmap, layout)
    info = _read_info(named("info.txt"))
    contexts: tuple[Context, ...] = ()
    memcg_paths: tuple[str, ...] = ()
    if kernel is None and (found := beside(path, allow_files=allow_files)):
        kernel, of_kernel = found
        notes += of_kernel
    if (config := named("damon_config.txt")) is not None:
        dump = read_dump(config, allow_files=allow_files, kernel=kernel)
        kernel, contexts, notes = dump.kernel, dump.contexts, notes + list(dump.notes)
        memcg_paths = dump.memcg_paths
    settings = [(int(m[1]), named(m[0])) for m in map(_FROM.fullmatch, sorted(p.name for p in path.iterdir())) if m]
    changes = [(at_ms, read_dump(file, allow_files=allow_files, kernel=kernel)) for at_ms, file in sorted(settings) if file]
    if changes:
        memcg_paths = _same_memcgs(path, [(at_ms, dump.memcg_paths) for at_ms, dump in changes])
        contexts = _first_settings(path, [(at_ms, dump.contexts) for at_ms, dump in changes], contexts, notes)
    stages = [(at_ms, dump.contexts) for at_ms, dump in changes]
    untold = named("events.csv") if not changes else None
    if untold and not told.commands(untold):
        untold = None
    if untold and contexts and (said := named("notes.txt")):
        start_of = partial(_settings_beside, path, allow_files, kernel)
        stages = told.changes(untold, said, contexts, start_of) or []
        contexts, untold = (stages[0][1], None) if stages else (contexts, untold)
    weights_changed_ms = _read_weights_changed(named("weights_changed.txt"), info)
    if weights_changed_ms is not None and not stages:
        before = told.earlier_weights(path.resolve().name, contexts)
        which = "the contexts hold those after the change" if before is None else "those before stand in the run's name"
        notes.append(f"{path / 'weights_changed.txt'}: weights were changed at {weights_changed_ms:.0f} ms; {which}")
        if before is not None:
            stages, contexts = [(0, before), (round(weights_changed_ms), contexts)], before
    zoneinfo = named("zoneinfo.txt")
    nodes = from_zoneinfo(read_text(zoneinfo), str(zoneinfo)) if zoneinfo else ()
    zones = watermarks(read_text(zoneinfo), str(zoneinfo)) if zoneinfo else ()
    alone = _tables_of(table, "", notes)
    kdamonds = tuple(_tables_of(table, f"_k{k}", notes) for k in range(len(contexts))) if len(contexts) > 1 else ()
    for resets, context in zip([one.resets for one in kdamonds or (alone,)], contexts, strict=False):
        if resets is not None:
            _check_scores(resets, context)
    recording = Recording(
        path, layout, physmap, table("record", lambda header: _record_schema(header, segments)),
        alone.resets, alone.applies, alone.aggregated, alone.aggregation_rows, table("snapshots", _SNAPSHOTS),
        table("intervals", _INTERVALS), table("quota_steps", _QUOTA_STEPS), info, contexts,
        weights_changed_ms, tuple(notes), kernel,
        tuple(stages[1:]), untold, nodes, table("extra", _extra_schema), kdamonds, zones, memcg_paths,
    )  # fmt: skip
    if layout is not None:
        there = segments_of(layout, memcg_paths)
        notes += [
            f"{path}: no segment of layout.csv is named after memory cgroup {name}: none of its pages are known"
            for i, name in enumerate(memcg_paths, start=1)
            if i not in there
        ]
        recording = replace(recording, notes=tuple(notes))
    if holes := guessed_holes(recording):
        notes.append(
            f"{path}: {told_ranges(holes)} lies between monitored ranges and is taken for a hole: there is no zoneinfo.txt"
        )
        recording = replace(recording, notes=tuple(notes))
    if all(getattr(recording, name) is None for name in ("layout", "record", "resets", "quota_steps", "info")):
        raise InputError(str(path), "holds no recording", "expected layout.csv, record.csv, info.txt, …")
    return recording


def _same_memcgs(path: Path, told: list[tuple[int, tuple[str, ...]]]) -> tuple[str, ...]:
    """Return the memory cgroups of all settings; refuse those in which they come in another order, for they are numbered."""
    longest = max((paths for _, paths in told), key=len)
    for at_ms, paths in told:
        if paths != longest[: len(paths)]:
            text = f"names memory cgroups {', '.join(paths)}, other settings {', '.join(longest)}"
            raise InputError(str(path / f"damon_config_from_{at_ms}ms.txt"), text, "name them in one order")
    return longest


def _first_settings(
    path: Path, settings: list[tuple[int, tuple[Context, ...]]], last: tuple[Context, ...], notes: list[str]
) -> tuple[Context, ...]:
    """Return the contexts of the start; refuse settings that do not begin there, or change how many contexts there are."""
    if settings[0][0]:
        text = f"settings are told from {settings[0][0]} ms on only"
        raise InputError(str(path / "damon_config_from_0ms.txt"), text, "write those of the start, too")
    for at_ms, contexts in settings:
        if len(contexts) != len(settings[0][1]):
            text = f"holds {len(contexts)} contexts, the start {len(settings[0][1])}"
            raise InputError(str(path / f"damon_config_from_{at_ms}ms.txt"), text, "describe every context that runs")
    if last and last != settings[-1][1]:
        notes.append(f"{path / 'damon_config.txt'}: differs from the settings from {settings[-1][0]} ms on, which are taken")
    return settings[0][1]


def _settings_beside(path: Path, allow_files: bool, kernel: Kernel | None, start: str) -> tuple[Context, ...] | None:
    """Return the settings of the one run beside this one whose name starts so; None if there is none, or more than one."""
    runs = [run for run in path.resolve().parent.glob(f"{start}_*") if (run / "damon_config.txt").is_file()]
    if len(runs) != 1:
        return None
    file = inside(runs[0], "damon_config.txt", str(runs[0] / "damon_config.txt"), allow_files=allow_files)
    return read_dump(file, allow_files=allow_files, kernel=kernel).contexts


def _tables_of(
    table: Callable[[str, Schema | Callable[[Sequence[str]], Schema]], Table | None], suffix: str, notes: list[str]
) -> KdamondTables:
    """Return what was recorded of one kdamond; where there are several, its number stands in the files' names."""
    aggregated = table(f"aggregated{suffix}", _aggregated_schema)
    rows = None if aggregated is None else _first_rows(aggregated, notes)
    return KdamondTables(table(f"resets{suffix}", _RESETS), table(f"applies{suffix}", _APPLIES), aggregated, rows)


def _check_scores(resets: Table, context: Context) -> None:
    """Refuse resets without a score of schemes that have goals."""
    for row, (scheme, score) in enumerate(zip(resets["scheme"].tolist(), resets["score"], strict=True)):
        if score is None and 0 <= scheme < len(context.schemes) and context.schemes[scheme].quota.goals:
            raise InputError(resets.where(row), "score is '', and the scheme has goals", "write the score")


def _aggregated_schema(header: Sequence[str]) -> Schema:
    """Return the columns of aggregations: with their regions, or one row for each without any."""
    return _AGGREGATION | _REGION if any(name in header for name in _REGION) else _AGGREGATION


def _extra_schema(header: Sequence[str]) -> Schema:
    """Return the columns of what was recorded besides: any number of counters of the kernel's, by its names."""
    return {"t_ms": "f64"} | {name: "i64" for name in header if name != "t_ms"}


def _layout_schema(header: Sequence[str]) -> Schema:
    phases = [name for name in header if PHASE.fullmatch(name)] or ["rate_hz_from_0ms"]
    fixed = {"segment": "text", "va_start": "u64", "va_end": "u64", "pages": "u64", "init_node": "i64"}
    return fixed | dict.fromkeys(phases, "f64")


def _record_schema(header: Sequence[str], segments: Sequence[str] | None) -> Schema:
    """Return the columns for as many nodes and schemes as the header names, and for every segment."""

    def ids(pattern: str) -> list[int]:
        return sorted({int(m[1]) for m in (re.fullmatch(pattern, name) for name in header) if m}) or [0]

    nodes = ids(r"n(\d+)_(?:total|free)_kb")
    kinds = {"t_ms": "f64"} | {f"n{i}_{part}_kb": "u64" for i in nodes for part in ("total", "free")}
    kinds |= {"pgmigrate_success": "u64", "pgmigrate_fail": "u64"}
    for i in ids(r"s(\d+)_(?:" + "|".join((*_STATS, "effective_bytes")) + ")"):
        kinds |= {f"s{i}_{name}": "u64" for name in (*_STATS, "effective_bytes")}
    if segments is None:
        matches = (re.fullmatch(r"(.+)_touches", name) for name in header)
        segments = [m[1] for m in matches if m]
    for name in segments:
        kinds |= {f"{name}_n{i}_pages": "u64" for i in nodes} | {f"{name}_touches": "u64"}
    return kinds | {"ticks": "u64", "missed_ticks": "u64", "rec_cost_ms": "f64"}


def _check_layout(layout: Table) -> None:
    """Refuse segments that are empty, unaligned, overlapping, named twice, or of another size than their pages."""
    starts, ends, pages = (layout[name] for name in ("va_start", "va_end", "pages"))
    names = list(layout["segment"])
    if not names:
        raise InputError(f"{layout.path}:1", "lists no segment", "give one row for each segment")
    for i, (start, end, count) in enumerate(zip(starts.tolist(), ends.tolist(), pages.tolist(), strict=True)):
        if count == 0 or end - start != count * PAGE_SZ or start % PAGE_SZ:
            text = f"va_end {end} is not {count} pages (1 or more) after the page address va_start {start}"
            raise InputError(layout.where(i), text, "correct the row")
        if names[i] in names[:i]:
            raise InputError(layout.where(i), f"segment {names[i]!r} stands twice", "name segments differently")
        if any(start < ends[j] and starts[j] < end for j in range(i)):
            raise InputError(layout.where(i), f"segment {names[i]!r} overlaps another", "correct the addresses")
    phases = [int(m[1]) for m in map(PHASE.fullmatch, layout) if m]
    if phases[0] != 0 or phases != sorted(set(phases)):
        text = f"phases start at {', '.join(map(str, phases))} ms"
        raise InputError(f"{layout.path}:1", text, "let the first start at 0 and each later one after it")
    for name in layout:
        if PHASE.fullmatch(name) and (layout[name] < 0).any():
            row = int(np.argmax(layout[name] < 0))
            raise InputError(layout.where(row), f"{name} is {layout[name][row]}", "write accesses per second")


def _check_physmap(physmap: Table, layout: Table) -> None:
    """Refuse runs of unknown segments, outside of them, unaligned, or overlapping in either address space."""
    index = {name: i for i, name in enumerate(layout["segment"])}
    bounds = list(zip(layout["va_start"].tolist(), layout["va_end"].tolist(), strict=True))
    for row, name in enumerate(physmap["segment"]):
        if name not in index:
            raise InputError(physmap.where(row), f"segment {name!r} is unknown", suggest(name, index))
        va, pa, size = (int(physmap[column][row]) for column in ("va_start", "pa_start", "bytes"))
        low, high = bounds[index[name]]
        if size == 0 or any(value % PAGE_SZ for value in (va, pa, size)) or va < low or va + size > high:
            text = f"run of {size} bytes at {va} is empty, not whole pages, or outside segment {name!r}"
            raise InputError(physmap.where(row), text, f"the segment is {low}..{high}")
        if pa + size >= 2**63:
            raise InputError(physmap.where(row), f"{size} bytes at pa_start {pa} end beyond 2**63", "correct the address")
    for column in ("va_start", "pa_start"):
        order = np.argsort(physmap[column], kind="stable")
        starts, sizes = physmap[column][order], physmap["bytes"][order]
        clash = np.flatnonzero(starts[:-1] + sizes[:-1] > starts[1:])
        if clash.size:
            row = int(order[clash[0] + 1])
            raise InputError(physmap.where(row), f"{column} {physmap[column][row]} overlaps another run", "remove one")


def _first_rows(aggregated: Table, notes: list[str]) -> NDArray[np.int64]:
    """Return the first row of each aggregation, and the number of rows; note aggregations that are not whole."""
    agg = aggregated["agg"]
    steps = np.diff(agg, prepend=-1)
    if ((steps != 0) & (steps != 1)).any():
        row = int(np.argmax((steps != 0) & (steps != 1)))
        text = f"agg is {agg[row]} after {agg[row - 1] if row else 'the header'}"
        raise InputError(aggregated.where(row), text, "number aggregations 0, 1, 2, …")
    rows = np.append(np.flatnonzero(steps), agg.size).astype(np.int64)
    for k, (first, count) in enumerate(zip(rows[:-1], np.diff(rows), strict=True)):
        if "start" in aggregated and aggregated["nr_regions"][first] != count:
            stated = aggregated["nr_regions"][first]
            notes.append(f"{aggregated.where(int(first))}: aggregation {k} holds {count} of {stated} regions")
    rows.setflags(write=False)
    return rows


def _read_info(path: Path | None) -> dict[str, float] | None:
    """Return ``key value`` lines as numbers."""
    if path is None:
        return None
    info: dict[str, float] = {}
    for i, line in enumerate(read_text(path).splitlines(), start=1):
        pair = line.split()
        if len(pair) != 2 or pair[0] in info:
            raise InputError(f"{path}:{i}", f"{line!r} is no new 'key value' line", "write e.g. tick_ms 20")
        info[pair[0]] = number(pair[1], f"{path}:{i}")
    return info


def _read_weights_changed(path: Path | None, info: Mapping[str, float] | None) -> float | None:
    """Return the time of a change of weights; the file quotes ``/proc/uptime`` (seconds since boot, and idle)."""
    if path is None:
        return None
    changed = re.search(r"weights changed at (\d+(?:\.\d+)?)(?:\s|$)", read_text(path))
    if not changed or not info or "t0_mono_ms" not in info:
        raise InputError(f"{path}:1", "gives no time since boot, or info.txt no t0_mono_ms", "write both")
    return float(changed[1]) * 1_000 - info["t0_mono_ms"]
