/*
 * Tokens, passwords and keys. Each lies in pages of its own between two that can not be read, is
 * left out of core dumps, is gone in a forked child and wiped before its pages go back. The wiping
 * malloc family is for libraries that copy such bytes into buffers of theirs (curl, mbedTLS).
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/base.h"

static size_t
page_size(void)
{
	long n = sysconf(_SC_PAGESIZE);

	if (n <= 0)
		die("no page size");
	return (size_t)n;
}

void
secret_alloc(struct secret *s, size_t size)
{
	size_t page = page_size(), inner;
	char *map;

	if (size > SIZE_MAX / 2)
		die("secret of %zu bytes", size);
	inner = (size + page) / page * page; /* one byte more at least: for a NUL */
	map = mmap(NULL, inner + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (map == MAP_FAILED || mprotect(map + page, inner, PROT_READ | PROT_WRITE) == -1) {
		log_line(LOG_ERROR, "oom", NULL, "no pages for a secret: %s", strerror(errno));
		_exit(EXIT_OOM);
	}
	if (madvise(map + page, inner, MADV_DONTDUMP) == -1)
		die("MADV_DONTDUMP: %s", strerror(errno));
	if (madvise(map + page, inner, MADV_WIPEONFORK) == -1)
		die("MADV_WIPEONFORK: %s", strerror(errno));
	*s = (struct secret){.p = map + page, .size = inner};
}

void
secret_free(struct secret *s)
{
	size_t page = page_size();

	if (s->p != NULL) {
		explicit_bzero(s->p, s->size);
		if (munmap(s->p - page, s->size + 2 * page) == -1)
			die("munmap of a secret: %s", strerror(errno));
	}
	*s = (struct secret){0};
}

int
secret_read_fd(struct secret *s, int fd, size_t max, struct err *e)
{
	struct secret got;
	ssize_t n;

	secret_alloc(&got, max + 1);
	do {
		n = pread(fd, got.p + got.len, max + 1 - got.len, (off_t)got.len);
		if (n > 0)
			got.len += (size_t)n;
	} while ((n > 0 && got.len <= max) || (n == -1 && errno == EINTR));
	if (n == -1) {
		secret_free(&got);
		return err_set(e, ERR_RETRY, "read of a secret: %s", strerror(errno));
	}
	if (got.len > max) {
		secret_free(&got);
		return err_set(e, ERR_LIMIT, "secret of more than %zu bytes", max);
	}
	secret_free(s);
	*s = got;
	return 0;
}

int
secret_read_file(struct secret *s, const char *path, size_t max, struct err *e)
{
	enum err_code code;
	struct err why;
	int fd, r;

	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd == -1) {
		code = errno == ENOENT ? ERR_GONE : errno == EACCES ? ERR_DENIED : ERR_RETRY;
		return err_set(e, code, "open %s: %s", path, strerror(errno));
	}
	r = secret_read_fd(s, fd, max, &why);
	fd_close(&fd);
	if (r == -1)
		return err_set(e, why.code, "%s: %s", path, why.text);
	if (s->len > 0 && s->p[s->len - 1] == '\n')
		s->p[--s->len] = '\0';
	return 0;
}

/* The size stands before what the caller sees, which keeps malloc's alignment. */
union wipe_head {
	size_t size;
	max_align_t align;
};

static union wipe_head *
head_of(void *p)
{
	return (union wipe_head *)p - 1;
}

void *
wipe_malloc(size_t n)
{
	union wipe_head *h;

	if (n > SIZE_MAX - sizeof(*h))
		return NULL;
	h = xcalloc(1, sizeof(*h) + n);
	h->size = n;
	return h + 1;
}

void *
wipe_calloc(size_t n, size_t size)
{
	size_t total;

	if (__builtin_mul_overflow(n, size, &total))
		return NULL;
	return wipe_malloc(total);
}

void *
wipe_realloc(void *p, size_t n)
{
	void *q;
	size_t old;

	if (p == NULL)
		return wipe_malloc(n);
	old = head_of(p)->size;
	q = wipe_malloc(n);
	if (q == NULL)
		return NULL;
	memcpy(q, p, old < n ? old : n);
	wipe_free(p);
	return q;
}

char *
wipe_strdup(const char *s)
{
	size_t n = strlen(s) + 1;
	char *p = wipe_malloc(n);

	if (p != NULL)
		memcpy(p, s, n);
	return p;
}

void
wipe_free(void *p)
{
	if (p == NULL)
		return;
	explicit_bzero(p, head_of(p)->size);
	xfree(head_of(p));
}
