/*
 * spec.maintenanceWindows into the typed form that the reconciler gets. Pure. Whether a time zone
 * of that name is known is not asked here: plan/zone.c has the table, and a condition says so.
 */
#include "kube/kube.h"

#define PATH "spec.maintenanceWindows"
#define TIME_LEN 5 /* HH:MM */

struct place {
	const struct json *j;
	struct err *e;
	unsigned i; /* which window */
};

static int
bad(const struct place *p, const char *field, const char *why)
{
	return err_set(p->e, ERR_INVALID, PATH "[%u].%s: %s", p->i, field, why);
}

static int
two_digits(const char *p, int max)
{
	int v = (p[0] - '0') * 10 + p[1] - '0';

	if (p[0] < '0' || p[0] > '9' || p[1] < '0' || p[1] > '9' || v > max)
		return -1;
	return v;
}

static int
read_time(const struct place *p, int object, const char *field, uint16_t *out)
{
	int node = json_get(p->j, object, str_of(field)), h, m;
	char text[TIME_LEN + 2]; /* one more shows what is too long */

	json_copy_text(p->j, node, text, sizeof(text));
	if (strlen(text) != TIME_LEN || text[2] != ':')
		return bad(p, field, "must be a time from 00:00 to 23:59, such as \"01:30\"");
	h = two_digits(text, 23);
	m = two_digits(text + 3, 59);
	if (h == -1 || m == -1)
		return bad(p, field, "must be a time from 00:00 to 23:59, such as \"01:30\"");
	*out = (uint16_t)(h * 60 + m);
	return 0;
}

/* None is every day. */
static int
read_days(const struct place *p, int object, uint8_t *out)
{
	int list = json_get(p->j, object, STR("days"));
	unsigned days = 0;

	if (!json_absent(p->j, list) && json_type(p->j, list) != JSON_T_ARRAY)
		return bad(p, "days", "is not a list");
	for (int k = json_first(p->j, list); k != JSON_NONE; k = json_next(p->j, k)) {
		char text[16];
		int day;

		json_copy_text(p->j, k, text, sizeof(text));
		day = choice_find(VOCAB_weekday, str_of(text));
		if (day == -1)
			return bad(p, "days", "each is one of Monday to Sunday");
		days |= 1u << day;
	}
	*out = (uint8_t)(days == 0 ? WINDOW_EVERY_DAY : days);
	return 0;
}

static int
read_zone(const struct place *p, int object, char out[ZONE_NAME_MAX + 1])
{
	int node = json_get(p->j, object, STR("timeZone"));
	char text[ZONE_NAME_MAX + 2];

	if (json_absent(p->j, node))
		return str_copy(out, ZONE_NAME_MAX + 1, STR("UTC"));
	json_copy_text(p->j, node, text, sizeof(text));
	if (text[0] == '\0' || !charset_ok(CHARS_PRINT, str_of(text)) ||
	    str_copy(out, ZONE_NAME_MAX + 1, str_of(text)) == -1)
		return bad(p, "timeZone", "must be a name such as Europe/Berlin");
	return 0;
}

int
decode_windows(const struct json *j, int list, struct windows *out, struct err *e)
{
	struct windows w = {0};

	out->n = 0;
	if (json_absent(j, list))
		return 0;
	if (json_type(j, list) != JSON_T_ARRAY)
		return err_set(e, ERR_INVALID, PATH ": is not a list");
	if (json_count(j, list) > WINDOWS_MAX)
		return err_set(e, ERR_LIMIT, PATH ": more than %d windows", WINDOWS_MAX);
	for (int k = json_first(j, list); k != JSON_NONE; k = json_next(j, k)) {
		struct place p = {j, e, w.n};
		struct window *at = &w.at[w.n++];

		if (json_type(j, k) != JSON_T_OBJECT)
			return err_set(e, ERR_INVALID, PATH "[%u]: is not an object", p.i);
		if (read_time(&p, k, "from", &at->from_min) == -1 ||
		    read_time(&p, k, "to", &at->to_min) == -1 ||
		    read_days(&p, k, &at->days) == -1 || read_zone(&p, k, at->zone) == -1)
			return -1;
	}
	*out = w;
	return 0;
}
