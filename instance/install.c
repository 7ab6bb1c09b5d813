/*
 * `instance install DIR`: the init container copies this program out of the operator's image, for
 * the main container to run.
 */
#include "instance/instance.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static int
copy(int from, int to)
{
	char block[65536];
	ssize_t n;

	while ((n = read(from, block, sizeof(block))) > 0)
		if (fd_write_all(to, block, (size_t)n) == -1)
			return -1;
	return n == 0 ? 0 : -1;
}

static int
complain(const char *what, const char *path)
{
	log_error("install", NULL, "%s %s: %s", what, path, strerror(errno));
	return 1;
}

/* 0111: whoever runs it can neither read nor, without privileges, debug it. */
int
install_main(const char *dir)
{
	char temp[4096], path[4096];
	int from, to, dirfd;

	if (snprintf(temp, sizeof(temp), "%s/.instance.new", dir) >= (int)sizeof(temp) ||
	    snprintf(path, sizeof(path), "%s/instance", dir) >= (int)sizeof(path)) {
		errno = ENAMETOOLONG;
		return complain("use", dir);
	}
	if ((from = open("/proc/self/exe", O_RDONLY | O_CLOEXEC)) == -1)
		return complain("open", "/proc/self/exe");
	if (unlink(temp) == -1 && errno != ENOENT)
		return complain("remove", temp);
	if ((to = open(temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0700)) == -1)
		return complain("create", temp);
	if (copy(from, to) == -1)
		return complain("copy to", temp);
	if (fchmod(to, 0111) == -1 || fsync(to) == -1 || close(to) == -1)
		return complain("finish", temp);
	if (rename(temp, path) == -1)
		return complain("rename to", path);
	if ((dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) == -1 || fsync(dirfd) == -1)
		return complain("sync", dir);
	return 0;
}
