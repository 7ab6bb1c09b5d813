/* BGDbOps: what is done once is not ended by what stops servers, nor begun beside it. */
#include "tests/unit/plan_dbops.h"

static void
test_script_is_spared(void)
{
	begin(3);
	add(CHOICE_dbops_op_SQL);
	run();
	add(CHOICE_dbops_op_RESTART);
	is(run(), "op1 say Waiting; ", "a restart waits for the script on the primary at first");
	CHECK(tells("waits for BGDbOps op0 (sql), which runs on demo-0"), "it says for which");
	task_ends(0, CHOICE_task_phase_SUCCEEDED);
	is(run(), "op0 finish Succeeded; op0 release; op1 tell 2; ", "and begins after it");
	begin(3);
	add(CHOICE_dbops_op_BENCHMARK);
	run();
	add(CHOICE_dbops_op_RESTART)->role = CHOICE_dbops_role_REPLICA;
	is(run(), "op1 tell 2; ", "what stops other servers does not wait");
	begin(3);
	add(CHOICE_dbops_op_BENCHMARK);
	run();
	add(CHOICE_dbops_op_SWITCHOVER);
	is(run(), "op1 say Waiting; ", "a switchover waits likewise");
	begin(3);
	add(CHOICE_dbops_op_SQL)->replica = true;
	run();
	add(CHOICE_dbops_op_REINIT)->wanted = 2;
	is(run(), "op1 say Waiting; ", "and a reinit of that replica,");
	begin(3);
	add(CHOICE_dbops_op_SQL)->replica = true;
	run();
	add(CHOICE_dbops_op_REINIT)->wanted = 3;
	is(run(), "op1 tell 2; ", "not of another one");
	begin(3);
	add(CHOICE_dbops_op_SQL)->replica = true;
	run();
	add(CHOICE_dbops_op_FAILOVER)->system_identifier = 7777;
	CHECK(starts(run(), "op1 tell "), "a failover waits for none");
	begin(3);
	add(CHOICE_dbops_op_VACUUM);
	run();
	add(CHOICE_dbops_op_RESTART);
	is(run(), "op1 tell 2; ", "what may be repeated is not waited for");
	begin(3);
	add(CHOICE_dbops_op_SQL);
	run();
	add(CHOICE_dbops_op_RELOAD);
	is(run(), "op1 tell 2; ", "nor is anything waited for by what disturbs nobody");
}

static void
test_script_waits(void)
{
	begin(3);
	add(CHOICE_dbops_op_RESTART);
	run();
	add(CHOICE_dbops_op_SQL);
	add(CHOICE_dbops_op_ANALYZE);
	is(run(), "op1 say Waiting; op2 tell 0; ", "a script waits for a restart at a replica");
	CHECK(ops[1].attempt == 0 && tells("waits for BGDbOps op0 (restart), which runs"),
	    "it says so");
	task_ends(0, CHOICE_task_phase_SUCCEEDED);
	run();
	for (unsigned i = 3; i-- > 0;) {
		operation_ends(i, CHOICE_operation_phase_SUCCEEDED);
		run();
	}
	CHECK(ops[1].phase == CHOICE_dbops_phase_RUNNING, "and begins after it");
	begin(3);
	reports[2].pod_inputs = 99;
	reports[0].pod_inputs = 99;
	says(2);
	says(0);
	run();
	CHECK(memory[2].pod_terminating, "a pod is replaced");
	add(CHOICE_dbops_op_SQL);
	is(run(), "op0 say Waiting; ", "a rolling change is waited for");
	CHECK(tells("waits for a change of BGCluster demo"), "it says so");
	lose_pod(2, CHOICE_instance_role_REPLICA, CHOICE_instance_state_STARTING);
	memory[2].pod_terminating = false;
	reports[2].pod_inputs = 0;
	says(2);
	pass(60);
	is(run(), "", "also while the next of it can not begin");
	begin(3);
	wanted.update = CHOICE_update_strategy_ON_DEMAND;
	note_wanted();
	reports[0].pending_restart = true;
	says(0);
	add(CHOICE_dbops_op_SQL);
	is(run(), "op0 tell 0; ", "one that is left to the user is not");
}

/* One script after another would have it wait for ever. */
static void
test_script_after_restart(void)
{
	begin(3);
	add(CHOICE_dbops_op_SQL);
	run();
	add(CHOICE_dbops_op_RESTART)->role = CHOICE_dbops_role_PRIMARY;
	add(CHOICE_dbops_op_SQL);
	add(CHOICE_dbops_op_SQL)->replica = true;
	for (unsigned i = 0; i < 3; i++)
		reports[i].task_slots = 3;
	says(0);
	is(run(), "op1 say Waiting; op2 say Waiting; op3 tell 1; ",
	    "a script does not begin before a restart that waits for another there");
	CHECK(tells("waits for BGDbOps op1 (restart), which was there before"), "it says so");
	task_ends(0, CHOICE_task_phase_SUCCEEDED);
	is(run(), "op0 finish Succeeded; op0 release; op1 tell 0; ", "which is next");
	operation_ends(0, CHOICE_operation_phase_SUCCEEDED);
	pass(2);
	is(run(), "op1 next; op1 finish Succeeded; op1 release; op2 tell 0; ", "then it");
	begin(2);
	add(CHOICE_dbops_op_SQL);
	run();
	add(CHOICE_dbops_op_RESTART);
	add(CHOICE_dbops_op_SQL)->replica = true;
	is(run(), "op1 say Waiting; op2 say Waiting; ",
	    "nor on another one of the servers that it is to restart");
}

/* A rolling change and a parameter's restart wait as what is ordered by a BGDbOps does. */
static void
test_change_spares_script(void)
{
	begin(3);
	add(CHOICE_dbops_op_SQL);
	is(run(), "op0 tell 0; ", "a script runs on the primary");
	for (unsigned i = 0; i < 3; i++) {
		reports[i].pod_inputs = 99;
		says(i);
	}
	run();
	CHECK(memory[2].pod_terminating, "a change replaces the replicas' pods");
	for (unsigned i = 3; i-- > 1;) {
		CHECK(memory[i].pod_terminating, "one by one");
		lose_pod(i, CHOICE_instance_role_REPLICA, CHOICE_instance_state_STREAMING);
		memory[i].pod_terminating = false;
		reports[i].pod_inputs = 0;
		says(i);
		pass(60);
		run();
	}
	CHECK(reports[0].operation == CHOICE_operation_NONE && !memory[0].pod_terminating,
	    "the primary hands over only when the script has ended");
	is(condition(CHOICE_condition_type_PROGRESSING)->text,
	    "waits for BGDbOps op0 (sql), which runs on demo-0; older than the spec: demo-0",
	    "it says for which");
	task_ends(0, CHOICE_task_phase_SUCCEEDED);
	run();
	CHECK(c.instance[0].told.v != 0, "then it does");
	begin(3);
	add(CHOICE_dbops_op_SQL)->replica = true;
	run();
	reports[1].pending_restart = true;
	says(1);
	pass(60);
	run();
	CHECK(c.instance[1].told.v == 0, "a server is not restarted for a parameter either");
	reports[1].pending_restart = false;
	reports[1].pod_inputs = 99;
	reports[1].state = CHOICE_instance_state_RUNNING;
	says(1);
	pass(60);
	run();
	CHECK(!memory[1].pod_terminating, "nor its pod replaced, also while it does not stream");
	reports[1].pod_inputs = 0;
	reports[1].pending_restart = true;
	reports[1].state = CHOICE_instance_state_STREAMING;
	says(1);
	task_ends(1, CHOICE_task_phase_SUCCEEDED);
	run();
	CHECK(c.instance[1].told.v != 0, "until the script has ended");
	begin(3);
	add(CHOICE_dbops_op_ANALYZE);
	run();
	reports[0].pending_restart = reports[0].restart_lowers = true;
	says(0);
	pass(60);
	run();
	CHECK(c.instance[0].told.v != 0, "what may be repeated is not waited for");
}

static void
test_paused_in_the_middle(void)
{
	begin(3);
	add(CHOICE_dbops_op_RESTART);
	run();
	wanted.paused = true;
	note_wanted();
	operation_ends(2, CHOICE_operation_phase_SUCCEEDED);
	is(run(), "op0 next; op0 say Running; ", "a paused cluster's other servers are let be");
	CHECK(tells("BGCluster demo is paused"), "it says so");
	is(run(), "", "once");
	wanted.paused = false;
	note_wanted();
	pass(2);
	is(run(), "op0 tell 1; ", "until it goes on");
	plan_next(&c, &world, &step);
	operation_ends(1, CHOICE_operation_phase_SUCCEEDED);
	plan_next(&c, &world, &step);
	CHECK(
	    step.sent.verb == CHOICE_verb_DBOPS_NEXT && step.said.due == 1, "and who is left then");
}

int
main(void)
{
	test_paused_in_the_middle();
	test_script_is_spared();
	test_script_waits();
	test_script_after_restart();
	test_change_spares_script();
	return tap_done();
}
