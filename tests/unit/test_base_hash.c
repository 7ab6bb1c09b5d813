/*
 * FNV-1a against its published vectors, uids there and back, RFC 3339 at known instants.
 */
#include "base/base.h"
#include "tests/unit/forked.h"
#include "tests/unit/tap.h"

static void
test_fnv(void)
{
	uint64_t h = hash_bytes(HASH_INIT, "foobar", 6);

	CHECK(hash_bytes(HASH_INIT, "", 0) == 0xcbf29ce484222325ULL, "FNV-1a of nothing");
	CHECK(hash_bytes(HASH_INIT, "a", 1) == 0xaf63dc4c8601ec8cULL, "FNV-1a of a");
	CHECK(h == 0x85944171f73967e8ULL, "FNV-1a of foobar");
	CHECK(hash_bytes(hash_bytes(HASH_INIT, "foo", 3), "bar", 3) == h, "in two parts");
	CHECK(hash_str(hash_str(HASH_INIT, STR("ab")), STR("c")) !=
		  hash_str(hash_str(HASH_INIT, STR("a")), STR("bc")),
	    "a list of strings has one reading");
	CHECK(hash_str(HASH_INIT, STR("")) != HASH_INIT, "an empty string counts");
	CHECK(hash_u64(HASH_INIT, 0x0807060504030201ULL) ==
		  hash_bytes(HASH_INIT, "\1\2\3\4\5\6\7\10", 8),
	    "integers enter little-endian");
}

static const char *const bad_uids[] = {
    "",
    "0f8fad5b-d9cb-469f-a165-70867728950",
    "0f8fad5b-d9cb-469f-a165-70867728950e0",
    "0F8fad5b-d9cb-469f-a165-70867728950e",
    "0f8fad5bd9cb-469f-a165-70867728950e-",
    "0f8fad5b-d9cb-469f-a165-70867728950g",
    "0f8fad5b-d9cb-469f-a165 70867728950e",
    "-f8fad5b0d9cb-469f-a165-70867728950e",
    "{f8fad5b-d9cb-469f-a165-70867728950}",
    "0f8fad5b-d9cb-469f-a165-7086772895-e",
};

static void
test_uid(void)
{
	const char *text = "0f8fad5b-d9cb-469f-a165-70867728950e";
	struct uid u = {{0}}, v = {{1}}, keep = {{9, 9}};
	char out[UID_TEXT_SIZE], name[32];
	size_t i;

	CHECK(uid_none(&u) && !uid_none(&v) && !uid_eq(&u, &v), "none");
	CHECK(uid_parse(str_of(text), &u) == 0, "a uid");
	CHECK(u.b[0] == 0x0f && u.b[1] == 0x8f && u.b[15] == 0x0e, "its bytes");
	uid_format(out, &u);
	CHECK(strcmp(out, text) == 0, "and back");
	CHECK(uid_parse(STR("ffffffff-ffff-ffff-ffff-ffffffffffff"), &v) == 0 && v.b[7] == 0xff,
	    "all ones");
	CHECK(uid_parse(STR("00000000-0000-0000-0000-000000000000"), &v) == 0 && uid_none(&v),
	    "all zeros is none");
	u = keep;
	for (i = 0; i < sizeof(bad_uids) / sizeof(bad_uids[0]); i++) {
		snprintf(name, sizeof(name), "bad uid, row %zu", i);
		CHECK(uid_parse(str_of(bad_uids[i]), &u) == -1 && uid_eq(&u, &keep), name);
	}
	CHECK(uid_parse(STR("0f8fad5b\0d9cb-469f-a165-70867728950e"), &u) == -1, "NUL inside");
}

static const struct {
	int64_t s;
	const char *text;
} times[] = {
    {0, "1970-01-01T00:00:00Z"},
    {-1, "1969-12-31T23:59:59Z"},
    {86399, "1970-01-01T23:59:59Z"},
    {68169600, "1972-02-29T00:00:00Z"},
    {946684799, "1999-12-31T23:59:59Z"},
    {951782400, "2000-02-29T00:00:00Z"},
    {951868800, "2000-03-01T00:00:00Z"},
    {1709164800, "2024-02-29T00:00:00Z"},
    {1735689599, "2024-12-31T23:59:59Z"},
    {1795427460, "2026-11-23T09:51:00Z"},
    {2147483648, "2038-01-19T03:14:08Z"},
    {4107542399, "2100-02-28T23:59:59Z"},
    {4107542400, "2100-03-01T00:00:00Z"},
    {13574563200, "2400-02-29T00:00:00Z"},
    {-2203891200, "1900-03-01T00:00:00Z"},
    {-62167219200, "0000-01-01T00:00:00Z"},
    {INT64_MIN, "0000-01-01T00:00:00Z"},
    {253402300799, "9999-12-31T23:59:59Z"},
    {INT64_MAX, "9999-12-31T23:59:59Z"},
};

static int
micro_out_of_range(void *arg)
{
	char out[28];

	(void)arg;
	time_rfc3339_micro(out, 0, 1000000);
	return 0;
}

static void
test_times(void)
{
	char out[28];
	size_t i;

	for (i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
		memset(out, 'x', sizeof(out));
		time_rfc3339(out, times[i].s);
		CHECK(strcmp(out, times[i].text) == 0, times[i].text);
	}
	time_rfc3339_micro(out, 951782400, 7);
	CHECK(strcmp(out, "2000-02-29T00:00:00.000007Z") == 0, "microseconds");
	time_rfc3339_micro(out, -1, 999999);
	CHECK(strcmp(out, "1969-12-31T23:59:59.999999Z") == 0, "the last microsecond of 1969");
	CHECK(forked(micro_out_of_range, NULL) == EXIT_BUG, "a million microseconds: a bug");
}

static void
test_clocks(void)
{
	struct msec a = clock_mono(), b = clock_mono();

	CHECK(b.v >= a.v && a.v > 0, "the monotonic clock does not go back");
	CHECK(clock_boot().v >= a.v, "the boot clock counts at least as much");
	CHECK(clock_wall_s() > 1700000000, "the wall clock is in seconds");
}

int
main(void)
{
	test_fnv();
	test_uid();
	test_times();
	test_clocks();
	return tap_done();
}
