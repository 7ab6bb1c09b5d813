/* The parameters that Bestgres adds, and that it never adds to what a user gave. */
#include "instance/agent.h"
#include "tests/unit/tap.h"

static struct arena a;
static struct str_pair pairs[PARAMS_MAX];
static struct bgcluster c;

/* What the parameter is after that; "" = there is none. */
static const char *
value(const char *storage, const char *wal, size_t n, const char *dynamic)
{
	static char out[32];

	arena_reset(&a);
	c = (struct bgcluster){.storage_size = str_of(storage),
	    .wal_size = str_of(wal),
	    .dynamic_config = str_of(dynamic),
	    .parameters = {pairs, n}};
	spec_default(&c, &a);
	for (size_t i = 1; i < c.parameters.n; i++)
		CHECK(strncmp(c.parameters.at[i - 1].key.p, c.parameters.at[i].key.p, 8) <= 0,
		    "the keys stay sorted");
	for (size_t i = 0; i < c.parameters.n; i++)
		if (str_is(c.parameters.at[i].key, "max_slot_wal_keep_size")) {
			(void)str_copy(out, sizeof(out), c.parameters.at[i].value);
			return out;
		}
	return "";
}

int
main(void)
{
	arena_init(&a, 1u << 20);
	pairs[0] = (struct str_pair){STR("jit"), STR("off")};
	pairs[1] = (struct str_pair){STR("work_mem"), STR("8MB")};
	CHECK(strcmp(value("100Gi", "", 0, ""), "25600MB") == 0, "beside data a quarter");
	CHECK(strcmp(value("100Gi", "20Gi", 2, ""), "10240MB") == 0 && c.parameters.n == 3,
	    "of a volume for WAL alone a half");
	CHECK(strcmp(value("1Gi", "", 1, ""), "256MB") == 0 && c.parameters.n == 2, "as the last");
	CHECK(strcmp(value("100Mi", "", 0, ""), "256MB") == 0, "not less than a few segments");
	CHECK(strcmp(value("16Ei", "", 0, ""), "") == 0 &&
		  strcmp(value("7Ei", "7Ei", 0, ""), "2147483647MB") == 0,
	    "not more than PostgreSQL takes");
	CHECK(strcmp(value("much", "", 1, ""), "") == 0, "no size, nothing to say");
	CHECK(
	    strcmp(value("8Gi", "", 1, "{\"postgresql\":{\"parameters\":{\"work_mem\":\"1GB\"}}}"),
		"2048MB") == 0,
	    "others in the dynamic configuration");
	CHECK(strcmp(value("8Gi", "", 0,
			 "{\"postgresql\":{\"parameters\":{\"max_slot_wal_keep_size\":-1}}}"),
		  "") == 0,
	    "what the user gave there");
	CHECK(strcmp(value("8Gi", "", 0, "{"), "") == 0, "or can not be read");
	pairs[1] = (struct str_pair){STR("max_slot_wal_keep_size"), STR("-1")};
	CHECK(strcmp(value("8Gi", "", 2, ""), "-1") == 0 && c.parameters.n == 2,
	    "or in spec.postgres.parameters stays");
	for (unsigned i = 0; i < PARAMS_MAX; i++)
		pairs[i] = (struct str_pair){STR("a.b"), STR("c")};
	CHECK(strcmp(value("8Gi", "", PARAMS_MAX, ""), "") == 0, "nor is one added past the bound");
	arena_free(&a);
	return tap_done();
}
