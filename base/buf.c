/*
 * A growing buffer with a maximum. Reaching the maximum sets `full`, which stays: a writer of many
 * pieces checks once at its end. What lies in p is followed by a NUL that len does not count.
 */
#include "base/base.h"

#define BUF_FIRST 256u

void
buf_init(struct buf *b, size_t max)
{
	*b = (struct buf){.max = max};
}

static void
grow(struct buf *b, size_t size)
{
	char *p = xrealloc(b->wipe ? NULL : b->p, size, 1);

	if (b->wipe && b->p != NULL) {
		memcpy(p, b->p, b->len + 1);
		explicit_bzero(b->p, b->size);
		xfree(b->p);
	}
	b->p = p;
	b->size = size;
}

/* Makes room for n more bytes and the NUL; false: full, now or before. */
static bool
make_room(struct buf *b, size_t n)
{
	size_t need, size = b->size;

	if (b->full || n > b->max - b->len) {
		b->full = true;
		return false;
	}
	need = b->len + n + 1;
	if (need <= b->size)
		return true;
	if (size == 0)
		size = BUF_FIRST;
	while (size < need && size <= SIZE_MAX / 2)
		size *= 2;
	if (size < need)
		size = need;
	grow(b, size);
	return true;
}

void
buf_put(struct buf *b, const void *p, size_t n)
{
	if (n == 0 || !make_room(b, n))
		return;
	memcpy(b->p + b->len, p, n);
	b->len += n;
	b->p[b->len] = '\0';
}

void
buf_puts(struct buf *b, const char *cstr)
{
	buf_put(b, cstr, strlen(cstr));
}

void
buf_str(struct buf *b, struct str s)
{
	buf_put(b, s.p, s.len);
}

void
buf_printf(struct buf *b, const char *fmt, ...)
{
	va_list ap, again;
	int n;

	va_start(ap, fmt);
	va_copy(again, ap);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n < 0)
		die("buf_printf: format %s", fmt);
	if (make_room(b, (size_t)n)) {
		vsnprintf(b->p + b->len, (size_t)n + 1, fmt, again);
		b->len += (size_t)n;
	}
	va_end(again);
}

void
buf_drop(struct buf *b, size_t n)
{
	if (n > b->len)
		die("buf_drop: %zu of %zu bytes", n, b->len);
	if (n == 0)
		return;
	b->len -= n;
	memmove(b->p, b->p + n, b->len + 1);
}

void
buf_reset(struct buf *b)
{
	b->len = 0;
	b->full = false;
	if (b->p != NULL)
		b->p[0] = '\0';
}

void
buf_free(struct buf *b)
{
	if (b->wipe && b->p != NULL)
		explicit_bzero(b->p, b->size);
	xfree(b->p);
	*b = (struct buf){.max = b->max, .wipe = b->wipe};
}

struct str
buf_view(const struct buf *b)
{
	return (struct str){b->p == NULL ? "" : b->p, b->len};
}
