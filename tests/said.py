"""What lint and verdicts say of several hundred scenarios, runs and loops, word for word, with all numbers behind the words;
and what runs come to.

Other tests hold that a sentence is right where it matters; these hold that none becomes another one unnoticed, in whatever
corner. Whoever changes a sentence, a threshold or a number runs ``python tests/said.py``, reads what has become different,
and commits it with the change. Numbers with a fraction are kept to seven digits.
"""

from __future__ import annotations

import gzip
import json
import random
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import faults
import numpy as np

import tieringmodel as tm
from tieringmodel import interleave, loop

PAGE = 4096
Json = Any


def plain(value: Json) -> Json:
    """Return what JSON gives back of a value, its fractions rounded."""
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if isinstance(value, (float, np.floating)):
        return float(f"{value:.7g}") if np.isfinite(value) else str(value)
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    return int(value) if isinstance(value, (int, np.integer)) else value if value is None else str(value)


def recorded(name: str) -> Json:
    return json.loads(gzip.decompress(Path(__file__).with_name(f"said_{name}.json.gz").read_bytes()))


def of_lint(scenario: Json) -> Json:
    """What lint says of a scenario, and of the same between schemes that do nothing: a rule looks at all of them."""
    made = tm.Scenario.from_dict(scenario)
    out = [_found(made)]
    if made.contexts:
        idle, first = tm.Scheme("stat"), made.contexts[0]
        among = first.replace(schemes=(idle, *first.schemes, idle))
        out.append(_found(made.replace(contexts=(among, *made.contexts[1:]), events=(), commits=())))
    return out


def _found(scenario: tm.Scenario) -> Json:
    return plain([[f.code, f.level, f.path, f.message, f.remedy, list(f.changes)] for f in tm.lint(scenario)])


def of_fault(code: str) -> Json:
    """The verdicts on a fault's two runs, and on their beginnings, which stop in the middle of things."""
    out = {}
    for what in ("broken", "sound"):
        ds = faults.run(code, what)
        for share in (0.25, 0.6, 1.0):
            part = ds.isel(time=slice(0, round(share * ds.sizes["time"])))
            if part.sizes["time"] > 2:
                out[f"{what} {share}"] = plain(tm.verdict(part).to_dict())
    return out


def of_results(code: str) -> Json:
    """What a fault's run came to: a checksum of each variable of whole numbers, sum and moment of each other one."""
    out = {}
    for name, variable in faults.run(code, "broken").variables.items():
        values = np.asarray(variable.values)
        if values.dtype.kind in "iub":
            out[name] = zlib.crc32(values.astype("<u8").tobytes())
        elif values.dtype.kind == "f":
            known = np.nan_to_num(values.astype(float), nan=-1.0, posinf=-2.0).reshape(-1)
            out[name] = plain([known.sum(), known @ np.arange(1, known.size + 1)])
    return out


def loops(count: int = 110) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Draw loops, pairs and interleave runs, the same ones at any time."""
    draw = random.Random(20)
    n = 20_000
    for k in range(count):
        tuner, windows = draw.choice(["consist", "temporal"]), draw.choice([12, 60, 150, 400])
        caps = [draw.choice([None, 4095, 30 * PAGE, 400 * PAGE, 1500 * PAGE]) for _ in range(2)]
        targets = [draw.choice([1500, 4000, 5000, 6000, 9500]) for _ in range(2)]
        start, delay = draw.choice([0, 3000, 9000, n]), draw.choice([0, 0, 1, 4])
        way = draw.choice(["in", "in", "in", "out"])
        room = draw.choice([None, None, 7000]) if start < 7000 and way == "in" else None
        more = {"delay": delay, "windows": windows}
        if k % 4 == 0:
            yield f"pair {k}", lambda a=(tuner, targets, caps, n, start), o=more: loop.run_pair(*a, **o)
            continue
        one = more | {
            "cap_bytes": caps[0], "leak_pages": draw.choice([0, 0, 20, 500]), "leak_rate": draw.choice([0.0, 0.0, 0.003, 0.05]),
            "capacity_pages": room, "early_exit": draw.random() < 0.2,
            "noise_bp": draw.choice([0.0, 0.0, 40.0]), "direction": way,
            "esz_bp0": draw.choice([0, 0, 10**4 * 300 * PAGE]),
        }  # fmt: skip
        yield f"loop {k}", lambda a=(tuner, targets[0], n, start), o=one: loop.run(*a, **o)
    for rule in ("iid", "pfn_mod", "first", "last", "per_node", "push_only", "vma_offset"):
        for allocator, stride in (("fresh", 1), ("lifo", 5)):
            given = {"allocator": allocator} | ({"stride": stride} if rule == "vma_offset" else {})
            yield f"{rule} {allocator}", lambda r=rule, o=given: interleave.run(r, (2, 3), 3000, 60, seed=1, **o)


def of_loop(make: Callable[[], Any]) -> Json:
    found = tm.verdict(make())
    return plain(found.to_dict() | {"numbers": found.numbers})


def differences(was: Json, now: Json, where: str = "") -> Iterator[str]:
    """Say what has become different, part by part."""
    if isinstance(was, dict) and isinstance(now, dict):
        for key in sorted({*was, *now}):
            yield from differences(was.get(key), now.get(key), f"{where} {key}")
    elif isinstance(was, list) and isinstance(now, list) and len(was) == len(now):
        for k, pair in enumerate(zip(was, now, strict=True)):
            yield from differences(*pair, f"{where} {k}")
    elif was != now:
        yield f"{where}:\n  - {was}\n  + {now}"


def all_of_it() -> dict[str, Json]:
    lint = [{"scenario": row["scenario"], "found": of_lint(row["scenario"])} for row in recorded("lint")]
    return {
        "lint": lint,
        "runs": {code: of_fault(code) for code in faults.faults()},
        "results": {code: of_results(code) for code in faults.faults()},
        "loops": {name: of_loop(make) for name, make in loops()},
    }


if __name__ == "__main__":
    for name, now in all_of_it().items():
        place = Path(__file__).with_name(f"said_{name}.json.gz")
        print(*differences(recorded(name) if place.exists() else None, now, name), sep="\n")
        place.write_bytes(gzip.compress(json.dumps(now).encode(), mtime=0))
