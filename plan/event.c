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

bool
event_is_told(const struct plan_cluster *c, enum choice_reason r)
{
	return (c->events[r / 64] >> (r % 64) & 1u) != 0;
}

void
event_set_told(struct plan_cluster *c, enum choice_reason r, bool told)
{
	uint64_t bit = (uint64_t)1 << (r % 64);

	c->events[r / 64] = told ? c->events[r / 64] | bit : c->events[r / 64] & ~bit;
}

void
event_recall(struct plan_cluster *c)
{
	const struct plan_said *s = &c->wanted.said;
	enum choice_reason ready = s->reasons[CHOICE_condition_type_READY];

	c->said.ready = s->ready;
	c->said.hibernated = ready == REASON_HIBERNATED;
	c->said.primary = s->primary;
	c->said.leaderless = s->primary == 0 && ready == REASON_NO_PRIMARY;
	c->said.kept = c->fresh;
	for (unsigned i = 0; i < CHOICE_condition_type_COUNT; i++)
		event_set_told(c, s->reasons[i], status_failing(s->reasons[i]));
}

static void
forget_events(struct plan_cluster *c, const enum choice_reason *reasons, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		if (!event_is_told(c, reasons[i]))
			continue;
		event_set_told(c, reasons[i], false);
		c->said.told = 0;
	}
}

/* A volume that is well again is news when it is not. */
static void
forget_storage_events(struct plan_cluster *c, const struct plan_status *s)
{
	static const enum choice_reason reasons[] = {REASON_DISK_ALMOST_FULL,
	    REASON_EXPANSION_FAILED, REASON_EXPANSION_REFUSED, REASON_WAL_IN_PGDATA};

	for (unsigned i = 0; i < s->n; i++)
		if (s->at[i].type == CHOICE_condition_type_STORAGE_HEALTHY &&
		    s->at[i].status == CHOICE_condition_status_TRUE)
			forget_events(c, reasons, sizeof(reasons) / sizeof(reasons[0]));
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
			event_set_told(c, r, false);
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
	c->said.ready = s->at[0].status == CHOICE_condition_status_TRUE;
	c->said.hibernated = s->at[0].reason == REASON_HIBERNATED;
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
tell(struct plan_at *a, enum choice_event_type type, enum choice_reason reason, const char *text)
{
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

		if (status_failing(k->reason) && !event_is_told(c, k->reason) &&
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
	return tell(a, CHOICE_event_type_NORMAL, REASON_PRIMARY_CHANGED, text);
}

enum verdict
event_before_status(struct plan_at *a)
{
	const struct plan_cluster *c = a->c;
	const struct plan_status *s = &a->out->status;
	const struct plan_condition *news = find_news(c, s);
	char text[TEXT_MAX];

	if (news != NULL)
		return tell(a, CHOICE_event_type_WARNING, news->reason, news->text);
	if (c->wanted.deleting && !c->wanted.paused)
		return PASS;
	if (s->at[0].reason == REASON_HIBERNATED && !c->said.hibernated)
		return tell(a, CHOICE_event_type_NORMAL, REASON_HIBERNATED, s->at[0].text);
	if (tell_primary(a) == STEP)
		return STEP;
	if (s->at[0].status != CHOICE_condition_status_TRUE || c->said.ready)
		return PASS;
	snprintf(text, sizeof(text), "%.150s %s is primary.", s->at[0].text, s->primary);
	return tell(a, CHOICE_event_type_NORMAL, REASON_READY, text);
}

/* Put aside within seconds it may never have been in a condition. */
enum verdict
rule_event(struct plan_at *a)
{
	const struct plan_cluster *c = a->c;
	unsigned kept = reinit_kept(c);
	char text[TEXT_MAX];

	if (!a->said || !c->said.kept || kept == rule_instances(c) || rule_waits(a, &c->say))
		return PASS;
	snprintf(text, sizeof(text), "%s-%u: %s", c->name, kept,
	    c->instance[kept].report_text != NULL ? c->instance[kept].report_text : "");
	return tell(a, CHOICE_event_type_WARNING, REASON_FOREIGN_DATA, text);
}
