/*
 * From the image, PGDATA and the spec to patroni.yml, stage by stage; a stage that needs a child
 * process goes on when that has ended. Nothing is remembered between two runs that could not be
 * looked up again, so any event simply starts it over.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "instance/work.h"

#define TOOL_MS 20000
#define ARENA_MAX (16u << 20)
#define CHECK_MAX (8u << 20) /* PARAMS_MAX values of IPC_VALUE_MAX, quoted */

static void step(struct pgctl *p);

static void
problem(struct pgctl *p, enum choice_reason reason, const char *text)
{
	if (p->found.reason != REASON_NONE)
		return; /* the first one counts */
	p->found.reason = (uint8_t)reason;
	str_copy_text(p->found.text, sizeof(p->found.text), str_of(text));
}

static void
run(struct pgctl *p, const char *const *argv, void (*done)(void *, const struct run_result *))
{
	static char path[4200];
	static const char *const env[] = {path, "LC_ALL=C", "HOME=/tmp", NULL};
	const struct run_spec s = {.argv = argv, .env = env, .timeout_ms = TOOL_MS};

	(void)snprintf(path, sizeof(path), "PATH=%s", p->path);
	p->waiting = true;
	(void)run_start(p->self.loop, &s, done, p);
}

/* After a child process: on, or from the beginning if the world has changed meanwhile. */
static void
resume(struct pgctl *p, enum stage next)
{
	p->waiting = false;
	p->stage = next;
	if (p->again)
		work_begin(p);
	else
		step(p);
}

static void
look_credentials(struct pgctl *p)
{
	struct err e;

	if (p->have_credentials)
		credentials_free(&p->credentials);
	p->have_credentials = credentials_read(&p->credentials, CREDENTIALS_DIR, &e) == 0;
	if (!p->have_credentials) {
		problem(p, REASON_CREDENTIALS_MISSING, e.text);
		return;
	}
	p->found.anchor = p->credentials.anchor;
}

/* While Patroni runs it may be filling or emptying PGDATA. */
static void
look_wal(struct pgctl *p, enum wal_state from, enum wal_state to, enum choice_reason reason)
{
	char text[IPC_TEXT_MAX + 1];
	enum wal_state is = wal_look(PGDATA_MOUNT, p->wal, text);

	if (is >= from && is <= to && (reason != REASON_WAL_APART || !p->state.patroni_running))
		problem(p, reason, text);
}

static void
look_at_volume(const char *path, uint8_t *class)
{
	uint8_t before = *class;

	*class = disk_look(path, before);
	if (*class > before)
		log_warn("disk", NULL, "%s: less than %u %% of the volume is free", path,
		    *class == CHOICE_disk_class_FULL ? DISK_FULL_PERCENT : DISK_LOW_PERCENT);
}

void
work_look_space(struct pgctl *p)
{
	look_at_volume(PGDATA_MOUNT, &p->space);
	if (p->wal != NULL)
		look_at_volume(p->wal, &p->wal_space);
	p->disk.space = disk_worst(p->space, p->wal_space);
}

bool
work_blocked(const struct pgctl *p)
{
	return p->disk.reason != REASON_NONE && p->disk.reason != REASON_WAL_IN_PGDATA;
}

static bool
stage_look(struct pgctl *p)
{
	char text[IPC_TEXT_MAX + 1];
	struct err e;

	memset(&p->found, 0, sizeof(p->found));
	p->found.stopped = p->state.stopped;
	p->chosen = NULL;
	if (p->state.owned_variable[0] != '\0')
		problem(p, REASON_VARIABLE_OWNED, p->state.owned_variable);
	if (!checks_uid_known()) {
		snprintf(text, sizeof(text),
		    "the image has no user of uid %u, which PostgreSQL needs; set spec.runAsUser "
		    "to "
		    "its postgres user",
		    (unsigned)getuid());
		problem(p, REASON_UID_UNKNOWN, text);
	}
	if (!checks_find_program("patroni", p->path, p->patroni))
		problem(p, REASON_PATRONI_MISSING, "the image has no patroni in PATH");
	if (checks_data_major(PGDATA_DIR, &p->data_major, &e) == -1)
		problem(p, REASON_VERSION_MISMATCH, e.text);
	p->found.pgdata_empty = p->data_major == 0 && fresh_is_empty(PGDATA_DIR);
	p->found.recent = p->found.pgdata_empty;
	aside_find_kept(PGDATA_MOUNT, p->found.kept);
	look_wal(p, WAL_MISSING, WAL_ALONE, REASON_WAL_APART);
	look_credentials(p);
	if (p->candidates_n == 0)
		p->candidates_n = checks_candidates(p->candidates, p->path);
	return true;
}

static void
on_version(void *arg, const struct run_result *r)
{
	struct pgctl *p = arg;
	struct candidate *c = &p->candidates[p->asked++];

	c->broken = r->status != 0 || checks_parse_version(r->out, c) == -1;
	if (c->broken)
		log_warn("postgres_version", NULL, "%s/postgres --version: status %d: %s", c->dir,
		    r->status, r->err.p);
	resume(p, STAGE_VERSIONS);
}

/* Asked once in this life: an image does not change under us. */
static bool
stage_versions(struct pgctl *p)
{
	char program[300];
	const char *const argv[] = {program, "--version", NULL};

	if (p->asked == p->candidates_n)
		return true;
	(void)snprintf(program, sizeof(program), "%s/postgres", p->candidates[p->asked].dir);
	run(p, argv, on_version);
	return false;
}

static bool
stage_choose(struct pgctl *p)
{
	unsigned wanted = p->spec != NULL ? p->spec->m.pg_version : 0;
	char text[IPC_TEXT_MAX + 1];
	uint8_t reason;

	p->chosen =
	    checks_choose(p->candidates, p->candidates_n, p->data_major, wanted, &reason, text);
	if (p->chosen == NULL) {
		problem(p, reason, text);
		return true;
	}
	(void)snprintf(p->found.bin_dir, sizeof(p->found.bin_dir), "%s", p->chosen->dir);
	(void)snprintf(
	    p->found.postgres_version, sizeof(p->found.postgres_version), "%s", p->chosen->version);
	return true;
}

static void
on_controldata(void *arg, const struct run_result *r)
{
	struct pgctl *p = arg;

	if (r->status != 0 || checks_system_identifier(r->out, &p->found.system_identifier) == -1)
		log_warn("controldata", NULL, "pg_controldata: status %d: %s", r->status, r->err.p);
	else {
		checks_standing(r->out, &p->found.was_primary, &p->found.timeline);
		p->found.recent = (!p->found.was_primary || checks_stopped_in_order(r->out)) &&
		                  checks_is_recent(PGDATA_DIR, clock_wall_s());
	}
	resume(p, STAGE_REPORT);
}

static bool
stage_controldata(struct pgctl *p)
{
	char program[300];
	const char *const argv[] = {program, "-D", PGDATA_DIR, NULL};

	if (p->data_major == 0 || p->chosen == NULL)
		return true;
	(void)snprintf(program, sizeof(program), "%s/pg_controldata", p->chosen->dir);
	run(p, argv, on_controldata);
	return false;
}

static bool
stage_report(struct pgctl *p)
{
	look_wal(p, WAL_INSIDE, WAL_INSIDE, REASON_WAL_IN_PGDATA);
	p->disk = p->found;
	work_look_space(p);
	p->disk_known = true;
	child_worked(&p->self);
	pgctl_flush(p);
	return true;
}

static void
verdict(struct pgctl *p, uint8_t reason, const char *text)
{
	p->checked_spec = p->spec;
	p->checked =
	    (struct msg_spec_checked){.generation = p->spec->m.generation, .reason = reason};
	str_copy_text(p->checked.text, sizeof(p->checked.text), str_of(text));
	p->checked_due = true;
	if (reason != REASON_NONE)
		log_warn("spec_refused", NULL, "generation %llu: %s: %s",
		    (unsigned long long)p->spec->m.generation, reason_info[reason].name,
		    p->checked.text);
	pgctl_flush(p);
}

static void
on_checked(void *arg, const struct run_result *r)
{
	struct pgctl *p = arg;
	char text[IPC_TEXT_MAX + 1] = "";

	if (r->timed_out) {
		log_warn("postgres_check", NULL, "postgres -C did not end: tried again later");
		resume(p, STAGE_DONE);
		return;
	}
	if (r->status != 0)
		params_complaint(r->err, text);
	if (!p->again)
		verdict(p, r->status == 0 ? REASON_NONE : REASON_PARAMETER_REFUSED, text);
	resume(p, STAGE_WRITE);
}

static bool
write_file(const char *path, struct str text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	bool ok = fd != -1 && fd_write_all(fd, text.p, text.len) == 0;

	if (!ok)
		log_error("postgres_check", NULL, "write %s: %s", path, strerror(errno));
	fd_close(&fd);
	return ok;
}

/* What postgres -C reads; without the second file its first complaint would be of that. */
static bool
write_check_files(const struct str_map *params)
{
	struct buf text;
	bool ok;

	(void)mkdir(CHECK_DIR, 0700);
	buf_init(&text, CHECK_MAX);
	params_write(params, &text);
	ok = !text.full && write_file(CHECK_DIR "/postgresql.conf", buf_view(&text)) &&
	     write_file(CHECK_DIR "/postgresql.auto.conf", STR(""));
	buf_free(&text);
	return ok;
}

static int
check_preload(const struct pgctl *p, const struct str_map *params, char text[IPC_TEXT_MAX + 1])
{
	char debian[300], source[300];
	const char *const libs[] = {debian, source, NULL};

	(void)snprintf(debian, sizeof(debian), "%s/../lib", p->chosen->dir);
	(void)snprintf(source, sizeof(source), "%s/../lib/postgresql", p->chosen->dir);
	for (size_t i = 0; i < params->n; i++)
		if (str_is(params->at[i].key, "shared_preload_libraries"))
			return params_check_preload(params->at[i].value, libs, text);
	return 0;
}

/* Everything that can be said without PostgreSQL; 0 = ask it now. */
static int
check_text(struct pgctl *p, struct str_map *params, uint8_t *reason, char text[IPC_TEXT_MAX + 1])
{
	struct dynamic_wanted wanted;
	struct err e = p->spec->err;

	*reason = REASON_SPEC_INVALID;
	arena_reset(&p->arena);
	buf_reset(&p->dynamic);
	spec_dynamic(p->spec, &wanted);
	if (p->spec->broken || dynamic_render(&wanted, &p->arena, &p->dynamic, &e) == -1 ||
	    dynamic_parameters(buf_view(&p->dynamic), &p->arena, params, &e) == -1) {
		str_copy_text(text, IPC_TEXT_MAX + 1, str_of(e.text));
		return -1;
	}
	if (params_check_names(params, &p->spec->hba, reason, text) == -1)
		return -1;
	*reason = REASON_PARAMETER_REFUSED;
	return check_preload(p, params, text);
}

static bool
stage_check(struct pgctl *p)
{
	char program[300], text[IPC_TEXT_MAX + 1];
	const char *const argv[] = {program, "-D", CHECK_DIR, "-C", "port", NULL};
	struct str_map params;
	uint8_t reason;

	if (p->spec == NULL || p->chosen == NULL || p->checked_spec == p->spec)
		return true;
	if (check_text(p, &params, &reason, text) == -1) {
		verdict(p, reason, text);
		return true;
	}
	if (!write_check_files(&params))
		return true;
	(void)snprintf(program, sizeof(program), "%s/postgres", p->chosen->dir);
	run(p, argv, on_checked);
	return false;
}

static bool
same_content(const char *path, struct str text)
{
	struct secret now = {0};
	bool same;

	if (secret_read_file(&now, path, HTTP_BODY_MAX, NULL) == -1)
		return false;
	/* secret_read_file drops the newline at the end */
	same = now.len + 1 == text.len && memcmp(now.p, text.p, now.len) == 0;
	secret_free(&now);
	return same;
}

static int
write_config(struct str text, bool *changed)
{
	static const char temp[] = CONFIG_PATH ".new";
	int fd;

	*changed = !same_content(CONFIG_PATH, text);
	if (!*changed)
		return 0;
	(void)unlink(temp);
	fd = open(temp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd == -1 || fd_write_all(fd, text.p, text.len) == -1 || fsync(fd) == -1 ||
	    rename(temp, CONFIG_PATH) == -1) {
		log_error("patroni_config", NULL, "write %s: %s", CONFIG_PATH, strerror(errno));
		fd_close(&fd);
		return -1;
	}
	fd_close(&fd);
	return 0;
}

static void
announce_config(struct pgctl *p)
{
	struct msg_config_written *m = &p->config.config_written;

	p->config = (struct ipc_msg){.type = IPC_CONFIG_WRITTEN, .fds = {-1, -1}};
	(void)snprintf(m->patroni, sizeof(m->patroni), "%s", p->patroni);
	m->ttl = p->spec->m.ttl;
	m->loop_wait = p->spec->m.loop_wait;
	m->retry_timeout = p->spec->m.retry_timeout;
	p->config_said = true;
	p->config_due = true;
	pgctl_flush(p);
}

/* On a bad spec or image the last good file stays, and without one Patroni does not start. */
static bool
stage_write(struct pgctl *p)
{
	struct patroni_config c;
	struct buf file;
	struct err e;
	bool changed;

	if (p->spec == NULL || p->checked_spec != p->spec || p->checked.reason != REASON_NONE ||
	    work_blocked(p) || !p->have_credentials || p->chosen == NULL)
		return true;
	c = (struct patroni_config){.cluster = str_of(p->cluster),
	    .namespace = str_of(p->namespace),
	    .pod = str_of(p->pod),
	    .pod_ip = str_of(p->pod_ip),
	    .bin_dir = str_of(p->chosen->dir),
	    .wal = p->wal,
	    .major = p->chosen->major,
	    .retry_timeout = p->spec->m.retry_timeout,
	    .dynamic = buf_view(&p->dynamic),
	    .hba = &p->spec->hba,
	    .spec = &p->spec->m,
	    .credentials = &p->credentials};
	p->write_failed = true;
	if (patroni_render(&c, &file, &e) == -1) {
		log_error("patroni_config", NULL, "%s", e.text);
	} else if (write_config(buf_view(&file), &changed) == 0) {
		p->write_failed = false;
		if (changed || !p->config_said)
			announce_config(p);
	}
	if (file.p != NULL)
		explicit_bzero(file.p, file.size);
	buf_free(&file);
	return true;
}

static void
step(struct pgctl *p)
{
	static bool (*const stages[STAGE_DONE])(struct pgctl *) = {
	    [STAGE_LOOK] = stage_look,
	    [STAGE_VERSIONS] = stage_versions,
	    [STAGE_CHOOSE] = stage_choose,
	    [STAGE_CONTROLDATA] = stage_controldata,
	    [STAGE_REPORT] = stage_report,
	    [STAGE_CHECK] = stage_check,
	    [STAGE_WRITE] = stage_write,
	};

	while (p->stage < STAGE_DONE) {
		if (!stages[p->stage](p))
			return;
		p->stage++;
	}
	apply_begin(p);
}

void
work_begin(struct pgctl *p)
{
	if (!p->state.locked)
		return;
	p->again = p->waiting;
	if (p->waiting)
		return;
	if (p->arena.cap == 0) {
		arena_init(&p->arena, ARENA_MAX);
		buf_init(&p->dynamic, HTTP_BODY_MAX);
	}
	p->stage = STAGE_LOOK;
	step(p);
}
