/* BGDbOps: where each is done, what it waits for, and what is repeated when something is lost. */
#include "tests/unit/plan_dbops.h"

static void
test_task(void)
{
	struct plan_dbops *d;

	begin(3);
	d = add(CHOICE_dbops_op_VACUUM);
	is(run(), "op0 tell 0; ", "a vacuum goes to the primary at once");
	is(run(), "", "and is not told again");
	reports[0].task[0].phase = CHOICE_task_phase_RUNNING;
	reports[0].task[0].percent = 40;
	says(0);
	is(run(), "op0 progress; ", "its progress is told");
	d->percent = 40;
	reports[0].task[0].percent = 41;
	says(0);
	is(run(), "", "but not more often");
	pass(5);
	is(run(), "op0 progress; ", "than every five seconds");
	task_ends(0, CHOICE_task_phase_SUCCEEDED);
	is(run(), "op0 finish Succeeded; op0 release; ", "then it is over");
	CHECK(plan_dbops_is_over(d), "and may be forgotten");
	begin(3);
	d = add(CHOICE_dbops_op_SQL);
	d->replica = true;
	is(run(), "op0 tell 1; ", "a script for a replica goes to one");
}

static void
test_claim_without_telling(void)
{
	struct plan_dbops *d;

	begin(1);
	d = add(CHOICE_dbops_op_SQL);
	run();
	/* As if the executor had died between the two. */
	reports[0].task[0].owner = 0;
	says(0);
	is(run(), "op0 tell 0; ", "who was claimed but not told is told, as the same attempt");
	CHECK(d->attempt == 1 && d->retries == 0, "which is no repetition");
}

static void
test_lost_pod(void)
{
	struct plan_dbops *d;

	begin(3);
	d = add(CHOICE_dbops_op_REINDEX);
	run();
	lose_pod(0, CHOICE_instance_role_NONE, CHOICE_instance_state_STARTING);
	is(run(), "op0 retry Pending; ", "who may be repeated is, later");
	CHECK(tells("demo-0") && reason == CHOICE_dbops_reason_INTERRUPTED, "and it says why");
	move_leadership(0, 2);
	is(run(), "op0 clean 2; ", "what it left is removed on the new primary first");
	task_ends(2, CHOICE_task_phase_SUCCEEDED);
	is(run(), "op0 cleaned; ", "then");
	is(run(), "", "it waits a little");
	pass(5);
	is(run(), "op0 tell 2; ", "and is done there");
	CHECK(d->attempt == 3 && d->retries == 1, "counted");
	for (unsigned n = 0; n < 2; n++) {
		lose_pod(2, CHOICE_instance_role_PRIMARY, CHOICE_instance_state_RUNNING);
		run();
		task_ends(2, CHOICE_task_phase_SUCCEEDED);
		run();
		pass(60);
		run();
	}
	CHECK(d->retries == 3 && d->phase == CHOICE_dbops_phase_RUNNING, "thrice");
	lose_pod(2, CHOICE_instance_role_PRIMARY, CHOICE_instance_state_RUNNING);
	CHECK(starts(run(), "op0 finish Failed; op0 clean 2"), "and no more");
	begin(3);
	d = add(CHOICE_dbops_op_SQL);
	d->max_retries = 5;
	run();
	lose_pod(0, CHOICE_instance_role_PRIMARY, CHOICE_instance_state_RUNNING);
	is(run(), "op0 finish Failed; op0 release; ", "a script is never begun twice");
	CHECK(tells("interrupted") && tells("not known") && d->attempt == 1, "it says so");
}

static void
test_failures(void)
{
	struct plan_dbops *d;

	begin(2);
	d = add(CHOICE_dbops_op_VACUUM);
	run();
	task_ends(0, CHOICE_task_phase_FAILED);
	is(run(), "op0 finish Failed; op0 release; ", "what fails by itself fails");
	CHECK(said[0] == '\0' && reason == CHOICE_dbops_reason_NONE, "with its pod's words");
	begin(2);
	d = add(CHOICE_dbops_op_VACUUM);
	d->max_retries = 1;
	run();
	task_ends(0, CHOICE_task_phase_FAILED);
	is(run(), "op0 retry Pending; ", "unless maxRetries says otherwise");
	pass(5);
	is(run(), "op0 tell 0; ", "then it is repeated");
	task_ends(0, CHOICE_task_phase_FAILED);
	is(run(), "op0 finish Failed; op0 release; ", "so often");
	begin(2);
	d = add(CHOICE_dbops_op_BENCHMARK);
	run();
	reports[0].task[0].interrupted = true;
	task_ends(0, CHOICE_task_phase_FAILED);
	is(run(), "op0 finish Failed; op0 clean 0; ",
	    "who was interrupted in its pod leaves something too");
	begin(2);
	d = add(CHOICE_dbops_op_ANALYZE);
	run();
	move_leadership(0, 1);
	is(run(), "", "the pod that leads no more is waited for");
	task_ends(0, CHOICE_task_phase_FAILED);
	is(run(), "op0 retry Pending; ", "then that is an interruption");
	pass(5);
	is(run(), "op0 tell 1; ", "and the new primary's turn");
	(void)d;
}

/* Repeated, but it has to wait: that does not make it another run. */
static void
test_waiting_to_be_repeated(void)
{
	struct plan_dbops *d;

	begin(2);
	d = add(CHOICE_dbops_op_VACUUM);
	run();
	lose_pod(0, CHOICE_instance_role_NONE, CHOICE_instance_state_STARTING);
	run();
	pass(5);
	is(run(), "op0 say Waiting; ", "without a primary it waits");
	CHECK(d->retries == 1 && d->phase == CHOICE_dbops_phase_WAITING, "but is counted");
	move_leadership(0, 1);
	is(run(), "op0 tell 1; ", "then it is repeated");
	CHECK(d->retries == 1 && d->attempt == 2, "as the second attempt of one run");
}

static void
test_timeout(void)
{
	struct plan_dbops *d;

	begin(1);
	d = add(CHOICE_dbops_op_VACUUM);
	d->timeout_s = 60;
	run();
	reports[0].task[0].phase = CHOICE_task_phase_RUNNING;
	says(0);
	run();
	CHECK(step.again.v == world.now.v + 60000 + 5000, "its time is waited for");
	pass(64);
	is(run(), "", "its pod ends it first");
	pass(1);
	is(run(), "op0 cancel 0; ", "or is told to");
	task_ends(0, CHOICE_task_phase_CANCELLED);
	is(run(), "op0 finish Failed; op0 release; ", "and that is a failure");
	CHECK(tells("spec.timeout") && reason == CHOICE_dbops_reason_TIMED_OUT, "of that kind");
	begin(1);
	d = add(CHOICE_dbops_op_REINDEX);
	d->timeout_s = 60;
	run();
	pass(65);
	run();
	pass(60);
	is(run(), "op0 finish Failed; ", "who does not hear is left");
	CHECK(d->cleanup == CHOICE_dbops_cleanup_DUE, "and cleaned up after, once it is free");
}

static void
test_restart_that_lowers(void)
{
	begin(2);
	for (unsigned i = 0; i < 2; i++) {
		reports[i].pending_restart = reports[i].restart_lowers = true;
		says(i);
	}
	wanted.update = CHOICE_update_strategy_ON_DEMAND;
	note_wanted();
	add(CHOICE_dbops_op_RESTART);
	is(run(), "op0 tell 0; ", "the primary is first where standbys may not have less");
	reports[0].pending_restart = false;
	operation_ends(0, CHOICE_operation_phase_SUCCEEDED);
	is(run(), "op0 next; op0 tell 1; ", "then they may");
}

static void
test_restart(void)
{
	struct plan_dbops *d;

	begin(3);
	d = add(CHOICE_dbops_op_RESTART);
	is(run(), "op0 tell 2; ", "the highest replica is first");
	CHECK(step.dbops == NULL, "others wait");
	operation_ends(2, CHOICE_operation_phase_SUCCEEDED);
	reports[2].state = CHOICE_instance_state_RUNNING;
	says(2);
	is(run(), "op0 next; op0 say Running; ", "until it streams again");
	CHECK(tells("demo-2"), "which one");
	reports[2].state = CHOICE_instance_state_STREAMING;
	says(2);
	is(run(), "op0 tell 1; ", "then the other");
	lose_pod(1, CHOICE_instance_role_NONE, CHOICE_instance_state_STARTING);
	pass(3);
	is(run(), "op0 next; op0 say Running; ", "one whose pod was replaced");
	reports[1].role = CHOICE_instance_role_REPLICA;
	reports[1].state = CHOICE_instance_state_STREAMING;
	says(1);
	is(run(), "op0 tell 0; ", "was restarted too; the primary is last");
	operation_ends(0, CHOICE_operation_phase_SUCCEEDED);
	is(run(), "op0 next; op0 finish Succeeded; op0 release; ", "and that is all");
	CHECK(d->attempt == 1, "in one attempt");
	begin(3);
	d = add(CHOICE_dbops_op_RESTART);
	d->role = CHOICE_dbops_role_PRIMARY;
	is(run(), "op0 tell 0; ", "only the primary");
	operation_ends(0, CHOICE_operation_phase_SUCCEEDED);
	is(run(), "op0 next; op0 finish Succeeded; op0 release; ", "and no other");
	begin(2);
	lose_pod(0, CHOICE_instance_role_NONE, CHOICE_instance_state_STARTING);
	add(CHOICE_dbops_op_RESTART)->role = CHOICE_dbops_role_PRIMARY;
	is(run(), "op0 say Waiting; ", "where there is none for a while it is waited for");
	move_leadership(0, 1);
	is(run(), "op0 tell 1; ", "to be there");
	begin(3);
	d = add(CHOICE_dbops_op_RESTART);
	reports[1].state = CHOICE_instance_state_STARTING;
	says(1);
	is(run(), "op0 say Waiting; ", "none is restarted while another does not serve");
	CHECK(tells("demo-1"), "which one");
	begin(2);
	d = add(CHOICE_dbops_op_RESTART);
	run();
	operation_ends(1, CHOICE_operation_phase_FAILED);
	is(run(), "op0 finish Failed; op0 release; ", "one that can not be restarted stops it");
	begin(2);
	d = add(CHOICE_dbops_op_RELOAD);
	is(run(), "op0 tell 1; ", "a reload too is one after the other");
}

static void
test_leadership(void)
{
	struct plan_dbops *d;

	begin(3);
	d = add(CHOICE_dbops_op_SWITCHOVER);
	d->wanted = 3;
	is(run(), "op0 tell 0; ", "the primary is told to hand over");
	operation_ends(0, CHOICE_operation_phase_SUCCEEDED);
	is(run(), "op0 finish Succeeded; op0 release; ", "and has");
	begin(3);
	add(CHOICE_dbops_op_SWITCHOVER)->wanted = 4;
	is(run(), "op0 finish Failed; ", "a candidate that is none");
	CHECK(tells("demo-2") && reason == CHOICE_dbops_reason_REFUSED, "which ones there are");
	begin(3);
	reports[2].lag = CHOICE_lag_class_LARGE;
	says(2);
	add(CHOICE_dbops_op_SWITCHOVER)->wanted = 3;
	is(run(), "op0 finish Failed; ", "one that lags");
	CHECK(tells("demo-2") && tells("lags"), "it says so");
	begin(3);
	add(CHOICE_dbops_op_SWITCHOVER)->wanted = DBOPS_NO_INSTANCE;
	is(run(), "op0 finish Failed; ", "a name that no instance can have");
	begin(1);
	add(CHOICE_dbops_op_SWITCHOVER);
	is(run(), "op0 finish Failed; ", "and nobody to hand over to");
	begin(3);
	d = add(CHOICE_dbops_op_SWITCHOVER);
	d->max_retries = 3;
	run();
	lose_pod(0, CHOICE_instance_role_NONE, CHOICE_instance_state_STARTING);
	is(run(), "op0 finish Failed; op0 release; ", "an interrupted one is not repeated");
	begin(3);
	add(CHOICE_dbops_op_FAILOVER)->system_identifier = 7778;
	is(run(), "op0 finish Failed; ", "a failover of another system");
	begin(3);
	reports[1].lag = CHOICE_lag_class_LARGE;
	says(1);
	reports[2].lag = CHOICE_lag_class_NONE;
	says(2);
	lose_pod(0, CHOICE_instance_role_NONE, CHOICE_instance_state_UNKNOWN);
	add(CHOICE_dbops_op_FAILOVER)->system_identifier = 7777;
	is(run(), "op0 tell 2; ", "is told to whom it loses least with, without a primary too");
	begin(3);
	add(CHOICE_dbops_op_REINIT)->wanted = 1;
	is(run(), "op0 finish Failed; ", "the primary's data is not thrown away");
	begin(3);
	reports[1].state = CHOICE_instance_state_FAILED;
	says(1);
	add(CHOICE_dbops_op_REINIT)->wanted = 2;
	is(run(), "op0 tell 1; ", "a replica's that does not run is");
}

static void
test_interrupted(void)
{
	begin(3);
	add(CHOICE_dbops_op_SWITCHOVER);
	run();
	reports[0].task[0].interrupted = true;
	operation_ends(0, CHOICE_operation_phase_FAILED);
	run();
	CHECK(reason == CHOICE_dbops_reason_NONE,
	    "a task that was interrupted there is another matter");
	begin(3);
	add(CHOICE_dbops_op_FAILOVER)->system_identifier = 7777;
	run();
	reports[1].operation_interrupted = reports[2].operation_interrupted = true;
	operation_ends(1, CHOICE_operation_phase_FAILED);
	operation_ends(2, CHOICE_operation_phase_FAILED);
	is(run(), "op0 finish Failed; op0 release; ",
	    "one whose pod does not know is not repeated");
	CHECK(reason == CHOICE_dbops_reason_INTERRUPTED && said[0] == '\0', "in its pod's words");
}

static void
test_turns(void)
{
	begin(3);
	add(CHOICE_dbops_op_RESTART);
	add(CHOICE_dbops_op_SWITCHOVER);
	add(CHOICE_dbops_op_VACUUM);
	is(run(), "op0 tell 2; op1 say Waiting; op2 tell 0; ",
	    "one disruptive at a time; the others beside it");
	CHECK(tells("") && ops[1].said != 0, "and who waits says so");
	begin(3);
	add(CHOICE_dbops_op_VACUUM);
	add(CHOICE_dbops_op_ANALYZE);
	is(run(), "op0 tell 0; op1 say Waiting; ", "one task for each pod");
	CHECK(tells("waits for BGDbOps op0 (vacuum)"), "and for which");
	task_ends(0, CHOICE_task_phase_SUCCEEDED);
	is(run(), "op0 finish Succeeded; op0 release; op1 tell 0; ", "then the next");
	begin(3);
	add(CHOICE_dbops_op_VACUUM)->locks = true;
	add(CHOICE_dbops_op_RESTART);
	is(run(), "op0 tell 0; op1 say Waiting; ", "locked tables are disruption too");
	begin(3);
	reports[1].state = CHOICE_instance_state_STARTING;
	says(1);
	add(CHOICE_dbops_op_RESTART);
	run();
	add(CHOICE_dbops_op_SWITCHOVER);
	is(run(), "op1 say Waiting; ", "the oldest that waits is first");
	CHECK(tells("which was there before"), "it says so");
}

static void
test_cluster(void)
{
	begin(2);
	wanted.hibernated = true;
	note_wanted();
	add(CHOICE_dbops_op_VACUUM);
	CHECK(strstr(run(), "op0 say Waiting; ") != NULL && tells("hibernated"),
	    "a cluster that rests");
	begin(2);
	wanted.paused = true;
	note_wanted();
	add(CHOICE_dbops_op_VACUUM);
	is(run(), "op0 say Waiting; ", "one that is paused");
	begin(2);
	wanted.deleting = wanted.finalizer = true;
	note_wanted();
	add(CHOICE_dbops_op_VACUUM);
	CHECK(strstr(run(), "op0 finish Failed; ") != NULL, "one that goes");
	begin(2);
	plan_note_cluster_gone(&c, &wanted.uid);
	add(CHOICE_dbops_op_VACUUM);
	is(run(), "op0 say Waiting; ", "one that is not there");
	CHECK(tells("no BGCluster demo"), "it says what to do");
	is(run(), "", "once");
	begin(2);
	add(CHOICE_dbops_op_VACUUM);
	run();
	plan_note_cluster_gone(&c, &wanted.uid);
	is(run(), "op0 finish Failed; op0 release; ", "one that went while it ran");
	begin(2);
	reports[0].role = CHOICE_instance_role_NONE;
	says(0);
	add(CHOICE_dbops_op_VACUUM);
	is(run(), "op0 say Waiting; ", "one without a primary");
}

static void
test_rolling_change(void)
{
	struct plan_dbops *d;

	begin(3);
	d = add(CHOICE_dbops_op_SWITCHOVER);
	run();
	for (unsigned i = 0; i < 3; i++) {
		reports[i].pod_inputs = 99;
		says(i);
	}
	script[0] = '\0';
	is(run(), "", "a rolling change");
	CHECK(memory[2].pod_terminating == false, "waits for a BGDbOps that is disruptive");
	operation_ends(0, CHOICE_operation_phase_SUCCEEDED);
	run();
	CHECK(plan_dbops_is_over(d) && memory[2].pod_terminating, "and goes on after it");
	add(CHOICE_dbops_op_RESTART);
	is(run(), "op1 say Waiting; ", "which waits for it likewise");
	begin(3);
	reports[2].pod_inputs = 99;
	says(2);
	run();
	CHECK(memory[2].pod_terminating, "a pod is replaced");
	memory[2].looked = true;
	memory[2].pod_present = false;
	add(CHOICE_dbops_op_SWITCHOVER);
	is(run(), "op0 say Waiting; ", "and waited for while it is not there,");
	pass(20);
	CHECK(starts(run(), "op0 tell 0; "), "for a while");
	begin(3);
	reports[2].state = CHOICE_instance_state_STARTING;
	says(2);
	d = add(CHOICE_dbops_op_REINIT);
	d->wanted = 2;
	is(run(), "op0 say Waiting; ", "a replica that serves is kept while another does not");
	CHECK(tells("demo-2"), "which one");
	reports[1].state = CHOICE_instance_state_RUNNING;
	says(1);
	pass(2);
	is(run(), "op0 tell 1; ", "one that does not is mended");
}

static void
test_cancel(void)
{
	struct plan_dbops *d;

	begin(1);
	d = add(CHOICE_dbops_op_BENCHMARK);
	run();
	d->deleted_s = world.unix_s;
	is(run(), "op0 cancel 0; ", "deleted: its pod is told to end it");
	is(run(), "", "and waited for");
	task_ends(0, CHOICE_task_phase_CANCELLED);
	is(run(), "op0 finish Cancelled; op0 release; ", "then it goes");
	begin(1);
	d = add(CHOICE_dbops_op_BENCHMARK);
	run();
	d->deleted_s = world.unix_s;
	run();
	pass(60);
	is(run(), "op0 release; ", "but not for ever");
	begin(2);
	d = add(CHOICE_dbops_op_BENCHMARK);
	run();
	d->deleted_s = world.unix_s;
	lose_pod(0, CHOICE_instance_role_NONE, CHOICE_instance_state_STARTING);
	move_leadership(0, 1);
	is(run(), "op0 finish Cancelled; op0 clean 1; ", "a lost one's leavings are removed");
	task_ends(1, CHOICE_task_phase_SUCCEEDED);
	is(run(), "op0 cleaned; op0 release; ", "first");
	begin(1);
	d = add(CHOICE_dbops_op_VACUUM);
	run();
	d->deleted_s = world.unix_s;
	plan_note_cluster_gone(&c, &wanted.uid);
	is(run(), "op0 release; ", "of a cluster that is gone nothing is waited for");
	begin(1);
	d = add(CHOICE_dbops_op_VACUUM);
	run();
	c.namespace_ends = true;
	is(run(), "op0 release; ", "nor in a namespace that goes");
	begin(2);
	d = add(CHOICE_dbops_op_SWITCHOVER);
	run();
	d->deleted_s = world.unix_s;
	is(run(), "", "what can not be taken back is waited for");
	operation_ends(0, CHOICE_operation_phase_SUCCEEDED);
	is(run(), "op0 release; ", "to its end");
}

static void
schedule(struct plan_dbops *d, const char *cron)
{
	d->scheduled = true;
	d->bad_cron = cron_parse(str_of(cron), &d->cron) == -1;
	snprintf(d->zone, sizeof(d->zone), "UTC");
}

static void
test_schedule(void)
{
	struct plan_dbops *d;

	begin(1); /* it is 2026-11-26T08:00:00Z */
	d = add(CHOICE_dbops_op_ANALYZE);
	schedule(d, "*/10 * * * *");
	is(run(), "op0 say Scheduled; ", "a schedule says when");
	CHECK(tells("2026-11-26T08:10:00Z") && step.again.v <= world.now.v + 600000,
	    "and that is waited for");
	pass(600);
	is(run(), "op0 tell 0; ", "then it runs");
	task_ends(0, CHOICE_task_phase_SUCCEEDED);
	is(run(), "op0 finish Succeeded; op0 release; ", "and waits again");
	CHECK(d->next_s == WALL + 1200, "for the next time");
	pass(600);
	run();
	pass(601);
	is(run(), "", "one at a time");
	task_ends(0, CHOICE_task_phase_SUCCEEDED);
	is(run(), "op0 finish Succeeded; op0 release; op0 say Scheduled; ", "a missed one");
	CHECK(
	    reason == CHOICE_dbops_reason_SKIPPED && tells("under way") && d->next_s == WALL + 2400,
	    "is left out");
	pass(599);
	run();
	pass(600);
	task_ends(0, CHOICE_task_phase_SUCCEEDED);
	is(run(), "op0 finish Succeeded; op0 release; op0 say Scheduled; ",
	    "one that came in the second in which the last one ended is, too");
	CHECK(reason == CHOICE_dbops_reason_SKIPPED && d->next_s == WALL + 3600, "likewise");
	pass(600 + 601);
	is(run(), "op0 say Scheduled; ", "so is one for which nobody was there");
	CHECK(reason == CHOICE_dbops_reason_SKIPPED && tells("not there"), "it says so");
	d->suspend = true;
	d->generation++;
	pass(2);
	is(run(), "op0 say Scheduled; ", "suspended");
	pass(6000);
	is(run(), "", "nothing runs");
	begin(1);
	schedule(add(CHOICE_dbops_op_ANALYZE), "0 0 30 2 *");
	is(run(), "op0 finish Failed; ", "one that never fires");
	CHECK(tells("never fires"), "it says so");
	begin(1);
	schedule(add(CHOICE_dbops_op_ANALYZE), "0 0 30 *");
	is(run(), "op0 finish Failed; ", "one that is none");
	begin(1);
	d = add(CHOICE_dbops_op_ANALYZE);
	schedule(d, "0 0 * * *");
	snprintf(d->zone, sizeof(d->zone), "Europe/Berln");
	is(run(), "op0 finish Failed; ", "in no known zone");
}

static void
test_late_run(void)
{
	struct plan_dbops *d;

	begin(1);
	d = add(CHOICE_dbops_op_ANALYZE);
	schedule(d, "* * * * *");
	reports[0].role = CHOICE_instance_role_NONE;
	says(0);
	run();
	pass(60);
	run();
	pass(65);
	reports[0].role = CHOICE_instance_role_PRIMARY;
	says(0);
	is(run(), "op0 tell 0; ", "one that had to wait for longer than its period");
	task_ends(0, CHOICE_task_phase_SUCCEEDED);
	is(run(), "op0 finish Succeeded; op0 release; ", "stands for all times before it began");
	CHECK(d->next_s == WALL + 180, "and none of those is begun after it");
}

static void
test_edited_schedule(void)
{
	struct plan_dbops *d;

	begin(1);
	d = add(CHOICE_dbops_op_ANALYZE);
	schedule(d, "*/10 * * * *");
	run();
	d->generation++; /* by a field that changes no time */
	pass(2);
	is(run(), "op0 say Scheduled; ", "an edited one says that it is seen");
	is(run(), "", "once");
	pass(598);
	is(run(), "op0 tell 0; ", "and runs when it would have");
	begin(1);
	d = add(CHOICE_dbops_op_ANALYZE);
	schedule(d, "*/10 * * * *");
	run();
	pass(600);
	d->generation++;
	is(run(), "op0 tell 0; ", "one that is edited as its time comes does too");
	begin(1);
	d = add(CHOICE_dbops_op_ANALYZE);
	schedule(d, "*/10 * * * *");
	run();
	pass(600);
	d->generation++;
	schedule(d, "*/15 * * * *");
	is(run(), "op0 say Scheduled; ", "unless that is no time of it any more");
	CHECK(d->next_s == WALL + 900, "then the next one is");
	begin(1);
	d = add(CHOICE_dbops_op_ANALYZE);
	schedule(d, "*/10 * * * *");
	run();
	wanted.paused = true;
	note_wanted();
	pass(600);
	is(run(), "op0 say Waiting; ", "one whose time has come and that waits");
	schedule(d, "0 0 1 1 *");
	d->generation++;
	wanted.paused = false;
	note_wanted();
	pass(2);
	is(run(), "op0 say Scheduled; ", "goes by what it was edited to");
}

static void
test_schedule_of_runs(void)
{
	struct plan_dbops *d;

	begin(1);
	d = add(CHOICE_dbops_op_RESTART);
	schedule(d, "*/10 * * * *");
	for (unsigned n = 1; n <= 2; n++) {
		run();
		pass(600);
		is(run(), "op0 tell 0; ", "a scheduled restart is one each time");
		operation_ends(0, CHOICE_operation_phase_SUCCEEDED);
		run();
	}
	begin(2);
	d = add(CHOICE_dbops_op_VACUUM);
	schedule(d, "*/10 * * * *");
	run();
	pass(600);
	run();
	lose_pod(0, CHOICE_instance_role_NONE, CHOICE_instance_state_STARTING);
	run();
	pass(5);
	is(run(), "op0 say Waiting; ", "one that is to be repeated, and has to wait,");
	d->suspend = true;
	d->generation++;
	pass(2);
	is(run(), "op0 say Waiting; ", "is not suspended: it has begun");
	move_leadership(0, 1);
	is(run(), "op0 tell 1; ", "and goes on");
	task_ends(1, CHOICE_task_phase_SUCCEEDED);
	CHECK(strstr(run(), "op0 finish Succeeded; ") != NULL, "to its end");
}

static void
test_times(void)
{
	struct plan_dbops *d;

	begin(1);
	d = add(CHOICE_dbops_op_ANALYZE);
	d->run_at_s = WALL + 100;
	is(run(), "op0 say Scheduled; ", "runAt is waited for");
	pass(100);
	is(run(), "op0 tell 0; ", "and kept");
	begin(1);
	d = add(CHOICE_dbops_op_ANALYZE);
	d->run_at_s = WALL - 1000;
	is(run(), "op0 finish Failed; ", "a past one is a mistake");
	CHECK(tells("spec.runAt"), "it says so");
	begin(1);
	d = add(CHOICE_dbops_op_ANALYZE);
	d->run_at_s = WALL + 400 * 86400;
	is(run(), "op0 finish Failed; ", "so is one more than a year ahead");
	begin(1);
	d = add(CHOICE_dbops_op_CHECKPOINT);
	d->ttl = 31;
	run();
	task_ends(0, CHOICE_task_phase_SUCCEEDED);
	is(run(), "op0 finish Succeeded; op0 release; ", "ttlSecondsAfterFinished");
	CHECK(!plan_dbops_is_over(d) && step.again.v == world.now.v + 30000, "is waited for");
	pass(30);
	is(run(), "op0 delete; ", "then it is deleted");
}

static void
test_watch_lags(void)
{
	struct plan_dbops *d;
	struct plan_answer a = {.code = CHOICE_step_code_DONE};

	begin(1);
	d = add(CHOICE_dbops_op_SQL);
	plan_next(&c, &world, &step);
	CHECK(step.sent.verb == CHOICE_verb_DBOPS_TELL, "it is told");
	a.dbops_version = d->version + 5;
	plan_done(&c, &step.sent, &a, world.now);
	is(run(), "", "nothing more before its own claim was seen");
	begin(1);
	d = add(CHOICE_dbops_op_SQL);
	plan_next(&c, &world, &step);
	a = (struct plan_answer){.code = CHOICE_step_code_RETRY};
	plan_done(&c, &step.sent, &a, world.now);
	is(run(), "", "what could not be written is tried again");
	pass(1);
	is(run(), "op0 tell 0; ", "soon");
	begin(1);
	d = add(CHOICE_dbops_op_SQL);
	d->quarantined = true;
	is(run(), "", "what crashed us is left alone");
}

int
main(void)
{
	test_task();
	test_claim_without_telling();
	test_lost_pod();
	test_failures();
	test_waiting_to_be_repeated();
	test_timeout();
	test_restart();
	test_restart_that_lowers();
	test_leadership();
	test_interrupted();
	test_turns();
	test_cluster();
	test_rolling_change();
	test_cancel();
	test_schedule();
	test_late_run();
	test_edited_schedule();
	test_schedule_of_runs();
	test_times();
	test_watch_lags();
	return tap_done();
}
