"""Answers what happens if this DAMON memory-tiering scheme runs on this machine with this workload.

The names below are the package's front door. Importing the package costs next to nothing: rooms that need numba, xarray or
matplotlib are imported when one of their names is first used.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
