/*
 * The tasks of BGInstance.spec in pgctl, each slot's by itself: task.c (from the agent's messages
 * to a state that is said), task_end.c (how one ends, and what is removed then), task_tables.c,
 * task_script.c, task_bench.c (what each kind does), task_psql.c (the programs it runs). Pure:
 * task_sql.c (every statement), task_text.c (what programs print). Only these and pgctl.c include
 * it.
 */
#ifndef INSTANCE_TASK_H
#define INSTANCE_TASK_H

#include <ev.h>

#include "instance/work.h"

#define TASK_NAME_PREFIX "bestgres/"
#define TASK_BENCHMARK_PREFIX "bestgres_benchmark_"
#define TASK_ALL_DATABASES_MAX 400 /* their names fit RUN_OUTPUT_MAX in hex */

/* What a task is told. */
struct task_spec {
	struct msg_task m;
	unsigned databases_n, tables_n;
	char databases[TASK_DATABASES_MAX][64], tables[TASK_TABLES_MAX][128];
	struct buf script;
	bool complete, cancelled;
};

/*
 * --- task_sql.c: SQL for psql -f -. A name travels as hex digits, in which nothing can end a
 * literal, and PostgreSQL itself quotes it (format's %I).
 */
enum task_scope { SCOPE_TABLES, SCOPE_INDEXES, SCOPE_REPACK };
struct task_name {
	char application[64]; /* of its backends */
	char benchmark[64];   /* its database */
};
void task_name_make(struct task_name *n, const struct uid *id);
/* Lines "- N": database N of the spec is not there; "! N": takes no connections; "+ HEX": one to
 * work in. */
void task_sql_databases(const struct task_spec *s, struct buf *out);
/*
 * In a database. Lines "t N +": table N of the spec is there; "t N KIND": what is there is none;
 * "e COUNT": indexes that REINDEX CONCURRENTLY passes over; "n COUNT TABLES": of targets.
 */
void task_sql_count(const struct task_spec *s, struct buf *out);
/*
 * Line "x OID BYTES WAL_BYTES HEX_OF_QUOTED_NAME NAME|OID OID ...": the next target after that
 * one; and, from it on, those that are small enough to be done by one program. None at the end.
 */
#define TASK_BATCH_MAX 200 /* what they all say fits RUN_OUTPUT_MAX */
void task_sql_next(const struct task_spec *s, uint32_t after, struct buf *out);
/* The kind's statement on that target, then task_sql_size's line. */
void task_sql_work(const struct task_spec *s, uint32_t oid, struct buf *out);
/* Line "s OID TOTAL_BYTES PAGES". */
void task_sql_size(uint32_t oid, struct buf *out);
void task_sql_checkpoint(struct buf *out);
/* Line "e": pg_repack's extension is in this database. */
void task_sql_extension(struct buf *out);
/* Line "p DONE ALL": what the backends of that name report of the command under way. */
void task_sql_progress(const struct task_name *n, struct buf *out);
/* Line "k COUNT": so many backends were told to end. */
/* A script may call its session something else: which backend it is, and whose. */
struct task_backend {
	int pid; /* 0 = not known */
	long long started_us;
};
#define TASK_BACKEND_SQL                                                                           \
	"SELECT pid, (EXTRACT(epoch FROM backend_start) * 1000000)::pg_catalog.int8 FROM "         \
	"pg_catalog.pg_stat_activity WHERE pid = pg_catalog.pg_backend_pid()"
/* role: only a backend of that one, whatever b says, since its script could have said it. */
void task_sql_terminate(
    const struct task_name *n, const struct task_backend *b, struct str role, struct buf *out);
/* Invalid indexes that an interrupted REINDEX CONCURRENTLY of a table in scope has left. */
void task_sql_drop_indexes(const struct task_spec *s, struct buf *out);
/* What an interrupted pg_repack of a table in scope has left. */
void task_sql_drop_repack(const struct task_spec *s, struct buf *out);
void task_sql_drop_benchmark(const struct task_name *n, struct buf *out);
void task_sql_create_benchmark(const struct task_name *n, struct str owner, struct buf *out);

/* --- task_text.c */
/* A database's name as a connection string that names nothing else: dbname='...'. */
#define TASK_DBNAME_SIZE (2 * 63 + sizeof("dbname=''"))
void task_dbname(const char *database, char out[TASK_DBNAME_SIZE]);
/* What TASK_BACKEND_SQL printed first; else b is as it was. */
void task_read_backend(struct str out, struct task_backend *b);
int task_hex_decode(struct str hex, char *out, size_t size);
/* Rows that VACUUM VERBOSE says it has removed from tables; not those of their TOAST tables. */
struct task_vacuumed {
	char line[256]; /* the beginning of one that has not ended */
	size_t n;
	bool toast;
	uint64_t tuples;
};
void task_vacuum_read(struct task_vacuumed *v, struct str stderr_text);
/* Was it the server that went away, rather than what it was asked for that failed? */
bool task_connection_lost(struct str stderr_text);
#define TASK_FAILURE_MAX (2 * IPC_TEXT_MAX)
/*
 * Why a program failed, of which psql_complaint() is told: "interrupted: ...", if the server went
 * away or somebody killed it, rather than that it could not do what it was asked for.
 */
void task_failure(const struct run_result *r, const char *program, const char *complaint,
    char out[TASK_FAILURE_MAX]);
/*
 * What psql (VERBOSITY=terse) or, by_pgbench, pgbench says of a user's script, without what the
 * script holds: no statement, no detail, no token that a syntax error names.
 */
void task_scrub(struct str stderr_text, bool by_pgbench, struct buf *out);
/* The last whole lines, <= TASK_OUTPUT_MAX bytes, as the wire wants them. */
void task_tail(struct str text, char out[TASK_OUTPUT_MAX + 1]);
/*
 * Has a script for pgbench a meta-command other than those that only compute? NULL: no; else its
 * name, in buf.
 */
const char *task_pgbench_refused(struct str script, char name[32]);
/* Does a statement or line begin with COMMIT, ROLLBACK (not TO) or ABORT? END ends bodies, too. */
bool task_script_may_commit(struct str script);
bool task_script_needs_restrict(struct str script); /* could psql find a meta-command in it? */
/* "progress: 5.0 s, ...": the seconds; -1 = no such line in it. The last one counts. */
int64_t task_pgbench_progress(struct str text);
struct latencies {
	uint64_t n, bucket[2600]; /* each 1 % wider than the one before; of 1 us on */
};
void task_latency_add(struct latencies *l, uint64_t us);
/* One of pgbench's log lines, or more. How many bytes were whole lines. */
size_t task_latency_read(struct latencies *l, struct str text);
void task_latency_text(const struct latencies *l, unsigned percent, char out[17]);
/* pgbench's report: tps, latency average and stddev into m; false if it has no tps. */
bool task_pgbench_report(struct str out, struct msg_task_state *m);

/* --- The machine. */
struct task_room {
	uint64_t data, wal; /* bytes */
};

struct task {
	struct pgctl *p;
	uint8_t slot;
	struct task_spec incoming, next, now; /* arriving; waits for the end of now; under way */
	bool running, next_due;
	/* What this slot was told stands in that one too, where it was told first; NULL = none. */
	struct task *twin;
	struct task_name name;
	struct msg_task_state state;
	bool state_due;

	struct run *run, *look; /* the program under way; a look at its progress */
	void (*then)(struct task *t, const struct run_result *r); /* of run */
	bool measured; /* run is one whose progress can be asked for */
	ev_timer deadline, poll, again;
	void (*later)(struct task *t); /* of again */
	struct msec until;             /* of the whole task; 0 = never */

	/* The way down; and the removal of what a former run has left, then or before it begins. */
	bool ending;
	uint8_t end_phase;
	char end_message[IPC_TEXT_MAX + 1], sweep_trouble[IPC_TEXT_MAX + 1];
	bool sweep_lives; /* a session of it may still be at work */
	struct msec sweep_until;
	unsigned sweep_at; /* of the kind's steps */
	void (*swept)(struct task *t);

	/* The databases it works in, and where it is. */
	char databases[TASK_ALL_DATABASES_MAX][64];
	unsigned databases_n, at;
	uint64_t tables_seen;     /* bit per table of the spec: it is there */
	char tables_kind[TASK_TABLES_MAX]; /* what has its name instead; 0 = nothing */
	uint64_t exclusions;      /* indexes that are passed over */
	uint64_t targets, target; /* how many in all; which one, from 1 */
	bool unfit;               /* pg_repack must not be let at one of the spec's tables */
	uint32_t oid[TASK_BATCH_MAX]; /* of what is under way */
	unsigned oid_n;
	uint32_t size_of; /* whose size_before and pages_before are; 0 = nobody's */
	uint64_t size_before, pages_before;
	uint32_t looked_again; /* at whom, in this database; 0 = at nobody */
	struct task_vacuumed vacuumed;
	char target_name[400]; /* quoted */
	char label[160];       /* for people */
	struct arena arena;    /* of a script that arrives */
	char restrict_key[33];
	struct task_backend backend; /* of a script */

	struct latencies *latencies;
	uint64_t log_at[64]; /* of each of pgbench's log files: read so far */
	struct task_room room; /* what it may still write: no other task counts on that */
	struct task_room back; /* what its end, or its step's, may give back */
};

/* task.c */
struct task *task_new(struct pgctl *p, uint8_t slot);
bool task_take(struct pgctl *p, struct ipc_msg *m); /* false: it can not follow what came before */
void task_edge_new(struct task *t);
void task_say(struct task *t);      /* what is due, as far as there is room */
void task_changed(struct task *t);  /* state has */
void task_finished(struct task *t); /* by task_end.c: the next one may begin */
void task_after(struct task *t, int64_t ms, void (*then)(struct task *t));
void task_step(struct task *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
int64_t task_left_ms(const struct task *t); /* 0 = no limit; else >= 1 */

/* task_end.c: the only ways out. A message may be empty. */
void task_end(struct task *t, enum choice_task_phase phase, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* Its program did not end well: why, from what it said. */
void task_end_failed(struct task *t, const struct run_result *r, const char *program);
/*
 * Ends backends of that name and removes what the kind leaves; what failed stands in
 * sweep_trouble.
 */
void task_sweep(struct task *t, int64_t within_ms, void (*then)(struct task *t));

/* task_psql.c */
struct task_command {
	const char *program;     /* psql, pgbench, pg_repack */
	const char *const *more; /* arguments, NULL-terminated; may be NULL */
	const char *database;
	bool as_owner;     /* of the application; else the superuser */
	bool own_settings; /* a user's script: what is set for its role and database holds */
	bool nameless;     /* not one of the task's own backends */
	struct str input;
	int timeout_ms; /* 0 = what is left of the task's */
	void (*on_stderr)(void *arg, struct str text);
};
/* libpq's PGOPTIONS; left_ms of the task, 0 = no limit. */
void task_options(
    const struct task_command *c, unsigned major, int64_t left_ms, struct buf *out);
/* Its arguments, NULL-terminated; how many. */
#define TASK_ARGS_MAX 40
unsigned task_args(const struct task *t, const struct task_command *c, const char *program,
    const char *argv[TASK_ARGS_MAX]);
/* Is the instance set up as far as a program needs it? */
bool task_ready(const struct task *t);
bool task_find_program(const struct task *t, const char *name, char out[256]);
/* then is called with its result; at once, with why as its stderr, if it could not be started. */
void task_run(struct task *t, const struct task_command *c,
    void (*then)(struct task *t, const struct run_result *r));
void task_sql(struct task *t, const char *database, const struct buf *sql,
    void (*then)(struct task *t, const struct run_result *r));
void task_look(struct task *t); /* asks for progress, beside run */
/*
 * Lists where to work into t->databases; 0, -1 when the answer is none, -2 - N: database N is
 * missing, TASK_CLOSED - N: takes no connections.
 */
#define TASK_CLOSED (-2 - TASK_DATABASES_MAX)
int task_read_databases(struct task *t, struct str out);
/*
 * task_sql_next's line into t->target_name, label and oid; 0: there is none, the end of the
 * database; -1: something else stands there.
 */
int task_read_target(struct task *t, struct str out, uint64_t *bytes, uint64_t *wal);
/*
 * The statement on size_of failed. Does it say that something does not exist? Then what comes next
 * is looked for from that one on, once: dropped while the statement waited for its lock it is
 * passed over, renamed it is found under its new name.
 */
bool task_look_again(struct task *t, struct str stderr_text);

/* task_script.c: psql's arguments; single: all of it in one transaction, which is checked. */
unsigned task_script_commands(bool single, const char *restrict_command, const char *more[24]);
/* Had that transaction ended before its check? */
bool task_script_ended_itself(struct str stderr_text);

/* What each kind begins with. */
void task_tables_begin(struct task *t);
void task_script_begin(struct task *t);
void task_bench_begin(struct task *t);
void task_bench_poll(struct task *t);  /* reads what pgbench has logged */
void task_bench_clean(struct task *t); /* its files */
/*
 * Bytes of data, and of WAL where that is on the same volume or another. They are its own until it
 * asks again or ends, or task_wrote(). False: they do not fit beside what other tasks were given,
 * and again is called in a while; or they would not without those either, and the task ends.
 */
bool task_has_room(struct task *t, const char *what, uint64_t data, uint64_t wal,
    void (*again)(struct task *t));
void task_wrote(struct task *t); /* all of it: the volume's free space says so itself */

#endif
