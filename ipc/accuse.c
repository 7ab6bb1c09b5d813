/*
 * How often one life of a process may accuse its peers (BREACH). Pure; for those who act on it: the
 * supervisor and, in a database pod, init.
 */
#include "ipc/ipc.h"

bool
ipc_accuses_too_often(struct ipc_accuser *a, struct msec now)
{
	struct msec *slot = &a->at[a->n % ACCUSATIONS_MAX];
	bool often = a->n >= ACCUSATIONS_MAX && now.v - slot->v <= ACCUSATIONS_WINDOW_MS;

	*slot = now;
	a->n++;
	return often;
}
