/*
 * decode.c and its tables: every row of model/bgcluster.def and model/bginstance.def at its
 * limits and past them, with every wrong type, and its hash. The rows are read from the same
 * .def files, so a new row is tested when it is written.
 */
#include "kube/kube.h"
#include "tests/unit/tap.h"

static struct arena arena;
static struct json j;
static struct err err;
static struct buf doc;
static struct bgcluster cluster;
static struct bginstance instance;

#define META                                                                                       \
	"{\"metadata\":{\"name\":\"demo\",\"namespace\":\"b\",\"uid\":\"01234567-89ab-cdef-0123-"  \
	"456789abcdef\","                                                                          \
	"\"resourceVersion\":\"7\",\"generation\":3}"
static const struct uid demo_uid = {{0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef, 0x01, 0x23,
    0x45, 0x67, 0x89, 0xab, 0xcd, 0xef}};

enum which { CLUSTER, INSTANCE };
enum row_type { TEXT_ROW, INT_ROW, BOOL_ROW, CHOICE_ROW_, RAW_ROW, MAP_ROW, LIST_ROW };
struct row {
	enum which which;
	enum row_type type;
	const char *path;
	unsigned group;
	size_t bytes, entries;
	int64_t min, max;
	enum vocab vocab;
};
#define TEXT(f, p, n, c, g) {WHICH, TEXT_ROW, p, GROUP_##g, n, 0, 0, 0, 0},
#define INT(f, p, lo, hi, d, g) {WHICH, INT_ROW, p, GROUP_##g, 0, 0, lo, hi, 0},
#define BOOL(f, p, d, g) {WHICH, BOOL_ROW, p, GROUP_##g, 0, 0, d, 0, 0},
#define CHOICE(f, p, v, g) {WHICH, CHOICE_ROW_, p, GROUP_##g, 0, 0, 0, 0, VOCAB_##v},
#define RAW(f, p, n, g) {WHICH, RAW_ROW, p, GROUP_##g, n, 0, 0, 0, 0},
#define MAP(f, p, n, c, b, g) {WHICH, MAP_ROW, p, GROUP_##g, b, n, 0, 0, 0},
#define LIST(f, p, n, b, c, g) {WHICH, LIST_ROW, p, GROUP_##g, b, n, 0, 0, 0},
static const struct row rows[] = {
#define WHICH CLUSTER
#include "model/bgcluster.def"
#undef WHICH
#define WHICH INSTANCE
#include "model/bginstance.def"
#include "model/tasks.def"
#undef WHICH
};

static int
decode_cluster(struct str text)
{
	arena_reset(&arena);
	err = (struct err){.code = ERR_NONE};
	if (json_parse(&j, text, &arena, &err) < 0)
		return -2;
	return decode_bgcluster(&j, 0, &arena, &cluster, &err);
}

static int
decode_instance(struct str text)
{
	arena_reset(&arena);
	err = (struct err){.code = ERR_NONE};
	if (json_parse(&j, text, &arena, &err) < 0)
		return -2;
	return decode_bginstance(&j, 0, &arena, &instance, &err);
}

/* --- Each row alone. */
static const uint64_t *
hashes(const struct row *r)
{
	return r->which == CLUSTER ? cluster.hash : instance.hash;
}

static unsigned
groups(const struct row *r)
{
	return r->which == CLUSTER ? GROUP_COUNT : 2;
}

/* Decodes an object in which nothing but metadata and this row stands; value is JSON. */
static int
with_value(const struct row *r, struct str value)
{
	size_t levels = 1, from = 0;

	buf_reset(&doc);
	buf_puts(&doc, strncmp(r->path, "spec.", 5) == 0 ? META ",\"" : META ",\"spec\":{},\"");
	for (const char *p = r->path; *p != '\0'; p++) {
		if (*p != '.') {
			buf_put(&doc, p, 1);
			continue;
		}
		buf_puts(&doc, "\":{\"");
		levels++;
	}
	buf_puts(&doc, "\":");
	buf_str(&doc, value);
	for (; from < levels; from++)
		buf_puts(&doc, "}");
	return r->which == CLUSTER ? decode_cluster(buf_view(&doc))
	                           : decode_instance(buf_view(&doc));
}

static int
with(const struct row *r, const char *value)
{
	return with_value(r, str_of(value));
}

/* Refused with this code; the error names the row, the metadata stays and nothing else does. */
static bool
refused(const struct row *r, const char *value, enum err_code code)
{
	static const struct bgcluster no_cluster;
	static const struct bginstance no_instance;
	const struct object_meta *meta = r->which == CLUSTER ? &cluster.meta : &instance.meta;

	if (with(r, value) != -1 || err.code != code ||
	    strncmp(err.text, r->path, strlen(r->path)) != 0) {
		printf("# %s = %.60s: code %d, %s\n", r->path, value, err.code, err.text);
		return false;
	}
	if (!uid_eq(&meta->uid, &demo_uid) || !str_is(meta->name, "demo"))
		return false;
	if (r->which == CLUSTER)
		return memcmp(&cluster.meta + 1, &no_cluster.meta + 1,
			   sizeof cluster - sizeof cluster.meta) == 0;
	return memcmp(&instance.meta + 1, &no_instance.meta + 1,
		   sizeof instance - sizeof instance.meta) == 0;
}

/* Accepted; and the row's group's hash, and no other, is another one than without the row. */
static bool
counts(const struct row *r, const char *value)
{
	uint64_t before[GROUP_COUNT];
	bool ok;

	with(r, "null");
	memcpy(before, hashes(r), groups(r) * sizeof *before);
	ok = with(r, value) == 0;
	if (!ok)
		printf("# %s = %.60s: %s\n", r->path, value, err.text);
	for (unsigned g = 0; ok && g < groups(r); g++)
		ok = (hashes(r)[g] != before[g]) == (g == r->group);
	return ok;
}

/* Accepted, and every hash is as if the row were not there. */
static bool
says_nothing(const struct row *r, const char *value)
{
	uint64_t before[GROUP_COUNT];

	with(r, "null");
	memcpy(before, hashes(r), groups(r) * sizeof *before);
	return with(r, value) == 0 && memcmp(before, hashes(r), groups(r) * sizeof *before) == 0;
}

static const char *
repeated(const char *before, const char *text, size_t n, const char *after)
{
	static struct buf b;

	buf_free(&b);
	buf_init(&b, JSON_OBJECT_MAX);
	buf_puts(&b, before);
	while (n-- > 0)
		buf_puts(&b, text);
	buf_puts(&b, after);
	return b.p;
}

static void
test_text_row(const struct row *r)
{
	CHECK(counts(r, "\"a\"") && counts(r, repeated("\"", "a", r->bytes, "\"")), r->path);
	CHECK(refused(r, repeated("\"", "a", r->bytes + 1, "\""), ERR_LIMIT), "  too long");
	CHECK(refused(r, "\"a\\u0001\"", ERR_INVALID), "  a control character");
	CHECK(refused(r, "1", ERR_INVALID) && refused(r, "{}", ERR_INVALID) &&
		  refused(r, "[\"a\"]", ERR_INVALID) && refused(r, "true", ERR_INVALID),
	    "  wrong types");
	CHECK(says_nothing(r, "\"\""), "  empty is absent");
}

static void
test_int_row(const struct row *r)
{
	char text[64];

	snprintf(text, sizeof text, "%lld", (long long)r->min);
	CHECK(with(r, text) == 0, r->path);
	snprintf(text, sizeof text, "%lld", (long long)r->max);
	CHECK(counts(r, text), "  the largest");
	snprintf(text, sizeof text, "%lld", (long long)r->min - 1);
	CHECK(refused(r, text, ERR_INVALID) && strstr(err.text, " is not in ") != NULL,
	    "  too small");
	if (r->max < INT64_MAX) {
		snprintf(text, sizeof text, "%lld", (long long)r->max + 1);
		CHECK(refused(r, text, ERR_INVALID), "  too large");
	}
	CHECK(refused(r, "99999999999999999999999999", ERR_INVALID), "  much too large");
	CHECK(refused(r, "1.5", ERR_INVALID) && refused(r, "20e0", ERR_INVALID) &&
		  refused(r, "\"20\"", ERR_INVALID) && refused(r, "true", ERR_INVALID) &&
		  refused(r, "{}", ERR_INVALID) && refused(r, "[]", ERR_INVALID),
	    "  wrong types");
}

static void
test_bool_row(const struct row *r)
{
	const char *other = r->min ? "false" : "true";

	CHECK(counts(r, other) && says_nothing(r, r->min ? "true" : "false"), r->path);
	CHECK(refused(r, "1", ERR_INVALID) && refused(r, "\"true\"", ERR_INVALID) &&
		  refused(r, "{}", ERR_INVALID),
	    "  wrong types");
}

static void
test_choice_row(const struct row *r)
{
	char text[128];
	bool all = true;

	for (unsigned i = 0; i < choice_count(r->vocab); i++) {
		snprintf(text, sizeof text, "\"%s\"", choice_text(r->vocab, i));
		all = all && (i == 0 ? says_nothing(r, text) : counts(r, text));
	}
	CHECK(all, r->path);
	/* A newer version of ourselves has more to say. */
	if (r->vocab == VOCAB_reason && r->group == GROUP_STATUS)
		CHECK(says_nothing(r, "\"Nonsense\"") &&
			  says_nothing(r, repeated("\"", "a", 1000, "\"")),
		    "  one that is not known yet");
	else
		CHECK(refused(r, "\"Nonsense\"", ERR_INVALID) &&
			  strstr(err.text, "Nonsense") != NULL &&
			  refused(r, repeated("\"", "a", 1000, "\""), ERR_INVALID),
		    "  none of them");
	CHECK(refused(r, "1", ERR_INVALID) && refused(r, "[]", ERR_INVALID), "  wrong types");
}

static void
test_raw_row(const struct row *r)
{
	CHECK(counts(r, "{\"a\":1}") && counts(r, "[1]"), r->path);
	CHECK(counts(r, repeated("[\"", "a", r->bytes - 4, "\"]")), "  the longest");
	CHECK(refused(r, repeated("[\"", "a", r->bytes - 3, "\"]"), ERR_LIMIT), "  too long");
	CHECK(counts(r, repeated("[\"a\"", " ", r->bytes, "]")), "  white space does not count");
	CHECK(refused(r, "1", ERR_INVALID) && refused(r, "\"a\"", ERR_INVALID) &&
		  refused(r, "true", ERR_INVALID),
	    "  wrong types");
	CHECK(says_nothing(r, "{}") && says_nothing(r, " [ ] "), "  empty is absent");
}

static const char *
entries(size_t n)
{
	static struct buf b;

	buf_free(&b);
	buf_init(&b, JSON_OBJECT_MAX);
	for (size_t i = 0; i < n; i++)
		buf_printf(&b, "%s\"k%zu\":\"v\"", i == 0 ? "{" : ",", i);
	buf_puts(&b, "}");
	return b.p;
}

static void
test_map_row(const struct row *r)
{
	CHECK(counts(r, "{\"a\":\"x\"}") && counts(r, "{\"a\":\"\"}") &&
		  counts(r, "{\"a\":1.5,\"b\":true}"),
	    r->path);
	CHECK(counts(r, "{\"a\":\"\\t\\n\\u00e9\"}"), "  values of several lines");
	CHECK(counts(r, entries(r->entries)), "  as many entries as allowed");
	CHECK(refused(r, entries(r->entries + 1), ERR_LIMIT), "  one entry more");
	CHECK(counts(r, repeated("{\"a\":\"", "x", r->bytes, "\"}")), "  the longest value");
	CHECK(refused(r, repeated("{\"a\":\"", "x", r->bytes + 1, "\"}"), ERR_LIMIT),
	    "  one byte more");
	CHECK(refused(r, repeated("{\"a\":1", "0", r->bytes, "}"), ERR_LIMIT),
	    "  a number of too many digits");
	CHECK(refused(r, "{\"a\\u0007\":\"x\"}", ERR_INVALID) &&
		  refused(r, "{\"\":\"x\"}", ERR_INVALID) &&
		  refused(r, repeated("{\"", "a", 318, "\":1}"), ERR_LIMIT),
	    "  bad keys");
	CHECK(refused(r, "{\"a\":\"\\u0007\"}", ERR_INVALID) &&
		  refused(r, "{\"a\":{}}", ERR_INVALID) && refused(r, "{\"a\":[]}", ERR_INVALID),
	    "  bad values");
	CHECK(strstr(err.text, ".a: ") != NULL, "  named by their key");
	CHECK(refused(r, "1", ERR_INVALID) && refused(r, "[]", ERR_INVALID) &&
		  refused(r, "\"a\"", ERR_INVALID),
	    "  wrong types");
	CHECK(says_nothing(r, "{}") && says_nothing(r, "{\"a\":null}"),
	    "  empty is absent, and so is a null");
}

static void
test_list_row(const struct row *r)
{
	CHECK(counts(r, "[\"a\"]") && counts(r, "[\"\"]"), r->path);
	CHECK(counts(r, repeated("[\"a\"", ",\"a\"", r->entries - 1, "]")), "  as many as allowed");
	CHECK(refused(r, repeated("[\"a\"", ",\"a\"", r->entries, "]"), ERR_LIMIT), "  one more");
	CHECK(counts(r, repeated("[\"", "x", r->bytes, "\"]")), "  the longest");
	CHECK(refused(r, repeated("[\"", "x", r->bytes + 1, "\"]"), ERR_LIMIT), "  one byte more");
	CHECK(refused(r, "[\"a\",1]", ERR_INVALID) && strstr(err.text, "[1]: ") != NULL &&
		  refused(r, "[null]", ERR_INVALID) && refused(r, "[\"\\u0007\"]", ERR_INVALID),
	    "  bad elements, by number");
	CHECK(refused(r, "1", ERR_INVALID) && refused(r, "{}", ERR_INVALID) &&
		  refused(r, "\"a\"", ERR_INVALID),
	    "  wrong types");
	CHECK(says_nothing(r, "[]"), "  empty is absent");
}

static void
test_rows(void)
{
	static void (*const test[])(const struct row *) = {
	    [TEXT_ROW] = test_text_row,
	    [INT_ROW] = test_int_row,
	    [BOOL_ROW] = test_bool_row,
	    [CHOICE_ROW_] = test_choice_row,
	    [RAW_ROW] = test_raw_row,
	    [MAP_ROW] = test_map_row,
	    [LIST_ROW] = test_list_row,
	};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		test[rows[i].type](&rows[i]);
}

/* --- A whole object. */
static const char full[] =
    "{\"apiVersion\":\"bestgres.io/"
    "v1\",\"kind\":\"BGCluster\",\"metadata\":{\"name\":\"demo\",\"namespace\":\"b\","
    "\"uid\":\"01234567-89ab-cdef-0123-456789abcdef\",\"resourceVersion\":\"18446744073709551615\","
    "\"generation\":4,"
    "\"deletionTimestamp\":\"2026-11-23T09:51:00Z\",\"finalizers\":[\"x/y\",\"bestgres.io/"
    "cluster\"],"
    "\"managedFields\":[{\"manager\":\"kubectl\",\"fieldsV1\":{\"f:spec\":{\"f:image\":{}}}}]},"
    "\"spec\":{\"image\":\"r/"
    "pg:17\",\"imagePullPolicy\":\"Always\",\"imagePullSecrets\":[{\"name\":\"s\"}],"
    "\"runAsUser\":999,\"runAsGroup\":998,\"fsGroup\":null,\"instances\":3,"
    "\"storage\":{\"size\":\"10Gi\",\"storageClassName\":\"fast\"},"
    "\"resources\":{\"requests\":{\"memory\":\"1Gi\",\"cpu\":\"1\"}},"
    "\"terminationGracePeriodSeconds\":60,"
    "\"postgres\":{\"version\":17,\"parameters\":{\"work_mem\":\"4MB\",\"max_connections\":100,"
    "\"fsync\":true,"
    "\"gone\":null},\"pgHBA\":[\"host all all all scram-sha-256\",\"local all all peer\"]},"
    "\"bootstrap\":{\"database\":\"app\",\"owner\":\"own\",\"initdb\":{\"encoding\":\"UTF8\","
    "\"locale\":\"C\","
    "\"localeProvider\":\"icu\",\"icuLocale\":\"de\",\"dataChecksums\":false,\"walSegmentSizeMB\":"
    "64},"
    "\"postInitSQL\":[\"CREATE EXTENSION a;\\n\\tSELECT 1\"]},"
    "\"patroni\":{\"ttl\":40,\"loopWait\":5,\"retryTimeout\":6,\"maximumLagOnFailover\":0,"
    "\"synchronousMode\":\"quorum\",\"synchronousModeStrict\":true,\"synchronousNodeCount\":2,"
    "\"failsafeMode\":false,"
    "\"dynamicConfiguration\":{\"b\":null,\"a\":[1]}},"
    "\"env\":[{\"name\":\"A\",\"value\":\"\\u0042\"}],"
    "\"scheduling\":{\"nodeSelector\":{\"z\":\"1\",\"a\":\"2\"},\"tolerations\":[{\"key\":\"k\"}],"
    "\"affinity\":{\"x\":{}},\"topologySpreadConstraints\":[{\"maxSkew\":1}],\"priorityClassName\":"
    "\"high\"},"
    "\"services\":{\"readWrite\":{\"type\":\"LoadBalancer\",\"annotations\":{\"n\":\"1\"}},"
    "\"readOnly\":{\"type\":\"NodePort\",\"annotations\":{\"m\":\"2\"}}},"
    "\"inheritedMetadata\":{\"labels\":{\"team\":\"t\"},\"annotations\":{\"note\":\"some text\"}},"
    "\"deletionPolicy\":\"Delete\",\"unknown\":{\"skipped\":[1,2]}},"
    "\"status\":{\"conditions\":[{\"type\":\"Ready\",\"status\":\"True\",\"reason\":\"AsWanted\","
    "\"message\":\"m\","
    "\"lastTransitionTime\":\"2026-11-23T09:51:00Z\",\"observedGeneration\":4},{\"status\":\"no "
    "type\"},7,"
    "{\"type\":\"Foreign\",\"status\":3}]}}";

static void
test_full(void)
{
	const struct bgcluster *c = &cluster;

	if (!CHECK(decode_cluster(STR(full)) == 0, "a BGCluster with every field"))
		printf("# %s\n", err.text);
	CHECK(str_is(c->meta.name, "demo") && str_is(c->meta.namespace, "b") &&
		  uid_eq(&c->meta.uid, &demo_uid) && c->meta.generation == 4 &&
		  c->meta.resource_version == UINT64_MAX && c->meta.deleting && c->meta.finalizer &&
		  c->meta.finalizers == 2,
	    "metadata");
	CHECK(str_is(c->image, "r/pg:17") && c->pull_policy == CHOICE_pull_policy_ALWAYS &&
		  str_is(c->pull_secrets, "[{\"name\":\"s\"}]") && c->run_as_user == 999 &&
		  c->run_as_group == 998 && c->fs_group == INT_UNSET && c->instances == 3 &&
		  c->grace_seconds == 60,
	    "the pod");
	CHECK(str_is(c->storage_size, "10Gi") && str_is(c->storage_class, "fast") &&
		  str_is(c->resources, "{\"requests\":{\"cpu\":\"1\",\"memory\":\"1Gi\"}}"),
	    "storage and resources, keys sorted");
	CHECK(c->pg_version == 17 && c->parameters.n == 3 &&
		  str_is(c->parameters.at[0].key, "fsync") &&
		  str_is(c->parameters.at[0].value, "true") &&
		  str_is(c->parameters.at[1].key, "max_connections") &&
		  str_is(c->parameters.at[1].value, "100") &&
		  str_is(c->parameters.at[2].key, "work_mem") &&
		  str_is(c->parameters.at[2].value, "4MB") && c->pg_hba.n == 2 &&
		  str_is(c->pg_hba.at[1], "local all all peer"),
	    "postgres, parameters as text and sorted");
	CHECK(str_is(c->database, "app") && str_is(c->owner, "own") &&
		  str_is(c->initdb_encoding, "UTF8") && str_is(c->initdb_locale, "C") &&
		  str_is(c->initdb_locale_provider, "icu") && str_is(c->initdb_icu_locale, "de") &&
		  !c->initdb_checksums && c->initdb_wal_segment_mb == 64 &&
		  c->post_init_sql.n == 1 &&
		  str_is(c->post_init_sql.at[0], "CREATE EXTENSION a;\n\tSELECT 1"),
	    "bootstrap");
	CHECK(c->ttl == 40 && c->loop_wait == 5 && c->retry_timeout == 6 && c->max_lag == 0 &&
		  c->sync_mode == CHOICE_sync_mode_QUORUM && c->sync_strict && c->sync_count == 2 &&
		  !c->failsafe && str_is(c->dynamic_config, "{\"a\":[1],\"b\":null}"),
	    "patroni; a null inside of a raw value stays");
	CHECK(str_is(c->env, "[{\"name\":\"A\",\"value\":\"B\"}]") &&
		  str_is(c->node_selector, "{\"a\":\"2\",\"z\":\"1\"}") &&
		  str_is(c->tolerations, "[{\"key\":\"k\"}]") &&
		  str_is(c->affinity, "{\"x\":{}}") &&
		  str_is(c->topology_spread, "[{\"maxSkew\":1}]") &&
		  str_is(c->priority_class, "high"),
	    "env and scheduling");
	CHECK(c->rw_service_type == CHOICE_service_type_LOAD_BALANCER &&
		  c->ro_service_type == CHOICE_service_type_NODE_PORT &&
		  c->rw_service_annotations.n == 1 &&
		  str_is(c->ro_service_annotations.at[0].key, "m") && c->labels.n == 1 &&
		  str_is(c->annotations.at[0].value, "some text") &&
		  c->deletion_policy == CHOICE_deletion_policy_DELETE,
	    "services, inherited metadata, deletion policy");
	CHECK(c->conditions_n == 2 && str_is(c->conditions[0].type, "Ready") &&
		  str_is(c->conditions[0].status, "True") &&
		  str_is(c->conditions[0].reason, "AsWanted") &&
		  str_is(c->conditions[0].message, "m") &&
		  str_is(c->conditions[0].last_transition, "2026-11-23T09:51:00Z") &&
		  c->conditions[0].observed_generation == 4 &&
		  str_is(c->conditions[1].type, "Foreign") && c->conditions[1].status.len == 0,
	    "conditions; malformed ones skipped");
}

static void
test_defaults(void)
{
	const struct bgcluster *c = &cluster;

	CHECK(decode_cluster(STR(META "}")) == -1 &&
		  decode_cluster(STR(META ",\"spec\":null}")) == -1 &&
		  strcmp(err.text, "spec: is missing") == 0 && uid_eq(&c->meta.uid, &demo_uid) &&
		  c->hash[GROUP_POD] == 0 && decode_instance(STR(META "}")) == -1,
	    "without a spec there is no object, and not one of defaults");
	CHECK(decode_cluster(STR(META ",\"spec\":{}}")) == 0, "an empty one");
	CHECK(c->instances == 1 && c->grace_seconds == 300 && c->ttl == 30 && c->loop_wait == 10 &&
		  c->retry_timeout == 10 && c->max_lag == 1048576 && c->sync_count == 1 &&
		  c->failsafe && c->initdb_checksums && !c->sync_strict &&
		  c->run_as_user == INT_UNSET && c->pg_version == INT_UNSET && c->image.len == 0 &&
		  c->parameters.n == 0 && c->pg_hba.n == 0 &&
		  c->deletion_policy == CHOICE_deletion_policy_RETAIN && c->conditions_n == 0,
	    "the defaults of model/bgcluster.def");
	for (unsigned g = 0; g < GROUP_COUNT; g++)
		if (c->hash[g] == 0 || c->hash[g] == HASH_INIT)
			CHECK(false, "every group has a hash");
}

static void
test_invariance(void)
{
	uint64_t h[GROUP_COUNT];

	decode_cluster(STR(META ",\"spec\":{\"image\":\"abc\",\"env\":[{\"name\":\"A\",\"value\":"
				"\"1\"}],\"instances\":1,"
				"\"postgres\":{\"parameters\":{\"a\":\"1\",\"b\":\"2\"}}}}"));
	memcpy(h, cluster.hash, sizeof h);
	decode_cluster(STR(META
	    " , \"spec\" : { \"postgres\":{\"parameters\":{\"\\u0062\":\"2\",\"a\":\"\\u0031\"},"
	    "\"pgHBA\":null}, \"env\":[ {\"value\":\"1\" , \"n\\u0061me\":\"A\"} ],"
	    "\"image\":\"\\u0061bc\", \"deletionPolicy\":\"Retain\",\"patroni\":{\"ttl\":30},"
	    "\"unknown\":5}}"));
	CHECK(memcmp(h, cluster.hash, sizeof h) == 0,
	    "order of keys, escapes, white space, written "
	    "defaults and unknown fields change no hash");
	decode_cluster(STR(META ",\"spec\":{\"postgres\":{\"pgHBA\":[\"a\",\"b\"]}}}"));
	memcpy(h, cluster.hash, sizeof h);
	decode_cluster(STR(META ",\"spec\":{\"postgres\":{\"pgHBA\":[\"b\",\"a\"]}}}"));
	CHECK(h[GROUP_CONFIG] != cluster.hash[GROUP_CONFIG], "the order of a list does");
	decode_cluster(STR(META ",\"spec\":{\"postgres\":{\"pgHBA\":[\"ab\"]}}}"));
	memcpy(h, cluster.hash, sizeof h);
	decode_cluster(STR(META ",\"spec\":{\"postgres\":{\"pgHBA\":[\"a\",\"b\"]}}}"));
	CHECK(h[GROUP_CONFIG] != cluster.hash[GROUP_CONFIG], "and so does where its elements end");
	decode_cluster(STR(META ",\"spec\":{\"scheduling\":{\"tolerations\":[{\"key\":\"a\"}]}}}"));
	memcpy(h, cluster.hash, sizeof h);
	decode_cluster(STR(META ",\"spec\":{\"imagePullSecrets\":[{\"key\":\"a\"}]}}"));
	CHECK(h[GROUP_POD] != cluster.hash[GROUP_POD], "the same value in another row does");
	decode_cluster(STR(META ",\"status\":{\"readyInstances\":1}}"));
	memcpy(h, cluster.hash, sizeof h);
	decode_cluster(STR(META "}"));
	CHECK(memcmp(h, cluster.hash, sizeof h) == 0, "a BGCluster's status changes none");
}

/* What stands in one slot is in no other; how many there are counts of that pod alone. */
static void
test_tasks(void)
{
	static const char told[] =
	    META ",\"spec\":{\"task\":{\"id\":\"a\",\"kind\":\"Vacuum\",\"full\":true},"
		 "\"thirdTask\":{\"id\":\"c\",\"attempt\":7,\"tables\":[\"x\",\"y\"]}},"
		 "\"status\":{\"podUID\":\"p\",\"taskSlots\":3,\"taskSlotsPodUID\":\"p\","
		 "\"secondTask\":{\"id\":\"b\",\"phase\":\"Running\",\"percent\":40}}}";
	static const char older[] =
	    META ",\"spec\":{},\"status\":{\"podUID\":\"q\",\"taskSlots\":3,"
		 "\"taskSlotsPodUID\":\"p\"}}";
	const struct bginstance_task *t = instance.task;

	CHECK(decode_instance(STR(told)) == 0 && str_is(t[0].id, "a") && t[0].full &&
		  t[0].kind == CHOICE_task_kind_VACUUM && t[0].tables.n == 0 && t[1].id.len == 0 &&
		  !t[1].full && t[1].concurrently && str_is(t[2].id, "c") && t[2].attempt == 7 &&
		  t[2].tables.n == 2,
	    "what a pod is told, slot by slot");
	CHECK(t[0].done_id.len == 0 && str_is(t[1].done_id, "b") && t[1].percent == 40 &&
		  t[1].phase == CHOICE_task_phase_RUNNING && t[2].percent == 0,
	    "and what it says of each");
	CHECK(instance.task_slots == 3, "it knows of three");
	CHECK(decode_instance(STR(older)) == 0 && instance.task_slots == 0,
	    "another pod said so, and this one may be of an older version");
}

static void
test_errors(void)
{
	CHECK(decode_cluster(STR(META ",\"spec\":{\"instances\":0}}")) == -1 &&
		  err.code == ERR_INVALID &&
		  strcmp(err.text, "spec.instances: 0 is not in 1..32") == 0 &&
		  uid_eq(&cluster.meta.uid, &demo_uid),
	    "the text names path and rule");
	CHECK(
	    decode_cluster(STR(META ",\"spec\":{\"imagePullPolicy\":\"Sometimes\"}}")) == -1 &&
		strcmp(err.text,
		    "spec.imagePullPolicy: \"Sometimes\" is none of IfNotPresent, Always, Never") ==
		    0,
	    "the text names the choices");
	CHECK(decode_cluster(STR(META ",\"spec\":[]}")) == -1 &&
		  strcmp(err.text, "spec: is not an object") == 0,
	    "spec of a wrong type");
	CHECK(decode_cluster(STR(META ",\"spec\":{\"bootstrap\":{\"initdb\":\"x\"}}}")) == -1 &&
		  strcmp(err.text, "spec.bootstrap.initdb: is not an object") == 0,
	    "a step of a path of a wrong type");
	CHECK(decode_cluster(STR("[]")) == -1 && decode_cluster(STR("1")) == -1 &&
		  err.code == ERR_INVALID,
	    "no object at all");
	CHECK(decode_cluster(STR(META ",\"spec\":{},\"status\":5}")) == 0 &&
		  decode_cluster(STR(META ",\"spec\":{},\"status\":{\"conditions\":{}}}")) == 0,
	    "a malformed status does not make the spec invalid");
}

static void
test_many_conditions(void)
{
	buf_reset(&doc);
	buf_puts(&doc, META ",\"spec\":{},\"status\":{\"conditions\":[{\"type\":\"T\"}");
	for (int i = 0; i < 3 * CONDITIONS_MAX; i++)
		buf_puts(&doc, ",{\"type\":\"T\"}");
	buf_puts(&doc, "]}}");
	CHECK(decode_cluster(buf_view(&doc)) == 0 && cluster.conditions_n == CONDITIONS_MAX,
	    "surplus conditions are ignored");
}

static void
test_arena_cap(void)
{
	struct arena small;
	bool all = true;
	size_t cap;
	int r = -1;

	arena_reset(&arena);
	json_parse(&j, STR(full), &arena, NULL);
	for (cap = 0; cap < 65536 && r != 0; cap += 16) {
		arena_init(&small, cap);
		r = decode_bgcluster(&j, 0, &small, &cluster, &err);
		all = all && (r == 0 || err.code == ERR_LIMIT);
		arena_free(&small);
	}
	CHECK(all && r == 0 && cap > 1000, "a full arena is ERR_LIMIT wherever it happens");
}

int
main(void)
{
	arena_init(&arena, 16u << 20);
	buf_init(&doc, JSON_OBJECT_MAX);
	test_rows();
	test_full();
	test_defaults();
	test_invariance();
	test_tasks();
	test_errors();
	test_many_conditions();
	test_arena_cap();
	buf_free(&doc);
	arena_free(&arena);
	return tap_done();
}
