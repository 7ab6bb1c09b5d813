/* quantity.c: quantities are compared as the numbers they are, exactly. */
#include "kube/kube.h"
#include "tests/unit/tap.h"

static const struct {
	const char *a, *b;
	int order; /* 2: one is no quantity */
} quantities[] = {
    {"1", "1", 0}, {"1", "2", -1}, {"2", "1", 1}, {"10", "9", 1}, {"1", "1000m", 0},
    {"1.5", "1500m", 0}, {"0.001", "1m", 0}, {"1m", "1000u", 0}, {"1u", "1000n", 0},
    {"1k", "1000", 0}, {"1Ki", "1024", 0}, {"1Gi", "1024Mi", 0}, {"1Gi", "1073741824", 0},
    {"1G", "1Gi", -1}, {"1M", "1000k", 0}, {"1T", "1000G", 0}, {"1P", "1000T", 0},
    {"1E", "1000P", 0}, {"1Ei", "1024Pi", 0}, {"1Ei", "1152921504606846976", 0},
    {"0.5Gi", "512Mi", 0}, {"1.1Gi", "1181116006.4", 0}, {"1e3", "1k", 0}, {"1E3", "1k", 0},
    {"1e+3", "1k", 0}, {"1e-3", "1m", 0}, {"5e-1", "500m", 0}, {"+1", "1", 0}, {"-1", "1", -1},
    {"-1", "-2", 1}, {"-0", "0", 0}, {"0", "0Gi", 0}, {"0", "-1n", 1}, {".5", "500m", 0},
    {"5.", "5", 0}, {"0001.5000", "1.5", 0}, {"9223372036854775807", "9223372036854775808", -1},
    {"1e1000000000", "1e999999999", 1}, {"999999999999999999999999999999999999999999", "1e42", -1},
    {"0.0000000000000000000000000000000000000000000000000000001", "0", 1}, {"", "1", 2},
    {"1", "", 2}, {"-", "1", 2}, {"+", "1", 2}, {".", "1", 2}, {"1..2", "1", 2}, {"1.2.3", "1", 2},
    {"Gi", "1", 2}, {"1gi", "1", 2}, {"1KI", "1", 2}, {"1K", "1", 2}, {"1B", "1", 2},
    {"1 Gi", "1", 2}, {" 1", "1", 2}, {"1Gi ", "1", 2}, {"1e", "1", 2}, {"1e+", "1", 2},
    {"1e+-1", "1", 2}, {"1e1.5", "1", 2}, {"1e99999999999", "1", 2}, {"1eGi", "1", 2},
    {"--1", "1", 2}, {"0x1", "1", 2}, {"1,5", "1", 2},
    {"00000000000000000000000000000000000000000000000000000000000000001", "1", 2}, /* 65 bytes */
};

static void
test_quantities(void)
{
	char name[200];

	for (size_t i = 0; i < sizeof quantities / sizeof *quantities; i++) {
		struct str a = str_of(quantities[i].a), b = str_of(quantities[i].b);
		int order = 7, mirrored = 7, expected = quantities[i].order;

		snprintf(name, sizeof name, "quantity '%s' and '%s'", a.p, b.p);
		if (expected == 2)
			CHECK(quantity_compare(a, b, &order) == -1 &&
				  quantity_compare(b, a, &order) == -1 && order == 7,
			    name);
		else
			CHECK(quantity_compare(a, b, &order) == 0 && order == expected &&
				  quantity_compare(b, a, &mirrored) == 0 && mirrored == -expected,
			    name);
	}
}

static bool
bytes_are(const char *text, int64_t expected)
{
	int64_t v = -7;

	return quantity_bytes(str_of(text), &v) == (expected < 0 ? -1 : 0) &&
	       v == (expected < 0 ? -7 : expected);
}

static void
test_bytes(void)
{
	CHECK(bytes_are("1Gi", 1073741824) && bytes_are("1.5Ki", 1536) && bytes_are("0", 0) &&
		  bytes_are("1e3", 1000),
	    "bytes of whole quantities");
	CHECK(bytes_are("1m", 1) && bytes_are("1500m", 2) && bytes_are("0.1Ki", 103),
	    "a fraction of a byte is a byte");
	CHECK(bytes_are("9223372036854775807", INT64_MAX) && bytes_are("9223372036854775808", -1) &&
		  bytes_are("9223372036854775806.5", INT64_MAX) &&
		  bytes_are("9223372036854775807.5", -1) && bytes_are("8Ei", -1) &&
		  bytes_are("7Ei", 7ll << 60) && bytes_are("1e100", -1),
	    "the end of int64");
	CHECK(bytes_are("-1", -1) && bytes_are("x", -1), "what are no bytes");
}

int
main(void)
{
	test_quantities();
	test_bytes();
	return tap_done();
}
