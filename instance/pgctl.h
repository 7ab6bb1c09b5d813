/*
 * pgctl: the one process in the pod that runs PostgreSQL's tools and reads the credentials; it has
 * no token and opens no network socket. pgctl.c messages and the order of work; spec.c the spec as
 * it arrives; checks.c what the image and PGDATA are; params.c are the parameters good; patroni.c
 * renders Patroni's file; bootstrap.c and scram.c the application's role and database; ask.c what
 * the leader's server has for a replica; disk.c how full the volume is; run.c child processes.
 */
#ifndef INSTANCE_PGCTL_H
#define INSTANCE_PGCTL_H

#include "instance/child.h"
#include "instance/dynamic.h"

/* --- run.c: one child process; its output is collected. */
struct run_result {
	int status; /* exit status; -1: ended by a signal, could not start, or took too long */
	bool timed_out;
	/* NUL-terminated, valid during the callback; past RUN_OUTPUT_MAX out's end and err's
	 * beginning are missing */
	struct str out, err;
};
#define RUN_OUTPUT_MAX 65536
struct run_spec {
	const char *const *argv; /* argv[0]: an absolute path */
	const char *const *env;
	struct str input;                              /* copied */
	int timeout_ms;                                /* 0 = none */
	void (*on_stderr)(void *arg, struct str text); /* as it comes; may be NULL */
};
struct run;
/* done is called once, never from inside run_start; then the run is gone. It dies with us. */
struct run *run_start(struct ev_loop *loop, const struct run_spec *s,
    void (*done)(void *arg, const struct run_result *), void *arg);
void run_stop(struct run *r); /* kills it and what it started; done follows */

/* --- passfile.c */
/* For libpq's PGPASSFILE: this user's password, for every host and database. */
int passfile_write(
    const char *path, const char *user, const struct secret *password, struct err *e);

/* --- spec.c */
struct spec {
	struct arena arena;
	struct msg_spec m;
	struct str_map parameters;
	struct str_list hba, sql;
	struct str dynamic;
	bool complete, broken; /* broken: past a bound; why is in err */
	struct err err;
};
struct spec *spec_new(const struct msg_spec *m);
void spec_free(struct spec *s); /* NULL is fine */
/* SPEC_PARAMETER, SPEC_HBA, SPEC_SQL, SPEC_DYNAMIC, SPEC_END; false: not one of them. */
bool spec_add(struct spec *s, const struct ipc_msg *m);
void spec_dynamic(const struct spec *s, struct dynamic_wanted *out);

/* --- checks.c */
struct credential {
	char username[64];
	struct secret password;
};
struct credentials {
	struct credential superuser, replication, rewind, restapi;
	struct uid anchor;
};
/*
 * From the Secret mounted at dir: keys <role>-username, <role>-password and anchor-uid. c owns the
 * passwords then; on -1 nothing is left in it, and e names the file.
 */
int credentials_read(struct credentials *c, const char *dir, struct err *e);
void credentials_free(struct credentials *c);
#define CANDIDATES_MAX 24
struct candidate {
	char dir[256];
	char version[17]; /* "17.2"; empty = not asked yet */
	unsigned major;
	bool broken;
};
/* The directories that hold a PostgreSQL server, in order of preference; how many. */
unsigned checks_candidates(struct candidate out[CANDIDATES_MAX], const char *path_variable);
/* "postgres (PostgreSQL) 17.2 (Debian ...)" into c. */
int checks_parse_version(struct str text, struct candidate *c);
/*
 * The one to use: data_major (0 = PGDATA is empty), else wanted (0 = any), else the highest. NULL:
 * none; *reason says why.
 */
const struct candidate *checks_choose(const struct candidate *c, unsigned n, unsigned data_major,
    unsigned wanted, uint8_t *reason, char text[IPC_TEXT_MAX + 1]);
int checks_data_major(
    const char *pgdata, unsigned *major, struct err *e); /* PG_VERSION; 0: no PGDATA yet */
int checks_system_identifier(struct str controldata, uint64_t *out);
/* As what it stopped: a primary or a standby, and the highest timeline it knows of; 0 = unknown. */
void checks_standing(struct str controldata, bool *was_primary, uint32_t *timeline);
bool checks_stopped_in_order(struct str controldata);
bool checks_is_recent(const char *pgdata, int64_t now_s); /* a server ran there a moment ago */
/* In the absolute directories of a PATH; false: it is in none. */
bool checks_find_program(const char *name, const char *path_variable, char out[256]);
bool checks_uid_known(void); /* initdb refuses to run for a uid without a name */

/* --- disk.c */
/*
 * before: the class until now (choice disk_class: NONE, LOW or FULL), which is not left at the same
 * point.
 */
uint8_t disk_class(uint8_t before, uint64_t available, uint64_t used);
uint8_t disk_look(const char *path, uint8_t before); /* statvfs: bytes and files; else before */
uint8_t disk_worst(uint8_t data, uint8_t wal); /* what is reported of both volumes */

/* --- params.c */
/*
 * What can be said without PostgreSQL: owned, directives, hba lines' shape. 0, or -1 with reason
 * and text.
 */
int params_check_names(const struct str_map *params, const struct str_list *hba, uint8_t *reason,
    char text[IPC_TEXT_MAX + 1]);
/* A postgresql.conf with all of them. */
void params_write(const struct str_map *params, struct buf *out);
/* The line of PostgreSQL's complaint that names a parameter, without its prefix. */
void params_complaint(struct str stderr_text, char text[IPC_TEXT_MAX + 1]);
/*
 * shared_preload_libraries: is each there? libs: directories, NULL-terminated; with none that
 * exists nothing is said.
 */
int params_check_preload(struct str value, const char *const *libs, char text[IPC_TEXT_MAX + 1]);

/* --- patroni.c */
struct patroni_config {
	struct str cluster, namespace, pod, pod_ip, bin_dir;
	const char *wal; /* the mount of the WAL's volume, or NULL */
	unsigned major;
	int64_t retry_timeout;
	struct str dynamic; /* rendered */
	const struct str_list *hba;
	const struct msg_spec *spec; /* initdb's options */
	const struct credentials *credentials;
};
/* Patroni's file: JSON in ASCII, which every YAML reader takes. Initialises out, which then holds
 * passwords: wipe it. */
int patroni_render(const struct patroni_config *c, struct buf *out, struct err *e);
void patroni_ascii(struct str json, struct buf *out);

/* --- scram.c (RFC 5802, 7677) */
/*
 * "SCRAM-SHA-256$4096:salt$StoredKey:ServerKey" as PostgreSQL stores it. The password must be ASCII
 * without control characters.
 */
#define SCRAM_SIZE 160
int scram_verifier(const struct secret *password, const uint8_t salt[16], unsigned iterations,
    char out[SCRAM_SIZE], struct err *e);

/* --- bootstrap.c */
void sql_literal(struct buf *b, struct str s); /* 'it''s'; with E'' where it has a backslash */
/* A role's name and its password as scram_verifier writes it. */
struct bootstrap_role {
	struct str name;
	const char *verifier;
};
/*
 * For psql -f -: the roles that Patroni makes at the end of its own bootstrap, replication's and
 * rewind's; each, and each right, only if it is not there.
 */
void bootstrap_patroni_sql(
    const struct bootstrap_role *replication, const struct bootstrap_role *rewind, struct buf *out);
/* For psql -f -: role and database, each made only if it is not there. */
void bootstrap_role_sql(const struct bootstrap_role *owner, struct str database, struct buf *out);
/* For psql in that database: the statements once, in one transaction with the marker. */
void bootstrap_once_sql(
    struct str database, const struct str_list *sql, const struct uid *anchor, struct buf *out);
/* The first "ERROR:  ..." or "FATAL:  ..." of psql's stderr, or its first line. */
void psql_complaint(struct str stderr_text, char text[IPC_TEXT_MAX + 1]);

#endif
