/* The reconciler's main. A program of its own: it links no TLS, no curl and no code that makes a
 * socket. */
#include "workers/workers.h"

int
main(void)
{
	return reconciler_main();
}
