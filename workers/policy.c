/*
 * What the executor does at all: one constant table of verb and child, with what the message must
 * carry and what the user's object must be. Pure. A message that no plan emits is a breach, and its
 * sender is killed; what a user's object can bring about is refused, and said in a condition on
 * that object. The reconciler checks most of this too; this table is what holds when the reconciler
 * was taken over.
 */
#include "workers/executor.h"

#include <stdio.h>
#include <string.h>

#define C(x) (1u << CHILD_##x)
#define RUNTIME                                                                                    \
	(C(SERVICEACCOUNT) | C(ROLE) | C(ROLEBINDING) | C(SERVICE_RW) | C(SERVICE_RO) |            \
	    C(SERVICE_PODS) | C(PDB) | C(STATEFULSET))
#define HEALED (RUNTIME & ~C(STATEFULSET))
#define DATA (C(ANCHOR) | C(CREDENTIALS) | C(APP))
#define MAKES (NEED_SPEC | NEED_LIVE | NEED_FINALIZER | NEED_NAME)
#define PURGES (NEED_SPEC | NEED_DELETING | NEED_FINALIZER | NEED_POLICY_DELETE)

/* Secrets are in no row of DELETE: only garbage collection may remove them. */
static const struct policy_row rows[] = {
    {"add finalizer", CHOICE_verb_ADD_FINALIZER, 0, 0, NEED_LIVE | NEED_NAME | NEED_ACTIVE},
    /* And it or its namespace is being deleted: verb_finalizer looks. */
    {"remove finalizer", CHOICE_verb_REMOVE_FINALIZER, 0, 0, 0},
    {"ensure data", CHOICE_verb_ENSURE, DATA, 0, MAKES | NEED_ACTIVE},
    /* A mistake in env must not keep RBAC and Services from being healed. */
    {"ensure runtime", CHOICE_verb_ENSURE, HEALED, 0, MAKES | NEED_ACTIVE},
    {"ensure statefulset", CHOICE_verb_ENSURE, C(STATEFULSET), 0, MAKES | NEED_ENV | NEED_ACTIVE},
    {"template", CHOICE_verb_TEMPLATE, 0, SHAPE_TARGET, MAKES | NEED_ENV | NEED_ACTIVE},
    {"restore template", CHOICE_verb_RESTORE_TEMPLATE, 0, SHAPE_TARGET,
	NEED_SPEC | NEED_LIVE | NEED_FINALIZER | NEED_ACTIVE},
    {"try template", CHOICE_verb_TRY_TEMPLATE, 0, SHAPE_TARGET, MAKES | NEED_ENV | NEED_ACTIVE},
    {"ensure instance", CHOICE_verb_ENSURE, C(INSTANCE), 0, MAKES | NEED_MEMBER | NEED_ACTIVE},
    {"delete runtime", CHOICE_verb_DELETE, RUNTIME, SHAPE_TARGET, NEED_DELETING | NEED_ACTIVE},
    {"delete instance", CHOICE_verb_DELETE, C(INSTANCE), SHAPE_TARGET, NEED_SURPLUS | NEED_ACTIVE},
    {"delete anchor", CHOICE_verb_DELETE, C(ANCHOR), SHAPE_TARGET,
	PURGES | NEED_DESTROYING | NEED_ACTIVE},
    {"orphan statefulset", CHOICE_verb_ORPHAN_STATEFULSET, 0, SHAPE_TARGET,
	NEED_SPEC | NEED_LIVE | NEED_ACTIVE},
    {"hold", CHOICE_verb_HOLD, 0, 0, NEED_ACTIVE},
    {"release", CHOICE_verb_RELEASE, 0, 0, NEED_SPEC | NEED_AWAKE | NEED_ACTIVE},
    {"stop patroni", CHOICE_verb_STOP_PATRONI, 0, 0, NEED_SPEC | NEED_RESTING | NEED_ACTIVE},
    {"stop postgresql", CHOICE_verb_STOP_POSTGRESQL, 0, 0, NEED_SPEC | NEED_RESTING | NEED_ACTIVE},
    {"observe pod", CHOICE_verb_OBSERVE_POD, 0, 0, 0},
    {"observe pods", CHOICE_verb_OBSERVE_PODS, 0, 0, 0},
    {"observe pvc", CHOICE_verb_OBSERVE_PVC, 0, 0, NEED_SPEC},
    {"observe namespace", CHOICE_verb_OBSERVE_NAMESPACE, 0, 0, 0},
    /* Of a cluster that is being deleted too: an orphaned pod ends only if it is told. */
    {"replace pod", CHOICE_verb_REPLACE_POD, 0, SHAPE_TARGET, NEED_ACTIVE},
    {"replace pvc", CHOICE_verb_REPLACE_PVC, 0, SHAPE_TARGET, NEED_LIVE | NEED_ACTIVE},
    {"expand pvc", CHOICE_verb_EXPAND_PVC, 0, 0, NEED_SPEC | NEED_LIVE | NEED_MEMBER | NEED_ACTIVE},
    {"delete pvc", CHOICE_verb_DELETE_PVC, 0, SHAPE_TARGET,
	NEED_SPEC | NEED_LIVE | NEED_SURPLUS | NEED_SCALE_DELETE | NEED_ACTIVE},
    {"destroy anchor", CHOICE_verb_DESTROY_ANCHOR, 0, 0, PURGES | NEED_ACTIVE},
    {"delete pvcs", CHOICE_verb_DELETE_PVCS, 0, 0, PURGES | NEED_DESTROYING | NEED_ACTIVE},
    {"delete configmaps", CHOICE_verb_DELETE_CONFIGMAPS, 0, 0,
	PURGES | NEED_DESTROYING | NEED_ACTIVE},
    /* Patroni refuses a switchover that no replica is fit for. */
    {"switchover", CHOICE_verb_SWITCHOVER, 0, SHAPE_TARGET, NEED_LIVE | NEED_ACTIVE},
    {"restart", CHOICE_verb_RESTART, 0, SHAPE_TARGET, NEED_LIVE | NEED_MEMBER | NEED_ACTIVE},
    /* Of whom the pod finds that no other instance leads, nothing is touched. */
    {"reinit", CHOICE_verb_REINIT, 0, SHAPE_TARGET,
	NEED_SPEC | NEED_LIVE | NEED_MEMBER | NEED_AWAKE | NEED_ACTIVE},
    {"unreachable", CHOICE_verb_UNREACHABLE, 0, SHAPE_TARGET, 0},
    /* Of a BGDbOps: executor_dbops*.c compare its status, and what the verb needs of the rest. */
    {"dbops tell", CHOICE_verb_DBOPS_TELL, 0, SHAPE_TARGET | SHAPE_DBOPS, NEED_SPEC},
    {"dbops cancel", CHOICE_verb_DBOPS_CANCEL, 0, SHAPE_DBOPS, 0},
    {"dbops say", CHOICE_verb_DBOPS_SAY, 0, SHAPE_DBOPS, NEED_SPEC},
    {"dbops progress", CHOICE_verb_DBOPS_PROGRESS, 0, SHAPE_DBOPS, NEED_SPEC},
    {"dbops next", CHOICE_verb_DBOPS_NEXT, 0, SHAPE_DBOPS, NEED_SPEC},
    {"dbops retry", CHOICE_verb_DBOPS_RETRY, 0, SHAPE_DBOPS, NEED_SPEC},
    {"dbops finish", CHOICE_verb_DBOPS_FINISH, 0, SHAPE_DBOPS, 0},
    {"dbops cleaned", CHOICE_verb_DBOPS_CLEANED, 0, SHAPE_DBOPS, 0},
    {"dbops release", CHOICE_verb_DBOPS_RELEASE, 0, SHAPE_DBOPS, 0},
    {"dbops delete", CHOICE_verb_DBOPS_DELETE, 0, SHAPE_DBOPS, NEED_SPEC},
    {"status", CHOICE_verb_STATUS, 0, 0, 0},
    {"event", CHOICE_verb_EVENT, 0, 0, 0},
};
#define ROWS (sizeof(rows) / sizeof(rows[0]))

static void
judge(struct policy_verdict *v, enum verdict verdict, enum choice_reason reason, const char *row,
    const char *text)
{
	v->verdict = verdict;
	v->reason = reason;
	snprintf(v->text, sizeof(v->text), "policy, %s: %s", row != NULL ? row : "?", text);
}

static const struct policy_row *
find_row(uint8_t verb, uint8_t child)
{
	for (size_t i = 0; i < ROWS; i++)
		if (rows[i].verb == verb &&
		    (rows[i].children == 0 || (rows[i].children & (1u << child))))
			return &rows[i];
	return NULL;
}

static bool
in_namespaces(const char *ns, char (*namespaces)[64], unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		if (strcmp(ns, namespaces[i]) == 0)
			return true;
	return false;
}

void
policy_check_message(const struct msg_step *s, char (*namespaces)[64], unsigned namespaces_n,
    const struct policy_row **row, struct policy_verdict *v)
{
	const struct policy_row *r = find_row(s->verb, s->child);
	const char *verb = choice_text(VOCAB_verb, s->verb);

	*row = NULL;
	if (r == NULL)
		judge(v, BREACH, REASON_NONE, verb, "there is no such step");
	else if (!in_namespaces(s->namespace, namespaces, namespaces_n))
		judge(v, BREACH, REASON_NONE, r->name, "the namespace is not one of ours");
	else if (s->name[0] == '\0' || uid_none(&s->uid))
		judge(v, BREACH, REASON_NONE, r->name, "no object is named");
	else if (s->ordinal >= INSTANCES_MAX)
		judge(v, BREACH, REASON_NONE, r->name, "no instance has that ordinal");
	else if ((r->shape & SHAPE_TARGET) && uid_none(&s->target))
		judge(v, BREACH, REASON_NONE, r->name, "a removal without a target");
	else {
		v->verdict = ALLOW;
		v->reason = REASON_NONE;
		v->text[0] = '\0';
		*row = r;
	}
}

void
policy_check_dbops(const struct policy_row *row, bool dbops, struct policy_verdict *v)
{
	if (((row->shape & SHAPE_DBOPS) != 0) != dbops)
		judge(v, BREACH, REASON_NONE, row->name, "it came in another message");
}

/*
 * Patroni's ConfigMaps of cluster "x" are "x-config", ...: a cluster of such a name would be
 * confused with them.
 */
static bool
has_reserved_name(struct str name)
{
	static const char *const suffixes[] = {"-config", "-leader", "-failover", "-sync"};

	for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++)
		if (str_ends(name, suffixes[i]))
			return true;
	return false;
}

/*
 * The first variable of spec.env that Bestgres must win; false = none. What is no list of objects
 * is the renderer's to refuse.
 */
static bool
owned_variable(const struct bgcluster *c, struct arena *a, struct str *out)
{
	struct json j;

	if (c->env.len == 0 || json_parse(&j, c->env, a, NULL) == -1 ||
	    json_type(&j, json_root(&j)) != JSON_T_ARRAY)
		return false;
	for (int k = json_first(&j, json_root(&j)); k != JSON_NONE; k = json_next(&j, k)) {
		int name =
		    json_type(&j, k) == JSON_T_OBJECT ? json_get(&j, k, STR("name")) : JSON_NONE;

		if (json_type(&j, name) == JSON_T_STRING &&
		    json_string(&j, name, NAME_MAX_OBJECT, a, out, NULL) == 0 &&
		    model_variable_owned(*out))
			return true;
	}
	return false;
}

static void
check_env(const struct policy_row *row, const struct bgcluster *c, struct arena *a,
    struct policy_verdict *v)
{
	struct str variable;
	char text[IPC_TEXT_MAX];

	if (!owned_variable(c, a, &variable))
		return;
	snprintf(
	    text, sizeof(text), "spec.env: %.*s is Bestgres's own", (int)variable.len, variable.p);
	judge(v, REFUSE, REASON_VARIABLE_OWNED, row->name, text);
}

bool
policy_is_going(const struct bgcluster *c)
{
	return c->meta.deleting && !c->deletion_protection;
}

void
policy_check_object(const struct policy_row *row, const struct msg_step *s,
    const struct bgcluster *c, struct arena *a, struct policy_verdict *v)
{
	/*
	 * An unreadable spec has 0 instances: then nothing but a deletion makes an instance one too
	 * many.
	 */
	bool going = policy_is_going(c);
	bool rests = going || c->hibernated || (model_fenced(c) >> s->ordinal & 1u);
	bool surplus = going || (c->instances > 0 && s->ordinal >= c->instances);

	v->verdict = ALLOW;
	v->reason = REASON_NONE;
	v->text[0] = '\0';
	if ((row->needs & NEED_ACTIVE) && c->meta.paused)
		judge(
		    v, REFUSE, REASON_PAUSED, row->name, "annotation " ANNOTATION_PAUSED " is set");
	else if ((row->needs & NEED_LIVE) && going)
		judge(v, REFUSE, REASON_DELETING, row->name, "metadata.deletionTimestamp is set");
	else if ((row->needs & NEED_DELETING) && c->meta.deleting && !going)
		judge(v, REFUSE, REASON_DELETION_PROTECTED, row->name,
		    "spec.deletionProtection is true");
	else if ((row->needs & NEED_DELETING) && !going)
		judge(v, REFUSE, REASON_NONE, row->name, "metadata.deletionTimestamp is not set");
	else if ((row->needs & NEED_FINALIZER) && !c->meta.finalizer)
		judge(v, REFUSE, REASON_NONE, row->name, "metadata.finalizers lacks " FINALIZER);
	else if ((row->needs & NEED_POLICY_DELETE) &&
		 c->deletion_policy != CHOICE_deletion_policy_DELETE)
		judge(v, REFUSE, REASON_NONE, row->name, "spec.deletionPolicy is not Delete");
	else if ((row->needs & NEED_SCALE_DELETE) && c->on_scale_down != CHOICE_scale_down_DELETE)
		judge(v, REFUSE, REASON_NONE, row->name, "spec.storage.onScaleDown is not Delete");
	else if ((row->needs & NEED_MEMBER) && surplus)
		judge(v, REFUSE, REASON_NONE, row->name, "the ordinal is not below spec.instances");
	else if ((row->needs & NEED_SURPLUS) && !surplus)
		judge(v, REFUSE, REASON_NONE, row->name, "the ordinal is below spec.instances");
	else if ((row->needs & NEED_AWAKE) && rests)
		judge(v, REFUSE, REASON_RESTING, row->name, "the spec wants it stopped");
	else if ((row->needs & NEED_RESTING) && !rests)
		judge(v, REFUSE, REASON_NONE, row->name, "the spec wants it to run");
	else if ((row->needs & NEED_NAME) && has_reserved_name(c->meta.name))
		judge(v, REFUSE, REASON_SPEC_INVALID, row->name,
		    "metadata.name ends like one of Patroni's ConfigMaps");
	else if (row->needs & NEED_ENV)
		check_env(row, c, a, v);
}
