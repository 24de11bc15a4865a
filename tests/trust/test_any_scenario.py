"""Whole random scenarios, with every field that there is, go through every door; what may not change a run does not.

In the suite 200 of them, which together say all that the schema can. Each goes through a run, TOML and JSON, lint, the verdict
with its text, and every form and back; and through one of five further doors (report, comparison, sweep, diff, files) or seven
relations, in turn: the next one that has something to do with it. One in 25 runs for 0.3 s, the others for a hundred checks.
``TIERINGMODEL_SCENARIOS=5000`` tries as many, all doors and relations of each, and one in three for 0.3 s. As plain Python,
because every mix of features would be a kernel of its own to compile.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from any_scenario import DURATION_S, any_scenario, everything, used

import tieringmodel as tm
from tieringmodel.fields import Checked

ROOT = Path(tm.__file__).parents[1]
MANY = int(os.environ.get("TIERINGMODEL_SCENARIOS", "0"))
FEW = 200

PLAIN = """
import json, os, sys, tempfile
from pathlib import Path
os.fsync = lambda file: None  # only a cut of power would tell
first, last, few = map(int, sys.argv[1:])
import tieringmodel as tm
from any_scenario import DURATION_S, any_scenario, short_s
from whole_runs import trial
wrong = []
for seed in range(first, last):
    with tempfile.TemporaryDirectory() as folder:
        sc = tm.Scenario.from_dict(any_scenario(seed))
        duration_s = short_s(sc) if seed % (25 if few else 3) else DURATION_S
        wrong += [f"seed {seed}: {one}" for one in trial(sc, Path(folder), duration_s, seed, bool(few))]
print(json.dumps(wrong))
"""


def tried(first: int, last: int, *, few: bool) -> list[str]:
    """Return what is wrong with the scenarios of these seeds, tried in a process of plain Python."""
    paths = [str(ROOT), str(ROOT / "tests"), str(ROOT / "tests" / "trust")]
    done = subprocess.run(
        [sys.executable, "-c", PLAIN, str(first), str(last), str(int(few))], capture_output=True, text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(paths), "NUMBA_DISABLE_JIT": "1", "MPLBACKEND": "Agg"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found: list[str] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("first", range(0, MANY or FEW, 100))
def test_every_door_takes_it_or_says_why_not(first: int) -> None:
    assert tried(first, min(first + 100, MANY or FEW), few=not MANY) == []


def reached(seeds: range) -> set[tuple[str, str, Any]]:
    seen: set[tuple[str, str, Any]] = set()
    for seed in seeds:
        for cls, field, value in used(tm.Scenario.from_dict(any_scenario(seed))):
            seen |= {(cls, field, value if isinstance(value, str) else None), (cls, field, None)}
        if seen >= set(everything()):
            break
    return seen


def test_the_generator_says_all_that_the_schema_can() -> None:
    """A new field, and a new choice of one, has its place in `any_scenario.Maker`."""
    assert sorted(map(str, set(everything()) - reached(range(FEW)))) == []


def test_a_field_that_the_generator_lacks_is_noticed() -> None:
    import dataclasses

    @dataclasses.dataclass(frozen=True)
    class Newer(Checked):
        swap: tm.Swap | None = None
        more: tuple[tm.Zone, ...] = ()

    told = set(everything(Newer))
    assert {("Newer", "swap", None), ("Swap", "kind", "zram"), ("Zone", "promo", None)} < told
    assert ("Newer", "more", None) not in set(used(Newer()))


def test_the_same_seed_makes_the_same_scenario() -> None:
    assert any_scenario(7) == any_scenario(7) != any_scenario(8)
    assert DURATION_S * 1e6 > 100_000
