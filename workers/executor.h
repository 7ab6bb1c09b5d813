/*
 * What the files of the executor share, and nobody else includes (their tests apart). executor.c is
 * the worker: edges, the broker. executor_step.c has the slots and runs one step from the GET of
 * the user's object to STEP_DONE, executor_send.c asks and reads replies for it; the other
 * executor_*.c are the verbs, each a chain of functions that hand each other the replies. policy.c,
 * executor_observe.c and executor_patch.c are pure.
 */
#ifndef WORKERS_EXECUTOR_H
#define WORKERS_EXECUTOR_H

#include "ipc/ipc.h"
#include "kube/kube.h"
#include "model/model.h"
#include "objects/objects.h"

/* ============ Policy (policy.c, pure) ============ */
enum verdict {
	ALLOW,
	REFUSE, /* it can originate in a user's object: STEP_DONE DENIED */
	BREACH, /* no plan emits it: the reconciler is killed */
};
enum policy_shape { /* what a message must carry, else BREACH */
	SHAPE_TARGET = 1,
	SHAPE_DBOPS = 2, /* it is about a BGDbOps, and a STEP_DBOPS */
};
enum policy_need {                /* what the user's object must be, else REFUSE */
	NEED_SPEC = 1,            /* decodable */
	NEED_LIVE = 2,            /* no deletionTimestamp */
	NEED_DELETING = 4,        /* deletionTimestamp */
	NEED_FINALIZER = 8,       /* ours is on it: what we make will be removed again */
	NEED_POLICY_DELETE = 16,  /* deletionPolicy Delete: data may go */
	NEED_MEMBER = 32,         /* ordinal < spec.instances */
	NEED_SURPLUS = 64,        /* ordinal >= spec.instances, or deletionTimestamp */
	NEED_DESTROYING = 128,    /* the anchor was marked by it: the commit point is passed */
	NEED_NAME = 256,          /* not confusable with a name of Patroni's */
	NEED_ENV = 512,           /* no variable that Bestgres must win */
	NEED_ACTIVE = 1024,       /* no annotation bestgres.io/paused */
	NEED_RESTING = 2048,      /* hibernated, fenced, or being deleted */
	NEED_AWAKE = 4096,        /* none of these */
	NEED_SCALE_DELETE = 8192, /* storage.onScaleDown Delete */
};
struct policy_row {
	const char *name;  /* in texts: "delete instance" */
	uint8_t verb;      /* CHOICE_verb_* */
	uint32_t children; /* bit mask of enum child; 0 = the verb takes none */
	unsigned shape, needs;
};
struct policy_verdict {
	enum verdict verdict;
	enum choice_reason reason;
	char text[IPC_TEXT_MAX + 1];
};
/* namespaces: those that this operator was given. Sets *row on ALLOW. */
void policy_check_message(const struct msg_step *s, char (*namespaces)[64], unsigned namespaces_n,
    const struct policy_row **row, struct policy_verdict *v);
/* A verb of BGDbOps comes in its own message, and nothing else does. */
void policy_check_dbops(const struct policy_row *row, bool dbops, struct policy_verdict *v);
/* deletionTimestamp is set, and spec.deletionProtection does not hold it up. */
bool policy_is_going(const struct bgcluster *c);
/*
 * c: the object as it is now; a: scratch. NEED_SPEC and NEED_DESTROYING are not looked at here: the
 * caller knows first.
 */
void policy_check_object(const struct policy_row *row, const struct msg_step *s,
    const struct bgcluster *c, struct arena *a, struct policy_verdict *v);

/* ============ What replies say (executor_observe.c, pure) ============ */
struct pod_view {
	struct object_meta meta;
	bool ready;
	bool primary;    /* by Patroni's label */
	uint64_t inputs; /* annotation bestgres.io/pod-inputs */
	enum choice_reason reason;
	char text[IPC_TEXT_MAX + 1];
};
/* An instance's volumes: PGDATA's, and with spec.walStorage its WAL's. They are one thing. */
enum claim { CLAIM_OF_DATA, CLAIM_OF_WAL, CLAIMS };
struct pvc_view {
	struct object_meta meta;
	bool pending, bound, volume; /* volume: spec.volumeName is set */
	struct str phase, size, class, capacity;
	bool resize_pending; /* the volume has grown, its file system has not */
	bool resize_failed;  /* resize_text says why */
	struct str resize_text;
	uint64_t inputs; /* its bestgres.io/storage-inputs, or 0 */
};
struct anchor_view {
	struct object_meta meta;
	bool destroying, adopted;
	bool credentials_made, app_made;
	struct str app; /* ["owner","database"] it was made with; "true": not known which */
	struct uid destroyer;
	uint8_t primary; /* 1 + who led last; 0 = not known */
	uint32_t timeline;
};
/* The newest text of some events. */
struct event_view {
	char last[32]; /* RFC 3339: when it was seen last */
	char text[IPC_TEXT_MAX + 1];
};
/* The data keys of the anchor that the executor writes. */
#define ANCHOR_STATE "state" /* "destroying" or absent */
#define ANCHOR_DESTROYER "destroyer"
#define ANCHOR_ADOPTED "adopted"
/* Who led the cluster that was deleted, until all have started; a user may take that out. */
#define ANCHOR_PRIMARY "primary"
#define ANCHOR_TIMELINE "timeline"
#define ANCHOR_CREDENTIALS "credentialsMade"
#define ANCHOR_APP "appMade"

int observe_pod(const struct json *j, struct arena *a, struct pod_view *out, struct err *e);
int observe_pvc(const struct json *j, struct arena *a, struct pvc_view *out, struct err *e);
int observe_anchor(const struct json *j, const char *cluster, struct arena *a,
    struct anchor_view *out, struct err *e);
bool observe_namespace_terminating(const struct json *j);
/* Keeps the newest event since `since` whose message holds `needle` (NULL: any). */
void observe_event(const struct json *j, int event, const char *needle, const char *since,
    struct arena *a, struct event_view *best);
/* Is the BGInstance's condition Reachable=False, and its role and state empty? */
bool observe_unreachable(const struct json *j, const struct bginstance *i);
/* The volume that cluster has for ordinal: "pgdata-<cluster>-<ordinal>" */
void observe_pvc_name(
    char out[NAME_MAX_OBJECT + 1], enum claim claim, const char *cluster, unsigned ordinal);
/* Which ordinal's volume is this, and which of its? -1 = none of cluster's. */
int observe_pvc_ordinal(struct str name, const char *cluster, enum claim *claim);
/* What the spec asks of it. */
struct str observe_pvc_size(enum claim claim, const struct bgcluster *c);
/* Does the PVC say what the spec asks for? */
bool observe_pvc_matches(const struct pvc_view *p, enum claim claim, const struct bgcluster *c);

/* ============ Bodies (executor_patch.c, pure) ============ */
/*
 * What every patch and delete is guarded by: that very object, and with a version: unchanged since
 * it was read.
 */
struct guard {
	struct uid uid;
	uint64_t version; /* 0 = any */
};
struct guard patch_guard(const struct object_meta *m);
/* DeleteOptions. propagation: "Background" or "Orphan". Never a grace period. */
void patch_delete_options(struct buf *out, const struct guard *g, const char *propagation);
/*
 * finalizers: the list as it stands, or JSON_NONE. Ours is added or taken out, the others are kept.
 */
void patch_finalizers(
    struct buf *out, const struct guard *g, const struct json *j, int finalizers, bool add);
/* Which part of a StatefulSet is patched; of other children always the whole. */
enum patch_part { PATCH_WHOLE, PATCH_BUT_TEMPLATE };
/*
 * rendered against seen: 1 = out is a guarded merge patch, 0 = nothing differs, -1 = error. Leaves
 * out what can not be changed in a StatefulSet; its storage-inputs annotation goes on to say which
 * volume templates it has.
 */
int patch_child(struct buf *out, enum child c, enum patch_part part, const struct guard *g,
    struct str rendered, struct str seen, struct arena *a, struct err *e);
/* A pod template as it stands, and its pod-inputs. */
struct kept {
	struct str template;
	uint64_t inputs; /* 0 = nothing is kept */
};
/* Likewise of a StatefulSet's template alone; what is kept of the one it replaces goes with it. */
int patch_template(struct buf *out, const struct guard *g, const struct kept *kept,
    struct str rendered, struct str seen, struct arena *a, struct err *e);
/* The template `from` in the place of `to`, of the StatefulSet in j: what `from` lacks goes. */
int patch_whole_template(struct buf *out, const struct guard *g, const struct json *from,
    const struct json *j, int to, struct arena *a, struct err *e);
void patch_forget_template(struct buf *out, const struct guard *g); /* nothing is kept any more */
/* Likewise for an anchor, without its data; but adopt adds `adopted`. */
int patch_anchor(struct buf *out, const struct guard *g, struct str rendered, struct str seen,
    bool adopt, struct arena *a, struct err *e);
/* body: a merge patch without a guard, which is added. ERR_INVALID if body is no object. */
int patch_guarded(
    struct buf *out, const struct guard *g, struct str body, struct arena *a, struct err *e);
/* One key of an anchor's data. */
void patch_anchor_data(struct buf *out, const struct guard *g, const char *key, const char *value);
/*
 * A rendered anchor as it is POSTed; data_found: adopted from the start, and its Secrets are never
 * made.
 */
void patch_new_anchor(struct buf *out, struct str rendered, bool data_found);
/* Who led last, by the name of its instance; and all that is known of an adoption, taken out. */
void patch_last_primary(
    struct buf *out, const struct guard *g, const char *instance, uint32_t timeline);
void patch_adoption_ended(struct buf *out, const struct guard *g);
void patch_destroying(struct buf *out, const struct guard *g, const struct uid *destroyer);
/* spec.operation: a new one, for that pod; of a REINIT attempt and generation as well. */
void patch_operation(struct buf *out, const struct guard *g, enum choice_operation operation,
    const struct uid *pod, unsigned attempt, uint64_t generation);
/* spec.hold and spec.stop after HOLD, RELEASE or STOP_*: what they are, and as a patch. */
void patch_held(enum choice_verb verb, const struct bginstance *now, bool *hold, uint8_t *stop);
void patch_hold(struct buf *out, const struct guard *g, bool hold, enum choice_stop stop);
/* raw: a BGDbOps' finalizers as they stand, or empty. Ours is added or taken out. */
void patch_dbops_finalizers(
    struct buf *out, const struct guard *g, struct str raw, bool add, struct arena *a);
/* cancel of the task in that slot of a BGInstance.spec */
void patch_cancel(struct buf *out, const struct guard *g, unsigned slot);
/* What a claim asks for. */
void patch_claim_size(struct buf *out, const struct guard *g, struct str size);
/* j: the BGInstance; its other conditions are kept. now: RFC 3339 */
void patch_unreachable(
    struct buf *out, const struct guard *g, const struct json *j, const char *now);

/* ============ Steps (executor_step.c, executor_send.c) ============ */
struct executor;
struct step;
/*
 * What a step does to the world: executor.c fills it with kube_send and the edge, a test with what
 * listens in.
 */
struct executor_io {
	void (*send)(struct kube *k, const struct kube_request *r,
	    void (*done)(void *arg, const struct kube_reply *), void *arg);
	/* False: no room; executor_flush when there is. */
	bool (*report)(struct executor *x, const struct ipc_msg *m);
	void (*breach)(struct executor *x, const char *text);
	void (*pause)(struct executor *x, bool pause); /* reading steps */
	void (*drained)(struct executor *x);           /* stopping, and no step is left */
};
enum step_phase { STEP_FREE, STEP_RUNNING, STEP_REPORTING };
typedef void step_next(struct step *s, const struct kube_reply *r);
struct step {
	struct executor *x;
	enum step_phase phase;
	bool mute; /* its reconciler is gone: it ends with the request in flight and tells nobody */
	/* STEP_STATUS, STEP_EVENT and STEP_DBOPS as well, as far as they have the fields. */
	struct msg_step req;
	union { /* what else those say: by req.verb */
		struct msg_step_status status;
		struct msg_step_event event;
		struct msg_step_dbops op;
	};
	const struct policy_row *row;
	struct arena arena;
	step_next *next; /* who takes the reply in flight */
	struct {
		enum kube_method method;
		const char *what; /* kind, for texts */
		char name[NAME_MAX_OBJECT + 1];
	} sent;

	/* The user's object, as the step's own GET found it. */
	struct json json; /* only until the verb's first request */
	struct bgcluster cluster;
	bool has_spec; /* false: `invalid` says why */
	struct err invalid;

	/* What a verb remembers from one reply to the next. */
	char name[NAME_MAX_OBJECT + 1]; /* of what it acts on */
	struct anchor_view anchor;
	char anchor_name[NAME_MAX_LABEL + 1];
	void (*then)(struct step *s); /* who needs the anchor */
	uint32_t led_on;              /* on which timeline s->name, a BGInstance, was primary */
	bool posted;
	struct { /* TEMPLATE, RESTORE_TEMPLATE: which templates the Ready pods are made from */
		unsigned n;
		uint64_t inputs[INSTANCES_MAX];
	} serving;
	struct guard statefulset;
	bool data_found; /* volumes without an anchor */
	struct {
		unsigned at, n;
		struct {
			struct uid uid;
			unsigned ordinal;
			enum claim claim;
		} of[CLAIMS * INSTANCES_MAX];
	} pvcs;
	enum claim claim;               /* which of an instance's two is looked at */
	bool data_pending;              /* OBSERVE_POD: `done` has a text about PGDATA's claim */
	struct msg_step_done data_done; /* EXPAND_PVC: what became of PGDATA's */
	/* DBOPS_*: the BGDbOps, as the step's own GET found it and its writes left it. */
	struct bgdbops dbops;
	int64_t dbops_created; /* its creationTimestamp */
	struct str finalizers;
	struct str ending;         /* the patch of the status that ends its run */
	struct guard instance;     /* the BGInstance that is told */
	bool claimed, told, fresh; /* fresh: a run begins */
	unsigned slot;             /* where the BGInstance is told its task */
	unsigned configmap;
	bool volume_fits; /* although its claim asks for less */
	struct guard volume;

	struct msg_step_done done;
};
struct executor {
	const struct executor_io *io;
	struct kube *kube;
	void *arg; /* of io's functions: the worker */
	struct str image, pull_policy;
	char (*namespaces)[64];
	unsigned namespaces_n;
	bool paused, hostile, stopping;
	char no_token[IPC_TEXT_MAX + 1]; /* why there is none; empty = there is, or it comes */
	struct step steps[STEPS_IN_FLIGHT];
};
void executor_init(struct executor *x);
/* STEP, STEP_STATUS, STEP_EVENT from the reconciler's edge, as they came. */
void executor_take(struct executor *x, const struct ipc_msg *m);
void executor_flush(struct executor *x); /* room on the edge */
/* Forgets what has not begun; what is in flight ends unheard. */
void executor_edge_lost(struct executor *x);
void executor_edge_new(struct executor *x);
void executor_stop(struct executor *x);
unsigned executor_busy(const struct executor *x); /* steps under way */

/*
 * For the verbs. Every handler ends with exactly one of these: a request (its reply goes to next,
 * only if the step is still wanted) or an end. body is wiped and freed; NULL = none.
 */
void step_get(struct step *s, enum kind k, const char *name, step_next *next);
void step_get_namespace(struct step *s, step_next *next);
void step_list(struct step *s, enum kind k, step_next *next, const char *query, ...)
    __attribute__((format(printf, 4, 5))); /* query: percent-encoded */
/* By our label, LIST_PAGE at most. */
void step_list_cluster(struct step *s, enum kind k, step_next *next);
void step_post(
    struct step *s, enum kind k, const char *name, bool dry_run, struct buf *body, step_next *next);
void step_patch(struct step *s, enum kind k, const char *name, const char *sub, struct buf *body,
    step_next *next);
/* Likewise, a rendered merge patch without a guard, which is added; if it can not be, the end. */
void step_patch_guarded(struct step *s, enum kind k, const char *name, const char *sub,
    const struct guard *g, struct buf *patch, step_next *next);
void step_delete(struct step *s, enum kind k, const char *name, const struct guard *g,
    const char *propagation, step_next *next);
void step_end(struct step *s, enum choice_step_code code, enum choice_reason reason,
    const char *fmt, ...) __attribute__((format(printf, 4, 5)));
void step_end_done(struct step *s);                         /* DONE, with what s->done says */
void step_end_err(struct step *s, const struct err *e);     /* of ours: a parser's, a renderer's */
void step_fail(struct step *s, const struct kube_reply *r); /* of a reply that no handler expects */

/*
 * Is this what the user has to mend: a 403 that is no want of rights, a 422 that is not about
 * another object of that name? Then message is what the API server says.
 */
bool step_refused(struct step *s, const struct kube_reply *r, const char **message);

/* For kube_request's callback: hands the reply to s->next, unless nobody waits for it any more. */
void step_replied_to(void *arg, const struct kube_reply *r);
bool step_replied(const struct kube_reply *r, int status);
bool step_ok(const struct kube_reply *r); /* 2xx */
/*
 * A BGCluster into j. What is past a parser's bounds is the user's doing, and of its outline a
 * condition can be said: then j is that, and limit says which bound. -1: e says why not even so.
 */
int step_parse_cluster(
    struct step *s, struct str body, struct json *j, struct err *limit, struct err *e);
/* Into s->cluster and s->json. -1: it is not the BGCluster s->req.name. executor_step.c */
int step_decode_cluster(struct step *s, struct str body, struct err *e);
/* True for a 2xx with a body that parses (into j); else the step has ended. */
bool step_parse(struct step *s, const struct kube_reply *r, struct json *j);
/* Likewise, for the object of that name. */
bool step_parse_object(struct step *s, const struct kube_reply *r, const char *name, struct json *j,
    struct object_meta *m);
/* Likewise, for a claim; one that is not there ends the step as DONE. executor_look.c */
bool step_parse_pvc(struct step *s, const struct kube_reply *r, struct pvc_view *p);
void step_saw(struct step *s, const struct object_meta *m); /* STEP_DONE will say so */
/*
 * One object after the other out of a LIST's body; false: the step has ended. on_item never fails:
 * it returns 0.
 */
bool step_items(struct step *s, const struct kube_reply *r,
    int (*on_item)(void *arg, const struct feed_item *i), void *arg);
/*
 * Ours by label and owner annotation: this cluster's, or that of an earlier one of its name, which
 * is gone.
 */
bool step_owns(const struct step *s, const struct object_meta *m);
void step_end_foreign(struct step *s, enum kind k, const char *name);

/* ============ Verbs ============ */
void verb_ensure(struct step *s); /* executor_ensure.c */
/* What ENSURE and TEMPLATE share: */
bool ensure_may_patch(struct step *s, const struct object_meta *m); /* false: the step has ended */
bool ensure_render(struct step *s, bool hold, struct str seen, struct buf *out); /* likewise */
void ensure_patch(struct step *s, int changed, struct buf *body, const struct err *e);
void ensure_written(struct step *s, const struct kube_reply *r);
/* executor_template.c: TEMPLATE, TRY_TEMPLATE, RESTORE_TEMPLATE */
void verb_template(struct step *s);
void verb_ensure_anchor(struct step *s); /* executor_anchor.c */
void verb_destroy_anchor(struct step *s);
/* The anchor, if it is this cluster's, remembers that the BGInstance s->name led; then goes on. */
void verb_record_primary(struct step *s, uint32_t timeline, void (*then)(struct step *s));
/*
 * GETs the anchor, which this cluster must have made or adopted and nobody destroys; then goes on
 * with then(s).
 */
void verb_with_anchor(struct step *s, void (*then)(struct step *s));
/*
 * GETs the anchor, which this very cluster must have marked `destroying`: the commit point of
 * deleting data.
 */
void verb_after_commit(struct step *s, void (*then)(struct step *s));
void verb_ensure_secret(struct step *s); /* executor_secret.c */
/* The kept data of an earlier BGCluster has its own database and owner, which the anchor knows. */
bool verb_names_differ(const struct step *s);
void verb_probe_secret(struct step *s, enum child c, step_next *next);
void verb_delete(struct step *s);             /* executor_delete.c: DELETE */
void verb_orphan_statefulset(struct step *s); /* likewise */
void verb_replace_pod(struct step *s);
void verb_replace_pvc(struct step *s);
void verb_delete_pvc(struct step *s);
void verb_expand_pvc(struct step *s);  /* executor_volume.c */
void verb_delete_pvcs(struct step *s); /* executor_purge.c */
void verb_delete_configmaps(struct step *s);
void verb_observe_pod(struct step *s); /* executor_look.c */
void verb_observe_pods(struct step *s);
void verb_observe_pvc(struct step *s);
void verb_observe_namespace(struct step *s);
/* Events about one object; filter: percent-encoded. Likewise executor_look.c. */
void events_list(struct step *s, const struct uid *about, const char *filter, step_next *next);
/* The newest whose message holds needle (NULL: any); empty = none. False: the step has ended. */
bool events_newest(
    struct step *s, const struct kube_reply *r, const char *needle, struct event_view *out);
void verb_finalizer(struct step *s); /* executor_write.c: ADD_ and REMOVE_FINALIZER */
void verb_hold(struct step *s);      /* HOLD, RELEASE, STOP_PATRONI, STOP_POSTGRESQL */
void verb_unreachable(struct step *s);
void verb_operate(struct step *s);
/* False: the step has ended. Both of the BGInstance s->name. */
bool step_parse_instance(
    struct step *s, const struct kube_reply *r, struct json *j, struct bginstance *i);
bool step_is_targets(struct step *s, const struct bginstance *i);
/* Its pod was told an operation, and has not ended it. */
bool step_is_operating(const struct bginstance *i);
void dbops_begin(struct step *s); /* executor_dbops.c: GETs the BGDbOps, then its verb */
void verb_dbops_tell(struct step *s);
void dbops_write_status(
    struct step *s, const struct dbops_status *status, void (*then)(struct step *s));
/* A restart or reload: it goes from server to server. */
bool dbops_does_servers(const struct bgdbops *d);
/* st->instances and .percent with that server, if any; how many have succeeded. */
unsigned dbops_put_servers(
    struct step *s, struct dbops_status *st, const struct dbops_server *server);
void dbops_write_finalizer(struct step *s, bool add, void (*then)(struct step *s));
void dbops_end_with_event(
    struct step *s, enum choice_event_type type, const char *why, struct str text);
void dbops_end_run(struct step *s, const struct dbops_status *status, struct str text);
void verb_dbops_say(struct step *s);    /* executor_dbops_say.c */
void verb_dbops_report(struct step *s); /* PROGRESS, NEXT, RETRY, FINISH, CLEANED */
void verb_dbops_cancel(struct step *s);
void verb_dbops_release(struct step *s);
void verb_dbops_delete(struct step *s);
void verb_status(struct step *s);
void verb_event(struct step *s);
/* A new Event's name, about the object of that name, and its time: RFC 3339 with microseconds. */
struct event_id {
	char name[NAME_MAX_OBJECT + 1], micro[28];
};
struct event_id event_id(const struct step *s, const char *about);
void event_note(const struct step *s, const struct kube_reply *r, enum kind k, const char *about);
/* The step is done, whatever came of its Event. k and about: what that tells of. */
void event_end(struct step *s, const struct kube_reply *r, enum kind k, const char *about);

#endif
