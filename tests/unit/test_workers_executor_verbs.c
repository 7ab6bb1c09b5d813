/*
 * The executor's other verbs against a scripted API server: finalizers, removals, volumes and
 * ConfigMaps after the commit point, instances with hold and release. The exact requests, and that
 * nothing is asked which is not due.
 */
#include "tests/unit/executor_case.h"

#define CONFIGMAPS CORE "configmaps"
#define DESTROYED "\"state\":\"destroying\",\"destroyer\":\"" UID_A "\""
#define OPTIONS(uid)                                                                               \
	"{\"kind\":\"DeleteOptions\",\"apiVersion\":\"v1\",\"preconditions\":{\"uid\":\"" uid      \
	"\"},\"propagationPolicy\":\"Background\"}"
#define SELECTED "?labelSelector=bestgres.io%2Fcluster%3Ddemo&limit=200"
#define POLICY_DELETE ",\"deletionPolicy\":\"Delete\""

/* --- Finalizers */

static void
test_add_finalizer(void)
{
	const char *body;

	take(CHOICE_verb_ADD_FINALIZER, 0, 0, NULL);
	asks(CR);
	answer(200, cluster_json(",\"finalizers\":[\"other/one\"]", ""));
	body = asks("PATCH " OWN "bgclusters/demo" WRITE);
	CHECK(
	    strcmp(body, "{\"metadata\":{\"uid\":\"" UID_A
			 "\",\"resourceVersion\":\"100\",\"finalizers\":[\"other/one\",\"" FINALIZER
			 "\"]}}") == 0,
	    "ours is added, the other kept");
	answer(200, cluster_json(FINALIZED, ""));
	ends(DONE, NONE, "and that is all");
	take(CHOICE_verb_ADD_FINALIZER, 0, 0, NULL);
	answer_cluster();
	ends(DONE, NONE, "nothing is written where it stands");
	take(CHOICE_verb_ADD_FINALIZER, 0, 0, NULL);
	asks(CR);
	answer(200, cluster_json(DELETING ",\"finalizers\":[\"other/one\"]", ""));
	ends(DENIED, DELETING, "nor on what is going");
}

static void
test_remove_finalizer(void)
{
	const char *body;

	take(CHOICE_verb_REMOVE_FINALIZER, 0, 0, NULL);
	answer_cluster();
	asks("GET /api/v1/namespaces/prod");
	answer(200, "{\"metadata\":{\"name\":\"prod\"},\"status\":{\"phase\":\"Active\"}}");
	ends(DENIED, NONE, "it stays as long as nobody deletes");
	take(CHOICE_verb_REMOVE_FINALIZER, 0, 0, NULL);
	answer_cluster();
	asks("GET /api/v1/namespaces/prod");
	answer(200,
	    "{\"metadata\":{\"name\":\"prod\",\"deletionTimestamp\":\"2026-11-23T11:47:45Z\"},"
	    "\"status\":{\"phase\":\"Terminating\"}}");
	asks("PATCH " OWN "bgclusters/demo" WRITE);
	answer(200, cluster_json("", ""));
	ends(DONE, NONE, "it goes before the BGCluster is deleted where the namespace is");
	take(CHOICE_verb_REMOVE_FINALIZER, 0, 0, NULL);
	answer_deleting(",\"terminationGracePeriodSeconds\":\"unreadable\"");
	body = asks("PATCH " OWN "bgclusters/demo" WRITE);
	CHECK(strcmp(body, "{\"metadata\":{\"uid\":\"" UID_A
			   "\",\"resourceVersion\":\"100\",\"finalizers\":[\"other/one\"]}}") == 0,
	    "ours is taken out, the other kept, even with an unreadable spec");
	answer(200, cluster_json(DELETING, ""));
	ends(DONE, NONE, "and that is all");
	take(CHOICE_verb_REMOVE_FINALIZER, 0, 0, NULL);
	asks(CR);
	answer(200, cluster_json(DELETING, ""));
	ends(DONE, NONE, "nothing is written where it is gone");
}

/* --- DELETE */

static void
test_delete(void)
{
	take(CHOICE_verb_DELETE, CHILD_SERVICE_RO, 0, UID_B);
	answer_deleting("");
	asks("GET " CORE "services/demo-ro");
	answer(200, owned("demo-ro", UID_B, UID_A, "", ""));
	CHECK(strcmp(asks("DELETE " CORE "services/demo-ro"), OPTIONS(UID_B)) == 0,
	    "by uid, without a grace period");
	answer(200, "{}");
	CHECK(!fake.done.present, "it is gone");
	ends(DONE, NONE, "a Service is deleted");
	take(CHOICE_verb_DELETE, CHILD_SERVICE_RO, 0, UID_C);
	answer_deleting("");
	asks("GET " CORE "services/demo-ro");
	answer(200, owned("demo-ro", UID_B, UID_A, "", ""));
	ends(CONFLICT, NONE, "another uid than was meant");
	take(CHOICE_verb_DELETE, CHILD_SERVICE_RO, 0, UID_B);
	answer_deleting("");
	asks("GET " CORE "services/demo-ro");
	answer(200, "{\"metadata\":{\"name\":\"demo-ro\",\"namespace\":\"prod\",\"uid\":\"" UID_B
		    "\",\"resourceVersion\":\"5\"}}");
	ends(FOREIGN, NAME_TAKEN, "a foreign one, although its uid was said");
	take(CHOICE_verb_DELETE, CHILD_SERVICE_RO, 0, UID_B);
	answer_deleting("");
	asks("GET " CORE "services/demo-ro");
	answer(404, status(404, "not found"));
	ends(DONE, NONE, "one that is gone");
	take(CHOICE_verb_DELETE, CHILD_STATEFULSET, 0, UID_B);
	answer_deleting("");
	asks("GET " APPS "statefulsets/demo");
	answer(200, owned("demo", UID_B, UID_A, DELETING, ""));
	CHECK(fake.done.terminating, "one that is going is not told again");
	ends(DONE, NONE, "but waited for");
}

static void
test_delete_replies(void)
{
	static const struct {
		int status;
		enum choice_step_code code;
	} rows[] = {{202, CHOICE_step_code_DONE}, {404, CHOICE_step_code_DONE},
	    {409, CHOICE_step_code_CONFLICT}, {500, CHOICE_step_code_RETRY}};

	for (size_t i = 0; i < 4; i++) {
		take(CHOICE_verb_DELETE, CHILD_INSTANCE, 5, UID_B);
		answer_cluster();
		asks("GET " OWN "bginstances/demo-5");
		answer(200, owned("demo-5", UID_B, UID_C, "", ""));
		asks("DELETE " OWN "bginstances/demo-5");
		answer(rows[i].status, status(rows[i].status, "because"));
		ends_as(rows[i].code, REASON_NONE, "an instance that is one too many");
	}
	take(CHOICE_verb_DELETE, CHILD_INSTANCE, 1, UID_B);
	answer_cluster();
	ends(DENIED, NONE, "one that is wanted is not deleted");
	take(CHOICE_verb_DELETE, CHILD_STATEFULSET, 0, UID_B);
	answer_cluster();
	ends(DENIED, NONE, "nor anything of a cluster that stays");
}

static void
test_orphan(void)
{
	const char *sts = ",\"spec\":{\"replicas\":2}";

	take(CHOICE_verb_ORPHAN_STATEFULSET, 0, 0, UID_B);
	answer_cluster();
	asks("GET " APPS "statefulsets/demo");
	answer(200, owned("demo", UID_B, UID_A, "", sts));
	CHECK(has(asks("DELETE " APPS "statefulsets/demo"),
		  "\"uid\":\"" UID_B "\"},\"propagationPolicy\":\"Orphan\""),
	    "its pods stay");
	answer(200, "{}");
	ends(DONE, NONE, "a StatefulSet of other volumes");
}

static void
test_orphan_needless(void)
{
	const char *body;

	take(CHOICE_verb_ENSURE, CHILD_STATEFULSET, 0, NULL);
	answer_cluster();
	body = keep(asks("POST " APPS "statefulsets" WRITE));
	answer(500, status(500, "later"));
	ends(RETRY, NONE, "a rendering for later");
	take(CHOICE_verb_ORPHAN_STATEFULSET, 0, 0, UID_B);
	answer_cluster();
	asks("GET " APPS "statefulsets/demo");
	answer(200, stored(body, UID_B, 8));
	ends(CONFLICT, NONE, "one that has the right volumes is not orphaned");
}

static void
test_replace(void)
{
	static const struct {
		const char *more;
		bool deleted;
	} pvcs[] = {
	    {",\"spec\":{},\"status\":{\"phase\":\"Pending\"}", true},
	    {",\"spec\":{\"volumeName\":\"pv-1\"},\"status\":{\"phase\":\"Pending\"}", false},
	    {",\"spec\":{},\"status\":{\"phase\":\"Bound\"}", false},
	    {",\"spec\":{},\"status\":{\"phase\":\"Lost\"}", false},
	    {"", false},
	};

	take(CHOICE_verb_REPLACE_POD, 0, 1, UID_B);
	answer_cluster();
	asks("GET " CORE "pods/demo-1");
	answer(200, owned("demo-1", UID_B, "", "", ""));
	CHECK(strcmp(asks("DELETE " CORE "pods/demo-1"), OPTIONS(UID_B)) == 0, "a pod, by uid");
	answer(200, "{}");
	ends(DONE, NONE, "is replaced");
	take(CHOICE_verb_REPLACE_POD, 0, 1, UID_B);
	answer_cluster();
	asks("GET " CORE "pods/demo-1");
	answer(200, owned("demo-1", UID_B, "", "",
			",\"status\":{\"conditions\":[{\"type\":\"Ready\",\"status\":\"True\"}]}"));
	ends(CONFLICT, NONE, "one that came up meanwhile stays");
	for (size_t i = 0; i < sizeof(pvcs) / sizeof(pvcs[0]); i++) {
		take(CHOICE_verb_REPLACE_PVC, 0, 1, UID_B);
		answer_cluster();
		asks("GET " CORE "persistentvolumeclaims/pgdata-demo-1");
		answer(200, owned("pgdata-demo-1", UID_B, "", "", pvcs[i].more));
		if (!pvcs[i].deleted) {
			ends(CONFLICT, NONE, "a volume that may hold data stays");
			continue;
		}
		CHECK(has(asks("DELETE " CORE "persistentvolumeclaims/pgdata-demo-1"),
			  "\"preconditions\":{\"uid\":\"" UID_B "\",\"resourceVersion\":\"55\"}"),
		    "one that was never bound goes, unless it is bound meanwhile");
		answer(409, status(409, "bound meanwhile"));
		ends(CONFLICT, NONE, "which the API server sees");
	}
	take(CHOICE_verb_REPLACE_PVC, 0, 1, UID_B);
	answer_cluster();
	asks("GET " CORE "persistentvolumeclaims/pgdata-demo-1");
	answer(200, owned("pgdata-demo-1", UID_C, "", "", pvcs[2].more));
	asks("GET " CORE "persistentvolumeclaims/pgwal-demo-1");
	answer(200, owned("pgwal-demo-1", UID_B, "", "", pvcs[0].more));
	CHECK(has(asks("DELETE " CORE "persistentvolumeclaims/pgwal-demo-1"), UID_B),
	    "the WAL's, if that is meant");
	answer(200, "{}");
	ends(DONE, NONE, "is replaced too");
}

#define READY ",\"status\":{\"conditions\":[{\"type\":\"Ready\",\"status\":\"True\"}]}"

/* A pod that serves; inputs: "" or of another template than the spec's. */
static const char *
ready_pod(const char *name, const char *role, const char *inputs)
{
	return fmt("{\"metadata\":{\"name\":\"%s\",\"namespace\":\"prod\",\"uid\":\"%s\","
		   "\"resourceVersion\":\"55\",\"labels\":{\"" LABEL_CLUSTER
		   "\":\"demo\",\"role\":\"%s\"},\"annotations\":{\"" ANNOTATION_POD_INPUTS
		   "\":\"%s\"}}" READY "}",
	    name, strcmp(name, "demo-1") == 0 ? UID_B : UID_C, role, inputs);
}

#define OLD "00000000000000ff"

/* What is asked and answered until the siblings are listed. */
static void
replace_serving(const char *sibling)
{
	take(CHOICE_verb_REPLACE_POD, 0, 1, UID_B);
	answer_cluster();
	asks("GET " CORE "pods/demo-1");
	answer(200, keep(ready_pod("demo-1", "replica", OLD)));
	asks("GET " CORE "pods?labelSelector=bestgres.io%2Fcluster%3Ddemo&limit=200");
	answer(200, keep(fmt("{\"metadata\":{\"resourceVersion\":\"9\"},\"items\":[%s,%s]}",
			keep(ready_pod("demo-1", "replica", OLD)), sibling)));
}

static void
test_replace_serving(void)
{
	replace_serving(keep(ready_pod("demo-0", "primary", OLD)));
	CHECK(strcmp(asks("DELETE " CORE "pods/demo-1"), OPTIONS(UID_B)) == 0,
	    "a replica of another template goes while all others are ready");
	answer(200, "{}");
	ends(DONE, NONE, "by uid");
	replace_serving(keep(owned("demo-0", UID_C, "", "", "")));
	ends(CONFLICT, NONE, "it stays while another is not ready");
	replace_serving(keep(owned("demo-0", UID_C, "", DELETING, READY)));
	ends(CONFLICT, NONE, "or is about to go");
	take(CHOICE_verb_REPLACE_POD, 0, 1, UID_B);
	answer_cluster();
	asks("GET " CORE "pods/demo-1");
	answer(200, keep(ready_pod("demo-1", "primary", OLD)));
	ends(CONFLICT, NONE, "the primary stays: another must be first");
	take(CHOICE_verb_REPLACE_POD, 0, 1, UID_B);
	answer_cluster();
	asks("GET " CORE "pods/demo-1");
	answer(200, keep(ready_pod("demo-1", "replica", "")));
	ends(CONFLICT, NONE, "and so does one of which nothing is known");
	for (int leads = 0; leads < 2; leads++) {
		take(CHOICE_verb_REPLACE_POD, 0, 1, UID_B);
		answer_cluster();
		asks("GET " CORE "pods/demo-1");
		answer(200, keep(fmt("{\"metadata\":{\"name\":\"demo-1\",\"namespace\":\"prod\","
				     "\"uid\":\"" UID_B "\",\"resourceVersion\":\"5\",\"labels\":{"
				     "\"" LABEL_CLUSTER "\":\"demo\",\"role\":\"primary\"}}}")));
		asks("GET " CORE "pods?labelSelector=bestgres.io%2Fcluster%3Ddemo&limit=200");
		answer(200, keep(fmt("{\"metadata\":{\"resourceVersion\":\"9\"},\"items\":[%s,%s]}",
				keep(ready_pod("demo-0", leads ? "primary" : "replica", OLD)),
				keep(ready_pod("demo-7", "primary", OLD)))));
		if (leads) {
			asks("DELETE " CORE "pods/demo-1");
			answer(200, "{}");
			ends(DONE, NONE, "a dead primary's pod goes once another one leads");
		} else {
			ends(CONFLICT, NONE, "one that bears its label stays while none does");
		}
	}
}

/* --- deletionPolicy Delete */

static void
test_commit_point(void)
{
	const char *body;

	take(CHOICE_verb_DESTROY_ANCHOR, 0, 0, NULL);
	answer_deleting("");
	ends(DENIED, NONE, "Retain keeps the data");
	take(CHOICE_verb_DESTROY_ANCHOR, 0, 0, NULL);
	answer_deleting(POLICY_DELETE);
	asks("GET " CONFIGMAPS "/demo-data");
	answer(200, anchor_json(UID_A, ""));
	body = asks("PATCH " CONFIGMAPS "/demo-data" WRITE);
	CHECK(strcmp(body, "{\"metadata\":{\"uid\":\"" ORIGIN
			   "\",\"resourceVersion\":\"55\"},\"data\":{\"state\":\"destroying\","
			   "\"destroyer\":\"" UID_A "\"}}") == 0,
	    "the anchor is marked");
	answer(200, anchor_json(UID_A, DESTROYED));
	CHECK(fake.done.anchor == CHOICE_anchor_state_DESTROYING, "and says so");
	ends(DONE, NONE, "once");
	take(CHOICE_verb_DESTROY_ANCHOR, 0, 0, NULL);
	answer_deleting(POLICY_DELETE);
	asks("GET " CONFIGMAPS "/demo-data");
	answer(200, anchor_json(UID_A, DESTROYED));
	ends(DONE, NONE, "not twice");
	take(CHOICE_verb_DESTROY_ANCHOR, 0, 0, NULL);
	answer_deleting(POLICY_DELETE);
	asks("GET " CONFIGMAPS "/demo-data");
	answer(200, anchor_json(UID_C, ""));
	ends(FOREIGN, NAME_TAKEN, "data that this cluster never adopted stays");
	take(CHOICE_verb_DESTROY_ANCHOR, 0, 0, NULL);
	answer_deleting(POLICY_DELETE);
	asks("GET " CONFIGMAPS "/demo-data");
	answer(200, anchor_json(UID_A, "\"appMade\":\"[\\\"shop\\\",\\\"shop\\\"]\""));
	ends(FOREIGN, NAME_TAKEN, "and so does data with another database than this cluster's");
	take(CHOICE_verb_DESTROY_ANCHOR, 0, 0, NULL);
	answer_deleting(POLICY_DELETE);
	asks("GET " CONFIGMAPS "/demo-data");
	answer(404, status(404, "not found"));
	CHECK(!fake.done.present, "no anchor");
	ends(DONE, NONE, "nothing to destroy");
}

static void
test_before_commit(void)
{
	static const uint8_t steps[][2] = {{CHOICE_verb_DELETE_PVCS, 0},
	    {CHOICE_verb_DELETE_CONFIGMAPS, 0}, {CHOICE_verb_DELETE, CHILD_ANCHOR}};
	static const char *const data[] = {
	    "", "\"state\":\"destroying\"", "\"state\":\"destroying\",\"destroyer\":\"" UID_C "\""};

	for (unsigned i = 0; i < 3; i++)
		for (unsigned d = 0; d < 3; d++) {
			take(steps[i][0], steps[i][1], 0, ORIGIN);
			answer_deleting(POLICY_DELETE);
			asks("GET " CONFIGMAPS "/demo-data");
			answer(200, anchor_json(UID_A, data[d]));
			ends(DENIED, NONE, "no data is deleted before this cluster's commit point");
		}
	take(CHOICE_verb_DELETE, CHILD_ANCHOR, 0, ORIGIN);
	answer_deleting(POLICY_DELETE);
	asks("GET " CONFIGMAPS "/demo-data");
	answer(200, anchor_json(UID_A, DESTROYED));
	asks("GET " CONFIGMAPS "/demo-data");
	answer(200, anchor_json(UID_A, DESTROYED));
	CHECK(strcmp(asks("DELETE " CONFIGMAPS "/demo-data"), OPTIONS(ORIGIN)) == 0,
	    "after it, the anchor goes last");
	answer(200, "{}");
	ends(DONE, NONE, "by uid");
}

static void
test_delete_pvcs(void)
{
	const char *items =
	    fmt("{\"kind\":\"PersistentVolumeClaimList\",\"apiVersion\":\"v1\",\"metadata\":{"
		"\"resourceVersion\":\"9\"},\"items\":[%s,%s,%s,%s,%s,%s]}",
		owned("pgdata-demo-0", UID_B, UID_A, "", ""),
		owned("pgdata-demo-1", UID_C, UID_A, DELETING, ""),
		owned("backup-demo-0", UID_C, UID_A, "", ""),
		owned("pgdata-demo-9-0", UID_C, UID_A, "", ""),
		"{\"metadata\":{\"name\":\"pgdata-demo-3\",\"namespace\":\"prod\",\"uid\":\"" UID_C
		"\",\"resourceVersion\":\"5\"}}",
		owned("pgdata-demo-2", ORIGIN, UID_A, "", ""));

	items = keep(items);
	take(CHOICE_verb_DELETE_PVCS, 0, 0, NULL);
	answer_deleting(POLICY_DELETE);
	asks("GET " CONFIGMAPS "/demo-data");
	answer(200, anchor_json(UID_A, DESTROYED));
	asks("GET " CORE "persistentvolumeclaims" SELECTED);
	answer(200, items);
	CHECK(strcmp(asks("DELETE " CORE "persistentvolumeclaims/pgdata-demo-0"), OPTIONS(UID_B)) ==
		  0,
	    "the first, by uid");
	answer(200, "{}");
	CHECK(strcmp(asks("DELETE " CORE "persistentvolumeclaims/pgdata-demo-2"),
		  OPTIONS(ORIGIN)) == 0,
	    "the last; what is going, or is not ours, is let be");
	answer(404, status(404, "not found"));
	CHECK(fake.done.count == 2 && fake.done.terminating, "two are still going");
	ends(DONE, NONE, "volumes are deleted");
	take(CHOICE_verb_DELETE_PVCS, 0, 0, NULL);
	answer_deleting(POLICY_DELETE);
	asks("GET " CONFIGMAPS "/demo-data");
	answer(200, anchor_json(UID_A, DESTROYED));
	asks("GET " CORE "persistentvolumeclaims" SELECTED);
	answer(
	    200, fmt("{\"kind\":\"List\",\"metadata\":{\"resourceVersion\":\"9\"},\"items\":[%s]}",
		     owned("pgwal-demo-0", UID_C, UID_A, "", "")));
	CHECK(
	    strcmp(asks("DELETE " CORE "persistentvolumeclaims/pgwal-demo-0"), OPTIONS(UID_C)) == 0,
	    "its WAL's goes too");
	answer(200, "{}");
	ends(DONE, NONE, "whatever the spec says of it");
	take(CHOICE_verb_DELETE_PVCS, 0, 0, NULL);
	answer_deleting(POLICY_DELETE);
	asks("GET " CONFIGMAPS "/demo-data");
	answer(200, anchor_json(UID_A, DESTROYED));
	asks("GET " CORE "persistentvolumeclaims" SELECTED);
	answer(200, "{\"kind\":\"List\",\"metadata\":{\"resourceVersion\":\"9\"},\"items\":[]}");
	CHECK(fake.done.count == 0, "none is left");
	ends(DONE, NONE, "and nothing is written");
}

static void
test_delete_configmaps(void)
{
	const char *scoped =
	    "{\"metadata\":{\"name\":\"demo-%s\",\"namespace\":\"prod\",\"uid\":\"" UID_B
	    "\",\"resourceVersion\":\"5\","
	    "\"labels\":{\"cluster-name\":\"demo\",\"application\":\"bestgres\"}}}";
	char text[512];

	take(CHOICE_verb_DELETE_CONFIGMAPS, 0, 0, NULL);
	answer_deleting(POLICY_DELETE);
	asks("GET " CONFIGMAPS "/demo-data");
	answer(200, anchor_json(UID_A, DESTROYED));
	asks("GET " CONFIGMAPS "/demo-config");
	snprintf(text, sizeof(text), "%.*s%s%s", (int)(strstr(scoped, "%s") - scoped), scoped,
	    "config", strstr(scoped, "%s") + 2);
	answer(200, text);
	CHECK(strcmp(asks("DELETE " CONFIGMAPS "/demo-config"), OPTIONS(UID_B)) == 0,
	    "Patroni's ConfigMap, by uid");
	answer(200, "{}");
	asks("GET " CONFIGMAPS "/demo-leader");
	answer(404, status(404, "not found"));
	asks("GET " CONFIGMAPS "/demo-failover");
	answer(404, status(404, "not found"));
	asks("GET " CONFIGMAPS "/demo-sync");
	answer(200, "{\"metadata\":{\"name\":\"demo-sync\",\"namespace\":\"prod\",\"uid\":\"" UID_B
		    "\",\"resourceVersion\":\"5\"}}");
	ends(FOREIGN, NAME_TAKEN, "one without Patroni's label is not touched");
}

/* --- ENSURE of an instance */

static void
test_ensure_instance(void)
{
	const char *body;

	for (unsigned adopted = 0; adopted < 2; adopted++) {
		take(CHOICE_verb_ENSURE, CHILD_INSTANCE, 1, NULL);
		answer_cluster();
		asks("GET " CONFIGMAPS "/demo-data");
		answer(200, anchor_json(UID_A, adopted ? "\"adopted\":\"true\"" : ""));
		body = asks("POST " OWN "bginstances" WRITE);
		CHECK(has(body, "\"name\":\"demo-1\"") &&
			  has(body, adopted ? "\"hold\":true" : "\"hold\":false"),
		    "held on adopted data only");
		answer(201, stored(body, UID_B, 4));
		ends(DONE, NONE, "an instance is made");
	}
	take(CHOICE_verb_ENSURE, CHILD_INSTANCE, 1, UID_B);
	answer_cluster();
	asks("GET " OWN "bginstances/demo-1");
	answer(200, owned("demo-1", UID_B, UID_A, "",
			",\"spec\":{\"cluster\":\"demo\",\"ordinal\":1,\"hold\":true}"));
	body = asks("PATCH " OWN "bginstances/demo-1" WRITE);
	CHECK(!has(body, "hold"), "healing one does not release it");
	answer(404, status(404, "not found"));
	ends(CONFLICT, NONE, "gone under our hands");
	take(CHOICE_verb_ENSURE, CHILD_INSTANCE, 2, NULL);
	answer_cluster();
	ends(DENIED, NONE, "the spec asks for two");
	take(CHOICE_verb_ENSURE, CHILD_INSTANCE, 0, NULL);
	answer_cluster();
	asks("GET " CONFIGMAPS "/demo-data");
	answer(200, anchor_json(UID_A, ""));
	asks("POST " OWN "bginstances" WRITE);
	answer(404, status(404, "the server could not find the requested resource"));
	ends(INVALID, CRD_OUTDATED, "no such CRD");
}

/* --- HOLD, RELEASE, UNREACHABLE */

static const char *
instance(const char *hold, const char *state)
{
	return owned("demo-1", UID_B, UID_A, "",
	    fmt(",\"spec\":{\"cluster\":\"demo\",\"ordinal\":1,\"hold\":%s}%s", hold, state));
}

static void
test_hold(void)
{
	take(CHOICE_verb_HOLD, 0, 1, NULL);
	answer_cluster();
	asks("GET " OWN "bginstances/demo-1");
	answer(200, instance("true", ""));
	ends(DONE, NONE, "held already");
	take(CHOICE_verb_HOLD, 0, 1, NULL);
	answer_cluster();
	asks("GET " OWN "bginstances/demo-1");
	answer(200, instance("false", ""));
	CHECK(strcmp(asks("PATCH " OWN "bginstances/demo-1" WRITE),
		  "{\"metadata\":{\"uid\":\"" UID_B
		  "\",\"resourceVersion\":\"55\"},\"spec\":{\"hold\":true,\"stop\":null}}") == 0,
	    "hold is patched");
	answer(200, instance("true", ""));
	ends(DONE, NONE, "and that is all");
	take(CHOICE_verb_HOLD, 0, 1, NULL);
	answer_cluster();
	asks("GET " OWN "bginstances/demo-1");
	answer(200, instance("true,\"stop\":\"PostgreSQL\"", ""));
	CHECK(has(asks("PATCH " OWN "bginstances/demo-1" WRITE), "\"hold\":true,\"stop\":null"),
	    "what is held is no longer stopped");
	answer(200, instance("true", ""));
	ends(DONE, NONE, "and that is all again");
	take(CHOICE_verb_HOLD, 0, 1, NULL);
	answer_cluster();
	asks("GET " OWN "bginstances/demo-1");
	answer(404, status(404, "not found"));
	ends(GONE, NONE, "no such instance");
	take(CHOICE_verb_HOLD, 0, 1, UID_C);
	answer_cluster();
	asks("GET " OWN "bginstances/demo-1");
	answer(200, instance("false", ""));
	ends(CONFLICT, NONE, "another one than was meant");
}

/* A user's object that does not want it stopped is refused by the policy: test_workers_policy. */
static void
test_stop(void)
{
	take(CHOICE_verb_STOP_PATRONI, 0, 1, NULL);
	answer_hibernated();
	asks("GET " OWN "bginstances/demo-1");
	answer(200, instance("false", ""));
	CHECK(has(asks("PATCH " OWN "bginstances/demo-1" WRITE),
		  "\"spec\":{\"hold\":false,\"stop\":\"Patroni\"}"),
	    "Patroni is to stop, and what is not held is not");
	answer(200, instance("false,\"stop\":\"Patroni\"", ""));
	ends(DONE, NONE, "and that is all");
	take(CHOICE_verb_STOP_POSTGRESQL, 0, 1, NULL);
	answer_hibernated();
	asks("GET " OWN "bginstances/demo-1");
	answer(200, instance("false,\"stop\":\"PostgreSQL\"", ""));
	ends(DONE, NONE, "stopped already: nothing is written");
}

static void
test_release(void)
{
	for (unsigned held = 0; held < 2; held++) {
		const char *body;

		take(CHOICE_verb_RELEASE, 0, 1, NULL);
		answer_cluster();
		asks("GET " OWN "bginstances/demo-1");
		answer(200, instance("true", ""));
		CHECK(has(asks("PATCH " OWN "bginstances/demo-1" WRITE), "\"hold\":false"),
		    "an instance is released");
		answer(200, instance("false", ""));
		asks("GET " OWN "bginstances" SELECTED);
		answer(200, fmt("{\"kind\":\"BGInstanceList\",\"metadata\":{\"resourceVersion\":"
				"\"9\"},\"items\":[%s,%s]}",
				instance("false", ""), instance(held ? "true" : "false", "")));
		if (held) {
			ends(DONE, NONE, "another one is still held: the adoption goes on");
			continue;
		}
		asks("GET " CONFIGMAPS "/demo-data");
		answer(200, anchor_json(UID_A, "\"adopted\":\"true\""));
		body = asks("PATCH " CONFIGMAPS "/demo-data" WRITE);
		CHECK(has(body, "\"data\":{\"adopted\":null,\"primary\":null,\"timeline\":null}"),
		    "it was the last: the adoption ends");
		answer(200, anchor_json(UID_A, ""));
		ends(DONE, NONE, "and that is all");
	}
	take(CHOICE_verb_RELEASE, 0, 1, NULL);
	answer_cluster();
	asks("GET " OWN "bginstances/demo-1");
	answer(200, instance("false", ""));
	asks("GET " OWN "bginstances" SELECTED);
	answer(200,
	    "{\"kind\":\"BGInstanceList\",\"metadata\":{\"resourceVersion\":\"9\"},\"items\":[]}");
	asks("GET " CONFIGMAPS "/demo-data");
	answer(200, anchor_json(UID_A, ""));
	ends(DONE, NONE, "released already: nothing is written");
}

static void
test_unreachable(void)
{
	const char *body;

	take(CHOICE_verb_UNREACHABLE, 0, 1, UID_C);
	answer_cluster();
	asks("GET " OWN "bginstances/demo-1");
	answer(200, instance("false", ",\"status\":{\"podUID\":\"" UID_C
				      "\",\"role\":\"Primary\",\"state\":\"Running\","
				      "\"conditions\":[{\"type\":\"Other\",\"status\":\"True\"},"
				      "{\"type\":\"Reachable\",\"status\":\"True\"}]}"));
	body = asks("PATCH " OWN "bginstances/demo-1/status" WRITE);
	CHECK(has(body, "\"role\":null,\"state\":null,\"conditions\":[{\"type\":\"Other\","
			"\"status\":\"True\"},{\"type\":\"Reachable\",\"status\":\"False\"") &&
		  has(body, "\"resourceVersion\":\"55\"") && has(body, "\"lastTransitionTime\":\""),
	    "role and state are cleared, the other conditions kept");
	answer(200, instance("false", ""));
	ends(DONE, NONE, "and that is all");
	take(CHOICE_verb_UNREACHABLE, 0, 1, UID_C);
	answer_cluster();
	asks("GET " OWN "bginstances/demo-1");
	answer(200, instance("false",
			",\"status\":{\"podUID\":\"" UID_C
			"\",\"conditions\":[{\"type\":\"Reachable\",\"status\":\"False\"}]}"));
	ends(DONE, NONE, "said already");
	take(CHOICE_verb_UNREACHABLE, 0, 1, UID_B);
	answer_cluster();
	asks("GET " OWN "bginstances/demo-1");
	answer(
	    200, instance("false", ",\"status\":{\"role\":\"Primary\",\"podUID\":\"" UID_A "\"}"));
	ends(CONFLICT, NONE, "the report of another pod than the lost one is not touched");
}

/* --- SWITCHOVER, RESTART, REINIT */

static void
operate(enum choice_verb verb, const char *pod, const char *more)
{
	take(verb, 0, 1, UID_C);
	answer_cluster();
	asks("GET " OWN "bginstances/demo-1");
	answer(
	    200, keep(owned("demo-1", UID_B, UID_A, "",
		     fmt(",\"spec\":{\"cluster\":\"demo\",\"ordinal\":1%s},\"status\":{\"podUID\":"
			 "\"%s\"%s}",
			 more[0] != '\0' ? ",\"operation\":{\"id\":\"" UID_A
					   "\",\"kind\":\"Switchover\",\"podUID\":\"" UID_C "\"}"
					 : "",
			 pod, more))));
}

static void
test_operate(void)
{
	const char *body;

	operate(CHOICE_verb_SWITCHOVER, UID_C, "");
	body = asks("PATCH " OWN "bginstances/demo-1" WRITE);
	CHECK(has(body, "\"metadata\":{\"uid\":\"" UID_B "\",\"resourceVersion\":\"55\"}") &&
		  has(body, "\"kind\":\"Switchover\",\"podUID\":\"" UID_C
			    "\",\"candidate\":null,\"attempt\":null,\"generation\":null}"),
	    "the pod is told, by uid, and nothing else is");
	answer(200, keep(owned("demo-1", UID_B, UID_A, "", ",\"spec\":{}")));
	ends(DONE, NONE, "once");
	operate(CHOICE_verb_SWITCHOVER, UID_C, ",\"state\":\"Running\"");
	ends(DONE, NONE, "it was told before and has not begun");
	operate(CHOICE_verb_SWITCHOVER, UID_C,
	    ",\"operation\":{\"id\":\"" UID_A "\",\"phase\":\"Running\"}");
	ends(DONE, NONE, "or not ended");
	operate(CHOICE_verb_SWITCHOVER, UID_C,
	    ",\"operation\":{\"id\":\"" UID_A "\",\"phase\":\"Failed\"}");
	CHECK(!has(asks("PATCH " OWN "bginstances/demo-1" WRITE), "\"id\":\"" UID_A "\""),
	    "after it has ended the next is another one");
	answer(409, status(409, "changed"));
	ends(CONFLICT, NONE, "unless something changed meanwhile");
	operate(CHOICE_verb_RESTART, UID_C, ",\"state\":\"Running\"");
	ends(CONFLICT, NONE, "another operation does not take the place of one under way");
	operate(CHOICE_verb_RESTART, UID_C,
	    ",\"operation\":{\"id\":\"" UID_A "\",\"phase\":\"Running\"}");
	ends(CONFLICT, NONE, "nor of one that has begun");
	operate(CHOICE_verb_RESTART, UID_C,
	    ",\"operation\":{\"id\":\"" UID_A "\",\"phase\":\"Succeeded\"}");
	CHECK(has(asks("PATCH " OWN "bginstances/demo-1" WRITE), "\"kind\":\"Restart\""),
	    "it does when that has ended");
	answer(200, keep(owned("demo-1", UID_B, UID_A, "", ",\"spec\":{}")));
	ends(DONE, NONE, "at once");
	operate(CHOICE_verb_RESTART, UID_A, "");
	ends(CONFLICT, NONE, "another pod speaks for it now");
}

#define TOLD(pod, attempt, generation)                                                             \
	"\"kind\":\"Reinit\",\"podUID\":\"" pod "\",\"candidate\":null,\"attempt\":" attempt       \
	",\"generation\":" generation

/* What was told before, how it ended, and what the instance says; take() names generation 3. */
static void
reinit(const char *told, const char *ended, const char *reason)
{
	take(CHOICE_verb_REINIT, 0, 1, UID_C);
	answer_cluster();
	asks("GET " OWN "bginstances/demo-1");
	answer(200,
	    keep(owned("demo-1", UID_B, UID_A, "",
		fmt(",\"spec\":{\"cluster\":\"demo\",\"ordinal\":1,\"operation\":{\"id\":\"" UID_A
		    "\",%s}},\"status\":{\"podUID\":\"" UID_C "\",\"reason\":\"%s\","
		    "\"operation\":{\"id\":\"" UID_A "\",\"phase\":\"%s\"}}",
		    told, reason, ended))));
}

static bool
attempt_is(const char *text)
{
	bool is = has(asks("PATCH " OWN "bginstances/demo-1" WRITE), text);

	answer(200, keep(owned("demo-1", UID_B, UID_A, "", ",\"spec\":{}")));
	ends(DONE, NONE, "told");
	return is;
}

static void
test_reinit(void)
{
	reinit("\"kind\":\"Switchover\",\"podUID\":\"" UID_C "\"", "Succeeded", "CannotFollow");
	CHECK(attempt_is("\"attempt\":1,\"generation\":3}"), "the first one");
	reinit(TOLD(UID_C, "1", "3"), "Failed", "ForeignData");
	CHECK(attempt_is("\"attempt\":2,"), "one that failed counts");
	reinit(TOLD(UID_C, "1", "3"), "Succeeded", "CannotFollow");
	CHECK(attempt_is("\"attempt\":1,"), "one that did not, not");
	reinit(TOLD(UID_A, "4", "3"), "Failed", "CannotFollow");
	CHECK(attempt_is("\"attempt\":1,"), "nor those of another pod");
	reinit(TOLD(UID_C, "4", "2"), "Failed", "CannotFollow");
	CHECK(attempt_is("\"attempt\":1,"), "or of another spec");
	reinit(TOLD(UID_C, "1", "3"), "Failed", "PatroniExited");
	ends(CONFLICT, NONE, "who does not say that it can not follow is not told");
}

int
main(void)
{
	case_init();
	test_add_finalizer();
	test_remove_finalizer();
	test_delete();
	test_delete_replies();
	test_orphan();
	test_orphan_needless();
	test_replace();
	test_replace_serving();
	test_commit_point();
	test_before_commit();
	test_delete_pvcs();
	test_delete_configmaps();
	test_ensure_instance();
	test_hold();
	test_stop();
	test_release();
	test_unreachable();
	test_operate();
	test_reinit();
	return case_done();
}
