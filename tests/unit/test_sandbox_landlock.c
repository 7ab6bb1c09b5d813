/*
 * Landlock by itself, without the seccomp filter before it: what would hold if the filter did not.
 * And the age of kernels: what an ABI lacks is left out, reported, and fatal if it is required.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "sandbox/profiles.h"
#include "tests/unit/forked.h"
#include "tests/unit/tap.h"

#define LANDLOCK_ALL (SANDBOX_LANDLOCK_FS | SANDBOX_LANDLOCK_NET | SANDBOX_LANDLOCK_SCOPE)

static char dir[] = "/tmp/bestgres-test-XXXXXX";
static struct sockaddr_un abstract = {.sun_family = AF_UNIX, .sun_path = "\0bestgres-test"};
static struct sockaddr_in loopback = {.sin_family = AF_INET};
static pid_t parent;

struct run {
	enum sandbox_profile profile;
	int (*f)(void);
};

static int
restrict_and_try(void *arg)
{
	const struct run *r = arg;
	struct sandbox_args args = {.dirs = {NULL, dir}, .ports = {0, ntohs(loopback.sin_port)}};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == -1)
		return FAILED;
	landlock_restrict(profile_of(r->profile), &args);
	return r->f();
}

static int
tried(enum sandbox_profile p, int (*f)(void))
{
	struct run r = {.profile = p, .f = f};

	return forked(restrict_and_try, &r);
}

static int
read_in_dir(void)
{
	char path[64];

	snprintf(path, sizeof(path), "%s/sub/token", dir);
	return result(open(path, O_RDONLY));
}

static int
write_in_dir(void)
{
	char path[64];

	snprintf(path, sizeof(path), "%s/sub/token", dir);
	return result(open(path, O_WRONLY));
}

static int
create_in_dir(void)
{
	char path[64];

	snprintf(path, sizeof(path), "%s/new", dir);
	return result(open(path, O_WRONLY | O_CREAT, 0600));
}

static int
read_above(void)
{
	char path[64];

	snprintf(path, sizeof(path), "%s/../", dir);
	return result(open(path, O_RDONLY | O_DIRECTORY));
}

static int
run_program(void)
{
	char name[] = "true";
	char *argv[] = {name, NULL}, *envp[] = {NULL};

	return result(execve("/bin/true", argv, envp));
}

static int
dial(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	return result(connect(fd, (struct sockaddr *)&loopback, sizeof(loopback)));
}

static int
dial_next_port(void)
{
	loopback.sin_port = htons((uint16_t)(ntohs(loopback.sin_port) + 1));
	return dial();
}

static int
bind_any(void)
{
	struct sockaddr_in any = {.sin_family = AF_INET};
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	return result(bind(fd, (struct sockaddr *)&any, sizeof(any)));
}

static int
signal_parent(void)
{
	return result(kill(parent, 0));
}

static int
dial_abstract(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	return result(connect(fd, (struct sockaddr *)&abstract, sizeof(abstract)));
}

static int
effect_of(void *arg)
{
	const struct sandbox_args none = {0};
	const struct run *r = arg;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == -1)
		return FAILED;
	return (int)landlock_restrict(profile_of(r->profile), &none);
}

static void
test_files(void)
{
	CHECK(tried(SANDBOX_BROKER, read_in_dir) == 0, "broker: a file below its directory");
	CHECK(tried(SANDBOX_AGENT, read_in_dir) == 0, "agent: a file below its directory");
	CHECK(tried(SANDBOX_WATCHER, read_in_dir) == REFUSED,
	    "watcher: no files, whatever was given");
	CHECK(tried(SANDBOX_RECONCILER, read_in_dir) == REFUSED, "reconciler: no files");
	CHECK(tried(SANDBOX_BROKER, write_in_dir) == REFUSED, "broker: not to write");
	CHECK(tried(SANDBOX_BROKER, create_in_dir) == REFUSED, "broker: not to create");
	CHECK(tried(SANDBOX_BROKER, read_above) == REFUSED, "broker: not above its directory");
	CHECK(tried(SANDBOX_BROKER, run_program) == REFUSED, "broker: no program");
}

static void
test_net(unsigned effect)
{
	if ((effect & SANDBOX_LANDLOCK_NET) == 0) {
		printf("# this kernel's Landlock has no TCP rules\n");
		return;
	}
	CHECK(tried(SANDBOX_BROKER, dial) == 0, "broker: its port");
	CHECK(tried(SANDBOX_BROKER, dial_next_port) == REFUSED, "broker: another port");
	CHECK(tried(SANDBOX_WATCHER, dial) == REFUSED, "watcher: no port, whatever was given");
	CHECK(tried(SANDBOX_AGENT, bind_any) == REFUSED, "agent: no bind");
}

static void
test_scope(unsigned effect)
{
	if ((effect & SANDBOX_LANDLOCK_SCOPE) == 0) {
		printf("# this kernel's Landlock has no scopes\n");
		return;
	}
	CHECK(tried(SANDBOX_EXECUTOR, signal_parent) == REFUSED, "no signal to the parent");
	CHECK(tried(SANDBOX_EXECUTOR, dial_abstract) == REFUSED, "no abstract unix socket");
}

/* An older kernel, played by a filter: landlock_create_ruleset fails, or PR_SET_MDWE does. */
static void
install(struct sock_filter *f, unsigned short n)
{
	struct sock_fprog p = {.len = n, .filter = f};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == -1 ||
	    syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0U, &p) == -1)
		die("filter");
}

static void
fail_syscall(uint32_t nr, uint32_t first_arg, uint32_t how)
{
	struct sock_filter f[] = {
	    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
	    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, nr, 0, 3),
	    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args)),
	    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, first_arg, 0, 1),
	    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (how & SECCOMP_RET_DATA)),
	    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};

	install(f, sizeof(f) / sizeof(f[0]));
}

struct lack {
	uint32_t nr, first_arg, how;
	unsigned without; /* effect bits that must be missing */
	bool require;
};

static int
enter_lacking(void *arg)
{
	const struct lack *l = arg;
	struct sandbox_args args = {.require = l->require};
	unsigned effect;

	fail_syscall(l->nr, l->first_arg, l->how);
	effect = sandbox_enter(SANDBOX_WATCHER, &args);
	if ((effect & l->without) != 0 || (effect & SANDBOX_SECCOMP) == 0)
		return FAILED;
	return 0;
}

static void
test_lacking(void)
{
	struct lack no_landlock = {SYS_landlock_create_ruleset, 0, ENOSYS, LANDLOCK_ALL, false};
	struct lack disabled = {SYS_landlock_create_ruleset, 0, EOPNOTSUPP, LANDLOCK_ALL, false};
	struct lack no_mdwe = {SYS_prctl, 65, EINVAL, SANDBOX_MDWE, false};
	struct lack no_seccomp = {SYS_seccomp, 1, EINVAL, 0, false};
	struct lack no_dumpable = {SYS_prctl, PR_SET_DUMPABLE, EINVAL, 0, false};

	CHECK(forked(enter_lacking, &no_landlock) == 0, "prefer: a kernel without Landlock");
	CHECK(forked(enter_lacking, &disabled) == 0, "prefer: Landlock is there and off");
	CHECK(forked(enter_lacking, &no_mdwe) == 0, "prefer: a kernel without MDWE");
	CHECK(forked(enter_lacking, &no_seccomp) == EXIT_SANDBOX, "prefer: never without seccomp");
	CHECK(forked(enter_lacking, &no_dumpable) == EXIT_SANDBOX, "prefer: never dumpable");
	no_landlock.require = no_mdwe.require = true;
	CHECK(forked(enter_lacking, &no_landlock) == EXIT_SANDBOX, "require: no Landlock is fatal");
	CHECK(forked(enter_lacking, &no_mdwe) == EXIT_SANDBOX, "require: no MDWE is fatal");
}

static int
missing_dir(void *arg)
{
	struct sandbox_args args = {.dirs = {"/nonexistent/token", NULL}};

	(void)arg;
	sandbox_enter(SANDBOX_BROKER, &args);
	return 0;
}

static void
set_up(void)
{
	socklen_t len = sizeof(loopback);
	int fd = socket(AF_UNIX, SOCK_STREAM, 0), tcp = socket(AF_INET, SOCK_STREAM, 0);
	char path[64];

	parent = getpid();
	loopback.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (bind(fd, (struct sockaddr *)&abstract, sizeof(abstract)) == -1 || listen(fd, 8) == -1)
		die("abstract socket");
	if (bind(tcp, (struct sockaddr *)&loopback, sizeof(loopback)) == -1 ||
	    listen(tcp, 8) == -1 || getsockname(tcp, (struct sockaddr *)&loopback, &len) == -1)
		die("TCP socket");
	if (mkdtemp(dir) == NULL)
		die("mkdtemp");
	snprintf(path, sizeof(path), "%s/sub", dir);
	if (mkdir(path, 0700) == -1)
		die("mkdir");
	snprintf(path, sizeof(path), "%s/sub/token", dir);
	fd = open(path, O_WRONLY | O_CREAT, 0600);
	if (fd == -1)
		die("token");
	close(fd);
}

static void
clean_up(void)
{
	char path[64];

	snprintf(path, sizeof(path), "%s/sub/token", dir);
	unlink(path);
	snprintf(path, sizeof(path), "%s/sub", dir);
	rmdir(path);
	rmdir(dir);
}

int
main(void)
{
	struct run r = {.profile = SANDBOX_RECONCILER};
	int effect;

	set_up();
	effect = forked(effect_of, &r);
	if (effect > 0 && (effect & SANDBOX_LANDLOCK_FS) != 0) {
		test_files();
		test_net((unsigned)effect);
		test_scope((unsigned)effect);
		CHECK(forked(missing_dir, NULL) == EXIT_SANDBOX,
		    "a directory that is not there: fatal");
	} else {
		printf("# this kernel has no Landlock\n");
	}
	test_lacking();
	clean_up();
	return tap_done();
}
