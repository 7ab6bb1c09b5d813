/*
 * Child processes of pgctl: started with pipes, their output collected up to a bound, killed when
 * they take too long. What they read comes through stdin, so that no SQL and no password stands in
 * an argument or an environment.
 */
#include <errno.h>
#include <ev.h>
#include <fcntl.h>
#include <signal.h>
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

static void
collect(struct run *r, ev_io *w, int *fd, struct buf *b)
{
	char chunk[4096];
	ssize_t n = read(*fd, chunk, sizeof(chunk));

	if (n > 0) {
		if (b->len + (size_t)n < RUN_OUTPUT_MAX)
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

static void
on_timeout(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct run *r = w->data;

	(void)loop;
	(void)revents;
	r->timed_out = true;
	(void)kill(-r->pid, SIGKILL);
	if (r->exited) {
		stop_io(r, &r->on_out, &r->out);
		stop_io(r, &r->on_err, &r->err);
	}
	finish_if_over(r);
}

_Noreturn static void
become(const struct run_spec *s, const int in[2], const int out[2], const int err[2])
{
	sigset_t none;

	(void)setpgid(0, 0);
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

void
run_start(struct ev_loop *loop, const struct run_spec *s,
    void (*done)(void *arg, const struct run_result *), void *arg)
{
	struct run *r = xcalloc(1, sizeof(*r));
	int in[2], out[2], err[2];

	if (pipe2(in, O_CLOEXEC) == -1 || pipe2(out, O_CLOEXEC) == -1 ||
	    pipe2(err, O_CLOEXEC) == -1)
		die("pipe: %s", strerror(errno));
	if ((r->pid = fork()) == -1)
		die("fork: %s", strerror(errno)); /* init starts us again */
	if (r->pid == 0)
		become(s, in, out, err);
	(void)close(in[0]);
	(void)close(out[1]);
	(void)close(err[1]);
	r->loop = loop;
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
	ev_timer_start(loop, &r->timeout);
}
