"""What a terminal or a plain-text mail shows of one run: verdict, causes, fix, goals, a chart, the funnel, how to repeat it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from ..datasets.kernel import kernel_of
from ..datasets.schema import VARIABLES
from ..linting import Finding, lint
from ..plot.reading import RUN, need, plain
from ..units import MIB, format_bytes
from ..verdicts.funnel import describe
from ..verdicts.goal_course import FULL_BP, GoalCourse, courses
from ..verdicts.page_run import PageRun, SchemeRun
from ..verdicts.record import Cause, Verdict
from ..verdicts.record import plain as tidy
from ..verdicts.sentence import SAID_CAUSES
from ..verdicts.thresholds import RunThresholds
from . import text_chart
from .plain_text import MAIL_WIDTH, columns, joined, need_width, paragraph, to_repeat
from .text_of_comparison import foretold

if TYPE_CHECKING:
    import xarray as xr

FINDINGS_OF = {
    "watermarks-inactive": ("watermarks-inactive",),
    "apply-starved": ("apply-starved",),
    "quota-below-region": ("first-move", "quota-below-region", "quota-not-pages", "no-reset-interval"),
    "run-too-short": ("first-move", "no-reset-interval", "reset-interval-off-grid"),
    "nothing-matches": ("empty-pattern", "pattern-matches-nothing", "too-few-regions", "interval-remainder", "lossy-intervals"),
    "rejected-by-filters": ("young-filter", "missing-address-filter", "memcg-unknown", "ops-filters-skipped"),
    "young-first-pass": ("young-filter", "young-first-pass"),
    "destination-full": ("target-above-capacity", "placement-overfull", "target-node", "first-move"),
    "failed-charges": ("fail-charge", "failed-charges", "large-folios"),
    "quota-limited": ("no-reset-interval", "quota-below-region", "quota-not-pages"),
    "capacity": ("target-above-capacity", "target-above-supply", "source-is-target"),
    "metric-blind": ("goal-without-effect", "literal-metric", "frames-share", "memcg-unknown", "goal-node"),
    "wrong-node": ("goal-on-source", "goal-node", "source-is-target"),
    "goals-overlap": ("targets-overlap", "used-free-overlap", "targets-no-gap"),
    "no-gap": ("targets-no-gap", "gap-below-step", "used-free-overlap", "dead-band"),
    "opposing-schemes": ("opposing-schemes", "interleave-against-goal", "two-contexts-same-memory"),
    "step-over": ("no-cap", "windup-under-cap", "consist-overshoot", "gap-below-step", "first-window-unlimited"),
    "tuner-windup": ("no-cap", "windup-under-cap", "consist-overshoot"),
    "one-way": ("no-cap", "windup-under-cap", "consist-overshoot", "first-window-unlimited"),
    "measured-differs": ("literal-metric", "lossy-intervals", "too-few-regions", "sample-reuse"),
    "frame-rule": ("dests-on-paddr",),
    "rank-rule": ("dests-on-paddr",),
    "redraw": ("dests-on-paddr",),
    "offset-rule": ("weights-share-off", "weights-not-reduced"),
    "nothing-acts": ("action-not-modelled", "unsupported-action", "dests-unused"),
}
"""Which findings of lint are about a cause: what was foretold and has come true."""
_OF_PAIRS = ("goals-overlap", "no-gap", "opposing-schemes")
"""Causes of two schemes; a finding names either."""


def text_of_run(
    ds: xr.Dataset,
    found: Verdict,
    *,
    width: int = MAIL_WIDTH,
    ascii_only: bool = False,
    funnel: bool = False,
    tried: str = "",
    place: str = "",
) -> str:
    """Return what is printed about a page-level run.

    Parameters
    ----------
    ds : xarray.Dataset
        A page-level run, or one that is stored, also by an earlier version.
    found : Verdict
        The verdict on it, with the fix and the seeds if there are any.
    width : int
        Longest line, 60 or more; only a single word can be longer.
    ascii_only : bool
        No byte above 127.
    funnel : bool
        Every counter of every scheme, not one line a scheme.
    tried : str
        What was tried in vain, where no fix was found.
    place : str
        The dataset's file, to repeat the run from where it does not say how it was made.

    Returns
    -------
    str
        Lines without trailing newline; ``found.text`` is in it, folded.

    Raises
    ------
    InputError
        If the width is too small, or the dataset is no run.
    """
    need_width(width)
    need(ds, "ds", ("access_share_bp", "class_pages", "class_rate_hz", "migrated_pages", "esz_bytes", "resets"), RUN)
    run = PageRun(ds, RunThresholds(**{k: v for k, v in found.thresholds.items() if k in RunThresholds._fields}))
    goals, length = courses(run), ds.attrs.get("length", "")
    command = plain(ds.attrs.get("command", "")) or (f"tieringmodel run {place}" if place else "")
    parts = [
        paragraph(_title(ds), width)
        + paragraph(kernel_of(ds), width)
        + paragraph(_surroundings(run), width)
        + paragraph(f"--duration auto {plain(length)}." if length else "", width)
        + paragraph(_yet_to_come(run), width),
        paragraph(plain(found.text), width) + _seeds(found, width),
        _causes(found, width),
        _fix(found, tried, width),
        _goals(found, goals, width),
        _chart(run, goals, found.causes, width, text_chart.strokes(ascii_only)),
        _funnels(run, found, width, full=funnel),
        _foretold(run, found, width),
        to_repeat(command, width),
    ]
    return joined(parts, ascii_only=ascii_only)


def _title(ds: xr.Dataset) -> str:
    facts = [f"{float(ds.attrs['duration_s']):g} s simulated"]
    facts += [f"seed {ds.attrs['seed']}"] if "seed" in ds.attrs else []
    pages = f"{int(ds['migrated_pages'].sum())} pages migrated"
    if "reclaimed_pages" in ds:
        pages += f", {int(ds['reclaimed_pages'].sum())} reclaimed, {int(ds['faulted_pages'].sum())} back in memory"
    return f"{plain(ds.attrs.get('name') or 'run')}: {', '.join(facts)}; {pages}"


MOST_GROUPS = 4
"""More parts of a workload are counted, not told."""


def _surroundings(run: PageRun) -> str:
    """On which machine, with which workload; a mail has nothing beside it to look that up in."""
    scenario, guessed = run.scenario, str(run.ds.attrs.get("assumed", "")).split()
    nodes = (f"node {n.nid} {format_bytes(sum(stop - start for start, stop in n.system_ram))}" for n in scenario.machine.nodes)
    groups = scenario.workload.groups
    parts = ["1 group" if len(groups) == 1 else f"{len(groups)} groups"]
    if 0 < len(groups) <= MOST_GROUPS and all(g.kind == "rate" for g in groups):
        sizes = (f"{plain(g.name)} {format_bytes((g.hi - g.lo) * run.page_bytes)}".strip() for g in groups)
        parts = [f"{size} at {g.rate_hz:g} Hz" for size, g in zip(sizes, groups, strict=True)]
    machine, workload = (f"{word} (assumed)" if word.lower() in guessed else word for word in ("Machine", "Workload"))
    total = format_bytes(scenario.workload.n_pages * run.page_bytes)
    return f"{machine}: {', '.join(nodes)}. {workload}: {total}; {', '.join(parts)}."


def _yet_to_come(run: PageRun) -> str:
    """What the scenario changes after the end of the run."""
    end_s = max(run.end_s, float(run.ds.attrs.get("duration_s", 0.0)))
    late = [at_us * 1e-6 for at_us in run.numbering.at_us if at_us * 1e-6 > end_s]
    if not late:
        return ""
    count = f"{len(late)} changes come" if len(late) > 1 else "one change comes"
    return f"Of the scenario's events and commits {count} after the end, from {late[0]:g} s on."


def _seeds(found: Verdict, width: int) -> list[str]:
    if len(found.seeds) < 2:
        return []
    other = [f"{seed} ({kind})" for seed, kind in found.seeds.items() if kind != found.kind]
    said = (
        f"{len(other)} differ: {', '.join(other)}" if len(other) > 1 else f"1 differs: {other[0]}" if other else "none differs"
    )
    return paragraph(f"Of {len(found.seeds)} seeds, {said}.", width)


_UNITS = ("bp", "s", "pages", "us")


def _proof(name: str, value: Any) -> str:
    """Return one number of the evidence in words: its name, the number, and the unit that its name holds."""
    if isinstance(value, dict):
        return f"{name} " + "; ".join(f"{k}: {_number(v)}" for k, v in value.items()) if value else ""
    parts = name.split("_")
    unit = next((u for u in (*_UNITS, "bytes") if u in parts[1:]), "")
    words = " ".join(part for part in parts if part != unit)
    values = value if isinstance(value, list) else [value]
    if unit == "bytes" and all(isinstance(v, (int, float)) for v in values):
        return f"{words} {' and '.join(map(format_bytes, values))}"
    return f"{words} {' and '.join(map(_number, values))}" + (f" {unit}" if unit and value is not None else "")


def _number(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if not isinstance(value, (int, float)):
        return "-" if value is None else plain(value)
    return f"{value:.15g}" if float(value).is_integer() else f"{value:.4g}"


def _causes(found: Verdict, width: int) -> list[str]:
    """What proves each cause; those that the paragraph has no room for in words, too."""
    lines = []
    for k, cause in enumerate(found.causes):
        whose = "" if cause.scheme is None else f", scheme {cause.scheme}"
        proof = ", ".join(filter(None, (_proof(name, value) for name, value in tidy(cause.evidence).items())))
        if k >= SAID_CAUSES:
            proof = f"{plain(cause.text)}; {proof}" if proof else plain(cause.text)
        if proof:
            lines += paragraph(f"{cause.code}{whose}: {proof}", width, "  ", "    ")
    return ["The numbers that prove it", *lines] if lines else []


def _fix(found: Verdict, tried: str, width: int) -> list[str]:
    fix = found.fix
    if fix is None:
        return ["No change was found that helps", *paragraph(plain(tried), width, "  ")] if tried else []
    count = f"; {fix.tried} tried" + (f", {fix.untried} left untried" if fix.untried else "") if fix.tried else ""
    return ["What helps", *paragraph(f"with {plain(fix)}{count}", width, "  ", "    ")]


def _goals(found: Verdict, goals: list[GoalCourse], width: int) -> list[str]:
    if not found.goals:
        return []
    groups = [str(g.goal.memcg_id) if "memcg" in g.goal.metric else "" for g in goals]
    rows = [("scheme", "metric", "node", "memcg", "target", "value", "met since")]
    for g, group in zip(found.goals, groups, strict=True):
        value = "never read" if g["value"] is None else str(g["value"])
        since = "-" if g["met_since_s"] is None else f"{g['met_since_s']:.1f} s"
        node = str(g["nid"]) if str(g["metric"]).startswith("node_") else "-"
        rows.append((str(g["scheme"]), plain(g["metric"]), node, group or "-", str(g["target"]), value, since))
    shown = rows if any(groups) else [row[:3] + row[4:] for row in rows]
    lines = ["  " + line for line in columns(shown, left=(1,))]
    if max(map(len, lines)) > width:
        said = (", ".join(f"{h} {c}" for h, c in zip(shown[0], row, strict=True)) for row in shown[1:])
        lines = [line for one in said for line in paragraph(one, width, "  ", "    ")]
    return ["Goals", *lines]


def _flat(y: np.ndarray[Any, Any]) -> bool:
    """Whether a series is nowhere known, or changes by less than the chart's labels show."""
    known = y[~np.isnan(y)]
    return not known.size or float(np.ptp(known)) < 1


def _charted(goals: list[GoalCourse], causes: Iterable[Cause]) -> list[GoalCourse]:
    """Return the goals that could be drawn: those of the scheme that the first cause is about before the others."""
    number = next((c.scheme for c in causes), None)
    return sorted(goals, key=lambda g: (g.of.number != number, not g.of.acts))


def _chart(run: PageRun, goals: list[GoalCourse], causes: Iterable[Cause], width: int, look: text_chart.Strokes) -> list[str]:
    """The controlled share with its target, or the hot share of each node; below it what moves. What is flat is told."""
    could = _charted(goals, causes)
    goal = next((g for g in could if not _flat(g.values)), None)
    shown = run.nids if len(run.nids) > 2 else run.nids[:1]  # of two nodes, the other serves the rest
    hot = [(str(nid)[-1], run.ds["access_share_bp"].values[:, i]) for i, nid in enumerate(shown)]
    lines = []
    for one in could if goal is None else []:
        end = f"stays at {one.value:.0f}{one.unit}" if one.value is not None else "was never evaluated"
        lines += paragraph(f"{one.name} {end} (target {one.target:.0f}).", width)
    if goal is not None:
        last = "" if goal.value is None else f", {goal.value:.0f} at the end"
        targets = [np.where(goal.evaluated, goal.targets, np.nan)]
        targets += [FULL_BP - other.targets for other in goal.opposite]
        several = len({float(y[-1]) for y in targets}) > 1
        legend = f"{goal.name}{goal.unit and f' [{goal.unit.strip()}]'}{last}; {look.target * 3} its target"
        lines += paragraph(legend + (", and that of the other way" if several else ""), width)
        lines += text_chart.course(run.time, [("*", goal.values)], targets, width=width, look=look)
    elif any(not _flat(y) for _, y in hot):
        who = "each node serves [bp], drawn with the node's number" if len(hot) > 1 else f"node {shown[0]} serves [bp]"
        lines += paragraph(f"Share of accesses that {who}", width)
        lines += text_chart.course(run.time, hot, [], width=width, look=look)
    elif not could:
        shares = [f"node {nid} {s:.0f} bp" for nid, s in run.hot_share_bp.items() if s is not None]
        lines += paragraph(f"Share of accesses throughout: {', '.join(shares)}.", width) if shares else ["Nothing is accessed."]
    if not run.moved.any():
        return [*lines, "Nothing was moved."]
    moved = np.maximum(run.moved, 0.0) * run.page_bytes / MIB
    verb = "Migrated or reclaimed" if "reclaimed_pages" in run.ds else "Migrated"
    return [*lines, f"{verb} [MiB/s]", *text_chart.rates(run.time, moved, width=width, look=look)]


def _funnels(run: PageRun, found: Verdict, width: int, *, full: bool) -> list[str]:
    if not found.funnel:
        return []
    if full:
        return "\n\n".join("\n".join(_counters(run, one, width)) for one in run.schemes).split("\n")
    head = "What became of the pages (bytes of all passes together)"
    return [head, *(line for f in found.funnel for line in paragraph(describe(f), width, "  ", "    "))]


_CORE_BYTES = (
    "esz_bytes", "charged_bytes", "sz_tried", "sz_applied", "sz_ops_filter_passed", "sz_matched", "sz_but_size", "sz_but_rate",
    "sz_but_age", "sz_dropped", "sz_early_exit",
)  # fmt: skip
"""Counted in units of core addresses, as DAMON does."""


def _counters(run: PageRun, one: SchemeRun, width: int) -> list[str]:
    """Every counter of a scheme at the end of the run, with what it counts."""
    action = one.scheme.action + (f" to node {one.scheme.target_nid}" if one.scheme.target_nid >= 0 else "")
    rows = []
    for name, about in VARIABLES.items():
        if about.dims == ("time", "scheme") and run.has(name):
            value = int(run.ds[name].values[-1, one.number])
            if about.units == "bytes":
                value *= one.context.addr_unit if name in _CORE_BYTES else 1
                rows.append((name, format_bytes(value), about.long_name))
            else:
                rows.append((name, str(value), about.long_name))
    if run.has("rejected_bytes"):
        for k in np.flatnonzero(run.ds["filter_scheme"].values == one.number):
            kind = plain(run.ds["filter_type"].values[k])
            rows.append((f"filter {k}", format_bytes(int(run.ds["rejected_bytes"].values[k])), f"rejected by type {kind}"))
    if run.has("asleep_us"):
        rows.insert(0, ("asleep", f"{run.asleep_s(one):.1f} s", "time in which the scheme was inactive"))
    heads = columns([row[:2] for row in rows], left=(0,))
    indent = " " * (max(map(len, heads)) + 4)
    lines = [f"Counters of scheme {one.number} ({plain(action)}), whole run"]
    for head, (_, _, meaning) in zip(heads, rows, strict=True):
        lines += paragraph(meaning, width, "  " + head.ljust(len(indent) - 4) + "  ", indent)
    return lines


def _foretold(run: PageRun, found: Verdict, width: int) -> list[str]:
    """What lint says without a run and has come true: findings about a cause, and errors about a scheme that has one."""
    if found.kind == "converged":
        return []
    paths = {s.number: f"contexts[{s.context_number}].schemes[{s.place}]" for s in run.schemes}

    def comes_true(finding: Finding) -> bool:
        for cause in found.causes:
            where = "" if cause.scheme is None or cause.code in _OF_PAIRS else paths[cause.scheme]
            if ".schemes[" in finding.path and not finding.path.startswith(where):
                continue
            if finding.code in (cause.code, *FINDINGS_OF.get(cause.code, ())) or (finding.level == "error" and where):
                return True
        return False

    return foretold((f for f in lint(run.final) if f.level != "info" and comes_true(f)), found.kind, width)


def stored_seeds(ds: xr.Dataset) -> dict[int, str]:
    """Return the kind of each seed that a stored run was made with; empty if it was one alone."""
    try:
        return {int(seed): str(kind) for seed, kind in json.loads(ds.attrs.get("seeds", "{}")).items()}
    except (ValueError, AttributeError):
        return {}
