/*
 * What the watcher saw of a BGDbOps, taken into what is known of it. For the reconciler, as note.c.
 */
#include <string.h>

#include "plan/rule.h"

bool
plan_dbops_is_over(const struct plan_dbops *d)
{
	bool ended = d->phase == CHOICE_dbops_phase_SUCCEEDED ||
	             d->phase == CHOICE_dbops_phase_FAILED ||
	             d->phase == CHOICE_dbops_phase_CANCELLED;

	return ended && !d->finalizer && (d->ttl == 0 || d->deleted_s != 0);
}

bool
plan_note_dbops(struct plan_dbops *known, const struct plan_dbops *now, bool listing)
{
	struct plan_dbops old = *known;
	bool same = uid_eq(&old.uid, &now->uid);

	if (same && !listing && now->version < old.version)
		return false;
	*known = *now;
	known->named = true;
	known->invalid = old.invalid;
	known->refused = old.refused;
	if (!same)
		return true;
	/* A list may be older than what was written; only one that goes back has lost it. */
	known->awaits = listing && now->version < old.version ? 0 : old.awaits;
	known->awaits_until = old.awaits_until;
	if (known->awaits > now->version) { /* older than what was told: done.c */
		known->phase = old.phase;
		known->cleanup = old.cleanup;
		known->attempt = old.attempt;
		known->ordinal = old.ordinal;
		known->pod = old.pod;
		known->instance = old.instance;
	}
	known->try = old.try;
	known->progress_at = old.progress_at;
	known->told_cancel = old.attempt == known->attempt ? old.told_cancel : (struct msec){0};
	if (old.try.code == CHOICE_step_code_CONFLICT || old.try.code == CHOICE_step_code_GONE ||
	    now->generation != old.generation)
		known->try = (struct plan_try){.code = old.try.code};
	return true;
}
