/*
 * Tasks in pgctl, several at a time: each slot has its own messages, programs, end and clean-up,
 * and what is told twice is done once. The programs are given here; nothing is run.
 */
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "instance/task.h"
#include "tests/unit/tap.h"

struct run {
	bool open, stopped;
	char program[32], application[80], input[8192];
	void (*done)(void *arg, const struct run_result *);
	void *arg;
};
#define RUNS_MAX 100
static struct run runs[RUNS_MAX];
static unsigned runs_n;
static struct msg_task_state states[TASKS_MAX]; /* what the agent was told last */
static unsigned said[TASKS_MAX];
static uint64_t free_mib = 1000;

static struct pgctl p;
static struct candidate chosen = {.major = 17};
static struct spec spec;
static struct uid vacuum, script, third;

/* --- What the files of a task call of the others. */

struct run *
run_start(struct ev_loop *loop, const struct run_spec *s,
    void (*done)(void *arg, const struct run_result *), void *arg)
{
	struct run *r = &runs[runs_n++];

	(void)loop;
	if (runs_n == RUNS_MAX)
		die("too many programs");
	*r = (struct run){.open = true, .done = done, .arg = arg};
	(void)snprintf(r->program, sizeof(r->program), "%s", strrchr(s->argv[0], '/') + 1);
	for (unsigned i = 0; s->env[i] != NULL; i++)
		if (strncmp(s->env[i], "PGAPPNAME=", 10) == 0)
			(void)snprintf(
			    r->application, sizeof(r->application), "%s", s->env[i] + 10);
	(void)str_copy(r->input, sizeof(r->input), s->input);
	return r;
}

void
run_stop(struct run *r)
{
	r->stopped = true;
}

int
passfile_write(const char *path, const char *host, const char *user, const struct secret *password,
    struct err *e)
{
	(void)path;
	(void)host;
	(void)user;
	(void)password;
	(void)e;
	return 0;
}

bool
child_send(struct self *c, const struct ipc_msg *m)
{
	(void)c;
	states[m->task_state.slot] = m->task_state;
	said[m->task_state.slot]++;
	return true;
}

int
statvfs(const char *path, struct statvfs *v)
{
	(void)path;
	*v = (struct statvfs){.f_bavail = free_mib, .f_frsize = 1 << 20};
	return 0;
}

/* --- The scene. */

static void
begin(void)
{
	for (uint8_t slot = 0; slot < TASKS_MAX; slot++)
		p.task[slot] = task_new(&p, slot);
	memset(states, 0, sizeof(states));
	memset(said, 0, sizeof(said));
	runs_n = 0;
}

static void
end(void)
{
	for (unsigned slot = 0; slot < TASKS_MAX; slot++) {
		struct task *t = p.task[slot];

		ev_timer_stop(p.self.loop, &t->deadline);
		ev_timer_stop(p.self.loop, &t->poll);
		ev_timer_stop(p.self.loop, &t->again);
		buf_free(&t->now.script);
		buf_free(&t->next.script);
		buf_free(&t->incoming.script);
		arena_free(&t->arena);
		xfree(t->latencies);
		xfree(t);
	}
}

static bool
send_head(
    unsigned slot, const struct uid *id, unsigned attempt, enum choice_task_kind kind, bool begun)
{
	struct ipc_msg m = {.type = IPC_TASK, .fds = {-1, -1}};

	m.task = (struct msg_task){.slot = (uint8_t)slot,
	    .id = *id,
	    .attempt = attempt,
	    .kind = (uint8_t)kind,
	    .begun = begun,
	    .scale = 1};
	return task_take(&p, &m);
}

static bool
send_name(unsigned slot, const char *name)
{
	struct ipc_msg m = {.type = IPC_TASK_NAME, .fds = {-1, -1}};

	m.task_name.slot = (uint8_t)slot;
	(void)snprintf(m.task_name.name, sizeof(m.task_name.name), "%s", name);
	return task_take(&p, &m);
}

static bool
send_end(unsigned slot)
{
	struct ipc_msg m = {.type = IPC_TASK_END, .fds = {-1, -1}};

	m.task_end.slot = (uint8_t)slot;
	return task_take(&p, &m);
}

static void
cancel(unsigned slot, const struct uid *id, unsigned attempt)
{
	struct ipc_msg m = {.type = IPC_TASK_CANCEL, .fds = {-1, -1}};

	m.task_cancel =
	    (struct msg_task_cancel){.slot = (uint8_t)slot, .id = *id, .attempt = attempt};
	(void)task_take(&p, &m);
}

static void
tell(unsigned slot, const struct uid *id, unsigned attempt, enum choice_task_kind kind, bool begun)
{
	(void)send_head(slot, id, attempt, kind, begun);
	(void)send_end(slot);
}

/* The program of that slot that is under way; NULL = none is. */
static struct run *
run_of(unsigned slot)
{
	for (unsigned i = 0; i < runs_n; i++)
		if (runs[i].open && runs[i].arg == p.task[slot])
			return &runs[i];
	return NULL;
}

static unsigned
open_runs(void)
{
	unsigned n = 0;

	for (unsigned i = 0; i < runs_n; i++)
		n += runs[i].open;
	return n;
}

static void
ends(struct run *r, int status, const char *out)
{
	struct run_result result = {
	    .status = r->stopped ? -1 : status, .out = str_of(out), .err = STR("")};

	r->open = false;
	r->done(r->arg, &result);
}

/* Its program was killed, and it has no session left. */
static void
is_swept(unsigned slot)
{
	struct run *r = run_of(slot);

	if (r != NULL && r->stopped)
		ends(r, -1, "");
	if ((r = run_of(slot)) != NULL)
		ends(r, 0, "k 0\n");
}

static bool
says(unsigned slot, const struct uid *id, enum choice_task_phase phase)
{
	return uid_eq(&states[slot].id, id) && states[slot].phase == phase;
}

/* The clock strikes for what waits. */
static void
waits_no_longer(unsigned slot)
{
	struct task *t = p.task[slot];

	if (!CHECK(ev_is_active(&t->again), "it waits"))
		return;
	ev_timer_stop(p.self.loop, &t->again);
	t->later(t);
}

static void
test_beside(void)
{
	begin();
	tell(0, &vacuum, 1, CHOICE_task_kind_VACUUM, false);
	tell(2, &script, 1, CHOICE_task_kind_CHECKPOINT, false);
	CHECK(run_of(0) != NULL && run_of(2) != NULL && says(0, &vacuum, CHOICE_task_phase_RUNNING),
	    "two are at work");
	CHECK(strcmp(run_of(0)->application, run_of(2)->application) != 0,
	    "their sessions have names of their own");
	ends(run_of(2), 0, "");
	CHECK(says(2, &script, CHOICE_task_phase_SUCCEEDED) && states[2].percent == 100 &&
		  says(0, &vacuum, CHOICE_task_phase_RUNNING) && run_of(0) != NULL,
	    "one ends, the other goes on");
	tell(2, &third, 1, CHOICE_task_kind_ANALYZE, false);
	cancel(2, &third, 1);
	CHECK(run_of(2)->stopped && !run_of(0)->stopped, "the next in its slot is cancelled alone");
	ends(run_of(2), -1, "");
	CHECK(strstr(run_of(2)->input, p.task[2]->name.application) != NULL &&
		  strstr(run_of(2)->input, p.task[0]->name.application) == NULL,
	    "its sessions are ended, and nobody else's");
	is_swept(2);
	CHECK(says(2, &third, CHOICE_task_phase_CANCELLED) &&
		  says(0, &vacuum, CHOICE_task_phase_RUNNING),
	    "and it is over");
	end();
}

static void
test_interleaved(void)
{
	begin();
	CHECK(send_head(0, &vacuum, 1, CHOICE_task_kind_VACUUM, false) &&
		  send_head(1, &script, 1, CHOICE_task_kind_ANALYZE, false) && send_name(0, "a") &&
		  send_name(1, "b") && send_name(0, "c") && send_end(1) && send_end(0),
	    "the parts of two may come mixed");
	CHECK(p.task[0]->now.databases_n == 2 && strcmp(p.task[0]->now.databases[1], "c") == 0 &&
		  p.task[1]->now.databases_n == 1 && strcmp(p.task[1]->now.databases[0], "b") == 0,
	    "each slot has its own");
	CHECK(!send_name(2, "d") && !send_end(2), "a part without its beginning is a breach");
	end();
}

/* The agent ends in the middle of telling two; the next one knows what was noted. */
static void
test_agent_ends(void)
{
	begin();
	tell(0, &vacuum, 1, CHOICE_task_kind_VACUUM, false);
	(void)send_head(1, &script, 1, CHOICE_task_kind_SQL, false);
	for (unsigned slot = 0; slot < TASKS_MAX; slot++)
		task_edge_new(p.task[slot]);
	said[0] = said[1] = 0;
	CHECK(!send_end(1), "what was told by half is forgotten");
	tell(0, &vacuum, 1, CHOICE_task_kind_VACUUM, true);
	CHECK(said[0] == 1 && says(0, &vacuum, CHOICE_task_phase_RUNNING) && open_runs() == 1,
	    "what is at work goes on, and says so");
	tell(1, &script, 1, CHOICE_task_kind_SQL, true);
	is_swept(1);
	CHECK(says(1, &script, CHOICE_task_phase_FAILED) &&
		  strncmp(states[1].message, "interrupted", 11) == 0,
	    "what may have been begun is not begun");
	CHECK(run_of(0) != NULL && !run_of(0)->stopped, "the first is not touched by that");
	end();
}

/* pgctl ends with two at work: of neither it is known how far it came. */
static void
test_pgctl_ends(void)
{
	begin();
	tell(0, &vacuum, 1, CHOICE_task_kind_VACUUM, true);
	tell(1, &script, 1, CHOICE_task_kind_SQL, true);
	CHECK(open_runs() == 2 && strstr(run_of(0)->input, p.task[0]->name.application) != NULL &&
		  strstr(run_of(1)->input, p.task[1]->name.application) != NULL,
	    "the sessions of each are ended");
	is_swept(1);
	CHECK(says(1, &script, CHOICE_task_phase_FAILED) && said[0] == 0 && run_of(0) != NULL,
	    "who is done says so");
	is_swept(0);
	CHECK(says(0, &vacuum, CHOICE_task_phase_FAILED) && open_runs() == 0, "then the other");
	end();
}

/* An operator that knows the first slot only tells there what the second one does. */
static void
test_told_twice(void)
{
	begin();
	tell(1, &script, 1, CHOICE_task_kind_CHECKPOINT, false);
	tell(0, &script, 1, CHOICE_task_kind_CHECKPOINT, false);
	CHECK(runs_n == 1 && says(0, &script, CHOICE_task_phase_RUNNING), "it is done once");
	ends(run_of(1), 0, "");
	CHECK(says(0, &script, CHOICE_task_phase_SUCCEEDED) &&
		  says(1, &script, CHOICE_task_phase_SUCCEEDED),
	    "its end is said of both slots");
	tell(1, &vacuum, 1, CHOICE_task_kind_VACUUM, false);
	said[0] = 0;
	tell(0, &script, 1, CHOICE_task_kind_CHECKPOINT, true);
	CHECK(said[0] == 1 && says(0, &script, CHOICE_task_phase_SUCCEEDED) && open_runs() == 1,
	    "and still, when the other slot has another one");
	tell(0, &third, 1, CHOICE_task_kind_CHECKPOINT, false);
	CHECK(open_runs() == 2 && uid_eq(&p.task[0]->state.id, &third) && run_of(0) != NULL,
	    "which is no hindrance to the next");
	end();
	begin();
	tell(1, &script, 1, CHOICE_task_kind_CHECKPOINT, false);
	tell(0, &script, 1, CHOICE_task_kind_CHECKPOINT, false);
	cancel(0, &script, 1);
	CHECK(run_of(1) != NULL && run_of(1)->stopped, "it can be cancelled in either");
	is_swept(1);
	CHECK(says(0, &script, CHOICE_task_phase_CANCELLED) &&
		  says(1, &script, CHOICE_task_phase_CANCELLED),
	    "of both");
	end();
}

/* The same operator begins it anew. */
static void
test_another_attempt(void)
{
	begin();
	tell(1, &vacuum, 1, CHOICE_task_kind_VACUUM, false);
	tell(0, &vacuum, 2, CHOICE_task_kind_VACUUM, false);
	CHECK(runs_n == 1 && run_of(1)->stopped, "the earlier attempt is ended first");
	waits_no_longer(0);
	CHECK(run_of(0) == NULL, "and until then nothing is begun");
	is_swept(1);
	CHECK(
	    says(1, &vacuum, CHOICE_task_phase_CANCELLED) && states[1].attempt == 1, "it is over");
	waits_no_longer(0);
	is_swept(0);
	CHECK(run_of(0) != NULL && says(0, &vacuum, CHOICE_task_phase_RUNNING) &&
		  states[0].attempt == 2,
	    "then the next one begins");
	end();
}

static unsigned agains;

static void
again(struct task *t)
{
	(void)t;
	agains++;
}

static bool
has_room(unsigned slot, unsigned data_mib, unsigned wal_mib)
{
	return task_has_room(p.task[slot], slot == 1 ? "the benchmark" : "s.t",
	    (uint64_t)data_mib << 20, (uint64_t)wal_mib << 20, again);
}

/* What one was promised of the volume no other one counts on. */
static void
test_room(void)
{
	begin();
	tell(0, &vacuum, 1, CHOICE_task_kind_VACUUM, false);
	tell(1, &script, 1, CHOICE_task_kind_ANALYZE, false);
	CHECK(has_room(0, 500, 100), "it fits");
	CHECK(has_room(1, 300, 0), "so does this");
	CHECK(has_room(0, 600, 100), "one's own share is not counted twice");
	CHECK(!has_room(1, 301, 0) && !p.task[1]->ending &&
		  strcmp(states[1].step, "waits for room until another task is done: the benchmark "
					 "needs about 301 MiB") == 0,
	    "what does not fit beside it waits");
	CHECK(has_room(2, 300, 0), "and holds nothing then");
	p.task[2]->room = p.task[2]->back = (struct task_room){0};
	free_mib = 350; /* it has written nearly all */
	agains = 0;
	waits_no_longer(1);
	CHECK(agains == 1 && !has_room(1, 301, 0) && !p.task[1]->ending,
	    "what was written is not known, so it waits on");
	task_wrote(p.task[0]);
	CHECK(has_room(1, 301, 0), "until it is known");
	free_mib = 300;
	CHECK(!has_room(1, 301, 0) && !p.task[1]->ending, "what the other holds comes back");
	CHECK(!has_room(1, 1001, 0) &&
		  strcmp(p.task[1]->end_message, "the benchmark needs about 1001 MiB free, but the "
						 "volume has 300; grow spec.storage.size") == 0,
	    "what would not fit without the other either ends");
	is_swept(1);
	p.task[0]->room = p.task[0]->back = (struct task_room){0};
	free_mib = 1000;
	CHECK(has_room(2, 1000, 0), "who has ended needs none");
	end();
}

/* A benchmark that waits begins when the other one has ended, and can be cancelled before. */
static void
test_room_of_benchmark(void)
{
	begin();
	tell(0, &vacuum, 1, CHOICE_task_kind_VACUUM, false);
	CHECK(has_room(0, 990, 0), "a table takes nearly all");
	tell(1, &script, 1, CHOICE_task_kind_BENCHMARK, false);
	CHECK(run_of(1) == NULL && says(1, &script, CHOICE_task_phase_RUNNING), "it waits");
	waits_no_longer(1);
	CHECK(run_of(1) == NULL, "as long as the other one holds it");
	cancel(0, &vacuum, 1);
	is_swept(0);
	CHECK(says(0, &vacuum, CHOICE_task_phase_CANCELLED), "which ends");
	waits_no_longer(1);
	CHECK(run_of(1) != NULL && strcmp(run_of(1)->program, "psql") == 0, "then it begins");
	CHECK(!has_room(2, 990, 0), "another one waits for it");
	cancel(1, &script, 1);
	is_swept(1);
	is_swept(1);
	CHECK(says(1, &script, CHOICE_task_phase_CANCELLED) && has_room(2, 990, 0), "its turn");
	tell(0, &third, 1, CHOICE_task_kind_BENCHMARK, false);
	cancel(0, &third, 1);
	is_swept(0);
	is_swept(0);
	CHECK(says(0, &third, CHOICE_task_phase_CANCELLED) && !ev_is_active(&p.task[0]->again),
	    "what waits can be cancelled");
	end();
}

static void
looked_up(unsigned slot, const char *out)
{
	if (CHECK(run_of(slot) != NULL, "it looks up"))
		ends(run_of(slot), 0, out);
}

/* A rewrite that waits looks its table up again, which may have become another one. */
static void
test_room_of_table(void)
{
	struct ipc_msg full = {.type = IPC_TASK, .fds = {-1, -1}};

	begin();
	tell(1, &script, 1, CHOICE_task_kind_ANALYZE, false);
	CHECK(has_room(1, 300, 0), "something has room");
	full.task = (struct msg_task){
	    .id = vacuum, .attempt = 1, .kind = CHOICE_task_kind_VACUUM, .full = true};
	(void)task_take(&p, &full);
	(void)send_end(0);
	looked_up(0, "+ 617070\n");
	looked_up(0, "n 1 1\n");
	looked_up(0, "x 16384 734003201 0 732e74 s.t|16384\n");
	CHECK(run_of(0) == NULL && strcmp(states[0].step, "waits for room until another task is "
							  "done: s.t needs about 701 MiB") == 0,
	    "too large beside it");
	waits_no_longer(0);
	CHECK(run_of(0) != NULL && strstr(run_of(0)->input, "16383") != NULL, "from the same on");
	looked_up(0, "x 16385 734003200 0 732e75 s.u|16385\n");
	CHECK(strcmp(states[0].step, "VACUUM app s.u, 1 of 1") == 0 && run_of(0) != NULL &&
		  strstr(run_of(0)->input, "VACUUM") != NULL,
	    "another one fits, and is still the first");
	end();
}

static void
test_looks(void)
{
	begin();
	tell(0, &vacuum, 1, CHOICE_task_kind_VACUUM, false);
	tell(1, &script, 1, CHOICE_task_kind_ANALYZE, false);
	p.task[0]->measured = p.task[1]->measured = true;
	runs_n = 2;
	task_look(p.task[0]);
	task_look(p.task[1]);
	CHECK(runs_n == 3, "one look at a time: superusers' connections are few");
	ends(&runs[2], 0, "");
	task_look(p.task[1]);
	CHECK(runs_n == 4 && strcmp(runs[3].application, "bestgres") == 0, "then the other's");
	end();
}

static void
make_program(const char *dir, const char *name)
{
	char path[300];
	int fd;

	(void)snprintf(path, sizeof(path), "%.200s/%s", dir, name);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0700);
	fd_close(&fd);
}

int
main(void)
{
	char dir[] = "/tmp/test_instance_task.XXXXXX", path[64];

	if (mkdtemp(dir) == NULL || (p.self.loop = ev_default_loop(EVFLAG_AUTO)) == NULL)
		die("no directory or no loop");
	make_program(dir, "psql");
	make_program(dir, "pgbench");
	(void)snprintf(chosen.dir, sizeof(chosen.dir), "%s", dir);
	p.chosen = &chosen;
	p.have_credentials = true;
	p.spec = &spec;
	p.path = "/nowhere";
	(void)snprintf(p.credentials.superuser.username, 64, "postgres");
	(void)snprintf(spec.m.owner, sizeof(spec.m.owner), "app");
	(void)snprintf(spec.m.database, sizeof(spec.m.database), "app");
	(void)uid_parse(STR("0f8fad5b-d9cb-469f-a165-70867728950e"), &vacuum);
	(void)uid_parse(STR("16fd2706-8baf-433b-82eb-8c7fada847da"), &script);
	(void)uid_parse(STR("7c9e6679-7425-40de-944b-e07fc1f90ae7"), &third);
	test_beside();
	test_interleaved();
	test_agent_ends();
	test_pgctl_ends();
	test_told_twice();
	test_another_attempt();
	test_room();
	test_room_of_benchmark();
	test_room_of_table();
	test_looks();
	(void)snprintf(path, sizeof(path), "%.40s/psql", dir);
	(void)unlink(path);
	(void)snprintf(path, sizeof(path), "%.40s/pgbench", dir);
	(void)unlink(path);
	(void)rmdir(dir);
	return tap_done();
}
