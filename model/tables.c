/* The tables that model.h declares, and lookups in them; nothing else. */
#include "model/model.h"

/* clang-format off */
const struct kind_info kind_info[KIND_COUNT] = {
#define KIND(id, name, root, plural, watch) [KIND_##id] = {name, root, plural, WATCH_##watch},
#include "model/kinds.def"
#undef KIND
};

const struct child_info child_info[CHILD_COUNT] = {
#define CHILD(id, kind, suffix, groups, revision) \
	[CHILD_##id] = {KIND_##kind, suffix, groups, revision},
#include "model/children.def"
#undef CHILD
};

#define TASK(kind) .task = CHOICE_task_kind_##kind
#define OPERATION(kind) .operation = CHOICE_operation_##kind
const struct dbops_info dbops_info[CHOICE_dbops_op_COUNT] = {
    [CHOICE_dbops_op_RESTART] = {OPERATION(RESTART_ALWAYS), .repeatable = true, .disruptive = true},
    [CHOICE_dbops_op_RELOAD] = {OPERATION(RELOAD), .repeatable = true},
    [CHOICE_dbops_op_SWITCHOVER] = {OPERATION(SWITCHOVER), .disruptive = true},
    [CHOICE_dbops_op_FAILOVER] = {OPERATION(FAILOVER), .disruptive = true},
    [CHOICE_dbops_op_REINIT] = {OPERATION(REINIT), .disruptive = true},
    [CHOICE_dbops_op_CHECKPOINT] = {TASK(CHECKPOINT), .repeatable = true},
    [CHOICE_dbops_op_VACUUM] = {TASK(VACUUM), .repeatable = true},
    [CHOICE_dbops_op_ANALYZE] = {TASK(ANALYZE), .repeatable = true},
    [CHOICE_dbops_op_REINDEX] = {TASK(REINDEX), .repeatable = true, .leaves = true},
    [CHOICE_dbops_op_REPACK] = {TASK(REPACK), .repeatable = true, .leaves = true},
    [CHOICE_dbops_op_BENCHMARK] = {TASK(BENCHMARK), .leaves = true},
    [CHOICE_dbops_op_SQL] = {TASK(SQL)},
};
#undef TASK
#undef OPERATION

/*
 * What a task has for itself on its pod. TABLES: it rewrites or locks tables, its free space was
 * measured, and it may leave there what a cleanup removes; of a cleanup a BGInstance does not say
 * what it is of. A REINDEX CONCURRENTLY waits for snapshots, also for that of an ANALYZE, which may
 * wait for the lock that it has: a deadlock, of which it is the victim. SQL shares whatever there
 * is: its script says more.
 */
enum { TABLES = 1, BENCHMARK = 2, CHECKPOINT = 4, STATISTICS = 8 };
static const uint8_t task_owns[CHOICE_task_kind_COUNT] = {
    [CHOICE_task_kind_NONE] = UINT8_MAX, /* nobody knows */
    [CHOICE_task_kind_CHECKPOINT] = CHECKPOINT,
    [CHOICE_task_kind_VACUUM] = TABLES,
    [CHOICE_task_kind_ANALYZE] = STATISTICS,
    [CHOICE_task_kind_REINDEX] = TABLES | STATISTICS,
    [CHOICE_task_kind_REPACK] = TABLES,
    [CHOICE_task_kind_BENCHMARK] = BENCHMARK,
    [CHOICE_task_kind_SQL] = 0,
    [CHOICE_task_kind_CLEANUP] = TABLES, /* a benchmark's database has its own name */
};

const char *const task_keys[TASKS_MAX] = {TASK_KEY_0, TASK_KEY_1, TASK_KEY_2};

const struct reason_info reason_info[CHOICE_reason_COUNT] = {
#define REASON(id, name, advice) [REASON_##id] = {name, advice},
#include "model/reasons.def"
#undef REASON
};

#define CHOICES(name) static const char *const texts_##name[] = {
#define CHOICE_ROW(name, id, text) [CHOICE_##name##_##id] = text,
#define END_CHOICES(name) };
#include "model/choices.def"
#undef CHOICES
#undef CHOICE_ROW
#undef END_CHOICES

static const struct {
	const char *const *texts;
	unsigned n;
} vocabs[VOCAB_COUNT] = {
#define CHOICES(name) [VOCAB_##name] = {texts_##name, CHOICE_##name##_COUNT},
#define CHOICE_ROW(...)
#define END_CHOICES(name)
#include "model/choices.def"
#undef CHOICES
#undef CHOICE_ROW
#undef END_CHOICES
    [VOCAB_reason] = {NULL, CHOICE_reason_COUNT},
};

/* clang-format on */

unsigned
choice_count(enum vocab v)
{
	return vocabs[v].n;
}

const char *
choice_text(enum vocab v, unsigned n)
{
	if (n >= vocabs[v].n)
		return NULL;
	return v == VOCAB_reason ? reason_info[n].name : vocabs[v].texts[n];
}

int
choice_find(enum vocab v, struct str s)
{
	for (unsigned n = 0; n < vocabs[v].n; n++)
		if (str_is(s, choice_text(v, n)))
			return (int)n;
	return -1;
}

uint64_t
model_child_inputs(enum child c, const uint64_t hash[GROUP_COUNT])
{
	uint64_t h = HASH_INIT;

	for (unsigned g = 0; g < GROUP_COUNT; g++)
		if (child_info[c].groups & (1u << g))
			h = hash_u64(h, hash[g]);
	return h;
}

uint64_t
model_pod_inputs(const uint64_t hash[GROUP_COUNT])
{
	return hash_u64(hash_u64(HASH_INIT, hash[GROUP_POD]), hash[GROUP_META]);
}

void
model_child_name(char out[NAME_MAX_LABEL + 1], enum child c, const char *cluster, unsigned ordinal)
{
	int n;

	if (c == CHILD_INSTANCE)
		n = snprintf(out, NAME_MAX_LABEL + 1, "%s-%u", cluster, ordinal);
	else
		n = snprintf(out, NAME_MAX_LABEL + 1, "%s%s", cluster, child_info[c].suffix);
	if (n < 0 || n > NAME_MAX_LABEL)
		die("the name of a child of %s is too long", cluster);
}

struct uid
model_operation_id(const struct uid *dbops, uint64_t attempt, unsigned ordinal)
{
	uint64_t h = hash_u64(hash_u64(HASH_INIT, attempt), ordinal);
	struct uid id = *dbops;

	h = hash_bytes(h, dbops, sizeof(*dbops));
	for (unsigned i = 0; i < sizeof(h); i++)
		id.b[i] = (uint8_t)(h >> 8 * i);
	return id;
}

uint64_t
model_uid_key(const struct uid *u)
{
	return uid_none(u) ? 0 : hash_bytes(HASH_INIT, u->b, sizeof(u->b)) | 1;
}

bool
model_tasks_conflict(unsigned kind, unsigned other)
{
	return (task_owns[kind] & task_owns[other]) != 0;
}

int
model_ordinal(struct str name, struct str cluster)
{
	uint64_t n;

	if (name.len < cluster.len + 2 || memcmp(name.p, cluster.p, cluster.len) != 0 ||
	    name.p[cluster.len] != '-' ||
	    str_to_u64((struct str){name.p + cluster.len + 1, name.len - cluster.len - 1}, &n) ==
		-1 ||
	    n >= INSTANCES_MAX || (name.p[cluster.len + 1] == '0' && name.len > cluster.len + 2))
		return -1;
	return (int)n;
}

uint64_t
model_dbops_said(unsigned phase, int64_t next_run_s, struct str message)
{
	return hash_str(hash_u64(hash_u64(HASH_INIT, phase), (uint64_t)next_run_s), message);
}

int64_t
model_replicas(const struct bgcluster *c)
{
	return c->hibernated ? 0 : c->instances;
}

uint32_t
model_fenced(const struct bgcluster *c)
{
	char name[NAME_MAX_LABEL + 1];
	uint32_t mask = 0;

	for (unsigned i = 0; i < INSTANCES_MAX; i++) {
		int n = snprintf(
		    name, sizeof(name), "%.*s-%u", (int)c->meta.name.len, c->meta.name.p, i);

		for (size_t k = 0; n > 0 && k < c->fenced_instances.n; k++)
			if (str_is(c->fenced_instances.at[k], name))
				mask |= 1u << i;
	}
	return mask;
}

static bool
in_table(struct str name, const char *const *table)
{
	for (; *table != NULL; table++)
		if (str_is(name, *table))
			return true;
	return false;
}

bool
model_parameter_owned(struct str name)
{
	static const char *const owned[] = {
#define OWNED_PARAMETER(name) name,
#include "model/owned.def"
	    NULL};
	return in_table(name, owned);
}

bool
model_variable_owned(struct str name)
{
	static const char *const owned[] = {
#define OWNED_VARIABLE(name) name,
#include "model/owned.def"
	    NULL};
	return in_table(name, owned);
}

uint64_t
model_status_hash(const struct cluster_status *s)
{
	uint64_t h = HASH_INIT;

	if (s->n == 0 && s->phase.len == 0)
		return 0;
	h = hash_u64(h, s->ready_instances);
	h = hash_str(h, s->primary);
	h = hash_str(h, s->phase);
	h = hash_u64(h, (uint64_t)s->generation);
	for (unsigned i = 0; i < s->n; i++) {
		h = hash_u64(h, s->conditions[i].type);
		h = hash_u64(h, s->conditions[i].status);
		h = hash_u64(h, s->conditions[i].reason);
		h = hash_str(h, s->conditions[i].text);
	}
	return h;
}
