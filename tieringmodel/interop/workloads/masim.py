"""Configurations of masim, the memory access simulator used to test DAMON, as workloads.

The format is that of https://github.com/sjp38/masim: paragraphs separated by empty lines, ``#`` lines are comments. The
first paragraph lists regions (``name, size_bytes[, initial_data_file]``), each further one is a phase: its name, its length
in milliseconds, and access patterns (``region, randomness, stride_bytes, probability[, ro|wo|rw]``).
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple

from ...checks import file_name
from ...errors import InputError
from ...fields import suggest
from ...scenario import Group, Vma, Workload
from ...units import LONG_MAX, MAX_PAGES, PAGE_SZ
from ...workload import arguments as check
from ...workload.sweep import sweep_groups
from ..recording.tables import read_text

MODES = ("ro", "wo", "rw")
_ADDRESS = 1 << 40


class MasimRegion(NamedTuple):
    """A region; what it is filled with at the start does not matter to the model."""

    name: str
    sz_bytes: int
    data_file: str = "none"


class MasimPattern(NamedTuple):
    """Accesses to a region; `mode` is kept, the model does not tell reads from writes."""

    region: str
    random: bool
    stride_bytes: int
    probability: int
    mode: str = "wo"


class MasimPhase(NamedTuple):
    """What is accessed for how long."""

    name: str
    length_ms: int
    patterns: tuple[MasimPattern, ...]


class MasimConfig(NamedTuple):
    """Regions, and phases in order."""

    regions: tuple[MasimRegion, ...]
    phases: tuple[MasimPhase, ...]

    def to_text(self) -> str:
        """Return the configuration in masim's format; `parse_masim` reads it back to an equal one."""
        lines = [f"{r.name}, {r.sz_bytes}, {r.data_file}" for r in self.regions]
        for phase in self.phases:
            lines += ["", phase.name, str(phase.length_ms)]
            lines += [f"{p.region}, {p.random:d}, {p.stride_bytes}, {p.probability}, {p.mode}" for p in phase.patterns]
        return "\n".join(lines) + "\n"


def parse_masim(text: str, where: str = "masim text") -> MasimConfig:
    """Return the regions and phases that the text of a masim configuration describes.

    Parameters
    ----------
    text : str
        The configuration.
    where : str
        Name of the file, for errors.

    Returns
    -------
    MasimConfig

    Raises
    ------
    InputError
        Naming file and line of what cannot be read.
    """
    paragraphs = list(_paragraphs(text))
    if not paragraphs:
        raise InputError(f"{where}:1", "the configuration is empty", "its first paragraph lists regions")
    regions: dict[str, MasimRegion] = {}
    for line, content in paragraphs[0]:
        region = _region(content, f"{where}:{line}")
        if region.name in regions:
            raise InputError(f"{where}:{line}", f"region {region.name!r} is listed twice", "name regions differently")
        regions[region.name] = region
    if len(paragraphs) == 1:
        raise InputError(f"{where}:{paragraphs[0][-1][0]}", "no phase follows the regions", "add a paragraph per phase")
    return MasimConfig(tuple(regions.values()), tuple(_phase(p, regions, where) for p in paragraphs[1:]))


def _paragraphs(text: str) -> Iterator[list[tuple[int, str]]]:
    """Yield the paragraphs as lists of (line number, text), comments left out."""
    paragraph: list[tuple[int, str]] = []
    for number, raw in enumerate(text.split("\n"), 1):
        line = raw.strip()
        if line.startswith("#"):
            continue
        if line:
            paragraph.append((number, line))
        elif paragraph:
            yield paragraph
            paragraph = []
    if paragraph:
        yield paragraph


def _integer(text: str, what: str, where: str, low: int, high: int = LONG_MAX) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 20 and low <= int(text) <= high):
        raise InputError(where, f"{what} is {text[:40]!r}", f"write a whole number from {low} on")
    return int(text)


def _fields(line: str, counts: tuple[int, int], form: str, where: str) -> list[str]:
    fields = [f.strip() for f in line.split(",")]
    if len(fields) not in counts:
        raise InputError(where, f"{line!r} has {len(fields)} fields", f"write {form}")
    return fields


def _region(line: str, where: str) -> MasimRegion:
    fields = _fields(line, (2, 3), "name, size in bytes[, initial data file or none]", where)
    if not fields[0]:
        raise InputError(where, "the region has no name", "write name, size in bytes")
    return MasimRegion(fields[0], _integer(fields[1], "the region's size", where, 1, 2**44), *fields[2:])


def _phase(lines: list[tuple[int, str]], regions: dict[str, MasimRegion], where: str) -> MasimPhase:
    if len(lines) < 3:
        text = f"the phase has {len(lines)} of at least 3 lines"
        raise InputError(f"{where}:{lines[-1][0]}", text, "write its name, its milliseconds and its access patterns")
    length = _integer(lines[1][1], "the phase's length in ms", f"{where}:{lines[1][0]}", 1, 10**12)
    patterns = tuple(_pattern(content, regions, f"{where}:{line}") for line, content in lines[2:])
    if not any(p.probability for p in patterns):
        raise InputError(f"{where}:{lines[0][0]}", "all probabilities of the phase are 0", "let one be positive")
    return MasimPhase(lines[0][1], length, patterns)


def _pattern(line: str, regions: dict[str, MasimRegion], where: str) -> MasimPattern:
    form = "region, randomness, stride in bytes, probability[, ro|wo|rw]"
    name, random, stride, probability, *mode = _fields(line, (4, 5), form, where)
    if name not in regions:
        raise InputError(where, f"region {name!r} is unknown", suggest(name, regions))
    if random not in ("0", "1"):
        raise InputError(where, f"randomness is {random!r}", "write 0 (sequential) or 1 (random)")
    if mode and mode[0] not in MODES:
        raise InputError(where, f"the mode is {mode[0]!r}", suggest(mode[0], MODES))
    step = _integer(stride, "the stride", where, 0 if random == "1" else 1)
    return MasimPattern(name, random == "1", step, _integer(probability, "the probability", where, 0, 2**31), *mode)


def read_masim(
    source: str | Path | MasimConfig,
    *,
    accesses_per_s: float = 1e8,
    tick_us: int | str | None = None,
    repeat: int = 1,
    max_groups: int = 256,
) -> Workload:
    r"""Return the workload that a masim configuration describes.

    masim runs as fast as it can, so the rate is the machine's: `accesses_per_s` are spread over a phase's patterns by
    their probabilities. Regions follow each other, each on whole pages and in a mapping of its own.

    A random pattern touches each page of its region at the same rate. A sequential one sweeps over its region from its
    start in each phase (`tieringmodel.workload.sweep.sweep_groups`); a stride of whole pages touches every stride-th page,
    and as many accesses as fall on one page in passing count as one touch. A stride above a page that is not a multiple of it
    is taken for a random pattern with as many accesses. Modes and initial data have no effect.

    Parameters
    ----------
    source : str, Path or MasimConfig
        A file, a configuration's text (with line ends in it), or what `parse_masim` returned.
    accesses_per_s : float
        Accesses of the program per second, by default one in 10 ns; a plain assumption about one thread.
    tick_us : int or str, optional
        Length of a workload tick, by default at most 5 ms; phases begin on the nearest one.
    repeat : int
        How often the phases are gone through; after that nothing is touched, for the program has ended.
    max_groups : int
        Most blocks of a sweep.

    Returns
    -------
    Workload
        Groups are named after their regions.

    Raises
    ------
    InputError
        Naming file and line of what cannot be read, or the argument that is out of range.

    Examples
    --------
    >>> import tieringmodel as tm
    >>> config = "a, 8192\nb, 8192\n\nonly a\n1000\na, 1, 4096, 1\n"
    >>> workload = tm.read_masim(config, accesses_per_s=1000)
    >>> [(group.lo, group.hi, group.rate_hz) for group in workload.groups]
    [(0, 2, 500.0)]
    """
    total = check.positive("accesses_per_s", accesses_per_s)
    tick = check.tick("tick_us", tick_us)
    repeat = check.whole("repeat", repeat, 1, check.MAX_GROUPS)
    most = check.whole("max_groups", max_groups, 1, check.MAX_GROUPS)
    where = "masim text"
    if isinstance(source, MasimConfig):
        config = source
    elif isinstance(source, str) and "\n" in source:
        config = parse_masim(source)
    else:
        path = file_name("source", source)
        where = str(path)
        config = parse_masim(read_text(path), where)
    sizes = [-(-r.sz_bytes // PAGE_SZ) for r in config.regions]
    lows = dict(zip((r.name for r in config.regions), accumulate(sizes, initial=0), strict=False))
    n_pages = check.whole(where, sum(sizes), 1, MAX_PAGES)
    groups: list[Group] = []
    now_us = 0
    for phase in config.phases * repeat:
        start, now_us = round(now_us / tick), now_us + phase.length_ms * 1000
        end = round(now_us / tick)
        if start == end:
            text = f"phase {phase.name!r} of {phase.length_ms} ms is shorter than half a tick of {tick} us"
            raise InputError(where, text, "use a shorter tick_us")
        groups += _groups(phase, config.regions, lows, total, (start, end), tick, most)
        check.few_enough(where, len(groups), "use a smaller max_groups, or fewer repeats")
    vmas = (
        Vma(lows[r.name], lows[r.name] + n, _ADDRESS + lows[r.name] * PAGE_SZ)
        for r, n in zip(config.regions, sizes, strict=True)
    )
    return Workload(n_pages, tuple(groups), vmas=tuple(vmas), tick_us=tick, tick_chosen=tick_us is not None)


def _groups(
    phase: MasimPhase,
    regions: tuple[MasimRegion, ...],
    lows: dict[str, int],
    total: float,
    ticks: tuple[int, int],
    tick_us: int,
    most: int,
) -> Iterator[Group]:
    start, end = ticks
    sizes = {r.name: r.sz_bytes for r in regions}
    weights = sum(p.probability for p in phase.patterns)
    for p in phase.patterns:
        if not p.probability:
            continue
        accesses_hz = total * p.probability / weights
        lo, size = lows[p.region], sizes[p.region]
        n = -(-size // PAGE_SZ)
        stride = 1 if p.stride_bytes <= PAGE_SZ else n if p.stride_bytes >= size else p.stride_bytes / PAGE_SZ
        if p.random or stride != int(stride):
            yield Group(lo, lo + n, rate_hz=accesses_hz / n, start_tick=start, end_tick=end, name=p.region)
        else:
            passes_hz = accesses_hz / -(-size // p.stride_bytes)
            yield from sweep_groups(
                lo,
                lo + n,
                passes_hz,
                tick_us,
                stride=int(stride),
                start_tick=start,
                end_tick=end,
                name=p.region,
                max_groups=most,
            )


def stairs(nr_regions: int = 10, sz_bytes: int = 10_000_000, *, start_ms: int = 10_000, step_ms: int = 5_000) -> MasimConfig:
    """Return regions that are first swept all together, then one after the other.

    Parameters
    ----------
    nr_regions, sz_bytes : int
        Number of regions and size of each.
    start_ms, step_ms : int
        Length of the common phase and of each region's own.

    Returns
    -------
    MasimConfig
    """
    return _in_turn([f"s{k}" for k in range(_count(nr_regions))], sz_bytes, start_ms, step_ms, nr_regions)


def zigzag(rounds: int = 6, sz_bytes: int = 100_000_000, *, start_ms: int = 10_000, step_ms: int = 5_000) -> MasimConfig:
    """Return two regions that are first swept together, then in turn.

    Parameters
    ----------
    rounds, sz_bytes : int
        Turns of each region, and size of each.
    start_ms, step_ms : int
        Length of the common phase and of each turn.

    Returns
    -------
    MasimConfig
    """
    return _in_turn(["a", "b"], sz_bytes, start_ms, step_ms, 2 * check.whole("rounds", rounds, 1, 10_000))


def _count(nr_regions: int) -> int:
    return check.whole("nr_regions", nr_regions, 1, 10_000)


def _in_turn(names: list[str], sz_bytes: int, start_ms: int, step_ms: int, turns: int) -> MasimConfig:
    size = check.whole("sz_bytes", sz_bytes, 1, 2**44)
    start, length = check.whole("start_ms", start_ms, 1, 10**9), check.whole("step_ms", step_ms, 1, 10**9)
    sweep = {name: MasimPattern(name, False, PAGE_SZ, 1) for name in names}
    phases = [MasimPhase("all", start, tuple(sweep.values()))]
    for k in range(turns):
        name = names[k % len(names)]
        phases.append(MasimPhase(f"turn {k} {name}", length, (sweep[name],)))
    return MasimConfig(tuple(MasimRegion(name, size) for name in names), tuple(phases))


def tiering_test(memsize_bytes: int, nr_regions: int, nr_phases: int, phase_ms: int, *, seed: int = 0) -> MasimConfig:
    """Return regions of equal size whose hotness is dealt anew in every phase.

    In each phase a random permutation of the weights 0 … n - 1 says how often each region is touched, at random.

    Parameters
    ----------
    memsize_bytes : int
        Size of all regions together; a rest that does not divide is left out.
    nr_regions, nr_phases : int
        Number of regions (at least 2) and of phases.
    phase_ms : int
        Length of each phase.
    seed : int
        Of the permutations.

    Returns
    -------
    MasimConfig
    """
    n = check.whole("nr_regions", nr_regions, 2, 10_000)
    total = check.whole("memsize_bytes", memsize_bytes, n, 2**44)
    length = check.whole("phase_ms", phase_ms, 1, 10**9)
    seed = check.whole("seed", seed, 0, LONG_MAX)
    phases = []
    for k in range(check.whole("nr_phases", nr_phases, 1, 10_000)):
        weights = check.permutation(n, seed * 10_000 + k).tolist()
        patterns = (MasimPattern(f"r{i}", True, PAGE_SZ, w) for i, w in enumerate(weights))
        phases.append(MasimPhase(f"p{k}", length, tuple(patterns)))
    return MasimConfig(tuple(MasimRegion(f"r{i}", total // n) for i in range(n)), tuple(phases))
