/* write.c: what is written is compact, valid and means what was said; misuse dies. */
#include "kube/kube.h"
#include <sys/wait.h>
#include <unistd.h>
#include "tests/unit/tap.h"
#include "tests/unit/merge_patch.h"

static struct arena arena;

static void
test_shapes(void)
{
	struct buf b;
	struct jw w;

	buf_init(&b, 4096);
	jw_init(&w, &b);
	jw_object(&w);
	jw_kv(&w, "a", "x");
	jw_kv_int(&w, "b", INT64_MIN);
	jw_kv_bool(&w, "c", true);
	jw_key(&w, "d");
	jw_array(&w);
	jw_int(&w, 1);
	jw_null(&w);
	jw_object(&w);
	jw_end(&w);
	jw_array(&w);
	jw_end(&w);
	jw_cstr(&w, "s");
	jw_end(&w);
	jw_kv_raw(&w, "e", STR("{\"z\":1}"));
	jw_kv_str(&w, "f", (struct str){"cut here", 3});
	jw_key_str(&w, STR("g"));
	jw_printf(&w, "%d-%s", 5, "\"x\"");
	jw_key(&w, "h");
	jw_bool(&w, false);
	jw_kv_or_null(&w, "i", STR("t"));
	jw_kv_or_null(&w, "j", STR(""));
	jw_end(&w);
	CHECK(str_is(buf_view(&b), "{\"a\":\"x\",\"b\":-9223372036854775808,\"c\":true,\"d\":[1,"
				   "null,{},[],\"s\"],\"e\":{\"z\":1},"
				   "\"f\":\"cut\",\"g\":\"5-\\\"x\\\"\",\"h\":false,"
				   "\"i\":\"t\",\"j\":null}"),
	    "every kind of value, with its commas");
	CHECK(w.depth == 0 && !b.full, "balanced");
	buf_free(&b);
}

static void
test_escapes(void)
{
	struct json j;
	struct str back;
	struct buf b;
	struct jw w;
	char all[0x7f + 3];
	size_t n = 0;

	for (int c = 1; c <= 0x7f; c++)
		all[n++] = (char)c;
	memcpy(all + n, "\xc3\xa9", 2);
	n += 2;
	buf_init(&b, 4096);
	jw_init(&w, &b);
	jw_str(&w, (struct str){all, n});
	CHECK(strstr(b.p, "\\u0001") != NULL &&
		  strstr(b.p, "\\b\\t\\n\\u000b\\f\\r\\u000e") != NULL &&
		  strstr(b.p, "!\\\"#") != NULL && strstr(b.p, "[\\\\]") != NULL,
	    "short escapes where there are some");
	CHECK(json_parse(&j, buf_view(&b), &arena, NULL) == 0 &&
		  json_string(&j, 0, n, &arena, &back, NULL) == 0 &&
		  str_eq(back, (struct str){all, n}),
	    "every character comes back");
	buf_free(&b);
}

static bool
canonical(const char *text, const char *expected)
{
	struct buf b;
	bool same;

	arena_reset(&arena);
	buf_init(&b, 4096);
	same =
	    merge_canonical(str_of(text), &arena, &b, NULL) == 0 && str_is(buf_view(&b), expected);
	buf_free(&b);
	return same;
}

static void
test_canonical(void)
{
	struct arena small;
	struct json j;
	struct buf b;
	struct jw w;
	struct err e = {.code = ERR_NONE};

	CHECK(canonical(" { \"b\" : [ 1 , { } ] , \"a\" : null } ", "{\"a\":null,\"b\":[1,{}]}"),
	    "keys sorted, compact");
	CHECK(canonical(
		  "{\"a\":1,\"\\u0041\":2,\"\":3,\"aa\":4}", "{\"\":3,\"A\":2,\"a\":1,\"aa\":4}"),
	    "sorted by what the keys mean");
	CHECK(canonical("\"\\u00e9\\/\\u0022\\u000A\\ud83d\\ude00\"",
		  "\"\xc3\xa9/\\\"\\n\xf0\x9f\x98\x80\""),
	    "one spelling of a string");
	CHECK(canonical("[1.50,-0,1E5]", "[1.50,-0,1E5]"), "numbers as they were written");

	buf_init(&b, 4096);
	json_parse(&j, STR("{\"b\":{\"d\":1,\"c\":2},\"a\":\"x\"}"), &arena, NULL);
	for (size_t cap = 0; cap < 80; cap += 16) {
		arena_init(&small, cap);
		buf_reset(&b);
		jw_init(&w, &b);
		e.code = ERR_NONE;
		if (jw_json(&w, &j, 0, &small, &e) == 0 || e.code != ERR_LIMIT)
			e.code = ERR_INVALID;
		arena_free(&small);
		if (e.code != ERR_LIMIT)
			break;
	}
	CHECK(e.code == ERR_LIMIT, "a full arena is ERR_LIMIT");
	jw_init(&w, &b);
	for (int i = 0; i < JSON_DEPTH_MAX; i++)
		jw_array(&w);
	CHECK(jw_json(&w, &j, 0, &arena, &e) == -1 && e.code == ERR_LIMIT,
	    "a value too deep to be put here is ERR_LIMIT");
	buf_free(&b);
}

static void
test_full(void)
{
	struct buf b;
	struct jw w;

	buf_init(&b, 8);
	jw_init(&w, &b);
	jw_object(&w);
	jw_kv(&w, "key", "a long value");
	jw_end(&w);
	CHECK(b.full && b.len <= 8, "a full buffer is told at the end");
	buf_free(&b);
}

/* --- Misuse: what each does is told by its exit code. */
static void
value_without_key(struct jw *w)
{
	jw_object(w);
	jw_int(w, 1);
}

static void
key_in_array(struct jw *w)
{
	jw_array(w);
	jw_key(w, "a");
}

static void
key_after_key(struct jw *w)
{
	jw_object(w);
	jw_key(w, "a");
	jw_key(w, "b");
}

static void
key_without_value(struct jw *w)
{
	jw_object(w);
	jw_key(w, "a");
	jw_end(w);
}

static void
end_of_nothing(struct jw *w)
{
	jw_end(w);
}

static void
too_deep(struct jw *w)
{
	for (int i = 0; i <= JSON_DEPTH_MAX; i++)
		jw_array(w);
}

static void
invalid_utf8(struct jw *w)
{
	jw_cstr(w, "\xff");
}

static void
nul_inside(struct jw *w)
{
	jw_str(w, (struct str){"a\0b", 3});
}

static int
exit_code(void (*misuse)(struct jw *))
{
	pid_t pid = fork();
	int status = 0;

	if (pid == 0) {
		struct buf b;
		struct jw w;

		close(2);
		buf_init(&b, 4096);
		jw_init(&w, &b);
		misuse(&w);
		_exit(0);
	}
	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

int
main(void)
{
	arena_init(&arena, 1u << 20);
	test_shapes();
	test_escapes();
	test_canonical();
	test_full();
	CHECK(exit_code(value_without_key) == EXIT_BUG, "a value without a key dies");
	CHECK(exit_code(key_in_array) == EXIT_BUG, "a key in an array dies");
	CHECK(exit_code(key_after_key) == EXIT_BUG, "a key after a key dies");
	CHECK(exit_code(key_without_value) == EXIT_BUG, "a key without a value dies");
	CHECK(exit_code(end_of_nothing) == EXIT_BUG, "an end of nothing dies");
	CHECK(exit_code(too_deep) == EXIT_BUG, "a level too many dies");
	CHECK(exit_code(invalid_utf8) == EXIT_BUG, "invalid UTF-8 dies");
	CHECK(exit_code(nul_inside) == EXIT_BUG, "a NUL dies");
	arena_free(&arena);
	return tap_done();
}
