/* An object past the parser's bounds: what is left of it is enough for a condition on it. */
#include "kube/kube.h"
#include "tests/unit/tap.h"

static struct buf out;

static bool
outlines(const char *text, const char *wanted)
{
	struct err e;

	buf_reset(&out);
	return json_outline(str_of(text), &out, &e) == 0 && str_is(buf_view(&out), wanted);
}

static bool
refuses(const char *text)
{
	struct err e = {0};

	buf_reset(&out);
	return json_outline(str_of(text), &out, &e) == -1 && e.code == ERR_INVALID;
}

static void
test_texts(void)
{
	CHECK(outlines(
		  "{\"metadata\":{\"name\":\"a\",\"labels\":{\"x\":\"}\\\"\"}},\"spec\" : [1,{}] "
		  ",\"status\":{\"n\":1}}",
		  "{\"metadata\":{\"name\":\"a\",\"labels\":null},\"spec\":null "
		  ",\"status\":{\"n\":1}}"),
	    "spec and labels become null, the rest stands as it is");
	CHECK(
	    outlines("{\"type\":\"ADDED\",\"object\":{\"spec\":true,\"metadata\":{\"annotations\":"
		     "null,\"managedFields\":[[[]]],\"uid\":\"u\"}}}",
		"{\"type\":\"ADDED\",\"object\":{\"spec\":null,\"metadata\":{\"annotations\":null,"
		"\"managedFields\":null,\"uid\":\"u\"}}}"),
	    "within a watch line as well, scalars too");
	CHECK(outlines("{\"a\":[\"spec\",\"labels\"],\"b\":\"spec\"}",
		  "{\"a\":[\"spec\",\"labels\"],\"b\":\"spec\"}"),
	    "only keys count");
	CHECK(outlines("{\"spec\":\"}{\\\\\",\"x\":1}", "{\"spec\":null,\"x\":1}"),
	    "brackets and escapes in a string that is left out");
	CHECK(refuses("{\"spec\":") && refuses("{\"spec\":{") && refuses("{\"spec\"}") &&
		  refuses("{\"a\":\"") && refuses("{\"a\":\"\\") && refuses("}") && refuses("{") &&
		  refuses("{\"spec\":\"x"),
	    "what is cut off or closes nothing is no object");
}

/* {"metadata":{"uid":"u"},"spec":{"a":{"a":...}}}: no recursion is needed for any depth. */
static void
test_depth(void)
{
	enum { LEVELS = 100000 };
	struct buf text;
	struct arena a;
	struct json j;
	struct err e;

	buf_init(&text, JSON_OBJECT_MAX);
	buf_puts(&text, "{\"metadata\":{\"uid\":\"u\"},\"spec\":");
	for (int i = 0; i < LEVELS; i++)
		buf_puts(&text, "{\"a\":");
	buf_puts(&text, "1");
	for (int i = 0; i < LEVELS; i++)
		buf_puts(&text, "}");
	buf_puts(&text, "}");
	arena_init(&a, 1u << 20);
	CHECK(json_parse(&j, buf_view(&text), &a, &e) == -1 && e.code == ERR_LIMIT, "too deep");
	buf_reset(&out);
	CHECK(json_outline(buf_view(&text), &out, &e) == 0 &&
		  json_parse(&j, buf_view(&out), &a, &e) == 0 &&
		  json_string_is(&j, json_path(&j, json_root(&j), "metadata.uid"), "u"),
	    "its outline is not");
	arena_free(&a);
	buf_free(&text);
}

int
main(void)
{
	struct err e = {0};

	buf_init(&out, 1u << 16);
	test_texts();
	test_depth();
	buf_free(&out);
	buf_init(&out, 8);
	CHECK(json_outline(STR("{\"name\":\"demo\"}"), &out, &e) == -1 && e.code == ERR_LIMIT,
	    "a buffer that is too small is an error, not half an object");
	buf_free(&out);
	return tap_done();
}
