/*
 * Golden tests: tests/golden/objects/<case>.json is a BGCluster as the API server stores it,
 * <case>.<child>.ok what it is rendered into, indented for the reader. GOLDEN_UPDATE=1 writes the
 * latter anew. Then what must hold for every rendering, whatever the case.
 */

#include "tests/unit/tap.h"
#include "tests/unit/freed.h"
#include "tests/unit/golden.h"
#include "tests/unit/objects_case.h"

#define DIR_GOLDEN "tests/golden/objects/"

static const char *const cases[] = {"minimal", "demo", "full", "openshift", "wal"};
static const char *const child_names[CHILD_COUNT] = {
#define CHILD(id, ...) [CHILD_##id] = #id,
#include "model/children.def"
#undef CHILD
};

static void
check_golden(const char *name, enum child child, struct str rendered)
{
	char path[128];

	snprintf(path, sizeof(path), DIR_GOLDEN "%s.%s.ok", name, child_names[child]);
	for (char *p = path + sizeof(DIR_GOLDEN) - 1; *p != '\0'; p++)
		if (*p >= 'A' && *p <= 'Z')
			*p = (char)(*p - 'A' + 'a');
	golden_check(path, rendered);
}

/* --- What holds for all */
struct view {
	struct json j;
	int root;
};

static bool
is_text(const struct view *v, int node, const char *text)
{
	return json_type(&v->j, node) == JSON_T_STRING && json_string_is(&v->j, node, text);
}

static bool
is_true(const struct view *v, int object, const char *key, bool wanted)
{
	bool b;

	return json_bool(&v->j, json_get(&v->j, object, str_of(key)), &b) == 0 && b == wanted;
}

static bool
owners_fit(const struct view *v, enum child child)
{
	int refs = json_path(&v->j, v->root, "metadata.ownerReferences"),
	    ref = json_first(&v->j, refs);
	bool secret = child == CHILD_CREDENTIALS || child == CHILD_APP;
	bool wanted = secret || child == CHILD_SERVICE_RW || child == CHILD_SERVICE_RO ||
	              child == CHILD_SERVICE_PODS || child == CHILD_PDB;

	if (!wanted)
		return refs == JSON_NONE;
	return json_count(&v->j, refs) == 1 && is_true(v, ref, "blockOwnerDeletion", false) &&
	       is_text(v, json_get(&v->j, ref, STR("kind")), secret ? "ConfigMap" : "BGCluster") &&
	       (secret || is_true(v, ref, "controller", true));
}

static bool
marked(const struct view *v, const struct bgcluster *c, enum child child)
{
	int labels = json_path(&v->j, v->root, "metadata.labels"),
	    marks = json_path(&v->j, v->root, "metadata.annotations");
	char uid[UID_TEXT_SIZE], inputs[40], name[NAME_MAX_CLUSTER + 1];

	uid_format(uid, &c->meta.uid);
	snprintf(inputs, sizeof(inputs), "%u:%016llx", child_info[child].revision,
	    (unsigned long long)model_child_inputs(child, c->hash));
	return str_copy(name, sizeof(name), c->meta.name) == 0 &&
	       is_text(v, json_get(&v->j, labels, STR(LABEL_CLUSTER)), name) &&
	       json_get(&v->j, labels, STR(LABEL_SCOPE)) == JSON_NONE &&
	       json_get(&v->j, labels, STR(LABEL_APPLICATION)) == JSON_NONE &&
	       is_text(v, json_get(&v->j, marks, STR(ANNOTATION_OWNER)), uid) &&
	       is_text(v, json_get(&v->j, marks, STR(ANNOTATION_INPUTS)), inputs);
}

/* Pod Security's `restricted`, container by container, and a read-only root. */
static bool
container_restricted(const struct view *v, int container)
{
	int security = json_get(&v->j, container, STR("securityContext"));
	int drop = json_path(&v->j, security, "capabilities.drop");

	return is_true(v, security, "allowPrivilegeEscalation", false) &&
	       is_true(v, security, "runAsNonRoot", true) &&
	       is_true(v, security, "readOnlyRootFilesystem", true) &&
	       json_count(&v->j, drop) == 1 && is_text(v, json_first(&v->j, drop), "ALL") &&
	       json_get(&v->j, json_get(&v->j, security, STR("capabilities")), STR("add")) ==
	           JSON_NONE &&
	       is_text(v, json_path(&v->j, security, "seccompProfile.type"), "RuntimeDefault") &&
	       json_get(&v->j, container, STR("livenessProbe")) == JSON_NONE &&
	       json_get(&v->j, container, STR("resources")) != JSON_NONE;
}

static void
check_pod(const char *name, const struct view *v)
{
	static const char *const lists[] = {
	    "spec.template.spec.initContainers", "spec.template.spec.containers"};
	char what[128];
	int pod = json_path(&v->j, v->root, "spec.template.spec");

	for (size_t i = 0; i < 2; i++) {
		int list = json_path(&v->j, v->root, lists[i]);
		bool good = json_count(&v->j, list) == 1;

		for (int k = json_first(&v->j, list); k != JSON_NONE; k = json_next(&v->j, k))
			good = good && container_restricted(v, k);
		snprintf(what, sizeof(what), "%s: %s are restricted", name, lists[i]);
		CHECK(good, what);
	}
	snprintf(what, sizeof(what), "%s: the pod is restricted", name);
	CHECK(is_true(v, json_get(&v->j, pod, STR("securityContext")), "runAsNonRoot", true) &&
		  is_text(v, json_path(&v->j, pod, "securityContext.seccompProfile.type"),
		      "RuntimeDefault") &&
		  is_text(v, json_path(&v->j, v->root, "spec.updateStrategy.type"), "OnDelete") &&
		  is_true(v, pod, "enableServiceLinks", false),
	    what);
}

static void
check_properties(const char *name, struct objects_case *c, enum child child, struct str rendered)
{
	struct arena a;
	struct view v;
	char what[128];

	arena_init(&a, GOLDEN_MAX);
	snprintf(what, sizeof(what),
	    "%s: %s parses, is marked as ours and has the owner it may have", name,
	    child_names[child]);
	if (CHECK(json_parse(&v.j, rendered, &a, &c->err) == 0 &&
		      (v.root = json_root(&v.j)) != JSON_NONE && marked(&v, &c->cluster, child) &&
		      owners_fit(&v, child),
		what) &&
	    child == CHILD_STATEFULSET)
		check_pod(name, &v);
	arena_free(&a);
}

/*
 * The same again gives the same bytes; compared with itself as stored, there is nothing to write.
 */
static void
check_stable(const char *name, struct objects_case *c, enum child child, unsigned ordinal,
    struct str rendered)
{
	struct arena a;
	struct buf again, patch;
	char what[128];

	arena_init(&a, GOLDEN_MAX);
	buf_init(&again, GOLDEN_MAX);
	buf_init(&patch, GOLDEN_MAX);
	snprintf(
	    what, sizeof(what), "%s: %s is the same bytes each time", name, child_names[child]);
	CHECK(case_render(c, child, ordinal, STR(""), &again) == 0 &&
		  str_eq(buf_view(&again), rendered),
	    what);
	snprintf(
	    what, sizeof(what), "%s: %s differs in nothing from itself", name, child_names[child]);
	CHECK(case_render(c, child, ordinal, rendered, &again) == 0 &&
		  json_diff(buf_view(&again), rendered, &a, &patch, &c->err) == 0,
	    what);
	buf_free(&again);
	buf_free(&patch);
	arena_free(&a);
}

static void
run_case(const char *name)
{
	struct objects_case c;
	struct buf input, out;
	char path[128];

	buf_init(&input, GOLDEN_MAX);
	buf_init(&out, HTTP_BODY_MAX);
	snprintf(path, sizeof(path), DIR_GOLDEN "%s.json", name);
	if (!CHECK(
		golden_read(path, &input) == 0 && case_decode(&c, buf_view(&input)) == 0, path)) {
		printf("# %s\n", c.err.text);
		return;
	}
	for (enum child child = 0; child < CHILD_COUNT; child++) {
		unsigned ordinal = child == CHILD_INSTANCE ? (unsigned)c.cluster.instances - 1 : 0;

		if (!CHECK(case_render(&c, child, ordinal, STR(""), &out) == 0, child_names[child]))
			printf("# %s\n", c.err.text);
		check_golden(name, child, buf_view(&out));
		check_properties(name, &c, child, buf_view(&out));
		check_stable(name, &c, child, ordinal, buf_view(&out));
	}
	arena_free(&c.arena);
	buf_free(&input);
	buf_free(&out);
}

/* With an owner so long in a URI that the buffers for both URIs have to grow. */
static void
test_no_password_is_left(void)
{
	struct objects_case c;
	struct buf input, out;

	buf_init(&input, GOLDEN_MAX);
	buf_init(&out, HTTP_BODY_MAX);
	out.wipe = true;
	CHECK(golden_read(DIR_GOLDEN "minimal.json", &input) == 0 &&
		  case_decode(&c, buf_view(&input)) == 0,
	    "a cluster");
	c.cluster.owner = STR("///////////////////////////////////////////////////////////////");
	CHECK(freed_watch("Superuser0000000000000000000000A"), "a hook on free");
	CHECK(case_render(&c, CHILD_APP, 0, STR(""), &out) == 0 && out.len > 1024, "its Secret");
	arena_free(&c.arena);
	buf_free(&input);
	buf_free(&out);
	CHECK(freed_found == 0, "no memory that was given back has the password");
}

int
main(void)
{
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		run_case(cases[i]);
	test_no_password_is_left();
	return tap_done();
}
