/*
 * What the operator tells this pod to do once, by way of Patroni: a switchover, a restart, a
 * reload, a failover. Whoever finds that what was asked is so already is done; what that does not
 * tell apart is noted in status before it begins, so that it is not done twice (operations[] says
 * which). Patroni may die with the answer: then what is so tells, or becomes so within a bound.
 */
#include "instance/agent.h"

#define FAILOVER_MS 60000
#define RELOAD_MS 10000
#define RESTART_MS                                                                                 \
	600000 /* the stop has no bound of its own (patroni/postgresql, Postgresql.stop) */
#define AGAIN_MS 1000
#define SYNC_AGAIN_MS 5000   /* a checkpoint each time */
#define STREAM_WAIT_MS 15000 /* a candidate asks for a stream that broke off again after 5 s */
/* That it can not be begun: somebody waits for a primary; or for a server that recovers. */
#define LEAD_WAIT_MS 120000
#define SERVER_WAIT_MS (RESTART_MS + 300000)
/*
 * A lock that nobody renews is free after ttl; then somebody takes it, who may have to replay
 * first.
 */
#define OUTCOME_MS 60000

/*
 * At most: init looks once in a tick, so it sees the beginning late, and what is shorter not at
 * all.
 */
static uint32_t
outage(const struct operate_job *job)
{
	int64_t seen = job->down.v != 0 ? clock_boot().v - job->down.v : 0;

	return (uint32_t)(seen + TICK_MS);
}

/* The first poll that shows what is so after now: one under way may have been answered before. */
static unsigned
next_poll(const struct agent *a)
{
	return a->polls + (a->polling ? 2 : 1);
}

static void
finish(struct agent *a, enum choice_operation_phase phase, struct str text)
{
	struct operate_job *job = &a->operate;

	job->phase = (uint8_t)phase;
	job->seen_at = next_poll(a);
	a->poll_next.v = 0;
	if (job->led && job->begun && phase == CHOICE_operation_phase_SUCCEEDED &&
	    job->kind != CHOICE_operation_RELOAD)
		job->outage_ms = outage(job);
	str_copy_text(job->text, sizeof(job->text), text);
	log_line(phase == CHOICE_operation_phase_FAILED ? LOG_WARN : LOG_INFO, "operation", NULL,
	    "%s %s: %s", choice_text(VOCAB_operation, job->kind),
	    choice_text(VOCAB_operation_phase, job->phase), job->text);
	agent_look(a);
}

void
operate_finish(struct agent *a, enum choice_operation_phase phase, struct str text)
{
	finish(a, phase, text);
}

__attribute__((format(printf, 2, 3))) static void
fail(struct agent *a, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	finish(a, CHOICE_operation_phase_FAILED, str_of(text));
}

static void
succeed(struct agent *a, const char *text)
{
	finish(a, CHOICE_operation_phase_SUCCEEDED, str_of(text));
}

/*
 * Whose the request under way is: an answer that comes when the operator has put another operation
 * in its place says nothing of that.
 */
static unsigned asked_for;

static void
ask(struct agent *a, const char *path, struct str body, int timeout_ms,
    void (*done)(struct agent *a, int status, struct str text))
{
	a->operate.begun = patroni_post(a, path, body, timeout_ms, done);
	if (a->operate.begun)
		asked_for = a->operate.number;
	else
		a->operate.next.v = clock_boot().v + AGAIN_MS;
}

static bool
says(struct str answer, const char *words)
{
	return memmem(answer.p, answer.len, words, strlen(words)) != NULL;
}

static bool
is_late(struct agent *a)
{
	if (asked_for == a->operate.number && a->operate.phase == CHOICE_operation_phase_RUNNING)
		return false;
	agent_look(a);
	return true;
}

static bool
candidate_leads(const struct agent *a)
{
	return a->operate.candidate[0] != '\0' && strcmp(a->view.leader, a->operate.candidate) == 0;
}

/* Silence is no handover. */
static bool
another_leads(const struct agent *a)
{
	return a->view.known && a->view.cluster_known && a->view.has_leader && !a->view.leads;
}

/* Patroni was asked, for all that is known, and its answer is lost or says nothing. */
static void
await_outcome(struct agent *a)
{
	int64_t ttl_s = a->spec != NULL ? a->spec->ttl : 0;

	a->operate.begun = true;
	a->operate.until.v = clock_boot().v + OUTCOME_MS + ttl_s * 1000;
}

/* --- Switchover and failover: who leads then. */

static bool
was_handed_over(const struct agent *a)
{
	bool named =
	    a->operate.candidate[0] != '\0' || a->operate.kind == CHOICE_operation_FAILOVER;

	return named ? candidate_leads(a) : another_leads(a);
}

static void
look_at_outcome(struct agent *a)
{
	if (a->view.cluster_known && was_handed_over(a))
		succeed(a, "it was handed over");
	else if (a->now.v >= a->operate.until.v)
		fail(a, "interrupted: Patroni's answer was lost, and %s",
		    a->operate.candidate[0] != '\0' ? "the candidate does not lead"
						    : "no other instance leads");
}

/* Its words are of patroni/api.py, poll_failover_result. */
/* There will be one: a primary that has just begun has none. */
static bool
awaits_standby(const struct agent *a, struct str text)
{
	return says(text, "can not find sync_standby") ||
	       (says(text, "not match with sync_standby") &&
		   (a->operate.candidate[0] == '\0' || !a->view.has_sync ||
		       a->now.v < a->operate.came.v + STREAM_WAIT_MS));
}

static void
on_handed_over(struct agent *a, int status, struct str text)
{
	if (is_late(a))
		return;
	if (was_handed_over(a) || (status == 200 && !says(text, "instead of")))
		finish(a, CHOICE_operation_phase_SUCCEEDED, text);
	else if (status == 0 || says(text, "status unknown"))
		await_outcome(a);
	else if (awaits_standby(a, text)) {
		a->operate.begun = a->operate.posted = false;
		a->operate.next.v = clock_boot().v + SYNC_AGAIN_MS;
	} else
		finish(a, CHOICE_operation_phase_FAILED, text);
}

/* Whatever came of the checkpoint: it only makes the switchover quicker. */
void
operate_checkpointed(struct agent *a, const struct msg_checkpoint_done *m)
{
	if (m->text[0] != '\0')
		log_warn("checkpoint", NULL, "%s", m->text);
	if (a->operate.kind != CHOICE_operation_SWITCHOVER || !a->operate.begun ||
	    a->operate.posted || a->operate.phase != CHOICE_operation_phase_RUNNING)
		return;
	a->operate.posted = true;
	asked_for = a->operate.number;
	patroni_post_switchover(a, a->operate.candidate, on_handed_over);
}

/* A new pgctl knows of no checkpoint. */
void
operate_edge_new(struct agent *a)
{
	if (a->operate.kind == CHOICE_operation_SWITCHOVER && !a->operate.posted)
		a->operate.begun = false;
}

/* Patroni looks at no candidate's lag; false: the operation has ended, or it is looked at again. */
static bool
candidate_fits(struct agent *a)
{
	const char *name = a->operate.candidate;
	const struct view_member *m = view_find(&a->view, name);
	int64_t max_lag = a->spec != NULL ? a->spec->max_lag : 0;

	if (m == NULL)
		fail(a, "candidate %s is no member of the cluster", name);
	else if (!m->streaming && a->now.v < a->operate.came.v + STREAM_WAIT_MS)
		return false;
	else if (!m->streaming)
		fail(a, "candidate %s does not stream from the primary", name);
	else if (m->lag < 0 || m->lag > max_lag)
		fail(a,
		    "candidate %s lags %lld bytes behind, spec.patroni.maximumLagOnFailover is "
		    "%lld",
		    name, (long long)m->lag, (long long)max_lag);
	else
		return true;
	return false;
}

static void
begin_switchover(struct agent *a)
{
	struct ipc_msg m = {.type = IPC_CHECKPOINT, .fds = {-1, -1}};
	bool named = a->operate.candidate[0] != '\0';

	if (named && candidate_leads(a))
		succeed(a, "the candidate leads");
	else if (!agent_leads(a) && !a->operate.automatic && !another_leads(a))
		return; /* what a former agent has asked for may be under way */
	else if (named && !agent_leads(a))
		fail(a, "this instance does not lead, so it can not hand over");
	else if (!agent_leads(a))
		succeed(a, "this instance does not lead");
	else if (!named && agent_must_leave(a) && a->view.candidate[0] == '\0')
		fail(a, "no instance that stays is streaming, so none can lead");
	else if (!named || candidate_fits(a))
		a->operate.begun = child_send(&a->self, &m);
}

/* --- Restart, where a parameter waits for it; and always. */

static bool
shows_a_server(const struct agent *a)
{
	return a->view.running && a->view.started[0] != '\0' && a->polls >= a->operate.seen_at;
}

/* The note names the server that is to go. */
static void
put_note(const struct agent *a, char note[IPC_TEXT_MAX + 1])
{
	(void)snprintf(
	    note, IPC_TEXT_MAX + 1, "restarting the server that started at %s", a->view.started);
}

static bool
shows_another(const struct agent *a)
{
	char note[IPC_TEXT_MAX + 1];

	put_note(a, note);
	return shows_a_server(a) && (a->operate.kind == CHOICE_operation_RESTART
					    ? strcmp(a->operate.server, a->view.started)
					    : strcmp(note, a->operate.text)) != 0;
}

/* The server was stopped, or killed, and did not start: Patroni tries again by itself. */
static void
look_at_server(struct agent *a)
{
	if (shows_another(a))
		succeed(a, "");
	else if (a->now.v >= a->operate.until.v)
		fail(a, "restart failed: %s; see the pod's log",
		    a->view.known && a->view.running ? "the server could not be stopped"
						     : "no server runs");
}

/* No answer, or Patroni is at it, or its server replays, or is another: what then runs decides. */
static void
on_restarted(struct agent *a, int status, struct str text)
{
	if (is_late(a))
		return;
	if (status == 200) {
		succeed(a, "");
	} else if (status == 0 || says(text, "in progress") || says(text, "still starting") ||
		   says(text, "conditions are not satisfied")) {
		a->operate.begun = false;
		a->operate.next.v = clock_boot().v + AGAIN_MS;
		a->operate.seen_at = next_poll(a);
	} else if (says(text, "restart failed")) {
		await_outcome(a);
		a->operate.seen_at = next_poll(a);
	} else {
		finish(a, CHOICE_operation_phase_FAILED, text);
	}
}

/*
 * A primary that was just restarted for a lowered value has ended the stream by which that comes:
 * a replica that is restarted before it is back may still not have less. A poll that was under way
 * when this came may tell of the stream before.
 */
static bool
awaits_stream(struct agent *a)
{
	const struct operate_job *job = &a->operate;
	bool seen = a->polls - job->polls >= 2;

	if (!a->view.restart_lowers || a->view.primary || (seen && a->view.streaming) ||
	    a->now.v >= job->came.v + STREAM_WAIT_MS)
		return false;
	if (!seen)
		a->poll_next.v = 0;
	return true;
}

/*
 * Patroni restarts only where it still waits, so whoever does not know that it was asked may ask
 * again. Who knows compares the server with that of then: a parameter may go on waiting.
 */
static void
begin_restart(struct agent *a)
{
	struct operate_job *job = &a->operate;

	if (job->server[0] != '\0' && !shows_a_server(a))
		return;
	if (!a->view.pending_restart) {
		succeed(a, "nothing waits for a restart");
	} else if (job->server[0] != '\0' && shows_another(a)) {
		succeed(a, "");
	} else if (!awaits_stream(a)) {
		(void)snprintf(job->server, sizeof(job->server), "%s", a->view.started);
		ask(a, "/restart", STR("{\"restart_pending\":true}"), RESTART_MS, on_restarted);
	}
}

static void
begin_restart_always(struct agent *a)
{
	if (!shows_a_server(a))
		return; /* it comes up, or another is told by its operator */
	if (shows_another(a)) {
		succeed(a, "");
		return;
	}
	if (!awaits_stream(a))
		ask(a, "/restart", STR("{}"), RESTART_MS, on_restarted);
}

/* --- Reload */

static void
on_reloaded(struct agent *a, int status, struct str text)
{
	if (is_late(a))
		return;
	if (status == 202 || status == 200) {
		succeed(a, "");
	} else if (status == 0) { /* once more harms nobody */
		a->operate.begun = false;
		a->operate.next.v = clock_boot().v + AGAIN_MS;
	} else {
		finish(a, CHOICE_operation_phase_FAILED, text);
	}
}

static void
begin_reload(struct agent *a)
{
	ask(a, "/reload", STR("{}"), RELOAD_MS, on_reloaded);
}

/* --- Failover: may lose what the candidate has not got, so it is asked for once or not at all. */

static void
begin_failover(struct agent *a)
{
	char body[NAME_MAX_LABEL + 32];

	if (candidate_leads(a)) {
		succeed(a, "the candidate leads");
		return;
	}
	if (a->operate.resumed) {
		await_outcome(a);
		return;
	}
	/* the decoder has let only a DNS label through */
	(void)snprintf(body, sizeof(body), "{\"candidate\":\"%s\"}", a->operate.candidate);
	ask(a, "/failover", str_of(body), FAILOVER_MS, on_handed_over);
}

/* --- All of them. */

static const struct {
	void (*begin)(struct agent *);
	void (*look)(struct agent *); /* while what was asked for becomes so by itself */
	/*
	 * In status, before it begins; else it may be begun again by whoever does not know of it.
	 */
	bool noted;
	int64_t wait_ms; /* until it is begun; then it can not be done */
} operations[CHOICE_operation_COUNT] = {
    [CHOICE_operation_SWITCHOVER] = {begin_switchover, look_at_outcome, false, LEAD_WAIT_MS},
    [CHOICE_operation_RESTART] = {begin_restart, look_at_server, false, SERVER_WAIT_MS},
    [CHOICE_operation_RESTART_ALWAYS] = {begin_restart_always, look_at_server, true,
	SERVER_WAIT_MS},
    [CHOICE_operation_RELOAD] = {begin_reload, NULL, false, SERVER_WAIT_MS},
    [CHOICE_operation_FAILOVER] = {begin_failover, look_at_outcome, true, LEAD_WAIT_MS},
    [CHOICE_operation_REINIT] = {NULL, NULL, true, 0},
};

bool
operate_is_quiet(const struct agent *a)
{
	const struct operate_job *job = &a->operate;

	return !operations[job->kind].noted && strcmp(a->stored.operation_id, job->id) != 0 &&
	       (job->phase == CHOICE_operation_phase_RUNNING ||
		   (job->phase == CHOICE_operation_phase_SUCCEEDED && a->polls < job->seen_at));
}

/* The cluster as it was after the operation came, where a candidate is judged by it. */
static bool
seen(const struct agent *a)
{
	return a->view.known && a->view.cluster_known &&
	       (a->operate.candidate[0] == '\0' || a->polls - a->operate.polls >= 2);
}

bool
operate_eager(const struct agent *a)
{
	return a->operate.phase == CHOICE_operation_phase_RUNNING && !a->operate.begun &&
	       a->operate.candidate[0] != '\0';
}

/* By a former agent: it is not asked again, so who leads then tells. */
static bool
may_have_been_asked(const struct operate_job *job)
{
	return job->until.v != 0 || (job->resumed && job->kind == CHOICE_operation_FAILOVER);
}

/* It has waited too long; what for? */
static bool
is_overdue(struct agent *a)
{
	const struct operate_job *job = &a->operate;
	int64_t wait_ms = operations[job->kind].wait_ms;
	bool asked = may_have_been_asked(job);

	if (a->now.v < job->came.v + wait_ms)
		return false;
	fail(a, "%sit could not be %s within %lld s: %s",
	    asked ? "interrupted: whether Patroni was asked is not known, and " : "",
	    asked ? "looked up" : "done", (long long)(wait_ms / 1000),
	    !a->password_known || !seen(a) ? "Patroni does not answer; see the pod's log"
	    : !a->view.running             ? "PostgreSQL does not run; see the pod's log"
	    : job->kind == CHOICE_operation_SWITCHOVER && agent_wants_sync(a) && !a->view.has_sync
		? "no replica is synchronous"
	    : a->view.has_leader ? "what it waited for did not come"
				 : "no instance leads");
	return true;
}

static void
begin(struct agent *a)
{
	struct operate_job *job = &a->operate;

	if (job->kind == CHOICE_operation_RESTART_ALWAYS && job->text[0] == '\0') {
		if (a->view.running && a->view.started[0] != '\0')
			put_note(a, job->text);
		return;
	}
	/* Else a crash would leave no trace of it. */
	if (!operations[job->kind].noted ||
	    (strcmp(a->stored.operation_id, job->id) == 0 &&
		strcmp(a->stored.operation_message, job->text) == 0 && !a->status.busy)) {
		job->led = a->view.primary;
		operations[job->kind].begin(a);
	}
}

/*
 * Its server is stopped until somebody takes that back, so nothing comes of what has not begun. A
 * clone is what Patroni goes on with then; only what init was told of that has an answer to come.
 */
static bool
rests(struct agent *a)
{
	const struct operate_job *job = &a->operate;

	if (a->stop == CHOICE_stop_NONE || job->begun || may_have_been_asked(job) ||
	    (job->kind == CHOICE_operation_REINIT && reinit_is_told(a)))
		return false;
	fail(a, "interrupted: this instance is to rest (spec.fencedInstances, spec.hibernated); "
		"take that back, and do it anew");
	return true;
}

void
operate_look(struct agent *a)
{
	struct operate_job *job = &a->operate;

	if (job->phase != CHOICE_operation_phase_RUNNING || rests(a))
		return;
	if (job->kind == CHOICE_operation_REINIT) {
		if (a->password_known && strcmp(a->stored.operation_id, job->id) == 0 &&
		    !a->status.busy)
			reinit_look(a);
		return;
	}
	if (operations[job->kind].begin == NULL)
		fail(a, "this instance knows no such operation");
	else if (job->until.v != 0)
		operations[job->kind].look(a);
	else if (!job->begun && !is_overdue(a) && a->password_known && a->now.v >= job->next.v &&
		 seen(a))
		begin(a);
}

/* init's word on whether PostgreSQL takes connections: how long a primary did not is an outage. */
void
operate_accepts(struct agent *a, bool accepts)
{
	struct operate_job *job = &a->operate;

	if (!accepts && job->down.v == 0 && job->begun && job->led &&
	    job->phase == CHOICE_operation_phase_RUNNING)
		job->down = clock_boot();
}

void
operate_take(struct agent *a, const struct bginstance *i)
{
	struct operate_job *job = &a->operate;
	unsigned number = job->number + 1;

	if (i->operation_id.len == 0 || !str_is(i->operation_pod, a->pod_uid) ||
	    str_is(i->operation_id, job->id))
		return;
	*job = (struct operate_job){.kind = i->operation,
	    .phase = CHOICE_operation_phase_RUNNING,
	    .automatic = i->operation_generation != 0,
	    .number = number,
	    .polls = a->polls,
	    .came = clock_boot()};
	str_copy_text(job->id, sizeof(job->id), i->operation_id);
	str_copy_text(job->candidate, sizeof(job->candidate), i->operation_candidate);
	if (job->candidate[0] != '\0')
		a->poll_next.v = 0;
	if (!str_eq(i->done_id, i->operation_id) || i->done_phase == CHOICE_operation_phase_NONE ||
	    !str_is(i->pod_uid, a->pod_uid))
		return;
	/* a former agent of this pod has noted it, or ended it */
	job->phase = i->done_phase;
	job->resumed = true;
	job->outage_ms = (uint32_t)i->done_outage_ms;
	str_copy_text(job->text, sizeof(job->text), i->done_message);
}
