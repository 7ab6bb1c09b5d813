/*
 * What the files of the executor share, and nobody else includes (their tests apart). executor.c is the worker: edges, slots, the broker.
 * executor_step.c runs one step from the GET of the user's object to STEP_DONE; the other executor_*.c are the verbs, each a chain of
 * functions that hand each other the replies. policy.c and executor_observe.c, executor_patch.c are pure.
 */
#ifndef WORKERS_EXECUTOR_H
#define WORKERS_EXECUTOR_H

#include "ipc/ipc.h"
#include "kube/kube.h"
#include "model/model.h"

/* ============ Policy (policy.c, pure) ============ */
enum verdict {
	ALLOW,
	REFUSE, /* it can originate in a user's object: STEP_DONE DENIED */
	BREACH, /* no plan emits it: the reconciler is killed */
};
enum policy_shape { /* what a message must carry, else BREACH */
	SHAPE_TARGET = 1,
};
enum policy_need { /* what the user's object must be, else REFUSE */
	NEED_SPEC = 1,		/* decodable */
	NEED_LIVE = 2,		/* no deletionTimestamp */
	NEED_DELETING = 4,	/* deletionTimestamp */
	NEED_FINALIZER = 8,	/* ours is on it: what we make will be removed again */
	NEED_POLICY_DELETE = 16, /* deletionPolicy Delete: data may go */
	NEED_MEMBER = 32,	/* ordinal < spec.instances */
	NEED_SURPLUS = 64,	/* ordinal >= spec.instances, or deletionTimestamp */
	NEED_DESTROYING = 128,	/* the anchor was marked by this very cluster: the commit point is passed */
	NEED_CONTENT = 256,	/* nothing in name or spec that would reach what is not the user's */
};
struct policy_row {
	const char *name; /* in texts: "delete instance" */
	uint8_t verb;	  /* CHOICE_verb_* */
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
/* c: the object as it is now; a: scratch. NEED_SPEC and NEED_DESTROYING are not looked at here: the caller knows first. */
void policy_check_object(const struct policy_row *row, const struct msg_step *s, const struct bgcluster *c,
    struct arena *a, struct policy_verdict *v);

/* ============ What replies say (executor_observe.c, pure) ============ */
struct pod_view {
	struct object_meta meta;
	bool ready;
	uint64_t inputs; /* annotation bestgres.io/pod-inputs */
	enum choice_reason reason;
	char text[IPC_TEXT_MAX + 1];
};
struct pvc_view {
	struct object_meta meta;
	bool pending, bound, volume; /* volume: spec.volumeName is set */
	struct str phase, size, class;
};
struct anchor_view {
	struct object_meta meta;
	bool destroying, adopted;
	bool credentials_made, app_made;
	struct uid destroyer;
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
#define ANCHOR_CREDENTIALS "credentialsMade"
#define ANCHOR_APP "appMade"

int observe_pod(const struct json *j, struct arena *a, struct pod_view *out, struct err *e);
int observe_pvc(const struct json *j, struct arena *a, struct pvc_view *out, struct err *e);
int observe_anchor(const struct json *j, struct arena *a, struct anchor_view *out, struct err *e);
bool observe_namespace_terminating(const struct json *j);
/* Keeps the newest event since `since` whose message holds `needle` (NULL: any). */
void observe_event(const struct json *j, int event, const char *needle, const char *since, struct arena *a,
    struct event_view *best);
/* Is the BGInstance's condition Reachable=False, and its role and state empty? */
bool observe_unreachable(const struct json *j, const struct bginstance *i);
/* The volume that cluster has for ordinal: "pgdata-<cluster>-<ordinal>" */
void observe_pvc_name(char out[NAME_MAX_OBJECT + 1], const char *cluster, unsigned ordinal);
/* Which ordinal's volume is this? -1 = none of cluster's. */
int observe_pvc_ordinal(struct str name, const char *cluster);
/* Does the PVC say what the spec asks for? */
bool observe_pvc_matches(const struct pvc_view *p, const struct bgcluster *c);

/* ============ Bodies (executor_patch.c, pure) ============ */
/* What every patch is guarded by: that very object, unchanged since it was read. */
struct guard {
	struct uid uid;
	uint64_t version;
};
void patch_open(struct jw *w, struct buf *out, const struct guard *g); /* {"metadata":{"uid":...,"resourceVersion":... */
/* DeleteOptions; version 0: whatever its version. propagation: "Background" or "Orphan". */
void patch_delete_options(struct buf *out, const struct guard *g, const char *propagation);
/* finalizers: the list as it stands, or JSON_NONE. Ours added or taken out, the others kept. */
int patch_finalizers(struct buf *out, const struct guard *g, const struct json *j, int finalizers, bool add,
    struct arena *a, struct err *e);
/*
 * rendered against seen: 1 = out is a guarded merge patch, 0 = nothing differs, -1 = error. Leaves out what can not be changed in a
 * StatefulSet, and all but metadata of an anchor.
 */
int patch_child(struct buf *out, enum child c, const struct guard *g, struct str rendered, struct str seen,
    struct arena *a, struct err *e);
void patch_anchor_data(struct buf *out, const struct guard *g, const char *key, const char *value); /* NULL = null */
void patch_hold(struct buf *out, const struct guard *g, bool hold);
void patch_unreachable(struct buf *out, const struct guard *g, const struct json *j, const char *now);
/* body plus "metadata": {guard}; body is an object without metadata. */
int patch_with_guard(struct buf *out, const struct guard *g, struct str body, struct arena *a, struct err *e);

/* ============ Steps (executor_step.c) ============ */
struct executor;
struct step;
/* What a step does to the world: executor.c fills it with kube_send and the edge, a test with what listens in. */
struct executor_io {
	void (*send)(struct kube *k, const struct kube_request *r, void (*done)(void *, const struct kube_reply *), void *arg);
	bool (*report)(struct executor *x, const struct ipc_msg *m); /* false: no room now, executor_flush is called later */
	void (*breach)(struct executor *x, const char *text);
	void (*pause)(struct executor *x, bool pause); /* reading steps */
	void (*drained)(struct executor *x);	       /* no step is left; may be NULL */
};
enum step_phase { STEP_FREE, STEP_RUNNING, STEP_REPORTING };
typedef void step_next(struct step *s, const struct kube_reply *r);
struct pvc_target {
	unsigned ordinal;
	struct uid uid;
};
struct step {
	struct executor *x;
	enum step_phase phase;
	bool mute;	   /* its reconciler is gone: it ends with the request in flight, and tells nobody */
	struct msg_step req; /* STEP_STATUS and STEP_EVENT as well, as far as they have the fields */
	union {
		struct msg_step_status status;
		struct msg_step_event event;
	};
	const struct policy_row *row;
	struct arena arena;
	step_next *next; /* who takes the reply in flight */

	/* The user's object, as the step's own GET found it. */
	struct bgcluster cluster;
	struct guard guard;	   /* of it */
	struct str json;	   /* its text, in arena */
	uint64_t status_hash;
	bool has_spec;		   /* false: `invalid` says why */
	struct err invalid;

	/* What a verb remembers from one reply to the next. */
	const struct kube_reply *reply;	/* inside a handler only */
	char name[NAME_MAX_OBJECT + 1]; /* of the child */
	enum kind kind;			/* likewise */
	struct anchor_view anchor;
	bool posted;
	unsigned index; /* in what is gone through one by one */
	struct pvc_target pvcs[INSTANCES_MAX];
	unsigned pvcs_n;

	struct msg_step_done done;
};
