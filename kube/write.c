/*
 * JSON, written: compact, commas and escapes are the writer's business. What it is used for is
 * made by our own code from decoded values, so wrong nesting, a value without a key or text
 * that is not UTF-8 is a broken invariant and dies. jw_json gives a parsed value its one
 * canonical spelling. Everyone may call.
 */
#include "kube/kube.h"

void
jw_init(struct jw *w, struct buf *b)
{
	*w = (struct jw){.b = b};
}

/* The comma before a value, and whether a value may stand here at all. */
static void
before_value(struct jw *w)
{
	if (w->depth == 0)
		return;
	if (w->close[w->depth - 1] == '}') {
		if (!w->keyed)
			die("jw: a value without a key");
		w->keyed = false;
		return;
	}
	if (w->comma[w->depth - 1])
		buf_put(w->b, ",", 1);
	w->comma[w->depth - 1] = true;
}

static void
open_level(struct jw *w, const char *open, char close)
{
	before_value(w);
	if (w->depth == JSON_DEPTH_MAX)
		die("jw: more than %d levels", JSON_DEPTH_MAX);
	w->close[w->depth] = close;
	w->comma[w->depth] = false;
	w->depth++;
	buf_put(w->b, open, 1);
}

void
jw_object(struct jw *w)
{
	open_level(w, "{", '}');
}

void
jw_array(struct jw *w)
{
	open_level(w, "[", ']');
}

void
jw_end(struct jw *w)
{
	if (w->depth == 0 || w->keyed)
		die("jw: nothing to end at level %u", w->depth);
	w->depth--;
	buf_put(w->b, &w->close[w->depth], 1);
}

static void
put_escape(struct buf *b, unsigned char c)
{
	static const char letter[0x60] = {['"'] = '"',
	    ['\\'] = '\\',
	    ['\b'] = 'b',
	    ['\f'] = 'f',
	    ['\n'] = 'n',
	    ['\r'] = 'r',
	    ['\t'] = 't'};
	char two[2] = {'\\', letter[c]};

	if (two[1] != 0)
		buf_put(b, two, sizeof two);
	else
		buf_printf(b, "\\u%04x", c);
}

static void
put_string(struct buf *b, struct str s)
{
	size_t done = 0;

	if (!utf8_valid(s) || (s.len > 0 && memchr(s.p, 0, s.len) != NULL))
		die("jw: a string of %zu bytes is not UTF-8 without NUL", s.len);
	buf_put(b, "\"", 1);
	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if (c >= 0x20 && c != '"' && c != '\\')
			continue;
		buf_put(b, s.p + done, i - done);
		put_escape(b, c);
		done = i + 1;
	}
	if (done < s.len)
		buf_put(b, s.p + done, s.len - done);
	buf_put(b, "\"", 1);
}

void
jw_key_str(struct jw *w, struct str key)
{
	if (w->depth == 0 || w->close[w->depth - 1] != '}' || w->keyed)
		die("jw: no key may stand here");
	if (w->comma[w->depth - 1])
		buf_put(w->b, ",", 1);
	w->comma[w->depth - 1] = true;
	w->keyed = true;
	put_string(w->b, key);
	buf_put(w->b, ":", 1);
}

void
jw_key(struct jw *w, const char *key)
{
	jw_key_str(w, str_of(key));
}

void
jw_str(struct jw *w, struct str s)
{
	before_value(w);
	put_string(w->b, s);
}

void
jw_cstr(struct jw *w, const char *s)
{
	jw_str(w, str_of(s));
}

void
jw_printf(struct jw *w, const char *fmt, ...)
{
	va_list ap, again;
	char *text;
	int n;

	va_start(ap, fmt);
	va_copy(again, ap);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n < 0)
		die("jw: format %s", fmt);
	text = xcalloc((size_t)n + 1, 1);
	vsnprintf(text, (size_t)n + 1, fmt, again);
	va_end(again);
	jw_str(w, (struct str){text, (size_t)n});
	xfree(text);
}

void
jw_int(struct jw *w, int64_t v)
{
	before_value(w);
	buf_printf(w->b, "%lld", (long long)v);
}

void
jw_bool(struct jw *w, bool v)
{
	jw_raw(w, v ? STR("true") : STR("false"));
}

void
jw_null(struct jw *w)
{
	jw_raw(w, STR("null"));
}

void
jw_raw(struct jw *w, struct str json)
{
	before_value(w);
	buf_str(w->b, json);
}

void
jw_kv(struct jw *w, const char *key, const char *value)
{
	jw_key(w, key);
	jw_cstr(w, value);
}

void
jw_kv_str(struct jw *w, const char *key, struct str value)
{
	jw_key(w, key);
	jw_str(w, value);
}

void
jw_kv_or_null(struct jw *w, const char *key, struct str value)
{
	jw_key(w, key);
	if (value.len == 0)
		jw_null(w);
	else
		jw_str(w, value);
}

void
jw_kv_int(struct jw *w, const char *key, int64_t v)
{
	jw_key(w, key);
	jw_int(w, v);
}

void
jw_kv_bool(struct jw *w, const char *key, bool v)
{
	jw_key(w, key);
	jw_bool(w, v);
}

void
jw_kv_raw(struct jw *w, const char *key, struct str json)
{
	jw_key(w, key);
	jw_raw(w, json);
}

/*
 * --- The canonical spelling of what was parsed. Recursion is bounded: json_parse lets
 * JSON_DEPTH_MAX levels in.
 */
struct member {
	struct str key;
	int value;
};

static int
compare_members(const void *a, const void *b)
{
	const struct member *x = a, *y = b;
	size_t n = x->key.len < y->key.len ? x->key.len : y->key.len;
	int order = n == 0 ? 0 : memcmp(x->key.p, y->key.p, n);

	if (order != 0)
		return order;
	return x->key.len == y->key.len ? 0 : x->key.len < y->key.len ? -1 : 1;
}

static int
write_object(struct jw *w, const struct json *j, int node, struct arena *a, struct err *e)
{
	size_t n = 0;
	struct member *members = arena_array(a, (size_t)json_count(j, node), sizeof *members);

	if (w->depth == JSON_DEPTH_MAX)
		return err_set(e, ERR_LIMIT, "JSON: more than %d levels", JSON_DEPTH_MAX);
	if (members == NULL)
		return err_set(e, ERR_LIMIT, "JSON: the memory for one object is used up");
	for (int k = json_first(j, node); k != JSON_NONE; k = json_next(j, k), n++) {
		if (json_string(j, k, JSON_OBJECT_MAX, a, &members[n].key, e) < 0)
			return -1;
		members[n].value = json_value(j, k);
	}
	if (n > 1)
		qsort(members, n, sizeof *members, compare_members);
	jw_object(w);
	for (size_t i = 0; i < n; i++) {
		jw_key_str(w, members[i].key);
		if (jw_json(w, j, members[i].value, a, e) < 0)
			return -1;
	}
	jw_end(w);
	return 0;
}

static int
write_array(struct jw *w, const struct json *j, int node, struct arena *a, struct err *e)
{
	if (w->depth == JSON_DEPTH_MAX)
		return err_set(e, ERR_LIMIT, "JSON: more than %d levels", JSON_DEPTH_MAX);
	jw_array(w);
	for (int k = json_first(j, node); k != JSON_NONE; k = json_next(j, k))
		if (jw_json(w, j, k, a, e) < 0)
			return -1;
	jw_end(w);
	return 0;
}

int
jw_json(struct jw *w, const struct json *j, int node, struct arena *a, struct err *e)
{
	struct str s;

	switch (json_type(j, node)) {
	case JSON_T_OBJECT:
		return write_object(w, j, node, a, e);
	case JSON_T_ARRAY:
		return write_array(w, j, node, a, e);
	case JSON_T_STRING:
		if (json_string(j, node, JSON_OBJECT_MAX, a, &s, e) < 0)
			return -1;
		jw_str(w, s);
		return 0;
	case JSON_T_NUMBER:
	case JSON_T_BOOL:
	case JSON_T_NULL:
		jw_raw(w, json_raw(j, node));
		return 0;
	case JSON_T_NONE:
		break;
	}
	die("jw_json: there is no node %d", node);
}
