/*
 * What the executor does with volumes that exist: they grow, where their class lets
 * them, and follow after a while. Only test_plan_sim.c includes this.
 */
#ifndef TESTS_UNIT_PLAN_VOLUMES_H
#define TESTS_UNIT_PLAN_VOLUMES_H

#include "tests/unit/plan_world_executor.h"

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

/* Of an ordinal that a smaller cluster has no more. */
static struct plan_answer
do_delete_pvc(const struct plan_sent *s)
{
	struct pvc *v = &w.pvcs[s->ordinal];

	if (w.cluster.deleting || s->ordinal < w.instances || !w.scale_down)
		return answer(CHOICE_step_code_DENIED);
	if (!w.synced)
		broken("a volume goes before every list was complete");
	if (w.pods[s->ordinal].present || w.replicas > s->ordinal ||
	    (v->bound && find_leader() >= w.instances))
		return answer(CHOICE_step_code_CONFLICT);
	if (!w.instance[s->ordinal].present)
		broken("a volume goes, and nothing remembers that it is to");
	if (v->present && !uid_eq(&v->uid, &s->target))
		return answer(CHOICE_step_code_CONFLICT);
	v->present = v->bound = false;
	w.dropped++;
	return answer(CHOICE_step_code_DONE);
}

static struct plan_answer
do_step(const struct plan_step *p, uint64_t generation)
{
	unsigned verb = p->sent.verb;

	if (p->dbops != NULL)
		return do_dbops(p, generation);
	if ((verb != CHOICE_verb_EXPAND_PVC && verb != CHOICE_verb_DELETE_PVC) ||
	    !w.cluster.present || !uid_eq(&p->sent.uid, &w.cluster.uid) ||
	    generation != w.cluster.generation)
		return execute(p, generation);
	return verb == CHOICE_verb_EXPAND_PVC ? do_expand(&p->sent) : do_delete_pvc(&p->sent);
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

/*
 * No instance that stays can come up to lead, so what a smaller cluster has no more stays too,
 * until a human does something about it.
 */
static bool
is_stuck(void)
{
	bool surplus = false;

	for (unsigned i = 0; i < ORDINALS; i++) {
		surplus |= i >= w.instances && w.instance[i].present;
		if (i < w.instances && w.pods[i].present && comes_up(i))
			return false;
	}
	return surplus && find_leader() >= w.instances;
}

static void
check_volumes(void)
{
	for (unsigned i = 0; i < w.instances; i++)
		if (w.pvcs[i].present && w.pvcs[i].bound &&
		    (w.pvcs[i].size < w.hash[GROUP_STORAGE] / 100 || w.pvcs[i].grows) &&
		    w.pvcs[i].storage % 100 != NO_GROWTH)
			broken("a volume is smaller than the spec asks");
}

#endif
