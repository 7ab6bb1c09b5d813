/*
 * What psql does over the unix socket, as the superuser: bootstrap.c's SQL, first role and
 * database, then what is done once in it; and a checkpoint before a planned switchover.
 */
#include <unistd.h>

#include "instance/work.h"

#define ROLE_MS 120000
#define ONCE_MS 1800000      /* the user's statements may load data */
#define CHECKPOINT_MS 600000 /* all dirty buffers at full speed */
#define SQL_MAX (4u << 20)
#define ITERATIONS 4096 /* PostgreSQL's default */

static void
finish(struct pgctl *p, uint8_t reason, const char *text)
{
	p->bootstrapping = false;
	p->done = (struct msg_bootstrap_done){.reason = reason};
	str_copy_text(p->done.text, sizeof(p->done.text), str_of(text));
	p->done_due = true;
	if (reason == REASON_NONE)
		log_info("bootstrap", NULL, "role and database are there");
	else
		log_warn("bootstrap", NULL, "%s", p->done.text);
	pgctl_flush(p);
}

static int
write_passfile(const struct pgctl *p, struct err *e)
{
	const struct credential *c = &p->credentials.superuser;

	return passfile_write(PSQL_PASS_PATH, SOCKET_DIR, c->username, &c->password, e);
}

/*
 * The database's name goes through the environment: as an argument psql would take "a=b" for a
 * connection string.
 */
static void
psql(struct pgctl *p, const char *database, struct str input, int timeout_ms,
    void (*done)(void *, const struct run_result *))
{
	char program[300], path[4200], dbname[96];
	const char *argv[] = {program, "-X", "-w", "-q", "-A", "-t", "-h", SOCKET_DIR, "-p", "5432",
	    "-U", p->credentials.superuser.username, "-v", "ON_ERROR_STOP=1", "-f", "-", NULL};
	const char *const env[] = {path, dbname, "PGPASSFILE=" PSQL_PASS_PATH,
	    "PGCONNECT_TIMEOUT=10", "PGCLIENTENCODING=UTF8", "PGAPPNAME=bestgres", "LC_ALL=C",
	    "HOME=/tmp", NULL};
	const struct run_spec s = {
	    .argv = argv, .env = env, .input = input, .timeout_ms = timeout_ms};

	(void)snprintf(program, sizeof(program), "%s/psql", p->chosen->dir);
	if (access(program, X_OK) == -1)
		(void)checks_find_program("psql", p->path, program);
	(void)snprintf(path, sizeof(path), "PATH=%s", p->path);
	(void)snprintf(dbname, sizeof(dbname), "PGDATABASE=%s", database);
	(void)run_start(p->self.loop, &s, done, p);
}

static bool
failed(struct pgctl *p, const struct run_result *r)
{
	char text[IPC_TEXT_MAX + 1];

	if (r->status == 0)
		return false;
	if (r->timed_out)
		(void)snprintf(text, sizeof(text), "psql did not end in time");
	else
		psql_complaint(r->err, text);
	finish(p, REASON_BOOTSTRAP_SQL_FAILED, text);
	return true;
}

static void
on_once(void *arg, const struct run_result *r)
{
	struct pgctl *p = arg;

	if (!failed(p, r))
		finish(p, REASON_NONE, "");
}

static void
on_role(void *arg, const struct run_result *r)
{
	struct pgctl *p = arg;
	struct buf sql;

	if (failed(p, r))
		return;
	if (p->spec == NULL || p->chosen == NULL || !p->have_credentials) {
		finish(p, REASON_BOOTSTRAP_SQL_FAILED,
		    "the instance's files changed meanwhile; tried again");
		return;
	}
	buf_init(&sql, SQL_MAX);
	bootstrap_once_sql(
	    str_of(p->spec->m.database), &p->spec->sql, &p->credentials.anchor, &sql);
	if (sql.full)
		finish(p, REASON_BOOTSTRAP_SQL_FAILED, "postInitSQL is too large");
	else
		psql(p, p->spec->m.database, buf_view(&sql), ONCE_MS, on_once);
	buf_free(&sql);
}

static int
verifier(const struct secret *password, char out[SCRAM_SIZE], struct err *e)
{
	uint8_t salt[16];

	(void)rand_bytes(salt, sizeof(salt));
	return scram_verifier(password, salt, ITERATIONS, out, e);
}

static int
app_verifier(char out[SCRAM_SIZE], struct err *e)
{
	struct secret password = {0};
	int r;

	if (secret_read_file(&password, APP_DIR "/password", 4096, e) == -1)
		return -1;
	r = verifier(&password, out, e);
	secret_free(&password);
	return r;
}

/* 0, or -1 with e. */
static int
put_roles(struct pgctl *p, struct buf *sql, struct err *e)
{
	const struct msg_spec *s = &p->spec->m;
	const struct credentials *c = &p->credentials;
	char app[SCRAM_SIZE], replication[SCRAM_SIZE], rewind[SCRAM_SIZE];

	if (verifier(&c->replication.password, replication, e) == -1 ||
	    verifier(&c->rewind.password, rewind, e) == -1 || app_verifier(app, e) == -1)
		return -1;
	bootstrap_patroni_sql(
	    &(struct bootstrap_role){str_of(c->replication.username), replication},
	    &(struct bootstrap_role){str_of(c->rewind.username), rewind}, sql);
	bootstrap_role_sql(
	    &(struct bootstrap_role){str_of(s->owner), app}, str_of(s->database), sql);
	return 0;
}

static void
begin(struct pgctl *p)
{
	struct buf sql;
	struct err e;

	buf_init(&sql, SQL_MAX);
	if (put_roles(p, &sql, &e) == -1 || write_passfile(p, &e) == -1)
		finish(p, REASON_CREDENTIALS_MISSING, e.text);
	else
		psql(p, "postgres", buf_view(&sql), ROLE_MS, on_role);
	buf_free(&sql);
}

void
apply_begin(struct pgctl *p)
{
	if (!p->bootstrap_wanted || p->bootstrapping || p->waiting || p->spec == NULL ||
	    p->chosen == NULL || !p->have_credentials)
		return;
	p->bootstrap_wanted = false;
	p->bootstrapping = true;
	begin(p);
}

/* --- CHECKPOINT */

static void
checkpoint_ended(struct pgctl *p, const char *text)
{
	p->checkpointing = false;
	p->checkpointed = (struct msg_checkpoint_done){0};
	str_copy_text(p->checkpointed.text, sizeof(p->checkpointed.text), str_of(text));
	p->checkpointed_due = true;
	pgctl_flush(p);
}

static void
on_checkpoint(void *arg, const struct run_result *r)
{
	char text[IPC_TEXT_MAX + 1] = "";

	if (r->timed_out)
		(void)snprintf(text, sizeof(text), "CHECKPOINT did not end in time");
	else if (r->status != 0)
		psql_complaint(r->err, text);
	checkpoint_ended(arg, text);
}

void
apply_checkpoint(struct pgctl *p)
{
	struct err e;

	if (p->checkpointing)
		return; /* its end is an answer to both */
	if (p->chosen == NULL || !p->have_credentials) {
		checkpoint_ended(p, "the instance is not set up");
	} else if (write_passfile(p, &e) == -1) {
		checkpoint_ended(p, e.text);
	} else {
		p->checkpointing = true;
		psql(p, "postgres", STR("CHECKPOINT;\n"), CHECKPOINT_MS, on_checkpoint);
	}
}
