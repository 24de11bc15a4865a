"""Mutants that no test can notice, as (file, function, change as `tools/mutate.py` prints it) with the reason."""

from __future__ import annotations

EQUIVALENT: dict[tuple[str, str, str], str] = {}
