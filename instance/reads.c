/*
 * May our pod take reads? The pod is made with the label that says so. By itself that brings in
 * nobody: Service <cluster>-ro asks for Patroni's role=replica too, which a pod bears only while
 * its server runs as one. So the label has to go from who runs and lags or does not stream, and
 * beforehand from who may be far behind; all others keep it, through restarts, while they turn to
 * another primary and while they are it themselves, without a write. Pure.
 */
#include <string.h>

#include "instance/view.h"

/* How long a server that runs has not been fit. */
static int64_t
lost_ms(const struct reads *r, struct msec now)
{
	return now.v - (r->up.v > r->served.v ? r->up.v : r->served.v);
}

enum may_read
reads_look(struct reads *r, const struct view *v, int64_t max_lag, bool accepts, struct msec now)
{
	/* "unknown": Patroni's question failed in a server that may well run. */
	bool asked = v->known && strcmp(v->state, "unknown") != 0;
	bool up = asked ? v->running : accepts, old;

	if (r->served.v == 0)
		r->served = now;
	r->told |= v->known && max_lag >= 0;
	if (!up)
		r->up.v = 0;
	else if (r->up.v == 0)
		r->up = now;
	if (v->known && v->primary) { /* nobody has more, and no reader comes to it */
		r->served = now;
		r->stale = false;
		return READS_AS_IS;
	}
	if (max_lag >= 0 && view_serves_reads(v, max_lag)) {
		r->served = now;
		r->stale = false;
		return READS_YES;
	}
	old = r->stale || now.v - r->served.v >= READS_DOWN_MS;
	if (!up)
		return old ? READS_NO : READS_AS_IS;
	if (old || lost_ms(r, now) >= READS_LOST_MS)
		return READS_NO;
	return !r->told || (v->known && v->within && max_lag >= 0) ? READS_AS_IS : READS_NO;
}
