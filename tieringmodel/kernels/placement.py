"""Who goes where: weighted placement rules on plain arrays, usable on a whole memory or on one region at a time.

Every kernel writes one destination index per candidate into `out`. Those that need the whole picture take it as
arguments (the rank of the first candidate, the total, what is left to deal), so a region-wise walk that hands
over consecutive pieces gets the same answer as one call on everything.
"""

from __future__ import annotations

import numpy as np

from ._jit import inlined, kernel
from .random import bits64

U0 = np.uint64(0)
U1 = np.uint64(1)
U12 = np.uint64(12)
U32 = np.uint64(32)
LOW32 = np.uint64(0xFFFFFFFF)


@inlined
def below64(key, counter, n):
    """Uniform integer in [0, n) for n <= 2**32: high part of a 64 x 32 bit product (bias < n / 2**64)."""
    bits = bits64(key, counter)
    return ((bits >> U32) * n + (((bits & LOW32) * n) >> U32)) >> U32


@inlined
def interval_of(x, weights):
    """Index of the interval of cumulated `weights` (u64) that holds x < sum(weights); empty intervals hold nothing."""
    for i in range(weights.size):
        if x < weights[i]:
            return i
        x -= weights[i]
    return weights.size


@kernel
def dest_by_interval(values, weights, out):
    """``out[k]`` = interval of ``values[k] mod W``, W = sum of `weights` > 0 (all u64; out: any integer type)."""
    total = U0
    for i in range(weights.size):
        total += weights[i]
    if weights.size == 2:
        for k in range(values.size):
            out[k] = values[k] % total >= weights[0]
    else:
        for k in range(values.size):
            out[k] = interval_of(values[k] % total, weights)


@kernel
def round_key(seed, stream, round_number):
    """Key of one random stream in one round (all u64 -> u64)."""
    return bits64(bits64(seed, stream), round_number)


@kernel
def iid_redraw(key, pages, round_number, cuts, out):
    """Independent redraw: ``out[k]`` = how many of `cuts` are <= 63 bits drawn for (key, round, ``pages[k]``).

    ``cuts[j]`` = floor(2**63 * (w_0 + ... + w_j) / W) for all nodes but the last (u64), so the probability of a
    destination is off by less than 2**-62.
    """
    key = bits64(key, round_number)
    if cuts.size == 1:
        cut = cuts[0]
        for k in range(pages.size):
            out[k] = (bits64(key, pages[k]) >> U1) >= cut
    else:
        for k in range(pages.size):
            bits = bits64(key, pages[k]) >> U1
            dest = 0
            for j in range(cuts.size):
                dest += bits >= cuts[j]
            out[k] = dest


@kernel
def rank_dest(first_rank, total, to_node1, from_top, out):
    """Rank rule for candidates in ascending PFN order, of which ``out[0]`` has rank `first_rank` among `total`.

    The `to_node1` lowest ranks (with `from_top` the highest) get 1, the others 0.
    """
    low, high = (total - to_node1, total) if from_top else (0, to_node1)
    for k in range(out.size):
        out[k] = low <= first_rank + k < high


@kernel
def deal_counts(key, pages, source, dealt, remaining, out):
    """Deal exact counts, uniformly over all ways to do so: selection sampling in one pass over the pages.

    Of the dealt pages with ``source[k] == i``, ``remaining[i, j]`` (i64) are still to be given destination j; it
    counts down, so the next piece continues where this one ended. Row sums are the dealt pages still to come
    (each < 2**32). Pages with ``dealt[k] == 0`` keep their source. `pages` (u64) are the counters of the draws.
    """
    nodes = remaining.shape[1]
    left = np.zeros(remaining.shape[0], np.int64)
    for i in range(remaining.shape[0]):
        for j in range(nodes):
            left[i] += remaining[i, j]
    for k in range(pages.size):
        i = source[k]
        if dealt[k] == 0:
            out[k] = i
            continue
        x = np.int64(below64(key, pages[k], np.uint64(left[i])))
        left[i] -= 1
        for j in range(nodes):
            if x < remaining[i, j]:
                remaining[i, j] -= 1
                out[k] = j
                break
            x -= remaining[i, j]


@kernel
def vma_interleave_index(vaddr, vm_start, vm_pgoff, order):
    """Interleave index of a folio of 2**order pages met at `vaddr` (all u64; wraps at 64 bit as the kernel does)."""
    return (vm_pgoff >> order) + (((vaddr - vm_start) >> U12) >> order)


@kernel
def weighted_dest(ilx, weights):
    """Destination index of interleave index `ilx` (u64); -1 if the weights (u64, each < 2**32) add up to 0.

    The sum is kept in 32 bits, as DAMON's is.
    """
    total = U0
    for i in range(weights.size):
        total += weights[i]
    total &= LOW32
    if total == U0:
        return -1
    return interval_of(ilx % total, weights)


@kernel
def count_returns(before, after, round_number, left_in, returns):
    """Book one round's moves: who left, and which earlier departures it ends.

    A page that moves from a to b has left a in this round (``left_in[page, a]``, i32, 0 = no open departure); if it
    had left b in round t, that departure ends with lag ``round_number - t`` and ``returns[t, lag]`` (u32) grows,
    unless the lag is beyond the last column.

    Half of the pages may move, at random, so there is no branch: no departure is open to the node a page is on, and
    what has no departure to end is booked to round 0, which is cleared.
    """
    for k in range(before.size):
        a, b = before[k], after[k]
        t = left_in[k, b]
        lag = round_number - t
        returns[t, lag if lag < returns.shape[1] else 0] += 1
        left_in[k, b] = 0
        left_in[k, a] = round_number if a != b else 0
    returns[0, :] = 0


@kernel
def merge_by_frame(order, left, pfn, arrivals, out):
    """Pages by ascending PFN after a round: `order` without the pages whose ``left`` is set, merged with `arrivals`.

    `order` minus the leavers, and `arrivals` (the leavers with their new `pfn`), are each already ascending.
    """
    a = 0
    n = 0
    for k in range(order.size):
        page = order[k]
        if left[page]:
            continue
        while a < arrivals.size and pfn[arrivals[a]] < pfn[page]:
            out[n] = arrivals[a]
            n += 1
            a += 1
        out[n] = page
        n += 1
    while a < arrivals.size:
        out[n] = arrivals[a]
        n += 1
        a += 1


@kernel
def draw_ranks(key, pages, out):
    """``out[k]`` (i64, non-negative) = 63 random bits for (key, ``pages[k]``); sorting by them is a uniform shuffle."""
    for k in range(pages.size):
        out[k] = np.int64(bits64(key, pages[k]) >> U1)


@kernel
def frames_by_page(rec, out):
    """Set ``out[page]`` (u32) to the frame whose record in `rec` names that page; pages without a frame keep what they had."""
    for frame in range(rec.size):
        owner = rec[frame] & LOW32
        if owner:
            out[np.int64(owner) - 1] = np.uint32(frame)
