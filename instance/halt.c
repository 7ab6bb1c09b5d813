/*
 * The stop machine's hands (stop.c decides): the way down after SIGTERM, to the container's end,
 * and the operator's to a rest in it. Needs no API: only the handing-on of the leadership asks the
 * agent, and only for so long. How long the kubelet gives the pod is the spec's word until the
 * agent has read what the deletion said.
 */
#include <signal.h>
#include <unistd.h>

#include "instance/init.h"

#define HASTY_TICK_S .05

/* Half a second is all there is between the steps of a hasty stop. */
static void
hurry(struct init *i)
{
	if (!i->stop.hasty || i->tick.repeat <= HASTY_TICK_S)
		return;
	i->tick.repeat = HASTY_TICK_S;
	ev_timer_again(i->loop, &i->tick);
}

/* Again when the pod is deleted with a shorter grace period while it stops. */
void
halt_begin(struct init *i)
{
	i->stop_signals++;
	i->signalled = clock_boot();
	if (i->stop.phase == STOP_OFF) {
		log_info(
		    "stop", NULL, "told to stop: stopping within %u s, or as we hear", i->grace_s);
		stop_begin(&i->stop, i->grace_s, i->signalled);
		i->killed_postgres = false; /* by an earlier rest */
		ev_timer_stop(i->loop, &i->keeper.again);
		hurry(i);
	}
	init_changed(i);
	halt_look(i);
}

/* Who lives on after the limit has read that of a later deletion, whose signal is on its way. */
void
halt_limit(struct init *i, const struct msg_grace *m)
{
	struct msec from = i->signalled, now = clock_boot();

	if (from.v + (int64_t)m->seconds * 1000 <= now.v)
		from = now;
	if (m->signal != i->stop_signals || !stop_limit(&i->stop, m->seconds, from))
		return;
	log_info("stop", NULL, "this pod's deletion gives it %u s", i->stop.grace_s);
	hurry(i);
	halt_look(i);
}

static void
signal_postmaster(pid_t postmaster, int sig)
{
	if (postmaster != 0 && kill(postmaster, sig) == 0)
		log_info("stop", NULL, "signal %d to PostgreSQL", sig);
}

static void
end(const struct init *i)
{
	if (i->killed_postgres)
		init_end(EXIT_FENCED,
		    "PostgreSQL did not stop within the grace period of %u s and was killed; it "
		    "recovers at its next start",
		    i->stop.grace_s);
	init_end(EXIT_ASKED, "stopped%s",
	    i->stop.force == STOP_KILL        ? "; who stayed behind was killed"
	    : i->stop.force == STOP_IMMEDIATE ? ", at last by an immediate shutdown"
					      : "");
}

static void
ask_handover(struct init *i)
{
	struct ipc_msg m = {.type = IPC_SWITCHOVER, .fds = {-1, -1}};

	if (i->asked_handover)
		return;
	i->asked_handover = true;
	if (!spawn_tell(&i->helper[HELPER_AGENT], &m))
		i->handover_done = true;
}

/* What both ways have in common. */
static void
act(struct init *i, enum stop_act what, pid_t postmaster)
{
	switch (what) {
	case STOP_TERM_PATRONI:
		if (i->keeper.pid != 0)
			(void)kill(i->keeper.pid, SIGTERM);
		break;
	case STOP_FAST:
		signal_postmaster(postmaster, SIGINT);
		break;
	case STOP_IMMEDIATE:
		if (i->keeper.pid != 0)
			(void)kill(i->keeper.pid, SIGTERM);
		signal_postmaster(postmaster, SIGQUIT);
		break;
	case STOP_KILL:
		i->killed_postgres = postmaster != 0;
		log_error("stop", NULL, "SIGKILL to %u processes", init_kill_all(i, SIGKILL));
		break;
	case STOP_ASK_HANDOVER:
	case STOP_EXIT:
	case STOP_WAIT:
	case STOP_ACT_COUNT:
		break;
	}
}

/* As far as is possible now; what it waits for, or STOP_EXIT. */
static enum stop_act
go_down(struct init *i, struct stop *s, bool hand_over)
{
	pid_t postmaster;
	struct stop_seen seen;
	enum stop_act what;

	do {
		postmaster = procs_postmaster(PGDATA_DIR, getpid());
		seen = (struct stop_seen){.patroni = i->keeper.pid != 0,
		    .postmaster = postmaster != 0,
		    .agent = hand_over && i->helper[HELPER_AGENT].ready,
		    .handover_done = i->handover_done};
		what = stop_next(s, &seen, clock_boot());
		act(i, what, postmaster);
	} while (what != STOP_WAIT && what != STOP_ASK_HANDOVER && what != STOP_EXIT);
	return what;
}

/* --- To a rest (BGInstance.spec.stop). */

static void
rest_ended(struct init *i)
{
	log_info("rest", NULL, "PostgreSQL is stopped%s",
	    i->rest.force >= STOP_IMMEDIATE ? ", but not cleanly: it did not end in time" : "");
	init_kill_orphans(i); /* a pg_rewind or base backup that Patroni had begun */
	i->rest.phase = STOP_OFF;
	i->detached = false;
	i->rested = true;
	fence_init(&i->fence, clock_boot()); /* nothing is left to fence */
	init_changed(i);
}

/*
 * Without Patroni a standby goes on to follow, but can not lead. Who leads by now has to stop
 * instead: the operator sees that, and says so.
 */
static void
detach(struct init *i)
{
	bool runs = procs_postmaster(PGDATA_DIR, getpid()) != 0;

	watchdog_look(i); /* it may have come to lead just now */
	if (i->keeper.pid != 0 && !i->fence.armed)
		(void)kill(i->keeper.pid, SIGKILL);
	if (i->keeper.pid != 0 || (i->detached && runs))
		return;
	if (!runs)
		init_kill_orphans(i); /* a pg_rewind or base backup that Patroni had begun */
	i->detached = runs;
	i->rested = !runs;
	init_changed(i);
}

static void
look_at_rest(struct init *i)
{
	if (i->rest.phase == STOP_OFF) {
		if (i->rest_wanted == CHOICE_stop_PATRONI && !i->rested)
			detach(i);
	} else if (go_down(i, &i->rest, false) == STOP_EXIT) {
		rest_ended(i);
	}
}

void
halt_wanted(struct init *i, enum choice_stop stop)
{
	if (i->stop.phase != STOP_OFF)
		return;
	i->rest_wanted = (uint8_t)stop;
	i->released = stop == CHOICE_stop_NONE;
	if (i->released) {
		i->rest.phase = STOP_OFF;
		i->detached = i->rested = false;
		return;
	}
	i->keeper.ran = false; /* it starts again only when told */
	ev_timer_stop(i->loop, &i->keeper.again);
	if (stop == CHOICE_stop_POSTGRESQL && !i->rested && i->rest.phase == STOP_OFF) {
		log_info("rest", NULL, "told to rest: stopping within %u s", i->grace_s);
		stop_begin(&i->rest, i->grace_s, clock_boot());
	}
	look_at_rest(i);
}

/* Called on every tick and every death. */
void
halt_look(struct init *i)
{
	enum stop_act what;

	if (i->fence.phase != FENCE_WATCHING)
		return;
	if (i->stop.phase == STOP_OFF) {
		look_at_rest(i);
		return;
	}
	what = go_down(i, &i->stop, true);
	if (what == STOP_ASK_HANDOVER)
		ask_handover(i);
	else if (what == STOP_EXIT)
		end(i);
}
