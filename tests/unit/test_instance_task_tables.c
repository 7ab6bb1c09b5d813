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

/* Three at once, of which the first is done and the second's statement failed. */
static bool
again(uint32_t size_of, const char *said)
{
	t.oid_n = 3;
	t.oid[0] = 100;
	t.oid[1] = 200;
	t.oid[2] = 300;
	t.target = 7; /* the first of them */
	t.size_of = size_of;
	return task_look_again(&t, str_of(said));
}

static void
test_look_again(void)
{
	static const char gone[] = "psql:<stdin>:9: ERROR:  relation \"s.t\" does not exist\n";

	CHECK(!again(200, "psql:<stdin>:9: ERROR:  could not read block 4\n") && t.oid_n == 3 &&
		  !again(0, gone) && t.target == 7,
	    "another complaint, or not while a table is under way");
	CHECK(again(200, gone) && t.oid_n == 1 && t.oid[0] == 199 && t.target == 7,
	    "what is dropped meanwhile is looked for again, behind what is done");
	CHECK(!again(200, gone) && t.oid_n == 3, "who is still there has failed");
	CHECK(again(100, gone) && t.oid[0] == 99 && t.target == 6, "another one, the first");
}

int
main(void)
{
	test_target();
	test_look_again();
	return tap_done();
}
