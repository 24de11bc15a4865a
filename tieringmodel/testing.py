"""For tests of one's own: hold a run to expectations, with a message that says what it was instead."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .verdicts.expect import expect

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["assert_expect"]


def assert_expect(ds: xr.Dataset, text: str, *, target_bp: float | None = None, node: int | None = None) -> None:
    """Raise unless a run meets every expectation.

    Parameters
    ----------
    ds : xarray.Dataset
        A run of any kind that `tieringmodel.verdicts.measures` knows.
    text : str
        Clauses separated by commas, as in ``"settling_s < 60, hot_share_node0 > 5000, kind == converged"``: a number of
        `tieringmodel.verdicts.expect.values_of`, or ``kind`` or ``cause``, the verdict's and the code of its first cause.
    target_bp : float, optional
        Reference in basis points; by default the goal in force in the run.
    node : int, optional
        Goal node of an interleave run or a simulation; by default that of the run's goal, 0 where `target_bp` is given.

    Raises
    ------
    AssertionError
        Naming each clause that does not hold, with the run's value.
    InputError
        If `text` is not understood or names no measure of the run.

    Examples
    --------
    >>> import tieringmodel as tm
    >>> ds = tm.loop.run("temporal", 4000, 1_000_000, 0, cap_bytes=100 << 20)
    >>> tm.testing.assert_expect(ds, "overshoot_bp < 100, quiescence_windows <= 16")
    """
    failed = [str(clause) for clause in expect(ds, text, target_bp=target_bp, node=node) if not clause.ok]
    if failed:
        raise AssertionError("; ".join(failed))
