"""What one row of the hardware table says: points, what drives the difference, sensitivities, and experiments."""

from __future__ import annotations

import math
import textwrap
import tomllib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any

from ...cost import Costs
from ...datafiles import data_path
from ...scenario.linux import DEFAULT as NEWEST
from ..case import Case

MUST = ("V1", "V2", "V3", "V4", "V6", "V9")
"""Rows that must be inside; the others are inside, or explained by an experiment that holds."""


@dataclass(frozen=True)
class Point:
    """One number beside its prediction.

    Attributes
    ----------
    what : str
        What is compared.
    published : float or None
        None where only a range or an order is published.
    predicted : float
        This build's answer.
    low, high : float
        Where the prediction has to lie.
    unit : str
        Unit of all four.
    """

    what: str
    published: float | None
    predicted: float
    low: float
    high: float
    unit: str

    @property
    def inside(self) -> bool:
        """Whether the prediction lies in its range."""
        return self.low <= self.predicted <= self.high

    @classmethod
    def near(cls, what: str, published: float, predicted: float, tolerance: float, unit: str) -> Point:
        """Return a point that may be off by `tolerance`."""
        return cls(what, published, predicted, published - tolerance, published + tolerance, unit)

    @property
    def answer(self) -> str:
        """The prediction as it is printed: six digits and the unit."""
        return f"{self.predicted:.6g}" + ("" if self.unit == "1" else f" {self.unit}")

    def __str__(self) -> str:
        given = "" if self.published is None else f" published {self.published:g},"
        low = "-inf" if self.low == -math.inf else f"{self.low:.6g}"
        mark = "inside" if self.inside else "OUTSIDE"
        return f"{self.what}:{given} predicted {self.answer}, {mark} [{low}, {self.high:.6g}]"


@dataclass(frozen=True)
class Sensitivity:
    """What a prediction does when one assumed input goes through its range.

    `elasticity` is the slope of ln(prediction) over ln(input) between the ends; nan where an end is 0.
    """

    of: str
    to: str
    inputs: tuple[float, float, float]
    outputs: tuple[float, float, float]

    @property
    def elasticity(self) -> float:
        """Relative change of the prediction per relative change of the input, between the ends of the range."""
        (a, _, b), (x, _, y) = self.inputs, self.outputs
        if min(a, b, x, y) <= 0 or a == b:
            return math.nan
        return math.log(y / x) / math.log(b / a)

    def __str__(self) -> str:
        inputs, outputs = (" / ".join(f"{v:.4g}" for v in row) for row in (self.inputs, self.outputs))
        slope = "" if math.isnan(self.elasticity) else f", elasticity {self.elasticity:.3f}"
        return f"{self.of} is {outputs} at {self.to} {inputs}{slope}"


def sensitivities(costs: Costs, of: str, predict: Callable[[Costs], float]) -> tuple[Sensitivity, ...]:
    """Return how `predict` moves with each assumed cost that enters it."""
    sensitivities = []
    for cost in costs.assumed():
        inputs = cost.at("low"), cost.default, cost.at("high")
        outputs = [predict(costs.replace(**{cost.name: value})) for value in inputs]
        if len({round(v, 12) for v in outputs}) > 1:
            sensitivities.append(Sensitivity(of, f"{cost.name} [{cost.unit}]", inputs, (outputs[0], outputs[1], outputs[2])))
    return tuple(sensitivities)


@dataclass(frozen=True)
class Row:
    """A published measurement, its prediction, and what is to be said about the two.

    Attributes
    ----------
    name, title, source : str
        From the table of published figures.
    level : str
        ``"page level"``, ``"reduced loop"``, ``"arithmetic"`` or several of them: what was run.
    kernel, why : str
        The Linux whose rules the row runs under, as `Scenario.kernel` takes it, and what says so; from the same table.
    compared : tuple of Point
        What is compared.
    before : tuple of Point
        The same points under the rules of Linux 7.3.4; empty where no rule of a kernel enters.
    drives : str
        What drives the difference, or that there is none.
    sensitive : tuple of Sensitivity
        To each assumed input that enters; empty means that none does.
    experiments : tuple of Point
        Runs that explain a point outside its range; each has to hold too.
    remarks : tuple of str
        Figures that are not compared.
    """

    name: str
    title: str
    source: str
    level: str
    compared: tuple[Point, ...]
    drives: str
    sensitive: tuple[Sensitivity, ...] = ()
    experiments: tuple[Point, ...] = ()
    remarks: tuple[str, ...] = ()
    kernel: str = NEWEST
    why: str = ""
    before: tuple[Point, ...] = ()

    @property
    def moved(self) -> tuple[Point, ...]:
        """The points under 7.3.4 whose printed answers are others there."""
        return tuple(was for was, now in self._pairs() if was.answer != now.answer)

    @property
    def left(self) -> tuple[Point, ...]:
        """The points that are inside under 7.3.4 and outside under the row's own kernel."""
        return tuple(now for was, now in self._pairs() if was.inside and not now.inside)

    def _pairs(self) -> Iterable[tuple[Point, Point]]:
        return zip(self.before, self.compared, strict=True) if self.before else ()

    @property
    def under(self) -> str:
        """The kernel, and what 7.3.4 answers: ``"kernel 6.16 (7.3.4: same)"``."""
        if not self.before:
            return f"kernel {self.kernel} ({NEWEST}: same, no rule enters)"
        was = [f"{p.what} {p.answer}{'' if p.inside else ', OUTSIDE'}" for p in self.moved]
        return f"kernel {self.kernel} ({NEWEST}: {'; '.join(was) or 'same'})"

    @property
    def inside(self) -> bool:
        """Whether every point is inside."""
        return all(p.inside for p in self.compared)

    @property
    def must(self) -> bool:
        """Whether the row has to be inside."""
        return self.name in MUST

    @property
    def ok(self) -> bool:
        """Whether the row is inside or, where that is allowed, explained by experiments that hold.

        A point that is inside under 7.3.4 must not be outside under the row's own kernel.
        """
        if self.left or not all(p.inside for p in self.experiments):
            return False
        return self.inside or (not self.must and bool(self.experiments))

    @property
    def verdict(self) -> str:
        """``"inside"``, ``"explained"`` or ``"FAILED"``."""
        return "FAILED" if not self.ok else "inside" if self.inside else "explained"

    def case(self) -> Case:
        """Return the row as one piece of evidence: in a line the points, in lines everything."""
        text = "; ".join(
            [
                self.verdict,
                self.under,
                *(str(p) for p in self.compared),
                *(f"experiment {p}" for p in self.experiments if not p.inside),
            ]
        )
        return Case("hardware", self.name, self.ok, len(self.compared) + len(self.experiments), text, self.report())

    def report(self) -> str:
        """Return lines of at most 120 characters: points, what drives the difference, experiments, sensitivities, remarks."""
        duty = "must be inside" if self.must else "inside or explained"
        out = [_item("", f"{self.title} [{self.verdict}; {duty}; {self.level}]"), *(_item("", str(p)) for p in self.compared)]
        out.append(_item("", f"{self.under}; {self.why}"))
        out.append(_item("drives the difference: ", self.drives))
        out += [_item("experiment: ", str(p)) for p in self.experiments]
        out += [_item("sensitivity: ", str(s)) for s in self.sensitive] or [_item("sensitivity: ", "no assumed cost enters")]
        out += [_item("", remark) for remark in self.remarks]
        return "\n".join([*out, _item("source: ", self.source)])


def _item(label: str, text: str) -> str:
    return textwrap.fill(label + text, 120, initial_indent="    ", subsequent_indent="        ")


@cache
def published(name: str) -> dict[str, Any]:
    """Return a row of the shipped table of published figures."""
    with data_path("anchors", "hardware.toml").open("rb") as file:
        return dict(tomllib.load(file)[name])


def row(name: str, level: str, compared: Iterable[Point], drives: str, **others: Any) -> Row:
    """Return a row with title, source and kernel from the shipped table."""
    given = published(name)
    kept: dict[str, Any] = {key: tuple(value) for key, value in others.items()}
    kept |= {"kernel": given["kernel"], "why": given["kernel_why"]}
    return Row(name, given["title"], given["source"], level, tuple(compared), drives, **kept)
