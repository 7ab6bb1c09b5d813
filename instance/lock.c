/*
 * The exclusive lock beside PGDATA. flock belongs to the open file, so the duplicates
 * in agent and pgctl hold it too. After a forced deletion two pods can have one volume on one node,
 * and PostgreSQL's own interlocks do not cross pid namespaces.
 */
#include "instance/instance.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

enum lock_result
lock_try(const char *path, int *fd, struct err *e)
{
	if (*fd < 0)
		*fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (*fd < 0) {
		(void)err_set(e, ERR_RETRY, "open %s: %s", path, strerror(errno));
		return LOCK_BROKEN;
	}
	if (flock(*fd, LOCK_EX | LOCK_NB) == 0)
		return LOCK_HELD;
	if (errno == EWOULDBLOCK || errno == EINTR)
		return LOCK_BUSY;
	(void)err_set(e, ERR_RETRY, "lock %s: %s", path, strerror(errno));
	return LOCK_BROKEN;
}
