/*
 * workers: broker, watcher, reconciler, executor. worker.c is what they share: the control
 * channel's handshake, PING, NEWCHAN, SIGTERM, and edges that are replaced when a peer dies. Each
 * worker's own file holds its handlers only.
 */
#ifndef WORKERS_WORKERS_H
#define WORKERS_WORKERS_H

#include "ipc/ipc.h"
#include "sandbox/sandbox.h"

struct ev_loop;
struct worker;
struct worker_ops {
	enum ipc_role role;
	unsigned peers; /* R(...) mask of the edges it has */
	/* Configured, not sandboxed yet: open what must be opened, fill args. May be NULL. */
	void (*prepare)(struct worker *w, struct sandbox_args *args);
	/* Sandboxed and READY. */
	void (*start)(struct worker *w);
	/* Both sides said EDGE_HELLO on a (new) edge: what was pending on the old one is void. */
	void (*on_edge)(struct worker *w, enum ipc_role peer);
	/* An edge that was up is closed; a new one comes. May be NULL. */
	void (*on_edge_lost)(struct worker *w, enum ipc_role peer);
	/* From an edge; direction and state are checked. */
	void (*on_msg)(struct worker *w, enum ipc_role peer, struct ipc_msg *msg);
	/* QUARANTINE, DEGRADED: only after start, those known before right after it; may be NULL */
	void (*on_control)(struct worker *w, struct ipc_msg *msg);
	void (*on_writable)(struct worker *w, enum ipc_role peer); /* may be NULL */
	/*
	 * SIGTERM: start nothing new; call worker_exit when requests in flight have ended (or
	 * STOP_MS passed: done for you). NULL = exit at once.
	 */
	void (*stop)(struct worker *w);
};
struct worker {
	struct ev_loop *loop;
	const struct worker_ops *ops;
	struct msg_config config;
	char namespaces[NAMESPACES_MAX][64];
	unsigned namespaces_n;
	struct ipc_chan *control, *edge[IPC_ROLE_COUNT];
	bool edge_up[IPC_ROLE_COUNT];
	bool stopping, worked;
	enum sandbox_profile profile;
	void *state; /* the worker's own */
};
/* Runs until told to end; the exit code. Links no TLS, curl or socket code by itself. */
int worker_run(const struct worker_ops *ops, enum sandbox_profile profile, void *state);
/*
 * Sends to an edge: false = could not now (peer away or full), on_edge or on_writable will come.
 * Dies on ERR_INVALID of what only we can cause.
 */
bool worker_send(struct worker *w, enum ipc_role peer, const struct ipc_msg *msg);
/*
 * The peer's content is impossible although its shape was right: tell the supervisor, who kills it.
 * The edge is closed at once, with on_edge_lost.
 */
void worker_breach(struct worker *w, enum ipc_role peer, const char *text);
void worker_worked(struct worker *w); /* a unit of work is done: WORKED, once */
_Noreturn void worker_exit(struct worker *w, int code);

/* watcher and executor: sockets and tokens from the broker (broker_client.c). */
struct kube;
struct broker_client {
	struct worker *w;
	struct kube *kube;
	int spare; /* a connected socket, or -1: so it must be from the start */
	bool asked, have_token;
};
/* For kube_config; arg: struct broker_client *. */
int broker_client_take_socket(void *arg);
void broker_client_unauthorized(void *arg);
/* Handles SOCKET, TOKEN, NO_TOKEN; true if it was one of them. */
bool broker_client_msg(struct broker_client *b, struct ipc_msg *msg);
void broker_client_edge(struct broker_client *b); /* call from on_edge(ROLE_BROKER) */

int broker_main(void);
int watcher_main(void);
int reconciler_main(void);
int executor_main(void);

#endif
