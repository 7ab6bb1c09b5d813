/*
 * TAP for the unit tests: CHECK prints one `ok` or `not ok` line, tap_done() the plan. A test's
 * main ends with `return tap_done();`. After a fork, only the parent may CHECK.
 */
#ifndef TESTS_UNIT_TAP_H
#define TESTS_UNIT_TAP_H

#include <stdbool.h>
#include <stdio.h>

static int tap_run, tap_failed;

static inline bool
tap_check(bool ok, const char *name, const char *file, int line)
{
	tap_run++;
	if (!ok)
		tap_failed++;
	printf("%sok %d - %s\n", ok ? "" : "not ", tap_run, name);
	if (!ok)
		printf("# at %s:%d\n", file, line);
	fflush(stdout);
	return ok;
}
#define CHECK(cond, name) tap_check((cond), (name), __FILE__, __LINE__)

static inline int
tap_done(void)
{
	printf("1..%d\n", tap_run);
	if (tap_failed > 0)
		printf("# %d of %d failed\n", tap_failed, tap_run);
	return tap_failed == 0 ? 0 : 1;
}

#endif
