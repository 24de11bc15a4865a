"""How fast pages per node are counted: a scan beside the memory's own speed, and the kept counters beside the scan."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from tieringmodel.damon.regions import empty
from tieringmodel.kernels import bits, scoring
from tieringmodel.kernels._jit import kernel
from tieringmodel.memory.columns import count_on_node
from tieringmodel.scenario import AccessPattern, Context, Machine, Scenario, Scheme, Workload
from tieringmodel.simulation.engine import Engine

from .measure import Spread, Table, Work, gate, interleaved, ratio

N_REGIONS = 1_000
REPEATS = 20
"""A call of the counters is too short for the clock."""


@kernel
def sum_words(words: Any) -> Any:
    """Add up u64 words: reads every byte once."""
    total = np.uint64(0)
    for i in range(words.size):
        total += words[i]
    return total


def repeat(kernel: Any, *arguments: Any) -> None:
    """Call a kernel `REPEATS` times."""
    for _ in range(REPEATS):
        kernel(*arguments)


class Occupied:
    """A machine of that many frames, half of them at random with a page, and the same as a column of nodes."""

    def __init__(self, n_frames: int) -> None:
        half = n_frames // 2 * 4096
        scheme = Scheme("stat", AccessPattern(min_nr_accesses=1))
        machine = Machine.dram_cxl(half, half)
        self.engine = Engine(Scenario(machine, Workload(1), (Context(schemes=(scheme,)),)))
        m = self.engine.memory.arrays
        m.lru_bits[:] = np.random.default_rng(7).integers(0, 2**64, m.lru_bits.size, np.uint64)
        bits.recount(m.lru_bits, m.lru_512, m.lru_256k)
        self.node = np.full(n_frames, 255, np.uint8)
        for i, base in enumerate(m.base.tolist()):
            end = base + int(m.frames[i])
            used = np.unpackbits(m.lru_bits[base // 64 : end // 64].view(np.uint8), bitorder="little")
            self.node[base:end][used.view(np.bool_)] = i
        self.regions = empty(N_REGIONS)
        borders = np.linspace(0, n_frames, N_REGIONS + 1).astype(np.uint64) * np.uint64(4096)
        self.regions.start[:], self.regions.end[:] = borders[:-1], borders[1:]
        self.regions.nr[:] = self.regions.last[:] = np.arange(N_REGIONS) % 2
        self.counts = np.zeros(2, np.int64)

    def scan(self, seed: int) -> Work:
        """Count one node's pages by scanning the column."""
        return partial(count_on_node, self.node, seed % 2)

    def numpy_scan(self, seed: int) -> Work:
        """Do the same as numpy does it best."""
        return lambda: np.count_nonzero(self.node == seed % 2)

    def xor(self, seed: int) -> Work:
        """Read all bytes with numpy."""
        return partial(np.bitwise_xor.reduce, self.node.view(np.uint64))

    def add(self, seed: int) -> Work:
        """Read all bytes with a compiled loop."""
        return partial(sum_words, self.node.view(np.uint64))

    def eligible(self, seed: int) -> Work:
        """Count both nodes' pages in the regions that match, every second one, so that none share an edge."""
        k = self.engine.kdamonds[0]
        arguments = self.regions, N_REGIONS, k.schemes[0], k.window(), None, k.space, k.memory.arrays, self.counts
        return partial(repeat, scoring.eligible_bytes, *arguments)

    def resident(self, seed: int) -> Work:
        """Count both nodes' pages in all regions, which are neighbours and need a look at two edges."""
        k = self.engine.kdamonds[0]
        return partial(repeat, scoring.resident_bytes, self.regions, N_REGIONS, k.space, k.memory.arrays, self.counts)

    def agree(self) -> bool:
        """Tell whether scan and counters find the same pages, in every second region and in all."""
        edges = np.linspace(0, self.node.size, N_REGIONS + 1).astype(np.int64)
        part = np.concatenate([self.node[a:b] for a, b in zip(edges[1:-1:2], edges[2::2], strict=True)])
        same = []
        for count, where in ((self.eligible, part), (self.resident, self.node)):
            count(0)()
            same.append((self.counts // 4096).tolist() == [count_on_node(where, i) for i in range(2)])
        return all(same)


def table(n_frames: int, rounds: int) -> Table:
    """Answer how fast counting is."""
    size = f"2^{n_frames.bit_length() - 1}"
    t = Table(
        f"Pages per node over {size} frames ({n_frames / 2**28:g} TiB)",
        ("how", "ms", "beside", "ratio", "gate", "equal"),
        "Reading is the faster of numpy's xor.reduce and a compiled sum over the same bytes, round by round in this run.\n"
        f"The counters answer for {N_REGIONS} regions and both nodes at once; they are what the bp metrics use.\n"
        "eligible: every second region matches, so that no two share an edge; resident: all of them.",
    )
    memory = Occupied(n_frames)
    programs = {
        "read xor": memory.xor, "read sum": memory.add, "scan": memory.scan, "numpy": memory.numpy_scan,
        "eligible": memory.eligible, "resident": memory.resident,
    }  # fmt: skip
    took = interleaved(programs, rounds)
    read = [min(pair) for pair in zip(took["read xor"], took["read sum"], strict=True)]
    share = ratio(read, took["scan"])
    equal = memory.agree()

    def ms(values: list[float]) -> Spread:
        return Spread.of([1e3 * v for v in values])

    t.add("reading every byte once", ms(read), "", "", "", "")
    t.add("count_on_node, a full scan", ms(took["scan"]), "reading", share, f">= 0.9 {gate(share.median >= 0.9)}", equal)
    t.add("np.count_nonzero(node == i)", ms(took["numpy"]), "the scan takes", ratio(took["numpy"], took["scan"]), "", "")
    for name in ("eligible", "resident"):
        took[name] = [seconds / REPEATS for seconds in took[name]]
        gain = ratio(took["scan"], took[name])
        verdict = f">= 50 at 1 TiB {gate(gain.median >= 50)}" if n_frames >= 2**28 else ""
        t.add(f"{name}_bytes, counters", ms(took[name]), "the scan takes", gain, verdict, equal)
    return t
