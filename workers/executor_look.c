/*
 * The OBSERVE verbs: how the reconciler learns of what nobody watches. They write nothing. Where
 * the API server keeps the reason in events (a pod that is refused, a volume that is not made),
 * those are read too.
 */
#include "workers/executor.h"

#include <stdio.h>
#include <string.h>

/* Controllers repeat a failing attempt at least every 1000 s: what is older is over. */
#define EVENT_AGE_S 1200

/* --- Events about one object, newest wins. */

struct search {
	struct step *s;
	const char *needle; /* NULL = any */
	char since[21];
	struct event_view best;
};

static int
on_event_item(void *arg, const struct feed_item *item)
{
	struct search *q = arg;

	observe_event(item->j, item->object, q->needle, q->since, &q->s->arena, &q->best);
	return 0;
}

/* False: the step has ended. Not being allowed to read events costs a text, never the step. */
bool
events_newest(
    struct step *s, const struct kube_reply *r, const char *needle, struct event_view *out)
{
	struct search q = {.s = s, .needle = needle};

	memset(out, 0, sizeof(*out));
	if (step_replied(r, 403) || step_replied(r, 404))
		return true;
	time_rfc3339(q.since, clock_wall_s() - EVENT_AGE_S);
	if (!step_items(s, r, on_event_item, &q))
		return false;
	*out = q.best;
	return true;
}

void
events_list(struct step *s, const struct uid *about, const char *filter, step_next *next)
{
	char uid[UID_TEXT_SIZE];

	uid_format(uid, about);
	step_list(s, KIND_EVENT, next, "fieldSelector=involvedObject.uid%%3D%s%%2C%s&limit=%u", uid,
	    filter, LIST_PAGE);
}

/* --- OBSERVE_PVC; also what OBSERVE_POD goes on with when a volume keeps the pod waiting. */

/* Of an instance that the spec asks for no more both may be left, whatever the spec says now. */
static bool
may_have_wal(const struct step *s)
{
	return s->has_spec &&
	       (s->cluster.wal_size.len > 0 || s->req.ordinal >= (unsigned)s->cluster.instances);
}

static void
get_claim(struct step *s, enum claim claim, step_next *next)
{
	s->claim = claim;
	observe_pvc_name(s->name, claim, s->req.name, s->req.ordinal);
	step_get(s, KIND_PVC, s->name, next);
}

static void
say_event(struct step *s, const struct event_view *event)
{
	observe_pvc_name(s->name, s->claim, s->req.name, s->req.ordinal);
	snprintf(s->done.text, sizeof(s->done.text), "PVC %.70s: %.120s", s->name, event->text);
}

static void
on_pvc_events(struct step *s, const struct kube_reply *r)
{
	struct event_view event;

	if (!events_newest(s, r, NULL, &event))
		return;
	if (event.text[0] != '\0')
		say_event(s, &event);
	step_end_done(s);
}

static void
describe_pvc(struct step *s, const struct pvc_view *p)
{
	s->done.reason = REASON_VOLUME_PENDING;
	snprintf(s->done.text, sizeof(s->done.text), "PVC %.70s is %.16s (storage class %.60s)",
	    s->name, p->phase.p, p->class.len > 0 ? p->class.p : "not given");
}

bool
step_parse_pvc(struct step *s, const struct kube_reply *r, struct pvc_view *p)
{
	struct object_meta m;
	struct json j;
	struct err e;

	if (step_replied(r, 404)) {
		step_end_done(s);
		return false;
	}
	if (!step_parse_object(s, r, s->name, &j, &m))
		return false;
	if (observe_pvc(&j, &s->arena, p, &e) == 0)
		return true;
	step_end_err(s, &e);
	return false;
}

/* Of two claims the one that must be dealt with first is told of. */
static unsigned
urgency(const struct step *s, const struct msg_step_done *d)
{
	bool there = d->present && !d->terminating;

	if (s->req.ordinal >= (unsigned)s->cluster.instances)
		return there;
	if (!there || (!d->bound && !d->ready))
		return 2;
	return !d->bound;
}

static void
end_with_claim(struct step *s)
{
	if (s->done.reason == REASON_VOLUME_PENDING)
		events_list(s, &s->done.child_uid, "type%3DWarning", on_pvc_events);
	else
		step_end_done(s);
}

static void
take_claim(struct step *s, const struct pvc_view *p)
{
	step_saw(s, &p->meta);
	s->done.bound = p->bound;
	s->done.ready = observe_pvc_matches(p, s->claim, &s->cluster);
	if (!p->bound)
		describe_pvc(s, p);
}

static void
on_wal_pvc(struct step *s, const struct kube_reply *r)
{
	struct msg_step_done data = s->done;
	struct pvc_view p;

	s->done.present = s->done.bound = s->done.ready = s->done.terminating = false;
	s->done.reason = REASON_NONE;
	s->done.text[0] = '\0';
	if (!step_replied(r, 404)) {
		if (!step_parse_pvc(s, r, &p))
			return;
		take_claim(s, &p);
	}
	if (urgency(s, &data) >= urgency(s, &s->done)) {
		s->done = data;
		s->claim = CLAIM_OF_DATA;
	}
	end_with_claim(s);
}

static void
on_pvc(struct step *s, const struct kube_reply *r)
{
	struct pvc_view p;

	if (!step_replied(r, 404)) {
		if (!step_parse_pvc(s, r, &p))
			return;
		take_claim(s, &p);
	}
	if (may_have_wal(s))
		get_claim(s, CLAIM_OF_WAL, on_wal_pvc);
	else
		end_with_claim(s);
}

void
verb_observe_pvc(struct step *s)
{
	get_claim(s, CLAIM_OF_DATA, on_pvc);
}

/* --- OBSERVE_POD of a pod that is there. */

/*
 * Of two claims that are not bound only one may be what is in the way, and the other waits for the
 * pod to be scheduled: a warning tells. Without any both are named.
 */
static void on_pod_pvc(struct step *s, const struct kube_reply *r);

static void
next_pod_pvc(struct step *s)
{
	if (s->claim == CLAIM_OF_DATA && may_have_wal(s))
		get_claim(s, CLAIM_OF_WAL, on_pod_pvc);
	else
		step_end_done(s); /* with what the pod or the claims say */
}

static void
on_pod_pvc_events(struct step *s, const struct kube_reply *r)
{
	struct event_view event;

	if (!events_newest(s, r, NULL, &event))
		return;
	if (event.text[0] == '\0') {
		next_pod_pvc(s);
		return;
	}
	say_event(s, &event);
	step_end_done(s);
}

static void
on_pod_pvc(struct step *s, const struct kube_reply *r)
{
	struct pvc_view p = {.bound = true};
	char data[IPC_TEXT_MAX + 1] = "", wal[IPC_TEXT_MAX + 1];
	struct object_meta m;
	struct json j;

	if (!step_replied(r, 404)) {
		if (!step_parse_object(s, r, s->name, &j, &m))
			return;
		if (observe_pvc(&j, &s->arena, &p, NULL) == -1)
			p.bound = true;
	}
	if (p.bound) {
		next_pod_pvc(s);
		return;
	}
	if (s->data_pending)
		memcpy(data, s->done.text, sizeof(data));
	s->data_pending = true;
	describe_pvc(s, &p);
	if (data[0] != '\0') {
		memcpy(wal, s->done.text, sizeof(wal));
		snprintf(s->done.text, sizeof(s->done.text), "%.98s, %.98s", data, wal);
	}
	events_list(s, &p.meta.uid, "type%3DWarning", on_pod_pvc_events);
}

static void
report_pod(struct step *s, const struct pod_view *p)
{
	step_saw(s, &p->meta);
	s->done.ready = p->ready && !p->meta.deleting;
	s->done.inputs = p->inputs;
	s->done.reason = (uint8_t)p->reason;
	memcpy(s->done.text, p->text, sizeof(s->done.text));
	if (p->reason == REASON_VOLUME_PENDING)
		get_claim(s, CLAIM_OF_DATA, on_pod_pvc);
	else
		step_end_done(s);
}

/* --- OBSERVE_POD of a pod that is not there: is it refused? */

static void
on_refusals(struct step *s, const struct kube_reply *r)
{
	struct event_view event;
	char pod[NAME_MAX_OBJECT + 8];

	snprintf(pod, sizeof(pod), " Pod %s-%u in ", s->req.name, (unsigned)s->req.ordinal);
	if (!events_newest(s, r, pod, &event))
		return;
	if (event.text[0] != '\0') {
		s->done.reason = REASON_PODS_REFUSED;
		memcpy(s->done.text, event.text, sizeof(s->done.text));
	}
	step_end_done(s);
}

/* Its events are told from those of an earlier StatefulSet of that name by its uid. */
static void
on_pods_statefulset(struct step *s, const struct kube_reply *r)
{
	struct statefulset_view view;
	struct object_meta m;
	struct json j;

	if (step_replied(r, 404)) {
		step_end_done(s);
		return;
	}
	if (!step_parse_object(s, r, s->req.name, &j, &m))
		return;
	if (decode_statefulset(&j, json_root(&j), &s->arena, &view, NULL) == -1 ||
	    view.replicas <= s->req.ordinal)
		step_end_done(s);
	else
		events_list(s, &m.uid, "reason%3DFailedCreate", on_refusals);
}

static void
on_pod(struct step *s, const struct kube_reply *r)
{
	struct pod_view p;
	struct object_meta m;
	struct json j;
	struct err e;

	if (step_replied(r, 404)) {
		step_get(s, KIND_STATEFULSET, s->req.name, on_pods_statefulset);
		return;
	}
	if (!step_parse_object(s, r, s->name, &j, &m))
		return;
	if (!str_is(m.cluster, s->req.name))
		step_end_foreign(s, KIND_POD, s->name);
	else if (observe_pod(&j, &s->arena, &p, &e) == -1)
		step_end_err(s, &e);
	else
		report_pod(s, &p);
}

void
verb_observe_pod(struct step *s)
{
	snprintf(s->name, sizeof(s->name), "%s-%u", s->req.name, (unsigned)s->req.ordinal);
	step_get(s, KIND_POD, s->name, on_pod);
}

/* --- OBSERVE_PODS */

static int
on_pod_item(void *arg, const struct feed_item *item)
{
	struct step *s = arg;

	(void)item;
	if (s->done.count < 255)
		s->done.count++;
	return 0;
}

static void
on_pods(struct step *s, const struct kube_reply *r)
{
	if (!step_items(s, r, on_pod_item, s))
		return;
	s->done.present = s->done.count > 0;
	step_end_done(s);
}

void
verb_observe_pods(struct step *s)
{
	step_list_cluster(s, KIND_POD, on_pods);
}

/* --- OBSERVE_NAMESPACE */

static void
on_namespace(struct step *s, const struct kube_reply *r)
{
	struct json j;

	if (!step_parse(s, r, &j))
		return;
	s->done.present = true;
	s->done.terminating = observe_namespace_terminating(&j);
	if (s->done.terminating)
		s->done.reason = REASON_NAMESPACE_TERMINATING;
	step_end_done(s);
}

void
verb_observe_namespace(struct step *s)
{
	step_get_namespace(s, on_namespace);
}
