/*
 * RFC 7396 applied: what the API server does with the patches of json_diff. The oracle of
 * test_kube_diff.c and fuzz/fuzz_kube_diff.c; written apart from diff.c, and the programs never
 * link it.
 */
#ifndef TESTS_UNIT_MERGE_PATCH_H
#define TESTS_UNIT_MERGE_PATCH_H

#include "kube/kube.h"

struct merge {
	struct json target, patch;
	struct arena *a;
	struct jw w;
};

static inline struct str
merge_key(struct merge *m, const struct json *j, int k)
{
	struct str key;

	if (json_string(j, k, JSON_OBJECT_MAX, m->a, &key, NULL) < 0)
		die("merge: a key");
	return key;
}

static inline void
merge_node(struct merge *m, int target, int patch)
{
	const struct json *t = &m->target, *p = &m->patch;

	if (json_type(p, patch) != JSON_T_OBJECT) {
		if (jw_json(&m->w, p, patch, m->a, NULL) < 0)
			die("merge: a value");
		return;
	}
	jw_object(&m->w);
	if (json_type(t, target) != JSON_T_OBJECT)
		target = JSON_NONE;
	for (int k = json_first(t, target); k != JSON_NONE; k = json_next(t, k)) {
		struct str key = merge_key(m, t, k);

		if (json_get(p, patch, key) != JSON_NONE)
			continue;
		jw_key_str(&m->w, key);
		if (jw_json(&m->w, t, json_value(t, k), m->a, NULL) < 0)
			die("merge: a value");
	}
	for (int k = json_first(p, patch); k != JSON_NONE; k = json_next(p, k)) {
		struct str key = merge_key(m, p, k);

		if (json_type(p, json_value(p, k)) == JSON_T_NULL)
			continue;
		jw_key_str(&m->w, key);
		merge_node(m, json_get(t, target, key), json_value(p, k));
	}
	jw_end(&m->w);
}

/* Both are JSON; out is what the target is then. */
static inline int
merge_apply(struct str target, struct str patch, struct arena *a, struct buf *out, struct err *e)
{
	struct merge m = {.a = a};

	if (json_parse(&m.target, target, a, e) < 0 || json_parse(&m.patch, patch, a, e) < 0)
		return -1;
	jw_init(&m.w, out);
	merge_node(&m, 0, 0);
	return 0;
}

/* The canonical spelling, to compare by bytes. */
static inline int
merge_canonical(struct str text, struct arena *a, struct buf *out, struct err *e)
{
	struct json j;
	struct jw w;

	if (json_parse(&j, text, a, e) < 0)
		return -1;
	jw_init(&w, out);
	return jw_json(&w, &j, 0, a, e);
}

#endif
