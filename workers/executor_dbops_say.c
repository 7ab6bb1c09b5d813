/*
 * What becomes of a BGDbOps is written into its status: what it waits for (the reconciler's words),
 * how far its pod is and what came of it (the pod's). Also its cancelling, and its end. Called by
 * executor_dbops.c.
 */
#include "workers/executor.h"

#include <stdio.h>
#include <string.h>

/* --- SAY */

static void
end_skipped(struct step *s)
{
	dbops_end_with_event(s, CHOICE_event_type_WARNING, "Skipped", str_of(s->op.text));
}

void
verb_dbops_say(struct step *s)
{
	bool skipped = s->op.reason == CHOICE_dbops_reason_SKIPPED;
	char now[21], next[21] = "";
	struct dbops_status st;
	struct buf history;

	time_rfc3339(now, clock_wall_s());
	if (s->op.next_run != 0)
		time_rfc3339(next, (int64_t)s->op.next_run);
	if (s->op.phase == CHOICE_dbops_phase_NONE || s->op.phase > CHOICE_dbops_phase_RUNNING ||
	    s->dbops.phase > CHOICE_dbops_phase_RUNNING ||
	    (s->dbops.phase == CHOICE_dbops_phase_RUNNING &&
		s->op.phase != CHOICE_dbops_phase_RUNNING)) {
		step_end(s, CHOICE_step_code_CONFLICT, REASON_NONE, "it has begun or ended");
		return;
	}
	if (s->dbops.phase == s->op.phase && str_is(s->dbops.message, s->op.text) &&
	    str_is(s->dbops.next_run, next) &&
	    s->dbops.observed_generation == (int64_t)s->dbops.meta.generation) {
		step_end_done(s);
		return;
	}
	objects_dbops_status_of(&s->dbops, now, &st);
	st.phase = st.outcome = s->op.phase;
	st.message = str_of(s->op.text);
	st.next_run = str_of(next);
	buf_init(&history, HTTP_BODY_MAX);
	if (skipped) {
		struct dbops_status run = {.now = now, .message = st.message};

		objects_dbops_history(&s->dbops, &run, "Skipped", &history, &s->arena);
		st.history = buf_view(&history);
	}
	dbops_write_status(s, &st, skipped ? end_skipped : step_end_done);
	buf_free(&history);
}

/* --- What its pod says: the BGInstance is read first, if there is one. */

/* What that pod reports of this attempt; NULL = nothing, or there is no such instance. */
static const struct bginstance_task *
own_task(const struct step *s, const struct bginstance *i)
{
	char uid[UID_TEXT_SIZE];

	uid_format(uid, &s->dbops.meta.uid);
	for (unsigned k = 0; i != NULL && k < TASKS_MAX; k++)
		if (str_is(i->task[k].done_id, uid) && i->task[k].done_attempt == s->dbops.attempt)
			return &i->task[k];
	return NULL;
}

static bool
is_own_operation(const struct step *s, const struct bginstance *i)
{
	struct uid id = model_operation_id(
	    &s->dbops.meta.uid, (uint64_t)s->dbops.attempt, (unsigned)i->ordinal);
	char uid[UID_TEXT_SIZE];

	uid_format(uid, &id);
	return str_is(i->done_id, uid);
}

static int64_t
outage_before(struct step *s)
{
	struct json j;
	int64_t ms = 0;

	if (s->dbops.results.len > 0 && json_parse(&j, s->dbops.results, &s->arena, NULL) == 0)
		(void)json_i64(&j, json_get(&j, json_root(&j), STR("outageMs")), &ms);
	return ms;
}

static struct str
keep(struct step *s, struct buf *b)
{
	char *copy = arena_strndup(&s->arena, b->p != NULL ? b->p : "", b->len);
	struct str out = {copy, copy != NULL ? b->len : 0};

	buf_free(b);
	return out;
}

bool
dbops_does_servers(const struct bgdbops *d)
{
	return d->op == CHOICE_dbops_op_RESTART || d->op == CHOICE_dbops_op_RELOAD;
}

unsigned
dbops_put_servers(struct step *s, struct dbops_status *st, const struct dbops_server *server)
{
	unsigned done, all;
	struct buf list;

	buf_init(&list, HTTP_BODY_MAX);
	done = objects_dbops_servers(
	    st->instances, s->dbops.cluster, server, s->op.due, &all, &list, &s->arena);
	st->instances = all > 0 ? keep(s, &list) : STR("");
	st->percent = all > 0 ? done * 100 / all : 0;
	return done;
}

/* No server comes after the one that it was at, which has not succeeded. */
static void
end_servers(struct step *s, struct dbops_status *st)
{
	struct dbops_server server = {
	    .name = s->dbops.instance, .pod = s->dbops.pod_uid, .phase = CHOICE_dbops_phase_FAILED};

	if (!dbops_does_servers(&s->dbops) || s->dbops.phase != CHOICE_dbops_phase_RUNNING)
		return;
	s->op.due = 0;
	(void)dbops_put_servers(s, st, server.name.len > 0 ? &server : NULL);
}

/* The pod's words, where the reconciler has none. */
static void
put_words(const struct step *s, const struct bginstance *i, struct dbops_status *st)
{
	const struct bginstance_task *t = own_task(s, i);

	st->message = str_of(s->op.text);
	if (i == NULL)
		return;
	if (t != NULL) {
		if (st->message.len == 0)
			st->message = t->message;
		st->output = t->output;
		st->has_output = true;
	} else if (is_own_operation(s, i) && st->message.len == 0) {
		st->message = i->done_message;
	}
}

static void
report_progress(struct step *s, const struct bginstance *i, struct dbops_status *st)
{
	const struct bginstance_task *t = own_task(s, i);

	if (t == NULL || s->dbops.phase != CHOICE_dbops_phase_RUNNING ||
	    (s->dbops.percent == t->percent && str_eq(s->dbops.step, t->step))) {
		step_end_done(s);
		return;
	}
	st->percent = t->percent;
	st->step = t->step;
	dbops_write_status(s, st, step_end_done);
}

/* This server is done: the next one may be told. */
static void
report_server(struct step *s, const struct bginstance *i, struct dbops_status *st)
{
	bool own = i != NULL && is_own_operation(s, i);
	struct dbops_server server = {.name = s->dbops.instance,
	    .pod = s->dbops.pod_uid,
	    .message = s->op.text[0] != '\0' ? str_of(s->op.text)
	               : own                 ? STR("")
	                                     : STR("its pod was replaced meanwhile"),
	    .phase = CHOICE_dbops_phase_SUCCEEDED,
	    .outage_ms = own ? i->done_outage_ms : 0};
	int64_t outage = outage_before(s);
	struct buf results;
	unsigned n;

	if (s->dbops.phase != CHOICE_dbops_phase_RUNNING || s->dbops.instance.len == 0) {
		step_end(s, CHOICE_step_code_CONFLICT, REASON_NONE, "no server is being done");
		return;
	}
	buf_init(&results, HTTP_BODY_MAX);
	n = dbops_put_servers(s, st, &server);
	objects_dbops_results(NULL, s->dbops.op == CHOICE_dbops_op_RESTART ? n : 0,
	    server.outage_ms > outage ? server.outage_ms : outage, &results);
	st->results = keep(s, &results);
	if (str_is(st->results, "{}"))
		st->results = STR("");
	st->instance = st->pod_uid = st->instance_uid = st->message = st->step = STR("");
	dbops_write_status(s, st, step_end_done);
}

static void
report_retry(struct step *s, const struct bginstance *i, struct dbops_status *st)
{
	char next[21];

	if (s->dbops.phase != CHOICE_dbops_phase_RUNNING || s->dbops.attempt != s->op.attempt ||
	    !dbops_info[s->dbops.op].repeatable) {
		step_end(s, CHOICE_step_code_CONFLICT, REASON_NONE, "no such run may be repeated");
		return;
	}
	time_rfc3339(next, (int64_t)s->op.next_run);
	put_words(s, i, st);
	st->phase = st->outcome = CHOICE_dbops_phase_PENDING;
	st->reason = s->op.reason;
	st->retries++;
	end_servers(s, st);
	st->next_run = str_of(next);
	st->instance = st->pod_uid = st->instance_uid = st->step = STR("");
	if (s->op.cleanup)
		st->cleanup = CHOICE_dbops_cleanup_DUE;
	dbops_write_status(s, st, step_end_done);
}

static struct str
results_of(struct step *s, const struct bginstance *i)
{
	bool task = dbops_info[s->dbops.op].task != CHOICE_task_kind_NONE;
	const struct bginstance_task *t = own_task(s, i);
	struct str results;
	struct buf out;

	if (i == NULL || (task ? t == NULL : !is_own_operation(s, i)) ||
	    dbops_does_servers(&s->dbops))
		return s->dbops.results;
	buf_init(&out, HTTP_BODY_MAX);
	objects_dbops_results(task ? t : NULL, 0, task ? 0 : i->done_outage_ms, &out);
	results = keep(s, &out);
	return str_is(results, "{}") ? STR("") : results;
}

/* A schedule goes on. */
static void
put_schedule(struct step *s, struct dbops_status *st, char next[21])
{
	const char *outcome = choice_text(VOCAB_dbops_phase, s->op.phase);
	struct buf history;

	buf_init(&history, HTTP_BODY_MAX);
	objects_dbops_history(&s->dbops, st, outcome, &history, &s->arena);
	st->history = keep(s, &history);
	st->phase = CHOICE_dbops_phase_SCHEDULED;
	st->next_run = STR("");
	if (s->op.next_run == 0)
		return;
	time_rfc3339(next, (int64_t)s->op.next_run);
	st->next_run = str_of(next);
}

/*
 * A run of a schedule has ended already where its next time is still to come, or has passed while
 * it ran: what comes after a time that has passed is begun, or skipped, but not ended.
 */
static bool
has_ended(const struct step *s)
{
	const struct bgdbops *d = &s->dbops;
	int64_t next, finished;

	if (d->phase > CHOICE_dbops_phase_RUNNING || d->attempt != s->op.attempt)
		return true;
	if (d->phase != CHOICE_dbops_phase_SCHEDULED || s->op.reason == CHOICE_dbops_reason_REFUSED)
		return false;
	return time_parse(d->next_run, &next) == -1 || next > clock_wall_s() ||
	       (time_parse(d->finished_at, &finished) == 0 && finished >= next);
}

static void
report_end(struct step *s, const struct bginstance *i, struct dbops_status *st)
{
	bool again = s->has_spec && s->dbops.cron.len > 0 && !s->dbops.meta.deleting &&
	             s->op.reason != CHOICE_dbops_reason_REFUSED &&
	             s->op.phase != CHOICE_dbops_phase_CANCELLED;
	bool runs = s->dbops.phase == CHOICE_dbops_phase_RUNNING;
	char next[21];

	if (s->op.phase < CHOICE_dbops_phase_SUCCEEDED || has_ended(s)) {
		step_end(s, CHOICE_step_code_CONFLICT, REASON_NONE, "no such run can end");
		return;
	}
	put_words(s, i, st);
	st->outcome = st->phase = s->op.phase;
	st->reason = s->op.reason;
	st->finished_at = str_of(st->now);
	st->step = st->next_run = STR("");
	end_servers(s, st);
	if (s->op.phase == CHOICE_dbops_phase_SUCCEEDED) {
		st->percent = 100;
		if (!runs) /* nothing was due */
			st->started_at = st->finished_at;
	}
	if (runs)
		st->results = results_of(s, i);
	if (runs && s->op.cleanup)
		st->cleanup = CHOICE_dbops_cleanup_DUE;
	if (again)
		put_schedule(s, st, next);
	dbops_end_run(s, st, st->message);
}

static void
report_cleaned(struct step *s, const struct bginstance *i, struct dbops_status *st)
{
	const struct bginstance_task *t = own_task(s, i);

	if (s->dbops.cleanup != CHOICE_dbops_cleanup_DUE &&
	    s->dbops.cleanup != CHOICE_dbops_cleanup_RUNNING) {
		step_end_done(s);
		return;
	}
	st->cleanup = t != NULL && t->phase == CHOICE_task_phase_SUCCEEDED
	                  ? CHOICE_dbops_cleanup_DONE
	                  : CHOICE_dbops_cleanup_FAILED;
	dbops_write_status(s, st, step_end_done);
}

static void
report(struct step *s, const struct bginstance *i)
{
	static void (*const reports[CHOICE_verb_COUNT])(
	    struct step * s, const struct bginstance *i, struct dbops_status *st) = {
	    [CHOICE_verb_DBOPS_PROGRESS] = report_progress,
	    [CHOICE_verb_DBOPS_NEXT] = report_server,
	    [CHOICE_verb_DBOPS_RETRY] = report_retry,
	    [CHOICE_verb_DBOPS_FINISH] = report_end,
	    [CHOICE_verb_DBOPS_CLEANED] = report_cleaned,
	};
	struct dbops_status st;
	char now[21];

	time_rfc3339(now, clock_wall_s());
	objects_dbops_status_of(&s->dbops, now, &st);
	reports[s->req.verb](s, i, &st);
}

static void
on_instance(struct step *s, const struct kube_reply *r)
{
	struct bginstance i;
	struct json j;

	if (step_replied(r, 404))
		report(s, NULL);
	else if (step_parse_instance(s, r, &j, &i)) {
		s->done.present = false; /* the answer is about the BGDbOps */
		s->done.child_uid = (struct uid){0};
		report(s, &i);
	}
}

void
verb_dbops_report(struct step *s)
{
	if (s->dbops.instance.len == 0 ||
	    str_copy(s->name, sizeof(s->name), s->dbops.instance) == -1) {
		report(s, NULL);
		return;
	}
	step_get(s, KIND_BGINSTANCE, s->name, on_instance);
}

/* --- CANCEL */

static void
on_cancelled(struct step *s, const struct kube_reply *r)
{
	if (step_ok(r))
		step_end_done(s);
	else
		step_fail(s, r);
}

static void
on_instance_to_cancel(struct step *s, const struct kube_reply *r)
{
	struct bginstance i;
	struct guard guard;
	struct buf body;
	struct json j;
	char uid[UID_TEXT_SIZE];
	unsigned slot = 0;

	if (!step_parse_instance(s, r, &j, &i))
		return;
	uid_format(uid, &s->dbops.meta.uid);
	s->done.present = false;
	s->done.child_uid = (struct uid){0};
	while (slot < TASKS_MAX &&
	       !(str_is(i.task[slot].id, uid) && i.task[slot].attempt == s->dbops.attempt))
		slot++;
	if (slot == TASKS_MAX || i.task[slot].cancel) {
		step_end_done(s);
		return;
	}
	guard = patch_guard(&i.meta);
	buf_init(&body, HTTP_BODY_MAX);
	patch_cancel(&body, &guard, slot);
	step_patch(s, KIND_BGINSTANCE, s->name, NULL, &body, on_cancelled);
}

void
verb_dbops_cancel(struct step *s)
{
	if (s->dbops.instance.len == 0 ||
	    str_copy(s->name, sizeof(s->name), s->dbops.instance) == -1)
		step_end_done(s);
	else
		step_get(s, KIND_BGINSTANCE, s->name, on_instance_to_cancel);
}

/* --- RELEASE, DELETE */

static void
on_released(struct step *s, const struct kube_reply *r)
{
	struct object_meta m;
	struct json j;

	/* Whose last finalizer went is gone with it. */
	if (step_replied(r, 404))
		step_end(s, CHOICE_step_code_GONE, REASON_NONE, "the BGDbOps is gone");
	else if (step_parse_object(s, r, s->op.name, &j, &m)) {
		s->done.dbops_version = m.resource_version;
		step_end_done(s);
	}
}

void
verb_dbops_release(struct step *s)
{
	struct guard guard = patch_guard(&s->dbops.meta);
	struct buf body;

	if (!s->dbops.meta.finalizer) {
		step_end_done(s);
		return;
	}
	buf_init(&body, HTTP_BODY_MAX);
	patch_dbops_finalizers(&body, &guard, s->finalizers, false, &s->arena);
	step_patch(s, KIND_BGDBOPS, s->op.name, NULL, &body, on_released);
}

static void
on_deleted(struct step *s, const struct kube_reply *r)
{
	if (step_ok(r) || step_replied(r, 404))
		step_end_done(s);
	else
		step_fail(s, r);
}

void
verb_dbops_delete(struct step *s)
{
	struct guard guard = patch_guard(&s->dbops.meta);
	int64_t finished;

	if (s->dbops.phase <= CHOICE_dbops_phase_RUNNING || s->dbops.ttl == INT_UNSET ||
	    time_parse(s->dbops.finished_at, &finished) == -1 ||
	    finished + s->dbops.ttl > clock_wall_s())
		step_end(s, CHOICE_step_code_CONFLICT, REASON_NONE,
		    "policy, dbops delete: spec.ttlSecondsAfterFinished is not over");
	else
		step_delete(s, KIND_BGDBOPS, s->op.name, &guard, "Background", on_deleted);
}
