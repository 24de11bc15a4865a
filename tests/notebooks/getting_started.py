"""What must hold in notebooks/getting_started.py once the cell that ends with the line named has run."""

# after: print(f"hot share on node 0 from t = 60 s on: {float(share.mean()):.1f} %, sd {float(share.std()):.1f} points")
assert tm.Scenario.from_json(ds.attrs["scenario"]) == scenario

# after: tm.plot.share(both)
assert bool(both.settled.sel(policy="gap and 2 MiB"))
assert float(both.residual_mib_s.sel(policy="gap and 2 MiB")) < 0.01
assert np.isfinite(both.settling_s.sel(policy="gap and 2 MiB"))
