"""Which settings are tried next: Optuna's samplers over the knobs' positions, asked for in batches of one size."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ..errors import InputError
from .knobs import Knob

if TYPE_CHECKING:
    import optuna

UNMET = "unmet"
"""Name of the constraint: what is missing to the end, at most 0 where it is met."""
STARTUP = 8
"""So many settings are known before the sampler has an opinion of its own."""


@contextmanager
def quiet() -> Iterator[Any]:
    """Give the module Optuna, which logs nothing and warns of nothing inside.

    Raises
    ------
    InputError
        If it is not installed.
    """
    import warnings

    try:
        import optuna
    except ImportError:
        raise InputError("tune", "needs the package optuna", "pip install 'tieringmodel[tune]'") from None
    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield optuna
    finally:
        optuna.logging.set_verbosity(level)


class Sampler:
    """Asks Optuna, and tells it what became of what was asked for.

    Parameters
    ----------
    knobs : sequence of Knob
        What may change.
    n_objectives : int
        Numbers to make small; several are not weighed against each other.
    seed : int
        What it draws follows from it and from what it was told, in that order.
    """

    def __init__(self, knobs: Sequence[Knob], n_objectives: int, seed: int) -> None:
        self.knobs, self.n_objectives = knobs, n_objectives
        with quiet() as module:
            self.distributions = {
                knob.name: module.distributions.IntDistribution(0, len(knob.rows) - 1)
                if knob.ordered
                else module.distributions.CategoricalDistribution(tuple(range(len(knob.rows))))
                for knob in knobs
            }
            self.study: optuna.Study = module.create_study(
                directions=["minimize"] * n_objectives,
                sampler=module.samplers.TPESampler(
                    seed=seed % 2**32, n_startup_trials=STARTUP, multivariate=True, constant_liar=True
                ),
            )
            self.qmc = module.create_study(sampler=module.samplers.QMCSampler(scramble=True, seed=seed % 2**32))

    def even(self, n: int) -> list[list[int]]:
        """Return positions that cover what may change evenly."""
        with quiet():
            trials = [self.qmc.ask(self.distributions) for _ in range(n + 1)]  # the first is drawn by another sampler
        return [self._positions(trial) for trial in trials[1:]]

    def ask(self, n: int) -> list[tuple[Any, list[int]]]:
        """Return what to try next: each with the trial under which it is told."""
        with quiet():
            trials = [self.study.ask(self.distributions) for _ in range(n)]
        return [(trial, self._positions(trial)) for trial in trials]

    def tell(self, trial: Any, unmet: float, values: Sequence[float] | None) -> None:
        """Tell what became of a trial; no values for settings that were refused."""
        with quiet() as module:
            if values is None:
                self.study.tell(trial, state=module.trial.TrialState.FAIL)
                return
            trial.set_constraint(UNMET, unmet)
            self.study.tell(trial, list(values))

    def add(self, positions: Sequence[int], unmet: float, values: Sequence[float]) -> None:
        """Tell what became of positions that were not asked for."""
        with quiet() as module:
            params = {knob.name: at for knob, at in zip(self.knobs, positions, strict=True)}
            self.study.add_trial(
                module.trial.create_trial(
                    values=list(values), params=params, distributions=self.distributions, constraints={UNMET: unmet}
                )
            )

    def _positions(self, trial: Any) -> list[int]:
        return [int(trial.params[knob.name]) for knob in self.knobs]
