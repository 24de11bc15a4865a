"""Every parser on random and on damaged input: it answers, or refuses with `InputError`; nothing else, and soon.

``TIERINGMODEL_FUZZ=100`` multiplies the numbers of examples.
"""

from __future__ import annotations

import copy
import gzip
import json
import os
import resource
import signal
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pytest
from doors import GOOD, golden
from hypothesis import HealthCheck, given, settings

import tieringmodel as tm
from tieringmodel import units
from tieringmodel.datafiles import data_path
from tieringmodel.errors import InputError
from tieringmodel.interop.recording.tables import read_csv, read_text
from tieringmodel.interop.sysfs.read import read_dump

FACTOR = int(os.environ.get("TIERINGMODEL_FUZZ", "1"))
SECONDS, MEMORY_MIB = 30, 1500
NASTY = st.one_of(
    st.sampled_from([
        0, 1, -1, 2, 255, 4095, 4096, 2**31, 2**32, 2**53, 2**62, 2**63 - 1, 2**63, 2**64 - 1, 2**64, 10**30, -(2**63), 0.5,
        float("nan"), float("inf"), -0.0, 1e300, True, None, "", "max", "0x10", "5 ms", "16 GiB", "40 %", "nan", "1e9", "-1",
        "9" * 4400, "٣", "\x00", "a\nb", [], {}, [[]], [0], [0, 1], {"a": 1}, "<b>", "../..", "__class__",
    ]),
    st.integers(-(2**70), 2**70), st.floats(), st.text(max_size=8),
)  # fmt: skip
SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture]


def tries(n: int) -> Callable[[Any], Any]:
    return settings(max_examples=n * FACTOR, suppress_health_check=SLOW)


@contextmanager
def answers() -> Iterator[None]:
    """Whatever is inside ends soon, in peace or with an `InputError` of one line, and takes little memory."""

    def hang(*_: object) -> None:
        raise AssertionError(f"no answer after {SECONDS} s")

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    previous = signal.signal(signal.SIGALRM, hang)
    signal.alarm(SECONDS)
    try:
        yield
    except InputError as error:
        if not str(error).isprintable():
            raise AssertionError(f"{error!r} is more than a line") from None
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, previous)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < MEMORY_MIB * 1024


def paths(data: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place of nested dicts and lists."""
    if at:
        yield at
    for key, value in data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ():
        yield from paths(value, (*at, key))


def put(data: Any, path: tuple[Any, ...], value: Any) -> None:
    try:
        for step in path[:-1]:
            data = data[step]
        data[path[-1]] = copy.deepcopy(value)
    except (KeyError, IndexError, TypeError):
        pass  # an earlier change took the place away


FULL = copy.deepcopy(GOOD)
FULL["machine"] |= {"hz": 100, "folio_bytes": 4096, "migrate_ns_per_page": 1, "percpu_lists": 1}
FULL["workload"] |= {"tick_us": 1000}
FULL["workload"]["groups"][0] |= {"period": 2, "phase": 1, "stride": 2, "threshold": 5, "salt": 5, "kind": "rate"}
FULL["contexts"][0] |= {"addr_unit": 1, "min_region_sz": 4096, "aggr_times_us": [10**5, 10**6], "rng_seed": 5, "ops": "paddr"}
FULL["contexts"][0]["attrs"] |= {"sample_us": 5000, "aggr_us": 10**5, "min_nr_regions": 3, "intervals_goal": {"aggrs": 0}}
FULL["contexts"][0]["schemes"][0]["quota"] |= {"ms": 1, "sz_bytes": 4096, "reset_interval_ms": 10, "weights": {"age": 1}}
PLACES = list(paths(FULL))


@given(st.lists(st.tuples(st.sampled_from(PLACES), NASTY), min_size=1, max_size=3))
@tries(80)
def test_scenarios_with_damaged_fields_run_or_are_refused(changes: list[tuple[tuple[Any, ...], Any]]) -> None:
    data = copy.deepcopy(FULL)
    for path, value in changes:
        put(data, path, value)
    with answers():
        scenario = tm.Scenario.from_dict(data)
        tm.simulate(scenario, duration=0.25, seed=1, progress=False)
        assert tm.Scenario.from_json(scenario.to_json()) == scenario
        assert tm.Scenario.from_toml(scenario.to_toml()) == scenario


@given(st.recursive(NASTY, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)))
@tries(100)
def test_json_and_mappings(data: Any) -> None:
    with answers():
        tm.Scenario.from_json(json.dumps(data))


@given(st.one_of(st.text(max_size=60), st.from_regex(r"[-+0-9.eE_ ,xa-f%]{0,12} ?(GiB|ms|us|%|bp|h|s|MB)?", fullmatch=True)))
@tries(200)
def test_quantities(text: str) -> None:
    for parse in (units.integer, units.number, units.parse_bytes, units.parse_us, units.parse_ms, units.parse_bp):
        with answers():
            assert parse(text, "x") == parse(text, "x")
    with answers():
        assert units.parse_duration_us(text) > 0


TOML = tm.Scenario.from_dict(GOOD).to_toml()
DUMP = data_path("recordings", "C1_tier_temporal", "damon_config.txt").read_text()
LAYOUT = data_path("recordings", "C1_tier_temporal", "layout.csv").read_text()


@st.composite
def damaged(draw: st.DrawFn, text: str) -> str:
    """A text with pieces cut out, repeated, exchanged or made up."""
    for _ in range(draw(st.integers(1, 3))):
        a = draw(st.integers(0, len(text)))
        b = min(len(text), a + draw(st.sampled_from([0, 1, 2, 5, 40])))
        made_up = st.sampled_from(["", "9" * 30, "-1", "nan", "[", "]]", "\n", "=", "'", '"', ",", "\x00", "0x", "1e400", "é"])
        text = text[:a] + draw(st.one_of(made_up, st.text(max_size=4), st.just(text[a:b] * 3))) + text[b:]
    return text


@given(damaged(TOML))
@tries(100)
def test_toml(text: str) -> None:
    with answers():
        tm.Scenario.from_toml(text)


@given(damaged(DUMP))
@tries(60)
def test_dumps(text: str) -> None:
    with answers():
        read_dump(text + "\n")


@given(damaged(LAYOUT))
@tries(60)
def test_tables(text: str) -> None:
    kinds = dict.fromkeys(LAYOUT.split("\n")[0].split(","), "u64") | {"segment": "text", "rate_hz_from_0ms": "f64"}
    with tempfile.TemporaryDirectory() as folder, answers():
        path = Path(folder) / "layout.csv"
        path.write_text(text)
        read_csv(path, kinds)


@given(st.binary(max_size=80), st.integers(0, 60), st.integers(0, 60))
@tries(100)
def test_compressed_text(noise: bytes, a: int, b: int) -> None:
    raw = gzip.compress(LAYOUT.encode(), mtime=0)
    with tempfile.TemporaryDirectory() as folder:
        for k, content in enumerate((noise, raw[:a] + noise + raw[a + b :])):
            path = Path(folder) / f"{k}.csv.gz"
            path.write_bytes(content)
            with answers():
                read_text(path)


def first_lines(name: str) -> str:
    with gzip.open(data_path("golden", name), "rt") as file:
        return "".join(next(file) for _ in range(2 if "jsonl" in name else 5))


UNITS = sorted(p.name for p in data_path("golden").iterdir() if p.name.endswith((".jsonl.gz", ".csv.gz")))


@pytest.mark.parametrize("name", UNITS)
def test_vectors(name: str) -> None:
    text = first_lines(name)

    @given(damaged(text))
    @tries(12)
    def check(text: str) -> None:
        with tempfile.TemporaryDirectory() as folder, answers():
            golden((name.removesuffix(".gz"), text), Path(folder))

    check()


@given(
    st.sampled_from(["consist", "temporal"]),
    st.dictionaries(
        st.sampled_from(
            "cap_bytes delay leak_pages leak_rate capacity_pages clamp_bp early_exit noise_bp direction esz_bp0 seed "
            "target_bp n_pages start_pages".split()
        ),
        NASTY, max_size=3,
    ),
)  # fmt: skip
@tries(100)
def test_loop_arguments(tuner: str, arguments: dict[str, Any]) -> None:
    with answers():
        ds = tm.loop.run(tuner, **({"target_bp": 5000, "n_pages": 100, "start_pages": 0, "windows": 20} | arguments))
        assert 0 <= int(ds["final_pages"]) <= int(json.loads(ds.attrs["parameters"])["n_pages"])


@given(
    st.sampled_from(["iid", "pfn_mod", "first", "last", "per_node", "push_only", "vma_offset"]),
    st.dictionaries(
        st.sampled_from(
            "weights allocator frames start_node vma_start stride share_per_round refractory seed rounds".split()
        ),
        NASTY.filter(lambda v: v not in (2**31, 2**32, 10**6)), max_size=3,
    ),
)  # fmt: skip
@tries(100)
def test_interleave_arguments(rule: str, arguments: dict[str, Any]) -> None:
    if isinstance(arguments.get("rounds"), int) and 100 < arguments["rounds"] < 2**31:
        del arguments["rounds"]  # allowed, and long
    with answers():
        ds = tm.interleave.run(rule, **({"weights": (3, 2), "n_pages": 50, "rounds": 5} | arguments))
        assert (ds["occupancy"].sum("node") == 50).all()
