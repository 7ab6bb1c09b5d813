/*
 * pgctl's state: pgctl.c (messages), work.c (from image and spec to Patroni's file), apply.c and
 * ask.c (what psql does here, and at the leader). Only these include it.
 */
#ifndef INSTANCE_WORK_H
#define INSTANCE_WORK_H

#include "instance/pgctl.h"

enum stage {
	STAGE_LOOK,     /* at PGDATA, programs, credentials */
	STAGE_VERSIONS, /* ask each server found for its version */
	STAGE_CHOOSE,
	STAGE_CONTROLDATA, /* the system identifier */
	STAGE_REPORT,
	STAGE_CHECK, /* the spec's parameters */
	STAGE_WRITE, /* patroni.yml */
	STAGE_DONE
};
struct task;
struct pgctl {
	struct self self;
	struct task *task[TASKS_MAX]; /* those of BGInstance.spec, by slot */
	const char *cluster, *namespace, *pod, *pod_ip, *path;
	struct msg_pod_state state; /* init's last word */
	struct spec *incoming, *spec, *checked_spec;

	enum stage stage;
	bool waiting, again; /* for a child process; start over after it */
	struct candidate candidates[CANDIDATES_MAX];
	unsigned candidates_n, asked;
	const struct candidate *chosen;
	unsigned data_major;
	char patroni[256];
	struct credentials credentials;
	bool have_credentials;
	struct arena arena; /* of the check under way */
	struct buf dynamic; /* the checked spec's, rendered */

	struct msg_disk found, disk, said_disk; /* in the making; complete; what the agent has */
	struct msg_spec_checked checked;
	struct msg_bootstrap_done done;
	const char *wal;          /* the mount of the WAL's volume, or NULL */
	uint8_t space, wal_space; /* choice disk_class of each volume */
	bool disk_known, disk_said, password_said, checked_due, done_due;
	struct ipc_msg config;                      /* CONFIG_WRITTEN, due when config_due */
	bool config_due, config_said, write_failed; /* the last: tried again by the timer */

	bool bootstrap_wanted, bootstrapping;

	bool checkpointing, checkpointed_due;
	struct msg_checkpoint_done checkpointed;

	struct msg_follow follow; /* the last question about the leader's server */
	struct msg_followed followed;
	bool asking, followed_due;
};
/* Does what was found keep Patroni from being started? */
bool work_blocked(const struct pgctl *p);
void work_look_space(struct pgctl *p); /* disk.space of both volumes */
void work_begin(struct pgctl *p);      /* look again at everything; harmless at any time */
void apply_begin(struct pgctl *p);     /* BOOTSTRAP, if all that it needs is there */
void apply_checkpoint(struct pgctl *p);
void ask_begin(struct pgctl *p, const struct msg_follow *m);
void pgctl_flush(struct pgctl *p); /* says what is due, as far as there is room */

#endif
