"""The placement rules: which node each dealt page is sent to, given where everything is when the round starts.

Only `vma_offset` may ask who a page is. The others see a frame number, a node and a coin: that is all a scheme on
physical addresses knows, and the reason why the same page is dealt again and again. (Where a coin is keyed by the
page's index, the index only names the draw.)
"""

from __future__ import annotations

from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from ..kernels import placement as kernels
from .setup import Setup, round_half_up

Nodes = NDArray[np.uint8]

# Random streams of one seed; frames of node i use FRAMES + i.
SHARE, COIN, COUNTS, FRAMES = 1, 2, 3, 16


def round_key(seed: int, stream: int, round_number: int) -> np.uint64:
    """Return the key of a random stream in a round."""
    return np.uint64(kernels.round_key(np.uint64(seed), np.uint64(stream), np.uint64(round_number)))


def cut_points(weights: tuple[int, ...]) -> NDArray[np.uint64]:
    """Cumulated probabilities of all nodes but the last in units of 2**-63, for `kernels.placement.iid_redraw`."""
    total = sum(weights)
    return np.array([(c << 63) // total for c in accumulate(weights[:-1])], np.uint64)


def leaving_counts(count: int, source: int, weights: tuple[int, ...]) -> list[int]:
    """How many of `count` pages on `source` each node receives, those that stay at index `source`.

    The cumulated share of the other nodes, in node order, is rounded half up, so the counts never exceed `count`;
    with two nodes it is the one rounding of ``count * w_other / W``.
    """
    given, cumulated, out = 0, 0, []
    for node, weight in enumerate(weights):
        cumulated += weight if node != source else 0
        upto = round_half_up(count * cumulated, sum(weights))
        out.append(upto - given)
        given = upto
    out[source] = count - given
    return out


class Rules:
    """Destinations of one run, round by round.

    Parameters
    ----------
    setup : Setup
        The run.
    """

    def __init__(self, setup: Setup) -> None:
        self.setup = setup
        self.pages = np.arange(setup.n_pages, dtype=np.uint64)
        self.weights = np.array(setup.weights, np.uint64)
        self.cuts = cut_points(setup.weights)
        self.everyone = np.ones(setup.n_pages, np.uint8)
        self.rested = np.zeros(setup.n_pages, np.int64) if setup.refractory else None
        self.home = np.empty(setup.n_pages, np.uint8)
        if setup.rule == "vma_offset":
            offsets = np.uint64(setup.vma_start) + np.uint64(setup.stride) * self.pages
            kernels.dest_by_interval(offsets, self.weights, self.home)

    def dealt(self, round_number: int) -> Nodes | None:
        """Return the mask of pages that are dealt in this round, None for all of them."""
        setup, mask = self.setup, None
        if setup.dealt_pages < setup.n_pages:
            mask = np.empty(setup.n_pages, np.uint8)
            piles = np.array([[setup.n_pages - setup.dealt_pages, setup.dealt_pages]])
            nobody = np.zeros(setup.n_pages, np.uint8)
            key = round_key(setup.seed, SHARE, round_number)
            kernels.deal_counts(key, self.pages, nobody, self.everyone, piles, mask)
        if self.rested is not None:
            ready = self.rested <= round_number
            mask = ready.view(np.uint8) if mask is None else mask & ready
        return mask

    def rest(self, moved: NDArray[np.bool_], round_number: int) -> None:
        """Keep the pages that moved in this round out of the next `refractory` rounds."""
        if self.rested is not None:
            self.rested[moved] = round_number + self.setup.refractory + 1

    def send(
        self, round_number: int, node: Nodes, pfn: NDArray[np.int64] | None, order: NDArray[np.intp] | None, out: Nodes
    ) -> None:
        """Write the wanted node of every page to `out`; a page that is not dealt wants to stay.

        Parameters
        ----------
        round_number : int
            From 1.
        node : uint8 array (page)
            Where each page is.
        pfn : int64 array (page) or None
            Its frame, and in `order` (intp) the pages by ascending frame; None if the rule cannot see it.
        order : intp array or None
            See `pfn`.
        out : uint8 array (page)
            Result.
        """
        setup, dealt = self.setup, self.dealt(round_number)
        if setup.rule in ("per_node", "push_only"):
            self._send_counts(round_number, node, dealt, out)
            return
        if setup.rule in ("first", "last"):
            assert order is not None
            self._send_ranks(node, order, dealt, out)
            return
        if setup.rule == "iid":
            key = round_key(setup.seed, COIN, 0)
            kernels.iid_redraw(key, self.pages, np.uint64(round_number), self.cuts, out)
        elif setup.rule == "pfn_mod":
            assert pfn is not None
            kernels.dest_by_interval(pfn.view(np.uint64), self.weights, out)
        else:
            out[:] = self.home
        if dealt is not None:
            np.copyto(out, node, where=dealt == 0)

    def _send_counts(self, round_number: int, node: Nodes, dealt: Nodes | None, out: Nodes) -> None:
        setup = self.setup
        mask = self.everyone if dealt is None else dealt
        if setup.rule == "push_only":
            mask = mask & (node == setup.start_node)
        present = np.bincount(node[mask != 0], minlength=setup.nodes)
        piles = np.array([leaving_counts(int(c), i, setup.weights) for i, c in enumerate(present)])
        kernels.deal_counts(round_key(setup.seed, COUNTS, round_number), self.pages, node, mask, piles, out)

    def _send_ranks(self, node: Nodes, order: NDArray[np.intp], dealt: Nodes | None, out: Nodes) -> None:
        setup = self.setup
        if dealt is not None:
            out[:] = node
            order = order[dealt[order] != 0]
        wanted = np.empty(order.size, np.uint8)
        to_node1 = round_half_up(setup.weights[1] * order.size, sum(setup.weights))
        kernels.rank_dest(0, order.size, to_node1, setup.rule == "last", wanted)
        out[order] = wanted
