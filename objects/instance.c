/*
 * BGInstance: what the operator wants of one pod. The pod answers in status, which is never
 * rendered here.
 */
#include "objects/render.h"

void
objects_put_instance(struct render *r)
{
	objects_put_meta(r, &(struct meta_extra){.owner = OWNED_BY_NOBODY});
	jw_key(&r->w, "spec");
	jw_object(&r->w);
	jw_kv(&r->w, "cluster", r->cluster);
	jw_kv_int(&r->w, "ordinal", r->ordinal);
	if (r->seen_root == JSON_NONE)
		jw_kv_bool(&r->w, "hold", r->ctx->hold);
	jw_end(&r->w);
}
