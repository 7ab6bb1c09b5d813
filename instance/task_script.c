/*
 * Kind SQL: a user's script, as the application's owner or, where the user says so, as superuser.
 * psql itself is to run none of its meta-commands, which could start a program here or connect as
 * somebody else: \restrict shuts them all until its key is named, and the script can not know
 * that (CVE-2025-8714 brought it to every version then maintained). A psql without it gets only
 * scripts in which it could find no meta-command.
 */
#include "instance/task.h"

/*
 * COMMIT or ROLLBACK in a script ends our transaction, and a setting of it goes with it. To set one
 * takes no snapshot: the script may still say SET TRANSACTION. The error that this cast makes is
 * known by its words, in any language.
 */
#define ENDED_ITSELF "bestgres: the script ended its transaction"
#define MARK_SQL "SET LOCAL bestgres.transaction = 'ours'"
#define CHECK_SQL                                                                                  \
	"SELECT (CASE WHEN pg_catalog.current_setting('bestgres.transaction', true) "              \
	"OPERATOR(pg_catalog.=) 'ours' THEN '0' ELSE '" ENDED_ITSELF "' END)::pg_catalog.int4"

unsigned
task_script_commands(bool single, const char *restrict_command, const char *more[24])
{
	unsigned n = 0;

	more[n++] = "-c";
	more[n++] = TASK_BACKEND_SQL;
	/* Not -1, which would begin before that: a script may set its transaction first. */
	if (single) {
		more[n++] = "-c";
		more[n++] = "BEGIN";
		more[n++] = "-c";
		more[n++] = MARK_SQL;
	}
	if (restrict_command != NULL) {
		more[n++] = "-c";
		more[n++] = restrict_command;
	}
	more[n++] = "-f";
	more[n++] = "-";
	if (single) {
		more[n++] = "-c";
		more[n++] = CHECK_SQL;
		more[n++] = "-c";
		more[n++] = "COMMIT";
	}
	more[n] = NULL;
	return n;
}

bool
task_script_ended_itself(struct str said)
{
	return memmem(said.p, said.len, ENDED_ITSELF, sizeof(ENDED_ITSELF) - 1) != NULL;
}

static void
done(struct task *t, const struct run_result *r)
{
	if (r->status != 0 && t->now.m.single_transaction && task_script_ended_itself(r->err))
		task_end(t, CHOICE_task_phase_FAILED,
		    "the script ended its transaction itself (COMMIT, ROLLBACK or RESET ALL in "
		    "it): what was committed stays; use singleTransaction: false");
	else if (r->status == 0)
		task_end(t, CHOICE_task_phase_SUCCEEDED, "%s", "");
	else
		task_end_failed(t, r, "psql");
}

/* Errors without the statement's text: it may hold a password. */
static void
run(struct task *t, bool restrict_it)
{
	char command[64];
	const char *more[24];
	struct task_command c = {.program = "psql",
	    .more = more,
	    .database = t->now.m.database[0] != '\0' ? t->now.m.database : t->p->spec->m.database,
	    .as_owner = !t->now.m.superuser,
	    .own_settings = true,
	    .input = buf_view(&t->now.script)};

	(void)snprintf(command, sizeof(command), "\\restrict %s", t->restrict_key);
	(void)task_script_commands(t->now.m.single_transaction, restrict_it ? command : NULL, more);
	task_step(t, "script in %.63s", c.database);
	task_run(t, &c, done);
}

static void
probed(struct task *t, const struct run_result *r)
{
	bool knows = r->status == 0;

	if (!knows && !str_starts(r->err, "invalid command \\restrict"))
		task_end_failed(t, r, "psql");
	else if (!task_ready(t))
		task_end(t, CHOICE_task_phase_FAILED, "the instance is not set up");
	else if (!knows && task_script_needs_restrict(buf_view(&t->now.script)))
		task_end(t, CHOICE_task_phase_FAILED,
		    "the image's psql has no \\restrict, so a script may hold no backslash; use "
		    "PostgreSQL 17.6, 16.10, 15.14, 14.19 or newer");
	else
		run(t, knows);
}

void
task_script_begin(struct task *t)
{
	static const char *const more[] = {"-c", "\\restrict probe", NULL};
	struct task_command c = {.program = "psql", .more = more, .database = "postgres"};
	uint8_t key[16];
	struct str script = buf_view(&t->now.script);

	if (script.len == 0 || memchr(script.p, '\0', script.len) != NULL || !utf8_valid(script)) {
		task_end(t, CHOICE_task_phase_FAILED,
		    "the script is empty, holds a NUL or is not UTF-8");
		return;
	}
	rand_bytes(key, sizeof(key));
	for (size_t i = 0; i < sizeof(key); i++)
		(void)snprintf(t->restrict_key + 2 * i, 3, "%02x", key[i]);
	task_run(t, &c, probed);
}
