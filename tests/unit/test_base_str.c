/*
 * Views, copies, numbers, UTF-8 and character classes: each boundary from both sides.
 */
#include "base/base.h"
#include "tests/unit/tap.h"

#define UNCHANGED UINT64_C(0x5a5a5a5a)

static void
test_views(void)
{
	CHECK(str_of(NULL).len == 0 && str_of("").len == 0, "NULL and \"\" are empty views");
	CHECK(str_eq((struct str){NULL, 0}, STR("")), "empty equals empty, whatever the pointer");
	CHECK(!str_eq(STR("ab"), STR("abc")) && !str_eq(STR("abd"), STR("abc")), "different");
	CHECK(str_is((struct str){"abcd", 3}, "abc"), "a view ends at its length");
	CHECK(!str_is(STR("ab\0"), "ab"), "a NUL inside counts");
	CHECK(str_starts(STR("demo-0"), "demo-") && !str_starts(STR("demo"), "demo-"), "starts");
	CHECK(str_ends(STR("demo-rw"), "-rw") && !str_ends(STR("rw"), "-rw"), "ends");
	CHECK(str_starts(STR("x"), "") && str_ends(STR(""), ""), "the empty prefix and suffix");
}

static void
test_copy(void)
{
	char d[4];

	memset(d, 'x', sizeof(d));
	CHECK(str_copy(d, 4, STR("abc")) == 0 && strcmp(d, "abc") == 0, "fits exactly");
	CHECK(str_copy(d, 4, STR("abcd")) == -1 && d[0] == '\0', "one byte too long: empty");
	CHECK(str_copy(d, 4, STR("a\0b")) == -1 && d[0] == '\0', "NUL inside: empty");
	CHECK(str_copy(d, 0, STR("")) == -1, "no room for the NUL");
	CHECK(str_copy(d, 1, (struct str){NULL, 0}) == 0 && d[0] == '\0', "empty view");
}

static bool
text_is(size_t size, struct str in, const char *want)
{
	char d[64];

	memset(d, 'x', sizeof(d));
	str_copy_text(d, size, in);
	return strcmp(d, want) == 0;
}

static void
test_copy_text(void)
{
	CHECK(text_is(64, STR("plain"), "plain"), "plain text as it is");
	CHECK(text_is(4, STR("abcdef"), "abc"), "cut");
	CHECK(text_is(4, STR("ab\xc3\xa9"), "ab"), "never cut inside a character");
	CHECK(text_is(5, STR("ab\xc3\xa9"), "ab\xc3\xa9"), "a character that just fits");
	CHECK(text_is(64, STR("a\nb\tc\x1b[2J\x7f"), "a b c [2J "), "C0 and DEL become spaces");
	CHECK(text_is(64, STR("a\xc2\x9bz"), "a z"), "C1 becomes a space");
	CHECK(text_is(64, STR("a\0b"), "a b"), "NUL becomes a space");
	CHECK(text_is(64, STR("a\xff\xc3z"), "a??z"), "bytes that are not UTF-8");
	CHECK(text_is(1, STR("abc"), ""), "room for the NUL only");
}

static bool
u64_is(const char *s, uint64_t want)
{
	uint64_t v = UNCHANGED;

	return str_to_u64(str_of(s), &v) == 0 && v == want;
}

static bool
u64_refused(const char *s)
{
	uint64_t v = UNCHANGED;

	return str_to_u64(str_of(s), &v) == -1 && v == UNCHANGED;
}

static bool
i64_is(const char *s, int64_t want)
{
	int64_t v = 77;

	return str_to_i64(str_of(s), &v) == 0 && v == want;
}

static bool
i64_refused(const char *s)
{
	int64_t v = 77;

	return str_to_i64(str_of(s), &v) == -1 && v == 77;
}

static void
test_numbers(void)
{
	uint64_t v = 0;

	CHECK(u64_is("0", 0) && u64_is("007", 7), "0 and leading zeros");
	CHECK(u64_is("18446744073709551615", UINT64_MAX), "the largest u64");
	CHECK(u64_refused("18446744073709551616"), "one more");
	CHECK(u64_refused("28446744073709551615"), "overflow in the multiplication");
	CHECK(u64_refused("") && u64_refused("-1") && u64_refused("+1"), "empty and signs");
	CHECK(u64_refused(" 1") && u64_refused("1 ") && u64_refused("0x1"), "spaces and hex");
	CHECK(str_to_u64((struct str){"12", 1}, &v) == 0 && v == 1, "a number ends with its view");
	CHECK(i64_is("9223372036854775807", INT64_MAX), "the largest i64");
	CHECK(i64_is("-9223372036854775808", INT64_MIN), "the smallest i64");
	CHECK(i64_refused("9223372036854775808"), "one more");
	CHECK(i64_refused("-9223372036854775809"), "one less");
	CHECK(i64_refused("-") && i64_refused("--1") && i64_refused(""), "no digits");
	CHECK(i64_is("-0", 0) && i64_is("-15", -15), "negative numbers");
}

static const struct {
	const char *name;
	struct str s;
	bool ok;
} utf8_cases[] = {
    {"empty", {"", 0}, true},
    {"ASCII with NUL", {"a\0b", 3}, true},
    {"U+0080", {"\xc2\x80", 2}, true},
    {"U+07FF", {"\xdf\xbf", 2}, true},
    {"U+0800", {"\xe0\xa0\x80", 3}, true},
    {"U+D7FF", {"\xed\x9f\xbf", 3}, true},
    {"U+E000", {"\xee\x80\x80", 3}, true},
    {"U+FFFF", {"\xef\xbf\xbf", 3}, true},
    {"U+10000", {"\xf0\x90\x80\x80", 4}, true},
    {"U+10FFFF", {"\xf4\x8f\xbf\xbf", 4}, true},
    {"overlong NUL", {"\xc0\x80", 2}, false},
    {"overlong slash", {"\xc1\xaf", 2}, false},
    {"overlong of three", {"\xe0\x9f\xbf", 3}, false},
    {"overlong of four", {"\xf0\x8f\xbf\xbf", 4}, false},
    {"first surrogate", {"\xed\xa0\x80", 3}, false},
    {"last surrogate", {"\xed\xbf\xbf", 3}, false},
    {"U+110000", {"\xf4\x90\x80\x80", 4}, false},
    {"five bytes", {"\xf8\x88\x80\x80\x80", 5}, false},
    {"0xff", {"\xff", 1}, false},
    {"continuation alone", {"\x80", 1}, false},
    {"two cut after one", {"\xc3", 1}, false},
    {"three cut after two", {"\xe2\x82", 2}, false},
    {"four cut after three", {"\xf0\x9f\x98", 3}, false},
    {"ASCII in third place", {"\xe2\x82z", 3}, false},
    {"ASCII in fourth place", {"\xf0\x9f\x98z", 4}, false},
    {"good before bad", {"ok\xc3\xa9\xc3", 5}, false},
};

static void
test_utf8(void)
{
	size_t i;

	for (i = 0; i < sizeof(utf8_cases) / sizeof(utf8_cases[0]); i++)
		CHECK(utf8_valid(utf8_cases[i].s) == utf8_cases[i].ok, utf8_cases[i].name);
	CHECK(utf8_next("\xe2\x82\xac+", 4) == 3, "a sequence's length");
	CHECK(utf8_next("", 0) == 0, "nothing left");
}

static const struct {
	enum charset c;
	const char *s;
	bool ok;
} charset_cases[] = {
    {CHARS_DNS1123, "a", true},
    {CHARS_DNS1123, "0-9", true},
    {CHARS_DNS1123, "a--b", true},
    {CHARS_DNS1123, "-a", false},
    {CHARS_DNS1123, "a-", false},
    {CHARS_DNS1123, "-", false},
    {CHARS_DNS1123, "A", false},
    {CHARS_DNS1123, "a.b", false},
    {CHARS_DNS1123, "a/b", false},
    {CHARS_DNS1123, "a_b", false},
    {CHARS_DNS1123, "caf\xc3\xa9", false},
    {CHARS_DNS1035, "a1", true},
    {CHARS_DNS1035, "1a", false},
    {CHARS_DNS1035, "a-", false},
    {CHARS_SUBDOMAIN, "a.b-c.0", true},
    {CHARS_SUBDOMAIN, "a", true},
    {CHARS_SUBDOMAIN, "a..b", false},
    {CHARS_SUBDOMAIN, ".a", false},
    {CHARS_SUBDOMAIN, "a.", false},
    {CHARS_SUBDOMAIN, "a.-b", false},
    {CHARS_SUBDOMAIN, "..", false},
    {CHARS_SUBDOMAIN, "a/..", false},
    {CHARS_GUC, "work_mem", true},
    {CHARS_GUC, "_x", true},
    {CHARS_GUC, "pg_stat_statements.max", true},
    {CHARS_GUC, "a9", true},
    {CHARS_GUC, "9a", false},
    {CHARS_GUC, ".a", false},
    {CHARS_GUC, "Work_mem", false},
    {CHARS_GUC, "a b", false},
    {CHARS_GUC, "a=b", false},
    {CHARS_TEXT, "caf\xc3\xa9 \xf0\x9f\x90\x98", true},
    {CHARS_TEXT, "a\nb", false},
    {CHARS_TEXT, "a\tb", false},
    {CHARS_TEXT, "a\x7f", false},
    {CHARS_TEXT, "a\xc2\x85", false},
    {CHARS_TEXT, "\xc2\xa0", true},
    {CHARS_TEXT, "a\xff", false},
    {CHARS_LINES, "a\n\tb\xc3\xa9", true},
    {CHARS_LINES, "a\r\n", false},
    {CHARS_LINES, "\x1b[0m", false},
    {CHARS_LINES, "\xed\xa0\x80", false},
    {CHARS_PRINT, " ~", true},
    {CHARS_PRINT, "\x1f", false},
    {CHARS_PRINT, "\x7f", false},
    {CHARS_PRINT, "\xc3\xa9", false},
};

static void
test_charsets(void)
{
	char name[64];
	size_t i;
	int c;

	for (i = 0; i < sizeof(charset_cases) / sizeof(charset_cases[0]); i++) {
		snprintf(name, sizeof(name), "charset %d, row %zu", (int)charset_cases[i].c, i);
		CHECK(charset_ok(charset_cases[i].c, str_of(charset_cases[i].s)) ==
			  charset_cases[i].ok,
		    name);
	}
	for (c = CHARS_DNS1123; c <= CHARS_PRINT; c++) {
		snprintf(name, sizeof(name), "charset %d: empty is ok, NUL is not", c);
		CHECK(charset_ok((enum charset)c, STR("")) &&
			  !charset_ok((enum charset)c, STR("a\0b")),
		    name);
	}
}

static void
test_err(void)
{
	struct err e;

	CHECK(err_set(NULL, ERR_RETRY, "x") == -1, "err_set without a place for it");
	CHECK(err_set(&e, ERR_GONE, "no %s", "pod") == -1 && e.code == ERR_GONE, "code");
	CHECK(strcmp(e.text, "no pod") == 0, "text");
	err_set(&e, e.code, "get: %s", e.text);
	CHECK(strcmp(e.text, "get: no pod") == 0, "words before one's own text");
	err_set(&e, ERR_LIMIT, "%0300d\xc3\xa9", 0);
	CHECK(strlen(e.text) == ERR_TEXT_MAX - 1, "a long text is cut");
	err_set(&e, ERR_INVALID, "line\nlevel=error");
	CHECK(strcmp(e.text, "line level=error") == 0, "a text is one line");
	CHECK(strcmp(err_code_name(ERR_LIMIT), "limit") == 0, "a code's name");
	CHECK(strcmp(err_code_name((enum err_code)99), "unknown") == 0, "a code that is none");
}

int
main(void)
{
	test_views();
	test_copy();
	test_copy_text();
	test_numbers();
	test_utf8();
	test_charsets();
	test_err();
	return tap_done();
}
