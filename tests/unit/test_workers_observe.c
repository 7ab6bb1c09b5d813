/*
 * What the executor reads out of pods, volumes, the anchor and events: samples as a kubelet,
 * scheduler or controller writes them, and what none of them would.
 */
#include "workers/executor.h"

#include <stdio.h>
#include <string.h>

#include "tests/unit/tap.h"

static struct arena arena;

static bool
parse(struct json *j, const char *text)
{
	struct err e;

	arena_reset(&arena);
	if (json_parse(j, str_of(text), &arena, &e) == 0)
		return true;
	printf("# %s\n", e.text);
	return false;
}

#define META                                                                                       \
	"\"metadata\":{\"name\":\"demo-0\",\"namespace\":\"prod\",\"uid\":\"11111111-2222-3333-"   \
	"4444-555555555555\","                                                                     \
	"\"resourceVersion\":\"7\",\"labels\":{\"bestgres.io/cluster\":\"demo\"},"                 \
	"\"annotations\":{\"bestgres.io/pod-inputs\":\"00000000deadBEEF\"}}"
#define META_GOOD                                                                                  \
	"\"metadata\":{\"name\":\"demo-0\",\"namespace\":\"prod\",\"uid\":\"11111111-2222-3333-"   \
	"4444-555555555555\","                                                                     \
	"\"resourceVersion\":\"7\",\"labels\":{\"bestgres.io/cluster\":\"demo\"},"                 \
	"\"annotations\":{\"bestgres.io/pod-inputs\":\"00000000deadbeef\"}}"

static struct pod_view
pod(const char *status)
{
	struct pod_view p;
	struct json j;
	struct err e;
	char text[4096];

	snprintf(text, sizeof(text), "{" META_GOOD ",\"status\":%s}", status);
	memset(&p, 0xff, sizeof(p));
	if (!CHECK(parse(&j, text) && observe_pod(&j, &arena, &p, &e) == 0, "a pod is read"))
		memset(&p, 0, sizeof(p));
	return p;
}

static void
check_pod(const char *name, const char *status, enum choice_reason reason, const char *says)
{
	struct pod_view p = pod(status);
	bool ok = p.reason == reason && strstr(p.text, says) != NULL &&
	          charset_ok(CHARS_TEXT, str_of(p.text));

	if (!ok)
		printf("# reason %s text %s\n", choice_text(VOCAB_reason, p.reason), p.text);
	CHECK(ok, name);
}

#define WAITING(list, reason, message)                                                             \
	"{\"phase\":\"Pending\",\"conditions\":[{\"type\":\"Ready\",\"status\":\"False\"}],"       \
	"\"" list "\":[{\"name\":\"postgres\",\"ready\":false,\"restartCount\":0,\"state\":{"      \
	"\"waiting\":{\"reason\":\"" reason "\",\"message\":\"" message "\"}},\"lastState\":{}}]}"
#define UNSCHEDULED(message)                                                                       \
	"{\"phase\":\"Pending\",\"conditions\":[{\"type\":\"PodScheduled\",\"status\":\"False\","  \
	"\"reason\":\"Unschedulable\","                                                            \
	"\"message\":\"" message "\"}]}"

static void
test_waiting(void)
{
	static const struct {
		const char *why;
		enum choice_reason reason;
	} rows[] = {
	    {"ErrImagePull", REASON_IMAGE_PULL_FAILED},
	    {"ImagePullBackOff", REASON_IMAGE_PULL_FAILED},
	    {"ErrImageNeverPull", REASON_IMAGE_PULL_FAILED},
	    {"InvalidImageName", REASON_IMAGE_PULL_FAILED},
	    {"CreateContainerConfigError", REASON_CONTAINER_CONFIG_ERROR},
	    {"CreateContainerError", REASON_CONTAINER_CONFIG_ERROR},
	    {"RunContainerError", REASON_CONTAINER_CONFIG_ERROR},
	    {"CrashLoopBackOff", REASON_CRASH_LOOP},
	    {"ContainerCreating", REASON_NONE},
	    {"PodInitializing", REASON_NONE},
	};
	char text[2048];

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		for (unsigned list = 0; list < 2; list++) {
			snprintf(text, sizeof(text), WAITING("%s", "%s", "why it waits"),
			    list == 0 ? "containerStatuses" : "initContainerStatuses", rows[i].why);
			check_pod(rows[i].why, text, rows[i].reason, "");
		}
	check_pod("the image is named",
	    WAITING("containerStatuses", "ImagePullBackOff",
		"Back-off pulling image \\\"localhost/no-such-image:1\\\": ErrImagePull: not "
		"found"),
	    REASON_IMAGE_PULL_FAILED, "localhost/no-such-image:1");
	check_pod("the missing Secret is named",
	    WAITING("containerStatuses", "CreateContainerConfigError",
		"secret \\\"demo-credentials\\\" not found"),
	    REASON_CONTAINER_CONFIG_ERROR,
	    "container postgres: CreateContainerConfigError: secret \"demo-credentials\"");
}

#define CRASH(last)                                                                                \
	"{\"phase\":\"Running\",\"conditions\":[{\"type\":\"Ready\",\"status\":\"False\"}],"       \
	"\"containerStatuses\":[{\"name\":"                                                        \
	"\"postgres\",\"restartCount\":4,\"state\":{\"waiting\":{\"reason\":\"CrashLoopBackOff\"," \
	"\"message\":\"back-off 40s\"}},"                                                          \
	"\"lastState\":{" last "}}]}"

static void
test_crash_loop(void)
{
	check_pod("exit code and message of a crash",
	    CRASH("\"terminated\":{\"exitCode\":64,\"reason\":\"Error\",\"message\":\"no "
		  "patroni\\nin PATH\"}"),
	    REASON_CRASH_LOOP, "container postgres ended with code 64: no patroni in PATH");
	check_pod("without a message, the reason",
	    CRASH("\"terminated\":{\"exitCode\":137,\"reason\":\"OOMKilled\"}"), REASON_CRASH_LOOP,
	    "code 137: OOMKilled");
	check_pod("without anything", CRASH(""), REASON_CRASH_LOOP, "ends again and again");
}

static void
test_scheduling(void)
{
	check_pod("no node", UNSCHEDULED("0/1 nodes are available: 1 Insufficient cpu."),
	    REASON_UNSCHEDULABLE, "Insufficient cpu");
	check_pod("unbound volumes",
	    UNSCHEDULED("0/1 nodes are available: pod has unbound immediate "
			"PersistentVolumeClaims. not eligible"),
	    REASON_VOLUME_PENDING, "unbound");
	check_pod("a claim that is not there yet",
	    UNSCHEDULED("persistentvolumeclaim \\\"pgdata-demo-0\\\" not found"),
	    REASON_VOLUME_PENDING, "pgdata-demo-0");
	check_pod("no storage class",
	    UNSCHEDULED("storageclass.storage.k8s.io \\\"x\\\" not found"), REASON_VOLUME_PENDING,
	    "\"x\"");
	check_pod("scheduled", "{\"conditions\":[{\"type\":\"PodScheduled\",\"status\":\"True\"}]}",
	    REASON_NONE, "");
}

static void
test_phase(void)
{
	check_pod("failed",
	    "{\"phase\":\"Failed\",\"reason\":\"Evicted\",\"message\":\"The node was low on "
	    "resource: memory.\"}",
	    REASON_POD_FAILED, "Evicted: The node was low on resource");
	struct pod_view p = pod(
	    "{\"phase\":\"Running\",\"conditions\":[{\"type\":\"Ready\",\"status\":\"True\"}]}");
	CHECK(
	    p.ready && p.reason == REASON_NONE && p.inputs == 0xdeadbeef, "ready, with its inputs");
	CHECK(!p.meta.deleting && str_is(p.meta.cluster, "demo"), "and its metadata");
	p = pod("{}");
	CHECK(!p.ready && p.reason == REASON_NONE, "a pod of which nothing is known");
}

/* What no kubelet writes, and a taken-over one may. */
static void
test_hostile_pods(void)
{
	static char big[400000];
	struct pod_view p;
	struct json j;
	size_t n;

	check_pod("lists that are none",
	    "{\"conditions\":7,\"containerStatuses\":\"x\",\"initContainerStatuses\":{\"a\":1}}",
	    REASON_NONE, "");
	check_pod("elements that are none",
	    "{\"conditions\":[null,1,\"a\",[]],\"containerStatuses\":[null,{\"state\":5}]}",
	    REASON_NONE, "");
	check_pod("control characters",
	    WAITING("containerStatuses", "ErrImagePull", "a\\u0001b\\u0007c\\u001b[31m"),
	    REASON_IMAGE_PULL_FAILED, "a");
	n = (size_t)snprintf(big, sizeof(big),
	    "{" META ",\"status\":{\"containerStatuses\":[{\"name\":\"x\",\"state\":"
	    "{\"waiting\":{\"reason\":\"ErrImagePull\",\"message\":\"");
	for (unsigned i = 0; i < 100000; i++)
		n += (size_t)snprintf(big + n, sizeof(big) - n, "\xc3\xa9");
	snprintf(big + n, sizeof(big) - n, "\"}}}]}}");
	CHECK(parse(&j, big) && observe_pod(&j, &arena, &p, NULL) == 0, "200 KB of message");
	CHECK(p.reason == REASON_IMAGE_PULL_FAILED && strlen(p.text) <= IPC_TEXT_MAX &&
		  utf8_valid(str_of(p.text)),
	    "stay bounded");
	CHECK(p.inputs == 0, "an upper-case hash is none");
	n = (size_t)snprintf(big, sizeof(big), "{" META ",\"status\":{\"containerStatuses\":[");
	for (unsigned i = 0; i < 500; i++)
		n += (size_t)snprintf(big + n, sizeof(big) - n, "{\"name\":\"c\"},");
	snprintf(
	    big + n, sizeof(big) - n, "{\"state\":{\"waiting\":{\"reason\":\"ErrImagePull\"}}}]}}");
	CHECK(parse(&j, big) && observe_pod(&j, &arena, &p, NULL) == 0 && p.reason == REASON_NONE,
	    "500 containers are not all looked at");
	CHECK(parse(&j, "{\"metadata\":7}") && observe_pod(&j, &arena, &p, NULL) == -1,
	    "no metadata");
}

/* --- Volumes */

static struct pvc_view
pvc(const char *spec, const char *phase)
{
	struct pvc_view p;
	struct json j;
	char text[1024];

	snprintf(text, sizeof(text), "{" META ",\"spec\":{%s},\"status\":{\"phase\":\"%s\"}}", spec,
	    phase);
	CHECK(parse(&j, text) && observe_pvc(&j, &arena, &p, NULL) == 0, "a PVC is read");
	return p;
}

static void
test_pvcs(void)
{
	struct bgcluster c = {.storage_size = STR("1Gi"), .storage_class = STR("fast")};
	struct pvc_view p = pvc("\"resources\":{\"requests\":{\"storage\":\"1024Mi\"}},"
				"\"storageClassName\":\"fast\",\"volumeName\":\"pv1\"",
	    "Bound");
	enum claim claim;

	CHECK(p.bound && p.volume && !p.pending && observe_pvc_matches(&p, CLAIM_OF_DATA, &c),
	    "bound, and as wanted by value");
	c.storage_class = STR("slow");
	CHECK(!observe_pvc_matches(&p, CLAIM_OF_DATA, &c), "another class");
	c.storage_class = STR("");
	CHECK(observe_pvc_matches(&p, CLAIM_OF_DATA, &c), "any class, without a mark");
	p.inputs = 7;
	CHECK(!observe_pvc_matches(&p, CLAIM_OF_DATA, &c), "any class, made for another spec");
	c.hash[GROUP_STORAGE] = 7;
	CHECK(observe_pvc_matches(&p, CLAIM_OF_DATA, &c), "any class, made for this one");
	c.storage_size = STR("2Gi");
	CHECK(!observe_pvc_matches(&p, CLAIM_OF_DATA, &c), "another size");
	c.wal_size = STR("1Gi");
	c.wal_class = STR("fast");
	CHECK(observe_pvc_matches(&p, CLAIM_OF_WAL, &c), "the WAL's by its own rows");
	c.wal_class = STR("slow");
	CHECK(!observe_pvc_matches(&p, CLAIM_OF_WAL, &c), "(both of them)");
	CHECK(!p.resize_pending && !p.resize_failed && p.capacity.len == 0, "no word of a resize");
	p = pvc("",
	    "Bound\",\"capacity\":{\"storage\":\"3Gi\"},\"conditions\":[{\"type\":"
	    "\"FileSystemResizePending\",\"status\":\"True\"},{\"type\":\"NodeResizeError\","
	    "\"status\":\"False\"}],\"more\":\"");
	CHECK(str_is(p.capacity, "3Gi") && p.resize_pending && !p.resize_failed,
	    "its file system is still to follow");
	p = pvc("", "Bound\",\"conditions\":[{\"type\":\"ControllerResizeError\",\"status\":"
		    "\"True\",\"message\":\"no space\"}],\"more\":\"");
	CHECK(p.resize_failed && str_is(p.resize_text, "no space"), "a resize that failed");
	p = pvc("", "Bound\",\"allocatedResourceStatuses\":{\"storage\":"
		    "\"NodeResizeInfeasible\"},\"more\":\"");
	CHECK(p.resize_failed && str_is(p.resize_text, "NodeResizeInfeasible"),
	    "or never can be done");
	p = pvc("\"storageClassName\":\"none\"", "Pending");
	CHECK(p.pending && !p.bound && !p.volume && !observe_pvc_matches(&p, CLAIM_OF_DATA, &c),
	    "pending, without a size");
	CHECK(observe_pvc_ordinal(STR("pgdata-demo-0"), "demo", &claim) == 0, "the volume of 0");
	CHECK(claim == CLAIM_OF_DATA &&
		  observe_pvc_ordinal(STR("pgwal-demo-7"), "demo", &claim) == 7 &&
		  claim == CLAIM_OF_WAL,
	    "its WAL's");
	CHECK(observe_pvc_ordinal(STR("pgdata-demo-31"), "demo", &claim) == 31, "of 31");
	CHECK(
	    observe_pvc_ordinal(STR("pgdata-demo-32"), "demo", &claim) == -1, "no instance has 32");
	CHECK(observe_pvc_ordinal(STR("pgdata-demo-01"), "demo", &claim) == -1, "nor 01");
	CHECK(observe_pvc_ordinal(STR("pgdata-demo-1-0"), "demo", &claim) == -1,
	    "cluster demo-1's is another's");
	CHECK(observe_pvc_ordinal(STR("pgdata-demo-"), "demo", &claim) == -1, "no ordinal");
}

/* --- Anchor, namespace, instance */

static void
test_anchor(void)
{
	struct anchor_view v;
	struct json j;

	CHECK(parse(&j, "{" META "}") && observe_anchor(&j, "demo", &arena, &v, NULL) == 0,
	    "an anchor without data");
	CHECK(!v.destroying && !v.adopted && !v.credentials_made && !v.app_made &&
		  uid_none(&v.destroyer),
	    "says nothing");
	CHECK(parse(&j,
		  "{" META ",\"data\":{\"state\":\"destroying\",\"destroyer\":\"11111111-2222-3333-"
		  "4444-555555555555\","
		  "\"adopted\":\"true\",\"credentialsMade\":\"true\",\"appMade\":\"\"}}") &&
		  observe_anchor(&j, "demo", &arena, &v, NULL) == 0,
	    "one with data");
	CHECK(v.destroying && v.adopted && v.credentials_made && !v.app_made &&
		  uid_eq(&v.destroyer, &v.meta.uid),
	    "says it");
	CHECK(parse(&j,
		  "{" META ",\"data\":{\"state\":true,\"destroyer\":\"nobody\",\"adopted\":1}}") &&
		  observe_anchor(&j, "demo", &arena, &v, NULL) == 0 && !v.destroying &&
		  !v.adopted && uid_none(&v.destroyer),
	    "one with nonsense");
}

static void
test_namespace(void)
{
	struct json j;

	CHECK(
	    parse(&j, "{\"status\":{\"phase\":\"Active\"}}") && !observe_namespace_terminating(&j),
	    "an active namespace");
	CHECK(parse(&j, "{\"status\":{\"phase\":\"Terminating\"}}") &&
		  observe_namespace_terminating(&j),
	    "a terminating one");
	CHECK(parse(&j, "{\"metadata\":{\"deletionTimestamp\":\"2026-11-23T09:51:00Z\"}}") &&
		  observe_namespace_terminating(&j),
	    "one that is told to end");
}

static void
test_unreachable(void)
{
	struct bginstance i = {.role = CHOICE_instance_role_NONE};
	struct json j;

	CHECK(
	    parse(&j,
		"{\"status\":{\"conditions\":[{\"type\":\"Reachable\",\"status\":\"False\"}]}}") &&
		observe_unreachable(&j, &i),
	    "marked already");
	i.role = CHOICE_instance_role_PRIMARY;
	CHECK(!observe_unreachable(&j, &i), "but still primary");
	i.role = CHOICE_instance_role_NONE;
	CHECK(parse(&j,
		  "{\"status\":{\"conditions\":[{\"type\":\"Reachable\",\"status\":\"True\"}]}}") &&
		  !observe_unreachable(&j, &i),
	    "reachable");
}

/* --- Events */

static void
offer(struct event_view *best, const char *event, const char *needle)
{
	struct json j;

	if (CHECK(parse(&j, event), "an event is read"))
		observe_event(&j, json_root(&j), needle, "2026-11-23T09:00:00Z", &arena, best);
}

static void
test_events(void)
{
	struct event_view best = {.last = ""};

	offer(&best, "{\"message\":\"old\",\"lastTimestamp\":\"2026-11-23T08:59:59Z\"}", NULL);
	CHECK(best.text[0] == '\0', "an event that is over");
	offer(&best, "{\"message\":\"a\",\"lastTimestamp\":\"2026-11-23T09:10:00Z\"}", NULL);
	CHECK(strcmp(best.text, "a") == 0, "one that is not");
	offer(&best, "{\"message\":\"b\",\"lastTimestamp\":\"2026-11-23T09:05:00Z\"}", NULL);
	CHECK(strcmp(best.text, "a") == 0, "an older one");
	offer(&best,
	    "{\"message\":\"c\",\"lastTimestamp\":null,\"eventTime\":\"2026-11-23T09:20:00."
	    "123456Z\"}",
	    NULL);
	CHECK(strcmp(best.text, "c") == 0, "a newer one, of the newer kind");
	offer(&best,
	    "{\"message\":\"d\",\"eventTime\":\"2026-11-23T09:00:00Z\",\"series\":{"
	    "\"lastObservedTime\":\"2026-11-23T09:30:00Z\"}}",
	    NULL);
	CHECK(strcmp(best.text, "d") == 0, "a series");
	offer(&best,
	    "{\"message\":\"create Pod demo-10 in StatefulSet demo "
	    "failed\",\"lastTimestamp\":\"2026-11-23T09:40:00Z\"}",
	    " Pod demo-1 in ");
	CHECK(strcmp(best.text, "d") == 0, "another pod's");
	offer(&best,
	    "{\"message\":\"create Pod demo-1 in StatefulSet demo "
	    "failed\",\"lastTimestamp\":\"2026-11-23T09:41:00Z\"}",
	    " Pod demo-1 in ");
	CHECK(strstr(best.text, "demo-1 in") != NULL, "this pod's");
	offer(&best, "{\"message\":7,\"lastTimestamp\":\"2026-11-23T09:50:00Z\"}", NULL);
	offer(&best, "{\"message\":\"e\",\"lastTimestamp\":\"soon\"}", NULL);
	offer(&best, "{\"message\":\"f\"}", NULL);
	CHECK(strstr(best.text, "demo-1 in") != NULL, "nonsense");
}

int
main(void)
{
	arena_init(&arena, STEP_ARENA_MAX);
	test_waiting();
	test_crash_loop();
	test_scheduling();
	test_phase();
	test_hostile_pods();
	test_pvcs();
	test_anchor();
	test_namespace();
	test_unreachable();
	test_events();
	arena_free(&arena);
	return tap_done();
}
