/*
 * What the API server says of things that nobody watches, as far as decisions need it: pods,
 * volumes, the anchor, events. Pure: bytes in, views out; every list is looked at up to a bound.
 * For the verbs (executor_*.c).
 */
#include "workers/executor.h"

#include <stdio.h>
#include <string.h>

#define STATUSES_MAX 32   /* containers or conditions of a pod that are looked at */
#define MESSAGE_MAX 65536 /* of the kubelet: kept to IPC_TEXT_MAX anyway */

/* The string at node, or empty. */
static struct str
text_of(const struct json *j, int node, struct arena *a)
{
	struct str s;

	if (json_string(j, node, MESSAGE_MAX, a, &s, NULL) == -1)
		return STR("");
	return s;
}

static void put_text(char out[IPC_TEXT_MAX + 1], const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
static void
put_text(char out[IPC_TEXT_MAX + 1], const char *fmt, ...)
{
	char text[4 * IPC_TEXT_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	str_copy_text(out, IPC_TEXT_MAX + 1, str_of(text));
}

/* Of an annotation; 0 = there is none, or it is no hash. */
static uint64_t
hash_of(struct str s)
{
	uint64_t v = 0;

	(void)str_to_hash(s, &v);
	return v;
}

static int
annotation(const struct json *j, const char *key)
{
	return json_get(j, json_path(j, json_root(j), "metadata.annotations"), str_of(key));
}

/* --- Pods: why is it not Ready? */

/* What the kubelet calls a container that waits; kubernetes/pkg/kubelet/{container,images}. */
static const struct {
	const char *waiting;
	enum choice_reason reason;
} waiting_reasons[] = {
    {"ErrImagePull", REASON_IMAGE_PULL_FAILED},
    {"ImagePullBackOff", REASON_IMAGE_PULL_FAILED},
    {"ErrImageNeverPull", REASON_IMAGE_PULL_FAILED},
    {"InvalidImageName", REASON_IMAGE_PULL_FAILED},
    {"ImageInspectError", REASON_IMAGE_PULL_FAILED},
    {"RegistryUnavailable", REASON_IMAGE_PULL_FAILED},
    {"SignatureValidationFailed", REASON_IMAGE_PULL_FAILED},
    {"CreateContainerConfigError", REASON_CONTAINER_CONFIG_ERROR},
    {"CreateContainerError", REASON_CONTAINER_CONFIG_ERROR},
    {"RunContainerError", REASON_CONTAINER_CONFIG_ERROR},
    {"CrashLoopBackOff", REASON_CRASH_LOOP},
};

static enum choice_reason
waiting_reason(const struct json *j, int node)
{
	for (size_t i = 0; i < sizeof(waiting_reasons) / sizeof(waiting_reasons[0]); i++)
		if (json_string_is(j, node, waiting_reasons[i].waiting))
			return waiting_reasons[i].reason;
	return REASON_NONE;
}

static void
say_crash(const struct json *j, int status, struct str name, struct arena *a, struct pod_view *out)
{
	int last = json_path(j, status, "lastState.terminated");
	struct str message = text_of(j, json_get(j, last, STR("message")), a);
	struct str reason = text_of(j, json_get(j, last, STR("reason")), a);
	int64_t code = 0;

	if (json_i64(j, json_get(j, last, STR("exitCode")), &code) == -1)
		put_text(out->text, "container %.*s ends again and again", (int)name.len, name.p);
	else
		put_text(out->text, "container %.*s ended with code %lld: %.*s", (int)name.len,
		    name.p, (long long)code, (int)(message.len > 0 ? message.len : reason.len),
		    message.len > 0 ? message.p : reason.p);
}

static bool
look_at_container(const struct json *j, int status, struct arena *a, struct pod_view *out)
{
	int waiting = json_path(j, status, "state.waiting");
	struct str why = text_of(j, json_get(j, waiting, STR("reason")), a);
	struct str name = text_of(j, json_get(j, status, STR("name")), a);
	struct str message = text_of(j, json_get(j, waiting, STR("message")), a);

	out->reason = waiting_reason(j, json_get(j, waiting, STR("reason")));
	if (out->reason == REASON_NONE)
		return false;
	if (out->reason == REASON_CRASH_LOOP)
		say_crash(j, status, name, a, out);
	else
		put_text(out->text, "container %.*s: %.*s: %.*s", (int)name.len, name.p,
		    (int)why.len, why.p, (int)message.len, message.p);
	return true;
}

static bool
look_at_containers(const struct json *j, const char *path, struct arena *a, struct pod_view *out)
{
	int statuses = json_path(j, json_root(j), path), n = 0;

	if (json_type(j, statuses) != JSON_T_ARRAY)
		return false;
	for (int k = json_first(j, statuses); k != JSON_NONE && n < STATUSES_MAX;
	     k = json_next(j, k), n++)
		if (look_at_container(j, k, a, out))
			return true;
	return false;
}

/* The scheduler's words where a volume is what is missing. */
static bool
is_about_volumes(const char *message)
{
	return strcasestr(message, "persistentvolumeclaim") != NULL ||
	       strcasestr(message, "storageclass") != NULL;
}

static int
condition_of(const struct json *j, const char *type)
{
	int conditions = json_path(j, json_root(j), "status.conditions"), n = 0;

	if (json_type(j, conditions) != JSON_T_ARRAY)
		return JSON_NONE;
	for (int k = json_first(j, conditions); k != JSON_NONE && n < STATUSES_MAX;
	     k = json_next(j, k), n++)
		if (json_string_is(j, json_get(j, k, STR("type")), type))
			return k;
	return JSON_NONE;
}

static bool
look_at_scheduling(const struct json *j, struct arena *a, struct pod_view *out)
{
	int c = condition_of(j, "PodScheduled");
	struct str message = text_of(j, json_get(j, c, STR("message")), a);

	if (!json_string_is(j, json_get(j, c, STR("status")), "False"))
		return false;
	put_text(out->text, "%.*s", (int)message.len, message.p);
	out->reason = message.len > 0 && is_about_volumes(message.p) ? REASON_VOLUME_PENDING
	                                                             : REASON_UNSCHEDULABLE;
	return true;
}

static bool
look_at_phase(const struct json *j, struct arena *a, struct pod_view *out)
{
	int status = json_path(j, json_root(j), "status");
	struct str why = text_of(j, json_get(j, status, STR("reason")), a);
	struct str message = text_of(j, json_get(j, status, STR("message")), a);

	if (!json_string_is(j, json_get(j, status, STR("phase")), "Failed"))
		return false;
	put_text(out->text, "the pod failed: %.*s: %.*s", (int)why.len, why.p, (int)message.len,
	    message.p);
	out->reason = REASON_POD_FAILED;
	return true;
}

int
observe_pod(const struct json *j, struct arena *a, struct pod_view *out, struct err *e)
{
	memset(out, 0, sizeof(*out));
	if (decode_meta(j, json_root(j), a, &out->meta, e) == -1)
		return -1;
	out->inputs = hash_of(text_of(j, annotation(j, ANNOTATION_POD_INPUTS), a));
	out->primary = json_string_is(j,
	    json_get(j, json_path(j, json_root(j), "metadata.labels"), STR(LABEL_ROLE)), "primary");
	out->ready =
	    json_string_is(j, json_get(j, condition_of(j, "Ready"), STR("status")), "True");
	if (out->ready || look_at_phase(j, a, out) ||
	    look_at_containers(j, "status.initContainerStatuses", a, out) ||
	    look_at_containers(j, "status.containerStatuses", a, out))
		return 0;
	look_at_scheduling(j, a, out);
	return 0;
}

/* --- Volumes */

/* How far a resize is; kubernetes/pkg/apis/core/types.go, PersistentVolumeClaimConditionType. */
static void
look_at_resize(const struct json *j, struct arena *a, struct pvc_view *out)
{
	static const char *const errors[] = {"ControllerResizeError", "NodeResizeError"};
	int allocated = json_path(j, json_root(j), "status.allocatedResourceStatuses.storage");
	int pending = condition_of(j, "FileSystemResizePending");

	out->resize_pending = json_string_is(j, json_get(j, pending, STR("status")), "True");
	out->resize_text = text_of(j, allocated, a);
	out->resize_failed = str_ends(out->resize_text, "ResizeInfeasible");
	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		int c = condition_of(j, errors[i]);

		if (!json_string_is(j, json_get(j, c, STR("status")), "True"))
			continue;
		out->resize_failed = true;
		out->resize_text = text_of(j, json_get(j, c, STR("message")), a);
	}
}

int
observe_pvc(const struct json *j, struct arena *a, struct pvc_view *out, struct err *e)
{
	int spec = json_path(j, json_root(j), "spec");

	memset(out, 0, sizeof(*out));
	if (decode_meta(j, json_root(j), a, &out->meta, e) == -1)
		return -1;
	out->phase = text_of(j, json_path(j, json_root(j), "status.phase"), a);
	out->pending = str_is(out->phase, "Pending");
	out->bound = str_is(out->phase, "Bound");
	out->volume = text_of(j, json_get(j, spec, STR("volumeName")), a).len > 0;
	out->size = text_of(j, json_path(j, spec, "resources.requests.storage"), a);
	out->class = text_of(j, json_get(j, spec, STR("storageClassName")), a);
	out->capacity = text_of(j, json_path(j, json_root(j), "status.capacity.storage"), a);
	look_at_resize(j, a, out);
	out->inputs = hash_of(text_of(j, annotation(j, ANNOTATION_STORAGE_INPUTS), a));
	return 0;
}

struct str
observe_pvc_size(enum claim claim, const struct bgcluster *c)
{
	return claim == CLAIM_OF_WAL ? c->wal_size : c->storage_size;
}

/*
 * A class that the spec leaves open was chosen by the API server: then the claim's own mark
 * decides.
 */
bool
observe_pvc_matches(const struct pvc_view *p, enum claim claim, const struct bgcluster *c)
{
	struct str class = claim == CLAIM_OF_WAL ? c->wal_class : c->storage_class;
	int order;

	return quantity_compare(p->size, observe_pvc_size(claim, c), &order) == 0 && order == 0 &&
	       (class.len == 0 ? p->inputs == 0 || p->inputs == c->hash[GROUP_STORAGE]
			       : str_eq(p->class, class));
}

void
observe_pvc_name(
    char out[NAME_MAX_OBJECT + 1], enum claim claim, const char *cluster, unsigned ordinal)
{
	static const char *const names[CLAIMS] = {
	    [CLAIM_OF_DATA] = CLAIM_PGDATA, [CLAIM_OF_WAL] = CLAIM_PGWAL};

	snprintf(out, NAME_MAX_OBJECT + 1, "%s-%s-%u", names[claim], cluster, ordinal);
}

int
observe_pvc_ordinal(struct str name, const char *cluster, enum claim *claim)
{
	char wanted[NAME_MAX_OBJECT + 1];

	for (unsigned i = 0; i < CLAIMS * INSTANCES_MAX; i++) {
		*claim = i % CLAIMS;
		observe_pvc_name(wanted, *claim, cluster, i / CLAIMS);
		if (str_is(name, wanted))
			return (int)(i / CLAIMS);
	}
	return -1;
}

/* --- The anchor, the namespace, a BGInstance */

int
observe_anchor(const struct json *j, const char *cluster, struct arena *a, struct anchor_view *out,
    struct err *e)
{
	int data = json_path(j, json_root(j), "data"), ordinal;
	uint64_t timeline = 0;

	memset(out, 0, sizeof(*out));
	if (decode_meta(j, json_root(j), a, &out->meta, e) == -1)
		return -1;
	out->destroying = json_string_is(j, json_get(j, data, STR(ANCHOR_STATE)), "destroying");
	out->adopted = json_string_is(j, json_get(j, data, STR(ANCHOR_ADOPTED)), "true");
	out->credentials_made =
	    json_string_is(j, json_get(j, data, STR(ANCHOR_CREDENTIALS)), "true");
	out->app = text_of(j, json_get(j, data, STR(ANCHOR_APP)), a);
	out->app_made = out->app.len > 0;
	uid_parse(text_of(j, json_get(j, data, STR(ANCHOR_DESTROYER)), a), &out->destroyer);
	ordinal =
	    model_ordinal(text_of(j, json_get(j, data, STR(ANCHOR_PRIMARY)), a), str_of(cluster));
	if (ordinal >= 0 &&
	    str_to_u64(text_of(j, json_get(j, data, STR(ANCHOR_TIMELINE)), a), &timeline) == 0 &&
	    timeline > 0 && timeline <= UINT32_MAX) {
		out->primary = (uint8_t)(ordinal + 1);
		out->timeline = (uint32_t)timeline;
	}
	return 0;
}

bool
observe_namespace_terminating(const struct json *j)
{
	return json_string_is(j, json_path(j, json_root(j), "status.phase"), "Terminating") ||
	       json_type(j, json_path(j, json_root(j), "metadata.deletionTimestamp")) ==
	           JSON_T_STRING;
}

bool
observe_unreachable(const struct json *j, const struct bginstance *i)
{
	int c = condition_of(j, "Reachable");

	return i->role == CHOICE_instance_role_NONE && i->state == CHOICE_instance_state_UNKNOWN &&
	       json_string_is(j, json_get(j, c, STR("status")), "False");
}

/* --- Events */

/* When it was seen last; RFC 3339 in UTC sorts as text, up to the second. */
static struct str
event_time(const struct json *j, int event, struct arena *a)
{
	static const char *const paths[] = {
	    "series.lastObservedTime", "lastTimestamp", "eventTime"};
	struct str best = {"", 0};

	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		struct str s = text_of(j, json_path(j, event, paths[i]), a);

		if (s.len >= 19 && (best.len == 0 || memcmp(s.p, best.p, 19) > 0))
			best = (struct str){s.p, 19};
	}
	return best;
}

void
observe_event(const struct json *j, int event, const char *needle, const char *since,
    struct arena *a, struct event_view *best)
{
	struct str message = text_of(j, json_get(j, event, STR("message")), a);
	struct str when = event_time(j, event, a);

	if (message.len == 0 || when.len == 0 ||
	    (needle != NULL && strstr(message.p, needle) == NULL))
		return;
	if (memcmp(when.p, since, 19) < 0 ||
	    (best->last[0] != '\0' && memcmp(when.p, best->last, 19) <= 0))
		return;
	memcpy(best->last, when.p, 19);
	best->last[19] = '\0';
	str_copy_text(best->text, sizeof(best->text), message);
}
