/*
 * Cron: the five fields of crontab(5), and when they say so next in a time zone. Pure. For plan/'s
 * BGDbOps, whoever takes their records, and tests.
 */
#ifndef PLAN_CRON_H
#define PLAN_CRON_H

#include "base/base.h"
#include "plan/zone.h"

struct cron {
	uint64_t minutes;                    /* bit n = minute n */
	uint32_t hours, days;                /* bit n = hour n; bit n = day n of the month, 1..31 */
	uint16_t months;                     /* bit n = month n, 1..12 */
	uint8_t weekdays;                    /* bit n, 0 = Sunday */
	bool any_day, any_weekday, any_hour; /* the field begins with '*' */
};

/*
 * Numbers, '*', ranges, steps, lists, names of months and days of the week (in English, three
 * letters), 7 for Sunday; or @hourly, @daily, @midnight, @weekly, @monthly, @yearly, @annually. -1:
 * out is none.
 */
int cron_parse(struct str s, struct cron *out);
/*
 * The first moment after after_s; INT64_MAX = never. Where both a day of the month and one of the
 * week are given, either counts. A time that is left out when summer time begins counts as the
 * moment of the leap; one that comes twice when it ends is the first, unless it is one of every
 * hour.
 */
int64_t cron_next(const struct cron *c, const struct zone *z, int64_t after_s);

#endif
