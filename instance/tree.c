/*
 * The removal of a directory tree in a volume: nothing outside of it. What it holds may have been
 * put there by anyone, so a symbolic link is removed and never followed, and what is mounted below
 * stays. For fresh.c and aside.c.
 */
#include "instance/instance.h"

#include <errno.h>
#include <ftw.h>
#include <unistd.h>

#define TREE_FDS 16

static int
remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)st;
	(void)at;
	return type == FTW_DP ? rmdir(path) : unlink(path);
}

int
tree_remove(const char *path)
{
	return nftw(path, remove_one, TREE_FDS, FTW_DEPTH | FTW_PHYS | FTW_MOUNT) == 0 ||
	               errno == ENOENT
	           ? 0
	           : -1;
}
