/*
 * The rules of plan/cluster.c as scripts: a situation, and the steps that follow from it, written
 * as one line.
 */
#include "tests/unit/plan_script.h"

/* --- Creation. */

#define RUNTIME_COMES                                                                              \
	"add-finalizer; ensure ConfigMap demo-data; ensure Secret demo-credentials; ensure "       \
	"Secret demo-app; ensure ServiceAccount demo-instance; ensure Role demo-instance; "        \
	"ensure RoleBinding demo-instance; ensure Service demo-rw; ensure Service demo-ro; "       \
	"ensure Service demo-pods; ensure PodDisruptionBudget demo; "

static void
test_creation(void)
{
	start(2);
	is(play(),
	    RUNTIME_COMES
	    "ensure BGInstance demo-0; ensure BGInstance demo-1; ensure StatefulSet demo; status "
	    "Bootstrapping; ",
	    "a new cluster is made in order, and spoken of once");
	CHECK(uid_none(&step.sent.target), "what is made is believed absent");
	note_report(0, CHOICE_instance_role_PRIMARY);
	world.now.v += 1000;
	is(play(), "observe-namespace; ", "what is only progress is not written at once");
	note_report(1, CHOICE_instance_role_REPLICA);
	note_statefulset(2, 2);
	is(play(), "event Ready; status Ready; ", "Ready is written at once, with one Event");
	world.now.v += 60000;
	is(play(), "", "a minute later there is nothing to do");
	CHECK(step.again.v > world.now.v + 60000, "nor soon");
}

static void
test_creation_stops(void)
{
	struct plan_answer a = {.code = CHOICE_step_code_FOREIGN};

	start(1);
	script[0] = '\0';
	next();
	a = done_answer();
	answer(&a);
	next();
	a = (struct plan_answer){.code = CHOICE_step_code_FOREIGN};
	answer(&a);
	is(play(), "event NameTaken; status NameTaken; ", "a foreign anchor stops the creation");
	world.now.v += 8000;
	CHECK(next() && step.sent.child == CHILD_ANCHOR, "it is tried again");
	start(1);
	anchor = CHOICE_anchor_state_DESTROYING;
	is(play(), "add-finalizer; ensure ConfigMap demo-data; status WaitingForDestruction; ",
	    "data that is being destroyed is waited for");
}

/* An operator that has much else to do, or an API server that is slow. */
static void
test_first_word(void)
{
	start(1);
	world.now.v += 999;
	CHECK(next() && step.sent.verb == CHOICE_verb_ADD_FINALIZER,
	    "what is quickly made is said when it is made");
	answer(&(struct plan_answer){.code = CHOICE_step_code_DONE});
	world.now.v += 1;
	CHECK(next() && step.sent.verb == CHOICE_verb_STATUS &&
		  strcmp(step.status.phase, "Creating") == 0,
	    "but after a second something is said first");
	answer(&(struct plan_answer){.code = CHOICE_step_code_DONE});
	CHECK(next() && step.sent.verb == CHOICE_verb_ENSURE, "then it goes on");
	start(1);
	CHECK(next(), "what was begun");
	answer(&(struct plan_answer){.code = CHOICE_step_code_RETRY});
	CHECK(next() && step.sent.verb == CHOICE_verb_STATUS,
	    "what is in the way is waited for, and that is said at once");
	start(1);
	wanted.status = 77;
	forget();
	note_wanted();
	world.now.v += 5000;
	CHECK(next() && step.sent.verb == CHOICE_verb_ADD_FINALIZER,
	    "one of which something is said already has time");
}

static void
test_adoption(void)
{
	struct plan_report r;

	start(2);
	anchor = CHOICE_anchor_state_ADOPTED;
	play();
	for (unsigned i = 0; i < 2; i++) {
		r = (struct plan_report){.pod_uid = uid(200 + i),
		    .hold = true,
		    .reason = REASON_HELD,
		    .state = CHOICE_instance_state_HELD};
		world.now.v += 500;
		if (i == 1)
			is(play(), "", "one held instance of two is not released");
		plan_note_report(&c, i, &r);
	}
	is(play(), "release 0; release 1; ", "held instances are released when all have reported");
}

/* Three held instances that stopped as reports say; what follows is released in play(). */
static void
hold_three(const uint32_t timeline[3], const bool primary[3])
{
	start(3);
	anchor = CHOICE_anchor_state_ADOPTED;
	play();
	for (unsigned i = 0; i < 3; i++) {
		const struct plan_report r = {.pod_uid = uid(200 + i),
		    .hold = true,
		    .reason = REASON_HELD,
		    .timeline = timeline[i],
		    .role = primary[i] ? CHOICE_instance_role_PRIMARY : CHOICE_instance_role_NONE,
		    .state = CHOICE_instance_state_HELD};

		plan_note_report(&c, i, &r);
	}
	world.now.v += 500;
}

static void
say(unsigned i, uint8_t state, uint8_t role)
{
	struct plan_report r = c.instance[i].report;

	r.state = state;
	r.role = role;
	plan_note_report(&c, i, &r);
	world.now.v += 500;
}

static void
test_last_primary(void)
{
	hold_three((const uint32_t[]){4, 4, 4}, (const bool[]){false, true, false});
	is(play(), "release 1; observe-namespace; ", "the last primary starts alone");
	say(1, CHOICE_instance_state_STARTING, CHOICE_instance_role_PRIMARY);
	is(play(), "", "the others wait while it starts");
	say(1, CHOICE_instance_state_FAILED, CHOICE_instance_role_PRIMARY);
	CHECK(strstr(play(), "release") == NULL, "and when it can not");
	say(1, CHOICE_instance_state_RUNNING, CHOICE_instance_role_PRIMARY);
	CHECK(strstr(play(), "release 0; release 2; ") != NULL, "they start once it runs");

	hold_three((const uint32_t[]){3, 4, 4}, (const bool[]){true, false, true});
	is(play(), "release 2; observe-namespace; ",
	    "of two that were primary, the one on the higher timeline");
	say(2, CHOICE_instance_state_UNKNOWN, CHOICE_instance_role_NONE);
	CHECK(strstr(play(), "release 1; release 0; ") != NULL,
	    "when its pod is lost, the others start");

	hold_three((const uint32_t[]){4, 4, 5}, (const bool[]){true, false, false});
	is(play(), "release 2; release 0; release 1; observe-namespace; ",
	    "where a replica knows a higher timeline, Patroni decides among all");
	hold_three((const uint32_t[]){4, 4, 4}, (const bool[]){true, true, false});
	CHECK(strncmp(play(), "release 0; release 1; ", 22) == 0,
	    "of two on one timeline, Patroni decides");
}

/* --- A running cluster. */

static void
test_healing(void)
{
	struct plan_object o;

	serve(2);
	CHECK(c.wanted.status != 0 && c.said.ready, "the cluster serves");
	plan_note_child_gone(&c, CHILD_SERVICE_RW, 0, &c.child[CHILD_SERVICE_RW].uid);
	plan_note_child_gone(&c, CHILD_ROLE, 0, &c.child[CHILD_ROLE].uid);
	is(play(), "ensure Role demo-instance; ensure Service demo-rw; ",
	    "missing rights come first");
	o = object(CHILD_SERVICE_RO, 0);
	plan_note_child(&c, CHILD_SERVICE_RO, 0, &o, false);
	world.now.v += 1000;
	is(play(), "ensure Service demo-ro; ", "what someone else touched is compared");
	CHECK(uid_eq(&step.sent.target, &(struct uid){{0}}), "no step is left");
	o.owner = (struct uid){{0}};
	o.version = ++versions;
	plan_note_child(&c, CHILD_SERVICE_RO, 0, &o, false);
	world.now.v += 5000;
	is(play(), "observe-pod 0; observe-pod 1; event NameTaken; status NameTaken; ",
	    "what is not ours any more is left alone, and said");
	CHECK(strstr(condition(CHOICE_condition_type_READY)->text, "Service demo-ro") != NULL,
	    "the message names it");
	o.owner = uid(99);
	o.version = ++versions;
	plan_note_child(&c, CHILD_SERVICE_RO, 0, &o, false);
	world.now.v += 5000;
	CHECK(starts(play(), "ensure Service demo-ro; event Ready; status Ready; "),
	    "what an earlier cluster left is taken over");
}

static void
test_stale_records(void)
{
	struct plan_object o;

	serve(1);
	o = object(CHILD_SERVICE_RW, 0);
	o.version = 1;
	o.inputs = 7;
	CHECK(!plan_note_child(&c, CHILD_SERVICE_RW, 0, &o, false),
	    "a record older than our own write is no news");
	is(play(), "", "and nothing follows from it");
	CHECK(plan_note_child(&c, CHILD_SERVICE_RW, 0, &o, true),
	    "in a list it is: etcd may have been restored");
	world.now.v += 1000;
	is(play(), "ensure Service demo-rw; ", "and it is compared");
}

static void
test_scale(void)
{
	serve(2);
	wanted.instances = 3;
	wanted.hash[GROUP_SCALE]++;
	wanted.generation++;
	wanted.status = c.wanted.status;
	note_wanted();
	CHECK(starts(play(),
		  "ensure Role demo-instance; ensure BGInstance demo-2; ensure StatefulSet demo; "),
	    "a larger cluster: Role, BGInstance, then the StatefulSet");
	note_report(2, CHOICE_instance_role_REPLICA);
	note_statefulset(3, 3);
	play();
	world.now.v += 60000;
	play();

	wanted.instances = 1;
	wanted.hash[GROUP_SCALE]++;
	wanted.generation++;
	wanted.status = c.wanted.status;
	world.synced = false;
	note_wanted();
	CHECK(
	    strstr(play(), "StatefulSet") == NULL, "nothing shrinks before every list is complete");
	world.synced = true;
	world.now.v += 1000;
	CHECK(starts(play(), "ensure StatefulSet demo; observe-pod 1; delete BGInstance demo-1; "
			     "observe-pod 2; delete BGInstance demo-2; "
			     "ensure Role demo-instance; "),
	    "a smaller one: StatefulSet, pods, BGInstances, and the Role's names last");
}

static void
test_storage(void)
{
	serve(1);
	wanted.hash[GROUP_STORAGE]++;
	wanted.generation++;
	wanted.status = c.wanted.status;
	note_wanted();
	script[0] = '\0';
	CHECK(
	    next() && step.sent.verb == CHOICE_verb_ENSURE, "what can be patched is patched first");
	answer(&(struct plan_answer){.code = CHOICE_step_code_DONE,
	    .child_uid = c.child[CHILD_STATEFULSET].uid,
	    .version = ++versions,
	    .generation = 5});
	c.statefulset.storage_inputs = 100 + GROUP_STORAGE;
	plan_note_child_gone(&c, CHILD_PDB, 0, &c.child[CHILD_PDB].uid);
	c.child[CHILD_PDB].try.until.v = world.now.v + 60000;
	plan_next(&c, &world, &step);
	CHECK(step.sent.verb == CHOICE_verb_EXPAND_PVC, "its volume's claim is told first");
	answer(&(struct plan_answer){.code = CHOICE_step_code_DONE, .ready = true});
	plan_next(&c, &world, &step);
	CHECK(step.sent.verb != CHOICE_verb_ORPHAN_STATEFULSET,
	    "no StatefulSet is orphaned while something is amiss");
	c.child[CHILD_PDB].try.until.v = 0;
	world.now.v += 1000;
	is(play(),
	    "ensure PodDisruptionBudget demo; orphan-statefulset; observe-pod 0; status Ready; ",
	    "then it is orphaned");
	plan_note_child_gone(&c, CHILD_STATEFULSET, 0, &c.child[CHILD_STATEFULSET].uid);
	world.now.v += 1000;
	CHECK(starts(play(), "hold 0; ensure StatefulSet demo; "), "and made anew");
}

/* --- Deletion. */

#define RUNTIME_GOES                                                                               \
	"delete BGInstance demo-0; delete PodDisruptionBudget demo; delete Service demo-pods; "    \
	"delete Service demo-ro; "                                                                 \
	"delete Service demo-rw; delete RoleBinding demo-instance; delete Role demo-instance; "    \
	"delete ServiceAccount demo-instance; "

static void
test_deletion(enum choice_deletion_policy policy, const char *expected, const char *name)
{
	serve(1);
	wanted.deleting = true;
	wanted.policy = (uint8_t)policy;
	wanted.generation++;
	wanted.status = c.wanted.status;
	world.synced = false;
	note_wanted();
	is(play(), "observe-namespace; status Deleting; ",
	    "nothing is removed before every list is complete");
	world.synced = true;
	script[0] = '\0';
	for (unsigned i = 0; i < 60 && next(); i++) {
		struct plan_answer a = done_answer();

		if (step.sent.verb == CHOICE_verb_STOP_POSTGRESQL) {
			answer(&a);
			CHECK(!next(), "data that is kept stops first");
			say(0, CHOICE_instance_state_STOPPED, CHOICE_instance_role_PRIMARY);
			continue;
		}
		a.child_uid = step.sent.verb == CHOICE_verb_DESTROY_ANCHOR ? uid(10) : a.child_uid;
		answer(&a);
	}
	is(script, expected, name);
	CHECK(!next(), "then all is done");
}

static void
test_namespace_ends(void)
{
	serve(1);
	wanted.deleting = true;
	wanted.generation++;
	note_wanted();
	world.synced = false;
	script[0] = '\0';
	next();
	answer(&(struct plan_answer){.code = CHOICE_step_code_DONE, .terminating = true});
	next();
	answer(&(struct plan_answer){.code = CHOICE_step_code_DONE});
	is(script, "observe-namespace; remove-finalizer; ",
	    "a namespace that ends takes our finalizer at once");
	start(1);
	next();
	answer(&(struct plan_answer){.code = CHOICE_step_code_TERMINATING});
	CHECK(!next(), "nothing is made in a namespace that ends");
}

/* Its pods went first; the BGCluster itself is not deleted yet. */
static void
test_namespace_takes_pods(void)
{
	serve(1);
	c.statefulset.ready = 0;
	c.unready_since = world.now;
	script[0] = '\0';
	next();
	answer(&(struct plan_answer){.code = CHOICE_step_code_DONE, .terminating = true});
	next();
	answer(&(struct plan_answer){.code = CHOICE_step_code_DONE});
	is(script, "observe-namespace; remove-finalizer; ",
	    "the finalizer goes while the pods do, as our rights go next");
	is(play(), "", "and is not put back");
}

/* Nothing is done to it, but its namespace ends all the same. */
static void
test_namespace_takes_who_is_left_alone(void (*leave)(void), const char *name)
{
	serve(1);
	leave();
	play();
	world.now.v += 20000;
	is(play(), "", name);
	note_statefulset(c.statefulset.replicas, 0);
	CHECK(starts(play(), "observe-namespace; "), "it loses a pod and asks, at once");
	plan_note_child_gone(&c, CHILD_SERVICE_RW, 0, &c.child[CHILD_SERVICE_RW].uid);
	CHECK(!next() && step.again.v <= world.now.v + 1000, "and again soon, as it loses more");
	world.now.v += 1000;
	script[0] = '\0';
	next();
	answer(&(struct plan_answer){.code = CHOICE_step_code_DONE, .terminating = true});
	next();
	answer(&(struct plan_answer){.code = CHOICE_step_code_DONE});
	is(script, "observe-namespace; remove-finalizer; ", "and does not hold it up");
	CHECK(!next() || step.sent.verb == CHOICE_verb_STATUS, "nothing else is done");
	c.wanted.finalizer = true;
	c.namespace_ends = false;
	is(play(), "", "a namespace that stays");
	CHECK(step.again.v <= world.now.v + 10000, "is asked for rarely");
}

static void
leave_paused(void)
{
	wanted.paused = true;
	note_wanted();
}

static void
leave_unreadable(void)
{
	wanted.generation++;
	wanted.invalid = true;
	wanted.instances = 0;
	note_wanted();
}

static void
leave_quarantined(void)
{
	plan_note_quarantine(&c, wanted.generation);
}

static void
test_forced_finalizer(void)
{
	serve(1);
	plan_note_cluster_gone(&c, &wanted.uid);
	CHECK(!next() && !plan_is_empty(&c), "without its BGCluster nothing is touched");
	wanted.uid = uid(2);
	wanted.generation = 1;
	wanted.finalizer = false;
	wanted.status = 0;
	note_wanted();
	is(play(),
	    RUNTIME_COMES
	    "ensure BGInstance demo-0; ensure StatefulSet demo; event Ready; status Ready; ",
	    "the next one of that name takes over what is there, and removes nothing");
}

/* The next one of that name asks for fewer instances, and the primary is on one that goes. */
static void
test_forced_finalizer_and_fewer(void)
{
	serve(3);
	note_report(0, CHOICE_instance_role_REPLICA);
	note_report(2, CHOICE_instance_role_PRIMARY);
	plan_note_cluster_gone(&c, &wanted.uid);
	wanted.uid = uid(2);
	wanted.generation = 1;
	wanted.instances = 2;
	wanted.status = 0;
	note_wanted();
	world.now.v += 60000;
	CHECK(strstr(play(), "switchover 2; ") != NULL, "it hands over first");
	note_report(2, CHOICE_instance_role_REPLICA);
	note_report(0, CHOICE_instance_role_PRIMARY);
	world.now.v += 60000;
	CHECK(starts(play(), "ensure StatefulSet demo; "), "then the StatefulSet shrinks");
}

int
main(void)
{
	test_creation();
	test_creation_stops();
	test_first_word();
	test_adoption();
	test_last_primary();
	test_healing();
	test_stale_records();
	test_scale();
	test_storage();
	test_deletion(CHOICE_deletion_policy_RETAIN,
	    "stop-postgresql 0; delete StatefulSet demo; observe-pods; " RUNTIME_GOES
	    "remove-finalizer; ",
	    "Retain: everything but the data goes, in order");
	test_deletion(CHOICE_deletion_policy_DELETE,
	    "delete StatefulSet demo; observe-pods; " RUNTIME_GOES
	    "destroy-anchor; delete-pvcs; delete-configmaps; delete ConfigMap demo-data; "
	    "remove-finalizer; ",
	    "Delete: the data too, after its anchor was marked");
	test_namespace_ends();
	test_namespace_takes_pods();
	test_namespace_takes_who_is_left_alone(leave_paused, "a paused one does nothing");
	test_namespace_takes_who_is_left_alone(leave_unreadable, "one that can not be read");
	test_namespace_takes_who_is_left_alone(leave_quarantined, "one in quarantine");
	test_forced_finalizer();
	test_forced_finalizer_and_fewer();
	CHECK(sizeof(struct plan_cluster) + 3 * sizeof(struct plan_instance) <= 2560,
	    "three instances, with their names and texts, fit the 4 KB that README promises");
	printf(
	    "# %zu + 3 * %zu bytes\n", sizeof(struct plan_cluster), sizeof(struct plan_instance));
	return tap_done();
}
