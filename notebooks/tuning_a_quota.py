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
# # Tuning a quota
#
# A migrating scheme has two numbers that everybody guesses: its size quota and the interval at which that quota is reset.
# They decide how fast a share arrives and how much it swings afterwards. Two sweeps show where good values lie: 10 000
# runs of the loop that keeps one number per window, and 200 runs page by page.

# %%
import matplotlib.pyplot as plt
import numpy as np

import tieringmodel as tm
from tieringmodel.plot.maps import edges_of

MIB, PAGE = 1 << 20, 4096

# %% [markdown]
# ## Ten thousand loops
#
# 4 GiB of eligible memory, of which 40 % shall be on node 0, and hot pages that leave it at 8 MiB/s because the workload
# changes. A longer reset interval means fewer windows in the same ten minutes and more churn in each of them: two
# arguments that change together along one axis. Every run starts empty.

# %%
n_pages, target_bp, churn, minutes = 4 * 1024 * MIB // PAGE, 4000, 8 * MIB, 10
quotas = np.geomspace(1 * MIB, 2048 * MIB, 50).astype(np.int64) // PAGE * PAGE
intervals = np.geomspace(0.05, 5.0, 100)
leaks, windows = np.rint(intervals * churn / PAGE).astype(int), np.rint(60 * minutes / intervals).astype(int)
loops = tm.loop.sweep(
    {
        "tuner": ["consist", "temporal"],
        ("leak_pages", "windows"): list(zip(leaks.tolist(), windows.tolist(), strict=True)),
        "cap_bytes": quotas,
    },
    target_bp=target_bp, n_pages=n_pages, start_pages=0,
)  # fmt: skip
loops = loops.rename(zip="interval_s").assign_coords(interval_s=intervals)
print(loops.final_pages.size, "runs of", int(loops.windows.sum()) * 100, "windows in all")

# %% [markdown]
# Settling is the time from which the share stays within 2 % of the goal, for at least a third of the run: a share that
# swings is inside now and then. Ripple is half the swing in the last fifth.

# %%
settling_s = loops.settling_window * loops.interval_s
settled = (loops.settling_window >= 0) & (settling_s <= 2 / 3 * 60 * minutes)
settling_s = settling_s.where(settled)
ripple_bp = (loops.tail_high_pages - loops.tail_low_pages) / 2 / n_pages * 1e4


def maps(values, label, x, y, x_label, y_label, lines=()):
    """Draw one map per tuner on a logarithmic colour scale; grey cells have no value."""
    from matplotlib.colors import LogNorm

    figure, axes = plt.subplots(1, 2, figsize=(8.6, 3.4), sharey=True, layout="constrained")
    low, high = max(float(values.min()), 0.1), float(values.max())
    for ax, tuner in zip(axes, values.tuner.values, strict=True):
        shown = values.sel(tuner=tuner).transpose(..., x.dims[0]).values
        edges = edges_of(x.values, log=True), edges_of(y.values, log=True)
        mesh = ax.pcolormesh(*edges, np.maximum(shown, low), norm=LogNorm(low, high), cmap="cividis")
        for text, xs, ys, style in lines:
            ax.plot(xs, ys, color="black", linestyle=style, linewidth=1.4, label=text)
        ax.set(facecolor="#d9d9d9", xscale="log", yscale="log", xlabel=x_label, title=tuner)
        ax.set(xlim=edges[0][[0, -1]], ylim=edges[1][[0, -1]])
        for axis in (ax.xaxis, ax.yaxis):
            axis.set_major_formatter("{x:g}")
            axis.set_minor_formatter("")
    axes[0].set_ylabel(y_label)
    figure.colorbar(mesh, ax=list(axes), label=label)
    if lines:
        figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=len(lines), frameon=False)
    return figure


# %% [markdown]
# Two lines cut the map. Left of the solid one a quota is smaller than the churn of a window and the share starves. Right of
# the dashed one a single quota is larger than what 2 % of the goal allow above it.

# %%
above = 0.02 * target_bp / 1e4 * n_pages * PAGE
x, y = loops.cap_bytes.astype(float) / MIB, loops.interval_s
lines = (
    ("quota = churn per window", churn * intervals / MIB, intervals, "-"),
    ("quota = 2 % of the goal", np.full(2, above / MIB), np.array([0.01, 10.0]), "--"),
)
words = ("size quota per window [MiB]", "reset interval [s]")
maps(settling_s, "settling [s]", x, y, *words, lines)
maps(ripple_bp, "ripple [bp]", x, y, *words, lines)
# %% [markdown]
# TEMPORAL is a relay: it fills at the full quota, steps over the goal by up to one quota, and waits until churn has taken
# that away. The best quota is the largest one left of the dashed line, at the shortest interval. CONSIST winds its quota up
# while it fills and takes as long to wind it down; with nothing that damps it, it swings for ever at nearly every setting.

# %%
cap, leak = (x * MIB).values[None, :], (leaks * PAGE)[:, None]
filled_s = 0.4 * n_pages * PAGE / np.maximum(cap - leak, 1) * intervals[:, None]
starved, coarse = cap < leak, cap - leak > 2 * above
fits = (cap <= above) & (leak <= above) & (filled_s <= 60 * minutes / 2)
temporal = settled.sel(tuner="temporal").transpose("interval_s", "cap_bytes").values
consist = settled.sel(tuner="consist").values
for name, where in (("starved", starved), ("fits", fits), ("coarse", coarse)):
    print(f"TEMPORAL, {name:8s} {where.sum():5d} settings, {temporal[where].mean():6.1%} settle")
print(f"CONSIST   anywhere {consist.size:5d} settings, {consist.mean():6.1%} settle")

# %%
swing = ripple_bp.sel(tuner="temporal").transpose("interval_s", "cap_bytes").values
held = fits & (cap > 1.5 * leak)
in_quotas = 2 * swing[held] / 1e4 * n_pages * PAGE / np.broadcast_to(cap, held.shape)[held]
print(f"TEMPORAL swings by {np.median(in_quotas):.2f} quotas (median), at most {in_quotas.max():.2f}")

# %% [markdown]
# ## Two hundred runs, page by page
#
# Now the full model: regions, sampled accesses, frames. 64 MiB of memory, 8 MiB of it hot, and two schemes: one pulls hot
# pages to node 0 until 60 % of them are there, the other pushes to node 1 until 38.8 % are. Between the goals is a gap of
# 1.2 % of the hot pages, 98 KiB, so that a share that rests there is within 2 % of the first goal. Both schemes share
# quota, interval and tuner, so their paths change together; two seeds per setting see the same accesses at every setting.

# %%
hot = tm.AccessPattern(min_nr_accesses=5)


def scheme(nid, target_bp):
    """Hot pages to a node until its share is there."""
    goal = tm.Goal("node_eligible_mem_bp", target_bp, nid=nid)
    return tm.Scheme("migrate_hot", access_pattern=hot, target_nid=nid, quota=tm.Quota(sz_bytes=MIB, goals=(goal,)))


scenario = tm.Scenario(
    tm.Machine.dram_cxl("32 MiB", "32 MiB"),
    tm.Workload(4096, groups=(tm.Group(0, 2048, rate_hz=400.0),), placement=(tm.Placement(0, 4096, 1),)),
    (tm.Context(attrs=tm.Attrs(max_nr_regions=100), schemes=(scheme(0, 6000), scheme(1, 3880))),),
)


def both(field, values):
    """One axis that sets a field of both schemes' quotas."""
    return {tuple(f"contexts.0.schemes.{k}.quota.{field}" for k in (0, 1)): [(v, v) for v in values]}


sizes = [2**k << 10 for k in range(4, 14)]
design = both("goal_tuner", ["consist", "temporal"]) | both("reset_interval_ms", [100, 200, 400, 800, 1600])
sweep = tm.sweep(scenario, {**design, **both("sz_bytes", sizes), "seed": range(2)}, duration="60 s", executor="processes")
print({str(k): n for k, n in sweep.sizes.items()}, "=", sweep.done.size, "runs;", int((sweep.error != "").sum()), "failed")

# %%
short = dict(zip(sweep.done.dims, ("tuner", "interval_s", "sz_mib", "seed"), strict=True))
sweep = sweep.rename(short).assign_coords(
    tuner=["consist", "temporal"], interval_s=np.array([100, 200, 400, 800, 1600]) / 1e3, sz_mib=np.array(sizes) / MIB
)
mean = sweep[["settling_s", "share_sd_bp"]].mean("seed")
gap_mib = 0.012 * 2048 * PAGE / MIB
lines = (("quota = gap between the goals", np.full(2, gap_mib), np.array([0.01, 10.0]), "--"),)
settling = mean.settling_s.where(sweep.settled.all("seed"))
maps(settling, "settling [s]", mean.sz_mib, mean.interval_s, *words, lines)
maps(mean.share_sd_bp, "sd of the share [bp]", mean.sz_mib, mean.interval_s, *words, lines)
# %% [markdown]
# Grey cells do not settle with both seeds: the share stays off, or pages keep moving. For CONSIST that is every cell. For
# TEMPORAL it is two corners: small quotas that are reset so rarely that they are still on their way after a minute, and
# large ones, whose single step leaps over the gap and is answered by the other scheme. Any quota larger than the gap may rest
# by luck: a step can end inside it, here of the largest ones in a third of the runs.

# %%
cap, interval = mean.sz_mib.values[None, :], mean.interval_s.values[:, None]
way_s = 0.6 * 2048 * PAGE / MIB / cap * interval
small, large, late = (cap <= gap_mib) & (way_s <= 20), (cap >= 4) & (way_s > 0), way_s > 60
found = sweep.settled.transpose("tuner", "interval_s", "sz_mib", "seed").values
for name, where in (("small", small), ("large", large), ("late", late)):
    shares = ", ".join(f"{t} {found[k][where].mean():.0%}" for k, t in enumerate(mean.tuner.values))
    print(f"{name}: {where.sum()} settings, settled: {shares}")
print(sweep.kind.to_series().groupby(level="tuner").value_counts().to_string())
