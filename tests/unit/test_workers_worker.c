/*
 * What all workers share, as a supervisor sees it: the descriptors that a worker begins with. A
 * worker runs in a child with exactly those that it is given; the test is its supervisor.
 */
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "tests/unit/forked.h"
#include "tests/unit/tap.h"
#include "workers/workers.h"

#define ASIDE 64
#define PATIENCE_S 10 /* SIGALRM ends a worker that hears nothing */

static void
on_msg(struct worker *w, enum ipc_role peer, struct ipc_msg *msg)
{
	(void)w;
	(void)peer;
	(void)msg;
}

/* Nothing but stdio, control, something as the poison record and perhaps the broker's edge. */
static int
be_worker(void *arg)
{
	static const struct worker_ops ops = {
	    .role = ROLE_WATCHER, .peers = R(BROKER) | R(RECONCILER), .on_msg = on_msg};
	const int *given = arg;
	int control = fcntl(given[0], F_DUPFD, ASIDE), edge = fcntl(given[1], F_DUPFD, ASIDE);

	alarm(PATIENCE_S);
	syscall(SYS_close_range, 3U, (unsigned)ASIDE - 1, 0U);
	dup2(control, IPC_FD_CONTROL);
	dup2(STDOUT_FILENO, IPC_FD_POISON);
	if (edge != -1)
		dup2(edge, IPC_FD_EDGE + ROLE_BROKER);
	syscall(SYS_close_range, (unsigned)ASIDE, ~0U, 0U);
	return worker_run(&ops, SANDBOX_WATCHER, NULL);
}

/* An edge to the broker, before anything else is said. */
static void
say_newchan(int control, int fd)
{
	static struct ipc_msg m;
	static uint8_t bytes[IPC_MSG_MAX];
	char room[CMSG_SPACE(sizeof(int))] = {0};
	struct iovec iov = {.iov_base = bytes};
	struct msghdr h = {
	    .msg_iov = &iov, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof(room)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&h);
	struct err e;
	ssize_t n;

	m.type = IPC_NEWCHAN;
	m.newchan.peer = ROLE_BROKER;
	n = ipc_encode(&m, ROLE_SUPERVISOR, ROLE_WATCHER, bytes, &e);
	CHECK(n > 0, "NEWCHAN can be said");
	iov.iov_len = (size_t)n;
	*c = (struct cmsghdr){
	    .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(int))};
	memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	CHECK(sendmsg(control, &h, 0) == n, "NEWCHAN is sent");
}

struct life {
	pid_t pid;
	int control, edge; /* our ends */
};

static struct life
begin(bool with_edge)
{
	int control[2], edge[2], given[2];
	struct life l;

	if (ipc_pair(control) == -1 || ipc_pair(edge) == -1)
		die("no sockets");
	given[0] = control[1];
	given[1] = with_edge ? edge[1] : -1;
	fflush(stdout);
	l = (struct life){.control = control[0], .edge = edge[0]};
	l.pid = fork();
	if (l.pid == 0)
		_exit(be_worker(given));
	fd_close(&control[1]);
	if (!with_edge)
		say_newchan(l.control, edge[1]);
	fd_close(&edge[1]);
	return l;
}

/* Its exit code; -1 = a signal ended it. */
static int
end(struct life *l)
{
	int status = -1;

	if (waitpid(l->pid, &status, 0) != l->pid)
		return -1;
	fd_close(&l->control);
	fd_close(&l->edge);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* Has the worker dropped its end? */
static bool
is_closed(int fd)
{
	char c;

	return recv(fd, &c, 1, MSG_DONTWAIT) == 0;
}

static void
sleep_ms(int ms)
{
	usleep((useconds_t)ms * 1000);
}

static void
test_peer_away(void)
{
	struct life l = begin(false);

	sleep_ms(300);
	CHECK(!is_closed(l.edge), "an edge that came later is kept");
	CHECK(kill(l.pid, SIGTERM) == 0 && end(&l) == EXIT_ASKED,
	    "the loop's descriptors are not taken for the edge of a peer that is away");
}

static void
test_peer_there(void)
{
	struct life l = begin(true);

	sleep_ms(300);
	CHECK(!is_closed(l.edge), "the edge that was there is kept");
	say_newchan(l.control, l.control);
	sleep_ms(300);
	CHECK(is_closed(l.edge), "and dropped for a new one");
	kill(l.pid, SIGTERM);
	CHECK(end(&l) == EXIT_ASKED, "SIGTERM before the start ends it");
}

static void
test_supervisor_gone(void)
{
	struct life l = begin(true);

	fd_close(&l.control);
	CHECK(end(&l) == EXIT_ASKED, "it ends with its supervisor");
}

int
main(void)
{
	test_peer_away();
	test_peer_there();
	test_supervisor_gone();
	return tap_done();
}
