"""The arrays that kernels work on, as named tuples and record types.

Frames are numbered densely: node i owns frames ``base[i]`` … ``base[i] + frames - 1``, bases are multiples of 512, so that
no word of a bitmap and no 2 MiB block belongs to two nodes. ``rec[frame]`` packs class << 32 | logical page + 1; its low
32 bits are 0 for a frame without a page, and then the high bits link the free list (next frame + 1).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

LOW32 = np.uint64(0xFFFFFFFF)
SHIFT32 = np.uint64(32)
CLASS_MASK = np.uint64(0xFFFF)
ACTIVE_SHIFT = np.uint64(48)
ACTIVE = np.uint64(1 << 48)
SEEN_SHIFT = np.uint64(49)
SEEN_LOW = np.uint64(0x7FFF)


class Regions(NamedTuple):
    """Structure of arrays, one entry per region; capacity may exceed the number in use."""

    start: Any  # u64, core address
    end: Any  # u64
    nr: Any  # u32, nr_accesses
    last: Any  # u32, last_nr_accesses
    age: Any  # u32


class Memory(NamedTuple):
    """Frames, logical pages and counters (see the module's text)."""

    rec: Any  # u64[frames]
    frame_of: Any  # u32[pages], frame of a logical page
    seen: Any  # u16[pages] or u16[0]: high half of 1 + tick at which the accessed state was last cleared; the low 15
    # bits are bits 49 … 63 of the page's record
    free_bits: Any  # u64[frames / 64]
    lru_bits: Any  # u64[frames / 64]
    free_512: Any  # u16[frames / 512]
    lru_512: Any  # u16[frames / 512]
    lru_256k: Any  # i64[frames / 2**18 + 1]
    free_256k: Any  # i64
    base: Any  # i64[nodes]
    frames: Any  # i64[nodes]
    pfn: Any  # i64[nodes], first page frame number
    node: Any  # NODE records[nodes]
    by_class: Any  # i64[nodes, classes], LRU pages of each access class
    log: Any  # u64[capacity], moves since the log was last read: page | from << 32 | to << 48; empty = not kept
    clock: Any  # i64[6]: now in ns, migration cost in ns per page, jiffy in ns, allocation counter, log length, moves


NODE = np.dtype(
    [
        ("free", "i8"), ("total", "i8"), ("lru", "i8"), ("reserve", "i8"), ("hint", "i8"), ("head", "i8"), ("tail", "i8"),
        ("migrated_in", "i8"), ("migrated_out", "i8"), ("alloc_failed", "i8"), ("policy", "i8"), ("try_all", "i8"),
        ("key", "u8"), ("active", "i8"),
    ]
)  # fmt: skip
LOWEST, FIFO, LIFO, RANDOM = 0, 1, 2, 3


NOW, COST, JIFFY, DRAWS, LOG_LENGTH, MOVES = 0, 1, 2, 3, 4, 5


class Space(NamedTuple):
    """Where a core address leads: ranges of pages to frames (paddr) or to logical pages (vaddr)."""

    first: Any  # i64[ranges], first page number of the range
    last: Any  # i64[ranges], one past its last page number
    base: Any  # i64[ranges], frame or logical page of the first page
    virtual: Any  # bool: base is a logical page
    unit: Any  # u64, bytes per core address unit
    shift: Any  # u64, binary logarithm of the bytes of a page (of a folio, where memory consists of larger ones)


class Access(NamedTuple):
    """Who touches what: rules by page class, with a one-load shortcut while every class has at most one plain rate."""

    first: Any  # i64[classes + 1], rules of a class
    rule: Any  # RULE records
    threshold: Any  # u64[classes], rate threshold of the class in the current phase (valid if plain)
    plain: Any  # bool
    key: Any  # u64, the run's access key
    anon: Any  # u8[classes], 1 for anonymous memory
    memcg: Any  # i64[classes], memory cgroup id, 0 = none


RULE = np.dtype(
    [
        ("kind", "i8"), ("start", "i8"), ("end", "i8"), ("threshold", "u8"), ("period", "i8"), ("phase", "i8"),
        ("stride", "i8"), ("lo", "i8"), ("salt", "u8"), ("slot", "u8"),
    ]
)  # fmt: skip
RATE, PERIOD, HASH = 0, 1, 2


SCHEME = np.dtype(
    [(name, "u8") for name in (
        "due", "active", "min_sz", "max_sz", "min_nr", "max_nr", "min_age", "max_age",
        "quota_set", "esz", "charged_sz", "total_charged_ns", "charge_target", "charge_addr", "min_score",
        "weight_nr", "weight_age", "score", "fail_num", "fail_denom", "max_nr_snapshots",
        "nr_tried", "sz_tried", "nr_applied", "sz_applied", "sz_ops_filter_passed", "qt_exceeds", "nr_snapshots",
        "last_applied", "keep_age", "core_first", "core_last", "core_reject", "ops_first", "ops_last", "ops_reject",
    )] + [("action", "i8"), ("target", "i8")]
)  # fmt: skip
NO_SCORE, HOT, COLD, TOP = 0, 1, 2, 3
STAT, MIGRATE, LRU_PRIO, LRU_DEPRIO, PAGEOUT, EXTERNAL, UNSUPPORTED = 0, 1, 2, 3, 4, 5, 6

FILTER = np.dtype(
    [("type", "i8"), ("matching", "u8"), ("allow", "u8"), ("start", "u8"), ("end", "u8"), ("index", "i8")]
)
ADDR, TARGET, ANON, IS_ACTIVE, MEMCG, YOUNG, HUGEPAGE_SIZE, UNMAPPED = 0, 1, 2, 3, 4, 5, 6, 7

WINDOW = np.dtype(
    [
        ("left_bp", "u8"), ("samples", "u8"), ("aggr_us", "u8"), ("min_sz", "u8"), ("tick", "i8"),
        ("length", "u8"), ("left", "u8"),
    ]
)  # fmt: skip

CURSOR = np.dtype(
    [
        ("phase", "i8"), ("target", "i8"), ("next", "i8"), ("n_out", "i8"), ("first_out", "i8"), ("depth", "i8"),
        ("scheme", "i8"), ("n_events", "i8"), ("core_allowed", "i8"), ("start", "u8"), ("end", "u8"), ("nr", "u4"),
        ("last", "u4"), ("age", "u4"), ("early_exit", "u4"), ("mvsum", "u8"), ("score", "u8"), ("applied", "u8"),
        ("passed", "u8"), ("elapsed", "u8"),
    ]
)  # fmt: skip
EVENT = np.dtype(
    [
        ("scheme", "i8"), ("target", "i8"), ("start", "u8"), ("end", "u8"), ("mvsum", "u4"), ("age", "u4"),
        ("score", "u8"), ("sz_applied", "u8"), ("sz_filter_passed", "u8"), ("early_exit", "u4"),
    ]
)  # fmt: skip
