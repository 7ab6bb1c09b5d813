/*
 * Patroni on loopback: polls, and what it is asked to do: a switchover, a restart, a look at once.
 * What it says goes to view.c; whether it lives, to init.
 */
#include "instance/agent.h"

#define POLL_MS 1000
#define POLL_EAGER_MS 150 /* while PostgreSQL is up, but does not serve yet */
#define POLL_START_MS 500 /* before: each answer costs Patroni an attempt to connect */
#define ASK_MS 1000
#define ALIVE_MS 700
#define SWITCHOVER_MS 60000 /* a large server may take long to stop */
#define CLUSTER_EVERY 5     /* polls */
#define MISSES_MAX 3
#define NEAR (1 << 20) /* report.c's lag class None */
#define ARENA_MAX (4u << 20)

static struct arena arena; /* of one answer */
static unsigned misses;    /* of /patroni, in a row */
static bool deaf;          /* the last poll had no answer at all */

static void
ask(struct agent *a, const char *path, int timeout_ms,
    void (*done)(void *, const struct kube_reply *))
{
	const struct kube_request r = {.method = KUBE_GET, .path = path, .timeout_ms = timeout_ms};

	kube_send(a->rest, &r, done, a);
}

static bool
serves(const struct agent *a)
{
	return a->view.known && a->view.running && a->view.cluster_known &&
	       (a->view.leads || a->view.streaming) &&
	       (!a->view.primary ||
		   (a->bootstrapped && (a->view.has_sync || !agent_wants_sync(a))));
}

static void
end_poll(struct agent *a, bool answered)
{
	struct msec now = clock_boot();
	int64_t ms = !answered          ? POLL_EAGER_MS
	             : operate_eager(a) ? POLL_EAGER_MS
	             : serves(a)        ? POLL_MS
	             : a->state.accepts ? POLL_EAGER_MS
	                                : POLL_START_MS;

	a->polling = false;
	a->polls++;
	a->poll_next.v = now.v + ms;
	ev_timer_stop(a->self.loop, &a->poll_timer);
	ev_timer_set(&a->poll_timer, (double)(ms + 1) / 1000., 0.);
	ev_timer_start(a->self.loop, &a->poll_timer);
	deaf = !answered;
	if (!a->view.cluster_known || a->view.has_leader)
		a->leaderless_since.v = 0;
	else if (a->leaderless_since.v == 0)
		a->leaderless_since = now;
	agent_tell_seen(a, answered);
	child_worked(&a->self);
	agent_look(a);
}

static int
parse(const struct kube_reply *r, struct json *j, struct err *e)
{
	arena_reset(&arena);
	return json_parse(j, r->body, &arena, e);
}

static void
take_cluster(struct agent *a, const struct kube_reply *r)
{
	struct json j;
	struct err e;

	if (r->outcome != KUBE_REPLIED || r->status != 200)
		a->view.cluster_known = false;
	else if (parse(r, &j, &e) == -1 ||
		 view_read_cluster(
		     &a->view, &j, a->pod, a->spec != NULL ? a->spec->instances : 0, &e) == -1) {
		a->view.cluster_known = false;
		log_warn("patroni_cluster", NULL, "%s", e.text);
	}
}

static void
on_cluster(void *arg, const struct kube_reply *r)
{
	struct agent *a = arg;

	take_cluster(a, r);
	end_poll(a, true);
}

/* /patroni asks PostgreSQL and may hang with it; /liveness does not. */
static void
on_alive(void *arg, const struct kube_reply *r)
{
	struct agent *a = arg;

	if (r->outcome != KUBE_REPLIED && ++misses >= MISSES_MAX)
		view_silent(&a->view);
	end_poll(a, r->outcome == KUBE_REPLIED);
}

static bool
same_standing(const struct view *x, const struct view *y)
{
	return x->known && x->primary == y->primary && x->running == y->running &&
	       x->streaming == y->streaming && x->timeline == y->timeline &&
	       x->unlocked == y->unlocked && x->near == y->near && strcmp(x->state, y->state) == 0;
}

static void
on_patroni(void *arg, const struct kube_reply *r)
{
	struct agent *a = arg;
	struct view before = a->view;
	struct json j;
	struct err e = {0};

	if (r->outcome != KUBE_REPLIED || parse(r, &j, &e) == -1 ||
	    view_read_patroni(&a->view, &j, r->status == 200, &e) == -1) {
		if (r->outcome == KUBE_REPLIED)
			log_warn("patroni_status", NULL, "HTTP %d: %s", r->status, e.text);
		if (++misses >= MISSES_MAX)
			view_silent(&a->view);
		ask(a, "/liveness", ALIVE_MS, on_alive);
		return;
	}
	misses = 0;
	clone_note(&a->clones, a->view.state, a->view.running);
	start_note(&a->starts, a->view.state, a->view.running, clock_boot());
	if (same_standing(&before, &a->view) && serves(a) && a->polls % CLUSTER_EVERY != 0 &&
	    !operate_eager(a))
		end_poll(a, true);
	else
		ask(a, "/cluster", ASK_MS, on_cluster);
}

/*
 * A replica's poll asks in one whether it is near the leader; elsewhere the answer's status means
 * nothing.
 */
static void
ask_status(struct agent *a)
{
	int64_t near = a->spec != NULL && a->spec->max_lag < NEAR ? a->spec->max_lag : NEAR;
	char path[64];

	(void)snprintf(path, sizeof(path), "/replica?lag=%lld", (long long)near);
	ask(a, path, ASK_MS, on_patroni);
}

void
patroni_look(struct agent *a)
{
	if (a->polling || !a->state_known || !a->state.patroni_running || a->now.v < a->poll_next.v)
		return;
	if (arena.cap == 0)
		arena_init(&arena, ARENA_MAX);
	a->polling = true;
	if (deaf)
		ask(a, "/liveness", ALIVE_MS, on_alive); /* quick: how long it is silent counts */
	else
		ask_status(a);
}

/* --- Requests that change something: one at a time of each. */

static void (*switched)(struct agent *a, int status, struct str text);
static char switch_to[NAME_MAX_LABEL + 1]; /* the candidate that was asked for, or empty */
static void (*posted)(struct agent *a, int status, struct str text);

static void
answer(struct agent *a, void (**asked)(struct agent *, int, struct str), const struct kube_reply *r)
{
	void (*done)(struct agent *, int, struct str) = *asked;

	*asked = NULL;
	if (r->outcome != KUBE_REPLIED)
		done(a, 0, str_of(r->err.text));
	else
		done(a, r->status, r->body);
}

static void
on_switchover(void *arg, const struct kube_reply *r)
{
	answer(arg, &switched, r);
}

/*
 * In synchronous mode the candidate is named. Else, if this leader dies before it has handed over,
 * the request that stays behind (ConfigMap -failover) has each synchronous standby compare itself
 * with all members (patroni/ha.py, manual_failover_process_no_leader): one that is not synchronous
 * and a few bytes ahead may not lead, and holds back the one that may, for good.
 */
static void
post_switchover(struct agent *a)
{
	struct kube_request r = {.method = KUBE_POST,
	    .path = "/switchover",
	    .content = KUBE_JSON,
	    .timeout_ms = SWITCHOVER_MS};
	struct buf body;
	struct jw w;

	buf_init(&body, 512);
	jw_init(&w, &body);
	jw_object(&w);
	jw_kv(&w, "leader", a->pod);
	if (switch_to[0] != '\0')
		jw_kv(&w, "candidate", switch_to);
	else if (a->view.candidate[0] != '\0' && (a->view.candidate_sync || agent_must_leave(a)))
		jw_kv(&w, "candidate", a->view.candidate);
	jw_end(&w);
	r.body = buf_view(&body);
	kube_send(a->rest, &r, on_switchover, a);
	buf_free(&body);
}

static void
on_candidates(void *arg, const struct kube_reply *r)
{
	take_cluster(arg, r);
	post_switchover(arg);
}

void
patroni_post_switchover(struct agent *a, const char *candidate,
    void (*done)(struct agent *a, int status, struct str text))
{
	if (switched != NULL) {
		done(a, 0, STR("a switchover is under way"));
		return;
	}
	switched = done;
	(void)snprintf(switch_to, sizeof(switch_to), "%s", candidate != NULL ? candidate : "");
	ask(a, "/cluster", ASK_MS, on_candidates); /* the last poll's may be 5 s old */
}

static void
on_posted(void *arg, const struct kube_reply *r)
{
	answer(arg, &posted, r);
}

bool
patroni_post(struct agent *a, const char *path, struct str body, int timeout_ms,
    void (*done)(struct agent *a, int status, struct str text))
{
	const struct kube_request r = {.method = KUBE_POST,
	    .path = path,
	    .content = KUBE_JSON,
	    .body = body,
	    .timeout_ms = timeout_ms};

	if (posted != NULL)
		return false;
	posted = done;
	kube_send(a->rest, &r, on_posted, a);
	return true;
}

static void
on_woken(void *arg, const struct kube_reply *r)
{
	(void)arg;
	if (r->outcome != KUBE_REPLIED || r->status != 200)
		log_info("wake", NULL, "Patroni looks when it looks: HTTP %d %s", r->status,
		    r->outcome != KUBE_REPLIED ? r->err.text : "");
}

/*
 * A new leader makes its replicas' slots in its next loop, up to loop_wait later; a replica that
 * came too soon for its slot asks again after 5 s (wal_retrieve_retry_interval). Dropping a key
 * that is not there changes nothing, but has Patroni look at once (patroni/api.py).
 */
void
patroni_wake(struct agent *a)
{
	const struct kube_request q = {.method = KUBE_PATCH,
	    .path = "/config",
	    .content = KUBE_JSON,
	    .body = STR("{\"bestgres\":null}")};

	if (!agent_leads(a)) {
		a->woken = false;
	} else if (!a->woken && a->password_known) {
		a->woken = true;
		kube_send(a->rest, &q, on_woken, a);
	}
}
