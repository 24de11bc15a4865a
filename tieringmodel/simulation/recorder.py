"""From what kdamonds report to one dataset: rows are appended while running, arrays are made once at the end."""

from __future__ import annotations

from functools import cached_property
from itertools import chain, pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..damon.kdamond import Kdamond
from ..damon.regions import COLUMNS
from ..damon.table import STAT_FIELDS, split_filters
from ..datasets.schema import Coordinate, described
from ..kernels import returns, turn
from ..kernels.layout import AT_BACK, AT_FRONT, FAULTED, FUNNEL, GOAL, NODE, QUOTA, RECLAIMED, SCHEME, STALLED
from ..memory.swap import counted
from ..scenario.numbering import START, Numbering, numbered
from ..stored import same_kind
from .records import CONTEXT, NoRecords, Records

if TYPE_CHECKING:
    import xarray as xr

    from .engine import Engine

MAX_LAG = 32
MOST_HEADS = 2**24
"""Pages for which the list of moves is threaded page by page; of more it is sorted."""
_QUOTA = ("esz_bp", "score", "resets", "rmap_walks", "held_windows", "full_windows", "quota_bound")
_GOAL = ("goal_current", "goal_target")
_CONTEXT = CONTEXT[:-1]
_KEPT = (*COLUMNS, "target")
_NOWHERE, _NO_GOALS = NoRecords(), np.zeros(0, GOAL)


class Returns:
    """Which moves are undone, and after how many windows.

    A page that leaves a for b is back when it next reaches a; the time in between, in windows and rounded, is the lag.
    """

    def __init__(self, window_s: float) -> None:
        self.window_s = window_s
        self.moves: list[npt.NDArray[np.uint64]] = []
        self.lost = 0

    def add(self, log: npt.NDArray[np.uint64], lost: int) -> None:
        """Append the moves of one record."""
        self.moves.append(log)
        self.lost += lost

    def table(self, time: npt.NDArray[np.float64], nodes: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Return counts of moves undone, -1 everywhere if moves were lost.

        By record and lag, int64 (n_records, MAX_LAG + 1), and by the node that the pages left again, int64 (nodes,).
        """
        out, left = np.zeros((len(self.moves), MAX_LAG + 1), np.int64), np.zeros(nodes, np.int64)
        if self.lost:
            out[:] = left[:] = -1
            return out, left
        log = np.concatenate(self.moves) if self.moves else np.zeros(0, np.uint64)
        record = np.repeat(np.arange(len(self.moves)), [m.size for m in self.moves])
        following = np.full(log.size, -1, np.int64)
        pages = (log & np.uint64(0xFFFFFFFF)).astype(np.int64)
        if log.size and pages.max() < MOST_HEADS:
            returns.next_moves(log, np.full(int(pages.max()) + 1, -1, np.int64), following)
        elif log.size:
            order = np.argsort(pages, kind="stable")
            same = pages[order[1:]] == pages[order[:-1]]
            following[order[:-1][same]] = order[1:][same]
        returns.count_undone(log, following, record, time, self.window_s, out, left)
        return out, left


def row_layout(engine: Engine, numbers: Numbering) -> np.dtype[Any]:
    """Return what one record consists of: rows while running, which are made into columns at the end."""
    nodes, classes = engine.memory.arrays.by_class.shape
    schemes = (len(numbers.schemes),)
    context = [(name, "i8") for name in CONTEXT]
    more = [(name, "i8", part.shape) for name, part in _more(engine).items()]
    return np.dtype(
        [
            ("node", NODE, (nodes,)),
            ("class_pages", "i8", (nodes, classes)),
            ("class_rate_hz", "f8", (classes,)),
            ("scheme", SCHEME, schemes),
            ("funnel", FUNNEL, schemes),
            ("quota", QUOTA, schemes),
            ("goal", GOAL, (len(numbers.goals),)),
            ("context", context, (len(engine.kdamonds),)),
            *more,
        ]
    )


def _more(engine: Engine) -> dict[str, npt.NDArray[np.int64]]:
    """Return the parts of a row that tell of reclaimed pages and of NUMA balancing, by name."""
    memory = engine.memory.arrays
    parts = {"swap": memory.swap, "device": memory.device} if engine.memory.reclaims else {}
    if engine.balancer:
        parts |= {"numa_state": engine.balancer.arrays.state, "numa_count": engine.balancer.arrays.count}
    return {name: part for name, part in parts.items() if part is not None}


def _filters(kdamond: Kdamond) -> list[tuple[int, str]]:
    """Return scheme and type of each filter, in the order of the context's table."""
    split = [split_filters(s.filters) for s in kdamond.context.schemes]
    return [(i, f.type) for i, layers in enumerate(split) for layer in layers for f in layer]


def _fill(there: npt.NDArray[np.bool_], words: npt.NDArray[Any], first: list[str]) -> None:
    """Where something is not there, put what it said last, or will say first."""
    for k in np.flatnonzero(~there.all(axis=0)).tolist():
        if there[:, k].any():
            last = np.maximum.accumulate(np.where(there[:, k], np.arange(len(there)), int(there[:, k].argmax())))
            words[:, k] = words[last, k]
        else:
            words[:, k] = first[k]


def _by_time_if_it_changes(dim: str, words: npt.NDArray[Any]) -> Coordinate:
    """Return a coordinate of texts: by record too, where one of them changes."""
    if (words == words[0]).all():
        return dim, np.array(words[0], dtype=str)
    return ("time", dim), np.array(words, dtype=str)


class Recorder:
    """An observer that keeps what `VARIABLES` lists.

    Schemes and goals have the numbers of `scenario.numbering`. What is gone keeps its last values, what is yet to come has 0.

    Parameters
    ----------
    snapshots : int
        Keep at most about this many region snapshots per context.
    expected_aggregations : int
        Used to thin the snapshots evenly.
    window_s : float
        Length of a quota window, the unit of `lag`.

    Attributes
    ----------
    about : dict of str to str
        What made the records; a checkpoint keeps it.
    """

    wants = turn.LOOK_FINISHED

    def __init__(self, snapshots: int, expected_aggregations: int, window_s: float = 1.0) -> None:
        self.every = max(1, -(-expected_aggregations // max(snapshots, 1))) if snapshots else 0
        self.expected = expected_aggregations + 2
        self.engine: Engine | None = None
        self.about: dict[str, str] = {}
        self.returns = Returns(window_s)
        self.snapshots: list[tuple[float, int, dict[str, npt.NDArray[Any]]]] = []

    @cached_property
    def numbering(self) -> Numbering:
        """Which number each scheme and goal of the run has, and when."""
        assert self.engine is not None
        return numbered(self.engine.given, self.engine.all_stages)

    @cached_property
    def layout(self) -> np.dtype[Any]:
        """What one record consists of."""
        assert self.engine is not None
        return row_layout(self.engine, self.numbering)

    def keeps(self, aggregation: int) -> bool:
        """Whether a context's regions are kept at an aggregation."""
        return bool(self.every) and aggregation % self.every == 0

    def aggregated(self, kdamond: Kdamond) -> None:
        """Keep a region snapshot now and then."""
        if self.keeps(kdamond.aggregations):
            now = kdamond.memory.now_ns * 1e-9
            of_target = np.diff(kdamond.regions.ptr)
            columns = kdamond.regions.columns() | {"target": np.repeat(np.arange(of_target.size, dtype=np.uint64), of_target)}
            self.snapshots.append((now, kdamond.index, columns))

    def applied(self, kdamond: Kdamond, events: npt.NDArray[Any]) -> None:
        """Ignore single regions."""

    def finished(self, kdamond: Kdamond, aggregation: bool) -> None:
        """Keep one record of everything."""
        self.record()

    @cached_property
    def records(self) -> Records:
        """The rows that were kept."""
        assert self.engine is not None
        return Records(self.layout, len(self.engine.kdamonds), self.engine.memory.arrays.by_class.shape[1], self.expected)

    def kept_by_kernels(self) -> Records | NoRecords:
        """Return where kernels shall keep rows, with all that they are made of up to date.

        They keep none while a context sleeps, for how long it has slept is not theirs to say.
        """
        assert self.engine is not None
        if self.numbering.changes or any(c.wait_ns for c in self.engine.clocks):
            return _NOWHERE
        self._refresh()
        return self.records

    def record(self) -> None:
        """Keep one record of everything, at the machine's present time."""
        engine = self.engine
        assert engine is not None
        records, memory = self.records, engine.memory
        # A context that starts while another one is still migrating finds pages already moved: never look back.
        now = max(memory.now_ns * 1e-9, records.time_s[-1] if len(records) else 0.0)
        moves, lost = self._divide_log()
        if len(records) and records.time_s[-1] == now:  # two contexts that finish at the same moment make one record
            records.drop_last()
            moves = np.concatenate((self.returns.moves.pop(), moves))
        self._refresh()
        records.append(now, self._by_number() if self.numbering.changes else None)
        self.returns.add(moves, lost)
        records.settled(len(records))

    def record_coupled(self) -> None:
        """End a window of a workload that follows its memory, and keep a record."""
        assert self.engine is not None
        assert self.engine.coupling is not None
        self.engine.coupling.step()
        self.record()

    def _refresh(self) -> None:
        """Bring up to date what rows are copied from and no kernel keeps."""
        engine, records = self.engine, self.records
        assert engine is not None
        memory, kdamonds = engine.memory, engine.kdamonds
        for row, k, clock in zip(records.context, kdamonds, engine.clocks, strict=True):
            row[:] = k.regions.n, k.attrs.sample_us, clock.asleep_ns(memory.now_ns) // 1000, k.stage
        tick_ns = engine.tick_us * 1000
        since, until, rates = engine.access.touch_rates_hz(memory.now_ns // tick_ns)
        records.rates_hz[:] = rates
        records.rates_hold(since * tick_ns, until * tick_ns)
        parts = [memory.arrays.node, memory.arrays.by_class, records.rates_hz, *chain(*self._learnt()), records.context]
        records.copy_from([*parts, *_more(engine).values()])

    def _learnt(self) -> tuple[list[npt.NDArray[Any]], ...]:
        """Return the tables of schemes, funnels, quotas and goals, by context."""
        assert self.engine is not None
        kdamonds = self.engine.kdamonds
        goals = [k.control.goal if any(q.quota.goals for q in k.quotas) else _NO_GOALS for k in kdamonds]
        return [k.schemes for k in kdamonds], [k.funnel for k in kdamonds], [k.control.quota for k in kdamonds], goals

    def _by_number(self) -> npt.NDArray[Any]:
        """Return a row in which schemes and goals, which come in the order of those that run, are in that of their numbers."""
        assert self.engine is not None
        memory, records = self.engine.memory, self.records
        row: npt.NDArray[Any] = records.table[-1].copy() if len(records) else np.zeros(1, self.layout)[0]
        row["node"], row["class_pages"], row["class_rate_hz"] = memory.arrays.node, memory.arrays.by_class, records.rates_hz
        for at, values in zip(row["context"], records.context, strict=True):
            for name, value in zip(CONTEXT, values, strict=True):
                at[name] = value
        for name, part in _more(self.engine).items():
            row[name] = part
        running = [(k.index, k.stage) for k in self.engine.kdamonds]
        schemes = [n for one in running for n in self.numbering.schemes_of(*one)]
        goals = [n for one in running for of_scheme in self.numbering.goals_of(*one) for n in of_scheme]
        for name, tables in zip(("scheme", "funnel", "quota", "goal"), self._learnt(), strict=True):
            row[name][goals if name == "goal" else schemes] = np.concatenate(tables)
        return row

    def _divide_log(self) -> tuple[npt.NDArray[np.uint64], int]:
        """Empty the log of moves: give the rows that kernels kept what is theirs; return the rest, and how many are lost."""
        assert self.engine is not None
        log, lost = self.engine.memory.take_log()
        begin, ends = 0, self.records.log_at[len(self.returns.moves) :].tolist()
        if ends and not self.engine.memory.arrays.log.size:
            self.returns.lost, lost = self.returns.lost + lost, 0  # no log at all: it makes no difference which rows lost them
        for end in ends:
            self.returns.add(log[begin:end], 0)
            begin = end
        self.records.settled(len(self.records))
        return log[begin:], lost

    def settle(self) -> None:
        """Divide the log, and put back what belongs to no row yet."""
        if len(self.records) > len(self.returns.moves):
            rest, lost = self._divide_log()
            self.engine.memory.put_back(rest, lost)  # type: ignore[union-attr]

    def drop_last(self) -> npt.NDArray[Any]:
        """Forget the last record, its moves are to be recorded anew; return its row."""
        self.settle()
        row: npt.NDArray[Any] = self.records.table[-1].copy()
        self.records.drop_last()
        log = self.returns.moves.pop()
        if log.size:
            self.engine.memory.put_back(log)  # type: ignore[union-attr]
        return row

    def _columns(self) -> dict[str, npt.NDArray[Any]]:
        """Return what the rows hold, by variable."""
        assert self.engine is not None
        table = self.records.table
        if not len(table):
            return {}
        node, scheme = table["node"], table["scheme"]
        data = {
            "used_pages": node["total"] - node["free"],
            "free_pages": node["free"],
            "migrated_in_pages": node["migrated_in"],
            "alloc_failed": node["alloc_failed"],
            "class_pages": table["class_pages"],
            "class_rate_hz": table["class_rate_hz"],
            "esz_bytes": scheme["esz"],
            "charged_bytes": scheme["charged_sz"],
            **{name: scheme[name] for name in ("min_score", *STAT_FIELDS)},
        }
        for part, names in (
            ("funnel", FUNNEL.names or ()),
            ("quota", _QUOTA),
            ("goal", _GOAL),
            ("context", _CONTEXT),
        ):
            data |= {name: table[part][name] for name in names}
        if self.engine.memory.reclaims:
            swap = table["swap"]
            data["reclaimed_pages"] = np.diff(swap[:, RECLAIMED], prepend=0)
            data["faulted_pages"] = np.diff(swap[:, FAULTED], prepend=0)
            data["out_pages"] = swap[:, AT_FRONT] + swap[:, AT_BACK]
            data["stalled_pages"] = swap[:, STALLED]
        if self.engine.memory.arrays.device is not None:
            data |= counted(table["device"])
        if self.engine.balancer:
            data |= self.engine.balancer.columns(table["numa_state"], table["numa_count"])
        return {name: np.array(values, order="C") for name, values in data.items()}

    def _stages(self) -> npt.NDArray[np.int64]:
        """Return the stage that each context had taken over at each record, (records, contexts)."""
        assert self.engine is not None
        if not len(self.records):
            return np.array([[k.stage for k in self.engine.kdamonds]], np.int64)
        return np.array(self.records.table["context"]["stage"])

    def _courses(self, stages: npt.NDArray[np.int64]) -> tuple[npt.NDArray[Any], ...]:
        """Return by record and number: whether a scheme is there, its action; whether a goal is there, its metric.

        Who is not there has what was the last, or will be the first.
        """
        numbers = self.numbering
        there, aims = (np.zeros((len(stages), len(of)), np.bool_) for of in (numbers.schemes, numbers.goals))
        actions, metrics = np.full(there.shape, "", object), np.full(aims.shape, "", object)
        for i, of_context in enumerate(stages.T):
            edges = [0, *(np.flatnonzero(np.diff(of_context)) + 1).tolist(), len(stages)]
            for now, stage in ((slice(a, b), int(of_context[a])) for a, b in pairwise(edges)):
                schemes = numbers.scenarios[stage + 1].contexts[i].schemes
                for scheme, n, its_goals in zip(schemes, numbers.schemes_of(i, stage), numbers.goals_of(i, stage), strict=True):
                    there[now, n], actions[now, n] = True, scheme.action
                    for goal, g in zip(scheme.quota.goals, its_goals, strict=True):
                        aims[now, g], metrics[now, g] = True, goal.metric
        _fill(there, actions, [numbers.last_scheme(n, START).action for n in range(len(numbers.schemes))])
        _fill(aims, metrics, [numbers.last_goal(g, START).metric for g in range(len(numbers.goals))])
        return there, actions, aims, metrics

    def state(self) -> dict[str, Any]:
        """Return what was kept so far, as plain data and arrays: few large ones, however many records there are.

        The log of moves is divided among them by then: see `settle`.
        """
        moves, columns, records = self.returns.moves, [c for _, _, c in self.snapshots], self.records
        return {
            "about": self.about,
            "rows": records.table.view(np.uint64).reshape(len(records), -1),
            "time": records.time_s,
            "moves": np.concatenate([np.zeros(0, np.uint64), *moves]),
            "moves_of": np.array([m.size for m in moves], np.int64),
            "lost": self.returns.lost,
            "snapshot_time": np.array([t for t, _, _ in self.snapshots]),
            "snapshot_of": [i for _, i, _ in self.snapshots],
            "snapshot_sizes": [c["start"].size for c in columns],
            "snapshot": {n: np.concatenate([c[n] for c in columns] or [np.zeros(0, np.uint64)]) for n in _KEPT},
            **({"coupling": self.engine.coupling.state()} if self.engine and self.engine.coupling else {}),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take up what `state` returned; `engine` is the run that it belongs to.

        Raises
        ------
        KeyError, TypeError, ValueError
            If something is missing, or not a record of this run.
        """
        self.about = dict(state["about"])
        rows, time_s = state["rows"], state["time"]
        n, words = len(time_s), self.layout.itemsize // 8
        self.records.replace(same_kind(rows, "rows", np.uint64, (n, words)).reshape(-1).view(self.layout), time_s)
        self.returns.moves = np.split(state["moves"], np.cumsum(state["moves_of"])[:-1]) if n else []
        self.returns.lost = state["lost"]
        edges = np.cumsum([0, *state["snapshot_sizes"]]).tolist()
        times, of, columns = state["snapshot_time"].tolist(), state["snapshot_of"], state["snapshot"]
        self.snapshots = [
            (at, i, {name: columns[name][a:b] for name in _KEPT})
            for at, i, a, b in zip(times, of, edges[:-1], edges[1:], strict=True)
        ]
        assert self.engine is not None
        if self.engine.given.workload.demand:
            from .coupling import Coupling

            self.engine.coupling = Coupling(self.engine, self.returns.window_s, self.records.rates_hz)
            self.engine.coupling.restore(state["coupling"])

    def dataset(self) -> xr.Dataset:
        """Return everything kept, as one dataset described by `VARIABLES`."""
        engine = self.engine
        assert engine is not None
        self.settle()
        data = self._columns()
        if data:
            weight = data["class_pages"] * data["class_rate_hz"][:, None, :]
            by_node = weight.sum(axis=2)
            total = by_node.sum(axis=1, keepdims=True)
            share = np.divide(by_node, total, out=np.full(by_node.shape, np.nan), where=total > 0)
            data["access_share_bp"] = 1e4 * share
            moved = data["migrated_in_pages"].sum(axis=1)
            data["migrated_pages"] = np.diff(moved, prepend=0)
            data["returns"], data["undone_pages"] = self.returns.table(np.array(self.records.time_s), engine.memory.nids.size)
        columns = [c for _, _, c in self.snapshots]
        data["region_count"] = np.array([c["start"].size for c in columns], np.int64)
        for name, source in (("start", "start"), ("end", "end"), ("nr_accesses", "nr"), ("age", "age")):
            data[f"region_{name}"] = np.concatenate([c[source] for c in columns] or [np.zeros(0, np.uint64)])
        data["rejected_bytes"] = np.concatenate(
            [np.zeros(0, np.uint64), *[k.rejected[: len(_filters(k))] for k in engine.kdamonds]]
        )
        contexts, numbers, stages = engine.scenario.contexts, self.numbering, self._stages()
        there, actions, aims, metrics = self._courses(stages)
        if data and numbers.changes:
            data["active"], data["goal_active"] = there, aims
        if any(len(c.targets) > 1 for now in numbers.scenarios for c in now.contexts) or any(
            c["target"].any() for c in columns
        ):
            data["region_target"] = np.concatenate([c["target"] for c in columns] or [np.zeros(0, np.uint64)])
        filters = [(numbers.schemes_of(k.index, k.stage)[i], kind) for k in engine.kdamonds for i, kind in _filters(k)]
        coords: dict[str, Coordinate] = {
            "time": ("time", np.array(self.records.time_s)),
            "node": ("node", engine.memory.nids),
            "scheme": ("scheme", np.arange(len(numbers.schemes))),
            "scheme_context": ("scheme", np.array([i for i, _, _ in numbers.schemes], np.int64)),
            "scheme_action": _by_time_if_it_changes("scheme", actions),
            "goal": ("goal", np.arange(len(numbers.goals))),
            "goal_scheme": ("goal", np.array([k for k, _, _ in numbers.goals], np.int64)),
            "goal_metric": _by_time_if_it_changes("goal", metrics),
            "context": ("context", np.arange(len(contexts))),
            "filter": ("filter", np.arange(len(data["rejected_bytes"]))),
            "filter_scheme": ("filter", np.array([i for i, _ in filters], np.int64)),
            "filter_type": ("filter", np.array([kind for _, kind in filters], dtype=str)),
            "page_class": ("page_class", np.array(engine.access.class_names, dtype=str)),
            "lag": ("lag", np.arange(MAX_LAG + 1)),
            "snapshot_time": ("snapshot", np.array([t for t, _, _ in self.snapshots])),
            "snapshot_context": ("snapshot", np.array([i for _, i, _ in self.snapshots], np.int64)),
        }
        if engine.coupling and data:
            data |= engine.coupling.columns(self.records.time_s)
            coords["group"] = ("group", np.array(engine.coupling.names, dtype=str))
        return described(data, coords)
