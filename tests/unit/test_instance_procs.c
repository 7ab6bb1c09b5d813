/* /proc/N/stat with hostile names; who descends from whom; a stale postmaster.pid. */
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "instance/instance.h"
#include "tests/unit/tap.h"

static void
test_parse(void)
{
	struct proc p;
	static const char *const bad[] = {"", "17", "17 (x", "17 x) S 1 2", "(x) S 1 2", "17 (x)",
	    "17 (x) S", "17 (x) S 1", "17 (x) S  2", "a (x) S 1 2", "17 (x) S -1 2",
	    "17 (0123456789abcdef0) S 1 2", "0 (x) S 1 2", "99999999999 (x) S 1 2", ") 17 ( S 1 2"};
	bool all = true;

	CHECK(procs_parse_stat(STR("17 (postgres) S 1 17 17 0"), &p) == 0 && p.pid == 17 &&
		  p.ppid == 1 && strcmp(p.comm, "postgres") == 0,
	    "an ordinary line");
	CHECK(procs_parse_stat(STR("17 (a) S 9 (b) S 3 4"), &p) == 0 && p.ppid == 3 &&
		  strcmp(p.comm, "a) S 9 (b") == 0,
	    "a name with parentheses can not lie about its parent");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		all = all && procs_parse_stat(str_of(bad[i]), &p) == -1;
	CHECK(all, "malformed lines");
}

static pid_t
child_named(const char *name)
{
	pid_t pid = fork();

	if (pid == 0) {
		(void)prctl(PR_SET_NAME, name, 0, 0, 0);
		for (;;)
			(void)pause();
	}
	(void)usleep(50000);
	return pid;
}

static void
write_pid(const char *dir, const char *text)
{
	char path[128];
	FILE *file;

	(void)snprintf(path, sizeof(path), "%s/postmaster.pid", dir);
	if ((file = fopen(path, "w")) != NULL) {
		(void)fputs(text, file);
		(void)fclose(file);
	}
}

static void
test_real(void)
{
	char dir[] = "/tmp/test_procs.XXXXXX", text[64];
	pid_t postgres = child_named("postgres"), sh = child_named("sh");
	struct proc found[64];
	unsigned n = procs_below(getpid(), found, 64);
	bool both = false;

	if (mkdtemp(dir) == NULL)
		return;
	for (unsigned i = 0; i < n; i++)
		both = both || found[i].pid == postgres;
	CHECK(both && n == 2, "our children, and nobody else");
	CHECK(procs_postmaster(dir, getpid()) == 0, "no file: no postmaster");
	(void)snprintf(text, sizeof(text), "%d\n/pgdata/data\n", (int)postgres);
	write_pid(dir, text);
	CHECK(procs_postmaster(dir, getpid()) == postgres, "the postmaster that the file names");
	CHECK(procs_postmaster(dir, sh) == 0, "not when it is no descendant");
	(void)snprintf(text, sizeof(text), "%d\n", (int)sh);
	write_pid(dir, text);
	CHECK(procs_postmaster(dir, getpid()) == 0, "a stale pid that is another program now");
	write_pid(dir, "-1\n");
	CHECK(procs_postmaster(dir, getpid()) == 0, "single-user mode's negative pid");
	write_pid(dir, "../1/x\n");
	CHECK(procs_postmaster(dir, getpid()) == 0, "a path for a pid");
	(void)snprintf(text, sizeof(text), "%d", (int)postgres);
	write_pid(dir, text);
	CHECK(procs_postmaster(dir, getpid()) == 0, "a file still being written");
	(void)kill(postgres, SIGKILL);
	(void)waitpid(postgres, NULL, 0);
	(void)snprintf(text, sizeof(text), "%d\n", (int)postgres);
	write_pid(dir, text);
	CHECK(procs_postmaster(dir, getpid()) == 0, "a pid that is gone");
	(void)kill(sh, SIGKILL);
	(void)waitpid(sh, NULL, 0);
	write_pid(dir, "7\n/d\n1\n5432\n/run\n*\n1 2\nstarting\n");
	CHECK(!procs_accepts(dir), "a server that starts");
	write_pid(dir, "7\n/d\n1\n5432\n/run\n*\n1 2\nready   \n");
	CHECK(procs_accepts(dir), "one that is ready");
	write_pid(dir, "7\n/d\n1\n5432\n/run\n*\n1 2\nstandby \n");
	CHECK(procs_accepts(dir), "a standby");
	write_pid(dir, "7\n/d\n1\n5432\n/run\n*\nready\n");
	CHECK(!procs_accepts(dir), "too few lines");
	(void)snprintf(text, sizeof(text), "%s/postmaster.pid", dir);
	(void)unlink(text);
	(void)rmdir(dir);
}

/* Does so much on each byte of a pipe, else sleeps, as pg_basebackup and its second process do. */
_Noreturn static void
work_on(int in, int out)
{
	char byte;

	(void)prctl(PR_SET_NAME, "pg_basebackup", 0, 0, 0);
	while (read(in, &byte, 1) == 1)
		if (out != -1 && write(out, &byte, 1) != 1)
			break;
	_exit(0);
}

static void
poke(int fd)
{
	if (write(fd, "x", 1) != 1)
		die("write");
	(void)usleep(50000);
}

/* Its parent waits for the kernel until the byte comes: state D. */
_Noreturn static void
become_busy(int in)
{
	char byte;

	(void)prctl(PR_SET_NAME, "pg_basebackup", 0, 0, 0);
	if (read(in, &byte, 1) == 1 && vfork() == 0) {
		(void)!read(in, &byte, 1);
		_exit(0);
	}
	_exit(0);
}

static void
test_second_is_busy(void)
{
	struct clone_seen seen;
	int in[2], end[2];
	pid_t pid;

	if (pipe(in) == -1 || pipe(end) == -1)
		die("pipe");
	if ((pid = fork()) == 0) {
		if (fork() == 0)
			become_busy(in[0]);
		work_on(end[0], -1);
	}
	(void)usleep(100000);
	procs_clone(getpid(), &seen);
	CHECK(seen.streams && seen.sleeps, "both wait for somebody");
	poke(in[1]);
	procs_clone(getpid(), &seen);
	CHECK(seen.pids[0] == pid && !seen.sleeps,
	    "nor is it said to sleep while its second process waits for the disk");
	poke(in[1]);
	(void)kill(pid, SIGKILL);
	(void)waitpid(pid, NULL, 0);
}

static void
test_rewind(void)
{
	pid_t pid = child_named("pg_rewind");

	CHECK(procs_rewinds(getpid()), "pg_rewind runs");
	CHECK(!procs_rewinds(pid), "not below another one");
	(void)kill(pid, SIGKILL);
	(void)waitpid(pid, NULL, 0);
	CHECK(!procs_rewinds(getpid()), "until it has ended");
}

static void
test_clone(void)
{
	int first[2], second[2], null = open("/dev/null", O_WRONLY);
	struct clone_seen a, b;
	pid_t pid;

	if (pipe(first) == -1 || pipe(second) == -1)
		die("pipe");
	procs_clone(getpid(), &a);
	CHECK(!a.runs && a.pids[0] == 0, "nothing runs");
	if ((pid = fork()) == 0) {
		(void)prctl(PR_SET_NAME, "pg_basebackup", 0, 0, 0);
		if (fork() == 0)
			work_on(second[0], null);
		work_on(first[0], -1);
	}
	(void)usleep(100000);
	procs_clone(getpid(), &a);
	(void)usleep(100000);
	procs_clone(getpid(), &b);
	CHECK(a.runs && a.streams && a.sleeps && a.pids[0] == pid && a.pids[1] > 0 &&
		  a.pids[1] != pid,
	    "both of pg_basebackup's processes");
	CHECK(a.work == b.work && a.wal == b.wal, "none of them has done anything");
	poke(second[1]);
	procs_clone(getpid(), &a);
	CHECK(a.work == b.work && a.wal != b.wal, "the second one wrote a byte");
	poke(first[1]);
	procs_clone(getpid(), &b);
	CHECK(a.work != b.work && a.wal == b.wal, "the first one got one");
	(void)kill(pid, SIGSTOP);
	(void)usleep(50000);
	procs_clone(getpid(), &a);
	CHECK(a.sleeps, "stopped, it can be killed as well");
	(void)kill(a.pids[1], SIGKILL);
	(void)kill(pid, SIGKILL);
	(void)waitpid(pid, NULL, 0);
	pid = child_named("wal-g");
	procs_clone(getpid(), &a);
	(void)usleep(50000);
	procs_clone(getpid(), &b);
	CHECK(a.runs && !a.streams && a.pids[0] == 0 && a.work == b.work,
	    "another program is looked at, but not named for a kill");
	(void)kill(pid, SIGKILL);
	(void)waitpid(pid, NULL, 0);
}

int
main(void)
{
	test_parse();
	test_real();
	test_clone();
	test_second_is_busy();
	test_rewind();
	return tap_done();
}
