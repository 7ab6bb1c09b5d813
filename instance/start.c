/*
 * A server that has its data and does not come up, by Patroni's word: it ends at once, again and
 * again, or never gets so far. Pure; for the agent.
 */
#include <string.h>

#include "instance/instance.h"

#define FAILED_MS 10000       /* Patroni's next attempt may do better */
#define FAILED_STALE_MS 60000 /* an attempt that lasts longer does: it recovers */
#define LONG_MS 120000

/* state begins with one of them: "restart failed (start failed)". */
static bool
is_any(const char *state, const char *const *words)
{
	for (; *words != NULL; words++)
		if (strncmp(state, *words, strlen(*words)) == 0)
			return true;
	return false;
}

bool
start_has_failed(const char *state)
{
	static const char *const words[] = {"start failed", "restart failed", NULL};

	return is_any(state, words);
}

void
start_note(struct start_track *t, const char *state, bool running, struct msec now)
{
	static const char *const begins[] = {"starting", "restarting", "crashed", NULL};
	static const char *const fills[] = {
	    "initializing", "creating replica", "running custom bootstrap", NULL};

	if (running || is_any(state, fills))
		*t = (struct start_track){0};
	else if (t->since.v == 0 && (is_any(state, begins) || start_has_failed(state)))
		t->since = now;
	if (start_has_failed(state)) {
		t->failed = t->failed.v == 0 ? now : t->failed;
		t->last = now;
	} else if (now.v - t->last.v >= FAILED_STALE_MS) {
		t->failed.v = 0;
	}
}

bool
start_lasts(const struct start_track *t, int64_t ms, struct msec now)
{
	return t->since.v != 0 && now.v - t->since.v >= ms;
}

enum choice_reason
start_reason(const struct start_track *t, struct msec now)
{
	if (t->failed.v != 0 && now.v - t->failed.v >= FAILED_MS)
		return REASON_START_FAILED;
	return start_lasts(t, LONG_MS, now) ? REASON_STARTS_LONG : REASON_NONE;
}
