"""Was a page touched? Decided when somebody looks, from (seed, logical page, tick) alone."""

from __future__ import annotations

import numpy as np

from ._jit import inlined
from .folios import head_of, seen_record
from .layout import CLASS_MASK, LOW32, PART_SHIFT, PERIOD, RATE, SEEN_LOW, SEEN_SHIFT, SHIFT32
from .random import GAMMA, mix64

_FULL = np.uint64(1 << 32)
_U0 = np.uint64(0)
_C1, _C2 = np.uint32(0x9E3779B1), np.uint32(0x85EBCA77)
_M1, _M2 = np.uint64(0x7FEB352D), np.uint64(0x846CA68B)
_RULE_KEY = np.uint64(0xD1342543DE82EF95)


@inlined
def touch_bits(key, page, tick):
    """Hash a logical page and a workload tick to 32 bits; below a plain rate's threshold the page is touched."""
    return mix64(key + ((np.uint64(tick) << SHIFT32) | np.uint64(page)) * GAMMA) >> SHIFT32


@inlined
def _mixed32(page, tick, salt):
    """Return the golden workloads' 32-bit hash: a xorshift-multiply mix of page, tick and salt."""
    h = (np.uint64(page) * np.uint64(_C1) + np.uint64(tick) * np.uint64(_C2) + salt) & LOW32
    h ^= h >> np.uint64(16)
    h = (h * _M1) & LOW32
    h ^= h >> np.uint64(15)
    h = (h * _M2) & LOW32
    return h ^ (h >> np.uint64(16))


@inlined
def plain_touched(threshold, key, page, after, until):
    """Tell whether a plain rate touched the page in any tick of (after, until]."""
    if threshold == _U0:
        return False
    if threshold >= _FULL:
        return until > after
    for tick in range(after + 1, until + 1):
        if touch_bits(key, page, tick) < threshold:
            return True
    return False


@inlined
def burst_touched(key, rule, page, a, b):
    """Tell whether a rate touched the page in any tick of (a, b] of its period, in which all that is due comes at once."""
    first = a + 1
    first += (-(first + rule.phase)) % rule.period
    for tick in range(first, b + 1, rule.period):
        if touch_bits(key, page, tick) < rule.threshold:
            return True
    return False


@inlined
def first_in_force(access, cls, after):
    """The first of a class's rules that may be in force behind tick `after`: all before it have ended."""
    low, high = access.first[cls], access.first[cls + 1]
    while low < high:
        middle = (low + high) >> 1
        if access.rule[middle].ended - 1 > after:
            high = middle
        else:
            low = middle + 1
    return low


@inlined
def period_touched(rule, page, a, b):
    """Tell whether a period falls into (a, b] for a page, or for one of those of its range that form a folio with it."""
    if rule.sweep == 0:
        return b - (b + rule.phase) % rule.period > a
    first = max(page - rule.lo, np.int64(0))  # a folio may begin before the range
    last = min(first + rule.pages, rule.width) - 1
    for late in range(first * rule.sweep // rule.width, last * rule.sweep // rule.width + 1):
        if b - (b + rule.phase - late) % rule.period > a:
            return True
    return False


@inlined
def rules_touched(access, cls, page, after, until):
    """Tell whether any rule of its class touched the page in any tick of (after, until]."""
    for r in range(first_in_force(access, cls, after), access.first[cls + 1]):
        rule = access.rule[r]
        if rule.begins - 1 >= until:
            break
        a, b = max(after, rule.start - 1), min(until, rule.end - 1)
        if a >= b:
            continue
        if rule.kind == RATE:
            if rule.period == 1:
                if plain_touched(rule.threshold, access.key + rule.slot * _RULE_KEY, page, a, b):
                    return True
            elif burst_touched(access.key + rule.slot * _RULE_KEY, rule, page, a, b):
                return True
        elif rule.kind == PERIOD:
            if (page - rule.lo) % rule.stride == 0:
                if period_touched(rule, page, a, b):
                    return True
        else:
            for tick in range(a + 1, b + 1):
                if _mixed32(page, tick, rule.salt) < rule.threshold:
                    return True
    return False


@inlined
def touched(access, record, after, until):
    """Was the page in `record` touched in (after, until]? Frames without a page never are."""
    low = record & LOW32
    if low == _U0:
        return False
    cls = np.int64((record >> SHIFT32) & CLASS_MASK)
    page = np.int64(low) - 1
    if access.plain:
        return plain_touched(access.threshold[cls], access.key, page, after, until)
    return rules_touched(access, cls, page, after, until)


@inlined
def clear_young(memory, frame, now):
    """Clear the accessed state of the folio on `frame` at tick `now`: remember 1 + now (31 bits) for it."""
    frame = head_of(memory.folio, frame)
    record, when = memory.rec[frame], np.uint64(now + 1)
    memory.rec[frame] = (record & ((np.uint64(1) << SEEN_SHIFT) - np.uint64(1))) | ((when & SEEN_LOW) << SEEN_SHIFT)
    page = np.int64(record & LOW32) - 1
    memory.seen[page] = np.uint16(when >> np.uint64(15))
    memory.dirty[frame >> PART_SHIFT] = np.uint8(1)
    memory.dirty_pages[page >> PART_SHIFT] = np.uint8(1)


@inlined
def last_cleared(memory, record):
    """1 + tick at which the accessed state of the page in `record` was last cleared, 0 = never."""
    high = np.uint64(memory.seen[np.int64(record & LOW32) - 1])
    return np.int64((high << np.uint64(15)) | (record >> SEEN_SHIFT))


@inlined
def young(access, memory, frame, now):
    """Is the folio's accessed state set at tick `now`? A folio whose state was never cleared counts as young.

    When the answer is no, the remembered clear moves up to `now`: nothing was touched since, so later answers stay the
    same and no tick is looked at twice. A context whose work took time may have cleared it later than `now`: that stays.
    """
    record = seen_record(memory, memory.folio, frame)
    if record & LOW32 == _U0:
        return False
    cleared = last_cleared(memory, record)
    if cleared == 0:
        return True
    if touched(access, record, cleared - 1, now):
        return True
    if cleared <= now:
        clear_young(memory, frame, now)
    return False
