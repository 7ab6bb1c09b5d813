/*
 * What a user may write into a BGCluster and what becomes of it: refusals that name the field,
 * values that the API server would not keep, and that whatever is taken back, or was put there by
 * an edit, goes from the stored object.
 */
#include "tests/unit/tap.h"
#include "tests/unit/objects_case.h"

/* A BGCluster `x` with these members of spec, besides the least there must be. */
static struct str
with_spec(struct buf *b, const char *members)
{
	buf_reset(b);
	buf_printf(b,
	    "{\"apiVersion\":\"bestgres.io/"
	    "v1\",\"kind\":\"BGCluster\",\"metadata\":{\"name\":\"x\",\"namespace\":\"n\","
	    "\"uid\":\"0b5f3bd2-8c4e-4f0e-9d43-6b7d0a3c51e7\",\"generation\":1,\"resourceVersion\":"
	    "\"1\"},"
	    "\"spec\":{\"image\":\"i\",\"storage\":{\"size\":\"1Gi\"}%s%s}}",
	    members[0] != '\0' ? "," : "", members);
	return buf_view(b);
}

static struct buf text, out;

/*
 * Renders child of a BGCluster with these members; 0 or -1 with c->err set. The arena of c is the
 * caller's to free.
 */
static int
render(struct objects_case *c, const char *members, enum child child, struct str seen)
{
	if (case_decode(c, with_spec(&text, members)) == -1)
		return -1;
	return case_render(c, child, 0, seen, &out);
}

static bool
says(const char *fragment)
{
	return memmem(out.p, out.len, fragment, strlen(fragment)) != NULL;
}

static void
check_says(const char *name, const char *members, const char *fragment)
{
	struct objects_case c;
	int rc = render(&c, members, CHILD_STATEFULSET, STR(""));

	if (!CHECK(rc == 0 && says(fragment), name))
		printf("# %s\n# %.*s\n", c.err.text, (int)out.len, out.p);
	arena_free(&c.arena);
}

static void
check_refused(const char *name, const char *members, enum err_code code, const char *fragment)
{
	struct objects_case c;
	int rc = render(&c, members, CHILD_STATEFULSET, STR(""));

	if (!CHECK(rc == -1 && c.err.code == code && strstr(c.err.text, fragment) != NULL &&
		       out.len == 0,
		name))
		printf("# %d %s\n", rc, c.err.text);
	arena_free(&c.arena);
}

static void
test_values(void)
{
	check_says("an empty value is left out, as the API server does",
	    "\"env\":[{\"name\":\"A\",\"value\":\"\"}]", "{\"name\":\"A\"}]");
	check_says("null and [] are left out, {} is not",
	    "\"scheduling\":{\"affinity\":{\"nodeAffinity\":null,\"podAffinity\":{\"a\":[],\"b\":{}"
	    "}}}",
	    "\"affinity\":{\"podAffinity\":{\"b\":{}}}");
	check_says("a number is a quantity like any other",
	    "\"resources\":{\"limits\":{\"cpu\":1,\"memory\":\"1Gi\"}}",
	    "\"resources\":{\"limits\":{\"cpu\":\"1\",\"memory\":\"1Gi\"},\"requests\":null}");
	check_says("the user's variables come after ours",
	    "\"env\":[{\"name\":\"A\",\"value\":\"b\"}]",
	    "{\"name\":\"BESTGRES_GRACE_SECONDS\",\"value\":\"300\"},{\"name\":\"A\",\"value\":"
	    "\"b\"}]");
	check_says("fsGroup is runAsGroup where not given", "\"runAsGroup\":7,\"runAsUser\":6",
	    "\"runAsUser\":6,\"runAsGroup\":7,\"fsGroup\":7");
	check_says("ids are left to the platform", "\"runAsUser\":null,\"runAsGroup\":null",
	    "\"runAsUser\":null,\"runAsGroup\":null,\"fsGroup\":null");
	check_says("Patroni's labels can not be inherited",
	    "\"inheritedMetadata\":{\"labels\":{\"role\":\"primary\",\"t\":\"u\"}}",
	    "\"labels\":{\"bestgres.io/"
	    "cluster\":\"x\",\"application\":\"bestgres\",\"cluster-name\":\"x\",\"bestgres.io/"
	    "ro\":"
	    "\"ok\",\"t\":\"u\"}");
	check_says("our annotations can not be inherited",
	    "\"inheritedMetadata\":{\"annotations\":{\"bestgres.io/"
	    "owner-uid\":\"y\",\"status\":\"z\",\"t\":\"u\"}}",
	    "\"bestgres.io/inherited\":\"annotation:t\",\"t\":\"u\"");
}

static void
test_refusals(void)
{
	char deep[400] = "\"scheduling\":{\"affinity\":", *p = deep + strlen(deep);

	check_refused("a variable of ours",
	    "\"env\":[{\"name\":\"A\"},{\"name\":\"POD_UID\",\"value\":\"x\"}]", ERR_INVALID,
	    "spec.env: POD_UID");
	check_refused("a variable of ours, by prefix", "\"env\":[{\"name\":\"BESTGRES_X\"}]",
	    ERR_INVALID, "BESTGRES_X");
	check_refused("a variable that Bestgres must win", "\"env\":[{\"name\":\"PATRONI_NAME\"}]",
	    ERR_INVALID, "PATRONI_NAME");
	check_refused("an escaped name is the same name", "\"env\":[{\"name\":\"PGD\\u0041TA\"}]",
	    ERR_INVALID, "PGDATA");
	check_refused(
	    "a variable without a name", "\"env\":[{\"value\":\"x\"}]", ERR_INVALID, "spec.env");
	check_refused("a list where an object belongs", "\"scheduling\":{\"affinity\":[1]}",
	    ERR_INVALID, "spec.scheduling.affinity: must be an object");
	check_refused("an object where a list belongs",
	    "\"scheduling\":{\"tolerations\":{\"a\":1}}", ERR_INVALID,
	    "spec.scheduling.tolerations: must be a list");
	check_refused("a quantity that is none", "\"resources\":{\"requests\":{\"cpu\":[]}}",
	    ERR_INVALID, "spec.resources.requests");
	for (int i = 0; i < 60; i++)
		p = stpcpy(p, "{\"a\":");
	p = stpcpy(p, "1");
	for (int i = 0; i < 60; i++)
		*p++ = '}';
	memcpy(p, "}", 2);
	check_refused("nesting that our writer could not hold", deep, ERR_LIMIT,
	    "spec.scheduling.affinity: nested too deeply");
}

/*
 * What stands in the API server after `before` (as rendered) is compared with what `after` renders:
 * the patch that results.
 */
static void
check_patch(
    const char *name, enum child child, const char *before, const char *after, const char *fragment)
{
	struct objects_case old, new;
	struct buf seen, patch;
	int rc = render(&old, before, child, STR(""));

	buf_init(&seen, HTTP_BODY_MAX);
	buf_init(&patch, HTTP_BODY_MAX);
	buf_str(&seen, buf_view(&out));
	rc = rc == -1 ? -1 : render(&new, after, child, buf_view(&seen));
	if (rc == 0)
		rc = json_diff(buf_view(&out), buf_view(&seen), &new.arena, &patch, &new.err);
	if (!CHECK(rc == 1 && memmem(patch.p, patch.len, fragment, strlen(fragment)) != NULL, name))
		printf("# %d %s\n# %.*s\n", rc, new.err.text, (int)patch.len, patch.p);
	arena_free(&old.arena);
	arena_free(&new.arena);
	buf_free(&seen);
	buf_free(&patch);
}

static void
test_taken_back(void)
{
	check_patch("a label that is no longer inherited goes", CHILD_PDB,
	    "\"inheritedMetadata\":{\"labels\":{\"a\":\"1\",\"b\":\"2\"}}",
	    "\"inheritedMetadata\":{\"labels\":{\"b\":\"2\"}}", "\"labels\":{\"a\":null}");
	check_patch("... and from the pod template", CHILD_STATEFULSET,
	    "\"inheritedMetadata\":{\"annotations\":{\"a\":\"1\"}}", "", ",\"a\":null}}");
	check_patch("a service's annotation goes", CHILD_SERVICE_RW,
	    "\"services\":{\"readWrite\":{\"annotations\":{\"lb\":\"x\"}}}", "", "\"lb\":null");
	check_patch("a key of nodeSelector goes", CHILD_STATEFULSET,
	    "\"scheduling\":{\"nodeSelector\":{\"a\":\"1\",\"b\":\"2\"}}",
	    "\"scheduling\":{\"nodeSelector\":{\"b\":\"2\"}}", "\"nodeSelector\":{\"a\":null}");
	check_patch("a part of affinity goes", CHILD_STATEFULSET,
	    "\"scheduling\":{\"affinity\":{\"podAffinity\":{\"x\":1},\"nodeAffinity\":{\"y\":{"
	    "\"z\":1,\"w\":2}}}}",
	    "\"scheduling\":{\"affinity\":{\"nodeAffinity\":{\"y\":{\"z\":1}}}}",
	    "\"affinity\":{\"nodeAffinity\":{\"y\":{\"w\":null}},\"podAffinity\":null}");
	check_patch("all of it goes", CHILD_STATEFULSET,
	    "\"scheduling\":{\"priorityClassName\":\"p\",\"tolerations\":[{\"key\":\"k\"}]},"
	    "\"imagePullSecrets\":[{\"name\":\"s\"}]",
	    "", "\"tolerations\":null,\"imagePullSecrets\":null,\"priorityClassName\":null");
	check_patch("a limit goes", CHILD_STATEFULSET,
	    "\"resources\":{\"limits\":{\"cpu\":1,\"memory\":\"1Gi\"}}",
	    "\"resources\":{\"limits\":{\"memory\":\"1Gi\"}}", "\"containers\":[");
}

/* What an edit put into the stored object; seen is the rendering with one thing replaced. */
static void
check_healed(
    const char *name, enum child child, const char *find, const char *edit, const char *fragment)
{
	struct objects_case c;
	struct buf seen, patch;
	int rc = render(&c, "", child, STR(""));
	const char *at = rc == 0 ? memmem(out.p, out.len, find, strlen(find)) : NULL;

	buf_init(&seen, HTTP_BODY_MAX);
	buf_init(&patch, HTTP_BODY_MAX);
	if (at != NULL) {
		buf_put(&seen, out.p, (size_t)(at - out.p));
		buf_puts(&seen, edit);
		buf_put(&seen, at + strlen(find), out.len - (size_t)(at - out.p) - strlen(find));
		rc = case_render(&c, child, 0, buf_view(&seen), &out);
	}
	if (rc == 0)
		rc = json_diff(buf_view(&out), buf_view(&seen), &c.arena, &patch, &c.err);
	if (!CHECK(at != NULL && rc == (fragment != NULL) &&
		       (fragment == NULL ||
			   memmem(patch.p, patch.len, fragment, strlen(fragment)) != NULL),
		name))
		printf("# %d %s\n# %.*s\n", rc, c.err.text, (int)patch.len, patch.p);
	arena_free(&c.arena);
	buf_free(&seen);
	buf_free(&patch);
}

static void
test_healed(void)
{
	check_healed("a foreign key in a Service's selector goes", CHILD_SERVICE_RW,
	    "\"role\":\"primary\"", "\"role\":\"primary\",\"a\":\"b\"",
	    "{\"spec\":{\"selector\":{\"a\":null}}}");
	check_healed("another PDB rule goes", CHILD_PDB,
	    "\"maxUnavailable\":1,\"minAvailable\":null", "\"minAvailable\":3",
	    "\"maxUnavailable\":1,\"minAvailable\":null");
	check_healed("the claims' retention is healed", CHILD_STATEFULSET,
	    "\"whenDeleted\":\"Retain\"", "\"whenDeleted\":\"Delete\"",
	    "{\"spec\":{\"persistentVolumeClaimRetentionPolicy\":{\"whenDeleted\":\"Retain\"}}}");
	check_healed("others' labels stay", CHILD_SERVICE_RW, "\"labels\":{",
	    "\"labels\":{\"other\":\"x\",", NULL);
	check_healed("a list of inherited keys can not take out ours", CHILD_SERVICEACCOUNT,
	    "\"annotations\":{",
	    "\"annotations\":{\"bestgres.io/inherited\":\"label:bestgres.io/cluster label:x "
	    "label:x\",",
	    "{\"metadata\":{\"annotations\":{\"bestgres.io/inherited\":null}}}");
	check_healed("hold is the operator's word, not the renderer's", CHILD_INSTANCE,
	    "\"hold\":false", "\"hold\":true", NULL);
}

static void
test_bounds(void)
{
	struct object_ctx ctx = case_context();
	struct objects_case c;
	struct buf small;

	buf_init(&small, 200);
	CHECK(case_decode(&c, with_spec(&text, "")) == 0, "the least BGCluster is read");
	CHECK(objects_render(CHILD_STATEFULSET, 0, &c.cluster, &ctx, &small, &c.err) == -1 &&
		  c.err.code == ERR_LIMIT && small.len == 0,
	    "what does not fit is ERR_LIMIT");
	ctx.seen = STR("{\"metadata\":");
	CHECK(objects_render(CHILD_PDB, 0, &c.cluster, &ctx, &out, &c.err) == -1 &&
		  c.err.code == ERR_INVALID,
	    "a stored object that is no JSON is ERR_INVALID");
	ctx.seen = STR("[1]");
	CHECK(case_render(&c, CHILD_STATEFULSET, 0, ctx.seen, &out) == 0,
	    "a stored object of another shape says nothing");
	c.cluster.meta.name = STR("a23456789012345678901234567890123456789012345x");
	ctx.seen = STR("");
	CHECK(objects_render(CHILD_PDB, 0, &c.cluster, &ctx, &out, &c.err) == -1 &&
		  c.err.code == ERR_INVALID,
	    "a name that is too long is ERR_INVALID");
	arena_free(&c.arena);
	buf_free(&small);
}

int
main(void)
{
	buf_init(&text, HTTP_BODY_MAX);
	buf_init(&out, HTTP_BODY_MAX);
	test_values();
	test_refusals();
	test_taken_back();
	test_healed();
	test_bounds();
	buf_free(&text);
	buf_free(&out);
	return tap_done();
}
