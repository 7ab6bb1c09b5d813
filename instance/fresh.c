/*
 * A data directory in which no postmaster ever ran, left by an initdb or a base backup that was
 * killed (DESIGN 9.6): Patroni can not tell it from a database and would wait, or even start it,
 * for ever. A mark beside PGDATA says that it was empty when Patroni was started; only with that
 * mark is anything put aside. For init, which holds the lock; Patroni does not run meanwhile.
 */
#include "instance/instance.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <sys/stat.h>
#include <unistd.h>

#define MARK ".bestgres.fresh"
#define ASIDE "data.unfinished"
#define TREE_FDS 16

static void
join(char out[512], const char *dir, const char *name)
{
	if (snprintf(out, 512, "%s/%s", dir, name) >= 512)
		die("a path in the volume is too long");
}

static bool
is_there(const char *dir, const char *name)
{
	char path[512];
	struct stat st;

	join(path, dir, name);
	return lstat(path, &st) == 0 || errno != ENOENT; /* in doubt it is */
}

/* As Patroni sees it: hidden files and what mkfs leaves do not count. */
bool
fresh_is_empty(const char *pgdata)
{
	DIR *dir = opendir(pgdata);
	struct dirent *d;
	bool empty = true;

	if (dir == NULL)
		return errno == ENOENT;
	while (empty && (d = readdir(dir)) != NULL)
		empty = d->d_name[0] == '.' || strcmp(d->d_name, "lost+found") == 0;
	(void)closedir(dir);
	return empty;
}

static int
sync_dir(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r = fd == -1 ? -1 : fsync(fd);

	fd_close(&fd);
	return r;
}

int
fresh_mark(const char *mount, struct err *e)
{
	char path[512];
	int fd;

	join(path, mount, MARK);
	fd = open(path, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd == -1 || fsync(fd) == -1 || sync_dir(mount) == -1) {
		(void)err_set(e, ERR_RETRY, "mark %s: %s", path, strerror(errno));
		fd_close(&fd);
		return -1;
	}
	fd_close(&fd);
	return 0;
}

/*
 * The postmaster, and nothing but it, writes postmaster.opts when it starts; neither initdb nor a
 * base backup brings one. Once it has run, the mark goes at once: what stands there later may have
 * been put there by somebody.
 */
enum fresh
fresh_look(const char *mount)
{
	char data[512], mark[512];

	join(data, mount, "data");
	join(mark, mount, MARK);
	if (fresh_is_empty(data))
		return FRESH_EMPTY;
	if (is_there(data, "postmaster.opts")) {
		if (unlink(mark) == -1 && errno != ENOENT)
			log_warn("fresh", NULL, "remove %s: %s", mark, strerror(errno));
		return FRESH_RAN;
	}
	/* pg_basebackup gives it its name last of all: then Patroni can start what is there */
	if (is_there(data, "backup_manifest"))
		return FRESH_UNKNOWN;
	return access(mark, F_OK) == 0 ? FRESH_UNFINISHED : FRESH_UNKNOWN;
}

static int
remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)st;
	(void)at;
	return type == FTW_DP ? rmdir(path) : unlink(path);
}

static int
remove_tree(const char *path)
{
	return nftw(path, remove_one, TREE_FDS, FTW_DEPTH | FTW_PHYS | FTW_MOUNT) == 0 ||
	               errno == ENOENT
	           ? 0
	           : -1;
}

/*
 * Renamed in one go, so that a half removed one is never taken for a database. Without pg_control,
 * which a base backup sends last, nobody could ever start it: then its space is given back; else it
 * stays until the next one.
 */
int
fresh_discard(const char *mount, struct err *e)
{
	char data[512], aside[512];

	join(data, mount, "data");
	join(aside, mount, ASIDE);
	if (remove_tree(aside) == -1)
		return err_set(e, ERR_RETRY, "remove %s: %s", aside, strerror(errno));
	if (rename(data, aside) == -1 || sync_dir(mount) == -1)
		return err_set(e, ERR_RETRY, "rename %s: %s", data, strerror(errno));
	if (!is_there(aside, "global/pg_control") && remove_tree(aside) == -1)
		log_warn("fresh", NULL, "remove %s: %s", aside, strerror(errno));
	return 0;
}
