"""What every test gets: no window, no deadline while a kernel compiles, the same examples on every CI run."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, Phase, settings

os.environ.setdefault("MPLBACKEND", "Agg")

settings.register_profile("local", deadline=None)
settings.register_profile("repeatable", deadline=None, derandomize=True, print_blob=True)
settings.register_profile(
    "few", deadline=None, derandomize=True, max_examples=25, phases=(Phase.explicit, Phase.generate),
    suppress_health_check=[HealthCheck.too_slow],
)  # fmt: skip  # for tools/mutate.py, which wants to know that a test fails, not the smallest example
settings.load_profile(os.environ.get("TIERINGMODEL_EXAMPLES") or ("repeatable" if os.environ.get("CI") else "local"))


@pytest.fixture(autouse=True)
def _close_figures() -> Iterator[None]:
    yield
    if pyplot := sys.modules.get("matplotlib.pyplot"):
        pyplot.close("all")
