/* status.c: a refusal's metav1.Status, and the hash of what is stored against what is wanted. */
#include "kube/kube.h"
#include "tests/unit/tap.h"

static struct arena arena;
static struct json j;

static bool
parse(const char *text)
{
	arena_reset(&arena);
	return json_parse(&j, str_of(text), &arena, NULL) == 0;
}

static void
test_api_status(void)
{
	struct api_status s;

	parse("{\"kind\":\"Status\",\"code\":409,\"reason\":\"AlreadyExists\",\"message\":"
	      "\"services \\\"a\\\" already\\nexists\","
	      "\"details\":{\"retryAfterSeconds\":7,\"causes\":[{\"field\":\"spec.x\"},{\"field\":"
	      "\"spec.y\"}]}}");
	CHECK(decode_status(&j, 0, &s) == 0 && s.code == 409 &&
		  strcmp(s.reason, "AlreadyExists") == 0 &&
		  strcmp(s.message, "spec.x: services \"a\" already exists") == 0 &&
		  s.retry_after_s == 7,
	    "a Status: one line, with the field");
	parse("{\"kind\":\"Status\",\"code\":422,\"message\":\"spec.x: is "
	      "bad\",\"details\":{\"causes\":[{\"field\":\"spec.x\"}]}}");
	CHECK(decode_status(&j, 0, &s) == 0 && strcmp(s.message, "spec.x: is bad") == 0 &&
		  s.reason[0] == '\0',
	    "the field is not said twice");
	parse("{\"kind\":\"Status\",\"code\":\"x\",\"reason\":5,\"message\":[],\"details\":3}");
	CHECK(decode_status(&j, 0, &s) == 0 && s.code == 0 && s.reason[0] == '\0' &&
		  s.message[0] == '\0' && s.retry_after_s == 0,
	    "wrong types are nothing");
	parse(
	    "{\"kind\":\"Status\",\"code\":99999,\"details\":{\"retryAfterSeconds\":99999999999}}");
	CHECK(decode_status(&j, 0, &s) == 0 && s.code == 0 && s.retry_after_s == 3600,
	    "numbers are bounded");
	parse("{\"kind\":\"Pod\",\"code\":409}");
	CHECK(decode_status(&j, 0, &s) == -1 && decode_status(&j, JSON_NONE, &s) == -1,
	    "what is no Status");

	struct buf b;
	buf_init(&b, 8192);
	buf_puts(&b, "{\"kind\":\"Status\",\"message\":\"");
	for (int i = 0; i < 1000; i++)
		buf_puts(&b, "\xe2\x82\xac");
	buf_puts(&b, "\",\"details\":{\"causes\":[{\"field\":\"");
	for (int i = 0; i < 1000; i++)
		buf_puts(&b, "f");
	buf_puts(&b, "\"}]}}");
	parse(b.p);
	CHECK(decode_status(&j, 0, &s) == 0 && strlen(s.message) > 380 &&
		  utf8_valid(str_of(s.message)),
	    "a long message is cut between characters");
	buf_free(&b);
}

/* --- decode_cluster_status_hash */
static uint64_t
status_hash(const char *status)
{
	char text[2000];

	snprintf(text, sizeof text, "{\"metadata\":{},\"status\":%s}", status);
	return parse(text) ? decode_cluster_status_hash(&j, 0, &arena) : 1;
}

#define READY                                                                                      \
	"{\"type\":\"Ready\",\"status\":\"True\",\"reason\":\"AsWanted\",\"message\":\"fine\","    \
	"\"lastTransitionTime\":\"x\"}"
#define HEALTHY                                                                                    \
	"{\"type\":\"Healthy\",\"status\":\"False\",\"reason\":\"NoPrimary\",\"message\":\"\"}"
#define REST                                                                                       \
	"\"readyInstances\":2,\"primary\":\"demo-0\",\"phase\":\"Running\","                       \
	"\"observedGeneration\":5"

/* None of these is what test_status_hash stores. */
static const char *const others[] = {
    "{" REST ",\"conditions\":[" READY "]}",
    "{" REST "}",
    "{\"readyInstances\":1,\"primary\":\"demo-0\",\"phase\":\"Running\","
    "\"observedGeneration\":5,\"conditions\":[" READY "," HEALTHY "]}",
    "{\"readyInstances\":2,\"primary\":\"demo-1\",\"phase\":\"Running\","
    "\"observedGeneration\":5,\"conditions\":[" READY "," HEALTHY "]}",
    "{\"readyInstances\":2,\"primary\":\"demo-0\",\"phase\":\"Failed\","
    "\"observedGeneration\":5,\"conditions\":[" READY "," HEALTHY "]}",
    "{\"readyInstances\":2,\"primary\":\"demo-0\",\"phase\":\"Running\","
    "\"observedGeneration\":4,\"conditions\":[" READY "," HEALTHY "]}",
    "{" REST ",\"conditions\":[" READY
    ",{\"type\":\"Healthy\",\"status\":\"True\",\"reason\":\"NoPrimary\"}]}",
    "{" REST ",\"conditions\":[" READY
    ",{\"type\":\"Healthy\",\"status\":\"False\",\"reason\":\"Creating\"}]}",
    "{" REST ",\"conditions\":[" READY
    ",{\"type\":\"Healthy\",\"status\":\"False\",\"reason\":\"OfOldTimes\"}]}",
    "{" REST ",\"conditions\":[" READY
    ",{\"type\":\"Healthy\",\"status\":\"Maybe\",\"reason\":\"NoPrimary\"}]}",
    "{" REST ",\"conditions\":[" READY ",{\"type\":\"Healthy\",\"status\":\"False\","
    "\"reason\":\"NoPrimary\",\"message\":\"x\"}]}",
    "{" REST ",\"conditions\":[" READY
    ",{\"type\":\"Healthy\",\"status\":\"False\",\"reason\":\"NoPrimary\",\"message\":5}]}",
    "{\"readyInstances\":\"2\",\"primary\":\"demo-0\",\"phase\":\"Running\","
    "\"observedGeneration\":5,\"conditions\":[" READY "," HEALTHY "]}",
};

static void
test_status_hash(void)
{
	struct cluster_status wanted = {
	    .ready_instances = 2,
	    .primary = STR("demo-0"),
	    .phase = STR("Running"),
	    .generation = 5,
	    .n = 2,
	    .conditions =
		{
		    {CHOICE_condition_type_READY, CHOICE_condition_status_TRUE, REASON_AS_WANTED,
			STR("fine")},
		    {CHOICE_condition_type_HEALTHY, CHOICE_condition_status_FALSE,
			REASON_NO_PRIMARY, STR("")},
		},
	};
	uint64_t h = model_status_hash(&wanted);

	CHECK(h != 0 && status_hash("{" REST ",\"conditions\":[" READY "," HEALTHY "]}") == h,
	    "what is stored as wanted");
	CHECK(status_hash("{\"conditions\":[" HEALTHY "," READY "],\"operation\":{\"id\":1}," REST
			  "}") == h,
	    "in another order, with more fields");
	CHECK(status_hash(
		  "{" REST ",\"conditions\":[{\"type\":\"Foreign\",\"status\":\"True\"}," READY
		  "," HEALTHY ",7,{}]}") == h,
	    "conditions that are not ours do not count");
	CHECK(status_hash("{}") == 0 && status_hash("null") == 0 && status_hash("5") == 0,
	    "empty is 0");
	for (size_t i = 0; i < sizeof others / sizeof *others; i++)
		CHECK(status_hash(others[i]) != h && status_hash(others[i]) != 0, others[i]);
	wanted.primary = STR("");
	CHECK(status_hash("{\"readyInstances\":2,\"primary\":5,\"phase\":\"Running\","
			  "\"observedGeneration\":5,\"conditions\":[" READY "," HEALTHY
			  "]}") != model_status_hash(&wanted),
	    "what can not be read is not what is absent");
}

int
main(void)
{
	arena_init(&arena, 1u << 20);
	test_api_status();
	test_status_hash();
	arena_free(&arena);
	return tap_done();
}
