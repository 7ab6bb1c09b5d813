/*
 * Plans into steps, answers into state: at most STEPS_IN_FLIGHT steps, one for each cluster. What
 * is asked in the background waits until nothing else does, and goes slowly. For reconciler.c.
 */
#include <stdio.h>
#include <string.h>

#include "workers/reconciler.h"

#define SWEEP_MS 600000       /* what nobody watches is ensured this often, */
#define SWEEP_CLUSTER_MS 3000 /* but of many clusters no more than one object a second */

static struct ipc_msg out; /* 60 KB: not on the stack */

static void
poison_enter(const struct table *t, const struct entry *e)
{
	struct ipc_poison p = {.kind = KIND_BGCLUSTER,
	    .uid = e->plan.wanted.uid,
	    .generation = e->plan.wanted.generation};

	snprintf(p.namespace, sizeof(p.namespace), "%s", t->namespaces[e->namespace].name);
	memcpy(p.name, e->name, sizeof(e->name));
	ipc_poison_enter(&p);
}

/* "Service demo-rw" for what a verb is about, else nothing. */
static void
name_target(char *out_text, size_t size, const struct flight *f)
{
	const struct plan_sent *s = &f->sent;
	char name[NAME_MAX_LABEL + 1];

	out_text[0] = '\0';
	if (s->verb == CHOICE_verb_STATUS || s->verb == CHOICE_verb_EVENT ||
	    (s->child == CHILD_ANCHOR && s->verb != CHOICE_verb_ENSURE))
		return;
	model_child_name(name, s->child, f->entry->name, s->ordinal);
	snprintf(out_text, size, " %s %s", kind_info[child_info[s->child].kind].name, name);
}

static void
log_flight(const struct steps *s, const struct flight *f, const char *what)
{
	char obj[160], target[128];

	if (f->entry == NULL)
		return;
	snprintf(obj, sizeof(obj), "bgcluster/%s/%s",
	    s->table->namespaces[f->entry->namespace].name, f->entry->name);
	name_target(target, sizeof(target), f);
	log_info("step", obj, "%s%s id=%u %s", choice_text(VOCAB_verb, f->sent.verb), target, f->id,
	    what);
}

static void
log_done(
    const struct steps *s, const struct flight *f, const struct msg_step_done *d, struct msec now)
{
	char what[IPC_TEXT_MAX + 64];

	snprintf(what, sizeof(what), "code=%s ms=%lld %s", choice_text(VOCAB_step_code, d->code),
	    (long long)(now.v - f->since.v), d->text);
	log_flight(s, f, what);
}

/* --- Sending. */

static struct flight *
free_flight(struct steps *s)
{
	for (unsigned i = 0; i < STEPS_IN_FLIGHT; i++)
		if (s->flights[i].id == 0)
			return &s->flights[i];
	return NULL;
}

static uint32_t
next_id(struct steps *s)
{
	if (++s->last_id == 0)
		s->last_id = 1;
	return s->last_id;
}

static void
put_status(struct msg_step_status *m, const struct plan_status *p)
{
	m->ready_instances = p->ready_instances;
	memcpy(m->primary, p->primary, sizeof(m->primary));
	memcpy(m->phase, p->phase, sizeof(m->phase));
	m->conditions.n = p->n;
	for (unsigned i = 0; i < p->n; i++) {
		m->conditions.at[i].type = p->at[i].type;
		m->conditions.at[i].status = p->at[i].status;
		m->conditions.at[i].reason = p->at[i].reason;
		memcpy(m->conditions.at[i].text, p->at[i].text, sizeof(m->conditions.at[i].text));
	}
}

static void
fill_status(const struct plan_step *p, const struct plan_cluster *c)
{
	out.type = IPC_STEP_STATUS;
	out.step_status =
	    (struct msg_step_status){.uid = c->wanted.uid, .generation = c->wanted.generation};
	put_status(&out.step_status, &p->status);
}

static void
fill_event(const struct plan_step *p, const struct plan_cluster *c)
{
	out.type = IPC_STEP_EVENT;
	out.step_event = (struct msg_step_event){
	    .uid = c->wanted.uid, .type = p->event_type, .reason = p->sent.reason};
	memcpy(out.step_event.text, p->text, sizeof(out.step_event.text));
}

static void
fill_step(const struct plan_step *p, const struct plan_cluster *c)
{
	out.type = IPC_STEP;
	out.step = (struct msg_step){.verb = p->sent.verb,
	    .child = p->sent.child,
	    .ordinal = p->sent.ordinal,
	    .uid = c->wanted.uid,
	    .generation = c->wanted.generation,
	    .target = p->sent.target};
}

static void
fill_dbops(const struct plan_step *p)
{
	struct msg_step_dbops *m = &out.step_dbops;

	out.type = IPC_STEP_DBOPS;
	*m = (struct msg_step_dbops){.verb = p->sent.verb,
	    .uid = p->dbops->uid,
	    .generation = p->dbops->generation,
	    .ordinal = p->sent.ordinal,
	    .target = p->sent.target,
	    .attempt = p->sent.attempt,
	    .cleanup = p->sent.cleanup || p->said.cleanup,
	    .slot = p->sent.slot,
	    .held = p->sent.held,
	    .held_attempt = p->sent.held_attempt,
	    .phase = p->said.phase,
	    .reason = p->said.reason,
	    .due = p->said.due,
	    .next_run = (uint64_t)p->said.next_s};
	memcpy(m->name, p->dbops->name, sizeof(m->name));
	memcpy(m->text, p->text, sizeof(m->text));
}

static void
fill(const struct steps *s, const struct entry *e, const struct plan_step *p, uint32_t id)
{
	const char *namespace = s->table->namespaces[e->namespace].name;
	char *to_namespace, *to_name;

	if (p->sent.verb == CHOICE_verb_STATUS) {
		fill_status(p, &e->plan);
		out.step_status.id = id;
		to_namespace = out.step_status.namespace;
		to_name = out.step_status.name;
	} else if (p->sent.verb == CHOICE_verb_EVENT) {
		fill_event(p, &e->plan);
		out.step_event.id = id;
		to_namespace = out.step_event.namespace;
		to_name = out.step_event.name;
	} else if (p->dbops != NULL) {
		fill_dbops(p);
		out.step_dbops.id = id;
		to_namespace = out.step_dbops.namespace;
		to_name = out.step_dbops.cluster;
	} else {
		fill_step(p, &e->plan);
		out.step.id = id;
		to_namespace = out.step.namespace;
		to_name = out.step.name;
	}
	snprintf(to_namespace, NAME_MAX_LABEL + 1, "%s", namespace);
	snprintf(to_name, NAME_MAX_CLUSTER + 1, "%s", e->name);
}

static bool
send_step(struct steps *s, struct entry *e, const struct plan_step *p, struct msec now)
{
	struct flight *f = free_flight(s);
	uint32_t id = next_id(s);

	fill(s, e, p, id);
	if (!s->send(s->arg, &out))
		return false;
	*f = (struct flight){id, e, p->sent, now};
	s->flights_n++;
	e->busy = true;
	if (p->sent.verb == CHOICE_verb_OBSERVE_NAMESPACE && !e->plan.wanted.deleting)
		table_namespace_asked(s->table, e->namespace, now);
	log_flight(s, f, p->why);
	return true;
}

void
steps_refuse(struct steps *s, const struct msg_rec_cluster *r, struct msec now)
{
	struct flight *f = free_flight(s);
	struct plan_status status;

	plan_status_refused(&status);
	if (f == NULL || r->deleting || plan_status_hash(&status, r->generation) == r->status)
		return;
	out.type = IPC_STEP_STATUS;
	out.step_status =
	    (struct msg_step_status){.id = next_id(s), .uid = r->uid, .generation = r->generation};
	memcpy(out.step_status.namespace, r->namespace, sizeof(r->namespace));
	memcpy(out.step_status.name, r->name, sizeof(r->name));
	put_status(&out.step_status, &status);
	if (!s->send(s->arg, &out))
		return;
	*f = (struct flight){out.step_status.id, NULL, {.verb = CHOICE_verb_STATUS}, now};
	s->flights_n++;
}

void
steps_leave_out(struct steps *s, const struct msg_rec_dbops *r, struct msec now)
{
	struct flight *f = free_flight(s);
	struct msg_step_dbops *m = &out.step_dbops;
	/* A schedule's that waits would be due. */
	enum choice_dbops_phase phase =
	    r->cron[0] != '\0' ? CHOICE_dbops_phase_SCHEDULED : CHOICE_dbops_phase_WAITING;

	if (f == NULL || s->flights_n > STEPS_IN_FLIGHT / 2 || now.v < s->left_out_at.v ||
	    r->deleted != 0 || r->invalid[0] != '\0' || r->phase >= CHOICE_dbops_phase_RUNNING ||
	    r->phase == CHOICE_dbops_phase_PENDING)
		return;
	out.type = IPC_STEP_DBOPS;
	*m = (struct msg_step_dbops){.id = next_id(s),
	    .verb = CHOICE_verb_DBOPS_SAY,
	    .uid = r->uid,
	    .generation = r->generation,
	    .phase = (uint8_t)phase,
	    .next_run = r->next_run};
	snprintf(m->text, sizeof(m->text),
	    "this namespace has more BGDbOps that are not over than the operator keeps (%u of all "
	    "namespaces): it waits until others have ended; delete what is not needed",
	    s->table->dbops_limit);
	if (model_dbops_said(phase, (int64_t)r->next_run, str_of(m->text)) == r->said)
		return;
	memcpy(m->namespace, r->namespace, sizeof(m->namespace));
	memcpy(m->cluster, r->cluster, sizeof(m->cluster));
	memcpy(m->name, r->name, sizeof(m->name));
	if (!s->send(s->arg, &out))
		return;
	s->left_out_at.v = now.v + SPARE_MS;
	*f = (struct flight){m->id, NULL, {.verb = CHOICE_verb_DBOPS_SAY}, now};
	s->flights_n++;
}

/* --- Planning. */

static struct plan_world
world_of(const struct steps *s, const struct entry *e, bool spare, struct msec now)
{
	const struct table_namespace *ns = &s->table->namespaces[e->namespace];
	int64_t sweep = (int64_t)s->table->n * SWEEP_CLUSTER_MS;

	return (struct plan_world){
	    .now = now,
	    .unix_s = s->unix_s,
	    .listed = s->impatient ? UINT32_MAX : ns->listed,
	    .synced = table_synced(ns),
	    .spare = spare,
	    .degraded = s->degraded,
	    .sweep_ms = sweep > SWEEP_MS ? sweep : SWEEP_MS,
	};
}

/* False: nothing can be sent now. */
static bool
plan(struct steps *s, struct entry *e, bool spare, struct msec now)
{
	static struct plan_step p;
	struct plan_world w = world_of(s, e, spare, now);

	if (e->busy)
		return true; /* its answer makes it dirty again */
	poison_enter(s->table, e);
	plan_next(&e->plan, &w, &p);
	ipc_poison_leave();
	if (p.sent.verb != CHOICE_verb_NONE) {
		table_wake_at(s->table, e, (struct msec){PLAN_NEVER});
		if (send_step(s, e, &p, now))
			return true;
		table_put_back(s->table, e);
		return false;
	}
	table_wake_at(s->table, e, p.again);
	if (p.spare)
		table_want_spare(s->table, e);
	table_forget(s->table, e);
	return true;
}

static bool
plan_spare(struct steps *s, struct msec now)
{
	struct entry *e;

	if (now.v < s->spare_at.v || s->flights_n > STEPS_IN_FLIGHT / 2 ||
	    s->table->dirty.head != NULL)
		return true;
	e = table_pop_spare(s->table);
	if (e == NULL)
		return true;
	s->spare_at.v = now.v + SPARE_MS;
	return plan(s, e, true, now);
}

struct msec
steps_pump(struct steps *s, struct msec now)
{
	struct msec next;
	bool room = true;

	table_wake(s->table, now);
	while (room && s->flights_n < STEPS_IN_FLIGHT && s->table->dirty.head != NULL)
		room = plan(s, table_pop_dirty(s->table), false, now);
	if (room && s->flights_n < STEPS_IN_FLIGHT)
		plan_spare(s, now);
	next = table_next_wake(s->table);
	if (s->table->spare.head != NULL && s->spare_at.v < next.v)
		next = s->spare_at.v > now.v ? s->spare_at : (struct msec){now.v + SPARE_MS};
	return next;
}

/* --- Answers. */

static struct plan_answer
answer_of(const struct msg_step_done *d)
{
	return (struct plan_answer){.code = d->code,
	    .anchor = d->anchor,
	    .reason = d->reason,
	    .count = d->count,
	    .primary = d->primary,
	    .timeline = d->timeline,
	    .volumes = d->volumes,
	    .child_uid = d->child_uid,
	    .version = d->version,
	    .generation = d->generation,
	    .inputs = d->inputs,
	    .dbops_version = d->dbops_version,
	    .present = d->present,
	    .ready = d->ready,
	    .terminating = d->terminating,
	    .bound = d->bound};
}

static void
land(struct steps *s, struct flight *f)
{
	if (f->entry != NULL) {
		f->entry->busy = false;
		table_dirty(s->table, f->entry);
	}
	f->id = 0;
	s->flights_n--;
}

/* That a namespace is being deleted is learnt by one and told to all of it. */
static char **
take_answer(struct steps *s, struct flight *f, const struct plan_answer *answer, struct msec now)
{
	struct plan_cluster *c = &f->entry->plan;
	bool ended = c->namespace_ends;
	char **text;

	poison_enter(s->table, f->entry);
	text = plan_done(c, &f->sent, answer, now);
	ipc_poison_leave();
	if (!ended && c->namespace_ends)
		table_namespace_ends(s->table, f->entry->namespace);
	return text;
}

const char *
steps_done(struct steps *s, const struct msg_step_done *d, struct msec now)
{
	struct plan_answer answer = answer_of(d);
	char **text;

	for (unsigned i = 0; i < STEPS_IN_FLIGHT; i++) {
		struct flight *f = &s->flights[i];

		if (f->id == 0 || f->id != d->id)
			continue;
		log_done(s, f, d, now);
		if (f->entry != NULL) {
			text = take_answer(s, f, &answer, now);
			if (text != NULL)
				table_keep_text(text, d->text);
		}
		land(s, f);
		return NULL;
	}
	return "an answer to a step that is not in flight";
}

void
steps_lost(struct steps *s)
{
	for (unsigned i = 0; i < STEPS_IN_FLIGHT; i++) {
		struct flight *f = &s->flights[i];

		if (f->id == 0)
			continue;
		if (f->entry != NULL)
			plan_lost(&f->entry->plan, &f->sent);
		land(s, f);
	}
}
