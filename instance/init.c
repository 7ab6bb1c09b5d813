/*
 * PID 1: the loop, the lock, reaping, and what it tells agent and pgctl. Started as `instance init`
 * in place of the image's own entrypoint. Everything it decides by itself is in the pure machines
 * of instance.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "instance/init.h"

#define GRACE_DEFAULT_S 300
#define KILLED_MAX 4096

extern char **environ;

_Noreturn void
init_end(int code, const char *fmt, ...)
{
	char text[400];
	va_list ap;
	int fd;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	log_line(code == 0 ? LOG_INFO : LOG_ERROR, "end", NULL, "%s", text);
	if (code != 0 && (fd = open(TERMINATION_LOG, O_WRONLY | O_CLOEXEC)) != -1) {
		(void)fd_write_all(fd, text, strlen(text));
		(void)close(fd);
	}
	_exit(code);
}

unsigned
init_kill_all(const struct init *i, int sig)
{
	static struct proc found[KILLED_MAX];
	unsigned n = procs_below(getpid(), found, KILLED_MAX), others = 0;

	for (unsigned k = 0; k < n; k++) {
		if (found[k].pid == i->helper[HELPER_AGENT].pid ||
		    found[k].pid == i->helper[HELPER_PGCTL].pid)
			continue;
		others++;
		if (sig != 0)
			(void)kill(found[k].pid, sig);
	}
	return others;
}

/* found[k] is a helper, or descends from one. */
static bool
of_helper(const struct init *i, const struct proc *found, unsigned n, unsigned k)
{
	for (unsigned step = 0; step < n; step++) {
		unsigned parent = 0;

		if (found[k].pid == i->helper[HELPER_AGENT].pid ||
		    found[k].pid == i->helper[HELPER_PGCTL].pid)
			return true;
		while (parent < n && found[parent].pid != found[k].ppid)
			parent++;
		if (parent == n)
			return false;
		k = parent;
	}
	return false;
}

unsigned
init_kill_orphans(const struct init *i)
{
	static struct proc found[KILLED_MAX];
	unsigned n = procs_below(getpid(), found, KILLED_MAX), killed = 0;

	for (unsigned k = 0; k < n; k++)
		if (!of_helper(i, found, n, k) && found[k].pid != i->renew.remover &&
		    kill(found[k].pid, SIGKILL) == 0)
			killed++;
	return killed;
}

static struct msg_pod_state
state_now(const struct init *i)
{
	struct msg_pod_state s = {.locked = i->locked,
	    .patroni_running = i->keeper.pid != 0,
	    .patroni_exits = i->keeper.exits,
	    .fences = i->fences,
	    .accepts = i->accepts,
	    .stopping = i->stop.phase != STOP_OFF,
	    .stop_signals = i->stop_signals,
	    .detached = i->detached,
	    .stopped = i->rested,
	    .clone_stalls = i->keeper.clone.stalls,
	    .clone_kills = i->keeper.clone.kills};

	str_copy_text(s.text, sizeof(s.text),
	    str_of(!i->locked                   ? i->lock_text
		   : i->keeper.waits[0] != '\0' ? i->keeper.waits
						: i->keeper.ended));
	memcpy(s.owned_variable, i->owned_variable, sizeof(s.owned_variable));
	return s;
}

void
init_changed(struct init *i)
{
	struct msg_pod_state s;

	keeper_try_start(i);
	s = state_now(i);
	for (unsigned h = 0; h < HELPERS; h++)
		spawn_say_state(&i->helper[h], &s);
	init_tick_needed(i);
}

void
init_tick_needed(struct init *i)
{
	/*
	 * With Patroni running too: the fence counts from its last look, so that must never be long
	 * ago.
	 */
	bool needed = !i->locked || i->fence.armed || i->keeper.pid != 0 ||
	              i->stop.phase != STOP_OFF || i->rest.phase != STOP_OFF || renewer_is_busy(i);

	if (needed && !ev_is_active(&i->tick))
		ev_timer_again(i->loop, &i->tick);
	else if (!needed && ev_is_active(&i->tick))
		ev_timer_stop(i->loop, &i->tick);
}

static void
take_lock(struct init *i)
{
	struct err e;

	switch (lock_try(LOCK_PATH, &i->lock_fd, &e)) {
	case LOCK_HELD:
		i->locked = true;
		(void)keeper_prepare(
		    i); /* before the helpers hear of the lock and look at PGDATA */
		log_info("locked", NULL, "this container has the volume's lock");
		break;
	case LOCK_BUSY:
		str_copy_text(i->lock_text, sizeof(i->lock_text),
		    STR("another container holds the volume's lock"));
		break;
	case LOCK_BROKEN:
	default:
		str_copy_text(i->lock_text, sizeof(i->lock_text), str_of(e.text));
		break;
	}
	init_changed(i);
}

/* So that the agent need not ask Patroni all the time, which is busy while PostgreSQL starts. */
static void
look_at_postgres(struct init *i)
{
	bool accepts = i->locked && i->keeper.pid != 0 && procs_accepts(PGDATA_DIR);

	if (accepts == i->accepts)
		return;
	i->accepts = accepts;
	init_changed(i);
}

static void
on_tick(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct init *i = w->data;

	(void)loop;
	(void)revents;
	watchdog_look(i);
	if (!i->locked && i->stop.phase == STOP_OFF)
		take_lock(i);
	halt_look(i);
	renewer_look(i);
	keeper_look(i);
	look_at_postgres(i);
	init_tick_needed(i);
}

static void
on_ping(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct init *i = w->data;
	struct msec now = clock_boot();

	(void)loop;
	(void)revents;
	spawn_ping(i, now.v - i->last_ping.v < PING_MS + PING_MS / 2);
	i->last_ping = now;
}

/*
 * Everything that ends in this container ends here: Patroni orphans the postmaster to us on
 * purpose.
 */
static void
on_chld(struct ev_loop *loop, ev_signal *w, int revents)
{
	struct init *i = w->data;
	pid_t pid;
	int status;

	(void)loop;
	(void)revents;
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (pid == i->keeper.pid)
			keeper_ended(i, status);
		for (unsigned h = 0; h < HELPERS; h++)
			if (pid == i->helper[h].pid)
				spawn_ended(i, &i->helper[h], status);
		renewer_ended(i, pid, status);
	}
	halt_look(i);
	renewer_look(i);
}

static void
on_stop_signal(struct ev_loop *loop, ev_signal *w, int revents)
{
	(void)loop;
	(void)revents;
	halt_begin(w->data);
}

/*
 * Variables win over Patroni's configuration file: those that would unseat us keep Patroni from
 * starting.
 */
static void
find_owned_variable(struct init *i)
{
	for (char **v = environ; *v != NULL; v++) {
		size_t len = strcspn(*v, "=");

		if (len < sizeof(i->owned_variable) &&
		    model_variable_owned((struct str){*v, len})) {
			(void)str_copy(
			    i->owned_variable, sizeof(i->owned_variable), (struct str){*v, len});
			return;
		}
	}
}

/*
 * Our own log must never hold up the fence: when the reader of the container's stderr stalls, lines
 * are dropped. A new open file, so that Patroni's and PostgreSQL's stderr stays blocking.
 */
static void
separate_log(struct init *i)
{
	int fd = open("/proc/self/fd/2", O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_APPEND);

	i->stdout_fd = fcntl(1, F_DUPFD_CLOEXEC, 64);
	i->stderr_fd = fcntl(2, F_DUPFD_CLOEXEC, 64);
	if (i->stdout_fd == -1 || i->stderr_fd == -1)
		die("dup of stdout or stderr: %s", strerror(errno));
	if (fd == -1)
		return; /* a socket or the like can not be opened anew */
	(void)dup2(fd, 2);
	(void)close(fd);
}

static void
make_dir(const char *path, mode_t mode)
{
	if (mkdir(path, mode) == -1 && errno != EEXIST)
		init_end(EXIT_CONFIG, "mkdir %s: %s", path, strerror(errno));
	if (chmod(path, mode) == -1)
		log_warn("setup", NULL, "chmod %s: %s", path, strerror(errno));
}

static void
setup(struct init *i)
{
	const char *grace = getenv("BESTGRES_GRACE_SECONDS");
	uint64_t seconds;

	if (getpid() != 1 && prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == -1)
		die("PR_SET_CHILD_SUBREAPER: %s", strerror(errno)); /* a shared pid namespace */
	(void)signal(SIGPIPE, SIG_IGN);
	i->lock_fd = i->fifo_fd = -1;
	i->wal = wal_mount();
	i->grace_s = GRACE_DEFAULT_S;
	if (grace != NULL && str_to_u64(str_of(grace), &seconds) == 0 && seconds >= 1 &&
	    seconds <= 86400)
		i->grace_s = (unsigned)seconds;
	separate_log(i);
	find_owned_variable(i);
	make_dir(WORK_DIR, 0700);
	make_dir(SOCKET_DIR, 0755);
	if ((i->loop = ev_loop_new(EVFLAG_AUTO)) == NULL)
		die("no event loop");
}

int
init_main(void)
{
	static struct init i;

	setup(&i);
	ev_signal_init(&i.on_chld, on_chld, SIGCHLD);
	/*
	 * an image's STOPSIGNAL decides which one the kubelet sends: the official image says SIGINT
	 */
	ev_signal_init(&i.on_term, on_stop_signal, SIGTERM);
	ev_signal_init(&i.on_int, on_stop_signal, SIGINT);
	ev_signal_init(&i.on_quit, on_stop_signal, SIGQUIT);
	ev_timer_init(&i.tick, on_tick, 0., TICK_MS / 1000.);
	ev_timer_init(&i.ping, on_ping, PING_MS / 1000., PING_MS / 1000.);
	i.on_chld.data = i.on_term.data = i.on_int.data = i.on_quit.data = i.tick.data =
	    i.ping.data = &i;
	ev_signal_start(i.loop, &i.on_chld);
	ev_signal_start(i.loop, &i.on_term);
	ev_signal_start(i.loop, &i.on_int);
	ev_signal_start(i.loop, &i.on_quit);
	i.last_ping = clock_boot();
	ev_timer_start(i.loop, &i.ping);
	watchdog_setup(&i);
	renewer_setup(&i);
	keeper_setup(&i);
	(void)lock_try(
	    LOCK_PATH, &i.lock_fd, NULL); /* the helpers' duplicates are of this open file */
	spawn_setup(&i);
	take_lock(&i);
	ev_run(i.loop, 0);
	die("the loop ended");
}
