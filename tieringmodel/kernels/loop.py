"""The control loop reduced to one page count per quota window, in 64-bit integers (docs/theory/stability.md, section 0).

A cap of ``ULONG_MAX`` bytes is exactly "no cap": it never binds, and TEMPORAL answers it as it answers no size quota.
"""

from __future__ import annotations

import math

import numpy as np

from ._jit import inlined, kernel
from .integer import U10000
from .random import bits64, mix64
from .tuner import consist_esz_bp, temporal_esz_bp

PAGE_BYTES = np.uint64(4096)
_U2 = np.uint64(2)
_S11 = np.uint64(11)
_UNIT = 2.0**-53


@inlined
def rounded_normal(scale, seed, k):
    """``rint(scale * Z)``, Z standard normal, a pure function of (seed, k): Box-Muller on two counter-based draws."""
    key = mix64(seed)
    first = (float(bits64(key, _U2 * k) >> _S11) + 0.5) * _UNIT
    second = (float(bits64(key, _U2 * k + np.uint64(1)) >> _S11) + 0.5) * _UNIT
    return np.int64(np.rint(scale * math.sqrt(-2.0 * math.log(first)) * math.cos(2.0 * math.pi * second)))


@inlined
def measured_bp(seen, n_pages, noise_bp, seed, k):
    """Goal-node share of `seen` pages in bp, floored, plus rounded noise, clipped to 0..10000 (u64)."""
    cur = np.uint64(seen) * U10000 // np.uint64(n_pages)
    if noise_bp > 0.0:
        noisy = np.int64(cur) + rounded_normal(noise_bp, seed, np.uint64(k))
        cur = np.uint64(min(max(noisy, 0), 10_000))
    return cur


@kernel
def measured(seen, n_pages, noise_bp, seed, k):
    """`measured_bp`, for tuners in Python."""
    return measured_bp(seen, n_pages, noise_bp, seed, k)


@inlined
def tuned(consist, esz_bp, score, cap):
    """Next tuner state and the effective quota in bytes: the state is never clipped by the cap, the quota is."""
    esz_bp = consist_esz_bp(esz_bp, score) if consist else temporal_esz_bp(score, cap)
    return esz_bp, min(esz_bp // U10000, cap)


@inlined
def carried_out(n, cur, esz, goal_bp, ceiling, inward, early_exit, leak_pages, leak_rate):
    """What a window with an effective quota of `esz` bytes does to `n` pages: (next n, moved, leaked)."""
    moved = np.int64(0)
    stopped = early_exit and (cur >= goal_bp if inward else cur <= goal_bp)
    if not stopped:
        room = ceiling - n if inward else n
        moved = min(np.int64(esz // PAGE_BYTES), room)
    after = n + moved if inward else n - moved
    leaked = min(after, leak_pages + np.int64(leak_rate * n))
    return after - leaked, moved, leaked


@kernel
def after_window(n, cur, esz, goal_bp, ceiling, inward, early_exit, leak_pages, leak_rate):
    """`carried_out`, for tuners in Python."""
    return carried_out(n, cur, esz, goal_bp, ceiling, inward, early_exit, leak_pages, leak_rate)


@inlined
def window(n, cur, consist, esz_bp, goal_bp, cap, ceiling, inward, early_exit, leak_pages, leak_rate):
    """One quota window from `n` pages and a measured `cur`: (next n, moved, leaked, tuner state, esz, score)."""
    score = cur * U10000 // goal_bp
    esz_bp, esz = tuned(consist, esz_bp, score, cap)
    n, moved, leaked = carried_out(n, cur, esz, goal_bp, ceiling, inward, early_exit, leak_pages, leak_rate)
    return n, moved, leaked, esz_bp, esz, score


@kernel
def trace(
    consist,
    goal_bp,
    n_pages,
    n,
    cap,
    ceiling,
    inward,
    early_exit,
    delay,
    leak_pages,
    leak_rate,
    noise_bp,
    seed,
    esz_bp,
    pages,
    moved,
    leaked,
    esz,
    measured,
    score,
):
    """Fill the per-window arrays of one run; the result is the page count after the last window."""
    for k in range(pages.size):
        pages[k] = n
        cur = measured_bp(pages[max(k - delay, 0)], n_pages, noise_bp, seed, k)
        measured[k] = cur
        n, moved[k], leaked[k], esz_bp, esz[k], score[k] = window(
            n, cur, consist, esz_bp, goal_bp, cap, ceiling, inward, early_exit, leak_pages, leak_rate
        )
    return n


@kernel
def grid(
    consist,
    inward,
    windows,
    goal_bp,
    n_pages,
    start,
    cap,
    ceiling,
    early_exit,
    delay,
    leak_pages,
    leak_rate,
    noise_bp,
    seed,
    esz_bp0,
    low,
    high,
    tail,
    final,
    peak,
    trough,
    last_move,
    last_outside,
    moved_sum,
    tail_pages,
    tail_low,
    tail_high,
    tail_moved,
    final_esz,
):
    """Many runs without traces: every argument after `inward` has one value per run, the last eleven are filled."""
    ring = np.empty(delay.max() + 1, np.int64)
    for i in range(final.size):
        n, esz_bp, esz, lag = start[i], esz_bp0[i], np.uint64(0), delay[i]
        # In locals, because nothing tells the compiler that the arrays written below are others than those read here.
        of, goal, most, limit, stops = n_pages[i], goal_bp[i], cap[i], ceiling[i], early_exit[i]
        lost, rate, noise, key, under, over = leak_pages[i], leak_rate[i], noise_bp[i], seed[i], low[i], high[i]
        ring[: lag + 1] = n
        slot, end = np.uint64(0), np.uint64(lag)  # unsigned: no look for an index from the end
        top, bottom = n, n
        moving = outside = np.int64(-1)
        total = in_tail = sum_tail = np.int64(0)
        length = windows[i]
        tail_from = length - tail[i]
        tail_bottom, tail_top = of, np.int64(0)
        for k in range(length):
            seen = n
            if lag > 0:
                # The slot written now is read again `lag` windows later; the ring starts full of the first value.
                ring[slot] = n
                slot = slot + np.uint64(1) if slot < end else np.uint64(0)
                seen = ring[slot]
            if n < under or n > over:
                outside = k
            cur = measured_bp(seen, of, noise, key, k)
            n, moved, _, esz_bp, esz, _ = window(n, cur, consist, esz_bp, goal, most, limit, inward, stops, lost, rate)
            top, bottom = max(top, n), min(bottom, n)
            total += moved
            if moved > 0:
                moving = k
            if k >= tail_from:
                in_tail += moved
                sum_tail += n
                tail_bottom, tail_top = min(tail_bottom, n), max(tail_top, n)
        last_move[i], last_outside[i] = moving, length if n < under or n > over else outside
        final[i], peak[i], trough[i], moved_sum[i], final_esz[i] = n, top, bottom, total, esz
        tail_pages[i], tail_moved[i], tail_low[i], tail_high[i] = sum_tail, in_tail, tail_bottom, tail_top


@kernel
def pair_trace(consist, goal_bp, n_pages, n, cap, delay, pages, moved, esz):
    """Two opposing schemes: scheme 0 fills node 0, scheme 1 empties it. Both measure, then both move from there."""
    esz_bp = np.zeros(2, np.uint64)
    for k in range(pages.size):
        pages[k] = n
        seen = pages[max(k - delay, 0)]
        for scheme in range(2):
            on_goal_node = seen if scheme == 0 else n_pages - seen
            source = n_pages - n if scheme == 0 else n
            score = measured_bp(on_goal_node, n_pages, 0.0, np.uint64(0), k) * U10000 // goal_bp[scheme]
            esz_bp[scheme], esz[k, scheme] = tuned(consist, esz_bp[scheme], score, cap[scheme])
            moved[k, scheme] = min(np.int64(esz[k, scheme] // PAGE_BYTES), source)
        n += moved[k, 0] - moved[k, 1]
    return n
