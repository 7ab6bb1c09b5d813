/*
 * From one BGDbOps to its record for the reconciler: pure, as records.c. What the spec asks for is
 * told only as far as it decides when and where something is done; what is done the executor reads
 * itself.
 */
#include "workers/watcher.h"

#define NO_SUCH_INSTANCE UINT8_MAX
#define RETRIES_NOT_GIVEN UINT8_MAX

static int
fill_dbops(const struct record_source *s, struct msg_rec_dbops *r, struct err *e)
{
	const struct object_meta *m = s->meta;
	char cluster[NAME_MAX_CLUSTER + 2];

	*r = (struct msg_rec_dbops){.uid = m->uid,
	    .generation = m->generation,
	    .version = m->resource_version,
	    .finalizer = decode_has_finalizer(s->j, s->object, DBOPS_FINALIZER),
	    .max_retries = RETRIES_NOT_GIVEN};
	json_copy_text(s->j, json_path(s->j, s->object, "spec.cluster"), cluster, sizeof(cluster));
	if (cluster[0] == '\0' || !charset_ok(CHARS_DNS1035, str_of(cluster)) ||
	    str_copy(r->cluster, sizeof(r->cluster), str_of(cluster)) != 0 ||
	    str_copy(r->name, sizeof(r->name), m->name) != 0)
		return err_set(e, ERR_INVALID, "its name or spec.cluster is none");
	str_copy(r->namespace, sizeof(r->namespace), m->namespace);
	return 0;
}

/* Seconds since 1970; 0 = there is no such time. */
static uint64_t
time_at(const struct record_source *s, const char *path)
{
	char text[41];
	int64_t t;

	json_copy_text(s->j, json_path(s->j, s->object, path), text, sizeof(text));
	return time_parse(str_of(text), &t) == 0 && t > 0 ? (uint64_t)t : 0;
}

static uint64_t
time_of(struct str text)
{
	int64_t t;

	return time_parse(text, &t) == 0 && t > 0 ? (uint64_t)t : 0;
}

static uint8_t
wanted_instance(const struct bgdbops *d)
{
	struct str name = d->op == CHOICE_dbops_op_SWITCHOVER ? d->switchover_to
	                  : d->op == CHOICE_dbops_op_FAILOVER ? d->failover_to
	                  : d->op == CHOICE_dbops_op_REINIT   ? d->reinit
	                                                      : STR("");
	int ordinal = model_ordinal(name, d->cluster);

	if (name.len == 0)
		return 0;
	return ordinal == -1 ? NO_SUCH_INSTANCE : (uint8_t)(ordinal + 1);
}

/* Which servers a restart is through with. */
static uint32_t
restarted(const struct record_source *s, const struct bgdbops *d)
{
	int list = json_path(s->j, s->object, "status.instances");
	uint32_t mask = 0;

	for (int k = json_first(s->j, list); k != JSON_NONE; k = json_next(s->j, k)) {
		char name[NAME_MAX_LABEL + 2];
		int ordinal;

		json_copy_text(s->j, json_get(s->j, k, STR("name")), name, sizeof(name));
		ordinal = model_ordinal(str_of(name), d->cluster);
		if (ordinal >= 0 &&
		    json_string_is(s->j, json_get(s->j, k, STR("phase")), "Succeeded"))
			mask |= 1u << ordinal;
	}
	return mask;
}

static void
fill_spec(const struct bgdbops *d, struct msg_rec_dbops *r)
{
	int64_t timeout = 0;

	r->op = d->op;
	r->role = d->role;
	r->only_pending = d->only_pending;
	r->locks = (d->op == CHOICE_dbops_op_VACUUM && d->full) ||
	           (d->op == CHOICE_dbops_op_REINDEX && !d->concurrently);
	r->replica = d->op == CHOICE_dbops_op_SQL && d->target == CHOICE_dbops_target_REPLICA;
	r->wanted = wanted_instance(d);
	if (str_to_u64(d->system_identifier, &r->system_identifier) == -1)
		r->system_identifier = 0;
	r->run_at = time_of(d->run_at);
	if (time_parse_duration(d->timeout, &timeout) == 0)
		r->timeout = (uint32_t)timeout;
	if (d->max_retries != INT_UNSET)
		r->max_retries = (uint8_t)d->max_retries;
	if (d->ttl != INT_UNSET)
		r->ttl = (uint32_t)d->ttl + 1;
	str_copy(r->cron, sizeof(r->cron), d->cron);
	str_copy(r->zone, sizeof(r->zone), d->zone);
	r->suspend = d->suspend;
}

static void
fill_claim(const struct bgdbops *d, struct msg_rec_dbops *r)
{
	r->observed = (uint64_t)d->observed_generation;
	r->phase = d->phase;
	r->cleanup = d->cleanup;
	r->ordinal = (uint8_t)(model_ordinal(d->instance, d->cluster) + 1);
	if (uid_parse(d->pod_uid, &r->pod) == -1)
		r->pod = (struct uid){0};
	if (uid_parse(d->instance_uid, &r->instance) == -1)
		r->instance = (struct uid){0};
	r->attempt = (uint16_t)d->attempt;
	r->retries = (uint32_t)d->retries;
	r->started = time_of(d->started_at);
	r->finished = time_of(d->finished_at);
	r->next_run = time_of(d->next_run);
	r->said = model_dbops_said(d->phase, (int64_t)r->next_run, d->message);
	r->percent = (uint8_t)d->percent;
	r->step = hash_str(HASH_INIT, d->step);
}

int
record_dbops(const struct record_source *s, struct arena *a, struct record *out, struct err *e)
{
	struct msg_rec_dbops *r = &out->rec_dbops;
	struct bgdbops d = {0};
	struct err why;

	out->type = IPC_REC_DBOPS;
	if (fill_dbops(s, r, e) == -1)
		return -1;
	r->created = time_at(s, "metadata.creationTimestamp");
	r->deleted = time_at(s, "metadata.deletionTimestamp");
	if (s->meta->deleting && r->deleted == 0)
		r->deleted = 1;
	if (decode_bgdbops(s->j, s->object, a, &d, &why) == -1) {
		str_copy_text(r->invalid, sizeof(r->invalid), str_of(why.text));
		/* What runs is to be ended. */
		if (decode_bgdbops_claim(s->j, s->object, a, &d, NULL) == -1) {
			r->phase = decode_dbops_end(s->j, s->object);
			return 0;
		}
		r->op = d.op;
	} else {
		fill_spec(&d, r);
	}
	fill_claim(&d, r);
	r->restarted = restarted(s, &d);
	return 0;
}
