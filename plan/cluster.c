/*
 * The rules: everything that Bestgres decides about one BGCluster, in order of precedence. The
 * first row that has a step to do is what happens next; a row may also stop the plan there until
 * the world has moved, and then only the rows marked SAY are still asked. Every row is asked anew
 * after every record and every answer: nothing is remembered but what was seen.
 */
#include "plan/rule.h"

#include <string.h>

enum situation {
	NOBODY = 1, /* no BGCluster of that name: what is left behind is not ours to touch */
	QUARANTINED = 2,
	ENDING = 4, /* deleted together with its namespace */
	DELETING = 8,
	UNREADABLE = 16,
	ALIVE = 32,
	PAUSED = 128, /* by its annotation: only said */
};
#define SAY 64u /* asked even when a row above stopped */

static enum verdict rule_first_status(struct plan_at *a);
static enum verdict rule_finalizer(struct plan_at *a);

static const struct rule {
	unsigned when;
	enum verdict (*rule)(struct plan_at *a);
	const char *sentence;
} rules[] = {
    {ENDING | NOBODY | PAUSED | UNREADABLE | QUARANTINED, rule_dbops,
	"a BGDbOps says that it can not be done now, or ends"},
    {ENDING, rule_remove_finalizer, "nothing of ours holds up a namespace that is being deleted"},

    {DELETING, rule_namespace, "whether its namespace goes too is asked first"},
    {PAUSED | UNREADABLE | QUARANTINED, rule_namespace_held_up,
	"and of what is deleted but held up, or left alone and loses what it has"},
    {DELETING | SAY, rule_dbops, "BGDbOps of a cluster that goes end"},
    {DELETING, rule_rest_to_delete, "data that is kept comes to rest in order first,"},
    {DELETING, rule_delete_statefulset, "then the StatefulSet goes,"},
    {DELETING, rule_await_pods, "then its pods end, all of them,"},
    {DELETING, rule_delete_runtime, "then goes what they needed,"},
    {DELETING, rule_destroy_data, "then the data, only if deletionPolicy is Delete,"},
    {DELETING, rule_remove_finalizer, "and at last our finalizer"},

    {ALIVE, rule_first_status,
	"a new cluster is not left without a word, however much is to be made"},
    {ALIVE, rule_rights,
	"the rights of running instances heal before all else: one 403 demotes a primary"},
    {ALIVE | SAY, rule_dbops, "a BGDbOps begins, goes on or ends"},
    {ALIVE, rule_finalizer, "nothing is made without our finalizer"},
    {ALIVE, rule_children,
	"anchor, Secrets, rights, Services, instances, StatefulSet are made and kept, in this "
	"order"},
    {ALIVE, rule_storage, "other volumes need another StatefulSet, once all else is well"},
    {ALIVE, rule_rest, "who is hibernated or fenced is stopped, a whole cluster in order"},
    {ALIVE, rule_release, "on adopted data the last primary starts first, once all have reported"},
    {ALIVE, rule_surplus, "what a smaller cluster no longer needs goes after its pod"},
    {ALIVE, rule_template, "pods are made anew as before, unless there is nothing to wait for"},
    {ALIVE, rule_restore, "while a rolling change is halted, who is lost comes back as it was"},
    {ALIVE, rule_replace, "a pod that never started is replaced once the mistake is taken back"},
    {ALIVE, rule_reinit, "a replica that can not follow is cloned anew while another one leads"},
    {ALIVE, rule_retire, "before the primary's pod goes with a smaller cluster another one leads"},
    {ALIVE, rule_roll, "pods older than the spec are replaced one by one, the primary last,"},
    {ALIVE, rule_restart, "and so are servers restarted whose parameters wait for that"},
    {ALIVE | SAY, rule_unreachable, "a lost pod's last words are not the present"},
    {ALIVE | SAY, rule_look, "a pod that is not ready is looked at"},
    {ALIVE | SAY, rule_namespace_lost, "who loses pods asks whether the namespace is going"},

    {ALIVE | UNREADABLE | DELETING | QUARANTINED | PAUSED | SAY, rule_status,
	"what was found is said, when it has changed, first as an Event where it is news"},
    {ALIVE | UNREADABLE | QUARANTINED | PAUSED | SAY, rule_event,
	"and so is foreign data that is kept, once, as an Event"},
    {ALIVE | SAY, rule_background, "with time to spare, what an earlier life left is compared"},
};

static enum situation
situation_of(const struct plan_cluster *c)
{
	if (!c->present)
		return NOBODY;
	if (c->namespace_ends && (c->wanted.deleting || c->wanted.finalizer))
		return ENDING;
	if (c->quarantined != 0 && c->quarantined == c->wanted.generation)
		return QUARANTINED;
	if (c->wanted.paused)
		return PAUSED;
	if (c->wanted.deleting)
		/*
		 * Without our finalizer there is nothing left for us: someone else's holds the
		 * object.
		 */
		return c->wanted.finalizer ? DELETING : NOBODY;
	if (c->namespace_ends)
		return NOBODY;
	return c->wanted.invalid ? UNREADABLE : ALIVE;
}

static bool
run_rules(struct plan_at *a, enum situation s)
{
	bool stopped = false;

	for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
		enum verdict v;

		if ((rules[i].when & s) == 0 || (stopped && (rules[i].when & SAY) == 0))
			continue;
		v = rules[i].rule(a);
		a->out->why = rules[i].sentence;
		if (v == STEP)
			return true;
		if (v == STOP)
			stopped = true;
	}
	return false;
}

void
plan_next(struct plan_cluster *c, const struct plan_world *w, struct plan_step *out)
{
	struct plan_at a = {.c = c, .w = w, .out = out};

	memset(out, 0, sizeof(*out));
	out->again.v = PLAN_NEVER;
	rule_want(&a);
	roll_note_config(c, w->now);
	roll_note_restarts(c, w->now);
	template_note_halt(c, w->now);
	dbops_note_config(c, w->now);
	window_look(c->windows, w->unix_s, &a.window);
	if (run_rules(&a, situation_of(c))) {
		out->sent.uid = c->wanted.uid;
		out->spare = false;
		return;
	}
	out->sent.verb = CHOICE_verb_NONE;
	out->why = NULL;
	window_look_again(&a);
	if (a.said)
		event_remember(c, &a);
}

/* --- What rules are written with. */

enum verdict
rule_step(struct plan_at *a, enum choice_verb verb, enum child child, unsigned ordinal,
    const struct uid *target)
{
	a->out->sent.verb = (uint8_t)verb;
	a->out->sent.child = (uint8_t)child;
	a->out->sent.ordinal = (uint8_t)ordinal;
	if (target != NULL)
		a->out->sent.target = *target;
	return STEP;
}

bool
rule_waits_until(struct plan_at *a, struct msec t)
{
	if (t.v <= a->w->now.v)
		return false;
	if (t.v < a->out->again.v)
		a->out->again = t;
	return true;
}

bool
rule_waits(struct plan_at *a, const struct plan_try *t)
{
	return rule_waits_until(a, t->until);
}

/* Else it is said when nothing is left to do, or something is in the way. */
static enum verdict
rule_first_status(struct plan_at *a)
{
	const struct plan_cluster *c = a->c;

	if (!c->fresh || c->wanted.status != 0 ||
	    rule_waits_until(a, (struct msec){c->seen.v + STATUS_FIRST_MS}))
		return PASS;
	if (rule_status(a) == STEP)
		return STEP;
	a->out->sent.key = 0;
	return PASS;
}

static enum verdict
rule_finalizer(struct plan_at *a)
{
	if (a->c->wanted.finalizer)
		return PASS;
	if (rule_waits(a, &a->c->self))
		return STOP;
	return rule_step(a, CHOICE_verb_ADD_FINALIZER, CHILD_ANCHOR, 0, NULL);
}
