"""The application pass of ``kdamond_apply_schemes``: quota, resume pointer, filters, the action, charging, statistics.

The pass is resumable: where an action is not one of the built-in ones it returns `CALL`, the caller carries the action
out, writes ``applied``, ``passed`` and ``elapsed`` to the cursor and calls again.
"""

from __future__ import annotations

import numpy as np

from ._jit import inlined, kernel
from .bits import get_bit
from .folios import folio_bytes, order_at
from .frames import charge_clock, fault_in, hide_page, show_page
from .layout import EXTERNAL, LOOKED, LOW32, MADVISE, MIGRATE, NO_SCORE, STAT, UNSUPPORTED
from .mixed import apply_folios, migrate_folios, virtual_folios
from .moves_by_word import migrate_whole_words
from .pages import count_on, handle_pages, migrate_list, node_of_frame, page_passes, passing_frames
from .sampling import frame_of_page, place_of_page, ranges_of
from .scoring import count_resident, fetch
from .swap import anything_out, begun_at, note_elapsed, note_event, tick_of
from .visit import (
    FETCH,
    RESUME,
    VISIT,
    account,
    append,
    begin_action,
    charged_size,
    count_snapshot,
    count_try,
    finish_region,
    is_last,
    matches,
    next_region,
    quota_full,
    skip_charged,
)

_U0, _U1, _PAGE = np.uint64(0), np.uint64(1), np.uint64(4096)
DONE, CALL, FLUSH, ROOM = 0, 1, 2, 3


@inlined
def virtual_heads(folio, cur, s, filters, space, memory, access, tick, tally, rejected, frames, deals):
    """`virtual_frames`, or where `folio`, ``memory.folio``, tells folios apart the first frames of those that pass."""
    if folio is None:
        return virtual_frames(cur, s, filters, space, memory, access, tick, tally, rejected, frames, deals)
    return virtual_folios(cur, s, filters, space, memory, access, tick, tally, rejected, frames, deals)


@inlined
def move_list(folio, memory, access, chosen, n, target, tick):
    """Migrate the folios on n chosen frames to node `target`; return how many pages moved."""
    if folio is None:
        return migrate_list(memory, chosen, n, target)
    return migrate_folios(memory, access, chosen, n, target, tick)


@inlined
def pages_on(folio, frames, n):
    """How many pages the folios on n frames have."""
    if folio is None:
        return n
    pages = np.int64(0)
    for k in range(n):
        pages += np.int64(1) << order_at(folio, frames[k])
    return pages


@inlined
def virtual_frames(cur, s, filters, space, memory, access, tick, tally, rejected, frames, deals):
    """Walk the mapped pages of the current region: write the frames of those that pass, and what they are dealt by; how many.

    Only ``stat`` remembers the folio it looked at last (``last_applied``), and passes over it. From inside a folio some kernels
    go on a folio's size further (``va_steps``), as `walk_end` says of physical addresses.
    """
    from_page = np.int64(cur.start >> space.shift)
    to_page = np.int64((cur.end + (_U1 << space.shift) - _U1) >> space.shift)
    allowed, n = cur.core_allowed != 0, np.int64(0)
    first_range, last_range = ranges_of(space, cur.target)
    for k in range(first_range, last_range):
        inside = _U0
        if s.va_steps != _U0 and from_page >= space.first[k]:
            inside = cur.start & ((_U1 << space.shift) - _U1)
        for page in range(max(from_page, space.first[k]), min(to_page, space.last[k])):
            if inside != _U0 and (np.uint64(page) << space.shift) + inside >= cur.end:
                break
            frame = frame_of_page(memory, space.base[k] + page - space.first[k])
            if frame < 0:
                inside = _U0
                continue
            if s.action == STAT and s.meets_again == _U0:
                if np.uint64(frame + 1) == s.last_applied:
                    inside = _U0
                    continue
                s.last_applied = np.uint64(frame + 1)
            if page_passes(s, filters, space, memory, access, frame, tick, allowed, tally, rejected):
                frames[n], deals[n] = frame, np.uint64(page + space.deal[k])
                n += 1
    return n


@inlined
def mapped_pages(cur, space):
    """How many pages of the current region are mapped, and how many it has."""
    from_page = np.int64(cur.start >> space.shift)
    to_page = np.int64((cur.end + (_U1 << space.shift) - _U1) >> space.shift)
    mapped = np.int64(0)
    first_range, last_range = ranges_of(space, cur.target)
    for k in range(first_range, last_range):
        mapped += max(min(to_page, space.last[k]) - max(from_page, space.first[k]), np.int64(0))
    return mapped, to_page - from_page


@inlined
def migrate_virtual(cur, s, dests, memory, access, frames, deals, n, shift, tick, tally):
    """Migrate n folios of a process: a list for each destination, worked off in the order of destinations; pages moved.

    With destinations a page's offset in its mapping decides, by a sum of weights of 32 bits, and a page that is there already
    is on no list; without, all go to the scheme's target (``damos_va_migrate``).
    """
    moved = np.int64(0)
    if s.dest_first == s.dest_last:
        if s.target >= 0:
            pages, there = pages_on(memory.folio, frames, n), count_on(memory, frames, n, s.target)
            moved = move_list(memory.folio, memory, access, frames, n, s.target, tick)
            tally.sz_there += np.uint64(there) << shift
            tally.sz_no_frame += np.uint64(pages - there - moved) << shift
        return moved
    total = _U0
    for d in range(s.dest_first, s.dest_last):
        total = (total + dests[d].weight) & LOW32
    if total == _U0:
        return moved
    chosen, dealt = np.empty(n, np.int64), np.empty(n, np.int64)
    for k in range(n):
        rest, d = deals[k] % total, np.int64(s.dest_first)
        while d < np.int64(s.dest_last) - 1 and rest >= dests[d].weight:
            rest -= dests[d].weight
            d += 1
        dealt[k] = d
        if node_of_frame(memory, frames[k]) == dests[d].node:
            dealt[k] = -1
            tally.sz_there += folio_bytes(memory.folio, frames[k], shift)
    for d in range(s.dest_first, s.dest_last):
        count = np.int64(0)
        for k in range(n):
            if dealt[k] == d:
                chosen[count] = frames[k]
                count += 1
        pages, done = pages_on(memory.folio, chosen, count), np.int64(0)
        if dests[d].node >= 0:
            done = move_list(memory.folio, memory, access, chosen, count, dests[d].node, tick)
        tally.sz_no_frame += np.uint64(pages - done) << shift
        moved += done
    return moved


@inlined
def apply_vaddr(cur, s, filters, dests, space, memory, access, tick, tally, rejected):
    """Built-in vaddr actions on the current region.

    ``stat`` counts what passes. ``madvise`` takes the region where all of it is mapped; nothing follows from that here.
    """
    mapped, pages = mapped_pages(cur, space)
    if s.action == MADVISE and mapped == pages:
        cur.applied = (cur.end - cur.start + _PAGE - _U1) & ~(_PAGE - _U1)
    if access is not None:
        if s.action == MIGRATE or (s.action == STAT and s.ops_first != s.ops_last):
            frames, deals = np.empty(mapped, np.int64), np.empty(mapped, np.uint64)
            n = virtual_heads(memory.folio, cur, s, filters, space, memory, access, tick, tally, rejected, frames, deals)
            passed = np.uint64(pages_on(memory.folio, frames, n)) << space.shift
            if s.action == STAT:
                cur.passed = passed
            else:
                tally.sz_resident += passed
                moved = migrate_virtual(cur, s, dests, memory, access, frames, deals, n, space.shift, tick, tally)
                cur.applied = np.uint64(moved) << space.shift
                cur.elapsed = charge_clock(memory, moved, np.int64(0))


@inlined
def walk_end(cur, s, space, memory, skipped):
    """One past the last page that the walk over the current region meets.

    From inside a folio the walk goes on at the folio's end (Linux up to 7.2: a folio's size further on), from where there is
    no folio, or one that is passed over, 4 KiB further on: it then misses a folio of which the region covers less than that.
    """
    start, end = cur.start * space.unit, cur.end * space.unit
    size = _U1 << space.shift
    last = np.int64((end + size - _U1) >> space.shift)
    if start % size == _U0 or s.heads_only != _U0:
        return last
    address = start
    while address < end:
        frame = place_of_page(space, 0, space.first.size, np.int64(address >> space.shift))
        if frame >= 0 and get_bit(memory.lru_bits, frame) and np.uint64(frame + 1) != skipped:
            if s.whole_steps == _U0:
                return last
            step = size
        else:
            step = _PAGE
        if address + step >= end:
            return np.int64(address >> space.shift) + 1
        address += step
        if address % size == _U0:
            return last
    return last


@inlined
def apply_paddr(cur, s, filters, space, memory, access, tick, tally, rejected):
    """Built-in paddr actions on the current region: walk, filter, act.

    The kernel walks the whole region before it migrates. Pages only ever arrive on the target node, so looking at that
    node's part first comes to the same: nothing that arrives is looked at. Where they may arrive anywhere, all are looked at
    first. A folio that the scheme's action looked at last in this pass (``last_applied``) is passed over; the last one of a
    region is handled whole, however little of it the region covers. `access` is None where no page has to be looked at and
    frames can be taken word by word: then every page passes and may migrate, and nothing else is compiled.
    """
    if s.action == UNSUPPORTED or (s.action == STAT and s.ops_first == s.ops_last):
        return
    from_page = np.int64((cur.start * space.unit) >> space.shift)
    if s.heads_only != _U0 and (cur.start * space.unit) % (_U1 << space.shift) >= _PAGE:
        from_page += 1
    skipped, s.last_applied = s.last_applied, _U0
    to_page = walk_end(cur, s, space, memory, skipped)
    passed, done = np.int64(0), np.int64(0)
    ahead = s.target if s.action == MIGRATE else np.int64(-1)
    note_last(s, space, memory, from_page, to_page)
    hidden = skipped != _U0 and get_bit(memory.lru_bits, np.int64(skipped) - 1)
    if hidden:
        hide_page(memory, np.int64(skipped) - 1)
    at, others = np.int64(0), ahead < 0
    while at < space.first.size or not others:
        if at == space.first.size:
            at, others = np.int64(0), True
        k = space.node[at]
        at, a, b = frames_of_node(space, at, from_page, to_page)
        if a >= b or (k == ahead) == others:
            continue
        here = count_resident(memory, a, b)
        if here == 0:
            continue
        let_by, handled = here, np.int64(0)
        if access is None:
            if s.target >= 0 and k != s.target:
                handled = migrate_whole_words(memory, memory.zone, k, a, b, here, s.target)
        elif s.action == MIGRATE and ahead >= 0 and memory.node[ahead].anywhere:
            break
        else:
            allowed = cur.core_allowed != 0
            let_by, handled = handle_pages(s, filters, space, memory, access, k, a, b, here, tick, allowed, tally, rejected)
        passed += let_by
        done += handled
        tally.sz_resident += np.uint64(here) << space.shift
        if s.action == MIGRATE:
            left = np.uint64(let_by - handled) << space.shift
            if k == s.target:
                tally.sz_there += left
            elif s.target >= 0:
                tally.sz_no_frame += left
    if access is not None:
        if s.action == MIGRATE and ahead >= 0 and memory.node[ahead].anywhere:
            passed, done = migrate_anywhere(cur, s, filters, space, memory, access, from_page, to_page, tick, tally, rejected)
    if hidden:
        show_page(memory, np.int64(skipped) - 1)
    cur.passed = (np.uint64(passed) << space.shift) // space.unit
    cur.applied = (np.uint64(done) << space.shift) // space.unit
    if s.action == MIGRATE:
        cur.elapsed = charge_clock(memory, done, np.int64(0))


@inlined
def frames_of_node(space, k, from_page, to_page):
    """The frames of pages [from_page, to_page) in range k and those of the same node that follow: where they end, and [a, b).

    A node's frames are numbered without the holes between its ranges, so they follow each other as on the kernel's list.
    """
    node, a, b = space.node[k], np.int64(0), np.int64(0)
    while k < space.first.size and space.node[k] == node:
        low, high = max(from_page, space.first[k]), min(to_page, space.last[k])
        if low < high:
            if a == b:
                a = low + space.base[k] - space.first[k]
            b = high + space.base[k] - space.first[k]
        k += 1
    return k, a, b


@inlined
def note_last(s, space, memory, from_page, to_page):
    """Remember the folio on the last frame of the walk, if there is one (``last_applied``)."""
    frame = place_of_page(space, 0, space.first.size, to_page - 1)
    if s.meets_again == _U0 and to_page > from_page and frame >= 0 and get_bit(memory.lru_bits, frame):
        s.last_applied = np.uint64(frame + 1)


@inlined
def migrate_anywhere(cur, s, filters, space, memory, access, from_page, to_page, tick, tally, rejected):
    """Migrate the region's pages where they may end up on any node, all of them looked up first: how many passed and moved."""
    allowed, n, looked = cur.core_allowed != 0, np.int64(0), np.int64(0)
    chosen = np.empty(max(to_page - from_page, np.int64(0)), np.int64)
    for k in range(space.first.size):
        a, b = max(from_page, space.first[k]), min(to_page, space.last[k])
        if a < b:
            a, b = a + space.base[k] - space.first[k], b + space.base[k] - space.first[k]
            here = count_resident(memory, a, b)
            looked += here
            if here > 0:
                n += passing_frames(s, filters, space, memory, access, a, b, tick, allowed, tally, rejected, chosen[n:])
    there = count_on(memory, chosen, n, s.target)
    moved = migrate_list(memory, chosen, n, s.target)
    tally.sz_resident += np.uint64(looked) << space.shift
    tally.sz_there += np.uint64(there) << space.shift
    tally.sz_no_frame += np.uint64(n - there - moved) << space.shift
    return n, moved


@inlined
def apply_builtin(cur, s, filters, dests, space, memory, access, tick, tally, rejected):
    """Carry out the actions that need nobody else on the current region; sets applied, passed and elapsed.

    `access` is None where no page has to be looked at.
    """
    cur.applied = cur.passed = cur.elapsed = _U0
    if space.virtual:
        apply_vaddr(cur, s, filters, dests, space, memory, access, tick, tally, rejected)
    else:
        apply_physical(memory.folio, cur, s, filters, space, memory, access, tick, tally, rejected)


@inlined
def apply_physical(folio, cur, s, filters, space, memory, access, tick, tally, rejected):
    """Carry out a paddr action page by page, or folio by folio where `folio`, ``memory.folio``, tells them apart."""
    begun, now = begun_at(memory, memory.device), now_in_pass(memory, memory.device, access, tick)
    if folio is None:
        apply_paddr(cur, s, filters, space, memory, access, now, tally, rejected)
    else:
        apply_folios(cur, s, filters, space, memory, access, now, tally, rejected)
    note_elapsed(cur, s, memory, memory.device, begun)


@inlined
def now_in_pass(memory, device, access, tick):
    """The workload tick at which a region is visited; where a pass takes time, touches up to it are looked for first."""
    if device is None:
        return tick
    now = tick_of(memory, device, tick)
    if access is not None:
        if now > memory.swap[LOOKED]:
            if anything_out(memory, device):
                fault_in(memory, access, now)
            note_event(memory, device, now)
    return now


@kernel
def apply_pass(control, r, ptr, out, out_ptr, stack, merge_limit, space, memory, access, rules):
    """Run (or resume) the pass over all regions and due schemes.

    Returns `DONE`; `CALL` when ``schemes[cur.scheme]`` needs its action carried out on ``[cur.start, cur.end)``; `FLUSH`
    when `events` is full and must be emptied (``cur.n_events = 0``); `ROOM` when `out` or `stack` must grow. How often
    a pass cuts regions has no simple bound: with a fail charge a quota may cut again and again without filling up.
    `access` is None where `apply_builtin` does not need it, `rules` an `Older` or None. Up to 7.0 what lies behind a cut is not
    visited in the same pass.
    """
    cur, window, schemes, filters = control.cursor[0], control.window[0], control.scheme, control.filter
    rejected, dests = control.rejected, control.dest
    while True:
        if cur.phase == FETCH:
            if cur.n_out == out.start.size:
                return ROOM
            from_stack = cur.depth > 0
            if not next_region(cur, r, ptr, out_ptr):
                return DONE
            if from_stack:
                fetch(cur, stack, cur.depth, rules)
                if rules is not None:
                    if not rules.walk_split_regions:
                        append(cur, out, rules)
                        continue
            else:
                fetch(cur, r, cur.next - 1, rules)
            cur.scheme = 0
            cur.phase = VISIT
        while cur.scheme < schemes.size:
            s, tally = schemes[cur.scheme], control.funnel[cur.scheme]
            if cur.phase == VISIT:
                if cur.n_events == control.event.size:
                    return FLUSH
                if cur.depth + 1 + np.int64(s.core_last - s.core_first) > stack.start.size:
                    return ROOM
                if rules is not None:
                    if cur.n_out + 1 >= out.start.size:
                        return ROOM
                if s.due == _U0 or s.active == _U0:
                    cur.scheme += 1
                    continue
                blocked = (
                    quota_full(s, window.min_sz, rules)
                    or skip_charged(cur, ptr, s, stack, out, window.min_sz, rules)
                    or (s.max_nr_snapshots != _U0 and s.nr_snapshots >= s.max_nr_snapshots)
                )
                matching = matches(cur, s, window, tally, rules)
                act = (
                    matching
                    and not blocked
                    and (s.quota_set == _U0 or s.score == NO_SCORE or cur.score >= s.min_score)
                    and begin_action(cur, s, filters, stack, window, tally, rejected, rules)
                )
                if matching:
                    tally.sz_matched += cur.end - cur.start
                if blocked:
                    cur.scheme += 1
                    continue
                cur.early_exit = 0
                if act and s.action == EXTERNAL:
                    cur.phase = RESUME
                    return CALL
                if act:
                    apply_builtin(cur, s, filters, dests, space, memory, access, window.tick, tally, rejected)
            else:
                cur.phase = VISIT
                act = True
            if act:
                size = charged_size(cur, rules)
                if rules is not None:
                    if not rules.stat_walk:
                        cur.passed = _U0
                e = control.event[cur.n_events]
                e.scheme, e.target, e.start, e.end = cur.scheme, cur.target, cur.start, cur.end
                e.mvsum, e.age, e.score = np.uint32(cur.mvsum), cur.age, cur.score
                e.sz_applied, e.sz_filter_passed, e.early_exit = cur.applied, cur.passed, cur.early_exit
                cur.n_events += 1
                account(cur, s, size, window.min_sz, rules)
                if cur.early_exit:
                    tally.sz_early_exit += size
                if s.keep_age == _U0:
                    cur.age = np.uint32(0)
                count_try(cur, s, size)
            if is_last(cur, ptr):
                count_snapshot(s, rules)
            cur.scheme += 1
        finish_region(cur, out, merge_limit, rules)


@kernel
def apply_one(cur, s, filters, dests, space, memory, access, tick, tally, rejected):
    """Carry out one built-in action on the cursor's region, for callers that decide region by region."""
    apply_builtin(cur, s, filters, dests, space, memory, access, tick, tally, rejected)
