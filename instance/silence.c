/*
 * Judges Patroni's silence on loopback, from what the agent reports after each poll. Pure; init.c
 * kills.
 */
#include "instance/instance.h"

#define POLLS_MIN 3
#define POLLS_MIN_MS 3000
/* A new Patroni has started and renewed its lock within about 2 s (measured); twice that. */
#define RESTART_MS 4000
/*
 * Patroni opens its REST API before it restores or clones, but after it has reached the API server,
 * for which it waits as long as it takes: killed for that it has lost nothing.
 */
#define START_MS 60000

void
silence_reset(struct silence *s, struct msec now)
{
	*s = (struct silence){.last = now};
}

void
silence_heard(struct silence *s, struct msec now)
{
	s->spoke = true;
	s->missed = 0;
	s->last = now;
}

void
silence_missed(struct silence *s)
{
	s->missed++;
}

bool
silence_over(const struct silence *s, const struct fence *f, unsigned loop_wait_s, struct msec now)
{
	int64_t limit = (int64_t)loop_wait_s * 1000;
	int64_t silent = now.v - s->last.v;

	if (s->missed < POLLS_MIN)
		return false;
	if (!s->spoke)
		return silent >= START_MS;
	if (limit < POLLS_MIN_MS)
		limit = POLLS_MIN_MS;
	if (silent >= limit)
		return true;
	return f->armed && silent >= POLLS_MIN_MS && f->deadline.v - now.v <= RESTART_MS + TICK_MS;
}
