"""What must hold in notebooks/explore.py once the cell that ends with the line named has run."""

# after: print(panel.words.value)
assert (panel.picture.value, panel.words.value) == rendered(Knobs(delay_ms=10_000))

# after: print(f"rests at {end_bp:.1f} bp")
assert found.kind == "converged"
assert 6000 <= end_bp < 6000 + 16 * 10_000 / 4096

# after: print(f"{over / MIB:.0f} MiB beyond the goal; nearest fix: {found.fix}")
assert found.kind == "wrong-point"
assert 10 * 16 * MIB <= over < 11 * 16 * MIB

# after: print(f"{beyond / MIB:.0f} MiB beyond the goal, {beyond / over:.1f} times as far")
assert found.kind == "wrong-point"
assert beyond > 7 * over

# after: print(f"rests at {rest:.1f} MiB")
assert found.kind == "saturated"
assert abs(0.01 * 0.6 * 4096 - 24.6) < 0.05
assert abs(rest - 1600) < 16  # the last window's moves at most

# after: print(f"{late_mib_s:.1f} MiB/s")
assert found.kind == "ripple"
assert abs(late_mib_s - 24.6) < 0.32  # the relay's mean is one quota off the goal at most: 32 MiB * 1 %

# after:     print(f"swings by {swings[tuner]:.0f} MiB; (delay + 1) quotas are {4 * 128} MiB")
assert swings["temporal"] <= 4 * 128 < swings["consist"]

# after, 4 deep:     print(f"swings by {swings[tuner]:.0f} MiB; (delay + 1) quotas are {4 * 128} MiB")
assert found.kind == "limit-cycle"
