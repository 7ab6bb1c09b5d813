/*
 * An object that is past json_parse's bounds, without what makes it so: its metadata and status are
 * what a condition on it needs, and whoever may write objects must not be able to end a stream, and
 * with it the service of all others, by one of them. Pure, one pass, no recursion. Of what is left
 * out only strings and brackets are looked at; the rest is json_parse's to validate.
 */
#include "kube/kube.h"

#define LEVELS_MAX 8 /* no deeper object has a key that is left out */

static bool
is_left_out(struct str key)
{
	static const char *const keys[] = {
	    "\"spec\"", "\"annotations\"", "\"labels\"", "\"managedFields\""};

	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		if (str_is(key, keys[i]))
			return true;
	return false;
}

/* From an opening quote to behind the closing one; NULL: there is none. */
static const char *
skip_string(const char *p, const char *end)
{
	for (p++; p < end; p++) {
		if (*p == '\\')
			p++;
		else if (*p == '"')
			return p + 1;
	}
	return NULL;
}

/* Behind the value that begins at p; NULL: it does not end. */
static const char *
skip_value(const char *p, const char *end)
{
	size_t depth = 0;

	while (p != NULL && p < end) {
		if (*p == '"') {
			p = skip_string(p, end);
			if (depth == 0)
				return p;
			continue;
		}
		if (depth == 0 && memchr(",}] \t\r\n", *p, 7) != NULL)
			return p; /* of a scalar */
		if (*p == '{' || *p == '[')
			depth++;
		else if ((*p == '}' || *p == ']') && --depth == 0)
			return p + 1;
		p++;
	}
	return NULL;
}

/* Which of the open containers are objects: the innermost LEVELS_MAX. */
struct levels {
	bool object[LEVELS_MAX];
	size_t depth;
};

static bool
in_object(const struct levels *l)
{
	return l->depth > 0 && l->depth <= LEVELS_MAX && l->object[l->depth - 1];
}

static int
enter_or_leave(struct levels *l, char c)
{
	if (c == '{' || c == '[') {
		if (l->depth < LEVELS_MAX)
			l->object[l->depth] = c == '{';
		l->depth++;
	} else if (c == '}' || c == ']') {
		if (l->depth == 0)
			return -1;
		l->depth--;
	}
	return 0;
}

/* The value after this key becomes null; where that ends, or NULL. */
static const char *
leave_out(const char *p, const char *end, struct buf *out)
{
	static const char spaces[] = " \t\r\n";

	while (p < end && memchr(spaces, *p, 4) != NULL)
		p++;
	if (p == end || *p != ':')
		return NULL;
	for (p++; p < end && memchr(spaces, *p, 4) != NULL;)
		p++;
	buf_puts(out, ":null");
	return skip_value(p, end);
}

int
json_outline(struct str text, struct buf *out, struct err *e)
{
	const char *p = text.p, *end = text.p + text.len;
	struct levels levels = {.depth = 0};
	bool key = false; /* a string that comes now is one */

	while (p != NULL && p < end) {
		const char *from = p;

		if (*p == '"') {
			p = skip_string(p, end);
			if (p == NULL)
				break;
			buf_put(out, from, (size_t)(p - from));
			if (key && is_left_out((struct str){from, (size_t)(p - from)}))
				p = leave_out(p, end, out);
			key = false;
			continue;
		}
		if (enter_or_leave(&levels, *p) == -1)
			break;
		if (*p == '{' || *p == '[' || *p == ',')
			key = in_object(&levels);
		buf_put(out, p++, 1);
	}
	if (p != end || levels.depth != 0)
		return err_set(e, ERR_INVALID, "JSON: the text is cut off or malformed");
	return out->full ? err_set(e, ERR_LIMIT, "JSON: even its outline is too large") : 0;
}
