/*
 * When pods are looked at and replaced, what refusals lead to, and what users are told: the rest of
 * plan/'s rules as scripts.
 */
#include "plan/rule.h"
#include "tests/unit/plan_script.h"

/* --- Pods. */

static void
look(enum choice_reason reason, bool ready, uint64_t inputs, uint8_t pod)
{
	answer(&(struct plan_answer){.code = CHOICE_step_code_DONE,
	    .present = pod != 0,
	    .child_uid = uid(pod),
	    .reason = (uint8_t)reason,
	    .ready = ready,
	    .inputs = inputs});
}

static void
test_looking(void)
{
	int64_t seen[5], since;
	unsigned patience = 0;

	start(1);
	play();
	since = world.now.v;
	plan_next(&c, &world, &step);
	CHECK(step.again.v == since + 2000, "an unready pod has two seconds");
	for (unsigned i = 0; i < 5; i++) {
		do {
			if (step.sent.verb == CHOICE_verb_NONE)
				world.now = step.again;
			plan_next(&c, &world, &step);
			if (step.sent.verb == CHOICE_verb_STATUS ||
			    step.sent.verb == CHOICE_verb_EVENT ||
			    step.sent.verb == CHOICE_verb_OBSERVE_NAMESPACE)
				answer(&(struct plan_answer){.code = CHOICE_step_code_DONE});
		} while (step.sent.verb != CHOICE_verb_OBSERVE_POD && patience++ < 100);
		seen[i] = world.now.v - since;
		look(REASON_IMAGE_PULL_FAILED, false, model_pod_inputs(wanted.hash), 200);
	}
	CHECK(seen[0] == 2000 && seen[1] == 4000 && seen[2] == 8000 && seen[3] == 16000 &&
		  seen[4] == 32000,
	    "it is looked at after 2, then 2, 4, 8, 16 seconds");
}

static void
test_mistake_taken_back(void)
{
	start(1);
	play();
	world.now.v += 2000;
	script[0] = '\0';
	next();
	look(REASON_IMAGE_PULL_FAILED, false, model_pod_inputs(wanted.hash), 200);
	world.now.v += 5000;
	plan_next(&c, &world, &step);
	while (step.sent.verb == CHOICE_verb_STATUS || step.sent.verb == CHOICE_verb_EVENT ||
	       step.sent.verb == CHOICE_verb_OBSERVE_POD) {
		if (step.sent.verb == CHOICE_verb_STATUS)
			CHECK(strcmp(step.status.phase, "ImagePullFailed") == 0 &&
				  strncmp(step.status.at[0].text, "demo-0: ", 8) == 0,
			    "the condition has the pod's reason and names it");
		if (step.sent.verb != CHOICE_verb_OBSERVE_POD)
			answer(&(struct plan_answer){.code = CHOICE_step_code_DONE});
		else
			look(REASON_IMAGE_PULL_FAILED, false, model_pod_inputs(wanted.hash), 200);
		plan_next(&c, &world, &step);
	}
	wanted.generation++;
	wanted.hash[GROUP_POD] = 7;
	world.now.v += 2000;
	note_wanted();
	script[0] = '\0';
	next();
	answer(&(struct plan_answer){.code = CHOICE_step_code_DONE,
	    .child_uid = c.child[CHILD_STATEFULSET].uid,
	    .version = ++versions,
	    .generation = 9});
	next();
	look(REASON_IMAGE_PULL_FAILED, false, 1, 200);
	next();
	is(script, "template; observe-pod 0; replace-pod 0; ",
	    "the spec is corrected: the pod is looked at and replaced");
	CHECK(step.sent.target.b[0] == 200, "by uid");
	c.instance[0].report = report(0, CHOICE_instance_role_PRIMARY);
	plan_next(&c, &world, &step);
	CHECK(step.sent.verb != CHOICE_verb_REPLACE_POD, "but not if PostgreSQL runs in it");
}

static void
test_rollout(void)
{
	const struct plan_condition *k;

	serve(1);
	wanted.generation++;
	wanted.update = CHOICE_update_strategy_ON_DEMAND;
	wanted.hash[GROUP_POD] = 7;
	wanted.status = c.wanted.status;
	note_wanted();
	script[0] = '\0';
	next();
	answer(&(struct plan_answer){.code = CHOICE_step_code_DONE,
	    .child_uid = c.child[CHILD_STATEFULSET].uid,
	    .version = ++versions,
	    .generation = 9});
	note_statefulset(1, 1);
	c.instance[0].report.pod_inputs = 99;
	while (next() && step.sent.verb != CHOICE_verb_STATUS)
		if (step.sent.verb == CHOICE_verb_OBSERVE_POD)
			look(REASON_NONE, true, 1, 200);
		else
			answer(&(struct plan_answer){.code = CHOICE_step_code_DONE});
	CHECK(strstr(script, "replace") == NULL, "with OnDemand a serving pod is not replaced");
	k = condition(CHOICE_condition_type_PROGRESSING);
	CHECK(k != NULL && k->reason == REASON_ROLLOUT_PENDING && strstr(k->text, "demo-0") != NULL,
	    "RolloutPending names it");
	k = condition(CHOICE_condition_type_READY);
	CHECK(k != NULL && k->status == CHOICE_condition_status_TRUE, "Ready stays");
}

static void
test_lost_pod(void)
{
	serve(2);
	note_statefulset(2, 1);
	world.now.v += 2000;
	script[0] = '\0';
	while (next() && step.sent.verb != CHOICE_verb_OBSERVE_POD)
		answer(&(struct plan_answer){.code = CHOICE_step_code_DONE});
	look(REASON_NONE, true, 0, 99);
	CHECK(next() && step.sent.verb == CHOICE_verb_UNREACHABLE && step.sent.target.b[0] == 200,
	    "a report of another pod than the present one counts no more");
	answer(&(struct plan_answer){.code = CHOICE_step_code_DONE});
	world.now.v += 10000;
	CHECK(strstr(play(), "unreachable 0") == NULL, "and is marked once");
}

static void
test_volumes(void)
{
	start(1);
	play();
	world.now.v += 2000;
	script[0] = '\0';
	next();
	look(REASON_VOLUME_PENDING, false, model_pod_inputs(wanted.hash), 200);
	next();
	answer(&(struct plan_answer){
	    .code = CHOICE_step_code_DONE, .present = true, .child_uid = uid(150), .ready = false});
	next();
	CHECK(step.sent.verb == CHOICE_verb_REPLACE_PVC && step.sent.target.b[0] == 150,
	    "a volume that can never be is replaced by uid");
	answer(&(struct plan_answer){.code = CHOICE_step_code_DONE});
	next();
	CHECK(step.sent.verb == CHOICE_verb_REPLACE_POD && step.sent.target.b[0] == 200,
	    "then its pod");
	is(script, "observe-pod 0; observe-pvc 0; replace-pvc 0; replace-pod 0; ",
	    "after a look at both");
}

/* --- Answers. */

static void
test_refusals(void)
{
	start(1);
	next();
	answer(&(struct plan_answer){.code = CHOICE_step_code_DONE});
	next();
	answer(&(struct plan_answer){.code = CHOICE_step_code_INVALID, .text = true});
	is(play(), "event SpecRefused; status SpecRefused; ",
	    "what the API server refuses is said");
	world.now.v += 40000;
	CHECK(!next(), "and not tried again for long");
	wanted.generation++;
	wanted.finalizer = true;
	wanted.status = c.wanted.status;
	note_wanted();
	CHECK(next() && step.sent.verb == CHOICE_verb_ENSURE, "but at once with another spec");
	answer(&(struct plan_answer){
	    .code = CHOICE_step_code_INVALID, .reason = REASON_CREDENTIALS_MISSING});
	play();
	world.now.v += 8000;
	CHECK(next() && step.sent.verb == CHOICE_verb_ENSURE,
	    "a Secret that is missed is looked for soon");
}

static void
test_back_off(void)
{
	int64_t waits[10];
	bool grows = true;

	start(1);
	for (unsigned i = 0; i < 10; i++) {
		plan_next(&c, &world, &step);
		while (step.sent.verb == CHOICE_verb_STATUS) {
			answer(&(struct plan_answer){.code = CHOICE_step_code_DONE});
			plan_next(&c, &world, &step);
		}
		if (step.sent.verb == CHOICE_verb_NONE) {
			world.now = step.again;
			plan_next(&c, &world, &step);
		}
		answer(&(struct plan_answer){.code = CHOICE_step_code_RETRY});
		waits[i] = c.self.until.v - world.now.v;
		grows &= i == 0 || waits[i] > waits[i - 1] || waits[i] >= 45000;
	}
	CHECK(waits[0] >= 375 && waits[0] <= 625, "the first failure waits half a second or so");
	CHECK(grows && waits[9] >= 45000 && waits[9] <= 75000,
	    "each further one longer, up to a minute or so");
	start(1);
	next();
	answer(&(struct plan_answer){.code = CHOICE_step_code_CONFLICT});
	CHECK(!next() || step.sent.verb == CHOICE_verb_STATUS,
	    "after a conflict, records are waited for");
	note_wanted();
	CHECK(next() && step.sent.verb == CHOICE_verb_ADD_FINALIZER,
	    "and the next one ends the wait");
}

/* --- What is said. */

static void
test_quiet_restart(void)
{
	serve(2);
	wanted.said.reasons[CHOICE_condition_type_CONFIGURATION_APPLIED] = REASON_AS_WANTED;
	wanted.status = c.wanted.status;
	forget();
	for (unsigned child = CHILD_SERVICEACCOUNT; child < CHILD_COUNT; child++) {
		struct plan_object o = object(child, 0);

		for (unsigned i = 0; i < (child == CHILD_INSTANCE ? 2 : 1); i++)
			plan_note_child(&c, child, i, &o, true);
	}
	note_wanted();
	note_statefulset(2, 2);
	note_report(0, CHOICE_instance_role_PRIMARY);
	note_report(1, CHOICE_instance_role_REPLICA);
	is(play(), "",
	    "a new life of the reconciler that finds all well writes nothing and says nothing");
	CHECK(step.spare, "but would compare what is there when there is time");
	world.spare = true;
	is(play(),
	    "ensure ConfigMap demo-data; ensure Secret demo-credentials; ensure Secret demo-app; "
	    "ensure ServiceAccount demo-instance; ensure Role demo-instance; ensure RoleBinding "
	    "demo-instance; "
	    "ensure Service demo-rw; ensure Service demo-ro; ensure Service demo-pods; ensure "
	    "PodDisruptionBudget demo; "
	    "ensure BGInstance demo-0; ensure BGInstance demo-1; ensure StatefulSet demo; "
	    "expand-pvc 0; "
	    "expand-pvc 1; ",
	    "each once");
}

/* A new life that finds demo-1 primary where the stored status has said. */
static const char *
play_new_life(struct plan_said said)
{
	serve(2);
	forget();
	for (unsigned child = CHILD_SERVICEACCOUNT; child < CHILD_COUNT; child++) {
		struct plan_object o = object(child, 0);

		for (unsigned i = 0; i < (child == CHILD_INSTANCE ? 2 : 1); i++)
			plan_note_child(&c, child, i, &o, true);
	}
	wanted.status = 5;
	wanted.said = said;
	note_wanted();
	note_statefulset(2, 2);
	note_report(0, CHOICE_instance_role_REPLICA);
	note_report(1, CHOICE_instance_role_PRIMARY);
	play();
	return strstr(script, "event") != NULL ? strstr(script, "event") : "status";
}

static void
test_killed_while_telling(void)
{
	struct plan_said said = {.ready = true, .primary = 1};

	is(play_new_life(said), "event PrimaryChanged; status Ready; ",
	    "what the stored status does not say yet is told by the next life");
	is(step.status.primary, "demo-1", "and then said");
	is(play(), "", "once");
	said.primary = 2;
	is(play_new_life(said), "status", "what it says was told");
	said = (struct plan_said){.reasons = {[CHOICE_condition_type_READY] = REASON_NO_PRIMARY}};
	is(play_new_life(said), "event PrimaryChanged; event Ready; status Ready; ",
	    "nor is a primary left out that came while none was said");
	said.reasons[CHOICE_condition_type_READY] = REASON_BOOTSTRAPPING;
	is(play_new_life(said), "event Ready; status Ready; ", "the first one is no change");

	serve(2);
	note_report(0, CHOICE_instance_role_REPLICA);
	note_report(1, CHOICE_instance_role_PRIMARY);
	world.now.v += 10000;
	while (next() && step.sent.verb != CHOICE_verb_EVENT)
		answer(&(struct plan_answer){.code = CHOICE_step_code_DONE,
		    .present = true,
		    .ready = true,
		    .child_uid = uid(200u + step.sent.ordinal)});
	plan_lost(&c, &step.sent);
	CHECK(next() && step.sent.verb == CHOICE_verb_EVENT &&
		  step.sent.reason == REASON_PRIMARY_CHANGED,
	    "an Event whose executor died is told again");
}

static void
test_primary_change(void)
{
	serve(2);
	note_report(0, CHOICE_instance_role_REPLICA);
	note_report(1, CHOICE_instance_role_PRIMARY);
	world.now.v += 10000;
	is(play(), "observe-pod 0; observe-pod 1; event PrimaryChanged; status Ready; ",
	    "a new primary is told of once");
}

/* A server that is down tells of its data, not of a timeline. */
static void
test_down_is_no_bootstrap(void)
{
	const struct plan_condition *ready;

	serve_saying(1);
	reports[0].state = CHOICE_instance_state_STARTING;
	reports[0].role = CHOICE_instance_role_NONE;
	reports[0].timeline = 0;
	reports[0].system_identifier = 42;
	says(0);
	world.now.v += 10000;
	play();
	ready = condition(CHOICE_condition_type_READY);
	CHECK(ready->reason == REASON_NO_PRIMARY, "one that starts again does not bootstrap");
	reports[0].state = CHOICE_instance_state_FAILED;
	reports[0].reason = REASON_START_FAILED;
	says(0);
	world.now.v += 10000;
	CHECK(strstr(play(), "event StartFailed") != NULL, "one that does not start is told of");
	ready = condition(CHOICE_condition_type_READY);
	CHECK(ready->reason == REASON_START_FAILED &&
		  condition(CHOICE_condition_type_PROGRESSING)->status ==
		      CHOICE_condition_status_FALSE,
	    "and does not pass by itself");
	reports[0].system_identifier = 0;
	reports[0].reason = REASON_NONE;
	reports[0].state = CHOICE_instance_state_STARTING;
	says(0);
	world.now.v += 10000;
	play();
	ready = condition(CHOICE_condition_type_READY);
	CHECK(ready->reason == REASON_BOOTSTRAPPING, "without any data it is a bootstrap");
}

/* Events since the last call, as the reasons that they give. */
static const char *
events(void)
{
	static char all[4096];

	all[0] = '\0';
	for (unsigned i = 0; i < 60 && next(); i++) {
		if (step.sent.verb == CHOICE_verb_EVENT)
			snprintf(all + strlen(all), sizeof(all) - strlen(all), "%s; ",
			    reason_info[step.sent.reason].name);
		answer_as_said();
	}
	script[0] = '\0';
	return all;
}

static const char *
events_of(unsigned ready_ms)
{
	world.now.v += ready_ms;
	return events();
}

static void
edit(void)
{
	wanted.generation++;
	wanted.status = c.wanted.status;
	note_wanted();
}

static void
test_transitions(void)
{
	serve_saying(2);
	reports[1].state = CHOICE_instance_state_STARTING;
	says(1);
	is(events_of(5000), "WaitingForInstances; ", "that it is not Ready any more is told, once");
	reports[0].role = CHOICE_instance_role_REPLICA;
	says(0);
	is(events_of(5000), "", "why may change");
	reports[0].role = CHOICE_instance_role_PRIMARY;
	reports[1].state = CHOICE_instance_state_STREAMING;
	says(0);
	says(1);
	is(events_of(5000), "Ready; ", "and that it is again");

	wanted.paused = true;
	edit();
	is(events_of(5000), "Paused; ", "a pause");
	CHECK(condition(CHOICE_condition_type_PROGRESSING)->reason == REASON_AS_WANTED,
	    "under which nothing is amiss");
	wanted.instances = 3;
	wanted.hash[GROUP_SCALE]++;
	edit();
	is(events_of(5000), "WaitingForInstances; ", "until it asks for more");
	CHECK(condition(CHOICE_condition_type_PROGRESSING)->reason == REASON_PAUSED &&
		  condition(CHOICE_condition_type_PROGRESSING)->status ==
		      CHOICE_condition_status_FALSE,
	    "which is left undone");
	wanted.instances = 2;
	wanted.hash[GROUP_SCALE]--;
	wanted.paused = false;
	edit();
	is(events_of(5000), "Resumed; Ready; ", "and its end");

	wanted.fenced = 2;
	edit();
	is(events_of(5000), "InstancesFenced; ", "a fence, which ends Ready");
	wanted.fenced = 0;
	edit();
	is(events_of(5000), "InstancesUnfenced; Ready; ", "and its end");

	wanted.hibernated = true;
	edit();
	is(events_of(5000), "Hibernating; ", "a hibernation begins");
}

static void
test_events_of_rollout(void)
{
	serve_saying(2);
	wanted.hash[GROUP_POD] = 7;
	edit();
	is(events_of(5000), "RolloutBegun; ", "a rolling change begins");
	for (unsigned i = 2; i-- > 0;) {
		reports[i].state = CHOICE_instance_state_STARTING;
		reports[i].pod_uid = uid(300 + i);
		reports[i].pod_inputs = model_pod_inputs(wanted.hash);
		says(i);
		is(events_of(1000), "", "what is not Ready meanwhile is expected");
		reports[i].state =
		    i == 0 ? CHOICE_instance_state_RUNNING : CHOICE_instance_state_STREAMING;
		says(i);
		is(events_of(1000), i == 0 ? "RolloutEnded; " : "", "until it ends");
	}
	is(events_of(60000), "", "and that is all");
}

static void
refuse_volume(void)
{
	c.instance[0].volume = (struct plan_try){.code = CHOICE_step_code_INVALID,
	    .reason = REASON_EXPANSION_REFUSED,
	    .until = {world.now.v + 9000000}};
	c.instance[0].volume_grown = false;
}

/* An edit does not make news of what it has not touched. */
static void
test_storage_trouble_once(void)
{
	serve_saying(1);
	refuse_volume();
	is(events_of(5000), "ExpansionRefused; ", "a volume may not grow");
	wanted.hash[GROUP_LIFE]++;
	edit();
	refuse_volume();
	is(events_of(5000), "", "which an edit of something else does not change");
	CHECK(condition(CHOICE_condition_type_STORAGE_HEALTHY)->reason == REASON_EXPANSION_REFUSED,
	    "nor end");
}

/* However many reasons there are, an Event about one is no Event about another. */
static void
test_each_reason(void)
{
	bool alone = true;

	for (unsigned r = 1; r < CHOICE_reason_COUNT; r++) {
		unsigned n = 0;

		if (!status_failing(r))
			continue;
		start(1);
		step.sent = (struct plan_sent){
		    .verb = CHOICE_verb_EVENT, .uid = wanted.uid, .reason = (uint8_t)r};
		answer(&(struct plan_answer){.code = CHOICE_step_code_DONE});
		for (unsigned k = 0; k < CHOICE_reason_COUNT; k++)
			n += (unsigned)(c.events[k / 64] >> (k % 64) & 1u);
		alone = alone && n == 1 && (c.events[r / 64] >> (r % 64) & 1u) != 0;
	}
	CHECK(alone, "an Event is remembered for its own reason alone");
}

static void
test_left_alone(void)
{
	serve(1);
	plan_note_child_gone(&c, CHILD_SERVICE_RW, 0, &c.child[CHILD_SERVICE_RW].uid);
	plan_note_quarantine(&c, wanted.generation);
	world.now.v += 10000;
	script[0] = '\0';
	play();
	CHECK(strstr(script, "ensure") == NULL && strstr(script, "status") != NULL &&
		  strstr(script, "event Quarantined") != NULL,
	    "what crashed a worker is left alone, and that is said");
	CHECK(condition(CHOICE_condition_type_QUARANTINED) != NULL, "by its own condition");
	wanted.generation++;
	note_wanted();
	CHECK(starts(play(), "ensure Service demo-rw; "), "until the spec changes");

	serve(1);
	wanted.generation++;
	wanted.invalid = true;
	wanted.instances = 0;
	note_wanted();
	world.now.v += 10000;
	is(play(), "event SpecInvalid; status SpecInvalid; ",
	    "a spec that can not be read: nothing else is done");

	serve(1);
	world.degraded = true;
	world.now.v += 10000;
	play();
	CHECK(condition(CHOICE_condition_type_PROGRESSING)->reason == REASON_WORKER_DEGRADED &&
		  condition(CHOICE_condition_type_READY)->status == CHOICE_condition_status_TRUE,
	    "a degraded worker is said under Progressing");
}

static void
test_blind(void)
{
	start(1);
	wanted.status = 5;
	note_wanted();
	world.listed = 0;
	CHECK(strstr(play(), "status") == NULL, "who has not seen everything says nothing");
	CHECK(strstr(script, "ServiceAccount") == NULL, "and takes nothing for missing");
}

int
main(void)
{
	test_looking();
	test_mistake_taken_back();
	test_rollout();
	test_lost_pod();
	test_volumes();
	test_refusals();
	test_back_off();
	test_quiet_restart();
	test_primary_change();
	test_killed_while_telling();
	test_down_is_no_bootstrap();
	test_transitions();
	test_events_of_rollout();
	test_storage_trouble_once();
	test_each_reason();
	test_left_alone();
	test_blind();
	return tap_done();
}
