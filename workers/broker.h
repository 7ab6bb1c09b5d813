/*
 * Inside the broker: broker.c mints tokens, broker_dial.c connects sockets. Nobody else includes
 * this.
 */
#ifndef WORKERS_BROKER_H
#define WORKERS_BROKER_H

#include "workers/workers.h"

/*
 * Each peer keeps one spare and asks for the next when it is used; a few more may be under way
 * while it sees that one died.
 */
#define DIALS_PER_PEER 4

void broker_dial_init(struct worker *w);
/* peer wants one more connected socket; past DIALS_PER_PEER at a time it is a breach. */
void broker_dial_want(struct worker *w, enum ipc_role peer);
void broker_dial_send(struct worker *w, enum ipc_role peer); /* hands over what is connected */
/* Its edge is lost, and with it what it wanted. */
void broker_dial_forget(struct worker *w, enum ipc_role peer);

#endif
