/* An `initialize` is taken back only when every word says that nobody has or makes data. */
#include "instance/view.h"
#include "tests/unit/tap.h"

#define POD "11111111-2222-3333-4444-555555555555"
#define OTHER "11111111-2222-3333-4444-666666666666"
#define META(rest) "\"metadata\":{\"name\":\"demo-0\",\"namespace\":\"db\"," rest "}"

static struct arena a;
static struct json j;

static const struct json *
parsed(const char *text)
{
	arena_reset(&a);
	if (json_parse(&j, str_of(text), &a, NULL) == -1)
		die("the test's own JSON: %s", text);
	return &j;
}

static bool
begun(const char *annotations, char version[24])
{
	char text[512];

	(void)snprintf(text, sizeof(text),
	    "{\"metadata\":{\"resourceVersion\":\"77\",\"annotations\":%s}}", annotations);
	return stale_is_begun(parsed(text), version);
}

static void
test_begun(void)
{
	char version[24];

	CHECK(begun("{\"initialize\":\"\"}", version) && strcmp(version, "77") == 0,
	    "an empty initialize is a bootstrap that was begun");
	CHECK(!begun("{\"initialize\":\"7711321390636388384\"}", version),
	    "a system identifier is one that ended");
	CHECK(!begun("{\"config\":\"{}\"}", version) && !begun("null", version) &&
		  !begun("{\"initialize\":null}", version),
	    "without the key none was begun");
	CHECK(!stale_is_begun(
		  parsed("{\"metadata\":{\"annotations\":{\"initialize\":\"\"}}}"), version),
	    "without a version nothing is decided");
}

static bool
empty(const char *status, struct uid *pod)
{
	char text[1024];

	(void)snprintf(text, sizeof(text),
	    "{" META(
		"\"uid\":\"" OTHER
		"\",\"resourceVersion\":\"5\"") ",\"spec\":{\"cluster\":\"demo\",\"ordinal\":0},"
						"\"status\":%s}",
	    status);
	return stale_is_empty(parsed(text), &a, pod);
}

static void
test_empty(void)
{
	struct uid pod, wanted;

	(void)uid_parse(STR(POD), &wanted);
	CHECK(empty("{\"podUID\":\"" POD "\",\"pgdataEmpty\":true}", &pod) && uid_eq(&pod, &wanted),
	    "an instance that reports an empty volume, and the pod that says so");
	CHECK(!empty("{\"podUID\":\"" POD "\",\"pgdataEmpty\":false}", &pod), "one with data");
	CHECK(!empty("{\"podUID\":\"" POD "\"}", &pod), "one that did not say");
	CHECK(!empty("{\"pgdataEmpty\":true}", &pod), "nobody knows whose word it is");
}

static bool
idle(const char *meta, const char *status)
{
	char text[1024];
	struct uid pod;

	(void)uid_parse(STR(POD), &pod);
	(void)snprintf(text, sizeof(text),
	    "{\"metadata\":{\"name\":\"demo-0\",\"namespace\":\"db\",\"resourceVersion\":\"5\",%s,"
	    "\"annotations\":{%s}}}",
	    meta, status);
	return stale_is_idle(parsed(text), &a, &pod);
}

#define STATUS(role, state)                                                                        \
	"\"status\":\"{\\\"role\\\":\\\"" role "\\\",\\\"state\\\":\\\"" state "\\\"}\""

static void
test_idle(void)
{
	static const char same[] = "\"uid\":\"" POD "\"";

	CHECK(idle(same, STATUS("uninitialized", "stopped")), "a Patroni that waits");
	CHECK(!idle(same, STATUS("uninitialized", "initializing new cluster")), "one in initdb");
	CHECK(!idle(same, STATUS("uninitialized", "creating replica")), "one that clones");
	CHECK(!idle(same, STATUS("replica", "stopped")), "one with data that is stopped");
	CHECK(!idle(same, STATUS("primary", "running")), "one that runs");
	CHECK(!idle(same, "\"other\":\"\""), "one that did not say anything yet");
	CHECK(!idle(same, "\"status\":\"nonsense\""), "one that says nonsense");
	CHECK(!idle("\"uid\":\"" OTHER "\"", STATUS("uninitialized", "stopped")),
	    "another pod than the one that reported");
	CHECK(!idle("\"uid\":\"" POD "\",\"deletionTimestamp\":\"2026-01-01T00:00:00Z\"",
		  STATUS("uninitialized", "stopped")),
	    "one that is going");
}

int
main(void)
{
	struct buf b;

	arena_init(&a, 1u << 20);
	test_begun();
	test_empty();
	test_idle();
	CHECK(stale_after_ms(10) > 3 * 10000, "longer than Patroni needs to show what it does");
	buf_init(&b, 256);
	stale_patch(&b, "77");
	CHECK(str_is(buf_view(&b), "{\"metadata\":{\"resourceVersion\":\"77\",\"annotations\":{"
				   "\"initialize\":null}}}"),
	    "the patch names the version that was seen");
	buf_free(&b);
	return tap_done();
}
