"""What `statistics` takes of scipy.stats and scipy.signal, in numpy: loading these two takes longer than most runs.

Bit for bit as scipy 1.17 computes it; tests hold each function to scipy's own.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


def bootstrap_mean_interval(
    values: Floats, rng: np.random.Generator, *, confidence: float, n_resamples: int, batch: int, corrected: bool
) -> tuple[float, float]:
    """Return a bootstrap confidence interval of the mean, as ``scipy.stats.bootstrap``; nan where it cannot be corrected.

    Parameters
    ----------
    values : float array, shape (n,)
        Not all equal.
    rng : numpy.random.Generator
        Draws the samples.
    confidence : float
        Coverage, in (0, 1).
    n_resamples, batch : int
        How many samples, and how many of them at a time.
    corrected : bool
        Bias-corrected and accelerated (BCa; Efron and Tibshirani, An Introduction to the Bootstrap, 1993), else percentiles.
    """
    n, means = values.size, []
    for k in range(0, n_resamples, batch):
        means.append(values[rng.integers(0, n, (min(batch, n_resamples - k), n))].mean(axis=-1))
    drawn = np.concatenate(means)
    alpha = (1 - confidence) / 2
    ends = _corrected(values, drawn, alpha, batch) if corrected else (alpha, 1 - alpha)
    if not np.isfinite(ends).all():
        return np.nan, np.nan
    drawn.sort()
    at = np.array(ends) * float(drawn.size) + (1 - np.array(ends))
    above, part = at // 1, at % 1
    below, above = (np.clip(one, 0, drawn.size - 1).astype(np.int64) for one in (above - 1, above))
    low, high = (1 - part) * drawn[below] + part * drawn[above]
    return float(low), float(high)


def _corrected(values: Floats, drawn: Floats, alpha: float, batch: int) -> tuple[float, float]:
    """Return which shares of the drawn means are the ends of a BCa interval."""
    from scipy.special import ndtr, ndtri

    n, mean = values.size, values.mean()
    bias = ndtri((np.count_nonzero(drawn < mean) + np.count_nonzero(drawn <= mean)) / (2 * drawn.size))
    left_out = []
    for k in range(0, n, batch):
        rows = min(batch, n - k)
        kept = np.ones((rows, n), bool)
        np.fill_diagonal(kept[:, k : k + rows], False)
        left_out.append(np.broadcast_to(values, kept.shape)[kept].reshape(rows, n - 1).mean(axis=-1))
    without = np.concatenate(left_out)
    influence = (n - 1.0) * (without.mean() - without)
    acceleration = 1 / 6 * ((influence**3).sum() / float(n) ** 3) / ((influence**2).sum() / float(n) ** 2) ** (3 / 2)
    at = float(ndtri(alpha))
    with np.errstate(invalid="ignore"):
        low, high = (ndtr(bias + one / (1 - acceleration * one)) for one in (bias + at, bias - at))
    return float(low), float(high)


def peaks(values: Floats) -> npt.NDArray[np.int64]:
    """Return where a series has its local maxima, the middle of flat ones rounded down, as ``scipy.signal.find_peaks``."""
    starts = np.flatnonzero(np.append(True, values[1:] != values[:-1]))
    ends = np.append(starts[1:], values.size) - 1
    level = values[starts]
    top = 1 + np.flatnonzero((level[1:-1] > level[:-2]) & (level[1:-1] > level[2:]))
    middle: npt.NDArray[np.int64] = (starts[top] + ends[top]) // 2
    return middle


def autocorrelation(values: Floats) -> Floats:
    """Return the sums of products at lags from 0 on, as ``scipy.signal.correlate``: long series by Fourier transforms."""
    n = values.size
    length = 2 * n - 1
    if 1.7649070e-9 * 3 * length * np.log(length) < 2.1414831e-10 * n * n - 1e-3:  # scipy's costs in seconds
        size = _fast_length(length)
        transformed = np.fft.rfft(values, size) * np.fft.rfft(values[::-1], size)
        return np.fft.irfft(transformed, size)[n - 1 : length]
    return np.convolve(values, values[::-1], "full")[n - 1 :]


def _fast_length(n: int) -> int:
    """Return the smallest product of 2, 3 and 5 that is at least `n`."""
    best = 1 << (n - 1).bit_length()
    five = 1
    while five < best:
        three = five
        while three < best:
            best = min(best, three << max(0, (-(-n // three) - 1).bit_length()))
            three *= 3
        five *= 5
    return best


def densities(centred: Floats, nfft: int) -> tuple[Floats, float]:
    """Return the one-sided periodogram under a Hann window, but for its scale, and the step between its frequencies.

    `nfft`, the length of the transform with zeros behind the values, is even; the step is in cycles per value.
    """
    angles = np.linspace(-np.pi, np.pi, centred.size + 1)[:-1]
    transformed = np.fft.rfft((centred - centred.mean()) * (0.5 + 0.5 * np.cos(angles)), nfft)
    power = transformed.real**2 + transformed.imag**2
    power[[0, -1]] /= 2  # all others stand for a negative frequency, too
    return power, 1.0 / nfft


def slope_of(x: npt.NDArray[np.int64], y: Floats) -> tuple[float, float]:
    """Return the slope of the least-squares line through three points or more, and its standard error: ``linregress``."""
    var_x, cov, _, var_y = np.cov(x, y, bias=True).flat
    r = min(1.0, max(-1.0, cov / np.sqrt(var_x * var_y))) if var_y else (0.0 if cov else np.nan)
    return float(cov / var_x), float(np.sqrt((1 - r**2) * var_y / var_x / (x.size - 2)))
