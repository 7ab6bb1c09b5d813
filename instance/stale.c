/*
 * Patroni's `initialize` is "" from the beginning of a bootstrap to its end; when that bootstrap
 * dies with its pod, everybody waits for it for ever. Here is what must hold before it
 * is taken back: no instance has data and no Patroni works on getting some. Pure; agent_stale.c
 * asks.
 */
#include "instance/view.h"

#define STATUS_MAX 65536

bool
stale_is_begun(const struct json *j, char version[24])
{
	int metadata = json_get(j, json_root(j), STR("metadata"));
	int annotations = json_get(j, metadata, STR("annotations"));

	json_copy_text(j, json_get(j, metadata, STR("resourceVersion")), version, 24);
	return version[0] != '\0' &&
	       json_string_is(j, json_get(j, annotations, STR("initialize")), "");
}

bool
stale_is_empty(const struct json *j, struct arena *a, struct uid *pod)
{
	struct bginstance i;

	return decode_bginstance(j, json_root(j), a, &i, NULL) == 0 && !i.meta.deleting &&
	       i.pgdata_empty && uid_parse(i.pod_uid, pod) == 0;
}

/* Patroni's own word: role "uninitialized" is that of an empty data directory (ha.py). */
bool
stale_is_idle(const struct json *j, struct arena *a, const struct uid *pod)
{
	int metadata = json_get(j, json_root(j), STR("metadata")), status;
	struct object_meta m;
	struct json own;
	struct str text;

	if (decode_meta(j, json_root(j), a, &m, NULL) == -1 || m.deleting || !uid_eq(&m.uid, pod))
		return false;
	status = json_get(j, json_get(j, metadata, STR("annotations")), STR("status"));
	if (json_string(j, status, STATUS_MAX, a, &text, NULL) == -1 ||
	    json_parse(&own, text, a, NULL) == -1)
		return false;
	status = json_root(&own);
	return json_string_is(&own, json_get(&own, status, STR("role")), "uninitialized") &&
	       json_string_is(&own, json_get(&own, status, STR("state")), "stopped");
}

int64_t
stale_after_ms(int64_t loop_wait_s)
{
	return (3 * loop_wait_s + 15) * 1000;
}

void
stale_patch(struct buf *out, const char *version)
{
	struct jw w;

	jw_init(&w, out);
	jw_object(&w);
	jw_key(&w, "metadata");
	jw_object(&w);
	jw_kv(&w, "resourceVersion", version);
	jw_key(&w, "annotations");
	jw_object(&w);
	jw_key(&w, "initialize");
	jw_null(&w);
	jw_end(&w);
	jw_end(&w);
	jw_end(&w);
}
