/*
 * The whole loop in C, for benchmarks/whole_in_c.py: what monitor.c does, and between merging and splitting one migrate_hot
 * scheme with a quota, the goal node_mem_used_bp and a tuner, as docs/theory/damon.md has them (sections c to f). One target,
 * physical addresses from 0 on, frames that nodes give from the lowest on, no time for a copy.
 */
#define LIST 0
#include "monitor.c"
#include "../baselines/loop.c"

struct scheme {
	u64 min_sz, max_sz, min_nr, max_nr, min_age, max_age, weight_nr, weight_age;	/* access pattern, weights */
	u64 cap, window, goal, is_consist;		/* bytes, jiffies, bp */
	u64 esz_bp, esz, charged, next_reset, resume;	/* resume: byte at which the last window ended, 0 = none */
	u64 is_resuming, nr_tried, sz_tried, sz_applied, moved;
};

struct machine {
	u64 *rec, *free_bits;		/* by frame; a bit says that the frame is free */
	u64 first[2], last[2], nr_free[2], hint[2];	/* by node: frames, how many are free, a word none free lies below */
	u64 target, aggr_us, jiffy_us, boot_jiffies, merge_limit, granularity;
};

static u64 min64(u64 a, u64 b)
{
	return a < b ? a : b;
}

static u64 max64(u64 a, u64 b)
{
	return a > b ? a : b;
}

static int full(const struct scheme *s, u64 granularity)
{
	return s->charged >= s->esz || s->esz - s->charged < granularity;
}

/* The frames of word w that hold pages and lie in [a, b). */
static u64 pages_within(const struct machine *m, u64 w, u64 a, u64 b)
{
	u64 bits = ~m->free_bits[w], low = w * 64;

	if (low + 64 > b)
		bits &= (1ull << (b - low)) - 1;
	if (low < a)
		bits &= ~0ull << (a - low);
	return bits;
}

/* Move the pages on frames [from, to), the highest first, to the target's lowest free frames; return how many. */
static u64 migrate(struct machine *m, u64 from, u64 to)
{
	u64 t = m->target, moved = 0;

	for (u64 node = 0; node < 2; node++) {
		u64 a = max64(from, m->first[node]), b = min64(to, m->last[node]), here = 0;
		if (a >= b || node == t)
			continue;
		for (u64 w = (b - 1) / 64 + 1; w-- > a / 64 && m->nr_free[t]; ) {
			u64 bits = pages_within(m, w, a, b), before = bits, to_word, free;
			while (bits && m->nr_free[t]) {
				for (to_word = m->hint[t]; !m->free_bits[to_word]; )
					to_word++;
				m->hint[t] = to_word;
				for (free = m->free_bits[to_word]; free && bits; free &= free - 1) {
					u64 top = 63 - __builtin_clzll(bits), frame = w * 64 + top;
					bits ^= 1ull << top;
					m->rec[to_word * 64 + __builtin_ctzll(free)] = m->rec[frame];
					m->rec[frame] = 0;
					m->nr_free[t]--, here++;
				}
				m->free_bits[to_word] = free;
			}
			m->free_bits[w] |= before ^ bits;
			if (before != bits)
				m->hint[node] = min64(m->hint[node], w);
		}
		m->nr_free[node] += here;
		moved += here;
	}
	return moved;
}

/* Start a new charge window if the last one is over: score, tuner, effective quota. */
static void adjust(struct scheme *s, const struct machine *m, u64 now_us)
{
	u64 jiffies = m->boot_jiffies + now_us / m->jiffy_us, total = m->last[m->target] - m->first[m->target], score;

	if (jiffies < s->next_reset)
		return;
	s->next_reset = jiffies + s->window, s->charged = 0;
	score = (total - m->nr_free[m->target]) * 10000 / total * 10000 / s->goal;
	s->esz_bp = s->is_consist ? consist(s->esz_bp, score) : temporal(score, s->cap);
	s->esz = s->cap ? min64(s->esz_bp / 10000, s->cap) : s->esz_bp / 10000;
}

static u64 hot_score(const struct scheme *s, const struct world *w, const struct machine *m, u64 nr, u64 age)
{
	u64 frequency = nr * 100 / w->max_thres, seconds = age * m->aggr_us / 1000000, total = s->weight_nr + s->weight_age;
	i64 log_age = seconds ? 64 - __builtin_clzll(seconds) : 0;

	log_age = log_age < 32 ? log_age : 32;
	if (!frequency)
		log_age = -log_age;
	return min64((s->weight_nr * frequency + s->weight_age * (u64)((log_age + 32) * 100 / 32 / 2)) / (total ? total : 1) *
		     99 / 100, 99);
}

static int matches(const struct scheme *s, u64 size, u64 nr, u64 age)
{
	return s->min_sz <= size && size <= s->max_sz && s->min_nr <= nr && nr <= s->max_nr && s->min_age <= age &&
	       age <= s->max_age;
}

/* The lowest score that still fits into the quota, from the bytes by score. */
static u64 threshold_of(const struct scheme *s, const struct world *w, const struct machine *m, const struct regions *r, u64 n)
{
	u64 histogram[100] = { 0 }, top = 0, total = 0, score;

	for (u64 i = 0; i < n; i++) {
		u64 size = r->end[i] - r->start[i];
		if (!matches(s, size, r->nr[i], r->age[i]))
			continue;
		score = hot_score(s, w, m, r->nr[i], r->age[i]);
		histogram[score] += size;
		top = max64(top, score);
	}
	for (score = top; (total += histogram[score]) < s->esz && score; )
		score--;
	return score;
}

/* Append a piece of region i, or let an equal left neighbour grow by it; return the new count. */
static u64 append(struct regions *to, u64 k, const struct regions *r, u64 i, u64 start, u64 end, u32 age, u64 limit)
{
	if (k && to->end[k - 1] == start && to->age[k - 1] == age && to->last[k - 1] == r->last[i] &&
	    to->nr[k - 1] == r->nr[i] && end - to->start[k - 1] <= limit) {
		to->end[k - 1] = end;
		return k;
	}
	put(to, k, r, i, start, end);
	to->age[k] = age;
	return k + 1;
}

/* Apply the scheme to n regions in order of address, and write them, cut where a window stopped, to `to`. */
static u64 apply(struct scheme *s, const struct world *w, struct machine *m, const struct regions *r, struct regions *to, u64 n)
{
	u64 least = threshold_of(s, w, m, r, n), g = m->granularity, out = 0;

	for (u64 i = 0; i < n; i++) {
		u64 start = r->start[i], rest = r->end[i], end;
		for (; start < rest; start = end) {
			u32 age = r->age[i];
			int skip = 0;
			end = rest;
			if (!full(s, g)) {
				if (s->is_resuming && s->resume && start < s->resume) {
					skip = 1;
					if (end > s->resume) {
						u64 size = (s->resume - start) / g * g;
						size = size ? size : end - start > g ? g : 0;
						end = size ? start + size : end;
					}
				}
				if (s->is_resuming && end == rest && i == n - 1)
					s->is_resuming = s->resume = 0;
				if (!skip && matches(s, end - start, r->nr[i], age) && hot_score(s, w, m, r->nr[i], age) >= least) {
					if (s->charged + end - start > s->esz)
						end = start + (s->esz - s->charged) / g * g;
					u64 moved = migrate(m, start >> 12, (end + 4095) >> 12);
					s->charged += end - start;
					s->nr_tried++, s->sz_tried += end - start, s->sz_applied += moved << 12, s->moved += moved;
					if (full(s, g))
						s->is_resuming = 1, s->resume = end;
					age = 0;
				}
			}
			out = append(to, out, r, i, start, end, age, m->merge_limit);
		}
	}
	return out;
}

/* Run aggregations; the columns hold n regions before and the returned number after. */
u64 whole_loop(struct world *w, struct scheme *s, struct machine *m, u64 *start, u64 *end, u32 *nr, u32 *last, u32 *age, u64 n,
	       u64 capacity, u64 tick, u64 ticks, u64 aggregations)
{
	struct regions now = { start, end, nr, last, age }, swap, spare = {
		malloc(8 * capacity), malloc(8 * capacity), malloc(4 * capacity), malloc(4 * capacity), malloc(4 * capacity) };

	for (; aggregations--; ) {
		u64 top = 0, threshold, before, step, offset;
		for (u64 t = 0; t < ticks; t++) {
			tick++;
			for (u64 i = 0; i < n; i++)
				now.nr[i] += touched(w, draw_range(w->draw_key, &w->pos, now.start[i], now.end[i]), tick);
		}
		for (u64 i = 0; i < n; i++)
			top = now.nr[i] > top ? now.nr[i] : top;
		threshold = top / 10;
		for (int first = 1;; first = 0) {
			n = merge(w, &now, n, threshold, first);
			if (n <= w->max_nr || threshold >= w->max_thres)
				break;
			threshold = next_threshold(threshold, w->max_thres);
		}
		adjust(s, m, tick * (m->aggr_us / ticks));
		n = apply(s, w, m, &now, &spare, n);
		swap = now, now = spare, spare = swap;
		memcpy(now.last, now.nr, 4 * n);
		memset(now.nr, 0, 4 * n);
		before = n;
		int pieces = plan_split(w, n, &step, &offset);
		if (n < w->max_nr) {
			n = split(w, &now, &spare, n, pieces, step, offset);
			swap = now, now = spare, spare = swap;
		}
		w->last_nr = before;
	}
	if (now.start != start) {
		memcpy(start, now.start, 8 * n), memcpy(end, now.end, 8 * n);
		memcpy(nr, now.nr, 4 * n), memcpy(last, now.last, 4 * n), memcpy(age, now.age, 4 * n);
		spare = now;
	}
	free(spare.start), free(spare.end), free(spare.nr), free(spare.last), free(spare.age);
	return n;
}
