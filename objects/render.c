/*
 * From a child's number to its renderer. Everything here is pure: the same cluster and context give
 * the same bytes, so a rendering can be compared with what is stored, again and again.
 */
#include "objects/render.h"

/*
 * seen and a user's raw fields are parsed here: tokens of a few documents of JSON_TOKENS_MAX tokens
 * each.
 */
#define RENDER_ARENA_MAX (8u << 20)

static void (*const renderers[CHILD_COUNT])(struct render *) = {
    [CHILD_ANCHOR] = objects_put_anchor,
    [CHILD_CREDENTIALS] = objects_put_credentials,
    [CHILD_APP] = objects_put_app,
    [CHILD_SERVICEACCOUNT] = objects_put_serviceaccount,
    [CHILD_ROLE] = objects_put_role,
    [CHILD_ROLEBINDING] = objects_put_rolebinding,
    [CHILD_SERVICE_RW] = objects_put_service_rw,
    [CHILD_SERVICE_RO] = objects_put_service_ro,
    [CHILD_SERVICE_PODS] = objects_put_service_pods,
    [CHILD_PDB] = objects_put_pdb,
    [CHILD_INSTANCE] = objects_put_instance,
    [CHILD_STATEFULSET] = objects_put_statefulset,
};

void
objects_fail(struct render *r, enum err_code code, const char *fmt, ...)
{
	char text[ERR_TEXT_MAX];
	va_list ap;

	if (r->failed)
		return;
	r->failed = true;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	err_set(r->e, code, "%s", text);
}

static int
parse_seen(struct render *r)
{
	r->seen_root = JSON_NONE;
	if (r->ctx->seen.len == 0)
		return 0;
	if (json_parse(&r->seen, r->ctx->seen, &r->arena, r->e) == -1)
		return -1;
	r->seen_root = json_root(&r->seen);
	return 0;
}

static int
render(struct render *r, struct buf *out)
{
	if (parse_seen(r) == -1)
		return -1;
	jw_init(&r->w, out);
	jw_object(&r->w);
	renderers[r->child](r);
	jw_end(&r->w);
	if (r->failed)
		return -1;
	if (out->full || out->len > HTTP_BODY_MAX)
		return err_set(r->e, ERR_LIMIT, "%s of %s: larger than %u bytes",
		    kind_info[child_info[r->child].kind].name, r->cluster, HTTP_BODY_MAX);
	return 0;
}

int
objects_render(enum child c, unsigned ordinal, const struct bgcluster *cluster,
    const struct object_ctx *ctx, struct buf *out, struct err *e)
{
	struct render r = {.c = cluster, .ctx = ctx, .child = c, .ordinal = ordinal, .e = e};
	int rc;

	if (c >= CHILD_COUNT || ordinal >= INSTANCES_MAX)
		die("render: no child %u, ordinal %u", (unsigned)c, ordinal);
	if (str_copy(r.cluster, sizeof(r.cluster), cluster->meta.name) == -1 ||
	    cluster->meta.name.len == 0)
		return err_set(
		    e, ERR_INVALID, "metadata.name: 1 to %u characters", NAME_MAX_CLUSTER);
	arena_init(&r.arena, RENDER_ARENA_MAX);
	rc = render(&r, out);
	arena_free(&r.arena);
	if (rc == -1)
		buf_reset(out);
	return rc;
}
