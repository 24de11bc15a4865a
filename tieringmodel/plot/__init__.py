"""Figures of runs and comparisons: each function takes a dataset, draws one message and returns its axes.

matplotlib is imported when something is drawn. Functions of a comparison: `share`, `share_panels`, `migration_rate`,
`summary`; of a run: `course`, `heatmap` (also of a comparison), `esz`, `occupancy`, `returns`, `spectrum`, and where the
workload has a demand `closed_loop`. `save_figures` writes files. Of the RFC's experiments: `rfc_claim`, `rfc_claims`,
`five_pages`; of maps over parameters: `stability_map`, `consist_or_temporal`; of published measurements: `hardware_v1`,
`hardware_v4`; of hotness sources: `sources_at_equal_cost`; of recorded kernels: `recorded_bands`; of sweeps: `sweep_map`; of
tunings: `tuning_front`, `tuning_margins`. In
a notebook `explore` gives sliders that redraw the course of a loop.
"""

from .bands import recorded_bands
from .claims import five_pages, rfc_claim, rfc_claims, write_readme_figures
from .explore import explore
from .files import save_figures
from .flows import migration_rate, summary
from .hardware import hardware_v1, hardware_v4
from .hotness import sources_at_equal_cost
from .maps import stability_map
from .pairs import consist_or_temporal
from .run import esz, occupancy
from .shares import share, share_panels
from .snapshots import heatmap
from .sweeps import sweep_map
from .tuning import tuning_front, tuning_margins
from .windows import course, returns, spectrum
from .workload import closed_loop

__all__ = [
    "closed_loop",
    "consist_or_temporal",
    "course",
    "esz",
    "explore",
    "five_pages",
    "hardware_v1",
    "hardware_v4",
    "heatmap",
    "migration_rate",
    "occupancy",
    "recorded_bands",
    "returns",
    "rfc_claim",
    "rfc_claims",
    "save_figures",
    "share",
    "share_panels",
    "sources_at_equal_cost",
    "spectrum",
    "stability_map",
    "summary",
    "sweep_map",
    "tuning_front",
    "tuning_margins",
    "write_readme_figures",
]
