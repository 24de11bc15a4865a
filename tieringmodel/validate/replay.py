"""All evidence through one door: vectors, anchors and recordings become cases."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ..datafiles import data_path
from ..errors import InputError
from .case import Case


def replay(
    vectors: Path | None = None,
    recordings: Path | None = None,
    anchors: bool = False,
    hardware: bool = False,
    *,
    seeds: int | None = None,
) -> Iterator[Case]:
    """Replay the named evidence, or with no argument everything that ships with the package.

    Parameters
    ----------
    vectors : Path, optional
        Folder in the format of ``data/golden``.
    recordings : Path, optional
        Folder in the format of ``data/recordings``, or a single run of it.
    anchors : bool
        The anchor cases of weights and of the reduced loop.
    hardware : bool
        Published measurements of real machines.
    seeds : int, optional
        Seeds of the model that every recorded run is compared with, by default
        `tieringmodel.validate.recorded.recordings.SEEDS`; 0 replays only what is exact.

    Yields
    ------
    Case
        One per file, run or case, as soon as it is done.

    Raises
    ------
    InputError
        If a folder or a file in it is not of the format.
    """
    from .golden import vectors as vectors_of
    from .recorded import quota_records
    from .recorded import recordings as recorded_runs
    from .theory import anchors_loop, anchors_weights

    everything = vectors is None and recordings is None and not anchors and not hardware
    if everything or vectors is not None:
        for shipped in [vectors] if vectors else [data_path("golden"), data_path("golden2")]:
            yield from vectors_of.iter_cases(shipped)
    if everything or recordings is not None:
        folder = Path(recordings or data_path("recordings"))
        quotas = quota_records.cases(folder)
        if not quotas and not recorded_runs.runs_below(folder):
            raise InputError(str(folder), "holds no recorded quota resets", "give a run's folder, or one of runs")
        yield from quotas
        yield from recorded_runs.cases(folder, seeds=recorded_runs.SEEDS if seeds is None else seeds)
    if everything or anchors:
        yield from anchors_weights.cases()
        yield from anchors_loop.cases()
    if everything or hardware:
        from .published.hardware import cases

        yield from cases()
