"""Vectors of single functions: random numbers, the feedback loop, scores, moving sums, interleave destinations."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ...damon.intervals import nr_samples
from ...damon.quota_math import feed_loop_next_input
from ...damon.rng import kernel_rng, lfsr_registers, replay_rng
from ...interleave.vaddr import vaddr_dest_index
from ...kernels import draws, integer, scoring
from ...kernels.turn import left_window_bp
from .vector_files import Record, Table, VectorFile

_WINDOW = ("nr_accesses", "last_nr_accesses", "passed_sis", "next_aggr_sis", "sample_us", "aggr_us")


def prandom(file: VectorFile, record: Record) -> None:
    """Replay seeds, registers and first outputs of the per-context generator."""
    seed, first = record["seed"], record["first"]
    where = f"{record.where}, seed {seed}"
    file.equal(where, "state", list(lfsr_registers(seed)), record["state"])
    rng, out = kernel_rng(seed), np.zeros(len(first), np.uint32)
    draws.draw_many(rng, out)
    file.equal(where, "first", out.tolist(), first)


def rand(file: VectorFile) -> None:
    """Replay bounded draws from recorded raw ones, the number of raw draws included."""
    table = file.table("l", "r", "raw1", "raw2", "result")
    left, right, result = (table.column(name) for name in ("l", "r", "result"))
    for i, where in enumerate(table.places):
        raw = [table.cells["raw1"][i], *([table.cells["raw2"][i]] if table.cells["raw2"][i] else [])]
        with file.reading(where):
            rng = replay_rng([int(r) for r in raw])
            got = int(draws.rand_one(rng, left[i], right[i]))
            file.equal(where, "number of raw draws", rng.taken, len(raw))
            file.equal(where, "result", got, int(result[i]))


def feed_loop(file: VectorFile) -> None:
    """Replay the feedback loop through both implementations, the compiled one and the reference."""
    table = file.table("last_input", "score", "next")
    last, score, expected = (table.column(name) for name in ("last_input", "score", "next"))
    compiled = np.zeros_like(last)
    integer.feed_loop_next_inputs(last, score, compiled)
    file.equal_column(table, "next (compiled)", compiled, expected)
    reference = [feed_loop_next_input(*pair) for pair in zip(last.tolist(), score.tolist(), strict=True)]
    file.equal_column(table, "next (reference)", np.array(reference, np.uint64), expected)


def _scores(
    table: Table, age: npt.NDArray[np.uint32], weight_nr: npt.NDArray[np.uint64], weight_age: npt.NDArray[np.uint64]
) -> npt.NDArray[np.uint64]:
    nr, last = table.column("nr_accesses", np.uint32), table.column("last_nr_accesses", np.uint32)
    passed, following, sample_us, aggr_us = (table.column(name).tolist() for name in _WINDOW[2:])
    left_bp = [left_window_bp(*row) for row in zip(passed, following, sample_us, aggr_us, strict=True)]
    samples = [nr_samples(*row) for row in zip(sample_us, aggr_us, strict=True)]
    out = np.zeros((nr.size, 3), np.uint64)
    scoring.scores_of(
        nr,
        last,
        age,
        np.array(left_bp, np.uint64),
        np.array(samples, np.uint64),
        np.array(aggr_us, np.uint64),
        weight_nr,
        weight_age,
        out,
    )
    return out


def scores(file: VectorFile) -> None:
    """Replay moving sum, hot and cold score of single regions."""
    table = file.table(
        *_WINDOW, "age", "weight_nr_accesses", "weight_age", "mvsum", "hot", "cold", unread=("start", "end", "weight_sz")
    )
    with file.reading(f"{file.path}:2"):
        weights = table.column("weight_nr_accesses"), table.column("weight_age")
        out = _scores(table, table.column("age", np.uint32), *weights)
    for k, name in enumerate(("mvsum", "hot", "cold")):
        file.equal_column(table, name, out[:, k], table.column(name))


def mvsum(file: VectorFile) -> None:
    """Replay moving sums."""
    table = file.table(*_WINDOW, "mvsum")
    with file.reading(f"{file.path}:2"):
        nothing = np.zeros(len(table.places), np.uint64)
        out = _scores(table, nothing.astype(np.uint32), nothing, nothing)
    file.equal_column(table, "mvsum", out[:, 0], table.column("mvsum"))


def vaddr_dests(file: VectorFile) -> None:
    """Replay the destination of single folios under weights with identity."""
    numbers = ("vm_pgoff", "vm_start", "addr", "order", "folio_nid")
    table = file.table(*numbers, "nodes", "weights", "dest_index", "dest_node")
    columns: list[list[int]] = [table.column(name).tolist() for name in numbers]
    for i, where in enumerate(table.places):
        with file.reading(where):
            nodes, weights = ([int(v) for v in table.cells[k][i].split(";") if v] for k in ("nodes", "weights"))
            pgoff, start, addr, order, nid = (c[i] for c in columns)
            index = vaddr_dest_index(pgoff, start, addr, order, nid, nodes, weights)
            file.equal(where, "dest_index", index, int(table.cells["dest_index"][i]))
            node = nodes[index] if nodes and index >= 0 else -1
            file.equal(where, "dest_node", node, int(table.cells["dest_node"][i]))
