/*
 * supervisor: starts the four workers, watches over their lives and writes their logs. It parses
 * nothing but IPC control and allocates nothing after its start. The pure parts (config.c,
 * restart.c, poison.c, the line and ring of log.c) are declared here for the unit tests; the only
 * other caller is main.c.
 */
#ifndef SUPERVISOR_SUPERVISOR_H
#define SUPERVISOR_SUPERVISOR_H

#include <ev.h>

#include "ipc/ipc.h"

/* ============ Configuration (config.c): the environment, checked ============ */
struct supervisor_config {
	struct msg_config msg; /* life is set for each life */
	char namespaces[NAMESPACES_MAX][64];
	unsigned namespaces_n;
};
/* get is getenv or a test's own. ERR_INVALID names the variable and what to do. */
int supervisor_config_read(
    struct supervisor_config *c, const char *(*get)(const char *name), struct err *e);

/* ============ Restarts (restart.c), pure ============ */
enum life_state {
	LIFE_NONE,     /* no state: what the table says of a pair that can not be */
	LIFE_DOWN,     /* no process; a timer runs until the next life */
	LIFE_STARTING, /* a process that has not said READY; a timer runs until that is too late */
	LIFE_UP,
	LIFE_DOOMED, /* killed by us, its death not yet seen */
	LIFE_ENDING, /* the operator ends: SIGTERM sent; a timer runs until SIGKILL */
	LIFE_ENDED,
	LIFE_STATES
};
enum life_event {
	EVENT_TIMEOUT, /* the state's timer */
	EVENT_READY,
	EVENT_WORKED, /* a unit of work is done: the life is productive */
	EVENT_DIED,
	EVENT_UNFIT, /* died before READY with a code that says: restarting will not help */
	EVENT_HUNG,
	EVENT_BREACH, /* it broke the protocol */
	EVENT_STOP,   /* the operator ends */
	LIFE_EVENTS
};
enum life_action {
	ACT_NONE,
	ACT_SPAWN,
	ACT_WELCOME, /* it is up: its peers may be told */
	ACT_RESTART, /* after timer_ms */
	ACT_KILL,
	ACT_TERM,
	ACT_GIVE_UP, /* end the operator with the worker's exit code */
};
struct life {
	enum life_state state;
	bool worked;                         /* this life */
	bool degraded;                       /* it dies again and again without having worked */
	unsigned streak;                     /* unproductive deaths in a row */
	unsigned unanswered;                 /* PINGs */
	unsigned deaths_n;                   /* unproductive ones, ever */
	struct msec deaths[DEATHS_DEGRADED]; /* when: the last ones, as a ring */
};
struct life_step {
	enum life_action action;
	/* To start; -1 = none, and one that runs goes on if the state is the same. */
	int64_t timer_ms;
};
void supervisor_life_init(struct life *l); /* DOWN and due at once */
/* Applies one event. random: any 32 bits, for the jitter. Dies on a pair of state and event that
 * can not be. */
struct life_step supervisor_life_step(
    struct life *l, enum life_event ev, struct msec now, uint32_t random);
const char *supervisor_life_name(enum life_state s);
enum ping { PING_NONE, PING_SEND, PING_HUNG };
/*
 * Once every PING_MS. on_time: the supervisor's own loop was; else silence proves nothing and the
 * count starts anew. A worker is hung when PINGS_LOST in a row stay without a PONG.
 */
enum ping supervisor_life_ping(struct life *l, bool on_time);

struct death {
	int signal; /* 0 = it exited */
	int code;   /* exit code */
	bool hung;  /* killed by us, for that */
};
enum life_event supervisor_death_event(const struct life *l, const struct death *d);
/*
 * Does this death count against the object that was being handled? A crash does: SIGSEGV, SIGBUS,
 * SIGILL, SIGFPE, SIGABRT, SIGSYS, SIGTRAP, die() (EXIT_BUG) and a hang. SIGKILL from outside,
 * SIGTERM, no memory (EXIT_OOM) and a breach do not.
 */
bool supervisor_death_own_fault(const struct death *d);
void supervisor_death_text(char out[48], const struct death *d);

/* ============ Crash tally (poison.c), pure ============ */
#define TALLY_MAX 64 /* objects that crashed someone lately; the oldest makes room */
struct tally_row {
	struct uid uid; /* none: line is the key */
	uint64_t generation, line, last;
	unsigned crashes;
};
struct tally {
	struct tally_row rows[TALLY_MAX];
	uint64_t clock; /* counts crashes: which row was longest ago */
};
/* Counts one crash on what p names. True once: when it is the POISON_CRASHES-th, and *q is to be
 * told to the workers. */
bool supervisor_tally_crash(struct tally *t, const struct ipc_poison *p, struct msg_quarantine *q);
/* The n-th quarantined object, oldest slot first; false past the end. */
bool supervisor_tally_get(const struct tally *t, unsigned n, struct msg_quarantine *q);

/* ============ Log (log.c) ============ */
#define LOG_LINE_SIZE 4096 /* what a worker writes at once (base/log.c) */
#define LOG_RING_SIZE 65536
struct log_ring {
	char bytes[LOG_RING_SIZE];
	size_t head, len;
	uint64_t dropped; /* lines since the reader stalled */
};
/* Takes the line (with its newline) whole or drops it; once there is room again, a line dropped=n
 * comes first. */
void supervisor_ring_put(struct log_ring *r, const char *line, size_t len);
/* What can be written in one go; supervisor_ring_drop(n) after it was. */
struct str supervisor_ring_view(const struct log_ring *r);
void supervisor_ring_drop(struct log_ring *r, size_t n);

/* Cuts what one worker writes into lines. */
struct log_lines {
	char bytes[LOG_LINE_SIZE];
	size_t len;
	bool skip; /* the line was too long: its rest is passed over */
};
void supervisor_lines_push(struct log_lines *s, const char *p, size_t n,
    void (*line)(void *arg, struct str line), void *arg);
/* The last one, without its newline: the worker is dead. */
void supervisor_lines_end(struct log_lines *s, void (*line)(void *arg, struct str line), void *arg);
/* Whose line it is: of that life of that process; by_us: said of it by the supervisor. */
struct log_stamp {
	const char *proc;
	uint32_t life; /* 0 = left out */
	bool by_us;
};
/*
 * "ts=... proc=... life=n [by=supervisor] <text>\n" into out (LOG_STAMPED_SIZE). Control characters
 * are escaped, so that no worker can write a line in another's name; what is no logfmt of ours
 * becomes event=output msg="...". Returns the length.
 */
#define LOG_STAMPED_SIZE (4 * LOG_LINE_SIZE + 256)
size_t supervisor_line_stamp(
    char *out, const struct log_stamp *stamp, int64_t wall_ms, struct str text);

/*
 * The log as a whole: all workers' pipes and our own events, through one ring to a non-blocking
 * stdout. One per process.
 */
void supervisor_log_open(struct ev_loop *loop);
void supervisor_log_flush(void); /* as far as stdout takes it: at our end */
void supervisor_log_line(const struct log_stamp *stamp, struct str text);
/* Our own event, about w's present life or (NULL) ourselves; fmt makes "key=value ..." pairs. */
struct worker_proc;
void supervisor_log_event(const struct worker_proc *w, enum log_level level, const char *event,
    const char *fmt, ...) __attribute__((format(printf, 4, 5)));

/* ============ Processes (spawn.c) ============ */
#define WORKERS 4
struct supervisor;
struct worker_proc {
	struct supervisor *sup;
	enum ipc_role role;
	const char *program; /* file beside ours; argv[0] is the role's name */
	struct life life;
	uint32_t lives;
	pid_t pid;                 /* 0 = none */
	struct msec spawned, died; /* this life's start, the last one's end */
	uint32_t sandbox;          /* what HELLO said of it */
	struct ipc_chan *control;
	bool hello, hung;            /* this life: it said HELLO; it was killed for a hang */
	struct ipc_accuser accuser;  /* this life */
	uint32_t ping_seq, pong_seq; /* the last one sent, the last one answered */
	uint8_t told_degraded;       /* the last mask it was told */
	bool quarantine_due;         /* it is to be told all quarantines (again) */
	int poison;                  /* its record's memfd, for all its lives */
	int newchan[IPC_ROLE_COUNT]; /* ends that wait to be sent to it, by peer; -1 = none */
	int log_fd;
	ev_io log_io;
	struct log_lines lines;
	ev_timer timer;
};
struct supervisor {
	struct ev_loop *loop;
	const struct supervisor_config *config;
	const char *dir; /* of the workers' programs */
	struct worker_proc workers[WORKERS];
	struct tally tally;
	uint8_t degraded; /* bit n: role n */
	bool stopping;
	int exit_code;
	ev_signal on_term, on_int, on_child;
	ev_timer tick;
	struct msec tick_due;
	int null_fd;
};
bool supervisor_edge_exists(enum ipc_role a, enum ipc_role b);
/* NULL: not one of ours. */
struct worker_proc *supervisor_worker_of(struct supervisor *s, enum ipc_role r);
/* Forks and execs one life, with new pairs for all its edges; peers that run get theirs by NEWCHAN.
 * -1: could not fork. */
int supervisor_spawn(struct worker_proc *w);

/* ============ Control channels (control.c) ============ */
/* And says CONFIG and what else a new life must know. */
void supervisor_control_open(struct worker_proc *w, int fd);
/* NEWCHAN, QUARANTINE, DEGRADED that are due. */
void supervisor_control_flush(struct worker_proc *w);
void supervisor_control_ping(struct worker_proc *w);

/* ============ The whole (supervise.c) ============ */
void supervisor_event(struct worker_proc *w, enum life_event ev);
void supervisor_give_up(struct supervisor *s, int exit_code);
/* Runs the operator until it ends; the exit code. dir: where the workers' programs lie. */
int supervisor_run(const struct supervisor_config *c, const char *dir);

#endif
