/*
 * What is written on our own kinds: the finalizer, BGCluster.status, Events, an instance's hold
 * and stop, and the mark that its last report no longer counts. Each only when it changes
 * something.
 */
#include "objects/objects.h"
#include "workers/executor.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

/* Everything here ends with this: a 2xx is the end. */
static void
on_written(struct step *s, const struct kube_reply *r)
{
	struct object_meta m;
	struct json j;

	/*
	 * A BGCluster whose last finalizer went is gone with it; its reply may be the object or
	 * not.
	 */
	if (step_replied(r, 404))
		step_end(s, CHOICE_step_code_GONE, REASON_NONE, "%s %s is gone", s->sent.what,
		    s->sent.name);
	else if (step_parse_object(s, r, s->sent.name, &j, &m)) {
		step_saw(s, &m);
		step_end_done(s);
	}
}

/* --- ADD_FINALIZER, REMOVE_FINALIZER */

static void
write_finalizer(struct step *s, bool add)
{
	struct guard guard = patch_guard(&s->cluster.meta);
	struct buf body;

	buf_init(&body, HTTP_BODY_MAX);
	patch_finalizers(&body, &guard, &s->json,
	    json_path(&s->json, json_root(&s->json), "metadata.finalizers"), add);
	step_patch(s, KIND_BGCLUSTER, s->req.name, NULL, &body, on_written);
}

/* The object's text goes with its reply; its finalizers are needed after the next one. */
static bool
keep_object(struct step *s)
{
	char *copy = arena_strndup(&s->arena, s->json.text.p, s->json.text.len);
	struct err e;

	if (copy == NULL)
		err_set(&e, ERR_LIMIT, "the object is too large to be kept");
	else if (json_parse(&s->json, (struct str){copy, s->json.text.len}, &s->arena, &e) == 0)
		return true;
	step_end_err(s, &e);
	return false;
}

static void
on_finalizer_namespace(struct step *s, const struct kube_reply *r)
{
	struct json j;

	if (!step_parse(s, r, &j))
		return;
	if (observe_namespace_terminating(&j))
		write_finalizer(s, false);
	else
		step_end(s, CHOICE_step_code_DENIED, REASON_NONE,
		    "policy, remove finalizer: neither it nor its namespace is being deleted");
}

/*
 * A namespace that is being deleted takes its pods first, then all else at once, our rights with
 * it: so our finalizer goes while the pods do, before the BGCluster itself is deleted.
 */
void
verb_finalizer(struct step *s)
{
	bool add = s->req.verb == CHOICE_verb_ADD_FINALIZER;

	if (s->cluster.meta.finalizer == add) {
		step_saw(s, &s->cluster.meta);
		step_end_done(s);
	} else if (add || policy_is_going(&s->cluster)) {
		write_finalizer(s, add);
	} else if (keep_object(s)) {
		step_get_namespace(s, on_finalizer_namespace);
	}
}

/* --- HOLD, RELEASE, STOP_*, UNREACHABLE: a BGInstance. */

/* False: the step has ended. */
bool
step_parse_instance(
    struct step *s, const struct kube_reply *r, struct json *j, struct bginstance *i)
{
	struct object_meta m;
	struct err e;

	if (step_replied(r, 404)) {
		step_end(
		    s, CHOICE_step_code_GONE, REASON_NONE, "BGInstance %s is not there", s->name);
		return false;
	}
	if (!step_parse_object(s, r, s->name, j, &m))
		return false;
	step_saw(s, &m);
	if (!step_owns(s, &m))
		step_end_foreign(s, KIND_BGINSTANCE, s->name);
	else if (decode_bginstance(j, json_root(j), &s->arena, i, &e) == -1)
		step_end(
		    s, CHOICE_step_code_INVALID, REASON_NONE, "BGInstance %s: %s", s->name, e.text);
	else
		return true;
	return false;
}

static void
on_adoption_ended(struct step *s, const struct kube_reply *r)
{
	if (step_ok(r))
		step_end_done(s);
	else
		step_fail(s, r);
}

/* Every instance is released: from now on a new one is born free. */
static void
end_adoption(struct step *s)
{
	struct guard guard = patch_guard(&s->anchor.meta);
	struct buf body;

	if (!s->anchor.adopted) {
		step_end_done(s);
		return;
	}
	buf_init(&body, HTTP_BODY_MAX);
	patch_adoption_ended(&body, &guard);
	step_patch(s, KIND_CONFIGMAP, s->anchor_name, NULL, &body, on_adoption_ended);
}

static int
on_instance_item(void *arg, const struct feed_item *item)
{
	unsigned *held = arg;
	bool hold = false;

	json_bool(item->j, json_path(item->j, item->object, "spec.hold"), &hold);
	*held += hold;
	return 0;
}

static void
on_instances(struct step *s, const struct kube_reply *r)
{
	unsigned held = 0;

	if (!step_items(s, r, on_instance_item, &held))
		return;
	if (held > 0)
		step_end_done(s);
	else
		verb_with_anchor(s, end_adoption);
}

static void
after_hold(struct step *s)
{
	if (s->req.verb == CHOICE_verb_RELEASE)
		step_list_cluster(s, KIND_BGINSTANCE, on_instances);
	else
		step_end_done(s);
}

static void
on_hold_written(struct step *s, const struct kube_reply *r)
{
	struct bginstance i;
	struct json j;

	if (step_parse_instance(s, r, &j, &i))
		after_hold(s);
}

static void
on_instance_to_hold(struct step *s, const struct kube_reply *r)
{
	struct bginstance i;
	bool hold;
	uint8_t stop;
	struct guard guard;
	struct buf body;
	struct json j;

	if (!step_parse_instance(s, r, &j, &i))
		return;
	if (!uid_none(&s->req.target) && !uid_eq(&i.meta.uid, &s->req.target)) {
		step_end(s, CHOICE_step_code_CONFLICT, REASON_NONE,
		    "BGInstance %s is another one now", s->name);
		return;
	}
	patch_held(s->req.verb, &i, &hold, &stop);
	if (i.hold == hold && i.stop == stop) {
		after_hold(s);
		return;
	}
	guard = patch_guard(&i.meta);
	buf_init(&body, HTTP_BODY_MAX);
	patch_hold(&body, &guard, hold, stop);
	step_patch(s, KIND_BGINSTANCE, s->name, NULL, &body, on_hold_written);
}

void
verb_hold(struct step *s)
{
	model_child_name(s->name, CHILD_INSTANCE, s->req.name, s->req.ordinal);
	step_get(s, KIND_BGINSTANCE, s->name, on_instance_to_hold);
}

/* Is this pod the one that the step is about? False: the step has ended. */
bool
step_is_targets(struct step *s, const struct bginstance *i)
{
	struct uid pod;

	if (uid_parse(i->pod_uid, &pod) == 0 && uid_eq(&pod, &s->req.target))
		return true;
	step_end(s, CHOICE_step_code_CONFLICT, REASON_NONE,
	    "another pod speaks for BGInstance %s now", s->name);
	return false;
}

bool
step_is_operating(const struct bginstance *i)
{
	return i->operation_id.len > 0 && str_eq(i->operation_pod, i->pod_uid) &&
	       (!str_eq(i->operation_id, i->done_id) ||
		   i->done_phase <= CHOICE_operation_phase_RUNNING);
}

/* The target is the pod whose report it is, not the BGInstance. */
static void
on_lost_instance(struct step *s, const struct kube_reply *r)
{
	struct bginstance i;
	struct guard guard;
	struct buf body;
	struct json j;
	char now[21];

	if (!step_parse_instance(s, r, &j, &i) || !step_is_targets(s, &i))
		return;
	if (observe_unreachable(&j, &i)) {
		step_end_done(s);
		return;
	}
	guard = patch_guard(&i.meta);
	time_rfc3339(now, clock_wall_s());
	buf_init(&body, HTTP_BODY_MAX);
	patch_unreachable(&body, &guard, &j, now);
	step_patch(s, KIND_BGINSTANCE, s->name, "status", &body, on_written);
}

void
verb_unreachable(struct step *s)
{
	model_child_name(s->name, CHILD_INSTANCE, s->req.name, s->req.ordinal);
	step_get(s, KIND_BGINSTANCE, s->name, on_lost_instance);
}

/* --- SWITCHOVER, RESTART, REINIT: told to the pod, which does it once and reports. */

static enum choice_operation
operation_of(enum choice_verb verb)
{
	return verb == CHOICE_verb_SWITCHOVER ? CHOICE_operation_SWITCHOVER
	       : verb == CHOICE_verb_REINIT   ? CHOICE_operation_REINIT
	                                      : CHOICE_operation_RESTART;
}

/* In that pod and for that generation of the BGCluster, after those that failed one by one. */
static unsigned
attempt_of(const struct bginstance *i, enum choice_operation operation, uint64_t generation)
{
	bool again = i->operation == operation && str_eq(i->operation_pod, i->pod_uid) &&
	             (uint64_t)i->operation_generation == generation &&
	             str_eq(i->operation_id, i->done_id) &&
	             i->done_phase == CHOICE_operation_phase_FAILED;

	return again && i->operation_attempt < 255 ? (unsigned)i->operation_attempt + 1 : 1;
}

static void
on_instance_to_operate(struct step *s, const struct kube_reply *r)
{
	enum choice_operation operation = operation_of(s->req.verb);
	struct bginstance i;
	struct guard guard;
	struct buf body;
	struct json j;

	if (!step_parse_instance(s, r, &j, &i) || !step_is_targets(s, &i))
		return;
	if (operation == CHOICE_operation_REINIT && i.reason != REASON_CANNOT_FOLLOW &&
	    i.reason != REASON_FOREIGN_DATA) {
		step_end(s, CHOICE_step_code_CONFLICT, REASON_NONE,
		    "the instance does not say that it can not follow");
		return;
	}
	if (step_is_operating(&i)) {
		if (i.operation == operation)
			step_end_done(s); /* it was told that */
		else
			step_end(s, CHOICE_step_code_CONFLICT, REASON_NONE,
			    "%s has not ended what it was told before", s->name);
		return;
	}
	guard = patch_guard(&i.meta);
	buf_init(&body, HTTP_BODY_MAX);
	patch_operation(&body, &guard, operation, &s->req.target,
	    attempt_of(&i, operation, s->req.generation), s->req.generation);
	step_patch(s, KIND_BGINSTANCE, s->name, NULL, &body, on_written);
}

void
verb_operate(struct step *s)
{
	model_child_name(s->name, CHILD_INSTANCE, s->req.name, s->req.ordinal);
	step_get(s, KIND_BGINSTANCE, s->name, on_instance_to_operate);
}

/* --- STATUS */

static void
wanted_status(const struct msg_step_status *m, struct cluster_status *out)
{
	memset(out, 0, sizeof(*out));
	out->ready_instances = m->ready_instances;
	out->primary = str_of(m->primary);
	out->phase = str_of(m->phase);
	out->generation = (int64_t)m->generation;
	out->n = m->conditions.n;
	for (unsigned i = 0; i < out->n; i++) {
		out->conditions[i].type = m->conditions.at[i].type;
		out->conditions[i].status = m->conditions.at[i].status;
		out->conditions[i].reason = m->conditions.at[i].reason;
		out->conditions[i].text = str_of(m->conditions.at[i].text);
	}
}

void
verb_status(struct step *s)
{
	struct guard guard = patch_guard(&s->cluster.meta);
	struct cluster_status wanted;
	struct buf patch;
	char now[21];
	struct err e;

	wanted_status(&s->status, &wanted);
	if (decode_cluster_status_hash(&s->json, json_root(&s->json), &s->arena) ==
	    model_status_hash(&wanted)) {
		step_saw(s, &s->cluster.meta);
		step_end_done(s);
		return;
	}
	time_rfc3339(now, clock_wall_s());
	buf_init(&patch, HTTP_BODY_MAX);
	if (objects_render_status(&s->cluster, &wanted, now, &patch, &e) == 0) {
		step_patch_guarded(
		    s, KIND_BGCLUSTER, s->req.name, "status", &guard, &patch, on_written);
		return;
	}
	buf_free(&patch);
	step_end_err(s, &e);
}

/*
 * --- EVENT: not being allowed to, or a full quota, must not trouble a cluster.
 */

struct event_id
event_id(const struct step *s, const char *about)
{
	struct event_id id;
	struct timespec now;
	uint64_t h;

	clock_gettime(CLOCK_REALTIME, &now);
	h = hash_bytes(hash_bytes(HASH_INIT, &s->req.uid, sizeof(s->req.uid)), &now, sizeof(now));
	snprintf(id.name, sizeof(id.name), "%s.%016llx", about, (unsigned long long)h);
	time_rfc3339_micro(id.micro, now.tv_sec, now.tv_nsec / 1000);
	return id;
}

void
event_note(const struct step *s, const struct kube_reply *r, enum kind k, const char *about)
{
	struct err e;

	if (!step_ok(r) && kube_reply_error(r, &e) == -1)
		log_warn("event-lost", NULL, "Event about %s %s/%s: %s", kind_info[k].name,
		    s->req.namespace, about, e.text);
}

void
event_end(struct step *s, const struct kube_reply *r, enum kind k, const char *about)
{
	event_note(s, r, k, about);
	step_end_done(s);
}

static void
on_event_posted(struct step *s, const struct kube_reply *r)
{
	if (r->outcome == KUBE_NOT_SENT ||
	    (r->outcome == KUBE_REPLIED && kube_reply_terminating(r)))
		step_fail(s, r);
	else if (step_replied(r, 409)) /* a former life told it */
		step_end_done(s);
	else
		event_end(s, r, KIND_BGCLUSTER, s->req.name);
}

/*
 * An Event comes before the status that says the same: who comes after us tells it again until that
 * is written. Not twice, since its name is made of the version that the status was read in.
 */
static struct event_id
transition_id(const struct step *s)
{
	const struct object_meta *m = &s->cluster.meta;
	struct event_id id = event_id(s, s->req.name);
	uint64_t h = hash_bytes(HASH_INIT, &m->uid, sizeof(m->uid));

	h = hash_u64(hash_u64(h, m->resource_version), s->event.reason);
	h = hash_str(h, str_of(s->event.text));
	snprintf(id.name, sizeof(id.name), "%s.%016llx", s->req.name, (unsigned long long)h);
	return id;
}

void
verb_event(struct step *s)
{
	struct event_id id = transition_id(s);
	struct buf body;
	struct err e;

	buf_init(&body, HTTP_BODY_MAX);
	if (objects_render_event(&s->cluster.meta, s->event.type, s->event.reason,
		str_of(s->event.text), id.name, id.micro, &body, &e) == 0) {
		step_post(s, KIND_EVENT, id.name, false, &body, on_event_posted);
		return;
	}
	buf_free(&body);
	step_end_err(s, &e);
}
