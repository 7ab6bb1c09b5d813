/*
 * Single requests: paths, timeouts, replies and what they mean. kube_send queues; http.c finds
 * the connection; the reply callback comes once, from the loop. Used by broker, executor and the
 * instance's agent.
 */
#include <inttypes.h>

#include "kube/http.h"

struct request {
	struct http_transfer t;
	struct kube *k;
	struct request *prev, *next;
	void (*done)(void *arg, const struct kube_reply *);
	void *arg;
	char *body;
	struct buf reply;
	struct err refused; /* never queued, and why */
	ev_timer timeout;
};

/* --- Paths. */

static void
path_check(const char *what, const char *name)
{
	struct str s = str_of(name);
	if (s.len == 0 || s.len > NAME_MAX_OBJECT || !charset_ok(CHARS_SUBDOMAIN, s))
		die("kube_path: %s is no name", what);
}

/* Only what can not end the request line or the path early. */
static bool
path_clean(const char *p)
{
	for (; *p != '\0'; p++)
		if (*p <= ' ' || *p > '~' || *p == '#')
			return false;
	return true;
}

void
kube_path(char out[HTTP_PATH_MAX], enum kind kind, const char *ns, const char *name,
    const char *sub, const char *query)
{
	if ((unsigned)kind >= KIND_COUNT || (sub != NULL && name == NULL))
		die("kube_path: kind %d, sub without name", kind);
	path_check("namespace", ns);
	if (name != NULL)
		path_check("name", name);
	if (sub != NULL)
		path_check("sub", sub);
	if (query != NULL && !path_clean(query))
		die("kube_path: a query that needs encoding");
	const struct kind_info *i = &kind_info[kind];
	int n = snprintf(out, HTTP_PATH_MAX, "%s/namespaces/%s/%s%s%s%s%s%s%s", i->root, ns,
	    i->plural, name != NULL ? "/" : "", name != NULL ? name : "", sub != NULL ? "/" : "",
	    sub != NULL ? sub : "", query != NULL ? "?" : "", query != NULL ? query : "");
	if (n < 0 || n >= HTTP_PATH_MAX)
		die("kube_path: longer than %d bytes", HTTP_PATH_MAX);
}

/* --- What a reply means. */

static enum err_code
status_code(int status)
{
	switch (status) {
	case 401:
	case 403:
		return ERR_DENIED;
	case 404:
	case 410:
		return ERR_GONE;
	case 409:
		return ERR_CONFLICT;
	case 408:
	case 429:
		return ERR_RETRY;
	default:
		return status >= 500 || status < 300 ? ERR_RETRY : ERR_INVALID;
	}
}

/* The metav1.Status of a refusal: root node of j, or -1 when the body is none. */
static int
reply_status(const struct kube_reply *r, struct json *j, struct arena *a, struct api_status *s)
{
	struct err e;
	if (r->body.len == 0 || json_parse(j, r->body, a, &e) != 0)
		return -1;
	return decode_status(j, json_root(j), s);
}

int
kube_reply_error(const struct kube_reply *r, struct err *e)
{
	if (r->outcome != KUBE_REPLIED)
		return err_set(
		    e, r->err.code != ERR_NONE ? r->err.code : ERR_RETRY, "%s", r->err.text);
	if (r->status >= 200 && r->status <= 299)
		return 0;
	struct arena a;
	struct json j;
	struct api_status s = {0};
	arena_init(&a, JSON_OBJECT_MAX);
	bool told = reply_status(r, &j, &a, &s) == 0 && s.message[0] != '\0';
	arena_free(&a);
	if (told)
		return err_set(e, status_code(r->status), "%s", s.message);
	return err_set(e, status_code(r->status), "HTTP status %d", r->status);
}

bool
kube_reply_terminating(const struct kube_reply *r)
{
	struct arena a;
	struct json j;
	struct api_status s = {0};
	bool found = false;
	if (r->outcome != KUBE_REPLIED || r->status != 403)
		return false;
	arena_init(&a, JSON_OBJECT_MAX);
	if (reply_status(r, &j, &a, &s) == 0) {
		int causes = json_path(&j, json_root(&j), "details.causes");
		for (int c = json_first(&j, causes); c != JSON_NONE && !found; c = json_next(&j, c))
			found = json_string_is(
			    &j, json_get(&j, c, STR("reason")), "NamespaceTerminating");
	}
	arena_free(&a);
	return found;
}

/* --- One request. */

static void
request_free(struct request *r)
{
	struct kube *k = r->k;
	http_abort(&r->t);
	ev_timer_stop(k->loop, &r->timeout);
	*(r->prev != NULL ? &r->prev->next : &k->requests) = r->next;
	if (r->next != NULL)
		r->next->prev = r->prev;
	k->requests_n--;
	buf_free(&r->reply);
	wipe_free(r->body);
	xfree(r);
}

void
request_free_all(struct kube *k)
{
	while (k->requests != NULL)
		request_free(k->requests);
}

static void
request_end(struct request *r, enum kube_outcome outcome, const struct err *e)
{
	struct kube_reply reply = {.outcome = outcome};
	http_abort(&r->t);
	if (outcome == KUBE_REPLIED) {
		reply.status = r->t.status;
		reply.retry_after_ms = r->t.retry_after_ms;
		reply.body = buf_view(&r->reply);
	} else {
		reply.err = *e;
	}
	r->done(r->arg, &reply);
	request_free(r);
}

static enum http_verdict
on_body(void *arg, const char *p, size_t n)
{
	struct request *r = arg;
	if (n > HTTP_REPLY_MAX - r->reply.len)
		return HTTP_TOO_LARGE;
	buf_put(&r->reply, p, n);
	return HTTP_TAKEN;
}

static void
on_done(void *arg)
{
	struct request *r = arg;
	request_end(r, r->t.outcome, &r->t.err);
}

static void
on_timeout(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct request *r = w->data;
	struct err e = r->refused;
	(void)loop, (void)revents;
	if (e.code == ERR_NONE)
		err_set(&e, ERR_RETRY, r->t.sent ? "no reply in time" : "no connection in time");
	request_end(r, r->t.sent ? KUBE_UNKNOWN : KUBE_NOT_SENT, &e);
}

static void
set_body(struct request *r, struct str body)
{
	if (body.len > HTTP_BODY_MAX) {
		err_set(&r->refused, ERR_LIMIT, "a body of %zu bytes; at most %u", body.len,
		    HTTP_BODY_MAX);
		return;
	}
	r->body = wipe_malloc(body.len + 1);
	if (body.len > 0)
		memcpy(r->body, body.p, body.len);
	r->t.body = (struct str){r->body, body.len};
}

void
kube_send(struct kube *k, const struct kube_request *q,
    void (*done)(void *arg, const struct kube_reply *), void *arg)
{
	static const struct http_ops ops = {.on_body = on_body, .on_done = on_done};
	struct request *r = xcalloc(1, sizeof(*r));
	r->k = r->t.k = k;
	r->done = done;
	r->t.ops = &ops;
	r->arg = arg;
	r->t.arg = r;
	r->t.class = HTTP_REQUEST;
	r->t.method = q->method;
	r->t.content = q->content;
	if (q->path[0] != '/' || !path_clean(q->path) ||
	    str_copy(r->t.path, sizeof(r->t.path), str_of(q->path)) != 0)
		die("kube_send: a path that kube_path did not make");
	buf_init(&r->reply, HTTP_REPLY_MAX);
	r->reply.wipe = true; /* the reply to a new Secret holds it, a TokenRequest's the token */
	set_body(r, q->body);
	if (k->requests_n >= HTTP_QUEUE_MAX)
		err_set(&r->refused, ERR_LIMIT, "%d requests wait already", HTTP_QUEUE_MAX);
	r->next = k->requests;
	if (r->next != NULL)
		r->next->prev = r;
	k->requests = r;
	k->requests_n++;
	bool refused = r->refused.code != ERR_NONE;
	int ms = refused ? 0 : q->timeout_ms > 0 ? q->timeout_ms : HTTP_TIMEOUT_MS;
	ev_timer_init(&r->timeout, on_timeout, (double)ms / 1000., 0.);
	r->timeout.data = r;
	ev_timer_start(k->loop, &r->timeout);
	if (!refused)
		http_start(&r->t);
}
