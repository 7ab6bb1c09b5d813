/*
 * The way down after SIGTERM as a state machine. Pure; halt.c acts. The leadership is handed on
 * first, then Patroni is told to end in every case (it stops PostgreSQL and releases its lock);
 * what it leaves is stopped here. Force grows with the clock: 10 s before the grace period ends an
 * immediate shutdown, 3 s before it SIGKILL, so that we end by ourselves and say why. The grace
 * period may turn out to be a shorter one; in a very short one nothing is handed on.
 */
#include "instance/instance.h"

#define HANDOVER_MS 10000
#define IMMEDIATE_MS 10000
#define KILL_MS 3000
#define KILL_LEAST_MS 500
#define KUBELET_LEAST_S 2 /* minimumGracePeriodInSeconds, pkg/kubelet/kuberuntime */

static int64_t
at_most(int64_t v, int64_t max)
{
	return v < max ? v : max;
}

static void
set_limits(struct stop *s, unsigned grace_s, struct msec from)
{
	int64_t grace, kill;

	s->grace_s = grace_s > KUBELET_LEAST_S ? grace_s : KUBELET_LEAST_S;
	s->hasty = s->grace_s < STOP_HASTY_S;
	grace = (int64_t)s->grace_s * 1000;
	kill = at_most(KILL_MS, grace / 10);
	s->handover_until.v = from.v + (s->hasty ? 0 : at_most(HANDOVER_MS, grace / 4));
	s->immediate_at.v = from.v + grace - at_most(IMMEDIATE_MS, grace / 3);
	s->kill_at.v = from.v + grace - (kill > KILL_LEAST_MS ? kill : KILL_LEAST_MS);
}

void
stop_begin(struct stop *s, unsigned grace_s, struct msec now)
{
	memset(s, 0, sizeof(*s));
	s->phase = STOP_HANDOVER;
	set_limits(s, grace_s, now);
}

bool
stop_limit(struct stop *s, unsigned grace_s, struct msec from)
{
	struct stop shorter = *s;

	set_limits(&shorter, grace_s, from);
	if (s->phase == STOP_OFF || shorter.kill_at.v >= s->kill_at.v)
		return false;
	*s = shorter;
	return true;
}

/* What the clock alone demands. */
static enum stop_act
forced(struct stop *s, struct msec now)
{
	if (now.v >= s->kill_at.v && s->force < STOP_KILL)
		return s->force = STOP_KILL;
	if (now.v >= s->immediate_at.v && s->force < STOP_IMMEDIATE) {
		if (s->phase == STOP_HANDOVER)
			s->phase = STOP_PATRONI;
		return s->force = STOP_IMMEDIATE;
	}
	return STOP_WAIT;
}

enum stop_act
stop_next(struct stop *s, const struct stop_seen *seen, struct msec now)
{
	enum stop_act act;

	if (s->phase == STOP_OFF)
		return STOP_WAIT;
	if (!seen->patroni && !seen->postmaster)
		return STOP_EXIT;
	if ((act = forced(s, now)) != STOP_WAIT)
		return act;
	if (s->phase == STOP_HANDOVER) {
		if (seen->patroni && seen->agent && !seen->handover_done &&
		    now.v < s->handover_until.v)
			return STOP_ASK_HANDOVER;
		s->phase = STOP_PATRONI;
		return STOP_TERM_PATRONI;
	}
	if (s->phase == STOP_PATRONI && (!seen->patroni || s->hasty)) {
		s->phase = STOP_POSTGRES;
		if (s->force < STOP_FAST)
			return s->force = STOP_FAST;
	}
	return STOP_WAIT;
}
