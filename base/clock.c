/*
 * Clocks, read by loops only, and RFC 3339 times as the API writes them (metav1.Time and
 * metav1.MicroTime: UTC, no fraction or six digits).
 */
#include <time.h>

#include "base/base.h"

#define DAY_S 86400
#define YEAR0_S INT64_C(-62167219200)    /* 0000-01-01T00:00:00Z */
#define YEAR9999_S INT64_C(253402300799) /* 9999-12-31T23:59:59Z */

static struct timespec
clock_read(clockid_t id)
{
	struct timespec ts;

	if (clock_gettime(id, &ts) == -1)
		die("clock_gettime %d", (int)id);
	return ts;
}

static struct msec
to_msec(struct timespec ts)
{
	return (struct msec){(int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000};
}

struct msec
clock_mono(void)
{
	return to_msec(clock_read(CLOCK_MONOTONIC));
}

struct msec
clock_boot(void)
{
	return to_msec(clock_read(CLOCK_BOOTTIME));
}

int64_t
clock_wall_s(void)
{
	return (int64_t)clock_read(CLOCK_REALTIME).tv_sec;
}

struct civil {
	int year, month, day, hour, min, sec;
};

/* Days to a date of the proleptic Gregorian calendar, with years that begin on March 1st so that
 * the leap day comes last, in eras of 400 years (146097 days). Own arithmetic: gmtime
 * reads files. */
static struct civil
civil_of(int64_t s)
{
	struct civil c;
	int64_t days, era, doe, yoe, doy, mp, rest;

	if (s < YEAR0_S)
		s = YEAR0_S;
	if (s > YEAR9999_S)
		s = YEAR9999_S;
	rest = ((s % DAY_S) + DAY_S) % DAY_S;
	days = (s - rest) / DAY_S + 719468; /* since 0000-03-01 */
	era = (days >= 0 ? days : days - 146096) / 146097;
	doe = days - era * 146097;
	yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
	mp = (5 * doy + 2) / 153;
	c.day = (int)(doy - (153 * mp + 2) / 5 + 1);
	c.month = (int)(mp < 10 ? mp + 3 : mp - 9);
	c.year = (int)(yoe + era * 400 + (c.month <= 2 ? 1 : 0));
	c.hour = (int)(rest / 3600);
	c.min = (int)(rest / 60 % 60);
	c.sec = (int)(rest % 60);
	return c;
}

/* v as n decimal digits at *p, and the byte that ends the field. */
static void
put_digits(char **p, int v, int n, char end)
{
	int i;

	for (i = n - 1; i >= 0; i--) {
		(*p)[i] = (char)('0' + v % 10);
		v /= 10;
	}
	(*p)[n] = end;
	*p += n + 1;
}

static char *
put_civil(char *p, struct civil c, char end)
{
	put_digits(&p, c.year, 4, '-');
	put_digits(&p, c.month, 2, '-');
	put_digits(&p, c.day, 2, 'T');
	put_digits(&p, c.hour, 2, ':');
	put_digits(&p, c.min, 2, ':');
	put_digits(&p, c.sec, 2, end);
	return p;
}

void
time_rfc3339(char out[21], int64_t s)
{
	*put_civil(out, civil_of(s), 'Z') = '\0';
}

void
time_rfc3339_micro(char out[28], int64_t s, int64_t us)
{
	char *p;

	if (us < 0 || us > 999999)
		die("time_rfc3339_micro: %lld microseconds", (long long)us);
	p = put_civil(out, civil_of(s), '.');
	put_digits(&p, (int)us, 6, 'Z');
	*p = '\0';
}

/* --- Reading them. */

/* n digits at s->p, taken off it; -1 if they are none or not in lo..hi. */
static int64_t
take_digits(struct str *s, size_t n, int64_t lo, int64_t hi)
{
	int64_t v = 0;

	if (s->len < n)
		return -1;
	for (size_t i = 0; i < n; i++) {
		if (s->p[i] < '0' || s->p[i] > '9')
			return -1;
		v = v * 10 + s->p[i] - '0';
	}
	*s = (struct str){s->p + n, s->len - n};
	return v < lo || v > hi ? -1 : v;
}

static bool
take_char(struct str *s, const char *any)
{
	if (s->len == 0 || strchr(any, s->p[0]) == NULL || s->p[0] == '\0')
		return false;
	*s = (struct str){s->p + 1, s->len - 1};
	return true;
}

/* Since 1970; civil_of the other way. */
static int64_t
days_of(int64_t year, int64_t month, int64_t day)
{
	int64_t y = month <= 2 ? year - 1 : year, era = y / 400, yoe = y - era * 400;
	int64_t doy = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;

	return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

static int
take_offset(struct str *s, int64_t *out)
{
	int64_t h, m;
	bool west;

	*out = 0;
	if (take_char(s, "Zz"))
		return 0;
	west = s->len > 0 && s->p[0] == '-';
	if (!take_char(s, "+-") || (h = take_digits(s, 2, 0, 23)) == -1 || !take_char(s, ":") ||
	    (m = take_digits(s, 2, 0, 59)) == -1)
		return -1;
	*out = (h * 3600 + m * 60) * (west ? -1 : 1);
	return 0;
}

int
time_parse(struct str s, int64_t *out)
{
	int64_t year, month, day, hour, min, sec, offset;

	if ((year = take_digits(&s, 4, 1, 9999)) == -1 || !take_char(&s, "-") ||
	    (month = take_digits(&s, 2, 1, 12)) == -1 || !take_char(&s, "-") ||
	    (day = take_digits(&s, 2, 1, 31)) == -1 || !take_char(&s, "Tt") ||
	    (hour = take_digits(&s, 2, 0, 23)) == -1 || !take_char(&s, ":") ||
	    (min = take_digits(&s, 2, 0, 59)) == -1 || !take_char(&s, ":") ||
	    (sec = take_digits(&s, 2, 0, 60)) == -1)
		return -1;
	if (take_char(&s, "."))
		while (take_char(&s, "0123456789"))
			;
	if (take_offset(&s, &offset) == -1 || s.len != 0)
		return -1;
	*out = days_of(year, month, day) * DAY_S + hour * 3600 + min * 60 + sec - offset;
	return 0;
}

int
time_parse_duration(struct str s, int64_t *out_s)
{
	static const struct {
		char unit;
		int64_t seconds;
	} units[] = {{'h', 3600}, {'m', 60}, {'s', 1}};
	int64_t total = 0;

	if (s.len == 0)
		return -1;
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		size_t n = 0;
		uint64_t v;

		while (n < s.len && s.p[n] >= '0' && s.p[n] <= '9')
			n++;
		if (n == 0 || n == s.len || s.p[n] != units[i].unit)
			continue;
		if (n > 8 || str_to_u64((struct str){s.p, n}, &v) == -1)
			return -1;
		total += (int64_t)v * units[i].seconds;
		s = (struct str){s.p + n + 1, s.len - n - 1};
	}
	if (s.len != 0 || total > INT64_C(366) * DAY_S)
		return -1;
	*out_s = total;
	return 0;
}
