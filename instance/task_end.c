/*
 * How a task ends: its program is killed, its backends are ended by their application_name (a
 * statement goes on without its psql), what such a run leaves behind is removed, and then the
 * state is said. Also what is removed before a task is tried again. All of it within a bounded
 * time, since a cancelled task is waited for.
 */
#include "instance/task.h"

#define STEPS_MAX 4
#define SWEEP_MS 15000
#define SWEEP_INTERRUPTED_MS 60000 /* PostgreSQL itself may have to come up first */
#define TERMINATE_AGAIN_MS 200
#define CONNECT_AGAIN_MS 1000
#define SWEEP_SQL_MS 10000

static void sweep_next(struct task *t);

/* --- Removing what is left. */

static bool
over(const struct task *t)
{
	return clock_boot().v >= t->sweep_until.v;
}

static void
trouble(struct task *t, const struct run_result *r)
{
	if (t->sweep_trouble[0] != '\0')
		return; /* the first one counts */
	if (r->timed_out)
		str_copy_text(
		    t->sweep_trouble, sizeof(t->sweep_trouble), STR("psql did not end in time"));
	else
		psql_complaint(r->err, t->sweep_trouble);
}

static void
sweep_sql(struct task *t, const char *database, const struct buf *sql,
    void (*then)(struct task *t, const struct run_result *r))
{
	static const char *const more[] = {"-f", "-", NULL};
	struct task_command c = {.program = "psql",
	    .more = more,
	    .database = database,
	    .nameless = true,
	    .input = buf_view(sql),
	    .timeout_ms = SWEEP_SQL_MS};

	if (sql->full)
		die("task: SQL does not fit");
	task_run(t, &c, then);
}

static void
swept_database(struct task *t, const struct run_result *r)
{
	if (r->status != 0)
		trouble(t, r);
	t->at++;
	sweep_next(t);
}

static void
sweep_databases(struct task *t, void (*put)(const struct task_spec *, struct buf *))
{
	struct buf sql;

	if (t->at >= t->databases_n) {
		t->sweep_at++;
		t->at = 0;
		sweep_next(t);
		return;
	}
	buf_init(&sql, 1u << 20);
	put(&t->now, &sql);
	sweep_sql(t, t->databases[t->at], &sql, swept_database);
	buf_free(&sql);
}

static void
swept_step(struct task *t, const struct run_result *r)
{
	if (r->status != 0)
		trouble(t, r);
	t->sweep_at++;
	sweep_next(t);
}

static void
listed(struct task *t, const struct run_result *r)
{
	if (r->status != 0)
		trouble(t, r);
	else
		(void)task_read_databases(t, r->out);
	t->at = 0;
	t->sweep_at++;
	sweep_next(t);
}

static void
sweep_list(struct task *t)
{
	struct buf sql;

	buf_init(&sql, 65536);
	task_sql_databases(&t->now, &sql);
	sweep_sql(t, "postgres", &sql, listed);
	buf_free(&sql);
}

static void
sweep_indexes(struct task *t)
{
	sweep_databases(t, task_sql_drop_indexes);
}

static void
sweep_repack(struct task *t)
{
	sweep_databases(t, task_sql_drop_repack);
}

static void
sweep_benchmark(struct task *t)
{
	struct buf sql;

	buf_init(&sql, 1024);
	task_sql_drop_benchmark(&t->name, &sql);
	sweep_sql(t, "postgres", &sql, swept_step);
	buf_free(&sql);
}

static void
sweep_next(struct task *t)
{
	static void (*const steps[CHOICE_task_kind_COUNT][STEPS_MAX])(struct task *) = {
	    [CHOICE_task_kind_REINDEX] = {sweep_list, sweep_indexes},
	    [CHOICE_task_kind_REPACK] = {sweep_list, sweep_repack},
	    [CHOICE_task_kind_BENCHMARK] = {sweep_benchmark},
	    [CHOICE_task_kind_CLEANUP] = {sweep_list, sweep_indexes, sweep_repack, sweep_benchmark},
	};
	void (*next)(struct task *) =
	    t->sweep_at < STEPS_MAX ? steps[t->now.m.kind][t->sweep_at] : NULL;

	if (next == NULL) {
		t->databases_n = t->at = 0;
		t->swept(t);
	} else if (over(t) || !task_ready(t)) {
		if (t->sweep_trouble[0] == '\0')
			str_copy_text(t->sweep_trouble, sizeof(t->sweep_trouble),
			    STR("there was no time to remove what it has left"));
		t->databases_n = t->at = 0;
		t->swept(t);
	} else {
		next(t);
	}
}

static void terminate(struct task *t);

static void
terminated(struct task *t, const struct run_result *r)
{
	bool gone = r->status == 0 && strstr(r->out.p, "k 0") != NULL;

	if (!gone && !over(t)) {
		task_after(t, r->status == 0 ? TERMINATE_AGAIN_MS : CONNECT_AGAIN_MS, terminate);
		return;
	}
	if (!gone) {
		t->sweep_lives = true;
		if (r->status != 0)
			trouble(t, r);
		else
			str_copy_text(t->sweep_trouble, sizeof(t->sweep_trouble),
			    STR("a session of it has not ended yet"));
	}
	t->sweep_at = t->at = t->databases_n = 0;
	sweep_next(t);
}

static void
terminate(struct task *t)
{
	struct buf sql;

	if (!task_ready(t)) {
		if (!over(t)) {
			task_after(t, CONNECT_AGAIN_MS, terminate);
			return;
		}
		t->sweep_lives = true; /* for all that is known */
		t->sweep_at = 0;
		sweep_next(t);
		return;
	}
	buf_init(&sql, 1024);
	task_sql_terminate(&t->name, &t->backend,
	    str_of(t->now.m.superuser ? t->p->credentials.superuser.username : t->p->spec->m.owner),
	    &sql);
	sweep_sql(t, "postgres", &sql, terminated);
	buf_free(&sql);
}

void
task_sweep(struct task *t, int64_t within_ms, void (*then)(struct task *t))
{
	t->swept = then;
	t->sweep_lives = false;
	t->sweep_trouble[0] = '\0';
	t->sweep_until.v = clock_boot().v + (within_ms > 0 ? within_ms : SWEEP_MS);
	terminate(t);
}

/* --- The end. */

static void
finish(struct task *t)
{
	char text[2 * IPC_TEXT_MAX + 64];

	task_bench_clean(t);
	t->ending = false;
	t->state.phase = t->end_phase;
	if (t->end_phase == CHOICE_task_phase_SUCCEEDED)
		t->state.percent = 100;
	(void)snprintf(text, sizeof(text), "%s%s%s", t->end_message,
	    t->sweep_trouble[0] == '\0' ? ""
	    : t->end_message[0] != '\0' ? "; something of it may be left: "
					: "something of it may be left: ",
	    t->sweep_trouble);
	str_copy_text(t->state.message, sizeof(t->state.message), str_of(text));
	task_finished(t);
}

/* What its program said on stderr goes into output, as far as that may be told. */
static void
tell(struct task *t, struct str said, char complaint[IPC_TEXT_MAX + 1])
{
	bool by_pgbench = t->now.m.kind == CHOICE_task_kind_BENCHMARK;
	struct buf scrubbed;

	buf_init(&scrubbed, 2 * RUN_OUTPUT_MAX);
	if (t->now.m.kind == CHOICE_task_kind_SQL ||
	    (by_pgbench && t->now.m.mode == CHOICE_benchmark_mode_CUSTOM)) {
		task_scrub(said, by_pgbench, &scrubbed);
		said = buf_view(&scrubbed);
	}
	task_tail(said, t->state.output);
	psql_complaint(said, complaint);
	buf_free(&scrubbed);
}

/* Its program is gone. */
static void
killed(struct task *t, const struct run_result *r)
{
	bool leaves = t->end_phase != CHOICE_task_phase_SUCCEEDED ||
	              t->now.m.kind == CHOICE_task_kind_BENCHMARK;

	char unused[IPC_TEXT_MAX + 1];

	if (r != NULL && t->state.output[0] == '\0')
		tell(t, r->err, unused);
	t->sweep_trouble[0] = '\0';
	if (leaves)
		task_sweep(t, t->now.m.begun ? SWEEP_INTERRUPTED_MS : SWEEP_MS, finish);
	else
		finish(t);
}

void
task_end(struct task *t, enum choice_task_phase phase, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	if (t->ending)
		return;
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	t->ending = true;
	t->measured = false;
	t->end_phase = (uint8_t)phase;
	str_copy_text(t->end_message, sizeof(t->end_message), str_of(text));
	ev_timer_stop(t->p->self.loop, &t->again);
	ev_timer_stop(t->p->self.loop, &t->deadline);
	if (t->run == NULL) {
		killed(t, NULL);
		return;
	}
	t->then = killed;
	run_stop(t->run);
}

void
task_end_failed(struct task *t, const struct run_result *r, const char *program)
{
	static const char note[] =
	    "part of it may stay, since the script has COMMIT or ROLLBACK in it: ";
	char complaint[IPC_TEXT_MAX + 1], noted[sizeof(note) + IPC_TEXT_MAX];
	char text[TASK_FAILURE_MAX];
	bool may_commit =
	    t->now.m.single_transaction && task_script_may_commit(buf_view(&t->now.script));

	tell(t, r->err, complaint);
	(void)snprintf(noted, sizeof(noted), "%s%s", may_commit ? note : "", complaint);
	task_failure(r, program, noted, text);
	task_end(t, CHOICE_task_phase_FAILED, "%s", text);
}
