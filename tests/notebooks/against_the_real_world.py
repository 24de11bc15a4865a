"""What must hold in notebooks/against_the_real_world.py once the cell that ends with the line named has run."""

# after: print(f"a perfect model: {100 * expected:.0f} %; this one: {100 * inside / len(pairs):.0f} %")
assert not any(run.error for run in runs)
assert len(runs) == 9
assert len(pairs) == 59
assert expected == {8: 7 / 9, 64: 57 / 65}.get(SEEDS, expected)
assert inside >= 50 if SEEDS == 64 else inside / len(pairs) > expected - 0.1

# after: known |= {("C5", name) for name in ("hot share mean", "hot share sd", "migrated")}
assert len(known) == 9

# after: print(f"C10 passes 20 % {late_s:.1f} s after the median seed; below the band until {trace.time_s[behind].max():.1f} s")
assert round(by_measure["C10", "first move"].recorded) == 22
assert trace.share[trace.time_s > 112].max() == 0
assert model[:, trace.time_s > 112].max() < 0.0014  # one of the 768 pages that the recorder asked for
assert round(late_s, 1) == 3.5
assert trace.time_s[behind].max() < 55

# after: verdicts = {name: row.verdict for name, row in rows.items()}
assert all(row.ok for row in rows.values())
assert all(row.inside for row in rows.values() if row.must)
assert [name for name, verdict in verdicts.items() if verdict == "explained"] == ["V5", "V10"]
assert not any(row.left for row in rows.values())  # what is inside under 7.3.4 is inside under a row's own kernel

# after: print(f"means within {worst:.2f} points; published over predicted sd {ratio.round(2).values}")
assert v1.attrs["delay"] == 0
assert worst < 0.55

# after: pool.shutdown()
assert v4.sizes["point"] == 7
assert float(abs(v4.predicted - v4.published).max()) < v4.attrs["tolerance"] == 0.012

# after: goes_on, late = (p for p in v10.experiments if "free share" in p.what)
assert first.inside
assert round(first.predicted, 1) == 15.0
assert free.published == 90
assert not free.inside
assert round(free.predicted, 1) == 50.0
assert round(goes_on.predicted, 1) == 73.6
assert late.inside
assert round(late.predicted, 1) == 84.6

# after:         print(textwrap.fill(f"{name:4s}{s}", 112, subsequent_indent="    "))
assert not rows["V2"].sensitive
assert not rows["V9"].sensitive

# after: known |= {("C5", name) for name in ("hot share mean", "hot share sd", "migrated")}
if SEEDS == 64:
    assert outside == known
    bands = {(p.run.split("_")[0], p.measure): (p.low, p.high) for p in pairs}
    np.testing.assert_allclose(bands["B2", "hot found"], (28.1, 32.1), atol=0.05)
    np.testing.assert_allclose(bands["C10", "hot share min"], (0, 0.000651), atol=5e-6)

# after, 4 deep:     print(f"CRPS over that of '{baseline}': {mean:.3f} in the mean of measures, worst {max(ratios.values()):.2f}")
assert mean < most

# after, 4 deep:     print(f"{run:4s} {name:15s} recorded {p.recorded:6.3f}, model {p.low:6.3f} … {p.high:6.3f} [{p.unit}]")
assert p.inside or (run, name) in (("C3", "hot share mean"), ("C3", "migrated"))

# after: print(f"means within {worst:.2f} points; published over predicted sd {ratio.round(2).values}")
np.testing.assert_allclose(np.sort(ratio), [0.77, 0.82, 0.90, 1.64], atol=0.006)
