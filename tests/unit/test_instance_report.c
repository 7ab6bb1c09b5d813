/*
 * What an instance reports, and when: one write in a normal start, at once what matters, late what
 * passes.
 */
#include "instance/instance.h"
#include "instance/view.h"
#include "tests/unit/tap.h"

static struct view v;
static struct report_input in;
static struct report r, stored;

static void
begin(void)
{
	view_silent(&v);
	memset(&stored, 0, sizeof(stored));
	in = (struct report_input){.pod_uid = "0f8fad5b-d9cb-469f-a165-70867728950e",
	    .view = &v,
	    .pod_known = true,
	    .locked = true,
	    .disk_known = true,
	    .pgdata_empty = true,
	    .pod_inputs = "",
	    .operation_id = "",
	    .operation_message = "",
	    .init_text = "",
	    .postgres_version = "17.2",
	    .bin_dir = "/usr/lib/postgresql/17/bin",
	    .disk_text = "",
	    .spec_text = "",
	    .bootstrap_text = "",
	    .max_lag = 1048576,
	    .config_generation = 1};
}

/* Another pod, of which stored knows nothing. */
static void
begin_again(const char *pod)
{
	struct report last = stored;

	begin();
	stored = last;
	in.pod_uid = pod;
}

static bool
writes(void)
{
	report_make(&in, &r);
	return report_differs(&stored, &r);
}

static bool
at_once(void)
{
	return writes() && report_urgent(&stored, &r);
}

static void
runs(bool primary)
{
	in.patroni_running = true;
	v.known = v.running = v.cluster_known = v.has_leader = true;
	v.primary = v.leads = primary;
	v.timeline = v.leader_timeline = 1;
	v.system_identifier = 42;
	(void)snprintf(v.state, sizeof(v.state), "running");
}

static void
test_primary(void)
{
	begin();
	in.disk_known = false;
	CHECK(!writes(), "before the disk was looked at there is nothing to say");
	in.disk_known = true;
	CHECK(writes() && report_damp_ms(&stored, &r) == REPORT_START_MS &&
		  r.state == CHOICE_instance_state_STARTING && r.pgdata_empty,
	    "the first word waits: it may serve by then");
	stored = r;
	v.known = true;
	v.system_identifier = 42;
	(void)snprintf(v.state, sizeof(v.state), "initializing new cluster");
	CHECK(!writes(), "while it starts, nothing is written");
	runs(true);
	CHECK(writes() && !at_once() && r.role == CHOICE_instance_role_PRIMARY && !r.bootstrapped,
	    "not bootstrapped: not yet");
	in.bootstrapped = true;
	in.config_generation = 0;
	CHECK(!at_once(), "its configuration is about to be applied: not yet");
	in.config_generation = 1;
	CHECK(at_once() && report_serves(&r) && !r.pgdata_empty &&
		  strcmp(r.system_identifier, "42") == 0,
	    "what it serves as is the next");
	stored = r;
	CHECK(!writes(), "and silence");
	in.config_generation = 2;
	CHECK(writes(), "a configuration that was applied is told");
}

/* A pod that takes the place of another one: what that said last is stored. */
static void
test_next_pod(void)
{
	begin();
	runs(false);
	v.streaming = v.near = true;
	in.operation_id = "x";
	in.operation_phase = CHOICE_operation_phase_SUCCEEDED;
	(void)writes();
	stored = r;
	begin_again("7d444840-9dc0-41d1-b245-5ffdce74fad2");
	CHECK(
	    writes() && report_damp_ms(&stored, &r) == REPORT_START_MS, "that it starts can wait");
	runs(false);
	CHECK(report_damp_ms(&stored, &r) > 0, "so can what is not streaming yet");
	v.streaming = v.near = true;
	CHECK(at_once(), "that it serves is its first word, and told at once");
	stored = r;
	CHECK(!writes(), "once");
	in.config_generation = 2;
	CHECK(!writes(), "of a replica's configuration nobody asks");
	v.timeline = v.leader_timeline = 2;
	CHECK(writes() && r.config_generation == 2, "but it goes along");
	begin_again("0b5f3bd2-8c4e-4f0e-9d43-6b7d0a3c51e7");
	in.disk_reason = REASON_POSTGRES_MISSING;
	CHECK(at_once() && r.state == CHOICE_instance_state_FAILED,
	    "what is in its way is told at once");
}

static void
test_replica(void)
{
	begin();
	(void)writes();
	stored = r;
	runs(false);
	CHECK(writes() && !at_once() && r.state == CHOICE_instance_state_RUNNING,
	    "running, not streaming: later");
	v.streaming = true;
	v.lag = 5000000;
	CHECK(!at_once() && r.lag == CHOICE_lag_class_LARGE && report_serves(&r),
	    "streaming but far behind: later");
	v.near = true;
	CHECK(at_once() && r.lag == CHOICE_lag_class_NONE &&
		  r.state == CHOICE_instance_state_STREAMING,
	    "near: at once");
	stored = r;
	v.streaming = v.near = false;
	CHECK(writes() && report_damp_ms(&stored, &r) == REPORT_LOST_MS,
	    "who loses its stream has the time to find it again");
	v.streaming = v.near = true;
	v.near = false;
	v.lag = 18 << 20;
	CHECK(at_once() && r.lag == CHOICE_lag_class_LARGE &&
		  r.state == CHOICE_instance_state_STREAMING,
	    "who falls behind says so at once");
	stored = r;
	v.lag = 0;
	v.near = true;
	CHECK(writes() && !at_once(), "that it has caught up can wait");
	(void)writes();
	stored = r;
	in.spec_reason = REASON_PARAMETER_REFUSED;
	in.spec_text = "work_mem: no";
	CHECK(at_once() && r.state == CHOICE_instance_state_STREAMING &&
		  strcmp(r.message, "work_mem: no") == 0,
	    "a refused parameter does not stop it, but is said at once");
	stored = r;
	in.spec_text = "jit: no";
	CHECK(at_once(), "another one is said at once too");
}

static void
test_roles(void)
{
	begin();
	runs(true);
	in.bootstrapped = true;
	(void)writes();
	stored = r;
	in.patroni_exits = 1;
	view_silent(&v);
	CHECK(writes() && !at_once() && r.role == CHOICE_instance_role_NONE,
	    "Patroni's silence is no change of role: later");
	v.known = true;
	(void)snprintf(v.state, sizeof(v.state), "stopping");
	CHECK(at_once(), "but its word is");
	runs(false);
	CHECK(at_once() && r.role == CHOICE_instance_role_REPLICA && !r.bootstrapped,
	    "a demotion is told at once");
	stored = r;
	runs(true);
	CHECK(at_once() && r.role == CHOICE_instance_role_PRIMARY, "a promotion too");
	in.bootstrapped = false;
	CHECK(!at_once() && report_damp_ms(&stored, &r) == REPORT_LEADS_MS,
	    "where something is missing a moment is waited, so that it is one write");
}

static void
test_age(void)
{
	struct report_age age = {.leads = false};

	begin();
	runs(false);
	v.streaming = true;
	report_make(&in, &stored);
	r = stored;
	report_age(&age, &stored, &r, (struct msec){100});
	CHECK(age.since.v == 0, "nothing differs");
	v.streaming = false;
	report_make(&in, &r);
	report_age(&age, &stored, &r, (struct msec){200});
	report_age(&age, &stored, &r, (struct msec){300});
	CHECK(age.since.v == 200, "since its stream broke off");
	runs(true);
	report_make(&in, &r);
	report_age(&age, &stored, &r, (struct msec){3000});
	report_age(&age, &stored, &r, (struct msec){3500});
	CHECK(age.since.v == 3000, "one that comes to lead has its time from then on");
	stored = r;
	report_age(&age, &stored, &r, (struct msec){4000});
	CHECK(age.since.v == 0, "until that is written");
}

/* What the operator told this pod to do. */
static void
test_operation(void)
{
	begin();
	runs(false);
	v.streaming = v.near = v.pending_restart = true;
	(void)writes();
	stored = r;
	in.operation_id = "x";
	in.operation_phase = CHOICE_operation_phase_RUNNING;
	CHECK(at_once(), "that it begins, where that is to be noted first");
	in.operation_phase = CHOICE_operation_phase_SUCCEEDED;
	v.streaming = v.near = false;
	CHECK(writes() && !at_once(), "that it has ended waits until the server serves again");
	v.streaming = v.near = true;
	CHECK(!at_once(), "and is rid of what it was restarted for");
	v.pending_restart = false;
	CHECK(at_once() && !r.pending_restart, "and is one write with that");
	stored = r;
	CHECK(!writes(), "once");
	runs(true);
	in.bootstrapped = true;
	(void)writes();
	stored = r;
	in.operation_id = "y";
	v.running = v.streaming = false;
	CHECK(writes() && !at_once() && r.role == CHOICE_instance_role_NONE,
	    "who has handed over as he was told says so when he follows, or a little later");
	runs(false);
	v.streaming = v.near = true;
	CHECK(at_once() && r.role == CHOICE_instance_role_REPLICA, "in one write");
	in.operation_phase = CHOICE_operation_phase_FAILED;
	in.operation_message = "refused";
	v.streaming = false;
	CHECK(at_once() && r.reason == REASON_OPERATION_FAILED, "that it failed waits for nothing");
}

static void
test_rest(void)
{
	begin();
	in.resting = true;
	report_make(&in, &r);
	CHECK(r.state == CHOICE_instance_state_STOPPING && r.reason == REASON_NONE,
	    "on the way to a rest");
	in.detached = true;
	report_make(&in, &r);
	CHECK(r.state == CHOICE_instance_state_DETACHED && r.reason == REASON_RESTING &&
		  r.role == CHOICE_instance_role_REPLICA,
	    "a replica without Patroni");
	stored = r;
	in.detached = false;
	in.stopped = in.adopting = in.was_primary = true;
	in.disk_timeline = 7;
	report_make(&in, &r);
	CHECK(r.state == CHOICE_instance_state_STOPPED && r.reason == REASON_RESTING &&
		  r.role == CHOICE_instance_role_PRIMARY && r.timeline == 7,
	    "at rest, it says as what it stopped");
	CHECK(report_differs(&stored, &r) && report_urgent(&stored, &r),
	    "which the operator waits for");
}

static void
test_trouble(void)
{
	begin();
	in.locked = false;
	in.init_text = "another container holds the volume's lock";
	CHECK(writes() && !at_once() && r.reason == REASON_WAITING_FOR_LOCK &&
		  strcmp(r.message, in.init_text) == 0,
	    "a lock that is not free yet: after a while");
	begin();
	in.held = true;
	CHECK(at_once() && r.state == CHOICE_instance_state_HELD && r.reason == REASON_HELD &&
		  r.message[0] != '\0',
	    "held");
	in.disk_reason = REASON_PATRONI_MISSING;
	CHECK(at_once() && r.state == CHOICE_instance_state_FAILED &&
		  r.reason == REASON_PATRONI_MISSING && r.message[0] != '\0',
	    "an image without Patroni comes before that");
	stored = r;
	in.disk_reason = REASON_NONE;
	in.held = false;
	CHECK(writes(), "taken back");
	begin();
	in.fences = 1;
	CHECK(at_once() && r.state == CHOICE_instance_state_FENCED && r.reason == REASON_FENCED,
	    "after the fence fell");
	begin();
	in.spec_reason = REASON_PARAMETER_REFUSED;
	in.spec_text = "x";
	CHECK(at_once() && r.state == CHOICE_instance_state_FAILED,
	    "a bad parameter before the first start");
	begin();
	in.patroni_running = true;
	v.known = true;
	(void)snprintf(v.state, sizeof(v.state), "start failed");
	report_make(&in, &r);
	CHECK(r.state == CHOICE_instance_state_FAILED && strstr(r.message, "start failed") != NULL,
	    "PostgreSQL does not start");
	begin();
	in.stopping = true;
	report_make(&in, &r);
	CHECK(r.state == CHOICE_instance_state_STOPPED, "stopped");
	begin();
	runs(true);
	in.bootstrap_reason = REASON_BOOTSTRAP_SQL_FAILED;
	in.bootstrap_text = "syntax error";
	report_make(&in, &r);
	CHECK(r.reason == REASON_BOOTSTRAP_SQL_FAILED && !report_serves(&r) &&
		  strcmp(r.message, "syntax error") == 0,
	    "postInitSQL failed");
}

static void
test_disk(void)
{
	begin();
	in.space = CHOICE_disk_class_LOW;
	in.disk_known = false;
	CHECK(!writes(), "before the disk was looked at nothing is said of it");
	begin();
	(void)writes();
	stored = r;
	in.patroni_running = true;
	in.space = CHOICE_disk_class_LOW;
	CHECK(at_once() && r.state == CHOICE_instance_state_STARTING &&
		  r.disk == CHOICE_disk_class_LOW,
	    "a volume that fills is told at once, even while the instance starts");
	stored = r;
	CHECK(!writes(), "and once");
	in.space = CHOICE_disk_class_FULL;
	CHECK(at_once(), "worse at once too");
	stored = r;
	in.space = CHOICE_disk_class_NONE;
	CHECK(writes() && !at_once(), "better after a while");
	in.space = CHOICE_disk_class_FULL;
	in.locked = false;
	(void)writes();
	CHECK(r.disk == CHOICE_disk_class_NONE, "a volume that another container has is not ours");
	begin();
	in.disk_reason = REASON_WAL_IN_PGDATA;
	in.disk_text = "in PGDATA";
	in.patroni_running = true;
	(void)writes();
	CHECK(r.state == CHOICE_instance_state_STARTING && r.reason == REASON_NONE,
	    "WAL in PGDATA keeps nothing from starting");
	runs(true);
	(void)writes();
	CHECK(r.role == CHOICE_instance_role_PRIMARY && r.reason == REASON_WAL_IN_PGDATA &&
		  strcmp(r.message, "in PGDATA") == 0,
	    "and is told by a server that runs");
}

static void
test_lag(void)
{
	static const struct {
		int64_t lag, max;
		uint8_t wanted;
	} rows[] = {
	    {-1, 1 << 20, CHOICE_lag_class_UNKNOWN},
	    {0, 1 << 20, CHOICE_lag_class_NONE},
	    {1 << 20, 0, CHOICE_lag_class_NONE},
	    {(1 << 20) + 1, 1 << 20, CHOICE_lag_class_LARGE},
	    {(1 << 20) + 1, 8 << 20, CHOICE_lag_class_SMALL},
	    {16 << 20, 1LL << 40, CHOICE_lag_class_SMALL},
	    {(16 << 20) + 1, 1LL << 40, CHOICE_lag_class_LARGE},
	};
	bool all = true;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		begin();
		runs(false);
		v.streaming = true;
		v.lag = rows[i].lag;
		in.max_lag = rows[i].max;
		report_make(&in, &r);
		all = all && r.lag == rows[i].wanted;
	}
	CHECK(all, "lag classes at their bounds");
	v.lag = 0;
	v.received = 3 << 20;
	v.replayed = 1 << 20;
	in.max_lag = 1 << 20;
	report_make(&in, &r);
	CHECK(r.lag == CHOICE_lag_class_LARGE, "what was received and not replayed is lag");
}

static void
test_not_started(void)
{
	begin();
	runs(true);
	in.bootstrapped = true;
	(void)writes();
	stored = r;
	v.running = v.primary = false;
	(void)snprintf(v.state, sizeof(v.state), "restart failed (start failed)");
	report_make(&in, &r);
	CHECK(r.state == CHOICE_instance_state_FAILED && r.reason == REASON_PATRONI_EXITED,
	    "a restart that failed, in Patroni's words");
	in.start_reason = REASON_START_FAILED;
	in.pod = "demo-0";
	CHECK(at_once() && r.state == CHOICE_instance_state_FAILED &&
		  r.reason == REASON_START_FAILED && strstr(r.message, "kubectl logs demo-0"),
	    "that lasts: what to look at");
	stored = r;
	(void)snprintf(v.state, sizeof(v.state), "starting");
	CHECK(!writes(), "the next attempt changes nothing");
	in.start_reason = REASON_STARTS_LONG;
	CHECK(at_once() && r.state == CHOICE_instance_state_STARTING, "one that hangs");
	runs(true);
	CHECK(at_once() && r.reason == REASON_NONE, "until it runs");
}

static void
test_adopting(void)
{
	begin();
	in.held = in.adopting = in.was_primary = true;
	in.pgdata_empty = false;
	in.disk_timeline = 4;
	CHECK(at_once() && r.state == CHOICE_instance_state_HELD &&
		  r.role == CHOICE_instance_role_PRIMARY && r.timeline == 4,
	    "a held one says as what it stopped");
	stored = r;
	in.held = false;
	in.patroni_running = true;
	report_make(&in, &r);
	CHECK(r.state == CHOICE_instance_state_STARTING && r.role == CHOICE_instance_role_PRIMARY,
	    "and while it starts");
	runs(false);
	CHECK(at_once() && r.role == CHOICE_instance_role_REPLICA && r.timeline == 1,
	    "what runs says what it is");
	begin();
	in.was_primary = true;
	in.disk_timeline = 4;
	report_make(&in, &r);
	CHECK(r.role == CHOICE_instance_role_NONE && r.timeline == 0,
	    "one that starts again was not adopted: what it was does not count");
	in.adopting = true;
	in.locked = false;
	report_make(&in, &r);
	CHECK(r.role == CHOICE_instance_role_NONE, "nor without the lock");
}

static void
test_cut_off(void)
{
	begin();
	runs(false);
	in.cannot_follow = CHOICE_follow_WAL_GONE;
	CHECK(writes() && r.reason == REASON_CANNOT_FOLLOW &&
		  r.state == CHOICE_instance_state_RUNNING && strstr(r.message, "WAL") != NULL,
	    "a replica that can not follow says why");
	CHECK(report_urgent(&stored, &r), "at once: it has lasted already");
	in.cannot_follow = CHOICE_follow_DIVERGED;
	report_make(&in, &r);
	CHECK(strstr(r.message, "pg_rewind") != NULL, "and why else");
	v.streaming = true;
	report_make(&in, &r);
	CHECK(r.reason == REASON_NONE, "not once it streams");
	in.cannot_follow = CHOICE_follow_FORKED;
	report_make(&in, &r);
	CHECK(r.reason == REASON_HISTORY_FORKED && r.state == CHOICE_instance_state_RUNNING,
	    "what it is sent of another history makes it no replica that serves");
	begin();
	in.reinitialising = in.patroni_running = true;
	v.known = true;
	(void)snprintf(v.state, sizeof(v.state), "creating replica");
	report_make(&in, &r);
	CHECK(r.reason == REASON_REINITIALISING && r.state == CHOICE_instance_state_STARTING,
	    "that it is cloned anew is said");
	in.pod = "demo-1";
	in.clone_stalls = true;
	CHECK(writes() && r.reason == REASON_CLONE_STALLED &&
		  r.state == CHOICE_instance_state_STARTING && strstr(r.message, "anew") != NULL &&
		  report_urgent(&stored, &r),
	    "and that it gets nothing");
	(void)snprintf(v.state, sizeof(v.state), "initializing new cluster");
	report_make(&in, &r);
	CHECK(r.reason != REASON_CLONE_STALLED, "an initdb is no clone");
	(void)snprintf(v.state, sizeof(v.state), "creating replica");
	in.clone_kills = CLONE_KILLS_MAX;
	report_make(&in, &r);
	CHECK(strstr(r.message, "in vain") != NULL, "also when it was begun anew");
	in.clone_stalls = in.reinitialising = false;
	in.clone_fails = true;
	report_make(&in, &r);
	CHECK(r.reason == REASON_CLONE_STALLED && strstr(r.message, "failed") != NULL,
	    "or fails again and again");
	runs(false);
	report_make(&in, &r);
	CHECK(r.reason == REASON_NONE, "not once a server runs");
}

static void
test_foreign(void)
{
	begin();
	in.foreign = true;
	in.pgdata_empty = false;
	in.patroni_exits = 3;
	in.system_identifier = UINT64_MAX;
	in.cluster_identifier = UINT64_MAX - 1;
	in.adopting = in.was_primary = true;
	in.disk_timeline = 9;
	CHECK(at_once() && r.reason == REASON_FOREIGN_DATA &&
		  r.state == CHOICE_instance_state_FAILED &&
		  strstr(r.message, "/pgdata/data.kept-18446744073709551615-") != NULL &&
		  strstr(r.message, "18446744073709551614") != NULL,
	    "another cluster's data: whose, where it goes, how to be rid of it");
	CHECK(strcmp(r.message + strlen(r.message) - 14, "if not needed.") == 0, "in full");
	CHECK(r.role == CHOICE_instance_role_NONE && r.timeline == 0,
	    "what that was does not count here");
	begin();
	runs(false);
	v.streaming = true;
	in.pod = "demo-1";
	in.kept = "data.kept-42-1";
	report_make(&in, &r);
	CHECK(r.reason == REASON_FOREIGN_DATA && report_serves(&r) &&
		  strstr(r.message, "kubectl exec demo-1 -- rm -r /pgdata/data.kept-42-1") != NULL,
	    "what is kept is named until it is deleted");
	(void)setenv("BESTGRES_WAL", "1", 1);
	report_make(&in, &r);
	CHECK(strstr(r.message, "/pgdata/data.kept-42-1 /pgwal/pg_wal.kept-42-1") != NULL,
	    "with its WAL in a volume of its own");
	(void)unsetenv("BESTGRES_WAL");
	in.kept = "";
	report_make(&in, &r);
	CHECK(r.reason == REASON_NONE, "and no longer");
}

static void
test_task(void)
{
	struct msg_task_state task = {.attempt = 1, .phase = CHOICE_task_phase_RUNNING};

	begin();
	runs(true);
	in.task[0].state = &task;
	in.task[0].id = "0f8fad5b-d9cb-469f-a165-70867728950e";
	CHECK(at_once() && strcmp(r.task[0].id, in.task[0].id) == 0, "a task is noted at once");
	stored = r;
	CHECK(!writes(), "and once");
	task.percent = 40;
	CHECK(writes() && !at_once(), "its progress may wait");
	(void)snprintf(task.step, sizeof(task.step), "VACUUM app public.x, 2 of 5");
	CHECK(writes() && !at_once(), "its step too");
	task.phase = CHOICE_task_phase_SUCCEEDED;
	task.tuples = 7;
	CHECK(at_once() && r.task[0].state.tuples == 7,
	    "its end is said at once, with what came of it");
	stored = r;
	task.attempt = 2;
	CHECK(at_once(), "and so is another attempt");
	stored = r;
	in.outage_ms = 350;
	CHECK(at_once() && r.outage_ms == 350, "an operation's outage belongs to its end");
}

/* What one slot says waits for no other, and goes along with what any other has to say. */
static void
test_tasks(void)
{
	struct msg_task_state vacuum = {.attempt = 1, .phase = CHOICE_task_phase_RUNNING};
	struct msg_task_state script = vacuum;

	begin();
	runs(true);
	in.task[0].state = &vacuum;
	in.task[0].id = "0f8fad5b-d9cb-469f-a165-70867728950e";
	report_make(&in, &r);
	CHECK(r.task_slots == TASKS_MAX, "of how many the pod knows");
	stored = r;
	stored.task_slots = 1;
	CHECK(writes() && !at_once(), "that is told, in time");
	report_make(&in, &stored);
	in.task[2].state = &script;
	in.task[2].id = "7c9e6679-7425-40de-944b-e07fc1f90ae7";
	vacuum.percent = 30;
	CHECK(at_once() && r.task[0].state.percent == 30 && r.task[1].id[0] == '\0',
	    "a task in another slot is noted at once, with how far the first is");
	stored = r;
	CHECK(!writes(), "and once");
	script.phase = CHOICE_task_phase_FAILED;
	CHECK(at_once() && r.task[0].state.phase == CHOICE_task_phase_RUNNING,
	    "it ends, the first goes on");
	stored = r;
	vacuum.percent = 31;
	CHECK(writes() && !at_once(), "whose progress may wait still");
}

int
main(void)
{
	test_cut_off();
	test_foreign();
	test_task();
	test_tasks();
	test_primary();
	test_next_pod();
	test_not_started();
	test_adopting();
	test_replica();
	test_roles();
	test_trouble();
	test_operation();
	test_rest();
	test_disk();
	test_age();
	test_lag();
	return tap_done();
}
