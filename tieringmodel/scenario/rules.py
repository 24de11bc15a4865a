"""What changed in DAMON between Linux 6.12 and 7.3.4 and moves numbers: one rule a change (docs/theory/kernels.md, section 3).

Releases and backports come from patches, changelogs and the four sources that were read. Ids of commits are not known from
these, so none is given.
"""

from __future__ import annotations

from typing import NamedTuple


class Rule(NamedTuple):
    """A change to DAMON that moves numbers.

    ``row`` is its number in docs/theory/kernels.md, section 3; ``switch`` names it. ``records``: for each of `RECORDS`, true
    where it has the change, None where what it is about does not exist. ``since``: the first mainline release with it;
    ``backports``: the point releases that have it, too. ``before`` and ``after`` say what Linux does without and with it.
    """

    row: str
    switch: str
    records: tuple[bool | None, ...]
    since: str
    backports: str
    before: str
    after: str


RECORDS = ("6.12.117", "6.18.35", "7.2.12", "7.3.4")
"""Releases whose own code was read and run; each is a column of the table."""
_HAVE = {"a": True, "b": False, "-": None}


def _rule(facts: str, before: str, after: str) -> Rule:
    """Return a rule. ``facts``: row, switch, a letter for each record but the last (after, before, - for n/a), releases."""
    row, switch, old, since, *backports = facts.split(maxsplit=4)
    return Rule(row, switch, (*(_HAVE[c] for c in old), True), since, "".join(backports), before, after)


RULES = (
    _rule(
        "1 first_window_esz baa 6.18",
        "until the first charge window ends the effective quota is 0, and that limits nothing",
        "the first charge window starts with its effective quota",
    ),
    _rule(
        "2 age_reset_on_zero baa 6.18",
        "an age starts anew only if nr_accesses changes by more than the merge threshold",
        "an age starts anew also if nr_accesses becomes 0 or ceases to be 0",
    ),
    _rule(
        "3 esz0_stop bba 7.1",
        "an effective quota of 0 means no quota and no score threshold",
        "an effective quota of 0 stops the scheme",
    ),
    _rule(
        "4 quota_full_min_region bba 7.2",
        "a quota is full once it is charged to the last byte; a rest below min_region_sz allows nothing and is never used up: "
        "an unaligned quota, the usual one with a goal, sets no resume address and counts no qt_exceeds",
        "a quota is full once less than min_region_sz is left of it",
    ),
    _rule(
        "5 merge_after_apply bba 7.2",
        "pieces that a quota cut off stay apart until the aggregation ends",
        "each application joins them again where age and count agree and the size limit allows it",
    ),
    _rule(
        "6 apply_min_nr_regions bba 7.1",
        "min_nr_regions limits merging alone: no region grows beyond total / min_nr_regions, computed at each update of the "
        "operations set",
        "regions above that limit are also split, at the start and after each merge",
    ),
    _rule(
        "7 histogram_core_filters bba 7.1",
        "the priority histogram counts every region that matches the access pattern",
        "it counts those that pass the core filters, too",
    ),
    _rule(
        "8 split_some_regions bbb 7.3",
        "with more than max_nr_regions / 2 regions none is split, and last_nr_regions stays",
        "with n of them one region in max / (max - n) is split, and last_nr_regions follows",
    ),
    _rule(
        "9 mvsum_on_demand bbb 7.3",
        "each region keeps a running sum of accesses that every sample moves; schemes read that",
        "the moving sum is computed when a scheme asks",
    ),
    _rule(
        "10 score_mvsum aba 7.3 6.12.110, 7.2.5",
        "priority scores read the raw count of the running window",
        "priority scores read the moving sum, of the kind that row 9 gives",
    ),
    _rule(
        "11 count_age_once aba 7.3 6.12.110, 7.2.6 or before",
        "where merging takes several passes each of them counts as an aggregation of age",
        "age grows by one, however many passes merging takes",
    ),
    _rule(
        "12 cap_merge_threshold aba 7.3 6.12.111, 7.2.5",
        "the merge threshold doubles as long as its half is below the largest count, and so can exceed that count",
        "the merge threshold never exceeds the largest count",
    ),
    _rule(
        "13 charge_addr_end aba 7.2 6.12.97",
        "the resume address is the last region's end + 1: a region that starts at that end loses a min_region_sz",
        "the resume address is the last region's end",
    ),
    _rule(
        "14 skip_only_charged aba 7.3 6.12.113, 7.2.9, 6.18.y of October 2026",
        "after a full quota the last region of a target is skipped in any case and clears the resume address; so does the "
        "first region that is not skipped, and what lies behind a resume cut is handled in that visit, by later schemes, too",
        "the last region is skipped only if it was charged, and nothing else clears the address; what lies behind a resume cut "
        "is the next region",
    ),
    _rule(
        "15 charge_filtered_sz abb 7.3.4 6.12.117",
        "a region that an address filter cuts is charged and counted as tried with its size from before the cut",
        "it is charged and counted with its size after the cut",
    ),
    _rule(
        "16 time_quota_zero_esz bba 7.3 7.2.9",
        "a time quota grants one min_region_sz even if the goal grants nothing",
        "a goal that grants nothing is obeyed",
    ),
    _rule(
        "17 adjust_quota_while_esz aba 7.3 6.12.113, 7.2.10",
        "once a commit has taken every limit away the quota is not adjusted any more: its last effective quota holds for ever",
        "it is adjusted while an effective quota is left, which ends with its charge window",
    ),
    _rule(
        "18 thisnode abb 7.3",
        "a page whose target node is full goes to any node, its own included; it counts as applied and is charged",
        "a page goes to the target node or stays where it is",
    ),
    _rule(
        "19 folio_end bbb 7.3.4",
        "a walk that begins inside a large folio goes on a whole folio size further, and misses as much behind that folio "
        "(vaddr migration in 6.18 takes single pages and misses nothing)",
        "it goes on at the folio's end",
    ),
    _rule(
        "20 node_mem_extremes -bb 7.3.4",
        "a node without memory divides by 0, and more free than total memory wraps around",
        "such a node is 10000 bp used and 0 bp free; without LRU pages active and inactive are both 0",
    ),
    _rule(
        "21 temporal_huge_sz --b 7.3.4",
        "TEMPORAL multiplies sz by 10000, which wraps around above ULONG_MAX / 10000",
        "TEMPORAL takes such an sz as no cap",
    ),
    _rule(
        "22 commit_eligible_nid --b 7.3.4",
        "a commit leaves the nid of a node_eligible_mem_bp goal as it was",
        "a commit sets that nid",
    ),
    _rule(
        "23 psi_first_round bbb 7.3.4",
        "the first reading of some_mem_psi_us starts from a total that nobody set: it is the stall time since boot",
        "the first reading changes nothing",
    ),
    _rule("24 refuse_zero_target abb 7.3 6.12.117", "a goal may have a target_value of 0", "such a goal is refused (EINVAL)"),
    _rule(
        "25 tail_pages aaa 6.15 6.12.24",
        "a sample that hits a tail page of a large folio never finds it accessed",
        "such a sample asks the folio",
    ),
    _rule(
        "26 time_quota_min_region aaa 7.1 6.12.90, 6.18.35 or before",
        "a time quota of less than one region gives an effective quota of 0",
        "it gives one min_region_sz",
    ),
    _rule(
        "27 charged_from_jiffies aaa 6.17 6.12.48",
        "the clock of charge windows starts at 0, and jiffies at five minutes before 0: no window ends until then",
        "the clock of charge windows starts at the present jiffies",
    ),
    _rule(
        "28 allow_filters baa 6.15",
        "filters are one list in their order, and can only reject",
        "filters allow or reject, those of core before those of the operations set",
    ),
    _rule(
        "29 feed_loop_cap aaa 6.12",
        "the feedback step wraps around near its upper end",
        "the feedback step stops at its upper end",
    ),
    _rule(
        "31 throughput_mult_frac baa 6.18",
        "the throughput of a time quota is a product in 64 bit that can wrap around",
        "it is computed without overflow (mult_frac)",
    ),
    _rule(
        "32a max_nr_snapshots bba 7.0",
        "a scheme handles any number of snapshots; nr_snapshots stays 0",
        "max_nr_snapshots limits how many it handles",
    ),
    _rule(
        "32b fail_charge bba 7.2",
        "what an action failed to do is charged in full",
        "it is charged at the ratio of fail_charge_num to fail_charge_denom",
    ),
    _rule(
        "32c last_applied baa 6.15 6.14.3",
        "a scheme handles a folio once for each region that touches it",
        "a scheme passes over the folio that it looked at last in the same pass",
    ),
    _rule(
        "33a attrs_reset_window baa 6.15",
        "attributes set in the middle of a window convert nr_accesses and leave last_nr_accesses",
        "they set nr_accesses to 0 and convert last_nr_accesses",
    ),
    _rule(
        "33b attrs_last_nr_accesses bbb 7.3",
        "attributes set at the end of a window leave last_nr_accesses",
        "attributes convert last_nr_accesses whenever they are set",
    ),
    _rule(
        "34 commit_join_ranges bbb 7.3",
        "a commit fits each range by itself, also where two touch",
        "a commit joins ranges that touch before it fits them",
    ),
    _rule(
        "35 ctx_rnd_state bba 7.2",
        "all contexts draw from the kernel's one generator, 32 bit a number",
        "each context draws from a generator of its own",
    ),
    _rule("36 lru_prio_activate bba 7.0", "lru_prio marks pages as accessed", "lru_prio puts pages on the active list"),
    _rule(
        "37 fresh_look aba 7.3 6.12.110, 7.2.5",
        "a sample in the folio that was checked last repeats the answer of then; paddr remembers that folio over all ticks, "
        "regions and contexts, so that a range inside one large folio is looked at once and keeps that answer; vaddr remembers "
        "it within a target",
        "every sample looks for itself",
    ),
    _rule(
        "38 walk_split_regions aba 7.1 6.12.113",
        "what lies behind a cut of a quota or an address filter waits for the next pass",
        "all schemes visit it in the same pass",
    ),
    _rule(
        "39 va_init_unsplit bba 7.1",
        "a vaddr target without ranges starts with its three ranges cut into pieces of range / (total / min_nr_regions); the "
        "last piece takes the rest",
        "it starts with the three ranges, which row 6 may split",
    ),
    _rule(
        "40 fix_mvsum_at_reset baa 6.16",
        "a running sum (row 9) carries the remainder of its divisions into the next window",
        "each new window sets a running sum to nr_accesses times 10000",
    ),
    _rule(
        "41 commit_clears_resume baa 6.18",
        "a commit that removes a target leaves a resume address in it: the scheme then skips every region",
        "such a commit clears the address",
    ),
    _rule(
        "42 stat_walk baa 6.14",
        "the action stat looks at no page",
        "stat looks at each page if the scheme has filters of the operations set",
    ),
    _rule(
        "43 commit_any_tick baa 6.15",
        "commits wait for the end of an aggregation, or for a sleep by watermarks",
        "every loop body takes commits, and every sleep by watermarks",
    ),
    _rule(
        "44 commit_compare_attrs baa 6.18",
        "every commit sets the attributes: the window, the apply clocks and the counts start anew",
        "a commit sets them only if they differ",
    ),
    _rule(
        "45 sleep_four_jiffies baa 6.13",
        "a sleep of more than 20 ms lasts whole jiffies",
        "a sleep of 4 jiffies or more lasts whole jiffies",
    ),
    _rule(
        "46 goal_score_mult_frac bba 7.2",
        "scores of goals and of intervals multiply by 10000 in 64 bit, which can wrap around",
        "they are computed without overflow (mult_frac)",
    ),
)
"""By row. Row 30 is the change of row 4."""
BY_SWITCH = {rule.switch: rule for rule in RULES}
SWITCHES = tuple(BY_SWITCH)
UNDONE = {"thisnode": ("6.17", "7.3")}
"""Changes that mainline had from the start, but not in the releases from the first up to before the second."""
ONLY_WITH = {"node_mem_extremes": "6.16", "temporal_huge_sz": "7.1", "commit_eligible_nid": "7.2"}
"""Rules about something that came with a release: before it there is nothing to switch."""
SEEN_FIRST = ("commit_clears_resume", "goal_score_mult_frac")
"""Rules of which nobody at hand says when they came: `Rule.since` is the first release in which they were read."""
