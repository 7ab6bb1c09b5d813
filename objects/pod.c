/*
 * The database pod. The init container copies `instance` out of the operator's image; the main
 * container is the user's image with that copy as PID 1. Everything fits Pod Security's
 * `restricted`, with a read-only root. What a removed user field leaves behind in the stored
 * template is rendered as null, "must be absent".
 */
#include "objects/render.h"

#define MODE_0440 288
#define PGDATA_DIR "/pgdata"
#define PGWAL_DIR "/pgwal"

enum volume_type { EMPTY_DIR, MEMORY, SECRET };
/*
 * One row a volume: where it is mounted in the main container; pgdata comes from its claim, and so
 * does pgwal, if the spec asks for it. tmp and
 * shm have no limit: an eviction would take the database with it, and shm ends at the pod's memory
 * limit anyway.
 */
static const struct volume {
	const char *name, *path;
	bool read_only;
	enum volume_type type;
	const char *size; /* sizeLimit */
	enum child secret;
} volumes[] = {
    {"bin", "/bestgres/bin", true, EMPTY_DIR, "32Mi", CHILD_COUNT},
    {"run", "/run", false, EMPTY_DIR, "64Mi", CHILD_COUNT},
    {"tmp", "/tmp", false, EMPTY_DIR, NULL, CHILD_COUNT},
    {"shm", "/dev/shm", false, MEMORY, NULL, CHILD_COUNT},
    {"credentials", "/bestgres/credentials", true, SECRET, NULL, CHILD_CREDENTIALS},
    {"app", "/bestgres/app", true, SECRET, NULL, CHILD_APP},
};
#define VOLUMES (sizeof(volumes) / sizeof(volumes[0]))

static void
put_volume(struct render *r, const struct volume *v)
{
	jw_object(&r->w);
	jw_kv(&r->w, "name", v->name);
	jw_key(&r->w, v->type == SECRET ? "secret" : "emptyDir");
	jw_object(&r->w);
	if (v->type == SECRET) {
		objects_put_name(r, "secretName", child_info[v->secret].suffix);
		jw_kv_int(&r->w, "defaultMode", MODE_0440); /* read by way of fsGroup */
	}
	if (v->type == MEMORY)
		jw_kv(&r->w, "medium", "Memory");
	if (v->size != NULL)
		jw_kv(&r->w, "sizeLimit", v->size);
	jw_end(&r->w);
	jw_end(&r->w);
}

static void
put_mount(struct render *r, const char *name, const char *path, bool read_only)
{
	jw_object(&r->w);
	jw_kv(&r->w, "name", name);
	jw_kv(&r->w, "mountPath", path);
	if (read_only)
		jw_kv_bool(&r->w, "readOnly", true);
	jw_end(&r->w);
}

static void
put_seccomp(struct render *r)
{
	jw_key(&r->w, "seccompProfile");
	jw_object(&r->w);
	jw_kv(&r->w, "type", "RuntimeDefault");
	jw_end(&r->w);
}

static void
put_container_security(struct render *r)
{
	jw_key(&r->w, "securityContext");
	jw_object(&r->w);
	jw_kv_bool(&r->w, "runAsNonRoot", true);
	jw_kv_bool(&r->w, "allowPrivilegeEscalation", false);
	jw_kv_bool(&r->w, "readOnlyRootFilesystem", true);
	jw_key(&r->w, "capabilities");
	jw_object(&r->w);
	jw_key(&r->w, "drop");
	jw_array(&r->w);
	jw_cstr(&r->w, "ALL");
	jw_end(&r->w);
	jw_end(&r->w);
	put_seccomp(r);
	jw_end(&r->w);
}

static void
put_id(struct render *r, const char *key, int64_t id)
{
	jw_key(&r->w, key);
	if (id == INT_UNSET)
		jw_null(&r->w);
	else
		jw_int(&r->w, id);
}

/*
 * An id left out is the platform's to choose (OpenShift). OnRootMismatch: else each start would
 * chmod all of PGDATA.
 */
static void
put_pod_security(struct render *r)
{
	int64_t fs_group = r->c->fs_group != INT_UNSET ? r->c->fs_group : r->c->run_as_group;

	jw_key(&r->w, "securityContext");
	jw_object(&r->w);
	jw_kv_bool(&r->w, "runAsNonRoot", true);
	put_id(r, "runAsUser", r->c->run_as_user);
	put_id(r, "runAsGroup", r->c->run_as_group);
	put_id(r, "fsGroup", fs_group);
	jw_kv(&r->w, "fsGroupChangePolicy", "OnRootMismatch");
	put_seccomp(r);
	jw_end(&r->w);
}

static void
put_strings(struct render *r, const char *key, const char *const *strings)
{
	jw_key(&r->w, key);
	jw_array(&r->w);
	for (; *strings != NULL; strings++)
		jw_cstr(&r->w, *strings);
	jw_end(&r->w);
}

/* The stored container of that place, for what must be removed there. */
static int
seen_container(const struct render *r, const char *path)
{
	return json_first(&r->seen, json_path(&r->seen, r->seen_root, path));
}

/*
 * Its resources are the main container's: it runs before it, so the pod asks for no more than that;
 * another value would cost a Guaranteed pod its class, and a quota would refuse it.
 */
static void
put_install(struct render *r)
{
	static const char *const command[] = {"/instance", "install", "/bestgres/bin", NULL};
	int seen = seen_container(r, "spec.template.spec.initContainers");

	jw_object(&r->w);
	jw_kv(&r->w, "name", "install");
	jw_kv_str(&r->w, "image", r->ctx->operator_image);
	jw_kv_str(&r->w, "imagePullPolicy", r->ctx->operator_pull_policy);
	put_strings(r, "command", command);
	jw_kv(&r->w, "terminationMessagePolicy", "FallbackToLogsOnError");
	objects_put_resources(r, json_get(&r->seen, seen, STR("resources")));
	put_container_security(r);
	jw_key(&r->w, "volumeMounts");
	jw_array(&r->w);
	put_mount(r, volumes[0].name, volumes[0].path, false);
	jw_end(&r->w);
	jw_end(&r->w);
}

static void
put_field_variable(struct render *r, const char *name, const char *field)
{
	jw_object(&r->w);
	jw_kv(&r->w, "name", name);
	jw_key(&r->w, "valueFrom");
	jw_object(&r->w);
	jw_key(&r->w, "fieldRef");
	jw_object(&r->w);
	jw_kv(&r->w, "fieldPath", field);
	jw_end(&r->w);
	jw_end(&r->w);
	jw_end(&r->w);
}

static void
put_env(struct render *r)
{
	jw_key(&r->w, "env");
	jw_array(&r->w);
	put_field_variable(r, "POD_NAME", "metadata.name");
	put_field_variable(r, "POD_NAMESPACE", "metadata.namespace");
	put_field_variable(r, "POD_UID", "metadata.uid");
	put_field_variable(r, "POD_IP", "status.podIP");
	put_field_variable(
	    r, "BESTGRES_POD_INPUTS", "metadata.annotations['" ANNOTATION_POD_INPUTS "']");
	jw_object(&r->w);
	jw_kv(&r->w, "name", "BESTGRES_CLUSTER");
	jw_kv(&r->w, "value", r->cluster);
	jw_end(&r->w);
	jw_object(&r->w);
	jw_kv(&r->w, "name", "BESTGRES_GRACE_SECONDS");
	jw_key(&r->w, "value");
	jw_printf(&r->w, "%lld", (long long)r->c->grace_seconds);
	jw_end(&r->w);
	if (r->c->wal_size.len > 0) {
		jw_object(&r->w);
		jw_kv(&r->w, "name", "BESTGRES_WAL");
		jw_kv(&r->w, "value", PGWAL_DIR);
		jw_end(&r->w);
	}
	objects_put_env(r);
	jw_end(&r->w);
}

static void
put_port(struct render *r, const char *name, int port)
{
	jw_object(&r->w);
	jw_kv(&r->w, "name", name);
	jw_kv_int(&r->w, "containerPort", port);
	jw_kv(&r->w, "protocol", "TCP");
	jw_end(&r->w);
}

/*
 * No liveness probe: killing a database for being slow makes it slower; init watches Patroni
 * instead.
 */
static void
put_readiness(struct render *r)
{
	jw_key(&r->w, "readinessProbe");
	jw_object(&r->w);
	jw_key(&r->w, "httpGet");
	jw_object(&r->w);
	jw_kv(&r->w, "path", "/readiness");
	jw_kv_int(&r->w, "port", PORT_PATRONI);
	jw_kv(&r->w, "scheme", "HTTP");
	jw_end(&r->w);
	jw_kv_int(&r->w, "periodSeconds", 1);
	jw_end(&r->w);
}

static void
put_postgres(struct render *r)
{
	static const char *const command[] = {"/bestgres/bin/instance", "init", NULL};
	int seen = seen_container(r, "spec.template.spec.containers");

	jw_object(&r->w);
	jw_kv(&r->w, "name", "postgres");
	jw_kv_str(&r->w, "image", r->c->image);
	jw_kv(&r->w, "imagePullPolicy", choice_text(VOCAB_pull_policy, r->c->pull_policy));
	put_strings(r, "command", command);
	jw_kv(&r->w, "terminationMessagePolicy", "FallbackToLogsOnError");
	jw_key(&r->w, "ports");
	jw_array(&r->w);
	put_port(r, "postgres", PORT_POSTGRES);
	put_port(r, "patroni", PORT_PATRONI);
	jw_end(&r->w);
	put_env(r);
	objects_put_resources(r, json_get(&r->seen, seen, STR("resources")));
	put_container_security(r);
	put_readiness(r);
	jw_key(&r->w, "volumeMounts");
	jw_array(&r->w);
	put_mount(r, CLAIM_PGDATA, PGDATA_DIR, false);
	if (r->c->wal_size.len > 0)
		put_mount(r, CLAIM_PGWAL, PGWAL_DIR, false);
	for (size_t i = 0; i < VOLUMES; i++)
		put_mount(r, volumes[i].name, volumes[i].path, volumes[i].read_only);
	jw_end(&r->w);
	jw_end(&r->w);
}

static void
put_scheduling(struct render *r)
{
	const struct {
		const char *key, *field;
		struct str value;
		enum json_type type;
	} rows[] = {
	    {"nodeSelector", "spec.scheduling.nodeSelector", r->c->node_selector, JSON_T_OBJECT},
	    {"tolerations", "spec.scheduling.tolerations", r->c->tolerations, JSON_T_ARRAY},
	    {"affinity", "spec.scheduling.affinity", r->c->affinity, JSON_T_OBJECT},
	    {"topologySpreadConstraints", "spec.scheduling.topologySpreadConstraints",
		r->c->topology_spread, JSON_T_ARRAY},
	    {"imagePullSecrets", "spec.imagePullSecrets", r->c->pull_secrets, JSON_T_ARRAY},
	};
	int seen = json_path(&r->seen, r->seen_root, "spec.template.spec");

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		objects_put_user(r, rows[i].key, rows[i].field, rows[i].value, rows[i].type,
		    json_get(&r->seen, seen, str_of(rows[i].key)), true);
	jw_key(&r->w, "priorityClassName");
	if (r->c->priority_class.len > 0)
		jw_str(&r->w, r->c->priority_class);
	else
		jw_null(&r->w);
}

void
objects_put_pod_spec(struct render *r)
{
	jw_key(&r->w, "spec");
	jw_object(&r->w);
	objects_put_name(r, "serviceAccountName", child_info[CHILD_SERVICEACCOUNT].suffix);
	jw_kv_bool(&r->w, "automountServiceAccountToken",
	    true); /* Patroni and the agent talk to the API */
	jw_kv_bool(&r->w, "enableServiceLinks", false);
	jw_kv_int(&r->w, "terminationGracePeriodSeconds", r->c->grace_seconds);
	put_pod_security(r);
	put_scheduling(r);
	jw_key(&r->w, "initContainers");
	jw_array(&r->w);
	put_install(r);
	jw_end(&r->w);
	jw_key(&r->w, "containers");
	jw_array(&r->w);
	put_postgres(r);
	jw_end(&r->w);
	jw_key(&r->w, "volumes");
	jw_array(&r->w);
	for (size_t i = 0; i < VOLUMES; i++)
		put_volume(r, &volumes[i]);
	jw_end(&r->w);
	jw_end(&r->w);
}
