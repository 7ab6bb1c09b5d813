/*
 * How a BGCluster goes: StatefulSet, pods, runtime objects, then the data if
 * deletionPolicy says so, then our finalizer. For plan/cluster.c. Nothing is deleted before every
 * list of the namespace is complete, nothing is ever made here, and data goes only after the anchor
 * was marked, which the executor checks again by itself.
 */
#include "plan/rule.h"

/* Again and again: it may be deleted while pods still end, and then our rights end soon. */
enum verdict
rule_namespace(struct plan_at *a)
{
	if (a->c->namespace_asked && rule_waits_until(a, a->c->namespace_at))
		return PASS;
	if (rule_waits(a, &a->c->self))
		return STOP;
	return rule_step(a, CHOICE_verb_OBSERVE_NAMESPACE, CHILD_ANCHOR, 0, NULL);
}

/* Something that it was made of is gone, or a pod is not ready. */
static bool
has_losses(const struct plan_at *a)
{
	const struct plan_cluster *c = a->c;

	if (c->statefulset.known && c->statefulset.ready < c->statefulset.replicas)
		return true;
	for (unsigned child = CHILD_ANCHOR; child < CHILD_COUNT; child++) {
		unsigned n = child == CHILD_INSTANCE ? rule_instances(c) : 1;

		for (unsigned i = 0; i < n; i++)
			if (!rule_unwatched((enum child)child) &&
			    rule_child_is(a, (enum child)child, i) == IS_MISSING)
				return true;
	}
	return false;
}

/*
 * Who is left alone makes nothing anew, and so is refused nothing: that its namespace is going
 * shows in what it loses, before its own deletion, when our rights there are gone as well.
 */
enum verdict
rule_namespace_held_up(struct plan_at *a)
{
	const struct plan_cluster *c = a->c;
	bool goes = c->wanted.deleting || c->wanted.blocked;
	int64_t sooner = c->lost ? NAMESPACE_MS - NAMESPACE_LOST_MS : 0;

	if (!c->wanted.finalizer || rule_waits(a, &c->self) || (!goes && !has_losses(a)))
		return PASS;
	if (goes ? c->namespace_asked && rule_waits_until(a, c->namespace_at)
	         : rule_waits_until(a, (struct msec){c->namespace_at.v - sooner}))
		return PASS;
	return rule_step(a, CHOICE_verb_OBSERVE_NAMESPACE, CHILD_ANCHOR, 0, NULL);
}

enum verdict
rule_remove_finalizer(struct plan_at *a)
{
	if (!a->c->wanted.finalizer || rule_waits(a, &a->c->self))
		return STOP;
	return rule_step(a, CHOICE_verb_REMOVE_FINALIZER, CHILD_ANCHOR, 0, NULL);
}

/* PASS: it is gone, or not ours. */
static enum verdict
remove_child(struct plan_at *a, enum child child, unsigned ordinal)
{
	const struct plan_child *s = rule_child(a->c, child, ordinal);

	if (!s->present || s->owner == 0)
		return PASS;
	if (s->deleting || !a->w->synced || rule_waits(a, &s->try))
		return STOP;
	return rule_step(a, CHOICE_verb_DELETE, child, ordinal, &s->uid);
}

enum verdict
rule_delete_statefulset(struct plan_at *a)
{
	return a->w->synced ? remove_child(a, CHILD_STATEFULSET, 0) : STOP;
}

/*
 * Pods without a StatefulSet, which end only if they are told: it was to be made anew when the
 * deletion came.
 */
static enum verdict
end_orphans(struct plan_at *a)
{
	for (unsigned i = 0; i < a->c->instances_n; i++) {
		const struct plan_instance *p = &a->c->instance[i];
		bool fresh = p->looked && a->w->now.v < p->looked_at.v + LOOK_FRESH_MS;
		bool gone = p->looked && (!p->pod_present || p->pod_terminating);

		/* Another may have been made since: it is looked at again, slowly. */
		if ((gone && (fresh || rule_waits(a, &p->look))) ||
		    (p->look.code != CHOICE_step_code_DONE && rule_waits(a, &p->look)))
			continue;
		return fresh ? rule_step(a, CHOICE_verb_REPLACE_POD, CHILD_INSTANCE, i, &p->pod_uid)
		             : rule_look_pod(a, i);
	}
	return PASS;
}

enum verdict
rule_await_pods(struct plan_at *a)
{
	if (a->c->pods_gone)
		return PASS;
	if (!rule_waits_until(a, a->c->pods_at))
		return rule_step(a, CHOICE_verb_OBSERVE_PODS, CHILD_STATEFULSET, 0, NULL);
	if (a->c->pods_looks >= ORPHAN_LOOKS && a->w->synced && end_orphans(a) == STEP)
		return STEP;
	return STOP;
}

/* In the reverse order of creation; one that can not be removed now does not keep the others. */
enum verdict
rule_delete_runtime(struct plan_at *a)
{
	bool left = false;

	for (unsigned child = CHILD_INSTANCE; child >= CHILD_SERVICEACCOUNT; child--) {
		unsigned n = child == CHILD_INSTANCE ? a->c->instances_n : 1;

		for (unsigned i = 0; i < n; i++) {
			enum verdict v = remove_child(a, (enum child)child, i);

			if (v == STEP)
				return v;
			left |= v == STOP;
		}
	}
	return left ? STOP : PASS;
}

enum verdict
rule_destroy_data(struct plan_at *a)
{
	static const enum choice_verb verbs[] = {
	    [PLAN_DATA_KEPT] = CHOICE_verb_DESTROY_ANCHOR,
	    [PLAN_ANCHOR_MARKED] = CHOICE_verb_DELETE_PVCS,
	    [PLAN_VOLUMES_DELETED] = CHOICE_verb_DELETE_CONFIGMAPS,
	    [PLAN_CONFIGMAPS_DELETED] = CHOICE_verb_DELETE,
	};
	const struct plan_child *anchor = &a->c->child[CHILD_ANCHOR];

	if (a->c->wanted.policy != CHOICE_deletion_policy_DELETE || a->c->wanted.invalid ||
	    a->c->destruction == PLAN_DATA_GONE)
		return PASS;
	if (!a->w->synced || rule_waits(a, &anchor->try))
		return STOP;
	return rule_step(a, verbs[a->c->destruction], CHILD_ANCHOR, 0,
	    a->c->destruction == PLAN_CONFIGMAPS_DELETED ? &anchor->uid : NULL);
}
