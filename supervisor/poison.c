/*
 * The crash tally: how often each object (by uid and generation) or watch line (by hash) was being
 * handled when a worker crashed by its own fault. POISON_CRASHES of them and it is quarantined:
 * left alone until it has a new generation. Pure; what counts as a crash is restart.c's to say.
 */
#include "supervisor/supervisor.h"

static bool
is_same(const struct tally_row *r, const struct ipc_poison *p)
{
	if (r->crashes == 0 || !uid_eq(&r->uid, &p->uid))
		return false;
	return !uid_none(&p->uid) || r->line == p->line;
}

/* The row of p, else the free one, else that whose last crash is longest ago. */
static struct tally_row *
find_row(struct tally *t, const struct ipc_poison *p)
{
	struct tally_row *oldest = &t->rows[0];

	for (unsigned i = 0; i < TALLY_MAX; i++) {
		if (is_same(&t->rows[i], p))
			return &t->rows[i];
		if (t->rows[i].last < oldest->last)
			oldest = &t->rows[i];
	}
	*oldest = (struct tally_row){.uid = p->uid, .generation = p->generation, .line = p->line};
	return oldest;
}

static void
fill(const struct tally_row *r, struct msg_quarantine *q)
{
	*q = (struct msg_quarantine){.uid = r->uid, .generation = r->generation};
	if (uid_none(&r->uid))
		*q = (struct msg_quarantine){.line = r->line};
}

bool
supervisor_tally_crash(struct tally *t, const struct ipc_poison *p, struct msg_quarantine *q)
{
	struct tally_row *r = find_row(t, p);

	if (!uid_none(&p->uid) && r->generation != p->generation) {
		r->generation = p->generation; /* the user changed it: a new chance */
		r->crashes = 0;
	}
	r->last = ++t->clock;
	r->crashes++;
	if (r->crashes != POISON_CRASHES)
		return false;
	fill(r, q);
	return true;
}

bool
supervisor_tally_get(const struct tally *t, unsigned n, struct msg_quarantine *q)
{
	for (unsigned i = 0; i < TALLY_MAX; i++) {
		if (t->rows[i].crashes < POISON_CRASHES || n-- > 0)
			continue;
		fill(&t->rows[i], q);
		return true;
	}
	return false;
}
