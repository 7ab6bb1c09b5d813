/*
 * What the reconciler's files share, and nobody else includes (their tests apart). reconciler.c is
 * the worker: edges, timer, control. reconciler_table.c owns every cluster's state and the queues;
 * reconciler_feed.c takes the watcher's records into it; reconciler_step.c turns plans into steps
 * and answers into state. All but reconciler.c know no loop and no clock.
 */
#ifndef WORKERS_RECONCILER_H
#define WORKERS_RECONCILER_H

#include "ipc/ipc.h"
#include "model/model.h"
#include "plan/plan.h"

/* One name in one namespace: a BGCluster, or what one left behind. */
struct entry {
	struct plan_cluster plan;
	char name[NAME_MAX_CLUSTER + 1];
	uint8_t namespace; /* index into table.namespaces */
	bool named;        /* since its list's SNAP_BEGIN */
	bool busy;         /* its step is in flight */
	bool dirty, spare; /* it is in that queue */
	struct entry *next_dirty, *next_spare;
	unsigned heap_at; /* 1 + its index in table.heap; 0 = no timer */
	struct msec wake;
};
struct queue {
	struct entry *head, *tail;
};
struct table_namespace {
	const char *name;
	uint32_t listed; /* bit per kind: was listed once */
	uint32_t ended;  /* bit per kind: the list is complete, and its watch goes on */
	uint32_t open;   /* bit per kind: between SNAP_BEGIN and SNAP_END */
	uint32_t number[KIND_COUNT];
	unsigned dbops_n;       /* BGDbOps that are kept */
	unsigned left_out;      /* that were not, since they were listed last */
	struct msec relist_at;  /* not before are they listed anew */
};
struct table {
	struct entry **slots; /* open addressing by namespace and name */
	unsigned size, n;
	struct entry **heap; /* by wake, earliest first */
	unsigned heap_n, heap_size;
	struct queue dirty, spare;
	struct table_namespace namespaces[NAMESPACES_MAX];
	unsigned namespaces_n;
	unsigned limit;   /* CLUSTERS_MAX; a test's may be less */
	unsigned dbops_limit; /* DBOPS_MAX; likewise */
};

/* --- reconciler_table.c */
void table_init(struct table *t, char (*namespaces)[64], unsigned n);
void table_free(struct table *t);
int table_namespace(const struct table *t, const char *name); /* -1 = not one of ours */
struct entry *table_find(struct table *t, unsigned namespace, const char *name);
/* or the one there is; NULL = the table is full */
struct entry *table_add(struct table *t, unsigned namespace, const char *name);
/* looks at all: rare */
struct entry *table_find_uid(struct table *t, const struct uid *uid);
void table_grow_instances(struct entry *e, unsigned n);
void table_dirty(struct table *t, struct entry *e);
void table_dirty_all(struct table *t);
/* Of all its BGClusters one asks whether it is going; that it is they need not ask themselves. */
void table_namespace_asked(struct table *t, unsigned namespace, struct msec now);
void table_namespace_ends(struct table *t, unsigned namespace);
struct entry *table_pop_dirty(struct table *t);
/* to the head of the queue: it could not be served */
void table_put_back(struct table *t, struct entry *e);
void table_want_spare(struct table *t, struct entry *e);
struct entry *table_pop_spare(struct table *t);
void table_wake_at(struct table *t, struct entry *e, struct msec at); /* PLAN_NEVER = no timer */
struct msec table_next_wake(const struct table *t);
void table_wake(struct table *t, struct msec now); /* whose time has come is dirty */
/* Frees e if nothing is known of it and nothing holds it. */
void table_forget(struct table *t, struct entry *e);
void table_keep_text(char **slot, const char *text); /* slot owns a copy; empty = NULL */
/* The same: no windows = NULL. */
void table_keep_windows(struct windows **slot, const struct windows *w);
/* Snapshots. NULL, or why the sender is hostile. */
const char *table_snap_begin(struct table *t, unsigned namespace, enum kind kind, uint32_t number);
const char *table_snap_end(struct table *t, unsigned namespace, enum kind kind, uint32_t number);
/* the watcher is gone: what is known stays, until its lists are complete again */
void table_unsync(struct table *t);
bool table_synced(const struct table_namespace *ns);
#define WATCHED_KINDS table_watched_kinds()
uint32_t table_watched_kinds(void);

/* --- reconciler_dbops.c */
/* NULL, or why the sender is hostile. left_out: there was no room for it. */
const char *dbops_take(struct table *t, unsigned namespace, const struct msg_rec_dbops *r,
    bool listing, bool quarantined, bool *left_out);
unsigned dbops_kept(const struct table *t); /* of all namespaces */
/* Of that one some were left out, and there is room; when = PLAN_NEVER unless that must wait. */
bool dbops_relist_is_due(
    const struct table *t, unsigned namespace, struct msec now, struct msec *when);
void dbops_relisted(struct table *t, unsigned namespace, struct msec now);
void dbops_gone(struct table *t, struct entry *e, const struct uid *uid);
void dbops_quarantine(struct table *t, const struct uid *uid, uint64_t generation);
void dbops_forget_names(struct entry *e);           /* SNAP_BEGIN of their kind */
void dbops_sweep(struct table *t, struct entry *e); /* SNAP_END: who was not named is gone */
void dbops_free(struct table *t, struct entry *e);

/* --- reconciler_feed.c */
struct feed_quarantine {
	struct uid uid;
	uint64_t generation;
};
struct feed {
	struct table *table;
	struct feed_quarantine quarantine[QUARANTINE_MAX];
	unsigned quarantine_n; /* counts on: the oldest is overwritten */
	/* A BGCluster that the table has no room for. */
	void (*refused)(void *arg, const struct msg_rec_cluster *r);
	void (*left_out)(void *arg, unsigned namespace, const struct msg_rec_dbops *r);
	void *arg;
};
/* A message from the watcher: NULL, or why it is hostile. */
const char *feed_take(struct feed *f, const struct ipc_msg *m, struct msec now);
void feed_quarantine(struct feed *f, const struct msg_quarantine *m);

/* --- reconciler_step.c */
struct flight {
	uint32_t id;         /* 0 = free */
	struct entry *entry; /* NULL: of a BGCluster that was refused */
	struct plan_sent sent;
	struct msec since;
};
struct steps {
	struct table *table;
	struct flight flights[STEPS_IN_FLIGHT];
	unsigned flights_n;
	uint32_t last_id;
	struct msec spare_at;
	struct msec left_out_at; /* not before is the next BGDbOps told that it was left out */
	int64_t unix_s; /* the wall clock at this turn of the loop */
	/* impatient: what was not listed by now is taken as not there; making is safe */
	bool degraded, impatient;
	bool (*send)(void *arg, const struct ipc_msg *m);
	void *arg;
};
#define SPARE_MS 250 /* between two checks in the background, over all clusters */
/* Plans what is dirty, and sends as much as there is credit for. Returns when to come again. */
struct msec steps_pump(struct steps *s, struct msec now);
/* NULL, or why the executor is hostile. */
const char *steps_done(struct steps *s, const struct msg_step_done *d, struct msec now);
void steps_lost(struct steps *s); /* the executor died */
/* Condition TooManyClusters, if there is credit. */
void steps_refuse(struct steps *s, const struct msg_rec_cluster *r, struct msec now);
/* It waits until others have ended: in its status, if there is credit to spare. */
void steps_leave_out(struct steps *s, const struct msg_rec_dbops *r, struct msec now);

#endif
