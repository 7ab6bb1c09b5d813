/*
 * What the kernel says of a process that entered its sandbox, read from outside: limits, seccomp
 * mode, no_new_privs, dumpable; and the text of an effect.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sandbox/profiles.h"
#include "tests/unit/tap.h"

#define NOBODY 65534

struct child {
	pid_t pid;
	int told, keep; /* a byte comes on told when it is inside; it ends when keep closes */
	unsigned effect;
};

static _Noreturn void
live(enum sandbox_profile p, int told, int keep)
{
	const struct sandbox_args none = {0};
	unsigned effect;
	char c;

	/* Of root, or after a change of uid, /proc would show nothing about dumpable. */
	if (getuid() == 0 && setuid(NOBODY) == -1)
		_exit(1);
	if (prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) == -1)
		_exit(1);
	effect = sandbox_enter(p, &none);
	if (write(told, &effect, sizeof(effect)) != sizeof(effect))
		_exit(1);
	while (read(keep, &c, 1) > 0)
		continue;
	_exit(0);
}

static struct child
begin(enum sandbox_profile p)
{
	struct child c = {.effect = 0};
	int told[2], keep[2];

	if (pipe2(told, O_CLOEXEC) == -1 || pipe2(keep, O_CLOEXEC) == -1)
		die("pipe");
	fflush(stdout);
	c.pid = fork();
	if (c.pid == 0) {
		close(keep[1]);
		live(p, told[1], keep[0]);
	}
	close(told[1]);
	close(keep[0]);
	c.told = told[0];
	c.keep = keep[1];
	if (read(c.told, &c.effect, sizeof(c.effect)) != sizeof(c.effect))
		c.effect = 0;
	return c;
}

static void
end(struct child *c)
{
	int status = -1;

	fd_close(&c->keep);
	fd_close(&c->told);
	waitpid(c->pid, &status, 0);
	CHECK(status == 0, "it ends in peace");
}

/* The line of /proc/PID/FILE that begins with key has these words next. */
static bool
proc_says(pid_t pid, const char *file, const char *key, const char *want)
{
	char path[64], text[256], value[64];
	bool found = false;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, file);
	f = fopen(path, "r");
	if (f == NULL)
		return false;
	while (!found && fgets(text, sizeof(text), f) != NULL) {
		if (strncmp(text, key, strlen(key)) != 0)
			continue;
		found = sscanf(text + strlen(key), " %63s", value) == 1 && strcmp(value, want) == 0;
	}
	fclose(f);
	return found;
}

static bool
limit_is(const struct child *c, const char *key, uint64_t want)
{
	char text[32];

	snprintf(text, sizeof(text), "%llu", (unsigned long long)want);
	return proc_says(c->pid, "limits", key, text);
}

static bool
owner_is(pid_t pid, uid_t want)
{
	char path[64];
	struct stat st;

	snprintf(path, sizeof(path), "/proc/%d/environ", (int)pid);
	return stat(path, &st) == 0 && st.st_uid == want;
}

static void
test_profile(enum sandbox_profile p)
{
	const unsigned always =
	    SANDBOX_RLIMITS | SANDBOX_DUMPABLE | SANDBOX_NO_NEW_PRIVS | SANDBOX_SECCOMP;
	const struct profile *row = profile_of(p);
	struct child c = begin(p);
	char name[64];

	snprintf(name, sizeof(name), "%s: the effect", row->name);
	CHECK((c.effect & always) == always, name);
	CHECK(proc_says(c.pid, "status", "Seccomp:", "2"), "seccomp filters");
	CHECK(proc_says(c.pid, "status", "NoNewPrivs:", "1"), "no new privileges");
	CHECK(owner_is(c.pid, 0), "not dumpable: its files in /proc are root's");
	CHECK(limit_is(&c, "Max core file size", 0), "no core");
	CHECK(limit_is(&c, "Max processes", 0), "no processes");
	CHECK(limit_is(&c, "Max file size", 4 << 20), "files of 4 MiB");
	CHECK(limit_is(&c, "Max open files", row->fds), "descriptors as in its row");
	CHECK(limit_is(&c, "Max address space", row->memory), "memory as in its row");
	end(&c);
}

static void
test_text(void)
{
	char out[128];

	sandbox_effect_text(out, 0);
	CHECK(out[0] == '\0', "no effect, no text");
	sandbox_effect_text(out, SANDBOX_SECCOMP | SANDBOX_RLIMITS);
	CHECK(strcmp(out, "rlimits seccomp") == 0, "two of them");
	sandbox_effect_text(out, 255);
	CHECK(strcmp(out, "rlimits dumpable no_new_privs mdwe landlock-fs landlock-net "
			  "landlock-scope seccomp") == 0,
	    "all of them fit");
}

int
main(void)
{
	int p;

	for (p = 0; p < SANDBOX_COUNT; p++)
		test_profile((enum sandbox_profile)p);
	test_text();
	return tap_done();
}
