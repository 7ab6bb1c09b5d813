/*
 * Steps on a BGDbOps: the claim stands in its status before a pod is told, nothing is told or
 * claimed twice, and what is told comes from the object.
 */
#include "tests/unit/executor_case.h"

#define OP "dddddddd-0000-4000-8000-000000000005" /* the BGDbOps' */
#define POD UID_C
#define GET_OP "GET " OWN "bgdbops/nightly"
#define STATUS "PATCH " OWN "bgdbops/nightly/status" WRITE
#define GET_I "GET " OWN "bginstances/demo-1"
#define TELL_I "PATCH " OWN "bginstances/demo-1" WRITE
#define EVENT "POST " CORE "events" WRITE
#define VACUUM "\"op\":\"vacuum\",\"vacuum\":{\"full\":true,\"databases\":[\"a\\\"; drop\"]}"
#define CLAIM                                                                                      \
	"\"phase\":\"Running\",\"attempt\":1,\"instance\":\"demo-1\",\"podUID\":\"" POD            \
	"\",\"instanceUID\":\"" UID_B "\""
#define WITH_FINALIZER ",\"finalizers\":[\"" DBOPS_FINALIZER "\",\"other/one\"]"

static struct msg_step_dbops ask;

static void
begin(enum choice_verb verb)
{
	ask = (struct msg_step_dbops){.id = 7,
	    .verb = (uint8_t)verb,
	    .namespace = "prod",
	    .cluster = "demo",
	    .name = "nightly",
	    .uid = uid_of(OP),
	    .generation = 2,
	    .ordinal = 1,
	    .target = uid_of(POD),
	    .attempt = 1};
}

static void
go(void)
{
	struct ipc_msg m = {.type = IPC_STEP_DBOPS, .fds = {-1, -1}};

	m.step_dbops = ask;
	memset(&fake.done, 0, sizeof(fake.done));
	executor_take(&x, &m);
}

static const char *
dbops(const char *meta, const char *spec, const char *state, unsigned version)
{
	return keep(fmt("{\"apiVersion\":\"bestgres.io/v1\",\"kind\":\"BGDbOps\",\"metadata\":{"
			"\"name\":\"nightly\",\"namespace\":\"prod\",\"uid\":\"" OP
			"\",\"generation\":2,\"resourceVersion\":\"%u\"%s},\"spec\":{\"cluster\":"
			"\"demo\",%s},\"status\":{%s}}",
	    version, meta, spec, state));
}

static const char *
instance(const char *spec, const char *state)
{
	return keep(owned("demo-1", UID_B, UID_A, "",
	    fmt(",\"spec\":{\"cluster\":\"demo\",\"ordinal\":1%s},\"status\":{\"podUID\":\"" POD
		"\",\"systemIdentifier\":\"7777\"%s}",
		spec, state)));
}
#define TASK                                                                                       \
	",\"task\":{\"id\":\"" OP "\",\"attempt\":1,\"podUID\":\"" POD "\",\"kind\":\"Vacuum\"}"

static void
test_tell(void)
{
	struct uid instance_uid = uid_of(UID_B);
	const char *body;

	begin(CHOICE_verb_DBOPS_TELL);
	go();
	asks(GET_OP);
	answer(200, dbops(",\"finalizers\":[\"other/one\"]", VACUUM, "", 10));
	asks(CR);
	answer(200, keep(cluster_json(FINALIZED, "")));
	asks(GET_I);
	answer(200, instance("", ""));
	body = asks("PATCH " OWN "bgdbops/nightly" WRITE);
	CHECK(strcmp(body, "{\"metadata\":{\"uid\":\"" OP
			   "\",\"resourceVersion\":\"10\",\"finalizers\":[\"other/one\","
			   "\"" DBOPS_FINALIZER "\"]}}") == 0,
	    "the finalizer is first");
	answer(200, dbops(WITH_FINALIZER, VACUUM, "", 11));
	body = asks(STATUS);
	CHECK(has(body, "\"resourceVersion\":\"11\"") && has(body, "\"phase\":\"Running\"") &&
		  has(body, "\"attempt\":1") && has(body, "\"podUID\":\"" POD "\"") &&
		  has(body, "\"instanceUID\":\"" UID_B "\"") &&
		  has(body, "\"instance\":\"demo-1\"") && has(body, "\"startedAt\":\"2"),
	    "then the claim");
	CHECK(has(body, "\"type\":\"Running\",\"status\":\"True\"") &&
		  has(body, "\"type\":\"Completed\",\"status\":\"False\""),
	    "with conditions");
	answer(200, dbops(WITH_FINALIZER, VACUUM, CLAIM, 12));
	body = asks(TELL_I);
	CHECK(has(body, "\"metadata\":{\"uid\":\"" UID_B "\",\"resourceVersion\":\"55\"}") &&
		  has(body, "\"id\":\"" OP "\",\"attempt\":1,\"podUID\":\"" POD
			    "\",\"kind\":\"Vacuum\"") &&
		  has(body, "\"full\":true") && has(body, "\"databases\":[\"a\\\"; drop\"]") &&
		  has(body, "\"cancel\":null") && has(body, "\"scriptKey\":null"),
	    "then its pod is told, by uid");
	answer(200, instance(TASK, ""));
	CHECK(has(asks(EVENT), "\"reason\":\"Started\""), "and at last it is said");
	answer(201, "{}");
	CHECK(fake.done.dbops_version == 12 && fake.done.version == 55 &&
		  uid_eq(&fake.done.child_uid, &instance_uid),
	    "both versions are told");
	ends(DONE, NONE, "that is all");
}

static void
tell(const char *spec, const char *state)
{
	begin(CHOICE_verb_DBOPS_TELL);
	go();
	asks(GET_OP);
	answer(200, dbops(WITH_FINALIZER, spec, state, 12));
}

static void
test_told_once(void)
{
	tell(VACUUM, CLAIM);
	asks(CR);
	answer(200, keep(cluster_json(FINALIZED, "")));
	asks(GET_I);
	answer(200, instance(TASK, ""));
	ends(DONE, NONE, "claimed and told: nothing is written");
	tell(VACUUM, CLAIM);
	asks(CR);
	answer(200, keep(cluster_json(FINALIZED, "")));
	asks(GET_I);
	answer(200, instance("", ""));
	asks(TELL_I);
	answer(200, instance(TASK, ""));
	ends(DONE, NONE, "claimed but not told: that is made up for");
	tell(VACUUM, "\"phase\":\"Succeeded\",\"attempt\":1");
	ends(CONFLICT, NONE, "what has ended is not begun");
	tell(VACUUM, "\"phase\":\"Running\",\"attempt\":1,\"instance\":\"demo-0\",\"podUID\":"
		     "\"" UID_A "\"");
	ends(CONFLICT, NONE, "nor what runs elsewhere");
	begin(CHOICE_verb_DBOPS_TELL);
	ask.attempt = 2;
	go();
	asks(GET_OP);
	answer(200, dbops(WITH_FINALIZER,
			"\"op\":\"sql\",\"sql\":{\"script\":{\"configMap\":\"m\",\"key\":\"k\"}}",
			"\"phase\":\"Pending\",\"attempt\":1,\"retries\":1", 12));
	ends(CONFLICT, NONE, "a script is not begun twice, whoever orders it");
	tell(VACUUM, "");
	asks(CR);
	answer(200, keep(cluster_json(FINALIZED, "")));
	asks(GET_I);
	answer(200, instance(",\"task\":{\"id\":\"" UID_A "\",\"attempt\":1,\"podUID\":\"" POD
			     "\",\"kind\":\"SQL\"}",
			""));
	ends(CONFLICT, NONE, "a pod that does something else is not told");
	tell(VACUUM, "");
	asks(CR);
	answer(200, keep(cluster_json(FINALIZED, ",\"hibernated\":true")));
	ends(CONFLICT, NONE, "nor one of a cluster that is to rest");
	tell("\"op\":\"failover\",\"failover\":{\"systemIdentifier\":\"7778\"}", "");
	asks(CR);
	answer(200, keep(cluster_json(FINALIZED, "")));
	asks(GET_I);
	answer(200, instance("", ""));
	ends(INVALID, NONE, "a failover of another system is refused here too");
	begin(CHOICE_verb_DBOPS_TELL);
	ask.generation = 1;
	go();
	asks(GET_OP);
	answer(200, dbops("", VACUUM, "", 12));
	ends(CONFLICT, NONE, "another generation was planned");
}

static void
test_finish(void)
{
	const char *body;

	begin(CHOICE_verb_DBOPS_FINISH);
	ask.phase = CHOICE_dbops_phase_SUCCEEDED;
	go();
	asks(GET_OP);
	answer(200, dbops(WITH_FINALIZER, VACUUM, CLAIM, 12));
	asks(GET_I);
	answer(200, instance(TASK, ",\"task\":{\"id\":\"" OP
				   "\",\"attempt\":1,\"phase\":\"Succeeded\",\"sizeBefore\":20,"
				   "\"sizeAfter\":10,\"output\":\"\"}"));
	CHECK(has(asks(EVENT), "\"reason\":\"Succeeded\""), "it is said");
	answer(201, "{}");
	body = asks(STATUS);
	CHECK(has(body, "\"phase\":\"Succeeded\"") && has(body, "\"percent\":100") &&
		  has(body, "\"results\":{\"sizeBefore\":20,\"sizeAfter\":10}") &&
		  has(body, "\"type\":\"Completed\",\"status\":\"True\",\"reason\":\"Succeeded\""),
	    "results are the pod's");
	answer(200, dbops(WITH_FINALIZER, VACUUM, "", 13));
	ends(DONE, NONE, "once");
	begin(CHOICE_verb_DBOPS_FINISH);
	ask.phase = CHOICE_dbops_phase_FAILED;
	go();
	asks(GET_OP);
	answer(
	    200, dbops(WITH_FINALIZER,
		     VACUUM ",\"schedule\":{\"cron\":\"0 * * * *\",\"historyLimit\":2}",
		     CLAIM ",\"history\":[{\"phase\":\"Succeeded\"},{\"phase\":\"Failed\"}]", 12));
	asks(GET_I);
	answer(200, instance(TASK, ",\"task\":{\"id\":\"" OP
				   "\",\"attempt\":1,\"phase\":\"Failed\",\"message\":\"no such "
				   "table\",\"output\":\"ERROR:  x\\n\"}"));
	asks(EVENT);
	answer(403, status(403, "forbidden"));
	body = asks(STATUS);
	CHECK(has(body, "\"phase\":\"Scheduled\"") && has(body, "\"message\":\"no such table\"") &&
		  has(body, "\"output\":\"ERROR:  x\\n\"") &&
		  has(body, "\"phase\":\"Failed\",\"retries\":0,\"message\":\"no such table\"},"
			    "{\"phase\":\"Succeeded\"}]") &&
		  has(body, "\"type\":\"Failed\",\"status\":\"True\""),
	    "a schedule goes on, and keeps as much history as it is told");
	answer(409, status(409, "changed"));
	ends(CONFLICT, NONE, "unless something changed meanwhile");
	begin(CHOICE_verb_DBOPS_FINISH);
	ask.phase = CHOICE_dbops_phase_FAILED;
	go();
	asks(GET_OP);
	answer(200, dbops(WITH_FINALIZER, VACUUM, "\"phase\":\"Cancelled\",\"attempt\":1", 12));
	ends(CONFLICT, NONE, "what has ended does not end again");
}

/* Killed when it had written the end: the next life orders it once more. */
static void
test_schedule_ends_once(void)
{
	const char *restart = "\"op\":\"restart\",\"schedule\":{\"cron\":\"0 * * * *\"}";

	begin(CHOICE_verb_DBOPS_FINISH);
	ask.phase = CHOICE_dbops_phase_SUCCEEDED;
	go();
	asks(GET_OP);
	answer(200, dbops(WITH_FINALIZER, restart,
			"\"phase\":\"Scheduled\",\"attempt\":1,"
			"\"finishedAt\":\"2026-01-01T01:30:00Z\","
			"\"nextRun\":\"2099-01-01T00:00:00Z\"",
			12));
	ends(CONFLICT, NONE, "a run whose next time is still to come has ended");
	go();
	asks(GET_OP);
	answer(200, dbops(WITH_FINALIZER, restart,
			"\"phase\":\"Scheduled\",\"attempt\":1,"
			"\"finishedAt\":\"2026-01-01T01:30:00Z\","
			"\"nextRun\":\"2026-01-01T01:00:00Z\"",
			12));
	ends(CONFLICT, NONE, "so has one that was longer than its period");
	go();
	asks(GET_OP);
	answer(200, dbops(WITH_FINALIZER, restart,
			"\"phase\":\"Scheduled\",\"attempt\":1,"
			"\"finishedAt\":\"2026-01-01T00:30:00Z\","
			"\"nextRun\":\"2026-01-01T01:00:00Z\"",
			12));
	CHECK(has(asks(EVENT), "\"reason\":\"Succeeded\""),
	    "a time that came since may end without a server that is due");
	answer(201, "{}");
	asks(STATUS);
	answer(200, dbops(WITH_FINALIZER, restart, "", 13));
	ends(DONE, NONE, "once");
}

/* The run of that attempt ends, as its status was before; what its Event was called. */
static const char *
event_of_end(const char *state)
{
	const char *body, *name;

	begin(CHOICE_verb_DBOPS_FINISH);
	ask.phase = CHOICE_dbops_phase_FAILED;
	go();
	asks(GET_OP);
	answer(200, dbops(WITH_FINALIZER, VACUUM, state, 12));
	asks(GET_I);
	answer(200, instance(TASK, ""));
	body = asks(EVENT);
	name = strstr(body, "\"name\":\"nightly.");
	return keep(fmt("%.*s", name != NULL ? 34 : 0, name != NULL ? name : ""));
}

static void
test_end_is_told(void)
{
	const char *first = event_of_end(CLAIM ",\"startedAt\":\"2026-01-01T00:00:00Z\"");
	const char *second;

	answer_lost();
	asks(STATUS);
	answer(200, dbops(WITH_FINALIZER, VACUUM, "", 13));
	ends(DONE, NONE, "an Event that is not answered does not keep a run from ending");
	second = event_of_end(CLAIM ",\"startedAt\":\"2026-01-01T00:00:00Z\"");
	CHECK(first[0] != '\0' && strcmp(first, second) == 0,
	    "killed in between: another life tells it under the same name");
	answer(409, status(409, "already exists"));
	asks(STATUS);
	answer(200, dbops(WITH_FINALIZER, VACUUM, "", 13));
	ends(DONE, NONE, "which is there already, and so it is told once");
	second = event_of_end(CLAIM ",\"startedAt\":\"2026-01-02T00:00:00Z\"");
	CHECK(strcmp(first, second) != 0, "the end of the next run is another one");
	answer(201, "{}");
	asks(STATUS);
	answer(200, dbops(WITH_FINALIZER, VACUUM, "", 13));
	ends(DONE, NONE, "with its own Event");
}

static void
test_say(void)
{
	const char *body;

	begin(CHOICE_verb_DBOPS_SAY);
	ask.phase = CHOICE_dbops_phase_WAITING;
	snprintf(ask.text, sizeof(ask.text), "waits for BGDbOps other");
	go();
	asks(GET_OP);
	answer(200, dbops("", VACUUM, "", 12));
	body = asks(STATUS);
	CHECK(has(body, "\"phase\":\"Waiting\",\"message\":\"waits for BGDbOps other\"") &&
		  has(body, "\"observedGeneration\":2"),
	    "what it waits for");
	answer(200, dbops("", VACUUM, "", 13));
	ends(DONE, NONE, "is said");
	go();
	asks(GET_OP);
	answer(200, dbops("", VACUUM,
			"\"phase\":\"Waiting\",\"message\":\"waits for BGDbOps other\","
			"\"observedGeneration\":2",
			13));
	ends(DONE, NONE, "once");
	go();
	asks(GET_OP);
	answer(200, dbops("", VACUUM, CLAIM, 13));
	ends(CONFLICT, NONE, "and not of what has begun");
}

static void
test_end_of_the_object(void)
{
	begin(CHOICE_verb_DBOPS_CANCEL);
	go();
	asks(GET_OP);
	answer(200, dbops(WITH_FINALIZER, VACUUM, CLAIM, 12));
	asks(GET_I);
	answer(200, instance(TASK, ""));
	CHECK(has(asks(TELL_I), "\"spec\":{\"task\":{\"cancel\":true}}"),
	    "its pod is told to end it");
	answer(200, instance(TASK, ""));
	ends(DONE, NONE, "and no more");
	begin(CHOICE_verb_DBOPS_RELEASE);
	go();
	asks(GET_OP);
	answer(200, dbops(WITH_FINALIZER, VACUUM, "", 12));
	CHECK(has(asks("PATCH " OWN "bgdbops/nightly" WRITE), "\"finalizers\":[\"other/one\"]"),
	    "our finalizer goes, others stay");
	answer(404, status(404, "gone"));
	ends(GONE, NONE, "and the object with it");
	begin(CHOICE_verb_DBOPS_DELETE);
	go();
	asks(GET_OP);
	answer(200, dbops("", VACUUM ",\"ttlSecondsAfterFinished\":5",
			"\"phase\":\"Succeeded\",\"finishedAt\":\"2020-01-01T00:00:00Z\"", 12));
	CHECK(has(asks("DELETE " OWN "bgdbops/nightly"), "\"uid\":\"" OP "\""), "it is deleted");
	answer(200, "{}");
	ends(DONE, NONE, "after its time");
	go();
	asks(GET_OP);
	answer(200, dbops("", VACUUM ",\"ttlSecondsAfterFinished\":500",
			"\"phase\":\"Succeeded\",\"finishedAt\":\"2099-01-01T00:00:00Z\"", 12));
	ends(CONFLICT, NONE, "not before");
	go();
	asks(GET_OP);
	answer(200, dbops("", VACUUM, "\"phase\":\"Running\"", 12));
	ends(CONFLICT, NONE, "nor what runs, nor what has no such time");
}

static void
test_servers(void)
{
	const char *restart = "\"op\":\"restart\"", *body;

	begin(CHOICE_verb_DBOPS_NEXT);
	ask.due = 1u << 2 | 1u << 3;
	go();
	asks(GET_OP);
	answer(
	    200, dbops(WITH_FINALIZER, restart,
		     CLAIM ",\"step\":\"restarts "
			   "demo-1\",\"instances\":[{\"name\":\"demo-0\",\"phase\":\"Succeeded\"},"
			   "{\"name\":\"demo-1\",\"phase\":\"Running\"},"
			   "{\"name\":\"demo-4\",\"phase\":\"Pending\"}],"
			   "\"results\":{\"outageMs\":50}",
		     12));
	asks(GET_I);
	answer(200, instance("", ""));
	body = asks(STATUS);
	CHECK(has(body, "\"instances\":[{\"name\":\"demo-0\",\"phase\":\"Succeeded\"},{\"name\":"
			"\"demo-1\",\"phase\":\"Succeeded\"") &&
		  has(body, "},{\"name\":\"demo-2\",\"phase\":\"Pending\"},{\"name\":\"demo-3\","
			    "\"phase\":\"Pending\"}]") &&
		  has(body, "\"step\":null,\"percent\":50") &&
		  has(body, "\"results\":{\"restarted\":2,\"outageMs\":50}") &&
		  has(body, "\"instance\":null"),
	    "one server after the other");
	answer(200, dbops(WITH_FINALIZER, restart, "", 13));
	ends(DONE, NONE, "is noted");
	snprintf(ask.text, sizeof(ask.text), "it is fenced");
	go();
	asks(GET_OP);
	answer(200, dbops(WITH_FINALIZER, restart, CLAIM, 12));
	asks(GET_I);
	answer(200, instance("", ""));
	CHECK(has(asks(STATUS), "\"message\":\"it is fenced\""), "with why it was passed by");
	answer(200, dbops(WITH_FINALIZER, restart, "", 13));
	ends(DONE, NONE, "where it was");
}

#define WHY                                                                                        \
	"\"conditions\":[{\"type\":\"Failed\",\"status\":\"True\",\"reason\":"                     \
	"\"Interrupted\",\"message\":\"\",\"lastTransitionTime\":\"2026-11-24T00:00:00Z\"}]"
static void
test_servers_go_on(void)
{
	const char *restart = "\"op\":\"restart\"", *body;

	begin(CHOICE_verb_DBOPS_TELL);
	ask.due = 1u << 0;
	go();
	asks(GET_OP);
	answer(200, dbops(WITH_FINALIZER, restart,
			"\"phase\":\"Running\",\"attempt\":1,\"instances\":[{\"name\":\"demo-2\","
			"\"phase\":\"Succeeded\"},{\"name\":\"demo-1\",\"phase\":\"Pending\"},"
			"{\"name\":\"demo-0\",\"phase\":\"Pending\"}]",
			12));
	asks(CR);
	answer(200, keep(cluster_json(FINALIZED, "")));
	asks(GET_I);
	answer(200, instance("", ""));
	body = asks(STATUS);
	CHECK(has(body, "\"instances\":[{\"name\":\"demo-2\",\"phase\":\"Succeeded\"},"
			"{\"name\":\"demo-1\",\"phase\":\"Running\",\"podUID\":\"" POD
			"\"},{\"name\":\"demo-0\",\"phase\":\"Pending\"}]") &&
		  has(body, "\"step\":\"restarts demo-1\",\"percent\":33"),
	    "which server it is at, and which come after it");
	answer(409, status(409, "changed"));
	ends(CONFLICT, NONE, "unless something changed");
	begin(CHOICE_verb_DBOPS_FINISH);
	ask.phase = CHOICE_dbops_phase_FAILED;
	go();
	asks(GET_OP);
	answer(200, dbops(WITH_FINALIZER, restart,
			CLAIM ",\"instances\":[{\"name\":\"demo-2\",\"phase\":\"Succeeded\"},"
			      "{\"name\":\"demo-1\",\"phase\":\"Running\"},"
			      "{\"name\":\"demo-0\",\"phase\":\"Pending\"}]",
			12));
	asks(GET_I);
	answer(200, instance("", ""));
	asks(EVENT);
	answer(201, "{}");
	body = asks(STATUS);
	CHECK(has(body, "\"instances\":[{\"name\":\"demo-2\",\"phase\":\"Succeeded\"},"
			"{\"name\":\"demo-1\",\"phase\":\"Failed\",\"podUID\":\"" POD "\"}]") &&
		  has(body, "\"percent\":50"),
	    "one that failed ends it, and none comes after it");
	answer(200, dbops(WITH_FINALIZER, restart, "", 13));
	ends(DONE, NONE, "once");
}

/* Its spec was changed while it ran: what it claims is known all the same. */
static void
test_unreadable(void)
{
	const char *bad = "\"op\":\"reindex\",\"reindex\":{\"databases\":[\"a\\u0001\"]},"
			  "\"schedule\":{\"cron\":\"0 * * * *\"}";
	const char *body;

	begin(CHOICE_verb_DBOPS_CANCEL);
	go();
	asks(GET_OP);
	answer(200, dbops(WITH_FINALIZER, bad, CLAIM, 12));
	asks(GET_I);
	answer(200, instance(TASK, ""));
	CHECK(has(asks(TELL_I), "\"spec\":{\"task\":{\"cancel\":true}}"),
	    "what can not be read any more is ended");
	answer(200, instance(TASK, ""));
	ends(DONE, NONE, "in its pod");
	begin(CHOICE_verb_DBOPS_FINISH);
	ask.phase = CHOICE_dbops_phase_FAILED;
	ask.cleanup = true;
	go();
	asks(GET_OP);
	answer(200, dbops(WITH_FINALIZER, bad, CLAIM, 12));
	asks(GET_I);
	answer(200, instance(TASK, ""));
	asks(EVENT);
	answer(201, "{}");
	body = asks(STATUS);
	CHECK(has(body, "\"phase\":\"Failed\"") && has(body, "\"cleanup\":\"Due\"") &&
		  has(body, "\"attempt\":1") && has(body, "\"podUID\":\"" POD "\""),
	    "its run is over, and no schedule goes on");
	answer(200, dbops(WITH_FINALIZER, bad, "", 13));
	ends(DONE, NONE, "which is said");
	begin(CHOICE_verb_DBOPS_TELL);
	ask.attempt = 2;
	ask.cleanup = true;
	go();
	asks(GET_OP);
	answer(200, dbops(WITH_FINALIZER, bad,
			"\"phase\":\"Failed\",\"startedAt\":\"2026-11-24T00:00:00Z\",\"attempt\":1,"
			"\"cleanup\":\"Due\"," WHY,
			14));
	asks(CR);
	answer(200, keep(cluster_json(FINALIZED, "")));
	asks(GET_I);
	answer(200, instance("", ""));
	body = asks(STATUS);
	CHECK(has(body, "\"cleanup\":\"Running\"") &&
		  has(body, "\"type\":\"Failed\",\"status\":\"True\",\"reason\":\"Interrupted\""),
	    "what it left; why it failed stays");
	answer(200, dbops(WITH_FINALIZER, bad, "", 15));
	CHECK(has(asks(TELL_I), "\"kind\":\"Cleanup\""), "is removed");
	answer(200, instance("", ""));
	ends(DONE, NONE, "all the same");
	tell(bad, "\"phase\":\"Pending\"");
	ends(INVALID, NONE, "but it is not begun");
}

/* The reconciler's word is not enough. */
#define FAILED_AT(generation)                                                                      \
	"\"phase\":\"Failed\",\"finishedAt\":\"2026-01-01T01:30:00Z\","                            \
	"\"observedGeneration\":" generation
#define STARTED ",\"startedAt\":\"2026-01-01T01:00:00Z\",\"retries\":1"
#define CRON VACUUM ",\"schedule\":{\"cron\":\"0 0 29 2 *\"}"

static void
say(const char *spec, const char *state)
{
	begin(CHOICE_verb_DBOPS_SAY);
	ask.phase = CHOICE_dbops_phase_WAITING;
	snprintf(ask.text, sizeof(ask.text), "waits");
	go();
	asks(GET_OP);
	answer(200, dbops("", spec, state, 12));
}

static void
test_corrected(void)
{
	const char *body;

	say(VACUUM, FAILED_AT("2"));
	ends(CONFLICT, NONE, "what was refused is over");
	say(VACUUM, FAILED_AT("1"));
	body = asks(STATUS);
	CHECK(has(body, "\"phase\":\"Waiting\"") && has(body, "\"finishedAt\":null") &&
		  has(body, "\"observedGeneration\":2"),
	    "once its spec was changed it is not");
	answer(200, dbops("", VACUUM, "", 13));
	ends(DONE, NONE, "as if it were new");
	say(VACUUM, FAILED_AT("1") STARTED);
	ends(CONFLICT, NONE, "but what has begun is not begun again by an edit");
	tell(VACUUM, FAILED_AT("1") STARTED);
	ends(CONFLICT, NONE, "by no means");
	say(CRON, FAILED_AT("1") STARTED);
	body = asks(STATUS);
	CHECK(has(body, "\"finishedAt\":\"2026-01-01T01:30:00Z\""), "a schedule goes on");
	answer(200, dbops("", CRON, "", 13));
	ends(DONE, NONE, "knowing that its last run has ended");
	tell(VACUUM ",\"schedule\":{\"cron\":\"0 0 30 2 *\"}", FAILED_AT("1") STARTED);
	ends(CONFLICT, NONE, "and runs when it says");
}

static void
test_when(void)
{
	char now[21], state[160];

	time_rfc3339(now, clock_wall_s());
	tell("\"op\":\"vacuum\",\"runAt\":\"2099-01-01T00:00:00Z\"", "");
	ends(CONFLICT, NONE, "runAt has not come");
	tell("\"op\":\"vacuum\",\"runAt\":\"2026-01-01T00:00:00Z\"", "");
	asks(CR);
	answer(404, status(404, "gone"));
	ends(GONE, NONE, "it has");
	snprintf(state, sizeof(state),
	    "\"phase\":\"Scheduled\",\"startedAt\":\"%s\",\"finishedAt\":\"%s\"", now, now);
	tell("\"op\":\"vacuum\",\"schedule\":{\"cron\":\"0 0 29 2 *\"}", state);
	ends(CONFLICT, NONE, "no time of the schedule has come since the last run");
	tell("\"op\":\"vacuum\",\"schedule\":{\"cron\":\"* * * * *\"}",
	    "\"phase\":\"Scheduled\",\"startedAt\":\"2026-01-01T00:00:00Z\"");
	asks(CR);
	answer(404, status(404, "gone"));
	ends(GONE, NONE, "one has");
	tell("\"op\":\"vacuum\",\"schedule\":{\"cron\":\"* * * * *\",\"suspend\":true}",
	    "\"phase\":\"Scheduled\",\"startedAt\":\"2026-01-01T00:00:00Z\"");
	ends(CONFLICT, NONE, "it is suspended");
	snprintf(
	    state, sizeof(state), "\"phase\":\"Pending\",\"retries\":1,\"startedAt\":\"%s\"", now);
	tell("\"op\":\"vacuum\",\"schedule\":{\"cron\":\"0 0 29 2 *\"}", state);
	asks(CR);
	answer(404, status(404, "gone"));
	ends(GONE, NONE, "a run that is repeated goes on");
	begin(CHOICE_verb_DBOPS_TELL);
	go();
	asks(GET_OP);
	answer(200, dbops(keep(fmt(",\"creationTimestamp\":\"%s\"", now)),
			"\"op\":\"vacuum\",\"schedule\":{\"cron\":\"0 0 29 2 *\"}", "", 12));
	ends(CONFLICT, NONE, "nor has one come since it was made");
}

/* --- Slots. */

#define REINDEX "\"op\":\"reindex\""
#define OTHER UID_A /* another BGDbOps' */
#define SLOTS ",\"taskSlots\":3,\"taskSlotsPodUID\":\"" POD "\""

/* A slot of spec, or with a phase of status. */
static const char *
task(const char *key, const char *id, unsigned attempt, const char *what)
{
	return keep(fmt(",\"%s\":{\"id\":\"%s\",\"attempt\":%u%s}", key, id, attempt, what));
}
#define OF(kind) ",\"podUID\":\"" POD "\",\"kind\":\"" kind "\""
#define IS(phase) ",\"phase\":\"" phase "\""

/* It is claimed; the reconciler says in which slot, and that held has ended there, as attempt. */
static void
tell_slot(
    unsigned slot, const char *held, unsigned held_attempt, const char *spec, const char *state)
{
	struct uid uid = held != NULL ? uid_of(held) : (struct uid){0};

	begin(CHOICE_verb_DBOPS_TELL);
	ask.slot = (uint8_t)slot;
	ask.held = model_uid_key(&uid);
	ask.held_attempt = (uint16_t)held_attempt;
	go();
	asks(GET_OP);
	answer(200, dbops(WITH_FINALIZER, REINDEX, CLAIM, 12));
	asks(CR);
	answer(200, keep(cluster_json(FINALIZED, "")));
	asks(GET_I);
	answer(200, instance(spec, state));
}

static void
is_told_in(const char *key, const char *name)
{
	const char *body = asks(TELL_I);

	CHECK(has(body, keep(fmt("\"spec\":{\"%s\":{\"id\":\"" OP "\"", key))), name);
	answer(200, instance("", ""));
	ends(DONE, NONE, "and that is all");
}

static void
test_slots(void)
{
	const char *sql = task("task", OTHER, 1, OF("SQL"));
	const char *vacuum = task("task", OTHER, 1, OF("Vacuum"));
	const char *ended = keep(fmt("%s" SLOTS, task("task", OTHER, 1, IS("Succeeded"))));

	tell_slot(1, NULL, 0, sql, SLOTS);
	is_told_in("secondTask", "a second task is told beside a first");
	tell_slot(1, NULL, 0, sql, "");
	ends(CONFLICT, NONE, "but not to an agent that knows of one slot only");
	tell_slot(0, NULL, 0, sql, SLOTS);
	ends(CONFLICT, NONE, "nor over what has not ended");
	tell_slot(1, NULL, 0, vacuum, SLOTS);
	ends(CONFLICT, NONE, "nor beside what rewrites tables as well");
	tell_slot(1, NULL, 0, task("thirdTask", OTHER, 1, OF("Cleanup")), SLOTS);
	ends(CONFLICT, NONE, "or removes what is left of something");
	tell_slot(1, NULL, 0, vacuum, ended);
	is_told_in("secondTask", "until that has ended");
	tell_slot(0, NULL, 0, vacuum, ended);
	ends(CONFLICT, NONE, "of whose end the reconciler does not know is not overwritten");
	tell_slot(0, OTHER, 2, vacuum, ended);
	ends(CONFLICT, NONE, "nor who knows of another attempt's");
	tell_slot(0, OTHER, 1, vacuum, ended);
	is_told_in("task", "that of which it does is");
	tell_slot(0, NULL, 0, ",\"task\":{\"id\":\"" OTHER "\",\"podUID\":\"" UID_B "\"}", SLOTS);
	is_told_in("task", "and what an earlier pod was told");
}

/* Wherever it stands. */
static void
test_own_slot(void)
{
	const char *second = task("secondTask", OP, 1, OF("Reindex"));
	const char *before = task("thirdTask", OP, 1000, OF("Reindex"));

	tell_slot(0, NULL, 0, second, SLOTS);
	ends(DONE, NONE, "what is told in another slot is not told again");
	tell_slot(0, NULL, 0, before, SLOTS);
	ends(CONFLICT, NONE, "nor is it told while an earlier attempt has not ended");
	tell_slot(
	    0, NULL, 0, before, keep(fmt("%s" SLOTS, task("thirdTask", OP, 1000, IS("Failed")))));
	is_told_in("thirdTask", "and then where that was");
}

static void
test_report_of_a_slot(void)
{
	begin(CHOICE_verb_DBOPS_FINISH);
	ask.phase = CHOICE_dbops_phase_SUCCEEDED;
	go();
	asks(GET_OP);
	answer(200, dbops(WITH_FINALIZER, VACUUM, CLAIM, 12));
	asks(GET_I);
	answer(200, instance("", keep(fmt("%s%s", task("task", OTHER, 1, ",\"sizeBefore\":77"),
				     task("secondTask", OP, 1, ",\"sizeBefore\":20")))));
	asks(EVENT);
	answer(201, "{}");
	CHECK(has(asks(STATUS), "\"results\":{\"sizeBefore\":20}"),
	    "results are those of its own slot");
	answer(200, dbops(WITH_FINALIZER, VACUUM, "", 13));
	ends(DONE, NONE, "which is all that is told of it");
	begin(CHOICE_verb_DBOPS_CANCEL);
	go();
	asks(GET_OP);
	answer(200, dbops(WITH_FINALIZER, VACUUM, CLAIM, 12));
	asks(GET_I);
	answer(200, instance(keep(fmt("%s%s", task("task", OTHER, 1, OF("SQL")),
				 task("thirdTask", OP, 1, OF("Vacuum")))),
			SLOTS));
	CHECK(has(asks(TELL_I), "\"spec\":{\"thirdTask\":{\"cancel\":true}}"),
	    "cancelled is what is in its own slot");
	answer(200, instance("", ""));
	ends(DONE, NONE, "and nothing else");
}

int
main(void)
{
	case_init();
	test_slots();
	test_own_slot();
	test_report_of_a_slot();
	test_tell();
	test_told_once();
	test_finish();
	test_schedule_ends_once();
	test_end_is_told();
	test_say();
	test_end_of_the_object();
	test_servers();
	test_servers_go_on();
	test_unreadable();
	test_corrected();
	test_when();
	return case_done();
}
