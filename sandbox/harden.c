/*
 * sandbox_enter(): the order of all mechanisms, and the simple ones: rlimits, dumpable,
 * no_new_privs, MDWE. The order matters: Landlock and seccomp need no_new_privs, and seccomp comes
 * last because it forbids what the others are made of.
 */
#include <errno.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "sandbox/profiles.h"

/* By number: Debian 12's headers are older (Linux 6.3). */
#define SET_MDWE 65
#define MDWE_REFUSE_EXEC_GAIN 1UL
#define FILE_SIZE_MAX (4u << 20) /* not 0: writes to a memfd count */

_Noreturn void
sandbox_missing(const char *mechanism, const char *why)
{
	log_error(
	    "sandbox", NULL, "%s is missing on this machine and required: %s", mechanism, why);
	_exit(EXIT_SANDBOX);
}

static void
limit(int what, const char *name, uint64_t max)
{
	struct rlimit r;

	if (getrlimit(what, &r) == -1)
		sandbox_missing(name, strerror(errno));
	if (r.rlim_max > max)
		r.rlim_max = max;
	r.rlim_cur = r.rlim_max;
	if (setrlimit(what, &r) == -1)
		sandbox_missing(name, strerror(errno));
}

static void
limit_all(const struct profile *p)
{
	limit(RLIMIT_CORE, "RLIMIT_CORE", 0);
	limit(RLIMIT_NPROC, "RLIMIT_NPROC", 0);
	limit(RLIMIT_FSIZE, "RLIMIT_FSIZE", FILE_SIZE_MAX);
	limit(RLIMIT_NOFILE, "RLIMIT_NOFILE", p->fds);
	limit(RLIMIT_AS, "RLIMIT_AS", p->memory);
}

static void
must_prctl(int what, unsigned long value, const char *name)
{
	if (prctl(what, value, 0UL, 0UL, 0UL) == -1)
		sandbox_missing(name, strerror(errno));
}

unsigned
sandbox_enter(enum sandbox_profile profile, const struct sandbox_args *args)
{
	const unsigned landlock =
	    SANDBOX_LANDLOCK_FS | SANDBOX_LANDLOCK_NET | SANDBOX_LANDLOCK_SCOPE;
	const struct profile *p = profile_of(profile);
	unsigned effect = 0;
	char text[128];

	limit_all(p);
	must_prctl(PR_SET_DUMPABLE, 0, "dumpable");
	must_prctl(PR_SET_NO_NEW_PRIVS, 1, "no_new_privs");
	effect |= SANDBOX_RLIMITS | SANDBOX_DUMPABLE | SANDBOX_NO_NEW_PRIVS;
	if (prctl(SET_MDWE, MDWE_REFUSE_EXEC_GAIN, 0UL, 0UL, 0UL) == 0)
		effect |= SANDBOX_MDWE;
	else if (args->require)
		sandbox_missing("mdwe", strerror(errno));
	effect |= landlock_restrict(p, args);
	if (args->require && (effect & landlock) != landlock) {
		sandbox_effect_text(text, landlock & ~effect);
		sandbox_missing(
		    text, "the kernel has no Landlock or an older one (6.12 has all of it)");
	}
	seccomp_restrict(p);
	return effect | SANDBOX_SECCOMP;
}

void
sandbox_effect_text(char out[128], unsigned effect)
{
	static const struct {
		unsigned bit;
		const char *name;
	} names[] = {
	    {SANDBOX_RLIMITS, "rlimits"},
	    {SANDBOX_DUMPABLE, "dumpable"},
	    {SANDBOX_NO_NEW_PRIVS, "no_new_privs"},
	    {SANDBOX_MDWE, "mdwe"},
	    {SANDBOX_LANDLOCK_FS, "landlock-fs"},
	    {SANDBOX_LANDLOCK_NET, "landlock-net"},
	    {SANDBOX_LANDLOCK_SCOPE, "landlock-scope"},
	    {SANDBOX_SECCOMP, "seccomp"},
	};
	size_t i, len = 0;

	out[0] = '\0';
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if ((effect & names[i].bit) == 0)
			continue;
		len += (size_t)snprintf(
		    out + len, 128 - len, "%s%s", len == 0 ? "" : " ", names[i].name);
	}
}
