/*
 * EXPAND_PVC: one volume grows to what the spec asks for, and never shrinks. Only its claim is
 * told; the storage and the kubelet do the rest, and status.capacity says when. A claim that was
 * never bound may not grow: REPLACE_PVC is for those.
 */
#include "workers/executor.h"

#include <stdio.h>
#include <string.h>

static void look(struct step *s, const struct pvc_view *p);

/* What is no quantity is not. */
static bool
is_at_least(struct str a, struct str b)
{
	int order;

	return quantity_compare(a, b, &order) == 0 && order >= 0;
}

/* --- What is refused. */

/* Without the name it begins with: the condition names the instance. */
static const char *
without_name(const char *message)
{
	static const char *const ends[] = {" is forbidden: ", " is invalid: "};

	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		const char *at = strstr(message, ends[i]);

		if (at != NULL)
			return at + strlen(ends[i]);
	}
	return message;
}

static void
end_refused(struct step *s, const char *message)
{
	bool class = strstr(message, "must support resize") != NULL;

	step_end(s, CHOICE_step_code_INVALID, REASON_EXPANSION_REFUSED, "%s%s",
	    without_name(message),
	    class ? "; allow that, or replace one volume at a time: docs/status.md" : "");
}

static void
on_expanded(struct step *s, const struct kube_reply *r)
{
	const char *message;
	struct object_meta m;
	struct pvc_view p;
	struct json j;
	struct err e;

	if (step_refused(s, r, &message)) {
		s->done.ready = s->volume_fits;
		if (s->volume_fits)
			step_end_done(s);
		else
			end_refused(s, message);
		return;
	}
	if (!step_parse_object(s, r, s->name, &j, &m))
		return;
	if (observe_pvc(&j, &s->arena, &p, &e) == -1)
		step_end_err(s, &e);
	else
		look(s, &p);
}

static void
expand(struct step *s, const struct pvc_view *p)
{
	struct guard guard = patch_guard(&p->meta);
	struct buf body;

	s->posted = true;
	s->volume_fits = is_at_least(p->capacity, s->cluster.storage_size);
	buf_init(&body, HTTP_BODY_MAX);
	patch_claim_size(&body, &guard, s->cluster.storage_size);
	step_patch(s, KIND_PVC, s->name, NULL, &body, on_expanded);
}

/* --- What is under way. */

/* Of a resize that fails again and again only events tell, before Kubernetes 1.34. */
static void
on_resize_events(struct step *s, const struct kube_reply *r)
{
	struct event_view event;

	if (!events_newest(s, r, NULL, &event))
		return;
	if (event.text[0] != '\0')
		step_end(s, CHOICE_step_code_DONE, REASON_EXPANSION_FAILED, "%s", event.text);
	else
		step_end_done(s);
}

/* Its claim was told: has the volume followed? */
static void
follow(struct step *s, const struct pvc_view *p)
{
	struct str wanted = s->cluster.storage_size;

	s->done.ready = is_at_least(p->capacity, wanted);
	if (s->done.ready) {
		step_end_done(s);
		return;
	}
	if (p->resize_failed) {
		step_end(s, CHOICE_step_code_DONE, REASON_EXPANSION_FAILED, "%s", p->resize_text.p);
		return;
	}
	s->done.reason = REASON_EXPANDING;
	snprintf(s->done.text, sizeof(s->done.text), "its volume grows from %.32s to %.32s%s",
	    p->capacity.p, wanted.p,
	    p->resize_pending ? "; its file system is still to follow" : "");
	if (s->posted)
		step_end_done(s);
	else
		events_list(s, &p->meta.uid, "reason%3DVolumeResizeFailed", on_resize_events);
}

static void
look(struct step *s, const struct pvc_view *p)
{
	struct str wanted = s->cluster.storage_size;
	int order;

	step_saw(s, &p->meta);
	s->done.bound = p->bound;
	if (!p->bound || p->meta.deleting)
		step_end_done(s);
	else if (quantity_compare(p->size, wanted, &order) == -1)
		step_end(s, CHOICE_step_code_INVALID, REASON_SPEC_INVALID,
		    "spec.storage.size: %.32s can not be compared with %.32s", wanted.p, p->size.p);
	else if (order >= 0)
		follow(s, p);
	else if (s->posted)
		step_end(s, CHOICE_step_code_RETRY, REASON_NONE, "PVC %s keeps its size", s->name);
	else if (str_is(p->meta.cluster, s->req.name))
		expand(s, p);
	else
		step_end(s, CHOICE_step_code_INVALID, REASON_EXPANSION_REFUSED,
		    "PVC %s was not made for this cluster: it lacks our label, so it is yours to "
		    "expand",
		    s->name);
}

static void
on_claim(struct step *s, const struct kube_reply *r)
{
	struct pvc_view p;

	if (step_parse_pvc(s, r, &p)) /* if there is none, the StatefulSet makes it */
		look(s, &p);
}

void
verb_expand_pvc(struct step *s)
{
	observe_pvc_name(s->name, s->req.name, s->req.ordinal);
	step_get(s, KIND_PVC, s->name, on_claim);
}
