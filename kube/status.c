/*
 * Two things called status: the metav1.Status with which the API server refuses, and .status of
 * a BGCluster as it is stored, hashed in the form in which the wanted one is, so that equal
 * means nothing to write. Pure.
 */
#include "kube/kube.h"

int
decode_status(const struct json *j, int object, struct api_status *out)
{
	int details = json_get(j, object, STR("details"));
	int cause = json_first(j, json_get(j, details, STR("causes")));
	char text[sizeof out->message], field[128];
	size_t used = 0;
	int64_t v;

	*out = (struct api_status){.code = 0};
	if (!json_string_is(j, json_get(j, object, STR("kind")), "Status"))
		return -1;
	if (json_i64(j, json_get(j, object, STR("code")), &v) == 0 && v >= 0 && v <= 999)
		out->code = (int)v;
	if (json_i64(j, json_get(j, details, STR("retryAfterSeconds")), &v) == 0 && v > 0)
		out->retry_after_s = v > 3600 ? 3600 : (int)v;
	json_copy_text(j, json_get(j, object, STR("reason")), out->reason, sizeof out->reason);
	json_copy_text(j, json_get(j, object, STR("message")), text, sizeof text);
	json_copy_text(j, json_get(j, cause, STR("field")), field, sizeof field);
	if (field[0] != '\0' && strstr(text, field) == NULL)
		used = (size_t)snprintf(out->message, sizeof out->message, "%s: ", field);
	str_copy_text(out->message + used, sizeof out->message - used, str_of(text));
	return 0;
}

/* --- The stored status. */
/* What another version of the operator wrote and this one does not know: equals nothing wanted. */
#define UNKNOWN UINT8_MAX

/* A text of the status; one that can not be read equals nothing that we want. */
static struct str
status_text(const struct json *j, int node, struct arena *a)
{
	struct str s = STR("");

	if (!json_absent(j, node) && json_string(j, node, 32768, a, &s, NULL) < 0)
		return STR("\001");
	return s;
}

static uint8_t
status_choice(const struct json *j, int node, enum vocab v)
{
	char text[64];
	int found;

	json_copy_text(j, node, text, sizeof text);
	found = json_string_is(j, node, text) ? choice_find(v, str_of(text)) : -1;
	return found < 0 ? UNKNOWN : (uint8_t)found;
}

/*
 * Sorted by type, whatever the order in the object; types that are not ours are not ours to
 * compare.
 */
static void
status_conditions(const struct json *j, int list, struct arena *a, struct cluster_status *s)
{
	int at[CHOICE_condition_type_COUNT];

	for (unsigned t = 0; t < CHOICE_condition_type_COUNT; t++)
		at[t] = JSON_NONE;
	for (int k = json_first(j, list); k != JSON_NONE; k = json_next(j, k)) {
		uint8_t type = status_choice(j, json_get(j, k, STR("type")), VOCAB_condition_type);

		if (type != UNKNOWN)
			at[type] = k;
	}
	for (unsigned t = 0; t < CHOICE_condition_type_COUNT; t++) {
		if (at[t] == JSON_NONE)
			continue;
		s->conditions[s->n].type = (uint8_t)t;
		s->conditions[s->n].status =
		    status_choice(j, json_get(j, at[t], STR("status")), VOCAB_condition_status);
		s->conditions[s->n].reason =
		    status_choice(j, json_get(j, at[t], STR("reason")), VOCAB_reason);
		s->conditions[s->n].text = status_text(j, json_get(j, at[t], STR("message")), a);
		s->n++;
	}
}

void
decode_cluster_status(const struct json *j, int object, struct arena *a, struct cluster_status *s)
{
	int status = json_get(j, object, STR("status"));
	int ready = json_get(j, status, STR("readyInstances"));
	int64_t v = 0;

	*s = (struct cluster_status){.n = 0};
	if (!json_absent(j, ready))
		s->ready_instances = json_i64(j, ready, &v) == 0 && v >= 0 && v <= INT32_MAX
		                         ? (unsigned)v
		                         : UINT32_MAX;
	s->primary = status_text(j, json_get(j, status, STR("primary")), a);
	s->phase = status_text(j, json_get(j, status, STR("phase")), a);
	json_i64(j, json_get(j, status, STR("observedGeneration")), &s->generation);
	status_conditions(j, json_get(j, status, STR("conditions")), a, s);
}

uint64_t
decode_cluster_status_hash(const struct json *j, int object, struct arena *a)
{
	struct cluster_status s;

	decode_cluster_status(j, object, a, &s);
	return model_status_hash(&s);
}
