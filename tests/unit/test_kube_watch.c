/*
 * kube/watch.c against a scripted server: WatchList and fallback, pages, bookmarks, 410, idle,
 * back-off, pause, restart, going back.
 */
#include <signal.h>

#include "kube/http.h"
#include "tests/unit/kube_server.h"
#include "tests/unit/tap.h"

static struct kube *kube;
static struct kube_watch *watch;
static char trace[65536]; /* B begin, +name@version, -name, S synced, !trouble */
static unsigned synced, events, troubles, requests, unauthorized;
static char paths[256][1024];
static char accepts[256][128];

static void
put(const char *fmt, ...)
{
	va_list ap;
	size_t n = strlen(trace);
	va_start(ap, fmt);
	vsnprintf(trace + n, sizeof(trace) - n, fmt, ap);
	va_end(ap);
	events++;
}

static bool pause_each, restart_once, stop_once;

static void
obey(void)
{
	if (pause_each)
		kube_watch_pause(watch, true);
	if (restart_once) {
		restart_once = false;
		kube_watch_restart(watch);
	}
	if (stop_once) {
		stop_once = false;
		kube_watch_stop(watch);
		watch = NULL;
	}
}

static void
on_begin(void *arg)
{
	(void)arg;
	put("B ");
	obey();
}

static void
put_item(char sign, const struct feed_item *item)
{
	struct arena a;
	struct str name = STR("?");
	arena_init(&a, 65536);
	json_string(
	    item->j, json_path(item->j, item->object, "metadata.name"), 253, &a, &name, NULL);
	put("%c%.*s@%llu ", sign, (int)name.len, name.p, (unsigned long long)item->version);
	arena_free(&a);
}

static void
on_object(void *arg, const struct feed_item *item)
{
	(void)arg;
	put_item('+', item);
	obey();
}

static void
on_deleted(void *arg, const struct feed_item *item)
{
	(void)arg;
	put_item('-', item);
	obey();
}

static void
on_synced(void *arg)
{
	(void)arg;
	put("S ");
	synced++;
	obey();
}

static void
on_trouble(void *arg, const struct err *e)
{
	(void)arg, (void)e;
	troubles++;
	put("!%s ", err_code_name(e->code));
}

static void
on_unauthorized(void *arg)
{
	(void)arg;
	unauthorized++;
}

/* --- The script: one step for each request that comes. */
static void (*const *script)(struct conn *c);
static struct conn *current;

static void
handle(struct conn *c, const char *request)
{
	const char *accept = strstr(request, "\r\nAccept: ");
	snprintf(paths[requests % 256], sizeof(paths[0]), "%.*s", (int)strcspn(request + 4, " "),
	    request + 4);
	snprintf(accepts[requests % 256], sizeof(accepts[0]), "%.*s",
	    (int)strcspn(accept + 10, "\r"), accept + 10);
	requests++;
	current = c;
	if (*script != NULL)
		(*script++)(c);
}

static void
watch_kind(enum kind kind)
{
	static const struct kube_watch_ops ops = {.on_begin = on_begin,
	    .on_object = on_object,
	    .on_deleted = on_deleted,
	    .on_synced = on_synced,
	    .on_trouble = on_trouble};
	struct kube_watch_spec spec = {kind, "ns", "bestgres.io/cluster", "metadata.name=a,b"};
	watch = kube_watch_start(kube, &spec, &ops, NULL);
}

static void
begin(void (*const *steps)(struct conn *), enum kind kind)
{
	kube_free(kube);
	server_reset(handle);
	script = steps;
	trace[0] = '\0';
	synced = events = troubles = requests = unauthorized = 0;
	pause_each = restart_once = stop_once = false;
	watch_times = (struct watch_times){WATCH_IDLE_MS, 2, 20, 1000, 10};
	kube = server_kube(1, on_unauthorized);
	watch_kind(kind);
}

#define OBJECT(name, version)                                                                      \
	"{\"metadata\":{\"name\":\"" name "\",\"resourceVersion\":\"" version "\"}}"
#define EVENT(type, name, version) "{\"type\":\"" type "\",\"object\":" OBJECT(name, version) "}\n"
#define BOOKMARK(version)                                                                          \
	"{\"type\":\"BOOKMARK\",\"object\":{\"metadata\":{\"resourceVersion\":\"" version "\"}}}"  \
	"\n"
#define INITIAL_END(version)                                                                       \
	"{\"type\":\"BOOKMARK\",\"object\":{\"metadata\":{\"resourceVersion\":\"" version          \
	"\",\"annotations\":{\"k8s.io/initial-events-end\":\"true\"}}}}\n"
#define LIST(version, token, items)                                                                \
	"{\"kind\":\"List\",\"metadata\":{\"resourceVersion\":\"" version                          \
	"\",\"continue\":\"" token "\"},\"items\":[" items "]}\n"
#define STATUS(code)                                                                               \
	"{\"kind\":\"Status\",\"status\":\"Failure\",\"message\":\"told\",\"reason\":\"R\","       \
	"\"code\":" #code "}"
#define ERROR(code) "{\"type\":\"ERROR\",\"object\":" STATUS(code) "}\n"

static void
initial_ab(struct conn *c)
{
	conn_stream(c);
	conn_chunk(c, EVENT("ADDED", "a", "5") EVENT("ADDED", "b", "3") INITIAL_END("10"));
}

static void
initial_late(struct conn *c)
{
	conn_stream(c);
	conn_chunk(c, EVENT("ADDED", "a", "25") INITIAL_END("30"));
}

static void
initial_early(struct conn *c)
{
	conn_stream(c);
	conn_chunk(c, EVENT("ADDED", "a", "2") INITIAL_END("4"));
}

static void
initial_cut(struct conn *c)
{
	conn_stream(c);
	conn_chunk(c, EVENT("ADDED", "a", "5"));
	conn_close(c);
}

static void
silent_stream(struct conn *c)
{
	conn_stream(c);
}

static void
events_then_end(struct conn *c)
{
	conn_stream(c);
	conn_chunk(c, EVENT("MODIFIED", "a", "11") EVENT("DELETED", "b", "12") BOOKMARK("20"));
	conn_printf(c, "0\r\n\r\n");
}

static void
in_stream_500(struct conn *c)
{
	conn_stream(c);
	conn_chunk(c, ERROR(500));
}

static void
refuse_410(struct conn *c)
{
	conn_reply(c, 410, STATUS(410));
}

static void
refuse_422(struct conn *c)
{
	conn_reply(c, 422, STATUS(422));
}

static void
no_content(struct conn *c)
{
	conn_reply(c, 214, "");
}

static void
refuse_401(struct conn *c)
{
	conn_reply(c, 401, STATUS(401));
}

static void
refuse_503(struct conn *c)
{
	conn_printf(c, "HTTP/1.1 503 X\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n");
}

static void
page_1(struct conn *c)
{
	conn_reply(c, 200, LIST("40", "next/+=", OBJECT("a", "5") "," OBJECT("b", "3")));
}

static void
page_2(struct conn *c)
{
	conn_reply(c, 200, LIST("40", "", OBJECT("c", "39")));
}

static void
page_older(struct conn *c)
{
	conn_reply(c, 200, LIST("7", "", OBJECT("c", "6")));
}

static void
garbage(struct conn *c)
{
	conn_stream(c);
	conn_chunk(
	    c, EVENT("MODIFIED", "a",
		   "11") "{\"type\":\"MODIFIED\",\"object\":{\"metadata\":{}\n" EVENT("MODIFIED",
		   "b", "13"));
}

static void
goes_back(struct conn *c)
{
	conn_stream(c);
	conn_chunk(c, BOOKMARK("9"));
}

static void
close_it(struct conn *c)
{
	conn_close(c);
}

static void
many(struct conn *c)
{
	static char text[60000];
	size_t n = 0;
	for (unsigned i = 0; i < 500; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n,
		    "{\"type\":\"MODIFIED\",\"object\":{\"metadata\":{\"name\":\"m\","
		    "\"resourceVersion\":\"%u\"}}}\n",
		    11 + i);
	conn_stream(c);
	conn_chunk(c, text);
}

#define SCRIPT(...) ((void (*const[])(struct conn *)){__VA_ARGS__, NULL})

/* --- Tests. */

static void
test_watchlist(void)
{
	begin(SCRIPT(initial_ab, silent_stream), KIND_BGCLUSTER);
	run_until(&synced, 1, 2);
	CHECK(strcmp(trace, "B +a@5 +b@3 S ") == 0, "a WatchList: begin, objects, synced");
	CHECK(
	    strncmp(paths[0],
		"/apis/bestgres.io/v1/namespaces/ns/bgclusters?watch=true&sendInitialEvents=true&",
		78) == 0 &&
		strstr(paths[0], "&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true&"
				 "timeoutSeconds=") != NULL &&
		strstr(paths[0], "resourceVersion=") == NULL,
	    "its request");
	CHECK(
	    strstr(paths[0],
		"&labelSelector=bestgres.io%2Fcluster&fieldSelector=metadata.name%3Da%2Cb") != NULL,
	    "selectors are encoded");
	CHECK(strcmp(accepts[0], "application/json") == 0, "a FULL kind asks for whole objects");
	conn_chunk(current, EVENT("MODIFIED", "a", "11"));
	run_until(&events, 5, 2);
	CHECK(strcmp(trace, "B +a@5 +b@3 S +a@11 ") == 0, "changes follow on the same connection");
	conn_chunk(current, EVENT("DELETED", "a", "12"));
	run_until(&events, 6, 2);
	CHECK(strstr(trace, "-a@12 ") != NULL && requests == 1, "and deletions");
}

static void
test_accept(void)
{
	begin(SCRIPT(refuse_422, page_2, silent_stream), KIND_SERVICE);
	run_until(&requests, 3, 2);
	CHECK(
	    strcmp(accepts[0], "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1") == 0,
	    "a META kind's watch");
	CHECK(strcmp(accepts[1],
		  "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1") == 0,
	    "a META kind's list");
}

static void
test_fallback(void)
{
	begin(SCRIPT(refuse_422, page_1, page_2, silent_stream), KIND_BGCLUSTER);
	run_until(&requests, 4, 2);
	CHECK(strcmp(trace, "B +a@5 +b@3 +c@39 S ") == 0,
	    "422: a paged list, one begin and one synced");
	CHECK(strstr(paths[1], "?limit=200&labelSelector") != NULL, "the first page");
	CHECK(strstr(paths[2], "?limit=200&continue=next%2F%2B%3D&labelSelector") != NULL,
	    "the next one, its token encoded");
	CHECK(
	    strstr(paths[3],
		"?watch=true&allowWatchBookmarks=true&resourceVersion=40&timeoutSeconds=") != NULL,
	    "then a watch from there");
	CHECK(troubles == 0, "no trouble in that");
	script = SCRIPT(page_2, silent_stream);
	kube_watch_restart(watch);
	run_until(&requests, 6, 2);
	CHECK(strstr(paths[4], "?limit=200") != NULL, "the refusal is remembered");

	begin(SCRIPT(refuse_422, refuse_422, page_2, page_2, silent_stream, silent_stream),
	    KIND_BGCLUSTER);
	watch_kind(KIND_BGINSTANCE);
	watch_times.backoff_ms = watch_times.backoff_max_ms = 5000;
	run_until(&synced, 2, 2);
	CHECK(synced == 2 && troubles == 0, "two that are refused at once both fall back at once");

	begin(
	    SCRIPT(refuse_422, page_1, refuse_410, page_1, page_2, silent_stream), KIND_BGCLUSTER);
	run_until(&requests, 6, 2);
	CHECK(strcmp(trace, "B +a@5 +b@3 !gone B +a@5 +b@3 +c@39 S ") == 0,
	    "410 for a continue token: the list starts over");
	CHECK(strstr(paths[3], "continue") == NULL, "from its first page");
}

static void
test_reconnect(void)
{
	begin(SCRIPT(initial_ab), KIND_BGCLUSTER);
	run_until(&synced, 1, 2);
	script = SCRIPT(events_then_end, silent_stream);
	conn_printf(current, "0\r\n\r\n");
	run_until(&requests, 3, 2);
	CHECK(strcmp(trace, "B +a@5 +b@3 S +a@11 -b@12 ") == 0,
	    "a clean end: connected again without a list");
	CHECK(strstr(paths[1], "&resourceVersion=10&") != NULL,
	    "from the initial bookmark's version");
	CHECK(strstr(paths[2], "&resourceVersion=20&") != NULL, "and from a later bookmark's");
	CHECK(server.sockets == 1, "over the same connection");
	script = SCRIPT(silent_stream);
	conn_close(current);
	run_until(&requests, 4, 2);
	CHECK(strstr(paths[3], "&resourceVersion=20&") != NULL && synced == 1,
	    "a broken connection: the same");

	begin(SCRIPT(initial_cut, initial_ab), KIND_BGCLUSTER);
	run_until(&synced, 1, 2);
	CHECK(strstr(trace, "B +a@5 !") == trace && strstr(trace, "B +a@5 +b@3 S ") != NULL,
	    "an initial list that broke starts over");
}

static void
test_expired(void)
{
	begin(SCRIPT(initial_ab), KIND_BGCLUSTER);
	run_until(&synced, 1, 2);
	script = SCRIPT(initial_late);
	conn_chunk(current, EVENT("MODIFIED", "a", "11") ERROR(410) EVENT("MODIFIED", "b", "13"));
	run_until(&synced, 2, 2);
	CHECK(strstr(trace, "S +a@11 ") != NULL && strstr(trace, "B +a@25 S ") != NULL,
	    "410 in the stream: a new list");
	CHECK(strstr(trace, "b@13") == NULL, "what stood behind it is not acted on");

	begin(SCRIPT(initial_ab), KIND_BGCLUSTER);
	run_until(&synced, 1, 2);
	script = SCRIPT(refuse_410, initial_late);
	conn_close(current);
	run_until(&synced, 2, 2);
	CHECK(synced == 2 && strstr(paths[2], "sendInitialEvents") != NULL,
	    "410 as status: a new list");

	begin(SCRIPT(initial_ab, in_stream_500), KIND_BGCLUSTER);
	run_until(&synced, 1, 2);
	conn_close(current);
	script = SCRIPT(in_stream_500, initial_late);
	run_until(&synced, 2, 2);
	CHECK(synced == 2 && troubles > 0, "another ERROR: trouble, then a new list");
}

static void
test_backoff(void)
{
	begin(SCRIPT(refuse_410, refuse_410, refuse_410, refuse_410, refuse_410, refuse_410,
		  refuse_410, refuse_410),
	    KIND_BGCLUSTER);
	watch_times = (struct watch_times){WATCH_IDLE_MS, 20, 10000, 1000, 10};
	run_for(0.3);
	CHECK(requests >= 3 && requests <= 5, "refusals: later and later (20, 40, 80, 160 ms)");
	CHECK(troubles == 1, "told once");

	begin(SCRIPT(refuse_503, initial_ab), KIND_BGCLUSTER);
	run_for(0.5);
	CHECK(requests == 1, "Retry-After is obeyed");
	run_until(&synced, 1, 2);
	CHECK(synced == 1, "and then it goes on");

	begin(SCRIPT(events_then_end, events_then_end, events_then_end, events_then_end,
		  events_then_end, events_then_end),
	    KIND_BGCLUSTER);
	watch_times = (struct watch_times){WATCH_IDLE_MS, 20, 10000, 1000, 10};
	run_for(0.2);
	CHECK(requests <= 4, "streams that end cleanly but at once are no reason for haste");

	begin(SCRIPT(refuse_401, initial_ab), KIND_BGCLUSTER);
	watch_times.backoff_ms = watch_times.backoff_max_ms = 5000;
	run_until(&unauthorized, 1, 2);
	run_for(0.05);
	CHECK(unauthorized == 1 && requests == 1, "401 is told");
	kube_set_token(kube, STR("token-2"), NULL);
	kube_kick(kube);
	run_until(&synced, 1, 2);
	CHECK(synced == 1, "and a new token ends the wait");
}

static unsigned
asked_for(const char *plural)
{
	unsigned n = 0;
	for (unsigned i = 0; i < requests; i++)
		n += strstr(paths[i], plural) != NULL;
	return n;
}

/* Two watches: one that waits long after a failure, then one that fails once and gets `steps`. */
static void
begin_with_one_waiting(void (*waiting)(struct conn *), void (*const *steps)(struct conn *))
{
	begin(SCRIPT(waiting), KIND_BGINSTANCE);
	watch_times = (struct watch_times){WATCH_IDLE_MS, 5000, 5000, 1000, 10};
	run_until(&troubles, 1, 2); /* it knows, and waits */
	watch_times.backoff_ms = watch_times.backoff_max_ms = 20;
	script = steps;
	watch_kind(KIND_BGCLUSTER);
}

static void
test_wake(void)
{
	begin_with_one_waiting(close_it, SCRIPT(close_it, initial_ab, initial_ab));
	run_until(&synced, 2, 2);
	CHECK(synced == 2 && requests == 4, "a list after a failure: the other need not wait");

	begin_with_one_waiting(refuse_503, SCRIPT(close_it, initial_ab, initial_ab));
	run_until(&synced, 1, 2);
	run_for(0.3);
	CHECK(synced == 1 && requests == 3, "but who was told when to come does not come before");

	begin_with_one_waiting(close_it, SCRIPT(initial_ab, close_it, silent_stream, initial_ab));
	run_until(&synced, 1, 2);
	run_for(0.1);
	CHECK(requests == 2, "no failure before: it shows nothing new");
	conn_close(current);
	run_until(&synced, 2, 2);
	CHECK(
	    synced == 2 && requests == 5, "a watch that goes on and stands, silent, wakes as well");

	begin_with_one_waiting(
	    close_it, SCRIPT(close_it, initial_ab, close_it, initial_ab, initial_ab));
	run_until(&synced, 1, 2);
	watch_times.backoff_ms = watch_times.backoff_max_ms = 5000;
	run_until(&requests, 4, 2);
	script = SCRIPT(initial_ab, initial_ab);
	kube_watch_restart(watch);
	run_until(&synced, 2, 2);
	run_for(0.1);
	CHECK(synced == 2 && requests == 5, "not again within the longest wait");

	begin_with_one_waiting(close_it, SCRIPT(garbage, garbage, garbage, garbage, garbage));
	run_until(&requests, 6, 2);
	CHECK(asked_for("bginstances") == 1, "what is no list wakes nobody");
}

static void
test_garbage(void)
{
	begin(SCRIPT(initial_ab), KIND_BGCLUSTER);
	run_until(&synced, 1, 2);
	script = SCRIPT(garbage, initial_late);
	conn_close(current);
	run_until(&synced, 2, 2);
	CHECK(strstr(trace, "+a@11 ") != NULL && strstr(trace, "b@13") == NULL,
	    "nothing behind garbage is acted on");
	CHECK(synced == 2 && strstr(trace, "B +a@25 S ") != NULL &&
		  strstr(paths[2], "sendInitialEvents") != NULL,
	    "and a new list follows");

	begin(SCRIPT(no_content, initial_ab), KIND_BGCLUSTER);
	run_until(&synced, 1, 2);
	CHECK(strcmp(trace, "!invalid B +a@5 +b@3 S ") == 0,
	    "a success that is no 200 is trouble, not an empty list");

	begin(SCRIPT(close_it, silent_stream), KIND_BGCLUSTER);
	run_until(&requests, 2, 2);
	CHECK(strstr(trace, "B") == NULL, "no begin before there is a 200");
}

static void
test_idle(void)
{
	begin(SCRIPT(initial_ab), KIND_BGCLUSTER);
	run_until(&synced, 1, 2);
	watch_times.idle_ms = 250;
	script = SCRIPT(silent_stream, silent_stream, silent_stream, silent_stream, silent_stream,
	    silent_stream);
	conn_close(current);
	run_until(&requests, 2, 2);
	for (unsigned i = 0; i < 4; i++) {
		run_for(0.1);
		conn_chunk(current, "\n");
	}
	CHECK(requests == 2, "bytes, however few, keep a stream");
	run_until(&requests, 3, 2);
	CHECK(requests == 3 && synced == 1 && strstr(paths[2], "&resourceVersion=10&") != NULL,
	    "silence ends it: from the last version, no list");
	kube_watch_pause(watch, true);
	unsigned before = requests;
	run_for(0.4);
	CHECK(requests == before, "a paused watch has no idle timer");
	kube_watch_pause(watch, false);
	run_until(&requests, before + 1, 2);
	CHECK(requests > before, "a watch that goes on has one");
}

static void
test_pause(void)
{
	begin(SCRIPT(initial_ab), KIND_BGCLUSTER);
	pause_each = true;
	for (unsigned i = 1; i <= 4; i++) {
		run_until(&events, i, 2);
		run_for(0.01);
		CHECK(events == i, "one callback, then the pause");
		kube_watch_pause(watch, false);
		CHECK(events == i, "none from inside kube_watch_pause");
	}
	CHECK(strcmp(trace, "B +a@5 +b@3 S ") == 0, "nothing is lost or reordered");

	pause_each = false;
	script = SCRIPT(many);
	conn_close(current);
	run_until(&requests, 2, 2);
	kube_watch_pause(watch, true);
	unsigned before = events;
	run_for(0.05);
	CHECK(events == before, "paused in the midst of many");
	kube_watch_pause(watch, false);
	run_until(&events, 4 + 500, 5);
	CHECK(events >= 4 + 500 && strstr(trace, "+m@11 +m@12 +m@13 ") != NULL &&
		  strstr(trace, "+m@509 +m@510 ") != NULL,
	    "all of them come, in order");

	begin(SCRIPT(refuse_422, page_1, page_2, silent_stream), KIND_BGCLUSTER);
	pause_each = true;
	for (unsigned i = 1; i <= 5; i++) {
		run_until(&events, i, 2);
		run_for(0.01);
		kube_watch_pause(watch, false);
	}
	CHECK(strcmp(trace, "B +a@5 +b@3 +c@39 S ") == 0, "a paged list paused at each object");
	run_until(&requests, 4, 2);
	CHECK(requests == 4, "and the watch behind it");
}

static void
test_restart(void)
{
	begin(SCRIPT(initial_ab), KIND_BGCLUSTER);
	run_until(&synced, 1, 2);
	script = SCRIPT(initial_late);
	kube_watch_restart(watch);
	CHECK(synced == 1, "no callback from inside kube_watch_restart");
	run_until(&synced, 2, 2);
	CHECK(strcmp(trace, "B +a@5 +b@3 S B +a@25 S ") == 0, "a restart lists anew");
	script = SCRIPT(initial_late);
	restart_once = true;
	conn_chunk(current, EVENT("MODIFIED", "a", "31") EVENT("MODIFIED", "a", "32"));
	run_until(&synced, 3, 2);
	CHECK(strstr(trace, "+a@31 B +a@25 !conflict S ") != NULL && strstr(trace, "a@32") == NULL,
	    "from inside a callback, too: what was left is not delivered");
	stop_once = true;
	conn_chunk(current, EVENT("MODIFIED", "a", "33") EVENT("MODIFIED", "a", "34"));
	unsigned before = events;
	run_for(0.05);
	CHECK(events == before + 1 && watch == NULL && strstr(trace, "a@34") == NULL,
	    "a stop inside a callback is the last one");
	run_for(0.05);
	CHECK(server_open() == 0, "and its connection is closed");
}

static void
test_restored(void)
{
	begin(SCRIPT(initial_ab), KIND_BGCLUSTER);
	run_until(&synced, 1, 2);
	script = SCRIPT(initial_early, silent_stream);
	kube_watch_restart(watch);
	run_until(&synced, 2, 2);
	CHECK(troubles == 1 && strstr(trace, "B +a@2 !") != NULL,
	    "a WatchList older than what was seen: told, and taken as the truth");
	conn_close(current);
	run_until(&requests, 3, 2);
	CHECK(strstr(paths[2], "&resourceVersion=4&") != NULL, "the watch goes on from there");

	begin(SCRIPT(initial_ab), KIND_BGCLUSTER);
	run_until(&synced, 1, 2);
	script = SCRIPT(goes_back, initial_early);
	conn_close(current);
	run_until(&synced, 2, 2);
	CHECK(synced == 2 && strstr(trace, "B +a@2 S ") != NULL,
	    "a bookmark that goes back: a new list");

	begin(SCRIPT(refuse_422, page_2), KIND_BGCLUSTER);
	run_until(&synced, 1, 2);
	script = SCRIPT(page_older, silent_stream);
	kube_watch_restart(watch);
	run_until(&synced, 2, 2);
	CHECK(troubles == 1 && strstr(trace, "B +c@6 !") != NULL, "an older LIST: the same");
}

static void
ignore_reply(void *arg, const struct kube_reply *r)
{
	(void)arg, (void)r;
}

static void
test_requests_beside(void)
{
	begin(SCRIPT(initial_ab), KIND_BGCLUSTER);
	run_until(&synced, 1, 2);
	struct kube_watch_spec spec = {KIND_SERVICE, "ns", NULL, NULL};
	static const struct kube_watch_ops none = {.on_begin = on_begin,
	    .on_object = on_object,
	    .on_deleted = on_deleted,
	    .on_synced = on_synced};
	for (unsigned i = 0; i < 4; i++) {
		script = SCRIPT(initial_ab);
		kube_watch_start(kube, &spec, &none, NULL);
		run_until(&synced, 2 + i, 2);
	}
	unsigned sockets = server.sockets;
	CHECK(sockets == 5, "one connection for each watch");
	for (unsigned i = 0; i < 3; i++) {
		script = SCRIPT(page_2);
		struct kube_request q = {.path = "/x"};
		unsigned before = requests;
		kube_send(kube, &q, ignore_reply, NULL);
		run_until(&requests, before + 1, 2);
		run_for(0.01);
	}
	CHECK(server.sockets == sockets + 1 && server_open() == 6,
	    "requests share one more, and keep it");
}

static void
test_sockets_one_by_one(void)
{
	static const struct kube_watch_ops none = {.on_begin = on_begin,
	    .on_object = on_object,
	    .on_deleted = on_deleted,
	    .on_synced = on_synced};
	struct kube_watch_spec spec = {KIND_SERVICE, "ns", NULL, NULL};
	begin(SCRIPT(silent_stream), KIND_BGCLUSTER);
	run_until(&requests, 1, 2);
	server.none = server.last_one = true;
	for (unsigned i = 0; i < 30; i++)
		kube_watch_start(kube, &spec, &none, NULL);
	run_for(0.01);
	server.asked = 0;
	for (unsigned i = 0; i < 30; i++) {
		server.none = false;
		kube_kick(kube);
		run_until(&server.sockets, 2 + i, 2);
	}
	run_until(&requests, 31, 2);
	CHECK(requests == 31, "30 watches get their sockets one by one");
	CHECK(server.asked <= 60, "and each socket wakes one of them, not all");
}

int
main(void)
{
	signal(SIGPIPE, SIG_IGN);
	server.loop = ev_loop_new(EVFLAG_AUTO);
	test_watchlist();
	test_accept();
	test_fallback();
	test_reconnect();
	test_expired();
	test_backoff();
	test_wake();
	test_garbage();
	test_idle();
	test_pause();
	test_restart();
	test_restored();
	test_requests_beside();
	test_sockets_one_by_one();
	kube_free(kube);
	server_reset(NULL);
	ev_loop_destroy(server.loop);
	return tap_done();
}
