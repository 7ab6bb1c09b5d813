/*
 * Child processes of pgctl: started with pipes, their output collected up to a bound, killed when
 * they take too long. What they read comes through stdin, so that no SQL and no password stands in
 * an argument or an environment.
 */
#include <errno.h>
#include <ev.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "instance/pgctl.h"

struct run {
	struct ev_loop *loop;
	pid_t pid;
	int in, out, err;
	ev_io on_in, on_out, on_err;
	ev_child on_exit;
	ev_timer timeout;
	struct buf input, out_text, err_text;
	size_t written;
	bool exited, timed_out;
	int status;
	void (*on_stderr)(void *arg, struct str text);
	void (*done)(void *arg, const struct run_result *);
	void *arg;
};

static void
stop_io(struct run *r, ev_io *w, int *fd)
{
	if (*fd < 0)
		return;
	ev_io_stop(r->loop, w);
	fd_close(fd);
}

/*
 * Over once it has exited and both outputs are closed; a grandchild may hold them: then the timeout
 * ends it.
 */
static void
finish_if_over(struct run *r)
{
	struct run_result result;

	if (!r->exited || r->out >= 0 || r->err >= 0)
		return;
	stop_io(r, &r->on_in, &r->in);
	ev_child_stop(r->loop, &r->on_exit);
	ev_timer_stop(r->loop, &r->timeout);
	buf_put(&r->out_text, "", 1);
	buf_put(&r->err_text, "", 1);
	result.status = WIFEXITED(r->status) && !r->timed_out ? WEXITSTATUS(r->status) : -1;
	result.signal = WIFSIGNALED(r->status) && !r->timed_out ? WTERMSIG(r->status) : 0;
	result.timed_out = r->timed_out;
	result.out = (struct str){r->out_text.p, r->out_text.len > 0 ? r->out_text.len - 1 : 0};
	result.err = (struct str){r->err_text.p, r->err_text.len > 0 ? r->err_text.len - 1 : 0};
	r->done(r->arg, &result);
	if (r->input.p != NULL)
		explicit_bzero(r->input.p, r->input.size);
	buf_free(&r->input);
	buf_free(&r->out_text);
	buf_free(&r->err_text);
	xfree(r);
}

/* Of what is said to stderr the last words count. */
static void
keep_end(struct run *r, struct str text)
{
	struct buf *b = &r->err_text;

	if (b->len + text.len >= RUN_OUTPUT_MAX)
		buf_drop(b, b->len / 2);
	buf_str(b, text);
	if (r->on_stderr != NULL)
		r->on_stderr(r->arg, text);
}

static void
collect(struct run *r, ev_io *w, int *fd, struct buf *b)
{
	char chunk[4096];
	ssize_t n = read(*fd, chunk, sizeof(chunk));

	if (n > 0) {
		if (b == &r->err_text)
			keep_end(r, (struct str){chunk, (size_t)n});
		else if (b->len + (size_t)n < RUN_OUTPUT_MAX)
			buf_put(b, chunk, (size_t)n); /* the rest is read, but nobody needs it */
		return;
	}
	if (n == -1 && (errno == EAGAIN || errno == EINTR))
		return;
	stop_io(r, w, fd);
	finish_if_over(r);
}

static void
on_out(struct ev_loop *loop, ev_io *w, int revents)
{
	struct run *r = w->data;

	(void)loop;
	(void)revents;
	collect(r, w, &r->out, &r->out_text);
}

static void
on_err(struct ev_loop *loop, ev_io *w, int revents)
{
	struct run *r = w->data;

	(void)loop;
	(void)revents;
	collect(r, w, &r->err, &r->err_text);
}

static void
on_in(struct ev_loop *loop, ev_io *w, int revents)
{
	struct run *r = w->data;
	ssize_t n = 0;

	(void)loop;
	(void)revents;
	if (r->written < r->input.len)
		n = write(r->in, r->input.p + r->written, r->input.len - r->written);
	if (n == -1 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n > 0)
		r->written += (size_t)n;
	if (n == -1 || r->written == r->input.len)
		stop_io(r, w, &r->in);
}

static void
on_exit_status(struct ev_loop *loop, ev_child *w, int revents)
{
	struct run *r = w->data;

	(void)loop;
	(void)revents;
	r->exited = true;
	r->status = w->rstatus;
	finish_if_over(r);
}

void
run_stop(struct run *r)
{
	(void)kill(-r->pid, SIGKILL);
}

static void
on_timeout(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct run *r = w->data;

	(void)loop;
	(void)revents;
	r->timed_out = true;
	run_stop(r);
	if (r->exited) {
		stop_io(r, &r->on_out, &r->out);
		stop_io(r, &r->on_err, &r->err);
	}
	finish_if_over(r);
}

_Noreturn static void
become(const struct run_spec *s, pid_t parent, const int in[2], const int out[2], const int err[2])
{
	sigset_t none;

	(void)setpgid(0, 0);
	/* What nobody would read the end of does not go on. */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) == -1 || getppid() != parent)
		_exit(126);
	for (int sig = 1; sig < NSIG; sig++)
		(void)signal(sig, SIG_DFL);
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	if (dup2(in[0], 0) == -1 || dup2(out[1], 1) == -1 || dup2(err[1], 2) == -1 ||
	    chdir("/tmp") == -1)
		_exit(126);
	/* execve's prototype is older than const: it writes to neither */
	(void)execve(
	    s->argv[0], (char *const *)(uintptr_t)s->argv, (char *const *)(uintptr_t)s->env);
	dprintf(2, "exec %s: %s\n", s->argv[0], strerror(errno));
	_exit(127);
}

static void
watch(struct run *r, ev_io *w, void (*cb)(struct ev_loop *, ev_io *, int), int fd, int events)
{
	if (fd_nonblock(fd) == -1)
		die("a pipe can not be set non-blocking");
	ev_io_init(w, cb, fd, events);
	w->data = r;
	ev_io_start(r->loop, w);
}

struct run *
run_start(struct ev_loop *loop, const struct run_spec *s,
    void (*done)(void *arg, const struct run_result *), void *arg)
{
	struct run *r = xcalloc(1, sizeof(*r));
	pid_t self = getpid();
	int in[2], out[2], err[2];

	if (pipe2(in, O_CLOEXEC) == -1 || pipe2(out, O_CLOEXEC) == -1 ||
	    pipe2(err, O_CLOEXEC) == -1)
		die("pipe: %s", strerror(errno));
	if ((r->pid = fork()) == -1)
		die("fork: %s", strerror(errno)); /* init starts us again */
	if (r->pid == 0)
		become(s, self, in, out, err);
	(void)setpgid(r->pid, r->pid); /* whoever is first: run_stop may come at once */
	(void)close(in[0]);
	(void)close(out[1]);
	(void)close(err[1]);
	r->loop = loop;
	r->on_stderr = s->on_stderr;
	r->done = done;
	r->arg = arg;
	r->in = in[1];
	r->out = out[0];
	r->err = err[0];
	buf_init(&r->input, s->input.len + 1);
	buf_str(&r->input, s->input);
	buf_init(&r->out_text, RUN_OUTPUT_MAX + 1);
	buf_init(&r->err_text, RUN_OUTPUT_MAX + 1);
	watch(r, &r->on_in, on_in, r->in, EV_WRITE);
	watch(r, &r->on_out, on_out, r->out, EV_READ);
	watch(r, &r->on_err, on_err, r->err, EV_READ);
	ev_child_init(&r->on_exit, on_exit_status, r->pid, 0);
	r->on_exit.data = r;
	ev_child_start(loop, &r->on_exit);
	ev_timer_init(&r->timeout, on_timeout, s->timeout_ms / 1000., 1.);
	r->timeout.data = r;
	if (s->timeout_ms > 0)
		ev_timer_start(loop, &r->timeout);
	return r;
}
