"""Runs of candidates: on any executor, kept in a file from which the same call goes on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

from ..errors import InputError, TieringError
from ..scenario import Scenario
from ..sweeps.executors import run_all
from ..sweeps.identity import code_of
from ..sweeps.own import registered_in
from ..sweeps.point import Job, run_point
from .measured import Measured

Values = dict[str, Any]
REFUSED = "refused"
"""The key of what a run that could not be made says instead of measures."""


REFUSALS = "InputError", "KernelRefusal"
"""Errors by which a candidate is refused; any other ends the search."""


class Wanted(NamedTuple):
    """A run that is asked for."""

    scenario: Scenario
    seed: int


class Runs:
    """What was run, and what it came to.

    Parameters
    ----------
    given : Scenario
        Against whose goals errors are counted.
    duration_us : int
        Length of each run.
    executor, workers
        As for `tieringmodel.sweep`.
    store : Path or None
        A file with a line of JSON for each run. It is written as runs finish; runs that are in it are not run again.

    Attributes
    ----------
    simulated_s : float
        What the runs that were asked for come to, whether or not they were in the store.
    """

    def __init__(
        self,
        given: Scenario,
        duration_us: int,
        *,
        executor: Any = "serial",
        workers: int | None = None,
        store: Path | None = None,
    ) -> None:
        self.measure, self.duration_us, self.executor, self.workers = Measured(given), duration_us, executor, workers
        self.store, self.known = store, dict[str, Values]()
        text = json.dumps(given.to_dict(), sort_keys=True)
        told = json.dumps([text, duration_us, code_of(None, registered_in(text))], sort_keys=True)
        self.prefix = hashlib.sha256(told.encode()).hexdigest()
        self.asked: set[str] = set()
        if store is not None:
            self._read(store)

    @property
    def simulated_s(self) -> float:
        """Simulated seconds of all runs that were asked for."""
        return len(self.asked) * self.duration_us * 1e-6

    def _read(self, store: Path) -> None:
        if store.is_dir():
            raise InputError("store", f"{store} is a folder", "name a file")
        try:
            lines = store.read_text(encoding="utf-8").splitlines() if store.exists() else []
        except UnicodeDecodeError:
            raise InputError("store", f"{store} is not a store of runs", "name another file, or remove it") from None
        for k, line in enumerate(lines):
            try:
                one = json.loads(line)
                self.known[str(one["key"])] = dict(one["values"])
            except (ValueError, KeyError, TypeError):
                if k + 1 < len(lines):
                    raise InputError("store", f"{store}:{k + 1} is damaged", "name another file, or remove it") from None
        if lines:  # the last line may have been cut off: what follows begins on a line of its own
            store.write_text(
                "".join(f"{json.dumps({'key': k, 'values': v})}\n" for k, v in self.known.items()), encoding="utf-8"
            )

    def key(self, wanted: Wanted) -> str:
        """Return a name of a run: equal for equal scenarios, seeds, lengths and code."""
        told = json.dumps([self.prefix, wanted.scenario.to_dict(), wanted.seed], sort_keys=True)
        return hashlib.sha256(told.encode()).hexdigest()[:32]

    def of(self, all_wanted: Sequence[Wanted], update: Callable[[int], None] = lambda _: None) -> list[Values]:
        """Return what runs come to, in the order in which they are asked for; those that are known are not run again.

        Parameters
        ----------
        all_wanted : sequence of Wanted
            Scenarios and seeds.
        update : callable
            Called with the number of runs that are done.

        Raises
        ------
        TieringError
            If the executor is gone, or a run fails otherwise than by a refusal of its scenario.
        """
        keys = [self.key(one) for one in all_wanted]
        missing = {key: one for key, one in zip(keys, all_wanted, strict=True) if key not in self.known}
        self.asked |= {*keys}
        for key, values in self._run(missing, update):
            self._keep(key, values)
        return [self.known[key] for key in keys]

    def once(self, name: str, measured: Callable[[], float]) -> float:
        """Return a number that is measured once, and then stays what it was for all calls with the same store.

        Parameters
        ----------
        name : str
            What it is.
        measured : callable
            Measures it.
        """
        key = f"{name}, {self.prefix[:32]}"
        if key not in self.known:
            self._keep(key, {"value": measured()})
        return float(self.known[key]["value"])

    def _keep(self, key: str, values: Values) -> None:
        self.known[key] = values
        if self.store is not None:
            with self.store.open("a", encoding="utf-8") as file:
                file.write(f"{json.dumps({'key': key, 'values': values})}\n")

    def _run(self, missing: dict[str, Wanted], update: Callable[[int], None]) -> Iterator[tuple[str, Values]]:
        names = list(missing)
        tasks: dict[int, tuple[Any, ...]] = {
            k: (Job(one.scenario, self.duration_us, self.measure), {}, one.seed) for k, one in enumerate(missing.values())
        }
        if not tasks:
            return
        done = 0
        with closing(run_all(self.executor, run_point, tasks, self.workers)) as finished:
            for item in finished:
                if item is None:
                    continue
                k, outcome = item
                done += 1
                update(done)
                if outcome.error and not any(name in outcome.trace for name in REFUSALS):
                    error = TieringError(f"a candidate's run failed: {outcome.error}")
                    error.add_note(outcome.trace)
                    raise error
                yield names[k], {REFUSED: outcome.error} if outcome.error else outcome.values
