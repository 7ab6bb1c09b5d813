/*
 * Hibernation, fencing and waking as scripts: a situation, and the steps that follow from it.
 */
#include "tests/unit/plan_script.h"

static void
say(unsigned i, enum choice_instance_state state, enum choice_instance_role role)
{
	struct plan_report r = c.instance[i].report;

	r.state = (uint8_t)state;
	r.role = (uint8_t)role;
	plan_note_report(&c, i, &r);
	world.now.v += 5000;
}
#define LEADS(i) say(i, CHOICE_instance_state_RUNNING, CHOICE_instance_role_PRIMARY)
#define DETACHED(i) say(i, CHOICE_instance_state_DETACHED, CHOICE_instance_role_REPLICA)
#define STOPPED(i, role) say(i, CHOICE_instance_state_STOPPED, CHOICE_instance_role_##role)
#define HELD(i, role) say(i, CHOICE_instance_state_HELD, CHOICE_instance_role_##role)

static void
edit(void)
{
	wanted.generation++;
	wanted.hash[GROUP_REST] = 100 + GROUP_REST + wanted.hibernated;
	wanted.status = c.wanted.status;
	note_wanted();
	world.now.v += 5000;
}

static void
hibernate(bool on)
{
	wanted.hibernated = on;
	edit();
}

static bool
did(const char *what)
{
	return strstr(play(), what) != NULL;
}

/* Three instances of which demo-0 leads, on their way to a rest. */
static void
test_order(void)
{
	serve(3);
	hibernate(true);
	CHECK(starts(play(), "stop-patroni 1; stop-patroni 2; "), "replicas may no longer lead,");
	DETACHED(1);
	CHECK(!did("stop-postgresql"), "all of them,");
	DETACHED(2);
	CHECK(did("stop-postgresql 0; "), "then the primary stops,");
	CHECK(!did("stop-postgresql"), "it takes its time,");
	STOPPED(0, PRIMARY);
	CHECK(did("stop-postgresql 1; stop-postgresql 2; "), "then its replicas,");
	STOPPED(1, NONE);
	CHECK(!did("StatefulSet"), "all of them,");
	STOPPED(2, NONE);
	CHECK(starts(play(), "ensure StatefulSet demo; "), "then the pods go");
	CHECK(strcmp(c.name, "demo") == 0 && c.statefulset.replicas == 0, "all of them");
	CHECK(condition(CHOICE_condition_type_READY)->reason == REASON_HIBERNATED &&
		  strstr(condition(CHOICE_condition_type_READY)->text, "demo-0 leads") != NULL,
	    "it says so, and who will lead");
	world.now.v += 5000;
	play();
	world.now.v += 60000;
	is(play(), "", "and then it rests");
}

static void
test_wake(void)
{
	test_order();
	hibernate(false);
	CHECK(starts(play(), "hold 0; hold 1; hold 2; ensure StatefulSet demo; ") &&
		  strstr(script, "release") == NULL,
	    "who wakes is held first");
	HELD(1, NONE);
	HELD(2, NONE);
	CHECK(!did("release"), "until all have reported,");
	HELD(0, PRIMARY);
	CHECK(did("release 0; "), "then the last primary starts alone,");
	LEADS(0);
	CHECK(did("release 1; release 2; "), "then the others");
}

static void
test_taken_back(void)
{
	serve(3);
	hibernate(true);
	play();
	DETACHED(1);
	DETACHED(2);
	hibernate(false);
	CHECK(starts(play(), "release 1; release 2; "),
	    "taken back in time, the primary never stops");
	serve(3);
	hibernate(true);
	play();
	DETACHED(1);
	DETACHED(2);
	play();
	STOPPED(0, PRIMARY);
	hibernate(false);
	CHECK(starts(play(), "release 0; "), "taken back later, it starts first,");
	CHECK(!did("release"), "alone,");
	LEADS(0);
	CHECK(did("release 1; release 2; "), "then the others");
}

static void
test_broken_replica(void)
{
	serve(3);
	say(2, CHOICE_instance_state_FAILED, CHOICE_instance_role_NONE);
	hibernate(true);
	CHECK(starts(play(), "stop-patroni 1; stop-postgresql 2; "),
	    "who does not follow stops at once");
	DETACHED(1);
	CHECK(!did("stop-postgresql 0; "), "the primary waits for it");
	STOPPED(2, NONE);
	CHECK(did("stop-postgresql 0; "), "and stops then");
}

static void
test_paused(void)
{
	struct plan_report r;

	serve(2);
	r = c.instance[0].report;
	r.paused = true;
	plan_note_report(&c, 0, &r);
	hibernate(true);
	CHECK(!did("stop-"), "a paused Patroni would start nothing when it wakes");
	CHECK(strstr(condition(CHOICE_condition_type_READY)->text, "Patroni is paused") != NULL,
	    "it says so");
	r.paused = false;
	plan_note_report(&c, 0, &r);
	CHECK(did("stop-patroni 1; "), "resumed, it goes on");
	serve(2);
	for (unsigned i = 0; i < 2; i++) {
		r = c.instance[i].report;
		r.paused = true;
		r.role = CHOICE_instance_role_NONE;
		r.state = CHOICE_instance_state_UNKNOWN;
		plan_note_report(&c, i, &r);
	}
	hibernate(true);
	CHECK(
	    did("stop-postgresql 0; stop-postgresql 1; "), "pods that are lost do not hold it up");
}

/* demo-1 led, and is lost, but its last word is still that it leads. */
static void
test_two_lead(void)
{
	struct plan_report r;

	serve(2);
	LEADS(1);
	r = c.instance[0].report;
	r.timeline++;
	plan_note_report(&c, 0, &r);
	hibernate(true);
	CHECK(starts(play(), "stop-postgresql 1; ") && strstr(script, "postgresql 0") == NULL,
	    "of two that say that they lead, the one on the higher timeline stops last");
}

static void
test_fence(void)
{
	serve(3);
	wanted.fenced = 2;
	edit();
	CHECK(starts(play(), "stop-postgresql 1; "), "a fenced instance stops");
	STOPPED(1, NONE);
	note_statefulset(3, 2);
	world.now.v += 5000;
	play();
	CHECK(condition(CHOICE_condition_type_READY)->reason == REASON_INSTANCES_FENCED,
	    "it says so");
	wanted.hash[GROUP_POD]++;
	edit();
	CHECK(!did("replace-pod"), "its pod stays, whatever changes");
	wanted.hash[GROUP_POD]--;
	wanted.fenced = 0;
	edit();
	CHECK(did("release 1; "), "and starts again when its name is taken out");
	serve(3);
	wanted.fenced = 1;
	edit();
	CHECK(starts(play(), "stop-postgresql 0; "), "a primary too: Patroni hands over");
	serve(2);
	wanted.fenced = 3;
	edit();
	CHECK(starts(play(), "stop-patroni 1; "), "all fenced are stopped in order");
	CHECK(!did("StatefulSet"), "and keep their pods");
}

/* Who takes spec.stop away again and again, and we who put it back, go more and more slowly. */
static void
test_undone(void)
{
	int64_t waits[7];

	serve(3);
	wanted.fenced = 2;
	edit();
	for (unsigned n = 0; n < 7; n++) {
		struct plan_report r = c.instance[1].report;
		int64_t since;

		r.stop = CHOICE_stop_NONE;
		plan_note_report(&c, 1, &r);
		since = world.now.v;
		while (!did("stop-postgresql 1; "))
			world.now.v = step.again.v;
		waits[n] = world.now.v - since;
	}
	CHECK(waits[0] == 0 && waits[1] == 0, "the first times at once");
	CHECK(waits[3] >= 500 && waits[6] > 4 * waits[3], "then ever more slowly");
	STOPPED(1, REPLICA);
	wanted.fenced = 0;
	edit();
	world.now.v += 120000;
	CHECK(did("release 1; "), "what is wanted next is not held up by that");
	wanted.fenced = 2;
	edit();
	CHECK(did("stop-postgresql 1; "), "nor what is wanted in turn");
}

static void
test_smaller(void)
{
	serve(3);
	say(0, CHOICE_instance_state_STREAMING, CHOICE_instance_role_REPLICA);
	LEADS(2);
	hibernate(true);
	play();
	DETACHED(0);
	DETACHED(1);
	play();
	STOPPED(2, PRIMARY);
	play();
	STOPPED(0, NONE);
	STOPPED(1, NONE);
	play();
	CHECK(c.statefulset.replicas == 0, "all rest");
	wanted.instances = 1;
	hibernate(true);
	CHECK(strstr(play(), "delete BGInstance demo-2") == NULL &&
		  strstr(script, "delete BGInstance demo-1") != NULL,
	    "a hibernated cluster that is made smaller remembers who was primary");
	hibernate(false);
	CHECK(!did("ensure StatefulSet"), "without its last primary it does not wake,");
	CHECK(condition(CHOICE_condition_type_READY)->reason == REASON_HANDING_OVER &&
		  strstr(condition(CHOICE_condition_type_READY)->text, "at least 3") != NULL,
	    "and says what to do");
}

/* A new life of the operator, and an edit: what was said last is looked at, but not taken away. */
static void
test_last_words_stay(void)
{
	test_order();
	for (unsigned i = 0; i < 3; i++)
		c.instance[i].looked = false;
	c.fresh = false;
	wanted.hash[GROUP_CONFIG]++;
	hibernate(true);
	CHECK(strstr(play(), "unreachable") == NULL && strstr(script, "observe-pod") == NULL,
	    "who rests has no pod, and is not lost for that");
}

/* Fenced, demo-0 stopped as the primary of timeline 1; demo-2 led after it. */
static void
test_highest_timeline(void)
{
	struct plan_report r;

	test_order();
	r = c.instance[2].report;
	r.timeline = 2;
	r.role = CHOICE_instance_role_PRIMARY;
	plan_note_report(&c, 2, &r);
	world.now.v += 5000;
	hibernate(true);
	play();
	CHECK(strstr(condition(CHOICE_condition_type_READY)->text, "demo-2 leads") != NULL,
	    "of two that were primary, the one on the higher timeline leads");
	wanted.instances = 2;
	hibernate(false);
	CHECK(!did("ensure StatefulSet") && c.instance[2].child.present,
	    "and is not given up for the other");
}

/* It woke, but was not released yet, when the cluster was made smaller. */
static void
test_smaller_while_it_wakes(void)
{
	test_order();
	STOPPED(0, NONE);
	STOPPED(2, PRIMARY);
	hibernate(false);
	play();
	wanted.instances = 2;
	edit();
	HELD(0, NONE);
	HELD(1, NONE);
	CHECK(!did("ensure StatefulSet"), "a held last primary keeps its pod");
	HELD(2, PRIMARY);
	CHECK(did("release 2; "), "and starts first");
	LEADS(2);
	CHECK(did("release 0; release 1; switchover 2; "),
	    "then those that stay, of which one is handed the leadership");
}

/* demo-2 led after demo-0, and its pod was lost: UNREACHABLE took its role. */
static void
test_smaller_when_the_last_primary_is_lost(void)
{
	struct plan_report r;

	test_order();
	r = c.instance[2].report;
	r.timeline = 2;
	r.role = CHOICE_instance_role_NONE;
	r.state = CHOICE_instance_state_UNKNOWN;
	plan_note_report(&c, 2, &r);
	hibernate(false);
	play();
	wanted.instances = 2;
	wanted.hash[GROUP_SCALE]++;
	edit();
	HELD(0, PRIMARY);
	HELD(1, NONE);
	CHECK(!did("ensure StatefulSet") && strstr(script, "release") == NULL,
	    "who has the newest data is not given up for older");
	c.instance[2].looked = false;
	HELD(2, PRIMARY);
	CHECK(did("release 2; ") && strstr(script, "release 0") == NULL, "and starts first");
}

static void
test_pod_that_can_not_start(void)
{
	serve(2);
	hibernate(true);
	play();
	c.instance[1].looked = true;
	c.instance[1].pod_present = true;
	c.instance[1].pod_ready = false;
	c.instance[1].pod_uid = c.instance[1].report.pod_uid;
	c.instance[1].pod_reason = REASON_IMAGE_PULL_FAILED;
	c.instance[1].look.until.v = world.now.v + 60000;
	world.now.v += 1000;
	CHECK(did("stop-postgresql 0; "), "what can not start holds up no primary's rest");
}

static void
test_missing_statefulset(void)
{
	serve(2);
	plan_note_child_gone(&c, CHILD_STATEFULSET, 0, &c.child[CHILD_STATEFULSET].uid);
	c.statefulset.ready = 0;
	world.now.v += 5000;
	CHECK(starts(play(), "hold 0; hold 1; ensure StatefulSet demo; observe-pod 0; release 0; "
			     "observe-pod 1; release 1; "),
	    "a StatefulSet that someone deleted is made anew with all held, and what runs on "
	    "released");
}

static void
test_fenced_without_a_statefulset(void)
{
	serve(2);
	wanted.fenced = 2;
	edit();
	play();
	STOPPED(1, REPLICA);
	play();
	plan_note_child_gone(&c, CHILD_STATEFULSET, 0, &c.child[CHILD_STATEFULSET].uid);
	c.statefulset.ready = 0;
	world.now.v += 5000;
	CHECK(starts(play(), "hold 0; ensure StatefulSet demo; ") &&
		  strstr(script, "hold 1; ") == NULL && strstr(script, "stop-") == NULL,
	    "who is fenced and stopped stays so while its StatefulSet is made anew");
	wanted.fenced = 0;
	edit();
	CHECK(did("release 1; "), "and starts when its name is taken out");
}

static void
test_deletion_gives_up(void)
{
	serve(2);
	wanted.deleting = true;
	edit();
	CHECK(did("stop-patroni 1; ") && !did("delete"), "kept data comes to rest in order,");
	DETACHED(1);
	CHECK(did("stop-postgresql 0; "), "the primary too,");
	say(0, CHOICE_instance_state_STOPPING, CHOICE_instance_role_NONE);
	CHECK(!did("stop-postgresql 1; "), "whose replica follows to its end,");
	world.now.v += 100000;
	CHECK(!did("delete"), "and which has time for it,");
	world.now.v += 15000;
	CHECK(did("delete StatefulSet demo; "), "but what does not stop holds up nothing,");
	serve(2);
	wanted.deleting = true;
	edit();
	CHECK(did("stop-patroni 1; "), "and who does not hear");
	world.now.v += 20000;
	CHECK(!did("delete"), "for a while only,");
	world.now.v += 12000;
	CHECK(did("delete StatefulSet demo; "), "since nobody else may speak for it");
}

/* It was not there when it was looked at; then its StatefulSet made it, and went. */
static void
test_late_orphan(void)
{
	bool there = false;

	serve(1);
	plan_note_child_gone(&c, CHILD_STATEFULSET, 0, &c.child[CHILD_STATEFULSET].uid);
	wanted.deleting = true;
	edit();
	for (unsigned n = 0; n < 200 && step.sent.verb != CHOICE_verb_REPLACE_POD; n++) {
		struct plan_answer a;

		world.now.v += 500;
		if (!next())
			continue;
		a = done_answer();
		a.count = 1;
		if (step.sent.verb == CHOICE_verb_OBSERVE_POD && step.sent.ordinal == 0) {
			a.present = there;
			there = true;
		}
		answer(&a);
	}
	CHECK(step.sent.verb == CHOICE_verb_REPLACE_POD && !uid_none(&step.sent.target),
	    "a pod that comes late holds up no deletion for ever");
}

/* Its StatefulSet is gone, and demo-0's pod has someone's finalizer. */
static void
stall_deletion(uint32_t grace, int64_t after)
{
	const struct plan_condition *k;
	char said[4096] = "";
	int64_t began;

	serve(1);
	plan_note_child_gone(&c, CHILD_STATEFULSET, 0, &c.child[CHILD_STATEFULSET].uid);
	wanted.deleting = true;
	wanted.grace = grace;
	began = world.now.v;
	edit();
	script[0] = '\0';
	while (world.now.v < began + after + 20000) {
		struct plan_answer a;

		if (!next()) {
			world.now = step.again;
			script[0] = '\0';
			continue;
		}
		a = done_answer();
		a.count = 1;
		a.terminating = step.sent.verb == CHOICE_verb_OBSERVE_POD;
		if (step.sent.verb == CHOICE_verb_EVENT)
			strncat(said, reason_info[step.sent.reason].name, 100);
		if (step.sent.verb == CHOICE_verb_STATUS) {
			k = condition(CHOICE_condition_type_DELETION_BLOCKED);
			CHECK((k != NULL) == (world.now.v >= began + after),
			    "after a while it is said that a deletion is held up");
			if (k != NULL)
				CHECK(k->reason == REASON_DELETION_STALLED &&
					  strstr(k->text, "Pod demo-0 still stops") != NULL,
				    "and by whom");
		}
		answer(&a);
	}
	is(said, "DeletionStalled", "as an Event too, once");
	k = condition(CHOICE_condition_type_PROGRESSING);
	CHECK(k != NULL && k->status == CHOICE_condition_status_FALSE, "nor does it progress");
}

static void
test_stalled_deletion(void)
{
	stall_deletion(30, 180000);  /* three minutes at least, */
	stall_deletion(300, 420000); /* and what a pod may take to stop after a rest */
}

/* Data of a cluster that was deleted, of which n instances are wanted; all wait for our word. */
static void
adopt(unsigned n, unsigned primary, uint32_t timeline, uint32_t volumes)
{
	start(n);
	anchor = CHOICE_anchor_state_ADOPTED;
	adopted = (struct plan_answer){
	    .primary = (uint8_t)primary, .timeline = timeline, .volumes = volumes};
	play();
}

static void
held(unsigned i, uint32_t timeline, enum choice_instance_role role)
{
	struct plan_report r = report(i, role);

	r.hold = true;
	r.state = CHOICE_instance_state_HELD;
	r.timeline = timeline;
	plan_note_report(&c, i, &r);
	world.now.v += 5000;
}

static bool
lacks(const char *what)
{
	const struct plan_condition *k = condition(CHOICE_condition_type_READY);

	return k->reason == REASON_LAST_PRIMARY_MISSING && strstr(k->text, what) != NULL;
}

static void
test_adopted_by_fewer(void)
{
	adopt(1, 3, 2, 7);
	held(0, 1, CHOICE_instance_role_PRIMARY);
	CHECK(!did("release") && lacks("demo-2") && lacks("at least 3"),
	    "who led last is not among the instances: nobody starts, and it says what to set");
	wanted.instances = 3;
	edit();
	play();
	held(0, 1, CHOICE_instance_role_PRIMARY);
	held(1, 2, CHOICE_instance_role_NONE);
	CHECK(!did("release"), "then it is waited for,");
	held(2, 2, CHOICE_instance_role_NONE);
	CHECK(did("release 2; ") && strstr(script, "release 0") == NULL &&
		  strstr(script, "release 1") == NULL,
	    "and starts alone, whatever the volumes say");
	adopt(1, 3, 2, 7);
	held(0, 3, CHOICE_instance_role_NONE);
	CHECK(did("release 0; "), "unless another has come further since");
	adopt(1, 1, 2, 7);
	held(0, 2, CHOICE_instance_role_NONE);
	CHECK(did("release 0; "), "where it is known, other volumes may be old");
}

static void
test_adopted_unknown(void)
{
	adopt(1, 0, 0, 5);
	held(0, 1, CHOICE_instance_role_PRIMARY);
	CHECK(!did("release") && lacks("pgdata-demo-2") && lacks("at least 3"),
	    "who led last is not known, and may be on another volume");
	adopted.volumes = 1;
	world.now.v += 5000;
	CHECK(did("release 0; "), "the user has deleted that");
	adopt(2, 0, 0, 3);
	held(0, 1, CHOICE_instance_role_NONE);
	held(1, 2, CHOICE_instance_role_NONE);
	CHECK(did("release 1; "), "where all are there the highest timeline leads");
}

/* Nobody but the anchor says that the user has helped. */
static void
test_looked_at_steadily(void)
{
	unsigned looks = 0;
	int64_t until;

	adopt(1, 0, 0, 5);
	held(0, 1, CHOICE_instance_role_PRIMARY);
	play();
	until = world.now.v + 120000;
	while (world.now.v < until) {
		looks += did("ensure ConfigMap demo-data; ");
		world.now = step.again;
	}
	CHECK(looks >= 23 && looks <= 25, "volumes are looked at every five seconds");
}

static void
test_adopted_without_its_volume(void)
{
	adopt(1, 3, 2, 3);
	held(0, 2, CHOICE_instance_role_NONE);
	CHECK(!did("release") && lacks("demo-2") && lacks("data.primary of ConfigMap demo-data"),
	    "its volume was deleted: it says how to go on without");
	adopt(3, 3, 2, 3);
	held(0, 2, CHOICE_instance_role_NONE);
	held(1, 2, CHOICE_instance_role_NONE);
	adopted.volumes = 7;
	held(2, 0, CHOICE_instance_role_NONE);
	CHECK(!did("release") && lacks("data.primary"), "a new and empty one is none");
	adopted.primary = 0;
	world.now.v += 5000;
	CHECK(did("release 0; "), "the user has said so: the best of what is left");
}

/* Of two; its BGInstance is there, and no pod of it has said anything. */
static void
adopt_fenced(unsigned primary, uint32_t volumes)
{
	struct plan_report r = {.hold = true, .stop = CHOICE_stop_POSTGRESQL};

	adopt(2, primary, 2, volumes);
	wanted.fenced = 2;
	edit();
	play();
	plan_note_report(&c, 1, &r);
}

static void
test_adopted_and_fenced(void)
{
	adopt_fenced(2, 3);
	held(0, 1, CHOICE_instance_role_PRIMARY);
	CHECK(!did("release") && lacks("demo-1 is fenced"),
	    "who led last is fenced and has not reported yet: nobody starts");
	held(1, 0, CHOICE_instance_role_NONE);
	say(1, CHOICE_instance_state_UNKNOWN, CHOICE_instance_role_NONE);
	CHECK(!did("release"), "nor when its pod has not looked at its data");
	held(1, 2, CHOICE_instance_role_NONE);
	play();
	STOPPED(1, NONE);
	CHECK(!did("release") && lacks("demo-1 is fenced"), "nor then");
	adopt_fenced(0, 3);
	held(0, 2, CHOICE_instance_role_NONE);
	CHECK(!did("release"), "where that is not known it may be the fenced one,");
	held(1, 1, CHOICE_instance_role_PRIMARY);
	CHECK(did("release 0; "), "unless it says that it is not");
	adopt_fenced(1, 1);
	held(0, 2, CHOICE_instance_role_NONE);
	CHECK(did("release 0; "), "who has no volume is not waited for");
}

/* What runs is noted before its BGCluster, of which this life has asked nothing yet. */
static void
begin_new_life(void)
{
	struct plan_object set = object(CHILD_STATEFULSET, 0), one = object(CHILD_INSTANCE, 0);
	struct plan_report r = c.instance[0].report;

	forget();
	plan_note_child(&c, CHILD_STATEFULSET, 0, &set, true);
	note_statefulset(1, 0);
	plan_note_child(&c, CHILD_INSTANCE, 0, &one, true);
	plan_note_report(&c, 0, &r);
	note_wanted();
}

static void
test_adopted_in_a_new_life(void)
{
	struct plan_answer retry = {.code = CHOICE_step_code_RETRY};

	adopt(1, 3, 2, 7);
	held(0, 1, CHOICE_instance_role_PRIMARY);
	play();
	begin_new_life();
	script[0] = '\0';
	while (
	    next() && !(step.sent.verb == CHOICE_verb_ENSURE && step.sent.child == CHILD_ANCHOR)) {
		struct plan_answer a = done_answer();

		answer(&a);
	}
	CHECK(strstr(script, "release") == NULL &&
		  strstr(script, "ensure ConfigMap demo-data; ") != NULL,
	    "a new life asks at once who led last");
	answer(&retry);
	CHECK(!did("release"), "and starts nobody before it knows,");
	world.now.v += 1000;
	CHECK(did("ensure ConfigMap demo-data; ") && strstr(script, "release") == NULL &&
		  lacks("demo-2"),
	    "nor then, if that one is not among the instances");
}

/* demo-0 was fenced on timeline 1, demo-1 led after it; then all were fenced. */
static void
test_only_the_stale_one_unfenced(void)
{
	serve(3);
	wanted.fenced = 7;
	edit();
	for (unsigned i = 0; i < 3; i++) {
		struct plan_report r = report(i, CHOICE_instance_role_NONE);

		r.state = CHOICE_instance_state_STOPPED;
		r.stop = CHOICE_stop_POSTGRESQL;
		r.timeline = i == 0 ? 1 : 2;
		r.role = i == 2 ? CHOICE_instance_role_NONE : CHOICE_instance_role_PRIMARY;
		plan_note_report(&c, i, &r);
	}
	world.now.v += 5000;
	wanted.fenced = 6;
	edit();
	CHECK(!did("release") && lacks("demo-1 is fenced") && lacks("pgdata-demo-1"),
	    "old data does not lead: who has the newest is named");
	wanted.fenced = 3;
	edit();
	CHECK(!did("release") && lacks("demo-1 is fenced"), "nor a replica of the last primary");
	wanted.fenced = 1;
	edit();
	CHECK(did("release 1; ") && strstr(script, "release 2; ") == NULL,
	    "unfenced it starts, alone");
	LEADS(1);
	wanted.fenced = 0;
	edit();
	CHECK(did("release 0; "), "then the others");
}

/* demo-1 was fenced on timeline 1; demo-0, which leads on 2, is fenced in its stead. */
static void
test_another_is_fenced(void)
{
	struct plan_report r = report(0, CHOICE_instance_role_PRIMARY);

	serve(2);
	wanted.fenced = 2;
	edit();
	play();
	STOPPED(1, REPLICA);
	r.timeline = 2;
	plan_note_report(&c, 0, &r);
	play();
	wanted.fenced = 1;
	edit();
	CHECK(did("stop-postgresql 0; ") && strstr(script, "release 1; ") == NULL,
	    "old data is not released while the newest is being stopped");
	STOPPED(0, PRIMARY);
	CHECK(!did("release") && lacks("demo-0 is fenced"), "nor after that");
}

/* Its volume was deleted, and its pod made anew. */
static void
test_fenced_data_given_up(void)
{
	struct plan_report r;

	test_only_the_stale_one_unfenced();
	for (unsigned i = 0; i < 3; i++) {
		r = report(i, CHOICE_instance_role_NONE);
		r.state = CHOICE_instance_state_STOPPED;
		r.stop = CHOICE_stop_POSTGRESQL;
		r.timeline = i == 1 ? 0 : 2;
		r.pgdata_empty = i == 1;
		plan_note_report(&c, i, &r);
	}
	wanted.fenced = 7;
	edit();
	play();
	wanted.fenced = 6;
	edit();
	CHECK(did("release 0; "), "what has no data holds up nobody");
}

int
main(void)
{
	test_wake();
	test_taken_back();
	test_broken_replica();
	test_paused();
	test_two_lead();
	test_late_orphan();
	test_stalled_deletion();
	test_fence();
	test_undone();
	test_smaller();
	test_last_words_stay();
	test_highest_timeline();
	test_smaller_while_it_wakes();
	test_smaller_when_the_last_primary_is_lost();
	test_pod_that_can_not_start();
	test_adopted_by_fewer();
	test_adopted_unknown();
	test_looked_at_steadily();
	test_adopted_without_its_volume();
	test_adopted_and_fenced();
	test_adopted_in_a_new_life();
	test_only_the_stale_one_unfenced();
	test_fenced_data_given_up();
	test_another_is_fenced();
	test_missing_statefulset();
	test_fenced_without_a_statefulset();
	test_deletion_gives_up();
	return tap_done();
}
