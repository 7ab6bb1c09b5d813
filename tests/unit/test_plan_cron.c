/* Cron: what can be read, and when it is due, also on days on which clocks are changed. */
#include <string.h>

#include "plan/cron.h"
#include "tests/unit/tap.h"

static char got[21];

/* The next times after `after`, n of them; of the last one its text. */
static const char *
next(const char *cron, const char *zone, const char *after, unsigned n)
{
	struct cron c;
	struct zone z;
	int64_t t;

	if (cron_parse(str_of(cron), &c) == -1 || zone_find(str_of(zone), &z) == -1 ||
	    time_parse(str_of(after), &t) == -1)
		return "none";
	while (n-- > 0 && t != INT64_MAX)
		t = cron_next(&c, &z, t);
	if (t == INT64_MAX)
		return "never";
	time_rfc3339(got, t);
	return got;
}

static void
is(const char *text, const char *expected, const char *name)
{
	if (!CHECK(strcmp(text, expected) == 0, name))
		printf("# got %s, expected %s\n", text, expected);
}

static bool
reads(const char *cron)
{
	struct cron c;

	return cron_parse(str_of(cron), &c) == 0;
}

static void
test_reading(void)
{
	static const char *const good[] = {"* * * * *", "0 0 1 1 0", "*/5 1-5,7 * JAN-mar sun",
	    "59 23 31 12 7", "  0\t2 * * 1-5 ", "@daily", "@yearly", "5/15 * * * *"};
	static const char *const bad[] = {"", "* * * *", "* * * * * *", "60 * * * *", "* 24 * * *",
	    "* * 0 * *", "* * * 13 *", "* * * * 8", "5-1 * * * *", "*/0 * * * *", "a * * * *",
	    "1,,2 * * * *", "@often", "-1 * * * *", "1- * * * *", "* * * foo *", "*/ * * * *",
	    "99999999999999999999 * * * *"};

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		CHECK(reads(good[i]), good[i]);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		CHECK(!reads(bad[i]), bad[i]);
}

static void
test_times(void)
{
	is(next("30 2 * * *", "UTC", "2026-11-26T08:00:00Z", 1), "2026-11-27T02:30:00Z", "daily");
	is(next("30 2 * * *", "UTC", "2026-11-26T02:30:00Z", 1), "2026-11-27T02:30:00Z",
	    "strictly after");
	is(next("*/15 * * * *", "UTC", "2026-11-26T08:01:02Z", 3), "2026-11-26T08:45:00Z", "steps");
	is(next("0 0 29 2 *", "UTC", "2026-11-26T08:00:00Z", 1), "2028-02-29T00:00:00Z",
	    "February 29th");
	is(next("0 0 30 2 *", "UTC", "2026-11-26T08:00:00Z", 1), "never", "February 30th");
	is(next("0 0 31 4,6,9,11 *", "UTC", "2026-11-26T08:00:00Z", 1), "never", "no such days");
	is(next("0 12 * * sun", "UTC", "2026-11-26T08:00:00Z", 1), "2026-11-29T12:00:00Z",
	    "Sunday");
	is(next("0 12 * * 7", "UTC", "2026-11-26T08:00:00Z", 1), "2026-11-29T12:00:00Z",
	    "also as 7");
	is(next("0 0 1 * 1", "UTC", "2026-11-26T08:00:00Z", 1), "2026-11-30T00:00:00Z",
	    "either the day of the week");
	is(next("0 0 1 * 1", "UTC", "2026-11-30T08:00:00Z", 1), "2026-12-01T00:00:00Z",
	    "or the day of the month");
	is(next("0 0 */2 * 1", "UTC", "2026-11-26T08:00:00Z", 1), "2026-12-07T00:00:00Z",
	    "with a '*' both");
	is(next("0 9 * * *", "Asia/Kolkata", "2026-11-26T08:00:00Z", 1), "2026-11-27T03:30:00Z",
	    "in a zone of half hours");
	is(next("0 0 * * *", "Pacific/Kiritimati", "2026-11-26T08:00:00Z", 1),
	    "2026-11-26T10:00:00Z", "far in the east");
	is(next("@monthly", "America/New_York", "2026-11-26T08:00:00Z", 1), "2026-12-01T05:00:00Z",
	    "in the west");
}

/* Berlin: on 2026-03-29 2:00 is 3:00, at 1:00Z; on 2026-10-25 3:00 is 2:00 again, at 1:00Z. */
static void
test_changes_of_the_clock(void)
{
	const char *z = "Europe/Berlin";

	is(next("30 2 * * *", z, "2026-03-28T12:00:00Z", 1), "2026-03-29T01:00:00Z",
	    "a time that is left out is the leap");
	is(next("30 2 * * *", z, "2026-03-28T12:00:00Z", 2), "2026-03-30T00:30:00Z", "once");
	is(next("0,30 2 * * *", z, "2026-03-28T12:00:00Z", 2), "2026-03-30T00:00:00Z",
	    "two of them are one");
	is(next("30 2 * * *", z, "2026-10-24T12:00:00Z", 1), "2026-10-25T00:30:00Z",
	    "a time that comes twice is the first");
	is(next("30 2 * * *", z, "2026-10-24T12:00:00Z", 2), "2026-10-26T01:30:00Z", "once");
	is(next("30 * * * *", z, "2026-10-24T23:31:00Z", 1), "2026-10-25T00:30:00Z",
	    "what is every hour");
	is(next("30 * * * *", z, "2026-10-24T23:31:00Z", 2), "2026-10-25T01:30:00Z",
	    "is in both hours");
	is(next("30 * * * *", z, "2026-10-24T23:31:00Z", 3), "2026-10-25T02:30:00Z", "and goes on");
	is(next("*/20 * * * *", z, "2026-03-29T00:41:00Z", 1), "2026-03-29T01:00:00Z",
	    "nothing is missed");
}

static void
test_parsed_times(void)
{
	int64_t t;

	CHECK(time_parse(STR("1970-01-01T00:00:00Z"), &t) == 0 && t == 0, "the epoch");
	CHECK(time_parse(STR("2026-11-26T09:30:01.25+01:30"), &t) == 0 && t == 1795680001,
	    "a fraction and an offset");
	CHECK(time_parse(STR("2026-11-26"), &t) == -1 && time_parse(STR(""), &t) == -1 &&
		  time_parse(STR("2026-11-26T09:30:01"), &t) == -1 &&
		  time_parse(STR("2026-13-26T09:30:01Z"), &t) == -1 &&
		  time_parse(STR("2026-11-26T09:30:01Zx"), &t) == -1,
	    "what is none");
	CHECK(time_parse_duration(STR("1h30m"), &t) == 0 && t == 5400, "1h30m");
	CHECK(time_parse_duration(STR("45s"), &t) == 0 && t == 45, "45s");
	CHECK(time_parse_duration(STR(""), &t) == -1 && time_parse_duration(STR("5"), &t) == -1 &&
		  time_parse_duration(STR("1m1h"), &t) == -1 &&
		  time_parse_duration(STR("99999999h"), &t) == -1,
	    "no durations");
}

int
main(void)
{
	test_reading();
	test_times();
	test_changes_of_the_clock();
	test_parsed_times();
	return tap_done();
}
