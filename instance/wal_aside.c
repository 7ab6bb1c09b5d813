/*
 * WAL that goes where its data directory goes: "data" is put aside as "data.<x>", and the WAL that
 * its link names as "pg_wal.<x>" on the WAL's own volume. The link is changed first and the data
 * directory renamed last: killed anywhere between, PGDATA has its WAL still, under whichever name,
 * or wal_mend gives it back before anybody starts. For init, which holds the lock, while nothing
 * else runs.
 */
#include "instance/instance.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATH_SIZE 512
#define TREE_FDS 16
#define LINK_NEW "data/pg_wal.new"

static int
join(char out[PATH_SIZE], const char *dir, const char *name, struct err *e)
{
	if (snprintf(out, PATH_SIZE, "%s/%s", dir, name) >= PATH_SIZE)
		return err_set(e, ERR_LIMIT, "a path in the volume is too long");
	return 0;
}

static bool
is_dir(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static int
sync_dir(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r = fd == -1 ? -1 : fsync(fd);

	fd_close(&fd);
	return r;
}

/* What the link of that data directory names, if it lies right in the WAL's volume; else false. */
static bool
read_link(const char *mount, const char *name, const char *wal, char out[PATH_SIZE])
{
	char link[PATH_SIZE];
	size_t len = strlen(wal);
	ssize_t n;

	if (snprintf(link, sizeof(link), "%s/%s/pg_wal", mount, name) >= (int)sizeof(link))
		return false;
	n = readlink(link, out, PATH_SIZE - 1);
	if (n <= 0 || n == PATH_SIZE - 1)
		return false;
	out[n] = '\0';
	return strncmp(out, wal, len) == 0 && strncmp(out + len, "/pg_wal", 7) == 0 &&
	       strchr(out + len + 1, '/') == NULL;
}

static int
change_link(const char *mount, const char *target, struct err *e)
{
	char link[PATH_SIZE], temp[PATH_SIZE], data[PATH_SIZE];

	if (join(link, mount, "data/pg_wal", e) == -1 || join(temp, mount, LINK_NEW, e) == -1 ||
	    join(data, mount, "data", e) == -1)
		return -1;
	(void)unlink(temp);
	if (symlink(target, temp) == -1 || rename(temp, link) == -1 || sync_dir(data) == -1)
		return err_set(e, ERR_RETRY, "link %s: %s", link, strerror(errno));
	return 0;
}

static int
move(const char *wal, const char *from, const char *to, struct err *e)
{
	if (rename(from, to) == -1 || sync_dir(wal) == -1)
		return err_set(e, ERR_RETRY, "rename %s to %s: %s", from, to, strerror(errno));
	return 0;
}

int
wal_follow(const char *mount, const char *wal, const char *name, struct err *e)
{
	char now[PATH_SIZE], next[PATH_SIZE];
	const char *suffix = strchr(name, '.');

	if (wal == NULL || suffix == NULL || !read_link(mount, "data", wal, now))
		return 0; /* its WAL is within it, or somewhere of somebody's */
	if (snprintf(next, sizeof(next), "%s/pg_wal%s", wal, suffix) >= (int)sizeof(next))
		return err_set(e, ERR_LIMIT, "a path in the volume is too long");
	if (strcmp(now, next) == 0)
		return 0;
	if (access(next, F_OK) == 0)
		return err_set(e, ERR_RETRY, "%s is there already", next);
	if (change_link(mount, next, e) == -1)
		return -1;
	return is_dir(now) ? move(wal, now, next, e) : 0;
}

int
wal_mend(const char *mount, const char *wal, struct err *e)
{
	char named[PATH_SIZE], plain[PATH_SIZE];

	if (wal == NULL || !read_link(mount, "data", wal, named) ||
	    join(plain, wal, "pg_wal", e) == -1)
		return 0;
	if (strcmp(named, plain) == 0 || access(named, F_OK) == 0 || !is_dir(plain))
		return 0;
	return move(wal, plain, named, e);
}

static int
remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)st;
	(void)at;
	return type == FTW_DP ? rmdir(path) : unlink(path);
}

int
wal_remove_of(const char *mount, const char *wal, const char *name, struct err *e)
{
	char path[PATH_SIZE], used[PATH_SIZE], plain[PATH_SIZE];

	if (wal == NULL || !read_link(mount, name, wal, path) ||
	    join(plain, wal, "pg_wal", e) == -1)
		return 0;
	if (strcmp(path, plain) == 0 ||
	    (read_link(mount, "data", wal, used) && strcmp(path, used) == 0))
		return 0; /* PGDATA's now */
	if (nftw(path, remove_one, TREE_FDS, FTW_DEPTH | FTW_PHYS | FTW_MOUNT) == -1 &&
	    errno != ENOENT)
		return err_set(e, ERR_RETRY, "remove %s: %s", path, strerror(errno));
	return 0;
}
