"""From ragged region snapshots to a grid: exact on cases small enough to do by hand."""

from __future__ import annotations

import json

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from tieringmodel.errors import InputError
from tieringmodel.plot import heatmap
from tieringmodel.plot.files import figure
from tieringmodel.plot.snapshots import Ragged, covered_bytes, rasterise, regions_of, time_edges, widest_area

NAN = np.nan


def tiny() -> xr.Dataset:
    """Three snapshots with 2, 0 and 3 regions on addresses 0 … 64; sizes are powers of two, so sums are exact."""
    return xr.Dataset(
        {
            "region_count": ("snapshot", [2, 0, 3]),
            "region_start": ("region", np.array([0, 32, 8, 16, 48], np.uint64)),
            "region_end": ("region", np.array([16, 64, 16, 24, 64], np.uint64)),
            "region_nr_accesses": ("region", np.array([4, 8, 2, 6, 0], np.uint32)),
        },
        coords={"snapshot_time": ("snapshot", [1.0, 2.0, 3.5])},
        attrs={"samples_per_aggr": 8},
    )


def test_rasterise_by_hand() -> None:
    grid = rasterise(regions_of(tiny(), 0), np.array([0.0, 16.0, 32.0, 48.0, 64.0]))
    # Columns are snapshots. Cell 0 of the last is half covered by the region with 2 accesses; cell 1 half by 6.
    assert_array_equal(grid, [[4, NAN, 2], [NAN, NAN, 6], [8, NAN, NAN], [8, NAN, 0]])


def test_rasterise_weighs_by_bytes_within_a_cell() -> None:
    grid = rasterise(regions_of(tiny(), 0), np.array([0.0, 32.0, 64.0]))
    assert_array_equal(grid, [[4, NAN, 4], [8, NAN, 0]])
    start, end, value = np.array([0.0, 8.0]), np.array([8.0, 32.0]), np.array([8.0, 4.0])
    uneven = Ragged(np.array([0, 0]), start, end, value, np.array([1.0]))
    assert_array_equal(rasterise(uneven, np.array([0.0, 32.0])), [[(8 * 8 + 24 * 4) / 32]])


def test_rasterise_leaves_out_what_lies_beyond_the_edges() -> None:
    grid = rasterise(regions_of(tiny(), 0), np.array([16.0, 32.0, 48.0]))
    assert_array_equal(grid, [[NAN, NAN, 6], [8, NAN, NAN]])


@given(st.lists(st.tuples(st.integers(1, 50), st.integers(0, 20)), min_size=1, max_size=30), st.integers(1, 40))
def test_rasterise_agrees_with_single_bytes(pieces: list[tuple[int, int]], cells: int) -> None:
    ends = np.cumsum([size for size, _ in pieces]).astype(float)
    value = np.array([v for _, v in pieces], float)
    regions = Ragged(np.zeros(ends.size, np.int64), np.concatenate([[0.0], ends[:-1]]), ends, value, np.array([1.0]))
    edges = np.linspace(0, ends[-1], cells + 1)
    per_byte = np.repeat(value, [size for size, _ in pieces])
    integral = np.interp(edges, np.arange(per_byte.size + 1), np.concatenate([[0], np.cumsum(per_byte)]))
    # Both sides add up at most 1500 numbers below 20 in float64.
    assert_allclose(rasterise(regions, edges)[:, 0], np.diff(integral) / np.diff(edges), atol=1e-9)


def test_a_column_ends_with_its_snapshot() -> None:
    assert_array_equal(time_edges(np.array([1.0, 2.0, 3.5])), [0, 1, 2, 3.5])
    assert_array_equal(time_edges(np.array([5.0, 6.0])), [4, 5, 6])
    assert_array_equal(time_edges(np.array([5.0])), [0, 5])


def test_far_areas_are_not_drawn_together() -> None:
    start = np.array([0.0, 10.0, 1000.0, 1000.0])
    end = np.array([10.0, 30.0, 1050.0, 1060.0])
    regions = Ragged(np.array([0, 0, 0, 1]), start, end, start, np.array([1.0, 2.0]))
    assert widest_area(regions) == (1000, 1060)
    near = regions._replace(start=start - [0, 0, 900, 900], end=end - [0, 0, 900, 900])
    assert widest_area(near) == (0, 160)


def test_heatmap_draws_shares_of_the_samples() -> None:
    made = figure("regions", tiny(), rows=4)
    mesh = made.axes[0].collections[0]
    drawn = np.ma.filled(mesh.get_array().astype(float), NAN).reshape(4, 3)
    assert_array_equal(drawn, np.array([[4, NAN, 2], [NAN, NAN, 6], [8, NAN, NAN], [8, NAN, 0]]) / 8)
    assert mesh.get_clim() == (0, 1)


def test_heatmap_marks_nodes_and_takes_one_context(run: xr.Dataset) -> None:
    axes = figure("regions", run, context=1).axes[0]
    mesh = axes.collections[0]
    assert mesh.get_array().shape == (400, 2)
    boundaries = [line.get_ydata()[0] for line in axes.lines if line.get_label() == "_node boundary"]
    assert set(boundaries) == {640}
    assert [t.get_text() for t in axes.texts] == ["node 0", "node 1"]
    assert axes.get_ylabel() == "Physical address [MiB]"


def two_contexts(run: xr.Dataset) -> xr.Dataset:
    """The run with a second context of the same kind in its scenario."""
    told = json.loads(run.attrs["scenario"])
    told["contexts"] *= 2
    return run.assign_attrs(scenario=json.dumps(told))


def test_heatmap_shows_every_context_and_says_which(run: xr.Dataset) -> None:
    made = figure("regions", two_contexts(run), rows=8)
    panels = [axes for axes in made.axes if axes.get_title(loc="left")]
    assert [axes.get_title(loc="left") for axes in panels] == ["Context 0 (paddr)", "Context 1 (paddr)"]
    drawn = [np.ma.filled(axes.collections[0].get_array().astype(float), NAN) for axes in panels]
    assert [d.size for d in drawn] == [16, 16]
    alone = figure("regions", two_contexts(run), rows=8, context=1).axes[0].collections[0]
    assert_array_equal(np.ma.filled(alone.get_array().astype(float), NAN), drawn[1])
    assert len(heatmap(two_contexts(run))) == 2
    with pytest.raises(InputError, match="1 axes are too few; pass 2"):
        heatmap(two_contexts(run), ax=panels[0])


def test_the_headline_counts_hot_bytes_of_all_contexts_and_nodes_once() -> None:
    start, end = np.array([10.0, 0.0, 5.0, 100.0]), np.array([20.0, 10.0, 12.0, 130.0])
    assert covered_bytes(start, end) == 50
    assert covered_bytes(start, end, 0, 15) == 15
    assert covered_bytes(start, end, 110, 120) == 10
    assert covered_bytes(np.zeros(0), np.zeros(0)) == 0
    mib = 1 << 20
    nodes = [{"nid": 4, "start_bytes": 0, "sz_bytes": 64 * mib}, {"nid": 7, "start_bytes": 64 * mib, "sz_bytes": 64 * mib}]
    ds = xr.Dataset(
        {
            "region_count": ("snapshot", [1, 2, 1]),
            "region_start": ("region", np.array([0, 0, 64, 32], np.uint64) * mib),
            "region_end": ("region", np.array([16, 8, 80, 72], np.uint64) * mib),
            "region_nr_accesses": ("region", np.array([20, 20, 20, 20], np.uint32)),
        },
        coords={"snapshot_time": ("snapshot", [1.0, 1.0, 2.0]), "snapshot_context": ("snapshot", [0, 1, 1])},
        attrs={"scenario": json.dumps({"machine": {"nodes": nodes}, "contexts": [{}, {}]}), "samples_per_aggr": 20},
    )
    # Context 0 has one snapshot, its first and its last; both contexts see the first 8 MiB.
    text = figure("regions", ds).get_suptitle().replace("\n", " ")
    assert text.startswith(
        "Hot at first: 16 MiB on node 4 and 16 MiB on node 7; at last: 48 MiB on node 4 and 8 MiB on node 7 "
    )


def test_heatmap_multiplies_by_the_address_unit(run: xr.Dataset) -> None:
    doubled = run.assign_attrs(scenario=run.attrs["scenario"].replace('"schemes"', '"addr_unit": 2, "schemes"'))
    assert regions_of(doubled, 0).end.max() == 2 * regions_of(run, 0).end.max()


def test_refusals(run: xr.Dataset) -> None:
    with pytest.raises(InputError, match="context: 5 has no region snapshot"):
        heatmap(run, context=5)
    with pytest.raises(InputError, match="rows: 0 is not positive"):
        heatmap(run, rows=0)
    with pytest.raises(InputError, match="adds up to 24, but there are 3 regions"):
        heatmap(run.isel(region=slice(0, 3)))
    with pytest.raises(InputError, match="no variable 'region_count'"):
        heatmap(run.drop_vars("region_count"))
