/*
 * BGDbOps: when one may begin, where, and what it waits for until then. For plan/cluster.c; which
 * may run beside which is dbops_turn.c, what has begun dbops_run.c.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "plan/rule.h"

#define LATE_S 600  /* a run of a schedule that could not begin for so long is left out */
#define CANCEL_S 60 /* so long a deletion waits for what runs to end */
#define SAY_MS 2000 /* between two things that one says while it waits */
#define AHEAD_S INT64_C(31622400) /* runAt: at most 366 days after the object was made */
#define PAST_S 60                 /* runAt: who applies it may have another clock */
#define APPLIED_S 5               /* what was applied with it may be heard of later than it */
#define TAKE_UP_S 600             /* so long an instance has to take up a spec */

/* --- Steps. */

enum verdict
dbops_step(struct plan_at *a, const struct plan_dbops *d, enum choice_verb verb)
{
	struct plan_sent *s = &a->out->sent;

	a->out->dbops = d;
	s->dbops = d->uid;
	s->attempt = d->attempt;
	if (d->ordinal > 0)
		a->out->said.due = dbops_left(a->c, d, d->ordinal - 1u);
	return rule_step(a, verb, CHILD_INSTANCE, d->ordinal > 0 ? d->ordinal - 1u : 0, &d->pod);
}

static void
put_text(struct plan_at *a, const char *fmt, va_list ap)
{
	char text[2 * IPC_TEXT_MAX];

	vsnprintf(text, sizeof(text), fmt, ap);
	str_copy_text(a->out->text, sizeof(a->out->text), str_of(text));
}

enum verdict
dbops_finish(struct plan_at *a, const struct plan_dbops *d, enum choice_dbops_phase phase,
    enum choice_dbops_reason reason, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	put_text(a, fmt, ap);
	va_end(ap);
	a->out->said.phase = (uint8_t)phase;
	a->out->said.reason = (uint8_t)reason;
	/*
	 * Of a schedule what comes after this one, which stands for all times before it began; what
	 * passed meanwhile is left out then.
	 */
	if (d->scheduled && reason != CHOICE_dbops_reason_REFUSED) {
		int64_t last = d->next_s > 0 ? d->next_s : a->w->unix_s, next;

		if (d->started_s > last && d->started_s <= a->w->unix_s)
			last = d->started_s;
		next = dbops_next_time(d, last);
		a->out->said.next_s = next == INT64_MAX ? 0 : next;
	}
	return dbops_step(a, d, CHOICE_verb_DBOPS_FINISH);
}

enum verdict
dbops_say(struct plan_at *a, const struct plan_dbops *d, enum choice_dbops_phase phase,
    int64_t next_s, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	put_text(a, fmt, ap);
	va_end(ap);
	if (d->said == model_dbops_said(phase, next_s, str_of(a->out->text)) &&
	    d->observed == d->generation && a->out->said.reason == CHOICE_dbops_reason_NONE)
		return PASS;
	if (d->phase == phase && d->progress_at.v != 0 &&
	    rule_waits_until(a, (struct msec){d->progress_at.v + SAY_MS}))
		return PASS;
	a->out->said.phase = (uint8_t)phase;
	a->out->said.next_s = next_s;
	return dbops_step(a, d, CHOICE_verb_DBOPS_SAY);
}

enum verdict
dbops_wait(struct plan_at *a, const struct plan_dbops *d, enum choice_dbops_phase phase,
    const char *fmt, ...)
{
	char text[2 * IPC_TEXT_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return dbops_say(a, d, phase, d->next_s, "%s", text) == STEP ? STEP : STOP;
}

#define REFUSE(a, d, ...)                                                                          \
	dbops_finish(a, d, CHOICE_dbops_phase_FAILED, CHOICE_dbops_reason_REFUSED, __VA_ARGS__)

enum verdict
dbops_tell(struct plan_at *a, const struct plan_dbops *d, unsigned ordinal, bool anew, bool cleanup)
{
	const struct plan_report *r = &a->c->instance[ordinal].report;
	uint8_t slot = 0;

	if ((dbops_info[d->op].task != CHOICE_task_kind_NONE || cleanup) &&
	    !dbops_pick_slot(a->c, d, ordinal, &slot))
		return STOP;
	dbops_step(a, d, CHOICE_verb_DBOPS_TELL);
	a->out->sent.ordinal = (uint8_t)ordinal;
	a->out->sent.target = r->pod_uid;
	a->out->sent.slot = slot;
	a->out->sent.held = r->task[slot].owner;
	a->out->sent.held_attempt = r->task[slot].attempt;
	a->out->sent.cleanup = cleanup;
	a->out->said.due = dbops_left(a->c, d, ordinal);
	if (anew)
		a->out->sent.attempt = (uint16_t)(d->attempt % TASK_ATTEMPTS_MAX + 1);
	return STEP;
}

bool
dbops_awaits(struct plan_at *a, const struct plan_dbops *d)
{
	return d->awaits > d->version && rule_waits_until(a, d->awaits_until);
}

bool
dbops_waits_until(struct plan_at *a, int64_t unix_s)
{
	int64_t s = unix_s - a->w->unix_s;

	if (s <= 0)
		return false;
	return rule_waits_until(
	    a, (struct msec){a->w->now.v + (s < WALL_LOOK_S ? s : WALL_LOOK_S) * 1000});
}

/* --- Questions. */

unsigned
dbops_leader(const struct plan_cluster *c)
{
	unsigned best = c->instances_n;

	for (unsigned i = 0; i < c->instances_n; i++) {
		const struct plan_report *r = &c->instance[i].report;

		if (status_current(c, i) && r->role == CHOICE_instance_role_PRIMARY &&
		    r->state >= CHOICE_instance_state_RUNNING && !roll_is_busy(c, i) &&
		    (best == c->instances_n || r->timeline > c->instance[best].report.timeline))
			best = i;
	}
	return best;
}

/* A replica that could lead, or answer for the primary, without much of a loss. */
static bool
is_fit(const struct plan_cluster *c, unsigned i)
{
	return status_current(c, i) &&
	       c->instance[i].report.state == CHOICE_instance_state_STREAMING &&
	       c->instance[i].report.lag != CHOICE_lag_class_LARGE && !roll_is_busy(c, i);
}

static unsigned
fit_replica(const struct plan_cluster *c)
{
	for (unsigned i = 0; i < rule_instances(c); i++)
		if (is_fit(c, i))
			return i;
	return c->instances_n;
}

int64_t
dbops_next_time(const struct plan_dbops *d, int64_t after_s)
{
	struct zone z;

	if (d->bad_cron || zone_find(str_of(d->zone), &z) == -1)
		return INT64_MAX;
	return cron_next(&d->cron, &z, after_s);
}

/* --- What keeps it from beginning at all. */

/* PASS: it can go on; STOP: nothing is known yet. */
static enum verdict
await_cluster(struct plan_at *a, const struct plan_dbops *d)
{
	const struct plan_cluster *c = a->c;

	if ((a->w->listed & 1u << KIND_BGCLUSTER) == 0)
		return STOP;
	if (!c->present)
		return WAIT(a, d,
		    "there is no BGCluster %s in this namespace; create it, or delete this",
		    c->name);
	if (c->wanted.deleting)
		return REFUSE(a, d, "BGCluster %s is being deleted", c->name);
	if (c->wanted.invalid || (c->quarantined != 0 && c->quarantined == c->wanted.generation))
		return WAIT(a, d, "BGCluster %s can not be read; see its conditions", c->name);
	if (c->wanted.paused)
		return WAIT(a, d, "BGCluster %s is paused; remove its annotation %s", c->name,
		    ANNOTATION_PAUSED);
	if (c->wanted.hibernated)
		return WAIT(
		    a, d, "BGCluster %s is hibernated; set its spec.hibernated to false", c->name);
	return a->w->synced ? PASS : STOP;
}

/* --- Where. */

static enum verdict
tell_if_free(struct plan_at *a, const struct plan_dbops *d, unsigned i)
{
	bool task = dbops_info[d->op].task != CHOICE_task_kind_NONE;
	char why[IPC_TEXT_MAX];

	if (task && dbops_awaits_task(a, d))
		return STOP;
	if (!dbops_is_free(a->c, d, i, why, sizeof(why)))
		return WAIT(a, d, "%s", why);
	return dbops_tell(a, d, i, true, false);
}

/* The instance that the spec names is one of the cluster's; PASS, or it was refused. */
static enum verdict
check_wanted(struct plan_at *a, const struct plan_dbops *d)
{
	unsigned n = rule_instances(a->c);

	if (d->wanted > 0 && d->wanted <= n)
		return PASS;
	if (d->wanted == 0 && d->op != CHOICE_dbops_op_REINIT)
		return PASS;
	return REFUSE(a, d,
	    "BGCluster %s has no instance of the name that the spec gives: it has %s-0 to %s-%u",
	    a->c->name, a->c->name, a->c->name, n > 0 ? n - 1 : 0);
}

static enum verdict
begin_switchover(struct plan_at *a, const struct plan_dbops *d)
{
	const struct plan_cluster *c = a->c;
	unsigned leader = dbops_leader(c), to = d->wanted - 1u;

	if (check_wanted(a, d) == STEP)
		return STEP;
	if (leader == c->instances_n)
		return WAIT(a, d, "BGCluster %s has no primary that could hand over", c->name);
	if (d->wanted != 0 && to == leader)
		return REFUSE(a, d, "%s-%u is the primary already", c->name, to);
	if (d->wanted != 0 && !is_fit(c, to))
		return REFUSE(a, d,
		    "%s-%u does not stream or lags behind; see kubectl get bgi, and take another",
		    c->name, to);
	if (fit_replica(c) == c->instances_n)
		return REFUSE(
		    a, d, "no replica of %s streams without a lag; see kubectl get bgi", c->name);
	return tell_if_free(a, d, leader);
}

static bool
runs_here(const struct plan_cluster *c, unsigned i)
{
	return status_current(c, i) &&
	       c->instance[i].report.state >= CHOICE_instance_state_RUNNING &&
	       c->instance[i].report.role != CHOICE_instance_role_PRIMARY;
}

/* The replica that loses least, as far as is known. */
static unsigned
best_replica(const struct plan_cluster *c)
{
	unsigned best = c->instances_n;

	for (unsigned i = 0; i < rule_instances(c); i++) {
		const struct plan_report *r = &c->instance[i].report, *b;

		if (!runs_here(c, i))
			continue;
		if (best == c->instances_n) {
			best = i;
			continue;
		}
		b = &c->instance[best].report;
		if (r->timeline > b->timeline || (r->timeline == b->timeline && r->lag < b->lag &&
						     r->lag != CHOICE_lag_class_UNKNOWN))
			best = i;
	}
	return best;
}

static bool
is_of_system(const struct plan_cluster *c, uint64_t system_identifier)
{
	for (unsigned i = 0; i < rule_instances(c); i++)
		if (c->instance[i].report.system_identifier == system_identifier)
			return true;
	return false;
}

static enum verdict
begin_failover(struct plan_at *a, const struct plan_dbops *d)
{
	const struct plan_cluster *c = a->c;
	unsigned to = d->wanted != 0 ? d->wanted - 1u : best_replica(c);

	if (check_wanted(a, d) == STEP)
		return STEP;
	if (d->system_identifier == 0 || !is_of_system(c, d->system_identifier))
		return REFUSE(a, d,
		    "spec.failover.systemIdentifier is not that of BGCluster %s: kubectl get bgi "
		    "%s-0 -o jsonpath={.status.systemIdentifier}",
		    c->name, c->name);
	if (to == c->instances_n || to >= rule_instances(c))
		return REFUSE(a, d, "no replica of %s runs; see kubectl get bgi", c->name);
	if (c->instance[to].report.role == CHOICE_instance_role_PRIMARY && status_current(c, to))
		return REFUSE(a, d, "%s-%u is the primary already", c->name, to);
	if (!runs_here(c, to))
		return REFUSE(
		    a, d, "%s-%u does not run; see kubectl get bgi, and take another", c->name, to);
	return tell_if_free(a, d, to);
}

static enum verdict
begin_reinit(struct plan_at *a, const struct plan_dbops *d)
{
	const struct plan_cluster *c = a->c;
	unsigned i = d->wanted - 1u, leader = dbops_leader(c);
	enum verdict v = PASS;

	if (check_wanted(a, d) == STEP)
		return STEP;
	if (leader == c->instances_n)
		return WAIT(a, d, "BGCluster %s has no primary to fetch the data from", c->name);
	if (i == leader || c->instance[i].report.role == CHOICE_instance_role_PRIMARY)
		return REFUSE(
		    a, d, "%s-%u is the primary: its data is what others fetch", c->name, i);
	if (!status_current(c, i))
		return WAIT(a, d, "%s-%u has no pod that reports", c->name, i);
	if (rest_is_wanted(c, i))
		return WAIT(
		    a, d, "%s-%u is fenced; take its name out of spec.fencedInstances", c->name, i);
	/* One that does not serve is mended, whoever else does not. */
	if (roll_serves(c, i))
		v = dbops_await_serving(a, d, i, CHOICE_dbops_phase_WAITING);
	return v == PASS ? tell_if_free(a, d, i) : v;
}

/*
 * Who has not taken up the present spec; instances_n = none. Only the leader is asked, which writes
 * it for all: of a replica that has nothing else to say no report comes (instance/report.c).
 */
static unsigned
find_behind(const struct plan_cluster *c)
{
	for (unsigned i = 0; i < rule_instances(c); i++)
		if (!rest_is_wanted(c, i) &&
		    (!status_current(c, i) ||
			(c->instance[i].report.role == CHOICE_instance_role_PRIMARY &&
			    c->instance[i].report.config_generation < c->wanted.generation)))
			return i;
	return c->instances_n;
}

void
dbops_note_config(struct plan_cluster *c, struct msec now)
{
	bool behind = find_behind(c) != c->instances_n;

	if (!behind || !c->present || c->wanted.paused)
		c->behind_since.v = 0;
	else if (c->behind_since.v == 0)
		c->behind_since = now;
	if (behind || !status_led(c))
		c->config_since.v = 0;
	else if (c->config_since.v == 0)
		c->config_since = now;
}

/*
 * Which parameters wait for a restart is known once the leader has written what the spec says, and
 * every Patroni has looked at what came of it. PASS: it is.
 */
static enum verdict
await_pending(struct plan_at *a, const struct plan_dbops *d)
{
	const struct plan_cluster *c = a->c;
	unsigned i = find_behind(c);
	int64_t since = d->next_s > d->created_s ? d->next_s : d->created_s;
	int64_t heard = c->config_since.v + (int64_t)1000 * c->wanted.loop_wait + RESTART_HEARD_MS;

	/* It may have waited for something else, such as a cluster that was hibernated. */
	if (i != c->instances_n &&
	    (rule_waits_until(a, (struct msec){c->behind_since.v + TAKE_UP_S * 1000}) ||
		dbops_waits_until(a, since + TAKE_UP_S)))
		return WAIT(a, d, "waits for %s-%u to take up generation %llu of BGCluster %s",
		    c->name, i, (unsigned long long)c->wanted.generation, c->name);
	if (i != c->instances_n)
		return dbops_finish(a, d, CHOICE_dbops_phase_FAILED, CHOICE_dbops_reason_NONE,
		    "%s-%u has not taken up generation %llu of BGCluster %s; see its conditions",
		    c->name, i, (unsigned long long)c->wanted.generation, c->name);
	if (!status_led(c))
		return WAIT(a, d, "BGCluster %s has no primary", c->name);
	if (rule_waits_until(a, (struct msec){heard}) || dbops_waits_until(a, since + APPLIED_S))
		return WAIT(a, d,
		    "waits for Patroni to say which parameters of generation %llu want a restart",
		    (unsigned long long)c->wanted.generation);
	return PASS;
}

static enum verdict
begin_servers(struct plan_at *a, const struct plan_dbops *d)
{
	unsigned i = dbops_next_server(a->c, d);
	enum verdict v = PASS;
	char why[IPC_TEXT_MAX];

	/* What is repeated has found that out when it began. */
	if (d->only_pending && !dbops_is_repeated(d))
		v = await_pending(a, d);
	if (v != PASS)
		return v;
	if (i == a->c->instances_n && d->role == CHOICE_dbops_role_PRIMARY &&
	    dbops_leader(a->c) >= rule_instances(a->c))
		return WAIT(a, d, "BGCluster %s has no primary", a->c->name);
	if (i == a->c->instances_n)
		return dbops_finish(a, d, CHOICE_dbops_phase_SUCCEEDED, CHOICE_dbops_reason_NONE,
		    "no server of %s is due for that", a->c->name);
	v = dbops_await_others(a, d, i, CHOICE_dbops_phase_WAITING);
	/* Once it has begun, whoever could not be stopped would hold up all the rest. */
	for (unsigned k = 0; v == PASS && k < rule_instances(a->c); k++)
		if (dbops_is_due(a->c, d, k) && dbops_would_end(a->c, d, k, why, sizeof(why)))
			v = WAIT(a, d, "%s", why);
	return v == PASS ? tell_if_free(a, d, i) : v;
}

static enum verdict
begin_task(struct plan_at *a, const struct plan_dbops *d)
{
	const struct plan_cluster *c = a->c;
	unsigned i = d->replica ? fit_replica(c) : dbops_leader(c);
	enum verdict v;

	if (i == c->instances_n)
		return WAIT(a, d, "BGCluster %s has no %s", c->name,
		    d->replica ? "replica that streams without a lag"
			       : "primary that takes writes");
	v = dbops_await_calm(a, d, i);
	return v == PASS ? tell_if_free(a, d, i) : v;
}

static enum verdict
begin_now(struct plan_at *a, const struct plan_dbops *d)
{
	static enum verdict (*const begin[CHOICE_dbops_op_COUNT])(
	    struct plan_at * a, const struct plan_dbops *d) = {
	    [CHOICE_dbops_op_RESTART] = begin_servers,
	    [CHOICE_dbops_op_RELOAD] = begin_servers,
	    [CHOICE_dbops_op_SWITCHOVER] = begin_switchover,
	    [CHOICE_dbops_op_FAILOVER] = begin_failover,
	    [CHOICE_dbops_op_REINIT] = begin_reinit,
	};
	enum verdict v = await_cluster(a, d);

	if (v == PASS)
		v = dbops_await_turn(a, d);
	if (v != PASS)
		return v;
	return begin[d->op] != NULL ? begin[d->op](a, d) : begin_task(a, d);
}

/* --- When. */

static enum verdict
say_next(
    struct plan_at *a, const struct plan_dbops *d, enum choice_dbops_reason reason, const char *why)
{
	int64_t next = dbops_next_time(d, a->w->unix_s);
	char at[21];

	if (next == INT64_MAX)
		return REFUSE(a, d, "spec.schedule.cron never fires");
	a->out->said.reason = (uint8_t)reason;
	time_rfc3339(at, next);
	return dbops_say(a, d, CHOICE_dbops_phase_SCHEDULED, next, "%snext run at %s", why, at);
}

/* It was edited since: a time that has come is kept, if it is one of the new schedule too. */
static bool
is_kept(const struct plan_at *a, const struct plan_dbops *d)
{
	return d->observed == d->generation ||
	       (d->next_s <= a->w->unix_s && dbops_next_time(d, d->next_s - 1) == d->next_s);
}

/* As whoever claims it will look: since the last run began, or since it was made. */
static bool
has_come(const struct plan_at *a, const struct plan_dbops *d)
{
	int64_t last = d->started_s != 0 && d->started_s <= a->w->unix_s
	                   ? d->started_s
	                   : d->created_s - DBOPS_SKEW_S;

	return dbops_next_time(d, last) <= a->w->unix_s;
}

/* PASS: a run is due. */
static enum verdict
await_schedule(struct plan_at *a, const struct plan_dbops *d)
{
	enum verdict v;
	struct zone z;

	if (d->bad_cron)
		return REFUSE(a, d,
		    "spec.schedule.cron is none: minute, hour, day of month, month, day of week, "
		    "such as 30 2 * * 7");
	if (zone_find(str_of(d->zone), &z) == -1)
		return REFUSE(
		    a, d, "spec.schedule.timeZone: \"%s\" is no known time zone", d->zone);
	if (d->phase != CHOICE_dbops_phase_NONE && d->phase != CHOICE_dbops_phase_SCHEDULED &&
	    !((d->suspend || !has_come(a, d)) && d->phase == CHOICE_dbops_phase_WAITING &&
		!dbops_is_repeated(d)))
		return PASS;
	if (d->suspend) {
		v = dbops_say(
		    a, d, CHOICE_dbops_phase_SCHEDULED, 0, "suspended by spec.schedule.suspend");
	} else if (d->next_s == 0 || d->phase == CHOICE_dbops_phase_NONE || !is_kept(a, d) ||
		   (d->next_s <= a->w->unix_s && !has_come(a, d))) {
		v = say_next(a, d, CHOICE_dbops_reason_NONE, "");
	} else if (dbops_waits_until(a, d->next_s)) {
		return STOP;
	} else if (d->finished_s >= d->next_s) {
		v = say_next(a, d, CHOICE_dbops_reason_SKIPPED,
		    "a run was skipped, since the one before was still under way; ");
	} else if (a->w->unix_s > d->next_s + LATE_S) {
		v = say_next(a, d, CHOICE_dbops_reason_SKIPPED,
		    "a run was skipped, since the operator was not there; ");
	} else {
		return PASS;
	}
	return v == PASS ? STOP : v;
}

/* PASS: its time has come. */
static enum verdict
await_run_at(struct plan_at *a, const struct plan_dbops *d)
{
	enum verdict v;
	char at[21];

	if (d->run_at_s == 0 || d->phase == CHOICE_dbops_phase_PENDING)
		return PASS;
	if (d->created_s != 0 && d->run_at_s < d->created_s - PAST_S)
		return REFUSE(
		    a, d, "spec.runAt was past when this was made; leave it out to run at once");
	if (d->created_s != 0 && d->run_at_s > d->created_s + AHEAD_S)
		return REFUSE(a, d, "spec.runAt is more than a year ahead");
	if (!dbops_waits_until(a, d->run_at_s))
		return PASS;
	time_rfc3339(at, d->run_at_s);
	v = dbops_say(a, d, CHOICE_dbops_phase_SCHEDULED, d->run_at_s, "runs at %s", at);
	return v == PASS ? STOP : v;
}

static enum verdict
begin(struct plan_at *a, const struct plan_dbops *d)
{
	enum verdict v;

	if (d->invalid != NULL)
		return REFUSE(a, d, "%s", d->invalid);
	if (d->refused != NULL)
		return REFUSE(a, d, "%s", d->refused);
	if (d->phase == CHOICE_dbops_phase_PENDING && d->retries > 0) {
		if (d->timeout_s != 0 && !dbops_waits_until(a, d->started_s + d->timeout_s))
			return dbops_finish(a, d, CHOICE_dbops_phase_FAILED,
			    CHOICE_dbops_reason_TIMED_OUT,
			    "spec.timeout is over; it was repeated "
			    "%u times",
			    d->retries);
		return dbops_waits_until(a, d->next_s) ? PASS : begin_now(a, d);
	}
	v = d->scheduled ? await_schedule(a, d) : await_run_at(a, d);
	return v == PASS ? begin_now(a, d) : v;
}

/* --- And its end. */

static enum verdict
release(struct plan_at *a, const struct plan_dbops *d)
{
	return d->finalizer ? dbops_step(a, d, CHOICE_verb_DBOPS_RELEASE) : PASS;
}

/* It is being deleted: what runs is told to end, and waited for. */
static enum verdict
go(struct plan_at *a, const struct plan_dbops *d)
{
	bool listed = a->w->listed & 1u << KIND_BGCLUSTER;
	enum verdict v = PASS;

	if (!d->finalizer)
		return PASS;
	if ((listed && !a->c->present) || a->c->wanted.deleting ||
	    !dbops_waits_until(a, d->deleted_s + CANCEL_S))
		return release(a, d);
	if (d->phase == CHOICE_dbops_phase_RUNNING)
		v = dbops_cancel(a, d);
	else
		v = dbops_clean(a, d);
	return v == PASS ? release(a, d) : v;
}

static enum verdict
end(struct plan_at *a, const struct plan_dbops *d)
{
	enum verdict v = dbops_clean(a, d);

	if (v == PASS)
		v = release(a, d);
	if (v != PASS || d->ttl == 0 || dbops_waits_until(a, d->finished_s + d->ttl - 1))
		return v;
	return dbops_step(a, d, CHOICE_verb_DBOPS_DELETE);
}

static enum verdict
one(struct plan_at *a, const struct plan_dbops *d)
{
	enum verdict v;

	if (a->c->namespace_ends)
		return release(a, d);
	if (d->deleted_s != 0)
		return go(a, d);
	switch (d->phase) {
	case CHOICE_dbops_phase_SUCCEEDED:
	case CHOICE_dbops_phase_FAILED:
	case CHOICE_dbops_phase_CANCELLED:
		return end(a, d);
	case CHOICE_dbops_phase_RUNNING:
		return dbops_run(a, d);
	default:
		v = dbops_clean(a, d);
		if (v == PASS && d->scheduled && d->phase == CHOICE_dbops_phase_SCHEDULED)
			v = release(a, d);
		return v == PASS ? begin(a, d) : v;
	}
}

enum verdict
rule_dbops(struct plan_at *a)
{
	for (unsigned i = 0; i < a->c->dbops_n; i++) {
		const struct plan_dbops *d = a->c->dbops[i];

		if (d->quarantined || dbops_awaits(a, d) || rule_waits(a, &d->try))
			continue;
		a->out->text[0] = '\0';
		memset(&a->out->said, 0, sizeof(a->out->said));
		if (one(a, d) == STEP)
			return STEP;
	}
	a->out->text[0] = '\0';
	return PASS;
}
