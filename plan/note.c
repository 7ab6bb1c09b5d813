/*
 * What the watcher saw, taken into the state of one cluster. For the reconciler. Level-triggered: a
 * record replaces what was known of that object, unless it is older; what follows from it is asked
 * of the rules.
 */
#include <string.h>

#include "plan/rule.h"

/* --- The user's object. */

static void
forget_try(struct plan_try *t)
{
	*t = (struct plan_try){.code = t->code};
}

/* A record is news to whom was told that the world had moved. */
static void
forget_conflict(struct plan_try *t)
{
	if (t->code == CHOICE_step_code_CONFLICT || t->code == CHOICE_step_code_GONE)
		t->until.v = 0;
}

static void
each_try(struct plan_cluster *c, void (*f)(struct plan_try *t))
{
	f(&c->self);
	for (unsigned child = 0; child < CHILD_COUNT; child++)
		f(&c->child[child].try);
	for (unsigned i = 0; i < c->instances_n; i++) {
		f(&c->instance[i].child.try);
		f(&c->instance[i].look);
		f(&c->instance[i].volume);
	}
}

static void
look_again(struct plan_instance *p)
{
	p->looks = 0;
	p->look.until.v = 0;
}

/* Another spec: what was refused may be accepted now, at once. */
static void
forget_tries(struct plan_cluster *c)
{
	each_try(c, forget_try);
	forget_try(&c->say);
	c->trouble = 0;
	for (unsigned i = 0; i < c->instances_n; i++) {
		look_again(&c->instance[i]);
		c->instance[i].tells = 0;
	}
}

/*
 * Another BGCluster of this name: of the last one only its objects are left, and all of them are to
 * be compared.
 */
static void
start_over(struct plan_cluster *c)
{
	struct plan_cluster fresh = {.name = c->name,
	    .instance = c->instance,
	    .instances_n = c->instances_n,
	    .dbops = c->dbops,
	    .dbops_n = c->dbops_n,
	    .statefulset = c->statefulset,
	    .invalid_text = c->invalid_text,
	    .windows = c->windows,
	    .trouble_text = c->trouble_text,
	    .unready_since = c->unready_since};

	memcpy(fresh.child, c->child, sizeof(fresh.child));
	*c = fresh;
	for (unsigned child = 0; child < CHILD_COUNT; child++) {
		c->child[child].verify = PLAN_UNVERIFIED;
		if (rule_unwatched((enum child)child))
			c->child[child].present = false;
	}
	for (unsigned i = 0; i < c->instances_n; i++)
		c->instance[i].child.verify = PLAN_UNVERIFIED;
	forget_tries(c);
}

static void
note_generation(struct plan_cluster *c, const struct plan_wanted *w, bool first, struct msec now)
{
	if (first) {
		c->config_generation = w->generation;
		c->config_known = w->said.reasons[CHOICE_condition_type_CONFIGURATION_APPLIED] ==
		                  REASON_AS_WANTED;
		c->config_doubted = !c->config_known;
	} else if (w->hash[GROUP_CONFIG] != c->wanted.hash[GROUP_CONFIG]) {
		roll_config_changed(c, now);
		c->config_generation = w->generation;
		/* Replicas have not heard of this one. */
		c->restart_since.v = 0;
		for (unsigned i = 0; i < c->instances_n; i++)
			c->instance[i].awaited = false;
	}
	if (!first && w->generation == c->wanted.generation)
		return;
	forget_tries(c);
	event_forget_edited(c, first || w->hash[GROUP_STORAGE] != c->wanted.hash[GROUP_STORAGE]);
}

/* From this ordinal on: another size is wanted, or they are nobody's any more. */
static void
forget_volumes(struct plan_cluster *c, unsigned first)
{
	for (unsigned i = first; i < c->instances_n; i++) {
		c->instance[i].volume = (struct plan_try){0};
		c->instance[i].volume_asked = c->instance[i].volume_grown = false;
	}
}

void
plan_note_cluster(
    struct plan_cluster *c, const struct plan_wanted *w, bool listing, struct msec now)
{
	bool same = uid_eq(&c->wanted.uid, &w->uid);

	if (c->present && !listing && w->version < c->wanted.version)
		return;
	if (w->instances > c->instances_n)
		die("no room for %u instances", w->instances);
	if (!same) {
		start_over(c);
		c->seen = now;
	}
	if (!same || !c->present)
		c->fresh = w->status == 0;
	note_generation(c, w, !same, now);
	each_try(c, forget_conflict);
	if (w->hash[GROUP_STORAGE] != c->wanted.hash[GROUP_STORAGE])
		forget_volumes(c, 0);
	c->present = true;
	if (w->deleting && (!c->wanted.deleting || c->wanted.paused))
		c->rested_at = c->deleting_at = now;
	c->wanted = *w;
	if (!same)
		event_recall(c);
	forget_volumes(c, rule_instances(c));
	if (c->statefulset.known)
		plan_note_statefulset(c, &c->statefulset, now);
}

void
plan_note_cluster_gone(struct plan_cluster *c, const struct uid *uid)
{
	if (uid_none(uid) || uid_eq(uid, &c->wanted.uid))
		c->present = false;
}

void
plan_note_quarantine(struct plan_cluster *c, uint64_t generation)
{
	c->quarantined = generation;
}

void
plan_note_namespace_ends(struct plan_cluster *c)
{
	if (c->present)
		c->namespace_ends = true;
}

bool
plan_is_empty(const struct plan_cluster *c)
{
	if (c->present || c->dbops_n > 0)
		return false;
	for (unsigned child = 0; child < CHILD_COUNT; child++)
		if (c->child[child].present && !rule_unwatched((enum child)child))
			return false;
	for (unsigned i = 0; i < c->instances_n; i++)
		if (c->instance[i].child.present)
			return false;
	return true;
}

/* --- Its children. */

static struct plan_child *
child_of(struct plan_cluster *c, enum child child, unsigned ordinal)
{
	if (child == CHILD_INSTANCE && ordinal >= c->instances_n)
		die("no room for instance %u", ordinal);
	return child == CHILD_INSTANCE ? &c->instance[ordinal].child : &c->child[child];
}

/* Another object of that name: what a record said of the last one does not hold. */
void
plan_forget_details(struct plan_cluster *c, enum child child, unsigned ordinal)
{
	if (child == CHILD_STATEFULSET)
		c->statefulset.known = false;
	if (child == CHILD_INSTANCE)
		c->instance[ordinal].known = false;
}

/* Did somebody change it, as far as generation (or version, where a kind has none) tells? */
static bool
is_change(const struct plan_child *s, const struct plan_object *o)
{
	if (!s->present || !uid_eq(&s->uid, &o->uid))
		return false;
	return o->generation != 0 ? o->generation != s->generation : o->version != s->version;
}

bool
plan_note_child(struct plan_cluster *c, enum child child, unsigned ordinal,
    const struct plan_object *o, bool listing)
{
	struct plan_child *s = child_of(c, child, ordinal);

	if (s->present && !listing && o->version < s->version)
		return false;
	if (is_change(s, o))
		s->verify = PLAN_CHANGED;
	else if (!s->present || !uid_eq(&s->uid, &o->uid))
		s->verify = PLAN_UNVERIFIED;
	if (!uid_eq(&s->uid, &o->uid))
		plan_forget_details(c, child, ordinal);
	s->uid = o->uid;
	s->owner = model_uid_key(&o->owner);
	s->version = o->version;
	s->generation = o->generation;
	s->inputs = plan_inputs_key(o->revision, o->inputs);
	s->present = true;
	s->deleting = o->deleting;
	if (child == CHILD_STATEFULSET)
		c->pods_gone = false;
	each_try(c, forget_conflict);
	return true;
}

void
plan_note_child_gone(
    struct plan_cluster *c, enum child child, unsigned ordinal, const struct uid *uid)
{
	struct plan_child *s = child_of(c, child, ordinal);

	if (!uid_none(uid) && !uid_eq(uid, &s->uid))
		return;
	s->present = false; /* uid and version stay: an answer about it may still be on its way */
	s->deleting = false;
	c->lost = true;
	plan_forget_details(c, child, ordinal);
	each_try(c, forget_conflict);
}

void
plan_note_statefulset(struct plan_cluster *c, const struct plan_statefulset *s, struct msec now)
{
	bool ready = s->replicas == rule_replicas(c) && s->ready >= s->replicas;
	bool changed = !c->statefulset.known || s->pod_inputs != c->statefulset.pod_inputs ||
	               s->replicas != c->statefulset.replicas ||
	               s->storage_inputs != c->statefulset.storage_inputs ||
	               s->ready < c->statefulset.ready;

	for (unsigned i = s->replicas; i < c->instances_n; i++)
		if (c->statefulset.known && i < c->statefulset.replicas)
			c->instance[i].looked = false;
	for (unsigned i = 0; changed && i < c->instances_n; i++)
		look_again(&c->instance[i]);
	c->lost |= c->statefulset.known && s->ready < c->statefulset.ready;
	c->statefulset = *s;
	c->statefulset.known = true;
	if (ready)
		c->unready_since.v = 0;
	else if (c->unready_since.v == 0)
		c->unready_since = now;
}

/* Why a container can not start may be a Secret that went away: see whether it is there. */
static bool
doubts_secrets(enum choice_reason r)
{
	return r == REASON_CONTAINER_CONFIG_ERROR || r == REASON_CREDENTIALS_MISSING;
}

void
plan_note_report(struct plan_cluster *c, unsigned ordinal, const struct plan_report *r)
{
	struct plan_instance *p = &c->instance[ordinal];

	if (r->operation_phase >= CHOICE_operation_phase_SUCCEEDED)
		p->tells = 0;
	if (!uid_eq(&r->pod_uid, &p->report.pod_uid)) {
		p->tells = 0;
		p->reports++;
		p->unreachable = false;
		p->volume.until.v = 0; /* it may have another volume */
		if (!uid_eq(&r->pod_uid, &p->pod_uid)) {
			p->looked = false;
			look_again(p);
		}
	}
	if (r->role != p->report.role || r->state != p->report.state)
		p->unreachable = false;
	if (doubts_secrets(r->reason) && r->reason != p->report.reason)
		for (unsigned child = CHILD_ANCHOR; child <= CHILD_APP; child++)
			if (c->checked[child].v != 0)
				c->checked[child].v = 1;
	p->awaited |= r->pending_restart;
	if (r->reason != REASON_FOREIGN_DATA && r->state >= CHOICE_instance_state_RUNNING)
		p->kept_told = false;
	if (!r->pending_restart)
		p->restarted = false;
	else if (p->known && r->operation == CHOICE_operation_RESTART &&
		 r->operation_phase == CHOICE_operation_phase_SUCCEEDED &&
		 p->report.operation_phase != CHOICE_operation_phase_SUCCEEDED)
		p->restarted = true;
	p->report = *r;
	p->known = true;
}
