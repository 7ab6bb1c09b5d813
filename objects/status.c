/*
 * The BGCluster's .status as a JSON merge patch. Conditions follow Kubernetes' conventions:
 * lastTransitionTime is the stored one as long as the status did not change. The patch replaces the
 * whole list, since a merge patch can not do less.
 */
#include "objects/objects.h"

static struct str
transition_time(const struct bgcluster *seen, const char *type, const char *status, const char *now)
{
	for (unsigned i = 0; i < seen->conditions_n; i++) {
		const struct condition *c = &seen->conditions[i];

		if (str_is(c->type, type) && str_is(c->status, status) &&
		    c->last_transition.len > 0)
			return c->last_transition;
	}
	return str_of(now);
}

static int
put_condition(struct jw *w, const struct bgcluster *seen, const struct cluster_status *wanted,
    unsigned i, const char *now, struct err *e)
{
	const char *type = choice_text(VOCAB_condition_type, wanted->conditions[i].type);
	const char *status = choice_text(VOCAB_condition_status, wanted->conditions[i].status);
	const char *reason = choice_text(VOCAB_reason, wanted->conditions[i].reason);

	if (type == NULL || status == NULL || reason == NULL || reason[0] == '\0')
		return err_set(e, ERR_INVALID, "condition %u has no type, status or reason", i);
	jw_object(w);
	jw_kv(w, "type", type);
	jw_kv(w, "status", status);
	jw_kv(w, "reason", reason);
	jw_kv_str(w, "message", wanted->conditions[i].text);
	jw_kv_str(w, "lastTransitionTime", transition_time(seen, type, status, now));
	jw_kv_int(w, "observedGeneration", wanted->generation);
	jw_end(w);
	return 0;
}

int
objects_render_status(const struct bgcluster *seen, const struct cluster_status *wanted,
    const char *now, struct buf *out, struct err *e)
{
	struct jw w;
	int rc = 0;

	if (wanted->n > CHOICE_condition_type_COUNT)
		die("render: %u conditions", wanted->n);
	jw_init(&w, out);
	jw_object(&w);
	jw_key(&w, "status");
	jw_object(&w);
	jw_kv_int(&w, "observedGeneration", wanted->generation);
	jw_kv_str(&w, "phase", wanted->phase);
	jw_kv_str(&w, "primary", wanted->primary);
	jw_kv_int(&w, "readyInstances", wanted->ready_instances);
	/* for the scale subresource: which pods an autoscaler counts */
	jw_key(&w, "selector");
	jw_printf(&w, "%s=%s,%s=%.*s", LABEL_APPLICATION, PATRONI_APPLICATION, LABEL_SCOPE,
	    (int)seen->meta.name.len, seen->meta.name.p);
	jw_key(&w, "conditions");
	jw_array(&w);
	for (unsigned i = 0; i < wanted->n && rc == 0; i++)
		rc = put_condition(&w, seen, wanted, i, now, e);
	jw_end(&w);
	jw_end(&w);
	jw_end(&w);
	if (rc == 0 && out->full)
		rc = err_set(e, ERR_LIMIT, "status of %.*s is too large", (int)seen->meta.name.len,
		    seen->meta.name.p);
	if (rc == -1)
		buf_reset(out);
	return rc;
}
