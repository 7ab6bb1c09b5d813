/*
 * From one object of the API to one typed record for the reconciler: pure. Whatever the API
 * server says, a record that leaves here keeps the rules of ipc/msg.def, and names a cluster and
 * a child that model/children.def knows. Called by watcher.c.
 */
#include "workers/watcher.h"

/* --- What every record needs of an object's metadata. */

static int
check_meta(const struct record_source *s, struct err *e)
{
	const struct object_meta *m = s->meta;
	if (!str_is(m->namespace, s->ns))
		return err_set(e, ERR_INVALID, "an object of another namespace in this watch");
	if (uid_none(&m->uid))
		return err_set(e, ERR_INVALID, "no uid");
	if (m->generation > INT64_MAX)
		return err_set(e, ERR_INVALID, "generation is not in range");
	return 0;
}

/*
 * Which of a cluster's children this is: the label names the cluster, and only one name of
 * model/children.def fits it.
 */
static int
find_child(const struct record_source *s, uint8_t *child, uint8_t *ordinal, struct err *e)
{
	char cluster[NAME_MAX_CLUSTER + 1], name[NAME_MAX_LABEL + 1];
	const struct object_meta *m = s->meta;
	if (m->cluster.len == 0 || !charset_ok(CHARS_DNS1035, m->cluster) ||
	    str_copy(cluster, sizeof(cluster), m->cluster) != 0)
		return err_set(e, ERR_GONE, "label " LABEL_CLUSTER " is no cluster's name");
	for (unsigned c = 0; c < CHILD_COUNT; c++) {
		unsigned n = c == CHILD_INSTANCE ? INSTANCES_MAX : 1;
		for (unsigned o = 0; o < n && child_info[c].kind == s->kind; o++) {
			model_child_name(name, (enum child)c, cluster, o);
			if (!str_is(m->name, name))
				continue;
			*child = (uint8_t)c;
			*ordinal = (uint8_t)o;
			return 0;
		}
	}
	return err_set(e, ERR_GONE, "no name that a cluster's %s has", kind_info[s->kind].name);
}

/* Records of children begin alike; their lengths were checked by find_child and check_meta. */
#define FILL_CHILD(r, m)                                                                           \
	do {                                                                                       \
		str_copy((r)->namespace, sizeof((r)->namespace), (m)->namespace);                  \
		str_copy((r)->cluster, sizeof((r)->cluster), (m)->cluster);                        \
		(r)->uid = (m)->uid;                                                               \
		(r)->generation = (m)->generation;                                                 \
		(r)->version = (m)->resource_version;                                              \
		(r)->owner = (m)->owner;                                                           \
		(r)->inputs_revision = (m)->inputs_revision;                                       \
		(r)->inputs = (m)->inputs_hash;                                                    \
		(r)->deleting = (m)->deleting;                                                     \
	} while (0)

static uint8_t
to_u8(int64_t v, uint8_t max)
{
	return v < 0 ? 0 : v > max ? max : (uint8_t)v;
}

/* --- One function for each kind of record. */

static int
fill_cluster(const struct record_source *s, struct record *out, struct err *e)
{
	const struct object_meta *m = s->meta;
	struct msg_rec_cluster *r = &out->rec_cluster;
	out->type = IPC_REC_CLUSTER;
	*r = (struct msg_rec_cluster){0};
	if (m->name.len == 0 || !charset_ok(CHARS_DNS1035, m->name) ||
	    str_copy(r->name, sizeof(r->name), m->name) != 0)
		return err_set(e, ERR_INVALID,
		    "a BGCluster's name must have at most %d characters of a-z, 0-9, -",
		    NAME_MAX_CLUSTER);
	str_copy(r->namespace, sizeof(r->namespace), m->namespace);
	r->uid = m->uid;
	r->generation = m->generation;
	r->version = m->resource_version;
	r->deleting = m->deleting;
	r->finalizer = m->finalizer;
	r->paused = m->paused;
	/* As it stands, even in a spec that can not be read otherwise; an outline can not tell. */
	r->protected = s->limit != NULL;
	(void)json_bool(s->j, json_path(s->j, s->object, "spec.deletionProtection"), &r->protected);
	return 0;
}

/* What was said of it last: Events tell what is new. */
static void
fill_said(const struct record_source *s, struct arena *a, struct msg_rec_cluster *r)
{
	struct cluster_status said;
	int primary;

	decode_cluster_status(s->j, s->object, a, &said);
	r->status = model_status_hash(&said);
	primary = model_ordinal(said.primary, s->meta->name);
	r->primary = primary >= 0 && primary < INSTANCES_MAX ? (uint8_t)(primary + 1) : 0;
	for (unsigned i = 0; i < said.n; i++) {
		uint8_t status = said.conditions[i].status, reason = said.conditions[i].reason;

		if (status < CHOICE_condition_status_COUNT && reason < CHOICE_reason_COUNT)
			r->said.at[r->said.n++] = (struct ipc_condition){
			    .type = said.conditions[i].type, .status = status, .reason = reason};
	}
}

int
record_cluster_invalid(
    const struct record_source *s, const char *why, struct record *out, struct err *e)
{
	if (check_meta(s, e) != 0 || fill_cluster(s, out, e) != 0)
		return -1;
	str_copy_text(out->rec_cluster.invalid, sizeof(out->rec_cluster.invalid), str_of(why));
	return 0;
}

static int
record_cluster(const struct record_source *s, struct arena *a, struct record *out, struct err *e)
{
	struct bgcluster c = {0};
	struct err why = {0};
	const char *text = s->limit != NULL ? s->limit : why.text;
	struct windows windows = {0};
	if (decode_bgcluster(s->j, s->object, a, &c, &why) != 0 ||
	    decode_windows(
		s->j, json_path(s->j, s->object, "spec.maintenanceWindows"), &windows, &why) != 0) {
		if (record_cluster_invalid(
			s, text[0] != '\0' ? text : "the spec can not be read", out, e) != 0)
			return -1;
		fill_said(s, a, &out->rec_cluster);
		return 0;
	}
	if (fill_cluster(s, out, e) != 0)
		return -1;
	struct msg_rec_cluster *r = &out->rec_cluster;
	r->instances = to_u8(c.instances, INSTANCES_MAX);
	r->deletion_policy = c.deletion_policy;
	r->update_strategy = c.update_strategy;
	r->on_scale_down = c.on_scale_down;
	r->windows = windows;
	r->h_pod = c.hash[GROUP_POD];
	r->h_scale = c.hash[GROUP_SCALE];
	r->h_storage = c.hash[GROUP_STORAGE];
	r->h_service = c.hash[GROUP_SERVICE];
	r->h_config = c.hash[GROUP_CONFIG];
	r->h_bootstrap = c.hash[GROUP_BOOTSTRAP];
	r->h_meta = c.hash[GROUP_META];
	r->h_life = c.hash[GROUP_LIFE];
	r->h_rest = c.hash[GROUP_REST];
	r->hibernated = c.hibernated;
	r->loop_wait = (uint16_t)c.loop_wait;
	r->grace = (uint32_t)c.grace_seconds;
	r->fenced = model_fenced(&c);
	fill_said(s, a, r);
	return 0;
}

/* Its pod says so with its first word. */
static bool
was_interrupted(struct str message)
{
	return str_starts(message, "interrupted");
}

/* Of a task for an earlier pod nothing is told. */
static void
fill_task(const struct bginstance_task *t, struct str pod, struct ipc_task *out)
{
	if (t->id.len == 0 || !str_eq(t->pod, pod) || uid_parse(t->id, &out->id) == -1)
		return;
	out->attempt = (uint16_t)t->attempt;
	out->kind = t->kind;
	out->cancel = t->cancel;
	if (!str_eq(t->id, t->done_id) || t->attempt != t->done_attempt)
		return;
	out->phase = t->phase;
	out->interrupted = t->phase == CHOICE_task_phase_FAILED && was_interrupted(t->message);
	out->percent = (uint8_t)t->percent;
	out->step = hash_str(HASH_INIT, t->step);
}

static void
fill_tasks(const struct bginstance *i, struct msg_rec_instance *r)
{
	r->task_slots = to_u8(i->task_slots, TASKS_MAX);
	for (uint8_t slot = 0; slot < TASKS_MAX; slot++) {
		fill_task(&i->task[slot], i->pod_uid, &r->tasks.at[slot]);
		if (!uid_none(&r->tasks.at[slot].id))
			r->tasks.n = slot + 1;
	}
}

static void
fill_operation(const struct bginstance *i, struct msg_rec_instance *r)
{
	if (i->operation_id.len == 0 || !str_eq(i->operation_pod, i->pod_uid))
		return;
	r->operation = i->operation;
	(void)uid_parse(i->operation_id, &r->operation_id);
	r->operation_attempt = (uint8_t)i->operation_attempt;
	r->operation_generation = (uint64_t)i->operation_generation;
	if (!str_eq(i->operation_id, i->done_id))
		return;
	r->operation_phase = i->done_phase;
	r->operation_interrupted =
	    i->done_phase == CHOICE_operation_phase_FAILED && was_interrupted(i->done_message);
}

static int
record_instance(const struct record_source *s, uint8_t ordinal, struct arena *a, struct record *out,
    struct err *e)
{
	struct bginstance i = {0};
	struct msg_rec_instance *r = &out->rec_instance;
	if (decode_bginstance(s->j, s->object, a, &i, e) != 0)
		return -1;
	if (!str_eq(i.cluster, s->meta->cluster) || i.ordinal != ordinal)
		return err_set(e, ERR_INVALID,
		    "spec.cluster and spec.ordinal are not what label and name say");
	out->type = IPC_REC_INSTANCE;
	*r = (struct msg_rec_instance){0};
	FILL_CHILD(r, s->meta);
	r->ordinal = ordinal;
	r->hold = i.hold;
	r->stop = i.stop;
	fill_operation(&i, r);
	fill_tasks(&i, r);
	/*
	 * What a pod reports can be anything; what is no uid and no number counts as not
	 * reported.
	 */
	if (uid_parse(i.pod_uid, &r->pod_uid) != 0)
		r->pod_uid = (struct uid){0};
	if (str_to_u64(i.system_identifier, &r->system_identifier) != 0)
		r->system_identifier = 0;
	(void)str_to_hash(i.pod_inputs, &r->pod_inputs);
	r->state = i.state;
	r->role = i.role;
	r->timeline = (uint32_t)i.timeline;
	r->lag = i.lag;
	r->pending_restart = i.pending_restart;
	r->restart_lowers = i.restart_lowers;
	r->patroni_paused = i.patroni_paused;
	r->pgdata_empty = i.pgdata_empty;
	r->bootstrapped = i.bootstrapped;
	r->config_generation = (uint64_t)i.config_generation;
	r->disk = i.disk;
	r->reason = i.reason;
	str_copy_text(r->text, sizeof(r->text), i.message);
	return 0;
}

static int
record_statefulset(
    const struct record_source *s, struct arena *a, struct record *out, struct err *e)
{
	struct statefulset_view v = {0};
	struct msg_rec_statefulset *r = &out->rec_statefulset;
	if (decode_statefulset(s->j, s->object, a, &v, e) != 0)
		return -1;
	out->type = IPC_REC_STATEFULSET;
	*r = (struct msg_rec_statefulset){0};
	FILL_CHILD(r, s->meta);
	r->replicas = to_u8(v.replicas, UINT8_MAX);
	r->ready = to_u8(v.ready_replicas, UINT8_MAX);
	r->pod_inputs = v.pod_inputs;
	r->storage_inputs = v.storage_inputs;
	r->last_good = v.last_good;
	return 0;
}

int
record_object(const struct record_source *s, struct arena *a, struct record *out, struct err *e)
{
	uint8_t child = 0, ordinal = 0;
	if (check_meta(s, e) != 0)
		return -1;
	if (s->kind == KIND_BGCLUSTER)
		return record_cluster(s, a, out, e);
	if (s->kind == KIND_BGDBOPS)
		return record_dbops(s, a, out, e);
	if (find_child(s, &child, &ordinal, e) != 0)
		return -1;
	if (child == CHILD_INSTANCE)
		return record_instance(s, ordinal, a, out, e);
	if (child == CHILD_STATEFULSET)
		return record_statefulset(s, a, out, e);
	out->type = IPC_REC_CHILD;
	out->rec_child = (struct msg_rec_child){.child = child};
	FILL_CHILD(&out->rec_child, s->meta);
	return 0;
}

int
record_gone(const struct record_source *s, struct record *out, struct err *e)
{
	struct msg_rec_gone *r = &out->rec_gone;
	struct str cluster = s->kind == KIND_BGCLUSTER ? s->meta->name : s->meta->cluster;
	uint8_t child = 0, ordinal = 0;
	char text[NAME_MAX_CLUSTER + 2];
	if (check_meta(s, e) != 0)
		return -1;
	if (s->kind == KIND_BGDBOPS) {
		json_copy_text(
		    s->j, json_path(s->j, s->object, "spec.cluster"), text, sizeof(text));
		cluster = str_of(text);
	} else if (s->kind != KIND_BGCLUSTER && find_child(s, &child, &ordinal, e) != 0) {
		return -1;
	}
	out->type = IPC_REC_GONE;
	*r = (struct msg_rec_gone){
	    .kind = (uint8_t)s->kind, .child = child, .ordinal = ordinal, .uid = s->meta->uid};
	str_copy(r->namespace, sizeof(r->namespace), s->meta->namespace);
	if (!charset_ok(CHARS_DNS1035, cluster) ||
	    str_copy(r->cluster, sizeof(r->cluster), cluster) != 0)
		return err_set(e, ERR_INVALID, "no name that a BGCluster has");
	return 0;
}

void
record_to_msg(const struct record *r, struct ipc_msg *msg)
{
	msg->type = r->type;
	for (unsigned i = 0; i < IPC_FDS_MAX; i++)
		msg->fds[i] = -1;
	switch ((int)r->type) {
	case IPC_SNAP_BEGIN:
		msg->snap_begin = r->snap_begin;
		break;
	case IPC_SNAP_END:
		msg->snap_end = r->snap_end;
		break;
	case IPC_REC_CLUSTER:
		msg->rec_cluster = r->rec_cluster;
		break;
	case IPC_REC_INSTANCE:
		msg->rec_instance = r->rec_instance;
		break;
	case IPC_REC_STATEFULSET:
		msg->rec_statefulset = r->rec_statefulset;
		break;
	case IPC_REC_CHILD:
		msg->rec_child = r->rec_child;
		break;
	case IPC_REC_DBOPS:
		msg->rec_dbops = r->rec_dbops;
		break;
	case IPC_REC_GONE:
		msg->rec_gone = r->rec_gone;
		break;
	default:
		die("record_to_msg: type %d", (int)r->type);
	}
}
