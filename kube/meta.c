/*
 * metadata, which every object has. Pure. What we write into annotations ourselves is a hint,
 * never a duty: where it is malformed it counts as absent. Callers: decode.c, and who needs no
 * more of an object than that it is there.
 */
#include "kube/kube.h"

struct meta_ctx {
	const struct json *j;
	int metadata;
	struct arena *a;
	struct err *e;
};

/* A string member of metadata; empty when absent. */
static int
meta_text(struct meta_ctx *c, struct str key, size_t max, enum charset chars, struct str *out)
{
	int node = json_get(c->j, c->metadata, key);
	struct err why;

	*out = STR("");
	if (json_absent(c->j, node))
		return 0;
	if (json_string(c->j, node, max, c->a, out, &why) < 0)
		return err_set(c->e, why.code, "metadata.%s: %s", key.p, why.text);
	if (!charset_ok(chars, *out))
		return err_set(c->e, ERR_INVALID,
		    "metadata.%s: has characters that may not stand there", key.p);
	return 0;
}

static int
meta_identity(struct meta_ctx *c, struct object_meta *out)
{
	int generation = json_get(c->j, c->metadata, STR("generation"));
	struct str uid, version;
	int64_t v = 0;

	if (meta_text(c, STR("namespace"), NAME_MAX_LABEL, CHARS_DNS1123, &out->namespace) < 0 ||
	    meta_text(c, STR("name"), NAME_MAX_OBJECT, CHARS_SUBDOMAIN, &out->name) < 0 ||
	    meta_text(c, STR("uid"), UID_TEXT_SIZE - 1, CHARS_PRINT, &uid) < 0 ||
	    meta_text(c, STR("resourceVersion"), 20, CHARS_PRINT, &version) < 0)
		return -1;
	if (out->name.len == 0)
		return err_set(c->e, ERR_INVALID, "metadata.name: is missing");
	if (uid_parse(uid, &out->uid) < 0 || uid_none(&out->uid))
		return err_set(c->e, ERR_INVALID, "metadata.uid: is not a uid");
	if (str_to_u64(version, &out->resource_version) < 0)
		return err_set(
		    c->e, ERR_INVALID, "metadata.resourceVersion: is not a decimal number");
	if (!json_absent(c->j, generation) && (json_i64(c->j, generation, &v) < 0 || v < 0))
		return err_set(c->e, ERR_INVALID, "metadata.generation: is not a positive integer");
	out->generation = (uint64_t)v;
	return 0;
}

static int
meta_deletion(struct meta_ctx *c, struct object_meta *out)
{
	int stamp = json_get(c->j, c->metadata, STR("deletionTimestamp"));
	int list = json_get(c->j, c->metadata, STR("finalizers"));

	if (!json_absent(c->j, stamp) && json_type(c->j, stamp) != JSON_T_STRING)
		return err_set(c->e, ERR_INVALID, "metadata.deletionTimestamp: is not a string");
	out->deleting = !json_absent(c->j, stamp);
	if (!json_absent(c->j, list) && json_type(c->j, list) != JSON_T_ARRAY)
		return err_set(c->e, ERR_INVALID, "metadata.finalizers: is not a list");
	for (int k = json_first(c->j, list); k != JSON_NONE; k = json_next(c->j, k)) {
		if (json_type(c->j, k) != JSON_T_STRING)
			return err_set(c->e, ERR_INVALID,
			    "metadata.finalizers[%u]: is not a string", out->finalizers);
		out->finalizers++;
		out->finalizer |= json_string_is(c->j, k, FINALIZER);
	}
	return 0;
}

bool
decode_has_finalizer(const struct json *j, int object, const char *finalizer)
{
	int list = json_path(j, object, "metadata.finalizers");

	for (int k = json_first(j, list); k != JSON_NONE; k = json_next(j, k))
		if (json_string_is(j, k, finalizer))
			return true;
	return false;
}

int
decode_hex16(const struct json *j, int node, uint64_t *out)
{
	char text[18]; /* one more than fits, so that a longer text is seen to be longer */

	json_copy_text(j, node, text, sizeof text);
	return str_to_hash(str_of(text), out);
}

/* "<revision>:<16 hex digits>" */
static void
read_inputs(const struct json *j, int node, struct object_meta *out)
{
	char text[32];
	uint64_t revision, hash;
	size_t colon;

	json_copy_text(j, node, text, sizeof text);
	colon = strcspn(text, ":");
	if (text[colon] == '\0' || str_to_hash(str_of(text + colon + 1), &hash) < 0)
		return;
	if (str_to_u64((struct str){text, colon}, &revision) < 0 || revision > UINT32_MAX)
		return;
	out->inputs_revision = (uint32_t)revision;
	out->inputs_hash = hash;
}

/* Labels and annotations: those of ours. */
static int
meta_ours(struct meta_ctx *c, struct object_meta *out)
{
	int labels = json_get(c->j, c->metadata, STR("labels"));
	int annotations = json_get(c->j, c->metadata, STR("annotations"));
	char owner[UID_TEXT_SIZE + 1];

	if (!json_absent(c->j, labels) && json_type(c->j, labels) != JSON_T_OBJECT)
		return err_set(c->e, ERR_INVALID, "metadata.labels: is not an object");
	if (!json_absent(c->j, annotations) && json_type(c->j, annotations) != JSON_T_OBJECT)
		return err_set(c->e, ERR_INVALID, "metadata.annotations: is not an object");
	if (json_string(c->j, json_get(c->j, labels, STR(LABEL_CLUSTER)), NAME_MAX_CLUSTER, c->a,
		&out->cluster, NULL) < 0 ||
	    !charset_ok(CHARS_DNS1035, out->cluster))
		out->cluster = STR("");
	json_copy_text(
	    c->j, json_get(c->j, annotations, STR(ANNOTATION_OWNER)), owner, sizeof owner);
	if (uid_parse(str_of(owner), &out->owner) < 0)
		out->owner = (struct uid){{0}};
	read_inputs(c->j, json_get(c->j, annotations, STR(ANNOTATION_INPUTS)), out);
	out->paused =
	    json_string_is(c->j, json_get(c->j, annotations, STR(ANNOTATION_PAUSED)), "true");
	return 0;
}

int
decode_meta(
    const struct json *j, int object, struct arena *a, struct object_meta *out, struct err *e)
{
	struct meta_ctx c = {
	    .j = j, .metadata = json_get(j, object, STR("metadata")), .a = a, .e = e};

	*out = (struct object_meta){.resource_version = 0};
	if (json_type(j, c.metadata) != JSON_T_OBJECT)
		return err_set(e, ERR_INVALID, "metadata: is not an object");
	if (meta_identity(&c, out) == 0 && meta_deletion(&c, out) == 0 && meta_ours(&c, out) == 0)
		return 0;
	*out = (struct object_meta){.resource_version = 0};
	return -1;
}
