/*
 * The StatefulSet's pod template, from which a pod that is lost comes back. TEMPLATE writes what
 * the spec asks for, and in the same write keeps the template that it replaces, if that is the one
 * pods serve with; TRY_TEMPLATE only tries. RESTORE_TEMPLATE writes back what was kept, while the
 * new one does not come up. Nothing else of the StatefulSet: how many pods it has is ENSURE's.
 */
#include "objects/objects.h"
#include "workers/executor.h"

#include <string.h>

static unsigned
count_serving(const struct step *s, uint64_t inputs)
{
	unsigned n = 0;

	for (unsigned i = 0; i < s->serving.n; i++)
		n += inputs != 0 && s->serving.inputs[i] == inputs;
	return n;
}

/* --- TEMPLATE, TRY_TEMPLATE */

/*
 * Of the one that is there and the one that is kept, that which more pods serve with. Where the
 * spec goes back to what is kept, it stays.
 */
static bool
is_to_keep(const struct step *s, const struct statefulset_view *v, struct str template)
{
	uint64_t wanted = model_pod_inputs(s->cluster.hash);
	unsigned n = count_serving(s, v->pod_inputs);

	return n > 0 && v->pod_inputs != wanted && v->last_good != wanted &&
	       (v->pod_inputs == v->last_good || n > count_serving(s, v->last_good)) &&
	       template.len <= LAST_GOOD_MAX;
}

static void
write_template(
    struct step *s, const struct json *j, const struct statefulset_view *v, struct str seen)
{
	struct kept kept = {json_raw(j, json_path(j, json_root(j), "spec.template")), 0};
	struct buf rendered, body;
	struct err e;
	int changed;

	if (is_to_keep(s, v, kept.template))
		kept.inputs = v->pod_inputs;
	if (!ensure_render(s, false, seen, &rendered))
		return;
	buf_init(&body, HTTP_BODY_MAX);
	changed =
	    patch_template(&body, &s->statefulset, &kept, buf_view(&rendered), seen, &s->arena, &e);
	buf_free(&rendered);
	ensure_patch(s, changed, &body, &e);
}

/* --- RESTORE_TEMPLATE */

static void
on_forgotten(struct step *s, const struct kube_reply *r)
{
	if (step_ok(r))
		step_end(s, CHOICE_step_code_CONFLICT, REASON_NONE,
		    "the template that was kept can not be written back, and is kept no longer");
	else
		step_fail(s, r);
}

/* A kept template that can not be read, or is refused, would be tried for ever. */
static void
forget(struct step *s)
{
	struct buf body;

	buf_init(&body, HTTP_BODY_MAX);
	patch_forget_template(&body, &s->statefulset);
	step_patch(s, KIND_STATEFULSET, s->name, NULL, &body, on_forgotten);
}

static void
on_restored(struct step *s, const struct kube_reply *r)
{
	const char *message;

	if (step_refused(s, r, &message))
		forget(s);
	else
		ensure_written(s, r);
}

/* Whoever may write annotations there may write the template as well. */
static bool
parse_kept(struct step *s, const struct json *j, uint64_t inputs, struct json *out)
{
	int annotations = json_path(j, json_root(j), "metadata.annotations"), own;
	uint64_t made_from = 0;
	struct str text;

	if (json_string(j, json_get(j, annotations, STR(ANNOTATION_LAST_GOOD)), LAST_GOOD_MAX,
		&s->arena, &text, NULL) == -1 ||
	    json_parse(out, text, &s->arena, NULL) == -1)
		return false;
	own = json_path(out, json_root(out), "metadata.annotations");
	return decode_hex16(out, json_get(out, own, STR(ANNOTATION_POD_INPUTS)), &made_from) == 0 &&
	       made_from == inputs;
}

static void
restore(struct step *s, const struct json *j, const struct statefulset_view *v)
{
	uint64_t wanted = model_pod_inputs(s->cluster.hash);
	struct json kept;
	struct buf body;
	struct err e;

	if (v->last_good != 0 && v->pod_inputs == v->last_good) {
		step_end_done(s);
		return;
	}
	if (v->pod_inputs != wanted || v->last_good == wanted ||
	    count_serving(s, v->last_good) == 0) {
		step_end(s, CHOICE_step_code_CONFLICT, REASON_NONE,
		    "no pod that is ready was made from the template that is kept");
		return;
	}
	if (!parse_kept(s, j, v->last_good, &kept)) {
		forget(s);
		return;
	}
	buf_init(&body, HTTP_BODY_MAX);
	if (patch_whole_template(&body, &s->statefulset, &kept, j,
		json_path(j, json_root(j), "spec.template"), &s->arena, &e) == 0) {
		step_patch(s, KIND_STATEFULSET, s->name, NULL, &body, on_restored);
		return;
	}
	buf_free(&body);
	step_end_err(s, &e);
}

/* --- All of them. */

static void
on_statefulset(struct step *s, const struct kube_reply *r)
{
	struct statefulset_view v = {0};
	struct object_meta m;
	struct json j;
	struct err e;

	if (step_replied(r, 404)) {
		step_end(s, CHOICE_step_code_GONE, REASON_NONE, "%s %s is not there", s->sent.what,
		    s->name);
		return;
	}
	if (!step_parse_object(s, r, s->name, &j, &m) || !ensure_may_patch(s, &m))
		return;
	s->statefulset = patch_guard(&m);
	if (!uid_eq(&m.uid, &s->req.target))
		step_end(s, CHOICE_step_code_CONFLICT, REASON_NONE, "%s %s is another one now",
		    s->sent.what, s->name);
	else if (decode_statefulset(&j, json_root(&j), &s->arena, &v, &e) == -1)
		step_end_err(s, &e);
	else if (s->req.verb == CHOICE_verb_RESTORE_TEMPLATE)
		restore(s, &j, &v);
	else
		write_template(s, &j, &v, r->body);
}

static int
on_pod(void *arg, const struct feed_item *item)
{
	struct step *s = arg;
	struct pod_view p;

	if (observe_pod(item->j, &s->arena, &p, NULL) == 0 && p.ready && !p.meta.deleting &&
	    s->serving.n < INSTANCES_MAX)
		s->serving.inputs[s->serving.n++] = p.inputs;
	return 0;
}

static void
on_pods(struct step *s, const struct kube_reply *r)
{
	if (step_items(s, r, on_pod, s))
		step_get(s, KIND_STATEFULSET, s->name, on_statefulset);
}

void
verb_template(struct step *s)
{
	s->req.child = CHILD_STATEFULSET;
	model_child_name(s->name, CHILD_STATEFULSET, s->req.name, 0);
	if (s->req.verb == CHOICE_verb_TRY_TEMPLATE)
		step_get(s, KIND_STATEFULSET, s->name, on_statefulset);
	else
		step_list_cluster(s, KIND_POD, on_pods);
}
