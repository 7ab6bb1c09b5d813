/*
 * A small world for tests of plan/: an API server, a StatefulSet controller, kubelets and agents,
 * as they behave; seen through records that come late and in any order. It notes in w.broken what
 * must never happen. The executor is in plan_world_executor.h.
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
	bool runs; /* what runs is not held, only stopped */
	struct uid uid;
	uint64_t inputs, storage;
	int64_t since;
};
struct pvc {
	bool present, bound, grows;
	struct uid uid;
	uint64_t storage, size;
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
	uint8_t instances, policy, scale_down;
	bool hibernated;
	uint32_t fenced;
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
	unsigned steps, deletes_of_data, rolled, dropped, waited, cloned;
	bool cuts;            /* replicas may fall behind too far */
	bool unfit[ORDINALS]; /* whose data can not follow */
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
	    .hibernated = w.hibernated,
	    .fenced = w.fenced,
	    .policy = w.policy,
	    .scale_down = w.scale_down};

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
				w.pvcs[i] = (struct pvc){.present = true,
				    .uid = new_uid(),
				    .storage = w.storage_inputs,
				    .size = w.storage_inputs / 100};
		}
	}
	if (w.child[CHILD_STATEFULSET].deleting) {
		w.child[CHILD_STATEFULSET].present = w.child[CHILD_STATEFULSET].deleting = false;
		touch(&w.child[CHILD_STATEFULSET], false);
	}
}

/*
 * Hash 13 of group POD is an image that can not be pulled. That of STORAGE is 100 times the size,
 * and the class: of 12 no volume may grow, and 13 does not exist.
 */
static bool
comes_up(unsigned i)
{
	uint64_t bad[GROUP_COUNT];

	memcpy(bad, w.hash, sizeof(bad));
	bad[GROUP_POD] = 13;
	return w.pods[i].inputs != model_pod_inputs(bad) && w.pvcs[i].storage % 100 != 13;
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

static bool
is_to_rest(unsigned i)
{
	return w.cluster.deleting || w.hibernated || (w.fenced >> i & 1u);
}

static uint8_t
replicas_wanted(void)
{
	return w.hibernated ? 0 : w.instances;
}

/* True: it rests, or is on the way there. */
static bool
rest(unsigned i, struct plan_report *r, unsigned leader)
{
	struct pod *p = &w.pods[i];

	if (r->stop == CHOICE_stop_NONE || (r->stop == CHOICE_stop_PATRONI && leader == i))
		return false;
	if (r->stop == CHOICE_stop_PATRONI && p->runs) {
		r->state = CHOICE_instance_state_DETACHED;
		r->role = CHOICE_instance_role_REPLICA;
	} else {
		r->state = CHOICE_instance_state_STOPPED;
		r->role = w.report[i].role;
		p->runs = false;
	}
	if (p->ready)
		touch(&w.child[CHILD_STATEFULSET], false);
	p->ready = false;
	return true;
}

/* From the leader; the pod makes sure that there is one. */
static void
clone(unsigned i, struct plan_report *r, unsigned leader)
{
	if (leader == ORDINALS || leader == i || (r->operation_attempt == 1 && chance(30))) {
		r->operation_phase = CHOICE_operation_phase_FAILED;
		return;
	}
	w.unfit[i] = false;
	w.cloned++;
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
	if (r->operation == CHOICE_operation_REINIT) {
		clone(i, r, *leader);
		return;
	}
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
	    .stop = w.report[i].stop,
	    .operation = w.report[i].operation,
	    .operation_phase = w.report[i].operation_phase,
	    .operation_attempt = w.report[i].operation_attempt,
	    .operation_generation = w.report[i].operation_generation,
	    .timeline = 1,
	    .config_generation = w.cluster.generation,
	    .bootstrapped = true};
	unsigned leader = find_leader();

	if (!w.instance[i].present)
		return;
	if (!uid_eq(&w.told[i], &r.pod_uid))
		r.operation = r.operation_phase = r.operation_attempt = 0;
	operate(i, &r, &leader);
	if (rest(i, &r, leader)) {
		r.reason = REASON_RESTING;
	} else if (r.hold && !w.pods[i].runs) {
		r.role = w.report[i].role;
		r.state = CHOICE_instance_state_HELD;
		r.reason = REASON_HELD;
		w.pods[i].ready = false;
	} else if (w.unfit[i] && leader != ORDINALS && leader != i) {
		r.role = CHOICE_instance_role_REPLICA;
		r.state = CHOICE_instance_state_RUNNING;
		r.reason = REASON_CANNOT_FOLLOW;
		if (w.pods[i].ready)
			touch(&w.child[CHILD_STATEFULSET], false);
		w.pods[i].ready = false;
		w.pods[i].runs = true;
	} else {
		bool primary = leader == ORDINALS || leader == i;

		w.unfit[i] = false;
		r.role = primary ? CHOICE_instance_role_PRIMARY : CHOICE_instance_role_REPLICA;
		r.state = primary ? CHOICE_instance_state_RUNNING : CHOICE_instance_state_STREAMING;
		r.pending_restart = w.restart_due[i];
		if (!w.pods[i].ready)
			touch(&w.child[CHILD_STATEFULSET], false);
		w.pods[i].ready = w.pods[i].runs = true;
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

#endif
