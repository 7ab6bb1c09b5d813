/*
 * The BGDbOps that are not over yet, each with the cluster that it is for; oldest first. Owns their
 * memory. For reconciler_feed.c and reconciler_table.c.
 */
#include <string.h>

#include "workers/reconciler.h"

static void
free_dbops(struct table *t, const struct entry *e, struct plan_dbops *d)
{
	xfree(d->invalid);
	xfree(d->refused);
	xfree(d);
	t->namespaces[e->namespace].dbops_n--;
}

static void
take_out(struct table *t, struct entry *e, unsigned i)
{
	free_dbops(t, e, e->plan.dbops[i]);
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
	t->namespaces[e->namespace].dbops_n++;
	return d;
}

/* --- Room. */

unsigned
dbops_kept(const struct table *t)
{
	unsigned n = 0;

	for (unsigned i = 0; i < t->namespaces_n; i++)
		n += t->namespaces[i].dbops_n;
	return n;
}

/* Nobody can take up the shares of others. */
static bool
has_room(const struct table *t, unsigned namespace)
{
	unsigned share = t->dbops_limit / 2 / t->namespaces_n, beyond = 0;

	for (unsigned i = 0; i < t->namespaces_n; i++)
		if (t->namespaces[i].dbops_n > share)
			beyond += t->namespaces[i].dbops_n - share;
	return t->namespaces[namespace].dbops_n < share ||
	       beyond < t->dbops_limit - share * t->namespaces_n;
}

/* Its claim may stand in its status: it must end, be cleaned up after and let go of. */
static bool
has_begun(const struct plan_dbops *d)
{
	return d->finalizer || d->phase == CHOICE_dbops_phase_RUNNING || d->awaits > d->version;
}

/* The youngest of that namespace that has not begun gives way. False: there is none. */
static bool
make_room(struct table *t, unsigned namespace)
{
	struct entry *from = NULL;
	unsigned at = 0;

	for (unsigned k = 0; k < t->size; k++) {
		struct entry *e = t->slots[k];

		if (e == NULL || e->namespace != namespace || e->busy)
			continue;
		for (unsigned i = 0; i < e->plan.dbops_n; i++) {
			const struct plan_dbops *d = e->plan.dbops[i];

			if (has_begun(d) ||
			    (from != NULL && compare_age(d, from->plan.dbops[at]) < 0))
				continue;
			from = e;
			at = i;
		}
	}
	if (from == NULL)
		return false;
	take_out(t, from, at);
	t->namespaces[namespace].left_out++;
	return true;
}

/* NULL: it is left out. */
static struct entry *
find_room(struct table *t, unsigned namespace, const char *cluster, const struct plan_dbops *now)
{
	struct entry *e = NULL;

	if (has_room(t, namespace) || (has_begun(now) && make_room(t, namespace)))
		e = table_add(t, namespace, cluster);
	if (e == NULL)
		t->namespaces[namespace].left_out++;
	return e;
}

bool
dbops_relist_is_due(const struct table *t, unsigned namespace, struct msec now, struct msec *when)
{
	const struct table_namespace *ns = &t->namespaces[namespace];

	*when = (struct msec){PLAN_NEVER};
	if (ns->left_out == 0 || (ns->open & 1u << KIND_BGDBOPS) ||
	    (ns->ended & 1u << KIND_BGDBOPS) == 0 || !has_room(t, namespace) || t->n >= t->limit)
		return false;
	if (now.v < ns->relist_at.v)
		*when = ns->relist_at;
	return now.v >= ns->relist_at.v;
}

void
dbops_relisted(struct table *t, unsigned namespace, struct msec now)
{
	struct table_namespace *ns = &t->namespaces[namespace];
	int64_t pause = RELIST_MS + (int64_t)ns->left_out * RELIST_EACH_MS;

	ns->relist_at.v = now.v + (pause < RELIST_MAX_MS ? pause : RELIST_MAX_MS);
	ns->left_out = 0;
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
    bool quarantined, bool *left_out)
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
	if (d == NULL) {
		e = find_room(t, namespace, r->cluster, &now);
		*left_out = e == NULL;
		if (e == NULL)
			return NULL;
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
		free_dbops(t, e, e->plan.dbops[i]);
	xfree(e->plan.dbops);
}
