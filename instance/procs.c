/*
 * Processes by /proc: whose child is whose, and which one is the postmaster. For init.c, watchdog.c
 * and halt.c.
 */
#include "instance/instance.h"

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#define CLONE_PROCS_MAX 256
#define PROCS_MAX 8192 /* more than a container's usual pids limit */

/* Reads up to size - 1 bytes; 0 bytes when there is no such file. */
static struct str
slurp(const char *path, char *text, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	ssize_t n = fd == -1 ? 0 : read(fd, text, size - 1);

	fd_close(&fd);
	text[n > 0 ? n : 0] = '\0';
	return (struct str){text, n > 0 ? (size_t)n : 0};
}

/* "17 (a name) S 1 ...": the name may hold blanks and parentheses, so its end is the last one. */
int
procs_parse_stat(struct str text, struct proc *out)
{
	const char *open = memchr(text.p, '(', text.len), *close = memrchr(text.p, ')', text.len);
	struct str name, rest;
	uint64_t pid, ppid;
	const char *end;

	if (open == NULL || close == NULL || close < open || open == text.p)
		return -1;
	if (str_to_u64((struct str){text.p, (size_t)(open - text.p) - 1}, &pid) == -1)
		return -1;
	rest = (struct str){close + 1, (size_t)(text.p + text.len - close) - 1};
	if (rest.len < 4 || rest.p[0] != ' ' || rest.p[2] != ' ')
		return -1;
	rest = (struct str){rest.p + 3, rest.len - 3};
	if ((end = memchr(rest.p, ' ', rest.len)) == NULL ||
	    str_to_u64((struct str){rest.p, (size_t)(end - rest.p)}, &ppid) == -1)
		return -1;
	if (pid == 0 || pid > INT32_MAX || ppid > INT32_MAX)
		return -1;
	name = (struct str){open + 1, (size_t)(close - open) - 1};
	if (str_copy(out->comm, sizeof(out->comm), name) == -1)
		return -1;
	out->pid = (pid_t)pid;
	out->ppid = (pid_t)ppid;
	return 0;
}

static int
look(const char *pid, struct proc *out)
{
	char path[64], text[1024];

	if (snprintf(path, sizeof(path), "/proc/%.20s/stat", pid) >= (int)sizeof(path))
		return -1;
	return procs_parse_stat(slurp(path, text, sizeof(text)), out);
}

static unsigned
look_all(struct proc *all, unsigned max)
{
	DIR *dir = opendir("/proc");
	struct dirent *d;
	unsigned n = 0;

	if (dir == NULL)
		return 0;
	while (n < max && (d = readdir(dir)) != NULL)
		if (d->d_name[0] >= '1' && d->d_name[0] <= '9' && look(d->d_name, &all[n]) == 0)
			n++;
	(void)closedir(dir);
	return n;
}

/*
 * Does p descend from root? Bounded by n steps, since what was read one by one may hold a circle.
 */
static bool
below(const struct proc *p, pid_t root, const struct proc *all, unsigned n)
{
	for (unsigned step = 0; step < n && p != NULL; step++) {
		const struct proc *parent = NULL;

		if (p->ppid == root)
			return true;
		for (unsigned i = 0; i < n && parent == NULL; i++)
			if (all[i].pid == p->ppid)
				parent = &all[i];
		p = parent;
	}
	return false;
}

unsigned
procs_below(pid_t root, struct proc *out, unsigned max)
{
	static struct proc all[PROCS_MAX];
	unsigned n = look_all(all, PROCS_MAX), found = 0;

	for (unsigned i = 0; i < n && found < max; i++)
		if (all[i].pid != root && below(&all[i], root, all, n))
			out[found++] = all[i];
	return found;
}

/* --- What fills an empty PGDATA. */

#define BACKUP "pg_basebackup"

static struct str
read_proc(pid_t pid, const char *file, char text[4096])
{
	char path[64];

	(void)snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, file);
	return slurp(path, text, 4096);
}

/*
 * Times, bytes, switches: some of them change whenever the process has run. Of "status" the end
 * only, since it counts the whole user's signals as well.
 */
static uint64_t
work_of(pid_t pid)
{
	char text[4096];
	const char *switches;
	uint64_t h = HASH_INIT;

	h = hash_str(h, read_proc(pid, "stat", text));
	h = hash_str(h, read_proc(pid, "io", text));
	(void)read_proc(pid, "status", text);
	switches = strstr(text, "voluntary_ctxt_switches");
	return switches != NULL ? hash_str(h, str_of(switches)) : h;
}

/* What it has written; where the kernel does not say that, whether it has run. */
static uint64_t
wal_of(pid_t pid)
{
	char text[4096];
	struct str s = read_proc(pid, "io", text);
	const char *line = s.len > 0 ? strstr(s.p, "wchar: ") : NULL;

	return line != NULL ? hash_str(HASH_INIT, (struct str){line, strcspn(line, "\n")})
	                    : work_of(pid);
}

static bool
sleeps(pid_t pid)
{
	char text[4096];
	struct str s = read_proc(pid, "stat", text);
	const char *close = s.len > 0 ? strrchr(s.p, ')') : NULL;

	return close != NULL && (strncmp(close, ") S", 3) == 0 || strncmp(close, ") T", 3) == 0);
}

static bool
is_backup(const struct proc *p)
{
	return strcmp(p->comm, BACKUP) == 0;
}

static bool
is_second(const struct proc *p, const struct proc *all, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		if (is_backup(p) && is_backup(&all[i]) && all[i].pid == p->ppid)
			return true;
	return false;
}

void
procs_clone(pid_t patroni, struct clone_seen *out)
{
	static struct proc found[CLONE_PROCS_MAX];
	unsigned n = procs_below(patroni, found, CLONE_PROCS_MAX), backups = 0;

	*out = (struct clone_seen){.runs = n > 0, .work = HASH_INIT, .wal = HASH_INIT};
	for (unsigned i = 0; i < n; i++)
		if (is_backup(&found[i])) {
			out->sleeps = (backups == 0 || out->sleeps) && sleeps(found[i].pid);
			backups++;
		}
	for (unsigned i = 0; i < n; i++) {
		uint64_t h;

		if (backups > 0 && !is_backup(&found[i]))
			continue; /* a script that waits for it, or what runs beside it */
		if (is_second(&found[i], found, n)) {
			h = wal_of(found[i].pid);
			out->wal = hash_bytes(out->wal, &h, sizeof(h));
			out->pids[1] = found[i].pid;
			out->streams = true;
			continue;
		}
		h = work_of(found[i].pid);
		out->work = hash_bytes(out->work, &h, sizeof(h));
		if (backups > 0)
			out->pids[0] = found[i].pid;
	}
}

bool
procs_rewinds(pid_t root)
{
	static struct proc found[PROCS_MAX];
	unsigned n = procs_below(root, found, PROCS_MAX);

	for (unsigned i = 0; i < n; i++)
		if (strcmp(found[i].comm, "pg_rewind") == 0)
			return true;
	return false;
}

/* As below(), but reading only the ancestors. */
static bool
climbs_to(struct proc p, pid_t root)
{
	char pid[16];

	for (unsigned step = 0; step < 64; step++) {
		if (p.ppid == root)
			return true;
		if (p.ppid <= 1)
			return false;
		(void)snprintf(pid, sizeof(pid), "%d", (int)p.ppid);
		if (look(pid, &p) == -1)
			return false;
	}
	return false;
}

/*
 * A stale file can name a pid that is something else by now: the name and the descent are checked.
 */
pid_t
procs_postmaster(const char *pgdata, pid_t root)
{
	char path[512], text[64], pid[24];
	const char *end;
	struct proc p;
	struct str s;

	if (snprintf(path, sizeof(path), "%s/postmaster.pid", pgdata) >= (int)sizeof(path))
		return 0;
	s = slurp(path, text, sizeof(text));
	if ((end = memchr(s.p, '\n', s.len)) == NULL)
		return 0;
	if (str_copy(pid, sizeof(pid), (struct str){s.p, (size_t)(end - s.p)}) == -1 ||
	    pid[0] < '1' || pid[0] > '9')
		return 0;
	if (look(pid, &p) == -1 ||
	    (strcmp(p.comm, "postgres") != 0 && strcmp(p.comm, "postmaster") != 0))
		return 0;
	return climbs_to(p, root) ? p.pid : 0;
}

/* The eighth line (PostgreSQL, src/include/utils/pidfile.h: PM_STATUS_READY, PM_STATUS_STANDBY). */
bool
procs_accepts(const char *pgdata)
{
	char path[512], text[1024];
	struct str s;

	if (snprintf(path, sizeof(path), "%s/postmaster.pid", pgdata) >= (int)sizeof(path))
		return false;
	s = slurp(path, text, sizeof(text));
	for (unsigned line = 1; line < 8; line++) {
		const char *end = memchr(s.p, '\n', s.len);

		if (end == NULL)
			return false;
		s.len -= (size_t)(end + 1 - s.p);
		s.p = end + 1;
	}
	return str_starts(s, "ready") || str_starts(s, "standby");
}
