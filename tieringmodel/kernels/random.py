"""Counter-based random bits: a draw is a pure function of a key and a counter, so order and threads do not matter."""

from __future__ import annotations

import numpy as np

from ._jit import inlined

GAMMA = np.uint64(0x9E3779B97F4A7C15)
_M1 = np.uint64(0xBF58476D1CE4E5B9)
_M2 = np.uint64(0x94D049BB133111EB)
_S30, _S27, _S31, _S32 = np.uint64(30), np.uint64(27), np.uint64(31), np.uint64(32)


@inlined
def mix64(x):
    """Finaliser of splitmix64 (Steele, Lea, Flood 2014): u64 -> u64."""
    x = (x ^ (x >> _S30)) * _M1
    x = (x ^ (x >> _S27)) * _M2
    return x ^ (x >> _S31)


def mixed(x: int) -> int:
    """`mix64` for plain Python: nothing is compiled where a key is made."""
    mask = 2**64 - 1
    x &= mask
    x = (x ^ (x >> int(_S30))) * int(_M1) & mask
    x = (x ^ (x >> int(_S27))) * int(_M2) & mask
    return x ^ (x >> int(_S31))


@inlined
def bits64(key, counter):
    """64 random bits for (key, counter), both u64."""
    return mix64(key + (counter + np.uint64(1)) * GAMMA)


@inlined
def below(key, counter, n):
    """Uniform integer in [0, n) for n < 2**32: the high half of a 32 x 32 bit product (bias < n / 2**32)."""
    return ((bits64(key, counter) >> _S32) * n) >> _S32
