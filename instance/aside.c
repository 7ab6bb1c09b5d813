/*
 * A data directory that gives way to a clone of the leader's (renewer.c says when). Patroni's own
 * reinitialisation empties it file by file, and a kill in the middle would leave what can still be
 * started as a database. Here it gets another name in one go: before, all of it is there; after,
 * PGDATA is empty, as Patroni wants it for a clone, and fresh.c's mark tells what a killed clone
 * leaves. What was a standby of this cluster is removed under its new name, whenever that is
 * resumed; anything else is kept. Where the WAL has a volume of its own, that follows: a kill in
 * between leaves WAL without PGDATA, and the link in what was put aside says whose it is. So do
 * tablespaces in the volume, whose places a clone wants empty: those of what is kept go into it.
 * For init, which holds the lock, while nothing else runs.
 */
#include "instance/instance.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define KEPT "data.kept-"
#define KEPT_MAX 1000
#define KEPT_TABLESPACES "tablespaces"
/* It has all of them: what is at their places is not its. */
#define KEPT_WHOLE "tablespaces.moved"
#define TBLSPC_LINK 1024 /* the path of a link in pg_tblspc */

static int
join(char out[512], const char *dir, const char *name, struct err *e)
{
	if (snprintf(out, 512, "%s/%s", dir, name) >= 512)
		return err_set(e, ERR_LIMIT, "a path in the volume is too long");
	return 0;
}

static bool
is_there(const char *dir, const char *name)
{
	char path[512];
	struct stat st;

	return join(path, dir, name, NULL) == -1 || lstat(path, &st) == 0 ||
	       errno != ENOENT; /* in doubt it is */
}

bool
aside_is_standby(const char *mount)
{
	char path[512];
	struct stat st;

	return join(path, mount, "data/standby.signal", NULL) == 0 && stat(path, &st) == 0;
}

bool
aside_is_left(const char *mount)
{
	return is_there(mount, ASIDE_UNFIT);
}

int
aside_move(const char *mount, const char *from, const char *to, struct err *e)
{
	char a[512], b[512], mark[512];
	int fd;

	if (join(a, mount, from, e) == -1 || join(b, mount, to, e) == -1 ||
	    join(mark, a, KEPT_WHOLE, e) == -1)
		return -1;
	/* An empty directory in its place would give way without a word: there must be none. */
	if (is_there(mount, to))
		return err_set(e, ERR_RETRY, "%s is there already", b);
	(void)unlink(mark); /* somebody has gone back to what was kept */
	fd = open(mount, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd == -1 || rename(a, b) == -1 || fsync(fd) == -1) {
		(void)err_set(e, ERR_RETRY, "rename %s to %s: %s", a, b, strerror(errno));
		fd_close(&fd);
		return -1;
	}
	fd_close(&fd);
	return 0;
}

/* --- Its WAL, in a volume of its own. */

/* "data.unfit": "pg_wal.unfit" */
static int
join_wal(char out[512], const char *wal, const char *name, struct err *e)
{
	if (snprintf(out, 512, "%s/pg_wal%s", wal, name + strlen("data")) >= 512)
		return err_set(e, ERR_LIMIT, "a path in the volume is too long");
	return 0;
}

/* In doubt it is. */
static bool
has_wal(const char *wal, const char *name)
{
	char path[512];
	struct stat st;

	return join_wal(path, wal, name, NULL) == -1 || lstat(path, &st) == 0 || errno != ENOENT;
}

int
aside_name(const char *mount, const char *wal, uint64_t system_identifier,
    char out[ASIDE_NAME_SIZE], struct err *e)
{
	for (unsigned n = 1; n <= KEPT_MAX; n++) {
		(void)snprintf(
		    out, ASIDE_NAME_SIZE, KEPT "%llu-%u", (unsigned long long)system_identifier, n);
		if (!is_there(mount, out) && (wal == NULL || !has_wal(wal, out)))
			return 0;
	}
	return err_set(
	    e, ERR_LIMIT, "%s holds %u data directories put aside; delete some", mount, KEPT_MAX);
}

/* Is the WAL that is in its place that of what was put aside under this name? */
static bool
is_its_wal(const char *mount, const char *wal, const char *name)
{
	char link[512], place[512], moved[512];
	struct stat there, its;

	return snprintf(link, sizeof(link), "%s/%s/pg_wal", mount, name) < (int)sizeof(link) &&
	       join(place, wal, "pg_wal", NULL) == 0 && join_wal(moved, wal, name, NULL) == 0 &&
	       lstat(link, &its) == 0 && S_ISLNK(its.st_mode) && stat(link, &its) == 0 &&
	       stat(place, &there) == 0 && its.st_ino == there.st_ino &&
	       its.st_dev == there.st_dev && lstat(moved, &its) == -1 && errno == ENOENT;
}

static int
move_wal(const char *wal, const char *name, struct err *e)
{
	char to[64];

	(void)snprintf(to, sizeof(to), "pg_wal%.50s", name + strlen("data"));
	return aside_move(wal, "pg_wal", to, e);
}

/* --- Its tablespaces, as pg_tblspc names them. */

/* PGDATA, what was put aside, or within them. */
static bool
is_data(const char *path)
{
	return strncmp(path, "data", 4) == 0 &&
	       (path[4] == '\0' || path[4] == '/' || path[4] == '.');
}

/* Where a link of pg_tblspc leads, if that is in the same volume; else false. */
static bool
find_target(const char *mount, const char *link, char target[512])
{
	ssize_t n = readlink(link, target, 511);
	size_t len = strlen(mount);

	if (n <= 0 || n == 511)
		return false;
	target[n] = '\0';
	return strncmp(target, mount, len) == 0 && target[len] == '/' && target[len + 1] != '\0' &&
	       strstr(target, "/.") == NULL && strstr(target, "//") == NULL &&
	       !is_data(target + len + 1);
}

/* The next one in this volume; dir is that of path. */
static bool
next_tablespace(
    DIR *dir, const char *path, const char *mount, char link[TBLSPC_LINK], char target[512])
{
	struct dirent *d;

	while ((d = readdir(dir)) != NULL)
		if (d->d_name[0] != '.' &&
		    snprintf(link, TBLSPC_LINK, "%s/%s", path, d->d_name) < TBLSPC_LINK &&
		    find_target(mount, link, target))
			return true;
	return false;
}

static DIR *
open_tablespaces(char path[512], const char *mount, const char *name)
{
	if (snprintf(path, 512, "%s/%s/pg_tblspc", mount, name) >= 512) {
		errno = ENAMETOOLONG;
		return NULL;
	}
	return opendir(path);
}

/* --- Its tablespaces in the same volume, where it is kept: "data.kept-.../tablespaces/<oid>". */

/*
 * The link goes on saying where it belongs. What is at its place once it was moved is a clone's.
 */
static int
keep_tablespace(
    const char *mount, const char *name, const char *oid, const char *target, struct err *e)
{
	char dir[512], to[512];
	struct stat st;
	int fd;

	if (snprintf(dir, sizeof(dir), "%s/%s/" KEPT_TABLESPACES, mount, name) >= 512)
		return err_set(e, ERR_LIMIT, "a path in the volume is too long");
	if (join(to, dir, oid, e) == -1)
		return -1;
	if (lstat(to, &st) == 0 || (lstat(target, &st) == -1 && errno == ENOENT))
		return 0;
	fd = mkdir(dir, 0700) == 0 || errno == EEXIST
	         ? open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
	         : -1;
	if (fd == -1 || rename(target, to) == -1 || fsync(fd) == -1) {
		(void)err_set(e, ERR_RETRY, "rename %s to %s: %s", target, to, strerror(errno));
		fd_close(&fd);
		return -1;
	}
	fd_close(&fd);
	return 0;
}

static void
note_whole(const char *mount, const char *name)
{
	char kept[512], path[512];
	int fd = -1, dir = -1;

	if (join(kept, mount, name, NULL) == 0 && join(path, kept, KEPT_WHOLE, NULL) == 0) {
		fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
		dir = open(kept, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	}
	if (fd == -1 || dir == -1 || fsync(dir) == -1)
		log_warn("aside", NULL, "write %s: %s", path, strerror(errno));
	fd_close(&fd);
	fd_close(&dir);
}

/*
 * Once: later another one's may be at the same places. One that can not be moved (a mount, say)
 * holds up nobody else; a clone into its place fails.
 */
static void
keep_tablespaces(const char *mount, const char *name)
{
	char path[512], link[TBLSPC_LINK], target[512];
	DIR *dir;
	bool any = false, whole = true;
	struct err e;

	if (join(path, mount, name, NULL) == -1 || is_there(path, KEPT_WHOLE))
		return;
	dir = open_tablespaces(path, mount, name);
	while (dir != NULL && next_tablespace(dir, path, mount, link, target)) {
		any = true;
		if (keep_tablespace(mount, name, strrchr(link, '/') + 1, target, &e) == 0)
			continue;
		log_warn("aside", NULL, "%s", e.text);
		whole = false;
	}
	if (dir != NULL)
		(void)closedir(dir);
	if (any && whole)
		note_whole(mount, name);
}

int
aside_finish(const char *mount, const char *wal, struct err *e)
{
	char data[512];
	struct dirent *d;
	DIR *dir;
	int r = 0;

	if (join(data, mount, "data", e) == -1)
		return -1;
	if (!fresh_is_empty(data) || (dir = opendir(mount)) == NULL)
		return 0;
	while ((d = readdir(dir)) != NULL) {
		bool kept = strncmp(d->d_name, KEPT, strlen(KEPT)) == 0;

		if (!kept && strcmp(d->d_name, ASIDE_UNFIT) != 0)
			continue;
		if (wal != NULL && !wal_is_empty(wal) && is_its_wal(mount, wal, d->d_name))
			r = move_wal(wal, d->d_name, e) == -1 ? -1 : r;
		if (kept)
			keep_tablespaces(mount, d->d_name);
	}
	(void)closedir(dir);
	return r;
}

/* --- Removal. */

bool
aside_has_tablespaces(const char *mount)
{
	char path[512], link[TBLSPC_LINK], target[512];
	DIR *dir = open_tablespaces(path, mount, ASIDE_UNFIT);
	bool has;

	if (dir == NULL)
		return false;
	has = next_tablespace(dir, path, mount, link, target);
	(void)closedir(dir);
	return has;
}

/* By what is the data directory now. */
static bool
is_in_use(const char *mount, const char *target)
{
	char path[512], link[TBLSPC_LINK], other[512];
	DIR *dir = open_tablespaces(path, mount, "data");
	bool is = false;

	if (dir == NULL)
		return errno != ENOENT; /* in doubt it is */
	while (!is && next_tablespace(dir, path, mount, link, other))
		is = strcmp(target, other) == 0;
	(void)closedir(dir);
	return is;
}

/*
 * Its tablespaces, where they lie in the same volume: a clone wants those places empty too. Once
 * one is, the clone may fill it, and a removal that is resumed must not find the way there again.
 */
static void
remove_tablespaces(const char *mount)
{
	char path[512], link[TBLSPC_LINK], target[512];
	DIR *dir = open_tablespaces(path, mount, ASIDE_UNFIT);

	if (dir == NULL)
		return;
	while (next_tablespace(dir, path, mount, link, target))
		if (!is_in_use(mount, target) && (tree_remove(target) == -1 || unlink(link) == -1))
			log_warn("aside", NULL, "remove %s: %s", target, strerror(errno));
	(void)closedir(dir);
}

int
aside_remove(const char *mount, const char *wal, struct err *e)
{
	char path[512];

	/* The directory last: it is what says that something is left. */
	if (wal != NULL && (join_wal(path, wal, ASIDE_UNFIT, e) == -1 || tree_remove(path) == -1))
		return err_set(e, ERR_RETRY, "remove %s: %s", path, strerror(errno));
	if (join(path, mount, ASIDE_UNFIT, e) == -1)
		return -1;
	remove_tablespaces(mount);
	if (tree_remove(path) == -1)
		return err_set(e, ERR_RETRY, "remove %s: %s", path, strerror(errno));
	return 0;
}

/* --- What it looks like. */

void
aside_find_kept(const char *mount, char out[ASIDE_NAME_SIZE])
{
	DIR *dir = opendir(mount);
	struct dirent *d;

	memset(out, 0, ASIDE_NAME_SIZE);
	if (dir == NULL)
		return;
	while ((d = readdir(dir)) != NULL)
		if (strncmp(d->d_name, KEPT, strlen(KEPT)) == 0 &&
		    (out[0] == '\0' || strcmp(d->d_name, out) < 0))
			str_copy_text(out, ASIDE_NAME_SIZE, str_of(d->d_name));
	(void)closedir(dir);
}

bool
aside_fits_twice(const char *mount)
{
	struct statvfs fs;

	return statvfs(mount, &fs) == 0 && fs.f_bavail >= fs.f_blocks - fs.f_bfree;
}

bool
aside_is_in_the_way(const char *mount)
{
	struct statvfs fs;

	return statvfs(mount, &fs) == 0 &&
	       fs.f_bavail * 100 < (fs.f_blocks - fs.f_bfree + fs.f_bavail) * DISK_LOW_PERCENT;
}
