"""Recorded accesses: every access that was read is in the rates, and what cannot be read is refused by file and line."""

from __future__ import annotations

import gzip

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import example, given, settings

import tieringmodel as tm
from tieringmodel.errors import InputError
from tieringmodel.interop.workloads.traces import Trace

PERF = """# captured on: some machine
#
chromium browse   46572 [002] 544966.882384:      10000  cpu_core/mem-loads,ldlat=30/P:     7ffdf1391b0c     10268100142 \
|OP LOAD|LVL L1 hit|SNP None|TLB L1 or L2 hit|LCK No|BLK    N/A    5   7    0   7fad7c47425d [unknown] (/usr/lib64/libglib)
             ls 12/13  544967.0:  ibs_op//: 0 ffffffff81000000 [k] sym
         memcached  4711 [011] 544967.000001:        250  ibs_op//:     7f0aaaa0aae0

"""


def test_perf_lines(tmp_path):
    path = tmp_path / "samples.txt"
    path.write_text(PERF)
    found = tm.read_perf(path, period=7)
    np.testing.assert_array_equal(found.time_s, [544966.882384, 544967.000001])
    assert found.address.tolist() == [0x7FFDF1391B0C, 0x7F0AAAA0AAE0]
    assert found.accesses.tolist() == [10000, 250]
    assert found.skipped == 1
    packed = tmp_path / "samples.txt.gz"
    packed.write_bytes(gzip.compress(PERF.encode()))
    again = tm.read_perf(packed, period=7)
    for one, other in zip(found, again, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("ls 12 [001] 3678.0724:          1      l1d-miss:         88000182 |OP LOAD|LVL L1 miss", "a data source"),
        ("ls 12 [001] 3678.0724:          1      cycles:  7f0aaaa0aae0  [unknown] (/usr/lib64/libglib)", "address of code"),
        ("ls 12 [001] 3678.0724:          1      cycles:", "no sample"),
        ("ls 12 [001] 3678.0724: 5", "no sample"),
        ("ls 3678.0724: 1 cycles: 7f00", "no sample"),
        ("        7f0aaaa0aae0 main+0x3 (/bin/ls)", "no sample"),
        ("ls 12 [001] 3678.0724: 1 cycles: 1234567890abcdef01", "64 bits"),
        ("ls 12 [001] 3678.0724: 1 cycles: xyz", "no sample"),
        ("ls 12 [001] 3678.0724: cycles: 7f00", "how many accesses"),
        ("a" * 70_000, "64 KiB"),
    ],
)
def test_other_lines_are_refused(tmp_path, line, what):
    path = tmp_path / "samples.txt"
    path.write_text("# header\nls 12 1.5: 3 e: 1000\n" + line + "\n")
    with pytest.raises(InputError, match=what) as caught:
        tm.read_perf(path)
    assert caught.value.where == f"{path}:3"


def test_tables(tmp_path):
    path = tmp_path / "trace.csv"
    path.write_text("time_s,address,weight\n0.5,0x1000,2\r\n1e-3,8192,0.25\n")
    found = tm.read_trace(path)
    assert [x.tolist() for x in found[:3]] == [[0.5, 0.001], [4096, 8192], [2.0, 0.25]]
    path.write_text("time_s, address\n0.5, 0xffffffffffffffff")
    assert tm.read_trace(path).address.tolist() == [2**64 - 1]


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        ("", None, "holds no access"),
        ("time_s,address\n", None, "holds no access"),
        ("t,a\n", 1, "the first line"),
        ("time_s,address\n1,2,3\n", 2, "2 columns"),
        ("time_s,address,weight\n1,2\n", 2, "3 columns"),
        ("time_s,address\n1,2\n\n", 3, "2 columns"),
        ("time_s,address\n-1,2\n", 2, "2 columns"),
        ("time_s,address\nnan,2\n", 2, "2 columns"),
        ("time_s,address\n1e999,2\n", 2, "beyond"),
        ("time_s,address\n1,0x10000000000000000\n", 2, "64 bits"),
        ("time_s,address\n1," + "9" * 6000 + "\n", 2, "2 columns"),
    ],
)
def test_broken_tables(tmp_path, text, line, what):
    path = tmp_path / "trace.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=what) as caught:
        tm.read_trace(path)
    assert caught.value.where == (f"{path}:{line}" if line else str(path))


def test_broken_and_large_files(tmp_path):
    path = tmp_path / "trace.csv.gz"
    whole = gzip.compress(b"time_s,address\n" + b"1,4096\n" * 100_000)
    path.write_bytes(whole)
    assert tm.read_trace(path).time_s.size == 100_000
    with pytest.raises(InputError, match="beyond 1000 bytes"):
        tm.read_trace(path, max_bytes=1000)
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="end too early"):
        tm.read_trace(path)
    path.write_bytes(b"time_s")
    with pytest.raises(InputError, match="gzip"):
        tm.read_trace(path)
    with pytest.raises(InputError, match="cannot be read"):
        tm.read_trace(tmp_path / "none.csv")
    plain = tmp_path / "x.csv"
    plain.write_bytes(b"time_s,address\n\xff\n")
    with pytest.raises(InputError, match="UTF-8"):
        tm.read_trace(plain)


ACCESSES = st.lists(st.tuples(st.floats(0, 20), st.integers(0, 2**36), st.floats(0, 1e6)), min_size=1, max_size=40)


@given(ACCESSES, st.integers(1, 700), st.integers(0, 2000), st.sampled_from([100_000, 1_000_000]))
@example([(17.999999999999996, 0, 1.0), (0.2, 0, 0.0)], 1, 0, 100_000)
@settings(max_examples=150)
def test_accesses_are_conserved(rows, pages, join, bin_us):
    time_s, address, accesses = (np.array(c) for c in zip(*rows, strict=True))
    trace = Trace(time_s, address.astype(np.uint64), accesses)
    made = tm.trace_workload(trace, region_bytes=pages * 4096, join_bytes=join * 4096, bin_us=bin_us)
    span = bin_us * 1e-6
    total = sum(g.rate_hz * (g.hi - g.lo) * (g.end_tick - g.start_tick) * made.tick_us * 1e-6 for g in made.groups)
    assert total == pytest.approx(accesses.sum(), rel=1e-9)
    for seconds, where, count in rows:
        vma = next(v for v in made.vmas if v.start_bytes <= where < v.start_bytes + (v.hi - v.lo) * 4096)
        page = vma.lo + (where - vma.start_bytes) // 4096
        at = (seconds - time_s.min()) * 1e6 / bin_us
        rates = []
        for bin_ in {int(at * (1 - 1e-15)), int(at * (1 + 1e-15))}:  # on an edge rounding decides
            tick = bin_ * bin_us // made.tick_us
            rates.append(sum(g.rate_hz for g in made.groups if g.lo <= page < g.hi and g.start_tick <= tick < g.end_tick))
        assert max(rates) >= count / pages / span * (1 - 1e-9)
    ends = [v.start_bytes + (v.hi - v.lo) * 4096 for v in made.vmas]
    assert all(b.start_bytes - a > join * 4096 for a, b in zip(ends, made.vmas[1:], strict=False))
    assert made.n_pages == made.vmas[-1].hi


def test_known_mappings():
    trace = Trace(np.array([0.0, 0.1]), np.array([0x10000, 0x2F000], np.uint64), np.array([32.0, 8.0]))
    made = tm.trace_workload(trace, region_bytes=0x8000, mapped=((0xE000, 0x14000), (0x2C000, 0x30000)))
    assert [(v.lo, v.hi, v.start_bytes) for v in made.vmas] == [(0, 6, 0xE000), (6, 10, 0x2C000)]
    np.testing.assert_array_equal(tm.workload.page_rate_hz(made), [0, 0, 8, 8, 8, 8, 2, 2, 2, 2])  # cut at the mapping's end
    with pytest.raises(InputError, match="1 accesses, the first to 0x2f000"):
        tm.trace_workload(trace, mapped=((0xE000, 0x14000),))
    with pytest.raises(InputError, match="out of order"):
        tm.trace_workload(trace, mapped=((0x2C000, 0x30000), (0xE000, 0x14000)))


def test_arguments():
    trace = Trace(np.arange(70_000.0), np.full(70_000, 4096, np.uint64), np.ones(70_000))
    for options in ({"region_bytes": 100}, {"bin_us": 7_500}, {"bin_us": 1}, {"tick_us": 0}):
        with pytest.raises(InputError, match=next(iter(options))):
            tm.trace_workload(trace, **options)
    with pytest.raises(InputError, match="longer spans"):
        tm.trace_workload(trace)
