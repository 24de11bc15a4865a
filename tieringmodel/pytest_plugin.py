"""For pytest: the fixture `tiering_run`, which runs a scenario over seeds and holds it to expectations."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    import xarray as xr

    from .scenario import Scenario

Runner = Callable[..., "list[xr.Dataset]"]


@pytest.fixture(scope="session")
def tiering_run() -> Runner:
    """Return a function that runs a scenario, once for each seed and session, and fails the test unless expectations hold.

    Returns
    -------
    callable
        ``run(scenario, expect="", duration="60 s", seeds=1, seed=1)``: a `Scenario` or whatever `load` takes; clauses as in
        ``run --expect``, those without a function over runs hold in every run. Returns the runs.
    """
    from .interop.load import load
    from .scenario import Scenario
    from .simulation.simulate import simulate
    from .verdicts.expect import everything_of, expect_of_runs, is_over_several, parse
    from .verdicts.judge import verdict

    known: dict[tuple[str, str, int], xr.Dataset] = {}

    def run(
        scenario: Scenario | str | Path, expect: str = "", *, duration: str | float = "60 s", seeds: int = 1, seed: int = 1
    ) -> list[xr.Dataset]:
        wanted = bool(expect and parse(expect))  # before the work begins
        one = scenario if isinstance(scenario, Scenario) else load(scenario)
        runs = []
        for k in range(seed, seed + seeds):
            key = (one.to_json(), str(duration), k)
            if key not in known:
                known[key] = simulate(one, duration=duration, seed=k, progress=False)
            runs.append(known[key])
        if wanted:
            each = [everything_of(ds, verdict(ds)) for ds in runs]
            failed = dict.fromkeys(
                f"{c} (seed {seed + k})" if seeds > 1 and not is_over_several(c.name) else str(c)
                for k in range(len(each))
                for c in expect_of_runs(each, expect, k)
                if not c.ok
            )
            if failed:
                pytest.fail("; ".join(failed), pytrace=False)
        return runs

    return run
