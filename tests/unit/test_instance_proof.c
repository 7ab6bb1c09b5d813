/* Another instance leads only if it was seen to renew its lock. */
#include "instance/view.h"
#include "tests/unit/tap.h"

static struct arena arena;
static struct json j;

static const struct json *
lock(const char *leader, const char *renewed, const char *version)
{
	static char text[1024];

	(void)snprintf(text, sizeof(text),
	    "{\"metadata\":{\"name\":\"demo-leader\",\"resourceVersion\":\"%s\",\"annotations\":"
	    "{\"leader\":\"%s\",\"renewTime\":\"%s\"}}}",
	    version, leader, renewed);
	arena_reset(&arena);
	if (json_parse(&j, str_of(text), &arena, NULL) == -1)
		die("bad JSON");
	return &j;
}

static const struct json *
plain(const char *text)
{
	arena_reset(&arena);
	if (json_parse(&j, str_of(text), &arena, NULL) == -1)
		die("bad JSON");
	return &j;
}

static void
test_lock(void)
{
	struct proof p = {0};

	CHECK(!proof_look(&p, lock("demo-0", "10", "5"), "demo-1"), "one look proves nothing");
	CHECK(!proof_look(&p, lock("demo-0", "10", "5"), "demo-1"), "nor does the same again");
	CHECK(!proof_look(&p, lock("demo-0", "10", "6"), "demo-1"),
	    "nor that somebody touched the object");
	CHECK(proof_look(&p, lock("demo-0", "15", "7"), "demo-1"), "a renewal does");
	CHECK(!proof_look(&p, lock("demo-2", "20", "8"), "demo-1"), "another leader starts anew");
	CHECK(proof_look(&p, lock("demo-2", "25", "9"), "demo-1"), "and is seen to renew too");
	CHECK(!proof_look(&p, lock("demo-1", "30", "10"), "demo-1"), "we lead ourselves");
	CHECK(!proof_look(&p, lock("demo-2", "35", "11"), "demo-1"), "what was before is void");
	CHECK(!proof_look(&p, lock("", "40", "12"), "demo-1"), "nobody leads");
	CHECK(!proof_look(&p, lock("demo-2", "45", "13"), "demo-1"), "void again");
	CHECK(!proof_look(&p, plain("{}"), "demo-1"), "an object without annotations");
	CHECK(!proof_look(&p, plain("{\"metadata\":{\"annotations\":[]}}"), "demo-1"), "nonsense");
}

static void
test_identifier(void)
{
	CHECK(proof_identifier(plain("{\"metadata\":{\"annotations\":{\"initialize\":"
				     "\"7460000000000000001\"}}}")) == 7460000000000000001u,
	    "the cluster's");
	CHECK(
	    proof_identifier(plain("{\"metadata\":{\"annotations\":{\"initialize\":\"\"}}}")) == 0,
	    "a bootstrap is under way: none");
	CHECK(proof_identifier(plain("{\"metadata\":{}}")) == 0, "none at all");
	CHECK(proof_identifier(plain("{\"metadata\":{\"annotations\":{\"initialize\":\"x1\"}}}")) ==
		  0,
	    "no number");
}

int
main(void)
{
	arena_init(&arena, 1u << 20);
	test_lock();
	test_identifier();
	arena_free(&arena);
	return tap_done();
}
