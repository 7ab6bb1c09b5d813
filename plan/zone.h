/*
 * Time zones: what a clock on the wall of a zone shows, by the zone's present rules. Pure: no
 * files, no libc time functions; the names and rules are model/zones.def. For the files of plan/
 * that plan by a wall clock, and their tests.
 */
#ifndef PLAN_ZONE_H
#define PLAN_ZONE_H

#include "base/base.h"

/* A day of each year and a time on it, as a POSIX TZ string gives them. */
struct zone_rule {
	enum {
		ZONE_WEEKDAY, /* Mm.w.d: day (0 = Sunday) of week (5 = the last one) of month */
		ZONE_JULIAN,  /* Jn: day 1..365, February 29th is never counted */
		ZONE_DAY,     /* n: day 0..365, February 29th is counted */
	} kind;
	int16_t month, week, day;
	int32_t time_s; /* of local time; -167 h to 167 h */
};
struct zone {
	int32_t standard_s, summer_s; /* east of Greenwich */
	bool has_summer;              /* else only standard_s counts */
	struct zone_rule begin, end;  /* of summer time */
};

/* By its IANA name, exactly as written there ("Europe/Berlin"). -1: there is none. */
int zone_find(struct str name, struct zone *out);
/*
 * A POSIX TZ string as tzdata has them ("<+0330>-3:30", "CET-1CEST,M3.5.0,M10.5.0/3"; RFC 8536,
 * 3.3.1): with summer time its rules must be given. -1: it is none.
 */
int zone_parse(struct str tz, struct zone *out);
/* Seconds that the clocks there are ahead of UTC. */
int64_t zone_offset_s(const struct zone *z, int64_t unix_s);
/*
 * The first moment at which the clocks there show local_s (seconds since 1970-01-01T00:00 of their
 * own) or later: of a time that comes twice the first, of one that is left out the moment of the
 * leap.
 */
int64_t zone_to_unix(const struct zone *z, int64_t local_s);

/* Days since 1970-01-01, and which day of the week that is (0 = Sunday). */
int64_t zone_day(int64_t local_s);
int zone_weekday(int64_t day);
/* Row n of the table, for tests; false past its end. */
bool zone_row(unsigned n, const char **name, const char **tz);

#endif
