/*
 * One voluntary disruption at a time. AlwaysAllow: a pod that is not ready protects nothing, and
 * must not block a node's drain for ever.
 */
#include "objects/render.h"

void
objects_put_pdb(struct render *r)
{
	objects_put_meta(r, &(struct meta_extra){.owner = OWNED_BY_CLUSTER});
	jw_key(&r->w, "spec");
	jw_object(&r->w);
	jw_kv_int(&r->w, "maxUnavailable", 1);
	jw_key(&r->w, "minAvailable"); /* the other way to say it: both together are refused */
	jw_null(&r->w);
	jw_kv(&r->w, "unhealthyPodEvictionPolicy", "AlwaysAllow");
	jw_key(&r->w, "selector");
	jw_object(&r->w);
	objects_put_selector(r, "matchLabels", "spec.selector.matchLabels", NULL, NULL);
	jw_end(&r->w);
	jw_end(&r->w);
}
