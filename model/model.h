/*
 * model: the shared vocabulary, made from the .def tables. Tables without code: the lookups here
 * are static tables only. Which kinds there are, what a BGCluster and a BGInstance hold, every enum
 * that travels between processes.
 */
#ifndef MODEL_MODEL_H
#define MODEL_MODEL_H

#include "base/base.h"

/* Labels, annotations and names that both sides of the API agree on. */
/* on every object we make: the BGCluster's name */
#define LABEL_CLUSTER "bestgres.io/cluster"
/* "ok" on a replica that may serve reads; set by its agent */
#define LABEL_RO "bestgres.io/ro"
/* Patroni's; on database pods and Patroni's ConfigMaps only */
#define LABEL_SCOPE "cluster-name"
#define LABEL_APPLICATION "application"		    /* Patroni's selector: application=bestgres */
#define PATRONI_APPLICATION "bestgres"		    /* LABEL_APPLICATION's value */
#define LABEL_ROLE "role"			    /* Patroni's: primary or replica */
/* the BGCluster's uid: without it an object is foreign */
#define ANNOTATION_OWNER "bestgres.io/owner-uid"
#define ANNOTATION_INPUTS "bestgres.io/inputs"	    /* "<renderer revision>:<16 hex digits>" */
/* on the pod template: 16 hex digits over user fields */
#define ANNOTATION_POD_INPUTS "bestgres.io/pod-inputs"
/*
 * On the StatefulSet: the template that the present one replaced while instances served with it, as
 * JSON, and its pod-inputs.
 */
#define ANNOTATION_LAST_GOOD "bestgres.io/last-good-template"
#define ANNOTATION_LAST_GOOD_INPUTS "bestgres.io/last-good-inputs"
/* "true" on a BGCluster: nothing of it is changed until the annotation goes */
#define ANNOTATION_PAUSED "bestgres.io/paused"
#define FINALIZER "bestgres.io/cluster"
/*
 * Percent of a volume that are free. Below the first there is time to grow it; below the second a
 * burst of WAL can fill it, and then PostgreSQL stops.
 */
#define DISK_LOW_PERCENT 15
#define DISK_FULL_PERCENT 5
#define PORT_POSTGRES 5432
#define PORT_PATRONI 8008

/* enum kind { KIND_BGCLUSTER, ..., KIND_COUNT } */
enum kind {
#define KIND(id, ...) KIND_##id,
#include "model/kinds.def"
#undef KIND
	KIND_COUNT
};
enum kind_watch { WATCH_FULL, WATCH_META, WATCH_NONE };
struct kind_info {
	const char *name;   /* "StatefulSet" */
	const char *root;   /* "/apis/apps/v1" */
	const char *plural; /* "statefulsets" */
	enum kind_watch watch;
};
extern const struct kind_info kind_info[KIND_COUNT]; /* model/tables.c */

/*
 * One enum per vocabulary of choices.def: enum sync_mode { SYNC_MODE_OFF ... } is spelled
 * CHOICE_<vocabulary>_<ID>.
 */
#define CHOICES(name) enum choice_##name {
#define CHOICE_ROW(name, id, text) CHOICE_##name##_##id,
#define END_CHOICES(name) CHOICE_##name##_COUNT };
#include "model/choices.def"
#undef CHOICES
#undef CHOICE_ROW
#undef END_CHOICES

enum choice_reason {
#define REASON(id, ...) REASON_##id,
#include "model/reasons.def"
#undef REASON
	CHOICE_reason_COUNT
};
_Static_assert(CHOICE_reason_COUNT <= UINT8_MAX + 1, "a message and a record have a byte for it");
struct reason_info {
	const char *name;   /* as in conditions and Events: CamelCase */
	const char *advice; /* what someone must do, in whole sentences; "" = nothing */
};
extern const struct reason_info reason_info[CHOICE_reason_COUNT];

/* Texts of a vocabulary, by number: choice_text(VOCAB_sync_mode, 1) is "on". */
enum vocab {
#define CHOICES(name) VOCAB_##name,
#define CHOICE_ROW(...)
#define END_CHOICES(name)
#include "model/choices.def"
#undef CHOICES
#undef CHOICE_ROW
#undef END_CHOICES
	VOCAB_reason,
	VOCAB_COUNT
};
const char *choice_text(enum vocab v, unsigned n);    /* NULL past the end */
int choice_find(enum vocab v, struct str s);	      /* -1 when no row has that text */
unsigned choice_count(enum vocab v);

/* Groups of BGCluster fields that are hashed together (bgcluster.def's last column). */
enum group {
	GROUP_POD,
	GROUP_SCALE,
	GROUP_STORAGE,
	GROUP_SERVICE,
	GROUP_CONFIG,
	GROUP_BOOTSTRAP,
	GROUP_META,
	GROUP_LIFE,
	GROUP_REST,
	GROUP_COUNT,
	/* BGInstance's and BGDbOps' two */
	GROUP_SPEC = 0,
	GROUP_STATUS,
};

enum child {
#define G(x) (1u << GROUP_##x)
#define CHILD(id, ...) CHILD_##id,
#include "model/children.def"
#undef CHILD
	CHILD_COUNT
};
struct child_info {
	enum kind kind;
	const char *suffix;
	unsigned groups;   /* bit mask of enum group */
	uint32_t revision; /* of its renderer */
};
extern const struct child_info child_info[CHILD_COUNT];

#define INT_UNSET INT64_MIN
struct str_pair {
	struct str key, value;
};
struct str_map {
	struct str_pair *at; /* sorted by key, keys unique */
	size_t n;
};
struct str_list {
	struct str *at;
	size_t n;
};

/* metadata of any object, as far as we use it. */
struct object_meta {
	struct str namespace, name;
	struct uid uid;
	uint64_t generation;	  /* 0 where a kind has none */
	uint64_t resource_version; /* compared for equality and order within one kind only */
	bool deleting;		  /* deletionTimestamp is set */
	bool finalizer;		  /* ours is in finalizers */
	bool paused;		  /* annotation bestgres.io/paused is "true" */
	unsigned finalizers;	  /* how many, ours included */
	struct str cluster;	  /* label bestgres.io/cluster, or empty */
	struct uid owner;	  /* annotation bestgres.io/owner-uid, or none */
	uint32_t inputs_revision; /* annotation bestgres.io/inputs, or 0 */
	uint64_t inputs_hash;
};

struct condition {
	struct str type, status, reason, message, last_transition;
	int64_t observed_generation;
};
#define CONDITIONS_MAX 16

#define TEXT(f, ...) struct str f;
#define INT(f, ...) int64_t f;
#define BOOL(f, ...) bool f;
#define CHOICE(f, ...) uint8_t f;
#define RAW(f, ...) struct str f;
#define MAP(f, ...) struct str_map f;
#define LIST(f, ...) struct str_list f;
/* A decoded BGCluster. Views into the arena it was decoded with. */
struct bgcluster {
	struct object_meta meta;
#include "model/bgcluster.def"
	uint64_t hash[GROUP_COUNT];
	struct condition conditions[CONDITIONS_MAX];
	unsigned conditions_n;
};
/* A decoded BGInstance. Where the slots of its tasks stand in spec and in status: */
#define TASK_KEY_0 "task"
#define TASK_KEY_1 "secondTask"
#define TASK_KEY_2 "thirdTask"
extern const char *const task_keys[TASKS_MAX];
struct bginstance_task {
#include "model/task.def"
};
struct bginstance {
	struct object_meta meta;
#include "model/bginstance.def"
	struct bginstance_task task[TASKS_MAX];
	uint64_t hash[2]; /* GROUP_SPEC, GROUP_STATUS */
};
/* A decoded BGDbOps. */
struct bgdbops {
	struct object_meta meta;
#include "model/bgdbops.def"
	uint64_t hash[2]; /* GROUP_SPEC, GROUP_STATUS */
	struct condition conditions[CONDITIONS_MAX];
	unsigned conditions_n;
};
#undef TEXT
#undef INT
#undef BOOL
#undef CHOICE
#undef RAW
#undef MAP
#undef LIST

/* spec.maintenanceWindows: decode_windows (kube.h) reads it, plan/window.c knows what is open. */
struct window {
	uint16_t from_min, to_min; /* of the day; to <= from: of the day after */
	uint8_t days;		   /* bit n = choice weekday n: on which it begins; not 0 */
	char zone[ZONE_NAME_MAX + 1];
};
#define WINDOW_MINUTE_MAX (24 * 60 - 1)
#define WINDOW_EVERY_DAY ((1u << CHOICE_weekday_COUNT) - 1)
struct windows {
	uint8_t n;
	struct window at[WINDOWS_MAX];
};

/* The StatefulSet fields that decisions need. */
struct statefulset_view {
	struct object_meta meta;
	int64_t replicas, ready_replicas, current_replicas, observed_generation;
	uint64_t pod_inputs; /* the template's annotation bestgres.io/pod-inputs */
	uint64_t storage_inputs; /* annotation bestgres.io/storage-inputs: hash of group STORAGE */
	uint64_t last_good;      /* annotation bestgres.io/last-good-inputs; 0 = none */
};
/* An instance's volumes; its claims are "<this>-<cluster>-<ordinal>". */
#define CLAIM_PGDATA "pgdata"
#define CLAIM_PGWAL "pgwal" /* only with spec.walStorage */
#define ANNOTATION_STORAGE_INPUTS "bestgres.io/storage-inputs"

/* What .status of a BGCluster is to say. */
struct cluster_status {
	unsigned ready_instances;
	struct str primary, phase;
	int64_t generation;
	unsigned n;
	struct {
		uint8_t type, status, reason; /* choices condition_type, condition_status, reason */
		struct str text;
	} conditions[CHOICE_condition_type_COUNT];
};
/*
 * Over all of it but times: equal = nothing to write. decode_cluster_status_hash (kube.h) gives the
 * same for what is stored. 0 = empty.
 */
uint64_t model_status_hash(const struct cluster_status *s);

/* What a child should carry in bestgres.io/inputs: the hash of its groups. */
uint64_t model_child_inputs(enum child c, const uint64_t hash[GROUP_COUNT]);
/* What a pod template carries, of groups POD and META; never of a renderer's revision. */
uint64_t model_pod_inputs(const uint64_t hash[GROUP_COUNT]);
/* "<cluster><suffix>" and for INSTANCE "<cluster>-<ordinal>"; out holds NAME_MAX_LABEL + 1. */
void model_child_name(
    char out[NAME_MAX_LABEL + 1], enum child c, const char *cluster, unsigned ordinal);
/* How many pods there are to be: none while it is hibernated. */
int64_t model_replicas(const struct bgcluster *c);
/* spec.fencedInstances as a mask of ordinals; a name of no instance is not in it. */
uint32_t model_fenced(const struct bgcluster *c);
/*
 * What a BGDbOps is done by: one of task and operation; a restart and a reload by the latter on one
 * pod after another.
 */
struct dbops_info {
	uint8_t task, operation; /* choices task_kind, operation */
	bool repeatable; /* after it began, and nobody knows how far it came */
	bool leaves;	 /* something in the database when it is interrupted */
	bool disruptive; /* servers stop or lead no more */
};
extern const struct dbops_info dbops_info[CHOICE_dbops_op_COUNT];
/* spec.operation.id of that attempt on that instance: the same for whoever asks. */
struct uid model_operation_id(const struct uid *dbops, uint64_t attempt, unsigned ordinal);
uint64_t model_uid_key(const struct uid *u); /* 0 for none */
/* Kinds of tasks: one pod does not do both at once. */
bool model_tasks_conflict(unsigned kind, unsigned other);
/* Which of cluster's instances has that name? -1 = none can. */
int model_ordinal(struct str name, struct str cluster);
/* Over what DBOPS_SAY says: equal = nothing to write. */
uint64_t model_dbops_said(unsigned phase, int64_t next_run_s, struct str message);
#define DBOPS_FINALIZER "bestgres.io/dbops"
/* Settings a user may not give (reason PARAMETER_OWNED), by name. */
bool model_parameter_owned(struct str name);
/* PATRONI_* variables that would override what Bestgres must win. */
bool model_variable_owned(struct str name);

#endif
