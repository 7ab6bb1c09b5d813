/* BGDbOps while not everything is seen: lists that are not complete yet, records that come late. */
#include "plan/rule.h"
#include "tests/unit/plan_dbops.h"

/* A new life knows neither the BGCluster nor its instances yet. */
static void
unlist(enum kind kind)
{
	world.listed &= ~(1u << kind);
	if (kind == KIND_BGCLUSTER)
		plan_note_cluster_gone(&c, &wanted.uid);
	for (unsigned i = 0; i < wanted.instances && kind == KIND_BGINSTANCE; i++)
		memory[i].known = memory[i].child.present = false;
}

static void
test_lists(void)
{
	struct plan_dbops *d;

	begin(2);
	d = add(CHOICE_dbops_op_REINDEX);
	run();
	lose_pod(0, CHOICE_instance_role_NONE, CHOICE_instance_state_STARTING);
	run();
	CHECK(d->cleanup == CHOICE_dbops_cleanup_DUE, "an interrupted one leaves something");
	unlist(KIND_BGCLUSTER);
	is(run(), "", "which is not given up while BGClusters are not listed");
	begin(1);
	d = add(CHOICE_dbops_op_BENCHMARK);
	run();
	d->deleted_s = world.unix_s;
	unlist(KIND_BGCLUSTER);
	is(run(), "", "a deleted one is not said to be cancelled before its pod is seen");
	begin(2);
	d = add(CHOICE_dbops_op_SWITCHOVER);
	run();
	d->deleted_s = world.unix_s;
	unlist(KIND_BGINSTANCE);
	is(run(), "", "nor is one let go that can not be taken back");
	begin(3);
	d = add(CHOICE_dbops_op_RESTART);
	d->only_pending = true;
	d->phase = CHOICE_dbops_phase_RUNNING;
	d->attempt = 1;
	d->restarted = 4;
	unlist(KIND_BGINSTANCE);
	is(run(), "", "and a restart does not end before its servers are");
}

static void
look_at(unsigned i, bool terminating)
{
	struct plan_answer a = {.code = CHOICE_step_code_DONE,
	    .child_uid = reports[i].pod_uid,
	    .present = true,
	    .ready = true,
	    .terminating = terminating};

	plan_done(&c, &step.sent, &a, world.now);
}

/* It was told, and ends before the record of its claim comes. */
static void
tell_unseen(struct plan_dbops *d)
{
	struct plan_answer a = {.code = CHOICE_step_code_DONE,
	    .child_uid = memory[0].child.uid,
	    .dbops_version = d->version + 2};
	struct plan_dbops now;

	plan_next(&c, &world, &step);
	while (step.sent.verb == CHOICE_verb_OBSERVE_POD) {
		look_at(step.sent.ordinal, false);
		plan_next(&c, &world, &step);
	}
	CHECK(step.sent.verb == CHOICE_verb_DBOPS_TELL && step.dbops == d, "it is told");
	tell_pod(d);
	plan_done(&c, &step.sent, &a, world.now);
	reports[0].task[0].phase = CHOICE_task_phase_SUCCEEDED;
	reports[0].operation_phase = CHOICE_operation_phase_SUCCEEDED;
	says(0);
	now = *d;
	now.version++; /* of the finalizer, before the claim */
	now.phase = CHOICE_dbops_phase_NONE;
	now.ordinal = 0;
	plan_note_dbops(d, &now, false);
}

static void
test_late_claim(void)
{
	begin(2);
	tell_unseen(add(CHOICE_dbops_op_SQL));
	add(CHOICE_dbops_op_VACUUM);
	is(run(), "", "a pod has no other task before what it did is known to be claimed");
	begin(2);
	tell_unseen(add(CHOICE_dbops_op_SWITCHOVER));
	add(CHOICE_dbops_op_FAILOVER)->system_identifier = 7777;
	is(run(), "op1 say Waiting; ", "nor is a failover begun beside such a switchover");
	CHECK(dbops_disrupts(&c), "and a rolling change waits");
}

/* A list is under way, and may be older than what was written meanwhile. */
static void
test_late_list(void)
{
	struct plan_dbops *d, now;

	begin(2);
	d = add(CHOICE_dbops_op_SQL);
	tell_unseen(d);
	now = *d;
	now.phase = CHOICE_dbops_phase_NONE;
	plan_note_dbops(d, &now, true);
	add(CHOICE_dbops_op_VACUUM);
	is(run(), "", "a list that does not show a claim is not its end");
	pass(59);
	is(run(), "", "the record is waited for,");
	pass(1);
	is(run(), "op0 finish Succeeded; op1 tell 0; ", "though not for ever");
	begin(2);
	d = add(CHOICE_dbops_op_SQL);
	tell_unseen(d);
	reports[0].task[0].owner = 0;
	says(0);
	now = *d;
	now.version -= 2;
	now.phase = CHOICE_dbops_phase_NONE;
	now.attempt = 0;
	now.ordinal = 0;
	plan_note_dbops(d, &now, true);
	is(run(), "op0 tell 0; ", "an etcd that was restored knows nothing of it");
}

/* The claim of op0 is written, but its pod was not told; then op1 was told there, and ended. */
static void
test_claims_of_one_pod(void)
{
	begin(1);
	add(CHOICE_dbops_op_CHECKPOINT);
	run();
	reports[0].task[0].owner = 0;
	says(0);
	add(CHOICE_dbops_op_SQL);
	plan_next(&c, &world, &step);
	step.dbops = &ops[1];
	step.sent.attempt = 1;
	claim(&ops[1]);
	tell_pod(&ops[1]);
	task_ends(0, CHOICE_task_phase_SUCCEEDED);
	is(run(), "op1 finish Succeeded; op0 tell 0; op1 release; ",
	    "a pod is told something else once its last word is in a status");
}

/* The same in a new life, which has not seen op1 yet. */
static void
test_unlisted_claim_of_one_pod(void)
{
	begin(1);
	add(CHOICE_dbops_op_CHECKPOINT);
	run();
	reports[0].task[0].owner = 501; /* of one that is not among those that are seen */
	reports[0].task[0].attempt = 1;
	task_ends(0, CHOICE_task_phase_SUCCEEDED);
	world.listed &= ~(1u << KIND_BGDBOPS);
	is(run(), "", "a pod may hold the last word of one that is not listed yet");
	world.listed |= 1u << KIND_BGDBOPS;
	is(run(), "op0 tell 0; ", "and is told something else when all are");
}

/* The claim of op0 is written, but not told; op1 was, and ended before its claim is seen. */
static void
test_unseen_claim_of_one_pod(void)
{
	struct plan_answer a = {.code = CHOICE_step_code_DONE};

	begin(1);
	add(CHOICE_dbops_op_CHECKPOINT);
	run();
	reports[0].task[0].owner = 0;
	says(0);
	add(CHOICE_dbops_op_SQL);
	plan_next(&c, &world, &step);
	CHECK(step.sent.verb == CHOICE_verb_DBOPS_TELL, "it is to be told");
	step.sent.dbops = ops[1].uid;
	step.sent.attempt = 1;
	a.child_uid = memory[0].child.uid;
	a.dbops_version = ops[1].version + 2;
	tell_pod(&ops[1]);
	plan_done(&c, &step.sent, &a, world.now);
	task_ends(0, CHOICE_task_phase_SUCCEEDED);
	is(run(), "", "nor is it while the other one's claim is only known from our own step");
}

/* A former life has told a pod to end: it says that it serves until its next word. */
static void
test_last_word(void)
{
	begin(3);
	add(CHOICE_dbops_op_RESTART);
	for (unsigned i = 0; i < 3; i++) {
		memory[i].looked = false;
		plan_next(&c, &world, &step);
		CHECK(step.sent.verb == CHOICE_verb_OBSERVE_POD && step.sent.ordinal == i,
		    "a new life looks at every pod before a server is stopped");
		look_at(i, i == 2);
	}
	is(run(), "op0 say Waiting; ", "and stops none while one ends");
	CHECK(strstr(said, "under way") != NULL, "it says so");
	lose_pod(2, CHOICE_instance_role_REPLICA, CHOICE_instance_state_STREAMING);
	pass(2);
	is(run(), "op0 tell 2; ", "until the next one serves");
}

int
main(void)
{
	test_claims_of_one_pod();
	test_unlisted_claim_of_one_pod();
	test_unseen_claim_of_one_pod();
	test_last_word();
	test_lists();
	test_late_claim();
	test_late_list();
	return tap_done();
}
