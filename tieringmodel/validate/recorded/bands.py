"""A recorded value beside what the model predicts: quantile bands, block bootstrap, the rule for "inside", CRPS."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ...errors import InputError

Floats = npt.NDArray[np.float64]
LOW, HIGH = 0.05, 0.95
WIDEST_IN_INTERVALS, WIDEST_IN_VALUES = 3.0, 0.15
"""A band says something only if it is at most this many bootstrap intervals, or this share of the value, wide."""
NO_SKILL = 1e-3
"""A CRPS smaller than this share of the recorded value is as good as none."""


@dataclass(frozen=True)
class Pair:
    """One measure of one run: recorded, and as the seeds of the model have it.

    Attributes
    ----------
    run, measure, unit : str
        What was measured where.
    recorded : float
        Measured in the recording.
    recorded_low, recorded_high : float
        95 % block-bootstrap interval of the recorded measure.
    low, high : float
        5 and 95 % quantile of the model's seeds; nan if fewer than half of them have the measure.
    crps : float
        Continuous ranked probability score of the seeds (Gneiting and Raftery 2007, eq. 21, without ensemble bias).
    crps_still, crps_nominal : float
        The same for "nothing moves", and for the model with nominal instead of recorded intervals; nan where either
        says nothing about the measure.
    resolution : float
        Smallest difference that the recorder can see.
    cause : str
        For a pair outside: the mechanism that an experiment names.
    own : float
        Share of the model's own runs that would be inside if they were the recording; nan where none was tried.
    """

    run: str
    measure: str
    unit: str
    recorded: float
    recorded_low: float
    recorded_high: float
    low: float
    high: float
    crps: float
    crps_still: float = math.nan
    crps_nominal: float = math.nan
    resolution: float = 0.0
    cause: str = ""
    own: float = math.nan

    @property
    def width(self) -> float:
        """Width of the model's band."""
        return self.high - self.low

    @property
    def widest(self) -> float:
        """The widest band that still counts."""
        return widest(self.recorded, self.recorded_low, self.recorded_high)

    @property
    def sharp(self) -> bool:
        """Whether the band is narrow enough to count."""
        return self.width <= self.widest

    @property
    def inside(self) -> bool:
        """Whether the recorded value lies in a band that counts, or so near that the recorder could not tell."""
        return holds(self.low, self.high, self.recorded, self.widest, self.resolution)


def widest(value: float, low: float, high: float) -> float:
    """Return the widest band that says something of a value with that bootstrap interval."""
    return max(WIDEST_IN_INTERVALS * (high - low), WIDEST_IN_VALUES * abs(value))


def holds(low: float, high: float, value: float, limit: float, resolution: float) -> bool:
    """Return whether a band no wider than a limit holds a value, or is so near that the recorder could not tell."""
    return high - low <= limit and low - resolution <= value <= high + resolution


def own_share(values: npt.ArrayLike, may_be_wide: npt.ArrayLike, resolution: float = 0.0) -> float:
    """Return the share of a model's seeds that would be inside the band of the others, by the rule for recordings.

    What a model without error can reach: a band that chance alone makes too wide counts for nobody.

    Parameters
    ----------
    values : array of float, shape (n,)
        One value per seed; nan where a seed does not have the measure.
    may_be_wide : array of float, shape (n,)
        The widest band that counts for each, nan for seeds that are not to be judged.
    resolution : float
        Smallest difference that the recorder can see.

    Returns
    -------
    float
        nan if no seed that is judged has the measure.

    Examples
    --------
    >>> own_share([1.0, 2.0, 3.0, 4.0, 9.0], [4.0, 4.0, 4.0, 4.0, 4.0])
    0.0
    >>> own_share([1.0, 1.0, 1.2, 1.1, 9.0], [9.0, 9.0, 9.0, 9.0, 9.0])
    0.8
    """
    given, limits = np.asarray(values, np.float64), np.asarray(may_be_wide, np.float64)
    found = []
    for k in np.flatnonzero(np.isfinite(given) & np.isfinite(limits)).tolist():
        found.append(holds(*band(np.delete(given, k)), given[k], limits[k], resolution))
    return float(np.mean(found)) if found else math.nan


def band(values: npt.ArrayLike) -> tuple[float, float]:
    """Return the 5 and 95 % quantile of an ensemble, each an actual member and never narrower than interpolation.

    Parameters
    ----------
    values : array of float, shape (n,)
        One value per seed; nan where a seed does not have the measure, inf for "never".

    Returns
    -------
    tuple of float
        Twice nan if fewer than half of the seeds have the measure.
    """
    given = np.asarray(values, np.float64)
    had = given[~np.isnan(given)]
    if not had.size or 2 * had.size < given.size:
        return math.nan, math.nan
    low, high = np.quantile(had, LOW, method="lower"), np.quantile(had, HIGH, method="higher")
    return float(low), float(high)


def crps(values: npt.ArrayLike, observed: float) -> float:
    """Return the continuous ranked probability score of an ensemble, in the unit of the measure.

    ``mean |x - y| - mean |x - x'| / 2`` over all pairs of different members, so that ensembles of unequal size compare
    (Ferro 2014). One member gives the absolute error.

    Parameters
    ----------
    values : array of float, shape (n,)
        Members; nan are left out.
    observed : float
        What was measured.

    Returns
    -------
    float
        nan without members.
    """
    x = np.asarray(values, np.float64)
    x = np.sort(x[~np.isnan(x)])
    if not x.size:
        return math.nan
    error = float(np.abs(x - observed).mean())
    if x.size == 1:
        return error
    # Sum of |x_i - x_j| over i < j from the order statistics.
    spread = float(((2 * np.arange(1, x.size + 1) - x.size - 1) * x).sum())
    return error - spread / (x.size * (x.size - 1))


def block_length(values: Floats) -> int:
    """Return the length of bootstrap blocks for a series.

    Andrews' (1991) rule for a first-order autoregression, at least the cube root of the length and at most a quarter of
    it.
    """
    n = values.size
    centred = values - values.mean() if n else values
    power = float(centred @ centred)
    rho = min(max(float(centred[1:] @ centred[:-1]) / power, 0.0), 0.97) if power > 0 else 0.0
    alpha = 4 * rho**2 / (1 - rho**2) ** 2
    longest = max(math.ceil(1.1447 * (alpha * n) ** (1 / 3)), math.ceil(n ** (1 / 3)))
    return int(max(1, min(n // 4, longest)))


def block_rows(n: int, length: int, resamples: int, seed: int = 0) -> npt.NDArray[np.int64]:
    """Return rows of circular block resamples (Politis and Romano 1992), int64 (resamples, n)."""
    if n < 1 or length < 1:
        raise InputError("n", f"{n} rows in blocks of {length} cannot be resampled", "give 1 or more of both")
    first = np.random.default_rng(seed).integers(n, size=(resamples, -(-n // length)))
    rows = (first[:, :, None] + np.arange(length)) % n
    return np.asarray(rows.reshape(resamples, -1)[:, :n], np.int64)


def bootstrap_interval(
    statistic: Callable[[npt.NDArray[np.int64]], float], n: int, length: int, resamples: int = 400, seed: int = 0
) -> tuple[float, float]:
    """Return the 95 % percentile interval of a statistic of a series under circular block resampling.

    Parameters
    ----------
    statistic : callable
        Takes row numbers, int64 (n,), returns the statistic of those rows; nan resamples are left out.
    n, length, resamples, seed : int
        Rows, block length, number of resamples, and their seed.

    Returns
    -------
    tuple of float
        Twice nan if no resample has the statistic.
    """
    values = np.array([statistic(rows) for rows in block_rows(n, length, resamples, seed)])
    values = values[np.isfinite(values)]
    if not values.size:
        return math.nan, math.nan
    low, high = np.quantile(values, (0.025, 0.975))
    return float(low), float(high)


def share_inside(pairs: Sequence[Pair]) -> float:
    """Return the share of pairs inside their bands; nan without pairs."""
    return sum(p.inside for p in pairs) / len(pairs) if pairs else math.nan


_OF_A_STRETCH = re.compile(r", \d+ s to .*")
"""What follows a measure's name where it is taken between two commits."""


def skill(pairs: Sequence[Pair], baseline: str) -> dict[str, float]:
    """Return the model's CRPS over a baseline's, of each measure, both summed over the runs and stretches between commits.

    Parameters
    ----------
    pairs : sequence of Pair
        From any number of runs.
    baseline : str
        ``"still"`` or ``"nominal"``.

    Returns
    -------
    dict of str to float
        By measure; below 1 the model is better. `NO_SKILL` of the recorded values is added to both, so that two
        forecasts that are next to perfect count as equal. Measures about which the baseline says nothing, and those
        recorded as 0 in all runs and forecast so by both, are left out.
    """
    sums: dict[str, list[float]] = {}
    for p in pairs:
        other = p.crps_still if baseline == "still" else p.crps_nominal
        if math.isfinite(other) and math.isfinite(p.crps):
            both = sums.setdefault(_OF_A_STRETCH.sub("", p.measure), [0.0, 0.0])
            for k, score in enumerate((p.crps, other)):
                both[k] += max(score, 0.0) + NO_SKILL * abs(p.recorded)
    return {name: a / b if b > 0 else math.inf for name, (a, b) in sums.items() if a > 0 or b > 0}
