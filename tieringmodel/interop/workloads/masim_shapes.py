"""Shapes of masim configurations in common use, at any size: stairs, zigzag, and the test of tiering."""

from __future__ import annotations

from ...workload import arguments as check
from .masim import MasimConfig, MasimPattern, MasimPhase, MasimRegion


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
    sweep = {name: MasimPattern(name, False, 4096, 1) for name in names}
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
    seed = check.whole("seed", seed, 0, 2**63 - 1)
    phases = []
    for k in range(check.whole("nr_phases", nr_phases, 1, 10_000)):
        weights = check.permutation(n, seed * 10_000 + k).tolist()
        patterns = (MasimPattern(f"r{i}", True, 4096, w) for i, w in enumerate(weights))
        phases.append(MasimPhase(f"p{k}", length, tuple(patterns)))
    return MasimConfig(tuple(MasimRegion(f"r{i}", total // n) for i in range(n)), tuple(phases))
