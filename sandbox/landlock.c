/*
 * Landlock, by raw system calls: no files but what is below args->dirs, no TCP connect but to
 * args->ports, no signals and no abstract unix sockets to anyone outside. Constants by value: the
 * headers of Debian 12 end at ABI 2. Source: the kernel's userspace-api/landlock.rst.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sandbox/profiles.h"

#define CREATE_VERSION 1u
#define RULE_PATH_BENEATH 1
#define RULE_NET_PORT 2
#define FS_READ_FILE (UINT64_C(1) << 2)
#define FS_READ_DIR (UINT64_C(1) << 3)
#define NET_BIND_TCP (UINT64_C(1) << 0)
#define NET_CONNECT_TCP (UINT64_C(1) << 1)
#define SCOPE_ABSTRACT_UNIX (UINT64_C(1) << 0)
#define SCOPE_SIGNAL (UINT64_C(1) << 1)
#define ABI_NET 4
#define ABI_SCOPE 6

struct ruleset_attr {
	uint64_t fs, net, scoped;
};
struct path_attr {
	uint64_t allowed;
	int32_t fd;
} __attribute__((packed));
struct port_attr {
	uint64_t allowed, port;
};

/* All file rights that an ABI knows. 1: the first 13; 2: refer; 3: truncate; 5: device ioctl. */
static uint64_t
fs_rights(long abi)
{
	unsigned bits = abi >= 5 ? 16 : abi >= 3 ? 15 : abi >= 2 ? 14 : 13;

	return (UINT64_C(1) << bits) - 1;
}

/* How much of the struct an ABI knows; a larger one that is not zero is refused. */
static size_t
attr_size(long abi)
{
	if (abi >= ABI_SCOPE)
		return sizeof(struct ruleset_attr);
	return abi >= ABI_NET ? offsetof(struct ruleset_attr, scoped)
	                      : offsetof(struct ruleset_attr, net);
}

static _Noreturn void
fail(const char *what)
{
	char why[96];

	snprintf(why, sizeof(why), "%s: %s", what, strerror(errno));
	sandbox_missing("landlock", why);
}

static void
allow_dir(int ruleset, const char *dir)
{
	struct path_attr a = {.allowed = FS_READ_FILE | FS_READ_DIR};

	a.fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (a.fd == -1)
		fail(dir);
	if (syscall(SYS_landlock_add_rule, ruleset, RULE_PATH_BENEATH, &a, 0U) == -1)
		fail(dir);
	close(a.fd);
}

static void
allow_port(int ruleset, uint16_t port)
{
	struct port_attr a = {.allowed = NET_CONNECT_TCP, .port = port};

	if (syscall(SYS_landlock_add_rule, ruleset, RULE_NET_PORT, &a, 0U) == -1)
		fail("port");
}

static void
add_rules(int ruleset, long abi, const struct profile *p, const struct sandbox_args *args)
{
	size_t i;

	for (i = 0; i < 2; i++) {
		if ((p->able & ABLE_FILES) != 0 && args->dirs[i] != NULL)
			allow_dir(ruleset, args->dirs[i]);
		if ((p->able & ABLE_DIAL) != 0 && args->ports[i] != 0 && abi >= ABI_NET)
			allow_port(ruleset, args->ports[i]);
	}
}

unsigned
landlock_restrict(const struct profile *p, const struct sandbox_args *args)
{
	struct ruleset_attr attr;
	long abi, ruleset;

	abi = syscall(SYS_landlock_create_ruleset, NULL, (size_t)0, CREATE_VERSION);
	if (abi < 1)
		return 0; /* ENOSYS: not built in; EOPNOTSUPP: not among lsm= */
	attr = (struct ruleset_attr){
	    .fs = fs_rights(abi),
	    .net = NET_BIND_TCP | NET_CONNECT_TCP,
	    .scoped = SCOPE_ABSTRACT_UNIX | SCOPE_SIGNAL,
	};
	ruleset = syscall(SYS_landlock_create_ruleset, &attr, attr_size(abi), 0U);
	if (ruleset == -1)
		fail("create");
	add_rules((int)ruleset, abi, p, args);
	if (syscall(SYS_landlock_restrict_self, (int)ruleset, 0U) == -1)
		fail("restrict");
	close((int)ruleset);
	return SANDBOX_LANDLOCK_FS | (abi >= ABI_NET ? SANDBOX_LANDLOCK_NET : 0u) |
	       (abi >= ABI_SCOPE ? SANDBOX_LANDLOCK_SCOPE : 0u);
}
