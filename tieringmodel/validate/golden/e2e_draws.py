"""Random draws of golden whole runs: who drew how many in which tick, and the raw numbers of the kernel's generator."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from ...damon.kdamond import Kdamond
from ...damon.rng import Rng, kernel_rng, lfsr_registers, replay_rng
from ...kernels import draws

SAMPLING, SPLIT_EACH, SPLIT_SOME = 0, 1, 2


def split_site(kdamond: Kdamond) -> int:
    """Return which of the two splits the context has just made: every region's, or the partial one near the maximum."""
    nr = kdamond.split_state.last_nr_regions
    return SPLIT_SOME if nr > kdamond.attrs.max_nr_regions // 2 else SPLIT_EACH


def drawing_contexts(arrays: Mapping[str, npt.NDArray[Any]]) -> npt.NDArray[Any] | None:
    """Return the context of each raw draw; None where the trace's own columns do not fit together."""
    if not {"runs.count", "runs.ctx", "rng_raw"} <= set(arrays):
        return None
    owner = np.repeat(arrays["runs.ctx"], arrays["runs.count"].astype(np.int64))
    return owner if owner.size == arrays["rng_raw"].size else None


def recorded_streams(run: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]]) -> list[Rng] | None:
    """Return the recorded draws of each context; None where they are cut short or do not fit together."""
    owner = drawing_contexts(arrays) if run.get("rng_raw_complete", True) else None
    if owner is None:
        return None
    return [replay_rng(arrays["rng_raw"][owner == i]) for i in range(len(run["ctxs"]))]


def generated(run: Mapping[str, Any], contexts: npt.NDArray[Any]) -> npt.NDArray[np.uint32]:
    """Return the draws of the kernel's generators, interleaved as `contexts` says."""
    out = np.zeros(contexts.size, np.uint32)
    for i, context in enumerate(run["ctxs"]):
        mine = contexts == i
        stream = np.zeros(int(mine.sum()), np.uint32)
        draws.draw_many(kernel_rng(context["seed"]), stream)
        out[mine] = stream
    return out


def stated_differences(run: Mapping[str, Any], got: Mapping[str, Any], about: str) -> Iterator[tuple[int, str]]:
    """Yield (1, difference or "") for each single value that the JSON named `about` states."""
    for name in (n for n in got if n in run):
        yield 1, "" if run[name] == got[name] else f"{about}: {name}: expected {run[name]}, got {got[name]}"


def draw_differences(
    run: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]], contexts: npt.NDArray[Any], files: tuple[str, str]
) -> Iterator[tuple[int, str]]:
    """Yield (values compared, first difference or "") for seeds, raw draws and their checksum.

    Parameters
    ----------
    run, arrays : mapping
        The golden run's JSON and trace.
    contexts : integer array
        Who took each draw, in order, in this build's run.
    files : pair of str
        Names of the JSON and of the trace.
    """
    about, trace = files
    raw = generated(run, contexts)
    stated = {
        "rng_initial_state": [list(lfsr_registers(c["seed"])) for c in run["ctxs"]],
        "rng_count": raw.size,
        "rng_crc32": zlib.crc32(raw.astype("<u4").tobytes()),
    }
    yield from stated_differences(run, stated, about)
    if "rng_raw" not in arrays:
        return
    want = arrays["rng_raw"]
    n = min(want.size, raw.size)
    bad = np.flatnonzero(want[:n] != raw[:n])
    if bad.size:
        i = int(bad[0])
        yield n, f"{trace}: rng_raw[{i}]: expected {want[i]}, got {raw[i]}"
    elif want.size != raw.size and run.get("rng_raw_complete", True):
        yield n, f"{trace}: rng_raw: expected {want.size} draws, got {raw.size}"
    else:
        yield n, ""
