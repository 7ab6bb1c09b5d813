/*
 * Borrowed string views, numbers, UTF-8 and the character classes that every name from the wire
 * is checked against. Pure; all of it is reachable by hostile bytes.
 */
#include "base/base.h"

struct str
str_of(const char *cstr)
{
	if (cstr == NULL)
		return (struct str){"", 0};
	return (struct str){cstr, strlen(cstr)};
}

bool
str_eq(struct str a, struct str b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.p, b.p, a.len) == 0);
}

bool
str_is(struct str a, const char *cstr)
{
	return str_eq(a, str_of(cstr));
}

bool
str_starts(struct str a, const char *prefix)
{
	size_t n = strlen(prefix);

	return a.len >= n && str_is((struct str){a.p, n}, prefix);
}

bool
str_ends(struct str a, const char *suffix)
{
	size_t n = strlen(suffix);

	return a.len >= n && (n == 0 || str_is((struct str){a.p + a.len - n, n}, suffix));
}

int
str_copy(char *dst, size_t size, struct str s)
{
	if (size == 0)
		return -1;
	dst[0] = '\0';
	if (s.len >= size)
		return -1;
	if (s.len == 0)
		return 0;
	if (memchr(s.p, '\0', s.len) != NULL)
		return -1;
	memcpy(dst, s.p, s.len);
	dst[s.len] = '\0';
	return 0;
}

static bool
is_control(const char *p, size_t n)
{
	const unsigned char *u = (const unsigned char *)p;

	if (n == 1)
		return u[0] < 0x20 || u[0] == 0x7f;
	return n == 2 && u[0] == 0xc2 && u[1] < 0xa0; /* C1: a terminal obeys U+009B */
}

void
str_copy_text(char *dst, size_t size, struct str s)
{
	size_t i = 0, out = 0, n;

	if (size == 0)
		return;
	while (i < s.len) {
		n = utf8_next(s.p + i, s.len - i);
		if (n == 0 || is_control(s.p + i, n)) {
			if (out + 1 >= size)
				break;
			dst[out++] = n == 0 ? '?' : ' ';
		} else {
			if (out + n >= size)
				break;
			memcpy(dst + out, s.p + i, n);
			out += n;
		}
		i += n == 0 ? 1 : n;
	}
	dst[out] = '\0';
}

int
str_to_u64(struct str s, uint64_t *out)
{
	uint64_t v = 0;
	size_t i;

	if (s.len == 0)
		return -1;
	for (i = 0; i < s.len; i++) {
		if (s.p[i] < '0' || s.p[i] > '9')
			return -1;
		if (__builtin_mul_overflow(v, 10u, &v))
			return -1;
		if (__builtin_add_overflow(v, (uint64_t)(s.p[i] - '0'), &v))
			return -1;
	}
	*out = v;
	return 0;
}

int
str_to_hash(struct str s, uint64_t *out)
{
	static const char digits[] = "0123456789abcdef";
	uint64_t v = 0;

	if (s.len != 16)
		return -1;
	for (size_t i = 0; i < s.len; i++) {
		const char *at = memchr(digits, s.p[i], 16);

		if (at == NULL)
			return -1;
		v = v << 4 | (uint64_t)(at - digits);
	}
	*out = v;
	return 0;
}

int
str_to_i64(struct str s, int64_t *out)
{
	bool neg = s.len > 0 && s.p[0] == '-';
	uint64_t v, max = (uint64_t)INT64_MAX + (neg ? 1 : 0);

	if (neg)
		s = (struct str){s.p + 1, s.len - 1};
	if (str_to_u64(s, &v) == -1 || v > max)
		return -1;
	if (!neg)
		*out = (int64_t)v;
	else
		*out = v == max ? INT64_MIN : -(int64_t)v;
	return 0;
}

/* RFC 3629: the second byte's range depends on the first; that is what refuses overlong forms,
 * surrogates and everything above U+10FFFF. */
size_t
utf8_next(const char *p, size_t n)
{
	const unsigned char *u = (const unsigned char *)p;
	unsigned char lo = 0x80, hi = 0xbf;
	size_t i, want;

	if (n == 0)
		return 0;
	if (u[0] < 0x80)
		return 1;
	if (u[0] < 0xc2 || u[0] > 0xf4)
		return 0;
	want = u[0] < 0xe0 ? 2 : u[0] < 0xf0 ? 3 : 4;
	if (n < want)
		return 0;
	if (u[0] == 0xe0)
		lo = 0xa0;
	else if (u[0] == 0xed)
		hi = 0x9f;
	else if (u[0] == 0xf0)
		lo = 0x90;
	else if (u[0] == 0xf4)
		hi = 0x8f;
	if (u[1] < lo || u[1] > hi)
		return 0;
	for (i = 2; i < want; i++) {
		if ((u[i] & 0xc0) != 0x80)
			return 0;
	}
	return want;
}

bool
utf8_valid(struct str s)
{
	size_t i, n;

	for (i = 0; i < s.len; i += n) {
		n = utf8_next(s.p + i, s.len - i);
		if (n == 0)
			return false;
	}
	return true;
}

static bool
is_lower(char c)
{
	return c >= 'a' && c <= 'z';
}

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool
is_alnum(char c)
{
	return is_lower(c) || is_digit(c);
}

static bool
label_ok(const char *p, size_t n)
{
	size_t i;

	if (n == 0 || !is_alnum(p[0]) || !is_alnum(p[n - 1]))
		return false;
	for (i = 0; i < n; i++) {
		if (!is_alnum(p[i]) && p[i] != '-')
			return false;
	}
	return true;
}

static bool
subdomain_ok(struct str s)
{
	size_t i, start = 0;

	for (i = 0; i <= s.len; i++) {
		if (i < s.len && s.p[i] != '.')
			continue;
		if (!label_ok(s.p + start, i - start))
			return false;
		start = i + 1;
	}
	return true;
}

static bool
guc_ok(struct str s)
{
	size_t i;

	for (i = 0; i < s.len; i++) {
		if (is_lower(s.p[i]) || s.p[i] == '_')
			continue;
		if (i == 0 || (!is_digit(s.p[i]) && s.p[i] != '.'))
			return false;
	}
	return true;
}

/* UTF-8 whose only control characters are those of `allowed`. */
static bool
text_ok(struct str s, const char *allowed)
{
	size_t i, n;

	for (i = 0; i < s.len; i += n) {
		n = utf8_next(s.p + i, s.len - i);
		if (n == 0)
			return false;
		if (!is_control(s.p + i, n))
			continue;
		if (n != 1 || s.p[i] == '\0' || strchr(allowed, s.p[i]) == NULL)
			return false;
	}
	return true;
}

static bool
print_ok(struct str s)
{
	size_t i;

	for (i = 0; i < s.len; i++) {
		if (s.p[i] < 0x20 || s.p[i] > 0x7e)
			return false;
	}
	return true;
}

bool
charset_ok(enum charset c, struct str s)
{
	if (s.len == 0)
		return true;
	switch (c) {
	case CHARS_DNS1123:
		return label_ok(s.p, s.len);
	case CHARS_DNS1035:
		return is_lower(s.p[0]) && label_ok(s.p, s.len);
	case CHARS_SUBDOMAIN:
		return subdomain_ok(s);
	case CHARS_GUC:
		return guc_ok(s);
	case CHARS_TEXT:
		return text_ok(s, "");
	case CHARS_LINES:
		return text_ok(s, "\n\t");
	case CHARS_PRINT:
		return print_ok(s);
	}
	die("charset_ok: class %d", (int)c);
}
