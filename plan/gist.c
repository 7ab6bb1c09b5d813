/*
 * How soon a status is written. Whether the cluster is Ready at once; what else changed soon; and
 * texts that go on counting while something goes on rarely, unless someone must act on them. While
 * a rolling change goes on, its coming and going is such counting too, and so is that for a moment
 * between two pods all serve. For plan/status.c.
 */
#include "plan/rule.h"

uint64_t
plan_status_hash(const struct plan_status *s, uint64_t generation)
{
	struct cluster_status m = {
	    .ready_instances = s->ready_instances,
	    .primary = str_of(s->primary),
	    .phase = str_of(s->phase),
	    .generation = (int64_t)generation,
	    .n = s->n,
	};

	for (unsigned i = 0; i < s->n; i++) {
		m.conditions[i].type = s->at[i].type;
		m.conditions[i].status = s->at[i].status;
		m.conditions[i].reason = s->at[i].reason;
		m.conditions[i].text = str_of(s->at[i].text);
	}
	return model_status_hash(&m);
}

bool
status_is_rolling(const struct plan_at *a)
{
	const struct plan_cluster *c = a->c;

	if (!a->window.open || c->wanted.update == CHOICE_update_strategy_ON_DEMAND ||
	    roll_patroni_paused(c))
		return false;
	for (unsigned i = 0; i < rule_instances(c); i++)
		if (roll_is_changing(c, i) || roll_is_restarting(c, i))
			return true;
	return false;
}

/* Or the last pod that was told to end comes back just now. */
bool
status_has_rolled(const struct plan_at *a)
{
	const struct plan_cluster *c = a->c;

	for (unsigned i = 0; i < rule_instances(c); i++)
		if (c->instance[i].replaced_at.v != 0 &&
		    a->w->now.v < c->instance[i].replaced_at.v + REPLACED_MS)
			return true;
	return status_is_rolling(a);
}

uint64_t
status_gist(const struct plan_at *a, const struct plan_status *s)
{
	bool rolled = status_has_rolled(a), acts = false;
	struct plan_status gist = *s;

	for (unsigned i = 0; i < gist.n; i++) {
		struct plan_condition *k = &gist.at[i];

		if (status_failing(k->reason)) {
			acts = true;
			continue;
		}
		k->text[0] = '\0';
		if (rolled && k->reason != REASON_RESTART_PENDING)
			k->status = k->reason = 0;
	}
	if (rolled && !acts) {
		gist.ready_instances = 0;
		gist.phase[0] = '\0';
	}
	return plan_status_hash(&gist, a->c->wanted.generation);
}

struct msec
status_due(const struct plan_at *a, bool ready)
{
	const struct plan_cluster *c = a->c;
	bool turns = ready != c->status_ready, rolling = status_is_rolling(a);
	/* A planned switchover: who leads is news, that for a moment nobody does is none. */
	bool news =
	    a->out->sent.gist != c->status_gist && !(rolling && a->out->status.primary[0] == '\0');

	if (c->status_sent == 0 || (turns && !(ready && rolling)))
		return (struct msec){0};
	return (struct msec){c->status_at.v + (news && !turns ? STATUS_MS
						  : rolling   ? STATUS_ROLL_MS
							      : STATUS_TEXT_MS)};
}
