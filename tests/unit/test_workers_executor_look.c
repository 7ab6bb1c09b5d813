/*
 * What the executor observes and what it says, against a scripted API server: the OBSERVE verbs,
 * which write nothing, and the status and Events of a BGCluster.
 */
#include "tests/unit/executor_case.h"

#define SELECTED "?labelSelector=bestgres.io%2Fcluster%3Ddemo&limit=200"

#define EVENTS CORE "events?fieldSelector=involvedObject.uid%3D"

static const char *
event_list(const char *message)
{
	char now[21];

	time_rfc3339(now, clock_wall_s());
	return fmt("{\"kind\":\"EventList\",\"metadata\":{\"resourceVersion\":\"9\"},\"items\":[{"
		   "\"metadata\":{\"name\":\"a\",\"resourceVersion\":\"8\"},\"message\":\"%s\","
		   "\"lastTimestamp\":\"%s\"}]}",
	    message, now);
}

static void
test_observe_pod(void)
{
	take(CHOICE_verb_OBSERVE_POD, 0, 1, NULL);
	answer_cluster();
	asks("GET " CORE "pods/demo-1");
	answer(200, owned("demo-1", UID_B, "", "",
			",\"status\":{\"conditions\":[{\"type\":\"Ready\",\"status\":\"True\"}]}"));
	CHECK(fake.done.present && fake.done.ready &&
		  uid_eq(&fake.done.child_uid, &(struct uid){{0}}) == false,
	    "a pod that is Ready");
	ends(DONE, NONE, "is reported");
	take(CHOICE_verb_OBSERVE_POD, 0, 1, NULL);
	answer_cluster();
	asks("GET " CORE "pods/demo-1");
	answer(200, owned("demo-1", UID_B, "", "",
			",\"status\":{\"conditions\":[{\"type\":\"PodScheduled\",\"status\":"
			"\"False\",\"message\":"
			"\"pod has unbound immediate PersistentVolumeClaims\"}]}"));
	asks("GET " CORE "persistentvolumeclaims/pgdata-demo-1");
	answer(200, owned("pgdata-demo-1", UID_C, "", "",
			",\"spec\":{\"storageClassName\":\"no-such-class\"},\"status\":{\"phase\":"
			"\"Pending\"}"));
	asks("GET " EVENTS UID_C "%2Ctype%3DWarning&limit=200");
	answer(200, event_list("storageclass no-such-class not found"));
	CHECK(has(fake.done.text, "no-such-class not found") &&
		  uid_eq(&fake.done.child_uid, &(struct uid){{0}}) == false,
	    "why its volume is missing");
	ends(DONE, VOLUME_PENDING, "is found");
	take(CHOICE_verb_OBSERVE_POD, 0, 1, NULL);
	answer_cluster();
	asks("GET " CORE "pods/demo-1");
	answer(200, "{\"metadata\":{\"name\":\"demo-1\",\"namespace\":\"prod\",\"uid\":\"" UID_C
		    "\",\"resourceVersion\":\"5\"}}");
	ends(FOREIGN, NAME_TAKEN, "a pod of that name that is not ours");
}

static void
test_observe_absent_pod(void)
{
	static const struct {
		const char *replicas, *message;
		int status;
		enum choice_reason reason;
	} rows[] = {
	    {"2", "create Pod demo-1 in StatefulSet demo failed error: exceeded quota", 200,
		REASON_PODS_REFUSED},
	    {"2", "create Pod demo-0 in StatefulSet demo failed error: exceeded quota", 200,
		REASON_NONE},
	    {"2", "", 403, REASON_NONE},
	    {"1", NULL, 0, REASON_NONE},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		take(CHOICE_verb_OBSERVE_POD, 0, 1, NULL);
		answer_cluster();
		asks("GET " CORE "pods/demo-1");
		answer(404, status(404, "not found"));
		asks("GET " APPS "statefulsets/demo");
		answer(200, owned("demo", UID_B, UID_A, "",
				fmt(",\"spec\":{\"replicas\":%s}", rows[i].replicas)));
		if (rows[i].message != NULL) {
			asks("GET " EVENTS UID_B "%2Creason%3DFailedCreate&limit=200");
			answer(rows[i].status, rows[i].status == 200 ? event_list(rows[i].message)
								     : status(403, "no"));
		}
		CHECK(!fake.done.present && uid_none(&fake.done.child_uid),
		    "a pod that is not there");
		ends_as(CHOICE_step_code_DONE, rows[i].reason, "and why");
	}
	take(CHOICE_verb_OBSERVE_POD, 0, 1, NULL);
	answer_cluster();
	asks("GET " CORE "pods/demo-1");
	answer(404, status(404, "not found"));
	asks("GET " APPS "statefulsets/demo");
	answer(404, status(404, "not found"));
	ends(DONE, NONE, "nor its StatefulSet");
}

#define NO_EVENTS "{\"metadata\":{\"resourceVersion\":\"9\"},\"items\":[]}"
#define PVCS CORE "persistentvolumeclaims/"
#define WANTED ",\"spec\":{\"resources\":{\"requests\":{\"storage\":\"1Gi\"}}}"
#define IS_BOUND WANTED ",\"status\":{\"phase\":\"Bound\"}"
#define IS_PENDING WANTED ",\"status\":{\"phase\":\"Pending\"}"
#define IS_WRONG ",\"spec\":{\"storageClassName\":\"none\"},\"status\":{\"phase\":\"Pending\"}"

/* Both claims of instance i: what follows their metadata, or NULL = it is not there. */
static void
take_claims(uint8_t i, const char *data, const char *wal)
{
	char name[32];

	take(CHOICE_verb_OBSERVE_PVC, 0, i, NULL);
	asks(CR);
	answer(200, cluster_json("", ",\"walStorage\":{\"size\":\"1Gi\"}"));
	for (unsigned k = 0; k < 2; k++) {
		const char *more = k == 0 ? data : wal;

		snprintf(name, sizeof(name), "%s-demo-%u", k == 0 ? "pgdata" : "pgwal", i);
		asks(fmt("GET " PVCS "%s", name));
		answer(more != NULL ? 200 : 404,
		    more != NULL ? owned(name, k == 0 ? UID_B : UID_C, "", "", more)
				 : status(404, "not found"));
	}
}

static void
pending(const char *uid, const char *name)
{
	asks(fmt("%s%s%s", "GET " EVENTS, uid, "%2Ctype%3DWarning&limit=200"));
	answer(200, event_list("no such class"));
	CHECK(has(fake.done.text, name) && has(fake.done.text, "no such class"), name);
	ends(DONE, VOLUME_PENDING, "is what is in the way");
}

/* Up to instance 1's pod, which waits for volumes. */
static void
take_waiting_pod(void)
{
	take(CHOICE_verb_OBSERVE_POD, 0, 1, NULL);
	asks(CR);
	answer(200, cluster_json("", ",\"walStorage\":{\"size\":\"1Gi\"}"));
	asks("GET " CORE "pods/demo-1");
	answer(200, owned("demo-1", UID_B, "", "",
			",\"status\":{\"conditions\":[{\"type\":\"PodScheduled\",\"status\":"
			"\"False\",\"message\":\"unbound PersistentVolumeClaims\"}]}"));
}

/* Of two claims the one that must be dealt with is told of. */
static void
test_observe_pair(void)
{
	struct uid data, wal;

	(void)uid_parse(STR(UID_B), &data);
	(void)uid_parse(STR(UID_C), &wal);
	take_claims(0, IS_BOUND, IS_BOUND);
	CHECK(fake.done.bound && fake.done.ready && uid_eq(&fake.done.child_uid, &data),
	    "two that are bound");
	ends(DONE, NONE, "are well");
	take_claims(0, IS_BOUND, IS_PENDING);
	CHECK(fake.reports == fake.told, "(the events first)");
	pending(UID_C, "pgwal-demo-0");
	take_claims(0, IS_PENDING, IS_BOUND);
	pending(UID_B, "pgdata-demo-0");
	take_claims(0, IS_PENDING, IS_WRONG);
	pending(UID_C, "pgwal-demo-0");
	CHECK(!fake.done.ready && uid_eq(&fake.done.child_uid, &wal), "one that is to be replaced");
	take_claims(0, IS_BOUND, NULL);
	CHECK(!fake.done.present, "one that is not there");
	ends(DONE, NONE, "comes first");
	take_claims(2, NULL, IS_BOUND);
	CHECK(fake.done.present && uid_eq(&fake.done.child_uid, &wal),
	    "of an instance that is no more, what is left");
	ends(DONE, NONE, "is told");
	take_claims(2, IS_BOUND, IS_BOUND);
	CHECK(fake.done.present && uid_eq(&fake.done.child_uid, &data), "one after the other");
	ends(DONE, NONE, "is told");
	take_claims(2, NULL, NULL);
	CHECK(!fake.done.present, "until none is left");
	ends(DONE, NONE, "is told");
}

static void
test_waiting_pair(void)
{
	take_waiting_pod();
	asks("GET " PVCS "pgdata-demo-1");
	answer(200, owned("pgdata-demo-1", UID_B, "", "", IS_PENDING));
	asks("GET " EVENTS UID_B "%2Ctype%3DWarning&limit=200");
	answer(200, NO_EVENTS);
	asks("GET " PVCS "pgwal-demo-1");
	answer(200, owned("pgwal-demo-1", UID_C, "", "", IS_PENDING));
	pending(UID_C, "pgwal-demo-1: no such");
	take_waiting_pod();
	asks("GET " PVCS "pgdata-demo-1");
	answer(200, owned("pgdata-demo-1", UID_B, "", "", IS_PENDING));
	asks("GET " EVENTS UID_B "%2Ctype%3DWarning&limit=200");
	answer(200, NO_EVENTS);
	asks("GET " PVCS "pgwal-demo-1");
	answer(200, owned("pgwal-demo-1", UID_C, "", "", IS_WRONG));
	asks("GET " EVENTS UID_C "%2Ctype%3DWarning&limit=200");
	answer(200, NO_EVENTS);
	CHECK(strcmp(fake.done.text,
		  "PVC pgdata-demo-1 is Pending (storage class not given), PVC pgwal-demo-1 is "
		  "Pending (storage class none)") == 0,
	    "two that wait and do not say why");
	ends(DONE, VOLUME_PENDING, "are both named");
	take_waiting_pod();
	asks("GET " PVCS "pgdata-demo-1");
	answer(200, owned("pgdata-demo-1", UID_B, "", "", IS_BOUND));
	asks("GET " PVCS "pgwal-demo-1");
	answer(404, status(404, "not found"));
	CHECK(has(fake.done.text, "unbound"), "what the pod says");
	ends(DONE, VOLUME_PENDING, "where no claim is in the way");
	take_waiting_pod();
	asks("GET " PVCS "pgdata-demo-1");
	answer(200, owned("pgdata-demo-1", UID_B, "", "", IS_BOUND));
	asks("GET " PVCS "pgwal-demo-1");
	answer(200, owned("pgwal-demo-1", UID_C, "", "", IS_PENDING));
	pending(UID_C, "pgwal-demo-1");
}

static void
test_observe_others(void)
{
	take(CHOICE_verb_OBSERVE_PODS, 0, 0, NULL);
	answer_cluster();
	asks("GET " CORE "pods" SELECTED);
	answer(200,
	    fmt("{\"kind\":\"PodList\",\"metadata\":{\"resourceVersion\":\"9\"},\"items\":[%s,%s]}",
		owned("demo-0", UID_B, "", "", ""), owned("demo-1", UID_C, "", "", "")));
	CHECK(fake.done.count == 2 && fake.done.present, "two pods are left");
	ends(DONE, NONE, "as counted");
	take(CHOICE_verb_OBSERVE_PVC, 0, 0, NULL);
	answer_cluster();
	asks("GET " CORE "persistentvolumeclaims/pgdata-demo-0");
	answer(200, owned("pgdata-demo-0", UID_B, "", "",
			",\"spec\":{\"resources\":{\"requests\":{\"storage\":\"1Gi\"}}},\"status\":"
			"{\"phase\":\"Bound\"}"));
	CHECK(fake.done.bound && fake.done.ready, "a volume as wanted");
	ends(DONE, NONE, "is bound");
	take(CHOICE_verb_OBSERVE_PVC, 0, 0, NULL);
	answer_cluster();
	asks("GET " CORE "persistentvolumeclaims/pgdata-demo-0");
	answer(404, status(404, "not found"));
	CHECK(!fake.done.present, "no volume");
	ends(DONE, NONE, "is no error");
	test_observe_pair();
	test_waiting_pair();
	take(CHOICE_verb_OBSERVE_NAMESPACE, 0, 0, NULL);
	answer_cluster();
	asks("GET /api/v1/namespaces/prod");
	answer(200, "{\"metadata\":{\"name\":\"prod\"},\"status\":{\"phase\":\"Terminating\"}}");
	CHECK(fake.done.terminating, "a namespace that ends");
	ends(DONE, NAMESPACE_TERMINATING, "is seen");
	take(CHOICE_verb_OBSERVE_NAMESPACE, 0, 0, NULL);
	answer_cluster();
	asks("GET /api/v1/namespaces/prod");
	answer(403, status(403, "namespaces is forbidden: User x cannot get resource"));
	ends(DENIED, RIGHTS_MISSING, "or may not be seen");
}

/* --- STATUS, EVENT */

static void
take_status(const char *text)
{
	struct ipc_msg m = {.type = IPC_STEP_STATUS, .fds = {-1, -1}};

	m.step_status = (struct msg_step_status){.id = 7,
	    .namespace = "prod",
	    .name = "demo",
	    .uid = uid_of(UID_A),
	    .generation = 3,
	    .ready_instances = 1,
	    .primary = "demo-0",
	    .phase = "Creating"};
	m.step_status.conditions.n = 1;
	m.step_status.conditions.at[0] = (struct ipc_condition){
	    CHOICE_condition_type_READY, CHOICE_condition_status_FALSE, REASON_CREATING, ""};
	snprintf(m.step_status.conditions.at[0].text, sizeof(m.step_status.conditions.at[0].text),
	    "%s", text);
	executor_take(&x, &m);
}

static void
test_status(void)
{
	const char *body;

	take_status("wait");
	asks(CR);
	answer(200, cluster_json("", ",\"terminationGracePeriodSeconds\":\"unreadable\""));
	body = asks("PATCH " OWN "bgclusters/demo/status" WRITE);
	CHECK(has(body, "{\"metadata\":{\"uid\":\"" UID_A
			"\",\"resourceVersion\":\"100\"},\"status\":{") &&
		  has(body, "\"message\":\"wait\""),
	    "a status is written, whatever the spec");
	body = keep(fmt("{\"metadata\":{\"name\":\"demo\",\"namespace\":\"prod\",\"uid\":\"" UID_A
			"\",\"generation\":3,\"resourceVersion\":\"101\"},"
			"\"spec\":{\"image\":\"pg:17\",\"storage\":{\"size\":\"1Gi\"}},%s",
	    strstr(body, "\"status\":")));
	answer(200, body);
	CHECK(fake.done.version == 101, "its version is reported");
	ends(DONE, NONE, "and that is all");
	take_status("wait");
	asks(CR);
	answer(200, body);
	ends(DONE, NONE, "the same status is not written again");
	take_status("wait longer");
	asks(CR);
	answer(200, body);
	CHECK(has(asks("PATCH " OWN "bgclusters/demo/status" WRITE), "wait longer"),
	    "another text is");
	answer(400, status(400, "strict decoding error: unknown field \\\"status.phase\\\""));
	ends(INVALID, CRD_OUTDATED, "an outdated CRD");
}

/* Nested deeper than a parser goes: of such a BGCluster all that is read is whose it is. */
static void
test_status_past_the_bounds(void)
{
	struct buf deep;
	const char *body;

	buf_init(&deep, 1u << 16);
	buf_puts(&deep, ",\"patroni\":{\"dynamicConfiguration\":");
	for (int i = 0; i < 2 * JSON_DEPTH_MAX; i++)
		buf_puts(&deep, "{\"a\":");
	buf_puts(&deep, "1");
	for (int i = 0; i < 2 * JSON_DEPTH_MAX + 1; i++)
		buf_puts(&deep, "}");
	body = keep(cluster_json(FINALIZED, deep.p));
	take_status("wait");
	asks(CR);
	answer(200, body);
	CHECK(has(asks("PATCH " OWN "bgclusters/demo/status" WRITE), "\"message\":\"wait\""),
	    "a condition can be said of it");
	answer(200, body);
	ends(DONE, NONE, "and the reply, as deep, is no trouble");
	take(CHOICE_verb_ENSURE, CHILD_STATEFULSET, 0, NULL);
	asks(CR);
	answer(200, body);
	ends(INVALID, SPEC_INVALID, "nothing is made from it");
	CHECK(has(fake.done.text, "levels"), "the bound is named");
	buf_free(&deep);
}

static void
test_event(void)
{
	struct ipc_msg m = {.type = IPC_STEP_EVENT, .fds = {-1, -1}};
	static const int replies[] = {201, 409, 403, 500};
	char names[4][400];

	m.step_event = (struct msg_step_event){.id = 7,
	    .namespace = "prod",
	    .name = "demo",
	    .uid = uid_of(UID_A),
	    .type = CHOICE_event_type_WARNING,
	    .reason = REASON_IMAGE_PULL_FAILED,
	    .text = "no such image"};
	for (unsigned i = 0; i < 4; i++) {
		const char *body;

		if (i == 3)
			snprintf(m.step_event.text, sizeof(m.step_event.text), "no such host");
		executor_take(&x, &m);
		answer_cluster();
		body = asks("POST " CORE "events" WRITE);
		CHECK(has(body, "\"reason\":\"ImagePullFailed\"") && has(body, "no such ") &&
			  has(body, UID_A),
		    "an Event about the BGCluster");
		snprintf(names[i], sizeof(names[i]), "%.60s", strstr(body, "\"name\":"));
		answer(replies[i], replies[i] == 201 ? "{}" : status(replies[i], "no"));
		ends(DONE, NONE, "which never fails a cluster");
	}
	CHECK(strcmp(names[0], names[1]) == 0 && strcmp(names[1], names[2]) == 0,
	    "while the status says the same it has one name, whoever tells it");
	CHECK(strcmp(names[2], names[3]) != 0, "and another text another one");
	executor_take(&x, &m);
	answer_cluster();
	asks("POST " CORE "events" WRITE);
	answer_lost();
	ends(DONE, NONE, "nor does one that is slow to take Events hold up the status");
}

int
main(void)
{
	case_init();
	test_observe_pod();
	test_observe_absent_pod();
	test_observe_others();
	test_status();
	test_status_past_the_bounds();
	test_event();
	return case_done();
}
