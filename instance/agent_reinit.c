/*
 * A replica that can not follow: how the agent finds out, and operation Reinit. What it finds it
 * only reports; the operator, who sees all instances, says whether its data gives way to a clone.
 * Even then nothing is touched before this agent has seen the lock of another instance renewed, and
 * init has the last word (renewer.c). The operation has ended when this instance streams again:
 * until then Patroni clones and tries again by itself, and another agent goes on where this one
 * was, since init does each renewal once.
 */
#include "instance/agent.h"

#define ASK_MS 10000        /* between two questions to the leader's server */
#define LOOK_MS 2000        /* between two looks at the lock */
#define PROOF_MS 60000      /* and twice loop_wait, in which a lock that is held is renewed */
#define RENEW_MS 300000     /* init answers within a minute; then its word was lost */
#define CLONE_MS 86400000LL /* a large database over a slow network */
#define ARENA_MAX (4u << 20)

static struct arena arena; /* of one reply */

static void
get(struct agent *a, const char *suffix, void (*done)(void *, const struct kube_reply *))
{
	char name[NAME_MAX_LABEL + 8];

	if (arena.cap == 0)
		arena_init(&arena, ARENA_MAX);
	(void)snprintf(name, sizeof(name), "%s-%s", a->cluster, suffix);
	a->reinit.busy = true;
	api_get(a, KIND_CONFIGMAP, name, done);
}

/* --- Finding out. */

static bool
is_cut_off(const struct agent *a)
{
	const struct view *v = &a->view;

	/* Sent less than it has replayed, it seems to stream: of another history. */
	return a->released && v->known && v->running && !v->primary &&
	       (!v->streaming || v->received < v->replayed) && !v->restores && !v->paused &&
	       v->cluster_known && v->has_leader && !v->leads && v->leader_host[0] != '\0' &&
	       v->system_identifier != 0 && v->received != 0 && v->replayed != 0 &&
	       !a->state.stopping;
}

static void
ask_leader(struct agent *a)
{
	const struct view *v = &a->view;
	struct ipc_msg m = {.type = IPC_FOLLOW, .fds = {-1, -1}};

	if (!is_cut_off(a)) {
		follow_note(&a->follow, CHOICE_follow_UNKNOWN, a->now);
		a->follow_next.v = a->now.v + ASK_MS;
		return;
	}
	if (a->now.v < a->follow_next.v)
		return;
	str_copy_text(m.follow.host, sizeof(m.follow.host), str_of(v->leader_host));
	m.follow.system_identifier = v->system_identifier;
	m.follow.timeline = v->timeline;
	m.follow.received = v->received;
	m.follow.replayed = v->replayed;
	if (child_send(&a->self, &m))
		a->follow_next.v = a->now.v + ASK_MS;
}

void
reinit_followed(struct agent *a, const struct msg_followed *m)
{
	struct msec now = clock_boot();

	follow_note(&a->follow,
	    is_cut_off(a) ? (enum choice_follow)m->finding : CHOICE_follow_UNKNOWN, now);
}

/* Patroni refuses data of another cluster, and ends (patroni/ha.py, "system ID mismatch"). */
static bool
is_foreign(const struct agent *a)
{
	return a->disk_known && a->disk.system_identifier != 0 && a->cluster_identifier != 0 &&
	       a->disk.system_identifier != a->cluster_identifier;
}

static void
on_identifier(void *arg, const struct kube_reply *r)
{
	struct agent *a = arg;
	struct json j;

	a->reinit.busy = false;
	if (api_parse(r, &arena, &j))
		a->cluster_identifier = proof_identifier(&j);
	agent_look(a);
}

static void
ask_identifier(struct agent *a)
{
	if (a->view.known || !a->released || !a->disk_known || a->disk.system_identifier == 0 ||
	    a->state.patroni_exits == 0) {
		a->cluster_identifier = a->view.known ? 0 : a->cluster_identifier;
		return;
	}
	if (a->reinit.busy || a->now.v < a->identifier_next.v)
		return;
	a->identifier_next.v = a->now.v + ASK_MS;
	get(a, "config", on_identifier);
}

void
reinit_report(const struct agent *a, struct report_input *in)
{
	in->foreign = !a->view.known && is_foreign(a);
	in->cluster_identifier = a->cluster_identifier;
	in->cannot_follow =
	    follow_is_certain(&a->follow, a->now) ? a->follow.finding : CHOICE_follow_UNKNOWN;
	in->reinitialising = a->operate.kind == CHOICE_operation_REINIT &&
	                     a->operate.phase == CHOICE_operation_phase_RUNNING &&
	                     a->reinit.renewed;
	in->kept = a->disk.kept;
}

void
reinit_find(struct agent *a)
{
	ask_leader(a);
	ask_identifier(a);
}

/* --- The operation. */

static void
on_lock(void *arg, const struct kube_reply *r)
{
	struct agent *a = arg;
	struct json j;

	a->reinit.busy = false;
	a->reinit.next.v = clock_boot().v + LOOK_MS;
	if (api_parse(r, &arena, &j) && proof_look(&a->reinit.proof, &j, a->pod)) {
		a->reinit.proven = true;
		a->reinit.proven_at = clock_boot();
	}
	agent_look(a);
}

/* Just before the lock: whose data is it that this cluster has? */
static void
on_config(void *arg, const struct kube_reply *r)
{
	struct agent *a = arg;
	struct json j;

	a->reinit.busy = false;
	a->reinit.identifier = api_parse(r, &arena, &j) ? proof_identifier(&j) : 0;
	a->reinit.next.v = clock_boot().v + LOOK_MS;
	if (a->reinit.identifier != 0)
		get(a, "leader", on_lock);
}

static void
tell_renew(struct agent *a)
{
	struct reinit_job *r = &a->reinit;
	struct ipc_msg m = {.type = IPC_RENEW, .fds = {-1, -1}};
	uint64_t own = a->disk.system_identifier;

	/* it may have been looked at while a clone filled it: then Patroni knows */
	if (own == 0 && a->view.known)
		own = a->view.system_identifier;
	if (!a->disk_known)
		return;
	if (uid_parse(str_of(a->operate.id), &m.renew.id) == -1) {
		operate_finish(a, CHOICE_operation_phase_FAILED, STR("its id is no uid"));
		return;
	}
	m.renew.system_identifier = own;
	m.renew.keep = own != r->identifier; /* what can not be told (0) is kept too */
	r->told = child_tell(&a->self, &m);
	r->told_at = a->now;
}

static int64_t
proof_ms(const struct agent *a)
{
	return PROOF_MS + (a->spec != NULL ? 2000 * a->spec->loop_wait : 0);
}

static void
prepare(struct agent *a)
{
	struct reinit_job *r = &a->reinit;

	if (agent_leads(a) || (a->view.known && a->view.primary))
		operate_finish(a, CHOICE_operation_phase_FAILED,
		    STR("this instance leads; hand its leadership on first"));
	else if (a->view.known && a->view.paused)
		operate_finish(a, CHOICE_operation_phase_FAILED,
		    STR("Patroni is paused, and would not clone; resume it"));
	else if (a->operate.automatic && !r->told && a->view.known && a->view.streaming)
		operate_finish(a, CHOICE_operation_phase_SUCCEEDED, STR("it streams again"));
	else if (!r->told && a->now.v >= r->begun.v + proof_ms(a))
		operate_finish(a, CHOICE_operation_phase_FAILED,
		    STR("no other instance was seen to lead, so this data may be the last"));
	else if (r->told && a->now.v >= r->told_at.v + RENEW_MS)
		operate_finish(a, CHOICE_operation_phase_FAILED,
		    STR("PostgreSQL could not be stopped; see the pod's log"));
	else if (r->proven && !r->told && a->now.v < r->proven_at.v + LOOK_MS)
		tell_renew(a);
	else if (!r->told && !r->busy && a->now.v >= r->next.v)
		get(a, "config", on_config);
}

void
reinit_renewed(struct agent *a, const struct msg_renew_done *m)
{
	struct uid id;

	if (a->operate.kind != CHOICE_operation_REINIT ||
	    a->operate.phase != CHOICE_operation_phase_RUNNING ||
	    uid_parse(str_of(a->operate.id), &id) == -1 || !uid_eq(&id, &m->id))
		return;
	if (!m->done) {
		operate_finish(a, CHOICE_operation_phase_FAILED, str_of(m->text));
		return;
	}
	a->follow = (struct follow_track){0}; /* of the data that went */
	a->reinit.renewed = true;
	a->reinit.renewed_at = clock_boot();
	str_copy_text(a->reinit.text, sizeof(a->reinit.text), str_of(m->text));
}

/* It clones, or has: Patroni's view of before was dropped when it was killed. */
static void
await(struct agent *a)
{
	struct reinit_job *r = &a->reinit;

	if (a->view.known && a->view.cluster_known && a->view.streaming)
		operate_finish(a, CHOICE_operation_phase_SUCCEEDED, str_of(r->text));
	else if (follow_is_certain(&a->follow, a->now))
		operate_finish(a, CHOICE_operation_phase_FAILED,
		    STR("it was cloned, but still can not follow"));
	else if (a->now.v >= r->renewed_at.v + CLONE_MS)
		operate_finish(a, CHOICE_operation_phase_FAILED,
		    STR("it did not stream within a day; see the pod's log"));
}

bool
reinit_is_told(const struct agent *a)
{
	const struct reinit_job *r = &a->reinit;

	return strcmp(r->id, a->operate.id) == 0 && r->told && !r->renewed;
}

/* RUNNING, and noted in status. */
void
reinit_look(struct agent *a)
{
	struct reinit_job *r = &a->reinit;

	if (strcmp(r->id, a->operate.id) != 0) {
		*r = (struct reinit_job){.busy = r->busy, .begun = a->now};
		(void)snprintf(r->id, sizeof(r->id), "%s", a->operate.id);
	}
	if (r->renewed)
		await(a);
	else
		prepare(a);
}
