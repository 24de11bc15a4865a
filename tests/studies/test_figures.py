"""Figures of claims and maps: axes with units, boundaries in place, and titles that follow from the data."""

from __future__ import annotations

import numpy as np
import pytest

from tieringmodel import InputError, plot, studies
from tieringmodel.plot.maps import edges_of
from tieringmodel.studies import claims, gain_map, pair_map, quota_map, rfc_five_pages, start_map


@pytest.fixture(scope="module")
def pair():
    return pair_map(cells=(5, 4), delays=(0, 1), windows=2000, starts_bp=(0,), cap_bp=(20.0, 2000.0))


@pytest.fixture(scope="module")
def found():
    return claims()


@pytest.fixture(scope="module")
def quota():
    return quota_map(cells=10, duration_s=200.0)


def title(axes) -> str:
    return axes.ravel()[0].figure.get_suptitle().replace("\n", " ")


def test_maps_name_axes_units_and_boundaries(quota):
    axes = plot.stability_map(quota)
    assert len(axes) == 3
    assert axes[0].get_xlabel() == "Size quota per window [MiB]"
    assert axes[0].get_ylabel() == "Quota reset interval [s]"
    drawn = {t.get_text() for t in axes[0].figure.legends[0].get_texts()}
    assert drawn == set(quota["boundary"].values.tolist())
    # The boundary of the stop rule belongs to the last panel only.
    assert [len(a.lines) for a in axes] == [3, 2, 3]
    assert "CONSIST none" in title(axes)


def test_a_title_changes_with_the_data(quota):
    calm = quota.copy(deep=True)
    calm["class"].values[1] = list(calm["class_name"].values).index("converged")
    assert "CONSIST none" not in title(plot.stability_map(calm))


def test_gain_map_reads_the_first_late_delay():
    ds = gain_map(cells=20, most_delay=3, windows=4000)
    assert "lags 1 window" in title(plot.stability_map(ds))
    ds["class"].values[:] = list(ds["class_name"].values).index("ripple")
    assert "stable at every delay" in title(plot.stability_map(ds))


def test_start_map_draws_error_or_class():
    ds = start_map(cells=9, windows=1000)
    axes = plot.stability_map(ds)
    assert axes[0].figure.axes[-1].get_ylabel() == "Mean share in the tail minus the goal [bp]"
    assert title(axes).startswith("From an empty node CONSIST overshoots its goal by 74 %")
    words = {t.get_text() for a in plot.stability_map(ds, what="class") for t in a.texts}
    assert {"saturated", "wrong-point"} <= words
    for what in ("ripple_bp", "residual_bp", "waste"):
        assert len(plot.stability_map(ds, what=what)) == 3


def test_consist_or_temporal_says_what_the_map_holds(pair):
    axes = plot.consist_or_temporal(pair)
    assert axes.shape == (2, 2)
    assert axes[1, 0].get_xlabel() == "Gap between the goals [bp]"
    assert axes[0, 0].get_ylabel() == "Size quota [bp per window]"
    assert "TEMPORAL rests in 100 %," in title(axes)
    worse = pair.copy(deep=True)
    worse["rests"].values[0] = False
    assert "TEMPORAL rests in 0 %," in title(plot.consist_or_temporal(worse))


def test_claims_are_drawn_one_panel_each(found):
    axes = plot.rfc_claims(found)
    assert len(axes) == 4
    assert title(axes) == "Each of the RFC's 4 claims holds under conditions, none without"
    heads = [a.get_title(loc="left") for a in axes]
    assert heads[0] == "(i) Weights without identity never settle: true in 6 of 9 settings"
    named = {t.get_text() for t in axes[2].texts}
    assert set(found[2].dataset["setting"].values.tolist()) <= named
    for panel in axes:
        assert panel.get_xlabel()
    sure = [c.dataset.copy(deep=True) for c in found]
    for ds in sure[:2]:
        ds["holds"].values[:] = True
    wanted = "Of the RFC's 4 claims 2 hold under conditions, (i), (ii) without, none nowhere"
    assert title(plot.rfc_claims(sure)) == wanted


def test_one_claim_stands_alone(found):
    axes = plot.rfc_claim(found[1].dataset)
    assert axes.get_xlabel() == "Share of node 0 at rest [bp]"


def test_five_pages_counts_readings():
    axes = plot.five_pages(rfc_five_pages())
    assert len(axes) == 10
    assert title(axes) == "Five pages, weights 40 to 60: 6 of 10 readings come to rest, 2 of them at 2 to 3 pages"


def test_readme_figures_are_written(tmp_path, monkeypatch, pair, found):
    monkeypatch.setattr(studies, "claims", lambda: found)
    monkeypatch.setattr(studies, "pair_map", lambda: pair)
    written = plot.write_readme_figures(tmp_path / "figures")
    assert [p.name for p in written] == ["claims.png", "consist_or_temporal.png"]
    assert all(p.stat().st_size > 20_000 for p in written)
    with pytest.raises(InputError, match="is a file"):
        plot.write_readme_figures(written[0])


@pytest.mark.parametrize(
    "draw",
    [plot.stability_map, plot.consist_or_temporal, plot.rfc_claim, plot.five_pages, lambda ds: plot.rfc_claims([ds])],
)
def test_other_datasets_are_refused(draw, quota):
    with pytest.raises(InputError):
        draw(quota.drop_attrs())


def test_nothing_to_draw_is_refused():
    with pytest.raises(InputError, match="empty"):
        plot.rfc_claims([])


def test_an_unknown_measure_is_refused(quota):
    with pytest.raises(InputError, match="no variable 'speed'"):
        plot.stability_map(quota, what="speed")


def test_edges_lie_between_centres():
    assert edges_of(np.array([0, 1, 3]), False).tolist() == [-0.5, 0.5, 2.0, 4.0]
    assert edges_of(np.array([1.0, 4.0]), True) == pytest.approx([0.5, 2.0, 8.0])
