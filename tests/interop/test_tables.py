"""Strict CSV: what is read, and how broken files are named."""

import gzip

import numpy as np
import pytest

from tieringmodel.errors import InputError
from tieringmodel.interop.recording.tables import read_csv

SCHEMA = {"who": "text", "n": "u64", "d": "i64", "t": "f64", "maybe": "u64?"}
TEXT = "who,n,d,t,maybe\na,18446744073709551615,-3,1.5,\nb,0,7,-2e3,4\n"


@pytest.fixture
def write(tmp_path):
    def put(text, name="x.csv"):
        path = tmp_path / name
        path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
        return path

    return put


@pytest.mark.parametrize("name", ["x.csv", "x.csv.gz"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_reads_every_kind(write, name, newline):
    table = read_csv(write(TEXT.replace("\n", newline), name), SCHEMA)
    assert list(table) == list(SCHEMA)
    assert table.n_rows == 2
    assert table["n"].dtype == np.uint64
    assert table["n"].tolist() == [2**64 - 1, 0]
    assert table["d"].dtype == np.int64
    assert table["d"].tolist() == [-3, 7]
    assert table["t"].tolist() == [1.5, -2000.0]
    assert table["maybe"].tolist() == [None, 4]
    assert table["who"].tolist() == ["a", "b"]
    assert table.where(1).endswith(f"{name}:3")
    with pytest.raises(ValueError, match="read-only"):
        table["n"][0] = 1
    assert "m" not in table
    with pytest.raises(InputError, match="no column 'm'"):
        table["m"]


def test_reads_a_table_without_rows(write):
    table = read_csv(write("a,b\n"), {"a": "u64", "b": "text"})
    assert table.n_rows == 0
    assert table["a"].dtype == np.uint64


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("", 1, "empty"),
        ("n,d\n1,2\n", 1, "'who' is missing"),
        (TEXT.replace("maybe", "mybe"), 1, "'mybe' is not known; did you mean 'maybe'"),
        (TEXT.replace("who", "n", 1), 1, "'n' stands twice"),
        (TEXT.replace(",4", ""), 3, "4 cells"),
        (TEXT.replace("\nb", "\n\nb"), 3, "has 0 cells"),
        (TEXT.replace(",0,", ",x0,"), 3, "n is 'x0'"),
        (TEXT.replace(",0,", ",1_0,"), 3, "n is '1_0'"),
        (TEXT.replace(",0,", ",,"), 3, "n is ''"),
        (TEXT.replace(",0,", ",-1,"), 3, "n is '-1', not inside"),
        (TEXT.replace("551615", "551616"), 2, "not inside"),
        (TEXT.replace("1.5", "nan"), 2, "t is 'nan', not a finite number"),
        (TEXT.replace(",7,", ",7.0,"), 3, "d is '7.0', not a whole number"),
        (TEXT[:-1], 3, "cut off"),
    ],
)
def test_broken_tables_name_file_and_line(write, text, line, words):
    path = write(text)
    with pytest.raises(InputError) as caught:
        read_csv(path, SCHEMA)
    assert caught.value.where == f"{path}:{line}"
    assert words in str(caught.value)


def test_broken_files_are_named(write, tmp_path):
    whole = write(TEXT * 200, "x.csv.gz").read_bytes()
    for name, data, words in [
        ("cut.csv.gz", whole[: len(whole) // 2], "too early"),
        ("flipped.csv.gz", whole[:40] + bytes([whole[40] ^ 0xFF]) + whole[41:], "gzip|too early"),
        ("plain.csv.gz", TEXT.encode(), "gzip"),
        ("latin.csv", TEXT.replace("a", "\xe4").encode("latin-1"), "UTF-8"),
    ]:
        (tmp_path / name).write_bytes(data)
        with pytest.raises(InputError, match=words) as caught:
            read_csv(tmp_path / name, SCHEMA)
        assert caught.value.where == str(tmp_path / name)
    with pytest.raises(InputError, match="cannot be read"):
        read_csv(tmp_path / "none.csv", SCHEMA)
