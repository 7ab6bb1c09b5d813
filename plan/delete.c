/*
 * How a BGCluster goes: StatefulSet, pods, runtime objects, then the data if
 * deletionPolicy says so, then our finalizer. For plan/cluster.c. Nothing is deleted before every
 * list of the namespace is complete, nothing is ever made here, and data goes only after the anchor
 * was marked, which the executor checks again by itself.
 */
#include "plan/rule.h"

#include <stdio.h>

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

/* --- What takes too long. */

static bool
has_pod(const struct plan_cluster *c, unsigned ordinal)
{
	return c->instance[ordinal].looked && c->instance[ordinal].pod_present;
}

static void
put_pods(const struct plan_cluster *c, char *out, size_t size)
{
	for (unsigned i = 0; i < c->instances_n; i++) {
		if (!has_pod(c, i))
			continue;
		snprintf(out, size,
		    "Pod %s-%u still stops, has someone's finalizer, or its node is lost: once "
		    "that is off for certain, kubectl delete pod --force.",
		    c->name, i);
		return;
	}
	snprintf(
	    out, size, "Its pods do not end; see kubectl get pods -l %s=%s.", LABEL_SCOPE, c->name);
}

/* An object that was told to go and is there. */
static bool
put_child(const struct plan_cluster *c, enum child child, unsigned ordinal, char *out, size_t size)
{
	const struct plan_child *s = rule_child(c, child, ordinal);
	char name[NAME_MAX_LABEL + 1];

	if (!s->present || !s->deleting)
		return false;
	model_child_name(name, child, c->name, ordinal);
	snprintf(out, size,
	    "%s %s is deleted but does not go: someone's finalizer holds it; see its "
	    "metadata.finalizers.",
	    kind_info[child_info[child].kind].name, name);
	return true;
}

static bool
put_object(const struct plan_cluster *c, char *out, size_t size)
{
	for (unsigned child = CHILD_SERVICEACCOUNT; child < CHILD_STATEFULSET; child++)
		for (unsigned i = 0; i < (child == CHILD_INSTANCE ? c->instances_n : 1u); i++)
			if (put_child(c, (enum child)child, i, out, size))
				return true;
	return false;
}

/* Servers come to rest first, where the data is kept, and pods have their grace period then. */
static int64_t
stalls_after(const struct plan_cluster *c)
{
	int64_t pods = REST_MS + (int64_t)1000 * c->wanted.grace;

	return pods > DELETION_STALLED_MS ? pods : DELETION_STALLED_MS;
}

bool
delete_stalls(struct plan_at *a, char *text, size_t size)
{
	const struct plan_cluster *c = a->c;

	if (!a->w->synced || rule_waits_until(a, (struct msec){c->deleting_at.v + stalls_after(c)}))
		return false;
	if (put_child(c, CHILD_STATEFULSET, 0, text, size))
		return true;
	if (c->child[CHILD_STATEFULSET].present && c->child[CHILD_STATEFULSET].owner == a->owner)
		return false; /* its servers come to rest, or that it goes is refused */
	if (!c->pods_gone) {
		put_pods(c, text, size);
		return true;
	}
	if (put_object(c, text, size))
		return true;
	if (c->destruction != PLAN_ANCHOR_MARKED && c->destruction != PLAN_VOLUMES_DELETED)
		return false;
	snprintf(text, size,
	    "%s that were deleted do not go: a pod uses them, or someone's finalizer holds them; "
	    "see "
	    "kubectl describe %s -l " LABEL_CLUSTER "=%s.",
	    c->destruction == PLAN_ANCHOR_MARKED ? "Volumes" : "ConfigMaps",
	    c->destruction == PLAN_ANCHOR_MARKED ? "pvc" : "configmap", c->name);
	return true;
}
