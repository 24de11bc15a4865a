"""The closed loop between a workload and its memory: throughput at which latencies and loads fit each other.

Time is in ns, loads in bytes per ns (GB/s), throughput in accesses per ns. A class of threads has ``threads`` of them. An
access takes ``fixed + sum(weight[i] * latency[i])`` of a thread's time and moves ``moved[i]`` bytes at node i: with share s
and m misses in flight, weight is s / m, and moved is s times the bytes of an access.

A node's latency grows with its load, and with that the time of an access: accesses times time, the threads that are busy,
grows with throughput, and one throughput keeps all of them busy. Several classes share the nodes; each of these has one
latency for all. Source: docs/theory/coupling.md, section 1.
"""

from __future__ import annotations

import numpy as np

from ._bundle import Bundle, bundle
from ._jit import inlined, kernel
from .layout import F64s, I64s

TIE = 1e-12
"""Nodes whose limits differ by less, relatively, are full at once."""
EXACT = 1e-14
QUEUE_END = 0.95
"""Share of the bandwidth up to which an M/D/1 holds."""
SWEEPS = 4000
"""Node after node; each is followed by Newton's method, which ends it in a few."""


@bundle
class Curves(Bundle):
    """What is known of each node.

    Attributes
    ----------
    start : ndarray of int64, shape (nodes + 1,)
        Where a node's points begin.
    load, ns : ndarray of float64, shape (points,)
        The curves: load and latency. A node with a queue has two points, at 0 and at `QUEUE_END`.
    queue_ns : ndarray of float64, shape (nodes,)
        Service time of an M/D/1, 0 where the points are joined by straight lines.
    peak : ndarray of float64, shape (nodes,)
        Bandwidth.
    loops : ndarray of float64, shape (nodes,)
        Bytes that closed loops of others keep in flight at the node.
    """

    start: I64s
    load: F64s
    ns: F64s
    queue_ns: F64s
    peak: F64s
    loops: F64s


@inlined
def on_curve(curves, i, load):
    """Return the latency at a load, and its slope."""
    first, last = curves.start[i], curves.start[i + 1] - 1
    if load <= curves.load[first]:
        if curves.queue_ns[i] > 0.0:
            return curves.ns[first], curves.queue_ns[i] / (2.0 * curves.peak[i])
        return curves.ns[first], 0.0
    if load >= curves.load[last]:
        return curves.ns[last], 0.0
    if curves.queue_ns[i] > 0.0:
        room = 1.0 - load / curves.peak[i]
        wait = curves.queue_ns[i] * (1.0 - room) / (2.0 * room)
        return curves.ns[first] + wait, curves.queue_ns[i] / (2.0 * room * room * curves.peak[i])
    k = first
    while load > curves.load[k + 1]:
        k += 1
    slope = (curves.ns[k + 1] - curves.ns[k]) / (curves.load[k + 1] - curves.load[k])
    return curves.ns[k] + slope * (load - curves.load[k]), slope


@inlined
def under(curves, i, background, own):
    """Return latency, its slope, and load of a node under a class's own load and what others ask for."""
    loops, peak = curves.loops[i], curves.peak[i]
    if loops == 0.0:
        latency, slope = on_curve(curves, i, background + own)
        return latency, slope, background + own
    free = peak - background - own
    if free <= 0.0:
        return np.inf, np.inf, peak
    last = curves.ns[curves.start[i + 1] - 1]
    if loops >= free * last:  # the node is full: own accesses displace those of others
        return loops / free, loops / (free * free), peak
    low, high = 0.0, peak
    for k in range(curves.start[i], curves.start[i + 1]):
        if curves.load[k] - loops / curves.ns[k] <= background + own:
            low = max(low, curves.load[k])
        else:
            high = min(high, curves.load[k])
    load = (low + high) / 2.0
    latency, slope = on_curve(curves, i, load)
    if curves.queue_ns[i] == 0.0 or low >= curves.load[curves.start[i + 1] - 1]:
        at = latency + slope * (background + own - load)  # the line of this piece, without loops
        latency = (at + np.sqrt(at * at + 4.0 * slope * loops)) / 2.0
    else:
        for _ in range(200):
            excess = load - loops / latency - background - own
            if excess > 0.0:
                high = load
            else:
                low = load
            step = load - excess / (1.0 + loops * slope / (latency * latency))
            moved = step if low < step < high else (low + high) / 2.0
            if abs(moved - load) <= EXACT * peak:
                break
            load = moved
            latency, slope = on_curve(curves, i, load)
    return latency, slope / (1.0 + slope * loops / (latency * latency)), min(background + own + loops / latency, peak)


@inlined
def turn(curves, i, background, k):
    """Return the own load at which a node's latency begins another piece: one of its points, or its bandwidth."""
    end = curves.start[i + 1]
    load, latency = (curves.load[k], curves.ns[k]) if k < end else (curves.peak[i], curves.ns[end - 1])
    return load - background - curves.loops[i] / latency


@inlined
def per_access(curves, background, weight, moved, fixed, rate):
    """Return the time of an access at a throughput, and its slope."""
    time, steeper = fixed, 0.0
    for i in range(weight.size):
        latency, slope, _ = under(curves, i, background[i], moved[i] * rate)
        if weight[i] > 0.0:
            time += weight[i] * latency
            steeper += weight[i] * slope * moved[i]
    return time, steeper


@inlined
def level_out(full, weight, latency, rest):
    """Raise the lowest latencies of full nodes first, to a common value, until their weighted sum is `rest`."""
    reached, level = 0.0, 0.0
    for _ in range(full.size):
        lowest = np.inf
        for i in range(full.size):
            if full[i] and latency[i] > reached:
                lowest = min(lowest, latency[i])
        if level > 0.0 and level <= lowest:
            break
        reached, total, fixed = lowest, 0.0, 0.0
        for i in range(full.size):
            if full[i] and latency[i] <= reached:
                total += weight[i]
            elif full[i]:
                fixed += weight[i] * latency[i]
        level = (rest - fixed) / total
    for i in range(full.size):
        if full[i]:
            latency[i] = max(latency[i], level)


@inlined
def one_class(curves, background, weight, moved, fixed, threads, latency):
    """Return the throughput of a class that has the machine to itself; write latencies."""
    top = np.inf
    for i in range(weight.size):
        if moved[i] > 0.0:
            top = min(top, (curves.peak[i] - background[i]) / moved[i])
    full = np.zeros(weight.size, np.bool_)
    time, others, endless, straight = fixed, fixed, False, True
    for i in range(weight.size):
        if moved[i] > 0.0:
            straight = straight and curves.queue_ns[i] == 0.0 and curves.loops[i] == 0.0
            full[i] = moved[i] * top >= (curves.peak[i] - background[i]) * (1.0 - TIE)
        if full[i]:
            endless = endless or curves.loops[i] > 0.0
            latency[i] = curves.ns[curves.start[i + 1] - 1]
        else:
            latency[i] = under(curves, i, background[i], moved[i] * top if moved[i] > 0.0 else 0.0)[0]
            others += weight[i] * latency[i]
        time += weight[i] * latency[i]
    if not endless and top * time <= threads:
        level_out(full, weight, latency, threads / top - others)
        return top
    low, high = 0.0, top
    for i in range(weight.size):
        if moved[i] > 0.0:
            for k in range(curves.start[i], curves.start[i + 1] + 1):
                at = turn(curves, i, background[i], k) / moved[i]
                if low < at < high:
                    if at * per_access(curves, background, weight, moved, fixed, at)[0] <= threads:
                        low = at
                    else:
                        high = at
    rate = (low + high) / 2.0
    time, slope = per_access(curves, background, weight, moved, fixed, rate)
    if straight:
        at_rest = time - slope * rate
        rate = 2.0 * threads / (at_rest + np.sqrt(at_rest * at_rest + 4.0 * slope * threads))
        rate = min(max(rate, low), high)
    else:
        for _ in range(200):
            excess = rate * time - threads
            if excess > 0.0:
                high = rate
            else:
                low = rate
            step = rate - excess / (time + slope * rate)
            nearer = step if low < step < high else (low + high) / 2.0
            done = abs(nearer - rate) <= EXACT * rate
            rate = nearer
            if done:
                break
            time, slope = per_access(curves, background, weight, moved, fixed, rate)
    for i in range(weight.size):
        latency[i] = under(curves, i, background[i], moved[i] * rate)[0]
    return rate


@inlined
def asked(i, weight, moved, fixed, threads, latency):
    """Return the load that all classes together ask of a node at given latencies."""
    load = 0.0
    for k in range(threads.size):
        if moved[k, i] > 0.0:
            time = fixed[k]
            for j in range(latency.size):
                time += weight[k, j] * latency[j]
            load += moved[k, i] * threads[k] / time
    return load


@inlined
def one_node(curves, background, i, weight, moved, fixed, threads, latency, own):
    """Let one node's load and latency fit each other, as all other latencies stand."""
    free = curves.peak[i] - background
    low, high = 0.0, free
    if curves.loops[i] == 0.0:
        latency[i] = curves.ns[curves.start[i + 1] - 1]
        if asked(i, weight, moved, fixed, threads, latency) >= free:
            below, above = latency[i], 2.0 * latency[i]
            latency[i] = above
            while asked(i, weight, moved, fixed, threads, latency) > free:
                below, above = above, 2.0 * above
                latency[i] = above
            for _ in range(100):
                latency[i] = (below + above) / 2.0
                if asked(i, weight, moved, fixed, threads, latency) > free:
                    below = latency[i]
                else:
                    above = latency[i]
            own[i] = free
            return True
    for _ in range(100):
        own[i] = (low + high) / 2.0
        latency[i] = under(curves, i, background, own[i])[0]
        if asked(i, weight, moved, fixed, threads, latency) > own[i]:
            low = own[i]
        else:
            high = own[i]
    return False


@inlined
def error_of(curves, background, weight, moved, fixed, threads, latency, own):
    """Return by how much own loads and what is asked for differ at most, relative to bandwidths."""
    worst = 0.0
    for i in range(latency.size):
        worst = max(worst, abs(asked(i, weight, moved, fixed, threads, latency) - own[i]) / curves.peak[i])
    return worst


@inlined
def newton(curves, background, weight, moved, fixed, threads, latency, own, full):
    """Try to end the search by Newton's method from where it stands; return whether loads fit within `EXACT`."""
    n = latency.size
    start_latency, start_own = latency.copy(), own.copy()
    matrix, wrong, slope = np.zeros((n, n)), np.zeros(n), np.zeros(n)
    for _ in range(12):
        for i in range(n):
            slope[i] = 1.0 if full[i] else under(curves, i, background[i], own[i])[1]
        for i in range(n):
            wrong[i] = own[i]
            for j in range(n):
                matrix[i, j] = 1.0 if i == j and not full[i] else 0.0
        for k in range(threads.size):
            time = fixed[k]
            for j in range(n):
                time += weight[k, j] * latency[j]
            rate = threads[k] / time
            for i in range(n):
                wrong[i] -= moved[k, i] * rate
                for j in range(n):
                    matrix[i, j] += moved[k, i] * rate / time * weight[k, j] * slope[j]
        for i in range(n):  # elimination; a full node without a class of its own has no equation
            pivot = i
            for j in range(i + 1, n):
                if abs(matrix[j, i]) > abs(matrix[pivot, i]):
                    pivot = j
            if abs(matrix[pivot, i]) < 1e-300:
                latency[:], own[:] = start_latency, start_own
                return False
            if pivot != i:
                for j in range(n):
                    matrix[i, j], matrix[pivot, j] = matrix[pivot, j], matrix[i, j]
                wrong[i], wrong[pivot] = wrong[pivot], wrong[i]
            for j in range(i + 1, n):
                factor = matrix[j, i] / matrix[i, i]
                wrong[j] -= factor * wrong[i]
                for m in range(i, n):
                    matrix[j, m] -= factor * matrix[i, m]
        for i in range(n - 1, -1, -1):
            for j in range(i + 1, n):
                wrong[i] -= matrix[i, j] * wrong[j]
            wrong[i] /= matrix[i, i]
        fits = True
        for i in range(n):
            if full[i]:
                latency[i] -= wrong[i]
                fits = fits and latency[i] >= curves.ns[curves.start[i + 1] - 1]
            else:
                own[i] -= wrong[i]
                fits = fits and 0.0 <= own[i] <= curves.peak[i] - background[i]
                if fits:
                    latency[i] = under(curves, i, background[i], own[i])[0]
        if not fits:
            break
        if error_of(curves, background, weight, moved, fixed, threads, latency, own) <= EXACT:
            return True
    latency[:], own[:] = start_latency, start_own
    return False


@inlined
def several_classes(curves, background, weight, moved, fixed, threads, latency, rate):
    """Find the latencies of nodes that several classes share; write them and throughputs. Return whether they fit.

    Node after node gets the latency that fits the others, which lowers a convex function of the latencies each time;
    Newton's method then ends it, as soon as all are on the right pieces of their curves.
    """
    n = latency.size
    own, full, used = np.zeros(n), np.zeros(n, np.bool_), np.zeros(n, np.bool_)
    for i in range(n):
        latency[i] = under(curves, i, background[i], 0.0)[0]
        for k in range(threads.size):
            used[i] = used[i] or moved[k, i] > 0.0
    done = False
    for _ in range(SWEEPS):
        for i in range(n):
            if used[i]:
                full[i] = one_node(curves, background[i], i, weight, moved, fixed, threads, latency, own)
        done = error_of(curves, background, weight, moved, fixed, threads, latency, own) <= EXACT or newton(
            curves, background, weight, moved, fixed, threads, latency, own, full
        )
        if done:
            break
    done = done or error_of(curves, background, weight, moved, fixed, threads, latency, own) <= 1e-11
    for i in range(n):
        if full[i]:
            same, total = np.zeros(n, np.bool_), np.zeros(n)
            rest = 0.0
            for j in range(n):
                same[j] = full[j] and parallel(weight, i, j)
                for k in range(threads.size):
                    total[j] += weight[k, j]
                if same[j]:
                    rest += total[j] * latency[j]
            for j in range(n):
                if same[j]:
                    latency[j] = curves.ns[curves.start[j + 1] - 1]
            level_out(same, total, latency, rest)
    for k in range(threads.size):
        time = fixed[k]
        for i in range(n):
            time += weight[k, i] * latency[i]
        rate[k] = threads[k] / time
    return done


@inlined
def parallel(weight, i, j):
    """Return whether two nodes weigh with all classes in one proportion, so that their latencies can make up for each other."""
    largest = 0
    for k in range(weight.shape[0]):
        if weight[k, i] > weight[largest, i]:
            largest = k
    for k in range(weight.shape[0]):
        one, other = weight[k, i] * weight[largest, j], weight[largest, i] * weight[k, j]
        if abs(one - other) > TIE * max(one, other):
            return False
    return weight[largest, j] > 0.0


@inlined
def loads(curves, background, moved, rate, latency, load):
    """Write each node's load: own and of others."""
    for i in range(load.size):
        load[i] = background[i] + curves.loops[i] / latency[i]
        for k in range(rate.size):
            load[i] += moved[k, i] * rate[k]
        load[i] = min(load[i], curves.peak[i])


@kernel
def alone(curves, background, weight, moved, fixed, threads, rate, latency, load):
    """Solve each window of one class: f8 arrays (windows, nodes), classes between them; write throughputs, latencies, loads."""
    for w in range(rate.shape[0]):
        rate[w, 0] = one_class(curves, background[w], weight[w, 0], moved[w, 0], fixed[w, 0], threads[w, 0], latency[w])
        loads(curves, background[w], moved[w], rate[w], latency[w], load[w])


@kernel
def together(curves, background, weight, moved, fixed, threads, rate, latency, load):
    """Solve each window of several classes, as `alone`; return how many windows have no answer."""
    missed = 0
    for w in range(rate.shape[0]):
        if not several_classes(curves, background[w], weight[w], moved[w], fixed[w], threads[w], latency[w], rate[w]):
            missed += 1
        loads(curves, background[w], moved[w], rate[w], latency[w], load[w])
    return missed


@inlined
def busy(curves, i, background, think, weight, own):
    """Return the threads (times bytes) that a node keeps busy at an own load, and the slope."""
    latency, slope, _ = under(curves, i, background, own)
    return own * weight * (think + latency), weight * (think + latency + own * slope)


@inlined
def load_of(curves, i, background, think, weight, threads):
    """Return the own load at which node i alone keeps so many threads (times bytes) busy, at most its free bandwidth."""
    if threads <= 0.0:
        return 0.0
    weights, moved, latency = np.zeros(background.size), np.zeros(background.size), np.zeros(background.size)
    weights[i], moved[i] = weight, 1.0
    return one_class(curves, background, weights, moved, weight * think, threads, latency)


@kernel
def best_share(curves, background, think, weight, threads):
    """Return the share of node 0 with which the threads (times bytes) move the most bytes through two nodes.

    At a fixed number of busy threads node 1's load is a function of node 0's. Between two points of the curves it is
    concave, as the threads that a node keeps busy are convex in its load; so each such piece has one best load.
    """
    free, most = np.zeros(2), np.full(2, np.inf)
    for i in range(2):
        free[i] = curves.peak[i] - background[i]
        if curves.loops[i] == 0.0:
            most[i] = free[i] * weight[i] * (think + curves.ns[curves.start[i + 1] - 1])
    if most[0] + most[1] <= threads:
        return free[0] / (free[0] + free[1])
    first = load_of(curves, 0, background, think, weight[0], threads - most[1])
    last = load_of(curves, 0, background, think, weight[0], threads)
    cuts = np.full(curves.load.size + 4, last)
    cuts[0] = first
    n = 2
    for i in range(2):
        for k in range(curves.start[i], curves.start[i + 1] + 1):
            own = turn(curves, i, background[i], k)
            if 0.0 < own < free[i]:
                if i == 1:
                    left = threads - busy(curves, 1, background[1], think, weight[1], own)[0]
                    own = load_of(curves, 0, background, think, weight[0], left)
                if first < own < last:
                    cuts[n] = own
                    n += 1
    cuts[:n].sort()
    share, best = 0.0, -1.0
    for k in range(n):
        low, high = cuts[k], cuts[min(k + 1, n - 1)]
        for stage in range(2):
            if stage == 1:
                if high <= low:
                    break
                for _ in range(100):
                    own = (low + high) / 2.0
                    time, slope = busy(curves, 0, background[0], think, weight[0], own)
                    other = load_of(curves, 1, background, think, weight[1], threads - time)
                    if busy(curves, 1, background[1], think, weight[1], other)[1] > slope * (1.0 + TIE):
                        low = own
                    else:
                        high = own
            own = low
            left = threads - busy(curves, 0, background[0], think, weight[0], own)[0] if own > 0.0 else threads
            other = load_of(curves, 1, background, think, weight[1], left) if own < last or most[0] < threads else 0.0
            if own + other > best * (1.0 + 1e-13):
                share, best = own / (own + other), own + other
    return share
