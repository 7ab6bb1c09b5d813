/*
 * The executor's step machine: what is asked before anything is done, what each refusal and failure
 * of the API server becomes, how many steps run at once, and what happens to them when the
 * reconciler's edge goes or the executor ends.
 */
#include "tests/unit/executor_case.h"

#define POST_ROLE "POST /apis/rbac.authorization.k8s.io/v1" NS "roles" WRITE

static void
ensure_role(void)
{
	take(CHOICE_verb_ENSURE, CHILD_ROLE, 0, NULL);
	answer_cluster();
	asks(POST_ROLE);
}

/* --- Before anything is done. */

static void
test_wrong_object(void)
{
	take(CHOICE_verb_ENSURE, CHILD_ROLE, 0, NULL);
	asks(CR);
	answer(404, status(404, "not found"));
	ends(GONE, NONE, "no BGCluster");
	take(CHOICE_verb_ENSURE, CHILD_ROLE, 0, NULL);
	asks(CR);
	answer(200, "{\"metadata\":{\"name\":\"demo\",\"namespace\":\"prod\",\"uid\":\"" UID_B
		    "\",\"generation\":3,\"resourceVersion\":\"1\"},"
		    "\"spec\":{\"image\":\"a\",\"storage\":{\"size\":\"1Gi\"}}}");
	ends(CONFLICT, NONE, "another BGCluster of that name");
	take(CHOICE_verb_ENSURE, CHILD_ROLE, 0, NULL);
	asks(CR);
	answer(200, "{\"metadata\":{\"name\":\"demo\",\"namespace\":\"prod\",\"uid\":\"" UID_A
		    "\",\"generation\":4,\"resourceVersion\":\"1\"},"
		    "\"spec\":{\"image\":\"a\",\"storage\":{\"size\":\"1Gi\"}}}");
	ends(CONFLICT, NONE, "another generation");
	take(CHOICE_verb_ENSURE, CHILD_ROLE, 0, NULL);
	asks(CR);
	answer(200, "{\"metadata\":{\"name\":\"demo\",\"namespace\":\"other\",\"uid\":\"" UID_A
		    "\",\"generation\":3,\"resourceVersion\":\"1\"}}");
	ends(RETRY, NONE, "an object of another namespace");
	take(CHOICE_verb_ENSURE, CHILD_ROLE, 0, NULL);
	asks(CR);
	answer(200, "{\"metadata\":{\"name\":\"demo\",");
	ends(RETRY, NONE, "garbage");
}

static void
test_refused_by_policy(void)
{
	take(CHOICE_verb_ENSURE, CHILD_ROLE, 0, NULL);
	asks(CR);
	answer(200, cluster_json("", ""));
	ends(DENIED, NONE, "without our finalizer");
	CHECK(has(fake.done.text, "ensure runtime") && has(fake.done.text, "finalizers"),
	    "row and field are named");
	take(CHOICE_verb_ENSURE, CHILD_ROLE, 0, NULL);
	asks(CR);
	answer(200, cluster_json(FINALIZED DELETING, ""));
	ends(DENIED, DELETING, "while it is being deleted");
	take(CHOICE_verb_ENSURE, CHILD_STATEFULSET, 0, NULL);
	asks(CR);
	answer(
	    200, cluster_json(FINALIZED, ",\"env\":[{\"name\":\"PATRONI_NAME\",\"value\":\"x\"}]"));
	ends(DENIED, VARIABLE_OWNED, "an owned variable");
	take(CHOICE_verb_ENSURE, CHILD_STATEFULSET, 0, NULL);
	asks(CR);
	answer(200, cluster_json(FINALIZED, ",\"terminationGracePeriodSeconds\":\"long\""));
	ends(INVALID, SPEC_INVALID, "a spec that can not be read");
	CHECK(has(fake.done.text, "terminationGracePeriodSeconds"), "the field is named");
}

/* A user's object past a bound of ours is that object's trouble, and nobody else's. */
static void
test_too_large(void)
{
	char list[20000] = ",\"x\":[1";
	size_t n = strlen(list);

	for (unsigned i = 0; i < JSON_TOKENS_MAX; i++, n += 2)
		memcpy(list + n, ",1", 2);
	memcpy(list + n, "]", 2);
	take(CHOICE_verb_ENSURE, CHILD_ROLE, 0, NULL);
	asks(CR);
	answer(200, cluster_json(FINALIZED, list));
	ends(INVALID, SPEC_INVALID, "more tokens than we read");
}

static void
test_breach(void)
{
	struct ipc_msg m = {.type = IPC_STEP, .fds = {-1, -1}};

	m.step = (struct msg_step){.id = 7,
	    .verb = CHOICE_verb_ENSURE,
	    .namespace = "kube-system",
	    .name = "demo",
	    .uid = uid_of(UID_A)};
	executor_take(&x, &m);
	CHECK(fake.breaches == 1 && has(fake.breach, "namespace"),
	    "a namespace that is not ours is a breach");
	CHECK(fake.sent == 0 && executor_busy(&x) == 0, "and nothing is asked");
	CHECK(fake.paused, "nor read any more");
	take(CHOICE_verb_ENSURE, CHILD_ROLE, 0, NULL);
	CHECK(fake.sent == 0 && fake.breaches == 1, "nor taken");
	executor_edge_lost(&x);
	executor_edge_new(&x);
	ensure_role();
	answer(201, stored(fake.at[1].body, UID_B, 9));
	ends(DONE, NONE, "the next reconciler starts anew");
}

/* --- What replies become. */

static void
test_failures(void)
{
	static const struct {
		int status;
		const char *message;
		enum choice_step_code code;
		enum choice_reason reason;
	} rows[] = {
	    {422, "Role is invalid: rules[0]: Required value", CHOICE_step_code_INVALID,
		REASON_SPEC_REFUSED},
	    {400, "strict decoding error: unknown field spec.x", CHOICE_step_code_INVALID,
		REASON_SPEC_REFUSED},
	    {403, "roles is forbidden: User x cannot create resource", CHOICE_step_code_DENIED,
		REASON_RIGHTS_MISSING},
	    {403, "user x is attempting to grant RBAC permissions not currently held",
		CHOICE_step_code_DENIED, REASON_RIGHTS_MISSING},
	    {403, "exceeded quota: small", CHOICE_step_code_DENIED, REASON_SPEC_REFUSED},
	    {401, "Unauthorized", CHOICE_step_code_RETRY, REASON_NONE},
	    {429, "too many requests", CHOICE_step_code_RETRY, REASON_NONE},
	    {500, "etcdserver: request timed out", CHOICE_step_code_RETRY, REASON_NONE},
	    {503, "unavailable", CHOICE_step_code_RETRY, REASON_NONE},
	    {404, "namespaces not found", CHOICE_step_code_GONE, REASON_NONE},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		ensure_role();
		answer(rows[i].status, status(rows[i].status, rows[i].message));
		ends_as(rows[i].code, rows[i].reason, rows[i].message);
		CHECK(has(fake.done.text, rows[i].message), "which the text says");
	}
	ensure_role();
	answer_lost();
	ends(RETRY, NONE, "an outcome that is not known is never asked for twice");
	ensure_role();
	answer(403,
	    "{\"kind\":\"Status\",\"message\":\"forbidden: cannot "
	    "create\",\"reason\":\"Forbidden\",\"code\":403,"
	    "\"details\":{\"causes\":[{\"reason\":\"NamespaceTerminating\",\"message\":\"x\"}]}}");
	ends(TERMINATING, NAMESPACE_TERMINATING, "a namespace that ends");
	ensure_role();
	answer(201, "{\"metadata\":{\"name\":\"demo-instance\"}}");
	ends(RETRY, NONE, "a reply without uid");
	ensure_role();
	answer(201, "\xff\xfe");
	ends(RETRY, NONE, "a reply that is no JSON");
}

static void
test_long_messages(void)
{
	char text[3000];
	size_t n = 0;

	take(CHOICE_verb_HOLD, 0, 0, NULL);
	answer_cluster();
	asks("GET " OWN "bginstances/demo-0");
	answer(200,
	    owned("demo-0", UID_B, UID_A, "", ",\"spec\":{\"cluster\":\"demo\",\"ordinal\":0}"));
	asks("PATCH " OWN "bginstances/demo-0" WRITE);
	n = (size_t)snprintf(text, sizeof(text), "is invalid: patch: Invalid value: ");
	for (unsigned i = 0; i < 600; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "\xc3\xa9");
	snprintf(text + n, sizeof(text) - n, ": strict decoding error: unknown field spec.hold");
	answer(422, status(422, text));
	ends(INVALID, CRD_OUTDATED, "an outdated CRD is seen behind a long value");
	CHECK(has(fake.done.text, "unknown field spec.hold"), "and the field is named");
	ensure_role();
	memset(text, 0, sizeof(text));
	for (n = 0; n < 1000; n += 2)
		memcpy(text + n, "\xc3\xa9", 2);
	text[0] = 'x';
	text[1] = 'x';
	answer(422, status(422, text));
	ends(INVALID, SPEC_REFUSED, "a long message is cut between characters");
	CHECK(charset_ok(CHARS_TEXT, str_of(fake.done.text)), "and is text");
}

static void
test_no_token(void)
{
	snprintf(x.no_token, sizeof(x.no_token), "Secret bestgres-tokens is missing");
	take(CHOICE_verb_ENSURE, CHILD_ROLE, 0, NULL);
	ends(DENIED, RIGHTS_MISSING, "without a token nothing is asked");
	CHECK(has(fake.done.text, "bestgres-tokens"), "and why is said");
	x.no_token[0] = '\0';
	ensure_role();
	snprintf(x.no_token, sizeof(x.no_token), "Secret bestgres-tokens is missing");
	answer(401, status(401, "Unauthorized"));
	ends(DENIED, RIGHTS_MISSING, "nor when it is lost on the way");
	x.no_token[0] = '\0';
}

/* --- Many at once. */

static void
fill_slots(void)
{
	for (unsigned i = 0; i < STEPS_IN_FLIGHT; i++)
		take(CHOICE_verb_OBSERVE_PODS, 0, 0, NULL);
}

static void
test_slots(void)
{
	unsigned before = fake.reports;

	fill_slots();
	CHECK(fake.sent == STEPS_IN_FLIGHT && fake.paused,
	    "as many steps as slots, then no more is read");
	fake.no_room = true;
	answer(404, status(404, "not found"));
	CHECK(fake.reports == before && fake.paused && executor_busy(&x) == STEPS_IN_FLIGHT,
	    "a report that does not fit keeps its slot");
	fake.no_room = false;
	executor_flush(&x);
	CHECK(
	    fake.reports == before + 1 && !fake.paused && executor_busy(&x) == STEPS_IN_FLIGHT - 1,
	    "and frees it when it fits");
	while (fake.answered < fake.sent)
		answer(404, status(404, "not found"));
	CHECK(fake.reports == before + STEPS_IN_FLIGHT && executor_busy(&x) == 0,
	    "every step is answered once");
	forget();
}

static void
test_edge_replaced(void)
{
	unsigned before = fake.reports;

	take(CHOICE_verb_ENSURE, CHILD_ROLE, 0, NULL);
	take(CHOICE_verb_ENSURE, CHILD_PDB, 0, NULL);
	answer(200, cluster_json(FINALIZED, ""));
	CHECK(fake.sent == 3, "one waits for its BGCluster, one for its POST");
	fake.no_room = true;
	take(CHOICE_verb_ENSURE, CHILD_ROLEBINDING, 0, NULL);
	fake.answered = 3;
	answer(404, status(404, "not found"));
	CHECK(executor_busy(&x) == 3, "and one to be told");
	executor_edge_lost(&x);
	fake.no_room = false;
	executor_edge_new(&x);
	CHECK(executor_busy(&x) == 2 && fake.paused,
	    "what was to be told is forgotten, what is in flight is waited for");
	fake.answered = 1;
	answer(200, cluster_json(FINALIZED, ""));
	CHECK(fake.sent == 4 && executor_busy(&x) == 1 && fake.paused,
	    "an unstarted step does nothing more");
	answer(201, stored(fake.at[2].body, UID_B, 9));
	CHECK(fake.reports == before && executor_busy(&x) == 0 && !fake.paused,
	    "nobody is told, and reading goes on");
	forget();
}

static void
test_stop(void)
{
	ensure_role();
	executor_stop(&x);
	CHECK(fake.paused && fake.drained == 0,
	    "an executor that ends reads no more, and waits for what it does");
	answer(201, stored(fake.at[1].body, UID_B, 9));
	ends(DONE, NONE, "which is reported");
	CHECK(fake.drained == 1, "then it ends");
}

static void
test_poison_record(void)
{
	struct ipc_poison p;

	CHECK(ipc_poison_read(IPC_FD_POISON, &p) == -1, "no handler is left marked");
}

int
main(void)
{
	case_init();
	test_wrong_object();
	test_refused_by_policy();
	test_too_large();
	test_breach();
	test_failures();
	test_long_messages();
	test_no_token();
	test_slots();
	test_edge_replaced();
	test_poison_record();
	test_stop();
	return case_done();
}
