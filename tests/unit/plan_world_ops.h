/*
 * BGDbOps in the world of plan_world.h: how they are stored and seen, and what pods do of what they
 * are told for them. What the executor makes of each step is plan_world_dbops.h, what users do with
 * them test_plan_sim.c's. Notes in w.broken what must never happen.
 */
#ifndef TESTS_UNIT_PLAN_WORLD_OPS_H
#define TESTS_UNIT_PLAN_WORLD_OPS_H

#include <stdio.h>

#include "tests/unit/plan_world.h"

/* --- The store. */

static bool
is_over(const struct op *o)
{
	return o->at.phase > CHOICE_dbops_phase_RUNNING;
}

static bool
is_task(const struct op *o)
{
	return dbops_info[o->at.op].task != CHOICE_task_kind_NONE;
}

static bool
is_servers(const struct op *o)
{
	return o->at.op == CHOICE_dbops_op_RESTART || o->at.op == CHOICE_dbops_op_RELOAD;
}

static struct op *
find_op(const struct uid *uid)
{
	for (unsigned k = 0; k < OPS; k++)
		if (w.ops[k].present && uid_eq(&w.ops[k].at.uid, uid))
			return &w.ops[k];
	return NULL;
}

/* Whose operation is at work in that pod? NULL = nobody's that is there. */
static struct op *
operation_at(unsigned i)
{
	for (unsigned k = 0; k < OPS; k++) {
		const struct plan_dbops *d = &w.ops[k].at;
		struct uid id = model_operation_id(&d->uid, d->attempt, i);

		if (w.ops[k].present && w.report[i].operation_id == model_uid_key(&id))
			return &w.ops[k];
	}
	return NULL;
}

/* --- Slots. */

static struct op *
task_at(unsigned i, unsigned slot)
{
	for (unsigned k = 0; k < OPS; k++)
		if (w.ops[k].present &&
		    w.report[i].task[slot].owner == model_uid_key(&w.ops[k].at.uid))
			return &w.ops[k];
	return NULL;
}

/* It is for the pod that reports. */
static bool
is_there(unsigned i, unsigned slot)
{
	return w.report[i].task[slot].owner != 0 &&
	       uid_eq(&w.task_pod[i][slot], &w.report[i].pod_uid);
}

static bool
is_busy(unsigned i, unsigned slot)
{
	return is_there(i, slot) && w.report[i].task[slot].phase <= CHOICE_task_phase_RUNNING;
}

/* Where that BGDbOps is told, whichever attempt; TASKS_MAX = nowhere. */
static unsigned
slot_of(const struct op *o, unsigned i)
{
	unsigned k = 0;

	while (k < TASKS_MAX &&
	       !(is_there(i, k) && w.report[i].task[k].owner == model_uid_key(&o->at.uid)))
		k++;
	return k;
}

/* Its present attempt's; NULL = it was not told. */
static struct plan_task *
task_of(const struct op *o)
{
	unsigned i = o->at.ordinal - 1u, slot;

	if (o->at.ordinal == 0 || !w.instance[i].present)
		return NULL;
	slot = slot_of(o, i);
	return slot < TASKS_MAX && w.report[i].task[slot].attempt == o->at.attempt
	           ? &w.report[i].task[slot]
	           : NULL;
}

static bool
is_for_tables(const struct job *j)
{
	return j->cleans || j->op == CHOICE_dbops_op_VACUUM || j->op == CHOICE_dbops_op_REINDEX ||
	       j->op == CHOICE_dbops_op_REPACK;
}

static bool
do_conflict(const struct job *x, const struct job *y)
{
	if ((is_for_tables(x) && is_for_tables(y)) || x->cleans || y->cleans)
		return is_for_tables(x) && is_for_tables(y);
	return (x->op == y->op && x->op != CHOICE_dbops_op_SQL) ||
	       (x->op == CHOICE_dbops_op_REINDEX && y->op == CHOICE_dbops_op_ANALYZE) ||
	       (x->op == CHOICE_dbops_op_ANALYZE && y->op == CHOICE_dbops_op_REINDEX);
}

/* Of any two tasks of one pod, whoever told them: docs/dbops.md. */
static void
check_slots(unsigned i)
{
	for (unsigned k = 0; k < TASKS_MAX; k++)
		for (unsigned l = 0; l < k; l++) {
			if (!is_there(i, k) || !is_there(i, l))
				continue;
			if (w.report[i].task[k].owner == w.report[i].task[l].owner)
				broken("a BGDbOps is in two slots");
			if (is_busy(i, k) && is_busy(i, l) &&
			    do_conflict(&w.tasks[i][k], &w.tasks[i][l]))
				broken("two tasks that conflict are at work in one pod");
		}
}

static void
write_op(struct op *o, const struct plan_dbops *now)
{
	o->before = o->at;
	o->at = *now;
	o->at.version = ++w.version;
	o->at.said = model_dbops_said(o->at.phase, o->at.next_s, str_of(o->text));
	o->due = true;
}

static void
write_status(struct op *o, struct plan_dbops *now)
{
	now->observed = now->generation;
	write_op(o, now);
}

static void
remove_op(struct op *o)
{
	o->present = false;
	o->due = true;
}

/* --- Records (workers/reconciler_dbops.c). */

static void
drop_op(const struct uid *uid)
{
	struct plan_cluster *c = &w.plan;
	unsigned i = 0;

	while (i < c->dbops_n && !uid_eq(&c->dbops[i]->uid, uid))
		i++;
	if (i == c->dbops_n)
		return;
	c->dbops_n--;
	memmove(&c->dbops[i], &c->dbops[i + 1], (c->dbops_n - i) * sizeof(c->dbops[0]));
}

static struct plan_dbops *
seen_op(unsigned k)
{
	for (unsigned i = 0; i < w.plan.dbops_n; i++)
		if (w.plan.dbops[i] == &w.ops_memory[k])
			return &w.ops_memory[k];
	return NULL;
}

static bool
is_older(const struct plan_dbops *x, const struct plan_dbops *y)
{
	return x->created_s != y->created_s ? x->created_s < y->created_s
	                                    : strcmp(x->name, y->name) < 0;
}

static void
add_op(unsigned k, const struct plan_dbops *now)
{
	unsigned i = w.plan.dbops_n++;

	w.ops_memory[k] = *now;
	for (; i > 0 && is_older(now, w.ops_list[i - 1]); i--)
		w.ops_list[i] = w.ops_list[i - 1];
	w.ops_list[i] = &w.ops_memory[k];
}

static bool
give_op(unsigned k, bool listing, bool only_due)
{
	static char invalid[] = "spec.op: is none";
	struct op *o = &w.ops[k];
	bool behind = listing && o->present && o->before.version != 0 && !w.calm && chance(50);
	struct plan_dbops now = behind ? o->before : o->at, *seen = seen_op(k);

	if (only_due ? !o->due : !o->present)
		return false;
	o->due = behind;
	if (!o->present || plan_dbops_is_over(&now)) {
		drop_op(&o->at.uid);
		return true;
	}
	if (seen == NULL) {
		add_op(k, &now);
		seen = &w.ops_memory[k];
	} else {
		bool another = seen->attempt != now.attempt || seen->generation != now.generation;

		if (!plan_note_dbops(seen, &now, listing))
			return true;
		if (another)
			seen->refused = NULL;
	}
	seen->invalid = o->at.invalid != NULL ? invalid : NULL;
	return true;
}

/* --- What pods do. */

static unsigned
candidate_of(unsigned i)
{
	const struct op *o = operation_at(i);

	return o != NULL && o->at.op == CHOICE_dbops_op_SWITCHOVER && o->at.wanted != 0
	           ? o->at.wanted - 1u
	           : ORDINALS;
}

static void
note_begun(struct op *o, unsigned i)
{
	if (o == NULL)
		return;
	o->begun[i]++;
	for (unsigned k = 0, n = 0; k < ORDINALS && !is_servers(o); k++)
		if ((n += o->begun[k]) > (dbops_info[o->at.op].repeatable ? o->at.retries + 1 : 1))
			broken(dbops_info[o->at.op].repeatable
				   ? "it is repeated more often than its status counts"
				   : "what may not be repeated is begun twice");
	if (o->begun[i] > o->at.retries + 1)
		broken("a server is restarted twice in one run");
}

static void
note_operation_begun(unsigned i)
{
	note_begun(operation_at(i), i);
}

static void
note_task_begun(unsigned i, unsigned slot)
{
	unsigned others = 0;

	for (unsigned k = 0; k < TASKS_MAX; k++)
		others += k != slot && is_busy(i, k) && w.tasks[i][k].begun;
	w.beside[others]++;
	if (!w.tasks[i][slot].cleans)
		note_begun(task_at(i, slot), i);
}

static void
end_task(struct plan_task *t, enum choice_task_phase phase, bool interrupted)
{
	t->phase = (uint8_t)phase;
	t->interrupted = interrupted;
}

/* Noted, begun, and ended by itself, by us, by the loss of its process or of the leadership. */
static void
run_task(unsigned i, unsigned slot, struct plan_task *t, unsigned leader)
{
	const struct op *o = task_at(i, slot);
	struct job *j = &w.tasks[i][slot];

	if (t->owner == 0 || t->phase > CHOICE_task_phase_RUNNING || chance(50))
		return;
	if (t->phase == CHOICE_task_phase_NONE) {
		t->phase = CHOICE_task_phase_RUNNING;
		return;
	}
	if (t->cancel) {
		if (!(j->slow && chance(80)))
			end_task(t, CHOICE_task_phase_CANCELLED, false);
	} else if (!w.calm && chance(3)) {
		end_task(t, CHOICE_task_phase_FAILED, true);
	} else if (!j->begun) {
		j->begun = true;
		j->slow = !w.calm && chance(w.tasked ? 60 : 20);
		note_task_begun(i, slot);
	} else if ((leader != i && (o == NULL || !o->at.replica)) || !w.pods[i].runs) {
		end_task(t, CHOICE_task_phase_FAILED, false);
	} else if (!w.calm && chance(3)) {
		end_task(t, CHOICE_task_phase_FAILED, false);
	} else if (!j->slow || w.calm || chance(3)) {
		t->percent = (uint8_t)(t->percent + 30);
		if (t->percent >= 100)
			end_task(t, CHOICE_task_phase_SUCCEEDED, false);
	}
}

static void
run_tasks(unsigned i, struct plan_report *r, unsigned leader)
{
	check_slots(i);
	for (unsigned slot = 0; slot < (w.pods[i].old ? 1 : TASKS_MAX); slot++)
		run_task(i, slot, &r->task[slot], leader);
}

#endif
