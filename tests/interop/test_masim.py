"""masim configurations: what they say reaches the groups, and what they cannot say is refused by file and line."""

from __future__ import annotations

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

import tieringmodel as tm
from tieringmodel.datafiles import data_path
from tieringmodel.errors import InputError
from tieringmodel.interop.workloads.masim import (
    MasimConfig,
    MasimPattern,
    MasimPhase,
    MasimRegion,
    parse_masim,
    stairs,
    tiering_test,
    zigzag,
)

TEXT = """# regions: name, length, initial data
a, 40960, none
b, 8192
# c, 4096

# first phase
mixed phase
1000
# patterns
a, 1, 64, 30, ro
b, 0, 4096, 10

second
500
b, 1, 0, 1, rw
"""


def test_fields_and_comments():
    config = parse_masim(TEXT)
    assert config.regions == (MasimRegion("a", 40960), MasimRegion("b", 8192))
    assert config.phases == (
        MasimPhase("mixed phase", 1000, (MasimPattern("a", True, 64, 30, "ro"), MasimPattern("b", False, 4096, 10, "wo"))),
        MasimPhase("second", 500, (MasimPattern("b", True, 0, 1, "rw"),)),
    )


def test_rates_and_phases():
    made = tm.read_masim(TEXT, accesses_per_s=800.0, tick_us=1000)
    assert (made.n_pages, made.tick_us) == (12, 1000)
    assert [(v.lo, v.hi) for v in made.vmas] == [(0, 10), (10, 12)]
    np.testing.assert_allclose(tm.workload.page_rate_hz(made, 0)[:10], 60.0)  # 3/4 of 800 over ten pages
    sweep = [g for g in made.groups if g.kind == "period"]
    assert [(g.lo, g.hi, g.period, g.phase) for g in sweep] == [(10, 11, 10, 0), (11, 12, 10, 5)]  # two pages, 200 a second
    assert {(g.start_tick, g.end_tick) for g in sweep} == {(0, 1000)}
    np.testing.assert_allclose(tm.workload.page_rate_hz(made, "1.2 s"), [0] * 10 + [400] * 2)
    assert tm.workload.access_rate_hz(made, "1.5 s") == 0  # the program has ended
    twice = tm.read_masim(TEXT, accesses_per_s=800.0, tick_us=1000, repeat=2)
    np.testing.assert_allclose(tm.workload.page_rate_hz(twice, "2.7 s"), [0] * 10 + [400] * 2)


def pattern_rates(stride, *, size=10 * 4096, accesses=1000.0, tick_us=1000):
    config = MasimConfig((MasimRegion("a", size),), (MasimPhase("p", 1000, (MasimPattern("a", False, stride, 1),)),))
    return tm.workload.page_rate_hz(tm.read_masim(config, accesses_per_s=accesses, tick_us=tick_us))


def test_strides():
    np.testing.assert_allclose(pattern_rates(4096), 100.0)
    np.testing.assert_allclose(pattern_rates(1024), 25.0)  # four accesses to a page are one touch in passing
    np.testing.assert_allclose(pattern_rates(8192), [200.0, 0.0] * 5)
    np.testing.assert_allclose(pattern_rates(6000), 100.0)  # no multiple of a page: as if at random
    np.testing.assert_allclose(pattern_rates(40960), [1000.0] + [0.0] * 9)
    np.testing.assert_allclose(pattern_rates(50000), [1000.0] + [0.0] * 9)
    np.testing.assert_allclose(pattern_rates(4096, accesses=1e6), 1e5)  # a hundred passes a tick


WORDS = st.text("abcxyz019_", min_size=1, max_size=6)


@st.composite
def configs(draw):
    names = draw(st.lists(WORDS, min_size=1, max_size=5, unique=True))
    regions = tuple(MasimRegion(n, draw(st.integers(1, 300_000)), draw(st.sampled_from(["none", "x.bin"]))) for n in names)
    pattern = st.builds(
        MasimPattern, st.sampled_from(names), st.booleans(), st.sampled_from([64, 4096, 8192]), st.integers(0, 50),
        st.sampled_from(["ro", "wo", "rw"]),
    )  # fmt: skip
    patterns = st.lists(pattern, min_size=1, max_size=6).filter(lambda ps: any(p.probability for p in ps)).map(tuple)
    phases = draw(st.lists(st.builds(MasimPhase, WORDS, st.integers(20, 5000), patterns), min_size=1, max_size=5))
    return MasimConfig(regions, tuple(phases))


@given(configs())
def test_round_trip(config):
    assert parse_masim(config.to_text()) == config


@given(configs(), st.floats(1.0, 1e9))
@settings(max_examples=60)
def test_accesses_are_conserved_and_phases_tile_time(config, total):
    config = config._replace(
        phases=tuple(p._replace(patterns=tuple(x._replace(random=True) for x in p.patterns)) for p in config.phases)
    )
    made = tm.read_masim(config, accesses_per_s=total, tick_us=1000)
    edges = np.cumsum([0, *(p.length_ms for p in config.phases)])
    assert {t for g in made.groups for t in (g.start_tick, g.end_tick)} == set(edges.tolist())
    for k, phase in enumerate(config.phases):
        rates = tm.workload.page_rate_hz(made, int(edges[k]) * 1000)
        assert tm.workload.access_rate_hz(made, int(edges[k + 1]) * 1000 - 1) == pytest.approx(total, rel=1e-9)
        lo, weights = 0, sum(p.probability for p in phase.patterns)
        for region in config.regions:
            n = -(-region.sz_bytes // 4096)
            share = sum(p.probability for p in phase.patterns if p.region == region.name) / weights
            np.testing.assert_allclose(rates[lo : lo + n], total * share / n, rtol=1e-9)
            lo += n


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        ("", 1, "empty"),
        ("a, 1\n", 1, "no phase"),
        ("a, 1\na, 2\n\np\n1\na, 1, 1, 1\n", 2, "listed twice"),
        ("a\n\np\n1\na, 1, 1, 1\n", 1, "1 fields"),
        (", 5\n\np\n1\na, 1, 1, 1\n", 1, "no name"),
        ("a, 0\n\np\n1\na, 1, 1, 1\n", 1, "'0'"),
        ("a, 1e6\n\np\n1\na, 1, 1, 1\n", 1, "'1e6'"),
        ("a, " + "9" * 5000 + "\n\np\n1\na, 1, 1, 1\n", 1, "999"),
        ("a, 5\n\np\n1\n", 4, "2 of at least 3 lines"),
        ("a, 5\n\n\n# x\np\nsoon\na, 1, 1, 1\n", 6, "'soon'"),
        ("a, 5\n\np\n1\nb, 1, 1, 1\n", 5, "'b' is unknown"),
        ("a, 5\n\np\n1\na, 2, 1, 1\n", 5, "randomness"),
        ("a, 5\n\np\n1\na, 0, 0, 1\n", 5, "stride"),
        ("a, 5\n\np\n1\na, 1, 1, -1\n", 5, "probability"),
        ("a, 5\n\np\n1\na, 1, 1\n", 5, "3 fields"),
        ("a, 5\n\np\n1\na, 1, 1, 1, wr\n", 5, "the mode is 'wr'"),
        ("a, 5\n\np\n1\na, 1, 1, 0\n", 3, "all probabilities"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path, text, line, what):
    path = tmp_path / "x.masim"
    path.write_text(text)
    with pytest.raises(InputError, match=what) as caught:
        tm.read_masim(path)
    assert caught.value.where == f"{path}:{line}"


def test_arguments():
    for options in ({"accesses_per_s": 0}, {"tick_us": 0}, {"repeat": 0}, {"max_groups": 0}):
        with pytest.raises(InputError, match=next(iter(options))):
            tm.read_masim(TEXT, **options)
    with pytest.raises(InputError, match="shorter than half a tick"):
        tm.read_masim(TEXT, tick_us="10 s")
    with pytest.raises(InputError, match="cannot be read"):
        tm.read_masim("no-such-file.masim")


def test_shapes():
    steps = stairs()
    assert len(steps.regions) == 10
    assert [p.length_ms for p in steps.phases] == [10_000] + [5_000] * 10
    made = tm.read_masim(steps)
    hot = [tm.workload.hot_set(made, f"{12 + 5 * k} s", min_rate_hz=1.0) for k in range(10)]
    np.testing.assert_array_equal(np.sum(hot, axis=0), 1)  # each page in its own turn only
    ab = tm.read_masim(zigzag())
    first, second = (tm.workload.hot_set(ab, at, min_rate_hz=1.0) for at in ("12 s", "17 s"))
    np.testing.assert_array_equal(first, ~second)


@given(st.integers(2, 12), st.integers(1, 5), st.integers(0, 2**63 - 1))
def test_tiering_test_permutes_the_weights(n, phases, seed):
    config = tiering_test(n * 4096, n, phases, 1000, seed=seed)
    assert config == tiering_test(n * 4096, n, phases, 1000, seed=seed)
    assert sum(r.sz_bytes for r in config.regions) == n * 4096
    for phase in config.phases:
        assert sorted(p.probability for p in phase.patterns) == list(range(n))


@pytest.mark.parametrize(
    ("name", "config"),
    [("stairs", stairs()), ("zigzag", zigzag()), ("tiering-test", tiering_test(1 << 30, 8, 6, 30_000))],
)
def test_shipped_files_are_the_shapes(name, config):
    assert parse_masim(data_path("workloads", f"{name}.masim").read_text(encoding="utf-8")) == config
