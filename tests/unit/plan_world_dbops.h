/*
 * What the executor makes of each step on a BGDbOps (workers/executor_dbops*.c), what users do with
 * them, and what must have become of each at the end. Only test_plan_sim.c includes this.
 */
#ifndef TESTS_UNIT_PLAN_WORLD_DBOPS_H
#define TESTS_UNIT_PLAN_WORLD_DBOPS_H

#include "tests/unit/plan_world_ops.h"

#define RETRIES_INTERRUPTED 3 /* docs/dbops.md */
#define CANCEL_S 60

/* --- Steps. */

static bool
is_rolling(unsigned i)
{
	const struct plan_report *r = &w.report[i];

	return (w.lowered[i] && w.pods[i].terminating) ||
	       (r->operation != 0 && r->operation != CHOICE_operation_RELOAD &&
		   uid_eq(&w.told[i], &w.pods[i].uid) && w.pods[i].present &&
		   r->operation_phase < CHOICE_operation_phase_SUCCEEDED);
}

static void
check_turn(const struct op *o)
{
	bool helps = o->at.op == CHOICE_dbops_op_FAILOVER;

	for (unsigned i = 0; i < w.instances && o->disrupts && !helps; i++)
		if (is_rolling(i) && !w.hibernated)
			broken("a disruptive BGDbOps begins while a change is under way");

	for (unsigned k = 0; k < OPS && o->disrupts; k++) {
		const struct op *e = &w.ops[k];

		if (e != o && e->present && e->at.phase == CHOICE_dbops_phase_RUNNING &&
		    e->disrupts &&
		    (!helps || e->at.op == CHOICE_dbops_op_FAILOVER ||
			e->at.op == CHOICE_dbops_op_SWITCHOVER))
			broken("two disruptive BGDbOps run at once");
	}
}

static bool
stops_servers(const struct op *o)
{
	return dbops_info[o->at.op].disruptive &&
	       dbops_info[o->at.op].operation != CHOICE_operation_NONE;
}

/* What is done once does not run where a server is stopped, but by a failover. */
static void
check_spared(const struct op *o, unsigned i)
{
	bool once = is_task(o) && !dbops_info[o->at.op].repeatable;

	for (unsigned k = 0; k < OPS; k++) {
		const struct op *e = &w.ops[k];

		if (e == o || !e->present || e->at.phase != CHOICE_dbops_phase_RUNNING ||
		    e->at.deleted_s != 0 || e->at.invalid != NULL)
			continue;
		if (once && stops_servers(e))
			broken("what is done once begins while servers are stopped");
		if (stops_servers(o) && o->at.op != CHOICE_dbops_op_FAILOVER && is_task(e) &&
		    !dbops_info[e->at.op].repeatable && e->at.ordinal == i + 1)
			broken("a server is stopped where a script runs");
	}
}

static bool
is_claimed(const struct op *o, const struct plan_sent *s)
{
	return (s->cleanup ? o->at.cleanup == CHOICE_dbops_cleanup_RUNNING
			   : o->at.phase == CHOICE_dbops_phase_RUNNING) &&
	       o->at.attempt == s->attempt && o->at.ordinal == s->ordinal + 1 &&
	       uid_eq(&o->at.pod, &s->target);
}

static bool
goes_on(const struct op *o, const struct plan_sent *s)
{
	return is_servers(o) && !s->cleanup && o->at.phase == CHOICE_dbops_phase_RUNNING &&
	       o->at.attempt == s->attempt && o->at.ordinal == 0;
}

static bool
is_repeated(const struct op *o)
{
	return o->at.retries > 0 && o->at.finished_s == 0;
}

static bool
may_claim(const struct op *o, const struct plan_sent *s)
{
	if (s->attempt != o->at.attempt % TASK_ATTEMPTS_MAX + 1)
		return false;
	if (s->cleanup)
		return o->at.cleanup == CHOICE_dbops_cleanup_DUE ||
		       o->at.cleanup == CHOICE_dbops_cleanup_RUNNING;
	return o->at.deleted_s == 0 && o->at.phase <= CHOICE_dbops_phase_SCHEDULED &&
	       (dbops_info[o->at.op].repeatable || !is_repeated(o));
}

static void
claim_run(struct op *o, struct plan_dbops *now)
{
	bool fresh = !is_repeated(o);

	now->phase = CHOICE_dbops_phase_RUNNING;
	o->text[0] = '\0';
	o->disrupts = dbops_info[now->op].disruptive || now->locks;
	check_turn(o);
	if (!fresh && o->at.phase == CHOICE_dbops_phase_SCHEDULED)
		broken("another run goes on as if it were the one before");
	if (!now->scheduled)
		now->next_s = 0;
	if (!fresh)
		return;
	now->started_s = wall_s();
	now->finished_s = 0;
	now->restarted = now->retries = 0;
	now->percent = 0;
	now->cleanup = CHOICE_dbops_cleanup_NONE;
	memset(o->begun, 0, sizeof(o->begun));
	o->runs++;
}

static void
write_claim(struct op *o, const struct plan_sent *s)
{
	struct plan_dbops now = o->at;

	if (!s->cleanup)
		check_spared(o, s->ordinal);
	if (s->cleanup)
		now.cleanup = CHOICE_dbops_cleanup_RUNNING;
	else if (!goes_on(o, s))
		claim_run(o, &now);
	else
		o->text[0] = '\0';
	now.attempt = s->attempt;
	now.ordinal = (uint8_t)(s->ordinal + 1);
	now.pod = s->target;
	now.instance = w.instance[s->ordinal].uid;
	write_status(o, &now);
}

static bool
is_told(const struct op *o, const struct plan_sent *s)
{
	const struct plan_report *r = &w.report[s->ordinal];
	struct uid id = model_operation_id(&o->at.uid, s->attempt, s->ordinal);

	if (is_task(o) || s->cleanup) {
		unsigned slot = slot_of(o, s->ordinal);

		return slot < TASKS_MAX && r->task[slot].attempt == s->attempt;
	}
	return r->operation_id == model_uid_key(&id);
}

/* As the executor looks at the BGInstance: executor_dbops.c. */
static bool
may_use(const struct op *o, const struct plan_sent *s, unsigned slot)
{
	const struct plan_report *r = &w.report[s->ordinal];
	unsigned kind = s->cleanup ? CHOICE_task_kind_CLEANUP : dbops_info[o->at.op].task;

	if (slot >= (r->task_slots > 0 ? r->task_slots : 1u) || is_busy(s->ordinal, slot))
		return false;
	for (unsigned k = 0; k < TASKS_MAX; k++)
		if (is_busy(s->ordinal, k) &&
		    model_tasks_conflict(r->task[k].kind, kind))
			return false;
	if (slot_of(o, s->ordinal) == slot)
		return true;
	return is_there(s->ordinal, slot)
	           ? r->task[slot].owner == s->held && r->task[slot].attempt == s->held_attempt
	           : s->held == 0;
}

/* TASKS_MAX: it can not be told a task now. */
static unsigned
pick_slot(const struct op *o, const struct plan_sent *s)
{
	unsigned slot = slot_of(o, s->ordinal);

	if (slot == TASKS_MAX)
		slot = s->slot;
	return may_use(o, s, slot) ? slot : TASKS_MAX;
}

static bool
does_another(const struct op *o, const struct plan_sent *s)
{
	const struct plan_report *r = &w.report[s->ordinal];

	if (is_task(o) || s->cleanup)
		return pick_slot(o, s) == TASKS_MAX;
	return r->operation != 0 && uid_eq(&w.told[s->ordinal], &r->pod_uid) &&
	       r->operation_phase <= CHOICE_operation_phase_RUNNING;
}

/* What a slot holds is taken in before something else is told there. */
static void
check_forgotten(unsigned i, unsigned slot)
{
	const struct op *e = task_at(i, slot);
	const struct plan_task *t = &w.report[i].task[slot];

	if (is_busy(i, slot))
		broken("what a pod has not ended is replaced by another task");
	if (is_there(i, slot) && e != NULL && e->at.attempt == t->attempt &&
	    (e->at.phase == CHOICE_dbops_phase_RUNNING ||
		e->at.cleanup == CHOICE_dbops_cleanup_RUNNING))
		broken("what a pod has done is forgotten before it was taken in");
	if (w.pods[i].old && uid_eq(&w.pods[i].uid, &w.report[i].pod_uid) && slot > 0)
		broken("an agent is told in a slot that it does not know of");
}

static void
tell_task(const struct op *o, const struct plan_sent *s)
{
	unsigned slot = pick_slot(o, s);

	if (slot == TASKS_MAX) {
		broken("the BGInstance was patched, but not as it was read");
		return;
	}
	check_forgotten(s->ordinal, slot);
	w.report[s->ordinal].task[slot] = (struct plan_task){.owner = model_uid_key(&o->at.uid),
	    .attempt = s->attempt,
	    .kind = s->cleanup ? CHOICE_task_kind_CLEANUP : dbops_info[o->at.op].task};
	w.tasks[s->ordinal][slot] = (struct job){.cleans = s->cleanup, .op = o->at.op};
	w.task_pod[s->ordinal][slot] = s->target;
	check_slots(s->ordinal);
}

static void
tell_pod(const struct op *o, const struct plan_sent *s)
{
	struct plan_report *r = &w.report[s->ordinal];
	struct uid id = model_operation_id(&o->at.uid, s->attempt, s->ordinal);

	if (is_task(o) || s->cleanup) {
		tell_task(o, s);
	} else {
		forget_operation(r);
		r->operation = dbops_info[o->at.op].operation;
		r->operation_id = model_uid_key(&id);
		w.operating[s->ordinal] = (struct job){0};
		w.told[s->ordinal] = s->target;
	}
	touch(&w.instance[s->ordinal], true);
}

/* The finalizer, the claim, the pod: it may be cut off between each two. */
static bool
is_cut_off(void)
{
	return !w.calm && chance(8);
}

static enum choice_step_code
do_tell(struct op *o, const struct plan_sent *s)
{
	bool claimed = is_claimed(o, s);
	struct plan_dbops now = o->at;

	if (!claimed && !goes_on(o, s) && !may_claim(o, s))
		return CHOICE_step_code_CONFLICT;
	if (!w.cluster.present)
		return CHOICE_step_code_GONE;
	if (w.cluster.deleting || w.paused || w.hibernated)
		return CHOICE_step_code_CONFLICT;
	if (!w.instance[s->ordinal].present)
		return CHOICE_step_code_GONE;
	if (!uid_eq(&w.report[s->ordinal].pod_uid, &s->target) ||
	    (!is_told(o, s) && does_another(o, s)))
		return CHOICE_step_code_CONFLICT;
	now.finalizer = true;
	if (!o->at.finalizer && o->at.deleted_s == 0)
		write_op(o, &now);
	if (is_cut_off())
		return CHOICE_step_code_RETRY;
	if (!claimed)
		write_claim(o, s);
	if (is_cut_off())
		return CHOICE_step_code_RETRY;
	if (!is_told(o, s))
		tell_pod(o, s);
	return CHOICE_step_code_DONE;
}

static void
do_cancel(const struct op *o)
{
	struct plan_task *t = task_of(o);

	if (t == NULL || t->cancel)
		return;
	t->cancel = true;
	touch(&w.instance[o->at.ordinal - 1], true);
}

/* A time that has come is not passed over, unless that is said or the schedule is another. */
static void
check_schedule(const struct op *o, const struct plan_step *p)
{
	const struct plan_dbops *d = &o->at;

	if (!o->due && d->scheduled && d->phase == CHOICE_dbops_phase_SCHEDULED && d->next_s != 0 &&
	    d->next_s % 60 == 0 && d->next_s <= wall_s() &&
	    p->said.phase == CHOICE_dbops_phase_SCHEDULED && p->said.next_s > d->next_s &&
	    p->said.reason != CHOICE_dbops_reason_SKIPPED)
		broken("a run of a schedule is left out without a word");
}

static enum choice_step_code
do_say_op(struct op *o, const struct plan_step *p)
{
	struct plan_dbops now = o->at;

	if (p->said.phase == CHOICE_dbops_phase_NONE ||
	    p->said.phase > CHOICE_dbops_phase_RUNNING || is_over(o) ||
	    (o->at.phase == CHOICE_dbops_phase_RUNNING &&
		p->said.phase != CHOICE_dbops_phase_RUNNING))
		return CHOICE_step_code_CONFLICT;
	if (p->text[0] == '\0')
		broken("it waits, and does not say for what");
	if (o->at.phase == p->said.phase && strcmp(o->text, p->text) == 0 &&
	    o->at.next_s == p->said.next_s && o->at.observed == o->at.generation) {
		if (!o->due)
			broken("a BGDbOps is told what it says already");
		return CHOICE_step_code_DONE;
	}
	now.phase = p->said.phase;
	now.next_s = p->said.next_s;
	check_schedule(o, p);
	snprintf(o->text, sizeof(o->text), "%s", p->text);
	write_status(o, &now);
	return CHOICE_step_code_DONE;
}

static enum choice_step_code
do_progress(struct op *o)
{
	struct plan_dbops now = o->at;
	const struct plan_task *t = task_of(o);

	if (t == NULL || now.phase != CHOICE_dbops_phase_RUNNING || now.percent == t->percent)
		return CHOICE_step_code_DONE;
	now.percent = t->percent;
	write_status(o, &now);
	return CHOICE_step_code_DONE;
}

static enum choice_step_code
do_next(struct op *o)
{
	struct plan_dbops now = o->at;

	if (now.phase != CHOICE_dbops_phase_RUNNING || now.ordinal == 0)
		return CHOICE_step_code_CONFLICT;
	now.restarted |= 1u << (now.ordinal - 1);
	now.ordinal = 0;
	now.pod = now.instance = (struct uid){{0}};
	o->text[0] = '\0';
	write_status(o, &now);
	return CHOICE_step_code_DONE;
}

static enum choice_step_code
do_retry(struct op *o, const struct plan_step *p)
{
	unsigned most =
	    o->at.max_retries == DBOPS_RETRIES_NOT_GIVEN ? RETRIES_INTERRUPTED : o->at.max_retries;
	struct plan_dbops now = o->at;

	if (now.phase != CHOICE_dbops_phase_RUNNING || now.attempt != p->sent.attempt ||
	    !dbops_info[now.op].repeatable)
		return CHOICE_step_code_CONFLICT;
	if (++now.retries > most)
		broken("it is repeated more often than spec.maxRetries");
	now.phase = CHOICE_dbops_phase_PENDING;
	now.next_s = p->said.next_s;
	now.ordinal = 0;
	now.pod = now.instance = (struct uid){{0}};
	if (p->said.cleanup)
		now.cleanup = CHOICE_dbops_cleanup_DUE;
	snprintf(o->text, sizeof(o->text), "%s", p->text[0] != '\0' ? p->text : "its pod's words");
	write_status(o, &now);
	w.repeated++;
	return CHOICE_step_code_DONE;
}

/* Is a pod at it, as its BGInstance says? */
static bool
is_at_work(const struct op *o)
{
	unsigned i = o->at.ordinal - 1u;
	const struct plan_task *t = task_of(o);

	if (o->at.ordinal == 0 || !w.cluster.present || w.cluster.deleting ||
	    !w.instance[i].present || !w.pods[i].present || !uid_eq(&w.pods[i].uid, &o->at.pod) ||
	    w.pods[i].terminating || w.report[i].state == CHOICE_instance_state_UNKNOWN)
		return false;
	if (is_task(o))
		return t != NULL && !w.tasks[i][t - w.report[i].task].cleans &&
		       t->phase <= CHOICE_task_phase_RUNNING;
	return operation_at(i) == o &&
	       w.report[i].operation_phase <= CHOICE_operation_phase_RUNNING;
}

static enum choice_step_code
do_finish(struct op *o, const struct plan_step *p)
{
	bool again = o->at.scheduled && o->at.invalid == NULL && o->at.deleted_s == 0 &&
	             p->said.reason != CHOICE_dbops_reason_REFUSED &&
	             p->said.phase != CHOICE_dbops_phase_CANCELLED;
	bool runs = o->at.phase == CHOICE_dbops_phase_RUNNING;
	struct plan_dbops now = o->at;

	if (p->said.phase < CHOICE_dbops_phase_SUCCEEDED || is_over(o) ||
	    now.attempt != p->sent.attempt ||
	    (now.phase == CHOICE_dbops_phase_SCHEDULED &&
		p->said.reason != CHOICE_dbops_reason_REFUSED &&
		(wall_s() < now.next_s || now.next_s == 0 || now.finished_s >= now.next_s)))
		return CHOICE_step_code_CONFLICT;
	if (p->said.phase == CHOICE_dbops_phase_SUCCEEDED && !runs &&
	    now.role != CHOICE_dbops_role_REPLICA && !now.only_pending && w.fenced == 0 &&
	    !is_repeated(o))
		broken("a restart has succeeded without a server");
	if (p->said.phase == CHOICE_dbops_phase_CANCELLED && is_at_work(o))
		broken("a BGDbOps is cancelled while its pod is at it");
	if (p->said.phase == CHOICE_dbops_phase_SUCCEEDED && runs && is_at_work(o))
		broken("a BGDbOps has succeeded while its pod is at it");
	now.phase = again ? CHOICE_dbops_phase_SCHEDULED : p->said.phase;
	now.finished_s = wall_s();
	if (p->said.phase == CHOICE_dbops_phase_SUCCEEDED && !runs)
		now.started_s = now.finished_s;
	now.next_s = again ? p->said.next_s : 0;
	if (runs && p->said.cleanup)
		now.cleanup = CHOICE_dbops_cleanup_DUE;
	snprintf(o->text, sizeof(o->text), "%s", p->text);
	write_status(o, &now);
	if (p->said.phase == CHOICE_dbops_phase_SUCCEEDED && runs)
		w.ended[now.op]++;
	w.cancelled += p->said.phase == CHOICE_dbops_phase_CANCELLED;
	return CHOICE_step_code_DONE;
}

static enum choice_step_code
do_cleaned(struct op *o)
{
	struct plan_dbops now = o->at;

	if (now.cleanup != CHOICE_dbops_cleanup_DUE && now.cleanup != CHOICE_dbops_cleanup_RUNNING)
		return CHOICE_step_code_DONE;
	if (now.cleanup == CHOICE_dbops_cleanup_DUE && w.cluster.present && !w.cluster.deleting)
		broken("what it left is given up although there is a cluster");
	now.cleanup = CHOICE_dbops_cleanup_DONE;
	write_status(o, &now);
	w.cleaned++;
	return CHOICE_step_code_DONE;
}

static enum choice_step_code
do_release(struct op *o)
{
	struct plan_dbops now = o->at;

	if (now.deleted_s != 0 && wall_s() < now.deleted_s + CANCEL_S && is_at_work(o))
		broken("a deleted BGDbOps goes while its pod is at it");

	if (!now.finalizer && !o->due)
		broken("a finalizer is removed that is not there");
	now.finalizer = false;
	write_op(o, &now);
	if (now.deleted_s == 0)
		return CHOICE_step_code_DONE;
	remove_op(o);
	return CHOICE_step_code_GONE;
}

static void
delete_op(struct op *o)
{
	struct plan_dbops now = o->at;

	if (!now.finalizer) {
		remove_op(o);
	} else if (now.deleted_s == 0) {
		now.deleted_s = wall_s();
		write_op(o, &now);
	}
}

static enum choice_step_code
do_delete_op(struct op *o)
{
	if (!is_over(o) || o->at.ttl == 0 || o->at.finished_s + o->at.ttl - 1 > wall_s())
		return CHOICE_step_code_CONFLICT;
	delete_op(o);
	return CHOICE_step_code_DONE;
}

static enum choice_step_code
do_verb(struct op *o, const struct plan_step *p)
{
	switch (p->sent.verb) {
	case CHOICE_verb_DBOPS_TELL:
		return do_tell(o, &p->sent);
	case CHOICE_verb_DBOPS_CANCEL:
		do_cancel(o);
		return CHOICE_step_code_DONE;
	case CHOICE_verb_DBOPS_SAY:
		return do_say_op(o, p);
	case CHOICE_verb_DBOPS_PROGRESS:
		return do_progress(o);
	case CHOICE_verb_DBOPS_NEXT:
		return do_next(o);
	case CHOICE_verb_DBOPS_RETRY:
		return do_retry(o, p);
	case CHOICE_verb_DBOPS_FINISH:
		return do_finish(o, p);
	case CHOICE_verb_DBOPS_CLEANED:
		return do_cleaned(o);
	case CHOICE_verb_DBOPS_RELEASE:
		return do_release(o);
	default:
		return do_delete_op(o);
	}
}

static struct plan_answer
do_dbops(const struct plan_step *p, uint64_t generation)
{
	struct op *o = find_op(&p->sent.dbops);
	struct plan_answer a = {.code = CHOICE_step_code_GONE};
	const struct object *i = &w.instance[p->sent.ordinal];

	if (o == NULL)
		return a;
	a.code = CHOICE_step_code_CONFLICT;
	if (o->at.generation == generation)
		a.code = (uint8_t)do_verb(o, p);
	a.dbops_version = o->at.version;
	if (p->sent.verb == CHOICE_verb_DBOPS_TELL && a.code == CHOICE_step_code_DONE) {
		a.child_uid = i->uid;
		a.version = i->version;
		a.generation = i->generation;
		a.present = true;
	}
	return a;
}

/* --- Their users. */

static void
choose_spec(struct plan_dbops *d)
{
	bool names = d->op == CHOICE_dbops_op_SWITCHOVER || d->op == CHOICE_dbops_op_FAILOVER;

	d->max_retries = chance(60) ? DBOPS_RETRIES_NOT_GIVEN : (uint8_t)rnd(3);
	d->timeout_s = chance(25) ? 5 + (uint32_t)rnd(60) : 0;
	d->ttl = chance(25) ? 1 + (uint32_t)rnd(60) : 0;
	d->only_pending = d->op == CHOICE_dbops_op_RESTART && chance(20);
	d->locks =
	    (d->op == CHOICE_dbops_op_VACUUM || d->op == CHOICE_dbops_op_REINDEX) && chance(50);
	d->replica = d->op == CHOICE_dbops_op_SQL && chance(40);
	d->role = d->op == CHOICE_dbops_op_RESTART ? (uint8_t)rnd(CHOICE_dbops_role_COUNT)
	                                           : CHOICE_dbops_role_ANY;
	d->system_identifier = chance(90) ? SYSTEM_IDENTIFIER : SYSTEM_IDENTIFIER + 1;
	d->wanted = 0;
	if ((names && chance(50)) || d->op == CHOICE_dbops_op_REINIT)
		d->wanted = chance(5) ? DBOPS_NO_INSTANCE : (uint8_t)(1 + rnd(w.instances + 1u));
	d->scheduled = chance(15);
	d->bad_cron = d->scheduled && chance(5);
	snprintf(d->zone, sizeof(d->zone), "UTC");
	if (cron_parse(STR("* * * * *"), &d->cron) == -1)
		broken("not a schedule");
	d->run_at_s = !d->scheduled && chance(15) ? wall_s() + (int64_t)rnd(90) - 20 : 0;
}

static uint8_t
choose_op(void)
{
	if (w.tasked && chance(80))
		return (uint8_t)(CHOICE_dbops_op_CHECKPOINT +
				 rnd(CHOICE_dbops_op_COUNT - CHOICE_dbops_op_CHECKPOINT));
	return (uint8_t)rnd(CHOICE_dbops_op_COUNT);
}

static void
create_op(struct op *o)
{
	static char invalid[] = "spec.op: is none";

	*o = (struct op){.present = true, .due = true};
	o->at = (struct plan_dbops){.uid = new_uid(),
	    .generation = 1,
	    .version = ++w.version,
	    .created_s = wall_s(),
	    .op = choose_op(),
	    .invalid = chance(2) ? invalid : NULL};
	snprintf(o->at.name, sizeof(o->at.name), "op%u", w.uids);
	choose_spec(&o->at);
}

/* As kube/decode.c reads it: what was refused is judged anew. */
static void
forget_refusal(struct plan_dbops *d)
{
	if (d->phase != CHOICE_dbops_phase_FAILED || (d->started_s != 0 && !d->scheduled))
		return;
	d->phase = d->scheduled ? CHOICE_dbops_phase_SCHEDULED : CHOICE_dbops_phase_NONE;
	if (d->started_s == 0)
		d->finished_s = 0;
}

/* As the CRD lets them: a spec that has started stays, but for a schedule's, which stays one. */
static void
edit_op(struct op *o)
{
	struct plan_dbops now = o->at;
	bool scheduled = now.scheduled;

	if (now.started_s != 0 && !scheduled)
		return;
	now.generation++;
	if (chance(40)) {
		now.suspend = !now.suspend;
	} else if (now.phase != CHOICE_dbops_phase_RUNNING) {
		choose_spec(&now);
		now.scheduled = scheduled;
		now.bad_cron = scheduled && chance(5);
		now.run_at_s = scheduled ? 0 : now.run_at_s;
	}
	forget_refusal(&now);
	write_op(o, &now);
}

static void
be_an_operator(void)
{
	struct op *o = &w.ops[rnd(OPS)];

	if (!o->present && !o->due)
		create_op(o);
	else if (o->present && chance(25))
		delete_op(o);
	else if (o->present && chance(40))
		edit_op(o);
}

/* An agent or pgctl is killed: what is being done there is interrupted, in all slots. */
static void
interrupt(unsigned i)
{
	struct plan_report *r = &w.report[i];
	unsigned n = 0;

	if (!w.pods[i].present || !w.instance[i].present || !uid_eq(&r->pod_uid, &w.pods[i].uid))
		return;
	for (unsigned k = 0, any = chance(50); k < TASKS_MAX && any; k++)
		if (is_there(i, k) && r->task[k].phase == CHOICE_task_phase_RUNNING) {
			end_task(&r->task[k], CHOICE_task_phase_FAILED, true);
			n++;
		}
	if (n == 0 && r->operation == CHOICE_operation_FAILOVER &&
	    r->operation_phase == CHOICE_operation_phase_RUNNING)
		r->operation_phase = CHOICE_operation_phase_FAILED;
	else if (n == 0)
		return;
	touch(&w.instance[i], false);
}

/* Its node is gone, and someone has forced it away. */
static void
lose_pod(unsigned i)
{
	if (w.pods[i].present)
		end_pod(i);
}

static void
move_leadership(void)
{
	unsigned leader = find_leader(), next = (unsigned)rnd(ORDINALS);

	if (leader < ORDINALS && next != leader && may_lead(next) && !w.hibernated &&
	    !w.cluster.deleting)
		hand_over(next, &leader);
}

/* --- The end. */

/* Schedules are stopped, one way or the other. */
static void
stop_schedules(void)
{
	for (unsigned k = 0; k < OPS; k++) {
		struct op *o = &w.ops[k];
		struct plan_dbops now = o->at;

		if (!o->present || !now.scheduled || now.suspend)
			continue;
		if (chance(50)) {
			delete_op(o);
			continue;
		}
		now.generation++;
		now.suspend = true;
		forget_refusal(&now);
		write_op(o, &now);
	}
}

static bool
ops_due(void)
{
	for (unsigned k = 0; k < OPS; k++)
		if (w.ops[k].due)
			return true;
	for (unsigned i = 0; i < ORDINALS; i++)
		for (unsigned k = 0; k < TASKS_MAX; k++)
			if (w.pods[i].present && uid_eq(&w.task_pod[i][k], &w.pods[i].uid) &&
			    is_busy(i, k))
				return true;
	return false;
}

static void
broken_op(const struct op *o, const char *why)
{
	static char text[512];

	if (w.broken != NULL)
		return;
	snprintf(text, sizeof(text), "%s %s, %s: %s (%.200s)", o->at.name,
	    choice_text(VOCAB_dbops_op, o->at.op), choice_text(VOCAB_dbops_phase, o->at.phase), why,
	    o->text);
	broken(text);
}

/* well: nothing is the matter with the cluster, so nothing has to be waited for. */
static void
check_op(const struct op *o, bool well)
{
	const struct plan_dbops *d = &o->at;
	bool leaves =
	    d->cleanup == CHOICE_dbops_cleanup_DUE || d->cleanup == CHOICE_dbops_cleanup_RUNNING;

	if (d->deleted_s != 0)
		broken_op(o, "it is deleted, and stays");
	if (is_over(o) && d->ttl != 0 && (well || !leaves))
		broken_op(o, "it outlives its time");
	if (is_over(o) && d->finalizer && (well || !leaves))
		broken_op(o, "it is over, and its finalizer stays");
	if (well && leaves)
		broken_op(o, "what it left is not removed");
	if (is_over(o) || (d->phase == CHOICE_dbops_phase_SCHEDULED && d->suspend))
		return;
	/* Its pod went with a StatefulSet that waits for a user before it is made anew. */
	if (d->phase == CHOICE_dbops_phase_RUNNING && d->ordinal > 0 &&
	    !w.child[CHILD_STATEFULSET].present && !w.pods[d->ordinal - 1].present)
		return;
	/* It goes on when the cluster wakes. */
	if (w.hibernated && d->phase == CHOICE_dbops_phase_RUNNING)
		return;
	if (well && !(d->replica && w.instances == 1))
		broken_op(o, "it does not end, although all is well");
	if (o->text[0] == '\0')
		broken_op(o, "it does not end, and does not say why");
}

static void
check_ops(void)
{
	bool well = w.cluster.present && w.status_ready && ready_pods() == w.instances &&
	            !w.hibernated && w.fenced == 0;

	for (unsigned k = 0; k < OPS; k++)
		if (w.ops[k].present)
			check_op(&w.ops[k], well);
}

#endif
