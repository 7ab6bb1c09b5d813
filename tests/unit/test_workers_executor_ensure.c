/*
 * ENSURE, verb by verb against a scripted API server: the exact requests on the good path and after
 * 409, 404, another's object, and a lost reply; no write where nothing differs; a Secret is made
 * once; no password ever reaches a log line.
 */
#include "tests/unit/executor_case.h"

#define SERVICES CORE "services"
#define CONFIGMAPS CORE "configmaps"
#define SECRETS CORE "secrets"

/* --- Plain children. */

static void
test_create(void)
{
	const char *body;

	take(CHOICE_verb_ENSURE, CHILD_SERVICE_RW, 0, NULL);
	answer_cluster();
	body = asks("POST " SERVICES WRITE);
	CHECK(fake.at[1].content == KUBE_JSON && has(body, "\"name\":\"demo-rw\"") &&
		  has(body, UID_A),
	    "a Service of ours is posted");
	answer(201, stored(body, UID_B, 9));
	ends(DONE, NONE, "and that is all");
	CHECK(fake.done.present && fake.done.version == 9 &&
		  uid_eq(&fake.done.child_uid, &(struct uid){{0xbb, 0xbb, 0xbb, 0xbb, 0, 0, 0x40, 0,
						   0x80, 0, 0, 0, 0, 0, 0, 2}}),
	    "what is there now is reported");
}

static void
test_nothing_differs(void)
{
	const char *body = rendered(CHILD_SERVICE_RW, "POST " SERVICES WRITE, "");

	take(CHOICE_verb_ENSURE, CHILD_SERVICE_RW, 0, NULL);
	answer_cluster();
	asks("POST " SERVICES WRITE);
	answer(409, status(409, "services already exists"));
	asks("GET " SERVICES "/demo-rw");
	answer(200, stored(body, UID_B, 55));
	ends(DONE, NONE, "it was there already, as wanted: no write");
	take(CHOICE_verb_ENSURE, CHILD_SERVICE_RW, 0, UID_B);
	answer_cluster();
	asks("GET " SERVICES "/demo-rw");
	answer(200, stored(body, UID_B, 55));
	ends(DONE, NONE, "with a target it is read at once, and not written");
	take(CHOICE_verb_ENSURE, CHILD_SERVICE_RW, 0, UID_C);
	answer_cluster();
	asks("GET " SERVICES "/demo-rw");
	answer(200, stored(body, UID_B, 55));
	ends(DONE, NONE, "another one of ours than was thought is good as well");
}

static void
test_difference(void)
{
	const char *body = rendered(CHILD_SERVICE_RW, "POST " SERVICES WRITE, "");

	take(CHOICE_verb_ENSURE, CHILD_SERVICE_RW, 0, UID_B);
	asks(CR);
	answer(
	    200, cluster_json(FINALIZED, ",\"services\":{\"readWrite\":{\"type\":\"NodePort\"}}"));
	asks("GET " SERVICES "/demo-rw");
	answer(200, stored(body, UID_B, 55));
	body = asks("PATCH " SERVICES "/demo-rw" WRITE);
	CHECK(fake.at[2].content == KUBE_MERGE_PATCH &&
		  strncmp(body, GUARD_55, strlen(GUARD_55)) == 0,
	    "a patch is guarded by uid and version");
	CHECK(has(body, "\"spec\":{\"type\":\"NodePort\"}") && has(body, "bestgres.io/inputs") &&
		  !has(body, "selector"),
	    "and holds the difference only");
	answer(409, status(409, "the object has been modified"));
	ends(CONFLICT, NONE, "somebody was faster");
	body = rendered(CHILD_SERVICE_RW, "POST " SERVICES WRITE, "");
	take(CHOICE_verb_ENSURE, CHILD_SERVICE_RW, 0, UID_B);
	asks(CR);
	answer(
	    200, cluster_json(FINALIZED, ",\"services\":{\"readWrite\":{\"type\":\"NodePort\"}}"));
	asks("GET " SERVICES "/demo-rw");
	answer(200, stored(body, UID_B, 55));
	asks("PATCH " SERVICES "/demo-rw" WRITE);
	answer(422,
	    status(422, "Service is invalid: metadata.uid: Invalid value: field is immutable"));
	ends(CONFLICT, NONE, "it was made anew in between");
}

static void
test_absent_and_back(void)
{
	take(CHOICE_verb_ENSURE, CHILD_PDB, 0, UID_B);
	answer_cluster();
	asks("GET /apis/policy/v1" NS "poddisruptionbudgets/demo");
	answer(404, status(404, "not found"));
	asks("POST /apis/policy/v1" NS "poddisruptionbudgets" WRITE);
	answer(409, status(409, "exists"));
	asks("GET /apis/policy/v1" NS "poddisruptionbudgets/demo");
	answer(404, status(404, "not found"));
	ends(CONFLICT, NONE, "what comes and goes is planned anew, not chased");
}

static void
test_foreign(void)
{
	take(CHOICE_verb_ENSURE, CHILD_SERVICE_RW, 0, NULL);
	answer_cluster();
	asks("POST " SERVICES WRITE);
	answer(409, status(409, "exists"));
	asks("GET " SERVICES "/demo-rw");
	answer(200, "{\"metadata\":{\"name\":\"demo-rw\",\"namespace\":\"prod\",\"uid\":\"" UID_C
		    "\",\"resourceVersion\":\"5\"},\"spec\":{}}");
	ends(FOREIGN, NAME_TAKEN, "a foreign Service is not touched");
	CHECK(has(fake.done.text, "demo-rw"), "and is named");
	take(CHOICE_verb_ENSURE, CHILD_SERVICE_RW, 0, UID_B);
	answer_cluster();
	asks("GET " SERVICES "/demo-rw");
	answer(200, owned("demo-rw", UID_B, UID_C, DELETING, ""));
	ends(RETRY, NONE, "one that is going is waited for");
	take(CHOICE_verb_ENSURE, CHILD_SERVICE_RW, 0, UID_B);
	answer_cluster();
	asks("GET " SERVICES "/demo-rw");
	answer(200, owned("demo-rw", UID_B, UID_C, "", ""));
	CHECK(has(asks("PATCH " SERVICES "/demo-rw" WRITE), UID_A),
	    "one of an earlier cluster of this name becomes ours");
	answer(200, owned("demo-rw", UID_B, UID_A, "", ""));
	ends(DONE, NONE, "and is patched");
}

/* --- The StatefulSet: what can not be changed in it is not tried. */

static void
test_statefulset(void)
{
	const char *body = rendered(CHILD_STATEFULSET, "POST " SETS WRITE, "");

	take(CHOICE_verb_ENSURE, CHILD_STATEFULSET, 0, UID_B);
	answer_cluster();
	asks("GET " SETS "/demo");
	answer(200, stored(body, UID_B, 55));
	ends(DONE, NONE, "nothing differs");
	take(CHOICE_verb_ENSURE, CHILD_STATEFULSET, 0, UID_B);
	asks(CR);
	answer(200,
	    fmt("{\"metadata\":{\"name\":\"demo\",\"namespace\":\"prod\",\"uid\":\"" UID_A
		"\",\"generation\":3,\"resourceVersion\":\"100\"%s},"
		"\"spec\":{\"image\":\"pg:17\",\"instances\":2,\"storage\":{\"size\":\"9Gi\"}}}",
		FINALIZED));
	asks("GET " SETS "/demo");
	answer(200, stored(body, UID_B, 55));
	body = asks("PATCH " SETS "/demo" WRITE);
	CHECK(has(body, "bestgres.io/inputs") && !has(body, "volumeClaimTemplates") &&
		  !has(body, "storage-inputs") && !has(body, "\"spec\""),
	    "another size: the templates and what tells of them stay");
	answer(200, owned("demo", UID_B, UID_A, "", ""));
	ends(DONE, NONE, "so that the reconciler sees what is due");
}

/* Pods that are lost come back from the stored template. */
static void
test_statefulset_keeps_template(void)
{
	const char *body = rendered(CHILD_STATEFULSET, "POST " SETS WRITE, OTHER_PODS);

	take(CHOICE_verb_ENSURE, CHILD_STATEFULSET, 0, UID_B);
	answer_cluster();
	asks("GET " SETS "/demo");
	answer(200, stored(body, UID_B, 55));
	body = asks("PATCH " SETS "/demo" WRITE);
	CHECK(has(body, "\"labels\":{\"team\":null}") && !has(body, "\"spec\""),
	    "running pods keep their template, whatever else is written");
	answer(200, owned("demo", UID_B, UID_A, "", ""));
	ends(DONE, NONE, "until they are to be replaced");
	body = rendered(CHILD_STATEFULSET, "POST " SETS WRITE, OTHER_PODS ",\"hibernated\":true");
	take(CHOICE_verb_ENSURE, CHILD_STATEFULSET, 0, UID_B);
	answer_cluster();
	asks("GET " SETS "/demo");
	answer(200, stored(body, UID_B, 55));
	body = asks("PATCH " SETS "/demo" WRITE);
	CHECK(has(body, "\"replicas\":2") && has(body, "\"containers\":["),
	    "one that wakes makes pods of the spec");
	answer(200, owned("demo", UID_B, UID_A, "", ""));
	ends(DONE, NONE, "in one write");
	x.image = STR("operator:1");
	body = rendered(CHILD_STATEFULSET, "POST " SETS WRITE, "");
	x.image = STR("operator:2");
	take(CHOICE_verb_ENSURE, CHILD_STATEFULSET, 0, UID_B);
	answer_cluster();
	asks("GET " SETS "/demo");
	answer(200, stored(body, UID_B, 55));
	body = asks("PATCH " SETS "/demo" WRITE);
	x.image = STR("operator:1");
	CHECK(has(body, "operator:2") && !has(body, "pod-inputs"),
	    "what no pod is replaced for is kept up to date in it");
	answer(200, owned("demo", UID_B, UID_A, "", ""));
	ends(DONE, NONE, "such as the operator's own image");
}

/* --- The anchor. */

#define VOLUMES                                                                                    \
	"GET " CORE "persistentvolumeclaims?labelSelector=bestgres.io%2Fcluster%3Ddemo&limit=200"
#define PROBE "POST " SECRETS WRITE "&dryRun=All"

static void
answer_volumes(const char *volumes)
{
	asks(VOLUMES);
	answer(
	    200, fmt("{\"kind\":\"List\",\"metadata\":{\"resourceVersion\":\"9\"},\"items\":[%s]}",
		     volumes));
}

/* There is no anchor: what is asked before one is made. */
static void
no_anchor(const char *volumes)
{
	take(CHOICE_verb_ENSURE, CHILD_ANCHOR, 0, NULL);
	answer_cluster();
	asks("GET " CONFIGMAPS "/demo-data");
	answer(404, status(404, "not found"));
	answer_volumes(volumes);
}

static void
test_anchor(void)
{
	const char *body;

	no_anchor("");
	CHECK(has(asks(PROBE), "\"demo-credentials\""), "is there a Secret?");
	answer(201, "{}");
	CHECK(has(asks(PROBE), "\"demo-app\""), "or the other?");
	answer(201, "{}");
	body = asks("POST " CONFIGMAPS WRITE);
	CHECK(!has(body, "\"data\""), "a new anchor says nothing");
	answer(201, stored(body, ORIGIN, 5));
	CHECK(fake.done.anchor == CHOICE_anchor_state_CREATED, "a new anchor");
	body = keep(stored(body, ORIGIN, 5));
	ends(DONE, NONE, "is created");
	take(CHOICE_verb_ENSURE, CHILD_ANCHOR, 0, NULL);
	answer_cluster();
	asks("GET " CONFIGMAPS "/demo-data");
	answer(200, body);
	CHECK(fake.done.anchor == CHOICE_anchor_state_CREATED, "our own anchor");
	ends(DONE, NONE, "is not written");
}

static void
test_anchor_raced(void)
{
	no_anchor("");
	asks(PROBE);
	answer(201, "{}");
	asks(PROBE);
	answer(201, "{}");
	asks("POST " CONFIGMAPS WRITE);
	answer_lost();
	ends(RETRY, NONE, "a lost reply");
	no_anchor("");
	asks(PROBE);
	answer(201, "{}");
	asks(PROBE);
	answer(201, "{}");
	asks("POST " CONFIGMAPS WRITE);
	answer(409, status(409, "exists"));
	asks("GET " CONFIGMAPS "/demo-data");
	answer(404, status(404, "not found"));
	ends(CONFLICT, NONE, "one that comes and goes");
}

static void
test_remains(void)
{
	const char *body;

	no_anchor("");
	asks(PROBE);
	answer(409, status(409, "exists"));
	ends(RETRY, NAME_TAKEN, "a Secret without an anchor is not ours");
	CHECK(has(fake.done.text, "Secret demo-credentials"), "and is named");
	no_anchor("");
	asks(PROBE);
	answer(201, "{}");
	asks(PROBE);
	answer(409, status(409, "exists"));
	ends(RETRY, NAME_TAKEN, "nor is the other");
	CHECK(has(fake.done.text, "Secret demo-app"), "likewise");
	no_anchor(owned("pgdata-demo-0", UID_B, UID_C, DELETING, ""));
	ends(RETRY, WAITING_FOR_DESTRUCTION, "volumes that are going are waited for");
	no_anchor(owned("pgdata-demo-0", UID_B, UID_C, "", ""));
	body = asks("POST " CONFIGMAPS WRITE);
	CHECK(has(body, "\"data\":{\"adopted\":\"true\",\"credentialsMade\":\"true\",\"appMade\":"
			"\"true\"}}"),
	    "volumes that are there are adopted, and their Secrets never made");
	answer(201, stored(body, ORIGIN, 5));
	answer_volumes(owned("pgdata-demo-0", UID_B, UID_C, "", ""));
	CHECK(fake.done.anchor == CHOICE_anchor_state_ADOPTED, "adopted");
	CHECK(fake.done.primary == 0 && fake.done.volumes == 1, "who led it is not known");
	ends(DONE, NONE, "which is said");
	no_anchor(owned("backup-demo-0", UID_B, UID_C, DELETING, ""));
	asks(PROBE);
	answer(500, status(500, "later"));
	ends(RETRY, NONE, "another volume is none");
}

static void
test_anchor_adopted(void)
{
	const char *body;

	take(CHOICE_verb_ENSURE, CHILD_ANCHOR, 0, NULL);
	answer_cluster();
	asks("GET " CONFIGMAPS "/demo-data");
	answer(200, anchor_json(UID_C, "\"credentialsMade\":\"true\""));
	body = asks("PATCH " CONFIGMAPS "/demo-data" WRITE);
	CHECK(has(body, UID_A) && has(body, "\"data\":{\"adopted\":\"true\"}") &&
		  has(body, "\"resourceVersion\":\"55\"") && has(body, ORIGIN),
	    "an earlier cluster's anchor is adopted, and that is remembered");
	answer(200, anchor_json(UID_A, "\"credentialsMade\":\"true\",\"adopted\":\"true\","
				       "\"primary\":\"demo-2\",\"timeline\":\"7\""));
	answer_volumes(fmt("%s,%s,%s,%s", owned("pgdata-demo-0", UID_B, UID_C, "", ""),
	    owned("wal-demo-1", UID_B, UID_C, "", ""),
	    owned("pgdata-demo-3", UID_B, UID_C, DELETING, ""),
	    owned("pgdata-demo-2", UID_B, UID_C, "", "")));
	CHECK(fake.done.primary == 3 && fake.done.timeline == 7, "who led it last is told,");
	CHECK(fake.done.volumes == 5, "and which data is there to stay");
	CHECK(fake.done.anchor == CHOICE_anchor_state_ADOPTED, "and said");
	ends(DONE, NONE, "once");
	take(CHOICE_verb_ENSURE, CHILD_ANCHOR, 0, UID_B);
	answer_cluster();
	asks("GET " CONFIGMAPS "/demo-data");
	answer(200, anchor_json(UID_A, "\"adopted\":\"true\""));
	body = asks("PATCH " CONFIGMAPS "/demo-data" WRITE);
	CHECK(has(body, ANNOTATION_INPUTS) && !has(body, "\"data\""),
	    "healing its metadata leaves its data alone");
	answer(200, anchor_json(UID_A, "\"adopted\":\"true\",\"primary\":\"other-2\","
				       "\"timeline\":\"7\""));
	answer_volumes("");
	CHECK(fake.done.primary == 0 && fake.done.timeline == 0, "no instance has that name");
	CHECK(fake.done.anchor == CHOICE_anchor_state_ADOPTED, "adopted still");
	ends(DONE, NONE, "until it is released");
}

/* What outlives the cluster is written before what says so goes. */
static void
test_last_primary(void)
{
	static const struct {
		const char *spec, *status, *anchor; /* anchor: of whom, and what it says */
		const char *owner;
		bool told;
	} rows[] = {
	    {"false", "\"role\":\"Primary\",\"timeline\":3", "", UID_A, true},
	    {"false", "\"role\":\"Primary\",\"timeline\":3",
		"\"primary\":\"demo-2\",\"timeline\":\"2\"", UID_A, true},
	    {"false", "\"role\":\"Primary\",\"timeline\":3",
		"\"primary\":\"demo-2\",\"timeline\":\"3\"", UID_A, false},
	    {"false", "\"role\":\"Primary\",\"timeline\":3", "", UID_C, false},
	    {"false", "\"role\":\"Primary\",\"timeline\":3",
		"\"state\":\"destroying\",\"destroyer\":\"" UID_A "\"", UID_A, false},
	    {"false", "\"role\":\"Replica\",\"timeline\":3", NULL, NULL, false},
	    {"true", "\"role\":\"Primary\",\"timeline\":3", NULL, NULL, false},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		take(CHOICE_verb_DELETE, CHILD_INSTANCE, 1, UID_B);
		answer_deleting("");
		asks("GET " OWN "bginstances/demo-1");
		answer(200, owned("demo-1", UID_B, UID_A, "",
				fmt(",\"spec\":{\"cluster\":\"demo\",\"ordinal\":1,\"hold\":%s},"
				    "\"status\":{%s}",
				    rows[i].spec, rows[i].status)));
		if (rows[i].anchor != NULL) {
			asks("GET " CONFIGMAPS "/demo-data");
			answer(200, anchor_json(rows[i].owner, rows[i].anchor));
		}
		if (rows[i].told) {
			CHECK(has(asks("PATCH " CONFIGMAPS "/demo-data" WRITE),
				  "\"data\":{\"primary\":\"demo-1\",\"timeline\":\"3\"}"),
			    "the anchor remembers who led last");
			answer(200, anchor_json(UID_A, ""));
		}
		asks("DELETE " OWN "bginstances/demo-1");
		answer(200, "{}");
		ends(DONE, NONE, "then it goes");
	}
	take(CHOICE_verb_DELETE, CHILD_INSTANCE, 1, UID_B);
	answer_deleting("");
	asks("GET " OWN "bginstances/demo-1");
	answer(200, owned("demo-1", UID_B, UID_A, "",
			",\"spec\":{\"cluster\":\"demo\",\"ordinal\":1,\"hold\":false},"
			"\"status\":{\"role\":\"Primary\",\"timeline\":3}"));
	asks("GET " CONFIGMAPS "/demo-data");
	answer(404, status(404, "not found"));
	asks("DELETE " OWN "bginstances/demo-1");
	answer(200, "{}");
	ends(DONE, NONE, "without an anchor there is nothing to remember it for");
}

static void
test_anchor_taken(void)
{
	take(CHOICE_verb_ENSURE, CHILD_ANCHOR, 0, ORIGIN);
	answer_cluster();
	asks("GET " CONFIGMAPS "/demo-data");
	answer(200, anchor_json(UID_C, "\"state\":\"destroying\",\"destroyer\":\"" UID_C "\""));
	CHECK(fake.done.anchor == CHOICE_anchor_state_DESTROYING,
	    "an anchor that is being destroyed");
	ends(DONE, WAITING_FOR_DESTRUCTION, "is waited for, not adopted");
	take(CHOICE_verb_ENSURE, CHILD_ANCHOR, 0, NULL);
	answer_cluster();
	asks("GET " CONFIGMAPS "/demo-data");
	answer(200, "{\"metadata\":{\"name\":\"demo-data\",\"namespace\":\"prod\",\"uid\":\"" UID_C
		    "\",\"resourceVersion\":\"5\"}}");
	ends(FOREIGN, NAME_TAKEN, "a foreign ConfigMap");
}

/* --- Secrets. */

#define PASSWORD_KEY "\"superuser-password\":\""
static char passwords[8][33];
static unsigned passwords_n;

static void
keep_password(const char *body)
{
	const char *at = strstr(body, PASSWORD_KEY);

	if (CHECK(at != NULL &&
		      strspn(at + strlen(PASSWORD_KEY),
			  "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789") == 32,
		"a password of 32 letters and digits"))
		snprintf(passwords[passwords_n++], 33, "%.32s", at + strlen(PASSWORD_KEY));
}

static void
first_secret(int post_status)
{
	const char *body;

	take(CHOICE_verb_ENSURE, CHILD_CREDENTIALS, 0, NULL);
	answer_cluster();
	asks("GET " CONFIGMAPS "/demo-data");
	answer(200, anchor_json(UID_A, ""));
	body = asks("POST " SECRETS WRITE);
	CHECK(has(body, "\"anchor-uid\":\"" ORIGIN "\"") && has(body, "\"ownerReferences\""),
	    "the Secret belongs to the anchor");
	keep_password(body);
	answer(post_status, post_status == 201 ? stored(body, UID_B, 4) : status(409, "exists"));
	body = asks("PATCH " CONFIGMAPS "/demo-data" WRITE);
	CHECK(strcmp(body,
		  "{\"metadata\":{\"uid\":\"" ORIGIN
		  "\",\"resourceVersion\":\"55\"},\"data\":{\"credentialsMade\":\"true\"}}") == 0,
	    "the anchor remembers that it was made");
	answer(200, anchor_json(UID_A, "\"credentialsMade\":\"true\""));
	ends(DONE, NONE, "once");
}

static void
test_secret_made(void)
{
	first_secret(201);
	first_secret(409);
	CHECK(strcmp(passwords[0], passwords[1]) != 0, "passwords differ");
	take(CHOICE_verb_ENSURE, CHILD_CREDENTIALS, 0, NULL);
	answer_cluster();
	asks("GET " CONFIGMAPS "/demo-data");
	answer(200, anchor_json(UID_A, ""));
	keep_password(asks("POST " SECRETS WRITE));
	answer_lost();
	ends(RETRY, NONE, "a lost reply: nothing is recorded, the next POST says 409");
}

static void
test_secret_probed(void)
{
	take(CHOICE_verb_ENSURE, CHILD_APP, 0, NULL);
	answer_cluster();
	asks("GET " CONFIGMAPS "/demo-data");
	answer(200, anchor_json(UID_A, "\"credentialsMade\":\"true\",\"appMade\":\"true\""));
	asks("POST " SECRETS WRITE "&dryRun=All");
	answer(409, status(409, "exists"));
	CHECK(fake.done.present, "a Secret that was made is probed for only");
	ends(DONE, NONE, "and is there");
	take(CHOICE_verb_ENSURE, CHILD_APP, 0, NULL);
	answer_cluster();
	asks("GET " CONFIGMAPS "/demo-data");
	answer(200, anchor_json(UID_A, "\"appMade\":\"[\\\"app\\\",\\\"app\\\"]\""));
	asks("POST " SECRETS WRITE "&dryRun=All");
	answer(409, status(409, "exists"));
	ends(DONE, NONE, "and so with the names that the spec has");
	take(CHOICE_verb_ENSURE, CHILD_APP, 0, NULL);
	answer_cluster();
	asks("GET " CONFIGMAPS "/demo-data");
	answer(200, anchor_json(UID_A, "\"appMade\":\"[\\\"app\\\",\\\"shop\\\"]\""));
	ends(INVALID, BOOTSTRAP_DIFFERS, "kept data of other names is not continued");
	CHECK(has(fake.done.text, "[\"app\",\"shop\"]"), "which are said");
	take(CHOICE_verb_ENSURE, CHILD_CREDENTIALS, 0, NULL);
	answer_cluster();
	asks("GET " CONFIGMAPS "/demo-data");
	answer(200, anchor_json(UID_A, "\"credentialsMade\":\"true\""));
	CHECK(
	    !has(asks("POST " SECRETS WRITE "&dryRun=All"), "password"), "a probe has no password");
	answer(201, "{}");
	ends(INVALID, CREDENTIALS_MISSING, "one that is missing is never made anew");
	CHECK(has(fake.done.text, "demo-credentials"), "and is named");
}

static void
test_secret_without_anchor(void)
{
	static const char *const data[] = {"\"state\":\"destroying\"", "", NULL};

	for (unsigned i = 0; i < 3; i++) {
		take(CHOICE_verb_ENSURE, CHILD_APP, 0, NULL);
		answer_cluster();
		asks("GET " CONFIGMAPS "/demo-data");
		if (data[i] == NULL)
			answer(404, status(404, "not found"));
		else
			answer(200, anchor_json(i == 0 ? UID_A : UID_C, data[i]));
		ends(CONFLICT, NONE, "no Secret without an anchor of this cluster");
	}
}

static void
test_passwords_not_logged(void)
{
	const char *log = log_text();

	CHECK(passwords_n == 3 && strlen(log) > 1000, "there were passwords, and a log");
	for (unsigned i = 0; i < passwords_n; i++)
		CHECK(!has(log, passwords[i]), "no password in the log");
}

int
main(void)
{
	case_init();
	test_create();
	test_nothing_differs();
	test_difference();
	test_absent_and_back();
	test_foreign();
	test_statefulset();
	test_statefulset_keeps_template();
	test_anchor();
	test_anchor_raced();
	test_remains();
	test_anchor_adopted();
	test_last_primary();
	test_anchor_taken();
	test_secret_made();
	test_secret_probed();
	test_secret_without_anchor();
	test_passwords_not_logged();
	return case_done();
}
