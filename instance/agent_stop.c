/*
 * The agent's part of a stop: how long the pod's deletion gives it, which only the API knows, and
 * the leadership handed on before it. Both ask for our own pod, in one.
 */
#include "instance/agent.h"

#define OWN_POD_MS 300 /* the API may be away: it is not needed */
#define PATIENT_MS 2000
#define AGAIN_MS 1000
#define GRACE_MAX_S 86400
#define ARENA_MAX (1u << 20)

static struct arena arena; /* our pod */

static void
tell_switchover(struct agent *a, int status, struct str text)
{
	struct ipc_msg m = {.type = IPC_SWITCHOVER_DONE, .fds = {-1, -1}};

	m.switchover_done.done = status == 200;
	str_copy_text(m.switchover_done.text, sizeof(m.switchover_done.text), text);
	a->switching = false;
	(void)child_tell(&a->self, &m);
}

static void
tell_grace(struct agent *a, int64_t seconds)
{
	struct ipc_msg m = {.type = IPC_GRACE, .fds = {-1, -1}};

	m.grace.signal = a->ending.asked;
	m.grace.seconds = (uint32_t)(seconds < 0             ? 0
				     : seconds > GRACE_MAX_S ? GRACE_MAX_S
							     : seconds);
	if (child_tell(&a->self, &m))
		a->ending.known = a->ending.asked;
}

/*
 * A pod deleted by force is killed 2 s after its SIGTERM, whatever grace it was given: no time for
 * a switchover, but for Patroni's own stop, which releases the lock. Its object is gone by then, or
 * is its successor's, or is kept by a finalizer. Its token may be refused for that as well (401):
 * but also because the namespace goes, so that says nothing of how long it has.
 */
static void
on_own_pod(void *arg, const struct kube_reply *r)
{
	struct agent *a = arg;
	bool refused = r->outcome == KUBE_REPLIED && r->status == 401;
	bool forced = r->outcome == KUBE_REPLIED && r->status == 404;
	struct json j;
	int64_t s = STOP_HASTY_S;

	a->ending.busy = false;
	a->ending.next.v = clock_boot().v + AGAIN_MS;
	if (api_parse(r, &arena, &j)) {
		int meta = json_get(&j, json_root(&j), STR("metadata"));

		forced = !json_string_is(&j, json_get(&j, meta, STR("uid")), a->pod_uid);
		if (json_i64(&j, json_get(&j, meta, STR("deletionGracePeriodSeconds")), &s) == -1)
			a->ending.known = a->ending.asked; /* not deleted: as by the spec */
		else if (!forced)
			tell_grace(a, s);
	}
	if (forced)
		tell_grace(a, 0);
	if (a->ending.waits) {
		a->ending.waits = false;
		if (forced || refused || s < STOP_HASTY_S)
			tell_switchover(a, 0, STR("the pod's deletion leaves no time for it"));
		else
			patroni_post_switchover(a, NULL, tell_switchover);
	}
}

static void
ask(struct agent *a)
{
	char path[HTTP_PATH_MAX];
	struct kube_request r = {.method = KUBE_GET, .path = path, .timeout_ms = OWN_POD_MS};

	if (a->ending.asked == a->state.stop_signals)
		r.timeout_ms = PATIENT_MS;
	if (arena.cap == 0)
		arena_init(&arena, ARENA_MAX);
	a->ending.busy = true;
	a->ending.asked = a->state.stop_signals;
	kube_path(path, KIND_POD, a->namespace, a->pod, NULL, NULL);
	kube_send(a->api, &r, on_own_pod, a);
}

void
agent_stop_look(struct agent *a)
{
	struct agent_ending *e = &a->ending;

	if (e->busy || e->known == a->state.stop_signals ||
	    (e->asked == a->state.stop_signals && a->now.v < e->next.v))
		return;
	ask(a);
}

/* No such wish when the cluster goes, or is paused. */
void
agent_stop_switchover(struct agent *a)
{
	if (a->switching)
		return;
	if (!agent_leads(a)) {
		tell_switchover(a, 0, STR("not the leader"));
		return;
	}
	if (a->view.paused || a->cluster_gone || !a->password_known) {
		tell_switchover(a, 0, STR("the cluster is paused or being deleted"));
		return;
	}
	a->switching = a->ending.waits = true;
	if (!a->ending.busy)
		ask(a);
}
