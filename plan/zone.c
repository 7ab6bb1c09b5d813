/*
 * Time zones by name: a table of POSIX TZ strings, a parser of what these can say, and the
 * arithmetic of their rules. See plan/zone.h. A zone's past is not known here: who plans looks
 * ahead.
 */
#include "plan/zone.h"

#include <string.h>

#define HOUR_S 3600
#define DAY_S 86400
#define RULE_HOURS_MAX 167
#define OFFSET_HOURS_MAX 24

/* --- The table: one text, and where each row begins in it. So it needs no relocations. */

/* clang-format off */
#define ROW_NAME(line) row_##line
#define ROW(line) ROW_NAME(line)
static const struct table {
#define ZONE(name, tz) char ROW(__LINE__)[sizeof(name "\0" tz)];
#include "model/zones.def"
#undef ZONE
} table = {
#define ZONE(name, tz) name "\0" tz,
#include "model/zones.def"
#undef ZONE
};
static const uint16_t rows[] = {
#define ZONE(name, tz) offsetof(struct table, ROW(__LINE__)),
#include "model/zones.def"
#undef ZONE
};
/* clang-format on */
#define ROWS (sizeof(rows) / sizeof(rows[0]))
_Static_assert(sizeof(table) <= UINT16_MAX, "rows[] holds offsets in 16 bits");

bool
zone_row(unsigned n, const char **name, const char **tz)
{
	if (n >= ROWS)
		return false;
	*name = (const char *)&table + rows[n];
	*tz = *name + strlen(*name) + 1;
	return true;
}

static int
compare(struct str a, const char *b)
{
	int order = strncmp(a.p, b, a.len);

	return order != 0 ? order : b[a.len] == '\0' ? 0 : -1;
}

int
zone_find(struct str name, struct zone *out)
{
	unsigned low = 0, high = ROWS;

	if (name.len == 0 || !charset_ok(CHARS_PRINT, name))
		return -1;
	while (low < high) {
		unsigned middle = (low + high) / 2;
		const char *at, *tz;
		int order;

		zone_row(middle, &at, &tz);
		order = compare(name, at);
		if (order == 0)
			return zone_parse(str_of(tz), out);
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return -1;
}

/* --- Parsing. */

struct reader {
	const char *p, *end;
};

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool
is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool
take(struct reader *r, char c)
{
	if (r->p == r->end || *r->p != c)
		return false;
	r->p++;
	return true;
}

static int
take_number(struct reader *r, int min, int max, int *out)
{
	const char *from = r->p;
	int v = 0;

	for (; r->p < r->end && is_digit(*r->p) && v <= max; r->p++)
		v = v * 10 + (*r->p - '0');
	*out = v;
	return r->p > from && v >= min && v <= max ? 0 : -1;
}

/* Letters, or <letters, digits and signs>: at least three. What it says is of no use here. */
static int
take_name(struct reader *r)
{
	bool quoted = take(r, '<');
	const char *from = r->p;

	while (r->p < r->end &&
	       (is_letter(*r->p) || (quoted && (is_digit(*r->p) || *r->p == '+' || *r->p == '-'))))
		r->p++;
	if (r->p - from < 3)
		return -1;
	return !quoted || take(r, '>') ? 0 : -1;
}

/* [+-]hh[:mm[:ss]] */
static int
take_time(struct reader *r, int hours_max, int32_t *out)
{
	bool minus = take(r, '-');
	int h, m = 0, s = 0;

	if (!minus)
		(void)take(r, '+');
	if (take_number(r, 0, hours_max, &h) == -1)
		return -1;
	if (take(r, ':')) {
		if (take_number(r, 0, 59, &m) == -1)
			return -1;
		if (take(r, ':') && take_number(r, 0, 59, &s) == -1)
			return -1;
	}
	*out = h * HOUR_S + m * 60 + s;
	if (minus)
		*out = -*out;
	return 0;
}

static int
take_day(struct reader *r, struct zone_rule *out)
{
	int month = 0, week = 0, day;

	if (take(r, 'M')) {
		out->kind = ZONE_WEEKDAY;
		if (take_number(r, 1, 12, &month) == -1 || !take(r, '.') ||
		    take_number(r, 1, 5, &week) == -1 || !take(r, '.') ||
		    take_number(r, 0, 6, &day) == -1)
			return -1;
	} else if (take(r, 'J')) {
		out->kind = ZONE_JULIAN;
		if (take_number(r, 1, 365, &day) == -1)
			return -1;
	} else {
		out->kind = ZONE_DAY;
		if (take_number(r, 0, 365, &day) == -1)
			return -1;
	}
	out->month = (int16_t)month;
	out->week = (int16_t)week;
	out->day = (int16_t)day;
	return 0;
}

/* ,day[/time]; without a time it is 2 o'clock */
static int
take_rule(struct reader *r, struct zone_rule *out)
{
	if (!take(r, ',') || take_day(r, out) == -1)
		return -1;
	out->time_s = 2 * HOUR_S;
	return take(r, '/') ? take_time(r, RULE_HOURS_MAX, &out->time_s) : 0;
}

/* POSIX counts hours west of Greenwich. */
static int
take_offset(struct reader *r, int32_t *out)
{
	if (take_time(r, OFFSET_HOURS_MAX, out) == -1)
		return -1;
	*out = -*out;
	return 0;
}

int
zone_parse(struct str tz, struct zone *out)
{
	struct reader r = {tz.p, tz.p + tz.len};
	struct zone z = {0};

	if (take_name(&r) == -1 || take_offset(&r, &z.standard_s) == -1)
		return -1;
	if (r.p < r.end) {
		z.has_summer = true;
		z.summer_s = z.standard_s + HOUR_S;
		if (take_name(&r) == -1 ||
		    (r.p < r.end && *r.p != ',' && take_offset(&r, &z.summer_s) == -1) ||
		    take_rule(&r, &z.begin) == -1 || take_rule(&r, &z.end) == -1 || r.p != r.end)
			return -1;
	}
	*out = z;
	return 0;
}

/* --- Days, counted from 1970-01-01. */

static int64_t
floor_div(int64_t a, int64_t b)
{
	return a / b - (a % b < 0);
}

static bool
is_leap(int64_t year)
{
	return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

/* Days before January 1st of year: 365 a year, and one for each leap year before it. */
static int64_t
days_before_year(int64_t year)
{
	int64_t last = year - 1;
	int64_t leaps = floor_div(last, 4) - floor_div(last, 100) + floor_div(last, 400);

	return 365 * (year - 1970) + leaps - 477;
}

static int64_t
year_of(int64_t day)
{
	int64_t year = 1970 + day * 400 / 146097;

	while (days_before_year(year) > day)
		year--;
	while (days_before_year(year + 1) <= day)
		year++;
	return year;
}

int64_t
zone_day(int64_t local_s)
{
	return floor_div(local_s, DAY_S);
}

int
zone_weekday(int64_t day)
{
	return (int)(day + 4 - floor_div(day + 4, 7) * 7); /* 1970-01-01 was a Thursday */
}

static int64_t
rule_day(const struct zone_rule *r, int64_t year)
{
	static const int16_t before[] = {
	    0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334, 365};
	int64_t first = days_before_year(year), day;
	bool leap = is_leap(year);
	int length;

	if (r->kind == ZONE_DAY)
		return first + r->day;
	if (r->kind == ZONE_JULIAN)
		return first + r->day - 1 + (leap && r->day >= 60);
	first += before[r->month - 1] + (leap && r->month > 2);
	length = before[r->month] - before[r->month - 1] + (leap && r->month == 2);
	day = (r->day - zone_weekday(first) + 7) % 7 + 7 * (r->week - 1);
	return first + (day < length ? day : day - 7);
}

/* --- Rules. */

/*
 * What counts is the change that came last. One of the year before or after may be it, since rules
 * name times up to a week away from their day. Two at the same moment: summer time goes on.
 */
static bool
is_summer(const struct zone *z, int64_t unix_s)
{
	int64_t year = year_of(zone_day(unix_s)), last = INT64_MIN;
	bool summer = false;

	for (int64_t y = year - 1; y <= year + 1; y++) {
		int64_t begin = rule_day(&z->begin, y) * DAY_S + z->begin.time_s - z->standard_s;
		int64_t end = rule_day(&z->end, y) * DAY_S + z->end.time_s - z->summer_s;

		if (end <= unix_s && end > last) {
			last = end;
			summer = false;
		}
		if (begin <= unix_s && begin >= last) {
			last = begin;
			summer = true;
		}
	}
	return summer;
}

int64_t
zone_offset_s(const struct zone *z, int64_t unix_s)
{
	return z->has_summer && is_summer(z, unix_s) ? z->summer_s : z->standard_s;
}

int64_t
zone_to_unix(const struct zone *z, int64_t local_s)
{
	int64_t most = z->standard_s, least = z->standard_s, early, late;

	if (z->has_summer && z->summer_s > most)
		most = z->summer_s;
	if (z->has_summer && z->summer_s < least)
		least = z->summer_s;
	early = local_s - most; /* before it no clock shows local_s, at late one does */
	late = local_s - least;
	if (early + zone_offset_s(z, early) >= local_s)
		return early;
	while (late - early > 1) {
		int64_t middle = early + (late - early) / 2;

		if (middle + zone_offset_s(z, middle) >= local_s)
			late = middle;
		else
			early = middle;
	}
	return late;
}
