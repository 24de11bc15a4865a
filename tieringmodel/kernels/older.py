"""What the compiled code of older kernels does differently (docs/theory/kernels.md, section 3).

Kernels take `rules`: None where all of it is as in the default kernel, else an `Older`. Each branches on ``rules is None``
first, so that for the default kernel nothing of this is compiled.
"""

from __future__ import annotations

from typing import Any

from ._bundle import Bundle, bundle
from .layout import Flag


@bundle
class Older(Bundle):
    """Changes to DAMON that the kernel has, by the names of their switches, and whether regions keep a moving sum."""

    age_reset_on_zero: Flag
    count_age_once: Flag
    cap_merge_threshold: Flag
    merge_after_apply: Flag
    quota_full_min_region: Flag
    charge_addr_end: Flag
    skip_only_charged: Flag
    charge_filtered_sz: Flag
    walk_split_regions: Flag
    histogram_core_filters: Flag
    score_mvsum: Flag
    max_nr_snapshots: Flag
    stat_walk: Flag
    attrs_reset_window: Flag
    attrs_last_nr_accesses: Flag
    first_window_esz: Flag
    charged_from_jiffies: Flag
    adjust_quota_while_esz: Flag
    goal_score_mult_frac: Flag
    feed_loop_cap: Flag
    temporal_huge_sz: Flag
    time_quota_min_region: Flag
    time_quota_zero_esz: Flag
    throughput_mult_frac: Flag
    node_mem_extremes: Flag
    stored_sum: Flag


def compiled_rules(rules: Any, stored_sum: bool) -> Older | None:
    """Return what kernels take as `rules`: None where every switch that they know is on and regions keep no moving sum.

    Parameters
    ----------
    rules : object
        Has a truth value for each switch.
    stored_sum : bool
        Whether each region keeps a moving sum that every sample moves.
    """
    made = Older(**{name: bool(getattr(rules, name, stored_sum)) for name in Older.layout})
    flags = dict(zip(Older.layout, made, strict=True))
    return None if not flags.pop("stored_sum") and all(flags.values()) else made
