"""Counting bits in a range through per-block sums equals counting them one by one."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import pytest

import tieringmodel as tm
from tieringmodel.kernels import bits as kernels
from tieringmodel.simulation.engine import Engine

count_range = kernels.count_range
BLOCKS = 512 * 3 + 100
"""More than three times the 2**18 bits that a sum of sums covers, and not a multiple of them."""


@numba.njit
def counted(bits: Any, per_block: Any, per_super: Any, a: Any, b: Any) -> Any:
    return count_range(bits, per_block, per_super, a, b)


@pytest.fixture(scope="module")
def sums() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    flags = rng.random(BLOCKS * 512) < rng.random(BLOCKS).repeat(512)
    words = np.packbits(flags, bitorder="little").view(np.uint64)
    per_block = flags.reshape(-1, 512).sum(axis=1)
    per_super = np.array([per_block[k : k + 512].sum() for k in range(0, BLOCKS, 512)])
    return flags, words, per_block.astype(np.uint16), per_super.astype(np.int64)


def test_ranges_of_every_size(sums: tuple[np.ndarray, ...]) -> None:
    flags, *tables = sums
    before = np.concatenate(([0], np.cumsum(flags)))
    rng = np.random.default_rng(4)
    n, quarter = flags.size, 2**18
    ends = [(0, n), (0, 0), (5, 5), (511, 513), (quarter - 1, quarter + 1), (1, 2 * quarter), (256 * 512, 900 * 512),
            (257 * 512, 1000 * 512), (100, n - 1), (quarter + 300 * 512 + 7, 3 * quarter + 90 * 512 + 3)]  # fmt: skip
    ends += [tuple(sorted(pair)) for pair in rng.integers(0, n + 1, (40, 2)).tolist()]
    for a, b in ends:
        assert int(counted(*tables, np.int64(a), np.int64(b))) == before[b] - before[a], (a, b)


def test_owners_cover_three_nodes_and_their_holes() -> None:
    mib = 1 << 20
    nodes = tm.Node(0, 0, mib), tm.Node(1, 2 * mib, mib), tm.Node(2, 5 * mib, 2 * mib)
    placed = tuple(tm.Placement(10 * k, 10 * k + 10, k) for k in range(3))
    memory = Engine(tm.Scenario(tm.Machine(nodes=nodes), tm.Workload(30, placement=placed), ()), 1).memory
    owners = memory.owners()
    assert owners.size == 7 * 256
    assert sorted(owners[owners > 0].tolist()) == list(range(1, 31))
    for k, first in enumerate((0, 512, 1280)):
        inside = owners[first : first + 256]
        assert sorted(inside[inside > 0].tolist()) == list(range(10 * k + 1, 10 * k + 11))
