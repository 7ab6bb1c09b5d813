/*
 * EXPAND_PVC: one volume grows to what the spec asks for, and never shrinks. Only its claim is
 * told; the storage and the kubelet do the rest, and status.capacity says when. A claim that was
 * never bound may not grow: REPLACE_PVC is for those. With spec.walStorage the WAL's volume follows
 * in the same step, whatever was said of PGDATA's; the worse of both is told.
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

/* --- One claim after the other. */

static unsigned
badness(const struct msg_step_done *d)
{
	if (d->code != CHOICE_step_code_DONE)
		return 3;
	if (d->reason == REASON_EXPANSION_FAILED)
		return 2;
	return d->reason != REASON_NONE;
}

static void
end_both(struct step *s)
{
	const struct msg_step_done *data = &s->data_done;
	bool ready = s->done.ready && data->ready;

	if (badness(data) >= badness(&s->done))
		s->done = *data;
	s->done.ready = ready;
	if (s->done.code == CHOICE_step_code_DONE)
		step_end_done(s);
	else
		step_end(s, s->done.code, s->done.reason, "%s", s->done.text);
}

static void on_claim(struct step *s, const struct kube_reply *r);

static void
get_claim(struct step *s, enum claim claim)
{
	s->claim = claim;
	s->posted = false;
	observe_pvc_name(s->name, claim, s->req.name, s->req.ordinal);
	step_get(s, KIND_PVC, s->name, on_claim);
}

static void end_claim(struct step *s, enum choice_step_code code, enum choice_reason reason,
    const char *fmt, ...) __attribute__((format(printf, 4, 5)));
static void
end_claim(
    struct step *s, enum choice_step_code code, enum choice_reason reason, const char *fmt, ...)
{
	char text[4 * IPC_TEXT_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	s->done.code = (uint8_t)code;
	s->done.reason = (uint8_t)reason;
	str_copy_text(s->done.text, sizeof(s->done.text), str_of(text));
	if (s->claim == CLAIM_OF_WAL) {
		end_both(s);
	} else if (s->cluster.wal_size.len > 0) {
		s->data_done = s->done;
		s->done.ready = false;
		get_claim(s, CLAIM_OF_WAL);
	} else if (code == CHOICE_step_code_DONE) {
		step_end_done(s);
	} else {
		step_end(s, code, reason, "%s", text);
	}
}

/* How a text begins that would else be taken for one about PGDATA's. */
static const char *
which(const struct step *s)
{
	return s->claim == CLAIM_OF_WAL ? "WAL's volume: " : "";
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

	end_claim(s, CHOICE_step_code_INVALID, REASON_EXPANSION_REFUSED, "%s%s%s", which(s),
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
			end_claim(s, CHOICE_step_code_DONE, REASON_NONE, "%s", "");
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
	struct str wanted = observe_pvc_size(s->claim, &s->cluster);
	struct guard guard = patch_guard(&p->meta);
	struct buf body;

	s->posted = true;
	s->volume_fits = is_at_least(p->capacity, wanted);
	buf_init(&body, HTTP_BODY_MAX);
	patch_claim_size(&body, &guard, wanted);
	step_patch(s, KIND_PVC, s->name, NULL, &body, on_expanded);
}

/* --- What is under way. */

/* With the text that is there. */
static void
end_growing(struct step *s)
{
	char text[IPC_TEXT_MAX + 1];

	memcpy(text, s->done.text, sizeof(text));
	end_claim(s, CHOICE_step_code_DONE, REASON_EXPANDING, "%s", text);
}

/* Of a resize that fails again and again only events tell, before Kubernetes 1.34. */
static void
on_resize_events(struct step *s, const struct kube_reply *r)
{
	struct event_view event;

	if (!events_newest(s, r, NULL, &event))
		return;
	if (event.text[0] != '\0')
		end_claim(s, CHOICE_step_code_DONE, REASON_EXPANSION_FAILED, "%s%s", which(s),
		    event.text);
	else
		end_growing(s);
}

/* Its claim was told: has the volume followed? */
static void
follow(struct step *s, const struct pvc_view *p)
{
	struct str wanted = observe_pvc_size(s->claim, &s->cluster);

	s->done.ready = is_at_least(p->capacity, wanted);
	if (s->done.ready) {
		end_claim(s, CHOICE_step_code_DONE, REASON_NONE, "%s", "");
		return;
	}
	if (p->resize_failed) {
		end_claim(s, CHOICE_step_code_DONE, REASON_EXPANSION_FAILED, "%s%s", which(s),
		    p->resize_text.p);
		return;
	}
	snprintf(s->done.text, sizeof(s->done.text), "%s volume grows from %.32s to %.32s%s",
	    s->claim == CLAIM_OF_WAL ? "its WAL's" : "its", p->capacity.p, wanted.p,
	    p->resize_pending ? "; its file system is still to follow" : "");
	if (s->posted)
		end_growing(s);
	else
		events_list(s, &p->meta.uid, "reason%3DVolumeResizeFailed", on_resize_events);
}

static void
look(struct step *s, const struct pvc_view *p)
{
	struct str wanted = observe_pvc_size(s->claim, &s->cluster);
	int order;

	step_saw(s, &p->meta);
	s->done.bound = p->bound;
	if (!p->bound || p->meta.deleting)
		end_claim(s, CHOICE_step_code_DONE, REASON_NONE, "%s", "");
	else if (quantity_compare(p->size, wanted, &order) == -1)
		end_claim(s, CHOICE_step_code_INVALID, REASON_SPEC_INVALID,
		    "spec.%s.size: %.32s can not be compared with %.32s",
		    s->claim == CLAIM_OF_WAL ? "walStorage" : "storage", wanted.p, p->size.p);
	else if (order >= 0)
		follow(s, p);
	else if (s->posted)
		step_end(s, CHOICE_step_code_RETRY, REASON_NONE, "PVC %s keeps its size", s->name);
	else if (str_is(p->meta.cluster, s->req.name))
		expand(s, p);
	else
		end_claim(s, CHOICE_step_code_INVALID, REASON_EXPANSION_REFUSED,
		    "PVC %s was not made for this cluster: it lacks our label, so it is yours to "
		    "expand",
		    s->name);
}

static void
on_claim(struct step *s, const struct kube_reply *r)
{
	struct pvc_view p;

	if (step_replied(r, 404)) /* the StatefulSet makes it */
		end_claim(s, CHOICE_step_code_DONE, REASON_NONE, "%s", "");
	else if (step_parse_pvc(s, r, &p))
		look(s, &p);
}

void
verb_expand_pvc(struct step *s)
{
	get_claim(s, CLAIM_OF_DATA);
}
