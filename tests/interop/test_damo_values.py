"""damo's ways to write quantities, and the way back."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tieringmodel.errors import InputError
from tieringmodel.interop.damo import values as v
from tieringmodel.interop.damo.program import damo_args, damo_version, run_damo
from tieringmodel.interop.damo.write import PINNED
from tieringmodel.units import UINT_MAX, ULONG_MAX


@pytest.mark.parametrize(
    ("text", "us"),
    [("1 m 5 s", 65_000_000), ("5 ms", 5_000), ("1.5s", 1_500_000), ("100ns", 0), ("2 h", 7_200_000_000),
     ("1 d", 86_400_000_000), (5, 5), ("1,000", 1_000), ("max", ULONG_MAX), ("0 ns", 0)],
)  # fmt: skip
def test_times(text: object, us: int) -> None:
    assert v.time_in(text, "t") == us


@pytest.mark.parametrize(
    ("text", "size"),
    [("200.000 MiB", 200 << 20), ("200MB", 200 << 20), ("4K", 4096), ("4,096", 4096), ("1.5G", 3 << 29), (77, 77),
     ("1.177 MiB", int(1.177 * 2**20)), ("max", ULONG_MAX), ("1 P", 1 << 50)],
)  # fmt: skip
def test_sizes_count_in_1024s(text: object, size: int) -> None:
    assert v.size_bytes(text, "s") == size


@pytest.mark.parametrize(
    ("text", "samples"),
    [("5 %", 1), ("5", 1), (4.6, 0), ("33.34 %", 6), ("3 samples", 3), ("max", UINT_MAX), ("99%", 19),
     ("18,446,744,073,709,551,616 %", UINT_MAX), ("1 sample", 1)],
)  # fmt: skip
def test_access_rates_are_cut_to_whole_samples(text: object, samples: int) -> None:
    assert v.nr_accesses(text, "r", 5_000, 100_000) == samples


@given(st.integers(1, 10**6), st.integers(1, 10**4), st.data())
def test_the_percentage_written_is_read_as_the_same_samples(sample_us: int, most: int, data: st.DataObject) -> None:
    samples = data.draw(st.integers(0, most))
    text = v.percent_for(samples, sample_us, sample_us * most)
    assert v.nr_accesses(text, "r", sample_us, sample_us * most) == samples


@given(st.integers(0, UINT_MAX - 1), st.integers(1, 10**7))
def test_an_age_in_microseconds_is_the_same_number_of_aggregations(age: int, aggr_us: int) -> None:
    assert v.age(age * aggr_us, "a", aggr_us) == age


def test_shares() -> None:
    assert v.share("0.7 %", "w", 10) == 7
    assert v.share("4 %", "g", 100) == 400
    assert v.share("400.000000", "g", 100) == 400
    with pytest.raises(InputError, match="whole number of bp"):
        v.share("0.001 %", "g", 100)


@pytest.mark.parametrize("bad", ["", "-1", "nan", "inf", "1e99", "5 parsecs", True, None, [], "9" * 100, "1.5", "٣"])
def test_what_is_no_count_is_refused(bad: object) -> None:
    with pytest.raises(InputError):
        v.count(bad, "n")


def test_a_raw_file_is_refused_with_the_reason() -> None:
    with pytest.raises(InputError, match="--raw"):
        v.time_in("18446744073709551615000", "age")


def test_the_pinned_damo_is_the_one_that_runs() -> None:
    assert damo_version() == PINNED


def test_damo_reads_sizes_times_and_rates_as_we_do() -> None:
    words = "--ops paddr -r 0-1G --damos_action stat --damos_access_rate 5% 45% --damos_quota_interval 1s".split()
    sized = "--damos_sz_region 1.5M 3G --damos_quota_space 200MB --damos_age 65s 10m".split()
    done = run_damo("args", "damon", "--format", "json", *words, *sized, root=True)
    shown, raw = (json.loads(t)["kdamonds"][0]["contexts"][0]["schemes"][0] for t in (done.stdout, damo_args((*words, *sized))))
    for end in ("min", "max"):
        said = shown["access_pattern"]["sz_bytes"][end]
        assert v.size_bytes(said, "s") == int(raw["access_pattern"]["sz_bytes"][end])
        assert v.time_in(shown["access_pattern"]["age"][end], "a") * 1_000 == int(raw["access_pattern"]["age"][end])
    assert v.size_bytes(shown["quotas"]["sz_bytes"], "q") == v.size_bytes("200MB", "q")
    assert v.time_in(shown["quotas"]["reset_interval_ms"], "q", "ms") == 1_000
