"""The controller: DAMON's monitoring, schemes, quotas and goals as Linux 7.3.4 runs them."""

from __future__ import annotations

from typing import Any

from .quota_math import consist_esz_bp, mult_frac, quota_score, set_effective, temporal_esz_bp

__all__ = [
    "consist_esz_bp",
    "feed_loop_next_input",
    "mult_frac",
    "quota_score",
    "set_effective",
    "temporal_esz_bp",
]


def feed_loop_next_input(last_input: Any, score: Any) -> Any:
    """Return the next input of DAMON's feedback loop (``damon_feed_loop_next_input``).

    The input changes by the factor 1 + (10000 - score) / 10000: doubled at score 0, kept at 10000, at its floor of 10000
    from 20000 on; saturating at 2**64 - 1.

    Parameters
    ----------
    last_input : int or array_like of uint64
        Present input, 1/10000 byte when it is a quota.
    score : int or array_like of uint64
        Achievement in bp, 10000 = exactly achieved. Arrays broadcast.

    Returns
    -------
    int or ndarray of uint64
        An int for two ints, else an array of the broadcast shape.

    Raises
    ------
    InputError
        If a value is not an unsigned 64-bit integer.

    Examples
    --------
    >>> import tieringmodel as tm
    >>> tm.damon.feed_loop_next_input(900_000, 5000)
    1350000
    """
    from . import quota_math

    if isinstance(last_input, int) and isinstance(score, int):
        return quota_math.feed_loop_next_input(last_input, score)
    import numpy as np

    from ..kernels.integer import feed_loop_next_inputs

    last, now = np.broadcast_arrays(_u64_array(last_input, "last_input"), _u64_array(score, "score"))
    out = np.empty(last.shape, np.uint64)
    feed_loop_next_inputs(np.ascontiguousarray(last).ravel(), np.ascontiguousarray(now).ravel(), out.reshape(-1))
    return out if out.ndim else int(out)


def _u64_array(values: Any, where: str) -> Any:
    import numpy as np

    from ..errors import InputError

    array = np.asarray(values)
    if array.dtype == object or array.dtype.kind not in "iu" or (array.dtype.kind == "i" and (array < 0).any()):
        raise InputError(where, f"{array.dtype} values are not unsigned 64-bit integers", "pass ints or uint64 arrays")
    return array.astype(np.uint64)
