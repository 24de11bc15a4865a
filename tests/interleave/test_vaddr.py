"""One folio under vaddr operations: every golden row, and the cases a user may get wrong."""

import csv
import gzip

import pytest

from tieringmodel.datafiles import data_path
from tieringmodel.errors import InputError
from tieringmodel.interleave import vaddr_dest_index


def split(text):
    return [int(x) for x in text.split(";")] if text else []


def test_every_golden_row():
    checked = 0
    with gzip.open(data_path("golden", "vaddr_dests.csv.gz"), "rt") as file:
        for row in csv.DictReader(file):
            numbers = [int(row[name]) for name in ("vm_pgoff", "vm_start", "addr", "order", "folio_nid")]
            nodes = split(row["nodes"])
            index = vaddr_dest_index(*numbers, nodes, split(row["weights"]))
            assert index == int(row["dest_index"]), row
            if int(row["dest_node"]) >= 0:
                assert nodes[index] == int(row["dest_node"]), row
            checked += 1
    assert checked == 5000


def test_a_huge_folio_and_its_pages_do_not_share_one_sequence():
    def index(order, addr):
        return vaddr_dest_index(0, 0, addr, order, 9, (0, 1), (2, 3))

    assert [index(9, k << 21) for k in range(5)] == [0, 0, 1, 1, 1]
    assert [index(0, k << 21) for k in range(5)] == [k * 512 % 5 >= 2 for k in range(5)]


def test_left_alone():
    assert vaddr_dest_index(0, 4096, 4096, 0, 1, (1, 0), (2, 3)) == -1
    assert vaddr_dest_index(0, 4096, 4096, 0, 0, (1, 0), (2, 3)) == 0
    assert vaddr_dest_index(0, 4096, 4096, 0, 0, (1, 0), (0, 0)) == -1
    assert vaddr_dest_index(0, 4096, 4096, 0, 0, (), ()) == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, 8192, 4096, 0, 0, (0, 1), (2, 3)), "addr: 0x1000 is below"),
        ((0, 0, 0, 64, 0, (0, 1), (2, 3)), "order: 64 is outside"),
        ((0, 0, 2**64, 0, 0, (0, 1), (2, 3)), "addr: .* is outside"),
        ((0, 0, 0, 0, 0, (0, 1), (2,)), "weights: 1 for 2 nodes"),
        ((0, 0, 0, 0, 0, (0, 1), (2, 2**32)), r"weights\[1\]"),
        ((0, 0, 0, 0, 0, (0, 2**32), (2, 3)), r"nodes\[1\]"),
        ((0.5, 0, 0, 0, 0, (0, 1), (2, 3)), "vm_pgoff: 0.5 is not a whole number"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(InputError, match=message):
        vaddr_dest_index(*arguments)
