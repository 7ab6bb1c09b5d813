/*
 * FNV-1a and Kubernetes uids. Hashes tell "changed" from "the same" between honest inputs; nothing
 * trusts them. Integers enter as little-endian bytes, so that every machine agrees.
 */
#include "base/base.h"

uint64_t
hash_bytes(uint64_t h, const void *p, size_t n)
{
	const unsigned char *u = p;
	size_t i;

	for (i = 0; i < n; i++)
		h = (h ^ u[i]) * 0x100000001b3ULL;
	return h;
}

uint64_t
hash_str(uint64_t h, struct str s)
{
	return hash_bytes(hash_u64(h, s.len), s.p, s.len);
}

uint64_t
hash_u64(uint64_t h, uint64_t v)
{
	unsigned char b[8];
	int i;

	for (i = 0; i < 8; i++)
		b[i] = (unsigned char)(v >> (8 * i));
	return hash_bytes(h, b, sizeof(b));
}

static int
hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return -1;
}

static bool
is_dash(size_t i)
{
	return i == 8 || i == 13 || i == 18 || i == 23;
}

int
uid_parse(struct str s, struct uid *out)
{
	struct uid u = {{0}};
	size_t i, nibble = 0;
	int v;

	if (s.len != UID_TEXT_SIZE - 1)
		return -1;
	for (i = 0; i < s.len; i++) {
		if (is_dash(i)) {
			if (s.p[i] != '-')
				return -1;
			continue;
		}
		v = hex_value(s.p[i]);
		if (v == -1)
			return -1;
		u.b[nibble / 2] = (uint8_t)(u.b[nibble / 2] << 4 | v);
		nibble++;
	}
	*out = u;
	return 0;
}

void
uid_format(char out[UID_TEXT_SIZE], const struct uid *u)
{
	static const char hex[] = "0123456789abcdef";
	size_t i, nibble = 0;

	for (i = 0; i < UID_TEXT_SIZE - 1; i++) {
		if (is_dash(i)) {
			out[i] = '-';
			continue;
		}
		out[i] = hex[nibble % 2 == 0 ? u->b[nibble / 2] >> 4 : u->b[nibble / 2] & 15];
		nibble++;
	}
	out[i] = '\0';
}

bool
uid_eq(const struct uid *a, const struct uid *b)
{
	return memcmp(a->b, b->b, sizeof(a->b)) == 0;
}

bool
uid_none(const struct uid *u)
{
	return uid_eq(u, &(struct uid){{0}});
}
