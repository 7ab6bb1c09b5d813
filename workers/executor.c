/*
 * The executor: the only process of the operator that writes. Here is the worker: its edges to
 * reconciler and broker, the API server's connections on sockets that the broker hands over, and
 * what ends it. A step's way is executor_step.c, its rules are policy.c.
 */
#include <ev.h>

#include "workers/executor.h"
#include "workers/workers.h"

#include <string.h>

/* A cluster's steps come one at a time: more connections would idle, at 50 KB of TLS state each. */
#define CONNECTIONS 4

static struct executor executor;
static struct broker_client broker;
static bool refused; /* the token in use, by the API server */

/* --- What steps do to the world. */

static bool
report(struct executor *x, const struct ipc_msg *m)
{
	struct worker *w = x->arg;

	if (!worker_send(w, ROLE_RECONCILER, m))
		return false;
	worker_worked(w);
	return true;
}

static void
breach(struct executor *x, const char *text)
{
	worker_breach(x->arg, ROLE_RECONCILER, text);
}

static void
pause_steps(struct executor *x, bool pause)
{
	const struct worker *w = x->arg;

	if (w->edge[ROLE_RECONCILER] != NULL)
		ipc_chan_pause(w->edge[ROLE_RECONCILER], pause);
}

static void
drained(struct executor *x)
{
	worker_exit(x->arg, EXIT_ASKED);
}

static const struct executor_io io = {
    .send = kube_send,
    .report = report,
    .breach = breach,
    .pause = pause_steps,
    .drained = drained,
};

/* --- The worker. */

static void
on_unauthorized(void *arg)
{
	refused = true;
	broker_client_unauthorized(arg);
}

static void
prepare(struct worker *w, struct sandbox_args *args)
{
	struct kube_config c = {
	    .loop = w->loop,
	    .host = w->config.api_host,
	    .port = w->config.api_port,
	    .tls = true,
	    .take_socket = broker_client_take_socket,
	    .on_unauthorized = on_unauthorized,
	    .arg = &broker,
	    .user_agent = "bestgres-executor",
	    .connections = CONNECTIONS,
	};

	(void)args;
	broker.w = w;
	broker.spare = -1;
	broker.kube = kube_new(&c);
	executor.io = &io;
	executor.arg = w;
	executor.kube = broker.kube;
	executor.image = str_of(w->config.image);
	executor.pull_policy = str_of(w->config.image_pull_policy);
	executor.namespaces = w->namespaces;
	executor.namespaces_n = w->namespaces_n;
	executor_init(&executor);
}

static void
start(struct worker *w)
{
	log_info("start", NULL, "the executor serves %u namespaces", w->namespaces_n);
}

static void
on_edge(struct worker *w, enum ipc_role peer)
{
	(void)w;
	if (peer == ROLE_BROKER)
		broker_client_edge(&broker);
	else
		executor_edge_new(&executor);
}

static void
on_edge_lost(struct worker *w, enum ipc_role peer)
{
	(void)w;
	if (peer == ROLE_RECONCILER)
		executor_edge_lost(&executor);
}

/* Why there is no token that works is what steps are answered with meanwhile. */
static void
on_broker_msg(struct ipc_msg *m)
{
	if (m->type == IPC_NO_TOKEN && (!broker.have_token || refused))
		memcpy(executor.no_token, m->no_token.text, sizeof(executor.no_token));
	if (m->type == IPC_TOKEN) {
		executor.no_token[0] = '\0';
		refused = false;
	}
	if (!broker_client_msg(&broker, m))
		die("%s from the broker", ipc_type_name(m->type));
}

static void
on_msg(struct worker *w, enum ipc_role peer, struct ipc_msg *m)
{
	(void)w;
	if (peer == ROLE_BROKER)
		on_broker_msg(m);
	else
		executor_take(&executor, m);
}

static void
on_writable(struct worker *w, enum ipc_role peer)
{
	(void)w;
	if (peer == ROLE_RECONCILER)
		executor_flush(&executor);
}

/* The reconciler obeys; here it is only said, so that a log shows what was left alone. */
static void
on_control(struct worker *w, struct ipc_msg *m)
{
	char uid[UID_TEXT_SIZE];

	(void)w;
	if (m->type != IPC_QUARANTINE)
		return;
	uid_format(uid, &m->quarantine.uid);
	log_warn("quarantine", NULL, "BGCluster of uid %s, generation %llu crashed a worker", uid,
	    (unsigned long long)m->quarantine.generation);
}

static void
stop(struct worker *w)
{
	(void)w;
	executor_stop(&executor);
}

static const struct worker_ops ops = {
    .role = ROLE_EXECUTOR,
    .peers = R(BROKER) | R(RECONCILER),
    .prepare = prepare,
    .start = start,
    .on_edge = on_edge,
    .on_edge_lost = on_edge_lost,
    .on_msg = on_msg,
    .on_control = on_control,
    .on_writable = on_writable,
    .stop = stop,
};

int
executor_main(void)
{
	return worker_run(&ops, SANDBOX_EXECUTOR, &executor);
}
