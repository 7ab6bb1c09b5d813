/*
 * json_scan.c and json.c: what is JSON and what is not, and that reading it gives what was
 * written.
 */
#include "kube/kube.h"
#include "tests/unit/tap.h"

static struct arena arena;
static struct json j;
static struct err err;

static int
parse_n(const char *text, size_t n)
{
	/* A copy of exactly n bytes, so that ASan sees a read past the end. */
	char *copy;

	arena_reset(&arena);
	copy = arena_alloc(&arena, n == 0 ? 1 : n);
	memcpy(copy, text, n);
	err = (struct err){.code = ERR_NONE};
	return json_parse(&j, (struct str){copy, n}, &arena, &err);
}

static int
parse(const char *text)
{
	return parse_n(text, strlen(text));
}

static const char *const valid[] = {
    "{}",
    "[]",
    "0",
    "-0",
    "1",
    " 12 ",
    "-1.5e+10",
    "1E5",
    "0.0",
    "0e0",
    "123456789012345678901234567890",
    "\"\"",
    "\"a\"",
    "true",
    "false",
    "null",
    "\t\r\n null\n",
    "[1,2,3]",
    "[[],{}]",
    "[[[[[]]]]]",
    "{\"a\":1}",
    "{\"a\":{\"b\":[{\"c\":null}]}}",
    " { \"a\" : [ 1 , \"x\" , true ] , \"b\" : { } } ",
    "{\"\":0}",
    "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0041\"",
    "\"\\ud83d\\ude00\"",
    "\"\\uD834\\uDd1E\"",
    "\"\\uffff\"",
    "\"\x7f\"",
    "\"\xc2\x80 \xdf\xbf \xe0\xa0\x80 \xed\x9f\xbf \xee\x80\x80 \xef\xbf\xbf \xf0\x90\x80\x80 "
    "\xf4\x8f\xbf\xbf\"",
    "[1,[2,[3]],{\"a\":[]},\"]\",\"}\"]",
    "{\"a\":1,\"A\":1,\"b\":{\"a\":1}}",
};

/* The text, and a word of the reason. */
static const char *const invalid[][2] = {
    {"", "empty"},
    {" ", "ends"},
    /* What jsmn takes for JSON (probed). */
    {"{\"a\"}", "colon"},
    {"{\"a\":1,}", "key"},
    {"{,}", "key"},
    {"[1,,3]", "value"},
    {"{\"a\":nulx}", "word"},
    {"[\"a\":1]", "comma"},
    {"{\"a\":\"b\":\"c\"}", "comma"},
    {"{\"a\":1,\"a\":2}", "twice"},
    {"[\"a\001b\"]", "control"},
    {"[01]", "zero"},
    {"[1.]", "number"},
    {"[-]", "number"},
    {"[+1]", "value"},
    {"{\"a\":1}}", "the end"},
    {"{} {}", "the end"},
    {"{\"a\" 1}", "colon"},
    /* And the rest. */
    {"[", "ends"},
    {"]", "value"},
    {"{", "ends"},
    {"}", "value"},
    {"[}", "value"},
    {"{]", "key"},
    {"[1}", "comma"},
    {"{\"a\":1]", "comma"},
    {"[1,]", "value"},
    {"[,1]", "value"},
    {"[1 2]", "comma"},
    {"{1:2}", "key"},
    {"{\"a\":}", "value"},
    {"{\"a\"", "ends"},
    {"{\"a\":", "ends"},
    {"{\"a\":1", "ends"},
    {"{a:1}", "key"},
    {"{'a':1}", "key"},
    {"nul", "word"},
    {"nullx", "the end"},
    {"True", "value"},
    {"NaN", "value"},
    {"Infinity", "value"},
    {"-Infinity", "number"},
    {".5", "value"},
    {"-.5", "number"},
    {"00", "zero"},
    {"-01", "zero"},
    {"1e", "number"},
    {"1e+", "number"},
    {"1.e5", "number"},
    {"0x10", "the end"},
    {"1 2", "the end"},
    {"\"", "string"},
    {"\"abc", "string"},
    {"\"\\", "escape"},
    {"\"\\\"", "string"},
    {"\"\\x41\"", "escape"},
    {"\"\\u\"", "\\u"},
    {"\"\\u12\"", "\\u"},
    {"\"\\u12g4\"", "\\u"},
    {"\"\\u0000\"", "NUL"},
    {"\"\\ud800\"", "surrogate"},
    {"\"\\ud800x\"", "surrogate"},
    {"\"\\ud800\\n\"", "surrogate"},
    {"\"\\ud800\\u0041\"", "surrogate"},
    {"\"\\ud800\\ud800\"", "surrogate"},
    {"\"\\udc00\"", "surrogate"},
    {"\"\\udc00\\udc00\"", "surrogate"},
    {"\"\\ud83d\\ude0\"", "surrogate"},
    {"\"\x1f\"", "control"},
    {"\"a\nb\"", "control"},
    {"\"\x80\"", "UTF-8"},
    {"\"\xc0\x80\"", "UTF-8"},
    {"\"\xc1\xbf\"", "UTF-8"},
    {"\"\xc2\"", "UTF-8"},
    {"\"\xc2", "UTF-8"},
    {"\"\xe0\x9f\xbf\"", "UTF-8"},
    {"\"\xe2\x82\"", "UTF-8"},
    {"\"\xed\xa0\x80\"", "UTF-8"},
    {"\"\xf0\x8f\xbf\xbf\"", "UTF-8"},
    {"\"\xf4\x90\x80\x80\"", "UTF-8"},
    {"\"\xf5\x80\x80\x80\"", "UTF-8"},
    {"\"\xff\"", "UTF-8"},
    {"\xef\xbb\xbf{}", "value"},
    {"\x0b{}", "value"},
    {"{}\xa0", "the end"},
    {"/* no */ {}", "value"},
    {"{} // no", "the end"},
    {"{\"a\":1,\"\\u0061\":2}", "twice"},
    {"{\"x\":{\"\\n\":1,\"\\u000a\":2}}", "twice"},
    {"{\"\xc3\xa9\":1,\"b\":{},\"\\u00E9\":2}", "twice"},
    {"{\"\":1,\"\":2}", "twice"},
};

static void
test_verdicts(void)
{
	char name[200];

	for (size_t i = 0; i < sizeof valid / sizeof *valid; i++) {
		snprintf(name, sizeof name, "valid %zu", i);
		CHECK(parse(valid[i]) == 0 && json_root(&j) == 0, name);
	}
	for (size_t i = 0; i < sizeof invalid / sizeof *invalid; i++) {
		snprintf(name, sizeof name, "invalid %zu: %s", i, invalid[i][1]);
		CHECK(parse(invalid[i][0]) == -1 && err.code == ERR_INVALID &&
			  strstr(err.text, invalid[i][1]) != NULL && json_root(&j) == JSON_NONE,
		    name);
	}
	CHECK(parse_n("{\0}", 3) == -1 && parse_n("\"\0\"", 3) == -1 && parse_n("{}\0", 3) == -1,
	    "a NUL anywhere is refused");
	CHECK(parse("[1, x]") == -1 && strstr(err.text, "byte 4") != NULL,
	    "the error names the byte");
}

/* Every prefix of a document is refused, and no prefix is read past its end. */
static void
test_truncation(void)
{
	static const char doc[] = "{\"metadata\":{\"name\":\"d\\u00e9mo\",\"n\":[1,-2.5e3,true,"
				  "null,\"\xe2\x82\xac\",\"\\ud83d\\ude00\"]}}";
	bool refused = true;

	for (size_t n = 0; n < sizeof doc - 1; n++)
		refused = refused && parse_n(doc, n) == -1 && err.code == ERR_INVALID;
	CHECK(refused, "every prefix is refused");
	CHECK(parse(doc) == 0, "the whole is not");
}

static char *
repeat(struct buf *b, const char *text, size_t n)
{
	while (n-- > 0)
		buf_puts(b, text);
	return b->p;
}

static void
test_bounds(void)
{
	struct buf b;
	size_t tokens;

	buf_init(&b, JSON_OBJECT_MAX + 10);
	repeat(&b, "[", JSON_DEPTH_MAX);
	repeat(&b, "]", JSON_DEPTH_MAX);
	CHECK(parse(b.p) == 0 && j.n == JSON_DEPTH_MAX, "the deepest allowed");
	buf_reset(&b);
	repeat(&b, "{\"a\":", JSON_DEPTH_MAX);
	buf_puts(&b, "1");
	repeat(&b, "}", JSON_DEPTH_MAX);
	CHECK(parse(b.p) == 0, "the deepest allowed, of objects");
	buf_reset(&b);
	repeat(&b, "[", JSON_DEPTH_MAX + 1);
	CHECK(parse(b.p) == -1 && err.code == ERR_LIMIT, "one level more");

	buf_reset(&b);
	buf_puts(&b, "[1");
	repeat(&b, ",1", JSON_TOKENS_MAX - 2);
	buf_puts(&b, "]");
	CHECK(parse(b.p) == 0 && json_count(&j, 0) == JSON_TOKENS_MAX - 1,
	    "as many tokens as allowed");
	CHECK(json_scan(buf_view(&b), &tokens, NULL) == 0 && tokens == JSON_TOKENS_MAX, "counted");
	b.p[b.len - 1] = ',';
	buf_puts(&b, "1]");
	CHECK(parse(b.p) == -1 && err.code == ERR_LIMIT, "one token more");

	buf_reset(&b);
	buf_puts(&b, "\"");
	repeat(&b, "aaaaaaaa", (JSON_OBJECT_MAX - 8) / 8);
	buf_puts(&b, "aaaaaa\"");
	CHECK(b.len == JSON_OBJECT_MAX && parse(b.p) == 0, "as many bytes as allowed");
	buf_puts(&b, " ");
	CHECK(parse(b.p) == -1 && err.code == ERR_LIMIT, "one byte more");
	buf_free(&b);
}

static void
test_many_keys(void)
{
	struct buf b;
	bool found = true;

	buf_init(&b, 1u << 20);
	buf_puts(&b, "{\"k0\":0");
	for (int i = 1; i < 4000; i++)
		buf_printf(&b, ",\"k%d\":%d", i, i);
	buf_puts(&b, "}");
	CHECK(parse(b.p) == 0 && json_count(&j, 0) == 4000, "4000 keys");
	for (int i = 0; i < 4000; i += 333) {
		char key[16];
		int64_t v = -1;

		snprintf(key, sizeof key, "k%d", i);
		found = found && json_i64(&j, json_get(&j, 0, str_of(key)), &v) == 0 && v == i;
	}
	CHECK(found, "each is found");
	b.len--;
	buf_puts(&b, ",\"\\u006b2000\":1}");
	CHECK(parse(b.p) == -1 && strstr(err.text, "\"k2000\" stands twice") != NULL,
	    "a duplicate among 4000, in another spelling");
	buf_free(&b);
}

static void
test_arena_cap(void)
{
	struct arena small;
	bool all = true;
	static const char doc[] = "{\"\\u0061\":1,\"b\":[1,2,3],\"c\":{\"\\u0064\":1,\"e\":2}}";
	size_t cap;

	for (cap = 0; cap < 1000; cap += 8) {
		arena_init(&small, cap);
		err = (struct err){.code = ERR_NONE};
		if (json_parse(&j, str_of(doc), &small, &err) == 0) {
			arena_free(&small);
			break;
		}
		all = all && err.code == ERR_LIMIT && json_root(&j) == JSON_NONE;
		arena_free(&small);
	}
	CHECK(all && cap > 200 && cap < 1000, "a full arena is ERR_LIMIT at every allocation");
}

static void
test_walking(void)
{
	int list, k, n = 0;

	parse("{\"metadata\":{\"name\":\"demo\",\"labels\":{\"a/"
	      "b.c\":\"x\"}},\"items\":[{\"a\":[1,2]},[],\"s\",4,{}]}");
	CHECK(json_string_is(&j, json_path(&j, 0, "metadata.name"), "demo"), "a path");
	CHECK(json_path(&j, 0, "metadata.nothing.name") == JSON_NONE &&
		  json_path(&j, 0, "items.a") == JSON_NONE &&
		  json_path(&j, JSON_NONE, "a") == JSON_NONE,
	    "a path that is not there");
	CHECK(json_string_is(
		  &j, json_get(&j, json_path(&j, 0, "metadata.labels"), STR("a/b.c")), "x"),
	    "a key with a dot");
	list = json_path(&j, 0, "items");
	static const enum json_type types[] = {
	    JSON_T_OBJECT, JSON_T_ARRAY, JSON_T_STRING, JSON_T_NUMBER, JSON_T_OBJECT};
	bool same = json_count(&j, list) == 5;

	for (k = json_first(&j, list); k != JSON_NONE; k = json_next(&j, k), n++)
		same =
		    same && n < 5 && json_type(&j, k) == types[n] && json_value(&j, k) == JSON_NONE;
	CHECK(same && n == 5, "five siblings of five types");
	n = 0;
	for (k = json_first(&j, 0); k != JSON_NONE; k = json_next(&j, k))
		n += json_string_is(&j, k, n == 0 ? "metadata" : "items") &&
		     json_value(&j, k) == k + 1;
	CHECK(n == 2, "keys");
	CHECK(str_is(json_raw(&j, json_first(&j, list)), "{\"a\":[1,2]}") &&
		  str_is(json_raw(&j, json_path(&j, 0, "metadata.name")), "\"demo\""),
	    "raw text");
	CHECK(json_type(&j, JSON_NONE) == JSON_T_NONE && json_type(&j, j.n) == JSON_T_NONE &&
		  json_first(&j, JSON_NONE) == JSON_NONE && json_next(&j, JSON_NONE) == JSON_NONE &&
		  json_value(&j, j.n) == JSON_NONE && json_count(&j, JSON_NONE) == 0 &&
		  json_raw(&j, j.n).len == 0 && json_get(&j, JSON_NONE, STR("a")) == JSON_NONE &&
		  json_absent(&j, JSON_NONE),
	    "nothing is read from what is not there");
	CHECK(json_first(&j, json_path(&j, 0, "metadata.name")) == JSON_NONE,
	    "a string has no members");
	parse("[null,0,false,\"\"]");
	CHECK(
	    json_absent(&j, 1) && !json_absent(&j, 2) && !json_absent(&j, 3) && !json_absent(&j, 4),
	    "null alone is absent");
}

static bool
string_gives(const char *text, const char *meaning)
{
	struct str s = {NULL, 0};

	return parse(text) == 0 && json_string(&j, 0, 100, &arena, &s, &err) == 0 &&
	       str_is(s, meaning) && s.p[s.len] == '\0' && json_string_is(&j, 0, meaning);
}

static void
test_strings(void)
{
	struct str s;
	char small[8];

	CHECK(string_gives("\"\"", "") && string_gives("\"plain\"", "plain"), "plain strings");
	CHECK(string_gives("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\/\b\f\n\r\t"), "short escapes");
	CHECK(string_gives("\"\\u0041\\u00e9\\u20AC\\ud83d\\ude00z\"",
		  "A\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80z"),
	    "\\u escapes of one to four bytes");
	CHECK(string_gives("\"\\udbff\\udfff\"", "\xf4\x8f\xbf\xbf") &&
		  string_gives("\"\\uffff\"", "\xef\xbf\xbf"),
	    "the last code points");
	parse("\"\\u0061bc\"");
	CHECK(json_string_is(&j, 0, "abc") && !json_string_is(&j, 0, "ab") &&
		  !json_string_is(&j, 0, "abcd") && !json_string_is(&j, 0, "xbc"),
	    "equal in meaning, and only then");
	CHECK(json_string(&j, 0, 3, &arena, &s, &err) == 0 &&
		  json_string(&j, 0, 2, &arena, &s, &err) == -1 && err.code == ERR_LIMIT,
	    "the limit counts what was meant");
	parse("\"abc\"");
	CHECK(json_string(&j, 0, 3, &arena, &s, &err) == 0 &&
		  json_string(&j, 0, 2, &arena, &s, &err) == -1 && err.code == ERR_LIMIT,
	    "the limit of a plain string");
	parse("[1]");
	CHECK(json_string(&j, 1, 10, &arena, &s, &err) == -1 && err.code == ERR_INVALID &&
		  !json_string_is(&j, 1, "1"),
	    "a number is no string");
	parse("\"a\\nb\\u00e9\xe2\x82\xac\"");
	json_copy_text(&j, 0, small, sizeof small);
	CHECK(strcmp(small, "a b\xc3\xa9") == 0,
	    "a text is cut between characters and has no newline");
	json_copy_text(&j, JSON_NONE, small, sizeof small);
	CHECK(small[0] == '\0', "no text");
}

static void
test_scalars(void)
{
	int64_t v = 7;
	bool b = false;

	parse("[9223372036854775807,-9223372036854775808,9223372036854775808,1.0,1e3,-0,\"1\",true,"
	      "false]");
	CHECK(json_i64(&j, 1, &v) == 0 && v == INT64_MAX && json_i64(&j, 2, &v) == 0 &&
		  v == INT64_MIN,
	    "the ends of int64");
	v = 7;
	CHECK(json_i64(&j, 3, &v) == -1 && json_i64(&j, 4, &v) == -1 && json_i64(&j, 5, &v) == -1 &&
		  json_i64(&j, 7, &v) == -1 && json_i64(&j, 8, &v) == -1 &&
		  json_i64(&j, JSON_NONE, &v) == -1 && v == 7,
	    "what is no integer");
	CHECK(json_i64(&j, 6, &v) == 0 && v == 0, "-0");
	CHECK(json_bool(&j, 8, &b) == 0 && b && json_bool(&j, 9, &b) == 0 && !b &&
		  json_bool(&j, 1, &b) == -1,
	    "bool");
}

int
main(void)
{
	arena_init(&arena, 8u << 20);
	test_verdicts();
	test_truncation();
	test_bounds();
	test_many_keys();
	test_arena_cap();
	test_walking();
	test_strings();
	test_scalars();
	arena_free(&arena);
	return tap_done();
}
