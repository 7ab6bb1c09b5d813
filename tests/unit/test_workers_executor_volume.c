/*
 * The executor's verbs for volumes that hold data, against a scripted API server: the exact
 * requests, and that nothing is written which is not due.
 */
#include "tests/unit/executor_case.h"

#define PVC CORE "persistentvolumeclaims/pgdata-demo-1"
#define EVENTS                                                                                     \
	"GET " CORE "events?fieldSelector=involvedObject.uid%3D" UID_B                             \
	"%2Creason%3DVolumeResizeFailed&limit=200"
#define NO_EVENTS "{\"metadata\":{\"resourceVersion\":\"9\"},\"items\":[]}"
#define DYNAMIC_ONLY                                                                               \
	"persistentvolumeclaims \\\"pgdata-demo-1\\\" is forbidden: only dynamically provisioned " \
	"pvc can be resized and the storageclass that provisions the pvc must support resize"

/* more: of status, beginning with a comma. The spec of the case asks for 1Gi. */
static const char *
claim(const char *meta, const char *size, const char *capacity, const char *more)
{
	return keep(owned("pgdata-demo-1", UID_B, UID_A, meta,
	    fmt(",\"spec\":{\"resources\":{\"requests\":{\"storage\":\"%s\"}},\"volumeName\":"
		"\"pv\"},"
		"\"status\":{\"phase\":\"Bound\",\"capacity\":{\"storage\":\"%s\"}%s}",
		size, capacity, more)));
}

static void
take_claim(const char *body)
{
	take(CHOICE_verb_EXPAND_PVC, CHILD_INSTANCE, 1, NULL);
	answer_cluster();
	asks("GET " PVC);
	answer(200, body);
}

static void
test_expand(void)
{
	const char *body;

	take_claim(claim("", "512Mi", "512Mi", ""));
	body = asks("PATCH " PVC WRITE);
	CHECK(strcmp(body,
		  "{\"metadata\":{\"uid\":\"" UID_B "\",\"resourceVersion\":\"55\"},\"spec\":{"
		  "\"resources\":{\"requests\":{\"storage\":\"1Gi\"}}}}") == 0,
	    "a smaller claim is told its size, guarded by uid and version");
	answer(200, claim("", "1Gi", "512Mi", ""));
	CHECK(fake.done.present && fake.done.bound && !fake.done.ready &&
		  strcmp(fake.done.text, "its volume grows from 512Mi to 1Gi") == 0,
	    "how far it is");
	ends(DONE, EXPANDING, "is said");
	take_claim(claim("", "1024Mi", "1Gi", ""));
	CHECK(fake.done.ready, "one of that size, by value");
	ends(DONE, NONE, "is not written to");
	take_claim(claim("", "2Gi", "2Gi", ""));
	CHECK(fake.done.ready, "nor is a larger one:");
	ends(DONE, NONE, "nothing ever shrinks");
}

static void
test_follow(void)
{
	take_claim(claim("", "1Gi", "512Mi",
	    ",\"conditions\":[{\"type\":\"FileSystemResizePending\",\"status\":\"True\"}]"));
	asks(EVENTS);
	answer(200, NO_EVENTS);
	CHECK(!fake.done.ready && has(fake.done.text, "file system"), "one that has not followed");
	ends(DONE, EXPANDING, "is waited for");
	take_claim(claim("", "1Gi", "512Mi", ""));
	asks(EVENTS);
	answer(403, status(403, "no"));
	ends(DONE, EXPANDING, "although its events may not be read");
	take_claim(claim("", "1Gi", "512Mi",
	    ",\"conditions\":[{\"type\":\"ControllerResizeError\",\"status\":\"True\",\"message\":"
	    "\"no "
	    "space on the array\"}]"));
	CHECK(has(fake.done.text, "no space on the array"), "why it fails");
	ends(DONE, EXPANSION_FAILED, "is said");
}

static void
test_refused(void)
{
	take_claim(claim("", "512Mi", "512Mi", ""));
	asks("PATCH " PVC WRITE);
	answer(403, status(403, DYNAMIC_ONLY));
	CHECK(strncmp(fake.done.text, "only dynamically provisioned", 28) == 0 &&
		  has(fake.done.text, "docs/status.md"),
	    "the server's words and what to do");
	ends(INVALID, EXPANSION_REFUSED, "where the class does not let it grow");
	take_claim(claim("", "512Mi", "1Gi", ""));
	asks("PATCH " PVC WRITE);
	answer(403, status(403, DYNAMIC_ONLY));
	CHECK(fake.done.ready, "a volume that is larger than its claim");
	ends(DONE, NONE, "need not grow");
	take_claim(claim("", "512Mi", "512Mi", ""));
	asks("PATCH " PVC WRITE);
	answer(
	    422, status(422, "PersistentVolumeClaim \\\"pgdata-demo-1\\\" is invalid: spec: no"));
	CHECK(strcmp(fake.done.text, "spec: no") == 0, "what is invalid");
	ends(INVALID, EXPANSION_REFUSED, "is said too");
	take_claim(claim("", "512Mi", "512Mi", ""));
	asks("PATCH " PVC WRITE);
	answer(
	    403, status(403, "persistentvolumeclaims is forbidden: User x cannot patch resource"));
	ends(DENIED, RIGHTS_MISSING, "but not a right that is missing");
	take_claim(claim("", "512Mi", "512Mi", ""));
	asks("PATCH " PVC WRITE);
	answer(422, status(422, "metadata.uid: Invalid value: is another"));
	ends(CONFLICT, NONE, "nor a claim that was made anew");
	take_claim(claim("", "512Mi", "512Mi", ""));
	asks("PATCH " PVC WRITE);
	answer(409, status(409, "the object has been modified"));
	ends(CONFLICT, NONE, "nor one that was changed meanwhile");
	take_claim(claim("", "512Mi", "512Mi", ""));
	asks("PATCH " PVC WRITE);
	answer(200, claim("", "512Mi", "512Mi", ""));
	ends(RETRY, NONE, "one that keeps its size is not told in a circle");
}

static void
test_left_alone(void)
{
	take(CHOICE_verb_EXPAND_PVC, CHILD_INSTANCE, 1, NULL);
	answer_cluster();
	asks("GET " PVC);
	answer(404, status(404, "not found"));
	CHECK(!fake.done.present && !fake.done.ready, "no claim yet");
	ends(DONE, NONE, "is no trouble");
	take_claim(keep(owned("pgdata-demo-1", UID_B, UID_A, "",
	    ",\"spec\":{\"resources\":{\"requests\":{\"storage\":\"512Mi\"}}},\"status\":{"
	    "\"phase\":"
	    "\"Pending\"}")));
	CHECK(fake.done.present && !fake.done.bound && !fake.done.ready, "one that is not bound");
	ends(DONE, NONE, "may not grow");
	take_claim(claim(DELETING, "512Mi", "512Mi", ""));
	CHECK(fake.done.terminating, "one that is going");
	ends(DONE, NONE, "need not");
	take_claim(
	    "{\"metadata\":{\"name\":\"pgdata-demo-1\",\"namespace\":\"prod\",\"uid\":\"" UID_B
	    "\",\"resourceVersion\":\"5\"},\"spec\":{\"resources\":{\"requests\":{\"storage\":"
	    "\"512Mi\"}}},\"status\":{\"phase\":\"Bound\"}}");
	ends(INVALID, EXPANSION_REFUSED, "one without our label is its maker's");
	take(CHOICE_verb_EXPAND_PVC, CHILD_INSTANCE, 2, NULL);
	answer_cluster();
	ends(DENIED, NONE, "one of no member stays as it is");
	take(CHOICE_verb_EXPAND_PVC, CHILD_INSTANCE, 1, NULL);
	answer_deleting("");
	ends(DENIED, DELETING, "and so do those of a cluster that goes");
}

/* --- With spec.walStorage: the second claim, after the first and whatever became of that. */

#define WAL CORE "persistentvolumeclaims/pgwal-demo-1"

static const char *
wal_claim(const char *size, const char *capacity)
{
	return keep(owned("pgwal-demo-1", UID_C, UID_A, "",
	    fmt(",\"spec\":{\"resources\":{\"requests\":{\"storage\":\"%s\"}},\"volumeName\":"
		"\"pv\"},\"status\":{\"phase\":\"Bound\",\"capacity\":{\"storage\":\"%s\"}}",
		size, capacity)));
}

/* Up to PGDATA's claim, and its reply. */
static void
take_pair(const char *body)
{
	take(CHOICE_verb_EXPAND_PVC, CHILD_INSTANCE, 1, NULL);
	asks(CR);
	answer(200, cluster_json(FINALIZED, ",\"walStorage\":{\"size\":\"4Gi\"}"));
	asks("GET " PVC);
	answer(body != NULL ? 200 : 404, body != NULL ? body : status(404, "not found"));
}

static void
test_pair(void)
{
	take_pair(claim("", "1Gi", "1Gi", ""));
	asks("GET " WAL);
	answer(200, wal_claim("4Gi", "4Gi"));
	CHECK(fake.done.ready, "both are as large as is asked");
	ends(DONE, NONE, "and nothing is written");
	take_pair(claim("", "1Gi", "1Gi", ""));
	asks("GET " WAL);
	answer(200, wal_claim("2Gi", "2Gi"));
	CHECK(
	    has(asks("PATCH " WAL WRITE), "\"storage\":\"4Gi\""), "the WAL's is told its own size");
	answer(200, wal_claim("4Gi", "2Gi"));
	CHECK(!fake.done.ready &&
		  strcmp(fake.done.text, "its WAL's volume grows from 2Gi to 4Gi") == 0,
	    "how far it is");
	ends(DONE, EXPANDING, "is said");
	take_pair(claim("", "512Mi", "512Mi", ""));
	asks("PATCH " PVC WRITE);
	answer(403, status(403, DYNAMIC_ONLY));
	asks("GET " WAL);
	answer(200, wal_claim("2Gi", "2Gi"));
	asks("PATCH " WAL WRITE);
	answer(200, wal_claim("4Gi", "4Gi"));
	CHECK(strncmp(fake.done.text, "only dynamically", 16) == 0 && !fake.done.ready,
	    "that one may not grow does not hold up the other,");
	ends(INVALID, EXPANSION_REFUSED, "and is said");
	take_pair(claim("", "1Gi", "1Gi", ""));
	asks("GET " WAL);
	answer(200, wal_claim("2Gi", "2Gi"));
	asks("PATCH " WAL WRITE);
	answer(403, status(403, DYNAMIC_ONLY));
	CHECK(has(fake.done.text, "WAL's volume: only dynamically"), "the other way round");
	ends(INVALID, EXPANSION_REFUSED, "too");
	take_pair(NULL);
	asks("GET " WAL);
	answer(404, status(404, "not found"));
	CHECK(!fake.done.ready, "none of both");
	ends(DONE, NONE, "is no trouble");
	take_pair(claim("", "1Gi", "1Gi", ""));
	asks("GET " WAL);
	answer(503, status(503, "not now"));
	ends(RETRY, NONE, "one that can not be read is asked for again");
}

/* --- DELETE_PVC */

#define GONE CORE "persistentvolumeclaims/pgdata-demo-2"
#define GONE_WAL CORE "persistentvolumeclaims/pgwal-demo-2"
#define DROPS ",\"storage\":{\"size\":\"1Gi\",\"onScaleDown\":\"Delete\"}"

static const char *
dropping_cluster(void)
{
	return "{\"metadata\":{\"name\":\"demo\",\"namespace\":\"prod\",\"uid\":\"" UID_A
	       "\",\"generation\":3,\"resourceVersion\":\"100\"" FINALIZED
	       "},\"spec\":{\"image\":\"pg:17\",\"instances\":2" DROPS "}}";
}

static const char *
member(const char *name, const char *role)
{
	return keep(
	    fmt("{\"metadata\":{\"name\":\"%s\",\"namespace\":\"prod\",\"uid\":\"" UID_C
		"\",\"resourceVersion\":\"55\",\"labels\":{\"" LABEL_CLUSTER
		"\":\"demo\",\"role\":\"%s\"}},\"status\":{\"conditions\":[{\"type\":\"Ready\","
		"\"status\":\"True\"}]}}",
		name, role));
}

/* Up to the StatefulSet, and its reply. */
static void
take_surplus(const char *replicas)
{
	take(CHOICE_verb_DELETE_PVC, CHILD_INSTANCE, 2, UID_B);
	asks(CR);
	answer(200, dropping_cluster());
	asks("GET " APPS "statefulsets/demo");
	answer(200,
	    keep(owned("demo", UID_C, UID_A, "", fmt(",\"spec\":{\"replicas\":%s}", replicas))));
}

/* Up to the claim: the pod is gone. */
static void
take_podless(const char *claim)
{
	take_surplus("2");
	asks("GET " CORE "pods/demo-2");
	answer(404, status(404, "not found"));
	asks("GET " GONE);
	if (claim != NULL)
		answer(200, keep(claim));
	else
		answer(404, status(404, "not found"));
}

#define BOUND ",\"spec\":{\"volumeName\":\"pv\"},\"status\":{\"phase\":\"Bound\"}"

/* A claim that may hold data: these are the pods. */
static void
take_bound(const char *pods)
{
	take_podless(owned("pgdata-demo-2", UID_B, UID_A, "", BOUND));
	asks("GET " CORE "pods?labelSelector=bestgres.io%2Fcluster%3Ddemo&limit=200");
	answer(200, keep(fmt("{\"metadata\":{\"resourceVersion\":\"9\"},\"items\":[%s]}", pods)));
}

static void
deletes_claim(void)
{
	CHECK(strcmp(asks("DELETE " GONE),
		  "{\"kind\":\"DeleteOptions\",\"apiVersion\":\"v1\",\"preconditions\":{\"uid\":"
		  "\"" UID_B
		  "\",\"resourceVersion\":\"55\"},\"propagationPolicy\":\"Background\"}") == 0,
	    "the claim of an ordinal that is no more, by uid and version");
	answer(200, "{}");
	ends(DONE, NONE, "is deleted");
}

static void
test_drop(void)
{
	take_bound(member("demo-0", "primary"));
	deletes_claim();
	take_podless(
	    owned("pgdata-demo-2", UID_B, UID_A, "", ",\"status\":{\"phase\":\"Pending\"}"));
	deletes_claim();
	take_podless(NULL);
	asks("GET " GONE_WAL);
	answer(404, status(404, "not found"));
	ends(DONE, NONE, "or is gone already");
	take_podless(owned("pgdata-demo-2", UID_C, UID_A, "", BOUND));
	asks("GET " GONE_WAL);
	answer(404, status(404, "not found"));
	ends(CONFLICT, NONE, "another one of that name stays");
	take_podless(owned("pgdata-demo-2", UID_C, UID_A, "", BOUND));
	asks("GET " GONE_WAL);
	answer(200, owned("pgwal-demo-2", ORIGIN, UID_A, "", BOUND));
	ends(CONFLICT, NONE, "and another one of its WAL");
	take_podless(
	    "{\"metadata\":{\"name\":\"pgdata-demo-2\",\"namespace\":\"prod\",\"uid\":\"" UID_B
	    "\",\"resourceVersion\":\"5\"}}");
	ends(FOREIGN, NAME_TAKEN, "and one without our label");
}

/* The claim of its WAL, whatever became of PGDATA's. */
static void
test_drop_wal(void)
{
	for (unsigned there = 0; there < 2; there++) {
		take_podless(there ? owned("pgdata-demo-2", UID_C, UID_A, DELETING, BOUND) : NULL);
		asks("GET " GONE_WAL);
		answer(200, keep(owned("pgwal-demo-2", UID_B, UID_A, "", BOUND)));
		asks("GET " CORE "pods?labelSelector=bestgres.io%2Fcluster%3Ddemo&limit=200");
		answer(200, keep(fmt("{\"metadata\":{\"resourceVersion\":\"9\"},\"items\":[%s]}",
				member("demo-0", "primary"))));
		CHECK(has(asks("DELETE " GONE_WAL), UID_B), "the WAL's claim, by its uid,");
		answer(200, "{}");
		ends(DONE, NONE, "is deleted");
	}
}

static void
test_not_dropped(void)
{
	take(CHOICE_verb_DELETE_PVC, CHILD_INSTANCE, 2, UID_B);
	answer_cluster();
	ends(DENIED, NONE, "Retain, which is the default, keeps it");
	take(CHOICE_verb_DELETE_PVC, CHILD_INSTANCE, 1, UID_B);
	asks(CR);
	answer(200, dropping_cluster());
	ends(DENIED, NONE, "a member's is never deleted");
	take_surplus("3");
	ends(CONFLICT, NONE, "it stays while a StatefulSet has that instance");
	take_surplus("2");
	asks("GET " CORE "pods/demo-2");
	answer(200, member("demo-2", "replica"));
	ends(CONFLICT, NONE, "or its pod is there");
	take_surplus("2");
	asks("GET " CORE "pods/demo-2");
	answer(403, status(403, "User x cannot get resource"));
	ends(DENIED, RIGHTS_MISSING, "or may not be looked at");
	take_bound(member("demo-0", "replica"));
	ends(CONFLICT, NONE, "or nobody leads");
	take_bound(member("demo-2", "primary"));
	ends(CONFLICT, NONE, "of those that stay");
}

int
main(void)
{
	case_init();
	test_pair();
	test_drop();
	test_drop_wal();
	test_not_dropped();
	test_expand();
	test_follow();
	test_refused();
	test_left_alone();
	return case_done();
}
