/*
 * Sealed memfds: what is read back, and every way in which a peer could hand over one whose bytes
 * can still change, or are too many. Whole writes, close, random bytes.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/base.h"
#include "tests/unit/tap.h"

#define ALL_SEALS (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

static struct arena arena;

static int
memfd(const char *bytes, int seals)
{
	int fd = memfd_create("t", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd == -1 || fd_write_all(fd, bytes, strlen(bytes)) == -1)
		die("memfd");
	if (seals != 0 && fcntl(fd, F_ADD_SEALS, seals) == -1)
		die("seals");
	return fd;
}

/* The code that reading gives; takes fd. */
static enum err_code
read_code(int fd, size_t max)
{
	struct err e = {.code = ERR_NONE};
	struct str s = {"untouched", 9};
	int r = fd_sealed_read(fd, max, &arena, &s, &e);

	fd_close(&fd);
	if ((r == 0) != (e.code == ERR_NONE) || (r == -1 && !str_is(s, "untouched")))
		return (enum err_code) - 1;
	return e.code;
}

static void
test_round_trip(void)
{
	struct err e;
	struct str s;
	char big[70000];
	int fd;

	fd = fd_sealed("t", "token", 5, &e);
	CHECK(fd >= 0 && (fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0, "made, close-on-exec");
	CHECK((fcntl(fd, F_GET_SEALS) & ALL_SEALS) == ALL_SEALS, "with every seal");
	CHECK(pwrite(fd, "x", 1, 0) == -1 && errno == EPERM, "nobody can write to it");
	CHECK(ftruncate(fd, 1) == -1 && ftruncate(fd, 100) == -1, "or change its size");
	lseek(fd, 3, SEEK_SET);
	CHECK(fd_sealed_read(fd, 5, &arena, &s, &e) == 0 && str_is(s, "token"), "read, limit met");
	CHECK(s.p[s.len] == '\0', "a NUL stands behind");
	CHECK(lseek(fd, 0, SEEK_CUR) == 3, "the shared offset is not moved");
	CHECK(fd_sealed_read(fd, 5, &arena, &s, &e) == 0 && str_is(s, "token"), "and once more");
	fd_close(&fd);
	memset(big, 'b', sizeof(big));
	fd = fd_sealed("t", big, sizeof(big), &e);
	CHECK(fd_sealed_read(fd, sizeof(big), &arena, &s, &e) == 0 && s.len == sizeof(big) &&
		  memcmp(s.p, big, s.len) == 0,
	    "more than a packet holds");
	fd_close(&fd);
	fd = fd_sealed("t", NULL, 0, &e);
	CHECK(fd_sealed_read(fd, 0, &arena, &s, &e) == 0 && s.len == 0, "an empty one");
	fd_close(&fd);
}

static void
test_refused(void)
{
	struct arena small;
	struct str s;
	struct err e;
	int fd, ends[2];
	char path[] = "/tmp/bestgres-test-XXXXXX";

	CHECK(read_code(memfd("x", ALL_SEALS), 1) == ERR_NONE, "all seals: read");
	CHECK(read_code(memfd("x", 0), 1) == ERR_INVALID, "no seal: refused");
	CHECK(read_code(memfd("x", ALL_SEALS & ~F_SEAL_WRITE), 1) == ERR_INVALID, "writable");
	CHECK(read_code(memfd("x", ALL_SEALS & ~F_SEAL_GROW), 1) == ERR_INVALID, "may grow");
	CHECK(read_code(memfd("x", ALL_SEALS & ~F_SEAL_SHRINK), 1) == ERR_INVALID, "may shrink");
	CHECK(read_code(memfd("x", ALL_SEALS & ~F_SEAL_SEAL), 1) == ERR_INVALID, "may get seals");
	CHECK(read_code(memfd("xy", ALL_SEALS), 1) == ERR_LIMIT, "one byte over the limit");
	CHECK(read_code(memfd("x", ALL_SEALS), 0) == ERR_LIMIT, "a limit of 0");
	fd = mkstemp(path);
	unlink(path);
	CHECK(read_code(fd, 100) == ERR_INVALID, "a file: refused");
	if (pipe(ends) == -1)
		die("pipe");
	CHECK(read_code(ends[0], 100) == ERR_INVALID, "a pipe: refused, not read");
	fd_close(&ends[1]);
	CHECK(read_code(-1, 100) == ERR_INVALID, "no descriptor at all");
	arena_init(&small, 64);
	fd = memfd("0123456789012345678901234567890123456789012345678901234567890123", ALL_SEALS);
	CHECK(fd_sealed_read(fd, 64, &small, &s, &e) == -1 && e.code == ERR_LIMIT,
	    "the arena's cap, with the NUL");
	fd_close(&fd);
	arena_free(&small);
}

static void
test_plain(void)
{
	char got[8] = {0}, a[32] = {0}, b[32] = {0};
	int ends[2], fd = -1;

	fd_close(&fd);
	CHECK(fd == -1, "closing nothing");
	if (pipe(ends) == -1)
		die("pipe");
	CHECK(fd_nonblock(ends[0]) == 0 && read(ends[0], got, 1) == -1 && errno == EAGAIN,
	    "non-blocking");
	CHECK(fd_nonblock(-1) == -1, "non-blocking without a descriptor");
	CHECK(fd_write_all(ends[1], "abc", 3) == 0 && read(ends[0], got, 8) == 3, "written");
	fd = ends[1];
	errno = EXDEV;
	fd_close(&ends[1]);
	CHECK(ends[1] == -1 && errno == EXDEV, "close forgets the number and keeps errno");
	CHECK(fcntl(fd, F_GETFD) == -1 && errno == EBADF, "and it is closed");
	CHECK(fd_write_all(fd, "abc", 3) == -1, "write to what is closed");
	fd_close(&ends[0]);
	rand_bytes(a, sizeof(a));
	rand_bytes(b, sizeof(b));
	CHECK(memcmp(a, b, sizeof(a)) != 0, "random bytes differ");
	rand_bytes(a, 0);
}

int
main(void)
{
	arena_init(&arena, 1 << 20);
	test_round_trip();
	test_refused();
	test_plain();
	arena_free(&arena);
	return tap_done();
}
