/*
 * The tasks of BGInstance.spec on their way to pgctl, and what pgctl says of them on its way to
 * status, each slot by itself. A task is noted in status before it is handed over; what was noted
 * or handed over before, by whomever, is handed over as begun, and pgctl begins it only if it was
 * not. The script comes by a LIST that names its ConfigMap: the pod's Role needs nothing for it
 * that Patroni does not need.
 */
#include "instance/agent.h"

#define LIST_MS 10000
#define SCRIPT_TRIES 3
#define SCRIPT_AGAIN_MS 1000

static struct arena arena; /* of the answer with the script */

static void
finish(struct task_job *job, enum choice_task_phase phase, const char *text)
{
	job->state.phase = (uint8_t)phase;
	str_copy_text(job->state.message, sizeof(job->state.message), str_of(text));
	log_line(phase == CHOICE_task_phase_FAILED ? LOG_WARN : LOG_INFO, "task", NULL, "%s: %s",
	    choice_text(VOCAB_task_phase, job->state.phase), job->state.message);
}

/* --- The script. */

static bool
needs_script(const struct task_job *job)
{
	return job->head.kind == CHOICE_task_kind_SQL ||
	       (job->head.kind == CHOICE_task_kind_BENCHMARK &&
		   job->head.mode == CHOICE_benchmark_mode_CUSTOM);
}

/* 0, or -1 with e: GONE and INVALID are for the user. */
static int
read_script(struct task_job *job, const struct kube_reply *r, struct err *e)
{
	int items, data, node;
	struct str text;
	struct json j;

	if (arena.cap == 0)
		arena_init(&arena, 3 * TASK_SCRIPT_MAX);
	arena_reset(&arena);
	if (r->outcome != KUBE_REPLIED)
		return err_set(e, ERR_RETRY, "%s", r->err.text);
	if (kube_reply_error(r, e) == -1 || json_parse(&j, r->body, &arena, e) == -1)
		return -1;
	items = json_first(&j, json_get(&j, json_root(&j), STR("items")));
	if (items == JSON_NONE)
		return err_set(e, ERR_GONE, "ConfigMap %s does not exist", job->script_map);
	data = json_get(&j, items, STR("data"));
	node = json_get(&j, data, str_of(job->script_key));
	if (json_type(&j, node) != JSON_T_STRING)
		return err_set(e, ERR_GONE, "ConfigMap %.100s has no key %.60s in its data",
		    job->script_map, job->script_key);
	if (json_string(&j, node, TASK_SCRIPT_MAX, &arena, &text, e) == -1)
		return err_set(e, ERR_INVALID, "the script is larger than 1 MiB or holds a NUL");
	fd_close(&job->script_fd);
	if ((job->script_fd = fd_sealed("script", text.p, text.len, e)) == -1)
		return -1;
	return 0;
}

static void
on_script(void *arg, const struct kube_reply *r)
{
	struct task_job *job = arg;
	struct err e = {0};

	job->listing = false;
	if (job->listed != job->number) {
		agent_look(job->agent); /* of another task */
		return;
	}
	if (read_script(job, r, &e) == -1) {
		job->script_next.v = clock_boot().v + SCRIPT_AGAIN_MS;
		if ((e.code != ERR_RETRY || ++job->script_tries == SCRIPT_TRIES) &&
		    job->state.phase == CHOICE_task_phase_RUNNING)
			finish(job, CHOICE_task_phase_FAILED, e.text);
	}
	agent_look(job->agent);
}

static void
list_script(struct task_job *job)
{
	const struct agent *a = job->agent;
	char path[HTTP_PATH_MAX], query[NAME_MAX_OBJECT + 64];
	const struct kube_request r = {.method = KUBE_GET, .path = path, .timeout_ms = LIST_MS};

	if (job->listing || a->now.v < job->script_next.v)
		return;
	(void)snprintf(
	    query, sizeof(query), "fieldSelector=metadata.name%%3D%s&limit=1", job->script_map);
	kube_path(path, KIND_CONFIGMAP, a->namespace, NULL, NULL, query);
	job->listing = true;
	job->listed = job->number;
	kube_send(a->api, &r, on_script, job);
}

/* --- To pgctl. */

/* Message number at; false past the end. */
static bool
part(const struct task_job *job, size_t at, struct ipc_msg *m)
{
	if (at == 0) {
		m->type = IPC_TASK;
		m->task = job->head;
		m->task.slot = job->slot;
		m->task.begun = job->begun;
		return true;
	}
	if (--at < job->names_n) {
		m->type = IPC_TASK_NAME;
		m->task_name = job->names[at];
		m->task_name.slot = job->slot;
		return true;
	}
	at -= job->names_n;
	if (job->script_fd >= 0 && at-- == 0) {
		m->type = IPC_TASK_SCRIPT;
		m->task_script.slot = job->slot;
		m->fds[0] = job->script_fd;
		return true;
	}
	m->type = IPC_TASK_END;
	m->task_end.slot = job->slot;
	return at == 0;
}

static void
hand_over(struct task_job *job)
{
	while (!job->handed) {
		struct ipc_msg m = {.fds = {-1, -1}};

		if (!part(job, job->at, &m)) {
			job->handed = job->begun = true;
			fd_close(&job->script_fd);
			return;
		}
		if (!child_send(&job->agent->self, &m))
			return;
		job->at++;
	}
}

static void
tell_cancel(struct task_job *job)
{
	struct ipc_msg m = {.type = IPC_TASK_CANCEL, .fds = {-1, -1}};

	m.task_cancel.slot = job->slot;
	m.task_cancel.id = job->head.id;
	m.task_cancel.attempt = job->head.attempt;
	job->cancel_told = child_send(&job->agent->self, &m);
}

/* Does status say that it runs? */
static bool
is_noted(const struct task_job *job)
{
	const struct report_task *stored = &job->agent->stored.task[job->slot];

	return strcmp(stored->id, job->id) == 0 && stored->state.attempt == job->state.attempt &&
	       stored->state.phase == CHOICE_task_phase_RUNNING;
}

/*
 * An operator that knows the first slot only may tell there what stands in another one: nobody
 * begins it a second time.
 */
static bool
is_begun_elsewhere(const struct task_job *job)
{
	for (unsigned slot = 0; slot < TASKS_MAX; slot++) {
		const struct task_job *other = &job->agent->task[slot];

		if (other != job && other->begun && strcmp(other->id, job->id) == 0 &&
		    other->head.attempt == job->head.attempt)
			return true;
	}
	return false;
}

static void
look(struct task_job *job)
{
	const struct agent *a = job->agent;

	if (job->state.phase != CHOICE_task_phase_RUNNING)
		return;
	if (job->cancel && !job->begun && job->at == 0) {
		finish(job, CHOICE_task_phase_CANCELLED, "");
		return;
	}
	if (!job->handed) {
		if (!is_noted(job) || a->status.busy || !a->self.edge_up || a->send_at != SIZE_MAX)
			return;
		job->begun |= is_begun_elsewhere(job);
		if (!job->begun && needs_script(job) && job->script_fd < 0) {
			list_script(job);
			return;
		}
		hand_over(job);
	}
	if (job->handed && job->cancel && !job->cancel_told)
		tell_cancel(job);
}

void
agent_task_look(struct agent *a)
{
	for (unsigned slot = 0; slot < TASKS_MAX; slot++)
		look(&a->task[slot]);
}

/* A new pgctl, or one that may not have got all: it is told again, as of what was begun. */
void
agent_task_edge_new(struct agent *a)
{
	for (unsigned slot = 0; slot < TASKS_MAX; slot++) {
		struct task_job *job = &a->task[slot];

		job->begun |= job->at > 0;
		job->at = 0;
		job->handed = job->cancel_told = false;
	}
}

void
agent_task_said(struct agent *a, const struct msg_task_state *m)
{
	struct task_job *job = &a->task[m->slot];

	if (!uid_eq(&m->id, &job->head.id) || m->attempt != job->head.attempt || !job->handed ||
	    job->state.phase != CHOICE_task_phase_RUNNING)
		return;
	job->state = *m;
}

/* --- From the operator. */

static void
take_names(struct task_job *job, const struct str_list *names, bool table)
{
	for (size_t i = 0; i < names->n; i++) {
		struct msg_task_name *m = &job->names[job->names_n++];

		m->table = table;
		str_copy_text(m->name, sizeof(m->name), names->at[i]);
	}
}

static void
take_head(struct msg_task *m, const struct bginstance_task *t)
{
	m->attempt = (uint32_t)t->attempt;
	m->kind = t->kind;
	m->timeout_s = (uint32_t)t->timeout;
	m->full = t->full;
	m->freeze = t->freeze;
	m->analyze = t->analyze;
	m->all_pages = t->all_pages;
	m->concurrently = t->concurrently;
	m->only_invalid = t->only_invalid;
	m->scale = (uint32_t)t->scale;
	m->duration_s = (uint32_t)t->duration;
	m->clients = (uint16_t)t->clients;
	m->threads = (uint8_t)t->threads;
	m->mode = t->mode;
	m->single_transaction = t->single_transaction;
	m->superuser = t->superuser;
	str_copy_text(m->database, sizeof(m->database), t->database);
}

void
agent_task_state_from(const struct bginstance_task *t, struct msg_task_state *s)
{
	*s = (struct msg_task_state){.attempt = (uint32_t)t->done_attempt,
	    .phase = t->phase,
	    .percent = (uint8_t)t->percent,
	    .pages = (uint64_t)t->pages,
	    .tuples = (uint64_t)t->tuples,
	    .size_before = (uint64_t)t->size_before,
	    .size_after = (uint64_t)t->size_after};
	(void)uid_parse(t->done_id, &s->id);
	str_copy_text(s->step, sizeof(s->step), t->step);
	str_copy_text(s->message, sizeof(s->message), t->message);
	(void)str_copy(s->output, sizeof(s->output), t->output);
	str_copy_text(s->tps, sizeof(s->tps), t->tps);
	str_copy_text(s->latency_avg, sizeof(s->latency_avg), t->latency_avg);
	str_copy_text(s->latency_stddev, sizeof(s->latency_stddev), t->latency_stddev);
	str_copy_text(s->latency_p50, sizeof(s->latency_p50), t->latency_p50);
	str_copy_text(s->latency_p95, sizeof(s->latency_p95), t->latency_p95);
	str_copy_text(s->latency_p99, sizeof(s->latency_p99), t->latency_p99);
}

/*
 * What is known of that attempt already, in whichever slot: an operator that knows the first one
 * only tells there what stands, or has ended, in another one. What this agent knows itself is newer
 * than status, and says whether it was begun.
 */
static void
take_known(struct task_job *job, const struct bginstance *i)
{
	const struct agent *a = job->agent;
	bool found = false;

	for (unsigned slot = 0; slot < TASKS_MAX; slot++) {
		const struct task_job *other = &a->task[slot];

		if (other == job || strcmp(other->id, job->id) != 0 ||
		    other->head.attempt != job->head.attempt)
			continue;
		found = true;
		job->begun = job->begun || other->begun;
		if (job->state.phase == CHOICE_task_phase_RUNNING)
			job->state = other->state;
	}
	if (found || !str_is(i->pod_uid, a->pod_uid))
		return;
	for (unsigned slot = 0; slot < TASKS_MAX; slot++) {
		const struct bginstance_task *t = &i->task[slot];

		if (!str_is(t->done_id, job->id) || t->done_attempt != job->head.attempt)
			continue;
		/* a former agent of this pod has noted it, and may have ended it */
		agent_task_state_from(t, &job->state);
		job->begun = true;
		return;
	}
}

/* Another task than the one known. */
static void
take_new(struct task_job *job, const struct bginstance *i)
{
	const struct bginstance_task *t = &i->task[job->slot];
	struct task_job fresh = {.agent = job->agent,
	    .slot = job->slot,
	    .number = job->number + 1,
	    .listing = job->listing,
	    .listed = job->listed,
	    .script_fd = -1};

	fd_close(&job->script_fd);
	*job = fresh;
	str_copy_text(job->id, sizeof(job->id), t->id);
	take_head(&job->head, t);
	take_names(job, &t->databases, false);
	take_names(job, &t->tables, true);
	str_copy_text(job->script_map, sizeof(job->script_map), t->script_map);
	str_copy_text(job->script_key, sizeof(job->script_key), t->script_key);
	job->state.attempt = job->head.attempt;
	job->state.phase = CHOICE_task_phase_RUNNING;
	take_known(job, i);
	if (uid_parse(t->id, &job->head.id) == -1)
		finish(job, CHOICE_task_phase_FAILED, "spec.task.id is no uid");
	else if (needs_script(job) && (job->script_map[0] == '\0' || job->script_key[0] == '\0'))
		finish(job, CHOICE_task_phase_FAILED, "spec.task names no ConfigMap and key");
}

static bool
is_told(const struct task_job *job, const struct bginstance *i)
{
	for (unsigned slot = 0; slot < TASKS_MAX; slot++)
		if (str_is(i->task[slot].id, job->id) &&
		    i->task[slot].attempt == job->head.attempt &&
		    str_is(i->task[slot].pod, job->agent->pod_uid))
			return true;
	return false;
}

/*
 * Is it at work on what nobody wants? Of a BGInstance that was made anew the operator gives up what
 * the former one was told. What was only taken out of one it tells again.
 */
static bool
is_dropped(const struct task_job *job, const struct bginstance *i, bool anew)
{
	return job->state.phase == CHOICE_task_phase_RUNNING && !is_told(job, i) &&
	       (anew || i->task[job->slot].id.len > 0);
}

void
agent_task_take(struct agent *a, const struct bginstance *i, bool anew)
{
	for (unsigned slot = 0; slot < TASKS_MAX; slot++) {
		const struct bginstance_task *t = &i->task[slot];
		struct task_job *job = &a->task[slot];

		if (t->id.len == 0 || !str_is(t->pod, a->pod_uid)) {
			job->cancel = job->cancel || is_dropped(job, i, anew);
			continue;
		}
		if (!str_is(t->id, job->id) || job->head.attempt != (uint32_t)t->attempt)
			take_new(job, i);
		if (t->cancel)
			job->cancel = true;
	}
}

void
agent_task_init(struct agent *a)
{
	for (unsigned slot = 0; slot < TASKS_MAX; slot++)
		a->task[slot] =
		    (struct task_job){.agent = a, .slot = (uint8_t)slot, .script_fd = -1};
}
