/*
 * The seccomp filter, written by hand: a table of the system calls that an ability is, with limits
 * on arguments, turned into a BPF program for one role. What no row grants kills the process;
 * what libraries merely probe gives EACCES. Measured with musl, curl, mbedTLS and libev; a row that
 * an architecture lacks is left out of it (aarch64 has no open or poll).
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <netinet/in.h>
#include <unistd.h>

#include "sandbox/profiles.h"

#if defined(__x86_64__)
#define ARCH AUDIT_ARCH_X86_64
#define X32_BIT 0x40000000u
#elif defined(__aarch64__)
#define ARCH AUDIT_ARCH_AARCH64
#else
#error "sandbox/seccomp.c: no system call table for this architecture"
#endif
#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "sandbox/seccomp.c: the low half of an argument is taken to come first"
#endif

#ifndef MSG_FASTOPEN
#define MSG_FASTOPEN 0x20000000
#endif
#define ALL_BITS 0xffffffffu
#define KILL SECCOMP_RET_KILL_PROCESS
#define REFUSE (SECCOMP_RET_ERRNO | EACCES)

/* The low half of argument `arg`, masked, must be one of ok[0..n). The kernel reads ints there. */
struct limit {
	uint32_t mask;
	uint8_t arg, n;
	uint32_t ok[7];
};
#define NONE_OF(bits, which) .mask = (bits), .arg = (which), .n = 1

/* One system call. The first row whose number matches and whose ability the role has decides. */
struct rule {
	int nr;
	unsigned able;
	uint32_t otherwise; /* when an argument is outside of limits, if there are any */
	struct limit limits[3];
};

#define FCNTL_ANYONE F_GETFD, F_SETFD, F_GETFL, F_SETFL, F_DUPFD_CLOEXEC, F_GET_SEALS
#define OPEN_TO_WRITE                                                                              \
	((uint32_t)(O_ACCMODE | O_CREAT | O_TRUNC | O_APPEND | (O_TMPFILE & ~O_DIRECTORY)))

static const struct rule rules[] = {
    /* Bytes, messages and the event loop, the most frequent first. */
    {__NR_epoll_pwait, ABLE_RUN, KILL, {{0}}},
#ifdef __NR_epoll_wait
    {__NR_epoll_wait, ABLE_RUN, KILL, {{0}}},
#endif
    {__NR_read, ABLE_RUN, KILL, {{0}}},
    {__NR_write, ABLE_RUN, KILL, {{0}}},
    {__NR_clock_gettime, ABLE_RUN, KILL, {{0}}},
    /* TCP fast open connects without connect(), past Landlock. */
    {__NR_recvmsg, ABLE_RUN, KILL, {{0}}},
    {__NR_sendmsg, ABLE_RUN, KILL, {{NONE_OF(MSG_FASTOPEN, 2)}}},
    {__NR_recvfrom, ABLE_RUN, KILL, {{0}}},
    {__NR_sendto, ABLE_RUN, KILL, {{NONE_OF(MSG_FASTOPEN, 3)}}},
    {__NR_epoll_ctl, ABLE_RUN, KILL, {{0}}},
    {__NR_readv, ABLE_RUN, KILL, {{0}}},
    {__NR_writev, ABLE_RUN, KILL, {{0}}},
    {__NR_pread64, ABLE_RUN, KILL, {{0}}},
    {__NR_pwrite64, ABLE_RUN, KILL, {{0}}},
    {__NR_ftruncate, ABLE_RUN, KILL, {{0}}},
    {__NR_fstat, ABLE_RUN, KILL, {{0}}},
    {__NR_lseek, ABLE_RUN, KILL, {{0}}},
    {__NR_close, ABLE_RUN, KILL, {{0}}},
    {__NR_fcntl, ABLE_SEAL, KILL, {{ALL_BITS, 1, 7, {FCNTL_ANYONE, F_ADD_SEALS}}}},
    {__NR_fcntl, ABLE_RUN, KILL, {{ALL_BITS, 1, 6, {FCNTL_ANYONE}}}},
#ifdef __NR_poll
    {__NR_poll, ABLE_RUN, KILL, {{0}}},
#endif
    {__NR_ppoll, ABLE_RUN, KILL, {{0}}},
    {__NR_epoll_create1, ABLE_RUN, KILL, {{0}}},
    {__NR_eventfd2, ABLE_RUN, KILL, {{0}}},
    {__NR_pipe2, ABLE_RUN, KILL, {{0}}},
    {__NR_timerfd_create, ABLE_RUN, KILL, {{0}}},
    {__NR_timerfd_settime, ABLE_RUN, KILL, {{0}}},
    /* Memory, never executable. */
    {__NR_mmap, ABLE_RUN, KILL, {{NONE_OF(PROT_EXEC, 2)}}},
    {__NR_mprotect, ABLE_RUN, KILL, {{NONE_OF(PROT_EXEC, 2)}}},
    {__NR_munmap, ABLE_RUN, KILL, {{0}}},
    {__NR_mremap, ABLE_RUN, KILL, {{0}}},
    {__NR_madvise, ABLE_RUN, KILL, {{0}}},
    {__NR_brk, ABLE_RUN, KILL, {{0}}},
    /* The process itself. */
    {__NR_getrandom, ABLE_RUN, KILL, {{0}}},
    {__NR_futex, ABLE_RUN, KILL, {{0}}},
    {__NR_gettimeofday, ABLE_RUN, KILL, {{0}}},
#ifdef __NR_time
    {__NR_time, ABLE_RUN, KILL, {{0}}},
#endif
    {__NR_uname, ABLE_RUN, KILL, {{0}}}, /* libev asks for the kernel's version */
    {__NR_getpid, ABLE_RUN, KILL, {{0}}},
    {__NR_gettid, ABLE_RUN, KILL, {{0}}},
    {__NR_rt_sigaction, ABLE_RUN, KILL, {{0}}},
    {__NR_rt_sigprocmask, ABLE_RUN, KILL, {{0}}},
    {__NR_rt_sigreturn, ABLE_RUN, KILL, {{0}}},
    {__NR_restart_syscall, ABLE_RUN, KILL, {{0}}},
    {__NR_exit, ABLE_RUN, KILL, {{0}}},
    {__NR_exit_group, ABLE_RUN, KILL, {{0}}},
    /* Sockets that are connected already. */
    {__NR_getsockopt, ABLE_HTTP, KILL, {{0}}},
    {__NR_setsockopt, ABLE_HTTP, KILL, {{0}}},
    {__NR_getsockname, ABLE_HTTP, KILL, {{0}}},
    {__NR_getpeername, ABLE_HTTP, KILL, {{0}}},
    {__NR_shutdown, ABLE_HTTP, KILL, {{0}}},
    /* Sockets of its own: TCP only; MPTCP would pass Landlock's port rule. curl probes others. */
    {__NR_socket, ABLE_DIAL, REFUSE,
	{{ALL_BITS, 0, 2, {AF_INET, AF_INET6}},
	    {~(uint32_t)(SOCK_CLOEXEC | SOCK_NONBLOCK), 1, 1, {SOCK_STREAM}},
	    {ALL_BITS, 2, 2, {0, IPPROTO_TCP}}}},
    {__NR_connect, ABLE_DIAL, KILL, {{0}}},
/* Files, to read. */
#ifdef __NR_open
    {__NR_open, ABLE_FILES, REFUSE, {{NONE_OF(OPEN_TO_WRITE, 1)}}},
#endif
    {__NR_openat, ABLE_FILES, REFUSE, {{NONE_OF(OPEN_TO_WRITE, 2)}}},
#ifdef __NR_stat
    {__NR_stat, ABLE_FILES, KILL, {{0}}},
#endif
    {__NR_newfstatat, ABLE_FILES, KILL, {{0}}},
    {__NR_memfd_create, ABLE_SEAL, KILL, {{0}}},
};

/* What a library may try: EACCES, where no row above decides. */
static const int probes[] = {
#ifdef __NR_open
    __NR_open,
    __NR_creat,
    __NR_stat,
    __NR_lstat,
    __NR_access,
    __NR_readlink,
#endif
    __NR_openat,
    __NR_openat2,
    __NR_newfstatat,
    __NR_statx,
    __NR_faccessat,
    __NR_faccessat2,
    __NR_readlinkat,
    __NR_ioctl,
};

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
/* The longest row: number, three limits of load, mask, seven values and a refusal, and the end. */
#define PROGRAM_MAX (6 + COUNT(rules) * 32 + COUNT(probes) * 2)

struct program {
	struct sock_filter at[PROGRAM_MAX];
	unsigned short n;
};

static void
emit(struct program *p, int code, uint32_t k, size_t jump_true, size_t jump_false)
{
	if (p->n >= PROGRAM_MAX || jump_true > UINT8_MAX || jump_false > UINT8_MAX)
		die("seccomp program does not fit");
	p->at[p->n++] = (struct sock_filter){
	    .code = (uint16_t)code,
	    .jt = (uint8_t)jump_true,
	    .jf = (uint8_t)jump_false,
	    .k = k,
	};
}

static void
load(struct program *p, size_t offset)
{
	emit(p, BPF_LD | BPF_W | BPF_ABS, (uint32_t)offset, 0, 0);
}

static void
give(struct program *p, uint32_t verdict)
{
	emit(p, BPF_RET | BPF_K, verdict, 0, 0);
}

static void
emit_limit(struct program *p, const struct limit *l, uint32_t otherwise)
{
	size_t i;

	load(p, offsetof(struct seccomp_data, args) + l->arg * sizeof(uint64_t));
	emit(p, BPF_ALU | BPF_AND | BPF_K, l->mask, 0, 0);
	for (i = 0; i < l->n; i++)
		emit(p, BPF_JMP | BPF_JEQ | BPF_K, l->ok[i], (size_t)l->n - i, 0);
	give(p, otherwise);
}

/* Every path through a row that matched ends in a verdict: the number stays loaded for the next. */
static void
emit_rule(struct program *p, const struct rule *r)
{
	unsigned short match = p->n;
	size_t i;

	emit(p, BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)r->nr, 0, 0);
	for (i = 0; i < COUNT(r->limits) && r->limits[i].n > 0; i++)
		emit_limit(p, &r->limits[i], r->otherwise);
	give(p, SECCOMP_RET_ALLOW);
	p->at[match].jf = (uint8_t)(p->n - match - 1);
}

static void
build(struct program *p, unsigned able)
{
	size_t i;

	load(p, offsetof(struct seccomp_data, arch));
	emit(p, BPF_JMP | BPF_JEQ | BPF_K, ARCH, 1, 0);
	give(p, KILL);
	load(p, offsetof(struct seccomp_data, nr));
#ifdef X32_BIT
	emit(p, BPF_JMP | BPF_JSET | BPF_K, X32_BIT, 0, 1);
	give(p, KILL);
#endif
	for (i = 0; i < COUNT(rules); i++) {
		if ((rules[i].able & able) != 0)
			emit_rule(p, &rules[i]);
	}
	for (i = 0; i < COUNT(probes); i++) {
		emit(p, BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)probes[i], 0, 1);
		give(p, REFUSE);
	}
	give(p, KILL);
}

void
seccomp_restrict(const struct profile *profile)
{
	struct program p = {.n = 0};
	struct sock_fprog f;

	build(&p, profile->able);
	f = (struct sock_fprog){.len = p.n, .filter = p.at};
	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0U, &f) == -1)
		sandbox_missing("seccomp", strerror(errno));
}
