/*
 * The monitoring loop of an aggregation in C, for benchmarks/against_c.py: sample every region at every tick, age and
 * merge, reset, split. The same algorithm, draws and rounding as the package's; regions in arrays (LIST 0) or in a
 * linked list whose nodes are allocated as they come (LIST 1), as the kernel keeps them.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef uint64_t u64;
typedef uint32_t u32;

#define GAMMA 0x9E3779B97F4A7C15ull

static inline u64 mix64(u64 x)
{
	x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9ull;
	x = (x ^ (x >> 27)) * 0x94D049BB133111EBull;
	return x ^ (x >> 31);
}

static inline u64 draw32(u64 key, u64 *pos)
{
	return mix64(key + (++*pos) * GAMMA) >> 32;
}

static inline u64 draw_range(u64 key, u64 *pos, u64 left, u64 right)
{
	u64 span = right - left;

	if (span <= 0xFFFFFFFFull)
		return left + (draw32(key, pos) * span >> 32);
	u64 high = draw32(key, pos);
	return left + (u64)(((unsigned __int128)((high << 32) | draw32(key, pos)) * span) >> 64);
}

struct world {
	const u64 *rec;		/* class << 32 | page + 1, by frame */
	const u64 *threshold;	/* by class, in 2^-32 per tick */
	u64 access_key, draw_key, pos, rotation, last_nr;
	u64 max_nr, sz_limit, max_thres;
};

static inline int touched(const struct world *w, u64 address, u64 tick)
{
	u64 record = w->rec[address >> 12], page = record & 0xFFFFFFFFull;

	if (!page)
		return 0;
	u64 bits = mix64(w->access_key + ((tick << 32) | (page - 1)) * GAMMA) >> 32;
	return bits < w->threshold[(record >> 32) & 0xFFFF];
}

static inline u64 distance(u64 a, u64 b)
{
	return a > b ? a - b : b - a;
}

static inline u64 next_threshold(u64 threshold, u64 most)
{
	if (threshold >= most / 2)
		return most;
	return threshold ? 2 * threshold : 1;
}

/* Into how many pieces each step-th of n regions from the offset on is split. */
static int plan_split(struct world *w, u64 n, u64 *step, u64 *offset)
{
	*step = 1, *offset = 0;
	if (w->max_nr / 2 < n && n < w->max_nr) {
		*step = w->max_nr / (w->max_nr - n);
		*offset = w->rotation++ % *step;
		return 2;
	}
	return w->last_nr == n && n < w->max_nr / 3 ? 3 : 2;
}

#if LIST
struct region {
	struct region *next;
	u64 start, end;
	u32 nr, last, age;
};
#define EACH(head, r) for (struct region *r = (head); r; r = r->next)

static u64 merge(struct world *w, struct region *head, u64 threshold, int count_age)
{
	struct region *prev = NULL, *r = head, *next;
	u64 n = 0;

	for (; r; r = next) {
		next = r->next;
		if (count_age) {
			if (distance(r->nr, r->last) > threshold || !r->nr != !r->last)
				r->age = 0;
			else
				r->age++;
		}
		if (prev && prev->end == r->start && distance(prev->nr, r->nr) <= threshold &&
		    r->end - prev->start <= w->sz_limit) {
			u64 a = prev->end - prev->start, b = r->end - r->start;
			prev->nr = (prev->nr * a + r->nr * b) / (a + b);
			prev->age = (prev->age * a + r->age * b) / (a + b);
			prev->end = r->end;
			prev->next = next;
			free(r);
		} else {
			prev = r;
			n++;
		}
	}
	return n;
}

static void split(struct world *w, struct region *head, int pieces, u64 step, u64 offset)
{
	struct region *r = head, *next;
	u64 index = 0;

	for (; r; r = next, index++) {
		next = r->next;
		if (index % step != offset)
			continue;
		for (int k = 1; k < pieces; k++) {
			u64 size = r->end - r->start;
			if (step == 1 ? size <= 2 * 4096 : size < 2 * 4096)
				break;
			u64 cut = draw_range(w->draw_key, &w->pos, 1, 10) * size / 10 & ~4095ull;
			if (!cut || cut >= size)
				continue;
			struct region *right = malloc(sizeof(*right));
			*right = *r;
			right->start = r->end = r->start + cut;
			r->next = right;
		}
	}
}
#else
struct regions {
	u64 *start, *end;
	u32 *nr, *last, *age;
};

static u64 merge(struct world *w, struct regions *r, u64 n, u64 threshold, int count_age)
{
	u64 out = 0;

	for (u64 i = 0; i < n; i++) {
		if (count_age) {
			if (distance(r->nr[i], r->last[i]) > threshold || !r->nr[i] != !r->last[i])
				r->age[i] = 0;
			else
				r->age[i]++;
		}
		if (out && r->end[out - 1] == r->start[i] && distance(r->nr[out - 1], r->nr[i]) <= threshold &&
		    r->end[i] - r->start[out - 1] <= w->sz_limit) {
			u64 p = out - 1, a = r->end[p] - r->start[p], b = r->end[i] - r->start[i];
			r->nr[p] = (r->nr[p] * a + r->nr[i] * b) / (a + b);
			r->age[p] = (r->age[p] * a + r->age[i] * b) / (a + b);
			r->end[p] = r->end[i];
		} else {
			r->start[out] = r->start[i], r->end[out] = r->end[i];
			r->nr[out] = r->nr[i], r->last[out] = r->last[i], r->age[out] = r->age[i];
			out++;
		}
	}
	return out;
}

static void put(struct regions *to, u64 k, const struct regions *r, u64 i, u64 start, u64 end)
{
	to->start[k] = start, to->end[k] = end;
	to->nr[k] = r->nr[i], to->last[k] = r->last[i], to->age[k] = r->age[i];
}

static u64 split(struct world *w, struct regions *r, struct regions *to, u64 n, int pieces, u64 step, u64 offset)
{
	u64 out = 0, cuts[2];

	for (u64 i = 0; i < n; i++) {
		u64 start = r->start[i], size = r->end[i] - start, left = start;
		int k = 0;
		for (int p = 1; p < pieces && i % step == offset; p++) {
			if (step == 1 ? size <= 2 * 4096 : size < 2 * 4096)
				break;
			u64 cut = draw_range(w->draw_key, &w->pos, 1, 10) * size / 10 & ~4095ull;
			if (!cut || cut >= size)
				continue;
			cuts[k++] = start + cut;
			size = cut;
		}
		while (k) {
			put(to, out++, r, i, left, cuts[--k]);
			left = cuts[k];
		}
		put(to, out++, r, i, left, r->end[i]);
	}
	return out;
}
#endif

/* Run aggregations over one target; the columns hold n regions before and the returned number after. */
u64 monitor(struct world *w, u64 *start, u64 *end, u32 *nr, u32 *last, u32 *age, u64 n, u64 capacity, u64 tick, u64 ticks,
	    u64 aggregations)
{
#if LIST
	struct region *head = NULL, **at = &head;
	for (u64 i = 0; i < n; i++) {
		struct region *r = malloc(sizeof(*r));
		*r = (struct region){ NULL, start[i], end[i], nr[i], last[i], age[i] };
		*at = r, at = &r->next;
	}
#else
	struct regions now = { start, end, nr, last, age }, spare = {
		malloc(8 * capacity), malloc(8 * capacity), malloc(4 * capacity), malloc(4 * capacity), malloc(4 * capacity) };
#endif
	for (; aggregations--; ) {
		u64 top = 0, threshold;
		for (u64 t = 0; t < ticks; t++) {
			tick++;
#if LIST
			EACH(head, r)
				r->nr += touched(w, draw_range(w->draw_key, &w->pos, r->start, r->end), tick);
#else
			for (u64 i = 0; i < n; i++)
				now.nr[i] += touched(w, draw_range(w->draw_key, &w->pos, now.start[i], now.end[i]), tick);
#endif
		}
#if LIST
		EACH(head, r)
			top = r->nr > top ? r->nr : top;
#else
		for (u64 i = 0; i < n; i++)
			top = now.nr[i] > top ? now.nr[i] : top;
#endif
		threshold = top / 10;
		for (int first = 1;; first = 0) {
#if LIST
			n = merge(w, head, threshold, first);
#else
			n = merge(w, &now, n, threshold, first);
#endif
			if (n <= w->max_nr || threshold >= w->max_thres)
				break;
			threshold = next_threshold(threshold, w->max_thres);
		}
#if LIST
		EACH(head, r)
			r->last = r->nr, r->nr = 0;
#else
		memcpy(now.last, now.nr, 4 * n);
		memset(now.nr, 0, 4 * n);
#endif
		u64 before = n, step, offset;
		int pieces = plan_split(w, n, &step, &offset);
		if (n < w->max_nr) {
#if LIST
			split(w, head, pieces, step, offset);
			n = 0;
			EACH(head, r)
				n++;
#else
			n = split(w, &now, &spare, n, pieces, step, offset);
			struct regions swap = now;
			now = spare, spare = swap;
#endif
		}
		w->last_nr = before;
	}
#if LIST
	u64 i = 0;
	for (struct region *r = head, *next; r; r = next, i++) {
		next = r->next;
		start[i] = r->start, end[i] = r->end, nr[i] = r->nr, last[i] = r->last, age[i] = r->age;
		free(r);
	}
#else
	if (now.start != start) {
		memcpy(start, now.start, 8 * n), memcpy(end, now.end, 8 * n);
		memcpy(nr, now.nr, 4 * n), memcpy(last, now.last, 4 * n), memcpy(age, now.age, 4 * n);
		spare = now;
	}
	free(spare.start), free(spare.end), free(spare.nr), free(spare.last), free(spare.age);
#endif
	return n;
}
