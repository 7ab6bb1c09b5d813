/* From table to table: what comes next. */
#include "instance/task.h"
#include "tests/unit/tap.h"

static struct task t;

static void
test_target(void)
{
	uint64_t bytes = 1, wal = 1;

	CHECK(task_read_target(
		  &t, STR("x 16384 8192 4096 612e62 a.b|16384 16390\n"), &bytes, &wal) == 1 &&
		  bytes == 8192 && wal == 4096 && strcmp(t.target_name, "a.b") == 0 &&
		  strcmp(t.label, "a.b") == 0 && t.oid_n == 2 && t.oid[0] == 16384 &&
		  t.oid[1] == 16390,
	    "the next ones");
	CHECK(task_read_target(&t, STR("x 16384 9999999999 0 612e62 a.b|\n"), &bytes, &wal) == 1 &&
		  t.oid_n == 1 && t.oid[0] == 16384,
	    "a large one by itself");
	CHECK(task_read_target(&t, STR(""), &bytes, &wal) == 0, "no more");
	CHECK(task_read_target(&t, STR("|\n"), &bytes, &wal) == -1 &&
		  task_read_target(&t, STR("\n"), &bytes, &wal) == -1 &&
		  task_read_target(&t, STR("x 16384 8192 |\n"), &bytes, &wal) == -1,
	    "what can not be read is not the end");
}

int
main(void)
{
	test_target();
	return tap_done();
}
