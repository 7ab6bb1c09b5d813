/*
 * http: private to room kube, for request.c and watch.c. A transfer is one HTTP exchange on a
 * connection that http.c finds, reuses, dials or is handed. Its owner is called back from the
 * loop only, never from inside curl or from inside a call of its own; so every function here may
 * be called in every callback of on_ready and on_done.
 */
#ifndef KUBE_HTTP_H
#define KUBE_HTTP_H

#include <curl/curl.h>
#include <ev.h>

#include "kube/kube.h"

enum http_class {
	HTTP_REQUEST, /* at most kube_config.connections at a time, REQUEST_RATE a second */
	HTTP_STREAM,  /* one connection each */
	HTTP_CLASSES
};
enum http_accept { HTTP_JSON, HTTP_META, HTTP_META_LIST }; /* META: PartialObjectMetadata */
enum http_verdict {
	HTTP_TAKEN,
	HTTP_LATER, /* nothing was taken: the same bytes come again after http_resume */
	HTTP_TOO_LARGE,
};
struct http_ops {
	/* Body bytes, from inside curl: store them, call http_ready, nothing else. */
	enum http_verdict (*on_body)(void *arg, const char *p, size_t n);
	void (*on_ready)(void *arg); /* after http_ready; NULL where that is not used */
	void (*on_done)(void *arg);  /* it ended; how stands in the transfer */
};
enum http_state { HTTP_IDLE, HTTP_QUEUED, HTTP_ACTIVE };
struct http_transfer {
	/* The owner's, before http_start. */
	struct kube *k;
	const struct http_ops *ops;
	void *arg;
	enum http_class class;
	enum kube_method method;
	enum kube_body content;
	enum http_accept accept;
	struct str body; /* borrowed until on_done or http_abort */
	char path[HTTP_PATH_MAX];

	/* How far it came. */
	enum http_state state;
	bool sent;  /* the server may have seen the request */
	int status; /* once the head is there, else 0 */
	int retry_after_ms;
	enum kube_outcome outcome; /* on_done */
	struct err err;            /* outcome != KUBE_REPLIED */

	/* http.c's. */
	struct http_transfer *prev, *next, *next_ready;
	bool ready, too_large, no_socket, stalled;
	size_t header_bytes;
	CURL *easy;
	struct curl_slist headers[4];
	char why[CURL_ERROR_SIZE];
};
struct http_list {
	struct http_transfer *first, *last;
};

struct request;
struct kube {
	struct ev_loop *loop;
	struct kube_config config;
	char origin[96]; /* https://[::1]:6443 */
	char agent[64];
	CURLM *multi;
	ev_timer timer;              /* curl's */
	ev_timer wake;               /* ours: what was put off, and the bucket's next token */
	struct secret authorization; /* a header line, always at the same address */
	struct buf ca;
	struct http_list queue[HTTP_CLASSES], active;
	unsigned running[HTTP_CLASSES];
	struct http_transfer *ready;
	/* It has no connection yet, and the next one waits: handed sockets come one by one. */
	struct http_transfer *opening;
	/* No socket lay ready: wait for kube_kick, or for a connection that falls idle. */
	bool starved;
	bool inside;          /* a callback is running */
	int64_t bucket_milli; /* thousandths of a request */
	struct msec bucket_at;
	struct msec unauthorized_at; /* 0 = not told since this token */
	struct request *requests;
	unsigned requests_n;
	struct kube_watch *watches;
	unsigned watches_n;
	struct msec woken; /* when one watch's success last woke the others; 0 = never */
	bool no_watchlist; /* the server refused sendInitialEvents */
};

void http_start(struct http_transfer *t);  /* queues it; state must be HTTP_IDLE */
void http_abort(struct http_transfer *t);  /* no callback follows; any state */
void http_ready(struct http_transfer *t);  /* on_ready will be called */
void http_resume(struct http_transfer *t); /* after HTTP_LATER */
void http_resize(struct kube *k);          /* the number of watches changed */

void auth_init(struct kube *k);
void auth_free(struct kube *k);
void request_free_all(struct kube *k);
void watch_free_all(struct kube *k);
void watch_kick_all(struct kube *k); /* watches that wait because of a 401 go on */
void tls_alloc_init(void);

/* The times of a watch; tests shorten them. */
struct watch_times {
	int64_t idle_ms, backoff_ms, backoff_max_ms, settled_ms, wake_ms;
};
#ifdef TESTING
extern struct watch_times watch_times;
#endif

#endif
