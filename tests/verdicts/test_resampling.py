"""What stands in numpy for functions of scipy that take long to load gives scipy's own numbers, bit for bit."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.fft import next_fast_len
from scipy.signal import correlate, find_peaks, periodogram
from scipy.stats import bootstrap, linregress

from tieringmodel.verdicts import resampling

SERIES = [
    np.random.default_rng(1).normal(5000, 100, 157),
    np.random.default_rng(2).integers(0, 4, 61).astype(float),  # plateaus and ties
    5000 + 300 * np.sin(np.arange(200) / 3) + np.random.default_rng(3).normal(0, 9, 200),
    np.random.default_rng(4).normal(0, 1, 8),
]


@pytest.mark.parametrize("values", SERIES)
@pytest.mark.parametrize("corrected", [True, False])
@pytest.mark.parametrize("batch", [100, 5000])
def test_bootstrap(values: np.ndarray, corrected: bool, batch: int) -> None:
    method = "BCa" if corrected else "percentile"
    options = {"n_resamples": 999, "batch": batch, "rng": np.random.default_rng(5)}
    expected = bootstrap(
        (values,), np.mean, confidence_level=0.95, method=method, vectorized=True, **options
    ).confidence_interval
    options["rng"] = np.random.default_rng(5)
    got = resampling.bootstrap_mean_interval(values, corrected=corrected, confidence=0.95, **options)
    assert got == (expected.low, expected.high)


@pytest.mark.parametrize("values", SERIES)
def test_peaks_slopes_and_spectra(values: np.ndarray) -> None:
    np.testing.assert_array_equal(resampling.peaks(values), find_peaks(values)[0])
    centred = values - values.mean()
    np.testing.assert_array_equal(resampling.autocorrelation(centred), correlate(centred, centred)[values.size - 1 :])
    frequency, density = periodogram(centred, window="hann", nfft=8 * values.size, detrend="constant")
    got, step = resampling.densities(centred, 8 * values.size)
    assert step == frequency[1]
    np.testing.assert_allclose(got / got.max(), density / density.max(), atol=1e-14)  # sums of some thousand roundings
    at = np.flatnonzero(values > np.median(values))
    fit = linregress(at, values[at])
    np.testing.assert_array_equal(resampling.slope_of(at, values[at]), (fit.slope, fit.stderr))


def test_long_series_are_correlated_by_fourier_transforms() -> None:
    values = np.random.default_rng(6).normal(size=3001)
    np.testing.assert_array_equal(resampling.autocorrelation(values), correlate(values, values)[3000:])
    lengths = range(1, 3000)
    assert [resampling._fast_length(n) for n in lengths] == [next_fast_len(n, True) for n in lengths]
