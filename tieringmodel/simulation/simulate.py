"""One run: what happens in a scenario over a simulated time, from one seed, as one dataset."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..atomic import need_place
from ..checks import instance, whole
from ..damon.observers import Action
from ..damon.weighted import WeightedMigrate
from ..datasets.schema import SCHEMA_VERSION
from ..errors import InputError
from ..memory.columns import count_heads
from ..progress import Progress
from ..scenario import Scenario, need_scenario
from ..scenario.controlled import Controlled, check_goal_nodes
from ..units import LONGEST_US, parse_duration_us
from .engine import Engine
from .oracle import Oracle
from .recorder import Recorder

if TYPE_CHECKING:
    import xarray as xr

    from .coupling import Coupling

LOG_MOVES = (1 << 21) + (1 << 17)
"""Room for two million moves in one record: kernels keep records while a seventeenth of it is full at most."""
PIECES = 100


def check_length(duration_us: int, duration: str | float) -> None:
    """Refuse a run that is longer than a clock in ns counts; the message quotes `duration`, as it was given."""
    if duration_us > LONGEST_US:
        raise InputError("duration", f"{duration!r} is over a hundred years", "shorten it")


def scheme_actions(engine: Engine, context: int) -> dict[int, Action]:
    """Return the actions that are not built in: schemes with weighted destinations."""
    scenario = engine.scenario
    out: dict[int, Action] = {}
    for i, scheme in enumerate(scenario.contexts[context].schemes):
        physical = scenario.contexts[context].ops == "paddr"
        if scheme.dests and scheme.action.startswith("migrate") and (physical or scheme.dest_rule != "vma_offset"):
            seed = engine.seed * 1_000_003 + context * 1009 + i
            order = int(engine.memory.shift) - 12
            out[i] = WeightedMigrate(scheme.dests, scheme.dest_rule, scenario.workload.vmas, seed, scheme.rmap_done_mark, order)
    return out


def simulate(
    scenario: Scenario,
    *,
    duration: str | float,
    seed: int = 0,
    progress: bool | None = None,
    snapshots: int = 200,
    log_moves: bool = True,
    oracle: Controlled | None = None,
    checkpoint: str | Path | None = None,
    checkpoint_s: float = 10.0,
) -> xr.Dataset:
    """Run a scenario for a simulated time; return what happened over time as one dataset.

    Parameters
    ----------
    scenario : Scenario
        What to run.
    duration : str or float
        Simulated time: ``"120 s"``, ``"10 min"``, or seconds.
    seed : int
        0 … 2**64 - 1; everything random follows from it: the same seed gives the same bits.
    progress : bool, optional
        Show a progress bar on stderr; by default only on a terminal.
    snapshots : int
        Keep about this many region snapshots per context, evenly spaced; 0 keeps none.
    log_moves : bool
        Keep track of every page's moves, for the ping-pong ratio.
    oracle : Controlled, optional
        For a scenario without contexts: let an oracle bring this share to its target at every change of accesses.
    checkpoint : str or Path, optional
        Keep the run's state in this file while it goes on, and go on from there if the file exists: a run that was
        interrupted gives the same dataset as one that was not. The file stays; it belongs to these very arguments.
    checkpoint_s : float
        Write it at most that often, in seconds of real time.

    Returns
    -------
    xarray.Dataset
        One record per aggregation or application, see `tieringmodel.datasets.schema.VARIABLES`, and
        `OF_RECLAIM` there for runs with the paddr action ``pageout`` (with a swap device `OF_SWAP`, too), `OF_TARGETS` for
        contexts with several targets, `OF_COMMITS` for runs in which schemes or goals come or go, `OF_LOOP` for workloads with
        a demand, `OF_BALANCING` for machines with NUMA balancing.
        Attributes: ``scenario`` (JSON, from which the run can be repeated), ``kernel`` (the release whose rules hold, and
        switches that differ from it), ``parameters`` (JSON of the other arguments),
        ``sources`` (JSON: cost and reports of each, where contexts have some), ``phases`` (JSON, where the demand has some:
        groups, work, and when it was done, seconds or null), ``folios`` (JSON, where folios are of several
        sizes: how many of several pages moved whole, were split, and are left at the end), ``duration_s``, ``seed``,
        ``window_s``, ``n_pages``, ``page_bytes``, ``kind`` and the package's version.

    Raises
    ------
    InputError
        If an argument is out of range.

    Examples
    --------
    >>> import tieringmodel as tm
    >>> ds = tm.simulate(tm.load("rfc-40-60"), duration="3 s", seed=1)
    >>> ds["access_share_bp"].sel(node=0).values[[0, -1]].tolist()
    [10000.0, 8125.0]
    """
    need_scenario(scenario)
    duration_us = parse_duration_us(duration)
    check_length(duration_us, duration)
    seed, snapshots = whole("seed", seed, exact=True), whole("snapshots", snapshots, 0, 2**31, exact=True)
    check_goal_nodes(scenario)
    if oracle is not None:
        instance("oracle", oracle, Controlled, "give a tieringmodel.policies one, or leave it out")
    if oracle:
        scenario.machine.need_node(oracle.nid, "oracle.nid")
    if oracle and scenario.contexts:
        raise InputError("oracle", "does not go with contexts", "pass scenario.replace(contexts=())")
    shortest = min((c.attrs.aggr_us for c in scenario.contexts), default=duration_us)
    window = window_s(scenario)
    if checkpoint is not None and not scenario.contexts:
        raise InputError("checkpoint", "does not go without contexts", "such a run is over at once")
    if checkpoint is not None:
        checkpoint = need_place(checkpoint, "checkpoint")
    others = {"snapshots": snapshots, "log_moves": bool(log_moves), "oracle": asdict(oracle) if oracle else None}
    about = attributes(scenario, duration_us, seed, **others)
    recorder = Recorder(snapshots, duration_us // max(shortest, 1), window)
    options = {"observer": recorder, "actions": scheme_actions, "log_moves": LOG_MOVES if log_moves else 0}
    engine: Engine | None = None
    if checkpoint is not None and Path(checkpoint).exists():
        engine = _resumed(checkpoint, recorder, about, options)
    if engine is None:
        engine = recorder.engine = Engine(scenario, seed, **options)  # type: ignore[arg-type]
        recorder.about = {name: about[name] for name in ("scenario", "parameters")}
        if scenario.workload.demand:
            from .coupling import Coupling

            engine.coupling = Coupling(engine, window, recorder.records.rates_hz)
        recorder.record()
    phase = Oracle(engine, oracle) if oracle else None
    with Progress(scenario.name or "simulate", duration_us * 1e-6, "s", progress) as bar:
        keep = _Keeper(engine, recorder, checkpoint, checkpoint_s)
        if engine.coupling and not engine.kdamonds:
            _run_in_windows(engine, engine.coupling, recorder, duration_us, bar, phase)
        elif checkpoint is not None:
            _run_in_pieces(engine, duration_us, bar, keep)
        else:
            engine.run(
                duration_us, bar.update, every_us=min(round(window * 1e6), duration_us), sampled=recorder.record, phase=phase
            )
    if engine.coupling and engine.coupling.last_ns < duration_us * 1000:
        engine.coupling.step()
    ds = described(engine, recorder, about)
    recorder.engine = engine.coupling = None  # they know each other: without this, memory waits for the garbage collector
    return ds


def described(engine: Engine, recorder: Recorder, about: dict[str, Any]) -> xr.Dataset:
    """Return the dataset of a run that has come to its end, with the attributes that make it repeatable."""
    if any(c.wait_ns for c in engine.clocks):
        recorder.record()  # whoever sleeps to the end leaves no record else
    ds = recorder.dataset()
    ds.attrs.update(about)
    ds.attrs["window_s"] = window_s(engine.given)
    if engine.coupling and (phases := engine.coupling.described_phases()):
        ds.attrs["phases"] = json.dumps(phases)
    if any(c.sources for c in engine.given.contexts):
        from .report_driven import costs

        ds.attrs["sources"] = json.dumps(costs(engine.kdamonds, engine.given.contexts))
    if (folios := engine.memory.arrays.folio) is not None:
        moved, split = engine.memory.arrays.mixed.tolist()
        ds.attrs["folios"] = json.dumps({"moved_whole": moved, "split": split, "left": count_heads(folios)})
    return ds


def _resumed(path: str | Path, recorder: Recorder, about: dict[str, Any], options: dict[str, Any]) -> Engine:
    """Return the run in a checkpoint, if that was made by the same call."""
    from . import checkpoint

    engine = checkpoint.load(path, recorder, **options)
    different = [name for name in ("scenario", "parameters") if recorder.about.get(name) != about[name]]
    if different:
        text = f"belongs to a run with another {' and other '.join(different)}"
        raise InputError(str(path), text, "name another file, or remove it to start anew")
    return engine


class _Keeper:
    """Writes a run's checkpoint between pieces, if one is asked for: where the last one is old enough, and at the end."""

    def __init__(self, engine: Engine, recorder: Recorder, path: str | Path | None, every_s: float) -> None:
        self.engine, self.recorder, self.path, self.every_s = engine, recorder, path, every_s
        self.written = time.monotonic()

    def __call__(self, is_end: bool) -> None:
        """Write if it is time."""
        from . import checkpoint

        if self.path is not None and (is_end or time.monotonic() - self.written >= self.every_s):
            checkpoint.save(self.path, self.engine, self.recorder)
            self.written = time.monotonic()


def _run_in_windows(
    engine: Engine,
    coupling: Coupling,
    recorder: Recorder,
    duration_us: int,
    bar: Progress,
    phase: Callable[[], None] | None,
) -> None:
    """Run to the end without contexts, and keep a record at each window's end, when the workload follows its memory."""
    while (left_us := duration_us - coupling.last_ns // 1000) > 0:
        left_us = min(left_us, -((coupling.last_ns - coupling.end_ns) // 1000))
        engine.run(left_us, bar.update, every_us=left_us, sampled=recorder.record_coupled, phase=phase)


def _run_in_pieces(engine: Engine, duration_us: int, bar: Progress, keep: Callable[[bool], None]) -> None:
    """Run to the end in pieces, and let a checkpoint be kept between them."""
    for k in range(1, PIECES + 1):
        end_ns = duration_us * k // PIECES * 1000
        if end_ns <= engine.memory.now_ns:
            continue
        engine.run_to(end_ns, bar.update)
        keep(k == PIECES)


def window_s(scenario: Scenario) -> float:
    """Return the longest control period in seconds: of aggregations, applications and quota resets."""
    periods = [1.0] if not scenario.contexts else []
    for c in scenario.contexts:
        times = (0, *c.aggr_times_us)
        actual = times[-1] * 1e-6 / (len(times) - 1) if len(times) > 1 else c.attrs.aggr_us * 1e-6
        periods.append(actual)
        for s in c.schemes:
            apply_s = (s.apply_interval_us or c.attrs.aggr_us) / c.attrs.aggr_us * actual
            finite = s.quota.reset_interval_ms < 2**31
            periods += [apply_s, s.quota.reset_interval_ms * 1e-3 if finite else 0.0]
    return max(periods)


def attributes(scenario: Scenario, duration_us: int, seed: int, **others: Any) -> dict[str, Any]:
    """Return the attributes that make a run repeatable; `others` are the call's further arguments."""
    from .._version import __version__

    return {
        "kind": "simulation",
        "schema_version": SCHEMA_VERSION,
        "name": scenario.name,
        "scenario": scenario.to_json(),
        "kernel": scenario.kernel.title,
        "parameters": json.dumps({"duration_s": duration_us * 1e-6, "seed": seed} | others, sort_keys=True),
        "duration_s": duration_us * 1e-6,
        "seed": seed,
        "tieringmodel": __version__,
        "n_pages": scenario.workload.n_pages,
        "page_bytes": scenario.machine.folio_bytes,
    }
