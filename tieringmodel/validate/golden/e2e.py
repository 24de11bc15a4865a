"""Golden whole runs of ``kdamond_fn``: the model repeats them and every recorded value is compared."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ...damon import goals
from ...damon.commit import NOWHERE
from ...damon.kdamond import Kdamond
from ...damon.rng import Rng, kernel_rng
from ...damon.table import STAT_FIELDS
from ...datasets.read import BROKEN_ARCHIVE
from ...errors import InputError, quoted
from ...given_files import inside
from ...interop.recording.tables import MOST_BYTES
from ...kernels import turn
from ...kernels.layout import BOOT_JIFFIES
from ...scenario import Scenario
from ...simulation.engine import Engine
from ...units import LONGEST_US, PAGE_SZ
from ..case import Case
from . import format2
from .e2e_draws import SAMPLING, draw_differences, recorded_streams, split_site, stated_differences
from .run_keys import SECOND, check_first, check_trace, form_of
from .scheme_json import attrs_fields, filter_fields, group_fields, scheme_fields

MOST_TICKS = 10**7
MOST_JIFFIES = 2**32
_SYSBP = {(0, 0): "v1-literal", (1, 0): "v1-intent-resident", (1, 1): "v1-intent-share", (0, 1): "frames-share"}


def _goal(g: Mapping[str, Any]) -> dict[str, Any]:
    course = [list(pair) for pair in g.get("user_input", [])]
    return {"metric": g["metric"], "target_value": g["target"], "nid": g["nid"], "current_values": course}


def _sysbp(g: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "metric": "node_sys_bp:" + _SYSBP[g["count"], g["denom"]],
        # The clamp keeps the target at or below 10000 where there is one.
        "target_value": g["target"] if g["denom"] else min(g["target"], 10_000),
        "nid": g["nid"],
        "complement": bool(g["complement"]),
        "clamp": "none" if g["denom"] else "tuner",
        "early_exit": "both_fresh" if g["early_exit"] else "none",
    }


def _scheme(s: Mapping[str, Any]) -> dict[str, Any]:
    goals = [*map(_goal, s["goals"]), *map(_sysbp, s["sysbp"])]
    fields = scheme_fields(s, goals, [filter_fields(f) for f in s["filters"]])
    return fields | {"target_nid": s["target_nid"], "max_nr_snapshots": s.get("max_nr_snapshots", 0)}


def _context(c: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "attrs": attrs_fields(c),
        "targets": [{"regions": [list(r) for r in c["ranges"]]}],
        "min_region_sz": c["min_region_sz"],
        "schemes": [_scheme(s) for s in c["schemes"]],
        "rng_seed": c["seed"],
    }


def scenario_of(run: Mapping[str, Any]) -> Scenario:
    """Return the scenario that a golden run's JSON describes, of either format."""
    if form_of(run) == SECOND:
        return format2.scenario_of(run)
    check_first(run)
    mem = run["mem"]
    base = mem["base_pfn"] * PAGE_SZ
    size0, size1 = mem["node0_pages"] * PAGE_SZ, mem["node1_pages"] * PAGE_SZ
    reserve = run["reserve"]
    nodes = [
        {"nid": 0, "start_bytes": base, "sz_bytes": size0, "reserve_pages": reserve[0]},
        {
            "nid": 1,
            "start_bytes": base + size0 + mem["hole_pages"] * PAGE_SZ,
            "sz_bytes": size1,
            "reserve_pages": reserve[1],
        },
    ]
    machine = {"nodes": nodes, "hz": run["hz"], "on_full": "try_all", "migrate_ns_per_page": run["cost_ns_per_page"]}
    workload = {
        "n_pages": run["logical"],
        "groups": [group_fields(g) for g in run["groups"] if g["hi"] > g["lo"]],
        "placement": [{"lo": lo, "hi": hi, "nid": nid} for lo, hi, nid in run["place"] if hi > lo],
    }
    contexts = [_context(c) for c in run["ctxs"]]
    whole = {"machine": machine, "workload": workload, "contexts": contexts, "name": run["name"]}
    return Scenario.from_dict(whole | ({"kernel": run["kernel"]} if "kernel" in run else {}))


class Trace:
    """An observer that writes down what a golden run's arrays hold, and brings pages back when such a run does."""

    wants = turn.EVERYTHING | turn.LOOK_DUE

    def __init__(self) -> None:
        self.handed: dict[tuple[int, int, int], tuple[int, int]] = {}
        self.rows: dict[str, list[dict[str, npt.NDArray[Any] | int]]] = {
            k: [] for k in ("regA", "regB", "scheme", "goal", "node", "events", "runs")
        }
        self.taken: dict[int, int] = {}

    def regions(self, name: str, k: Kdamond) -> None:
        """Append the context's regions."""
        r, n = k.regions, k.regions.n
        target = np.repeat(np.arange(r.ptr.size - 1), np.diff(r.ptr))
        self.rows[name].append(
            {
                "tick": np.full(n, k.tick),
                "ctx": np.full(n, k.index),
                "target": target,
                "start": r.now.start[:n] // np.uint64(PAGE_SZ),
                "end": r.now.end[:n] // np.uint64(PAGE_SZ),
                "nr_accesses": r.now.nr[:n].copy(),
                "last_nr_accesses": r.now.last[:n].copy(),
                "age": r.now.age[:n].copy(),
            }
        )

    def aggregated(self, kdamond: Kdamond) -> None:
        """Record the regions after merging."""
        self.regions("regA", kdamond)
        fault_in(kdamond)

    def applied(self, kdamond: Kdamond, events: npt.NDArray[Any]) -> None:
        """Record the regions handed to actions."""
        n = len(events)
        self.rows["events"].append(
            {
                "tick": np.full(n, kdamond.tick),
                "ctx": np.full(n, kdamond.index),
                "scheme": events["scheme"].copy(),
                "target": events["target"].copy(),
                "start": events["start"].copy(),
                "end": events["end"].copy(),
                "nr_accesses_mvsum": events["mvsum"].copy(),
                "age": events["age"].copy(),
                "score": events["score"].copy(),
                "sz_applied": events["sz_applied"].copy(),
                "sz_filter_passed": events["sz_filter_passed"].copy(),
                "early_exit": events["early_exit"].copy(),
            }
        )

    def finished(self, kdamond: Kdamond, aggregation: bool) -> None:
        """Record schemes, goals and nodes at the end of the body."""
        k = kdamond
        if aggregation:
            self.drawn(k, split_site(k), k.tick)
            self.regions("regB", k)
        for i, (row, quota) in enumerate(zip(k.schemes, k.quotas, strict=True)):
            self.rows["scheme"].append(
                {
                    "tick": k.tick, "ctx": k.index, "scheme": i, "esz": row["esz"], "esz_bp": quota.esz_bp,
                    "charged_sz": row["charged_sz"], "total_charged_sz": quota.total_charged_sz,
                    "total_charged_ns": row["total_charged_ns"], "charged_from_jiffies": quota.charged_from,
                    "charge_target_plus1": row["charge_target"] % NOWHERE, "charge_addr_from": row["charge_addr"],
                    "min_score": row["min_score"], **{f: row[f] for f in STAT_FIELDS},
                    "next_apply_sis": k.next_apply[i], "sample_us": k.attrs.sample_us, "aggr_us": k.attrs.aggr_us,
                    "active": row["active"],
                }
            )  # fmt: skip
            for j, (value, target) in enumerate(self._handed(k, i, quota.goals)):
                self.rows["goal"].append(
                    {
                        "tick": k.tick,
                        "ctx": k.index,
                        "scheme": i,
                        "goal": j,
                        "current": value,
                        "target": target,
                    }
                )
        self._node(k)

    def drawn(self, k: Kdamond, site: int, tick: int) -> None:
        """Record the raw draws that a context took since it was last asked."""
        count = k.rng.taken - self.taken.get(k.index, 0)
        if count:
            self.taken[k.index] = k.rng.taken
            self.rows["runs"].append({"tick": tick, "ctx": k.index, "site": site, "count": count})

    def due(self, k: Kdamond) -> None:
        """Keep what the run hands to the core as ``node_sys_bp``: measured when a scheme is due, before any quota is set."""
        fault_in(k)
        for i, scheme in enumerate(k.context.schemes):
            for j, goal in enumerate(scheme.quota.goals):
                if goal.metric.startswith("node_sys_bp"):
                    self.handed[k.index, i, j] = goals.measure(k.view(i, j), goal)

    def _handed(self, k: Kdamond, i: int, used: list[tuple[int, int]]) -> list[tuple[int, int]]:
        """Goal values as handed to the core: of ``user_input`` and ``node_sys_bp`` whether or not they were used yet."""
        out = []
        for j, goal in enumerate(k.context.schemes[i].quota.goals):
            pair = self.handed.get((k.index, i, j), used[j])
            out.append((goals.user_input(goal, k.input_now()), pair[1]) if goal.metric == "user_input" else pair)
        return out

    def _node(self, k: Kdamond) -> None:
        memory = k.memory
        used, node = memory.used_pages(), memory.arrays.node
        self.rows["node"].append(
            {
                "tick": k.tick,
                "ctx": k.index,
                "used0": used[0],
                "used1": used[1],
                "migrated_total": int(node["migrated_in"].sum()),
                "alloc_failed_total": int(node["alloc_failed"].sum()),
                "owner_crc32": memory.owner_crc32(),
                "jiffies": k.jiffies,
                "clock_ns": memory.now_ns,
                "lru_active": int(node["active"].sum()),
                "out": memory.out_pages,
            }
        )

    def column(self, name: str, column: str) -> npt.NDArray[np.uint64] | None:
        """Return a recorded column as uint64, or None if the model has no such column."""
        rows = self.rows[name]
        if rows and column not in rows[0]:
            return None
        if not rows:
            return np.zeros(0, np.uint64)
        return np.concatenate([np.atleast_1d(np.asarray(r[column])).astype(np.uint64) for r in rows])


def fault_in(k: Kdamond) -> None:
    """Bring touched pages back, as recorded runs do: where an aggregation or, with commits taken over, a scheme is due."""
    if k.memory.reclaims:
        k.memory.fault_in(k.access.arrays, k.tick)


class _TickEngine(Engine):
    """The engine with `Trace` told of draws, and user input read by tick number."""

    trace: Trace
    monitors_nothing = True

    def drawn(self) -> int:
        """Return how many numbers all contexts have drawn. A lone one prepares a sample when it checks; the kernel, before."""
        ahead = 0 if self.tracked else sum(c.kdamond.regions.n for c in self.clocks if not c.wait_ns)
        return ahead + sum(k.rng.taken for k in self.kdamonds)

    def _prepare(self, k: Kdamond) -> None:
        super()._prepare(k)
        self.trace.drawn(k, SAMPLING, k.tick)

    faults_in = False
    """The trace brings pages back: a sleeping context brings back nothing here, and commits come first."""

    def _fault_in(self, k: Kdamond | None, tick: int) -> None:
        """Leave it to the trace."""

    def _check(self, k: Kdamond, tick: int) -> None:
        super()._check(k, tick)
        # A lone context prepares and checks at once; in the kernel the loop body before has prepared.
        self.trace.drawn(k, SAMPLING, tick - 1)

    def replay(self, run: Mapping[str, Any], trace: Trace) -> None:
        self.trace, self.owner_initial_crc32 = trace, self.memory.owner_crc32()
        for k in self.kdamonds:
            k.turn["by_ticks"] = not run.get("clocked")
            k.turn["jiffies0"] = run.get("jiffies0", BOOT_JIFFIES)
            k.on_due = trace.due
            trace.regions("regB", k)

        if run.get("clocked"):
            self.run_to(run["duration_us"] * 1000)
            return

        self.run_lockstep(run["ticks"], lambda tick: self.fire(tick * 1000))  # the times of what changes are ticks


def replay(run: Mapping[str, Any], rngs: list[Rng] | None = None) -> tuple[_TickEngine, Trace]:
    """Run a golden run's scenario; returns the engine after the last tick and what was recorded.

    Parameters
    ----------
    run : mapping
        The run's JSON.
    rngs : list of Rng, optional
        Recorded draws per context; by default the kernel's generator seeded as the file says.
    """
    trace = Trace()
    streams = rngs or [kernel_rng(c["seed"]) for c in run["ctxs"]]
    engine = _TickEngine(scenario_of(run), rngs=streams, observer=trace)
    engine.replay(run, trace)
    return engine, trace


def _differences(trace: Trace, arrays: Mapping[str, npt.NDArray[Any]], file: str) -> Iterator[tuple[int, str]]:
    """Yield (values compared, first difference or "") per column."""
    for key, expected in arrays.items():
        name, _, column = key.partition(".")
        if name not in trace.rows:
            continue
        got = trace.column(name, column)
        if got is None:
            yield 0, f"{file}: {key}: the model records no such column"
            continue
        want = expected.astype(np.uint64)
        n = min(got.size, want.size)
        bad = np.flatnonzero(got[:n] != want[:n])
        if bad.size:
            i = int(bad[0])
            tick = int(arrays[f"{name}.tick"][i])
            yield n, f"{file}: step {tick}, {key}[{i}]: expected {want[i]}, got {got[i]}"
        elif got.size != want.size:
            yield n, f"{file}: {key}: expected {want.size} rows, got {got.size}"
        else:
            yield n, ""


def _check_size(archive: zipfile.ZipFile, path: Path) -> None:
    """Refuse an archive that unfolds to more than memory should hold."""
    unpacked = sum(info.file_size for info in archive.infolist())
    if unpacked > MOST_BYTES:
        raise InputError(str(path), f"holds {unpacked >> 20} MiB, unpacked", f"stay within {MOST_BYTES >> 20} MiB")


def case(path: Path) -> list[Case]:
    """Replay one ``e2e_*.json`` from the recorded draws and from the kernel's generator.

    Parameters
    ----------
    path : Path
        The JSON file; the trace is the ``.npz`` beside it.

    Returns
    -------
    list of Case
        One case per source of draws.

    Raises
    ------
    InputError
        If a file is missing or broken.
    """
    remedy = "give the JSON and the NPZ of a golden run"
    try:
        run = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(str(path), f"cannot be read: {error}", remedy) from None
    except RecursionError:
        raise InputError(f"{path}:1", "is nested too deeply", remedy) from None
    except ValueError as error:
        line = getattr(error, "lineno", 1)
        raise InputError(f"{path}:{line}", f"is not valid JSON: {error}", remedy) from None
    npz = inside(path.parent, path.with_suffix(".npz").name, str(path), remedy="copy the file there")
    try:
        with npz.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            _check_size(stored.zip, npz)
            arrays = {k: stored[k] for k in stored.files}
    except InputError:
        raise
    except (OSError, *BROKEN_ARCHIVE) as error:
        raise InputError(str(npz), f"cannot be read: {error}", remedy) from None
    try:
        scenario_of(run)
        if type(first := run.get("jiffies0", BOOT_JIFFIES)) is not int or not 0 < first <= MOST_JIFFIES:
            raise InputError("jiffies0", f"{quoted(first)} is not a count of 1..{MOST_JIFFIES}", remedy)
        length, most = ("duration_us", LONGEST_US) if run.get("clocked") else ("ticks", MOST_TICKS)
        if type(run[length]) is not int or not 0 < run[length] <= most:
            raise InputError(length, f"{quoted(run[length])} is not a count of 1..{most}", remedy)
    except InputError as error:
        raise error.under(f"{path}:1") from None
    except KeyError as error:
        raise InputError(f"{path}:1", f"run or trace has no {error}", remedy) from None
    except (AttributeError, TypeError, ValueError, IndexError) as error:
        raise InputError(f"{path}:1", f"holds a value of the wrong form: {error}", remedy) from None
    try:
        check_trace(run, arrays)
    except InputError as error:
        raise error.under(str(npz)) from None
    sources: dict[str, list[Rng] | None] = {"lfsr113": None}
    if (streams := recorded_streams(run, arrays)) is not None:
        sources["recorded draws"] = streams
    cases = []
    for source, rngs in sources.items():
        engine, trace = replay(run, rngs)
        checked, first = 0, ""
        results = [*_differences(trace, arrays, npz.name), *_finals(engine, run, arrays, (path.name, npz.name))]
        if rngs is None and not run.get("clocked") and (contexts := trace.column("runs", "ctx")) is not None:
            counts = trace.column("runs", "count")
            order = np.repeat(contexts, np.zeros(0, np.int64) if counts is None else counts.astype(np.int64))
            results += draw_differences(run, arrays, order, (path.name, npz.name))
        elif run.get("clocked"):
            results += stated_differences(run, {"rng_count": engine.drawn()}, path.name)
        for n, difference in results:
            checked += n
            first = first or difference
        cases.append(Case("e2e", f"{path.stem} ({source})", not first, checked, first))
    return cases


def _finals(
    engine: _TickEngine, run: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]], files: tuple[str, str]
) -> Iterator[tuple[int, str]]:
    """Yield (values compared, first difference or "") for what describes a run as a whole."""
    about, trace = files
    stated = {
        "aggregations": sum(k.aggregations for k in engine.kdamonds),
        "owner_initial_crc32": engine.owner_initial_crc32,
        "owner_final_crc32": engine.memory.owner_crc32(),
    }
    yield from stated_differences(run, stated, about)
    if "owner_final" in arrays:
        got, final = engine.memory.owners(), arrays["owner_final"]
        if got.size != final.size:
            yield 0, f"{trace}: owner_final: expected {final.size} frames, got {got.size}"
        else:
            bad = np.flatnonzero(got != final)
            text = f"{trace}: owner_final[{bad[0]}]: expected {final[bad[0]]}, got {got[bad[0]]}" if bad.size else ""
            yield final.size, text
