"""Figures: what they draw, say and refuse. How they look is for eyes."""

from __future__ import annotations

import subprocess
import sys
from functools import cache
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.testing import assert_allclose, assert_array_equal
from small import pull, push, scenario

import tieringmodel as tm
from tieringmodel import plot
from tieringmodel.errors import InputError
from tieringmodel.plot.files import KINDS, figure, lay_out, slug
from tieringmodel.plot.flows import running_mean
from tieringmodel.plot.roles import listed, looks, role_of
from tieringmodel.plot.style import spread

POLICY_FIGURES = ("share", "share_panels", "migration_rate", "summary", "regions")


@cache
def simulated() -> xr.Dataset:
    return tm.simulate(scenario(pull(), push()), duration="4 s", seed=1, progress=False)


@cache
def demanding() -> xr.Dataset:
    """A run whose workload follows its memory."""
    nodes = tm.Performance(nodes=[tm.NodeCurve(90, 49), tm.NodeCurve(190, 17)])
    machine = tm.Machine.dram_cxl("32 MiB", "32 MiB", performance=nodes)
    sc = scenario(pull(), machine=machine, demand={"threads": 8, "outstanding": 4})
    return tm.simulate(sc, duration="1 s", seed=1, progress=False)


def drawn(name: str, comparison: xr.Dataset, run: xr.Dataset) -> Figure:
    return figure(name, comparison if name in POLICY_FIGURES else demanding() if name == "closed_loop" else run)


@pytest.mark.parametrize(
    "name", [name for name in KINDS if name != "sweep_map" and "tuning" not in name]
)  # whose names carry units
def test_axes_have_units_and_figures_a_message(name: str, comparison: xr.Dataset, run: xr.Dataset) -> None:
    made = drawn(name, comparison, simulated() if name in ("course", "returns", "spectrum") else run)
    titles = [made.get_suptitle(), *(a.get_title(loc="left") for a in made.axes)]
    assert any(len(t) > 15 for t in titles)
    for axes in made.axes:
        grid = axes.get_subplotspec()
        if not axes.has_data() or grid is None:
            continue
        if grid.is_last_row() or name == "regions":
            assert axes.get_xlabel().endswith("]") or axes.get_label() == "<colorbar>"
        if name != "summary" and grid.is_first_col():
            assert "[" in axes.get_ylabel()


def test_a_sweep_without_a_number_is_drawn_where_its_settings_are() -> None:
    """Settings of which none settles, or all are still: what stands beside the axes would leave them no room."""
    ds = tm.sweep(scenario(pull(), groups=()), {"seed": [5, 7]}, duration="5 ms", progress=False)
    for measure in ("settling_s", "share_mean_bp"):
        made = figure("sweep_map", ds, measure=measure)
        assert made.axes[0].get_xlim() == pytest.approx((4.9, 7.1))
        lay_out(made)  # a warning is an error


def test_every_policy_has_its_own_look(comparison: xr.Dataset) -> None:
    policies = [str(p) for p in comparison["policy"].values] + ["goal: other", "weights: a", "weights: b"]
    made = looks(policies)
    assert len({(look.colour, look.dashes) for look in made}) == len(policies)
    recorded, goal = made[policies.index("recorded kernel")], made[0]
    assert recorded.colour == "ink"
    assert recorded.width > goal.width > max(k.width for p, k in zip(policies, made, strict=True) if p.startswith("w"))
    assert [role_of(p) for p in policies[:3]] == ["goal", "recorded", "weights"]
    assert {role_of(p) for p in policies[8:12]} == {"baseline"}


def test_share_draws_all_values_and_the_target(comparison: xr.Dataset) -> None:
    axes = figure("share", comparison).axes[0]
    lines = {line.get_label(): line for line in axes.lines if not line.get_label().startswith("_")}
    assert list(lines) == list(comparison["policy"].values)
    for name, line in lines.items():
        assert_array_equal(line.get_ydata(), comparison["share_bp"].sel(policy=name).values)
    target = next(line for line in axes.lines if line.get_label() == "_target")
    assert_array_equal(target.get_ydata(), [6000, 6000])
    texts = {t.get_text() for t in axes.texts}
    assert texts == {*comparison["policy"].values, "TARGET 6000 bp"}
    assert axes.get_ylabel() == "Share of accesses served by node 0 [bp]"


def test_message_counts_all_but_baselines(comparison: xr.Dataset) -> None:
    def title(ds: xr.Dataset) -> str:
        return figure("share", ds).axes[0].get_title(loc="left").replace("\n", " ")

    assert title(comparison) == "1 of 8 policies comes to rest at the target: vma_offset"
    none = comparison.assign(settled=("policy", np.zeros(12, bool)))
    assert title(none) == "None of 8 policies comes to rest at the target"
    # A file holds truth values as small integers.
    every = comparison.assign(settled=("policy", np.ones(12, np.int8)))
    assert title(every) == "All 8 policies come to rest at the target"


def test_policies_without_values_are_left_out(comparison: xr.Dataset) -> None:
    ds = comparison.copy(deep=True)
    for name in ("share_bp", "migrated_mib_s", "residual_mib_s", "share_error_bp", "settling_s"):
        ds[name][0] = np.nan
    ds["share_bp"][1, 60:] = np.nan
    ds["target_bp"] = np.nan
    share = figure("share", ds).axes[0]
    assert len(share.lines) == 11
    assert {t.get_text() for t in share.texts} == set(ds["policy"].values[1:])
    assert len(figure("migration_rate", ds).axes[0].lines) == 11
    panels = figure("share_panels", ds).axes
    assert [a.get_title(loc="left").split("\n")[0] for a in panels[:7]] == list(ds["policy"].values[1:8])
    left, right = figure("summary", ds).axes
    assert left.texts[0].get_text() == right.texts[0].get_text() == "–"
    assert len([line for line in left.lines if line.get_marker() == "o"]) == 11


def test_everything_missing_is_still_a_figure(comparison: xr.Dataset) -> None:
    ds = comparison.copy(deep=True)
    for name in ("share_bp", "migrated_mib_s", "residual_mib_s", "share_error_bp"):
        ds[name][:] = np.nan
    for name in ("share", "migration_rate", "summary"):
        figure(name, ds)
    with pytest.raises(InputError, match="no policy has a share"):
        figure("share_panels", ds)


def test_panels_tell_what_became_of_each(comparison: xr.Dataset) -> None:
    titles = [a.get_title(loc="left") for a in figure("share_panels", comparison).axes]
    assert titles[2] == "weights: vma_offset\nsettled after 12 s"
    assert titles[0].endswith("\nripple")
    assert figure("share_panels", comparison).get_suptitle() == "Outcomes: 1 settled and 7 ripple"


def test_summary_fills_the_dots_of_the_settled(comparison: xr.Dataset) -> None:
    left, right = figure("summary", comparison).axes
    for panel in (left, right):
        dots = {line.get_label(): line for line in panel.lines if line.get_marker() == "o"}
        filled = {name for name, dot in dots.items() if dot.get_markerfacecolor() != "none"}
        assert filled == {"weights: vma_offset", "static interleave", "oracle"}
    assert [t.get_text() for t in left.get_yticklabels()] == list(comparison["policy"].values)


def test_running_mean_by_hand() -> None:
    time = np.array([0.0, 1.0, 2.0, 3.0, 10.0])
    values = np.array([[0.0, 3.0, 6.0, 9.0, 5.0], [1.0, np.nan, 3.0, np.nan, np.nan]])
    expected = [[1.5, 3.0, 6.0, 7.5, 5.0], [1.0, np.nan, 3.0, np.nan, np.nan]]
    assert_allclose(running_mean(time, values, 2.0), expected, rtol=1e-15)


def test_migration_rate_states_its_window(comparison: xr.Dataset) -> None:
    axes = figure("migration_rate", comparison, window_s=4).axes[0]
    assert axes.get_ylabel() == "Migrated [MiB/s], mean over 4 s"
    still = next(line for line in axes.lines if line.get_label() == "weights: iid")
    assert_allclose(still.get_ydata(), 1.0)
    for bad in (0, -1, np.nan):
        with pytest.raises(InputError, match="window_s"):
            plot.migration_rate(comparison, window_s=bad)


@given(st.lists(st.floats(0, 1), max_size=20).map(sorted), st.floats(0.001, 0.04))
def test_labels_do_not_overlap(wanted: list[float], gap: float) -> None:
    places = spread(np.array(wanted), gap)
    assert (np.diff(places) >= gap - 1e-12).all()
    assert ((places >= 0) & (places <= 1 + 1e-12)).all()
    if (np.diff(wanted) >= gap).all():
        assert_allclose(places, wanted, atol=1e-12)


def test_draws_on_axes_it_is_given(comparison: xr.Dataset, run: xr.Dataset) -> None:
    mine = Figure().subplots(2, 1)
    assert plot.share(comparison, ax=mine[0]) is mine[0]
    assert list(plot.esz(run, ax=mine)) == list(mine)
    with pytest.raises(InputError, match="1 axes are too few; pass 2"):
        plot.esz(run, ax=mine[0])
    with pytest.raises(InputError, match="not an Axes"):
        plot.share(comparison, ax=3)


def test_makes_a_figure_of_its_own_otherwise(comparison: xr.Dataset) -> None:
    from matplotlib import pyplot as plt

    axes = plot.share_panels(comparison)
    assert axes.shape == (8,)
    assert all(isinstance(a, Axes) for a in axes)
    assert plt.get_fignums()
    assert axes[0].figure.get_figwidth() == 8


def test_esz_tells_when_quotas_are_open(run: xr.Dataset) -> None:
    made = figure("esz", run)
    assert made.get_suptitle() == "Quotas of a page or more: scheme 0 in 50 % and scheme 1 in 50 % of the records"
    upper, lower = made.axes
    assert np.isnan(lower.lines[1].get_ydata()[0]), "no score before the first evaluation"
    assert upper.get_yscale() == "linear"
    tiny = run.copy(deep=True)
    tiny["esz_bytes"][0] = 1
    assert figure("esz", tiny).axes[0].get_yscale() == "symlog"


def test_occupancy_counts_pages(run: xr.Dataset) -> None:
    axes = figure("occupancy", run).axes[0]
    assert axes.get_title(loc="left") == "Node 0 gains 29,800 pages (116.4 MiB)"
    assert_array_equal(axes.lines[1].get_ydata(), run["used_pages"].sel(node=0).values)


def test_odd_names_are_drawn_as_they_are(comparison: xr.Dataset) -> None:
    names = ["a $x_$ b", "$", "<b>", "two\nlines", "x" * 90, *comparison["policy"].values[5:]]
    made = figure("share", comparison.assign_coords(policy=names))
    made.canvas.draw()
    texts = [t.get_text() for t in made.axes[0].texts]
    assert "two lines" in texts
    assert max(map(len, texts)) <= 40


def test_missing_variables_are_named(comparison: xr.Dataset) -> None:
    with pytest.raises(InputError, match=r"no variable 'share_bp'; pass what tieringmodel\.compare returns"):
        plot.share(comparison.drop_vars("share_bp"))
    with pytest.raises(InputError, match="a dict is not a dataset"):
        plot.summary({})  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"'pie' is no figure; known: share"):
        figure("pie", comparison)


def test_save_figures(comparison: xr.Dataset, tmp_path: Path) -> None:
    folder = tmp_path / "new"
    paths = plot.save_figures(comparison, folder)
    names = ("share", "migration_rate", "regions", "summary")
    assert [p.name for p in paths] == [f"made-up-1-{n}.png" for n in names]
    for path in paths:
        head = path.read_bytes()[:24]
        assert head[:8] == b"\x89PNG\r\n\x1a\n"
        assert int.from_bytes(head[16:20], "big") == 8 * 150
    without = comparison.drop_dims(["region", "snapshot"])
    with mpl.rc_context({"savefig.dpi": 20}):
        assert "regions" not in [p.stem.split("-")[-1] for p in plot.save_figures(without, folder)]
    with pytest.raises(InputError, match="is a file"):
        plot.save_figures(comparison, paths[0])


def test_words() -> None:
    assert listed([]) == ""
    assert listed(["a"]) == "a"
    assert listed(["a", "b", "c"]) == "a, b and c"
    assert listed(["a", "b", "c", "d"]) == "a, b and 2 more"
    assert slug("../A b") == "a-b"
    assert slug("") == "comparison"


def test_nothing_heavy_before_something_is_drawn() -> None:
    code = (
        "import sys, tieringmodel.plot, tieringmodel.reports, tieringmodel.reports.text_of_comparison;"
        "print([m for m in ('matplotlib', 'xarray', 'numba', 'scipy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
