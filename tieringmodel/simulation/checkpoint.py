"""A run's whole state in one file, from which it goes on as if it had never stopped.

The file is an uncompressed ``.npz``: plain arrays, and one JSON text that holds everything else with a digest over
all of them. Nothing in it is executed or unpickled. What follows from the scenario is not stored but made again.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from .._version import __version__
from ..atomic import replacing
from ..damon.commit import commit
from ..damon.kdamond import STAT_FIELDS, EarlyExit, Kdamond
from ..damon.regions import RegionSet
from ..damon.weighted import WeightedMigrate
from ..datasets.read import BROKEN_ARCHIVE
from ..errors import InputError
from ..kernels._jit import source_digest
from ..kernels.layout import (
    AT_BACK,
    AT_FRONT,
    CLASS_MASK,
    FAULTED,
    LOG_LENGTH,
    LOOKED,
    LOW32,
    NO_FRAME,
    RECLAIMED,
    SHIFT32,
    STALLED,
    TOUCHED,
    Memory,
)
from ..scenario import Attrs, Context, Scenario
from .engine import MAX_TRACKED_TICK, Engine

if TYPE_CHECKING:
    from .recorder import Recorder

FORMAT = 1
Arrays = dict[str, npt.NDArray[Any]]
_TICKS = ("passed", "tick", "next_aggregation", "next_ops_update", "next_tune", "next_apply", "sz_limit", "aggregations")
_QUOTA = ("esz_bp", "charged_from", "total_charged_sz", "score", "resets", "goals", "last_totals")
_LAG = ("detected", "base", "peak", "delta", "slot", "cooldown", "active", "last_ms")
_COLUMNS = (
    "due", "active", "esz", "charged_sz", "total_charged_ns", "charge_target", "charge_addr", "min_score", "quota_set",
    *STAT_FIELDS, "last_applied",
)  # fmt: skip
_DEALT = ("done", "dealt_in")


def save(path: str | Path, engine: Engine, recorder: Recorder | None = None) -> Path:
    """Write the state of a run that stands between two events.

    Parameters
    ----------
    path : str or Path
        File to write; replaced as a whole, or left as it was.
    engine : Engine
        A run, between two calls of its ``run`` or ``run_lockstep``.
    recorder : Recorder, optional
        What it has recorded so far.

    Returns
    -------
    Path

    Raises
    ------
    InputError
        If a context has sources of hotness.
    """
    for i, context in enumerate(engine.scenario.contexts):
        if context.sources:
            text = "keep a state of their own that no file can hold"
            raise InputError(f"contexts[{i}].sources", text, "run without checkpoint, or with accessed bits")
    arrays: Arrays = {}
    tree: dict[str, Any] = {
        "format": FORMAT,
        "version": __version__,
        "kernels": source_digest(),
        "scenario": engine.given.to_json(),
        "seed": engine.seed,
        "started": engine.started,
        "stages_left": len(engine.stages),
        "clocks": [[c.last_ns, c.start_ns, c.wait_ns] for c in engine.clocks],
        "kdamonds": [_kdamond(k, f"kdamond{i}.", arrays) for i, k in enumerate(engine.kdamonds)],
        "memory": _memory(engine, arrays),
    }
    if recorder:
        tree["recorder"] = recorder.state(arrays)
    text = json.dumps(tree, default=int)
    named = {"digest": np.array(_digest(arrays, text)), "json": np.frombuffer(text.encode(), np.uint8), **arrays}
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez(file, **named)  # type: ignore[arg-type]
    return Path(path)


def load(path: str | Path, recorder: Recorder | None = None, **engine: Any) -> Engine:
    """Return the run whose state a file holds; going on with it gives what never stopping would have given.

    Parameters
    ----------
    path : str or Path
        Written by `save` of the same version of the package.
    recorder : Recorder, optional
        Takes up the records; a file saved without any is refused then.
    **engine
        `Engine`'s ``observer``, ``actions`` and ``log_moves``, as they were.

    Returns
    -------
    Engine

    Raises
    ------
    InputError
        If the file is missing, damaged, of another version, or does not fit its own scenario.
    """
    tree, arrays = read(path)
    try:
        return _restored(tree, arrays, recorder, engine)
    except InputError:
        raise
    except (KeyError, TypeError, ValueError, IndexError, OverflowError, AttributeError) as error:
        raise InputError(str(path), f"does not fit its own scenario: {error}", _REMEDY) from None


_REMEDY = "remove it and start the run anew"


def read(path: str | Path) -> tuple[dict[str, Any], Arrays]:
    """Return the JSON part and the arrays of a checkpoint, after checking that it is whole and of this version."""
    try:
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as stored:
            if any(i.compress_type != zipfile.ZIP_STORED for i in stored.zip.infolist()):
                raise InputError(str(path), "holds compressed parts, which no checkpoint has", _REMEDY)
            arrays = {name: stored[name] for name in stored.files}
        digest, text = str(arrays.pop("digest")), arrays.pop("json").tobytes().decode()
        tree = json.loads(text)
        intact = digest == _digest(arrays, text) and isinstance(tree, dict)
    except InputError:
        raise
    except OSError as error:
        raise InputError(str(path), f"cannot be read: {error.strerror or error}", "name an existing checkpoint") from None
    except BROKEN_ARCHIVE as error:
        raise InputError(str(path), f"is no checkpoint: {error}", _REMEDY) from None
    if not intact:
        raise InputError(str(path), "is damaged, its digest differs", _REMEDY)
    written = tuple(tree.get(name) for name in ("format", "version", "kernels"))
    if written != (FORMAT, __version__, source_digest()):
        raise InputError(str(path), f"was written by another build ({written[1]}, {written[2]})", _REMEDY)
    return tree, arrays


def _digest(arrays: Mapping[str, npt.NDArray[Any]], text: str) -> str:
    digest = hashlib.sha256(text.encode())
    for name in sorted(arrays):
        a = arrays[name]
        digest.update(f"{name} {a.dtype.str if a.dtype.names is None else a.dtype.descr} {a.shape}".encode())
        digest.update(np.ascontiguousarray(a).tobytes())
    return digest.hexdigest()


# ---- what is stored ---------------------------------------------------------------------------------------------------


def _memory(engine: Engine, arrays: Arrays) -> dict[str, Any]:
    memory = engine.memory
    for name, array in zip(memory.arrays.layout, memory.arrays, strict=True):
        arrays[f"memory.{name}"] = array[: int(memory.arrays.clock[LOG_LENGTH])] if name == "log" else np.asarray(array)
    for i, taken in enumerate(memory.offline):
        arrays[f"offline{i}"] = taken
    return {"page_lists": memory.page_lists.state() if memory.page_lists else None}


def _kdamond(k: Kdamond, name: str, arrays: Arrays) -> dict[str, Any]:
    for column, values in k.regions.columns().items():
        arrays[name + column] = values
    arrays[name + "ptr"], arrays[name + "rng"], arrays[name + "buffer"] = k.regions.ptr.copy(), k.rng.state, k.rng.buffer
    arrays[name + "frames"] = k._frames
    for column in _COLUMNS:
        arrays[name + column] = np.array(k.schemes[column])
    dealt = {}
    for i, action in k.actions.items():
        if (inner := _weighted(action)) is not None:
            dealt[str(i)] = [inner.passes, inner.rmap_walks]
            for part in _DEALT:
                arrays[f"{name}{part}{i}"] = getattr(inner, part)
    return {
        "context": k.context.to_dict(),
        "pending": k.pending is not None,
        "attrs": k.attrs.to_dict(),
        "split": [k.split_state.last_nr_regions, k.split_state.rotation],
        "ticks": {t: getattr(k, t) for t in _TICKS},
        "quotas": [
            {f: getattr(q, f) for f in _QUOTA} | {"lags": [lag and {f: getattr(lag, f) for f in _LAG} for lag in q.lags]}
            for q in k.quotas
        ],
        "dealt": dealt,
    }


def _weighted(action: Any) -> WeightedMigrate | None:
    inner = action.inner if isinstance(action, EarlyExit) else action
    return inner if isinstance(inner, WeightedMigrate) else None


# ---- and put back -----------------------------------------------------------------------------------------------------


def _restored(tree: dict[str, Any], arrays: Arrays, recorder: Recorder | None, options: dict[str, Any]) -> Engine:
    engine = Engine(Scenario.from_json(tree["scenario"]), tree["seed"], **options)
    while len(engine.stages) > tree["stages_left"]:
        engine.scenario = engine.stages.pop(0)[1]
    present = engine.scenario
    _check_memory(engine, arrays)
    for name, array in zip(engine.memory.arrays.layout, engine.memory.arrays, strict=True):
        array[: arrays[f"memory.{name}"].shape[0]] = arrays[f"memory.{name}"]
    counted = engine.memory.recount()
    if any((counted[name] != getattr(engine.memory.arrays, name)).any() for name in counted if "_" in name):
        raise ValueError("the memory's counters contradict its bitmaps")
    engine.memory.offline = [arrays[f"offline{i}"] for i in range(len(engine.memory.offline))]
    if engine.memory.page_lists:
        engine.memory.page_lists.restore(tree["memory"]["page_lists"])
    contexts = tuple(Context.from_dict(one["context"]) for one in tree["kdamonds"])
    engine.scenario = present.replace(contexts=contexts, events=())
    for i, (k, one) in enumerate(zip(engine.kdamonds, tree["kdamonds"], strict=True)):
        if contexts[i] != k.context:
            made = engine.make_actions(engine, i) if engine.make_actions else {}
            commit(k, contexts[i], made, engine.space(contexts[i], f"contexts[{i}].targets")[1])
        _put_kdamond(k, one, arrays, f"kdamond{i}.")
    engine.scenario = present
    for i, (k, one) in enumerate(zip(engine.kdamonds, tree["kdamonds"], strict=True)):
        if one["pending"]:
            k.pending = engine.commit_later(i)
    engine.started = tree["started"]
    for clock, times in zip(engine.clocks, tree["clocks"], strict=True):
        clock.last_ns, clock.start_ns, clock.wait_ns = times
    if recorder:
        if "recorder" not in tree:
            raise InputError("recorder", "the checkpoint holds no records", _REMEDY)
        recorder.engine = engine
        recorder.restore(tree["recorder"], arrays)
    return engine


def _check_memory(engine: Engine, arrays: Arrays) -> None:
    """Refuse arrays that kernels could not follow: of other shapes, pages on frames that do not hold them, and so on."""
    m = engine.memory.arrays
    for name, array in zip(m.layout, m, strict=True):
        stored = arrays[f"memory.{name}"]
        fits = stored.size <= array.size if name == "log" else stored.shape == array.shape
        if not fits or stored.dtype != array.dtype:
            raise ValueError(f"memory.{name} is {stored.dtype}{stored.shape}, not {array.dtype}{array.shape}")
    given = Memory(*(arrays[f"memory.{name}"] for name in m.layout))
    frames, n_pages = m.rec.size, engine.memory.n_pages
    page = (given.rec & LOW32).astype(np.int64) - 1
    at = np.flatnonzero(page >= 0)
    out = _check_out(engine, given)
    held_once = np.concatenate((page[at], out))
    known = ((held_once >= 0) & (held_once < n_pages)).all()
    if held_once.size != n_pages or not known or (np.bincount(held_once, minlength=n_pages) != 1).any():
        raise ValueError("memory.rec and memory.out do not hold every page once")
    frame_of = np.full(n_pages, NO_FRAME, np.int64)
    frame_of[page[at]] = at
    if m.frame_of.size and (given.frame_of != frame_of).any():
        raise ValueError("memory.frame_of and memory.rec contradict each other")
    for name in ("base", "frames", "pfn"):
        if (getattr(given, name) != getattr(m, name)).any():
            raise ValueError(f"memory.{name} is not that of the machine")
    node, was = given.node, m.node
    tops = {"hint": m.free_512.size, "head": frames, "tail": frames}
    bad = [n for n in ("policy", "try_all", "key") if (node[n] != was[n]).any()]
    bad += [n for n, top in tops.items() if (node[n] < -1).any() or (node[n] > top).any()]
    links = given.rec >> SHIFT32
    held = np.zeros(frames, np.bool_)
    held[at] = True
    if (links[~held] > frames).any() or (given.rec[~held] & LOW32).any():
        bad.append("rec")
    on = np.searchsorted(m.base, at, side="right") - 1
    cell = on * m.by_class.shape[1] + (links[at] & CLASS_MASK).astype(np.int64)
    counted = np.bincount(cell, minlength=m.by_class.size)
    if counted.size != m.by_class.size or (counted.reshape(m.by_class.shape) != given.by_class).any():
        bad.append("by_class")
    if (np.unpackbits(given.lru_bits.view(np.uint8), bitorder="little").astype(bool) != held).any():
        bad.append("lru_bits")
    if bad or given.clock[LOG_LENGTH] > m.log.size:
        raise ValueError(f"{', '.join(bad) or 'log'} of its memory contradict the rest")


def _check_out(engine: Engine, given: Memory) -> npt.NDArray[np.int64]:
    """Return the pages that are out, after checking that their records are ones that `fault_in` can put back."""
    swap, size = given.swap, given.out.size
    front, back = int(swap[AT_FRONT]), int(swap[AT_BACK])
    counts = bool((swap >= 0).all()) and front + back <= size and swap[STALLED] <= front
    if not counts or front + back != swap[RECLAIMED] - swap[FAULTED] or swap[LOOKED] > MAX_TRACKED_TICK:
        raise ValueError("memory.swap contradicts itself")
    record = np.concatenate((given.out[:front], given.out[size - back :]))
    waits = (record & TOUCHED) != 0
    cls = ((record & ~TOUCHED) >> SHIFT32).astype(np.int64)
    number, first = cls & int(CLASS_MASK), engine.access.arrays.first
    known = (cls >> 17 == 0) & (number < first.size - 1)
    if not known.all() or np.flatnonzero(waits).size != swap[STALLED] or waits[front:].any():
        raise ValueError("memory.out holds no pages of this run")
    touchable = first[number] < first[number + 1]
    if not touchable[:front].all() or touchable[front:].any():
        raise ValueError("memory.out holds pages where they are not looked for")
    return (record & LOW32).astype(np.int64) - 1


def _put_kdamond(k: Kdamond, one: dict[str, Any], arrays: Arrays, name: str) -> None:
    ptr, columns = arrays[name + "ptr"], [arrays[name + c] for c in ("start", "end", "nr", "last", "age")]
    rows = list(zip(*(c.tolist() for c in columns), strict=True))
    if ptr.shape != k.regions.ptr.shape or ptr[0] != 0 or ptr[-1] != len(rows) or (np.diff(ptr) < 0).any():
        raise ValueError(f"{name}ptr does not divide the regions")
    if any(a >= b for a, b, *_ in rows):
        raise ValueError(f"{name}start and end hold an empty region")
    k.regions = RegionSet([rows[a:b] for a, b in zip(ptr[:-1].tolist(), ptr[1:].tolist(), strict=True)])
    k.rng.state[:] = arrays[name + "rng"]
    k.rng = replace(k.rng, buffer=np.ascontiguousarray(arrays[name + "buffer"], np.uint32))
    k._frames = np.ascontiguousarray(arrays[name + "frames"], np.int64)
    if ((k._frames < -1) | (k._frames >= k.memory.arrays.rec.size)).any():
        raise ValueError(f"{name}frames lead out of memory")
    for column in _COLUMNS:
        k.schemes[column] = arrays[name + column]
    k.attrs = Attrs.from_dict(one["attrs"])
    k.split_state.last_nr_regions, k.split_state.rotation = one["split"]
    for field in _TICKS:
        setattr(k, field, one["ticks"][field])
    for quota, values in zip(k.quotas, one["quotas"], strict=True):
        for field in _QUOTA:
            setattr(quota, field, values[field])
        quota.goals = [(value, target) for value, target in quota.goals]
        for lag, kept in zip(quota.lags, values["lags"], strict=True):
            for field in _LAG if lag else ():
                setattr(lag, field, kept[field])
    for i, (passes, walks) in one["dealt"].items():
        inner = _weighted(k.actions[int(i)])
        assert inner is not None
        inner.passes, inner.rmap_walks = passes, walks
        for part in _DEALT:
            setattr(inner, part, arrays[f"{name}{part}{i}"])
