/* What psql is told about a script: in one transaction it notices one that was ended. */
#include "instance/task.h"
#include "tests/unit/tap.h"

static const char *more[24];

/* Which argument; -1 = none begins so. */
static int
at(const char *text)
{
	for (int i = 0; more[i] != NULL; i++)
		if (str_starts(str_of(more[i]), text))
			return i;
	return -1;
}

static void
test_commands(void)
{
	(void)task_script_commands(false, NULL, more);
	CHECK(at("BEGIN") == -1 && at("COMMIT") == -1 && at("SET LOCAL") == -1 && at("-f") > 0,
	    "a script by itself");
	CHECK(task_script_commands(true, "\\restrict k", more) < 24, "the arguments fit");
	CHECK(at("BEGIN") < at("SET LOCAL bestgres.transaction") &&
		  at("SET LOCAL") < at("\\restrict k") && at("\\restrict k") < at("-f") &&
		  at("-f") < at("SELECT (CASE") && at("SELECT (CASE") < at("COMMIT"),
	    "marked before it, checked after it, before our COMMIT");
}

static void
test_ended(void)
{
	CHECK(task_script_ended_itself(STR("ERROR:  invalid input syntax for type integer: "
					   "\"bestgres: the script ended its transaction\"\n")),
	    "the check's error");
	CHECK(!task_script_ended_itself(STR("psql:<stdin>:1: ERROR:  division by zero\n")) &&
		  !task_script_ended_itself(STR("")),
	    "another one");
}

int
main(void)
{
	test_commands();
	test_ended();
	return tap_done();
}
