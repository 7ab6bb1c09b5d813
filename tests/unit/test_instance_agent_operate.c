/*
 * What an instance is told to do once: each ends within a bound, with a reason, whatever Patroni
 * and its server do. Time is set by hand where it counts; Patroni's answers are given here.
 */
#include "instance/agent.h"
#include "tests/unit/tap.h"

#define ID "0f8fad5b-d9cb-469f-a165-70867728950e"
#define POD "7c9e6679-7425-40de-944b-e07fc1f90ae7"

static struct agent a;
static unsigned posts, switchovers, checkpoints;
static void (*answer)(struct agent *, int, struct str);

/* --- What agent_operate.c calls of the other files. */

void
agent_look(struct agent *x)
{
	(void)x;
}

bool
agent_leads(const struct agent *x)
{
	return x->view.known && x->view.running && x->view.primary && x->view.leads;
}

bool
agent_wants_sync(const struct agent *x)
{
	return x->spec->sync_mode != CHOICE_sync_mode_OFF;
}

bool
agent_must_leave(const struct agent *x)
{
	(void)x;
	return false;
}

void
reinit_look(struct agent *x)
{
	(void)x;
}

static bool init_is_told;

bool
reinit_is_told(const struct agent *x)
{
	(void)x;
	return init_is_told;
}

bool
child_send(struct self *c, const struct ipc_msg *m)
{
	(void)c;
	checkpoints += m->type == IPC_CHECKPOINT;
	return true;
}

bool
patroni_post(struct agent *x, const char *path, struct str body, int timeout_ms,
    void (*done)(struct agent *a, int status, struct str text))
{
	(void)x;
	(void)path;
	(void)body;
	(void)timeout_ms;
	posts++;
	answer = done;
	return true;
}

void
patroni_post_switchover(struct agent *x, const char *candidate,
    void (*done)(struct agent *a, int status, struct str text))
{
	(void)x;
	(void)candidate;
	switchovers++;
	answer = done;
}

/* --- The scene. */

static void
leads(const char *name)
{
	a.view.has_leader = name[0] != '\0';
	a.view.leads = strcmp(name, "demo-0") == 0;
	(void)snprintf(a.view.leader, sizeof(a.view.leader), "%s", name);
}

static void
tell_in(enum choice_operation kind, const char *candidate, uint64_t generation)
{
	struct bginstance i = {.operation_id = STR(ID),
	    .operation_pod = STR(POD),
	    .operation = (uint8_t)kind,
	    .operation_generation = (int64_t)generation,
	    .operation_candidate = str_of(candidate)};

	operate_take(&a, &i);
	a.polls += 2;
}

static void
tell(enum choice_operation kind, const char *candidate)
{
	tell_in(kind, candidate, 0);
}

/* demo-0, which leads demo-1; Patroni answers and its server runs. */
static void
begin(void)
{
	static struct bgcluster spec = {.ttl = 30, .max_lag = 1048576};
	struct view_member *m = a.view.member;

	memset(&a, 0, sizeof(a));
	posts = switchovers = checkpoints = 0;
	answer = NULL;
	a.spec = &spec;
	a.pod_uid = POD;
	a.pod = "demo-0";
	a.password_known = true;
	a.view.known = a.view.cluster_known = a.view.running = a.view.primary = true;
	(void)snprintf(a.view.started, sizeof(a.view.started), "noon");
	leads("demo-0");
	a.view.members = 2;
	(void)snprintf(m[0].name, sizeof(m[0].name), "demo-0");
	(void)snprintf(m[1].name, sizeof(m[1].name), "demo-1");
	m[1].streaming = true;
	a.now = clock_boot();
}

static void
note(void)
{
	(void)snprintf(a.stored.operation_id, sizeof(a.stored.operation_id), "%s", a.operate.id);
	(void)snprintf(
	    a.stored.operation_message, sizeof(a.stored.operation_message), "%s", a.operate.text);
}

static void
look_after(int64_t seconds)
{
	a.now.v = clock_boot().v + seconds * 1000;
	operate_look(&a);
	note();
	operate_look(&a);
}

static bool
runs(void)
{
	return a.operate.phase == CHOICE_operation_phase_RUNNING;
}

static bool
failed(const char *why)
{
	return a.operate.phase == CHOICE_operation_phase_FAILED &&
	       strstr(a.operate.text, why) != NULL;
}

static bool
succeeded(void)
{
	return a.operate.phase == CHOICE_operation_phase_SUCCEEDED;
}

/* --- */

static void
test_never_runs(void)
{
	begin();
	a.view.running = false;
	tell(CHOICE_operation_RESTART_ALWAYS, "");
	look_after(890);
	CHECK(runs() && posts == 0, "a restart waits for a server that recovers");
	look_after(901);
	CHECK(failed("900 s: PostgreSQL does not run"), "but not for one that never runs");
	begin();
	view_silent(&a.view);
	tell(CHOICE_operation_RELOAD, "");
	look_after(890);
	CHECK(runs(), "a reload waits for Patroni");
	look_after(901);
	CHECK(failed("900 s: Patroni does not answer"), "but not for ever");
	begin();
	view_silent(&a.view);
	tell(CHOICE_operation_SWITCHOVER, "demo-1");
	look_after(121);
	CHECK(failed("120 s: Patroni does not answer"), "a switchover less");
	begin();
	a.view.running = false;
	tell(CHOICE_operation_NONE, "");
	look_after(0);
	CHECK(failed("no such operation"), "what is none fails at once");
}

static void
test_restart(void)
{
	begin();
	tell(CHOICE_operation_RESTART_ALWAYS, "");
	look_after(0);
	CHECK(
	    posts == 1 && strcmp(a.operate.text, "restarting the server that started at noon") == 0,
	    "which server is to go is noted before");
	answer(&a, 0, STR("connection reset"));
	a.view.running = false;
	look_after(2);
	CHECK(runs() && posts == 1, "without an answer what runs then decides");
	look_after(901);
	CHECK(failed("PostgreSQL does not run"), "within a bound");
	begin();
	tell(CHOICE_operation_RESTART_ALWAYS, "");
	look_after(0);
	answer(&a, 0, STR("connection reset"));
	look_after(2);
	CHECK(runs() && posts == 1, "what was seen before that says nothing");
	a.polls++;
	(void)snprintf(a.view.started, sizeof(a.view.started), "one");
	look_after(2);
	CHECK(succeeded() && posts == 1, "another server was restarted, and is not again");
	begin();
	tell(CHOICE_operation_RESTART_ALWAYS, "");
	look_after(0);
	answer(&a, 0, STR("connection reset"));
	a.polls++;
	look_after(2);
	CHECK(runs() && posts == 2, "one that is still there was not");
	begin();
	tell(CHOICE_operation_RESTART_ALWAYS, "");
	look_after(0);
	answer(&a, 503, STR("postgres is still starting"));
	a.polls++;
	(void)snprintf(a.view.started, sizeof(a.view.started), "one");
	look_after(2);
	CHECK(succeeded() && posts == 1, "nor did it fail because it replays for long");
}

static void
lose_restart(void)
{
	begin();
	a.view.pending_restart = true;
	tell_in(CHOICE_operation_RESTART, "", 7);
	look_after(0);
	CHECK(posts == 1, "a parameter waits for a restart: Patroni is asked");
	answer(&a, 0, STR("connection reset"));
	look_after(2);
	CHECK(runs() && posts == 1, "its answer is lost, and the server was not looked at since");
	a.polls++;
}

static void
test_restart_pending(void)
{
	lose_restart();
	a.view.running = a.view.pending_restart = false;
	look_after(2);
	CHECK(runs(), "one that is down was not restarted yet");
	a.view.running = true;
	look_after(2);
	CHECK(succeeded() && posts == 1, "nothing waits any more: it was restarted");
	lose_restart();
	(void)snprintf(a.view.started, sizeof(a.view.started), "one");
	look_after(2);
	CHECK(succeeded() && posts == 1, "another server was restarted, whatever still waits");
	lose_restart();
	look_after(2);
	CHECK(runs() && posts == 2, "one that is still there was not");
	answer(&a, 503, STR("restart conditions are not satisfied"));
	a.polls++;
	a.view.pending_restart = false;
	look_after(2);
	CHECK(succeeded() && posts == 2, "or somebody else has meanwhile");
	lose_restart();
	look_after(2);
	answer(&a, 500, STR("no"));
	CHECK(failed("no"), "refused is refused");
}

/* What the primary was just restarted for comes with the stream that this ended. */
static void
test_restart_that_lowers(void)
{
	static const enum choice_operation kinds[] = {
	    CHOICE_operation_RESTART_ALWAYS, CHOICE_operation_RESTART};

	for (unsigned k = 0; k < 2; k++) {
		begin();
		a.view.primary = false;
		a.view.streaming = a.view.pending_restart = a.view.restart_lowers = true;
		tell(kinds[k], "");
		a.polls--;
		look_after(0);
		CHECK(runs() && posts == 0, "a poll that was under way may tell of the one before");
		a.polls++;
		a.view.streaming = false;
		look_after(1);
		CHECK(runs() && posts == 0, "the stream is waited for");
		a.view.streaming = true;
		look_after(1);
		CHECK(posts == 1, "when it is back the replica may have less, too");
		begin();
		a.view.primary = false;
		a.view.pending_restart = a.view.restart_lowers = true;
		tell(kinds[k], "");
		look_after(16);
		CHECK(posts == 1, "but not for ever");
		begin();
		a.view.pending_restart = a.view.restart_lowers = true;
		tell(kinds[k], "");
		look_after(0);
		CHECK(posts == 1, "a primary waits for none");
	}
}

/* Fenced or hibernated: what has not begun is not waited for. */
static void
test_rests(void)
{
	static const enum choice_operation kinds[] = {CHOICE_operation_RESTART_ALWAYS,
	    CHOICE_operation_RELOAD, CHOICE_operation_SWITCHOVER, CHOICE_operation_REINIT};

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		begin();
		a.stop = CHOICE_stop_POSTGRESQL;
		tell(kinds[i], "");
		look_after(0);
		CHECK(failed("interrupted: ") && failed("spec.fencedInstances") && posts == 0 &&
			  checkpoints == 0,
		    "nothing begins where the instance is to rest");
	}
	begin();
	tell(CHOICE_operation_RESTART_ALWAYS, "");
	look_after(0);
	a.stop = CHOICE_stop_POSTGRESQL;
	look_after(1);
	CHECK(runs() && posts == 1, "what Patroni was asked for has its answer");
	answer(&a, 0, STR("connection reset"));
	look_after(2);
	CHECK(failed("interrupted: "), "or lost it");
	begin();
	init_is_told = true;
	a.stop = CHOICE_stop_POSTGRESQL;
	tell(CHOICE_operation_REINIT, "");
	look_after(0);
	CHECK(runs(), "so has what init was told of a clone");
	init_is_told = false;
}

static void
test_restart_failed(void)
{
	begin();
	tell(CHOICE_operation_RESTART_ALWAYS, "");
	look_after(0);
	a.view.running = false;
	answer(&a, 503, STR("restart failed"));
	a.polls++;
	look_after(60);
	CHECK(runs() && posts == 1, "a server that did not start is Patroni's to start");
	a.view.running = true;
	(void)snprintf(a.view.started, sizeof(a.view.started), "one");
	look_after(61);
	CHECK(succeeded() && posts == 1, "and was restarted then");
	begin();
	tell(CHOICE_operation_RESTART_ALWAYS, "");
	look_after(0);
	answer(&a, 503, STR("restart failed"));
	a.view.running = false;
	a.polls++;
	look_after(200);
	CHECK(failed("restart failed: no server runs"), "but not for ever");
	begin();
	tell(CHOICE_operation_RESTART_ALWAYS, "");
	look_after(0);
	answer(&a, 503, STR("restart failed"));
	a.polls++;
	look_after(60);
	CHECK(runs() && posts == 1, "one that did not stop is not stopped again");
	look_after(200);
	CHECK(failed("restart failed: the server could not be stopped"), "which is told");
}

static void
test_reload(void)
{
	begin();
	tell(CHOICE_operation_RELOAD, "");
	look_after(0);
	answer(&a, 0, STR("connection reset"));
	CHECK(runs() && posts == 1, "a reload whose answer is lost");
	look_after(2);
	CHECK(posts == 2, "is asked for once more");
	answer(&a, 202, STR("reload scheduled"));
	CHECK(succeeded(), "and done");
	begin();
	tell(CHOICE_operation_RELOAD, "");
	look_after(0);
	answer(&a, 500, STR("no"));
	CHECK(failed("no"), "refused is refused");
}

static void
hand_over(void)
{
	begin();
	tell(CHOICE_operation_SWITCHOVER, "demo-1");
	look_after(0);
	operate_checkpointed(&a, &(struct msg_checkpoint_done){.text = ""});
}

static void
test_switchover(void)
{
	hand_over();
	CHECK(checkpoints == 1 && switchovers == 1, "a checkpoint, then Patroni is asked");
	answer(&a, 412, STR("candidate name does not match"));
	CHECK(failed("does not match"), "refused is refused");
	hand_over();
	answer(&a, 0, STR("connection reset"));
	look_after(5);
	CHECK(runs() && switchovers == 1, "an answer that is lost is none");
	leads("");
	look_after(20);
	CHECK(runs(), "nor is it when nobody leads");
	leads("demo-1");
	look_after(25);
	CHECK(succeeded() && switchovers == 1, "whoever leads then tells");
	hand_over();
	answer(&a, 200, STR("Switched over to \"demo-2\" instead of \"demo-1\""));
	CHECK(failed("instead of"), "another's lead is not the candidate's");
	hand_over();
	answer(&a, 503, STR("Switchover status unknown"));
	CHECK(runs(), "nor is one that says nothing");
	look_after(89);
	CHECK(runs(), "a lock that nobody renews is held for ttl");
	look_after(91);
	CHECK(failed("interrupted: ") && switchovers == 1, "then it did not come to that");
	begin();
	a.view.member[1].streaming = false;
	tell(CHOICE_operation_SWITCHOVER, "demo-1");
	look_after(14);
	CHECK(runs() && checkpoints == 0, "a candidate whose stream broke off is waited for");
	look_after(16);
	CHECK(failed("does not stream"), "for a while");
	begin();
	a.view.running = false;
	tell(CHOICE_operation_SWITCHOVER, "demo-1");
	look_after(1);
	CHECK(runs() && checkpoints == 0, "a new agent finds a primary that stops");
	leads("demo-1");
	look_after(2);
	CHECK(succeeded() && checkpoints == 0, "and then who leads");
	begin();
	leads("demo-2");
	tell(CHOICE_operation_SWITCHOVER, "demo-1");
	look_after(1);
	CHECK(failed("does not lead"), "one that another leads hands nothing over");
	begin();
	a.view.running = false;
	tell_in(CHOICE_operation_SWITCHOVER, "", 7);
	look_after(1);
	CHECK(succeeded(), "a rolling change waits for nobody who does not lead");
}

/* A primary that was restarted has no synchronous standby for a moment. */
static void
test_switchover_without_standby(void)
{
	static struct bgcluster spec = {
	    .ttl = 30, .max_lag = 1048576, .sync_mode = CHOICE_sync_mode_ON};

	begin();
	a.spec = &spec;
	tell(CHOICE_operation_SWITCHOVER, "");
	look_after(0);
	operate_checkpointed(&a, &(struct msg_checkpoint_done){.text = ""});
	answer(&a, 412, STR("switchover is not possible: can not find sync_standby"));
	CHECK(runs() && switchovers == 1, "a synchronous standby is waited for");
	look_after(6);
	operate_checkpointed(&a, &(struct msg_checkpoint_done){.text = ""});
	CHECK(runs() && switchovers == 2, "and Patroni asked again");
	answer(&a, 200, STR("Successfully switched over to \"demo-1\""));
	CHECK(succeeded(), "until there is one");
	begin();
	a.spec = &spec;
	tell(CHOICE_operation_SWITCHOVER, "");
	look_after(0);
	operate_checkpointed(&a, &(struct msg_checkpoint_done){.text = ""});
	answer(&a, 412, STR("switchover is not possible: can not find sync_standby"));
	look_after(121);
	CHECK(failed("120 s: no replica is synchronous"), "but not for ever");
	begin();
	a.spec = &spec;
	tell(CHOICE_operation_SWITCHOVER, "demo-1");
	a.view.member[0].streaming = true;
	look_after(0);
	operate_checkpointed(&a, &(struct msg_checkpoint_done){.text = ""});
	answer(&a, 412, STR("candidate name does not match with sync_standby"));
	CHECK(runs(), "so is a candidate that is about to be synchronous");
	a.view.has_sync = true;
	look_after(20);
	operate_checkpointed(&a, &(struct msg_checkpoint_done){.text = ""});
	answer(&a, 412, STR("candidate name does not match with sync_standby"));
	CHECK(failed("does not match"), "where another one is, it is not for long");
}

static void
test_failover(void)
{
	begin();
	tell(CHOICE_operation_FAILOVER, "demo-1");
	look_after(0);
	answer(&a, 0, STR("connection reset"));
	look_after(10);
	CHECK(runs() && posts == 1, "a failover whose answer is lost is not asked for again");
	leads("demo-1");
	look_after(20);
	CHECK(succeeded(), "who leads then tells");
	begin();
	leads("demo-1");
	tell(CHOICE_operation_FAILOVER, "");
	look_after(0);
	answer(&a, 400, STR("Failover could be performed only to a specific candidate"));
	CHECK(failed("specific candidate"), "without a candidate nobody's lead is its success");
}

static void
test_failover_resumed(void)
{
	struct bginstance i = {.operation_id = STR(ID),
	    .operation_pod = STR(POD),
	    .pod_uid = STR(POD),
	    .operation = CHOICE_operation_FAILOVER,
	    .operation_candidate = STR("demo-1"),
	    .done_id = STR(ID),
	    .done_phase = CHOICE_operation_phase_RUNNING};

	begin();
	operate_take(&a, &i);
	a.polls += 2;
	look_after(5);
	CHECK(runs() && posts == 0, "what a former agent has asked for is waited for");
	leads("demo-1");
	look_after(6);
	CHECK(succeeded() && posts == 0, "and not asked for again");
	begin();
	operate_take(&a, &i);
	a.polls += 2;
	look_after(5);
	look_after(97);
	CHECK(failed("interrupted: ") && posts == 0, "or it did not come to that");
	begin();
	view_silent(&a.view);
	operate_take(&a, &i);
	a.polls += 2;
	a.stop = CHOICE_stop_POSTGRESQL;
	look_after(119);
	CHECK(runs(), "nor does it end sooner where that can not be looked up");
	look_after(121);
	CHECK(failed("interrupted: whether Patroni was asked is not known") &&
		  failed("120 s: Patroni does not answer") && posts == 0,
	    "but as one that may have been asked for");
}

int
main(void)
{
	test_never_runs();
	test_restart();
	test_restart_pending();
	test_restart_that_lowers();
	test_rests();
	test_restart_failed();
	test_reload();
	test_switchover();
	test_switchover_without_standby();
	test_failover();
	test_failover_resumed();
	return tap_done();
}
