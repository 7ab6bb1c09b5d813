/* ipc/poison.c: what a dead worker leaves behind, and what a hostile one may leave there. */
#include "ipc/ipc.h"

#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/tap.h"

static struct ipc_poison
sample(void)
{
	struct ipc_poison p = {.kind = KIND_BGCLUSTER, .generation = 7, .line = 9};

	memset(p.uid.b, 0x11, sizeof(p.uid.b));
	snprintf(p.namespace, sizeof(p.namespace), "data");
	snprintf(p.name, sizeof(p.name), "demo");
	return p;
}

/* Writes bytes over a good record and says whether it is still believed. */
static bool
believed_with(int fd, off_t at, const void *bytes, size_t n)
{
	struct ipc_poison p = sample(), got;

	ipc_poison_enter(&p);
	if (pwrite(fd, bytes, n, at) != (ssize_t)n)
		die("pwrite");
	return ipc_poison_read(fd, &got) == 0;
}

int
main(void)
{
	struct ipc_poison p = sample(), got;
	int status, fd = ipc_poison_new();
	uint8_t long_name[64];

	CHECK(fd != -1 && dup2(fd, IPC_FD_POISON) == IPC_FD_POISON, "a record");
	CHECK(ipc_poison_read(fd, &got) == -1, "fresh: in no handler");
	ipc_poison_enter(&p);
	CHECK(ipc_poison_read(fd, &got) == 0 && got.seq % 2 == 1 && uid_eq(&got.uid, &p.uid) &&
		  got.generation == 7 && got.line == 9 && got.kind == p.kind &&
		  strcmp(got.namespace, "data") == 0 && strcmp(got.name, "demo") == 0,
	    "inside a handler: every field");
	ipc_poison_leave();
	CHECK(ipc_poison_read(fd, &got) == -1, "outside of it: nothing");
	ipc_poison_enter(&p);
	uint64_t first = got.seq;
	CHECK(ipc_poison_read(fd, &got) == 0 && got.seq > first, "the sequence goes on");
	ipc_poison_clear(fd);
	CHECK(ipc_poison_read(fd, &got) == -1, "cleared for the next life");

	fflush(stdout);
	pid_t pid = fork();
	if (pid == 0) {
		ipc_poison_enter(&p);
		_exit(1);
	}
	waitpid(pid, &status, 0);
	CHECK(ipc_poison_read(fd, &got) == 0 && strcmp(got.name, "demo") == 0,
	    "it outlives its writer");

	p.uid = (struct uid){{0}};
	ipc_poison_enter(&p);
	CHECK(ipc_poison_read(fd, &got) == 0 && got.line == 9,
	    "by the line's hash, before the uid is known");
	p.line = 0;
	ipc_poison_enter(&p);
	CHECK(ipc_poison_read(fd, &got) == -1, "neither uid nor hash: nothing to go by");

	memset(long_name, 'a', sizeof(long_name));
	CHECK(believed_with(fd, 41, "data", 4), "an untouched record is believed");
	CHECK(!believed_with(fd, 8, "\xff", 1), "a kind out of range");
	CHECK(!believed_with(fd, 41, long_name, 64), "a namespace without its NUL");
	CHECK(!believed_with(fd, 105, long_name, 64), "a name without its NUL");
	CHECK(!believed_with(fd, 105, "x\nlevel=error", 13), "a name that would forge a log line");
	CHECK(!believed_with(fd, 0, "\2", 1), "an even sequence");
	CHECK(
	    ftruncate(fd, 0) == -1 && ftruncate(fd, 1 << 20) == -1, "its size can not be changed");
	CHECK(write(STDERR_FILENO, "", 0) == 0 && ipc_poison_read(STDERR_FILENO, &got) == -1,
	    "another fd is no record");
	return tap_done();
}
