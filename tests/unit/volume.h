/* What tests put into a directory in the place of a pod's volume, and look for there. */
#ifndef TESTS_UNIT_VOLUME_H
#define TESTS_UNIT_VOLUME_H

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/base.h"

static char path[512]; /* at()'s */

static inline const char *
at(const char *mount, const char *name)
{
	(void)snprintf(path, sizeof(path), "%s/%s", mount, name);
	return path;
}

/* A symbolic link is there, wherever it leads. */
static inline bool
there(const char *mount, const char *name)
{
	struct stat st;

	return lstat(at(mount, name), &st) == 0;
}

static inline void
make_dir(const char *mount, const char *name)
{
	if (mkdir(at(mount, name), 0700) == -1 && errno != EEXIST)
		die("mkdir %s", path);
}

static inline void
make_file(const char *mount, const char *name)
{
	int fd = open(at(mount, name), O_WRONLY | O_CREAT, 0600);

	if (fd == -1)
		die("create %s", path);
	(void)close(fd);
}

#endif
