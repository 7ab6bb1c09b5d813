/*
 * List and watch: keeps one view of one kind in one namespace true, until told to stop. WatchList
 * where the server has it, else a paged LIST and a WATCH from its version. Bytes are stored when
 * curl hands them over and fed piece by piece from the loop, so that every callback may stop,
 * pause or restart its watch, and a paused watch calls nobody. Used by the watcher and the
 * instance's agent.
 */
#include <inttypes.h>

#include "kube/http.h"

#define PIECE_ENDS_LIST '}'   /* no item of a list ends at another byte */
#define PIECE_ENDS_WATCH '\n' /* no event ends at another */
#define REFUSAL_MAX 4096      /* of a refusal's body: a metav1.Status is < 1 KB */

enum phase {
	LISTING,  /* pages */
	INITIAL,  /* a WatchList before its initial-events-end */
	WATCHING, /* from version on */
};
struct kube_watch {
	struct kube *k;
	struct kube_watch *prev, *next;
	enum kind kind;
	char ns[NAME_MAX_LABEL + 1];
	char selectors[512]; /* "&labelSelector=..." */
	struct kube_watch_ops ops;
	void *arg;

	enum phase phase;
	bool relist;      /* the next connection starts from nothing */
	bool begun;       /* on_begin was said for this list */
	uint64_t version; /* WATCHING goes on from here */
	uint64_t newest;  /* ever seen: an older list means that the store was restored */
	char page[sizeof(((struct feed *)0)->continue_token)]; /* LISTING: the next one, or "" */

	struct http_transfer t;
	struct msec started;
	struct feed feed;
	struct buf in;      /* came, not yet fed */
	bool over;          /* the transfer ended; what is in `in` comes first */
	struct err verdict; /* of the last piece: why this stream must end */
	bool verdict_relist;

	ev_timer idle, retry;
	ev_timer stands; /* after a failure: does the new stream stand? */
	unsigned failures;
	bool told_when; /* the server said when to come again */
	int last_status;
	struct msec troubled;
	bool paused, dead, restart;
	bool in_text;    /* on_text was said, on_text_done not yet */
	unsigned inside; /* callbacks running: stop and restart wait for their end */
};

#define WATCH_TIMES                                                                                \
	{                                                                                          \
		WATCH_IDLE_MS, WATCH_BACKOFF_MS, WATCH_BACKOFF_MAX_MS, WATCH_SETTLED_MS,           \
		    WATCH_WAKE_MS                                                                  \
	}
#ifdef TESTING
struct watch_times watch_times = WATCH_TIMES;
#else
static const struct watch_times watch_times = WATCH_TIMES;
#endif

static void connect_now(struct kube_watch *w);

static unsigned
random_below(unsigned n)
{
	uint32_t r;
	rand_bytes(&r, sizeof(r));
	return r % n;
}

/* --- Callbacks to the owner, and what it asked for inside them. */

static void
watch_free(struct kube_watch *w)
{
	struct kube *k = w->k;
	http_abort(&w->t);
	ev_timer_stop(k->loop, &w->idle);
	ev_timer_stop(k->loop, &w->retry);
	ev_timer_stop(k->loop, &w->stands);
	*(w->prev != NULL ? &w->prev->next : &k->watches) = w->next;
	if (w->next != NULL)
		w->next->prev = w->prev;
	k->watches_n--;
	http_resize(k);
	feed_free(&w->feed);
	buf_free(&w->in);
	xfree(w);
}

/* Nothing of the stream under way counts any more. */
static void
stream_drop(struct kube_watch *w)
{
	http_abort(&w->t);
	ev_timer_stop(w->k->loop, &w->idle);
	ev_timer_stop(w->k->loop, &w->retry);
	ev_timer_stop(w->k->loop, &w->stands);
	buf_free(&w->in);
	w->over = false;
	w->verdict.code = ERR_NONE;
}

static void
start_over(struct kube_watch *w)
{
	stream_drop(w);
	w->relist = true;
	w->page[0] = '\0';
	connect_now(w);
}

static void
enter(struct kube_watch *w)
{
	w->inside++;
}

/* w may be gone after this. */
static void
leave(struct kube_watch *w)
{
	if (--w->inside > 0)
		return;
	if (w->dead) {
		watch_free(w);
	} else if (w->restart) {
		w->restart = false;
		start_over(w);
	}
}

static void
say_trouble(struct kube_watch *w, const struct err *e)
{
	struct msec now = clock_mono();
	if (w->dead || w->ops.on_trouble == NULL ||
	    (w->troubled.v != 0 && now.v - w->troubled.v < WATCH_TROUBLE_MS))
		return;
	w->troubled = now;
	w->ops.on_trouble(w->arg, e);
}

static void
retry_in(struct kube_watch *w, int64_t ms)
{
	ev_timer_stop(w->k->loop, &w->retry);
	ev_timer_set(&w->retry, (double)ms / 1000., 0.);
	ev_timer_start(w->k->loop, &w->retry);
}

/*
 * A server that is well again for one watch is so for the others: they need not sit out their long
 * waits, whose first end was the probe for all. Spread over a while, and not twice within the
 * longest wait: a server that is well for moments only gets twice the load at most. Who was told
 * when to come comes then. Failures count on until a stream has settled.
 */
static void
wake_others(struct kube_watch *w)
{
	struct kube *k = w->k;
	struct msec now = clock_mono();

	if (w->failures == 0 ||
	    (k->woken.v != 0 && now.v - k->woken.v < watch_times.backoff_max_ms))
		return;
	k->woken = now;
	for (struct kube_watch *o = k->watches; o != NULL; o = o->next) {
		int64_t ms = random_below((unsigned)watch_times.wake_ms + 1);
		if (o != w && !o->told_when && ev_is_active(&o->retry) &&
		    ev_timer_remaining(k->loop, &o->retry) * 1000. > (double)ms)
			retry_in(o, ms);
	}
}

static void
say_synced(struct kube_watch *w, uint64_t version)
{
	struct err e;
	if (version < w->newest) {
		err_set(&e, ERR_CONFLICT,
		    "the list's version %" PRIu64 " is older than %" PRIu64
		    " seen before: the API server's store was restored, starting over from it",
		    version, w->newest);
		say_trouble(w, &e);
	}
	w->version = w->newest = version;
	w->phase = WATCHING;
	w->relist = w->begun = false;
	wake_others(w);
	if (!w->dead)
		w->ops.on_synced(w->arg);
}

/* --- Connecting. */

static void
put_encoded(struct buf *b, const char *s)
{
	static const char plain[] =
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~";
	for (; *s != '\0'; s++) {
		if (strchr(plain, *s) != NULL)
			buf_put(b, s, 1);
		else
			buf_printf(b, "%%%02X", (unsigned char)*s);
	}
}

static int
make_path(struct kube_watch *w)
{
	struct buf q;
	char base[HTTP_PATH_MAX];
	unsigned timeout = WATCH_TIMEOUT_S - random_below(WATCH_TIMEOUT_S / 5);
	buf_init(&q, HTTP_PATH_MAX);
	kube_path(base, w->kind, w->ns, NULL, NULL, NULL);
	buf_puts(&q, base);
	switch (w->phase) {
	case LISTING:
		buf_printf(&q, "?limit=%d%s", LIST_PAGE, w->page[0] != '\0' ? "&continue=" : "");
		put_encoded(&q, w->page);
		break;
	case INITIAL:
		buf_printf(&q,
		    "?watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan"
		    "&allowWatchBookmarks=true&timeoutSeconds=%u",
		    timeout);
		break;
	case WATCHING:
		buf_printf(&q,
		    "?watch=true&allowWatchBookmarks=true&resourceVersion=%" PRIu64
		    "&timeoutSeconds=%u",
		    w->version, timeout);
		break;
	}
	buf_puts(&q, w->selectors);
	bool fits = !q.full && str_copy(w->t.path, sizeof(w->t.path), buf_view(&q)) == 0;
	buf_free(&q);
	return fits ? 0 : -1;
}

static int64_t
backoff_ms(struct kube_watch *w)
{
	int64_t ms = watch_times.backoff_ms;
	for (unsigned i = 0; i < w->failures && ms < watch_times.backoff_max_ms; i++)
		ms *= 2;
	if (ms > watch_times.backoff_max_ms)
		ms = watch_times.backoff_max_ms;
	w->failures++;
	return ms + random_below((unsigned)ms / 2 + 1);
}

static enum http_accept
accept_for(const struct kube_watch *w)
{
	if (kind_info[w->kind].watch != WATCH_META)
		return HTTP_JSON;
	return w->phase == LISTING ? HTTP_META_LIST : HTTP_META;
}

static int on_item(void *arg, const struct feed_item *item);
static bool on_text(void *arg, uint64_t line_hash);

static void
feed_start(struct kube_watch *w, enum feed_mode mode)
{
	feed_free(&w->feed);
	feed_init(&w->feed, mode, on_item, w);
	w->feed.on_text = on_text;
}

static void
connect_now(struct kube_watch *w)
{
	if (w->relist && w->page[0] == '\0') {
		w->phase = w->k->no_watchlist ? LISTING : INITIAL;
		w->begun = false;
	}
	feed_start(w, w->phase == LISTING ? FEED_LIST : FEED_WATCH);
	if (make_path(w) != 0) { /* only a continue token can be so long */
		w->page[0] = '\0';
		retry_in(w, backoff_ms(w));
		return;
	}
	w->t.accept = accept_for(w);
	w->started = clock_mono();
	w->idle.repeat = (double)watch_times.idle_ms / 1000.;
	if (!w->paused)
		ev_timer_again(w->k->loop, &w->idle);
	if (w->failures > 0) {
		ev_timer_set(&w->stands, (double)watch_times.wake_ms / 1000., 0.);
		ev_timer_start(w->k->loop, &w->stands);
	}
	http_start(&w->t);
}

/* Connects again: at once after a stream that was sound, else later and later. */
static void
connect_again(struct kube_watch *w, const struct err *why, bool relist, int retry_after_ms)
{
	bool settled =
	    clock_mono().v - w->started.v >= watch_times.settled_ms && retry_after_ms == 0;
	stream_drop(w);
	w->relist = w->relist || relist;
	w->page[0] = '\0';
	if (settled)
		w->failures = 0;
	w->told_when = retry_after_ms > 0;
	int64_t ms = settled ? 0 : backoff_ms(w);
	retry_in(w, ms > retry_after_ms ? ms : retry_after_ms);
	bool ordinary = settled && (why == NULL || why->code == ERR_RETRY || why->code == ERR_GONE);
	if (why != NULL && !ordinary)
		say_trouble(w, why);
}

/* --- What the stream says. */

static void
condemn(struct kube_watch *w, bool relist, enum err_code code, const char *text)
{
	w->verdict_relist = relist;
	err_set(&w->verdict, code, "%s", text);
}

/* Versions of a stream only rise; else the store behind it is another one. */
static bool
version_advance(struct kube_watch *w, uint64_t version)
{
	if (w->phase != WATCHING)
		return true;
	if (version < w->version) {
		condemn(w, true, ERR_CONFLICT, "the watch's versions went back: starting over");
		return false;
	}
	w->version = version;
	if (version > w->newest)
		w->newest = version;
	return true;
}

static int
on_item(void *arg, const struct feed_item *item)
{
	struct kube_watch *w = arg;
	if (w->dead || w->verdict.code != ERR_NONE)
		return 0;
	switch (item->event) {
	case FEED_ITEM:
		w->ops.on_object(w->arg, item);
		break;
	case FEED_ADDED:
		if (version_advance(w, item->version))
			w->ops.on_object(w->arg, item);
		break;
	case FEED_DELETED:
		if (version_advance(w, item->version))
			w->ops.on_deleted(w->arg, item);
		break;
	case FEED_BOOKMARK:
		if (w->phase == INITIAL && item->initial_end)
			say_synced(w, item->version);
		else
			version_advance(w, item->version);
		break;
	case FEED_EXPIRED:
		condemn(w, true, ERR_GONE, "the watch's version has expired: listing anew");
		break;
	case FEED_ERROR:
		condemn(w, true, ERR_RETRY,
		    item->status.message[0] != '\0' ? item->status.message
						    : "the server ended the watch");
		break;
	}
	return 0;
}

static bool
on_text(void *arg, uint64_t line_hash)
{
	struct kube_watch *w = arg;
	if (w->ops.on_text == NULL)
		return true;
	w->in_text = w->ops.on_text(w->arg, line_hash);
	return w->in_text;
}

static void
text_done(struct kube_watch *w)
{
	if (w->in_text)
		w->ops.on_text_done(w->arg);
	w->in_text = false;
}

/* --- How the stream ends. */

/* Not a 200: `in` holds the start of a metav1.Status. */
static void
end_refused(struct kube_watch *w)
{
	struct err e;
	struct kube_reply r = {
	    .outcome = KUBE_REPLIED, .status = w->t.status, .body = buf_view(&w->in)};
	bool unsupported = w->phase == INITIAL && (r.status == 422 || r.status == 400);
	if (kube_reply_error(&r, &e) == 0)
		err_set(&e, ERR_INVALID, "HTTP status %d instead of 200", r.status);
	if (unsupported) {
		w->k->no_watchlist = true;
		start_over(w);
		return;
	}
	/* A server that has not reached our version says 504: after a restore it never will. */
	connect_again(w, &e, r.status == 410 || r.status == 504, w->t.retry_after_ms);
}

static void
end_page(struct kube_watch *w)
{
	memcpy(w->page, w->feed.continue_token, sizeof(w->page));
	if (w->page[0] == '\0')
		say_synced(w, w->feed.list_version);
	if (!w->dead && !w->restart) {
		stream_drop(w);
		connect_now(w);
	}
}

/* The transfer is over and all of it was fed. */
static void
end_stream(struct kube_watch *w)
{
	struct err e;
	w->over = false;
	w->last_status = w->t.status;
	if (w->t.outcome != KUBE_REPLIED) {
		connect_again(w, &w->t.err, w->phase != WATCHING, 0);
		return;
	}
	if (w->t.status != 200) {
		end_refused(w);
		return;
	}
	int r = feed_end(&w->feed, &e);
	text_done(w);
	if (r != 0) {
		connect_again(w, &e, true, 0);
		return;
	}
	if (w->dead || w->restart)
		return;
	e = w->verdict;
	if (e.code != ERR_NONE)
		connect_again(w, &e, w->verdict_relist, 0);
	else if (w->phase == LISTING)
		end_page(w);
	else
		connect_again(w, NULL, w->phase == INITIAL, 0);
}

/* --- Feeding. */

/* Up to the next byte that may complete an item: one callback at most. Returns what was taken. */
static size_t
feed_piece(struct kube_watch *w, size_t at)
{
	struct err e;
	const char *p = w->in.p + at;
	size_t n = w->in.len - at;
	const char *end = memchr(p, w->phase == LISTING ? PIECE_ENDS_LIST : PIECE_ENDS_WATCH, n);
	if (end != NULL)
		n = (size_t)(end - p) + 1;
	if (feed_push(&w->feed, p, n, &e) != 0 && w->verdict.code == ERR_NONE)
		condemn(w, true, e.code, e.text);
	text_done(w);
	return n;
}

static bool
may_go_on(const struct kube_watch *w)
{
	return !w->dead && !w->restart && !w->paused && w->verdict.code == ERR_NONE;
}

static void
feed_all(struct kube_watch *w)
{
	size_t at = 0;
	if (w->t.status != 200)
		return;
	if (!w->begun && w->relist) {
		w->begun = true;
		w->ops.on_begin(w->arg);
	}
	while (may_go_on(w) && at < w->in.len)
		at += feed_piece(w, at);
	buf_drop(&w->in, at);
}

/* An idle watch keeps no buffers. */
static void
shrink(struct kube_watch *w)
{
	buf_free(&w->in);
	if (w->phase != LISTING && w->feed.buf.len == 0)
		feed_start(w, FEED_WATCH);
}

static void
go_on(struct kube_watch *w)
{
	if (!may_go_on(w))
		return;
	feed_all(w);
	if (w->dead || w->restart)
		return;
	if (w->verdict.code != ERR_NONE) {
		struct err e = w->verdict;
		connect_again(w, &e, w->verdict_relist, 0);
		return;
	}
	if (w->paused)
		return;
	if (w->over) {
		end_stream(w);
		return;
	}
	if (w->t.status == 200)
		shrink(w);
	http_resume(&w->t);
}

static void
on_ready(void *arg)
{
	struct kube_watch *w = arg;
	enter(w);
	go_on(w);
	leave(w);
}

static void
on_done(void *arg)
{
	struct kube_watch *w = arg;
	w->over = true;
	ev_timer_stop(w->k->loop, &w->idle);
	on_ready(w);
}

static enum http_verdict
on_body(void *arg, const char *p, size_t n)
{
	struct kube_watch *w = arg;
	if (!w->paused)
		ev_timer_again(w->k->loop, &w->idle);
	if (w->t.status != 200) {
		size_t room = w->in.len < REFUSAL_MAX ? REFUSAL_MAX - w->in.len : 0;
		buf_put(&w->in, p, n < room ? n : room);
		return HTTP_TAKEN;
	}
	if (w->paused || n > WATCH_PENDING_MAX - w->in.len)
		return HTTP_LATER;
	buf_put(&w->in, p, n);
	http_ready(&w->t);
	return HTTP_TAKEN;
}

static void
on_idle(struct ev_loop *loop, ev_timer *timer, int revents)
{
	struct kube_watch *w = timer->data;
	struct err e;
	(void)loop, (void)revents;
	if (w->t.state == HTTP_QUEUED) /* no socket yet: nothing to give up */
		return;
	err_set(&e, ERR_RETRY, "no byte for %" PRId64 " ms: connecting anew", watch_times.idle_ms);
	enter(w);
	connect_again(w, &e, w->phase != WATCHING, 0);
	leave(w);
}

static void
on_retry(struct ev_loop *loop, ev_timer *timer, int revents)
{
	(void)loop, (void)revents;
	connect_now(timer->data);
}

/* Nothing need come over a watch that goes on: that it stands is all there is to see. */
static void
on_stands(struct ev_loop *loop, ev_timer *timer, int revents)
{
	struct kube_watch *w = timer->data;
	(void)loop, (void)revents;
	if (w->phase == WATCHING && w->t.state == HTTP_ACTIVE && w->t.status == 200)
		wake_others(w);
}

/* --- What the owner may do. */

static void
put_selector(struct buf *b, const char *name, const char *value)
{
	if (value == NULL)
		return;
	buf_printf(b, "&%s=", name);
	put_encoded(b, value);
}

static void
set_selectors(struct kube_watch *w, const struct kube_watch_spec *s)
{
	struct buf b;
	buf_init(&b, sizeof(w->selectors));
	put_selector(&b, "labelSelector", s->label_selector);
	put_selector(&b, "fieldSelector", s->field_selector);
	if (b.full || str_copy(w->selectors, sizeof(w->selectors), buf_view(&b)) != 0)
		die("kube_watch_start: selectors of more than %zu bytes", sizeof(w->selectors));
	buf_free(&b);
}

struct kube_watch *
kube_watch_start(
    struct kube *k, const struct kube_watch_spec *s, const struct kube_watch_ops *ops, void *arg)
{
	static const struct http_ops http = {
	    .on_body = on_body, .on_ready = on_ready, .on_done = on_done};
	struct kube_watch *w = xcalloc(1, sizeof(*w));
	w->k = w->t.k = k;
	w->kind = s->kind;
	if (str_copy(w->ns, sizeof(w->ns), str_of(s->ns)) != 0)
		die("kube_watch_start: %s is no namespace", s->ns);
	set_selectors(w, s);
	w->ops = *ops;
	w->arg = arg;
	w->t.ops = &http;
	w->t.arg = w;
	w->t.class = HTTP_STREAM;
	w->t.method = KUBE_GET;
	buf_init(&w->in, WATCH_PENDING_MAX);
	feed_start(w, FEED_WATCH);
	ev_init(&w->idle, on_idle);
	ev_init(&w->retry, on_retry);
	ev_init(&w->stands, on_stands);
	w->idle.data = w->retry.data = w->stands.data = w;
	w->next = k->watches;
	if (w->next != NULL)
		w->next->prev = w;
	k->watches = w;
	k->watches_n++;
	http_resize(k);
	w->relist = true;
	connect_now(w);
	return w;
}

void
kube_watch_stop(struct kube_watch *w)
{
	if (w == NULL)
		return;
	w->dead = true;
	if (w->inside == 0)
		watch_free(w);
}

void
kube_watch_restart(struct kube_watch *w)
{
	w->restart = true;
	enter(w);
	leave(w);
}

void
kube_watch_pause(struct kube_watch *w, bool pause)
{
	if (w->paused == pause)
		return;
	w->paused = pause;
	if (pause) {
		ev_timer_stop(w->k->loop, &w->idle);
		return;
	}
	if (w->t.state == HTTP_ACTIVE)
		ev_timer_again(w->k->loop, &w->idle);
	http_ready(&w->t);
}

void
watch_free_all(struct kube *k)
{
	while (k->watches != NULL)
		watch_free(k->watches);
}

void
watch_kick_all(struct kube *k)
{
	for (struct kube_watch *w = k->watches; w != NULL; w = w->next)
		if (w->last_status == 401 && ev_is_active(&w->retry))
			retry_in(w, 0);
}
