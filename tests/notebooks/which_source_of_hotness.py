"""What must hold in notebooks/which_source_of_hotness.py once the cell that ends with the line named has run."""

# after: bits = recall.loc["accessed bits (DAMON)"]
assert recall[1e-4].idxmax() == "accessed bits (DAMON)"
assert recall[1e-3].idxmax() == recall[1e-2].idxmax() == "device counters (CHMU)"
assert recall.loc["device counters (CHMU)", 1e-3] > 0.95
assert recall.loc["sampled instructions (IBS)", 1e-2] > 0.8
assert recall.loc["hint faults, second access", 1e-3] < 0.05 < 0.9 < recall.loc["hint faults, second access", 1e-2]
assert float(dear.recall.squeeze()) < 0.1
assert 0.4 < bits.min() <= bits.max() < 0.6

# after: chosen = hotness.hot_set(watched.rate_hz, 5000)
assert np.median(watched.rate_hz[run_of_pages]) > 5 * np.median(watched.rate_hz[scattered])
assert chosen[run_of_pages].mean() > 0.9 > 0.2 > chosen[scattered].mean()

# after: print({name: round(score, 2) for name, score in scores.items()})
assert scores["fused"] > max(scores["chmu"], scores["instruction_samples"]) + 0.1
assert scores["chmu"] < hot[node == 1].sum() / hot.sum() + 0.01

# after: time_of = study.relative_time.to_pandas()
assert time_of["first access, accessing node"] < time_of["first access, node 0"] < time_of["none"] == 1
assert ratio["four-byte record"] < ratio["one-byte record"] < ratio["none"] == 1
assert time_of["first access, accessing node"] < ratio["four-byte record"]
assert time_of["second access, coarse time, accessing node"] > time_of["first access, accessing node"]

# after: print(f"goal metrics: {float(walk):.3f} s by walking frames, {float(counters):.6f} s from counters")
assert 1 < total[0] < total[1] < total[2] < 4
assert counters < walk / 100

# after: dram, cxl = cost.default_nodes()
assert abs(late - 1.9) < 0.05
assert cost.mean_relative_time(sim) < late
assert (dram.idle_latency_ns, cxl.idle_latency_ns) == (100, 250)

# after: print("best small weights:", cost.best_weights(nodes))
assert not low.interleave and high.interleave  # noqa: PT018
assert round(high.break_even_gbps) == 61
assert cost.best_weights(nodes) == (3, 1)

# after:           f"per page and round: {word}{'' if answer.certain else ', at this constant'}")  # fmt: skip
assert 2.9 < answer.break_even_mappings < 3.0

# after, 4 deep:           f"per page and round: {word}{'' if answer.certain else ', at this constant'}")  # fmt: skip
assert answer.rmap_wins == (mappings < answer.break_even_mappings)
