/*
 * Streams of objects, cut into objects: the body of a LIST into its items, that of a watch into
 * its lines, whatever the sizes of the pieces they arrive in. Pure, and at most one object is
 * held. What stands around a LIST's items (the envelope) is collected apart and validated at
 * the end, so metadata may come before or after them. Callers: watch.c, the fuzzer.
 */
#include "kube/kube.h"

/* apiVersion, kind and metadata with a continue token are below 1 KB. */
#define ENVELOPE_MAX 16384
/*
 * json_parse of one object needs 24 bytes a token, 16 for each key of the largest object (at
 * most half of the tokens) and the keys that have escapes unescaped, which are no more bytes
 * than the text; each such key is rounded up to 16.
 */
#define ARENA_CAP (JSON_TOKENS_MAX * (24 + 16 / 2 + 16 / 2) + JSON_OBJECT_MAX)

enum phase {
	OUTSIDE,     /* LIST: in the envelope */
	FIRST_ITEM,  /* LIST: after `[`; an item or `]` is due */
	BEFORE_ITEM, /* LIST: after a comma; an item is due */
	IN_ITEM,
	AFTER_ITEM,
	IN_LINES, /* WATCH */
	FAILED,
};

/* What structure needs to be told by: the rest of the bytes is the parser's business. */
enum mark { OTHER, SPACE, QUOTE, OPEN, CLOSE };
static const uint8_t marks[256] = {
    [' '] = SPACE,
    ['\t'] = SPACE,
    ['\n'] = SPACE,
    ['\r'] = SPACE,
    ['"'] = QUOTE,
    ['{'] = OPEN,
    ['['] = OPEN,
    ['}'] = CLOSE,
    [']'] = CLOSE,
};

void
feed_init(struct feed *f, enum feed_mode mode, int (*on_item)(void *, const struct feed_item *),
    void *arg)
{
	*f = (struct feed){.mode = mode, .on_item = on_item, .arg = arg};
	f->phase = mode == FEED_LIST ? OUTSIDE : IN_LINES;
	buf_init(&f->buf, JSON_OBJECT_MAX);
	buf_init(&f->outline, JSON_OBJECT_MAX);
	buf_init(&f->envelope, ENVELOPE_MAX);
	arena_init(&f->arena, ARENA_CAP);
}

void
feed_free(struct feed *f)
{
	buf_free(&f->buf);
	buf_free(&f->outline);
	buf_free(&f->envelope);
	arena_free(&f->arena);
	f->phase = FAILED;
}

static int
refuse(struct err *e, const char *what)
{
	return err_set(e, ERR_INVALID, "stream: %s", what);
}

/* --- One object. */
static int
read_version(const struct json *j, int object, uint64_t *out)
{
	int node = json_path(j, object, "metadata.resourceVersion");
	char text[24];

	json_copy_text(j, node, text, sizeof text);
	return json_string_is(j, node, text) ? str_to_u64(str_of(text), out) : -1;
}

static int
hand_out(struct feed *f, struct feed_item *item, struct err *e)
{
	if (item->event != FEED_EXPIRED && item->event != FEED_ERROR &&
	    read_version(item->j, item->object, &item->version) < 0)
		return refuse(e, "an object without a resourceVersion");
	if (f->on_item(f->arg, item) < 0)
		return err_set(e, ERR_RETRY, "stream: its reader stopped it");
	return 0;
}

/*
 * 1: j holds f->buf's object; why: the bound that it is past, if j is but its outline. 0: not even
 * that can be read: it is passed over, since the stream is for others as well. -1: no JSON.
 */
static int
parse(struct feed *f, struct json *j, struct err *why, struct err *e)
{
	why->code = ERR_NONE;
	arena_reset(&f->arena);
	if (json_parse(j, buf_view(&f->buf), &f->arena, e) == 0)
		return 1;
	if (e->code != ERR_LIMIT)
		return -1;
	*why = *e;
	buf_free(&f->outline); /* rare: no need to keep it */
	arena_reset(&f->arena);
	if (json_outline(buf_view(&f->buf), &f->outline, e) == 0 &&
	    json_parse(j, buf_view(&f->outline), &f->arena, e) == 0)
		return 1;
	return e->code == ERR_LIMIT ? 0 : -1;
}

/* f->buf holds one item of a LIST. */
static int
take_item(struct feed *f, struct err *e)
{
	struct json j;
	struct feed_item item = {.event = FEED_ITEM, .j = &j, .raw = buf_view(&f->buf)};
	struct err why;
	int r;

	item.line_hash = hash_bytes(HASH_INIT, item.raw.p, item.raw.len);
	if (f->on_text != NULL && !f->on_text(f->arg, item.line_hash))
		return 0;
	if ((r = parse(f, &j, &why, e)) != 1)
		return r;
	item.limit = why.code == ERR_LIMIT ? why.text : NULL;
	return hand_out(f, &item, e);
}

static int
read_event(const struct json *j, struct feed_item *item, struct err *e)
{
	static const struct {
		const char *text;
		enum feed_event event;
	} events[] = {
	    {"ADDED", FEED_ADDED},
	    {"MODIFIED", FEED_ADDED},
	    {"DELETED", FEED_DELETED},
	    {"BOOKMARK", FEED_BOOKMARK},
	    {"ERROR", FEED_ERROR},
	};
	int type = json_get(j, 0, STR("type"));

	for (size_t i = 0; i < sizeof events / sizeof *events; i++)
		if (json_string_is(j, type, events[i].text)) {
			item->event = events[i].event;
			return 0;
		}
	return refuse(e, "a line of no known type");
}

/* f->buf holds one line of a watch, without its newline. */
static int
take_line(struct feed *f, struct err *e)
{
	struct json j;
	struct feed_item item = {.j = &j};
	struct str line = buf_view(&f->buf);
	struct err why;
	int marker, r;

	if (strspn(line.p, " \t\r") == line.len)
		return 0;
	item.line_hash = hash_bytes(HASH_INIT, line.p, line.len);
	if (f->on_text != NULL && !f->on_text(f->arg, item.line_hash))
		return 0;
	if ((r = parse(f, &j, &why, e)) != 1)
		return r;
	item.limit = why.code == ERR_LIMIT ? why.text : NULL;
	if (read_event(&j, &item, e) < 0)
		return -1;
	item.object = json_get(&j, 0, STR("object"));
	if (json_type(&j, item.object) != JSON_T_OBJECT)
		return refuse(e, "a line without an object");
	item.raw = json_raw(&j, item.object);
	if (item.event == FEED_ERROR) {
		if (decode_status(&j, item.object, &item.status) < 0)
			return refuse(e, "an ERROR without a Status");
		if (item.status.code == 410)
			item.event = FEED_EXPIRED;
	}
	marker = json_get(&j, json_path(&j, item.object, "metadata.annotations"),
	    STR("k8s.io/initial-events-end"));
	item.initial_end = item.event == FEED_BOOKMARK && json_string_is(&j, marker, "true");
	return hand_out(f, &item, e);
}

/* --- Structure. */
/* From inside of a string to behind its closing quote, or to n. */
static size_t
skip_string(struct feed *f, const char *p, size_t i, size_t n)
{
	bool escaped = f->escaped;

	for (; i < n; i++) {
		if (escaped)
			escaped = false;
		else if (p[i] == '\\')
			escaped = true;
		else if (p[i] == '"') {
			f->in_string = false;
			i++;
			break;
		}
	}
	f->escaped = escaped;
	return i;
}

/*
 * Goes on until the container that f->depth counts from ends (`*ended`) or the bytes do; gives
 * how many belong to it. Knows strings and brackets only: whether the brackets match is
 * json_parse's business.
 */
static size_t
skip_value(struct feed *f, const char *p, size_t n, bool *ended)
{
	size_t i = 0;

	while (i < n) {
		if (f->in_string) {
			i = skip_string(f, p, i, n);
			continue;
		}
		while (i < n && marks[(unsigned char)p[i]] < QUOTE)
			i++;
		if (i == n)
			break;
		switch (marks[(unsigned char)p[i++]]) {
		case QUOTE:
			f->in_string = true;
			break;
		case OPEN:
			f->depth++;
			break;
		default:
			*ended = --f->depth == 0;
			if (*ended)
				return i;
		}
	}
	return i;
}

/* The `[` that would come next begins the items: it is the value of the root's key "items". */
static bool
at_items(const struct feed *f)
{
	static const char key[] = "\"items\"";
	struct str s = buf_view(&f->envelope);

	if (f->depth != 1 || s.len - f->string_at < sizeof key - 1 ||
	    memcmp(s.p + f->string_at, key, sizeof key - 1) != 0)
		return false;
	s = (struct str){
	    s.p + f->string_at + sizeof key - 1, s.len - f->string_at - (sizeof key - 1)};
	while (s.len > 0 && marks[(unsigned char)s.p[0]] == SPACE)
		s = (struct str){s.p + 1, s.len - 1};
	return s.len > 0 && s.p[0] == ':' && strspn(s.p + 1, " \t\r\n") == s.len - 1;
}

/* Outside of strings in the envelope: one byte's meaning. */
static int
envelope_mark(struct feed *f, unsigned char c, struct err *e)
{
	switch (marks[c]) {
	case QUOTE:
		f->in_string = true;
		f->string_at = f->envelope.len;
		return 0;
	case OPEN:
		if (f->depth == 0 && f->envelope.len > 0)
			return refuse(e, "more than one root");
		if (c == '[' && at_items(f)) {
			if (f->seen_items)
				return refuse(e, "items stands twice");
			f->seen_items = true;
			f->phase = FIRST_ITEM;
		}
		f->depth++;
		return 0;
	case CLOSE:
		if (f->depth == 0)
			return refuse(e, "a bracket that closes nothing");
		f->depth--;
		return 0;
	default:
		return f->depth == 0 ? refuse(e, "a list that is no object") : 0;
	}
}

static int
push_envelope(struct feed *f, char c, struct err *e)
{
	if (f->in_string)
		skip_string(f, &c, 0, 1);
	else if (f->depth == 0 && marks[(unsigned char)c] == SPACE)
		return 0;
	else if (envelope_mark(f, (unsigned char)c, e) < 0)
		return -1;
	buf_put(&f->envelope, &c, 1);
	return f->envelope.full ? err_set(e, ERR_LIMIT,
				      "stream: more than %d bytes around the items", ENVELOPE_MAX)
	                        : 0;
}

/*
 * Between items: commas, `]` and what an item begins with. f->depth is 2 here: the root and the
 * items.
 */
static int
push_between(struct feed *f, char c, struct err *e)
{
	if (marks[(unsigned char)c] == SPACE)
		return 0;
	if (c == ']' && f->phase != BEFORE_ITEM) {
		f->phase = OUTSIDE;
		return push_envelope(f, c, e);
	}
	if (c == ',' && f->phase == AFTER_ITEM) {
		f->phase = BEFORE_ITEM;
		return 0;
	}
	if (c != '{' || f->phase == AFTER_ITEM)
		return refuse(e, "items that are no list of objects");
	f->phase = IN_ITEM;
	f->depth = 1;
	buf_reset(&f->buf);
	buf_put(&f->buf, &c, 1);
	return 0;
}

static int
push_list(struct feed *f, const char *p, size_t n, struct err *e)
{
	for (size_t used; n > 0; p += used, n -= used) {
		bool ended = false;
		int r;

		used = 1;
		if (f->phase == IN_ITEM) {
			used = skip_value(f, p, n, &ended);
			buf_put(&f->buf, p, used);
			r = f->buf.full
			        ? err_set(e, ERR_LIMIT, "stream: an item of more than %u bytes",
				      JSON_OBJECT_MAX)
			        : 0;
			if (r == 0 && ended) {
				f->phase = AFTER_ITEM;
				f->depth = 2;
				r = take_item(f, e);
			}
		} else if (f->phase == OUTSIDE) {
			r = push_envelope(f, *p, e);
		} else {
			r = push_between(f, *p, e);
		}
		if (r < 0)
			return -1;
	}
	return 0;
}

static int
push_lines(struct feed *f, const char *p, size_t n, struct err *e)
{
	while (n > 0) {
		const char *newline = memchr(p, '\n', n);
		size_t used = newline == NULL ? n : (size_t)(newline - p);

		buf_put(&f->buf, p, used);
		if (f->buf.full)
			return err_set(
			    e, ERR_LIMIT, "stream: a line of more than %u bytes", JSON_OBJECT_MAX);
		if (newline == NULL)
			return 0;
		if (take_line(f, e) < 0)
			return -1;
		buf_reset(&f->buf);
		p = newline + 1;
		n -= used + 1;
	}
	return 0;
}

int
feed_push(struct feed *f, const char *p, size_t n, struct err *e)
{
	int r;

	if (f->phase == FAILED)
		return refuse(e, "it has failed before");
	r = f->mode == FEED_LIST ? push_list(f, p, n, e) : push_lines(f, p, n, e);
	if (r < 0)
		f->phase = FAILED;
	return r;
}

/* The envelope, with nothing left between its items' brackets. */
static int
end_list(struct feed *f, struct err *e)
{
	struct json j;
	struct str token = STR("");
	struct err why;
	int items, next;

	arena_reset(&f->arena);
	if (json_parse(&j, buf_view(&f->envelope), &f->arena, e) < 0)
		return -1;
	items = json_get(&j, 0, STR("items"));
	if (json_type(&j, items) != (f->seen_items ? JSON_T_ARRAY : JSON_T_NULL))
		return refuse(e, "a list without items");
	if (read_version(&j, 0, &f->list_version) < 0)
		return refuse(e, "a list without a resourceVersion");
	next = json_path(&j, 0, "metadata.continue");
	if (next != JSON_NONE && json_type(&j, next) != JSON_T_NULL &&
	    json_string(&j, next, sizeof f->continue_token - 1, &f->arena, &token, &why) < 0)
		return err_set(e, why.code, "stream: metadata.continue: %s", why.text);
	return str_copy(f->continue_token, sizeof f->continue_token, token);
}

int
feed_end(struct feed *f, struct err *e)
{
	int r;

	if (f->phase == FAILED)
		return refuse(e, "it has failed before");
	if (f->mode == FEED_WATCH)
		r = take_line(
		    f, e); /* a last line may lack its newline; what was cut off is no JSON */
	else
		r = end_list(f, e);
	f->phase = FAILED; /* nothing may follow */
	return r;
}
