/*
 * The lock excludes other open files, lives as long as one duplicate of it, and is not fooled by a
 * symlink.
 */
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "instance/instance.h"
#include "tests/unit/tap.h"

static char dir[] = "/tmp/test_lock.XXXXXX";
static char path[64], link_path[64];

/* In a process of its own; its answer. */
static enum lock_result
other_process(void)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		int fd = -1;

		_exit((int)lock_try(path, &fd, NULL));
	}
	return waitpid(pid, &status, 0) == pid && WIFEXITED(status)
	           ? (enum lock_result)WEXITSTATUS(status)
	           : LOCK_BROKEN;
}

int
main(void)
{
	struct err e = {0};
	int fd = -1, second = -1, copy, none = -1;

	if (mkdtemp(dir) == NULL)
		return 1;
	(void)snprintf(path, sizeof(path), "%s/lock", dir);
	(void)snprintf(link_path, sizeof(link_path), "%s/link", dir);
	CHECK(lock_try(path, &fd, &e) == LOCK_HELD, "the first one gets it");
	CHECK(lock_try(path, &fd, &e) == LOCK_HELD, "and keeps it when it asks again");
	CHECK(lock_try(path, &second, &e) == LOCK_BUSY && second >= 0,
	    "the second one waits, its file open");
	CHECK(other_process() == LOCK_BUSY, "another process too");
	copy = fcntl(fd, F_DUPFD, 10);
	(void)close(fd);
	CHECK(other_process() == LOCK_BUSY, "a duplicate holds it after the first was closed");
	(void)close(copy);
	CHECK(other_process() == LOCK_HELD, "with the last duplicate it is free");
	CHECK(lock_try(path, &second, &e) == LOCK_HELD, "the one that waited gets it");
	CHECK(symlink(path, link_path) == 0 && lock_try(link_path, &none, &e) == LOCK_BROKEN &&
		  none == -1,
	    "a symlink is no lock");
	CHECK(lock_try("/nowhere/lock", &none, &e) == LOCK_BROKEN &&
		  strstr(e.text, "/nowhere/lock") != NULL,
	    "what can not be opened is named");
	(void)unlink(link_path);
	(void)unlink(path);
	(void)rmdir(dir);
	return tap_done();
}
