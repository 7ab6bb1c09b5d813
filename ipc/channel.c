/*
 * One end of a SOCK_SEQPACKET socketpair on an ev_loop. The kernel keeps the boundaries, so there
 * is no stream to put together and no queue of ours: what the socket does not take is the caller's
 * to send again (ERR_RETRY, then on_writable). Whatever the codec refuses is a breach, and its
 * descriptors are closed. Callers: supervisor, workers, instance.
 */
#include "ipc/ipc.h"

#include <errno.h>
#include <ev.h>
#include <sys/socket.h>
#include <unistd.h>

#define CHANS_MAX 16 /* a process has at most 8, and an old one may wait for its callback's end */
#define PACKETS_PER_WAKEUP 16 /* so that one talkative peer can not starve the others */
#define AGAIN_S 0.01          /* ETOOMANYREFS and ENOBUFS pass without any event on our socket */

struct ipc_chan {
	bool used, busy; /* busy: inside its own callback, freed after it */
	bool paused;
	int fd;
	enum ipc_role self, peer;
	enum ipc_state state;
	const struct ipc_chan_ops *ops;
	void *arg;
	struct ev_loop *loop;
	ev_io reader, writer;
	ev_timer again;
};

static struct ipc_chan pool[CHANS_MAX];
static struct ipc_msg incoming;
static uint8_t inbox[IPC_MSG_MAX], outbox[IPC_MSG_MAX];

static void
shut(struct ipc_chan *c)
{
	ev_io_stop(c->loop, &c->reader);
	ev_io_stop(c->loop, &c->writer);
	ev_timer_stop(c->loop, &c->again);
	fd_close(&c->fd);
}

static void
enter(struct ipc_chan *c)
{
	c->busy = true;
}

static void
leave(struct ipc_chan *c)
{
	c->busy = false;
	if (c->fd == -1)
		c->used = false;
}

static void
say_closed(struct ipc_chan *c)
{
	shut(c);
	c->ops->on_closed(c->arg);
}

static void
say_breach(struct ipc_chan *c, const char *text)
{
	shut(c);
	c->ops->on_breach(c->arg, text);
}

/* --- Receiving. */

union control {
	char bytes[CMSG_SPACE(sizeof(int) * IPC_FDS_MAX)];
	struct cmsghdr align;
};

/*
 * Moves the descriptors of a packet into fds and says how many came; those beyond IPC_FDS_MAX
 * (padding may let some through) are closed and counted. The kernel sends one header for all
 * descriptors, and the buffer has no room for another; a header of another type, which we asked
 * nobody for, counts as one descriptor too many.
 */
static unsigned
collect_fds(struct msghdr *mh, int fds[IPC_FDS_MAX])
{
	struct cmsghdr *h = CMSG_FIRSTHDR(mh);
	unsigned n = 0;
	size_t count;
	int fd;

	if (h == NULL)
		return 0;
	if (h->cmsg_level != SOL_SOCKET || h->cmsg_type != SCM_RIGHTS)
		return IPC_FDS_MAX + 1;
	count = (h->cmsg_len - CMSG_LEN(0)) / sizeof(int);
	for (size_t i = 0; i < count; i++, n++) {
		memcpy(&fd, CMSG_DATA(h) + i * sizeof(int), sizeof(int));
		if (n < IPC_FDS_MAX)
			fds[n] = fd;
		else
			close(fd);
	}
	return n;
}

static void
close_fds(struct ipc_msg *m)
{
	for (unsigned i = 0; i < IPC_FDS_MAX; i++)
		fd_close(&m->fds[i]);
}

static void
deliver(struct ipc_chan *c, size_t len, unsigned nfds, int flags)
{
	struct err e;

	if ((flags & MSG_TRUNC) != 0)
		say_breach(c, "a packet over the limit");
	else if ((flags & MSG_CTRUNC) != 0)
		say_breach(c, "more descriptors than any message has");
	else if (ipc_decode(inbox, len, nfds, c->peer, c->self, c->state, &incoming, &e) == -1)
		say_breach(c, e.text);
	else
		c->ops->on_msg(c->arg, &incoming);
}

/* Takes one packet; false when there is no more to take now. */
static bool
receive(struct ipc_chan *c)
{
	struct iovec iov = {inbox, sizeof(inbox)};
	union control control;
	struct msghdr mh = {.msg_iov = &iov,
	    .msg_iovlen = 1,
	    .msg_control = control.bytes,
	    .msg_controllen = sizeof(control.bytes)};
	ssize_t n = recvmsg(c->fd, &mh, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

	if (n == -1 && (errno == EAGAIN || errno == EWOULDBLOCK))
		return false;
	/* A peer that died with packets of ours unread: the error comes once, before the packets it
	 * still sent. */
	if (n == -1 && (errno == EINTR || errno == ECONNRESET))
		return true;
	for (unsigned i = 0; i < IPC_FDS_MAX; i++)
		incoming.fds[i] = -1;
	if (n == -1) {
		say_closed(c);
		return false;
	}
	unsigned nfds = collect_fds(&mh, incoming.fds);
	if (n == 0)
		say_closed(c);
	else
		deliver(c, (size_t)n, nfds, mh.msg_flags);
	close_fds(&incoming);
	return true;
}

static void
on_readable(struct ev_loop *loop, ev_io *io, int revents)
{
	struct ipc_chan *c = io->data;

	(void)loop;
	(void)revents;
	enter(c);
	for (int i = 0; i < PACKETS_PER_WAKEUP && c->fd != -1 && !c->paused; i++)
		if (!receive(c))
			break;
	leave(c);
}

/* --- Sending. */

static void
try_again(struct ipc_chan *c)
{
	ev_io_stop(c->loop, &c->writer);
	ev_timer_stop(c->loop, &c->again);
	enter(c);
	c->ops->on_writable(c->arg);
	leave(c);
}

static void
on_room(struct ev_loop *loop, ev_io *io, int revents)
{
	(void)loop;
	(void)revents;
	try_again(io->data);
}

static void
on_again(struct ev_loop *loop, ev_timer *timer, int revents)
{
	(void)loop;
	(void)revents;
	try_again(timer->data);
}

static int
send_failed(struct ipc_chan *c, int error, struct err *e)
{
	switch (error) {
	case EAGAIN:
	case EINTR:
		if (c->ops->on_writable != NULL)
			ev_io_start(c->loop, &c->writer);
		return err_set(e, ERR_RETRY, "%s does not read", ipc_role_name(c->peer));
	case ETOOMANYREFS:
	case ENOBUFS:
	case ENOMEM:
		if (c->ops->on_writable != NULL && !ev_is_active(&c->again)) {
			ev_timer_set(&c->again, AGAIN_S, 0.);
			ev_timer_start(c->loop, &c->again);
		}
		return err_set(e, ERR_RETRY, "no room for a message to %s", ipc_role_name(c->peer));
	case EPIPE:
	case ECONNRESET:
	case ENOTCONN:
	case ECONNREFUSED:
		return err_set(e, ERR_GONE, "%s is gone", ipc_role_name(c->peer));
	default:
		die("sendmsg to %s: errno %d", ipc_role_name(c->peer), error);
	}
}

int
ipc_send(struct ipc_chan *c, const struct ipc_msg *msg, struct err *e)
{
	struct iovec iov = {outbox, 0};
	union control control = {.bytes = {0}};
	struct msghdr mh = {.msg_iov = &iov, .msg_iovlen = 1};
	unsigned nfds = ipc_type_fds(msg->type);
	ssize_t len;

	if (c->fd == -1)
		return err_set(e, ERR_GONE, "%s is gone", ipc_role_name(c->peer));
	len = ipc_encode(msg, c->self, c->peer, outbox, e);
	if (len == -1)
		return -1;
	iov.iov_len = (size_t)len;
	if (nfds > 0) {
		mh.msg_control = control.bytes;
		mh.msg_controllen = (socklen_t)CMSG_SPACE(sizeof(int) * nfds);
		struct cmsghdr *h = CMSG_FIRSTHDR(&mh);
		h->cmsg_level = SOL_SOCKET;
		h->cmsg_type = SCM_RIGHTS;
		h->cmsg_len = (socklen_t)CMSG_LEN(sizeof(int) * nfds);
		memcpy(CMSG_DATA(h), msg->fds, sizeof(int) * nfds);
	}
	if (sendmsg(c->fd, &mh, MSG_DONTWAIT | MSG_NOSIGNAL) == -1)
		return send_failed(c, errno, e);
	return 0;
}

/* --- Life. */

struct ipc_chan *
ipc_chan_open(struct ev_loop *loop, int fd, enum ipc_role self, enum ipc_role peer,
    const struct ipc_chan_ops *ops, void *arg)
{
	struct ipc_chan *c = pool;

	while (c < pool + CHANS_MAX && c->used)
		c++;
	if (c == pool + CHANS_MAX || fd < 0)
		die("no channel to be had for %s", ipc_role_name(peer));
	*c = (struct ipc_chan){.used = true,
	    .fd = fd,
	    .self = self,
	    .peer = peer,
	    .state = IPC_START,
	    .ops = ops,
	    .arg = arg,
	    .loop = loop};
	ev_io_init(&c->reader, on_readable, fd, EV_READ);
	ev_io_init(&c->writer, on_room, fd, EV_WRITE);
	ev_timer_init(&c->again, on_again, AGAIN_S, 0.);
	c->reader.data = c->writer.data = c->again.data = c;
	ev_io_start(loop, &c->reader);
	return c;
}

void
ipc_chan_close(struct ipc_chan *c)
{
	if (c == NULL)
		return;
	shut(c);
	if (!c->busy)
		c->used = false;
}

void
ipc_chan_set_state(struct ipc_chan *c, enum ipc_state s)
{
	c->state = s;
}

void
ipc_chan_pause(struct ipc_chan *c, bool pause)
{
	if (c->paused == pause || c->fd == -1)
		return;
	c->paused = pause;
	if (pause)
		ev_io_stop(c->loop, &c->reader);
	else
		ev_io_start(c->loop, &c->reader);
}

int
ipc_pair(int fds[2])
{
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) == 0)
		return 0;
	if (errno == EMFILE || errno == ENFILE)
		return -1;
	die("socketpair: errno %d", errno);
}
