/*
 * The agent and the API server: it watches its own BGCluster and BGInstance by name, writes the
 * latter's status on change, and one label on its own pod where that is not as the pod was made.
 * After the first read nothing here is needed for the database to go on.
 */
#include "instance/agent.h"

#define RETRY_FIRST_MS 1000
#define RETRY_MAX_MS 30000
#define FOREIGN_FIRST_MS 10000 /* somebody else changed our status: no quarrel */
#define FOREIGN_MAX_MS 300000
#define LABEL_AGAIN_MS 10000  /* from taking the label off to putting it on again */
#define LABEL_FIT_MS 10000    /* and so long it must be fit for that: its pod may go right away */
#define SLOTS_AGAIN_MS 300000 /* the CRDs may have been applied meanwhile */
#define ARENA_MAX (4u << 20)

static struct arena arena; /* of one reply or one object */

static int64_t
longer(int64_t ms, int64_t first, int64_t max)
{
	if (ms == 0)
		return first;
	return ms * 2 < max ? ms * 2 : max;
}

/* --- What is read. */

static bool
same_content(const struct bgcluster *x, const struct bgcluster *y)
{
	return x != NULL && uid_eq(&x->meta.uid, &y->meta.uid) &&
	       x->hash[GROUP_CONFIG] == y->hash[GROUP_CONFIG] &&
	       x->hash[GROUP_BOOTSTRAP] == y->hash[GROUP_BOOTSTRAP] &&
	       x->hash[GROUP_STORAGE] == y->hash[GROUP_STORAGE]; /* spec_default */
}

static void
take_cluster(struct agent *a, const struct feed_item *item)
{
	struct arena *into = &a->spec_arena[1 - a->spec_at];
	struct bgcluster *c;
	struct err e = {0};

	arena_reset(into);
	c = arena_alloc(into, sizeof(*c));
	a->spec_bad = c == NULL || decode_bgcluster(item->j, item->object, into, c, &e) == -1;
	if (a->spec_bad) {
		str_copy_text(a->spec_text, sizeof(a->spec_text),
		    str_of(item->limit != NULL ? item->limit : e.text));
		return;
	}
	if (!str_is(c->meta.name, a->cluster))
		return;
	a->cluster_gone = c->meta.deleting && !c->deletion_protection;
	a->paused = c->meta.paused;
	a->spec_bad = spec_usable(c, a->spec_text) == -1;
	if (a->spec_bad)
		return;
	spec_default(c, into);
	a->spec_newest = c->meta.generation;
	if (!same_content(a->spec, c)) {
		a->spec_generation = c->meta.generation;
		a->send_at = 0;
		a->checked_known = false;
	}
	a->spec = c;
	a->spec_at = 1 - a->spec_at;
}

static void
copy(char *dst, size_t size, struct str s)
{
	str_copy_text(dst, size, s);
}

static void
take_instance(struct agent *a, const struct feed_item *item)
{
	struct bginstance *i;
	struct report *r = &a->stored;
	struct err e = {0};
	bool anew;

	arena_reset(&arena);
	i = arena_alloc(&arena, sizeof(*i));
	if (i == NULL || decode_bginstance(item->j, item->object, &arena, i, &e) == -1) {
		log_warn("instance", NULL, "our BGInstance can not be read: %s", e.text);
		return;
	}
	if (!str_is(i->meta.name, a->pod) || (uid_eq(&i->meta.uid, &a->instance_uid) &&
						 i->meta.resource_version < a->instance_version))
		return;
	a->instance_known = true;
	anew = !uid_eq(&i->meta.uid, &a->instance_uid);
	a->instance_uid = i->meta.uid;
	a->instance_version = i->meta.resource_version;
	a->hold = i->hold;
	a->stop = i->stop;
	operate_take(a, i);
	agent_task_take(a, i, anew);
	if (a->hold && !a->released)
		a->adopting = true;
	memset(r, 0, sizeof(*r));
	copy(r->pod_uid, sizeof(r->pod_uid), i->pod_uid);
	copy(r->system_identifier, sizeof(r->system_identifier), i->system_identifier);
	copy(r->postgres_version, sizeof(r->postgres_version), i->postgres_version);
	copy(r->patroni_version, sizeof(r->patroni_version), i->patroni_version);
	copy(r->bin_dir, sizeof(r->bin_dir), i->bin_dir);
	copy(r->anchor_uid, sizeof(r->anchor_uid), i->anchor_uid);
	copy(r->message, sizeof(r->message), i->message);
	r->state = i->state;
	r->role = i->role;
	r->lag = i->lag;
	r->disk = i->disk;
	r->reason = i->reason;
	r->timeline = (uint32_t)i->timeline;
	r->pending_restart = i->pending_restart;
	r->restart_lowers = i->restart_lowers;
	r->patroni_paused = i->patroni_paused;
	r->pgdata_empty = i->pgdata_empty;
	r->bootstrapped = i->bootstrapped;
	r->config_generation = i->config_generation;
	copy(r->pod_inputs, sizeof(r->pod_inputs), i->pod_inputs);
	copy(r->operation_id, sizeof(r->operation_id), i->done_id);
	copy(r->operation_message, sizeof(r->operation_message), i->done_message);
	r->operation_phase = i->done_phase;
	r->outage_ms = (uint32_t)i->done_outage_ms;
	r->task_slots = (uint8_t)i->task_slots;
	for (unsigned slot = 0; slot < TASKS_MAX; slot++) {
		copy(r->task[slot].id, sizeof(r->task[slot].id), i->task[slot].done_id);
		agent_task_state_from(&i->task[slot], &r->task[slot].state);
	}
}

static void
on_begin_cluster(void *arg)
{
	struct agent *a = arg;

	a->cluster_named = false;
}

/* What a list did not name is gone. */
static void
on_synced_cluster(void *arg)
{
	struct agent *a = arg;

	if (!a->cluster_named)
		a->cluster_gone = true;
	child_worked(&a->self);
	agent_look(a);
}

static void
on_object_cluster(void *arg, const struct feed_item *item)
{
	struct agent *a = arg;

	a->cluster_named = true;
	take_cluster(a, item);
	agent_look(a);
}

static void
on_deleted_cluster(void *arg, const struct feed_item *item)
{
	struct agent *a = arg;

	(void)item;
	a->cluster_gone = true;
}

/* A list starts over, perhaps of a restored etcd: versions seen before mean nothing. */
static void
on_begin_instance(void *arg)
{
	struct agent *a = arg;

	a->instance_version = 0;
	a->instance_named = false;
}

static void
on_synced_instance(void *arg)
{
	struct agent *a = arg;

	if (!a->instance_named)
		a->instance_known = false;
	agent_look(a);
}

static void
on_object_instance(void *arg, const struct feed_item *item)
{
	struct agent *a = arg;

	a->instance_named = true;
	take_instance(a, item);
	agent_look(a);
}

static void
on_deleted_instance(void *arg, const struct feed_item *item)
{
	struct agent *a = arg;

	(void)item;
	a->instance_known = false;
}

static void
on_trouble(void *arg, const struct err *e)
{
	(void)arg;
	log_warn("watch", NULL, "%s", e->text);
}

static void
watch(struct agent *a, enum kind kind, const char *name, const struct kube_watch_ops *ops)
{
	char selector[NAME_MAX_OBJECT + 16];
	const struct kube_watch_spec s = {
	    .kind = kind, .ns = a->namespace, .field_selector = selector};

	(void)snprintf(selector, sizeof(selector), "metadata.name=%s", name);
	(void)kube_watch_start(a->api, &s, ops, a);
}

/* --- What is written: status. */

/* Of the spec that this one has done its part of: who leads writes it, others check it. */
static int64_t
config_generation(const struct agent *a)
{
	bool checked = a->checked_known && a->checked.generation == a->spec_generation;

	if (agent_leads(a))
		return a->spec != NULL && uid_eq(&a->config.applied_uid, &a->spec->meta.uid)
		           ? (int64_t)a->config.applied
		           : 0;
	return checked && a->checked.reason == REASON_NONE ? (int64_t)a->spec_generation : 0;
}

/*
 * What is noted of a task stays noted: whoever comes after us would begin one anew of which nothing
 * is.
 */
static void
keep_slots(const struct agent *a, struct report *out)
{
	out->slots_kept = true;
	out->task_slots = a->stored.task_slots;
	for (unsigned slot = 1; slot < TASKS_MAX; slot++)
		out->task[slot] = a->stored.task[slot];
}

static void
make_report(const struct agent *a, struct report *out)
{
	bool checked = a->checked_known && a->checked.generation == a->spec_generation;
	bool quiet = operate_is_quiet(a);
	struct report_input in = {.pod = a->pod,
	    .pod_uid = a->pod_uid,
	    .pod_inputs = a->pod_inputs,
	    .operation_id = quiet ? a->stored.operation_id : a->operate.id,
	    .operation_message = quiet ? a->stored.operation_message : a->operate.text,
	    .operation_phase = quiet ? a->stored.operation_phase : a->operate.phase,
	    .outage_ms = quiet ? a->stored.outage_ms : a->operate.outage_ms,
	    .view = &a->view,
	    .pod_known = a->state_known,
	    .locked = a->state.locked,
	    .patroni_running = a->state.patroni_running,
	    .stopping = a->state.stopping,
	    .patroni_exits = a->state.patroni_exits,
	    .fences = a->state.fences,
	    .clone_stalls = a->state.clone_stalls,
	    .clone_fails = clone_fails(&a->clones),
	    .clone_kills = a->state.clone_kills,
	    .start_reason = start_reason(&a->starts, a->now),
	    .init_text = a->state.text,
	    .disk_known = a->disk_known,
	    .pgdata_empty = a->disk.pgdata_empty,
	    .system_identifier = a->disk.system_identifier,
	    .postgres_version = a->disk.postgres_version,
	    .bin_dir = a->disk.bin_dir,
	    .anchor = a->disk.anchor,
	    .space = a->disk.space,
	    .disk_reason = a->disk.reason,
	    .disk_text = a->disk.text,
	    .spec_reason = a->spec_bad ? REASON_SPEC_INVALID
	                   : checked   ? a->checked.reason
	                               : REASON_NONE,
	    .spec_text = a->spec_bad ? a->spec_text : a->checked.text,
	    .bootstrap_reason = a->bootstrap.reason,
	    .bootstrap_text = a->bootstrap.text,
	    .held = a->hold && !a->released,
	    .resting = a->told > CHOICE_stop_NONE && (a->stop != CHOICE_stop_NONE || !a->hold),
	    .detached = a->state.detached,
	    .stopped = a->state.stopped && a->disk.stopped,
	    .adopting = a->adopting,
	    .was_primary = a->disk.was_primary,
	    .disk_timeline = a->disk.timeline,
	    .sync_wanted = agent_wants_sync(a),
	    .bootstrapped = a->bootstrapped,
	    .config_generation = config_generation(a),
	    .max_lag = a->spec != NULL ? a->spec->max_lag : 0};

	for (unsigned slot = 0; slot < TASKS_MAX; slot++) {
		in.task[slot].id = a->task[slot].id;
		in.task[slot].state = &a->task[slot].state;
	}
	reinit_report(a, &in);
	report_make(&in, out);
	if (a->now.v < a->slots_next.v)
		keep_slots(a, out);
	/* What it was told to leave it comes back to, or another one leads, in a moment. */
	if (quiet)
		out->certain = false;
}

static void
put_text(struct jw *w, const char *key, const char *text)
{
	jw_kv_or_null(w, key, str_of(text));
}

static void
put_number(struct jw *w, const char *key, int64_t v)
{
	jw_key(w, key);
	if (v == 0)
		jw_null(w);
	else
		jw_int(w, v);
}

static void
put_uid(struct jw *w, const char *uid)
{
	jw_key(w, "metadata");
	jw_object(w);
	jw_kv(w, "uid", uid);
	jw_end(w);
}

/* Empty is null: taken away. */
static void
put_operation(struct jw *w, const struct report *r)
{
	jw_key(w, "operation");
	if (r->operation_id[0] == '\0') {
		jw_null(w);
		return;
	}
	jw_object(w);
	jw_kv(w, "id", r->operation_id);
	put_text(w, "phase", choice_text(VOCAB_operation_phase, r->operation_phase));
	put_text(w, "message", r->operation_message);
	put_number(w, "outageMs", r->outage_ms);
	jw_end(w);
}

static void
put_task(struct jw *w, const char *key, const struct report_task *task)
{
	const struct msg_task_state *t = &task->state;

	jw_key(w, key);
	if (task->id[0] == '\0') {
		jw_null(w);
		return;
	}
	jw_object(w);
	jw_kv(w, "id", task->id);
	jw_kv_int(w, "attempt", t->attempt);
	put_text(w, "phase", choice_text(VOCAB_task_phase, t->phase));
	put_number(w, "percent", t->percent);
	put_text(w, "step", t->step);
	put_text(w, "message", t->message);
	put_text(w, "output", t->output);
	put_number(w, "pagesRemoved", (int64_t)t->pages);
	put_number(w, "tuplesRemoved", (int64_t)t->tuples);
	put_number(w, "sizeBefore", (int64_t)t->size_before);
	put_number(w, "sizeAfter", (int64_t)t->size_after);
	put_text(w, "tps", t->tps);
	put_text(w, "latencyAvg", t->latency_avg);
	put_text(w, "latencyStddev", t->latency_stddev);
	put_text(w, "latencyP50", t->latency_p50);
	put_text(w, "latencyP95", t->latency_p95);
	put_text(w, "latencyP99", t->latency_p99);
	jw_end(w);
}

static void
put_slots(struct jw *w, const struct report *r)
{
	put_number(w, "taskSlots", r->task_slots);
	put_text(w, "taskSlotsPodUID", r->task_slots > 0 ? r->pod_uid : "");
	for (unsigned slot = 1; slot < TASKS_MAX; slot++)
		put_task(w, task_keys[slot], &r->task[slot]);
}

/*
 * What is empty is taken away; so are conditions: somebody's mark that this pod was unreachable
 * ends with its next word.
 */
static void
put_report(struct buf *out, const struct uid *instance, const struct report *r)
{
	char uid[UID_TEXT_SIZE];
	struct jw w;

	uid_format(uid, instance);
	jw_init(&w, out);
	jw_object(&w);
	put_uid(&w, uid);
	jw_key(&w, "status");
	jw_object(&w);
	put_text(&w, "podUID", r->pod_uid);
	put_text(&w, "systemIdentifier", r->system_identifier);
	put_text(&w, "state", choice_text(VOCAB_instance_state, r->state));
	put_text(&w, "role", choice_text(VOCAB_instance_role, r->role));
	put_number(&w, "timeline", r->timeline);
	put_text(&w, "lag", choice_text(VOCAB_lag_class, r->lag));
	jw_kv_bool(&w, "pendingRestart", r->pending_restart);
	jw_kv_bool(&w, "restartLowers", r->restart_lowers);
	jw_kv_bool(&w, "patroniPaused", r->patroni_paused);
	jw_kv_bool(&w, "pgdataEmpty", r->pgdata_empty);
	jw_kv_bool(&w, "bootstrapped", r->bootstrapped);
	put_number(&w, "configGeneration", r->config_generation);
	put_text(&w, "podInputs", r->pod_inputs);
	put_operation(&w, r);
	put_task(&w, task_keys[0], &r->task[0]);
	if (!r->slots_kept)
		put_slots(&w, r);
	put_text(&w, "postgresVersion", r->postgres_version);
	put_text(&w, "patroniVersion", r->patroni_version);
	put_text(&w, "binDir", r->bin_dir);
	put_text(&w, "secretsAnchorUID", r->anchor_uid);
	put_text(&w, "disk", choice_text(VOCAB_disk_class, r->disk));
	put_text(&w, "reason", choice_text(VOCAB_reason, r->reason));
	put_text(&w, "message", r->message);
	jw_key(&w, "conditions");
	jw_null(&w);
	jw_end(&w);
	jw_end(&w);
}

static uint64_t
reply_version(const struct kube_reply *r)
{
	struct object_meta meta;
	struct json j;

	arena_reset(&arena);
	if (json_parse(&j, r->body, &arena, NULL) == -1 ||
	    decode_meta(&j, json_root(&j), &arena, &meta, NULL) == -1)
		return 0;
	return meta.resource_version;
}

static void
put_off(struct writer *w, struct msec now, const char *what, const struct err *e)
{
	w->wait_ms = longer(w->wait_ms, RETRY_FIRST_MS, RETRY_MAX_MS);
	w->next.v = now.v + w->wait_ms;
	log_warn("write", NULL, "%s: %s; again in %lld ms", what, e->text, (long long)w->wait_ms);
}

/* A CRD of an older version knows of one task: what else there is to say must not wait for it. */
static void
leave_out_slots(struct agent *a, struct msec now)
{
	if (a->sent.slots_kept)
		return;
	a->slots_next.v = now.v + SLOTS_AGAIN_MS;
	log_warn("write", NULL,
	    "status is refused as it is: it says nothing of secondTask and thirdTask for now; are "
	    "the CRDs older than the operator? Apply those of its version");
}

static void
on_status_written(void *arg, const struct kube_reply *r)
{
	struct agent *a = arg;
	struct msec now = clock_boot();
	uint64_t version;
	struct err e = r->err;

	a->status.busy = false;
	if (r->outcome != KUBE_REPLIED || kube_reply_error(r, &e) == -1) {
		put_off(&a->status, now, "status", &e);
		if (e.code == ERR_INVALID)
			leave_out_slots(a, now);
		return;
	}
	if ((version = reply_version(r)) > a->instance_version)
		a->instance_version = version; /* what the watch says of earlier states is old */
	a->stored = a->sent;
	a->age.since.v = 0;
	agent_look(a);
}

static void
write_status(struct agent *a, const struct report *r)
{
	char path[HTTP_PATH_MAX];
	struct kube_request q = {.method = KUBE_PATCH, .path = path, .content = KUBE_MERGE_PATCH};
	struct buf body;

	kube_path(path, KIND_BGINSTANCE, a->namespace, a->pod, "status", "fieldValidation=Strict");
	buf_init(&body, 32768);
	put_report(&body, &a->instance_uid, r);
	if (body.full)
		die("a report does not fit");
	a->sent = *r;
	a->status.busy = true;
	q.body = buf_view(&body);
	kube_send(a->api, &q, on_status_written, a);
	buf_free(&body);
}

/* foreign: somebody has changed what we wrote. */
static int64_t
damp_ms(const struct agent *a, const struct report *r, bool foreign)
{
	if (!foreign)
		return report_damp_ms(&a->stored, r);
	return strcmp(a->stored.pod_uid, r->pod_uid) == 0 ? REPORT_DAMP_MS : REPORT_OTHER_MS;
}

static void
look_at_status(struct agent *a)
{
	struct writer *w = &a->status;
	struct report r;
	bool foreign;

	if (!a->instance_known || w->busy)
		return;
	make_report(a, &r);
	report_age(&a->age, &a->stored, &r, a->now);
	if (a->age.since.v == 0)
		return;
	foreign = a->sent.pod_uid[0] != '\0' && !report_differs(&a->sent, &r);
	if (a->now.v < w->next.v)
		return;
	if (a->now.v - a->age.since.v < damp_ms(a, &r, foreign))
		return;
	w->wait_ms = foreign ? longer(w->wait_ms, FOREIGN_FIRST_MS, FOREIGN_MAX_MS) : 0;
	w->next.v = a->now.v + w->wait_ms;
	write_status(a, &r);
}

/* --- What is written: the label of a replica that may serve reads. */

static void
on_pod(void *arg, const struct kube_reply *r)
{
	struct agent *a = arg;
	struct err e = r->err;
	struct json j;
	int labels;

	a->label.busy = false;
	arena_reset(&arena);
	if (r->outcome != KUBE_REPLIED || kube_reply_error(r, &e) == -1 ||
	    json_parse(&j, r->body, &arena, &e) == -1) {
		put_off(&a->label, clock_boot(), "our pod", &e);
		return;
	}
	labels = json_path(&j, json_root(&j), "metadata.labels");
	a->label_is = json_string_is(&j, json_get(&j, labels, STR(LABEL_RO)), "ok");
	a->label_known = true;
	a->label.wait_ms = 0;
}

static void
on_label_written(void *arg, const struct kube_reply *r)
{
	struct agent *a = arg;
	struct err e = r->err;

	a->label.busy = false;
	if (r->outcome != KUBE_REPLIED || kube_reply_error(r, &e) == -1) {
		a->label_known = false; /* the outcome may be unknown: look again */
		put_off(&a->label, clock_boot(), "label", &e);
		return;
	}
	a->label_is = a->label_asked;
	a->label.wait_ms = 0;
	if (!a->label_is)
		a->label.next.v = clock_boot().v + LABEL_AGAIN_MS;
}

static void
write_label(struct agent *a, bool on)
{
	char path[HTTP_PATH_MAX];
	struct kube_request q = {.method = KUBE_PATCH, .path = path, .content = KUBE_MERGE_PATCH};
	struct buf body;
	struct jw w;

	kube_path(path, KIND_POD, a->namespace, a->pod, NULL, "fieldValidation=Strict");
	buf_init(&body, 1024);
	jw_init(&w, &body);
	jw_object(&w);
	jw_key(&w, "metadata");
	jw_object(&w);
	jw_kv(&w, "uid", a->pod_uid);
	jw_key(&w, "labels");
	jw_object(&w);
	put_text(&w, LABEL_RO, on ? "ok" : "");
	jw_end(&w);
	jw_end(&w);
	jw_end(&w);
	a->label_asked = on;
	a->label.busy = true;
	q.body = buf_view(&body);
	kube_send(a->api, &q, on_label_written, a);
	buf_free(&body);
}

/* What a pod whose Patroni does not run yet begins with. */
static void
look_at_beginning(struct agent *a)
{
	if (a->began || !a->state_known || (!a->disk_known && !a->state.patroni_running))
		return;
	a->began = true;
	a->reads.stale = !a->state.patroni_running && !a->disk.recent;
}

/* Somebody who is fit may not be for long; who is not is told of at once. */
static bool
label_waits(struct agent *a, bool on)
{
	struct writer *w = &a->label;

	if (a->label_known && on && w->differs_since.v == 0)
		w->differs_since = a->now;
	if (a->label_known && on && a->now.v < w->differs_since.v + LABEL_FIT_MS)
		return true;
	return a->now.v < w->next.v && (on || !a->label_known || w->wait_ms > 0);
}

static void
look_at_label(struct agent *a)
{
	enum may_read reads;

	look_at_beginning(a);
	if (!a->began)
		return;
	reads = reads_look(
	    &a->reads, &a->view, a->spec != NULL ? a->spec->max_lag : -1, a->state.accepts, a->now);
	/* It seems to stream without a lag, but has what the primary has not. */
	if (follow_is_certain(&a->follow, a->now) && a->follow.finding == CHOICE_follow_FORKED)
		reads = READS_NO;
	if (a->label_known && (reads == READS_AS_IS || (reads == READS_YES) == a->label_is)) {
		a->label.differs_since.v = 0;
		return;
	}
	/* No Service sends anything to a pod that ends, whatever it bears. */
	if (a->state.stopping || a->label.busy || label_waits(a, reads == READS_YES))
		return;
	if (a->label_known) {
		write_label(a, reads == READS_YES);
		return;
	}
	a->label.busy = true;
	api_get(a, KIND_POD, a->pod, on_pod);
}

void
api_get(struct agent *a, enum kind kind, const char *name,
    void (*done)(void *arg, const struct kube_reply *))
{
	char path[HTTP_PATH_MAX];
	const struct kube_request q = {.method = KUBE_GET, .path = path};

	kube_path(path, kind, a->namespace, name, NULL, NULL);
	kube_send(a->api, &q, done, a);
}

bool
api_parse(const struct kube_reply *r, struct arena *into, struct json *j)
{
	arena_reset(into);
	return r->outcome == KUBE_REPLIED && r->status == 200 &&
	       json_parse(j, r->body, into, NULL) == 0;
}

void
api_look(struct agent *a)
{
	if (!a->instance_known)
		return; /* the API server was not heard yet */
	look_at_status(a);
	look_at_label(a);
}

void
api_start(struct agent *a)
{
	static const struct kube_watch_ops cluster = {.on_begin = on_begin_cluster,
	    .on_object = on_object_cluster,
	    .on_deleted = on_deleted_cluster,
	    .on_synced = on_synced_cluster,
	    .on_trouble = on_trouble};
	static const struct kube_watch_ops instance = {.on_begin = on_begin_instance,
	    .on_object = on_object_instance,
	    .on_deleted = on_deleted_instance,
	    .on_synced = on_synced_instance,
	    .on_trouble = on_trouble};

	arena_init(&arena, ARENA_MAX);
	watch(a, KIND_BGCLUSTER, a->cluster, &cluster);
	watch(a, KIND_BGINSTANCE, a->pod, &instance);
}
