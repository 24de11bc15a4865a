"""DAMON's random numbers: the kernel's generator, a recorded stream, or a counter-based default."""

from __future__ import annotations

import numpy as np

from ._jit import inlined, kernel
from .random import bits64

LFSR, REPLAY, COUNTER = np.uint64(0), np.uint64(1), np.uint64(2)
KIND, POS, KEY, S1, ONE_DRAW = 0, 1, 2, 3, 7
_S32 = np.uint64(32)
_MASK32 = np.uint64(0xFFFFFFFF)
_U1 = np.uint64(1)


@inlined
def _tausworthe(s, mask, left, fold, right):
    """One step of one register: the masked part moves up, the folded word's top comes in below."""
    return (((s & mask) << left) & _MASK32) ^ ((((s << fold) & _MASK32) ^ s) >> right)


@inlined
def _lfsr113(state):
    """Four combined Tausworthe registers (L'Ecuyer 1999), all in 32 bits."""
    s1, s2, s3, s4 = state[3], state[4], state[5], state[6]
    s1 = _tausworthe(s1, np.uint64(0xFFFFFFFE), np.uint64(18), np.uint64(6), np.uint64(13))
    s2 = _tausworthe(s2, np.uint64(0xFFFFFFF8), np.uint64(2), np.uint64(2), np.uint64(27))
    s3 = _tausworthe(s3, np.uint64(0xFFFFFFF0), np.uint64(7), np.uint64(13), np.uint64(21))
    s4 = _tausworthe(s4, np.uint64(0xFFFFFF80), np.uint64(13), np.uint64(3), np.uint64(12))
    state[3], state[4], state[5], state[6] = s1, s2, s3, s4
    return s1 ^ s2 ^ s3 ^ s4


@inlined
def next_u32(rng):
    """The next 32 random bits (as u64). A recorded stream must be long enough; the caller checks."""
    state, buffer = rng.state, rng.buffer
    pos = state[POS]
    state[POS] = pos + _U1
    if state[KIND] == LFSR:
        return _lfsr113(state)
    if state[KIND] == REPLAY:
        return np.uint64(buffer[np.int64(pos) % buffer.size])
    return bits64(state[KEY], pos) >> _S32


@inlined
def mul_high(x, y):
    """High 64 bits of the 128-bit product of two u64."""
    a, b = x >> _S32, x & _MASK32
    c, d = y >> _S32, y & _MASK32
    middle = a * d + ((b * d) >> _S32)
    low = b * c + (middle & _MASK32)
    return a * c + (middle >> _S32) + (low >> _S32)


@inlined
def rand_range(rng, left, right):
    """Uniform integer in [left, right), u64: one draw for spans below 2**32, else two (the first is the high word).

    Up to 7.1 wider spans take one draw, too, and count modulo 2**32; of 0 the draw is taken as it is.
    """
    span = right - left
    if span <= _MASK32:
        return left + ((next_u32(rng) * span) >> _S32)
    high = next_u32(rng)
    if rng.state[ONE_DRAW] != np.uint64(0):
        if rng.state[KIND] == COUNTER:  # numbered as if there were two, so that numbers depend on regions alone
            rng.state[POS] += _U1
        span &= _MASK32
        return left + (high if span == np.uint64(0) else (high * span) >> _S32)
    return left + mul_high((high << _S32) | next_u32(rng), span)


@kernel
def draw_many(rng, out):
    """Fill `out` (u32) with consecutive draws."""
    for i in range(out.size):
        out[i] = np.uint32(next_u32(rng))


@kernel
def rand_one(rng, left, right):
    """`rand_range` for one pair, for tests."""
    return rand_range(rng, left, right)
