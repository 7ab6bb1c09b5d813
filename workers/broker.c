/*
 * The broker: the only holder of the pod's own token. It mints a narrower one for the watcher and
 * for the executor (TokenRequest, bound to one Secret whose deletion revokes them all), renews each
 * at 80 % of its life, and hands tokens out as sealed memfds and the API server's connections as
 * sockets (broker_dial.c). From the network it parses nothing but TokenRequest replies.
 */
#include "workers/broker.h"

#include <errno.h>
#include <ev.h>
#include <unistd.h>

#include "kube/kube.h"

#define ACCOUNT_DIR "/var/run/secrets/kubernetes.io/serviceaccount"
#define MINT_AGAIN_MS 250 /* doubled with each failure, up to the next */
#define MINT_AGAIN_MAX_MS 8000
#define MINT_REFUSED_MS 5000 /* a peer whose token is refused gets a new one this often at most */
#define MINT_REPLY_MAX 65536 /* a TokenRequest with its token: TOKEN_MAX and a page of metadata */
#define TOKEN_LIFE_MIN_S                                                                           \
	60 /* what a reply may say of a token's life; shorter would mean to mint all the time */
#define TOKEN_LIFE_MAX_S 86400

struct mint {
	enum ipc_role peer;
	const char *account;
	struct worker *w;
	int token, ca; /* sealed memfds, -1 = none yet */
	bool in_flight, send_due;
	unsigned failures;
	struct msec last; /* when the last one was made */
	char trouble[IPC_TEXT_MAX + 1];
	ev_timer timer;
};

static struct mint mints[] = {
    {.peer = ROLE_WATCHER, .account = "bestgres-watcher", .token = -1, .ca = -1},
    {.peer = ROLE_EXECUTOR, .account = "bestgres-executor", .token = -1, .ca = -1},
};
#define MINTS (sizeof(mints) / sizeof(mints[0]))
static struct kube *kube;
static struct arena arena;
static struct ipc_msg out; /* 60 KB: not on the stack */

static struct mint *
mint_of(enum ipc_role peer)
{
	for (size_t i = 0; i < MINTS; i++)
		if (mints[i].peer == peer)
			return &mints[i];
	die("%s has no token of ours", ipc_role_name(peer));
}

/* --- Handing out. */

/* The token, or why there is none; both where a token is there but can not be renewed. */
static void
send_mint(struct mint *m)
{
	m->send_due = false;
	if (m->token != -1) {
		out.type = IPC_TOKEN;
		out.fds[0] = m->token;
		out.fds[1] = m->ca;
		m->send_due = !worker_send(m->w, m->peer, &out);
	}
	if (m->trouble[0] != '\0' && !m->send_due) {
		out.type = IPC_NO_TOKEN;
		memcpy(out.no_token.text, m->trouble, sizeof(m->trouble));
		m->send_due = !worker_send(m->w, m->peer, &out);
	}
}

/* --- Minting. */

static void
start_timer(struct mint *m, int64_t ms)
{
	ev_timer_stop(m->w->loop, &m->timer);
	ev_timer_set(&m->timer, (double)ms / 1000., 0.);
	ev_timer_start(m->w->loop, &m->timer);
}

/* text is told once, not with every attempt. */
static void
mint_failed(struct mint *m, const char *text, int retry_after_ms)
{
	char trouble[IPC_TEXT_MAX + 1];
	unsigned shift = m->failures < 5 ? m->failures : 5;
	int64_t ms = MINT_AGAIN_MS << shift;

	if (ms < retry_after_ms)
		ms = retry_after_ms;
	m->failures++;
	start_timer(m, ms);
	str_copy_text(trouble, sizeof(trouble), str_of(text));
	if (str_is(str_of(trouble), m->trouble))
		return;
	memcpy(m->trouble, trouble, sizeof(trouble));
	log_warn("no_token", NULL, "%s", trouble);
	if (m->token == -1)
		send_mint(m);
}

/* What the API server's refusal means for whoever installed the operator. */
static void
mint_refused(struct mint *m, const struct kube_reply *r)
{
	const struct msg_config *c = &m->w->config;
	char text[ERR_TEXT_MAX + 512];
	struct err e;

	if (r->outcome != KUBE_REPLIED) {
		snprintf(text, sizeof(text),
		    "the API server %s port %u can not be asked for a token: %s", c->api_host,
		    c->api_port, r->err.text);
		mint_failed(m, text, r->retry_after_ms);
		return;
	}
	kube_reply_error(r, &e);
	if (r->status == 404)
		snprintf(text, sizeof(text),
		    "Secret %s or ServiceAccount %s is missing in %s: apply the operator's "
		    "manifests: %s",
		    c->token_secret, m->account, c->namespace, e.text);
	else if (r->status == 403)
		snprintf(text, sizeof(text),
		    "create serviceaccounts/token for %s is not allowed in %s: apply the "
		    "operator's Role: %s",
		    m->account, c->namespace, e.text);
	else
		snprintf(text, sizeof(text), "no token for %s: %s", m->account, e.text);
	mint_failed(m, text, r->retry_after_ms);
}

/* The token as it stands in the reply: never copied out of it but into its memfd. */
static int
find_token(const struct json *j, struct str *token, int64_t *life_s, struct err *e)
{
	struct str s = json_raw(j, json_path(j, json_root(j), "status.token"));

	if (json_i64(j, json_path(j, json_root(j), "spec.expirationSeconds"), life_s) == -1 ||
	    *life_s < TOKEN_LIFE_MIN_S || *life_s > TOKEN_LIFE_MAX_S)
		return err_set(e, ERR_INVALID, "the reply's expirationSeconds makes no sense");
	if (s.len < 3 || s.p[0] != '"' || s.len > TOKEN_MAX)
		return err_set(e, ERR_INVALID, "the reply has no token");
	*token = (struct str){s.p + 1, s.len - 2};
	if (memchr(token->p, '\\', token->len) != NULL || !charset_ok(CHARS_PRINT, *token))
		return err_set(e, ERR_INVALID, "the reply's token is malformed");
	return 0;
}

static int
take_token(struct mint *m, const struct kube_reply *r, int64_t *life_s, struct err *e)
{
	struct str token;
	struct json j;
	int fd;

	if (r->body.len > MINT_REPLY_MAX)
		return err_set(e, ERR_LIMIT, "the reply has over %d bytes", MINT_REPLY_MAX);
	if (json_parse(&j, r->body, &arena, e) == -1 || find_token(&j, &token, life_s, e) == -1)
		return -1;
	fd = fd_sealed("token", token.p, token.len, e);
	if (fd == -1)
		return -1;
	fd_close(&m->token);
	m->token = fd;
	return 0;
}

static void
on_reply(void *arg, const struct kube_reply *r)
{
	struct mint *m = arg;
	int64_t life_s;
	struct err e;

	m->in_flight = false;
	arena_reset(&arena);
	if (r->outcome != KUBE_REPLIED || r->status / 100 != 2) {
		mint_refused(m, r);
		return;
	}
	if (take_token(m, r, &life_s, &e) == -1) {
		mint_failed(m, e.text, 0);
		return;
	}
	m->failures = 0;
	m->trouble[0] = '\0';
	m->last = clock_mono();
	start_timer(m, life_s * 1000 / 5 * 4);
	log_info("minted", NULL, "token for %s, good for %lld s", m->account, (long long)life_s);
	send_mint(m);
	worker_worked(m->w);
}

static void
write_request(struct buf *b, const char *secret)
{
	struct jw w;

	jw_init(&w, b);
	jw_object(&w);
	jw_kv(&w, "apiVersion", "authentication.k8s.io/v1");
	jw_kv(&w, "kind", "TokenRequest");
	jw_key(&w, "spec");
	jw_object(&w);
	jw_kv_int(&w, "expirationSeconds", TOKEN_SECONDS);
	jw_key(&w, "boundObjectRef");
	jw_object(&w);
	jw_kv(&w, "apiVersion", "v1");
	jw_kv(&w, "kind", "Secret");
	jw_kv(&w, "name", secret);
	jw_end(&w);
	jw_end(&w);
	jw_end(&w);
}

/* Our own token and the CA, anew each time: the kubelet rotates both. */
static int
read_account(struct mint *m, struct err *e)
{
	struct secret token = {0}, ca = {0};
	int fd = -1;

	if (secret_read_file(&token, ACCOUNT_DIR "/token", TOKEN_MAX, e) == 0 &&
	    secret_read_file(&ca, ACCOUNT_DIR "/ca.crt", CA_MAX, e) == 0 &&
	    kube_set_token(kube, (struct str){token.p, token.len}, e) == 0 &&
	    kube_set_ca(kube, (struct str){ca.p, ca.len}, e) == 0)
		fd = fd_sealed("ca", ca.p, ca.len, e);
	secret_free(&token);
	secret_free(&ca);
	if (fd == -1)
		return -1;
	fd_close(&m->ca);
	m->ca = fd;
	return 0;
}

static void
mint(struct mint *m)
{
	char path[HTTP_PATH_MAX];
	struct kube_request r = {.method = KUBE_POST, .path = path, .content = KUBE_JSON};
	struct buf body;
	struct err e;

	if (m->in_flight)
		return;
	if (read_account(m, &e) == -1) {
		mint_failed(m, e.text, 0);
		return;
	}
	kube_path(path, KIND_SERVICEACCOUNT, m->w->config.namespace, m->account, "token", NULL);
	buf_init(&body, 4096);
	write_request(&body, m->w->config.token_secret);
	if (body.full)
		die("a TokenRequest outgrew its buffer");
	r.body = buf_view(&body);
	m->in_flight = true;
	kube_send(kube, &r, on_reply, m);
	buf_free(&body);
}

static void
on_timer(struct ev_loop *loop, ev_timer *timer, int revents)
{
	(void)loop;
	(void)revents;
	mint(timer->data);
}

/* Someone revoked it, or a clock jumped. A peer that says so without end costs one request in
 * MINT_REFUSED_MS. */
static void
on_refused(struct mint *m)
{
	int64_t wait = m->last.v + MINT_REFUSED_MS - clock_mono().v;

	if (m->in_flight || m->failures > 0)
		return; /* on its way already */
	log_warn("token_refused", NULL, "the API server refuses the token of %s: minting anew",
	    m->account);
	start_timer(m, wait > 0 ? wait : 0);
}

/* --- The worker. */

static void
prepare(struct worker *w, struct sandbox_args *args)
{
	struct kube_config c = {.loop = w->loop,
	    .host = w->config.api_host,
	    .port = w->config.api_port,
	    .tls = true,
	    .user_agent = "bestgres-broker",
	    .connections = 1};

	if (access(ACCOUNT_DIR "/token", R_OK) == -1) {
		log_error("config", NULL,
		    ACCOUNT_DIR "/token: %s: the pod's spec must not switch off "
				"automountServiceAccountToken",
		    strerror(errno));
		worker_exit(w, EXIT_CONFIG);
	}
	/* The directory, not the files: they are links into one that the kubelet replaces. */
	args->dirs[0] = ACCOUNT_DIR;
	args->ports[0] = w->config.api_port;
	kube = kube_new(&c);
	arena_init(&arena, JSON_OBJECT_MAX);
	broker_dial_init(w);
}

static void
start(struct worker *w)
{
	for (size_t i = 0; i < MINTS; i++) {
		mints[i].w = w;
		ev_init(&mints[i].timer, on_timer);
		mints[i].timer.data = &mints[i];
		mint(&mints[i]);
	}
}

static void
on_edge(struct worker *w, enum ipc_role peer)
{
	(void)w;
	send_mint(mint_of(peer));
}

static void
on_writable(struct worker *w, enum ipc_role peer)
{
	if (mint_of(peer)->send_due)
		send_mint(mint_of(peer));
	broker_dial_send(w, peer);
}

static void
on_msg(struct worker *w, enum ipc_role peer, struct ipc_msg *m)
{
	if (m->type == IPC_WANT_SOCKET)
		broker_dial_want(w, peer);
	else if (m->type == IPC_TOKEN_REFUSED)
		on_refused(mint_of(peer));
	else
		die("%s reached the broker", ipc_type_name(m->type));
}

int
broker_main(void)
{
	static const struct worker_ops ops = {.role = ROLE_BROKER,
	    .peers = R(WATCHER) | R(EXECUTOR),
	    .prepare = prepare,
	    .start = start,
	    .on_edge = on_edge,
	    .on_edge_lost = broker_dial_forget,
	    .on_msg = on_msg,
	    .on_writable = on_writable};

	return worker_run(&ops, SANDBOX_BROKER, NULL);
}
