/*
 * What the files of objects/ share, and nobody else includes: one rendering under way, and the
 * parts that every kind has. A part that can not be rendered says so once (objects_fail) and the
 * writing goes on, so that no caller has to unwind; render.c looks at the end.
 */
#ifndef OBJECTS_RENDER_H
#define OBJECTS_RENDER_H

#include "objects/objects.h"

struct render {
	struct jw w;
	const struct bgcluster *c;
	const struct object_ctx *ctx;
	enum child child;
	unsigned ordinal;
	char cluster[NAME_MAX_CLUSTER + 1];
	struct json seen; /* ctx->seen; no tokens when the object is to be created */
	int seen_root;    /* JSON_NONE then */
	struct arena arena;
	struct err *e;
	bool failed;
};

/* The first failure counts; err_set's text is what the user sees. */
void objects_fail(struct render *r, enum err_code code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* --- meta.c */
enum owner { OWNED_BY_NOBODY, OWNED_BY_CLUSTER, OWNED_BY_ANCHOR };
/* What the metadata of one kind has besides that of all. */
struct meta_extra {
	enum owner owner;
	const struct str_map *annotations; /* the user's for this object only; may be NULL */
	const char *key, *value;           /* one annotation of ours; key may be NULL */
};
/* apiVersion, kind and metadata. */
void objects_put_meta(struct render *r, const struct meta_extra *extra);
/* labels and annotations of the pod template: as above, and Patroni's two labels. */
void objects_put_pod_meta(struct render *r);
/*
 * An object of name -> value under key, exactly: what stands in seen besides is removed. role and
 * ro may be NULL.
 */
void objects_put_selector(
    struct render *r, const char *key, const char *seen_path, const char *role, const char *ro);
/* "<cluster><suffix>" */
void objects_put_name(struct render *r, const char *key, const char *suffix);

/* --- user.c: JSON that the user wrote and the CRD does not describe further */
/*
 * key: value, as the user wrote it but without null, "" and [], which the API server drops too.
 * exact: what stands in seen (the same place of the stored object) and no longer in value is
 * removed. An empty value is null, "must be absent".
 */
void objects_put_user(struct render *r, const char *key, const char *field, struct str value,
    enum json_type type, int seen, bool exact);
void objects_put_resources(struct render *r, int seen);
void objects_put_env(struct render *r); /* the elements only */

/* --- pod.c */
void objects_put_pod_spec(struct render *r);

/* --- one per kind */
void objects_put_anchor(struct render *r);
void objects_put_credentials(struct render *r);
void objects_put_app(struct render *r);
void objects_put_serviceaccount(struct render *r);
void objects_put_role(struct render *r);
void objects_put_rolebinding(struct render *r);
void objects_put_service_rw(struct render *r);
void objects_put_service_ro(struct render *r);
void objects_put_service_pods(struct render *r);
void objects_put_pdb(struct render *r);
void objects_put_instance(struct render *r);
void objects_put_statefulset(struct render *r);

#endif
