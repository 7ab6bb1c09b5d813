/* diff.c: the patch is what is wanted, nothing more, and after it nothing is left to patch. */
#include "kube/kube.h"
#include "tests/unit/tap.h"
#include "tests/unit/merge_patch.h"

static struct arena arena;
static struct err err;

struct diff_case {
	const char *wanted, *seen, *patch; /* patch NULL: no difference */
};
static const struct diff_case cases[] = {
    {"{}", "{}", NULL},
    {"{\"a\":1}", "{\"a\":1,\"b\":2}", NULL},
    {"{\"a\":1}", "{\"a\":2,\"b\":2}", "{\"a\":1}"},
    {"{\"a\":1}", "{}", "{\"a\":1}"},
    {"{\"a\":1}", "{\"a\":null}", "{\"a\":1}"},
    {"{\"a\":{\"b\":1,\"c\":2}}", "{\"a\":{\"b\":1,\"c\":3,\"d\":4}}", "{\"a\":{\"c\":2}}"},
    {"{\"a\":{\"b\":1},\"c\":{\"d\":2}}", "{\"a\":{\"b\":1},\"c\":{\"d\":3}}", "{\"c\":{\"d\":2}}"},
    {"{\"a\":{\"b\":1}}", "{\"a\":5}", "{\"a\":{\"b\":1}}"},
    {"{\"a\":5}", "{\"a\":{\"b\":1}}", "{\"a\":5}"},
    {"{\"a\":\"1\"}", "{\"a\":1}", "{\"a\":\"1\"}"},
    {"{\"a\":true}", "{\"a\":false}", "{\"a\":true}"},
    {"{\"a\":\"x\\u0041\"}", "{\"a\":\"xA\"}", NULL},
    {"{\"\\u0061\":\"x\"}", "{\"a\":\"x\"}", NULL},
    {"{\"a/b.c\":\"x\"}", "{\"a/b.c\":\"y\"}", "{\"a/b.c\":\"x\"}"},
    /* null: must be absent */
    {"{\"a\":null}", "{}", NULL},
    {"{\"a\":null}", "{\"a\":null}", NULL},
    {"{\"a\":null}", "{\"a\":1}", "{\"a\":null}"},
    {"{\"a\":null}", "{\"a\":{\"b\":1}}", "{\"a\":null}"},
    {"{\"a\":{\"b\":null}}", "{}", NULL},
    {"{\"a\":{\"b\":null}}", "{\"a\":{\"b\":1,\"c\":2}}", "{\"a\":{\"b\":null}}"},
    {"{\"a\":{\"b\":null,\"c\":1}}", "{}", "{\"a\":{\"b\":null,\"c\":1}}"},
    {"{\"a\":null}", "{\"a\":[]}", "{\"a\":null}"},
    /* empty */
    {"{\"a\":[]}", "{}", NULL},
    {"{\"a\":[]}", "{\"a\":null}", NULL},
    {"{\"a\":{\"b\":null}}", "{\"a\":null}", NULL},
    {"{\"a\":[]}", "{\"a\":[1]}", "{\"a\":[]}"},
    {"{\"a\":{}}", "{}", "{\"a\":{}}"},
    {"{\"a\":{}}", "{\"a\":{\"b\":1}}", NULL},
    {"{\"a\":\"\"}", "{}", "{\"a\":\"\"}"},
    /* arrays */
    {"{\"a\":[1,2]}", "{\"a\":[1,2]}", NULL},
    {"{\"a\":[1,2]}", "{\"a\":[2,1]}", "{\"a\":[1,2]}"},
    {"{\"a\":[1,2]}", "{\"a\":[1,2,3]}", "{\"a\":[1,2]}"},
    {"{\"a\":[1,2,3]}", "{\"a\":[1,2]}", "{\"a\":[1,2,3]}"},
    {"{\"a\":[{\"n\":\"x\"}]}", "{\"a\":[{\"n\":\"x\",\"protocol\":\"TCP\"}]}", NULL},
    {"{\"a\":[{\"n\":\"x\",\"p\":null}]}", "{\"a\":[{\"n\":\"x\"}]}", NULL},
    {"{\"a\":[{\"n\":\"x\",\"p\":null}]}", "{\"a\":[{\"n\":\"x\",\"p\":1}]}",
	"{\"a\":[{\"n\":\"x\",\"p\":null}]}"},
    {"{\"a\":[{\"n\":\"x\"},{\"n\":\"y\"}]}", "{\"a\":[{\"n\":\"x\",\"d\":1},{\"n\":\"z\"}]}",
	"{\"a\":[{\"n\":\"x\"},{\"n\":\"y\"}]}"},
    {"{\"a\":[[1,{\"b\":[2]}]]}", "{\"a\":[[1,{\"b\":[2],\"c\":3}]]}", NULL},
    {"{\"a\":[[1,{\"b\":[2]}]]}", "{\"a\":[[1,{\"b\":[3],\"c\":3}]]}", "{\"a\":[[1,{\"b\":[2]}]]}"},
    {"{\"a\":[null]}", "{\"a\":[1]}", "{\"a\":[null]}"},
    {"{\"a\":[1]}", "{\"a\":{\"0\":1}}", "{\"a\":[1]}"},
    /* numbers by value, without floating point */
    {"{\"a\":1}", "{\"a\":1.0}", NULL},
    {"{\"a\":100}", "{\"a\":1e2}", NULL},
    {"{\"a\":9007199254740993}", "{\"a\":9007199254740992}", "{\"a\":9007199254740993}"},
    {"{\"a\":0}", "{\"a\":-0}", NULL},
    /* quantities, where they are */
    {"{\"resources\":{\"limits\":{\"cpu\":\"1\",\"memory\":\"1Gi\"}}}",
	"{\"resources\":{\"limits\":{\"cpu\":\"1000m\",\"memory\":\"1024Mi\"}}}", NULL},
    {"{\"resources\":{\"requests\":{\"cpu\":1}}}", "{\"resources\":{\"requests\":{\"cpu\":\"1\"}}}",
	NULL},
    {"{\"resources\":{\"requests\":{\"storage\":\"10Gi\"}}}",
	"{\"resources\":{\"requests\":{\"storage\":\"10G\"}}}",
	"{\"resources\":{\"requests\":{\"storage\":\"10Gi\"}}}"},
    {"{\"emptyDir\":{\"sizeLimit\":\"64Mi\"}}", "{\"emptyDir\":{\"sizeLimit\":\"65536Ki\"}}", NULL},
    {"[{\"containers\":[{\"resources\":{\"limits\":{\"cpu\":\"0.5\"}}}]}]",
	"[{\"containers\":[{\"resources\":{\"limits\":{\"cpu\":\"500m\"}}}]}]", NULL},
    {"{\"storage\":\"1Gi\"}", "{\"storage\":\"1024Mi\"}", NULL},
    /* and where they are not */
    {"{\"storage\":[\"1k\"]}", "{\"storage\":[\"1000\"]}", "{\"storage\":[\"1k\"]}"},
    {"{\"name\":\"1\"}", "{\"name\":\"1000m\"}", "{\"name\":\"1\"}"},
    {"{\"annotations\":{\"limits\":\"1Gi\"}}", "{\"annotations\":{\"limits\":\"1024Mi\"}}",
	"{\"annotations\":{\"limits\":\"1Gi\"}}"},
    {"{\"storage\":{\"storageClassName\":\"1k\"}}", "{\"storage\":{\"storageClassName\":\"1000\"}}",
	"{\"storage\":{\"storageClassName\":\"1k\"}}"},
    {"{\"resources\":{\"limits\":{\"cpu\":\"one\"}}}",
	"{\"resources\":{\"limits\":{\"cpu\":\"1\"}}}",
	"{\"resources\":{\"limits\":{\"cpu\":\"one\"}}}"},
    /* roots that are no objects */
    {"1", "1", NULL},
    {"1", "2", "1"},
    {"{\"a\":1}", "[1]", "{\"a\":1}"},
    {"null", "{\"a\":1}", "null"},
};

/* After the patch, nothing differs; and the patch did change something. */
static bool
patch_holds(const struct diff_case *c)
{
	struct buf patched, again;
	bool ok;

	buf_init(&patched, 65536);
	buf_init(&again, 65536);
	ok = merge_apply(str_of(c->seen), str_of(c->patch), &arena, &patched, &err) == 0 &&
	     json_diff(str_of(c->wanted), buf_view(&patched), &arena, &again, &err) == 0 &&
	     again.len == 0;
	if (ok) {
		buf_reset(&again);
		ok = merge_canonical(str_of(c->seen), &arena, &again, &err) == 0 &&
		     !str_eq(buf_view(&again), buf_view(&patched));
	}
	buf_free(&patched);
	buf_free(&again);
	return ok;
}

static void
test_cases(void)
{
	struct buf out;
	char name[200];

	buf_init(&out, 65536);
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		const struct diff_case *c = &cases[i];
		int r;

		arena_reset(&arena);
		buf_reset(&out);
		r = json_diff(str_of(c->wanted), str_of(c->seen), &arena, &out, &err);
		snprintf(name, sizeof name, "%s against %s", c->wanted, c->seen);
		if (c->patch == NULL)
			CHECK(r == 0 && out.len == 0, name);
		else if (CHECK(r == 1 && str_is(buf_view(&out), c->patch), name))
			CHECK(patch_holds(c), "  and after it nothing differs");
		else
			printf("# gave %d %s\n", r, out.len > 0 ? out.p : "");
	}
	buf_free(&out);
}

static void
test_errors(void)
{
	struct arena small;
	struct buf out;
	size_t cap;
	int r = -1;
	bool all = true;

	buf_init(&out, 10);
	CHECK(json_diff(STR("{"), STR("{}"), &arena, &out, &err) == -1 && err.code == ERR_INVALID,
	    "wanted is no JSON");
	CHECK(json_diff(STR("{}"), STR("{"), &arena, &out, &err) == -1 && err.code == ERR_INVALID,
	    "seen is no JSON");
	CHECK(json_diff(STR("{\"a\":\"long enough\"}"), STR("{}"), &arena, &out, &err) == -1 &&
		  err.code == ERR_LIMIT,
	    "a patch past the buffer's end");
	buf_free(&out);
	buf_init(&out, 4096);
	for (cap = 0; cap < 4096 && r == -1; cap += 16) {
		arena_init(&small, cap);
		err.code = ERR_NONE;
		buf_reset(&out);
		r = json_diff(STR("{\"a\":{\"b\":[{\"c\":\"x\"}]},\"resources\":{\"limits\":{"
				  "\"cpu\":\"1\"}}}"),
		    STR("{\"a\":{\"b\":[{\"c\":\"y\"}]},\"resources\":{\"limits\":{\"cpu\":\"2\"}}"
			"}"),
		    &small, &out, &err);
		all = all && (r == 1 || err.code == ERR_LIMIT);
		arena_free(&small);
	}
	CHECK(all && r == 1 && cap > 500, "a full arena is ERR_LIMIT wherever it happens");
	buf_free(&out);
}

int
main(void)
{
	arena_init(&arena, 4u << 20);
	test_cases();
	test_errors();
	arena_free(&arena);
	return tap_done();
}
