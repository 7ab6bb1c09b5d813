/*
 * The supervisor's main: PID 1 of the operator's container. Reads the environment, finds its
 * siblings' directory and supervises. An exit code that is not 0 is for the kubelet: EXIT_CONFIG
 * and EXIT_SANDBOX say that a restart alone will not help, and the last log line why.
 */
#include "supervisor/supervisor.h"

#include <errno.h>
#include <sys/prctl.h>
#include <unistd.h>

static const char *
get(const char *name)
{
	return getenv(name);
}

/* /proc/self/exe without its last part: the workers lie beside us, wherever the image puts us. */
static int
find_dir(char *out, size_t size)
{
	ssize_t n = readlink("/proc/self/exe", out, size - 1);
	char *slash;

	if (n == -1)
		return -1;
	out[n] = '\0';
	slash = strrchr(out, '/');
	if (slash == NULL)
		return -1;
	*slash = '\0';
	return 0;
}

int
main(void)
{
	static struct supervisor_config config;
	static char dir[4096];
	struct err e;

	if (supervisor_config_read(&config, get, &e) == -1) {
		log_error("config", NULL, "%s", e.text);
		return EXIT_CONFIG;
	}
	if (find_dir(dir, sizeof(dir)) == -1) {
		log_error("config", NULL,
		    "/proc/self/exe can not be read (%s): /proc must be mounted", strerror(errno));
		return EXIT_CONFIG;
	}
	/* Workers share our uid: none may look into us, and nobody below gains a right by exec. */
	if (prctl(PR_SET_DUMPABLE, 0) == -1 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == -1)
		die("prctl: %s", strerror(errno));
	return supervisor_run(&config, dir);
}
