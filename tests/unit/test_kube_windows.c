/* kube/windows.c: what a user may write as spec.maintenanceWindows, and what is refused how. */
#include "kube/kube.h"
#include "tests/unit/tap.h"

static struct arena arena;
static struct windows got;
static struct err error;

static int
decode(const char *text)
{
	struct json j;

	arena_free(&arena);
	arena_init(&arena, 1u << 20);
	error = (struct err){0};
	memset(&got, 0x5a, sizeof(got));
	if (json_parse(&j, str_of(text), &arena, &error) == -1)
		return -2;
	return decode_windows(&j, json_root(&j), &got, &error);
}

static bool
is_window(const char *text, unsigned from, unsigned to, unsigned days, const char *zone)
{
	return decode(text) == 0 && got.n == 1 && got.at[0].from_min == from &&
	       got.at[0].to_min == to && got.at[0].days == days &&
	       strcmp(got.at[0].zone, zone) == 0;
}

static void
refused(const char *text, enum err_code code, const char *says)
{
	bool ok = decode(text) == -1 && error.code == code && got.n == 0 &&
	          strncmp(error.text, says, strlen(says)) == 0;

	if (!CHECK(ok, text))
		printf("# %s\n", error.text);
}

#define TIMES "\"from\":\"01:00\",\"to\":\"05:00\""

static void
test_good(void)
{
	CHECK(decode("null") == 0 && got.n == 0, "null is none");
	CHECK(decode("[]") == 0 && got.n == 0, "an empty list as well");
	CHECK(is_window("[{" TIMES "}]", 60, 300, 127, "UTC"), "every day, UTC");
	CHECK(is_window("[{\"days\":[]," TIMES ",\"timeZone\":null}]", 60, 300, 127, "UTC"),
	    "no days are every day");
	CHECK(is_window("[{\"from\":\"23:59\",\"to\":\"00:00\",\"days\":[\"Monday\",\"Sunday\","
			"\"Monday\"],\"timeZone\":\"Asia/Calcutta\"}]",
		  1439, 0, 0x41, "Asia/Calcutta"),
	    "all of it");
	CHECK(is_window("[{" TIMES ",\"timeZone\":\"Not/Known\",\"other\":1}]", 60, 300, 127,
		  "Not/Known"),
	    "whether a zone is known is not asked here");
}

static void
test_bad(void)
{
	struct buf many;

	refused("{\"a\":1}", ERR_INVALID, "spec.maintenanceWindows: ");
	refused("[1]", ERR_INVALID, "spec.maintenanceWindows[0]: ");
	refused("[{\"to\":\"05:00\"}]", ERR_INVALID, "spec.maintenanceWindows[0].from: ");
	refused("[{" TIMES "},{\"from\":\"05:00\"}]", ERR_INVALID,
	    "spec.maintenanceWindows[1].to: must be a time");
	refused("[{\"from\":\"24:00\",\"to\":\"05:00\"}]", ERR_INVALID,
	    "spec.maintenanceWindows[0].from: ");
	refused("[{\"from\":\"01:60\",\"to\":\"05:00\"}]", ERR_INVALID,
	    "spec.maintenanceWindows[0].from: ");
	refused("[{\"from\":\"1:00\",\"to\":\"05:00\"}]", ERR_INVALID,
	    "spec.maintenanceWindows[0].from: ");
	refused("[{\"from\":\"01:000\",\"to\":\"05:00\"}]", ERR_INVALID,
	    "spec.maintenanceWindows[0].from: ");
	refused("[{\"from\":\"01:00:00\",\"to\":\"05:00\"}]", ERR_INVALID,
	    "spec.maintenanceWindows[0].from: ");
	refused("[{\"from\":\"-1:00\",\"to\":\"05:00\"}]", ERR_INVALID,
	    "spec.maintenanceWindows[0].from: ");
	refused(
	    "[{\"from\":60,\"to\":\"05:00\"}]", ERR_INVALID, "spec.maintenanceWindows[0].from: ");
	refused(
	    "[{" TIMES ",\"days\":\"Monday\"}]", ERR_INVALID, "spec.maintenanceWindows[0].days: ");
	refused("[{" TIMES ",\"days\":[\"monday\"]}]", ERR_INVALID,
	    "spec.maintenanceWindows[0].days: ");
	refused("[{" TIMES ",\"days\":[1]}]", ERR_INVALID, "spec.maintenanceWindows[0].days: ");
	refused("[{" TIMES ",\"timeZone\":\"\"}]", ERR_INVALID,
	    "spec.maintenanceWindows[0].timeZone: ");
	refused(
	    "[{" TIMES ",\"timeZone\":7}]", ERR_INVALID, "spec.maintenanceWindows[0].timeZone: ");
	refused("[{" TIMES ",\"timeZone\":\"\xc3\xa9\"}]", ERR_INVALID,
	    "spec.maintenanceWindows[0].timeZone: ");
	refused("[{" TIMES ",\"timeZone\":\"a2345678901234567890123456789012345678901\"}]",
	    ERR_INVALID, "spec.maintenanceWindows[0].timeZone: ");
	buf_init(&many, 4096);
	for (unsigned i = 0; i <= WINDOWS_MAX; i++)
		buf_puts(&many, i == 0 ? "[{" TIMES "}" : ",{" TIMES "}");
	buf_puts(&many, "]");
	refused(many.p, ERR_LIMIT, "spec.maintenanceWindows: more than 16");
	buf_free(&many);
}

int
main(void)
{
	test_good();
	test_bad();
	arena_free(&arena);
	return tap_done();
}
