/*
 * agent and pgctl: fork and exec of this same program with fixed descriptors, restarts, heartbeats,
 * and their messages to PID 1. A peer that breaks the protocol is killed here on the word of the
 * one who noticed. Secrets are never in an environment of ours.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "instance/init.h"

static struct helper *
other(struct helper *h)
{
	return &h->init->helper[h->role == ROLE_AGENT ? HELPER_PGCTL : HELPER_AGENT];
}

void
spawn_reset_signals(void)
{
	sigset_t none;

	for (int sig = 1; sig < NSIG; sig++)
		(void)signal(sig, SIG_DFL);
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
}

/*
 * All that a helper gets of the environment; PATH is what pgctl looks for Patroni and PostgreSQL
 * in.
 */
static char **
environment(void)
{
	static const char *const names[] = {"POD_NAME", "POD_NAMESPACE", "POD_UID", "POD_IP",
	    "BESTGRES_CLUSTER", "BESTGRES_POD_INPUTS", "BESTGRES_WAL", "KUBERNETES_SERVICE_HOST",
	    "KUBERNETES_SERVICE_PORT", "PATH"};
	enum { NAMES = sizeof(names) / sizeof(names[0]) };
	static char text[NAMES][4096];
	static char *env[NAMES + 1];
	unsigned n = 0;

	for (unsigned k = 0; k < NAMES; k++) {
		const char *v = getenv(names[k]);

		if (v == NULL && strcmp(names[k], "PATH") == 0)
			v = DEFAULT_PATH;
		if (v != NULL &&
		    snprintf(text[k], sizeof(text[k]), "%s=%s", names[k], v) < (int)sizeof(text[k]))
			env[n++] = text[k];
	}
	env[n] = NULL;
	return env;
}

/* Moves fds to their places: first all out of the way, then down; what is not moved is CLOEXEC. */
static void
place(const int from[3], const int to[3])
{
	int high[3];

	for (unsigned k = 0; k < 3; k++)
		high[k] = from[k] < 0 ? -1 : fcntl(from[k], F_DUPFD_CLOEXEC, 64);
	for (unsigned k = 0; k < 3; k++)
		if (high[k] >= 0 && dup2(high[k], to[k]) == -1)
			_exit(126);
}

_Noreturn static void
become(struct helper *h, int control, char **env)
{
	const int from[3] = {control, h->edge, h->init->lock_fd};
	const int to[3] = {IPC_FD_CONTROL, IPC_FD_EDGE + (int)other(h)->role, INSTANCE_FD_LOCK};
	char self[] = "instance", name[8];
	char *argv[] = {self, name, NULL};

	(void)snprintf(name, sizeof(name), "%s", h->name);
	spawn_reset_signals();
	place(from, to);
	(void)execve("/proc/self/exe", argv, env);
	log_error("spawn", NULL, "exec %s: %s", name, strerror(errno));
	_exit(127);
}

/* A new edge between the two, each end kept until its owner can get it. */
static void
new_edge(struct helper *h)
{
	int fds[2];

	fd_close(&h->edge);
	fd_close(&other(h)->edge);
	if (ipc_pair(fds) == -1)
		return; /* out of descriptors: the next death tries again */
	h->edge = fds[0];
	other(h)->edge = fds[1];
}

/* A running helper gets its end by message; one that is not running, at its exec. */
static void
hand_over_edge(struct helper *h)
{
	struct ipc_msg m = {.type = IPC_NEWCHAN, .fds = {h->edge, -1}};

	if (h->edge < 0 || h->pid == 0 || h->control == NULL)
		return;
	m.newchan.peer = (uint8_t)other(h)->role;
	if (ipc_send(h->control, &m, NULL) == 0)
		fd_close(&h->edge);
}

bool
spawn_tell(struct helper *h, const struct ipc_msg *msg)
{
	struct err e;

	if (!h->ready || h->control == NULL)
		return false;
	if (ipc_send(h->control, msg, &e) == 0)
		return true;
	if (e.code == ERR_INVALID)
		die("%s to %s: %s", ipc_type_name(msg->type), h->name, e.text);
	return false;
}

void
spawn_say_state(struct helper *h, const struct msg_pod_state *now)
{
	struct ipc_msg m = {.type = IPC_POD_STATE, .fds = {-1, -1}};

	if (h->said_state && h->said.locked == now->locked &&
	    h->said.patroni_running == now->patroni_running &&
	    h->said.patroni_exits == now->patroni_exits && h->said.fences == now->fences &&
	    h->said.accepts == now->accepts && h->said.stopping == now->stopping &&
	    h->said.stop_signals == now->stop_signals && h->said.detached == now->detached &&
	    h->said.stopped == now->stopped && h->said.clone_stalls == now->clone_stalls &&
	    h->said.clone_kills == now->clone_kills && strcmp(h->said.text, now->text) == 0)
		return;
	m.pod_state = *now;
	if (!spawn_tell(h, &m))
		return;
	h->said = *now;
	h->said_state = true;
}

static void
kill_helper(struct helper *h, const char *why)
{
	if (h->pid == 0)
		return;
	log_error("helper_killed", NULL, "%s: %s", h->name, why);
	(void)kill(h->pid, SIGKILL);
}

static void
on_hello(struct helper *h, const struct msg_hello *m)
{
	if (m->table != ipc_table_hash())
		kill_helper(h, "built from another table of messages");
}

static void
on_accused(struct helper *h, const char *text)
{
	kill_helper(other(h), text);
	if (!ipc_accuses_too_often(&h->accuser, clock_boot()))
		return;
	/* nothing that it said and was not read yet counts */
	ipc_chan_close(h->control);
	h->control = NULL;
	h->ready = false;
	kill_helper(h, "it accuses its peer too often");
}

/* Messages of both helpers; the table says which of them may send what. */
static void
on_msg(void *arg, struct ipc_msg *m)
{
	struct helper *h = arg;
	struct init *i = h->init;

	switch ((int)m->type) {
	case IPC_HELLO:
		on_hello(h, &m->hello);
		break;
	case IPC_READY:
		h->ready = true;
		ipc_chan_set_state(h->control, IPC_RUN);
		init_changed(i);
		break;
	case IPC_WORKED:
		h->worked = true;
		break;
	case IPC_PONG:
		h->unanswered = 0;
		break;
	case IPC_BREACH:
		on_accused(h, m->breach.text);
		break;
	case IPC_WANTED:
		halt_wanted(i, m->wanted.stop);
		init_changed(i);
		break;
	case IPC_PATRONI_SEEN:
		keeper_seen(i, &m->patroni_seen);
		break;
	case IPC_SWITCHOVER_DONE:
		log_info("handover", NULL, "%s: %s", m->switchover_done.done ? "done" : "not done",
		    m->switchover_done.text);
		i->handover_done = true;
		halt_look(i);
		break;
	case IPC_GRACE:
		halt_limit(i, &m->grace);
		break;
	case IPC_RENEW:
		renewer_wanted(i, &m->renew);
		break;
	case IPC_CONFIG_WRITTEN:
		keeper_configured(i, &m->config_written);
		break;
	default:
		kill_helper(h, "a message that is not for PID 1");
	}
}

static void
on_closed(void *arg)
{
	struct helper *h = arg;

	h->control = NULL;
	h->ready = false;
	kill_helper(h, "closed its control channel");
}

static void
on_breach(void *arg, const char *text)
{
	struct helper *h = arg;

	h->control = NULL;
	h->ready = false;
	kill_helper(h, text);
}

static void
on_writable(void *arg)
{
	struct helper *h = arg;

	hand_over_edge(h);
	init_changed(h->init);
}

static void
start(struct helper *h)
{
	static const struct ipc_chan_ops ops = {on_msg, on_closed, on_breach, on_writable};
	char **env = environment();
	int fds[2];

	if (ipc_pair(fds) == -1 || (h->pid = fork()) == -1) {
		h->pid = 0;
		log_error("spawn", NULL, "%s: %s", h->name, strerror(errno));
		ev_timer_set(&h->again, 1., 0.);
		ev_timer_start(h->init->loop, &h->again);
		return;
	}
	if (h->pid == 0)
		become(h, fds[1], env);
	(void)close(fds[1]);
	fd_close(&h->edge);
	h->ready = h->worked = h->said_state = false;
	h->unanswered = 0;
	h->accuser = (struct ipc_accuser){0};
	h->control = ipc_chan_open(h->init->loop, fds[0], ROLE_INIT, h->role, &ops, h);
}

static void
on_again(struct ev_loop *loop, ev_timer *w, int revents)
{
	(void)loop;
	(void)revents;
	start(w->data);
}

void
spawn_ended(struct init *i, struct helper *h, int status)
{
	uint32_t random;
	int64_t ms;

	(void)rand_bytes(&random, sizeof(random));
	ms = backoff_next_ms(&h->backoff, h->worked, random);
	log_warn("helper_ended", NULL, "%s: status %#x; again in %lld ms", h->name,
	    (unsigned)status, (long long)ms);
	h->pid = 0;
	h->ready = false;
	ipc_chan_close(h->control);
	h->control = NULL;
	new_edge(h);
	hand_over_edge(other(h));
	if (h->role == ROLE_AGENT && i->asked_handover)
		i->handover_done = true; /* it can not answer any more */
	ev_timer_set(&h->again, (double)ms / 1000., 0.);
	ev_timer_start(i->loop, &h->again);
}

/* on_time: our own loop was not held up, so silence is the helper's. */
void
spawn_ping(struct init *i, bool on_time)
{
	for (unsigned k = 0; k < HELPERS; k++) {
		struct helper *h = &i->helper[k];
		struct ipc_msg m = {.type = IPC_PING, .fds = {-1, -1}};

		if (!h->ready)
			continue;
		if (on_time && h->unanswered >= PINGS_LOST) {
			kill_helper(h, "does not answer");
			continue;
		}
		m.ping.seq = ++h->pings;
		(void)spawn_tell(h, &m);
		h->unanswered = on_time ? h->unanswered + 1 : 0;
	}
}

void
spawn_setup(struct init *i)
{
	static const struct {
		enum ipc_role role;
		const char *name;
	} rows[HELPERS] = {
	    [HELPER_AGENT] = {ROLE_AGENT, "agent"},
	    [HELPER_PGCTL] = {ROLE_PGCTL, "pgctl"},
	};

	for (unsigned k = 0; k < HELPERS; k++) {
		struct helper *h = &i->helper[k];

		h->init = i;
		h->role = rows[k].role;
		h->name = rows[k].name;
		h->edge = -1;
		ev_timer_init(&h->again, on_again, 0., 0.);
		h->again.data = h;
	}
	new_edge(&i->helper[HELPER_AGENT]);
	for (unsigned k = 0; k < HELPERS; k++)
		start(&i->helper[k]);
}
