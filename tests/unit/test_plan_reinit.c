/* A replica that can not follow: when it is told to be cloned anew, how often, and when never. */
#include "tests/unit/plan_script.h"

static void
sticks(unsigned i, enum choice_reason reason)
{
	reports[i].reason = (uint8_t)reason;
	reports[i].state = reason == REASON_CANNOT_FOLLOW ? CHOICE_instance_state_RUNNING
	                                                  : CHOICE_instance_state_FAILED;
	if (reason != REASON_CANNOT_FOLLOW)
		reports[i].role = CHOICE_instance_role_NONE;
	says(i);
}

/* Three instances that serve, demo-0 the primary; demo-2 can not follow. */
static void
begin(void)
{
	serve_saying(3);
	sticks(2, REASON_CANNOT_FOLLOW);
	world.now.v += 60000;
}

/* Is that instance told now? What is said, looked at or kept comes before. */
static bool
is_told(unsigned ordinal)
{
	for (unsigned n = 0; n < 20 && next(); n++) {
		struct plan_answer a = done_answer();

		if (step.sent.verb == CHOICE_verb_REINIT)
			return step.sent.ordinal == ordinal &&
			       uid_eq(&step.sent.target, &reports[ordinal].pod_uid);
		if (step.sent.verb == CHOICE_verb_OBSERVE_POD)
			a.child_uid = reports[step.sent.ordinal].pod_uid;
		answer(&a);
	}
	return false;
}

static bool
is_nobody_told(void)
{
	for (unsigned i = 0; i < 3; i++)
		if (is_told(i))
			return false;
	return true;
}

static void
tell(unsigned i)
{
	struct plan_answer a = done_answer();

	answer(&a);
	reports[i].operation = CHOICE_operation_REINIT;
	reports[i].operation_phase = CHOICE_operation_phase_RUNNING;
	reports[i].operation_attempt++;
	reports[i].operation_generation = (uint32_t)wanted.generation;
	says(i);
}

static void
fails(unsigned i)
{
	reports[i].operation_phase = CHOICE_operation_phase_FAILED;
	says(i);
}

static void
test_told(void)
{
	begin();
	CHECK(is_told(2), "who can not follow is told, by its pod's uid");
	tell(2);
	world.now.v += 3600000;
	CHECK(is_nobody_told(), "it may take its time");
	sticks(1, REASON_CANNOT_FOLLOW);
	CHECK(is_nobody_told(), "one at a time");
	reports[2].operation_phase = CHOICE_operation_phase_SUCCEEDED;
	reports[2].reason = REASON_NONE;
	reports[2].state = CHOICE_instance_state_STREAMING;
	says(2);
	CHECK(is_told(1), "then the next one");
}

/* How many Events about kept data come within a minute. */
static unsigned
tells_of_kept(void)
{
	unsigned events = 0;

	for (unsigned n = 0; n < 40; n++) {
		if (!next()) {
			world.now.v += 3000;
			continue;
		}
		events +=
		    step.sent.verb == CHOICE_verb_EVENT && step.sent.reason == REASON_FOREIGN_DATA;
		answer_as_said();
	}
	return events;
}

static void
test_foreign(void)
{
	begin();
	reports[2] = report(2, CHOICE_instance_role_REPLICA);
	sticks(2, REASON_FOREIGN_DATA);
	CHECK(is_told(2), "another cluster's data gives way");
	reports[2].state = CHOICE_instance_state_STREAMING;
	says(2);
	CHECK(tells_of_kept() == 1, "an Event tells of it");
	CHECK(tells_of_kept() == 0, "once");
	reports[2].reason = REASON_NONE;
	says(2);
	reports[2].reason = REASON_FOREIGN_DATA;
	says(2);
	CHECK(tells_of_kept() == 1, "and of the next one");
	CHECK(is_nobody_told(), "what is kept beside the present data does not matter");
	reports[2].state = CHOICE_instance_state_RUNNING;
	says(2);
	CHECK(is_nobody_told(), "nor while that does not stream");
}

static void
test_never(void)
{
	begin();
	reports[0].state = CHOICE_instance_state_STARTING;
	says(0);
	CHECK(is_nobody_told(), "not while nobody leads");
	begin();
	reports[0].bootstrapped = false;
	says(0);
	CHECK(is_nobody_told(), "nor while who leads is not set up");
	begin();
	reports[1] = report(1, CHOICE_instance_role_PRIMARY);
	says(1);
	CHECK(is_nobody_told(), "nor while two say that they do");
	begin();
	reports[0] = report(0, CHOICE_instance_role_REPLICA);
	reports[2].role = CHOICE_instance_role_PRIMARY;
	says(0);
	says(2);
	CHECK(is_nobody_told(), "nor who leads itself");
	begin();
	reports[1].paused = true;
	says(1);
	CHECK(is_nobody_told(), "a paused Patroni would not clone");
	begin();
	wanted.fenced = 4;
	wanted.generation++;
	note_wanted();
	CHECK(is_nobody_told(), "a fenced one is left alone");
	begin();
	world.synced = false;
	CHECK(is_nobody_told(), "nor before everything was seen");
	begin();
	reports[2].state = CHOICE_instance_state_STREAMING;
	reports[2].reason = REASON_NONE;
	says(2);
	CHECK(is_nobody_told(), "who streams needs it not");
}

static void
test_wakes_not(void)
{
	begin();
	wanted.hibernated = true;
	wanted.generation++;
	note_wanted();
	CHECK(is_nobody_told(), "a hibernated cluster rests");
	begin();
	wanted.deleting = wanted.finalizer = true;
	wanted.generation++;
	note_wanted();
	CHECK(is_nobody_told(), "and one that is deleted goes");
}

static void
test_bounded(void)
{
	static const int64_t after_ms[] = {60000, 300000, 900000};

	begin();
	CHECK(is_told(2), "first at once");
	tell(2);
	for (unsigned k = 0; k < 3; k++) {
		fails(2);
		world.now.v += after_ms[k] - 1000;
		CHECK(is_nobody_told(), "then not so soon");
		world.now.v += 1000;
		CHECK(is_told(2), "but later");
		tell(2);
	}
	fails(2);
	world.now.v += 86400000;
	script[0] = '\0';
	CHECK(is_nobody_told(), "at last no more");
	play();
	world.now.v += 60000;
	play();
	CHECK(condition(CHOICE_condition_type_READY)->reason == REASON_REINIT_FAILED &&
		  starts(condition(CHOICE_condition_type_READY)->text, "demo-2: "),
	    "and it says so");
	CHECK(condition(CHOICE_condition_type_PROGRESSING)->status == CHOICE_condition_status_FALSE,
	    "that does not pass by itself");
}

static void
test_again(void)
{
	begin();
	reports[2].operation = CHOICE_operation_REINIT;
	reports[2].operation_phase = CHOICE_operation_phase_FAILED;
	reports[2].operation_attempt = 4;
	reports[2].operation_generation = (uint32_t)wanted.generation;
	says(2);
	CHECK(is_nobody_told(), "another life of the operator finds that it failed too often");
	wanted.generation++;
	note_wanted();
	CHECK(is_told(2), "another spec starts anew");
	begin();
	reports[2].operation = CHOICE_operation_NONE;
	reports[2].operation_phase = CHOICE_operation_phase_NONE;
	reports[2].pod_uid = uid(222);
	says(2);
	CHECK(is_told(2), "and so does another pod");
	tell(2);
	reports[2].operation_phase = CHOICE_operation_phase_SUCCEEDED;
	says(2);
	world.now.v += 600000;
	CHECK(is_nobody_told(), "who fell behind right after it was cloned waits");
	world.now.v += 300000;
	CHECK(is_told(2), "a while");
}

/* All that is due, with what is said stored; how many Events of that reason. */
static unsigned
tells(void)
{
	unsigned told = 0;

	for (unsigned n = 0; n < 60 && next(); n++) {
		struct plan_answer a = done_answer();

		told +=
		    step.sent.verb == CHOICE_verb_EVENT && step.sent.reason == REASON_CANNOT_FOLLOW;
		if (step.sent.verb == CHOICE_verb_OBSERVE_POD)
			a.child_uid = reports[step.sent.ordinal].pod_uid;
		answer(&a);
		if (step.sent.verb == CHOICE_verb_STATUS) {
			wanted.status = step.sent.key;
			note_wanted();
		}
		world.now.v += 4000;
	}
	return told;
}

static void
test_said_once(void)
{
	begin();
	CHECK(tells() == 1, "one Event");
	CHECK(condition(CHOICE_condition_type_PROGRESSING)->status == CHOICE_condition_status_TRUE,
	    "something is done about it");
	reports[2].reason = REASON_NONE;
	reports[2].state = CHOICE_instance_state_STREAMING;
	says(2);
	CHECK(tells() == 0 &&
		  condition(CHOICE_condition_type_READY)->status == CHOICE_condition_status_TRUE,
	    "none when it follows again");
	sticks(2, REASON_CANNOT_FOLLOW);
	CHECK(tells() == 1, "the next time is news");
}

/* A clone that can not succeed must not keep the pod from the spec that would let it. */
static void
test_rolled(void)
{
	bool replaced = false;

	begin();
	CHECK(is_told(2), "told");
	tell(2);
	reports[2].state = CHOICE_instance_state_STARTING;
	reports[2].role = CHOICE_instance_role_NONE;
	reports[2].pod_inputs = 99;
	says(2);
	for (unsigned n = 0; n < 20 && next(); n++) {
		struct plan_answer a = done_answer();

		replaced |= step.sent.verb == CHOICE_verb_REPLACE_POD && step.sent.ordinal == 2;
		a.child_uid = step.sent.verb == CHOICE_verb_OBSERVE_POD
		                  ? reports[step.sent.ordinal].pod_uid
		                  : a.child_uid;
		answer(&a);
	}
	CHECK(replaced, "its pod is replaced meanwhile");
}

static void
test_forked(void)
{
	serve_saying(3);
	sticks(2, REASON_HISTORY_FORKED);
	reports[2].role = CHOICE_instance_role_REPLICA;
	reports[2].state = CHOICE_instance_state_RUNNING;
	says(2);
	world.now.v += 60000;
	CHECK(!is_told(2), "what may be the only copy of its rows is never cloned away");
}

int
main(void)
{
	test_forked();
	test_told();
	test_foreign();
	test_never();
	test_wakes_not();
	test_bounded();
	test_again();
	test_said_once();
	test_rolled();
	return tap_done();
}
