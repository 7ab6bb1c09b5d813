/*
 * The anchor: ConfigMap <cluster>-data, which says that data of this cluster exists, and outlives
 * the BGCluster with it. The executor writes its data as things happen (objects.h); a rendering
 * never names `data`, so that healing the rest leaves it alone. No owner, and not one of Patroni's
 * labels: `patronictl remove` deletes what carries those.
 */
#include "objects/render.h"

void
objects_put_anchor(struct render *r)
{
	objects_put_meta(r, &(struct meta_extra){.owner = OWNED_BY_NOBODY});
}
