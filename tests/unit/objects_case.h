/*
 * What the tests of objects/ share: a BGCluster read from a file or a literal as the executor reads
 * it, and renderings of it with fixed uids and passwords.
 */
#ifndef TESTS_UNIT_OBJECTS_CASE_H
#define TESTS_UNIT_OBJECTS_CASE_H

#include <fcntl.h>
#include <unistd.h>

#include "objects/objects.h"

struct objects_case {
	struct arena arena;
	struct bgcluster cluster;
	struct err err;
};

/* Decodes text; 0 or -1 with c->err set. */
static inline int
case_decode(struct objects_case *c, struct str text)
{
	struct json j;

	memset(c, 0, sizeof(*c));
	arena_init(&c->arena, 16u << 20);
	if (json_parse(&j, text, &c->arena, &c->err) == -1)
		return -1;
	return decode_bgcluster(&j, json_root(&j), &c->arena, &c->cluster, &c->err);
}

static inline struct object_ctx
case_context(void)
{
	struct object_ctx ctx = {
	    .operator_image = STR("localhost/bestgres:dev"),
	    .operator_pull_policy = STR("IfNotPresent"),
	    .password = {STR("Superuser0000000000000000000000A"),
		STR("Replication00000000000000000000B"), STR("Rewind0000000000000000000000000C"),
		STR("RestApi000000000000000000000000D")},
	};

	if (uid_parse(STR("7d1c8c36-3f10-4a53-8f4b-1f5f3f4c2a10"), &ctx.anchor) == -1)
		die("the test's uid");
	return ctx;
}

/* Renders into out (reset first). seen: empty, or what the API server holds. */
static inline int
case_render(
    struct objects_case *c, enum child child, unsigned ordinal, struct str seen, struct buf *out)
{
	struct object_ctx ctx = case_context();

	ctx.seen = seen;
	buf_reset(out);
	return objects_render(child, ordinal, &c->cluster, &ctx, out, &c->err);
}

#endif
