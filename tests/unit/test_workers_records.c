/*
 * workers/records.c: from an object to a record, and what gives none. Every record made here must
 * also pass ipc_encode.
 */
#include "tests/unit/tap.h"
#include "workers/watcher.h"

#define UID "11111111-2222-3333-4444-555555555555"
#define META(name, more)                                                                           \
	"\"metadata\":{\"namespace\":\"ns\",\"name\":\"" name "\",\"uid\":\"" UID                  \
	"\",\"resourceVersion\":\"7\","                                                            \
	"\"generation\":3" more "}"
#define LABEL(cluster) ",\"labels\":{\"bestgres.io/cluster\":\"" cluster "\"}"

static struct arena arena;
static struct record record;
static struct err error;
static struct ipc_msg msg;
static uint8_t wire[IPC_MSG_MAX];

/* 0 with a record that goes onto the wire, -1 with none, -2 with one that does not. */
static int
make(enum kind kind, bool gone, const char *text)
{
	struct json j;
	struct object_meta meta = {0};
	arena_free(&arena);
	arena_init(&arena, 4u << 20);
	error = (struct err){0};
	if (json_parse(&j, str_of(text), &arena, &error) != 0 ||
	    decode_meta(&j, json_root(&j), &arena, &meta, &error) != 0)
		return -3;
	struct record_source s = {kind, "ns", &j, json_root(&j), &meta, NULL};
	int r =
	    gone ? record_gone(&s, &record, &error) : record_object(&s, &arena, &record, &error);
	if (r != 0)
		return -1;
	record_to_msg(&record, &msg);
	return ipc_encode(&msg, ROLE_WATCHER, ROLE_RECONCILER, wire, &error) > 0 ? 0 : -2;
}

#define SPEC                                                                                       \
	"\"spec\":{\"image\":\"i\",\"instances\":3,\"storage\":{\"size\":\"1Gi\"},"                \
	"\"deletionPolicy\":\"Delete\"}"

static void
test_cluster(void)
{
	CHECK(make(KIND_BGCLUSTER, false, "{" META("demo", "") "," SPEC "}") == 0,
	    "a BGCluster gives a record");
	const struct msg_rec_cluster *r = &record.rec_cluster;
	CHECK(record.type == IPC_REC_CLUSTER && strcmp(r->name, "demo") == 0 &&
		  strcmp(r->namespace, "ns") == 0,
	    "of its name");
	CHECK(r->generation == 3 && r->version == 7 && r->instances == 3 &&
		  r->deletion_policy == CHOICE_deletion_policy_DELETE && r->invalid[0] == '\0' &&
		  !r->deleting && !r->finalizer,
	    "its numbers");
	CHECK(r->status == 0 && r->primary == 0 && r->said.n == 0, "nothing was said of it");
	uint64_t scale = r->h_scale, pod = r->h_pod;
	make(KIND_BGCLUSTER, false,
	    "{" META("demo", "") ",\"spec\":{\"image\":\"i\",\"instances\":4,\"storage\":{\"size\":"
				 "\"1Gi\"},\"deletionPolicy\":\"Delete\"}}");
	CHECK(r->h_scale != scale && r->h_pod == pod,
	    "another number of instances changes the hash of its group alone");
	CHECK(
	    make(KIND_BGCLUSTER, false,
		"{" META("demo", "") ",\"spec\":{\"image\":\"i\",\"instances\":\"many\"}}") == 0 &&
		r->invalid[0] != '\0' && strstr(r->invalid, "instances") != NULL && r->h_scale == 0,
	    "a spec that can not be read gives a record that says why");
	CHECK(make(KIND_BGCLUSTER, false,
		  "{" META("a-name-that-is-longer-than-forty-five-bytes-xx", "") "," SPEC
										 "}") == -1 &&
		  error.code == ERR_INVALID,
	    "a name of 46 gives none");
	CHECK(make(KIND_BGCLUSTER, false, "{" META("a.b", "") "," SPEC "}") == -1,
	    "nor does one with a dot");
	CHECK(make(KIND_BGCLUSTER, true, "{" META("demo", "") "}") == 0 &&
		  record.type == IPC_REC_GONE && strcmp(record.rec_gone.cluster, "demo") == 0 &&
		  record.rec_gone.kind == KIND_BGCLUSTER,
	    "gone");
	CHECK(make(KIND_BGCLUSTER, false,
		  "{\"metadata\":{\"namespace\":\"other\",\"name\":\"demo\",\"uid\":\"" UID
		  "\",\"resourceVersion\":\"7\"}}") == -1,
	    "an object of another namespace gives none");
}

static void
test_said(void)
{
	const struct msg_rec_cluster *r = &record.rec_cluster;
	CHECK(make(KIND_BGCLUSTER, false,
		  "{" META("demo",
		      "") "," SPEC ",\"status\":{\"primary\":\"demo-2\",\"phase\":\"NoPrimary\","
			  "\"conditions\":[{\"type\":\"Healthy\",\"status\":\"Maybe\","
			  "\"reason\":\"AsWanted\"},{\"type\":\"Ready\",\"status\":\"False\","
			  "\"reason\":\"NoPrimary\"},{\"type\":\"Paused\",\"status\":"
			  "\"True\",\"reason\":\"OfAnotherVersion\"}]}}") == 0 &&
		  r->status != 0 && r->primary == 3,
	    "what was said of it last");
	CHECK(r->said.n == 1 && r->said.at[0].type == CHOICE_condition_type_READY &&
		  r->said.at[0].status == CHOICE_condition_status_FALSE &&
		  r->said.at[0].reason == REASON_NO_PRIMARY && r->said.at[0].text[0] == '\0',
	    "as far as it can be read");
	CHECK(make(KIND_BGCLUSTER, false,
		  "{" META("demo", "") ",\"spec\":{\"instances\":\"many\"},\"status\":{\"primary\":"
				       "\"demo-99999\",\"phase\":\"x\"}}") == 0 &&
		  r->status != 0 && r->primary == 0,
	    "of a spec that can not be read as well");
}

#define WITH_WINDOWS(windows)                                                                      \
	"{" META("demo", "") ",\"spec\":{\"image\":\"i\",\"storage\":{\"size\":\"1Gi\"},"          \
			     "\"maintenanceWindows\":" windows "}}"

static void
test_windows(void)
{
	const struct msg_rec_cluster *r = &record.rec_cluster;
	CHECK(make(KIND_BGCLUSTER, false,
		  WITH_WINDOWS("[{\"from\":\"22:30\",\"to\":\"04:00\",\"days\":[\"Saturday\"],"
			       "\"timeZone\":\"Europe/Berlin\"}]")) == 0 &&
		  r->windows.n == 1 && r->windows.at[0].from_min == 22 * 60 + 30 &&
		  r->windows.at[0].to_min == 240 &&
		  r->windows.at[0].days == 1u << CHOICE_weekday_SATURDAY &&
		  strcmp(r->windows.at[0].zone, "Europe/Berlin") == 0 && r->invalid[0] == '\0',
	    "a maintenance window");
	CHECK(make(KIND_BGCLUSTER, false,
		  WITH_WINDOWS("[{\"from\":\"22:60\",\"to\":\"04:00\"}]")) == 0 &&
		  r->windows.n == 0 &&
		  strncmp(r->invalid, "spec.maintenanceWindows[0].from: ", 33) == 0,
	    "one that can not be read makes a record that says why");
}

static void
test_children(void)
{
	static const struct {
		enum kind kind;
		enum child child;
		const char *text;
	} rows[] = {
	    {KIND_SERVICE, CHILD_SERVICE_RW, "{" META("demo-rw", LABEL("demo")) "}"},
	    {KIND_SERVICE, CHILD_SERVICE_RO, "{" META("demo-ro", LABEL("demo")) "}"},
	    {KIND_SERVICE, CHILD_SERVICE_PODS, "{" META("demo-pods", LABEL("demo")) "}"},
	    {KIND_ROLE, CHILD_ROLE, "{" META("demo-instance", LABEL("demo")) "}"},
	    {KIND_ROLEBINDING, CHILD_ROLEBINDING, "{" META("demo-instance", LABEL("demo")) "}"},
	    {KIND_SERVICEACCOUNT, CHILD_SERVICEACCOUNT,
		"{" META("demo-instance", LABEL("demo")) "}"},
	    {KIND_PDB, CHILD_PDB, "{" META("demo", LABEL("demo")) "}"},
	};
	bool all = true;
	for (unsigned i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		all = all && make(rows[i].kind, false, rows[i].text) == 0 &&
		      record.type == IPC_REC_CHILD && record.rec_child.child == rows[i].child &&
		      strcmp(record.rec_child.cluster, "demo") == 0;
	CHECK(all, "kind and name say which child it is");
	CHECK(make(KIND_SERVICE, false, "{" META("demo-other", LABEL("demo")) "}") == -1 &&
		  error.code == ERR_GONE,
	    "a name that no child has gives none, and no word");
	CHECK(make(KIND_SERVICE, false, "{" META("demo-rw", LABEL("other")) "}") == -1,
	    "nor a label of another cluster");
	CHECK(make(KIND_SERVICE, false, "{" META("demo-rw", "") "}") == -1, "nor no label");
	CHECK(make(KIND_SERVICE, false, "{" META("demo-rw", LABEL("De mo")) "}") == -1,
	    "nor a label that is no name");
	CHECK(
	    make(KIND_SERVICE, false,
		"{" META("demo-rw",
		    LABEL("demo") ",\"deletionTimestamp\":\"2026-01-01T00:00:00Z\",\"annotations\":"
				  "{\"bestgres.io/owner-uid\":\"" UID
				  "\",\"bestgres.io/inputs\":\"2:00000000000000ff\"}") "}") == 0 &&
		record.rec_child.deleting && record.rec_child.inputs_revision == 2 &&
		record.rec_child.inputs == 255 && !uid_none(&record.rec_child.owner),
	    "owner, inputs and deletion");
	CHECK(make(KIND_SERVICE, true, "{" META("demo-ro", LABEL("demo")) "}") == 0 &&
		  record.rec_gone.child == CHILD_SERVICE_RO && record.rec_gone.kind == KIND_SERVICE,
	    "gone");
}

static void
test_statefulset(void)
{
	const struct msg_rec_statefulset *r = &record.rec_statefulset;
	CHECK(
	    make(KIND_STATEFULSET, false,
		"{" META("demo",
		    LABEL(
			"demo")) ",\"spec\":{\"replicas\":3},\"status\":{\"readyReplicas\":2}}") ==
		    0 &&
		record.type == IPC_REC_STATEFULSET && r->replicas == 3 && r->ready == 2,
	    "a StatefulSet");
	CHECK(make(KIND_STATEFULSET, false,
		  "{" META("demo", LABEL("demo")) ",\"spec\":{\"replicas\":100000}}") == 0 &&
		  r->replicas == 255,
	    "more replicas than the record can say are its maximum");
	CHECK(make(KIND_STATEFULSET, false, "{" META("demo-x", LABEL("demo")) "}") == -1,
	    "another name gives none");
}

#define INSTANCE(name, cluster, ordinal, status)                                                   \
	"{" META(name, LABEL("demo")) ",\"spec\":{\"cluster\":\"" cluster                          \
				      "\",\"ordinal\":" ordinal                                    \
				      ",\"hold\":true},\"status\":{" status "}}"

static void
test_instance(void)
{
	const struct msg_rec_instance *r = &record.rec_instance;
	CHECK(make(KIND_BGINSTANCE, false,
		  INSTANCE("demo-2", "demo", "2",
		      "\"podUID\":\"" UID "\",\"systemIdentifier\":\"7300000000000000001\","
		      "\"state\":\"Held\",\"role\":\"Primary\",\"disk\":\"Full\","
		      "\"timeline\":4294967295,\"message\":\"m\"")) == 0 &&
		  record.type == IPC_REC_INSTANCE,
	    "a BGInstance");
	CHECK(r->ordinal == 2 && r->hold && !uid_none(&r->pod_uid) &&
		  r->system_identifier == 7300000000000000001u &&
		  r->state == CHOICE_instance_state_HELD &&
		  r->role == CHOICE_instance_role_PRIMARY && r->disk == CHOICE_disk_class_FULL &&
		  r->timeline == UINT32_MAX && strcmp(r->text, "m") == 0,
	    "its report");
	CHECK(make(KIND_BGINSTANCE, false, INSTANCE("demo-31", "demo", "31", "")) == 0 &&
		  r->ordinal == 31,
	    "the last ordinal");
	CHECK(make(KIND_BGINSTANCE, false, INSTANCE("demo-32", "demo", "31", "")) == -1,
	    "the one behind it gives none");
	CHECK(make(KIND_BGINSTANCE, false, INSTANCE("demo-1", "demo", "2", "")) == -1 &&
		  error.code == ERR_INVALID,
	    "an ordinal that is not the name's gives none");
	CHECK(make(KIND_BGINSTANCE, false, INSTANCE("demo-1", "other", "1", "")) == -1,
	    "nor a cluster that is not the label's");
	CHECK(make(KIND_BGINSTANCE, false, INSTANCE("demo-01", "demo", "1", "")) == -1,
	    "nor a name with a zero before");
	CHECK(make(KIND_BGINSTANCE, false,
		  INSTANCE("demo-1", "demo", "1",
		      "\"podUID\":\"junk\",\"systemIdentifier\":\"x\"")) == 0 &&
		  uid_none(&r->pod_uid) && r->system_identifier == 0,
	    "a report of junk counts as none");
	CHECK(make(KIND_BGINSTANCE, true, "{" META("demo-5", LABEL("demo")) "}") == 0 &&
		  record.rec_gone.child == CHILD_INSTANCE && record.rec_gone.ordinal == 5,
	    "gone, by its name");
}

#define POD "cccccccc-0000-4000-8000-000000000003"
static void
test_dbops(void)
{
	const struct msg_rec_dbops *r = &record.rec_dbops;

	CHECK(make(KIND_BGDBOPS, false,
		  "{" META("nightly",
		      ",\"creationTimestamp\":\"1970-01-01T00:01:00Z\",\"finalizers\":["
		      "\"" DBOPS_FINALIZER
		      "\"]") ",\"spec\":{\"cluster\":\"demo\",\"op\":\"reinit\",\"reinit\":{"
			     "\"instance\":\"demo-2\"},\"timeout\":\"1h30m\",\"maxRetries\":0,"
			     "\"ttlSecondsAfterFinished\":0,\"runAt\":\"1970-01-01T01:02:00+01:"
			     "00\"}}") == 0,
	    "a BGDbOps gives a record");
	CHECK(strcmp(r->name, "nightly") == 0 && strcmp(r->cluster, "demo") == 0 &&
		  r->op == CHOICE_dbops_op_REINIT && r->wanted == 3 && r->finalizer &&
		  r->created == 60 && r->run_at == 120 && r->timeout == 5400 && r->ttl == 1 &&
		  r->max_retries == 0 && r->phase == CHOICE_dbops_phase_NONE && r->ordinal == 0 &&
		  r->invalid[0] == '\0',
	    "of what decides");
	make(KIND_BGDBOPS, false,
	    "{" META("nightly",
		"") ",\"spec\":{\"cluster\":\"demo\",\"op\":\"restart\"},\"status\":{"
		    "\"phase\":\"Running\",\"attempt\":4,\"instance\":\"demo-0\","
		    "\"podUID\":\"" POD "\",\"startedAt\":\"1970-01-01T00:00:09Z\","
		    "\"instances\":[{\"name\":\"demo-2\",\"phase\":\"Succeeded\"},{\"name\":"
		    "\"demo-1\",\"phase\":\"Failed\"},{\"name\":\"other-1\"},{}]}}");
	CHECK(r->phase == CHOICE_dbops_phase_RUNNING && r->attempt == 4 && r->ordinal == 1 &&
		  r->started == 9 && !uid_none(&r->pod) && r->restarted == 4 &&
		  r->max_retries == 255 && r->ttl == 0,
	    "and what is claimed");
	make(KIND_BGDBOPS, false,
	    "{" META("nightly", "") ",\"spec\":{\"cluster\":\"demo\",\"op\":\"switchover\","
				    "\"switchover\":{\"candidate\":\"demo-01\"}}}");
	CHECK(r->wanted == 255, "a name that no instance has");
	make(KIND_BGDBOPS, false,
	    "{" META("nightly", "") ",\"spec\":{\"cluster\":\"demo\",\"op\":\"vacuum\",\"vacuum\":{"
				    "\"full\":true}}}");
	CHECK(r->locks, "what locks tables");
	CHECK(make(KIND_BGDBOPS, false,
		  "{" META("nightly", "") ",\"spec\":{\"cluster\":\"demo\",\"op\":\"explode\"}}") ==
		      0 &&
		  strstr(r->invalid, "spec.op") != NULL,
	    "a spec that can not be read gives a record that says why");
	make(KIND_BGDBOPS, false,
	    "{" META(
		"nightly", "") ",\"spec\":{\"cluster\":\"demo\",\"op\":\"vacuum\",\"vacuum\":{"
			       "\"databases\":[\"a\\u0001b\"]}},\"status\":{\"phase\":\"Running\","
			       "\"attempt\":4,\"instance\":\"demo-0\",\"podUID\":\"" POD "\"}}");
	CHECK(strstr(r->invalid, "spec.vacuum.databases") != NULL &&
		  r->phase == CHOICE_dbops_phase_RUNNING && r->op == CHOICE_dbops_op_VACUUM &&
		  r->attempt == 4 && r->ordinal == 1 && !uid_none(&r->pod) && r->ttl == 0,
	    "and what its status claims");
	CHECK(
	    make(KIND_BGDBOPS, false,
		"{" META("nightly", "") ",\"spec\":{\"cluster\":\"De mo\",\"op\":\"sql\"}}") == -1,
	    "none for a cluster that can not be");
	CHECK(make(KIND_BGDBOPS, true,
		  "{" META("nightly", "") ",\"spec\":{\"cluster\":\"demo\"}}") == 0 &&
		  record.type == IPC_REC_GONE && record.rec_gone.kind == KIND_BGDBOPS &&
		  strcmp(record.rec_gone.cluster, "demo") == 0,
	    "one that is gone");
}

/* The API server counts characters, PostgreSQL and we bytes. */
static void
test_characters(void)
{
	const struct msg_rec_dbops *r = &record.rec_dbops;
	char name[2 * 63 + 1] = "", text[1024];

	for (unsigned i = 0; i < 63; i++)
		memcpy(name + 2 * i, "\xc3\xa9", 2);
	snprintf(text, sizeof(text),
	    "{" META("nightly", "") ",\"spec\":{\"cluster\":\"demo\",\"op\":\"vacuum\",\"vacuum\":{"
				    "\"databases\":[\"app\",\"%s\"]}}}",
	    name);
	CHECK(make(KIND_BGDBOPS, false, text) == 0 &&
		  strcmp(r->invalid, "spec.vacuum.databases[1]: is longer than 63 bytes") == 0,
	    "63 letters of two bytes: the record names the field and its limit");
	snprintf(text, sizeof(text),
	    "{" META("nightly", "") ",\"spec\":{\"cluster\":\"demo\",\"op\":\"vacuum\",\"vacuum\":{"
				    "\"databases\":[\"%.62s\"]}}}",
	    name);
	CHECK(
	    make(KIND_BGDBOPS, false, text) == 0 && r->invalid[0] == '\0', "31 of them are a name");
}

/* Of a task for this pod only, and of its end only if it is that attempt's. */
static void
test_task(void)
{
	const struct msg_rec_instance *r = &record.rec_instance;
#define WITH_TASK(pod, attempt, more)                                                              \
	"{" META("demo-1", LABEL("demo")) ",\"spec\":{\"cluster\":\"demo\",\"ordinal\":1,"         \
					  "\"task\":{\"id\":\"" UID "\",\"attempt\":2,\"kind\":"   \
					  "\"SQL\",\"podUID\":\"" pod "\"}},\"status\":{"          \
					  "\"podUID\":\"" POD "\",\"task\":{\"id\":\"" UID         \
					  "\",\"attempt\":" attempt more "}}}"

	CHECK(make(KIND_BGINSTANCE, false,
		  WITH_TASK(POD, "2", ",\"phase\":\"Running\",\"percent\":40")) == 0 &&
		  !uid_none(&r->tasks.at[0].id) && r->tasks.at[0].attempt == 2 &&
		  r->tasks.at[0].phase == CHOICE_task_phase_RUNNING && r->tasks.at[0].percent == 40,
	    "how far it is");
	make(KIND_BGINSTANCE, false, WITH_TASK(POD, "1", ",\"phase\":\"Succeeded\""));
	CHECK(r->tasks.at[0].attempt == 2 && r->tasks.at[0].phase == CHOICE_task_phase_NONE,
	    "another attempt's end is none");
	make(KIND_BGINSTANCE, false,
	    WITH_TASK(POD, "2", ",\"phase\":\"Failed\",\"message\":\"interrupted: x\""));
	CHECK(r->tasks.at[0].phase == CHOICE_task_phase_FAILED && r->tasks.at[0].interrupted,
	    "interrupted");
	make(KIND_BGINSTANCE, false, WITH_TASK(UID, "2", ",\"phase\":\"Succeeded\""));
	CHECK(uid_none(&r->tasks.at[0].id), "an earlier pod's task is none");
}

static void
test_slots(void)
{
	const struct msg_rec_instance *r = &record.rec_instance;
#define OF_POD(kind)                                                                               \
	"{\"id\":\"" UID "\",\"attempt\":2,\"kind\":\"" kind "\",\"podUID\":\"" POD "\"}"
#define KNOWS(n) ",\"taskSlots\":" n ",\"taskSlotsPodUID\":\"" POD "\""
#define WITH_SLOTS(more, state)                                                                    \
	"{" META("demo-1", LABEL("demo")) ",\"spec\":{\"cluster\":\"demo\",\"ordinal\":1" more     \
					  "},\"status\":{\"podUID\":\"" POD "\"" state "}}"

	CHECK(make(KIND_BGINSTANCE, false,
		  WITH_SLOTS(",\"secondTask\":" OF_POD("Vacuum"),
		      KNOWS("3") ",\"secondTask\":{\"id\":\"" UID
				 "\",\"attempt\":2,\"phase\":\"Succeeded\"}")) == 0 &&
		  r->task_slots == 3 && r->tasks.n == 2 && uid_none(&r->tasks.at[0].id) &&
		  r->tasks.at[1].kind == CHOICE_task_kind_VACUUM &&
		  r->tasks.at[1].phase == CHOICE_task_phase_SUCCEEDED,
	    "a task is told with its slot and kind");
	make(KIND_BGINSTANCE, false,
	    WITH_SLOTS(",\"task\":" OF_POD("SQL") ",\"thirdTask\":" OF_POD("Analyze"), ""));
	CHECK(r->task_slots == 0 && r->tasks.n == 3 && r->tasks.at[0].attempt == 2 &&
		  r->tasks.at[2].kind == CHOICE_task_kind_ANALYZE &&
		  r->tasks.at[2].phase == CHOICE_task_phase_NONE,
	    "an agent of an older version says nothing of slots");
	make(KIND_BGINSTANCE, false, WITH_SLOTS("", KNOWS("9")));
	CHECK(r->task_slots == TASKS_MAX && r->tasks.n == 0,
	    "of one of a newer version those that we know count");
}

static void
test_operation(void)
{
	const struct msg_rec_instance *r = &record.rec_instance;
#define WITH_OPERATION(pod, id, phase, message)                                                    \
	"{" META("demo-1", LABEL("demo")) ",\"spec\":{\"cluster\":\"demo\",\"ordinal\":1,"         \
					  "\"operation\":{\"id\":\"" UID "\",\"kind\":"            \
					  "\"Failover\",\"podUID\":\"" pod "\"}},\"status\":{"     \
					  "\"podUID\":\"" POD "\",\"operation\":{\"id\":\"" id     \
					  "\",\"phase\":\"" phase "\",\"message\":\"" message      \
					  "\"}}}"

	make(KIND_BGINSTANCE, false, WITH_OPERATION(POD, UID, "Failed", "no"));
	CHECK(r->operation_phase == CHOICE_operation_phase_FAILED && !r->operation_interrupted,
	    "an operation that failed");
	make(KIND_BGINSTANCE, false, WITH_OPERATION(POD, UID, "Failed", "interrupted: x"));
	CHECK(r->operation_phase == CHOICE_operation_phase_FAILED && r->operation_interrupted,
	    "one that was interrupted");
	make(KIND_BGINSTANCE, false, WITH_OPERATION(POD, POD, "Failed", "interrupted: x"));
	CHECK(r->operation == CHOICE_operation_FAILOVER &&
		  r->operation_phase == CHOICE_operation_phase_NONE && !r->operation_interrupted,
	    "another's end is none");
	make(KIND_BGINSTANCE, false, WITH_OPERATION(UID, UID, "Failed", "interrupted: x"));
	CHECK(r->operation == CHOICE_operation_NONE && !r->operation_interrupted,
	    "an earlier pod's operation is none");
}

int
main(void)
{
	test_dbops();
	test_characters();
	test_task();
	test_slots();
	test_operation();
	test_cluster();
	test_said();
	test_windows();
	test_children();
	test_statefulset();
	test_instance();
	arena_free(&arena);
	return tap_done();
}
