/*
 * The broker's dialling: TCP connections to the API server, made without blocking and handed over
 * once connected, since watcher and executor may make no sockets. A peer that asked gets its socket
 * however long the server is away: we try again with a growing delay.
 */
#include "workers/broker.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ev.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#define DIALS_MAX (2 * DIALS_PER_PEER)
#define DIAL_TIMEOUT_MS 5000
#define DIAL_AGAIN_MS 50 /* doubled with each failure, up to the next */
#define DIAL_AGAIN_MAX_MS 2000
#define KEEPALIVE_IDLE_S                                                                           \
	30 /* a watch is silent for up to a minute: notice a server that vanished */
#define KEEPALIVE_EVERY_S 10
#define KEEPALIVE_PROBES 3

enum dial_state { DIAL_FREE, DIAL_CONNECTING, DIAL_RESTING, DIAL_CONNECTED };
struct dial {
	enum dial_state state;
	enum ipc_role peer;
	int fd;
	unsigned failures;
	ev_io io;
	ev_timer timer; /* CONNECTING: too late; RESTING: again */
	struct worker *w;
};

static struct dial dials[DIALS_MAX];
static union {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
} server;
static socklen_t server_len;

void
broker_dial_init(struct worker *w)
{
	const struct msg_config *c = &w->config;

	if (inet_pton(AF_INET, c->api_host, &server.v4.sin_addr) == 1) {
		server.v4.sin_family = AF_INET;
		server.v4.sin_port = htons(c->api_port);
		server_len = sizeof(server.v4);
		return;
	}
	if (inet_pton(AF_INET6, c->api_host, &server.v6.sin6_addr) != 1)
		die("api_host is no IP address");
	server.v6.sin6_family = AF_INET6;
	server.v6.sin6_port = htons(c->api_port);
	server_len = sizeof(server.v6);
}

static void
halt(struct dial *d)
{
	ev_io_stop(d->w->loop, &d->io);
	ev_timer_stop(d->w->loop, &d->timer);
}

static void
release(struct dial *d)
{
	halt(d);
	fd_close(&d->fd);
	d->state = DIAL_FREE;
}

static void
start_timer(struct dial *d, int ms)
{
	ev_timer_stop(d->w->loop, &d->timer);
	ev_timer_set(&d->timer, ms / 1000., 0.);
	ev_timer_start(d->w->loop, &d->timer);
}

static void
fail(struct dial *d, int error)
{
	unsigned shift = d->failures < 6 ? d->failures : 6;
	int ms = DIAL_AGAIN_MS << shift;

	halt(d);
	fd_close(&d->fd);
	d->failures++;
	if ((d->failures & (d->failures - 1)) == 0) /* the 1st, 2nd, 4th, 8th ... */
		log_warn("dial_failed", NULL,
		    "no connection to the API server %s port %u (attempt %u): %s",
		    d->w->config.api_host, d->w->config.api_port, d->failures, strerror(error));
	d->state = DIAL_RESTING;
	start_timer(d, ms < DIAL_AGAIN_MAX_MS ? ms : DIAL_AGAIN_MAX_MS);
}

static int
set_option(int fd, int level, int name, int value)
{
	return setsockopt(fd, level, name, &value, sizeof(value));
}

static int
make_socket(void)
{
	int fd =
	    socket(server.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP);

	if (fd == -1)
		return -1;
	if (set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1) == -1 ||
	    set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1) == -1 ||
	    set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_IDLE_S) == -1 ||
	    set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE_EVERY_S) == -1 ||
	    set_option(fd, IPPROTO_TCP, TCP_KEEPCNT, KEEPALIVE_PROBES) == -1)
		fd_close(&fd);
	return fd;
}

static void
send_dial(struct dial *d)
{
	static struct ipc_msg m; /* 60 KB: not on the stack */

	m.type = IPC_SOCKET;
	m.fds[0] = d->fd;
	if (worker_send(d->w, d->peer, &m))
		release(d);
}

static void
connected(struct dial *d)
{
	halt(d);
	d->state = DIAL_CONNECTED;
	d->failures = 0;
	send_dial(d);
}

static void
dial(struct dial *d)
{
	d->fd = make_socket();
	if (d->fd == -1) {
		fail(d, errno);
		return;
	}
	if (connect(d->fd, &server.any, server_len) == 0) {
		connected(d);
		return;
	}
	if (errno != EINPROGRESS) {
		fail(d, errno);
		return;
	}
	d->state = DIAL_CONNECTING;
	ev_io_set(&d->io, d->fd, EV_WRITE);
	ev_io_start(d->w->loop, &d->io);
	start_timer(d, DIAL_TIMEOUT_MS);
}

static void
on_writable(struct ev_loop *loop, ev_io *io, int revents)
{
	struct dial *d = io->data;
	int error = 0;
	socklen_t len = sizeof(error);

	(void)loop;
	(void)revents;
	if (getsockopt(d->fd, SOL_SOCKET, SO_ERROR, &error, &len) == -1)
		error = errno;
	if (error != 0)
		fail(d, error);
	else
		connected(d);
}

static void
on_timer(struct ev_loop *loop, ev_timer *timer, int revents)
{
	struct dial *d = timer->data;

	(void)loop;
	(void)revents;
	if (d->state == DIAL_CONNECTING)
		fail(d, ETIMEDOUT);
	else
		dial(d);
}

void
broker_dial_want(struct worker *w, enum ipc_role peer)
{
	struct dial *slot = NULL;
	unsigned n = 0;

	for (unsigned i = 0; i < DIALS_MAX; i++) {
		if (dials[i].state == DIAL_FREE)
			slot = &dials[i];
		else if (dials[i].peer == peer)
			n++;
	}
	if (n >= DIALS_PER_PEER) {
		worker_breach(w, peer, "WANT_SOCKET past its credit");
		return;
	}
	if (slot == NULL)
		die("more peers than dials");
	*slot = (struct dial){.peer = peer, .fd = -1, .w = w};
	ev_init(&slot->io, on_writable);
	ev_init(&slot->timer, on_timer);
	slot->io.data = slot->timer.data = slot;
	dial(slot);
}

void
broker_dial_send(struct worker *w, enum ipc_role peer)
{
	(void)w;
	for (unsigned i = 0; i < DIALS_MAX; i++)
		if (dials[i].state == DIAL_CONNECTED && dials[i].peer == peer)
			send_dial(&dials[i]);
}

void
broker_dial_forget(struct worker *w, enum ipc_role peer)
{
	(void)w;
	for (unsigned i = 0; i < DIALS_MAX; i++)
		if (dials[i].state != DIAL_FREE && dials[i].peer == peer)
			release(&dials[i]);
}
