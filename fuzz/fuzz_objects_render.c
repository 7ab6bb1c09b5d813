/*
 * A BGCluster as bytes -> decode -> every child rendered. Oracles: nothing dies; every rendering is
 * JSON; compared with itself as the stored object, it differs in nothing (the executor never writes
 * what changes nothing).
 */
#include "fuzz/fuzz.h"
#include "objects/objects.h"

#define ARENA_MAX (64u << 20)

static void
render(enum child child, unsigned ordinal, const struct bgcluster *c, struct object_ctx *ctx,
    struct arena *a)
{
	struct buf out, again, patch;
	struct json j;
	struct err e = {ERR_NONE, ""};

	buf_init(&out, HTTP_BODY_MAX);
	buf_init(&again, HTTP_BODY_MAX);
	buf_init(&patch, HTTP_BODY_MAX);
	ctx->seen = STR("");
	if (objects_render(child, ordinal, c, ctx, &out, &e) == 0) {
		if (json_parse(&j, buf_view(&out), a, &e) == -1) {
			if (e.code != ERR_LIMIT)
				__builtin_trap();
		} else {
			ctx->seen = buf_view(&out);
			if (objects_render(child, ordinal, c, ctx, &again, &e) == -1)
				__builtin_trap();
			if (json_diff(buf_view(&again), buf_view(&out), a, &patch, &e) == 1)
				__builtin_trap();
		}
	} else if (out.len != 0 || e.code == ERR_NONE)
		__builtin_trap();
	buf_free(&out);
	buf_free(&again);
	buf_free(&patch);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct bgcluster c;
	struct object_ctx ctx = {
	    .operator_image = STR("i"),
	    .operator_pull_policy = STR("Always"),
	    .anchor = {{1}},
	    .password = {STR("00000000000000000000000000000000"),
		STR("11111111111111111111111111111111"), STR("22222222222222222222222222222222"),
		STR("33333333333333333333333333333333")},
	};
	struct arena a;
	struct json j;

	arena_init(&a, ARENA_MAX);
	memset(&c, 0, sizeof(c));
	if (json_parse(&j, (struct str){(const char *)data, size}, &a, NULL) == 0 &&
	    decode_bgcluster(&j, json_root(&j), &a, &c, NULL) == 0 && !uid_none(&c.meta.uid))
		for (enum child child = 0; child < CHILD_COUNT; child++)
			render(
			    child, child == CHILD_INSTANCE ? INSTANCES_MAX - 1 : 0, &c, &ctx, &a);
	arena_free(&a);
	return 0;
}
