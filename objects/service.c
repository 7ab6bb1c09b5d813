/*
 * Three Services. Patroni labels the pods by role, once they run; a replica takes reads only while
 * it bears bestgres.io/ro, with which it is made and which its own agent takes off when it lags or
 * does not stream (instance/reads.c). The headless one gives pods names that resolve before they
 * are ready: members must reach each other to become so.
 */
#include "objects/render.h"

static void
put_port(struct render *r, const char *name, int port)
{
	jw_object(&r->w);
	jw_kv(&r->w, "name", name);
	jw_kv(&r->w, "protocol", "TCP");
	jw_kv_int(&r->w, "port", port);
	jw_kv(&r->w, "targetPort", name); /* the container's port of that name: pod.c */
	jw_end(&r->w);
}

static void
put_service(struct render *r, const struct str_map *annotations, uint8_t type, const char *role,
    const char *ro)
{
	objects_put_meta(
	    r, &(struct meta_extra){.owner = OWNED_BY_CLUSTER, .annotations = annotations});
	jw_key(&r->w, "spec");
	jw_object(&r->w);
	jw_kv(&r->w, "type", choice_text(VOCAB_service_type, type));
	objects_put_selector(r, "selector", "spec.selector", role, ro);
	jw_key(&r->w, "ports");
	jw_array(&r->w);
	put_port(r, "postgres", PORT_POSTGRES);
	jw_end(&r->w);
	jw_end(&r->w);
}

void
objects_put_service_rw(struct render *r)
{
	put_service(r, &r->c->rw_service_annotations, r->c->rw_service_type, "primary", NULL);
}

void
objects_put_service_ro(struct render *r)
{
	put_service(r, &r->c->ro_service_annotations, r->c->ro_service_type, "replica", "ok");
}

void
objects_put_service_pods(struct render *r)
{
	objects_put_meta(r, &(struct meta_extra){.owner = OWNED_BY_CLUSTER});
	jw_key(&r->w, "spec");
	jw_object(&r->w);
	jw_kv(&r->w, "clusterIP", "None");
	jw_kv_bool(&r->w, "publishNotReadyAddresses", true);
	objects_put_selector(r, "selector", "spec.selector", NULL, NULL);
	jw_key(&r->w, "ports");
	jw_array(&r->w);
	put_port(r, "postgres", PORT_POSTGRES);
	put_port(r, "patroni", PORT_PATRONI);
	jw_end(&r->w);
	jw_end(&r->w);
}
