"""The figure of a workload that follows its memory."""

from __future__ import annotations

import numpy as np
import pytest
from small import pull, scenario

import tieringmodel as tm
from tieringmodel.errors import InputError
from tieringmodel.plot.files import figure


def test_throughput_latency_and_load_stand_in_three_panels() -> None:
    nodes = tm.Performance(nodes=[tm.NodeCurve(90, 49), tm.NodeCurve(190, 17)])
    machine = tm.Machine.dram_cxl("32 MiB", "32 MiB", performance=nodes)
    ds = tm.simulate(scenario(pull(), machine=machine, demand={"threads": 8, "outstanding": 4}), duration="2 s", seed=1)
    made = figure("closed_loop", ds)
    upper, middle, lower = made.axes[:3]
    np.testing.assert_allclose(upper.lines[0].get_ydata(), ds["throughput_per_s"].values[:, 0] / 1e6, rtol=1e-14)
    assert len(middle.lines) == 2
    assert lower.get_ylabel() == "Load [GB/s]"
    change = ds["throughput_per_s"].values[-1, 0] / ds["throughput_per_s"].values[0, 0] - 1
    assert change > 0.05
    assert any(
        f"ends {change:.1%} above its start" in text.get_text().replace("\n", " ") for text in made.findobj(match=_is_text)
    )
    with pytest.raises(InputError, match="throughput_per_s"):
        tm.plot.closed_loop(tm.simulate(scenario(pull()), duration="1 s", seed=1))


def _is_text(artist: object) -> bool:
    return hasattr(artist, "get_text")
