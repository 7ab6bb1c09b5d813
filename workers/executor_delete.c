/*
 * What is removed one by one: children, a StatefulSet without its pods, a pod, a volume that was
 * never bound or that a smaller cluster has no more. Each is read first, must be ours and the very
 * object that the step was decided for, and is deleted by uid. What is going already is not told
 * again, and nothing is ever deleted with grace period 0. What goes with a whole cluster's data is
 * in executor_purge.c.
 */
#include "workers/executor.h"

#include <stdio.h>
#include <string.h>

/* What is left of it is only the API server's to say. */
static void
on_deleted(struct step *s, const struct kube_reply *r)
{
	s->done.present = false;
	if (step_ok(r) || step_replied(r, 404))
		step_end_done(s);
	else
		step_fail(s, r);
}

/* What a StatefulSet makes carries our label, but no owner annotation. */
static bool
is_ours(const struct step *s, enum kind k, const struct object_meta *m)
{
	return k == KIND_POD || k == KIND_PVC ? str_is(m->cluster, s->req.name) : step_owns(s, m);
}

/* True: m may be deleted. Else the step has ended. */
static bool
is_target(struct step *s, enum kind k, const struct object_meta *m)
{
	step_saw(s, m);
	if (!is_ours(s, k, m))
		step_end_foreign(s, k, s->name);
	else if (!uid_eq(&m->uid, &s->req.target))
		step_end(s, CHOICE_step_code_CONFLICT, REASON_NONE, "%s %s is another one now",
		    kind_info[k].name, s->name);
	else if (m->deleting)
		step_end_done(s);
	else
		return true;
	return false;
}

/* Likewise for a reply; an object that is not there ends the step as DONE. */
static bool
parse_target(
    struct step *s, enum kind k, const struct kube_reply *r, struct json *j, struct object_meta *m)
{
	if (!step_replied(r, 404))
		return step_parse_object(s, r, s->name, j, m) && is_target(s, k, m);
	step_end_done(s);
	return false;
}

/* --- DELETE */

static void
delete_child(struct step *s)
{
	struct guard guard = {s->req.target, 0};

	step_delete(s, child_info[s->req.child].kind, s->name, &guard, "Background", on_deleted);
}

/*
 * Of a cluster that goes, did it lead? Who was held all the while says only what is on its volume:
 * that may be old.
 */
static bool
has_led(struct step *s, const struct json *j, uint32_t *timeline)
{
	struct bginstance i;

	if (s->req.child != CHILD_INSTANCE || !policy_is_going(&s->cluster) ||
	    decode_bginstance(j, json_root(j), &s->arena, &i, NULL) == -1 || i.hold ||
	    i.role != CHOICE_instance_role_PRIMARY || i.timeline <= 0 || i.timeline > UINT32_MAX)
		return false;
	*timeline = (uint32_t)i.timeline;
	return true;
}

static void
on_child(struct step *s, const struct kube_reply *r)
{
	struct object_meta m;
	uint32_t timeline;
	struct json j;

	if (!parse_target(s, child_info[s->req.child].kind, r, &j, &m))
		return;
	if (has_led(s, &j, &timeline))
		verb_record_primary(s, timeline, delete_child);
	else
		delete_child(s);
}

static void
get_child(struct step *s)
{
	step_get(s, child_info[s->req.child].kind, s->name, on_child);
}

void
verb_delete(struct step *s)
{
	model_child_name(s->name, s->req.child, s->req.name, s->req.ordinal);
	if (s->row->needs & NEED_DESTROYING)
		verb_after_commit(s, get_child);
	else
		get_child(s);
}

/*
 * --- ORPHAN_STATEFULSET: for new volume templates only; its pods go on and are adopted by the
 * next.
 */

static void
on_statefulset(struct step *s, const struct kube_reply *r)
{
	struct statefulset_view view;
	struct guard guard;
	struct object_meta m;
	struct json j;
	struct err e;

	if (!parse_target(s, KIND_STATEFULSET, r, &j, &m))
		return;
	if (decode_statefulset(&j, json_root(&j), &s->arena, &view, &e) == -1) {
		step_end_err(s, &e);
		return;
	}
	if (view.storage_inputs == s->cluster.hash[GROUP_STORAGE]) {
		step_end(s, CHOICE_step_code_CONFLICT, REASON_NONE,
		    "StatefulSet %s has the volumes that the spec asks for", s->name);
		return;
	}
	guard = (struct guard){m.uid, 0};
	step_delete(s, KIND_STATEFULSET, s->name, &guard, "Orphan", on_deleted);
}

void
verb_orphan_statefulset(struct step *s)
{
	model_child_name(s->name, CHILD_STATEFULSET, s->req.name, 0);
	step_get(s, KIND_STATEFULSET, s->name, on_statefulset);
}

/* --- REPLACE_POD, REPLACE_PVC: the StatefulSet makes the next one. */

/* The cluster's other pods. */
struct siblings {
	struct step *s;
	unsigned ready;
	bool primary; /* one of them is, and Ready */
};

static bool
is_sibling(const struct step *s, struct str name)
{
	char wanted[NAME_MAX_LABEL + 4];

	for (unsigned i = 0; i < (unsigned)s->cluster.instances; i++) {
		snprintf(wanted, sizeof(wanted), "%s-%u", s->req.name, i);
		if (i != s->req.ordinal && str_is(name, wanted))
			return true;
	}
	return false;
}

static int
on_sibling(void *arg, const struct feed_item *item)
{
	struct siblings *x = arg;
	struct pod_view p;

	if (observe_pod(item->j, &x->s->arena, &p, NULL) == -1 || !p.ready || p.meta.deleting ||
	    !is_sibling(x->s, p.meta.name))
		return 0;
	x->ready++;
	x->primary |= p.primary;
	return 0;
}

static void
replace(struct step *s)
{
	struct guard guard = {s->req.target, 0};

	step_delete(s, KIND_POD, s->name, &guard, "Background", on_deleted);
}

/* A pod that serves is replaced only while all the others are there and Ready. */
static void
on_siblings_of_ready(struct step *s, const struct kube_reply *r)
{
	struct siblings x = {.s = s};

	if (!step_items(s, r, on_sibling, &x))
		return;
	if (x.ready + 1 < (unsigned)s->cluster.instances)
		step_end(s, CHOICE_step_code_CONFLICT, REASON_NONE,
		    "pod %s stays: not all the others are ready", s->name);
	else
		replace(s);
}

/* One that bears the primary's label and is not Ready may be handing over, or about to be back. */
static void
on_siblings_of_primary(struct step *s, const struct kube_reply *r)
{
	struct siblings x = {.s = s};

	if (!step_items(s, r, on_sibling, &x))
		return;
	if (!x.primary)
		step_end(s, CHOICE_step_code_CONFLICT, REASON_NONE,
		    "pod %s stays: no other is the primary", s->name);
	else
		replace(s);
}

/* May this pod of a cluster that lives be replaced? */
static void
consider(struct step *s, const struct pod_view *p)
{
	bool several = s->cluster.instances > 1;

	if (p->ready &&
	    (!s->has_spec || p->inputs == 0 || p->inputs == model_pod_inputs(s->cluster.hash)))
		step_end(s, CHOICE_step_code_CONFLICT, REASON_NONE, "pod %s is ready now", s->name);
	else if (p->ready && p->primary && several)
		step_end(s, CHOICE_step_code_CONFLICT, REASON_NONE,
		    "pod %s is the primary: first another one must be", s->name);
	else if (p->ready)
		step_list_cluster(s, KIND_POD, on_siblings_of_ready);
	else if (p->primary && several)
		step_list_cluster(s, KIND_POD, on_siblings_of_primary);
	else
		replace(s);
}

static void
on_pod(struct step *s, const struct kube_reply *r)
{
	struct object_meta m;
	struct pod_view p;
	struct json j;
	struct err e;

	if (!parse_target(s, KIND_POD, r, &j, &m))
		return;
	if (observe_pod(&j, &s->arena, &p, &e) == -1) {
		step_end_err(s, &e);
		return;
	}
	if (policy_is_going(&s->cluster))
		replace(s);
	else
		consider(s, &p);
}

void
verb_replace_pod(struct step *s)
{
	snprintf(s->name, sizeof(s->name), "%s-%u", s->req.name, (unsigned)s->req.ordinal);
	step_get(s, KIND_POD, s->name, on_pod);
}

/*
 * Of the instance's two claims, that which is meant, by its uid; only of that is there anything to
 * say.
 */
static void
get_claim(struct step *s, step_next *next)
{
	observe_pvc_name(s->name, s->claim, s->req.name, s->req.ordinal);
	step_get(s, KIND_PVC, s->name, next);
}

/* True: p may be deleted. Else the step has ended, or the other claim is asked for. */
static bool
parse_target_pvc(struct step *s, const struct kube_reply *r, step_next *next, struct pvc_view *p)
{
	bool more = s->claim == CLAIM_OF_DATA;

	if (more && step_replied(r, 404)) {
		s->claim = CLAIM_OF_WAL;
		get_claim(s, next);
		return false;
	}
	if (s->done.present && step_replied(r, 404)) {
		step_end(s, CHOICE_step_code_CONFLICT, REASON_NONE, "the PVC is another one now");
		return false;
	}
	if (!step_parse_pvc(s, r, p))
		return false;
	if (more && !uid_eq(&p->meta.uid, &s->req.target)) {
		step_saw(s, &p->meta);
		s->claim = CLAIM_OF_WAL;
		get_claim(s, next);
		return false;
	}
	return is_target(s, KIND_PVC, &p->meta);
}

static void
on_pvc(struct step *s, const struct kube_reply *r)
{
	struct guard guard;
	struct pvc_view p;

	if (!parse_target_pvc(s, r, on_pvc, &p))
		return;
	if (!p.pending || p.volume) {
		step_end(s, CHOICE_step_code_CONFLICT, REASON_NONE,
		    "PVC %s has a volume: it may hold data", s->name);
		return;
	}
	guard = patch_guard(&p.meta); /* with its version: it may be bound a moment later */
	step_delete(s, KIND_PVC, s->name, &guard, "Background", on_deleted);
}

void
verb_replace_pvc(struct step *s)
{
	get_claim(s, on_pvc);
}

/*
 * --- DELETE_PVC: the volume of an ordinal that a smaller cluster has no more (the policy has
 * looked at the user's object). Not while its pod is there or the StatefulSet could make one, nor,
 * if it may hold data, before an instance that stays is the primary: its rows may be the newest.
 */

static void
on_members(struct step *s, const struct kube_reply *r)
{
	struct siblings x = {.s = s};

	if (!step_items(s, r, on_sibling, &x))
		return;
	if (x.primary)
		step_delete(s, KIND_PVC, s->name, &s->volume, "Background", on_deleted);
	else
		step_end(s, CHOICE_step_code_CONFLICT, REASON_NONE,
		    "PVC %s stays: no instance that stays is the primary", s->name);
}

static void
on_surplus_pvc(struct step *s, const struct kube_reply *r)
{
	struct pvc_view p;

	if (!parse_target_pvc(s, r, on_surplus_pvc, &p))
		return;
	s->volume = patch_guard(&p.meta);
	if (p.pending && !p.volume)
		step_delete(s, KIND_PVC, s->name, &s->volume, "Background", on_deleted);
	else
		step_list_cluster(s, KIND_POD, on_members);
}

static void
on_surplus_pod(struct step *s, const struct kube_reply *r)
{
	if (step_replied(r, 404)) {
		get_claim(s, on_surplus_pvc);
	} else if (step_ok(r)) {
		step_end(
		    s, CHOICE_step_code_CONFLICT, REASON_NONE, "pod %s is still there", s->name);
	} else {
		step_fail(s, r);
	}
}

static void
on_shrunk_statefulset(struct step *s, const struct kube_reply *r)
{
	struct statefulset_view view;
	struct object_meta m;
	struct json j;
	struct err e;

	if (!step_replied(r, 404)) {
		if (!step_parse_object(s, r, s->name, &j, &m))
			return;
		if (decode_statefulset(&j, json_root(&j), &s->arena, &view, &e) == -1) {
			step_end_err(s, &e);
			return;
		}
		if (view.replicas > s->req.ordinal) {
			step_end(s, CHOICE_step_code_CONFLICT, REASON_NONE,
			    "StatefulSet %s still has that instance", s->name);
			return;
		}
	}
	snprintf(s->name, sizeof(s->name), "%s-%u", s->req.name, (unsigned)s->req.ordinal);
	step_get(s, KIND_POD, s->name, on_surplus_pod);
}

void
verb_delete_pvc(struct step *s)
{
	model_child_name(s->name, CHILD_STATEFULSET, s->req.name, 0);
	step_get(s, KIND_STATEFULSET, s->name, on_shrunk_statefulset);
}
