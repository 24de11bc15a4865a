"""Published measurements of real machines beside the predictions of this build: rows, cases, and the printed table."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from ...cost import DEFAULT, Costs
from ...errors import InputError
from ...fields import suggest
from ...progress import Progress
from ..case import Case
from . import hardware_arithmetic as arithmetic
from . import hardware_loops as loops
from . import hardware_tiering as tiering
from .hardware_row import Row

ROWS: dict[str, Callable[[Costs], Row]] = {
    "V1": loops.v1, "V2": loops.v2, "V3": arithmetic.v3, "V4": arithmetic.v4, "V5": tiering.v5, "V6": arithmetic.v6,
    "V7": loops.v7, "V8": tiering.v8, "V9": arithmetic.v9, "V10": loops.v10, "V11": tiering.v11,
}  # fmt: skip


def rows(names: Iterable[str] = (), costs: Costs = DEFAULT) -> Iterator[Row]:
    """Run rows of the hardware table, each as a scenario or as arithmetic.

    Parameters
    ----------
    names : iterable of str
        ``"V1"`` to ``"V11"``; none for all, which takes most of a minute.
    costs : Costs
        Cost constants of the predictions.

    Yields
    ------
    Row
        As soon as it is done.

    Raises
    ------
    InputError
        If there is no such row.
    """
    for name in list(names) or ROWS:
        if name not in ROWS:
            raise InputError("names", f"{name!r} is no row", suggest(name, ROWS))
        yield ROWS[name](costs)


def cases() -> Iterator[Case]:
    """Yield every row as a case of kind ``"hardware"``; ok if it is inside or, where allowed, explained."""
    with Progress("hardware", len(ROWS), "rows") as bar:
        for done, row in enumerate(rows(), start=1):
            bar.clear()
            yield row.case()
            bar.update(done)


def table(rows: Iterable[Row]) -> str:
    """Return rows as text: published, predicted and tolerance of each point, and what is to be said about them.

    Parameters
    ----------
    rows : iterable of Row
        From `rows`.

    Returns
    -------
    str
        Lines of at most 120 characters.
    """
    return "\n".join(f"{row.name}\n{row.report()}" for row in rows)
