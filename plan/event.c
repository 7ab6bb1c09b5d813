/*
 * What users are told of a BGCluster as Events. For plan/cluster.c. What is new is told before the
 * status that says it is written: while the stored status does not say it, whoever comes after us
 * tells it again, under the same name (workers/executor_write.c). So nothing is left out, and
 * nothing told twice.
 */
#include "plan/rule.h"

#include <stdio.h>
#include <string.h>

#define TEXT_MAX (IPC_TEXT_MAX + NAME_MAX_LABEL + 8)

/* --- What was told. */

static bool
is_told(const struct plan_cluster *c, enum choice_reason r)
{
	return (c->events[r / 64] >> (r % 64) & 1u) != 0;
}

static void
set_told(struct plan_cluster *c, enum choice_reason r, bool told)
{
	uint64_t bit = (uint64_t)1 << (r % 64);

	c->events[r / 64] = told ? c->events[r / 64] | bit : c->events[r / 64] & ~bit;
}

static uint8_t
rest_of(enum choice_reason ready)
{
	return ready == REASON_HIBERNATING || ready == REASON_HIBERNATED ? (uint8_t)ready
	                                                                 : REASON_NONE;
}

void
event_recall(struct plan_cluster *c)
{
	const struct plan_said *s = &c->wanted.said;
	enum choice_reason ready = s->reasons[CHOICE_condition_type_READY];
	enum choice_reason progressing = s->reasons[CHOICE_condition_type_PROGRESSING];

	c->said.ready = s->ready;
	c->said.rest = rest_of(ready);
	c->said.fenced = ready == REASON_INSTANCES_FENCED;
	c->said.paused = s->reasons[CHOICE_condition_type_PAUSED] == REASON_PAUSED;
	c->said.rolling =
	    progressing == REASON_ROLLOUT_PENDING || progressing == REASON_RESTART_PENDING;
	c->said.primary = s->primary;
	c->said.leaderless = s->primary == 0 && ready == REASON_NO_PRIMARY;
	c->said.kept = c->fresh;
	for (unsigned i = 0; i < CHOICE_condition_type_COUNT; i++)
		if (status_failing(s->reasons[i]))
			set_told(c, s->reasons[i], true);
}

void
event_told(struct plan_cluster *c, const struct plan_sent *sent)
{
	if (sent->news == NEWS_READY || sent->news == NEWS_UNREADY)
		c->said.ready = sent->news == NEWS_READY;
	if (sent->news == NEWS_READY || sent->news == NEWS_PRIMARY)
		c->said.primary = sent->ordinal;
	if (sent->news == NEWS_REST) {
		c->said.rest = sent->reason;
		c->said.ready = false;
	}
	if (sent->news == NEWS_FENCED || sent->news == NEWS_UNFENCED)
		c->said.fenced = sent->news == NEWS_FENCED;
	if (sent->news == NEWS_FENCED)
		c->said.ready = false;
	if (sent->news == NEWS_PAUSED || sent->news == NEWS_RESUMED)
		c->said.paused = sent->news == NEWS_PAUSED;
	if (sent->news == NEWS_ROLLING || sent->news == NEWS_ROLLED)
		c->said.rolling = sent->news == NEWS_ROLLING;
	if (sent->news != NEWS_TROUBLE && sent->news != NEWS_UNREADY)
		return;
	if (status_failing(sent->reason)) {
		set_told(c, sent->reason, true);
		c->said.told = sent->key;
	}
	if (sent->reason == REASON_FOREIGN_DATA)
		reinit_kept_told(c);
}

static const enum choice_reason storage_reasons[] = {REASON_DISK_ALMOST_FULL,
    REASON_EXPANSION_FAILED, REASON_EXPANSION_REFUSED, REASON_WAL_IN_PGDATA};
#define STORAGE_REASONS (sizeof(storage_reasons) / sizeof(storage_reasons[0]))

void
event_forget_edited(struct plan_cluster *c, bool storage)
{
	bool told[STORAGE_REASONS];

	for (unsigned i = 0; i < STORAGE_REASONS; i++)
		told[i] = !storage && is_told(c, storage_reasons[i]);
	memset(c->events, 0, sizeof(c->events));
	for (unsigned i = 0; i < STORAGE_REASONS; i++)
		set_told(c, storage_reasons[i], told[i]);
}

/* A volume that is well again is news when it is not. */
static void
forget_storage_events(struct plan_cluster *c, const struct plan_status *s)
{
	for (unsigned i = 0; i < s->n; i++) {
		if (s->at[i].type != CHOICE_condition_type_STORAGE_HEALTHY ||
		    s->at[i].status != CHOICE_condition_status_TRUE)
			continue;
		for (unsigned k = 0; k < STORAGE_REASONS; k++) {
			if (is_told(c, storage_reasons[k]))
				c->said.told = 0;
			set_told(c, storage_reasons[k], false);
		}
	}
}

/* Who is Ready has overcome what is not said of it any more. */
static void
forget_past_events(struct plan_cluster *c, const struct plan_status *s)
{
	bool present[CHOICE_reason_COUNT] = {false}, told = false;

	for (unsigned i = 0; i < s->n; i++) {
		present[s->at[i].reason] = true;
		told |= hash_str(HASH_INIT, str_of(s->at[i].text)) == c->said.told;
	}
	for (unsigned r = 0; r < CHOICE_reason_COUNT; r++)
		if (!present[r])
			set_told(c, r, false);
	if (!told)
		c->said.told = 0;
}

void
event_remember(struct plan_cluster *c, const struct plan_at *a)
{
	const struct plan_status *s = &a->out->status;

	if (!c->said.kept)
		reinit_kept_told(c);
	c->said.kept = true;
	if (s->at[0].status == CHOICE_condition_status_TRUE || !c->said.rolling ||
	    !status_has_rolled(a))
		c->said.ready = s->at[0].status == CHOICE_condition_status_TRUE;
	c->said.rest = rest_of(s->at[0].reason);
	if (c->wanted.fenced == 0)
		c->said.fenced = false;
	c->said.paused = c->wanted.paused;
	if (a->primary != 0) {
		c->said.primary = a->primary;
		c->said.leaderless = false;
	}
	forget_storage_events(c, s);
	if (c->said.ready)
		forget_past_events(c, s);
}

/* --- What is new. */

static enum verdict
tell(struct plan_at *a, enum plan_news news, enum choice_reason reason, const char *text)
{
	bool warns = status_failing(reason) || news == NEWS_UNREADY;
	enum choice_event_type type = warns ? CHOICE_event_type_WARNING : CHOICE_event_type_NORMAL;

	a->out->sent.news = (uint8_t)news;
	a->out->event_type = (uint8_t)type;
	a->out->sent.reason = (uint8_t)reason;
	a->out->sent.key = hash_str(HASH_INIT, str_of(text));
	str_copy_text(a->out->text, sizeof(a->out->text), str_of(text));
	return rule_step(a, CHOICE_verb_EVENT, CHILD_ANCHOR, a->primary, NULL);
}

/*
 * The first condition that says what someone must do, and was not told of; they are sorted by
 * importance. After an edit a reason is news again, but not while it is the same old text: the edit
 * is still under way.
 */
static const struct plan_condition *
find_news(const struct plan_cluster *c, const struct plan_status *s)
{
	for (unsigned i = 0; i < s->n; i++) {
		const struct plan_condition *k = &s->at[i];

		if (status_failing(k->reason) && !is_told(c, k->reason) &&
		    hash_str(HASH_INIT, str_of(k->text)) != c->said.told)
			return k;
	}
	return NULL;
}

static enum verdict
tell_primary(struct plan_at *a)
{
	const struct plan_cluster *c = a->c;
	const char *primary = a->out->status.primary;
	char text[TEXT_MAX];

	if (a->primary == 0 || a->primary == c->said.primary ||
	    (c->said.primary == 0 && !c->said.leaderless))
		return PASS;
	if (c->said.primary == 0)
		snprintf(text, sizeof(text), "%s is primary now; for a while none was.", primary);
	else
		snprintf(text, sizeof(text), "%s is primary now; it was %s-%u.", primary, c->name,
		    c->said.primary - 1u);
	return tell(a, NEWS_PRIMARY, REASON_PRIMARY_CHANGED, text);
}

/* What a user asked for: a pause, a fence, a hibernation. */
static enum verdict
tell_asked(struct plan_at *a)
{
	const struct plan_cluster *c = a->c;
	const struct plan_condition *ready = &a->out->status.at[0];

	if (c->wanted.paused != c->said.paused)
		return c->wanted.paused
		           ? tell(a, NEWS_PAUSED, REASON_PAUSED, reason_info[REASON_PAUSED].advice)
		           : tell(a, NEWS_RESUMED, REASON_RESUMED,
				 "Annotation bestgres.io/paused is gone: it is managed again.");
	if (ready->reason == REASON_INSTANCES_FENCED && !c->said.fenced)
		return tell(a, NEWS_FENCED, REASON_INSTANCES_FENCED, ready->text);
	if (c->said.fenced && c->wanted.fenced == 0)
		return tell(a, NEWS_UNFENCED, REASON_INSTANCES_UNFENCED,
		    "spec.fencedInstances is empty: instances are started.");
	if (rest_of(ready->reason) != REASON_NONE && ready->reason != c->said.rest)
		return tell(a, NEWS_REST, ready->reason, ready->text);
	return PASS;
}

/* A rolling change; what becomes of Ready in it is expected, and not told. */
static enum verdict
tell_rolling(struct plan_at *a)
{
	const struct plan_cluster *c = a->c;
	const struct plan_status *s = &a->out->status;
	bool ready = s->at[0].status == CHOICE_condition_status_TRUE;
	char names[IPC_TEXT_MAX / 2], text[TEXT_MAX];
	unsigned due = status_list(c, roll_is_due, names, sizeof(names));

	if (!c->said.rolling && due > 0 && status_is_rolling(a)) {
		snprintf(text, sizeof(text),
		    "A change reaches instances one by one, the primary last: %s.", names);
		return tell(a, NEWS_ROLLING, REASON_ROLLOUT_BEGUN, text);
	}
	if (!c->said.rolling || due > 0 || !ready)
		return PASS;
	snprintf(text, sizeof(text), "%.150s %s is primary.", s->at[0].text, s->primary);
	return tell(a, NEWS_ROLLED, REASON_ROLLOUT_ENDED, text);
}

static enum verdict
tell_ready(struct plan_at *a)
{
	const struct plan_cluster *c = a->c;
	const struct plan_status *s = &a->out->status;
	bool ready = s->at[0].status == CHOICE_condition_status_TRUE;
	char text[TEXT_MAX];

	if (ready == c->said.ready || (!ready && c->said.rolling && status_has_rolled(a)))
		return PASS;
	if (!ready)
		return tell(a, NEWS_UNREADY, s->at[0].reason, s->at[0].text);
	snprintf(text, sizeof(text), "%.150s %s is primary.", s->at[0].text, s->primary);
	return tell(a, NEWS_READY, REASON_READY, text);
}

enum verdict
event_before_status(struct plan_at *a)
{
	const struct plan_cluster *c = a->c;
	const struct plan_status *s = &a->out->status;
	const struct plan_condition *news = find_news(c, s);

	if (news != NULL)
		return tell(
		    a, news == &s->at[0] ? NEWS_UNREADY : NEWS_TROUBLE, news->reason, news->text);
	if ((c->wanted.deleting && !c->wanted.paused) || tell_asked(a) == STEP ||
	    tell_rolling(a) == STEP || tell_primary(a) == STEP)
		return a->out->sent.verb == CHOICE_verb_EVENT ? STEP : PASS;
	return tell_ready(a);
}

/* Put aside within seconds it may never have been in a condition. */
enum verdict
rule_event(struct plan_at *a)
{
	const struct plan_cluster *c = a->c;
	unsigned kept = reinit_kept(c);
	char text[TEXT_MAX];

	if (a->said && !c->wanted.deleting && !rule_waits(a, &c->say) && tell_rolling(a) == STEP)
		return STEP;
	if (!a->said || !c->said.kept || kept == rule_instances(c) || rule_waits(a, &c->say))
		return PASS;
	snprintf(text, sizeof(text), "%s-%u: %s", c->name, kept,
	    c->instance[kept].report_text != NULL ? c->instance[kept].report_text : "");
	return tell(a, NEWS_TROUBLE, REASON_FOREIGN_DATA, text);
}
