# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# ci: full

# %% [markdown]
# # Against the real world
#
# A model that repeats the kernel's own functions bit for bit can still be wrong about a machine. Two kinds of evidence
# come from outside: runs of a real Linux 7.3.4 kernel that were recorded from within, and eleven measurements that others
# published of their machines. No constant of the model was fitted to either, save one slope that is named below.
#
# `SEEDS = 64` gives the table that `tieringmodel validate` prints; 8 are enough to see it and take a minute.

# %%
import textwrap
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import matplotlib.pyplot as plt
import numpy as np

import tieringmodel as tm
from tieringmodel.validate.published import hardware
from tieringmodel.validate.published.hardware_figures import v1_dataset, v4_dataset
from tieringmodel.validate.recorded.bands import skill
from tieringmodel.validate.recorded.recorded_measures import recorded_trace
from tieringmodel.validate.recorded.recorded_model import model_trace, setup
from tieringmodel.validate.recorded.recordings import compare_runs

SEEDS = 8

# %% [markdown]
# The published measurements take a while and need nothing of what follows: another process computes them meanwhile.

# %%
pool = ProcessPoolExecutor(1, mp_context=get_context("spawn"))
answers = {name: pool.submit(row, tm.cost.DEFAULT) for name, row in hardware.ROWS.items()}
figures = [pool.submit(dataset) for dataset in (v1_dataset, v4_dataset)]

# %% [markdown]
# ## A recorded kernel
#
# Nine runs, the first set: two of monitoring alone, seven with schemes that migrate. The model gets what was known beforehand
# (machine, configuration, access rates, where pages lay) and how the busy host distorted time: when aggregations really ended,
# which ticks the workload missed, how many free pages waited on per-CPU lists. It is asked at the recorder's times. What it
# cannot know are the random numbers of that kernel, so it answers with a band: the 5 and 95 % quantile over seeds. A recorded
# value is *inside* if it lies in the band **and** the band says something, being no wider than three bootstrap intervals of
# the recorded value itself, or 15 % of it. `data/README.md` has the rule in full.

# %%
FIRST = (
    "B2_paddr", "B4_intervals_autotune", "C10_tier_consist_farstart", "C1_tier_temporal", "C2_tier_consist",
    "C3_pullpush_temporal", "C5_tier_temporal_shift", "C8_pullpush_temporal_q2M", "D1_dests_3_2_noquota",
)  # fmt: skip
runs = [run for name in FIRST for run in compare_runs(tm.data_path("recordings", name), seeds=SEEDS, workers=1, causes=False)]
pairs = [p for run in runs for p in run.pairs]
inside = sum(p.inside for p in pairs)
for run in runs:
    print(f"{run.name:28s} {sum(p.inside for p in run.pairs)} of {len(run.pairs)} measures inside")
print(f"{'all':28s} {inside} of {len(pairs)}: {100 * inside / len(pairs):.0f} %")

# %%
tm.plot.recorded_bands(pairs)
# %% [markdown]
# How many should be inside? Between the lowest and the highest of eight draws lies a ninth draw from the same source 7
# times in 9; between the fourth lowest and fourth highest of 64 lies a 65th 57 times in 65, 88 %. A model without error
# would do no better than that, save where a measure does not depend on chance at all. With 64 seeds 50 of 59 are inside.

# %%
lowest, highest = int(0.05 * (SEEDS - 1)), int(np.ceil(0.95 * (SEEDS - 1)))
expected = (highest - lowest) / (SEEDS + 1)
print(f"a perfect model: {100 * expected:.0f} %; this one: {100 * inside / len(pairs):.0f} %")

# %% [markdown]
# Those outside, by how they fail. With 64 seeds they are nine, and `validate` tells by experiment what would mend each:
#
# | run, measure (64 seeds) | how it fails | what the experiments say |
# |---|---|---|
# | B2 hot found | 33.2 MiB, band 28.1 … 32.1 | the start differs: over the second half alone it is inside |
# | C3 hot share mean, max, cycle amplitude | just above the band: 3 of 64 seeds each | two: free frames in other orders |
# | C5 hot share mean, sd, migrated | just beyond the band: 1, 2, 3 of 64 seeds | two are inside with nominal intervals |
# | C10 hot share min | 0 in the recording, 0 … 0.0007 in the band: no width counts there | vanishes with no missed ticks |
# | D1 migrated, 60 s to the end | 0 in the recording, 0 … 0.0011 in the band: the same | vanishes with DAMON's draws fixed |

# %%
for p in pairs:
    if not p.inside:
        how = "band too wide" if not p.sharp else "above" if p.recorded > p.high else "below"
        print(f"{p.run:26s} {p.measure:20s} {how:13s} recorded {p.recorded:.4g}, band {p.low:.4g} … {p.high:.4g}")
outside = {(p.run.split("_")[0], p.measure) for p in pairs if not p.inside}
known = {("B2", "hot found"), ("C10", "hot share min"), ("D1", "migrated, 60 s to the end")}
known |= {("C3", name) for name in ("hot share mean", "hot share max", "cycle amplitude")}
known |= {("C5", name) for name in ("hot share mean", "hot share sd", "migrated")}

# %% [markdown]
# Does it say more than a forecast without a model? The CRPS is the mean distance of a forecast's distribution from what
# happened, in the measure's own unit. Beside "nothing moves" it is a few per cent; beside this model with the intervals
# that the kernel was *told*, instead of those that it kept, 0.65 with 64 seeds; above 1 that would forecast better.

# %%
for baseline, most in (("still", 0.05), ("nominal", 1.0)):
    ratios = skill(pairs, baseline)
    mean = np.mean(list(ratios.values()))
    print(f"CRPS over that of '{baseline}': {mean:.3f} in the mean of measures, worst {max(ratios.values()):.2f}")

# %% [markdown]
# ### Two of them over time
#
# `C3`: two schemes with goals that sum to 100 %. The kernel never rests, and neither does the model: it swings about the
# same share, by the same amount, as fast, and migrates a little less. `C10`: CONSIST, far from its goals. It takes 22 s
# until a page moves. At 110 s another segment becomes hot; the goals, which count used and free memory, do not see that,
# and nothing comes to node 0 any more. On the way up the kernel falls behind the band: it passes 20 % 3.5 s after the
# median seed, and is inside again from 55 s on. No measure of the table looks there; a figure does.


# %%
def courses(name):
    """Return the recorded trace, and the hot share on node 0 by seed at the recorder's times."""
    recording = tm.read_recording(tm.data_path("recordings", name))
    ready = setup(recording)
    return recorded_trace(recording), np.array([model_trace(ready, seed).share for seed in range(1, SEEDS + 1)])


figure, axes = plt.subplots(2, 1, figsize=(8.6, 6.4), layout="constrained")
traces = {}
for ax, name in zip(axes, ("C3_pullpush_temporal", "C10_tier_consist_farstart"), strict=True):
    trace, model = traces[name] = courses(name)
    low, high = 100 * np.quantile(model, (0.05, 0.95), axis=0)
    ax.fill_between(trace.time_s, low, high, color="#0072B2", alpha=0.25, linewidth=0, label="model, 5–95 % of seeds")
    ax.plot(trace.time_s, 100 * model[0], color="#0072B2", linewidth=1.0, label="model, seed 1")
    ax.plot(trace.time_s, 100 * trace.share, color="black", linewidth=1.6, label="recorded kernel")
    ax.set_title(name, loc="left", fontweight="bold")
    ax.set(ylabel="Hot pages on node 0 [%]", xlim=(0, trace.time_s[-1]))
    ax.spines[["top", "right"]].set_visible(False)
axes[0].legend(loc="lower right", frameon=False, ncols=3)
axes[1].set_xlabel("Time [s]")
# %%
by_measure = {(p.run.split("_")[0], p.measure): p for p in pairs}
of_c3 = [("C3", name) for name in ("hot share mean", "hot share sd", "cycle period", "migrated")]
for run, name in (*of_c3, ("C10", "first move"), ("C10", "hot share max")):
    p = by_measure[run, name]
    print(f"{run:4s} {name:15s} recorded {p.recorded:6.3f}, model {p.low:6.3f} … {p.high:6.3f} [{p.unit}]")
trace, model = traces["C10_tier_consist_farstart"]
late_s = trace.time_s[np.argmax(trace.share > 0.2)] - np.median(trace.time_s[np.argmax(model > 0.2, axis=1)])
behind = (trace.share < np.quantile(model, 0.05, axis=0)) & (trace.time_s < 60)
print(f"C10 passes 20 % {late_s:.1f} s after the median seed; below the band until {trace.time_s[behind].max():.1f} s")

# %% [markdown]
# ## Machines of others
#
# Eleven published measurements, V1 to V11. The prediction is a page-level run, the reduced loop, or arithmetic on cost
# constants with a source. Figures, sources and tolerances stand in `data/anchors`, and for each row the kernel nearest to the
# one that was measured, by whose rules it runs. Six rows must be inside. The others are inside too, or an experiment shows
# what the difference needs.

# %%
rows = {name: answer.result() for name, answer in answers.items()}
print(f"{'':4s} {'what':52s} {'published':>10s} {'predicted':>10s}  tolerated")
for name, row in rows.items():
    print(f"\n{name:4s} {row.title} — {row.verdict}{' (must be inside)' if row.must else ''}; {row.level}")
    print(textwrap.fill(row.under, 112, initial_indent="     ", subsequent_indent="     "))
    for p in row.compared:
        given = "–" if p.published is None else f"{p.published:.4g}"
        mark = "" if p.inside else "  OUTSIDE"
        print(f"     {p.what:52s} {given:>10s} {p.predicted:10.4g}  {p.low:.4g} … {p.high:.4g}{mark}")
verdicts = {name: row.verdict for name, row in rows.items()}

# %% [markdown]
# ### What drives each difference

# %%
for name, row in rows.items():
    print(textwrap.fill(f"{name:4s}{row.drives}", 112, subsequent_indent="    "))

# %% [markdown]
# ### V1: one delay for four targets
#
# Two TEMPORAL schemes hold a share of 32 GB that is hot all over. The relay's rungs are one quota apart, so the model stands
# on one or the other. The page-level run says that what the goals measure is not late (a delay of 0 windows), and that
# number alone predicts four published means within 0.55 points.

# %%
v1 = figures[0].result()
tm.plot.hardware_v1(v1)
worst = float(abs(v1.model_mean - v1.published_mean).max())
ratio = v1.published_sd / v1.model_sd
print(f"means within {worst:.2f} points; published over predicted sd {ratio.round(2).values}")

# %% [markdown]
# The standard deviations are not as good. Three of the four are smaller than those of a relay that spends half of its time
# on each rung (0.77 to 0.90 of them: one rung is held longer), and that of the target of 30 % is 1.64 times as large. A
# relay that is always a window late would have twice the spread, so some windows of that run were late; which, the
# publication does not say.

# %% [markdown]
# ### V4: run time is proportional to what lies on CXL
#
# Redis under zipfian reads. The all-CXL point calibrates the slope and is therefore no test. That the seven others lie on
# a line is one: it says that where DAMON placed hot pages made no difference beyond their number.

# %%
v4 = figures[1].result()
tm.plot.hardware_v4(v4)
pool.shutdown()

# %% [markdown]
# ### Outside, and explained by an experiment
#
# Two rows hold a point outside its range. An explanation here is an experiment that could fail: something is changed, and
# the outcome has to fall into a range of its own. It says what would have to be true of the machine, not that it was.

# %%
for name in ("V5", "V10"):
    row = rows[name]
    print(f"{name}  {row.title}")
    for p in (*(p for p in row.compared if not p.inside), *row.experiments):
        kind = "outside   " if p in row.compared else "experiment"
        given = "" if p.published is None else f", published {p.published:.4g}"
        print(f"    {kind} {p.what}: {p.predicted:.4g} {p.unit if p.unit != '1' else ''}{given} [{p.low:.4g} … {p.high:.4g}]")

# %% [markdown]
# V10 shows the kind. CONSIST demotes from a node until half of it is free; published, that began after 15 minutes and ended
# at 90 %. Under 6.16, the kernel that was measured, the model begins after 15.0 minutes and ends at 50.0 %: no window goes on
# where the last one stopped, so that each takes again what is empty already. With the one rule that changes this (row 4, from
# 7.2 on) the end is 73.6 %, where the mirror rule of an integrator predicts it. If besides the free share that the goal reads
# is one window late, one more growing quota gets through, and the loop ends at 84.6 %, within tolerance. Why it would be late
# is not known.

# %%
v10 = rows["V10"]
first, free = v10.compared
goes_on, late = (p for p in v10.experiments if "free share" in p.what)

# %% [markdown]
# ### What the assumed costs decide
#
# Constants without a measurement (`tm.cost.DEFAULT.assumed()`) go through their ranges. Rows that do not appear depend on
# none.

# %%
for name, row in rows.items():
    for s in row.sensitive:
        print(textwrap.fill(f"{name:4s}{s}", 112, subsequent_indent="    "))

# %% [markdown]
# ## What this does not show
#
# The recorded kernel ran on one emulated machine with 4 KiB folios, two CPUs and equally fast nodes. No published run says
# everything that a scenario needs; what was assumed in its place stands in the remarks of each row (`print(row.report())`).
# Latency under load while a workload runs, reclaim, and contention for locks are not modelled and not tested here.
