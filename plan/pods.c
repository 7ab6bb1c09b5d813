/*
 * Pods and volumes, which nobody watches: when to look at them, and which of them may be replaced.
 * For plan/cluster.c. A pod is replaced only if PostgreSQL never ran in it or it can not come up by
 * itself; running databases are left alone.
 */
#include "plan/rule.h"

static bool
is_unready(const struct plan_at *a)
{
	return a->c->unready_since.v != 0 && a->c->child[CHILD_STATEFULSET].present;
}

static bool
is_settled(const struct plan_at *a, enum child child)
{
	enum plan_is is = rule_child_is(a, child, 0);

	return is == IS_SETTLED || is == IS_UNVERIFIED;
}

static bool
waits_on_volume(const struct plan_instance *p)
{
	return p->pod_present && !p->pod_ready &&
	       (p->pod_reason == REASON_VOLUME_PENDING || p->pod_reason == REASON_UNSCHEDULABLE);
}

/* --- Looking. */

enum verdict
rule_look_pod(struct plan_at *a, unsigned ordinal)
{
	a->out->sent.key = a->c->instance[ordinal].reports;
	return rule_step(a, CHOICE_verb_OBSERVE_POD, CHILD_INSTANCE, ordinal, NULL);
}

static enum verdict
look_at(struct plan_at *a, unsigned i)
{
	const struct plan_instance *p = &a->c->instance[i];

	if (p->looked && waits_on_volume(p) && !p->pvc_looked)
		return rule_step(a, CHOICE_verb_OBSERVE_PVC, CHILD_INSTANCE, i, NULL);
	return rule_look_pod(a, i);
}

/* A pod that says it serves is doubted only when the StatefulSet counts fewer of them. */
static bool
is_doubtful(const struct plan_cluster *c, unsigned i)
{
	return !status_serves(c, i) || status_serving(c) > c->statefulset.ready;
}

enum verdict
rule_look(struct plan_at *a)
{
	const struct plan_cluster *c = a->c;

	if (!is_unready(a) || rule_waits_until(a, (struct msec){c->unready_since.v + UNREADY_MS}))
		return PASS;
	for (unsigned i = 0; i < rule_instances(c); i++) {
		const struct plan_instance *p = &c->instance[i];

		if (!is_doubtful(c, i))
			continue;
		if (p->looked && waits_on_volume(p) && !p->pvc_looked &&
		    p->look.code == CHOICE_step_code_DONE)
			return look_at(a, i);
		if (!rule_waits(a, &p->look))
			return look_at(a, i);
	}
	return PASS;
}

enum verdict
rule_look_all(struct plan_at *a)
{
	if (!a->c->child[CHILD_STATEFULSET].present || rest_has_no_pods(a->c))
		return PASS;
	for (unsigned i = 0; i < rule_instances(a->c); i++) {
		const struct plan_instance *p = &a->c->instance[i];

		if (!p->looked && p->look.reason == REASON_NONE && !rule_waits(a, &p->look))
			return look_at(a, i);
	}
	return PASS;
}

enum verdict
rule_look_first(struct plan_at *a)
{
	for (unsigned i = 0; i < rule_instances(a->c); i++) {
		const struct plan_instance *p = &a->c->instance[i];

		if (p->looked || p->look.reason != REASON_NONE || !status_current(a->c, i))
			continue;
		return rule_waits(a, &p->look) ? STOP : rule_look_pod(a, i);
	}
	return PASS;
}

static bool
has_run(const struct plan_cluster *c)
{
	for (unsigned i = 0; i < rule_instances(c); i++)
		if (c->instance[i].report.timeline > 0)
			return true;
	return false;
}

/* Of a cluster whose pods are not ready. */
static struct msec
ask_namespace_at(const struct plan_cluster *c)
{
	bool asked =
	    c->namespace_at.v != 0 && c->namespace_at.v - NAMESPACE_MS >= c->unready_since.v;
	int64_t first = c->unready_since.v + (has_run(c) ? 0 : NAMESPACE_MS);

	return asked ? c->namespace_at : (struct msec){first};
}

/*
 * At once when running pods stop being ready, and then now and again: a namespace that is being
 * deleted takes its pods first, and our rights go right after them.
 */
enum verdict
rule_namespace_lost(struct plan_at *a)
{
	if (!is_unready(a) || rule_waits_until(a, ask_namespace_at(a->c)) ||
	    rule_waits(a, &a->c->self))
		return PASS;
	return rule_step(a, CHOICE_verb_OBSERVE_NAMESPACE, CHILD_ANCHOR, 0, NULL);
}

/*
 * Who is about to ask need not: hundreds that do would hold up what follows from the answer. One
 * that is deleted asks again and again itself.
 */
void
plan_note_namespace_asked(struct plan_cluster *c, struct msec now)
{
	if (c->present && !c->wanted.deleting && !c->wanted.blocked && c->unready_since.v != 0 &&
	    ask_namespace_at(c).v < now.v + NAMESPACE_SHARED_MS)
		c->namespace_at.v = now.v + NAMESPACE_MS;
}

/* --- The report of a pod that is no more. */

static bool
is_lost(const struct plan_instance *p)
{
	if (!p->looked || uid_none(&p->report.pod_uid))
		return false;
	if (!p->pod_present || !uid_eq(&p->pod_uid, &p->report.pod_uid))
		return true;
	/* A lost node's pod is there until someone forces it away. */
	return p->pod_terminating && !p->pod_ready && p->looks >= 3;
}

/* A replica that we replace is back in a moment, with its own word. */
static bool
is_being_replaced(struct plan_at *a, unsigned i)
{
	const struct plan_instance *p = &a->c->instance[i];

	return roll_is_ending(a->c, i) && p->report.role != CHOICE_instance_role_PRIMARY &&
	       rule_waits_until(a, (struct msec){p->replaced_at.v + REPLACED_MS});
}

enum verdict
rule_unreachable(struct plan_at *a)
{
	/* Who rests has no pod, and its last word says who leads next. */
	if (rest_has_no_pods(a->c))
		return PASS;
	for (unsigned i = 0; i < rule_instances(a->c); i++) {
		const struct plan_instance *p = &a->c->instance[i];

		if (!p->child.present || p->child.deleting || p->unreachable || !is_lost(p) ||
		    p->report.state == CHOICE_instance_state_STOPPED ||
		    (p->report.role == CHOICE_instance_role_NONE &&
			p->report.state == CHOICE_instance_state_UNKNOWN) ||
		    is_being_replaced(a, i))
			continue;
		if (!rule_waits(a, &p->child.try))
			return rule_step(
			    a, CHOICE_verb_UNREACHABLE, CHILD_INSTANCE, i, &p->report.pod_uid);
	}
	return PASS;
}

/* --- Replacing. */

/* Did this pod never come to hold its volume's lock? */
static bool
never_started(const struct plan_instance *p)
{
	if (!uid_eq(&p->report.pod_uid, &p->pod_uid))
		return true;
	return p->report.state == CHOICE_instance_state_UNKNOWN ||
	       p->report.state == CHOICE_instance_state_WAITING_FOR_LOCK ||
	       p->report.state == CHOICE_instance_state_FAILED;
}

static bool
is_replaceable(const struct plan_instance *p)
{
	return p->looked && p->pod_present && !p->pod_ready && !p->pod_terminating &&
	       (never_started(p) || p->pod_reason == REASON_CRASH_LOOP);
}

/* A Pending, never-bound volume that is not what the spec asks for. */
static bool
has_wrong_volume(const struct plan_cluster *c, const struct plan_instance *p)
{
	return waits_on_volume(p) && p->pvc_looked && p->pvc_present && !p->pvc_bound &&
	       !p->pvc_terminating && !p->pvc_fits &&
	       c->statefulset.storage_inputs == c->wanted.hash[GROUP_STORAGE];
}

static bool
has_wrong_pod(const struct plan_cluster *c, const struct plan_instance *p)
{
	/* Not while what comes back is not what is wanted either. */
	if (p->pod_inputs != 0 && p->pod_inputs != model_pod_inputs(c->wanted.hash) &&
	    !template_is_due(c))
		return true;
	/* Its volume was replaced: the next pod brings the next volume. */
	return waits_on_volume(p) && p->pvc_looked && (!p->pvc_present || p->pvc_terminating);
}

static enum verdict
replace(struct plan_at *a, unsigned i, enum choice_verb verb, const struct uid *target)
{
	const struct plan_instance *p = &a->c->instance[i];

	if (p->look.code != CHOICE_step_code_DONE && rule_waits(a, &p->look))
		return PASS;
	if (a->w->now.v >= p->looked_at.v + LOOK_FRESH_MS)
		return rule_look_pod(a, i);
	return rule_step(a, verb, CHILD_INSTANCE, i, target);
}

enum verdict
rule_replace(struct plan_at *a)
{
	const struct plan_cluster *c = a->c;

	if (!a->w->synced || !is_unready(a) || !is_settled(a, CHILD_STATEFULSET) ||
	    !c->statefulset.known)
		return PASS;
	for (unsigned i = 0; i < rule_instances(c); i++) {
		const struct plan_instance *p = &c->instance[i];
		enum verdict v = PASS;

		if (!is_replaceable(p))
			continue;
		if (has_wrong_volume(c, p))
			v = replace(a, i, CHOICE_verb_REPLACE_PVC, &p->pvc_uid);
		else if (has_wrong_pod(c, p))
			v = replace(a, i, CHOICE_verb_REPLACE_POD, &p->pod_uid);
		if (v == STEP)
			return v;
	}
	return PASS;
}
