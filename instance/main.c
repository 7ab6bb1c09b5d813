/*
 * The program `instance`: which of its four parts runs is argv[1]. agent and pgctl are started by
 * init only.
 */
#include "instance/instance.h"

int
main(int argc, char **argv)
{
	if (argc == 3 && strcmp(argv[1], "install") == 0)
		return install_main(argv[2]);
	if (argc == 2 && strcmp(argv[1], "init") == 0)
		return init_main();
	if (argc == 2 && strcmp(argv[1], "agent") == 0)
		return agent_main();
	if (argc == 2 && strcmp(argv[1], "pgctl") == 0)
		return pgctl_main();
	fprintf(stderr, "usage: instance install DIR | init\n");
	return EXIT_CONFIG;
}
