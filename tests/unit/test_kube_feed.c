/*
 * feed.c: lists and watch streams give the same items however they are cut; garbage and excess
 * end them for good.
 */
#include "kube/kube.h"
#include "tests/unit/tap.h"

static struct err err;
static struct buf seen; /* one line an item */
static int stop_after;

static int
on_item(void *arg, const struct feed_item *item)
{
	(void)arg;
	buf_printf(&seen, "%d v%llu %016llx%s code=%d %s %s=%d:%.*s\n", (int)item->event,
	    (unsigned long long)item->version, (unsigned long long)item->line_hash,
	    item->initial_end ? " end" : "", item->status.code, item->status.reason, "object",
	    json_type(item->j, item->object) == JSON_T_OBJECT, (int)item->raw.len, item->raw.p);
	return stop_after > 0 && --stop_after == 0 ? -1 : 0;
}

static void
begin(struct feed *f, enum feed_mode mode)
{
	buf_reset(&seen);
	err = (struct err){.code = ERR_NONE};
	feed_init(f, mode, on_item, NULL);
}

/* Pushes a copy of exactly n bytes, so that ASan sees a read past the end. */
static int
push(struct feed *f, const char *p, size_t n)
{
	char *copy = xcalloc(n == 0 ? 1 : n, 1);
	int r;

	memcpy(copy, p, n);
	r = feed_push(f, copy, n, &err);
	xfree(copy);
	return r;
}

static int
push_text(struct feed *f, const char *text)
{
	return push(f, text, strlen(text));
}

/* The whole in two pieces, cut at `at`; 0 if push and end were. */
static int
in_two(enum feed_mode mode, const char *text, size_t at, struct feed *kept)
{
	struct feed f;
	int r;

	begin(&f, mode);
	r = push(&f, text, at) < 0 || push(&f, text + at, strlen(text) - at) < 0 ||
	            feed_end(&f, &err) < 0
	        ? -1
	        : 0;
	if (kept != NULL)
		*kept = f;
	feed_free(&f);
	return r;
}

static int
whole(enum feed_mode mode, const char *text, struct feed *kept)
{
	return in_two(mode, text, strlen(text), kept);
}

#define ITEM(name, version, rest)                                                                  \
	"{\"metadata\":{\"name\":\"" name "\",\"resourceVersion\":\"" version "\"}" rest "}"
static const char list[] =
    " {\"kind\":\"BGClusterList\",\"apiVersion\":\"v1\",\"metadata\":{\"resourceVersion\":\"42\","
    "\"continue\":\"abc\\u0064\","
    "\"items\":[1]},\"x\":{\"items\":[{\"a\":1}]},\n\"items\" : [ " ITEM("a", "1", "") " , " ITEM(
	"b", "2", ",\"s\":\"]},{\\\"\\\\\",\"n\":[[{}]]") "," ITEM("c", "3",
	"") "\n], \"y\":\"items\"}\n ";
static const char stream[] = "{\"type\":\"ADDED\",\"object\":" ITEM("a", "1",
    "") "}\n"
	"\n \r\n"
	"{\"object\":" ITEM("a", "2",
	    ",\"s\":\"\\n{\"") ",\"type\":\"MODIFIED\"}\r\n"
			       "{\"type\":\"DELETED\",\"object\":" ITEM("a", "3",
				   "") "}\n"
				       "{\"type\":\"BOOKMARK\",\"object\":{\"metadata\":{"
				       "\"resourceVersion\":\"9\"}}}\n"
				       "{\"type\":\"BOOKMARK\",\"object\":{\"metadata\":{"
				       "\"resourceVersion\":\"10\",\"annotations\":"
				       "{\"k8s.io/initial-events-end\":\"true\"}}}}\n"
				       "{\"type\":\"ERROR\",\"object\":{\"kind\":\"Status\","
				       "\"code\":410,\"reason\":\"Expired\"}}\n"
				       "{\"type\":\"ERROR\",\"object\":{\"kind\":\"Status\","
				       "\"code\":500,\"reason\":\"Internal\"}}\n";

static size_t
lines(void)
{
	size_t n = 0;

	for (size_t i = 0; i < seen.len; i++)
		n += seen.p[i] == '\n';
	return n;
}

static void
test_list(void)
{
	struct feed f;

	CHECK(whole(FEED_LIST, list, &f) == 0 && lines() == 3 && f.list_version == 42 &&
		  strcmp(f.continue_token, "abcd") == 0,
	    "a list of three");
	CHECK(strstr(seen.p, "0 v2 ") != NULL &&
		  strstr(seen.p,
		      "object=1:" ITEM("b", "2", ",\"s\":\"]},{\\\"\\\\\",\"n\":[[{}]]")) != NULL,
	    "an item as it stands");
	CHECK(whole(FEED_LIST,
		  "{\"items\":[" ITEM("a", "1", "") "],\"metadata\":{\"resourceVersion\":\"5\"}}",
		  &f) == 0 &&
		  lines() == 1 && f.list_version == 5 && f.continue_token[0] == '\0',
	    "metadata after the items");
	CHECK(whole(FEED_LIST,
		  "{\"metadata\":{\"resourceVersion\":\"5\",\"continue\":null},\"items\":[]}",
		  &f) == 0 &&
		  lines() == 0 && f.continue_token[0] == '\0',
	    "no items");
	CHECK(whole(FEED_LIST, "{\"metadata\":{\"resourceVersion\":\"5\"},\"items\":null}", NULL) ==
		      0 &&
		  lines() == 0,
	    "items null, as Go writes an empty slice");
}

static void
test_watch(void)
{
	static const char *const expected[] = {
	    "1 v1 ", "1 v2 ", "2 v3 ", "3 v9 ", "3 v10 ", "4 v0 ", "5 v0 "};
	const char *p;
	bool same = true;

	CHECK(whole(FEED_WATCH, stream, NULL) == 0 && lines() == 7, "seven events");
	p = seen.p;
	for (size_t i = 0; i < 7; i++) {
		same = same && strncmp(p, expected[i], strlen(expected[i])) == 0;
		p = strchr(p, '\n') + 1;
	}
	CHECK(same, "each of its kind, with its version");
	CHECK(strstr(seen.p, "end code=0  object=1:{\"metadata\":{\"resourceVersion\":\"10\"") !=
		      NULL &&
		  strstr(strstr(seen.p, " end ") + 1, " end ") == NULL,
	    "one ends the initial events");
	CHECK(strstr(seen.p, "code=410 Expired") != NULL &&
		  strstr(seen.p, "code=500 Internal") != NULL,
	    "errors with their Status");
	CHECK(whole(FEED_WATCH, "{\"type\":\"ADDED\",\"object\":" ITEM("a", "1", "") "}", NULL) ==
		      0 &&
		  lines() == 1,
	    "a last line without its newline");
	CHECK(whole(FEED_WATCH, "", NULL) == 0 && whole(FEED_WATCH, "\n\n", NULL) == 0 &&
		  lines() == 0,
	    "nothing");
}

static void
test_splits(enum feed_mode mode, const char *text, const char *name)
{
	struct buf expected;
	struct feed f;
	bool same = true;
	size_t n = strlen(text);
	int r = 0;

	whole(mode, text, NULL);
	buf_init(&expected, 65536);
	buf_str(&expected, buf_view(&seen));
	for (size_t at = 0; at <= n; at++)
		same = same && in_two(mode, text, at, NULL) == 0 &&
		       str_eq(buf_view(&expected), buf_view(&seen));
	CHECK(same, name);
	begin(&f, mode);
	for (size_t i = 0; i < n && r == 0; i++)
		r = push(&f, text + i, 1);
	CHECK(r == 0 && feed_end(&f, &err) == 0 && str_eq(buf_view(&expected), buf_view(&seen)),
	    "and byte by byte");
	feed_free(&f);
	buf_free(&expected);
}

static void
test_truncated(
    enum feed_mode mode, const char *text, bool (*complete)(const char *, size_t), const char *name)
{
	bool right = true;
	struct feed f;

	for (size_t n = 0; n < strlen(text); n++) {
		begin(&f, mode);
		right = right && push(&f, text, n) == 0 &&
		        (feed_end(&f, &err) == 0) == complete(text, n);
		feed_free(&f);
	}
	CHECK(right, name);
}

static bool
list_is_complete(const char *text, size_t n)
{
	return n >= strlen(text) - 2; /* white space after the root */
}

/*
 * A stream may end before or in the white space that follows a line; there is none inside of
 * one.
 */
static bool
stream_is_complete(const char *text, size_t n)
{
	while (n > 0 && strchr(" \r\n", text[n - 1]) != NULL)
		n--;
	return n == 0 || strchr(" \r\n", text[n]) != NULL;
}

static const char *const bad_lists[] = {
    "",
    " ",
    "[]",
    "1",
    "\"items\"",
    "null",
    "{}",
    "{\"items\":[]}",
    "{\"metadata\":{\"resourceVersion\":\"5\"}}",
    "{\"metadata\":{\"resourceVersion\":\"5\"},\"items\":{}}",
    "{\"metadata\":{\"resourceVersion\":\"5\"},\"items\":5}",
    "{\"metadata\":{\"resourceVersion\":\"5\"},\"\\u0069tems\":[{}]}",
    "{\"metadata\":{\"resourceVersion\":5},\"items\":[]}",
    "{\"metadata\":{\"resourceVersion\":\"x\"},\"items\":[]}",
    "{\"metadata\":{\"resourceVersion\":\"5\"},\"items\":[],\"items\":[]}",
    "{\"metadata\":{\"resourceVersion\":\"5\"},\"items\":[],\"items\":null}",
    "{\"metadata\":{\"resourceVersion\":\"5\"},\"items\":[1]}",
    "{\"metadata\":{\"resourceVersion\":\"5\"},\"items\":[[]]}",
    "{\"metadata\":{\"resourceVersion\":\"5\"},\"items\":[,]}",
    "{\"metadata\":{\"resourceVersion\":\"5\"},\"items\":[" ITEM("a", "1", "") ",]}",
    "{\"metadata\":{\"resourceVersion\":\"5\"},\"items\":[" ITEM("a", "1", "")
	ITEM("b", "2", "") "]}",
    "{\"metadata\":{\"resourceVersion\":\"5\"},\"items\":[" ITEM("a", "1", "") "}}",
    "{\"metadata\":{\"resourceVersion\":\"5\"},\"items\":[" ITEM("a", "", "") "]}",
    "{\"metadata\":{\"resourceVersion\":\"5\"},\"items\":[{\"a\":]}]}",
    "{\"metadata\":{\"resourceVersion\":\"5\"},\"items\":[{\"a\":1,\"a\":2}]}",
    "{\"metadata\":{\"resourceVersion\":\"5\"},\"items\":[]}}",
    "{\"metadata\":{\"resourceVersion\":\"5\"},\"items\":[]} {}",
    "{\"metadata\":{\"resourceVersion\":\"5\"},\"items\":[]]",
    "{\"metadata\":{\"resourceVersion\":\"5\"},\"items\":[],}",
    "{\"metadata\":{\"resourceVersion\":\"5\"},\"items\"[]}",
    "{\"metadata\":{\"resourceVersion\":\"5\"},\"x\":\"items\":[]}",
    "{\"metadata\":{\"resourceVersion\":\"5\",\"continue\":5},\"items\":[]}",
    "{\"metadata\":{\"resourceVersion\":\"5\"},\"a\xff\":1,\"items\":[]}",
    "\xef\xbb\xbf{\"metadata\":{\"resourceVersion\":\"5\"},\"items\":[]}",
    "]",
};
static const char *const bad_lines[] = {
    "x\n",
    "{}\n",
    "[]\n",
    "{\"type\":\"ADDED\"}\n",
    "{\"type\":\"ADDED\",\"object\":[]}\n",
    "{\"type\":\"ADDED\",\"object\":null}\n",
    "{\"type\":\"ADDED\",\"object\":{}}\n",
    "{\"type\":\"ADDED\",\"object\":{\"metadata\":{\"resourceVersion\":\"\"}}}\n",
    "{\"type\":\"ADDED\",\"object\":{\"metadata\":{\"resourceVersion\":\"1 \"}}}\n",
    "{\"type\":\"ADDED\",\"object\":{\"metadata\":{\"resourceVersion\":"
    "\"00000000000000000000000000000001\"}}}\n",
    "{\"type\":\"added\",\"object\":" ITEM("a", "1", "") "}\n",
    "{\"type\":\"PATCHED\",\"object\":" ITEM("a", "1", "") "}\n",
    "{\"type\":1,\"object\":" ITEM("a", "1", "") "}\n",
    "{\"object\":" ITEM("a", "1", "") "}\n",
    "{\"type\":\"ADDED\",\"object\":" ITEM("a", "1", "") "} {}\n",
    "{\"type\":\"ADDED\",\"type\":\"DELETED\",\"object\":" ITEM("a", "1", "") "}\n",
    "{\"type\":\"ADDED\",\"object\":\n" ITEM("a", "1", "") "}\n",
    "{\"type\":\"BOOKMARK\",\"object\":{\"metadata\":{}}}\n",
    "{\"type\":\"ERROR\",\"object\":{\"kind\":\"Pod\"}}\n",
};

static void
test_bad(enum feed_mode mode, const char *const *bad, size_t n)
{
	char name[200];

	for (size_t i = 0; i < n; i++) {
		str_copy_text(name, sizeof name, str_of(bad[i]));
		CHECK(whole(mode, bad[i], NULL) == -1 && err.code == ERR_INVALID, name);
	}
}

static void
test_failed_stays(void)
{
	struct feed f;

	begin(&f, FEED_WATCH);
	CHECK(push_text(&f, "x\n") == -1 && push_text(&f, stream) == -1 &&
		  err.code == ERR_INVALID && seen.len == 0 && feed_end(&f, &err) == -1,
	    "a watch that failed stays so");
	feed_free(&f);
	begin(&f, FEED_LIST);
	CHECK(push_text(&f, "x") == -1 && push_text(&f, list) == -1 && seen.len == 0 &&
		  feed_end(&f, &err) == -1,
	    "a list that failed stays so");
	feed_free(&f);
	begin(&f, FEED_WATCH);
	CHECK(feed_end(&f, &err) == 0 && push_text(&f, "\n") == -1, "nothing follows the end");
	feed_free(&f);
	stop_after = 2;
	begin(&f, FEED_WATCH);
	CHECK(push_text(&f, stream) == -1 && err.code == ERR_RETRY && lines() == 2 &&
		  push_text(&f, "\n") == -1,
	    "its reader stops it");
	stop_after = 0;
	feed_free(&f);
}

static void
test_oversized(void)
{
	static char block[65536];
	struct feed f;
	int r = 0;
	size_t sent = 0;

	memset(block, 'a', sizeof block);
	begin(&f, FEED_WATCH);
	push_text(&f, "{\"type\":\"");
	for (; r == 0 && sent < 2 * (size_t)JSON_OBJECT_MAX; sent += sizeof block)
		r = feed_push(&f, block, sizeof block, &err);
	CHECK(r == -1 && err.code == ERR_LIMIT && sent <= JSON_OBJECT_MAX + 2 * sizeof block &&
		  f.buf.len <= JSON_OBJECT_MAX,
	    "an endless line");
	feed_free(&f);
	begin(&f, FEED_LIST);
	push_text(&f, "{\"items\":[{\"a\":\"");
	for (r = 0, sent = 0; r == 0 && sent < 2 * (size_t)JSON_OBJECT_MAX; sent += sizeof block)
		r = feed_push(&f, block, sizeof block, &err);
	CHECK(r == -1 && err.code == ERR_LIMIT && f.buf.len <= JSON_OBJECT_MAX &&
		  f.envelope.len < 100,
	    "an endless item");
	feed_free(&f);
	begin(&f, FEED_LIST);
	push_text(&f, "{\"a\":\"");
	r = feed_push(&f, block, sizeof block, &err);
	CHECK(r == -1 && err.code == ERR_LIMIT && f.envelope.len <= 16384, "an endless envelope");
	feed_free(&f);
	memset(block, ' ', sizeof block);
	begin(&f, FEED_LIST);
	push_text(&f, "{\"metadata\":{\"resourceVersion\":\"5\"},\"items\":[");
	for (r = 0, sent = 0; r == 0 && sent < (4u << 20); sent += sizeof block)
		r = feed_push(&f, block, sizeof block, &err);
	CHECK(r == 0 && f.envelope.len < 100 && push_text(&f, "]}") == 0 && feed_end(&f, &err) == 0,
	    "white space between items takes no memory");
	feed_free(&f);
}

/* name is also its version. Too deep, or of too many tokens even without its spec. */
static void
put_large(struct buf *b, const char *name, bool even_without)
{
	buf_printf(
	    b, "{\"metadata\":{\"name\":\"%s\",\"resourceVersion\":\"%s\"},\"spec\":", name, name);
	for (int i = 0; i < 2 * JSON_DEPTH_MAX; i++)
		buf_puts(b, "[");
	for (int i = 0; i < 2 * JSON_DEPTH_MAX; i++)
		buf_puts(b, "]");
	buf_puts(b, ",\"status\":[0");
	for (int i = 0; even_without && i < JSON_TOKENS_MAX; i++)
		buf_puts(b, ",0");
	buf_puts(b, "]}");
}

static int
on_large(void *arg, const struct feed_item *item)
{
	char name[16];

	(void)arg;
	json_copy_text(
	    item->j, json_path(item->j, item->object, "metadata.name"), name, sizeof name);
	buf_printf(&seen, "%s v%llu %s\n", name, (unsigned long long)item->version,
	    item->limit != NULL ? "outline" : "whole");
	return 0;
}

/* Who may write an object must not be able to end the stream that all others come through. */
static void
test_past_the_bounds(void)
{
	static const char wanted[] = "1 v1 whole\n2 v2 outline\n4 v4 whole\n";
	struct feed f;
	struct buf b;

	for (int mode = 0; mode < 2; mode++) {
		buf_init(&b, JSON_OBJECT_MAX);
		begin(&f, mode == 0 ? FEED_LIST : FEED_WATCH);
		f.on_item = on_large;
		if (mode == 0)
			buf_puts(&b, "{\"metadata\":{\"resourceVersion\":\"5\"},\"items\":[");
		for (int i = 1; i <= 4; i++) {
			char name[2] = {(char)('0' + i), '\0'};

			buf_puts(&b, mode == 1 ? "{\"type\":\"ADDED\",\"object\":"
				     : i > 1   ? ","
					       : "");
			if (i == 2 || i == 3)
				put_large(&b, name, i == 3);
			else
				buf_printf(&b,
				    "{\"metadata\":{\"name\":\"%s\",\"resourceVersion\":\"%s\"}}",
				    name, name);
			buf_puts(&b, mode == 1 ? "}\n" : "");
		}
		if (mode == 0)
			buf_puts(&b, "]}");
		CHECK(push(&f, b.p, b.len) == 0 && feed_end(&f, &err) == 0 &&
			  str_is(buf_view(&seen), wanted),
		    mode == 0 ? "one item past the bounds is an outline, or passed over"
			      : "and so is a line");
		feed_free(&f);
		buf_free(&b);
	}
}

static void
test_items_twice(void)
{
	whole(FEED_LIST, "{\"items\":[" ITEM("a", "1", "") "],\"items\":[" ITEM("b", "2", "") "]}",
	    NULL);
	CHECK(lines() == 1 && err.code == ERR_INVALID,
	    "of two lists of items the second is not read");
}

/* 5000 items in one list: what is held does not grow. */
static void
test_long_list(void)
{
	struct feed f;
	char item[200];
	size_t most = 0;
	int r = 0;

	begin(&f, FEED_LIST);
	r |= push_text(&f, "{\"items\":[");
	for (int i = 0; i < 5000; i++) {
		buf_reset(&seen);
		snprintf(item, sizeof item, "%s" ITEM("x", "%d", ",\"\\u0061\":[1,2,3]"),
		    i > 0 ? "," : "", i + 1);
		r |= push_text(&f, item);
		if (f.buf.size + f.envelope.size + f.arena.used > most)
			most = f.buf.size + f.envelope.size + f.arena.used;
	}
	r |= push_text(&f, "],\"metadata\":{\"resourceVersion\":\"5\"}}");
	CHECK(r == 0 && feed_end(&f, &err) == 0 && f.list_version == 5 && most < 8192,
	    "5000 items in the memory of one");
	feed_free(&f);
}

/*
 * The hungriest object that json_parse takes needs no more than the feed's arena: as many keys as
 * fit, all with an escape, each one byte longer than a multiple of the arena's grain.
 */
static void
test_arena_suffices(void)
{
	struct feed f;
	struct buf b;

	buf_init(&b, JSON_OBJECT_MAX);
	buf_puts(&b, "{\"type\":\"ADDED\",\"object\":" ITEM("a", "1", "") ",\"x\":{");
	for (int i = 0; i < 4064; i++)
		buf_printf(&b, "%s\"\\u0061%0763d\":0", i > 0 ? "," : "", i);
	buf_puts(&b, "}}");
	begin(&f, FEED_WATCH);
	CHECK(!b.full && b.len > JSON_OBJECT_MAX - 256 && push(&f, b.p, b.len) == 0 &&
		  push_text(&f, "\n") == 0 && lines() == 1,
	    "an object of the most tokens, bytes and escaped keys");
	feed_free(&f);
	buf_free(&b);
}

int
main(void)
{
	buf_init(&seen, 65536);
	test_list();
	test_watch();
	test_splits(FEED_LIST, list, "a list cut anywhere");
	test_splits(FEED_WATCH, stream, "a watch cut anywhere");
	test_truncated(FEED_LIST, list, list_is_complete, "a list that ends early is no list");
	test_truncated(FEED_WATCH, stream, stream_is_complete,
	    "a watch that ends inside of a line is garbage");
	test_bad(FEED_LIST, bad_lists, sizeof bad_lists / sizeof *bad_lists);
	test_bad(FEED_WATCH, bad_lines, sizeof bad_lines / sizeof *bad_lines);
	test_failed_stays();
	test_oversized();
	test_past_the_bounds();
	test_items_twice();
	test_long_list();
	test_arena_suffices();
	buf_free(&seen);
	return tap_done();
}
