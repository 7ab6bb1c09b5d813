/*
 * The executor's policy, exhaustively: every verb with every child against every state of the
 * user's object, compared with the rules as a person would say them; and every message that no plan
 * emits.
 */
#include "workers/executor.h"

#include <stdio.h>
#include <string.h>

#include "tests/unit/tap.h"

static char namespaces[2][64] = {"prod", "test"};

static struct msg_step
step(uint8_t verb, uint8_t child)
{
	struct msg_step s = {.id = 1,
	    .verb = verb,
	    .child = child,
	    .namespace = "prod",
	    .name = "demo",
	    .generation = 3};

	s.uid.b[0] = 1;
	s.target.b[0] = 2;
	return s;
}

static enum verdict
message(const struct msg_step *s, const struct policy_row **row, struct policy_verdict *v)
{
	policy_check_message(s, namespaces, 2, row, v);
	return v->verdict;
}

/* --- The rules, said again. */

static bool
is_data(uint8_t child)
{
	return child == CHILD_ANCHOR || child == CHILD_CREDENTIALS || child == CHILD_APP;
}

static bool
verb_exists(uint8_t verb, uint8_t child)
{
	if (verb == CHOICE_verb_NONE)
		return false;
	return !(verb == CHOICE_verb_DELETE && (child == CHILD_CREDENTIALS || child == CHILD_APP));
}

static bool
needs_target(uint8_t verb)
{
	return verb == CHOICE_verb_DELETE || verb == CHOICE_verb_ORPHAN_STATEFULSET ||
	       verb == CHOICE_verb_REPLACE_POD || verb == CHOICE_verb_REPLACE_PVC ||
	       verb == CHOICE_verb_UNREACHABLE || verb == CHOICE_verb_SWITCHOVER ||
	       verb == CHOICE_verb_RESTART || verb == CHOICE_verb_REINIT ||
	       verb == CHOICE_verb_DELETE_PVC || verb == CHOICE_verb_TEMPLATE ||
	       verb == CHOICE_verb_TRY_TEMPLATE || verb == CHOICE_verb_RESTORE_TEMPLATE ||
	       verb == CHOICE_verb_DBOPS_TELL;
}

struct state {
	bool deleting, finalizer, policy_delete;
	unsigned ordinal; /* of 3 instances */
};

static bool
purge_allowed(const struct state *st)
{
	return st->deleting && st->finalizer && st->policy_delete;
}

static bool
allowed(uint8_t verb, uint8_t child, const struct state *st)
{
	switch (verb) {
	case CHOICE_verb_ADD_FINALIZER:
	case CHOICE_verb_ORPHAN_STATEFULSET:
	case CHOICE_verb_RELEASE:
	case CHOICE_verb_SWITCHOVER:
	case CHOICE_verb_REPLACE_PVC:
		return !st->deleting;
	case CHOICE_verb_RESTART:
	case CHOICE_verb_REINIT:
	case CHOICE_verb_EXPAND_PVC:
		return !st->deleting && st->ordinal < 3;
	case CHOICE_verb_STOP_PATRONI:
	case CHOICE_verb_STOP_POSTGRESQL:
		return st->deleting; /* or the spec says so: test_rest */
	case CHOICE_verb_DELETE_PVC: /* the clusters here have onScaleDown Delete */
		return !st->deleting && st->ordinal >= 3;
	case CHOICE_verb_TEMPLATE:
	case CHOICE_verb_TRY_TEMPLATE:
	case CHOICE_verb_RESTORE_TEMPLATE:
		return !st->deleting && st->finalizer;
	case CHOICE_verb_ENSURE:
		return !st->deleting && st->finalizer &&
		       (child != CHILD_INSTANCE || st->ordinal < 3);
	case CHOICE_verb_DELETE:
		if (child == CHILD_ANCHOR)
			return purge_allowed(st);
		return st->deleting || (child == CHILD_INSTANCE && st->ordinal >= 3);
	case CHOICE_verb_DESTROY_ANCHOR:
	case CHOICE_verb_DELETE_PVCS:
	case CHOICE_verb_DELETE_CONFIGMAPS:
		return purge_allowed(st);
	default:
		return true;
	}
}

static struct bgcluster
cluster(const struct state *st)
{
	struct bgcluster c = {.instances = 3, .on_scale_down = CHOICE_scale_down_DELETE};

	c.meta.name = STR("demo");
	c.meta.deleting = st->deleting;
	c.meta.finalizer = st->finalizer;
	c.deletion_policy =
	    st->policy_delete ? CHOICE_deletion_policy_DELETE : CHOICE_deletion_policy_RETAIN;
	return c;
}

static enum verdict
object(const struct msg_step *s, const struct bgcluster *c, struct policy_verdict *v)
{
	const struct policy_row *row;
	struct arena a;

	if (message(s, &row, v) != ALLOW)
		return v->verdict;
	arena_init(&a, 1u << 20);
	policy_check_object(row, s, c, &a, v);
	arena_free(&a);
	return v->verdict;
}

/*
 * One verb with one child in all 16 states; false at the first that is judged otherwise than the
 * rules say.
 */
static bool
agrees(uint8_t verb, uint8_t child)
{
	struct policy_verdict v;

	for (unsigned bits = 0; bits < 16; bits++) {
		struct state st = {bits & 1, bits & 2, bits & 4, bits & 8 ? 3 : 2};
		struct bgcluster c = cluster(&st);
		struct msg_step s = step(verb, child);
		enum verdict want = !verb_exists(verb, child)   ? BREACH
		                    : allowed(verb, child, &st) ? ALLOW
		                                                : REFUSE;

		s.ordinal = (uint8_t)st.ordinal;
		if (object(&s, &c, &v) != want) {
			printf("# verb %s child %u state %u: %d, not %d: %s\n",
			    choice_text(VOCAB_verb, verb), child, bits, v.verdict, want, v.text);
			return false;
		}
		if ((v.verdict == ALLOW) != (v.text[0] == '\0'))
			return false;
	}
	return true;
}

static void
test_every_verb_child_and_state(void)
{
	for (unsigned verb = 0; verb < CHOICE_verb_COUNT; verb++)
		for (unsigned child = 0; child < CHILD_COUNT; child++) {
			char name[80];

			snprintf(name, sizeof(name), "%s of child %u in 16 states",
			    choice_text(VOCAB_verb, verb), child);
			CHECK(agrees((uint8_t)verb, (uint8_t)child), name);
		}
}

static void
test_targets(void)
{
	for (unsigned verb = 1; verb < CHOICE_verb_COUNT; verb++)
		for (unsigned child = 0; child < CHILD_COUNT; child++) {
			struct msg_step s = step((uint8_t)verb, (uint8_t)child);
			const struct policy_row *row;
			struct policy_verdict v;
			char name[80];

			if (!verb_exists((uint8_t)verb, (uint8_t)child))
				continue;
			s.target = (struct uid){{0}};
			snprintf(name, sizeof(name), "%s of child %u without a target",
			    choice_text(VOCAB_verb, verb), child);
			CHECK(
			    message(&s, &row, &v) == (needs_target((uint8_t)verb) ? BREACH : ALLOW),
			    name);
		}
}

static void
test_dbops_have_their_message(void)
{
	for (unsigned verb = 1; verb < CHOICE_verb_COUNT; verb++) {
		bool dbops = verb >= CHOICE_verb_DBOPS_TELL && verb <= CHOICE_verb_DBOPS_DELETE;
		struct msg_step s = step((uint8_t)verb, 0);
		const struct policy_row *row;
		struct policy_verdict v;

		if (!verb_exists((uint8_t)verb, 0) || message(&s, &row, &v) != ALLOW)
			continue;
		policy_check_dbops(row, dbops, &v);
		CHECK(v.verdict == ALLOW, choice_text(VOCAB_verb, verb));
		policy_check_dbops(row, !dbops, &v);
		CHECK(v.verdict == BREACH, "in another message");
	}
}

static void
test_breaches(void)
{
	struct msg_step s = step(CHOICE_verb_ENSURE, CHILD_STATEFULSET);
	const struct policy_row *row;
	struct policy_verdict v;

	CHECK(message(&s, &row, &v) == ALLOW && row != NULL, "a good step");
	snprintf(s.namespace, sizeof(s.namespace), "kube-system");
	CHECK(message(&s, &row, &v) == BREACH && row == NULL, "a namespace that is not ours");
	s.namespace[0] = '\0';
	CHECK(message(&s, &row, &v) == BREACH, "no namespace");
	snprintf(s.namespace, sizeof(s.namespace), "tes");
	CHECK(message(&s, &row, &v) == BREACH, "the beginning of a namespace of ours");
	s = step(CHOICE_verb_ENSURE, CHILD_STATEFULSET);
	s.name[0] = '\0';
	CHECK(message(&s, &row, &v) == BREACH, "no name");
	s = step(CHOICE_verb_STATUS, 0);
	s.uid = (struct uid){{0}};
	CHECK(message(&s, &row, &v) == BREACH, "no uid");
	s = step(CHOICE_verb_HOLD, 0);
	s.ordinal = INSTANCES_MAX;
	CHECK(message(&s, &row, &v) == BREACH, "an ordinal that no instance has");
	s = step(CHOICE_verb_DELETE, CHILD_CREDENTIALS);
	CHECK(message(&s, &row, &v) == BREACH, "deleting a Secret");
	s = step(CHOICE_verb_ENSURE, CHILD_APP);
	CHECK(message(&s, &row, &v) == ALLOW && is_data(CHILD_APP), "making one");
}

/* --- What a user can write. */

static enum verdict
with_env(uint8_t child, const char *env, struct policy_verdict *v)
{
	struct state st = {false, true, false, 0};
	struct bgcluster c = cluster(&st);
	struct msg_step s = step(CHOICE_verb_ENSURE, child);

	c.env = str_of(env);
	return object(&s, &c, v);
}

static void
test_env(void)
{
	static const char owned[] =
	    "[{\"name\":\"A\",\"value\":\"1\"},{\"name\":\"PATRONI_SCOPE\",\"value\":\"x\"}]";
	struct policy_verdict v;

	CHECK(with_env(CHILD_STATEFULSET, owned, &v) == REFUSE && v.reason == REASON_VARIABLE_OWNED,
	    "an owned variable");
	CHECK(strstr(v.text, "PATRONI_SCOPE") != NULL, "is named");
	CHECK(with_env(CHILD_ROLE, owned, &v) == ALLOW, "but does not keep RBAC from being healed");
	CHECK(with_env(CHILD_STATEFULSET, "[{\"name\":\"PATRONI_LOG_LEVEL\",\"value\":\"DEBUG\"}]",
		  &v) == ALLOW,
	    "a variable of Patroni's that is free");
	CHECK(with_env(CHILD_STATEFULSET, "[{\"name\":\"\\u0050ATRONI_NAME\"}]", &v) == REFUSE,
	    "an escaped spelling");
	CHECK(with_env(CHILD_STATEFULSET, "[1,null,{\"name\":2},{}]", &v) == ALLOW,
	    "what the renderer refuses");
	CHECK(with_env(CHILD_STATEFULSET, "{\"name\":\"PATRONI_NAME\"}", &v) == ALLOW,
	    "likewise, no list");
	CHECK(with_env(CHILD_STATEFULSET, "[", &v) == ALLOW, "likewise, no JSON");
}

static void
test_names(void)
{
	static const char *const bad[] = {"a-config", "a-leader", "a-failover", "a-sync"};
	struct state st = {false, true, false, 0};
	struct bgcluster c = cluster(&st);
	struct msg_step s = step(CHOICE_verb_ENSURE, CHILD_ANCHOR);
	struct policy_verdict v;

	for (size_t i = 0; i < 4; i++) {
		c.meta.name = str_of(bad[i]);
		CHECK(object(&s, &c, &v) == REFUSE && v.reason == REASON_SPEC_INVALID, bad[i]);
	}
	c.meta.name = STR("config");
	CHECK(object(&s, &c, &v) == ALLOW, "config alone");
	s = step(CHOICE_verb_STATUS, 0);
	c.meta.name = STR("a-sync");
	CHECK(object(&s, &c, &v) == ALLOW, "its status can be written: else nobody would be told");
}

/*
 * A spec that can not be read has no number of instances: an instance must not look like one too
 * many.
 */
static void
test_unreadable_spec(void)
{
	struct bgcluster c = {.instances = 0};
	struct msg_step s = step(CHOICE_verb_DELETE, CHILD_INSTANCE);
	struct policy_verdict v;

	c.meta.name = STR("demo");
	s.ordinal = 31;
	CHECK(object(&s, &c, &v) == REFUSE, "no instance is deleted for an unreadable spec");
	c.meta.deleting = true;
	CHECK(object(&s, &c, &v) == ALLOW, "but for a deletion");
}

/* A pod is stopped only where the spec says so, and started only where it does not. */
static void
test_rest(void)
{
	const struct state live = {.finalizer = true};
	struct str fenced = STR("demo-1");
	struct bgcluster c = cluster(&live);
	struct msg_step s = step(CHOICE_verb_STOP_POSTGRESQL, CHILD_INSTANCE);
	struct policy_verdict v;

	s.ordinal = 1;
	CHECK(object(&s, &c, &v) == REFUSE, "nobody wants it stopped");
	c.fenced_instances.at = &fenced;
	c.fenced_instances.n = 1;
	CHECK(object(&s, &c, &v) == ALLOW, "it is fenced");
	s.ordinal = 0;
	CHECK(object(&s, &c, &v) == REFUSE, "another one is");
	c.hibernated = true;
	CHECK(object(&s, &c, &v) == ALLOW, "hibernated");
	s = step(CHOICE_verb_RELEASE, CHILD_INSTANCE);
	CHECK(object(&s, &c, &v) == REFUSE && v.reason == REASON_RESTING,
	    "and then it is not started");
	c.hibernated = false;
	s.ordinal = 1;
	CHECK(object(&s, &c, &v) == REFUSE, "nor while it is fenced");
	s.ordinal = 0;
	CHECK(object(&s, &c, &v) == ALLOW, "but another one");
}

/* Of an ordinal that is not the spec's any more, where the spec says so. */
static void
test_volume_after_scale_down(void)
{
	const struct state live = {.finalizer = true};
	struct bgcluster c = cluster(&live);
	struct msg_step s = step(CHOICE_verb_DELETE_PVC, CHILD_INSTANCE);
	struct policy_verdict v;

	s.ordinal = 3;
	CHECK(object(&s, &c, &v) == ALLOW, "onScaleDown Delete: the volume goes");
	s.ordinal = 2;
	CHECK(object(&s, &c, &v) == REFUSE, "never one of a member");
	s.ordinal = 3;
	c.on_scale_down = CHOICE_scale_down_RETAIN;
	CHECK(object(&s, &c, &v) == REFUSE && strstr(v.text, "spec.storage.onScaleDown") != NULL,
	    "Retain keeps it");
	c.on_scale_down = CHOICE_scale_down_DELETE;
	c.instances = 0;
	CHECK(object(&s, &c, &v) == REFUSE, "and so does a spec that can not be read");
	c.instances = 3;
	c.meta.deleting = true;
	CHECK(object(&s, &c, &v) == REFUSE, "a cluster that goes: deletionPolicy decides");
}

/* A deletion that spec.deletionProtection holds up is none; a paused cluster is left alone. */
static void
test_held_up(void)
{
	const struct state live = {.finalizer = true},
			   going = {.finalizer = true, .deleting = true};
	struct bgcluster c = cluster(&going);
	struct msg_step s = step(CHOICE_verb_DELETE, CHILD_STATEFULSET);
	struct policy_verdict v;

	c.deletion_protection = true;
	CHECK(object(&s, &c, &v) == REFUSE && v.reason == REASON_DELETION_PROTECTED,
	    "protected: nothing of it is deleted");
	s = step(CHOICE_verb_DELETE, CHILD_INSTANCE);
	CHECK(object(&s, &c, &v) == REFUSE, "no instance either");
	s = step(CHOICE_verb_ENSURE, CHILD_STATEFULSET);
	CHECK(object(&s, &c, &v) == ALLOW, "but kept as it should be");
	c = cluster(&live);
	c.meta.paused = true;
	for (unsigned verb = 1; verb < CHOICE_verb_COUNT; verb++) {
		bool says =
		    verb == CHOICE_verb_STATUS || verb == CHOICE_verb_EVENT ||
		    verb == CHOICE_verb_UNREACHABLE || verb == CHOICE_verb_REMOVE_FINALIZER ||
		    (verb >= CHOICE_verb_OBSERVE_POD && verb <= CHOICE_verb_OBSERVE_NAMESPACE);

		/* Of a BGDbOps: executor_dbops.c looks at the BGCluster itself. */
		says = says || (verb >= CHOICE_verb_DBOPS_TELL && verb <= CHOICE_verb_DBOPS_DELETE);
		s = step((uint8_t)verb, CHILD_STATEFULSET);
		CHECK(object(&s, &c, &v) == (says ? ALLOW : REFUSE) &&
			  (says || v.reason == REASON_PAUSED),
		    choice_text(VOCAB_verb, verb));
	}
}

int
main(void)
{
	test_every_verb_child_and_state();
	test_targets();
	test_rest();
	test_dbops_have_their_message();
	test_breaches();
	test_volume_after_scale_down();
	test_held_up();
	test_env();
	test_names();
	test_unreadable_spec();
	return tap_done();
}
