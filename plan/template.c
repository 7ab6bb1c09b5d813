/*
 * From what the StatefulSet makes pods. The template that the spec asks for is written
 * when the first pod is about to be replaced for it: until then one that is lost comes back as it
 * was, outside the maintenance windows too. At once it is written where there is nothing to wait
 * for: no pod has ever run, or one runs with it already; users replace the pods themselves; or what
 * fails may be mended by it. For plan/cluster.c.
 */
#include "plan/rule.h"

bool
template_is_due(const struct plan_cluster *c)
{
	return c->statefulset.known &&
	       c->statefulset.pod_inputs != model_pod_inputs(c->wanted.hash);
}

static enum verdict
put(struct plan_at *a, enum choice_verb verb)
{
	const struct plan_child *s = &a->c->child[CHILD_STATEFULSET];

	if (rule_waits(a, &s->try))
		return PASS;
	a->out->sent.key = model_pod_inputs(a->c->wanted.hash);
	return rule_step(a, verb, CHILD_STATEFULSET, 0, &s->uid);
}

enum verdict
template_write(struct plan_at *a)
{
	return put(a, CHOICE_verb_TEMPLATE);
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

/*
 * What keeps it from coming up does not pass by itself, and it was not made from what is wanted. A
 * pod that only takes its time to come back is none.
 */
static bool
fails_without_it(const struct plan_cluster *c, unsigned i)
{
	const struct plan_instance *p = &c->instance[i];
	bool reports = status_current(c, i);
	uint64_t inputs = p->looked && p->pod_present ? p->pod_inputs
	                  : reports                   ? p->report.pod_inputs
	                                              : 0;

	return !status_serves(c, i) && inputs != model_pod_inputs(c->wanted.hash) &&
	       ((p->looked && !p->pod_ready && !p->pod_terminating &&
		    status_failing(p->pod_reason)) ||
		   (reports && status_failing(p->report.reason)));
}

static bool
is_any(const struct plan_cluster *c, bool (*is)(const struct plan_cluster *c, unsigned i))
{
	for (unsigned i = 0; i < rule_instances(c); i++)
		if (is(c, i))
			return true;
	return false;
}

enum verdict
rule_template(struct plan_at *a)
{
	const struct plan_cluster *c = a->c;
	enum plan_is is = rule_child_is(a, CHILD_STATEFULSET, 0);

	/* Before every list is complete, an instance may seem never to have run. */
	if (!template_is_due(c) || !a->w->synced || (is != IS_SETTLED && is != IS_UNVERIFIED))
		return PASS;
	if (c->wanted.update != CHOICE_update_strategy_ON_DEMAND && !rest_has_no_pods(c) &&
	    has_ever_run(c) && !is_any(c, serves_with_it) && !is_any(c, fails_without_it))
		/* What the API server refuses is said now, not when the window opens at night. */
		return a->window.open || c->tried == model_pod_inputs(c->wanted.hash)
		           ? PASS
		           : put(a, CHOICE_verb_TRY_TEMPLATE);
	return template_write(a);
}
