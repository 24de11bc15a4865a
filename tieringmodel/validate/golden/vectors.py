"""Replay a folder of golden vectors: unit files and whole runs, each against the code that simulations use."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from ...errors import InputError
from ...given_files import inside
from ..case import Case
from . import e2e, unit_numbers, unit_regions, unit_rows, unit_schemes
from .vector_files import VectorFile

REPLAYS: dict[str, Callable[..., None]] = {
    "prandom.json": unit_numbers.prandom,
    "rand.csv": unit_numbers.rand,
    "feed_loop.csv": unit_numbers.feed_loop,
    "scores.csv": unit_numbers.scores,
    "mvsum.csv": unit_numbers.mvsum,
    "vaddr_dests.csv": unit_numbers.vaddr_dests,
    "merge.jsonl": unit_regions.merge,
    "split.jsonl": unit_regions.split,
    "min_nr_regions.jsonl": unit_regions.min_nr_regions,
    "set_regions.jsonl": unit_regions.refit,
    "tune_intervals.jsonl": unit_regions.tune_intervals,
    "goals.jsonl": unit_schemes.goals,
    "min_score.jsonl": unit_schemes.min_score,
    "apply.jsonl": unit_schemes.apply,
    "units.jsonl": unit_rows.replay,
}
"""What replays a unit file, by its name without ``.gz``: a table as a whole, other files record by record."""

_STATE = (
    "esz esz_bp charged_sz total_charged_sz total_charged_ns charged_from_jiffies charge_target_from charge_addr_from "
    "min_score nr_tried sz_tried nr_applied sz_applied sz_ops_filter_passed qt_exceeds nr_snapshots next_apply_sis"
)
KEYS: dict[str, dict[str, str]] = {
    "prandom.json": {"": "seed state first"},
    "merge.jsonl": {
        "": "id func threshold sz_limit count_age sample_us aggr_us max_nr_regions before after after_reset",
    },
    "split.jsonl": {
        "": "id func seed rnd_state max_nr_regions min_region_sz nr_subs before calls",
        "calls": "rng after",
    },
    "min_nr_regions.jsonl": {"": "id min_nr_regions min_region_sz before sz_limit after"},
    "set_regions.jsonl": {"": "id min_region_sz before ranges rc after"},
    "tune_intervals.jsonl": {
        "": "id access_bp min_sample_us max_sample_us sample_us aggr_us aggr_samples before score_bp adaptation_bp "
        "new_sample_us new_aggr_us after",
    },
    "goals.jsonl": {"": "id kind tuner sz ms min_region_sz esz_bp0 targets steps"},
    "min_score.jsonl": {
        "": "id action weights pattern sz addr_filter sample_us aggr_us regions regions_after histogram esz min_score",
        "addr_filter": "start end matching allow",
    },
    "apply.jsonl": {
        "": "id hz jiffies0 sample_us aggr_us min_nr_regions min_region_sz apply_fail_mod apply_ns_per_page schemes steps",
        "schemes": "action apply_interval_us pattern reset_interval_ms sz ms fail_charge weights tuner user_input_target "
        "max_nr_snapshots core_filters default_reject",
        "core_filters": "type matching allow start end idx",
        "steps": "passed_sis next_aggr_sis jiffies clock_ns goal_current before applied after scheme_state",
        "scheme_state": _STATE,
    },
}
"""The keys of a line, and of what stands in its lists, by file; `unit_rows` knows those of units.jsonl."""


def is_whole_run(path: Path) -> bool:
    """Whether a file is the description of a whole run."""
    return path.name.startswith("e2e_") and path.suffix == ".json"


def recognised(folder: Path) -> list[Path]:
    """Return the files of a folder and of the folders in it that hold vectors, by name.

    Raises
    ------
    InputError
        If there is no such folder, or nothing in it is recognised.
    """
    if not folder.is_dir():
        raise InputError(str(folder), "is not a folder", "give a folder of golden vectors")
    found = [p for place in (folder, *sorted(p for p in folder.iterdir() if p.is_dir())) for p in place.iterdir()]
    names = [str(p.relative_to(folder)) for p in found if p.name.removesuffix(".gz") in REPLAYS or is_whole_run(p)]
    paths = [inside(folder, name, str(folder / name), remedy="copy the file there") for name in names]
    if not paths:
        known = ", ".join(sorted(REPLAYS)) + " (each plain or .gz) or e2e_NAME.json"
        raise InputError(str(folder), "holds no vector files", f"known names: {known}")
    return sorted(paths)


def unit_case(path: Path) -> Case:
    """Return the case of one unit file."""
    name = path.name.removesuffix(".gz")
    return VectorFile(path).case(REPLAYS[name], KEYS.get(name))


def iter_cases(folder: Path) -> Iterator[Case]:
    """Yield the cases of `cases` as they are done."""
    for path in recognised(folder):
        if is_whole_run(path):
            yield from e2e.case(path)
        else:
            yield unit_case(path)


def cases(folder: Path) -> list[Case]:
    """Replay all vectors of a folder; nothing is tolerated, every value must be equal.

    Parameters
    ----------
    folder : Path
        Unit files by the names and formats of ``data/golden/README.md``, plain or gzip, and whole runs
        (``e2e_NAME.json`` with ``e2e_NAME.npz``). Other files are left alone.

    Returns
    -------
    list of Case
        Kind ``"vector"`` for each unit file and ``"e2e"`` for each whole run and source of draws; `checked` counts
        compared values, `detail` names the first difference (file and line, id and step, column, expected, got).

    Raises
    ------
    InputError
        If nothing is recognised, or a file is broken; file and line are named.
    """
    return list(iter_cases(Path(folder)))
