"""A machine's memory as flat arrays: frames, logical pages, and counters that migration keeps up to date."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from ..kernels import bits, frames, placement, watermarks, zone_lists
from ..kernels._jit import records
from ..kernels.layout import (
    AT_BACK,
    AT_FRONT,
    BUDDY,
    COST,
    FIFO,
    JIFFY,
    LIFO,
    LOG_LENGTH,
    LOW32,
    LOWEST,
    MOVES,
    NO_FRAME,
    NODE,
    NOW,
    PART_SHIFT,
    RANDOM,
    Access,
    Memory,
    Space,
)
from ..scenario import Machine, Placement, Workload
from ..stored import same_kind
from ..units import MAX_PAGES
from . import consistency, swap, zones
from .page_lists import PageLists
from .populate import Filler, Folios, check_room
from .reuse import Kept

NO_NODE = 255
"""In `PhysicalMemory.node_of_pages`: the page is out."""
_POLICY = {"lowest": LOWEST, "fifo": FIFO, "lifo": LIFO, "random": RANDOM, "buddy": BUDDY}


class PhysicalMemory:
    """Frames and pages of one run.

    Parameters
    ----------
    machine : Machine
        Nodes, allocator, watermarks.
    workload : Workload
        How many logical pages there are and where they start.
    page_class : ndarray of uint16, shape (n_pages,)
        Access class of each logical page (see `tieringmodel.workload`).
    seed : int
        Key of the ``random`` allocator.
    track_young : bool
        Keep for every page when its accessed state was last cleared (2 bytes a page); needed by several contexts on the
        same memory and by ``young`` filters.
    n_classes : int
        Number of access classes.
    log_moves : int
        Room for that many moves in the log that `take_log` empties; 0 keeps none.
    keep_frame_of : bool
        Keep every page's frame up to date (4 bytes a page and a random write per migration); else it is looked up when
        somebody asks. Virtual address spaces need it.
    kept : Kept, optional
        Start from what was kept of this very layout; `page_class` is not looked at.
    reclaims : bool
        Make room for pages without a frame (8 bytes a page); needs `track_young`.
    anywhere : bool
        Migration to a full node takes a frame of another one, even of the page's own.
    heads : bool
        A folio is seen at its first 4 KiB only.
    marks : bool
        Make room for a mark on each page (a bit a page).
    device : dict of str to ndarray, optional
        What `tieringmodel.memory.swap.columns` returned, where reclaimed pages go to a device.
    folios : sequence of (int, int, int, int)
        First and one past the last page, order and class of each run of folios of several pages, where there are some.

    Attributes
    ----------
    arrays : Memory
        The arrays that kernels work on.
    space : Space
        Where physical core addresses lead (``addr_unit`` 1).
    n_pages : int
        Logical pages: the workload's, then the nodes' ``cache_bytes``.
    page_bytes : int
        Size of a page, that of the machine's folios.
    reclaims : bool
        Whether pages can be out: taken off their frames, and on no other.

    Raises
    ------
    InputError
        If there are more than `MAX_PAGES` pages or frames, an explicit placement names a frame outside the machine or
        one that is taken, or the workload's placement leaves no room for a node's own pages.
    """

    def __init__(
        self,
        machine: Machine,
        workload: Workload,
        page_class: npt.NDArray[np.uint16] | None,
        seed: int = 0,
        track_young: bool = False,
        n_classes: int = 1,
        log_moves: int = 0,
        keep_frame_of: bool = True,
        kept: Kept | None = None,
        reclaims: bool = False,
        *,
        anywhere: bool = False,
        heads: bool = False,
        marks: bool = False,
        folios: Sequence[Folios] = (),
        device: swap.Columns | None = None,
    ) -> None:
        self.machine = machine
        self.page_bytes, self.heads = machine.folio_bytes, heads
        self.nids = np.array([n.nid for n in machine.nodes], np.int64)
        cache = [n.cache_bytes // self.page_bytes for n in machine.nodes]
        self.workload_pages = workload.n_pages
        self.n_pages = workload.n_pages + sum(cache)
        if kept is None:
            assert page_class is not None
            self.arrays = self._empty(track_young, n_classes, log_moves, keep_frame_of, reclaims, marks, bool(folios), device)
            self.offline = [np.zeros(0, np.int64) for _ in machine.nodes]
            self._populate(workload, page_class, cache, folios)
            for i, node in enumerate(machine.nodes):
                self.set_offline(i, node.offline_bytes // self.page_bytes)
            zones.fill_lists(self.arrays, machine)
            self.arrays.dirty[:] = 0
        else:
            self.arrays, self.offline = kept.restored(log_moves), list(kept.offline)
        nodes, clock = self.arrays.node, self.arrays.clock
        nodes["try_all"] = machine.on_full == "try_all"
        nodes["anywhere"] = anywhere
        zones.draw_from(self.arrays, seed)
        clock[COST], clock[JIFFY] = machine.migrate_ns_per_page, 1_000_000_000 // machine.hz
        self.space = self.space_for(1)
        self.reclaims = bool(self.arrays.out.size)
        self.page_lists: PageLists | None = None
        if machine.percpu_lists and not machine.handed_out:
            held = [n.percpu_pages for n in machine.nodes]
            self.page_lists = PageLists(self.arrays, held, machine.percpu_lists, seed, machine.percpu_roams)

    def _empty(
        self,
        track_young: bool,
        n_classes: int,
        log_moves: int,
        keep_frame_of: bool,
        reclaims: bool,
        marks: bool,
        mixed: bool,
        device: swap.Columns | None,
    ) -> Memory:
        assert track_young or not reclaims, "reclaim rejects young pages, so their state must be known"
        machine = self.machine
        sizes = np.array([n.sz_bytes // self.page_bytes for n in machine.nodes], np.int64)
        rounded = -(-sizes // bits.BLOCK) * bits.BLOCK
        base = np.concatenate(([0], np.cumsum(rounded)))[:-1].astype(np.int64)
        n_frames = int(rounded.sum())
        if max(n_frames, self.n_pages) > MAX_PAGES:
            text = f"has {n_frames} frames of {self.page_bytes} bytes, and 32 bits number at most {MAX_PAGES}"
            raise InputError("machine", text, "set machine.folio_bytes = '2 MiB', or make nodes smaller")
        nodes = records(len(machine.nodes), NODE)
        nodes["policy"] = _POLICY[machine.allocator]
        nodes["hint"] = base // bits.BLOCK
        pages_written = self.n_pages if keep_frame_of or track_young else 0
        kind = swap.KINDS[mixed, bool(machine.handed_out), bool(device)]
        more = zones.columns(machine, base, sizes, n_frames, mixed) if machine.handed_out else {}
        if mixed:
            more |= {"folio": np.zeros(n_frames, np.uint32), "mixed": np.zeros(2, np.int64)}
        return kind(
            **(more | (device or {})),
            rec=np.zeros(n_frames, np.uint64),
            frame_of=np.zeros(self.n_pages if keep_frame_of else 0, np.uint32),
            seen=np.zeros(self.n_pages if track_young else 0, np.uint16),
            free_bits=np.zeros(n_frames // 64, np.uint64),
            lru_bits=np.zeros(n_frames // 64, np.uint64),
            free_512=np.zeros(n_frames // bits.BLOCK, np.uint16),
            lru_512=np.zeros(n_frames // bits.BLOCK, np.uint16),
            lru_256k=np.zeros(n_frames // bits.SUPER + 1, np.int64),
            free_256k=np.zeros(n_frames // bits.SUPER + 1, np.int64),
            base=base,
            frames=sizes,
            pfn=np.array([n.extent[0] // self.page_bytes for n in machine.nodes], np.int64),
            node=nodes,
            by_class=np.zeros((len(machine.nodes), n_classes), np.int64),
            log=np.zeros(log_moves, np.uint64),
            clock=np.zeros(6, np.int64),
            dirty=np.zeros(-(-n_frames >> PART_SHIFT), np.uint8),
            dirty_pages=np.zeros(-(-pages_written >> PART_SHIFT), np.uint8),
            out=np.zeros(self.n_pages if reclaims else 0, np.uint64),
            marked=np.zeros(-(-self.n_pages // 64) if marks else 0, np.uint64),
            swap=np.zeros(6, np.int64),
        )

    def _populate(
        self, workload: Workload, page_class: npt.NDArray[np.uint16], cache: list[int], folios: Sequence[Folios]
    ) -> None:
        m = self.arrays
        m.node["total"] = [s - n.unmanaged_bytes // self.page_bytes for s, n in zip(m.frames, self.machine.nodes, strict=True)]
        m.node["reserve"] = [n.reserve_pages for n in self.machine.nodes]
        classes = page_class
        if self.n_pages > workload.n_pages:
            classes = np.concatenate((page_class, np.zeros(self.n_pages - workload.n_pages, np.uint16)))
        filler = Filler(m, classes, folios)
        if self.machine.handed_out:
            filler.begin_at([zones.frames_below_4_gib(node, self.page_bytes) for node in self.machine.nodes])
        places = list(workload.placement) or [Placement(0, workload.n_pages, int(self.nids[0]))]
        for k, place in enumerate(places):
            if place.start_bytes is not None:
                self._place_at(filler, place, f"workload.placement[{k}]")
        for i, node in enumerate(self.machine.nodes):
            taken = (node.unmanaged_bytes + node.kernel_bytes) // self.page_bytes
            check_room(filler, i, taken, "unmanaged_bytes and kernel_bytes")
            filler.occupy(i, taken)
        for place in places:
            if place.weights:
                filler.interleaved(place)
            elif place.start_bytes is None:
                first = self.index_of(place.nid)
                filler.lowest(place.lo, place.hi, [first, *(i for i in range(len(self.nids)) if i != first)])
        page = workload.n_pages
        for i, n in enumerate(cache):
            check_room(filler, i, n, "cache_bytes")
            filler.lowest(page, page + n, [i])
            page += n
        filler.finish()
        self._link_free()

    def _link_free(self) -> None:
        """Build the lists of free frames where the allocator takes frames from lists."""
        if self.arrays.node["policy"][0] in (FIFO, LIFO):
            frames.build_free_lists(self.arrays)
        if self.machine.handed_out:
            zone_lists.all_in_blocks(self.arrays)

    def _place_at(self, filler: Filler, place: Placement, where: str) -> None:
        pfn = int(place.start_bytes or 0) // self.page_bytes
        n, space = place.hi - place.lo, self.space_for(1)
        inside = np.flatnonzero((space.first <= pfn) & (pfn + n <= space.last))
        if not inside.size:
            text = f"bytes {place.start_bytes} … +{n * self.page_bytes} are not inside one node, or reach into a hole of it"
            raise InputError(f"{where}.start_bytes", text, "choose an address range of the machine")
        k = int(inside[0])
        taken = filler.at(int(space.node[k]), int(space.base[k]) + pfn - int(space.first[k]), place.lo, place.hi)
        if taken != place.hi:
            raise InputError(where, f"the frame for page {taken} is already taken", "place pages on free frames")

    def set_offline(self, i: int, pages: int) -> None:
        """Take frames of node index i offline, the highest free ones first, or bring the last ones taken back.

        Free lists start again in address order.

        Parameters
        ----------
        i : int
            Node index.
        pages : int
            How many frames shall be offline.

        Raises
        ------
        InputError
            If the node does not have that many free frames: pages in use are not moved away.
        """
        m, taken = self.arrays, self.offline[i]
        if pages == taken.size:
            return
        if pages < taken.size:
            taken, back = taken[:pages], taken[pages:]
            frames.bring_online(m, i, back)
        else:
            missing = pages - taken.size
            if missing > m.node["free"][i]:
                text = f"node {self.nids[i]} has {m.node['free'][i]} free frames, {missing} more shall go offline"
                raise InputError(f"machine.nodes[{i}].offline_bytes", text, "take less memory away")
            taken = np.concatenate((taken, frames.take_offline(m, i, missing)))
        m.node["total"][i] += self.offline[i].size - taken.size
        self.offline[i] = taken
        self._link_free()

    def space_for(self, addr_unit: int) -> Space:
        """Return the paddr address space for core addresses of `addr_unit` bytes."""
        start, end, node = np.array(self.machine.spans, np.int64).T
        first, last, base = start // self.page_bytes, end // self.page_bytes, np.zeros_like(node)
        for i in range(self.nids.size):
            mine = np.flatnonzero(node == i)
            sizes = last[mine] - first[mine]
            base[mine] = self.arrays.base[i] + np.cumsum(sizes) - sizes
        whole, unit = np.array([0, base.size], np.int64), np.uint64(addr_unit)
        node = np.ascontiguousarray(node)
        return Space(first, last, base, np.zeros_like(base), whole, False, self.heads, unit, self.shift, node)

    @property
    def shift(self) -> np.uint64:
        """Binary logarithm of the bytes of a page."""
        return np.uint64(self.page_bytes.bit_length() - 1)

    def note_free(self) -> None:
        """Pass what was freed and allocated since the last call through the lists of one CPU."""
        if self.page_lists:
            self.page_lists.update()

    def visible_free(self, i: int) -> int:
        """Return the free pages of node index i as ``MemFree`` counts them: without those in per-CPU lists."""
        free = int(self.arrays.node["free"][i])
        if self.page_lists:
            return max(free - int(self.page_lists.held()[i]), 0)
        return free - zone_lists.count_on_lists(self.arrays, np.int64(i)) if self.machine.percpu_lists else free

    def free_rate(self) -> np.uint64:
        """Return visibly free pages of the whole machine in permil, truncated."""
        free = sum(self.visible_free(i) for i in range(self.arrays.node.size))
        return np.uint64(watermarks.free_mem_rate(free, int(self.arrays.node["total"].sum())))

    def index_of(self, nid: int) -> int:
        """Return the index of node `nid`, or -1 if the machine has no such node."""
        found = np.flatnonzero(self.nids == nid)
        return int(found[0]) if found.size else -1

    @property
    def now_ns(self) -> int:
        """The machine's clock in nanoseconds."""
        return int(self.arrays.clock[NOW])

    def used_pages(self) -> npt.NDArray[np.int64]:
        """Return managed pages in use per node, int64 (n_nodes,)."""
        return np.asarray(self.arrays.node["total"] - self.arrays.node["free"])

    def free_pages(self) -> npt.NDArray[np.int64]:
        """Return free pages per node, int64 (n_nodes,); reserves are not subtracted."""
        return np.array(self.arrays.node["free"])

    def migrated_pages(self) -> npt.NDArray[np.int64]:
        """Return pages migrated into each node since the start, int64 (n_nodes,)."""
        return np.array(self.arrays.node["migrated_in"])

    def class_pages(self) -> npt.NDArray[np.int64]:
        """Return LRU pages per node and access class, int64 (n_nodes, n_classes)."""
        return np.array(self.arrays.by_class)

    @property
    def out_pages(self) -> int:
        """How many pages are out now."""
        return int(self.arrays.swap[AT_FRONT] + self.arrays.swap[AT_BACK])

    @property
    def unmapped_pages(self) -> int:
        """How many pages no touch finds mapped: those that are out, and those on their way there."""
        return self.out_pages + (0 if self.arrays.device is None else int(self.arrays.device[swap.UNMAPPED_NOW]))

    def fault_in(self, access: Access, tick: int) -> None:
        """Bring back the pages that were touched since the last call, up to a workload tick.

        Parameters
        ----------
        access : Access
            Who touches what.
        tick : int
            The present workload tick.
        """
        if frames.any_out(self.arrays):
            frames.fault_in(self.arrays, access, tick)
            self.note_free()
        frames.looked(self.arrays, tick)

    def take_log(self) -> tuple[npt.NDArray[np.uint64], int]:
        """Return the moves logged since the last call, in order, and how many did not fit; empties the log.

        Returns
        -------
        moves : ndarray of uint64
            ``page | from << 32 | to << 48`` with node indices.
        lost : int
        """
        clock = self.arrays.clock
        n, moves = int(clock[LOG_LENGTH]), int(clock[MOVES])
        clock[LOG_LENGTH] = clock[MOVES] = 0
        return self.arrays.log[:n].copy(), moves - n

    def put_back(self, moves: npt.NDArray[np.uint64], lost: int = 0) -> None:
        """Put moves that were taken from the log back in front of it, and as many that were lost."""
        m, n = self.arrays, int(self.arrays.clock[LOG_LENGTH])
        room = min(moves.size + n, m.log.size)
        m.log[:room] = np.concatenate((moves, m.log[:n]))[:room]
        m.clock[LOG_LENGTH] = room
        m.clock[MOVES] += moves.size + lost

    @property
    def frame_of(self) -> npt.NDArray[np.uint32]:
        """Frame of every logical page, uint32 (n_pages,), `NO_FRAME` for one that is out; by a scan where it is not kept."""
        m = self.arrays
        if m.frame_of.size:
            return np.asarray(m.frame_of)
        out = np.full(self.n_pages, NO_FRAME, np.uint32)
        placement.frames_by_page(m.rec, out)
        return out

    def node_of_pages(self) -> npt.NDArray[np.uint8]:
        """Return the node index of every workload page, uint8 (workload_pages,), `NO_NODE` for one that is out."""
        frame = self.frame_of[: self.workload_pages]
        node = self._node_of(frame)
        if self.out_pages:
            node[frame == NO_FRAME] = NO_NODE
        return node

    def _node_of(self, frame: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint8]:
        return np.asarray(np.searchsorted(self.arrays.base, frame, side="right") - 1, np.uint8)

    def pfn_of_pages(self) -> npt.NDArray[np.int64]:
        """Return the page frame number of every workload page, int64 (workload_pages,), -1 for one that is out."""
        frame = self.frame_of[: self.workload_pages]
        pfn = self.pfn_of(frame)
        return np.where(frame == NO_FRAME, -1, pfn) if self.out_pages else pfn

    def pfn_of(self, frames: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
        """Return the page frame numbers of frames, int64 of the same shape: frames are numbered without holes."""
        order = np.argsort(self.space.base)
        base = self.space.base[order]
        k = np.searchsorted(base, frames, side="right") - 1
        return np.asarray(frames - base[k] + self.space.first[order][k], np.int64)

    def owners(self) -> npt.NDArray[np.uint32]:
        """Return logical page + 1 by page frame from the machine's start to its end, 0 where there is none."""
        space, rec = self.space, self.arrays.rec
        out = np.zeros(int(space.last[-1] - space.first[0]), np.uint32)
        for first, last, base in zip(space.first - space.first[0], space.last - space.first[0], space.base, strict=True):
            out[first:last] = rec[base : base + last - first] & LOW32
        return out

    def spanned_bytes(self, i: int) -> int:
        """Return what node index i spans, from its first address to its last one with the holes between, in bytes."""
        start, end = self.machine.nodes[i].extent
        return end - start

    def owner_crc32(self) -> int:
        """Return the CRC-32 of `owners` as little-endian bytes: a checksum of the whole placement."""
        return zlib.crc32(self.owners().astype("<u4").tobytes())

    def recount(self) -> dict[str, Any]:
        """Recompute every counter by a full scan, without changing anything.

        Returns
        -------
        dict
            ``lru_512``, ``free_512`` (uint16), ``lru_256k``, ``free_256k`` (int64), and per node ``lru``, ``free``.
        """
        return consistency.recount(self.arrays)

    def state(self) -> dict[str, Any]:
        """Return all arrays by name, the frames that are offline by node, and what per-CPU lists hold (see `Stored.state`)."""
        arrays = {name: np.asarray(array) for name, array in zip(self.arrays.layout, self.arrays, strict=True)}
        arrays["log"] = arrays["log"][: int(self.arrays.clock[LOG_LENGTH])]
        return {**arrays, "offline": self.offline, "page_lists": self.page_lists and self.page_lists.state()}

    def restore(self, state: dict[str, Any], first: npt.NDArray[np.int64]) -> None:
        """Take up what `state` returned for the same machine and workload.

        Parameters
        ----------
        state : dict
            What `state` returned.
        first : ndarray of int64, shape (n_classes + 1,)
            Rules of each access class (`Access.first`).

        Raises
        ------
        KeyError, TypeError, ValueError
            If something is missing, or kernels could not follow it (see `consistency.check`).
        """
        m = self.arrays
        shapes = {name: array.shape for name, array in zip(m.layout, m, strict=True)}
        shapes["log"] = (min(state["log"].size, m.log.size),)
        given = type(m)(*(same_kind(state[n], f"memory.{n}", getattr(m, n).dtype, shape) for n, shape in shapes.items()))
        offline = [same_kind(a, "memory.offline", np.int64, (a.size,)) for a in state["offline"]]
        consistency.check(given, offline, m, self.offline, self.n_pages, first)
        for to, array in zip(m, given, strict=True):
            to[: array.shape[0]] = array
        self.offline = [a.copy() for a in offline]
        if self.page_lists:
            self.page_lists.restore(state["page_lists"])
