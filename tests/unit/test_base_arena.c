/*
 * Arenas: the cap to the byte, zeroed and aligned memory after every reset, overflow, and the
 * death by EXIT_OOM when the machine itself has no memory.
 */
#include "base/base.h"
#include "tests/unit/forked.h"
#include "tests/unit/tap.h"

const char *__asan_default_options(void);

/* So that malloc gives NULL, as outside of the sanitizer, instead of ending the test. */
const char *
__asan_default_options(void)
{
	return "allocator_may_return_null=1:max_allocation_size_mb=512";
}

#define TOO_MUCH ((size_t)1 << 40)

static int
ask_arena(void *arg)
{
	struct arena a;

	(void)arg;
	arena_init(&a, SIZE_MAX);
	return arena_alloc(&a, TOO_MUCH) == NULL ? 1 : 0;
}

static int
ask_calloc(void *arg)
{
	(void)arg;
	return xcalloc(1024, TOO_MUCH / 1024) == NULL ? 1 : 0;
}

static int
ask_realloc(void *arg)
{
	(void)arg;
	return xrealloc(NULL, 1, TOO_MUCH) == NULL ? 1 : 0;
}

static int
overflow_realloc(void *arg)
{
	(void)arg;
	return xrealloc(NULL, SIZE_MAX / 2, 4) == NULL ? 1 : 0;
}

static int
read_behind(void *arg)
{
	volatile char *p;
	struct arena a;

	(void)arg;
	arena_init(&a, 1000);
	p = arena_alloc(&a, 5);
	return p[5] == 0 ? 0 : 1;
}

static int
read_after_reset(void *arg)
{
	volatile char *p;
	struct arena a;

	(void)arg;
	arena_init(&a, 1000);
	p = arena_alloc(&a, 5);
	arena_reset(&a);
	return p[0] == 0 ? 0 : 1;
}

static bool
all_zero(const char *p, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++) {
		if (p[i] != 0)
			return false;
	}
	return true;
}

static void
test_cap(void)
{
	struct arena a;
	size_t n = 0;

	arena_init(&a, 4096);
	CHECK(arena_alloc(&a, 4097) == NULL, "one byte over the cap");
	CHECK(arena_alloc(&a, SIZE_MAX) == NULL, "SIZE_MAX bytes");
	CHECK(arena_alloc(&a, 4096) != NULL, "exactly the cap");
	CHECK(arena_alloc(&a, 0) == NULL, "nothing more, not even nothing, at the cap");
	arena_reset(&a);
	CHECK(a.used == 0, "reset gives all back");
	while (arena_alloc(&a, 1) != NULL)
		n++;
	CHECK(n == 4096 / 16, "single bytes count as 16 each");
	arena_free(&a);
	arena_init(&a, 0);
	CHECK(arena_alloc(&a, 1) == NULL, "a cap of 0");
	CHECK(arena_strndup(&a, "x", 1) == NULL, "strndup at the cap");
	arena_free(&a);
}

static void
test_array(void)
{
	struct arena a;

	arena_init(&a, 1 << 20);
	CHECK(arena_array(&a, SIZE_MAX / 4, 8) == NULL, "n * size overflows");
	CHECK(arena_array(&a, SIZE_MAX, SIZE_MAX) == NULL, "both huge");
	CHECK(arena_array(&a, 1 << 10, 1 << 10) != NULL, "exactly the cap");
	CHECK(arena_array(&a, 1, 1) == NULL, "past it");
	arena_free(&a);
}

/* Sizes that cross blocks, each written full, then again after a reset. */
static void
test_zeroed(void)
{
	bool zero = true, aligned = true;
	struct arena a;
	size_t n;
	char *p;
	int round;

	arena_init(&a, 16 << 20);
	for (round = 0; round < 3; round++) {
		for (n = 1; n < 300000; n = n * 3 + 1) {
			p = arena_alloc(&a, n);
			zero = zero && p != NULL && all_zero(p, n);
			aligned = aligned && (uintptr_t)p % 16 == 0;
			memset(p, 0xa5, n);
		}
		arena_reset(&a);
	}
	CHECK(zero, "memory is zeroed, also when it is used again");
	CHECK(aligned, "memory is aligned to 16");
	CHECK(a.used == 0, "used is 0 after reset");
	arena_free(&a);
	arena_free(&a);
	CHECK(arena_alloc(&a, 1) != NULL, "an arena lives on after free");
	arena_free(&a);
}

static void
test_distinct(void)
{
	struct arena a;
	char *p, *q, *s;

	arena_init(&a, 1 << 16);
	p = arena_alloc(&a, 10);
	q = arena_alloc(&a, 10);
	memset(p, 1, 10);
	memset(q, 2, 10);
	CHECK(p[9] == 1 && q[0] == 2, "two allocations do not overlap");
	s = arena_strndup(&a, "ab\0cd", 4);
	CHECK(memcmp(s, "ab\0c\0", 5) == 0, "strndup copies n bytes and ends them");
	s = arena_strndup(&a, NULL, 0);
	CHECK(s != NULL && s[0] == '\0', "strndup of nothing is an empty string");
	arena_free(&a);
}

int
main(void)
{
	test_cap();
	test_array();
	test_zeroed();
	test_distinct();
	CHECK(forked(ask_arena, NULL) == EXIT_OOM, "arena: no memory ends the process with 71");
	CHECK(forked(ask_calloc, NULL) == EXIT_OOM, "xcalloc: no memory ends the process with 71");
	CHECK(
	    forked(ask_realloc, NULL) == EXIT_OOM, "xrealloc: no memory ends the process with 71");
	CHECK(forked(overflow_realloc, NULL) == EXIT_BUG, "xrealloc: overflow is a bug");
	CHECK(forked(read_behind, NULL) != 0, "ASan sees a read behind an allocation");
	CHECK(forked(read_after_reset, NULL) != 0, "ASan sees a read after a reset");
	return tap_done();
}
