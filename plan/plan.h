/*
 * plan: what is to be done next for one BGCluster. Pure: (what is wanted, what was seen, now) ->
 * the next step, or when to look again. No I/O, no clock, no JSON, no allocation: the caller
 * (workers/reconciler*.c, tests, the fuzzer) owns all memory and all times. cluster.c is the table
 * of rules; children.c, storage.c, template.c, pods.c, roll.c, reinit.c, rest.c, lead.c, delete.c,
 * status.c (with gist.c), event.c and dbops.c (with dbops_*.c) are what its rows call; window.c,
 * cron.c and zone.c tell the time; note.c and dbops_note.c take in what the watcher saw, done.c
 * what came of a step.
 */
#ifndef PLAN_PLAN_H
#define PLAN_PLAN_H

#include "base/base.h"
#include "model/model.h"
#include "plan/cron.h"

#define PLAN_NEVER INT64_MAX

/* Since when, and how often, something did not succeed; and when it may be tried again. */
struct plan_try {
	struct msec until;
	uint8_t failures;
	uint8_t code;   /* choice step_code of the last attempt */
	uint8_t reason; /* what a condition says of it, or REASON_NONE */
};

enum plan_verify {
	PLAN_UNVERIFIED, /* as a former life left it: to be compared when there is time */
	PLAN_CHANGED,    /* someone else touched it: to be compared now */
	PLAN_VERIFIED,   /* as our own last step left or found it */
};

/* One object that the cluster is made of, as far as it is known. */
struct plan_child {
	struct uid uid;
	uint64_t owner; /* model_uid_key of its owner annotation; 0 = it has none: not ours */
	uint64_t version, generation; /* resourceVersion; generation is 0 where the kind has none */
	uint64_t inputs;              /* plan_inputs_key of its inputs annotation */
	struct plan_try try;
	bool present, deleting;
	bool named; /* the caller's: it was named since the last SNAP_BEGIN */
	uint8_t verify;
};

/* What a pod was told to do in one slot, for this pod, and how far that is. */
struct plan_task {
	uint64_t owner; /* model_uid_key of whose it is; 0 = nothing */
	uint32_t step;  /* what it says of its step, as a hash */
	uint16_t attempt;
	uint8_t kind, phase, percent; /* choices task_kind, task_phase */
	bool cancel, interrupted;
};

/* What a pod's agent says of it. It counts only while pod_uid is the current pod's. */
struct plan_report {
	struct uid pod_uid;
	uint64_t config_generation;
	uint64_t pod_inputs; /* of the template that the pod was made from; 0 = not known */
	uint32_t timeline;
	uint32_t operation_generation; /* the BGCluster's for which attempts count; its low bits */
	uint8_t state, role, lag, disk, reason;
	uint8_t stop;                       /* choice stop: how far it is to rest */
	uint8_t operation, operation_phase; /* what that pod was told to do, and how far it is */
	uint8_t operation_attempt;          /* REINIT: the how manieth */
	bool hold, pending_restart, pgdata_empty, bootstrapped;
	bool paused;         /* by `patronictl pause` */
	bool restart_lowers; /* what waits for a restart only lowers what standbys need */
	bool operation_interrupted;
	uint8_t task_slots; /* of which its agent knows; 0 = an old one, that is one */
	uint64_t system_identifier;
	uint64_t operation_id; /* model_uid_key of it */
	struct plan_task task[TASKS_MAX];
};

struct plan_instance {
	struct plan_child child; /* the BGInstance */
	struct plan_report report;
	/* The caller's memory; NULL = none. Means nothing while the reason is REASON_NONE. */
	char *report_text;
	/* Counts changes of report.pod_uid: an answer about a pod may be older than the report. */
	uint8_t reports;
	bool known;          /* a record of this very object was seen */
	bool unreachable;    /* UNREACHABLE was done for this report's pod */
	bool restarted;      /* since a parameter began to wait for that */
	bool kept_told;      /* an Event told of foreign data in its volume, which is there still */
	bool awaited;        /* it waited for a restart since the primary does, or just before */
	uint8_t tells;       /* how often in a row its operation was given and has not ended */
	uint8_t held;        /* the verb that wrote its hold or stop last */
	struct uid replaced; /* the pod that was told to end, and when */
	struct msec replaced_at;
	struct msec told; /* when its operation was given last */

	/* The pod and its volume, when somebody looked. */
	struct plan_try look; /* until: when to look again */
	struct msec looked_at;
	uint8_t looks; /* in a row */
	bool looked;   /* in this life, and since the report last changed its pod */
	bool pod_present, pod_ready, pod_terminating;
	uint8_t pod_reason;
	struct uid pod_uid;
	uint64_t pod_inputs;
	char *pod_text;
	struct uid pvc_uid;
	bool pvc_looked, pvc_present, pvc_bound, pvc_terminating, pvc_fits;

	/*
	 * Is its volume as large as the spec asks? asked: that was looked at, for the size that is
	 * wanted now; grown: it is, and nothing is left to do.
	 */
	bool volume_asked, volume_grown;
	struct plan_try volume; /* until: when to ask again; reason: what a condition says of it */
	char *volume_text;      /* the caller's memory; NULL = none */
};

/* The API server's clock, which says when a BGDbOps was made, may be ahead of ours. */
#define DBOPS_SKEW_S 60

/* One BGDbOps of a cluster that is not over. The caller's memory. */
struct plan_dbops {
	char name[NAME_MAX_LABEL + 1];
	struct uid uid;
	uint64_t generation, observed, version;
	uint64_t awaits; /* what our last write made of it: nothing more before that was seen, */
	struct msec awaits_until; /* or it does not come, as when etcd was restored */
	int64_t created_s, deleted_s; /* 0 = it is not being deleted */
	bool finalizer;

	/* What is wanted. */
	uint8_t op, role; /* choices dbops_op, dbops_role */
	/* 1 + the ordinal that the spec names; DBOPS_NO_INSTANCE = none has that name */
	uint8_t wanted;
	uint8_t max_retries; /* DBOPS_RETRIES_NOT_GIVEN */
	bool only_pending, locks, replica, suspend;
	bool scheduled, bad_cron;
	struct cron cron;
	char zone[ZONE_NAME_MAX + 1];
	uint64_t system_identifier;
	int64_t run_at_s;
	uint32_t timeout_s, ttl; /* 1 + seconds; 0 = not given */
	char *invalid;           /* why the spec can not be read; NULL = it can */

	/* What its status claims. */
	uint8_t phase, cleanup; /* choices dbops_phase, dbops_cleanup */
	uint8_t ordinal;        /* 1 + that of the instance that was told; 0 = none is now */
	uint8_t percent;
	struct uid pod, instance;
	uint16_t attempt;
	uint32_t retries, restarted;
	int64_t started_s, finished_s, next_s;
	uint64_t said, step;

	/* This life's. */
	struct plan_try try;
	char *refused; /* why its pod could not be told, in this attempt */
	struct msec progress_at;
	struct msec told_cancel; /* 0 = it was not */
	bool named;              /* since SNAP_BEGIN */
	bool quarantined;
};
#define DBOPS_NO_INSTANCE UINT8_MAX
#define DBOPS_RETRIES_NOT_GIVEN UINT8_MAX

struct plan_statefulset {
	bool known; /* a record of this very object was seen */
	uint8_t replicas, ready;
	uint64_t pod_inputs, storage_inputs;
	uint64_t last_good; /* of the template that is kept to be written back; 0 = none */
};

/* What the stored status of a BGCluster says, as far as Events tell of it. */
struct plan_said {
	bool ready;
	uint8_t primary; /* ordinal + 1; 0 = none */
	uint8_t reasons[CHOICE_condition_type_COUNT];
};

/* The user's object. */
struct plan_wanted {
	struct uid uid;
	uint64_t generation, version;
	uint64_t hash[GROUP_COUNT];
	uint64_t status; /* model_status_hash of what is stored; 0 = empty */
	struct plan_said said;
	bool deleting, finalizer;
	bool blocked; /* deleted but protected: it lives on, and deleting is false */
	bool paused;
	bool invalid; /* the spec can not be read; why is in plan_cluster.invalid_text */
	uint8_t instances;
	bool hibernated;
	uint16_t loop_wait; /* Patroni's, seconds */
	uint32_t grace;     /* seconds that a pod has to stop */
	uint32_t fenced;    /* bit per ordinal */
	/* choices deletion_policy, update_strategy, scale_down */
	uint8_t policy, update, scale_down;
};

enum plan_destruction { /* how far deletionPolicy Delete has come in this life */
	PLAN_DATA_KEPT,
	PLAN_ANCHOR_MARKED,
	PLAN_VOLUMES_DELETED,
	PLAN_CONFIGMAPS_DELETED,
	PLAN_DATA_GONE,
};

struct plan_cluster {
	const char *name; /* the caller's */
	struct plan_wanted wanted;
	bool present; /* there is a BGCluster of this name */
	bool fresh;   /* its status was empty when it was first seen: nothing was said of it yet */
	struct msec seen; /* when it was first seen, in this life */
	char *invalid_text;
	struct windows *windows;    /* the caller's; NULL: disruption may begin at any time */
	uint64_t quarantined;       /* this generation crashed a worker: leave it alone; 0 = none */
	uint64_t config_generation; /* the first one that is known with the wanted CONFIG group */
	/*
	 * written: its leader has written that, and when; 0 = so long ago that all have taken
	 * it up. known: as the stored status says, which the leader has not belied. doubted:
	 * what waits for a restart may do so for an earlier one.
	 */
	bool config_written, config_known, config_doubted;
	struct msec config_at, config_changed; /* changed: another one wanted, in this life */
	uint64_t tried;             /* the template that the API server would take, by its inputs */
	uint64_t orphaned; /* the generation whose storage change re-made the StatefulSet */

	struct plan_child child[CHILD_COUNT]; /* [CHILD_INSTANCE] is not used */
	struct plan_statefulset statefulset;
	struct plan_instance *instance; /* the caller's; at least wanted.instances of them */
	struct plan_dbops **dbops;      /* the caller's; oldest first */
	unsigned dbops_n;
	uint8_t instances_n;
	uint8_t anchor;                     /* choice anchor_state */
	uint8_t last_primary;   /* of the cluster whose data is adopted: ordinal + 1; 0 = unknown */
	uint32_t last_timeline; /* it was on then */
	uint32_t volumes;       /* a bit for each ordinal whose PGDATA is there */
	struct msec checked[CHILD_APP + 1]; /* when what nobody watches was last ensured */
	struct msec unready_since;          /* 0 = the StatefulSet is fully ready */
	struct msec restart_since;          /* 0 = the primary waits for no restart */
	struct msec halted_since;           /* 0 = no rolling change is halted */
	struct msec config_since;           /* all report, and the leader has this spec; 0 = no */
	struct msec behind_since; /* somebody does not, of a cluster that is managed; 0 = not so */

	struct plan_try self; /* of steps on the BGCluster and its namespace */
	struct plan_try say;  /* of STATUS and EVENT */
	uint16_t trouble;     /* 1 + the index (plan_try_at) whose text is kept; 0 = none */
	char *trouble_text;

	bool namespace_asked, namespace_ends;
	bool lost; /* an object or a ready pod, since its namespace was asked for */
	struct msec namespace_at;
	struct msec deleting_at; /* since when, in this life, it is deleted */
	struct msec rested_at; /* when it was last told to rest for a deletion, or that was seen */
	bool pods_gone;
	uint8_t pods_looks;
	struct msec pods_at; /* when to list the pods again */
	uint8_t destruction;

	uint64_t status_sent; /* hash of the last status written, of its gist, and when */
	uint64_t status_gist;
	struct msec status_at;
	bool status_ready;
	uint64_t events[CHOICE_reason_COUNT / 64 + 1]; /* bit per failing reason that was told */
	struct {
		bool ready, paused, fenced, rolling;
		uint8_t rest;    /* HIBERNATING, HIBERNATED, or NONE */
		bool leaderless; /* nobody was primary, and who was before is not known */
		uint8_t primary; /* ordinal + 1 */
		uint64_t told;   /* hash of the last warning's text */
		bool kept;       /* foreign data that was there when this life began */
	} said;                  /* what users were told last */
};

/* The rest of what a decision needs. */
struct plan_world {
	struct msec now;
	int64_t unix_s; /* the wall clock, which may be set: for maintenance windows and BGDbOps */
	/*
	 * Bit per kind: its list in this namespace was complete once, so what was not named is not
	 * there.
	 */
	uint32_t listed;
	/* Every list of this namespace is: only then is anything deleted, replaced or shrunk. */
	bool synced;
	bool spare;       /* nothing else waits: checks in the background may go */
	bool degraded;    /* a worker of the operator dies again and again */
	int64_t sweep_ms; /* how often what nobody watches is ensured */
};

struct plan_status {
	uint8_t ready_instances;
	char primary[NAME_MAX_LABEL + 1];
	char phase[41];
	uint8_t n;
	struct plan_condition {
		uint8_t type, status, reason;
		char text[IPC_TEXT_MAX + 1];
	} at[CHOICE_condition_type_COUNT]; /* sorted by type */
};

/* What an Event told of. */
enum plan_news {
	NEWS_TROUBLE, /* a condition's reason that fails */
	NEWS_UNREADY, /* the same or any other, of Ready, which was True */
	NEWS_READY,
	NEWS_PRIMARY,
	NEWS_REST, /* a hibernation begins, or is complete */
	NEWS_FENCED,
	NEWS_UNFENCED,
	NEWS_PAUSED,
	NEWS_RESUMED,
	NEWS_ROLLING,
	NEWS_ROLLED,
};

/* What plan_done must know of a step when its answer comes. */
struct plan_sent {
	uint8_t verb, child;
	uint8_t ordinal; /* EVENT of PRIMARY_CHANGED and READY: 1 + the primary's */
	uint8_t reason;  /* EVENT */
	bool ready;      /* STATUS: what it said */
	uint8_t news;    /* EVENT: enum plan_news */
	struct uid uid, target; /* the BGCluster's; that of what it acts on, or none */
	/*
	 * ENSURE, TEMPLATE, TRY_TEMPLATE, RESTORE_TEMPLATE: inputs; STATUS: the hash; EVENT: that
	 * of its text; OBSERVE_POD: .reports; EXPAND_PVC: group STORAGE's
	 */
	uint64_t key;
	uint64_t gist;    /* STATUS */
	struct uid dbops; /* DBOPS_*: whose */
	uint16_t attempt;
	/* DBOPS_TELL; of a task also where, and what had ended there, as far as was known: */
	bool cleanup;
	uint8_t slot;
	uint16_t held_attempt;
	uint64_t held; /* plan_task.owner */
};
struct plan_step {
	struct plan_sent sent; /* verb NONE: nothing to do now */
	const char *why;       /* the rule, in words: for the log */
	uint8_t event_type;
	char text[IPC_TEXT_MAX + 1];    /* EVENT */
	struct plan_status status;      /* STATUS */
	const struct plan_dbops *dbops; /* DBOPS_*, with text: */
	struct {
		uint8_t phase, reason; /* choices dbops_phase, dbops_reason */
		bool cleanup;
		uint32_t due; /* servers that come after that one, a bit per ordinal */
		int64_t next_s;
	} said;
	/* Verb NONE: */
	struct msec again; /* look again then; PLAN_NEVER = only when something changes */
	bool spare;        /* checks in the background are left */
};

/* What STEP_DONE says. */
struct plan_answer {
	uint8_t code, anchor, reason, count, primary;
	uint32_t timeline, volumes;
	struct uid child_uid;
	uint64_t version, generation, inputs;
	uint64_t dbops_version;
	bool present, ready, terminating, bound;
	bool text; /* there is one */
};

/* An object's metadata as a record tells it. */
struct plan_object {
	struct uid uid, owner;
	uint64_t generation, version, inputs;
	uint32_t revision;
	bool deleting;
};

/* --- cluster.c */
/* The next step, or none. Changes c->said only, and only to what the stored status says already. */
void plan_next(struct plan_cluster *c, const struct plan_world *w, struct plan_step *out);

/*
 * --- note.c: records. listing: between SNAP_BEGIN and SNAP_END, when older versions count as well
 * (etcd may have been restored).
 */
/*
 * c->instance must hold w->instances already. The text of an invalid spec is the caller's to keep
 * in c->invalid_text.
 */
void plan_note_cluster(
    struct plan_cluster *c, const struct plan_wanted *w, bool listing, struct msec now);
void plan_note_cluster_gone(struct plan_cluster *c, const struct uid *uid); /* none = whichever */
/* False: it is older than what is known. ordinal (below c->instances_n) for INSTANCE only. */
bool plan_note_child(struct plan_cluster *c, enum child child, unsigned ordinal,
    const struct plan_object *o, bool listing);
void plan_note_child_gone(
    struct plan_cluster *c, enum child child, unsigned ordinal, const struct uid *uid);
/* After plan_note_child said true for the same record. */
void plan_note_statefulset(
    struct plan_cluster *c, const struct plan_statefulset *s, struct msec now);
void plan_note_report(struct plan_cluster *c, unsigned ordinal, const struct plan_report *r);
/* Another BGCluster of its namespace asks for that; found out that it is being deleted. */
void plan_note_namespace_asked(struct plan_cluster *c, struct msec now);
void plan_note_namespace_ends(struct plan_cluster *c);
void plan_note_quarantine(struct plan_cluster *c, uint64_t generation);
/* Nothing is known of this name: the caller may forget it. */
bool plan_is_empty(const struct plan_cluster *c);

/* --- done.c */
/* Takes in what came of a step. Returns where the answer's text is to be kept, or NULL. */
char **plan_done(struct plan_cluster *c, const struct plan_sent *sent,
    const struct plan_answer *answer, struct msec now);
/* The answer will never come: the executor died. What was written shows in the records. */
void plan_lost(struct plan_cluster *c, const struct plan_sent *sent);

/* --- status.c */
uint64_t plan_status_hash(const struct plan_status *s, uint64_t generation);
/* What is said of a BGCluster beyond CLUSTERS_MAX. */
void plan_status_refused(struct plan_status *out);

/* --- dbops_note.c */
/* It is over and nothing is left to be done for it: the caller may forget it. */
bool plan_dbops_is_over(const struct plan_dbops *d);
/* What was known of it (in this life: its attempts) goes on. False: now is older than that. */
bool plan_note_dbops(struct plan_dbops *known, const struct plan_dbops *now, bool listing);

/* --- children.c */
uint64_t plan_inputs_key(uint32_t revision, uint64_t hash);

#endif
