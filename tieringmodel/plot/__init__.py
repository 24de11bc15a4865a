"""Figures of runs and comparisons: each function takes a dataset, draws one message and returns its axes.

matplotlib is imported when something is drawn. Functions of a comparison: `share`, `share_panels`, `migration_rate`,
`summary`; of a run: `heatmap` (also of a comparison), `esz`, `occupancy`. `save_figures` writes files. Of the RFC's
experiments: `rfc_claim`, `rfc_claims`, `five_pages`; of maps over parameters: `stability_map`, `consist_or_temporal`. Of
hotness sources: `sources_at_equal_cost`.
"""

from .claims import five_pages, rfc_claim, rfc_claims, write_readme_figures
from .files import save_figures
from .flows import migration_rate, summary
from .hotness import sources_at_equal_cost
from .maps import stability_map
from .pairs import consist_or_temporal
from .run import esz, occupancy
from .shares import share, share_panels
from .snapshots import heatmap

__all__ = [
    "consist_or_temporal",
    "esz",
    "five_pages",
    "heatmap",
    "migration_rate",
    "occupancy",
    "rfc_claim",
    "rfc_claims",
    "save_figures",
    "share",
    "share_panels",
    "sources_at_equal_cost",
    "stability_map",
    "summary",
    "write_readme_figures",
]
