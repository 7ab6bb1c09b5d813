/*
 * The worker's main: one program, three roles, told by argv[0]. One file in the image for the three
 * of them costs half the memory of three copies; what a role may do is its sandbox's and its
 * token's business, not its file's.
 */
#include "workers/workers.h"

static const struct {
	const char *name;
	int (*main)(void);
} roles[] = {
    {"broker", broker_main},
    {"watcher", watcher_main},
    {"executor", executor_main},
};

int
main(int argc, char **argv)
{
	const char *name = argc > 0 ? argv[0] : "", *slash = strrchr(name, '/');

	if (slash != NULL)
		name = slash + 1;
	for (size_t i = 0; i < sizeof(roles) / sizeof(roles[0]); i++)
		if (str_is(str_of(name), roles[i].name))
			return roles[i].main();
	log_error(
	    "config", NULL, "worker is started by the supervisor, as broker, watcher or executor");
	return EXIT_CONFIG;
}
