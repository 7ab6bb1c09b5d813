/*
 * Inside of sandbox/ only: a role's row, and the mechanisms that sandbox_enter() turns on in order.
 */
#ifndef SANDBOX_PROFILES_H
#define SANDBOX_PROFILES_H

#include "sandbox/sandbox.h"

/* What system calls are granted by. */
enum able {
	ABLE_RUN = 1,   /* memory, clocks, the event loop, reads and writes, messages with fds */
	ABLE_HTTP = 2,  /* sockets that someone else connected */
	ABLE_DIAL = 4,  /* TCP sockets of its own */
	ABLE_FILES = 8, /* reading files, where Landlock lets it */
	ABLE_SEAL = 16, /* making sealed memfds */
};
struct profile {
	const char *name;
	unsigned able;
	uint64_t memory; /* RLIMIT_AS, bytes */
	uint64_t fds;    /* RLIMIT_NOFILE */
};
const struct profile *profile_of(enum sandbox_profile p);

/* One log line that names the mechanism, then _exit(EXIT_SANDBOX). */
_Noreturn void sandbox_missing(const char *mechanism, const char *why);
/* Returns the SANDBOX_LANDLOCK_* bits that the kernel has; leaves if a call fails that it has. */
unsigned landlock_restrict(const struct profile *p, const struct sandbox_args *args);
void seccomp_restrict(const struct profile *p);

#endif
