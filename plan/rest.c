/*
 * Instances that are to rest: those of spec.fencedInstances, in pods that stay; all of a cluster
 * that is hibernated, or deleted with its data kept. And how they wake. For plan/cluster.c.
 *
 * When all rest, replicas lose their Patroni first: they follow to the last, but none
 * can lead. Then the primary stops; a clean shutdown sends its last record to all that follow. Then
 * they stop as well. What was primary leads when they wake: it starts before the others, since any
 * that is up first and lags little might lead else.
 */
#include "plan/rule.h"

#define REST_DEAF_MS 30000 /* so long a deletion waits for who does not even begin to stop */

bool
rest_is_wanted(const struct plan_cluster *c, unsigned ordinal)
{
	return c->wanted.hibernated || c->wanted.deleting || (c->wanted.fenced >> ordinal & 1u);
}

/* Ordinals from here on have no pods: a smaller StatefulSet has ended them. */
static unsigned
pods_end(const struct plan_cluster *c)
{
	unsigned n = rule_instances(c);

	if (!c->statefulset.known)
		return c->instances_n;
	if (n < c->statefulset.replicas)
		n = c->statefulset.replicas;
	return n < c->instances_n ? n : c->instances_n;
}

static bool
all_are_wanted(const struct plan_cluster *c)
{
	for (unsigned i = 0; i < pods_end(c); i++)
		if (!rest_is_wanted(c, i))
			return false;
	return true;
}

/* Patroni or PostgreSQL may run there. A lost pod's report says nothing. */
static bool
runs(const struct plan_cluster *c, unsigned i)
{
	const struct plan_instance *p = &c->instance[i];

	/* Told to rest, and its container can not start: it would hear that first. */
	if (p->looked && !p->pod_ready && p->pod_reason != REASON_NONE &&
	    p->report.stop != CHOICE_stop_NONE)
		return false;
	switch (i < pods_end(c) && status_current(c, i) ? p->report.state
							: CHOICE_instance_state_UNKNOWN) {
	case CHOICE_instance_state_UNKNOWN:
	case CHOICE_instance_state_WAITING_FOR_LOCK:
	case CHOICE_instance_state_HELD:
	case CHOICE_instance_state_STOPPED:
		return false;
	default:
		return true;
	}
}

static bool
leads(const struct plan_cluster *c, unsigned i)
{
	return runs(c, i) && c->instance[i].report.role == CHOICE_instance_role_PRIMARY &&
	       c->instance[i].report.state >= CHOICE_instance_state_RUNNING;
}

/* Beyond the spec's number too: what a smaller cluster no longer needs may still run. */
bool
rest_is_complete(const struct plan_cluster *c)
{
	for (unsigned i = 0; i < pods_end(c); i++)
		if (runs(c, i) || (c->instance[i].child.present &&
				      c->instance[i].report.stop != CHOICE_stop_POSTGRESQL))
			return false;
	return true;
}

bool
rest_has_no_pods(const struct plan_cluster *c)
{
	return c->statefulset.known && c->statefulset.replicas == 0;
}

/* By what the instances said last, wherever they have come since. */
unsigned
rest_furthest(const struct plan_cluster *c)
{
	unsigned n = c->instances_n, best = n;

	for (unsigned i = 0; i < n; i++)
		if (c->instance[i].child.present && (best == n || lead_compare(c, i, best) > 0))
			best = i;
	return best;
}

unsigned
rest_last_primary(const struct plan_cluster *c)
{
	unsigned best = rest_furthest(c);

	return best < c->instances_n && lead_was_primary(c, best) ? best : c->instances_n;
}

bool
rest_is_down(const struct plan_instance *p)
{
	return p->report.hold || p->report.stop != CHOICE_stop_NONE;
}

bool
rest_is_any(const struct plan_cluster *c)
{
	for (unsigned i = 0; i < c->instances_n; i++)
		if (c->instance[i].child.present && rest_is_down(&c->instance[i]))
			return true;
	return rest_has_no_pods(c);
}

/* It can lead no more. Who was released a moment ago may start before it says so. */
static bool
is_tamed(const struct plan_cluster *c, unsigned i)
{
	const struct plan_instance *p = &c->instance[i];

	if (!p->child.present)
		return true;
	return p->report.stop != CHOICE_stop_NONE &&
	       (!runs(c, i) || p->report.state == CHOICE_instance_state_DETACHED);
}

/* A primary on its way down sends its last record to those that follow. */
static bool
is_any_stopping(const struct plan_cluster *c)
{
	for (unsigned i = 0; i < pods_end(c); i++)
		if (runs(c, i) && c->instance[i].report.state == CHOICE_instance_state_STOPPING)
			return true;
	return false;
}

/*
 * How far is this one to rest now? Only a replica that streams loses Patroni alone: another's
 * Patroni may be making the data directory.
 */
static enum choice_stop
how_far(const struct plan_cluster *c, unsigned i, bool all, unsigned primary)
{
	uint8_t state = c->instance[i].report.state;
	bool led = primary != c->instances_n;

	if (!all)
		return CHOICE_stop_POSTGRESQL;
	if (i != primary &&
	    ((led && state == CHOICE_instance_state_STREAMING) ||
		(state == CHOICE_instance_state_DETACHED && (led || is_any_stopping(c)))))
		return CHOICE_stop_PATRONI;
	for (unsigned k = 0; i == primary && k < pods_end(c); k++)
		if (k != i && !is_tamed(c, k))
			return CHOICE_stop_NONE;
	return CHOICE_stop_POSTGRESQL;
}

static enum verdict
stop(struct plan_at *a, unsigned i, enum choice_stop how)
{
	const struct plan_instance *p = &a->c->instance[i];

	if (!p->child.present || p->child.deleting || p->report.stop >= how ||
	    rule_waits(a, &p->child.try))
		return PASS;
	return rule_step(a,
	    how == CHOICE_stop_PATRONI ? CHOICE_verb_STOP_PATRONI : CHOICE_verb_STOP_POSTGRESQL,
	    CHILD_INSTANCE, i, NULL);
}

static enum verdict
stop_all_wanted(struct plan_at *a)
{
	const struct plan_cluster *c = a->c;
	bool all = all_are_wanted(c);
	unsigned primary = c->instances_n, n = all ? pods_end(c) : rule_instances(c);

	for (unsigned i = 0; i < c->instances_n; i++)
		if (leads(c, i) &&
		    (primary == c->instances_n ||
			c->instance[i].report.timeline > c->instance[primary].report.timeline))
			primary = i; /* a lost one's last word says so too */
	for (unsigned i = 0; i < n; i++) {
		enum choice_stop how = CHOICE_stop_NONE;

		if (all || rest_is_wanted(c, i))
			how = how_far(c, i, all, primary);
		/* Whatever does not run either must not start by itself. */
		if (how != CHOICE_stop_NONE && stop(a, i, how) == STEP)
			return STEP;
	}
	return PASS;
}

/* Where rule_look does not: at who is one too many, and at pods that lost their StatefulSet. */
static enum verdict
look_at_unlooked(struct plan_at *a)
{
	const struct plan_cluster *c = a->c;

	for (unsigned i = c->child[CHILD_STATEFULSET].present ? rule_instances(c) : 0;
	     i < pods_end(c); i++)
		if (runs(c, i) && !rule_waits(a, &c->instance[i].look))
			return rule_look_pod(a, i);
	return PASS;
}

enum verdict
rule_rest(struct plan_at *a)
{
	const struct plan_cluster *c = a->c;

	if ((!c->wanted.hibernated && c->wanted.fenced == 0) || !a->w->synced ||
	    rest_has_no_pods(c))
		return PASS;
	/* A paused Patroni starts no server: the cluster would not wake. */
	if (!roll_patroni_paused(c) && stop_all_wanted(a) == STEP)
		return STEP;
	if (!c->wanted.hibernated || rest_is_complete(c))
		return PASS;
	return look_at_unlooked(a) == STEP ? STEP : STOP;
}

/* It was told to stop and goes on as before: its agent may be gone, or have no token any more. */
static bool
is_deaf(const struct plan_cluster *c, unsigned i)
{
	const struct plan_report *r = &c->instance[i].report;

	return runs(c, i) && r->stop != CHOICE_stop_NONE &&
	       r->state >= CHOICE_instance_state_RUNNING;
}

static int64_t
patience_ms(const struct plan_cluster *c)
{
	for (unsigned i = 0; i < pods_end(c); i++)
		if (is_deaf(c, i))
			return REST_DEAF_MS;
	return REST_MS;
}

enum verdict
rule_rest_to_delete(struct plan_at *a)
{
	const struct plan_cluster *c = a->c;

	if (c->wanted.policy == CHOICE_deletion_policy_DELETE || c->wanted.invalid ||
	    !c->child[CHILD_STATEFULSET].present || c->child[CHILD_STATEFULSET].deleting ||
	    c->child[CHILD_STATEFULSET].owner != a->owner)
		return PASS;
	if (!a->w->synced)
		return STOP;
	if (rest_is_complete(c) ||
	    !rule_waits_until(a, (struct msec){c->rested_at.v + patience_ms(c)}))
		return PASS;
	return stop_all_wanted(a) == STEP ? STEP : STOP;
}

/* --- Waking: adopted data, a hibernated cluster, a fenced instance. */

/* A held pod is another one than that which stopped: its own word counts. */
bool
rest_has_stopped(const struct plan_instance *p)
{
	if (p->report.state == CHOICE_instance_state_HELD)
		return true;
	if (p->report.hold && p->report.stop == CHOICE_stop_NONE)
		return false;
	return p->report.state == CHOICE_instance_state_STOPPED ||
	       p->report.state == CHOICE_instance_state_DETACHED;
}

/*
 * The last primary: before every other. Its timeline is the highest, and nobody else on that says
 * so of itself.
 */
static bool
is_foremost(const struct plan_cluster *c, unsigned ordinal)
{
	for (unsigned i = 0; i < pods_end(c); i++)
		if (i != ordinal && lead_compare(c, ordinal, i) <= 0)
			return false;
	return lead_was_primary(c, ordinal);
}

/* It is released, but has not started yet. A lost pod's report loses its role. */
static bool
starts_alone(const struct plan_cluster *c)
{
	for (unsigned i = 0; i < pods_end(c); i++)
		if (!rest_is_down(&c->instance[i]) && is_foremost(c, i) &&
		    c->instance[i].report.state < CHOICE_instance_state_RUNNING)
			return true;
	return false;
}

/* Held, but it runs all the same; or is that the last word of a pod that ends? */
static enum verdict
release_running(struct plan_at *a, unsigned i)
{
	const struct plan_instance *p = &a->c->instance[i];

	if (!runs(a->c, i) || p->report.stop != CHOICE_stop_NONE)
		return PASS;
	if (!p->looked || a->w->now.v >= p->looked_at.v + LOOK_FRESH_MS)
		return rule_waits(a, &p->look) ? PASS : rule_look_pod(a, i);
	if (p->pod_terminating || rule_waits(a, &p->child.try))
		return PASS;
	return rule_step(a, CHOICE_verb_RELEASE, CHILD_INSTANCE, i, &p->child.uid);
}

/*
 * Who waits for our word and is next, once all that wait have reported; instances_n = none. Who is
 * on its way out too: a last primary has to lead before it can hand over.
 */
unsigned
rest_first(const struct plan_cluster *c)
{
	unsigned n = c->instances_n, first = n;

	for (unsigned i = 0; i < pods_end(c); i++) {
		const struct plan_instance *p = &c->instance[i];

		if (!p->child.present || rest_is_wanted(c, i) || !rest_is_down(p))
			continue;
		if (!status_current(c, i) || !rest_has_stopped(p))
			return n;
		if (first == n || lead_compare(c, i, first) > 0)
			first = i;
	}
	return first;
}

/*
 * Where no primary is known, or it starts as a replica after all, Patroni decides among all of
 * them. What the anchor remembers comes first: a new life of ours has not asked it yet.
 */
enum verdict
rule_release(struct plan_at *a)
{
	const struct plan_cluster *c = a->c;
	unsigned n = pods_end(c), first;

	if (!c->child[CHILD_STATEFULSET].present || rest_has_no_pods(c) ||
	    c->anchor == CHOICE_anchor_state_UNKNOWN)
		return PASS;
	for (unsigned i = 0; i < rule_instances(c); i++)
		if (!c->instance[i].child.present || !c->instance[i].known)
			return PASS;
	for (unsigned i = 0; i < n; i++)
		if (c->instance[i].child.present && rest_is_down(&c->instance[i]) &&
		    !rest_is_wanted(c, i) && !rest_has_stopped(&c->instance[i]) &&
		    release_running(a, i) == STEP)
			return STEP;
	first = rest_first(c);
	if (first == c->instances_n || starts_alone(c) || lead_lacks(c, NULL) != LEAD_FREE ||
	    rule_waits(a, &c->instance[first].child.try))
		return PASS;
	return rule_step(
	    a, CHOICE_verb_RELEASE, CHILD_INSTANCE, first, &c->instance[first].child.uid);
}

/* Pods are about to be made, all at once, on data that has a history. */
static bool
starts_all(const struct plan_at *a)
{
	const struct plan_cluster *c = a->c;
	const struct plan_child *s = &c->child[CHILD_STATEFULSET];

	if (c->wanted.hibernated || c->wanted.blocked)
		return false;
	if (s->present)
		return rest_has_no_pods(c);
	for (unsigned i = 0; i < rule_instances(c); i++)
		if (c->instance[i].report.timeline > 0)
			return true;
	return false;
}

enum verdict
rest_hold(struct plan_at *a)
{
	const struct plan_cluster *c = a->c;

	if (!starts_all(a))
		return PASS;
	for (unsigned i = 0; i < rule_instances(c); i++) {
		const struct plan_instance *p = &c->instance[i];

		if (p->report.hold && p->report.stop == CHOICE_stop_NONE)
			continue;
		/* Who is to rest does already; rule_rest would put it back. */
		if (rest_is_wanted(c, i) && p->report.stop == CHOICE_stop_POSTGRESQL)
			continue;
		if (!p->child.present || p->child.deleting || !p->known)
			return STOP;
		return rule_waits(a, &p->child.try)
		           ? STOP
		           : rule_step(a, CHOICE_verb_HOLD, CHILD_INSTANCE, i, &p->child.uid);
	}
	return PASS;
}
