/*
 * Instance 0's agent takes back an `initialize` whose bootstrap died (stale.c says when). It asks
 * for nothing while the cluster has a leader or its own volume has data. Nobody can begin a
 * bootstrap while the key is there, and the patch names the version that was seen from the first
 * look to the last, so one that ended meanwhile is not undone.
 */
#include "instance/agent.h"

#define LOOK_MS 10000
#define ARENA_MAX (8u << 20)

static struct arena arena; /* of one reply */

/* Might it be? From what is known here. */
static bool
is_likely(const struct agent *a)
{
	const struct view *v = &a->view;
	char first[NAME_MAX_LABEL + 3];

	(void)snprintf(first, sizeof(first), "%s-0", a->cluster);
	return strcmp(a->pod, first) == 0 && a->spec != NULL && !a->cluster_gone && a->released &&
	       a->state_known && a->state.locked && a->state.patroni_running &&
	       !a->state.stopping && a->disk_known && a->disk.pgdata_empty && v->known &&
	       strcmp(v->state, "stopped") == 0 && !v->paused && v->cluster_known &&
	       !v->has_leader && v->members == (unsigned)a->spec->instances;
}

static void
end(struct agent *a)
{
	a->stale.busy = false;
	a->stale.next.v = clock_boot().v + LOOK_MS;
}

static void
on_taken_back(void *arg, const struct kube_reply *r)
{
	struct agent *a = arg;
	struct err e = r->err;

	if (r->outcome != KUBE_REPLIED || kube_reply_error(r, &e) == -1)
		log_warn("initialize", NULL, "not taken back: %s", e.text);
	else
		log_warn("initialize", NULL,
		    "a bootstrap began and died, and no instance has data: it may begin anew");
	a->stale.version[0] = '\0';
	end(a);
}

static void
take_back(struct agent *a)
{
	char name[NAME_MAX_LABEL + 8], path[HTTP_PATH_MAX];
	struct kube_request q = {.method = KUBE_PATCH, .path = path, .content = KUBE_MERGE_PATCH};
	struct buf body;

	(void)snprintf(name, sizeof(name), "%s-config", a->cluster);
	kube_path(path, KIND_CONFIGMAP, a->namespace, name, NULL, "fieldValidation=Strict");
	buf_init(&body, 1024);
	stale_patch(&body, a->stale.version);
	q.body = buf_view(&body);
	kube_send(a->api, &q, on_taken_back, a);
	buf_free(&body);
}

static void ask_instance(struct agent *a);

static void
on_pod(void *arg, const struct kube_reply *r)
{
	struct agent *a = arg;
	struct json j;

	if (!api_parse(r, &arena, &j) || !stale_is_idle(&j, &arena, &a->stale.pod)) {
		end(a);
		return;
	}
	a->stale.ordinal++;
	ask_instance(a);
}

static void
on_instance(void *arg, const struct kube_reply *r)
{
	struct agent *a = arg;
	char name[NAME_MAX_LABEL + 8];
	struct json j;

	if (!api_parse(r, &arena, &j) || !stale_is_empty(&j, &arena, &a->stale.pod)) {
		end(a);
		return;
	}
	(void)snprintf(name, sizeof(name), "%s-%u", a->cluster, a->stale.ordinal);
	api_get(a, KIND_POD, name, on_pod);
}

static void
ask_instance(struct agent *a)
{
	char name[NAME_MAX_LABEL + 8];

	if (!is_likely(a)) {
		end(a);
	} else if (a->stale.ordinal == (unsigned)a->spec->instances) {
		take_back(a);
	} else {
		(void)snprintf(name, sizeof(name), "%s-%u", a->cluster, a->stale.ordinal);
		api_get(a, KIND_BGINSTANCE, name, on_instance);
	}
}

static void
on_config(void *arg, const struct kube_reply *r)
{
	struct agent *a = arg;
	struct stale_job *s = &a->stale;
	struct msec now = clock_boot();
	char version[24];
	struct json j;

	if (!api_parse(r, &arena, &j) || !stale_is_begun(&j, version)) {
		s->version[0] = '\0';
		end(a);
	} else if (strcmp(version, s->version) != 0) {
		(void)snprintf(s->version, sizeof(s->version), "%s", version);
		s->since = now;
		end(a);
	} else if (now.v - s->since.v < stale_after_ms(a->spec->loop_wait)) {
		end(a);
	} else {
		s->ordinal = 0;
		ask_instance(a);
	}
}

void
stale_look(struct agent *a)
{
	char name[NAME_MAX_LABEL + 8];

	if (a->stale.busy)
		return;
	if (!is_likely(a)) {
		a->stale.version[0] = '\0';
		return;
	}
	if (a->now.v < a->stale.next.v)
		return;
	if (arena.cap == 0)
		arena_init(&arena, ARENA_MAX);
	a->stale.busy = true;
	(void)snprintf(name, sizeof(name), "%s-config", a->cluster);
	api_get(a, KIND_CONFIGMAP, name, on_config);
}
