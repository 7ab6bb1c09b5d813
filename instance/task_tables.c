/*
 * The kinds that go from table to table: Vacuum, Analyze, Reindex, Repack. First everything is
 * looked up, so that a name of nothing is told before anything is done; then one statement at a
 * time, each of a large table a program of its own, many small ones in one.
 */
#include <inttypes.h>
#include <unistd.h>

#include "instance/task.h"

#define SQL_MAX (1u << 20) /* TASK_TABLES_MAX names in hex, a few times */

static void count(struct task *t);
static void next(struct task *t);

/* --- Where. */

int
task_read_databases(struct task *t, struct str out)
{
	int trouble = 0;

	t->databases_n = 0;
	for (const char *line = out.p; *line != '\0';) {
		const char *end = strchrnul(line, '\n');
		struct str hex = {line + 2, end - line > 2 ? (size_t)(end - line) - 2 : 0};

		if (line[0] == '-' || line[0] == '!')
			trouble = (line[0] == '-' ? -2 : TASK_CLOSED) -
			          (int)(strtoul(line + 1, NULL, 10) % TASK_DATABASES_MAX);
		else if (line[0] == '+' && t->databases_n < TASK_ALL_DATABASES_MAX &&
			 task_hex_decode(
			     hex, t->databases[t->databases_n], sizeof(t->databases[0])) == 0)
			t->databases_n++;
		else
			return -1;
		line = *end == '\0' ? end : end + 1;
	}
	return trouble == 0 && t->databases_n == 0 ? -1 : trouble;
}

static void
listed(struct task *t, const struct run_result *r)
{
	int found;

	if (r->status != 0) {
		task_end_failed(t, r, "psql");
		return;
	}
	found = task_read_databases(t, r->out);
	if (found <= TASK_CLOSED && (unsigned)(TASK_CLOSED - found) < t->now.databases_n)
		task_end(t, CHOICE_task_phase_FAILED, "database \"%s\" takes no connections",
		    t->now.databases[TASK_CLOSED - found]);
	else if (found <= -2 && (unsigned)(-2 - found) < t->now.databases_n)
		task_end(t, CHOICE_task_phase_FAILED, "database \"%s\" does not exist",
		    t->now.databases[-2 - found]);
	else if (found != 0)
		task_end(t, CHOICE_task_phase_FAILED,
		    "no database to work in, or more than %d: name some", TASK_ALL_DATABASES_MAX);
	else
		count(t);
}

void
task_tables_begin(struct task *t)
{
	struct buf sql;

	task_step(t, "looking for what is to be done");
	buf_init(&sql, SQL_MAX);
	task_sql_databases(&t->now, &sql);
	task_sql(t, "postgres", &sql, listed);
	buf_free(&sql);
}

/* --- How much; are all named tables there? */

/* NULL: there is nothing of that name. */
static const char *
kind_of(char relkind)
{
	switch (relkind) {
	case '\0':
		return NULL;
	case 'v':
		return "a view";
	case 'm':
		return "a materialized view, which pg_repack can not rewrite";
	case 'f':
		return "a foreign table";
	case 'T':
		return "temporary";
	default:
		return "no table";
	}
}

static void
all_counted(struct task *t)
{
	if (t->databases_n == 0) {
		task_end(t, CHOICE_task_phase_FAILED,
		    "extension pg_repack is in no database: CREATE EXTENSION pg_repack in one, as "
		    "superuser");
		return;
	}
	for (unsigned i = 0; i < t->now.tables_n; i++) {
		const char *kind = kind_of(t->tables_kind[i]);

		if (t->tables_seen & (UINT64_C(1) << i))
			continue;
		if (kind != NULL) {
			task_end(t, CHOICE_task_phase_FAILED, "relation \"%s\" is %s",
			    t->now.tables[i], kind);
			return;
		}
		task_end(t, CHOICE_task_phase_FAILED, "table \"%s\" does not exist in %s%s%s",
		    t->now.tables[i], t->databases_n == 1 ? "database \"" : "any of the databases",
		    t->databases_n == 1 ? t->databases[0] : "", t->databases_n == 1 ? "\"" : "");
		return;
	}
	if (t->unfit) {
		task_end(t, CHOICE_task_phase_FAILED,
		    "one of the tables has an index on an expression, a part of it or a type of "
		    "somebody's own, and an owner who is no superuser: pg_repack would run the "
		    "owner's code as superuser");
		return;
	}
	t->at = 0;
	t->oid_n = 0;
	next(t);
}

static void
counted(struct task *t, const struct run_result *r)
{
	unsigned long long n, all;
	char kind;

	if (r->status != 0) {
		task_end_failed(t, r, "psql");
		return;
	}
	for (const char *line = r->out.p; line != NULL && *line != '\0';) {
		if (sscanf(line, "t %9llu %c", &n, &kind) == 2 && n < TASK_TABLES_MAX) {
			if (kind == '+')
				t->tables_seen |= UINT64_C(1) << n;
			else
				t->tables_kind[n] = kind;
		} else if (sscanf(line, "e %9llu", &n) == 1)
			t->exclusions += n;
		else if (sscanf(line, "n %18llu %18llu", &n, &all) == 2) {
			t->targets += n;
			t->unfit |= t->now.m.kind == CHOICE_task_kind_REPACK &&
			            t->now.tables_n > 0 && n < all;
		}
		if ((line = strchr(line, '\n')) != NULL)
			line++;
	}
	t->at++;
	count(t);
}

static void
extension_seen(struct task *t, const struct run_result *r)
{
	struct buf sql;

	if (r->status != 0) {
		task_end_failed(t, r, "psql");
		return;
	}
	if (r->out.p[0] != 'e' && t->now.databases_n == 0) { /* as pg_repack --all does */
		t->databases_n--;
		memmove(t->databases[t->at], t->databases[t->at + 1],
		    (t->databases_n - t->at) * sizeof(t->databases[0]));
		count(t);
		return;
	}
	if (r->out.p[0] != 'e') {
		task_end(t, CHOICE_task_phase_FAILED,
		    "extension pg_repack is not in database \"%s\": CREATE EXTENSION pg_repack "
		    "there, "
		    "as superuser",
		    t->databases[t->at]);
		return;
	}
	buf_init(&sql, SQL_MAX);
	task_sql_count(&t->now, &sql);
	task_sql(t, t->databases[t->at], &sql, counted);
	buf_free(&sql);
}

static void
count(struct task *t)
{
	char program[256];
	struct buf sql;

	if (t->at == t->databases_n) {
		all_counted(t);
		return;
	}
	buf_init(&sql, SQL_MAX);
	if (t->now.m.kind != CHOICE_task_kind_REPACK) {
		task_sql_count(&t->now, &sql);
		task_sql(t, t->databases[t->at], &sql, counted);
	} else if (task_find_program(t, "pg_repack", program)) {
		task_sql_extension(&sql);
		task_sql(t, t->databases[t->at], &sql, extension_seen);
	} else {
		task_end(t, CHOICE_task_phase_FAILED,
		    "the image has no program pg_repack: use an image with it");
	}
	buf_free(&sql);
}

/* --- One after the other. */

/*
 * Lines "s OID TOTAL PAGES": the first of a table's is of before, its second of after. What is gone
 * meanwhile has none, or but one.
 */
static void
read_sizes(struct task *t, struct str out)
{
	unsigned long long oid, total, pages;
	const char *end;

	for (const char *line = out.p; (end = strchr(line, '\n')) != NULL; line = end + 1) {
		if (sscanf(line, "s %10llu %19llu %19llu", &oid, &total, &pages) == 3) {
			bool after = t->size_of == (uint32_t)oid;

			if (after) {
				t->state.size_before += t->size_before;
				t->state.size_after += total;
			}
			if (after && pages < t->pages_before)
				t->state.pages += t->pages_before - pages;
			t->size_of = after ? 0 : (uint32_t)oid;
			t->size_before = total;
			t->pages_before = pages;
		}
	}
}

bool
task_look_again(struct task *t, struct str said)
{
	static const char mark[] = "\" does not exist";
	unsigned done = 0;

	while (done < t->oid_n && t->oid[done] != t->size_of)
		done++;
	if (done == t->oid_n || t->size_of == t->looked_again ||
	    memmem(said.p, said.len, mark, sizeof(mark) - 1) == NULL)
		return false;
	t->looked_again = t->size_of;
	t->target += done;
	t->target--; /* it is counted when it is found */
	t->oid[0] = t->size_of - 1;
	t->oid_n = 1;
	return true;
}

static void
worked(struct task *t, const struct run_result *r)
{
	read_sizes(t, r->out);
	t->state.tuples += t->vacuumed.tuples;
	if (r->status > 0 && task_look_again(t, r->err)) {
		next(t);
		return;
	}
	if (r->status != 0) {
		task_end_failed(t, r, "psql");
		return;
	}
	t->target += t->oid_n - 1;
	if (t->target <= t->targets && t->targets > 0)
		t->state.percent = (uint8_t)(t->target * 100 / t->targets);
	next(t);
}

/* What pg_repack calls a success although it has done nothing. */
static const char *
skipped(struct str said)
{
	static const char *const rows[][2] = {
	    {"Skipping repack",
		"somebody held a lock on it for longer than a minute; try again when it is "
		"quieter"},
	    {"must have a primary key",
		"it has neither a primary key nor a unique one without NULL"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (memmem(said.p, said.len, rows[i][0], strlen(rows[i][0])) != NULL)
			return rows[i][1];
	return NULL;
}

static void
repacked(struct task *t, const struct run_result *r)
{
	const char *why = skipped(r->err);
	struct buf sql;

	if (r->status > 0 && task_look_again(t, r->err)) {
		next(t);
		return;
	}
	if (r->status != 0) {
		task_end_failed(t, r, "pg_repack");
		return;
	}
	if (why != NULL) {
		task_tail(r->err, t->state.output);
		task_end(t, CHOICE_task_phase_FAILED, "pg_repack left %.80s as it was: %s",
		    t->label, why);
		return;
	}
	buf_init(&sql, 4096);
	task_sql_size(t->oid[0], &sql);
	task_sql(t, t->databases[t->at], &sql, worked);
	buf_free(&sql);
}

/*
 * Not its own way with who is in its way: it would end other people's transactions after a
 * minute. The name is one that the server has quoted; pg_repack hands it to the server as a
 * parameter, read as a regclass.
 */
static void
repack(struct task *t)
{
	const char *const more[] = {"--no-kill-backend", "--table", t->target_name, NULL};
	struct task_command c = {
	    .program = "pg_repack", .more = more, .database = t->databases[t->at]};

	t->measured = true;
	task_run(t, &c, repacked);
}

static void
sized(struct task *t, const struct run_result *r)
{
	if (r->status != 0) {
		task_end_failed(t, r, "psql");
		return;
	}
	read_sizes(t, r->out);
	if (t->size_of != 0)
		repack(t);
	else
		next(t); /* gone meanwhile */
}

static void
on_verbose(void *arg, struct str text)
{
	struct task *t = arg;

	task_vacuum_read(&t->vacuumed, text);
}

/* Each is looked up at its turn: one that is dropped meanwhile is passed over. */
static void
work(struct task *t)
{
	static const char *const more[] = {"-f", "-", NULL};
	struct task_command c = {.program = "psql",
	    .more = more,
	    .database = t->databases[t->at],
	    .on_stderr = on_verbose};
	struct buf sql;

	buf_init(&sql, SQL_MAX);
	t->size_of = 0;
	t->vacuumed = (struct task_vacuumed){0};
	if (t->now.m.kind == CHOICE_task_kind_REPACK) {
		task_sql_size(t->oid[0], &sql);
		task_sql(t, t->databases[t->at], &sql, sized);
	} else {
		for (unsigned i = 0; i < t->oid_n; i++)
			task_sql_work(&t->now, t->oid[i], &sql);
		if (sql.full)
			die("task: SQL does not fit");
		c.input = buf_view(&sql);
		t->measured = t->oid_n == 1;
		task_run(t, &c, worked);
	}
	buf_free(&sql);
}

/* "OID OID ...": which to do at once. */
static void
read_batch(struct task *t, const char *at, const char *end)
{
	t->oid_n = 0;
	while (at < end && t->oid_n < TASK_BATCH_MAX) {
		char *after;
		unsigned long oid = strtoul(at, &after, 10);

		if (after == at || oid == 0 || oid > UINT32_MAX)
			return;
		t->oid[t->oid_n++] = (uint32_t)oid;
		at = *after == ' ' ? after + 1 : end;
	}
}

int
task_read_target(struct task *t, struct str out, uint64_t *bytes, uint64_t *wal)
{
	char hex[2 * sizeof(t->target_name)];
	unsigned long long oid, total, written;
	int name = 0;
	const char *end = strchrnul(out.p, '\n'), *bar = memrchr(out.p, '|', (size_t)(end - out.p));

	if (out.len == 0)
		return 0;
	if (bar == NULL ||
	    sscanf(out.p, "x %10llu %19llu %19llu %799s %n", &oid, &total, &written, hex, &name) !=
		4 ||
	    name == 0 || oid > UINT32_MAX || bar < out.p + name ||
	    task_hex_decode(str_of(hex), t->target_name, sizeof(t->target_name)) == -1)
		return -1;
	read_batch(t, bar + 1, end);
	if (t->oid_n == 0 || t->oid[0] != oid) { /* too large for one of many */
		t->oid[0] = (uint32_t)oid;
		t->oid_n = 1;
	}
	*bytes = total;
	*wal = written;
	str_copy_text(
	    t->label, sizeof(t->label), (struct str){out.p + name, (size_t)(bar - out.p - name)});
	return 1;
}

/* From the same one on: meanwhile it may have grown, or be gone. */
static void
find_again(struct task *t)
{
	t->oid[0]--;
	t->oid_n = 1;
	next(t);
}

static void
found(struct task *t, const struct run_result *r)
{
	static const char *const verb[CHOICE_task_kind_COUNT] = {
	    [CHOICE_task_kind_VACUUM] = "VACUUM",
	    [CHOICE_task_kind_ANALYZE] = "ANALYZE",
	    [CHOICE_task_kind_REINDEX] = "REINDEX",
	    [CHOICE_task_kind_REPACK] = "pg_repack",
	};
	const struct msg_task *m = &t->now.m;
	bool copies =
	    m->kind == CHOICE_task_kind_REPACK || (m->kind == CHOICE_task_kind_VACUUM && m->full);
	uint64_t bytes, wal, last, all;
	int n;

	if (r->status != 0) {
		task_end_failed(t, r, "psql");
		return;
	}
	n = task_read_target(t, r->out, &bytes, &wal);
	if (n == -1) {
		task_end(t, CHOICE_task_phase_FAILED, "psql did not say what comes next in %s",
		    t->databases[t->at]);
		return;
	}
	if (n == 0) {
		t->looked_again = 0;
		t->at++;
		t->oid_n = 0;
		next(t);
		return;
	}
	if (copies && !task_has_room(t, t->label, bytes, wal, find_again))
		return;
	t->target++;
	last = t->target + t->oid_n - 1;
	all = t->targets < last ? last : t->targets;
	if (t->oid_n == 1)
		task_step(t, "%s %.40s %.48s, %" PRIu64 " of %" PRIu64, verb[m->kind],
		    t->databases[t->at], t->label, last, all);
	else
		task_step(t, "%s %.40s, %" PRIu64 " to %" PRIu64 " of %" PRIu64, verb[m->kind],
		    t->databases[t->at], t->target, last, all);
	work(t);
}

static void
next(struct task *t)
{
	struct buf sql;

	if (t->at == t->databases_n) {
		if (t->exclusions > 0)
			task_end(t, CHOICE_task_phase_SUCCEEDED,
			    "%llu indexes of exclusion constraints were left as they are: REINDEX "
			    "CONCURRENTLY can not rebuild those, concurrently: false does",
			    (unsigned long long)t->exclusions);
		else
			task_end(t, CHOICE_task_phase_SUCCEEDED, "%s",
			    t->target == 0 ? "there was nothing to do" : "");
		return;
	}
	buf_init(&sql, SQL_MAX);
	task_sql_next(&t->now, t->oid_n > 0 ? t->oid[t->oid_n - 1] : 0, &sql);
	task_sql(t, t->databases[t->at], &sql, found);
	buf_free(&sql);
}
