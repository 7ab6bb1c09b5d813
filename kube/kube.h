/*
 * kube: JSON, Kubernetes objects, HTTP and watches. Two halves: json_scan.c, json.c, outline.c,
 * write.c, quantity.c, diff.c, meta.c, decode.c, windows.c, status.c and feed.c are pure (bytes in,
 * structs out; objects/ uses only those); http.c, auth.c, request.c and watch.c do
 * I/O on libcurl and libev, tls_alloc.c makes mbedTLS wipe what it frees.
 */
#ifndef KUBE_KUBE_H
#define KUBE_KUBE_H

#include "base/base.h"
#include "model/model.h"

/* ============ JSON, reading (json.c) ============ */
/* A node is a token's number; JSON_NONE is "not there" and every reader accepts it. */
#define JSON_NONE (-1)
struct json {
	struct str text;
	void *tokens; /* jsmntok_t[], in the arena */
	int n;
};
/*
 * Validates (RFC 8259, UTF-8, depth <= JSON_DEPTH_MAX, no duplicate keys in an object, one root, no
 * NUL) and tokenises. text must outlive j. ERR_INVALID says what and at which byte; ERR_LIMIT names
 * the bound.
 */
int json_parse(struct json *j, struct str text, struct arena *a, struct err *e);
/*
 * The validating half alone (json_scan.c), duplicate keys apart: counts the tokens, needs no
 * memory.
 */
int json_scan(struct str text, size_t *tokens, struct err *e);
/*
 * An object (or a watch line around one) that json_parse refused with ERR_LIMIT, with null for its
 * spec, annotations, labels and managedFields: what is left can be parsed, and says whose it is.
 */
int json_outline(struct str text, struct buf *out, struct err *e);
enum json_type {
	JSON_T_NONE,
	JSON_T_OBJECT,
	JSON_T_ARRAY,
	JSON_T_STRING,
	JSON_T_NUMBER,
	JSON_T_BOOL,
	JSON_T_NULL
};
enum json_type json_type(const struct json *j, int node);
/* not there, or null: to Kubernetes these are one */
bool json_absent(const struct json *j, int node);
int json_root(const struct json *j);
int json_get(const struct json *j, int object, struct str key); /* the value, or JSON_NONE */
/* "metadata.uid"; no key has a dot here */
int json_path(const struct json *j, int object, const char *dotted);
int json_count(const struct json *j, int node); /* members or elements */
/*
 * Iterates: for (int k = json_first(j, node); k != JSON_NONE; k = json_next(j, k)). In an object k
 * is the key.
 */
int json_first(const struct json *j, int node);
int json_next(const struct json *j, int k);
int json_value(const struct json *j, int key); /* of an object's key node */
/* the text as it stands, strings with their quotes */
struct str json_raw(const struct json *j, int node);
/* Unescapes into a; ERR_INVALID if it is no string, ERR_LIMIT past max bytes. */
int json_string(
    const struct json *j, int node, size_t max, struct arena *a, struct str *out, struct err *e);
/*
 * For messages: unescaped into dst, cut at a UTF-8 boundary, control characters as spaces; "" if it
 * is no string.
 */
void json_copy_text(const struct json *j, int node, char *dst, size_t size);
bool json_string_is(const struct json *j, int node, const char *text); /* no escapes in text */
/* -1 if no integer in range; 1e3 is none */
int json_i64(const struct json *j, int node, int64_t *out);
int json_bool(const struct json *j, int node, bool *out);

/* ============ JSON, writing (write.c) ============ */
/*
 * Writes compact JSON into a buf; commas are its business. Check b->full once at the end. Dies on
 * unbalanced use.
 */
struct jw {
	struct buf *b;
	unsigned depth;
	bool keyed; /* a key is written, its value is due */
	bool comma[JSON_DEPTH_MAX];
	char close[JSON_DEPTH_MAX]; /* the bracket that ends each level */
};
void jw_init(struct jw *w, struct buf *b);
void jw_object(struct jw *w);
void jw_end(struct jw *w); /* closes the innermost object or array */
void jw_array(struct jw *w);
void jw_key(struct jw *w, const char *key);
void jw_key_str(struct jw *w, struct str key);
void jw_str(struct jw *w, struct str s); /* escapes; invalid UTF-8 dies: decoders let none in */
void jw_cstr(struct jw *w, const char *s);
/* as a string */
void jw_printf(struct jw *w, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void jw_int(struct jw *w, int64_t v);
void jw_bool(struct jw *w, bool v);
void jw_null(struct jw *w);
void jw_raw(struct jw *w, struct str json); /* already valid JSON */
/*
 * A parsed value in its one canonical spelling: compact, keys sorted, escapes only where they must
 * be. ERR_LIMIT: a is full.
 */
int jw_json(struct jw *w, const struct json *j, int node, struct arena *a, struct err *e);
/* key and value in one line */
void jw_kv(struct jw *w, const char *key, const char *value);
void jw_kv_str(struct jw *w, const char *key, struct str value);
void jw_kv_int(struct jw *w, const char *key, int64_t v);
void jw_kv_bool(struct jw *w, const char *key, bool v);
void jw_kv_raw(struct jw *w, const char *key, struct str json);
/* an empty value is null: a merge patch (RFC 7396) takes the key away */
void jw_kv_or_null(struct jw *w, const char *key, struct str value);

/* ============ Comparing (diff.c, quantity.c) ============ */
/*
 * What must be patched so that `seen` says what `wanted` says: the JSON merge patch of the
 * differing fields of wanted only, into out. A field that wanted does not name is not ours. Arrays
 * are compared element by element in the same manner (so the API server's defaults do not count)
 * and, where they differ or have another length, replaced whole. Numbers and Kubernetes quantities
 * ("1Gi" and "1024Mi", "1" and "1000m") are compared by value under resources, storage and
 * sizeLimit keys. A null in wanted means "must be absent". Returns 1 = there is a difference, 0 =
 * none, -1 = error.
 */
int json_diff(struct str wanted, struct str seen, struct arena *a, struct buf *out, struct err *e);
int quantity_compare(struct str a, struct str b, int *order); /* -1 if one is no quantity */
int quantity_bytes(struct str s, int64_t *out);

/*
 * ============ Kubernetes objects (decode.c, meta.c, status.c): one table per kind, made from
 * model/<kind>.def ============
 */
/*
 * Each fills *out with views into a. ERR_INVALID and ERR_LIMIT name the JSON path and the rule: a
 * bad user object is no error of ours, but a condition on it; out->meta is filled wherever metadata
 * itself was good (meta.uid is then not none), so that the condition can be placed.
 */
int decode_meta(
    const struct json *j, int object, struct arena *a, struct object_meta *out, struct err *e);
int decode_bgcluster(
    const struct json *j, int object, struct arena *a, struct bgcluster *out, struct err *e);
int decode_bginstance(
    const struct json *j, int object, struct arena *a, struct bginstance *out, struct err *e);
/* finalizer in meta is FINALIZER's: of a BGDbOps see decode_has_finalizer. */
int decode_bgdbops(
    const struct json *j, int object, struct arena *a, struct bgdbops *out, struct err *e);
/*
 * Of one whose spec can not be read: cluster, op and status; the rest is as if it were not given.
 */
int decode_bgdbops_claim(
    const struct json *j, int object, struct arena *a, struct bgdbops *out, struct err *e);
/* The phase of one that is over, also where nothing else can be read; else 0. */
uint8_t decode_dbops_end(const struct json *j, int object);
bool decode_has_finalizer(const struct json *j, int object, const char *finalizer);
int decode_statefulset(
    const struct json *j, int object, struct arena *a, struct statefulset_view *out, struct err *e);
/* spec.maintenanceWindows, list being its node; absent gives none. After an error n is 0. */
int decode_windows(const struct json *j, int list, struct windows *out, struct err *e);
/* A string of exactly 16 lower-case hex digits, as our annotations carry hashes; -1 otherwise. */
int decode_hex16(const struct json *j, int node, uint64_t *out);
/*
 * What .status of a BGCluster says; a choice that is not known is UINT8_MAX. Its texts are a's. The
 * hash is the one that model_status_hash gives for what is wanted (model.h); 0 = empty.
 */
void decode_cluster_status(
    const struct json *j, int object, struct arena *a, struct cluster_status *out);
uint64_t decode_cluster_status_hash(const struct json *j, int object, struct arena *a);
/*
 * A metav1.Status body: code, reason ("AlreadyExists"), message and the first cause's field,
 * bounded.
 */
struct api_status {
	int code;
	char reason[64], message[400];
	int retry_after_s; /* details.retryAfterSeconds, or 0 */
};
int decode_status(const struct json *j, int object, struct api_status *out);

/* ============ Streams of objects (feed.c), pure ============ */
/*
 * feed cuts the body of a LIST (".items[]" one by one, whatever the chunk sizes) or of a watch
 * (lines) into objects, without holding more than one object (<= JSON_OBJECT_MAX). Every object is
 * handed out as validated JSON text.
 */
enum feed_mode { FEED_LIST, FEED_WATCH };
enum feed_event {
	FEED_ITEM,     /* FEED_LIST: one item */
	FEED_ADDED,    /* FEED_WATCH: ADDED or MODIFIED; j is the object */
	FEED_DELETED,  /* j is its last state */
	FEED_BOOKMARK, /* version; initial_end: annotation k8s.io/initial-events-end */
	FEED_EXPIRED,  /* ERROR with code 410 */
	FEED_ERROR,    /* ERROR of another kind; status */
};
struct feed_item {
	enum feed_event event;
	const struct json *j; /* valid during the callback */
	int object;
	struct str raw;
	uint64_t line_hash;
	uint64_t version; /* metadata.resourceVersion */
	bool initial_end;
	struct api_status status;
	/* the bound that the object is past: j holds its outline only. NULL: it is whole */
	const char *limit;
};
struct feed {
	enum feed_mode mode;
	struct buf buf;      /* the object under way */
	struct buf outline;  /* of one that is past json_parse's bounds */
	struct buf envelope; /* FEED_LIST: what stands around the items */
	struct arena arena;
	int (*on_item)(void *arg, const struct feed_item *item); /* -1 stops the feed */
	void *arg;
	/*
	 * May be set after feed_init: called before an object's text is parsed; false skips it
	 * unread.
	 */
	bool (*on_text)(void *arg, uint64_t line_hash);
	/* FEED_LIST, once feed_end said 0: */
	uint64_t list_version;
	char continue_token[512];
	/* private */
	int phase;
	unsigned depth;
	bool in_string, escaped, seen_items;
	size_t string_at; /* in envelope: where the last string of the root object begins */
};
void feed_init(struct feed *f, enum feed_mode mode,
    int (*on_item)(void *, const struct feed_item *), void *arg);
/*
 * ERR_INVALID, ERR_LIMIT: the stream is garbage or too large; drop it, act on nothing more of it.
 */
int feed_push(struct feed *f, const char *p, size_t n, struct err *e);
int feed_end(struct feed *f, struct err *e); /* the body is over: complete, or ERR_INVALID */
void feed_free(struct feed *f);

/* ============ HTTP (http.c, request.c): curl multi on libev ============ */
struct ev_loop;
struct kube;
struct kube_config {
	struct ev_loop *loop;
	const char *host; /* an IP address */
	uint16_t port;
	bool tls; /* false only for Patroni on loopback */
	/*
	 * A connected, non-blocking TCP socket to host:port, or -1 if none lies ready: the request
	 * then waits for kube_kick, until its timeout (KUBE_NOT_SENT). Nothing is sent before a
	 * token was set. NULL: this process dials by itself (broker, agent).
	 */
	int (*take_socket)(void *arg);
	/* The API server said 401 to our token. May be NULL. */
	void (*on_unauthorized)(void *arg);
	void *arg;
	const char *user_agent; /* "bestgres-executor": the audit log tells our requests by it */
	unsigned connections;   /* for requests; watches have one each */
};
/*
 * Once per process and server, before the sandbox closes; copies what it needs. Dies unless host is
 * an IP address.
 */
struct kube *kube_new(const struct kube_config *c);
/* ends requests and watches without a callback; never from inside a callback */
void kube_free(struct kube *k);
/* CA bundle (PEM): nothing else is trusted. Connections made before stay. */
int kube_set_ca(struct kube *k, struct str pem, struct err *e);
/*
 * Bearer token; copied into a struct secret. `Authorization` of every request from now on.
 * NULL-length drops it.
 */
int kube_set_token(struct kube *k, struct str token, struct err *e);
/* Basic authorization, for Patroni's REST API. */
int kube_set_basic(struct kube *k, const char *user, const struct secret *password, struct err *e);
/* A spare socket has arrived or a token came: requests that waited may go. */
void kube_kick(struct kube *k);

enum kube_method { KUBE_GET, KUBE_POST, KUBE_PATCH, KUBE_DELETE };
enum kube_body { KUBE_JSON, KUBE_MERGE_PATCH };
struct kube_request {
	enum kube_method method;
	/* "/apis/apps/v1/namespaces/ns/statefulsets/x?fieldValidation=Strict"; made by kube_path */
	const char *path;
	enum kube_body content;
	struct str body; /* copied */
	int timeout_ms;  /* 0 = HTTP_TIMEOUT_MS */
};
enum kube_outcome {
	KUBE_REPLIED,  /* status and body count */
	KUBE_NOT_SENT, /* nothing reached the server: try again */
	KUBE_UNKNOWN,  /* it may have been carried out: look again */
};
struct kube_reply {
	enum kube_outcome outcome;
	int status;
	struct str body;    /* <= HTTP_REPLY_MAX; valid during the callback */
	int retry_after_ms; /* Retry-After, or 0 */
	struct err err;     /* outcome != KUBE_REPLIED: why */
};
/*
 * One reply callback for each request, never from inside kube_send. A request once sent never gets
 * a second socket. More than REQUEST_RATE requests a second wait; more than HTTP_QUEUE_MAX at a
 * time end as KUBE_NOT_SENT with ERR_LIMIT. Dies on a path with a byte outside 0x21..0x7e.
 */
void kube_send(struct kube *k, const struct kube_request *r,
    void (*done)(void *arg, const struct kube_reply *), void *arg);
/*
 * Writes "/apis/.../namespaces/NS/plural[/NAME[/SUB]][?query]" into out (HTTP_PATH_MAX); name and
 * sub may be NULL. Dies unless ns, name and sub are what charset_ok(CHARS_SUBDOMAIN) accepts: no
 * caller may pass anything else.
 */
void kube_path(char out[HTTP_PATH_MAX], enum kind kind, const char *ns, const char *name,
    const char *sub, const char *query);
/*
 * A non-2xx reply as an error: RETRY (0, 429, 5xx), CONFLICT (409), GONE (404, 410), INVALID (400,
 * 422), DENIED (401, 403); text from metav1.Status.
 */
int kube_reply_error(const struct kube_reply *r, struct err *e);
/* Is this the 403 of a namespace that is being deleted? */
bool kube_reply_terminating(const struct kube_reply *r);

/* ============ List and watch (watch.c) ============ */
struct kube_watch;
struct kube_watch_ops {
	/*
	 * All that is there follows as on_object, then on_synced. What was known and is not named
	 * in between is gone. on_begin may come again before on_synced: the list broke and starts
	 * anew.
	 */
	void (*on_begin)(void *arg);
	/* item->event is FEED_ITEM or FEED_ADDED */
	void (*on_object)(void *arg, const struct feed_item *item);
	void (*on_deleted)(void *arg, const struct feed_item *item);
	void (*on_synced)(void *arg);
	/* rate-limited; the watch goes on by itself */
	void (*on_trouble)(void *arg, const struct err *e);
	/*
	 * Around the parsing of each object, its callback included: what to blame if that crashes
	 * us. false skips the object unread: it was blamed too often. Both or neither; the agent
	 * has none.
	 */
	bool (*on_text)(void *arg, uint64_t line_hash);
	void (*on_text_done)(void *arg);
};
struct kube_watch_spec {
	enum kind kind;
	const char *ns;
	const char *label_selector; /* percent-encoded by us; NULL = all */
	const char *field_selector; /* NULL = all */
};
/*
 * Lists and watches until stopped: WatchList where the server has it, else paged LIST + WATCH;
 * bookmarks; reconnects with jitter, after 90 s without a byte; lists anew on 410, on garbage and
 * when versions go back (etcd restored: on_begin ... on_synced give the new truth). A list names
 * every object, known or not, at whatever version it has: no table of objects is held here. Every
 * callback may call every kube_watch function, on its own watch too; none comes from inside a call
 * of kube_watch_start, _restart or _pause. Dies on a bad ns.
 */
struct kube_watch *kube_watch_start(
    struct kube *k, const struct kube_watch_spec *s, const struct kube_watch_ops *ops, void *arg);
void kube_watch_stop(struct kube_watch *w);
void kube_watch_restart(struct kube_watch *w); /* on_begin ... again: the reconciler is a new one */
/* Backpressure: from now on no callback but on_trouble, the idle timer is off, TCP pushes back. */
void kube_watch_pause(struct kube_watch *w, bool pause);

#endif
