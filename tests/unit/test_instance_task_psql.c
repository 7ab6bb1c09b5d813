/* What the programs of a task are told, so that nobody's settings change what they do. */
#include "instance/task.h"
#include "tests/unit/tap.h"

static struct buf out;

static bool
has(const char *text)
{
	return memmem(out.p, out.len, text, strlen(text)) != NULL;
}

static void
options(const struct task_command *c, unsigned major, int64_t left_ms)
{
	buf_reset(&out);
	task_options(c, major, left_ms, &out);
}

static void
test_options(void)
{
	options(&(struct task_command){.program = "psql"}, 17, 0);
	CHECK(has("-c role=none ") && has("-c search_path=pg_catalog ") &&
		  has("-c statement_timeout=0 ") && has("-c lock_timeout=0 ") &&
		  has("-c transaction_timeout=0 ") && has("-c idle_session_timeout=0 ") &&
		  has("-c idle_in_transaction_session_timeout=0 ") &&
		  has("-c default_transaction_read_only=off ") && has("-c lc_messages=C"),
	    "no setting of an owner reaches the superuser's statements");
	options(&(struct task_command){.program = "psql"}, 13, 5000);
	CHECK(!has("-c transaction_timeout") && !has("idle_session") && !has("check_interval") &&
		  has("-c statement_timeout=7000 "),
	    "an older server gets what it knows");
	options(&(struct task_command){.nameless = true, .timeout_ms = 10000}, 17, 5000);
	CHECK(has("-c statement_timeout=12000 "), "what is removed has a time of its own");
	options(&(struct task_command){.program = "pgbench", .as_owner = true}, 17, 0);
	CHECK(has("-c search_path=public") && has("-c role=none ") && !has("lc_messages") &&
		  has("-c lock_timeout=0 "),
	    "pgbench's tables are in public, whatever the role's path");
}

static void
test_script(void)
{
	struct task_command c = {.program = "psql", .as_owner = true, .own_settings = true};

	options(&c, 17, 0);
	CHECK(!has("statement_timeout") && !has("search_path") && !has("role") &&
		  !has("lock_timeout") && !has("read_only"),
	    "a script of the owner has the owner's settings");
	options(&c, 17, 1000);
	CHECK(has("-c statement_timeout=3000 "), "but for the task's end");
	c.as_owner = false;
	options(&c, 17, 0);
	CHECK(has("-c role=none ") && has("-c search_path=pg_catalog ") && !has("lock_timeout"),
	    "one of the superuser is the superuser's");
}

static bool
says(const struct task_command *c, const char *arg)
{
	static struct pgctl p;
	static struct task t = {.p = &p};
	const char *argv[TASK_ARGS_MAX];
	unsigned n = task_args(&t, c, "/bin/program", argv);

	for (unsigned i = 0; i < n; i++)
		if (strcmp(argv[i], arg) == 0)
			return true;
	return false;
}

static void
test_args(void)
{
	CHECK(says(&(struct task_command){.program = "psql"}, "VERBOSITY=terse"),
	    "psql tells no detail: a row can stand there");
	CHECK(!says(&(struct task_command){.program = "pgbench"}, "VERBOSITY=terse") &&
		  !says(&(struct task_command){.program = "pgbench"}, "-w"),
	    "others do not know that");
}

int
main(void)
{
	buf_init(&out, 1024);
	test_options();
	test_script();
	test_args();
	buf_free(&out);
	return tap_done();
}
