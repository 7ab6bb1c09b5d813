/*
 * What each role may and may not do once sandbox_enter() has returned: one row per attempt, one
 * letter per profile. Each attempt runs in a child of its own. Built with musl, as what it tests.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#include "sandbox/profiles.h"
#include "tests/unit/forked.h"
#include "tests/unit/tap.h"

#define MEBIBYTE (1u << 20)

static char dir[] = "/tmp/bestgres-test-XXXXXX", file[64];
static uint16_t ports[3]; /* two that are allowed, one that is not */
static int listeners[3], spare = -1, sealed = -1, seq[2], stream[2];
static struct arena arena;

static int
open_outside(void *arg)
{
	(void)arg;
	return result(open("/etc/passwd", O_RDONLY | O_CLOEXEC));
}

static int
open_parent_memory(void *arg)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/mem", (int)*(pid_t *)arg);
	return result(open(path, O_RDONLY));
}

static int
read_file(void *arg)
{
	struct secret s = {0};
	struct err e;

	(void)arg;
	if (secret_read_file(&s, file, 100, &e) == -1)
		return e.code == ERR_DENIED ? REFUSED : FAILED;
	return s.len == 5 ? 0 : FAILED;
}

static int
write_file(void *arg)
{
	(void)arg;
	return result(open(file, O_WRONLY));
}

static int
truncate_file(void *arg)
{
	(void)arg;
	return result(open(file, O_RDONLY | O_TRUNC));
}

static int
create_file(void *arg)
{
	char path[80];

	(void)arg;
	snprintf(path, sizeof(path), "%s/new", dir);
	return result(open(path, O_RDONLY | O_CREAT, 0600));
}

static int
temporary_file(void *arg)
{
	(void)arg;
	return result(open(dir, O_RDWR | O_TMPFILE, 0600));
}

static int
stat_outside(void *arg)
{
	struct stat st;

	(void)arg;
	return result(stat("/etc/passwd", &st));
}

static int
unlink_file(void *arg)
{
	(void)arg;
	return result(unlink(file));
}

static int
tcp(void *arg)
{
	(void)arg;
	return result(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
}

static int
tcp6(void *arg)
{
	(void)arg;
	if (socket(AF_INET6, SOCK_STREAM, IPPROTO_TCP) == -1 && errno == EAFNOSUPPORT)
		return 0; /* a kernel without IPv6 got that far */
	return result(errno == EACCES ? -1 : 0);
}

static int
udp(void *arg)
{
	(void)arg;
	return result(socket(AF_INET, SOCK_DGRAM, 0));
}

static int
mptcp(void *arg)
{
	(void)arg;
	return result(socket(AF_INET, SOCK_STREAM, 262));
}

static int
unix_socket(void *arg)
{
	(void)arg;
	return result(socket(AF_UNIX, SOCK_STREAM, 0));
}

static int
netlink(void *arg)
{
	(void)arg;
	return result(socket(AF_NETLINK, SOCK_RAW, 0));
}

static int
make_pair(void *arg)
{
	int pair[2];

	(void)arg;
	return result(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair));
}

static int
dial_port(uint16_t port)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};

	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return result(connect(spare, (struct sockaddr *)&to, sizeof(to)));
}

static int
dial_first(void *arg)
{
	(void)arg;
	return dial_port(ports[0]);
}

static int
dial_second(void *arg)
{
	(void)arg;
	return dial_port(ports[1]);
}

static int
dial_other(void *arg)
{
	(void)arg;
	return dial_port(ports[2]);
}

static int
fast_open(void *arg)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(ports[2])};

	(void)arg;
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return result(
	    sendto(spare, "x", 1, MSG_FASTOPEN | MSG_NOSIGNAL, (struct sockaddr *)&to, sizeof(to)));
}

static int
fast_open_message(void *arg)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(ports[2])};
	struct iovec iov = {.iov_base = file, .iov_len = 1};
	struct msghdr m = {.msg_name = &to, .msg_namelen = sizeof(to), .msg_iov = &iov};

	(void)arg;
	m.msg_iovlen = 1;
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return result(sendmsg(spare, &m, MSG_FASTOPEN | MSG_NOSIGNAL));
}

static int
bind_port(void *arg)
{
	struct sockaddr_in to = {.sin_family = AF_INET};

	(void)arg;
	return result(bind(spare, (struct sockaddr *)&to, sizeof(to)));
}

static int
listen_port(void *arg)
{
	(void)arg;
	return result(listen(spare, 1));
}

static int
accept_one(void *arg)
{
	(void)arg;
	return result(accept4(listeners[0], NULL, NULL, SOCK_NONBLOCK));
}

static int
socket_option(void *arg)
{
	int on = 1;

	(void)arg;
	return result(setsockopt(spare, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on)));
}

static int
run_program(void *arg)
{
	char name[] = "true";
	char *argv[] = {name, NULL}, *envp[] = {NULL};

	(void)arg;
	return result(execve("/bin/true", argv, envp));
}

static int
run_by_fd(void *arg)
{
	char *argv[] = {NULL};

	(void)arg;
	return result(syscall(SYS_execveat, sealed, "", argv, argv, AT_EMPTY_PATH));
}

static int
make_child(void *arg)
{
	pid_t pid = fork();

	(void)arg;
	if (pid == 0)
		_exit(0);
	return result(pid);
}

static int
make_thread(void *arg)
{
	(void)arg;
	return result(syscall(SYS_clone3, NULL, (size_t)0));
}

static int
trace_parent(void *arg)
{
	(void)arg;
	return result(ptrace(PTRACE_ATTACH, getppid(), NULL, NULL));
}

static int
trace_by_number(void *arg)
{
	return result(syscall(SYS_ptrace, PTRACE_SEIZE, *(pid_t *)arg, NULL, NULL));
}

static int
read_parent(void *arg)
{
	char got[8];
	struct iovec here = {.iov_base = got, .iov_len = 8},
		     there = {.iov_base = dir, .iov_len = 8};

	return result(process_vm_readv(*(pid_t *)arg, &here, 1, &there, 1, 0));
}

static int
kill_parent(void *arg)
{
	return result(kill(*(pid_t *)arg, 0));
}

static int
kill_thread(void *arg)
{
	return result(syscall(SYS_tgkill, *(pid_t *)arg, *(pid_t *)arg, 0));
}

static int
signal_by_pidfd(void *arg)
{
	return result(syscall(SYS_pidfd_open, *(pid_t *)arg, 0));
}

static int
map_code(void *arg)
{
	void *p = mmap(
	    NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	(void)arg;
	return result(p == MAP_FAILED ? -1 : 0);
}

static int
protect_code(void *arg)
{
	void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	(void)arg;
	if (p == MAP_FAILED)
		return FAILED;
	return result(mprotect(p, 4096, PROT_READ | PROT_EXEC));
}

static int
be_dumpable(void *arg)
{
	(void)arg;
	return result(prctl(PR_SET_DUMPABLE, 1, 0, 0, 0));
}

static int
other_filter(void *arg)
{
	(void)arg;
	return result(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0U, NULL));
}

static int
new_namespace(void *arg)
{
	(void)arg;
	return result(unshare(CLONE_NEWUSER));
}

static int
ring(void *arg)
{
	(void)arg;
	return result(syscall(SYS_io_uring_setup, 1, NULL));
}

static int
become(void *arg)
{
	(void)arg;
	return result(syscall(SYS_setuid, 0));
}

static int
lock_file(void *arg)
{
	struct flock l = {.l_type = F_RDLCK};

	(void)arg;
	return result(fcntl(sealed, F_SETLK, &l));
}

static int
terminal(void *arg)
{
	char n[64];

	(void)arg;
	return result(syscall(SYS_ioctl, spare, 0x5413, n)); /* TIOCGWINSZ: stdio asks */
}

static int
seal(void *arg)
{
	struct err e;

	(void)arg;
	return result(fd_sealed("t", "token", 5, &e));
}

#ifdef __x86_64__
static int
x32(void *arg)
{
	(void)arg;
	return result(syscall(0x40000000L | SYS_getpid));
}
#endif

/* All of what every role does, once. Positive numbers tell which step failed. */
static int
pass_fd(void)
{
	union {
		struct cmsghdr h;
		char space[CMSG_SPACE(sizeof(int))];
	} control = {0};
	struct iovec iov = {.iov_base = file, .iov_len = 1};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control};

	m.msg_controllen = sizeof(control);
	control.h.cmsg_level = SOL_SOCKET;
	control.h.cmsg_type = SCM_RIGHTS;
	control.h.cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(&control.h), &sealed, sizeof(int));
	if (sendmsg(seq[0], &m, MSG_NOSIGNAL | MSG_DONTWAIT) != 1)
		return 30;
	m.msg_controllen = sizeof(control);
	if (recvmsg(seq[1], &m, MSG_CMSG_CLOEXEC | MSG_DONTWAIT) != 1)
		return 31;
	return m.msg_controllen >= CMSG_LEN(sizeof(int)) ? 0 : 32;
}

static int
wait_for_events(void)
{
	struct itimerspec in = {.it_value = {.tv_nsec = 1000000}};
	struct epoll_event ev = {.events = EPOLLIN};
	int ep = epoll_create1(EPOLL_CLOEXEC), t = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
	struct pollfd p = {.fd = t, .events = POLLIN};
	int e = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC), ends[2];

	if (ep == -1 || t == -1 || e == -1 || pipe2(ends, O_CLOEXEC) == -1)
		return 40;
	if (timerfd_settime(t, 0, &in, NULL) == -1 || epoll_ctl(ep, EPOLL_CTL_ADD, t, &ev) == -1)
		return 41;
	if (epoll_wait(ep, &ev, 1, 1000) != 1 || poll(&p, 1, 1000) != 1)
		return 42;
	return close(ep) == 0 ? 0 : 43;
}

static int
use_memory(void)
{
	struct secret s;
	char *p = xrealloc(NULL, 1, 1000);
	size_t n;

	for (n = 1000; n < 8 * MEBIBYTE; n *= 2) {
		p = xrealloc(p, 1, n);
		memset(p, 1, n);
	}
	xfree(p);
	secret_alloc(&s, 10000);
	secret_free(&s);
	return 0;
}

static int
work(void *arg)
{
	struct iovec iov = {.iov_base = file, .iov_len = 1};
	struct sigaction ignore = {.sa_handler = SIG_IGN};
	struct str s;
	struct err e;
	char b[16];
	sigset_t set;

	(void)arg;
	if (fd_sealed_read(sealed, 100, &arena, &s, &e) == -1 || !str_is(s, "token"))
		return 20;
	rand_bytes(b, sizeof(b));
	sigemptyset(&set);
	if (sigaction(SIGPIPE, &ignore, NULL) == -1 || sigprocmask(SIG_BLOCK, &set, NULL) == -1)
		return 21;
	if (send(stream[0], "x", 1, MSG_NOSIGNAL) != 1 || recv(stream[1], b, 1, 0) != 1)
		return 22;
	if (writev(stream[0], &iov, 1) != 1 || readv(stream[1], &iov, 1) != 1)
		return 23;
	if (fd_nonblock(stream[1]) == -1 || read(stream[1], b, 1) != -1 || errno != EAGAIN)
		return 24;
	log_debug(
	    "test", NULL, "%lld", (long long)clock_mono().v + clock_boot().v + clock_wall_s());
	if (use_memory() != 0 || getpid() <= 1)
		return 25;
	return pass_fd() + wait_for_events();
}

/* k: killed, e: EACCES or EPERM, y: works; for broker, watcher, reconciler, executor, agent. */
static const struct attempt {
	const char *name, *want;
	int (*f)(void *);
	unsigned needs; /* effect without which the kernel can not refuse it */
} attempts[] = {
    {"work as every role does", "yyyyy", work, 0},
    {"open a file elsewhere", "eeeee", open_outside, SANDBOX_LANDLOCK_FS},
    {"open the parent's memory", "eeeee", open_parent_memory, SANDBOX_LANDLOCK_FS},
    {"read a file of its directory", "yeeey", read_file, 0},
    {"open it to write", "eeeee", write_file, 0},
    {"truncate it", "eeeee", truncate_file, 0},
    {"create a file there", "eeeee", create_file, 0},
    {"make a temporary file there", "eeeee", temporary_file, 0},
    {"unlink it", "kkkkk", unlink_file, 0},
    {"stat a file elsewhere", "yeeey", stat_outside, 0},
    {"make a TCP socket", "ykkky", tcp, 0},
    {"make a TCP socket for IPv6", "ykkky", tcp6, 0},
    {"make a UDP socket", "ekkke", udp, 0},
    {"make an MPTCP socket", "ekkke", mptcp, 0},
    {"make a unix socket", "ekkke", unix_socket, 0},
    {"make a netlink socket", "ekkke", netlink, 0},
    {"make a socketpair", "kkkkk", make_pair, 0},
    {"connect to its port", "ykkky", dial_first, 0},
    {"connect to its second port", "ykkky", dial_second, 0},
    {"connect to another port", "ekkke", dial_other, SANDBOX_LANDLOCK_NET},
    {"connect by fast open", "kkkkk", fast_open, 0},
    {"connect by fast open in a message", "kkkkk", fast_open_message, 0},
    {"bind", "kkkkk", bind_port, 0},
    {"listen", "kkkkk", listen_port, 0},
    {"accept", "kkkkk", accept_one, 0},
    {"set a socket's option", "yykyy", socket_option, 0},
    {"execve", "kkkkk", run_program, 0},
    {"execveat of a descriptor", "kkkkk", run_by_fd, 0},
    {"fork", "kkkkk", make_child, 0},
    {"clone3", "kkkkk", make_thread, 0},
    {"ptrace by getppid", "kkkkk", trace_parent, 0},
    {"ptrace the parent", "kkkkk", trace_by_number, 0},
    {"process_vm_readv of the parent", "kkkkk", read_parent, 0},
    {"kill the parent", "kkkkk", kill_parent, 0},
    {"tgkill the parent", "kkkkk", kill_thread, 0},
    {"pidfd_open of the parent", "kkkkk", signal_by_pidfd, 0},
    {"mmap memory to execute", "kkkkk", map_code, 0},
    {"mprotect memory to execute", "kkkkk", protect_code, 0},
    {"become dumpable again", "kkkkk", be_dumpable, 0},
    {"install another filter", "kkkkk", other_filter, 0},
    {"make a namespace", "kkkkk", new_namespace, 0},
    {"io_uring", "kkkkk", ring, 0},
    {"setuid", "kkkkk", become, 0},
    {"lock a file", "kkkkk", lock_file, 0},
    {"ask for the terminal's size", "eeeee", terminal, 0},
    {"make and seal a memfd", "ykkky", seal, 0},
#ifdef __x86_64__
    {"a system call of x32", "kkkkk", x32, 0},
#endif
};

struct run {
	enum sandbox_profile profile;
	int (*f)(void *);
	unsigned needs;
	pid_t parent;
};
#define SKIPPED 12

static int
enter_and_try(void *arg)
{
	struct run *r = arg;
	struct sandbox_args args = {.dirs = {dir, NULL}, .ports = {ports[0], ports[1]}};
	unsigned effect;

	spare = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	effect = sandbox_enter(r->profile, &args);
	if ((effect & r->needs) != r->needs)
		return SKIPPED;
	return r->f(&r->parent);
}

static char
outcome(int status)
{
	if (WIFSIGNALED(status))
		return WTERMSIG(status) == SIGSYS ? 'k' : '!';
	switch (WEXITSTATUS(status)) {
	case 0:
		return 'y';
	case REFUSED:
		return 'e';
	case SKIPPED:
		return 's';
	default:
		return '?';
	}
}

static void
try_all(const struct attempt *a, enum sandbox_profile p)
{
	static const char *const roles[] = {"broker", "watcher", "reconciler", "executor", "agent"};
	struct run r = {.profile = p, .f = a->f, .needs = a->needs, .parent = getpid()};
	int status = forked_status(enter_and_try, &r);
	char name[96], got = status == -1 ? '!' : outcome(status);

	snprintf(name, sizeof(name), "%s: %s%s", roles[p], a->name,
	    got == 's' ? " # SKIP this kernel has no Landlock for it" : "");
	if (!CHECK(got == a->want[p] || got == 's', name))
		printf("# wanted %c, got %c (status %#x)\n", a->want[p], got, (unsigned)status);
}

/* Without Landlock before it: an old kernel has only this between a broker and a file. */
static int
filter_and_try(void *arg)
{
	const struct attempt *a = arg;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == -1)
		return FAILED;
	seccomp_restrict(profile_of(SANDBOX_BROKER));
	return a->f(NULL);
}

static void
test_filter_alone(void)
{
	struct attempt alone[] = {
	    {"filter alone: open to write", "e", write_file, 0},
	    {"filter alone: truncate", "e", truncate_file, 0},
	    {"filter alone: create", "e", create_file, 0},
	    {"filter alone: temporary file", "e", temporary_file, 0},
	    {"filter alone: read", "y", read_file, 0},
	};
	size_t i;

	for (i = 0; i < sizeof(alone) / sizeof(alone[0]); i++)
		CHECK(outcome(forked_status(filter_and_try, &alone[i])) == alone[i].want[0],
		    alone[i].name);
}

static void
listen_all(void)
{
	struct sockaddr_in at = {.sin_family = AF_INET};
	socklen_t len = sizeof(at);
	size_t i;

	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	for (i = 0; i < 3; i++) {
		at.sin_port = 0;
		listeners[i] = socket(AF_INET, SOCK_STREAM, 0);
		if (bind(listeners[i], (struct sockaddr *)&at, sizeof(at)) == -1 ||
		    listen(listeners[i], 128) == -1 ||
		    getsockname(listeners[i], (struct sockaddr *)&at, &len) == -1)
			die("listener");
		ports[i] = ntohs(at.sin_port);
	}
}

static void
set_up(void)
{
	struct err e;
	int fd;

	if (mkdtemp(dir) == NULL)
		die("mkdtemp");
	snprintf(file, sizeof(file), "%s/token", dir);
	fd = open(file, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	if (fd == -1 || fd_write_all(fd, "token", 5) == -1)
		die("token file");
	fd_close(&fd);
	listen_all();
	sealed = fd_sealed("t", "token", 5, &e);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, seq) == -1 ||
	    socketpair(AF_UNIX, SOCK_STREAM, 0, stream) == -1)
		die("socketpair");
	arena_init(&arena, MEBIBYTE);
}

int
main(void)
{
	size_t i;
	int p;

	set_up();
	for (i = 0; i < sizeof(attempts) / sizeof(attempts[0]); i++) {
		for (p = 0; p < SANDBOX_COUNT; p++)
			try_all(&attempts[i], (enum sandbox_profile)p);
	}
	test_filter_alone();
	unlink(file);
	rmdir(dir);
	arena_free(&arena);
	return tap_done();
}
