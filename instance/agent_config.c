/*
 * Patroni's dynamic configuration: what its ConfigMap says is compared with what the
 * spec wants, and the difference is written. Which keys are ours stands as an annotation beside it,
 * so that a key dropped from the spec can be dropped there; both are one write, which names the
 * version that was read. Not through Patroni's REST API: its PATCH /config would be another write
 * than the annotation's, and after a conflict Patroni's GET /config says what was refused as if it
 * were there (it changes its cached copy in place, patroni/api.py, do_PATCH_config).
 */
#include "instance/agent.h"

#define ANNOTATION_APPLIED "bestgres.io/last-applied"
#define ANNOTATION_CONFIG "config" /* Patroni's; patroni/dcs/kubernetes.py, _CONFIG */
#define LOOK_AGAIN_MS 30000        /* somebody else may have changed what is ours */
#define RETRY_FIRST_MS 1000
#define RETRY_MAX_MS 60000
#define LEADERLESS_MS 10000
/* An object's annotations are <= 256 KiB in all, Patroni's history among them. */
#define CONFIG_MAX (256u << 10)
#define KEYS_MAX 65536

/*
 * Who applies: the leader; where there is none for a while, the lowest that lives, since the
 * configuration may be why. So it may be where the leader's server does not come up.
 */
static bool
is_ours(const struct agent *a)
{
	if (agent_leads(a))
		return true;
	if (a->view.cluster_known && a->view.leads && !a->view.running)
		return start_lasts(&a->starts, LEADERLESS_MS, a->now);
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

	j->busy = false;
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

/* --- What is there. */

/* What the ConfigMap says. */
struct stored {
	char version[24];
	struct str config; /* Patroni's, as JSON */
	/* ours: which keys, of which generation of which BGCluster; no keys: there is no mark */
	struct str keys;
	struct uid uid;
	uint64_t generation;
};

/* {"uid":...,"generation":...,"keys":{...}}; whatever else it says counts as no annotation. */
static void
read_mark(struct arena *arena, struct str text, struct stored *out)
{
	struct str uid;
	int64_t generation;
	struct json j;
	int keys;

	if (text.len == 0 || json_parse(&j, text, arena, NULL) == -1)
		return;
	keys = json_get(&j, json_root(&j), STR("keys"));
	if (json_type(&j, keys) != JSON_T_OBJECT ||
	    json_string(&j, json_get(&j, json_root(&j), STR("uid")), 64, arena, &uid, NULL) == -1 ||
	    uid_parse(uid, &out->uid) == -1 ||
	    json_i64(&j, json_get(&j, json_root(&j), STR("generation")), &generation) == -1 ||
	    generation < 0)
		return;
	out->keys = json_raw(&j, keys);
	out->generation = (uint64_t)generation;
}

static int
read_configmap(struct arena *arena, struct str body, struct stored *out, struct err *e)
{
	struct str mark = {NULL, 0};
	int annotations, node;
	struct json j;

	memset(out, 0, sizeof(*out));
	if (json_parse(&j, body, arena, e) == -1)
		return -1;
	json_copy_text(&j, json_path(&j, json_root(&j), "metadata.resourceVersion"), out->version,
	    sizeof(out->version));
	annotations = json_path(&j, json_root(&j), "metadata.annotations");
	if ((node = json_get(&j, annotations, STR(ANNOTATION_CONFIG))) == JSON_NONE)
		return err_set(e, ERR_RETRY, "Patroni has not written its configuration yet");
	if (json_string(&j, node, CONFIG_MAX, arena, &out->config, e) == -1)
		return -1;
	if ((node = json_get(&j, annotations, STR(ANNOTATION_APPLIED))) != JSON_NONE)
		(void)json_string(&j, node, KEYS_MAX + 256, arena, &mark, NULL);
	read_mark(arena, mark, out);
	return 0;
}

/* --- What is written. */

static void
put_mark(struct jw *w, const struct config_job *job)
{
	char uid[UID_TEXT_SIZE];
	struct buf text;
	struct jw mark;

	uid_format(uid, &job->cluster);
	buf_init(&text, KEYS_MAX + 256);
	jw_init(&mark, &text);
	jw_object(&mark);
	jw_kv(&mark, "uid", uid);
	jw_kv_int(&mark, "generation", (int64_t)job->generation);
	jw_kv_raw(&mark, "keys", buf_view(&job->keys));
	jw_end(&mark);
	jw_kv_str(w, ANNOTATION_APPLIED, buf_view(&text));
	buf_free(&text);
}

static void
on_written(void *arg, const struct kube_reply *r)
{
	struct agent *a = arg;
	struct err e = r->err;

	if (r->outcome != KUBE_REPLIED || kube_reply_error(r, &e) == -1)
		finish(a, &e);
	else
		finish(a, NULL);
}

static void
config_path(const struct agent *a, char path[HTTP_PATH_MAX], const char *query)
{
	char name[NAME_MAX_LABEL + 8];

	(void)snprintf(name, sizeof(name), "%s-config", a->cluster);
	kube_path(path, KIND_CONFIGMAP, a->namespace, name, NULL, query);
}

/* config: Patroni's as well, not only our mark. */
static void
write_configmap(struct agent *a, const struct stored *seen, bool config)
{
	char path[HTTP_PATH_MAX];
	struct kube_request q = {.method = KUBE_PATCH, .path = path, .content = KUBE_MERGE_PATCH};
	struct buf body;
	struct err e;
	struct jw w;

	config_path(a, path, "fieldValidation=Strict");
	buf_init(&body, HTTP_BODY_MAX);
	jw_init(&w, &body);
	jw_object(&w);
	jw_key(&w, "metadata");
	jw_object(&w);
	jw_kv(&w, "resourceVersion", seen->version);
	jw_key(&w, "annotations");
	jw_object(&w);
	if (config)
		jw_kv_str(&w, ANNOTATION_CONFIG, buf_view(&a->config.merged));
	put_mark(&w, &a->config);
	jw_end(&w);
	jw_end(&w);
	jw_end(&w);
	if (body.full) {
		(void)err_set(&e, ERR_LIMIT, "Patroni's configuration is too large");
		finish(a, &e);
	} else {
		q.body = buf_view(&body);
		kube_send(a->api, &q, on_written, a);
		if (config)
			log_info("config", NULL,
			    "writing Patroni's dynamic configuration for generation %llu",
			    (unsigned long long)a->config.generation);
	}
	buf_free(&body);
}

/*
 * What the stored configuration must become: 1, 0 = it is so already, -1. A key that was ours and
 * is wanted no longer goes; all that others have set stays.
 */
static int
compare(struct config_job *job, const struct stored *seen, struct err *e)
{
	struct buf all, patch;
	int r;

	buf_init(&all, CONFIG_MAX);
	buf_init(&patch, CONFIG_MAX);
	buf_reset(&job->keys);
	buf_reset(&job->merged);
	r = dynamic_drop(buf_view(&job->wanted), seen->keys, &job->arena, &all, e);
	if (r == 0)
		r = dynamic_keys(buf_view(&job->wanted), &job->arena, &job->keys, e);
	if (r == 0)
		r = json_diff(buf_view(&all), seen->config, &job->arena, &patch, e);
	if (r == 1 &&
	    dynamic_merge(buf_view(&patch), seen->config, &job->arena, &job->merged, e) == -1)
		r = -1;
	buf_free(&all);
	buf_free(&patch);
	return r;
}

static void
on_seen(void *arg, const struct kube_reply *r)
{
	struct agent *a = arg;
	struct config_job *job = &a->config;
	struct err e = r->err;
	struct stored seen;
	int differs;

	if (r->outcome != KUBE_REPLIED || kube_reply_error(r, &e) == -1 ||
	    read_configmap(&job->arena, r->body, &seen, &e) == -1) {
		finish(a, &e);
		return;
	}
	if (uid_eq(&seen.uid, &job->cluster) && seen.generation > a->spec_newest) {
		(void)err_set(&e, ERR_CONFLICT, "generation %llu was applied already",
		    (unsigned long long)seen.generation);
		finish(a, &e);
	} else if ((differs = compare(job, &seen, &e)) == -1) {
		finish(a, &e);
	} else if (differs || !uid_eq(&seen.uid, &job->cluster) ||
		   !str_eq(seen.keys, buf_view(&job->keys))) {
		write_configmap(a, &seen, differs == 1);
	} else {
		finish(a, NULL);
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
		buf_init(&job->merged, CONFIG_MAX);
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
	char path[HTTP_PATH_MAX];
	const struct kube_request q = {.method = KUBE_GET, .path = path};
	struct err e;

	if (job->busy || a->spec == NULL || a->spec_bad || a->paused || !a->checked_known ||
	    a->checked.generation != a->spec_generation || a->checked.reason != REASON_NONE ||
	    !is_ours(a))
		return;
	if (a->now.v < job->next.v && (is_applied(a) || job->wait_ms > 0))
		return;
	job->busy = true;
	job->generation = a->spec_generation;
	job->cluster = a->spec->meta.uid;
	if (render(a, &e) == -1) {
		finish(a, &e);
		return;
	}
	config_path(a, path, NULL);
	kube_send(a->api, &q, on_seen, a);
}
