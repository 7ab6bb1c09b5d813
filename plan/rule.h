/*
 * What the files of plan/ share and nobody else includes: what a rule is given, what it answers,
 * and the questions rules ask.
 */
#ifndef PLAN_RULE_H
#define PLAN_RULE_H

#include "plan/plan.h"

/* Times, in milliseconds. */
#define UNREADY_MS 2000    /* pods that are not ready for less are not looked at */
#define LOOK_FIRST_MS 2000 /* then twice that each time */
#define LOOK_MAX_MS 30000
#define LOOK_FRESH_MS 1000         /* nothing is replaced on older knowledge */
#define RESTART_HEARD_MS 15000     /* from Patroni's loop to a report */
#define REPLACED_MS 20000          /* so long a pod that we replace may take to be back */
#define NAMESPACE_MS 10000         /* how often a cluster that loses pods asks for its namespace */
#define NAMESPACE_LOST_MS 1000     /* and one that is left alone, after it has lost more */
#define NAMESPACE_SHARED_MS 500    /* within this one asks for all */
#define NAMESPACE_DELETING_MS 5000 /* and one that is being deleted */
#define REST_MS 120000 /* so long a deletion waits for what does not stop */
#define DELETION_STALLED_MS 180000 /* so long it may take without a word, or as its pods may */
/* So long a rolling change is halted before the last good template is written back: */
#define HALTED_MS 10000         /* by what does not pass by itself */
#define HALTED_SLOW_MS 300000   /* by who only takes its time */
#define STATUS_MS 3000             /* between two writes of status, unless Ready changes */
#define STATUS_TEXT_MS 15000       /* or nothing but texts that only go on counting */
#define STATUS_ROLL_MS 30000       /* and while instances are replaced or restarted in turn */
#define STATUS_FIRST_MS 1000       /* so long at most a new cluster is built without a word */
#define STATUS_AGAIN_MS 60000      /* the same status twice: someone undid it */
#define PODS_FIRST_MS 500          /* while pods end */
#define PODS_MAX_MS 5000
#define ORPHAN_LOOKS 4 /* so often pods were seen without a StatefulSet before each is looked at */
#define EXPAND_FIRST_MS 2000 /* between two looks at a volume that grows, then twice that */
#define EXPAND_MAX_MS 300000
#define SETTLE_MS 500 /* between two ENSUREs of the same object that both succeeded */
#define SETTLE_WINDOW_MS 10000
#define LEAD_LOOK_MS 5000 /* while all wait for a last primary: are its volumes still there? */
#define AWAITS_MS 60000  /* for the record of what was written: the executor looks itself */
#define WALL_LOOK_S 3600 /* the wall clock may be set: it is looked at this often at least */

enum verdict {
	PASS, /* nothing to do here: the next rule */
	STEP, /* out->sent is due now */
	STOP, /* this must be settled before the rules below, but for what is said */
};

/* What the maintenance windows say now. */
struct window_state {
	bool open;       /* what stops a server may begin; there may be no windows */
	uint8_t bad;     /* 1 + the index of the first one whose time zone is not known; 0 = none */
	int64_t until_s; /* then that changes, as far as is known; INT64_MAX = never */
};

struct plan_at {
	const struct plan_cluster *c;
	const struct plan_world *w;
	struct plan_step *out;
	bool said; /* the stored status is what it should be; out->status holds it */
	struct window_state window;
	uint8_t primary;              /* ordinal + 1 of out->status.primary; 0 = none */
	uint64_t owner;               /* model_uid_key of the BGCluster */
	uint64_t wanted[CHILD_COUNT]; /* plan_inputs_key of each child as it should be */
};

/* What is the matter with one child? In the order in which it is found out. */
enum plan_is {
	IS_UNSEEN, /* its list is not complete */
	IS_MISSING,
	IS_DYING,
	IS_TAKEN, /* of that name, but not ours */
	/* made for another spec, by another renderer, or for an earlier cluster of this name */
	IS_DIFFERENT,
	IS_CHANGED,
	IS_UNVERIFIED,
	IS_SETTLED,
};

/*
 * The rules are rule_...(a): what each is for stands at its row of cluster.c's table. Every ordinal
 * is below c->instances_n.
 */

/* --- cluster.c */
/* STEP, which is this; target: the uid of what it acts on, NULL = none. */
enum verdict rule_step(struct plan_at *a, enum choice_verb verb, enum child child, unsigned ordinal,
    const struct uid *target);
/* Is this attempt to wait? Then the plan is looked at again when it ends. */
bool rule_waits(struct plan_at *a, const struct plan_try *t);
bool rule_waits_until(struct plan_at *a, struct msec t); /* likewise, until then */

/* --- children.c */
void rule_want(struct plan_at *a); /* fills a->owner and a->wanted */
enum plan_is rule_child_is(const struct plan_at *a, enum child child, unsigned ordinal);
const struct plan_child *rule_child(
    const struct plan_cluster *c, enum child child, unsigned ordinal);
bool rule_unwatched(enum child child); /* a Secret or ConfigMap: ensured again and again instead */
unsigned rule_instances(const struct plan_cluster *c); /* that the spec asks for */
unsigned rule_replicas(const struct plan_cluster *c);  /* pods; none while it is hibernated */
enum verdict rule_rights(struct plan_at *a);
enum verdict rule_children(struct plan_at *a);
enum verdict rule_surplus(struct plan_at *a);
enum verdict rule_background(struct plan_at *a);
/*
 * Compares the first child that this life has not; PASS when there is none that may be now. *left
 * says whether there was one.
 */
enum verdict rule_verify(struct plan_at *a, bool *left);

/* --- storage.c */
enum verdict rule_storage(struct plan_at *a);
/* Asks of the volumes that nothing is known of. */
enum verdict rule_ask_volumes(struct plan_at *a);
/* What is the matter with them? */
bool storage_trouble(
    const struct plan_cluster *c, enum choice_reason *reason, char *text, size_t size);

/* --- pods.c */
enum verdict rule_replace(struct plan_at *a);
enum verdict rule_unreachable(struct plan_at *a);
enum verdict rule_look(struct plan_at *a);
enum verdict rule_namespace_lost(struct plan_at *a);
enum verdict rule_look_pod(struct plan_at *a, unsigned ordinal);
enum verdict rule_look_all(struct plan_at *a); /* at pods not looked at in this life */
/*
 * The same before a server is stopped: one that a former life has told to end may still have its
 * last word. PASS: all were, as far as may be.
 */
enum verdict rule_look_first(struct plan_at *a);

/* --- roll.c */
enum verdict rule_roll(struct plan_at *a);
enum verdict rule_restart(struct plan_at *a);
enum verdict rule_retire(struct plan_at *a);
/* The primary, if its ordinal is not among the spec's any more and its pod is there; else n. */
unsigned roll_going_primary(const struct plan_cluster *c);
/* Is this pod made from another template than the spec asks for? */
bool roll_outdated(const struct plan_cluster *c, unsigned ordinal);
/* Is it, or was it just told to end for that? */
bool roll_is_changing(const struct plan_cluster *c, unsigned ordinal);
/* It was told to end, and its last words are still those of a pod that runs. */
bool roll_is_ending(const struct plan_cluster *c, unsigned ordinal);
/* Does a parameter wait for its restart? Does it, or does it restart for that just now? */
bool roll_awaits_restart(const struct plan_cluster *c, unsigned ordinal);
bool roll_is_restarting(const struct plan_cluster *c, unsigned ordinal);
/* A change is to reach it, or its pod was told to end for one. */
bool roll_is_due(const struct plan_cluster *c, unsigned ordinal);
/* Since when its primary waits for one, and who has as well. */
void roll_note_restarts(struct plan_cluster *c, struct msec now);
/* Whether, and when, the leader has written the wanted configuration. */
void roll_note_config(struct plan_cluster *c, struct msec now);
/* So long ago that all instances have taken it up, and have said what follows from it. */
bool roll_config_settled(struct plan_at *a);
/* Another one is wanted. */
void roll_config_changed(struct plan_cluster *c, struct msec now);
/* By `patronictl pause`: Patroni starts no server then, so none may be stopped. */
bool roll_patroni_paused(const struct plan_cluster *c);
bool roll_serves(const struct plan_cluster *c, unsigned ordinal); /* and is not busy or ending */
/* It does, or would but for want of a synchronous standby. */
bool roll_holds_out(const struct plan_cluster *c, unsigned ordinal);
bool roll_is_busy(const struct plan_cluster *c, unsigned ordinal);
/* A pod that ends or is about to, or an operation of ours: a rolling change goes on. */
bool roll_goes_on(struct plan_at *a);
/* "waits for ...; ": for a window, or for what runs on whom it would stop next; or nothing. */
#define ROLL_WAIT_SIZE (3 * NAME_MAX_LABEL)
void roll_put_wait(const struct plan_at *a, char out[ROLL_WAIT_SIZE]);

/* --- gist.c */
bool status_is_rolling(const struct plan_at *a); /* pods are replaced, servers restarted */
bool status_has_rolled(const struct plan_at *a); /* or were a moment ago */
/* Equal: nothing but texts differ that nobody has to act on. */
uint64_t status_gist(const struct plan_at *a, const struct plan_status *s);
/* When that in a->out may be written; ready: what it says. */
struct msec status_due(const struct plan_at *a, bool ready);

/* --- template.c */
/* Where there is nothing to wait for. */
enum verdict rule_template(struct plan_at *a);
/* Are pods made from another template than the spec asks for? */
bool template_is_due(const struct plan_cluster *c);
enum verdict template_write(struct plan_at *a);
/* While a rolling change is halted, who is lost comes back as others serve. */
enum verdict rule_restore(struct plan_at *a);
void template_note_halt(struct plan_cluster *c, struct msec now);
/*
 * An instance with the newest template does not serve, for all that is known, and who is lost comes
 * back with the last good one, or others serve with that: as long as it is there nothing goes on.
 */
bool template_may_be_halted(const struct plan_cluster *c);

/* --- reinit.c */
enum verdict rule_reinit(struct plan_at *a);
bool reinit_has_failed(const struct plan_cluster *c, unsigned ordinal); /* too often */
/* Whose Event about kept foreign data is due; rule_instances = nobody's. */
unsigned reinit_kept(const struct plan_cluster *c);
void reinit_kept_told(struct plan_cluster *c);

/* --- rest.c */
enum verdict rule_rest(struct plan_at *a);
enum verdict rule_rest_to_delete(struct plan_at *a);
enum verdict rule_release(struct plan_at *a);
/* Before a StatefulSet is made or woken: HOLD, if need be, for the next one that is not held. */
enum verdict rest_hold(struct plan_at *a);
bool rest_is_wanted(const struct plan_cluster *c, unsigned ordinal);
bool rest_is_complete(const struct plan_cluster *c); /* nothing runs, as far as is known */
bool rest_has_no_pods(const struct plan_cluster *c); /* the StatefulSet is at 0 */
/* Does any wait for our word, or do all? */
bool rest_is_any(const struct plan_cluster *c);
/* Whose data is the newest? The lowest ordinal of several; instances_n: there is none. */
unsigned rest_furthest(const struct plan_cluster *c);
/* Who was, or is, primary on the highest timeline? instances_n: not known. */
unsigned rest_last_primary(const struct plan_cluster *c);
/* It waits for our word; but what is held may run, if its StatefulSet was made anew. */
bool rest_is_down(const struct plan_instance *p);
bool rest_has_stopped(const struct plan_instance *p); /* and what it says of itself holds */
/* Who is to start next, once all that wait have reported; instances_n = nobody. */
unsigned rest_first(const struct plan_cluster *c);

/* --- lead.c */
/* Whose data is newer? 1: i's, -1: k's, 0: that is not known. */
int lead_compare(const struct plan_cluster *c, unsigned i, unsigned k);
bool lead_was_primary(const struct plan_cluster *c, unsigned ordinal);
enum lead_lack {
	LEAD_FREE,        /* who is first may lead */
	LEAD_BEYOND,      /* who led last is not among the instances, but its volume is there */
	LEAD_VOLUME_GONE, /* its data is not there any more */
	LEAD_UNKNOWN,     /* who led last is not known, and there are more volumes */
	LEAD_FENCED,      /* a fenced one has newer data, or has not said which */
};
/* Why may nobody start to lead? who, unless NULL: because of which ordinal. */
enum lead_lack lead_lacks(const struct plan_cluster *c, unsigned *who);
bool lead_put_text(const struct plan_cluster *c, char *out, size_t size); /* false: LEAD_FREE */

/* --- window.c */
void window_look(const struct windows *windows, int64_t unix_s, struct window_state *out);
void window_look_again(struct plan_at *a); /* when one opens or closes */
/* "waits for the maintenance window of 2026-11-28T01:00Z; ", or "" where none is waited for. */
#define WINDOW_TEXT_SIZE 64
void window_put_text(const struct plan_at *a, char out[WINDOW_TEXT_SIZE]);

/*
 * --- dbops.c: begin; dbops_turn.c, dbops_slot.c: beside which; dbops_run.c: what has begun
 */
enum verdict rule_dbops(struct plan_at *a);
/*
 * Since when the leader has taken up the BGCluster's present spec, and all instances report; or
 * since when not.
 */
void dbops_note_config(struct plan_cluster *c, struct msec now);
/*
 * One of them stops servers, moves the leadership or locks tables: a rolling change waits for it.
 */
bool dbops_disrupts(const struct plan_cluster *c);
/* The same, but for who waits until an instance serves, which this may bring about. */
bool dbops_holds_up(struct plan_at *a);
bool dbops_lets_mend(struct plan_at *a, const struct plan_dbops *d);
/* That instance does for one of them what spec.operation says. */
bool dbops_holds(struct plan_at *a, unsigned ordinal);
enum verdict dbops_run(struct plan_at *a, const struct plan_dbops *d);
enum verdict dbops_cancel(struct plan_at *a, const struct plan_dbops *d);
/* PASS: nothing is to be cleaned up; STOP: it goes on. */
enum verdict dbops_clean(struct plan_at *a, const struct plan_dbops *d);
enum verdict dbops_step(struct plan_at *a, const struct plan_dbops *d, enum choice_verb verb);
/*
 * Tells the pod of that instance; the attempt is d's own or, for a new one, the one after it. STOP:
 * it can not be told a task now.
 */
enum verdict dbops_tell(
    struct plan_at *a, const struct plan_dbops *d, unsigned ordinal, bool anew, bool cleanup);
/* text: empty = the pod's own. */
enum verdict dbops_finish(struct plan_at *a, const struct plan_dbops *d,
    enum choice_dbops_phase phase, enum choice_dbops_reason reason, const char *fmt, ...)
    __attribute__((format(printf, 5, 6)));
/* PASS: that is what it says already. */
enum verdict dbops_say(struct plan_at *a, const struct plan_dbops *d, enum choice_dbops_phase phase,
    int64_t next_s, const char *fmt, ...) __attribute__((format(printf, 5, 6)));
/* STEP or STOP: that is said, or was already, and waited for. */
enum verdict dbops_wait(struct plan_at *a, const struct plan_dbops *d,
    enum choice_dbops_phase phase, const char *fmt, ...) __attribute__((format(printf, 4, 5)));
#define WAIT(a, d, ...) dbops_wait(a, d, CHOICE_dbops_phase_WAITING, __VA_ARGS__)
/* PASS: nothing else that is done to its cluster keeps it from beginning. */
enum verdict dbops_await_turn(struct plan_at *a, const struct plan_dbops *d);
/* PASS: no server is about to be stopped while it runs on that one, or it may be repeated. */
enum verdict dbops_await_calm(struct plan_at *a, const struct plan_dbops *d, unsigned ordinal);
/* A script or benchmark runs there, which it would end for good; why says which. */
bool dbops_would_end(const struct plan_cluster *c, const struct plan_dbops *d, unsigned ordinal,
    char *why, size_t size);
/* It is deleted and not ours any more, though somebody else's finalizer keeps it. */
bool dbops_is_let_go(const struct plan_dbops *d);
/* A script or benchmark runs there, or may: what can wait does not stop that server. */
bool dbops_runs_once(struct plan_at *a, unsigned ordinal);
/* "waits for BGDbOps ...": for it; false = nothing of that kind runs there. */
bool dbops_put_once(const struct plan_cluster *c, unsigned ordinal, char *why, size_t size);
/* What we wrote last is not in its record yet. */
bool dbops_awaits(struct plan_at *a, const struct plan_dbops *d);
/* A run that has begun is to be done again: another one has an end. */
bool dbops_is_repeated(const struct plan_dbops *d);
bool dbops_waits_until(struct plan_at *a, int64_t unix_s); /* as rule_waits_until, by the wall */
/* The instance that takes writes; instances_n = none. */
unsigned dbops_leader(const struct plan_cluster *c);
/* Those whose servers come after that one; a bit per ordinal. */
uint32_t dbops_left(const struct plan_cluster *c, const struct plan_dbops *d, unsigned but);
/* Is that server to be restarted or reloaded, and was not yet? */
bool dbops_is_due(const struct plan_cluster *c, const struct plan_dbops *d, unsigned ordinal);
/* Whose server is next; instances_n = none is left. */
unsigned dbops_next_server(const struct plan_cluster *c, const struct plan_dbops *d);
/* That instance can do it beside all else that it does; else why says what d waits for. */
bool dbops_is_free(const struct plan_cluster *c, const struct plan_dbops *d, unsigned ordinal,
    char *why, size_t size);
/* The same of a task, or of the cleanup after one. */
bool dbops_has_slot(const struct plan_cluster *c, const struct plan_dbops *d, unsigned ordinal,
    char *why, size_t size);
/* Some other task's claim may be written, but not in its record yet. */
bool dbops_awaits_task(struct plan_at *a, const struct plan_dbops *but);
/* The slot for d's next task. False: what that instance was told before must end first. */
bool dbops_pick_slot(
    const struct plan_cluster *c, const struct plan_dbops *d, unsigned ordinal, uint8_t *out);
/* What it says of d's present attempt; NULL = it was not told. */
const struct plan_task *dbops_task(const struct plan_report *r, const struct plan_dbops *d);
/* A TELL or CANCEL of d's was done: so will that report say. */
void dbops_note_told(
    struct plan_report *r, const struct plan_dbops *d, const struct plan_sent *sent);
void dbops_note_cancel(struct plan_report *r, const struct plan_dbops *d);
/* "waits for BGDbOps e (vacuum), which runs on demo-0", or for what is not e's. */
void dbops_put_who(
    const struct plan_cluster *c, const struct plan_dbops *e, char *why, size_t size);
void dbops_put_told_before(const struct plan_cluster *c, unsigned ordinal, char *why, size_t size);
/* PASS when every server but that one serves, or is to rest; else what it waits for is said. */
enum verdict dbops_await_serving(
    struct plan_at *a, const struct plan_dbops *d, unsigned but, enum choice_dbops_phase phase);
/* PASS when this may be done to that server now; else what it waits for is said. */
enum verdict dbops_await_others(
    struct plan_at *a, const struct plan_dbops *d, unsigned ordinal, enum choice_dbops_phase phase);
int64_t dbops_next_time(const struct plan_dbops *d, int64_t after_s); /* INT64_MAX = never */

/* --- delete.c */
enum verdict rule_namespace(struct plan_at *a);
enum verdict rule_namespace_held_up(struct plan_at *a);
enum verdict rule_delete_statefulset(struct plan_at *a);
enum verdict rule_await_pods(struct plan_at *a);
enum verdict rule_delete_runtime(struct plan_at *a);
enum verdict rule_destroy_data(struct plan_at *a);
enum verdict rule_remove_finalizer(struct plan_at *a);
/* It takes too long: what it waits for, and what to do. */
bool delete_stalls(struct plan_at *a, char *text, size_t size);

/* --- note.c */
/* Another object of that name: what a record said of the last one does not hold. */
void plan_forget_details(struct plan_cluster *c, enum child child, unsigned ordinal);

/* --- status.c */
/* Is the report the present pod's? */
bool status_current(const struct plan_cluster *c, unsigned ordinal);
bool status_serves(const struct plan_cluster *c, unsigned ordinal); /* as primary or replica */
unsigned status_serving(const struct plan_cluster *c); /* how many of the spec's do */
bool status_led(const struct plan_cluster *c);         /* by an instance that the spec asks for */
void status_make(struct plan_at *a, struct plan_status *out); /* sets a->primary as well */
/* "demo-0, demo-2" of those that is() says; how many. */
unsigned status_list(const struct plan_cluster *c,
    bool (*is)(const struct plan_cluster *c, unsigned i), char *out, size_t size);
bool status_failing(enum choice_reason r); /* a reason that someone must do something about */
enum verdict rule_status(struct plan_at *a);

/* --- event.c */
void event_told(struct plan_cluster *c, const struct plan_sent *sent);
/* Another spec: what is still amiss may be so for another reason. storage: that is another. */
void event_forget_edited(struct plan_cluster *c, bool storage);
/* STEP: an Event tells first what is new in a->out->status, which is due to be written. */
enum verdict event_before_status(struct plan_at *a);
/* The stored status is a->out->status. */
void event_remember(struct plan_cluster *c, const struct plan_at *a);
/* A BGCluster that this life had not seen: what its stored status says was told of. */
void event_recall(struct plan_cluster *c);
enum verdict rule_event(struct plan_at *a);

/*
 * Every attempt of a cluster by number, for the trouble whose text is kept (plan_cluster.trouble).
 */
#define TRY_SELF 0u
#define TRY_CHILD(child) (1u + (unsigned)(child))
#define TRY_INSTANCE(ordinal) (1u + CHILD_COUNT + 2 * (unsigned)(ordinal))
#define TRY_LOOK(ordinal) (TRY_INSTANCE(ordinal) + 1)
/* status.c; NULL past the end */
const struct plan_try *status_try(const struct plan_cluster *c, unsigned i);

#endif
