/*
 * Kind Benchmark: pgbench in a database of its own, as the application's owner, so that a custom
 * script can do no more than that role may. pgbench knows no percentiles: it logs each
 * transaction, and here that log is counted into a histogram and punched out as it grows, so that
 * neither memory nor disk depends on the duration.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "instance/task.h"

#define LOG_DIR "/tmp"
#define LOG_NAME "bestgres-benchmark-" /* and the slot's number */
#define READ_MAX (1u << 20)
#define BYTES_PER_SCALE                                                                            \
	(20ull << 20) /* 100,000 accounts with their index, and WAL while they are made */

/* --- The log: a file for each thread, bestgres-benchmark-<slot>.<pid>[.<thread>]. */

static void
read_log(struct task *t, const char *name, uint64_t *at)
{
	static char text[READ_MAX];
	char path[300];
	int fd;
	ssize_t n;

	(void)snprintf(path, sizeof(path), LOG_DIR "/%.255s", name);
	if ((fd = open(path, O_RDWR | O_NOFOLLOW | O_CLOEXEC)) == -1)
		return;
	while ((n = pread(fd, text, sizeof(text), (off_t)*at)) > 0) {
		size_t lines = task_latency_read(t->latencies, (struct str){text, (size_t)n});

		if (lines == 0)
			break;
		*at += lines;
	}
	if (*at > 0) /* where the file system has no holes the log only grows */
		(void)fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, (off_t)*at);
	fd_close(&fd);
}

/* Which of the threads; 0 is the first one's, which has no number. -1: not a log. */
static int
thread_of(const struct task *t, const char *name)
{
	char prefix[sizeof(LOG_NAME) + 4];
	size_t len = (size_t)snprintf(prefix, sizeof(prefix), LOG_NAME "%u.", t->slot);
	const char *dot;
	uint64_t n;

	if (strncmp(name, prefix, len) != 0 || name[len] < '0' || name[len] > '9')
		return -1;
	if ((dot = strchr(name + len, '.')) == NULL)
		return 0;
	return str_to_u64(str_of(dot + 1), &n) == 0 && n < 64 ? (int)n : -1;
}

static void
each_log(struct task *t, void (*what)(struct task *, const char *, uint64_t *))
{
	DIR *d = opendir(LOG_DIR);

	for (struct dirent *e; d != NULL && (e = readdir(d)) != NULL;) {
		int thread = thread_of(t, e->d_name);

		if (thread >= 0)
			what(t, e->d_name, &t->log_at[thread]);
	}
	if (d != NULL)
		(void)closedir(d);
}

static void
remove_log(struct task *t, const char *name, uint64_t *at)
{
	char path[300];

	(void)t;
	*at = 0;
	(void)snprintf(path, sizeof(path), LOG_DIR "/%.255s", name);
	(void)unlink(path);
}

void
task_bench_poll(struct task *t)
{
	if (t->measured)
		each_log(t, read_log);
}

static void
script_path(const struct task *t, char out[64])
{
	(void)snprintf(out, 64, LOG_DIR "/" LOG_NAME "%u.sql", t->slot);
}

void
task_bench_clean(struct task *t)
{
	char path[64];

	if (t->now.m.kind != CHOICE_task_kind_BENCHMARK)
		return;
	each_log(t, remove_log);
	script_path(t, path);
	(void)unlink(path);
}

/* --- Its steps. */

static void
on_progress(void *arg, struct str text)
{
	struct task *t = arg;
	int64_t seconds = task_pgbench_progress(text);

	if (t->ending || !t->measured || seconds < 0 || seconds > t->now.m.duration_s)
		return;
	t->state.percent = (uint8_t)(10 + seconds * 89 / t->now.m.duration_s);
	task_changed(t);
}

static void
measured(struct task *t, const struct run_result *r)
{
	each_log(t, read_log);
	if (r->status != 0) {
		task_end_failed(t, r, "pgbench");
		return;
	}
	if (!task_pgbench_report(r->out, &t->state)) {
		task_end(t, CHOICE_task_phase_FAILED, "pgbench's report can not be read");
		return;
	}
	task_latency_text(t->latencies, 50, t->state.latency_p50);
	task_latency_text(t->latencies, 95, t->state.latency_p95);
	task_latency_text(t->latencies, 99, t->state.latency_p99);
	task_end(t, CHOICE_task_phase_SUCCEEDED, "%s", "");
}

static void
measure(struct task *t, const struct run_result *r)
{
	static const char *const builtin[CHOICE_benchmark_mode_COUNT] = {
	    [CHOICE_benchmark_mode_TPCB_LIKE] = "-b",
	    [CHOICE_benchmark_mode_SELECT_ONLY] = "-b",
	    [CHOICE_benchmark_mode_CUSTOM] = "-f",
	};
	const struct msg_task *m = &t->now.m;
	char clients[12], threads[12], seconds[12], log[64], script[64];
	const char *const more[] = {"-c", clients, "-j", threads, "-T", seconds, "-P", "2", "-l",
	    log, builtin[m->mode],
	    m->mode == CHOICE_benchmark_mode_CUSTOM ? script
						    : choice_text(VOCAB_benchmark_mode, m->mode),
	    NULL};
	struct task_command c = {.program = "pgbench",
	    .more = more,
	    .database = t->name.benchmark,
	    .as_owner = true,
	    .on_stderr = on_progress};

	if (r->status != 0) {
		task_end_failed(t, r, "pgbench -i");
		return;
	}
	task_wrote(t);
	(void)snprintf(log, sizeof(log), "--log-prefix=" LOG_DIR "/" LOG_NAME "%u", t->slot);
	script_path(t, script);
	(void)snprintf(clients, sizeof(clients), "%u", m->clients);
	(void)snprintf(
	    threads, sizeof(threads), "%u", m->threads < m->clients ? m->threads : m->clients);
	(void)snprintf(seconds, sizeof(seconds), "%u", m->duration_s);
	t->state.percent = 10;
	task_step(
	    t, "pgbench %s for %u s", choice_text(VOCAB_benchmark_mode, m->mode), m->duration_s);
	t->measured = true;
	task_run(t, &c, measured);
}

static void
fill(struct task *t, const struct run_result *r)
{
	char scale[12];
	const char *const more[] = {"-i", "-q", "-s", scale, NULL};
	struct task_command c = {
	    .program = "pgbench", .more = more, .database = t->name.benchmark, .as_owner = true};

	if (r->status != 0) {
		task_end_failed(t, r, "psql");
		return;
	}
	(void)snprintf(scale, sizeof(scale), "%u", t->now.m.scale);
	task_step(t, "pgbench -i, scale %u", t->now.m.scale);
	task_run(t, &c, measure);
}

static bool
write_script(struct task *t)
{
	struct str script = buf_view(&t->now.script);
	char name[32], path[64];
	const char *refused;
	int fd, r;

	if (t->now.m.mode != CHOICE_benchmark_mode_CUSTOM)
		return true;
	if (script.len == 0 || memchr(script.p, '\0', script.len) != NULL) {
		task_end(t, CHOICE_task_phase_FAILED, "the script is empty or holds a NUL");
		return false;
	}
	if ((refused = task_pgbench_refused(script, name)) != NULL) {
		task_end(t, CHOICE_task_phase_FAILED,
		    "the script has \"\\%s\": of pgbench's meta-commands only those are allowed "
		    "that start no program",
		    refused);
		return false;
	}
	script_path(t, path);
	(void)unlink(path);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	r = fd == -1 ? -1 : fd_write_all(fd, script.p, script.len);
	if (r == -1)
		task_end(t, CHOICE_task_phase_FAILED, "write %s: %s", path, strerror(errno));
	fd_close(&fd);
	return r == 0;
}

static void
create(struct task *t)
{
	struct buf sql;

	if (!task_has_room(t, "the benchmark", t->now.m.scale * BYTES_PER_SCALE, 0, create))
		return;
	buf_init(&sql, 4096);
	task_sql_create_benchmark(&t->name, str_of(t->p->spec->m.owner), &sql);
	task_sql(t, "postgres", &sql, fill);
	buf_free(&sql);
}

void
task_bench_begin(struct task *t)
{
	char program[256];

	if (!task_find_program(t, "pgbench", program)) {
		task_end(t, CHOICE_task_phase_FAILED,
		    "the image has no program pgbench: use an image with it");
		return;
	}
	each_log(t, remove_log); /* of one that was killed */
	memset(t->latencies, 0, sizeof(*t->latencies));
	memset(t->log_at, 0, sizeof(t->log_at));
	if (write_script(t))
		create(t);
}
