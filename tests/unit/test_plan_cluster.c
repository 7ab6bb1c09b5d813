/*
 * The rules of plan/cluster.c as scripts: a situation, and the steps that follow from it, written as one line. Answers are DONE unless a
 * test says otherwise, and every step's effect is seen as a record at once.
 */
#include <stdio.h>
#include <string.h>

#include "plan/plan.h"
#include "tests/unit/tap.h"

#define MAX 5
static struct plan_cluster c;
static struct plan_instance memory[MAX];
static struct plan_wanted wanted;
static struct plan_world world;
static struct plan_step step;
static char script[4096];
static uint32_t versions;
static enum choice_anchor_state anchor;

static struct uid
uid(unsigned n)
{
	return (struct uid){{(uint8_t)n, (uint8_t)(n >> 8)}};
}

static void
note_wanted(void)
{
	wanted.version = ++versions;
	plan_note_cluster(&c, &wanted, false, world.now);
}

static void
forget(void)
{
	memset(&c, 0, sizeof(c));
	memset(memory, 0, sizeof(memory));
	c.name = "demo";
	c.instance = memory;
	c.instances_n = MAX;
}

/* A new cluster of n instances that was seen first just now. */
static void
start(unsigned n)
{
	forget();
	anchor = CHOICE_anchor_state_CREATED;
	wanted = (struct plan_wanted){.uid = uid(1), .generation = 1, .instances = (uint8_t)n};
	for (unsigned g = 0; g < GROUP_COUNT; g++)
		wanted.hash[g] = 100 + g;
	world = (struct plan_world){.now = {100000}, .listed = UINT32_MAX, .synced = true, .sweep_ms = 600000};
	note_wanted();
}

static struct plan_object
object(enum child child, unsigned ordinal)
{
	const struct plan_child *s = child == CHILD_INSTANCE ? &memory[ordinal].child : &c.child[child];

	return (struct plan_object){.uid = s->present ? s->uid : uid(1000 + ++versions),
	    .owner = wanted.uid,
	    .generation = child == CHILD_STATEFULSET || child == CHILD_INSTANCE ? ++versions : 0,
	    .version = ++versions,
	    .inputs = model_child_inputs(child, wanted.hash),
	    .revision = child_info[child].revision};
}

static void
note_statefulset(unsigned replicas, unsigned ready)
{
	struct plan_statefulset s = {.replicas = (uint8_t)replicas,
	    .ready = (uint8_t)ready,
	    .pod_inputs = model_pod_inputs(wanted.hash),
	    .storage_inputs = wanted.hash[GROUP_STORAGE]};

	plan_note_statefulset(&c, &s, world.now);
}

static struct plan_report
report(unsigned ordinal, enum choice_instance_role role)
{
	return (struct plan_report){.pod_uid = uid(200 + ordinal),
	    .config_generation = 1,
	    .timeline = 1,
	    .role = (uint8_t)role,
	    .state = role == CHOICE_instance_role_PRIMARY ? CHOICE_instance_state_RUNNING : CHOICE_instance_state_STREAMING,
	    .bootstrapped = true};
}

static void
note_report(unsigned ordinal, enum choice_instance_role role)
{
	struct plan_report r = report(ordinal, role);

	plan_note_report(&c, ordinal, &r);
}

static struct plan_answer
done_answer(void)
{
	const struct plan_sent *s = &step.sent;
	struct plan_answer a = {.code = CHOICE_step_code_DONE, .anchor = (uint8_t)anchor};

	if (s->verb == CHOICE_verb_ENSURE) {
		struct plan_object o = object(s->child, s->ordinal);

		a.child_uid = o.uid;
		a.version = o.version;
		a.generation = o.generation;
	}
	if (s->verb == CHOICE_verb_RELEASE) {
		a.child_uid = memory[s->ordinal].child.uid;
		a.version = ++versions;
	}
	if (s->verb == CHOICE_verb_OBSERVE_POD && s->ordinal < wanted.instances) {
		a.present = a.ready = true;
		a.child_uid = uid(200u + s->ordinal);
		a.inputs = model_pod_inputs(wanted.hash);
	}
	return a;
}

static void
answer(const struct plan_answer *a)
{
	char **text = plan_done(&c, &step.sent, a, world.now);

	if (text != NULL)
		*text = NULL;
	if (a->code != CHOICE_step_code_DONE)
		return;
	if (step.sent.verb == CHOICE_verb_ENSURE && step.sent.child == CHILD_STATEFULSET)
		note_statefulset(wanted.instances, c.statefulset.ready < wanted.instances ? c.statefulset.ready : wanted.instances);
	if (step.sent.verb == CHOICE_verb_DELETE)
		plan_note_child_gone(&c, step.sent.child, step.sent.ordinal, &step.sent.target);
	if (step.sent.verb == CHOICE_verb_ADD_FINALIZER)
		wanted.finalizer = true;
}

static void
write_step(void)
{
	const struct plan_sent *s = &step.sent;
	size_t len = strlen(script);
	char name[NAME_MAX_LABEL + 1];

	model_child_name(name, s->child, "demo", s->ordinal);
	if (s->verb == CHOICE_verb_ENSURE || s->verb == CHOICE_verb_DELETE)
		snprintf(script + len, sizeof(script) - len, "%s %s %s; ", choice_text(VOCAB_verb, s->verb),
		    kind_info[child_info[s->child].kind].name, name);
	else if (s->child == CHILD_INSTANCE)
		snprintf(script + len, sizeof(script) - len, "%s %u; ", choice_text(VOCAB_verb, s->verb), s->ordinal);
	else if (s->verb == CHOICE_verb_STATUS)
		snprintf(script + len, sizeof(script) - len, "status %s; ", step.status.phase);
	else if (s->verb == CHOICE_verb_EVENT)
		snprintf(script + len, sizeof(script) - len, "event %s; ", reason_info[s->reason].name);
	else
		snprintf(script + len, sizeof(script) - len, "%s; ", choice_text(VOCAB_verb, s->verb));
}

static bool
next(void)
{
	plan_next(&c, &world, &step);
	if (step.sent.verb == CHOICE_verb_NONE)
		return false;
	write_step();
	return true;
}

/* All steps that are due now, each answered with DONE. */
static const char *
play(void)
{
	script[0] = '\0';
	for (unsigned i = 0; i < 60 && next(); i++) {
		struct plan_answer a = done_answer();

		answer(&a);
	}
	return script;
}

static void
is(const char *got, const char *expected, const char *name)
{
	if (!CHECK(strcmp(got, expected) == 0, name))
		printf("# got      %s\n# expected %s\n", got, expected);
}

static bool
starts(const char *got, const char *with)
{
	return strncmp(got, with, strlen(with)) == 0;
}

static const struct plan_condition *
condition(enum choice_condition_type type)
{
	for (unsigned i = 0; i < step.status.n; i++)
		if (step.status.at[i].type == type)
			return &step.status.at[i];
	return NULL;
}

/* Up to a cluster of n that serves, and everything said of it. */
static void
serve(unsigned n)
{
	start(n);
	play();
	for (unsigned i = 0; i < n; i++)
		note_report(i, i == 0 ? CHOICE_instance_role_PRIMARY : CHOICE_instance_role_REPLICA);
	note_statefulset(n, n);
	world.now.v += 1000;
	play();
	world.now.v += 10000;
	play();
}

/* --- Creation. */

static void
test_creation(void)
{
	start(2);
	is(play(),
	    "add-finalizer; ensure ConfigMap demo-data; ensure Secret demo-credentials; ensure Secret demo-app; "
	    "ensure ServiceAccount demo-instance; ensure Role demo-instance; ensure RoleBinding demo-instance; "
	    "ensure Service demo-rw; ensure Service demo-ro; ensure Service demo-pods; ensure PodDisruptionBudget demo; "
	    "ensure BGInstance demo-0; ensure BGInstance demo-1; ensure StatefulSet demo; status Bootstrapping; ",
	    "a new cluster is made in order, and spoken of once");
	CHECK(uid_none(&step.sent.target), "what is made is believed absent");
	note_report(0, CHOICE_instance_role_PRIMARY);
	world.now.v += 1000;
	is(play(), "", "what is only progress is not written at once");
	note_report(1, CHOICE_instance_role_REPLICA);
	note_statefulset(2, 2);
	is(play(), "status Ready; event Ready; ", "Ready is written at once, with one Event");
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
	is(play(), "status NameTaken; event NameTaken; ", "a foreign anchor stops the creation");
	world.now.v += 8000;
	CHECK(next() && step.sent.child == CHILD_ANCHOR, "it is tried again");
	start(1);
	anchor = CHOICE_anchor_state_DESTROYING;
	is(play(), "add-finalizer; ensure ConfigMap demo-data; status WaitingForDestruction; ",
	    "data that is being destroyed is waited for");
}

static void
test_adoption(void)
{
	struct plan_report r;

	start(2);
	anchor = CHOICE_anchor_state_ADOPTED;
	play();
	for (unsigned i = 0; i < 2; i++) {
		r = (struct plan_report){.pod_uid = uid(200 + i), .hold = true, .reason = REASON_HELD,
		    .state = CHOICE_instance_state_HELD};
		world.now.v += 500;
		if (i == 1)
			is(play(), "", "one held instance of two is not released");
		plan_note_report(&c, i, &r);
	}
	is(play(), "release 0; release 1; ", "held instances are released when all have reported");
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
	is(play(), "ensure Role demo-instance; ensure Service demo-rw; ", "missing rights come first");
	o = object(CHILD_SERVICE_RO, 0);
	plan_note_child(&c, CHILD_SERVICE_RO, 0, &o, false);
	world.now.v += 1000;
	is(play(), "ensure Service demo-ro; ", "what someone else touched is compared");
	CHECK(uid_eq(&step.sent.target, &(struct uid){{0}}), "no step is left");
	o.owner = (struct uid){{0}};
	o.version = ++versions;
	plan_note_child(&c, CHILD_SERVICE_RO, 0, &o, false);
	world.now.v += 5000;
	is(play(), "observe-pod 0; observe-pod 1; status NameTaken; event NameTaken; ", "what is not ours any more is left alone, and said");
	CHECK(strstr(condition(CHOICE_condition_type_READY)->text, "Service demo-ro") != NULL, "the message names it");
	o.owner = uid(99);
	o.version = ++versions;
	plan_note_child(&c, CHILD_SERVICE_RO, 0, &o, false);
	world.now.v += 5000;
	CHECK(starts(play(), "ensure Service demo-ro; status Ready; "), "what an earlier cluster left is taken over");
}

static void
test_stale_records(void)
{
	struct plan_object o;

	serve(1);
	o = object(CHILD_SERVICE_RW, 0);
	o.version = 1;
	o.inputs = 7;
	CHECK(!plan_note_child(&c, CHILD_SERVICE_RW, 0, &o, false), "a record older than our own write is no news");
	is(play(), "", "and nothing follows from it");
	CHECK(plan_note_child(&c, CHILD_SERVICE_RW, 0, &o, true), "in a list it is: etcd may have been restored");
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
	CHECK(starts(play(), "ensure Role demo-instance; ensure BGInstance demo-2; ensure StatefulSet demo; "),
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
	CHECK(strstr(play(), "StatefulSet") == NULL, "nothing shrinks before every list is complete");
	world.synced = true;
	world.now.v += 1000;
	CHECK(starts(play(), "ensure StatefulSet demo; observe-pod 1; delete BGInstance demo-1; observe-pod 2; delete BGInstance demo-2; "
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
	CHECK(next() && step.sent.verb == CHOICE_verb_ENSURE, "what can be patched is patched first");
	answer(&(struct plan_answer){.code = CHOICE_step_code_DONE, .child_uid = c.child[CHILD_STATEFULSET].uid,
	    .version = ++versions, .generation = 5});
	c.statefulset.storage_inputs = 100 + GROUP_STORAGE;
	plan_note_child_gone(&c, CHILD_PDB, 0, &c.child[CHILD_PDB].uid);
	c.child[CHILD_PDB].try.until.v = world.now.v + 60000;
	plan_next(&c, &world, &step);
	CHECK(step.sent.verb != CHOICE_verb_ORPHAN_STATEFULSET, "no StatefulSet is orphaned while something is amiss");
	c.child[CHILD_PDB].try.until.v = 0;
	world.now.v += 1000;
	is(play(), "ensure PodDisruptionBudget demo; orphan-statefulset; observe-pod 0; status Ready; ",
	    "then it is orphaned");
	plan_note_child_gone(&c, CHILD_STATEFULSET, 0, &c.child[CHILD_STATEFULSET].uid);
	world.now.v += 1000;
	CHECK(starts(play(), "ensure StatefulSet demo; "), "and made anew");
}

/* --- Pods. */

static void
look(enum choice_reason reason, bool ready, uint64_t inputs, uint8_t pod)
{
	answer(&(struct plan_answer){.code = CHOICE_step_code_DONE, .present = pod != 0, .child_uid = uid(pod),
	    .reason = (uint8_t)reason, .ready = ready, .inputs = inputs});
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
			if (step.sent.verb == CHOICE_verb_STATUS || step.sent.verb == CHOICE_verb_EVENT)
				answer(&(struct plan_answer){.code = CHOICE_step_code_DONE});
		} while (step.sent.verb != CHOICE_verb_OBSERVE_POD && patience++ < 100);
		seen[i] = world.now.v - since;
		look(REASON_IMAGE_PULL_FAILED, false, model_pod_inputs(wanted.hash), 200);
	}
	CHECK(seen[0] == 2000 && seen[1] == 4000 && seen[2] == 8000 && seen[3] == 16000 && seen[4] == 32000,
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
	while (step.sent.verb == CHOICE_verb_STATUS || step.sent.verb == CHOICE_verb_OBSERVE_POD) {
		if (step.sent.verb == CHOICE_verb_STATUS)
			CHECK(strcmp(step.status.phase, "ImagePullFailed") == 0 &&
				strncmp(step.status.at[0].text, "demo-0: ", 8) == 0,
			    "the condition has the pod's reason and names it");
		if (step.sent.verb == CHOICE_verb_STATUS)
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
	answer(&(struct plan_answer){.code = CHOICE_step_code_DONE, .child_uid = c.child[CHILD_STATEFULSET].uid,
	    .version = ++versions, .generation = 9});
	next();
	look(REASON_IMAGE_PULL_FAILED, false, 1, 200);
	next();
	is(script, "ensure StatefulSet demo; observe-pod 0; replace-pod 0; ", "the spec is corrected: the pod is looked at and replaced");
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
	wanted.hash[GROUP_POD] = 7;
	wanted.status = c.wanted.status;
	note_wanted();
	script[0] = '\0';
	next();
	answer(&(struct plan_answer){.code = CHOICE_step_code_DONE, .child_uid = c.child[CHILD_STATEFULSET].uid,
	    .version = ++versions, .generation = 9});
	note_statefulset(1, 1);
	while (next() && step.sent.verb != CHOICE_verb_STATUS)
		if (step.sent.verb == CHOICE_verb_OBSERVE_POD)
			look(REASON_NONE, true, 1, 200);
		else
			answer(&(struct plan_answer){.code = CHOICE_step_code_DONE});
	CHECK(strstr(script, "replace") == NULL, "a serving pod is not replaced");
	k = condition(CHOICE_condition_type_PROGRESSING);
	CHECK(k != NULL && k->reason == REASON_ROLLOUT_PENDING && strstr(k->text, "demo-0") != NULL, "RolloutPending names it");
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
	answer(&(struct plan_answer){.code = CHOICE_step_code_DONE, .present = true, .child_uid = uid(150), .ready = false});
	next();
	CHECK(step.sent.verb == CHOICE_verb_REPLACE_PVC && step.sent.target.b[0] == 150, "a volume that can never be is replaced by uid");
	answer(&(struct plan_answer){.code = CHOICE_step_code_DONE});
	next();
	CHECK(step.sent.verb == CHOICE_verb_REPLACE_POD && step.sent.target.b[0] == 200, "then its pod");
	is(script, "observe-pod 0; observe-pvc 0; replace-pvc 0; replace-pod 0; ", "after a look at both");
}

/* --- Deletion. */

#define RUNTIME_GOES \
	"delete BGInstance demo-0; delete PodDisruptionBudget demo; delete Service demo-pods; delete Service demo-ro; " \
	"delete Service demo-rw; delete RoleBinding demo-instance; delete Role demo-instance; delete ServiceAccount demo-instance; "

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
	is(play(), "observe-namespace; status Deleting; ", "nothing is removed before every list is complete");
	world.synced = true;
	script[0] = '\0';
	for (unsigned i = 0; i < 60 && next(); i++) {
		struct plan_answer a = done_answer();

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
	is(script, "observe-namespace; remove-finalizer; ", "a namespace that ends takes our finalizer at once");
	start(1);
	next();
	answer(&(struct plan_answer){.code = CHOICE_step_code_TERMINATING});
	CHECK(!next(), "nothing is made in a namespace that ends");
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
	    "add-finalizer; ensure ConfigMap demo-data; ensure Secret demo-credentials; ensure Secret demo-app; "
	    "ensure ServiceAccount demo-instance; ensure Role demo-instance; ensure RoleBinding demo-instance; "
	    "ensure Service demo-rw; ensure Service demo-ro; ensure Service demo-pods; ensure PodDisruptionBudget demo; "
	    "ensure BGInstance demo-0; ensure StatefulSet demo; status Ready; event Ready; ",
	    "the next one of that name takes over what is there, and removes nothing");
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
	is(play(), "status SpecRefused; event SpecRefused; ", "what the API server refuses is said");
	world.now.v += 40000;
	CHECK(!next(), "and not tried again for long");
	wanted.generation++;
	wanted.finalizer = true;
	wanted.status = c.wanted.status;
	note_wanted();
	CHECK(next() && step.sent.verb == CHOICE_verb_ENSURE, "but at once with another spec");
	answer(&(struct plan_answer){.code = CHOICE_step_code_INVALID, .reason = REASON_CREDENTIALS_MISSING});
	play();
	world.now.v += 8000;
	CHECK(next() && step.sent.verb == CHOICE_verb_ENSURE, "a Secret that is missed is looked for soon");
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
	CHECK(grows && waits[9] >= 45000 && waits[9] <= 75000, "each further one longer, up to a minute or so");
	start(1);
	next();
	answer(&(struct plan_answer){.code = CHOICE_step_code_CONFLICT});
	CHECK(!next() || step.sent.verb == CHOICE_verb_STATUS, "after a conflict, records are waited for");
	note_wanted();
	CHECK(next() && step.sent.verb == CHOICE_verb_ADD_FINALIZER, "and the next one ends the wait");
}

/* --- What is said. */

static void
test_quiet_restart(void)
{
	serve(2);
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
	is(play(), "", "a new life of the reconciler that finds all well writes nothing and says nothing");
	CHECK(step.spare, "but would compare what is there when there is time");
	world.spare = true;
	is(play(),
	    "ensure ConfigMap demo-data; ensure Secret demo-credentials; ensure Secret demo-app; "
	    "ensure ServiceAccount demo-instance; ensure Role demo-instance; ensure RoleBinding demo-instance; "
	    "ensure Service demo-rw; ensure Service demo-ro; ensure Service demo-pods; ensure PodDisruptionBudget demo; "
	    "ensure BGInstance demo-0; ensure BGInstance demo-1; ensure StatefulSet demo; ",
	    "each once");
}

static void
test_primary_change(void)
{
	serve(2);
	note_report(0, CHOICE_instance_role_REPLICA);
	note_report(1, CHOICE_instance_role_PRIMARY);
	world.now.v += 10000;
	is(play(), "observe-pod 0; observe-pod 1; status Ready; event PrimaryChanged; ", "a new primary is told of once");
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
	CHECK(strstr(script, "ensure") == NULL && strstr(script, "status") != NULL && strstr(script, "event Quarantined") != NULL,
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
	is(play(), "status SpecInvalid; event SpecInvalid; ", "a spec that can not be read: nothing else is done");

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
	test_creation();
	test_creation_stops();
	test_adoption();
	test_healing();
	test_stale_records();
	test_scale();
	test_storage();
	test_looking();
	test_mistake_taken_back();
	test_rollout();
	test_lost_pod();
	test_volumes();
	test_deletion(CHOICE_deletion_policy_RETAIN, "delete StatefulSet demo; observe-pods; " RUNTIME_GOES "remove-finalizer; ",
	    "Retain: everything but the data goes, in order");
	test_deletion(CHOICE_deletion_policy_DELETE,
	    "delete StatefulSet demo; observe-pods; " RUNTIME_GOES
	    "destroy-anchor; delete-pvcs; delete-configmaps; delete ConfigMap demo-data; remove-finalizer; ",
	    "Delete: the data too, after its anchor was marked");
	test_namespace_ends();
	test_forced_finalizer();
	test_refusals();
	test_back_off();
	test_quiet_restart();
	test_primary_change();
	test_left_alone();
	test_blind();
	CHECK(sizeof(struct plan_cluster) + 3 * sizeof(struct plan_instance) <= 2048, "three instances fit two kilobytes");
	printf("# %zu + 3 * %zu bytes\n", sizeof(struct plan_cluster), sizeof(struct plan_instance));
	return tap_done();
}
