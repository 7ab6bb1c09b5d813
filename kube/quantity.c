/*
 * Kubernetes quantities ("100m", "1Gi", "1.5e3") as exact decimals, without floating point:
 * digits and the place of the point. The grammar is that of
 * k8s.io/apimachinery/pkg/api/resource; a JSON number is a quantity too. Callers: diff.c, and
 * who has to know a volume's size.
 */
#include "kube/kube.h"

#define TEXT_MAX 64            /* the API server writes at most 19 digits and a suffix */
#define DIGITS (TEXT_MAX + 24) /* 1024^6 adds 19 */

/* 0.d[0]d[1]...d[n-1] * 10^point, without leading or trailing zeros; n == 0 is zero. */
struct decimal {
	bool negative;
	unsigned n;
	int point;
	uint8_t d[DIGITS];
};

static const struct {
	const char *text;
	int exponent; /* of 10 */
	int binary;   /* of 1024 */
} suffixes[] = {
    {"", 0, 0},
    {"n", -9, 0},
    {"u", -6, 0},
    {"m", -3, 0},
    {"k", 3, 0},
    {"M", 6, 0},
    {"G", 9, 0},
    {"T", 12, 0},
    {"P", 15, 0},
    {"E", 18, 0},
    {"Ki", 0, 1},
    {"Mi", 0, 2},
    {"Gi", 0, 3},
    {"Ti", 0, 4},
    {"Pi", 0, 5},
    {"Ei", 0, 6},
};

static int
parse_suffix(struct str s, int *exponent, int *binary)
{
	int64_t v;

	for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++)
		if (str_is(s, suffixes[i].text)) {
			*exponent = suffixes[i].exponent;
			*binary = suffixes[i].binary;
			return 0;
		}
	if (s.p[0] != 'e' && s.p[0] != 'E')
		return -1;
	s = (struct str){s.p + 1, s.len - 1};
	if (s.len > 1 && s.p[0] == '+' && s.p[1] != '-')
		s = (struct str){s.p + 1, s.len - 1};
	if (str_to_i64(s, &v) < 0 || v > 1000000000 || v < -1000000000)
		return -1;
	*exponent = (int)v;
	*binary = 0;
	return 0;
}

/* Digits and the point, in place; gives what was read, or 0 without a digit. */
static size_t
parse_digits(struct str s, struct decimal *out)
{
	bool point = false;
	size_t i;

	for (i = 0; i < s.len; i++) {
		if (s.p[i] == '.' && !point) {
			point = true;
			continue;
		}
		if (s.p[i] < '0' || s.p[i] > '9')
			break;
		out->d[out->n++] = (uint8_t)(s.p[i] - '0');
		out->point += !point;
	}
	return out->n > 0 ? i : 0;
}

static void
multiply_1024(struct decimal *x)
{
	unsigned carry = 0, extra;

	for (unsigned i = x->n; i > 0; i--) {
		unsigned v = x->d[i - 1] * 1024u + carry;

		x->d[i - 1] = (uint8_t)(v % 10);
		carry = v / 10;
	}
	extra = carry > 999 ? 4 : carry > 99 ? 3 : carry > 9 ? 2 : carry > 0 ? 1 : 0;
	memmove(x->d + extra, x->d, x->n);
	for (unsigned i = extra; i > 0; i--, carry /= 10)
		x->d[i - 1] = (uint8_t)(carry % 10);
	x->n += extra;
	x->point += (int)extra;
}

static void
normalise(struct decimal *x)
{
	unsigned zeros = 0;

	while (x->n > 0 && x->d[x->n - 1] == 0)
		x->n--;
	while (zeros < x->n && x->d[zeros] == 0)
		zeros++;
	memmove(x->d, x->d + zeros, x->n - zeros);
	x->n -= zeros;
	x->point -= (int)zeros;
	if (x->n == 0)
		*x = (struct decimal){0};
}

static int
parse_quantity(struct str s, struct decimal *out)
{
	int exponent, binary;
	size_t used;

	*out = (struct decimal){0};
	if (s.len == 0 || s.len > TEXT_MAX)
		return -1;
	if (s.p[0] == '-' || s.p[0] == '+') {
		out->negative = s.p[0] == '-';
		s = (struct str){s.p + 1, s.len - 1};
	}
	used = parse_digits(s, out);
	if (used == 0 ||
	    parse_suffix((struct str){s.p + used, s.len - used}, &exponent, &binary) < 0)
		return -1;
	normalise(out);
	for (int i = 0; i < binary; i++)
		multiply_1024(out);
	out->point += exponent;
	normalise(out);
	return 0;
}

/* Of the absolute values. */
static int
compare_digits(const struct decimal *x, const struct decimal *y)
{
	unsigned n = x->n < y->n ? x->n : y->n;
	int order;

	if (x->n == 0 || y->n == 0)
		return (x->n > 0) - (y->n > 0);
	if (x->point != y->point)
		return x->point < y->point ? -1 : 1;
	order = memcmp(x->d, y->d, n);
	if (order != 0)
		return order < 0 ? -1 : 1;
	return (x->n > y->n) - (x->n < y->n);
}

int
quantity_compare(struct str a, struct str b, int *order)
{
	struct decimal x, y;

	if (parse_quantity(a, &x) < 0 || parse_quantity(b, &y) < 0)
		return -1;
	if (x.negative != y.negative)
		*order = x.negative ? -1 : 1;
	else
		*order = x.negative ? -compare_digits(&x, &y) : compare_digits(&x, &y);
	return 0;
}

/* A fraction of a byte counts as one, as in Quantity.Value(). */
int
quantity_bytes(struct str s, int64_t *out)
{
	struct decimal x;
	int64_t v = 0;

	if (parse_quantity(s, &x) < 0 || x.negative || x.point > 19)
		return -1;
	for (int i = 0; i < x.point; i++)
		if (__builtin_mul_overflow(v, 10, &v) ||
		    __builtin_add_overflow(v, (unsigned)i < x.n ? x.d[i] : 0, &v))
			return -1;
	if (x.n > 0 && (int)x.n > x.point && __builtin_add_overflow(v, 1, &v))
		return -1;
	*out = v;
	return 0;
}
