/* The reduced loop's window, many runs, without noise: what `tieringmodel.kernels.loop.grid` does, as plain C. */
#include <stdint.h>

typedef uint64_t u64;
typedef int64_t i64;

static u64 consist(u64 last, u64 score)
{
	u64 distance, compensation;

	if (last < 10000)
		last = 10000;
	if (score == 10000)
		return last;
	if (score >= 20000)
		return 10000;
	distance = score > 10000 ? score - 10000 : 10000 - score;
	if (last < UINT64_MAX / distance)
		compensation = last * distance / 10000;
	else
		compensation = last / 10000 * distance;
	if (score > 10000)
		return last > compensation && last - compensation > 10000 ? last - compensation : 10000;
	return last < UINT64_MAX - compensation ? last + compensation : UINT64_MAX;
}

static u64 temporal(u64 score, u64 cap)
{
	if (score >= 10000)
		return 0;
	return cap > 0 && cap <= UINT64_MAX / 10000 ? cap * 10000 : UINT64_MAX;
}

void grid(int is_consist, i64 runs, i64 windows, const i64 *goal, const i64 *pages, const i64 *start, const u64 *cap,
	  const i64 *delay, const i64 *leak, const double *leak_rate, const i64 *low, const i64 *high, i64 tail, i64 *ring,
	  i64 *final, i64 *peak, i64 *trough, i64 *last_move, i64 *last_outside, i64 *moved_sum, i64 *tail_pages,
	  i64 *tail_low, i64 *tail_high, i64 *tail_moved, u64 *final_esz)
{
	for (i64 i = 0; i < runs; i++) {
		i64 n = start[i], top = n, bottom = n, move = -1, outside = -1, total = 0, in_tail = 0, sum = 0, slot = 0;
		i64 lowest = pages[i], highest = 0;
		u64 state = 0, esz = 0;

		for (i64 k = 0; k <= delay[i]; k++)
			ring[k] = n;
		for (i64 k = 0; k < windows; k++) {
			i64 seen = n, moved, room, leaks;
			u64 score;

			if (delay[i] > 0) {
				ring[slot] = n;
				slot = slot < delay[i] ? slot + 1 : 0;
				seen = ring[slot];
			}
			if (n < low[i] || n > high[i])
				outside = k;
			score = (u64)seen * 10000 / (u64)pages[i] * 10000 / (u64)goal[i];
			state = is_consist ? consist(state, score) : temporal(score, cap[i]);
			esz = state / 10000 < cap[i] ? state / 10000 : cap[i];
			room = pages[i] - n;
			moved = (i64)(esz / 4096) < room ? (i64)(esz / 4096) : room;
			leaks = leak[i] + (i64)(leak_rate[i] * n);
			n += moved;
			n -= leaks < n ? leaks : n;
			top = n > top ? n : top;
			bottom = n < bottom ? n : bottom;
			total += moved;
			if (moved > 0)
				move = k;
			if (k >= windows - tail) {
				in_tail += moved;
				sum += n;
				lowest = n < lowest ? n : lowest;
				highest = n > highest ? n : highest;
			}
		}
		if (n < low[i] || n > high[i])
			outside = windows;
		final[i] = n, peak[i] = top, trough[i] = bottom, last_move[i] = move, last_outside[i] = outside;
		moved_sum[i] = total, tail_pages[i] = sum, tail_low[i] = lowest, tail_high[i] = highest;
		tail_moved[i] = in_tail, final_esz[i] = esz;
	}
}
