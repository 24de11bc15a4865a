"""Accessed bits that stay clear because the translation is still in the TLB.

The processor sets a page's accessed bit when it walks the page table, that is on a TLB miss. DAMON clears the bit without
flushing, so a touch is seen only if the page's translation was evicted before it. With least-recently-used replacement and
Poisson touches a translation survives for about the same time τ after each touch, whatever the page: the characteristic
time of Che, Tung and Wang (IEEE JSAC 20(7), 2002), which solves Σ_p (1 − exp(−λ_p τ)) = reach. A touch then sets the bit
iff the gap before it exceeds τ. One TLB is assumed for all CPUs together; context switches and invalidations are left out.
"""

from __future__ import annotations

from math import factorial

import numpy as np

from .protocol import Floats

_NEVER_CLEAR = 20.0


def characteristic_time_s(rate_hz: Floats, reach: int) -> float:
    """Return how long a translation stays after its last use.

    Parameters
    ----------
    rate_hz : ndarray of float64, shape (n,)
        Touches per second behind each translation.
    reach : int
        Translations that fit.

    Returns
    -------
    float
        Seconds; 0 without a TLB, inf if every touched translation fits.
    """
    rates = rate_hz[rate_hz > 0]
    if reach <= 0:
        return 0.0
    if rates.size <= reach:
        return float("inf")
    # The sum rises and is concave in τ, so Newton's steps from below never pass the root.
    tau_s = reach / float(rates.sum())
    while True:
        gone = np.exp(-rates * tau_s)
        step = (reach - rates.size + float(gone.sum())) / float(rates @ gone)
        if not step > 1e-13 * tau_s:
            return tau_s
        tau_s += step


def set_probability(rate_hz: Floats, window_s: float, tau_s: float = 0.0) -> Floats:
    """Probability that a window holds at least one touch that sets the accessed bit.

    Touches that walk the page table follow a gap longer than τ; they come at the stationary rate μ = λ exp(−λτ), and after
    one the next cannot come before τ. Hence P = μ ∫_0^S R with R(u) = 1 for u ≤ τ and R′(u) = −μ R(u − τ) beyond, so
    P = μ Σ_k (−μ)^k (S − kτ)₊^(k+1) / (k+1)!. Without TLB this is 1 − exp(−λS), for S ≤ τ it is λS exp(−λτ).

    Parameters
    ----------
    rate_hz : ndarray of float64
        Touches per second, λ.
    window_s : float
        Length S of the window.
    tau_s : float
        Characteristic time τ.

    Returns
    -------
    ndarray of float64
        Of the shape of `rate_hz`.
    """
    rate = np.asarray(rate_hz, np.float64)
    if tau_s <= 0:
        return np.asarray(-np.expm1(-rate * window_s))
    if not np.isfinite(tau_s):
        return np.zeros_like(rate)
    mu = rate * np.exp(-rate * tau_s)
    # Beyond, the bit stays clear with less than exp(-20); below, the alternating sum keeps eight digits or more.
    easy = np.minimum(mu, _NEVER_CLEAR / window_s)
    total = np.zeros_like(rate)
    for k in range(int(window_s / tau_s) + 1):
        left = window_s - k * tau_s
        term = (-1) ** k * (easy * left) ** (k + 1) / factorial(k + 1)
        total += term
        if not np.any(np.abs(term) > 1e-18):
            break
    return np.where(mu * window_s > _NEVER_CLEAR, 1.0, np.clip(total, 0.0, 1.0))
