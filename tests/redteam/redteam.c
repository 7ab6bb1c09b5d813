/*
 * A worker that was taken over. It stands in the place of /worker and /reconciler in a test image
 * beside the real supervisor (tests/e2e/test_redteam.py), does the real handshake, enters the real
 * sandbox of the role it was started as, and then tries one attack per life: life n the n-th that
 * its role has in the table below. Each is logged before it is tried, since most end in SIGSYS, and
 * after it with what came of it. With all of them tried it idles.
 */
#include <errno.h>
#include <ev.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "workers/workers.h"

#define ACCOUNT_DIR "/var/run/secrets/kubernetes.io/serviceaccount"
#define SUPERVISOR_PID 1
#define YOUNGER_PIDS 32 /* siblings may have been started after us */
#define MIB ((size_t)1 << 20)
#define BEFORE_S 0.02 /* READY and WORKED are read by then: such a life restarts at once */

/* By number: the headers of musl 1.2.3 are older than some. */
#define CALL_PIDFD_OPEN 434
#define CALL_PIDFD_GETFD 438
#define CALL_IO_URING_SETUP 425
#define PROTOCOL_MPTCP 262

/* --- Attacks: -1 with errno is a refusal, all else a success. */

static long
open_path(const char *path, int flags)
{
	return open(path, flags | O_CLOEXEC, 0600);
}

static long
open_file(void)
{
	return open_path("/etc/hosts", O_RDONLY); /* the kubelet's: everyone may read it */
}

static long
open_directory(void)
{
	return open_path("/", O_RDONLY | O_DIRECTORY);
}

static long
open_own_memory(void)
{
	return open_path("/proc/self/mem", O_RDWR);
}

static long
open_token(void)
{
	return open_path(ACCOUNT_DIR "/token", O_RDONLY);
}

static long
open_program(void)
{
	return open_path("/redteam/supervisor", O_RDONLY);
}

static long
open_to_write(void)
{
	return open_path("/dev/shm/redteam", O_RDWR | O_CREAT);
}

/* That file of every other process; errno is that of the supervisor's. */
static long
open_of_others(const char *file, int flags)
{
	int why = 0;

	for (pid_t pid = SUPERVISOR_PID; pid < getpid() + YOUNGER_PIDS; pid++) {
		char path[64];

		snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, file);
		if (pid == getpid())
			continue;
		if (open_path(path, flags) != -1)
			return 0;
		if (pid == SUPERVISOR_PID)
			why = errno;
	}
	errno = why;
	return -1;
}

static long
open_others_memory(void)
{
	return open_of_others("mem", O_RDONLY);
}

static long
open_others_environ(void)
{
	return open_of_others("environ", O_RDONLY);
}

static long
open_others_fds(void)
{
	return open_of_others("fd", O_RDONLY | O_DIRECTORY);
}

static long
read_others_memory(void)
{
	char bytes[16];
	struct iovec here = {bytes, sizeof(bytes)}, there = {bytes, sizeof(bytes)};

	return process_vm_readv(SUPERVISOR_PID, &here, 1, &there, 1, 0);
}

static long
write_others_memory(void)
{
	char bytes[16] = {0};
	struct iovec here = {bytes, sizeof(bytes)}, there = {bytes, sizeof(bytes)};

	return process_vm_writev(SUPERVISOR_PID, &here, 1, &there, 1, 0);
}

static long
trace_supervisor(void)
{
	return ptrace(PTRACE_ATTACH, SUPERVISOR_PID, NULL, NULL);
}

static long
take_supervisors_fd(void)
{
	long fd = syscall(CALL_PIDFD_OPEN, SUPERVISOR_PID, 0U);

	return fd == -1 ? -1 : syscall(CALL_PIDFD_GETFD, fd, STDOUT_FILENO, 0U);
}

static long
socket_tcp(void)
{
	return socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

static long
socket_udp(void)
{
	return socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
}

static long
socket_mptcp(void)
{
	return socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, PROTOCOL_MPTCP);
}

static long
socket_unix(void)
{
	return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

static long
socket_netlink(void)
{
	return socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, 0);
}

static long
connect_fd(int fd)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(2379)};

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return connect(fd, (struct sockaddr *)&a, sizeof(a));
}

static long
connect_handed_fd(void)
{
	return connect_fd(IPC_FD_CONTROL);
}

static long
connect_other_port(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd == -1)
		die("the broker can not dial: %s", strerror(errno));
	return connect_fd(fd);
}

static long
send_fastopen(void)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(2379)};

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return sendto(IPC_FD_CONTROL, "x", 1, MSG_FASTOPEN, (struct sockaddr *)&a, sizeof(a));
}

static long
listen_handed_fd(void)
{
	return listen(IPC_FD_CONTROL, 1);
}

static long
exec_program(void)
{
	char name[] = "/redteam/supervisor";
	char *argv[] = {name, NULL}, *envp[] = {NULL};

	return execve(name, argv, envp);
}

static long
fork_process(void)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(EXIT_ASKED);
	return pid;
}

static long
kill_supervisor(void)
{
	return kill(SUPERVISOR_PID, SIGTERM);
}

static long
kill_siblings(void)
{
	return kill(-1, SIGKILL);
}

static long
kill_thread(void)
{
	return syscall(SYS_tgkill, SUPERVISOR_PID, SUPERVISOR_PID, SIGTERM);
}

static long
map_result(void *p)
{
	return p == MAP_FAILED ? -1 : 0;
}

static long
map_executable(void)
{
	return map_result(mmap(
	    NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
}

static long
make_executable(void)
{
	void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		die("mmap: %s", strerror(errno));
	return mprotect(p, 4096, PROT_READ | PROT_EXEC);
}

static long
become_dumpable(void)
{
	return prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
}

static long
become_root(void)
{
	return syscall(SYS_setuid, 0);
}

static long
raise_limit(void)
{
	struct rlimit r = {RLIM_INFINITY, RLIM_INFINITY};

	return setrlimit(RLIMIT_NOFILE, &r);
}

static long
enter_namespace(void)
{
	return unshare(CLONE_NEWUSER);
}

static long
set_up_ring(void)
{
	char params[120] = {0};

	return syscall(CALL_IO_URING_SETUP, 1U, params);
}

static long
make_memfd(void)
{
	return memfd_create("redteam", MFD_CLOEXEC);
}

/* The broker makes memfds for tokens: no large ones. */
static long
make_large_memfd(void)
{
	int fd = memfd_create("redteam", MFD_CLOEXEC);

	if (fd == -1)
		die("the broker can not make a memfd: %s", strerror(errno));
	signal(SIGXFSZ, SIG_IGN);
	return ftruncate(fd, (off_t)(64 * MIB));
}

static long
grow_poison_record(void)
{
	signal(SIGXFSZ, SIG_IGN);
	return ftruncate(IPC_FD_POISON, (off_t)(64 * MIB));
}

static long
take_memory(void)
{
	return map_result(
	    mmap(NULL, 512 * MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
}

static long
take_descriptors(void)
{
	for (int i = 0; i < 4096; i++)
		if (fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0) == -1)
			return -1;
	return 0;
}

#define ALL (R(BROKER) | R(WATCHER) | R(RECONCILER) | R(EXECUTOR))
#define BUT_BROKER (ALL & ~R(BROKER))

static const struct attack {
	const char *name;
	long (*run)(void);
	unsigned
	    roles; /* who is not to do it; the broker dials, reads its token and makes memfds */
} attacks[] = {
    {"open_file", open_file, ALL},
    {"open_directory", open_directory, ALL},
    {"open_own_memory", open_own_memory, ALL},
    {"open_token", open_token, BUT_BROKER},
    {"open_program", open_program, ALL},
    {"open_to_write", open_to_write, ALL},
    {"open_others_memory", open_others_memory, ALL},
    {"open_others_environ", open_others_environ, ALL},
    {"open_others_fds", open_others_fds, ALL},
    {"read_others_memory", read_others_memory, ALL},
    {"write_others_memory", write_others_memory, ALL},
    {"trace_supervisor", trace_supervisor, ALL},
    {"take_supervisors_fd", take_supervisors_fd, ALL},
    {"socket_tcp", socket_tcp, BUT_BROKER},
    {"socket_udp", socket_udp, ALL},
    {"socket_mptcp", socket_mptcp, ALL},
    {"socket_unix", socket_unix, ALL},
    {"socket_netlink", socket_netlink, ALL},
    {"connect_handed_fd", connect_handed_fd, BUT_BROKER},
    {"connect_other_port", connect_other_port, R(BROKER)},
    {"send_fastopen", send_fastopen, ALL},
    {"listen_handed_fd", listen_handed_fd, ALL},
    {"exec_program", exec_program, ALL},
    {"fork_process", fork_process, ALL},
    {"kill_supervisor", kill_supervisor, ALL},
    {"kill_siblings", kill_siblings, ALL},
    {"kill_thread", kill_thread, ALL},
    {"map_executable", map_executable, ALL},
    {"make_executable", make_executable, ALL},
    {"become_dumpable", become_dumpable, ALL},
    {"become_root", become_root, ALL},
    {"raise_limit", raise_limit, ALL},
    {"enter_namespace", enter_namespace, ALL},
    {"set_up_ring", set_up_ring, ALL},
    {"make_memfd", make_memfd, BUT_BROKER},
    {"make_large_memfd", make_large_memfd, R(BROKER)},
    {"grow_poison_record", grow_poison_record, ALL},
    {"take_memory", take_memory, ALL},
    {"take_descriptors", take_descriptors, ALL},
};

/* --- One of them per life. */

static const struct {
	int code;
	const char *name;
} refusals[] = {
    {EACCES, "EACCES"}, /* Landlock, seccomp */
    {EPERM, "EPERM"},   /* seals */
    {EFBIG, "EFBIG"},   /* RLIMIT_FSIZE */
    {ENOMEM, "ENOMEM"}, /* RLIMIT_AS */
    {EMFILE, "EMFILE"}, /* RLIMIT_NOFILE */
};

static const struct attack *
attack_of(const struct worker *w)
{
	uint32_t nth = w->config.life;

	for (size_t i = 0; i < sizeof(attacks) / sizeof(attacks[0]); i++)
		if ((attacks[i].roles & (1u << w->ops->role)) != 0 && --nth == 0)
			return &attacks[i];
	return NULL;
}

static void
say(const struct worker *w, const char *name, const char *what, const char *why)
{
	log_info("attack", NULL, "%s: %s: %s%s", ipc_role_name(w->ops->role), name, what, why);
}

static void
say_outcome(const struct worker *w, const char *name, long result, int code)
{
	if (result != -1) {
		say(w, name, "SUCCEEDED", "");
		return;
	}
	for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
		if (refusals[i].code == code) {
			say(w, name, "refused ", refusals[i].name);
			return;
		}
	}
	say(w, name, "failed, not refused: ", strerror(code));
}

static void
on_timer(struct ev_loop *loop, ev_timer *timer, int revents)
{
	struct worker *w = timer->data;
	const struct attack *a = attack_of(w);
	long result;
	int code;

	(void)loop;
	(void)revents;
	say(w, a->name, "trying", "");
	result = a->run();
	code = errno;
	say_outcome(w, a->name, result, code);
	worker_exit(w, EXIT_ASKED);
}

/* As the real broker: so much it must be granted. */
static void
prepare(struct worker *w, struct sandbox_args *args)
{
	if (w->ops->role != ROLE_BROKER)
		return;
	args->dirs[0] = ACCOUNT_DIR;
	args->ports[0] = w->config.api_port;
}

/* A life that has worked restarts at once. */
static void
start(struct worker *w)
{
	static ev_timer timer;

	if (attack_of(w) == NULL) {
		say(w, "all", "done", "");
		return;
	}
	worker_worked(w);
	ev_timer_init(&timer, on_timer, BEFORE_S, 0.);
	timer.data = w;
	ev_timer_start(w->loop, &timer);
}

static void
on_msg(struct worker *w, enum ipc_role peer, struct ipc_msg *msg)
{
	(void)w;
	die("%s from %s, which says nothing", ipc_type_name(msg->type), ipc_role_name(peer));
}

static const struct {
	enum ipc_role role;
	enum sandbox_profile profile;
	unsigned peers;
} roles[] = {
    {ROLE_BROKER, SANDBOX_BROKER, R(WATCHER) | R(EXECUTOR)},
    {ROLE_WATCHER, SANDBOX_WATCHER, R(BROKER) | R(RECONCILER)},
    {ROLE_RECONCILER, SANDBOX_RECONCILER, R(WATCHER) | R(EXECUTOR)},
    {ROLE_EXECUTOR, SANDBOX_EXECUTOR, R(BROKER) | R(RECONCILER)},
};

int
main(int argc, char **argv)
{
	struct worker_ops ops = {.prepare = prepare, .start = start, .on_msg = on_msg};

	for (size_t i = 0; argc > 0 && i < sizeof(roles) / sizeof(roles[0]); i++) {
		if (!str_is(str_of(argv[0]), ipc_role_name(roles[i].role)))
			continue;
		ops.role = roles[i].role;
		ops.peers = roles[i].peers;
		return worker_run(&ops, roles[i].profile, NULL);
	}
	log_error("config", NULL, "the redteam is started by the supervisor only");
	return EXIT_CONFIG;
}
