/*
 * A change that running pods do not have yet: a new pod template, or a parameter that waits for a
 * restart. One instance at a time, replicas before the primary, and each only while all the others
 * serve: who does not come back stops it there, and taking the change back goes on from there. For
 * plan/cluster.c.
 */
#include "plan/rule.h"

#define OPERATE_AGAIN_MS 30000 /* what a pod could not do is not asked of it sooner than this, */
#define OPERATE_DOUBLED 4 /* then twice that, so often: whatever undoes it may go on doing so */
#define HANDED_OVER_MS 1800000 /* so long a former primary's pod goes with the handing over */

static bool
is_primary(const struct plan_instance *p)
{
	return p->report.role == CHOICE_instance_role_PRIMARY;
}

bool
roll_is_ending(const struct plan_cluster *c, unsigned ordinal)
{
	const struct plan_instance *p = &c->instance[ordinal];

	return !uid_none(&p->report.pod_uid) &&
	       (uid_eq(&p->replaced, &p->report.pod_uid) ||
		   /* by a former life of ours, or by someone else */
		   (p->looked && p->pod_terminating && uid_eq(&p->pod_uid, &p->report.pod_uid)));
}

/* It was told to do something that has not ended. */
static bool
is_busy(const struct plan_instance *p)
{
	return p->report.operation != CHOICE_operation_NONE &&
	       p->report.operation_phase <= CHOICE_operation_phase_RUNNING;
}

static bool
serves(const struct plan_cluster *c, unsigned i)
{
	return status_serves(c, i) && !is_busy(&c->instance[i]);
}

bool
roll_serves(const struct plan_cluster *c, unsigned ordinal)
{
	return serves(c, ordinal);
}

bool
roll_is_busy(const struct plan_cluster *c, unsigned ordinal)
{
	return status_current(c, ordinal) &&
	       (is_busy(&c->instance[ordinal]) || roll_is_ending(c, ordinal));
}

bool
roll_is_changing(const struct plan_cluster *c, unsigned ordinal)
{
	return roll_outdated(c, ordinal) ||
	       (status_current(c, ordinal) && roll_is_ending(c, ordinal));
}

bool
roll_outdated(const struct plan_cluster *c, unsigned ordinal)
{
	const struct plan_instance *p = &c->instance[ordinal];

	return status_current(c, ordinal) && !roll_is_ending(c, ordinal) &&
	       p->report.pod_inputs != 0 &&
	       p->report.pod_inputs != model_pod_inputs(c->wanted.hash);
}

/* By `patronictl pause`: Patroni starts no server then, so none may be stopped. */
bool
roll_patroni_paused(const struct plan_cluster *c)
{
	unsigned n = rule_instances(c);

	/* Of those that a smaller cluster has no more the last word may be an old one. */
	if (c->statefulset.known && c->statefulset.replicas > n)
		n = (unsigned)c->statefulset.replicas;
	for (unsigned i = 0; i < n && i < c->instances_n; i++)
		/* A lost pod's report lost its state. */
		if (status_current(c, i) && c->instance[i].report.paused &&
		    c->instance[i].report.state != CHOICE_instance_state_UNKNOWN)
			return true;
	return false;
}

static bool
is_settled(const struct plan_at *a)
{
	const struct plan_cluster *c = a->c;
	enum plan_is is = rule_child_is(a, CHILD_STATEFULSET, 0);

	return a->w->synced && !roll_patroni_paused(c) &&
	       (is == IS_SETTLED || is == IS_UNVERIFIED) && c->statefulset.known &&
	       c->statefulset.replicas == rule_instances(c);
}

/* A primary that takes writes, but for want of a synchronous standby. */
static bool
wants_standby(const struct plan_cluster *c, unsigned i)
{
	const struct plan_instance *p = &c->instance[i];

	return status_current(c, i) && is_primary(p) && !roll_is_ending(c, i) && !is_busy(p) &&
	       p->report.state >= CHOICE_instance_state_RUNNING && p->report.bootstrapped &&
	       p->report.reason == REASON_NO_SYNCHRONOUS_STANDBY;
}

/* Its server runs: a script may do so in it, whether it serves or not. */
static bool
is_up(const struct plan_cluster *c, unsigned i)
{
	return status_current(c, i) && c->instance[i].report.state >= CHOICE_instance_state_RUNNING;
}

/* A script or benchmark runs there. */
static bool
is_spared(struct plan_at *a, unsigned i)
{
	return is_up(a->c, i) && dbops_runs_once(a, i);
}

/* Does every instance but this one serve? Its own failing may be why a primary lacks a standby. */
static bool
others_serve(const struct plan_cluster *c, unsigned but)
{
	bool fails = !serves(c, but);

	for (unsigned i = 0; i < rule_instances(c); i++)
		if (i != but && !serves(c, i) && !(fails && wants_standby(c, i)))
			return false;
	return true;
}

bool
roll_holds_out(const struct plan_cluster *c, unsigned ordinal)
{
	return serves(c, ordinal) || wants_standby(c, ordinal);
}

/* Another instance leads, and serves. */
static bool
another_leads(const struct plan_cluster *c, unsigned than)
{
	for (unsigned i = 0; i < rule_instances(c); i++)
		if (i != than && is_primary(&c->instance[i]) && roll_holds_out(c, i))
			return true;
	return false;
}

/*
 * Which is next? First one that does not serve anyway, then replicas from the highest ordinal down,
 * at last the primary. n = none.
 */
static unsigned
pick(const struct plan_cluster *c, bool (*due)(const struct plan_cluster *, unsigned))
{
	unsigned n = rule_instances(c), best = n;

	for (unsigned i = 0; i < n; i++) {
		const struct plan_instance *p = &c->instance[i];

		if (!due(c, i))
			continue;
		if (!is_primary(p) && !serves(c, i))
			return i;
		if (best == n || is_primary(&c->instance[best]) || !is_primary(p))
			best = i;
	}
	return best;
}

/* --- What a pod is told to do. */

static struct msec
tell_again(const struct plan_instance *p)
{
	unsigned times = p->tells > 1 ? p->tells - 1u : 0;

	if (times > OPERATE_DOUBLED)
		times = OPERATE_DOUBLED;
	return (struct msec){p->told.v + ((int64_t)OPERATE_AGAIN_MS << times)};
}

static enum verdict
tell(struct plan_at *a, unsigned i, enum choice_verb verb)
{
	const struct plan_instance *p = &a->c->instance[i];

	if (is_busy(p) || dbops_holds(a, i) || rule_waits(a, &p->child.try) ||
	    (p->told.v != 0 && rule_waits_until(a, tell_again(p))))
		return PASS;
	return rule_step(a, verb, CHILD_INSTANCE, i, &p->report.pod_uid);
}

/*
 * May it be stopped for a change now? Nothing begins outside the maintenance windows; a primary
 * that has handed over in one goes on to its end.
 */
static bool
may_begin(const struct plan_at *a, unsigned i)
{
	const struct plan_instance *p = &a->c->instance[i];

	return a->window.open ||
	       (!is_primary(p) && p->report.operation == CHOICE_operation_SWITCHOVER &&
		   p->report.operation_phase == CHOICE_operation_phase_SUCCEEDED &&
		   p->told.v != 0 && a->w->now.v < p->told.v + HANDED_OVER_MS);
}

/* --- A smaller cluster. */

unsigned
roll_going_primary(const struct plan_cluster *c)
{
	unsigned last = rest_furthest(c);

	for (unsigned i = rule_instances(c); i < c->instances_n; i++)
		if (status_current(c, i) && is_primary(&c->instance[i]) &&
		    c->instance[i].report.state >= CHOICE_instance_state_RUNNING &&
		    c->statefulset.known && i < c->statefulset.replicas)
			return i;
	/*
	 * Whoever leads when those wake that are down: it must be there then. The report of a lost
	 * pod has lost its role, but not its timeline.
	 */
	return rest_is_any(c) && last >= rule_instances(c) ? last : c->instances_n;
}

enum verdict
rule_retire(struct plan_at *a)
{
	unsigned i = roll_going_primary(a->c);

	if (i == a->c->instances_n || !a->w->synced || roll_patroni_paused(a->c) ||
	    dbops_disrupts(a->c) || rest_has_no_pods(a->c) || !status_current(a->c, i) ||
	    a->c->instance[i].report.state < CHOICE_instance_state_RUNNING)
		return PASS;
	return tell(a, i, CHOICE_verb_SWITCHOVER);
}

/* --- Pods. */

/* Who rests is not touched: a fenced pod stays for inspection. */
static bool
is_due_to_roll(const struct plan_cluster *c, unsigned i)
{
	return roll_outdated(c, i) && !rest_is_wanted(c, i);
}

enum verdict
rule_roll(struct plan_at *a)
{
	const struct plan_cluster *c = a->c;
	unsigned n = rule_instances(c), i = pick(c, is_due_to_roll);
	const struct plan_instance *p;

	if (i == n || c->wanted.update == CHOICE_update_strategy_ON_DEMAND || !is_settled(a) ||
	    !may_begin(a, i) || !others_serve(c, i) || dbops_holds_up(a))
		return PASS;
	p = &c->instance[i];
	if (serves(c, i) && c->unready_since.v != 0)
		return PASS; /* who of them says so in vain is found out first */
	/* A primary that hands over, or whose Patroni starts again, has no role for a while. */
	if ((is_busy(p) && p->report.operation != CHOICE_operation_REINIT) ||
	    (!serves(c, i) && n > 1 && !another_leads(c, i)))
		return PASS;
	if (p->look.code != CHOICE_step_code_DONE && rule_waits(a, &p->look))
		return PASS;
	if (p->looked && is_spared(a, i))
		return PASS;
	/*
	 * The report of one that does not serve may be that of a pod that is no more: the present
	 * one may be of the newest template, and fail with it.
	 */
	if (!serves(c, i) && (!p->looked || a->w->now.v >= p->looked_at.v + LOOK_FRESH_MS))
		return rule_look_pod(a, i);
	if (is_spared(a, i))
		return PASS;
	/* From here on pods are told to end: what they come back as comes first. */
	if (template_is_due(c))
		return template_write(a);
	if (is_primary(p) && n > 1)
		return tell(a, i, CHOICE_verb_SWITCHOVER);
	return rule_step(a, CHOICE_verb_REPLACE_POD, CHILD_INSTANCE, i, &p->report.pod_uid);
}

/* --- Parameters. */

bool
roll_awaits_restart(const struct plan_cluster *c, unsigned ordinal)
{
	return status_current(c, ordinal) && c->instance[ordinal].report.pending_restart;
}

bool
roll_is_restarting(const struct plan_cluster *c, unsigned ordinal)
{
	return roll_awaits_restart(c, ordinal) ||
	       (status_current(c, ordinal) && is_busy(&c->instance[ordinal]) &&
		   c->instance[ordinal].report.operation == CHOICE_operation_RESTART);
}

bool
roll_is_due(const struct plan_cluster *c, unsigned ordinal)
{
	const struct plan_instance *p = &c->instance[ordinal];

	return roll_outdated(c, ordinal) || roll_awaits_restart(c, ordinal) ||
	       (status_current(c, ordinal) && !uid_none(&p->replaced) &&
		   uid_eq(&p->replaced, &p->report.pod_uid));
}

/* Nothing is gained by another restart of it before the primary's. */
static bool
is_due_before_primary(const struct plan_cluster *c, unsigned i)
{
	return roll_awaits_restart(c, i) && !c->instance[i].restarted &&
	       !is_primary(&c->instance[i]);
}

static unsigned
find_waiting_primary(const struct plan_cluster *c)
{
	unsigned n = rule_instances(c);

	for (unsigned i = 0; i < n; i++)
		if (is_primary(&c->instance[i]) && roll_awaits_restart(c, i))
			return i;
	return n;
}

static bool
have_all_awaited(const struct plan_cluster *c)
{
	for (unsigned i = 0; i < rule_instances(c); i++)
		if (!c->instance[i].awaited && !rest_is_wanted(c, i))
			return false;
	return true;
}

void
roll_note_restarts(struct plan_cluster *c, struct msec now)
{
	if (find_waiting_primary(c) != rule_instances(c)) {
		if (c->restart_since.v == 0)
			c->restart_since = now;
		return;
	}
	c->restart_since.v = 0;
	if (pick(c, roll_awaits_restart) != rule_instances(c))
		return;
	/* All waited for it, and do no more: nobody is left who could take it up later. */
	if (c->config_written && !c->config_doubted && have_all_awaited(c))
		c->config_at.v = 0;
	for (unsigned i = 0; i < c->instances_n; i++)
		c->instance[i].awaited = false;
}

/* So long after a change all have said what follows from it. */
static struct msec
heard_by(const struct plan_cluster *c, struct msec t)
{
	int64_t takes = (int64_t)1000 * c->wanted.loop_wait + RESTART_HEARD_MS;

	return (struct msec){t.v == 0 ? 0 : t.v + takes};
}

static struct msec
config_settles(const struct plan_cluster *c)
{
	return heard_by(c, c->config_at);
}

void
roll_note_config(struct plan_cluster *c, struct msec now)
{
	unsigned n = rule_instances(c), i = 0;

	while (i < n && !(status_current(c, i) && is_primary(&c->instance[i])))
		i++;
	if (i == n || c->config_written)
		return;
	if (c->instance[i].report.config_generation < c->config_generation) {
		c->config_known = false;
		return;
	}
	c->config_written = true;
	/* A new database begins with it. */
	if (!c->config_known &&
	    !(c->config_generation == 1 && c->anchor == CHOICE_anchor_state_CREATED))
		c->config_at = now;
}

void
roll_config_changed(struct plan_cluster *c, struct msec now)
{
	bool settled = c->config_written && now.v >= config_settles(c).v;

	c->config_doubted = !settled || pick(c, roll_awaits_restart) != rule_instances(c);
	c->config_written = c->config_known = false;
	c->config_at.v = 0;
	c->config_changed = now;
}

bool
roll_config_settled(struct plan_at *a)
{
	return a->c->config_written && !rule_waits_until(a, config_settles(a->c));
}

/*
 * The leader does not write the present one: what waits for a restart does so for the last good
 * one. At first it may still say that of the one before.
 */
static bool
is_config_refused(struct plan_at *a)
{
	const struct plan_cluster *c = a->c;

	for (unsigned i = 0; i < rule_instances(c); i++) {
		enum choice_reason r = c->instance[i].report.reason;

		if (status_current(c, i) && is_primary(&c->instance[i]) &&
		    (r == REASON_PARAMETER_REFUSED || r == REASON_PARAMETER_OWNED ||
			r == REASON_SPEC_INVALID))
			return !c->config_written &&
			       !rule_waits_until(a, heard_by(c, c->config_changed));
	}
	return false;
}

/*
 * A replica takes up what was changed in its own Patroni's loop, and is heard of at its agent's
 * next look: perhaps later than the primary.
 */
static bool
replica_may_follow(struct plan_at *a, unsigned primary)
{
	const struct plan_cluster *c = a->c;

	for (unsigned i = 0; i < rule_instances(c); i++)
		if (i != primary && !rest_is_wanted(c, i) && !c->instance[i].awaited)
			return rule_waits_until(a, heard_by(c, c->restart_since));
	return false;
}

/*
 * A replica must not have less of what standbys need than its primary: raised, such a setting comes
 * to replicas first; lowered, to the primary first. Of both at once the replicas have part after
 * their first restart, and the rest after the primary's (Patroni documentation, "PostgreSQL
 * parameters that touch shared memory"). n = nobody waits.
 */
static unsigned
pick_restart(const struct plan_cluster *c)
{
	unsigned n = rule_instances(c), primary = find_waiting_primary(c), i = n;

	if (primary == n)
		return pick(c, roll_awaits_restart);
	if (!c->instance[primary].report.restart_lowers)
		i = pick(c, is_due_before_primary);
	return i == n ? primary : i;
}

enum verdict
rule_restart(struct plan_at *a)
{
	const struct plan_cluster *c = a->c;
	unsigned n = rule_instances(c), primary = find_waiting_primary(c), i = pick_restart(c);
	enum verdict v;

	if (c->wanted.update == CHOICE_update_strategy_ON_DEMAND || !is_settled(a) ||
	    template_is_due(c) || !a->window.open || dbops_holds_up(a) ||
	    (c->config_doubted && !roll_config_settled(a) && !is_config_refused(a)))
		return PASS;
	if (i == n || !others_serve(c, i) || c->unready_since.v != 0 ||
	    (i == primary && !c->instance[i].report.restart_lowers &&
		replica_may_follow(a, primary)) ||
	    dbops_runs_once(a, i))
		return PASS;
	v = rule_look_first(a);
	return v == PASS ? tell(a, i, CHOICE_verb_RESTART) : v == STEP ? STEP : PASS;
}

/* --- What users are told. */

void
roll_put_wait(const struct plan_at *a, char out[ROLL_WAIT_SIZE])
{
	const struct plan_cluster *c = a->c;
	unsigned n = rule_instances(c), i = pick(c, is_due_to_roll);
	size_t len;

	window_put_text(a, out);
	if (i == n)
		i = pick_restart(c);
	if (out[0] != '\0' || c->wanted.update == CHOICE_update_strategy_ON_DEMAND || i == n ||
	    !is_up(c, i) || !dbops_put_once(c, i, out, ROLL_WAIT_SIZE - 2))
		return;
	len = strlen(out);
	memcpy(out + len, "; ", 3);
}

/* --- For BGDbOps. */

/* It was told to end, and the next one has not reported yet, but will soon. */
static bool
is_being_replaced(struct plan_at *a, unsigned i)
{
	const struct plan_instance *p = &a->c->instance[i];

	return !uid_none(&p->replaced) && uid_eq(&p->replaced, &p->report.pod_uid) &&
	       rule_waits_until(a, (struct msec){p->replaced_at.v + REPLACED_MS});
}

bool
roll_goes_on(struct plan_at *a)
{
	struct plan_step scratch = {.again = {PLAN_NEVER}};
	struct plan_at b = *a;

	b.out = &scratch;
	for (unsigned i = 0; i < a->c->instances_n; i++)
		if (roll_is_busy(a->c, i) || is_being_replaced(a, i))
			return true;
	return rule_retire(&b) == STEP || rule_roll(&b) == STEP || rule_restart(&b) == STEP;
}
