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
# # Getting started
#
# A real Linux 7.3.4 kernel was recorded while two DAMON schemes pulled hot pages to node 0 and pushed hot pages to
# node 1, each until "its" share of the hot memory was reached: 60 % here, 40 % there. It never came to rest. This
# notebook lets the model run the same configuration, looks at what it returns, and turns one knob.

# %%
import numpy as np

import tieringmodel as tm

recording = tm.read_recording(tm.data_path("recordings", "C3_pullpush_temporal"))
scenario = recording.to_scenario()
print(scenario.to_toml()[:300], "…")

# %% [markdown]
# A scenario is a frozen description: machine, workload, DAMON contexts. The two schemes and their goals:

# %%
for scheme in scenario.contexts[0].schemes:
    goal = scheme.quota.goals[0]
    print(scheme.action, "->", scheme.target_nid, "until", goal.metric, goal.nid, ">=", goal.target_value, "bp;",
          scheme.quota.sz_bytes >> 20, "MiB per", scheme.quota.reset_interval_ms, "ms,", scheme.quota.goal_tuner)  # fmt: skip

# %% [markdown]
# One call runs it. The same seed gives the same bits, on any machine.

# %%
ds = tm.simulate(scenario, duration="119 s", seed=1)
ds

# %% [markdown]
# Every variable carries its unit and where it comes from, and the attribute `scenario` repeats the run.

# %%
print(ds["esz_bytes"].attrs)
late = ds.time >= 60
share = ds["access_share_bp"].sel(node=0)[late] / 100
print(f"hot share on node 0 from t = 60 s on: {float(share.mean()):.1f} %, sd {float(share.std()):.1f} points")

# %% [markdown]
# ## Beside the real kernel

# %%
comparison = tm.compare({"model": scenario}, duration="119 s", seed=1, recording=recording)
tm.plot.share(comparison)
# %% [markdown]
# ## One knob
#
# Both goals sum to 10000 bp, so one of them is always missed by a little, and whichever is missed moves its whole quota of
# 16 MiB. Leave a gap of 200 bp between the targets and let a window move less than that gap:

# %%
contexts = list(scenario.contexts)
schemes = tuple(
    s.replace(
        quota=s.quota.replace(
            sz_bytes="2 MiB",
            goals=tuple(g.replace(target_value=g.target_value - 100) for g in s.quota.goals),
        )
    )
    for s in contexts[0].schemes
)
calm = scenario.replace(contexts=(contexts[0].replace(schemes=schemes),))
both = tm.compare({"as recorded": scenario, "gap and 2 MiB": calm}, duration="240 s", seed=1)
for i, name in enumerate(both.policy.values):
    row = both.isel(policy=i)
    print(f"{name:14s} {row.kind.item():12s} {float(row.residual_mib_s):5.2f} MiB/s at the end")
tm.plot.share(both)
# %%
