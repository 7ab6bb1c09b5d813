/* Child processes of pgctl: what is kept of their words, how they end, that they end with us. */
#include <ev.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "instance/pgctl.h"
#include "tests/unit/tap.h"

static struct ev_loop *loop;
static struct {
	int status, signal;
	bool timed_out;
	size_t out_len, err_len, heard;
	char out[64], err[64]; /* out's beginning, err's end */
} seen;

static void
on_stderr(void *arg, struct str text)
{
	(void)arg;
	seen.heard += text.len;
}

static void
on_done(void *arg, const struct run_result *r)
{
	size_t tail = r->err.len < 60 ? 0 : r->err.len - 60;

	(void)arg;
	seen.status = r->status;
	seen.signal = r->signal;
	seen.timed_out = r->timed_out;
	seen.out_len = r->out.len;
	seen.err_len = r->err.len;
	(void)snprintf(seen.out, sizeof(seen.out), "%.60s", r->out.p);
	(void)snprintf(seen.err, sizeof(seen.err), "%.60s", r->err.p + tail);
	ev_break(loop, EVBREAK_ALL);
}

static struct run *
begin(const char *script, const char *input, int timeout_ms)
{
	const char *const argv[] = {"/bin/sh", "-c", script, NULL};
	static const char *const env[] = {"PATH=/usr/bin:/bin", NULL};
	const struct run_spec s = {.argv = argv,
	    .env = env,
	    .input = str_of(input),
	    .timeout_ms = timeout_ms,
	    .on_stderr = on_stderr};

	memset(&seen, 0, sizeof(seen));
	return run_start(loop, &s, on_done, NULL);
}

static void
run(const char *script, const char *input, int timeout_ms)
{
	(void)begin(script, input, timeout_ms);
	ev_run(loop, 0);
}

static void
test_words(void)
{
	run("cat; echo no >&2; exit 3", "hello", 10000);
	CHECK(seen.status == 3 && !seen.timed_out && strcmp(seen.out, "hello") == 0 &&
		  strcmp(seen.err, "no\n") == 0 && seen.heard == 3,
	    "what it reads, says and ends with");
	run("i=0; while [ $i -lt 3000 ]; do echo 'a line of some more than forty characters' >&2; "
	    "i=$((i+1)); done; echo the end >&2",
	    "", 20000);
	CHECK(seen.err_len < RUN_OUTPUT_MAX && seen.err_len > RUN_OUTPUT_MAX / 4 &&
		  strstr(seen.err, "the end\n") != NULL && seen.heard > RUN_OUTPUT_MAX,
	    "of a long stderr the end is kept, and all of it was heard");
	run("echo begin; i=0; while [ $i -lt 3000 ]; do echo 'a line of more than forty "
	    "characters.'; "
	    "i=$((i+1)); done",
	    "", 20000);
	CHECK(seen.status == 0 && seen.out_len < RUN_OUTPUT_MAX &&
		  str_starts(str_of(seen.out), "begin\n"),
	    "of a long stdout the beginning");
}

static void
on_stop(struct ev_loop *l, ev_timer *w, int revents)
{
	(void)l;
	(void)revents;
	run_stop(w->data);
}

static void
test_ends(void)
{
	ev_timer stop;

	ev_timer_init(&stop, on_stop, 0.1, 0.);
	stop.data = begin("sleep 100 & wait", "", 0);
	ev_timer_start(loop, &stop);
	ev_run(loop, 0);
	CHECK(seen.status == -1 && !seen.timed_out, "stopped, with what it had started");
	run("sleep 100", "", 100);
	CHECK(seen.status == -1 && seen.timed_out && seen.signal == 0, "it took too long");
	run("kill -9 $$", "", 10000);
	CHECK(seen.status == -1 && seen.signal == SIGKILL && !seen.timed_out,
	    "somebody else has killed it");
}

/* A zombie does not run either. */
static bool
runs(pid_t pid)
{
	char path[64], text[256] = "";
	FILE *f;
	const char *state;

	(void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	if ((f = fopen(path, "r")) == NULL)
		return false;
	(void)fgets(text, sizeof(text), f);
	(void)fclose(f);
	state = strrchr(text, ')');
	return state != NULL && state[2] != 'Z' && state[2] != 'X';
}

static void
on_alarm(struct ev_loop *l, ev_timer *w, int revents)
{
	(void)l;
	(void)w;
	(void)revents;
	_exit(0);
}

static void
test_dies_with_us(void)
{
	char path[] = "/tmp/bestgres-run-XXXXXX", script[128], text[16] = "";
	int fd = mkstemp(path), status, tries = 0;
	pid_t us, child;

	(void)snprintf(script, sizeof(script), "echo $$ > %s; exec sleep 100", path);
	if ((us = fork()) == 0) {
		ev_timer end;

		ev_loop_fork(loop);
		(void)begin(script, "", 0);
		ev_timer_init(&end, on_alarm, 0.5, 0.);
		ev_timer_start(loop, &end);
		ev_run(loop, 0);
		_exit(1);
	}
	(void)waitpid(us, &status, 0);
	(void)read(fd, text, sizeof(text) - 1);
	child = (pid_t)strtol(text, NULL, 10);
	while (child > 1 && runs(child) && tries++ < 50)
		(void)usleep(100000);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0 && child > 1 && !runs(child),
	    "what pgctl has started ends with pgctl");
	(void)close(fd);
	(void)unlink(path);
}

int
main(void)
{
	loop = ev_default_loop(0);
	test_words();
	test_ends();
	test_dies_with_us();
	return tap_done();
}
