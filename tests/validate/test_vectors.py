"""Golden vectors: every shipped file holds, a changed value is found and named, a broken file is an input error."""

from __future__ import annotations

import gzip
import json
import re
import shutil

import numpy as np
import pytest

from tieringmodel.datafiles import data_path
from tieringmodel.errors import InputError
from tieringmodel.validate.golden import e2e, vectors

GOLDEN = data_path("golden")
UNIT = sorted(p.name for p in GOLDEN.iterdir() if p.name.removesuffix(".gz") in vectors.REPLAYS)
RUNS = sorted(p.name for p in GOLDEN.glob("e2e_*.json"))


def replay(path):
    return vectors.unit_case(path)


def lines_of(name, limit=None):
    """Lines of a shipped unit file."""
    path = GOLDEN / name
    with gzip.open(path, "rt") if name.endswith(".gz") else path.open() as file:
        return file.read().splitlines()[:limit]


def write(folder, name, lines):
    path = folder / name.removesuffix(".gz")
    path.write_text("".join(line + "\n" for line in lines))
    return path


def test_every_known_file_is_shipped():
    assert sorted([*(n.removesuffix(".gz") for n in UNIT), "units.jsonl"]) == sorted(vectors.REPLAYS)
    assert len(RUNS) == 14


# Values compared in each shipped file; a replay that silently skips rows would show here.
CHECKED = {
    "apply.jsonl": 137_006, "feed_loop.csv": 2 * 8004, "goals.jsonl": 80 * 200 * 3, "merge.jsonl": 35_130,
    "min_nr_regions.jsonl": 20_155, "min_score.jsonl": 32_413, "mvsum.csv": 2000, "prandom.json": 6 * 24,
    "rand.csv": 2 * 1000, "scores.csv": 3 * 8000, "set_regions.jsonl": 2640, "split.jsonl": 265_723,
    "tune_intervals.jsonl": 7350, "vaddr_dests.csv": 2 * 5000,
}  # fmt: skip


@pytest.mark.parametrize("name", UNIT)
def test_unit_vectors(name):
    case = replay(GOLDEN / name)
    assert case.ok, case.detail
    assert (case.kind, case.name, case.checked) == ("vector", name, CHECKED[name.removesuffix(".gz")])


@pytest.mark.parametrize("name", RUNS)
def test_whole_runs_from_both_sources_of_draws(name):
    cases = e2e.case(GOLDEN / name)
    assert [c.detail for c in cases] == ["", ""]
    assert all(c.ok and c.checked > 150_000 for c in cases)
    assert [c.name.split(" ", 1)[1] for c in cases] == ["(lfsr113)", "(recorded draws)"]


@pytest.mark.parametrize("name", UNIT)
def test_plain_files_are_read_too(name, tmp_path):
    case = replay(write(tmp_path, name, lines_of(name, 4)))
    assert case.ok, case.detail
    assert case.checked > 0


def bump(value):
    return value + 1 if isinstance(value, int) else value


def nested(record, *path):
    for step in path[:-1]:
        record = record[step]
    record[path[-1]] = bump(record[path[-1]])


TAMPERED = [
    ("prandom.json", 1, ("first", 7), r"prandom\.json:1, seed 1, first\[7\]: expected \d+, got \d+"),
    ("merge.jsonl", 3, ("after", 0, 1, 4), r"merge\.jsonl:3, id 2, after\[0\]\[1\]\[4\]: expected 6, got 5"),
    ("merge.jsonl", 3, ("after_reset", 0, 0, 3), r"merge\.jsonl:3, id 2, after_reset\[0\]\[0\]\[3\]"),
    ("split.jsonl", 2, ("calls", 1, "after", 0, 0, 0), r"split\.jsonl:2, id 1 \(lfsr113\), call 1, after\[0\]\[0\]\[0\]"),
    ("split.jsonl", 2, ("calls", 0, "rng", 0), r"split\.jsonl:2, id 1, rng\[0\]: expected 2001408527, got 2001408526"),
    ("split.jsonl", 1, ("rnd_state", 3), r"split\.jsonl:1, id 0, rnd_state\[3\]"),
    ("min_nr_regions.jsonl", 2, ("sz_limit",), r"min_nr_regions\.jsonl:2, id 1, sz_limit"),
    ("set_regions.jsonl", 2, ("after", 0, 0), r"set_regions\.jsonl:2, id 1, after\[0\]\[0\]"),
    ("set_regions.jsonl", 2, ("rc",), r"set_regions\.jsonl:2, id 1, rc: expected 1, got 0"),
    ("tune_intervals.jsonl", 1, ("score_bp",), r"tune_intervals\.jsonl:1, id 0, score_bp: expected 25802, got 25801"),
    ("tune_intervals.jsonl", 1, ("new_aggr_us",), r"tune_intervals\.jsonl:1, id 0, new_aggr_us"),
    ("goals.jsonl", 1, ("steps", 9, 5), r"goals\.jsonl:1, id 0, step 9, esz: expected 6, got 5"),
    ("goals.jsonl", 1, ("steps", 9, 3), r"goals\.jsonl:1, id 0, step 9, score: expected 8043, got 8042"),
    ("min_score.jsonl", 2, ("min_score",), r"min_score\.jsonl:2, id 1, min_score"),
    ("min_score.jsonl", 2, ("regions_after", 3, 1), r"min_score\.jsonl:2, id 1, regions_after\[3\]\[1\]"),
    ("apply.jsonl", 2, ("steps", 4, "after", 0, 2, 4), r"apply\.jsonl:2, id 1, step 4, after\[0\]\[2\]\[4\]"),
    ("apply.jsonl", 2, ("steps", 0, "applied", 0, 6), r"apply\.jsonl:2, id 1, step 0, applied\[0\]\[6\]: expected 1, got 0"),
    ("apply.jsonl", 2, ("steps", 7, "scheme_state", 0, "qt_exceeds"), r"step 7, scheme_state\[0\]\.qt_exceeds"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "line", "path", "message"), TAMPERED)
def test_a_changed_value_is_named(name, line, path, message, tmp_path):
    original = lines_of(name if name == "prandom.json" else name + ".gz", line)
    record = json.loads(original[line - 1])
    nested(record[0] if isinstance(record, list) else record, *path)
    case = replay(write(tmp_path, name, [*original[:-1], json.dumps(record)]))
    assert not case.ok
    assert case.checked > 0 or line == 1
    assert re.search(message, case.detail), case.detail


@pytest.mark.parametrize(
    ("name", "column", "message"),
    [
        ("feed_loop.csv", "next", r"feed_loop\.csv:3, next \(compiled\): expected 1, got 0"),
        ("rand.csv", "result", r"rand\.csv:3, result: expected 116701552087539, got 116701552087538"),
        ("scores.csv", "mvsum", r"scores\.csv:3, mvsum: expected 3, got 2"),
        ("scores.csv", "hot", r"scores\.csv:3, hot: expected 100, got 99"),
        ("scores.csv", "cold", r"scores\.csv:3, cold: expected 1, got 0"),
        ("mvsum.csv", "mvsum", r"mvsum\.csv:3, mvsum: expected 176, got 175"),
        ("vaddr_dests.csv", "dest_index", r"vaddr_dests\.csv:3, dest_index: expected 0, got -1"),
        ("vaddr_dests.csv", "dest_node", r"vaddr_dests\.csv:3, dest_node: expected 0, got -1"),
    ],
)
def test_a_changed_cell_is_named(name, column, message, tmp_path):
    header, first, second = lines_of(name + ".gz", 3)
    cells = second.split(",")
    cells[header.split(",").index(column)] = str(int(cells[header.split(",").index(column)]) + 1)
    case = replay(write(tmp_path, name, [header, first, ",".join(cells)]))
    assert not case.ok
    assert re.search(message, case.detail), case.detail


def test_a_changed_run_is_named(tmp_path):
    for suffix in (".json", ".npz"):
        shutil.copy(GOLDEN / f"e2e_sysbp_literal_pfn{suffix}", tmp_path)
    path = tmp_path / "e2e_sysbp_literal_pfn.npz"
    with np.load(path) as stored:
        arrays = dict(stored)
    arrays["scheme.esz"][40] += 1
    np.savez(path, **arrays)
    for case in e2e.case(path.with_suffix(".json")):
        assert not case.ok
        assert re.search(r"e2e_sysbp_literal_pfn\.npz: step \d+, scheme\.esz\[40\]: expected \d+, got \d+", case.detail)


@pytest.mark.parametrize(
    ("column", "row", "said"),
    [
        ("runs.tick", 7, r"npz: step \d+, runs\.tick\[7\]: expected"),
        ("runs.site", 10, r"npz: step \d+, runs\.site\[10\]: expected 2, got 1"),
        ("runs.count", 10, r"npz: step \d+, runs\.count\[10\]: expected"),
        ("rng_raw", 12, r"npz: rng_raw\[12\]: expected"),
        ("rng_count", None, r"json: rng_count: expected"),
        ("rng_crc32", None, r"json: rng_crc32: expected"),
        ("aggregations", None, r"json: aggregations: expected"),
        ("owner_final_crc32", None, r"json: owner_final_crc32: expected"),
    ],
)  # fmt: skip
def test_changed_draws_and_totals_of_a_run_are_named(column, row, said, tmp_path):
    name = "e2e_sysbp_literal_pfn"
    about = json.loads((GOLDEN / f"{name}.json").read_text())
    with np.load(GOLDEN / f"{name}.npz") as stored:
        arrays = dict(stored)
    if row is None:
        about[column] += 1
    else:
        arrays[column][row] ^= 1 if column == "rng_raw" else 0
        arrays[column][row] += column != "rng_raw"
    (tmp_path / f"{name}.json").write_text(json.dumps(about))
    np.savez(tmp_path / f"{name}.npz", **arrays)
    case = e2e.case(tmp_path / f"{name}.json")[0]
    assert not case.ok
    assert re.search(said, case.detail), case.detail


# ---- folders ------------------------------------------------------------------------------------------------------


def test_a_folder_gives_one_case_per_unit_file_and_two_per_run(tmp_path):
    for name in ("prandom.json", "rand.csv.gz", "e2e_sysbp_literal_pfn.json", "e2e_sysbp_literal_pfn.npz"):
        shutil.copy(GOLDEN / name, tmp_path)
    (tmp_path / "README.md").write_text("not a vector")
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    (tmp_path / "e2e_notes.txt").write_text("not a run")
    cases = vectors.cases(tmp_path)
    assert [(c.kind, c.name, c.ok) for c in cases] == [
        ("e2e", "e2e_sysbp_literal_pfn (lfsr113)", True),
        ("e2e", "e2e_sysbp_literal_pfn (recorded draws)", True),
        ("vector", "prandom.json", True),
        ("vector", "rand.csv.gz", True),
    ]


def test_an_empty_folder_is_an_input_error(tmp_path):
    (tmp_path / "README.md").write_text("nothing here")
    with pytest.raises(InputError, match=r"holds no vector files; known names: apply\.jsonl, "):
        vectors.cases(tmp_path)
    with pytest.raises(InputError, match="is not a folder"):
        vectors.cases(tmp_path / "nowhere")


# ---- broken files -------------------------------------------------------------------------------------------------


def without(line, *path):
    record = json.loads(line)
    inner = record
    for step in path[:-1]:
        inner = inner[step]
    del inner[path[-1]]
    return json.dumps(record)


def with_value(line, key, value):
    return json.dumps(json.loads(line) | {key: value})


BROKEN = [
    ("merge.jsonl", lambda line: line[:-40], r"merge\.jsonl:2: is not valid JSON"),
    ("merge.jsonl", lambda line: "[1, 2]", r"merge\.jsonl:2: holds 1 in place of an object"),
    ("merge.jsonl", lambda line: without(line, "threshold"), r"merge\.jsonl:2: has no 'threshold'"),
    ("merge.jsonl", lambda line: with_value(line, "func", "merge"), r"merge\.jsonl:2: func 'merge' is not known"),
    ("merge.jsonl", lambda line: with_value(line, "threshold", 1.5), r"merge\.jsonl:2: .*1\.5 is not a whole number"),
    ("merge.jsonl", lambda line: with_value(line, "threshold", -1), r"merge\.jsonl:2: holds a value of the wrong form"),
    ("merge.jsonl", lambda line: with_value(line, "before", [[[0, 4096, 1, 1]]]), r"merge\.jsonl:2: holds a value"),
    ("merge.jsonl", lambda line: with_value(line, "sz_limit", "big"), r"merge\.jsonl:2: holds a value of the wrong form"),
    ("split.jsonl", lambda line: without(line, "calls", 0, "rng"), r"split\.jsonl:2: has no 'rng'"),
    ("goals.jsonl", lambda line: with_value(line, "tuner", "pid"), r"goals\.jsonl:2: .*'pid' is unknown"),
    ("goals.jsonl", lambda line: with_value(line, "targets", [0]), r"goals\.jsonl:2: .*EINVAL"),
    ("goals.jsonl", lambda line: with_value(line, "steps", [[[1], 0, 0]]), r"goals\.jsonl:2: holds a value of the wrong"),
    ("apply.jsonl", lambda line: without(line, "schemes", 0, "weights"), r"apply\.jsonl:2: has no 'weights'"),
    ("apply.jsonl", lambda line: without(line, "steps", 3, "scheme_state", 0, "esz"), r"apply\.jsonl:2: has no 'esz'"),
    ("min_score.jsonl", lambda line: with_value(line, "pattern", [1, 2]), r"min_score\.jsonl:2: holds a value of the"),
    ("min_score.jsonl", lambda line: with_value(line, "action", "melt"), r"min_score\.jsonl:2: .*'melt' is unknown"),
    ("tune_intervals.jsonl", lambda line: with_value(line, "sample_us", 0), r"tune_intervals\.jsonl:2: .*sample_us"),
    ("set_regions.jsonl", lambda line: with_value(line, "ranges", [7]), r"set_regions\.jsonl:2: holds a value of the"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "breaks", "message"), BROKEN)
def test_a_broken_record_is_an_input_error(name, breaks, message, tmp_path):
    first, second = lines_of(name + ".gz", 2)
    path = write(tmp_path, name, [first, breaks(second)])
    with pytest.raises(InputError, match=message) as caught:
        replay(path)
    assert caught.value.where == f"{path}:2"


@pytest.mark.parametrize(
    ("name", "lines", "message"),
    [
        ("rand.csv", ["l,r,raw1,raw2,result", "1,5,7,3"], r"rand\.csv:2: has 4 columns, the header has 5"),
        ("rand.csv", ["l,r,raw1,result", "1,5,7,3"], r"rand\.csv:1: has no column 'raw2'"),
        ("rand.csv", ["l,r,raw1,raw2,result", "1,x,7,,3"], r"rand\.csv:2: r: 'x' is not a whole number"),
        ("rand.csv", ["l,r,raw1,raw2,result", "1,5,x,,3"], r"rand\.csv:2: holds a value of the wrong form"),
        ("rand.csv", ["l,r,raw1,raw2,result", "1,5,-7,,3"], r"rand\.csv:2: holds a value of the wrong form"),
        ("mvsum.csv", ["nr_accesses", "1"], r"mvsum\.csv:1: has no column 'last_nr_accesses'"),
        ("feed_loop.csv", ["last_input,score,next", "1,2,18446744073709551616"], r"feed_loop\.csv:2: next: .* is outside 0"),
        ("feed_loop.csv", ["last_input,score,next", "1,-2,3"], r"feed_loop\.csv:2: score: -2 is outside"),
        ("feed_loop.csv", ["last_input,score,next"], r"feed_loop\.csv:1: holds nothing to compare"),
        ("vaddr_dests.csv", ["vm_pgoff,vm_start,addr,order,folio_nid,nodes,weights,dest_index,dest_node",
                             "0,8192,4096,0,0,0;1,1;1,0,0"], r"vaddr_dests\.csv:2: addr"),
        ("vaddr_dests.csv", ["vm_pgoff,vm_start,addr,order,folio_nid,nodes,weights,dest_index,dest_node",
                             "0,4096,4096,0,0,0;1,1;a,0,0"], r"vaddr_dests\.csv:2: holds a value"),
        ("prandom.json", ['{"seed": 1}'], r"prandom\.json:1: has no 'first'"),
        ("prandom.json", [""], r"prandom\.json:1: holds nothing to compare"),
        ("goals.jsonl", [], r"goals\.jsonl:1: is empty"),
    ],
)  # fmt: skip
def test_a_broken_file_is_an_input_error(name, lines, message, tmp_path):
    path = write(tmp_path, name, lines)
    with pytest.raises(InputError, match=message):
        replay(path)


@pytest.mark.parametrize("cut", [0, 5, 2000])
def test_a_truncated_gzip_is_an_input_error(cut, tmp_path):
    path = tmp_path / "merge.jsonl.gz"
    path.write_bytes((GOLDEN / path.name).read_bytes()[:cut])
    with pytest.raises(InputError, match=r"merge\.jsonl\.gz:\d+: (cannot be read|is empty|is not valid JSON)"):
        vectors.cases(tmp_path)


def test_text_in_place_of_gzip_and_bytes_in_place_of_text(tmp_path):
    (tmp_path / "mvsum.csv.gz").write_text("nr_accesses\n")
    with pytest.raises(InputError, match=r"mvsum\.csv\.gz:1: cannot be read"):
        vectors.cases(tmp_path)
    (tmp_path / "mvsum.csv.gz").unlink()
    (tmp_path / "mvsum.csv").write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match=r"mvsum\.csv:1: cannot be read"):
        vectors.cases(tmp_path)


def broken_run(tmp_path, *, json_text=None, npz_bytes=None, drop=None):
    name = "e2e_sysbp_literal_pfn"
    text = (GOLDEN / f"{name}.json").read_text()
    if drop:
        run = json.loads(text)
        del run[drop]
        text = json.dumps(run)
    (tmp_path / f"{name}.json").write_text(text if json_text is None else json_text)
    (tmp_path / f"{name}.npz").write_bytes((GOLDEN / f"{name}.npz").read_bytes() if npz_bytes is None else npz_bytes)
    return tmp_path


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        ({"json_text": '{\n"name": '}, r"e2e_sysbp_literal_pfn\.json:2: is not valid JSON"),
        ({"json_text": "[]"}, r"e2e_sysbp_literal_pfn\.json:1: holds a value of the wrong form"),
        ({"drop": "mem"}, r"e2e_sysbp_literal_pfn\.json:1: run or trace has no 'mem'"),
        ({"drop": "ticks"}, r"e2e_sysbp_literal_pfn\.json:1: run or trace has no 'ticks'"),
        ({"npz_bytes": b""}, r"e2e_sysbp_literal_pfn\.npz: cannot be read"),
        ({"npz_bytes": b"PK\x03\x04 truncated"}, r"e2e_sysbp_literal_pfn\.npz: cannot be read"),
    ],
)
def test_a_broken_run_is_an_input_error(broken, message, tmp_path):
    with pytest.raises(InputError, match=message):
        vectors.cases(broken_run(tmp_path, **broken))


def test_a_run_without_its_trace_is_an_input_error(tmp_path):
    shutil.copy(GOLDEN / "e2e_sysbp_literal_pfn.json", tmp_path)
    with pytest.raises(InputError, match=r"\.npz: cannot be read"):
        vectors.cases(tmp_path)
