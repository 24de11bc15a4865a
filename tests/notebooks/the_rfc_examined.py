"""What must hold in notebooks/the_rfc_examined.py once the cell that ends with the line named has run."""

# after: print("goal values seen:", last, "bp; scores:", ds.score.values[-1], "; pages moved:", int(ds.migrated_pages.sum()))
assert (ds.goal_current.values[ds.resets.values[:, 0] > 0] == last).all()

# after: tm.plot.rfc_claims(found)
assert all(evidence.agrees for claim in found for evidence in claim.evidence)

# after: tm.plot.summary(comparison)
assert bool(comparison.settled.sel(policy="goal: gap and small quota"))
assert not bool(comparison.settled.sel(policy="weights: iid redraw"))

# after:     )
assert float(under_load.throughput_per_s.sel(policy="best placement")) >= float(
    under_load.throughput_per_s.sel(policy="all-slow")
)

# after, 4 deep:     count = int(placed.occupancy[-1, 0])
assert count == forms.vma_offset_pages(given, pages, 0, stride)[0]
assert int(placed.moved[2:].sum()) == 0

# after, 4 deep:         print(f"8 x {outstanding:2d} in flight, {name:18s} {x:6.1%} of accesses on node 0: {got:6.1%} of the best throughput")
assert all(tm.cost.closed_loop([x, 1 - x], nodes, demand).throughput_per_s <= top * (1 + 1e-12) for x in aims.values())
