/*
 * What the executor of plan_world.h does with volumes that exist: they grow, where their class lets
 * them, and follow after a while. Only test_plan_sim.c includes this.
 */
#ifndef TESTS_UNIT_PLAN_VOLUMES_H
#define TESTS_UNIT_PLAN_VOLUMES_H

#include "tests/unit/plan_world.h"

#define NO_GROWTH 12

static struct plan_answer
do_expand(const struct plan_sent *s)
{
	struct plan_answer a = answer(CHOICE_step_code_DONE);
	uint64_t size = w.hash[GROUP_STORAGE] / 100;
	struct pvc *v = &w.pvcs[s->ordinal];

	if (w.cluster.deleting || s->ordinal >= w.instances)
		return answer(CHOICE_step_code_DENIED);
	a.present = v->present;
	a.bound = v->present && v->bound;
	if (!a.bound)
		return a;
	if (v->size < size && v->storage % 100 == NO_GROWTH) {
		a.code = CHOICE_step_code_INVALID;
		a.reason = REASON_EXPANSION_REFUSED;
		return a;
	}
	if (v->size < size) {
		v->size = size;
		v->grows = true;
	} else if (v->grows && chance(80)) {
		v->grows = false;
	}
	a.ready = !v->grows;
	a.reason = v->grows ? REASON_EXPANDING : REASON_NONE;
	return a;
}

static struct plan_answer
do_step(const struct plan_step *p, uint64_t generation)
{
	if (p->sent.verb == CHOICE_verb_EXPAND_PVC && w.cluster.present &&
	    uid_eq(&p->sent.uid, &w.cluster.uid) && generation == w.cluster.generation)
		return do_expand(&p->sent);
	return execute(p, generation);
}

/* Volumes that are asked for again and again. */
static unsigned
refused_volumes(void)
{
	unsigned n = 0;

	for (unsigned i = 0; i < w.instances; i++)
		n += w.pvcs[i].present && w.pvcs[i].size < w.hash[GROUP_STORAGE] / 100;
	return n;
}

static void
check_volumes(void)
{
	for (unsigned i = 0; i < w.instances; i++)
		if (w.pvcs[i].bound &&
		    (w.pvcs[i].size < w.hash[GROUP_STORAGE] / 100 || w.pvcs[i].grows) &&
		    w.pvcs[i].storage % 100 != NO_GROWTH)
			broken("a volume is smaller than the spec asks");
}

#endif
