/*
 * Arenas: all memory of one message, reply or reconcile, given back at once. The cap counts what
 * was handed out, so that the same input reaches it at the same byte on every machine. Under
 * ASan what lies between and behind allocations is poisoned: an overrun is seen as in malloc.
 */
#include "base/base.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ARENA_ASAN
#endif
#endif
#ifdef __SANITIZE_ADDRESS__
#define ARENA_ASAN
#endif

#ifdef ARENA_ASAN
#include <sanitizer/asan_interface.h>
#define RED_ZONE 16
#else
#define ASAN_POISON_MEMORY_REGION(p, n) ((void)(p), (void)(n))
#define ASAN_UNPOISON_MEMORY_REGION(p, n) ((void)(p), (void)(n))
#define RED_ZONE 0
#endif

#define ALIGN 16
#define BLOCK_FIRST 4096u
#define BLOCK_DOUBLING_ENDS (256u << 10)

struct arena_block {
	struct arena_block *next;
	size_t size, off; /* of data */
	_Alignas(ALIGN) char data[];
};

void
arena_init(struct arena *a, size_t cap)
{
	*a = (struct arena){.cap = cap};
}

static struct arena_block *
add_block(struct arena *a, size_t need)
{
	struct arena_block *b;
	size_t size = BLOCK_FIRST;

	if (a->head != NULL)
		size =
		    a->head->size < BLOCK_DOUBLING_ENDS ? a->head->size * 2 : BLOCK_DOUBLING_ENDS;
	if (size < need)
		size = need;
	b = xrealloc(NULL, 1, sizeof(*b) + size);
	b->next = a->head;
	b->size = size;
	b->off = 0;
	ASAN_POISON_MEMORY_REGION(b->data, size);
	a->head = b;
	return b;
}

void *
arena_alloc(struct arena *a, size_t n)
{
	struct arena_block *b = a->head;
	size_t rounded;
	void *p;

	if (n > a->cap || a->used > a->cap)
		return NULL;
	rounded = (n == 0 ? ALIGN : n + ALIGN - 1) / ALIGN * ALIGN;
	if (rounded > a->cap - a->used)
		return NULL;
	if (b == NULL || b->size - b->off < rounded + RED_ZONE)
		b = add_block(a, rounded + RED_ZONE);
	p = b->data + b->off;
	b->off += rounded + RED_ZONE;
	a->used += rounded;
	ASAN_UNPOISON_MEMORY_REGION(p, n);
	memset(p, 0, n);
	return p;
}

void *
arena_array(struct arena *a, size_t n, size_t size)
{
	size_t total;

	if (__builtin_mul_overflow(n, size, &total))
		return NULL;
	return arena_alloc(a, total);
}

char *
arena_strndup(struct arena *a, const char *p, size_t n)
{
	char *copy;

	if (n == SIZE_MAX)
		return NULL;
	copy = arena_alloc(a, n + 1);
	if (copy != NULL && n > 0)
		memcpy(copy, p, n);
	return copy;
}

static void
free_blocks(struct arena_block *b)
{
	struct arena_block *next;

	for (; b != NULL; b = next) {
		next = b->next;
		ASAN_UNPOISON_MEMORY_REGION(b->data, b->size);
		xfree(b);
	}
}

void
arena_reset(struct arena *a)
{
	a->used = 0;
	if (a->head == NULL)
		return;
	free_blocks(a->head->next);
	a->head->next = NULL;
	a->head->off = 0;
	ASAN_POISON_MEMORY_REGION(a->head->data, a->head->size);
}

void
arena_free(struct arena *a)
{
	free_blocks(a->head);
	a->head = NULL;
	a->used = 0;
}
