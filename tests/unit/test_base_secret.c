/*
 * Secrets: limits, the trailing newline, replacement only on success, guard pages, nothing in a
 * forked child; and that the wiping allocators wipe.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/base.h"
#include "tests/unit/forked.h"
#include "tests/unit/tap.h"

static char path[] = "/tmp/bestgres-test-XXXXXX";

static void
put_file(const char *bytes, size_t n)
{
	FILE *f = fopen(path, "w");

	if (f == NULL || fwrite(bytes, 1, n, f) != n || fclose(f) != 0)
		die("test file");
}

static bool
file_gives(const char *bytes, size_t n, size_t max, const char *want)
{
	struct secret s = {0};
	struct err e;
	bool ok;

	put_file(bytes, n);
	if (secret_read_file(&s, path, max, &e) == -1)
		return want == NULL && e.code == ERR_LIMIT && s.p == NULL;
	ok = want != NULL && s.len == strlen(want) && memcmp(s.p, want, s.len + 1) == 0;
	secret_free(&s);
	return ok;
}

static void
test_files(void)
{
	char page[8192];

	memset(page, 'k', sizeof(page));
	CHECK(file_gives("abc", 3, 3, "abc"), "a file, limit met");
	CHECK(file_gives("abc\n", 4, 4, "abc"), "one trailing newline dropped");
	CHECK(file_gives("abc\n\n", 5, 9, "abc\n"), "only one");
	CHECK(file_gives("\n", 1, 9, ""), "only a newline");
	CHECK(file_gives("", 0, 9, ""), "an empty file");
	CHECK(file_gives("abc\n", 4, 3, NULL), "the limit counts the newline");
	CHECK(file_gives(page, 4097, 4096, NULL), "one byte over a page");
	page[4096] = '\0';
	CHECK(file_gives(page, 4096, 4096, page), "exactly a page");
}

static void
test_failures(void)
{
	struct secret s = {0};
	struct err e;
	int ends[2];

	put_file("old", 3);
	secret_read_file(&s, path, 10, &e);
	CHECK(secret_read_file(&s, "/nonexistent/token", 10, &e) == -1 && e.code == ERR_GONE,
	    "no such file");
	CHECK(strstr(e.text, "/nonexistent/token") != NULL, "the error names the file");
	put_file("much too long", 13);
	CHECK(secret_read_file(&s, path, 5, &e) == -1 && e.code == ERR_LIMIT, "too long");
	CHECK(strstr(e.text, "much") == NULL, "the error does not show the secret");
	CHECK(s.len == 3 && strcmp(s.p, "old") == 0, "the old secret is untouched");
	put_file("new", 3);
	CHECK(secret_read_file(&s, path, 5, &e) == 0 && strcmp(s.p, "new") == 0, "replaced");
	if (pipe(ends) == -1)
		die("pipe");
	CHECK(
	    secret_read_fd(&s, ends[0], 5, &e) == -1 && e.code == ERR_RETRY, "a pipe has no pread");
	fd_close(&ends[0]);
	fd_close(&ends[1]);
	secret_free(&s);
	secret_free(&s);
	CHECK(s.p == NULL && s.len == 0, "freed, and once more");
}

static int
reads_zeros(void *arg)
{
	struct secret *s = arg;

	return s->p[0] == '\0' && s->p[s->len - 1] == '\0' ? 0 : 1;
}

static int
reads_before(void *arg)
{
	struct secret *s = arg;

	signal(SIGSEGV, SIG_DFL);
	return ((volatile char *)s->p)[-1];
}

static int
reads_behind(void *arg)
{
	struct secret *s = arg;

	signal(SIGSEGV, SIG_DFL);
	return ((volatile char *)s->p)[s->size];
}

static int
reads_freed(void *arg)
{
	struct secret *s = arg;
	volatile char *p = s->p;

	signal(SIGSEGV, SIG_DFL);
	secret_free(s);
	return p[0];
}

static bool
segfaults(int (*f)(void *), struct secret *s)
{
	int status = forked_status(f, s);

	return status != -1 && WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV;
}

/* Whether the kernel has the flag on the pages at p: dd = not in core dumps, wf = wiped on fork. */
static bool
has_flag(const char *p, const char *flag)
{
	bool here = false, found = false;
	unsigned long from, to;
	char text[512];
	FILE *f = fopen("/proc/self/smaps", "r");

	if (f == NULL)
		die("smaps");
	while (fgets(text, sizeof(text), f) != NULL) {
		if (sscanf(text, "%lx-%lx ", &from, &to) == 2)
			here = (unsigned long)p >= from && (unsigned long)p < to;
		if (here && strncmp(text, "VmFlags:", 8) == 0)
			found = strstr(text, flag) != NULL;
	}
	fclose(f);
	return found;
}

static void
test_pages(void)
{
	struct secret s;

	secret_alloc(&s, 5000);
	CHECK(s.size >= 5001 && s.len == 0, "room for what was asked and a NUL");
	memset(s.p, 's', 5000);
	s.len = 5000;
	CHECK(has_flag(s.p, " dd"), "left out of core dumps");
	CHECK(has_flag(s.p, " wf"), "wiped on fork");
	CHECK(forked(reads_zeros, &s) == 0, "a child reads zeros");
	CHECK(s.p[0] == 's' && s.p[4999] == 's', "while the parent still has it");
	CHECK(segfaults(reads_before, &s), "the page before can not be read");
	CHECK(segfaults(reads_behind, &s), "nor the one behind");
	CHECK(segfaults(reads_freed, &s), "nor what was freed");
	secret_free(&s);
}

/* What free() is given last is looked at here, by a hook that the sanitizer has for it (declared
 * in a header of clang's that gcc does not bring). */
int __sanitizer_install_malloc_and_free_hooks(
    void (*)(const volatile void *, size_t), void (*)(const volatile void *));
static volatile bool freed_all_zero;
static size_t freed_look;

static void
on_malloc(const volatile void *p, size_t n)
{
	(void)p;
	(void)n;
}

static void
on_free(const volatile void *p)
{
	const volatile char *c = p;
	size_t i;

	freed_all_zero = c != NULL;
	for (i = sizeof(max_align_t); c != NULL && i < sizeof(max_align_t) + freed_look; i++) {
		if (c[i] != '\0')
			freed_all_zero = false;
	}
}

static void
test_wipe(void)
{
	char *p, *q;

	CHECK(__sanitizer_install_malloc_and_free_hooks(on_malloc, on_free) > 0, "a hook on free");
	p = wipe_malloc(100);
	memset(p, 's', 100);
	freed_look = 100;
	q = wipe_realloc(p, 200);
	CHECK(freed_all_zero && q[0] == 's' && q[99] == 's', "realloc copies, then wipes the old");
	memset(q, 't', 200);
	q = wipe_realloc(q, 10);
	CHECK(q[0] == 't' && q[9] == 't', "shrinking keeps what fits");
	freed_look = 10;
	freed_all_zero = false;
	wipe_free(q);
	CHECK(freed_all_zero, "free wipes first");
	freed_look = 0;
	wipe_free(NULL);
	p = wipe_realloc(NULL, 8);
	CHECK(p != NULL, "realloc of NULL");
	wipe_free(p);
	p = wipe_calloc(4, 8);
	CHECK(p != NULL && p[0] == 0 && p[31] == 0, "calloc is zeroed");
	wipe_free(p);
	CHECK(wipe_calloc(SIZE_MAX / 2, 3) == NULL, "calloc that overflows");
	CHECK(wipe_malloc(SIZE_MAX) == NULL, "malloc that overflows");
	p = wipe_strdup("token");
	CHECK(strcmp(p, "token") == 0, "strdup");
	CHECK((uintptr_t)p % _Alignof(max_align_t) == 0, "aligned as malloc's");
	wipe_free(p);
	p = wipe_malloc(0);
	CHECK(p != NULL, "nothing at all has an address");
	wipe_free(p);
}

int
main(void)
{
	int fd = mkstemp(path);

	if (fd == -1)
		die("mkstemp");
	close(fd);
	test_files();
	test_failures();
	test_pages();
	test_wipe();
	unlink(path);
	return tap_done();
}
