/*
 * The start and the channels of agent and pgctl. init is their whole world: when it goes, they go.
 */
#include <ev.h>
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include "instance/child.h"

static const struct ipc_chan_ops edge_ops;

static struct ipc_msg
message(enum ipc_type type)
{
	return (struct ipc_msg){.type = type, .fds = {-1, -1}};
}

static bool
put(struct ipc_chan *chan, const struct ipc_msg *m)
{
	struct err e;

	if (chan == NULL)
		return false;
	if (ipc_send(chan, m, &e) == 0)
		return true;
	if (e.code == ERR_INVALID)
		die("send %s: %s", ipc_type_name(m->type), e.text);
	return false;
}

bool
child_tell(struct self *c, const struct ipc_msg *m)
{
	return put(c->control, m);
}

bool
child_send(struct self *c, const struct ipc_msg *m)
{
	return c->edge_up && put(c->edge, m);
}

void
child_worked(struct self *c)
{
	struct ipc_msg m = message(IPC_WORKED);

	if (!c->worked)
		c->worked = child_tell(c, &m);
}

void
child_breach(struct self *c, const char *text)
{
	struct ipc_msg m = message(IPC_BREACH);

	m.breach.peer = (uint8_t)c->ops->peer;
	str_copy_text(m.breach.text, sizeof(m.breach.text), str_of(text));
	ipc_chan_close(c->edge);
	c->edge = NULL;
	c->edge_up = false;
	(void)child_tell(c, &m);
}

static void
open_edge(struct self *c, int fd)
{
	struct ipc_msg m = message(IPC_EDGE_HELLO);

	ipc_chan_close(c->edge);
	c->edge_up = false;
	c->edge = ipc_chan_open(c->loop, fd, c->ops->role, c->ops->peer, &edge_ops, c);
	(void)put(c->edge, &m);
}

static void
on_edge_msg(void *arg, struct ipc_msg *m)
{
	struct self *c = arg;

	if (m->type != IPC_EDGE_HELLO) {
		c->ops->on_peer(c, m);
		return;
	}
	ipc_chan_set_state(c->edge, IPC_RUN);
	c->edge_up = true;
	c->ops->on_edge(c);
}

static void
on_edge_closed(void *arg)
{
	struct self *c = arg;

	c->edge = NULL;
	c->edge_up = false;
}

static void
on_edge_breach(void *arg, const char *text)
{
	struct self *c = arg;

	c->edge = NULL; /* closed already */
	child_breach(c, text);
}

static void
on_any_writable(void *arg)
{
	struct self *c = arg;

	c->ops->on_writable(c);
}

static const struct ipc_chan_ops edge_ops = {
    on_edge_msg, on_edge_closed, on_edge_breach, on_any_writable};

static void
on_control_msg(void *arg, struct ipc_msg *m)
{
	struct self *c = arg;
	struct ipc_msg pong = message(IPC_PONG);

	switch ((int)m->type) {
	case IPC_PING:
		pong.pong.seq = m->ping.seq;
		(void)child_tell(c, &pong);
		break;
	case IPC_NEWCHAN:
		if (m->newchan.peer != (uint8_t)c->ops->peer)
			die("a channel to role %u is not ours", m->newchan.peer);
		open_edge(c, m->fds[0]);
		m->fds[0] = -1;
		break;
	default:
		c->ops->on_init(c, m);
	}
}

static void
on_control_closed(void *arg)
{
	(void)arg;
	_exit(EXIT_ASKED);
}

static void
on_control_breach(void *arg, const char *text)
{
	(void)arg;
	die("init: %s", text);
}

/* init's exec left it open for us; what we start shall not get it. */
static void
keep_to_ourselves(int fd)
{
	(void)fcntl(fd, F_SETFD, FD_CLOEXEC);
}

void
child_start(struct self *c, const struct child_ops *ops, unsigned sandbox, void *state)
{
	static const struct ipc_chan_ops control_ops = {
	    on_control_msg, on_control_closed, on_control_breach, on_any_writable};
	struct ipc_msg hello = message(IPC_HELLO), ready = message(IPC_READY);

	c->ops = ops;
	c->state = state;
	keep_to_ourselves(IPC_FD_CONTROL);
	keep_to_ourselves(IPC_FD_EDGE + (int)ops->peer);
	keep_to_ourselves(INSTANCE_FD_LOCK);
	c->control = ipc_chan_open(c->loop, IPC_FD_CONTROL, ops->role, ROLE_INIT, &control_ops, c);
	hello.hello.table = ipc_table_hash();
	hello.hello.sandbox = sandbox;
	if (!child_tell(c, &hello) || !child_tell(c, &ready))
		die("init does not listen");
	ipc_chan_set_state(c->control, IPC_RUN);
	open_edge(c, IPC_FD_EDGE + (int)ops->peer);
}

const char *
child_env(const char *name, enum charset chars, size_t max)
{
	const char *v = getenv(name);

	if (v == NULL || v[0] == '\0' || strlen(v) > max || !charset_ok(chars, str_of(v)))
		die("environment: %s is missing or malformed", name);
	return v;
}
