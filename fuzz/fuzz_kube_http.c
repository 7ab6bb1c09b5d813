/*
 * What a server sends: the input, on every connection it is handed, in pieces whose sizes follow
 * from the first byte; then it closes. Against it run two requests, one after the other, and a
 * watch. The second byte's bits: 0 = the server has no WatchList, 1 = the watch is paused after
 * each callback, 2 = connections stay open until all else is over. Oracle: one reply for each
 * request, within its bounds; a watch that says begin, objects, synced in this order and nothing
 * while it is paused; bounded memory; nothing left.
 */
#include <sanitizer/allocator_interface.h>

#include "fuzz/fuzz.h"
#include "kube/http.h"
#include "tests/unit/kube_server.h"

/* Two replies and their copies in doubling buffers, one object with its tokens, curl. */
#define MEMORY_MAX (16u << 20)
#define TURNS_MAX 200000

static struct {
	const char *p;
	size_t n;
	uint32_t seed;
	bool keep, pause_each;
	struct {
		size_t sent;
		bool asked;
	} at[CONNS_MAX];
} input;
static struct kube *kube;
static struct kube_watch *watch;
static unsigned replies;
static bool listing, paused;

static void send_request(void);

static void
on_reply(void *arg, const struct kube_reply *r)
{
	struct err e = {0};
	MUST(arg == &input);
	MUST(++replies <= 2);
	MUST(r->body.len <= HTTP_REPLY_MAX);
	MUST(r->retry_after_ms >= 0 && r->retry_after_ms <= HTTP_RETRY_AFTER_MAX_MS);
	if (r->outcome == KUBE_REPLIED)
		MUST(r->status >= 200 && r->status <= 999);
	else
		MUST(r->outcome == KUBE_UNKNOWN && r->err.code != ERR_NONE &&
		     utf8_valid(str_of(r->err.text)));
	bool good = r->outcome == KUBE_REPLIED && r->status < 300;
	MUST((kube_reply_error(r, &e) == 0) == good);
	MUST(!kube_reply_terminating(r) || r->status == 403);
	if (replies == 1)
		send_request();
}

static void
send_request(void)
{
	struct kube_request q = {.method = KUBE_POST, .path = "/api/v1/x", .body = STR("{}")};
	kube_send(kube, &q, on_reply, &input);
}

static void
obey(void)
{
	MUST(!paused);
	if (!input.pause_each)
		return;
	paused = true;
	kube_watch_pause(watch, true);
}

static void
on_begin(void *arg)
{
	(void)arg;
	listing = true;
	obey();
}

static void
on_object(void *arg, const struct feed_item *item)
{
	(void)arg;
	MUST(item->event != FEED_ITEM || listing);
	MUST(json_type(item->j, item->object) == JSON_T_OBJECT);
	obey();
}

static void
on_synced(void *arg)
{
	(void)arg;
	MUST(listing);
	listing = false;
	obey();
}

static void
on_trouble(void *arg, const struct err *e)
{
	(void)arg;
	MUST(e->code != ERR_NONE && utf8_valid(str_of(e->text)));
}

static void
on_asked(struct conn *c, const char *request)
{
	(void)request;
	for (unsigned i = 0; i < server.sockets; i++)
		if (server.at[i] == c)
			input.at[i].asked = true;
}

/* One piece for each connection that has asked. True while there is more to say. */
static bool
serve(void)
{
	bool more = false;
	for (unsigned i = 0; i < server.sockets; i++) {
		struct conn *c = server.at[i];
		if (c->fd == -1 || !input.at[i].asked)
			continue;
		size_t left = input.n - input.at[i].sent, n = left;
		input.seed = input.seed * 1103515245u + 12345u;
		if (input.seed % 5 != 0 && n > 1 + (input.seed >> 16) % 200)
			n = 1 + (input.seed >> 16) % 200;
		ssize_t w =
		    n > 0 ? send(c->fd, input.p + input.at[i].sent, n, MSG_NOSIGNAL | MSG_DONTWAIT)
			  : 0;
		if (w > 0)
			input.at[i].sent += (size_t)w;
		if (w <= 0 && errno != EAGAIN && left > 0)
			conn_close(c);
		if (left == 0 && !input.keep)
			conn_close(c);
		more = more || (c->fd != -1 && left > 0);
	}
	return more;
}

static void
go_on(void)
{
	if (!paused)
		return;
	paused = false;
	kube_watch_pause(watch, false);
}

static void
run(size_t before)
{
	for (unsigned turn = 0; turn < TURNS_MAX; turn++) {
		ev_run(server.loop, EVRUN_NOWAIT);
		MUST(__sanitizer_get_current_allocated_bytes() - before < MEMORY_MAX);
		if (turn % 3 == 0)
			go_on();
		if (serve())
			continue;
		if (replies == 2 && turn > 50)
			return;
		if (turn > 50)
			input.keep = false; /* who still waits learns that nothing comes */
	}
	die("a request without its reply");
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct kube_watch_ops ops = {.on_begin = on_begin,
	    .on_object = on_object,
	    .on_deleted = on_object,
	    .on_synced = on_synced,
	    .on_trouble = on_trouble};
	static const struct kube_watch_spec spec = {KIND_SERVICE, "ns", NULL, NULL};
	if (size < 2)
		return 0;
	if (server.loop == NULL)
		server.loop = ev_loop_new(EVFLAG_AUTO);
	size_t before = __sanitizer_get_current_allocated_bytes();
	server_reset(on_asked);
	memset(&input, 0, sizeof(input));
	input.p = (const char *)data + 2;
	input.n = size - 2;
	input.seed = data[0];
	input.pause_each = data[1] & 2;
	input.keep = data[1] & 4;
	replies = 0;
	listing = paused = false;
	kube = server_kube(1, NULL);
	kube->no_watchlist = data[1] & 1;
	watch = kube_watch_start(kube, &spec, &ops, NULL);
	send_request();
	run(before);
	kube_free(kube);
	server_reset(NULL);
	return 0;
}
