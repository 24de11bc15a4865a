"""Scenario files that name a family: expanded when read, written out as what they were expanded to."""

from __future__ import annotations

import pytest

import tieringmodel as tm
from tieringmodel.errors import InputError

MACHINE = """
[machine]
nodes = [ { nid = 0, start_bytes = 0, sz_bytes = "64 MiB" }, { nid = 1, start_bytes = "64 MiB", sz_bytes = "64 MiB" } ]
"""


def load(tmp_path, text):
    path = tmp_path / "s.toml"
    path.write_text(MACHINE + text)
    return tm.load(path)


def test_a_family_round_trips_as_its_groups(tmp_path):
    text = """
[workload]
placement = [ { lo = 0, hi = 4000 }, { lo = 4000, hi = 10000, nid = 1 } ]
[workload.family]
kind = "zipf"
n_pages = 10000
s = 0.99
accesses_per_s = 1e5
max_classes = 20
scatter_pages = 64
seed = 3
"""
    got = load(tmp_path, text)
    made = tm.workload.zipf(10_000, s=0.99, accesses_per_s=1e5, max_classes=20, scatter_pages=64, seed=3)
    assert got.workload.groups == made.groups
    assert [p.nid for p in got.workload.placement] == [0, 1]
    again = tmp_path / "again.toml"
    again.write_text(got.to_toml())
    assert tm.load(again) == got
    ds = tm.simulate(got, duration="1 s")
    assert float(ds["class_pages"].sum(("node", "page_class"))[-1]) == 10_000


def test_tenants_and_phases(tmp_path):
    text = """
[workload.family]
kind = "mix"
[workload.family.tenants.web]
kind = "rotate"
n_pages = 1000
hot_pages = 100
places = 4
every_us = "2 s"
duration_us = "60 s"
hot_rate_hz = 200
[workload.family.tenants.batch]
kind = "sequence"
phases = [
    { kind = "uniform", n_pages = 500, rate_hz = 10, for_us = "5 s" },
    { kind = "two_level", n_pages = 500, hot_share = 0.1, access_share = 0.9, accesses_per_s = 50, for_us = "5 s" },
]
"""
    got = load(tmp_path, text).workload
    assert got.n_pages == 1500
    assert [(m.memcg_id, m.lo, m.hi) for m in got.memcgs] == [(1, 0, 1000), (2, 1000, 1500)]
    assert tm.workload.access_rate_hz(got, "1 s") == pytest.approx(100 * 200 + 5000)
    assert tm.workload.access_rate_hz(got, "100 s") == pytest.approx(100 * 200 + 50)


def test_masim_beside_the_scenario(tmp_path):
    (tmp_path / "w.masim").write_text("a, 409600\n\np\n1000\na, 1, 1, 1\n")
    text = '[workload.family]\nkind = "masim"\nfile = "w.masim"\naccesses_per_s = 1000\n'
    assert tm.workload.access_rate_hz(load(tmp_path, text).workload) == pytest.approx(1000)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ('[workload.family]\nn_pages = 5\n', r"workload\.family\.kind: is missing"),
        ('[workload.family]\nkind = "zipff"\n', r"workload\.family\.kind: 'zipff' is unknown; did you mean 'zipf'"),
        ('[workload.family]\nkind = "uniform"\nn_pages = 5\n', r"workload\.family\.rate_hz: is missing"),
        ('[workload.family]\nkind = "uniform"\nn_page = 5\n', r"workload\.family\.n_page: .* did you mean 'n_pages'"),
        ('[workload.family]\nkind = "uniform"\nn_pages = 5\nrate_hz = -1\n', r"uniform\.rate_hz"),
        ('[workload]\nn_pages = 5\n[workload.family]\nkind = "uniform"\n', r"workload\.n_pages: does not go with a family"),
        ('[workload]\nfamily = 3\n', r"workload\.family: 3 is not a table"),
        ('[workload.family]\nkind = "mix"\ntenants = { a = 3 }\n', r"workload\.family\.tenants\.a: 3 is not a table"),
        ('[workload.family]\nkind = "mix"\ntenants = 3\n', r"mix\.tenants"),
        ('[workload.family]\nkind = "sequence"\nphases = [ { kind = "uniform", n_pages = 1, rate_hz = 1 } ]\n',
         r"workload\.family\.phases\[0\]\.for_us: is missing"),
        ('[workload.family]\nkind = "mix"\ntenants = {}\nmemcg_ids = 3\n', r"mix\.memcg_ids"),
        ('[workload.family]\nkind = "sequence"\nphases = 3\n', r"workload\.family\.phases: 3 is not a list"),
        ('[workload.family]\nkind = "named"\nname = 3\n', r"named\.name"),
        ('[workload.family]\nkind = "uniform"\nn_pages = [1]\nrate_hz = 1\n', r"uniform\.n_pages"),
        ('[workload.family]\nkind = "uniform"\nn_pages = 5\nrate_hz = []\n', r"uniform\.rate_hz"),
        ('[workload.family]\nkind = "uniform"\nn_pages = 5\nrate_hz = 1\nscatter_pages = "x"\n', r"scatter\.run_pages"),
        ('[workload.family]\nkind = "masim"\n', r"workload\.family\.file"),
        ('[workload.family]\nkind = "masim"\nfile = "x"\nrate = 1\n', r"workload\.family\.rate"),
        ('[workload]\ntick_us = 7\n[workload.family]\nkind = "streaming"\nn_pages = 9\nbytes_per_s = 9\n',
         r"workload\.tick_us: the family has a tick of its own"),
        ('[workload]\nvmas = [ { lo = 0, hi = 9, start_bytes = 0 } ]\n'
         '[workload.family]\nkind = "uniform"\nn_pages = 5\nrate_hz = 1\n', r"workload\.vmas\[0\]"),
    ],
)  # fmt: skip
def test_mistakes_are_named(tmp_path, text, what):
    with pytest.raises(InputError, match=what):
        load(tmp_path, text)
