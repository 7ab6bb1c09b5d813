/*
 * Tasks on their way through the agent, several at a time: each slot is noted, handed over, told
 * again and ended by itself, whenever the agent or pgctl begins anew. The API's answers and pgctl
 * are given here.
 */
#include <unistd.h>

#include "instance/agent.h"
#include "tests/unit/tap.h"

#define POD "7c9e6679-7425-40de-944b-e07fc1f90ae7"
#define VACUUM "0f8fad5b-d9cb-469f-a165-70867728950e"
#define SCRIPT "16fd2706-8baf-433b-82eb-8c7fada847da"

static struct agent a;
static struct bginstance instance;
static char sent[1000]; /* "0:TASK 0:TASK_END " */
static unsigned room;   /* so many messages fit */
static unsigned begun;  /* bit per slot: its last TASK said so */
static unsigned asks;
static void (*answer)(void *arg, const struct kube_reply *);
static void *answer_arg;

/* --- What agent_task.c calls of the other files. */

void
agent_look(struct agent *x)
{
	(void)x;
}

bool
child_send(struct self *c, const struct ipc_msg *m)
{
	unsigned slot = m->task.slot;

	(void)c;
	if (room == 0)
		return false;
	room--;
	(void)snprintf(sent + strlen(sent), sizeof(sent) - strlen(sent), "%u:%s ", slot,
	    ipc_type_name(m->type));
	if (m->type == IPC_TASK)
		begun = m->task.begun ? begun | 1u << slot : begun & ~(1u << slot);
	return true;
}

void
kube_send(struct kube *k, const struct kube_request *r,
    void (*done)(void *arg, const struct kube_reply *), void *arg)
{
	(void)k;
	(void)r;
	answer = done;
	answer_arg = arg;
	asks++;
}

void
kube_path(char out[HTTP_PATH_MAX], enum kind kind, const char *ns, const char *name,
    const char *sub, const char *query)
{
	(void)name;
	(void)sub;
	(void)snprintf(out, HTTP_PATH_MAX, "%d/%s/%s", (int)kind, ns, query);
}

int
kube_reply_error(const struct kube_reply *r, struct err *e)
{
	return r->status == 200 ? 0 : err_set(e, ERR_RETRY, "status %d", r->status);
}

/* --- The scene. */

static void
begin_agent(void)
{
	if (a.pod_uid != NULL)
		for (unsigned slot = 0; slot < TASKS_MAX; slot++)
			fd_close(&a.task[slot].script_fd);
	a = (struct agent){
	    .pod_uid = POD, .namespace = "b", .send_at = SIZE_MAX, .now = clock_boot()};
	a.self.edge_up = true;
	agent_task_init(&a);
	sent[0] = '\0';
	room = 100;
	asks = 0;
}

static void
begin(void)
{
	begin_agent();
	instance = (struct bginstance){.pod_uid = STR(POD)};
}

static void
tell(unsigned slot, const char *id, int64_t attempt, enum choice_task_kind kind)
{
	instance.task[slot].id = str_of(id);
	instance.task[slot].attempt = attempt;
	instance.task[slot].pod = STR(POD);
	instance.task[slot].kind = (uint8_t)kind;
	instance.task[slot].script_map = STR("scripts");
	instance.task[slot].script_key = STR("x.sql");
	agent_task_take(&a, &instance, false);
}

/* Status says what the agent wants it to. */
static void
note(void)
{
	for (unsigned slot = 0; slot < TASKS_MAX; slot++) {
		struct bginstance_task *t = &instance.task[slot];

		(void)snprintf(
		    a.stored.task[slot].id, sizeof(a.stored.task[slot].id), "%s", a.task[slot].id);
		a.stored.task[slot].state = a.task[slot].state;
		t->done_id = a.task[slot].id[0] != '\0' ? t->id : STR("");
		t->done_attempt = a.task[slot].state.attempt;
		t->phase = a.task[slot].state.phase;
		t->percent = a.task[slot].state.percent;
	}
}

static bool
is(const char *wanted, const char *what)
{
	bool ok = CHECK(strcmp(sent, wanted) == 0, what);

	if (!ok)
		printf("# %s\n", sent);
	sent[0] = '\0';
	return ok;
}

static void
look(const char *wanted, const char *what)
{
	agent_task_look(&a);
	is(wanted, what);
}

static void
said(unsigned slot, enum choice_task_phase phase)
{
	struct msg_task_state m = {.slot = (uint8_t)slot,
	    .id = a.task[slot].head.id,
	    .attempt = a.task[slot].head.attempt,
	    .phase = (uint8_t)phase};

	agent_task_said(&a, &m);
}

static void
script_comes(const char *text)
{
	char body[200];
	struct kube_reply r = {.outcome = KUBE_REPLIED, .status = 200};

	(void)snprintf(body, sizeof(body), "{\"items\":[{\"data\":{\"x.sql\":\"%s\"}}]}", text);
	r.body = str_of(body);
	answer(answer_arg, &r);
}

/* A vacuum in the first slot, at work. */
static void
begin_vacuum(void)
{
	begin();
	tell(0, VACUUM, 1, CHOICE_task_kind_VACUUM);
	note();
	agent_task_look(&a);
	sent[0] = '\0';
}

static void
test_beside(void)
{
	begin();
	tell(0, VACUUM, 1, CHOICE_task_kind_VACUUM);
	look("", "not before it is noted");
	note();
	look("0:TASK 0:TASK_END ", "noted, and handed over");
	CHECK((begun & 1) == 0, "it was not begun before");
	tell(2, SCRIPT, 1, CHOICE_task_kind_CHECKPOINT);
	look("", "another one: not before that is noted");
	note();
	a.status.busy = true;
	look("", "nor while a word about it is under way");
	a.status.busy = false;
	look("2:TASK 2:TASK_END ", "beside the first, which is not told again");
	said(2, CHOICE_task_phase_SUCCEEDED);
	CHECK(a.task[2].state.phase == CHOICE_task_phase_SUCCEEDED &&
		  a.task[0].state.phase == CHOICE_task_phase_RUNNING,
	    "it ends, the first goes on");
	instance.task[0].cancel = true;
	agent_task_take(&a, &instance, false);
	look("0:TASK_CANCEL ", "the first is cancelled");
	said(0, CHOICE_task_phase_CANCELLED);
	CHECK(a.task[0].state.phase == CHOICE_task_phase_CANCELLED, "and ends");
}

static void
test_interleaved(void)
{
	begin();
	tell(0, VACUUM, 1, CHOICE_task_kind_VACUUM);
	tell(1, SCRIPT, 1, CHOICE_task_kind_ANALYZE);
	note();
	room = 1;
	look("0:TASK ", "there is room for one message");
	room = 1;
	look("0:TASK_END ", "and for one");
	room = 1;
	look("1:TASK ", "the other slot's turn");
	agent_task_edge_new(&a);
	room = 100;
	look("0:TASK 0:TASK_END 1:TASK 1:TASK_END ", "a new pgctl is told all of both");
	CHECK((begun & 3) == 3, "as begun: both may have been");
}

/* pgctl ends with one handed over and one that is not yet noted. */
static void
test_pgctl_ends(void)
{
	begin_vacuum();
	tell(1, SCRIPT, 1, CHOICE_task_kind_ANALYZE);
	a.self.edge_up = false;
	agent_task_edge_new(&a);
	a.self.edge_up = true;
	note();
	look("0:TASK 0:TASK_END 1:TASK 1:TASK_END ", "both are told to the new one");
	CHECK((begun & 3) == 1, "only the first may have been begun");
}

/* The agent ends: what it had noted may have been begun, whether it was handed over or not. */
static void
test_agent_ends(void)
{
	begin_vacuum();
	tell(1, SCRIPT, 1, CHOICE_task_kind_SQL);
	note();
	begin_agent();
	tell(2, SCRIPT, 2, CHOICE_task_kind_CHECKPOINT);
	memset(a.stored.task, 0, sizeof(a.stored.task));
	note();
	look("0:TASK 0:TASK_END 1:TASK 1:TASK_END 2:TASK 2:TASK_END ",
	    "the new one tells all, and asks for no script of what it does not begin");
	CHECK((begun & 7) == 3 && asks == 0, "those that were noted as begun");
	said(0, CHOICE_task_phase_RUNNING);
	said(1, CHOICE_task_phase_FAILED);
	CHECK(a.task[0].state.phase == CHOICE_task_phase_RUNNING &&
		  a.task[1].state.phase == CHOICE_task_phase_FAILED &&
		  a.task[2].state.phase == CHOICE_task_phase_RUNNING,
	    "each has its own answer");
}

static void
test_scripts(void)
{
	void *first;

	begin();
	tell(0, VACUUM, 1, CHOICE_task_kind_SQL);
	tell(1, SCRIPT, 1, CHOICE_task_kind_SQL);
	note();
	look("", "both need a script");
	CHECK(asks == 2 && answer_arg == &a.task[1], "and each asks for its own");
	script_comes("SELECT 2");
	look("1:TASK 1:TASK_SCRIPT 1:TASK_END ", "who has it is handed over");
	first = &a.task[0];
	answer_arg = first;
	script_comes("SELECT 1");
	look("0:TASK 0:TASK_SCRIPT 0:TASK_END ", "so is the other");
}

/* What comes for a task that another one has followed in its slot is nobody's. */
static void
test_late_script(void)
{
	begin();
	tell(1, VACUUM, 1, CHOICE_task_kind_SQL);
	note();
	agent_task_look(&a);
	tell(1, SCRIPT, 1, CHOICE_task_kind_SQL);
	note();
	script_comes("SELECT 1");
	CHECK(a.task[1].script_fd == -1, "another task's script");
	look("", "is not handed over");
	CHECK(asks == 2, "but asked for anew");
	script_comes("SELECT 2");
	look("1:TASK 1:TASK_SCRIPT 1:TASK_END ", "its own is");
}

/* What is told in two slots is begun once, even if pgctl ends in between. */
static void
test_told_twice(void)
{
	begin();
	tell(1, SCRIPT, 1, CHOICE_task_kind_CHECKPOINT);
	note();
	look("1:TASK 1:TASK_END ", "the one slot");
	tell(0, SCRIPT, 1, CHOICE_task_kind_CHECKPOINT);
	note();
	look("0:TASK 0:TASK_END ", "and the other");
	CHECK((begun & 3) == 1, "the second as begun");
	said(1, CHOICE_task_phase_SUCCEEDED);
	note();
	a.self.edge_up = false;
	agent_task_edge_new(&a);
	a.self.edge_up = true;
	tell(2, SCRIPT, 1, CHOICE_task_kind_CHECKPOINT);
	CHECK(a.task[2].state.phase == CHOICE_task_phase_SUCCEEDED, "what has ended in the one");
	note();
	look("0:TASK 0:TASK_END ", "is not begun in a third, of which a new pgctl knows nothing");
	tell(2, SCRIPT, 2, CHOICE_task_kind_CHECKPOINT);
	note();
	look("2:TASK 2:TASK_END ", "another attempt is something else");
	CHECK((begun & 4) == 0, "and begun");
}

/* Nobody has begun it yet when it is told the second time: it is begun, once. */
static void
test_told_twice_at_once(void)
{
	begin();
	tell(1, SCRIPT, 1, CHOICE_task_kind_CHECKPOINT);
	note();
	tell(0, SCRIPT, 1, CHOICE_task_kind_CHECKPOINT);
	note();
	look("0:TASK 0:TASK_END 1:TASK 1:TASK_END ", "both are handed over");
	CHECK((begun & 3) == 2, "only the second as begun");
}

/* The agent ends in between: status says what came of it, in whichever slot. */
static void
test_told_twice_to_two_agents(void)
{
	begin();
	instance.task[1].done_id = STR(SCRIPT);
	instance.task[1].done_attempt = 1;
	instance.task[1].phase = CHOICE_task_phase_FAILED;
	tell(0, SCRIPT, 1, CHOICE_task_kind_SQL);
	CHECK(a.task[0].state.phase == CHOICE_task_phase_FAILED && a.task[0].begun,
	    "a former agent saw its end in another slot");
	note();
	look("", "nothing is begun");
	CHECK(asks == 0, "and no script asked for");
	begin();
	instance.task[1].done_id = STR(SCRIPT);
	instance.task[1].done_attempt = 1;
	instance.task[1].phase = CHOICE_task_phase_RUNNING;
	tell(0, SCRIPT, 1, CHOICE_task_kind_SQL);
	note();
	look("0:TASK 0:TASK_END ", "one that it has begun is handed over");
	CHECK((begun & 1) == 1 && asks == 0, "as begun");
	begin();
	instance.pod_uid = STR(VACUUM);
	instance.task[1].done_id = STR(SCRIPT);
	instance.task[1].done_attempt = 1;
	instance.task[1].phase = CHOICE_task_phase_FAILED;
	tell(0, SCRIPT, 1, CHOICE_task_kind_CHECKPOINT);
	note();
	look("0:TASK 0:TASK_END ", "what another pod said is nothing");
	CHECK((begun & 1) == 0, "it is begun");
}

/* Two at work, and spec names neither any more. */
static void
begin_dropped(bool anew, int64_t slots)
{
	begin_vacuum();
	tell(1, SCRIPT, 1, CHOICE_task_kind_CHECKPOINT);
	note();
	agent_task_look(&a);
	sent[0] = '\0';
	memset(instance.task, 0, sizeof(instance.task));
	instance.task_slots = slots;
	agent_task_take(&a, &instance, anew);
}

static void
test_dropped(void)
{
	begin();
	agent_task_take(&a, &instance, true);
	CHECK(!a.task[0].cancel, "an agent that knows of nothing has nothing to cancel");
	begin_dropped(true, 0);
	look("0:TASK_CANCEL 1:TASK_CANCEL ", "a BGInstance that was made anew wants neither");
	begin_dropped(false, TASKS_MAX);
	look("", "what was only taken out of it is told again");
	begin_vacuum();
	instance.task[0].pod = STR(SCRIPT);
	agent_task_take(&a, &instance, false);
	look("0:TASK_CANCEL ", "one in which another pod is told does not");
	begin_vacuum();
	said(0, CHOICE_task_phase_SUCCEEDED);
	memset(instance.task, 0, sizeof(instance.task));
	agent_task_take(&a, &instance, true);
	CHECK(!a.task[0].cancel, "what has ended needs no cancelling");
	look("", "nor is pgctl told");
}

static void
test_other_pods(void)
{
	begin();
	tell(0, VACUUM, 1, CHOICE_task_kind_VACUUM);
	instance.task[1] = instance.task[0];
	instance.task[1].pod = STR(SCRIPT);
	agent_task_take(&a, &instance, false);
	note();
	look("0:TASK 0:TASK_END ", "what another pod was told is not ours");
	CHECK(a.task[1].id[0] == '\0', "nothing is said of it");
}

int
main(void)
{
	test_beside();
	test_interleaved();
	test_pgctl_ends();
	test_agent_ends();
	test_scripts();
	test_late_script();
	test_told_twice();
	test_told_twice_at_once();
	test_told_twice_to_two_agents();
	test_dropped();
	test_other_pods();
	begin_agent();
	return tap_done();
}
