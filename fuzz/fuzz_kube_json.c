/*
 * Any bytes as JSON. Oracles: a second validator, written for this file by recursive descent,
 * gives the same verdict and counts the same tokens; what is accepted has no duplicate key, is
 * walked node by node without a gap, and written canonically parses again to the same canonical
 * text.
 */
#include "fuzz/fuzz.h"
#include "kube/kube.h"

/*
 * --- The other validator: one function for each production of RFC 8259, each giving the end of
 * what it matched.
 */
struct other {
	const uint8_t *end;
	size_t tokens;
	unsigned depth;
};
static const uint8_t *value(struct other *o, const uint8_t *p);

static const uint8_t *
space(const struct other *o, const uint8_t *p)
{
	while (p < o->end && (*p == 0x20 || *p == 0x0a || *p == 0x0d || *p == 0x09))
		p++;
	return p;
}

static bool
is(const struct other *o, const uint8_t *p, char c)
{
	return p < o->end && *p == (uint8_t)c;
}

/* The code point of four hex digits, or UINT32_MAX. */
static uint32_t
hex(const struct other *o, const uint8_t *p)
{
	char digits[5] = "";

	if (o->end - p < 4)
		return UINT32_MAX;
	memcpy(digits, p, 4);
	if (strspn(digits, "0123456789abcdefABCDEF") != 4)
		return UINT32_MAX;
	return (uint32_t)strtoul(digits, NULL, 16);
}

static const uint8_t *
escape(const struct other *o, const uint8_t *p)
{
	uint32_t c, low;

	if (p >= o->end)
		return NULL;
	switch (*p) {
	case '"':
	case '\\':
	case '/':
	case 'b':
	case 'f':
	case 'n':
	case 'r':
	case 't':
		return p + 1;
	case 'u':
		break;
	default:
		return NULL;
	}
	c = hex(o, p + 1);
	if (c == UINT32_MAX || c == 0 || (c >> 10) == 0x37)
		return NULL;
	p += 5;
	if ((c >> 10) != 0x36)
		return p;
	low = is(o, p, '\\') && is(o, p + 1, 'u') ? hex(o, p + 2) : 0;
	return low != UINT32_MAX && (low >> 10) == 0x37 ? p + 6 : NULL;
}

/* By decoding and looking at the code point, not at ranges of bytes. */
static const uint8_t *
multibyte(const struct other *o, const uint8_t *p)
{
	unsigned n = *p >= 0xf8 ? 0 : *p >= 0xf0 ? 4 : *p >= 0xe0 ? 3 : *p >= 0xc0 ? 2 : 0;
	static const uint32_t least[5] = {0, 0, 0x80, 0x800, 0x10000};
	uint32_t c;

	if (n == 0 || o->end - p < (ptrdiff_t)n)
		return NULL;
	c = *p & (0x7fu >> n);
	for (unsigned i = 1; i < n; i++) {
		if (p[i] >> 6 != 2)
			return NULL;
		c = c * 64 + p[i] % 64;
	}
	return c < least[n] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000) ? NULL : p + n;
}

static const uint8_t *
string(struct other *o, const uint8_t *p)
{
	if (!is(o, p, '"'))
		return NULL;
	o->tokens++;
	for (p++; p != NULL && p < o->end && *p != '"';) {
		if (*p < 0x20)
			return NULL;
		if (*p == '\\')
			p = escape(o, p + 1);
		else
			p = *p < 0x80 ? p + 1 : multibyte(o, p);
	}
	return p != NULL && p < o->end ? p + 1 : NULL;
}

static const uint8_t *
digits(const struct other *o, const uint8_t *p)
{
	const uint8_t *start = p;

	while (p < o->end && *p - '0' >= 0 && *p - '0' <= 9)
		p++;
	return p == start ? NULL : p;
}

static const uint8_t *
number(struct other *o, const uint8_t *p)
{
	o->tokens++;
	if (is(o, p, '-'))
		p++;
	p = is(o, p, '0') ? p + 1 : digits(o, p);
	if (p != NULL && is(o, p, '.'))
		p = digits(o, p + 1);
	if (p != NULL && (is(o, p, 'e') || is(o, p, 'E'))) {
		p++;
		p = digits(o, is(o, p, '+') || is(o, p, '-') ? p + 1 : p);
	}
	return p;
}

static const uint8_t *
container(struct other *o, const uint8_t *p, char close)
{
	o->tokens++;
	if (++o->depth > JSON_DEPTH_MAX)
		return NULL;
	p = space(o, p + 1);
	for (bool first = true; !is(o, p, close); first = false) {
		if (!first) {
			if (!is(o, p, ','))
				return NULL;
			p = space(o, p + 1);
		}
		if (close == '}') {
			p = string(o, p);
			if (p == NULL || !is(o, p = space(o, p), ':'))
				return NULL;
			p = space(o, p + 1);
		}
		p = value(o, p);
		if (p == NULL)
			return NULL;
		p = space(o, p);
	}
	o->depth--;
	return p + 1;
}

static const uint8_t *
word(struct other *o, const uint8_t *p, const char *text)
{
	o->tokens++;
	for (; *text != '\0'; text++, p++)
		if (!is(o, p, *text))
			return NULL;
	return p;
}

static const uint8_t *
value(struct other *o, const uint8_t *p)
{
	if (p >= o->end)
		return NULL;
	switch (*p) {
	case '{':
		return container(o, p, '}');
	case '[':
		return container(o, p, ']');
	case '"':
		return string(o, p);
	case 't':
		return word(o, p, "true");
	case 'f':
		return word(o, p, "false");
	case 'n':
		return word(o, p, "null");
	default:
		return number(o, p);
	}
}

/* --- The oracles. */
/* Visits node and its descendants in order; gives the number after the last. */
static int
walk(const struct json *j, int node, struct arena *a)
{
	int next = node + 1, n = 0;

	MUST(json_type(j, node) != JSON_T_NONE);
	for (int k = json_first(j, node); k != JSON_NONE; k = json_next(j, k), n++) {
		MUST(k == next);
		if (json_type(j, node) == JSON_T_OBJECT) {
			struct str key;

			MUST(json_string(j, k, JSON_OBJECT_MAX, a, &key, NULL) == 0);
			MUST(utf8_valid(key) && json_get(j, node, key) == json_value(j, k));
			next = walk(j, json_value(j, k), a);
		} else {
			MUST(json_value(j, k) == JSON_NONE || json_type(j, k) == JSON_T_STRING);
			next = walk(j, k, a);
		}
	}
	MUST(n == json_count(j, node));
	return next;
}

static void
write_canonical(struct str text, struct arena *a, struct buf *out)
{
	struct json j;
	struct jw w;

	MUST(json_parse(&j, text, a, NULL) == 0);
	jw_init(&w, out);
	MUST(jw_json(&w, &j, 0, a, NULL) == 0 && w.depth == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct arena a;
	static struct buf first, second;
	struct other o = {.end = data + size};
	struct str text = {(const char *)data, size};
	const uint8_t *end;
	struct err e;
	struct json j;
	size_t tokens;
	bool valid;

	if (size == 0 || size > JSON_OBJECT_MAX)
		return 0;
	a.cap = 64u << 20;
	arena_reset(&a);
	end = value(&o, space(&o, data));
	valid = end != NULL && space(&o, end) == o.end && o.tokens <= JSON_TOKENS_MAX;
	MUST(valid == (json_scan(text, &tokens, &e) == 0));
	if (json_parse(&j, text, &a, &e) < 0) {
		MUST(e.code == ERR_INVALID || e.code == ERR_LIMIT);
		MUST(json_root(&j) == JSON_NONE);
		MUST(!valid || strstr(e.text, "stands twice") != NULL);
		return 0;
	}
	MUST(valid && tokens == o.tokens && (size_t)j.n == tokens && walk(&j, 0, &a) == j.n);
	first.max = second.max = JSON_OBJECT_MAX;
	buf_reset(&first);
	buf_reset(&second);
	write_canonical(text, &a, &first);
	write_canonical(buf_view(&first), &a, &second);
	MUST(!first.full && first.len <= size && str_eq(buf_view(&first), buf_view(&second)));
	return 0;
}
