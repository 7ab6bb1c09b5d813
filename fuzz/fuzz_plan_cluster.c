/*
 * Any sequence of records, answers and times. Oracles: a plan never dies; it says the same twice;
 * every step is legal for what is known: nothing is removed without a target or before every list
 * is complete, nothing is made for a cluster that is being deleted, no data goes unless
 * deletionPolicy says so; what is said keeps the rules of the wire.
 */
#include "fuzz/fuzz.h"
#include "plan/plan.h"

#define INSTANCES 4

static const uint8_t *at, *end;
static struct plan_cluster c;
static struct plan_instance memory[INSTANCES];
static struct plan_world world;
static struct plan_step step;
static char text[] =
    "what the API server said: \xc3\xa9\xe2\x82\xac and so on, until it is longer than a "
    "condition's message may be, which is two hundred bytes, not one more, wherever in a "
    "character that falls \xe2\x82\xac\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac";

/* Half of each day, and one whose zone is not known. */
static struct windows windows[2] = {
    {1, {{.to_min = 720, .days = WINDOW_EVERY_DAY, .zone = "Europe/Berlin"}}},
    {1, {{.to_min = 720, .days = WINDOW_EVERY_DAY, .zone = "Europe/Berln"}}},
};

#define OPS 3
static struct plan_dbops ops[OPS], *list[OPS];

static unsigned
byte(void)
{
	return at < end ? *at++ : 0;
}

static struct uid
uid(void)
{
	return (struct uid){{(uint8_t)(byte() & 3)}};
}

static void
note_cluster(void)
{
	struct plan_wanted w = {.uid = uid(), .generation = byte() & 7, .version = byte()};
	unsigned flags = byte();

	w.uid.b[1] = 1; /* the feed lets no record without a uid in */
	w.deleting = flags & 1;
	w.finalizer = flags & 2;
	w.invalid = flags & 4;
	w.policy = flags >> 3 & 1;
	w.instances = (uint8_t)((flags >> 4) % (INSTANCES + 1));
	for (unsigned g = 0; g < GROUP_COUNT; g++)
		w.hash[g] = byte() & 3;
	w.status = byte() & 1;
	c.invalid_text = text;
	flags = byte();
	w.blocked = !w.deleting && (flags & 2);
	w.paused = flags & 4;
	w.update = flags >> 3 & 1;
	w.scale_down = flags >> 4 & 1;
	w.hibernated = flags >> 6 & 1;
	w.fenced = flags >> 7 & 1;
	c.windows = flags & 16 ? &windows[flags >> 5 & 1] : NULL;
	w.said.ready = flags & 8;
	w.said.primary = (uint8_t)(flags >> 1 & 3);
	w.said.reasons[CHOICE_condition_type_READY] =
	    (uint8_t)(w.said.ready ? REASON_AS_WANTED : REASON_NO_PRIMARY);
	plan_note_cluster(&c, &w, flags & 1, world.now);
}

/* Of one of them, or of nobody's that is there. */
static struct plan_task
any_task(void)
{
	unsigned flags = byte();
	struct plan_task t = {.attempt = (uint16_t)(flags & 3),
	    .kind = (uint8_t)(byte() % CHOICE_task_kind_COUNT),
	    .phase = (uint8_t)(byte() % CHOICE_task_phase_COUNT),
	    .cancel = flags >> 2 & 1,
	    .interrupted = flags >> 3 & 1};

	if (flags & 128)
		t.owner = flags & 64 ? 77 : model_uid_key(&ops[(flags >> 4 & 3) % OPS].uid);
	return t;
}

static void
note_report(unsigned ordinal)
{
	struct plan_report r = {.pod_uid = uid(), .config_generation = byte(), .timeline = byte()};
	unsigned flags = byte();

	r.state = (uint8_t)(byte() % CHOICE_instance_state_COUNT);
	r.role = (uint8_t)(byte() % CHOICE_instance_role_COUNT);
	r.lag = (uint8_t)(byte() % CHOICE_lag_class_COUNT);
	r.reason = (uint8_t)(byte() % CHOICE_reason_COUNT);
	r.hold = flags & 1;
	r.pending_restart = flags & 2;
	r.bootstrapped = flags & 4;
	r.disk = (uint8_t)((flags >> 4) % CHOICE_disk_class_COUNT);
	memory[ordinal].report_text = flags & 8 ? text : NULL;
	flags = byte();
	r.pod_inputs = flags & 3;
	r.operation = (flags >> 2 & 3) % CHOICE_operation_COUNT;
	r.operation_phase = flags >> 4 & 3;
	r.paused = flags >> 6 & 1;
	r.restart_lowers = flags >> 7;
	r.stop = byte() % CHOICE_stop_COUNT;
	if (flags & 128 && c.dbops_n > 0) {
		struct uid id = model_operation_id(&ops[1].uid, byte() & 3, ordinal);

		r.task_slots = (uint8_t)(byte() % (TASKS_MAX + 1));
		for (unsigned k = 0; k < TASKS_MAX; k++)
			r.task[k] = any_task();
		r.operation_interrupted = byte() & 1;
		r.operation_id = model_uid_key(&id);
	}
	plan_note_report(&c, ordinal, &r);
}

static void
note_child(enum child child)
{
	unsigned ordinal = byte() % INSTANCES, flags = byte();
	struct plan_object o = {.uid = uid(),
	    .owner = uid(),
	    .generation = byte() & 3,
	    .version = byte(),
	    .revision = 1,
	    .deleting = flags & 1};
	struct plan_statefulset s = {.replicas = (uint8_t)byte(),
	    .ready = (uint8_t)byte(),
	    .pod_inputs = byte() & 1,
	    .storage_inputs = byte() & 3,
	    .last_good = (uint64_t)flags >> 6 & 1};

	o.uid.b[1] = 2;
	o.owner.b[1] = flags & 2;
	if (flags & 4)
		o.owner = c.wanted.uid;
	o.inputs = flags & 8 ? model_child_inputs(child, c.wanted.hash) : byte();
	if (flags & 16)
		s.pod_inputs = model_pod_inputs(c.wanted.hash);
	if (!plan_note_child(&c, child, ordinal, &o, flags & 32))
		return;
	if (child == CHILD_STATEFULSET)
		plan_note_statefulset(&c, &s, world.now);
	if (child == CHILD_INSTANCE)
		note_report(ordinal);
}

/* One of three BGDbOps, as a record may tell of it. */
static void
note_dbops(void)
{
	unsigned i = byte() % OPS, flags = byte();
	struct plan_dbops *d = &ops[i],
			  now = {.uid = {{(uint8_t)(i + 1), 9}},
			      .generation = byte() & 3,
			      .version = byte(),
			      .created_s = 1,
			      .op = (uint8_t)(byte() % CHOICE_dbops_op_COUNT),
			      .phase = (uint8_t)(byte() % CHOICE_dbops_phase_COUNT),
			      .cleanup = (uint8_t)(byte() % CHOICE_dbops_cleanup_COUNT),
			      .ordinal = (uint8_t)(byte() % (INSTANCES + 3)),
			      .wanted = (uint8_t)(byte() % (INSTANCES + 3)),
			      .attempt = (uint16_t)(byte() & 3),
			      .retries = byte() & 7,
			      .restarted = byte() & 15,
			      .max_retries = (uint8_t)byte(),
			      .pod = uid(),
			      .instance = uid(),
			      .timeout_s = byte(),
			      .ttl = byte(),
			      .next_s = byte(),
			      .started_s = byte(),
			      .finished_s = byte(),
			      .run_at_s = byte()};

	now.instance.b[1] = 2;
	now.deleted_s = flags & 1 ? 1 + byte() : 0;
	now.finalizer = flags & 2;
	now.only_pending = flags & 4;
	now.locks = flags & 8;
	now.replica = flags & 16;
	now.scheduled = flags & 32;
	now.suspend = flags & 64;
	if (now.scheduled)
		now.bad_cron = cron_parse(STR("*/7 3 * * *"), &now.cron) == -1;
	snprintf(now.zone, sizeof(now.zone), flags & 128 ? "Europe/Berlin" : "UTC");
	snprintf(now.name, sizeof(now.name), "op%u", i);
	plan_note_dbops(d, &now, byte() & 1);
	d->invalid = byte() == 7 ? text : NULL;
	c.dbops_n = OPS;
}

static bool
is_watched(unsigned child)
{
	return kind_info[child_info[child].kind].watch != WATCH_NONE;
}

static void
answer(void)
{
	unsigned flags = byte();
	struct plan_answer a = {.code = (uint8_t)(byte() % CHOICE_step_code_COUNT),
	    .anchor = (uint8_t)(byte() % CHOICE_anchor_state_COUNT),
	    .reason = (uint8_t)(byte() % CHOICE_reason_COUNT),
	    .count = (uint8_t)byte(),
	    .child_uid = uid(),
	    .version = byte(),
	    .generation = byte() & 3,
	    .inputs = byte() & 1,
	    .present = flags & 1,
	    .ready = flags & 2,
	    .terminating = flags & 4,
	    .bound = flags & 8,
	    .text = flags & 16};
	char **slot;

	if (flags & 32)
		a.inputs = model_pod_inputs(c.wanted.hash);
	if (step.sent.verb == CHOICE_verb_NONE)
		return;
	if (flags & 64) {
		plan_lost(&c, &step.sent);
		return;
	}
	slot = plan_done(&c, &step.sent, &a, world.now);
	if (slot != NULL)
		*slot = a.text ? text : NULL;
}

/* --- Oracles. */

static void
check_removal(const struct plan_sent *s)
{
	const struct plan_wanted *w = &c.wanted;
	bool purge = s->verb == CHOICE_verb_DESTROY_ANCHOR || s->verb == CHOICE_verb_DELETE_PVCS ||
	             s->verb == CHOICE_verb_DELETE_CONFIGMAPS ||
	             (s->verb == CHOICE_verb_DELETE && s->child == CHILD_ANCHOR);

	if (purge)
		MUST(w->deleting && w->finalizer && !w->invalid &&
		     w->policy == CHOICE_deletion_policy_DELETE);
	else if (s->verb == CHOICE_verb_DELETE && s->child == CHILD_INSTANCE)
		MUST(w->deleting || s->ordinal >= w->instances);
	else if (s->verb == CHOICE_verb_DELETE)
		MUST(w->deleting && is_watched(s->child));
	else if (s->verb == CHOICE_verb_ORPHAN_STATEFULSET || s->verb == CHOICE_verb_REPLACE_PVC)
		MUST(!w->deleting);
	else if (s->verb == CHOICE_verb_DELETE_PVC)
		MUST(!w->deleting && s->ordinal >= w->instances &&
		     w->scale_down == CHOICE_scale_down_DELETE);
	else if (s->verb != CHOICE_verb_REPLACE_POD)
		return;
	MUST(world.synced);
	if (s->verb == CHOICE_verb_DELETE || s->verb == CHOICE_verb_ORPHAN_STATEFULSET ||
	    s->verb == CHOICE_verb_REPLACE_POD || s->verb == CHOICE_verb_REPLACE_PVC)
		MUST(!uid_none(&s->target) || s->child == CHILD_ANCHOR ||
		     s->child == CHILD_INSTANCE);
}

/* Nothing is told to nobody, and nothing is begun anew that runs, or may not be. */
static void
check_dbops(void)
{
	const struct plan_dbops *d = step.dbops;
	const struct plan_sent *s = &step.sent;

	MUST(d != NULL && uid_eq(&s->dbops, &d->uid) && s->ordinal < INSTANCES + 3);
	MUST(charset_ok(CHARS_TEXT, str_of(step.text)) && strlen(step.text) <= IPC_TEXT_MAX);
	MUST(s->verb != CHOICE_verb_DBOPS_SAY || step.text[0] != '\0');
	MUST(s->verb != CHOICE_verb_DBOPS_RETRY || dbops_info[d->op].repeatable);
	if (s->verb != CHOICE_verb_DBOPS_TELL)
		return;
	MUST(!uid_none(&s->target) && s->ordinal < INSTANCES && s->attempt != 0);
	if (s->attempt == d->attempt)
		return;
	MUST(c.present && world.synced && !c.wanted.deleting && !c.wanted.paused);
	MUST(s->cleanup || (d->phase != CHOICE_dbops_phase_RUNNING && !c.wanted.hibernated));
}

static void
check_other_step(const struct plan_sent *s)
{
	bool says = s->verb == CHOICE_verb_STATUS || s->verb == CHOICE_verb_EVENT;

	MUST(c.present && uid_eq(&s->uid, &c.wanted.uid));
	/* Nothing of ours holds up a namespace that ends; whether it does may be asked. */
	says |= c.namespace_ends && s->verb == CHOICE_verb_REMOVE_FINALIZER;
	says |= c.wanted.finalizer && s->verb == CHOICE_verb_OBSERVE_NAMESPACE;
	if ((c.quarantined != 0 && c.quarantined == c.wanted.generation) || c.wanted.paused)
		MUST(says);
	if (c.wanted.invalid && !c.wanted.deleting)
		MUST(says);
	if (c.wanted.deleting)
		MUST(s->verb != CHOICE_verb_ENSURE && s->verb != CHOICE_verb_TEMPLATE &&
		     s->verb != CHOICE_verb_RESTORE_TEMPLATE &&
		     s->verb != CHOICE_verb_ADD_FINALIZER && s->verb != CHOICE_verb_RELEASE &&
		     s->verb != CHOICE_verb_HOLD);
	else if (!c.namespace_ends)
		MUST(s->verb != CHOICE_verb_REMOVE_FINALIZER);
	if (s->verb == CHOICE_verb_ENSURE && s->child != CHILD_INSTANCE)
		MUST(s->ordinal == 0);
	if (s->child == CHILD_INSTANCE)
		MUST(s->ordinal < INSTANCES);
	if (s->verb == CHOICE_verb_ENSURE && s->child == CHILD_INSTANCE)
		MUST(s->ordinal < c.wanted.instances);
	if (c.windows == &windows[1])
		MUST(s->verb != CHOICE_verb_RESTART);
	if (s->verb == CHOICE_verb_EVENT)
		MUST(step.text[0] != '\0' && charset_ok(CHARS_TEXT, str_of(step.text)));
	check_removal(s);
}

static void
check_step(void)
{
	const struct plan_sent *s = &step.sent;

	if (s->verb >= CHOICE_verb_DBOPS_TELL && s->verb <= CHOICE_verb_DBOPS_DELETE) {
		check_dbops();
		return;
	}
	check_other_step(s);
}

static void
check_status(const struct plan_status *s)
{
	MUST(s->n >= 1 && s->phase[0] != '\0' && charset_ok(CHARS_PRINT, str_of(s->phase)));
	MUST(s->ready_instances <= INSTANCES && charset_ok(CHARS_DNS1123, str_of(s->primary)));
	for (unsigned i = 0; i < s->n; i++) {
		MUST(i == 0 || s->at[i].type > s->at[i - 1].type);
		MUST(s->at[i].text[0] != '\0' && charset_ok(CHARS_TEXT, str_of(s->at[i].text)));
	}
	/* Ready is never said of a cluster that has no primary or too few instances. */
	if (s->at[0].status == CHOICE_condition_status_TRUE)
		MUST(s->primary[0] != '\0' && s->ready_instances == c.wanted.instances);
}

static void
plan(void)
{
	static struct plan_step again;
	static struct plan_cluster before;
	unsigned flags = byte();

	world.synced = flags & 1;
	world.listed = world.synced || (flags & 2) != 0 ? UINT32_MAX : byte();
	world.spare = flags & 4;
	world.degraded = flags & 8;
	world.unix_s = world.now.v / 1000;
	plan_next(&c, &world, &step);
	before = c;
	if (step.sent.verb == CHOICE_verb_NONE) {
		MUST(step.again.v > world.now.v);
	} else {
		check_step();
		plan_next(&c, &world, &again);
		MUST(again.sent.verb == step.sent.verb && again.sent.child == step.sent.child &&
		     again.sent.ordinal == step.sent.ordinal && again.sent.key == step.sent.key);
		MUST(memcmp(&c, &before, sizeof(c)) == 0);
	}
	if (step.sent.verb == CHOICE_verb_STATUS)
		check_status(&step.status);
}

static void
act(void)
{
	static const struct uid any;
	unsigned op = byte(), child = byte() % CHILD_COUNT;

	switch (op % 10) {
	case 0:
		note_cluster();
		break;
	case 1:
		plan_note_cluster_gone(&c, &any);
		break;
	case 2:
	case 3:
		if (is_watched(child))
			note_child((enum child)child);
		break;
	case 4:
		if (is_watched(child))
			plan_note_child_gone(&c, (enum child)child, byte() % INSTANCES, &any);
		break;
	case 5:
		plan_note_quarantine(&c, byte() & 7);
		break;
	case 6:
		world.now.v += (int64_t)byte() << (op / 32);
		break;
	case 7:
		plan();
		break;
	case 8:
		if (op >= 128) {
			note_dbops();
			break;
		}
		plan();
		answer();
		break;
	default:
		plan();
		answer();
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	at = data;
	end = data + size;
	memset(&c, 0, sizeof(c));
	memset(memory, 0, sizeof(memory));
	memset(&step, 0, sizeof(step));
	c.name = "demo";
	c.instance = memory;
	c.instances_n = INSTANCES;
	memset(ops, 0, sizeof(ops));
	for (unsigned i = 0; i < OPS; i++)
		list[i] = &ops[i];
	c.dbops = list;
	world = (struct plan_world){.now = {10000}, .sweep_ms = 600000};
	note_cluster();
	for (unsigned i = 0; i < 400 && at < end; i++)
		act();
	return 0;
}
