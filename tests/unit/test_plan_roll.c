/* Rolling changes: who is next, what stops it, and what waits for a restart in which order. */
#include "plan/rule.h"
#include "tests/unit/plan_script.h"

#define OLD 99 /* the template before */

/* Three instances, demo-0 primary, on the template before; the spec's is in the StatefulSet. */
static void
begin(void)
{
	serve_saying(3);
	for (unsigned i = 0; i < 3; i++) {
		reports[i].pod_inputs = OLD;
		says(i);
	}
	world.now.v += 60000;
}

/* Another pod of the spec's template reports; NONE: it does not serve yet. */
static void
comes_back(unsigned i, enum choice_instance_role role)
{
	reports[i].pod_uid = uid((uint8_t)(210 + i));
	reports[i].pod_inputs = model_pod_inputs(wanted.hash);
	reports[i].role = (uint8_t)role;
	reports[i].operation = reports[i].operation_phase = 0;
	reports[i].state = role == CHOICE_instance_role_PRIMARY   ? CHOICE_instance_state_RUNNING
	                   : role == CHOICE_instance_role_REPLICA ? CHOICE_instance_state_STREAMING
	                                                          : CHOICE_instance_state_STARTING;
	plan_note_report(&c, i, &reports[i]);
	world.now.v += 60000;
}

static bool
is_next(enum choice_verb verb, unsigned ordinal)
{
	return next_change() == verb && (verb == CHOICE_verb_NONE || step.sent.ordinal == ordinal);
}

static void
test_pods(void)
{
	begin();
	CHECK(is_next(CHOICE_verb_REPLACE_POD, 2) && step.sent.target.b[0] == 202,
	    "the highest replica is first, by its pod's uid");
	answer_as_said();
	CHECK(
	    is_next(CHOICE_verb_NONE, 0), "its last words do not count: nobody else is disturbed");
	comes_back(2, CHOICE_instance_role_NONE);
	CHECK(is_next(CHOICE_verb_NONE, 0), "nor while it does not serve");
	comes_back(2, CHOICE_instance_role_REPLICA);
	CHECK(is_next(CHOICE_verb_REPLACE_POD, 1), "then the next one");
	answer_as_said();
	comes_back(1, CHOICE_instance_role_REPLICA);
	CHECK(is_next(CHOICE_verb_SWITCHOVER, 0) && step.sent.target.b[0] == 200,
	    "before the primary's pod another one leads");
	answer_as_said();
	reports[0].operation = CHOICE_operation_SWITCHOVER;
	says(0);
	world.now.v += 120000;
	CHECK(is_next(CHOICE_verb_NONE, 0), "that may take its time");
	reports[0].operation_phase = CHOICE_operation_phase_FAILED;
	says(0);
	CHECK(is_next(CHOICE_verb_SWITCHOVER, 0), "one that failed is told again");
	answer_as_said();
	CHECK(is_next(CHOICE_verb_NONE, 0), "but not at once");
	reports[0].operation_phase = CHOICE_operation_phase_SUCCEEDED;
	reports[0].role = CHOICE_instance_role_REPLICA;
	reports[0].state = CHOICE_instance_state_STREAMING;
	reports[2].role = CHOICE_instance_role_PRIMARY;
	reports[2].state = CHOICE_instance_state_RUNNING;
	says(0);
	says(2);
	CHECK(is_next(CHOICE_verb_REPLACE_POD, 0), "the old primary's pod is last");
	answer_as_said();
	comes_back(0, CHOICE_instance_role_REPLICA);
	CHECK(is_next(CHOICE_verb_NONE, 0), "and that is all");
}

/* Until that is due, or nothing. gone: demo-2's pod is another one now that has not reported. */
static bool gone;

static bool
does(enum choice_verb verb)
{
	for (unsigned n = 0; n < 20 && next(); n++) {
		struct plan_answer a = done_answer();

		if (step.sent.verb == verb)
			return true;
		if (step.sent.verb == CHOICE_verb_OBSERVE_POD) {
			a.ready = !gone || step.sent.ordinal != 2;
			a.child_uid = a.ready ? reports[step.sent.ordinal].pod_uid : uid(299);
		}
		answer(&a);
	}
	return false;
}

static void
test_few_words(void)
{
	begin();
	CHECK(is_next(CHOICE_verb_REPLACE_POD, 2), "a pod is told to end");
	answer_as_said();
	CHECK(!status_serves(&c, 2) && status_serves(&c, 1), "from then on it does not serve");
	CHECK(does(CHOICE_verb_STATUS) &&
		  condition(CHOICE_condition_type_READY)->status == CHOICE_condition_status_FALSE,
	    "which is said");
	CHECK(strstr(condition(CHOICE_condition_type_READY)->text,
		  "the pod of demo-2 is being replaced") != NULL &&
		  condition(CHOICE_condition_type_PROGRESSING)->reason == REASON_ROLLOUT_PENDING,
	    "with its name, and for what");
	answer_as_said();
	note_statefulset(3, 2);
	gone = true;
	world.now.v += 5000;
	CHECK(!does(CHOICE_verb_UNREACHABLE) && c.instance[2].looked,
	    "that its last words are not the next pod's needs no write for a while");
	world.now.v += 20000;
	CHECK(does(CHOICE_verb_UNREACHABLE) && step.sent.ordinal == 2, "but it does then");
	begin();
	gone = false;
	c.wanted.update = CHOICE_update_strategy_ON_DEMAND;
	CHECK(does(CHOICE_verb_STATUS), "who is older is said");
	answer_as_said();
	world.now.v += 5000;
	reports[1].pod_inputs = model_pod_inputs(wanted.hash);
	says(1);
	CHECK(!does(CHOICE_verb_STATUS), "what only goes on counting is written rarely,");
	world.now.v += 10000;
	CHECK(does(CHOICE_verb_STATUS), "but it is");
	answer_as_said();
	world.now.v += 5000;
	reports[0].role = CHOICE_instance_role_REPLICA;
	reports[0].state = CHOICE_instance_state_STREAMING;
	reports[1].role = CHOICE_instance_role_PRIMARY;
	reports[1].state = CHOICE_instance_state_RUNNING;
	says(0);
	says(1);
	CHECK(does(CHOICE_verb_STATUS), "another primary is news");
}

static void
test_coming_and_going(void)
{
	begin();
	gone = false;
	CHECK(is_next(CHOICE_verb_REPLACE_POD, 2), "in a rolling change");
	answer_as_said();
	CHECK(does(CHOICE_verb_STATUS), "it is said that one does not serve");
	answer_as_said();
	comes_back(2, CHOICE_instance_role_REPLICA);
	world.now = c.status_at;
	CHECK(is_next(CHOICE_verb_REPLACE_POD, 1), "when it does again the next one does not");
	answer_as_said();
	CHECK(!does(CHOICE_verb_STATUS), "which says the same");
	comes_back(1, CHOICE_instance_role_REPLICA);
	world.now.v = c.status_at.v + 4000;
	CHECK(is_next(CHOICE_verb_SWITCHOVER, 0), "for a moment all serve");
	answer_as_said();
	CHECK(!does(CHOICE_verb_STATUS), "which is not worth two writes");
	reports[0].role = CHOICE_instance_role_NONE;
	reports[0].state = CHOICE_instance_state_STARTING;
	says(0);
	CHECK(!does(CHOICE_verb_STATUS), "nor is that nobody leads");
	reports[1].role = CHOICE_instance_role_PRIMARY;
	reports[1].state = CHOICE_instance_state_RUNNING;
	says(1);
	CHECK(does(CHOICE_verb_STATUS) && strcmp(step.status.primary, "demo-1") == 0,
	    "but who does then is");
	answer_as_said();
	comes_back(0, CHOICE_instance_role_REPLICA);
	world.now.v = c.status_at.v + 4000;
	CHECK(does(CHOICE_verb_STATUS) &&
		  condition(CHOICE_condition_type_READY)->status == CHOICE_condition_status_TRUE,
	    "at its end it is");
}

static void
test_halt(void)
{
	begin();
	reports[1].state = CHOICE_instance_state_STARTING;
	says(1);
	script[0] = '\0';
	CHECK(is_next(CHOICE_verb_REPLACE_POD, 1) && strstr(script, "observe-pod 1; replace-pod 1"),
	    "one that does not serve anyway is first, once it was looked at");
	begin();
	reports[1].state = CHOICE_instance_state_STARTING;
	reports[1].pod_inputs = model_pod_inputs(wanted.hash);
	says(1);
	CHECK(is_next(CHOICE_verb_NONE, 0),
	    "nobody is replaced while one of the new ones does not serve");
	begin();
	for (unsigned i = 0; i < 3; i++) {
		reports[i].pod_inputs = model_pod_inputs(wanted.hash);
		says(i);
	}
	CHECK(is_next(CHOICE_verb_NONE, 0), "a change taken back before it began changes nothing");
	begin();
	c.wanted.update = CHOICE_update_strategy_ON_DEMAND;
	CHECK(is_next(CHOICE_verb_NONE, 0), "with OnDemand nothing is done");
	begin();
	world.synced = false;
	CHECK(is_next(CHOICE_verb_NONE, 0), "nor before every list is complete");
}

/* What looks like an instance that does not serve anyway may be a primary on its way. */
static void
test_primary_without_a_role(void)
{
	begin();
	comes_back(1, CHOICE_instance_role_REPLICA);
	comes_back(2, CHOICE_instance_role_REPLICA);
	reports[0].role = CHOICE_instance_role_NONE;
	reports[0].state = CHOICE_instance_state_STARTING;
	says(0);
	CHECK(is_next(CHOICE_verb_NONE, 0), "nobody else leads: its pod stays");
	reports[0].operation = CHOICE_operation_SWITCHOVER;
	reports[0].operation_phase = CHOICE_operation_phase_RUNNING;
	reports[1].role = CHOICE_instance_role_PRIMARY;
	reports[1].state = CHOICE_instance_state_RUNNING;
	says(0);
	says(1);
	CHECK(is_next(CHOICE_verb_NONE, 0), "nor while it is handing over");
	reports[0].operation_phase = CHOICE_operation_phase_SUCCEEDED;
	says(0);
	CHECK(is_next(CHOICE_verb_REPLACE_POD, 0), "once another one leads it goes");
	begin();
	reports[0].paused = true;
	says(0);
	CHECK(is_next(CHOICE_verb_NONE, 0), "while Patroni is paused nothing is stopped");
}

static void
test_two_synchronous(void)
{
	begin();
	for (unsigned i = 1; i < 3; i++) {
		reports[i].state = CHOICE_instance_state_RUNNING; /* it does not stream */
		says(i);
	}
	comes_back(1, CHOICE_instance_role_REPLICA);
	reports[0].pod_inputs = model_pod_inputs(wanted.hash);
	reports[0].reason = REASON_NO_SYNCHRONOUS_STANDBY;
	says(0);
	CHECK(is_next(CHOICE_verb_REPLACE_POD, 2), "a primary that lacks only the standby that "
						   "fails does not keep that from being mended");
}

static void
await_restart(bool lowers)
{
	begin();
	for (unsigned i = 0; i < 3; i++) {
		reports[i].pod_inputs = model_pod_inputs(wanted.hash);
		reports[i].pending_restart = true;
		reports[i].restart_lowers = lowers;
		says(i);
	}
}

/* waits: it has part of what it waits for only. */
static void
restarts(unsigned i, bool waits)
{
	answer_as_said();
	reports[i].operation = CHOICE_operation_RESTART;
	reports[i].operation_phase = CHOICE_operation_phase_RUNNING;
	says(i);
	reports[i].operation_phase = CHOICE_operation_phase_SUCCEEDED;
	reports[i].pending_restart = waits;
	says(i);
	world.now.v += 60000;
}

static void
test_parameters(void)
{
	await_restart(false);
	CHECK(is_next(CHOICE_verb_RESTART, 2), "raised: a replica first");
	answer_as_said();
	reports[2].operation = CHOICE_operation_RESTART;
	says(2);
	CHECK(is_next(CHOICE_verb_NONE, 0), "one at a time");
	restarts(2, true);
	CHECK(is_next(CHOICE_verb_RESTART, 1), "one that has part of it waits for the primary");
	restarts(1, false);
	CHECK(is_next(CHOICE_verb_RESTART, 0), "then the primary, in place");
	restarts(0, false);
	CHECK(is_next(CHOICE_verb_RESTART, 2), "then the replica gets the rest");
	restarts(2, false);
	CHECK(is_next(CHOICE_verb_NONE, 0), "and that is all");
	await_restart(true);
	CHECK(is_next(CHOICE_verb_RESTART, 0), "lowered: the primary first");
	restarts(0, false);
	CHECK(is_next(CHOICE_verb_RESTART, 2), "then the replicas");
	await_restart(false);
	memory[1].looked = true;
	memory[1].pod_present = memory[1].pod_ready = true;
	memory[1].pod_uid = reports[1].pod_uid;
	plan_lost(&c, &(struct plan_sent){
			  .verb = CHOICE_verb_REPLACE_POD, .uid = c.wanted.uid, .ordinal = 1});
	plan_next(&c, &world, &step);
	CHECK(step.sent.verb == CHOICE_verb_OBSERVE_POD,
	    "a pod that may have been told to end is looked at before a server is restarted");
}

/* Its primary hears of a change, and is heard of, before them. */
static void
test_replicas_heard_late(void)
{
	begin();
	for (unsigned i = 0; i < 3; i++) {
		reports[i].pod_inputs = model_pod_inputs(wanted.hash);
		reports[i].pending_restart = i == 0;
		says(i);
	}
	c.wanted.loop_wait = 10;
	CHECK(is_next(CHOICE_verb_NONE, 0), "raised: the primary waits for replicas to say so too");
	reports[2].pending_restart = true;
	says(2);
	CHECK(is_next(CHOICE_verb_RESTART, 2), "which go first");
	restarts(2, false);
	world.now.v = c.restart_since.v + 24999;
	CHECK(is_next(CHOICE_verb_NONE, 0), "each of them");
	reports[1].pending_restart = true;
	says(1);
	CHECK(is_next(CHOICE_verb_RESTART, 1), "also the last");
	restarts(1, false);
	wanted.hash[GROUP_CONFIG]++;
	wanted.generation++;
	wanted.loop_wait = 10;
	note_wanted();
	CHECK(!is_next(CHOICE_verb_RESTART, 0), "of another change replicas have not heard");
	reports[1].pending_restart = reports[2].pending_restart = true;
	says(1);
	says(2);
	CHECK(is_next(CHOICE_verb_NONE, 0), "nor is known for which change they wait,");
	reports[0].config_generation = wanted.generation;
	says(0);
	CHECK(is_next(CHOICE_verb_NONE, 0), "until it was written,");
	world.now.v += 25000;
	CHECK(is_next(CHOICE_verb_RESTART, 2), "a loop and a report ago; they go first again");
	restarts(2, false);
	CHECK(is_next(CHOICE_verb_RESTART, 1), "both of them");
	restarts(1, false);
	CHECK(is_next(CHOICE_verb_RESTART, 0), "then the primary, without more ado");
	restarts(0, false);
	CHECK(is_next(CHOICE_verb_NONE, 0) && !memory[1].awaited, "and that is all");
	reports[0].pending_restart = true;
	says(0);
	CHECK(is_next(CHOICE_verb_NONE, 0), "what only the primary says");
	world.now.v += 25000;
	CHECK(is_next(CHOICE_verb_RESTART, 0), "is its own after a loop and a report");
}

static void
change_parameter(void)
{
	wanted.hash[GROUP_CONFIG]++;
	wanted.generation++;
	wanted.status = c.wanted.status;
	wanted.loop_wait = 10;
	note_wanted();
}

static enum choice_reason
configuration(void)
{
	while (next())
		answer_as_said();
	plan_next(&c, &world, &step);
	return condition(CHOICE_condition_type_CONFIGURATION_APPLIED)->reason;
}

/* Written by the leader, Patroni's loops take it up; what waits for a restart is said then. */
static void
test_parameter_taken_up(void)
{
	serve_saying(2);
	world.now.v += 60000;
	CHECK(configuration() == REASON_AS_WANTED, "a new database begins with its parameters");
	change_parameter();
	CHECK(configuration() == REASON_CREATING, "a change is not applied");
	reports[0].config_generation = reports[1].config_generation = wanted.generation;
	says(0);
	says(1);
	CHECK(configuration() == REASON_CREATING, "when it is written");
	world.now.v += 24000;
	CHECK(configuration() == REASON_CREATING && step.again.v == world.now.v + 1000,
	    "but when all may have told what follows from it");
	reports[1].pending_restart = true;
	says(1);
	CHECK(configuration() == REASON_RESTART_PENDING, "as one does, late");
	reports[1].pending_restart = false;
	says(1);
	world.now.v += 1000;
	CHECK(configuration() == REASON_AS_WANTED, "then it is");
	wanted.generation++;
	wanted.hash[GROUP_META]++;
	note_wanted();
	plan_next(&c, &world, &step);
	CHECK(c.config_written, "another change is none of parameters");
}

/* A parameter is changed that both wait for a restart for. */
static void
change_and_await_restart(void)
{
	change_parameter();
	for (unsigned i = 0; i < 2; i++) {
		reports[i].config_generation = wanted.generation;
		reports[i].pending_restart = true;
		says(i);
	}
}

/* All have waited for it and were restarted: each Patroni has taken it up, whatever the time. */
static void
test_parameter_restarted(void)
{
	serve_saying(2);
	world.now.v += 60000;
	CHECK(configuration() == REASON_AS_WANTED, "of a cluster that runs as wanted");
	change_and_await_restart();
	CHECK(configuration() == REASON_RESTART_PENDING, "a parameter is changed");
	for (unsigned i = 2; i-- > 0;) {
		reports[i].pending_restart = false;
		says(i);
		CHECK(configuration() == (i == 0 ? REASON_AS_WANTED : REASON_RESTART_PENDING),
		    "it is applied when both were restarted for it");
	}
	change_parameter();
	reports[0].config_generation = wanted.generation;
	reports[0].pending_restart = true;
	says(0);
	CHECK(configuration() == REASON_RESTART_PENDING, "where only one has said so");
	reports[0].pending_restart = false;
	says(0);
	CHECK(configuration() == REASON_CREATING, "the other may have to take it up");
	world.now.v += 25000;
	CHECK(configuration() == REASON_AS_WANTED, "until it had the time to");
}

/* Taken back before Patroni has seen that: what it waits for is gone in a moment. */
static void
test_parameter_taken_back(void)
{
	serve_saying(2);
	change_and_await_restart();
	CHECK(is_next(CHOICE_verb_RESTART, 1), "a parameter that waits for a restart");
	change_parameter();
	for (unsigned i = 0; i < 2; i++) {
		reports[i].config_generation = wanted.generation;
		says(i);
	}
	CHECK(is_next(CHOICE_verb_NONE, 0), "is taken back: no server is restarted for it");
	world.now.v += 24000;
	CHECK(is_next(CHOICE_verb_NONE, 0), "on the word of before");
	reports[0].pending_restart = false;
	says(0);
	world.now.v += 1000;
	CHECK(is_next(CHOICE_verb_RESTART, 1), "but for what waits still");
}

/* One waits for its restart; PostgreSQL refuses what is added to it. */
static void
test_parameter_refused(void)
{
	serve_saying(2);
	change_and_await_restart();
	change_parameter();
	CHECK(is_next(CHOICE_verb_NONE, 0), "until another parameter is written or refused,");
	reports[0].reason = REASON_PARAMETER_REFUSED;
	says(0);
	CHECK(is_next(CHOICE_verb_NONE, 0), "and not for that before, nobody is restarted;");
	world.now.v += 25000;
	CHECK(is_next(CHOICE_verb_RESTART, 1), "then the good one is not held up by the bad");
}

/* One word when it begins, one when it ends, and rarely one between. */
static void
test_few_words_of_restarts(void)
{
	await_restart(false);
	CHECK(is_next(CHOICE_verb_RESTART, 2), "servers are restarted one by one");
	answer_as_said();
	CHECK(does(CHOICE_verb_STATUS) &&
		  condition(CHOICE_condition_type_CONFIGURATION_APPLIED)->reason ==
		      REASON_RESTART_PENDING,
	    "which is said");
	CHECK(condition(CHOICE_condition_type_PROGRESSING)->reason == REASON_RESTART_PENDING &&
		  condition(CHOICE_condition_type_PROGRESSING)->status ==
		      CHOICE_condition_status_TRUE,
	    "and that it goes on");
	answer_as_said();
	CHECK(is_next(CHOICE_verb_NONE, 0), "while one restarts");
	reports[2].operation = CHOICE_operation_RESTART;
	reports[2].operation_phase = CHOICE_operation_phase_SUCCEEDED;
	reports[2].pending_restart = false;
	says(2);
	world.now.v = c.status_at.v + 8000;
	CHECK(is_next(CHOICE_verb_RESTART, 1), "the next one");
	answer_as_said();
	CHECK(!does(CHOICE_verb_STATUS), "is not worth a write");
	world.now.v = c.status_at.v + STATUS_ROLL_MS - 1;
	CHECK(!does(CHOICE_verb_STATUS), "for long");
	world.now.v = c.status_at.v + STATUS_ROLL_MS;
	CHECK(does(CHOICE_verb_STATUS) &&
		  strstr(condition(CHOICE_condition_type_CONFIGURATION_APPLIED)->text,
		      "demo-0, demo-1.") != NULL,
	    "but then it is");
	answer_as_said();
	restarts(1, false);
	world.now.v = c.status_at.v + 4000;
	CHECK(is_next(CHOICE_verb_RESTART, 0) && !does(CHOICE_verb_STATUS), "the last one");
	restarts(0, false);
	world.now.v = c.status_at.v + 4000;
	CHECK(does(CHOICE_verb_STATUS) &&
		  condition(CHOICE_condition_type_CONFIGURATION_APPLIED)->status ==
		      CHOICE_condition_status_TRUE,
	    "at its end it is");
}

/* What is told is taken away, again and again, before the pod has heard it. */
static void
test_undone(void)
{
	int64_t waits[7];

	await_restart(false);
	for (unsigned n = 0; n < 7; n++) {
		int64_t since = world.now.v;

		while (!is_next(CHOICE_verb_RESTART, 2) && world.now.v < since + 3600000)
			world.now.v = step.again.v;
		waits[n] = world.now.v - since;
		answer_as_said();
		says(2);
	}
	CHECK(waits[0] == 0 && waits[1] == 30000 && waits[3] == 120000 && waits[6] == 480000,
	    "it is told more and more rarely");
	reports[2].operation = CHOICE_operation_RESTART;
	reports[2].operation_phase = CHOICE_operation_phase_SUCCEEDED;
	says(2);
	reports[2].operation = CHOICE_operation_NONE;
	says(2);
	world.now.v += 30000;
	CHECK(is_next(CHOICE_verb_RESTART, 1), "who has done it starts over; the next one is told");
}

int
main(void)
{
	test_pods();
	test_few_words();
	test_coming_and_going();
	test_halt();
	test_primary_without_a_role();
	test_two_synchronous();
	test_parameters();
	test_replicas_heard_late();
	test_parameter_taken_up();
	test_parameter_restarted();
	test_parameter_taken_back();
	test_parameter_refused();
	test_few_words_of_restarts();
	test_undone();
	return tap_done();
}
