"""Whole runs of both formats: nothing in them is ignored, a key, a column or a value that is not as it should be is named."""

from __future__ import annotations

import copy
import json

import numpy as np
import pytest

from tieringmodel.datafiles import data_path
from tieringmodel.errors import InputError
from tieringmodel.validate.golden import e2e, vectors

FIRST = data_path("golden") / "e2e_two_contexts_young.json"
SECOND = data_path("golden2") / "6.18" / "e2e_age_kept.json"


@pytest.fixture(scope="module")
def read():
    out = {}
    for path in (FIRST, SECOND):
        with np.load(path.with_suffix(".npz")) as stored:
            out[path] = json.loads(path.read_text()), dict(stored)
    return out


def replayed(folder, run, arrays):
    path = folder / "e2e_altered.json"
    path.write_text(json.dumps(run))
    np.savez(path.with_suffix(".npz"), **arrays)
    return e2e.case(path)[0]


def places(value, where=""):
    """Every table of a run, by its place."""
    if isinstance(value, dict):
        yield where, value
        for key, inner in value.items():
            yield from places(inner, f"{where}.{key}" if where else key)
    elif isinstance(value, list) and value and isinstance(value[0], dict):
        yield from places(value[0], f"{where}[0]")


@pytest.mark.parametrize("path", [FIRST, SECOND], ids=["first", "second"])
def test_an_unknown_key_anywhere_is_named(path, read, tmp_path):
    run, arrays = read[path]
    found = [where for where, _ in places(run)]
    assert {"", "mem", "groups[0]", "ctxs[0]", "ctxs[0].schemes[0]"} <= set(found)
    for where in found:
        altered = copy.deepcopy(run)
        dict(places(altered))[where]["sz_limit"] = 1
        with pytest.raises(InputError, match=r"e2e_altered\.json:1\..*\.sz_limit: is not a known key of format"):
            replayed(tmp_path, altered, arrays)


@pytest.mark.parametrize(
    ("path", "changes", "said"),
    [
        (SECOND, {"format": 3}, r"json:1\.format: 3 is no format that is read"),
        (SECOND, {"kernel_release": "6.18.40"}, r"json:1\.kernel_release: '6\.18\.40' is not 6\.18\.35"),
        (SECOND, {"values": 7}, r"npz\.values: 7 is not the 2485 numbers of the trace"),
        (SECOND, {"jiffies0": 0}, r"json:1\.jiffies0: 0 is not a count"),
        (SECOND, {"rng_raw_complete": True}, r"npz\.rng_raw: is missing"),
        (FIRST, {"kernel": "7.9"}, r"json:1\.kernel.*: '7\.9' is newer than 7"),
        (FIRST, {"commits": []}, r"run\.commits: is not a known key of format 1"),
    ],
)
def test_a_value_that_cannot_be_is_named(path, changes, said, read, tmp_path):
    run, arrays = read[path]
    with pytest.raises(InputError, match=said):
        replayed(tmp_path, run | changes, arrays)


@pytest.mark.parametrize(
    ("gone", "new", "said"),
    [
        ("scheme.esz", {}, r"npz\.scheme\.esz: is missing"),
        ("owner_final", {}, r"npz\.owner_final: is missing"),
        ("", {"scheme.probes": np.zeros(12, np.uint8)}, r"npz\.scheme\.probes: is not a known column of format 2"),
        ("", {"probes.tick": np.zeros(1, np.uint8)}, r"npz\.probes\.tick: is not a known column of format 2"),
        ("", {"regA.age": np.zeros(3, np.uint8)}, r"npz\.regA\.age: has 3 rows, its table \d+"),
        ("", {"regA.age": np.zeros(3)}, r"npz\.regA\.age: is no list of whole numbers"),
    ],
)
def test_a_column_that_is_not_of_the_format_is_named(gone, new, said, read, tmp_path):
    run, arrays = read[SECOND]
    with pytest.raises(InputError, match=said):
        replayed(tmp_path, run, {name: column for name, column in arrays.items() if name != gone} | new)


def test_the_clock_in_jiffies_begins_where_the_run_says(read, tmp_path):
    run, arrays = read[SECOND]
    moved = {name: arrays[name] + np.uint64(234) for name in ("node.jiffies", "scheme.charged_from_jiffies")}
    assert arrays["scheme.charged_from_jiffies"].min() >= 1000
    assert replayed(tmp_path, run | {"jiffies0": 1234}, arrays | moved).ok
    assert "jiffies" in replayed(tmp_path, run | {"jiffies0": 1234}, arrays).detail


def test_a_first_run_is_replayed_under_its_kernel(read, tmp_path):
    run, arrays = read[FIRST]
    assert e2e.scenario_of(run | {"kernel": "7.2"}).kernel.release == "7.2.12"
    with pytest.raises(InputError, match=r"json:1\.contexts\[0\].*allow is not in Linux 6\.12\.117"):
        replayed(tmp_path, run | {"kernel": "6.12"}, arrays)


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("merge.jsonl", lambda row: row | {"limit": 1}, r"merge\.jsonl:1, limit: is not a known key of such a row"),
        (
            "split.jsonl",
            lambda row: row | {"calls": [row["calls"][0] | {"age": 1}]},
            r"split\.jsonl:1, age: is not a known key",
        ),
        ("apply.jsonl", lambda row: row | {"schemes": [row["schemes"][0] | {"dests": []}]}, r"apply\.jsonl:1, dests: is not"),
    ],
)
def test_an_unknown_key_of_a_unit_row_is_named(name, change, said, tmp_path):
    first = next(vectors.VectorFile(data_path("golden") / f"{name}.gz").lines())[1]
    (tmp_path / name).write_text(json.dumps(change(json.loads(first))) + "\n")
    with pytest.raises(InputError, match=said):
        vectors.cases(tmp_path)


def test_an_unknown_column_of_a_unit_table_is_named(tmp_path):
    (tmp_path / "feed_loop.csv").write_text("last_input,score,goal,next\n1,2,3,4\n")
    with pytest.raises(InputError, match=r"feed_loop\.csv:1, goal: is not a known column of such a table"):
        vectors.cases(tmp_path)
