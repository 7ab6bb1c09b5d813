/*
 * What users are told of a BGCluster: conditions and phase; for Events see event.c. For
 * plan/cluster.c. Everything is made from what was seen now; a message names the instance and says
 * what to do. A status is written only when it says something new.
 */
#include "plan/rule.h"

#include <stdio.h>
#include <string.h>

#define TEXT_MAX (IPC_TEXT_MAX + NAME_MAX_LABEL + 8)

/* --- Instances. */

bool
status_current(const struct plan_cluster *c, unsigned ordinal)
{
	const struct plan_instance *p = &c->instance[ordinal];

	if (!p->child.present || !p->known || uid_none(&p->report.pod_uid))
		return false;
	return !p->looked || (p->pod_present && uid_eq(&p->pod_uid, &p->report.pod_uid) &&
				 !(p->pod_terminating && !p->pod_ready && p->looks >= 3));
}

static bool
is_primary(const struct plan_cluster *c, unsigned ordinal)
{
	const struct plan_instance *p = &c->instance[ordinal];

	return status_current(c, ordinal) && p->report.role == CHOICE_instance_role_PRIMARY &&
	       p->report.state >= CHOICE_instance_state_RUNNING;
}

static bool
is_streaming(const struct plan_cluster *c, unsigned ordinal)
{
	const struct plan_instance *p = &c->instance[ordinal];

	return status_current(c, ordinal) && !roll_is_ending(c, ordinal) &&
	       p->report.role != CHOICE_instance_role_PRIMARY &&
	       p->report.state == CHOICE_instance_state_STREAMING;
}

bool
status_serves(const struct plan_cluster *c, unsigned ordinal)
{
	return is_streaming(c, ordinal) ||
	       (is_primary(c, ordinal) && !roll_is_ending(c, ordinal) &&
		   c->instance[ordinal].report.bootstrapped &&
		   c->instance[ordinal].report.reason != REASON_NO_SYNCHRONOUS_STANDBY);
}

unsigned
status_serving(const struct plan_cluster *c)
{
	unsigned n = 0;

	for (unsigned i = 0; i < rule_instances(c); i++)
		n += status_serves(c, i);
	return n;
}

/* Of several that say so, the one on the highest timeline; n = none. */
static unsigned
find_primary(const struct plan_cluster *c)
{
	unsigned n = rule_instances(c), best = n;

	for (unsigned i = 0; i < n; i++)
		if (is_primary(c, i) && (best == n || c->instance[i].report.timeline >
							  c->instance[best].report.timeline))
			best = i;
	return best;
}

bool
status_led(const struct plan_cluster *c)
{
	return find_primary(c) < rule_instances(c);
}

/* --- What is the matter? */

/* Reasons that someone must do something about; all others pass by themselves or are no trouble. */
bool
status_failing(enum choice_reason r)
{
	static const bool failing[CHOICE_reason_COUNT] = {
	    [REASON_NAME_TAKEN] = true,
	    [REASON_CREDENTIALS_MISSING] = true,
	    [REASON_BOOTSTRAP_DIFFERS] = true,
	    [REASON_IMAGE_PULL_FAILED] = true,
	    [REASON_UNSCHEDULABLE] = true,
	    [REASON_VOLUME_PENDING] = true,
	    [REASON_EXPANSION_REFUSED] = true,
	    [REASON_EXPANSION_FAILED] = true,
	    [REASON_DISK_ALMOST_FULL] = true,
	    [REASON_WAL_APART] = true,
	    [REASON_WAL_IN_PGDATA] = true,
	    [REASON_CONTAINER_CONFIG_ERROR] = true,
	    [REASON_START_FAILED] = true,
	    [REASON_CRASH_LOOP] = true,
	    [REASON_POD_FAILED] = true,
	    [REASON_PODS_REFUSED] = true,
	    [REASON_SPEC_REFUSED] = true,
	    [REASON_SPEC_INVALID] = true,
	    [REASON_CRD_OUTDATED] = true,
	    [REASON_RIGHTS_MISSING] = true,
	    [REASON_UID_UNKNOWN] = true,
	    [REASON_PATRONI_MISSING] = true,
	    [REASON_POSTGRES_MISSING] = true,
	    [REASON_VERSION_MISMATCH] = true,
	    [REASON_PARAMETER_REFUSED] = true,
	    [REASON_PARAMETER_OWNED] = true,
	    [REASON_VARIABLE_OWNED] = true,
	    [REASON_BOOTSTRAP_SQL_FAILED] = true,
	    [REASON_QUARANTINED] = true,
	    [REASON_WINDOW_INVALID] = true,
	    [REASON_DELETION_PROTECTED] = true,
	    [REASON_DELETION_STALLED] = true,
	    [REASON_CANNOT_FOLLOW] = true,
	    [REASON_LAST_PRIMARY_MISSING] = true,
	    [REASON_HISTORY_FORKED] = true,
	    [REASON_FOREIGN_DATA] = true,
	    [REASON_REINIT_FAILED] = true,
	    [REASON_CLONE_STALLED] = true,
	};

	return failing[r];
}

struct trouble {
	enum choice_reason reason;
	char text[TEXT_MAX];
};

/* Empty text: what the reason means and what to do. */
static void
set_trouble(
    struct trouble *t, enum choice_reason reason, const char *who, int ordinal, const char *text)
{
	const char *what = text != NULL && text[0] != '\0' ? text : reason_info[reason].advice;

	t->reason = reason;
	if (ordinal >= 0)
		snprintf(t->text, sizeof(t->text), "%s-%d: %s", who, ordinal, what);
	else
		snprintf(t->text, sizeof(t->text), "%s", what);
}

const struct plan_try *
status_try(const struct plan_cluster *c, unsigned i)
{
	unsigned k;

	if (i == TRY_SELF)
		return &c->self;
	if (i < TRY_INSTANCE(0))
		return &c->child[i - TRY_CHILD(0)].try;
	k = i - TRY_INSTANCE(0);
	if (k / 2 >= c->instances_n)
		return NULL;
	return k % 2 == 0 ? &c->instance[k / 2].child.
	try:
		&c->instance[k / 2].look;
}

/* A step that was refused. */
static bool
find_refused(const struct plan_cluster *c, struct trouble *t)
{
	const struct plan_try *try;

	for (unsigned i = 0; (try = status_try(c, i)) != NULL; i++) {
		if (try->reason == REASON_NONE)
			continue;
		set_trouble(t, try->reason, NULL, -1, c->trouble == i + 1 ? c->trouble_text : NULL);
		return true;
	}
	return false;
}

/* A name that someone else's object has. */
static bool
find_taken(const struct plan_at *a, struct trouble *t)
{
	for (unsigned child = CHILD_ANCHOR; child < CHILD_COUNT; child++) {
		unsigned n = child == CHILD_INSTANCE ? rule_instances(a->c) : 1;

		for (unsigned i = 0; i < n; i++) {
			char name[NAME_MAX_LABEL + 1], text[TEXT_MAX];

			if (rule_child_is(a, (enum child)child, i) != IS_TAKEN)
				continue;
			model_child_name(name, (enum child)child, a->c->name, i);
			snprintf(text, sizeof(text),
			    "%s %s exists and is not ours; delete or rename it, or the cluster.",
			    kind_info[child_info[child].kind].name, name);
			set_trouble(t, REASON_NAME_TAKEN, NULL, -1, text);
			return true;
		}
	}
	return false;
}

/* The agent knows best, if the pod it speaks of is the present one. */
static bool
find_instances_trouble(const struct plan_cluster *c, unsigned i, bool failing, struct trouble *t)
{
	const struct plan_instance *p = &c->instance[i];

	if (failing && reinit_has_failed(c, i)) {
		set_trouble(t, REASON_REINIT_FAILED, c->name, (int)i, NULL);
		return true;
	}
	if (status_current(c, i) && p->report.reason != REASON_NONE &&
	    p->report.reason != REASON_AS_WANTED && status_failing(p->report.reason) == failing) {
		set_trouble(t, p->report.reason, c->name, (int)i, p->report_text);
		return true;
	}
	if (p->looked && p->pod_reason != REASON_NONE && !p->pod_ready &&
	    status_failing(p->pod_reason) == failing) {
		set_trouble(t, p->pod_reason, c->name, (int)i, p->pod_text);
		return true;
	}
	return false;
}

static bool
find_pods_trouble(const struct plan_cluster *c, bool failing, struct trouble *t)
{
	for (unsigned i = 0; i < rule_instances(c); i++)
		if (!status_serves(c, i) && find_instances_trouble(c, i, failing, t))
			return true;
	return false;
}

static bool
is_held(const struct plan_cluster *c, unsigned i)
{
	return c->instance[i].child.present && c->instance[i].report.hold;
}

/* A server that is down has no timeline, but its data. */
static bool
has_run(const struct plan_cluster *c, unsigned i)
{
	const struct plan_report *r = &c->instance[i].report;

	return c->instance[i].child.present && (r->timeline > 0 || r->system_identifier != 0);
}

static bool
any(const struct plan_cluster *c, bool (*is)(const struct plan_cluster *c, unsigned i))
{
	for (unsigned i = 0; i < rule_instances(c); i++)
		if (is(c, i))
			return true;
	return false;
}

/* --- Conditions. */

static void
put(struct plan_status *s, enum choice_condition_type type, enum choice_condition_status status,
    enum choice_reason reason, const char *text)
{
	struct plan_condition *k = &s->at[s->n++];

	k->type = (uint8_t)type;
	k->status = (uint8_t)status;
	k->reason = (uint8_t)reason;
	if (text[0] == '\0')
		text = reason_info[reason].advice[0] != '\0' ? reason_info[reason].advice
		                                             : reason_info[reason].name;
	str_copy_text(k->text, sizeof(k->text), str_of(text));
}

static void
put_trouble(struct plan_status *s, enum choice_condition_type type,
    enum choice_condition_status status, const struct trouble *t)
{
	put(s, type, status, t->reason, t->text);
}

static void put_text(struct plan_status *s, enum choice_condition_type type,
    enum choice_condition_status status, enum choice_reason reason, const char *fmt, ...)
    __attribute__((format(printf, 5, 6)));
static void
put_text(struct plan_status *s, enum choice_condition_type type,
    enum choice_condition_status status, enum choice_reason reason, const char *fmt, ...)
{
	char text[TEXT_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	put(s, type, status, reason, text);
}

/* "demo-0, demo-2" of those that is() says; how many. */
unsigned
status_list(const struct plan_cluster *c, bool (*is)(const struct plan_cluster *c, unsigned i),
    char *out, size_t size)
{
	unsigned n = 0;
	size_t len = 0;

	out[0] = '\0';
	for (unsigned i = 0; i < rule_instances(c); i++) {
		int k;

		if (!is(c, i))
			continue;
		k = snprintf(out + len, size - len, "%s%s-%u", n > 0 ? ", " : "", c->name, i);
		len = k > 0 && (size_t)k < size - len ? len + (size_t)k : size - 1;
		n++;
	}
	return n;
}

static bool
is_fenced(const struct plan_cluster *c, unsigned i)
{
	return (c->wanted.fenced >> i & 1u) != 0;
}

static bool
is_complete(const struct plan_cluster *c)
{
	unsigned n = rule_instances(c);

	return n > 0 && status_serving(c) == n && find_primary(c) < n && !any(c, is_fenced) &&
	       c->statefulset.known && c->statefulset.replicas == n && c->statefulset.ready >= n;
}

/* Of a cluster that is to rest: who does not yet? */
static bool
is_awake(const struct plan_cluster *c, unsigned i)
{
	return status_current(c, i) && c->instance[i].report.state != CHOICE_instance_state_STOPPED;
}

static void
find_hibernation(const struct plan_cluster *c, struct trouble *t)
{
	unsigned last = rest_last_primary(c);
	char names[TEXT_MAX - 40];

	if (!rest_has_no_pods(c)) {
		set_trouble(t, REASON_HIBERNATING, NULL, -1, NULL);
		if (status_list(c, is_awake, names, sizeof(names)) > 0)
			snprintf(t->text, sizeof(t->text), "%sTo be stopped: %.150s.",
			    roll_patroni_paused(c) ? "Patroni is paused: resume it. " : "", names);
		return;
	}
	set_trouble(t, REASON_HIBERNATED, NULL, -1, NULL);
	if (last < c->instances_n)
		snprintf(t->text, sizeof(t->text),
		    "All instances are stopped; %s-%u leads when spec.hibernated is false again.",
		    c->name, last);
}

/* What only takes its time. */
static void
find_wait(const struct plan_cluster *c, struct trouble *t)
{
	unsigned n = rule_instances(c);
	char names[TEXT_MAX - 80];

	if (any(c, is_held))
		set_trouble(t, REASON_ADOPTING, NULL, -1, NULL);
	else if (any(c, is_fenced))
		set_trouble(t, REASON_INSTANCES_FENCED, NULL, -1,
		    roll_patroni_paused(c)
			? "Patroni is paused: resume it, so that spec.fencedInstances are stopped."
			: NULL);
	else if (find_pods_trouble(c, false, t))
		return;
	else if (!c->child[CHILD_STATEFULSET].present)
		set_trouble(t, REASON_CREATING, NULL, -1, NULL);
	else if (find_primary(c) == n)
		set_trouble(
		    t, any(c, has_run) ? REASON_NO_PRIMARY : REASON_BOOTSTRAPPING, NULL, -1, NULL);
	else {
		set_trouble(t, REASON_WAITING_FOR_INSTANCES, NULL, -1, NULL);
		if (status_list(c, roll_is_ending, names, sizeof(names)) > 0)
			snprintf(t->text, sizeof(t->text),
			    "%u of %u instances serve; the pod of %s is being replaced.",
			    status_serving(c), n, names);
		else
			snprintf(t->text, sizeof(t->text),
			    "%u of %u instances serve; see kubectl get bgi.", status_serving(c), n);
	}
}

/* A smaller cluster waits for its primary to be on an instance that stays. */
static bool
find_going_primary(const struct plan_cluster *c, struct trouble *t)
{
	unsigned i = roll_going_primary(c);

	if (i == c->instances_n)
		return false;
	set_trouble(t, REASON_HANDING_OVER, c->name, (int)i,
	    c->instance[i].report.reason == REASON_OPERATION_FAILED ? c->instance[i].report_text
								    : NULL);
	if (rest_has_no_pods(c))
		snprintf(t->text, sizeof(t->text),
		    "%s-%u was primary when all stopped; set spec.instances to at least %u, and "
		    "make the cluster smaller when it runs.",
		    c->name, i, i + 1);
	return true;
}

/* Nobody may lead, since newer data is elsewhere, or may be. */
static bool
find_missing_primary(const struct plan_cluster *c, struct trouble *t)
{
	t->reason = REASON_LAST_PRIMARY_MISSING;
	return lead_put_text(c, t->text, sizeof(t->text));
}

/* What stands in the way of being Ready, worst first; false = nothing does. */
static bool
find_obstacle(const struct plan_at *a, struct trouble *t)
{
	const struct plan_cluster *c = a->c;

	if (c->wanted.deleting) {
		set_trouble(t, REASON_DELETING, NULL, -1, NULL);
		return true;
	}
	if (c->wanted.invalid) {
		set_trouble(t, REASON_SPEC_INVALID, NULL, -1, c->invalid_text);
		return true;
	}
	if (find_taken(a, t))
		return true;
	if (c->wanted.hibernated && (rest_has_no_pods(c) || !find_refused(c, t))) {
		find_hibernation(c, t);
		return true;
	}
	if (c->wanted.hibernated)
		return true;
	if (is_complete(c))
		return false;
	if (!find_refused(c, t) && !find_missing_primary(c, t) && !find_going_primary(c, t) &&
	    !find_pods_trouble(c, true, t))
		find_wait(c, t);
	return true;
}

/* Are objects being made or changed? */
static bool
is_making(const struct plan_at *a)
{
	for (unsigned child = CHILD_ANCHOR; child < CHILD_COUNT; child++) {
		unsigned n = child == CHILD_INSTANCE ? rule_instances(a->c) : 1;

		for (unsigned i = 0; i < n; i++) {
			enum plan_is is = rule_child_is(a, (enum child)child, i);

			if ((is == IS_MISSING && !rule_unwatched((enum child)child)) ||
			    is == IS_DIFFERENT)
				return true;
		}
	}
	return false;
}

/* It does not pass by itself. */
static bool
is_lasting(enum choice_reason r)
{
	return (status_failing(r) && r != REASON_CANNOT_FOLLOW && r != REASON_FOREIGN_DATA) ||
	       r == REASON_HIBERNATED || r == REASON_INSTANCES_FENCED;
}

static void
put_bad_window(const struct plan_at *a, struct plan_status *s)
{
	unsigned i = a->window.bad - 1u;

	put_text(s, CHOICE_condition_type_PROGRESSING, CHOICE_condition_status_FALSE,
	    REASON_WINDOW_INVALID,
	    "spec.maintenanceWindows[%u].timeZone: no time zone is called %s; until it is "
	    "corrected nothing is replaced or restarted for a change.",
	    i, a->c->windows->at[i].zone);
}

/* Pods are to be replaced, or servers restarted, for a change; false = none. */
static bool
put_change(const struct plan_at *a, struct plan_status *s)
{
	const struct plan_cluster *c = a->c;
	char names[TEXT_MAX - 40], wait[ROLL_WAIT_SIZE];
	const char *paused = roll_patroni_paused(c) ? " (Patroni is paused: resume it)" : "";

	roll_put_wait(a, wait);
	if (status_list(c, roll_is_changing, names, sizeof(names)) > 0)
		put_text(s, CHOICE_condition_type_PROGRESSING, CHOICE_condition_status_TRUE,
		    REASON_ROLLOUT_PENDING, "%solder than the spec: %s%s",
		    any(c, roll_outdated) ? wait : "", names, paused);
	else if (status_list(c, roll_is_restarting, names, sizeof(names)) > 0)
		put_text(s, CHOICE_condition_type_PROGRESSING, CHOICE_condition_status_TRUE,
		    REASON_RESTART_PENDING, "%sto be restarted for a parameter: %s%s", wait, names,
		    paused);
	else
		return false;
	return true;
}

/* While instances are replaced or restarted in turn. */
static bool
is_expected(const struct plan_at *a, enum choice_reason r)
{
	return (r == REASON_WAITING_FOR_INSTANCES || r == REASON_NO_PRIMARY) &&
	       status_is_rolling(a) && any(a->c, roll_is_due);
}

/* Would anything be done, if it were not paused? */
static bool
is_left_undone(const struct plan_at *a, const struct trouble *obstacle)
{
	const struct plan_cluster *c = a->c;

	return c->wanted.paused &&
	       ((obstacle != NULL && !is_lasting(obstacle->reason)) || is_making(a) ||
		   any(c, roll_is_changing) || any(c, roll_is_restarting));
}

static void
put_progressing(const struct plan_at *a, struct plan_status *s, const struct trouble *obstacle)
{
	const struct plan_cluster *c = a->c;
	struct trouble t;

	if (a->w->degraded)
		put(s, CHOICE_condition_type_PROGRESSING, CHOICE_condition_status_FALSE,
		    REASON_WORKER_DEGRADED, "");
	else if (find_refused(c, &t))
		put_trouble(
		    s, CHOICE_condition_type_PROGRESSING, CHOICE_condition_status_FALSE, &t);
	else if (is_left_undone(a, obstacle))
		put(s, CHOICE_condition_type_PROGRESSING, CHOICE_condition_status_FALSE,
		    REASON_PAUSED, "");
	else if (obstacle != NULL && is_expected(a, obstacle->reason) && put_change(a, s))
		return;
	else if (obstacle != NULL)
		put_trouble(s, CHOICE_condition_type_PROGRESSING,
		    is_lasting(obstacle->reason) ? CHOICE_condition_status_FALSE
						 : CHOICE_condition_status_TRUE,
		    obstacle);
	else if (is_making(a))
		put(s, CHOICE_condition_type_PROGRESSING, CHOICE_condition_status_TRUE,
		    REASON_CREATING, "");
	else if (a->window.bad != 0)
		put_bad_window(a, s);
	else if (!put_change(a, s))
		put(s, CHOICE_condition_type_PROGRESSING, CHOICE_condition_status_FALSE,
		    REASON_AS_WANTED, "");
}

static void
put_healthy(const struct plan_cluster *c, struct plan_status *s)
{
	unsigned n = rule_instances(c), streaming = 0, primary = find_primary(c);

	for (unsigned i = 0; i < n; i++)
		streaming += is_streaming(c, i);
	if (primary == n)
		put(s, CHOICE_condition_type_HEALTHY, CHOICE_condition_status_FALSE,
		    c->wanted.hibernated ? REASON_HIBERNATED : REASON_NO_PRIMARY, "");
	else if (streaming + 1 < n)
		put_text(s, CHOICE_condition_type_HEALTHY, CHOICE_condition_status_FALSE,
		    REASON_WAITING_FOR_INSTANCES, "%u of %u replicas stream.", streaming, n - 1);
	else
		put_text(s, CHOICE_condition_type_HEALTHY, CHOICE_condition_status_TRUE,
		    REASON_AS_WANTED, "%u of %u replicas stream.", streaming, n - 1);
}

/* What PostgreSQL or Patroni did not take of the configuration. */
static bool
find_config_trouble(const struct plan_cluster *c, struct trouble *t)
{
	for (unsigned i = 0; i < rule_instances(c); i++) {
		enum choice_reason r = c->instance[i].report.reason;

		if (!status_current(c, i) ||
		    (r != REASON_PARAMETER_REFUSED && r != REASON_PARAMETER_OWNED &&
			r != REASON_VARIABLE_OWNED))
			continue;
		set_trouble(t, r, c->name, (int)i, c->instance[i].report_text);
		return true;
	}
	return false;
}

static void
put_configuration(struct plan_at *a, struct plan_status *s)
{
	const struct plan_cluster *c = a->c;
	unsigned primary = find_primary(c);
	uint64_t applied =
	    primary < rule_instances(c) ? c->instance[primary].report.config_generation : 0;
	char names[TEXT_MAX - 40], wait[ROLL_WAIT_SIZE];
	struct trouble t;

	roll_put_wait(a, wait);
	if (find_config_trouble(c, &t))
		put_trouble(s, CHOICE_condition_type_CONFIGURATION_APPLIED,
		    CHOICE_condition_status_FALSE, &t);
	else if (c->wanted.hibernated)
		put_text(s, CHOICE_condition_type_CONFIGURATION_APPLIED,
		    CHOICE_condition_status_FALSE, REASON_HIBERNATED,
		    "What changes while the cluster is hibernated is applied when it wakes.");
	else if (applied == 0 || applied < c->config_generation)
		put_text(s, CHOICE_condition_type_CONFIGURATION_APPLIED,
		    CHOICE_condition_status_FALSE, REASON_CREATING,
		    "The configuration of this spec is not applied yet; wait.");
	else if (status_list(c, roll_awaits_restart, names, sizeof(names)) > 0)
		put_text(s, CHOICE_condition_type_CONFIGURATION_APPLIED,
		    CHOICE_condition_status_FALSE, REASON_RESTART_PENDING,
		    "%s%s parameter takes effect only after a restart of %s.", wait,
		    wait[0] != '\0' ? "a" : "A", names);
	else if (!roll_config_settled(a))
		put_text(s, CHOICE_condition_type_CONFIGURATION_APPLIED,
		    CHOICE_condition_status_FALSE, REASON_CREATING,
		    "It is written; Patroni takes it up on each instance within "
		    "spec.patroni.loopWait.");
	else
		put(s, CHOICE_condition_type_CONFIGURATION_APPLIED, CHOICE_condition_status_TRUE,
		    REASON_AS_WANTED, "");
}

static void
put_storage(const struct plan_cluster *c, struct plan_status *s)
{
	struct trouble t;

	if (storage_trouble(c, &t.reason, t.text, sizeof(t.text)))
		put_trouble(
		    s, CHOICE_condition_type_STORAGE_HEALTHY, CHOICE_condition_status_FALSE, &t);
	else
		put(s, CHOICE_condition_type_STORAGE_HEALTHY, CHOICE_condition_status_TRUE,
		    REASON_AS_WANTED, "");
}

static void
put_ready(const struct plan_cluster *c, struct plan_status *s, const struct trouble *obstacle)
{
	const char *phase =
	    obstacle != NULL ? reason_info[obstacle->reason].name : reason_info[REASON_READY].name;

	snprintf(s->phase, sizeof(s->phase), "%s", phase);
	if (obstacle != NULL)
		put_trouble(
		    s, CHOICE_condition_type_READY, CHOICE_condition_status_FALSE, obstacle);
	else
		put_text(s, CHOICE_condition_type_READY, CHOICE_condition_status_TRUE,
		    REASON_AS_WANTED, "%u of %u instances serve.", status_serving(c),
		    rule_instances(c));
}

/* One write, whatever the ending pods still report; another when it takes too long. */
static void
put_deletion(struct plan_at *a, struct plan_status *s, struct trouble *t)
{
	bool stalls;

	put_ready(a->c, s, t);
	stalls = delete_stalls(a, t->text, sizeof(t->text));
	if (stalls)
		t->reason = REASON_DELETION_STALLED;
	put_progressing(a, s, t);
	if (stalls)
		put_trouble(
		    s, CHOICE_condition_type_DELETION_BLOCKED, CHOICE_condition_status_TRUE, t);
}

void
status_make(struct plan_at *a, struct plan_status *out)
{
	const struct plan_cluster *c = a->c;
	unsigned primary = find_primary(c);
	struct trouble obstacle;
	bool stuck = find_obstacle(a, &obstacle);

	memset(out, 0, sizeof(*out));
	if (c->wanted.deleting && !c->wanted.paused) {
		put_deletion(a, out, &obstacle);
		return;
	}
	out->ready_instances = (uint8_t)status_serving(c);
	if (primary < rule_instances(c)) {
		snprintf(out->primary, sizeof(out->primary), "%s-%u", c->name, primary);
		a->primary = (uint8_t)(primary + 1);
	}
	put_ready(c, out, stuck ? &obstacle : NULL);
	put_progressing(a, out, stuck ? &obstacle : NULL);
	put_healthy(c, out);
	put_configuration(a, out);
	put_storage(c, out);
	if (c->wanted.blocked)
		put(out, CHOICE_condition_type_DELETION_BLOCKED, CHOICE_condition_status_TRUE,
		    REASON_DELETION_PROTECTED,
		    c->child[CHILD_STATEFULSET].present
			? ""
			: "Its deletion had begun; set spec.deletionProtection to false to let "
			  "it end. A BGCluster of the same name then continues with the data.");
	else if (c->wanted.deleting)
		put(out, CHOICE_condition_type_DELETION_BLOCKED, CHOICE_condition_status_TRUE,
		    REASON_PAUSED, "");
	if (c->wanted.paused)
		put(out, CHOICE_condition_type_PAUSED, CHOICE_condition_status_TRUE, REASON_PAUSED,
		    "");
	if (c->quarantined != 0 && c->quarantined == c->wanted.generation)
		put(out, CHOICE_condition_type_QUARANTINED, CHOICE_condition_status_TRUE,
		    REASON_QUARANTINED, "");
}

void
plan_status_refused(struct plan_status *out)
{
	memset(out, 0, sizeof(*out));
	snprintf(out->phase, sizeof(out->phase), "%s", reason_info[REASON_TOO_MANY_CLUSTERS].name);
	put(out, CHOICE_condition_type_READY, CHOICE_condition_status_FALSE,
	    REASON_TOO_MANY_CLUSTERS, "");
}

/* --- When it is written. */

/* Who has not seen all of a cluster has nothing to say of it. */
static bool
is_blind(const struct plan_at *a)
{
	for (unsigned child = 0; child < CHILD_COUNT; child++)
		if (!rule_unwatched((enum child)child) &&
		    (a->w->listed & 1u << child_info[child].kind) == 0)
			return true;
	return false;
}

/* What an earlier life said is overwritten only by one that has looked at everything. */
static enum verdict
look_before_saying(struct plan_at *a)
{
	bool left;
	enum verdict v;

	if (a->c->fresh || a->c->wanted.deleting || a->c->wanted.invalid || a->c->wanted.paused ||
	    a->c->quarantined == a->c->wanted.generation)
		return PASS;
	v = rule_verify(a, &left);
	if (v != STEP)
		v = rule_ask_volumes(a);
	return v == STEP ? v : rule_look_all(a);
}

enum verdict
rule_status(struct plan_at *a)
{
	const struct plan_cluster *c = a->c;
	struct plan_step *out = a->out;
	bool ready;

	if (is_blind(a))
		return PASS;
	status_make(a, &out->status);
	out->sent.key = plan_status_hash(&out->status, c->wanted.generation);
	ready = out->status.at[0].status == CHOICE_condition_status_TRUE;
	a->said = out->sent.key == c->wanted.status;
	if (a->said || rule_waits(a, &c->say))
		return PASS;
	if (out->sent.key == c->status_sent &&
	    rule_waits_until(a, (struct msec){c->status_at.v + STATUS_AGAIN_MS}))
		return PASS;
	if (look_before_saying(a) == STEP)
		return STEP;
	out->sent.key = plan_status_hash(&out->status, c->wanted.generation);
	out->sent.gist = status_gist(a, &out->status);
	if (rule_waits_until(a, status_due(a, ready)))
		return PASS;
	if (event_before_status(a) == STEP)
		return STEP;
	out->sent.ready = ready;
	return rule_step(a, CHOICE_verb_STATUS, CHILD_ANCHOR, 0, NULL);
}
