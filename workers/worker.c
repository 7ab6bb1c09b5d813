/*
 * What broker, watcher, reconciler and executor share: the control channel from CONFIG to READY,
 * PING, NEWCHAN, SIGTERM, and the edges to peers, which are replaced when a peer dies. Links no
 * TLS, curl or socket-making code by itself: the reconciler has nothing else. A breach by the
 * supervisor ends us; one by a peer is told to the supervisor, who ends the peer.
 */
#include "workers/workers.h"

#include <errno.h>
#include <ev.h>
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#define EARLY_MAX 64 /* quarantines that may come before start: the supervisor knows no more */

/* The one worker of this process, and what its public face need not show. */
static struct worker worker;
static struct {
	bool configured, started;
	bool worked_due;
	char breach[IPC_ROLE_COUNT][IPC_TEXT_MAX + 1]; /* not empty: due to be told */
	struct msg_quarantine early[EARLY_MAX];
	unsigned early_n;
	struct msg_degraded early_degraded;
	ev_signal on_term;
	ev_timer stop_timer;
	struct peer_arg {
		enum ipc_role peer;
	} peers[IPC_ROLE_COUNT]; /* what an edge's callbacks are given */
} own;
static struct ipc_msg out; /* 60 KB: not on the stack */

_Noreturn void
worker_exit(struct worker *w, int code)
{
	log_info("exit", NULL, "%s ends with code %d", ipc_role_name(w->ops->role), code);
	_exit(code);
}

/* --- To the supervisor. What does not go now is due, and goes when the socket has room. */

static bool
tell(struct worker *w)
{
	struct err e;

	if (ipc_send(w->control, &out, &e) == 0)
		return true;
	if (e.code == ERR_GONE)
		worker_exit(w, EXIT_ASKED);
	if (e.code != ERR_RETRY)
		die("%s to the supervisor: %s", ipc_type_name(out.type), e.text);
	return false;
}

static void
tell_due(struct worker *w)
{
	for (unsigned p = 0; p < IPC_ROLE_COUNT; p++) {
		if (own.breach[p][0] == '\0')
			continue;
		out.type = IPC_BREACH;
		out.breach = (struct msg_breach){.peer = (uint8_t)p};
		memcpy(out.breach.text, own.breach[p], sizeof(out.breach.text));
		if (!tell(w))
			return;
		own.breach[p][0] = '\0';
	}
	out.type = IPC_WORKED;
	if (own.worked_due && tell(w))
		own.worked_due = false;
}

void
worker_worked(struct worker *w)
{
	if (w->worked)
		return;
	w->worked = own.worked_due = true;
	tell_due(w);
}

/* --- Edges. */

static void
lose_edge(struct worker *w, enum ipc_role peer)
{
	bool was_up = w->edge_up[peer];

	w->edge[peer] = NULL;
	w->edge_up[peer] = false;
	if (was_up && w->ops->on_edge_lost != NULL)
		w->ops->on_edge_lost(w, peer);
}

static void
report(struct worker *w, enum ipc_role peer, const char *text)
{
	str_copy_text(own.breach[peer], sizeof(own.breach[peer]),
	    text[0] != '\0' ? str_of(text) : STR("no reason given"));
	log_error("breach", NULL, "%s broke the protocol: %s", ipc_role_name(peer), text);
	tell_due(w);
}

void
worker_breach(struct worker *w, enum ipc_role peer, const char *text)
{
	ipc_chan_close(w->edge[peer]);
	lose_edge(w, peer);
	report(w, peer, text);
}

static void
on_edge_msg(void *arg, struct ipc_msg *m)
{
	enum ipc_role peer = ((const struct peer_arg *)arg)->peer;
	struct worker *w = &worker;

	if (m->type != IPC_EDGE_HELLO) {
		w->ops->on_msg(w, peer, m);
		return;
	}
	ipc_chan_set_state(w->edge[peer], IPC_RUN);
	w->edge_up[peer] = true;
	if (w->ops->on_edge != NULL)
		w->ops->on_edge(w, peer);
}

static void
on_edge_closed(void *arg)
{
	lose_edge(&worker, ((const struct peer_arg *)arg)->peer);
}

static void
on_edge_breach(void *arg, const char *text)
{
	enum ipc_role peer = ((const struct peer_arg *)arg)->peer;

	lose_edge(&worker, peer);
	report(&worker, peer, text);
}

static void
on_edge_writable(void *arg)
{
	struct worker *w = &worker;

	if (w->ops->on_writable != NULL)
		w->ops->on_writable(w, ((const struct peer_arg *)arg)->peer);
}

static const struct ipc_chan_ops edge_ops = {.on_msg = on_edge_msg,
    .on_closed = on_edge_closed,
    .on_breach = on_edge_breach,
    .on_writable = on_edge_writable};

/* Ours is the first message on an empty socket: it always fits. If the peer is gone, reading will
 * say so. */
static void
say_edge_hello(struct worker *w, enum ipc_role peer)
{
	struct err e;

	out.type = IPC_EDGE_HELLO;
	if (ipc_send(w->edge[peer], &out, &e) == -1 && e.code != ERR_GONE)
		die("EDGE_HELLO to %s: %s", ipc_role_name(peer), e.text);
}

/* Before start an edge is open but not read. */
static void
open_edge(struct worker *w, enum ipc_role peer, int fd)
{
	own.peers[peer].peer = peer;
	w->edge[peer] = ipc_chan_open(w->loop, fd, w->ops->role, peer, &edge_ops, &own.peers[peer]);
	if (own.started)
		say_edge_hello(w, peer);
	else
		ipc_chan_pause(w->edge[peer], true);
}

bool
worker_send(struct worker *w, enum ipc_role peer, const struct ipc_msg *msg)
{
	struct err e;

	if (w->edge[peer] == NULL || !w->edge_up[peer])
		return false;
	if (ipc_send(w->edge[peer], msg, &e) == 0)
		return true;
	if (e.code == ERR_INVALID)
		die("%s to %s: %s", ipc_type_name(msg->type), ipc_role_name(peer), e.text);
	return false;
}

/* --- From the supervisor. */

static void
on_config(struct worker *w, struct ipc_msg *m)
{
	if (own.configured)
		die("the supervisor said CONFIG twice");
	own.configured = true;
	w->config = m->config;
}

/* All is known: take what needs rights, give up the rights, and start. */
static void
become_ready(struct worker *w)
{
	struct sandbox_args args = {.require = w->config.sandbox_require};
	unsigned effect;

	if (w->ops->prepare != NULL)
		w->ops->prepare(w, &args);
	effect = sandbox_enter(w->profile, &args);
	out.type = IPC_HELLO;
	out.hello = (struct msg_hello){.table = ipc_table_hash(), .sandbox = effect};
	if (!tell(w))
		die("no room for HELLO");
	out.type = IPC_READY;
	if (!tell(w))
		die("no room for READY");
	ipc_chan_set_state(w->control, IPC_RUN);
	own.started = true;
	if (w->ops->start != NULL)
		w->ops->start(w);
	for (unsigned p = 0; p < IPC_ROLE_COUNT; p++) {
		if (w->edge[p] == NULL)
			continue;
		say_edge_hello(w, p);
		ipc_chan_pause(w->edge[p], false);
	}
}

/* What must be left alone is known before the first event is read. */
static void
replay_early(struct worker *w)
{
	static struct ipc_msg m;

	if (w->ops->on_control == NULL)
		return;
	for (unsigned i = 0; i < own.early_n; i++) {
		m.type = IPC_QUARANTINE;
		m.quarantine = own.early[i];
		w->ops->on_control(w, &m);
	}
	m.type = IPC_DEGRADED;
	m.degraded = own.early_degraded;
	if (own.early_degraded.roles != 0)
		w->ops->on_control(w, &m);
}

static void
on_config_namespace(struct worker *w, struct ipc_msg *m)
{
	const struct msg_config_namespace *c = &m->config_namespace;
	bool last = c->last;

	if (!own.configured || w->namespaces_n == NAMESPACES_MAX)
		die("the supervisor's configuration makes no sense");
	memcpy(w->namespaces[w->namespaces_n++], c->namespace, sizeof(c->namespace));
	if (!last)
		return;
	become_ready(w);
	replay_early(w);
}

static void
on_quarantine(struct worker *w, struct ipc_msg *m)
{
	if (own.started && w->ops->on_control != NULL)
		w->ops->on_control(w, m);
	else if (!own.started && own.early_n < EARLY_MAX)
		own.early[own.early_n++] = m->quarantine;
}

static void
on_degraded(struct worker *w, struct ipc_msg *m)
{
	if (own.started && w->ops->on_control != NULL)
		w->ops->on_control(w, m);
	else if (!own.started)
		own.early_degraded = m->degraded;
}

/* A PONG that does not fit is left out: the supervisor asks again. */
static void
on_ping(struct worker *w, struct ipc_msg *m)
{
	uint32_t seq = m->ping.seq;

	out.type = IPC_PONG;
	out.pong.seq = seq;
	tell(w);
}

static void
on_newchan(struct worker *w, struct ipc_msg *m)
{
	enum ipc_role peer = m->newchan.peer;
	int fd = m->fds[0];

	if ((w->ops->peers & (1u << peer)) == 0)
		die("the supervisor gave us an edge to %s", ipc_role_name(peer));
	m->fds[0] = -1;
	own.breach[peer][0] = '\0'; /* of a life that is over */
	ipc_chan_close(w->edge[peer]);
	lose_edge(w, peer);
	open_edge(w, peer, fd);
}

static void (*const handlers[IPC_TYPE_COUNT])(struct worker *, struct ipc_msg *) = {
    [IPC_CONFIG] = on_config,
    [IPC_CONFIG_NAMESPACE] = on_config_namespace,
    [IPC_QUARANTINE] = on_quarantine,
    [IPC_DEGRADED] = on_degraded,
    [IPC_PING] = on_ping,
    [IPC_NEWCHAN] = on_newchan,
};

static void
on_control_msg(void *arg, struct ipc_msg *m)
{
	if (handlers[m->type] == NULL)
		die("%s from the supervisor", ipc_type_name(m->type));
	handlers[m->type](arg, m);
}

/* The supervisor is gone or wants us gone. */
static void
on_control_closed(void *arg)
{
	worker_exit(arg, EXIT_ASKED);
}

static void
on_control_breach(void *arg, const char *text)
{
	(void)arg;
	die("the supervisor broke the protocol: %s", text);
}

static void
on_control_writable(void *arg)
{
	tell_due(arg);
}

static const struct ipc_chan_ops control_ops = {.on_msg = on_control_msg,
    .on_closed = on_control_closed,
    .on_breach = on_control_breach,
    .on_writable = on_control_writable};

/* --- The end. */

static void
on_stop_timer(struct ev_loop *loop, ev_timer *timer, int revents)
{
	(void)loop;
	(void)revents;
	log_warn("stop", NULL, "requests in flight did not end within %d ms", STOP_MS);
	worker_exit(timer->data, EXIT_ASKED);
}

static void
on_term(struct ev_loop *loop, ev_signal *sig, int revents)
{
	struct worker *w = sig->data;

	(void)revents;
	if (w->stopping)
		return;
	w->stopping = true;
	if (w->ops->stop == NULL || !own.started)
		worker_exit(w, EXIT_ASKED);
	ev_timer_start(loop, &own.stop_timer);
	w->ops->stop(w);
}

/*
 * Edges that are there from the start lie at fixed numbers; everything else is closed. Asked before
 * anything is opened: the loop's own descriptors take the numbers of edges that are not there.
 */
static unsigned
find_edges(unsigned peers)
{
	unsigned there = 0;

	for (unsigned p = 0; p < IPC_ROLE_COUNT; p++)
		if ((peers & (1u << p)) != 0 && fcntl(IPC_FD_EDGE + (int)p, F_GETFD) != -1)
			there |= 1u << p;
	return there;
}

/* The loop, its epoll and its signal pipe exist before the sandbox; EPOLL by name, as others need
 * more syscalls. */
int
worker_run(const struct worker_ops *ops, enum sandbox_profile profile, void *state)
{
	struct worker *w = &worker;
	unsigned there = find_edges(ops->peers);

	if (fcntl(IPC_FD_CONTROL, F_GETFD) == -1) {
		log_error("config", NULL, "%s is started by the supervisor only",
		    ipc_role_name(ops->role));
		return EXIT_CONFIG;
	}
	w->ops = ops;
	w->profile = profile;
	w->state = state;
	w->loop = ev_loop_new(EVBACKEND_EPOLL | EVFLAG_NOENV);
	if (w->loop == NULL)
		die("no epoll: %s", strerror(errno));
	signal(SIGPIPE, SIG_IGN);
	ev_signal_init(&own.on_term, on_term, SIGTERM);
	own.on_term.data = w;
	ev_signal_start(w->loop, &own.on_term);
	ev_timer_init(&own.stop_timer, on_stop_timer, STOP_MS / 1000., 0.);
	own.stop_timer.data = w;
	for (unsigned p = 0; p < IPC_ROLE_COUNT; p++)
		if ((there & (1u << p)) != 0)
			open_edge(w, p, IPC_FD_EDGE + (int)p);
	w->control =
	    ipc_chan_open(w->loop, IPC_FD_CONTROL, ops->role, ROLE_SUPERVISOR, &control_ops, w);
	ev_run(w->loop, 0);
	die("the loop ended by itself");
}
