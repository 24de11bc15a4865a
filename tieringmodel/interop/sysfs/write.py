"""Contexts as writes to DAMON's sysfs files, and those as a shell script to review and run.

Tree, order and names: docs/theory/damon.md, section h.1. Every file that the kernel has is written, also where the value is
Linux's own default, so that the script does not depend on what an earlier run left there.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

from ...damon.parameters import split_filters
from ...errors import printable
from ...scenario import Context, Filter, Goal, Kernel, Scheme
from ...scenario.features import FEATURES
from ...scenario.metrics import SHIPPED, metric_of
from .portable import Portable

ROOT = "/sys/kernel/mm/damon/admin"
LAYERS = "6.15"
"""The first Linux with a folder of filters for each layer; before, all stand in one."""
_SINCE = {
    r"addr_unit": FEATURES["addr_unit"],
    r"monitoring_attrs/intervals/intervals_goal/.*": FEATURES["intervals_goal"],
    r"schemes/\d+/quotas/goal_tuner": FEATURES["temporal"],
    r"schemes/\d+/quotas/fail_charge_.*": FEATURES["fail_charge"],
    r"schemes/\d+/quotas/goals/\d+/nid": SHIPPED["node_mem_used_bp"].linux,
    r"schemes/\d+/(core|ops)_filters/.*": LAYERS,
    r"schemes/\d+/filters/\d+/allow": FEATURES["allow"],
    r"schemes/\d+/dests/.*": FEATURES["dests"],
    r"schemes/\d+/stats/max_nr_snapshots": FEATURES["max_nr_snapshots"],
}
"""Files of a context's tree that came with a release, by pattern."""


class Asked(str):
    """A value that is not known: the name of the shell variable that will hold it, after a dollar sign."""


def sysfs_writes(for_linux: Portable) -> list[tuple[str, str]]:
    """Return every write as (path below ``admin/``, value), in an order that Linux accepts: counts before what they make.

    Parameters
    ----------
    for_linux : Portable
        What to tell Linux. Instead of an unknown pid stands an `Asked` ``$TARGET_PID_k_t`` (kdamond k, target t), instead of
        the unknown path of control group i ``$MEMCG_i``.
    """
    writes = [("kdamonds/nr_kdamonds", str(len(for_linux.contexts)))]
    for k, context in enumerate(for_linux.contexts):
        top = f"kdamonds/{k}/contexts"
        writes.append((f"{top}/nr_contexts", "1"))
        writes += [
            (f"{top}/0/{path}", value) for path, value in _context(context, for_linux, k) if _exists(path, for_linux.kernel)
        ]
    return writes


def _exists(path: str, kernel: Kernel) -> bool:
    """Whether a kernel has a file."""
    return all(kernel.has(since) for pattern, since in _SINCE.items() if re.fullmatch(pattern, path))


def _context(c: Context, for_linux: Portable, k: int) -> Iterator[tuple[str, str]]:
    a, goal = c.attrs, c.attrs.intervals_goal
    yield "operations", c.ops
    yield "addr_unit", str(c.addr_unit)
    times = "monitoring_attrs/intervals"
    for name in ("sample_us", "aggr_us", "update_us"):
        yield f"{times}/{name}", str(getattr(a, name))
    for name in ("access_bp", "aggrs", "min_sample_us", "max_sample_us"):
        yield f"{times}/intervals_goal/{name}", str(getattr(goal, name))
    yield "monitoring_attrs/nr_regions/min", str(a.min_nr_regions)
    yield "monitoring_attrs/nr_regions/max", str(a.max_nr_regions)
    yield "targets/nr_targets", str(len(c.targets))
    for i, target in enumerate(c.targets):
        if c.ops != "paddr":
            pid = for_linux.pids[k][i]
            yield f"targets/{i}/pid_target", str(pid) if pid else Asked(f"$TARGET_PID_{k}_{i}")
        yield f"targets/{i}/regions/nr_regions", str(len(target.regions))
        for j, (start, end) in enumerate(target.regions):
            yield f"targets/{i}/regions/{j}/start", str(start)
            yield f"targets/{i}/regions/{j}/end", str(end)
    yield "schemes/nr_schemes", str(len(c.schemes))
    for i, scheme in enumerate(c.schemes):
        for path, value in _scheme(scheme, for_linux):
            yield f"schemes/{i}/{path}", value


def _scheme(s: Scheme, for_linux: Portable) -> Iterator[tuple[str, str]]:
    yield "action", s.action
    yield "target_nid", str(s.target_nid)
    yield "apply_interval_us", str(s.apply_interval_us)
    for name, mine in (("sz", "sz_bytes"), ("nr_accesses", "nr_accesses"), ("age", "age")):
        yield f"access_pattern/{name}/min", str(getattr(s.access_pattern, f"min_{mine}"))
        yield f"access_pattern/{name}/max", str(getattr(s.access_pattern, f"max_{mine}"))
    q = s.quota
    for name, value in (
        ("ms", q.ms),
        ("bytes", q.sz_bytes),
        ("reset_interval_ms", q.reset_interval_ms),
        ("goal_tuner", q.goal_tuner),
        ("fail_charge_num", q.fail_charge_num),
        ("fail_charge_denom", q.fail_charge_denom),
        ("weights/sz_permil", q.weights.sz),
        ("weights/nr_accesses_permil", q.weights.nr_accesses),
        ("weights/age_permil", q.weights.age),
        ("goals/nr_goals", len(q.goals)),
    ):
        yield f"quotas/{name}", str(value)
    for j, goal in enumerate(q.goals):
        for path, value in _goal(goal, for_linux):
            yield f"quotas/goals/{j}/{path}", value
    for name in ("metric", "interval_us", "high", "mid", "low"):
        yield f"watermarks/{name}", str(getattr(s.watermarks, name))
    core, ops = split_filters(s.filters)
    folders = {"core_filters": core, "ops_filters": ops, "filters": ()}
    for folder, filters in (folders if for_linux.kernel.has(LAYERS) else {"filters": s.filters}).items():
        yield f"{folder}/nr_filters", str(len(filters))
        for j, item in enumerate(filters):
            for path, value in _filter(item, for_linux):
                yield f"{folder}/{j}/{path}", value
    yield "dests/nr_dests", str(len(s.dests))
    for j, dest in enumerate(s.dests):
        yield f"dests/{j}/id", str(dest.id)
        yield f"dests/{j}/weight", str(dest.weight)
    yield "stats/max_nr_snapshots", str(s.max_nr_snapshots)


def _goal(g: Goal, for_linux: Portable) -> Iterator[tuple[str, str]]:
    yield "target_metric", g.metric
    yield "target_value", str(g.target_value)
    yield "current_value", str(g.current_value)
    yield "nid", str(g.nid)
    if g.complement:
        yield "complement", "Y"
    if "memcg_id" in metric_of(g.metric).needs:
        yield "path", for_linux.memcg_paths.get(g.memcg_id, Asked(f"$MEMCG_{g.memcg_id}"))


def _filter(f: Filter, for_linux: Portable) -> Iterator[tuple[str, str]]:
    yield "type", f.type
    yield "matching", "Y" if f.matching else "N"
    yield "allow", "Y" if f.allow else "N"
    if f.type == "addr":
        yield "addr_start", str(f.start_bytes)
        yield "addr_end", str(f.end_bytes)
    elif f.type == "target":
        yield "damon_target_idx", str(f.target_idx)
    elif f.type == "memcg":
        yield "memcg_path", for_linux.memcg_paths.get(f.memcg_id, Asked(f"$MEMCG_{f.memcg_id}"))
    elif f.type == "hugepage_size":
        yield "min", str(f.min_bytes)
        yield "max", str(f.max_bytes)


def sysfs_script(for_linux: Portable, name: str = "") -> str:
    """Return a POSIX shell script that makes the writes and, asked with ``--on``, turns DAMON on.

    Without ``--on`` nothing starts. ``DAMON_ADMIN`` names another tree to write to, for a rehearsal. The writes stop at
    the first that fails.

    Parameters
    ----------
    for_linux : Portable
        What to tell Linux.
    name : str
        Named in the script's first comment.
    """
    writes = sysfs_writes(for_linux)
    unknown = sorted({value[1:] for _, value in writes if isinstance(value, Asked)})
    title = printable(" ".join(name.split()))
    lines = [
        "#!/bin/sh",
        f"# DAMON set-up{f' of {title}' if title else ''}, for Linux {for_linux.kernel.release} or later.",
        "# Review it, then run it as root; with --on it also turns DAMON on.",
        "set -eu",
    ]
    lines += [f"# NOT WRITTEN: {printable(' '.join(mark.split()))}" for mark in for_linux.marks]
    lines.append(f'admin="${{DAMON_ADMIN:-{ROOT}}}"')
    for variable in unknown:
        what = "a process to monitor" if variable.startswith("TARGET_PID") else "the path of a memory control group"
        lines.append(f': "${{{variable}:?set it to {what}}}"')
    lines += ["put() {", """    printf '%s\\n' "$2" > "$admin/$1" || { echo "refused: $1 $2" >&2; exit 1; }""", "}"]
    last = ""
    for path, value in writes:
        part = "/".join(path.split("/")[:6] if "/schemes/" in path else path.split("/")[:2])
        if part != last and not path.endswith(("nr_kdamonds", "nr_contexts", "nr_schemes")):
            lines.append(f"# {part}")
            last = part
        lines.append(f"put {path} " + (f'"{value}"' if isinstance(value, Asked) else shlex.quote(value)))
    lines += ['if [ "${1:-}" = --on ]; then']
    lines += [f"    put kdamonds/{k}/state on" for k in range(len(for_linux.contexts))]
    return "\n".join([*lines, "fi"]) + "\n"
