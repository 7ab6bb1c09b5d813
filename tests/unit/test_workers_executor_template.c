/*
 * TEMPLATE, TRY_TEMPLATE and RESTORE_TEMPLATE against a scripted API server: nothing but the
 * template is written, and what it replaces is kept with it if pods serve with that; what was kept
 * comes back to the letter, and only in the place of what the spec asks for.
 */
#include "tests/unit/executor_case.h"
#include "tests/unit/merge_patch.h"

#define PODS "GET " CORE "pods?labelSelector=bestgres.io%2Fcluster%3Ddemo&limit=200"
#define READY ",\"status\":{\"conditions\":[{\"type\":\"Ready\",\"status\":\"True\"}]}"
#define TEMPLATE_META GUARD_55 "},\"spec\":{\"template\":{\"metadata\":{\"labels\":{\"team\":null}"

static struct arena scratch;

/* The pod-inputs that a rendering says. */
static const char *
inputs_of(const char *body)
{
	const char *at = strstr(body, ANNOTATION_POD_INPUTS "\":\"");

	if (at == NULL)
		die("no pod-inputs");
	return arena_strndup(&kept_arena, at + strlen(ANNOTATION_POD_INPUTS "\":\""), 16);
}

static const char *
pod(const char *name, const char *inputs, const char *meta, const char *more)
{
	return keep(fmt("{\"metadata\":{\"name\":\"%s\",\"namespace\":\"prod\",\"uid\":\"" UID_C
			"\",\"resourceVersion\":\"5\",\"annotations\":{\"" ANNOTATION_POD_INPUTS
			"\":\"%s\"}%s}%s}",
	    name, inputs, meta, more));
}

/* A rendered StatefulSet as it is stored, with what is kept in it. */
static const char *
stored_with(const char *body, const char *kept, const char *inputs)
{
	const char *all = stored(body, UID_B, 55), *meta, *copy;
	struct buf out;
	struct jw w;

	if (kept == NULL)
		return keep(all);
	meta = strstr(all, "\"annotations\":{") + strlen("\"annotations\":{");
	buf_init(&out, HTTP_BODY_MAX);
	buf_put(&out, all, (size_t)(meta - all));
	jw_init(&w, &out);
	buf_puts(&out, "\"" ANNOTATION_LAST_GOOD "\":");
	jw_str(&w, str_of(kept));
	buf_puts(&out, ",\"" ANNOTATION_LAST_GOOD_INPUTS "\":\"");
	buf_puts(&out, inputs);
	buf_puts(&out, "\",");
	buf_puts(&out, meta);
	copy = arena_strndup(&kept_arena, out.p, out.len);
	buf_free(&out);
	return copy;
}

/* spec.template of a rendering. */
static const char *
template_of(const char *body)
{
	struct json j;
	struct str raw;

	if (json_parse(&j, str_of(body), &scratch, NULL) == -1)
		die("no JSON");
	raw = json_raw(&j, json_path(&j, json_root(&j), "spec.template"));
	return arena_strndup(&kept_arena, raw.p, raw.len);
}

/* What is asked and answered before anything is written. */
static void
begin(uint8_t verb, const char *pods, const char *set)
{
	take(verb, 0, 0, UID_B);
	answer_cluster();
	asks(PODS);
	answer(200, keep(fmt("{\"metadata\":{\"resourceVersion\":\"9\"},\"items\":[%s]}", pods)));
	asks("GET " SETS "/demo");
	answer(200, set);
}

static void
end_written(const char *name)
{
	answer(200, owned("demo", UID_B, UID_A, "", ""));
	ends(DONE, NONE, name);
}

static void
test_template(void)
{
	const char *body = rendered(CHILD_STATEFULSET, "POST " SETS WRITE, OTHER_PODS);

	begin(CHOICE_verb_TEMPLATE, "", stored(body, UID_B, 55));
	body = asks("PATCH " SETS "/demo" WRITE);
	CHECK(has(body, "\"nodeSelector\":null") && has(body, "\"containers\":["),
	    "what the spec no longer says is taken out");
	CHECK(strncmp(body, TEMPLATE_META, strlen(TEMPLATE_META)) == 0,
	    "and nothing but the template is written");
	end_written("as pods are to be from now on");
	body = rendered(CHILD_STATEFULSET, "POST " SETS WRITE, "");
	begin(CHOICE_verb_TEMPLATE, pod("demo-0", inputs_of(body), "", READY),
	    stored(body, UID_B, 55));
	ends(DONE, NONE, "it is so already: no write, whoever serves with it");
	take(CHOICE_verb_TEMPLATE, 0, 0, UID_C);
	answer_cluster();
	asks(PODS);
	answer(200, "{\"metadata\":{\"resourceVersion\":\"9\"},\"items\":[]}");
	asks("GET " SETS "/demo");
	answer(200, stored(body, UID_B, 55));
	ends(CONFLICT, NONE, "another StatefulSet than that it was planned for");
	take(CHOICE_verb_TEMPLATE, 0, 0, UID_B);
	answer_cluster();
	asks(PODS);
	answer(200, "{\"metadata\":{\"resourceVersion\":\"9\"},\"items\":[]}");
	asks("GET " SETS "/demo");
	answer(404, status(404, "not found"));
	ends(GONE, NONE, "it is not made here");
}

static void
test_try(void)
{
	const char *body = rendered(CHILD_STATEFULSET, "POST " SETS WRITE, OTHER_PODS), *patch;

	take(CHOICE_verb_TRY_TEMPLATE, 0, 0, UID_B);
	answer_cluster();
	asks("GET " SETS "/demo");
	answer(200, stored(body, UID_B, 55));
	patch = asks("PATCH " SETS "/demo" WRITE "&dryRun=All");
	CHECK(has(patch, "\"containers\":[") && !has(patch, ANNOTATION_LAST_GOOD),
	    "it can be tried, and nothing is written");
	answer(200, stored(body, UID_B, 56));
	CHECK(fake.done.version == 55, "what is stored is as it was");
	ends(DONE, NONE, "the API server would take it");
}

/* Is the template that is there kept, by what these pods serve with? */
static bool
keeps(const char *pods, const char *set)
{
	const char *body;
	bool kept;

	begin(CHOICE_verb_TEMPLATE, pods, set);
	body = asks("PATCH " SETS "/demo" WRITE);
	kept = has(body, ANNOTATION_LAST_GOOD);
	CHECK(kept == has(body, ANNOTATION_LAST_GOOD_INPUTS), "template and inputs go together");
	end_written("it is written in any case");
	return kept;
}

static void
test_keep(void)
{
	const char *old = keep(rendered(CHILD_STATEFULSET, "POST " SETS WRITE, OTHER_PODS));
	const char *fresh = keep(rendered(CHILD_STATEFULSET, "POST " SETS WRITE, ""));
	const char *set = stored_with(old, NULL, NULL), *now = inputs_of(old), *body;
	const char *two =
	    keep(fmt("%s,%s", pod("demo-0", now, "", READY), pod("demo-1", now, "", READY)));
	const char *other = "00000000000000aa";
	struct json j;
	struct str text;

	begin(CHOICE_verb_TEMPLATE, two, set);
	body = asks("PATCH " SETS "/demo" WRITE);
	CHECK(json_parse(&j, str_of(body), &scratch, NULL) == 0 &&
		  json_string(&j,
		      json_get(&j, json_path(&j, json_root(&j), "metadata.annotations"),
			  STR(ANNOTATION_LAST_GOOD)),
		      LAST_GOOD_MAX, &scratch, &text, NULL) == 0 &&
		  str_is(text, template_of(old)),
	    "what pods serve with is kept as it stands, in the same write");
	CHECK(has(body, keep(fmt("\"" ANNOTATION_LAST_GOOD_INPUTS "\":\"%s\"", now))),
	    "and from which fields it was made");
	end_written("in one write");
	CHECK(!keeps(pod("demo-0", now, "", ""), set), "not what no pod is ready with");
	CHECK(!keeps(pod("demo-0", now, DELETING, READY), set), "or only one that goes");
	CHECK(!keeps(pod("demo-0", other, "", READY), set), "nor what none was made from");
	CHECK(!keeps(pod("demo-0", now, "", READY), stored_with(old, "{}", inputs_of(fresh))),
	    "where a change is taken back, what it goes back to stays");
	CHECK(!keeps(keep(fmt(
			 "%s,%s", pod("demo-0", now, "", READY), pod("demo-1", other, "", READY))),
		  stored_with(old, "{}", other)),
	    "what as many serve with stays as well");
	CHECK(keeps(two, stored_with(old, "{}", other)), "what nobody serves with does not");
	CHECK(keeps(two, stored_with(old, "{}", now)), "the same again is what ran last");
}

/* A StatefulSet whose template is what the spec asks for, with another one kept. */
static const char *
halted(const char *kept, const char *inputs)
{
	return stored_with(keep(rendered(CHILD_STATEFULSET, "POST " SETS WRITE, "")), kept, inputs);
}

static void
check_restored(const char *set, const char *patch, const char *old)
{
	struct merge m = {.a = &scratch};
	struct buf out, diff;
	struct str now;
	struct json j;

	buf_init(&out, HTTP_BODY_MAX);
	if (json_parse(&m.target, str_of(set), &scratch, NULL) == -1 ||
	    json_parse(&m.patch, str_of(patch), &scratch, NULL) == -1)
		die("no JSON");
	jw_init(&m.w, &out);
	merge_node(&m, 0, 0);
	if (json_parse(&j, buf_view(&out), &scratch, NULL) == -1)
		die("no JSON");
	now = json_raw(&j, json_path(&j, json_root(&j), "spec.template"));
	buf_init(&diff, HTTP_BODY_MAX);
	CHECK(json_diff(now, str_of(template_of(old)), &scratch, &diff, NULL) == 0 &&
		  json_diff(str_of(template_of(old)), now, &scratch, &diff, NULL) == 0,
	    "what was kept comes back, and nothing beside it");
	buf_free(&diff);
	CHECK(json_count(&j, json_path(&j, json_root(&j), "metadata.annotations")) ==
		  json_count(&m.target, json_path(&m.target, 0, "metadata.annotations")),
	    "and stays kept");
	buf_free(&out);
}

static void
test_restore(void)
{
	const char *old = keep(rendered(CHILD_STATEFULSET, "POST " SETS WRITE, OTHER_PODS));
	const char *good = inputs_of(old), *kept = template_of(old), *body;
	const char *ready = pod("demo-0", good, "", READY), *set = halted(kept, good);

	begin(CHOICE_verb_RESTORE_TEMPLATE, ready, set);
	body = keep(asks("PATCH " SETS "/demo" WRITE));
	CHECK(strncmp(body, GUARD_55 "},\"spec\":{\"template\":{",
		  strlen(GUARD_55 "},\"spec\":{\"template\":{")) == 0,
	    "guarded by uid and version, and nothing else is written");
	check_restored(set, body, old);
	end_written("who is lost comes back as it was");
	begin(CHOICE_verb_RESTORE_TEMPLATE, ready, stored_with(old, kept, good));
	ends(DONE, NONE, "it was written back already: no write");
	begin(CHOICE_verb_RESTORE_TEMPLATE, pod("demo-0", good, "", ""), set);
	ends(CONFLICT, NONE, "not what nobody serves with any more");
	begin(CHOICE_verb_RESTORE_TEMPLATE, ready, halted(NULL, NULL));
	ends(CONFLICT, NONE, "nothing is kept");
	begin(CHOICE_verb_RESTORE_TEMPLATE,
	    keep(fmt("%s,%s", ready, pod("demo-1", "00000000000000aa", "", READY))),
	    stored_with(old, "{}", "00000000000000aa"));
	ends(CONFLICT, NONE, "the template is another one than what the spec asks for");
}

/* What is kept and can not be written back is kept no longer. */
static void
test_forget(void)
{
	static const struct {
		int status;
		const char *kept, *message;
	} rows[] = {
	    {0, "{\"metadata\":", "no JSON"},
	    {0, "[]", "no template"},
	    {0, "{\"metadata\":{\"annotations\":{}},\"spec\":{}}", "of other fields"},
	    {422, NULL, "spec.template: Invalid value"},
	    {403, NULL, "admission webhook denied the request"},
	};
	const char *old = keep(rendered(CHILD_STATEFULSET, "POST " SETS WRITE, OTHER_PODS));
	const char *good = inputs_of(old);

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		begin(CHOICE_verb_RESTORE_TEMPLATE, pod("demo-0", good, "", READY),
		    halted(rows[i].kept != NULL ? rows[i].kept : template_of(old), good));
		if (rows[i].status != 0) {
			asks("PATCH " SETS "/demo" WRITE);
			answer(rows[i].status, status(rows[i].status, rows[i].message));
		}
		CHECK(strcmp(asks("PATCH " SETS "/demo" WRITE),
			  GUARD_55 ",\"annotations\":{\"" ANNOTATION_LAST_GOOD
				   "\":null,\"" ANNOTATION_LAST_GOOD_INPUTS "\":null}}}") == 0,
		    rows[i].message);
		answer(200, owned("demo", UID_B, UID_A, "", ""));
		ends(CONFLICT, NONE, "it is kept no longer, and nobody is told");
	}
	begin(CHOICE_verb_RESTORE_TEMPLATE, pod("demo-0", good, "", READY),
	    halted(template_of(old), good));
	asks("PATCH " SETS "/demo" WRITE);
	answer(409, status(409, "the object has been modified"));
	ends(CONFLICT, NONE, "somebody was faster: that is looked at anew");
	begin(CHOICE_verb_RESTORE_TEMPLATE, pod("demo-0", good, "", READY),
	    halted(template_of(old), good));
	asks("PATCH " SETS "/demo" WRITE);
	answer_lost();
	ends(RETRY, NONE, "a lost answer is asked for again");
}

int
main(void)
{
	case_init();
	arena_init(&scratch, 64u << 20);
	test_template();
	test_try();
	test_keep();
	test_restore();
	test_forget();
	arena_free(&scratch);
	case_done();
}
