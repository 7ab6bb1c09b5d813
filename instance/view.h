/*
 * What Patroni says of this instance and its cluster, and what the agent reports of it. Pure:
 * view.c reads JSON, report.c decides.
 */
#ifndef INSTANCE_VIEW_H
#define INSTANCE_VIEW_H

#include "ipc/ipc.h"
#include "kube/kube.h"

struct view_member {
	char name[NAME_MAX_LABEL + 1];
	bool streaming;
	int64_t lag; /* bytes behind the leader; -1 = unknown */
};
struct view {
	/* GET /patroni */
	bool known; /* a body was understood since the last silence */
	char state[40];
	bool running, primary, streaming, paused, pending_restart, unlocked;
	bool restart_lowers; /* what waits for a restart only lowers what standbys need */
	bool near;   /* a replica within the lag that was asked for: fresher than /cluster's */
	bool within; /* so it is, streaming or not, of what is known of the leader */
	bool restores; /* WAL may come from an archive */
	uint32_t timeline;
	uint64_t system_identifier;
	uint64_t received, replayed; /* a replica's WAL positions; 0 = not known */
	char patroni_version[17];
	char started[48]; /* PostgreSQL, as Patroni writes it */
	/* GET /cluster */
	bool cluster_known, has_leader, leads; /* leads: the lock is ours */
	/* a replica that Patroni would let take over in synchronous mode */
	bool has_sync;
	bool lowest_live; /* no live member has a lower name */
	/*
	 * Who may lead next: streaming, and among the spec's; candidate_sync: in synchronous mode,
	 * where only such may.
	 */
	char candidate[NAME_MAX_LABEL + 1];
	bool candidate_sync;
	uint32_t leader_timeline;
	char leader_host[46]; /* empty = not known */
	int64_t lag;          /* of this member; -1 = unknown */
	unsigned members;
	char leader[NAME_MAX_LABEL + 1];
	struct view_member member[INSTANCES_MAX]; /* the first ones */
};
/* near: GET /replica?lag=N said 200; its body is /patroni's. */
int view_read_patroni(struct view *v, const struct json *j, bool near, struct err *e);
/* instances: the spec's; members beyond it are no candidates. 0 = not known. */
int view_read_cluster(
    struct view *v, const struct json *j, const char *self, int64_t instances, struct err *e);
/* NULL: not among those of the last /cluster. */
const struct view_member *view_find(const struct view *v, const char *name);
void view_silent(struct view *v); /* nothing is known any more */
/* How far what it has replayed is behind the leader; -1 = unknown. */
int64_t view_replay_lag(const struct view *v);
/* Does it stream, and what it has replayed is near enough to the leader? */
bool view_serves_reads(const struct view *v, int64_t max_lag);

/* --- reads.c: our pod's label bestgres.io/ro. */
enum may_read { READS_AS_IS, READS_NO, READS_YES };
struct reads {
	struct msec served; /* when it was fit last, or since when we look */
	struct msec up;     /* since then a server answers; 0 = none does */
	bool stale;         /* the volume is old, or a crashed primary's; no server ran since */
	bool told;          /* Patroni has been asked, and what lag is allowed is known */
};
/* max_lag: -1 = not known. accepts: init's word that a server takes connections. */
enum may_read reads_look(
    struct reads *r, const struct view *v, int64_t max_lag, bool accepts, struct msec now);
#define READS_LOST_MS 8000  /* it asks a primary that restarted again after 5 s */
#define READS_DOWN_MS 60000 /* what it has then is as old as that */

/*
 * --- stale.c: an `initialize` whose bootstrap died.
 *
 * Of ConfigMap <cluster>-config: a bootstrap was begun and not finished. version: its
 * resourceVersion.
 */
bool stale_is_begun(const struct json *j, char version[24]);
/* This BGInstance says that its volume is empty; pod: the uid of the pod that says so. */
bool stale_is_empty(const struct json *j, struct arena *a, struct uid *pod);
/* This is that pod, it stays, and its Patroni has nothing and does nothing. */
bool stale_is_idle(const struct json *j, struct arena *a, const struct uid *pod);
/* How long all that must have been so: a Patroni that lives shows its work once per loop. */
int64_t stale_after_ms(int64_t loop_wait_s);
void stale_patch(struct buf *out, const char *version);

/*
 * --- proof.c: does another instance lead? By Patroni's ConfigMaps, without our own Patroni.
 *
 * Of ConfigMap <cluster>-config: the identifier of the cluster's data; 0 = it has none.
 */
uint64_t proof_identifier(const struct json *j);
/* What <cluster>-leader said. */
struct proof {
	char leader[NAME_MAX_LABEL + 1], renewed[40], version[24];
};
/* True once the same other instance was seen to have renewed its lock since an earlier look. */
bool proof_look(struct proof *p, const struct json *j, const char *self);

/* What stands in BGInstance.status. */
struct report_task {
	char id[UID_TEXT_SIZE]; /* empty: none */
	struct msg_task_state state; /* its id and slot are not used */
};
struct report {
	char pod_uid[UID_TEXT_SIZE], system_identifier[21], postgres_version[17],
	    patroni_version[17], bin_dir[257], anchor_uid[UID_TEXT_SIZE], message[IPC_TEXT_MAX + 1];
	char pod_inputs[17], operation_id[UID_TEXT_SIZE], operation_message[IPC_TEXT_MAX + 1];
	uint8_t state, role, lag, disk, reason, operation_phase;
	uint32_t timeline, outage_ms;
	struct report_task task[TASKS_MAX];
	uint8_t task_slots; /* TASKS_MAX, by a pod that knows of them */
	bool pending_restart, restart_lowers, patroni_paused, pgdata_empty, bootstrapped;
	int64_t config_generation;
	bool certain; /* not written: Patroni itself says so, rather than its silence */
	bool slots_kept; /* not written: nothing is said of other slots than the first */
};
struct report_input {
	const char *pod, *pod_uid, *pod_inputs;
	/* what the operator told this pod to do; an empty id: nothing */
	const char *operation_id, *operation_message;
	uint8_t operation_phase;
	uint32_t outage_ms;
	struct {
		const char *id; /* NULL: none */
		const struct msg_task_state *state;
	} task[TASKS_MAX];
	const struct view *view;
	bool pod_known, locked, patroni_running, stopping; /* init's POD_STATE */
	uint32_t patroni_exits, fences;
	const char *init_text;
	bool disk_known, pgdata_empty; /* pgctl's DISK */
	bool was_primary;
	uint32_t disk_timeline;
	uint64_t system_identifier;
	const char *postgres_version, *bin_dir;
	const char *kept; /* a former data directory that is kept in the volume; empty = none */
	struct uid anchor;
	/* the volume's data is another cluster's; of this one; it can not follow, and why */
	bool foreign;
	uint64_t cluster_identifier;
	uint8_t cannot_follow; /* choice follow; UNKNOWN = nothing says so */
	bool reinitialising;
	bool clone_stalls, clone_fails; /* by init's word; by Patroni's */
	uint8_t clone_kills;
	uint8_t start_reason; /* start.c */
	uint8_t space; /* choice disk_class */
	uint8_t disk_reason, spec_reason, bootstrap_reason;
	const char *disk_text, *spec_text, *bootstrap_text;
	/* sync_wanted: by the spec, with replicas to be had */
	bool held, bootstrapped, sync_wanted;
	bool resting, detached, stopped; /* told to rest; how far, the disk looked at since */
	bool adopting; /* this pod was held or rested, and PostgreSQL has not run in it since */
	int64_t config_generation, max_lag;
};
void report_make(const struct report_input *in, struct report *out);
/* Serves as it should: a bootstrapped primary, a streaming replica. */
bool report_serves(const struct report *r);
/* Does now say what stored does not? What only moves while an instance starts does not count. */
bool report_differs(const struct report *stored, const struct report *now);
/* Must that be written at once? */
bool report_urgent(const struct report *stored, const struct report *now);
/* Since when it differs. Who comes to lead had lost its primary before: its time begins anew. */
struct report_age {
	struct msec since; /* 0 = it does not differ */
	bool leads;
};
void report_age(
    struct report_age *age, const struct report *stored, const struct report *now, struct msec t);
/* When it has lasted so long. */
int64_t report_damp_ms(const struct report *stored, const struct report *now);
#define REPORT_DAMP_MS 5000
#define REPORT_LOCK_MS 1000   /* a new pod that waits for its volume: mostly it has it at once */
#define REPORT_OTHER_MS 20000 /* another pod of this name reports: mostly it is the newer one */
#define REPORT_LOST_MS READS_LOST_MS /* a replica without its stream */
#define REPORT_LEADS_MS 2000  /* a new primary: what is still missing comes in a moment, mostly */
#define REPORT_START_MS 10000 /* a new pod that starts: it may serve by then */

#endif
