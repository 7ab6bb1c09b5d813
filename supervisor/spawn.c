/*
 * How a worker comes to be: socketpairs, fork, exec. A child gets exactly stdin and stdout on
 * /dev/null, its log pipe, control, the poison record and the edges to those peers that run; no
 * environment; SIGKILL when we die. Everything is exec'd, never only forked, so that each life has
 * new addresses and canaries. Nothing is kept here for a peer that does not run: it gets a new pair
 * when it is spawned.
 */
#include "supervisor/supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Who talks to whom, beside everyone with us. */
static const struct {
	enum ipc_role a, b;
} edges[] = {
    {ROLE_BROKER, ROLE_WATCHER},
    {ROLE_BROKER, ROLE_EXECUTOR},
    {ROLE_WATCHER, ROLE_RECONCILER},
    {ROLE_RECONCILER, ROLE_EXECUTOR},
};
#define EDGES (sizeof(edges) / sizeof(edges[0]))

/* Where a child's descriptors lie while they are sorted: above all fixed numbers. */
#define FD_FIXED_END (IPC_FD_EDGE + IPC_ROLE_COUNT)
#define FD_ASIDE 64
_Static_assert(FD_FIXED_END <= FD_ASIDE, "fixed descriptors reach into where they are sorted");

bool
supervisor_edge_exists(enum ipc_role a, enum ipc_role b)
{
	for (size_t i = 0; i < EDGES; i++)
		if ((edges[i].a == a && edges[i].b == b) || (edges[i].a == b && edges[i].b == a))
			return true;
	return false;
}

struct worker_proc *
supervisor_worker_of(struct supervisor *s, enum ipc_role r)
{
	for (unsigned i = 0; i < WORKERS; i++)
		if (s->workers[i].role == r)
			return &s->workers[i];
	return NULL;
}

/* fds[n] is what the child shall have as n; -1 = closed. */
struct child_fds {
	int fds[FD_FIXED_END];
};

static void
close_all(struct child_fds *c)
{
	for (unsigned i = 0; i < FD_FIXED_END; i++)
		fd_close(&c->fds[i]);
}

static void
close_from(unsigned first, unsigned last)
{
	if (syscall(SYS_close_range, first, last, 0) == -1)
		die("close_range: %s: Linux 5.9 or newer is needed", strerror(errno));
}

/* In the child: first everything aside, so that no dup2 can hit a descriptor that is still to be
 * moved. */
static void
place_fds(struct child_fds *c)
{
	for (unsigned i = 0; i < FD_FIXED_END; i++) {
		if (c->fds[i] == -1)
			continue;
		c->fds[i] = fcntl(c->fds[i], F_DUPFD_CLOEXEC, FD_ASIDE);
		if (c->fds[i] == -1)
			die("descriptor %u can not be moved: %s", i, strerror(errno));
	}
	close_from(0, FD_ASIDE - 1);
	for (unsigned i = 0; i < FD_FIXED_END; i++)
		if (c->fds[i] != -1 && dup2(c->fds[i], (int)i) == -1)
			_exit(EXIT_CONFIG);
	close_from(FD_ASIDE, ~0U);
}

/* Handlers go with exec, but what is ignored or blocked stays. */
static void
reset_signals(void)
{
	sigset_t none;

	sigemptyset(&none);
	signal(SIGPIPE, SIG_DFL);
	if (sigprocmask(SIG_SETMASK, &none, NULL) == -1)
		die("sigprocmask: %s", strerror(errno));
}

static _Noreturn void
be_child(const struct worker_proc *w, struct child_fds *c, pid_t parent)
{
	char path[4096], name[32];
	char *const argv[] = {name, NULL}, *const envp[] = {NULL};
	int n = snprintf(path, sizeof(path), "%s/%s", w->sup->dir, w->program);

	snprintf(name, sizeof(name), "%s", ipc_role_name(w->role));
	place_fds(c);
	if (n < 0 || (size_t)n >= sizeof(path)) {
		log_error("exec", NULL, "the path of %s is too long", w->program);
		_exit(EXIT_CONFIG);
	}
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) == -1)
		die("PR_SET_PDEATHSIG: %s", strerror(errno));
	if (getppid() != parent)
		_exit(EXIT_ASKED); /* we were gone before the kernel knew that it should tell */
	reset_signals();
	execve(path, argv, envp);
	log_error("exec", NULL, "%s can not be run: %s: the image must hold it beside supervisor",
	    path, strerror(errno));
	_exit(EXIT_CONFIG);
}

/* One end of a new pair for the child, the other one due to its peer, if that runs. */
static void
make_edge(struct worker_proc *w, enum ipc_role peer_role, struct child_fds *c)
{
	struct worker_proc *peer = supervisor_worker_of(w->sup, peer_role);
	int pair[2];

	if (peer == NULL || peer->pid == 0)
		return;
	if (ipc_pair(pair) == -1)
		die("no descriptors left for the edge %s to %s", ipc_role_name(w->role),
		    ipc_role_name(peer_role));
	c->fds[IPC_FD_EDGE + peer_role] = pair[0];
	fd_close(&peer->newchan[w->role]);
	peer->newchan[w->role] = pair[1];
}

static int
make_fds(struct worker_proc *w, struct child_fds *c, int *control, int *log)
{
	int pair[2], pipe_fds[2];

	for (unsigned i = 0; i < FD_FIXED_END; i++)
		c->fds[i] = -1;
	if (ipc_pair(pair) == -1)
		return -1;
	if (pipe2(pipe_fds, O_CLOEXEC | O_NONBLOCK) == -1) {
		fd_close(&pair[0]);
		fd_close(&pair[1]);
		return -1;
	}
	*control = pair[0];
	*log = pipe_fds[0];
	c->fds[0] = fcntl(w->sup->null_fd, F_DUPFD_CLOEXEC, 3);
	c->fds[1] = fcntl(w->sup->null_fd, F_DUPFD_CLOEXEC, 3);
	c->fds[2] = pipe_fds[1];
	c->fds[IPC_FD_CONTROL] = pair[1];
	c->fds[IPC_FD_POISON] = fcntl(w->poison, F_DUPFD_CLOEXEC, 3);
	for (size_t i = 0; i < EDGES; i++) {
		if (edges[i].a == w->role)
			make_edge(w, edges[i].b, c);
		else if (edges[i].b == w->role)
			make_edge(w, edges[i].a, c);
	}
	return 0;
}

int
supervisor_spawn(struct worker_proc *w)
{
	struct child_fds c;
	int control = -1;
	pid_t parent = getpid(), pid;

	ipc_poison_clear(w->poison);
	if (make_fds(w, &c, &control, &w->log_fd) == -1)
		return -1;
	pid = fork();
	if (pid == 0)
		be_child(w, &c, parent);
	close_all(&c); /* at once: while we hold a copy, nobody sees its end */
	if (pid == -1) {
		fd_close(&control);
		fd_close(&w->log_fd);
		return -1;
	}
	w->pid = pid;
	w->lives++;
	w->spawned = clock_mono();
	w->hello = w->hung = false;
	w->accuser = (struct ipc_accuser){0};
	w->ping_seq = w->pong_seq = 0;
	supervisor_control_open(w, control);
	return 0;
}
