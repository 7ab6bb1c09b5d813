/*
 * instance: PID 1 of a database pod and its two helpers. init.c holds the lock, starts and fences
 * Patroni; agent.c talks to the API and to Patroni's REST API; pgctl.c runs PostgreSQL's tools.
 * Nobody outside includes this room. Here stand the places they agree on and the pure machines
 * (time is a parameter, no I/O); agent.h, pgctl.h and init.h are the programs' own.
 */
#ifndef INSTANCE_INSTANCE_H
#define INSTANCE_INSTANCE_H

#include "ipc/ipc.h"

/* Places in the pod (objects/pod.c mounts them). */
#define PGDATA_MOUNT "/pgdata"
#define PGDATA_DIR "/pgdata/data"
#define PGWAL_MOUNT "/pgwal" /* only with spec.walStorage: the environment has BESTGRES_WAL */
#define LOCK_PATH "/pgdata/.bestgres.lock"
#define WORK_DIR "/run/bestgres" /* an emptyDir: outlives a container, not the pod */
#define WATCHDOG_PATH WORK_DIR "/watchdog"
#define FENCES_PATH WORK_DIR "/fences"
#define RENEWED_PATH WORK_DIR "/renewed" /* which renewal was done last in this pod */
#define CONFIG_PATH WORK_DIR "/patroni.yml"
#define PGPASS_PATH WORK_DIR "/pgpass"           /* Patroni's */
#define PSQL_PASS_PATH WORK_DIR "/psql.pass"     /* pgctl's */
#define FOLLOW_PASS_PATH WORK_DIR "/follow.pass" /* pgctl's, for the leader's server */
#define TASK_PASS_PATH WORK_DIR "/task.pass"     /* a task's: the superuser's */
#define SCRIPT_PASS_PATH WORK_DIR "/script.pass" /* a script's: of whom it runs as */
#define CHECK_DIR WORK_DIR "/check"
#define SOCKET_DIR "/run/postgresql"
#define CREDENTIALS_DIR "/bestgres/credentials"
#define APP_DIR "/bestgres/app"
#define TERMINATION_LOG "/dev/termination-log"
#define TOKEN_DIR "/var/run/secrets/kubernetes.io/serviceaccount"
#define DEFAULT_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

#define INSTANCE_FD_LOCK (IPC_FD_EDGE + ROLE_INIT) /* agent and pgctl: a duplicate of the lock */
#define EXIT_FENCED 137                            /* as after SIGKILL: nothing else ends so here */
#define TICK_MS 250

/* What Patroni needs between the last renewal of its lock and the fence: watchdog.safety_margin. */
#define SAFETY_MARGIN_S(retry_timeout) ((retry_timeout) + 2)

/* --- fence.c: Patroni has not renewed its lock in time. Times: CLOCK_BOOTTIME. */
enum fence_phase { FENCE_WATCHING, FENCE_QUITTING, FENCE_KILLING };
enum fence_act {
	FENCE_NOTHING,
	FENCE_QUIT, /* SIGKILL Patroni first, then SIGQUIT the postmaster */
	FENCE_KILL, /* SIGKILL all that is left */
	FENCE_EXIT, /* PID 1 ends, and the kernel ends what is in its namespace */
};
struct fence {
	bool armed;
	bool by_self;       /* armed by init while Patroni had disarmed it (pause) and then died */
	uint16_t timeout_s; /* of the last "Ctimeout="; 0 = none yet */
	struct msec deadline; /* when armed */
	struct msec looked;   /* when the FIFO was read last: what is read next is younger */
	enum fence_phase phase;
	struct msec fired;
	uint32_t feeds, garbage;
	char command[24]; /* of a "C...\n" under way */
	unsigned command_len;
	bool in_command;
};
void fence_init(struct fence *f, struct msec now);
/*
 * Bytes from the FIFO, read at now. "Ctimeout=N\n" (1..3600) arms, "V" disarms, every other byte
 * renews. They count from the look before: a reader that was held up can not tell when they were
 * written. Bytes after the deadline change nothing.
 */
void fence_feed(struct fence *f, const char *p, size_t n, struct msec now);
/* Patroni is gone while the fence is off, and PostgreSQL is a primary: count without it. */
void fence_arm_self(struct fence *f, uint16_t timeout_s, struct msec now);
/* Patroni is back: what init armed by itself is off again; what Patroni armed stays. */
void fence_disarm_self(struct fence *f);
/*
 * Call until it says FENCE_NOTHING, at least every TICK_MS while armed. alive: a process of
 * PostgreSQL or Patroni is left.
 */
enum fence_act fence_next(struct fence *f, bool alive, struct msec now);

/* --- silence.c: Patroni that does not answer on loopback. */
struct silence {
	bool spoke; /* in this life of Patroni */
	unsigned missed;
	struct msec last; /* when it did, or when its life began */
};
void silence_reset(struct silence *s, struct msec now);
void silence_heard(struct silence *s, struct msec now);
void silence_missed(struct silence *s);
/*
 * Is it time to kill Patroni? Early enough that the next one can renew the lock before the fence.
 */
bool silence_over(
    const struct silence *s, const struct fence *f, unsigned loop_wait_s, struct msec now);

/* --- stop.c: the way down after SIGTERM. */
#define STOP_HASTY_S 5 /* in less nothing is handed on, and nobody waited for */
enum stop_phase { STOP_OFF, STOP_HANDOVER, STOP_PATRONI, STOP_POSTGRES };
enum stop_act {
	STOP_WAIT,
	STOP_ASK_HANDOVER, /* agent: POST /switchover */
	STOP_TERM_PATRONI,
	STOP_FAST,      /* SIGINT to the postmaster: Patroni left it (pause, dead), or no time */
	STOP_IMMEDIATE, /* SIGQUIT to the postmaster, SIGTERM to Patroni if it had none */
	STOP_KILL,      /* SIGKILL all that is left */
	STOP_EXIT,
	STOP_ACT_COUNT
};
struct stop_seen {
	bool patroni, postmaster, agent; /* running; the agent: READY */
	bool handover_done;              /* it has answered, whatever the answer */
};
struct stop {
	enum stop_phase phase;
	enum stop_act force; /* the strongest of FAST, IMMEDIATE, KILL so far; STOP_WAIT = none */
	struct msec handover_until, immediate_at, kill_at;
	unsigned grace_s; /* what these come from */
	bool hasty;       /* no time to wait for anybody: PostgreSQL is told at once */
};
void stop_begin(struct stop *s, unsigned grace_s, struct msec now);
/* So long it is, from then on; false: not shorter than what is known, so that stays. */
bool stop_limit(struct stop *s, unsigned grace_s, struct msec from);
enum stop_act stop_next(struct stop *s, const struct stop_seen *seen, struct msec now);

/* --- backoff.c: how long until the next life. */
struct backoff {
	unsigned deaths; /* unproductive ones in a row */
};
/* 0 after a productive life, else 10 ms * 2^k up to BACKOFF_MAX_MS, +-20 % by random. */
int64_t backoff_next_ms(struct backoff *b, bool productive, uint32_t random);

/* --- lock.c */
enum lock_result { LOCK_HELD, LOCK_BUSY, LOCK_BROKEN };
/*
 * Opens path (once; *fd < 0) and tries for the lock. LOCK_BUSY: another holds it; LOCK_BROKEN: e
 * says why; both: try again.
 */
enum lock_result lock_try(const char *path, int *fd, struct err *e);

/*
 * --- fresh.c: a data directory in which no postmaster ever ran. Here and below, mount holds it as
 * "data"; wal is the mount that holds its WAL as "pg_wal", or NULL where that is in PGDATA.
 */
enum fresh {
	FRESH_EMPTY,      /* there is none yet: mark that, then Patroni may fill it */
	FRESH_RAN,        /* a postmaster did; no mark is left */
	FRESH_UNFINISHED, /* filled since it was marked, but never started: of no use */
	FRESH_UNKNOWN,    /* never started, but complete or without our mark: leave it */
};
enum fresh fresh_look(const char *mount, const char *wal);
/* Refused while wal holds WAL: nobody could tell later whose that is. */
int fresh_mark(const char *mount, const char *wal, struct err *e);
int fresh_discard(const char *mount, const char *wal, struct err *e); /* FRESH_UNFINISHED only */
bool fresh_is_empty(const char *pgdata);

/* --- tree.c */
/*
 * Removes path and all below it, in its own file system and without following a link; that it is
 * not there is fine. -1: errno says why, and a part of it is left; may be done again.
 */
int tree_remove(const char *path);

/* --- wal.c: are PGDATA and its WAL there together? */
enum wal_state {
	WAL_TOGETHER,
	WAL_INSIDE,  /* in PGDATA, though it has a volume: it works */
	WAL_MISSING, /* PGDATA is there, its WAL is not */
	WAL_ALONE,   /* WAL, and no PGDATA */
};
/*
 * text says what is where and what to do, but for WAL_TOGETHER. Means nothing while Patroni fills
 * or empties PGDATA.
 */
enum wal_state wal_look(const char *mount, const char *wal, char text[IPC_TEXT_MAX + 1]);
bool wal_is_empty(const char *wal); /* as initdb and pg_basebackup want it; true for NULL */
const char *wal_mount(void);        /* PGWAL_MOUNT, or NULL where the pod has none */

/* --- aside.c: a data directory, "data" in mount, that gives way to a clone. */
#define ASIDE_UNFIT "data.unfit" /* of no use: to be removed */
#define ASIDE_NAME_SIZE 64
bool aside_is_standby(const char *mount); /* PostgreSQL would start from it as a standby */
bool aside_is_left(const char *mount);    /* ASIDE_UNFIT is there */
/* A name of its own, in both volumes, for what is kept: "data.kept-<system identifier>-<n>". */
int aside_name(const char *mount, const char *wal, uint64_t system_identifier,
    char out[ASIDE_NAME_SIZE], struct err *e);
int aside_move(const char *mount, const char *from, const char *to, struct err *e);
/*
 * The WAL of what was put aside, in its own volume or NULL, follows, and what is kept gets its
 * tablespaces in this volume as "tablespaces/<oid>"; nothing to do is fine.
 */
int aside_finish(const char *mount, const char *wal, struct err *e);
/*
 * ASIDE_UNFIT, its WAL and its tablespaces in this volume. Takes its time; may be ended and done
 * again.
 */
int aside_remove(const char *mount, const char *wal, struct err *e);
/* Has ASIDE_UNFIT any in this volume? No clone is made before they are gone. */
bool aside_has_tablespaces(const char *mount);
void aside_find_kept(const char *mount, char out[ASIDE_NAME_SIZE]); /* one of them, or "" */
bool aside_fits_twice(const char *mount);                           /* as much is free as is used */
bool aside_is_in_the_way(const char *mount);                        /* the volume is almost full */

/* --- renew.c: a data directory gives way. */
enum renew_act {
	RENEW_WAIT,
	RENEW_STOPPING, /* not now: the instance is being stopped */
	RENEW_LEADS,    /* never: it leads */
	RENEW_KILL_PATRONI,
	RENEW_QUIT,   /* SIGQUIT to the postmaster */
	RENEW_KILL,   /* SIGKILL to all that is left */
	RENEW_REMOVE, /* what is left of an earlier one */
	RENEW_MOVE,   /* nothing runs, and nothing is in the way */
};
struct renew_seen {
	bool stopping, armed;              /* armed: the fence, as on every leader */
	bool patroni, postmaster, standby; /* standby: the data directory is one's */
	bool left, removing;
	struct msec quit_at; /* 0 = not yet */
};
enum renew_act renew_next(const struct renew_seen *s, struct msec now);

/* --- follow.c: has the primary what a replica that does not stream needs? Pure. */
/* How far this replica is, by its own word (patroni/api.py, get_postgresql_status). */
struct follow_self {
	uint64_t system_identifier, received, replayed;
	uint32_t timeline;
};
/* For psql on the primary, as the rewind user; slot: this replica's there. */
void follow_sql(const struct follow_self *self, struct str slot, struct buf *out);
/* What that printed; slot_lost: it is of no use any more. */
enum choice_follow follow_judge(
    const struct follow_self *self, struct str printed, bool *slot_lost);
/* As Patroni names it (patroni/dcs, slot_name_from_member_name). */
void follow_slot(const char *pod, char out[64]);
/* Since when the same was found, without a gap; FORKED outlives a short one. */
struct follow_track {
	uint8_t finding; /* choice follow */
	struct msec since;
	struct msec unsure_since; /* FORKED, and nothing was found since then; 0 = it was */
};
void follow_note(struct follow_track *t, enum choice_follow finding, struct msec now);
/* It has lasted: nothing will come of waiting. */
bool follow_is_certain(const struct follow_track *t, struct msec now);

/* --- clone.c: does what fills an empty PGDATA get on? Pure. */
#define CLONE_LOOK_MS 10000
#define CLONE_KILLS_MAX 3
/* What runs below Patroni: pg_basebackup, or what other method a user has. */
struct clone_seen {
	bool runs;
	bool streams;  /* pg_basebackup's second process is there: the first one gets files */
	bool sleeps;   /* pg_basebackup's wait for somebody, not for the disk */
	uint64_t work; /* another number once any but the second has run at all */
	uint64_t wal;  /* once the second has written any WAL */
	pid_t pids[2]; /* pg_basebackup's processes, the first one first; 0 = none */
};
struct clone {
	struct clone_seen seen;
	struct msec looked, worked, moved; /* worked: the first process; moved: any */
	bool stalls;                       /* for so long that it is to be said */
	uint8_t kills;
};
/* True: seen->pids are to be killed, so that Patroni begins anew; counted. */
bool clone_look(struct clone *c, const struct clone_seen *seen, struct msec now);
/* By Patroni's word: how often in a row it ended without a server that runs. */
struct clone_tries {
	bool cloning;
	uint8_t failed;
};
void clone_note(struct clone_tries *t, const char *state, bool running);
bool clone_fails(const struct clone_tries *t); /* so often that it is to be said */

/* --- start.c: a server that has its data and does not come up. Pure. */
struct start_track {
	struct msec since;        /* it is to start; 0 = not */
	struct msec failed, last; /* Patroni said that it failed, first and last; 0 = not */
};
/* By Patroni's state. */
void start_note(struct start_track *t, const char *state, bool running, struct msec now);
bool start_has_failed(const char *state);
bool start_lasts(const struct start_track *t, int64_t ms, struct msec now);
/* START_FAILED, STARTS_LONG or NONE: nothing that is to be said. */
enum choice_reason start_reason(const struct start_track *t, struct msec now);

/* --- procs.c: processes by /proc. */
struct proc {
	pid_t pid, ppid;
	char comm[16];
};
int procs_parse_stat(struct str text, struct proc *out); /* one /proc/N/stat */
/* Fills out with all that descend from root, root not; how many (<= max). */
unsigned procs_below(pid_t root, struct proc *out, unsigned max);
/* The postmaster that PGDATA names, if it runs below root; else 0. */
pid_t procs_postmaster(const char *pgdata, pid_t root);
/* What Patroni has started to fill an empty PGDATA. */
void procs_clone(pid_t patroni, struct clone_seen *out);
bool procs_rewinds(pid_t root); /* pg_rewind runs below it */
/* Does postmaster.pid say that connections are accepted? A hint: a crash leaves the file behind. */
bool procs_accepts(const char *pgdata);

/* --- The programs; each returns its exit code. */
int install_main(const char *dir);
int init_main(void);
int agent_main(void);
int pgctl_main(void);

#endif
