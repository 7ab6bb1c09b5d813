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

/* Whose task or operation is at work in that pod? NULL = nobody's that is there. */
static struct op *
op_at(unsigned i, bool task)
{
	const struct plan_report *r = &w.report[i];

	for (unsigned k = 0; k < OPS; k++) {
		const struct plan_dbops *d = &w.ops[k].at;
		struct uid id = model_operation_id(&d->uid, d->attempt, i);

		if (w.ops[k].present && (task ? r->task[0].owner == model_uid_key(&d->uid)
					      : r->operation_id == model_uid_key(&id)))
			return &w.ops[k];
	}
	return NULL;
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
	const struct op *o = op_at(i, false);

	return o != NULL && o->at.op == CHOICE_dbops_op_SWITCHOVER && o->at.wanted != 0
	           ? o->at.wanted - 1u
	           : ORDINALS;
}

static void
note_begun(unsigned i, bool task)
{
	struct op *o = op_at(i, task);

	if (o == NULL || w.tasks[i].cleans)
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
end_task(struct plan_report *r, enum choice_task_phase phase, bool interrupted)
{
	r->task[0].phase = (uint8_t)phase;
	r->task[0].interrupted = interrupted;
}

/* Noted, begun, and ended by itself, by us, by the loss of its process or of the leadership. */
static void
run_task(unsigned i, struct plan_report *r, unsigned leader)
{
	const struct op *o = op_at(i, true);
	struct job *j = &w.tasks[i];

	if (r->task[0].owner == 0 || r->task[0].phase > CHOICE_task_phase_RUNNING || chance(50))
		return;
	if (r->task[0].phase == CHOICE_task_phase_NONE) {
		r->task[0].phase = CHOICE_task_phase_RUNNING;
		return;
	}
	if (r->task[0].cancel) {
		if (!(j->slow && chance(80)))
			end_task(r, CHOICE_task_phase_CANCELLED, false);
	} else if (!w.calm && chance(3)) {
		end_task(r, CHOICE_task_phase_FAILED, true);
	} else if (!j->begun) {
		j->begun = true;
		j->slow = !w.calm && chance(20);
		if (!j->cleans)
			note_begun(i, true);
	} else if ((leader != i && (o == NULL || !o->at.replica)) || !w.pods[i].runs) {
		end_task(r, CHOICE_task_phase_FAILED, false);
	} else if (!w.calm && chance(3)) {
		end_task(r, CHOICE_task_phase_FAILED, false);
	} else if (!j->slow || w.calm || chance(3)) {
		r->task[0].percent = (uint8_t)(r->task[0].percent + 30);
		if (r->task[0].percent >= 100)
			end_task(r, CHOICE_task_phase_SUCCEEDED, false);
	}
}

#endif
