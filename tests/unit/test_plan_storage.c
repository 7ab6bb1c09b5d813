/*
 * Volumes that are to grow, as scripts: in which order, what is said, and what a life that knows
 * nothing of them asks.
 */
#include "tests/unit/plan_script.h"

static void
look(enum choice_step_code code, enum choice_reason reason, bool fits)
{
	static char text[] = "what the API server said";
	char **slot = plan_done(&c, &step.sent,
	    &(struct plan_answer){.code = (uint8_t)code,
		.reason = (uint8_t)reason,
		.present = true,
		.bound = true,
		.ready = fits},
	    world.now);

	if (slot != NULL)
		*slot = reason != REASON_NONE ? text : NULL;
}

/*
 * The step of that verb, all before it answered with DONE, volumes as growing; false: it does not
 * come.
 */
static bool
until(enum choice_verb verb)
{
	for (unsigned i = 0; i < 40 && next(); i++) {
		struct plan_answer a = done_answer();

		if (step.sent.verb == verb)
			return true;
		if (step.sent.verb == CHOICE_verb_EXPAND_PVC) {
			look(CHOICE_step_code_DONE, REASON_EXPANDING, false);
			continue;
		}
		answer(&a);
	}
	return false;
}

/* Another size, on a cluster that serves; the StatefulSet is patched as far as it can be. */
static void
grow(void)
{
	wanted.hash[GROUP_STORAGE]++;
	wanted.generation++;
	wanted.status = c.wanted.status;
	note_wanted();
	script[0] = '\0';
	next();
	answer(&(struct plan_answer){.code = CHOICE_step_code_DONE,
	    .child_uid = c.child[CHILD_STATEFULSET].uid,
	    .version = ++versions,
	    .generation = 5});
	c.statefulset.storage_inputs = wanted.hash[GROUP_STORAGE] - 1;
	script[0] = '\0';
}

static const struct plan_condition *
said(void)
{
	return condition(CHOICE_condition_type_STORAGE_HEALTHY);
}

static void
remake(void)
{
	plan_note_child_gone(&c, CHILD_STATEFULSET, 0, &c.child[CHILD_STATEFULSET].uid);
	world.now.v += 1000;
}

static void
test_grows(void)
{
	serve(2);
	CHECK(said() != NULL && said()->status == CHOICE_condition_status_TRUE,
	    "StorageHealthy is always said");
	grow();
	CHECK(next() && step.sent.verb == CHOICE_verb_EXPAND_PVC && step.sent.ordinal == 0,
	    "each claim is told,");
	look(CHOICE_step_code_RETRY, REASON_NONE, false);
	next();
	look(CHOICE_step_code_DONE, REASON_EXPANDING, false);
	CHECK(!until(CHOICE_verb_ORPHAN_STATEFULSET), "and the StatefulSet stays until all were,");
	world.now.v += 1000;
	CHECK(until(CHOICE_verb_EXPAND_PVC) && step.sent.ordinal == 0, "the first again");
	look(CHOICE_step_code_DONE, REASON_EXPANDING, false);
	CHECK(until(CHOICE_verb_ORPHAN_STATEFULSET), "then it is made anew,");
	answer(&(struct plan_answer){.code = CHOICE_step_code_DONE});
	remake();
	until(CHOICE_verb_STATUS);
	CHECK(said()->status == CHOICE_condition_status_FALSE &&
		  said()->reason == REASON_EXPANDING &&
		  strstr(said()->text, "demo-0: what") != NULL,
	    "while volumes grow it is said");
	answer(&(struct plan_answer){.code = CHOICE_step_code_DONE});
	CHECK(condition(CHOICE_condition_type_READY)->status == CHOICE_condition_status_TRUE,
	    "Ready stays");
	world.now.v += 10000;
	for (unsigned i = 0; i < 2; i++) {
		CHECK(until(CHOICE_verb_EXPAND_PVC), "each is looked at again");
		look(CHOICE_step_code_DONE, REASON_NONE, true);
	}
	world.now.v += 3000;
	until(CHOICE_verb_STATUS);
	CHECK(said()->status == CHOICE_condition_status_TRUE, "until it is large enough");
	answer(&(struct plan_answer){.code = CHOICE_step_code_DONE});
	world.now.v += 600000;
	script[0] = '\0';
	until(CHOICE_verb_EXPAND_PVC);
	CHECK(strstr(script, "expand-pvc") == NULL, "and then no more");
}

/* How long a volume that does not follow is let alone each time. */
static void
test_patience(void)
{
	int64_t last = 0, wait = 0;
	bool slower = true;

	serve(1);
	grow();
	next();
	look(CHOICE_step_code_DONE, REASON_EXPANDING, false);
	for (unsigned i = 0; i < 10; i++) {
		last = world.now.v;
		world.now = c.instance[0].volume.until;
		slower &= world.now.v - last >= wait;
		wait = world.now.v - last;
		until(CHOICE_verb_EXPAND_PVC);
		look(CHOICE_step_code_DONE, REASON_EXPANDING, false);
	}
	CHECK(slower && wait == 300000, "ever more slowly, up to five minutes");
}

static void
test_refused(void)
{
	serve(2);
	grow();
	for (unsigned i = 0; i < 2; i++) {
		CHECK(until(CHOICE_verb_EXPAND_PVC), "each claim is told");
		look(CHOICE_step_code_INVALID, REASON_EXPANSION_REFUSED, false);
	}
	world.now.v += 1000;
	CHECK(until(CHOICE_verb_ORPHAN_STATEFULSET), "a refusal does not hold up new volumes");
	answer(&(struct plan_answer){.code = CHOICE_step_code_DONE});
	remake();
	CHECK(until(CHOICE_verb_EVENT) && step.sent.reason == REASON_EXPANSION_REFUSED &&
		  step.event_type == CHOICE_event_type_WARNING,
	    "an Event tells");
	answer(&(struct plan_answer){.code = CHOICE_step_code_DONE});
	CHECK(until(CHOICE_verb_STATUS) && said()->reason == REASON_EXPANSION_REFUSED &&
		  said()->status == CHOICE_condition_status_FALSE &&
		  strcmp(said()->text, "demo-0: what the API server said") == 0,
	    "and it is said");
	CHECK(condition(CHOICE_condition_type_READY)->status == CHOICE_condition_status_TRUE &&
		  condition(CHOICE_condition_type_PROGRESSING)->reason == REASON_AS_WANTED,
	    "and nothing else is the worse for it");
	answer(&(struct plan_answer){.code = CHOICE_step_code_DONE});
	world.now.v += 30000;
	is(play(), "", "it is not asked again soon,");
	wanted.generation++;
	wanted.status = c.wanted.status;
	note_wanted();
	script[0] = '\0';
	CHECK(until(CHOICE_verb_EXPAND_PVC), "but at once with another spec");
}

/* A life that knows nothing asks each once, before it contradicts what an earlier one said. */
static void
test_new_life(void)
{
	serve(1);
	grow();
	next();
	look(CHOICE_step_code_INVALID, REASON_EXPANSION_REFUSED, false);
	world.now.v += 1000;
	until(CHOICE_verb_ORPHAN_STATEFULSET);
	answer(&(struct plan_answer){.code = CHOICE_step_code_DONE});
	remake();
	until(CHOICE_verb_STATUS);
	answer(&(struct plan_answer){.code = CHOICE_step_code_DONE});
	wanted.said.reasons[CHOICE_condition_type_CONFIGURATION_APPLIED] = REASON_AS_WANTED;
	wanted.status = c.wanted.status;
	forget();
	for (unsigned child = CHILD_SERVICEACCOUNT; child < CHILD_COUNT; child++) {
		struct plan_object o = object(child, 0);

		plan_note_child(&c, child, 0, &o, true);
	}
	note_wanted();
	note_statefulset(1, 1);
	note_report(0, CHOICE_instance_role_PRIMARY);
	script[0] = '\0';
	CHECK(until(CHOICE_verb_EXPAND_PVC), "a new life asks");
	CHECK(strstr(script, "status") == NULL, "before it says otherwise");
	look(CHOICE_step_code_INVALID, REASON_EXPANSION_REFUSED, false);
	script[0] = '\0';
	CHECK(!until(CHOICE_verb_STATUS) && strstr(script, "event") == NULL,
	    "and has nothing to say when it is still so");
}

/* A claim that an earlier scale-down left may be smaller. */
static void
test_kept_claim(void)
{
	serve(1);
	wanted.instances = 2;
	wanted.hash[GROUP_SCALE]++;
	wanted.generation++;
	wanted.status = c.wanted.status;
	note_wanted();
	script[0] = '\0';
	CHECK(
	    until(CHOICE_verb_EXPAND_PVC) && step.sent.ordinal == 1, "a new member's is looked at");
	answer(&(struct plan_answer){.code = CHOICE_step_code_DONE});
	script[0] = '\0';
	until(CHOICE_verb_EXPAND_PVC);
	CHECK(strstr(script, "expand") == NULL, "one that is not there yet not at once again");
	world.now.v += 2000;
	CHECK(until(CHOICE_verb_EXPAND_PVC) && step.sent.ordinal == 1, "but soon");
}

/* --- Almost full. */

static void
fill(unsigned i, enum choice_disk_class disk)
{
	struct plan_report r = c.instance[i].report;

	r.disk = (uint8_t)disk;
	plan_note_report(&c, i, &r);
	world.now.v += 10000;
	script[0] = '\0';
}

static void
test_almost_full(void)
{
	serve(3);
	fill(0, CHOICE_disk_class_LOW);
	fill(2, CHOICE_disk_class_LOW);
	is(play(),
	    "observe-pod 0; observe-pod 1; observe-pod 2; event DiskAlmostFull; status Ready; ",
	    "it is said, with one Event");
	CHECK(said()->status == CHOICE_condition_status_FALSE &&
		  strcmp(said()->text,
		      "Less than 15 % of the volume is free: pgdata-demo-0, pgdata-demo-2. "
		      "Raise spec.storage.size, or remove data.") == 0,
	    "which instances, and what to do");
	fill(2, CHOICE_disk_class_FULL);
	is(play(), "status Ready; ", "worse is said, without another Event");
	CHECK(strstr(said()->text, "5 % of the volume is free: pgdata-demo-2.") != NULL,
	    "of those that have least");
	memory[1].volume_asked = true;
	memory[1].volume_grown = false;
	memory[1].volume =
	    (struct plan_try){.reason = REASON_EXPANSION_REFUSED, .until = {world.now.v + 600000}};
	world.now.v += 10000;
	play();
	CHECK(said()->reason == REASON_DISK_ALMOST_FULL &&
		  strstr(said()->text, "pgdata-demo-2. demo-1: A volume may not grow") != NULL,
	    "together with what keeps them from growing");
	memory[1].volume = (struct plan_try){0};
	memory[1].volume_grown = true;
	fill(0, CHOICE_disk_class_NONE);
	fill(2, CHOICE_disk_class_NONE);
	is(play(), "status Ready; ", "when there is room again, that is said");
	CHECK(said()->status == CHOICE_condition_status_TRUE, "by the condition");
	fill(2, CHOICE_disk_class_LOW);
	is(play(), "event DiskAlmostFull; status Ready; ", "the next time is news");
	fill(2, CHOICE_disk_class_NONE);
	play();
	fill(2, CHOICE_disk_class_LOW);
	is(play(), "event DiskAlmostFull; status Ready; ", "even of the same instance");
}

/* With spec.walStorage the volume is named, and the field that helps. */
static void
test_wal_almost_full(void)
{
	serve(3);
	fill(0, CHOICE_disk_class_WAL_LOW);
	fill(1, CHOICE_disk_class_LOW);
	play();
	CHECK(strcmp(said()->text,
		  "Less than 15 % of the volume is free: pgwal-demo-0, pgdata-demo-1. Raise "
		  "spec.storage.size and spec.walStorage.size, or remove data.") == 0,
	    "both kinds");
	fill(2, CHOICE_disk_class_WAL_FULL);
	play();
	CHECK(strcmp(said()->text,
		  "Less than 5 % of the volume is free: pgwal-demo-2. Raise "
		  "spec.walStorage.size, or see what keeps WAL: docs/storage.md.") == 0,
	    "the worst first");
	for (unsigned i = 0; i < 3; i++)
		fill(i, CHOICE_disk_class_NONE);
	play();
	CHECK(said()->status == CHOICE_condition_status_TRUE, "all is well again");
	{
		struct plan_report r = c.instance[1].report;

		r.reason = REASON_WAL_IN_PGDATA;
		plan_note_report(&c, 1, &r);
		world.now.v += 10000;
	}
	is(play(), "event WALInPGDATA; status Ready; ", "WAL that is not where it belongs");
	CHECK(said()->status == CHOICE_condition_status_FALSE &&
		  strncmp(said()->text, "demo-1: The WAL is in PGDATA", 28) == 0,
	    "is said, though all serve");
}

/* --- A smaller cluster. */

/* From two instances to one; the primary is on the one that stays. */
static void
shrink(void)
{
	serve(2);
	wanted.instances = 1;
	wanted.scale_down = CHOICE_scale_down_DELETE;
	wanted.hash[GROUP_SCALE]++;
	wanted.generation++;
	wanted.status = c.wanted.status;
	note_wanted();
	script[0] = '\0';
	CHECK(until(CHOICE_verb_OBSERVE_PVC) && step.sent.ordinal == 1,
	    "once its pod is gone, its volume is looked at");
	is(script, "ensure StatefulSet demo; observe-pod 1; observe-pvc 1; ", "in this order");
	answer(&(struct plan_answer){
	    .code = CHOICE_step_code_DONE, .present = true, .bound = true, .child_uid = uid(150)});
}

static void
test_dropped(void)
{
	shrink();
	CHECK(next() && step.sent.verb == CHOICE_verb_DELETE_PVC && step.sent.ordinal == 1 &&
		  step.sent.target.b[0] == 150,
	    "it goes by uid");
	answer(&(struct plan_answer){.code = CHOICE_step_code_DONE});
	CHECK(next() && step.sent.verb == CHOICE_verb_OBSERVE_PVC, "what is left is looked at,");
	answer(&(struct plan_answer){
	    .code = CHOICE_step_code_DONE, .present = true, .bound = true, .child_uid = uid(151)});
	CHECK(next() && step.sent.verb == CHOICE_verb_DELETE_PVC && step.sent.target.b[0] == 151,
	    "the WAL's claim goes next,");
	answer(&(struct plan_answer){.code = CHOICE_step_code_DONE});
	CHECK(next() && step.sent.verb == CHOICE_verb_OBSERVE_PVC, "until none is left,");
	answer(&(struct plan_answer){.code = CHOICE_step_code_DONE, .present = false});
	CHECK(next() && step.sent.verb == CHOICE_verb_DELETE && step.sent.child == CHILD_INSTANCE,
	    "and then its BGInstance");
	shrink();
	next();
	answer(&(struct plan_answer){
	    .code = CHOICE_step_code_DENIED, .reason = REASON_RIGHTS_MISSING});
	script[0] = '\0';
	play();
	CHECK(strstr(script, "delete") == NULL && strstr(script, "status") != NULL &&
		  condition(CHOICE_condition_type_PROGRESSING)->reason == REASON_RIGHTS_MISSING,
	    "what is refused is said, and its BGInstance stays");
	world.now.v += 60000;
	CHECK(until(CHOICE_verb_OBSERVE_PVC), "until it can be done");
}

static void
test_dropped_by_another_life(void)
{
	shrink();
	memory[1].pvc_looked = memory[1].looked = false;
	memory[1].look.until.v = 0;
	CHECK(until(CHOICE_verb_OBSERVE_PVC), "after a crash it is looked at again");
	answer(&(struct plan_answer){.code = CHOICE_step_code_DONE, .present = false});
	CHECK(next() && step.sent.verb == CHOICE_verb_DELETE, "one that is gone holds up nothing");
}

static void
test_not_dropped_without_primary(void)
{
	shrink();
	note_report(0, CHOICE_instance_role_REPLICA);
	script[0] = '\0';
	play();
	CHECK(strstr(script, "delete") == NULL, "it may hold the newest rows while nobody leads");
	note_report(0, CHOICE_instance_role_PRIMARY);
	world.now.v += 5000;
	CHECK(until(CHOICE_verb_OBSERVE_PVC), "and is looked at anew once one does");
	wanted.instances = 2;
	wanted.hash[GROUP_SCALE]++;
	wanted.generation++;
	note_wanted();
	script[0] = '\0';
	play();
	CHECK(strstr(script, "delete") == NULL, "a cluster that grows again keeps it");
}

int
main(void)
{
	test_almost_full();
	test_wal_almost_full();
	test_dropped();
	test_dropped_by_another_life();
	test_not_dropped_without_primary();
	test_grows();
	test_patience();
	test_refused();
	test_new_life();
	test_kept_claim();
	return tap_done();
}
