/*
 * The watcher: holds the reading token, watches our kinds in every data namespace and tells the
 * reconciler in typed records what it saw. It decides nothing. When the reconciler reads slower
 * than records come, one record is kept for each watch and the watch is paused, so that TCP
 * pushes back on the API server; records of one watch are never dropped or reordered. Entry:
 * watcher_main, by worker's main.
 */
#include <ev.h>
#include <string.h>

#include "workers/watcher.h"

struct watcher;
/* One kind in one namespace. */
struct view {
	struct watcher *owner;
	enum kind kind;
	const char *ns;
	struct kube_watch *watch;
	uint32_t snapshot;
	struct record *pending; /* could not be sent yet: the watch is paused until it could */
	struct msec relisted;   /* when the reconciler asked for that; 0 = it did not */
};
struct quarantined {
	struct uid uid;
	uint64_t generation, line;
};
struct watcher {
	struct worker *w;
	struct kube *kube;
	struct broker_client broker;
	struct view *views; /* NULL until there is a token and somebody to tell */
	unsigned views_n, turn;
	uint32_t snapshots;
	struct quarantined quarantine[QUARANTINE_MAX];
	unsigned quarantined; /* ever */
	struct arena arena;
};

/* --- Sending, or keeping. */

static bool
send_record(struct watcher *wr, const struct record *r)
{
	static struct ipc_msg msg; /* 60 KB, of which a record touches one */
	record_to_msg(r, &msg);
	if (!worker_send(wr->w, ROLE_RECONCILER, &msg))
		return false;
	worker_worked(wr->w);
	return true;
}

static void
tell(struct view *v, const struct record *r)
{
	if (v->pending != NULL)
		die("a paused watch delivered");
	if (send_record(v->owner, r))
		return;
	v->pending = xcalloc(1, sizeof(*v->pending));
	*v->pending = *r;
	kube_watch_pause(v->watch, true);
}

static void
forget_pending(struct view *v)
{
	xfree(v->pending);
	v->pending = NULL;
	kube_watch_pause(v->watch, false);
}

static void
list_anew(struct view *v)
{
	forget_pending(v);
	kube_watch_restart(v->watch);
}

static void
on_writable(struct worker *w, enum ipc_role peer)
{
	struct watcher *wr = w->state;
	if (peer != ROLE_RECONCILER)
		return;
	for (unsigned i = 0; i < wr->views_n; i++) {
		struct view *v = &wr->views[(wr->turn + i) % wr->views_n];
		if (v->pending == NULL)
			continue;
		if (!send_record(wr, v->pending)) {
			wr->turn = (wr->turn + i) % wr->views_n;
			return;
		}
		forget_pending(v);
	}
}

/* --- What crashed us three times is left alone. */

static bool
is_quarantined(const struct watcher *wr, const struct uid *uid, uint64_t generation, uint64_t line)
{
	for (unsigned i = 0; i < wr->quarantined && i < QUARANTINE_MAX; i++) {
		const struct quarantined *q = &wr->quarantine[i];
		if (uid_none(&q->uid)
			? uid == NULL && q->line == line
			: uid != NULL && uid_eq(&q->uid, uid) && q->generation == generation)
			return true;
	}
	return false;
}

static void
on_control(struct worker *w, struct ipc_msg *msg)
{
	struct watcher *wr = w->state;
	if (msg->type != IPC_QUARANTINE)
		return;
	const struct msg_quarantine *q = &msg->quarantine;
	wr->quarantine[wr->quarantined++ % QUARANTINE_MAX] =
	    (struct quarantined){q->uid, q->generation, q->line};
	log_info("quarantine", NULL, "generation %llu, line %llx is left alone",
	    (unsigned long long)q->generation, (unsigned long long)q->line);
}

/* --- One object. */

static void
name_object(char *out, size_t size, const struct view *v, const struct object_meta *m)
{
	snprintf(out, size, "%s/%s/%.*s", kind_info[v->kind].name, v->ns,
	    m != NULL ? (int)m->name.len : 1, m != NULL ? m->name.p : "?");
}

static void
mark(const struct view *v, const struct object_meta *m, uint64_t line)
{
	struct ipc_poison p = {.kind = (uint8_t)v->kind, .line = line};
	str_copy(p.namespace, sizeof(p.namespace), str_of(v->ns));
	if (m != NULL) {
		p.uid = m->uid;
		p.generation = m->generation;
		if (!charset_ok(CHARS_SUBDOMAIN, m->name) ||
		    str_copy(p.name, sizeof(p.name), m->name) != 0)
			p.name[0] = '\0';
	}
	ipc_poison_enter(&p);
}

static int
make_record(
    struct view *v, const struct record_source *s, bool gone, struct record *r, struct err *e)
{
	struct watcher *wr = v->owner;
	if (gone)
		return record_gone(s, r, e);
	if (!is_quarantined(wr, &s->meta->uid, s->meta->generation, 0))
		return record_object(s, &wr->arena, r, e);
	if (s->kind != KIND_BGCLUSTER)
		return err_set(
		    e, ERR_DENIED, "quarantined: it crashed a worker %d times", POISON_CRASHES);
	return record_cluster_invalid(s, reason_info[REASON_QUARANTINED].advice, r, e);
}

static void
take(struct view *v, const struct feed_item *item, bool gone)
{
	struct watcher *wr = v->owner;
	struct record r;
	struct err e = {0};
	struct object_meta meta = {0};
	struct record_source s = {v->kind, v->ns, item->j, item->object, &meta, item->limit};
	char name[NAME_MAX_OBJECT + 128];

	bool known = decode_meta(item->j, item->object, &wr->arena, &meta, &e) == 0;
	if (known) {
		mark(v, &meta, item->line_hash);
		if (make_record(v, &s, gone, &r, &e) == 0)
			tell(v, &r);
	}
	if (e.code != ERR_NONE && e.code != ERR_GONE) {
		name_object(name, sizeof(name), v, known ? &meta : NULL);
		log_warn("object-skipped", name, "%s", e.text);
	}
	arena_free(&wr->arena);
}

/* --- What a watch says. */

static bool
on_text(void *arg, uint64_t line)
{
	const struct view *v = arg;
	if (is_quarantined(v->owner, NULL, 0, line))
		return false;
	mark(v, NULL, line);
	return true;
}

static void
on_text_done(void *arg)
{
	(void)arg;
	ipc_poison_leave();
}

static void
on_object(void *arg, const struct feed_item *item)
{
	take(arg, item, false);
}

static void
on_deleted(void *arg, const struct feed_item *item)
{
	take(arg, item, true);
}

static void
on_begin(void *arg)
{
	struct view *v = arg;
	struct record r = {.type = IPC_SNAP_BEGIN};
	v->snapshot = ++v->owner->snapshots;
	r.snap_begin.kind = (uint8_t)v->kind;
	r.snap_begin.number = v->snapshot;
	str_copy(r.snap_begin.namespace, sizeof(r.snap_begin.namespace), str_of(v->ns));
	tell(v, &r);
}

static void
on_synced(void *arg)
{
	struct view *v = arg;
	struct record r = {.type = IPC_SNAP_END};
	r.snap_end.kind = (uint8_t)v->kind;
	r.snap_end.number = v->snapshot;
	str_copy(r.snap_end.namespace, sizeof(r.snap_end.namespace), str_of(v->ns));
	tell(v, &r);
}

static void
on_trouble(void *arg, const struct err *e)
{
	const struct view *v = arg;
	char name[160];
	snprintf(name, sizeof(name), "%s/%s", kind_info[v->kind].name, v->ns);
	log_warn("watch", name, "%s", e->text);
}

/* Users make these, without our label. */
static bool
is_users(enum kind kind)
{
	return kind == KIND_BGCLUSTER || kind == KIND_BGDBOPS;
}

static void
start_view(struct watcher *wr, enum kind kind, const char *ns)
{
	static const struct kube_watch_ops ops = {
	    .on_text = on_text,
	    .on_text_done = on_text_done,
	    .on_begin = on_begin,
	    .on_object = on_object,
	    .on_deleted = on_deleted,
	    .on_synced = on_synced,
	    .on_trouble = on_trouble,
	};
	struct kube_watch_spec spec = {kind, ns, is_users(kind) ? NULL : LABEL_CLUSTER, NULL};
	struct view *v = &wr->views[wr->views_n++];
	*v = (struct view){.owner = wr, .kind = kind, .ns = ns};
	v->watch = kube_watch_start(wr->kube, &spec, &ops, v);
}

static void
start_views(struct watcher *wr)
{
	struct worker *w = wr->w;
	if (wr->views != NULL || !wr->broker.have_token || !w->edge_up[ROLE_RECONCILER])
		return;
	wr->views = xcalloc((size_t)w->namespaces_n * KIND_COUNT, sizeof(*wr->views));
	for (unsigned i = 0; i < w->namespaces_n; i++)
		for (unsigned k = 0; k < KIND_COUNT; k++)
			if (kind_info[k].watch != WATCH_NONE)
				start_view(wr, (enum kind)k, w->namespaces[i]);
}

/* --- The worker's own events. */

static void
on_edge(struct worker *w, enum ipc_role peer)
{
	struct watcher *wr = w->state;
	if (peer == ROLE_BROKER) {
		broker_client_edge(&wr->broker);
		return;
	}
	/* A new reconciler knows nothing: one numbered snapshot for each watch. */
	for (unsigned i = 0; i < wr->views_n; i++) {
		wr->views[i].relisted = (struct msec){0};
		list_anew(&wr->views[i]);
	}
	start_views(wr);
}

static void
on_relist(struct watcher *wr, const char *ns)
{
	struct msec now = clock_mono();
	for (unsigned i = 0; i < wr->views_n; i++) {
		struct view *v = &wr->views[i];
		if (v->kind != KIND_BGDBOPS || strcmp(v->ns, ns) != 0)
			continue;
		if (v->relisted.v != 0 && now.v < v->relisted.v + RELIST_MIN_MS) {
			worker_breach(wr->w, ROLE_RECONCILER, "lists are asked for too often");
			return;
		}
		v->relisted = now;
		list_anew(v);
	}
}

static void
on_msg(struct worker *w, enum ipc_role peer, struct ipc_msg *msg)
{
	struct watcher *wr = w->state;
	if (peer == ROLE_RECONCILER && msg->type == IPC_RELIST_DBOPS)
		on_relist(wr, msg->relist_dbops.namespace);
	else if (peer != ROLE_BROKER || !broker_client_msg(&wr->broker, msg))
		worker_breach(w, peer, "a message that the watcher does not take");
	start_views(wr);
}

static void
prepare(struct worker *w, struct sandbox_args *args)
{
	struct watcher *wr = w->state;
	(void)args;
	struct kube_config c = {
	    .loop = w->loop,
	    .host = w->config.api_host,
	    .port = w->config.api_port,
	    .tls = true,
	    .take_socket = broker_client_take_socket,
	    .on_unauthorized = broker_client_unauthorized,
	    .arg = &wr->broker,
	    .user_agent = "bestgres-watcher",
	    .connections = 1,
	};
	wr->w = w;
	arena_init(&wr->arena, 2 * JSON_OBJECT_MAX);
	wr->kube = kube_new(&c);
	wr->broker = (struct broker_client){.w = w, .kube = wr->kube, .spare = -1};
}

static void
start(struct worker *w)
{
	start_views(w->state);
}

int
watcher_main(void)
{
	static struct watcher state;
	static const struct worker_ops ops = {
	    .role = ROLE_WATCHER,
	    .peers = R(BROKER) | R(RECONCILER),
	    .prepare = prepare,
	    .start = start,
	    .on_edge = on_edge,
	    .on_msg = on_msg,
	    .on_control = on_control,
	    .on_writable = on_writable,
	};
	return worker_run(&ops, SANDBOX_WATCHER, &state);
}
