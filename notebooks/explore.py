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

# %% [markdown]
# # Turn the knobs
#
# One DAMON scheme, one goal: move pages until 60 % of the hot 4 GiB are on node 0. What its loop does depends on six
# numbers. The sliders below set them, run the loop (one number per quota window, the kernel's own integer arithmetic)
# and draw it again; that takes a fraction of a second.

# %%
import numpy as np

import tieringmodel as tm
from tieringmodel.plot.explore import Knobs, rendered

panel = tm.plot.explore(quota_mib=16, interval_ms=1000, target_bp=6000, tuner="temporal")
panel

# %% [markdown]
# Where nothing can be clicked (this page printed, or run without a display) the same controls are set from Python. The
# picture and the words follow:

# %%
panel.controls["delay_ms"].value = 10_000
print(panel.words.value)

# %% [markdown]
# ## Six things to try
#
# **1. As it should be.** TEMPORAL with 16 MiB per second is a relay: full quota below the goal, nothing above. A
# window moves 39 bp of the 4 GiB, so it stops less than that behind its goal.

# %%
MIB = 256  # pages
TOTAL = 4096 * MIB


def show(knobs):
    """Run the loop, draw it, and say what became of it; return the run and the verdict."""
    ds = knobs.run()
    found = tm.analysis.verdict(ds)
    tm.plot.course(ds)
    print(f"{found.kind}: {found.cause}")
    return ds, found


ds, found = show(Knobs())
end_bp = int(ds.final_pages) * 10_000 / TOTAL
print(f"rests at {end_bp:.1f} bp")

# %% [markdown]
# **2. A late metric.** If a move shows in the metric only 10 windows later, the relay goes on for that long: its full
# quota ten times more. Nothing takes the surplus back.

# %%
late = Knobs(delay_ms=10_000)
ds, found = show(late)
over = int(ds.final_pages) - 0.6 * TOTAL
print(f"{over / MIB:.0f} MiB beyond the goal; nearest fix: {found.fix}")

# %% [markdown]
# **3. The same with CONSIST.** Its quota starts at one byte, at most doubles per window and soon is the whole cap. Beyond
# the goal it shrinks only in proportion to the surplus. So it ends more than seven times as far beyond.

# %%
ds, found = show(late.replace(tuner="consist"))
beyond = int(ds.final_pages) - 0.6 * TOTAL
print(f"{beyond / MIB:.0f} MiB beyond the goal, {beyond / over:.1f} times as far")

# %% [markdown]
# **4. A leak.** Let 1 % of what is on node 0 cool down every second. At the goal that would be 24.6 MiB per second, more
# than the quota of 16. The loop starves where both are equal: at 1600 MiB.

# %%
leaky = Knobs(leak_percent_per_s=1.0)
ds, found = show(leaky)
rest = int(ds.final_pages) / MIB
print(f"rests at {rest:.1f} MiB")

# %% [markdown]
# **5. More quota feeds it.** With 32 MiB the goal is held, at the price of the churn itself: about 24.6 MiB are moved per
# second, for ever.

# %%
ds, found = show(leaky.replace(quota_mib=32))
late_mib_s = float(ds.moved[-200:].mean()) / MIB
print(f"{late_mib_s:.1f} MiB/s")

# %% [markdown]
# **6. Fed, but late.** A large quota, the leak and a metric that is three seconds late: the share swings. TEMPORAL by
# (delay + 1) quotas at most, CONSIST by whatever its quota has grown to.

# %%
swings = {}
for tuner in ("temporal", "consist"):
    ds, found = show(Knobs(quota_mib=128, leak_percent_per_s=1.0, delay_ms=3000, tuner=tuner))
    swings[tuner] = np.ptp(ds.pages.values[-200:]) / MIB
    print(f"swings by {swings[tuner]:.0f} MiB; (delay + 1) quotas are {4 * 128} MiB")

# %% [markdown]
# `tm.plot.explore(eligible_mib=…, start_bp=…, duration_s=…)` opens the sliders on another memory. Maps over two of these
# numbers at once stand in the notebook on the RFC.
