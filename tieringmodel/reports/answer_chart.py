"""The chart with which a page answers: shares over time with where they should be, and below them what moves meanwhile.

Drawn by hand, once for a desk and once for a telephone, so that nothing is cut off and no letter shrinks. Values show when a
pointer rests on them (``<title>``); check boxes show and hide lines without a script. A letter at its end names each line.
"""

from __future__ import annotations

import html
import math
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ..units import significant

Floats = npt.NDArray[np.float64]
LETTERS = "abcdefghijklmnopqrstuvwxyz"
_RATE_UNIT = 0.1
"""MiB/s up to which the axis of rates is linear."""


class Line(NamedTuple):
    """A line: its name, values and rates at the records (nan: none), colour and dashes as in CSS, whether it shows."""

    name: str
    y: Floats
    rate: Floats | None = None
    colour: str = "var(--blue)"
    dashes: str = ""
    shown: bool = True


class Band(NamedTuple):
    """Where a line should be: times, the target from each on, and how far below and above it counts as reached."""

    time: Floats
    target: Floats
    below: float = 0.0
    above: float = 0.0
    name: str = "target"


class Drawn(NamedTuple):
    """What templates put into a page: two drawings, check boxes (id, letter, name, colour, dashes, shown), and CSS rules."""

    wide: str
    narrow: str
    boxes: list[tuple[str, str, str, str, str, bool]]
    rules: str


class _Frame(NamedTuple):
    """A drawing's size: where the axes lie, in units that are pixels at the width it is made for."""

    width: int
    height: int
    left: int
    right: int
    top: int
    split: int
    bottom: int
    strips: int

    @property
    def columns(self) -> int:
        return self.width - self.left - self.right


_WIDE = _Frame(920, 330, 52, 26, 22, 216, 26, 46)
_NARROW = _Frame(358, 292, 44, 20, 22, 186, 26, 20)


def drawn(
    ident: str, time_s: Floats, lines: Sequence[Line], bands: Sequence[Band], *, unit: str, says: str, rate: str
) -> Drawn:
    """Return a chart.

    Parameters
    ----------
    ident : str
        Begins every id.
    time_s : ndarray of float64, shape (n,)
        Times of records.
    lines : sequence of Line
        At most as many as there are letters.
    bands : sequence of Band
        Targets.
    unit : str
        What the upper axis says.
    says : str
        Text for those who do not see the chart.
    rate : str
        What the lower axis says.
    """
    lines = lines[: len(LETTERS)]
    boxes = [(f"{ident}-{LETTERS[k]}", LETTERS[k], one.name, one.colour, one.dashes, one.shown) for k, one in enumerate(lines)]
    rules = "".join(f"section:has(#{b[0]}:not(:checked)) .{b[0]}{{display:none}}" for b in boxes)
    wide, narrow = (
        _svg(f, ident, time_s, lines, bands, (unit, says, rate), name) for f, name in ((_WIDE, "wide"), (_NARROW, "narrow"))
    )
    return Drawn(wide, narrow, boxes, rules)


def _svg(
    f: _Frame, ident: str, time_s: Floats, lines: Sequence[Line], bands: Sequence[Band], words: tuple[str, str, str], name: str
) -> str:
    unit, says, rate_unit = words
    end = float(time_s[-1]) or 1.0
    known = np.concatenate([one.y[~np.isnan(one.y)] for one in lines] + [b.target[~np.isnan(b.target)] for b in bands])
    low, high = (float(known.min()), float(known.max())) if known.size else (0.0, 1.0)
    ticks = _ticks(low, high, 5)
    low, high = min(low, ticks[0]), max(high, ticks[-1])
    floor = f.height - f.bottom
    x: Callable[[float], float] = lambda t: f.left + f.columns * t / end  # noqa: E731
    y: Callable[[float], float] = lambda v: f.split - (f.split - f.top) * (v - low) / ((high - low) or 1.0)  # noqa: E731
    top = max([float(np.nanmax(one.rate)) for one in lines if one.rate is not None and one.rate.size] or [0.0])
    scale = math.log1p(top / _RATE_UNIT) or 1.0
    r: Callable[[float], float] = lambda v: floor - (floor - f.split - 26) * math.log1p(max(v, 0.0) / _RATE_UNIT) / scale  # noqa: E731
    parts = [f'<svg class="{name}" role="img" aria-label="{html.escape(says)}" viewBox="0 0 {f.width} {f.height}">']
    parts += [_text(f.left - 6, f.top - 9, unit, "start", x0=2)]
    for tick in ticks:
        parts.append(f'<path class="grid" d="M{f.left} {y(tick):.1f}H{f.width - f.right}"/>')
        parts.append(_text(f.left - 6, y(tick) + 4, f"{tick:g}", "end"))
    for band in bands:
        parts += _band(band, x, y, end, (f.top, f.split))
    rates = [v for v in (0.0, 1.0, 10.0, 100.0, 1000.0, 10_000.0) if v <= top] or [0.0]
    if top > 0:
        parts.append(_text(f.left - 6, f.split + 20, rate_unit, "start", x0=2))
        for value in rates[:: max(1, len(rates) // 3)]:
            parts.append(f'<path class="grid" d="M{f.left} {r(value):.1f}H{f.width - f.right}"/>')
            parts.append(_text(f.left - 6, r(value) + 4, f"{value:g}", "end"))
    for tick in (t for t in _ticks(0.0, end, 5 if f is _WIDE else 3) if t <= end * 1.001):
        parts.append(f'<path class="axis" d="M{x(tick):.1f} {floor}v4"/>')
        parts.append(_text(x(tick), floor + 17, f"{tick:g} s", "middle" if tick else "start"))
    parts.append(f'<path class="axis" d="M{f.left} {floor}H{f.width - f.right}"/>')
    ends = [f.split if math.isnan(_last(one.y)) else y(_last(one.y)) for one in lines]
    seen = [k for k, one in enumerate(lines) if one.shown]
    for k, place in zip(seen, _apart([ends[k] for k in seen], f.top, f.split), strict=True):
        ends[k] = place
    for k, one in enumerate(lines):
        ink = f'stroke="{one.colour}"' + (f' stroke-dasharray="{one.dashes}"' if one.dashes else "")
        parts.append(f'<g class="line {ident}-{LETTERS[k]}"><path {ink} d="{_path(time_s, one.y, x, y, f.columns // 2)}"/>')
        if one.rate is not None and top > 0:
            parts.append(f'<path {ink} d="{_path(time_s, one.rate, x, r, f.columns // 2)}"/>')
        parts.append(f'<text x="{f.width - f.right + 5}" y="{ends[k] + 4:.1f}" fill="{one.colour}">{LETTERS[k]}</text></g>')
    parts += _hits(f, time_s, lines, bands, end)
    return "".join([*parts, "</svg>"])


def _text(x: float, y: float, text: str, anchor: str, *, x0: float | None = None) -> str:
    return f'<text x="{x if x0 is None else x0:.1f}" y="{y:.1f}" text-anchor="{anchor}">{html.escape(text)}</text>'


def _band(
    band: Band, x: Callable[[float], float], y: Callable[[float], float], end: float, inside: tuple[float, float]
) -> Iterator[str]:
    times = [*band.time.tolist(), end]
    steps: list[str] = []
    for k, target in enumerate(band.target.tolist()):
        if target != target or times[k + 1] < times[k]:
            continue
        a, b = x(times[k]), x(times[k + 1])
        high, low = (min(max(y(target + d), inside[0]), inside[1]) for d in (band.above, -band.below))
        if low > high:
            yield f'<rect class="band" x="{a:.1f}" y="{high:.1f}" width="{b - a:.1f}" height="{low - high:.1f}"/>'
        steps.append(f"M{a:.1f} {y(target):.1f}H{b:.1f}")
    yield f'<path class="target" d="{"".join(steps)}"><title>{html.escape(band.name)}</title></path>'


def _path(time_s: Floats, values: Floats, x: Callable[[float], float], y: Callable[[float], float], columns: int) -> str:
    """Return a path through the least and the most value of each column, so that no swing is lost."""
    at = np.minimum((time_s / (time_s[-1] or 1.0) * columns).astype(int), columns - 1)
    edges = np.flatnonzero(np.diff(at, prepend=-1))
    points: list[str] = []
    pen = "M"
    for start, stop in zip(edges, [*edges[1:], time_s.size], strict=True):
        part = values[start:stop]
        good = np.flatnonzero(~np.isnan(part))
        if not good.size:
            pen = "M"
            continue
        kept = sorted({int(good[0]), int(good[np.argmin(part[good])]), int(good[np.argmax(part[good])]), int(good[-1])})
        for k in kept:
            points.append(f"{pen}{x(float(time_s[start + k])):.1f} {y(float(part[k])):.1f}")
            pen = "L"
    return "".join(points)


def _hits(f: _Frame, time_s: Floats, lines: Sequence[Line], bands: Sequence[Band], end: float) -> Iterator[str]:
    """Yield strips that a pointer can rest on, each with what every line is then."""
    wide = f.columns / f.strips
    for k in range(f.strips):
        t = end * (k + 0.5) / f.strips
        at = int(np.searchsorted(time_s, t + 1e-9, side="right")) - 1
        if at < 0:
            continue
        said = [f"{time_s[at]:.4g} s"]
        for j, one in enumerate(lines):
            value = "-" if math.isnan(one.y[at]) else f"{one.y[at]:.0f}"
            rate = "" if one.rate is None or math.isnan(one.rate[at]) else f", {significant(float(one.rate[at]))} MiB/s"
            said.append(f"{LETTERS[j]} {one.name}: {value}{rate}")
        for band in bands:
            now = int(np.searchsorted(band.time, t, side="right")) - 1
            if now >= 0 and band.target[now] == band.target[now]:
                said.append(f"{band.name}: {band.target[now]:.0f}")
        title = html.escape("\n".join(said))
        size = f'x="{f.left + k * wide:.1f}" y="{f.top}" width="{wide:.1f}" height="{f.height - f.bottom - f.top}"'
        yield f'<rect class="hit" {size}><title>{title}</title></rect>'


def _last(y: Floats) -> float:
    known = y[~np.isnan(y)]
    return float(known[-1]) if known.size else math.nan


def _apart(places: Sequence[float], low: float, high: float, least: float = 12.0) -> list[float]:
    """Return places moved so that letters do not cover each other."""
    order = sorted(range(len(places)), key=places.__getitem__)
    out = [*places]
    for a, b in pairwise(order):
        out[b] = max(out[b], out[a] + least)
    if order and out[order[-1]] > high:
        out[order[-1]] = high
        for b, a in zip(reversed(order), reversed(order[:-1]), strict=False):
            out[a] = min(out[a], out[b] - least)
    return [max(v, low - least) for v in out]


def _ticks(low: float, high: float, count: int) -> list[float]:
    """Return round values from at most `low` to at least `high`."""
    span = (high - low) or max(abs(high), 1.0)
    rough = span / count
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= rough - 1e-12)
    first = math.floor(low / step + 1e-9)
    return [(first + k) * step for k in range(math.ceil((high - first * step) / step - 1e-9) + 1)]
