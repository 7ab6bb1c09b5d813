/*
 * plan/window.c: when windows open and close, in words and against the clocks that glibc shows
 * minute by minute; what the rules of a rolling change make of them.
 */
#include <stdlib.h>
#include <time.h>

#include "plan/rule.h"
#include "plan/zone.h"
#include "tests/unit/plan_script.h"

#define DAY 86400
#define HOUR 3600
/* 2026-11-25 was a Wednesday. */
#define WEDNESDAY INT64_C(1795564800)

static struct windows windows;
static struct window_state state;

static void
add(const char *days, unsigned from, unsigned to, const char *zone)
{
	struct window *w = &windows.at[windows.n++];

	*w = (struct window){.from_min = (uint16_t)(from / 100 * 60 + from % 100),
	    .to_min = (uint16_t)(to / 100 * 60 + to % 100)};
	for (unsigned d = 0; d < CHOICE_weekday_COUNT; d++)
		if (days[0] == '\0' || strstr(days, choice_text(VOCAB_weekday, d)) != NULL)
			w->days |= (uint8_t)(1u << d);
	snprintf(w->zone, sizeof(w->zone), "%s", zone);
}

static void
one(const char *days, unsigned from, unsigned to, const char *zone)
{
	windows = (struct windows){0};
	add(days, from, to, zone);
}

static void
check(int64_t at, bool open, int64_t until, const char *name)
{
	window_look(&windows, at, &state);
	if (!CHECK(state.open == open && state.until_s == until && state.bad == 0, name))
		printf("# open %d until %lld, not %d until %lld\n", state.open,
		    (long long)state.until_s, open, (long long)until);
}

static void
test_utc(void)
{
	one("", 100, 500, "UTC");
	check(WEDNESDAY, false, WEDNESDAY + HOUR, "before it opens");
	check(WEDNESDAY + HOUR - 1, false, WEDNESDAY + HOUR, "a second before");
	check(WEDNESDAY + HOUR, true, WEDNESDAY + 5 * HOUR, "when it opens");
	check(WEDNESDAY + 5 * HOUR - 1, true, WEDNESDAY + 5 * HOUR, "a second before it closes");
	check(WEDNESDAY + 5 * HOUR, false, WEDNESDAY + DAY + HOUR, "when it closes");
	one("Saturday", 2200, 400, "UTC");
	check(WEDNESDAY, false, WEDNESDAY + 3 * DAY + 22 * HOUR, "in three days");
	check(WEDNESDAY + 4 * DAY, true, WEDNESDAY + 4 * DAY + 4 * HOUR, "past midnight");
	check(WEDNESDAY + 4 * DAY + 22 * HOUR, false, WEDNESDAY + 10 * DAY + 22 * HOUR,
	    "which belongs to the day on which it begins");
	one("Sunday", 300, 300, "UTC");
	check(WEDNESDAY + 5 * DAY, true, WEDNESDAY + 5 * DAY + 3 * HOUR, "equal times: 24 hours");
	one("", 0, 0, "UTC");
	check(WEDNESDAY + 5, true, WEDNESDAY + DAY, "every day from 0:00 to 0:00 is always");
	one("Monday Friday", 1000, 1030, "UTC");
	add("Thursday", 2300, 2330, "UTC");
	check(WEDNESDAY, false, WEDNESDAY + DAY + 23 * HOUR, "the next of several");
	check(WEDNESDAY + 2 * DAY, false, WEDNESDAY + 2 * DAY + 10 * HOUR, "then another one");
	one("", 100, 500, "UTC");
	add("", 400, 600, "UTC");
	check(
	    WEDNESDAY + 4 * HOUR + 60, true, WEDNESDAY + 6 * HOUR, "of two that are open the last");
	window_look(NULL, WEDNESDAY, &state);
	CHECK(state.open && state.until_s == INT64_MAX, "no windows are always");
	windows.n = 0;
	check(WEDNESDAY, true, INT64_MAX, "and so is an empty list");
}

/* Berlin: on 2026-03-29 2:00 is 3:00, at 1:00Z; on 2026-10-25 3:00 is 2:00 again, at 1:00Z. */
static void
test_changes_of_the_clock(void)
{
	const int64_t march = 1774742400, october = 1792886400; /* 0:00Z on those days */

	one("Sunday", 230, 500, "Europe/Berlin");
	check(march, false, march + HOUR, "what begins in the hour left out opens at its end");
	check(march + HOUR, true, march + 3 * HOUR, "and closes as the clock says");
	one("Sunday", 100, 230, "Europe/Berlin");
	check(march, true, march + HOUR, "what ends in that hour ends when it is left out");
	one("Sunday", 210, 250, "Europe/Berlin");
	check(march, false, march + 7 * DAY + 10 * 60, "what lies in it opens the week after");
	check(october, false, october + 10 * 60, "a time that comes twice opens at the first");
	check(october + 10 * 60, true, october + 50 * 60, "and closes at the first");
	check(october + HOUR + 10 * 60, false, october + 7 * DAY + HOUR + 10 * 60,
	    "and does not open at the second");
	one("Sunday", 100, 300, "Europe/Berlin");
	check(october, true, october + 2 * HOUR, "one around both is an hour longer");
	one("", 100, 500, "America/New_York");
	check(WEDNESDAY, false, WEDNESDAY + 6 * HOUR, "west of Greenwich");
	one("Thursday", 100, 500, "Pacific/Kiritimati");
	check(WEDNESDAY, false, WEDNESDAY + 11 * HOUR, "and east of it");
}

static void
test_unknown_zone(void)
{
	one("", 0, 0, "UTC");
	add("", 0, 0, "Europe/Berln");
	window_look(&windows, WEDNESDAY, &state);
	CHECK(!state.open && state.bad == 2 && state.until_s == INT64_MAX,
	    "with an unknown zone none is open");
}

/* --- Against glibc's clocks. */

#define DAYS 24
static int64_t begin;
static int64_t shown[DAYS * 24 * 60]; /* by each minute from begin on, in minutes */
#define MINUTES (sizeof(shown) / sizeof(shown[0]))

static void
show(const char *tz)
{
	setenv("TZ", tz, 1);
	tzset();
	for (size_t i = 0; i < MINUTES; i++) {
		time_t t = (time_t)(begin + (int64_t)i * 60);
		struct tm tm;

		localtime_r(&t, &tm);
		shown[i] = (begin + tm.tm_gmtoff) / 60 + (int64_t)i;
	}
}

/* The first minute at which that is shown, or later. */
static size_t
first_shown(int64_t local_min)
{
	size_t i = 0;

	while (i < MINUTES && shown[i] < local_min)
		i++;
	return i;
}

static bool
oracle(const struct window *w, bool open[MINUTES])
{
	int64_t day = shown[0] / (24 * 60) + 1, last = shown[MINUTES - 1] / (24 * 60);
	bool any = false;

	memset(open, 0, MINUTES * sizeof(open[0]));
	for (; day < last - 1; day++) {
		size_t from = first_shown(day * 24 * 60 + w->from_min);
		size_t to = first_shown((day + (w->to_min <= w->from_min)) * 24 * 60 + w->to_min);

		if (!(w->days >> (day + 3) % 7 & 1))
			continue;
		for (size_t i = from; i < to; i++)
			open[i] = any = true;
	}
	return any;
}

static bool
agrees(const struct window *w, const bool open[MINUTES])
{
	/* Away from both ends, where the oracle does not see all of a window. */
	for (size_t i = 3 * 24 * 60; i < 6 * 24 * 60; i += 7) {
		size_t next = i;

		windows.n = 1;
		windows.at[0] = *w;
		window_look(&windows, begin + (int64_t)i * 60, &state);
		while (next < MINUTES && open[next] == open[i])
			next++;
		if (state.open != open[i])
			return false;
		/* Where one follows another without a pause, the first one's end is told. */
		if (!state.open && next < MINUTES && state.until_s != begin + (int64_t)next * 60)
			return false;
		if (state.open && state.until_s > begin + (int64_t)next * 60)
			return false;
	}
	return true;
}

static void
test_against_clocks(void)
{
	static const char *const zones[] = {"Europe/Berlin", "America/New_York",
	    "Australia/Lord_Howe", "America/Nuuk", "Europe/Dublin", "Asia/Gaza", "Africa/Cairo",
	    "Asia/Kolkata", "America/Havana"};
	static bool open[MINUTES];
	bool all = true;

	srand(7);
	for (size_t i = 0; i < sizeof(zones) / sizeof(zones[0]); i++)
		for (unsigned n = 0; n < 40 && all; n++) {
			/* around the changes of March and April, and of September to November */
			int64_t from = n % 2 == 0 ? 1773792000 : 1789516800;
			struct window w = {.days = (uint8_t)(1 + rand() % 127),
			    .from_min = (uint16_t)(rand() % (n % 3 == 0 ? 240 : 1440)),
			    .to_min = (uint16_t)(rand() % (n % 3 == 0 ? 240 : 1440))};
			const char *name, *tz = NULL;

			for (unsigned k = 0; zone_row(k, &name, &tz); k++)
				if (strcmp(name, zones[i]) == 0)
					break;
			snprintf(w.zone, sizeof(w.zone), "%s", zones[i]);
			begin = from + rand() % (n % 2 == 0 ? 40 : 60) * DAY;
			show(tz);
			oracle(&w, open);
			all = agrees(&w, open);
			if (!all)
				printf("# %s from %u to %u on %x, %lld and after\n", w.zone,
				    w.from_min, w.to_min, w.days, (long long)begin);
		}
	CHECK(all, "as the clocks of glibc show it, minute by minute");
}

/* --- What a rolling change makes of it. */

/* Three instances, demo-0 primary, older than the spec; a window from 1:00 to 5:00 UTC; 0:00. */
static void
begin_change(void)
{
	serve_saying(3);
	for (unsigned i = 0; i < 3; i++) {
		reports[i].pod_inputs = 99;
		says(i);
	}
	one("", 100, 500, "UTC");
	c.windows = &windows;
	world.unix_s = WEDNESDAY;
	world.sweep_ms = INT64_C(1) << 40; /* nothing else is due */
	world.now.v += 60000;
}

static void
pass(int64_t s)
{
	world.now.v += s * 1000;
	world.unix_s += s;
}

static void
comes_back(unsigned i, enum choice_instance_role role)
{
	reports[i].pod_uid = uid(210 + i);
	reports[i].pod_inputs = model_pod_inputs(wanted.hash);
	reports[i].role = (uint8_t)role;
	says(i);
	pass(60);
}

static void
test_pods(void)
{
	const struct plan_condition *k;

	begin_change();
	CHECK(next_change() == CHOICE_verb_NONE, "closed: no pod is replaced");
	k = condition(CHOICE_condition_type_PROGRESSING);
	is(k->text,
	    "waits for the maintenance window of 2026-11-25T01:00Z; older than the spec: demo-0, "
	    "demo-1, demo-2",
	    "it is said until when");
	CHECK(k->reason == REASON_ROLLOUT_PENDING && k->status == CHOICE_condition_status_TRUE,
	    "as part of a rolling change");
	CHECK(step.again.v == world.now.v + 3600 * 1000, "it is looked at then");
	pass(3599);
	CHECK(next_change() == CHOICE_verb_NONE && step.again.v == world.now.v + 1000,
	    "to the second");
	pass(1);
	CHECK(next_change() == CHOICE_verb_REPLACE_POD && step.sent.ordinal == 2,
	    "it opens: the first pod is replaced");
	answer_as_said();
	pass(4 * 3600 - 1);
	comes_back(2, CHOICE_instance_role_REPLICA);
	CHECK(next_change() == CHOICE_verb_NONE, "it closes: the next one waits");
	k = condition(CHOICE_condition_type_PROGRESSING);
	is(k->text,
	    "waits for the maintenance window of 2026-11-26T01:00Z; older than the spec: demo-0, "
	    "demo-1",
	    "for the next window");
	c.windows = NULL;
	CHECK(next_change() == CHOICE_verb_REPLACE_POD && step.sent.ordinal == 1,
	    "without windows it goes on");
}

/* Up to a primary that was told to hand over in a window, and has. */
static void
hand_over(void)
{
	begin_change();
	pass(3600);
	comes_back(1, CHOICE_instance_role_REPLICA);
	comes_back(2, CHOICE_instance_role_REPLICA);
	CHECK(next_change() == CHOICE_verb_SWITCHOVER, "the primary is told to hand over");
	answer_as_said();
	reports[0].operation = CHOICE_operation_SWITCHOVER;
	reports[0].operation_phase = CHOICE_operation_phase_SUCCEEDED;
	reports[0].role = CHOICE_instance_role_REPLICA;
	reports[0].state = CHOICE_instance_state_STREAMING;
	reports[1].role = CHOICE_instance_role_PRIMARY;
	reports[1].state = CHOICE_instance_state_RUNNING;
	says(0);
	says(1);
}

static void
test_primary(void)
{
	begin_change();
	comes_back(1, CHOICE_instance_role_REPLICA);
	comes_back(2, CHOICE_instance_role_REPLICA);
	CHECK(next_change() == CHOICE_verb_NONE, "closed: no switchover");
	hand_over();
	world.unix_s += 5 * 3600; /* the wall clock was set: it is closed now */
	CHECK(next_change() == CHOICE_verb_REPLACE_POD && step.sent.ordinal == 0,
	    "what began goes on to its end");
	hand_over();
	pass(5 * 3600);
	CHECK(next_change() == CHOICE_verb_NONE, "but not hours later");
}

static void
test_restart(void)
{
	const struct plan_condition *k;

	begin_change();
	for (unsigned i = 0; i < 3; i++) {
		reports[i].pod_inputs = model_pod_inputs(wanted.hash);
		reports[i].pending_restart = true;
		says(i);
	}
	CHECK(next_change() == CHOICE_verb_NONE, "closed: no restart");
	k = condition(CHOICE_condition_type_CONFIGURATION_APPLIED);
	is(k->text,
	    "waits for the maintenance window of 2026-11-25T01:00Z; a parameter takes effect only "
	    "after a restart of demo-0, demo-1, demo-2.",
	    "it is said until when");
	pass(3600);
	CHECK(next_change() == CHOICE_verb_RESTART && step.sent.ordinal == 2, "it opens");
}

static void
test_what_is_said(void)
{
	const struct plan_condition *k;

	begin_change();
	c.wanted.update = CHOICE_update_strategy_ON_DEMAND;
	CHECK(next_change() == CHOICE_verb_NONE &&
		  starts(condition(CHOICE_condition_type_PROGRESSING)->text, "older than"),
	    "with OnDemand nothing is waited for");
	begin_change();
	add("", 0, 0, "Europe/Berln");
	script[0] = '\0';
	pass(7200);
	CHECK(next_change() == CHOICE_verb_NONE && strstr(script, "event WindowInvalid"),
	    "an unknown zone: nothing begins, and an Event tells");
	k = condition(CHOICE_condition_type_PROGRESSING);
	CHECK(k->reason == REASON_WINDOW_INVALID && k->status == CHOICE_condition_status_FALSE &&
		  starts(k->text, "spec.maintenanceWindows[1].timeZone: no time zone is called "
				  "Europe/Berln;"),
	    "the condition names the field and what it says");
	is(play(), "", "once");
	serve(3);
	one("Sunday", 100, 500, "UTC");
	c.windows = &windows;
	world.unix_s = WEDNESDAY;
	world.sweep_ms = INT64_C(1) << 40;
	is(play(), "", "where nothing waits windows are not spoken of");
	CHECK(step.again.v == world.now.v + 3600 * 1000, "the wall clock is looked at every hour");
}

int
main(void)
{
	test_utc();
	test_changes_of_the_clock();
	test_unknown_zone();
	test_against_clocks();
	test_pods();
	test_primary();
	test_restart();
	test_what_is_said();
	return tap_done();
}
