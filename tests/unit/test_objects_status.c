/*
 * Status patches and Events: what they say, that a condition keeps its time as long as its status
 * stays, and what is refused.
 */
#include "tests/unit/tap.h"
#include "tests/unit/objects_case.h"

#define NOW "2026-11-23T10:00:00Z"
#define BEFORE "2026-11-01T00:00:00Z"
static const char stored[] =
    "{\"apiVersion\":\"bestgres.io/"
    "v1\",\"kind\":\"BGCluster\",\"metadata\":{\"name\":\"x\",\"namespace\":\"n\","
    "\"uid\":\"0b5f3bd2-8c4e-4f0e-9d43-6b7d0a3c51e7\",\"generation\":3,\"resourceVersion\":\"1\"},"
    "\"spec\":{\"image\":\"i\",\"storage\":{\"size\":\"1Gi\"}},\"status\":{\"observedGeneration\":"
    "2,\"conditions\":["
    "{\"type\":\"Ready\",\"status\":\"False\",\"reason\":\"Creating\",\"message\":\"m\","
    "\"lastTransitionTime\":\"" BEFORE
    "\"},{\"type\":\"Healthy\",\"status\":\"False\",\"reason\":\"Creating\",\"message\":\"m\","
    "\"lastTransitionTime\":\"" BEFORE "\"}]}}";

static struct cluster_status
wanted(void)
{
	return (struct cluster_status){
	    .ready_instances = 2,
	    .primary = STR("x-0"),
	    .phase = STR("Creating"),
	    .generation = 3,
	    .n = 2,
	    .conditions =
		{
		    {CHOICE_condition_type_READY, CHOICE_condition_status_FALSE, REASON_NO_PRIMARY,
			STR("say \"why\"")},
		    {CHOICE_condition_type_HEALTHY, CHOICE_condition_status_TRUE, REASON_AS_WANTED,
			STR("")},
		},
	};
}

static void
test_status(struct objects_case *c, struct buf *out)
{
	struct cluster_status w = wanted();
	struct buf small;

	CHECK(objects_render_status(&c->cluster, &w, NOW, out, &c->err) == 0 &&
		  str_is(buf_view(out),
		      "{\"status\":{\"observedGeneration\":3,\"phase\":\"Creating\",\"primary\":"
		      "\"x-0\",\"readyInstances\":2,"
		      "\"selector\":\"application=bestgres,cluster-name=x\",\"conditions\":["
		      "{\"type\":\"Ready\",\"status\":\"False\",\"reason\":\"NoPrimary\","
		      "\"message\":\"say \\\"why\\\"\","
		      "\"lastTransitionTime\":\"" BEFORE "\",\"observedGeneration\":3},"
		      "{\"type\":\"Healthy\",\"status\":\"True\",\"reason\":\"AsWanted\","
		      "\"message\":\"\","
		      "\"lastTransitionTime\":\"" NOW "\",\"observedGeneration\":3}]}}"),
	    "a condition's time moves only with its status");
	w.conditions[1].reason = REASON_NONE;
	buf_reset(out);
	CHECK(objects_render_status(&c->cluster, &w, NOW, out, &c->err) == -1 &&
		  c->err.code == ERR_INVALID && out->len == 0,
	    "a condition without a reason is refused");
	w.conditions[1].reason = CHOICE_reason_COUNT;
	CHECK(objects_render_status(&c->cluster, &w, NOW, out, &c->err) == -1,
	    "a reason that there is not is refused");
	w = wanted();
	w.conditions[0].type = CHOICE_condition_type_COUNT;
	CHECK(objects_render_status(&c->cluster, &w, NOW, out, &c->err) == -1,
	    "a type that there is not is refused");
	w = wanted();
	buf_init(&small, 50);
	CHECK(objects_render_status(&c->cluster, &w, NOW, &small, &c->err) == -1 &&
		  c->err.code == ERR_LIMIT,
	    "too much is ERR_LIMIT");
	buf_free(&small);
}

/*
 * What the patch says is what the decision's hash says: else the executor would write the same
 * status for ever.
 */
static void
test_status_hash(struct objects_case *c, struct buf *out)
{
	struct cluster_status w = wanted();
	struct json j;

	buf_reset(out);
	CHECK(objects_render_status(&c->cluster, &w, NOW, out, &c->err) == 0 &&
		  json_parse(&j, buf_view(out), &c->arena, &c->err) == 0 &&
		  decode_cluster_status_hash(&j, json_root(&j), &c->arena) == model_status_hash(&w),
	    "a stored status has the hash of the wanted one");
}

static void
test_event(struct objects_case *c, struct buf *out)
{
	const char *micro = "2026-11-23T09:51:00.123456Z";

	buf_reset(out);
	CHECK(objects_render_event(&c->cluster.meta, CHOICE_event_type_WARNING, REASON_FENCED,
		  STR("x-0: why"), "x.17", micro, out, &c->err) == 0 &&
		  str_is(buf_view(out),
		      "{\"apiVersion\":\"v1\",\"kind\":\"Event\",\"metadata\":{\"name\":\"x.17\","
		      "\"namespace\":\"n\","
		      "\"labels\":{\"bestgres.io/"
		      "cluster\":\"x\"}},\"involvedObject\":{\"apiVersion\":\"bestgres.io/v1\","
		      "\"kind\":\"BGCluster\",\"namespace\":\"n\",\"name\":\"x\",\"uid\":"
		      "\"0b5f3bd2-8c4e-4f0e-9d43-6b7d0a3c51e7\"},"
		      "\"type\":\"Warning\",\"reason\":\"Fenced\",\"message\":\"x-0: "
		      "why\",\"eventTime\":\"2026-11-23T09:51:00.123456Z\","
		      "\"firstTimestamp\":\"2026-11-23T09:51:00Z\",\"lastTimestamp\":\"2026-11-"
		      "23T09:51:00Z\",\"count\":1,"
		      "\"action\":\"Fenced\",\"reportingComponent\":\"bestgres.io/"
		      "operator\",\"reportingInstance\":\"bestgres.io/operator\","
		      "\"source\":{\"component\":\"bestgres.io/operator\"}}"),
	    "an Event says what, about whom and when");
	buf_reset(out);
	CHECK(objects_render_event(&c->cluster.meta, CHOICE_event_type_NORMAL, REASON_NONE, STR(""),
		  "x.1", micro, out, &c->err) == -1 &&
		  c->err.code == ERR_INVALID,
	    "an Event without a reason is refused");
}

int
main(void)
{
	struct objects_case c;
	struct buf out;

	buf_init(&out, HTTP_BODY_MAX);
	CHECK(case_decode(&c, str_of(stored)) == 0, "the stored BGCluster is read");
	CHECK(c.cluster.conditions_n == 2, "with its conditions");
	test_status(&c, &out);
	test_status_hash(&c, &out);
	test_event(&c, &out);
	arena_free(&c.arena);
	buf_free(&out);
	return tap_done();
}
