/*
 * A task from the agent's messages to the state that the agent is told. One at a time in each slot,
 * and never the same BGDbOps' in two. What is under way is known to this process alone: a successor
 * that is told of a task that was begun ends what is left of it and says so, and never begins it
 * again.
 */
#include <unistd.h>

#include "instance/task.h"

#define POLL_S 2.
#define SETUP_MS 10000 /* until the instance is set up, after a start of ours */
#define SETUP_AGAIN_MS 200
#define ANOTHER_MS 200
#define CLEANUP_MS 60000 /* a cleanup has nothing else to do */
#define INTERRUPTED "interrupted: the process in the pod that ran it ended; what it had done stays"

/* --- What is said. */

/* What the slot says, which may be what another one does. */
static const struct msg_task_state *
said(const struct task *t)
{
	return t->twin != NULL ? &t->twin->state : &t->state;
}

void
task_say(struct task *t)
{
	struct ipc_msg m = {.type = IPC_TASK_STATE, .fds = {-1, -1}};

	if (!t->state_due)
		return;
	m.task_state = *said(t);
	m.task_state.slot = t->slot;
	if (child_send(&t->p->self, &m))
		t->state_due = false;
}

void
task_changed(struct task *t)
{
	for (unsigned slot = 0; slot < TASKS_MAX; slot++) {
		struct task *other = t->p->task[slot];

		if (other != t && other->twin != t)
			continue;
		other->state_due = true;
		task_say(other);
	}
}

void
task_step(struct task *t, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	str_copy_text(t->state.step, sizeof(t->state.step), str_of(text));
	task_changed(t);
}

/* --- Time. */

int64_t
task_left_ms(const struct task *t)
{
	int64_t left = t->until.v - clock_boot().v;

	if (t->until.v == 0)
		return 0;
	return left > 0 ? left : 1;
}

static void
on_deadline(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct task *t = w->data;

	(void)loop;
	(void)revents;
	if (t->running)
		task_end(t, CHOICE_task_phase_FAILED, "did not end within its timeout of %u s",
		    t->now.m.timeout_s);
}

static void
on_poll(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct task *t = w->data;

	(void)loop;
	(void)revents;
	if (t->now.m.kind == CHOICE_task_kind_BENCHMARK)
		task_bench_poll(t);
	else
		task_look(t);
}

static void
on_again(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct task *t = w->data;

	(void)loop;
	(void)revents;
	t->later(t);
}

void
task_after(struct task *t, int64_t ms, void (*then)(struct task *t))
{
	t->later = then;
	ev_timer_stop(t->p->self.loop, &t->again);
	ev_timer_set(&t->again, (double)ms / 1000., 0.);
	ev_timer_start(t->p->self.loop, &t->again);
}

/* --- From the beginning. */

static void
spec_clear(struct task_spec *s)
{
	buf_free(&s->script);
	memset(s, 0, sizeof(*s));
	buf_init(&s->script, TASK_SCRIPT_MAX);
}

/* *to takes what from has. */
static void
spec_move(struct task_spec *to, struct task_spec *from)
{
	buf_free(&to->script);
	*to = *from;
	buf_init(&from->script, TASK_SCRIPT_MAX);
	from->complete = false;
}

static void
checkpointed(struct task *t, const struct run_result *r)
{
	if (r->status == 0)
		task_end(t, CHOICE_task_phase_SUCCEEDED, "%s", "");
	else
		task_end_failed(t, r, "psql");
}

static void
begin_checkpoint(struct task *t)
{
	struct buf sql;

	buf_init(&sql, 256);
	task_sql_checkpoint(&sql);
	task_sql(t, "postgres", &sql, checkpointed);
	buf_free(&sql);
}

static void
begin_cleanup(struct task *t)
{
	if (t->sweep_trouble[0] != '\0')
		task_end(t, CHOICE_task_phase_FAILED, "%s", t->sweep_trouble);
	else
		task_end(t, CHOICE_task_phase_SUCCEEDED, "%s", "");
}

static void
begin_kind(struct task *t)
{
	static void (*const begin[CHOICE_task_kind_COUNT])(struct task *) = {
	    [CHOICE_task_kind_CHECKPOINT] = begin_checkpoint,
	    [CHOICE_task_kind_VACUUM] = task_tables_begin,
	    [CHOICE_task_kind_ANALYZE] = task_tables_begin,
	    [CHOICE_task_kind_REINDEX] = task_tables_begin,
	    [CHOICE_task_kind_REPACK] = task_tables_begin,
	    [CHOICE_task_kind_BENCHMARK] = task_bench_begin,
	    [CHOICE_task_kind_SQL] = task_script_begin,
	    [CHOICE_task_kind_CLEANUP] = begin_cleanup,
	};

	if (t->sweep_lives) /* never two at once */
		task_end(t, CHOICE_task_phase_FAILED, "interrupted: %s", t->sweep_trouble);
	else if (begin[t->now.m.kind] == NULL)
		task_end(t, CHOICE_task_phase_FAILED, "this instance knows no such task");
	else
		begin[t->now.m.kind](t);
}

/*
 * An operator of a version that knows one slot sees nothing of the others. What it tells anew ends
 * what runs of the same BGDbOps: each would end the other's sessions, which have the same name.
 */
static bool
ends_another(const struct task *t)
{
	bool found = false;

	for (unsigned slot = 0; slot < TASKS_MAX; slot++) {
		struct task *other = t->p->task[slot];

		if (other == t || !other->running || !uid_eq(&other->now.m.id, &t->now.m.id))
			continue;
		found = true;
		task_end(other, CHOICE_task_phase_CANCELLED, "another attempt has taken its place");
	}
	return found;
}

static void
begin(struct task *t)
{
	const struct msg_task *m = &t->now.m;

	if (!t->running || t->ending)
		return;
	if (ends_another(t)) {
		task_after(t, ANOTHER_MS, begin);
		return;
	}
	if (!task_ready(t)) {
		if (clock_boot().v < t->sweep_until.v)
			task_after(t, SETUP_AGAIN_MS, begin);
		else
			task_end(t, CHOICE_task_phase_FAILED, "the instance is not set up");
		return;
	}
	if (m->kind == CHOICE_task_kind_CLEANUP)
		task_sweep(t, CLEANUP_MS, begin_kind);
	else if (m->attempt > 1)
		task_sweep(t, 0, begin_kind);
	else
		begin_kind(t);
}

static bool
is_state_of(const struct task *t, const struct uid *id, uint32_t attempt)
{
	return uid_eq(&said(t)->id, id) && said(t)->attempt == attempt;
}

/*
 * An operator of a version that knows one slot tells there what stands in another one, and never
 * twice may it be done: then this slot says what that one does.
 */
static struct task *
find_twin(const struct task *t)
{
	for (unsigned slot = 0; slot < TASKS_MAX; slot++) {
		struct task *other = t->p->task[slot];

		if (other != t && other->twin == NULL &&
		    is_state_of(other, &t->now.m.id, t->now.m.attempt))
			return other;
	}
	return NULL;
}

/* It says something else from now on. */
static void
leave_twins(const struct task *t)
{
	for (unsigned slot = 0; slot < TASKS_MAX; slot++) {
		struct task *other = t->p->task[slot];

		if (other->twin != t)
			continue;
		other->state = t->state;
		other->twin = NULL;
	}
}

static void
start(struct task *t)
{
	const struct msg_task *m = &t->now.m;

	if ((t->twin = find_twin(t)) != NULL) {
		buf_free(&t->now.script);
		task_changed(t);
		return;
	}
	leave_twins(t);
	t->running = true;
	t->ending = t->measured = t->sweep_lives = t->unfit = false;
	t->databases_n = t->at = 0;
	t->targets = t->target = t->tables_seen = t->exclusions = 0;
	memset(t->tables_kind, 0, sizeof(t->tables_kind));
	t->backend.pid = 0;
	t->state = (struct msg_task_state){
	    .id = m->id, .attempt = m->attempt, .phase = CHOICE_task_phase_RUNNING};
	task_name_make(&t->name, &m->id);
	t->until.v = m->timeout_s > 0 ? clock_boot().v + (int64_t)m->timeout_s * 1000 : 0;
	if (m->timeout_s > 0) {
		ev_timer_set(&t->deadline, (double)m->timeout_s, 0.);
		ev_timer_start(t->p->self.loop, &t->deadline);
	}
	ev_timer_start(t->p->self.loop, &t->poll);
	log_info("task", NULL, "%s %s, attempt %u%s", choice_text(VOCAB_task_kind, m->kind),
	    t->name.application, m->attempt, m->begun ? ": was begun by another process" : "");
	t->sweep_until.v = clock_boot().v + SETUP_MS;
	if (t->now.cancelled)
		task_end(t, CHOICE_task_phase_CANCELLED, "%s", "");
	else if (m->begun)
		task_end(t, CHOICE_task_phase_FAILED, INTERRUPTED);
	else
		begin(t);
}

void
task_finished(struct task *t)
{
	t->running = false;
	t->room = t->back = (struct task_room){0};
	ev_timer_stop(t->p->self.loop, &t->deadline);
	ev_timer_stop(t->p->self.loop, &t->poll);
	ev_timer_stop(t->p->self.loop, &t->again);
	buf_free(&t->now.script);
	log_line(t->state.phase == CHOICE_task_phase_FAILED ? LOG_WARN : LOG_INFO, "task", NULL,
	    "%s %s: %s%s%s", choice_text(VOCAB_task_kind, t->now.m.kind), t->name.application,
	    choice_text(VOCAB_task_phase, t->state.phase), t->state.message[0] != '\0' ? ": " : "",
	    t->state.message);
	task_changed(t);
	if (!t->next_due)
		return;
	t->next_due = false;
	spec_move(&t->now, &t->next);
	start(t);
}

/* --- From the agent. */

static void
take_end(struct task *t)
{
	t->incoming.complete = true;
	if (is_state_of(t, &t->incoming.m.id, t->incoming.m.attempt)) {
		task_changed(t); /* a new agent asks */
		return;
	}
	if (!t->running) {
		spec_move(&t->now, &t->incoming);
		start(t);
		return;
	}
	spec_move(&t->next, &t->incoming);
	t->next_due = true;
	task_end(t, CHOICE_task_phase_CANCELLED, "another task has taken its place");
}

static void
take_cancel(struct task *t, const struct msg_task_cancel *m)
{
	struct task *runs = t->twin != NULL ? t->twin : t;

	if (runs->running && is_state_of(t, &m->id, m->attempt))
		task_end(runs, CHOICE_task_phase_CANCELLED, "%s", "");
	else if (t->next_due && uid_eq(&t->next.m.id, &m->id) && t->next.m.attempt == m->attempt)
		t->next.cancelled = true;
}

static bool
take_name(struct task_spec *s, const struct msg_task_name *m)
{
	if (m->table && s->tables_n < TASK_TABLES_MAX)
		(void)snprintf(s->tables[s->tables_n++], sizeof(s->tables[0]), "%s", m->name);
	else if (!m->table && s->databases_n < TASK_DATABASES_MAX && strlen(m->name) <= 63)
		(void)snprintf(
		    s->databases[s->databases_n++], sizeof(s->databases[0]), "%.63s", m->name);
	else
		return false;
	return true;
}

static bool
take_script(struct task *t, int fd)
{
	struct str script;
	struct err e;

	arena_reset(&t->arena);
	if (fd_sealed_read(fd, TASK_SCRIPT_MAX, &t->arena, &script, &e) == -1)
		return false;
	buf_reset(&t->incoming.script);
	buf_str(&t->incoming.script, script);
	return true;
}

bool
task_take(struct pgctl *p, struct ipc_msg *m)
{
	struct task *t = p->task[m->task.slot]; /* the first field of each */
	bool open = !t->incoming.complete && !uid_none(&t->incoming.m.id);

	switch ((int)m->type) {
	case IPC_TASK:
		spec_clear(&t->incoming);
		t->incoming.m = m->task;
		return !uid_none(&m->task.id);
	case IPC_TASK_NAME:
		return open && take_name(&t->incoming, &m->task_name);
	case IPC_TASK_SCRIPT:
		return open && take_script(t, m->fds[0]);
	case IPC_TASK_END:
		if (open)
			take_end(t);
		return open;
	case IPC_TASK_CANCEL:
		take_cancel(t, &m->task_cancel);
		return true;
	default:
		return false;
	}
}

/* A new agent asks for what it knows of; nothing is said before. */
void
task_edge_new(struct task *t)
{
	spec_clear(&t->incoming);
	t->state_due = false;
}

struct task *
task_new(struct pgctl *p, uint8_t slot)
{
	struct task *t = xcalloc(1, sizeof(*t));

	t->p = p;
	t->slot = slot;
	t->latencies = xcalloc(1, sizeof(*t->latencies));
	arena_init(&t->arena, TASK_SCRIPT_MAX + 65536);
	buf_init(&t->incoming.script, TASK_SCRIPT_MAX);
	buf_init(&t->next.script, TASK_SCRIPT_MAX);
	buf_init(&t->now.script, TASK_SCRIPT_MAX);
	ev_timer_init(&t->deadline, on_deadline, 0., 0.);
	ev_timer_init(&t->poll, on_poll, POLL_S, POLL_S);
	ev_timer_init(&t->again, on_again, 0., 0.);
	t->deadline.data = t->poll.data = t->again.data = t;
	return t;
}
