/*
 * BGInstance.spec.task on its way to pgctl, and what pgctl says of it on its way to status.task.
 * A task is noted in status before it is handed over; what was noted or handed over before, by
 * whomever, is handed over as begun, and pgctl begins it only if it was not. The script comes by
 * a LIST that names its ConfigMap: the pod's Role needs nothing for it that Patroni does not
 * need.
 */
#include "instance/agent.h"

#define LIST_MS 10000
#define SCRIPT_TRIES 3
#define SCRIPT_AGAIN_MS 1000

static struct arena arena; /* of the answer with the script */

static void
finish(struct agent *a, enum choice_task_phase phase, const char *text)
{
	struct task_job *job = &a->task;

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
	struct agent *a = arg;
	struct task_job *job = &a->task;
	struct err e = {0};

	job->listing = false;
	if (job->listed != job->number) {
		agent_look(a); /* of another task */
		return;
	}
	if (read_script(job, r, &e) == -1) {
		job->script_next.v = clock_boot().v + SCRIPT_AGAIN_MS;
		if ((e.code != ERR_RETRY || ++job->script_tries == SCRIPT_TRIES) &&
		    job->state.phase == CHOICE_task_phase_RUNNING)
			finish(a, CHOICE_task_phase_FAILED, e.text);
	}
	agent_look(a);
}

static void
list_script(struct agent *a)
{
	struct task_job *job = &a->task;
	char path[HTTP_PATH_MAX], query[NAME_MAX_OBJECT + 64];
	const struct kube_request r = {.method = KUBE_GET, .path = path, .timeout_ms = LIST_MS};

	if (job->listing || a->now.v < job->script_next.v)
		return;
	(void)snprintf(
	    query, sizeof(query), "fieldSelector=metadata.name%%3D%s&limit=1", job->script_map);
	kube_path(path, KIND_CONFIGMAP, a->namespace, NULL, NULL, query);
	job->listing = true;
	job->listed = job->number;
	kube_send(a->api, &r, on_script, a);
}

/* --- To pgctl. */

/* Message number at; false past the end. */
static bool
part(const struct task_job *job, size_t at, struct ipc_msg *m)
{
	if (at == 0) {
		m->type = IPC_TASK;
		m->task = job->head;
		m->task.begun = job->begun;
		return true;
	}
	if (--at < job->names_n) {
		m->type = IPC_TASK_NAME;
		m->task_name = job->names[at];
		return true;
	}
	at -= job->names_n;
	if (job->script_fd >= 0 && at-- == 0) {
		m->type = IPC_TASK_SCRIPT;
		m->fds[0] = job->script_fd;
		return true;
	}
	m->type = IPC_TASK_END;
	return at == 0;
}

static void
hand_over(struct agent *a)
{
	struct task_job *job = &a->task;

	while (!job->handed) {
		struct ipc_msg m = {.fds = {-1, -1}};

		if (!part(job, job->at, &m)) {
			job->handed = job->begun = true;
			fd_close(&job->script_fd);
			return;
		}
		if (!child_send(&a->self, &m))
			return;
		job->at++;
	}
}

static void
tell_cancel(struct agent *a)
{
	struct ipc_msg m = {.type = IPC_TASK_CANCEL, .fds = {-1, -1}};

	m.task_cancel.id = a->task.head.id;
	m.task_cancel.attempt = a->task.head.attempt;
	a->task.cancel_told = child_send(&a->self, &m);
}

void
agent_task_look(struct agent *a)
{
	struct task_job *job = &a->task;
	bool noted = strcmp(a->stored.task_id, job->id) == 0 &&
	             a->stored.task.attempt == job->state.attempt &&
	             a->stored.task.phase == CHOICE_task_phase_RUNNING;

	if (job->state.phase != CHOICE_task_phase_RUNNING)
		return;
	if (job->cancel && !job->begun && job->at == 0) {
		finish(a, CHOICE_task_phase_CANCELLED, "");
		return;
	}
	if (!job->handed) {
		if (!noted || a->status.busy || !a->self.edge_up || a->send_at != SIZE_MAX)
			return;
		if (!job->begun && needs_script(job) && job->script_fd < 0) {
			list_script(a);
			return;
		}
		hand_over(a);
	}
	if (job->handed && job->cancel && !job->cancel_told)
		tell_cancel(a);
}

/* A new pgctl, or one that may not have got all: it is told again, as of what was begun. */
void
agent_task_edge_new(struct agent *a)
{
	struct task_job *job = &a->task;

	job->begun |= job->at > 0;
	job->at = 0;
	job->handed = job->cancel_told = false;
}

void
agent_task_said(struct agent *a, const struct msg_task_state *m)
{
	struct task_job *job = &a->task;

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
take_head(struct msg_task *m, const struct bginstance *i)
{
	m->attempt = (uint32_t)i->task[0].attempt;
	m->kind = i->task[0].kind;
	m->timeout_s = (uint32_t)i->task[0].timeout;
	m->full = i->task[0].full;
	m->freeze = i->task[0].freeze;
	m->analyze = i->task[0].analyze;
	m->all_pages = i->task[0].all_pages;
	m->concurrently = i->task[0].concurrently;
	m->only_invalid = i->task[0].only_invalid;
	m->scale = (uint32_t)i->task[0].scale;
	m->duration_s = (uint32_t)i->task[0].duration;
	m->clients = (uint16_t)i->task[0].clients;
	m->threads = (uint8_t)i->task[0].threads;
	m->mode = i->task[0].mode;
	m->single_transaction = i->task[0].single_transaction;
	m->superuser = i->task[0].superuser;
	str_copy_text(m->database, sizeof(m->database), i->task[0].database);
}

void
agent_task_state_from(const struct bginstance *i, struct msg_task_state *s)
{
	*s = (struct msg_task_state){.attempt = (uint32_t)i->task[0].done_attempt,
	    .phase = i->task[0].phase,
	    .percent = (uint8_t)i->task[0].percent,
	    .pages = (uint64_t)i->task[0].pages,
	    .tuples = (uint64_t)i->task[0].tuples,
	    .size_before = (uint64_t)i->task[0].size_before,
	    .size_after = (uint64_t)i->task[0].size_after};
	(void)uid_parse(i->task[0].done_id, &s->id);
	str_copy_text(s->step, sizeof(s->step), i->task[0].step);
	str_copy_text(s->message, sizeof(s->message), i->task[0].message);
	(void)str_copy(s->output, sizeof(s->output), i->task[0].output);
	str_copy_text(s->tps, sizeof(s->tps), i->task[0].tps);
	str_copy_text(s->latency_avg, sizeof(s->latency_avg), i->task[0].latency_avg);
	str_copy_text(s->latency_stddev, sizeof(s->latency_stddev), i->task[0].latency_stddev);
	str_copy_text(s->latency_p50, sizeof(s->latency_p50), i->task[0].latency_p50);
	str_copy_text(s->latency_p95, sizeof(s->latency_p95), i->task[0].latency_p95);
	str_copy_text(s->latency_p99, sizeof(s->latency_p99), i->task[0].latency_p99);
}

/* Another task than the one known. */
static void
take_new(struct agent *a, const struct bginstance *i)
{
	struct task_job *job = &a->task;
	unsigned number = job->number + 1;
	bool listing = job->listing;

	if (job->id[0] != '\0')
		fd_close(&job->script_fd);
	*job = (struct task_job){.number = number, .listing = listing, .script_fd = -1};
	str_copy_text(job->id, sizeof(job->id), i->task[0].id);
	take_head(&job->head, i);
	take_names(job, &i->task[0].databases, false);
	take_names(job, &i->task[0].tables, true);
	str_copy_text(job->script_map, sizeof(job->script_map), i->task[0].script_map);
	str_copy_text(job->script_key, sizeof(job->script_key), i->task[0].script_key);
	job->state.attempt = job->head.attempt;
	job->state.phase = CHOICE_task_phase_RUNNING;
	if (str_eq(i->task[0].done_id, i->task[0].id) &&
	    i->task[0].done_attempt == i->task[0].attempt && str_is(i->pod_uid, a->pod_uid)) {
		/* a former agent of this pod has noted it, and may have ended it */
		agent_task_state_from(i, &job->state);
		job->begun = true;
	}
	if (uid_parse(i->task[0].id, &job->head.id) == -1)
		finish(a, CHOICE_task_phase_FAILED, "spec.task.id is no uid");
	else if (needs_script(job) && (job->script_map[0] == '\0' || job->script_key[0] == '\0'))
		finish(a, CHOICE_task_phase_FAILED, "spec.task names no ConfigMap and key");
}

void
agent_task_take(struct agent *a, const struct bginstance *i)
{
	struct task_job *job = &a->task;

	if (i->task[0].id.len == 0 || !str_is(i->task[0].pod, a->pod_uid))
		return;
	if (!str_is(i->task[0].id, job->id) || job->head.attempt != (uint32_t)i->task[0].attempt)
		take_new(a, i);
	if (i->task[0].cancel)
		job->cancel = true;
}
