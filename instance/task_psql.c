/*
 * The programs of a task: psql, pgbench, pg_repack over the unix socket, one at a time, and
 * beside it a psql that looks at its progress. No password, no name and no SQL of a user's stands
 * in an argument or an environment but what the program can only get there: a database's name and
 * pg_repack's table.
 */
#include <sys/statvfs.h>
#include <unistd.h>

#include "instance/task.h"

#define LOOK_MS 5000
#define ROOM_AGAIN_MS 15000 /* a few sessions a minute disturb no benchmark */
/*
 * A backend whose psql is gone notices within this, even in the middle of a statement (from
 * version 14 on).
 */
#define CHECK_CLIENT_MS 2000

bool
task_ready(const struct task *t)
{
	return t->p->chosen != NULL && t->p->have_credentials && t->p->spec != NULL;
}

bool
task_find_program(const struct task *t, const char *name, char out[256])
{
	(void)snprintf(out, 256, "%.200s/%.50s", t->p->chosen->dir, name);
	return access(out, X_OK) == 0 || checks_find_program(name, t->p->path, out);
}

/*
 * What is set for a database or a role holds for whoever connects, and the database's owner can set
 * it: none of that may change or end what we do. A script has its role's settings, but for what
 * decides whom a superuser's runs as and what its names mean.
 */
void
task_options(const struct task_command *c, unsigned major, int64_t left_ms, struct buf *out)
{
	static const struct {
		unsigned since;
		const char *setting;
	} ours[] = {{0, "lock_timeout=0"}, {0, "idle_in_transaction_session_timeout=0"},
	    {14, "idle_session_timeout=0"}, {17, "transaction_timeout=0"},
	    {0, "default_transaction_read_only=off"}};
	int64_t limit = c->nameless ? c->timeout_ms : left_ms;

	if (major >= 14)
		buf_printf(out, "-c client_connection_check_interval=%d ", CHECK_CLIENT_MS);
	/* Past the program's own end, which comes first unless we are gone. */
	if (limit != 0 || !c->own_settings)
		buf_printf(
		    out, "-c statement_timeout=%lld ", limit == 0 ? 0LL : (long long)limit + 2000);
	if (!c->as_owner)
		buf_puts(out, "-c role=none -c search_path=pg_catalog ");
	if (c->own_settings)
		return;
	for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
		if (major >= ours[i].since)
			buf_printf(out, "-c %s ", ours[i].setting);
	/* pgbench works in public; only a superuser may say the language */
	buf_puts(out, c->as_owner ? "-c role=none -c search_path=public" : "-c lc_messages=C");
}

static int
write_passfile(struct task *t, const struct task_command *c, struct err *e)
{
	const struct credential *superuser = &t->p->credentials.superuser;
	struct secret password = {0};
	int r;

	if (!c->as_owner)
		return passfile_write(
		    TASK_PASS_PATH, SOCKET_DIR, superuser->username, &superuser->password, e);
	if (secret_read_file(&password, APP_DIR "/password", 4096, e) == -1)
		return -1;
	r = passfile_write(SCRIPT_PASS_PATH, SOCKET_DIR, t->p->spec->m.owner, &password, e);
	secret_free(&password);
	return r;
}

unsigned
task_args(const struct task *t, const struct task_command *c, const char *program,
    const char *argv[TASK_ARGS_MAX])
{
	/* Terse: a message's detail can hold a row, which is nobody's business in a status. */
	static const char *const psql[] = {"-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-v",
	    "VERBOSITY=terse", "-v", "SHOW_CONTEXT=never", NULL};
	unsigned n = 0;

	argv[n++] = program;
	for (unsigned i = 0; strcmp(c->program, "psql") == 0 && psql[i] != NULL; i++)
		argv[n++] = psql[i];
	/* pgbench has no -w: without a terminal it does not ask either */
	if (strcmp(c->program, "pgbench") != 0)
		argv[n++] = "-w";
	argv[n++] = "-h";
	argv[n++] = SOCKET_DIR;
	argv[n++] = "-p";
	argv[n++] = "5432";
	argv[n++] = "-U";
	argv[n++] = c->as_owner ? t->p->spec->m.owner : t->p->credentials.superuser.username;
	for (unsigned i = 0; c->more != NULL && c->more[i] != NULL; i++)
		argv[n++] = c->more[i];
	if (n >= TASK_ARGS_MAX)
		die("task: too many arguments");
	argv[n] = NULL;
	return n;
}

/* NULL: it could not be started; e says why. */
static struct run *
start(struct task *t, const struct task_command *c, void (*done)(void *, const struct run_result *),
    struct err *e)
{
	static char path[4200], dbname[TASK_DBNAME_SIZE + 16], application[96];
	char quoted[TASK_DBNAME_SIZE];
	char program[256];
	const char *argv[TASK_ARGS_MAX];
	struct buf options;
	struct run_spec s = {.argv = argv, .input = c->input, .on_stderr = c->on_stderr};
	struct run *r;

	if (!task_ready(t)) {
		(void)err_set(e, ERR_RETRY, "the instance is not set up");
		return NULL;
	}
	if (!task_find_program(t, c->program, program)) {
		(void)err_set(e, ERR_GONE, "the image has no program %s", c->program);
		return NULL;
	}
	if (write_passfile(t, c, e) == -1)
		return NULL;
	buf_init(&options, 1024);
	buf_puts(&options, "PGOPTIONS=");
	task_options(c, t->p->chosen->major, task_left_ms(t), &options);
	const char *const env[] = {path, dbname, application, options.p,
	    c->as_owner ? "PGPASSFILE=" SCRIPT_PASS_PATH : "PGPASSFILE=" TASK_PASS_PATH,
	    "PGHOST=" SOCKET_DIR, "PGSERVICEFILE=/dev/null", "PGREQUIREAUTH=scram-sha-256",
	    "PGCONNECT_TIMEOUT=10", "PGCLIENTENCODING=UTF8", "LC_ALL=C", "HOME=/tmp", NULL};

	(void)snprintf(path, sizeof(path), "PATH=%s", t->p->path);
	/* psql takes it as it is; the others have libpq read it as a connection string */
	task_dbname(c->database, quoted);
	(void)snprintf(dbname, sizeof(dbname), "PGDATABASE=%s",
	    strcmp(c->program, "psql") == 0 ? c->database : quoted);
	(void)snprintf(application, sizeof(application), "PGAPPNAME=%s",
	    c->nameless ? "bestgres" : t->name.application);
	(void)task_args(t, c, program, argv);
	s.env = env;
	s.timeout_ms = c->timeout_ms;
	r = run_start(t->p->self.loop, &s, done, t);
	buf_free(&options);
	return r;
}

static void
on_done(void *arg, const struct run_result *r)
{
	struct task *t = arg;
	void (*then)(struct task *, const struct run_result *) = t->then;

	t->run = NULL;
	t->measured = false;
	if (t->now.m.kind == CHOICE_task_kind_SQL)
		task_read_backend(r->out, &t->backend);
	then(t, r);
}

void
task_run(struct task *t, const struct task_command *c,
    void (*then)(struct task *t, const struct run_result *r))
{
	struct err e;

	if (t->run != NULL)
		die("task: two programs at once");
	t->then = then;
	if ((t->run = start(t, c, on_done, &e)) != NULL)
		return;
	then(t, &(struct run_result){.status = -1, .out = STR(""), .err = str_of(e.text)});
}

void
task_sql(struct task *t, const char *database, const struct buf *sql,
    void (*then)(struct task *t, const struct run_result *r))
{
	static const char *const more[] = {"-f", "-", NULL};
	struct task_command c = {
	    .program = "psql", .more = more, .database = database, .input = buf_view(sql)};

	if (sql->full)
		die("task: SQL does not fit");
	task_run(t, &c, then);
}

/* --- A look at its progress. */

static void
on_look(void *arg, const struct run_result *r)
{
	struct task *t = arg;
	unsigned long long done, all;
	const char *line = r->status == 0 ? strstr(r->out.p, "p ") : NULL;

	t->look = NULL;
	if (t->run == NULL || !t->measured || t->ending || line == NULL || t->target > t->targets ||
	    sscanf(line, "p %19llu %19llu", &done, &all) != 2 || all == 0 || done > all)
		return;
	t->state.percent = (uint8_t)(((double)(t->target - 1) + (double)done / (double)all) /
				     (double)t->targets * 100.);
	task_changed(t);
}

/* One at a time, whoever's: the connections that PostgreSQL keeps for superusers are few. */
static bool
is_looking(const struct pgctl *p)
{
	for (unsigned slot = 0; slot < TASKS_MAX; slot++)
		if (p->task[slot]->look != NULL)
			return true;
	return false;
}

void
task_look(struct task *t)
{
	static const char *const more[] = {"-f", "-", NULL};
	struct task_command c = {.program = "psql",
	    .more = more,
	    .database = "postgres",
	    .nameless = true,
	    .timeout_ms = LOOK_MS};
	struct buf sql;
	struct err e;

	if (is_looking(t->p) || !t->measured)
		return;
	buf_init(&sql, 8192);
	task_sql_progress(&t->name, &sql);
	c.input = buf_view(&sql);
	t->look = start(t, &c, on_look, &e);
	buf_free(&sql);
}

/*
 * --- Room on the volumes.
 *
 * How much another task has written of what it was given is not known: what is free is less by that
 * and by what anybody else wrote. So one goes beside it only if there is room for all of both, and
 * else waits until the other one has given back what it holds.
 */

enum fit { FITS, WAITS, FAILS };

struct room {
	uint64_t need, given, back; /* given: to other tasks, who may give back that much */
	const char *mount, *size;
};

static enum fit
fit_of(const struct room *r, uint64_t *available)
{
	struct statvfs v;

	if (statvfs(r->mount, &v) == -1)
		return FITS; /* PostgreSQL will say so itself */
	*available = (uint64_t)v.f_bavail * v.f_frsize;
	if (r->need + r->given <= *available)
		return FITS;
	return r->need <= *available + r->back ? WAITS : FAILS;
}

/* *waits: another task's end may make it fit. */
static bool
fits(struct task *t, const char *what, const struct room *r, bool *waits)
{
	uint64_t available = 0, mib = (r->need + (1u << 20) - 1) >> 20;
	char step[TASK_STEP_MAX + 1];

	switch (fit_of(r, &available)) {
	case FITS:
		return true;
	case WAITS:
		(void)snprintf(step, sizeof(step),
		    "waits for room until another task is done: %.24s needs about %llu MiB", what,
		    (unsigned long long)mib);
		if (!*waits && strcmp(step, t->state.step) != 0)
			task_step(t, "%s", step);
		*waits = true;
		return true;
	case FAILS:
		task_end(t, CHOICE_task_phase_FAILED,
		    "%.80s needs about %llu MiB free, but the volume has %llu; grow %s", what,
		    (unsigned long long)mib, (unsigned long long)(available >> 20), r->size);
		break;
	}
	return false;
}

bool
task_has_room(
    struct task *t, const char *what, uint64_t data, uint64_t wal, void (*again)(struct task *t))
{
	const char *mount = wal_mount();
	struct room d = {data, 0, 0, PGDATA_MOUNT, "spec.storage.size"};
	struct room w = {wal, 0, 0, mount, "spec.walStorage.size"};
	bool waits = false;

	t->room = t->back = (struct task_room){0}; /* who waits holds nothing */
	for (unsigned slot = 0; slot < TASKS_MAX; slot++) {
		const struct task *other = t->p->task[slot];

		d.given += other->room.data;
		d.back += other->back.data;
		w.given += other->room.wal;
		w.back += other->back.wal;
	}
	if (mount == NULL) {
		d.need += w.need;
		d.given += w.given;
		d.back += w.back;
	}
	if (!fits(t, what, &d, &waits) || (mount != NULL && !fits(t, what, &w, &waits)))
		return false;
	if (waits) {
		task_after(t, ROOM_AGAIN_MS, again);
		return false;
	}
	t->room = t->back = (struct task_room){data, wal};
	return true;
}

void
task_wrote(struct task *t)
{
	t->room = (struct task_room){0};
}
