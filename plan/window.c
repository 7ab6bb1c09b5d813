/*
 * Maintenance windows: may what stops a server begin now, and when does that change? For
 * plan/cluster.c, roll.c and status.c. A window belongs to the day on which it begins; both its
 * times are what the clocks of its zone show, so that it is an hour shorter or longer on a day on
 * which these are changed.
 */
#include "plan/rule.h"
#include "plan/zone.h"

#include <stdio.h>

#define MINUTE_S 60
#define DAY_S 86400
/*
 * A weekly window may lie in the hour that is left out when summer time begins: then it opens only
 * the week after.
 */
#define AHEAD_DAYS 15

static bool
begins_on(const struct window *w, int64_t day)
{
	return w->days >> (zone_weekday(day) + 6) % 7 & 1;
}

/* The first of w's times that has not closed at unix_s; false = there is none. */
static bool
find_time(const struct window *w, const struct zone *z, int64_t unix_s, int64_t *opens_s,
    int64_t *closes_s)
{
	int64_t today = zone_day(unix_s + zone_offset_s(z, unix_s));

	for (int64_t day = today - 1; day <= today + AHEAD_DAYS; day++) {
		int64_t last = w->to_min > w->from_min ? day : day + 1;

		if (!begins_on(w, day))
			continue;
		*opens_s = zone_to_unix(z, day * DAY_S + w->from_min * MINUTE_S);
		*closes_s = zone_to_unix(z, last * DAY_S + w->to_min * MINUTE_S);
		if (*closes_s > unix_s && *closes_s > *opens_s)
			return true;
	}
	return false;
}

void
window_look(const struct windows *windows, int64_t unix_s, struct window_state *out)
{
	int64_t opens = INT64_MAX, closes = INT64_MIN;

	*out = (struct window_state){.open = true, .until_s = INT64_MAX};
	if (windows == NULL)
		return;
	for (unsigned i = 0; i < windows->n; i++) {
		int64_t from, to;
		struct zone z;

		if (zone_find(str_of(windows->at[i].zone), &z) == -1) {
			*out = (struct window_state){.bad = (uint8_t)(i + 1), .until_s = INT64_MAX};
			return;
		}
		if (!find_time(&windows->at[i], &z, unix_s, &from, &to))
			continue;
		if (from <= unix_s)
			closes = to > closes ? to : closes;
		else
			opens = from < opens ? from : opens;
	}
	out->open = windows->n == 0 || closes > unix_s;
	out->until_s = windows->n == 0 ? INT64_MAX : out->open ? closes : opens;
}

void
window_look_again(struct plan_at *a)
{
	int64_t s = WALL_LOOK_S;

	if (a->c->windows == NULL)
		return;
	if (a->window.until_s < a->w->unix_s + s)
		s = a->window.until_s - a->w->unix_s;
	rule_waits_until(a, (struct msec){a->w->now.v + s * 1000});
}

void
window_put_text(const struct plan_at *a, char out[WINDOW_TEXT_SIZE])
{
	char at[21];

	out[0] = '\0';
	if (a->window.open || a->c->wanted.update == CHOICE_update_strategy_ON_DEMAND)
		return;
	if (a->window.until_s == INT64_MAX) {
		snprintf(out, WINDOW_TEXT_SIZE, "waits for a maintenance window; ");
		return;
	}
	time_rfc3339(at, a->window.until_s); /* without its seconds: windows have none */
	snprintf(out, WINDOW_TEXT_SIZE, "waits for the maintenance window of %.16sZ; ", at);
}
