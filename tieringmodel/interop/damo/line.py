"""Read a ``damo start …`` line (or tune, schemes, record): check it, let the real damo translate it, put back what it drops."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import accumulate, pairwise
from pathlib import Path, PurePath
from typing import Any, NamedTuple

from ...errors import InputError, short
from ...fields import suggest
from ...given_files import inside
from ...scenario import ACTIONS, Machine
from ...units import ULONG_MAX, ungrouped
from ..documents import MAX_TEXT_BYTES, decode, parse_json, read_bytes
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
    "--damos_nr_filters": _MANY, "--damos_wmarks": 5, "--damos_max_nr_snapshots": 1, "--sample": 1, "-s": 1, "--aggr": 1,
    "-a": 1, "--updr": 1, "-u": 1, "--minr": 1, "-n": 1, "--maxr": 1, "-m": 1, "--schemes": 1, "-c": 1,
}  # fmt: skip
_LEFT_OUT = {"--debug_damon": 0, "--include_child_tasks": 0, "--damon_interface_DEPRECATED": 1, "--damon_interface": 1}
VERBS = {
    "start": {},
    "tune": {},
    "schemes": {},
    "record": {
        "-o": 1, "--out": 1, "--output_type": 1, "--output_permission": 1, "--output_flush_sec": 1, "--perf_path": 1,
        "--exclude_child_tasks": 0, "--schemes_target_regions": 0, "--snapshot": 2, "--timeout": 1, "--do_record": _MANY,
        "--damon_tracer": 1, "--do_profile": 0, "--profile_target_cmd": 1, "--rbuf": 1, "--perf_opt": 1, "--footprint": 0,
        "--vmas": 0, "--proc_stats": 0,
    },
}  # fmt: skip
"""Commands that describe what DAMON does, with the options of each that do not."""
_TAKES = ("-u", "-g", "-p", "-C", "-D", "-h", "-R", "-T", "--user", "--group", "--chdir", "--host")
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


def without_sudo(line: Sequence[str]) -> list[str]:
    """Return a command's words without ``sudo`` before them, its options and what it sets: ``sudo -E -u root A=1 damo …``."""
    rest = list(line)
    if rest and PurePath(rest[0]).name == "sudo":
        del rest[0]
        while rest and re.match(r"-|[A-Za-z_]\w*=", rest[0]):
            word = rest.pop(0)
            if word in _TAKES:
                del rest[:1]
            if word == "--":
                break
    return rest


@contextmanager
def _said_of(line: Sequence[str]) -> Iterator[None]:
    """Say of the command that was given what is said of ``damo start``."""
    try:
        yield
    except InputError as error:
        texts = (text.replace(WHERE, _command(line)) for text in (error.where, error.what, error.remedy))
        raise type(error)(*texts) from None


def _command(line: Sequence[str]) -> str:
    words = without_sudo(line)
    return f"damo {words[1]}" if len(words) > 1 and words[1] in VERBS else WHERE


def read_damo_line(line: Sequence[str], machine: Machine) -> Dump:
    """Translate a line of ``damo start``, ``tune``, ``schemes`` or ``record`` by the installed damo.

    Parameters
    ----------
    line : sequence of str
        The line's words, from ``damo`` (or ``sudo -E damo``) on. ``--schemes`` has JSON text.
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
    with _said_of(line):
        dump = _read(line, machine)
    notes = tuple(note.replace(WHERE, _command(line), 1) for note in dump.notes)
    return Dump(dump.contexts, notes, dump.memcg_paths, dump.pids)


def _read(line: Sequence[str], machine: Machine) -> Dump:
    options, left_out = _divided(line)
    notes = [f"{WHERE}: translated by damo {damo_version()}" + ("" if damo_version() == PINNED else f" (tested with {PINNED})")]
    notes += [f"{WHERE} {o.name}: is left out, it does not shape what DAMON is told" for o in left_out]
    _check_alone(options)
    options, listed = _listed_schemes(options, notes)
    for option in options:
        for number in (n for word in option.values if "/" not in word for n in re.findall(r"[0-9][0-9.,]*", word)):
            ungrouped(number, f"{WHERE} {option.name}")  # damo drops every comma
    options = _with_ranges(options, machine)
    together, filters = _divided_filters(options)
    checked = [w for o in together for w in ((o.name, *o.values) if o.name else o.values)]
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
    for scheme, mine in zip(schemes, filters, strict=False):
        scheme["filters"] = [_filter(option) for option in mine]
    _same_number(schemes, options, "--damos_filter", "filters")
    notes += _dropped_quotas(options)
    if listed:
        if len(contexts) != 1:
            raise InputError(f"{WHERE} --schemes", f"stands beside {len(contexts)} contexts", "write a parameter file")
        contexts[0]["schemes"] = listed
    dump = read_damo(data, WHERE)
    return Dump(dump.contexts, (*notes, *dump.notes), dump.memcg_paths, dump.pids)


def _divided(line: Sequence[str]) -> tuple[list[Option], list[Option]]:
    """Return the options of a line that shape what DAMON is told, and those that do not."""
    words = without_sudo(line)
    verb = words[1] if len(words) > 1 and PurePath(words[0]).name == "damo" else ""
    if verb not in VERBS:
        text = " ".join(line[:3]) or "nothing"
        raise InputError(
            "after --",
            f"{text!r} is no 'damo start …' line (nor {', '.join(list(VERBS)[1:])})",
            "write e.g. -- damo start --ops paddr …",
        )
    idle = _LEFT_OUT | VERBS[verb]
    every = _options(words[2:], _OPTIONS | idle)
    return [o for o in every if o.name not in idle], [o for o in every if o.name in idle]


def split(line: Sequence[str]) -> list[Option]:
    """Return the options of a damo line that shape what DAMON is told.

    Raises
    ------
    InputError
        If it is no such line, or holds an option that is unknown, abbreviated or lacks values.
    """
    with _said_of(line):
        return _divided(line)[0]


def with_schemes(line: Sequence[str], folder: Path, *, named: bool = True, allow_files: bool = False) -> tuple[str, ...]:
    """Return a line's words with the file that ``--schemes`` names replaced by its text.

    Parameters
    ----------
    line : sequence of str
        The words.
    folder : Path
        Where a relative name begins.
    named : bool
        The user wrote the line; else a script did, and what it names has to lie in `folder`, unless `allow_files`.
    allow_files : bool
        Any file will do.

    Raises
    ------
    InputError
        If there is no such file, or it is refused.
    """
    words = [*line]
    for i, word in enumerate(words):
        option, equals, text = word.partition("=")
        if option not in ("-c", "--schemes"):
            continue
        at = i if equals else i + 1
        text = text if equals else words[at] if at < len(words) else ""
        if not text or text.lstrip().startswith("["):
            continue
        path = inside(folder, text, f"{_command(line)} {option}", allow_files=allow_files or named)
        text = decode(read_bytes(path, MAX_TEXT_BYTES), str(path))
        words[at] = f"{option}={text}" if equals else text
    return tuple(words)


def timeout_us(line: Sequence[str]) -> int | None:
    """Return how long a ``damo record`` line records, where it says so."""
    with _said_of(line):
        for option in _divided(line)[1]:
            if option.name == "--timeout":
                if not re.fullmatch(r"\d{1,9}(\.\d{1,6})?", option.values[0]):
                    raise InputError(f"{WHERE} --timeout", f"{option.values[0]!r} is no number of seconds", "write e.g. 60")
                return round(float(option.values[0]) * 1e6)
    return None


def _options(words: Sequence[str], known: dict[str, int]) -> list[Option]:
    todo = [part for w in words for part in (w.split("=", 1) if re.match(r"--\w+=", w) else [w])]
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


def _listed_schemes(options: list[Option], notes: list[str]) -> tuple[list[Option], list[Any]]:
    """Return the other options, and the schemes that ``--schemes`` lists."""
    given = [o for o in options if o.name in ("-c", "--schemes")]
    if not given:
        return options, []
    others = [o for o in options if o not in given]
    where = f"{WHERE} {given[-1].name}"
    if any(o.name == "--damos_action" for o in options):
        notes.append(f"{where}: damo drops it beside --damos_action")
        return others, []
    listed = parse_json(given[-1].values[0], where)
    if not isinstance(listed, list):
        raise InputError(where, "is no list of schemes", 'write [{"action": …}, …], or a file with it')
    return others, listed


def _divided_filters(options: list[Option]) -> tuple[list[Option], list[list[Option]]]:
    """Return what damo is told at once, and the filters of each scheme where one has several: damo 3 reads these as one."""
    filters = [o for o in options if o.name == "--damos_filter"]
    schemes = sum(o.name == "--damos_action" for o in options)
    if len(filters) < 2 or not schemes:
        return options, []
    numbers = [value for o in options if o.name == "--damos_nr_filters" for value in o.values]
    if any(o.name == "--damos_scheme" for o in options):
        starts = [i for i, o in enumerate(options) if o.name == "--damos_scheme"]
        each = [[o for o in options[a:b] if o in filters] for a, b in pairwise([*starts, len(options)])]
    elif numbers and all(re.fullmatch(r"\d{1,3}", n) for n in numbers):
        ends = [0, *accumulate(map(int, numbers))]
        each = [filters[a:b] for a, b in pairwise(ends)] if ends[-1] == len(filters) else []
    else:
        each = [filters] if schemes == 1 else []
    if len(each) != schemes or sum(map(len, each)) != len(filters):
        text = f"stands {len(filters)} times, and it is not said which of {schemes} schemes each belongs to"
        raise InputError(f"{WHERE} --damos_filter", text, "add --damos_nr_filters with a number for each scheme")
    if max(map(len, each)) < 2:
        return options, []
    return [o for o in options if o.name not in ("--damos_filter", "--damos_nr_filters")], each


def _filter(option: Option) -> Any:
    """Return what damo makes of one filter."""
    try:
        text = damo_args(("paddr", "--damos_action", "stat", option.name, *option.values))
    except InputError as error:
        where = f"{WHERE} {option.name} {' '.join(option.values)}"
        raise InputError(where, error.what, error.remedy) from None
    (only,) = parse_json(text, f"damo {damo_version()}")["kdamonds"][0]["contexts"][0]["schemes"][0]["filters"]
    return only


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
    return damo_args(tuple(line))


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
