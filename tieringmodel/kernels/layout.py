"""The arrays that kernels work on, as bundles and record types.

Frames are numbered densely: node i owns frames ``base[i]`` … ``base[i] + frames - 1``, in order of address; holes in its
memory have none. Bases are multiples of 512, so that no word of a bitmap and no 2 MiB block belongs to two nodes.
``rec[frame]`` packs class << 32 | logical page + 1; its low 32 bits are 0 for a frame without a page, and then the high bits
link the free list (next frame + 1).
"""

from __future__ import annotations

from dataclasses import field
from typing import Annotated, Any, ClassVar

import numpy as np

from ._bundle import Bundle, Column, Number, bundle

LOW32 = np.uint64(0xFFFFFFFF)
SHIFT32 = np.uint64(32)
CLASS_MASK = np.uint64(0xFFFF)
ACTIVE_SHIFT = np.uint64(48)
SEEN_SHIFT = np.uint64(49)
SEEN_LOW = np.uint64(0x7FFF)

Flag = Annotated[Any, Number(np.bool_)]
U64 = Annotated[Any, Number(np.uint64)]
U8s = Annotated[Any, Column("u1")]
U16s = Annotated[Any, Column("u2")]
U32s = Annotated[Any, Column("u4")]
U64s = Annotated[Any, Column("u8")]
I64s = Annotated[Any, Column("i8")]
F64s = Annotated[Any, Column("f8")]
I64Table = Annotated[Any, Column("i8", 2)]
F64Table = Annotated[Any, Column("f8", 2)]


MOVED_WHOLE, SPLIT_FOLIOS = 0, 1
FOLIO_ORDER = np.uint32(0xFF)
FOLIO_SHIFT = np.uint32(8)
MAX_ORDER = 9
"""Binary logarithm of the frames of the largest folio among others: 2 MiB, one entry of the counts by 512 frames."""

NODE = np.dtype(
    [
        ("free", "i8"), ("total", "i8"), ("lru", "i8"), ("reserve", "i8"), ("hint", "i8"), ("head", "i8"), ("tail", "i8"),
        ("migrated_in", "i8"), ("migrated_out", "i8"), ("alloc_failed", "i8"), ("policy", "i8"), ("try_all", "i8"),
        ("key", "u8"), ("active", "i8"), ("anywhere", "i8"),
    ]
)  # fmt: skip
Nodes = Annotated[Any, Column(NODE)]
RULE = np.dtype(
    [
        ("kind", "i8"),
        ("start", "i8"),
        ("end", "i8"),
        ("threshold", "u8"),
        ("period", "i8"),
        ("phase", "i8"),
        ("stride", "i8"),
        ("lo", "i8"),
        ("salt", "u8"),
        ("width", "i8"),  # pages of the range
        ("sweep", "i8"),  # ticks within which they have their turns, 0: all at once
        ("pages", "i8"),  # pages of the range in a folio
        ("slot", "u8"),
        ("ended", "i8"),  # of its class: when all rules up to this one have ended
        ("begins", "i8"),  # when the first of those from this one on begins
    ]
)
Rules = Annotated[Any, Column(RULE)]


@bundle
class Regions(Bundle):
    """Structure of arrays, one entry per region; capacity may exceed the number in use."""

    start: U64s  # core address
    end: U64s
    nr: U32s  # nr_accesses
    last: U32s  # last_nr_accesses
    age: U32s
    sum_bp: U32s = field(default_factory=lambda: np.zeros(0, np.uint32))  # [0] unless the kernel's code is an older one:
    # what the stored moving sum is made of, see `regions.stored_bp`
    ptr: I64s = field(default_factory=lambda: np.zeros(1, np.int64))  # [targets + 1], where each target's regions begin


@bundle
class Scratch(Bundle):
    """Room for one pass over the regions; the first three columns are the sampled pages', the others the draws'."""

    place: I64s  # frame or (virtual) logical page, -1 = none
    record: U64s
    limit: U64s  # threshold of the page's rate
    shift: I64s  # from page number to place, for a region inside one range of its space
    first_draw: U64s  # number of the region's first draw within a tick
    special: I64s  # [regions + 1], count and list of the regions with two draws or several ranges


@bundle
class Memory(Bundle):
    """Frames, logical pages and counters (see the module's text)."""

    rec: U64s  # [frames]
    frame_of: U32s  # [pages], frame of a logical page; [0] where nobody asks for it while the run lasts
    seen: U16s  # [pages] or [0]: high half of 1 + tick at which the accessed state was last cleared; the low 15 bits
    # are bits 49 … 63 of the page's record
    free_bits: U64s  # [frames / 64]
    lru_bits: U64s  # [frames / 64]
    free_512: U16s  # [frames / 512]
    lru_512: U16s  # [frames / 512]
    lru_256k: I64s  # [frames / 2**18 + 1]
    free_256k: I64s
    base: I64s  # [nodes]
    frames: I64s  # [nodes]
    pfn: I64s  # [nodes], first page frame number; of a frame, where there are holes: `PhysicalMemory.pfn_of`
    node: Nodes  # [nodes]
    by_class: I64Table  # [nodes, classes], LRU pages of each access class
    log: U64s  # [capacity], moves since the log was last read: page | from << 32 | to << 48; empty = not kept
    clock: I64s  # [6]: now in ns, migration cost in ns per page, jiffy in ns, allocation counter, log length, moves
    dirty: U8s  # [frames / 2**PART_SHIFT, rounded up]: 1 where a frame's record, bits or counts were written
    dirty_pages: U8s  # [pages / 2**PART_SHIFT, rounded up]: 1 where `frame_of` or `seen` was written
    out: U64s  # [pages] or [0] where nothing reclaims: records of pages without a frame, those whose class anybody ever
    # touches from the front on, the others from the back; what lies between is left over
    marked: U64s  # [pages / 64, rounded up] or [0] where no action marks pages accessed: those that one marked once
    swap: I64s  # [6]: pages at the front of `out`, at its back, tick up to which touches of them were looked for, pages
    # at the front that wait for a free frame, pages reclaimed and faulted in since the start
    folio: ClassVar[Any] = None  # all folios are of one page: see `MixedMemory`
    mixed: ClassVar[Any] = None
    zone: ClassVar[Any] = None  # free frames are in no blocks of zones: see `BuddyMemory`
    device: ClassVar[Any] = None  # reclaim takes no time, and everything can be reclaimed: see `SwapMemory`
    about: ClassVar[Any] = None
    since: ClassVar[Any] = None
    written: ClassVar[Any] = None
    cached: ClassVar[Any] = None


@bundle
class Folios(Bundle):
    """What memory has beside its columns where folios are of several frames: aligned runs of 2**order, consecutive pages.

    The first frame's record keeps the folio's accessed state.
    """

    folio: U32s  # [frames]: order | class of who touches the folio << 8; 0 on frames of folios of one frame, and on free ones
    mixed: I64s  # [2]: folios of several frames that migrated whole since the start, and that were split to migrate


@bundle
class MixedMemory(Folios, Memory):
    """`Memory` with `Folios`.

    A class of its own, so that kernels are compiled for it apart: elsewhere ``memory.folio`` is None, and what asks for it is
    not compiled.
    """


@bundle
class BuddyMemory(Memory):
    """Memory whose free frames are in blocks of zones and on lists of CPUs: see `kernels.buddy`.

    A class of its own for the reason that `MixedMemory` is one. A free frame is in one block, on one CPU's list, or held by
    others. Its record leads to the one that follows in the list, a block's by the first of its frames.
    """

    back: U32s = field()
    # [frames]: the frame before in the list + 1, 0 = none
    order: U8s = field()
    # [frames]: order + 1 of the free block that begins there, 0 = none does
    zone: I64Table = field()  # type: ignore[misc]
    # [nodes * ZONES, 8]: first frame, end, frame of the aligned address at or below the first, batch, least and most length
    # of a CPU's list, whether the node has no CPU, order of the largest blocks
    blocks: I64Table = field()
    # [nodes * ZONES, ORDERS]: free blocks
    pcp: I64Table = field()
    # [nodes * ZONES * cpus, 5]: frames, length that is not exceeded, doublings of the next refill, frames freed lately,
    # seconds without a frame to or from the zone
    ends: I64Table = field()
    # [lists, 2]: first and last frame, -1 = none; see `kernels.buddy.list_of` and `held_by`
    crew: I64s = field()
    # [6]: the CPU that works now, when its second ends (ns), seconds that ended, frames that others take of each CPU in a
    # second, chance that another CPU works in the next one (bp), CPUs


@bundle
class MixedBuddyMemory(Folios, BuddyMemory):  # type: ignore[misc]
    """`BuddyMemory` with `Folios`: each takes a block of its order, and gives it back whole."""


@bundle
class Device(Bundle):
    """What memory has beside its columns where reclaimed pages go to a device, or some cannot be reclaimed: `kernels.swap`."""

    device: I64s  # [DEVICE_WORDS]: what the device is like, what it does, and what it has done
    about: U8s  # [pages]: `FILE`, `MLOCKED`, `UNMAPPED`, `SLOT`
    since: I64s  # [pages]: tick at which a page was unmapped last
    written: I64s  # [pages]: when the device has written, or had written, the page, ns
    cached: I64s  # [pages]: those that are unmapped and have a frame, in the order in which they were unmapped; gaps until
    # somebody looks


@bundle
class SwapMemory(Device, Memory):
    """`Memory` with a `Device`; classes of their own, one for each kind of memory, for the reason that `MixedMemory` is one."""


@bundle
class MixedSwapMemory(Device, MixedMemory):
    """`MixedMemory` with a `Device`."""


@bundle
class BuddySwapMemory(Device, BuddyMemory):  # type: ignore[misc]
    """`BuddyMemory` with a `Device`."""


@bundle
class MixedBuddySwapMemory(Device, MixedBuddyMemory):  # type: ignore[misc]
    """`MixedBuddyMemory` with a `Device`."""


CPU, SECOND_END, SECONDS, OTHERS, CPU_CHANGES_BP, CPUS = 0, 1, 2, 3, 4, 5
BEGIN, END, ORIGIN, BATCH, HIGH_MIN, HIGH_MAX, REMOTE, TOP_ORDER = 0, 1, 2, 3, 4, 5, 6, 7
COUNT, HIGH, ALLOC_FACTOR, FREE_COUNT, QUIET = 0, 1, 2, 3, 4
ZONES = 2
ORDERS = 11
LOWEST, FIFO, LIFO, RANDOM, BUDDY = 0, 1, 2, 3, 4
PART_SHIFT = 12
NOW, COST, JIFFY, DRAWS, LOG_LENGTH, MOVES = 0, 1, 2, 3, 4, 5
BOOT_JIFFIES = 1000
"""The machine's clock in jiffies when a run begins, so that 0 never is a time."""
AT_FRONT, AT_BACK, LOOKED, STALLED, RECLAIMED, FAULTED = 0, 1, 2, 3, 4, 5
NO_FRAME = 2**32 - 1
"""In `frame_of`: the page is out."""
TOUCHED = np.uint64(1 << 63)
"""In a record of `out`: the page was touched and waits for a free frame."""


@bundle
class Space(Bundle):
    """Where a core address leads: ranges of pages to frames (paddr) or to logical pages (vaddr)."""

    first: I64s  # [ranges], first page number of the range
    last: I64s  # [ranges], one past its last page number
    base: I64s  # [ranges], frame or logical page of the first page
    deal: I64s  # [ranges], what a page number plus this is dealt to weighted destinations by: its offset in folios; virtual
    ptr: I64s  # [targets + 1], where the ranges of each target's process begin; physical: [0, ranges] for all of them
    virtual: Flag  # base is a logical page
    heads: Flag  # a folio is seen at its first 4 KiB only
    unit: U64  # bytes per core address unit
    shift: U64  # binary logarithm of the bytes of a page (of a folio, where memory consists of larger ones)
    node: I64s = field(default_factory=lambda: np.zeros(0, np.int64))  # [ranges], index of the node whose frames these are;
    # virtual: [0]


@bundle
class Access(Bundle):
    """Who touches what: rules by page class, with a one-load shortcut while every class has at most one plain rate."""

    first: I64s  # [classes + 1], rules of a class
    rule: Rules
    threshold: U64s  # [classes], rate threshold of the class in the current phase (valid if plain)
    plain: Flag
    key: U64  # the run's access key
    anon: U8s  # [classes], 1 for anonymous memory
    memcg: I64s  # [classes], memory cgroup id, 0 = none


RATE, PERIOD, HASH = 0, 1, 2


@bundle
class Draws(Bundle):
    """A stream of 32-bit random draws that kernels advance in place."""

    state: U64s  # [8]: kind, number of draws taken, counter key, the four registers of the kernel's generator, and whether
    # it takes one draw for any span
    buffer: U32s  # recorded draws, one unused entry for the other kinds


SCHEME = np.dtype(
    [(name, "u8") for name in (
        "due", "active", "min_sz", "max_sz", "min_nr", "max_nr", "min_age", "max_age",
        "quota_set", "esz", "charged_sz", "total_charged_ns", "charge_target", "charge_addr", "min_score",
        "weight_nr", "weight_age", "score", "fail_num", "fail_denom", "max_nr_snapshots",
        "nr_tried", "sz_tried", "nr_applied", "sz_applied", "sz_ops_filter_passed", "qt_exceeds", "nr_snapshots",
        "last_applied", "keep_age", "core_first", "core_last", "core_reject", "ops_first", "ops_last", "ops_reject",
        "dest_first", "dest_last", "whole_steps", "va_steps", "meets_again", "heads_only", "next_apply", "apply_us", "adjusted",
        "next_reset", "marks", "high", "mid", "low", "look_us", "walks",
    )] + [("action", "i8"), ("target", "i8")]
)  # fmt: skip
"""``whole_steps``: the walk over folios goes on a folio's size behind where it is, rather than at the folio's end;
``va_steps``: so does that over virtual addresses.
``meets_again``: an operation handles a folio as often as it meets it, rather than to pass over the last one of a pass.
``heads_only``: a folio is met at its first 4 KiB only. ``next_apply``: the sample at which the scheme is due, every
``apply_us`` or (0) aggregation. ``adjusted``: whether there is a quota to adjust; ``next_reset``: the jiffy from which on that
starts a new window, 0 before the first. ``marks``: `NO_MARKS`, `MARKS` or `SWITCHED_OFF`; ``high``, ``mid``, ``low`` and
``look_us`` are the watermarks and how long one that is inactive waits for the next look. ``walks``: whether its pass looks at
pages."""
NO_MARKS, MARKS, SWITCHED_OFF = 0, 1, 2
FUNNEL = np.dtype([(name, "u8") for name in (
    "nr_due", "nr_inactive", "nr_restarted", "sz_matched", "sz_but_size", "sz_but_rate", "sz_but_age", "top_rate",
    "top_age", "sz_dropped", "sz_resident", "sz_there", "sz_young", "sz_first_look", "sz_no_frame", "sz_early_exit",
)])  # fmt: skip
"""What becomes of regions and pages on their way to a scheme's action: counters that nothing in a run depends on.

Application passes: ``nr_due`` with the scheme due and active, ``nr_inactive`` due and inactive; ``nr_restarted``: times that
its apply clock began anew before it had ended. Core addresses, over all passes: ``sz_matched`` the access pattern, whether or
not the quota let them be tried; ``sz_but_size``, ``sz_but_rate``, ``sz_but_age``: kept from it by that bound alone;
``sz_dropped`` by core filters; ``sz_early_exit`` passed over by an early exit. ``top_rate``, ``top_age``: the highest moving
sum seen, and the highest age where the rate was right. Bytes of pages that the action looked at: ``sz_resident`` all,
``sz_there`` on the target already, ``sz_young`` rejected because they were young, and made old, ``sz_first_look`` those of
them that nobody had looked at before; ``sz_no_frame`` left where they were because the target had no free frame.
"""
NO_SCORE, HOT, COLD, TOP = 0, 1, 2, 3
STAT, MIGRATE, LRU_PRIO, LRU_DEPRIO, PAGEOUT, EXTERNAL, UNSUPPORTED, MADVISE, MARK_ACCESSED = 0, 1, 2, 3, 4, 5, 6, 7, 8

FILTER = np.dtype([("type", "i8"), ("matching", "u8"), ("allow", "u8"), ("start", "u8"), ("end", "u8"), ("index", "i8")])
ADDR, TARGET, ANON, IS_ACTIVE, MEMCG, YOUNG, HUGEPAGE_SIZE, UNMAPPED = 0, 1, 2, 3, 4, 5, 6, 7

AT, SIZE, ACCESSED = 0, 1, 2
"""In a glance (i64[3]), what a kernel that repeats its last answer remembers: byte address, bytes of the folio, accessed."""

DEST = np.dtype([("node", "i8"), ("weight", "u8")])
"""A weighted destination: its node's index, -1 where the machine has no such node."""

WINDOW = np.dtype(
    [
        ("left_bp", "u8"),
        ("samples", "u8"),
        ("aggr_us", "u8"),
        ("min_sz", "u8"),
        ("tick", "i8"),
        ("gone", "u8"),
    ]
)
"""``samples``: of an aggregation, the length of a stored moving sum, too; ``gone``: samples since such sums were set last."""

CURSOR = np.dtype(
    [
        ("phase", "i8"), ("target", "i8"), ("next", "i8"), ("n_out", "i8"), ("first_out", "i8"), ("depth", "i8"),
        ("scheme", "i8"), ("n_events", "i8"), ("core_allowed", "i8"), ("start", "u8"), ("end", "u8"), ("nr", "u4"),
        ("last", "u4"), ("age", "u4"), ("sum_bp", "u4"), ("early_exit", "u4"), ("mvsum", "u8"), ("score", "u8"),
        ("applied", "u8"), ("passed", "u8"), ("elapsed", "u8"), ("handed", "u8"),
    ]
)  # fmt: skip
"""``handed``: bytes before a core filter cut the region; kept where older kernels ask for it."""
EVENT = np.dtype(
    [
        ("scheme", "i8"),
        ("target", "i8"),
        ("start", "u8"),
        ("end", "u8"),
        ("mvsum", "u4"),
        ("age", "u4"),
        ("score", "u8"),
        ("sz_applied", "u8"),
        ("sz_filter_passed", "u8"),
        ("early_exit", "u4"),
    ]
)


QUOTA = np.dtype(
    [("esz_bp", "u8")]
    + [(name, "i8") for name in ("score", "resets", "rmap_walks", "held_windows", "full_windows", "quota_bound")]
    + [(name, "u8") for name in (
        "charged_from", "total_charged_sz", "sz_bytes", "ms", "tuner", "reset_jiffies", "boot_jiffies", "given", "stops",
        "capped", "floored", "by_python",
    )]
    + [("goal_first", "i8"), ("goal_last", "i8")]
)  # fmt: skip
"""What ``struct damos_quota`` remembers beside the fields of SCHEME, and its parameters.

``esz_bp``: the tuner's state, 1/10000 byte. ``charged_from``: start of the charge window in jiffies, 0 = none was ever
started; ``total_charged_sz``: bytes charged in finished windows. ``held_windows``, ``full_windows``: finished windows whose
effective quota held a region, and those of them that ended full. ``quota_bound``: which of `window.LIMITS` bounds the effective
quota. ``rmap_walks``: pages looked up through rmap, for a frame's page has a place in a mapping only that way.
``reset_jiffies``: length of a window, 2**64 - 1 = infinite; ``boot_jiffies``: where a window without a start begins. ``given``:
any limit is set; ``stops``: an effective quota of 0 stops the scheme; ``capped``, ``floored``: by the monitored bytes, at a
minimal region; ``by_python``: a goal is measured there. Goals: ``goal_first`` … ``goal_last`` - 1.
"""
GOAL = np.dtype(
    [(name, "u8") for name in ("goal_current", "goal_target", "target", "start", "last_total")]
    + [
        (name, "i8")
        for name in ("metric", "node", "clamp", "complement", "has_total", "course_first", "course_last", "members")
    ]
)
"""A quota goal: value and target as last handed to the score; the metric (`kernels.goals`), its node's index, -1 = none;
``target`` as configured. What users feed in is ``start``, later ``course[course_first … course_last]``; ``last_total``: what a
growing total was at the last evaluation. ``members``: where the classes of its memory cgroup begin in `Control.member`."""


@bundle
class Control(Bundle):
    """What a context's controller works on beside regions and memory."""

    scheme: Annotated[Any, Column(SCHEME)]  # [schemes]
    filter: Annotated[Any, Column(FILTER)]  # [filters], at least one
    dest: Annotated[Any, Column(DEST)]  # [destinations of all schemes]
    window: Annotated[Any, Column(WINDOW)]  # [1]
    cursor: Annotated[Any, Column(CURSOR)]  # [1]
    event: Annotated[Any, Column(EVENT)]  # [capacity], regions handed to actions since they were last taken
    histogram: U64s  # [100], bytes by score
    funnel: Annotated[Any, Column(FUNNEL)]  # [schemes]
    rejected: U64s  # [filters], bytes that the filter rejected; what no filter lets pass is the last one's of its layer
    quota: Annotated[Any, Column(QUOTA)]  # [schemes]
    goal: Annotated[Any, Column(GOAL)]  # [goals of all schemes], at least one
    course: U64s  # [2 · entries], time and value of what users feed into goals
    member: U8s  # [cgroups · classes], 1 for the page classes of each memory cgroup that a goal names


TURN = np.dtype([(name, "i8") for name in (
    "passed", "tick", "next_aggregation", "next_ops_update", "next_tune", "aggr_samples", "sample_us", "aggr_us",
    "update_us", "min_nr_regions", "max_nr_regions", "tune_aggrs", "aggregations", "sums_from", "stage", "at", "scheme",
    "aggregation", "due", "latched", "update", "is_latched", "cuts", "any_tick", "splits_some", "fix_sums", "refits",
    "watched", "external", "wants", "every", "pending", "lists", "last_ns", "start_ns", "tick_ns", "need", "in_body",
    "jiffies0", "by_ticks", "then", "access_bp", "min_sample_us", "max_sample_us", "hz", "whole_from_us", "draws", "index",
    "sleeps", "check_ns", "walk_ns", "walked",
)] + [("sz_limit", "u8"), ("min_sz", "u8"), ("limit", "u8")])  # fmt: skip
"""What a kdamond remembers of its loop: see `turn`.

Samples since the start: ``passed``, ``next_aggregation``, ``next_ops_update``, ``next_tune``, ``sums_from``. ``at``: where the
loop body goes on, with scheme number ``scheme``; ``aggregation``, ``due``: what this body has to do; ``latched``, ``update``:
the two times as they were when the body began, or (``is_latched``) when the kdamond fell asleep. Rules of the kernel: ``cuts``,
``any_tick``, ``splits_some``, ``fix_sums``. What Python wants to see to: ``refits``, ``external``, ``wants``, ``every``,
``pending``, ``lists``. ``jiffies0``: the clock in jiffies when the run begins; ``by_ticks``: what users feed in comes by the
number of the tick; ``hz``, ``whole_from_us``: sleeps from so long on last whole jiffies; ``draws``: numbers drawn for one
check; ``index``: the context's number; ``then``: what follows when a quota's goals are measured; ``sleeps``: whether
watermarks can send it to sleep. What its work takes on a machine where that counts: ``check_ns`` for a region in a sample,
``walk_ns`` for a page that a pass walks; ``walked``: bytes so far. ``sz_limit``: up to which size regions merge, ``limit``: the
same within an application pass.
"""


@bundle
class Loop(Bundle):
    """What a kdamond's loop works on beside its controller: see `turn`."""

    turn: Annotated[Any, Column(TURN)]  # [1]
    side: I64s  # [1], which of the two region arrays is in use
    split: I64s  # [2], the split code's static variables: last_nr_regions, rotation
    cuts: U64s  # [3], room for the cuts of one region
    sampled: I64s  # [aggregations] or [0]: when the last sample of each recorded one was, ns; passes take the rest
    ends: I64s  # [aggregations + 1], where a recording says when they ended, ns, 0 first; [0] where intervals are nominal
