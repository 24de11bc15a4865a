"""Contexts as damo's parameter file and as a ``damo start`` command line (layouts: docs/theory/damon.md, section h.4)."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from typing import Any

from ...errors import InputError, printable
from ...scenario import Attrs, Context, Filter, Goal, Scheme
from ...scenario.metrics import metric_of
from ...units import UINT_MAX, ULONG_MAX
from ..sysfs.portable import Portable
from .values import DROPS_NID, nr_accesses, percent_for

PINNED = "3.4.3"
"""The version of damo whose behaviour the notes and refusals describe."""


def _pid(for_linux: Portable, k: int, i: int) -> int | None:
    if for_linux.contexts[k].ops == "paddr":
        return None
    if not for_linux.pids[k][i]:
        text = f"the process of a {for_linux.contexts[k].ops} target is not known"
        raise InputError(f"contexts[{k}].targets[{i}]", text, "give it with --pid, or write a .sh script, which asks for it")
    return for_linux.pids[k][i]


def _memcg(for_linux: Portable, memcg_id: int, where: str) -> str:
    if memcg_id not in for_linux.memcg_paths:
        raise InputError(where, f"memory control group {memcg_id} has no path", "write a .sh script, which asks for it")
    return for_linux.memcg_paths[memcg_id]


def _most(value: int) -> int | str:
    return "max" if value == ULONG_MAX else value


def damo_json(for_linux: Portable) -> dict[str, Any]:
    """Return damo's parameters as plain data for ``json.dumps``.

    Numbers are exact: sizes in bytes, times in microseconds (milliseconds where the key says so), access rates as
    ``"N samples"``.

    Parameters
    ----------
    for_linux : Portable
        What to tell Linux.

    Raises
    ------
    InputError
        If a pid or a control group's path is not known.
    """
    return {"kdamonds": [{"refresh_ms": 0, "contexts": [_context(c, for_linux, k)]} for k, c in enumerate(for_linux.contexts)]}


def damo_text(for_linux: Portable) -> str:
    """Return `damo_json` as indented JSON text."""
    return json.dumps(damo_json(for_linux), indent=2) + "\n"


def intervals_json(attrs: Attrs) -> dict[str, Any]:
    """Return monitoring intervals as damo writes them, in parameters and in records."""
    names = ("access_bp", "aggrs", "min_sample_us", "max_sample_us")
    return {
        "sample_us": attrs.sample_us,
        "aggr_us": attrs.aggr_us,
        "ops_update_us": attrs.update_us,
        "intervals_goal": {name: getattr(attrs.intervals_goal, name) for name in names},
    }


def _context(c: Context, for_linux: Portable, k: int) -> dict[str, Any]:
    a = c.attrs
    return {
        "ops": c.ops,
        "addr_unit": c.addr_unit,
        "targets": [
            {"pid": _pid(for_linux, k, i), "obsolete": False, "regions": [{"start": s, "end": e} for s, e in t.regions]}
            for i, t in enumerate(c.targets)
        ],
        "intervals": intervals_json(a),
        "nr_regions": {"min": a.min_nr_regions, "max": a.max_nr_regions},
        "schemes": [_scheme(s, c, for_linux, f"contexts[{k}].schemes[{i}]") for i, s in enumerate(c.schemes)],
    }


def _age(bound: int, aggr_us: int) -> int | str:
    return "max" if bound == UINT_MAX else bound * aggr_us


def _scheme(s: Scheme, c: Context, for_linux: Portable, where: str) -> dict[str, Any]:
    p, q, w = s.access_pattern, s.quota, s.watermarks
    out = {
        "action": s.action,
        "target_nid": s.target_nid if s.target_nid >= 0 else None,
        "dests": [{"id": d.id, "weight": d.weight} for d in s.dests],
        "access_pattern": {
            "sz_bytes": {"min": _most(p.min_sz_bytes), "max": _most(p.max_sz_bytes)},
            "nr_accesses": {"min": f"{p.min_nr_accesses} samples", "max": f"{p.max_nr_accesses} samples"},
            "age": {"min": _age(p.min_age, c.attrs.aggr_us), "max": _age(p.max_age, c.attrs.aggr_us)},
        },
        "apply_interval_us": s.apply_interval_us,
        "quotas": {
            "time_ms": q.ms, "sz_bytes": q.sz_bytes, "reset_interval_ms": _most(q.reset_interval_ms),
            "fail_charge_num": q.fail_charge_num, "fail_charge_denom": q.fail_charge_denom,
            "goals": [_goal(g, for_linux, f"{where}.quota.goals[{j}]") for j, g in enumerate(q.goals)],
            "goal_tuner": q.goal_tuner, "effective_sz_bytes": 0,
            "weights": {"sz_permil": q.weights.sz, "nr_accesses_permil": q.weights.nr_accesses, "age_permil": q.weights.age},
        },
        "watermarks": {"metric": w.metric, "interval_us": w.interval_us, "high_permil": w.high, "mid_permil": w.mid,
                       "low_permil": w.low},
        "filters": [_filter(f, for_linux, f"{where}.filters[{j}]") for j, f in enumerate(s.filters)],
    }  # fmt: skip
    return out | ({"max_nr_snapshots": s.max_nr_snapshots} if s.max_nr_snapshots else {})


def _goal(g: Goal, for_linux: Portable, where: str) -> dict[str, Any]:
    path = _memcg(for_linux, g.memcg_id, where) if "memcg_id" in metric_of(g.metric).needs else None
    return {
        "metric": g.metric,
        "nid": g.nid,
        "memcg_path": path,
        "target_value": g.target_value,
        "current_value": g.current_value,
    } | ({"complement": True} if g.complement else {})


def _filter(f: Filter, for_linux: Portable, where: str) -> dict[str, Any]:
    out: dict[str, Any] = {
        "filter_type": f.type,
        "matching": f.matching,
        "allow": f.allow,
        "memcg_path": None,
        "address_range": None,
        "damon_target_idx": None,
        "hugepage_size": None,
    }
    if f.type == "addr":
        out["address_range"] = {"start": f.start_bytes, "end": f.end_bytes}
    elif f.type == "target":
        out["damon_target_idx"] = f.target_idx
    elif f.type == "memcg":
        out["memcg_path"] = _memcg(for_linux, f.memcg_id, where)
    elif f.type == "hugepage_size":
        out["hugepage_size"] = [f.min_bytes, f.max_bytes]
    return out


def damo_line(for_linux: Portable) -> list[str]:
    """Return the words of a ``damo start`` command.

    damo gives the n-th quota option to the n-th scheme, whichever scheme it stands behind; so every option is written for
    every scheme, and the numbers of goals and filters of each at the end.

    Parameters
    ----------
    for_linux : Portable
        What to tell Linux.

    Raises
    ------
    InputError
        If damo's command line cannot say it: several filters in one scheme, ``node_eligible_mem_bp`` of another node than
        0 (its nid is dropped), processes or control groups that are not known.
    """
    several = len(for_linux.contexts) > 1
    line = ["damo", "start"]
    for k, context in enumerate(for_linux.contexts):
        line += _context_words(context, for_linux, k)
    schemes = [s for c in for_linux.contexts for s in c.schemes]
    if several:
        line += ["--nr_targets", *(str(len(c.targets)) for c in for_linux.contexts)]
        line += ["--nr_schemes", *(str(len(c.schemes)) for c in for_linux.contexts)]
        line += ["--nr_ctxs", *("1" for _ in for_linux.contexts)]
    elif len(for_linux.contexts[0].targets) > 1:
        line += ["--nr_targets", str(len(for_linux.contexts[0].targets))]
    if any(s.quota.goals for s in schemes):
        line += ["--damos_nr_quota_goals", *(str(len(s.quota.goals)) for s in schemes)]
    if any(s.filters for s in schemes):
        line += ["--damos_nr_filters", *(str(len(s.filters)) for s in schemes)]
    return line


def damo_command(for_linux: Portable) -> str:
    """Return `damo_line` as text for a shell, one option a line, with what is left out as comments above."""
    lines: list[str] = []
    for word in damo_line(for_linux):
        if word.startswith("--"):
            lines.append(word)
        else:
            lines[-1:] = [f"{lines[-1]} {shlex.quote(word)}"] if lines else [word]
    comments = [f"# NOT WRITTEN: {printable(' '.join(mark.split()))}\n" for mark in for_linux.marks]
    return f"# for damo {PINNED}\n" + "".join(comments) + " \\\n    ".join(lines) + "\n"


def _context_words(c: Context, for_linux: Portable, k: int) -> Iterator[str]:
    a, goal = c.attrs, c.attrs.intervals_goal
    yield from ("--ops", c.ops, "--damon_addr_unit", str(c.addr_unit))
    for i, target in enumerate(c.targets):
        if c.ops != "paddr":
            yield from ("--target_pid", str(_pid(for_linux, k, i)))
        if target.regions:
            yield from ("--regions", " ".join(f"{start}-{end}" for start, end in target.regions))
        elif len(c.targets) > 1 or len(for_linux.contexts) > 1:
            yield from ("--regions", "")
    yield from ("--monitoring_intervals", *map(str, (a.sample_us, a.aggr_us, a.update_us)))
    numbers = (goal.access_bp, goal.aggrs, goal.min_sample_us, goal.max_sample_us)
    yield from ("--monitoring_intervals_goal", *map(str, numbers))
    yield from ("--monitoring_nr_regions_range", str(a.min_nr_regions), str(a.max_nr_regions))
    for i, scheme in enumerate(c.schemes):
        yield from _scheme_words(scheme, c, for_linux, f"contexts[{k}].schemes[{i}]")


def _scheme_words(s: Scheme, c: Context, for_linux: Portable, where: str) -> Iterator[str]:
    p, q, w = s.access_pattern, s.quota, s.watermarks
    to = [str(n) for d in s.dests for n in (d.id, d.weight)] or ([str(s.target_nid)] if s.target_nid >= 0 else [])
    yield from ("--damos_action", s.action, *(to if s.action.startswith("migrate") else ()))
    yield from ("--damos_sz_region", str(_most(p.min_sz_bytes)), str(_most(p.max_sz_bytes)))
    a = c.attrs
    for bound in (p.min_nr_accesses, p.max_nr_accesses):
        if nr_accesses(percent_for(bound, a.sample_us, a.aggr_us), where, a.sample_us, a.aggr_us) != bound:
            text = f"{bound} samples of {a.aggr_us // max(a.sample_us, 1)} cannot be said in percent"
            raise InputError(f"{where}.access_pattern", text, "write a .json file, which takes samples")
    rates = (percent_for(b, a.sample_us, a.aggr_us) for b in (p.min_nr_accesses, p.max_nr_accesses))
    yield from ("--damos_access_rate", *(r if r == "max" else f"{r}%" for r in rates))
    yield from ("--damos_age", str(_age(p.min_age, a.aggr_us)), str(_age(p.max_age, a.aggr_us)))
    yield from ("--damos_apply_interval", str(s.apply_interval_us))
    yield from ("--damos_quota_interval", str(_most(q.reset_interval_ms)), "--damos_quota_time", str(q.ms))
    yield from ("--damos_quota_space", str(_most(q.sz_bytes)))
    yield from ("--damos_quota_weights", *map(str, (q.weights.sz, q.weights.nr_accesses, q.weights.age)))
    yield from ("--damos_quota_fail_charge_ratio", str(q.fail_charge_num), str(q.fail_charge_denom))
    yield from ("--damos_quota_goal_tuner", q.goal_tuner)
    for j, goal in enumerate(q.goals):
        yield from ("--damos_quota_goal", *_goal_words(goal, for_linux, f"{where}.quota.goals[{j}]"))
    yield from ("--damos_wmarks", w.metric, *map(str, (w.interval_us, w.high, w.mid, w.low)))
    yield from ("--damos_max_nr_snapshots", str(s.max_nr_snapshots))
    if len(s.filters) > 1:
        text = f"has {len(s.filters)} filters, damo {PINNED} takes one for each scheme on its command line"
        raise InputError(f"{where}.filters", text, "write a .json file or a .sh script")
    for j, item in enumerate(s.filters):
        yield from ("--damos_filter", *_filter_words(item, for_linux, f"{where}.filters[{j}]"))


def _goal_words(g: Goal, for_linux: Portable, where: str) -> Iterator[str]:
    yield from (g.metric, str(g.target_value))
    if g.metric == DROPS_NID:
        if g.nid:
            text = f"{DROPS_NID} of node {g.nid}: damo {PINNED} drops the nid on its command line"
            raise InputError(f"{where}.nid", text, "write a .json file or a .sh script")
        yield "0"
    elif needs := metric_of(g.metric).needs:
        yield str(g.nid)
        if "memcg_id" in needs:
            yield _memcg(for_linux, g.memcg_id, where)
    elif metric_of(g.metric).counts == "input":
        yield str(g.current_value)


def _filter_words(f: Filter, for_linux: Portable, where: str) -> Iterator[str]:
    yield "allow" if f.allow else "reject"
    if not f.matching:
        yield "none"
    yield f.type
    if f.type == "addr":
        yield from (str(f.start_bytes), str(f.end_bytes))
    elif f.type == "target":
        yield str(f.target_idx)
    elif f.type == "memcg":
        yield _memcg(for_linux, f.memcg_id, where)
    elif f.type == "hugepage_size":
        yield from (str(f.min_bytes), str(f.max_bytes))
