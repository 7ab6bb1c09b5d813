/*
 * The stop machine's hands (stop.c decides). Needs no API: only the handing-on of the leadership
 * asks the agent, and only for so long.
 */
#include <signal.h>
#include <unistd.h>

#include "instance/init.h"

void
halt_begin(struct init *i)
{
	if (i->stop.phase != STOP_OFF)
		return;
	log_info("stop", NULL, "told to stop: stopping within %u s", i->grace_s);
	stop_begin(&i->stop, i->grace_s, clock_boot());
	ev_timer_stop(i->loop, &i->keeper.again);
	init_changed(i);
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
	if (i->stop.force == STOP_KILL)
		init_end(EXIT_FENCED,
		    "PostgreSQL did not stop within the grace period of %u s and was killed",
		    i->grace_s);
	init_end(EXIT_ASKED, "stopped%s",
	    i->stop.force == STOP_IMMEDIATE ? ", at last by an immediate shutdown" : "");
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

static void
act(struct init *i, enum stop_act what, pid_t postmaster)
{
	switch (what) {
	case STOP_ASK_HANDOVER:
		ask_handover(i);
		break;
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
		log_error("stop", NULL, "SIGKILL to %u processes", init_kill_all(i, SIGKILL));
		break;
	case STOP_EXIT:
		end(i);
	case STOP_WAIT:
	case STOP_ACT_COUNT:
		break;
	}
}

/* Called on every tick and every death while stopping. */
void
halt_look(struct init *i)
{
	pid_t postmaster;
	struct stop_seen seen;
	enum stop_act what;

	if (i->stop.phase == STOP_OFF || i->fence.phase != FENCE_WATCHING)
		return;
	do {
		postmaster = procs_postmaster(PGDATA_DIR, getpid());
		seen = (struct stop_seen){.patroni = i->keeper.pid != 0,
		    .postmaster = postmaster != 0,
		    .agent = i->helper[HELPER_AGENT].ready,
		    .handover_done = i->handover_done};
		what = stop_next(&i->stop, &seen, clock_boot());
		act(i, what, postmaster);
	} while (what != STOP_WAIT && what != STOP_ASK_HANDOVER);
}
