/*
 * The anchor ConfigMap: what outlives a BGCluster and tells the next one of that name whose data it
 * finds. Its data keys, all written by the executor alone: state and destroyer (the commit point of
 * deletionPolicy Delete), adopted (until every instance is released), primary and timeline (who led
 * the cluster that was deleted, until then as well; a user may take them out), credentialsMade and
 * appMade (from then on a Secret is never made anew).
 */
#include "objects/objects.h"
#include "workers/executor.h"

#include <stdio.h>
#include <string.h>

static void
get_anchor(struct step *s, step_next *next)
{
	model_child_name(s->anchor_name, CHILD_ANCHOR, s->req.name, 0);
	step_get(s, KIND_CONFIGMAP, s->anchor_name, next);
}

/*
 * False: the step has ended. The anchor outlives its clusters, so its owner may be another: the
 * label says whose name it bears.
 */
static bool
parse_anchor(struct step *s, const struct kube_reply *r, struct json *j)
{
	struct object_meta m;
	struct err e;

	if (!step_parse_object(s, r, s->anchor_name, j, &m))
		return false;
	if (observe_anchor(j, s->req.name, &s->arena, &s->anchor, &e) == -1)
		step_end_err(s, &e);
	else if (!str_is(m.cluster, s->req.name))
		step_end_foreign(s, KIND_CONFIGMAP, s->anchor_name);
	else if (m.deleting)
		step_end(s, CHOICE_step_code_RETRY, REASON_NONE, "ConfigMap %s is being deleted",
		    s->anchor_name);
	else
		return true;
	return false;
}

static bool
is_ours(const struct step *s)
{
	return uid_eq(&s->anchor.meta.owner, &s->req.uid);
}

static bool
is_destroyer(const struct step *s)
{
	return s->anchor.destroying && uid_eq(&s->anchor.destroyer, &s->req.uid);
}

/* --- For other verbs. */

static void
on_own_anchor(struct step *s, const struct kube_reply *r)
{
	struct json j;

	if (step_replied(r, 404))
		step_end(s, CHOICE_step_code_CONFLICT, REASON_NONE, "ConfigMap %s is missing",
		    s->anchor_name);
	else if (!parse_anchor(s, r, &j))
		return;
	else if (!is_ours(s) || s->anchor.destroying)
		step_end(s, CHOICE_step_code_CONFLICT, REASON_NONE, "ConfigMap %s is not adopted",
		    s->anchor_name);
	else
		s->then(s);
}

void
verb_with_anchor(struct step *s, void (*then)(struct step *s))
{
	s->then = then;
	get_anchor(s, on_own_anchor);
}

static void
on_committed_anchor(struct step *s, const struct kube_reply *r)
{
	struct json j;

	if (step_replied(r, 404))
		step_end(
		    s, CHOICE_step_code_GONE, REASON_NONE, "ConfigMap %s is gone", s->anchor_name);
	else if (!parse_anchor(s, r, &j))
		return;
	else if (!is_destroyer(s))
		step_end(s, CHOICE_step_code_DENIED, REASON_NONE,
		    "policy, %s: ConfigMap %s is not marked by this cluster", s->row->name,
		    s->anchor_name);
	else
		s->then(s);
}

void
verb_after_commit(struct step *s, void (*then)(struct step *s))
{
	s->then = then;
	get_anchor(s, on_committed_anchor);
}

/* --- ENSURE: create, adopt, or wait for its destruction. */

struct volumes {
	struct step *s;
	unsigned n;
	uint32_t ordinals; /* bits, of those whose PGDATA is there to stay */
	bool going;
};

static int
on_volume(void *arg, const struct feed_item *item)
{
	struct volumes *v = arg;
	struct object_meta m;
	enum claim claim;
	int ordinal;

	if (decode_meta(item->j, item->object, &v->s->arena, &m, NULL) == -1 ||
	    !str_is(m.cluster, v->s->req.name))
		return 0;
	ordinal = observe_pvc_ordinal(m.name, v->s->req.name, &claim);
	if (ordinal == -1)
		return 0;
	v->n++;
	v->going |= m.deleting;
	if (!m.deleting && claim == CLAIM_OF_DATA)
		v->ordinals |= 1u << ordinal;
	return 0;
}

static void
end_with(struct step *s, enum choice_anchor_state state)
{
	s->done.anchor = (uint8_t)state;
	step_saw(s, &s->anchor.meta);
	step_end_done(s);
}

static void
on_kept_volumes(struct step *s, const struct kube_reply *r)
{
	struct volumes v = {.s = s};

	if (!step_items(s, r, on_volume, &v))
		return;
	s->done.volumes = v.ordinals;
	s->done.primary = s->anchor.primary;
	s->done.timeline = s->anchor.timeline;
	end_with(s, CHOICE_anchor_state_ADOPTED);
}

/* Of data that is adopted the plan has to know who led it last, and what else there is. */
static void
end_ensured(struct step *s)
{
	if (s->anchor.adopted)
		step_list_cluster(s, KIND_PVC, on_kept_volumes);
	else
		end_with(s, CHOICE_anchor_state_CREATED);
}

static void
on_anchor_written(struct step *s, const struct kube_reply *r)
{
	struct json j;

	if (step_replied(r, 404) && s->sent.method == KUBE_PATCH)
		step_end(s, CHOICE_step_code_CONFLICT, REASON_NONE, "ConfigMap %s went away",
		    s->anchor_name);
	else if (parse_anchor(s, r, &j))
		end_ensured(s);
}

/* False: the step has ended. */
static bool
render(struct step *s, struct str seen, struct buf *out)
{
	struct object_ctx ctx = {.seen = seen};
	struct err e;

	buf_init(out, HTTP_BODY_MAX);
	if (objects_render(CHILD_ANCHOR, 0, &s->cluster, &ctx, out, &e) == 0)
		return true;
	buf_free(out);
	step_end_err(s, &e);
	return false;
}

static void
adopt(struct step *s, struct str seen)
{
	struct guard guard = patch_guard(&s->anchor.meta);
	struct buf rendered, body;
	struct err e;
	int changed;

	if (!render(s, seen, &rendered))
		return;
	buf_init(&body, HTTP_BODY_MAX);
	changed =
	    patch_anchor(&body, &guard, buf_view(&rendered), seen, !is_ours(s), &s->arena, &e);
	buf_free(&rendered);
	if (changed == 1) {
		step_patch(s, KIND_CONFIGMAP, s->anchor_name, NULL, &body, on_anchor_written);
		return;
	}
	buf_free(&body);
	if (changed == 0)
		end_ensured(s);
	else
		step_end_err(s, &e);
}

/*
 * Who began the destruction bore this name, so it is gone or it is us; if it was cut short, only a
 * human may say what to keep.
 */
static void
wait_for_destruction(struct step *s)
{
	s->done.anchor = CHOICE_anchor_state_DESTROYING;
	s->done.reason = REASON_WAITING_FOR_DESTRUCTION;
	step_saw(s, &s->anchor.meta);
	snprintf(s->done.text, sizeof(s->done.text),
	    "data of an earlier cluster is being destroyed; if that was cut short, delete its PVCs "
	    "and then ConfigMap %s",
	    s->anchor_name);
	step_end_done(s);
}

static void look_for_remains(struct step *s);

static void
on_anchor_seen(struct step *s, const struct kube_reply *r)
{
	struct json j;

	if (step_replied(r, 404)) {
		if (s->posted)
			step_end(s, CHOICE_step_code_CONFLICT, REASON_NONE,
			    "ConfigMap %s comes and goes", s->anchor_name);
		else
			look_for_remains(s);
	} else if (parse_anchor(s, r, &j)) {
		if (s->anchor.destroying)
			wait_for_destruction(s);
		else
			adopt(s, r->body);
	}
}

static void
on_anchor_posted(struct step *s, const struct kube_reply *r)
{
	if (step_replied(r, 409))
		get_anchor(s, on_anchor_seen);
	else
		on_anchor_written(s, r);
}

static void
post_anchor(struct step *s)
{
	struct buf rendered, body;

	s->posted = true;
	if (!render(s, STR(""), &rendered))
		return;
	buf_init(&body, HTTP_BODY_MAX);
	patch_new_anchor(&body, buf_view(&rendered), s->data_found);
	buf_free(&rendered);
	step_post(s, KIND_CONFIGMAP, s->anchor_name, false, &body, on_anchor_posted);
}

void
verb_ensure_anchor(struct step *s)
{
	get_anchor(s, on_anchor_seen);
}

/*
 * --- Before the first anchor: remains of an earlier cluster whose anchor is gone. Volumes that
 * are going are waited for, else a new pod would wait for them. Volumes that are there hold data
 * whose passwords we do not have: they are adopted, and their Secrets never made. And a Secret
 * without an anchor is not ours, or about to be collected with the earlier anchor: once there is
 * a new one, it could not be told from one that we made just before a crash.
 */

static void
end_secret_found(struct step *s)
{
	step_end(s, CHOICE_step_code_RETRY, REASON_NAME_TAKEN,
	    "Secret %s exists without ConfigMap %s: it is about to be removed, or not this "
	    "cluster's",
	    s->sent.name, s->anchor_name);
}

static void
on_app_probed(struct step *s, const struct kube_reply *r)
{
	if (step_replied(r, 409))
		end_secret_found(s);
	else if (step_ok(r))
		post_anchor(s);
	else
		step_fail(s, r);
}

static void
on_credentials_probed(struct step *s, const struct kube_reply *r)
{
	if (step_replied(r, 409))
		end_secret_found(s);
	else if (step_ok(r))
		verb_probe_secret(s, CHILD_APP, on_app_probed);
	else
		step_fail(s, r);
}

static void
on_volumes(struct step *s, const struct kube_reply *r)
{
	struct volumes v = {.s = s};

	if (!step_items(s, r, on_volume, &v))
		return;
	s->data_found = v.n > 0;
	if (v.going)
		step_end(s, CHOICE_step_code_RETRY, REASON_WAITING_FOR_DESTRUCTION,
		    "volumes of an earlier cluster of this name are still being deleted");
	else if (v.n > 0)
		post_anchor(s);
	else
		verb_probe_secret(s, CHILD_CREDENTIALS, on_credentials_probed);
}

static void
look_for_remains(struct step *s)
{
	step_list_cluster(s, KIND_PVC, on_volumes);
}

/*
 * --- Before the BGInstance of a primary goes with its cluster: who led last, on the highest
 * timeline. Where there is no anchor of this cluster's there is nothing to remember it for, and
 * that holds up no deletion.
 */

static void
on_primary_recorded(struct step *s, const struct kube_reply *r)
{
	if (step_ok(r))
		s->then(s);
	else if (step_replied(r, 404))
		step_end(s, CHOICE_step_code_CONFLICT, REASON_NONE, "ConfigMap %s went away",
		    s->anchor_name);
	else
		step_fail(s, r);
}

static void
on_anchor_to_record_in(struct step *s, const struct kube_reply *r)
{
	struct object_meta m;
	struct guard guard;
	struct buf body;
	struct json j;
	struct err e;

	if (step_replied(r, 404)) {
		s->then(s);
		return;
	}
	if (!step_parse_object(s, r, s->anchor_name, &j, &m))
		return;
	if (observe_anchor(&j, s->req.name, &s->arena, &s->anchor, &e) == -1) {
		step_end_err(s, &e);
		return;
	}
	if (!str_is(m.cluster, s->req.name) || m.deleting || !is_ours(s) || s->anchor.destroying ||
	    s->anchor.timeline >= s->led_on) {
		s->then(s);
		return;
	}
	guard = patch_guard(&s->anchor.meta);
	buf_init(&body, HTTP_BODY_MAX);
	patch_last_primary(&body, &guard, s->name, s->led_on);
	step_patch(s, KIND_CONFIGMAP, s->anchor_name, NULL, &body, on_primary_recorded);
}

void
verb_record_primary(struct step *s, uint32_t timeline, void (*then)(struct step *s))
{
	s->led_on = timeline;
	s->then = then;
	get_anchor(s, on_anchor_to_record_in);
}

/*
 * --- DESTROY_ANCHOR: the commit point. What this cluster never adopted is not its to destroy, nor
 * is data of other names, which it was refused to go on with.
 */

static void
on_destroying(struct step *s, const struct kube_reply *r)
{
	struct json j;

	if (parse_anchor(s, r, &j))
		end_with(s, CHOICE_anchor_state_DESTROYING);
}

static void
on_anchor_to_destroy(struct step *s, const struct kube_reply *r)
{
	struct guard guard;
	struct buf body;
	struct json j;

	if (step_replied(r, 404)) {
		step_end_done(s); /* not present: nothing is to be destroyed, or all of it was */
		return;
	}
	if (!parse_anchor(s, r, &j))
		return;
	if (is_destroyer(s)) {
		end_with(s, CHOICE_anchor_state_DESTROYING);
	} else if (!is_ours(s) || s->anchor.destroying || verb_names_differ(s)) {
		step_end_foreign(s, KIND_CONFIGMAP, s->anchor_name);
	} else {
		guard = patch_guard(&s->anchor.meta);
		buf_init(&body, HTTP_BODY_MAX);
		patch_destroying(&body, &guard, &s->req.uid);
		step_patch(s, KIND_CONFIGMAP, s->anchor_name, NULL, &body, on_destroying);
	}
}

void
verb_destroy_anchor(struct step *s)
{
	get_anchor(s, on_anchor_to_destroy);
}
