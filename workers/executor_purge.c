/*
 * deletionPolicy Delete, after the commit point (the anchor says `destroying`, by this very
 * cluster): its volumes, then Patroni's ConfigMaps, which are one thing with them.
 * Each by uid; what is going already is not told again.
 */
#include "workers/executor.h"

#include <stdio.h>
#include <string.h>

/* --- DELETE_PVCS */

static int
on_pvc_item(void *arg, const struct feed_item *item)
{
	struct step *s = arg;
	struct object_meta m;
	enum claim claim;
	int ordinal;

	if (decode_meta(item->j, item->object, &s->arena, &m, NULL) == -1 || uid_none(&m.uid))
		return 0;
	ordinal = observe_pvc_ordinal(m.name, s->req.name, &claim);
	if (ordinal == -1 || !str_is(m.cluster, s->req.name) ||
	    !str_is(m.namespace, s->req.namespace))
		return 0;
	s->done.count++;
	if (m.deleting || s->pvcs.n == CLAIMS * INSTANCES_MAX) {
		s->done.terminating = true;
		return 0;
	}
	s->pvcs.of[s->pvcs.n].uid = m.uid;
	s->pvcs.of[s->pvcs.n].claim = claim;
	s->pvcs.of[s->pvcs.n++].ordinal = (unsigned)ordinal;
	return 0;
}

static void next_pvc(struct step *s);

static void
on_pvc_deleted(struct step *s, const struct kube_reply *r)
{
	if (!step_ok(r) && !step_replied(r, 404)) {
		step_fail(s, r);
		return;
	}
	if (step_replied(r, 404))
		s->done.count--;
	s->pvcs.at++;
	next_pvc(s);
}

static void
next_pvc(struct step *s)
{
	struct guard guard;

	if (s->pvcs.at == s->pvcs.n) {
		step_end_done(s);
		return;
	}
	guard = (struct guard){s->pvcs.of[s->pvcs.at].uid, 0};
	observe_pvc_name(
	    s->name, s->pvcs.of[s->pvcs.at].claim, s->req.name, s->pvcs.of[s->pvcs.at].ordinal);
	step_delete(s, KIND_PVC, s->name, &guard, "Background", on_pvc_deleted);
}

static void
on_pvcs(struct step *s, const struct kube_reply *r)
{
	if (step_items(s, r, on_pvc_item, s))
		next_pvc(s);
}

static void
list_pvcs(struct step *s)
{
	step_list_cluster(s, KIND_PVC, on_pvcs);
}

void
verb_delete_pvcs(struct step *s)
{
	verb_after_commit(s, list_pvcs);
}

/* --- DELETE_CONFIGMAPS */

static const char *const suffixes[] = {"-config", "-leader", "-failover", "-sync"};
#define SUFFIXES (sizeof(suffixes) / sizeof(suffixes[0]))

static void next_configmap(struct step *s);

static void
on_configmap_deleted(struct step *s, const struct kube_reply *r)
{
	if (!step_ok(r) && !step_replied(r, 404)) {
		step_fail(s, r);
		return;
	}
	s->configmap++;
	next_configmap(s);
}

static bool
is_patronis(const struct step *s, const struct json *j)
{
	int labels = json_path(j, json_root(j), "metadata.labels");

	return json_string_is(j, json_get(j, labels, STR(LABEL_SCOPE)), s->req.name);
}

static void
on_configmap(struct step *s, const struct kube_reply *r)
{
	struct guard guard;
	struct object_meta m;
	struct json j;

	if (step_replied(r, 404)) {
		s->configmap++;
		next_configmap(s);
		return;
	}
	if (!step_parse_object(s, r, s->name, &j, &m))
		return;
	if (!is_patronis(s, &j)) {
		step_end_foreign(s, KIND_CONFIGMAP, s->name);
		return;
	}
	if (m.deleting) {
		s->done.count++;
		s->configmap++;
		next_configmap(s);
		return;
	}
	guard = (struct guard){m.uid, 0};
	step_delete(s, KIND_CONFIGMAP, s->name, &guard, "Background", on_configmap_deleted);
}

static void
next_configmap(struct step *s)
{
	if (s->configmap == SUFFIXES) {
		step_end_done(s);
		return;
	}
	snprintf(s->name, sizeof(s->name), "%s%s", s->req.name, suffixes[s->configmap]);
	step_get(s, KIND_CONFIGMAP, s->name, on_configmap);
}

void
verb_delete_configmaps(struct step *s)
{
	verb_after_commit(s, next_configmap);
}
