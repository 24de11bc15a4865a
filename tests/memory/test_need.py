"""What a run needs is known before anything is allocated."""

from __future__ import annotations

import re

import numpy as np
import pytest

from tieringmodel.errors import InputError
from tieringmodel.memory import need
from tieringmodel.memory.physical import PhysicalMemory
from tieringmodel.scenario import Context, Group, Machine, Scenario, Vma, Workload
from tieringmodel.simulation.engine import Engine

TIB = 1 << 40


def large(**context):
    machine = Machine.dram_cxl(TIB, TIB)
    pages = 2 * TIB // 4096
    workload = Workload(pages, (Group(0, pages, rate_hz=1.0),), vmas=(Vma(0, pages, 1 << 46),))
    return Scenario(machine, workload, (Context(**context),))


@pytest.mark.parametrize(("context", "per_frame"), [({}, 10.3), ({"ops": "vaddr"}, 14.3)])
def test_a_run_that_does_not_fit_is_refused_with_what_would(monkeypatch, context, per_frame):
    monkeypatch.setenv(need.LIMIT, "3 GiB")
    with pytest.raises(InputError) as refused:
        Engine(large(**context))
    text = str(refused.value)
    assert "536870912 frames of 4 KiB" in text
    assert "3 GiB are free" in text
    assert "folio_bytes = '2 MiB'" in text
    fits = float(re.search(r"at most (\S+) frames", text).group(1))
    # Two digits are written: the frames that fit, at the bytes a frame takes, fill what is free beside the fixed part.
    assert fits * per_frame == pytest.approx((3 << 30) - need.FIXED_BYTES, rel=0.05)


def test_larger_folios_and_the_variable_let_it_run(monkeypatch):
    monkeypatch.setenv(need.LIMIT, str(1 << 30))
    scenario = large()
    machine = scenario.machine.replace(folio_bytes=2 << 20)
    workload = Workload(2 * TIB // (2 << 20), (Group(0, 1, rate_hz=1.0),))
    Engine(scenario.replace(machine=machine, workload=workload))
    monkeypatch.setenv(need.LIMIT, "a lot")
    with pytest.raises(InputError, match=need.LIMIT):
        need.available_bytes()


def test_without_the_variable_the_least_of_system_and_control_group_counts(monkeypatch, tmp_path):
    monkeypatch.delenv(need.LIMIT, raising=False)
    most, used = tmp_path / "max", tmp_path / "current"
    most.write_text("5000\n")
    used.write_text("1500\n")
    monkeypatch.setattr(need, "_CGROUPS", ((str(most), str(used)), (str(tmp_path / "none"), str(tmp_path / "none"))))
    assert need.available_bytes() == 3500
    most.write_text("max\n")
    assert need.available_bytes() is None or need.available_bytes() > 3500


@pytest.mark.parametrize(
    ("frame_of", "seen", "out"), [(False, False, False), (True, False, False), (True, True, False), (False, True, True)]
)
def test_the_estimate_covers_the_arrays(frame_of, seen, out):
    frames = 1 << 18
    machine = Machine.dram_cxl(frames // 2 * 4096, frames // 2 * 4096)
    memory = PhysicalMemory(
        machine, Workload(frames), np.zeros(frames, np.uint16), track_young=seen, keep_frame_of=frame_of, reclaims=out
    )
    held = sum(a.nbytes for a in memory.arrays) + 2 * frames
    estimate = need.needed_bytes(frames, frames, frame_of, seen, out=out)
    # The page classes count while pages are placed; counts per 2**18 frames and per node are not estimated: 1 KiB at most.
    assert estimate - need.FIXED_BYTES <= held <= estimate - need.FIXED_BYTES + 1024
