/*
 * JSON, read: json_scan decides what is JSON, jsmn cuts it into tokens, and the functions here
 * walk them. One allocation holds the tokens and, beside each, the number of the token after
 * its subtree, so that a step to the next sibling costs the same in a list of ten thousand.
 * Everyone may call; nothing here writes into the text.
 */
#include "kube/kube.h"

#define JSMN_STRICT
#define JSMN_PARENT_LINKS
#define JSMN_STATIC
#include <jsmn.h>

#define FEW_KEYS 16 /* up to here comparing all pairs is cheaper than sorting */

static const jsmntok_t *
token(const struct json *j, int node)
{
	return (const jsmntok_t *)j->tokens + node;
}

/* The token after node's last descendant; j->n after the root's. */
static int
after(const struct json *j, int node)
{
	return ((const int *)((const jsmntok_t *)j->tokens + j->n))[node];
}

static bool
there(const struct json *j, int node)
{
	return node >= 0 && node < j->n;
}

static struct str
token_text(const struct json *j, int node)
{
	const jsmntok_t *t = token(j, node);

	return (struct str){j->text.p + t->start, (size_t)(t->end - t->start)};
}

/* --- Unescaping. Works on strings that json_scan has accepted, so every escape is complete. */
static unsigned
hex4(const char *p)
{
	unsigned v = 0;

	for (int i = 0; i < 4; i++) {
		unsigned c = (unsigned char)p[i];

		v = v * 16 + (c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
	}
	return v;
}

static size_t
put_utf8(char out[4], unsigned c)
{
	size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
	static const unsigned char lead[5] = {0, 0, 0xc0, 0xe0, 0xf0};

	for (size_t i = n - 1; i > 0; i--) {
		out[i] = (char)(0x80 | (c & 0x3f));
		c >>= 6;
	}
	out[0] = (char)(lead[n] | c);
	return n;
}

/*
 * Takes an escape off the front of s (which begins with a backslash); gives the length of its
 * UTF-8 in out.
 */
static size_t
take_escape(struct str *s, char out[4])
{
	static const char plain[256] = {['"'] = '"',
	    ['\\'] = '\\',
	    ['/'] = '/',
	    ['b'] = '\b',
	    ['f'] = '\f',
	    ['n'] = '\n',
	    ['r'] = '\r',
	    ['t'] = '\t'};
	unsigned c;

	if (s->p[1] != 'u') {
		out[0] = plain[(unsigned char)s->p[1]];
		*s = (struct str){s->p + 2, s->len - 2};
		return 1;
	}
	c = hex4(s->p + 2);
	*s = (struct str){s->p + 6, s->len - 6};
	if (c >= 0xd800 && c <= 0xdbff) {
		c = 0x10000 + ((c - 0xd800) << 10) + (hex4(s->p + 2) - 0xdc00);
		*s = (struct str){s->p + 6, s->len - 6};
	}
	return put_utf8(out, c);
}

/* As take_escape, or the bytes up to the next escape when there is none at the front. */
static struct str
take_piece(struct str *s, char buf[4])
{
	struct str piece = *s;
	const char *escape;

	if (s->p[0] == '\\') {
		piece = (struct str){buf, 0};
		piece.len = take_escape(s, buf);
		return piece;
	}
	escape = memchr(s->p, '\\', s->len);
	if (escape != NULL)
		piece.len = (size_t)(escape - s->p);
	*s = (struct str){s->p + piece.len, s->len - piece.len};
	return piece;
}

static bool
has_escape(struct str s)
{
	return s.len > 0 && memchr(s.p, '\\', s.len) != NULL;
}

/* out holds at least s.len bytes: what an escape stands for is never longer than the escape. */
static size_t
unescape(struct str s, char *out)
{
	char small[4];
	size_t len = 0;

	while (s.len > 0) {
		struct str piece = take_piece(&s, small);

		memcpy(out + len, piece.p, piece.len);
		len += piece.len;
	}
	return len;
}

/*
 * Does the string as it stands in the text mean `plain`? Most do not, and then it should be
 * quick.
 */
static bool
means(struct str s, struct str plain)
{
	char small[4];

	if (s.len <= plain.len)
		return str_eq(s, plain) &&
		       !has_escape(s); /* an escape is longer than its meaning */
	if ((plain.len > 0 && s.p[0] != plain.p[0] && s.p[0] != '\\') || !has_escape(s))
		return false;
	while (s.len > 0) {
		struct str piece = take_piece(&s, small);

		if (piece.len > plain.len || memcmp(piece.p, plain.p, piece.len) != 0)
			return false;
		plain = (struct str){plain.p + piece.len, plain.len - piece.len};
	}
	return plain.len == 0;
}

/* --- Parsing. */
static int
arena_full(struct err *e)
{
	return err_set(e, ERR_LIMIT, "JSON: the memory for one object is used up");
}

static int
compare_keys(const void *a, const void *b)
{
	const struct str *x = a, *y = b;

	if (x->len != y->len)
		return x->len < y->len ? -1 : 1;
	return x->len == 0 ? 0 : memcmp(x->p, y->p, x->len);
}

/* Two equal strings among n, or NULL. Sorts when there are many: n is the sender's choice. */
static const struct str *
find_twin(struct str *keys, size_t n)
{
	if (n <= FEW_KEYS) {
		for (size_t i = 1; i < n; i++)
			for (size_t k = 0; k < i; k++)
				if (str_eq(keys[i], keys[k]))
					return &keys[i];
		return NULL;
	}
	qsort(keys, n, sizeof *keys, compare_keys);
	for (size_t i = 1; i < n; i++)
		if (str_eq(keys[i], keys[i - 1]))
			return &keys[i];
	return NULL;
}

static int
check_object(const struct json *j, int object, struct str *keys, struct arena *a, struct err *e)
{
	const struct str *twin;
	char shown[64];
	size_t n = 0;

	for (int k = json_first(j, object); k != JSON_NONE; k = json_next(j, k)) {
		struct str key = token_text(j, k);

		if (has_escape(key)) {
			char *copy = arena_alloc(a, key.len);

			if (copy == NULL)
				return arena_full(e);
			key = (struct str){copy, unescape(key, copy)};
		}
		keys[n++] = key;
	}
	twin = find_twin(keys, n);
	if (twin == NULL)
		return 0;
	str_copy_text(shown, sizeof shown, *twin);
	return err_set(e, ERR_INVALID, "JSON: the key \"%s\" stands twice in the object at byte %d",
	    shown, token(j, object)->start);
}

/*
 * Keys are compared by what they mean: "a" and "\u0061" are one key to whoever reads the object
 * later.
 */
static int
check_duplicates(const struct json *j, struct arena *a, struct err *e)
{
	struct str *keys;
	int most = 1;

	for (int node = 0; node < j->n; node++)
		if (token(j, node)->type == JSMN_OBJECT && token(j, node)->size > most)
			most = token(j, node)->size;
	if (most == 1)
		return 0;
	keys = arena_array(a, (size_t)most, sizeof *keys);
	if (keys == NULL)
		return arena_full(e);
	for (int node = 0; node < j->n; node++)
		if (token(j, node)->type == JSMN_OBJECT && token(j, node)->size > 1 &&
		    check_object(j, node, keys, a, e) < 0)
			return -1;
	return 0;
}

/*
 * From the last token to the first, so that the children's ends are known; each is looked at
 * once.
 */
static void
link_siblings(struct json *j)
{
	jsmntok_t *tokens = j->tokens;
	int *ends = (int *)(tokens + j->n);

	for (int node = j->n - 1; node >= 0; node--) {
		int end = node + 1;

		for (int child = 0; child < tokens[node].size; child++)
			end = ends[end];
		ends[node] = end;
	}
}

/* jsmn takes a number or word only when something follows it, and after a root nothing does. */
static bool
lone_word(struct str text, jsmntok_t *t)
{
	size_t start = 0, end = text.len;

	while (strchr(" \t\r\n", text.p[start]) != NULL)
		start++;
	if (strchr("{[\"", text.p[start]) != NULL)
		return false;
	while (strchr(" \t\r\n", text.p[end - 1]) != NULL)
		end--;
	*t =
	    (jsmntok_t){.type = JSMN_PRIMITIVE, .start = (int)start, .end = (int)end, .parent = -1};
	return true;
}

int
json_parse(struct json *j, struct str text, struct arena *a, struct err *e)
{
	jsmn_parser parser;
	size_t n;

	*j = (struct json){.text = text};
	if (json_scan(text, &n, e) < 0)
		return -1;
	j->tokens = arena_array(a, n, sizeof(jsmntok_t) + sizeof(int));
	if (j->tokens == NULL)
		return arena_full(e);
	if (!lone_word(text, j->tokens)) {
		jsmn_init(&parser);
		if (jsmn_parse(&parser, text.p, text.len, j->tokens, (unsigned)n) != (int)n)
			return err_set(e, ERR_INVALID, "JSON: jsmn refuses what the scan accepted");
	}
	j->n = (int)n;
	link_siblings(j);
	if (check_duplicates(j, a, e) == 0)
		return 0;
	j->n = 0;
	return -1;
}

/* --- Walking. */
enum json_type
json_type(const struct json *j, int node)
{
	if (!there(j, node))
		return JSON_T_NONE;
	switch (token(j, node)->type) {
	case JSMN_OBJECT:
		return JSON_T_OBJECT;
	case JSMN_ARRAY:
		return JSON_T_ARRAY;
	case JSMN_STRING:
		return JSON_T_STRING;
	case JSMN_PRIMITIVE:
	case JSMN_UNDEFINED:
		break;
	}
	switch (token_text(j, node).p[0]) {
	case 't':
	case 'f':
		return JSON_T_BOOL;
	case 'n':
		return JSON_T_NULL;
	default:
		return JSON_T_NUMBER;
	}
}

bool
json_absent(const struct json *j, int node)
{
	enum json_type type = json_type(j, node);

	return type == JSON_T_NONE || type == JSON_T_NULL;
}

int
json_root(const struct json *j)
{
	return j->n > 0 ? 0 : JSON_NONE;
}

int
json_get(const struct json *j, int object, struct str key)
{
	if (json_type(j, object) != JSON_T_OBJECT)
		return JSON_NONE;
	for (int k = json_first(j, object); k != JSON_NONE; k = json_next(j, k))
		if (means(token_text(j, k), key))
			return k + 1;
	return JSON_NONE;
}

int
json_path(const struct json *j, int object, const char *dotted)
{
	while (object != JSON_NONE) {
		size_t n = strcspn(dotted, ".");

		object = json_get(j, object, (struct str){dotted, n});
		if (dotted[n] == '\0')
			break;
		dotted += n + 1;
	}
	return object;
}

int
json_count(const struct json *j, int node)
{
	enum json_type type = json_type(j, node);

	return type == JSON_T_OBJECT || type == JSON_T_ARRAY ? token(j, node)->size : 0;
}

int
json_first(const struct json *j, int node)
{
	return json_count(j, node) > 0 ? node + 1 : JSON_NONE;
}

int
json_next(const struct json *j, int k)
{
	int next;

	if (!there(j, k))
		return JSON_NONE;
	next = after(j, k);
	return next < j->n && token(j, next)->parent == token(j, k)->parent ? next : JSON_NONE;
}

int
json_value(const struct json *j, int key)
{
	return there(j, key) && token(j, key)->type == JSMN_STRING && token(j, key)->size == 1
	           ? key + 1
	           : JSON_NONE;
}

struct str
json_raw(const struct json *j, int node)
{
	struct str s;

	if (!there(j, node))
		return (struct str){"", 0};
	s = token_text(j, node);
	return token(j, node)->type == JSMN_STRING ? (struct str){s.p - 1, s.len + 2} : s;
}

/* --- Values. */
int
json_string(
    const struct json *j, int node, size_t max, struct arena *a, struct str *out, struct err *e)
{
	struct str s;
	char *copy;
	size_t len;

	if (json_type(j, node) != JSON_T_STRING)
		return err_set(e, ERR_INVALID, "is not a string");
	s = token_text(j, node);
	/*
	 * The longest way to write one byte is \u00XX: a longer text needs no memory to be
	 * refused.
	 */
	if (s.len / 6 > max || (!has_escape(s) && s.len > max))
		return err_set(e, ERR_LIMIT, "is longer than %zu bytes", max);
	copy = arena_alloc(a, s.len + 1);
	if (copy == NULL)
		return arena_full(e);
	len = unescape(s, copy);
	copy[len] = '\0';
	if (len > max)
		return err_set(e, ERR_LIMIT, "is longer than %zu bytes", max);
	*out = (struct str){copy, len};
	return 0;
}

void
json_copy_text(const struct json *j, int node, char *dst, size_t size)
{
	char small[4], one[8];
	size_t used = 0;
	struct str s = {"", 0};

	if (json_type(j, node) == JSON_T_STRING)
		s = token_text(j, node);
	while (s.len > 0) {
		struct str piece = {s.p, 1};

		if (s.p[0] == '\\')
			piece = take_piece(&s, small);
		else {
			piece.len = utf8_next(s.p, s.len);
			s = (struct str){s.p + piece.len, s.len - piece.len};
		}
		str_copy_text(one, sizeof one, piece);
		if (used + strlen(one) >= size)
			break;
		memcpy(dst + used, one, strlen(one));
		used += strlen(one);
	}
	dst[used] = '\0';
}

bool
json_string_is(const struct json *j, int node, const char *text)
{
	return json_type(j, node) == JSON_T_STRING && means(token_text(j, node), str_of(text));
}

int
json_i64(const struct json *j, int node, int64_t *out)
{
	if (json_type(j, node) != JSON_T_NUMBER)
		return -1;
	return str_to_i64(token_text(j, node), out);
}

int
json_bool(const struct json *j, int node, bool *out)
{
	if (json_type(j, node) != JSON_T_BOOL)
		return -1;
	*out = token_text(j, node).p[0] == 't';
	return 0;
}
