/*
 * JSON that the user wrote and that the CRD leaves to Kubernetes to describe: affinity,
 * tolerations, env, resources. It is written again value by value, so that a rendering says what
 * the API server will keep: it drops null, "" and [], and so do we.
 */
#include "objects/render.h"

/* jw's own bound, less what closes the object around us. */
#define DEPTH_MAX (JSON_DEPTH_MAX - 2)

/*
 * What the API server adds to what a user wrote (env's fieldRef, resourceFieldRef): its presence is
 * no difference.
 */
static bool
is_server_default(const struct json *j, int key)
{
	return json_string_is(j, key, "apiVersion") || json_string_is(j, key, "divisor");
}

static bool
is_nothing(const struct json *j, int node)
{
	enum json_type t = json_type(j, node);

	return t == JSON_T_NONE || t == JSON_T_NULL ||
	       (t == JSON_T_STRING && json_raw(j, node).len == 2) ||
	       (t == JSON_T_ARRAY && json_count(j, node) == 0);
}

static struct str
key_text(struct render *r, const struct json *j, int key)
{
	struct str s = {"", 0};

	if (json_string(j, key, JSON_OBJECT_MAX, &r->arena, &s, NULL) == -1)
		objects_fail(r, ERR_LIMIT, "a key in the spec is too long");
	return s;
}

struct user_value {
	const char *field; /* for messages */
	const struct json *j;
	bool exact;
};

/* Nulls for the members of seen that the user's object does not have. */
static void
drop_members(struct render *r, const struct user_value *u, int node, int seen)
{
	if (!u->exact || json_type(&r->seen, seen) != JSON_T_OBJECT)
		return;
	for (int k = json_first(&r->seen, seen); k != JSON_NONE; k = json_next(&r->seen, k)) {
		struct str key = key_text(r, &r->seen, k);

		if (is_server_default(&r->seen, k) || !is_nothing(u->j, json_get(u->j, node, key)))
			continue;
		jw_key_str(&r->w, key);
		jw_null(&r->w);
	}
}

/* Recursion is bounded by DEPTH_MAX. */
static void
put_value(struct render *r, const struct user_value *u, int node, int seen)
{
	enum json_type t = json_type(u->j, node);
	int s = JSON_NONE;

	if (t != JSON_T_OBJECT && t != JSON_T_ARRAY) {
		jw_raw(&r->w, json_raw(u->j, node));
		return;
	}
	if (r->w.depth >= DEPTH_MAX) {
		objects_fail(r, ERR_LIMIT, "%s: nested too deeply", u->field);
		jw_null(&r->w);
		return;
	}
	if (t == JSON_T_ARRAY) {
		jw_array(&r->w);
		if (json_type(&r->seen, seen) == JSON_T_ARRAY)
			s = json_first(&r->seen, seen);
		for (int k = json_first(u->j, node); k != JSON_NONE; k = json_next(u->j, k)) {
			put_value(r, u, k, s);
			if (s != JSON_NONE)
				s = json_next(&r->seen, s);
		}
		jw_end(&r->w);
		return;
	}
	jw_object(&r->w);
	for (int k = json_first(u->j, node); k != JSON_NONE; k = json_next(u->j, k)) {
		struct str key = key_text(r, u->j, k);

		if (is_nothing(u->j, json_value(u->j, k)))
			continue;
		jw_key_str(&r->w, key);
		put_value(r, u, json_value(u->j, k), json_get(&r->seen, seen, key));
	}
	drop_members(r, u, node, seen);
	jw_end(&r->w);
}

/* The root of value, or JSON_NONE: it is empty, or is refused. */
static int
parse_value(
    struct render *r, struct json *j, const char *field, struct str value, enum json_type type)
{
	struct err err;
	int root;

	if (value.len == 0)
		return JSON_NONE;
	if (json_parse(j, value, &r->arena, &err) == -1) {
		objects_fail(r, err.code, "%s: %.120s", field, err.text);
		return JSON_NONE;
	}
	root = json_root(j);
	if (json_type(j, root) == JSON_T_NULL)
		return JSON_NONE;
	if (json_type(j, root) != type) {
		objects_fail(r, ERR_INVALID, "%s: must be %s", field,
		    type == JSON_T_ARRAY ? "a list" : "an object");
		return JSON_NONE;
	}
	return root;
}

void
objects_put_user(struct render *r, const char *key, const char *field, struct str value,
    enum json_type type, int seen, bool exact)
{
	struct json j;
	struct user_value u = {field, &j, exact};
	int root = parse_value(r, &j, field, value, type);

	jw_key(&r->w, key);
	if (root == JSON_NONE || json_count(&j, root) == 0)
		jw_null(&r->w);
	else
		put_value(r, &u, root, seen);
}

/* A quantity is a string wherever the server stores it, and a number where a user was brief. */
static void
put_quantities(struct render *r, const char *key, const struct json *j, int map, int seen)
{
	jw_key(&r->w, key);
	if (json_type(j, map) != JSON_T_OBJECT || json_count(j, map) == 0) {
		jw_null(&r->w);
		return;
	}
	jw_object(&r->w);
	for (int k = json_first(j, map); k != JSON_NONE; k = json_next(j, k)) {
		int v = json_value(j, k);

		jw_key_str(&r->w, key_text(r, j, k));
		if (json_type(j, v) == JSON_T_NUMBER)
			jw_str(&r->w, json_raw(j, v));
		else if (json_type(j, v) == JSON_T_STRING)
			jw_raw(&r->w, json_raw(j, v));
		else {
			objects_fail(r, ERR_INVALID,
			    "spec.resources.%s: a quantity is a string or a number", key);
			jw_null(&r->w);
		}
	}
	drop_members(r, &(struct user_value){"spec.resources", j, true}, map, seen);
	jw_end(&r->w);
}

void
objects_put_resources(struct render *r, int seen)
{
	struct json j = {{NULL, 0}, NULL, 0};
	int root = parse_value(r, &j, "spec.resources", r->c->resources, JSON_T_OBJECT);

	jw_key(&r->w, "resources");
	jw_object(&r->w);
	put_quantities(r, "limits", &j, json_get(&j, root, STR("limits")),
	    json_get(&r->seen, seen, STR("limits")));
	put_quantities(r, "requests", &j, json_get(&j, root, STR("requests")),
	    json_get(&r->seen, seen, STR("requests")));
	jw_end(&r->w);
}

/* In an environment the last of two equal names wins, so ours are refused by name. */
static bool
is_ours(struct str name)
{
	static const char *const ours[] = {
	    "POD_NAME", "POD_NAMESPACE", "POD_UID", "POD_IP", "PGDATA"};

	for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
		if (str_is(name, ours[i]))
			return true;
	return str_starts(name, "BESTGRES_") || model_variable_owned(name);
}

void
objects_put_env(struct render *r)
{
	struct json j;
	struct user_value u = {"spec.env", &j, false};
	int root = parse_value(r, &j, "spec.env", r->c->env, JSON_T_ARRAY);

	if (root == JSON_NONE)
		return;
	for (int k = json_first(&j, root); k != JSON_NONE; k = json_next(&j, k)) {
		int name = json_get(&j, k, STR("name"));
		struct str text;

		if (json_type(&j, k) != JSON_T_OBJECT || json_type(&j, name) != JSON_T_STRING)
			objects_fail(
			    r, ERR_INVALID, "spec.env: each entry is an object with a name");
		else if (json_string(&j, name, NAME_MAX_OBJECT, &r->arena, &text, NULL) == -1)
			objects_fail(r, ERR_LIMIT, "spec.env: a name is longer than %u bytes",
			    NAME_MAX_OBJECT);
		else if (is_ours(text))
			objects_fail(r, ERR_INVALID, "spec.env: %.*s is Bestgres's own",
			    (int)text.len, text.p);
		else
			put_value(r, &u, k, JSON_NONE);
	}
}
