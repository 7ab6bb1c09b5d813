/* When a schedule is due. Pure. */
#include "plan/cron.h"

#include <string.h>

#define MINUTE_S 60
#define DAY_S 86400
#define AHEAD_DAYS (8 * 366 + 1) /* February 29th comes again within eight years */

struct field {
	int min, max;
	const char *names; /* three letters each; the first is min */
};

static const struct field fields[] = {
    {0, 59, NULL},
    {0, 23, NULL},
    {1, 31, NULL},
    {1, 12, "janfebmaraprmayjunjulaugsepoctnovdec"},
    {0, 7, "sunmontuewedthufrisat"},
};
#define FIELDS (sizeof(fields) / sizeof(fields[0]))

static const struct {
	const char *name, *fields;
} macros[] = {
    {"@hourly", "0 * * * *"},
    {"@daily", "0 0 * * *"},
    {"@midnight", "0 0 * * *"},
    {"@weekly", "0 0 * * 0"},
    {"@monthly", "0 0 1 * *"},
    {"@yearly", "0 0 1 1 *"},
    {"@annually", "0 0 1 1 *"},
};

/* --- Reading. */

/* Up to the first of any; the rest stays in s, without that. */
static struct str
cut(struct str *s, const char *any)
{
	size_t n = 0;
	struct str head;

	while (n < s->len && strchr(any, s->p[n]) == NULL)
		n++;
	head = (struct str){s->p, n};
	*s = n < s->len ? (struct str){s->p + n + 1, s->len - n - 1} : (struct str){s->p + n, 0};
	return head;
}

static char
lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c + 'a' - 'A') : c;
}

static int
read_value(const struct field *f, struct str s)
{
	uint64_t v;

	if (str_to_u64(s, &v) == 0)
		return v >= (uint64_t)f->min && v <= (uint64_t)f->max ? (int)v : -1;
	if (f->names == NULL || s.len != 3)
		return -1;
	for (int i = 0; f->names[3 * i] != '\0'; i++)
		if (lower(s.p[0]) == f->names[3 * i] && lower(s.p[1]) == f->names[3 * i + 1] &&
		    lower(s.p[2]) == f->names[3 * i + 2])
			return f->min + i;
	return -1;
}

static bool
has_char(struct str s, char c)
{
	return s.len > 0 && memchr(s.p, c, s.len) != NULL;
}

/* "5", "1-5", "*", each with "/n" */
static int
read_part(const struct field *f, struct str part, uint64_t *mask)
{
	bool stepped = has_char(part, '/');
	struct str range = cut(&part, "/");
	uint64_t step = 1;
	int from, to;

	if (stepped && (str_to_u64(part, &step) == -1 || step == 0 || step > 59))
		return -1;
	if (str_is(range, "*")) {
		from = f->min;
		to = f->max;
	} else if (has_char(range, '-')) {
		from = read_value(f, cut(&range, "-"));
		to = read_value(f, range);
	} else {
		from = read_value(f, range);
		to = stepped ? f->max : from;
	}
	if (from == -1 || to == -1 || from > to)
		return -1;
	for (int v = from; v <= to; v += (int)step)
		*mask |= UINT64_C(1) << v;
	return 0;
}

static int
read_field(const struct field *f, struct str s, uint64_t *mask)
{
	bool more = true;

	*mask = 0;
	while (more) {
		struct str part;

		more = has_char(s, ',');
		part = cut(&s, ",");
		if (part.len == 0 || read_part(f, part, mask) == -1)
			return -1;
	}
	return 0;
}

static struct str
skip_blanks(struct str s)
{
	while (s.len > 0 && (s.p[0] == ' ' || s.p[0] == '\t'))
		s = (struct str){s.p + 1, s.len - 1};
	while (s.len > 0 && (s.p[s.len - 1] == ' ' || s.p[s.len - 1] == '\t'))
		s.len--;
	return s;
}

int
cron_parse(struct str s, struct cron *out)
{
	uint64_t mask[FIELDS];
	bool any[FIELDS];

	s = skip_blanks(s);
	for (size_t i = 0; i < sizeof(macros) / sizeof(macros[0]); i++)
		if (str_is(s, macros[i].name))
			s = str_of(macros[i].fields);
	for (size_t i = 0; i < FIELDS; i++) {
		struct str field = cut(&s, " \t");

		any[i] = field.len > 0 && field.p[0] == '*';
		if (read_field(&fields[i], field, &mask[i]) == -1)
			return -1;
		s = skip_blanks(s);
	}
	if (s.len > 0)
		return -1;
	*out = (struct cron){.minutes = mask[0],
	    .hours = (uint32_t)mask[1],
	    .days = (uint32_t)mask[2],
	    .months = (uint16_t)mask[3],
	    .weekdays = (uint8_t)((mask[4] | mask[4] >> 7) & 0x7f),
	    .any_hour = any[1],
	    .any_day = any[2],
	    .any_weekday = any[4]};
	return 0;
}

/* --- When. */

/* Month and day of the month; as base/clock.c has it, which knows no zones. */
static void
date_of(int64_t day, int *month, int *mday)
{
	char text[21];

	time_rfc3339(text, day * DAY_S);
	*month = (text[5] - '0') * 10 + text[6] - '0';
	*mday = (text[8] - '0') * 10 + text[9] - '0';
}

static bool
is_on(const struct cron *c, int64_t day)
{
	int month, mday;
	bool by_day, by_weekday = c->weekdays >> zone_weekday(day) & 1;

	date_of(day, &month, &mday);
	by_day = c->days >> mday & 1;
	if ((c->months >> month & 1) == 0)
		return false;
	return c->any_day || c->any_weekday ? by_day && by_weekday : by_day || by_weekday;
}

/* The second time that the clocks show it, where the first is t; or t. */
static int64_t
again(const struct zone *z, int64_t local_s, int64_t t)
{
	int32_t least = z->has_summer && z->summer_s < z->standard_s ? z->summer_s : z->standard_s;
	int64_t second = local_s - least;

	return second > t && second + zone_offset_s(z, second) == local_s ? second : t;
}

/* The first of that day after after_s; -1 = none. */
static int64_t
first_on(const struct cron *c, const struct zone *z, int64_t day, int64_t after_s)
{
	int64_t best = -1;

	for (int min = 0; min < 24 * 60; min++) {
		int64_t local = day * DAY_S + min * MINUTE_S, t;

		if ((c->hours >> min / 60 & 1) == 0 || (c->minutes >> min % 60 & 1) == 0)
			continue;
		t = zone_to_unix(z, local);
		if (t <= after_s && c->any_hour)
			t = again(z, local, t);
		if (t > after_s && (best == -1 || t < best))
			best = t;
	}
	return best;
}

int64_t
cron_next(const struct cron *c, const struct zone *z, int64_t after_s)
{
	int64_t today = zone_day(after_s + zone_offset_s(z, after_s));

	for (int64_t day = today - 1; day <= today + AHEAD_DAYS; day++) {
		int64_t t = is_on(c, day) ? first_on(c, z, day, after_s) : -1;

		if (t != -1)
			return t;
	}
	return INT64_MAX;
}
