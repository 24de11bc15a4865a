"""How fast a page's node forgets where it started."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ..checks import float_array
from ..errors import InputError


class MarkovMixing(NamedTuple):
    """Second eigenvalue and stationary law of a page chain."""

    second_eigenvalue: float
    """Modulus of the second-largest eigenvalue: the share of the initial difference that survives one round."""
    stationary: npt.NDArray[np.float64]
    """Left eigenvector of eigenvalue 1, adding up to 1 (float64, one entry per state)."""


def markov_mixing(transition: npt.ArrayLike) -> MarkovMixing:
    """Return the mixing rate and the stationary law of a Markov chain.

    Parameters
    ----------
    transition : array_like of float, shape (n, n)
        Row-stochastic: ``transition[i, j]`` is the probability of going from node i to node j in one round.

    Returns
    -------
    MarkovMixing
        ``second_eigenvalue`` (per round; 1 means that some difference never fades) and ``stationary``. Where several
        laws are stationary, the one that belongs to the uniform start is returned.

    Raises
    ------
    InputError
        When the matrix is not square or its rows are not probabilities.

    Notes
    -----
    Source: docs/theory/stability.md, sections 1a, 1b and 4.

    Examples
    --------
    >>> import tieringmodel as tm
    >>> mixing = tm.analysis.markov_mixing([[0.7, 0.3], [0.2, 0.8]])
    >>> round(mixing.second_eigenvalue, 3), mixing.stationary.round(3).tolist()
    (0.5, [0.4, 0.6])
    """
    from scipy.linalg import eigvals

    p = float_array("transition", transition)
    if p.ndim != 2 or p.shape[0] != p.shape[1] or p.size == 0:
        raise InputError("transition", f"shape {p.shape} is not square", "give one row and one column per state")
    if not np.all(p >= 0) or not np.allclose(p.sum(axis=1), 1.0, rtol=0, atol=1e-9):
        raise InputError("transition", "a row is not a probability law", "make entries non-negative and rows add up to 1")
    moduli = np.sort(np.abs(eigvals(p)))[::-1]
    # The lazy chain has the same stationary laws and no periodicity, so repeated squaring converges.
    power = (p + np.eye(len(p))) / 2
    for _ in range(64):
        power = power @ power
        power /= power.sum(axis=1, keepdims=True)
    return MarkovMixing(float(moduli[1]) if len(p) > 1 else 0.0, power.mean(axis=0))
