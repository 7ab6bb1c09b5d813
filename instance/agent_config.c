/*
 * Patroni's dynamic configuration (DESIGN 9.9): what it says is compared with what the spec wants,
 * and the difference is patched. Which keys are ours stands as an annotation on the ConfigMap that
 * holds it, so that a key dropped from the spec can be dropped there; it is widened before the
 * patch and narrowed after it, so that a death in between forgets nothing.
 */
#include "instance/agent.h"

#define ANNOTATION_APPLIED "bestgres.io/last-applied"
#define LOOK_AGAIN_MS 30000 /* somebody else may have changed what is ours */
#define RETRY_FIRST_MS 1000
#define RETRY_MAX_MS 60000
#define LEADERLESS_MS 10000
#define CONFIG_MAX (1u << 20)
#define KEYS_MAX                                                                                   \
	65536 /* an object's annotations are <= 256 KiB in all, Patroni's are most of them */

static void step(struct agent *a);

/*
 * Who applies: the leader; where there is none for a while, the lowest that lives, since the
 * configuration may be why.
 */
static bool
is_ours(const struct agent *a)
{
	if (agent_leads(a))
		return true;
	return a->view.cluster_known && !a->view.has_leader && a->view.lowest_live &&
	       a->leaderless_since.v != 0 && a->now.v - a->leaderless_since.v >= LEADERLESS_MS;
}

static bool
is_applied(const struct agent *a)
{
	return a->config.applied == a->spec_generation &&
	       uid_eq(&a->config.applied_uid, &a->spec->meta.uid);
}

static void
finish(struct agent *a, const struct err *e)
{
	struct config_job *j = &a->config;
	struct msec now = clock_boot();

	j->step = CONFIG_IDLE;
	if (e == NULL) {
		j->wait_ms = 0;
		j->next.v = now.v + LOOK_AGAIN_MS;
		if (a->spec_generation != j->generation)
			j->next = now; /* a newer one has come meanwhile */
		if (j->applied != j->generation || !uid_eq(&j->applied_uid, &j->cluster))
			log_info("config", NULL, "generation %llu is applied",
			    (unsigned long long)j->generation);
		j->applied = j->generation;
		j->applied_uid = j->cluster;
		agent_look(a);
		return;
	}
	j->wait_ms = j->wait_ms == 0                 ? RETRY_FIRST_MS
	             : j->wait_ms * 2 < RETRY_MAX_MS ? j->wait_ms * 2
	                                             : RETRY_MAX_MS;
	j->next.v = now.v + j->wait_ms;
	log_warn("config", NULL, "generation %llu: %s; again in %lld ms",
	    (unsigned long long)j->generation, e->text, (long long)j->wait_ms);
}

static bool
good(const struct kube_reply *r, struct err *e)
{
	if (r->outcome != KUBE_REPLIED) {
		*e = r->err;
		return false;
	}
	if (r->status == 200)
		return true;
	(void)err_set(e, ERR_RETRY, "HTTP %d: %.*s", r->status,
	    (int)(r->body.len < 120 ? r->body.len : 120), r->body.p);
	return false;
}

/* --- What is there. */

/* {"uid":...,"generation":...,"keys":{...}}; whatever else it says counts as no annotation. */
static void
read_mark(struct config_job *job, struct str text)
{
	struct str uid;
	int64_t generation;
	struct json j;
	int keys;

	job->marked = (struct str){NULL, 0};
	job->marked_generation = 0;
	memset(&job->marked_uid, 0, sizeof(job->marked_uid));
	if (text.len == 0 || json_parse(&j, text, &job->arena, NULL) == -1)
		return;
	keys = json_get(&j, json_root(&j), STR("keys"));
	if (json_type(&j, keys) != JSON_T_OBJECT ||
	    json_string(&j, json_get(&j, json_root(&j), STR("uid")), 64, &job->arena, &uid, NULL) ==
		-1 ||
	    uid_parse(uid, &job->marked_uid) == -1 ||
	    json_i64(&j, json_get(&j, json_root(&j), STR("generation")), &generation) == -1 ||
	    generation < 0)
		return;
	job->marked = json_raw(&j, keys);
	job->marked_generation = (uint64_t)generation;
}

static void
on_mark_seen(void *arg, const struct kube_reply *r)
{
	struct agent *a = arg;
	struct config_job *job = &a->config;
	struct err e = {0};
	struct str text = {NULL, 0}, body;
	int mark;
	struct json j;

	arena_reset(&job->arena);
	if (!good(r, &e)) {
		finish(a, &e);
		return;
	}
	body.p = arena_strndup(&job->arena, r->body.p, r->body.len);
	body.len = r->body.len;
	if (body.p == NULL || json_parse(&j, body, &job->arena, &e) == -1) {
		finish(a, &e);
		return;
	}
	json_copy_text(&j, json_path(&j, json_root(&j), "metadata.resourceVersion"), job->version,
	    sizeof(job->version));
	mark = json_get(
	    &j, json_path(&j, json_root(&j), "metadata.annotations"), STR(ANNOTATION_APPLIED));
	if (mark != JSON_NONE)
		(void)json_string(&j, mark, KEYS_MAX + 256, &job->arena, &text, NULL);
	read_mark(job, text);
	if (uid_eq(&job->marked_uid, &job->cluster) && job->marked_generation > job->generation) {
		(void)err_set(&e, ERR_CONFLICT, "generation %llu was applied already",
		    (unsigned long long)job->marked_generation);
		finish(a, &e);
		return;
	}
	job->step = CONFIG_LOOK;
	step(a);
}

/* The difference between what Patroni has and what is wanted; 1, 0 or -1 as json_diff. */
static int
compare(struct config_job *job, struct str seen, struct err *e)
{
	struct buf all;
	int r;

	buf_init(&all, CONFIG_MAX);
	buf_reset(&job->keys);
	buf_reset(&job->kept);
	buf_reset(&job->patch);
	r = dynamic_drop(buf_view(&job->wanted), job->marked, &job->arena, &all, e);
	if (r == 0)
		r = dynamic_keys(
		    buf_view(&job->wanted), (struct str){NULL, 0}, &job->arena, &job->keys, e);
	if (r == 0)
		r = dynamic_keys(buf_view(&job->wanted), job->marked, &job->arena, &job->kept, e);
	if (r == 0)
		r = json_diff(buf_view(&all), seen, &job->arena, &job->patch, e);
	buf_free(&all);
	return r;
}

static void
on_config_seen(void *arg, const struct kube_reply *r)
{
	struct agent *a = arg;
	struct config_job *job = &a->config;
	struct err e = {0};
	struct str seen;
	int differs;

	if (!good(r, &e)) {
		finish(a, &e);
		return;
	}
	seen.p = arena_strndup(&job->arena, r->body.p, r->body.len);
	seen.len = r->body.len;
	if (seen.p == NULL)
		differs = err_set(&e, ERR_LIMIT, "Patroni's configuration is too large");
	else
		differs = compare(job, seen, &e);
	if (differs == -1) {
		finish(a, &e);
		return;
	}
	job->step = differs ? CONFIG_MARK : CONFIG_UNMARK;
	step(a);
}

/* --- What is written. */

/* The annotation with these keys, as the merge patch of the ConfigMap that was read. */
static void
put_mark(struct buf *out, const struct config_job *job, struct str keys)
{
	char uid[UID_TEXT_SIZE];
	struct buf text;
	struct jw w;

	uid_format(uid, &job->cluster);
	buf_init(&text, KEYS_MAX + 256);
	jw_init(&w, &text);
	jw_object(&w);
	jw_kv(&w, "uid", uid);
	jw_kv_int(&w, "generation", (int64_t)job->generation);
	jw_kv_raw(&w, "keys", keys);
	jw_end(&w);
	jw_init(&w, out);
	jw_object(&w);
	jw_key(&w, "metadata");
	jw_object(&w);
	jw_kv(&w, "resourceVersion", job->version);
	jw_key(&w, "annotations");
	jw_object(&w);
	jw_kv_str(&w, ANNOTATION_APPLIED, buf_view(&text));
	jw_end(&w);
	jw_end(&w);
	jw_end(&w);
	out->full = out->full || text.full;
	buf_free(&text);
}

static void
on_marked(void *arg, const struct kube_reply *r)
{
	struct agent *a = arg;
	struct config_job *job = &a->config;
	struct err e = {0};
	struct json j;

	if (!good(r, &e)) {
		finish(a, &e);
		return;
	}
	if (job->step == CONFIG_UNMARK) {
		finish(a, NULL);
		return;
	}
	if (json_parse(&j, r->body, &job->arena, &e) == -1) {
		finish(a, &e);
		return;
	}
	json_copy_text(&j, json_path(&j, json_root(&j), "metadata.resourceVersion"), job->version,
	    sizeof(job->version));
	job->step = CONFIG_PATCH;
	step(a);
}

static void
mark(struct agent *a, struct str keys)
{
	char name[NAME_MAX_LABEL + 8], path[HTTP_PATH_MAX];
	struct kube_request q = {.method = KUBE_PATCH, .path = path, .content = KUBE_MERGE_PATCH};
	struct err e;
	struct buf body;

	(void)snprintf(name, sizeof(name), "%s-config", a->cluster);
	kube_path(path, KIND_CONFIGMAP, a->namespace, name, NULL, "fieldValidation=Strict");
	buf_init(&body, HTTP_BODY_MAX);
	put_mark(&body, &a->config, keys);
	if (body.full) {
		(void)err_set(&e, ERR_LIMIT,
		    "the names of all configuration keys are more than %d bytes", KEYS_MAX);
		finish(a, &e);
	} else {
		q.body = buf_view(&body);
		kube_send(a->api, &q, on_marked, a);
	}
	buf_free(&body);
}

/*
 * Patroni's own write of the ConfigMap moved its version: the annotation is narrowed by a look of
 * its own.
 */
static void
on_patched(void *arg, const struct kube_reply *r)
{
	struct agent *a = arg;
	struct config_job *job = &a->config;
	struct err e = {0};

	if (!good(r, &e)) {
		finish(a, &e);
		return;
	}
	log_info("config", NULL, "patched Patroni's dynamic configuration for generation %llu",
	    (unsigned long long)job->generation);
	if (str_eq(buf_view(&job->keys), buf_view(&job->kept))) {
		finish(a, NULL);
		return;
	}
	job->step = CONFIG_LOOK_MARK;
	step(a);
}

static void
patch(struct agent *a)
{
	const struct kube_request q = {.method = KUBE_PATCH,
	    .path = "/config",
	    .content = KUBE_MERGE_PATCH,
	    .body = buf_view(&a->config.patch)};

	kube_send(a->rest, &q, on_patched, a);
}

static void
look(struct agent *a, enum config_step what)
{
	char name[NAME_MAX_LABEL + 8], path[HTTP_PATH_MAX] = "/config";
	const struct kube_request q = {.method = KUBE_GET, .path = path};

	if (what == CONFIG_LOOK) {
		kube_send(a->rest, &q, on_config_seen, a);
		return;
	}
	(void)snprintf(name, sizeof(name), "%s-config", a->cluster);
	kube_path(path, KIND_CONFIGMAP, a->namespace, name, NULL, NULL);
	kube_send(a->api, &q, on_mark_seen, a);
}

/*
 * Nothing differs: the annotation still may (another cluster's of that name, or keys that were
 * dropped).
 */
static void
unmark(struct agent *a)
{
	struct config_job *job = &a->config;

	if (uid_eq(&job->marked_uid, &job->cluster) && str_eq(job->marked, buf_view(&job->keys)))
		finish(a, NULL);
	else
		mark(a, buf_view(&job->keys));
}

static void
step(struct agent *a)
{
	struct config_job *job = &a->config;

	switch (job->step) {
	case CONFIG_LOOK_MARK:
	case CONFIG_LOOK:
		look(a, job->step);
		break;
	case CONFIG_MARK:
		if (uid_eq(&job->marked_uid, &job->cluster) &&
		    job->marked_generation == job->generation &&
		    str_eq(job->marked, buf_view(&job->kept))) {
			job->step = CONFIG_PATCH;
			patch(a);
		} else
			mark(a, buf_view(&job->kept));
		break;
	case CONFIG_PATCH:
		patch(a);
		break;
	case CONFIG_UNMARK:
		unmark(a);
		break;
	case CONFIG_IDLE:
		break;
	}
}

static int
render(struct agent *a, struct err *e)
{
	struct config_job *job = &a->config;
	struct dynamic_wanted wanted;

	if (job->wanted.max == 0) {
		buf_init(&job->wanted, CONFIG_MAX);
		buf_init(&job->keys, KEYS_MAX);
		buf_init(&job->kept, KEYS_MAX);
		buf_init(&job->patch, CONFIG_MAX);
	}
	arena_reset(&job->arena);
	buf_reset(&job->wanted);
	spec_wanted(a->spec, &wanted);
	return dynamic_render(&wanted, &job->arena, &job->wanted, e);
}

/* Only what pgctl has checked is applied. */
void
config_look(struct agent *a)
{
	struct config_job *job = &a->config;
	struct err e;

	if (job->step != CONFIG_IDLE || a->spec == NULL || a->spec_bad || !a->password_known ||
	    !a->checked_known || a->checked.generation != a->spec_generation ||
	    a->checked.reason != REASON_NONE || !is_ours(a))
		return;
	if (a->now.v < job->next.v && (is_applied(a) || job->wait_ms > 0))
		return;
	job->generation = a->spec_generation;
	job->cluster = a->spec->meta.uid;
	if (render(a, &e) == -1) {
		finish(a, &e);
		return;
	}
	job->step = CONFIG_LOOK_MARK;
	step(a);
}
