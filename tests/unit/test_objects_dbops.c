/*
 * Golden tests of what a BGDbOps becomes: tests/golden/dbops/<case>.json is one as the API server
 * stores it; <case>.told.ok what its pod is told (objects/task.c), <case>.cleanup.ok what the pod
 * that cleans up after it is told, <case>.status.ok its status after the step that the table below
 * names (objects/dbops.c). Then what must hold for all of them.
 */
#include "tests/unit/golden.h"
#include "tests/unit/merge_patch.h"
#include "objects/objects.h"

#define DIR "tests/golden/dbops/"
#define NOW "2026-11-23T09:52:00Z"
#define POD "aaaaaaaa-0000-4000-8000-000000000001"
#define INSTANCE "bbbbbbbb-0000-4000-8000-000000000002"

static struct arena arena;
static struct bginstance instance;
static struct buf instance_json;

static struct str
rendered(struct buf *b)
{
	char *p = arena_strndup(&arena, b->p, b->len);
	struct str s = {p, b->len};

	buf_free(b);
	return s;
}

static bool
load(const char *name, struct bgdbops *d)
{
	struct err e = {.code = ERR_NONE};
	struct buf text;
	char path[128];
	struct json j;
	bool ok;

	snprintf(path, sizeof(path), DIR "%s.json", name);
	buf_init(&text, GOLDEN_MAX);
	memset(d, 0, sizeof(*d));
	ok = golden_read(path, &text) == 0 && json_parse(&j, rendered(&text), &arena, &e) == 0 &&
	     decode_bgdbops(&j, json_root(&j), &arena, d, &e) == 0;
	if (!CHECK(ok, path))
		printf("# %s\n", e.text);
	return ok;
}

/* --- What a pod is told. */

#define TOLD_MAX 40
static struct {
	const char *name;
	struct str patch;
	unsigned kind; /* choice task_kind or operation */
	bool task;
} told[TOLD_MAX];
static unsigned told_n;

static void
render_told(const char *name, const struct bgdbops *d, bool cleanup)
{
	struct dbops_claim claim = {
	    .attempt = cleanup ? 2 : 1, .ordinal = 1, .instance = "demo-1", .cleanup = cleanup};
	const struct dbops_info *info = &dbops_info[d->op];
	bool task = cleanup || info->task != CHOICE_task_kind_NONE;
	char path[128];
	struct buf out;

	CHECK(uid_parse(STR(POD), &claim.pod) == 0, "the pod");
	buf_init(&out, HTTP_BODY_MAX);
	if (task)
		objects_render_task(d, &claim, &out);
	else
		objects_render_operation(d, &claim, &out);
	snprintf(path, sizeof(path), DIR "%s.%s.ok", name, cleanup ? "cleanup" : "told");
	golden_check(path, buf_view(&out));
	told[told_n].name = name;
	told[told_n].kind = cleanup ? (unsigned)CHOICE_task_kind_CLEANUP
	                    : task  ? info->task
	                            : info->operation;
	told[told_n].task = task;
	told[told_n++].patch = rendered(&out);
}

static void
test_told(void)
{
	static const char *const cases[] = {"restart", "reload", "switchover", "switchover-any",
	    "failover", "reinit", "checkpoint", "vacuum", "vacuum-all", "analyze", "reindex",
	    "repack", "benchmark", "sql"};
	struct bgdbops d;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		if (!load(cases[i], &d))
			continue;
		render_told(cases[i], &d, false);
		if (dbops_info[d.op].leaves)
			render_told(cases[i], &d, true);
	}
}

static struct str
merged(struct str target, struct str patch)
{
	struct buf out, same;
	struct err e;

	buf_init(&out, HTTP_BODY_MAX);
	buf_init(&same, HTTP_BODY_MAX);
	if (merge_apply(target, patch, &arena, &out, &e) == -1 ||
	    merge_canonical(buf_view(&out), &arena, &same, &e) == -1)
		die("merge: %s", e.text);
	buf_free(&out);
	return rendered(&same);
}

/* Whatever was told before, the pod reads the same; and what it reads is what was asked for. */
static void
test_told_after_another(void)
{
	struct str fresh = buf_view(&instance_json);
	struct bginstance i;
	struct json j;
	char what[128];

	for (unsigned b = 0; b < told_n; b++) {
		struct str alone = merged(fresh, told[b].patch);
		bool same = true;

		for (unsigned a = 0; a < told_n; a++)
			if (told[a].task == told[b].task)
				same &= str_eq(
				    alone, merged(merged(fresh, told[a].patch), told[b].patch));
		snprintf(what, sizeof(what), "%s: nothing of an earlier one stays", told[b].name);
		CHECK(same, what);
		snprintf(what, sizeof(what), "%s: its pod can read it", told[b].name);
		memset(&i, 0, sizeof(i));
		CHECK(json_parse(&j, alone, &arena, NULL) == 0 &&
			  decode_bginstance(&j, json_root(&j), &arena, &i, NULL) == 0 &&
			  (told[b].task ? i.task[0].kind : i.operation) == told[b].kind &&
			  str_is(told[b].task ? i.task[0].pod : i.operation_pod, POD),
		    what);
	}
}

/* One slot's patch says nothing of another's. */
static void
test_slots(void)
{
	struct dbops_claim claim = {.attempt = 1, .ordinal = 1, .instance = "demo-1"};
	struct str both = buf_view(&instance_json);
	struct bgdbops vacuum, other;
	struct bginstance i = {0};
	struct buf out;
	struct json j;

	if (!load("vacuum", &vacuum) || !load("analyze", &other))
		return;
	CHECK(uid_parse(STR(POD), &claim.pod) == 0, "the pod");
	for (unsigned slot = 0; slot < TASKS_MAX; slot++) {
		claim.slot = slot;
		buf_init(&out, HTTP_BODY_MAX);
		objects_render_task(slot == 1 ? &other : &vacuum, &claim, &out);
		both = merged(both, rendered(&out));
	}
	CHECK(json_parse(&j, both, &arena, NULL) == 0 &&
		  decode_bginstance(&j, json_root(&j), &arena, &i, NULL) == 0 &&
		  i.task[0].kind == CHOICE_task_kind_VACUUM &&
		  i.task[1].kind == CHOICE_task_kind_ANALYZE && !i.task[1].freeze &&
		  i.task[2].kind == CHOICE_task_kind_VACUUM && i.task[2].freeze,
	    "each slot has what it was told");
}

/* --- What its status says. */

static struct str
results(const struct bginstance_task *t, int64_t restarted, int64_t outage_ms)
{
	struct buf out;

	buf_init(&out, HTTP_BODY_MAX);
	objects_dbops_results(t, restarted, outage_ms, &out);
	return rendered(&out);
}

static void
waits(const struct bgdbops *d, struct dbops_status *s)
{
	(void)d;
	s->message = STR("waits for demo-0 to end what it was told before");
}

static void
claims(const struct bgdbops *d, struct dbops_status *s)
{
	(void)d;
	s->phase = s->outcome = CHOICE_dbops_phase_RUNNING;
	s->message = s->step = STR("");
	s->started_at = str_of(s->now);
	s->attempt = 1;
	s->instance = STR("demo-1");
	s->pod_uid = STR(POD);
	s->instance_uid = STR(INSTANCE);
	s->has_output = true;
}

static void
refuses(const struct bgdbops *d, struct dbops_status *s)
{
	(void)d;
	s->phase = s->outcome = CHOICE_dbops_phase_FAILED;
	s->reason = CHOICE_dbops_reason_REFUSED;
	s->finished_at = str_of(s->now);
	s->message = STR("BGCluster demo is being deleted");
}

static void
succeeds(const struct bgdbops *d, struct dbops_status *s)
{
	(void)d;
	s->phase = s->outcome = CHOICE_dbops_phase_SUCCEEDED;
	s->finished_at = str_of(s->now);
	s->step = STR("");
	s->percent = 100;
	s->results = results(&instance.task[0], 0, 0);
	s->has_output = true;
	s->output = STR("WARNING:  \"quoted\"\nand a\ttab\n");
}

static void
does_next_server(const struct bgdbops *d, struct dbops_status *s)
{
	struct dbops_server server = {.name = STR("demo-1"),
	    .pod = STR(POD),
	    .message = STR("its pod was replaced meanwhile"),
	    .phase = CHOICE_dbops_phase_SUCCEEDED,
	    .outage_ms = 1234};
	struct buf list;
	unsigned all;

	buf_init(&list, HTTP_BODY_MAX);
	CHECK(objects_dbops_servers(
		  d->instances, STR("demo"), &server, 1u << 0, &all, &list, &arena) == 2 &&
		  all == 3,
	    "a server is there once, and who comes after it too");
	s->instances = rendered(&list);
	buf_init(&list, HTTP_BODY_MAX);
	CHECK(objects_dbops_servers(STR("[{\"name\":\"demo-0\",\"phase\":\"Failed\"}]"),
		  STR("demo"), &server, 1u << 0, &all, &list, &arena) == 1 &&
		  all == 2,
	    "nor is one that is tried again there twice");
	buf_free(&list);
	s->results = results(NULL, 2, 1234);
	s->instance = s->pod_uid = s->instance_uid = STR("");
}

static void
is_interrupted(const struct bgdbops *d, struct dbops_status *s)
{
	(void)d;
	s->phase = s->outcome = CHOICE_dbops_phase_PENDING;
	s->reason = CHOICE_dbops_reason_INTERRUPTED;
	s->cleanup = CHOICE_dbops_cleanup_DUE;
	s->message = STR("interrupted: the pod of demo-1 that did it was lost");
	s->retries = 1;
	s->next_run = STR("2026-11-23T09:52:05Z");
	s->instance = s->pod_uid = s->instance_uid = s->step = STR("");
}

static void
fails_once(const struct bgdbops *d, struct dbops_status *s)
{
	struct buf list;

	s->message = STR("table \"public.gone\" does not exist in database \"app\"");
	s->outcome = CHOICE_dbops_phase_FAILED;
	s->phase = CHOICE_dbops_phase_SCHEDULED;
	s->finished_at = str_of(s->now);
	s->results = results(&instance.task[0], 0, 0);
	buf_init(&list, HTTP_BODY_MAX);
	objects_dbops_history(d, s, "Failed", &list, &arena);
	s->history = rendered(&list);
	s->next_run = STR("2026-11-24T01:30:00Z");
}

static void
is_skipped(const struct bgdbops *d, struct dbops_status *s)
{
	struct dbops_status run = {.now = s->now, .message = STR("a run was skipped")};
	struct buf list;

	s->message = run.message;
	s->next_run = STR("2026-11-24T00:00:00Z");
	buf_init(&list, HTTP_BODY_MAX);
	objects_dbops_history(d, &run, "Skipped", &list, &arena);
	s->history = rendered(&list);
}

/* What is stored after that patch is what was rendered. */
static void
check_stored(const char *name, const struct dbops_status *s, struct str patch)
{
	struct bgdbops d = {0};
	char path[128], what[128];
	struct buf text;
	struct json j;

	snprintf(path, sizeof(path), DIR "%s.json", name);
	snprintf(what, sizeof(what), "%s: what is stored then says so", name);
	buf_init(&text, GOLDEN_MAX);
	CHECK(golden_read(path, &text) == 0 &&
		  json_parse(&j, merged(rendered(&text), patch), &arena, NULL) == 0 &&
		  decode_bgdbops(&j, json_root(&j), &arena, &d, NULL) == 0 && d.phase == s->phase &&
		  d.cleanup == s->cleanup && d.attempt == s->attempt && d.retries == s->retries &&
		  d.conditions_n == 3 && str_eq(d.message, s->message) && str_eq(d.step, s->step) &&
		  str_eq(d.next_run, s->next_run) && str_eq(d.instance, s->instance) &&
		  (d.results.len > 0) == (s->results.len > 0) &&
		  (d.instances.len > 0) == (s->instances.len > 0),
	    what);
}

static void
test_status(void)
{
	static const struct {
		const char *name;
		void (*step)(const struct bgdbops *d, struct dbops_status *s);
	} rows[] = {
	    {"waiting", waits},
	    {"vacuum", claims},
	    {"checkpoint", refuses},
	    {"running", succeeds},
	    {"servers", does_next_server},
	    {"interrupted", is_interrupted},
	    {"scheduled", fails_once},
	    {"next", is_skipped},
	};
	struct dbops_status s;
	struct bgdbops d;
	struct buf out;
	char path[128];

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (!load(rows[i].name, &d))
			continue;
		objects_dbops_status_of(&d, NOW, &s);
		rows[i].step(&d, &s);
		buf_init(&out, HTTP_BODY_MAX);
		snprintf(path, sizeof(path), DIR "%s.status.ok", rows[i].name);
		CHECK(objects_render_dbops_status(&d, &s, &out, NULL) == 0, path);
		golden_check(path, buf_view(&out));
		check_stored(rows[i].name, &s, rendered(&out));
	}
}

int
main(void)
{
	struct json j;

	arena_init(&arena, 64u << 20);
	buf_init(&instance_json, GOLDEN_MAX);
	CHECK(golden_read(DIR "instance.json", &instance_json) == 0 &&
		  json_parse(&j, buf_view(&instance_json), &arena, NULL) == 0 &&
		  decode_bginstance(&j, json_root(&j), &arena, &instance, NULL) == 0,
	    "an instance");
	test_told();
	test_told_after_another();
	test_slots();
	test_status();
	buf_free(&instance_json);
	arena_free(&arena);
	return tap_done();
}
