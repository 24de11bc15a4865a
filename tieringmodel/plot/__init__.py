"""Figures of runs and comparisons: each function takes a dataset, draws one message and returns its axes.

matplotlib is imported when something is drawn. Functions of a comparison: `share`, `share_panels`, `migration_rate`,
`summary`; of a run: `heatmap` (also of a comparison), `esz`, `occupancy`. `save_figures` writes files.
"""

from .files import save_figures
from .flows import migration_rate, summary
from .run import esz, occupancy
from .shares import share, share_panels
from .snapshots import heatmap

__all__ = ["esz", "heatmap", "migration_rate", "occupancy", "save_figures", "share", "share_panels", "summary"]
