"""Several sources into one hotness, by page and by region."""

from __future__ import annotations

import itertools

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

import tieringmodel as tm
from tieringmodel import InputError
from tieringmodel.hotness.protocol import Reports

h = tm.hotness
A, B = np.array([10.0, 0.0, 4.0]), np.array([2.0, 6.0, 0.0])


def test_the_mean_is_weighted_by_trust_age_and_coverage():
    fused = h.fuse({"a": A, "b": B})
    np.testing.assert_array_equal(fused.rate_hz, [6, 3, 2])
    np.testing.assert_array_equal(fused.confidence, [1, 1, 1])
    fused = h.fuse({"a": A, "b": B}, weights={"a": 3})
    np.testing.assert_array_equal(fused.rate_hz, [8, 1.5, 3])
    # Two half-lives old: a quarter of the say.
    fused = h.fuse({"a": A, "b": B}, age_s={"b": 10.0}, half_life_s=5.0)
    np.testing.assert_allclose(fused.rate_hz, (A + B / 4) / 1.25, rtol=1e-14)
    np.testing.assert_allclose(fused.confidence, 0.625, rtol=1e-14)
    # What a source cannot see it has no say about; what nobody sees is 0 with no confidence.
    fused = h.fuse({"a": A, "b": B}, coverage={"a": [True, False, False], "b": [0.5, 1.0, 0.0]})
    np.testing.assert_allclose(fused.rate_hz, [(10 + 1) / 1.5, 6, 0], rtol=1e-14)
    np.testing.assert_allclose(fused.confidence, [0.75, 0.5, 0], rtol=1e-14)


@given(
    st.lists(
        st.tuples(st.integers(0, 9), st.floats(0.1, 9), st.floats(0, 20), st.sampled_from([0.0, 0.1, 1.0])),
        min_size=1,
        max_size=4,
    ),
    st.floats(0.5, 50),  # at most 2**-40 of a say is left
)
@settings(max_examples=60)
def test_fusion_stays_between_its_sources_and_ignores_their_order(rows, half_life_s):
    names = [f"s{k}" for k in range(len(rows))]
    found = {n: np.array([row[0]]) for n, row in zip(names, rows, strict=True)}
    options = [{n: row[k] for n, row in zip(names, rows, strict=True)} for k in (1, 2, 3)]
    keys = ("weights", "age_s", "coverage")
    fused = h.fuse(found, half_life_s=half_life_s, **dict(zip(keys, options, strict=True)))
    turned = h.fuse(dict(reversed(found.items())), half_life_s=half_life_s, **dict(zip(keys, options, strict=True)))
    seeing = [row[0] for row in rows if row[3]] or [0]
    assert min(seeing) * (1 - 1e-12) <= fused.rate_hz[0] <= max(seeing) * (1 + 1e-12)
    assert (fused.confidence[0] > 0) == any(row[3] for row in rows)
    np.testing.assert_allclose(fused.rate_hz, turned.rate_hz, rtol=1e-12)
    assert 0 <= fused.confidence[0] <= 1 + 1e-12


def test_a_device_and_samples_together_beat_either():
    """A device sees its own node exactly, sparse samples see everything: precision over both nodes."""
    rng = np.random.default_rng(4)
    rate = np.where(rng.random(4000) < 0.2, 40.0, 0.5)
    node = (rng.random(4000) < 0.5).astype(int)
    truth, hot = h.activity(rate, node), h.hot_set(rate)
    device = h.watch(h.source("chmu"), h.activities(truth, "5 s"), seed=1)
    samples = h.watch(h.source("instruction_samples", period_ops=200), h.activities(truth, "5 s"), seed=2)
    fused = h.fuse({"d": device, "s": samples}, weights={"d": 50}, coverage={"d": node == 1})
    recall = [h.score(x.rate_hz, hot).recall for x in (device, samples, fused)]
    assert recall[2] > max(recall[:2]) + 0.05
    assert recall[0] == pytest.approx((node[hot] == 1).mean())


@pytest.mark.parametrize(
    ("call", "where"),
    [
        (lambda: h.fuse({}), "found"),
        (lambda: h.fuse({"a": A}, weights={"b": 1.0}), "weights.b"),
        (lambda: h.fuse({"a": A}, weights={"a": -1.0}), "weights.a"),
        (lambda: h.fuse({"a": A}, weights={"a": 0.0}), "weights"),
        (lambda: h.fuse({"a": A, "b": B[:2]}), "found.b"),
        (lambda: h.fuse({"a": A}, coverage={"a": 1.5}), "coverage.a"),
        (lambda: h.fuse({"a": A}, age_s={"a": [1.0, 2.0]}), "age_s.a"),
        (lambda: h.fuse({"a": A}, half_life_s=0.0), "half_life_s"),
        (lambda: h.by_region(A, [0, 4]), "edges"),
        (lambda: h.by_region(A, [1, 1, 2]), "edges"),
        (lambda: h.region_accesses(h.page_reports([], 1, 1), [0, 3], 0, 0, 20), "sample_us"),
    ],
)
def test_bad_input_names_its_place(call, where):
    with pytest.raises(InputError) as error:
        call()
    assert error.value.where == where


def test_regions_get_the_mean_of_their_pages():
    np.testing.assert_array_equal(h.by_region(np.arange(10.0), [0, 2, 9]), [0.5, 5.0])
    np.testing.assert_array_equal(h.by_region(np.arange(10.0), [3, 4, 10]), [3.0, 6.5])


@given(
    st.lists(st.tuples(st.integers(0, 19), st.integers(1, 8), st.integers(90, 1200)), max_size=15),
    st.sets(st.integers(0, 28), min_size=2, max_size=7),
)
@settings(max_examples=150)
def test_nr_accesses_from_reports(rows, cuts):
    """Against the definition: a sampling interval (start + k S, start + (k+1) S] counts once per region it hits."""
    edges = sorted(cuts)
    reports = Reports(
        np.array([r[0] for r in rows], np.int64), np.array([r[1] for r in rows], np.int64),
        np.ones(len(rows)), np.array([r[2] for r in rows], np.int64),
    )  # fmt: skip
    got = h.region_accesses(reports, edges, 100, 50, 20)
    expected = [
        sum(
            any(100 + k * 50 < t <= 150 + k * 50 and first < hi and lo < first + pages for first, pages, t in rows)
            for k in range(20)
        )
        for lo, hi in itertools.pairwise(edges)
    ]
    assert got.tolist() == expected
    assert got.dtype == np.uint32
