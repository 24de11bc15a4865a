"""The loop over sampling ticks: of a lone context, and of contexts that share the pages' accessed states (docs/step.md).

Both can be left and taken up again, as the loop body can that they run (`turn.body`).
"""

from __future__ import annotations

import numpy as np

from ._bundle import at_address
from ._jit import inlined, kernel
from .coupled import END, close_window
from .frames import fault_in
from .intervals import slept_ns
from .layout import NOW, Control, Draws, Loop, Scratch, Space
from .records import has_room, keep_next
from .sampling import (
    check_reusing,
    clear_sampled,
    count_accessed,
    count_plain,
    draw_places,
    frame_of_place,
    plan_draws,
    prepare_checks,
    sample_plain,
    sample_reusing,
    sample_rules,
)
from .swap import anything_out, late, note_event
from .turn import CONTROL, DONE, DRAWS, FINISHED, LOOP, ROOM, SCRATCH, SPACE, body, both, count_of
from .watermarks import rate_of, wait_us

LIMIT, PHASE, WAITS, UNFIT = 13, 14, 15, 16
"""What ends a loop beside the codes of the body: the time up to which it shall go, a change of access rules, that watermarks
send a context to sleep, or that a coupled workload finds no loads and latencies that fit each other."""
NOTHING, IN_BODY, TO_PREPARE, UNPLANNED = range(4)
"""What the context does that `run_in_turn` is at."""

_U0 = np.uint64(0)

_space, _draws, _scratch = at_address(Space), at_address(Draws), at_address(Scratch)
_control, _loop = at_address(Control), at_address(Loop)


@inlined
def ticks_ahead(turn, schemes):
    """How many sampling ticks lie ahead up to and including the next one with work beside sampling, at least one."""
    ahead = turn.next_aggregation - turn.passed
    if turn.refits:
        ahead = min(ahead, turn.next_ops_update - turn.passed)
    for i in range(schemes.size):
        if turn.watched == 0 or schemes[i].active != _U0:
            ahead = min(ahead, np.int64(schemes[i].next_apply) - turn.passed)
    return max(ahead, np.int64(1))


@inlined
def recorded_begin(turn, ends, k):
    """When the k-th recorded aggregation begins, which is when the one before ended, in ns; they repeat when used up."""
    laps = ends.size - 1
    return turn.start_ns + k // laps * ends[laps] + ends[k % laps]


@inlined
def next_time(turn, loop, n, time, slept):
    """When the sampling tick behind the next `n` ones happens, in ns: a sleep after `time`, or as recorded.

    Recorded aggregations have their ticks evenly spaced between the end of the one before and their last sample.
    """
    if loop.ends.size == 0:
        return time + slept
    per = turn.aggr_us // turn.sample_us
    k, step = (turn.passed + n) // per, (turn.passed + n) % per + 1
    j = k % loop.sampled.size
    length = loop.sampled[j] - loop.ends[j]
    # Parts of length * step // per that cannot overflow.
    return recorded_begin(turn, loop.ends, k) + length // per * step + length % per * step // per


@inlined
def recorded_end(turn, ends):
    """When the aggregation ended whose last sample was the present one, as recorded, in ns; 0 where that is not so."""
    per = turn.aggr_us // turn.sample_us
    if ends.size == 0 or turn.passed % per:
        return np.int64(0)
    return recorded_begin(turn, ends, turn.passed // per)


@inlined
def interval_ns(turn, r):
    """How long it is to a context's next sampling tick where its ends are not recorded: its sleep, and what its checks take."""
    return slept_ns(turn) + turn.check_ns * np.int64(count_of(r))


@kernel
def walked_ns(turn, schemes, space):
    """How long the pages take that the schemes' passes have walked since it was asked last."""
    if turn.walk_ns == 0:
        return np.int64(0)
    tried = np.int64(0)
    for i in range(schemes.size):
        if schemes[i].walks != _U0:
            tried += np.int64(schemes[i].sz_tried * space.unit)
    pages, turn.walked = max(tried - turn.walked, np.int64(0)) >> np.int64(space.shift), tried
    return pages * turn.walk_ns


@inlined
def note_contexts(parts, kept):
    """Write down of each context what a record says of it beside its tables."""
    for c in range(parts.shape[0]):
        loop = _loop(parts[c, LOOP])
        turn = loop.turn[0]
        at = 4 * turn.index
        kept.context[at], kept.context[at + 1] = count_of(both(parts, c, loop)[0]), turn.sample_us
        kept.context[at + 3] = turn.stage


@inlined
def finish_body(parts, c, memory, looks, rules, counts, kept, sources):
    """Go on with a loop body, and keep the record at its end; DONE, or what Python has to do."""
    while True:
        code = body(parts, c, memory, looks, rules, counts)
        if code != FINISHED or not has_room(kept, memory):
            return code
        note_contexts(parts, kept)
        keep_next(kept, sources, memory)


@kernel
def run(parts, memory, access, looks, general, glance, rules, counts, kept, sources, until_ns, change, room, coupled):
    """Sampling ticks and bodies of a lone context that nobody disturbs, up to a time or to what Python has to do.

    Parameters
    ----------
    parts : u64 table (1, PARTS)
        Addresses of its arrays.
    memory, access : Memory, Access
        Frames and pages, and who touches them.
    looks, counts : Access or None, i64[nodes] or None
        See `body`.
    general : bool or None
        None while every class of pages has one rate (`sampling.sample_plain`).
    glance : i64[3] or None
        What a kernel that repeats its last answer remembers (`sampling.sample_reusing`).
    rules : Older or None
        What an older kernel does.
    kept, sources : Kept, u64 table (arrays, 1)
        Where records go instead of to Python, and what they are copied from: see `records`.
    until_ns : int
        Ticks behind this time are left for later.
    change : int
        Workload tick at which access rules change.
    room : int
        Most sampling ticks at once.
    coupled : Coupled or None
        A workload whose windows end up to that time, with room for a row of each; one that ends at that time is left for later.
    """
    loop, control, space = _loop(parts[0, LOOP]), _control(parts[0, CONTROL]), _space(parts[0, SPACE])
    turn, rng = loop.turn[0], _draws(parts[0, DRAWS])
    after, until = np.empty(room, np.int64), np.empty(room, np.int64)
    while True:
        if turn.in_body:
            code = finish_body(parts, 0, memory, looks, rules, counts, kept, sources)
            if code != DONE:
                return code
            turn.in_body = 0
            walked = walked_ns(turn, control.scheme, space)
            turn.last_ns = max(turn.last_ns, memory.clock[NOW] + walked, recorded_end(turn, loop.ends))
        full, n = ticks_ahead(turn, control.scheme), np.int64(0)
        ahead, r = min(full, room), both(parts, 0, loop)[0]
        time, tick, slept = turn.last_ns, turn.last_ns // turn.tick_ns, interval_ns(turn, r)
        following, stop_ns = next_time(turn, loop, n, time, slept), until_ns
        if coupled is not None:
            stop_ns = min(until_ns, coupled.clock[END])
        while n < ahead and following <= stop_ns:
            now = following // turn.tick_ns
            if now >= change:
                break
            after[n], until[n] = tick, now
            time, tick, n = following, now, n + 1
            following = next_time(turn, loop, n, time, slept)
        if n == 0:
            if coupled is not None:
                if stop_ns < min(following, until_ns):
                    memory.clock[NOW] = max(memory.clock[NOW], stop_ns)
                    if not close_window(coupled, memory, access, np.int64(0)):
                        return UNFIT
                    continue
            return LIMIT if following > until_ns else PHASE
        scratch = _scratch(parts[0, SCRATCH])
        if scratch.record.size <= count_of(r):
            turn.need = 0
            return ROOM
        if glance is not None:
            sample_reusing(r, r.ptr, after[:n], until[:n], space, memory, access, rng, glance)
        elif general is None:
            sample_plain(r, r.ptr, after[:n], until[:n], space, memory, access, rng, scratch)
        else:
            sample_rules(r, r.ptr, after[:n], until[:n], space, memory, access, rng, scratch)
        memory.clock[NOW] = time
        turn.passed += n
        turn.tick, turn.last_ns = tick, time
        turn.in_body = np.int64(n == full)


@inlined
def plan(parts, c):
    """Note what all checks of a context share until its regions change."""
    loop, scratch = _loop(parts[c, LOOP]), _scratch(parts[c, SCRATCH])
    r = both(parts, c, loop)[0]
    loop.turn[0].draws = np.int64(plan_draws(r, r.ptr, _space(parts[c, SPACE]), scratch))


@inlined
def prepare(parts, c, memory, glances):
    """``mkold`` of a context's next access check, at the end of its present tick."""
    loop, space, scratch = _loop(parts[c, LOOP]), _space(parts[c, SPACE]), _scratch(parts[c, SCRATCH])
    turn, r = loop.turn[0], both(parts, c, loop)[0]
    if glances is not None:
        prepare_checks(r, r.ptr, turn.tick, space, memory, _draws(parts[c, DRAWS]), scratch.place, True)
        return
    draw_places(r, r.ptr, space, _draws(parts[c, DRAWS]), np.uint64(turn.draws), scratch)
    for i in range(count_of(r)):
        clear_sampled(memory, frame_of_place(space, memory, scratch.place[i]), turn.tick)


@inlined
def check(parts, c, memory, access, glances, time):
    """A context's sampling tick: count the regions whose sampled page was accessed."""
    loop, scratch = _loop(parts[c, LOOP]), _scratch(parts[c, SCRATCH])
    turn, r, space = loop.turn[0], both(parts, c, loop)[0], _space(parts[c, SPACE])
    now = time // turn.tick_ns
    if glances is not None:
        check_reusing(r, r.ptr, now, space, memory, access, scratch.place, glances[np.int64(space.virtual)])
    elif access.plain:
        count_plain(r, count_of(r), turn.tick, now, space, memory, access, scratch)
    else:
        count_accessed(r, count_of(r), now, space, memory, access, scratch.place)
    turn.passed, turn.tick, turn.last_ns = turn.passed + 1, now, time


@kernel
def run_in_turn(parts, memory, access, looks, rules, counts, kept, sources, until_ns, faults, glances, who):
    """Sampling ticks and bodies of contexts that share the pages' accessed states, in order of time.

    At equal times the first context comes first. Each has prepared its check; places are in ``scratch.place``.

    Parameters
    ----------
    parts : u64 table (contexts, PARTS)
        Addresses of each context's arrays.
    memory, access, looks, rules, counts, kept, sources
        As for `run`; what an older kernel does is the same for all.
    until_ns : i64[contexts]
        A context's ticks behind its time are left for later, and all that follow.
    faults : bool or None
        None where pages that are out do not come back at events.
    glances : i64[2, 3] or None
        What a kernel that repeats its last answer remembers of physical and of virtual addresses.
    who : i64[2]
        The context whose body is not at its end yet, for which Python has something to do; and what it does: `UNPLANNED` at
        first.
    """
    if who[1] == UNPLANNED:
        for c in range(parts.shape[0]):
            plan(parts, c)
        who[1] = NOTHING
    while True:
        c = who[0]
        loop = _loop(parts[c, LOOP])
        turn = loop.turn[0]
        if who[1] == IN_BODY:
            code = finish_body(parts, c, memory, looks, rules, counts, kept, sources)
            if code != DONE:
                return code
            turn.start_ns += late(memory, memory.device, loop.ends, turn.last_ns)
            walked = walked_ns(turn, _control(parts[c, CONTROL]).scheme, _space(parts[c, SPACE]))
            turn.last_ns = max(turn.last_ns, memory.clock[NOW] + walked, recorded_end(turn, loop.ends))
            who[1] = TO_PREPARE
        if who[1] == TO_PREPARE:
            if must_sleep(parts, c, memory, faults):
                return WAITS
            if _scratch(parts[c, SCRATCH]).record.size <= count_of(both(parts, c, loop)[0]):
                turn.need = 0
                return ROOM
            turn.tick = turn.last_ns // turn.tick_ns
            plan(parts, c)
            prepare(parts, c, memory, glances)
            who[1] = NOTHING
        soonest, first = np.int64(2**63 - 1), np.int64(-1)
        for k in range(parts.shape[0]):
            loop = _loop(parts[k, LOOP])
            turn = loop.turn[0]
            time = next_time(turn, loop, np.int64(0), turn.last_ns, interval_ns(turn, both(parts, k, loop)[0]))
            if time < soonest:
                soonest, first = time, k
        if soonest > until_ns[first]:
            return LIMIT
        memory.clock[NOW] = soonest
        check(parts, first, memory, access, glances, soonest)
        loop, control = _loop(parts[first, LOOP]), _control(parts[first, CONTROL])
        turn = loop.turn[0]
        if is_event(turn, control.scheme):
            if faults is not None:
                if acts(turn, control.scheme):
                    if anything_out(memory, memory.device):
                        fault_in(memory, access, turn.tick)
                    note_event(memory, memory.device, turn.tick)
            who[0], who[1] = first, IN_BODY
        else:
            for i in range(control.scheme.size):
                control.scheme[i].due = np.uint64(turn.passed >= np.int64(control.scheme[i].next_apply))
            if must_sleep(parts, first, memory, faults):
                who[0] = first
                return WAITS
            prepare(parts, first, memory, glances)


@inlined
def must_sleep(parts, c, memory, faults):
    """Whether watermarks send a context to sleep now; only where pages leave memory does free memory change meanwhile."""
    if faults is not None:
        if _loop(parts[c, LOOP]).turn[0].sleeps:
            return wait_us(_control(parts[c, CONTROL]).scheme, rate_of(memory)) > _U0
    return False


@inlined
def acts(turn, schemes):
    """Whether an aggregation ends at the present sampling tick, or an active scheme is due."""
    if turn.passed >= turn.next_aggregation:
        return True
    for i in range(schemes.size):
        if (turn.watched == 0 or schemes[i].active != _U0) and turn.passed >= np.int64(schemes[i].next_apply):
            return True
    return False


@inlined
def is_event(turn, schemes):
    """Whether the present sampling tick has more to do than to look."""
    return acts(turn, schemes) or (turn.refits != 0 and turn.passed >= turn.next_ops_update)
