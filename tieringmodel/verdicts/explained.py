"""What each kind and each cause code means: what proves it, an example, what usually helps. Docs and commands print it."""

from __future__ import annotations

from typing import NamedTuple

from ..errors import InputError
from ..fields import suggest
from ..linting.codes import MEANS
from .record import KINDS


class Explained(NamedTuple):
    """A cause code."""

    proof: str
    """What must be seen in a run's counters before the code is said."""
    example: str
    """A sentence as a run prints it."""
    fixes: str
    """What is tried first."""


KIND_MEANS = {
    "idle": "Nothing could have acted: no scheme that moves pages, none awake, or nothing accessed that is asked for.",
    "unfinished": "The end is not stationary: a share, a rate or a quota still changes, or the silence is too short.",
    "wrong-polarity": "A goal is missed, and the scheme's own moves took its metric away from the target.",
    "runaway": "A goal is missed, its scheme goes on, its metric does not answer, and its quota grows or stands at its cap.",
    "stuck": "A goal is missed, or a scheme without goals was never due or matched nearly nothing; nearly nothing ever moved.",
    "saturated": "A goal is missed, or a scheme asks for pages that it does not get, because a limit binds.",
    "limit-cycle": "Pages go on moving for goals, and the share leaves its band again and again, or stays outside.",
    "ripple": "Pages go on moving for goals, and the share stays in its band.",
    "steady-flow": "Schemes without goals, weights included, go on moving pages.",
    "wrong-point": "Pages rest, but not where they should be.",
    "converged": "Pages rest where they should be.",
}
"""In the order in which they are asked; the first that holds is the kind."""
assert tuple(KIND_MEANS) == KINDS

CAUSES = {
    "watermarks-inactive": Explained(
        "asleep_us and nr_inactive: inactive for at least 95 % of the run, with the free share outside the watermarks",
        "asleep for 60.0 of 60.0 s: 174 permil of memory are free, under low (200)",
        "watermarks that hold the machine's free share, or none",
    ),
    "apply-starved": Explained(
        "nr_due is 0 and nr_restarted is not: interval tuning restarts the apply clock before it ends",
        "never applied in 120.0 s: its apply interval is 1 s, and the apply clock was restarted 400 times before it ended",
        "an apply interval of at most aggrs aggregations, or 0; more aggrs",
    ),
    "run-too-short": Explained(
        "nothing was due, or no quota window ended, within the run's length",
        "the first application comes after 5 s, the run ended after 4 s",
        "a longer run",
    ),
    "met-at-start": Explained(
        "the goal was met at every evaluation, and nothing moved",
        "node_mem_free_bp of node 0 was met at all 60 evaluations (5000 of 1000 bp): nothing was asked for",
        "none is needed",
    ),
    "quota-below-region": Explained(
        "the effective quota was under one region in most evaluations in which the goal was missed",
        "the effective quota is 476 B, less than a region of 4 KiB; it grows by 17 % per window",
        "the temporal tuner with a size quota; a larger size quota",
    ),
    "nothing-matches": Explained(
        "sz_matched stays under 0.1 % of memory; sz_but_rate, sz_but_age and sz_but_size say which bound keeps regions back",
        "no region matched the access pattern: nr_accesses 10 to any asked for, at most 6 of 20 seen",
        "a lower min_nr_accesses, a longer aggregation, a lower min_age, more regions",
    ),
    "young-first-pass": Explained(
        "at least half of what was looked at was young because nobody had looked before (sz_first_look), and turned away",
        "1.9 GiB of 2.0 GiB looked at were young because nobody had looked before: their bits were cleared, nothing else",
        "a longer run; a larger quota; no young filter",
    ),
    "rejected-by-filters": Explained(
        "nine tenths of what matched was dropped by core filters (sz_dropped) or rejected by the others (rejected_bytes)",
        "of 1.9 GiB in pages looked at, 36 KiB passed: the young filter rejected 1.9 GiB",
        "the filter turned round, or left out",
    ),
    "early-exit": Explained(
        "the RFC's early exit passed over nine tenths of what was tried (sz_early_exit)",
        "the early exit passed over 305.4 MiB of 305.4 MiB: node_sys_bp of node 0 is 5000 of 6000 bp",
        "a metric that migration can change: node_eligible_mem_bp",
    ),
    "destination-full": Explained(
        "at least half of the pages that passed and were elsewhere found no free frame on the target (sz_no_frame)",
        "69.6 GiB passed and found no free frame on node 0 (64 MiB free at the end); 743.1 MiB were moved",
        "a scheme that demotes; less reserve; a smaller hot set",
    ),
    "failed-charges": Explained(
        "windows end full, nine tenths of what was charged holds no page that the action can take",
        "50 MiB were charged and 2 MiB done: 48 MiB of them hold no page that the action can take",
        "fail_charge_num and fail_charge_denom; ranges without holes",
    ),
    "capacity": Explained(
        "everything that matches is on the target already (sz_there), or nothing more is to be had, and the goal is missed",
        "everything that matches is on node 0 already; node_mem_used_bp of node 0 is 2502 of 6000 bp",
        "a target that can be reached; a wider access pattern",
    ),
    "quota-limited": Explained(
        "nine tenths of the windows that held a region ended full, with the goal missed",
        "2 of 2 windows ended with the quota full (16 MiB, set by sz_bytes) and the goal missed",
        "a larger size quota; a longer run",
    ),
    "wrong-node": Explained(
        "the action lowers the goal's metric, pages were moved, and the value fell",
        "it moves pages to node 1, which lowers node_mem_used_bp of node 0: 5000 at first, 3750 now, 6000 asked for",
        "the goal's nid is the scheme's target_nid",
    ),
    "goals-overlap": Explained(
        "two goals of opposing schemes on one share sum to more than 10000 bp",
        "node_mem_free_bp of node 0 >= 50 and node_mem_used_bp of node 0 >= 9970 ask for 10020 of 10000 bp",
        "targets with a gap between them",
    ),
    "no-gap": Explained(
        "two opposing goals leave less room than one window's moves change the share by, and both schemes moved in the tail",
        "both are met in one point only, and a window's moves change the share by up to 625 bp: it steps over",
        "a gap that two windows do not cross, and a smaller quota",
    ),
    "redraw": Explained(
        "weights whose rule draws a page's node at each visit, and pages moved in the tail",
        "each visit draws a page's node anew: 497.1 MiB moved in the tail",
        "weights by VMA offset; a goal",
    ),
    "frame-rule": Explained(
        "weights by frame number, and pages moved in the tail or rest off the weights",
        "the frame number names the node, and every move changes it: 343.6 MiB moved in the tail",
        "weights by VMA offset; a goal",
    ),
    "rank-rule": Explained(
        "weights by rank among frames, and pages moved in the tail or rest off the weights",
        "the rank among frames names the node, and every move changes who ranks where: 333.6 MiB moved in the tail",
        "weights by VMA offset; a goal",
    ),
    "offset-rule": Explained(
        "weights by VMA offset, and the pages touched rest off the weights",
        "each page's offset names its node; touched pages are +4995 bp off the weights on node 0",
        "weights divided by their common factor",
    ),
    "opposing-schemes": Explained(
        "two schemes with other targets move, their goals do not explain it, and a tenth of all moves was undone",
        "1500 of 3000 moves were undone by scheme 1, or are its moves that this scheme undid",
        "patterns that do not overlap; one scheme less",
    ),
    "drift": Explained(
        "the workload changes to the very end, or the share stays although a full quota moves pages",
        "the workload changed 4 times, last at 240 s; 5.2 GiB moved in the tail",
        "a larger quota; a shorter apply interval",
    ),
    "refaults": Explained(
        "of the pages reclaimed in the tail a tenth or more came back (faulted_pages)",
        "of 8.6 MiB reclaimed in the tail 7.9 MiB came back",
        "a higher min_age; a lower goal",
    ),
    "quota-broken": Explained(
        "twice a quota or more passed to a disk between two records without being freed, and failures are charged in part",
        "901 MiB passed at once under a quota of 16 MiB: first written to disk, they count as failed; kdamond waited 102.2 s",
        "fail_charge_num and fail_charge_denom 0: failures are charged in full",
    ),
    "metric-blind": Explained(
        "bytes were applied, the action cannot change the metric, and its value stayed within its band",
        "275.3 GiB were applied and some_mem_psi_us stayed at 0 of 500 us",
        "a metric that sees the pages moved",
    ),
    "tuner-windup": Explained(
        "pages moved in windows that began with the goal met carried it most of the way past",
        "the consist tuner still allowed up to 8.1 MiB per window: 3376 pages moved with the goal met, to 249 bp past it",
        "the temporal tuner with a size quota",
    ),
    "step-over": Explained(
        "the last window before the goal was met carried the share past it",
        "one window had carried it from 4800 to 6700, past the goal of 6000",
        "a smaller size quota",
    ),
    "one-way": Explained(
        "the goal is passed by more than its band, and no other scheme acts",
        "node_mem_used_bp of node 1 is 249 bp past its goal, and no scheme moves pages the other way",
        "an opposing scheme with a complementary goal, and a gap",
    ),
    "measured-differs": Explained(
        "what the metric reads differs from where the touched pages lie by more than it differs from the target",
        "node_eligible_mem_bp of node 0 reads 769 bp in the tail, 10000 bp of the pages touched lie there",
        "a lower min_nr_accesses; a longer aggregation",
    ),
    "nothing-acts": Explained(
        "no scheme that is switched on migrates or reclaims: a baseline",
        "nothing moves pages: there is no scheme; node 0 serves 40.0 % of the accesses",
        "none",
    ),
    "noise": Explained(
        "a loop whose metric is noisy now and then reads its goal as missed, and nothing takes the moves back (loops only)",
        "noise of 50 bp now and then reads as a missed goal, and moves in one direction are never undone",
        "an averaged metric",
    ),
    "unstable-gain": Explained(
        "the delay takes the loop's gain over its critical one (loops only)",
        "at a delay of 2 the tuner's gain of 1 is at or above the critical 0.6180",
        "a window longer than the lag",
    ),
    "undamped": Explained(
        "CONSIST against a constant leak neither fades nor grows (loops only)",
        "against a constant leak of 100 pages CONSIST is a centre",
        "the temporal tuner",
    ),
    "other-reference": Explained(
        "the loop's goal in force is not the one that it is judged by (loops only)",
        "the loop's goal in force is 4000 bp, not the 5000 bp that it is judged by",
        "a target without a lower clamp",
    ),
    "unexplained": Explained(
        "none of the above is proven; the sentence says what was ruled out",
        "none of the known mechanisms is proven",
        "none is known",
    ),
}
"""Every cause code, in the order of the funnel and of what else can be."""


def explain(code: str) -> str:
    """Return what a kind, a cause code or a code of lint means, as text for a terminal.

    Parameters
    ----------
    code : str
        A key of `KIND_MEANS`, `CAUSES` or `tieringmodel.linting.codes.MEANS`; a code that is a cause and lint's is both.

    Returns
    -------
    str

    Raises
    ------
    InputError
        For an unknown code, with the nearest one.
    """
    if code in KIND_MEANS:
        return f"{code} (kind)\n  {KIND_MEANS[code]}"
    said = []
    if code in CAUSES:
        known = CAUSES[code]
        said = [f"{code} (cause)\n  proven by: {known.proof}\n  example: {known.example}\n  usual fixes: {known.fixes}"]
    if code in MEANS:
        said.append(f"{code} (lint)\n  {MEANS[code]}")
    if not said:
        remedy = suggest(code, [*KIND_MEANS, *CAUSES, *MEANS]).partition("known: ")[0]
        what = f"{code!r} is no kind, no cause and no code of lint"
        raise InputError("code", what, f"{remedy}'tieringmodel explain' lists them all")
    return "\n".join(said)


def listed() -> str:
    """Return every word that can be explained, as text for a terminal."""
    parts = {"kinds of verdicts": [*KIND_MEANS], "causes": [*CAUSES], "codes of lint": [*MEANS]}
    return "\n".join(f"{title}\n  {', '.join(words)}" for title, words in parts.items())


def page() -> str:
    """Return the page of the documentation that lists all kinds and causes, in Markdown."""
    kinds = "\n".join(f"| `{kind}` | {text} |" for kind, text in KIND_MEANS.items())
    causes = "\n".join(f"| `{code}` | {c.proof} | {c.example} | {c.fixes} |" for code, c in CAUSES.items())
    return (
        "# Verdicts\n\n"
        "What a run came to, and what is proven to have caused it. `tieringmodel explain CODE` prints a line of it.\n\n"
        "## Kinds\n\nThe first that holds.\n\n| kind | what the series say |\n|---|---|\n"
        f"{kinds}\n\n## Causes\n\nNothing is said without its proof. Loops have some of their own.\n\n"
        f"| code | proven by | example | usual fixes |\n|---|---|---|---|\n{causes}\n"
    )
