"""Bit counting on 64-bit words, and counting set bits in a range of frames through three levels."""

from __future__ import annotations

import numba
import numpy as np
from numba.core import types
from numba.extending import intrinsic

from ._jit import inlined, kernel

if numba.config.DISABLE_JIT:

    def popcount(x):
        """Number of set bits of a u64."""
        return np.uint64(int(x).bit_count())

    def ctz(x):
        """Index of the lowest set bit of a non-zero u64."""
        return np.uint64((int(x) & -int(x)).bit_length() - 1)

    def clz(x):
        """Number of zero bits above the highest set bit of a non-zero u64."""
        return np.uint64(64 - int(x).bit_length())

else:

    @intrinsic
    def popcount(typingctx, x):
        """Number of set bits of a u64."""
        return types.uint64(types.uint64), lambda context, builder, sig, args: builder.ctpop(args[0])

    @intrinsic
    def ctz(typingctx, x):
        """Index of the lowest set bit of a non-zero u64."""
        return types.uint64(types.uint64), lambda context, builder, sig, args: builder.cttz(args[0], types_false(context))

    @intrinsic
    def clz(typingctx, x):
        """Number of zero bits above the highest set bit of a non-zero u64."""
        return types.uint64(types.uint64), lambda context, builder, sig, args: builder.ctlz(args[0], types_false(context))

    def types_false(context):
        """Return the LLVM constant that says: zero is a defined input."""
        return context.get_constant(types.boolean, False)


ALL = np.uint64(2**64 - 1)
_64 = np.uint64(64)
BLOCK = 512
SUPER = 1 << 18


@inlined
def set_bit(bits, i):
    """Set bit `i` of a bitmap of u64 words."""
    bits[i >> 6] |= np.uint64(1) << np.uint64(i & 63)


@inlined
def clear_bit(bits, i):
    """Clear bit `i` of a bitmap of u64 words."""
    bits[i >> 6] &= ~(np.uint64(1) << np.uint64(i & 63))


@inlined
def get_bit(bits, i):
    """Return whether bit `i` is set."""
    return (bits[i >> 6] >> np.uint64(i & 63)) & np.uint64(1) != np.uint64(0)


@inlined
def _count_words(bits, a, b):
    """Set bits with index in [a, b), by words."""
    if a >= b:
        return np.int64(0)
    first, last = a >> 6, (b - 1) >> 6
    head = ALL << np.uint64(a & 63)
    tail = ALL >> np.uint64(63 - ((b - 1) & 63))
    if first == last:
        return np.int64(popcount(bits[first] & head & tail))
    total = np.int64(popcount(bits[first] & head)) + np.int64(popcount(bits[last] & tail))
    for w in range(first + 1, last):
        total += np.int64(popcount(bits[w]))
    return total


@inlined
def _sum_blocks(per_block, a, b):
    """Sum of the counts of blocks a … b - 1. A plain loop: it compiles to vector code."""
    total = np.int64(0)
    for block in range(a, b):
        total += np.int64(per_block[block])
    return total


@inlined
def _sum_before(per_block, per_super, block):
    """Set bits between the last multiple of 2**18 and a block, from the nearer end."""
    k = block >> 9
    if block & 511 <= 256:
        return _sum_blocks(per_block, k << 9, block)
    return per_super[k] - _sum_blocks(per_block, block, min((k + 1) << 9, per_block.size))


@inlined
def count_range(bits, per_block, per_super, a, b):
    """Set bits with index in [a, b) through per-512 and per-2**18 counts (a, b int64): O(edges), not O(b - a)."""
    first, last = (a + BLOCK - 1) >> 9, b >> 9
    if first > last:
        return _count_words(bits, a, b)
    total = _count_words(bits, a, first << 9) + _count_words(bits, last << 9, b)
    if last - first <= 512:
        return total + _sum_blocks(per_block, first, last)
    for k in range(first >> 9, last >> 9):
        total += per_super[k]
    return total + _sum_before(per_block, per_super, last) - _sum_before(per_block, per_super, first)


def recount(bits, per_block, per_super):
    """Recompute both count levels from the bitmap (the full scan that checks the incremental counters)."""
    per_block[:] = np.bitwise_count(bits).reshape(-1, BLOCK // 64).sum(1)
    counts = np.zeros((per_super.size, SUPER // BLOCK), np.int64)
    counts.reshape(-1)[: per_block.size] = per_block
    per_super[:] = counts.sum(1)


def fill_bits(bits, a, b, value):
    """Set or clear all bits with index in [a, b)."""
    first, last = -(-a // 64), b // 64
    if first <= last:
        bits[first:last] = ALL if value else 0
    edges = [(a, min(64 * first, b))] + ([(max(64 * last, a), b)] if first <= last else [])
    for low, high in edges:
        if low < high:
            mask = np.uint64((2 ** (high - low) - 1) << (low % 64))
            bits[low // 64] = bits[low // 64] | mask if value else bits[low // 64] & ~mask


_ONES = np.uint64(0x0101010101010101)
_LOW7 = np.uint64(0x7F7F7F7F7F7F7F7F)
_HIGH = np.uint64(0x8080808080808080)


@kernel
def count_equal_u8(words, value):
    """Count bytes equal to `value` in a u64 view of a u8 array, eight at a time.

    A byte of ``word ^ pattern`` is zero iff it matches; ``((x & 0x7f..) + 0x7f..) | x`` has its top bit set iff not. The
    indexed loop compiles to vector code, one over the words themselves does not.
    """
    pattern = _ONES * np.uint64(value)
    others = np.uint64(0)
    for i in range(words.size):
        x = words[i] ^ pattern
        others += popcount((((x & _LOW7) + _LOW7) | x) & _HIGH)
    return words.size * 8 - np.int64(others)
