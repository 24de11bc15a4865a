"""What must hold in notebooks/tuning_a_quota.py once the cell that ends with the line named has run."""

# after: print(f"CONSIST   anywhere {consist.size:5d} settings, {consist.mean():6.1%} settle")
assert not temporal[starved].any()
assert temporal[fits].all()
assert temporal[coarse].mean() < 0.05
assert consist.mean() < 0.05

# after: print(f"TEMPORAL swings by {np.median(in_quotas):.2f} quotas (median), at most {in_quotas.max():.2f}")
assert in_quotas.max() <= 1.01

# after: print(sweep.kind.to_series().groupby(level="tuner").value_counts().to_string())
assert not found[0].any()
assert found[1][small].all()
assert found[1][large].mean() < 0.5  # a large step can end in the gap by luck: 7 of 20 runs
assert not found[1][late].any()
