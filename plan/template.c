/*
 * From what the StatefulSet makes pods. The template that the spec asks for is written
 * when the first pod is about to be replaced for it: until then one that is lost comes back as it
 * was, outside the maintenance windows too. At once it is written where there is nothing to wait
 * for: no pod has ever run, or one runs with it already; users replace the pods themselves; or what
 * fails may be mended by it. While a rolling change is halted, the last good one is written back:
 * what is tried on one replica must not come to the others by accident. For plan/cluster.c.
 */
#include "plan/rule.h"

bool
template_is_due(const struct plan_cluster *c)
{
	return c->statefulset.known &&
	       c->statefulset.pod_inputs != model_pod_inputs(c->wanted.hash);
}

static enum verdict
put(struct plan_at *a, enum choice_verb verb, uint64_t inputs)
{
	const struct plan_child *s = &a->c->child[CHILD_STATEFULSET];

	if (rule_waits(a, &s->try))
		return PASS;
	a->out->sent.key = inputs;
	return rule_step(a, verb, CHILD_STATEFULSET, 0, &s->uid);
}

enum verdict
template_write(struct plan_at *a)
{
	return put(a, CHOICE_verb_TEMPLATE, model_pod_inputs(a->c->wanted.hash));
}

static bool
has_ever_run(const struct plan_cluster *c)
{
	for (unsigned i = 0; i < c->instances_n; i++)
		if (c->instance[i].child.present && c->instance[i].report.timeline > 0)
			return true;
	return false;
}

/* A change that is taken back: this one serves with what is wanted. */
static bool
serves_with_it(const struct plan_cluster *c, unsigned i)
{
	return status_serves(c, i) &&
	       c->instance[i].report.pod_inputs == model_pod_inputs(c->wanted.hash);
}

/* Of its pod's template; 0 = not known. */
static uint64_t
inputs_of(const struct plan_cluster *c, unsigned i)
{
	const struct plan_instance *p = &c->instance[i];

	return p->looked && p->pod_present ? p->pod_inputs
	       : status_current(c, i)      ? p->report.pod_inputs
	                                   : 0;
}

/*
 * What keeps it from coming up does not pass by itself. A pod that only takes its time to come back
 * is none.
 */
static bool
fails(const struct plan_cluster *c, unsigned i)
{
	const struct plan_instance *p = &c->instance[i];

	return !status_serves(c, i) &&
	       ((p->looked && !p->pod_ready && !p->pod_terminating &&
		    status_failing(p->pod_reason)) ||
		   (status_current(c, i) && status_failing(p->report.reason)));
}

/* And it was not made from what is wanted. */
static bool
fails_without_it(const struct plan_cluster *c, unsigned i)
{
	return fails(c, i) && inputs_of(c, i) != model_pod_inputs(c->wanted.hash);
}

static bool
is_any(const struct plan_cluster *c, bool (*is)(const struct plan_cluster *c, unsigned i))
{
	for (unsigned i = 0; i < rule_instances(c); i++)
		if (is(c, i))
			return true;
	return false;
}

/* --- A rolling change that is halted. */

/* The report of one that can not even start is that of the pod before. */
static bool
is_ending(const struct plan_cluster *c, unsigned i)
{
	const struct plan_instance *p = &c->instance[i];

	return p->looked && p->pod_present ? p->pod_terminating : roll_is_ending(c, i);
}

/* Who rests is not expected to serve. */
static bool
halts(const struct plan_cluster *c, unsigned i)
{
	return !rest_is_wanted(c, i) && !roll_holds_out(c, i) && !is_ending(c, i) &&
	       inputs_of(c, i) == model_pod_inputs(c->wanted.hash);
}

/* In a new life of ours that is not known before its pod was looked at. */
static bool
may_halt(const struct plan_cluster *c, unsigned i)
{
	return halts(c, i) ||
	       (!rest_is_wanted(c, i) && !roll_holds_out(c, i) && !c->instance[i].looked);
}

static bool
fails_with_it(const struct plan_cluster *c, unsigned i)
{
	return halts(c, i) && fails(c, i);
}

/* Is there one that is kept, and that is not what the spec asks for? */
static bool
has_kept(const struct plan_cluster *c)
{
	uint64_t good = c->statefulset.last_good;

	return c->statefulset.known && good != 0 && good != model_pod_inputs(c->wanted.hash) &&
	       c->wanted.update != CHOICE_update_strategy_ON_DEMAND;
}

/* Was it written back, or is it there still? */
static bool
is_back(const struct plan_cluster *c)
{
	return has_kept(c) && c->statefulset.pod_inputs == c->statefulset.last_good;
}

static bool
serves_with_kept(const struct plan_cluster *c, unsigned i)
{
	return has_kept(c) && roll_holds_out(c, i) &&
	       c->instance[i].report.pod_inputs == c->statefulset.last_good;
}

/* What is kept is written back only as long as it is seen to be good. */
static bool
is_halted_by(const struct plan_cluster *c, bool (*is)(const struct plan_cluster *c, unsigned i))
{
	return is_any(c, is) && (is_back(c) || is_any(c, serves_with_kept));
}

bool
template_may_be_halted(const struct plan_cluster *c)
{
	return is_halted_by(c, may_halt);
}

void
template_note_halt(struct plan_cluster *c, struct msec now)
{
	if (!is_halted_by(c, halts))
		c->halted_since.v = 0;
	else if (c->halted_since.v == 0)
		c->halted_since = now;
}

enum verdict
rule_restore(struct plan_at *a)
{
	const struct plan_cluster *c = a->c;
	int64_t patience = is_any(c, fails_with_it) ? HALTED_MS : HALTED_SLOW_MS;
	enum plan_is is = rule_child_is(a, CHILD_STATEFULSET, 0);

	if (c->halted_since.v == 0 || template_is_due(c) || !a->w->synced ||
	    (is != IS_SETTLED && is != IS_UNVERIFIED) ||
	    rule_waits_until(a, (struct msec){c->halted_since.v + patience}))
		return PASS;
	return put(a, CHOICE_verb_RESTORE_TEMPLATE, c->statefulset.last_good);
}

/* --- When it is written. */

/*
 * Is there nothing to wait for? Where the good one was written back, nothing is written as long as
 * who has the newest does not serve: that is no mend for who fails too. When it does, that is no
 * change taken back: rule_roll goes on.
 */
static bool
is_due_at_once(const struct plan_cluster *c)
{
	if (c->wanted.update == CHOICE_update_strategy_ON_DEMAND || rest_has_no_pods(c) ||
	    !has_ever_run(c))
		return true;
	if (is_back(c) && is_any(c, may_halt))
		return false;
	return (is_any(c, serves_with_it) && !(is_back(c) && is_any(c, serves_with_kept))) ||
	       is_any(c, fails_without_it);
}

enum verdict
rule_template(struct plan_at *a)
{
	const struct plan_cluster *c = a->c;
	enum plan_is is = rule_child_is(a, CHILD_STATEFULSET, 0);

	/* Before every list is complete, an instance may seem never to have run. */
	if (!template_is_due(c) || !a->w->synced || (is != IS_SETTLED && is != IS_UNVERIFIED))
		return PASS;
	if (is_due_at_once(c))
		return template_write(a);
	/* What the API server refuses is said now, not when the window opens at night. */
	return a->window.open || c->tried == model_pod_inputs(c->wanted.hash)
	           ? PASS
	           : put(a, CHOICE_verb_TRY_TEMPLATE, model_pod_inputs(c->wanted.hash));
}
