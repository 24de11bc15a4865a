"""Read a ``damo start …`` command line: check its words, let the real damo translate them, put back what it drops."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Sequence
from pathlib import PurePath
from typing import Any, NamedTuple

from ...errors import InputError, short
from ...fields import suggest
from ...scenario import ACTIONS, Machine
from ...units import ULONG_MAX, ungrouped
from ..documents import parse_json
from ..sysfs.portable import ranges_of
from ..sysfs.read import Dump
from . import values as v
from .json import read_damo
from .program import damo_args, damo_version
from .write import PINNED

WHERE = "damo start"
_MANY = -1
# Options that shape what DAMON is told, and how many values each takes (found by running damo 3.4.3).
_OPTIONS = {
    "--kdamond": 0, "--damon_ctx": 0, "--damon_target": 0, "--damos_scheme": 0, "--ops": 1, "--target_pid": 1,
    "--regions": 1, "-r": 1, "--numa_node": _MANY, "--damon_addr_unit": 1, "--monitoring_intervals": 3,
    "--monitoring_intervals_goal": 4, "--monitoring_intervals_autotune": 0, "--monitoring_nr_regions_range": 2,
    "--obsolete_targets": _MANY, "--pause_ctx": _MANY, "--refresh_stat": 1, "--nr_targets": _MANY, "--nr_schemes": _MANY,
    "--nr_ctxs": _MANY, "--damos_action": _MANY, "--damos_sz_region": 2, "--damos_access_rate": 2, "--damos_age": 2,
    "--damos_apply_interval": 1, "--damos_quotas": _MANY, "--damos_quota_interval": 1, "--damos_quota_time": 1,
    "--damos_quota_space": 1, "--damos_quota_weights": 3, "--damos_quota_fail_charge_ratio": 2,
    "--damos_quota_goal": _MANY, "--damos_quota_goal_tuner": 1, "--damos_nr_quota_goals": _MANY, "--damos_filter": _MANY,
    "--damos_nr_filters": _MANY, "--damos_wmarks": 5, "--damos_max_nr_snapshots": 1,
}  # fmt: skip
_LEFT_OUT = {"--debug_damon": 0, "--include_child_tasks": 0}
# Paths below a scheme whose numbers --raw prints in nanoseconds, and the unit they have in a file.
_NS = (
    (("access_pattern", "age", "min"), 10**3),
    (("access_pattern", "age", "max"), 10**3),
    (("quotas", "time_ms"), 10**6),
    (("quotas", "reset_interval_ms"), 10**6),
    (("watermarks", "interval_us"), 10**3),
)


class Option(NamedTuple):
    """An option and its values; no name for a word that stands alone."""

    name: str
    values: tuple[str, ...]


def read_damo_line(line: Sequence[str], machine: Machine) -> Dump:
    """Translate a ``damo start`` command line by the installed damo.

    Parameters
    ----------
    line : sequence of str
        The line's words, from ``damo`` (or ``sudo damo``) on.
    machine : Machine
        Gives ``--numa_node`` its ranges; damo would take those of the machine it runs on.

    Returns
    -------
    Dump
        A paddr target without ranges monitors the whole machine (told in ``notes``).

    Raises
    ------
    InputError
        For a command to run, an option that is unknown or writes files, a ``node_eligible_mem_bp`` goal without an
        explicit nid, options that damo gives to another scheme or drops; if damo refuses the line or is not installed.
    """
    options = [o for o in split(line) if o.name not in _LEFT_OUT]
    _check_alone(options)
    notes = [f"{WHERE}: translated by damo {damo_version()}" + ("" if damo_version() == PINNED else f" (tested with {PINNED})")]
    notes += [
        f"{WHERE} {o.name}: is left out, it does not shape what DAMON is told" for o in split(line) if o.name in _LEFT_OUT
    ]
    _check_alone(options)
    for option in options:
        for number in (n for word in option.values if "/" not in word for n in re.findall(r"[0-9][0-9.,]*", word)):
            ungrouped(number, f"{WHERE} {option.name}")  # damo drops every comma
    options = _with_ranges(options, machine)
    checked = [w for o in options for w in ((o.name, *o.values) if o.name else o.values)]
    data = parse_json(_translated(checked, options), f"damo {damo_version()}")
    contexts = [c for k in data.get("kdamonds", []) for c in k.get("contexts", [])]
    schemes = [s for c in contexts for s in c.get("schemes", [])]
    _whole_machine(contexts, sum(o.name in ("-r", "--regions") for o in options), machine, notes)
    for scheme in schemes:
        _from_ns(scheme)
    _access_rates(schemes, [o for o in options if o.name == "--damos_access_rate"])
    for scheme, option in zip(schemes, (o for o in options if o.name == "--damos_max_nr_snapshots"), strict=False):
        scheme["max_nr_snapshots"] = option.values[0]  # damo counts it among the statistics and does not print these
    _goals(schemes, [o for o in options if o.name == "--damos_quota_goal"], notes)
    _same_number(schemes, options, "--damos_filter", "filters")
    notes += _dropped_quotas(options)
    dump = read_damo(data, WHERE)
    return Dump(dump.contexts, (*notes, *dump.notes), dump.memcg_paths, dump.pids)


def split(line: Sequence[str]) -> list[Option]:
    """Return the options of a ``damo start`` line.

    Raises
    ------
    InputError
        If it is no such line, or holds an option that is unknown, abbreviated or lacks values.
    """
    rest = list(line[1:] if line and line[0] == "sudo" else line)
    if len(rest) < 2 or PurePath(rest[0]).name != "damo" or rest[1] != "start":
        text = " ".join(line[:3]) or "nothing"
        raise InputError("after --", f"{text!r} is no 'damo start …' line", "write e.g. -- damo start --ops paddr …")
    known = _OPTIONS | _LEFT_OUT
    todo = [part for w in rest[2:] for part in (w.split("=", 1) if re.match(r"--\w+=", w) else [w])]
    options = []
    while todo:
        word = todo.pop(0)
        if not word.startswith("-"):
            options.append(Option("", (word,)))
            continue
        if word not in known:
            near = difflib.get_close_matches(word, known, 1)
            remedy = f"did you mean {near[0]}?" if near else "remove it, or give damo's parameter file"
            raise InputError(f"{WHERE} {short(word)}", "is no option that can be translated", remedy)
        wanted = known[word]
        values: list[str] = []
        while todo and len(values) != wanted and not re.match(r"-[-a-zA-Z]", todo[0]):
            values.append(todo.pop(0))
        if len(values) < max(wanted, wanted == _MANY):
            text = f"has {len(values)} values, it takes {wanted if wanted > 0 else 'one or more'}"
            raise InputError(f"{WHERE} {word}", text, "complete it")
        options.append(Option(word, tuple(values)))
    return options


def _check_alone(options: list[Option]) -> None:
    """Let damo see no word that it would run or open."""
    alone = [o.values[0] for o in options if not o.name]
    for word in alone:
        if word != "paddr" and not re.fullmatch(r"[0-9]{1,10}", word):
            text = f"{word!r} stands alone: damo would run it as a command or read it as a file"
            raise InputError(WHERE, text, "write paddr, a process id, or options; give a parameter file without 'damo start'")
    if len(alone) > 1:
        raise InputError(WHERE, f"{', '.join(alone)} stand alone", "write one target")
    for option in options:
        if option.name == "--target_pid" and not re.fullmatch(r"[0-9]{1,10}", option.values[0]):
            raise InputError(f"{WHERE} --target_pid", f"{option.values[0]!r} is no process id", "write a number")


def _translated(line: Sequence[str], options: list[Option]) -> str:
    """Return what damo makes of checked words; where it does not say clearly what it refuses, say it here."""
    actions = [o.values[0] for o in options if o.name == "--damos_action"]
    for word in actions:
        if word not in ACTIONS:
            raise InputError(f"{WHERE} --damos_action", f"{word!r} is no action", suggest(word, ACTIONS))
    try:
        return damo_args(tuple(line))
    except InputError as error:
        if sum(o.name == "--damos_filter" for o in options) <= len(actions):
            raise
        remedy = f"damo {PINNED} takes one --damos_filter for each scheme; give a parameter file with more"
        raise InputError(error.where, error.what, remedy) from None


def _with_ranges(options: list[Option], machine: Machine) -> list[Option]:
    """Replace ``--numa_node`` by the ranges of the scenario's nodes."""
    if not any(o.name == "--numa_node" for o in options):
        return options
    if any(o.name in ("-r", "--regions") for o in options):
        raise InputError(f"{WHERE} --numa_node", "stands beside --regions", "say all ranges in one of the two ways")
    units = {o.values[0] for o in options if o.name == "--damon_addr_unit"} or {"1"}
    if len(units) > 1:
        raise InputError(f"{WHERE} --numa_node", "stands beside several address units", "write --regions")
    unit = v.size_bytes(units.pop(), f"{WHERE} --damon_addr_unit") or 1
    known = {str(n.nid): n for n in machine.nodes}
    out = []
    for option in options:
        if option.name == "--numa_node":
            for nid in option.values:
                if nid not in known:
                    raise InputError(f"{WHERE} --numa_node", f"node {nid} is not in the machine", suggest(nid, known))
            nodes = tuple(n for n in machine.nodes if str(n.nid) in option.values)
            ranges = ranges_of(machine.replace(nodes=nodes), unit)
            option = Option("--regions", (" ".join(f"{start}-{end}" for start, end in ranges),))
        out.append(option)
    return out


def _whole_machine(contexts: list[dict[str, Any]], given: int, machine: Machine, notes: list[str]) -> None:
    """Replace the ranges of the machine that damo runs on: targets beyond the given ranges got them."""
    targets = [(c, t) for c in contexts for t in c.get("targets", [])]
    for context, target in targets[given:]:
        if context.get("ops") == "paddr":
            ranges = ranges_of(machine, v.size_bytes(context.get("addr_unit", 1), WHERE) or 1)
            target["regions"] = [{"start": start, "end": end} for start, end in ranges]
            notes.append(f"{WHERE}: no range is given; damo would take the memory it runs on, here it is the whole machine")


def _from_ns(scheme: dict[str, Any]) -> None:
    for path, unit in _NS:
        place: Any = scheme
        for key in path[:-1]:
            place = place.get(key, {})
        if path[-1] in place:
            value = int(float(place[path[-1]])) if "." in str(place[path[-1]]) else int(place[path[-1]])
            place[path[-1]] = "max" if value >= ULONG_MAX * unit else value // unit


def _access_rates(schemes: list[dict[str, Any]], options: list[Option]) -> None:
    """Put back the fractions that damo cuts when it prints."""
    for i, option in enumerate(options):
        where = f"{WHERE} --damos_access_rate {' '.join(option.values)}"
        printed = schemes[i]["access_pattern"]["nr_accesses"] if i < len(schemes) else {}
        for end, word in zip(("min", "max"), option.values, strict=True):
            said = str(printed.get(end, ""))
            number = ungrouped(word.removesuffix("%").strip(), where)
            if word == "max":
                same = number == "max" and (said == "max" or int(re.sub(r"\D", "", said) or 0) >= ULONG_MAX)
                printed[end] = "max"
            else:
                same = said.endswith("%") and float(number) // 1 == float(said.removesuffix("%"))
                printed[end] = f"{number} %"
            if not same:
                raise InputError(where, f"damo prints {said!r} for scheme {i}", "give its JSON instead")


def _goals(schemes: list[dict[str, Any]], options: list[Option], notes: list[str]) -> None:
    """Put back the nid of ``node_eligible_mem_bp``, which damo drops; refuse what else it drops."""
    for option in options:
        if option.values[0] == v.DROPS_NID:
            where = f"{WHERE} --damos_quota_goal {' '.join(option.values)}"
            if len(option.values) < 3 or not re.fullmatch(r"[0-9]{1,4}", option.values[2]):
                text = f"names no node; damo {PINNED} passes none on, and Linux would silently take node 0"
                raise InputError(where, text, "write the nid after the target, for example 'node_eligible_mem_bp 4000 1'")
    _same_number(schemes, options, "--damos_quota_goal", "goals")
    translated = [g for s in schemes for g in s["quotas"]["goals"]]
    for option, goal in zip(options, translated, strict=True):
        where = f"{WHERE} --damos_quota_goal {' '.join(option.values)}"
        if goal.get("metric") != option.values[0]:
            raise InputError(where, f"damo makes it {goal.get('metric')!r}", "give its JSON instead")
        if option.values[0] == v.DROPS_NID and goal.get("nid") is None:
            goal["nid"] = int(option.values[2])
            if goal["nid"]:
                text = f"damo {PINNED} drops the nid, Linux would be told node 0; here it is node {goal['nid']}, as written"
                notes.append(f"{where}: {text}")


def _dropped_quotas(options: list[Option]) -> Iterator[str]:
    """Yield what damo does not pass on: quotas of a scheme that has no ``--damos_quota_interval``."""
    intervals, quotas = (sum(o.name == name for o in options) for name in ("--damos_quota_interval", "--damos_quotas"))
    kept = dict.fromkeys(("--damos_quota_time", "--damos_quota_space", "--damos_quota_weights"), intervals)
    kept |= dict.fromkeys(("--damos_quota_fail_charge_ratio", "--damos_quota_goal_tuner"), max(intervals, quotas))
    for name, most in kept.items():
        for option in [o for o in options if o.name == name][most:]:
            text = f"damo {PINNED} drops it, for no --damos_quota_interval goes with it"
            yield f"{WHERE} {name} {' '.join(option.values)}: {text}"


def _same_number(schemes: list[dict[str, Any]], options: list[Option], name: str, kind: str) -> None:
    given = sum(o.name == name for o in options)
    got = sum(len(s["quotas"]["goals"] if kind == "goals" else s["filters"]) for s in schemes)
    if given != got:
        text = f"stands {given} times, damo keeps {got}: it gives the n-th quota options to the n-th scheme"
        raise InputError(f"{WHERE} {name}", text, "give every scheme every quota option, or use a parameter file")
