/*
 * Kind SQL: a user's script, as the application's owner or, where the user says so, as superuser.
 * psql itself is to run none of its meta-commands, which could start a program here or connect as
 * somebody else: \restrict shuts them all until its key is named, and the script can not know
 * that (CVE-2025-8714 brought it to every version then maintained). A psql without it gets only
 * scripts in which it could find no meta-command.
 */
#include "instance/task.h"

static void
done(struct task *t, const struct run_result *r)
{
	if (r->status == 0)
		task_end(t, CHOICE_task_phase_SUCCEEDED, "%s", "");
	else
		task_end_failed(t, r, "psql");
}

/* Errors without the statement's text: it may hold a password. */
static void
run(struct task *t, bool restrict_it)
{
	char command[64];
	const char *more[16];
	unsigned n = 0;
	struct task_command c = {.program = "psql",
	    .more = more,
	    .database = t->now.m.database[0] != '\0' ? t->now.m.database : t->p->spec->m.database,
	    .as_owner = !t->now.m.superuser,
	    .own_settings = true,
	    .input = buf_view(&t->now.script)};

	(void)snprintf(command, sizeof(command), "\\restrict %s", t->restrict_key);
	more[n++] = "-v";
	more[n++] = "VERBOSITY=terse";
	more[n++] = "-v";
	more[n++] = "SHOW_CONTEXT=never";
	more[n++] = "-c";
	more[n++] = TASK_BACKEND_SQL;
	/* Not -1, which would begin before that: a script may set its transaction first. */
	if (t->now.m.single_transaction) {
		more[n++] = "-c";
		more[n++] = "BEGIN";
	}
	if (restrict_it) {
		more[n++] = "-c";
		more[n++] = command;
	}
	more[n++] = "-f";
	more[n++] = "-";
	if (t->now.m.single_transaction) {
		more[n++] = "-c";
		more[n++] = "COMMIT";
	}
	more[n] = NULL;
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
