/*
 * File descriptors: flags, whole writes, sealed memfds, random bytes. A memfd that came from a peer
 * is believed only after its seals were read: then neither its size nor its bytes can change while
 * we look. Reads are pread: fds that were passed on share one offset.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/base.h"

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 8U /* Linux 6.3 */
#endif
#define SEALS_WANTED (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

int
fd_nonblock(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags == -1)
		return -1;
	return fcntl(fd, F_SETFL, flags | O_NONBLOCK) == -1 ? -1 : 0;
}

void
fd_close(int *fd)
{
	int saved = errno;

	if (*fd >= 0)
		close(*fd);
	*fd = -1;
	errno = saved;
}

int
fd_write_all(int fd, const void *p, size_t n)
{
	const char *at = p;
	ssize_t w;

	while (n > 0) {
		w = write(fd, at, n);
		if (w == -1 && errno == EINTR)
			continue;
		if (w == -1)
			return -1;
		at += w;
		n -= (size_t)w;
	}
	return 0;
}

static int
make_memfd(const char *name)
{
	unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
	int fd = memfd_create(name, flags | MFD_NOEXEC_SEAL);

	if (fd == -1 && errno == EINVAL)
		fd = memfd_create(name, flags);
	return fd;
}

int
fd_sealed(const char *name, const void *p, size_t n, struct err *e)
{
	int fd = make_memfd(name);

	if (fd == -1)
		return err_set(e, ERR_RETRY, "memfd %s: %s", name, strerror(errno));
	if (fd_write_all(fd, p, n) == -1) {
		err_set(
		    e, ERR_RETRY, "write of %zu bytes to memfd %s: %s", n, name, strerror(errno));
		fd_close(&fd);
		return -1;
	}
	if (fcntl(fd, F_ADD_SEALS, SEALS_WANTED) == -1)
		die("seals on memfd %s: %s", name, strerror(errno));
	return fd;
}

/* n bytes from the start; a short file is an error: seals have just promised its size. */
static int
pread_all(int fd, char *p, size_t n)
{
	size_t at = 0;
	ssize_t r;

	while (at < n) {
		r = pread(fd, p + at, n - at, (off_t)at);
		if (r == -1 && errno == EINTR)
			continue;
		if (r <= 0)
			return -1;
		at += (size_t)r;
	}
	return 0;
}

int
fd_sealed_read(int fd, size_t max, struct arena *a, struct str *out, struct err *e)
{
	struct stat st;
	size_t size;
	char *p;
	int seals = fcntl(fd, F_GET_SEALS);

	if (seals == -1)
		return err_set(e, ERR_INVALID, "not a memfd");
	if ((seals & SEALS_WANTED) != SEALS_WANTED)
		return err_set(e, ERR_INVALID, "memfd is not sealed (seals %#x)", (unsigned)seals);
	if (fstat(fd, &st) == -1 || !S_ISREG(st.st_mode) || st.st_size < 0)
		return err_set(e, ERR_INVALID, "memfd without a size");
	size = (size_t)st.st_size;
	if (size > max)
		return err_set(e, ERR_LIMIT, "memfd of %zu bytes, at most %zu", size, max);
	p = arena_alloc(a, size + 1);
	if (p == NULL)
		return err_set(e, ERR_LIMIT, "no room for %zu bytes", size);
	if (pread_all(fd, p, size) == -1)
		return err_set(e, ERR_INVALID, "memfd can not be read");
	*out = (struct str){p, size};
	return 0;
}

void
rand_bytes(void *p, size_t n)
{
	char *at = p;
	ssize_t r;

	while (n > 0) {
		r = getrandom(at, n, 0);
		if (r == -1 && errno == EINTR)
			continue;
		if (r <= 0)
			die("getrandom: %s", strerror(errno));
		at += r;
		n -= (size_t)r;
	}
}
