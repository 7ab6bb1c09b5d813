/*
 * What came of a step, taken into the state of its cluster. For the reconciler. One row per answer
 * code says when to try again and what a condition says; one row per verb says what DONE means.
 */
#include "plan/rule.h"

static const struct {
	int64_t first_ms, max_ms;  /* doubled with each failure in a row, and spread */
	enum choice_reason reason; /* where the answer has none */
} codes[CHOICE_step_code_COUNT] = {
    [CHOICE_step_code_DONE] = {0, 0, REASON_NONE},
    [CHOICE_step_code_RETRY] = {500, 60000, REASON_NONE},
    [CHOICE_step_code_CONFLICT] = {1000, 30000, REASON_NONE}, /* or at the next record */
    [CHOICE_step_code_GONE] = {1000, 60000, REASON_NONE},
    [CHOICE_step_code_INVALID] = {60000, 600000,
	REASON_SPEC_REFUSED}, /* or with the next generation */
    [CHOICE_step_code_DENIED] = {5000, 60000, REASON_RIGHTS_MISSING},
    [CHOICE_step_code_FOREIGN] = {5000, 60000, REASON_NAME_TAKEN},
    [CHOICE_step_code_TERMINATING] = {5000, 60000, REASON_NAMESPACE_TERMINATING},
};

/* A quarter up or down, the same for the same object and attempt. */
static int64_t
spread(const struct plan_cluster *c, int64_t ms, unsigned n)
{
	uint64_t h = hash_u64(model_uid_key(&c->wanted.uid), n);

	return ms - ms / 4 + (int64_t)(h % (uint64_t)(ms / 2 + 1));
}

static int64_t
doubled(int64_t first, int64_t max, unsigned n)
{
	int64_t ms = first;

	while (n-- > 0 && ms < max)
		ms *= 2;
	return ms < max ? ms : max;
}

static void
back_off(const struct plan_cluster *c, struct plan_try *t, unsigned code, unsigned reason,
    struct msec now)
{
	/* A Secret that someone restores is not announced by a new generation. */
	unsigned pace = reason == REASON_CREDENTIALS_MISSING ? CHOICE_step_code_DENIED : code;
	int64_t ms =
	    doubled(codes[pace].first_ms, codes[pace].max_ms, t->code == code ? t->failures : 0);

	t->failures = t->code == code && t->failures < UINT8_MAX ? (uint8_t)(t->failures + 1) : 1;
	t->code = (uint8_t)code;
	if (reason == REASON_NONE)
		reason = codes[code].reason;
	if (reason != REASON_NONE) /* else what was refused before still is, as far as is known */
		t->reason = (uint8_t)reason;
	t->until.v = now.v + spread(c, ms, t->failures);
}

/*
 * The same object ensured again and again: we and someone else disagree, so take turns more slowly.
 */
static void
settle(const struct plan_cluster *c, struct plan_try *t, struct msec now)
{
	bool again = t->code == CHOICE_step_code_DONE && t->until.v != 0 &&
	             now.v < t->until.v + SETTLE_WINDOW_MS;

	t->failures = again && t->failures < 7 ? (uint8_t)(t->failures + 1)
	              : again                  ? t->failures
	                                       : 0;
	t->code = CHOICE_step_code_DONE;
	t->reason = REASON_NONE;
	t->until.v =
	    now.v + (again ? spread(c, (int64_t)SETTLE_MS << t->failures, t->failures) : SETTLE_MS);
}

static void
succeed(struct plan_try *t)
{
	*t = (struct plan_try){.code = CHOICE_step_code_DONE};
}

/* The text of the first of several troubles is kept, and as long as it stays the same trouble. */
static char **
keep_text(struct plan_cluster *c, unsigned at, bool news)
{
	const struct plan_try *kept = c->trouble == 0 ? NULL : status_try(c, c->trouble - 1u);

	if (kept != NULL && kept->reason != REASON_NONE &&
	    (c->trouble - 1u < at || (c->trouble - 1u == at && !news)))
		return NULL;
	c->trouble = (uint16_t)(at + 1);
	return &c->trouble_text;
}

/* --- What DONE means. */

struct ctx {
	struct plan_cluster *c;
	const struct plan_sent *sent;
	const struct plan_answer *answer;
	struct msec now;
};

static struct plan_child *
child_of(const struct ctx *x)
{
	struct plan_cluster *c = x->c;

	return x->sent->child == CHILD_INSTANCE ? &c->instance[x->sent->ordinal].child
	                                        : &c->child[x->sent->child];
}

/* A reply is as good as a record, unless records have said more by now. */
static void
learn(const struct ctx *x)
{
	struct plan_child *s = child_of(x);
	const struct plan_answer *d = x->answer;
	bool same = uid_eq(&s->uid, &d->child_uid);

	if (uid_none(&d->child_uid) || (same && !s->present && !rule_unwatched(x->sent->child)))
		return; /* it came and went while we waited */
	if (s->present && d->version < s->version) {
		if (same && d->generation != 0 && d->generation == s->generation)
			s->verify = PLAN_VERIFIED;
		return;
	}
	if (!same)
		plan_forget_details(x->c, x->sent->child, x->sent->ordinal);
	s->uid = d->child_uid;
	s->version = d->version;
	s->generation = d->generation;
	s->verify = PLAN_VERIFIED;
	s->present = true;
}

/* Have records said so already, or more: that its pod is at it, or has ended it? */
static bool
is_old(const struct ctx *x)
{
	const struct plan_child *s = child_of(x);

	return s->present && uid_eq(&s->uid, &x->answer->child_uid) &&
	       x->answer->version <= s->version;
}

/* The volumes of a cluster that had none are made as large as the spec asks. */
static void
trust_volumes(const struct ctx *x)
{
	struct plan_cluster *c = x->c;
	uint64_t wanted = plan_inputs_key(child_info[CHILD_STATEFULSET].revision,
	    model_child_inputs(CHILD_STATEFULSET, c->wanted.hash));

	if (c->wanted.generation != 1 || !c->fresh || c->anchor != CHOICE_anchor_state_CREATED ||
	    !uid_none(&x->sent->target) || x->sent->key != wanted)
		return;
	for (unsigned i = 0; i < rule_instances(c); i++)
		c->instance[i].volume_asked = c->instance[i].volume_grown = true;
}

static void
on_ensured(const struct ctx *x)
{
	struct plan_child *s = child_of(x);

	learn(x);
	if (s->present && uid_eq(&s->uid, &x->answer->child_uid) &&
	    x->answer->version >= s->version) {
		s->owner = model_uid_key(&x->sent->uid);
		s->inputs = x->sent->key;
		s->deleting = false;
	}
	if (x->sent->child == CHILD_ANCHOR)
		succeed(&s->try); /* it is ensured again to look, as often as LEAD_LOOK_MS says */
	else
		settle(x->c, &s->try, x->now);
	if (x->sent->child == CHILD_STATEFULSET)
		trust_volumes(x);
	if (x->sent->child > CHILD_APP)
		return;
	s->present = true; /* a Secret is never read: its answer has no uid */
	x->c->checked[x->sent->child] = x->now;
	if (x->sent->child != CHILD_ANCHOR)
		return;
	x->c->anchor = x->answer->anchor;
	x->c->last_primary = x->answer->primary;
	x->c->last_timeline = x->answer->timeline;
	x->c->volumes = x->answer->volumes;
	if (x->answer->anchor == CHOICE_anchor_state_DESTROYING)
		back_off(x->c, &s->try, CHOICE_step_code_FOREIGN, REASON_WAITING_FOR_DESTRUCTION,
		    x->now);
}

static void
on_tried(const struct ctx *x)
{
	succeed(&child_of(x)->try);
	x->c->tried = x->sent->key;
}

/*
 * What else there is of the StatefulSet was not compared. The record of this very write may have
 * come before the answer: that is nobody else's, which the next pod would wait for.
 */
static void
on_template(const struct ctx *x)
{
	struct plan_child *s = child_of(x);
	bool ours = s->present && uid_eq(&s->uid, &x->answer->child_uid) &&
	            x->answer->generation != 0 && s->generation == x->answer->generation;
	uint8_t verify = ours && s->verify == PLAN_CHANGED ? PLAN_UNVERIFIED : s->verify;

	learn(x);
	s->verify = verify;
	settle(x->c, &s->try, x->now);
	/* A record that came meanwhile may tell that someone has undone it. */
	if (uid_eq(&s->uid, &x->answer->child_uid) && s->version <= x->answer->version)
		x->c->statefulset.pod_inputs = x->sent->key;
}

static void
on_unreachable(const struct ctx *x)
{
	struct plan_instance *p = &x->c->instance[x->sent->ordinal];

	learn(x);
	p->unreachable = true;
	settle(x->c, &p->child.try, x->now);
}

static void
on_held(const struct ctx *x) /* HOLD, RELEASE, STOP_PATRONI, STOP_POSTGRESQL */
{
	struct plan_instance *p = &x->c->instance[x->sent->ordinal];

	learn(x);
	/*
	 * It may be stopped and released within seconds, each time for a reason. The same again:
	 * someone has undone it.
	 */
	if (p->held == x->sent->verb)
		settle(x->c, &p->child.try, x->now);
	else
		succeed(&p->child.try);
	p->held = x->sent->verb;
	if (!uid_eq(&p->child.uid, &x->answer->child_uid))
		return;
	switch (x->sent->verb) {
	case CHOICE_verb_STOP_PATRONI:
	case CHOICE_verb_STOP_POSTGRESQL:
		p->report.stop = x->sent->verb == CHOICE_verb_STOP_PATRONI ? CHOICE_stop_PATRONI
		                                                           : CHOICE_stop_POSTGRESQL;
		x->c->rested_at = x->now;
		break;
	default:
		p->report.hold = x->sent->verb == CHOICE_verb_HOLD;
		p->report.stop = CHOICE_stop_NONE;
	}
}

static void
on_deleted(const struct ctx *x) /* DELETE, ORPHAN_STATEFULSET */
{
	struct plan_child *s = child_of(x);

	if (x->sent->child == CHILD_ANCHOR) {
		x->c->destruction = PLAN_DATA_GONE;
		s->present = false;
	} else if (s->present && uid_eq(&s->uid, &x->sent->target)) {
		s->deleting = true; /* until the record says that it is gone */
	}
	if (x->sent->verb == CHOICE_verb_ORPHAN_STATEFULSET)
		x->c->orphaned = x->c->wanted.generation;
	succeed(&s->try);
}

static void
on_pvc_deleted(const struct ctx *x) /* DELETE_PVC */
{
	struct plan_instance *p = &x->c->instance[x->sent->ordinal];

	succeed(&p->child.try);
	p->pvc_looked = false; /* the WAL's claim may be left */
}

static void
on_finalizer(const struct ctx *x)
{
	x->c->wanted.finalizer = x->sent->verb == CHOICE_verb_ADD_FINALIZER;
	if (x->answer->version > x->c->wanted.version)
		x->c->wanted.version = x->answer->version;
	succeed(&x->c->self);
}

static void
on_namespace(const struct ctx *x)
{
	struct plan_cluster *c = x->c;

	succeed(&c->self);
	c->lost = false;
	if (x->answer->terminating)
		c->namespace_ends = true;
	if (c->wanted.deleting || c->wanted.blocked)
		c->namespace_asked = true;
	c->namespace_at.v = x->now.v + (c->wanted.deleting ? NAMESPACE_DELETING_MS : NAMESPACE_MS);
}

static void
next_look(struct plan_instance *p, struct msec now)
{
	succeed(&p->look);
	p->look.until.v = now.v + doubled(LOOK_FIRST_MS, LOOK_MAX_MS, p->looks);
	if (p->looks < UINT8_MAX)
		p->looks++;
}

/* A crash loop's container runs now and then: it stays one until the pod is ready or another. */
static bool
still_crashes(const struct plan_instance *p, const struct plan_answer *d)
{
	return p->pod_present && uid_eq(&p->pod_uid, &d->child_uid) && !d->ready &&
	       d->reason == REASON_NONE && p->pod_reason == REASON_CRASH_LOOP;
}

static void
on_told(const struct ctx *x) /* SWITCHOVER, RESTART, REINIT */
{
	struct plan_instance *p = &x->c->instance[x->sent->ordinal];
	bool old = is_old(x);

	learn(x);
	settle(x->c, &p->child.try, x->now);
	p->told = x->now;
	if (p->tells < UINT8_MAX)
		p->tells++;
	if (old || !uid_eq(&p->report.pod_uid, &x->sent->target))
		return;
	p->report.operation = x->sent->verb == CHOICE_verb_SWITCHOVER ? CHOICE_operation_SWITCHOVER
	                      : x->sent->verb == CHOICE_verb_REINIT   ? CHOICE_operation_REINIT
	                                                              : CHOICE_operation_RESTART;
	p->report.operation_phase = CHOICE_operation_phase_NONE; /* until its pod says more */
}

static char **
on_pod(const struct ctx *x)
{
	struct plan_instance *p = &x->c->instance[x->sent->ordinal];
	const struct plan_answer *d = x->answer;
	bool same = p->looked && p->pod_present == d->present && uid_eq(&p->pod_uid, &d->child_uid);
	uint8_t reason = still_crashes(p, d) ? p->pod_reason : d->reason;
	bool news = !same || reason != p->pod_reason;

	next_look(p, x->now);
	p->looked_at = x->now;
	p->looked = p->reports == (uint8_t)x->sent->key;
	p->pod_present = d->present;
	p->pod_ready = d->present && d->ready;
	p->pod_terminating = d->terminating;
	p->pod_uid = d->child_uid;
	p->pod_inputs = d->inputs;
	p->pod_reason = reason;
	p->pvc_looked = false;
	if (news && reason == REASON_CONTAINER_CONFIG_ERROR)
		for (unsigned child = CHILD_ANCHOR; child <= CHILD_APP; child++)
			if (x->c->checked[child].v != 0)
				x->c->checked[child].v = 1;
	/* The kubelet words the same trouble differently each time: the first wording stays. */
	return news ? &p->pod_text : NULL;
}

static void
on_pvc(const struct ctx *x)
{
	struct plan_instance *p = &x->c->instance[x->sent->ordinal];

	p->pvc_looked = true;
	p->pvc_present = x->answer->present;
	p->pvc_bound = x->answer->bound;
	p->pvc_terminating = x->answer->terminating;
	p->pvc_fits = x->answer->ready;
	p->pvc_uid = x->answer->child_uid;
	p->look.code = CHOICE_step_code_DONE;
	p->look.reason = REASON_NONE;
}

static void
on_replaced(const struct ctx *x) /* REPLACE_POD, REPLACE_PVC */
{
	struct plan_instance *p = &x->c->instance[x->sent->ordinal];

	if (x->sent->verb == CHOICE_verb_REPLACE_POD) {
		p->pod_terminating = true;
		p->replaced = x->sent->target;
		p->replaced_at = x->now;
	} else {
		p->pvc_terminating = true;
	}
	p->looks = 0;
	p->look =
	    (struct plan_try){.code = CHOICE_step_code_DONE, .until = {x->now.v + LOOK_FIRST_MS}};
}

static void
on_pods(const struct ctx *x)
{
	struct plan_cluster *c = x->c;

	c->pods_gone = x->answer->count == 0;
	c->pods_at.v = x->now.v + doubled(PODS_FIRST_MS, PODS_MAX_MS, c->pods_looks);
	c->pods_looks = c->pods_gone ? 0 : (uint8_t)(c->pods_looks < 16 ? c->pods_looks + 1 : 16);
}

static void
on_destroyed(const struct ctx *x) /* DESTROY_ANCHOR, DELETE_PVCS, DELETE_CONFIGMAPS */
{
	struct plan_child *s = &x->c->child[CHILD_ANCHOR];

	succeed(&s->try);
	if (x->sent->verb == CHOICE_verb_DESTROY_ANCHOR) {
		/* No anchor: nothing was made, or all of it is destroyed. */
		x->c->destruction =
		    uid_none(&x->answer->child_uid) ? PLAN_DATA_GONE : PLAN_ANCHOR_MARKED;
		s->uid = x->answer->child_uid;
	} else if (x->answer->count > 0) {
		s->try.until.v =
		    x->now.v + PODS_FIRST_MS; /* they are going: see that they are gone */
	} else {
		x->c->destruction = x->sent->verb == CHOICE_verb_DELETE_PVCS
		                        ? PLAN_VOLUMES_DELETED
		                        : PLAN_CONFIGMAPS_DELETED;
	}
}

static void
on_status(const struct ctx *x)
{
	struct plan_cluster *c = x->c;

	succeed(&c->say);
	c->wanted.status = x->sent->key;
	if (x->answer->version > c->wanted.version)
		c->wanted.version = x->answer->version;
	c->status_sent = x->sent->key;
	c->status_gist = x->sent->gist;
	c->status_at = x->now;
	c->status_ready = x->sent->ready;
	if (x->sent->ready)
		c->fresh = false;
}

static void
on_event(const struct ctx *x)
{
	struct plan_cluster *c = x->c;

	succeed(&c->say);
	event_told(c, x->sent);
}

static char **
take_done(const struct ctx *x)
{
	static void (*const verbs[CHOICE_verb_COUNT])(const struct ctx *x) = {
	    [CHOICE_verb_ADD_FINALIZER] = on_finalizer,
	    [CHOICE_verb_REMOVE_FINALIZER] = on_finalizer,
	    [CHOICE_verb_ENSURE] = on_ensured,
	    [CHOICE_verb_TEMPLATE] = on_template,
	    [CHOICE_verb_RESTORE_TEMPLATE] = on_template,
	    [CHOICE_verb_TRY_TEMPLATE] = on_tried,
	    [CHOICE_verb_DELETE] = on_deleted,
	    [CHOICE_verb_ORPHAN_STATEFULSET] = on_deleted,
	    [CHOICE_verb_HOLD] = on_held,
	    [CHOICE_verb_RELEASE] = on_held,
	    [CHOICE_verb_STOP_PATRONI] = on_held,
	    [CHOICE_verb_STOP_POSTGRESQL] = on_held,
	    [CHOICE_verb_UNREACHABLE] = on_unreachable,
	    [CHOICE_verb_SWITCHOVER] = on_told,
	    [CHOICE_verb_RESTART] = on_told,
	    [CHOICE_verb_REINIT] = on_told,
	    [CHOICE_verb_OBSERVE_PODS] = on_pods,
	    [CHOICE_verb_OBSERVE_PVC] = on_pvc,
	    [CHOICE_verb_OBSERVE_NAMESPACE] = on_namespace,
	    [CHOICE_verb_REPLACE_POD] = on_replaced,
	    [CHOICE_verb_REPLACE_PVC] = on_replaced,
	    [CHOICE_verb_DELETE_PVC] = on_pvc_deleted,
	    [CHOICE_verb_DESTROY_ANCHOR] = on_destroyed,
	    [CHOICE_verb_DELETE_PVCS] = on_destroyed,
	    [CHOICE_verb_DELETE_CONFIGMAPS] = on_destroyed,
	    [CHOICE_verb_STATUS] = on_status,
	    [CHOICE_verb_EVENT] = on_event,
	};

	if (x->sent->verb == CHOICE_verb_OBSERVE_POD)
		return on_pod(x);
	verbs[x->sent->verb](x);
	if (x->sent->verb == CHOICE_verb_ENSURE && child_of(x)->try.reason != REASON_NONE)
		return keep_text(
		    x->c, TRY_CHILD(x->sent->child), true); /* data that is still being destroyed */
	return NULL;
}

/*
 * EXPAND_PVC, whatever came of it. What is refused is said, and asked again slowly; nothing else
 * waits for it.
 */
static char **
on_volume(const struct ctx *x)
{
	struct plan_instance *p = &x->c->instance[x->sent->ordinal];
	struct plan_try *t = &p->volume;
	unsigned code = x->answer->code;
	uint8_t looks = p->volume_asked && t->code == CHOICE_step_code_DONE ? t->failures : 0;

	if (x->sent->key != x->c->wanted.hash[GROUP_STORAGE])
		return NULL; /* another size is wanted by now */
	if (code == CHOICE_step_code_TERMINATING)
		x->c->namespace_ends = true;
	if (code != CHOICE_step_code_DONE) {
		back_off(x->c, t, code, x->answer->reason, x->now);
		p->volume_asked |= codes[code].reason != REASON_NONE;
		return codes[code].reason != REASON_NONE ? &p->volume_text : NULL;
	}
	p->volume_asked = true;
	p->volume_grown = x->answer->ready;
	*t = (struct plan_try){.code = CHOICE_step_code_DONE,
	    .reason = x->answer->reason,
	    .failures = (uint8_t)(looks < 16 ? looks + 1 : 16),
	    .until = {x->now.v + doubled(EXPAND_FIRST_MS, EXPAND_MAX_MS, looks)}};
	return &p->volume_text;
}

/* --- What any other answer means. */

static bool
is_look(unsigned verb)
{
	return verb == CHOICE_verb_OBSERVE_POD || verb == CHOICE_verb_OBSERVE_PVC ||
	       verb == CHOICE_verb_REPLACE_POD || verb == CHOICE_verb_REPLACE_PVC;
}

/* Which attempt failed; its number in *at. */
static struct plan_try *
try_of(const struct ctx *x, unsigned *at)
{
	const struct plan_sent *s = x->sent;

	if (is_look(s->verb)) {
		*at = TRY_LOOK(s->ordinal);
		return &x->c->instance[s->ordinal].look;
	}
	switch (s->verb) {
	case CHOICE_verb_ADD_FINALIZER:
	case CHOICE_verb_REMOVE_FINALIZER:
	case CHOICE_verb_OBSERVE_NAMESPACE:
	case CHOICE_verb_OBSERVE_PODS:
		*at = TRY_SELF;
		return &x->c->self;
	default:
		*at = s->child == CHILD_INSTANCE ? TRY_INSTANCE(s->ordinal) : TRY_CHILD(s->child);
		return &child_of(x)->try;
	}
}

/* Facts that a refusal tells. */
static void
take_facts(const struct ctx *x)
{
	struct plan_cluster *c = x->c;
	const struct plan_sent *s = x->sent;
	unsigned code = x->answer->code;

	if (s->verb == CHOICE_verb_OBSERVE_NAMESPACE && code == CHOICE_step_code_DENIED) {
		/* A tenant may not grant it; then a 403 on a create tells. */
		on_namespace(x);
	}
	if (s->verb == CHOICE_verb_OBSERVE_PODS)
		c->pods_at.v = x->now.v + PODS_MAX_MS;
	/* What stands on the anchor does not find it: ensure it again. */
	if (s->verb == CHOICE_verb_ENSURE && code == CHOICE_step_code_CONFLICT &&
	    (s->child == CHILD_CREDENTIALS || s->child == CHILD_APP || s->child == CHILD_INSTANCE))
		c->child[CHILD_ANCHOR].present = false;
}

/*
 * Data that is not ours is not ours to destroy; without its anchor, there is no commit point to go
 * on from.
 */
static bool
take_destruction(const struct ctx *x)
{
	if (x->sent->verb == CHOICE_verb_DESTROY_ANCHOR &&
	    x->answer->code == CHOICE_step_code_FOREIGN)
		x->c->destruction = PLAN_DATA_GONE;
	else if (x->c->destruction != PLAN_DATA_GONE && x->answer->code == CHOICE_step_code_GONE &&
		 x->sent->child == CHILD_ANCHOR && x->c->wanted.deleting &&
		 x->sent->verb != CHOICE_verb_DESTROY_ANCHOR)
		x->c->destruction = PLAN_DATA_KEPT;
	else
		return false;
	return true;
}

static bool
is_said(unsigned verb)
{
	return verb == CHOICE_verb_STATUS || verb == CHOICE_verb_EVENT;
}

/* A pod may have been told to end although the answer does not say so. */
static void
look_again_if_unsure(const struct ctx *x)
{
	if (x->sent->verb == CHOICE_verb_REPLACE_POD)
		x->c->instance[x->sent->ordinal].looked = false;
}

static char **
take_failure(const struct ctx *x)
{
	unsigned at, code = x->answer->code;
	struct plan_try *t;
	uint8_t before;

	if (code == CHOICE_step_code_TERMINATING)
		x->c->namespace_ends = true;
	if (is_said(x->sent->verb)) {
		back_off(x->c, &x->c->say, code, REASON_NONE, x->now);
		/* An Event that can not be written is not worth more. */
		if (x->sent->verb == CHOICE_verb_EVENT &&
		    (code != CHOICE_step_code_RETRY || x->c->say.failures > 3))
			on_event(x);
		return NULL;
	}
	look_again_if_unsure(x);
	t = try_of(x, &at);
	before = t->reason;
	back_off(x->c, t, code, x->answer->reason, x->now);
	take_facts(x);
	if (take_destruction(x))
		succeed(t);
	if (t->reason == REASON_NONE)
		return NULL;
	return keep_text(x->c, at, before != t->reason);
}

/* --- BGDbOps. */

static struct plan_dbops *
dbops_of(const struct ctx *x)
{
	for (unsigned i = 0; i < x->c->dbops_n; i++)
		if (uid_eq(&x->c->dbops[i]->uid, &x->sent->dbops))
			return x->c->dbops[i];
	return NULL;
}

/*
 * What its claim says, before its record does: others must not take that pod meanwhile, nor have
 * it forget what it did.
 */
static void
take_claim(const struct ctx *x, struct plan_dbops *d)
{
	if (x->sent->cleanup)
		d->cleanup = CHOICE_dbops_cleanup_RUNNING;
	else
		d->phase = CHOICE_dbops_phase_RUNNING;
	if (d->attempt != x->sent->attempt)
		d->told_cancel.v = 0;
	d->attempt = x->sent->attempt;
	d->ordinal = (uint8_t)(x->sent->ordinal + 1);
	d->pod = x->sent->target;
	d->instance = x->answer->child_uid;
}

/* Nothing more is done with it before its record shows what was written. */
static void
await_record(const struct ctx *x, struct plan_dbops *d, uint64_t version)
{
	d->awaits = version;
	d->awaits_until.v = x->now.v + AWAITS_MS;
}

/* As its BGInstance will say. */
static void
on_dbops_told(const struct ctx *x, const struct plan_dbops *d)
{
	struct uid id = model_operation_id(&d->uid, x->sent->attempt, x->sent->ordinal);
	struct plan_report *r;
	bool old;

	if (x->sent->ordinal >= x->c->instances_n)
		return;
	old = is_old(x);
	learn(x);
	r = &x->c->instance[x->sent->ordinal].report;
	if (old || !uid_eq(&r->pod_uid, &x->sent->target))
		return;
	if (dbops_info[d->op].operation == CHOICE_operation_NONE) {
		dbops_note_told(r, d, x->sent);
		return;
	}
	r->operation = dbops_info[d->op].operation;
	r->operation_id = model_uid_key(&id);
	r->operation_phase = CHOICE_operation_phase_NONE;
}

static char **
on_dbops(const struct ctx *x)
{
	struct plan_dbops *d = dbops_of(x);
	unsigned code = x->answer->code;

	if (code == CHOICE_step_code_TERMINATING)
		x->c->namespace_ends = true;
	if (d == NULL)
		return NULL;
	if (code != CHOICE_step_code_DONE) {
		back_off(x->c, &d->try, code, x->answer->reason, x->now);
		if (x->sent->verb == CHOICE_verb_DBOPS_TELL &&
		    x->answer->dbops_version > d->version)
			await_record(x, d, x->answer->dbops_version); /* the claim may stand */
		return x->sent->verb == CHOICE_verb_DBOPS_TELL && code == CHOICE_step_code_INVALID
		           ? &d->refused
		           : NULL;
	}
	succeed(&d->try);
	if (x->answer->dbops_version > d->version) {
		await_record(x, d, x->answer->dbops_version);
		if (x->sent->verb == CHOICE_verb_DBOPS_TELL)
			take_claim(x, d);
	}
	if (x->sent->verb == CHOICE_verb_DBOPS_DELETE)
		await_record(x, d, UINT64_MAX); /* until the record says that it is gone */
	if (x->sent->verb == CHOICE_verb_DBOPS_TELL)
		on_dbops_told(x, d);
	if (x->sent->verb == CHOICE_verb_DBOPS_CANCEL && x->sent->ordinal < x->c->instances_n) {
		dbops_note_cancel(&x->c->instance[x->sent->ordinal].report, d);
		d->told_cancel = x->now;
	}
	if (x->sent->verb == CHOICE_verb_DBOPS_SAY || x->sent->verb == CHOICE_verb_DBOPS_PROGRESS)
		d->progress_at = x->now;
	return NULL;
}

static bool
is_dbops(unsigned verb)
{
	return verb >= CHOICE_verb_DBOPS_TELL && verb <= CHOICE_verb_DBOPS_DELETE;
}

char **
plan_done(struct plan_cluster *c, const struct plan_sent *sent, const struct plan_answer *answer,
    struct msec now)
{
	struct ctx x = {c, sent, answer, now};

	if (is_dbops(sent->verb))
		return on_dbops(&x);
	/*
	 * The BGCluster that it was for is not there any more: records tell what became of its
	 * objects.
	 */
	if (!c->present || !uid_eq(&c->wanted.uid, &sent->uid))
		return NULL;
	if (sent->verb == CHOICE_verb_EXPAND_PVC)
		return on_volume(&x);
	return answer->code == CHOICE_step_code_DONE ? take_done(&x) : take_failure(&x);
}

void
plan_lost(struct plan_cluster *c, const struct plan_sent *sent)
{
	struct ctx x = {c, sent, NULL, {0}};

	if (c->present && uid_eq(&c->wanted.uid, &sent->uid))
		look_again_if_unsure(&x);
}
