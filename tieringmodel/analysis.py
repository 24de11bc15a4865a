"""What a run is worth: measures, linear analysis, closed forms and a verdict in words.

The modules imported here need numpy alone; scipy, xarray and the loop's kernels are imported by the calls that use
them.
"""

from __future__ import annotations

from .theory import closed_forms
from .theory.exponents import NoiseFloor, lyapunov, noise_floor
from .theory.linear import LinearLoop, linear
from .theory.markov import MarkovMixing, markov_mixing
from .verdicts.expect import Clause, expect
from .verdicts.judge import Verdict, verdict
from .verdicts.measures import measure, measures
from .verdicts.run_view import Series, series

__all__ = [
    "Clause",
    "LinearLoop",
    "MarkovMixing",
    "NoiseFloor",
    "Series",
    "Verdict",
    "closed_forms",
    "expect",
    "linear",
    "lyapunov",
    "markov_mixing",
    "measure",
    "measures",
    "noise_floor",
    "series",
    "verdict",
]
