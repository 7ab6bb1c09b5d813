/*
 * BGDbOps: what one pod does at once, each in a slot of its own; and that no slot is used again
 * before what it held is taken in.
 */
#include "tests/unit/plan_dbops.h"

/* Their agents know of all slots. */
static void
begin_slots(unsigned n)
{
	begin(n);
	for (unsigned i = 0; i < n; i++) {
		reports[i].task_slots = TASKS_MAX;
		says(i);
	}
}

static bool
is_in(const struct plan_dbops *d, unsigned i, unsigned slot)
{
	return reports[i].task[slot].owner == model_uid_key(&d->uid) &&
	       reports[i].task[slot].attempt == d->attempt;
}

/* Nothing more is done with it for a while, as after a step that has failed. */
static void
set_aside(struct plan_dbops *d)
{
	d->try = (struct plan_try){
	    .code = CHOICE_step_code_RETRY, .failures = 1, .until = {world.now.v + 30000}};
}

static void
test_beside(void)
{
	begin_slots(3);
	add(CHOICE_dbops_op_VACUUM);
	add(CHOICE_dbops_op_ANALYZE);
	add(CHOICE_dbops_op_CHECKPOINT);
	add(CHOICE_dbops_op_SQL);
	is(run(), "op0 tell 0; op1 tell 0; op2 tell 0; op3 say Waiting; ",
	    "three tasks at once, and no more");
	CHECK(is_in(&ops[0], 0, 0) && is_in(&ops[1], 0, 1) && is_in(&ops[2], 0, 2),
	    "each in a slot of its own");
	CHECK(tells("waits for BGDbOps op0 (vacuum), which runs on demo-0"), "the oldest is named");
	reports[0].task[1].phase = CHOICE_task_phase_RUNNING;
	reports[0].task[1].percent = 30;
	says(0);
	is(run(), "op1 progress; ", "progress is that of its slot");
	slot_ends(0, 1, CHOICE_task_phase_SUCCEEDED);
	is(run(), "op1 finish Succeeded; op1 release; op3 tell 0; ", "so is its end");
	CHECK(is_in(&ops[3], 0, 1), "and who has waited has its slot");
	slot_ends(0, 2, CHOICE_task_phase_FAILED);
	is(run(), "op2 finish Failed; op2 release; ", "each ends as it does");
	slot_ends(0, 0, CHOICE_task_phase_SUCCEEDED);
	is(run(), "op0 finish Succeeded; op0 release; ", "none ends another");
	slot_ends(0, 1, CHOICE_task_phase_SUCCEEDED);
	is(run(), "op3 finish Succeeded; op3 release; ", "whatever their order");
}

static void
test_conflicts(void)
{
	begin_slots(3);
	add(CHOICE_dbops_op_VACUUM);
	add(CHOICE_dbops_op_REINDEX);
	add(CHOICE_dbops_op_REPACK);
	add(CHOICE_dbops_op_ANALYZE);
	add(CHOICE_dbops_op_ANALYZE);
	is(run(), "op0 tell 0; op1 say Waiting; op2 say Waiting; op3 tell 0; op4 say Waiting; ",
	    "what rewrites tables is not done beside its like, nor anything beside itself");
	CHECK(tells("waits for BGDbOps op3 (analyze)"),
	    "it waits for the one that it conflicts with");
	slot_ends(0, 0, CHOICE_task_phase_SUCCEEDED);
	is(run(), "op0 finish Succeeded; op0 release; op2 tell 0; ",
	    "then who is next, but for a reindex, which would wait for the analyze's snapshot");
	pass(2);
	is(run(), "op1 say Waiting; ", "for which it waits");
	CHECK(tells("waits for BGDbOps op2 (repack)"), "and for the other one");
	begin_slots(3);
	add(CHOICE_dbops_op_SQL);
	add(CHOICE_dbops_op_SQL);
	add(CHOICE_dbops_op_BENCHMARK);
	is(run(), "op0 tell 0; op1 tell 0; op2 tell 0; ", "scripts go beside each other");
	begin_slots(3);
	add(CHOICE_dbops_op_CHECKPOINT);
	add(CHOICE_dbops_op_CHECKPOINT);
	is(run(), "op0 tell 0; op1 say Waiting; ", "a checkpoint waits for another");
	begin(3);
	add(CHOICE_dbops_op_VACUUM);
	add(CHOICE_dbops_op_CHECKPOINT);
	is(run(), "op0 tell 0; op1 say Waiting; ", "an agent of an older version has one slot");
	begin_slots(3);
	reports[0].task_slots = 2;
	says(0);
	add(CHOICE_dbops_op_VACUUM);
	add(CHOICE_dbops_op_CHECKPOINT);
	add(CHOICE_dbops_op_SQL);
	is(run(), "op0 tell 0; op1 tell 0; op2 say Waiting; ", "each as many as it says");
}

/* It has ended there, and its BGDbOps does not say so yet. */
static void
test_last_word_is_kept(void)
{
	struct plan_dbops *d;

	begin_slots(1);
	d = add(CHOICE_dbops_op_SQL);
	run();
	slot_ends(0, 0, CHOICE_task_phase_SUCCEEDED);
	set_aside(d);
	add(CHOICE_dbops_op_CHECKPOINT);
	is(run(), "op1 tell 0; ", "what has ended does not keep others waiting");
	CHECK(is_in(d, 0, 0) && is_in(&ops[1], 0, 1), "but keeps its slot until it is taken in");
	slot_ends(0, 1, CHOICE_task_phase_SUCCEEDED);
	set_aside(&ops[1]);
	add(CHOICE_dbops_op_ANALYZE);
	run();
	slot_ends(0, 2, CHOICE_task_phase_SUCCEEDED);
	set_aside(&ops[2]);
	add(CHOICE_dbops_op_VACUUM);
	is(run(), "op3 say Waiting; ", "where all slots hold such a word it is waited for");
	pass(30);
	CHECK(starts(run(), "op0 finish Succeeded; "), "then it is taken in");
	CHECK(is_in(&ops[3], 0, 0), "and its slot is free");
	begin_slots(1);
	d = add(CHOICE_dbops_op_SQL);
	run();
	slot_ends(0, 0, CHOICE_task_phase_SUCCEEDED);
	set_aside(d);
	d->phase = CHOICE_dbops_phase_NONE;
	d->attempt = 0;
	d->ordinal = 0;
	add(CHOICE_dbops_op_CHECKPOINT);
	is(run(), "op1 tell 0; ", "so it is where the record of its claim has not come");
	CHECK(reports[0].task[0].owner == model_uid_key(&d->uid), "since that may be told later");
	begin(1);
	d = add(CHOICE_dbops_op_SQL);
	run();
	task_ends(0, CHOICE_task_phase_SUCCEEDED);
	set_aside(d);
	add(CHOICE_dbops_op_CHECKPOINT);
	is(run(), "op1 say Waiting; ", "the only slot of an older agent is waited for");
}

static void
test_quarantine(void)
{
	struct plan_dbops *d;

	for (unsigned once = 0; once < 2; once++) {
		begin_slots(1);
		d = add(once ? CHOICE_dbops_op_SQL : CHOICE_dbops_op_ANALYZE);
		run();
		slot_ends(0, 0, CHOICE_task_phase_SUCCEEDED);
		d->quarantined = true;
		add(CHOICE_dbops_op_CHECKPOINT);
		is(run(), "op1 tell 0; ", "what crashed us keeps nobody waiting");
		CHECK(is_in(&ops[1], 0, once), "what is done once keeps its word, though");
	}
}

/* What the executor is told to find there. */
static void
test_held(void)
{
	struct plan_dbops *d;

	begin_slots(1);
	d = add(CHOICE_dbops_op_CHECKPOINT);
	plan_next(&c, &world, &step);
	CHECK(step.sent.verb == CHOICE_verb_DBOPS_TELL && step.sent.slot == 0 &&
		  step.sent.held == 0 && step.sent.held_attempt == 0,
	    "an empty slot is to be empty");
	run();
	slot_ends(0, 0, CHOICE_task_phase_SUCCEEDED);
	run();
	add(CHOICE_dbops_op_ANALYZE);
	plan_next(&c, &world, &step);
	CHECK(step.sent.verb == CHOICE_verb_DBOPS_TELL && step.sent.slot == 0 &&
		  step.sent.held == model_uid_key(&d->uid) && step.sent.held_attempt == 1,
	    "one that was used is to hold what was taken in");
}

static void
test_own_slot(void)
{
	struct plan_dbops *d;

	begin_slots(1);
	add(CHOICE_dbops_op_SQL);
	d = add(CHOICE_dbops_op_REINDEX);
	run();
	CHECK(is_in(d, 0, 1), "the second slot");
	slot_ends(0, 0, CHOICE_task_phase_SUCCEEDED);
	reports[0].task[1].interrupted = true;
	slot_ends(0, 1, CHOICE_task_phase_FAILED);
	CHECK(strstr(run(), "op1 retry Pending; op1 clean 0; ") != NULL && is_in(d, 0, 1) &&
		  reports[0].task[0].owner != model_uid_key(&d->uid),
	    "its cleanup is in the slot that it had");
	slot_ends(0, 1, CHOICE_task_phase_SUCCEEDED);
	run();
	pass(5);
	is(run(), "op1 tell 0; ", "and so is its next attempt");
	CHECK(d->attempt == 3 && is_in(d, 0, 1), "though others are free");
	begin_slots(1);
	d = add(CHOICE_dbops_op_REINDEX);
	d->timeout_s = 60;
	run();
	pass(65);
	run();
	pass(60);
	run();
	CHECK(d->cleanup == CHOICE_dbops_cleanup_DUE && d->phase == CHOICE_dbops_phase_FAILED,
	    "one that does not hear that it is to end");
	is(run(), "", "is not cleaned up after in another slot");
	slot_ends(0, 0, CHOICE_task_phase_CANCELLED);
	is(run(), "op0 clean 0; ", "but when it has ended");
}

/* Of a BGDbOps that is gone: its finalizer was removed by force. */
static void
test_unclaimed(void)
{
	begin_slots(1);
	reports[0].task[0] = (struct plan_task){.owner = 77,
	    .attempt = 1,
	    .kind = CHOICE_task_kind_VACUUM,
	    .phase = CHOICE_task_phase_RUNNING};
	says(0);
	add(CHOICE_dbops_op_REINDEX);
	add(CHOICE_dbops_op_SQL);
	is(run(), "op0 say Waiting; op1 tell 0; ", "what nobody claims is waited for as well");
	CHECK(ops[0].said == model_dbops_said(CHOICE_dbops_phase_WAITING, 0,
				 STR("waits for demo-0 to end what it was told before")) &&
		  is_in(&ops[1], 0, 1),
	    "it says so");
	slot_ends(0, 0, CHOICE_task_phase_CANCELLED);
	is(run(), "op0 tell 0; ", "until it has ended");
	CHECK(is_in(&ops[0], 0, 0), "then its slot is free");
}

static void
test_cleanup_counts(void)
{
	struct plan_dbops *d;

	begin_slots(1);
	d = add(CHOICE_dbops_op_REINDEX);
	run();
	reports[0].task[0].interrupted = true;
	slot_ends(0, 0, CHOICE_task_phase_FAILED);
	is(run(), "op0 retry Pending; op0 clean 0; ", "what is left is removed");
	add(CHOICE_dbops_op_VACUUM);
	add(CHOICE_dbops_op_CHECKPOINT);
	is(run(), "op1 say Waiting; op2 tell 0; ", "beside what touches no table");
	CHECK(ops[1].said == model_dbops_said(CHOICE_dbops_phase_WAITING, 0,
				 STR("waits for BGDbOps op0 (reindex), which runs on demo-0")),
	    "the others wait");
	slot_ends(0, 0, CHOICE_task_phase_SUCCEEDED);
	is(run(), "op0 cleaned; op1 tell 0; ", "for it");
	(void)d;
}

/* Both claims are written, but op0's pod was not told; op1 is at work. */
static void
test_claims_that_conflict(void)
{
	begin_slots(1);
	add(CHOICE_dbops_op_VACUUM);
	run();
	memset(reports[0].task, 0, sizeof(reports[0].task));
	says(0);
	add(CHOICE_dbops_op_REINDEX);
	add(CHOICE_dbops_op_SQL);
	for (unsigned k = 1; k < 3; k++) {
		plan_next(&c, &world, &step);
		step.dbops = &ops[k];
		step.sent.attempt = 1;
		step.sent.slot = (uint8_t)k;
		claim(&ops[k]);
		tell_pod(&ops[k]);
	}
	says(0);
	is(run(), "", "what was claimed is not told beside what it conflicts with");
	slot_ends(0, 2, CHOICE_task_phase_SUCCEEDED);
	is(run(), "op2 finish Succeeded; op2 release; ", "whatever else has ended");
	slot_ends(0, 1, CHOICE_task_phase_SUCCEEDED);
	is(run(), "op0 tell 0; op1 finish Succeeded; op1 release; ", "only after that");
	CHECK(is_in(&ops[0], 0, 0) && reports[0].task[1].owner == model_uid_key(&ops[1].uid),
	    "in a slot that holds nothing that was not taken in");
}

static void
test_cancel_one(void)
{
	begin_slots(1);
	add(CHOICE_dbops_op_SQL);
	add(CHOICE_dbops_op_SQL);
	run();
	ops[1].deleted_s = world.unix_s;
	is(run(), "op1 cancel 0; ", "one of two is cancelled");
	CHECK(!reports[0].task[0].cancel && reports[0].task[1].cancel, "in its slot");
	slot_ends(0, 1, CHOICE_task_phase_CANCELLED);
	is(run(), "op1 finish Cancelled; op1 release; ", "and the other goes on");
}

int
main(void)
{
	test_beside();
	test_conflicts();
	test_last_word_is_kept();
	test_quarantine();
	test_held();
	test_own_slot();
	test_unclaimed();
	test_cleanup_counts();
	test_claims_that_conflict();
	test_cancel_one();
	return tap_done();
}
