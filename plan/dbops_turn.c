/*
 * BGDbOps: whose turn it is. One that is disruptive (it stops servers, moves the leadership or
 * locks tables) begins only while no other and no rolling change is under way, the oldest first;
 * what is done once is neither begun where a server is about to be stopped, nor stopped. For
 * plan/dbops.c.
 */
#include <stdio.h>

#include "plan/rule.h"

static bool
is_disruptive(const struct plan_dbops *d)
{
	return dbops_info[d->op].disruptive || d->locks;
}

bool
dbops_is_let_go(const struct plan_dbops *d)
{
	return d->deleted_s != 0 && !d->finalizer;
}

/*
 * Nobody may end one that crashed us, nor one that was let go of: what its pod still does for it
 * shows in that pod's report.
 */
static bool
runs_disruptively(const struct plan_dbops *d)
{
	return is_disruptive(d) && d->phase == CHOICE_dbops_phase_RUNNING && !d->quarantined &&
	       !dbops_is_let_go(d);
}

bool
dbops_disrupts(const struct plan_cluster *c)
{
	for (unsigned i = 0; i < c->dbops_n; i++)
		if (runs_disruptively(c->dbops[i]))
			return true;
	return false;
}

bool
dbops_holds_up(struct plan_at *a)
{
	for (unsigned i = 0; i < a->c->dbops_n; i++)
		if (runs_disruptively(a->c->dbops[i]) && !dbops_lets_mend(a, a->c->dbops[i]))
			return true;
	return false;
}

/* Who was only claimed, and can not be told before it is mended, is not held by that. */
bool
dbops_holds(struct plan_at *a, unsigned ordinal)
{
	const struct plan_cluster *c = a->c;

	for (unsigned i = 0; i < c->dbops_n; i++)
		if (c->dbops[i]->phase == CHOICE_dbops_phase_RUNNING && !c->dbops[i]->quarantined &&
		    dbops_info[c->dbops[i]->op].operation != CHOICE_operation_NONE &&
		    c->dbops[i]->ordinal == ordinal + 1 &&
		    (roll_serves(c, ordinal) || !dbops_lets_mend(a, c->dbops[i])))
			return true;
	return false;
}

/* It can not be begun again: what ends it loses it. */
static bool
is_once(const struct plan_dbops *d)
{
	return dbops_info[d->op].task != CHOICE_task_kind_NONE && !dbops_info[d->op].repeatable;
}

static bool
stops_servers(const struct plan_dbops *d)
{
	return dbops_info[d->op].disruptive && dbops_info[d->op].operation != CHOICE_operation_NONE;
}

void
dbops_put_who(const struct plan_cluster *c, const struct plan_dbops *e, char *why, size_t size)
{
	snprintf(why, size, "waits for BGDbOps %s (%s), which runs on %s-%u", e->name,
	    choice_text(VOCAB_dbops_op, e->op), c->name, e->ordinal - 1u);
}

/* What runs on that instance and can not be begun again; NULL = nothing. */
static const struct plan_dbops *
find_once(const struct plan_cluster *c, unsigned ordinal)
{
	for (unsigned i = 0; i < c->dbops_n; i++) {
		const struct plan_dbops *e = c->dbops[i];

		if (is_once(e) && e->phase == CHOICE_dbops_phase_RUNNING && !e->quarantined &&
		    !dbops_is_let_go(e) && e->ordinal == ordinal + 1)
			return e;
	}
	return NULL;
}

bool
dbops_would_end(const struct plan_cluster *c, const struct plan_dbops *d, unsigned ordinal,
    char *why, size_t size)
{
	const struct plan_dbops *e = find_once(c, ordinal);

	/* A failover is for where nothing can be waited for. */
	if (!stops_servers(d) || d->op == CHOICE_dbops_op_FAILOVER || e == NULL)
		return false;
	dbops_put_who(c, e, why, size);
	return true;
}

bool
dbops_put_once(const struct plan_cluster *c, unsigned ordinal, char *why, size_t size)
{
	const struct plan_dbops *e = find_once(c, ordinal);

	if (e != NULL)
		dbops_put_who(c, e, why, size);
	return e != NULL;
}

bool
dbops_runs_once(struct plan_at *a, unsigned ordinal)
{
	const struct plan_cluster *c = a->c;

	for (unsigned i = 0; i < c->dbops_n; i++)
		if (is_once(c->dbops[i]) && dbops_awaits(a, c->dbops[i]))
			return true; /* it may be claimed: its record will tell */
	return find_once(c, ordinal) != NULL;
}

void
dbops_put_told_before(const struct plan_cluster *c, unsigned ordinal, char *why, size_t size)
{
	snprintf(why, size, "waits for %s-%u to end what it was told before", c->name, ordinal);
}

bool
dbops_is_free(const struct plan_cluster *c, const struct plan_dbops *d, unsigned ordinal, char *why,
    size_t size)
{
	if (dbops_info[d->op].task != CHOICE_task_kind_NONE)
		return dbops_has_slot(c, d, ordinal, why, size);
	for (unsigned i = 0; i < c->dbops_n; i++) {
		const struct plan_dbops *e = c->dbops[i];

		if (e == d || e->quarantined || e->phase != CHOICE_dbops_phase_RUNNING ||
		    e->ordinal != ordinal + 1 ||
		    dbops_info[e->op].operation == CHOICE_operation_NONE)
			continue;
		dbops_put_who(c, e, why, size);
		return false;
	}
	if (dbops_would_end(c, d, ordinal, why, size))
		return false;
	if (roll_is_busy(c, ordinal)) {
		dbops_put_told_before(c, ordinal, why, size);
		return false;
	}
	return true;
}

/* --- What keeps it from beginning now. */

/* Does e come before d, which is disruptive as well? */
static bool
is_before(const struct plan_at *a, const struct plan_dbops *e)
{
	if (!is_disruptive(e) || e->quarantined || e->deleted_s != 0)
		return false;
	switch (e->phase) {
	case CHOICE_dbops_phase_NONE:
		return !e->scheduled && e->run_at_s <= a->w->unix_s && e->invalid == NULL;
	case CHOICE_dbops_phase_PENDING:
	case CHOICE_dbops_phase_WAITING:
		return true;
	default:
		return false;
	}
}

static bool
moves_leader(const struct plan_dbops *d)
{
	return d->op == CHOICE_dbops_op_FAILOVER || d->op == CHOICE_dbops_op_SWITCHOVER;
}

/* Of an instance that does not serve, for which a restart would wait. */
static bool
is_to_mend(const struct plan_cluster *c, const struct plan_dbops *d)
{
	return d->op == CHOICE_dbops_op_REINIT && d->wanted > 0 && d->wanted <= rule_instances(c) &&
	       !roll_serves(c, d->wanted - 1u);
}

enum verdict
dbops_await_turn(struct plan_at *a, const struct plan_dbops *d)
{
	const struct plan_cluster *c = a->c;
	/* A failover is what helps where the rest can not go on, and so may a reinit be. */
	bool older = true, helps = d->op == CHOICE_dbops_op_FAILOVER, mends = is_to_mend(c, d);

	if (!is_disruptive(d))
		return PASS;
	for (unsigned i = 0; i < c->dbops_n; i++) {
		const struct plan_dbops *e = c->dbops[i];

		if (e == d) {
			older = false;
			continue;
		}
		/* It may be claimed: its record will tell. */
		if ((is_disruptive(e) || is_once(e)) && !helps && dbops_awaits(a, e))
			return STOP;
		if (runs_disruptively(e) && (!helps || moves_leader(e)) &&
		    !(mends && dbops_lets_mend(a, e)))
			return WAIT(a, d, "waits for BGDbOps %s (%s), which runs", e->name,
			    choice_text(VOCAB_dbops_op, e->op));
		if (older && !helps && !mends && is_before(a, e))
			return WAIT(a, d, "waits for BGDbOps %s (%s), which was there before",
			    e->name, choice_text(VOCAB_dbops_op, e->op));
	}
	if (helps)
		return PASS;
	if (roll_goes_on(a))
		return WAIT(a, d, "waits for a change of BGCluster %s that is under way", c->name);
	if (c->statefulset.known && c->statefulset.replicas != rule_replicas(c))
		return WAIT(
		    a, d, "waits for BGCluster %s to have %u instances", c->name, rule_replicas(c));
	if (dbops_info[d->op].operation != CHOICE_operation_NONE && roll_patroni_paused(c))
		return WAIT(
		    a, d, "Patroni is paused; patronictl resume in a pod of %s ends that", c->name);
	return rule_look_first(a);
}

/* A change is about to stop that server, between two others perhaps. */
static bool
is_to_be_stopped(struct plan_at *a, unsigned i)
{
	const struct plan_cluster *c = a->c;

	return roll_goes_on(a) ||
	       (c->wanted.update != CHOICE_update_strategy_ON_DEMAND && a->window.open &&
		   !roll_patroni_paused(c) && (roll_outdated(c, i) || roll_awaits_restart(c, i)));
}

/* It waits for its turn to stop that server. */
static bool
is_to_stop(const struct plan_at *a, const struct plan_dbops *e, unsigned ordinal)
{
	if (!is_before(a, e))
		return false;
	switch (e->op) {
	case CHOICE_dbops_op_RESTART:
		return dbops_is_due(a->c, e, ordinal);
	case CHOICE_dbops_op_SWITCHOVER:
		return dbops_leader(a->c) == ordinal;
	case CHOICE_dbops_op_REINIT:
		return e->wanted == ordinal + 1;
	default:
		return false;
	}
}

/* It waits for what runs on one of those servers, and would for one after another. */
static bool
is_held_up(const struct plan_at *a, const struct plan_dbops *e)
{
	for (unsigned k = 0; k < rule_instances(a->c); k++)
		if (is_to_stop(a, e, k) && find_once(a->c, k) != NULL)
			return true;
	return false;
}

enum verdict
dbops_await_calm(struct plan_at *a, const struct plan_dbops *d, unsigned i)
{
	const struct plan_cluster *c = a->c;
	bool older = true;

	if (!is_once(d))
		return PASS;
	for (unsigned k = 0; k < c->dbops_n; k++) {
		const struct plan_dbops *e = c->dbops[k];

		older = older && e != d;
		if (!stops_servers(e))
			continue;
		/* It may be claimed: its record will tell. */
		if (dbops_awaits(a, e))
			return STOP;
		if (runs_disruptively(e))
			return WAIT(a, d, "waits for BGDbOps %s (%s), which runs", e->name,
			    choice_text(VOCAB_dbops_op, e->op));
		if (older && is_to_stop(a, e, i) && is_held_up(a, e))
			return WAIT(a, d, "waits for BGDbOps %s (%s), which was there before",
			    e->name, choice_text(VOCAB_dbops_op, e->op));
	}
	if (is_to_be_stopped(a, i))
		return WAIT(a, d, "waits for a change of BGCluster %s that is under way", c->name);
	return PASS;
}
