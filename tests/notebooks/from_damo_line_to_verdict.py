"""What must hold in notebooks/from_damo_line_to_verdict.py once the cell that ends with the line named has run."""

# after: goals = [s.quota.goals[0] for s in scenario.contexts[0].schemes]
assert [(g.nid, g.target_value) for g in goals] == [(0, 6000), (1, 4000)]
assert any("drops the nid" in note for note in loaded.notes)

# after:     print(f"{f.level}: {f.path}\n    {f.message}\n    -> {f.remedy}")
assert [f.code for f in findings] == ["targets-no-gap"]
assert "target_value = 3800" in findings[0].remedy

# after: tm.plot.course(ds)
assert verdict.kind == "ripple"

# after: before, after = cmp.migrated_mib_s.sel(time=cmp.time > 60).mean("time").values
assert round(before, 1) == 1.6
assert after == 0
assert list(cmp.settled.values) == [False, True]

# after:     print(f"{target} bp: {', '.join(found)}; at most {float(residual.isel(at).max()):.2f} MiB/s at the end")
assert set(kinds.values[1].tolist()) == {"converged"}
assert "converged" not in kinds.values[0].tolist()

# after: tm.testing.assert_expect(tm.simulate(fixed, duration="120 s", seed=2), "kind == converged, residual_mib_s < 0.01")
assert "3800" in script
assert "<script" not in page.read_text(encoding="utf-8")

# after:     raise AssertionError("damo's line cannot say this")
assert back.contexts == fixed.contexts
