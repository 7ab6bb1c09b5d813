/*
 * PGDATA and WAL on two volumes (spec.walStorage): one is worth nothing without the other, and
 * either can be lost, exchanged or left behind by itself. What is found is told; nothing here
 * writes. PostgreSQL documents pg_wal as a symbolic link (initdb --waldir), and Patroni follows it
 * when it removes or renames a data directory. For init, which then starts nothing, and pgctl,
 * which reports.
 */
#include "instance/instance.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define SEGMENT_CHARS 24
#define PATH_SIZE 512
#define REPLACE                                                                                    \
	"While another instance leads, delete this pod with its claims, and it is cloned anew: "   \
	"docs/storage.md"

static void
join(char out[PATH_SIZE], const char *dir, const char *name)
{
	if (snprintf(out, PATH_SIZE, "%s/%s", dir, name) >= PATH_SIZE)
		die("a path in the volume is too long");
}

const char *
wal_mount(void)
{
	return getenv("BESTGRES_WAL") != NULL ? PGWAL_MOUNT : NULL;
}

/* Is there an entry that is() says yes to? An unreadable directory has none. */
static bool
has_entry(const char *path, bool (*is)(const char *name))
{
	DIR *dir = opendir(path);
	struct dirent *d;
	bool found = false;

	if (dir == NULL)
		return false;
	while (!found && (d = readdir(dir)) != NULL)
		found = is(d->d_name);
	(void)closedir(dir);
	return found;
}

static bool
is_any(const char *name)
{
	return strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

/* "000000010000000000000001"; a data directory is never without one. */
static bool
is_segment(const char *name)
{
	return strlen(name) == SEGMENT_CHARS && strspn(name, "0123456789ABCDEF") == SEGMENT_CHARS;
}

bool
wal_is_empty(const char *wal)
{
	char path[PATH_SIZE];
	struct stat st;

	if (wal == NULL)
		return true;
	join(path, wal, "pg_wal");
	if (lstat(path, &st) == -1)
		return errno == ENOENT; /* in doubt it is not */
	return S_ISDIR(st.st_mode) && access(path, R_OK | X_OK) == 0 && !has_entry(path, is_any);
}

/* Does path, all links followed, lie below dir? */
static bool
is_below(const char *path, const char *dir)
{
	char real[PATH_MAX], root[PATH_MAX];

	return realpath(path, real) != NULL && realpath(dir, root) != NULL &&
	       strncmp(real, root, strlen(root)) == 0 && real[strlen(root)] == '/';
}

static bool
is_dir(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/*
 * Segments are there; or none is yet, as after the restore of a base backup, which fetches them
 * from elsewhere when it starts: that still has its backup_label.
 */
static bool
leads_to_wal(const char *data, const char *link)
{
	char label[PATH_SIZE];

	join(label, data, "backup_label");
	return has_entry(link, is_segment) || (is_dir(link) && access(label, F_OK) == 0);
}

static enum wal_state
tell(enum wal_state state, char text[IPC_TEXT_MAX + 1], const char *what, const char *todo)
{
	(void)snprintf(text, IPC_TEXT_MAX + 1, "%s %s", what, todo);
	return state;
}

enum wal_state
wal_look(const char *mount, const char *wal, char text[IPC_TEXT_MAX + 1])
{
	char data[PATH_SIZE], link[PATH_SIZE];
	struct stat st;

	join(data, mount, "data");
	join(link, data, "pg_wal");
	if (fresh_is_empty(data))
		return wal_is_empty(wal)
		           ? WAL_TOGETHER
		           : tell(WAL_ALONE, text, "Volume pgwal has WAL, but PGDATA is empty.",
				 REPLACE);
	if (lstat(link, &st) == -1)
		return WAL_TOGETHER; /* a data directory in the making, or PostgreSQL complains */
	if (S_ISLNK(st.st_mode) && !leads_to_wal(data, link))
		return tell(WAL_MISSING, text,
		    wal != NULL ? "The WAL of PGDATA is not in volume pgwal."
				: "The WAL of PGDATA is in a volume pgwal, and there is no "
				  "spec.walStorage.",
		    wal != NULL ? REPLACE : "See docs/storage.md");
	if (wal != NULL && !is_below(link, wal))
		return tell(
		    WAL_INSIDE, text, "The WAL is in PGDATA, not in volume pgwal.", REPLACE);
	return WAL_TOGETHER;
}
