/*
 * BGDbOps that have begun: how far the pod is that was told, when a run is repeated, when it is
 * over, and what an interrupted one leaves to be removed. For plan/dbops.c. All of it follows from
 * the claim in BGDbOps.status and from what that pod reports: whoever dies in between, the same
 * comes out.
 */
#include <stdarg.h>
#include <stdio.h>

#include "plan/rule.h"

#define PROGRESS_MS 5000
#define RETRY_FIRST_S 5
#define RETRY_MAX_S 300
#define RETRIES_INTERRUPTED 3
#define TIMEOUT_GRACE_S 5 /* its pod ends it first, and knows more of it */
#define CANCEL_S 60

/* How its claim stands. */
enum standing {
	UNTOLD, /* the claim is written, but its pod has not been told */
	LOST,   /* the pod, or the word that it was told, is no more */
	TOLD,   /* and has not ended */
	ENDED_WELL,
	ENDED_BADLY,
	ENDED_BY_US, /* cancelled */
};

/* By the phase that its pod says: those of an operation are the first ones of a task's. */
static const enum standing standings[CHOICE_task_phase_COUNT] = {
    [CHOICE_task_phase_NONE] = TOLD,
    [CHOICE_task_phase_RUNNING] = TOLD,
    [CHOICE_task_phase_SUCCEEDED] = ENDED_WELL,
    [CHOICE_task_phase_FAILED] = ENDED_BADLY,
    [CHOICE_task_phase_CANCELLED] = ENDED_BY_US,
};
_Static_assert((int)CHOICE_operation_phase_SUCCEEDED == (int)CHOICE_task_phase_SUCCEEDED &&
		   (int)CHOICE_operation_phase_FAILED == (int)CHOICE_task_phase_FAILED &&
		   (int)CHOICE_operation_phase_COUNT == (int)CHOICE_task_phase_CANCELLED,
    "standings[] serves both");

static const struct plan_instance *
instance_of(const struct plan_cluster *c, const struct plan_dbops *d)
{
	return d->ordinal > 0 && d->ordinal <= c->instances_n ? &c->instance[d->ordinal - 1] : NULL;
}

static bool
is_lost(const struct plan_cluster *c, const struct plan_dbops *d, const struct plan_instance *p)
{
	return !c->present || p == NULL || !p->child.present || !p->known || uid_none(&d->pod) ||
	       d->attempt == 0 || !uid_eq(&p->report.pod_uid, &d->pod) ||
	       !uid_eq(&p->child.uid, &d->instance);
}

/* Whatever that pod has not said by now it will not say. */
static bool
is_silent(const struct plan_cluster *c, const struct plan_instance *p)
{
	return p->unreachable ||
	       /* a lost node's pod: its role and state were taken from it */
	       (p->report.role == CHOICE_instance_role_NONE &&
		   p->report.state == CHOICE_instance_state_UNKNOWN) ||
	       (p->looked && (!p->pod_present || !uid_eq(&p->pod_uid, &p->report.pod_uid))) ||
	       /* nothing ran any more when the StatefulSet was told to have no pods */
	       (c->wanted.hibernated && rest_has_no_pods(c));
}

static enum standing
standing_of_task(const struct plan_report *r, const struct plan_dbops *d)
{
	const struct plan_task *t = dbops_task(r, d);

	return t == NULL ? UNTOLD : standings[t->phase];
}

static enum standing
standing_of_operation(const struct plan_report *r, const struct plan_dbops *d)
{
	struct uid id = model_operation_id(&d->uid, d->attempt, d->ordinal - 1u);

	return r->operation_id == model_uid_key(&id) ? standings[r->operation_phase] : UNTOLD;
}

static bool
is_task(const struct plan_dbops *d)
{
	return dbops_info[d->op].task != CHOICE_task_kind_NONE;
}

static enum standing
standing_of(const struct plan_cluster *c, const struct plan_dbops *d)
{
	const struct plan_instance *p = instance_of(c, d);
	enum standing s;

	if (is_lost(c, d, p))
		return LOST;
	s = is_task(d) || d->cleanup == CHOICE_dbops_cleanup_RUNNING
	        ? standing_of_task(&p->report, d)
	        : standing_of_operation(&p->report, d);
	return (s == UNTOLD || s == TOLD) && is_silent(c, p) ? LOST : s;
}

/*
 * What that pod did for another one is not in its status yet: told something else, the pod would
 * forget it, and it would seem not to have been told. Of tasks: dbops_slot.c.
 */
static bool
is_taken(const struct plan_cluster *c, const struct plan_dbops *d)
{
	for (unsigned i = 0; i < c->dbops_n; i++) {
		const struct plan_dbops *e = c->dbops[i];
		enum standing s;

		if (e == d || e->quarantined || e->ordinal != d->ordinal || is_task(e) ||
		    e->phase != CHOICE_dbops_phase_RUNNING)
			continue;
		s = standing_of(c, e);
		if (s != UNTOLD && s != LOST)
			return true;
	}
	return false;
}

/* Nothing is told to anybody before. */
static enum verdict
await_unpaused(struct plan_at *a, const struct plan_dbops *d)
{
	return dbops_wait(a, d, CHOICE_dbops_phase_RUNNING,
	    "BGCluster %s is paused; remove its annotation %s", a->c->name, ANNOTATION_PAUSED);
}

/* The claim is written. */
static enum verdict
tell_claimed(struct plan_at *a, const struct plan_dbops *d, bool cleanup)
{
	if (a->c->wanted.paused && !cleanup)
		return await_unpaused(a, d);
	/* Whose word that pod may still hold is known once all are seen. */
	if ((a->w->listed & 1u << KIND_BGDBOPS) == 0 || (!is_task(d) && is_taken(a->c, d)))
		return STOP;
	return dbops_tell(a, d, d->ordinal - 1u, false, cleanup);
}

/* --- A run that failed. */

static bool
may_repeat(const struct plan_dbops *d, bool interrupted)
{
	unsigned most = d->max_retries;

	if (d->max_retries == DBOPS_RETRIES_NOT_GIVEN)
		most = interrupted ? RETRIES_INTERRUPTED : 0;
	return dbops_info[d->op].repeatable && d->retries < most;
}

static bool
is_timed_out(struct plan_at *a, const struct plan_dbops *d, int64_t grace_s)
{
	return d->timeout_s != 0 && !dbops_waits_until(a, d->started_s + d->timeout_s + grace_s);
}

/* text: empty = the pod's own words. */
static enum verdict
fail(struct plan_at *a, const struct plan_dbops *d, bool interrupted, const char *text)
{
	int64_t s = RETRY_FIRST_S;

	a->out->said.cleanup = interrupted && dbops_info[d->op].leaves;
	if (is_timed_out(a, d, 0))
		return dbops_finish(a, d, CHOICE_dbops_phase_FAILED, CHOICE_dbops_reason_TIMED_OUT,
		    "it did not end within spec.timeout");
	if (!may_repeat(d, interrupted))
		return dbops_finish(a, d, CHOICE_dbops_phase_FAILED,
		    interrupted ? CHOICE_dbops_reason_INTERRUPTED : CHOICE_dbops_reason_NONE, "%s",
		    text);
	for (unsigned i = 0; i < d->retries && s < RETRY_MAX_S; i++)
		s *= 2;
	a->out->said.phase = CHOICE_dbops_phase_PENDING;
	a->out->said.reason = interrupted ? CHOICE_dbops_reason_INTERRUPTED : 0;
	a->out->said.next_s = a->w->unix_s + (s < RETRY_MAX_S ? s : RETRY_MAX_S);
	str_copy_text(a->out->text, sizeof(a->out->text), str_of(text));
	return dbops_step(a, d, CHOICE_verb_DBOPS_RETRY);
}

/* Who is not seen is not there only once all of them were listed. */
static bool
all_listed(const struct plan_at *a)
{
	uint32_t kinds = 1u << KIND_BGCLUSTER | 1u << KIND_BGINSTANCE;

	return (a->w->listed & kinds) == kinds;
}

static enum verdict
lose(struct plan_at *a, const struct plan_dbops *d)
{
	char text[IPC_TEXT_MAX];

	if (!all_listed(a))
		return STOP;
	if (!a->c->present)
		return dbops_finish(a, d, CHOICE_dbops_phase_FAILED,
		    CHOICE_dbops_reason_INTERRUPTED, "interrupted: BGCluster %s is gone",
		    a->c->name);
	snprintf(text, sizeof(text), "interrupted: the pod of %s-%u that did it %s%s", a->c->name,
	    d->ordinal > 0 ? d->ordinal - 1u : 0,
	    a->c->wanted.hibernated ? "was hibernated" : "was lost",
	    dbops_info[d->op].repeatable
		? ""
		: "; how far it came is not known, so see, and do it anew");
	return fail(a, d, true, text);
}

/* It failed where it was told: by itself, or because the leadership moved. */
static enum verdict
fail_there(struct plan_at *a, const struct plan_dbops *d)
{
	const struct plan_report *r = &instance_of(a->c, d)->report;
	bool moved = is_task(d) && !d->replica && r->role != CHOICE_instance_role_PRIMARY;
	bool says = is_task(d) ? dbops_task(r, d)->interrupted : r->operation_interrupted;

	return fail(a, d, says || moved,
	    moved && !says ? "interrupted: the leadership moved to another instance" : "");
}

/* --- Fenced since it was claimed: it would wait for that to be taken back, as long as that is. */

static bool
is_fenced(const struct plan_cluster *c, const struct plan_dbops *d)
{
	return c->wanted.fenced >> (d->ordinal - 1u) & 1u;
}

static enum verdict
fail_fenced(struct plan_at *a, const struct plan_dbops *d)
{
	char text[IPC_TEXT_MAX];

	snprintf(text, sizeof(text), "interrupted: %s-%u was fenced before it was begun there%s",
	    a->c->name, d->ordinal - 1u,
	    dbops_info[d->op].repeatable
		? ""
		: "; take its name out of spec.fencedInstances, and do it anew");
	return fail(a, d, true, text);
}

/* Its server starts anew, with all its settings, when it may run again. */
static enum verdict
pass_by(struct plan_at *a, const struct plan_dbops *d)
{
	if (is_fenced(a->c, d))
		snprintf(a->out->text, sizeof(a->out->text),
		    "it is fenced: its server starts anew when spec.fencedInstances does not name "
		    "it");
	return dbops_step(a, d, CHOICE_verb_DBOPS_NEXT);
}

/* --- Tasks, and what is done once on one instance. */

static enum verdict
watch(struct plan_at *a, const struct plan_dbops *d)
{
	const struct plan_task *t;

	if (!is_task(d))
		return PASS;
	t = dbops_task(&instance_of(a->c, d)->report, d);
	if (t->phase != CHOICE_task_phase_RUNNING ||
	    (t->percent == d->percent && t->step == (uint32_t)d->step) ||
	    (d->progress_at.v != 0 &&
		rule_waits_until(a, (struct msec){d->progress_at.v + PROGRESS_MS})))
		return PASS;
	return dbops_step(a, d, CHOICE_verb_DBOPS_PROGRESS);
}

/* Of one that is told. */
static bool
is_told_cancel(const struct plan_cluster *c, const struct plan_dbops *d)
{
	return dbops_task(&instance_of(c, d)->report, d)->cancel;
}

/* spec.timeout is over. */
static enum verdict
time_out(struct plan_at *a, const struct plan_dbops *d)
{
	if (!is_task(d))
		return dbops_finish(a, d, CHOICE_dbops_phase_FAILED, CHOICE_dbops_reason_TIMED_OUT,
		    "it did not end within spec.timeout, and may still do so");
	if (!is_told_cancel(a->c, d))
		return dbops_step(a, d, CHOICE_verb_DBOPS_CANCEL);
	if (dbops_waits_until(a, d->started_s + d->timeout_s + CANCEL_S))
		return PASS;
	a->out->said.cleanup = dbops_info[d->op].leaves;
	return dbops_finish(a, d, CHOICE_dbops_phase_FAILED, CHOICE_dbops_reason_TIMED_OUT,
	    "it did not end within spec.timeout, nor when it was told to");
}

/* Claimed, but another server may have failed since. */
static enum verdict
tell_once(struct plan_at *a, const struct plan_dbops *d)
{
	enum verdict v = PASS;

	if (is_timed_out(a, d, TIMEOUT_GRACE_S))
		return fail(a, d, true, "");
	if (is_fenced(a->c, d))
		return fail_fenced(a, d);
	if (d->op == CHOICE_dbops_op_REINIT && roll_serves(a->c, d->ordinal - 1u)) {
		v = dbops_await_serving(a, d, d->ordinal - 1u, CHOICE_dbops_phase_RUNNING);
		if (v == PASS)
			v = rule_look_first(a);
	}
	return v == PASS ? tell_claimed(a, d, false) : v;
}

static enum verdict
run_once(struct plan_at *a, const struct plan_dbops *d)
{
	switch (standing_of(a->c, d)) {
	case UNTOLD:
		return tell_once(a, d);
	case LOST:
		return lose(a, d);
	case TOLD:
		return is_timed_out(a, d, TIMEOUT_GRACE_S) ? time_out(a, d) : watch(a, d);
	case ENDED_WELL:
		return dbops_finish(
		    a, d, CHOICE_dbops_phase_SUCCEEDED, CHOICE_dbops_reason_NONE, "%s", "");
	case ENDED_BADLY:
		return fail_there(a, d);
	case ENDED_BY_US:
		if (is_timed_out(a, d, 0))
			return fail(a, d, false, "");
		return dbops_finish(a, d, CHOICE_dbops_phase_CANCELLED, CHOICE_dbops_reason_NONE,
		    "its pod was told to end it");
	}
	return PASS;
}

/* --- One server after the other. */

bool
dbops_is_repeated(const struct plan_dbops *d)
{
	return d->retries > 0 && d->finished_s == 0;
}

bool
dbops_is_due(const struct plan_cluster *c, const struct plan_dbops *d, unsigned i)
{
	bool primary = c->instance[i].report.role == CHOICE_instance_role_PRIMARY;
	/* Its status tells of the run before until another one has begun. */
	bool goes_on = d->phase == CHOICE_dbops_phase_RUNNING || dbops_is_repeated(d);
	uint32_t restarted = goes_on ? d->restarted : 0;

	if (restarted >> i & 1u || rest_is_wanted(c, i) ||
	    (d->only_pending && !(status_current(c, i) && c->instance[i].report.pending_restart)))
		return false;
	switch (d->role) {
	case CHOICE_dbops_role_PRIMARY:
		return primary && restarted == 0;
	case CHOICE_dbops_role_REPLICA:
		return !primary;
	default:
		return true;
	}
}

uint32_t
dbops_left(const struct plan_cluster *c, const struct plan_dbops *d, unsigned but)
{
	uint32_t left = 0;

	if (d->op != CHOICE_dbops_op_RESTART && d->op != CHOICE_dbops_op_RELOAD)
		return 0;
	for (unsigned i = 0; i < rule_instances(c); i++)
		if (i != but && dbops_is_due(c, d, i))
			left |= 1u << i;
	return left;
}

/*
 * Replicas from the highest down, the primary at last; at first, where it waits for what standbys
 * may not have less of than it has: see rule_restart.
 */
unsigned
dbops_next_server(const struct plan_cluster *c, const struct plan_dbops *d)
{
	unsigned best = c->instances_n;

	for (unsigned i = 0; i < rule_instances(c); i++) {
		const struct plan_report *r = &c->instance[i].report;
		bool primary = r->role == CHOICE_instance_role_PRIMARY;

		if (!dbops_is_due(c, d, i))
			continue;
		if (primary && r->pending_restart && r->restart_lowers &&
		    d->op == CHOICE_dbops_op_RESTART)
			return i;
		if (best == c->instances_n || !primary ||
		    c->instance[best].report.role == CHOICE_instance_role_PRIMARY)
			best = i;
	}
	return best;
}

enum verdict
dbops_await_serving(
    struct plan_at *a, const struct plan_dbops *d, unsigned but, enum choice_dbops_phase phase)
{
	const struct plan_cluster *c = a->c;

	for (unsigned i = 0; i < rule_instances(c); i++)
		if (i != but && !rest_is_wanted(c, i) && !roll_serves(c, i))
			return dbops_wait(a, d, phase, "waits for %s-%u to serve", c->name, i);
	return PASS;
}

enum verdict
dbops_await_others(
    struct plan_at *a, const struct plan_dbops *d, unsigned ordinal, enum choice_dbops_phase phase)
{
	const struct plan_cluster *c = a->c;

	if (!status_current(c, ordinal))
		return dbops_wait(
		    a, d, phase, "waits for %s-%u to have a pod that reports", c->name, ordinal);
	/* Nothing would come of it, and the agent could not do what helps instead. */
	if (c->instance[ordinal].report.state < CHOICE_instance_state_RUNNING)
		return dbops_wait(a, d, phase, "waits for %s-%u to run", c->name, ordinal);
	/* A reload disturbs nobody. */
	return d->op == CHOICE_dbops_op_RESTART ? dbops_await_serving(a, d, ordinal, phase) : PASS;
}

/* One that was restarted and does not serve again; instances_n = none. */
static unsigned
find_unserved(const struct plan_cluster *c, const struct plan_dbops *d)
{
	for (unsigned i = 0; d->op == CHOICE_dbops_op_RESTART && i < rule_instances(c); i++)
		if ((d->restarted >> i & 1u) && !rest_is_wanted(c, i) && !roll_serves(c, i))
			return i;
	return c->instances_n;
}

static enum verdict
next_server(struct plan_at *a, const struct plan_dbops *d)
{
	unsigned n = a->c->instances_n, i = dbops_next_server(a->c, d);
	unsigned unserved = find_unserved(a->c, d);
	char why[IPC_TEXT_MAX];
	enum verdict v;

	if (a->c->wanted.hibernated || a->c->wanted.deleting || a->c->wanted.invalid)
		return dbops_finish(a, d, CHOICE_dbops_phase_FAILED,
		    CHOICE_dbops_reason_INTERRUPTED,
		    "interrupted: BGCluster %s is hibernated, deleted or can not be read",
		    a->c->name);
	if (i == n && unserved == n)
		return dbops_finish(
		    a, d, CHOICE_dbops_phase_SUCCEEDED, CHOICE_dbops_reason_NONE, "%s", "");
	if (is_timed_out(a, d, 0))
		return fail(a, d, false, "");
	if (a->c->wanted.paused)
		return await_unpaused(a, d);
	if (unserved != n)
		return dbops_wait(a, d, CHOICE_dbops_phase_RUNNING,
		    "waits for %s-%u to serve again", a->c->name, unserved);
	v = dbops_await_others(a, d, i, CHOICE_dbops_phase_RUNNING);
	if (v == PASS && d->op == CHOICE_dbops_op_RESTART)
		v = rule_look_first(a);
	if (v != PASS)
		return v;
	if (!dbops_is_free(a->c, d, i, why, sizeof(why)))
		return dbops_wait(a, d, CHOICE_dbops_phase_RUNNING, "%s", why);
	return dbops_tell(a, d, i, false, false);
}

/* Of a lost node's pod the next pod tells, or it is back. */
static enum verdict
lose_server(struct plan_at *a, const struct plan_dbops *d)
{
	const struct plan_cluster *c = a->c;
	unsigned i = d->ordinal - 1u;

	if (!all_listed(a))
		return STOP;
	if (is_lost(c, d, instance_of(c, d)) || d->op != CHOICE_dbops_op_RESTART ||
	    i >= rule_instances(c) || rest_is_wanted(c, i))
		return pass_by(a, d);
	if (is_timed_out(a, d, TIMEOUT_GRACE_S))
		return fail(a, d, false, "");
	return dbops_wait(
	    a, d, CHOICE_dbops_phase_RUNNING, "waits for %s-%u to serve again", c->name, i);
}

/* Claimed, but another server may have failed since. */
static enum verdict
tell_server(struct plan_at *a, const struct plan_dbops *d)
{
	enum verdict v;

	if (is_timed_out(a, d, TIMEOUT_GRACE_S))
		return fail(a, d, true, "");
	if (is_fenced(a->c, d))
		return pass_by(a, d);
	v = dbops_await_others(a, d, d->ordinal - 1u, CHOICE_dbops_phase_RUNNING);
	if (v == PASS && d->op == CHOICE_dbops_op_RESTART)
		v = rule_look_first(a);
	return v == PASS ? tell_claimed(a, d, false) : v;
}

static enum verdict
run_servers(struct plan_at *a, const struct plan_dbops *d)
{
	if (!a->c->present)
		return lose(a, d);
	if (d->ordinal == 0)
		return all_listed(a) ? next_server(a, d) : STOP;
	switch (standing_of(a->c, d)) {
	case UNTOLD:
		return tell_server(a, d);
	case LOST:
		return lose_server(a, d);
	case TOLD:
		return is_timed_out(a, d, TIMEOUT_GRACE_S) ? time_out(a, d) : PASS;
	case ENDED_BADLY:
		if (is_fenced(a->c, d))
			return pass_by(a, d);
		return rest_is_wanted(a->c, d->ordinal - 1u)
		           ? dbops_finish(a, d, CHOICE_dbops_phase_FAILED,
				 CHOICE_dbops_reason_INTERRUPTED, "%s", "")
		           : fail(a, d, false, "");
	case ENDED_WELL:
	case ENDED_BY_US:
		return dbops_step(a, d, CHOICE_verb_DBOPS_NEXT);
	}
	return PASS;
}

/*
 * A restart of which no server is told to restart, as far as is known, and which goes on only when
 * all serve: whoever does not may be mended meanwhile.
 */
bool
dbops_lets_mend(struct plan_at *a, const struct plan_dbops *d)
{
	if (d->op != CHOICE_dbops_op_RESTART || d->phase != CHOICE_dbops_phase_RUNNING ||
	    dbops_awaits(a, d) || rule_waits(a, &d->try) ||
	    (d->ordinal != 0 && standing_of(a->c, d) != UNTOLD))
		return false;
	for (unsigned i = 0; i < rule_instances(a->c); i++)
		if (!rest_is_wanted(a->c, i) && !roll_serves(a->c, i))
			return true;
	return false;
}

/* Its spec was changed to one that can not be read: what runs is told to end, and waited for. */
static enum verdict
end_unreadable(struct plan_at *a, const struct plan_dbops *d)
{
	enum standing s = standing_of(a->c, d);

	if (s == LOST && ((a->w->listed & 1u << KIND_BGCLUSTER) == 0 ||
			     (a->w->listed & 1u << KIND_BGINSTANCE) == 0))
		return STOP;
	if (s == TOLD && !is_task(d))
		return STOP; /* it can not be taken back */
	if (s == TOLD && !is_told_cancel(a->c, d))
		return dbops_step(a, d, CHOICE_verb_DBOPS_CANCEL);
	if (s == TOLD && rule_waits_until(a, (struct msec){d->told_cancel.v + CANCEL_S * 1000}))
		return STOP;
	a->out->said.cleanup =
	    dbops_info[d->op].leaves && (s == TOLD || s == LOST || s == ENDED_BADLY);
	return dbops_finish(a, d, CHOICE_dbops_phase_FAILED, CHOICE_dbops_reason_NONE,
	    "its spec was changed and can not be read any more, so %s: %s",
	    s == ENDED_WELL ? "this run was the last" : "this run was ended", d->invalid);
}

enum verdict
dbops_run(struct plan_at *a, const struct plan_dbops *d)
{
	if (d->invalid != NULL)
		return end_unreadable(a, d);
	if (d->refused != NULL)
		return dbops_finish(
		    a, d, CHOICE_dbops_phase_FAILED, CHOICE_dbops_reason_REFUSED, "%s", d->refused);
	if (d->op == CHOICE_dbops_op_RESTART || d->op == CHOICE_dbops_op_RELOAD)
		return run_servers(a, d);
	return run_once(a, d);
}

/* --- Cancelled: the object is being deleted. PASS: there is nothing to wait for. */

enum verdict
dbops_cancel(struct plan_at *a, const struct plan_dbops *d)
{
	enum standing s = standing_of(a->c, d);

	if (s == LOST && !all_listed(a))
		return STOP;
	if (!is_task(d))
		return s == TOLD && d->ordinal > 0 ? STOP : PASS; /* it can not be taken back */
	switch (s) {
	case TOLD:
		if (!is_told_cancel(a->c, d))
			return dbops_step(a, d, CHOICE_verb_DBOPS_CANCEL);
		return STOP;
	case LOST:
	case ENDED_BADLY:
		a->out->said.cleanup = dbops_info[d->op].leaves;
		break;
	case UNTOLD:
	case ENDED_WELL:
	case ENDED_BY_US:
		break;
	}
	return dbops_finish(a, d,
	    s == ENDED_WELL ? CHOICE_dbops_phase_SUCCEEDED : CHOICE_dbops_phase_CANCELLED,
	    CHOICE_dbops_reason_NONE, "%s", s == ENDED_WELL ? "" : "deleted while it ran");
}

/* --- What an interrupted run has left. */

static enum verdict
begin_cleanup(struct plan_at *a, const struct plan_dbops *d)
{
	unsigned leader = dbops_leader(a->c);
	char why[IPC_TEXT_MAX];

	if (!a->c->present || a->c->wanted.deleting)
		return dbops_step(a, d, CHOICE_verb_DBOPS_CLEANED);
	if (!a->w->synced || a->c->wanted.paused || leader == a->c->instances_n ||
	    dbops_awaits_task(a, d) || !dbops_is_free(a->c, d, leader, why, sizeof(why)))
		return STOP;
	return dbops_tell(a, d, leader, true, true);
}

enum verdict
dbops_clean(struct plan_at *a, const struct plan_dbops *d)
{
	if (d->cleanup != CHOICE_dbops_cleanup_DUE && d->cleanup != CHOICE_dbops_cleanup_RUNNING)
		return PASS;
	if (!all_listed(a))
		return STOP;
	if (d->cleanup == CHOICE_dbops_cleanup_DUE)
		return begin_cleanup(a, d);
	switch (standing_of(a->c, d)) {
	case UNTOLD:
		return is_fenced(a->c, d) ? begin_cleanup(a, d) : tell_claimed(a, d, true);
	case LOST:
		return begin_cleanup(a, d);
	case TOLD:
		return STOP;
	case ENDED_WELL:
	case ENDED_BADLY:
	case ENDED_BY_US:
		break;
	}
	return dbops_step(a, d, CHOICE_verb_DBOPS_CLEANED);
}
