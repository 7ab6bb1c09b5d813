/*
 * The broker as watcher and executor see it: one spare connected socket, since curl asks for
 * sockets synchronously, and the token and CA, which come as memfds and are read with pread (passed
 * descriptors share an offset). Linked into the worker; no state of its own.
 */
#include "workers/workers.h"

#include <errno.h>
#include <sys/socket.h>

#include "kube/kube.h"

static struct ipc_msg out; /* 60 KB: not on the stack */

static void
ask(struct broker_client *b)
{
	if (b->asked)
		return;
	out.type = IPC_WANT_SOCKET;
	b->asked = worker_send(b->w, ROLE_BROKER, &out);
}

/* A TLS server says nothing first: an end, an error or bytes mean that it gave up waiting (the API
 * server does after 32 s). */
static bool
is_alive(int fd)
{
	char c;

	return recv(fd, &c, 1, MSG_PEEK | MSG_DONTWAIT) == -1 && errno == EAGAIN;
}

int
broker_client_take_socket(void *arg)
{
	struct broker_client *b = arg;
	int fd = b->spare;

	b->spare = -1;
	ask(b);
	if (fd != -1 && !is_alive(fd))
		fd_close(&fd);
	return fd;
}

void
broker_client_unauthorized(void *arg)
{
	struct broker_client *b = arg;

	out.type = IPC_TOKEN_REFUSED;
	worker_send(b->w, ROLE_BROKER, &out); /* a new edge brings a token anyway */
}

void
broker_client_edge(struct broker_client *b)
{
	b->asked = false;
	if (b->spare == -1)
		ask(b);
}

static void
on_socket(struct broker_client *b, struct ipc_msg *m)
{
	if (!b->asked || b->spare != -1) {
		worker_breach(b->w, ROLE_BROKER, "a socket that nobody asked for");
		return;
	}
	b->asked = false;
	b->spare = m->fds[0];
	m->fds[0] = -1;
	kube_kick(b->kube);
}

static int
take_token(struct broker_client *b, const struct ipc_msg *m, struct err *e)
{
	struct secret token = {0}, ca = {0};
	int r = -1;

	if (secret_read_fd(&token, m->fds[0], TOKEN_MAX, e) == 0 &&
	    secret_read_fd(&ca, m->fds[1], CA_MAX, e) == 0 &&
	    kube_set_ca(b->kube, (struct str){ca.p, ca.len}, e) == 0)
		r = kube_set_token(b->kube, (struct str){token.p, token.len}, e);
	secret_free(&token);
	secret_free(&ca);
	return r;
}

static void
on_token(struct broker_client *b, const struct ipc_msg *m)
{
	struct err e;

	if (take_token(b, m, &e) == -1) {
		worker_breach(b->w, ROLE_BROKER, e.text);
		return;
	}
	b->have_token = true;
	kube_kick(b->kube);
}

bool
broker_client_msg(struct broker_client *b, struct ipc_msg *msg)
{
	if (msg->type == IPC_SOCKET)
		on_socket(b, msg);
	else if (msg->type == IPC_TOKEN)
		on_token(b, msg);
	else if (msg->type == IPC_NO_TOKEN)
		log_warn("no_token", NULL, "%s", msg->no_token.text);
	else
		return false;
	return true;
}
