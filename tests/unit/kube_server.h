/*
 * A plain-HTTP server for the tests of kube's I/O half: it lives on the same loop, gets its
 * connections as socketpairs from take_socket, and leaves every byte of every reply to the test's
 * handler.
 */
#ifndef TESTS_UNIT_KUBE_SERVER_H
#define TESTS_UNIT_KUBE_SERVER_H

#include <errno.h>
#include <ev.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <sys/socket.h>
#include <unistd.h>

#include "kube/kube.h"

#define CONNS_MAX 4096
struct conn {
	ev_io io;
	ev_timer later;
	int fd;
	struct buf in;
	char *rest; /* what `later` sends */
	size_t rest_len;
	unsigned requests;
};
static struct {
	struct ev_loop *loop;
	struct conn *at[CONNS_MAX];
	unsigned asked;                                      /* calls of take_socket */
	unsigned sockets;                                    /* handed out */
	unsigned requests;                                   /* that came whole */
	bool none;                                           /* take_socket says -1 */
	bool last_one;                                       /* ... after the next */
	void (*handle)(struct conn *c, const char *request); /* head and body, NUL-terminated */
	char last[16384];                                    /* the last request */
} server;

/*
 * libcurl 7.88 (Debian 12) connects a socket although it was told that it is connected, and does
 * not reuse one whose peer has no IP address: a socketpair must look like TCP to it. libcurl 8
 * asks for neither.
 */
int
connect(int fd, const struct sockaddr *a, socklen_t n)
{
	(void)fd, (void)a, (void)n;
	return 0;
}

int
getpeername(int fd, struct sockaddr *restrict a, socklen_t *restrict n)
{
	struct sockaddr_in in = {
	    .sin_family = AF_INET, .sin_port = htons(1), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	(void)fd;
	memcpy(a, &in, *n < sizeof(in) ? *n : sizeof(in));
	*n = sizeof(in);
	return 0;
}

static void
conn_close(struct conn *c)
{
	if (c->fd == -1)
		return;
	ev_io_stop(server.loop, &c->io);
	ev_timer_stop(server.loop, &c->later);
	close(c->fd);
	c->fd = -1;
	buf_free(&c->in);
	free(c->rest);
	c->rest = NULL;
}

static void
conn_send(struct conn *c, const char *p, size_t n)
{
	while (n > 0 && c->fd != -1) {
		ssize_t w = send(c->fd, p, n, MSG_NOSIGNAL);
		if (w <= 0) {
			fprintf(stderr, "test server: a reply larger than the socket's buffer\n");
			abort();
		}
		p += w;
		n -= (size_t)w;
	}
}

static inline __attribute__((format(printf, 2, 3))) void
conn_printf(struct conn *c, const char *fmt, ...)
{
	char text[65536];
	va_list ap;
	va_start(ap, fmt);
	int n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	conn_send(c, text, (size_t)n);
}

static inline void
conn_reply(struct conn *c, int status, const char *body)
{
	conn_printf(c,
	    "HTTP/1.1 %d Any\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
	    status, strlen(body), body);
}

/* The head of a chunked 200, and one chunk: what a watch is made of. */
static inline void
conn_stream(struct conn *c)
{
	conn_printf(c, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: "
		       "chunked\r\n\r\n");
}

static inline void
conn_chunk(struct conn *c, const char *text)
{
	conn_printf(c, "%zx\r\n%s\r\n", strlen(text), text);
}

static void
on_later(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct conn *c = w->data;
	(void)loop, (void)revents;
	conn_send(c, c->rest, c->rest_len);
	free(c->rest);
	c->rest = NULL;
}

/* Sends the first n bytes now and the others a moment later. */
static inline void
conn_split(struct conn *c, const char *text, size_t n)
{
	conn_send(c, text, n);
	c->rest = strdup(text + n);
	c->rest_len = strlen(text + n);
	ev_timer_set(&c->later, 0.0005, 0.);
	ev_timer_start(server.loop, &c->later);
}

static bool
request_complete(const struct conn *c)
{
	const char *end = c->in.p != NULL ? strstr(c->in.p, "\r\n\r\n") : NULL;
	const char *length = c->in.p != NULL ? strcasestr(c->in.p, "\r\nContent-Length: ") : NULL;
	if (end == NULL)
		return false;
	size_t body = length != NULL && length < end ? (size_t)atoi(length + 18) : 0;
	return c->in.len >= (size_t)(end + 4 - c->in.p) + body;
}

static void
on_conn(struct ev_loop *loop, ev_io *w, int revents)
{
	struct conn *c = w->data;
	char text[16384];
	(void)loop, (void)revents;
	ssize_t n = read(c->fd, text, sizeof(text));
	if (n <= 0) {
		conn_close(c);
		return;
	}
	buf_put(&c->in, text, (size_t)n);
	if (!request_complete(c))
		return;
	snprintf(server.last, sizeof(server.last), "%s", c->in.p);
	buf_reset(&c->in);
	server.requests++;
	c->requests++;
	server.handle(c, server.last);
}

static int
server_take_socket(void *arg)
{
	int fds[2];
	(void)arg;
	server.asked++;
	if (server.none || server.sockets == CONNS_MAX ||
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) != 0)
		return -1;
	server.none = server.last_one;
	struct conn *c = calloc(1, sizeof(*c));
	server.at[server.sockets++] = c;
	c->fd = fds[0];
	buf_init(&c->in, 4u << 20);
	c->in.wipe = true; /* so that what is found in freed memory is kube's */
	ev_io_init(&c->io, on_conn, c->fd, EV_READ);
	ev_init(&c->later, on_later);
	c->io.data = c->later.data = c;
	ev_io_start(server.loop, &c->io);
	return fds[1];
}

/* Connections that kube still holds open at this end. */
static inline unsigned
server_open(void)
{
	unsigned n = 0;
	for (unsigned i = 0; i < server.sockets; i++)
		n += server.at[i]->fd != -1;
	return n;
}

static inline void
server_reset(void (*handle)(struct conn *, const char *))
{
	for (unsigned i = 0; i < server.sockets; i++) {
		conn_close(server.at[i]);
		free(server.at[i]);
	}
	server.sockets = server.requests = 0;
	server.none = server.last_one = false;
	server.asked = 0;
	server.handle = handle;
	server.last[0] = '\0';
}

static void
on_deadline(struct ev_loop *loop, ev_timer *w, int revents)
{
	(void)loop, (void)revents;
	*(bool *)w->data = true;
}

/* Runs the loop until *n reaches `want` or the time is over. */
static inline bool
run_until(const unsigned *n, unsigned want, double seconds)
{
	bool late = false;
	ev_timer t;
	ev_now_update(server.loop);
	ev_timer_init(&t, on_deadline, seconds, 0.);
	t.data = &late;
	ev_timer_start(server.loop, &t);
	while (*n < want && !late)
		ev_run(server.loop, EVRUN_ONCE);
	ev_timer_stop(server.loop, &t);
	return *n >= want;
}

static inline void
run_for(double seconds)
{
	unsigned never = 0;
	run_until(&never, 1, seconds);
}

static inline struct kube *
server_kube(unsigned connections, void (*on_unauthorized)(void *))
{
	struct kube_config c = {.loop = server.loop,
	    .host = "127.0.0.1",
	    .port = 1,
	    .take_socket = server_take_socket,
	    .on_unauthorized = on_unauthorized,
	    .user_agent = "bestgres-test",
	    .connections = connections};
	struct kube *k = kube_new(&c);
	kube_set_token(k, STR("token-1"), NULL);
	return k;
}

#endif
