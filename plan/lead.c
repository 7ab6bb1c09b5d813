/*
 * Who may lead first? While nobody leads, of those that wait for our word the one with the newest
 * data starts before all others (rest.c). Here stands whose that is: by what the instances say of
 * themselves, and, of adopted data, by what the anchor remembers of the cluster that was deleted.
 * And when all have to wait, since newer data is, or may be, where nobody is to start. For rest.c,
 * status.c and children.c.
 */
#include "plan/rule.h"

#include <stdio.h>

#define NOT_KNOWN UINT32_MAX

/* Who led the data that is adopted, also who is not among the instances; unless others have come
 * further since. */
static unsigned
remembered(const struct plan_cluster *c)
{
	if (c->anchor != CHOICE_anchor_state_ADOPTED || c->last_primary == 0)
		return NOT_KNOWN;
	for (unsigned i = 0; i < c->instances_n; i++)
		if (c->instance[i].child.present &&
		    c->instance[i].report.timeline > c->last_timeline)
			return NOT_KNOWN;
	return c->last_primary - 1u;
}

/* 2: it led last, as the anchor knows; 1: it says that it led. */
static int
leading(const struct plan_cluster *c, unsigned i)
{
	const struct plan_report *r = &c->instance[i].report;

	if (remembered(c) == i && r->timeline == c->last_timeline)
		return 2;
	return r->role == CHOICE_instance_role_PRIMARY;
}

bool
lead_was_primary(const struct plan_cluster *c, unsigned ordinal)
{
	return leading(c, ordinal) > 0;
}

int
lead_compare(const struct plan_cluster *c, unsigned i, unsigned k)
{
	uint32_t x = c->instance[i].report.timeline, y = c->instance[k].report.timeline;

	if (x != y)
		return x > y ? 1 : -1;
	return leading(c, i) - leading(c, k);
}

/* Who was told to stop may still say that it leads, but not for long. */
static bool
is_led(const struct plan_cluster *c)
{
	for (unsigned i = 0; i < c->instances_n; i++)
		if (status_current(c, i) && c->instance[i].report.stop == CHOICE_stop_NONE &&
		    c->instance[i].report.role == CHOICE_instance_role_PRIMARY &&
		    c->instance[i].report.state >= CHOICE_instance_state_RUNNING)
			return true;
	return false;
}

static enum lead_lack
lacks_remembered(const struct plan_cluster *c, unsigned last)
{
	const struct plan_instance *p = last < c->instances_n ? &c->instance[last] : NULL;

	if (p != NULL && status_current(c, last)) {
		if (rest_is_down(p) && rest_has_stopped(p) && p->report.timeline < c->last_timeline)
			return LEAD_VOLUME_GONE;
		return LEAD_FREE;
	}
	if ((c->volumes >> last & 1u) == 0)
		return LEAD_VOLUME_GONE;
	return last >= rule_instances(c) ? LEAD_BEYOND : LEAD_FREE;
}

/* What the adoption lacks. Nothing but what it finds tells of the cluster that was there before. */
static enum lead_lack
lacks_adopted(const struct plan_cluster *c, unsigned *who)
{
	unsigned last = remembered(c);

	if (c->anchor != CHOICE_anchor_state_ADOPTED)
		return LEAD_FREE;
	for (unsigned i = 0; i < rule_instances(c); i++)
		if (c->instance[i].child.present && !rest_is_down(&c->instance[i]))
			return LEAD_FREE; /* that has begun */
	/* Who is fenced does not start, but may have come furthest: rest_first waits for others. */
	for (unsigned i = 0; i < rule_instances(c); i++) {
		*who = i;
		if (rest_is_wanted(c, i) && (c->volumes >> i & 1u) != 0 &&
		    !(status_current(c, i) && rest_has_stopped(&c->instance[i])))
			return LEAD_FENCED;
	}
	*who = last;
	if (last != NOT_KNOWN)
		return lacks_remembered(c, last);
	if (c->last_primary != 0)
		return LEAD_FREE;
	for (unsigned i = INSTANCES_MAX; i-- > rule_instances(c);) {
		*who = i;
		if ((c->volumes >> i & 1u) != 0 && (i >= c->instances_n || !status_current(c, i)))
			return LEAD_UNKNOWN;
	}
	return LEAD_FREE;
}

/* Stopped by spec.fencedInstances, with newer data than all that wait for our word. */
static enum lead_lack
lacks_fenced(const struct plan_cluster *c, unsigned *who)
{
	unsigned n = c->instances_n, first = rest_first(c), best = first;

	if (first == n)
		return LEAD_FREE;
	for (unsigned i = 0; i < n; i++) {
		const struct plan_instance *p = &c->instance[i];

		if (p->child.present && rest_is_wanted(c, i) && rest_is_down(p) &&
		    lead_compare(c, i, best) > 0)
			best = i;
	}
	*who = best;
	return best == first ? LEAD_FREE : LEAD_FENCED;
}

enum lead_lack
lead_lacks(const struct plan_cluster *c, unsigned *who)
{
	enum lead_lack lack;
	unsigned unused;

	if (who == NULL)
		who = &unused;
	if (c->wanted.hibernated || c->wanted.deleting || is_led(c))
		return LEAD_FREE;
	lack = lacks_adopted(c, who);
	return lack != LEAD_FREE ? lack : lacks_fenced(c, who);
}

bool
lead_put_text(const struct plan_cluster *c, char *out, size_t size)
{
	unsigned i;

	switch (lead_lacks(c, &i)) {
	case LEAD_FREE:
		return false;
	case LEAD_BEYOND:
		snprintf(out, size,
		    "%s-%u led last, and is not among the instances: set spec.instances to at "
		    "least %u, and make the cluster smaller when it runs.",
		    c->name, i, i + 1);
		break;
	case LEAD_VOLUME_GONE:
		snprintf(out, size,
		    "%s-%u led last; its data is gone. Put the volume back, or, to do without "
		    "it, remove data.primary of ConfigMap %s-data.",
		    c->name, i, c->name);
		break;
	case LEAD_UNKNOWN:
		snprintf(out, size,
		    "Who led last is not known, and volume pgdata-%s-%u is there: set "
		    "spec.instances to at least %u, or delete such volumes if they are not wanted.",
		    c->name, i, i + 1);
		break;
	case LEAD_FENCED:
		snprintf(out, size,
		    "%s-%u is fenced and may have the newest data: unfence it first, or, to do "
		    "without that, delete PVC pgdata-%s-%u and its pod.",
		    c->name, i, c->name, i);
		break;
	}
	return true;
}
