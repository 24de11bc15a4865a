"""What one piece of evidence says about this build."""

from __future__ import annotations

from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Case:
    """Outcome of replaying one vector file, run, anchor case or recording.

    Attributes
    ----------
    kind : str
        ``"vector"``, ``"e2e"``, ``"anchor"``, ``"recording"`` or ``"hardware"``.
    name : str
        File or case name.
    ok : bool
        Whether everything that was checked agrees.
    checked : int
        How many values were compared.
    detail : str
        The first difference (where, expected, got), or what was measured.
    report : str
        All there is to say, in lines; empty where `detail` is all.
    """

    kind: str
    name: str
    ok: bool
    checked: int
    detail: str = ""
    report: str = ""

    def as_dict(self) -> dict[str, object]:
        """Return the case as the JSON object that ``tieringmodel validate --json`` prints; its detail is the whole report."""
        out = asdict(self)
        out["detail"] = out.pop("report") or self.detail
        return out
