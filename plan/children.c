/*
 * The objects that one BGCluster is made of: which of them is as wanted, and the rules that make,
 * compare, keep and remove them. For plan/cluster.c. What a child should look like is the
 * executor's business; here only hashes are compared.
 */
#include "plan/rule.h"

uint64_t
plan_inputs_key(uint32_t revision, uint64_t hash)
{
	return hash_u64(hash_u64(HASH_INIT, hash), revision);
}

bool
rule_unwatched(enum child child)
{
	return kind_info[child_info[child].kind].watch == WATCH_NONE;
}

unsigned
rule_instances(const struct plan_cluster *c)
{
	return c->wanted.instances < c->instances_n ? c->wanted.instances : c->instances_n;
}

unsigned
rule_replicas(const struct plan_cluster *c)
{
	return c->wanted.hibernated ? 0 : c->wanted.instances;
}

const struct plan_child *
rule_child(const struct plan_cluster *c, enum child child, unsigned ordinal)
{
	return child == CHILD_INSTANCE ? &c->instance[ordinal].child : &c->child[child];
}

void
rule_want(struct plan_at *a)
{
	a->owner = model_uid_key(&a->c->wanted.uid);
	for (unsigned child = 0; child < CHILD_COUNT; child++)
		a->wanted[child] = plan_inputs_key(child_info[child].revision,
		    model_child_inputs((enum child)child, a->c->wanted.hash));
}

/*
 * When what nobody watches is ensured again: spread, so that a thousand clusters do not ask at
 * once.
 */
static struct msec
next_sweep(const struct plan_at *a, enum child child)
{
	uint64_t h = hash_u64(a->owner, (uint64_t)child);
	int64_t period =
	    a->w->sweep_ms - a->w->sweep_ms / 4 + (int64_t)(h % (uint64_t)(a->w->sweep_ms / 2 + 1));

	return (struct msec){a->c->checked[child].v + period};
}

enum plan_is
rule_child_is(const struct plan_at *a, enum child child, unsigned ordinal)
{
	const struct plan_child *s = rule_child(a->c, child, ordinal);

	if (rule_unwatched(child)) {
		if (!s->present)
			return IS_MISSING;
		return a->w->now.v < next_sweep(a, child).v ? IS_SETTLED : IS_UNVERIFIED;
	}
	if (!s->present)
		return a->w->listed & (1u << child_info[child].kind) ? IS_MISSING : IS_UNSEEN;
	if (s->deleting)
		return IS_DYING;
	if (s->owner == 0)
		return IS_TAKEN;
	if (s->owner != a->owner || s->inputs != a->wanted[child])
		return IS_DIFFERENT;
	if (s->verify == PLAN_CHANGED)
		return IS_CHANGED;
	return s->verify == PLAN_VERIFIED ? IS_SETTLED : IS_UNVERIFIED;
}

/* Does this cluster run already, or does only what an earlier one of its name left behind? */
static bool
is_running(const struct plan_at *a)
{
	return a->c->child[CHILD_STATEFULSET].present &&
	       a->c->child[CHILD_STATEFULSET].owner == a->owner;
}

static enum verdict
ensure(struct plan_at *a, enum child child, unsigned ordinal)
{
	const struct plan_child *s = rule_child(a->c, child, ordinal);

	a->out->sent.key = a->wanted[child];
	return rule_step(a, CHOICE_verb_ENSURE, child, ordinal, s->present ? &s->uid : NULL);
}

/* Instances beyond the spec's number that are still there. */
static bool
has_surplus(const struct plan_cluster *c)
{
	for (unsigned i = rule_instances(c); i < c->instances_n; i++)
		if (c->instance[i].child.present)
			return true;
	return false;
}

/* --- Rights of running instances. */

enum verdict
rule_rights(struct plan_at *a)
{
	static const enum child rights[] = {CHILD_SERVICEACCOUNT, CHILD_ROLE, CHILD_ROLEBINDING};

	if (!is_running(a) || !a->c->wanted.finalizer)
		return PASS;
	for (size_t i = 0; i < sizeof(rights) / sizeof(rights[0]); i++) {
		enum plan_is is = rule_child_is(a, rights[i], 0);

		if (is != IS_MISSING && is != IS_CHANGED)
			continue;
		if (!rule_waits(a, &a->c->child[rights[i]].try))
			return ensure(a, rights[i], 0);
	}
	return PASS;
}

/* --- Everything, in the order of creation. */

/* A smaller StatefulSet removes pods. */
static bool
shrinks_unsynced(const struct plan_at *a, enum child child)
{
	return child == CHILD_STATEFULSET && a->c->child[child].present && !a->w->synced &&
	       (!a->c->statefulset.known || a->c->statefulset.replicas > rule_replicas(a->c));
}

/* Pods go only when what is in them rests. */
static bool
shrinks_awake(const struct plan_at *a, enum child child)
{
	return child == CHILD_STATEFULSET && a->c->wanted.hibernated && !rest_has_no_pods(a->c) &&
	       !rest_is_complete(a->c);
}

/* A larger StatefulSet makes pods, which need their names in the Role and their BGInstances. */
static bool
grows_unprepared(const struct plan_at *a, enum child child)
{
	const struct plan_cluster *c = a->c;
	enum plan_is role = rule_child_is(a, CHILD_ROLE, 0);

	if (child != CHILD_STATEFULSET)
		return false;
	for (unsigned i = 0; i < rule_instances(c); i++)
		if (!c->instance[i].child.present || c->instance[i].child.deleting)
			return true;
	return role == IS_UNSEEN || role == IS_MISSING || (role == IS_DIFFERENT && !has_surplus(c));
}

/* A smaller StatefulSet removes the primary's pod: first another instance is to lead. */
static bool
shrinks_primary(const struct plan_at *a, enum child child)
{
	return child == CHILD_STATEFULSET && !a->c->wanted.hibernated &&
	       roll_going_primary(a->c) < a->c->instances_n;
}

static bool
is_due(const struct plan_at *a, enum child child, enum plan_is is, bool running)
{
	switch (is) {
	case IS_MISSING:
		/* A deletion that had begun: to start all instances at once may lose rows. */
		if (child == CHILD_STATEFULSET && a->c->wanted.blocked)
			return false;
		/* Who led last is known before anybody starts. */
		if (child == CHILD_ANCHOR && rest_is_any(a->c))
			return true;
		/* Of a running cluster it was only not asked for yet: that has time. */
		return !rule_unwatched(child) || !running || a->c->checked[child].v != 0;
	case IS_DIFFERENT:
	case IS_CHANGED:
		return true;
	case IS_UNSEEN:
	case IS_DYING:
	case IS_TAKEN:
	case IS_UNVERIFIED:
	case IS_SETTLED:
		break;
	}
	return false;
}

/*
 * PASS: on to the next child. A running cluster is served as far as possible; a new one is built in
 * order.
 */
static enum verdict
tend(struct plan_at *a, enum child child, unsigned ordinal)
{
	bool running = is_running(a);
	enum plan_is is = rule_child_is(a, child, ordinal);
	enum verdict held;

	if (is == IS_SETTLED || is == IS_UNVERIFIED)
		return PASS;
	if (child == CHILD_STATEFULSET && (held = rest_hold(a)) != PASS)
		return held;
	/* A smaller cluster's Role loses names only after the pods that need them. */
	if (child == CHILD_ROLE && is == IS_DIFFERENT && has_surplus(a->c))
		return PASS;
	if (shrinks_primary(a, child) || shrinks_awake(a, child))
		return PASS; /* rule_retire and rule_rest see to that, whose ever it is */
	if (is_due(a, child, is, running) && !shrinks_unsynced(a, child) &&
	    !grows_unprepared(a, child) && !rule_waits(a, &rule_child(a->c, child, ordinal)->try))
		return ensure(a, child, ordinal);
	return running ? PASS : STOP;
}

static enum verdict
tend_anchor(struct plan_at *a)
{
	const struct plan_child *s = &a->c->child[CHILD_ANCHOR];

	if (s->present && lead_lacks(a->c, NULL) != LEAD_FREE &&
	    !rule_waits_until(a, (struct msec){a->c->checked[CHILD_ANCHOR].v + LEAD_LOOK_MS}) &&
	    !rule_waits(a, &s->try))
		return ensure(a, CHILD_ANCHOR, 0);
	if (!s->present || a->c->anchor != CHOICE_anchor_state_DESTROYING)
		return tend(a, CHILD_ANCHOR, 0);
	return rule_waits(a, &s->try) ? STOP : ensure(a, CHILD_ANCHOR, 0);
}

enum verdict
rule_children(struct plan_at *a)
{
	enum verdict v = tend_anchor(a);

	for (unsigned child = CHILD_ANCHOR + 1; child < CHILD_COUNT && v == PASS; child++) {
		unsigned n = child == CHILD_INSTANCE ? rule_instances(a->c) : 1;

		for (unsigned i = 0; i < n && v == PASS; i++)
			v = tend(a, (enum child)child, i);
	}
	return v;
}

/* --- Background. */

static bool
is_unverified(const struct plan_at *a, enum child child, enum plan_is is)
{
	return is == IS_UNVERIFIED || (is == IS_MISSING && rule_unwatched(child) && is_running(a));
}

enum verdict
rule_verify(struct plan_at *a, bool *left)
{
	*left = false;
	for (unsigned child = CHILD_ANCHOR; child < CHILD_COUNT; child++) {
		unsigned n = child == CHILD_INSTANCE ? rule_instances(a->c) : 1;

		for (unsigned i = 0; i < n; i++) {
			if (!is_unverified(
				a, (enum child)child, rule_child_is(a, (enum child)child, i)) ||
			    shrinks_unsynced(a, (enum child)child) ||
			    shrinks_awake(a, (enum child)child))
				continue;
			if (rule_waits(a, &rule_child(a->c, (enum child)child, i)->try))
				continue;
			*left = true;
			return ensure(a, (enum child)child, i);
		}
	}
	return PASS;
}

/* When the next sweep of what nobody watches is due. */
static void
wait_for_sweep(struct plan_at *a)
{
	for (unsigned child = CHILD_ANCHOR; child <= CHILD_APP; child++)
		if (a->c->child[child].present)
			rule_waits_until(a, next_sweep(a, (enum child)child));
}

enum verdict
rule_background(struct plan_at *a)
{
	enum verdict v;
	bool left;

	wait_for_sweep(a);
	v = rule_verify(a, &left);
	if (v != STEP)
		v = rule_ask_volumes(a);
	if (v != STEP || a->w->spare)
		return v;
	a->out->sent.verb = CHOICE_verb_NONE;
	a->out->spare = true;
	return PASS;
}

/*
 * --- After a scale-down: the pod ends, then its volume goes if storage.onScaleDown says so, and at
 * last its BGInstance: as long as that is there, any life of ours sees that something is left.
 */

static bool
has_shrunk(const struct plan_at *a, unsigned ordinal)
{
	enum plan_is is = rule_child_is(a, CHILD_STATEFULSET, 0);

	return (is == IS_SETTLED || is == IS_UNVERIFIED) && a->c->statefulset.known &&
	       a->c->statefulset.replicas <= ordinal;
}

/* Nothing of its volume is left to delete. */
static bool
is_bare(const struct plan_cluster *c, const struct plan_instance *p)
{
	return c->wanted.scale_down != CHOICE_scale_down_DELETE ||
	       (p->pvc_looked && (!p->pvc_present || p->pvc_terminating));
}

/* Its volume may hold the newest rows: not before an instance that stays leads. */
static bool
awaits_leader(const struct plan_cluster *c, const struct plan_instance *p)
{
	return !is_bare(c, p) && p->pvc_looked && p->pvc_bound && !status_led(c);
}

/* The pod is gone, as was seen just now. */
static enum verdict
drop(struct plan_at *a, unsigned i)
{
	const struct plan_instance *p = &a->c->instance[i];
	bool bare = is_bare(a->c, p);

	if (!bare && !p->pvc_looked)
		return p->look.code != CHOICE_step_code_DONE && rule_waits(a, &p->look)
		           ? PASS
		           : rule_step(a, CHOICE_verb_OBSERVE_PVC, CHILD_INSTANCE, i, NULL);
	if (rule_waits(a, &p->child.try))
		return PASS;
	return bare ? rule_step(a, CHOICE_verb_DELETE, CHILD_INSTANCE, i, &p->child.uid)
	            : rule_step(a, CHOICE_verb_DELETE_PVC, CHILD_INSTANCE, i, &p->pvc_uid);
}

static enum verdict
retire(struct plan_at *a, unsigned i)
{
	const struct plan_instance *p = &a->c->instance[i];

	if (!p->looked || p->pod_present)
		return rule_waits(a, &p->look) ? PASS : rule_look_pod(a, i);
	if (awaits_leader(a->c, p))
		return PASS;
	if (a->w->now.v >= p->looked_at.v + LOOK_FRESH_MS)
		return rule_waits(a, &p->child.try) ? PASS : rule_look_pod(a, i);
	return drop(a, i);
}

enum verdict
rule_surplus(struct plan_at *a)
{
	const struct plan_cluster *c = a->c;

	if (!a->w->synced)
		return PASS;
	for (unsigned i = rule_instances(c); i < c->instances_n; i++) {
		const struct plan_child *s = &c->instance[i].child;

		if (s->present && !s->deleting && s->owner != 0 && has_shrunk(a, i) &&
		    i != roll_going_primary(c) && retire(a, i) == STEP)
			return STEP;
	}
	return PASS;
}
