/*
 * BGDbOps for tests of plan/: a store of them in which each step has the effect that the executor's
 * has, and instances that report what they were told. Only test_plan_dbops*.c include this.
 */
#ifndef TESTS_UNIT_PLAN_DBOPS_H
#define TESTS_UNIT_PLAN_DBOPS_H

#include "tests/unit/plan_script.h"

#define OPS 6
static struct plan_dbops ops[OPS], *list[OPS];
static char said[IPC_TEXT_MAX + 1];
static uint8_t reason;
static char log_text[2048];
#define WALL 1795680000

/* n instances that serve, demo-0 leads; no BGDbOps. */
static inline void
begin(unsigned n)
{
	serve_saying(n);
	memset(ops, 0, sizeof(ops));
	for (unsigned i = 0; i < n; i++) {
		reports[i].system_identifier = 7777;
		says(i);
	}
	world.now.v += 60000;
	world.unix_s = WALL;
	c.dbops = list;
	c.dbops_n = 0;
	log_text[0] = '\0';
	said[0] = '\0';
}

static inline struct plan_dbops *
add(enum choice_dbops_op op)
{
	unsigned i = c.dbops_n++;

	ops[i] = (struct plan_dbops){.uid = uid(500 + i),
	    .generation = 1,
	    .version = ++versions,
	    .created_s = world.unix_s,
	    .op = (uint8_t)op,
	    .max_retries = DBOPS_RETRIES_NOT_GIVEN};
	snprintf(ops[i].name, sizeof(ops[i].name), "op%u", i);
	list[i] = &ops[i];
	return &ops[i];
}

/* Is it in what was said last? */
static inline bool
tells(const char *what)
{
	bool is = strstr(said, what) != NULL;

	if (!is)
		printf("# said: %s\n", said);
	return is;
}

static inline bool
is_servers(const struct plan_dbops *d)
{
	return d->op == CHOICE_dbops_op_RESTART || d->op == CHOICE_dbops_op_RELOAD;
}

/* The slot in which that instance has, or is to have, its task. */
static inline struct plan_task *
slot_of(unsigned i, const struct plan_dbops *d)
{
	for (unsigned k = 0; k < TASKS_MAX; k++)
		if (reports[i].task[k].owner == model_uid_key(&d->uid))
			return &reports[i].task[k];
	return &reports[i].task[step.sent.slot];
}

static inline void
tell_pod(const struct plan_dbops *d)
{
	const struct plan_sent *s = &step.sent;
	struct uid id = model_operation_id(&d->uid, s->attempt, s->ordinal);
	struct plan_report *r = &reports[s->ordinal];

	if (dbops_info[d->op].task != CHOICE_task_kind_NONE) {
		*slot_of(s->ordinal, d) = (struct plan_task){.owner = model_uid_key(&d->uid),
		    .attempt = s->attempt,
		    .kind = s->cleanup ? CHOICE_task_kind_CLEANUP : dbops_info[d->op].task};
	} else {
		r->operation = dbops_info[d->op].operation;
		r->operation_id = model_uid_key(&id);
		r->operation_phase = CHOICE_operation_phase_NONE;
		r->operation_interrupted = false;
	}
}

static inline void
claim(struct plan_dbops *d)
{
	const struct plan_sent *s = &step.sent;

	if (s->cleanup)
		d->cleanup = CHOICE_dbops_cleanup_RUNNING;
	else if (d->phase != CHOICE_dbops_phase_RUNNING) {
		if (d->retries == 0 || d->finished_s != 0) {
			d->started_s = world.unix_s;
			d->finished_s = 0;
			d->restarted = d->retries = 0;
		}
		d->phase = CHOICE_dbops_phase_RUNNING;
	}
	d->finalizer = true;
	d->attempt = s->attempt;
	d->ordinal = (uint8_t)(s->ordinal + 1);
	d->pod = s->target;
	d->instance = memory[s->ordinal].child.uid;
}

static inline void
change(struct plan_dbops *d)
{
	bool again = d->scheduled && step.said.reason != CHOICE_dbops_reason_REFUSED;

	switch (step.sent.verb) {
	case CHOICE_verb_DBOPS_TELL:
		claim(d);
		break;
	case CHOICE_verb_DBOPS_SAY:
		d->phase = step.said.phase;
		d->next_s = step.said.next_s;
		d->said = model_dbops_said(d->phase, d->next_s, str_of(step.text));
		d->observed = d->generation;
		break;
	case CHOICE_verb_DBOPS_NEXT:
		d->restarted |= 1u << (d->ordinal - 1);
		d->ordinal = 0;
		break;
	case CHOICE_verb_DBOPS_RETRY:
		d->phase = CHOICE_dbops_phase_PENDING;
		d->retries++;
		d->next_s = step.said.next_s;
		d->ordinal = 0;
		if (step.said.cleanup)
			d->cleanup = CHOICE_dbops_cleanup_DUE;
		break;
	case CHOICE_verb_DBOPS_FINISH:
		d->phase = again ? CHOICE_dbops_phase_SCHEDULED : step.said.phase;
		d->finished_s = world.unix_s;
		d->next_s = again ? step.said.next_s : 0;
		if (step.said.cleanup)
			d->cleanup = CHOICE_dbops_cleanup_DUE;
		break;
	case CHOICE_verb_DBOPS_CLEANED:
		d->cleanup = CHOICE_dbops_cleanup_DONE;
		break;
	case CHOICE_verb_DBOPS_RELEASE:
		d->finalizer = false;
		break;
	default:
		break;
	}
}

/* The step's effect, as the records tell it. */
static inline void
take_effect(void)
{
	struct plan_dbops *d = &ops[step.dbops - ops];
	struct plan_answer a = {.code = CHOICE_step_code_DONE,
	    .child_uid = memory[step.sent.ordinal].child.uid,
	    .dbops_version = d->version};
	struct plan_dbops now = *d;

	change(&now);
	if (step.sent.verb == CHOICE_verb_DBOPS_TELL)
		tell_pod(d);
	if (step.sent.verb == CHOICE_verb_DBOPS_CANCEL)
		slot_of(step.sent.ordinal, d)->cancel = true;
	now.version = a.dbops_version = ++versions;
	if (step.said.phase != CHOICE_dbops_phase_NONE) {
		memcpy(said, step.text, sizeof(said));
		reason = step.said.reason;
	}
	plan_done(&c, &step.sent, &a, world.now);
	plan_note_dbops(d, &now, false);
	for (unsigned i = 0; i < wanted.instances; i++)
		says(i);
}

static inline void
write_op(void)
{
	size_t len = strlen(log_text);
	const char *verb = choice_text(VOCAB_verb, step.sent.verb) + strlen("dbops-");

	if (step.sent.verb == CHOICE_verb_DBOPS_TELL || step.sent.verb == CHOICE_verb_DBOPS_CANCEL)
		snprintf(log_text + len, sizeof(log_text) - len, "%s %s%s %u; ", step.dbops->name,
		    step.sent.cleanup ? "clean" : verb, "", step.sent.ordinal);
	else if (step.said.phase != CHOICE_dbops_phase_NONE)
		snprintf(log_text + len, sizeof(log_text) - len, "%s %s %s; ", step.dbops->name,
		    verb, choice_text(VOCAB_dbops_phase, step.said.phase));
	else
		snprintf(log_text + len, sizeof(log_text) - len, "%s %s; ", step.dbops->name, verb);
}

/* All steps that are due now; those on BGDbOps as text. */
static inline const char *
run(void)
{
	log_text[0] = '\0';
	for (unsigned n = 0; n < 40; n++) {
		plan_next(&c, &world, &step);
		if (step.sent.verb == CHOICE_verb_NONE)
			break;
		if (step.dbops != NULL) {
			write_op();
			take_effect();
		} else {
			struct plan_answer a = done_answer();

			if (step.sent.verb == CHOICE_verb_OBSERVE_POD)
				a.child_uid = reports[step.sent.ordinal].pod_uid;
			answer(&a);
		}
	}
	return log_text;
}

static inline void
pass(int64_t seconds)
{
	world.now.v += seconds * 1000;
	world.unix_s += seconds;
}

static inline void
slot_ends(unsigned i, unsigned slot, enum choice_task_phase phase)
{
	reports[i].task[slot].phase = (uint8_t)phase;
	says(i);
}

static inline void
task_ends(unsigned i, enum choice_task_phase phase)
{
	slot_ends(i, 0, phase);
}

static inline void
operation_ends(unsigned i, enum choice_operation_phase phase)
{
	reports[i].operation_phase = (uint8_t)phase;
	says(i);
}

/* Its pod is another one, of which nothing but that is known. */
static inline void
lose_pod(unsigned i, enum choice_instance_role role, enum choice_instance_state state)
{
	reports[i].pod_uid = uid(300u + ++versions);
	memset(reports[i].task, 0, sizeof(reports[i].task));
	reports[i].operation_id = 0;
	reports[i].operation = reports[i].operation_phase = 0;
	reports[i].role = (uint8_t)role;
	reports[i].state = (uint8_t)state;
	says(i);
}

static inline void
move_leadership(unsigned from, unsigned to)
{
	reports[from].role = CHOICE_instance_role_REPLICA;
	reports[from].state = CHOICE_instance_state_STREAMING;
	reports[to].role = CHOICE_instance_role_PRIMARY;
	reports[to].state = CHOICE_instance_state_RUNNING;
	reports[to].timeline++;
	says(from);
	says(to);
}

#endif
