/*
 * The BGDbOps' .status as a merge patch: every field but those that only its reader needs, so that
 * what an earlier phase said does not stay. And its parts that are lists: servers that were
 * restarted, runs of a schedule, results.
 */
#include "objects/objects.h"

/* --- Conditions. */

static const struct condition *
find_condition(const struct bgdbops *seen, const char *type)
{
	for (unsigned i = 0; i < seen->conditions_n; i++)
		if (str_is(seen->conditions[i].type, type))
			return &seen->conditions[i];
	return NULL;
}

/* Why it failed stays where a write only tells more of that, such as what was cleaned up. */
static const char *
reason_of(const struct bgdbops *seen, const struct dbops_status *s, const struct condition *old)
{
	int before = old != NULL && s->phase == seen->phase
	                 ? choice_find(VOCAB_dbops_reason, old->reason)
	                 : CHOICE_dbops_reason_NONE;

	if (s->reason != CHOICE_dbops_reason_NONE)
		return choice_text(VOCAB_dbops_reason, s->reason);
	if (before > CHOICE_dbops_reason_NONE)
		return choice_text(VOCAB_dbops_reason, (unsigned)before);
	return choice_text(VOCAB_dbops_phase, s->outcome);
}

static void
put_condition(struct jw *w, const struct bgdbops *seen, const struct dbops_status *s,
    const char *type, bool is)
{
	const struct condition *old = find_condition(seen, type);
	const char *status = is ? "True" : "False";
	bool same = old != NULL && str_is(old->status, status) && old->last_transition.len > 0;

	jw_object(w);
	jw_kv(w, "type", type);
	jw_kv(w, "status", status);
	jw_kv(w, "reason", reason_of(seen, s, old));
	jw_kv_str(w, "message", s->message);
	jw_kv_str(w, "lastTransitionTime", same ? old->last_transition : str_of(s->now));
	jw_kv_int(w, "observedGeneration", (int64_t)seen->meta.generation);
	jw_end(w);
}

/* What became of the last run stays until the next one begins. */
static bool
was(const struct bgdbops *seen, const struct dbops_status *s, const char *type)
{
	const struct condition *old = find_condition(seen, type);

	return s->outcome == CHOICE_dbops_phase_SCHEDULED && old != NULL &&
	       str_is(old->status, "True");
}

static void
put_conditions(struct jw *w, const struct bgdbops *seen, const struct dbops_status *s)
{
	jw_key(w, "conditions");
	jw_array(w);
	put_condition(w, seen, s, "Running", s->outcome == CHOICE_dbops_phase_RUNNING);
	put_condition(w, seen, s, "Completed",
	    s->outcome == CHOICE_dbops_phase_SUCCEEDED || was(seen, s, "Completed"));
	put_condition(w, seen, s, "Failed",
	    s->outcome == CHOICE_dbops_phase_FAILED || s->outcome == CHOICE_dbops_phase_CANCELLED ||
		was(seen, s, "Failed"));
	jw_end(w);
}

/* --- The patch. */

static void
put_raw(struct jw *w, const char *key, struct str json)
{
	jw_key(w, key);
	if (json.len == 0)
		jw_null(w);
	else
		jw_raw(w, json);
}

void
objects_dbops_status_of(const struct bgdbops *seen, const char *now, struct dbops_status *out)
{
	*out = (struct dbops_status){.now = now,
	    .phase = seen->phase,
	    .outcome = seen->phase,
	    .cleanup = seen->cleanup,
	    .message = seen->message,
	    .step = seen->step,
	    .percent = seen->percent,
	    .started_at = seen->started_at,
	    .finished_at = seen->finished_at,
	    .next_run = seen->next_run,
	    .attempt = seen->attempt,
	    .retries = seen->retries,
	    .instance = seen->instance,
	    .pod_uid = seen->pod_uid,
	    .instance_uid = seen->instance_uid,
	    .instances = seen->instances,
	    .results = seen->results,
	    .history = seen->history};
}

int
objects_render_dbops_status(
    const struct bgdbops *seen, const struct dbops_status *s, struct buf *out, struct err *e)
{
	struct jw w;

	jw_init(&w, out);
	jw_object(&w);
	jw_key(&w, "status");
	jw_object(&w);
	jw_kv_int(&w, "observedGeneration", (int64_t)seen->meta.generation);
	jw_kv(&w, "phase", choice_text(VOCAB_dbops_phase, s->phase));
	jw_kv_or_null(&w, "message", s->message);
	jw_kv_or_null(&w, "step", s->step);
	jw_kv_int(&w, "percent", s->percent);
	jw_kv_or_null(&w, "startedAt", s->started_at);
	jw_kv_or_null(&w, "finishedAt", s->finished_at);
	jw_kv_or_null(&w, "nextRun", s->next_run);
	jw_kv_int(&w, "attempt", s->attempt);
	jw_kv_int(&w, "retries", s->retries);
	jw_kv_or_null(&w, "instance", s->instance);
	jw_kv_or_null(&w, "podUID", s->pod_uid);
	jw_kv_or_null(&w, "instanceUID", s->instance_uid);
	jw_kv_or_null(&w, "cleanup", str_of(choice_text(VOCAB_dbops_cleanup, s->cleanup)));
	put_raw(&w, "instances", s->instances);
	/* A merge patch adds to an object: the claim of a run takes the last one's out. */
	put_raw(&w, "results", s->results);
	put_raw(&w, "history", s->history);
	if (s->has_output)
		jw_kv_or_null(&w, "output", s->output);
	put_conditions(&w, seen, s);
	jw_end(&w);
	jw_end(&w);
	if (!out->full)
		return 0;
	buf_reset(out);
	return err_set(e, ERR_LIMIT, "status of %.*s is too large", (int)seen->meta.name.len,
	    seen->meta.name.p);
}

/* --- Its lists. */

static void
put_server(struct jw *w, const struct dbops_server *s)
{
	jw_object(w);
	jw_kv_str(w, "name", s->name);
	jw_kv(w, "phase", choice_text(VOCAB_dbops_phase, s->phase));
	if (s->pod.len > 0)
		jw_kv_str(w, "podUID", s->pod);
	if (s->outage_ms > 0)
		jw_kv_int(w, "outageMs", s->outage_ms);
	if (s->message.len > 0)
		jw_kv_str(w, "message", s->message);
	jw_end(w);
}

static bool
is_due(struct str name, struct str cluster, uint32_t due)
{
	int ordinal = model_ordinal(name, cluster);

	return ordinal >= 0 && ordinal < INSTANCES_MAX && (due >> ordinal & 1u) != 0;
}

/* Those that were begun, but this one and who is due again; how many have succeeded. */
static unsigned
copy_servers(struct jw *w, struct str raw, struct str cluster, struct str but, uint32_t due,
    unsigned *all, struct arena *a)
{
	struct json j;
	unsigned succeeded = 0;

	if (raw.len == 0 || json_parse(&j, raw, a, NULL) == -1)
		return 0;
	for (int k = json_first(&j, json_root(&j)); k != JSON_NONE && *all < INSTANCES_MAX - 1;
	     k = json_next(&j, k)) {
		int phase = json_get(&j, k, STR("phase"));
		char name[NAME_MAX_LABEL + 2];

		json_copy_text(&j, json_get(&j, k, STR("name")), name, sizeof(name));
		if (str_is(but, name) || json_string_is(&j, phase, "Pending") ||
		    is_due(str_of(name), cluster, due))
			continue;
		jw_raw(w, json_raw(&j, k));
		succeeded += json_string_is(&j, phase, "Succeeded");
		++*all;
	}
	return succeeded;
}

unsigned
objects_dbops_servers(struct str before, struct str cluster, const struct dbops_server *s,
    uint32_t due, unsigned *all, struct buf *out, struct arena *a)
{
	unsigned succeeded;
	struct jw w;

	*all = 0;
	jw_init(&w, out);
	jw_array(&w);
	succeeded = copy_servers(&w, before, cluster, s != NULL ? s->name : STR(""), due, all, a);
	if (s != NULL) {
		put_server(&w, s);
		succeeded += s->phase == CHOICE_dbops_phase_SUCCEEDED;
		++*all;
	}
	for (unsigned i = 0; i < INSTANCES_MAX && *all < INSTANCES_MAX; i++) {
		if ((due >> i & 1u) == 0)
			continue;
		jw_object(&w);
		jw_key(&w, "name");
		jw_printf(&w, "%.*s-%u", (int)cluster.len, cluster.p, i);
		jw_kv(&w, "phase", "Pending");
		jw_end(&w);
		++*all;
	}
	jw_end(&w);
	return succeeded;
}

/* The first n elements. */
static void
copy_list(struct jw *w, struct str raw, unsigned n, struct arena *a)
{
	struct json j;

	if (raw.len == 0 || json_parse(&j, raw, a, NULL) == -1)
		return;
	for (int k = json_first(&j, json_root(&j)); k != JSON_NONE && n > 0;
	     k = json_next(&j, k), n--)
		jw_raw(w, json_raw(&j, k));
}

void
objects_dbops_history(const struct bgdbops *seen, const struct dbops_status *run,
    const char *outcome, struct buf *out, struct arena *a)
{
	unsigned limit = (unsigned)seen->history_limit;
	struct jw w;

	jw_init(&w, out);
	jw_array(&w);
	if (limit > 0) {
		jw_object(&w);
		if (run->started_at.len > 0)
			jw_kv_str(&w, "startedAt", run->started_at);
		jw_kv(&w, "finishedAt", run->now);
		jw_kv(&w, "phase", outcome);
		jw_kv_int(&w, "retries", run->retries);
		if (run->message.len > 0)
			jw_kv_str(&w, "message", run->message);
		if (run->results.len > 0)
			jw_kv_raw(&w, "results", run->results);
		jw_end(&w);
		copy_list(&w, seen->history, limit - 1, a);
	}
	jw_end(&w);
}

static void
put_number(struct jw *w, const char *key, int64_t v)
{
	if (v > 0)
		jw_kv_int(w, key, v);
}

static void
put_figure(struct jw *w, const char *key, struct str v)
{
	if (v.len > 0)
		jw_kv_str(w, key, v);
}

void
objects_dbops_results(
    const struct bginstance_task *t, int64_t restarted, int64_t outage_ms, struct buf *out)
{
	struct jw w;

	jw_init(&w, out);
	jw_object(&w);
	put_number(&w, "restarted", restarted);
	put_number(&w, "outageMs", outage_ms);
	if (t != NULL) {
		put_number(&w, "pagesRemoved", t->pages);
		put_number(&w, "tuplesRemoved", t->tuples);
		put_number(&w, "sizeBefore", t->size_before);
		put_number(&w, "sizeAfter", t->size_after);
		put_figure(&w, "tps", t->tps);
		put_figure(&w, "latencyAvg", t->latency_avg);
		put_figure(&w, "latencyStddev", t->latency_stddev);
		put_figure(&w, "latencyP50", t->latency_p50);
		put_figure(&w, "latencyP95", t->latency_p95);
		put_figure(&w, "latencyP99", t->latency_p99);
	}
	jw_end(&w);
}
