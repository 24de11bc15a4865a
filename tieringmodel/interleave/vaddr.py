"""Where DAMON's vaddr operations send one folio: weights with identity, folio order included."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..errors import InputError
from ..kernels import placement as kernels
from ..units import UINT_MAX, ULONG_MAX
from .setup import integer, integers

MAX_ORDER = 51  # 2**51 pages of 4 KiB are half of a 64-bit address space


def vaddr_dest_index(
    vm_pgoff: int, vm_start: int, addr: int, order: int, folio_nid: int, nodes: Sequence[int], weights: Sequence[int]
) -> int:
    """Index of the destination that a folio met at a virtual address is migrated to.

    The interleave index is the VMA's page offset plus the folio's page distance from the VMA's start, both in
    units of the folio; its remainder by the sum of weights picks the destination. The sum is kept in 32 bits and
    the index in 64, as in the kernel.

    Parameters
    ----------
    vm_pgoff : int
        Page offset of the VMA, 4 KiB pages.
    vm_start, addr : int
        Start of the VMA and the address at which the walk met the folio, bytes.
    order : int
        The folio has 2**order pages.
    folio_nid : int
        Node the folio is on.
    nodes, weights : sequence of int
        Destinations and their weights; both empty for a scheme with a single target node.

    Returns
    -------
    int
        Index into `nodes`; -1 if the folio is left alone (it is there already, or the weights add up to 0); 0 if
        there are no destinations, which stands for the scheme's own target node.

    Raises
    ------
    InputError
        If a number is out of range, `addr` lies below `vm_start`, or the two lists differ in length.

    Notes
    -----
    docs/theory/damon.md, section g.6 (``damos_va_migrate_dests_add``). A folio and the small pages it is split into have
    different orders, hence different indices: collapsing or splitting deals them once more.

    Examples
    --------
    >>> import tieringmodel as tm
    >>> [tm.interleave.vaddr_dest_index(0, 0, page * 4096, 0, 9, (0, 1), (2, 3)) for page in range(6)]
    [0, 0, 1, 1, 1, 0]
    """
    addresses = [("vm_pgoff", vm_pgoff), ("vm_start", vm_start), ("addr", addr)]
    pgoff, start, at = (np.uint64(integer(where, value, 0, ULONG_MAX)) for where, value in addresses)
    if at < start:
        raise InputError("addr", f"{addr:#x} is below the VMA's start {vm_start:#x}", "give an address inside the VMA")
    order = integer("order", order, 0, MAX_ORDER)
    folio_nid = integer("folio_nid", folio_nid, 0, 2**31 - 1)
    checked_nodes, checked_weights = integers("nodes", nodes, UINT_MAX), integers("weights", weights, UINT_MAX)
    if len(checked_nodes) != len(checked_weights):
        raise InputError("weights", f"{len(checked_weights)} for {len(checked_nodes)} nodes", "give one per node")
    if not checked_nodes:
        return 0
    ilx = kernels.vma_interleave_index(at, start, pgoff, np.uint64(order))
    index = int(kernels.weighted_dest(np.uint64(ilx), np.array(checked_weights, np.uint64)))
    return -1 if index < 0 or checked_nodes[index] == folio_nid else index
