/*
 * ENSURE of what a cluster runs with: POST what is believed absent, else GET, compare, and patch a
 * difference. Nothing is written when nothing differs. The anchor, the Secrets and the pod template
 * have their own files. An object of that name without our label and owner annotation is foreign
 * and left alone; one of an earlier cluster of this name, which is gone, is taken over.
 */
#include "objects/objects.h"
#include "workers/executor.h"

#include <string.h>

static void make(struct step *s);

static enum kind
child_kind(const struct step *s)
{
	return child_info[s->req.child].kind;
}

/* seen: the stored object's text, or empty. False: the step has ended. */
bool
ensure_render(struct step *s, bool hold, struct str seen, struct buf *out)
{
	struct object_ctx ctx = {
	    .operator_image = s->x->image,
	    .operator_pull_policy = s->x->pull_policy,
	    .hold = hold,
	    .seen = seen,
	};
	struct err e;

	buf_init(out, HTTP_BODY_MAX);
	if (objects_render(s->req.child, s->req.ordinal, &s->cluster, &ctx, out, &e) == 0)
		return true;
	buf_free(out);
	step_end_err(s, &e);
	return false;
}

/* A reply of ours to POST or PATCH: what is there now. */
void
ensure_written(struct step *s, const struct kube_reply *r)
{
	struct object_meta m;
	struct json j;

	/* Gone between our GET and our PATCH. */
	if (step_replied(r, 404) && s->sent.method == KUBE_PATCH)
		step_end(s, CHOICE_step_code_CONFLICT, REASON_NONE, "%s %s went away", s->sent.what,
		    s->name);
	else if (step_parse_object(s, r, s->name, &j, &m)) {
		if (s->req.verb != CHOICE_verb_TRY_TEMPLATE) /* else it is as it was */
			step_saw(s, &m);
		step_end_done(s);
	}
}

/*
 * Pods that are there were made from the stored template. As long as the spec asks for another one,
 * ENSURE leaves it to them, so that one that is lost comes back as it was: TEMPLATE is for the
 * moment when pods are to be replaced. False: the step has ended.
 */
static bool
choose_part(struct step *s, const struct json *j, enum patch_part *part)
{
	struct statefulset_view v;
	struct err e;

	*part = PATCH_WHOLE;
	if (s->req.child != CHILD_STATEFULSET)
		return true;
	if (decode_statefulset(j, json_root(j), &s->arena, &v, &e) == -1) {
		step_end_err(s, &e);
		return false;
	}
	if (v.replicas > 0 && model_replicas(&s->cluster) > 0 &&
	    v.pod_inputs != model_pod_inputs(s->cluster.hash))
		*part = PATCH_BUT_TEMPLATE;
	return true;
}

/* What came of a comparison. */
void
ensure_patch(struct step *s, int changed, struct buf *body, const struct err *e)
{
	if (changed == 1) {
		step_patch(s, child_kind(s), s->name, NULL, body, ensure_written);
		return;
	}
	buf_free(body);
	if (changed == 0)
		step_end_done(s);
	else
		step_end_err(s, e);
}

static void
compare(struct step *s, const struct json *j, const struct object_meta *m, struct str seen)
{
	struct guard guard = patch_guard(m);
	struct buf rendered, body;
	enum patch_part part;
	struct err e;
	int changed;

	if (!choose_part(s, j, &part) || !ensure_render(s, false, seen, &rendered))
		return;
	buf_init(&body, HTTP_BODY_MAX);
	changed = patch_child(
	    &body, s->req.child, part, &guard, buf_view(&rendered), seen, &s->arena, &e);
	buf_free(&rendered);
	ensure_patch(s, changed, &body, &e);
}

bool
ensure_may_patch(struct step *s, const struct object_meta *m)
{
	step_saw(s, m);
	if (!step_owns(s, m))
		step_end_foreign(s, child_kind(s), s->name);
	else if (m->deleting)
		step_end(s, CHOICE_step_code_RETRY, REASON_NONE, "%s %s is being deleted",
		    s->sent.what, s->name);
	else
		return true;
	return false;
}

static void
on_seen(struct step *s, const struct kube_reply *r)
{
	struct object_meta m;
	struct json j;

	if (step_replied(r, 404)) {
		if (s->posted)
			step_end(s, CHOICE_step_code_CONFLICT, REASON_NONE, "%s %s comes and goes",
			    s->sent.what, s->name);
		else
			make(s);
		return;
	}
	if (step_parse_object(s, r, s->name, &j, &m) && ensure_may_patch(s, &m))
		compare(s, &j, &m, r->body);
}

static void
on_posted(struct step *s, const struct kube_reply *r)
{
	if (step_replied(r, 409))
		step_get(s, child_kind(s), s->name, on_seen);
	else
		ensure_written(s, r);
}

static void
post(struct step *s, bool hold)
{
	struct buf body;

	s->posted = true;
	if (ensure_render(s, hold, STR(""), &body))
		step_post(s, child_kind(s), s->name, false, &body, on_posted);
}

/*
 * A pod on adopted data waits until it is known who was primary; only the anchor
 * remembers that there is some.
 */
static void
post_instance(struct step *s)
{
	post(s, s->anchor.adopted);
}

static void
make(struct step *s)
{
	if (s->req.child == CHILD_INSTANCE)
		verb_with_anchor(s, post_instance);
	else
		post(s, false);
}

void
verb_ensure(struct step *s)
{
	model_child_name(s->name, s->req.child, s->req.name, s->req.ordinal);
	if (s->req.child == CHILD_ANCHOR)
		verb_ensure_anchor(s);
	else if (s->req.child == CHILD_CREDENTIALS || s->req.child == CHILD_APP)
		verb_ensure_secret(s);
	else if (!uid_none(&s->req.target))
		step_get(s, child_kind(s), s->name, on_seen);
	else
		make(s);
}
