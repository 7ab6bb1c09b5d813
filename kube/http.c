/*
 * HTTP/1.1 on curl's multi interface, driven by libev: the connections, the queue for them, and
 * what curl may and may not do. Known traps that this file answers: curl trusts the system's CAs
 * besides ours unless told not to; it sends a POST again when a reused connection breaks; it asks
 * for a socket synchronously. Used by request.c and watch.c through http.h; nobody else talks to
 * curl.
 */
#include <arpa/inet.h>

#include "kube/http.h"

struct watched_socket {
	ev_io io;
	struct kube *k;
};

#define SET(easy, option, value)                                                                   \
	do {                                                                                       \
		if (curl_easy_setopt(easy, option, value) != CURLE_OK)                             \
			die("curl refuses " #option);                                              \
	} while (0)

/* --- Lists, and the timer for what must not happen inside a caller's call. */

static void
list_push(struct http_list *l, struct http_transfer *t, bool front)
{
	struct http_transfer *prev = front ? NULL : l->last, *next = front ? l->first : NULL;
	t->prev = prev;
	t->next = next;
	*(prev != NULL ? &prev->next : &l->first) = t;
	*(next != NULL ? &next->prev : &l->last) = t;
}

static void
list_remove(struct http_list *l, struct http_transfer *t)
{
	*(t->prev != NULL ? &t->prev->next : &l->first) = t->next;
	*(t->next != NULL ? &t->next->prev : &l->last) = t->prev;
	t->prev = t->next = NULL;
}

static void
wake_in(struct kube *k, double seconds)
{
	if (ev_is_active(&k->wake) && ev_timer_remaining(k->loop, &k->wake) <= seconds)
		return;
	ev_timer_stop(k->loop, &k->wake);
	ev_timer_set(&k->wake, seconds, 0.);
	ev_timer_start(k->loop, &k->wake);
}

void
http_ready(struct http_transfer *t)
{
	if (!t->ready) {
		t->ready = true;
		t->next_ready = t->k->ready;
		t->k->ready = t;
	}
	wake_in(t->k, 0.);
}

static void
unready(struct http_transfer *t)
{
	struct http_transfer **at = &t->k->ready;
	if (!t->ready)
		return;
	while (*at != t)
		at = &(*at)->next_ready;
	*at = t->next_ready;
	t->ready = false;
}

/*
 * --- What curl asks and tells while a transfer runs. Nothing here may call an owner but on_body.
 */

/*
 * A request that the server may have seen never gets another connection: it could be carried out
 * twice.
 */
static int
on_prereq(void *arg, char *remote, char *local, int remote_port, int local_port)
{
	struct http_transfer *t = arg;
	(void)remote, (void)local, (void)remote_port, (void)local_port;
	if (t->k->opening == t)
		t->k->opening = NULL;
	if (t->sent)
		return CURL_PREREQFUNC_ABORT;
	t->sent = true;
	return CURL_PREREQFUNC_OK;
}

static curl_socket_t
on_opensocket(void *arg, curlsocktype purpose, struct curl_sockaddr *a)
{
	struct http_transfer *t = arg;
	struct kube *k = t->k;
	if (t->sent || purpose != CURLSOCKTYPE_IPCXN)
		return CURL_SOCKET_BAD;
	if (k->config.take_socket == NULL)
		return socket(a->family, a->socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, a->protocol);
	int fd = k->config.take_socket(k->config.arg);
	if (fd < 0) {
		t->no_socket = true;
		return CURL_SOCKET_BAD;
	}
	if (k->opening == t)
		k->opening = NULL;
	return fd;
}

static int
on_sockopt(void *arg, curl_socket_t fd, curlsocktype purpose)
{
	const struct http_transfer *t = arg;
	(void)fd, (void)purpose;
	return t->k->config.take_socket != NULL ? CURL_SOCKOPT_ALREADY_CONNECTED : CURL_SOCKOPT_OK;
}

static void
read_retry_after(struct http_transfer *t, struct str line)
{
	static const char name[] = "retry-after:";
	uint64_t seconds;
	if (line.len < sizeof(name) - 1 || strncasecmp(line.p, name, sizeof(name) - 1) != 0)
		return;
	line.p += sizeof(name) - 1, line.len -= sizeof(name) - 1;
	while (line.len > 0 && line.p[0] == ' ')
		line.p++, line.len--;
	while (line.len > 0 && (unsigned char)line.p[line.len - 1] <= ' ')
		line.len--;
	if (str_to_u64(line, &seconds) == 0)
		t->retry_after_ms = seconds > HTTP_RETRY_AFTER_MAX_MS / 1000
		                        ? HTTP_RETRY_AFTER_MAX_MS
		                        : (int)seconds * 1000;
}

static size_t
on_header(char *p, size_t size, size_t n, void *arg)
{
	struct http_transfer *t = arg;
	long status = 0;
	n *= size;
	t->header_bytes += n;
	if (n > HTTP_HEADER_MAX || t->header_bytes > HTTP_HEADERS_MAX) {
		t->too_large = true;
		return 0;
	}
	read_retry_after(t, (struct str){p, n});
	bool blank = p[0] == '\r' || p[0] == '\n';
	if (blank && curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status) == CURLE_OK &&
	    status >= 200 && status <= 999)
		t->status = (int)status;
	return n;
}

static size_t
on_write(char *p, size_t size, size_t n, void *arg)
{
	struct http_transfer *t = arg;
	n *= size;
	switch (t->ops->on_body(t->arg, p, n)) {
	case HTTP_TAKEN:
		return n;
	case HTTP_LATER:
		t->stalled = true;
		return CURL_WRITEFUNC_PAUSE;
	case HTTP_TOO_LARGE:
		break;
	}
	t->too_large = true;
	return n == 0 ? 1 : 0;
}

/* --- One curl handle for each transfer. */

static void
set_limits(CURL *h, const struct kube *k)
{
	SET(h, CURLOPT_PROTOCOLS_STR, k->config.tls ? "https" : "http");
	SET(h, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	SET(h, CURLOPT_HTTP09_ALLOWED, 0L);
	SET(h, CURLOPT_FOLLOWLOCATION, 0L);
	SET(h, CURLOPT_PATH_AS_IS, 1L);
	SET(h, CURLOPT_NOSIGNAL, 1L);
	SET(h, CURLOPT_NOPROGRESS, 1L);
	SET(h, CURLOPT_BUFFERSIZE, (long)HTTP_BUFFER);
	SET(h, CURLOPT_CONNECTTIMEOUT_MS, (long)HTTP_CONNECT_MS);
	SET(h, CURLOPT_MAXAGE_CONN, (long)HTTP_KEEP_S);
	/* Our curl has no proxies at all; one that has must not read the environment. */
	CURLcode rc = curl_easy_setopt(h, CURLOPT_PROXY, "");
	if (rc != CURLE_OK && rc != CURLE_UNKNOWN_OPTION)
		die("curl refuses CURLOPT_PROXY");
}

static void
set_trust(CURL *h, const struct kube *k)
{
	if (!k->config.tls)
		return;
	struct curl_blob ca = {k->ca.p, k->ca.len, CURL_BLOB_COPY};
	SET(h, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	SET(h, CURLOPT_SSL_VERIFYPEER, 1L);
	SET(h, CURLOPT_SSL_VERIFYHOST, 2L);
	/* Else curl loads the system's bundle besides: a wider trust and 1.3 MB a connection. */
	SET(h, CURLOPT_CAPATH, NULL);
	SET(h, CURLOPT_CAINFO, NULL);
	if (k->ca.len > 0)
		SET(h, CURLOPT_CAINFO_BLOB, &ca);
}

static void
set_callbacks(CURL *h, struct http_transfer *t)
{
	SET(h, CURLOPT_PRIVATE, t);
	SET(h, CURLOPT_ERRORBUFFER, t->why);
	SET(h, CURLOPT_PREREQFUNCTION, on_prereq);
	SET(h, CURLOPT_PREREQDATA, t);
	SET(h, CURLOPT_OPENSOCKETFUNCTION, on_opensocket);
	SET(h, CURLOPT_OPENSOCKETDATA, t);
	SET(h, CURLOPT_SOCKOPTFUNCTION, on_sockopt);
	SET(h, CURLOPT_SOCKOPTDATA, t);
	SET(h, CURLOPT_HEADERFUNCTION, on_header);
	SET(h, CURLOPT_HEADERDATA, t);
	SET(h, CURLOPT_WRITEFUNCTION, on_write);
	SET(h, CURLOPT_WRITEDATA, t);
}

/* Headers are linked in place, so that curl makes no copy of the token but the one it sends. */
static void
set_headers(CURL *h, struct http_transfer *t)
{
	static char accepts[][80] = {
	    [HTTP_JSON] = "Accept: application/json",
	    [HTTP_META] = "Accept: application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1",
	    [HTTP_META_LIST] =
		"Accept: application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1",
	};
	static char contents[][56] = {
	    [KUBE_JSON] = "Content-Type: application/json",
	    [KUBE_MERGE_PATCH] = "Content-Type: application/merge-patch+json",
	};
	/* A body is sent at once, not after a "100 Continue". */
	static char no_expect[] = "Expect:";
	char *lines[4] = {accepts[t->accept], no_expect};
	size_t n = 2;
	if (t->body.len > 0)
		lines[n++] = contents[t->content];
	if (t->k->authorization.len > 0)
		lines[n++] = t->k->authorization.p;
	for (size_t i = 0; i < n; i++)
		t->headers[i] =
		    (struct curl_slist){lines[i], i + 1 < n ? &t->headers[i + 1] : NULL};
	SET(h, CURLOPT_HTTPHEADER, t->headers);
	SET(h, CURLOPT_USERAGENT, t->k->agent);
}

static void
set_request(CURL *h, const struct http_transfer *t)
{
	static const char *const verbs[] = {[KUBE_GET] = "GET",
	    [KUBE_POST] = "POST",
	    [KUBE_PATCH] = "PATCH",
	    [KUBE_DELETE] = "DELETE"};
	char url[sizeof(t->k->origin) + HTTP_PATH_MAX];
	snprintf(url, sizeof(url), "%s%s", t->k->origin, t->path);
	SET(h, CURLOPT_URL, url);
	if (t->method == KUBE_GET) {
		SET(h, CURLOPT_HTTPGET, 1L);
		return;
	}
	SET(h, CURLOPT_CUSTOMREQUEST, verbs[t->method]);
	if (t->body.len > 0 || t->method != KUBE_DELETE) {
		SET(h, CURLOPT_POSTFIELDS, t->body.len > 0 ? t->body.p : "");
		SET(h, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)t->body.len);
	}
}

/* --- Start and end of a transfer. */

static void
start(struct http_transfer *t)
{
	struct kube *k = t->k;
	list_remove(&k->queue[t->class], t);
	CURL *h = curl_easy_init();
	if (h == NULL)
		die("curl_easy_init");
	t->easy = h;
	t->no_socket = t->stalled = t->too_large = false;
	t->header_bytes = 0;
	t->why[0] = '\0';
	set_limits(h, k);
	set_trust(h, k);
	set_callbacks(h, t);
	set_headers(h, t);
	set_request(h, t);
	if (curl_multi_add_handle(k->multi, h) != CURLM_OK)
		die("curl_multi_add_handle");
	t->state = HTTP_ACTIVE;
	list_push(&k->active, t, false);
	k->running[t->class]++;
	if (k->config.take_socket != NULL)
		k->opening = t;
}

/* Out of curl; the connection stays for others if the exchange was complete, else it is closed. */
static void
detach(struct http_transfer *t)
{
	struct kube *k = t->k;
	curl_multi_remove_handle(k->multi, t->easy);
	curl_easy_cleanup(t->easy);
	t->easy = NULL;
	list_remove(&k->active, t);
	k->running[t->class]--;
	t->state = HTTP_IDLE;
	if (k->opening == t)
		k->opening = NULL;
}

static void
judge(struct http_transfer *t, CURLcode rc)
{
	char text[ERR_TEXT_MAX];
	t->err = (struct err){0};
	t->outcome = t->sent ? KUBE_UNKNOWN : KUBE_NOT_SENT;
	if (rc == CURLE_OK && t->status != 0) {
		t->outcome = KUBE_REPLIED;
		return;
	}
	if (t->too_large) {
		err_set(&t->err, ERR_LIMIT,
		    "the reply is larger than %u bytes, or its header than %d", HTTP_REPLY_MAX,
		    HTTP_HEADERS_MAX);
		return;
	}
	bool garbage = rc == CURLE_WEIRD_SERVER_REPLY || rc == CURLE_UNSUPPORTED_PROTOCOL;
	str_copy_text(
	    text, sizeof(text), str_of(t->why[0] != '\0' ? t->why : curl_easy_strerror(rc)));
	err_set(&t->err, garbage ? ERR_INVALID : ERR_RETRY, "%s", text);
}

/* Once a token, then every UNAUTHORIZED_MS: whoever mints tokens must not be asked in a loop. */
static void
tell_unauthorized(struct kube *k)
{
	struct msec now = clock_mono();
	if (k->config.on_unauthorized == NULL ||
	    (k->unauthorized_at.v != 0 && now.v - k->unauthorized_at.v < UNAUTHORIZED_MS))
		return;
	k->unauthorized_at = now;
	k->config.on_unauthorized(k->config.arg);
}

static void
finish(struct http_transfer *t, CURLcode rc)
{
	struct kube *k = t->k;
	bool no_socket = t->no_socket && !t->sent && rc != CURLE_OK;
	detach(t);
	if (no_socket) {
		k->starved = true;
		t->state = HTTP_QUEUED;
		list_push(&k->queue[t->class], t, true);
		return;
	}
	k->starved = false; /* its connection may be idle now */
	judge(t, rc);
	if (t->outcome == KUBE_REPLIED && t->status == 401)
		tell_unauthorized(k);
	t->ops->on_done(t->arg);
}

void
http_start(struct http_transfer *t)
{
	if (t->state != HTTP_IDLE)
		die("http_start of a transfer that runs");
	t->state = HTTP_QUEUED;
	t->sent = false;
	t->status = t->retry_after_ms = 0;
	list_push(&t->k->queue[t->class], t, false);
	wake_in(t->k, 0.);
}

void
http_abort(struct http_transfer *t)
{
	unready(t);
	if (t->state == HTTP_ACTIVE)
		detach(t);
	else if (t->state == HTTP_QUEUED)
		list_remove(&t->k->queue[t->class], t);
	t->state = HTTP_IDLE;
	wake_in(t->k, 0.);
}

void
http_resume(struct http_transfer *t)
{
	if (t->state != HTTP_ACTIVE || !t->stalled)
		return;
	t->stalled = false;
	curl_easy_pause(t->easy, CURLPAUSE_CONT);
}

/* --- The queue. */

static bool
bucket_take(struct kube *k)
{
	struct msec now = clock_mono();
	int64_t full = REQUEST_BURST * 1000,
		had = k->bucket_milli + (now.v - k->bucket_at.v) * REQUEST_RATE;
	k->bucket_milli = had < full ? had : full;
	k->bucket_at = now;
	if (k->bucket_milli < 1000) {
		wake_in(k, 1. / REQUEST_RATE);
		return false;
	}
	k->bucket_milli -= 1000;
	return true;
}

static bool
may_start(struct kube *k, enum http_class class)
{
	bool handed = k->config.take_socket != NULL;
	if (handed && (k->starved || k->opening != NULL || k->authorization.len == 0))
		return false;
	if (class == HTTP_STREAM)
		return true;
	return k->running[HTTP_REQUEST] < k->config.connections && bucket_take(k);
}

/*
 * What curl said, then who has something to read, then who may start. Every owner's callback runs
 * below this.
 */
static void
settle(struct kube *k)
{
	int left;
	CURLMsg *m;
	k->inside = true;
	while ((m = curl_multi_info_read(k->multi, &left)) != NULL) {
		struct http_transfer *t = NULL;
		CURLcode rc = m->data.result;
		curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, (char **)&t);
		finish(t, rc);
	}
	while (k->ready != NULL) {
		struct http_transfer *t = k->ready;
		unready(t);
		t->ops->on_ready(t->arg);
	}
	k->inside = false;
	for (int c = 0; c < HTTP_CLASSES; c++)
		while (k->queue[c].first != NULL && may_start(k, (enum http_class)c))
			start(k->queue[c].first);
}

/* --- libev and curl's multi. */

static void
act(struct kube *k, curl_socket_t fd, int flags)
{
	int running;
	if (curl_multi_socket_action(k->multi, fd, flags, &running) != CURLM_OK)
		die("curl_multi_socket_action");
	settle(k);
}

static void
on_io(struct ev_loop *loop, ev_io *w, int revents)
{
	(void)loop;
	act(((struct watched_socket *)w->data)->k, w->fd,
	    (revents & EV_READ ? CURL_CSELECT_IN : 0) |
		(revents & EV_WRITE ? CURL_CSELECT_OUT : 0));
}

static void
on_timer(struct ev_loop *loop, ev_timer *w, int revents)
{
	(void)loop, (void)revents;
	act(w->data, CURL_SOCKET_TIMEOUT, 0);
}

static void
on_wake(struct ev_loop *loop, ev_timer *w, int revents)
{
	(void)loop, (void)revents;
	settle(w->data);
}

static int
on_curl_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *mine)
{
	struct kube *k = arg;
	struct watched_socket *s = mine;
	(void)easy;
	if (s != NULL)
		ev_io_stop(k->loop, &s->io);
	if (what == CURL_POLL_REMOVE) {
		xfree(s);
		return 0;
	}
	if (s == NULL) {
		s = xcalloc(1, sizeof(*s));
		s->k = k;
		ev_init(&s->io, on_io);
		s->io.data = s;
		curl_multi_assign(k->multi, fd, s);
	}
	ev_io_set(&s->io, fd,
	    (what & CURL_POLL_IN ? EV_READ : 0) | (what & CURL_POLL_OUT ? EV_WRITE : 0));
	ev_io_start(k->loop, &s->io);
	return 0;
}

static int
on_curl_timer(CURLM *multi, long ms, void *arg)
{
	struct kube *k = arg;
	(void)multi;
	ev_timer_stop(k->loop, &k->timer);
	if (ms >= 0) {
		ev_timer_set(&k->timer, (double)ms / 1000., 0.);
		ev_timer_start(k->loop, &k->timer);
	}
	return 0;
}

void
http_resize(struct kube *k)
{
	curl_multi_setopt(
	    k->multi, CURLMOPT_MAXCONNECTS, (long)(k->config.connections + k->watches_n));
}

/* --- Life. */

static void
init_curl_once(void)
{
	static bool done;
	if (done)
		return;
	done = true;
	tls_alloc_init();
	if (curl_global_init_mem(CURL_GLOBAL_DEFAULT, wipe_malloc, wipe_free, wipe_realloc,
		wipe_strdup, wipe_calloc) != CURLE_OK)
		die("curl_global_init_mem");
}

static void
set_origin(struct kube *k, const struct kube_config *c)
{
	struct in6_addr in;
	bool v6 = inet_pton(AF_INET6, c->host, &in) == 1;
	if (!v6 && inet_pton(AF_INET, c->host, &in) != 1)
		die("the API server's host must be an IP address, not %s", c->host);
	snprintf(k->origin, sizeof(k->origin), "http%s://%s%s%s:%u", c->tls ? "s" : "",
	    v6 ? "[" : "", c->host, v6 ? "]" : "", c->port);
	if (str_copy(k->agent, sizeof(k->agent), str_of(c->user_agent)) != 0)
		die("a user agent of more than %zu bytes", sizeof(k->agent));
	k->config.host = k->origin;
	k->config.user_agent = k->agent;
}

struct kube *
kube_new(const struct kube_config *c)
{
	init_curl_once();
	struct kube *k = xcalloc(1, sizeof(*k));
	k->loop = c->loop;
	k->config = *c;
	if (k->config.connections == 0)
		k->config.connections = 1;
	set_origin(k, c);
	auth_init(k);
	ev_init(&k->timer, on_timer);
	ev_init(&k->wake, on_wake);
	k->timer.data = k->wake.data = k;
	k->bucket_milli = REQUEST_BURST * 1000;
	k->bucket_at = clock_mono();
	k->multi = curl_multi_init();
	if (k->multi == NULL)
		die("curl_multi_init");
	curl_multi_setopt(k->multi, CURLMOPT_SOCKETFUNCTION, on_curl_socket);
	curl_multi_setopt(k->multi, CURLMOPT_SOCKETDATA, k);
	curl_multi_setopt(k->multi, CURLMOPT_TIMERFUNCTION, on_curl_timer);
	curl_multi_setopt(k->multi, CURLMOPT_TIMERDATA, k);
	http_resize(k);
	return k;
}

void
kube_free(struct kube *k)
{
	if (k == NULL)
		return;
	if (k->inside)
		die("kube_free from inside a callback of its own");
	watch_free_all(k);
	request_free_all(k);
	curl_multi_cleanup(k->multi);
	ev_timer_stop(k->loop, &k->timer);
	ev_timer_stop(k->loop, &k->wake);
	auth_free(k);
	xfree(k);
}

void
kube_kick(struct kube *k)
{
	k->starved = false;
	watch_kick_all(k);
	wake_in(k, 0.);
}
