/*
 * The BGDbOps that are not over yet, each with the cluster that it is for; oldest first. Owns their
 * memory. For reconciler_feed.c and reconciler_table.c.
 */
#include <string.h>

#include "workers/reconciler.h"

static void
free_dbops(struct table *t, struct plan_dbops *d)
{
	xfree(d->invalid);
	xfree(d->refused);
	xfree(d);
	t->dbops_n--;
}

static void
take_out(struct table *t, struct entry *e, unsigned i)
{
	free_dbops(t, e->plan.dbops[i]);
	e->plan.dbops_n--;
	memmove(&e->plan.dbops[i], &e->plan.dbops[i + 1],
	    (e->plan.dbops_n - i) * sizeof(struct plan_dbops *));
	table_dirty(t, e);
}

static unsigned
find(const struct entry *e, const struct uid *uid)
{
	unsigned i = 0;

	while (i < e->plan.dbops_n && !uid_eq(&e->plan.dbops[i]->uid, uid))
		i++;
	return i;
}

static int
compare_age(const struct plan_dbops *x, const struct plan_dbops *y)
{
	if (x->created_s != y->created_s)
		return x->created_s < y->created_s ? -1 : 1;
	return strcmp(x->name, y->name);
}

static struct plan_dbops *
put_in(struct table *t, struct entry *e, const struct plan_dbops *now)
{
	unsigned i = e->plan.dbops_n;
	struct plan_dbops *d = xcalloc(1, sizeof(*d));

	*d = *now;
	e->plan.dbops = xrealloc(e->plan.dbops, e->plan.dbops_n + 1, sizeof(*e->plan.dbops));
	while (i > 0 && compare_age(now, e->plan.dbops[i - 1]) < 0) {
		e->plan.dbops[i] = e->plan.dbops[i - 1];
		i--;
	}
	e->plan.dbops[i] = d;
	e->plan.dbops_n++;
	t->dbops_n++;
	return d;
}

/* --- Records. */

static struct plan_dbops
dbops_of(const struct msg_rec_dbops *r)
{
	struct plan_dbops d = {.uid = r->uid,
	    .generation = r->generation,
	    .observed = r->observed,
	    .version = r->version,
	    .created_s = (int64_t)r->created,
	    .deleted_s = (int64_t)r->deleted,
	    .finalizer = r->finalizer,
	    .op = r->op,
	    .role = r->role,
	    .wanted = r->wanted,
	    .max_retries = r->max_retries,
	    .only_pending = r->only_pending,
	    .locks = r->locks,
	    .replica = r->replica,
	    .suspend = r->suspend,
	    .scheduled = r->cron[0] != '\0',
	    .system_identifier = r->system_identifier,
	    .run_at_s = (int64_t)r->run_at,
	    .timeout_s = r->timeout,
	    .ttl = r->ttl,
	    .phase = r->phase,
	    .cleanup = r->cleanup,
	    .ordinal = r->ordinal,
	    .percent = r->percent,
	    .pod = r->pod,
	    .instance = r->instance,
	    .attempt = r->attempt,
	    .retries = r->retries,
	    .restarted = r->restarted,
	    .started_s = (int64_t)r->started,
	    .finished_s = (int64_t)r->finished,
	    .next_s = (int64_t)r->next_run,
	    .said = r->said,
	    .step = r->step};

	memcpy(d.name, r->name, sizeof(d.name));
	str_copy(d.zone, sizeof(d.zone), r->zone[0] != '\0' ? str_of(r->zone) : STR("UTC"));
	d.bad_cron = d.scheduled && cron_parse(str_of(r->cron), &d.cron) == -1;
	d.named = true;
	return d;
}

static const char *
check(const struct msg_rec_dbops *r)
{
	if (r->name[0] == '\0' || r->cluster[0] == '\0' || uid_none(&r->uid))
		return "a BGDbOps without a name, cluster or uid";
	if (r->ordinal > INSTANCES_MAX)
		return "a BGDbOps on an instance that can not be";
	return NULL;
}

const char *
dbops_take(struct table *t, unsigned namespace, const struct msg_rec_dbops *r, bool listing,
    bool quarantined)
{
	struct plan_dbops now = dbops_of(r);
	const char *breach = check(r);
	struct plan_dbops *d = NULL;
	struct entry *e;
	unsigned i;

	if (breach != NULL)
		return breach;
	e = table_find(t, namespace, r->cluster);
	i = e != NULL ? find(e, &r->uid) : 0;
	if (e != NULL && i < e->plan.dbops_n)
		d = e->plan.dbops[i];
	if (plan_dbops_is_over(&now)) {
		if (d != NULL)
			take_out(t, e, i);
		return NULL;
	}
	if (d == NULL && t->dbops_n >= DBOPS_MAX) {
		log_warn("too-many", r->name,
		    "%u BGDbOps are not over: this one waits until the operator starts again; "
		    "delete some",
		    t->dbops_n);
		return NULL;
	}
	e = table_add(t, namespace, r->cluster);
	if (e == NULL)
		return NULL;
	if (d == NULL) {
		d = put_in(t, e, &now);
	} else {
		bool another = d->attempt != now.attempt || d->generation != now.generation;

		if (!plan_note_dbops(d, &now, listing))
			return NULL;
		if (another)
			table_keep_text(&d->refused, "");
	}
	d->quarantined = quarantined;
	table_keep_text(&d->invalid, r->invalid);
	table_dirty(t, e);
	return NULL;
}

void
dbops_gone(struct table *t, struct entry *e, const struct uid *uid)
{
	unsigned i = find(e, uid);

	if (i < e->plan.dbops_n)
		take_out(t, e, i);
}

void
dbops_quarantine(struct table *t, const struct uid *uid, uint64_t generation)
{
	for (unsigned k = 0; k < t->size; k++) {
		struct entry *e = t->slots[k];
		unsigned i = e != NULL ? find(e, uid) : 0;

		if (e != NULL && i < e->plan.dbops_n && e->plan.dbops[i]->generation == generation)
			e->plan.dbops[i]->quarantined = true;
	}
}

/* --- Lists. */

void
dbops_forget_names(struct entry *e)
{
	for (unsigned i = 0; i < e->plan.dbops_n; i++)
		e->plan.dbops[i]->named = false;
}

void
dbops_sweep(struct table *t, struct entry *e)
{
	for (unsigned i = e->plan.dbops_n; i-- > 0;)
		if (!e->plan.dbops[i]->named)
			take_out(t, e, i);
}

void
dbops_free(struct table *t, struct entry *e)
{
	for (unsigned i = 0; i < e->plan.dbops_n; i++)
		free_dbops(t, e->plan.dbops[i]);
	xfree(e->plan.dbops);
}
