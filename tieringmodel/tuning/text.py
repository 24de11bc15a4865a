"""A tuning in words."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..remedies.changes import shown

if TYPE_CHECKING:
    from .answer import Tuned

LISTED = 6


def paragraphs(tuned: Tuned) -> str:
    """Return what there is to say about a tuning, a line for each thing."""
    about = tuned.about
    tried, seeds = len(tuned.tried), len(about["seeds"])
    said = f"{_counted(tried, 'candidate')} in {_counted(about['runs'], 'run')} of {about['duration_s']:g} s"
    said += f" ({about['simulated_s']:g} s simulated)"
    if about["budget"] and not _is_number(about["budget"]):
        said += f"; the budget of {about['budget']} of CPU time was taken as {about['budget_s']:g} simulated seconds"
    if not tuned.met:
        return "\n".join(_missed(tuned, said))
    lines = [f"met with {_seeds(seeds)}: {about['end']}"]
    lines.append(f"tried {said}; the answer comes from: {tuned.tried[about['chosen']]['origin']}")
    lines += [f"  {_change(change)}" for change in tuned.changes] or ["  nothing has to change"]
    lines.append(f"verdict: {tuned.verdict.headline}")
    names = dict.fromkeys(name for row in tuned.tried for name in row["measures"])
    found = "; ".join(f"{n} {_range(tuned.measures[n])}" for n in names if n in tuned.measures)
    lines.append(f"means over the seeds (least … most): {found}" if seeds > 1 else found)
    if tuned.verdict.kind == "unfinished":
        lines.append(f"what comes after {about['duration_s']:g} s is not known: a longer --duration tells")
    if tuned.robust:
        bad = [name for name, ok in tuned.robust.items() if not ok]
        good = len(tuned.robust) - len(bad)
        missed = f"; missed with {', '.join(bad)}" if bad else ""
        lines.append(f"held to other workloads, clocks and seeds: met with {good} of {len(tuned.robust)}{missed}")
    if tuned.margins:
        lines.append("margins, each knob moved alone, with the first seed:")
    lines += [f"  {_margin(one.to_dict())}" for one in tuned.margins] or ["margins: the budget did not last for these"]
    if tuned.beats:
        interval = "seeds; in brackets the 95 % interval of the mean difference" if seeds > 1 else "seed"
        lines.append(f"what was always tried, with the same {interval}:")
    origins = [tuned.tried[about["chosen"]]["origin"], *(one["candidate"] for one in tuned.beats)]
    lines += [f"  {_beaten(one, told=origins.count(one['candidate']) > 1)}" for one in tuned.beats[:LISTED]]
    if tuned.front:
        lines.append(f"front of {', '.join(about['objective'])}: candidates {', '.join(map(str, tuned.front))}")
    return "\n".join(lines)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _missed(tuned: Tuned, said: str) -> list[str]:
    miss = tuned.nearest_miss
    assert miss is not None
    bad = [f"{c['text']} ({_is(c['value'])})" for c in miss["clauses"] if not c["ok"]]
    lines = [f"no candidate meets the end: {tuned.about['end']}", f"tried {said}", f"the nearest miss: {miss['text']}"]
    lines.append(f"it misses {' and '.join(bad)}")
    return [*lines, f"what prevents it: {miss['prevents']}"] if miss["prevents"] else lines


def _seeds(n: int) -> str:
    return f"each of {n} seeds" if n > 1 else "one seed"


def _change(change: dict[str, Any]) -> str:
    name = change["path"].rpartition(".")[2]
    return f"{change['path']} = {shown(name, change['new'])} (was {shown(name, change['old'])})"


def _number(value: Any) -> str:
    if isinstance(value, str):
        return value
    return "undefined" if math.isnan(value) else "never" if math.isinf(value) else f"{value:.4g}"


def _counted(n: int, what: str) -> str:
    return f"{n} {what}{'s' * (n != 1)}"


def _is(value: Any) -> str:
    text = _number(value)
    return text if text == "never" else f"is {text}"


def _range(one: dict[str, float]) -> str:
    mean, low, high = (_number(one[name]) for name in ("mean", "low", "high"))
    return mean if low == high else f"{mean} ({low} … {high})"


def title(paths: Sequence[str]) -> str:
    """Return a knob by its last field and where it is: "sz_bytes of schemes 0.0 and 0.1", context first."""
    parts = [path.split(".") for path in paths]
    last = parts[-1]
    if len(last) > 4 and last[2] == "schemes":
        name, places = ".".join(last[4:]), list(dict.fromkeys(f"{p[1]}.{p[3]}" for p in parts))
        kind = "scheme"
    else:
        name, places, kind = ".".join(last[2:]), list(dict.fromkeys(p[1] for p in parts if len(p) > 1)), "context"
    return (
        f"{name} of {kind}{'s' * (len(places) > 1)} {', '.join(places)}" if name and last[0] == "contexts" else ".".join(last)
    )


def _margin(one: dict[str, Any]) -> str:
    name = one["path"].rpartition(".")[2]
    value, low, high = (shown(name, one[key]) for key in ("value", "low", "high"))
    sides = {"below": one["missed_below"], "above": one["missed_above"]}
    missed = " and ".join(shown(name, at) for at in sides.values() if at is not None)
    said = f"met at {low} only" if low == high else f"met from {low} to {high}"
    said += f", missed at {missed}" if missed else ""
    ends = {"below": one["low"] == one["values"][0], "above": one["high"] == one["values"][-1]}
    unknown = [side for side, at in sides.items() if at is None and not ends[side]]
    if unknown:
        said += f", not tried further {' and '.join(unknown)}"
    elif not missed:
        said += ", all that it may be"
    return f"{title(one['paths'])} = {value}: {said}"


def _beaten(one: dict[str, Any], *, told: bool) -> str:
    name = f"{one['candidate']} ({one['text']})" if told else one["candidate"]
    if not one["by"]:
        return f"{name}: cannot be run"
    parts = [f"{n} {_number(d['other'])} instead of {_number(d['answer'])}{_interval(d)}" for n, d in one["by"].items()]
    return f"{name}, {'meets' if one['met'] else 'misses'} the end: {'; '.join(parts)}"


def _interval(one: dict[str, float]) -> str:
    low, high = one["low"], one["high"]
    return "" if math.isnan(low) or math.isnan(high) or low == high else f" ({low:.4g} … {high:.4g})"
