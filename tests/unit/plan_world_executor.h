/*
 * The executor of plan_world.h: what each step does to that world, and what none may do. Only
 * test_plan_sim.c includes this.
 */
#ifndef TESTS_UNIT_PLAN_WORLD_EXECUTOR_H
#define TESTS_UNIT_PLAN_WORLD_EXECUTOR_H

#include "tests/unit/plan_world_dbops.h"

static struct plan_answer
answer(enum choice_step_code code)
{
	return (struct plan_answer){.code = (uint8_t)code};
}

static struct plan_answer
saw(const struct object *o, enum child c)
{
	return (struct plan_answer){.code = CHOICE_step_code_DONE,
	    .child_uid = o->uid,
	    .version = o->version,
	    .generation = has_generation(c) ? o->generation : 0,
	    .present = o->present};
}

static struct plan_answer
do_ensure_anchor(void)
{
	struct object *o = &w.child[CHILD_ANCHOR];
	struct plan_answer a;

	if (!o->present) {
		*o = (struct object){.present = true, .uid = new_uid(), .owner = w.cluster.uid};
		w.destroying = w.adopted = false;
		w.last_primary = 0;
		w.last_timeline = 0;
	} else if (!w.destroying && !uid_eq(&o->owner, &w.cluster.uid)) {
		o->owner = w.cluster.uid;
		w.adopted = true;
	}
	a = saw(o, CHILD_ANCHOR);
	a.anchor = w.destroying ? CHOICE_anchor_state_DESTROYING
	           : w.adopted  ? CHOICE_anchor_state_ADOPTED
	                        : CHOICE_anchor_state_CREATED;
	if (!w.adopted || w.destroying)
		return a;
	a.primary = w.last_primary;
	a.timeline = w.last_timeline;
	for (unsigned i = 0; i < ORDINALS; i++)
		a.volumes |= (uint32_t)w.pvcs[i].present << i;
	return a;
}

static void
render(enum child c, struct object *o, unsigned ordinal)
{
	bool created = !o->present;

	if (!created && uid_eq(&o->owner, &w.cluster.uid) && o->inputs == wanted_inputs(c) &&
	    (c != CHILD_STATEFULSET || w.replicas == replicas_wanted()))
		return;
	if (c == CHILD_STATEFULSET && replicas_wanted() > 0 && (created || w.replicas == 0))
		for (unsigned i = 0; i < w.instances; i++)
			if (w.report[i].timeline > 0 && !w.report[i].hold && !w.instance[i].due &&
			    w.report[i].stop != CHOICE_stop_POSTGRESQL)
				broken("all start at once on data that has a history");
	if (created) {
		*o = (struct object){.present = true, .uid = new_uid(), .generation = 0};
		if (c == CHILD_INSTANCE) {
			memset(&w.report[ordinal], 0, sizeof(w.report[ordinal]));
			w.report[ordinal].hold = w.adopted;
		}
		if (c == CHILD_STATEFULSET) {
			w.storage_inputs = w.hash[GROUP_STORAGE];
			w.last_good = 0;
		}
	}
	o->owner = w.cluster.uid;
	o->inputs = wanted_inputs(c);
	if (c == CHILD_STATEFULSET) {
		if (created || w.replicas == 0 || replicas_wanted() == 0)
			w.pod_inputs = model_pod_inputs(w.hash);
		w.replicas = replicas_wanted();
	}
	touch(o, true);
}

static unsigned
ready_with(uint64_t inputs)
{
	unsigned n = 0;

	for (unsigned i = 0; i < ORDINALS; i++)
		n += w.pods[i].present && w.pods[i].ready && !w.pods[i].terminating &&
		     inputs != 0 && w.pods[i].inputs == inputs;
	return n;
}

/* One that may come up with the newest template does not, and others serve with the last good. */
static bool
is_halted(void)
{
	bool halted = false;

	for (unsigned i = 0; i < w.instances; i++)
		halted |= w.pods[i].present && !w.pods[i].ready && !w.pods[i].terminating &&
		          !(w.fenced >> i & 1u) && w.pods[i].inputs == model_pod_inputs(w.hash);
	return halted && !w.hibernated && w.last_good != model_pod_inputs(w.hash) &&
	       ready_with(w.last_good) > 0;
}

static void
write_template(void)
{
	uint64_t now = w.pod_inputs, wanted = model_pod_inputs(w.hash);

	if (now == w.last_good && now != wanted && is_halted() && !w.cluster.due && !w.on_demand &&
	    w.calm)
		broken("while a rolling change is halted, its template is written again");
	if (w.last_good != wanted && ready_with(now) > ready_with(w.last_good))
		w.last_good = now;
	w.pod_inputs = wanted;
}

/* As the executor finds it, whoever asks. */
static struct plan_answer
restore_template(struct object *o)
{
	if (w.last_good != 0 && w.pod_inputs == w.last_good)
		return saw(o, CHILD_STATEFULSET);
	if (w.pod_inputs != model_pod_inputs(w.hash) || ready_with(w.last_good) == 0)
		return answer(CHOICE_step_code_CONFLICT);
	w.pod_inputs = w.last_good;
	w.restored++;
	touch(o, true);
	return saw(o, CHILD_STATEFULSET);
}

/* Pods that are lost come back from it. */
static struct plan_answer
do_template(const struct plan_sent *s)
{
	struct object *o = &w.child[CHILD_STATEFULSET];

	if (w.cluster.deleting || !w.finalizer)
		return answer(CHOICE_step_code_DENIED);
	if (!o->present)
		return answer(CHOICE_step_code_GONE);
	if (!uid_eq(&o->uid, &s->target))
		return answer(CHOICE_step_code_CONFLICT);
	if (o->deleting)
		return answer(CHOICE_step_code_RETRY);
	if (s->verb == CHOICE_verb_RESTORE_TEMPLATE)
		return restore_template(o);
	if (s->verb == CHOICE_verb_TEMPLATE && w.pod_inputs != model_pod_inputs(w.hash)) {
		write_template();
		touch(o, true);
	}
	return saw(o, CHILD_STATEFULSET);
}

static bool
has_dead_pod_need(enum child c)
{
	return c == CHILD_ROLE || c == CHILD_INSTANCE || c == CHILD_SERVICEACCOUNT ||
	       c == CHILD_ROLEBINDING;
}

static struct plan_answer
do_ensure(const struct plan_sent *s)
{
	struct object *o = object_of(s->child, s->ordinal);

	if (w.cluster.deleting || !w.finalizer)
		return answer(CHOICE_step_code_DENIED);
	if (s->child == CHILD_ANCHOR)
		return do_ensure_anchor();
	if (s->child == CHILD_CREDENTIALS || s->child == CHILD_APP) {
		if (!w.child[CHILD_ANCHOR].present || w.destroying)
			return answer(CHOICE_step_code_CONFLICT);
		if (!o->present && w.data && s->child == CHILD_CREDENTIALS && !w.adopted &&
		    w.child[CHILD_STATEFULSET].present)
			broken("credentials went away");
		o->present = true;
		return saw(o, s->child);
	}
	if (s->child == CHILD_INSTANCE && s->ordinal >= w.instances)
		return answer(CHOICE_step_code_DENIED);
	if (s->child == CHILD_INSTANCE && !w.child[CHILD_ANCHOR].present)
		return answer(CHOICE_step_code_CONFLICT);
	if (o->deleting)
		return answer(CHOICE_step_code_RETRY);
	if (s->child == CHILD_STATEFULSET && !o->present && !uid_none(&s->target))
		return answer(CHOICE_step_code_GONE);
	if (s->child == CHILD_STATEFULSET && o->present && replicas_wanted() < w.replicas &&
	    !w.synced)
		broken("a StatefulSet shrank before every list was complete");
	if (s->child == CHILD_STATEFULSET && o->present && w.hibernated && w.replicas > 0)
		for (unsigned i = 0; i < ORDINALS; i++)
			if (w.pods[i].present && w.pods[i].runs && !w.pods[i].terminating &&
			    w.instance[i].present && w.report[i].stop == CHOICE_stop_NONE)
				broken("a hibernated cluster loses a pod in which PostgreSQL runs");
	if (s->child == CHILD_STATEFULSET && replicas_wanted() > w.replicas &&
	    !w.plan.child[CHILD_ROLE].present)
		broken("a StatefulSet without its Role");
	render(s->child, o, s->ordinal);
	return saw(o, s->child);
}

/* As the executor does before a BGInstance goes with its cluster. */
static void
remember_primary(unsigned i)
{
	const struct plan_report *r = &w.report[i];
	const struct object *anchor = &w.child[CHILD_ANCHOR];

	if (!w.cluster.deleting || r->hold || r->role != CHOICE_instance_role_PRIMARY ||
	    r->timeline <= w.last_timeline || !anchor->present || w.destroying ||
	    !uid_eq(&anchor->owner, &w.cluster.uid))
		return;
	w.last_primary = (uint8_t)(i + 1);
	w.last_timeline = r->timeline;
}

static struct plan_answer
do_delete(const struct plan_sent *s)
{
	struct object *o = object_of(s->child, s->ordinal);

	if (s->child == CHILD_CREDENTIALS || s->child == CHILD_APP)
		broken("a Secret is deleted");
	if (!o->present)
		return answer(CHOICE_step_code_DONE);
	if (!uid_eq(&o->uid, &s->target))
		return answer(CHOICE_step_code_CONFLICT);
	if (s->child == CHILD_ANCHOR && (!w.destroying || !w.cluster.deleting))
		broken("an anchor is deleted that was not marked");
	if (!w.cluster.deleting && (s->child != CHILD_INSTANCE || s->ordinal < w.instances))
		return answer(CHOICE_step_code_DENIED);
	for (unsigned i = 0; i < ORDINALS; i++)
		if (has_dead_pod_need(s->child) && w.pods[i].present &&
		    (s->child != CHILD_INSTANCE || s->ordinal == i) && !w.finalizer_forced)
			broken("what a pod needs is deleted before the pod");
	if (s->child == CHILD_INSTANCE)
		remember_primary(s->ordinal);
	o->present = false;
	o->due = true;
	if (s->child == CHILD_ANCHOR)
		w.child[CHILD_CREDENTIALS].present = w.child[CHILD_APP].present = false;
	if (s->child == CHILD_STATEFULSET)
		for (unsigned i = 0; i < ORDINALS; i++)
			w.pods[i].terminating = true;
	return answer(CHOICE_step_code_DONE);
}

static struct plan_answer
do_destroy(const struct plan_sent *s)
{
	struct object *anchor = &w.child[CHILD_ANCHOR];
	struct plan_answer a;

	if (!w.cluster.deleting || w.policy != CHOICE_deletion_policy_DELETE)
		broken("data is destroyed of a cluster that keeps it");
	if (s->verb == CHOICE_verb_DESTROY_ANCHOR) {
		if (!anchor->present)
			return answer(CHOICE_step_code_DONE);
		if (!uid_eq(&anchor->owner, &w.cluster.uid))
			return answer(CHOICE_step_code_FOREIGN);
		w.destroying = true;
		return saw(anchor, CHILD_ANCHOR);
	}
	if (!anchor->present)
		return answer(CHOICE_step_code_GONE);
	if (!w.destroying)
		broken("data is destroyed before the commit point");
	a = answer(CHOICE_step_code_DONE);
	for (unsigned i = 0; i < ORDINALS && s->verb == CHOICE_verb_DELETE_PVCS; i++) {
		if (w.pods[i].present)
			broken("a volume is deleted under a pod");
		a.count = (uint8_t)(a.count + w.pvcs[i].present);
		w.deletes_of_data += w.pvcs[i].present;
		w.pvcs[i].present = false;
	}
	if (s->verb == CHOICE_verb_DELETE_CONFIGMAPS)
		w.configmaps = w.data = false;
	return a;
}

static struct plan_answer
do_observe(const struct plan_sent *s)
{
	struct plan_answer a = answer(CHOICE_step_code_DONE);
	const struct pod *p = &w.pods[s->ordinal];
	const struct pvc *v = &w.pvcs[s->ordinal];

	if (s->verb == CHOICE_verb_OBSERVE_PODS) {
		for (unsigned i = 0; i < ORDINALS; i++)
			a.count = (uint8_t)(a.count + w.pods[i].present);
	} else if (s->verb == CHOICE_verb_OBSERVE_POD && p->present) {
		a.present = true;
		a.child_uid = p->uid;
		a.ready = p->ready && !p->terminating;
		a.terminating = p->terminating;
		a.inputs = p->inputs;
		if (!p->ready && w.pvcs[s->ordinal].storage % 100 == 13)
			a.reason = REASON_VOLUME_PENDING;
		else if (!p->ready && !comes_up(s->ordinal))
			a.reason = REASON_IMAGE_PULL_FAILED;
	} else if (s->verb == CHOICE_verb_OBSERVE_PVC && v->present) {
		a.present = true;
		a.child_uid = v->uid;
		a.bound = v->bound;
		a.ready = v->storage == w.hash[GROUP_STORAGE];
	}
	return a;
}

static struct plan_answer
do_replace(const struct plan_sent *s)
{
	struct pod *p = &w.pods[s->ordinal];
	struct pvc *v = &w.pvcs[s->ordinal];

	if (s->verb == CHOICE_verb_REPLACE_PVC) {
		if (!v->present)
			return answer(CHOICE_step_code_DONE);
		if (v->bound || !uid_eq(&v->uid, &s->target))
			return answer(CHOICE_step_code_CONFLICT);
		v->present = false;
		return answer(CHOICE_step_code_DONE);
	}
	if (p->present && !uid_eq(&p->uid, &s->target))
		return answer(CHOICE_step_code_CONFLICT);
	if (!w.cluster.deleting && p->present && p->ready) {
		if (p->inputs == model_pod_inputs(w.hash) || ready_pods() < w.instances ||
		    (w.instances > 1 && find_leader() == s->ordinal))
			return answer(CHOICE_step_code_CONFLICT);
		if (w.pod_inputs == p->inputs && !w.child[CHILD_STATEFULSET].due)
			broken("a pod that serves is replaced, and comes back as it was");
		take_down(s->ordinal);
		w.rolled++;
	}
	p->terminating = p->present;
	return answer(CHOICE_step_code_DONE);
}

static uint8_t
attempt_of(const struct plan_report *r, uint8_t operation, bool same_pod)
{
	return operation == CHOICE_operation_REINIT && r->operation == operation && same_pod &&
	               r->operation_generation == w.cluster.generation &&
	               r->operation_phase == CHOICE_operation_phase_FAILED
	           ? (uint8_t)(r->operation_attempt + 1)
	           : 1;
}

/* What the plan knew of when it decided. */
static void
check_beside(void)
{
	for (unsigned k = 0; k < OPS; k++)
		if (w.ops[k].present && !w.ops[k].due && w.ops[k].disrupts &&
		    w.ops[k].at.phase == CHOICE_dbops_phase_RUNNING &&
		    /* a restart between two servers waits for whom this mends */
		    !(w.ops[k].at.op == CHOICE_dbops_op_RESTART && w.ops[k].at.ordinal == 0))
			broken("a rolling change goes on beside a disruptive BGDbOps");
}

static struct plan_answer
do_operate(const struct plan_sent *s)
{
	struct plan_report *r = &w.report[s->ordinal];
	uint8_t operation = s->verb == CHOICE_verb_RESTART  ? CHOICE_operation_RESTART
	                    : s->verb == CHOICE_verb_REINIT ? CHOICE_operation_REINIT
	                                                    : CHOICE_operation_SWITCHOVER;

	if (!uid_eq(&s->target, &r->pod_uid) ||
	    (operation == CHOICE_operation_REINIT && r->reason != REASON_CANNOT_FOLLOW))
		return answer(CHOICE_step_code_CONFLICT);
	check_beside();
	for (unsigned i = 0; i < w.instances; i++)
		if (i != s->ordinal && w.report[i].operation != CHOICE_operation_REINIT &&
		    w.report[i].operation != CHOICE_operation_RELOAD &&
		    w.report[i].operation_phase == CHOICE_operation_phase_RUNNING &&
		    uid_eq(&w.told[i], &w.report[i].pod_uid) && w.calm)
			broken("two instances are disturbed at once");
	if (r->operation != operation || !uid_eq(&w.told[s->ordinal], &r->pod_uid) ||
	    r->operation_phase >= CHOICE_operation_phase_SUCCEEDED) {
		if (uid_eq(&w.told[s->ordinal], &r->pod_uid) && r->operation != 0 &&
		    r->operation_phase < CHOICE_operation_phase_SUCCEEDED)
			broken("what an instance has not ended is replaced by something else");
		w.operating[s->ordinal] = (struct job){0};
		r->operation_id = ++w.version;
		r->operation_attempt =
		    attempt_of(r, operation, uid_eq(&w.told[s->ordinal], &r->pod_uid));
		r->operation_generation = (uint32_t)w.cluster.generation;
		r->operation = operation;
		r->operation_phase = CHOICE_operation_phase_NONE;
		w.told[s->ordinal] = r->pod_uid;
		touch(&w.instance[s->ordinal], true);
	}
	return saw(&w.instance[s->ordinal], CHILD_INSTANCE);
}

/* Who starts first while nothing runs has the highest timeline of all volumes that there are. */
static void
check_first(unsigned ordinal)
{
	for (unsigned i = 0; i < ORDINALS; i++)
		if ((w.pods[i].present && w.pods[i].runs) ||
		    (w.instance[i].present && !w.report[i].hold &&
			w.report[i].stop == CHOICE_stop_NONE))
			return;
	for (unsigned i = 0; i < ORDINALS; i++)
		if (w.pvcs[i].present && w.pvcs[i].timeline > w.pvcs[ordinal].timeline)
			broken("old data is released first");
}

static struct plan_answer
do_instance(const struct plan_sent *s)
{
	struct object *o = &w.instance[s->ordinal];

	if (!o->present)
		return answer(CHOICE_step_code_GONE);
	if (s->verb == CHOICE_verb_UNREACHABLE) {
		const struct pod *p = &w.pods[s->ordinal];

		if (!uid_eq(&s->target, &w.report[s->ordinal].pod_uid))
			return answer(CHOICE_step_code_CONFLICT);
		if (p->present && p->ready && !p->terminating &&
		    uid_eq(&p->uid, &w.report[s->ordinal].pod_uid))
			broken("a serving instance is called unreachable");
		w.report[s->ordinal].role = w.report[s->ordinal].state = 0;
		touch(o, false);
		return saw(o, CHILD_INSTANCE);
	}
	if (s->verb == CHOICE_verb_SWITCHOVER || s->verb == CHOICE_verb_RESTART ||
	    s->verb == CHOICE_verb_REINIT)
		return do_operate(s);
	if (s->verb == CHOICE_verb_STOP_PATRONI || s->verb == CHOICE_verb_STOP_POSTGRESQL) {
		if (!is_to_rest(s->ordinal))
			return answer(CHOICE_step_code_DENIED);
		for (unsigned i = 0; i < ORDINALS && w.hibernated; i++)
			if (s->verb == CHOICE_verb_STOP_POSTGRESQL && i != s->ordinal &&
			    find_leader() == s->ordinal && w.instance[i].present &&
			    i < w.replicas && w.report[i].stop == CHOICE_stop_NONE &&
			    !w.instance[i].due && !o->due)
				broken("the primary stops while a replica may lead");
		w.report[s->ordinal].stop = s->verb == CHOICE_verb_STOP_PATRONI
		                                ? CHOICE_stop_PATRONI
		                                : CHOICE_stop_POSTGRESQL;
		touch(o, true);
		return saw(o, CHILD_INSTANCE);
	}
	if (s->verb == CHOICE_verb_RELEASE && is_to_rest(s->ordinal))
		return answer(CHOICE_step_code_DENIED);
	if (s->verb == CHOICE_verb_RELEASE)
		check_first(s->ordinal);
	w.report[s->ordinal].hold = s->verb == CHOICE_verb_HOLD;
	w.report[s->ordinal].stop = CHOICE_stop_NONE;
	touch(o, true);
	w.adopted = false;
	for (unsigned i = 0; i < w.instances; i++)
		w.adopted |= w.instance[i].present && w.report[i].hold;
	if (!w.adopted)
		w.last_primary = 0;
	if (!w.adopted)
		w.last_timeline = 0;
	return saw(o, CHILD_INSTANCE);
}

static struct plan_answer
do_finalizer(const struct plan_sent *s)
{
	if (s->verb == CHOICE_verb_ADD_FINALIZER) {
		if (w.cluster.deleting)
			return answer(CHOICE_step_code_DENIED);
		w.finalizer = true;
	} else {
		if (!w.cluster.deleting)
			return answer(CHOICE_step_code_DENIED);
		w.finalizer = false;
		w.cluster.present = false;
	}
	touch(&w.cluster, false);
	return saw(&w.cluster, CHILD_ANCHOR);
}

static struct plan_answer
do_say(const struct plan_step *p)
{
	if (p->sent.verb == CHOICE_verb_STATUS) {
		w.status = p->sent.key;
		w.status_generation = w.cluster.generation;
		w.status_ready = p->sent.ready;
		touch(&w.cluster, false);
	}
	return saw(&w.cluster, CHILD_ANCHOR);
}

static struct plan_answer
execute(const struct plan_step *p, uint64_t generation)
{
	const struct plan_sent *s = &p->sent;

	if (!w.cluster.present)
		return answer(CHOICE_step_code_GONE);
	if (!uid_eq(&s->uid, &w.cluster.uid) ||
	    (s->verb != CHOICE_verb_EVENT && generation != w.cluster.generation))
		return answer(CHOICE_step_code_CONFLICT);
	switch (s->verb) {
	case CHOICE_verb_ADD_FINALIZER:
	case CHOICE_verb_REMOVE_FINALIZER:
		return do_finalizer(s);
	case CHOICE_verb_ENSURE:
		return do_ensure(s);
	case CHOICE_verb_TEMPLATE:
	case CHOICE_verb_TRY_TEMPLATE:
	case CHOICE_verb_RESTORE_TEMPLATE:
		return do_template(s);
	case CHOICE_verb_ORPHAN_STATEFULSET:
		if (w.child[CHILD_STATEFULSET].present &&
		    uid_eq(&w.child[CHILD_STATEFULSET].uid, &s->target)) {
			w.child[CHILD_STATEFULSET].deleting = true;
			touch(&w.child[CHILD_STATEFULSET], false);
		}
		return answer(CHOICE_step_code_DONE);
	case CHOICE_verb_DELETE:
		return do_delete(s);
	case CHOICE_verb_HOLD:
	case CHOICE_verb_RELEASE:
	case CHOICE_verb_STOP_PATRONI:
	case CHOICE_verb_STOP_POSTGRESQL:
	case CHOICE_verb_SWITCHOVER:
	case CHOICE_verb_RESTART:
	case CHOICE_verb_REINIT:
	case CHOICE_verb_UNREACHABLE:
		return do_instance(s);
	case CHOICE_verb_REPLACE_POD:
	case CHOICE_verb_REPLACE_PVC:
		return do_replace(s);
	case CHOICE_verb_DESTROY_ANCHOR:
	case CHOICE_verb_DELETE_PVCS:
	case CHOICE_verb_DELETE_CONFIGMAPS:
		return do_destroy(s);
	case CHOICE_verb_STATUS:
	case CHOICE_verb_EVENT:
		return do_say(p);
	default:
		return do_observe(s);
	}
}

static bool
is_destructive(unsigned verb)
{
	return verb == CHOICE_verb_DELETE || verb == CHOICE_verb_ORPHAN_STATEFULSET ||
	       verb == CHOICE_verb_REPLACE_POD || verb == CHOICE_verb_REPLACE_PVC ||
	       verb == CHOICE_verb_DESTROY_ANCHOR || verb == CHOICE_verb_DELETE_PVCS ||
	       verb == CHOICE_verb_DELETE_CONFIGMAPS;
}

/* As far as the plan knows, exactly one other instance leads. */
static void
check_reinit(const struct plan_sent *s)
{
	unsigned leaders = 0;

	for (unsigned i = 0; i < w.plan.instances_n; i++) {
		const struct plan_report *r = &w.plan.instance[i].report;

		if (r->role != CHOICE_instance_role_PRIMARY ||
		    r->state < CHOICE_instance_state_RUNNING || !status_current(&w.plan, i))
			continue;
		if (i == s->ordinal)
			broken("a primary's data gives way");
		leaders++;
	}
	if (leaders != 1)
		broken("data gives way while nobody leads, or two do");
	if (w.plan.wanted.deleting || w.plan.wanted.hibernated || !w.synced)
		broken("data gives way in a cluster that goes or rests");
}

static void
check_step(const struct plan_sent *s)
{
	if (s->verb == CHOICE_verb_REINIT)
		check_reinit(s);
	if (is_destructive(s->verb) && !w.synced)
		broken("something is removed before every list was complete");
	if ((s->verb == CHOICE_verb_DELETE || s->verb == CHOICE_verb_REPLACE_POD ||
		s->verb == CHOICE_verb_SWITCHOVER || s->verb == CHOICE_verb_RESTART ||
		s->verb == CHOICE_verb_TEMPLATE || s->verb == CHOICE_verb_REINIT ||
		s->verb == CHOICE_verb_RESTORE_TEMPLATE ||
		s->verb == CHOICE_verb_REPLACE_PVC || s->verb == CHOICE_verb_ORPHAN_STATEFULSET) &&
	    uid_none(&s->target))
		broken("a removal names no target");
	if (w.plan.wanted.deleting &&
	    (s->verb == CHOICE_verb_ENSURE || s->verb == CHOICE_verb_TEMPLATE ||
		s->verb == CHOICE_verb_RESTORE_TEMPLATE ||
		s->verb == CHOICE_verb_ADD_FINALIZER || s->verb == CHOICE_verb_RELEASE))
		broken("something is made for a cluster that is being deleted");
}

#endif
