/*
 * Steps on a BGDbOps: the object is read first, then a pod is told. What is told comes from the
 * object alone, and never before the claim of that attempt stands in its status, so that whoever
 * dies in between, nothing is begun twice that may not be. The other verbs are
 * executor_dbops_say.c.
 */
#include "workers/executor.h"

#include <stdio.h>
#include <string.h>

#include "plan/plan.h"

static bool
is_task(const struct step *s)
{
	return dbops_info[s->dbops.op].task != CHOICE_task_kind_NONE || s->op.cleanup;
}

/* --- The object. */

static int64_t
created_at(const struct json *j)
{
	char text[41];
	int64_t t = 0;

	json_copy_text(
	    j, json_path(j, json_root(j), "metadata.creationTimestamp"), text, sizeof(text));
	return time_parse(str_of(text), &t) == 0 ? t : 0;
}

static bool
read_dbops(struct step *s, const struct kube_reply *r)
{
	struct object_meta *m = &s->dbops.meta;
	struct str raw;
	struct json j;
	struct err why;
	char *copy;

	if (step_replied(r, 404)) {
		step_end(s, CHOICE_step_code_GONE, REASON_NONE, "the BGDbOps is not there");
		return false;
	}
	if (!step_parse(s, r, &j))
		return false;
	s->has_spec = decode_bgdbops(&j, json_root(&j), &s->arena, &s->dbops, &why) == 0;
	if (!s->has_spec) {
		s->invalid = why;
		if (decode_bgdbops_claim(&j, json_root(&j), &s->arena, &s->dbops, NULL) == -1)
			s->dbops.phase = decode_dbops_end(&j, json_root(&j));
	}
	raw = json_raw(&j, json_path(&j, json_root(&j), "metadata.finalizers"));
	copy = arena_strndup(&s->arena, raw.p != NULL ? raw.p : "", raw.len);
	s->finalizers = (struct str){copy, copy != NULL ? raw.len : 0};
	m->finalizer = decode_has_finalizer(&j, json_root(&j), DBOPS_FINALIZER);
	s->dbops_created = created_at(&j);
	if (uid_none(&m->uid) || m->resource_version == 0 || !str_is(m->name, s->op.name) ||
	    !str_is(m->namespace, s->req.namespace)) {
		step_end(s, CHOICE_step_code_RETRY, REASON_NONE, "the reply is another object");
		return false;
	}
	return true;
}

/* What an interrupted run left goes also when its spec can not be read any more. */
static bool
removes_leavings(const struct step *s)
{
	return s->req.verb == CHOICE_verb_DBOPS_TELL && s->op.cleanup;
}

static bool
is_as_planned(struct step *s)
{
	const struct object_meta *m = &s->dbops.meta;

	s->done.dbops_version = m->resource_version;
	if (!uid_eq(&m->uid, &s->req.uid))
		step_end(
		    s, CHOICE_step_code_CONFLICT, REASON_NONE, "another BGDbOps has that name now");
	else if (m->generation != s->req.generation)
		step_end(s, CHOICE_step_code_CONFLICT, REASON_NONE,
		    "the BGDbOps is of generation %llu now", (unsigned long long)m->generation);
	else if ((s->has_spec || removes_leavings(s)) && !str_is(s->dbops.cluster, s->req.name))
		step_end(s, CHOICE_step_code_CONFLICT, REASON_NONE, "it is for another BGCluster");
	else if (!s->has_spec && (s->row->needs & NEED_SPEC) && !removes_leavings(s))
		step_end(s, CHOICE_step_code_INVALID, REASON_NONE, "%s", s->invalid.text);
	else
		return true;
	return false;
}

static void
on_dbops(struct step *s, const struct kube_reply *r)
{
	static void (*const verbs[CHOICE_verb_COUNT])(struct step * s) = {
	    [CHOICE_verb_DBOPS_TELL] = verb_dbops_tell,
	    [CHOICE_verb_DBOPS_CANCEL] = verb_dbops_cancel,
	    [CHOICE_verb_DBOPS_SAY] = verb_dbops_say,
	    [CHOICE_verb_DBOPS_PROGRESS] = verb_dbops_report,
	    [CHOICE_verb_DBOPS_NEXT] = verb_dbops_report,
	    [CHOICE_verb_DBOPS_RETRY] = verb_dbops_report,
	    [CHOICE_verb_DBOPS_FINISH] = verb_dbops_report,
	    [CHOICE_verb_DBOPS_CLEANED] = verb_dbops_report,
	    [CHOICE_verb_DBOPS_RELEASE] = verb_dbops_release,
	    [CHOICE_verb_DBOPS_DELETE] = verb_dbops_delete,
	};

	if (read_dbops(s, r) && is_as_planned(s))
		verbs[s->req.verb](s);
}

void
dbops_begin(struct step *s)
{
	step_get(s, KIND_BGDBOPS, s->op.name, on_dbops);
}

/* --- What is written on it. */

static void
on_status(struct step *s, const struct kube_reply *r)
{
	void (*then)(struct step *) = s->then;
	struct object_meta m;
	struct json j;

	if (step_replied(r, 404)) {
		step_end(s, CHOICE_step_code_GONE, REASON_NONE, "the BGDbOps is gone");
		return;
	}
	if (!step_parse_object(s, r, s->op.name, &j, &m))
		return;
	s->dbops.meta.resource_version = m.resource_version;
	s->done.dbops_version = m.resource_version;
	then(s);
}

static void
patch_status(struct step *s, struct buf *patch, void (*then)(struct step *s))
{
	struct guard guard = patch_guard(&s->dbops.meta);

	s->then = then;
	step_patch_guarded(s, KIND_BGDBOPS, s->op.name, "status", &guard, patch, on_status);
}

/* False: the step has ended. */
static bool
render_status(struct step *s, const struct dbops_status *status, struct buf *patch)
{
	struct err e;

	buf_init(patch, HTTP_BODY_MAX);
	if (objects_render_dbops_status(&s->dbops, status, patch, &e) == 0)
		return true;
	buf_free(patch);
	step_end_err(s, &e);
	return false;
}

void
dbops_write_status(struct step *s, const struct dbops_status *status, void (*then)(struct step *s))
{
	struct buf patch;

	if (render_status(s, status, &patch))
		patch_status(s, &patch, then);
}

void
dbops_write_finalizer(struct step *s, bool add, void (*then)(struct step *s))
{
	struct guard guard = patch_guard(&s->dbops.meta);
	struct buf body;

	buf_init(&body, HTTP_BODY_MAX);
	patch_dbops_finalizers(&body, &guard, s->finalizers, add, &s->arena);
	s->then = then;
	step_patch(s, KIND_BGDBOPS, s->op.name, NULL, &body, on_status);
}

/* False: there is nothing to wait for. */
static bool
post_event(struct step *s, const struct event_id *id, enum choice_event_type type, const char *why,
    struct str text, step_next *next)
{
	struct buf body;
	struct err e;

	buf_init(&body, HTTP_BODY_MAX);
	if (objects_render_dbops_event(
		&s->dbops, type, why, text, id->name, id->micro, &body, &e) == 0) {
		step_post(s, KIND_EVENT, id->name, false, &body, next);
		return true;
	}
	buf_free(&body);
	return false;
}

static void
on_event_posted(struct step *s, const struct kube_reply *r)
{
	event_end(s, r, KIND_BGDBOPS, s->op.name);
}

void
dbops_end_with_event(struct step *s, enum choice_event_type type, const char *why, struct str text)
{
	struct event_id id = event_id(s, s->op.name);

	if (!post_event(s, &id, type, why, text, on_event_posted))
		step_end_done(s);
}

/* --- The end of a run: its Event, then the status that says the same. */

static void
write_ending(struct step *s)
{
	struct buf patch;

	buf_init(&patch, HTTP_BODY_MAX);
	buf_str(&patch, s->ending);
	patch_status(s, &patch, step_end_done);
}

static void
on_end_told(struct step *s, const struct kube_reply *r)
{
	if (r->outcome == KUBE_NOT_SENT) {
		step_fail(s, r);
		return;
	}
	/* One that is only slow to take Events must not keep the run from ending. */
	if (!step_replied(r, 409)) /* a former life told it */
		event_note(s, r, KIND_BGDBOPS, s->op.name);
	write_ending(s);
}

/*
 * While the status does not say that the run has ended, whoever comes after us ends it again: so an
 * Event that comes first is never left out. And not told twice, since its name is made of what the
 * status was before.
 */
static struct event_id
end_id(const struct step *s, const char *why)
{
	const struct bgdbops *d = &s->dbops;
	const struct str parts[] = {
	    d->started_at, d->finished_at, d->next_run, str_of(why), d->instance, d->pod_uid};
	struct event_id id = event_id(s, s->op.name);
	uint64_t h = hash_bytes(HASH_INIT, &d->meta.uid, sizeof(d->meta.uid));

	h = hash_bytes(h, &d->attempt, sizeof(d->attempt));
	h = hash_bytes(h, &d->retries, sizeof(d->retries));
	h = hash_bytes(h, &d->observed_generation, sizeof(d->observed_generation));
	for (unsigned i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		h = hash_str(hash_str(h, parts[i]), STR("|"));
	snprintf(id.name, sizeof(id.name), "%s.%016llx", s->op.name, (unsigned long long)h);
	return id;
}

void
dbops_end_run(struct step *s, const struct dbops_status *status, struct str text)
{
	const char *why = choice_text(VOCAB_dbops_phase, s->op.phase);
	enum choice_event_type type = s->op.phase == CHOICE_dbops_phase_SUCCEEDED
	                                  ? CHOICE_event_type_NORMAL
	                                  : CHOICE_event_type_WARNING;
	struct event_id id = end_id(s, why);
	struct buf patch;

	if (!render_status(s, status, &patch))
		return;
	s->ending = (struct str){arena_strndup(&s->arena, patch.p, patch.len), patch.len};
	if (s->ending.p == NULL)
		patch_status(s, &patch, step_end_done); /* without it, then */
	else {
		buf_free(&patch);
		if (!post_event(s, &id, type, why, text, on_end_told))
			write_ending(s);
	}
}

/* --- TELL: the claim, then the pod. */

/* Is what the status claims this very attempt? */
static bool
is_claimed(const struct step *s)
{
	const struct bgdbops *d = &s->dbops;
	char pod[UID_TEXT_SIZE];

	uid_format(pod, &s->req.target);
	return (s->op.cleanup ? d->cleanup == CHOICE_dbops_cleanup_RUNNING
			      : d->phase == CHOICE_dbops_phase_RUNNING) &&
	       d->attempt == s->op.attempt && str_is(d->instance, s->name) &&
	       str_is(d->pod_uid, pod);
}

/* One server after the other is one attempt. */
static bool
goes_on(const struct step *s)
{
	const struct bgdbops *d = &s->dbops;

	return dbops_does_servers(d) && !s->op.cleanup && d->phase == CHOICE_dbops_phase_RUNNING &&
	       d->attempt == s->op.attempt && d->instance.len == 0;
}

/* The run that goes on is repeated: another one has an end. */
static bool
is_repeated(const struct bgdbops *d)
{
	return d->retries > 0 && d->finished_at.len == 0;
}

/* A time of the schedule has come since the last run began, or since it was made. */
static bool
is_scheduled_now(const struct step *s)
{
	const struct bgdbops *d = &s->dbops;
	struct str name = d->zone.len > 0 ? d->zone : STR("UTC");
	int64_t last;
	struct cron cron;
	struct zone zone;

	if (d->suspend || cron_parse(d->cron, &cron) == -1 || zone_find(name, &zone) == -1)
		return false;
	if (time_parse(d->started_at, &last) == -1 || last > clock_wall_s())
		last = s->dbops_created - DBOPS_SKEW_S;
	return cron_next(&cron, &zone, last) <= clock_wall_s();
}

/* What the user says of when holds whoever orders it. */
static bool
is_due(const struct step *s)
{
	const struct bgdbops *d = &s->dbops;
	int64_t at;

	if (s->op.cleanup || is_repeated(d))
		return true;
	if (d->run_at.len > 0 && (time_parse(d->run_at, &at) == -1 || at > clock_wall_s()))
		return false;
	return d->cron.len == 0 || is_scheduled_now(s);
}

static bool
may_claim(const struct step *s)
{
	const struct bgdbops *d = &s->dbops;

	if (s->op.attempt != d->attempt % TASK_ATTEMPTS_MAX + 1)
		return false;
	if (s->op.cleanup)
		return d->cleanup == CHOICE_dbops_cleanup_DUE ||
		       d->cleanup == CHOICE_dbops_cleanup_RUNNING;
	return !d->meta.deleting && d->phase <= CHOICE_dbops_phase_SCHEDULED &&
	       (dbops_info[d->op].repeatable || !is_repeated(d));
}

static void
end_told(struct step *s)
{
	char text[NAME_MAX_OBJECT + 32];

	if (!s->fresh) {
		step_end_done(s);
		return;
	}
	snprintf(text, sizeof(text), "%s on %s", choice_text(VOCAB_dbops_op, s->dbops.op), s->name);
	dbops_end_with_event(s, CHOICE_event_type_NORMAL, "Started", str_of(text));
}

static void
on_told(struct step *s, const struct kube_reply *r)
{
	struct object_meta m;
	struct json j;

	if (!step_parse_object(s, r, s->name, &j, &m))
		return;
	step_saw(s, &m);
	end_told(s);
}

static void
tell(struct step *s)
{
	struct dbops_claim claim = {.attempt = s->op.attempt,
	    .ordinal = s->req.ordinal,
	    .slot = s->slot,
	    .instance = s->name,
	    .pod = s->req.target,
	    .cleanup = s->op.cleanup};
	struct buf patch;

	if (s->told) {
		end_told(s);
		return;
	}
	buf_init(&patch, HTTP_BODY_MAX);
	if (is_task(s))
		objects_render_task(&s->dbops, &claim, &patch);
	else
		objects_render_operation(&s->dbops, &claim, &patch);
	step_patch_guarded(s, KIND_BGINSTANCE, s->name, NULL, &s->instance, &patch, on_told);
}

/* A run begins: what the last one said is taken out. */
static void
claim_run(struct step *s, struct dbops_status *st)
{
	st->phase = st->outcome = CHOICE_dbops_phase_RUNNING;
	st->message = st->step = st->next_run = STR("");
	if (s->dbops.cron.len > 0)
		st->next_run = s->dbops.next_run;
	s->fresh = !is_repeated(&s->dbops);
	if (!s->fresh)
		return;
	st->started_at = str_of(st->now);
	st->finished_at = st->instances = st->results = STR("");
	st->retries = st->percent = 0;
	st->has_output = true;
	st->cleanup = CHOICE_dbops_cleanup_NONE;
}

/* step: of s, for as long as st is. */
static void
claim_server(struct step *s, struct dbops_status *st, char step[TASK_STEP_MAX + 1])
{
	struct dbops_server server = {
	    .name = st->instance, .pod = st->pod_uid, .phase = CHOICE_dbops_phase_RUNNING};

	(void)dbops_put_servers(s, st, &server);
	snprintf(step, TASK_STEP_MAX + 1, "%.16ss %.63s", choice_text(VOCAB_dbops_op, s->dbops.op),
	    s->name);
	st->step = str_of(step);
}

static void
claim(struct step *s)
{
	char now[21], pod[UID_TEXT_SIZE], instance[UID_TEXT_SIZE], text[TASK_STEP_MAX + 1];
	struct dbops_status st;

	if (s->claimed) {
		tell(s);
		return;
	}
	time_rfc3339(now, clock_wall_s());
	uid_format(pod, &s->req.target);
	uid_format(instance, &s->instance.uid);
	objects_dbops_status_of(&s->dbops, now, &st);
	if (s->op.cleanup)
		st.cleanup = CHOICE_dbops_cleanup_RUNNING;
	else if (!goes_on(s))
		claim_run(s, &st);
	else
		st.message = STR("");
	st.attempt = s->op.attempt;
	st.instance = str_of(s->name);
	st.pod_uid = str_of(pod);
	st.instance_uid = str_of(instance);
	if (dbops_does_servers(&s->dbops))
		claim_server(s, &st, text);
	dbops_write_status(s, &st, tell);
}

static void
claim_with_finalizer(struct step *s)
{
	if (s->dbops.meta.finalizer || s->dbops.meta.deleting)
		claim(s);
	else
		dbops_write_finalizer(s, true, claim);
}

/* --- What the instance does already. */

/* It is of the present pod; what an earlier one was told is nothing. */
static bool
is_there(const struct bginstance *i, unsigned slot)
{
	return i->task[slot].id.len > 0 && str_eq(i->task[slot].pod, i->pod_uid);
}

static bool
is_busy(const struct bginstance *i, unsigned slot)
{
	const struct bginstance_task *t = &i->task[slot];

	return is_there(i, slot) && (!str_eq(t->id, t->done_id) || t->attempt != t->done_attempt ||
					t->phase <= CHOICE_task_phase_RUNNING);
}

/* What that slot holds is what the reconciler knew, and has taken in. */
static bool
is_as_known(const struct step *s, const struct bginstance *i, unsigned slot)
{
	const struct bginstance_task *t = &i->task[slot];
	struct uid id;

	if (!is_there(i, slot) || uid_parse(t->id, &id) == -1)
		return s->op.held == 0;
	return model_uid_key(&id) == s->op.held && t->attempt == s->op.held_attempt;
}

/* Which slot is told: where it was before, whatever the reconciler says, so that it has one. */
static unsigned
slot_of(const struct step *s, const struct bginstance *i, const char *uid)
{
	for (unsigned k = 0; k < TASKS_MAX; k++)
		if (is_there(i, k) && str_is(i->task[k].id, uid))
			return k;
	return s->op.slot;
}

/* Why it can not be told now; NULL = it can. */
static const char *
find_obstacle(const struct step *s, const struct bginstance *i, const char *uid)
{
	unsigned kind = s->op.cleanup ? CHOICE_task_kind_CLEANUP : dbops_info[s->dbops.op].task;
	unsigned slots = 1;

	for (unsigned k = 0; k < TASKS_MAX; k++) {
		if (!is_busy(i, k))
			continue;
		if (str_is(i->task[k].id, uid) || k == s->slot)
			return "has not ended what it was told before";
		if (model_tasks_conflict(i->task[k].kind, kind))
			return "does what this may not run beside";
	}
	if (i->task_slots > 0)
		slots = (unsigned)i->task_slots;
	if (s->slot >= slots)
		return "knows no such slot";
	if (!(is_there(i, s->slot) && str_is(i->task[s->slot].id, uid)) &&
	    !is_as_known(s, i, s->slot))
		return "has done something else meanwhile";
	return NULL;
}

/* False: the step has ended. */
static bool
look_at_tasks(struct step *s, const struct bginstance *i)
{
	char uid[UID_TEXT_SIZE];
	const char *why;

	uid_format(uid, &s->dbops.meta.uid);
	for (unsigned k = 0; k < TASKS_MAX; k++)
		if (is_there(i, k) && str_is(i->task[k].id, uid) &&
		    i->task[k].attempt == s->op.attempt)
			s->told = true;
	if (s->told)
		return true;
	s->slot = slot_of(s, i, uid);
	why = find_obstacle(s, i, uid);
	if (why != NULL)
		step_end(s, CHOICE_step_code_CONFLICT, REASON_NONE, "%s %s", s->name, why);
	return why == NULL;
}

/* Was it told this, or does it do something else? False: the step has ended. */
static bool
look_at_operation(struct step *s, const struct bginstance *i)
{
	struct uid id = model_operation_id(&s->dbops.meta.uid, s->op.attempt, s->req.ordinal);
	char uid[UID_TEXT_SIZE];

	uid_format(uid, &id);
	s->told = str_is(i->operation_id, uid);
	if (s->told || !step_is_operating(i))
		return true;
	step_end(s, CHOICE_step_code_CONFLICT, REASON_NONE,
	    "%s has not ended what it was told before", s->name);
	return false;
}

/* The reconciler compares it too; what holds is what is compared here. */
static bool
is_of_system(struct step *s, const struct bginstance *i)
{
	if (s->dbops.op != CHOICE_dbops_op_FAILOVER || s->op.cleanup ||
	    str_eq(s->dbops.system_identifier, i->system_identifier))
		return true;
	step_end(s, CHOICE_step_code_INVALID, REASON_NONE,
	    "spec.failover.systemIdentifier is not that of %s", s->name);
	return false;
}

static void
on_instance(struct step *s, const struct kube_reply *r)
{
	struct bginstance i;
	struct json j;

	if (!step_parse_instance(s, r, &j, &i) || !step_is_targets(s, &i))
		return;
	if (is_task(s) ? !look_at_tasks(s, &i) : !look_at_operation(s, &i) || !is_of_system(s, &i))
		return;
	s->instance = patch_guard(&i.meta);
	claim_with_finalizer(s);
}

static void
on_cluster(struct step *s, const struct kube_reply *r)
{
	struct err e;

	if (step_replied(r, 404))
		step_end(s, CHOICE_step_code_GONE, REASON_NONE, "the BGCluster is not there");
	else if (!step_ok(r))
		step_fail(s, r);
	else if (step_decode_cluster(s, r->body, &e) == -1)
		step_end_err(s, &e);
	else if (policy_is_going(&s->cluster) || s->cluster.meta.paused || s->cluster.hibernated)
		step_end(s, CHOICE_step_code_CONFLICT, REASON_NONE,
		    "the BGCluster is paused, hibernated or being deleted");
	else
		step_get(s, KIND_BGINSTANCE, s->name, on_instance);
}

void
verb_dbops_tell(struct step *s)
{
	model_child_name(s->name, CHILD_INSTANCE, s->req.name, s->req.ordinal);
	s->claimed = is_claimed(s);
	if (s->claimed || goes_on(s) || (may_claim(s) && is_due(s)))
		step_get(s, KIND_BGCLUSTER, s->req.name, on_cluster);
	else if (may_claim(s))
		step_end(s, CHOICE_step_code_CONFLICT, REASON_NONE,
		    "policy, dbops tell: its spec says not now");
	else
		step_end(s, CHOICE_step_code_CONFLICT, REASON_NONE,
		    "policy, dbops tell: its status does not allow attempt %u", s->op.attempt);
}
