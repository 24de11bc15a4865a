"""Integer arithmetic as the kernel does it: 64-bit unsigned, truncating, wrapping."""

from __future__ import annotations

import numpy as np

from ._jit import inlined, kernel

U0 = np.uint64(0)
U1 = np.uint64(1)
U10000 = np.uint64(10_000)
U20000 = np.uint64(20_000)
ULONG_MAX = np.uint64(2**64 - 1)


@inlined
def mult_frac(x, numerator, denominator):
    """``floor(x * numerator / denominator)`` in two terms, so that ``x * numerator`` does not overflow (u64)."""
    return (x // denominator) * numerator + ((x % denominator) * numerator) // denominator


@kernel
def feed_loop_next_input(last_input, score):
    """One step of ``damon_feed_loop_next_input`` (u64, u64) -> u64; see `tieringmodel.damon.quota_math`."""
    if score == U10000:
        return last_input
    if score >= U20000:
        return U10000
    over = score > U10000
    distance = score - U10000 if over else U10000 - score
    if last_input < ULONG_MAX // distance:
        compensation = last_input * distance // U10000
    else:
        compensation = (last_input // U10000) * distance
    if over:
        if last_input > compensation and last_input - compensation > U10000:
            return last_input - compensation
        return U10000
    if last_input < ULONG_MAX - compensation:
        return last_input + compensation
    return ULONG_MAX


@kernel
def feed_loop_next_inputs(last_input, score, out):
    """`feed_loop_next_input` over equally long u64 arrays."""
    for i in range(out.size):
        out[i] = feed_loop_next_input(last_input[i], score[i])
