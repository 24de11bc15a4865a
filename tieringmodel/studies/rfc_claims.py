"""The RFC's four claims as experiments: each is run, set beside its theory, and answered from what the runs did."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ..errors import InputError

if TYPE_CHECKING:
    import xarray as xr

NAMES = ("i", "ii", "iii", "iv")
_HOME = {"i": "claims_weights", "ii": "claims_weights", "iii": "claims_goals", "iv": "claims_clamp"}

Floats = npt.NDArray[np.float64]


class Evidence(NamedTuple):
    """One number of a run beside the number that theory gives for it."""

    statement: str
    """What was counted, in which setting."""
    number: float
    """From the run."""
    expected: float
    """From theory; its source stands in the claim's module."""
    tolerance: float = 0.0
    """Largest difference that is no contradiction; 0 for exact counts."""
    unit: str = ""

    @property
    def agrees(self) -> bool:
        """Whether run and theory say the same."""
        return abs(self.number - self.expected) <= self.tolerance

    def __str__(self) -> str:
        """Return statement, number and expectation in one line."""
        unit = f" {self.unit}" if self.unit else ""
        band = f" ± {self.tolerance:.4g}" if self.tolerance else ""
        return f"{self.statement}: {self.number:.6g}{unit} (theory {self.expected:.6g}{band})"


Make = Callable[["xr.Dataset", Mapping[str, Any]], tuple[Evidence, ...]]
"""Makes the evidence of a case from its run and what was measured of it."""


def counted(
    statement: str,
    number: Callable[[xr.Dataset, Mapping[str, Any]], float],
    expected: float,
    tolerance: float = 0.0,
    unit: str = "",
) -> Make:
    """Return what makes a single piece of evidence: its fields, with the number as a function of run and measures."""
    return lambda ds, measured: (Evidence(statement, number(ds, measured), expected, tolerance, unit),)


@dataclass(frozen=True)
class Case:
    """One setting in which a claim was tried."""

    setting: str
    """What was set up, in a few words."""
    condition: str
    """How the setting, or what it violates, reads after "holds if"."""
    holds: bool
    """Whether the claim came out true in the run."""
    outcome: str
    """What the run came to, in a few words."""
    share_bp: Floats
    """Share of the goal node at the edges, T + 1 values, bp."""
    moved_share: Floats
    """Pages moved per eligible page in each of the T windows."""
    target_bp: float
    evidence: tuple[Evidence, ...] = ()
    esz_bytes: Floats = field(default_factory=lambda: np.zeros(0))
    """Effective quota per window, where there is one."""


@dataclass(frozen=True)
class Claim:
    """A claim of the RFC, what its experiment answers, and why."""

    name: str
    text: str
    """The claim in own words."""
    answer: str
    """"holds", "fails", or "holds if …"."""
    evidence: tuple[Evidence, ...]
    dataset: xr.Dataset
    """``kind`` "claim": share_bp, moved_share, esz_bytes over setting and window; holds and outcome per setting."""

    def __str__(self) -> str:
        """Return the claim, its answer and the evidence as a paragraph with a list."""
        head = textwrap.fill(f"({self.name}) {self.text}", 110)
        out = [head, textwrap.fill(f"Answer: {self.answer}.", 110, subsequent_indent="    ")]
        names, holds = self.dataset["setting"].values, self.dataset["holds"].values
        for word, wanted in (("True with", True), ("False with", False)):
            settings = [
                f"{n} ({o})" for n, h, o in zip(names, holds, self.dataset["outcome"].values, strict=True) if bool(h) == wanted
            ]
            if settings:
                out.append(textwrap.fill(f"{word}: {'; '.join(settings)}.", 110, subsequent_indent="    "))
        return "\n".join([*out, *(f"  - {e}" for e in self.evidence)])


def listed(phrases: Sequence[str], joint: str) -> str:
    """Return phrases, which may hold commas, as a list in a sentence with `joint` before the last."""
    if len(phrases) < 3:
        return f" {joint} ".join(phrases)
    return "; ".join(phrases[:-1]) + f"; {joint} " + phrases[-1]


def answer(cases: Sequence[Case], *, departures: bool) -> str:
    """Return what the cases together say about a claim.

    Parameters
    ----------
    cases : sequence of Case
        Every setting that was tried, at least one.
    departures : bool
        Whether the first case is a base and each other one removes the condition it names: then all conditions whose
        removal breaks the claim are needed. Else the cases are alternatives, and each that holds is one way.

    Returns
    -------
    str
        "holds", "fails" (nowhere, or not even in the base), or "holds if …".

    Raises
    ------
    InputError
        When there is no case.
    """
    if not cases:
        raise InputError("cases", "is empty", "give at least one")
    if all(c.holds for c in cases):
        return "holds"
    if not any(c.holds for c in cases) or (departures and not cases[0].holds):
        return "fails"
    if departures:
        return "holds if " + listed(list(dict.fromkeys(c.condition for c in cases if not c.holds)), "and")
    return "holds if " + listed([c.condition for c in cases if c.holds], "or")


def build(name: str, text: str, cases: Sequence[Case], *, departures: bool, extra: Sequence[Evidence] = ()) -> Claim:
    """Return the claim that `cases` make; `extra` is evidence that belongs to no single case."""
    evidence = tuple(e for c in cases for e in c.evidence) + tuple(extra)
    return Claim(name, text, answer(cases, departures=departures), evidence, _dataset(name, text, cases))


def _padded(rows: Sequence[Floats]) -> Floats:
    out = np.full((len(rows), max(r.size for r in rows)), np.nan)
    for k, row in enumerate(rows):
        out[k, : row.size] = row
    return out


def _dataset(name: str, text: str, cases: Sequence[Case]) -> xr.Dataset:
    import xarray as xr

    source = "tieringmodel.studies.claims (docs/theory/stability.md, section 6)"

    def about(long_name: str, units: str) -> dict[str, str]:
        return {"long_name": long_name, "units": units, "source": source}

    share, moved = _padded([c.share_bp for c in cases]), _padded([c.moved_share for c in cases])
    variables = {
        "share_bp": (("setting", "edge"), share, about("share of the goal node at the window edges", "bp")),
        "moved_share": (("setting", "window"), moved, about("pages moved in the window per eligible page", "1")),
        "target_bp": ("setting", np.array([c.target_bp for c in cases]), about("share that is wanted", "bp")),
        "holds": ("setting", np.array([c.holds for c in cases]), about("the claim came out true", "1")),
        "outcome": ("setting", [c.outcome for c in cases], about("what the run came to", "1")),
    }
    if any(c.esz_bytes.size for c in cases):
        esz = _padded([c.esz_bytes for c in cases])
        variables["esz_bytes"] = (("setting", "window"), esz, about("effective quota of the window", "B"))
    return xr.Dataset(
        variables,
        coords={
            "setting": ("setting", [c.setting for c in cases]),
            "edge": ("edge", np.arange(share.shape[1])),
            "window": ("window", np.arange(moved.shape[1])),
        },
        attrs={"kind": "claim", "name": name, "text": text, "source": source, "parameters": json.dumps({"name": name})},
    )


def claim(name: str) -> Claim:
    """Run the experiment of one of the RFC's claims.

    Parameters
    ----------
    name : str
        ``"i"``: weights without page identity never settle. ``"ii"``: weights by VMA offset settle. ``"iii"``: a
        target-state goal settles and stops. ``"iv"``: capacity clamping keeps the tuner from impossible targets.

    Returns
    -------
    Claim
        Name, text in own words, answer, evidence and the dataset behind its figure.

    Raises
    ------
    InputError
        When the name is unknown.

    Notes
    -----
    Source: docs/theory/rfc.md, section 1, and docs/theory/stability.md, section 6. The answer follows from the runs: change
    a rule and it changes.
    """
    if not isinstance(name, str) or name not in _HOME:
        raise InputError("name", f"{name!r} is no claim", f"use one of {', '.join(NAMES)}")
    made: Callable[[], Claim] = getattr(import_module(f".{_HOME[name]}", __package__), f"claim_{name}")
    return made()


def claims() -> list[Claim]:
    """Run the experiments of all four claims, in order.

    Returns
    -------
    list of Claim
        As `claim` gives them.
    """
    return [claim(name) for name in NAMES]
