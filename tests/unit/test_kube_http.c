/*
 * kube/http.c, auth.c and request.c against a scripted server: reuse, limits, outcomes, the
 * resend trap, waiting.
 */
#include <signal.h>
#include <sys/wait.h>

#include "tests/unit/freed.h"
#include "tests/unit/kube_server.h"
#include "tests/unit/tap.h"

static struct kube *kube;
static struct {
	unsigned n;
	enum kube_outcome outcome;
	int status, retry_after_ms;
	char body[4096];
	size_t body_len;
	struct err err;
} got;
static bool inside_send;
static unsigned unauthorized;

static void
on_reply(void *arg, const struct kube_reply *r)
{
	(void)arg;
	CHECK(!inside_send, "no callback from inside kube_send");
	got.n++;
	got.outcome = r->outcome;
	got.status = r->status;
	got.retry_after_ms = r->retry_after_ms;
	got.body_len = r->body.len;
	str_copy_text(got.body, sizeof(got.body), r->body);
	got.err = r->err;
}

static void
quiet_reply(void *arg, const struct kube_reply *r)
{
	(void)arg;
	got.n++;
	got.outcome = r->outcome;
	got.status = r->status;
	got.err = r->err;
	got.body_len = r->body.len;
	str_copy_text(got.body, sizeof(got.body), r->body);
}

static void
on_unauthorized(void *arg)
{
	(void)arg;
	unauthorized++;
}

static void
send_one(enum kube_method method, const char *body, int timeout_ms)
{
	struct kube_request q = {
	    .method = method, .path = "/api/v1/x", .body = str_of(body), .timeout_ms = timeout_ms};
	inside_send = true;
	kube_send(kube, &q, on_reply, NULL);
	inside_send = false;
}

static void
begin(unsigned connections, void (*handle)(struct conn *, const char *))
{
	kube_free(kube);
	server_reset(handle);
	memset(&got, 0, sizeof(got));
	unauthorized = 0;
	kube = server_kube(connections, on_unauthorized);
}

/* --- Handlers. */

static void
reply_ok(struct conn *c, const char *request)
{
	(void)request;
	conn_reply(c, 200, "{\"a\":1}");
}

static void
close_unread(struct conn *c, const char *request)
{
	(void)request;
	conn_close(c);
}

static void
say_nothing(struct conn *c, const char *request)
{
	(void)c, (void)request;
}

static size_t split_at;
static const char chunked[] =
    "HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    "4\r\n{\"a\"\r\n3;x=y\r\n:12\r\n1\r\n}\r\n0\r\n\r\n";

static void
reply_split(struct conn *c, const char *request)
{
	(void)request;
	conn_split(c, chunked, split_at);
}

/*
 * The first request of a connection is answered; the second is read and then the connection dies.
 */
static void
die_on_second(struct conn *c, const char *request)
{
	if (c->requests == 1)
		reply_ok(c, request);
	else
		conn_close(c);
}

static const char *raw;
static void
reply_raw(struct conn *c, const char *request)
{
	(void)request;
	conn_printf(c, "%s", raw);
	conn_close(c);
}

static void
reply_raw_open(struct conn *c, const char *request)
{
	(void)request;
	conn_printf(c, "%s", raw);
}

static size_t header_line, header_lines;
static void
reply_headers(struct conn *c, const char *request)
{
	(void)request;
	conn_printf(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n");
	for (size_t i = 0; i < header_lines; i++)
		conn_printf(c, "X-%zu: %0*d\r\n", i, (int)header_line, 0);
	conn_printf(c, "\r\n{}");
}

static size_t body_bytes;
static void
fill(struct ev_loop *loop, ev_io *w, int revents)
{
	struct conn *c = w->data;
	static const char zeros[32768];
	(void)loop, (void)revents;
	size_t n = body_bytes < sizeof(zeros) ? body_bytes : sizeof(zeros);
	ssize_t sent = n > 0 ? send(c->fd, zeros, n, MSG_NOSIGNAL) : 0;
	if (sent > 0)
		body_bytes -= (size_t)sent;
	if (n == 0 || (sent == -1 && errno != EAGAIN))
		conn_close(c);
}

static void
reply_large(struct conn *c, const char *request)
{
	(void)request;
	conn_printf(c, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", body_bytes);
	ev_io_stop(server.loop, &c->io);
	ev_set_cb(&c->io, fill);
	ev_io_set(&c->io, c->fd, EV_WRITE);
	ev_io_start(server.loop, &c->io);
}

/* --- Tests. */

static void
test_reuse(void)
{
	begin(1, reply_ok);
	for (unsigned i = 1; i <= 5; i++) {
		send_one(i % 2 ? KUBE_POST : KUBE_GET, i % 2 ? "{}" : NULL, 0);
		run_until(&got.n, i, 2);
	}
	CHECK(got.n == 5 && server.requests == 5 && server.sockets == 1,
	    "five requests use one connection");
	CHECK(
	    got.outcome == KUBE_REPLIED && got.status == 200 && strcmp(got.body, "{\"a\":1}") == 0,
	    "and get their replies");
	for (unsigned i = 0; i < 3; i++)
		send_one(KUBE_GET, NULL, 0);
	run_until(&got.n, 8, 2);
	CHECK(got.n == 8 && server.sockets == 1, "three at once queue for the one connection");
}

static void
test_head(void)
{
	begin(1, reply_ok);
	send_one(KUBE_PATCH, "{\"b\":2}", 0);
	run_until(&got.n, 1, 2);
	CHECK(strncmp(server.last, "PATCH /api/v1/x HTTP/1.1\r\n", 26) == 0, "the request line");
	CHECK(strstr(server.last, "\r\nHost: 127.0.0.1:1\r\n") != NULL, "Host");
	CHECK(
	    strstr(server.last, "\r\nAuthorization: Bearer token-1\r\n") != NULL, "Authorization");
	CHECK(strstr(server.last, "\r\nUser-Agent: bestgres-test\r\n") != NULL, "User-Agent");
	CHECK(
	    strstr(server.last, "\r\nContent-Type: application/json\r\n") != NULL, "Content-Type");
	CHECK(strcasestr(server.last, "Accept-Encoding") == NULL &&
		  strcasestr(server.last, "Expect") == NULL,
	    "no Accept-Encoding, no Expect");
	CHECK(strstr(server.last, "\r\n\r\n{\"b\":2}") != NULL, "the body");
	struct secret password = {0};
	secret_alloc(&password, 16);
	memcpy(password.p, "sesame!", 7);
	password.len = 7;
	CHECK(kube_set_basic(kube, "patroni", &password, NULL) == 0, "basic authorization");
	send_one(KUBE_DELETE, NULL, 0);
	run_until(&got.n, 2, 2);
	CHECK(strstr(server.last, "\r\nAuthorization: Basic cGF0cm9uaTpzZXNhbWUh\r\n") != NULL,
	    "user:password in base64");
	CHECK(
	    strncmp(server.last, "DELETE ", 7) == 0 && strcasestr(server.last, "Content-") == NULL,
	    "a DELETE without a body says no length and no type");
	password.len = 5;
	kube_set_basic(kube, "patroni", &password, NULL);
	send_one(KUBE_GET, NULL, 0);
	run_until(&got.n, 3, 2);
	CHECK(strstr(server.last, "\r\nAuthorization: Basic cGF0cm9uaTpzZXNhbQ==\r\n") != NULL,
	    "base64 with padding");
	secret_free(&password);
	struct err e;
	CHECK(kube_set_token(kube, STR("a\r\nX: y"), &e) == -1 && e.code == ERR_INVALID,
	    "a token with a line end is refused");
	CHECK(kube_set_ca(kube, STR("nothing"), &e) == -1 && e.code == ERR_INVALID,
	    "a CA bundle without PEM is refused");
}

static void
test_split(void)
{
	begin(1, reply_split);
	bool all = true;
	for (split_at = 0; split_at < sizeof(chunked) - 1; split_at++) {
		struct kube_request q = {.path = "/x"};
		kube_send(kube, &q, quiet_reply, NULL);
		run_until(&got.n, (unsigned)split_at + 1, 2);
		all = all && got.outcome == KUBE_REPLIED && got.status == 201 &&
		      strcmp(got.body, "{\"a\":12}") == 0;
	}
	CHECK(all && got.n == sizeof(chunked) - 1,
	    "a chunked reply split at every byte is the same reply");
	CHECK(server.sockets == 1, "and the connection is used again");
}

static void
test_outcomes(void)
{
	begin(1, close_unread);
	send_one(KUBE_POST, "{}", 0);
	run_until(&got.n, 1, 2);
	CHECK(got.outcome == KUBE_UNKNOWN && got.err.code == ERR_RETRY,
	    "closed after the request was read: unknown");
	CHECK(server.requests == 1 && server.sockets == 1, "and it was sent once");

	begin(1, die_on_second);
	send_one(KUBE_GET, NULL, 0);
	run_until(&got.n, 1, 2);
	send_one(KUBE_POST, "{}", 0);
	run_until(&got.n, 2, 2);
	CHECK(got.n == 2 && got.outcome == KUBE_UNKNOWN,
	    "a reused connection dies with the POST: unknown");
	run_for(0.05);
	CHECK(server.requests == 2 && server.sockets == 1,
	    "the resend trap: no second delivery, no second socket");

	begin(2, die_on_second);
	send_one(KUBE_GET, NULL, 0);
	send_one(KUBE_GET, NULL, 0);
	run_until(&got.n, 2, 2);
	CHECK(server.sockets == 2, "two requests at once on two connections");
	send_one(KUBE_POST, "{}", 0);
	run_until(&got.n, 3, 2);
	run_for(0.05);
	CHECK(got.n == 3 && got.outcome == KUBE_UNKNOWN && server.requests == 3,
	    "nor is it sent again on another idle connection");

	begin(1, say_nothing);
	send_one(KUBE_POST, "{}", 30);
	run_until(&got.n, 1, 2);
	CHECK(got.outcome == KUBE_UNKNOWN, "no reply in time: unknown");
	raw = "HTTP/1.1 201 Created\r\nContent-Length: 10\r\n\r\n{\"a\"";
	server.handle = reply_raw;
	send_one(KUBE_POST, "{}", 0);
	run_until(&got.n, 2, 2);
	CHECK(got.outcome == KUBE_UNKNOWN && server.sockets == 2,
	    "a reply cut off: unknown; a new connection after a timeout");
}

static void
test_no_socket(void)
{
	begin(1, reply_ok);
	server.none = true;
	send_one(KUBE_POST, "{}", 50);
	run_until(&got.n, 1, 2);
	CHECK(got.outcome == KUBE_NOT_SENT && server.requests == 0, "no socket in time: not sent");
	send_one(KUBE_POST, "{}", 2000);
	send_one(KUBE_POST, "{}", 2000);
	run_for(0.02);
	CHECK(got.n == 1, "requests wait for a socket");
	server.none = false;
	run_for(0.02);
	CHECK(got.n == 1, "until they are kicked");
	kube_kick(kube);
	run_until(&got.n, 3, 2);
	CHECK(got.n == 3 && got.outcome == KUBE_REPLIED && server.sockets == 1,
	    "then all go, over the one connection");
	kube_set_token(kube, (struct str){0}, NULL);
	send_one(KUBE_GET, NULL, 50);
	run_until(&got.n, 4, 2);
	CHECK(got.outcome == KUBE_NOT_SENT && server.requests == 2,
	    "without a token nothing is sent");
}

static void
test_limits(void)
{
	begin(1, reply_headers);
	header_line = 8000, header_lines = 1;
	send_one(KUBE_GET, NULL, 0);
	run_until(&got.n, 1, 2);
	CHECK(got.outcome == KUBE_REPLIED, "a header line below the limit");
	header_line = HTTP_HEADER_MAX;
	send_one(KUBE_GET, NULL, 0);
	run_until(&got.n, 2, 2);
	CHECK(got.outcome == KUBE_UNKNOWN && got.err.code == ERR_LIMIT,
	    "a header line above the limit");
	header_line = 8000, header_lines = 9;
	send_one(KUBE_GET, NULL, 0);
	run_until(&got.n, 3, 2);
	CHECK(got.outcome == KUBE_UNKNOWN && got.err.code == ERR_LIMIT,
	    "header lines above the limit in all");

	begin(1, reply_large);
	body_bytes = HTTP_REPLY_MAX;
	send_one(KUBE_GET, NULL, 0);
	run_until(&got.n, 1, 5);
	CHECK(got.outcome == KUBE_REPLIED && got.body_len == HTTP_REPLY_MAX, "a body at the limit");
	body_bytes = HTTP_REPLY_MAX + 1;
	send_one(KUBE_GET, NULL, 0);
	run_until(&got.n, 2, 5);
	CHECK(got.outcome == KUBE_UNKNOWN && got.err.code == ERR_LIMIT, "a body above the limit");

	begin(1, reply_ok);
	struct kube_request q = {.method = KUBE_POST, .path = "/x"};
	char *large = calloc(1, HTTP_BODY_MAX + 1);
	q.body = (struct str){large, HTTP_BODY_MAX + 1};
	kube_send(kube, &q, on_reply, NULL);
	CHECK(got.n == 0, "a refusal, too, comes from the loop");
	run_until(&got.n, 1, 2);
	CHECK(got.outcome == KUBE_NOT_SENT && got.err.code == ERR_LIMIT && server.requests == 0,
	    "too large a body of ours");
	free(large);
	server.none = true;
	struct kube_request get = {.path = "/x"};
	for (unsigned i = 0; i <= HTTP_QUEUE_MAX; i++)
		kube_send(kube, &get, quiet_reply, NULL);
	run_until(&got.n, 2, 2);
	run_for(0.05);
	CHECK(got.n == 2 && got.outcome == KUBE_NOT_SENT && got.err.code == ERR_LIMIT,
	    "one request too many is refused, alone");
}

static void
test_garbage(void)
{
	static const char *const garbage[] = {
	    "SSH-2.0-OpenSSH_9.2\r\n",
	    "\r\n\r\n\r\n",
	    "<html>",
	    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
	    "HTTP/1.1 100 Continue\r\n\r\n",
	    "",
	};
	begin(1, reply_raw);
	for (unsigned i = 0; i < sizeof(garbage) / sizeof(*garbage); i++) {
		raw = garbage[i];
		send_one(KUBE_GET, NULL, 0);
		run_until(&got.n, i + 1, 2);
		CHECK(got.n == i + 1 && got.outcome == KUBE_UNKNOWN && got.err.text[0] != '\0',
		    "garbage: unknown, with a text");
	}
	raw = "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:2/y\r\nSet-Cookie: "
	      "a=b\r\nContent-Length: 0\r\n\r\n";
	unsigned before = got.n, sockets = server.sockets;
	server.handle = reply_raw_open;
	send_one(KUBE_GET, NULL, 0);
	run_until(&got.n, before + 1, 2);
	CHECK(got.outcome == KUBE_REPLIED && got.status == 302 && server.sockets == sockets + 1,
	    "redirects are not followed");
	server.handle = reply_ok;
	send_one(KUBE_GET, NULL, 0);
	run_until(&got.n, before + 2, 2);
	CHECK(strcasestr(server.last, "Cookie") == NULL, "cookies are not kept");
}

static void
test_refusals(void)
{
	begin(1, reply_raw_open);
	raw = "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n";
	send_one(KUBE_GET, NULL, 0);
	send_one(KUBE_GET, NULL, 0);
	run_until(&got.n, 2, 2);
	CHECK(got.status == 401 && unauthorized == 1, "401 is told once a token");
	kube_set_token(kube, STR("token-2"), NULL);
	send_one(KUBE_GET, NULL, 0);
	run_until(&got.n, 3, 2);
	CHECK(unauthorized == 2 && strstr(server.last, "Bearer token-2\r\n") != NULL,
	    "and again for a new one, which is in use");
	raw = "HTTP/1.1 429 Too Many Requests\r\nretry-After:  7\r\nContent-Length: 0\r\n\r\n";
	send_one(KUBE_GET, NULL, 0);
	run_until(&got.n, 4, 2);
	CHECK(got.status == 429 && got.retry_after_ms == 7000, "Retry-After in seconds");
	raw = "HTTP/1.1 503 Later\r\nRetry-After: 99999999999\r\nContent-Length: 0\r\n\r\n";
	send_one(KUBE_GET, NULL, 0);
	run_until(&got.n, 5, 2);
	CHECK(got.retry_after_ms == HTTP_RETRY_AFTER_MAX_MS, "Retry-After is bounded");
	raw = "HTTP/1.1 503 Later\r\nRetry-After: Fri, 31 Dec 1999 23:59:59 GMT\r\nContent-Length: "
	      "0\r\n\r\n";
	send_one(KUBE_GET, NULL, 0);
	run_until(&got.n, 6, 2);
	CHECK(got.status == 503 && got.retry_after_ms == 0, "Retry-After as a date is none");
}

static void
test_bucket(void)
{
	struct kube_request q = {.path = "/x"};
	begin(1, reply_ok);
	struct msec start = clock_mono();
	for (unsigned i = 0; i < REQUEST_BURST + 10; i++) {
		kube_send(kube, &q, quiet_reply, NULL);
		run_until(&got.n, i + 1, 2);
	}
	int64_t ms = clock_mono().v - start.v;
	CHECK(got.n == REQUEST_BURST + 10, "all requests of a burst are answered");
	/* The bucket gave 200 and what it got meanwhile: ten more take ten turns. */
	CHECK(ms >= 10 * 1000 / REQUEST_RATE - 20, "past the burst the rate holds");
}

static int
reply_error(enum kube_outcome outcome, int status, const char *body, struct err *e)
{
	struct kube_reply r = {.outcome = outcome, .status = status, .body = str_of(body)};
	*e = (struct err){0};
	return kube_reply_error(&r, e);
}

static void
test_reply_error(void)
{
	static const struct {
		int status;
		enum err_code code;
	} rows[] = {{401, ERR_DENIED}, {403, ERR_DENIED}, {404, ERR_GONE}, {410, ERR_GONE},
	    {409, ERR_CONFLICT}, {400, ERR_INVALID}, {422, ERR_INVALID}, {429, ERR_RETRY},
	    {500, ERR_RETRY}, {503, ERR_RETRY}, {504, ERR_RETRY}, {0, ERR_RETRY}};
	struct err e;
	bool all = true;
	for (unsigned i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		all = all && reply_error(KUBE_REPLIED, rows[i].status, "", &e) == -1 &&
		      e.code == rows[i].code;
	CHECK(all, "each status has its code");
	CHECK(reply_error(KUBE_REPLIED, 201, "", &e) == 0, "2xx is none");
	CHECK(reply_error(KUBE_UNKNOWN, 0, "", &e) == -1 && e.code == ERR_RETRY,
	    "an unknown outcome is RETRY");
	static const char status[] = "{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"status\":"
				     "\"Failure\",\"message\":\"it exists\","
				     "\"reason\":\"AlreadyExists\",\"code\":409}";
	CHECK(
	    reply_error(KUBE_REPLIED, 409, status, &e) == -1 && strstr(e.text, "it exists") != NULL,
	    "the Status' message is told");
	CHECK(reply_error(KUBE_REPLIED, 500, "<html>", &e) == -1 && strstr(e.text, "500") != NULL,
	    "without a Status, the number");
	struct kube_reply r = {.outcome = KUBE_REPLIED, .status = 403};
	r.body = STR("{\"kind\":\"Status\",\"status\":\"Failure\",\"code\":403,\"message\":\"m\","
		     "\"reason\":\"Forbidden\",\"details\":{"
		     "\"causes\":[{\"reason\":\"Other\"},{\"reason\":\"NamespaceTerminating\","
		     "\"message\":\"x\"}]}}");
	CHECK(kube_reply_terminating(&r), "the 403 of a namespace that is being deleted");
	r.status = 409;
	CHECK(!kube_reply_terminating(&r), "only with status 403");
	r.status = 403;
	r.body = STR("{\"kind\":\"Status\",\"status\":\"Failure\",\"code\":403,\"message\":"
		     "\"NamespaceTerminating\",\"reason\":\"Forbidden\"}");
	CHECK(!kube_reply_terminating(&r), "a message that says so is no cause");
	r.body = STR("{{");
	CHECK(!kube_reply_terminating(&r), "nor is garbage");
}

/* In a child, since it dies. The child's log line goes nowhere. */
static bool
path_dies(const char *ns, const char *name, const char *sub, const char *query)
{
	char out[HTTP_PATH_MAX];
	int status = 0;
	pid_t pid = fork();
	if (pid == 0) {
		close(2);
		kube_path(out, KIND_POD, ns, name, sub, query);
		_exit(0);
	}
	waitpid(pid, &status, 0);
	return WIFEXITED(status) && WEXITSTATUS(status) == EXIT_BUG;
}

static void
test_path(void)
{
	char out[HTTP_PATH_MAX];
	kube_path(out, KIND_STATEFULSET, "ns", NULL, NULL, NULL);
	CHECK(strcmp(out, "/apis/apps/v1/namespaces/ns/statefulsets") == 0, "a collection");
	kube_path(out, KIND_BGCLUSTER, "ns", "demo", "status", "fieldValidation=Strict");
	CHECK(strcmp(out, "/apis/bestgres.io/v1/namespaces/ns/bgclusters/demo/"
			  "status?fieldValidation=Strict") == 0,
	    "a subresource with a query");
	CHECK(!path_dies("ns", "a.b", NULL, "x=1%2C2"),
	    "dots in a name and an encoded query are good");
	CHECK(path_dies("", NULL, NULL, NULL), "no namespace dies");
	CHECK(path_dies("a/b", NULL, NULL, NULL), "a slash dies");
	CHECK(path_dies("..", NULL, NULL, NULL), "dots dies");
	CHECK(path_dies("ns", "../secrets", NULL, NULL), "a way up dies");
	CHECK(path_dies("ns", "a?b", NULL, NULL), "a query in a name dies");
	CHECK(path_dies("ns", "a%2fb", NULL, NULL), "an encoded slash dies");
	CHECK(path_dies("ns", "A", NULL, NULL), "an upper-case name dies");
	CHECK(path_dies("ns", NULL, "status", NULL), "a subresource of nothing dies");
	CHECK(path_dies("ns", "a", "b c", NULL), "a space dies");
	CHECK(path_dies("ns", "a", NULL, "x=1 HTTP/1.1\r\nHost: x"), "a line end in a query dies");
	char lots[HTTP_PATH_MAX];
	memset(lots, 'a', sizeof(lots) - 1);
	lots[sizeof(lots) - 1] = '\0';
	CHECK(path_dies("ns", "a", NULL, lots), "too long a path dies");
	CHECK(path_dies("ns", lots, NULL, NULL), "too long a name dies");
}

/* --- Secrets. */

static void
reply_echo(struct conn *c, const char *request)
{
	char body[16384];
	snprintf(body, sizeof(body), "%s", strstr(request, "\r\n\r\n") + 4);
	conn_reply(c, 201, body);
}

/* A password that is posted, and comes back in the reply; large enough for buffers to grow. */
static void
test_secret(void)
{
	char body[3000];
	int n = snprintf(body, sizeof(body), "{\"password\":\"hunter2\",\"more\":\"");
	memset(body + n, 'x', sizeof(body) - (size_t)n);
	memcpy(body + sizeof(body) - 3, "\"}", 3);
	begin(1, reply_echo);
	CHECK(freed_watch("hunter2"), "a hook on free");
	send_one(KUBE_POST, body, 0);
	run_until(&got.n, 1, 2);
	CHECK(got.status == 201 && got.body_len == strlen(body), "the password came back");
	kube_free(kube);
	kube = NULL;
	CHECK(freed_found == 0, "no memory that was given back has it");
	freed_needle = NULL;
}

int
main(void)
{
	signal(SIGPIPE, SIG_IGN);
	server.loop = ev_loop_new(EVFLAG_AUTO);
	test_reuse();
	test_head();
	test_split();
	test_outcomes();
	test_no_socket();
	test_limits();
	test_garbage();
	test_refusals();
	test_bucket();
	test_reply_error();
	test_path();
	test_secret();
	kube_free(kube);
	server_reset(NULL);
	ev_loop_destroy(server.loop);
	return tap_done();
}
