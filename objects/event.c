/* core/v1 Events about a BGCluster or BGDbOps: what `kubectl describe` shows below the object. */
#include "objects/objects.h"

#define COMPONENT "bestgres.io/operator"

struct about {
	const char *kind;
	const struct object_meta *meta;
	struct str cluster;
};

static void
put_about(struct jw *w, const struct about *about)
{
	char uid[UID_TEXT_SIZE];

	uid_format(uid, &about->meta->uid);
	jw_key(w, "involvedObject");
	jw_object(w);
	jw_kv(w, "apiVersion", "bestgres.io/v1");
	jw_kv(w, "kind", about->kind);
	jw_kv_str(w, "namespace", about->meta->namespace);
	jw_kv_str(w, "name", about->meta->name);
	jw_kv(w, "uid", uid);
	jw_end(w);
}

/*
 * kubectl sorts by lastTimestamp, newer readers by eventTime: both are given, and with eventTime
 * the server wants an action.
 */
static void
put_times(struct jw *w, const char *micro)
{
	struct str seconds = {micro, 19}; /* 2026-11-23T09:51:00 */

	jw_kv(w, "eventTime", micro);
	jw_key(w, "firstTimestamp");
	jw_printf(w, "%.*sZ", (int)seconds.len, seconds.p);
	jw_key(w, "lastTimestamp");
	jw_printf(w, "%.*sZ", (int)seconds.len, seconds.p);
	jw_kv_int(w, "count", 1);
}

struct event {
	const char *kind, *why; /* choice event_type; the reason */
	struct str text;
	const char *name, *micro;
};

static int
put_event(const struct about *about, const struct event *v, struct buf *out, struct err *e)
{
	struct jw w;

	if (v->why == NULL || v->why[0] == '\0' || v->kind == NULL)
		return err_set(e, ERR_INVALID, "an Event needs a type and a reason");
	if (strlen(v->micro) < 20)
		die("render: an Event's time is %s", v->micro);
	jw_init(&w, out);
	jw_object(&w);
	jw_kv(&w, "apiVersion", "v1");
	jw_kv(&w, "kind", "Event");
	jw_key(&w, "metadata");
	jw_object(&w);
	jw_kv(&w, "name", v->name);
	jw_kv_str(&w, "namespace", about->meta->namespace);
	jw_key(&w, "labels");
	jw_object(&w);
	jw_kv_str(&w, LABEL_CLUSTER, about->cluster);
	jw_end(&w);
	jw_end(&w);
	put_about(&w, about);
	jw_kv(&w, "type", v->kind);
	jw_kv(&w, "reason", v->why);
	jw_kv_str(&w, "message", v->text);
	put_times(&w, v->micro);
	jw_kv(&w, "action", v->why);
	jw_kv(&w, "reportingComponent", COMPONENT);
	jw_kv(&w, "reportingInstance", COMPONENT);
	jw_key(&w, "source");
	jw_object(&w);
	jw_kv(&w, "component", COMPONENT);
	jw_end(&w);
	jw_end(&w);
	if (!out->full)
		return 0;
	buf_reset(out);
	return err_set(e, ERR_LIMIT, "an Event about %.*s is too large", (int)about->meta->name.len,
	    about->meta->name.p);
}

int
objects_render_event(const struct object_meta *cluster, enum choice_event_type type,
    enum choice_reason reason, struct str text, const char *name, const char *micro,
    struct buf *out, struct err *e)
{
	struct about about = {"BGCluster", cluster, cluster->name};
	struct event v = {choice_text(VOCAB_event_type, type), choice_text(VOCAB_reason, reason),
	    text, name, micro};

	return put_event(&about, &v, out, e);
}

int
objects_render_dbops_event(const struct bgdbops *d, enum choice_event_type type, const char *why,
    struct str text, const char *name, const char *micro, struct buf *out, struct err *e)
{
	struct about about = {"BGDbOps", &d->meta, d->cluster};
	struct event v = {choice_text(VOCAB_event_type, type), why, text, name, micro};

	return put_event(&about, &v, out, e);
}
