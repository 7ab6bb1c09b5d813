/*
 * The supervisor and worker.c for real: processes, signals, socketpairs, deaths. This file is its
 * own workers: a supervisor that runs in a child execs it as "worker" and "reconciler" from a
 * directory of links. Only the sandbox is replaced (it can not hold a sanitizer); what the workers
 * do is told by the image's name in their configuration, and by signals.
 */
#include "supervisor/supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/tap.h"
#include "workers/workers.h"

/* --- The worker's side. */

unsigned
sandbox_enter(enum sandbox_profile p, const struct sandbox_args *args)
{
	(void)p;
	(void)args;
	return SANDBOX_RLIMITS;
}

void
sandbox_effect_text(char text[128], unsigned effect)
{
	snprintf(text, 128, "effect%u", effect);
}

static volatile sig_atomic_t accuses; /* a taken-over executor: its peer, as often as it can */

static void
on_accuse(int sig)
{
	(void)sig;
	accuses = 1;
}

/* A taken-over executor: garbage to the reconciler (SIGUSR1), to the supervisor (SIGUSR2). */
static void
on_usr(int sig)
{
	int fd = sig == SIGUSR1 ? IPC_FD_EDGE + ROLE_RECONCILER : IPC_FD_CONTROL;

	if (write(fd, "\xff\xff", 2) != 2)
		_exit(99);
}

static void
prepare(struct worker *w, struct sandbox_args *args)
{
	(void)args;
	if (strcmp(w->config.image, "unfit") == 0 && w->ops->role == ROLE_RECONCILER) {
		log_error("config", NULL, "nothing fits");
		worker_exit(w, EXIT_CONFIG);
	}
	if (strcmp(w->config.image, "mute") == 0 && w->ops->role == ROLE_RECONCILER)
		_exit(3);
}

static void
start(struct worker *w)
{
	struct ipc_poison p = {
	    .kind = KIND_BGCLUSTER, .generation = 5, .namespace = "ns", .name = "demo"};

	log_info("config_seen", NULL, "%u namespaces, last %s, life %u", w->namespaces_n,
	    w->namespaces[w->namespaces_n - 1], w->config.life);
	p.uid.b[0] = 0xab;
	if (w->ops->role == ROLE_WATCHER)
		ipc_poison_enter(&p);
	if (w->ops->role == ROLE_EXECUTOR) {
		signal(SIGUSR1, on_usr);
		signal(SIGUSR2, on_usr);
		signal(SIGURG, on_accuse);
	}
	for (int fd = 0; fd < 256; fd++)
		if (fd > IPC_FD_EDGE + IPC_ROLE_COUNT + 4 && fcntl(fd, F_GETFD) != -1)
			log_info("leaked_fd", NULL, "%d", fd);
	if (getenv("PATH") != NULL)
		log_info("leaked_env", NULL, "PATH");
	if (write(STDERR_FILENO, "not logfmt \x1b\n", 13) != 13)
		_exit(99);
}

static void
on_edge(struct worker *w, enum ipc_role peer)
{
	(void)w;
	log_info("edge", NULL, "up to %s", ipc_role_name(peer));
	worker_worked(w);
	if (accuses && peer == ROLE_RECONCILER)
		worker_breach(w, peer, "a lie");
}

static void
on_edge_lost(struct worker *w, enum ipc_role peer)
{
	(void)w;
	log_info("edge_lost", NULL, "to %s", ipc_role_name(peer));
}

static void
on_msg(struct worker *w, enum ipc_role peer, struct ipc_msg *m)
{
	(void)w;
	(void)peer;
	(void)m;
}

static void
on_control(struct worker *w, struct ipc_msg *m)
{
	(void)w;
	if (m->type == IPC_QUARANTINE)
		log_info("told", NULL, "quarantine of generation %llu",
		    (unsigned long long)m->quarantine.generation);
}

static void
on_stop(struct worker *w)
{
	log_info("asked_to_stop", NULL, "ends");
	worker_exit(w, EXIT_ASKED);
}

#define EDGES_OF_RECONCILER (R(WATCHER) | R(EXECUTOR))
#define EDGES_OF_BROKER (R(WATCHER) | R(EXECUTOR))
#define EDGES_OF_WATCHER (R(BROKER) | R(RECONCILER))
#define EDGES_OF_EXECUTOR (R(BROKER) | R(RECONCILER))

static int
be_worker(const char *name)
{
	static struct worker_ops ops = {.prepare = prepare,
	    .start = start,
	    .on_edge = on_edge,
	    .on_edge_lost = on_edge_lost,
	    .on_msg = on_msg,
	    .on_control = on_control};
	static const unsigned peers[IPC_ROLE_COUNT] = {[ROLE_BROKER] = EDGES_OF_BROKER,
	    [ROLE_WATCHER] = EDGES_OF_WATCHER,
	    [ROLE_RECONCILER] = EDGES_OF_RECONCILER,
	    [ROLE_EXECUTOR] = EDGES_OF_EXECUTOR};

	for (unsigned r = ROLE_BROKER; r <= ROLE_EXECUTOR; r++)
		if (strcmp(name, ipc_role_name(r)) == 0) {
			ops.role = r;
			ops.peers = peers[r];
		}
	if (ops.role == ROLE_EXECUTOR)
		ops.stop = on_stop;
	return worker_run(&ops, SANDBOX_WATCHER, NULL);
}

/* --- The test's side. */

#define WAIT_MS 20000

static char dir[64];
static struct supervisor_config config;
static char output[1 << 20];
static size_t output_len, mark; /* waits look from mark on */
static int output_fd;
static pid_t supervisor_pid;

static void
start_supervisor(const char *image, const char *from)
{
	int fds[2];

	snprintf(config.msg.image, sizeof(config.msg.image), "%s", image);
	if (pipe2(fds, O_CLOEXEC) == -1)
		die("pipe");
	output_len = mark = 0;
	fflush(stdout);
	supervisor_pid = fork();
	if (supervisor_pid == 0) {
		dup2(fds[1], STDOUT_FILENO);
		_exit(supervisor_run(&config, from));
	}
	close(fds[1]);
	output_fd = fds[0];
	fd_nonblock(output_fd);
}

/* How many lines since mark hold both texts. */
static unsigned
count(const char *a, const char *b)
{
	unsigned n = 0;
	char *line = output + mark, *end;

	for (; (end = strchr(line, '\n')) != NULL; line = end + 1) {
		*end = '\0';
		n += strstr(line, a) != NULL && strstr(line, b) != NULL;
		*end = '\n';
	}
	return n;
}

static void
read_output(int ms)
{
	struct pollfd p = {.fd = output_fd, .events = POLLIN};
	ssize_t n;

	if (poll(&p, 1, ms) <= 0)
		return;
	n = read(output_fd, output + output_len, sizeof(output) - 1 - output_len);
	if (n > 0)
		output_len += (size_t)n;
	output[output_len] = '\0';
}

static bool
wait_for(unsigned n, const char *a, const char *b)
{
	int64_t end = clock_mono().v + WAIT_MS;

	while (count(a, b) < n && clock_mono().v < end)
		read_output(50);
	if (count(a, b) >= n)
		return true;
	printf("# wanted %u of '%s' '%s' in:\n# %s\n", n, a, b, output + mark);
	return false;
}

/* The pid of a worker's last life. */
static pid_t
pid_of(const char *worker)
{
	static const char started[] = "by=supervisor level=info event=started pid=";
	pid_t pid = -1;
	char key[64];

	snprintf(key, sizeof(key), "proc=%s ", worker);
	for (char *line = output, *end; (end = strchr(line, '\n')) != NULL; line = end + 1) {
		char *at = strstr(line, started), *proc = strstr(line, key);

		if (at != NULL && at < end && proc != NULL && proc < at)
			pid = (pid_t)atoi(at + sizeof(started) - 1);
	}
	return pid;
}

/* The supervisor's exit code, -1 after WAIT_MS. */
static int
wait_end(void)
{
	int64_t end = clock_mono().v + WAIT_MS;
	int status;

	while (clock_mono().v < end) {
		read_output(20);
		if (waitpid(supervisor_pid, &status, WNOHANG) == supervisor_pid) {
			read_output(0);
			return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
		}
	}
	kill(supervisor_pid, SIGKILL);
	return -1;
}

/* Strays come to us (PR_SET_CHILD_SUBREAPER): none may be left. */
static bool
all_gone(void)
{
	int64_t end = clock_mono().v + WAIT_MS;

	while (clock_mono().v < end) {
		pid_t pid = waitpid(-1, NULL, WNOHANG);

		if (pid == -1 && errno == ECHILD)
			return true;
		if (pid == 0)
			poll(NULL, 0, 10);
	}
	return false;
}

static void
test_start(void)
{
	CHECK(wait_for(4, "event=ready", "ms after its start, pid "), "four workers are ready");
	CHECK(wait_for(8, "event=edge ", "up to"), "every edge is up on both sides");
	CHECK(count("proc=reconciler life=1", "up to executor") == 1 &&
		  count("proc=broker life=1", "up to watcher") == 1,
	    "between those who should have one");
	CHECK(wait_for(4, "event=config_seen", "2 namespaces, last b, life 1"),
	    "all have their configuration");
	CHECK(count("event=leaked", "") == 0, "no descriptor and no environment leaks");
	CHECK(wait_for(4, "event=output msg=\"not logfmt \\x1b\"", "level=warn"),
	    "their output is stamped and escaped");
	CHECK(wait_for(4, "event=ready", "sandbox=\"effect1\""), "and say how they are sandboxed");
}

static void
test_kill(void)
{
	pid_t before = pid_of("watcher"), broker = pid_of("broker");

	mark = output_len;
	kill(before, SIGKILL);
	CHECK(wait_for(1,
		  "proc=watcher life=1 by=supervisor level=warn event=died how=\"signal 9 KILL\"",
		  "delay_ms=0"),
	    "a productive worker that is killed restarts at once");
	CHECK(wait_for(1, "proc=watcher life=2 by=supervisor level=info event=ready", ""),
	    "and is ready again");
	CHECK(wait_for(1, "proc=broker", "event=edge_lost") &&
		  wait_for(1, "proc=reconciler", "event=edge_lost"),
	    "its peers see that it went");
	CHECK(wait_for(1, "proc=broker life=1", "up to watcher") &&
		  wait_for(1, "proc=reconciler life=1", "up to watcher") &&
		  wait_for(2, "proc=watcher life=2", "up to"),
	    "and have new edges to it");
	CHECK(pid_of("watcher") != before && pid_of("broker") == broker, "nobody else died");
	CHECK(count("proc=executor", "edge") == 0, "who has no edge to it notices nothing");
}

static void
test_quarantine(void)
{
	mark = output_len;
	for (int i = 0; i < POISON_CRASHES; i++) {
		char last[64]; /* of what start() does */

		CHECK(count("event=quarantined", "") == 0, "not quarantined yet");
		kill(pid_of("watcher"), SIGABRT);
		snprintf(last, sizeof(last), "proc=watcher life=%d level=warn event=output", 3 + i);
		wait_for(1, last, "");
	}
	CHECK(wait_for(1,
		  "proc=watcher life=4 by=supervisor level=error event=quarantined kind=BGCluster "
		  "obj=\"ns/demo\"",
		  "generation=5"),
	    "three crashes on one object: quarantined");
	CHECK(wait_for(1, "proc=executor", "event=told") &&
		  wait_for(1, "proc=reconciler", "event=told") &&
		  wait_for(1, "proc=watcher life=5", "event=told"),
	    "the others and the next life are told");
	kill(pid_of("reconciler"), SIGKILL);
	CHECK(wait_for(1, "proc=reconciler life=2", "quarantine of generation 5"),
	    "so is any later life");
	CHECK(wait_for(2, "proc=reconciler life=2", "up to"), "which has its edges");
}

static void
test_breach(void)
{
	pid_t reconciler = pid_of("reconciler");

	/* A fresh life: its edges lie at their fixed numbers; what NEWCHAN brings lies anywhere. */
	mark = output_len;
	kill(pid_of("executor"), SIGKILL);
	wait_for(2, "proc=executor life=2", "up to");
	mark = output_len;
	kill(pid_of("executor"), SIGUSR1);
	CHECK(
	    wait_for(1, "proc=executor life=2 by=supervisor level=error event=breach told_by=", ""),
	    "garbage on an edge is told");
	CHECK(wait_for(
		  1, "proc=executor life=2 by=supervisor level=warn event=died", "signal 9 KILL"),
	    "the sender is killed");
	CHECK(wait_for(1, "proc=executor life=3 by=supervisor level=info event=ready", "") &&
		  pid_of("reconciler") == reconciler,
	    "the detector lives");
	wait_for(2, "proc=executor life=3", "up to");
	mark = output_len;
	kill(pid_of("executor"), SIGUSR2);
	CHECK(wait_for(1,
		  "proc=executor life=3 by=supervisor level=error event=breach told_by=supervisor",
		  ""),
	    "garbage on control");
	CHECK(wait_for(1, "proc=executor life=3 by=supervisor level=warn event=died", ""),
	    "ends it too");
	CHECK(wait_for(1, "proc=executor life=4 by=supervisor level=info event=ready", ""),
	    "and it comes back");
}

static void
test_accusations(void)
{
	wait_for(2, "proc=executor life=4", "up to");
	mark = output_len;
	kill(pid_of("executor"), SIGURG);
	kill(pid_of("reconciler"), SIGKILL); /* its next life comes with a new edge */
	CHECK(wait_for(1, "proc=executor life=4 by=supervisor level=error event=breach",
		  "told_by=supervisor msg=\"it accuses its peers too often\""),
	    "who accuses without end is not believed without end");
	CHECK(wait_for(1, "proc=executor life=5 by=supervisor level=info event=ready", "") &&
		  wait_for(2, "proc=executor life=5", "up to"),
	    "but ended, and comes back as it was made");
	CHECK(count("proc=reconciler", "event=breach told_by=executor") == ACCUSATIONS_MAX + 1,
	    "each accusation has ended the accused, as one that is true must");
}

static void
test_stop(void)
{
	mark = output_len;
	kill(supervisor_pid, SIGTERM);
	CHECK(wait_end() == 0, "SIGTERM: exit 0");
	CHECK(
	    count("event=died", "how=\"exit 0\"") == 4, "after all four have ended by themselves");
	CHECK(count("proc=executor", "event=asked_to_stop") == 1, "asked, where they wished to be");
	CHECK(all_gone(), "nobody is left");
	close(output_fd);
}

static void
test_unfit(void)
{
	start_supervisor("unfit", dir);
	CHECK(wait_end() == EXIT_CONFIG,
	    "a worker that says EXIT_CONFIG before READY ends the operator with it");
	CHECK(count("proc=reconciler", "nothing fits") == 1 &&
		  count("proc=reconciler life=1 by=supervisor", "event=giving_up code=64") == 1,
	    "and the log says why");
	CHECK(all_gone(), "nobody is left");
	close(output_fd);
	start_supervisor("x", "/nonexistent");
	CHECK(wait_end() == EXIT_CONFIG &&
		  count("event=exec", "/nonexistent/worker can not be run") > 0,
	    "programs that are not there");
	all_gone();
	close(output_fd);
}

static void
test_orphans(void)
{
	start_supervisor("mute", dir);
	CHECK(wait_for(3, "event=ready", "") &&
		  wait_for(3, "proc=reconciler", "event=died how=\"exit 3\""),
	    "a worker that never gets ready is tried again");
	CHECK(
	    count("proc=reconciler life=1 by=supervisor level=warn event=died", "delay_ms=0") == 0,
	    "after a pause");
	kill(supervisor_pid, SIGKILL);
	CHECK(all_gone(), "the supervisor's death is everyone's");
	close(output_fd);
}

static void
make_dir(void)
{
	char self[256], path[128];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	snprintf(dir, sizeof(dir), "/tmp/bestgres-supervisor-XXXXXX");
	if (n == -1 || mkdtemp(dir) == NULL)
		die("no directory");
	self[n] = '\0';
	snprintf(path, sizeof(path), "%s/worker", dir);
	if (symlink(self, path) == -1)
		die("symlink");
	snprintf(path, sizeof(path), "%s/reconciler", dir);
	if (symlink(self, path) == -1)
		die("symlink");
}

static void
remove_dir(void)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/worker", dir);
	unlink(path);
	snprintf(path, sizeof(path), "%s/reconciler", dir);
	unlink(path);
	rmdir(dir);
}

static const char *
get(const char *name)
{
	static const char *const env[][2] = {{"POD_NAMESPACE", "bestgres"},
	    {"BESTGRES_NAMESPACES", "a,b"}, {"BESTGRES_IMAGE", "x"},
	    {"KUBERNETES_SERVICE_HOST", "10.0.0.1"}, {"KUBERNETES_SERVICE_PORT", "443"}};

	for (size_t i = 0; i < sizeof(env) / sizeof(env[0]); i++)
		if (strcmp(name, env[i][0]) == 0)
			return env[i][1];
	return NULL;
}

int
main(int argc, char **argv)
{
	struct err e;

	for (unsigned r = ROLE_BROKER; argc > 0 && r <= ROLE_EXECUTOR; r++)
		if (strcmp(argv[0], ipc_role_name(r)) == 0)
			return be_worker(argv[0]);
	if (supervisor_config_read(&config, get, &e) == -1)
		die("%s", e.text);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	make_dir();
	start_supervisor("x", dir);
	test_start();
	test_kill();
	test_quarantine();
	test_breach();
	test_accusations();
	test_stop();
	test_unfit();
	test_orphans();
	remove_dir();
	return tap_done();
}
