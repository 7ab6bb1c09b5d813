/*
 * The watcher's records, checked beyond what the codec can (names agree, the namespace is ours, the
 * kind is watched) and taken into the table. A record that makes no sense is the watcher's breach.
 * For reconciler.c.
 */
#include <stddef.h>
#include <string.h>

#include "workers/reconciler.h"

static bool
is_listing(const struct feed *f, unsigned namespace, enum kind kind)
{
	return f->table->namespaces[namespace].open & 1u << kind;
}

/* --- BGClusters. */

static uint64_t
quarantined_generation(const struct feed *f, const struct uid *uid)
{
	uint64_t generation = 0;

	for (unsigned i = 0; i < f->quarantine_n && i < QUARANTINE_MAX; i++)
		if (uid_eq(&f->quarantine[i].uid, uid) && f->quarantine[i].generation > generation)
			generation = f->quarantine[i].generation;
	return generation;
}

static const char *
check_cluster(const struct msg_rec_cluster *r)
{
	if (r->name[0] == '\0' || uid_none(&r->uid))
		return "a BGCluster without a name or uid";
	if (r->instances == 0 && r->invalid[0] == '\0')
		return "a BGCluster of no instances";
	for (unsigned i = 0; i < r->windows.n; i++)
		if (r->windows.at[i].days == 0)
			return "a maintenance window on no day";
	return NULL;
}

static struct plan_said
said_of(const struct msg_rec_cluster *r)
{
	struct plan_said said = {.primary = r->primary};

	for (unsigned i = 0; i < r->said.n; i++) {
		const struct ipc_condition *k = &r->said.at[i];

		said.reasons[k->type] = k->reason;
		if (k->type == CHOICE_condition_type_READY)
			said.ready = k->status == CHOICE_condition_status_TRUE;
	}
	return said;
}

static const char *
on_cluster(struct feed *f, const struct ipc_msg *m, unsigned namespace, struct msec now)
{
	const struct msg_rec_cluster *r = &m->rec_cluster;
	const char *breach = check_cluster(r);
	struct entry *e;
	struct plan_wanted w = {
	    .uid = r->uid,
	    .generation = r->generation,
	    .version = r->version,
	    .hash = {[GROUP_POD] = r->h_pod,
		[GROUP_SCALE] = r->h_scale,
		[GROUP_STORAGE] = r->h_storage,
		[GROUP_SERVICE] = r->h_service,
		[GROUP_CONFIG] = r->h_config,
		[GROUP_BOOTSTRAP] = r->h_bootstrap,
		[GROUP_META] = r->h_meta,
		[GROUP_LIFE] = r->h_life,
		[GROUP_REST] = r->h_rest},
	    .status = r->status,
	    .said = said_of(r),
	    .deleting = r->deleting && !r->protected,
	    .blocked = r->deleting && r->protected,
	    .paused = r->paused,
	    .finalizer = r->finalizer,
	    .invalid = r->invalid[0] != '\0',
	    .instances = r->instances,
	    .policy = r->deletion_policy,
	    .update = r->update_strategy,
	    .hibernated = r->hibernated,
	    .loop_wait = r->loop_wait,
	    .grace = r->grace,
	    .fenced = r->fenced,
	    .scale_down = r->on_scale_down,
	};

	if (breach != NULL)
		return breach;
	e = table_add(f->table, namespace, r->name);
	if (e == NULL) {
		f->refused(f->arg, r);
		return NULL;
	}
	table_grow_instances(e, r->instances);
	plan_note_cluster(&e->plan, &w, is_listing(f, namespace, KIND_BGCLUSTER), now);
	if (uid_eq(&e->plan.wanted.uid, &r->uid) && e->plan.wanted.version == r->version) {
		table_keep_text(&e->plan.invalid_text, r->invalid);
		table_keep_windows(&e->plan.windows, &r->windows);
		plan_note_quarantine(&e->plan, quarantined_generation(f, &r->uid));
	}
	e->named = true;
	table_dirty(f->table, e);
	return NULL;
}

/* --- Their children. */

struct child_record {
	enum child child;
	unsigned ordinal;
	const char *cluster;
	struct plan_object object;
};

/* NULL: there is no room. taken: it is news, not something older than what is known. */
static struct entry *
take_child(struct feed *f, unsigned namespace, const struct child_record *r, bool *taken)
{
	struct entry *e = table_add(f->table, namespace, r->cluster);
	struct plan_child *s;

	if (e == NULL)
		return NULL;
	if (r->child == CHILD_INSTANCE)
		table_grow_instances(e, r->ordinal + 1);
	*taken = plan_note_child(&e->plan, r->child, r->ordinal, &r->object,
	    is_listing(f, namespace, child_info[r->child].kind));
	s = r->child == CHILD_INSTANCE ? &e->plan.instance[r->ordinal].child
	                               : &e->plan.child[r->child];
	s->named = true;
	table_dirty(f->table, e);
	return e;
}

static const char *
check_child(const struct child_record *r)
{
	if (r->cluster[0] == '\0' || uid_none(&r->object.uid))
		return "an object without a cluster or uid";
	if (kind_info[child_info[r->child].kind].watch == WATCH_NONE)
		return "an object of a kind that is never watched";
	return NULL;
}

#define OBJECT(r)                                                                                  \
	{                                                                                          \
		.uid = (r)->uid, .owner = (r)->owner, .generation = (r)->generation,               \
		.version = (r)->version, .inputs = (r)->inputs, .revision = (r)->inputs_revision,  \
		.deleting = (r)->deleting                                                          \
	}

static void
take_tasks(const struct ipc_tasks *t, struct plan_report *out)
{
	for (unsigned slot = 0; slot < t->n; slot++)
		out->task[slot] = (struct plan_task){.owner = model_uid_key(&t->at[slot].id),
		    .step = (uint32_t)t->at[slot].step,
		    .attempt = t->at[slot].attempt,
		    .kind = t->at[slot].kind,
		    .phase = t->at[slot].phase,
		    .percent = t->at[slot].percent,
		    .cancel = t->at[slot].cancel,
		    .interrupted = t->at[slot].interrupted};
}

static const char *
on_instance(struct feed *f, const struct ipc_msg *m, unsigned namespace, struct msec now)
{
	const struct msg_rec_instance *r = &m->rec_instance;
	struct child_record c = {CHILD_INSTANCE, r->ordinal, r->cluster, OBJECT(r)};
	struct plan_report report = {.pod_uid = r->pod_uid,
	    .config_generation = r->config_generation,
	    .timeline = r->timeline,
	    .state = r->state,
	    .role = r->role,
	    .lag = r->lag,
	    .reason = r->reason,
	    .disk = r->disk,
	    .hold = r->hold,
	    .stop = r->stop,
	    .operation = r->operation,
	    .operation_phase = r->operation_phase,
	    .operation_interrupted = r->operation_interrupted,
	    .operation_attempt = r->operation_attempt,
	    .operation_generation = (uint32_t)r->operation_generation,
	    .operation_id = model_uid_key(&r->operation_id),
	    .system_identifier = r->system_identifier,
	    .task_slots = r->task_slots,
	    .pod_inputs = r->pod_inputs,
	    .pending_restart = r->pending_restart,
	    .restart_lowers = r->restart_lowers,
	    .paused = r->patroni_paused,
	    .pgdata_empty = r->pgdata_empty,
	    .bootstrapped = r->bootstrapped};
	const char *breach = check_child(&c);
	struct entry *e;
	bool taken;

	(void)now;
	take_tasks(&r->tasks, &report);
	if (breach != NULL)
		return breach;
	e = take_child(f, namespace, &c, &taken);
	if (e == NULL || !taken)
		return NULL;
	plan_note_report(&e->plan, r->ordinal, &report);
	table_keep_text(&e->plan.instance[r->ordinal].report_text, r->text);
	return NULL;
}

static const char *
on_statefulset(struct feed *f, const struct ipc_msg *m, unsigned namespace, struct msec now)
{
	const struct msg_rec_statefulset *r = &m->rec_statefulset;
	struct child_record c = {CHILD_STATEFULSET, 0, r->cluster, OBJECT(r)};
	struct plan_statefulset s = {.replicas = r->replicas,
	    .ready = r->ready,
	    .pod_inputs = r->pod_inputs,
	    .storage_inputs = r->storage_inputs,
	    .last_good = r->last_good};
	const char *breach = check_child(&c);
	struct entry *e;
	bool taken;

	if (breach != NULL)
		return breach;
	e = take_child(f, namespace, &c, &taken);
	if (e != NULL && taken)
		plan_note_statefulset(&e->plan, &s, now);
	return NULL;
}

static const char *
on_child(struct feed *f, const struct ipc_msg *m, unsigned namespace, struct msec now)
{
	const struct msg_rec_child *r = &m->rec_child;
	struct child_record c = {r->child, 0, r->cluster, OBJECT(r)};
	const char *breach = check_child(&c);
	bool taken;

	(void)now;
	if (breach != NULL)
		return breach;
	if (c.child == CHILD_INSTANCE || c.child == CHILD_STATEFULSET)
		return "an instance or a StatefulSet as a mere child";
	take_child(f, namespace, &c, &taken);
	return NULL;
}

static const char *
on_dbops(struct feed *f, const struct ipc_msg *m, unsigned namespace, struct msec now)
{
	const struct msg_rec_dbops *r = &m->rec_dbops;
	uint64_t generation = quarantined_generation(f, &r->uid);
	bool left_out = false;
	const char *breach =
	    dbops_take(f->table, namespace, r, is_listing(f, namespace, KIND_BGDBOPS),
		generation != 0 && generation == r->generation, &left_out);

	(void)now;
	if (left_out)
		f->left_out(f->arg, namespace, r);
	return breach;
}

static const char *
on_gone(struct feed *f, const struct ipc_msg *m, unsigned namespace, struct msec now)
{
	const struct msg_rec_gone *r = &m->rec_gone;
	struct entry *e = table_find(f->table, namespace, r->cluster);

	(void)now;
	if (uid_none(&r->uid))
		return "something without a uid is gone";
	if (r->kind != KIND_BGCLUSTER && r->kind != KIND_BGDBOPS &&
	    (r->kind != child_info[r->child].kind || kind_info[r->kind].watch == WATCH_NONE))
		return "an object of another kind than its place is gone";
	if (e == NULL)
		return NULL;
	if (r->kind == KIND_BGCLUSTER)
		plan_note_cluster_gone(&e->plan, &r->uid);
	else if (r->kind == KIND_BGDBOPS)
		dbops_gone(f->table, e, &r->uid);
	else if (r->child != CHILD_INSTANCE || r->ordinal < e->plan.instances_n)
		plan_note_child_gone(
		    &e->plan, r->child, r->child == CHILD_INSTANCE ? r->ordinal : 0, &r->uid);
	table_dirty(f->table, e);
	return NULL;
}

static const char *
on_begin(struct feed *f, const struct ipc_msg *m, unsigned namespace, struct msec now)
{
	(void)now;
	return table_snap_begin(f->table, namespace, m->snap_begin.kind, m->snap_begin.number);
}

static const char *
on_end(struct feed *f, const struct ipc_msg *m, unsigned namespace, struct msec now)
{
	(void)now;
	return table_snap_end(f->table, namespace, m->snap_end.kind, m->snap_end.number);
}

static const struct {
	const char *(*take)(
	    struct feed *f, const struct ipc_msg *m, unsigned namespace, struct msec now);
	size_t namespace; /* where it stands in struct ipc_msg */
} handlers[IPC_TYPE_COUNT] = {
    [IPC_SNAP_BEGIN] = {on_begin, offsetof(struct ipc_msg, snap_begin.namespace)},
    [IPC_SNAP_END] = {on_end, offsetof(struct ipc_msg, snap_end.namespace)},
    [IPC_REC_CLUSTER] = {on_cluster, offsetof(struct ipc_msg, rec_cluster.namespace)},
    [IPC_REC_INSTANCE] = {on_instance, offsetof(struct ipc_msg, rec_instance.namespace)},
    [IPC_REC_STATEFULSET] = {on_statefulset, offsetof(struct ipc_msg, rec_statefulset.namespace)},
    [IPC_REC_CHILD] = {on_child, offsetof(struct ipc_msg, rec_child.namespace)},
    [IPC_REC_DBOPS] = {on_dbops, offsetof(struct ipc_msg, rec_dbops.namespace)},
    [IPC_REC_GONE] = {on_gone, offsetof(struct ipc_msg, rec_gone.namespace)},
};

const char *
feed_take(struct feed *f, const struct ipc_msg *m, struct msec now)
{
	int namespace;

	if (handlers[m->type].take == NULL)
		return "a message that is no record";
	namespace = table_namespace(f->table, (const char *)m + handlers[m->type].namespace);
	if (namespace == -1)
		return "a record of a namespace that is not ours";
	return handlers[m->type].take(f, m, (unsigned)namespace, now);
}

void
feed_quarantine(struct feed *f, const struct msg_quarantine *m)
{
	struct entry *e;

	if (uid_none(&m->uid))
		return; /* a line that only the watcher knows */
	f->quarantine[f->quarantine_n++ % QUARANTINE_MAX] =
	    (struct feed_quarantine){m->uid, m->generation};
	dbops_quarantine(f->table, &m->uid, m->generation);
	e = table_find_uid(f->table, &m->uid);
	if (e == NULL)
		return;
	plan_note_quarantine(&e->plan, m->generation);
	table_dirty(f->table, e);
}
