/* What agent and pgctl share: their start, the channel to init and the edge between them. */
#ifndef INSTANCE_CHILD_H
#define INSTANCE_CHILD_H

#include "instance/instance.h"

struct ev_loop;
struct self;
struct child_ops {
	enum ipc_role role, peer;
	/* From PID 1, from the peer: direction and state are checked. */
	void (*on_init)(struct self *c, struct ipc_msg *m);
	void (*on_peer)(struct self *c, struct ipc_msg *m);
	void (*on_edge)(struct self *c); /* a (new) peer is there: it knows nothing yet */
	/* After child_tell or child_send said false for want of room. */
	void (*on_writable)(struct self *c);
};
struct self {
	struct ev_loop *loop;
	const struct child_ops *ops;
	struct ipc_chan *control, *edge;
	bool edge_up, worked;
	void *state;
};
/*
 * Says HELLO (with what of the sandbox took effect) and READY. The loop is the default one. Dies on
 * failure.
 */
void child_start(struct self *c, const struct child_ops *ops, unsigned sandbox, void *state);
/* To init, to the peer; false = not now. Die on ERR_INVALID. */
bool child_tell(struct self *c, const struct ipc_msg *m);
bool child_send(struct self *c, const struct ipc_msg *m);
void child_worked(struct self *c); /* a unit of work is done: after a death it restarts at once */
/* The peer's content is impossible although its shape was right. */
void child_breach(struct self *c, const char *text);

/* From the environment that init passed on; dies when it is missing or not of that shape. */
const char *child_env(const char *name, enum charset chars, size_t max);

#endif
