"""What one interleave run is made of, checked on the way in."""

from __future__ import annotations

import operator
from collections.abc import Mapping, Set
from dataclasses import asdict, dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from ..errors import InputError
from ..units import UINT_MAX, ULONG_MAX

RULES = ("iid", "pfn_mod", "first", "last", "per_node", "push_only", "vma_offset")
ALLOCATORS = ("fresh", "fifo", "lifo", "random")
PFN_RULES = ("pfn_mod", "first", "last")
DEFAULT_FRAMES = 2**32
MAX_NODES = 256
MAX_ROUNDS = 2**31 - 1


def integer(where: str, value: object, low: int, high: int, remedy: str = "") -> int:
    """Return `value`, an int or a float without a fraction, as an int in [low, high], or raise InputError at `where`."""
    if isinstance(value, bool):
        raise InputError(where, f"{value!r} is not an integer", remedy or f"give a whole number of {low} to {high}")
    try:
        number = int(value) if isinstance(value, float) and value.is_integer() else operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        raise InputError(where, f"{value!r} is not an integer", remedy or f"give a whole number of {low} to {high}") from None
    if not low <= number <= high:
        raise InputError(where, f"{number} is outside {low} to {high}", remedy or "give a number inside that range")
    return number


def one_of(where: str, value: object, known: tuple[str, ...]) -> str:
    """Return `value` if it is one of `known`, or raise InputError that lists them."""
    if not isinstance(value, str) or value not in known:
        raise InputError(where, f"{value!r} is not known", f"use one of {', '.join(known)}")
    return value


def integers(where: str, values: object, high: int) -> tuple[int, ...]:
    """Return a sequence of integers in [0, high] as a tuple, or raise InputError."""
    # A mapping or a set would be read by its keys, or in any order.
    if isinstance(values, (str, bytes, Mapping, Set)) or not hasattr(values, "__iter__"):
        raise InputError(where, f"{values!r} is not a sequence of integers", "give one integer per node, as (2, 3)")
    return tuple(integer(f"{where}[{i}]", v, 0, high) for i, v in enumerate(values))


def checked_weights(where: str, weights: object) -> tuple[int, ...]:
    """Return interleave weights as ints: one per node, each >= 0, sum in 1 ... 2**32 - 1, not reduced."""
    checked = integers(where, weights, UINT_MAX)
    if not 1 <= len(checked) <= MAX_NODES:
        raise InputError(where, f"{len(checked)} weights", f"give one weight for each of 1 to {MAX_NODES} nodes")
    if not 0 < sum(checked) < 2**32:
        raise InputError(where, f"{list(checked)} add up to {sum(checked)}", "the sum must be 1 to 2**32 - 1")
    return checked


def round_half_up(numerator: int, denominator: int) -> int:
    """Nearest integer to numerator / denominator (both >= 0), halves upwards."""
    return (2 * numerator + denominator) // (2 * denominator)


@dataclass(frozen=True)
class Setup:
    """The arguments of `tieringmodel.interleave.run`, validated; see there for their meaning."""

    rule: str
    weights: tuple[int, ...]
    n_pages: int
    rounds: int
    allocator: str = "fresh"
    frames: tuple[int, ...] | None = None
    start_node: int = 0
    vma_start: int = 0
    stride: int = 1
    share_per_round: float = 1.0
    refractory: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        """Replace every field by its checked value."""
        put = object.__setattr__
        put(self, "rule", one_of("rule", self.rule, RULES))
        put(self, "weights", checked_weights("weights", self.weights))
        put(self, "allocator", one_of("allocator", self.allocator, ALLOCATORS))
        put(self, "n_pages", integer("n_pages", self.n_pages, 1, UINT_MAX))
        put(self, "rounds", integer("rounds", self.rounds, 0, MAX_ROUNDS))
        put(self, "start_node", integer("start_node", self.start_node, 0, self.nodes - 1, "name a node with a weight"))
        put(self, "vma_start", integer("vma_start", self.vma_start, 0, ULONG_MAX))
        put(self, "stride", integer("stride", self.stride, 1, ULONG_MAX))
        put(self, "refractory", integer("refractory", self.refractory, 0, MAX_ROUNDS))
        put(self, "seed", integer("seed", self.seed, 0, ULONG_MAX))
        self._check_share()
        self._check_frames()
        if self.rule in ("first", "last") and self.nodes != 2:
            raise InputError("rule", f"{self.rule!r} splits pages between two nodes, not {self.nodes}", "give two weights")
        last = self.vma_start + self.stride * (self.n_pages - 1)
        if last >= 2**64:
            raise InputError("vma_start", f"the last page's offset {last} exceeds 64 bits", "lower it or stride")

    def _check_share(self) -> None:
        share = self.share_per_round
        try:
            number = float(share)
        except (TypeError, ValueError):
            number = float("nan")
        if isinstance(share, (bool, str)) or not 0.0 <= number <= 1.0:
            raise InputError("share_per_round", f"{share!r} is not a share", "give a number from 0 to 1")
        object.__setattr__(self, "share_per_round", number)

    def _check_frames(self) -> None:
        if self.frames is None:
            return
        frames = integers("frames", self.frames, 2**62)
        if len(frames) != self.nodes:
            raise InputError("frames", f"{len(frames)} counts for {self.nodes} weights", "give one count per node")
        if sum(frames) > 2**62:
            raise InputError("frames", f"{sum(frames)} frames in all", "stay within 2**62")
        if frames[self.start_node] < self.n_pages:
            raise InputError(
                f"frames[{self.start_node}]",
                f"{frames[self.start_node]} frames cannot hold the {self.n_pages} pages that start there",
                "give the start node at least n_pages frames",
            )
        object.__setattr__(self, "frames", frames)

    @property
    def nodes(self) -> int:
        """Number of nodes = number of weights."""
        return len(self.weights)

    @property
    def frame_counts(self) -> tuple[int, ...]:
        """Frames per node, the default written out."""
        return self.frames if self.frames is not None else (DEFAULT_FRAMES,) * self.nodes

    @property
    def dealt_pages(self) -> int:
        """Pages drawn per round: n_pages * share_per_round in decimal, rounded half up."""
        exact = Decimal(repr(self.share_per_round)) * self.n_pages
        return int(exact.to_integral_value(ROUND_HALF_UP))

    @property
    def needs_frames(self) -> bool:
        """Whether PFNs can change the outcome: the rule reads them, or a node may run out of free frames."""
        return self.rule in PFN_RULES or (self.allocator != "fresh" and min(self.frame_counts) < self.n_pages)

    def parameters(self) -> dict[str, Any]:
        """Return the arguments as JSON-ready values."""
        return asdict(self)
