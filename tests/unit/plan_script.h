/*
 * One cluster, driven by hand: what tests of plan/'s rules are written with. Answers are DONE
 * unless a test says otherwise, and every step's effect is seen as a record at once. Only
 * test_plan_*.c include this.
 */
#ifndef TESTS_UNIT_PLAN_SCRIPT_H
#define TESTS_UNIT_PLAN_SCRIPT_H

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
static struct plan_answer adopted; /* what is known of the data, while anchor is ADOPTED */
static struct plan_report reports[MAX]; /* what instances say, from serve_saying on */

static inline struct uid
uid(unsigned n)
{
	return (struct uid){{(uint8_t)n, (uint8_t)(n >> 8)}};
}

static inline void
note_wanted(void)
{
	wanted.version = ++versions;
	plan_note_cluster(&c, &wanted, false, world.now);
}

static inline void
forget(void)
{
	memset(&c, 0, sizeof(c));
	memset(memory, 0, sizeof(memory));
	c.name = "demo";
	c.instance = memory;
	c.instances_n = MAX;
}

/* A new cluster of n instances that was seen first just now. */
static inline void
start(unsigned n)
{
	forget();
	anchor = CHOICE_anchor_state_CREATED;
	adopted = (struct plan_answer){0};
	wanted = (struct plan_wanted){.uid = uid(1), .generation = 1, .instances = (uint8_t)n};
	for (unsigned g = 0; g < GROUP_COUNT; g++)
		wanted.hash[g] = 100 + g;
	world = (struct plan_world){
	    .now = {100000}, .listed = UINT32_MAX, .synced = true, .sweep_ms = 600000};
	note_wanted();
}

static inline struct plan_object
object(enum child child, unsigned ordinal)
{
	const struct plan_child *s =
	    child == CHILD_INSTANCE ? &memory[ordinal].child : &c.child[child];

	return (struct plan_object){.uid = s->present ? s->uid : uid(1000 + ++versions),
	    .owner = wanted.uid,
	    .generation = child == CHILD_STATEFULSET || child == CHILD_INSTANCE ? ++versions : 0,
	    .version = ++versions,
	    .inputs = model_child_inputs(child, wanted.hash),
	    .revision = child_info[child].revision};
}

static inline void
note_statefulset(unsigned replicas, unsigned ready)
{
	struct plan_statefulset s = {.replicas = (uint8_t)replicas,
	    .ready = (uint8_t)ready,
	    .pod_inputs = model_pod_inputs(wanted.hash),
	    .storage_inputs = wanted.hash[GROUP_STORAGE]};

	plan_note_statefulset(&c, &s, world.now);
}

static inline struct plan_report
report(unsigned ordinal, enum choice_instance_role role)
{
	return (struct plan_report){.pod_uid = uid(200 + ordinal),
	    .config_generation = wanted.generation,
	    .pod_inputs = model_pod_inputs(wanted.hash),
	    .timeline = 1,
	    .role = (uint8_t)role,
	    .state = role == CHOICE_instance_role_PRIMARY ? CHOICE_instance_state_RUNNING
	                                                  : CHOICE_instance_state_STREAMING,
	    .bootstrapped = true};
}

static inline void
note_report(unsigned ordinal, enum choice_instance_role role)
{
	struct plan_report r = report(ordinal, role);

	plan_note_report(&c, ordinal, &r);
}

static inline struct plan_answer
done_answer(void)
{
	const struct plan_sent *s = &step.sent;
	struct plan_answer a = {.code = CHOICE_step_code_DONE, .anchor = (uint8_t)anchor};

	if (s->verb == CHOICE_verb_ENSURE || s->verb == CHOICE_verb_TEMPLATE ||
	    s->verb == CHOICE_verb_RESTORE_TEMPLATE) {
		struct plan_object o = object(s->child, s->ordinal);

		a.child_uid = o.uid;
		a.version = o.version;
		a.generation = o.generation;
	}
	if (s->verb == CHOICE_verb_ENSURE && s->child == CHILD_ANCHOR &&
	    anchor == CHOICE_anchor_state_ADOPTED) {
		a.primary = adopted.primary;
		a.timeline = adopted.timeline;
		a.volumes = adopted.volumes;
	}
	if (s->verb == CHOICE_verb_RELEASE || s->verb == CHOICE_verb_HOLD ||
	    s->verb == CHOICE_verb_STOP_PATRONI || s->verb == CHOICE_verb_STOP_POSTGRESQL) {
		a.child_uid = memory[s->ordinal].child.uid;
		a.version = ++versions;
	}
	if (s->verb == CHOICE_verb_EXPAND_PVC)
		a.present = a.bound = a.ready = true;
	if (s->verb == CHOICE_verb_OBSERVE_POD && s->ordinal < wanted.instances) {
		a.present = a.ready = true;
		a.child_uid = uid(200u + s->ordinal);
		a.inputs = model_pod_inputs(wanted.hash);
	}
	return a;
}

static inline void
answer(const struct plan_answer *a)
{
	char **text = plan_done(&c, &step.sent, a, world.now);

	if (text != NULL)
		*text = NULL;
	if (a->code != CHOICE_step_code_DONE)
		return;
	if (step.sent.verb == CHOICE_verb_ENSURE && step.sent.child == CHILD_STATEFULSET)
		note_statefulset(wanted.hibernated ? 0 : wanted.instances,
		    wanted.hibernated                        ? 0
		    : c.statefulset.ready < wanted.instances ? c.statefulset.ready
							     : wanted.instances);
	if (step.sent.verb == CHOICE_verb_DELETE)
		plan_note_child_gone(&c, step.sent.child, step.sent.ordinal, &step.sent.target);
	if (step.sent.verb == CHOICE_verb_ADD_FINALIZER)
		wanted.finalizer = true;
}

static inline void
write_step(void)
{
	const struct plan_sent *s = &step.sent;
	size_t len = strlen(script);
	char name[NAME_MAX_LABEL + 1];

	model_child_name(name, s->child, "demo", s->ordinal);
	if (s->verb == CHOICE_verb_ENSURE || s->verb == CHOICE_verb_DELETE)
		snprintf(script + len, sizeof(script) - len, "%s %s %s; ",
		    choice_text(VOCAB_verb, s->verb), kind_info[child_info[s->child].kind].name,
		    name);
	else if (s->child == CHILD_INSTANCE)
		snprintf(script + len, sizeof(script) - len, "%s %u; ",
		    choice_text(VOCAB_verb, s->verb), s->ordinal);
	else if (s->verb == CHOICE_verb_STATUS)
		snprintf(script + len, sizeof(script) - len, "status %s; ", step.status.phase);
	else if (s->verb == CHOICE_verb_EVENT)
		snprintf(
		    script + len, sizeof(script) - len, "event %s; ", reason_info[s->reason].name);
	else
		snprintf(
		    script + len, sizeof(script) - len, "%s; ", choice_text(VOCAB_verb, s->verb));
}

static inline bool
next(void)
{
	plan_next(&c, &world, &step);
	if (step.sent.verb == CHOICE_verb_NONE)
		return false;
	write_step();
	return true;
}

/* All steps that are due now, each answered with DONE. */
static inline const char *
play(void)
{
	script[0] = '\0';
	for (unsigned i = 0; i < 60 && next(); i++) {
		struct plan_answer a = done_answer();

		answer(&a);
	}
	return script;
}

static inline void
is(const char *got, const char *expected, const char *name)
{
	if (!CHECK(strcmp(got, expected) == 0, name))
		printf("# got      %s\n# expected %s\n", got, expected);
}

static inline bool
starts(const char *got, const char *with)
{
	return strncmp(got, with, strlen(with)) == 0;
}

static inline const struct plan_condition *
condition(enum choice_condition_type type)
{
	for (unsigned i = 0; i < step.status.n; i++)
		if (step.status.at[i].type == type)
			return &step.status.at[i];
	return NULL;
}

/* Up to a cluster of n that serves, and everything said of it. */
static inline void
serve(unsigned n)
{
	start(n);
	play();
	for (unsigned i = 0; i < n; i++)
		note_report(
		    i, i == 0 ? CHOICE_instance_role_PRIMARY : CHOICE_instance_role_REPLICA);
	note_statefulset(n, n);
	world.now.v += 1000;
	play();
	world.now.v += 10000;
	play();
}

static inline void
says(unsigned i)
{
	plan_note_report(&c, i, &reports[i]);
}

/* Likewise, demo-0 the primary; what each says is in reports. */
static inline void
serve_saying(unsigned n)
{
	serve(n);
	for (unsigned i = 0; i < n; i++)
		reports[i] =
		    report(i, i == 0 ? CHOICE_instance_role_PRIMARY : CHOICE_instance_role_REPLICA);
}

/* DONE; a look at a pod shows what its instance says. */
static inline void
answer_as_said(void)
{
	struct plan_answer a = done_answer();

	if (step.sent.verb == CHOICE_verb_OBSERVE_POD) {
		a.child_uid = reports[step.sent.ordinal].pod_uid;
		a.inputs = reports[step.sent.ordinal].pod_inputs;
		a.ready = reports[step.sent.ordinal].state >= CHOICE_instance_state_RUNNING;
	}
	answer(&a);
}

/* The next step that changes something in a pod; what is said, looked at or kept comes before. */
static inline enum choice_verb
next_change(void)
{
	for (unsigned n = 0; n < 20 && next(); n++) {
		if (step.sent.verb == CHOICE_verb_REPLACE_POD ||
		    step.sent.verb == CHOICE_verb_SWITCHOVER ||
		    step.sent.verb == CHOICE_verb_RESTART)
			return step.sent.verb;
		answer_as_said();
	}
	return CHOICE_verb_NONE;
}

#endif
