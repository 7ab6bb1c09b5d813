/*
 * The allocators that never return NULL. Being out of memory is not an error a caller can handle
 * better than its supervisor does: the process says so and leaves with EXIT_OOM. With arena.c,
 * buf.c and secret.c the only place that frees.
 */
#include "base/base.h"

#include <unistd.h>

static _Noreturn void
leave_oom(size_t n, size_t size)
{
	log_line(LOG_ERROR, "oom", NULL, "no memory for %zu x %zu bytes", n, size);
	_exit(EXIT_OOM);
}

void *
xcalloc(size_t n, size_t size)
{
	void *p;

	/* A pointer for nothing at all as well: NULL means one thing only. */
	p = n == 0 || size == 0 ? calloc(1, 1) : calloc(n, size);
	if (p == NULL)
		leave_oom(n, size);
	return p;
}

void *
xrealloc(void *p, size_t n, size_t size)
{
	size_t total;

	if (__builtin_mul_overflow(n, size, &total))
		die("xrealloc: %zu x %zu overflows", n, size);
	p = realloc(p, total == 0 ? 1 : total);
	if (p == NULL)
		leave_oom(n, size);
	return p;
}

void
xfree(void *p)
{
	free(p);
}
