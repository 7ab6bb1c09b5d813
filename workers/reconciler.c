/*
 * The reconciler: no token, no socket, no file. Records come in from the watcher, steps go out to
 * the executor; what lies between is plan/. This file is the loop: edges that come and go, the one
 * timer, what the supervisor says.
 */
#include <ev.h>
#include <stdio.h>

#include "workers/reconciler.h"
#include "workers/workers.h"

/*
 * After this long, what a list did not name yet is made all the same: making what is there is no
 * harm, and its refusal says what is wrong.
 */
#define IMPATIENT_S 10.0

struct reconciler {
	struct worker *w;
	struct table table;
	struct feed feed;
	struct steps steps;
	bool executor; /* its edge is up */
	ev_timer timer, impatience;
	ev_prepare prepare;
};

static struct reconciler reconciler;

/* --- The loop: once it has taken in all that came, before it sleeps. */

static void
arm(struct reconciler *r, struct msec next, struct msec now)
{
	ev_timer_stop(r->w->loop, &r->timer);
	if (next.v == PLAN_NEVER)
		return;
	ev_timer_set(&r->timer, next.v > now.v ? (double)(next.v - now.v) / 1000.0 : 0.0, 0.0);
	ev_timer_start(r->w->loop, &r->timer);
}

/* What was left out is listed anew where there is room again. Returns when to look again. */
static struct msec
relist_dbops(struct reconciler *r, struct msec now)
{
	static struct ipc_msg m = {.type = IPC_RELIST_DBOPS, .fds = {-1, -1}};
	struct msec next = {PLAN_NEVER};

	for (unsigned i = 0; i < r->table.namespaces_n; i++) {
		struct msec when;

		if (dbops_relist_is_due(&r->table, i, now, &when)) {
			snprintf(m.relist_dbops.namespace, sizeof(m.relist_dbops.namespace), "%s",
			    r->table.namespaces[i].name);
			if (worker_send(r->w, ROLE_WATCHER, &m))
				dbops_relisted(&r->table, i, now);
			else
				when.v = now.v + SPARE_MS;
		}
		if (when.v < next.v)
			next = when;
	}
	return next;
}

static void
on_prepare(struct ev_loop *loop, ev_prepare *p, int revents)
{
	struct reconciler *r = p->data;
	struct msec now = clock_mono(), next = {PLAN_NEVER}, relist;

	(void)loop;
	(void)revents;
	if (r->w->stopping) {
		if (r->steps.flights_n == 0)
			worker_exit(r->w, EXIT_ASKED);
		return;
	}
	relist = relist_dbops(r, now);
	r->steps.unix_s = clock_wall_s();
	if (r->executor)
		next = steps_pump(&r->steps, now);
	arm(r, relist.v < next.v ? relist : next, now);
}

static void
on_timer(struct ev_loop *loop, ev_timer *t, int revents)
{
	(void)loop; /* on_prepare follows */
	(void)t;
	(void)revents;
}

static void
on_impatience(struct ev_loop *loop, ev_timer *t, int revents)
{
	struct reconciler *r = t->data;

	(void)loop;
	(void)revents;
	r->steps.impatient = true;
	table_dirty_all(&r->table);
}

static bool
send_step(void *arg, const struct ipc_msg *m)
{
	return worker_send(arg, ROLE_EXECUTOR, m);
}

static void
on_refused(void *arg, const struct msg_rec_cluster *c)
{
	struct reconciler *r = arg;
	char obj[160];

	snprintf(obj, sizeof(obj), "bgcluster/%s/%s", c->namespace, c->name);
	log_warn("too-many", obj,
	    "%u clusters are served already: this one is not; delete some, or run another operator",
	    r->table.limit);
	if (r->executor && !r->w->stopping)
		steps_refuse(&r->steps, c, clock_mono());
}

static void
on_left_out(void *arg, unsigned namespace, const struct msg_rec_dbops *d)
{
	struct reconciler *r = arg;

	/* The first of each list stands for all. */
	if (r->table.namespaces[namespace].left_out == 1)
		log_warn("too-many", d->namespace,
		    "%u BGDbOps are not over, %u of them of this namespace: others of it wait "
		    "until "
		    "some have ended; delete what is not needed",
		    dbops_kept(&r->table), r->table.namespaces[namespace].dbops_n);
	if (r->executor && !r->w->stopping)
		steps_leave_out(&r->steps, d, clock_mono());
}

/* --- What worker.c calls. */

static void
start(struct worker *w)
{
	struct reconciler *r = &reconciler;

	r->w = w;
	table_init(&r->table, w->namespaces, w->namespaces_n);
	r->feed = (struct feed){
	    .table = &r->table, .refused = on_refused, .left_out = on_left_out, .arg = r};
	r->steps = (struct steps){.table = &r->table, .send = send_step, .arg = w};
	ev_timer_init(&r->timer, on_timer, 0.0, 0.0);
	ev_timer_init(&r->impatience, on_impatience, IMPATIENT_S, 0.0);
	ev_prepare_init(&r->prepare, on_prepare);
	r->impatience.data = r->prepare.data = r;
	ev_timer_start(w->loop, &r->impatience);
	ev_prepare_start(w->loop, &r->prepare);
}

static void
on_edge(struct worker *w, enum ipc_role peer)
{
	(void)w;
	if (peer != ROLE_EXECUTOR)
		return;
	reconciler.executor = true;
	table_dirty_all(&reconciler.table);
}

static void
on_edge_lost(struct worker *w, enum ipc_role peer)
{
	(void)w;
	if (peer == ROLE_WATCHER) {
		table_unsync(&reconciler.table);
		return;
	}
	reconciler.executor = false;
	steps_lost(&reconciler.steps);
}

static void
on_msg(struct worker *w, enum ipc_role peer, struct ipc_msg *m)
{
	struct reconciler *r = &reconciler;
	const char *breach;

	if (peer == ROLE_WATCHER) {
		breach = feed_take(&r->feed, m, clock_mono());
	} else if (m->type == IPC_STEP_DONE) {
		breach = steps_done(&r->steps, &m->step_done, clock_mono());
		if (breach == NULL)
			worker_worked(w);
	} else {
		breach = "a message that is no answer";
	}
	if (breach != NULL)
		worker_breach(w, peer, breach);
}

static void
on_control(struct worker *w, struct ipc_msg *m)
{
	struct reconciler *r = &reconciler;

	(void)w;
	if (m->type == IPC_QUARANTINE) {
		feed_quarantine(&r->feed, &m->quarantine);
	} else if (m->type == IPC_DEGRADED) {
		r->steps.degraded = m->degraded.roles != 0;
		table_dirty_all(&r->table);
	}
}

static void
stop(struct worker *w)
{
	(void)w; /* on_prepare ends it when the last answer is in */
}

int
reconciler_main(void)
{
	static const struct worker_ops ops = {
	    .role = ROLE_RECONCILER,
	    .peers = R(WATCHER) | R(EXECUTOR),
	    .start = start,
	    .on_edge = on_edge,
	    .on_edge_lost = on_edge_lost,
	    .on_msg = on_msg,
	    .on_control = on_control,
	    .stop = stop,
	};

	return worker_run(&ops, SANDBOX_RECONCILER, NULL);
}
