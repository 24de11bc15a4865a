"""How much of this computer's memory a run needs, and a refusal that says what would fit."""

from __future__ import annotations

import os
import threading
from multiprocessing import parent_process
from pathlib import Path

from ..errors import InputError
from ..scenario import Machine
from ..units import KIB, MIB, format_bytes, parse_bytes

LIMIT = "TIERINGMODEL_MEMORY_LIMIT"
_CGROUPS = (
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
    ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"),
)
PER_FRAME = 8 + 2 / 8 + 2 * 2 / 512 + 1 / 4096
"""Bytes: the page's record, a bit each for free and for LRU, two counts per 512 frames, a flag per 4096."""
PER_FRAME_MIXED = 4
"""Bytes more, where folios are of several sizes: which one the frame belongs to."""
PER_FRAME_BUDDY = 5
"""Bytes more, with the ``"buddy"`` allocator: what precedes the frame in its list, and the order of its block."""
PER_PAGE_DEVICE = 1 + 3 * 8
"""Bytes of a page with a swap device: flags, when it was unmapped and written, its place in the swap cache."""
FIXED_BYTES = 64 * MIB
"""The interpreter with numpy and numba, scratch arrays, and the log of moves."""


def needed_bytes(
    frames: int,
    pages: int,
    frame_of: bool,
    seen: bool,
    copied: bool = False,
    out: bool = False,
    mixed: bool = False,
    buddy: bool = False,
    device: bool = False,
) -> int:
    """Return the most memory that a run has in use, while its pages are placed, in bytes.

    Parameters
    ----------
    frames : int
        Frames of the machine.
    pages : int
        Logical pages; while they are placed, each one's class takes 2 bytes.
    frame_of : bool
        Keep every page's frame (4 bytes a page).
    seen : bool
        Keep for every page when its accessed state was last cleared (2 bytes a page).
    copied : bool
        Keep a copy of it all for the next run of a sweep.
    out : bool
        Keep room for pages without a frame (8 bytes a page); a copy does without.
    mixed : bool
        Keep for every frame which folio it belongs to (4 bytes a frame).
    buddy : bool
        Keep lists of free frames (5 bytes a frame).
    device : bool
        Keep for every page what a swap device has of it (25 bytes a page).
    """
    arrays = round(frames * (PER_FRAME + PER_FRAME_MIXED * mixed + PER_FRAME_BUDDY * buddy))
    arrays += pages * (4 * frame_of + 2 * seen + PER_PAGE_DEVICE * device)
    return arrays * (1 + copied) + pages * (2 + 8 * out) + FIXED_BYTES


def available_bytes() -> int | None:
    """Return how much memory a run may take, in bytes; None where nothing tells.

    The environment variable `LIMIT` decides; else the least of the system's available memory and what the control group
    still leaves.

    Raises
    ------
    InputError
        If the variable is not a size.
    """
    if named := os.environ.get(LIMIT):
        return parse_bytes(named, LIMIT)
    found = []
    for line in _read("/proc/meminfo").splitlines():
        if line.startswith("MemAvailable:"):
            found.append(int(line.split()[1]) * KIB)
    for most, used in _CGROUPS:
        limit, current = _read(most).strip(), _read(used).strip()
        if limit.isdigit() and current.isdigit():
            found.append(max(int(limit) - int(current), 0))
    return min(found, default=None)


def _read(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:
        return ""


def _counts(machine: Machine, pages: int) -> tuple[int, int]:
    """Return how many frames there are, and how many pages with the nodes' own ones."""
    size = machine.folio_bytes
    return sum(n.sz_bytes for n in machine.nodes) // size, pages + sum(n.cache_bytes for n in machine.nodes) // size


def copy_fits(
    machine: Machine, pages: int, frame_of: bool, seen: bool, out: bool = False, mixed: bool = False, device: bool = False
) -> bool:
    """Whether a copy of the memory fits beside it, before either is allocated.

    Anywhere but in a program's first thread other runs may begin at the same time, one per processor: each gets its part.

    Parameters
    ----------
    machine, pages, frame_of, seen, out, mixed, device : Machine, int, bool, bool, bool, bool, bool
        As for `check_memory`.
    """
    alone = parent_process() is None and threading.current_thread() is threading.main_thread()
    available = available_bytes()
    more = {"out": out, "mixed": mixed, "buddy": bool(machine.handed_out), "device": device}
    needed = needed_bytes(*_counts(machine, pages), frame_of, seen, copied=True, **more)
    return available is None or needed <= available // (1 if alone else os.cpu_count() or 1)


def check_bytes(where: str, n_bytes: int, what: str, remedy: str) -> None:
    """Refuse what does not fit beside the interpreter, before anything is allocated.

    Parameters
    ----------
    where, what, remedy : str
        Of the `InputError`; `what` goes before how much there is.
    n_bytes : int
        All of its arrays together.

    Raises
    ------
    InputError
        If it does not fit.
    """
    needed, available = n_bytes + FIXED_BYTES, available_bytes()
    if available is not None and needed > available:
        text = f"{what} {format_bytes(needed)}, {format_bytes(available)} are free"
        raise InputError(where, text, f"{remedy}; {LIMIT} overrides what is free")


def check_memory(
    machine: Machine,
    pages: int,
    frame_of: bool,
    seen: bool,
    out: bool = False,
    mixed: bool = False,
    device: bool = False,
    beside: int = 0,
) -> None:
    """Refuse a run that does not fit, before anything is allocated.

    Parameters
    ----------
    machine : Machine
        Its nodes give the frames.
    pages, frame_of, seen, out, mixed, device : int, bool, bool, bool, bool, bool
        As for `needed_bytes`.
    beside : int
        What is kept beside the machine in the end, records above all, in bytes.

    Raises
    ------
    InputError
        With what it needs, what there is, and how many pages would fit.
    """
    size = machine.folio_bytes
    frames, pages = _counts(machine, pages)
    more = {"out": out, "mixed": mixed, "buddy": bool(machine.handed_out), "device": device}
    needed, available = needed_bytes(frames, pages, frame_of, seen, **more), available_bytes()
    if available is None or needed + beside <= available:
        return
    if needed <= available:
        text = f"the machine takes {format_bytes(needed)} and records of it {format_bytes(beside)}"
        remedy = f"keep fewer of them with every (--every), or run for a shorter time; {LIMIT} overrides what is free"
        raise InputError("duration", f"{text}, {format_bytes(available)} are free", remedy)
    share = max(available - FIXED_BYTES, 0) / (needed - FIXED_BYTES)
    remedy = f"simulate at most {int(frames * share):.1e} frames"
    if size < 2 * MIB:
        remedy += " or set machine.folio_bytes = '2 MiB' (--machine …,folio=2M)"
    text = f"has {frames} frames of {format_bytes(size)}: the run needs {format_bytes(needed)}"
    raise InputError("machine", f"{text}, {format_bytes(available)} are free", f"{remedy}; {LIMIT} overrides what is free")
