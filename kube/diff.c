/*
 * What must be patched: the JSON merge patch (RFC 7396) that makes `seen` say what `wanted`
 * says, and nothing else. Pure; the executor's proof that it never writes what changes nothing.
 * An absent field, null and an empty list are one, as they are for the API server. Recursion is
 * bounded by JSON_DEPTH_MAX.
 */
#include "kube/kube.h"

/* Where the server rewrites a value that means the same: "1000m" comes back as "1". */
enum scope { PLAIN, RESOURCES, AMOUNTS, QUANTITY };

struct diff {
	struct json wanted, seen;
	struct arena *a;
	struct err *e;
	struct jw w;
};

static enum scope
scope_of(enum scope around, struct str key)
{
	if (str_is(key, "storage") || str_is(key, "sizeLimit") || around == AMOUNTS)
		return QUANTITY;
	if (str_is(key, "resources"))
		return RESOURCES;
	if (around == RESOURCES && (str_is(key, "limits") || str_is(key, "requests")))
		return AMOUNTS;
	return PLAIN;
}

/* Does wanted say nothing that an absent field does not say? {} says something: "emptyDir": {}. */
static bool
says_nothing(const struct json *j, int node)
{
	if (json_absent(j, node))
		return true;
	if (json_type(j, node) == JSON_T_ARRAY)
		return json_count(j, node) == 0;
	if (json_type(j, node) != JSON_T_OBJECT || json_count(j, node) == 0)
		return false;
	for (int k = json_first(j, node); k != JSON_NONE; k = json_next(j, k))
		if (!says_nothing(j, json_value(j, k)))
			return false;
	return true;
}

/* A scalar's text: a string unescaped, all else as it stands. */
static int
scalar_text(struct diff *d, const struct json *j, int node, struct str *out)
{
	if (json_type(j, node) == JSON_T_STRING)
		return json_string(j, node, JSON_OBJECT_MAX, d->a, out, d->e);
	*out = json_raw(j, node);
	return 0;
}

static int
scalars_differ(struct diff *d, int wanted, int seen, enum scope scope)
{
	enum json_type x = json_type(&d->wanted, wanted), y = json_type(&d->seen, seen);
	bool by_value = x == JSON_T_NUMBER && y == JSON_T_NUMBER;
	struct str s, t;
	int order;

	if (scope == QUANTITY)
		by_value = (x == JSON_T_NUMBER || x == JSON_T_STRING) &&
		           (y == JSON_T_NUMBER || y == JSON_T_STRING);
	if (x != y && !by_value)
		return 1;
	if (x == y && str_eq(json_raw(&d->wanted, wanted), json_raw(&d->seen, seen)))
		return 0;
	if (scalar_text(d, &d->wanted, wanted, &s) < 0 || scalar_text(d, &d->seen, seen, &t) < 0)
		return -1;
	if (by_value && quantity_compare(s, t, &order) == 0)
		return order != 0;
	return x != y || !str_eq(s, t);
}

static int differs(struct diff *d, int wanted, int seen, enum scope scope);

static int
arrays_differ(struct diff *d, int wanted, int seen)
{
	int w, s, r;

	if (json_count(&d->wanted, wanted) != json_count(&d->seen, seen))
		return 1;
	w = json_first(&d->wanted, wanted);
	s = json_first(&d->seen, seen);
	for (; w != JSON_NONE; w = json_next(&d->wanted, w), s = json_next(&d->seen, s)) {
		r = differs(d, w, s, PLAIN);
		if (r != 0)
			return r;
	}
	return 0;
}

/* The member of seen that has wanted's key k, and that key. */
static int
counterpart(struct diff *d, int k, int seen, struct str *key, int *value)
{
	if (json_string(&d->wanted, k, JSON_OBJECT_MAX, d->a, key, d->e) < 0)
		return -1;
	*value = json_get(&d->seen, seen, *key);
	return 0;
}

static int
objects_differ(struct diff *d, int wanted, int seen, enum scope scope)
{
	struct str key;
	int s, r;

	for (int k = json_first(&d->wanted, wanted); k != JSON_NONE; k = json_next(&d->wanted, k)) {
		if (counterpart(d, k, seen, &key, &s) < 0)
			return -1;
		r = differs(d, json_value(&d->wanted, k), s, scope_of(scope, key));
		if (r != 0)
			return r;
	}
	return 0;
}

/* 1, 0, or -1 with an error. */
static int
differs(struct diff *d, int wanted, int seen, enum scope scope)
{
	enum json_type x = json_type(&d->wanted, wanted), y = json_type(&d->seen, seen);

	if (json_absent(&d->seen, seen))
		return !says_nothing(&d->wanted, wanted);
	if (x == JSON_T_OBJECT && y == JSON_T_OBJECT)
		return objects_differ(d, wanted, seen, scope);
	if (x == JSON_T_ARRAY && y == JSON_T_ARRAY)
		return arrays_differ(d, wanted, seen);
	return scalars_differ(d, wanted, seen, scope);
}

/* Writes the members of wanted (an object, as seen is) that differ; 1 = there were some. */
static int
patch_object(struct diff *d, int wanted, int seen, enum scope scope)
{
	struct jw start = d->w;
	size_t len = d->w.b->len;
	bool any = false;
	struct str key;
	int r, s;

	jw_object(&d->w);
	for (int k = json_first(&d->wanted, wanted); k != JSON_NONE; k = json_next(&d->wanted, k)) {
		struct jw before = d->w;
		size_t mark = d->w.b->len;
		int w = json_value(&d->wanted, k);

		if (counterpart(d, k, seen, &key, &s) < 0)
			return -1;
		jw_key_str(&d->w, key);
		if (json_type(&d->wanted, w) == JSON_T_OBJECT &&
		    json_type(&d->seen, s) == JSON_T_OBJECT)
			r = patch_object(d, w, s, scope_of(scope, key));
		else {
			r = differs(d, w, s, scope_of(scope, key));
			if (r == 1)
				r = jw_json(&d->w, &d->wanted, w, d->a, d->e) < 0 ? -1 : 1;
		}
		if (r < 0)
			return -1;
		any |= r == 1;
		if (r == 0) {
			d->w = before;
			d->w.b->len = mark;
		}
	}
	if (any) {
		jw_end(&d->w);
		return 1;
	}
	d->w = start;
	d->w.b->len = len;
	return 0;
}

int
json_diff(struct str wanted, struct str seen, struct arena *a, struct buf *out, struct err *e)
{
	struct diff d = {.a = a, .e = e};
	int r;

	if (json_parse(&d.wanted, wanted, a, e) < 0 || json_parse(&d.seen, seen, a, e) < 0)
		return -1;
	jw_init(&d.w, out);
	if (json_type(&d.wanted, 0) == JSON_T_OBJECT && json_type(&d.seen, 0) == JSON_T_OBJECT)
		r = patch_object(&d, 0, 0, PLAIN);
	else {
		r = differs(&d, 0, 0, PLAIN);
		if (r == 1 && jw_json(&d.w, &d.wanted, 0, a, e) < 0)
			return -1;
	}
	if (r >= 0 && out->full)
		return err_set(e, ERR_LIMIT, "the patch is longer than %zu bytes", out->max);
	return r;
}
