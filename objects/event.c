/* core/v1 Events about a BGCluster: what `kubectl describe bgc` shows below the object. */
#include "objects/objects.h"

#define COMPONENT "bestgres.io/operator"

static void
put_about(struct jw *w, const struct object_meta *cluster)
{
	char uid[UID_TEXT_SIZE];

	uid_format(uid, &cluster->uid);
	jw_key(w, "involvedObject");
	jw_object(w);
	jw_kv(w, "apiVersion", "bestgres.io/v1");
	jw_kv(w, "kind", "BGCluster");
	jw_kv_str(w, "namespace", cluster->namespace);
	jw_kv_str(w, "name", cluster->name);
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

int
objects_render_event(const struct object_meta *cluster, enum choice_event_type type,
    enum choice_reason reason, struct str text, const char *name, const char *micro,
    struct buf *out, struct err *e)
{
	const char *why = choice_text(VOCAB_reason, reason),
		   *kind = choice_text(VOCAB_event_type, type);
	struct jw w;

	if (why == NULL || why[0] == '\0' || kind == NULL)
		return err_set(e, ERR_INVALID, "an Event needs a type and a reason");
	if (strlen(micro) < 20)
		die("render: an Event's time is %s", micro);
	jw_init(&w, out);
	jw_object(&w);
	jw_kv(&w, "apiVersion", "v1");
	jw_kv(&w, "kind", "Event");
	jw_key(&w, "metadata");
	jw_object(&w);
	jw_kv(&w, "name", name);
	jw_kv_str(&w, "namespace", cluster->namespace);
	jw_key(&w, "labels");
	jw_object(&w);
	jw_kv_str(&w, LABEL_CLUSTER, cluster->name);
	jw_end(&w);
	jw_end(&w);
	put_about(&w, cluster);
	jw_kv(&w, "type", kind);
	jw_kv(&w, "reason", why);
	jw_kv_str(&w, "message", text);
	put_times(&w, micro);
	jw_kv(&w, "action", why);
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
	return err_set(e, ERR_LIMIT, "an Event about %.*s is too large", (int)cluster->name.len,
	    cluster->name.p);
}
