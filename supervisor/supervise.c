/*
 * The supervisor at work: signals, timers and deaths become events, restart.c says what each one
 * means, and the actions are carried out here. One row of state per worker, no allocation after the
 * start, nothing that blocks.
 */
#include "supervisor/supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#define TICK_LATE_MS 500 /* a tick later than this: it was we who did not run */

static const struct {
	enum ipc_role role;
	const char *program;
} programs[WORKERS] = {
    {ROLE_BROKER, "worker"},
    {ROLE_WATCHER, "worker"},
    {ROLE_RECONCILER, "reconciler"},
    {ROLE_EXECUTOR, "worker"},
};

static struct supervisor supervisor; /* with all the lines that are under way: not on the stack */

/* --- A worker's log. */

static void
on_line(void *arg, struct str line)
{
	struct worker_proc *w = arg;
	struct log_stamp stamp = {ipc_role_name(w->role), w->lives, false};

	supervisor_log_line(&stamp, line);
}

/* One read; false when there is nothing (more). */
static bool
read_log(struct worker_proc *w)
{
	char bytes[LOG_LINE_SIZE];
	ssize_t n = read(w->log_fd, bytes, sizeof(bytes));

	if (n == -1 && errno == EINTR)
		return true;
	if (n > 0) {
		supervisor_lines_push(&w->lines, bytes, (size_t)n, on_line, w);
		return true;
	}
	if (n == 0 || errno != EAGAIN)
		ev_io_stop(w->sup->loop, &w->log_io);
	return false;
}

static void
on_log(struct ev_loop *loop, ev_io *io, int revents)
{
	(void)loop;
	(void)revents;
	read_log(io->data);
}

/* A dead worker's last words come before we say that it died. What one pipe holds bounds them. */
static void
end_log(struct worker_proc *w)
{
	for (int i = 0; i < 64 && read_log(w); i++)
		;
	supervisor_lines_end(&w->lines, on_line, w);
	ev_io_stop(w->sup->loop, &w->log_io);
	fd_close(&w->log_fd);
}

/* --- Actions. */

static void
spawn(struct worker_proc *w)
{
	if (supervisor_spawn(w) == -1) {
		supervisor_log_event(w, LOG_ERROR, "spawn_failed",
		    "msg=\"no process or descriptor to be had: %s\"", strerror(errno));
		supervisor_event(w, EVENT_DIED);
		return;
	}
	ev_io_init(&w->log_io, on_log, w->log_fd, EV_READ);
	w->log_io.data = w;
	ev_io_start(w->sup->loop, &w->log_io);
	supervisor_log_event(w, LOG_INFO, "started", "pid=%d", (int)w->pid);
	for (unsigned i = 0; i < WORKERS; i++)
		if (w->sup->workers[i].pid != 0)
			supervisor_control_flush(&w->sup->workers[i]);
}

static void
kill_worker(struct worker_proc *w, int signal)
{
	if (w->pid != 0 && kill(w->pid, signal) == -1)
		die("kill %s: %s", ipc_role_name(w->role), strerror(errno));
	if (signal != SIGKILL)
		return;
	/* Nothing that it said and we have not read yet counts. */
	ipc_chan_close(w->control);
	w->control = NULL;
}

static void
note_degraded(struct worker_proc *w)
{
	struct supervisor *s = w->sup;
	uint8_t bit = (uint8_t)(1u << w->role);
	bool was = (s->degraded & bit) != 0;

	if (was == w->life.degraded)
		return;
	s->degraded ^= bit;
	if (w->life.degraded)
		supervisor_log_event(w, LOG_ERROR, "degraded",
		    "deaths_in_a_row=%u msg=\"it dies again and again and is "
		    "restarted every %d ms: see its log lines\"",
		    w->life.streak, BACKOFF_MAX_MS);
	else
		supervisor_log_event(w, LOG_INFO, "recovered", "msg=\"it works again\"");
	supervisor_control_flush(supervisor_worker_of(s, ROLE_RECONCILER));
}

static void
stop_if_ended(struct supervisor *s)
{
	for (unsigned i = 0; i < WORKERS; i++)
		if (s->workers[i].life.state != LIFE_ENDED)
			return;
	ev_break(s->loop, EVBREAK_ALL);
}

static void
set_timer(struct worker_proc *w, int64_t ms)
{
	ev_timer_stop(w->sup->loop, &w->timer);
	if (ms < 0)
		return;
	ev_timer_set(&w->timer, (double)ms / 1000., 0.);
	ev_timer_start(w->sup->loop, &w->timer);
}

static void
act(struct worker_proc *w, enum life_action action)
{
	switch (action) {
	case ACT_SPAWN:
		spawn(w);
		break;
	case ACT_KILL:
		kill_worker(w, SIGKILL);
		break;
	case ACT_TERM:
		kill_worker(w, SIGTERM);
		break;
	case ACT_NONE:
	case ACT_WELCOME: /* on_ready has said it */
	case ACT_RESTART: /* the timer is all */
	case ACT_GIVE_UP: /* on_death knows with which code */
		break;
	}
}

static struct life_step
apply(struct worker_proc *w, enum life_event ev)
{
	enum life_state before = w->life.state;
	struct life_step step;
	uint32_t random;

	rand_bytes(&random, sizeof(random));
	step = supervisor_life_step(&w->life, ev, clock_mono(), random);
	if (step.timer_ms >= 0 || w->life.state != before)
		set_timer(w, step.timer_ms);
	act(w, step.action);
	note_degraded(w);
	if (w->life.state == LIFE_ENDED)
		stop_if_ended(w->sup);
	return step;
}

void
supervisor_event(struct worker_proc *w, enum life_event ev)
{
	apply(w, ev);
}

static void
stop_all(struct supervisor *s)
{
	s->stopping = true;
	for (unsigned i = 0; i < WORKERS; i++)
		supervisor_event(&s->workers[i], EVENT_STOP);
}

void
supervisor_give_up(struct supervisor *s, int exit_code)
{
	if (s->exit_code == EXIT_ASKED)
		s->exit_code = exit_code;
	stop_all(s);
}

/* --- Deaths. */

static void
quarantine(struct worker_proc *w, const struct ipc_poison *p)
{
	char uid[UID_TEXT_SIZE];

	uid_format(uid, &p->uid);
	supervisor_log_event(w, LOG_ERROR, "quarantined",
	    "kind=%s obj=\"%s/%s\" uid=%s generation=%llu line=%016llx msg=\"it crashed "
	    "%d times on this object, which is left alone until its spec changes: please report "
	    "it\"",
	    kind_info[p->kind].name, p->namespace, p->name, uid, (unsigned long long)p->generation,
	    (unsigned long long)p->line, POISON_CRASHES);
	for (unsigned i = 0; i < WORKERS; i++) {
		w->sup->workers[i].quarantine_due = true;
		supervisor_control_flush(&w->sup->workers[i]);
	}
}

static void
tally(struct worker_proc *w, const struct death *d)
{
	struct msg_quarantine q;
	struct ipc_poison p;

	if (!supervisor_death_own_fault(d) || ipc_poison_read(w->poison, &p) == -1)
		return;
	if (supervisor_tally_crash(&w->sup->tally, &p, &q))
		quarantine(w, &p);
}

static void
log_death(const struct worker_proc *w, pid_t pid, const char *how, const struct life_step *step)
{
	if (step->action == ACT_RESTART)
		supervisor_log_event(w, LOG_WARN, "died", "how=\"%s\" pid=%d delay_ms=%lld", how,
		    (int)pid, (long long)step->timer_ms);
	else
		supervisor_log_event(w, LOG_INFO, "died", "how=\"%s\" pid=%d", how, (int)pid);
}

static void
on_death(struct worker_proc *w, int status)
{
	struct death d = {.code = WEXITSTATUS(status), .hung = w->hung};
	enum life_event ev;
	struct life_step step;
	pid_t pid = w->pid;
	char how[48];

	if (WIFSIGNALED(status))
		d = (struct death){.signal = WTERMSIG(status), .hung = w->hung};
	ev = supervisor_death_event(&w->life, &d);
	w->pid = 0;
	w->died = clock_mono();
	end_log(w);
	ipc_chan_close(w->control);
	w->control = NULL;
	for (unsigned i = 0; i < IPC_ROLE_COUNT; i++)
		fd_close(&w->newchan[i]);
	tally(w, &d);
	supervisor_death_text(how, &d);
	step = apply(w, ev);
	log_death(w, pid, how, &step);
	if (step.action == ACT_GIVE_UP) {
		supervisor_log_event(w, LOG_ERROR, "giving_up",
		    "code=%d msg=\"restarting would not help: see its last log line\"", d.code);
		supervisor_give_up(w->sup, d.code);
	}
}

/* All that can be reaped: one SIGCHLD may stand for several, and PID 1 gets strays too. */
static void
on_child(struct ev_loop *loop, ev_signal *sig, int revents)
{
	struct supervisor *s = sig->data;
	int status;
	pid_t pid;

	(void)loop;
	(void)revents;
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		for (unsigned i = 0; i < WORKERS; i++)
			if (s->workers[i].pid == pid)
				on_death(&s->workers[i], status);
}

/* --- Signals and timers. */

static void
on_end(struct ev_loop *loop, ev_signal *sig, int revents)
{
	(void)loop;
	(void)revents;
	supervisor_log_event(NULL, LOG_INFO, "stopping", "signal=%d", sig->signum);
	stop_all(sig->data);
}

static void
on_timer(struct ev_loop *loop, ev_timer *timer, int revents)
{
	struct worker_proc *w = timer->data;

	(void)loop;
	(void)revents;
	if (w->life.state == LIFE_STARTING)
		supervisor_log_event(
		    w, LOG_ERROR, "not_ready", "msg=\"not ready %d ms after its start\"", READY_MS);
	supervisor_event(w, EVENT_TIMEOUT);
}

static void
ping(struct worker_proc *w, bool on_time)
{
	switch (supervisor_life_ping(&w->life, on_time)) {
	case PING_NONE:
		break;
	case PING_SEND:
		supervisor_control_ping(w);
		break;
	case PING_HUNG:
		supervisor_log_event(
		    w, LOG_ERROR, "hung", "msg=\"%d PINGs without an answer\"", PINGS_LOST);
		w->hung = true;
		supervisor_event(w, EVENT_HUNG);
		break;
	}
}

static void
on_tick(struct ev_loop *loop, ev_timer *timer, int revents)
{
	struct supervisor *s = timer->data;
	struct msec now = clock_mono();
	bool on_time = now.v - s->tick_due.v <= TICK_LATE_MS;

	(void)loop;
	(void)revents;
	s->tick_due.v = now.v + PING_MS;
	for (unsigned i = 0; i < WORKERS; i++)
		ping(&s->workers[i], on_time);
}

static void
watch_signal(struct supervisor *s, ev_signal *sig, int signum,
    void (*cb)(struct ev_loop *, ev_signal *, int))
{
	ev_signal_init(sig, cb, signum);
	sig->data = s;
	ev_signal_start(s->loop, sig);
}

static void
init_worker(struct supervisor *s, unsigned i)
{
	struct worker_proc *w = &s->workers[i];

	*w = (struct worker_proc){.sup = s,
	    .role = programs[i].role,
	    .program = programs[i].program,
	    .log_fd = -1,
	    .poison = ipc_poison_new()};
	if (w->poison == -1)
		die("memfd_create: %s", strerror(errno));
	for (unsigned p = 0; p < IPC_ROLE_COUNT; p++)
		w->newchan[p] = -1;
	supervisor_life_init(&w->life);
	ev_timer_init(&w->timer, on_timer, 0., 0.);
	w->timer.data = w;
	ev_timer_start(s->loop, &w->timer);
}

int
supervisor_run(const struct supervisor_config *c, const char *dir)
{
	struct supervisor *s = &supervisor;

	*s = (struct supervisor){.config = c, .dir = dir, .exit_code = EXIT_ASKED};
	s->loop = ev_loop_new(EVBACKEND_EPOLL | EVFLAG_NOENV);
	s->null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (s->loop == NULL || s->null_fd == -1)
		die("no epoll or no /dev/null: %s", strerror(errno));
	signal(SIGPIPE, SIG_IGN);
	supervisor_log_open(s->loop);
	watch_signal(s, &s->on_term, SIGTERM, on_end);
	watch_signal(s, &s->on_int, SIGINT, on_end);
	watch_signal(s, &s->on_child, SIGCHLD, on_child);
	for (unsigned i = 0; i < WORKERS; i++)
		init_worker(s, i);
	s->tick_due.v = clock_mono().v + PING_MS;
	ev_timer_init(&s->tick, on_tick, PING_MS / 1000., PING_MS / 1000.);
	s->tick.data = s;
	ev_timer_start(s->loop, &s->tick);
	ev_run(s->loop, 0);
	supervisor_log_event(NULL, LOG_INFO, "ended", "code=%d", s->exit_code);
	supervisor_log_flush();
	return s->exit_code;
}
