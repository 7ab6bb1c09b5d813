/*
 * What the watcher's files share, and nobody else includes (their tests apart). records.c and
 * records_dbops.c make the typed record of one object and are pure; watcher.c has the watches, the
 * edges and what must be remembered when the reconciler reads slower than the API server writes.
 */
#ifndef WORKERS_WATCHER_H
#define WORKERS_WATCHER_H

#include "kube/kube.h"
#include "workers/workers.h"

/*
 * A record on its way: as an ipc_msg, without the 60 KB that the largest message of the table
 * takes.
 */
struct record {
	enum ipc_type type;
	union {
		struct msg_snap_begin snap_begin;
		struct msg_snap_end snap_end;
		struct msg_rec_cluster rec_cluster;
		struct msg_rec_instance rec_instance;
		struct msg_rec_statefulset rec_statefulset;
		struct msg_rec_child rec_child;
		struct msg_rec_dbops rec_dbops;
		struct msg_rec_gone rec_gone;
	};
};
struct record_source {
	enum kind kind;
	const char *ns; /* of the watch: an object from elsewhere is none of ours */
	const struct json *j;
	int object;
	const struct object_meta *meta; /* from decode_meta */
	const char *limit; /* of a feed_item: why only an outline could be read, or NULL */
};
/*
 * 0: out is a record that ipc_encode accepts. -1: there is none; e says why (ERR_GONE: an object
 * that is not made by us, no cause for a word). A BGCluster whose metadata is good always gives a
 * record: one that can not be read says so in `invalid`.
 */
int record_object(
    const struct record_source *s, struct arena *a, struct record *out, struct err *e);
/* The same of a BGDbOps; one that can not be read says so in `invalid`. records_dbops.c */
int record_dbops(const struct record_source *s, struct arena *a, struct record *out, struct err *e);
int record_gone(const struct record_source *s, struct record *out, struct err *e);
/* A BGCluster that must not be decoded: why becomes its `invalid`. */
int record_cluster_invalid(
    const struct record_source *s, const char *why, struct record *out, struct err *e);
void record_to_msg(const struct record *r, struct ipc_msg *msg);

#endif
