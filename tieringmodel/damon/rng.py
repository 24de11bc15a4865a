"""DAMON's per-context random numbers as state plus buffer: the kernel's generator, a recording, or the fast default."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from ..kernels import draws
from ..kernels._bundle import bundle
from ..kernels.layout import Draws
from ..kernels.random import mixed
from ..stored import same_kind
from ..units import ULONG_MAX


@bundle
class Rng(Draws):
    """A stream of 32-bit draws that kernels advance in place (`state`, `buffer`)."""

    @property
    def taken(self) -> int:
        """Draws taken so far."""
        return int(self.state[draws.POS])

    def check(self, where: str) -> None:
        """Raise `InputError` if a recorded stream was read beyond its end."""
        if self.state[draws.KIND] == draws.REPLAY and self.taken > self.buffer.size:
            text = f"the run needs {self.taken} draws, the recording has {self.buffer.size}"
            raise InputError(where, text, "use the recording of this very run")


def _rng(kind: np.uint64, key: int = 0, registers: tuple[int, ...] = (0, 0, 0, 0), buffer: object = None) -> Rng:
    state = np.zeros(8, np.uint64)
    state[draws.KIND], state[draws.KEY] = kind, np.uint64(key)
    state[3:7] = registers
    return Rng(state, np.zeros(1, np.uint32) if buffer is None else np.ascontiguousarray(buffer, np.uint32))


def lfsr_registers(seed: int) -> tuple[int, int, int, int]:
    """Return the registers s1 … s4 after seeding with a 64-bit number, as ``prandom_seed_state`` does without warm-up."""
    seed &= ULONG_MAX
    i = ((seed >> 32) ^ (seed << 10) ^ seed) & 0xFFFFFFFF
    one, two, three, four = (i + m if i < m else i for m in (2, 8, 16, 128))
    return one, two, three, four


def kernel_rng(seed: int) -> Rng:
    """Return the kernel's lfsr113 seeded with a 64-bit number."""
    return _rng(draws.LFSR, registers=lfsr_registers(seed))


def replay_rng(buffer: npt.ArrayLike) -> Rng:
    """Return a stream that repeats recorded 32-bit draws."""
    return _rng(draws.REPLAY, buffer=buffer)


def counter_rng(seed: int, stream: int = 0) -> Rng:
    """Return the default: draw n is a hash of (seed, stream, n), so nothing depends on the order of work."""
    key = mixed(seed ^ mixed(stream + 1))
    return _rng(draws.COUNTER, key=key)


def restored(state: npt.NDArray[np.uint64], buffer: npt.NDArray[np.uint32]) -> Rng:
    """Return the stream that had this state and buffer when it was stored; what was neither is a `ValueError`."""
    if buffer.size == 0:
        raise ValueError("rng has no buffer")
    return Rng(same_kind(state, "rng", np.uint64, (8,)).copy(), same_kind(buffer, "rng", np.uint32, (buffer.size,)))
