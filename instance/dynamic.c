/*
 * Which of Patroni's dynamic configuration is Bestgres's, and what it is to say.
 * `pause`, `slots`, `standby_cluster` and whatever others set are not named here and so never
 * touched, unless the user's dynamicConfiguration names them.
 */
#include "instance/dynamic.h"

static const char *const owned[] = {"ttl", "loop_wait", "retry_timeout", "maximum_lag_on_failover",
    "synchronous_mode", "synchronous_mode_strict", "synchronous_node_count", "failsafe_mode"};

static bool
is_owned(const struct json *j, int key)
{
	for (unsigned i = 0; i < sizeof(owned) / sizeof(owned[0]); i++)
		if (json_string_is(j, key, owned[i]))
			return true;
	return false;
}

static void
put_typed(struct jw *w, const struct dynamic_wanted *d)
{
	jw_kv_int(w, "ttl", d->ttl);
	jw_kv_int(w, "loop_wait", d->loop_wait);
	jw_kv_int(w, "retry_timeout", d->retry_timeout);
	jw_kv_int(w, "maximum_lag_on_failover", d->max_lag);
	if (d->sync_mode == CHOICE_sync_mode_QUORUM)
		jw_kv(w, "synchronous_mode", "quorum");
	else
		jw_kv_bool(w, "synchronous_mode", d->sync_mode == CHOICE_sync_mode_ON);
	jw_kv_bool(w, "synchronous_mode_strict", d->sync_strict);
	jw_kv_int(w, "synchronous_node_count", d->sync_count);
	jw_kv_bool(w, "failsafe_mode", d->failsafe);
}

/* The members of object as they stand, but those that skip() names. */
static int
put_members(struct jw *w, const struct json *j, int object,
    bool (*skip)(const struct json *, int, const void *), const void *arg, struct arena *a,
    struct err *e)
{
	struct str key;

	for (int k = json_first(j, object); k != JSON_NONE; k = json_next(j, k)) {
		if (skip(j, k, arg))
			continue;
		if (json_string(j, k, JSON_OBJECT_MAX, a, &key, e) == -1)
			return -1;
		jw_key_str(w, key);
		if (jw_json(w, j, json_value(j, k), a, e) == -1)
			return -1;
	}
	return 0;
}

static bool
skip_top(const struct json *j, int key, const void *arg)
{
	(void)arg;
	return is_owned(j, key) || json_string_is(j, key, "postgresql");
}

static bool
skip_postgresql(const struct json *j, int key, const void *arg)
{
	(void)arg;
	return json_string_is(j, key, "parameters");
}

static bool
skip_typed(const struct json *j, int key, const void *arg)
{
	const struct str_map *typed = arg;
	struct str raw = json_raw(j, key); /* a setting's name has no escapes */

	for (size_t i = 0; i < typed->n; i++)
		if (raw.len == typed->at[i].key.len + 2 &&
		    memcmp(raw.p + 1, typed->at[i].key.p, raw.len - 2) == 0)
			return true;
	return false;
}

static int
put_postgresql(struct jw *w, const struct dynamic_wanted *d, const struct json *j, int user,
    struct arena *a, struct err *e)
{
	int mine = json_get(j, user, STR("postgresql")),
	    parameters = json_get(j, mine, STR("parameters"));

	if ((mine != JSON_NONE && json_type(j, mine) != JSON_T_OBJECT) ||
	    (parameters != JSON_NONE && json_type(j, parameters) != JSON_T_OBJECT))
		return err_set(e, ERR_INVALID,
		    "dynamicConfiguration.postgresql and its parameters must be objects");
	jw_key(w, "postgresql");
	jw_object(w);
	if (put_members(w, j, mine, skip_postgresql, NULL, a, e) == -1)
		return -1;
	if (json_get(j, mine, STR("use_pg_rewind")) == JSON_NONE)
		jw_kv_bool(w, "use_pg_rewind", true);
	if (json_get(j, mine, STR("use_slots")) == JSON_NONE)
		jw_kv_bool(w, "use_slots", true);
	jw_key(w, "parameters");
	jw_object(w);
	for (size_t i = 0; i < d->parameters.n; i++) {
		jw_key_str(w, d->parameters.at[i].key);
		jw_str(w, d->parameters.at[i].value);
	}
	if (put_members(w, j, parameters, skip_typed, &d->parameters, a, e) == -1)
		return -1;
	jw_end(w);
	jw_end(w);
	return 0;
}

static int
finish(const struct buf *out, struct err *e)
{
	return out->full ? err_set(e, ERR_LIMIT, "Patroni's dynamic configuration is too large")
	                 : 0;
}

int
dynamic_render(const struct dynamic_wanted *d, struct arena *a, struct buf *out, struct err *e)
{
	struct json j;
	struct jw w;

	if (json_parse(&j, d->user.len > 0 ? d->user : STR("{}"), a, e) == -1)
		return -1;
	if (json_type(&j, json_root(&j)) != JSON_T_OBJECT)
		return err_set(e, ERR_INVALID, "dynamicConfiguration must be an object");
	jw_init(&w, out);
	jw_object(&w);
	put_typed(&w, d);
	if (put_members(&w, &j, json_root(&j), skip_top, NULL, a, e) == -1 ||
	    put_postgresql(&w, d, &j, json_root(&j), a, e) == -1)
		return -1;
	jw_end(&w);
	return finish(out, e);
}

static int
pair_order(const void *a, const void *b)
{
	const struct str_pair *x = a, *y = b;
	size_t n = x->key.len < y->key.len ? x->key.len : y->key.len;
	int order = memcmp(x->key.p, y->key.p, n);

	return order != 0 ? order : (x->key.len > y->key.len) - (x->key.len < y->key.len);
}

int
dynamic_parameters(struct str rendered, struct arena *a, struct str_map *out, struct err *e)
{
	int object, value;
	struct json j;
	size_t n;

	if (json_parse(&j, rendered, a, e) == -1)
		return -1;
	object = json_path(&j, json_root(&j), "postgresql.parameters");
	n = (size_t)(object == JSON_NONE ? 0 : json_count(&j, object));
	out->n = 0;
	if ((out->at = arena_array(a, n + 1, sizeof(*out->at))) == NULL)
		return err_set(e, ERR_LIMIT, "too many parameters");
	for (int k = json_first(&j, object); k != JSON_NONE; k = json_next(&j, k)) {
		struct str_pair *p = &out->at[out->n++];

		value = json_value(&j, k);
		if (json_string(&j, k, 1024, a, &p->key, e) == -1)
			return -1;
		if (json_type(&j, value) != JSON_T_STRING)
			p->value = json_raw(&j, value);
		else if (json_string(&j, value, IPC_VALUE_MAX, a, &p->value, e) == -1)
			return -1;
	}
	qsort(out->at, out->n, sizeof(*out->at), pair_order);
	return 0;
}

/* Two parsed objects that are walked together. */
struct pair {
	struct json a, b;
	struct arena *arena;
	struct err *e;
};

static bool
is_branch(const struct json *j, int node)
{
	return json_type(j, node) == JSON_T_OBJECT && json_count(j, node) > 0;
}

static int
key_of(struct pair *p, const struct json *j, int k, struct str *out)
{
	return json_string(j, k, JSON_OBJECT_MAX, p->arena, out, p->e);
}

/* Each leaf below node as `leaf` ("1" or "null"). */
static int
put_leaves(struct jw *w, struct pair *p, const struct json *j, int node, struct str leaf)
{
	struct str key;

	if (!is_branch(j, node)) {
		jw_raw(w, leaf);
		return 0;
	}
	jw_object(w);
	for (int k = json_first(j, node); k != JSON_NONE; k = json_next(j, k)) {
		if (key_of(p, j, k, &key) == -1)
			return -1;
		jw_key_str(w, key);
		if (put_leaves(w, p, j, json_value(j, k), leaf) == -1)
			return -1;
	}
	jw_end(w);
	return 0;
}

/* How two objects become one. */
struct union_rule {
	bool merge;         /* what a says null of is left out */
	struct str missing; /* what only b has: its leaves become this; empty = as it stands */
};

static int put_both(struct jw *w, struct pair *p, int a, int b, const struct union_rule *u);

static int
put_first(struct jw *w, struct pair *p, int a, int b, const struct union_rule *u)
{
	if (json_type(&p->a, a) != JSON_T_OBJECT)
		return jw_json(w, &p->a, a, p->arena, p->e);
	if (is_branch(&p->b, b) || u->merge)
		return put_both(w, p, a, json_type(&p->b, b) == JSON_T_OBJECT ? b : JSON_NONE, u);
	return jw_json(w, &p->a, a, p->arena, p->e);
}

/* a over b. Both nodes are objects; b may be JSON_NONE. */
static int
put_both(struct jw *w, struct pair *p, int a, int b, const struct union_rule *u)
{
	struct str key;

	jw_object(w);
	for (int k = json_first(&p->a, a); k != JSON_NONE; k = json_next(&p->a, k)) {
		int va = json_value(&p->a, k);

		if (u->merge && json_absent(&p->a, va))
			continue;
		if (key_of(p, &p->a, k, &key) == -1)
			return -1;
		jw_key_str(w, key);
		if (put_first(w, p, va, json_get(&p->b, b, key), u) == -1)
			return -1;
	}
	for (int k = json_first(&p->b, b); k != JSON_NONE; k = json_next(&p->b, k)) {
		int vb = json_value(&p->b, k);

		if (key_of(p, &p->b, k, &key) == -1)
			return -1;
		if (json_get(&p->a, a, key) != JSON_NONE)
			continue;
		jw_key_str(w, key);
		if ((u->missing.len > 0 ? put_leaves(w, p, &p->b, vb, u->missing)
					: jw_json(w, &p->b, vb, p->arena, p->e)) == -1)
			return -1;
	}
	jw_end(w);
	return 0;
}

static int
unite(struct str a, struct str b, const struct union_rule *u, struct arena *arena, struct buf *out,
    struct err *e)
{
	struct pair p = {.arena = arena, .e = e};
	struct jw w;

	if (json_parse(&p.a, a, arena, e) == -1 ||
	    json_parse(&p.b, b.len > 0 ? b : STR("{}"), arena, e) == -1)
		return -1;
	if (json_type(&p.a, json_root(&p.a)) != JSON_T_OBJECT ||
	    json_type(&p.b, json_root(&p.b)) != JSON_T_OBJECT)
		return err_set(e, ERR_INVALID, "not an object");
	jw_init(&w, out);
	if (put_both(&w, &p, json_root(&p.a), json_root(&p.b), u) == -1)
		return -1;
	return finish(out, e);
}

static int
put_keys(struct str rendered, struct arena *a, struct buf *out, struct err *e)
{
	struct pair p = {.arena = a, .e = e};
	struct jw w;

	if (json_parse(&p.a, rendered, a, e) == -1)
		return -1;
	if (json_type(&p.a, json_root(&p.a)) != JSON_T_OBJECT)
		return err_set(e, ERR_INVALID, "not an object");
	if (json_count(&p.a, json_root(&p.a)) == 0) {
		buf_puts(out, "{}");
		return 0;
	}
	jw_init(&w, out);
	return put_leaves(&w, &p, &p.a, json_root(&p.a), STR("1")) == -1 ? -1 : finish(out, e);
}

int
dynamic_keys(struct str rendered, struct arena *a, struct buf *out, struct err *e)
{
	struct buf any_order;
	struct json j;
	struct jw w;
	int r;

	buf_init(&any_order, out->max);
	r = put_keys(rendered, a, &any_order, e);
	if (r == 0)
		r = json_parse(&j, buf_view(&any_order), a, e);
	jw_init(&w, out);
	if (r == 0)
		r = jw_json(&w, &j, json_root(&j), a, e);
	buf_free(&any_order);
	return r == 0 ? finish(out, e) : -1;
}

int
dynamic_drop(struct str rendered, struct str keys, struct arena *a, struct buf *out, struct err *e)
{
	return unite(rendered, keys, &(struct union_rule){.missing = STR("null")}, a, out, e);
}

int
dynamic_merge(struct str patch, struct str seen, struct arena *a, struct buf *out, struct err *e)
{
	return unite(patch, seen, &(struct union_rule){.merge = true}, a, out, e);
}
