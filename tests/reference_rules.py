"""The rules by which DAMON of one kernel differs from that of another: a switch each, True is the newer state.

The names are those of the list of kernel versions. What a row of that list means stands where the reference asks for it.
"""

from __future__ import annotations

Rules = dict[str, bool]

KERNELS = ("6.12.117", "6.18", "7.2.12", "7.3.4")

# One letter a kernel, in the order of KERNELS: "b"efore, "a"fter; "-" where the feature is absent or the old state undefined.
_TABLE = {
    "first_window_esz": "baaa",
    "age_reset_on_zero": "baaa",
    "esz0_stop": "bbaa",
    "quota_full_min_region": "bbaa",
    "merge_after_apply": "bbaa",
    "apply_min_nr_regions": "bbaa",
    "histogram_core_filters": "bbaa",
    "split_some_regions": "bbba",
    "mvsum_on_demand": "bbba",
    "score_mvsum": "abaa",
    "count_age_once": "abaa",
    "cap_merge_threshold": "abaa",
    "charge_addr_end": "abaa",
    "skip_only_charged": "abaa",
    "charge_filtered_sz": "abba",
    "time_quota_zero_esz": "bbaa",
    "adjust_quota_while_esz": "abaa",
    "thisnode": "abba",
    "folio_end": "bbba",
    "node_mem_extremes": "-bba",
    "temporal_huge_sz": "--ba",
    "commit_eligible_nid": "--ba",
    "psi_first_round": "bbba",
    "refuse_zero_target": "abba",
    "tail_pages": "aaaa",
    "time_quota_min_region": "aaaa",
    "charged_from_jiffies": "aaaa",
    "allow_filters": "baaa",
    "feed_loop_cap": "aaaa",
    "throughput_mult_frac": "baaa",
    "max_nr_snapshots": "bbaa",
    "fail_charge": "bbaa",
    "last_applied": "baaa",
    "attrs_reset_window": "baaa",
    "attrs_last_nr_accesses": "bbba",
    "commit_join_ranges": "bbba",
    "ctx_rnd_state": "bbaa",
    "lru_prio_activate": "bbaa",
    "fresh_look": "abaa",
    "walk_split_regions": "abaa",
    "va_init_unsplit": "bbaa",
    "fix_mvsum_at_reset": "baaa",
    "commit_clears_resume": "baaa",
    "stat_walk": "baaa",
    "commit_any_tick": "baaa",
    "commit_compare_attrs": "baaa",
    "sleep_four_jiffies": "baaa",
    "goal_score_mult_frac": "bbaa",
    # No rows of the list, but features that came later: vaddr migration, sz_ops_filter_passed.
    "va_migrate": "baaa",
    "filter_passed": "baaa",
}


def rules_of(kernel: str) -> Rules:
    """The switches of a kernel; what is absent there counts as after."""
    column = KERNELS.index(kernel)
    return {name: letters[column] != "b" for name, letters in _TABLE.items()}


LATEST = rules_of("7.3.4")
