/*
 * metadata of everything we make: names, our labels and annotations, the user's inheritedMetadata,
 * owners. What the user took out of inheritedMetadata must go from the stored object too, but what
 * others wrote there must stay: so each object, and the pod template by itself, lists in an
 * annotation of its own which keys it inherited.
 */
#include "objects/render.h"

/*
 * "label:<key> annotation:<key> ...", sorted: what inheritedMetadata and services.*.annotations put
 * there. What is longer than three maps of LABELS_MAX keys is not ours, and would cost time.
 */
#define ANNOTATION_INHERITED "bestgres.io/inherited"
#define INHERITED_MAX 65536
#define OURS "bestgres.io/"
#define TEMPLATE_META "spec.template.metadata"

/* Where user keys come from: inheritedMetadata, and one service's annotations, which win. */
struct sources {
	const struct str_map *maps[2];
	const char *prefix; /* in ANNOTATION_INHERITED */
	bool labels;
};

/*
 * Never a user's: Patroni selects by these, and keeps its member's state under "status". The CRD
 * refuses them by name.
 */
static bool
is_reserved(struct str key, bool label)
{
	if (str_starts(key, OURS))
		return true;
	if (!label)
		return str_is(key, "status");
	return str_is(key, LABEL_APPLICATION) || str_is(key, LABEL_SCOPE) ||
	       str_is(key, LABEL_ROLE);
}

static bool
has_key(const struct str_map *m, struct str key)
{
	for (size_t i = 0; m != NULL && i < m->n; i++)
		if (str_eq(m->at[i].key, key))
			return true;
	return false;
}

static void
put_user_keys(struct render *r, const struct sources *s)
{
	for (size_t m = 0; m < 2; m++) {
		const struct str_map *map = s->maps[m];

		for (size_t i = 0; map != NULL && i < map->n; i++) {
			if (is_reserved(map->at[i].key, s->labels) ||
			    (m == 0 && has_key(s->maps[1], map->at[i].key)))
				continue;
			jw_key_str(&r->w, map->at[i].key);
			jw_str(&r->w, map->at[i].value);
		}
	}
}

static struct str
seen_string(struct render *r, int node)
{
	struct str s = {NULL, 0};

	if (json_type(&r->seen, node) != JSON_T_STRING)
		return s;
	if (json_string(&r->seen, node, JSON_OBJECT_MAX, &r->arena, &s, NULL) == -1)
		return (struct str){NULL, 0};
	return s;
}

/* The list of what was inherited; at: where the metadata is that lists it. */
static int
seen_inherited(const struct render *r, const char *at)
{
	int metadata = json_path(&r->seen, r->seen_root, at);

	return json_get(
	    &r->seen, json_path(&r->seen, metadata, "annotations"), STR(ANNOTATION_INHERITED));
}

static bool
list_has(struct str list, const char *prefix, struct str key)
{
	size_t n = strlen(prefix);

	while (list.len > 0) {
		const char *space = memchr(list.p, ' ', list.len);
		size_t len = space != NULL ? (size_t)(space - list.p) : list.len;

		if (len == n + key.len && memcmp(list.p, prefix, n) == 0 &&
		    memcmp(list.p + n, key.p, key.len) == 0)
			return true;
		list.p += len + (space != NULL);
		list.len -= len + (space != NULL);
	}
	return false;
}

/*
 * Nulls for what an earlier rendering inherited, this one does not, and is still there (in seen, a
 * map).
 */
static void
drop_user_keys(struct render *r, const struct sources *s, const char *at)
{
	struct str list = seen_string(r, seen_inherited(r, at));
	int seen = json_path(
	    &r->seen, json_path(&r->seen, r->seen_root, at), s->labels ? "labels" : "annotations");

	if (list.len > INHERITED_MAX || json_type(&r->seen, seen) != JSON_T_OBJECT)
		return;
	for (int k = json_first(&r->seen, seen); k != JSON_NONE; k = json_next(&r->seen, k)) {
		struct str key = seen_string(r, k);

		if (is_reserved(key, s->labels) || has_key(s->maps[0], key) ||
		    has_key(s->maps[1], key) || !list_has(list, s->prefix, key))
			continue;
		jw_key_str(&r->w, key);
		jw_null(&r->w);
	}
}

static void
list_user_keys(struct buf *b, const struct sources *s)
{
	for (size_t m = 0; m < 2; m++) {
		const struct str_map *map = s->maps[m];

		for (size_t i = 0; map != NULL && i < map->n; i++) {
			if (is_reserved(map->at[i].key, s->labels) ||
			    (m == 0 && has_key(s->maps[1], map->at[i].key)))
				continue;
			buf_puts(b, b->len > 0 ? " " : "");
			buf_puts(b, s->prefix);
			buf_str(b, map->at[i].key);
		}
	}
}

static void
put_inherited(struct render *r, const struct sources *labels, const struct sources *annotations,
    const char *at)
{
	struct buf list;

	buf_init(&list, HTTP_BODY_MAX);
	list_user_keys(&list, labels);
	list_user_keys(&list, annotations);
	if (list.len > 0)
		jw_kv_str(&r->w, ANNOTATION_INHERITED, buf_view(&list));
	else if (seen_inherited(r, at) != JSON_NONE) {
		jw_key(&r->w, ANNOTATION_INHERITED);
		jw_null(&r->w);
	}
	buf_free(&list);
}

static bool
inherits(const struct render *r)
{
	return (child_info[r->child].groups & (1u << GROUP_META)) != 0;
}

static void
put_labels(struct render *r, const struct sources *s, bool patroni, const char *at)
{
	jw_key(&r->w, "labels");
	jw_object(&r->w);
	jw_kv(&r->w, LABEL_CLUSTER, r->cluster);
	if (patroni) {
		jw_kv(&r->w, LABEL_APPLICATION, PATRONI_APPLICATION);
		jw_kv(&r->w, LABEL_SCOPE, r->cluster);
		jw_kv(&r->w, LABEL_RO, "ok"); /* until its agent takes it off */
	}
	put_user_keys(r, s);
	drop_user_keys(r, s, at);
	jw_end(&r->w);
}

static void
put_owner_uid(struct render *r)
{
	char uid[UID_TEXT_SIZE];

	uid_format(uid, &r->c->meta.uid);
	jw_kv(&r->w, ANNOTATION_OWNER, uid);
}

static void
put_annotations(struct render *r, const struct meta_extra *extra, const struct sources *labels)
{
	struct sources s = {
	    {inherits(r) ? &r->c->annotations : NULL, extra->annotations}, "annotation:", false};
	uint64_t inputs = model_child_inputs(r->child, r->c->hash);

	jw_key(&r->w, "annotations");
	jw_object(&r->w);
	put_owner_uid(r);
	jw_key(&r->w, ANNOTATION_INPUTS);
	jw_printf(&r->w, "%u:%016llx", child_info[r->child].revision, (unsigned long long)inputs);
	if (extra->key != NULL)
		jw_kv(&r->w, extra->key, extra->value);
	put_inherited(r, labels, &s, "metadata");
	put_user_keys(r, &s);
	drop_user_keys(r, &s, "metadata");
	jw_end(&r->w);
}

/*
 * Only what may go at once with its owner has one: a foreground deletion takes
 * dependents in any order. Never blockOwnerDeletion: setting it needs rights on the owner's
 * finalizers.
 */
static void
put_owner(struct render *r, enum owner owner)
{
	const struct uid *uid = owner == OWNED_BY_CLUSTER ? &r->c->meta.uid : &r->ctx->anchor;
	char text[UID_TEXT_SIZE];

	if (owner == OWNED_BY_NOBODY)
		return;
	if (uid_none(uid))
		die("render: %s needs an owner's uid", kind_info[child_info[r->child].kind].name);
	uid_format(text, uid);
	jw_key(&r->w, "ownerReferences");
	jw_array(&r->w);
	jw_object(&r->w);
	jw_kv(&r->w, "apiVersion", owner == OWNED_BY_CLUSTER ? "bestgres.io/v1" : "v1");
	jw_kv(&r->w, "kind", owner == OWNED_BY_CLUSTER ? "BGCluster" : "ConfigMap");
	objects_put_name(
	    r, "name", owner == OWNED_BY_CLUSTER ? "" : child_info[CHILD_ANCHOR].suffix);
	jw_kv(&r->w, "uid", text);
	if (owner == OWNED_BY_CLUSTER)
		jw_kv_bool(&r->w, "controller", true);
	jw_kv_bool(&r->w, "blockOwnerDeletion", false);
	jw_end(&r->w);
	jw_end(&r->w);
}

void
objects_put_name(struct render *r, const char *key, const char *suffix)
{
	jw_key(&r->w, key);
	jw_printf(&r->w, "%s%s", r->cluster, suffix);
}

void
objects_put_meta(struct render *r, const struct meta_extra *extra)
{
	const struct kind_info *kind = &kind_info[child_info[r->child].kind];
	struct sources labels = {{inherits(r) ? &r->c->labels : NULL, NULL}, "label:", true};
	char name[NAME_MAX_LABEL + 1];

	/* "/apis/apps/v1" and "/api/v1" without what stands before the group or version */
	jw_kv(&r->w, "apiVersion", strchr(kind->root + 1, '/') + 1);
	jw_kv(&r->w, "kind", kind->name);
	jw_key(&r->w, "metadata");
	jw_object(&r->w);
	model_child_name(name, r->child, r->cluster, r->ordinal);
	jw_kv(&r->w, "name", name);
	jw_kv_str(&r->w, "namespace", r->c->meta.namespace);
	put_labels(r, &labels, false, "metadata");
	put_annotations(r, extra, &labels);
	put_owner(r, extra->owner);
	jw_end(&r->w);
}

void
objects_put_pod_meta(struct render *r)
{
	struct sources labels = {{&r->c->labels, NULL}, "label:", true};
	struct sources annotations = {{&r->c->annotations, NULL}, "annotation:", false};

	jw_key(&r->w, "metadata");
	jw_object(&r->w);
	put_labels(r, &labels, true, TEMPLATE_META);
	jw_key(&r->w, "annotations");
	jw_object(&r->w);
	put_owner_uid(r);
	jw_key(&r->w, ANNOTATION_POD_INPUTS);
	jw_printf(&r->w, "%016llx", (unsigned long long)model_pod_inputs(r->c->hash));
	put_inherited(r, &labels, &annotations, TEMPLATE_META);
	put_user_keys(r, &annotations);
	drop_user_keys(r, &annotations, TEMPLATE_META);
	jw_end(&r->w);
	jw_end(&r->w);
}

void
objects_put_selector(
    struct render *r, const char *key, const char *seen_path, const char *role, const char *ro)
{
	struct str_pair want[] = {
	    {STR(LABEL_APPLICATION), STR(PATRONI_APPLICATION)},
	    {STR(LABEL_SCOPE), str_of(r->cluster)},
	    {STR(LABEL_ROLE), str_of(role)},
	    {STR(LABEL_RO), str_of(ro)},
	};
	struct str_map map = {want, ro != NULL ? 4u : role != NULL ? 3u : 2u};
	int seen = json_path(&r->seen, r->seen_root, seen_path);

	jw_key(&r->w, key);
	jw_object(&r->w);
	for (size_t i = 0; i < map.n; i++) {
		jw_key_str(&r->w, map.at[i].key);
		jw_str(&r->w, map.at[i].value);
	}
	for (int k = json_first(&r->seen, seen); k != JSON_NONE; k = json_next(&r->seen, k)) {
		struct str name = seen_string(r, k);

		if (json_type(&r->seen, seen) == JSON_T_OBJECT && name.len > 0 &&
		    !has_key(&map, name)) {
			jw_key_str(&r->w, name);
			jw_null(&r->w);
		}
	}
	jw_end(&r->w);
}
