/*
 * objects: what one BGCluster is rendered into, what is written into the status of our own kinds,
 * and Events. One file per kind; each is pure: decoded spec -> JSON text. Names, namespace, owner,
 * labels and bestgres.io/inputs are set in objects/meta.c for all children. Callers: the executor;
 * the golden tests.
 */
#ifndef OBJECTS_OBJECTS_H
#define OBJECTS_OBJECTS_H

#include "kube/kube.h"

struct object_ctx {
	struct str operator_image, operator_pull_policy; /* of the init container */
	struct uid anchor;                               /* Secrets' owner; none where not needed */
	bool hold; /* INSTANCE: born held, since its volume may hold adopted data */
	/*
	 * The object as the API server holds it, where a rendering is to be compared with it
	 * (json_diff); empty where it is to be created. With it the rendering also names, as null,
	 * what the spec or an edit put there and must go: a dropped label, a foreign key in a
	 * selector. An INSTANCE's hold is rendered at its birth only: HOLD and RELEASE change it.
	 */
	struct str seen;
	/*
	 * CREDENTIALS: superuser, replication, rewind, restapi; APP: [0]. 32+ characters of
	 * [A-Za-z0-9].
	 */
	struct str password[4];
};
/*
 * Renders child c (ordinal: INSTANCE only) of the cluster. ERR_LIMIT past HTTP_BODY_MAX,
 * ERR_INVALID names a field that can not be rendered; out is empty then.
 */
int objects_render(enum child c, unsigned ordinal, const struct bgcluster *cluster,
    const struct object_ctx *ctx, struct buf *out, struct err *e);
/* The application's database or owner, or their default. */
struct str objects_app_name(struct str s);
/*
 * A .status merge patch for the BGCluster: conditions keep lastTransitionTime where their status
 * stays. now: RFC 3339. ERR_LIMIT past out's bound, ERR_INVALID for what
 * no vocabulary has; out is empty then.
 */
int objects_render_status(const struct bgcluster *seen, const struct cluster_status *wanted,
    const char *now, struct buf *out, struct err *e);
/* --- BGDbOps. */
/* Who is told, and as which attempt. */
struct dbops_claim {
	unsigned attempt, ordinal;
	unsigned slot;        /* of a task: among task_keys */
	const char *instance; /* its name */
	struct uid pod;
	bool cleanup;
};
/*
 * A merge patch, without a guard, of BGInstance.spec: of the claim's slot, or of operation. What is
 * not given is null, so that nothing of an earlier one stays.
 */
void objects_render_task(const struct bgdbops *d, const struct dbops_claim *c, struct buf *out);
void objects_render_operation(
    const struct bgdbops *d, const struct dbops_claim *c, struct buf *out);
/* What .status is to say; texts in it are borrowed, times are RFC 3339. */
struct dbops_status {
	const char *now;                         /* RFC 3339 */
	uint8_t phase, outcome, reason, cleanup; /* outcome: of the run; conditions tell it */
	struct str message, step, started_at, finished_at, next_run;
	struct str instance, pod_uid, instance_uid;
	int64_t percent, attempt, retries;
	struct str instances, results, history; /* JSON; empty = none */
	bool has_output;
	struct str output;
};
/* As it is: to be changed, then rendered. */
void objects_dbops_status_of(const struct bgdbops *seen, const char *now, struct dbops_status *out);
/* The whole of .status as a merge patch; ERR_LIMIT past out's bound, which is empty then. */
int objects_render_dbops_status(
    const struct bgdbops *seen, const struct dbops_status *s, struct buf *out, struct err *e);
struct dbops_server {
	struct str name, pod, message;
	uint8_t phase;
	int64_t outage_ms;
};
/* What follows is a JSON list or object for a dbops_status; a: scratch. */
/*
 * status.instances as it was before, with s in it unless it is NULL, then those of due (a bit per
 * ordinal) as Pending. How many have succeeded; *all: of how many.
 */
unsigned objects_dbops_servers(struct str before, struct str cluster, const struct dbops_server *s,
    uint32_t due, unsigned *all, struct buf *out, struct arena *a);
/* status.history with this run before the others, as many as spec.schedule.historyLimit says. */
void objects_dbops_history(const struct bgdbops *seen, const struct dbops_status *run,
    const char *outcome, struct buf *out, struct arena *a);
/* status.results. t: which task it was; NULL = none. */
void objects_dbops_results(
    const struct bginstance_task *t, int64_t restarted, int64_t outage_ms, struct buf *out);
/* An Event about it, as objects_render_event; why: its reason, in CamelCase. */
int objects_render_dbops_event(const struct bgdbops *d, enum choice_event_type type,
    const char *why, struct str text, const char *name, const char *micro, struct buf *out,
    struct err *e);

/*
 * A core/v1 Event about the BGCluster. name: unique; micro: RFC 3339 with microseconds.
 * ERR_INVALID: a type or reason that there is none of; ERR_LIMIT past out's bound.
 */
int objects_render_event(const struct object_meta *cluster, enum choice_event_type type,
    enum choice_reason reason, struct str text, const char *name, const char *micro,
    struct buf *out, struct err *e);

#endif
