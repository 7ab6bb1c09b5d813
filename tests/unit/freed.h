/*
 * Looks for bytes in all memory that goes back to the allocator, by a hook of the sanitizer's
 * (declared in headers of clang's that gcc does not bring): for what must be wiped first.
 */
#ifndef TESTS_UNIT_FREED_H
#define TESTS_UNIT_FREED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

int __sanitizer_install_malloc_and_free_hooks(
    void (*)(const volatile void *, size_t), void (*)(const volatile void *));
int __sanitizer_get_ownership(const volatile void *p);
size_t __sanitizer_get_allocated_size(const volatile void *p);

static const char *freed_needle;
static unsigned freed_found; /* blocks that held it */

static void
freed_on_malloc(const volatile void *p, size_t n)
{
	(void)p;
	(void)n;
}

static void
freed_on_free(const volatile void *p)
{
	if (p == NULL || freed_needle == NULL || !__sanitizer_get_ownership(p))
		return;
	if (memmem((const void *)(uintptr_t)p, __sanitizer_get_allocated_size(p), freed_needle,
		strlen(freed_needle)) != NULL)
		freed_found++;
}

/* From now on; once in a program. */
static inline bool
freed_watch(const char *needle)
{
	freed_needle = needle;
	freed_found = 0;
	return __sanitizer_install_malloc_and_free_hooks(freed_on_malloc, freed_on_free) > 0;
}

#endif
