/*
 * Bodies of what the executor writes: guarded merge patches and DeleteOptions. Pure; for the verbs
 * (executor_*.c). Every patch names the uid and resourceVersion of what it was decided on, so that
 * the API server refuses it once the world has moved.
 */
#include "workers/executor.h"

#include <stdio.h>
#include <string.h>

#define KEY_MAX 1024 /* a label or annotation key is <= 317 bytes, a field's name less */

static void
put_guard(struct jw *w, const struct guard *g)
{
	char uid[UID_TEXT_SIZE];

	uid_format(uid, &g->uid);
	jw_kv(w, "uid", uid);
	if (g->version != 0) {
		jw_key(w, "resourceVersion");
		jw_printf(w, "%llu", (unsigned long long)g->version);
	}
}

/* {"metadata":{<guard>, with metadata left open */
static void
open_patch(struct jw *w, struct buf *out, const struct guard *g)
{
	jw_init(w, out);
	jw_object(w);
	jw_key(w, "metadata");
	jw_object(w);
	put_guard(w, g);
}

struct guard
patch_guard(const struct object_meta *m)
{
	return (struct guard){m->uid, m->resource_version};
}

void
patch_delete_options(struct buf *out, const struct guard *g, const char *propagation)
{
	struct jw w;

	jw_init(&w, out);
	jw_object(&w);
	jw_kv(&w, "kind", "DeleteOptions");
	jw_kv(&w, "apiVersion", "v1");
	jw_key(&w, "preconditions");
	jw_object(&w);
	put_guard(&w, g);
	jw_end(&w);
	jw_kv(&w, "propagationPolicy", propagation);
	jw_end(&w);
}

void
patch_finalizers(
    struct buf *out, const struct guard *g, const struct json *j, int finalizers, bool add)
{
	struct jw w;

	open_patch(&w, out, g);
	jw_key(&w, "finalizers");
	jw_array(&w);
	if (json_type(j, finalizers) == JSON_T_ARRAY)
		for (int k = json_first(j, finalizers); k != JSON_NONE; k = json_next(j, k))
			if (!json_string_is(j, k, FINALIZER))
				jw_raw(&w, json_raw(j, k));
	if (add)
		jw_cstr(&w, FINALIZER);
	jw_end(&w);
	jw_end(&w);
	jw_end(&w);
}

void
patch_dbops_finalizers(
    struct buf *out, const struct guard *g, struct str raw, bool add, struct arena *a)
{
	struct json j;
	struct jw w;

	open_patch(&w, out, g);
	jw_key(&w, "finalizers");
	jw_array(&w);
	if (raw.len > 0 && json_parse(&j, raw, a, NULL) == 0)
		for (int k = json_first(&j, json_root(&j)); k != JSON_NONE; k = json_next(&j, k))
			if (!json_string_is(&j, k, DBOPS_FINALIZER))
				jw_raw(&w, json_raw(&j, k));
	if (add)
		jw_cstr(&w, DBOPS_FINALIZER);
	jw_end(&w);
	jw_end(&w);
	jw_end(&w);
}

/* --- What of a difference may be patched. */

#define STATEFULSET_FIXED                                                                          \
	"spec.volumeClaimTemplates", "spec.serviceName", "spec.selector",                          \
	    "spec.podManagementPolicy", "metadata.annotations." ANNOTATION_STORAGE_INPUTS
static const char *const statefulset_fixed[][10] = {
    [PATCH_WHOLE] = {STATEFULSET_FIXED, NULL},
    [PATCH_BUT_TEMPLATE] = {STATEFULSET_FIXED, "spec.template", NULL},
};
static const char *const all_but_template[] = {STATEFULSET_FIXED, "metadata", "spec.replicas",
    "spec.updateStrategy", "spec.persistentVolumeClaimRetentionPolicy", NULL};
/* Its data is written key by key, by the verbs that know what it means. */
static const char *const anchor_fixed[] = {"data", NULL};
static const char *const nothing_fixed[] = {NULL};

struct cut {
	const struct json *j;
	const char *const *fixed;
	const char *mark; /* a key of data to set to "true", or NULL */
	const struct kept *kept;
	struct arena *a;
	struct err *e;
	bool failed;
};

/* "path.key" into out; false = it is too long to be one of the fixed ones. */
static bool
extend(char *out, size_t size, const char *path, struct str key)
{
	int n =
	    snprintf(out, size, "%s%s%.*s", path, path[0] != '\0' ? "." : "", (int)key.len, key.p);

	return n > 0 && (size_t)n < size;
}

static bool
is_fixed(const struct cut *c, const char *path)
{
	for (const char *const *f = c->fixed; *f != NULL; f++)
		if (strcmp(*f, path) == 0)
			return true;
	return false;
}

static struct str
key_of(struct cut *c, int k)
{
	struct str key = {"", 0};

	if (json_string(c->j, k, KEY_MAX, c->a, &key, c->e) == -1)
		c->failed = true;
	return key;
}

/* Recursion is bounded by JSON_DEPTH_MAX. An object all of whose members are cut is cut itself. */
static bool
any_left(struct cut *c, int node, const char *path)
{
	char sub[KEY_MAX];

	if (is_fixed(c, path))
		return false;
	if (json_type(c->j, node) != JSON_T_OBJECT || json_count(c->j, node) == 0)
		return true;
	for (int k = json_first(c->j, node); k != JSON_NONE; k = json_next(c->j, k))
		if (!extend(sub, sizeof(sub), path, key_of(c, k)) ||
		    any_left(c, json_value(c->j, k), sub))
			return true;
	return false;
}

static void put_members(struct cut *c, struct jw *w, int object, const char *path);

static void
put_member(struct cut *c, struct jw *w, int k, const char *path)
{
	struct str key = key_of(c, k);
	int value = json_value(c->j, k);
	char sub[KEY_MAX];

	if (!extend(sub, sizeof(sub), path, key)) {
		jw_key_str(w, key);
		jw_raw(w, json_raw(c->j, value));
		return;
	}
	if (!any_left(c, value, sub))
		return;
	jw_key_str(w, key);
	if (json_type(c->j, value) != JSON_T_OBJECT) {
		jw_raw(w, json_raw(c->j, value));
		return;
	}
	jw_object(w);
	put_members(c, w, value, sub);
	jw_end(w);
}

static void
put_members(struct cut *c, struct jw *w, int object, const char *path)
{
	for (int k = json_first(c->j, object); k != JSON_NONE; k = json_next(c->j, k))
		put_member(c, w, k, path);
}

/* kept NULL: it goes. */
static void
put_kept(struct jw *w, const struct kept *kept)
{
	jw_key(w, "annotations");
	jw_object(w);
	jw_key(w, ANNOTATION_LAST_GOOD);
	if (kept != NULL)
		jw_str(w, kept->template);
	else
		jw_null(w);
	jw_key(w, ANNOTATION_LAST_GOOD_INPUTS);
	if (kept != NULL)
		jw_printf(w, "%016llx", (unsigned long long)kept->inputs);
	else
		jw_null(w);
	jw_end(w);
}

/* 1 = out is a patch, 0 = nothing of body is left after cutting, -1. */
static int
cut_and_guard(struct cut *c, struct buf *out, const struct guard *g)
{
	int root = json_root(c->j), metadata;
	struct jw w;

	if (json_type(c->j, root) != JSON_T_OBJECT)
		return err_set(c->e, ERR_INVALID, "a patch is not an object");
	if (c->mark == NULL && (json_count(c->j, root) == 0 || !any_left(c, root, "")))
		return 0;
	metadata = json_get(c->j, root, STR("metadata"));
	open_patch(&w, out, g);
	if (json_type(c->j, metadata) == JSON_T_OBJECT && !is_fixed(c, "metadata"))
		put_members(c, &w, metadata, "metadata");
	if (c->kept != NULL && c->kept->inputs != 0)
		put_kept(&w, c->kept);
	jw_end(&w);
	for (int k = json_first(c->j, root); k != JSON_NONE; k = json_next(c->j, k))
		if (json_value(c->j, k) != metadata)
			put_member(c, &w, k, "");
	if (c->mark != NULL) {
		jw_key(&w, "data");
		jw_object(&w);
		jw_kv(&w, c->mark, "true");
		jw_end(&w);
	}
	jw_end(&w);
	return c->failed ? -1 : 1;
}

static int
cut_text(struct cut *c, struct buf *out, const struct guard *g, struct str body)
{
	struct json j;
	int changed;

	c->j = &j;
	if (json_parse(&j, body, c->a, c->e) == -1)
		return -1;
	changed = cut_and_guard(c, out, g);
	if (changed == 1 && out->full)
		return err_set(c->e, ERR_LIMIT, "a patch is longer than %u bytes", HTTP_BODY_MAX);
	return changed;
}

static int
diff_and_cut(
    struct cut *c, struct buf *out, const struct guard *g, struct str rendered, struct str seen)
{
	struct buf diff;
	int changed;

	buf_init(&diff, HTTP_BODY_MAX);
	changed = json_diff(rendered, seen, c->a, &diff, c->e);
	if (changed == 0 && c->mark != NULL) {
		buf_reset(&diff);
		buf_puts(&diff, "{}");
		changed = 1;
	}
	if (changed == 1 && diff.full)
		changed =
		    err_set(c->e, ERR_LIMIT, "a difference is longer than %u bytes", HTTP_BODY_MAX);
	if (changed == 1)
		changed = cut_text(c, out, g, buf_view(&diff));
	buf_free(&diff);
	return changed;
}

int
patch_child(struct buf *out, enum child c, enum patch_part part, const struct guard *g,
    struct str rendered, struct str seen, struct arena *a, struct err *e)
{
	struct cut cut = {.fixed = c == CHILD_STATEFULSET ? statefulset_fixed[part] : nothing_fixed,
	    .a = a,
	    .e = e};

	return diff_and_cut(&cut, out, g, rendered, seen);
}

int
patch_template(struct buf *out, const struct guard *g, const struct kept *kept, struct str rendered,
    struct str seen, struct arena *a, struct err *e)
{
	struct cut cut = {.fixed = all_but_template, .kept = kept, .a = a, .e = e};

	return diff_and_cut(&cut, out, g, rendered, seen);
}

int
patch_anchor(struct buf *out, const struct guard *g, struct str rendered, struct str seen,
    bool adopt, struct arena *a, struct err *e)
{
	struct cut cut = {
	    .fixed = anchor_fixed, .mark = adopt ? ANCHOR_ADOPTED : NULL, .a = a, .e = e};

	return diff_and_cut(&cut, out, g, rendered, seen);
}

int
patch_guarded(
    struct buf *out, const struct guard *g, struct str body, struct arena *a, struct err *e)
{
	struct cut cut = {.fixed = nothing_fixed, .a = a, .e = e};

	return cut_text(&cut, out, g, body) == -1 ? -1 : 0;
}

/* --- A template that is written back. */

struct swap {
	const struct json *from, *to;
	struct arena *a;
	struct err *e;
};

/*
 * A merge patch leaves what it does not name. Recursion is bounded by JSON_DEPTH_MAX; a list is
 * replaced as a whole.
 */
static int
put_swapped(const struct swap *x, struct jw *w, int from, int to)
{
	struct str key;

	if (json_type(x->from, from) != JSON_T_OBJECT || json_type(x->to, to) != JSON_T_OBJECT) {
		jw_raw(w, json_raw(x->from, from));
		return 0;
	}
	jw_object(w);
	for (int k = json_first(x->from, from); k != JSON_NONE; k = json_next(x->from, k)) {
		if (json_string(x->from, k, KEY_MAX, x->a, &key, x->e) == -1)
			return -1;
		jw_key_str(w, key);
		if (put_swapped(x, w, json_value(x->from, k), json_get(x->to, to, key)) == -1)
			return -1;
	}
	for (int k = json_first(x->to, to); k != JSON_NONE; k = json_next(x->to, k)) {
		if (json_string(x->to, k, KEY_MAX, x->a, &key, x->e) == -1)
			return -1;
		if (json_get(x->from, from, key) != JSON_NONE)
			continue;
		jw_key_str(w, key);
		jw_null(w);
	}
	jw_end(w);
	return 0;
}

int
patch_whole_template(struct buf *out, const struct guard *g, const struct json *from,
    const struct json *j, int to, struct arena *a, struct err *e)
{
	struct swap x = {from, j, a, e};
	struct jw w;

	open_patch(&w, out, g);
	jw_end(&w);
	jw_key(&w, "spec");
	jw_object(&w);
	jw_key(&w, "template");
	if (put_swapped(&x, &w, json_root(from), to) == -1)
		return -1;
	jw_end(&w);
	jw_end(&w);
	return out->full ? err_set(e, ERR_LIMIT, "a patch is longer than %u bytes", HTTP_BODY_MAX)
	                 : 0;
}

/* --- Patches of our own making. */

void
patch_forget_template(struct buf *out, const struct guard *g)
{
	struct jw w;

	open_patch(&w, out, g);
	put_kept(&w, NULL);
	jw_end(&w);
	jw_end(&w);
}

void
patch_anchor_data(struct buf *out, const struct guard *g, const char *key, const char *value)
{
	struct jw w;

	open_patch(&w, out, g);
	jw_end(&w);
	jw_key(&w, "data");
	jw_object(&w);
	jw_kv(&w, key, value);
	jw_end(&w);
	jw_end(&w);
}

void
patch_last_primary(struct buf *out, const struct guard *g, const char *instance, uint32_t timeline)
{
	char number[11];
	struct jw w;

	snprintf(number, sizeof(number), "%u", timeline);
	open_patch(&w, out, g);
	jw_end(&w);
	jw_key(&w, "data");
	jw_object(&w);
	jw_kv(&w, ANCHOR_PRIMARY, instance);
	jw_kv(&w, ANCHOR_TIMELINE, number);
	jw_end(&w);
	jw_end(&w);
}

void
patch_adoption_ended(struct buf *out, const struct guard *g)
{
	static const char *const keys[] = {ANCHOR_ADOPTED, ANCHOR_PRIMARY, ANCHOR_TIMELINE};
	struct jw w;

	open_patch(&w, out, g);
	jw_end(&w);
	jw_key(&w, "data");
	jw_object(&w);
	for (unsigned i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		jw_key(&w, keys[i]);
		jw_null(&w);
	}
	jw_end(&w);
	jw_end(&w);
}

/* rendered is an object of ours, so it ends with its brace. */
void
patch_new_anchor(struct buf *out, struct str rendered, bool data_found)
{
	if (rendered.len < 2 || rendered.p[rendered.len - 1] != '}')
		die("an anchor was rendered that is no object");
	buf_put(out, rendered.p, rendered.len - (data_found ? 1 : 0));
	if (data_found)
		buf_puts(out, ",\"data\":{\"" ANCHOR_ADOPTED "\":\"true\",\"" ANCHOR_CREDENTIALS
			      "\":\"true\",\"" ANCHOR_APP "\":\"true\"}}");
}

void
patch_destroying(struct buf *out, const struct guard *g, const struct uid *destroyer)
{
	char uid[UID_TEXT_SIZE];
	struct jw w;

	uid_format(uid, destroyer);
	open_patch(&w, out, g);
	jw_end(&w);
	jw_key(&w, "data");
	jw_object(&w);
	jw_kv(&w, ANCHOR_STATE, "destroying");
	jw_kv(&w, ANCHOR_DESTROYER, uid);
	jw_end(&w);
	jw_end(&w);
}

void
patch_claim_size(struct buf *out, const struct guard *g, struct str size)
{
	struct jw w;

	open_patch(&w, out, g);
	jw_end(&w);
	jw_key(&w, "spec");
	jw_object(&w);
	jw_key(&w, "resources");
	jw_object(&w);
	jw_key(&w, "requests");
	jw_object(&w);
	jw_kv_str(&w, "storage", size);
	jw_end(&w);
	jw_end(&w);
	jw_end(&w);
	jw_end(&w);
}

void
patch_held(enum choice_verb verb, const struct bginstance *now, bool *hold, uint8_t *stop)
{
	bool stops = verb == CHOICE_verb_STOP_PATRONI || verb == CHOICE_verb_STOP_POSTGRESQL;

	*hold = stops ? now->hold : verb == CHOICE_verb_HOLD;
	*stop = verb == CHOICE_verb_STOP_PATRONI      ? CHOICE_stop_PATRONI
	        : verb == CHOICE_verb_STOP_POSTGRESQL ? CHOICE_stop_POSTGRESQL
	                                              : CHOICE_stop_NONE;
}

void
patch_hold(struct buf *out, const struct guard *g, bool hold, enum choice_stop stop)
{
	struct jw w;

	open_patch(&w, out, g);
	jw_end(&w);
	jw_key(&w, "spec");
	jw_object(&w);
	jw_kv_bool(&w, "hold", hold);
	jw_key(&w, "stop");
	if (stop == CHOICE_stop_NONE)
		jw_null(&w);
	else
		jw_cstr(&w, choice_text(VOCAB_stop, stop));
	jw_end(&w);
	jw_end(&w);
}

/* Each time a new id: the same again is another one. */
void
patch_operation(struct buf *out, const struct guard *g, enum choice_operation operation,
    const struct uid *pod, unsigned attempt, uint64_t generation)
{
	char id[UID_TEXT_SIZE], pod_text[UID_TEXT_SIZE];
	struct uid random;
	struct jw w;

	rand_bytes(&random, sizeof(random));
	uid_format(id, &random);
	uid_format(pod_text, pod);
	open_patch(&w, out, g);
	jw_end(&w);
	jw_key(&w, "spec");
	jw_object(&w);
	jw_key(&w, "operation");
	jw_object(&w);
	jw_kv(&w, "id", id);
	jw_kv(&w, "kind", choice_text(VOCAB_operation, operation));
	jw_kv(&w, "podUID", pod_text);
	jw_key(&w, "candidate"); /* a BGDbOps may have named one */
	jw_null(&w);
	jw_key(&w, "attempt");
	if (operation == CHOICE_operation_REINIT)
		jw_int(&w, attempt);
	else
		jw_null(&w);
	jw_key(&w, "generation");
	if (operation == CHOICE_operation_REINIT)
		jw_int(&w, (int64_t)generation);
	else
		jw_null(&w);
	jw_end(&w);
	jw_end(&w);
	jw_end(&w);
}

void
patch_cancel(struct buf *out, const struct guard *g, unsigned slot)
{
	struct jw w;

	open_patch(&w, out, g);
	jw_end(&w);
	jw_key(&w, "spec");
	jw_object(&w);
	jw_key(&w, task_keys[slot]);
	jw_object(&w);
	jw_kv_bool(&w, "cancel", true);
	jw_end(&w);
	jw_end(&w);
	jw_end(&w);
}

static void
put_unreachable_condition(struct jw *w, const char *now)
{
	jw_object(w);
	jw_kv(w, "type", "Reachable");
	jw_kv(w, "status", "False");
	jw_kv(w, "reason", "PodNotReady");
	jw_kv(w, "message", "The pod that reported last is gone or not Ready.");
	jw_kv(w, "lastTransitionTime", now);
	jw_end(w);
}

void
patch_unreachable(struct buf *out, const struct guard *g, const struct json *j, const char *now)
{
	int conditions = json_path(j, json_root(j), "status.conditions");
	struct jw w;

	open_patch(&w, out, g);
	jw_end(&w);
	jw_key(&w, "status");
	jw_object(&w);
	jw_key(&w, "role");
	jw_null(&w);
	jw_key(&w, "state");
	jw_null(&w);
	jw_key(&w, "conditions");
	jw_array(&w);
	if (json_type(j, conditions) == JSON_T_ARRAY)
		for (int k = json_first(j, conditions); k != JSON_NONE; k = json_next(j, k))
			if (!json_string_is(j, json_get(j, k, STR("type")), "Reachable"))
				jw_raw(&w, json_raw(j, k));
	put_unreachable_condition(&w, now);
	jw_end(&w);
	jw_end(&w);
	jw_end(&w);
}
