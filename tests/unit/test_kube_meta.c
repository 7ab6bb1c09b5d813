/* meta.c: metadata of any object, and of a StatefulSet what depends on it. */
#include "kube/kube.h"
#include "tests/unit/tap.h"

static struct arena arena;
static struct json j;
static struct err err;
static struct object_meta meta;

#define UID_TEXT "01234567-89ab-cdef-0123-456789abcdef"
#define ID "\"name\":\"demo\",\"uid\":\"" UID_TEXT "\",\"resourceVersion\":\"7\""
static const struct uid uid = {{0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef, 0x01, 0x23, 0x45,
    0x67, 0x89, 0xab, 0xcd, 0xef}};

static bool
parse(const char *text)
{
	arena_reset(&arena);
	err = (struct err){.code = ERR_NONE};
	return json_parse(&j, str_of(text), &arena, &err) == 0;
}

static int
decode(const char *text)
{
	return parse(text) ? decode_meta(&j, 0, &arena, &meta, &err) : -2;
}

static bool
refused(const char *text, const char *path)
{
	return decode(text) == -1 && (err.code == ERR_INVALID || err.code == ERR_LIMIT) &&
	       strncmp(err.text, path, strlen(path)) == 0 && uid_none(&meta.uid) &&
	       meta.name.len == 0;
}

static void
test_identity(void)
{
	CHECK(decode("{\"metadata\":{" ID ",\"namespace\":\"b\",\"generation\":9}}") == 0 &&
		  str_is(meta.name, "demo") && str_is(meta.namespace, "b") &&
		  uid_eq(&meta.uid, &uid) && meta.resource_version == 7 && meta.generation == 9 &&
		  !meta.deleting && !meta.finalizer && meta.finalizers == 0 &&
		  meta.cluster.len == 0 && uid_none(&meta.owner) && meta.inputs_revision == 0 &&
		  meta.inputs_hash == 0,
	    "the least");
	CHECK(decode("{\"metadata\":{" ID "}}") == 0 && meta.namespace.len == 0 &&
		  meta.generation == 0,
	    "no namespace, no generation");
	CHECK(refused("{}", "metadata") && refused("{\"metadata\":[]}", "metadata") &&
		  refused("[]", "metadata"),
	    "no metadata");
	CHECK(refused("{\"metadata\":{\"uid\":\"" UID_TEXT "\",\"resourceVersion\":\"7\"}}",
		  "metadata.name") &&
		  refused("{\"metadata\":{\"name\":\"../x\",\"uid\":\"" UID_TEXT
			  "\",\"resourceVersion\":\"7\"}}",
		      "metadata.name") &&
		  refused("{\"metadata\":{\"name\":5,\"uid\":\"" UID_TEXT
			  "\",\"resourceVersion\":\"7\"}}",
		      "metadata.name"),
	    "bad names");
	CHECK(
	    refused("{\"metadata\":{\"name\":\"a\",\"resourceVersion\":\"7\"}}", "metadata.uid") &&
		refused("{\"metadata\":{\"name\":\"a\",\"uid\":\"x\",\"resourceVersion\":\"7\"}}",
		    "metadata.uid") &&
		refused("{\"metadata\":{\"name\":\"a\",\"uid\":\"00000000-0000-0000-0000-"
			"000000000000\","
			"\"resourceVersion\":\"7\"}}",
		    "metadata.uid"),
	    "bad uids");
	static const char *const versions[] = {"\"\"", "\"x\"", "\"-1\"", "\"1.5\"", "\"0x10\"",
	    "7", "null", "\"18446744073709551616\"", "[]"};
	for (size_t i = 0; i < sizeof versions / sizeof *versions; i++) {
		char text[200];

		snprintf(text, sizeof text,
		    "{\"metadata\":{\"name\":\"a\",\"uid\":\"" UID_TEXT
		    "\",\"resourceVersion\":%s}}",
		    versions[i]);
		CHECK(refused(text, "metadata.resourceVersion"), versions[i]);
	}
	CHECK(refused("{\"metadata\":{" ID ",\"generation\":-1}}", "metadata.generation") &&
		  refused("{\"metadata\":{" ID ",\"generation\":\"1\"}}", "metadata.generation") &&
		  refused("{\"metadata\":{" ID ",\"namespace\":\"A\"}}", "metadata.namespace"),
	    "bad generation, bad namespace");
}

static void
test_deletion(void)
{
	CHECK(
	    decode("{\"metadata\":{" ID ",\"deletionTimestamp\":\"2026-11-23T09:51:00Z\"}}") == 0 &&
		meta.deleting,
	    "being deleted");
	CHECK(
	    decode("{\"metadata\":{" ID ",\"deletionTimestamp\":null,\"finalizers\":null}}") == 0 &&
		!meta.deleting,
	    "null is absent");
	CHECK(decode("{\"metadata\":{" ID ",\"finalizers\":[\"bestgres.io/cluster\"]}}") == 0 &&
		  meta.finalizer && meta.finalizers == 1,
	    "our finalizer");
	CHECK(decode("{\"metadata\":{" ID ",\"finalizers\":[\"a\",\"bestgres.io/clusters\"]}}") ==
		      0 &&
		  !meta.finalizer && meta.finalizers == 2,
	    "others'");
	CHECK(refused("{\"metadata\":{" ID ",\"finalizers\":[1]}}", "metadata.finalizers[0]") &&
		  refused("{\"metadata\":{" ID ",\"finalizers\":\"a\"}}", "metadata.finalizers") &&
		  refused("{\"metadata\":{" ID ",\"deletionTimestamp\":1}}",
		      "metadata.deletionTimestamp"),
	    "wrong types");
}

static bool
inputs(const char *text, uint32_t revision, uint64_t hash)
{
	char object[400];

	snprintf(object, sizeof object,
	    "{\"metadata\":{" ID ",\"annotations\":{\"bestgres.io/inputs\":%s}}}", text);
	return decode(object) == 0 && meta.inputs_revision == revision && meta.inputs_hash == hash;
}

static void
test_ours(void)
{
	CHECK(decode("{\"metadata\":{" ID ",\"labels\":{\"bestgres.io/cluster\":\"demo\",\"x\":1},"
		     "\"annotations\":{\"bestgres.io/owner-uid\":\"" UID_TEXT "\"}}}") == 0 &&
		  str_is(meta.cluster, "demo") && uid_eq(&meta.owner, &uid),
	    "label and owner");
	CHECK(decode("{\"metadata\":{" ID ",\"labels\":{\"bestgres.io/cluster\":\"Demo/../x\"},"
		     "\"annotations\":{\"bestgres.io/owner-uid\":\"" UID_TEXT "0\"}}}") == 0 &&
		  meta.cluster.len == 0 && uid_none(&meta.owner),
	    "malformed ones are absent");
	CHECK(decode("{\"metadata\":{" ID ",\"labels\":{\"bestgres.io/cluster\":5},"
		     "\"annotations\":{\"bestgres.io/owner-uid\":[]}}}") == 0 &&
		  meta.cluster.len == 0 && uid_none(&meta.owner),
	    "and so are those of a wrong type");
	CHECK(decode("{\"metadata\":{" ID ",\"labels\":{\"bestgres.io/"
		     "cluster\":\"a234567890123456789012345678901234567890123456\"}}}") == 0 &&
		  meta.cluster.len == 0,
	    "no cluster has a name of 46 bytes");
	CHECK(refused("{\"metadata\":{" ID ",\"labels\":[]}}", "metadata.labels") &&
		  refused("{\"metadata\":{" ID ",\"annotations\":\"x\"}}", "metadata.annotations"),
	    "labels and annotations of a wrong type");
	CHECK(inputs("\"1:0123456789abcdef\"", 1, 0x0123456789abcdefULL) &&
		  inputs("\"4294967295:ffffffffffffffff\"", UINT32_MAX, UINT64_MAX),
	    "inputs");
	CHECK(inputs("\"4294967296:0123456789abcdef\"", 0, 0) &&
		  inputs("\"1:0123456789ABCDEF\"", 0, 0) && inputs("\"1:0123456789abcde\"", 0, 0) &&
		  inputs("\"1:0123456789abcdef0\"", 0, 0) &&
		  inputs("\":0123456789abcdef\"", 0, 0) &&
		  inputs("\"-1:0123456789abcdef\"", 0, 0) &&
		  inputs("\"1:0123456789abcdef:\"", 0, 0) && inputs("\"\"", 0, 0) &&
		  inputs("1", 0, 0) &&
		  inputs("\"0000000000000000000000000001:0123456789abcdef\"", 0, 0) &&
		  inputs("\"1: 123456789abcdef\"", 0, 0),
	    "malformed inputs are absent");
}

static void
test_statefulset(void)
{
	struct statefulset_view s;

	parse("{\"metadata\":{" ID ",\"generation\":2,\"annotations\":{\"bestgres.io/"
	      "storage-inputs\":\"00000000000000aa\",\"bestgres.io/"
	      "last-good-inputs\":\"00000000000000bb\"}},"
	      "\"spec\":{\"replicas\":3,\"template\":{\"metadata\":{\"annotations\":"
	      "{\"bestgres.io/pod-inputs\":\"ffeeddccbbaa9988\"}}}},"
	      "\"status\":{\"readyReplicas\":2,\"currentReplicas\":1,\"observedGeneration\":2,"
	      "\"replicas\":3}}");
	CHECK(decode_statefulset(&j, 0, &arena, &s, &err) == 0 && s.replicas == 3 &&
		  s.ready_replicas == 2 && s.current_replicas == 1 && s.observed_generation == 2 &&
		  s.pod_inputs == 0xffeeddccbbaa9988ULL && s.storage_inputs == 0xaa &&
		  s.last_good == 0xbb && s.meta.generation == 2,
	    "a StatefulSet");
	parse("{\"metadata\":{" ID "}}");
	CHECK(decode_statefulset(&j, 0, &arena, &s, &err) == 0 && s.replicas == 1 &&
		  s.ready_replicas == 0 && s.pod_inputs == 0 && s.storage_inputs == 0 &&
		  s.last_good == 0,
	    "an empty one: one replica, as the API says");
	parse("{\"metadata\":{" ID "},\"status\":{\"readyReplicas\":\"2\"}}");
	CHECK(decode_statefulset(&j, 0, &arena, &s, &err) == -1 && err.code == ERR_INVALID &&
		  uid_eq(&s.meta.uid, &uid) && s.replicas == 0,
	    "a wrong type");
}

int
main(void)
{
	arena_init(&arena, 1u << 20);
	test_identity();
	test_deletion();
	test_ours();
	test_statefulset();
	arena_free(&arena);
	return tap_done();
}
