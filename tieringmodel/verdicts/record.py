"""What a verdict consists of: its kind, its causes with their evidence, and a fix that was run."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import Any

from ..rich_html import table, titled
from .funnel import Funnel

KINDS = (
    "idle",
    "unfinished",
    "wrong-polarity",
    "runaway",
    "stuck",
    "saturated",
    "limit-cycle",
    "ripple",
    "steady-flow",
    "wrong-point",
    "converged",
)
"""In the order in which they are asked; the first that holds is the kind."""
LOOP_KINDS = ("wrong-polarity", "runaway", "saturated", "stuck", "limit-cycle", "ripple", "wrong-point", "converged")
"""What loops and interleave runs can come to; a map keeps a kind as its place here."""
FOR_EVER = ("limit-cycle", "ripple", "steady-flow")
"""Kinds of runs that go on as they are: their tail is stationary, and pages move in it."""
AT_REST = ("idle", "stuck", "wrong-point", "converged")
"""Kinds of runs at whose end nothing moves but a few stray pages."""


@dataclass(frozen=True)
class Cause:
    """One proven cause.

    Attributes
    ----------
    code : str
        Its name, as ``tieringmodel explain`` lists them.
    scheme : int or None
        The scheme that it is about, numbered over all contexts.
    text : str
        One sentence with the numbers that prove it.
    evidence : dict
        Those numbers.
    """

    code: str
    scheme: int | None
    text: str
    evidence: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Fix:
    """A change of the scenario that was run, and what became of it.

    Attributes
    ----------
    changes : tuple of dict
        ``path``, ``old`` and ``new`` of each changed field; of a loop, ``path`` is the name of the argument.
    text : str
        The change in words.
    outcome : str
        What the run with it came to, beginning with its kind; "" for a change that was not run.
    tried, untried : int
        Candidates that were run, and those for which the budget did not last.
    verdict : Verdict or None
        The verdict on the run with the change.
    """

    changes: tuple[dict[str, Any], ...]
    text: str
    outcome: str = ""
    tried: int = 0
    untried: int = 0
    verdict: Verdict | None = None

    def __str__(self) -> str:
        return f"{self.text}: {self.outcome}" if self.outcome else self.text

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data, for JSON."""
        names = ("text", "outcome", "tried", "untried")
        return {"changes": [dict(c) for c in self.changes], **{name: getattr(self, name) for name in names}}


@dataclass(frozen=True)
class Verdict:
    """What a run came to; ``str()`` of it is the paragraph that is printed.

    Attributes
    ----------
    kind : str
        One of `KINDS`.
    text : str
        The paragraph.
    causes : tuple of Cause
        What is proven, what matters most first.
    goals : tuple of dict
        ``scheme``, ``metric``, ``nid``, ``target``, ``value`` (None if never evaluated) and ``met_since_s`` of each goal.
    hot_share_bp : dict of int to float or None
        Share of accesses that each node serves at the end.
    funnel : tuple of Funnel
        What became of each scheme's regions and pages.
    settling_s, last_move_s : float or None
        From when on everything is where it should be; when a page was last migrated or reclaimed.
    residual_mib_s : float
        Migration and reclaim in the tail.
    left : str
        What an unfinished run still waits for.
    numbers : dict
        Further measures; of loops and interleave runs all `measures`.
    thresholds : dict
        By what was judged.
    fix : Fix or None
        A change that helps, where one was found.
    seeds : dict of int to str
        The kind of each seed, where several were run.
    """

    kind: str
    text: str
    causes: tuple[Cause, ...] = ()
    goals: tuple[dict[str, Any], ...] = ()
    hot_share_bp: dict[int, float | None] = field(default_factory=dict)
    funnel: tuple[Funnel, ...] = ()
    settling_s: float | None = None
    last_move_s: float | None = None
    residual_mib_s: float = 0.0
    left: str = ""
    numbers: dict[str, Any] = field(default_factory=dict)
    thresholds: dict[str, Any] = field(default_factory=dict)
    fix: Fix | None = None
    seeds: dict[int, str] = field(default_factory=dict)

    @property
    def cause(self) -> str:
        """The first cause in words; "" without any."""
        return self.causes[0].text if self.causes else ""

    @property
    def code(self) -> str:
        """The first cause's code; "" without any."""
        return self.causes[0].code if self.causes else ""

    @property
    def headline(self) -> str:
        """The kind and what the paragraph says first, for a figure."""
        return re.split(r"; |\.(?: |$)", self.text, maxsplit=1)[0]

    def __str__(self) -> str:
        return self.text

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as plain data, for JSON; what is not known or never happens is None."""
        causes = [{"code": c.code, "scheme": c.scheme, "text": c.text, "evidence": c.evidence} for c in self.causes]
        out: dict[str, Any] = plain(
            {
                "kind": self.kind,
                "text": self.text,
                "settling_s": self.settling_s,
                "last_move_s": self.last_move_s,
                "residual_mib_s": self.residual_mib_s,
                "seeds": {str(seed): kind for seed, kind in self.seeds.items()},
                "causes": causes,
                "goals": list(self.goals),
                "hot_share_bp": {str(nid): share for nid, share in self.hot_share_bp.items()},
                "funnel": [f.to_dict() for f in self.funnel],
                "fix": self.fix.to_dict() if self.fix else None,
                "left": self.left,
                "thresholds": self.thresholds,
            }
        )
        return out

    def _repr_html_(self) -> str:
        said = [(c.code, c.text) for c in self.causes] + ([("fix", str(self.fix))] if self.fix else [])
        shown = [(name, f"{v:g}") for name, v in self.numbers.items() if isinstance(v, (int, float))]
        return titled(self.kind, table((), said), table(("measure", "value"), shown))


def plain(value: Any) -> Any:
    """Return a value as JSON knows it: numpy's numbers as Python's, nan and infinity as None."""
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if hasattr(value, "item") and not isinstance(value, (str, bytes)):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
