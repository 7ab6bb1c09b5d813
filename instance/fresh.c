/*
 * A data directory in which no postmaster ever ran, left by an initdb or a base backup that was
 * killed: Patroni can not tell it from a database and would wait, or even start it,
 * for ever. A mark beside PGDATA says that it was empty when Patroni was started; only with that
 * mark is anything put aside. Where the WAL has a volume of its own, that bears the same mark, a
 * random number: only then the WAL there is of that data directory, and shares its fate. For init,
 * which holds the lock; Patroni does not run meanwhile.
 */
#include "instance/instance.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define MARK ".bestgres.fresh"
#define ASIDE "data.unfinished"
#define WAL_ASIDE "pg_wal.unfinished"
#define WAL_NAME "pg_wal"
#define MARK_SIZE 17 /* 16 hexadecimal digits */

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

/* What a mark says; "" = there is none, or it is not whole. */
static void
read_mark(const char *mount, char id[MARK_SIZE])
{
	char path[512];
	int fd;
	ssize_t n;

	join(path, mount, MARK);
	fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	n = fd == -1 ? -1 : read(fd, id, MARK_SIZE - 1);
	fd_close(&fd);
	id[n == MARK_SIZE - 1 ? n : 0] = '\0';
}

static int
write_mark(const char *mount, const char *id, struct err *e)
{
	char path[512];
	int fd;

	join(path, mount, MARK);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd == -1 || fd_write_all(fd, id, strlen(id)) == -1 || fsync(fd) == -1 ||
	    sync_dir(mount) == -1) {
		(void)err_set(e, ERR_RETRY, "mark %s: %s", path, strerror(errno));
		fd_close(&fd);
		return -1;
	}
	fd_close(&fd);
	return 0;
}

static void
remove_mark(const char *mount)
{
	char path[512];

	join(path, mount, MARK);
	if (unlink(path) == -1 && errno != ENOENT)
		log_warn("fresh", NULL, "remove %s: %s", path, strerror(errno));
}

/* Do both volumes bear the same mark? */
static bool
are_marked(const char *mount, const char *wal)
{
	char data_id[MARK_SIZE], wal_id[MARK_SIZE];

	read_mark(mount, data_id);
	if (wal == NULL)
		return data_id[0] != '\0';
	read_mark(wal, wal_id);
	return data_id[0] != '\0' && strcmp(data_id, wal_id) == 0;
}

int
fresh_mark(const char *mount, const char *wal, struct err *e)
{
	char id[MARK_SIZE];
	uint64_t random;

	if (!wal_is_empty(wal))
		return err_set(e, ERR_INVALID, "%s/pg_wal is not empty, so nothing is marked", wal);
	if (are_marked(mount, wal))
		return 0;
	(void)rand_bytes(&random, sizeof(random));
	(void)snprintf(id, sizeof(id), "%016llx", (unsigned long long)random);
	if (wal != NULL && write_mark(wal, id, e) == -1)
		return -1;
	return write_mark(mount, id, e);
}

/*
 * The postmaster, and nothing but it, writes postmaster.opts when it starts; neither initdb nor a
 * base backup brings one. Once it has run, the mark goes at once: what stands there later may have
 * been put there by somebody.
 */
enum fresh
fresh_look(const char *mount, const char *wal)
{
	char data[512], mark[512];

	join(data, mount, "data");
	join(mark, mount, MARK);
	if (fresh_is_empty(data)) /* a base backup that failed removes its WAL last */
		return !wal_is_empty(wal) && are_marked(mount, wal) ? FRESH_UNFINISHED
		                                                    : FRESH_EMPTY;
	if (is_there(data, "postmaster.opts")) {
		if (wal != NULL)
			remove_mark(wal);
		remove_mark(mount);
		return FRESH_RAN;
	}
	/* pg_basebackup gives it its name last of all: then Patroni can start what is there */
	if (is_there(data, "backup_manifest"))
		return FRESH_UNKNOWN;
	return access(mark, F_OK) == 0 ? FRESH_UNFINISHED : FRESH_UNKNOWN;
}

/* dir's name becomes aside, in the place of an earlier one; that there is none is fine. */
static int
put_aside(const char *mount, const char *name, const char *aside, struct err *e)
{
	char from[512], to[512];

	join(from, mount, name);
	join(to, mount, aside);
	if (!is_there(mount, name))
		return 0;
	if (tree_remove(to) == -1)
		return err_set(e, ERR_RETRY, "remove %s: %s", to, strerror(errno));
	if (rename(from, to) == -1 || sync_dir(mount) == -1)
		return err_set(e, ERR_RETRY, "rename %s: %s", from, strerror(errno));
	return 0;
}

static void
remove_aside(const char *mount, const char *aside)
{
	char path[512];

	join(path, mount, aside);
	if (tree_remove(path) == -1)
		log_warn("fresh", NULL, "remove %s: %s", path, strerror(errno));
}

/*
 * Renamed in one go, so that a half removed one is never taken for a database; its WAL first, since
 * the marks still tell whose it is then. Without pg_control, which a base backup sends last, nobody
 * could ever start it: then its space is given back; else it stays until the next one.
 */
int
fresh_discard(const char *mount, const char *wal, struct err *e)
{
	bool ours = wal != NULL && are_marked(mount, wal);

	if (ours && !wal_is_empty(wal) && put_aside(wal, WAL_NAME, WAL_ASIDE, e) == -1)
		return -1;
	if (put_aside(mount, "data", ASIDE, e) == -1)
		return -1;
	if (is_there(mount, ASIDE "/global/pg_control"))
		return 0;
	remove_aside(mount, ASIDE);
	if (ours)
		remove_aside(wal, WAL_ASIDE);
	return 0;
}
