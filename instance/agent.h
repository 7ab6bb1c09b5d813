/*
 * agent: the one process in the pod that talks to the API server and to Patroni's REST API;
 * sandboxed. agent.c its start, init and pgctl; agent_api.c what it reads and writes in Kubernetes;
 * agent_spec.c the BGCluster on its way to pgctl, agent_default.c what it leaves open;
 * agent_patroni.c the polls and the switchover; agent_config.c Patroni's dynamic configuration;
 * agent_stale.c a bootstrap that died; agent_operate.c what the operator tells it to do once,
 * agent_task.c what it tells PostgreSQL's programs to; agent_reinit.c a replica that can not
 * follow; agent_stop.c a stop. view.c, report.c, stale.c, proof.c, follow.c and dynamic.c hold what
 * is pure.
 */
#ifndef INSTANCE_AGENT_H
#define INSTANCE_AGENT_H

#include <ev.h>

#include "instance/child.h"
#include "instance/dynamic.h"
#include "instance/view.h"

/* Applying the dynamic configuration: a look, and a write if something differs. */
struct config_job {
	bool busy;
	uint64_t generation;
	struct uid cluster;
	struct arena arena;
	struct buf wanted, keys, merged;
	struct msec next; /* not before */
	int64_t wait_ms;
	uint64_t applied; /* generation, of the cluster applied_uid */
	struct uid applied_uid;
};

/* Writing one's own objects: one request at a time for each, the next one not before. */
struct writer {
	bool busy;
	struct msec next, differs_since; /* differs_since.v 0 = does not differ */
	int64_t wait_ms;
};

/* Taking back an `initialize` whose bootstrap died: one request after the other. */
struct stale_job {
	bool busy;
	unsigned ordinal; /* whose turn it is */
	struct uid pod;   /* of that instance's report */
	char version[24]; /* of the ConfigMap that has said so since then; empty = it has not */
	struct msec since, next;
};

/*
 * What the operator told this pod to do once, by way of Patroni. It is noted in status when it has
 * ended, and before it begins unless that makes no difference (agent_operate.c says for which).
 */
struct operate_job {
	char id[UID_TEXT_SIZE]; /* empty: nothing yet */
	char candidate[NAME_MAX_LABEL + 1];
	uint8_t kind, phase; /* choices operation, operation_phase */
	bool begun, posted;  /* by this agent; and Patroni was asked */
	bool led;            /* this instance was the primary when it began */
	bool resumed;        /* a former agent of this pod had noted it */
	bool automatic;      /* no BGDbOps asks for it: while there is need for it */
	unsigned number;     /* of the operation, in this agent's life */
	unsigned polls;      /* how many there were when it came */
	unsigned seen_at;    /* the poll that shows what has come of it */
	struct msec came;    /* it was told to this agent */
	struct msec next;    /* not before */
	struct msec until;   /* who leads by then shows what came of it; 0 = not asked yet */
	struct msec down;    /* since then this primary takes no connections; 0 = it does */
	uint32_t outage_ms;
	char server[48]; /* RESTART: when the one was started for which Patroni was asked */
	char text[IPC_TEXT_MAX + 1]; /* while it runs: what its kind notes */
};

/*
 * What the operator told this pod to have PostgreSQL's programs do, in one slot. Noted in status
 * before pgctl is told.
 */
struct task_job {
	struct agent *agent;
	uint8_t slot;
	char id[UID_TEXT_SIZE]; /* empty: nothing yet */
	unsigned number;        /* of the task, in this agent's life */
	struct msg_task head;
	unsigned names_n;
	struct msg_task_name names[TASK_DATABASES_MAX + TASK_TABLES_MAX];
	char script_map[NAME_MAX_OBJECT + 1], script_key[NAME_MAX_OBJECT + 1];
	int script_fd; /* -1 = none */
	bool listing;  /* a request for the script is under way, for task number listed */
	unsigned listed, script_tries;
	struct msec script_next;
	size_t at;          /* of the messages that hand it over */
	bool handed, begun; /* to this pgctl; perhaps, by whomever */
	bool cancel, cancel_told;
	struct msg_task_state state; /* what status is to say */
};

/* Operation Reinit, as far as this agent has come with it. */
struct reinit_job {
	char id[UID_TEXT_SIZE]; /* operate_job's, for which this is */
	bool busy;              /* a request is under way */
	struct msec begun, next;
	uint64_t identifier; /* of the cluster's data */
	struct proof proof;
	bool proven, told, renewed; /* another leads; init was told; PGDATA has given way */
	struct msec proven_at, told_at, renewed_at;
	char text[IPC_TEXT_MAX + 1];
};

/* How long our pod has, once init was told to stop: by which of its stop_signals. */
struct agent_ending {
	bool busy, waits; /* waits: the handing-on does, for the answer */
	uint32_t asked, known;
	struct msec next; /* not before */
};

struct agent {
	struct self self;
	const char *cluster, *namespace, *pod, *pod_uid, *pod_inputs;
	struct kube *api, *rest;
	ev_timer tick, token_timer, poll_timer; /* poll_timer: runs out at poll_next */
	struct msec now;                        /* of the tick or event under way */

	/* From init and pgctl. */
	struct msg_pod_state state;
	struct msg_disk disk;
	struct msg_spec_checked checked;
	struct msg_bootstrap_done bootstrap;
	bool state_known, disk_known, checked_known, password_known;
	bool bootstrap_asked, bootstrapped;
	struct msec bootstrap_next;
	int told;      /* choice stop: what init was told is wanted; -1 = nothing yet */
	bool released; /* told NONE: Patroni may start */

	/* The cluster: the last object that could be read. */
	struct arena spec_arena[2];
	unsigned spec_at;
	struct bgcluster *spec;   /* NULL = none yet */
	uint64_t spec_generation; /* the first one with this content of ours, in our life */
	uint64_t spec_newest;     /* the newest one, of whatever content */
	bool paused;              /* by the annotation: its configuration is left alone */
	bool cluster_named, cluster_gone;
	bool spec_bad; /* a newer one can not be used; why is in spec_text */
	char spec_text[IPC_TEXT_MAX + 1];
	size_t send_at; /* of the messages that hand it to pgctl; SIZE_MAX = done */

	/* Our BGInstance. */
	bool instance_named, instance_known, hold;
	uint8_t stop;  /* choice stop */
	bool adopting; /* it was held or rested, and PostgreSQL has not run since */
	struct uid instance_uid;
	uint64_t instance_version;
	struct report stored, sent;
	struct report_age age; /* of what stored does not say */
	struct msec slots_next; /* not before is a word of more slots than one tried again */
	struct writer status;
	struct operate_job operate;
	struct task_job task[TASKS_MAX];

	/* Our pod's label. */
	bool label_known, label_asked, label_is;
	bool began; /* it was seen from what this pod begins */
	struct reads reads;
	struct writer label;

	/* Patroni. */
	struct view view;
	bool polling;
	unsigned polls;
	struct msec poll_next, leaderless_since;
	struct config_job config;
	struct stale_job stale;
	struct reinit_job reinit;
	struct follow_track follow;
	struct clone_tries clones;
	struct start_track starts;
	struct msec follow_next, identifier_next;
	uint64_t cluster_identifier; /* looked up while Patroni does not run; 0 = not known */
	bool switching, woken;       /* woken: Patroni, since it leads */
	struct agent_ending ending;
};

/* agent.c */
void agent_look(struct agent *a); /* does whatever is due now; call after every event */
const struct bgcluster *agent_spec(const struct agent *a); /* the last usable one, or NULL */
bool agent_leads(const struct agent *a);
bool agent_wants_sync(const struct agent *a); /* synchronous replication, and replicas to be had */
/* Is this instance not among the spec's any more? Then whoever leads next must be. */
bool agent_must_leave(const struct agent *a);
void agent_tell_seen(struct agent *a, bool answered);

/* agent_default.c: parameters that the user did not give. On no memory none are added. */
void spec_default(struct bgcluster *c, struct arena *a);

/* agent_spec.c */
/* Can it be handed over? -1: text says why not. */
int spec_usable(const struct bgcluster *c, char text[IPC_TEXT_MAX + 1]);
void spec_send(struct agent *a);  /* goes on where it stopped */
void spec_wanted(const struct bgcluster *c, struct dynamic_wanted *out);

/* agent_api.c */
void api_start(struct agent *a);
void api_look(struct agent *a); /* status and label, if due */
/* GETs an object of our namespace; done's arg is a. */
void api_get(struct agent *a, enum kind kind, const char *name,
    void (*done)(void *arg, const struct kube_reply *));
/* Is it a 200 with a body that parses? That is in j then; into is emptied first. */
bool api_parse(const struct kube_reply *r, struct arena *into, struct json *j);

/* agent_stop.c */
void agent_stop_look(struct agent *a);       /* init is told how long the pod has */
void agent_stop_switchover(struct agent *a); /* at init's wish */

/* agent_patroni.c */
void patroni_look(struct agent *a);       /* poll, if due */
void patroni_wake(struct agent *a);       /* once, when it has come to lead */
/*
 * POST /switchover, away from this pod; candidate: empty or NULL = to whom it suits. Patroni itself
 * refuses when no replica is fit.
 */
void patroni_post_switchover(struct agent *a, const char *candidate,
    void (*done)(struct agent *a, int status, struct str text)); /* status 0: no answer */
/*
 * One at a time: false if another is under way. status 0: no answer. /restart answers when
 * PostgreSQL is up.
 */
bool patroni_post(struct agent *a, const char *path, struct str body, int timeout_ms,
    void (*done)(struct agent *a, int status, struct str text));

/* agent_operate.c */
/* Of our BGInstance: spec.operation, and what status says of it. */
void operate_take(struct agent *a, const struct bginstance *i);
void operate_look(struct agent *a);
bool operate_is_quiet(const struct agent *a); /* its end, and what has come of it, are one write */
void operate_edge_new(struct agent *a);
void operate_accepts(struct agent *a, bool accepts);
bool operate_eager(const struct agent *a); /* it waits for a look at the cluster */
void operate_checkpointed(struct agent *a, const struct msg_checkpoint_done *m);

/* So it ended. */
void operate_finish(struct agent *a, enum choice_operation_phase phase, struct str text);

/* agent_reinit.c */
void reinit_find(struct agent *a); /* can this replica follow? */
void reinit_followed(struct agent *a, const struct msg_followed *m);
void reinit_renewed(struct agent *a, const struct msg_renew_done *m);
void reinit_look(struct agent *a); /* operation Reinit goes on */
bool reinit_is_told(const struct agent *a); /* init is at it, and has not answered */
void reinit_report(const struct agent *a, struct report_input *in);

/* agent_task.c */
void agent_task_init(struct agent *a);
/* Of every slot. anew: i is another object than the one before, or the first one. */
void agent_task_take(struct agent *a, const struct bginstance *i, bool anew);
void agent_task_state_from(const struct bginstance_task *t, struct msg_task_state *s);
void agent_task_look(struct agent *a);
void agent_task_edge_new(struct agent *a);
void agent_task_said(struct agent *a, const struct msg_task_state *m);

/* agent_config.c */
void config_look(struct agent *a);

/* agent_stale.c */
void stale_look(struct agent *a);

#endif
