/*
 * What psql asks of the leader's server for a replica that does not stream (follow.c judges): as
 * the rewind user, who may look at pg_wal there. A slot of ours that has lost its WAL is dropped by
 * the replication user: it would hold back none for this replica ever again, and Patroni makes
 * another. For pgctl.
 */
#include <unistd.h>

#include "instance/work.h"

#define ASK_MS 20000

static void
answer(struct pgctl *p, enum choice_follow finding)
{
	p->asking = false;
	p->followed.finding = (uint8_t)finding;
	p->followed_due = true;
	pgctl_flush(p);
}

/* Parts of an IP address only: libpq takes others for a socket's directory, or a list. */
static bool
is_address(const char *host)
{
	return host[0] != '\0' && strspn(host, "0123456789abcdefABCDEF.:") == strlen(host);
}

/* options: a connection string's, which no variable can say; or NULL. */
static void
psql(struct pgctl *p, const struct credential *as, const char *options, struct str input,
    void (*done)(void *, const struct run_result *))
{
	char program[300], path[4200], host[64], user[80];
	const char *argv[] = {program, "-X", "-w", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-f",
	    "-", options != NULL ? "-d" : NULL, options, NULL};
	const char *const env[] = {path, host, user, "PGPORT=5432", "PGDATABASE=postgres",
	    "PGPASSFILE=" FOLLOW_PASS_PATH, "PGCONNECT_TIMEOUT=5", "PGREQUIREAUTH=scram-sha-256",
	    "PGAPPNAME=bestgres", "LC_ALL=C", "HOME=/tmp", NULL};
	const struct run_spec s = {.argv = argv, .env = env, .input = input, .timeout_ms = ASK_MS};
	struct err e;

	if (passfile_write(FOLLOW_PASS_PATH, p->follow.host, as->username, &as->password, &e) ==
	    -1) {
		log_warn("follow", NULL, "%s", e.text);
		answer(p, CHOICE_follow_UNKNOWN);
		return;
	}
	(void)snprintf(program, sizeof(program), "%s/psql", p->chosen->dir);
	if (access(program, X_OK) == -1)
		(void)checks_find_program("psql", p->path, program);
	(void)snprintf(path, sizeof(path), "PATH=%s", p->path);
	(void)snprintf(host, sizeof(host), "PGHOST=%s", p->follow.host);
	(void)snprintf(user, sizeof(user), "PGUSER=%s", as->username);
	(void)run_start(p->self.loop, &s, done, p);
}

static void
complain(const char *what, const struct run_result *r)
{
	char text[IPC_TEXT_MAX + 1];

	psql_complaint(r->err, text);
	log_warn("follow", NULL, "%s: %s", what, r->timed_out ? "psql did not end in time" : text);
}

/* Whatever came of it: the finding is the same. */
static void
on_dropped(void *arg, const struct run_result *r)
{
	if (r->status != 0)
		complain("drop our slot, which has lost its WAL", r);
	else
		log_info("follow", NULL, "our slot had lost its WAL and was dropped");
	answer(arg, CHOICE_follow_WAL_GONE);
}

static void
drop_slot(struct pgctl *p)
{
	char slot[64];
	struct buf command;

	follow_slot(p->pod, slot);
	buf_init(&command, 256);
	buf_printf(&command, "DROP_REPLICATION_SLOT \"%s\";\n", slot);
	psql(p, &p->credentials.replication, "replication=true", buf_view(&command), on_dropped);
	buf_free(&command);
}

static struct follow_self
self_of(const struct msg_follow *m)
{
	return (struct follow_self){.system_identifier = m->system_identifier,
	    .received = m->received,
	    .replayed = m->replayed,
	    .timeline = m->timeline};
}

static void
on_asked(void *arg, const struct run_result *r)
{
	struct pgctl *p = arg;
	struct follow_self self = self_of(&p->follow);
	enum choice_follow finding = CHOICE_follow_UNKNOWN;
	bool slot_lost = false;

	if (r->status != 0)
		complain("the leader's server", r);
	else
		finding = follow_judge(&self, r->out, &slot_lost);
	if (finding == CHOICE_follow_WAL_GONE && slot_lost && p->chosen != NULL &&
	    p->have_credentials)
		drop_slot(p);
	else
		answer(p, finding);
}

void
ask_begin(struct pgctl *p, const struct msg_follow *m)
{
	struct follow_self self = self_of(m);
	char slot[64];
	struct buf sql;

	if (p->asking)
		return; /* its end is an answer to both */
	p->follow = *m;
	p->asking = true;
	if (p->chosen == NULL || !p->have_credentials || !is_address(m->host)) {
		answer(p, CHOICE_follow_UNKNOWN);
		return;
	}
	follow_slot(p->pod, slot);
	buf_init(&sql, 8192);
	follow_sql(&self, str_of(slot), &sql);
	psql(p, &p->credentials.rewind, NULL, buf_view(&sql), on_asked);
	buf_free(&sql);
}
