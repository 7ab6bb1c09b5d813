/*
 * plan/zone.c: every row of the table against glibc, which reads POSIX TZ strings as well and needs
 * no file for them, at thousands of moments; known moments of known zones; strings that are none.
 */
#include <stdlib.h>
#include <time.h>

#include "plan/zone.h"
#include "tests/unit/tap.h"

static uint64_t seed = 88172645463325252ULL;

static uint64_t
rnd(uint64_t n)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed % n;
}

static void
set_libc(const char *tz)
{
	setenv("TZ", tz, 1);
	tzset();
}

static int64_t
libc_offset(int64_t t)
{
	time_t time = (time_t)t;
	struct tm tm;

	localtime_r(&time, &tm);
	return tm.tm_gmtoff;
}

/* --- Against glibc. */

#define Y2000 INT64_C(946684800)
#define Y2100 INT64_C(4102444800)

static bool
same_at(const char *name, const struct zone *z, int64_t t)
{
	int64_t libc = libc_offset(t), ours = zone_offset_s(z, t);

	if (libc != ours)
		printf("# %s at %lld: %lld, libc says %lld\n", name, (long long)t, (long long)ours,
		    (long long)libc);
	return libc == ours;
}

/* Random moments, and those at which libc changes its mind, to the second. */
static bool
same_as_libc(const char *name, const struct zone *z, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		int64_t a = Y2000 + (int64_t)rnd(Y2100 - Y2000), b = a + 100 * 86400;

		if (!same_at(name, z, a))
			return false;
		if (libc_offset(a) == libc_offset(b))
			continue;
		while (b - a > 1) {
			int64_t middle = a + (b - a) / 2;

			if (libc_offset(middle) == libc_offset(a))
				a = middle;
			else
				b = middle;
		}
		if (!same_at(name, z, a) || !same_at(name, z, b))
			return false;
	}
	return true;
}

/* All clocks that show local_s or later, minute by minute around it: the first. */
static bool
to_unix_is_first(const char *name, const struct zone *z, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		int64_t local = Y2000 + (int64_t)rnd(Y2100 - Y2000), t, first;

		if (i % 2 == 0) { /* near a change */
			t = local;
			for (unsigned d = 0; d < 366 && libc_offset(t) == libc_offset(t + 86400);
			     d++)
				t += 86400;
			local = t + libc_offset(t) + (int64_t)rnd(2 * 86400);
		}
		local -= local % 60;
		first = local - 27 * 3600;
		while (first + libc_offset(first) < local)
			first += 60;
		if (zone_to_unix(z, local) != first) {
			printf("# %s: local %lld is first at %lld, not %lld\n", name,
			    (long long)local, (long long)first, (long long)zone_to_unix(z, local));
			return false;
		}
	}
	return true;
}

static void
test_table(void)
{
	const char *name, *tz, *before = "";
	bool parsed = true, sorted = true, found = true, same = true, first = true;
	unsigned n = 0;

	for (; zone_row(n, &name, &tz); n++) {
		struct zone z, by_name;

		sorted = sorted && strcmp(before, name) < 0 && strlen(name) <= ZONE_NAME_MAX;
		before = name;
		if (zone_parse(str_of(tz), &z) == -1) {
			printf("# %s: %s\n", name, tz);
			parsed = false;
			continue;
		}
		found = found && zone_find(str_of(name), &by_name) == 0 &&
		        zone_offset_s(&z, Y2000) == zone_offset_s(&by_name, Y2000);
		set_libc(tz);
		same = same_as_libc(name, &z, z.has_summer ? 60 : 4) && same;
		first = to_unix_is_first(name, &z, z.has_summer ? 4 : 1) && first;
	}
	CHECK(n > 400, "the table has its zones");
	CHECK(parsed, "every row can be read");
	CHECK(sorted, "rows are sorted by name, and no name is longer than ZONE_NAME_MAX");
	CHECK(found, "every name is found");
	CHECK(same, "every zone is as far from UTC as glibc says, at changes to the second");
	CHECK(first, "a local time's first moment is that at which glibc shows it first");
}

/* Strings that tzdata does not have now, but had, or may have. */
static void
test_strings(void)
{
	static const char *const rows[] = {"EST5EDT,M3.2.0,M11.1.0", "CET-1CEST,M3.5.0,M10.5.0/3",
	    "IST-1GMT0,M10.5.0,M3.5.0/1", "<-02>2<-01>,M3.5.0/-1,M10.5.0/0",
	    "<+1030>-10:30<+11>-11,M10.1.0,M4.1.0", "IST-2IDT,M3.4.4/26,M10.5.0",
	    "EET-2EEST,M3.4.4/50,M10.4.4/50", "<+1245>-12:45<+1345>,M9.5.0/2:45,M4.1.0/3:45",
	    "AAA3BBB,J60/0,J300/12:30", "AAA-3BBB,59/1,299", "AAA0BBB,M2.5.6/-48,M1.1.1/100",
	    "AAA12:34"};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct zone z;

		set_libc(rows[i]);
		CHECK(zone_parse(str_of(rows[i]), &z) == 0 && same_as_libc(rows[i], &z, 500) &&
			  to_unix_is_first(rows[i], &z, 20),
		    rows[i]);
	}
}

static void
test_seconds(void)
{
	static const char tz[] = "AAA12:34:56BBB-1:02:03,J60/-4:05:06,J300/7:08:09";
	struct zone z;

	set_libc(tz);
	CHECK(zone_parse(str_of(tz), &z) == 0 && same_as_libc(tz, &z, 500), tz);
}

/* RFC 8536, 3.3.1: summer time ends when it begins again. glibc errs there around New Year. */
static void
test_all_year(void)
{
	struct zone z;
	bool all = zone_parse(STR("EST5EDT,0/0,J365/25"), &z) == 0;

	for (int64_t t = 3818448000 - 86400; all && t < 3818448000 + 86400; t += 600)
		all = zone_offset_s(&z, t) == -4 * 3600;
	CHECK(all, "summer time all year");
}

static void
test_bad_strings(void)
{
	static const char *const bad[] = {"", "CET", "CE-1", "CET-25", "CET-1:60", "CET-1CEST",
	    "CET-1CEST,M3.5.0", "CET-1CEST,M3.5.0,M10.5.0/3x", "CET-1CEST,M13.5.0,M10.5.0",
	    "CET-1CEST,M3.6.0,M10.5.0", "CET-1CEST,M3.5.7,M10.5.0", "CET-1CEST,J0,J1",
	    "CET-1CEST,J366,J1", "CET-1CEST,366,1", "CET-1CEST,M3.5.0/168,M10.5.0", "<+03-3",
	    "<+0>-3", "+03-3", "CET-", "CET-1 ", ":Europe/Berlin", "CET-99999999999999999999"};
	struct zone z;
	bool all = true;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (zone_parse(str_of(bad[i]), &z) != -1) {
			printf("# %s\n", bad[i]);
			all = false;
		}
	CHECK(all, "what is no TZ string is refused");
}

/* --- Moments that anybody can look up. */

static void
test_known(void)
{
	static const struct {
		const char *zone;
		int64_t at;
		int offset_min;
	} rows[] = {
	    {"UTC", 1795910400, 0}, /* 2026-11-29 */
	    {"Etc/UTC", 1795910400, 0},
	    {"Europe/Berlin", 1795910400, 60},
	    {"Europe/Berlin", 1774745999, 60}, /* 2026-03-29 00:59:59Z */
	    {"Europe/Berlin", 1774746000, 120},
	    {"Europe/Berlin", 1792889999, 120}, /* 2026-10-25 00:59:59Z */
	    {"Europe/Berlin", 1792890000, 60},
	    {"Europe/Dublin", 1782864000, 60}, /* 2026-07-01 */
	    {"Europe/Dublin", 1795910400, 0},
	    {"America/New_York", 1782864000, -240},
	    {"US/Eastern", 1795910400, -300},
	    {"Asia/Calcutta", 1795910400, 330},
	    {"Asia/Kathmandu", 1795910400, 345},
	    {"Australia/Lord_Howe", 1795910400, 660},
	    {"Australia/Lord_Howe", 1782864000, 630},
	    {"Pacific/Kiritimati", 1795910400, 840},
	    {"Etc/GMT+12", 1795910400, -720},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct zone z;
		char name[96];

		snprintf(name, sizeof(name), "%s at %lld is %d minutes from UTC", rows[i].zone,
		    (long long)rows[i].at, rows[i].offset_min);
		CHECK(zone_find(str_of(rows[i].zone), &z) == 0 &&
			  zone_offset_s(&z, rows[i].at) == rows[i].offset_min * 60,
		    name);
	}
}

static void
test_names(void)
{
	static const char *const bad[] = {"", "Europe", "Europe/", "Europe/Berli", "Europe/Berlins",
	    "europe/berlin", "Europe/Berlin ", "CET-1CEST,M3.5.0,M10.5.0/3", "posixrules", "~",
	    "A"};
	struct zone z;
	bool all = true;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		all = all && zone_find(str_of(bad[i]), &z) == -1;
	all = all && zone_find((struct str){"UTC\0x", 5}, &z) == -1;
	CHECK(all, "what is no zone's name is not found");
}

static void
test_days(void)
{
	CHECK(
	    zone_day(-1) == -1 && zone_day(0) == 0 && zone_day(86399) == 0 && zone_day(86400) == 1,
	    "days");
	CHECK(zone_weekday(0) == 4 && zone_weekday(-4) == 0 && zone_weekday(-5) == 6 &&
		  zone_weekday(20786) == 0,
	    "1970-01-01 was a Thursday, 2026-11-29 is a Sunday");
}

int
main(void)
{
	test_table();
	test_strings();
	test_seconds();
	test_all_year();
	test_bad_strings();
	test_known();
	test_names();
	test_days();
	return tap_done();
}
