/*
 * BGDbOps that have begun always come to an end: who waits for an instance lets it be mended, never
 * with two servers down; what a pod will not say any more is not waited for; what can not be read
 * any more is ended.
 */
#include "tests/unit/plan_dbops.h"

static void
set_state(unsigned i, enum choice_instance_state state)
{
	reports[i].state = (uint8_t)state;
	says(i);
}

static void
make_outdated(unsigned i)
{
	reports[i].pod_inputs = 99;
	says(i);
}

/* A new pod of the present template that serves as a replica. */
static void
come_back(unsigned i)
{
	reports[i].pod_inputs = 0;
	lose_pod(i, CHOICE_instance_role_REPLICA, CHOICE_instance_state_STREAMING);
	memory[i].pod_terminating = false;
}

static void
test_roll_mends(void)
{
	struct plan_dbops *d;

	begin(3);
	d = add(CHOICE_dbops_op_RESTART);
	run();
	operation_ends(2, CHOICE_operation_phase_SUCCEEDED);
	for (unsigned i = 0; i < 3; i++)
		make_outdated(i);
	set_state(1, CHOICE_instance_state_STARTING);
	is(run(), "op0 next; op0 say Running; ", "a restart waits for one that does not serve");
	CHECK(tells("demo-1") && memory[1].pod_terminating, "and the rolling change mends it");
	CHECK(!memory[0].pod_terminating && !memory[2].pod_terminating, "and no other");
	is(run(), "", "while its pod is replaced no server is restarted");
	come_back(1);
	is(run(), "op0 tell 1; ", "then the restart goes on");
	CHECK(!memory[0].pod_terminating && !memory[2].pod_terminating,
	    "and the rolling change waits for it");
	operation_ends(1, CHOICE_operation_phase_SUCCEEDED);
	is(run(), "op0 next; op0 tell 0; ", "to the last server");
	operation_ends(0, CHOICE_operation_phase_SUCCEEDED);
	run();
	CHECK(plan_dbops_is_over(d) && memory[2].pod_terminating, "and goes on after it");
}

/* The one that does not serve is who was restarted. */
static void
test_roll_mends_the_restarted(void)
{
	begin(3);
	add(CHOICE_dbops_op_RESTART)->role = CHOICE_dbops_role_REPLICA;
	run();
	make_outdated(2);
	operation_ends(2, CHOICE_operation_phase_SUCCEEDED);
	set_state(2, CHOICE_instance_state_RUNNING);
	run();
	CHECK(memory[2].pod_terminating, "who does not serve again may be replaced");
	come_back(2);
	is(run(), "op0 tell 1; ", "and the next one has its turn");
	pass(3);
	operation_ends(1, CHOICE_operation_phase_SUCCEEDED);
	set_state(1, CHOICE_instance_state_RUNNING);
	is(run(), "op0 next; op0 say Running; ", "it is over when the last one serves again");
	CHECK(tells("waits for demo-1 to serve again"), "as it says");
	set_state(1, CHOICE_instance_state_STREAMING);
	is(run(), "op0 finish Succeeded; op0 release; ", "then");
}

static void
test_reinit_mends(void)
{
	begin(3);
	add(CHOICE_dbops_op_RESTART);
	run();
	operation_ends(2, CHOICE_operation_phase_SUCCEEDED);
	reports[2].reason = REASON_CANNOT_FOLLOW;
	set_state(2, CHOICE_instance_state_RUNNING);
	is(run(), "op0 next; op0 say Running; ", "a replica that can not follow");
	CHECK(memory[2].report.operation == CHOICE_operation_REINIT, "is cloned anew meanwhile");
	begin(3);
	set_state(1, CHOICE_instance_state_FAILED);
	add(CHOICE_dbops_op_RESTART);
	is(run(), "op0 say Waiting; ", "an older restart waits for an instance");
	add(CHOICE_dbops_op_REINIT)->wanted = 2;
	is(run(), "op1 tell 1; ", "whose reinit is not held up by that");
	begin(3);
	add(CHOICE_dbops_op_RESTART);
	run();
	operation_ends(2, CHOICE_operation_phase_SUCCEEDED);
	set_state(1, CHOICE_instance_state_FAILED);
	add(CHOICE_dbops_op_REINIT)->wanted = 2;
	is(run(), "op0 next; op0 say Running; op1 tell 1; ", "nor when the restart has begun");
	add(CHOICE_dbops_op_REINIT)->wanted = 3;
	is(run(), "op2 say Waiting; ", "but that of one that serves is");
}

static void
test_others_wait(void)
{
	begin(3);
	add(CHOICE_dbops_op_SWITCHOVER);
	run();
	make_outdated(1);
	set_state(1, CHOICE_instance_state_STARTING);
	run();
	CHECK(!memory[1].pod_terminating, "what moves the leadership holds up a rolling change");
	begin(3);
	add(CHOICE_dbops_op_RESTART);
	run();
	make_outdated(1);
	set_state(1, CHOICE_instance_state_STARTING);
	run();
	CHECK(!memory[1].pod_terminating, "so does a server that is being restarted");
}

/* The claim was seen, but its pod was not told; meanwhile another server went down. */
static void
test_claimed_server(void)
{
	begin(3);
	add(CHOICE_dbops_op_RESTART);
	run();
	reports[2].operation = 0;
	reports[2].operation_id = 0;
	says(2);
	set_state(1, CHOICE_instance_state_STARTING);
	is(run(), "op0 say Running; ", "who was claimed is not told while another does not serve");
	make_outdated(1);
	run();
	CHECK(memory[1].pod_terminating, "which may be mended");
	come_back(1);
	is(run(), "op0 tell 2; ", "then it is");
}

/* Nor can the one that was claimed be told: it is what is to be mended. */
static void
test_claimed_server_is_down(void)
{
	begin(3);
	add(CHOICE_dbops_op_RESTART);
	run();
	reports[2].operation = 0;
	reports[2].operation_id = 0;
	reports[2].reason = REASON_FOREIGN_DATA;
	set_state(2, CHOICE_instance_state_FAILED);
	is(run(), "op0 say Running; ", "one that was claimed and does not run");
	CHECK(tells("waits for demo-2 to run") &&
		  memory[2].report.operation == CHOICE_operation_REINIT,
	    "may be cloned anew");
	begin(3);
	add(CHOICE_dbops_op_RESTART);
	run();
	reports[2].operation = 0;
	reports[2].operation_id = 0;
	make_outdated(2);
	set_state(2, CHOICE_instance_state_STARTING);
	run();
	CHECK(memory[2].pod_terminating, "or replaced");
	come_back(2);
	is(run(), "op0 next; op0 tell 1; ", "and then the restart goes on");
}

/* --- Never two servers down. */

static unsigned
random_below(unsigned n)
{
	static uint64_t state = 88172645463325252ull;

	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (unsigned)((state >> 33) % n);
}

static bool is_ending[3];

static bool
is_serving(unsigned i)
{
	if (reports[i].operation != 0 &&
	    reports[i].operation_phase <= CHOICE_operation_phase_RUNNING)
		return false;
	return reports[i].state == CHOICE_instance_state_STREAMING ||
	       (reports[i].role == CHOICE_instance_role_PRIMARY &&
		   reports[i].state == CHOICE_instance_state_RUNNING);
}

static bool
stops_server(void)
{
	enum choice_verb verb = step.sent.verb;

	return verb == CHOICE_verb_REPLACE_POD || verb == CHOICE_verb_RESTART ||
	       (verb == CHOICE_verb_DBOPS_TELL && step.dbops->op == CHOICE_dbops_op_RESTART);
}

/* What was told is under way, and ends at some time. */
static void
something_happens(void)
{
	unsigned i = 1 + random_below(2);

	pass(1 + random_below(40));
	if (reports[i].operation != 0 &&
	    reports[i].operation_phase <= CHOICE_operation_phase_RUNNING) {
		reports[i].operation_phase = CHOICE_operation_phase_SUCCEEDED;
		set_state(i, random_below(2) ? CHOICE_instance_state_STREAMING
					     : CHOICE_instance_state_RUNNING);
	} else if (is_ending[i]) {
		is_ending[i] = false;
		come_back(i);
	} else if (random_below(3) == 0) {
		if (random_below(2))
			reports[i].pod_inputs = 99;
		set_state(i, CHOICE_instance_state_RUNNING);
	} else if (random_below(3) == 0) {
		set_state(i, CHOICE_instance_state_STREAMING);
	}
	if (reports[0].operation_phase <= CHOICE_operation_phase_RUNNING)
		operation_ends(0, CHOICE_operation_phase_SUCCEEDED);
}

/* One turn: each step until nothing is due. False: a second server was stopped. */
static bool
turn(unsigned *mended)
{
	for (unsigned n = 0; n < 40; n++) {
		struct plan_answer a;

		plan_next(&c, &world, &step);
		if (step.sent.verb == CHOICE_verb_NONE)
			return true;
		for (unsigned i = 0; i < 3 && stops_server(); i++)
			if (i != step.sent.ordinal && !is_serving(i))
				return false;
		if (step.sent.verb == CHOICE_verb_REPLACE_POD &&
		    ops[0].phase == CHOICE_dbops_phase_RUNNING)
			++*mended;
		if (step.dbops != NULL) {
			take_effect();
			continue;
		}
		a = done_answer();
		if (step.sent.verb == CHOICE_verb_OBSERVE_POD)
			a.child_uid = reports[step.sent.ordinal].pod_uid;
		answer(&a);
		if (step.sent.verb == CHOICE_verb_REPLACE_POD) {
			is_ending[step.sent.ordinal] = true;
			set_state(step.sent.ordinal, CHOICE_instance_state_STOPPING);
		}
	}
	return true;
}

static void
test_never_two_down(void)
{
	unsigned ended = 0, mended = 0, runs = 300;
	bool one = true;

	for (unsigned k = 0; k < runs && one; k++) {
		begin(3);
		make_outdated(1 + random_below(2));
		add(CHOICE_dbops_op_RESTART);
		for (unsigned n = 0; n < 200 && one && ops[0].phase < CHOICE_dbops_phase_SUCCEEDED;
		     n++) {
			one = turn(&mended);
			something_happens();
		}
		ended += ops[0].phase == CHOICE_dbops_phase_SUCCEEDED;
	}
	CHECK(one, "no server is stopped while another one does not serve");
	CHECK(mended > 0, "pods were replaced while a restart was under way");
	CHECK(ended == runs, "and each restart came to its end");
	if (ended != runs)
		printf("# %u of %u, %s: %s\n", ended, runs,
		    choice_text(VOCAB_dbops_phase, ops[0].phase), said);
}

/* --- What will not be said any more. */

static void
hibernate(void)
{
	wanted.hibernated = true;
	note_wanted();
	for (unsigned i = 0; i < wanted.instances; i++) {
		reports[i].stop = CHOICE_stop_POSTGRESQL;
		set_state(i, CHOICE_instance_state_STOPPING);
	}
}

static void
come_to_rest(void)
{
	for (unsigned i = 0; i < wanted.instances; i++)
		set_state(i, CHOICE_instance_state_STOPPED);
	note_statefulset(0, 0);
}

static void
test_hibernated(void)
{
	struct plan_dbops *d;

	begin(2);
	d = add(CHOICE_dbops_op_VACUUM);
	run();
	hibernate();
	is(run(), "", "while its pod is there its word is waited for");
	come_to_rest();
	is(run(), "op0 retry Pending; ", "but not of one that is gone");
	CHECK(tells("hibernated") && reason == CHOICE_dbops_reason_INTERRUPTED, "it says why");
	pass(5);
	is(run(), "op0 say Waiting; ", "it is repeated when the cluster wakes");
	CHECK(d->attempt == 1 && d->retries == 1, "as that run's second attempt");
	begin(2);
	add(CHOICE_dbops_op_SQL);
	run();
	hibernate();
	come_to_rest();
	is(run(), "op0 finish Failed; op0 release; ", "a script is not");
	CHECK(tells("not known") && reason == CHOICE_dbops_reason_INTERRUPTED, "as it says");
	begin(2);
	add(CHOICE_dbops_op_SWITCHOVER);
	run();
	hibernate();
	come_to_rest();
	is(run(), "op0 finish Failed; op0 release; ", "nor is a switchover");
	begin(2);
	add(CHOICE_dbops_op_RESTART);
	run();
	hibernate();
	come_to_rest();
	is(run(), "op0 next; op0 finish Failed; op0 release; ", "a restart ends likewise");
	CHECK(tells("hibernated") && reason == CHOICE_dbops_reason_INTERRUPTED, "and says so");
	begin(2);
	add(CHOICE_dbops_op_RESTART);
	run();
	hibernate();
	operation_ends(1, CHOICE_operation_phase_FAILED);
	is(run(), "op0 finish Failed; op0 release; ", "also where its pod says it before");
	CHECK(reason == CHOICE_dbops_reason_INTERRUPTED, "and is not begun elsewhere");
}

static void
test_last_word(void)
{
	begin(2);
	add(CHOICE_dbops_op_SQL);
	run();
	reports[0].role = CHOICE_instance_role_NONE;
	reports[0].task[0].phase = CHOICE_task_phase_SUCCEEDED;
	set_state(0, CHOICE_instance_state_UNKNOWN);
	is(run(), "op0 finish Succeeded; op0 release; ", "a lost pod's last word holds");
	begin(2);
	add(CHOICE_dbops_op_SQL);
	run();
	memory[0].looked = true;
	memory[0].pod_present = false;
	is(run(), "op0 finish Failed; op0 release; ", "a pod that is not there says nothing more");
}

static void
test_unreadable(void)
{
	static char why[] = "spec.reindex.tables: has characters that may not stand there";
	struct plan_dbops *d;

	begin(2);
	d = add(CHOICE_dbops_op_REINDEX);
	run();
	d->invalid = why;
	d->generation++;
	is(run(), "op0 cancel 0; ", "what can not be read any more is ended");
	is(run(), "", "and waited for");
	task_ends(0, CHOICE_task_phase_CANCELLED);
	is(run(), "op0 finish Failed; op0 release; ", "then it is over");
	CHECK(tells("its spec was changed") && tells("spec.reindex.tables"), "it says why");
	begin(2);
	d = add(CHOICE_dbops_op_REINDEX);
	run();
	d->invalid = why;
	run();
	pass(60);
	is(run(), "op0 finish Failed; ", "who does not hear is left");
	CHECK(d->cleanup == CHOICE_dbops_cleanup_DUE, "and cleaned up after, once it is free");
	task_ends(0, CHOICE_task_phase_FAILED);
	is(run(), "op0 clean 0; ", "which is now");
	begin(2);
	d = add(CHOICE_dbops_op_REINDEX);
	run();
	d->invalid = why;
	lose_pod(0, CHOICE_instance_role_PRIMARY, CHOICE_instance_state_RUNNING);
	is(run(), "op0 finish Failed; op0 clean 0; ", "a lost one's leavings are removed");
	begin(2);
	d = add(CHOICE_dbops_op_RESTART);
	run();
	d->invalid = why;
	is(run(), "", "a server that is being restarted is waited for");
	operation_ends(1, CHOICE_operation_phase_SUCCEEDED);
	is(run(), "op0 finish Failed; op0 release; ", "no other is");
	begin(2);
	d = add(CHOICE_dbops_op_VACUUM);
	run();
	d->invalid = why;
	task_ends(0, CHOICE_task_phase_SUCCEEDED);
	is(run(), "op0 finish Failed; op0 release; ", "a schedule ends with its last run");
	CHECK(tells("this run was the last"), "as it says");
}

/* --- Fenced since it was claimed. */

static void
fence(unsigned i)
{
	wanted.fenced |= 1u << i;
	note_wanted();
}

/* The claim was seen, but its pod was not told, and is fenced now. */
static struct plan_dbops *
claim_and_fence(enum choice_dbops_op op, unsigned named, unsigned i)
{
	struct plan_dbops *d;

	begin(3);
	d = add(op);
	d->wanted = (uint8_t)named;
	run();
	reports[i].operation = reports[i].operation_phase = 0;
	reports[i].operation_id = reports[i].task[0].owner = 0;
	says(i);
	fence(i);
	set_state(i, CHOICE_instance_state_STOPPED);
	return d;
}

static void
test_fenced(void)
{
	struct plan_dbops *d = claim_and_fence(CHOICE_dbops_op_RESTART, 0, 2);

	is(run(), "op0 next; op0 tell 1; ", "a restart passes a fenced server by");
	CHECK(d->restarted == 4, "which starts anew when it may");
	begin(3);
	add(CHOICE_dbops_op_RELOAD);
	run();
	fence(2);
	operation_ends(2, CHOICE_operation_phase_FAILED);
	is(run(), "op0 next; op0 tell 1; ", "also where it was told before");
	claim_and_fence(CHOICE_dbops_op_REINIT, 3, 2);
	is(run(), "op0 finish Failed; op0 release; ", "a reinit ends");
	CHECK(tells("demo-2 was fenced") && tells("spec.fencedInstances") &&
		  reason == CHOICE_dbops_reason_INTERRUPTED,
	    "and says what to do");
	claim_and_fence(CHOICE_dbops_op_SWITCHOVER, 0, 0);
	is(run(), "op0 finish Failed; op0 release; ", "so does a switchover");
	claim_and_fence(CHOICE_dbops_op_SQL, 0, 0);
	is(run(), "op0 finish Failed; op0 release; ", "and a script");
	d = claim_and_fence(CHOICE_dbops_op_VACUUM, 0, 0);
	is(run(), "op0 retry Pending; ", "what may be repeated is,");
	move_leadership(0, 1);
	pass(5);
	is(run(), "op0 tell 1; ", "where another instance leads");
	begin(3);
	fence(2);
	set_state(2, CHOICE_instance_state_STOPPED);
	add(CHOICE_dbops_op_REINIT)->wanted = 3;
	is(run(), "op0 say Waiting; ", "a reinit of a fenced instance does not begin");
	CHECK(tells("demo-2 is fenced"), "as it says");
}

/* Nobody ends these: they hold up nothing. */
static void
test_left_alone(void)
{
	struct plan_dbops *d;

	begin(3);
	d = add(CHOICE_dbops_op_RESTART);
	run();
	d->quarantined = true;
	make_outdated(1);
	run();
	CHECK(!memory[1].pod_terminating, "what its pod still does is waited for");
	operation_ends(2, CHOICE_operation_phase_SUCCEEDED);
	add(CHOICE_dbops_op_SWITCHOVER);
	run();
	CHECK(memory[1].pod_terminating, "what crashed us holds up no rolling change");
	begin(3);
	d = add(CHOICE_dbops_op_RESTART);
	run();
	operation_ends(2, CHOICE_operation_phase_SUCCEEDED);
	d->deleted_s = world.unix_s;
	d->finalizer = false;
	add(CHOICE_dbops_op_SWITCHOVER);
	is(run(), "op1 tell 0; ", "nor does one that is let go of hold up another");
}

static void
add_pending(void)
{
	begin(3);
	wanted.loop_wait = 10;
	wanted.generation++;
	note_wanted();
	add(CHOICE_dbops_op_RESTART)->only_pending = true;
}

static void
take_up(unsigned i)
{
	reports[i].config_generation = wanted.generation;
	says(i);
}

/* Applied together with the parameter that it is for. */
static void
test_only_pending(void)
{
	add_pending();
	CHECK(starts(run(), "op0 say Waiting; ") && tells("demo-0 to take up generation"),
	    "until the primary has taken up the spec nobody knows what is pending");
	take_up(1);
	pass(2);
	is(run(), "", "whoever else has");
	take_up(0);
	pass(2);
	is(run(), "op0 say Waiting; ", "then each Patroni says what waits for a restart,");
	CHECK(tells("waits for Patroni"), "where replicas have nothing to report as well");
	pass(24);
	is(run(), "", "within its loop");
	reports[0].pending_restart = true;
	says(0);
	pass(1);
	is(run(), "op0 tell 0; ", "which is restarted then");
	begin(3);
	run();
	pass(60);
	add(CHOICE_dbops_op_RESTART)->only_pending = true;
	is(run(), "op0 say Waiting; ", "a change that comes with it may be heard of later");
	pass(5);
	is(run(), "op0 finish Succeeded; ", "else nothing waits for a restart");
	CHECK(tells("no server"), "it says so");
	add_pending();
	run();
	pass(599);
	is(run(), "", "who does not take it up");
	pass(1);
	is(run(), "op0 finish Failed; ", "is not waited for for ever");
	CHECK(tells("demo-0 has not taken up generation"), "it says who");
	add_pending();
	wanted.hibernated = true;
	note_wanted();
	run();
	pass(3600);
	run();
	CHECK(tells("hibernated"), "who has waited for something else");
	wanted.hibernated = false;
	note_wanted();
	run();
	CHECK(tells("waits for demo-0 to take up"), "has ten minutes from then on");
	pass(599);
	is(run(), "", "all of them");
	pass(1);
	is(run(), "op0 finish Failed; ", "and no more");
	add_pending();
	reports[0].role = CHOICE_instance_role_REPLICA;
	reports[0].state = CHOICE_instance_state_STREAMING;
	take_up(0);
	is(run(), "op0 say Waiting; ", "and while nobody leads,");
	CHECK(tells("no primary"), "there is none to be asked");
	pass(100);
	move_leadership(0, 1);
	take_up(1);
	run();
	CHECK(tells("waits for Patroni"), "but then who leads is");
}

int
main(void)
{
	test_roll_mends();
	test_roll_mends_the_restarted();
	test_reinit_mends();
	test_others_wait();
	test_claimed_server();
	test_claimed_server_is_down();
	test_never_two_down();
	test_hibernated();
	test_last_word();
	test_fenced();
	test_unreadable();
	test_left_alone();
	test_only_pending();
	return tap_done();
}
