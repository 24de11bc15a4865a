"""Replay recorded quota resets: the real kernel's scores and effective quotas against this build's arithmetic.

Two kinds of file, both described in ``data/recordings/README.md``:

* ``quota_steps.csv``: goals driven in lock-step, every input known; scores and effective quotas must be equal.
* ``resets.csv``: resets of a running controller. The kernel exports the score, not the goal's current value, so the
  replay starts from the recorded score; that a current value exists which gives this score is checked too.

In both, DAMON was turned on anew: every tuner starts with ``esz_bp`` 0 and runs once per row. A changed effective
quota leaves a trace event, and so does every scheme's first reset, even if it leaves the quota at 0.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

from ...damon.quota_math import TUNERS, mult_frac, next_esz_bp, quota_score, set_effective
from ...errors import InputError
from ...fields import suggest
from ...given_files import folders
from ...interop.recording.read import read_recording
from ...interop.recording.scenario_of import Recording
from ...interop.recording.tables import Table
from ...scenario import Context
from ..case import Case


class _Difference(Exception):
    """The first value that differs."""


class _Compared:
    """Counts comparisons of recorded with computed values and stops at the first difference."""

    def __init__(self, table: Table, name: str) -> None:
        self.table, self.name = table, name
        self.counts: dict[str, int] = {}

    def equal(self, row: int, of: str, column: str, got: int | None) -> None:
        expected = self.table[column][row]
        if expected != got:
            where = f"{self.name}:{row + 2}"
            raise _Difference(f"{where} ({of}): {column}: expected {expected}, got {got}")
        self.count(column)

    def count(self, column: str) -> None:
        self.counts[column] = self.counts.get(column, 0) + 1

    def case(self, replay: Callable[[], str]) -> Case:
        try:
            detail = replay() + ": " + ", ".join(f"{n} {column}" for column, n in self.counts.items())
            ok = sum(self.counts.values()) > 0
            return Case("recording", self.name, ok, sum(self.counts.values()), detail if ok else "nothing to compare")
        except (_Difference, InputError) as error:
            return Case("recording", self.name, False, sum(self.counts.values()), str(error))


def cases(folder: str | Path) -> list[Case]:
    """Replay the quota resets of every run below a folder, or of one run.

    Parameters
    ----------
    folder : str or Path
        A directory of runs (``data/recordings``) or a run. Runs without recorded resets are left out.

    Returns
    -------
    list of Case
        Kind ``"recording"``, one for each ``quota_steps.csv`` and ``resets.csv``, named ``RUN/FILE``. ``detail`` is the
        first difference (file and line, sequence or scheme, column, expected, got) or what was compared; a file that
        cannot be read is a case that fails.

    Raises
    ------
    InputError
        If there is no such folder.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(str(folder), "is not a directory", "give a folder of recordings")
    return [case for run in folders(folder) for case in _run_cases(run)]


def _run_cases(run: Path) -> Iterator[Case]:
    present = [name for name in _tables(run)]
    if not present:
        return
    try:
        recording = read_recording(run)
    except InputError as error:
        for name in present:
            yield Case("recording", f"{run.resolve().name}/{name}", False, 0, str(error))
        return
    if recording.quota_steps is not None:
        yield _quota_steps(recording)
    for k in range(max(len(recording.kdamonds), 1)):
        if (table := recording.of_kdamond(k).resets) is not None:
            yield _resets(recording, k, table)


def _tables(run: Path) -> list[str]:
    """Return the names of a run's tables of quota resets."""
    names = {path.name.removesuffix(".gz") for path in run.iterdir()}
    return [name for name in sorted(names) if re.fullmatch(r"quota_steps\.csv|resets(_k\d+)?\.csv", name)]


def _quota_steps(recording: Recording) -> Case:
    """Replay scores of all sequences, and effective quotas of those without time quota.

    Under a time quota the effective bytes depend on how fast the machine happened to be.
    """
    table = recording.quota_steps
    assert table is not None
    compared = _Compared(table, f"{recording.name}/quota_steps.csv")

    def replay() -> str:
        states: dict[str, int] = {}
        last: dict[str, int] = {}
        timed = {seq for seq, ms in zip(table["seq"], table["ms_cap"], strict=True) if ms}
        for row, seq in enumerate(table["seq"]):
            of = f"sequence {seq}, step {table['step'][row]}"
            score = quota_score(_goals(table, row))
            compared.equal(row, of, "score_kprobe", score)
            if table["n_resets_seen"][row] != 1:
                seen = table["n_resets_seen"][row]
                raise _Difference(f"{table.where(row)} ({of}): n_resets_seen: expected 1, got {seen}")
            if seq in timed:
                continue
            cap = int(table["bytes_cap"][row])
            tuner = table["tuner"][row]
            if tuner not in TUNERS:
                raise InputError(table.where(row), f"tuner {tuner!r} is unknown", suggest(tuner, TUNERS))
            states[seq] = next_esz_bp(tuner, states.get(seq, 0), score, cap)
            esz = set_effective(sz_bytes=cap, esz_bp=states[seq])
            compared.equal(row, of, "effective_bytes", esz)
            compared.equal(row, of, "esz_trace", None if last.get(seq) == esz else esz)
            last[seq] = esz
        return f"{len(states) + len(timed)} sequences"

    return compared.case(replay)


def _goals(table: Table, row: int) -> list[tuple[int, int]]:
    """Return current and target value of every goal in force at a reset."""
    goals = []
    for i in range(int(table["n_goals"][row])):
        names = f"current{i}", f"target{i}"
        current, target = (table[name][row] if name in table else None for name in names)
        if current is None or not target:
            text = f"goal {i} of {table['n_goals'][row]} has current {current}, target {target}"
            raise InputError(table.where(row), text, "give both, the target above 0")
        goals.append((current, target))
    return goals


def _resets(recording: Recording, k: int, table: Table) -> Case:
    """Replay each scheme's effective quota from recorded scores and the settings in force; commits keep the tuner's state."""
    compared = _Compared(table, f"{recording.name}/{table.path.name.removesuffix('.gz')}")

    def replay() -> str:
        if k >= len(recording.contexts) or (len(recording.contexts) > 1 and not recording.kdamonds):
            raise InputError(str(recording.path), "has no damon_config.txt with one context", "add it")
        settings = [(0.0, recording.contexts[k]), *((float(at), now[k]) for at, now in recording.changes)]
        states = [0] * len(settings[0][1].schemes)
        last: list[int | None] = [None] * len(states)
        for row, scheme in enumerate(table["scheme"].tolist()):
            context = [context for at_ms, context in settings if at_ms <= max(table["t_ms"][row], 0.0)][-1]
            if not 0 <= scheme < min(len(states), len(context.schemes)):
                text = f"scheme {scheme} is unknown, damon_config.txt holds {len(states)}"
                raise InputError(table.where(row), text, "write the index of a scheme")
            quota, of = context.schemes[scheme].quota, f"scheme {scheme}"
            score = table["score"][row]
            if quota.goals:
                compared.equal(row, of, "score", _nearest_score(context, scheme, score))
                states[scheme] = next_esz_bp(quota.goal_tuner, states[scheme], score, quota.sz_bytes)
            if quota.ms:
                continue
            esz = set_effective(sz_bytes=quota.sz_bytes, esz_bp=states[scheme] if quota.goals else None)
            compared.equal(row, of, "esz", esz)
            compared.equal(row, of, "esz_changed", int(esz != last[scheme]))
            last[scheme] = esz
        return f"{len(states)} schemes"

    return compared.case(replay)


def _nearest_score(context: Context, scheme: int, score: int) -> int:
    """Return `score` if a share of 0 … 10000 bp gives it for the scheme's goal, else the nearest below that one does.

    Only where the one goal is a share; other metrics have any value.
    """
    goals = context.schemes[scheme].quota.goals
    if len(goals) != 1 or not goals[0].metric.endswith("_bp"):
        return score
    target = goals[0].target_value
    current = min(-(-score * target // 10_000), 10_000)
    return max(s for c in (current, max(current - 1, 0)) if (s := mult_frac(c, 10_000, target)) <= score)
