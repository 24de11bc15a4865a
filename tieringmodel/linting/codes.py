"""What each code of lint means, in one sentence; the documentation and `explain` print it, findings say the numbers."""

from __future__ import annotations

MEANS = {
    "action-not-modelled": "The operations set has the action, and this package counts it without carrying it out.",
    "apply-starved": "Interval tuning restarts the apply clock before the apply interval ends: the scheme is never due.",
    "consist-overshoot": "CONSIST without a size quota crosses its goal with all that its quota has grown to.",
    "dead-band": "Two goals leave a band between their targets in which nothing moves.",
    "dests-on-paddr": "Linux ignores weighted destinations on physical addresses; here dest_rule deals them.",
    "dests-unused": "Destinations of an action that does not migrate.",
    "dests-weights-zero": "Destinations whose weights are all 0 name no node.",
    "disk-breaks-quota": "A page first written to a disk is not freed in that visit, counts as failed, and the quota goes on.",
    "empty-pattern": "No region can ever match the access pattern, or none will with this workload.",
    "esz0-bypass": "Before Linux 7.1 an effective quota of 0 means no quota, and TEMPORAL sets it to 0 when it means stop.",
    "failed-charges": "Regions are charged whole, also for frames that hold no page that the action can take.",
    "first-move": "CONSIST starts at one byte: how long until its quota holds a region, and until a page can move.",
    "first-window-unlimited": "In this kernel nothing limits what is done until the first charge window ends.",
    "full-target-anywhere": "In this kernel pages whose target node is full go to any node, their own included.",
    "gap-below-step": "One window's moves cross the gap between two goals: the schemes take turns for ever.",
    "goal-node": "The goal's node does not exist.",
    "goal-of-another-cgroup": "The goal is about one memory cgroup, the filters pick pages of another.",
    "goal-on-source": "The metric falls when the scheme acts, and the tuner expects it to rise.",
    "goal-without-effect": "What the scheme moves does not change the goal's metric.",
    "interleave-against-goal": "Weights name a node for every page beside a goal that wants another share.",
    "interval-remainder": "An aggregation is a whole number of samples: aggr_us that is none is shortened.",
    "large-folios": "A folio moves whole, however little of it the quota was charged for.",
    "literal-metric": "A metric that counts frames by their node: migration cannot change it.",
    "lossy-intervals": "Interval tuning converts access counts through basis points, which truncates twice.",
    "memcg-unknown": "The workload has no memory cgroup of the number that is named.",
    "metric-unknown": "Nobody knows the goal's metric.",
    "metric-unsupported": "The operations set does not answer the metric.",
    "min-regions-merge-only": "In this kernel min_nr_regions limits merging, and makes no regions.",
    "missing-address-filter": "The scheme also visits the node that it moves to, and is charged there.",
    "monitoring-cost": "So many regions that looking at them costs a good part of a CPU.",
    "no-cap": "TEMPORAL without a cap: one window moves everything that matches.",
    "no-ranges": "A paddr context without ranges monitors everything from first to last address, holes included.",
    "no-reset-interval": "A quota without charge windows: evaluated once for ever, or at every application.",
    "opposing-schemes": "Two migrations without goals undo each other.",
    "ops-filters-skipped": "An allowing core filter decides alone: the operations filters are not asked.",
    "pattern-matches-nothing": "Nothing in this workload is accessed as the pattern asks.",
    "placement-outside": "Pages are placed at addresses that no node has.",
    "placement-overfull": "More pages start on a node than it has room for.",
    "promotion-without-room": "NUMA balancing promotes to a node that cannot hold what is touched, and nobody makes room.",
    "quota-below-region": "The size quota holds no region: it counts as full at once, and nothing is done.",
    "quota-bound": "Of a size and a time quota the smaller one decides.",
    "quota-never-full": "In this kernel a quota that is not aligned is never charged to its last byte, and so never full.",
    "quota-not-pages": "The last bytes of the quota are less than a page and never used.",
    "quota-outlives-commit": "In this kernel a quota whose limits a commit takes away is not adjusted any more.",
    "reset-interval-off-grid": "A charge window can only end at an application: the control period is rounded up.",
    "sample-reuse": "In this kernel a sample in the folio that was checked last repeats the answer of then.",
    "source-is-target": "The scheme visits nothing but the node that it moves to.",
    "stale-nid": "In this kernel a commit does not carry the nid of a node_eligible_mem_bp goal.",
    "target-above-capacity": "The goal asks for more than the node has room for.",
    "target-above-supply": "The goal asks for more pages than match the access pattern and could be moved.",
    "target-node": "A migration to a node that does not exist, or to none.",
    "targets-no-gap": "Two goals sum to 10000 bp: both are met in one point only, and in nearly every window one scheme moves.",
    "targets-overlap": "Two goals sum to more than 10000 bp: they are never met together.",
    "tick-over-sample": "A tick of the workload is longer than a sampling interval: of its samples one can find an access.",
    "too-few-regions": "More areas of different access rate than regions to tell them apart, or areas too sparse to be found.",
    "two-contexts-same-memory": "Two contexts clear the accessed state that the other one is about to read.",
    "unmonitored-target": "A node that a scheme fills is monitored in part: what lands in the rest is out of sight for good.",
    "unsupported-action": "The operations set does not have the action.",
    "unused-swap": "Swap, and pages that cannot be reclaimed, matter only where something reclaims.",
    "used-free-overlap": "A used and a free target of one node sum to more than 10000 bp: in a band both schemes act.",
    "watermarks-inactive": "The watermarks keep the scheme asleep: migration does not change the machine's free memory.",
    "weights-not-reduced": "Weights with a common factor deal longer runs of pages in turn than they need to.",
    "weights-share-off": "Weights by offset, in step with the hot set, give it other shares than asked for.",
    "weights-zero": "A quota without priority weights: every region scores the same.",
    "windup-under-cap": "CONSIST's state is not limited by the size quota: it grows on and takes windows to come back.",
    "young-filter": "A young filter that undoes what the action is for.",
    "young-first-pass": "Pages that nobody looked at count as young: where these are turned away, a first pass does nothing.",
}  # fmt: skip


def page() -> str:
    """Return the page of the documentation that lists all codes, in Markdown."""
    rows = "\n".join(f"| `{code}` | {text} |" for code, text in MEANS.items())
    return (
        "# What lint says\n\n"
        "`tieringmodel lint SCENARIO` names each finding by a code in brackets; the finding has the numbers and what to write\n"
        "instead. `tieringmodel explain CODE` prints the line below. An *error* is wrong whatever the workload, a *warning*\n"
        "costs something here, an *info* is worth knowing. [Your own rules](howto/extend.md) have codes of their own.\n\n"
        f"| code | what it means |\n|---|---|\n{rows}\n"
    )
