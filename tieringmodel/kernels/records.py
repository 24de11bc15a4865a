"""Records of a run, which kernels append while it goes on: one row copies whole arrays, word by word."""

from __future__ import annotations

from ._bundle import Bundle, at_address, bundle
from ._jit import inlined, kernel
from .layout import LOG_LENGTH, MOVES, NOW, F64s, I64s, U64s

COUNT, SINCE_NS, UNTIL_NS, SETTLED = 0, 1, 2, 3
LOG_PARTS = 17
"""Rows are left to Python, which empties the log of moves, while a part of it in so many is full."""


@bundle
class Words(Bundle):
    """An array that is part of a row, as words."""

    word: U64s


@bundle
class Kept(Bundle):
    """Rows and what belongs to them; an empty one keeps nothing."""

    row: U64s  # [capacity * words of a row]
    time_s: F64s  # [capacity]
    log_at: I64s  # [capacity], length of the log of moves when the row was kept
    state: I64s  # [4]: rows kept; times between which the touch rates that belong to them hold; rows that know their moves
    context: I64s  # [4 * contexts]: regions, sampling interval in us, us asleep, stage of the scenario


_words = at_address(Words)


@inlined
def has_room(kept, memory):
    """Whether a row can be kept at the machine's present time: there is room for it, and nothing for Python to see to.

    A row of the same time as the last one, or of an earlier one, takes that one's place, unless its moves were taken already.
    """
    n, now_ns = kept.state[COUNT], memory.clock[NOW]
    if n >= kept.time_s.size or not kept.state[SINCE_NS] <= now_ns < kept.state[UNTIL_NS]:
        return False
    if n > 0 and kept.time_s[n - 1] >= now_ns * 1e-9 and n == kept.state[SETTLED]:
        return False
    moved, length = memory.clock[MOVES], memory.clock[LOG_LENGTH]
    return memory.log.size == 0 or (moved == length and length * LOG_PARTS <= memory.log.size)


@inlined
def keep_next(kept, sources, memory):
    """Keep a row at the machine's present time, where `has_room` says so."""
    n, time_s = kept.state[COUNT], memory.clock[NOW] * 1e-9
    if n > 0 and kept.time_s[n - 1] >= time_s:
        kept.state[COUNT], time_s = n - 1, kept.time_s[n - 1]
    keep(kept, sources, time_s, memory.clock[LOG_LENGTH])


@kernel
def keep(kept, sources, time_s, log_length):
    """Append a row of all `sources`, addresses of `Words` (u64[parts, 1])."""
    n = kept.state[COUNT]
    at = n * (kept.row.size // kept.time_s.size)
    for k in range(sources.shape[0]):
        part = _words(sources[k, 0])
        for j in range(part.word.size):
            kept.row[at] = part.word[j]
            at += 1
    kept.time_s[n], kept.log_at[n] = time_s, log_length
    kept.state[COUNT] = n + 1
