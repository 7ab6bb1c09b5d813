/*
 * init: PID 1 of the database container. One struct, and a file for each of its jobs: init.c loop,
 * reaping and reports; spawn.c agent and pgctl; keeper.c Patroni; watchdog.c the fence; halt.c the
 * ways down; renewer.c a data directory that gives way to a clone. No JSON, no network, no file of
 * PostgreSQL but postmaster.pid, and PGDATA's mode and name.
 */
#ifndef INSTANCE_INIT_H
#define INSTANCE_INIT_H

#include <ev.h>

#include "instance/instance.h"

struct init;
/* agent or pgctl. */
struct helper {
	struct init *init;
	enum ipc_role role;
	const char *name;
	pid_t pid; /* 0 = not running */
	struct ipc_chan *control;
	bool ready, worked, said_state;
	int edge; /* the end to its peer that it is to get; -1 = it has it */
	uint32_t pings;
	unsigned unanswered;
	struct ipc_accuser accuser; /* this life */
	struct backoff backoff;
	ev_timer again;
	struct msg_pod_state said;
};
enum { HELPER_AGENT, HELPER_PGCTL, HELPERS };

struct keeper {
	pid_t pid; /* Patroni's; 0 = not running */
	struct msec started;
	struct backoff backoff;
	ev_timer again;
	bool ran; /* once in this container: starts again without asking */
	struct silence silence;
	char ended[IPC_TEXT_MAX + 1]; /* how, last time */
	char waits[IPC_TEXT_MAX + 1]; /* for what it is not started again yet */
	uint32_t exits;
	struct clone clone;
	ino_t config; /* the configuration file it was started with or told to read */
};

/* PGDATA gives way to a clone. */
struct renew {
	struct msg_renew wanted; /* its id is none: nothing is under way */
	struct uid done;         /* the last one, in this pod's life */
	struct msec told;        /* when it was wanted */
	struct msec quit_at;     /* when PostgreSQL was told to; 0 = not yet */
	pid_t remover;           /* 0 = none runs */
	bool holds;              /* Patroni may not start before that has made room */
	struct msec again;       /* not before: the last remover failed */
};

struct init {
	struct ev_loop *loop;
	ev_signal on_chld, on_term, on_int, on_quit;
	ev_timer tick, ping;
	ev_io fifo;
	struct helper helper[HELPERS];
	const char *wal;                 /* the mount of the WAL's volume, or NULL */
	char wal_text[IPC_TEXT_MAX + 1]; /* why PGDATA and WAL keep Patroni from being started */
	struct keeper keeper;
	struct renew renew;
	struct fence fence;
	struct stop stop;
	uint32_t stop_signals; /* how often we were told to */
	struct msec signalled; /* when last: the kubelet counts from there */
	bool asked_handover, handover_done, killed_postgres;
	struct stop rest;      /* the same way down to a rest in the pod */
	uint8_t rest_wanted;   /* choice stop: by the operator */
	bool detached, rested; /* Patroni is gone for it; PostgreSQL as well */
	int lock_fd, fifo_fd;
	int stdout_fd, stderr_fd; /* as the container got them, for Patroni */
	bool locked, released, configured;
	bool fresh;   /* PGDATA is marked as never started */
	bool accepts; /* as of the last tick: PostgreSQL takes connections */
	char lock_text[IPC_TEXT_MAX + 1], owned_variable[65];
	struct msg_config_written config;
	uint32_t fences; /* in this pod's life */
	unsigned grace_s;
	struct msec last_ping;
};

/* init.c */
void init_changed(struct init *i); /* what POD_STATE says may be new; Patroni may be startable */
void init_tick_needed(struct init *i); /* starts or stops the tick */
/* Says why, and ends the container. */
_Noreturn void init_end(int code, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
unsigned init_kill_all(const struct init *i, int sig); /* all but the helpers; how many */
/* All but the helpers and what they started, and renewer.c's remover; how many there were. */
unsigned init_kill_orphans(const struct init *i);

/* spawn.c */
void spawn_setup(struct init *i);
void spawn_ended(struct init *i, struct helper *h, int status); /* reaped */
void spawn_ping(struct init *i, bool on_time);
bool spawn_tell(struct helper *h, const struct ipc_msg *msg); /* false: it is not there, or full */
/* If it differs from what was said. */
void spawn_say_state(struct helper *h, const struct msg_pod_state *now);
void spawn_reset_signals(void); /* in a child, before exec */

/* keeper.c */
void keeper_setup(struct init *i);
/* The lock is ours, Patroni does not run. False: it may not be started yet. */
bool keeper_prepare(struct init *i);
void keeper_try_start(struct init *i);
void keeper_ended(struct init *i, int status);
void keeper_configured(struct init *i, const struct msg_config_written *m);
void keeper_look(struct init *i); /* on every tick */
void keeper_seen(struct init *i, const struct msg_patroni_seen *m);

/* watchdog.c */
void watchdog_setup(struct init *i);
void watchdog_look(struct init *i); /* read the FIFO, then do what is due */
void watchdog_patroni_gone(struct init *i);

/* halt.c */
void halt_begin(struct init *i); /* at every signal */
void halt_limit(struct init *i, const struct msg_grace *m);
void halt_look(struct init *i);
void halt_wanted(struct init *i, enum choice_stop stop); /* the operator's word */

/* renewer.c */
void renewer_setup(struct init *i);
void renewer_wanted(struct init *i, const struct msg_renew *m);
void renewer_look(struct init *i);                         /* on every tick and every death */
void renewer_ended(struct init *i, pid_t pid, int status); /* reaped: the remover, or another */
bool renewer_is_busy(const struct init *i);                /* Patroni may not start meanwhile */

#endif
