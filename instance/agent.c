/*
 * The agent's start and its conversations with init and pgctl. It parses what the API server and
 * Patroni send, so it may do the least: two TCP ports, one directory, no process
 * (sandbox/profiles.c). Everything is level-triggered: agent_look compares and acts.
 */
#include <fcntl.h>
#include <unistd.h>

#include "instance/agent.h"
#include "sandbox/sandbox.h"

#define LOOK_S 0.25
#define TOKEN_S 60.
#define BOOTSTRAP_AGAIN_MS 10000
#define SPEC_ARENA_MAX (8u << 20)
#define CONFIG_ARENA_MAX (24u << 20)

const struct bgcluster *
agent_spec(const struct agent *a)
{
	return a->spec;
}

bool
agent_leads(const struct agent *a)
{
	return a->view.known && a->view.cluster_known && a->view.running && a->view.primary &&
	       a->view.leads;
}

bool
agent_wants_sync(const struct agent *a)
{
	return a->spec != NULL && a->spec->sync_mode != CHOICE_sync_mode_OFF &&
	       a->spec->instances > 1;
}

bool
agent_must_leave(const struct agent *a)
{
	char pod[NAME_MAX_LABEL + 4];

	for (int64_t i = 0; a->spec != NULL && i < a->spec->instances; i++) {
		(void)snprintf(pod, sizeof(pod), "%s-%lld", a->cluster, (long long)i);
		if (strcmp(pod, a->pod) == 0)
			return false;
	}
	return a->spec != NULL;
}

void
agent_tell_seen(struct agent *a, bool answered)
{
	struct ipc_msg m = {.type = IPC_PATRONI_SEEN, .fds = {-1, -1}};

	m.patroni_seen.answered = answered;
	m.patroni_seen.leader = agent_leads(a);
	m.patroni_seen.paused = a->view.paused;
	(void)child_tell(&a->self, &m);
}

/*
 * A fresh pod, or one that rested, waits until the operator's word for it was read; what runs is
 * not held by `hold`, only by `stop`.
 */
static void
tell_wanted(struct agent *a)
{
	struct ipc_msg m = {.type = IPC_WANTED, .fds = {-1, -1}, .wanted.stop = a->stop};
	bool runs = a->stop == CHOICE_stop_NONE;

	if (!a->instance_known || a->told == a->stop ||
	    (runs && (a->hold || a->spec == NULL || a->cluster_gone)))
		return;
	if (!child_tell(&a->self, &m))
		return;
	a->told = a->stop;
	a->released = runs;
	log_info("wanted", NULL, "%s",
	    runs ? "Patroni may start" : "a rest, of as much as spec.stop of our BGInstance says");
}

/* On the leader, once in its life, until it is done: pgctl leaves alone what is there. */
static void
ask_bootstrap(struct agent *a)
{
	struct ipc_msg m = {.type = IPC_BOOTSTRAP, .fds = {-1, -1}};

	if (a->bootstrapped || a->bootstrap_asked || !agent_leads(a) ||
	    a->view.system_identifier == 0 || a->send_at != SIZE_MAX ||
	    a->now.v < a->bootstrap_next.v)
		return;
	a->bootstrap_asked = child_send(&a->self, &m);
}

void
agent_look(struct agent *a)
{
	a->now = clock_boot();
	if (a->state.stopped)
		a->adopting = true;
	else if (a->view.known && a->view.running)
		a->adopting = false;
	agent_stop_look(a);
	tell_wanted(a);
	spec_send(a);
	patroni_look(a);
	patroni_wake(a);
	ask_bootstrap(a);
	config_look(a);
	stale_look(a);
	reinit_find(a);
	operate_look(a);
	agent_task_look(a);
	api_look(a);
}

static void
on_init(struct self *c, struct ipc_msg *m)
{
	struct agent *a = c->state;

	switch ((int)m->type) {
	case IPC_POD_STATE:
		if (a->state_known && a->state.patroni_running && !m->pod_state.patroni_running) {
			view_silent(&a->view);
			if (a->stop != CHOICE_stop_NONE) /* what comes after a rest is new */
				a->starts = (struct start_track){0};
		}
		if (m->pod_state.accepts && !a->state.accepts)
			a->poll_next.v = 0;
		operate_accepts(a, m->pod_state.accepts);
		a->state = m->pod_state;
		a->state_known = true;
		break;
	case IPC_SWITCHOVER:
		agent_stop_switchover(a);
		break;
	case IPC_RENEW_DONE:
		reinit_renewed(a, &m->renew_done);
		break;
	default:
		die("%s from init", ipc_type_name(m->type));
	}
	agent_look(a);
}

static void
take_password(struct agent *a, struct ipc_msg *m)
{
	struct secret password = {0};
	struct err e;

	if (secret_read_fd(&password, m->fds[0], 4096, &e) == -1 ||
	    kube_set_basic(a->rest, m->rest_password.username, &password, &e) == -1)
		log_error("rest_password", NULL, "%s", e.text);
	else
		a->password_known = true;
	secret_free(&password);
}

static void
take_bootstrap(struct agent *a, const struct msg_bootstrap_done *m)
{
	a->bootstrap = *m;
	a->bootstrap_asked = false;
	a->bootstrapped = m->reason == REASON_NONE;
	a->bootstrap_next.v = clock_boot().v + BOOTSTRAP_AGAIN_MS;
}

static void
on_peer(struct self *c, struct ipc_msg *m)
{
	struct agent *a = c->state;

	switch ((int)m->type) {
	case IPC_DISK:
		a->disk = m->disk;
		a->disk_known = true;
		break;
	case IPC_SPEC_CHECKED:
		a->checked = m->spec_checked;
		a->checked_known = true;
		break;
	case IPC_REST_PASSWORD:
		take_password(a, m);
		break;
	case IPC_BOOTSTRAP_DONE:
		take_bootstrap(a, &m->bootstrap_done);
		break;
	case IPC_CHECKPOINT_DONE:
		operate_checkpointed(a, &m->checkpoint_done);
		break;
	case IPC_FOLLOWED:
		reinit_followed(a, &m->followed);
		break;
	case IPC_TASK_STATE:
		agent_task_said(a, &m->task_state);
		break;
	default:
		child_breach(c, "a message that is not for the agent");
		return;
	}
	agent_look(a);
}

static void
on_edge(struct self *c)
{
	struct agent *a = c->state;

	a->send_at = a->spec != NULL ? 0 : SIZE_MAX;
	a->bootstrap_asked = false;
	operate_edge_new(a);
	agent_task_edge_new(a);
	agent_look(a);
}

static void
on_writable(struct self *c)
{
	agent_look(c->state);
}

static void
on_tick(struct ev_loop *loop, ev_timer *w, int revents)
{
	(void)loop;
	(void)revents;
	agent_look(w->data);
}

/* The kubelet replaces the projected token long before it expires. */
static void
read_token(struct agent *a)
{
	struct secret token = {0};
	struct err e;

	if (secret_read_file(&token, TOKEN_DIR "/token", TOKEN_MAX, &e) == -1 ||
	    kube_set_token(a->api, (struct str){token.p, token.len}, &e) == -1)
		log_error("token", NULL, "%s", e.text);
	secret_free(&token);
}

static void
read_ca(struct agent *a)
{
	struct secret ca = {0};
	struct err e;

	if (secret_read_file(&ca, TOKEN_DIR "/ca.crt", CA_MAX, &e) == -1 ||
	    kube_set_ca(a->api, (struct str){ca.p, ca.len}, &e) == -1)
		log_error("ca", NULL, "%s", e.text);
	secret_free(&ca);
}

static void
on_token_timer(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct agent *a = w->data;

	(void)loop;
	(void)revents;
	read_ca(a);
	read_token(a);
}

static void
on_unauthorized(void *arg)
{
	read_token(arg);
}

static void
connect_both(struct agent *a, const char *host, uint16_t port, const char *pod_ip)
{
	const struct kube_config api = {.loop = a->self.loop,
	    .host = host,
	    .port = port,
	    .tls = true,
	    .on_unauthorized = on_unauthorized,
	    .arg = a,
	    .user_agent = "bestgres-agent",
	    .connections = 1};
	const struct kube_config rest = {.loop = a->self.loop,
	    .host = strchr(pod_ip, ':') != NULL ? "::1" : "127.0.0.1",
	    .port = PORT_PATRONI,
	    .user_agent = "bestgres-agent",
	    .connections = 2};

	a->api = kube_new(&api);
	a->rest = kube_new(&rest);
	read_ca(a);
	read_token(a);
}

static unsigned
enter_sandbox(uint16_t api_port)
{
	const struct sandbox_args args = {.dirs = {TOKEN_DIR}, .ports = {api_port, PORT_PATRONI}};
	char effect[128];
	unsigned bits = sandbox_enter(SANDBOX_AGENT, &args);

	sandbox_effect_text(effect, bits);
	log_info("sandbox", NULL, "%s", effect);
	return bits;
}

int
agent_main(void)
{
	static const struct child_ops ops = {
	    ROLE_AGENT, ROLE_PGCTL, on_init, on_peer, on_edge, on_writable};
	static struct agent a;
	const char *host = child_env("KUBERNETES_SERVICE_HOST", CHARS_PRINT, 64);
	const char *port_text = child_env("KUBERNETES_SERVICE_PORT", CHARS_PRINT, 5);
	const char *pod_ip = child_env("POD_IP", CHARS_PRINT, 45);
	uint64_t port;
	unsigned effect;

	a.cluster = child_env("BESTGRES_CLUSTER", CHARS_DNS1035, NAME_MAX_CLUSTER);
	a.namespace = child_env("POD_NAMESPACE", CHARS_DNS1123, NAME_MAX_LABEL);
	a.pod = child_env("POD_NAME", CHARS_DNS1123, NAME_MAX_LABEL);
	a.pod_uid = child_env("POD_UID", CHARS_PRINT, UID_TEXT_SIZE - 1);
	a.pod_inputs = getenv("BESTGRES_POD_INPUTS") != NULL
	                   ? child_env("BESTGRES_POD_INPUTS", CHARS_PRINT, 16)
	                   : ""; /* a template without that annotation */
	if (str_to_u64(str_of(port_text), &port) == -1 || port < 1 || port > 65535)
		die("environment: KUBERNETES_SERVICE_PORT is no port");
	if ((a.self.loop = ev_default_loop(EVFLAG_AUTO)) == NULL)
		die("no event loop");
	arena_init(&a.spec_arena[0], SPEC_ARENA_MAX);
	arena_init(&a.spec_arena[1], SPEC_ARENA_MAX);
	arena_init(&a.config.arena, CONFIG_ARENA_MAX);
	a.send_at = SIZE_MAX;
	agent_task_init(&a);
	a.told = -1;
	view_silent(&a.view);
	connect_both(&a, host, (uint16_t)port, pod_ip);
	effect = enter_sandbox((uint16_t)port);
	ev_timer_init(&a.tick, on_tick, LOOK_S, LOOK_S);
	ev_timer_init(&a.token_timer, on_token_timer, TOKEN_S, TOKEN_S);
	ev_timer_init(&a.poll_timer, on_tick, 0., 0.);
	a.tick.data = a.token_timer.data = a.poll_timer.data = &a;
	ev_timer_start(a.self.loop, &a.tick);
	ev_timer_start(a.self.loop, &a.token_timer);
	child_start(&a.self, &ops, effect, &a);
	api_start(&a);
	ev_run(a.self.loop, 0);
	die("the loop ended");
}
