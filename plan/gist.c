/*
 * How soon a status is written. Whether the cluster is Ready at once, but for the moments between
 * two pods of a rolling change in which it is; what else changed soon; and texts that go on
 * counting while something goes on rarely, unless someone must act on them. For plan/status.c.
 */
#include "plan/rule.h"

uint64_t
status_gist(const struct plan_status *s, uint64_t generation)
{
	struct plan_status gist = *s;

	for (unsigned i = 0; i < gist.n; i++)
		if (!status_failing(gist.at[i].reason))
			gist.at[i].text[0] = '\0';
	return plan_status_hash(&gist, generation);
}

static bool
is_rolling(const struct plan_at *a)
{
	const struct plan_cluster *c = a->c;

	if (!a->window.open || c->wanted.update == CHOICE_update_strategy_ON_DEMAND ||
	    roll_patroni_paused(c))
		return false;
	for (unsigned i = 0; i < rule_instances(c); i++)
		if (roll_is_changing(c, i))
			return true;
	return false;
}

struct msec
status_due(const struct plan_at *a, bool ready)
{
	const struct plan_cluster *c = a->c;
	bool turns = ready != c->status_ready;

	if (c->status_sent == 0 || (turns && !(ready && is_rolling(a))))
		return (struct msec){0};
	return (struct msec){
	    c->status_at.v +
	    (turns || a->out->sent.gist == c->status_gist ? STATUS_TEXT_MS : STATUS_MS)};
}
