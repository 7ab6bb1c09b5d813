/*
 * What of a status is news: for how soon it is written. A text that goes on counting while a
 * rolling change goes on is not, but what someone must act on is. For plan/status.c.
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
