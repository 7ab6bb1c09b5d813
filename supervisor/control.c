/*
 * The control channels: what a worker may say to the supervisor and what it is told. The codec has
 * checked shape, direction and state; here is what only the supervisor knows: HELLO before READY,
 * each of them once, a PONG only to a PING. What breaks that is a breach, and the worker is killed.
 * What can not be sent now is due, and goes when the socket has room.
 */
#include "supervisor/supervisor.h"

#include "sandbox/sandbox.h"

static void
breach(struct worker_proc *w, const char *text)
{
	supervisor_log_event(w, LOG_ERROR, "breach", "told_by=supervisor msg=\"%s\"", text);
	supervisor_event(w, EVENT_BREACH);
}

/* --- What a worker says. */

static void
on_hello(struct worker_proc *w, const struct ipc_msg *m)
{
	if (w->hello) {
		breach(w, "HELLO twice");
		return;
	}
	w->hello = true;
	if (m->hello.table != ipc_table_hash()) {
		supervisor_log_event(w, LOG_ERROR, "mixed_builds",
		    "msg=\"it was built from another msg.def than the supervisor: build the image "
		    "anew\"");
		supervisor_give_up(w->sup, EXIT_CONFIG);
		return;
	}
	w->sandbox = m->hello.sandbox;
}

static void
log_ready(const struct worker_proc *w)
{
	struct msec now = clock_mono();
	char effect[128], gone[64] = "";

	sandbox_effect_text(effect, w->sandbox);
	if (w->lives > 1)
		snprintf(gone, sizeof(gone), "again %lld ms after its death, ",
		    (long long)(now.v - w->died.v));
	supervisor_log_event(w, LOG_INFO, "ready",
	    "msg=\"ready %s%lld ms after its start, pid %d\" sandbox=\"%s\"", gone,
	    (long long)(now.v - w->spawned.v), (int)w->pid, effect);
}

static void
on_ready(struct worker_proc *w, const struct ipc_msg *m)
{
	(void)m;
	if (!w->hello) {
		breach(w, "READY before HELLO");
		return;
	}
	ipc_chan_set_state(w->control, IPC_RUN);
	log_ready(w);
	supervisor_event(w, EVENT_READY);
}

static void
on_pong(struct worker_proc *w, const struct ipc_msg *m)
{
	if (m->pong.seq > w->ping_seq || m->pong.seq <= w->pong_seq) {
		breach(w, "PONG without its PING");
		return;
	}
	w->pong_seq = m->pong.seq;
	w->life.unanswered = w->ping_seq - w->pong_seq;
}

static void
on_worked(struct worker_proc *w, const struct ipc_msg *m)
{
	(void)m;
	if (w->life.worked)
		breach(w, "WORKED twice");
	else
		supervisor_event(w, EVENT_WORKED);
}

/* The one who tells lives, its peer dies. */
static void
on_breach_told(struct worker_proc *w, const struct ipc_msg *m)
{
	struct worker_proc *peer = supervisor_worker_of(w->sup, m->breach.peer);
	char text[2 * IPC_TEXT_MAX + 1], *out = text;

	if (peer == NULL || !supervisor_edge_exists(w->role, m->breach.peer)) {
		breach(w, "BREACH of one it has no edge to");
		return;
	}
	for (const char *p = m->breach.text; *p != '\0'; p++) {
		if (*p == '"' || *p == '\\')
			*out++ = '\\';
		*out++ = *p;
	}
	*out = '\0';
	supervisor_log_event(
	    peer, LOG_ERROR, "breach", "told_by=%s msg=\"%s\"", ipc_role_name(w->role), text);
	supervisor_event(peer, EVENT_BREACH);
	if (ipc_accuses_too_often(&w->accuser, clock_mono()))
		breach(w, "it accuses its peers too often");
}

/* What no row names does not go to the supervisor: the codec refuses it. */
static void (*const handlers[IPC_TYPE_COUNT])(struct worker_proc *, const struct ipc_msg *) = {
    [IPC_HELLO] = on_hello,
    [IPC_READY] = on_ready,
    [IPC_WORKED] = on_worked,
    [IPC_PONG] = on_pong,
    [IPC_BREACH] = on_breach_told,
};

static void
on_msg(void *arg, struct ipc_msg *m)
{
	if (handlers[m->type] == NULL)
		die("%s from a worker", ipc_type_name(m->type));
	handlers[m->type](arg, m);
}

/* Its death follows; if it does not, it answers no PING or is never READY. */
static void
on_closed(void *arg)
{
	struct worker_proc *w = arg;

	w->control = NULL;
}

static void
on_breach(void *arg, const char *text)
{
	struct worker_proc *w = arg;

	w->control = NULL;
	breach(w, text);
}

static void
on_writable(void *arg)
{
	supervisor_control_flush(arg);
}

static const struct ipc_chan_ops ops = {
    .on_msg = on_msg, .on_closed = on_closed, .on_breach = on_breach, .on_writable = on_writable};

/* --- What a worker is told. */

static struct ipc_msg out; /* 60 KB: not on the stack */

/* false: not now (it is due again when there is room) or never (the worker is gone). */
static bool
tell(struct worker_proc *w)
{
	struct err e;

	if (w->control == NULL)
		return false;
	if (ipc_send(w->control, &out, &e) == 0)
		return true;
	if (e.code == ERR_INVALID)
		die("%s to %s: %s", ipc_type_name(out.type), ipc_role_name(w->role), e.text);
	return false;
}

static bool
tell_newchans(struct worker_proc *w)
{
	for (unsigned peer = 0; peer < IPC_ROLE_COUNT; peer++) {
		if (w->newchan[peer] == -1)
			continue;
		out.type = IPC_NEWCHAN;
		out.newchan = (struct msg_newchan){.peer = (uint8_t)peer};
		out.fds[0] = w->newchan[peer];
		if (!tell(w))
			return false;
		fd_close(&w->newchan[peer]);
	}
	return true;
}

/* All of them each time: a worker that knows one already is told nothing new. */
static bool
tell_quarantines(struct worker_proc *w)
{
	out.type = IPC_QUARANTINE;
	for (unsigned i = 0; supervisor_tally_get(&w->sup->tally, i, &out.quarantine); i++)
		if (!tell(w))
			return false;
	return true;
}

static bool
tell_degraded(struct worker_proc *w)
{
	out.type = IPC_DEGRADED;
	out.degraded = (struct msg_degraded){.roles = w->sup->degraded};
	return tell(w);
}

void
supervisor_control_flush(struct worker_proc *w)
{
	if (!tell_newchans(w))
		return;
	if (w->quarantine_due && w->role != ROLE_BROKER) {
		if (!tell_quarantines(w))
			return;
		w->quarantine_due = false;
	}
	if (w->role == ROLE_RECONCILER && w->told_degraded != w->sup->degraded && tell_degraded(w))
		w->told_degraded = w->sup->degraded;
}

static bool
tell_config(struct worker_proc *w)
{
	const struct supervisor_config *c = w->sup->config;

	out.type = IPC_CONFIG;
	out.config = c->msg;
	out.config.life = w->lives;
	return tell(w);
}

static bool
tell_namespaces(struct worker_proc *w)
{
	const struct supervisor_config *c = w->sup->config;

	for (unsigned i = 0; i < c->namespaces_n; i++) {
		out.type = IPC_CONFIG_NAMESPACE;
		memcpy(out.config_namespace.namespace, c->namespaces[i], sizeof(c->namespaces[i]));
		out.config_namespace.last = i + 1 == c->namespaces_n;
		if (!tell(w))
			return false;
	}
	return true;
}

/* The last namespace makes a worker start: what it must know before comes before. All of this fits
 * an empty socket. */
void
supervisor_control_open(struct worker_proc *w, int fd)
{
	w->control = ipc_chan_open(w->sup->loop, fd, ROLE_SUPERVISOR, w->role, &ops, w);
	w->told_degraded = 0;
	w->quarantine_due = true;
	if (!tell_config(w))
		return; /* it is gone already, or will be for not being READY in time */
	supervisor_control_flush(w);
	tell_namespaces(w);
}

/* A PING that can not be sent counts as one that is not answered. */
void
supervisor_control_ping(struct worker_proc *w)
{
	out.type = IPC_PING;
	out.ping = (struct msg_ping){.seq = w->ping_seq + 1};
	if (tell(w))
		w->ping_seq++;
}
