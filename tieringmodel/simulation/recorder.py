"""From what kdamonds report to one dataset: rows are appended while running, arrays are made once at the end."""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..damon.kdamond import Kdamond
from ..damon.regions import COLUMNS
from ..damon.table import STAT_FIELDS, split_filters
from ..datasets.schema import Coordinate, described
from ..kernels import returns, turn
from ..kernels.layout import AT_BACK, AT_FRONT, FAULTED, FUNNEL, NODE, RECLAIMED, SCHEME, STALLED
from ..scenario import ACTIONS

if TYPE_CHECKING:
    import xarray as xr

    from .engine import Engine

MAX_LAG = 32
MOST_HEADS = 2**24
"""Pages for which the list of moves is threaded page by page; of more it is sorted."""
_QUOTA = ("esz_bp", "score", "resets", "rmap_walks", "held_windows", "full_windows", "quota_bound")
_CONTEXT = ("nr_regions", "sample_us", "asleep_us")
_KEPT = (*COLUMNS, "target")


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


def row_layout(engine: Engine) -> np.dtype[Any]:
    """Return what one record consists of: while running it is kept as bytes, which are made into columns at the end."""
    nodes, classes = engine.memory.arrays.by_class.shape
    quotas = [q for k in engine.kdamonds for q in k.quotas]
    quota = [("esz_bp", "u8"), *((name, "i8") for name in _QUOTA[1:]), ("action", "i8")]
    goal = [("goal_current", "u8"), ("goal_target", "u8")]
    context = [(name, "i8") for name in _CONTEXT]
    swap = [("swap", "i8", engine.memory.arrays.swap.shape)] if engine.memory.reclaims else []
    return np.dtype(
        [
            ("node", NODE, (nodes,)),
            ("class_pages", "i8", (nodes, classes)),
            ("class_rate_hz", "f8", (classes,)),
            ("scheme", SCHEME, (len(quotas),)),
            ("funnel", FUNNEL, (len(quotas),)),
            ("quota", quota, (len(quotas),)),
            ("goal", goal, (sum(len(q.goals) for q in quotas),)),
            ("context", context, (len(engine.kdamonds),)),
            *swap,
        ]
    )


def _filters(kdamond: Kdamond) -> list[tuple[int, str]]:
    """Return scheme and type of each filter, in the order of the context's table."""
    split = [split_filters(s.filters) for s in kdamond.context.schemes]
    return [(i, f.type) for i, layers in enumerate(split) for layer in layers for f in layer]


class Recorder:
    """An observer that keeps what `VARIABLES` lists.

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
        self.engine: Engine | None = None
        self.about: dict[str, str] = {}
        self.rows: list[bytes] = []
        self.time: list[float] = []
        self.returns = Returns(window_s)
        self.snapshots: list[tuple[float, int, dict[str, npt.NDArray[Any]]]] = []

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

    def record(self) -> None:
        """Keep one record of everything, at the machine's present time."""
        engine = self.engine
        assert engine is not None
        memory, kdamonds = engine.memory, engine.kdamonds
        # A context that starts while another one is still migrating finds pages already moved: never look back.
        now = max(memory.now_ns * 1e-9, self.time[-1] if self.time else 0.0)
        if self.time and self.time[-1] == now:
            self._drop_last()
        self.time.append(now)
        numbers: list[int] = []
        for k in kdamonds:
            for i, q in enumerate(k.quotas):
                numbers += q.esz_bp, q.score, q.resets, k.rmap_walks[i], q.held_windows, q.full_windows, q.bound
                numbers.append(ACTIONS.index(k.context.schemes[i].action))
        for k in kdamonds:
            for q in k.quotas:
                for goal in q.goals:
                    numbers += goal
        for k, clock in zip(kdamonds, engine.clocks, strict=True):
            numbers += k.regions.n, k.attrs.sample_us, clock.asleep_ns(memory.now_ns) // 1000
        rates = engine.access.touch_rate_hz(memory.now_ns // (engine.tick_us * 1000))
        tables = [memory.arrays.node, memory.arrays.by_class, rates]
        tables += [k.schemes for k in kdamonds] + [k.funnel for k in kdamonds] + [array("Q", numbers)]
        if memory.reclaims:
            tables.append(memory.arrays.swap)
        self.rows.append(b"".join([table.tobytes() for table in tables]))
        self.returns.add(*memory.take_log())

    def _drop_last(self) -> None:
        """Two contexts that finish at the same moment make one record."""
        self.time.pop()
        self.rows.pop()
        log = self.returns.moves.pop()
        if log.size:
            self.engine.memory.put_back(log)  # type: ignore[union-attr]

    def _columns(self) -> dict[str, npt.NDArray[Any]]:
        """Return what the rows hold, by variable."""
        if not self.rows:
            return {}
        assert self.engine is not None
        table = np.frombuffer(b"".join(self.rows), row_layout(self.engine))
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
            ("goal", ("goal_current", "goal_target")),
            ("context", _CONTEXT),
        ):
            data |= {name: table[part][name] for name in names}
        if self.engine.memory.reclaims:
            swap = table["swap"]
            data["reclaimed_pages"] = np.diff(swap[:, RECLAIMED], prepend=0)
            data["faulted_pages"] = np.diff(swap[:, FAULTED], prepend=0)
            data["out_pages"] = swap[:, AT_FRONT] + swap[:, AT_BACK]
            data["stalled_pages"] = swap[:, STALLED]
        return {name: np.array(values, order="C") for name, values in data.items()}

    def _actions(self) -> Coordinate:
        """Return the schemes' actions, by record where events change them."""
        assert self.engine is not None
        if not self.rows:
            return "scheme", np.array([s.action for c in self.engine.scenario.contexts for s in c.schemes], dtype=str)
        codes = np.frombuffer(b"".join(self.rows), row_layout(self.engine))["quota"]["action"]
        if (codes == codes[0]).all():
            return "scheme", np.array([ACTIONS[code] for code in codes[0]], dtype=str)
        return ("time", "scheme"), np.array(ACTIONS)[codes]

    def state(self) -> dict[str, Any]:
        """Return what was kept so far, as plain data and arrays: few large ones, however many records there are."""
        moves, columns = self.returns.moves, [c for _, _, c in self.snapshots]
        return {
            "about": self.about,
            "rows": np.frombuffer(b"".join(self.rows), np.uint8).reshape(len(self.rows), -1),
            "time": np.array(self.time),
            "moves": np.concatenate([np.zeros(0, np.uint64), *moves]),
            "moves_of": np.array([m.size for m in moves], np.int64),
            "lost": self.returns.lost,
            "snapshot_time": np.array([t for t, _, _ in self.snapshots]),
            "snapshot_of": [i for _, i, _ in self.snapshots],
            "snapshot_sizes": [c["start"].size for c in columns],
            "snapshot": {n: np.concatenate([c[n] for c in columns] or [np.zeros(0, np.uint64)]) for n in _KEPT},
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take up what `state` returned; `engine` is the run that it belongs to.

        Raises
        ------
        KeyError, TypeError, ValueError
            If something is missing, or not a record of this run.
        """
        self.about = dict(state["about"])
        self.rows = [row.tobytes() for row in state["rows"]]
        self._columns()  # refuses rows of another run
        self.returns.moves = np.split(state["moves"], np.cumsum(state["moves_of"])[:-1]) if self.rows else []
        self.returns.lost = state["lost"]
        self.time = state["time"].tolist()
        edges = np.cumsum([0, *state["snapshot_sizes"]]).tolist()
        times, of, columns = state["snapshot_time"].tolist(), state["snapshot_of"], state["snapshot"]
        self.snapshots = [
            (at, i, {name: columns[name][a:b] for name in _KEPT})
            for at, i, a, b in zip(times, of, edges[:-1], edges[1:], strict=True)
        ]

    def dataset(self) -> xr.Dataset:
        """Return everything kept, as one dataset described by `VARIABLES`."""
        engine = self.engine
        assert engine is not None
        data = self._columns()
        if data:
            weight = data["class_pages"] * data["class_rate_hz"][:, None, :]
            by_node = weight.sum(axis=2)
            total = by_node.sum(axis=1, keepdims=True)
            share = np.divide(by_node, total, out=np.full(by_node.shape, np.nan), where=total > 0)
            data["access_share_bp"] = 1e4 * share
            moved = data["migrated_in_pages"].sum(axis=1)
            data["migrated_pages"] = np.diff(moved, prepend=0)
            data["returns"], data["undone_pages"] = self.returns.table(np.array(self.time), engine.memory.nids.size)
        columns = [c for _, _, c in self.snapshots]
        data["region_count"] = np.array([c["start"].size for c in columns], np.int64)
        for name, source in (("start", "start"), ("end", "end"), ("nr_accesses", "nr"), ("age", "age")):
            data[f"region_{name}"] = np.concatenate([c[source] for c in columns] or [np.zeros(0, np.uint64)])
        data["rejected_bytes"] = np.concatenate(
            [np.zeros(0, np.uint64), *[k.rejected[: len(_filters(k))] for k in engine.kdamonds]]
        )
        contexts = engine.scenario.contexts
        if any(len(c.targets) > 1 for c in contexts) or any(c["target"].any() for c in columns):
            data["region_target"] = np.concatenate([c["target"] for c in columns] or [np.zeros(0, np.uint64)])
        schemes = [(i, s) for i, c in enumerate(contexts) for s in c.schemes]
        goals = [k for k, (_, s) in enumerate(schemes) for _ in s.quota.goals]
        first = np.cumsum([0, *[len(k.schemes) for k in engine.kdamonds]]).tolist()
        filters = [(a + i, kind) for a, k in zip(first, engine.kdamonds, strict=False) for i, kind in _filters(k)]
        coords: dict[str, Coordinate] = {
            "time": ("time", np.array(self.time)),
            "node": ("node", engine.memory.nids),
            "scheme": ("scheme", np.arange(len(schemes))),
            "scheme_context": ("scheme", np.array([i for i, _ in schemes], np.int64)),
            "scheme_action": self._actions(),
            "goal": ("goal", np.arange(len(goals))),
            "goal_scheme": ("goal", np.array(goals, np.int64)),
            "goal_metric": ("goal", np.array([g.metric for _, s in schemes for g in s.quota.goals], dtype=str)),
            "context": ("context", np.arange(len(contexts))),
            "filter": ("filter", np.arange(len(data["rejected_bytes"]))),
            "filter_scheme": ("filter", np.array([i for i, _ in filters], np.int64)),
            "filter_type": ("filter", np.array([kind for _, kind in filters], dtype=str)),
            "page_class": ("page_class", np.array(engine.access.class_names, dtype=str)),
            "lag": ("lag", np.arange(MAX_LAG + 1)),
            "snapshot_time": ("snapshot", np.array([t for t, _, _ in self.snapshots])),
            "snapshot_context": ("snapshot", np.array([i for _, i, _ in self.snapshots], np.int64)),
        }
        return described(data, coords)
