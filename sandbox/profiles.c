/*
 * One row per role. Memory limits are address space: about twice what the bounds of base/bounds.h
 * let a role use (watcher: 9 TLS streams for each of NAMESPACES_MAX; reconciler: CLUSTERS_MAX
 * rows; executor: STEPS_IN_FLIGHT arenas and replies; agent: its decoded specs). The sum of the
 * operator's four, 384 MiB, must stay below its container's limit: one runaway must not take all
 * five with it. Descriptors: whoever passes some needs room for those in flight too, which the
 * kernel counts for all processes of a uid together.
 */
#include "sandbox/profiles.h"

#define MIB (UINT64_C(1) << 20)
#define HANDED (ABLE_RUN | ABLE_HTTP)
#define DIALS (ABLE_RUN | ABLE_HTTP | ABLE_DIAL | ABLE_FILES)

static const struct profile profiles[SANDBOX_COUNT] = {
    [SANDBOX_BROKER] = {"broker", DIALS | ABLE_SEAL, 32 * MIB, 1024},
    [SANDBOX_WATCHER] = {"watcher", HANDED, 128 * MIB, 2048},
    [SANDBOX_RECONCILER] = {"reconciler", ABLE_RUN, 96 * MIB, 256},
    [SANDBOX_EXECUTOR] = {"executor", HANDED, 128 * MIB, 256},
    [SANDBOX_AGENT] = {"agent", DIALS | ABLE_SEAL, 96 * MIB, 256},
};

const struct profile *
profile_of(enum sandbox_profile p)
{
	if ((unsigned)p >= SANDBOX_COUNT)
		die("sandbox profile %d", (int)p);
	return &profiles[p];
}
