/*
 * BGDbOps: the slots of a pod, in each of which it does one task. What it may do beside each other,
 * and which slot is taken for the next task: never one whose last word is not in its BGDbOps'
 * status yet. The pod would forget it, and what it did would seem not to have been told. For
 * plan/dbops*.c.
 */
#include <stdio.h>

#include "plan/rule.h"

static unsigned
slots_of(const struct plan_report *r)
{
	return r->task_slots > 0 ? r->task_slots : 1;
}

static bool
is_busy(const struct plan_task *t)
{
	return t->owner != 0 && t->phase <= CHOICE_task_phase_RUNNING;
}

/* What its pod is to be told next. */
static unsigned
kind_of(const struct plan_dbops *d)
{
	return d->cleanup == CHOICE_dbops_cleanup_DUE || d->cleanup == CHOICE_dbops_cleanup_RUNNING
	           ? CHOICE_task_kind_CLEANUP
	           : dbops_info[d->op].task;
}

/* In which slot there is a task for it, whichever attempt; TASKS_MAX = in none. */
static unsigned
find(const struct plan_report *r, const struct plan_dbops *d)
{
	uint64_t owner = model_uid_key(&d->uid);
	unsigned slot = 0;

	while (slot < TASKS_MAX && r->task[slot].owner != owner)
		slot++;
	return slot;
}

const struct plan_task *
dbops_task(const struct plan_report *r, const struct plan_dbops *d)
{
	uint64_t owner = model_uid_key(&d->uid);

	for (unsigned k = 0; k < TASKS_MAX; k++)
		if (r->task[k].owner == owner && r->task[k].attempt == d->attempt)
			return &r->task[k];
	return NULL;
}

/* --- What a step has done, before a record tells. */

void
dbops_note_told(struct plan_report *r, const struct plan_dbops *d, const struct plan_sent *sent)
{
	unsigned slot = find(r, d);

	/* It may have stood in another one already. */
	r->task[slot < TASKS_MAX ? slot : sent->slot] =
	    (struct plan_task){.owner = model_uid_key(&d->uid),
		.attempt = sent->attempt,
		.kind = sent->cleanup ? CHOICE_task_kind_CLEANUP : dbops_info[d->op].task};
}

void
dbops_note_cancel(struct plan_report *r, const struct plan_dbops *d)
{
	unsigned slot = find(r, d);

	if (slot < TASKS_MAX)
		r->task[slot].cancel = true;
}

/* --- Which slot. */

/*
 * It is of d, whose status does not say yet what came of it; d's record may be older than its
 * claim. What crashed us and may be repeated is let go: nobody would take it in.
 */
static bool
is_awaited(const struct plan_task *t, const struct plan_dbops *d)
{
	bool claims =
	    d->phase == CHOICE_dbops_phase_RUNNING || d->cleanup == CHOICE_dbops_cleanup_RUNNING;

	if ((d->quarantined && dbops_info[d->op].repeatable) || dbops_is_let_go(d))
		return false;
	return (t->attempt == d->attempt ? claims
					 : t->attempt == d->attempt % TASK_ATTEMPTS_MAX + 1) &&
	       t->owner == model_uid_key(&d->uid);
}

static bool
is_usable(const struct plan_cluster *c, const struct plan_task *t)
{
	if (is_busy(t))
		return false;
	for (unsigned i = 0; i < c->dbops_n && t->owner != 0; i++)
		if (is_awaited(t, c->dbops[i]))
			return false;
	return true;
}

bool
dbops_awaits_task(struct plan_at *a, const struct plan_dbops *but)
{
	for (unsigned i = 0; i < a->c->dbops_n; i++) {
		const struct plan_dbops *e = a->c->dbops[i];

		if (e != but && dbops_info[e->op].task != CHOICE_task_kind_NONE &&
		    !plan_dbops_is_over(e) && dbops_awaits(a, e))
			return true;
	}
	return false;
}

bool
dbops_pick_slot(
    const struct plan_cluster *c, const struct plan_dbops *d, unsigned ordinal, uint8_t *out)
{
	const struct plan_report *r = &c->instance[ordinal].report;
	unsigned slots = slots_of(r), slot = find(r, d);
	uint64_t owner = model_uid_key(&d->uid);

	for (unsigned k = 0; k < TASKS_MAX; k++)
		if (is_busy(&r->task[k]) && (r->task[k].owner == owner ||
						model_tasks_conflict(r->task[k].kind, kind_of(d))))
			return false;
	/* Where an earlier attempt of it was, so that it never has two. */
	if (slot == TASKS_MAX)
		for (slot = 0; slot < slots && !is_usable(c, &r->task[slot]);)
			slot++;
	*out = (uint8_t)slot;
	return slot < slots;
}

/* --- What it waits for. */

/* What e has claimed that pod for; NONE = nothing. */
static unsigned
claimed_kind(const struct plan_dbops *e, unsigned ordinal)
{
	if (e->quarantined || dbops_is_let_go(e) || e->ordinal != ordinal + 1)
		return CHOICE_task_kind_NONE;
	if (e->cleanup == CHOICE_dbops_cleanup_RUNNING)
		return CHOICE_task_kind_CLEANUP;
	return e->phase == CHOICE_dbops_phase_RUNNING ? dbops_info[e->op].task
	                                              : CHOICE_task_kind_NONE;
}

/* Slots in which it does what none that is seen has claimed, such as one that was let go of. */
static unsigned
count_unclaimed(const struct plan_report *r, uint32_t claimed)
{
	unsigned n = 0;

	for (unsigned k = 0; k < TASKS_MAX; k++)
		n += is_busy(&r->task[k]) && (claimed >> k & 1u) == 0;
	return n;
}

bool
dbops_has_slot(const struct plan_cluster *c, const struct plan_dbops *d, unsigned ordinal,
    char *why, size_t size)
{
	const struct plan_report *r = &c->instance[ordinal].report;
	const struct plan_dbops *who = NULL;
	uint32_t claimed = 0;
	unsigned n = 0;
	uint8_t slot;

	for (unsigned i = 0; i < c->dbops_n; i++) {
		const struct plan_dbops *e = c->dbops[i];
		unsigned kind = claimed_kind(e, ordinal);

		if (e == d || kind == CHOICE_task_kind_NONE)
			continue;
		if (model_tasks_conflict(kind, kind_of(d))) {
			dbops_put_who(c, e, why, size);
			return false;
		}
		who = who != NULL ? who : e;
		claimed |= 1u << find(r, e);
		n++; /* also where its pod was not told yet: it will be */
	}
	if (n + count_unclaimed(r, claimed) < slots_of(r) && dbops_pick_slot(c, d, ordinal, &slot))
		return true;
	if (who != NULL)
		dbops_put_who(c, who, why, size);
	else
		dbops_put_told_before(c, ordinal, why, size);
	return false;
}
