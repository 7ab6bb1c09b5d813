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
#define OPS 6
#define SYSTEM_IDENTIFIER 7777

struct object {
	bool present, deleting;
	struct uid uid, owner;
	uint64_t version, generation, inputs;
	bool due; /* a record of it is on its way */
};
struct pod {
	bool present, ready, terminating;
	bool runs; /* what runs is not held, only stopped */
	bool old;  /* its agent knows of one slot only */
	struct uid uid;
	uint64_t inputs, storage;
	int64_t since;
};
struct pvc {
	bool present, bound, grows;
	struct uid uid;
	uint64_t storage, size;
	uint32_t timeline; /* of the data on it */
	bool led;
};
/* A BGDbOps as it is stored, and what pods have done for its present run. */
struct op {
	bool present, due;
	struct plan_dbops at, before; /* now, and one write ago */
	char text[IPC_TEXT_MAX + 1];
	bool disrupts;
	unsigned begun[ORDINALS], runs;
};
/* What a pod does of what it was told: it alone knows. op: of a task, what it is of. */
struct job {
	bool begun, slow, cleans;
	uint8_t op;
};
static struct world {
	uint64_t seed;
	int64_t now;
	uint64_t version;
	uint32_t uids, timeline;

	struct object cluster;
	bool finalizer, finalizer_forced;
	uint64_t hash[GROUP_COUNT], status, status_generation;
	bool status_ready;
	uint8_t instances, policy, scale_down;
	bool hibernated, paused, patroni_paused, on_demand;
	uint32_t fenced;
	bool windowed, operated, tasked;
	struct windows windows;

	struct object child[CHILD_COUNT], instance[ORDINALS];
	struct plan_report report[ORDINALS];
	struct uid told[ORDINALS]; /* which pod its operation is for */
	bool restart_due[ORDINALS];
	uint8_t replicas;
	uint64_t pod_inputs, storage_inputs, last_good;
	struct pod pods[ORDINALS];
	struct pvc pvcs[ORDINALS];
	struct job operating[ORDINALS], tasks[ORDINALS][TASKS_MAX];
	struct uid task_pod[ORDINALS][TASKS_MAX];
	bool restarting[ORDINALS]; /* its server is down for a moment; who leads goes on to */
	bool lowered[ORDINALS];    /* it served, and was taken down by our order */
	struct {
		struct object object;
		struct plan_report report;
	} shown[ORDINALS], before[ORDINALS]; /* each BGInstance as it was written, and before */
	struct op ops[OPS];
	bool destroying, adopted, configmaps, data;
	uint8_t last_primary; /* as the anchor has it */
	uint32_t last_timeline;

	/* The reconciler. */
	struct plan_cluster plan;
	struct plan_instance instances_memory[ORDINALS];
	struct plan_step step;
	struct windows windows_seen;
	struct plan_dbops ops_memory[OPS], *ops_list[OPS];
	bool flying, synced;
	unsigned unsynced;   /* records still to come before the lists are complete */
	unsigned lists_from; /* in which order they come */

	bool calm; /* no more faults, no more users */
	unsigned restored, halted, asked;
	unsigned steps, deletes_of_data, rolled, dropped, waited, cloned;
	unsigned ended[CHOICE_dbops_op_COUNT], repeated, cancelled, cleaned;
	unsigned beside[TASKS_MAX]; /* how often a task began beside so many others on its pod */
	bool cuts;                  /* replicas may fall behind too far */
	bool unfit[ORDINALS];       /* whose data can not follow */
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
	size_t i = (size_t)(o - w.instance);

	o->version = ++w.version;
	if (spec)
		o->generation++;
	o->due = true;
	if (o < w.instance || i >= ORDINALS)
		return;
	w.before[i] = w.shown[i];
	w.shown[i].object = *o;
	w.shown[i].report = w.report[i];
}

static int64_t
wall_s(void)
{
	return 1795564800 + w.now / 1000;
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
	    .paused = w.paused,
	    .fenced = w.fenced,
	    .policy = w.policy,
	    .update = w.on_demand ? CHOICE_update_strategy_ON_DEMAND : 0,
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

/* A list may come before a write of the life before does: then there is one record more. */
static bool
is_behind(enum child c, unsigned ordinal, bool listing)
{
	return listing && c == CHILD_INSTANCE && w.operated && !w.calm && chance(30) &&
	       w.instance[ordinal].present && w.before[ordinal].object.present &&
	       uid_eq(&w.before[ordinal].object.uid, &w.instance[ordinal].uid);
}

static void
give_child(enum child c, unsigned ordinal, bool listing)
{
	bool behind = is_behind(c, ordinal, listing);
	struct object *o = behind ? &w.before[ordinal].object : object_of(c, ordinal);
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
	    .storage_inputs = w.storage_inputs,
	    .last_good = w.last_good};

	object_of(c, ordinal)->due = behind;
	if (!o->present) {
		plan_note_child_gone(&w.plan, c, ordinal, &o->uid);
		return;
	}
	if (!plan_note_child(&w.plan, c, ordinal, &v, listing))
		return;
	if (c == CHILD_STATEFULSET)
		plan_note_statefulset(&w.plan, &s, (struct msec){w.now});
	if (c == CHILD_INSTANCE)
		plan_note_report(
		    &w.plan, ordinal, behind ? &w.before[ordinal].report : &w.report[ordinal]);
}

static bool give_op(unsigned k, bool listing, bool only_due); /* plan_world_ops.h */

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

	if (i > CHILD_COUNT + ORDINALS)
		return give_op(i - CHILD_COUNT - ORDINALS - 1, listing, only_due);
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
#define OBJECTS (CHILD_COUNT + ORDINALS + 1 + OPS)

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
	w.plan.dbops = w.ops_list;
	w.flying = false;
	w.synced = false;
	w.unsynced = OBJECTS;
	w.lists_from = w.operated ? (unsigned)rnd(OBJECTS) : 0;
}

static unsigned
listed_at(unsigned n)
{
	return (n + w.lists_from) % OBJECTS;
}

static void
list_more(void)
{
	unsigned i;

	if (w.synced)
		return;
	i = listed_at(--w.unsynced);
	if (i != CHILD_COUNT + ORDINALS || w.cluster.present)
		give(i, true, false);
	if (w.unsynced == 0)
		w.synced = true;
}

/* Whose lists are complete? Those of which nothing is still to come. */
static uint32_t
listed(void)
{
	uint32_t kinds = UINT32_MAX;

	if (!w.operated)
		return w.synced ? kinds : 0;
	for (unsigned n = 0; n < w.unsynced; n++) {
		unsigned i = listed_at(n);

		if (i < CHILD_COUNT)
			kinds &= ~(1u << child_info[i].kind);
		else
			kinds &= ~(1u << (i < CHILD_COUNT + ORDINALS    ? KIND_BGINSTANCE
					  : i == CHILD_COUNT + ORDINALS ? KIND_BGCLUSTER
									: KIND_BGDBOPS));
	}
	return kinds;
}

/* --- Controllers, kubelets, agents. */

static void
end_pod(unsigned i)
{
	w.pods[i].present = w.restarting[i] = false;
	if (i >= w.instances || w.hibernated || w.cluster.deleting)
		w.lowered[i] = false;
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
			    .old = w.operated && chance(25),
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
		if (w.pods[i].present && (w.pods[i].ready || w.restarting[i]) &&
		    w.report[i].role == CHOICE_instance_role_PRIMARY)
			return i;
	return ORDINALS;
}

static void
hand_over(unsigned next, unsigned *leader)
{
	w.report[*leader].role = CHOICE_instance_role_REPLICA;
	w.report[next].role = CHOICE_instance_role_PRIMARY;
	w.timeline++;
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
	w.restarting[i] = false;
	if (r->stop == CHOICE_stop_PATRONI && p->runs) {
		r->state = CHOICE_instance_state_DETACHED;
		r->role = CHOICE_instance_role_REPLICA;
	} else {
		r->state = CHOICE_instance_state_STOPPED;
		r->timeline = w.pvcs[i].timeline;
		r->role = w.pvcs[i].led ? CHOICE_instance_role_PRIMARY : CHOICE_instance_role_NONE;
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

/* A server that serves is about to go down for one of our orders: it must be the only one. */
static void
take_down(unsigned i)
{
	if (!w.pods[i].ready)
		return;
	for (unsigned k = 0; k < w.instances; k++)
		if (k != i && w.lowered[k] && !w.hibernated && !w.cluster.deleting)
			broken("two servers are down by our order");
	w.lowered[i] = true;
}

static void note_operation_begun(unsigned i); /* plan_world_ops.h */
static unsigned candidate_of(unsigned i);
static void run_tasks(unsigned i, struct plan_report *r, unsigned leader);

static void
begin_operation(unsigned i, const struct plan_report *r)
{
	w.operating[i].begun = true;
	note_operation_begun(i);
	if (r->operation != CHOICE_operation_RESTART &&
	    r->operation != CHOICE_operation_RESTART_ALWAYS &&
	    r->operation != CHOICE_operation_REINIT)
		return;
	take_down(i);
	w.restarting[i] = w.pods[i].runs;
}

static bool
may_lead(unsigned i)
{
	return w.pods[i].present && w.pods[i].ready && !w.pods[i].terminating;
}

/* The leadership goes to the candidate, or to whom it may. */
static bool
switch_over(unsigned i, unsigned *leader)
{
	unsigned next = candidate_of(i), any = (unsigned)rnd(ORDINALS);

	if (next == ORDINALS && *leader != i)
		return true;
	next = next == ORDINALS ? any : next;
	if (*leader != i)
		return *leader == next;
	if (next == i || !may_lead(next))
		return false;
	hand_over(next, leader);
	return true;
}

static bool
end_operation(unsigned i, struct plan_report *r, unsigned *leader)
{
	bool ran = w.pods[i].runs;

	w.restarting[i] = false;
	switch (r->operation) {
	case CHOICE_operation_REINIT:
		clone(i, r, *leader);
		return r->operation_phase != CHOICE_operation_phase_FAILED;
	case CHOICE_operation_RESTART:
		w.restart_due[i] = false;
		return true;
	case CHOICE_operation_RESTART_ALWAYS:
		w.restart_due[i] &= !ran;
		return ran && !(chance(5) && !w.calm);
	case CHOICE_operation_SWITCHOVER:
		return switch_over(i, leader);
	case CHOICE_operation_FAILOVER:
		if (*leader != i && *leader != ORDINALS && may_lead(i))
			hand_over(i, leader);
		return *leader == i;
	default:
		return true;
	}
}

/* What it was told to do: it may take a while, and may fail. */
static void
operate(unsigned i, struct plan_report *r, unsigned *leader)
{
	struct job *j = &w.operating[i];

	if (r->operation == 0 || r->operation_phase >= CHOICE_operation_phase_SUCCEEDED ||
	    chance(50))
		return;
	r->operation_phase = CHOICE_operation_phase_RUNNING;
	/* Patroni is asked; where it does not run, the agent waits for a while. */
	if (chance(50) || (w.operated && !w.pods[i].runs && chance(90) &&
			      r->operation != CHOICE_operation_REINIT))
		return;
	if (!j->begun)
		begin_operation(i, r);
	if (w.operated && chance(50))
		return;
	r->operation_phase = CHOICE_operation_phase_SUCCEEDED;
	if (!end_operation(i, r, leader))
		r->operation_phase = CHOICE_operation_phase_FAILED;
}

static void
forget_operation(struct plan_report *r)
{
	r->operation = r->operation_phase = r->operation_attempt = 0;
	r->operation_id = 0;
}

static void
keep_tasks(unsigned i, struct plan_report *r)
{
	for (unsigned k = 0; k < TASKS_MAX; k++)
		if (uid_eq(&w.task_pod[i][k], &r->pod_uid))
			r->task[k] = w.report[i].task[k];
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
	    .operation_id = w.report[i].operation_id,
	    .task_slots = w.pods[i].old ? 0 : TASKS_MAX,
	    .system_identifier = SYSTEM_IDENTIFIER,
	    .config_generation = w.cluster.generation,
	    .timeline = w.report[i].timeline,
	    .bootstrapped = true};
	unsigned leader = find_leader();

	if (!w.instance[i].present)
		return;
	if (!uid_eq(&w.told[i], &r.pod_uid))
		forget_operation(&r);
	keep_tasks(i, &r);
	operate(i, &r, &leader);
	run_tasks(i, &r, leader);
	if (rest(i, &r, leader)) {
		r.reason = REASON_RESTING;
	} else if (r.hold && !w.pods[i].runs) {
		r.timeline = w.pvcs[i].timeline;
		r.role = w.pvcs[i].led ? CHOICE_instance_role_PRIMARY : CHOICE_instance_role_NONE;
		r.state = CHOICE_instance_state_HELD;
		r.reason = REASON_HELD;
		w.pods[i].ready = false;
	} else if (w.restarting[i]) {
		r.role = w.report[i].role;
		r.state = CHOICE_instance_state_STARTING;
		if (w.pods[i].ready)
			touch(&w.child[CHILD_STATEFULSET], false);
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
		r.paused = w.patroni_paused;
		w.timeline += primary && w.report[i].role != CHOICE_instance_role_PRIMARY;
		r.timeline = w.timeline;
		r.role = primary ? CHOICE_instance_role_PRIMARY : CHOICE_instance_role_REPLICA;
		r.state = primary ? CHOICE_instance_state_RUNNING : CHOICE_instance_state_STREAMING;
		r.pending_restart = w.restart_due[i];
		if (!w.pods[i].ready)
			touch(&w.child[CHILD_STATEFULSET], false);
		w.pods[i].ready = w.pods[i].runs = true;
		w.lowered[i] = false;
		w.pvcs[i].timeline = r.timeline;
		w.pvcs[i].led = primary;
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
			if (p->ready)
				touch(&w.child[CHILD_STATEFULSET], false);
			p->ready = w.restarting[i] = false;
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
