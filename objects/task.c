/*
 * A task in BGInstance.spec, and spec.operation, as a BGDbOps asks for them: merge patches that
 * take out what an earlier one put there. The pod quotes names and checks all of it again.
 */
#include "objects/objects.h"

static void
put_bool(struct jw *w, const char *key, bool value)
{
	jw_key(w, key);
	if (value)
		jw_bool(w, true);
	else
		jw_null(w);
}

static void
put_list(struct jw *w, const char *key, const struct str_list *list)
{
	jw_key(w, key);
	if (list->n == 0) {
		jw_null(w);
		return;
	}
	jw_array(w);
	for (size_t i = 0; i < list->n; i++)
		jw_str(w, list->at[i]);
	jw_end(w);
}

static void
put_int(struct jw *w, const char *key, bool has, int64_t value)
{
	jw_key(w, key);
	if (has)
		jw_int(w, value);
	else
		jw_null(w);
}

static int64_t
timeout_of(const struct bgdbops *d, bool cleanup)
{
	int64_t s = 0;

	if (cleanup || time_parse_duration(d->timeout, &s) == -1)
		return cleanup ? TASK_CLEANUP_S : 0;
	return s > TASK_TIMEOUT_MAX_S ? TASK_TIMEOUT_MAX_S : s;
}

/* A cleanup has those of what it cleans up after. */
static void
put_lists(struct jw *w, const struct bgdbops *d)
{
	static const struct str_list none;
	const struct str_list *databases = &none, *tables = &none;

	switch ((unsigned)dbops_info[d->op].task) {
	case CHOICE_task_kind_VACUUM:
		databases = &d->vacuum_databases;
		tables = &d->vacuum_tables;
		break;
	case CHOICE_task_kind_ANALYZE:
		databases = &d->analyze_databases;
		tables = &d->analyze_tables;
		break;
	case CHOICE_task_kind_REINDEX:
		databases = &d->reindex_databases;
		tables = &d->reindex_tables;
		break;
	case CHOICE_task_kind_REPACK:
		databases = &d->repack_databases;
		tables = &d->repack_tables;
		break;
	default:
		break;
	}
	put_list(w, "databases", databases);
	put_list(w, "tables", tables);
}

static void
put_parameters(struct jw *w, const struct bgdbops *d, unsigned kind)
{
	bool vacuum = kind == CHOICE_task_kind_VACUUM, reindex = kind == CHOICE_task_kind_REINDEX;
	bool bench = kind == CHOICE_task_kind_BENCHMARK, sql = kind == CHOICE_task_kind_SQL;

	put_lists(w, d);
	put_bool(w, "full", vacuum && d->full);
	put_bool(w, "freeze", vacuum && d->freeze);
	put_bool(w, "analyze", vacuum && d->analyze);
	put_bool(w, "disablePageSkipping", vacuum && d->all_pages);
	jw_key(w, "concurrently");
	if (reindex)
		jw_bool(w, d->concurrently);
	else
		jw_null(w);
	put_bool(w, "onlyInvalid", reindex && d->only_invalid);
	put_int(w, "scale", bench, d->scale);
	put_int(w, "durationSeconds", bench, d->duration);
	put_int(w, "clients", bench, d->clients);
	put_int(w, "threads", bench, d->threads);
	jw_kv_or_null(
	    w, "mode", bench ? str_of(choice_text(VOCAB_benchmark_mode, d->mode)) : STR(""));
	jw_kv_or_null(w, "scriptConfigMap", bench ? d->benchmark_map : sql ? d->sql_map : STR(""));
	jw_kv_or_null(w, "scriptKey", bench ? d->benchmark_key : sql ? d->sql_key : STR(""));
	put_bool(w, "singleTransaction", sql && d->single_transaction);
	put_bool(w, "superuser", sql && d->superuser);
	jw_kv_or_null(w, "database", sql ? d->sql_database : STR(""));
}

void
objects_render_task(const struct bgdbops *d, const struct dbops_claim *c, struct buf *out)
{
	unsigned kind = c->cleanup ? CHOICE_task_kind_CLEANUP : dbops_info[d->op].task;
	char id[UID_TEXT_SIZE], pod[UID_TEXT_SIZE];
	int64_t timeout = timeout_of(d, c->cleanup);
	struct jw w;

	uid_format(id, &d->meta.uid);
	uid_format(pod, &c->pod);
	jw_init(&w, out);
	jw_object(&w);
	jw_key(&w, "spec");
	jw_object(&w);
	jw_key(&w, task_keys[c->slot]);
	jw_object(&w);
	jw_kv(&w, "id", id);
	jw_kv_int(&w, "attempt", c->attempt);
	jw_kv(&w, "podUID", pod);
	jw_kv(&w, "kind", choice_text(VOCAB_task_kind, kind));
	put_bool(&w, "cancel", false);
	put_int(&w, "timeoutSeconds", timeout > 0, timeout);
	put_parameters(&w, d, kind);
	jw_end(&w);
	jw_end(&w);
	jw_end(&w);
}

void
objects_render_operation(const struct bgdbops *d, const struct dbops_claim *c, struct buf *out)
{
	struct uid uid = model_operation_id(&d->meta.uid, c->attempt, c->ordinal);
	char id[UID_TEXT_SIZE], pod[UID_TEXT_SIZE];
	struct jw w;

	uid_format(id, &uid);
	uid_format(pod, &c->pod);
	jw_init(&w, out);
	jw_object(&w);
	jw_key(&w, "spec");
	jw_object(&w);
	jw_key(&w, "operation");
	jw_object(&w);
	jw_kv(&w, "id", id);
	jw_kv(&w, "kind", choice_text(VOCAB_operation, dbops_info[d->op].operation));
	jw_kv(&w, "podUID", pod);
	jw_kv_or_null(&w, "candidate",
	    d->op == CHOICE_dbops_op_SWITCHOVER ? d->switchover_to
	    : d->op == CHOICE_dbops_op_FAILOVER ? str_of(c->instance)
						: STR(""));
	jw_key(&w, "attempt"); /* those of reinits that the operator asks for by itself */
	jw_null(&w);
	jw_key(&w, "generation");
	jw_null(&w);
	jw_end(&w);
	jw_end(&w);
	jw_end(&w);
}
