/*
 * Volumes that are to grow, and those that are almost full. The order of a change: every
 * member's claim is told, and only then is the StatefulSet made anew, whose volume templates are
 * immutable: as long as it is the old one, any life of ours sees that claims may be left. A claim
 * that may not grow is said in a condition and asked again slowly; nothing else waits for it. For
 * plan/cluster.c.
 */
#include "plan/rule.h"

#include <stdio.h>

/* Was the StatefulSet made from the storage that is wanted? */
static bool
is_in_step(const struct plan_cluster *c)
{
	return !c->statefulset.known || c->statefulset.storage_inputs == 0 ||
	       c->statefulset.storage_inputs == c->wanted.hash[GROUP_STORAGE];
}

/* --- Claims. */

/* fresh: those that were not asked for this size; again: those that have not reached it. */
static enum verdict
ask(struct plan_at *a, bool fresh, bool again)
{
	for (unsigned i = 0; i < rule_instances(a->c); i++) {
		const struct plan_instance *p = &a->c->instance[i];

		if ((p->volume_asked ? p->volume_grown || !again : !fresh) ||
		    rule_waits(a, &p->volume))
			continue;
		a->out->sent.key = a->c->wanted.hash[GROUP_STORAGE];
		return rule_step(a, CHOICE_verb_EXPAND_PVC, CHILD_INSTANCE, i, NULL);
	}
	return PASS;
}

enum verdict
rule_ask_volumes(struct plan_at *a)
{
	return a->c->child[CHILD_STATEFULSET].present ? ask(a, true, false) : PASS;
}

static bool
all_asked(const struct plan_cluster *c)
{
	for (unsigned i = 0; i < rule_instances(c); i++)
		if (!c->instance[i].volume_asked)
			return false;
	return true;
}

/* --- The StatefulSet: a new one adopts the pods that the old one leaves. */

/* Of a smaller cluster, whose pods are still ending. */
static bool
has_pods_left(const struct plan_cluster *c)
{
	for (unsigned i = rule_instances(c); i < c->instances_n; i++) {
		const struct plan_instance *p = &c->instance[i];

		if (p->child.present && (!p->looked || p->pod_present))
			return true;
	}
	return false;
}

static bool
all_settled(const struct plan_at *a)
{
	for (unsigned child = CHILD_ANCHOR; child < CHILD_COUNT; child++) {
		unsigned n = child == CHILD_INSTANCE ? rule_instances(a->c) : 1;

		for (unsigned i = 0; i < n; i++) {
			enum plan_is is = rule_child_is(a, (enum child)child, i);

			if (is != IS_SETTLED && is != IS_UNVERIFIED)
				return false;
		}
	}
	return !has_pods_left(a->c);
}

/*
 * A StatefulSet that is made anew has the newest template, and keeps no other. Unless it is volumes
 * that keep a pod from coming up, that waits for the end of a halt.
 */
static bool
awaits_halt(const struct plan_cluster *c)
{
	for (unsigned i = 0; i < rule_instances(c); i++)
		if (!status_serves(c, i) && c->instance[i].looked &&
		    c->instance[i].pod_reason == REASON_VOLUME_PENDING)
			return false;
	return template_may_be_halted(c);
}

enum verdict
rule_storage(struct plan_at *a)
{
	const struct plan_cluster *c = a->c;
	const struct plan_child *s = &c->child[CHILD_STATEFULSET];
	bool in_step = is_in_step(c);

	if (ask(a, !in_step, true) == STEP)
		return STEP;
	if (in_step || !a->w->synced || c->orphaned == c->wanted.generation || !all_asked(c) ||
	    !all_settled(a) || awaits_halt(c) || rule_waits(a, &s->try))
		return PASS;
	a->out->sent.key = 0;
	return rule_step(a, CHOICE_verb_ORPHAN_STATEFULSET, CHILD_STATEFULSET, 0, &s->uid);
}

/* --- What is said. */

/* How full is its fullest volume: 2 = PostgreSQL is about to stop, 1 = soon. */
static unsigned
fullness(const struct plan_cluster *c, unsigned i)
{
	switch (status_current(c, i) ? c->instance[i].report.disk : CHOICE_disk_class_NONE) {
	case CHOICE_disk_class_FULL:
	case CHOICE_disk_class_WAL_FULL:
		return 2;
	case CHOICE_disk_class_LOW:
	case CHOICE_disk_class_WAL_LOW:
		return 1;
	default:
		return 0;
	}
}

static bool
is_wals(const struct plan_cluster *c, unsigned i)
{
	return c->instance[i].report.disk == CHOICE_disk_class_WAL_FULL ||
	       c->instance[i].report.disk == CHOICE_disk_class_WAL_LOW;
}

/* "pgdata-demo-0, pgwal-demo-2": the claims of those volumes. */
static void
list_volumes(const struct plan_cluster *c, unsigned from, char *out, size_t size)
{
	size_t len = 0;

	out[0] = '\0';
	for (unsigned i = 0; i < rule_instances(c) && len < size; i++)
		if (fullness(c, i) >= from)
			len += (size_t)snprintf(out + len, size - len, "%s%s-%s-%u",
			    len > 0 ? ", " : "", is_wals(c, i) ? CLAIM_PGWAL : CLAIM_PGDATA,
			    c->name, i);
}

/* Whose size is to be raised. */
static const char *
full_field(const struct plan_cluster *c, unsigned from)
{
	bool wal = false, data = false;

	for (unsigned i = 0; i < rule_instances(c); i++)
		if (fullness(c, i) >= from) {
			wal |= is_wals(c, i);
			data |= !is_wals(c, i);
		}
	return !wal   ? "spec.storage.size, or remove data."
	       : data ? "spec.storage.size and spec.walStorage.size, or remove data."
	              : "spec.walStorage.size, or see what keeps WAL: docs/storage.md.";
}

static bool
has_wal_inside(const struct plan_cluster *c, unsigned i)
{
	return status_current(c, i) && c->instance[i].report.reason == REASON_WAL_IN_PGDATA;
}

/* What keeps a volume from growing comes before one that only takes its time. */
static enum choice_reason
find_growth(const struct plan_cluster *c, char *text, size_t size)
{
	enum choice_reason reason = REASON_NONE;
	unsigned at = 0;

	for (unsigned i = 0; i < rule_instances(c); i++) {
		enum choice_reason r = c->instance[i].volume.reason;

		if (r == REASON_NONE || status_failing(reason) ||
		    (reason != REASON_NONE && !status_failing(r)))
			continue;
		reason = r;
		at = i;
	}
	if (reason != REASON_NONE) { /* else there may be no instance at all yet */
		const char *what = c->instance[at].volume_text;

		snprintf(text, size, "%s-%u: %s", c->name, at,
		    what != NULL ? what : reason_info[reason].advice);
	}
	return reason;
}

/* What can wait until volumes have room. */
static enum choice_reason
find_other(const struct plan_cluster *c, char *text, size_t size)
{
	char names[IPC_TEXT_MAX];
	enum choice_reason reason = find_growth(c, text, size);

	if (reason != REASON_NONE || status_list(c, has_wal_inside, names, sizeof(names)) == 0)
		return reason;
	snprintf(text, size, "%s: %s", names, reason_info[REASON_WAL_IN_PGDATA].advice);
	return REASON_WAL_IN_PGDATA;
}

bool
storage_trouble(const struct plan_cluster *c, enum choice_reason *reason, char *text, size_t size)
{
	char names[IPC_TEXT_MAX], other[2 * IPC_TEXT_MAX];
	unsigned worst = 0;

	for (unsigned i = 0; i < rule_instances(c); i++)
		worst = fullness(c, i) > worst ? fullness(c, i) : worst;
	*reason = find_other(c, other, sizeof(other));
	if (worst == 0) {
		if (*reason != REASON_NONE)
			snprintf(text, size, "%s", other);
		return *reason != REASON_NONE;
	}
	list_volumes(c, worst, names, sizeof(names));
	snprintf(text, size, "Less than %u %% of the volume is free: %s. %s%s",
	    worst == 2 ? DISK_FULL_PERCENT : DISK_LOW_PERCENT, names,
	    *reason != REASON_NONE ? "" : "Raise ",
	    *reason != REASON_NONE ? other : full_field(c, worst));
	*reason = REASON_DISK_ALMOST_FULL;
	return true;
}
