"""Knobs of one control loop that redraw its course at once, in a notebook.

The loop is the lumped one, a number per quota window, so that a turn of a knob costs the drawing and little else. The knobs
speak of seconds; the loop counts windows: a delay is rounded up to whole ones, a leak is that of one window's length.
"""

from __future__ import annotations

import html
import io
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from ..errors import InputError
from ..fields import Checked
from ..scenario import need_scenario
from ..scenario.metrics import metric_of
from ..units import MIB, PAGE_SZ, format_bytes
from ..verdicts.judge import Verdict, verdict
from .style import folded
from .windows import COURSE_SHEET, course, redraw_course

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure

    from ..linting.scheme_facts import SchemeFacts
    from ..scenario import Scenario

DPI = 110
MOST_WINDOWS = 20_000
MARGINS = {"left": 0.1, "right": 0.74, "bottom": 0.11, "hspace": 0.12}
TITLE_LINE = 0.052
"""Margins as shares of the figure, and what a line of its title takes."""


@dataclass(frozen=True)
class Knobs(Checked):
    """One scheme with one goal: what can be turned, and what stays.

    ``quota_mib`` per ``interval_ms``, 0 for no size quota; ``delay_ms`` until a move shows in the metric;
    ``leak_percent_per_s`` of the pages on the goal node leave it by themselves; ``eligible_mib`` of pages in all, of which
    ``start_bp`` are on the goal node at first.
    """

    quota_mib: int = 16
    interval_ms: int = 1000
    target_bp: int = 6000
    delay_ms: int = 0
    tuner: str = "temporal"
    leak_percent_per_s: float = 0.0
    eligible_mib: int = 4096
    start_bp: int = 0
    duration_s: int = 600
    _choices: ClassVar = {"tuner": ("consist", "temporal")}
    _max: ClassVar = {"target_bp": 10_000, "start_bp": 10_000, "quota_mib": 2**24, "eligible_mib": 2**24}

    def check(self) -> None:
        """Refuse what no loop can run with."""
        for name in ("interval_ms", "target_bp", "eligible_mib", "duration_s"):
            if not getattr(self, name):
                raise InputError(name, "is 0", "write 1 or more")
        if not 0 <= self.leak_percent_per_s <= 100:
            raise InputError("leak_percent_per_s", f"{self.leak_percent_per_s:g} is no percentage", "write 0 … 100")
        if not 2 <= self.windows <= MOST_WINDOWS:
            text = f"{self.duration_s} s hold {self.windows} intervals"
            raise InputError("duration_s", text, f"change it so that they are 2 … {MOST_WINDOWS}")

    @property
    def windows(self) -> int:
        """Quota windows in ``duration_s``."""
        return self.duration_s * 1000 // self.interval_ms

    @property
    def delay_windows(self) -> int:
        """The delay in whole windows, rounded up."""
        return -(-self.delay_ms // self.interval_ms)

    @property
    def leak_rate(self) -> float:
        """Share of the goal node's pages that leaves in one window."""
        if self.leak_percent_per_s == 100:
            return 1.0
        return -math.expm1(math.log1p(-self.leak_percent_per_s / 100) * self.interval_ms / 1000)

    def run(self) -> xr.Dataset:
        """Return the loop with these knobs (`tieringmodel.loop.run`); ``window_s`` among its attributes."""
        from ..loop import run

        n = self.eligible_mib * MIB // PAGE_SZ
        ds = run(
            self.tuner,
            self.target_bp,
            n,
            n * self.start_bp // 10_000,
            cap_bytes=self.quota_mib * MIB or None,
            delay=self.delay_windows,
            leak_rate=self.leak_rate,
            windows=self.windows,
        )
        return ds.assign_attrs(window_s=self.interval_ms / 1000)


def controlling(scenario: Scenario) -> SchemeFacts | None:
    """Return the first scheme that moves pages for a goal that is a share; one whose goal is missed at the start, if any."""
    from ..linting.scheme_facts import facts_of

    first = None
    for facts in facts_of(scenario).schemes:
        goals = facts.scheme.quota.goals
        if facts.scheme.enabled and goals and metric_of(goals[0].metric).unit == "bp" and facts.migrates:
            now = stands_at(facts)
            if now.get("start_bp", 0.0) < now["target_bp"]:
                return facts
            first = first or facts
    return first


def stands_at(facts: SchemeFacts) -> dict[str, float]:
    """Return where the sliders stand for a scheme."""
    from ..linting.plant import plant

    quota = facts.scheme.quota
    goal = quota.goals[0]
    values: dict[str, float] = {
        "target_bp": goal.target_value,
        "quota_mib": quota.sz_bytes / MIB if quota.sz_bytes < 1 << 50 else 0,
        "interval_ms": quota.reset_interval_ms if 0 < quota.reset_interval_ms < 10**9 else 1000,
    }
    p = plant(facts, goal)
    if p is not None and p.n_pages:
        values |= {"hot_mib": p.n_pages * PAGE_SZ / MIB, "start_bp": 10_000 * min(p.start_pages, p.n_pages) / p.n_pages}
    return values


def knobs_of(scenario: Scenario) -> dict[str, Any]:
    """Return the knobs that a scenario's controlling scheme stands for, in whole MiB.

    Raises
    ------
    InputError
        If no scheme moves pages for a share.
    """
    facts = controlling(need_scenario(scenario))
    if facts is None:
        raise InputError("scenario", "has no scheme that moves pages for a share", "give one with such a goal, or knobs")
    values, quota = stands_at(facts), facts.scheme.quota
    known: dict[str, Any] = {"target_bp": int(values["target_bp"]), "interval_ms": int(values["interval_ms"])}
    known["quota_mib"] = max(1, round(values["quota_mib"])) if values["quota_mib"] else 0
    known |= {"tuner": quota.goal_tuner} if quota.goal_tuner in Knobs._choices["tuner"] else {}
    if "hot_mib" in values:
        known |= {"eligible_mib": max(1, round(values["hot_mib"])), "start_bp": round(values["start_bp"])}
    return known


class Picture:
    """The course of a loop and its verdict, again and again: one figure, whose artists are moved.

    Its margins are fixed and follow the number of lines of its title; a layout that measures every text would take half of a
    redraw. The figure is known to no window and to pyplot neither.

    Attributes
    ----------
    figure : matplotlib Figure
        Two axes: share over time, and what migrates.
    found : Verdict
        On the loop that is shown.
    """

    def __init__(self, knobs: Knobs) -> None:
        """Run the loop and draw it."""
        from matplotlib.layout_engine import PlaceHolderLayoutEngine

        self.figure, self._axes = COURSE_SHEET.figure()
        self.figure.set_layout_engine(PlaceHolderLayoutEngine(adjust_compatible=True, colorbar_gridspec=True))
        self.figure.set_dpi(DPI)
        self.figure.subplots_adjust(**MARGINS)
        course(self._run(knobs), ax=self._axes)

    def show(self, knobs: Knobs) -> None:
        """Run the loop with other knobs and let the figure show it."""
        redraw_course(self._run(knobs), self._axes)

    def _run(self, knobs: Knobs) -> xr.Dataset:
        """Return the loop, and leave room for its title: names of lines are placed by what is left."""
        ds = knobs.run()
        self.found: Verdict = verdict(ds)
        lines = folded(self.figure, self.found.headline).count("\n") + 1
        self.figure.subplots_adjust(top=0.98 - TITLE_LINE * lines)
        return ds

    def png(self) -> bytes:
        """Return the figure as PNG."""
        out = io.BytesIO()
        canvas: Any = self.figure.canvas
        canvas.print_png(out, pil_kwargs={"compress_level": 1})
        return out.getvalue()


def draw(knobs: Knobs) -> tuple[Figure, Verdict]:
    """Run the loop and draw its course.

    Parameters
    ----------
    knobs : Knobs
        How the loop is set.

    Returns
    -------
    matplotlib Figure, Verdict
        The figure is known to no window and to pyplot neither.
    """
    picture = Picture(knobs)
    return picture.figure, picture.found


def rendered(knobs: Knobs, picture: Picture | None = None) -> tuple[bytes, str]:
    """Return the course as PNG and the verdict as HTML: all that a redraw shows.

    Parameters
    ----------
    knobs : Knobs
        How the loop is set.
    picture : Picture, optional
        What shows it; by default a new one, which takes longer and gives the same bytes.

    Returns
    -------
    bytes, str
    """
    if picture is None:
        picture = Picture(knobs)
    else:
        picture.show(knobs)
    found = picture.found
    quota = format_bytes(knobs.quota_mib * MIB) if knobs.quota_mib else "no size quota"
    head = f"{quota} per {knobs.interval_ms} ms, {knobs.delay_windows} windows late, {knobs.windows} windows"
    fix = f"<br>Nearest fix: {html.escape(str(found.fix))}" if found.fix else ""
    return picture.png(), f"<b>{html.escape(found.kind)}</b> ({head}): {html.escape(found.cause)}{fix}"


STEPS: dict[str, tuple[str, tuple[float, ...]]] = {
    "quota_mib": ("Quota [MiB]", (0, *(2**k for k in range(11)))),
    "interval_ms": ("Interval [ms]", (100, 200, 500, 1000, 2000, 5000, 10_000)),
    "target_bp": ("Target [bp]", tuple(range(500, 10_001, 500))),
    "delay_ms": ("Delay [ms]", (0, 500, 1000, 2000, 3000, 5000, 10_000)),
    "leak_percent_per_s": ("Leak [%/s]", (0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)),
}
"""Label and steps of each slider; a value that one is opened with is added."""


def explore(scenario: Scenario | None = None, **defaults: Any) -> Any:
    """Return sliders for quota, interval, target, delay, tuner and leak above the course and verdict of the loop they set.

    Every turn moves the artists of one figure, which takes a few hundredths of a second. The widget needs no display to work:
    its ``controls`` can be set from Python, and ``picture.value`` and ``words.value`` follow.

    Parameters
    ----------
    scenario : Scenario, optional
        Whose first scheme that moves pages for a share, and misses its goal, says where the sliders stand.
    **defaults : int, float or str
        Fields of `Knobs` to open with: ``quota_mib`` (0: no size quota), ``interval_ms``, ``target_bp``, ``delay_ms``,
        ``tuner``, ``leak_percent_per_s``; without a slider ``eligible_mib``, ``start_bp``, ``duration_s``.

    Returns
    -------
    ipywidgets.VBox
        With attributes ``controls`` (dict of widgets by knob), ``picture`` (an Image) and ``words`` (an HTML).

    Raises
    ------
    InputError
        If a name or value does not fit, no scheme of the scenario moves pages for a share, or ipywidgets is not installed.
    """
    try:
        import ipywidgets as w
    except ImportError:
        raise InputError("explore", "ipywidgets is not installed", "pip install 'tieringmodel[notebook]'") from None

    knobs = Knobs.from_dict((knobs_of(scenario) if scenario is not None else {}) | defaults, "explore")
    style = {"description_width": "7em"}
    controls: dict[str, Any] = {}
    for name, (label, steps) in STEPS.items():
        now = getattr(knobs, name)
        options = [("none" if name == "quota_mib" and not x else f"{x:g}", x) for x in sorted({*steps, now})]
        controls[name] = w.SelectionSlider(options=options, value=now, description=label, continuous_update=False, style=style)
    controls["tuner"] = w.ToggleButtons(options=["consist", "temporal"], value=knobs.tuner, description="Tuner", style=style)
    picture, words, shown = w.Image(format="png"), w.HTML(), Picture(knobs)

    def redraw(_: Any = None) -> None:
        try:
            now = Knobs.from_dict({**knobs.to_dict(), **{name: one.value for name, one in controls.items()}})
            picture.value, words.value = rendered(now, shown)
        except InputError as error:
            words.value = f"<b>not possible</b>: {html.escape(str(error))}"

    for one in controls.values():
        one.observe(redraw, names="value")
    redraw()
    panel = w.VBox([w.GridBox(list(controls.values()), layout={"grid_template_columns": "repeat(2, 26em)"}), picture, words])
    panel.controls, panel.picture, panel.words = controls, picture, words
    return panel
