"""What must hold in notebooks/write_your_own_metric.py once the cell that ends with the line named has run."""

# after: print(f"{start.size} regions of {ops} at {now_us / 1000:.0f} ms, counts 0 … {nr.max()} of 20 samples")
assert int((end - start).sum()) == 192 * MIB
assert nr.max() <= 20

# after: print(heat.to_toml()[heat.to_toml().index("goals = [") :][:80])
assert not [f for f in tm.lint(heat) if f.level == "error"]

# after: print(len(pairs), "evaluations counted again; the last five:", pairs[-5:])
assert len(pairs) >= 15
assert all(metric == own for metric, own in pairs)

# after: print(f"expected heat {expected_bp:.0f} bp, read {reads.mean():.0f} bp on average")
assert round(100 * seen_hot) == 86
assert round(100 * seen_warm) == 18
assert warm == 0
assert abs(reads.mean() - expected_bp) < reads.std()
assert abs(float(heat_run.access_share_bp.sel(node=0)[-1]) - 10_000 * hot * 400 / 440) < 1
assert 19 < 24 * hot < 21
assert on_dram_mib(runs["node_eligible_mem_bp"])[-1, 1] > 5

# after: print(findings)
assert [f.code for f in findings if f.level == "error"] == ["metric-unsupported"]

# after: print(f"goal reads {int(lost.goal_current.max())} bp; quota {granted.min()} … {granted.max()} bytes in every window")
assert int(lost.goal_current.max()) == 0
assert (granted == MIB).all()
assert (runs["node_heat_bp"].esz_bytes.values[-100:] == 0).all()

# after: print(f"in the second minute {applied_mib:.0f} MiB were tried, {moved_mib:.2f} MiB moved")
assert on_dram_mib(lost)[-1, 0] > 23.9
assert applied_mib > 100 * max(moved_mib, 0.1)

# after, 4 deep:           f"{reads.std():.0f} bp; node 0 serves {serves:.0f} bp of the accesses")  # fmt: skip
assert run.migrated_pages.values[late].sum() == 0
assert reads.min() >= 6000

# after: print(tm.verdict(tuned_run).kind, int(tuned_run.migrated_pages.sum()), "pages moved")
assert tuned_run.esz_bytes.values.max() == MIB
assert int(tuned_run.migrated_pages.sum()) > 0

# after: print([name for name in tm.policies(scenario("node_eligible_mem_bp")) if "quota" in name])
assert "twice the quota" in tm.policies(scenario("node_eligible_mem_bp"))

# after: print([finding.code for finding in tm.lint(scenario("node_heat_bp").replace(name=""))])
assert "no-name" in [finding.code for finding in tm.lint(scenario("node_heat_bp").replace(name=""))]

# after: print(compared["recall"].squeeze().to_series().round(2).to_dict())
assert compared["recall"].squeeze().to_series()["oracle"] == 1
