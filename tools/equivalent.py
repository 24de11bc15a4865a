"""Mutants that no test can notice, as (file, function, change as `tools/mutate.py` prints it) with the reason."""

from __future__ import annotations

_OVERWRITTEN = "read only while something is in flight, and set when that begins"
_BEYOND = "a bound that no count of regions reaches"
_CEILING = "at 20000 the other branch subtracts all of the input and ends at the same floor of 10000"
_MEETS = "where both sides are equal, both branches give the same number"
_ZEROS = "the caller hands over zeros"
_AGAIN = "a region's page is looked up once more from the same draw, with the same result"
_ROOM = "only how much room is made before it is needed; `reserve` makes more"

EQUIVALENT: dict[tuple[str, str, str], str] = {
    ("damon/lag_cache.py", "LagCache.__init__", "0 -> 1 (the 2. of these)"): _OVERWRITTEN,
    ("damon/lag_cache.py", "LagCache.__init__", "0 -> 1 (the 3. of these)"): _OVERWRITTEN,
    ("damon/lag_cache.py", "LagCache.__init__", "self.base = [0] * n_nodes -> pass"): _OVERWRITTEN,
    ("damon/lag_cache.py", "LagCache.__init__", "self.peak = [0] * n_nodes -> pass"): _OVERWRITTEN,
    ("damon/lag_cache.py", "LagCache._node", "predicted > seen -> predicted >= seen"): _MEETS,
    ("damon/lag_cache.py", "LagCache.next_window", "False -> True"): "empty slots without cool-down end the cache two lines on",
    ("damon/lag_cache.py", "LagCache.next_window", "self.delta[following] = [0] * self.n -> pass"):
        "the cool-down is over only when every slot is empty: the rule of the RFC, kept as it is written",
    ("damon/quota_math.py", "feed_loop_next_input", "score >= 20000 -> score > 20000"): _CEILING,
    ("kernels/integer.py", "feed_loop_next_input", "score >= U20000 -> score > U20000"): _CEILING,
    ("damon/quota_math.py", "feed_loop_next_input",
     "last_input < ULONG_MAX - compensation -> last_input <= ULONG_MAX - compensation"): _MEETS,
    ("kernels/integer.py", "feed_loop_next_input", "score > U10000 -> score >= U10000"): "10000 has returned before",
    ("damon/quota_math.py", "feed_loop_next_input", "score > 10000 -> score >= 10000"): "10000 has returned before",
    ("kernels/regions.py", "_distance", "a > b -> a >= b"): _MEETS,
    ("kernels/regions.py", "split_some", "sub < size -> sub <= size"): "a part is at most nine tenths of its region",
    ("damon/regions.py", "RegionSet.merge", "2 -> 3"): _BEYOND,
    ("damon/regions.py", "RegionSet.merge", "62 -> 63"): _BEYOND,
    ("damon/regions.py", "RegionSet._hold", "max(64, 4 * n) -> min(64, 4 * n)"): _ROOM,
    ("damon/regions.py", "RegionSet._hold", "64 -> 65"): _ROOM,
    ("damon/regions.py", "RegionSet._hold", "4 -> 5"): _ROOM,
    ("kernels/goals.py", "first_frame_bytes", "counts[:] = 0 -> pass"): _ZEROS,
    ("kernels/goals.py", "matching_frame_bytes", "counts[:] = 0 -> pass"): _ZEROS,
    ("kernels/goals.py", "first_frame_bytes", "size * space.unit -> size // space.unit"): "only shares of it are used",
    ("kernels/scoring.py", "online_bytes", "counts[:] = 0 -> pass"): _ZEROS,
    ("kernels/scoring.py", "resident_bytes", "counts[:] = 0 -> pass"): _ZEROS,
    ("kernels/scoring.py", "eligible_bytes", "counts[:] = 0 -> pass"): _ZEROS,
    ("kernels/integer.py", "feed_loop_next_input", "last_input > compensation -> last_input >= compensation"): _MEETS,
    ("kernels/visit.py", "account", "cur.applied > size -> cur.applied >= size"): _MEETS,
    ("kernels/apply.py", "apply_pass", "1 -> 2 (the 3. of these)"): _ROOM,
    ("damon/table.py", "build", "1 -> 2"): _ROOM,
    ("damon/kdamond.py", "Kdamond.min_score", "4 -> 5"): _ROOM,
    ("damon/regions.py", "set_regions", "low < r[1] -> low <= r[1]"): "a second test of the same, below, decides",
    ("memory/page_lists.py", "batch_pages", "256 -> 257"): "both are 64 pages",
    ("kernels/sampling.py", "draw_places", "0 -> 1 (the 2. of these)"): _AGAIN,
    ("kernels/sampling.py", "draw_places", "1 -> 2 (the 3. of these)"): _AGAIN,
    ("damon/quota_math.py", "feed_loop_next_input", "20000 -> 20001"): _CEILING,
    ("damon/kdamond.py", "Kdamond.min_score", "len(regions.ptr) - 1 -> len(regions.ptr) + 1"): _ROOM,
    ("damon/kdamond.py", "Kdamond.configure",
     "4 * (len(rows) + len(filters)) -> 4 // (len(rows) + len(filters))"): _ROOM,
    ("kernels/loop.py", "grid", "lag > 0 -> lag >= 0"): "a ring of one place gives back what was just written",
    ("kernels/bits.py", "_sum_before", "block & 511 <= 256 -> block & 511 > 256"): "both ways give the sum, one is shorter",
    ("damon/lag_cache.py", "LagCache._node", "flight > 0 -> flight >= 0"): "0 has returned before",
    ("damon/lag_cache.py", "LagCache._node", "seen > 0 -> seen >= 0"): _MEETS,
    ("damon/lag_cache.py", "LagCache.next_window", "0 -> 1 (the 3. of these)"):
        "with one window of cool-down left slots are empty too",
    ("damon/kdamond.py", "Kdamond.min_score", "16 -> 17"): _ROOM,
    ("damon/kdamond.py", "Kdamond.view", "0 -> 1"): "without goals nothing is measured before",
    ("kernels/loop.py", "grid", "1 -> 2"): _ROOM,
    ("kernels/loop.py", "measured_bp", "noise_bp > 0.0 -> noise_bp >= 0.0"): "a draw times 0 is added",
    ("kernels/loop.py", "rounded_normal",
     "float(bits64(key, _U2 * k + np.uint64(1)) >> _S11) + 0.5 -> float(bits64(key, _U2 * k + np.uint64(1)) >> _S11) - 0.5"):
        "an angle that differs by a 2**53rd of a turn, before rounding to whole bp",
    ("kernels/bits.py", "count_range", "a + BLOCK - 1 >> 9 -> a + BLOCK - 1 << 9"): "counts word by word, with the same result",
    ("kernels/frames.py", "migrate_singly", "block * 8 -> block // 8"): "goes on into words whose turn comes next",
    ("memory/page_lists.py", "low_watermark_pages", "128 -> 129"): "both are 32 pages",
    ("kernels/loop.py", "grid", "0 -> 1"):
        "the quota of the last window is set in every window, of which there is one at least",
    ("kernels/loop.py", "pair_trace", "2 -> 3"): "a third tuner that nobody uses",
    ("theory/linear.py", "linear", "np.abs(roots.imag) > 0 -> np.abs(roots.imag) >= 0"):
        "tells a real pole from a pair only where their moduli agree to the last digits",
    ("interleave/frames.py", "Lifo.take", "top.size > count -> top.size >= count"): "an empty piece hands out nothing",
    ("workload/rates.py", "power_law_classes", "edges[-1] = n_pages -> pass"): "rounded to it before, below 2**52 pages",
    ("kernels/placement.py", "iid_redraw", "bits >= cuts[j] -> bits > cuts[j]"): "one draw in 2**63",
    ("theory/exponents.py", "noise_floor",
     "np.abs(np.linalg.eigvals(step)).max() >= 1.0 - 1e-12 -> np.abs(np.linalg.eigvals(step)).max() > 1.0 - 1e-12"): _MEETS,
    ("verdicts/measures.py", "waste_ratio", "abs(ratio) <= 1e-09 -> abs(ratio) < 1e-09"): _MEETS,
    ("kernels/sampling.py", "plan_draws", "end - _U1 -> end + _U1"):
        "a region counted as reaching beyond its node has every page looked up, with the same result",
    ("kernels/numa.py", "settle_zones", "free < 0 -> free <= 0"): "where no page is missing none is given",
    ("kernels/swap.py", "late", "0 -> 1 (the 2. of these)"): "how late ticks are is read only where their times were recorded",
    ("linting/expected_accesses.py", "touches_of", "0 -> 1 (the 3. of these)"): "both columns of a piece are of one length",
    ("atomic.py", "_stem", "32 -> 33"): "one digit more of a digest tells names apart as well",
}  # fmt: skip
