"""NUMA balancing and kswapd as docs/theory/numa.md states them, with lists for lists and pages one by one.

What is not here is who is where: the test hands over on which node each page is, and takes back who moved.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

MIN, LOW, HIGH, PROMO, PROTECTION, FREE = range(6)
NO_ROOM, ARRIVED = 1, 2
R, W, YOUNG = 1, 2, 4


@dataclass
class Numa:
    """One process of as many pages as `node` has entries; node 0 is the top tier, -1 stands for a page without a frame."""

    node: list[int]
    free: list[int]
    """Free frames of each node."""
    reserve: list[int]
    zone: list[list[int]]
    """Of each zone, lowest first: marks, protection, free pages."""
    vma: list[tuple[int, int, int]]
    """First page, one past the last, page number of the address."""
    touched: Callable[[int, int, int], bool]
    """Whether a page is touched in ticks (after, until]."""
    ever: Callable[[int], bool]
    """Whether anybody ever touches a page."""
    hz: int
    window: int
    promote_ns: int
    refuse_ns: int
    hot_ms: int
    longest_ms: int
    rate: int
    margin: int
    tiering: bool
    tick_ns: int
    pte_ns: int
    reference: int
    period_ms: int
    max_period_ms: int
    hidden: int = 0
    armed: dict[int, int] = field(default_factory=dict)
    waiting: list[int] = field(default_factory=list)
    queue: list[tuple[int, int]] = field(default_factory=list)
    place: tuple[int, int] = (0, 0)
    passes: int = 0
    placed_pass: int = 0
    next_scan_ms: int = 0
    busy_ns: int = 0
    threshold: int = 0
    adjusted: tuple[int, int] = (0, 0)
    second: tuple[int, int] = (0, 0)
    promoted: int = 0
    candidates: int = 0
    late: int = 0
    demoted: int = 0
    changed: int = 0
    faults: int = 0
    stall_ns: int = 0
    scan_ns: int = 0
    looks: int = 0
    runs: int = 0
    failed: list[int] = field(default_factory=list)
    """By node, moves that found no frame."""
    woken: int = 0
    running: bool = False
    in_round: bool = False
    priority: int = 0
    of_round: tuple[int, int, int] = (0, 0, 0)
    """Pages demoted, looked at, to be looked at."""
    failures: int = 0
    demoted_before: int = 0
    oldest: int = 0
    generations: list[list[int]] = field(default_factory=lambda: [[], [], [], []])
    """Oldest first, and so are the pages of each."""
    cleared: dict[int, int] = field(default_factory=dict)
    """Tick at which kswapd cleared a page's accessed bit last."""
    by_damon: dict[int, int] = field(default_factory=dict)
    flags: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.flags = [R] * len(self.node)
        self.failed = [0] * len(self.free)
        self.generations[-2] += [p for p, nid in enumerate(self.node) if nid == 0]
        self.settle()

    # ---- zones -------------------------------------------------------------------------------------------------------

    def settle(self) -> None:
        """Frame by frame: the highest zone gives down to low, then each lower one down to low; then all down to min."""
        *lower, top = self.zone
        top[FREE] = self.free[0] - self.hidden - sum(z[FREE] for z in lower)
        for mark in (LOW, MIN):
            for z in lower[::-1]:
                while top[FREE] < top[mark] and z[FREE] > z[mark] + z[PROTECTION]:
                    z[FREE], top[FREE] = z[FREE] - 1, top[FREE] + 1
        for z in lower[::-1]:
            while top[FREE] < 0 and z[FREE]:
                z[FREE], top[FREE] = z[FREE] - 1, top[FREE] + 1

    def above(self, mark: int, more: int) -> list[bool]:
        return [z[FREE] > z[mark] + z[PROTECTION] + more for z in self.zone]

    # ---- moves -------------------------------------------------------------------------------------------------------

    def move(self, page: int, target: int) -> bool:
        if self.free[target] <= max(self.reserve[target], 0):
            self.failed[target] += 1
            return False
        self.free[self.node[page]] += 1
        self.free[target] -= 1
        self.node[page] = target
        return True

    def youngest_but_one(self, page: int) -> None:
        self.generations[-2].append(page)

    def forget(self, page: int) -> None:
        for pages in self.generations:
            if page in pages:
                pages.remove(page)

    def follow(self) -> None:
        known = {p for pages in self.generations for p in pages}
        for page, nid in enumerate(self.node):
            if nid == -1 or (nid == 0) != (page in known):
                self.armed.pop(page, None)
            if nid == 0 and page not in known:
                self.youngest_but_one(page)
            elif nid != 0 and page in known:
                self.forget(page)
        self.waiting = [p for p in self.waiting if p in self.armed]

    # ---- hint faults -------------------------------------------------------------------------------------------------

    def jiffies_ms(self, ns: int) -> int:
        return ns * self.hz // 10**9 * 1000 // self.hz

    def scan(self, now_ns: int) -> None:
        k, offset = self.place
        useful, any_of, changed = self.window, 8 * self.window, 0
        while k < len(self.vma) and useful > 0 and any_of > 0:
            lo, hi, address = self.vma[k]
            first, at = lo + offset, address + offset
            boundary = next(a for a in range(at + useful, at + useful + 512) if a % 512 == 0)
            end = min(hi, first + boundary - at)
            found = 0
            for page in range(first, end):
                if page not in self.armed and self.node[page] > 0:
                    self.armed[page] = self.jiffies_ms(now_ns) % 2**21
                    found += 1
                    if self.ever(page) and len(self.waiting) < len(self.node):
                        self.waiting.append(page)
            changed += found
            useful -= (end - first) * (found > 0)
            any_of -= end - first
            k, offset = (k + 1, 0) if end == hi else (k, end - lo)
        if k == len(self.vma):
            k, offset, self.passes = 0, 0, self.passes + 1
        self.place = k, offset
        self.changed += changed
        self.scan_ns += changed * self.pte_ns

    def touches(self, before: int, now: int, now_ns: int) -> None:
        self.follow()
        for tick in range(before + 1, now + 1):
            hit = [p for p in self.waiting if self.touched(p, tick - 1, tick)]
            self.waiting = [p for p in self.waiting if p not in hit]
            self.queue += [(p, tick) for p in hit]
        while self.queue and max(self.busy_ns, self.queue[0][1] * self.tick_ns) <= now_ns:
            page, tick = self.queue.pop(0)
            if page not in self.armed:
                continue
            start = max(self.busy_ns, tick * self.tick_ns)
            took = self.promote_ns if self.fault(page, tick, start) else self.refuse_ns
            self.busy_ns = start + took
            self.stall_ns += took

    def hot(self, latency: int, now_ms: int) -> bool:
        if any(self.above(PROMO, self.margin)):
            self.threshold = 0
            self.late += 1
            return True
        step = self.hot_ms // 8
        if now_ms - self.adjusted[0] > self.longest_ms:
            came, is_now = self.candidates - self.adjusted[1], self.threshold or self.hot_ms
            if 10 * came > 11 * self.reference:
                is_now = max(is_now - step, step)
            elif came < 9 * self.reference // 10:
                is_now = min(is_now + step, 2 * self.hot_ms)
            self.threshold, self.adjusted = is_now, (now_ms, self.candidates)
        if latency >= (self.threshold or self.hot_ms):
            return False
        self.candidates += 1
        if now_ms - self.second[0] > 1000:
            self.second = now_ms, self.candidates
        return self.candidates - self.second[1] < self.rate

    def fault(self, page: int, tick: int, now_ns: int) -> bool:
        now_ms = self.jiffies_ms(now_ns)
        latency = (now_ms - self.armed.pop(page)) % 2**21
        self.faults += 1
        self.settle()
        if not self.hot(latency, now_ms):
            return False
        if not any(self.above(HIGH, 1)):
            self.woken = NO_ROOM
            return False
        if not self.move(page, 0):
            return False
        self.promoted += 1
        self.cleared[page] = tick - 1  # the touch of this tick set the bit
        self.youngest_but_one(page)
        if self.placed_pass != self.passes:
            self.placed_pass = self.passes
            self.period_ms = min(2 * self.period_ms, self.max_period_ms)
            self.next_scan_ms = now_ms + self.period_ms
        return True

    # ---- kswapd ------------------------------------------------------------------------------------------------------

    def clear(self, page: int, now: int) -> None:
        """DAMON clears the accessed bit."""
        self.by_damon[page] = now

    def accessed(self, page: int, now: int) -> bool:
        own, damon = self.cleared.get(page), self.by_damon.get(page)
        if damon is not None and (own is None or damon > own):
            if own is None or self.touched(page, own, damon):
                self.flags[page] |= YOUNG
            own = damon
        if own is None or self.touched(page, own, now):
            return True
        self.cleared[page] = now
        return False

    def age(self, now: int) -> None:
        assert len(self.generations) < 4
        youngest = self.generations[-1]
        for pages in [list(g) for g in self.generations]:
            for page in pages:
                if not self.accessed(page, now):
                    continue
                self.cleared[page] = self.by_damon[page] = now
                if not self.flags[page] & (R | W):
                    self.flags[page] |= R
                    continue
                self.flags[page] = (self.flags[page] | W) & ~R
                if page not in youngest:
                    self.forget(page)
                    youngest.append(page)
        self.generations.append([])

    def drop_empty(self) -> None:
        while len(self.generations) > 2 and not self.generations[0]:
            del self.generations[0]
            self.oldest += 1

    def look(self, page: int, now: int) -> bool:
        """Whether the page was demoted."""
        self.looks += 1
        bit = self.accessed(page, now)
        was = self.flags[page]
        self.forget(page)
        if not bit and not was & YOUNG:
            for target in range(1, len(self.free)):
                if self.move(page, target):
                    self.demoted += 1
                    return True
            self.generations[-1].append(page)
            return False
        self.cleared[page] = now
        self.generations[-1 if was & W else -2].append(page)
        self.flags[page] = (was & ~YOUNG) | (0 if was & (R | W) else R)
        return False

    def kswapd(self, now: int, budget: int) -> None:
        self.settle()
        wanted = sum(max(z[HIGH], 32) for z in self.zone)
        rest = PROMO if self.tiering else HIGH
        balanced = any(self.above(rest, 0))
        if balanced and not self.running:
            self.failures = 0
        asked = self.woken == NO_ROOM or (self.woken == ARRIVED and not any(self.above(LOW, 0)))
        self.woken = 0
        if asked and not (self.running or balanced or self.failures >= 16):
            self.running, self.in_round, self.demoted_before = True, False, self.demoted
            self.runs += 1
            inactive = sum(map(len, self.generations[:-2]))
            self.priority = min(max(inactive.bit_length() - 1 - (wanted - 1).bit_length(), 6), 12)
        spent = 0
        while self.running and spent < budget:
            if not self.in_round:
                if self.priority == 0 or any(self.above(rest, 0)):
                    self.running = False
                    self.failures = 0 if self.demoted > self.demoted_before else self.failures + 1
                    return
                self.drop_empty()
                self.in_round = True
                if len(self.generations) == 2 or (len(self.generations) == 3 and self.priority < 12):
                    self.age(now)
                    self.of_round = 0, 0, 64
                    return
                self.of_round = 0, 0, max(sum(map(len, self.generations)) >> self.priority, 64)
            demoted, looked, limit = self.of_round
            ended = False
            for _ in range(min(64, budget - spent, limit - looked)):
                self.drop_empty()
                if not self.generations[0]:
                    ended = True
                    break
                demoted += self.look(self.generations[0][0], now)
                looked, spent = looked + 1, spent + 1
                if demoted >= wanted:
                    break
            self.of_round = demoted, looked, limit
            self.settle()
            if ended or demoted >= wanted or looked >= limit or all(self.above(PROMO, 64)):
                self.in_round = False
                self.priority -= looked < wanted or demoted == 0
