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
    from .verdicts.expect import compared, is_over_several, over_runs, parse, values_of
    from .verdicts.judge import verdict

    known: dict[tuple[str, str, int], xr.Dataset] = {}

    def run(
        scenario: Scenario | str | Path, expect: str = "", *, duration: str | float = "60 s", seeds: int = 1, seed: int = 1
    ) -> list[xr.Dataset]:
        wanted = parse(expect) if expect else []
        one = scenario if isinstance(scenario, Scenario) else load(scenario)
        runs = []
        for k in range(seed, seed + seeds):
            key = (one.to_json(), str(duration), k)
            if key not in known:
                known[key] = simulate(one, duration=duration, seed=k, progress=False)
            runs.append(known[key])
        if wanted:
            found = [verdict(ds) for ds in runs]
            each = [{"kind": f.kind, "cause": f.code} | values_of(ds, found=f) for ds, f in zip(runs, found, strict=True)]
            several = {name: over_runs(name, each) for _, name, _, _ in wanted if is_over_several(name)}
            failed = dict.fromkeys(
                f"{c} (seed {seed + k})" if seeds > 1 and not is_over_several(c.name) else str(c)
                for k, values in enumerate(each)
                for c in compared(wanted, values | several)
                if not c.ok
            )
            if failed:
                pytest.fail("; ".join(failed), pytrace=False)
        return runs

    return run
