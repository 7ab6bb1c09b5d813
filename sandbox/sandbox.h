/*
 * sandbox: what a process may still do once it has started. One row per role in
 * sandbox/profiles.c: abilities and rlimits; sandbox/seccomp.c says which system calls an ability
 * is. Called once, after everything that needs rights was opened, by workers and the agent only:
 * all of it is inherited, so what starts other programs (supervisor, init, pgctl) never calls it.
 */
#ifndef SANDBOX_SANDBOX_H
#define SANDBOX_SANDBOX_H

#include "base/base.h"

enum sandbox_profile {
	SANDBOX_BROKER,     /* dials TCP to one port, reads one directory */
	SANDBOX_WATCHER,    /* HTTPS on sockets handed over: no socket(), no connect(), no files */
	SANDBOX_RECONCILER, /* IPC only */
	SANDBOX_EXECUTOR,   /* as WATCHER */
	SANDBOX_AGENT,      /* dials two TCP ports, reads two directories */
	SANDBOX_COUNT
};
enum sandbox_effect {
	SANDBOX_RLIMITS = 1,
	SANDBOX_DUMPABLE = 2,
	SANDBOX_NO_NEW_PRIVS = 4,
	SANDBOX_MDWE = 8,
	SANDBOX_LANDLOCK_FS = 16,
	SANDBOX_LANDLOCK_NET = 32,
	SANDBOX_LANDLOCK_SCOPE = 64,
	SANDBOX_SECCOMP = 128,
};
struct sandbox_args {
	const char *dirs[2]; /* BROKER, AGENT: may be read, with what is below; NULL = none */
	uint16_t ports[2];   /* BROKER, AGENT: TCP connect; 0 = none */
	/* false: Landlock's and MDWE's absence is tolerated and reported; rlimits, dumpable,
	 * no_new_privs and seccomp are always required. */
	bool require;
};
/*
 * Leaves with EXIT_SANDBOX and a log line that names the mechanism if one that is required is
 * missing. Returns the effect bits. From then on: a system call that the role has no use for kills
 * the process (SIGSYS); the open and stat family gives EACCES, since libraries probe.
 */
unsigned sandbox_enter(enum sandbox_profile p, const struct sandbox_args *args);
/* "rlimits dumpable ..." into out (>= 128 bytes), for log and condition. */
void sandbox_effect_text(char out[128], unsigned effect);

#endif
