"""The verdict table of a comparison: its columns, and its plain form for terminals."""

from __future__ import annotations

import json
import shutil
import textwrap
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ..datasets.kernel import kernel_of
from ..plot.reading import COMPARISON, names, need, plain, settled
from ..scenario import Scenario
from ..units import significant
from ..verdicts.record import FOR_EVER
from ..verdicts.row import NOT_IN_KERNEL
from .plain_text import MAIL_WIDTH, NARROWEST, ascii_of, joined, need_width, paragraph, to_repeat

if TYPE_CHECKING:
    import xarray as xr

    from ..linting import Finding

MISSING = "–"
_GAP = "  "
_CAUSE_AT_LEAST = 28
_POLICY_AT_LEAST = 14
VARIABLES = (
    "policy",
    "settled",
    "settling_s",
    "share_error_bp",
    "residual_mib_s",
    "ping_pong",
    "moves_per_page",
    "kind",
    "cause",
    "fix",
)


class Column(NamedTuple):
    """A column of numbers: its heading in lines, its name and unit, the variable, how a finite value is written."""

    heading: tuple[str, ...]
    name: str
    unit: str
    variable: str
    write: Callable[[float], str]


def ratio(value: float) -> str:
    """Return a share of one with three decimals; what is not quite nothing does not become 0."""
    return "0" if value == 0 else "<0.001" if 0 < value < 0.001 else f"{value:.3f}"


def signed(value: float) -> str:
    """Return a whole number with its sign; 0 has none."""
    return f"{value:+.0f}" if round(value) else "0"


NUMBERS = (
    Column(("share", "error", "[bp]"), "share error", "bp", "share_error_bp", signed),
    Column(("MiB/s", "at the", "end"), "at the end", "MiB/s", "residual_mib_s", significant),
    Column(("ping-", "pong"), "ping-pong", "of moves", "ping_pong", ratio),
    Column(("moves/", "page"), "moves", "per page", "moves_per_page", lambda v: f"{v:.2f}"),
)


class Row(NamedTuple):
    """What the table says about one policy, as text without control characters."""

    policy: str
    settled: bool
    settling: str
    numbers: tuple[str, ...]
    kind: str
    cause: str
    fix: str


def written(value: float, write: Callable[[float], str]) -> str:
    """Return a number, "∞", or "–" where there is none."""
    value = float(value)
    if np.isnan(value):
        return MISSING
    return write(value) if np.isfinite(value) else "∞" if value > 0 else "-∞"


def rows(cmp: xr.Dataset) -> list[Row]:
    """Return the table of a comparison, one row per policy.

    Raises
    ------
    InputError
        If the dataset lacks one of `VARIABLES`.
    """
    need(cmp, "cmp", VARIABLES, COMPARISON)
    out = []
    for k, (policy, ok) in enumerate(zip(names(cmp), settled(cmp), strict=True)):
        kind, cause, fix = (plain(cmp[name].values[k]) for name in ("kind", "cause", "fix"))
        values = tuple(written(cmp[c.variable].values[k], c.write) for c in NUMBERS)
        settling = written(cmp["settling_s"].values[k], significant)
        out.append(Row(policy, bool(ok), settling, values, kind, cause, fix))
    return out


def in_ascii(row: Row) -> Row:
    """Return a row without any byte above 127."""
    numbers = tuple(map(ascii_of, row.numbers))
    return Row(ascii_of(row.policy), row.settled, ascii_of(row.settling), numbers, *map(ascii_of, row[4:]))


def _settled_cell(row: Row, kind: bool) -> str:
    if row.kind == NOT_IN_KERNEL:
        return "not run"
    if row.settled:
        return "yes" if row.settling in (MISSING, "∞", "-", "inf") else f"yes, {row.settling} s"
    return f"no, {row.kind}" if kind and row.kind and row.kind != "converged" else "no"


def text_of_comparison(cmp: xr.Dataset, *, width: int = MAIL_WIDTH, ascii_only: bool = False) -> str:
    """Return what is printed about a comparison: what was compared, the table, what lint knows without a run.

    Parameters
    ----------
    cmp : xarray.Dataset
        From `tieringmodel.compare`, or from a file.
    width : int
        Longest line.
    ascii_only : bool
        No byte above 127.

    Returns
    -------
    str
        Lines without trailing newline.

    Raises
    ------
    InputError
        As `table`.
    """
    from ..linting import lint

    about = f"{plain(cmp.attrs['name'])}: {plain(cmp.attrs['controlled'])}, target {float(cmp['target_bp']):.0f} bp, "
    about += f"{cmp.attrs['duration_s']:g} s, seed {cmp.attrs['seed']}"
    parts = [
        [*paragraph(about, width), *paragraph(kernel_of(cmp), width), table(cmp, width, ascii_only=ascii_only)],
        _seeds(cmp, width),
        _work(cmp, width),
    ]
    scenario = str(cmp.attrs.get("scenario", ""))
    findings = lint(Scenario.from_json(scenario, stored=True)) if scenario and cmp.attrs.get("lint") else []
    parts.append(foretold(findings, str(cmp["kind"].values[0]) if cmp["kind"].size else "", width))
    parts.append(to_repeat(plain(cmp.attrs.get("command", "")), width))
    return joined(parts, ascii_only=ascii_only)


def foretold(findings: Iterable[Finding], kind: str, width: int) -> list[str]:
    """Return what lint's findings say as lines; of ``for ever`` only for a kind that proves it, one with a stationary tail."""
    said = [f for f in findings if kind in FOR_EVER or "for ever" not in str(f)]
    lines = [line for f in said for line in paragraph(plain(f), width, "  ", "    ")]
    return ["Known without a run, by lint", *lines] if lines else []


def _seeds(cmp: xr.Dataset, width: int) -> list[str]:
    """Return which policies come to something else with another seed."""
    seeds: dict[str, dict[str, str]] = json.loads(str(cmp.attrs.get("seeds", "{}")))
    lines = []
    for policy, kind in zip(names(cmp), cmp["kind"].values, strict=True):
        other = [f"seed {seed} {found}" for seed, found in seeds.get(policy, {}).items() if found != str(kind)]
        if other:
            lines += paragraph(f"{policy}: {', '.join(other)}", width, "  ", "    ")
    if not seeds:
        return []
    count = max(map(len, seeds.values()))
    return [f"Other verdicts among {count} seeds:", *lines] if lines else [f"Each verdict is that of all {count} seeds."]


def _work(cmp: xr.Dataset, width: int) -> list[str]:
    """Return what each policy does to a workload that has a demand: throughput, and time for the first one's work."""
    if "throughput_per_s" not in cmp:
        return []
    lines, phases = [], cmp["run_time_s"].attrs.get("of") == "phases"
    for policy, per_s, run_time in zip(names(cmp), cmp["throughput_per_s"].values, cmp["run_time_s"].values, strict=True):
        took = "not done" if run_time != run_time else f"{written(run_time, significant)} s"
        said = f"{written(per_s / 1e6, significant)} million/s, {took}"
        lines += paragraph(f"{policy}: {said}", width, "  ", "    ")
    until = "when the last phase's work is done" if phases else "run time for those of the first policy"
    return [f"Accesses, and {until}", *lines]


def table(cmp: xr.Dataset, width: int | None = None, *, ascii_only: bool = False) -> str:
    """Return the verdict table as plain text.

    Parameters
    ----------
    cmp : xarray.Dataset
        A comparison: per policy ``settled``, ``settling_s``, ``share_error_bp``, ``residual_mib_s``, ``ping_pong``,
        ``moves_per_page``, ``kind``, ``cause``, ``fix``.
    width : int, optional
        Longest line; by default the terminal's. Where the cause does not fit beside the numbers, it stands below them.
    ascii_only : bool
        No byte above 127: NaN is "-", infinite "inf".

    Returns
    -------
    str
        Lines without trailing newline. NaN is "–", infinite "∞".

    Raises
    ------
    InputError
        If the width is below 60 or the dataset lacks a variable.
    """
    width = max(NARROWEST, shutil.get_terminal_size().columns) if width is None else width
    need_width(width)
    found = [in_ascii(row) if ascii_only else row for row in rows(cmp)]
    headings = [("settled?",), *(c.heading for c in NUMBERS)]
    for kind in (True, False):
        cells = [[_settled_cell(r, kind), *r.numbers] for r in found]
        sizes = [max(map(len, (*heading, *(c[k] for c in cells)))) for k, heading in enumerate(headings)]
        taken = sum(sizes) + len(_GAP) * len(sizes)
        if width - taken >= _POLICY_AT_LEAST:
            break
    policy = max(6, *(len(r.policy) for r in found)) if found else 6
    cause = width - taken - policy - len(_GAP)
    beside = cause >= _CAUSE_AT_LEAST
    if not beside:
        policy = max(1, min(policy, width - taken))

    def line(name: str, values: list[str], last: str) -> str:
        padded = [values[0].ljust(sizes[0]), *(v.rjust(s) for v, s in zip(values[1:], sizes[1:], strict=True))]
        return _GAP.join([name.ljust(policy), *padded, *([last] if beside else [])]).rstrip()

    depth = max(len(h) for h in headings)
    out = []
    for k in range(depth):
        texts = [h[k - depth] if depth - k <= len(h) else "" for h in headings]
        last = k == depth - 1
        out.append(line("policy" if last else "", texts, "cause" if last else ""))
    out.append("-" * min(width, taken + policy + (len(_GAP) + cause if beside else 0)))
    for row, values in zip(found, cells, strict=True):
        left = textwrap.wrap(row.policy, policy) or [""]
        right = textwrap.wrap(row.cause, cause) if beside else []
        for k in range(max(len(left), len(right), 1)):
            text = values if k == 0 else [""] * len(values)
            out.append(line(left[k] if k < len(left) else "", text, right[k] if k < len(right) else ""))
        if not beside:
            out += textwrap.wrap(row.cause, width, initial_indent="    ", subsequent_indent="    ")
    return "\n".join(out)
