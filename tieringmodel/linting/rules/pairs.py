"""What two schemes with goals on the same pages come to: permanent swap, no rest, or a dead band."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from ...theory import closed_forms
from ..finding import Finding
from ..scheme_facts import At
from ..share_goals import Wish, overlap
from ..wording import base2_cap, cap, rate, size

GAP_BP = 200
"""Gap between two targets that is proposed."""


def step_bp(at: At) -> float:
    """Return what one full window moves, as a share of the eligible pages in bp; 10000 without a size quota."""
    if at.cap_pages is None or not at.touched_pages:
        return 10_000.0
    return min(at.cap_pages * 10_000 / at.touched_pages, 10_000.0)


class Pair(NamedTuple):
    """Two schemes that each move pages from the other's node to their own (docs/theory/stability.md, section 3f)."""

    one: Wish
    other: Wish

    @property
    def total(self) -> int:
        """Sum of the targets in bp."""
        return self.one.bp + self.other.bp

    @property
    def steps_bp(self) -> tuple[float, float]:
        """What a full window of each moves."""
        return step_bp(self.one.at), step_bp(self.other.at)

    @property
    def window_us(self) -> float:
        """The longer control period."""
        return max(w.at.window_us for w in self)

    @property
    def caps(self) -> tuple[int, int] | None:
        """Pages per window of each, at most all there are; None if one has no size quota."""
        a, b = self.one.at.cap_pages, self.other.at.cap_pages
        most = self.one.at.touched_pages or 2**62
        return (min(a, most), min(b, most)) if a is not None and b is not None else None

    def findings(self) -> Iterator[Finding]:
        """Yield what the targets leave between them; nothing if a quota is too small to move anything."""
        if min(self.steps_bp) == 0:
            return
        gap = 10_000 - self.total
        temporal = all(w.at.scheme.quota.goal_tuner == "temporal" for w in self)
        stops = all(w.at.scheme.quota.goals[0].early_exit == "both_fresh" for w in self)
        head = (
            f"goals of {self.one.bp} bp on node {self.one.nid} and {self.other.bp} bp on node {self.other.nid} sum to "
            f"{self.total} bp"
        )
        if gap < 0:
            yield self._finding("targets-overlap", "error", f"{head}, {-gap} more than there is: {self._swap(temporal)}")
        elif gap == 0 and not (temporal and stops):
            yield self._finding("targets-no-gap", "warning", f"{head}: {self._restless(temporal)}")
        elif temporal and not stops and max(self.steps_bp) > gap:
            larger = max(self, key=lambda w: step_bp(w.at)).at
            yield Finding(
                "gap-below-step",
                "warning",
                self.other.path,
                f"{head}: nothing moves between {self.one.bp} and {10_000 - self.other.bp} bp on node "
                f"{self.one.nid}, but a window of {cap(larger.scheme)} moves {max(self.steps_bp):.0f} bp of the "
                f"{size(larger.touched_pages)} that match and can cross the gap of {gap} bp",
                self._smaller(gap),
            )
        else:
            yield Finding(
                "dead-band",
                "info",
                self.other.path,
                f"nothing moves while node {self.one.nid} holds {self.one.bp} to {10_000 - self.other.bp} bp: a "
                f"dead band of {gap} bp, {gap / max(self.steps_bp):.2g} windows of the larger quota",
            )

    def _finding(self, code: str, level: str, text: str) -> Finding:
        return Finding(code, level, self.other.path, text, self._lower())

    def _swap(self, temporal: bool) -> str:
        if not temporal:
            growth = 2 - 10_000 / self.total
            return f"no placement meets both, and CONSIST's quotas grow together by {growth:.4f} per window"
        if self.caps is None:
            return "no placement meets both, and without a size quota all matching pages change places in every window"
        pages = closed_forms.push_pull((self.one.bp, self.other.bp), self.caps).residual_pages_per_window
        return (
            f"no placement meets both, and even if every move is seen at once {pages} pages per window "
            f"({rate(pages, self.window_us)}) are swapped for ever"
        )

    def _restless(self, temporal: bool) -> str:
        if not temporal:
            return (
                "both are met in one point only, and there CONSIST keeps both quotas as they are: what one moves "
                "in, the other moves out"
            )
        text = "both are met in one point only, so in nearly every window one scheme is below its target and moves "
        if self.caps is None:
            return f"{text}all matching pages"
        a, b = self.caps
        pages = 2 * a * b / max(a + b, 1)  # the two take turns so that what goes in comes out
        steps = " and ".join(f"{s:.0f}" for s in sorted(set(self.steps_bp)))
        return (
            f"{text}its whole quota, {pages:.0f} pages per window ({rate(pages, self.window_us)}) for ever: steps "
            f"of {steps} bp of the {size(self.one.at.touched_pages)} that match, and more where moved pages leave "
            "the metric until they are sampled again"
        )

    def _lower(self) -> str:
        target = 10_000 - self.one.bp - GAP_BP
        change = f"set target_value = {target}" if target > 0 else f"lower both targets to a sum of {10_000 - GAP_BP}"
        small = "" if max(self.steps_bp) <= GAP_BP / 2 else f" and {self._smaller(GAP_BP)}"
        return f"{change} (a gap of {GAP_BP} bp){small}"

    def _smaller(self, gap: int) -> str:
        pages = min(w.at.touched_pages for w in self) or 2**16
        return f"sz_bytes = {base2_cap(pages * gap / 20_000)} in both schemes, so that two windows do not cross the gap"


def used_free_band(fill: Wish, drain: Wish) -> Finding:
    """Return what a used and a free target of one node leave between them."""
    total = fill.at.facts.total[fill.node]
    steps = [
        f"{size(c)} = {c * 10_000 / total:.0f} bp" if c is not None else "everything"
        for c in (fill.at.cap_pages, drain.at.cap_pages)
    ]
    low, high = sorted((fill.bp, 10_000 - drain.bp))
    head = f"used {fill.bp} bp and free {drain.bp} bp of node {fill.nid} ({size(total)})"
    tail = f"a window moves at most {steps[0]} in, {steps[1]} out"
    if fill.bp + drain.bp <= 10_000:
        text = f"{head}: both rest while used is {low} to {high} bp, a dead band of {high - low} bp; {tail}"
        return Finding("dead-band", "info", drain.path, text)
    text = f"{head} overlap: both schemes act while used is between {low} and {high} bp, a band of {high - low} bp; {tail}"
    if overlap(fill.at, drain.at):
        return Finding(
            "used-free-overlap",
            "warning",
            drain.path,
            f"{text}; a page can match both patterns and is moved to and fro for ever",
            f"make the access patterns disjoint, or set target_value = {10_000 - fill.bp}",
        )
    return Finding(
        "used-free-overlap",
        "info",
        drain.path,
        f"{text}; there they exchange pages until none matches one of the patterns",
        f"for rest at the goal set target_value = {10_000 - fill.bp}",
    )
