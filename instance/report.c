/*
 * From what init, pgctl and Patroni say to BGInstance.status, and when it is worth a write: in a
 * normal start once, when it serves, then on what matters to somebody. Pure; agent_api.c writes.
 */
#include "instance/instance.h"
#include "instance/view.h"

#define MIB (1LL << 20)

static void
trouble(struct report *out, enum choice_instance_state state, uint8_t reason, const char *text)
{
	out->state = (uint8_t)state;
	out->reason = reason;
	str_copy_text(out->message, sizeof(out->message),
	    str_of(text[0] != '\0' ? text : reason_info[reason].advice));
}

static uint8_t
lag_class(int64_t lag, int64_t max_lag)
{
	int64_t small = max_lag < 16 * MIB ? max_lag : 16 * MIB;

	if (lag < 0)
		return CHOICE_lag_class_UNKNOWN;
	if (lag <= MIB)
		return CHOICE_lag_class_NONE;
	return lag <= small ? CHOICE_lag_class_SMALL : CHOICE_lag_class_LARGE;
}

/* A replica that will not stream by itself. */
static void
make_cut_off(const struct report_input *in, struct report *out)
{
	trouble(out, out->state, REASON_CANNOT_FOLLOW,
	    in->cannot_follow == CHOICE_follow_DIVERGED
		? "It has rows that the primary has not, and pg_rewind did not help; its data is "
		  "cloned anew."
		: "The primary has no longer the WAL that it needs; its data is cloned anew.");
}

/* Named in full or not at all: a path cut short is another one. */
static void
make_kept(const struct report_input *in, struct report *out)
{
	char text[IPC_TEXT_MAX + 1];
	const char *wal = wal_mount();
	int n;

	n = snprintf(text, sizeof(text),
	    "Its former data is kept. Not needed? kubectl exec %.63s -- rm -r " PGDATA_MOUNT
	    "/%.63s",
	    in->pod, in->kept);
	if (wal != NULL && strncmp(in->kept, "data", 4) == 0 && n > 0 &&
	    snprintf(text + n, sizeof(text) - (size_t)n, " %s/pg_wal%.59s", wal, in->kept + 4) >=
		(int)sizeof(text) - n)
		text[n] = '\0';
	trouble(out, out->state, REASON_FOREIGN_DATA, text);
}

/* Patroni answers and PostgreSQL runs. */
static void
make_running(const struct report_input *in, struct report *out)
{
	const struct view *v = in->view;

	out->state = v->streaming ? CHOICE_instance_state_STREAMING : CHOICE_instance_state_RUNNING;
	out->role = v->primary ? CHOICE_instance_role_PRIMARY : CHOICE_instance_role_REPLICA;
	out->timeline = v->timeline;
	if (!v->primary && v->cluster_known)
		out->lag = lag_class(view_replay_lag(v), in->max_lag);
	out->pending_restart = v->pending_restart;
	out->restart_lowers = v->restart_lowers;
	out->patroni_paused = v->paused;
	out->pgdata_empty = false;
	out->bootstrapped = v->primary && in->bootstrapped;
	if (in->spec_reason != REASON_NONE)
		trouble(out, out->state, in->spec_reason, in->spec_text);
	else if (v->primary && in->bootstrap_reason != REASON_NONE)
		trouble(out, out->state, in->bootstrap_reason, in->bootstrap_text);
	else if (v->primary && in->sync_wanted && !v->has_sync)
		trouble(out, out->state, REASON_NO_SYNCHRONOUS_STANDBY, "");
	else if (!v->primary && in->cannot_follow == CHOICE_follow_FORKED)
		trouble(out, CHOICE_instance_state_RUNNING, REASON_HISTORY_FORKED, "");
	else if (!v->primary && !v->streaming && in->cannot_follow != CHOICE_follow_UNKNOWN)
		make_cut_off(in, out);
	else if (in->operation_phase == CHOICE_operation_phase_FAILED)
		trouble(out, out->state, REASON_OPERATION_FAILED, in->operation_message);
	else if (in->disk_reason == REASON_WAL_IN_PGDATA)
		trouble(out, out->state, in->disk_reason, in->disk_text);
	else if (in->kept != NULL && in->kept[0] != '\0')
		make_kept(in, out);
}

static bool
starts(const char *state)
{
	static const char *const failed[] = {
	    "stop failed", "crashed", "initdb failed", "custom bootstrap failed"};

	if (start_has_failed(state))
		return false;
	for (unsigned i = 0; i < sizeof(failed) / sizeof(failed[0]); i++)
		if (strcmp(state, failed[i]) == 0)
			return false;
	return true;
}

/* On the way to a rest that the operator wants, or there. */
static void
make_resting(const struct report_input *in, struct report *out)
{
	if (in->stopped)
		trouble(out, CHOICE_instance_state_STOPPED, REASON_RESTING, "");
	else if (in->detached)
		trouble(out, CHOICE_instance_state_DETACHED, REASON_RESTING, "");
	else
		out->state = CHOICE_instance_state_STOPPING;
	if (in->detached)
		out->role = CHOICE_instance_role_REPLICA;
}

/* Patroni would end again and again: where the data goes, and how to be rid of it. */
static void
make_foreign(const struct report_input *in, struct report *out)
{
	char text[IPC_TEXT_MAX + 1];

	(void)snprintf(text, sizeof(text),
	    "Foreign data (system %llu, the cluster's is %llu): while another leads, kept "
	    "as " PGDATA_MOUNT "/data.kept-%llu-* and cloned anew; rm -r it if not needed.",
	    (unsigned long long)in->system_identifier, (unsigned long long)in->cluster_identifier,
	    (unsigned long long)in->system_identifier);
	trouble(out, CHOICE_instance_state_FAILED, REASON_FOREIGN_DATA, text);
}

/* What fills an empty PGDATA else is an initdb. */
static bool
is_cloned_in_vain(const struct report_input *in)
{
	return in->clone_fails || (in->clone_stalls && in->view->known &&
				      strcmp(in->view->state, "creating replica") == 0);
}

/* A base backup, or another method of the user's, that does not come to its end. */
static void
make_stalled(const struct report_input *in, struct report *out)
{
	char text[IPC_TEXT_MAX + 1];

	if (!in->clone_stalls)
		(void)snprintf(text, sizeof(text),
		    "Its clone has failed again and again; kubectl logs %.63s says why.", in->pod);
	else
		(void)snprintf(text, sizeof(text),
		    "Its clone gets nothing: look at the network and the primary (I/O, log). %s",
		    in->clone_kills >= CLONE_KILLS_MAX
			? "It was begun anew in vain; then delete the pod."
			: "If that lasts, it is begun anew.");
	trouble(out, CHOICE_instance_state_STARTING, REASON_CLONE_STALLED, text);
}

/* Its data is there, and its server is not. What that says goes to the log only. */
static void
make_not_started(const struct report_input *in, struct report *out)
{
	char text[IPC_TEXT_MAX + 1];
	bool failed = in->start_reason == REASON_START_FAILED;

	(void)snprintf(text, sizeof(text),
	    failed ? "PostgreSQL does not start; kubectl logs %.63s says why. Correct that, or "
		     "take back the last change of spec.postgres.parameters."
		   : "PostgreSQL has not come up for two minutes; kubectl logs %.63s says whether "
		     "it recovers, which takes its time, or what else it waits for.",
	    in->pod);
	trouble(out, failed ? CHOICE_instance_state_FAILED : CHOICE_instance_state_STARTING,
	    in->start_reason, text);
}

/* Not serving: what is in its way, the first thing first. */
static void
make_waiting(const struct report_input *in, struct report *out)
{
	char text[IPC_TEXT_MAX + 1];

	if (!in->locked)
		trouble(out, CHOICE_instance_state_WAITING_FOR_LOCK, REASON_WAITING_FOR_LOCK,
		    in->init_text);
	else if (in->stopping && !in->patroni_running)
		out->state = CHOICE_instance_state_STOPPED;
	else if (in->resting)
		make_resting(in, out);
	else if (in->disk_reason != REASON_NONE && in->disk_reason != REASON_WAL_IN_PGDATA)
		trouble(out, CHOICE_instance_state_FAILED, in->disk_reason, in->disk_text);
	else if (in->spec_reason != REASON_NONE && !in->patroni_running)
		trouble(out, CHOICE_instance_state_FAILED, in->spec_reason, in->spec_text);
	else if (in->held && !in->patroni_running)
		trouble(out, CHOICE_instance_state_HELD, REASON_HELD, "");
	else if (is_cloned_in_vain(in))
		make_stalled(in, out);
	else if (in->reinitialising)
		trouble(out, CHOICE_instance_state_STARTING, REASON_REINITIALISING, "");
	else if (in->foreign)
		make_foreign(in, out);
	else if (in->view->known && in->start_reason != REASON_NONE)
		make_not_started(in, out);
	else if (in->view->known && !starts(in->view->state)) {
		(void)snprintf(text, sizeof(text), "PostgreSQL: %s; see its log", in->view->state);
		trouble(out, CHOICE_instance_state_FAILED, REASON_PATRONI_EXITED, text);
	} else if (!in->view->known && in->patroni_exits > 0)
		trouble(out, CHOICE_instance_state_FAILED, REASON_PATRONI_EXITED, in->init_text);
	else if (in->fences > 0 && !in->view->known)
		trouble(out, CHOICE_instance_state_FENCED, REASON_FENCED, "");
	else
		out->state = CHOICE_instance_state_STARTING;
}

/*
 * On adopted data, until PostgreSQL runs: as what it stopped. The operator starts the last primary
 * first.
 */
static void
make_adopting(const struct report_input *in, struct report *out)
{
	out->timeline = in->disk_timeline;
	if (in->was_primary)
		out->role = CHOICE_instance_role_PRIMARY;
}

static void
make_tasks(const struct report_input *in, struct report *out)
{
	out->task_slots = TASKS_MAX;
	for (unsigned slot = 0; slot < TASKS_MAX; slot++) {
		struct report_task *t = &out->task[slot];

		if (in->task[slot].id == NULL)
			continue;
		(void)snprintf(t->id, sizeof(t->id), "%s", in->task[slot].id);
		t->state = *in->task[slot].state;
	}
}

void
report_make(const struct report_input *in, struct report *out)
{
	const struct view *v = in->view;
	uint64_t id = v->system_identifier != 0 ? v->system_identifier : in->system_identifier;

	memset(out, 0, sizeof(*out));
	(void)snprintf(out->pod_uid, sizeof(out->pod_uid), "%s", in->pod_uid);
	if (!in->pod_known || (in->locked && !in->disk_known))
		return; /* state UNKNOWN: nothing to say yet */
	out->certain = v->known;
	(void)snprintf(out->pod_inputs, sizeof(out->pod_inputs), "%s", in->pod_inputs);
	(void)snprintf(out->operation_id, sizeof(out->operation_id), "%s", in->operation_id);
	str_copy_text(
	    out->operation_message, sizeof(out->operation_message), str_of(in->operation_message));
	out->operation_phase = in->operation_phase;
	out->outage_ms = in->outage_ms;
	make_tasks(in, out);
	if (id != 0)
		(void)snprintf(out->system_identifier, sizeof(out->system_identifier), "%llu",
		    (unsigned long long)id);
	(void)snprintf(
	    out->postgres_version, sizeof(out->postgres_version), "%s", in->postgres_version);
	(void)snprintf(
	    out->patroni_version, sizeof(out->patroni_version), "%s", v->patroni_version);
	(void)snprintf(out->bin_dir, sizeof(out->bin_dir), "%s", in->bin_dir);
	if (!uid_none(&in->anchor))
		uid_format(out->anchor_uid, &in->anchor);
	out->pgdata_empty = in->locked && in->pgdata_empty;
	if (in->locked)
		out->disk = in->space;
	out->config_generation = in->config_generation;
	if (in->locked && v->known && v->running)
		make_running(in, out);
	else {
		make_waiting(in, out);
		if (in->locked && in->adopting && !in->detached && !in->foreign)
			make_adopting(in, out);
	}
}

bool
report_serves(const struct report *r)
{
	if (r->role == CHOICE_instance_role_PRIMARY)
		return r->state == CHOICE_instance_state_RUNNING && r->bootstrapped &&
		       r->reason != REASON_NO_SYNCHRONOUS_STANDBY;
	return r->state == CHOICE_instance_state_STREAMING;
}

static bool
facts_differ(const struct report *a, const struct report *b)
{
	return strcmp(a->system_identifier, b->system_identifier) != 0 ||
	       strcmp(a->pod_inputs, b->pod_inputs) != 0 || a->task_slots != b->task_slots ||
	       strcmp(a->postgres_version, b->postgres_version) != 0 ||
	       strcmp(a->patroni_version, b->patroni_version) != 0 ||
	       strcmp(a->bin_dir, b->bin_dir) != 0 || strcmp(a->anchor_uid, b->anchor_uid) != 0 ||
	       a->timeline != b->timeline || a->lag != b->lag ||
	       a->pending_restart != b->pending_restart || a->restart_lowers != b->restart_lowers ||
	       a->patroni_paused != b->patroni_paused || a->pgdata_empty != b->pgdata_empty ||
	       a->bootstrapped != b->bootstrapped ||
	       /* Of a replica nobody asks for it: it goes along with what else there is to say. */
	       (b->role == CHOICE_instance_role_PRIMARY &&
		   a->config_generation != b->config_generation);
}

static bool
operation_differs(const struct report *a, const struct report *b)
{
	return strcmp(a->operation_id, b->operation_id) != 0 ||
	       a->operation_phase != b->operation_phase ||
	       strcmp(a->operation_message, b->operation_message) != 0 ||
	       a->outage_ms != b->outage_ms;
}

/* Where one stands, which is written at once; how far it is may wait. */
static bool
task_turned(const struct report_task *a, const struct report_task *b)
{
	return strcmp(a->id, b->id) != 0 || a->state.attempt != b->state.attempt ||
	       a->state.phase != b->state.phase;
}

static bool
task_differs(const struct report_task *a, const struct report_task *b)
{
	const struct msg_task_state *x = &a->state, *y = &b->state;

	return task_turned(a, b) || x->percent != y->percent || strcmp(x->step, y->step) != 0 ||
	       strcmp(x->message, y->message) != 0 || strcmp(x->output, y->output) != 0 ||
	       x->pages != y->pages || x->tuples != y->tuples || x->size_before != y->size_before ||
	       x->size_after != y->size_after || strcmp(x->tps, y->tps) != 0 ||
	       strcmp(x->latency_avg, y->latency_avg) != 0 ||
	       strcmp(x->latency_stddev, y->latency_stddev) != 0 ||
	       strcmp(x->latency_p50, y->latency_p50) != 0 ||
	       strcmp(x->latency_p95, y->latency_p95) != 0 ||
	       strcmp(x->latency_p99, y->latency_p99) != 0;
}

static bool
any_task(const struct report *a, const struct report *b,
    bool (*is_so)(const struct report_task *, const struct report_task *))
{
	for (unsigned slot = 0; slot < TASKS_MAX; slot++)
		if (is_so(&a->task[slot], &b->task[slot]))
			return true;
	return false;
}

bool
report_differs(const struct report *stored, const struct report *now)
{
	if (now->state == CHOICE_instance_state_UNKNOWN)
		return false;
	if (strcmp(stored->pod_uid, now->pod_uid) != 0 || stored->state != now->state ||
	    stored->role != now->role || stored->disk != now->disk ||
	    stored->reason != now->reason || strcmp(stored->message, now->message) != 0 ||
	    operation_differs(stored, now) || any_task(stored, now, task_differs))
		return true;
	return now->state != CHOICE_instance_state_STARTING && facts_differ(stored, now);
}

/* Reasons that come and go by themselves within seconds. */
static bool
fleeting(uint8_t reason)
{
	return reason == REASON_NONE || reason == REASON_PATRONI_EXITED ||
	       reason == REASON_NO_SYNCHRONOUS_STANDBY || reason == REASON_BOOTSTRAP_SQL_FAILED;
}

static bool
starts_to_lead(const struct report *stored, const struct report *now)
{
	return stored->role == CHOICE_instance_role_REPLICA &&
	       now->role == CHOICE_instance_role_PRIMARY;
}

/* It takes no reads from now on: its label goes at once (reads.c), and this says why. */
static bool
falls_behind(const struct report *stored, const struct report *now)
{
	return now->state == CHOICE_instance_state_STREAMING && report_serves(stored) &&
	       stored->lag != CHOICE_lag_class_LARGE && now->lag == CHOICE_lag_class_LARGE;
}

bool
report_urgent(const struct report *stored, const struct report *now)
{
	bool other = strcmp(stored->pod_uid, now->pod_uid) != 0;
	/* What another pod was told and did is history. */
	bool told = operation_differs(stored, now) && (!other || now->operation_id[0] != '\0');

	if (other && (now->state == CHOICE_instance_state_WAITING_FOR_LOCK ||
			 now->state == CHOICE_instance_state_UNKNOWN))
		return false;
	if ((told && now->operation_phase != CHOICE_operation_phase_SUCCEEDED) ||
	    any_task(stored, now, task_turned) || now->disk > stored->disk ||
	    (now->reason == REASON_RESTING && now->state != stored->state) ||
	    (!other && falls_behind(stored, now)))
		return true;
	if (stored->role == CHOICE_instance_role_PRIMARY &&
	    now->role != CHOICE_instance_role_PRIMARY && now->certain && !told)
		return true;
	if (!fleeting(now->reason) &&
	    (other || stored->reason != now->reason || strcmp(stored->message, now->message) != 0))
		return true;
	if (!report_serves(now) ||
	    (!other && !told && report_serves(stored) && !starts_to_lead(stored, now)))
		return false;
	/* it serves now, again: with all that is about to be known, so that it is one write */
	return now->config_generation != 0 && !(told && now->pending_restart) &&
	       (now->role == CHOICE_instance_role_PRIMARY ||
		   (now->lag == CHOICE_lag_class_NONE && now->timeline != 0));
}

void
report_age(
    struct report_age *age, const struct report *stored, const struct report *now, struct msec t)
{
	bool leads = starts_to_lead(stored, now);

	if (!report_differs(stored, now))
		age->since.v = 0;
	else if (age->since.v == 0 || (leads && !age->leads))
		age->since = t;
	age->leads = leads;
}

int64_t
report_damp_ms(const struct report *stored, const struct report *now)
{
	if (report_urgent(stored, now))
		return 0;
	if (starts_to_lead(stored, now))
		return REPORT_LEADS_MS;
	/* Its primary restarts, or is another one: mostly it follows again in a moment. */
	if (stored->state == CHOICE_instance_state_STREAMING &&
	    now->state == CHOICE_instance_state_RUNNING &&
	    now->role == CHOICE_instance_role_REPLICA)
		return REPORT_LOST_MS;
	if (strcmp(stored->pod_uid, now->pod_uid) != 0) {
		if (now->state == CHOICE_instance_state_STARTING)
			return REPORT_START_MS;
		if (now->state == CHOICE_instance_state_WAITING_FOR_LOCK)
			return REPORT_LOCK_MS;
	}
	return REPORT_DAMP_MS;
}
