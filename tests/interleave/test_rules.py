"""Each rule where its outcome is known exactly, the RFC's five pages first."""

import json

import numpy as np
import pytest

from tieringmodel.errors import InputError
from tieringmodel.interleave import ping_pong, run
from tieringmodel.interleave.rules import leaving_counts
from tieringmodel.interleave.setup import ALLOCATORS, RULES, Setup

FIVE = {"weights": (40, 60), "n_pages": 5}


@pytest.mark.parametrize(
    ("rule", "rounds", "moved", "on_node_0"),
    [
        ("last", 4, [0, 3, 0, 0, 0], [5, 2, 2, 2, 2]),
        ("first", 4, [0, 3, 4, 4, 4], [5, 2, 2, 2, 2]),
        ("per_node", 4, [0, 3, 2, 2, 2], [5, 2, 2, 2, 2]),
        ("push_only", 3, [0, 3, 1, 1], [5, 2, 1, 0]),
        ("vma_offset", 2, [0, 0, 0], [5, 5, 5]),
    ],
)
def test_the_five_pages_of_the_rfc(rule, rounds, moved, on_node_0):
    ds = run(rule, rounds=rounds, **FIVE)
    assert ds.moved.values.tolist() == moved
    assert ds.occupancy.values[:, 0].tolist() == on_node_0


def test_first_iteration_of_the_rfc_picks_the_three_highest_frames():
    assert run("last", rounds=1, **FIVE)["node"].values[1].tolist() == [0, 0, 1, 1, 1]


@pytest.mark.parametrize(("rule", "settles"), [("first", True), ("last", False)])
def test_order_of_the_nodes_in_memory_swaps_first_and_last(rule, settles):
    """Starting on the node with the high frames is the example in a mirror: 40 % leave it."""
    ds = run(rule, (40, 60), 5, 4, start_node=1)
    expected = {"first": [0, 2, 4, 4, 4], "last": [0, 2, 0, 0, 0]}[rule]
    assert ds.moved.values.tolist() == expected
    mirrored = run(rule, (60, 40), 5, 4)
    assert mirrored.moved.values.tolist() == expected
    assert settles == (rule == "first")


def test_first_moves_four_fifths_of_a_thousand_pages_for_ever():
    assert run("first", (40, 60), 1000, 20).moved.values.tolist() == [0, 600, *[800] * 19]


@pytest.mark.parametrize(
    ("weights", "n_pages", "vma_start", "stride", "counts"),
    [
        ((2, 3), 1003, 0, 1, [402, 601]),
        ((40, 60), 5, 0, 1, [5, 0]),
        ((2, 3), 5, 0, 1, [2, 3]),
        ((40, 60), 5, 38, 1, [2, 3]),
        ((2, 3), 1000, 0, 5, [1000, 0]),
        ((2, 3), 1000, 3, 5, [0, 1000]),
        ((1, 0, 2), 9, 1, 1, [3, 0, 6]),
        ((2, 3), 3, 2**64 - 3, 1, [1, 2]),
    ],
)
def test_vma_offset_counts_and_second_pass(weights, n_pages, vma_start, stride, counts):
    ds = run("vma_offset", weights, n_pages, 2, vma_start=vma_start, stride=stride)
    assert ds.occupancy.values[1].tolist() == ds.occupancy.values[2].tolist() == counts
    assert ds.moved.values.tolist() == [0, n_pages - counts[0], 0]


def test_vma_offset_with_a_quota_settles_after_every_page_was_drawn_once():
    ds = run("vma_offset", (2, 3), 1000, 400, share_per_round=0.1, seed=5)
    assert ds.occupancy.values[-1].tolist() == [400, 600]
    assert ds.moved.values.sum() == 600


def test_pfn_mod_reads_the_frame_of_the_node_it_is_on():
    """Node 1's frames begin at 7, so a page that arrives on frame 7 = 2 mod 5 is at home there."""
    ds = run("pfn_mod", (2, 3), 7, 3, frames=(7, 10))
    # Pages on frames 2, 3, 4 leave for 7, 8, 9 (2, 3, 4 mod 5): settled at once.
    assert ds["node"].values[1].tolist() == [0, 0, 1, 1, 1, 0, 0]
    assert ds.moved.values.tolist() == [0, 3, 0, 0]


def test_fresh_frames_run_out():
    with pytest.raises(InputError, match=r"frames\[0\]: all 6 frames of node 0 have been used by round 2"):
        run("first", (40, 60), 5, 9, frames=(6, 100))
    with pytest.raises(InputError, match=r"frames\[1\]: all 70 frames of node 1"):
        run("iid", (1, 1), 100, 9, frames=(10_000, 70))


@pytest.mark.parametrize("allocator", ["fifo", "lifo", "random"])
def test_without_a_free_frame_the_page_stays_and_is_not_counted(allocator):
    ds = run("vma_offset", (2, 3), 10, 2, frames=(10, 4), allocator=allocator)
    assert ds.moved.values.tolist() == [0, 4, 0]
    assert ds.occupancy.values[-1].tolist() == [6, 4]
    # The lowest old frames went first: pages 2, 3, 4, 7 of the six that wanted to.
    assert np.flatnonzero(ds["node"].values[1]).tolist() == [2, 3, 4, 7]


def test_frames_freed_in_a_round_do_not_serve_the_same_round():
    """In round 2 the page on node 0's only frame leaves first, yet the one that wants in has to wait."""
    ds = run("first", (1, 1), 2, 3, frames=(1, 2), start_node=1, allocator="fifo")
    assert ds["node"].values.tolist() == [[1, 1], [1, 0], [1, 1], [1, 0]]
    assert ds.moved.values.tolist() == [0, 1, 1, 1]


def test_leaving_counts_round_half_up_and_never_exceed_the_pages():
    assert leaving_counts(5, 0, (40, 60)) == [2, 3]
    assert leaving_counts(2, 0, (40, 60)) == [1, 1]
    assert leaving_counts(3, 1, (40, 60)) == [1, 2]
    assert leaving_counts(1, 0, (1, 1)) == [0, 1]
    assert leaving_counts(1, 0, (0, 1, 1)) == [0, 1, 0]
    assert leaving_counts(10, 1, (1, 1, 2)) == [3, 2, 5]


def test_a_rest_keeps_moved_pages_out_for_exactly_that_many_rounds():
    """Every page wants to leave whenever it is dealt: it moves once in R + 1 rounds."""
    ds = run("first", (1, 1), 2, 12, refractory=3, allocator="fifo")
    # Two pages, k = 1: the one on node 0 leaves; from then on both stand where `first` wants them swapped.
    node = ds["node"].values
    for page in range(2):
        moves = np.flatnonzero(node[1:, page] != node[:-1, page])
        assert np.all(np.diff(moves) >= 4)


def test_rest_of_a_pushed_page():
    ds = run("per_node", (0, 1, 0), 6, 9, refractory=2)
    assert ds.moved.values.tolist() == [0, 6, *[0] * 8]


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("allocator", ALLOCATORS)
def test_one_seed_one_result(rule, allocator):
    arguments = {"allocator": allocator, "share_per_round": 0.5, "refractory": 1}
    a = run(rule, (3, 5), 300, 12, seed=7, **arguments)
    b = run(rule, (3, 5), 300, 12, seed=7, **arguments)
    c = run(rule, (3, 5), 300, 12, seed=8, **arguments)
    assert a.identical(b)
    assert not np.array_equal(a["node"].values, c["node"].values)


def test_share_deals_a_fixed_count_rounded_half_up():
    assert Setup("iid", (1, 1), 50, 1, share_per_round=0.29).dealt_pages == 15
    assert Setup("iid", (1, 1), 5, 1, share_per_round=0.5).dealt_pages == 3
    ds = run("pfn_mod", (0, 1), 1000, 3, share_per_round=0.25, seed=1)
    # Whoever is dealt and still on node 0 leaves: 250 in the first round, later ones may draw settled pages.
    assert ds.moved.values[1] == 250
    assert (ds.moved.values[2:] <= 250).all()
    assert run("iid", (1, 1), 10, 5, share_per_round=0.0).moved.values.sum() == 0


def test_dataset_carries_units_sources_and_parameters():
    ds = run("iid", (40, 60), 100, 3, seed=2)
    for name in ds.variables:
        assert {"long_name", "units", "source"} <= ds[name].attrs.keys(), name
    assert ds.occupancy.dims == ("round", "node")
    assert ds["node"].dims == ("round", "page")
    assert (ds.occupancy.dtype, ds.moved.dtype, ds["node"].dtype) == (np.int64, np.int64, np.uint8)
    assert ds.attrs["kind"] == "interleave"
    parameters = json.loads(ds.attrs["parameters"])
    again = run(**parameters)
    assert again.identical(ds)
    assert ds.occupancy.sel(node=0).values[0] == 100


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rule": "dice"}, "rule: 'dice' is not known; use one of iid, pfn_mod"),
        ({"allocator": "buddy"}, "allocator: 'buddy' is not known"),
        ({"weights": ()}, "weights: 0 weights"),
        ({"weights": (0, 0)}, r"weights: \[0, 0\] add up to 0"),
        ({"weights": (1, -1)}, r"weights\[1\]: -1 is outside"),
        ({"weights": (0.4, 0.6)}, r"weights\[0\]: 0.4 is not a whole number"),
        ({"weights": "46"}, "weights: '46' is not a sequence"),
        ({"weights": 46}, "weights: 46 is not a sequence"),
        ({"weights": (2**31, 2**31)}, "weights: .* add up to 4294967296"),
        ({"rule": "first", "weights": (1, 1, 1)}, "rule: 'first' splits pages between two nodes, not 3"),
        ({"n_pages": 0}, "n_pages: 0 is outside"),
        ({"weights": {0: 40, 1: 60}}, "weights: {0: 40, 1: 60} is not a sequence"),
        ({"weights": {40, 60}}, "weights: {.*} is not a sequence"),
        ({"n_pages": 10.5}, "n_pages: 10.5 is not a whole number"),
        ({"n_pages": float("inf")}, "n_pages: inf is not a whole number"),
        ({"rounds": -1}, "rounds: -1 is outside"),
        ({"rounds": True}, "rounds: True is not a whole number"),
        ({"start_node": 2}, r"start_node: 2 is outside 0\.\.1"),
        ({"stride": 0}, "stride: 0 is below 1"),
        ({"vma_start": 2**64 - 3}, "vma_start: the last page's offset"),
        ({"share_per_round": 1.5}, "share_per_round: 1.5 is not a share"),
        ({"share_per_round": float("nan")}, "share_per_round: nan"),
        ({"share_per_round": "all"}, "share_per_round: 'all'"),
        ({"refractory": -1}, "refractory: -1 is outside"),
        ({"seed": -1}, "seed: -1 is below 0"),
        ({"frames": (100,)}, "frames: 1 counts for 2 weights"),
        ({"frames": (9, 100)}, r"frames\[0\]: 9 frames cannot hold the 10 pages"),
        ({"frames": (2**61, 2**62)}, "frames: .* frames in all"),
    ],
)
def test_bad_arguments_are_named(change, message):
    arguments = {"rule": "iid", "weights": (40, 60), "n_pages": 10, "rounds": 2} | change
    with pytest.raises(InputError, match=message):
        run(**arguments)


def test_ping_pong_refuses_what_it_cannot_count():
    ds = run("iid", (40, 60), 100, 10)
    for arguments, where in [
        ({"within": 0}, "within"),
        ({"within": 9}, "within"),
        ({"within": 2, "skip": 8}, "within"),
    ]:
        with pytest.raises(InputError, match=where):
            ping_pong(ds, **arguments)
    with pytest.raises(InputError, match="skip"):
        ping_pong(ds, 1, skip=-1)
    with pytest.raises(InputError, match="ds: holds neither"):
        ping_pong(ds.drop_vars("node"), 1)
    assert ping_pong(run("last", (40, 60), 100, 10), 3) == 0.0
    assert ping_pong(ds, 8, skip=1) > 0.9


def test_whole_numbers_may_be_written_as_floats():
    assert run("iid", (2.0, 3.0), 1e3, 4.0).identical(run("iid", (2, 3), 1000, 4))
