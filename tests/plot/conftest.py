"""The made-up comparison and run that figures and pages are drawn from."""

from made_up import comparison, run, scenario

__all__ = ["comparison", "run", "scenario"]
