/*
 * Patroni's dynamic configuration as Bestgres wants it. Pure; the agent compares and writes, pgctl
 * puts it into the first file.
 */
#ifndef INSTANCE_DYNAMIC_H
#define INSTANCE_DYNAMIC_H

#include "kube/kube.h"

struct dynamic_wanted {
	int64_t ttl, loop_wait, retry_timeout, max_lag, sync_count;
	uint8_t sync_mode; /* CHOICE_sync_mode_ */
	bool sync_strict, failsafe;
	struct str_map parameters; /* PostgreSQL's */
	struct str user;           /* dynamicConfiguration: a JSON object, or empty */
};
/*
 * One JSON object into out: the user's dynamicConfiguration with Bestgres's keys over it; under
 * postgresql.parameters both, the typed ones winning. ERR_INVALID: the user's is no object, or its
 * postgresql or parameters are none.
 */
int dynamic_render(const struct dynamic_wanted *w, struct arena *a, struct buf *out, struct err *e);
/*
 * All parameters of a rendered configuration, values as text, sorted: what is to be checked before
 * it is applied.
 */
int dynamic_parameters(struct str rendered, struct arena *a, struct str_map *out, struct err *e);
/*
 * Which keys a configuration has, as an object of the same shape whose leaves are 1. Canonical: two
 * sets of keys are equal if their texts are. A leaf is whatever is no object, or an empty one.
 */
int dynamic_keys(struct str rendered, struct arena *a, struct buf *out, struct err *e);
/* rendered, and null for each leaf of keys that it has not. */
int dynamic_drop(
    struct str rendered, struct str keys, struct arena *a, struct buf *out, struct err *e);
/* What seen becomes by this merge patch (RFC 7396); both are objects. */
int dynamic_merge(
    struct str patch, struct str seen, struct arena *a, struct buf *out, struct err *e);

#endif
