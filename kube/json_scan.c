/*
 * The strict half of JSON reading: RFC 8259 to the letter, in one pass over the bytes and
 * without memory. jsmn, which tokenises afterwards, takes {"a"}, [1,,3] and control bytes as
 * they come, so nothing reaches it that was not accepted here. Refused beyond the RFC: NUL in
 * any spelling, lone surrogates, more than JSON_DEPTH_MAX levels or JSON_TOKENS_MAX tokens.
 * Callers: json_parse, and the fuzzers as their oracle.
 */
#include "kube/kube.h"

/* What a byte may begin outside of strings. */
enum byte_class {
	B_OTHER,
	B_SPACE,
	B_LBRACE,
	B_RBRACE,
	B_LBRACKET,
	B_RBRACKET,
	B_COLON,
	B_COMMA,
	B_QUOTE,
	B_NUMBER,
	B_WORD,
	B_COUNT
};
static const uint8_t byte_class[256] = {
    [' '] = B_SPACE,
    ['\t'] = B_SPACE,
    ['\n'] = B_SPACE,
    ['\r'] = B_SPACE,
    ['{'] = B_LBRACE,
    ['}'] = B_RBRACE,
    ['['] = B_LBRACKET,
    [']'] = B_RBRACKET,
    [':'] = B_COLON,
    [','] = B_COMMA,
    ['"'] = B_QUOTE,
    ['-'] = B_NUMBER,
    ['0' ... '9'] = B_NUMBER,
    ['t'] = B_WORD,
    ['f'] = B_WORD,
    ['n'] = B_WORD,
};

/* What is due next, and what may come. */
enum want {
	WANT_VALUE,
	WANT_FIRST_VALUE,
	WANT_KEY,
	WANT_FIRST_KEY,
	WANT_COLON,
	IN_OBJECT,
	IN_ARRAY,
	AT_END,
	WANT_COUNT
};
enum action { REFUSE, SKIP, OPEN, CLOSE, STRING, KEY, NUMBER, WORD, COLON, COMMA };
static const uint8_t actions[WANT_COUNT][B_COUNT] = {
    [WANT_VALUE] = {[B_SPACE] = SKIP,
	[B_LBRACE] = OPEN,
	[B_LBRACKET] = OPEN,
	[B_QUOTE] = STRING,
	[B_NUMBER] = NUMBER,
	[B_WORD] = WORD},
    [WANT_FIRST_VALUE] = {[B_SPACE] = SKIP,
	[B_LBRACE] = OPEN,
	[B_LBRACKET] = OPEN,
	[B_QUOTE] = STRING,
	[B_NUMBER] = NUMBER,
	[B_WORD] = WORD,
	[B_RBRACKET] = CLOSE},
    [WANT_KEY] = {[B_SPACE] = SKIP, [B_QUOTE] = KEY},
    [WANT_FIRST_KEY] = {[B_SPACE] = SKIP, [B_QUOTE] = KEY, [B_RBRACE] = CLOSE},
    [WANT_COLON] = {[B_SPACE] = SKIP, [B_COLON] = COLON},
    [IN_OBJECT] = {[B_SPACE] = SKIP, [B_COMMA] = COMMA, [B_RBRACE] = CLOSE},
    [IN_ARRAY] = {[B_SPACE] = SKIP, [B_COMMA] = COMMA, [B_RBRACKET] = CLOSE},
    [AT_END] = {[B_SPACE] = SKIP},
};
static const char *const wanted[WANT_COUNT] = {
    [WANT_VALUE] = "a value",
    [WANT_FIRST_VALUE] = "a value or ]",
    [WANT_KEY] = "a key",
    [WANT_FIRST_KEY] = "a key or }",
    [WANT_COLON] = "a colon",
    [IN_OBJECT] = "a comma or }",
    [IN_ARRAY] = "a comma or ]",
    [AT_END] = "the end",
};

/* What a byte is inside of a string. */
enum string_class { PLAIN, QUOTE, ESCAPE, CONTROL, HIGH };
static const uint8_t string_class[256] = {
    [0 ... 0x1f] = CONTROL,
    ['"'] = QUOTE,
    ['\\'] = ESCAPE,
    [0x80 ... 0xff] = HIGH,
};

struct scan {
	const uint8_t *start, *p, *end;
	uint64_t
	    arrays; /* the innermost container is an array: bit 0; the one around it: bit 1 ... */
	unsigned depth;
	size_t tokens;
	struct err *e;
};

static int
refuse(const struct scan *s, const char *what)
{
	return err_set(s->e, ERR_INVALID, "JSON: %s at byte %zu", what, (size_t)(s->p - s->start));
}

static int
scan_utf8(struct scan *s)
{
	size_t n = utf8_next((const char *)s->p, (size_t)(s->end - s->p));

	if (n == 0)
		return refuse(s, "invalid UTF-8");
	s->p += n;
	return 0;
}

/* Four hex digits at p, or -1. */
static long
hex4(const uint8_t *p, const uint8_t *end)
{
	long v = 0;

	if (end - p < 4)
		return -1;
	for (int i = 0; i < 4; i++) {
		uint8_t c = p[i], low = c | 0x20;

		if (c >= '0' && c <= '9')
			v = v * 16 + (c - '0');
		else if (low >= 'a' && low <= 'f')
			v = v * 16 + (low - 'a' + 10);
		else
			return -1;
	}
	return v;
}

/* s->p is at the backslash. */
static int
scan_escape(struct scan *s)
{
	const uint8_t *p = s->p + 1;
	long v, second;

	if (p == s->end)
		return refuse(s, "an unfinished escape");
	if (*p != 'u') {
		if (*p == 0 || strchr("\"\\/bfnrt", *p) == NULL)
			return refuse(s, "an unknown escape");
		s->p = p + 1;
		return 0;
	}
	v = hex4(++p, s->end);
	if (v < 0)
		return refuse(s, "a malformed \\u escape");
	if (v == 0)
		return refuse(s, "an escaped NUL");
	p += 4;
	if (v >= 0xd800 && v <= 0xdfff) {
		second = s->end - p >= 6 && p[0] == '\\' && p[1] == 'u' ? hex4(p + 2, s->end) : -1;
		if (v > 0xdbff || second < 0xdc00 || second > 0xdfff)
			return refuse(s, "a lone surrogate");
		p += 6;
	}
	s->p = p;
	return 0;
}

/* s->p is at the opening quote. */
static int
scan_string(struct scan *s)
{
	const uint8_t *p = s->p + 1, *end = s->end;
	int r;

	for (;;) {
		while (p < end && string_class[*p] == PLAIN)
			p++;
		s->p = p;
		if (p == end)
			return refuse(s, "an unfinished string");
		switch (string_class[*p]) {
		case QUOTE:
			s->p++;
			return 0;
		case ESCAPE:
			r = scan_escape(s);
			break;
		case CONTROL:
			return refuse(s, "a control character in a string");
		default:
			r = scan_utf8(s);
		}
		if (r < 0)
			return -1;
		p = s->p;
	}
}

static const uint8_t *
skip_digits(const uint8_t *p, const uint8_t *end)
{
	while (p < end && *p >= '0' && *p <= '9')
		p++;
	return p;
}

static int
scan_number(struct scan *s)
{
	const uint8_t *p = s->p, *end = s->end, *from;

	p += *p == '-';
	from = p;
	p = skip_digits(p, end);
	if (p == from)
		return refuse(s, "a malformed number");
	if (*from == '0' && p - from > 1)
		return refuse(s, "a number with a leading zero");
	if (p < end && *p == '.') {
		from = ++p;
		p = skip_digits(p, end);
		if (p == from)
			return refuse(s, "a malformed number");
	}
	if (p < end && (*p | 0x20) == 'e') {
		p++;
		p += p < end && (*p == '+' || *p == '-');
		from = p;
		p = skip_digits(p, end);
		if (p == from)
			return refuse(s, "a malformed number");
	}
	s->p = p;
	return 0;
}

static int
scan_word(struct scan *s)
{
	static const struct str words[] = {{"true", 4}, {"false", 5}, {"null", 4}};

	for (size_t i = 0; i < sizeof words / sizeof *words; i++)
		if ((size_t)(s->end - s->p) >= words[i].len &&
		    memcmp(s->p, words[i].p, words[i].len) == 0) {
			s->p += words[i].len;
			return 0;
		}
	return refuse(s, "an unknown word");
}

static int
open_container(struct scan *s, enum want *want)
{
	bool array = *s->p == '[';

	if (s->depth == JSON_DEPTH_MAX)
		/* Without the place: that changes with what is written to a condition about it. */
		return err_set(s->e, ERR_LIMIT, "nested more than %d levels deep", JSON_DEPTH_MAX);
	s->depth++;
	s->arrays = s->arrays << 1 | array;
	s->p++;
	*want = array ? WANT_FIRST_VALUE : WANT_FIRST_KEY;
	return 0;
}

/* What may follow a value that has just ended. */
static enum want
after_value(const struct scan *s)
{
	if (s->depth == 0)
		return AT_END;
	return s->arrays & 1 ? IN_ARRAY : IN_OBJECT;
}

/* One token or one mark of punctuation. */
static int
scan_step(struct scan *s, enum action action, enum want *want)
{
	int r = 0;

	switch (action) {
	case OPEN:
		s->tokens++;
		return open_container(s, want);
	case CLOSE:
		s->depth--;
		s->arrays >>= 1;
		s->p++;
		break;
	case COLON:
		s->p++;
		*want = WANT_VALUE;
		return 0;
	case COMMA:
		s->p++;
		*want = s->arrays & 1 ? WANT_VALUE : WANT_KEY;
		return 0;
	case KEY:
		s->tokens++;
		*want = WANT_COLON;
		return scan_string(s);
	case STRING:
		s->tokens++;
		r = scan_string(s);
		break;
	case NUMBER:
		s->tokens++;
		r = scan_number(s);
		break;
	case WORD:
		s->tokens++;
		r = scan_word(s);
		break;
	case SKIP:
	case REFUSE:
	default:
		return err_set(s->e, ERR_INVALID, "JSON: expected %s at byte %zu", wanted[*want],
		    (size_t)(s->p - s->start));
	}
	*want = after_value(s);
	return r;
}

int
json_scan(struct str text, size_t *tokens, struct err *e)
{
	const uint8_t *p = (const uint8_t *)text.p;
	struct scan s = {.start = p, .p = p, .e = e};
	enum want want = WANT_VALUE;

	if (text.len == 0)
		return err_set(e, ERR_INVALID, "JSON: the text is empty");
	if (text.len > JSON_OBJECT_MAX)
		return err_set(
		    e, ERR_LIMIT, "JSON: %zu bytes are more than %u", text.len, JSON_OBJECT_MAX);
	s.end = p + text.len;
	while (s.p < s.end) {
		enum action action = actions[want][byte_class[*s.p]];

		if (action == SKIP) {
			s.p++;
			continue;
		}
		if (scan_step(&s, action, &want) < 0)
			return -1;
		if (s.tokens > JSON_TOKENS_MAX)
			return err_set(e, ERR_LIMIT,
			    "more than %d keys and values, managedFields included",
			    JSON_TOKENS_MAX);
	}
	if (want != AT_END)
		return err_set(e, ERR_INVALID, "JSON: expected %s, but the text ends at byte %zu",
		    wanted[want], text.len);
	*tokens = s.tokens;
	return 0;
}
