/*
 * A replica that says that it can not follow, or that its volume holds another cluster's data: its
 * data directory gives way to a clone. One at a time, only while exactly one instance leads, and it
 * is another one: this may be the last data else. Its pod looks once more before anything is
 * touched (instance/agent_reinit.c). Tried a few times, further and further apart; what has failed
 * too often waits for a change of the spec or another pod. For plan/cluster.c.
 */
#include "plan/rule.h"

#define SUCCEEDED_MS 900000 /* it followed, and fell behind again: not at once */

/* How long after the attempt before, by how many failed. */
static const int64_t after_ms[] = {0, 60000, 300000, 900000};
#define TRIES (sizeof(after_ms) / sizeof(after_ms[0]))

/* Data that is kept beside the present one is reported by who serves. */
static bool
is_needed(const struct plan_cluster *c, unsigned i)
{
	const struct plan_report *r = &c->instance[i].report;

	if (!status_current(c, i))
		return false;
	return (r->reason == REASON_CANNOT_FOLLOW && r->role == CHOICE_instance_role_REPLICA &&
		   r->state == CHOICE_instance_state_RUNNING) ||
	       (r->reason == REASON_FOREIGN_DATA && r->state == CHOICE_instance_state_FAILED);
}

static unsigned
failures(const struct plan_cluster *c, unsigned i)
{
	const struct plan_report *r = &c->instance[i].report;

	return r->operation == CHOICE_operation_REINIT &&
	               r->operation_phase == CHOICE_operation_phase_FAILED &&
	               r->operation_generation == (uint32_t)c->wanted.generation
	           ? r->operation_attempt
	           : 0;
}

bool
reinit_has_failed(const struct plan_cluster *c, unsigned i)
{
	return is_needed(c, i) && failures(c, i) >= TRIES;
}

static bool
is_under_way(const struct plan_cluster *c, unsigned i)
{
	const struct plan_report *r = &c->instance[i].report;

	return status_current(c, i) && r->operation != CHOICE_operation_NONE &&
	       r->operation_phase <= CHOICE_operation_phase_RUNNING;
}

static bool
is_any_under_way(const struct plan_cluster *c)
{
	for (unsigned i = 0; i < c->instances_n; i++)
		if (is_under_way(c, i))
			return true;
	return false;
}

/* The one that leads, if there is exactly one; else instances_n. */
static unsigned
find_leader(const struct plan_cluster *c)
{
	unsigned n = c->instances_n, leader = n;

	for (unsigned i = 0; i < n; i++) {
		const struct plan_report *r = &c->instance[i].report;

		if (!status_current(c, i) || r->role != CHOICE_instance_role_PRIMARY ||
		    r->state < CHOICE_instance_state_RUNNING)
			continue;
		if (leader != n || !r->bootstrapped)
			return n;
		leader = i;
	}
	return leader;
}

static bool
waits(struct plan_at *a, unsigned i)
{
	const struct plan_instance *p = &a->c->instance[i];
	int64_t ms = after_ms[failures(a->c, i)];

	if (p->report.operation == CHOICE_operation_REINIT &&
	    p->report.operation_phase == CHOICE_operation_phase_SUCCEEDED)
		ms = SUCCEEDED_MS;
	return rule_waits(a, &p->child.try) ||
	       (p->told.v != 0 && rule_waits_until(a, (struct msec){p->told.v + ms}));
}

enum verdict
rule_reinit(struct plan_at *a)
{
	const struct plan_cluster *c = a->c;
	unsigned leader = find_leader(c);

	if (!a->w->synced || leader == c->instances_n || roll_patroni_paused(c) ||
	    rest_has_no_pods(c) || is_any_under_way(c) || dbops_holds_up(a))
		return PASS;
	for (unsigned i = 0; i < rule_instances(c); i++) {
		const struct plan_instance *p = &c->instance[i];

		if (i == leader || !is_needed(c, i) || rest_is_wanted(c, i) || dbops_holds(a, i) ||
		    uid_eq(&p->replaced, &p->report.pod_uid) || failures(c, i) >= TRIES ||
		    waits(a, i))
			continue;
		return rule_step(a, CHOICE_verb_REINIT, CHILD_INSTANCE, i, &p->report.pod_uid);
	}
	return PASS;
}

/* Put aside within seconds it may never have been in a condition: who serves says it. */
unsigned
reinit_kept(const struct plan_cluster *c)
{
	unsigned i = 0;

	while (i < rule_instances(c) &&
	       (c->instance[i].kept_told || c->instance[i].report.reason != REASON_FOREIGN_DATA ||
		   c->instance[i].report.state < CHOICE_instance_state_RUNNING))
		i++;
	return i;
}

void
reinit_kept_told(struct plan_cluster *c)
{
	for (unsigned i = 0; i < c->instances_n; i++)
		c->instance[i].kept_told |= c->instance[i].report.reason == REASON_FOREIGN_DATA;
}
