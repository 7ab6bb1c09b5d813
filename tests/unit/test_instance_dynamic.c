/*
 * Patroni's dynamic configuration: what is ours wins, what is the user's stays, what was dropped is
 * nulled.
 */
#include "instance/dynamic.h"
#include "tests/unit/tap.h"

static struct arena a;
static struct buf out;
static struct err e;

static struct dynamic_wanted
wanted(const char *user)
{
	return (struct dynamic_wanted){.ttl = 30,
	    .loop_wait = 10,
	    .retry_timeout = 10,
	    .max_lag = 1048576,
	    .sync_count = 1,
	    .failsafe = true,
	    .user = str_of(user)};
}

#define TYPED                                                                                      \
	"\"ttl\":30,\"loop_wait\":10,\"retry_timeout\":10,\"maximum_lag_on_failover\":1048576,"    \
	"\"synchronous_mode\":false,"                                                              \
	"\"synchronous_mode_strict\":false,\"synchronous_node_count\":1,\"failsafe_mode\":true"

static bool
renders(const struct dynamic_wanted *d, const char *text)
{
	arena_reset(&a);
	buf_reset(&out);
	return dynamic_render(d, &a, &out, &e) == 0 && str_is(buf_view(&out), text);
}

static void
test_render(void)
{
	struct str_pair pairs[] = {
	    {STR("max_connections"), STR("50")}, {STR("work_mem"), STR("it's")}};
	struct dynamic_wanted d = wanted("");

	CHECK(renders(&d,
		  "{" TYPED
		  ",\"postgresql\":{\"use_pg_rewind\":true,\"use_slots\":true,\"parameters\":{}}}"),
	    "the least");
	d.parameters = (struct str_map){pairs, 2};
	d.sync_mode = CHOICE_sync_mode_QUORUM;
	arena_reset(&a);
	buf_reset(&out);
	CHECK(dynamic_render(&d, &a, &out, &e) == 0 &&
		  strstr(out.p, "\"synchronous_mode\":\"quorum\"") != NULL &&
		  strstr(out.p, "{\"max_connections\":\"50\",\"work_mem\":\"it's\"}") != NULL,
	    "quorum and parameters");
	d = wanted("{\"ttl\":5,\"slots\":{\"x\":{\"type\":\"physical\"}},\"pause\":true,"
		   "\"postgresql\":{\"use_slots\":false,\"pg_ident\":[\"a\"],\"parameters\":{"
		   "\"work_mem\":1,\"x.y\":null}}}");
	d.parameters = (struct str_map){pairs, 2};
	CHECK(
	    renders(&d,
		"{" TYPED ",\"slots\":{\"x\":{\"type\":\"physical\"}},\"pause\":true,"
		"\"postgresql\":{\"use_slots\":false,\"pg_ident\":[\"a\"],\"use_pg_rewind\":true,"
		"\"parameters\":{\"max_connections\":\"50\",\"work_mem\":\"it's\",\"x.y\":null}}}"),
	    "the user's keys stay, the typed ones win");
	d = wanted("[]");
	CHECK(!renders(&d, "") && e.code == ERR_INVALID, "no object");
	d = wanted("{\"postgresql\":1}");
	CHECK(!renders(&d, "") && e.code == ERR_INVALID, "postgresql is no object");
	d = wanted("{\"postgresql\":{\"parameters\":[]}}");
	CHECK(!renders(&d, "") && e.code == ERR_INVALID, "parameters are no object");
	d = wanted("{");
	CHECK(!renders(&d, "") && e.code == ERR_INVALID, "no JSON");
}

static void
test_parameters(void)
{
	struct str_map map;

	arena_reset(&a);
	CHECK(dynamic_parameters(
		  STR("{\"postgresql\":{\"parameters\":{\"b\":\"x\\u0041\",\"a\":12,\"c\":true}}}"),
		  &a, &map, &e) == 0 &&
		  map.n == 3 && str_is(map.at[0].key, "a") && str_is(map.at[0].value, "12") &&
		  str_is(map.at[1].value, "xA") && str_is(map.at[2].value, "true"),
	    "parameters of all types, as text, sorted");
	CHECK(dynamic_parameters(STR("{}"), &a, &map, &e) == 0 && map.n == 0, "none");
}

static bool
walks(int (*f)(struct str, struct str, struct arena *, struct buf *, struct err *), const char *x,
    const char *y, const char *text)
{
	arena_reset(&a);
	buf_reset(&out);
	return f(str_of(x), str_of(y), &a, &out, &e) == 0 && str_is(buf_view(&out), text);
}

static bool
keys_are(const char *x, const char *text)
{
	arena_reset(&a);
	buf_reset(&out);
	return dynamic_keys(str_of(x), &a, &out, &e) == 0 && str_is(buf_view(&out), text);
}

static void
test_keys(void)
{
	CHECK(keys_are("{\"b\":1,\"a\":{\"y\":[1,2],\"x\":\"s\"},\"c\":{}}",
		  "{\"a\":{\"x\":1,\"y\":1},\"b\":1,\"c\":1}"),
	    "the shape, sorted");
	CHECK(keys_are("{}", "{}") && !keys_are("[]", ""), "none, and no object");
	CHECK(walks(dynamic_drop, "{\"a\":{\"x\":5}}", "{\"a\":{\"x\":1,\"z\":1},\"q\":{\"r\":1}}",
		  "{\"a\":{\"x\":5,\"z\":null},\"q\":{\"r\":null}}"),
	    "what was dropped is nulled, leaf by leaf: what others put beside it stays");
	CHECK(walks(dynamic_drop, "{\"p\":{}}", "{\"p\":{\"z\":1}}", "{\"p\":{\"z\":null}}"),
	    "the last one of an object too");
	CHECK(walks(dynamic_drop, "{\"a\":1}", "{\"a\":{\"x\":1}}", "{\"a\":1}"),
	    "a scalar takes an object's place");
	CHECK(walks(dynamic_drop, "{\"a\":{\"x\":1}}", "{\"a\":1}", "{\"a\":{\"x\":1}}"),
	    "an object a scalar's");
	CHECK(walks(dynamic_drop, "{\"a\":[{\"x\":1}]}", "", "{\"a\":[{\"x\":1}]}"),
	    "nothing known of before");
	CHECK(!walks(dynamic_drop, "{}", "[]", ""), "keys that are no object");
}

static void
test_merge(void)
{
	CHECK(walks(dynamic_merge,
		  "{\"a\":{\"x\":5,\"z\":null},\"q\":null,\"n\":{\"m\":{\"k\":null}}}",
		  "{\"pause\":true,\"a\":{\"z\":1,\"y\":[null]},\"q\":{\"r\":1}}",
		  "{\"a\":{\"x\":5,\"y\":[null]},\"n\":{\"m\":{}},\"pause\":true}"),
	    "what is null goes, at any depth; what is not named stays");
	CHECK(walks(dynamic_merge, "{\"a\":{\"x\":1},\"b\":2}", "{\"a\":7,\"b\":{\"c\":1}}",
		  "{\"a\":{\"x\":1},\"b\":2}"),
	    "objects and scalars take each other's place");
	CHECK(walks(dynamic_merge, "{}", "{\"a\":{}}", "{\"a\":{}}"), "nothing to do");
	CHECK(!walks(dynamic_merge, "{}", "[]", ""), "into what is no object");
}

int
main(void)
{
	arena_init(&a, 4u << 20);
	buf_init(&out, 1u << 16);
	test_render();
	test_parameters();
	test_keys();
	test_merge();
	buf_free(&out);
	buf_init(&out, 40);
	CHECK(!keys_are("{\"aaaaaaaaaaaaaaaaaaaa\":{\"bbbbbbbbbbbbbbbbbbbbbbb\":1}}", "") &&
		  e.code == ERR_LIMIT,
	    "a buffer that is too small is an error, not half an object");
	buf_free(&out);
	arena_free(&a);
	return tap_done();
}
