/* The pause container of the test cluster: holds a pod's namespaces and reaps. */
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static void
quit(int sig)
{
	(void)sig;
	_exit(0);
}

static void
reap(int sig)
{
	(void)sig;
	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
}

int
main(void)
{
	signal(SIGINT, quit);
	signal(SIGTERM, quit);
	signal(SIGCHLD, reap);
	for (;;)
		pause();
}
