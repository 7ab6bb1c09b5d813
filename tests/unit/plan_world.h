/*
 * A small world for tests of plan/: an API server, a StatefulSet controller, kubelets, agents and
 * an executor, as they behave; seen through records that come late and in any order. It notes in
 * w.broken what must never happen. Only test_plan_sim.c includes this.
 */
#ifndef TESTS_UNIT_PLAN_WORLD_H
#define TESTS_UNIT_PLAN_WORLD_H

#include <string.h>

#include "plan/plan.h"

#define ORDINALS 5

struct object {
	bool present, deleting;
	struct uid uid, owner;
	uint64_t version, generation, inputs;
	bool due; /* a record of it is on its way */
};
struct pod {
	bool present, ready, terminating;
	struct uid uid;
	uint64_t inputs, storage;
	int64_t since;
};
struct pvc {
	bool present, bound;
	struct uid uid;
	uint64_t storage;
};
static struct world {
	uint64_t seed;
	int64_t now;
	uint64_t version;
	uint32_t uids;

	struct object cluster;
	bool finalizer, finalizer_forced;
	uint64_t hash[GROUP_COUNT], status, status_generation;
	bool status_ready;
	uint8_t instances, policy;
	bool windowed;
	struct windows windows;

	struct object child[CHILD_COUNT], instance[ORDINALS];
	struct plan_report report[ORDINALS];
	struct uid told[ORDINALS]; /* which pod its operation is for */
	bool restart_due[ORDINALS];
	uint8_t replicas;
	uint64_t pod_inputs, storage_inputs;
	struct pod pods[ORDINALS];
	struct pvc pvcs[ORDINALS];
	bool destroying, adopted, configmaps, data;

	/* The reconciler. */
	struct plan_cluster plan;
	struct plan_instance instances_memory[ORDINALS];
	struct plan_step step;
	struct windows windows_seen;
	bool flying, synced;
	unsigned unsynced; /* records still to come before the lists are complete */

	bool calm; /* no more faults, no more users */
	unsigned steps, deletes_of_data, rolled, waited;
	const char *broken;
} w;

static uint64_t
rnd(uint64_t n)
{
	w.seed ^= w.seed << 13;
	w.seed ^= w.seed >> 7;
	w.seed ^= w.seed << 17;
	return w.seed % n;
}

static bool
chance(unsigned percent)
{
	return rnd(100) < percent;
}

static void
broken(const char *why)
{
	if (w.broken == NULL)
		w.broken = why;
}

static struct uid
new_uid(void)
{
	struct uid u = {{0}};

	w.uids++;
	memcpy(u.b, &w.uids, sizeof(w.uids));
	u.b[15] = 1;
	return u;
}

static void
touch(struct object *o, bool spec)
{
	o->version = ++w.version;
	if (spec)
		o->generation++;
	o->due = true;
}

static bool
has_generation(enum child c)
{
	return c == CHILD_STATEFULSET || c == CHILD_INSTANCE || c == CHILD_PDB;
}

static uint64_t
wanted_inputs(enum child c)
{
	return model_child_inputs(c, w.hash);
}

static struct object *
object_of(enum child c, unsigned ordinal)
{
	return c == CHILD_INSTANCE ? &w.instance[ordinal] : &w.child[c];
}

/* --- Records. */

static void
give_cluster(bool listing)
{
	struct plan_wanted v = {.uid = w.cluster.uid,
	    .generation = w.cluster.generation,
	    .version = w.cluster.version,
	    .status = w.status,
	    .deleting = w.cluster.deleting,
	    .finalizer = w.finalizer,
	    .instances = w.instances,
	    .policy = w.policy};

	memcpy(v.hash, w.hash, sizeof(v.hash));
	w.windows_seen = w.windows;
	w.plan.windows = w.windows.n > 0 ? &w.windows_seen : NULL;
	if (w.cluster.present)
		plan_note_cluster(&w.plan, &v, listing, (struct msec){w.now});
	else
		plan_note_cluster_gone(&w.plan, &w.cluster.uid);
	w.cluster.due = false;
}

static unsigned
ready_pods(void)
{
	unsigned n = 0;

	for (unsigned i = 0; i < ORDINALS; i++)
		n += w.pods[i].present && w.pods[i].ready;
	return n;
}

static void
give_child(enum child c, unsigned ordinal, bool listing)
{
	struct object *o = object_of(c, ordinal);
	struct plan_object v = {.uid = o->uid,
	    .owner = o->owner,
	    .generation = has_generation(c) ? o->generation : 0,
	    .version = o->version,
	    .inputs = o->inputs,
	    .revision = child_info[c].revision,
	    .deleting = o->deleting};
	struct plan_statefulset s = {.replicas = w.replicas,
	    .ready = (uint8_t)ready_pods(),
	    .pod_inputs = w.pod_inputs,
	    .storage_inputs = w.storage_inputs};

	o->due = false;
	if (!o->present) {
		plan_note_child_gone(&w.plan, c, ordinal, &o->uid);
		return;
	}
	if (!plan_note_child(&w.plan, c, ordinal, &v, listing))
		return;
	if (c == CHILD_STATEFULSET)
		plan_note_statefulset(&w.plan, &s, (struct msec){w.now});
	if (c == CHILD_INSTANCE)
		plan_note_report(&w.plan, ordinal, &w.report[ordinal]);
}

static bool
is_watched(enum child c)
{
	return kind_info[child_info[c].kind].watch != WATCH_NONE;
}

/* Object number i of all that records may be about; false = there is none. */
static bool
give(unsigned i, bool listing, bool only_due)
{
	enum child c = i < CHILD_COUNT ? (enum child)i : CHILD_INSTANCE;
	unsigned ordinal = i < CHILD_COUNT ? 0 : i - CHILD_COUNT;

	if (i == CHILD_COUNT + ORDINALS) {
		if (!w.cluster.due && only_due)
			return false;
		give_cluster(listing);
		return true;
	}
	if ((i < CHILD_COUNT && c == CHILD_INSTANCE) || !is_watched(c) ||
	    (only_due && !object_of(c, ordinal)->due))
		return false;
	if (!only_due && !object_of(c, ordinal)->present)
		return false;
	give_child(c, ordinal, listing);
	return true;
}
#define OBJECTS (CHILD_COUNT + ORDINALS + 1)

static void
give_any(void)
{
	unsigned first = (unsigned)rnd(OBJECTS);

	for (unsigned i = 0; i < OBJECTS; i++)
		if (give((first + i) % OBJECTS, false, true))
			return;
}

/* A new life: it knows nothing, and the lists come bit by bit. */
static void
forget_everything(void)
{
	memset(&w.plan, 0, sizeof(w.plan));
	memset(w.instances_memory, 0, sizeof(w.instances_memory));
	w.plan.name = "demo";
	w.plan.instance = w.instances_memory;
	w.plan.instances_n = ORDINALS;
	w.flying = false;
	w.synced = false;
	w.unsynced = OBJECTS;
}

static void
list_more(void)
{
	if (w.synced)
		return;
	w.unsynced--;
	if (w.unsynced < OBJECTS && (w.unsynced != OBJECTS - 1 || w.cluster.present))
		give(w.unsynced, true, false);
	if (w.unsynced == 0)
		w.synced = true;
}

/* --- Controllers, kubelets, agents. */

static void
end_pod(unsigned i)
{
	w.pods[i].present = false;
	touch(&w.child[CHILD_STATEFULSET], false);
}

static void
run_statefulset(void)
{
	for (unsigned i = 0; i < ORDINALS; i++) {
		struct pod *p = &w.pods[i];

		if (!w.child[CHILD_STATEFULSET].present || w.child[CHILD_STATEFULSET].deleting)
			continue;
		if (i >= w.replicas) {
			p->terminating |= p->present;
		} else if (!p->present) {
			*p = (struct pod){.present = true,
			    .uid = new_uid(),
			    .inputs = w.pod_inputs,
			    .since = w.now};
			w.restart_due[i] = false;
			if (!w.pvcs[i].present)
				w.pvcs[i] = (struct pvc){true, false, new_uid(), w.storage_inputs};
		}
	}
	if (w.child[CHILD_STATEFULSET].deleting) {
		w.child[CHILD_STATEFULSET].present = w.child[CHILD_STATEFULSET].deleting = false;
		touch(&w.child[CHILD_STATEFULSET], false);
	}
}

/*
 * Hash 13 of group POD is an image that can not be pulled; 13 of STORAGE a class that does not
 * exist.
 */
static bool
comes_up(unsigned i)
{
	uint64_t bad[GROUP_COUNT];

	memcpy(bad, w.hash, sizeof(bad));
	bad[GROUP_POD] = 13;
	return w.pods[i].inputs != model_pod_inputs(bad) && w.pvcs[i].storage != 13;
}

static unsigned
find_leader(void)
{
	for (unsigned i = 0; i < ORDINALS; i++)
		if (w.pods[i].present && w.pods[i].ready &&
		    w.report[i].role == CHOICE_instance_role_PRIMARY)
			return i;
	return ORDINALS;
}

static void
hand_over(unsigned next, unsigned *leader)
{
	w.report[*leader].role = CHOICE_instance_role_REPLICA;
	w.report[next].role = CHOICE_instance_role_PRIMARY;
	touch(&w.instance[next], false);
	*leader = next;
}

/* What it was told to do: it may take a while, and may fail. */
static void
operate(unsigned i, struct plan_report *r, unsigned *leader)
{
	unsigned next = (unsigned)rnd(ORDINALS);

	if (r->operation == 0 || r->operation_phase >= CHOICE_operation_phase_SUCCEEDED ||
	    chance(50))
		return;
	r->operation_phase = CHOICE_operation_phase_RUNNING;
	if (chance(50))
		return;
	r->operation_phase = CHOICE_operation_phase_SUCCEEDED;
	if (r->operation == CHOICE_operation_RESTART)
		w.restart_due[i] = false;
	else if (*leader == i && next != i && w.pods[next].present && w.pods[next].ready)
		hand_over(next, leader);
	else if (*leader == i)
		r->operation_phase = CHOICE_operation_phase_FAILED;
}

static void
run_agent(unsigned i)
{
	struct plan_report r = {.pod_uid = w.pods[i].uid,
	    .pod_inputs = w.pods[i].inputs,
	    .hold = w.report[i].hold,
	    .operation = w.report[i].operation,
	    .operation_phase = w.report[i].operation_phase,
	    .timeline = 1,
	    .config_generation = w.cluster.generation,
	    .bootstrapped = true};
	unsigned leader = find_leader();

	if (!w.instance[i].present)
		return;
	if (!uid_eq(&w.told[i], &r.pod_uid))
		r.operation = r.operation_phase = 0;
	operate(i, &r, &leader);
	if (r.hold) {
		r.state = CHOICE_instance_state_HELD;
		r.reason = REASON_HELD;
		w.pods[i].ready = false;
	} else {
		bool primary = leader == ORDINALS || leader == i;

		r.role = primary ? CHOICE_instance_role_PRIMARY : CHOICE_instance_role_REPLICA;
		r.state = primary ? CHOICE_instance_state_RUNNING : CHOICE_instance_state_STREAMING;
		r.pending_restart = w.restart_due[i];
		if (!w.pods[i].ready)
			touch(&w.child[CHILD_STATEFULSET], false);
		w.pods[i].ready = true;
		w.data = w.configmaps = true;
	}
	if (memcmp(&r, &w.report[i], sizeof(r)) == 0)
		return;
	w.report[i] = r;
	touch(&w.instance[i], false);
}

static void
run_pods(void)
{
	for (unsigned i = 0; i < ORDINALS; i++) {
		struct pod *p = &w.pods[i];

		if (!p->present)
			continue;
		if (p->terminating) {
			p->ready = false;
			if (chance(50))
				end_pod(i);
			continue;
		}
		if (!comes_up(i) || w.now < p->since + 1000)
			continue;
		w.pvcs[i].bound = true;
		run_agent(i);
	}
}

/* --- The executor. */

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
	} else if (!w.destroying && !uid_eq(&o->owner, &w.cluster.uid)) {
		o->owner = w.cluster.uid;
		w.adopted = true;
	}
	a = saw(o, CHILD_ANCHOR);
	a.anchor = w.destroying ? CHOICE_anchor_state_DESTROYING
	           : w.adopted  ? CHOICE_anchor_state_ADOPTED
	                        : CHOICE_anchor_state_CREATED;
	return a;
}

static void
render(enum child c, struct object *o, unsigned ordinal)
{
	bool created = !o->present;

	if (!created && uid_eq(&o->owner, &w.cluster.uid) && o->inputs == wanted_inputs(c) &&
	    (c != CHILD_STATEFULSET || w.replicas == w.instances))
		return;
	if (created) {
		*o = (struct object){.present = true, .uid = new_uid(), .generation = 0};
		if (c == CHILD_INSTANCE) {
			memset(&w.report[ordinal], 0, sizeof(w.report[ordinal]));
			w.report[ordinal].hold = w.adopted;
		}
		if (c == CHILD_STATEFULSET)
			w.storage_inputs = w.hash[GROUP_STORAGE];
	}
	o->owner = w.cluster.uid;
	o->inputs = wanted_inputs(c);
	if (c == CHILD_STATEFULSET) {
		w.replicas = w.instances;
		w.pod_inputs = model_pod_inputs(w.hash);
	}
	touch(o, true);
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
	if (s->child == CHILD_STATEFULSET && o->present && w.instances < w.replicas && !w.synced)
		broken("a StatefulSet shrank before every list was complete");
	if (s->child == CHILD_STATEFULSET && w.instances > w.replicas &&
	    !w.plan.child[CHILD_ROLE].present)
		broken("a StatefulSet without its Role");
	render(s->child, o, s->ordinal);
	return saw(o, s->child);
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
		if (!p->ready && w.pvcs[s->ordinal].storage == 13)
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
		w.rolled++;
	}
	p->terminating = p->present;
	return answer(CHOICE_step_code_DONE);
}

static struct plan_answer
do_operate(const struct plan_sent *s)
{
	struct plan_report *r = &w.report[s->ordinal];
	uint8_t operation =
	    s->verb == CHOICE_verb_RESTART ? CHOICE_operation_RESTART : CHOICE_operation_SWITCHOVER;

	if (!uid_eq(&s->target, &r->pod_uid))
		return answer(CHOICE_step_code_CONFLICT);
	for (unsigned i = 0; i < w.instances; i++)
		if (i != s->ordinal &&
		    w.report[i].operation_phase == CHOICE_operation_phase_RUNNING &&
		    uid_eq(&w.told[i], &w.report[i].pod_uid) && w.calm)
			broken("two instances are disturbed at once");
	if (r->operation != operation || !uid_eq(&w.told[s->ordinal], &r->pod_uid) ||
	    r->operation_phase >= CHOICE_operation_phase_SUCCEEDED) {
		r->operation = operation;
		r->operation_phase = CHOICE_operation_phase_NONE;
		w.told[s->ordinal] = r->pod_uid;
		touch(&w.instance[s->ordinal], true);
	}
	return saw(&w.instance[s->ordinal], CHILD_INSTANCE);
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
	if (s->verb == CHOICE_verb_SWITCHOVER || s->verb == CHOICE_verb_RESTART)
		return do_operate(s);
	w.report[s->ordinal].hold = s->verb == CHOICE_verb_HOLD;
	touch(o, true);
	w.adopted = false;
	for (unsigned i = 0; i < w.instances; i++)
		w.adopted |= w.instance[i].present && w.report[i].hold;
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
	case CHOICE_verb_SWITCHOVER:
	case CHOICE_verb_RESTART:
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

static void
check_step(const struct plan_sent *s)
{
	if (is_destructive(s->verb) && !w.synced)
		broken("something is removed before every list was complete");
	if ((s->verb == CHOICE_verb_DELETE || s->verb == CHOICE_verb_REPLACE_POD ||
		s->verb == CHOICE_verb_SWITCHOVER || s->verb == CHOICE_verb_RESTART ||
		s->verb == CHOICE_verb_REPLACE_PVC || s->verb == CHOICE_verb_ORPHAN_STATEFULSET) &&
	    uid_none(&s->target))
		broken("a removal names no target");
	if (w.plan.wanted.deleting &&
	    (s->verb == CHOICE_verb_ENSURE || s->verb == CHOICE_verb_ADD_FINALIZER ||
		s->verb == CHOICE_verb_RELEASE))
		broken("something is made for a cluster that is being deleted");
}

#endif
