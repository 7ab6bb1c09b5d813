/* When the StatefulSet's pod template is written: what a lost pod comes back as depends on it. */
#include "plan/rule.h"
#include "tests/unit/plan_script.h"

static struct windows windows;
static uint64_t old;

static void
note_set(uint64_t pod_inputs, unsigned ready)
{
	struct plan_statefulset s = c.statefulset;

	s.pod_inputs = pod_inputs;
	s.ready = (uint8_t)ready;
	plan_note_statefulset(&c, &s, world.now);
}

/* Another image is wanted. */
static void
change(uint64_t image)
{
	wanted.hash[GROUP_POD] = image;
	wanted.generation++;
	note_wanted();
}

/* A window a day from 1:00 to 5:00; it is 0:00, or 2:00. */
static void
set_window(bool open)
{
	windows = (struct windows){.n = 1};
	windows.at[0] =
	    (struct window){.from_min = 60, .to_min = 300, .days = WINDOW_EVERY_DAY, .zone = "UTC"};
	c.windows = &windows;
	world.unix_s = 1795564800 + (open ? 7200 : 0);
}

/* Three that serve, demo-0 the primary; then another image is wanted, in no window. */
static void
begin(void)
{
	serve_saying(3);
	world.sweep_ms = INT64_C(1) << 40; /* nothing else is due */
	old = model_pod_inputs(wanted.hash);
	set_window(false);
	change(7);
	c.tried = model_pod_inputs(wanted.hash);
	for (unsigned i = 0; i < 3; i++)
		says(i);
	world.now.v += 60000;
}

static void
leave_out(const char *what)
{
	for (char *at; (at = strstr(script, what)) != NULL;) {
		const char *end = strchr(at, ';') + 2;

		memmove(at, end, strlen(end) + 1);
	}
}

/*
 * The steps that are due now and change anything in the cluster. present and so on: of the pods
 * that do not serve.
 */
static const char *
steps(bool present, uint64_t inputs, enum choice_reason reason)
{
	script[0] = '\0';
	for (unsigned i = 0; i < 60 && next(); i++) {
		struct plan_answer a = done_answer();

		if (step.sent.verb == CHOICE_verb_OBSERVE_POD) {
			bool serves = status_serves(&c, step.sent.ordinal);

			a.present = present || serves;
			a.ready = serves;
			a.inputs = serves ? reports[step.sent.ordinal].pod_inputs : inputs;
			a.reason = serves ? REASON_NONE : (uint8_t)reason;
			a.child_uid = serves ? reports[step.sent.ordinal].pod_uid
			                     : uid(220u + step.sent.ordinal);
		}
		answer(&a);
	}
	leave_out("status ");
	leave_out("event ");
	leave_out("observe-");
	leave_out("unreachable ");
	return script;
}

static void
test_window(void)
{
	begin();
	c.tried = 0;
	is(steps(true, old, REASON_NONE), "try-template; ",
	    "outside the windows it is only tried whether it could be written");
	world.now.v += 60000;
	is(steps(true, old, REASON_NONE), "", "once");
	CHECK(c.statefulset.pod_inputs == old, "as the pods were made from it");
	set_window(true);
	is(steps(true, old, REASON_NONE), "template; replace-pod 2; ",
	    "it is written right before the first pod is replaced");
	CHECK(!template_is_due(&c), "the answer is as good as a record");
	begin();
	reports[1].state = CHOICE_instance_state_STARTING;
	says(1);
	note_set(old, 2);
	set_window(true);
	for (unsigned i = 0; i < 3; i++)
		if (i != 1) {
			reports[i].pod_inputs = old;
			says(i);
		}
	reports[1].pod_inputs = model_pod_inputs(wanted.hash);
	says(1);
	CHECK(strstr(steps(true, old, REASON_NONE), "template") == NULL,
	    "not while another one is down");
	begin();
	world.synced = false;
	set_window(true);
	is(steps(true, old, REASON_NONE), "", "nor before every list is complete");
}

/* Its report is that of a pod that is no more. */
static void
lose(unsigned i)
{
	reports[i].state = CHOICE_instance_state_UNKNOWN;
	reports[i].role = CHOICE_instance_role_NONE;
	says(i);
	note_set(c.statefulset.pod_inputs, 2);
	world.now.v += 3000;
}

static void
test_lost_pod(void)
{
	begin();
	lose(1);
	is(steps(true, old, REASON_NONE), "", "a lost pod that comes back as it was is left alone");
	world.now.v += 60000;
	CHECK(strstr(steps(true, old, REASON_NONE), "replace") == NULL && template_is_due(&c),
	    "however long it takes");
	begin();
	lose(1);
	is(steps(true, old, REASON_IMAGE_PULL_FAILED), "template; replace-pod 1; ",
	    "one that can not come up may be mended by the change");
	begin();
	lose(1);
	is(steps(false, 0, REASON_PODS_REFUSED), "template; ", "so may one that is not even made");
	begin();
	lose(1);
	is(steps(true, model_pod_inputs(wanted.hash), REASON_IMAGE_PULL_FAILED), "",
	    "but not one that was made from it");
	begin();
	reports[1].state = CHOICE_instance_state_FAILED;
	reports[1].reason = REASON_POSTGRES_MISSING;
	says(1);
	is(steps(true, old, REASON_NONE), "template; ",
	    "nor is one waited for whose agent says why");
}

static void
test_at_once(void)
{
	begin();
	c.wanted.update = CHOICE_update_strategy_ON_DEMAND;
	is(steps(true, old, REASON_NONE), "template; ",
	    "with OnDemand a pod that is deleted comes back new");
	begin();
	reports[2].pod_inputs = model_pod_inputs(wanted.hash);
	says(2);
	is(steps(true, old, REASON_NONE), "template; ",
	    "what one serves with is a change taken back");
	begin();
	c.statefulset.replicas = 0;
	c.wanted.hibernated = true;
	for (unsigned i = 0; i < 3; i++)
		c.instance[i].report.stop = CHOICE_stop_POSTGRESQL;
	is(steps(true, old, REASON_NONE), "template; ",
	    "without pods there is nothing to wait for");
	start(3);
	play();
	world.now.v += 1000;
	old = model_pod_inputs(wanted.hash);
	set_window(false);
	change(7);
	CHECK(strstr(steps(true, old, REASON_NONE), "template; ") == script,
	    "nor before anything has run");
}

/* A new life: the StatefulSet's list is here before that of the instances. */
static void
test_unlisted(void)
{
	begin();
	world.synced = false;
	world.listed = ~(1u << KIND_BGINSTANCE);
	for (unsigned i = 0; i < 3; i++)
		c.instance[i].child.present = false;
	is(steps(true, old, REASON_NONE), "", "who is not listed yet may well have run");
}

static void
test_undone(void)
{
	int64_t waits[6];

	begin();
	c.wanted.update = CHOICE_update_strategy_ON_DEMAND;
	for (unsigned n = 0; n < 6; n++) {
		int64_t since = world.now.v;

		while (strstr(steps(true, old, REASON_NONE), "template") == NULL)
			world.now.v = step.again.v;
		waits[n] = world.now.v - since;
		note_set(old, 3);
	}
	CHECK(waits[0] == 0 && waits[1] <= 500 && waits[5] > 3 * waits[2],
	    "who undoes it again and again is answered more and more slowly");
}

static void
test_answers(void)
{
	const struct plan_condition *k;
	struct plan_answer a;

	begin();
	set_window(true);
	while (next() && step.sent.verb != CHOICE_verb_TEMPLATE) {
		a = done_answer();
		answer(&a);
	}
	CHECK(
	    uid_eq(&step.sent.target, &c.child[CHILD_STATEFULSET].uid), "it names its StatefulSet");
	a = done_answer();
	c.child[CHILD_STATEFULSET].version = a.version + 1;
	note_set(old, 3);
	plan_done(&c, &step.sent, &a, world.now);
	CHECK(template_is_due(&c), "what a later record says counts more than the answer");
	begin();
	c.tried = 0;
	while (next() && step.sent.verb != CHOICE_verb_TRY_TEMPLATE) {
		a = done_answer();
		answer(&a);
	}
	a = (struct plan_answer){.code = CHOICE_step_code_INVALID, .text = true};
	answer(&a);
	world.now.v += 3000;
	CHECK(strstr(steps(true, old, REASON_NONE), "template") == NULL,
	    "one that is refused when tried");
	k = condition(CHOICE_condition_type_PROGRESSING);
	CHECK(k != NULL && k->reason == REASON_SPEC_REFUSED &&
		  k->status == CHOICE_condition_status_FALSE,
	    "is said before its window opens");
}

/* --- A rolling change that is halted. */

static uint64_t newest;

/* Another image was tried on demo-2: what steps there are while its pod does not serve. */
static const char *
wait_halted(enum choice_reason reason, int64_t ms)
{
	world.now.v += ms;
	return steps(true, newest, reason);
}

static void
try_image(void)
{
	begin();
	set_window(true);
	steps(true, old, REASON_NONE);
	newest = model_pod_inputs(wanted.hash);
	c.statefulset.last_good = old;
	note_set(newest, 2);
	world.now.v += 3000;
}

static void
halt(void)
{
	try_image();
	wait_halted(REASON_IMAGE_PULL_FAILED, 0);
	wait_halted(REASON_IMAGE_PULL_FAILED, HALTED_MS);
}

static void
test_written_back(void)
{
	try_image();
	is(wait_halted(REASON_IMAGE_PULL_FAILED, 0), "", "a halt that has just begun may end");
	is(wait_halted(REASON_IMAGE_PULL_FAILED, HALTED_MS - 1), "", "for a while");
	is(wait_halted(REASON_IMAGE_PULL_FAILED, 1), "restore-template; ",
	    "then the last good template is written back");
	CHECK(c.statefulset.pod_inputs == old, "and the answer is as good as a record");
	is(wait_halted(REASON_IMAGE_PULL_FAILED, 3600000), "", "nothing more is written");
	try_image();
	is(wait_halted(REASON_NONE, 0), "", "who only takes its time");
	is(wait_halted(REASON_NONE, HALTED_SLOW_MS - 1), "", "has more of it");
	is(wait_halted(REASON_NONE, 1), "restore-template; ", "but not for ever");
}

static void
test_not_written_back(void)
{
	try_image();
	c.statefulset.last_good = 0;
	is(wait_halted(REASON_IMAGE_PULL_FAILED, 3600000), "", "where nothing is kept");
	try_image();
	c.statefulset.last_good = 99;
	is(wait_halted(REASON_IMAGE_PULL_FAILED, 3600000), "", "what nobody serves with");
	try_image();
	c.wanted.update = CHOICE_update_strategy_ON_DEMAND;
	is(wait_halted(REASON_IMAGE_PULL_FAILED, 3600000), "", "with OnDemand");
	try_image();
	world.synced = false;
	is(wait_halted(REASON_IMAGE_PULL_FAILED, 3600000), "", "before every list is complete");
	try_image();
	c.wanted.fenced = 4;
	CHECK(strstr(wait_halted(REASON_NONE, 3600000), "template") == NULL,
	    "who is fenced is not expected to serve");
	try_image();
	for (unsigned i = 0; i < 3; i++) {
		reports[i].pod_inputs = newest;
		says(i);
	}
	lose(1);
	is(wait_halted(REASON_IMAGE_PULL_FAILED, 3600000), "",
	    "nor once the change has come to all: what they ran before is past");
}

/* Of a pod that can not start there is no report: it is still that of the one before. */
static void
test_new_life_in_a_halt(void)
{
	halt();
	reports[2].pod_inputs = old;
	says(2);
	c.instance[2].looked = false;
	c.instance[2].replaced = (struct uid){{0}};
	is(wait_halted(REASON_IMAGE_PULL_FAILED, 3000), "",
	    "what is not known of a pod is looked at before the template is written");
	lose(2);
	c.instance[2].report.reason = REASON_POSTGRES_MISSING;
	c.instance[2].looked = false;
	is(wait_halted(REASON_IMAGE_PULL_FAILED, 0), "",
	    "whatever the last word of the one before");
}

static void
test_lost_in_a_halt(void)
{
	halt();
	c.instance[2].look.until.v = PLAN_NEVER; /* of the others is told here */
	lose(1);
	is(steps(true, old, REASON_CRASH_LOOP), "",
	    "what is seen to fail is no mend for another one that does");
	lose(0);
	is(steps(true, old, REASON_CRASH_LOOP), "", "nor when none is left");
	CHECK(c.statefulset.pod_inputs == old, "they come back as they were");
}

/* demo-2 serves, in that pod. */
static void
comes_up(unsigned pod, uint64_t inputs)
{
	reports[2].pod_uid = uid(pod);
	reports[2].pod_inputs = inputs;
	says(2);
	note_set(old, 3);
}

static void
test_on_from_a_halt(void)
{
	halt();
	comes_up(222, newest);
	is(wait_halted(REASON_NONE, 3000), "template; replace-pod 1; ",
	    "when it comes up after all, the next one follows, and only then the template");
	halt();
	comes_up(222, newest);
	set_window(false);
	is(wait_halted(REASON_NONE, 3000), "", "in a window");
	halt();
	change(8);
	is(wait_halted(REASON_IMAGE_PULL_FAILED, 3000), "template; replace-pod 2; ",
	    "a change that is corrected is tried at once");
	halt();
	wanted.hash[GROUP_POD] = 0;
	for (uint64_t image = 0; model_pod_inputs(wanted.hash) != old; image++)
		wanted.hash[GROUP_POD] = image;
	wanted.generation++;
	note_wanted();
	is(wait_halted(REASON_IMAGE_PULL_FAILED, 3000), "replace-pod 2; ",
	    "one that is taken back needs no template any more");
	halt();
	comes_up(223, old);
	world.now.v += 3000;
	is(steps(true, old, REASON_NONE), "template; replace-pod 2; ",
	    "who deletes the pod that failed has it tried again");
}

/* Does a StatefulSet of other volumes wait? One that is made anew keeps nothing. */
static bool
is_remade(enum choice_reason reason, bool anew)
{
	halt();
	wanted.hash[GROUP_STORAGE]++;
	wanted.generation++;
	note_wanted();
	wait_halted(reason, 60000);
	c.statefulset.storage_inputs = wanted.hash[GROUP_STORAGE] - 1;
	c.statefulset.last_good = c.statefulset.pod_inputs = old;
	if (anew) {
		c.instance[2].looked = false;
		c.instance[2].look.until.v = PLAN_NEVER;
		c.instance[2].report.pod_inputs = old;
	}
	return strstr(wait_halted(reason, 60000), "orphan-statefulset") != NULL;
}

static void
test_storage_in_a_halt(void)
{
	CHECK(!is_remade(REASON_IMAGE_PULL_FAILED, false),
	    "other volumes wait for the end of a halt");
	CHECK(!is_remade(REASON_NONE, true), "and for a look at who may be the one that halts it");
	CHECK(
	    is_remade(REASON_VOLUME_PENDING, false), "unless it is for want of them that it lasts");
}

/* The watch is faster than the answer, and the StatefulSet's controller is as well. */
static void
test_own_record(void)
{
	begin();
	set_window(true);
	while (next() && step.sent.verb != CHOICE_verb_TEMPLATE) {
		struct plan_answer a = done_answer();

		answer(&a);
	}
	struct plan_answer a = done_answer();
	struct plan_object o = object(CHILD_STATEFULSET, 0);

	o.generation = a.generation;
	for (unsigned i = 0; i < 2; i++) {
		o.version = a.version + i;
		plan_note_child(&c, CHILD_STATEFULSET, 0, &o, false);
		note_set(step.sent.key, 3);
	}
	answer(&a);
	CHECK(next() && step.sent.verb == CHOICE_verb_REPLACE_POD,
	    "the record of our own write is nothing to look into before a pod is replaced");
}

int
main(void)
{
	test_window();
	test_lost_pod();
	test_at_once();
	test_unlisted();
	test_undone();
	test_answers();
	test_written_back();
	test_not_written_back();
	test_new_life_in_a_halt();
	test_lost_in_a_halt();
	test_on_from_a_halt();
	test_storage_in_a_halt();
	test_own_record();
	return tap_done();
}
